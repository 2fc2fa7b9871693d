"""The evidence as one labelled tree, what is derived from it, and its fingerprint.

Derived here and typed nowhere::

    se_used               = se                 where the source gives it
                          = sd / sqrt(n)       otherwise
    hours_after_treatment = time_hours - end of the study's treatments, both since their start
    se of a contrast      = (ci_high - ci_low) / (2 * 1.959964)    where no se is printed
    ratios (RR, OR, ...)  are loaded as logarithms, interval and all
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import xarray as xr

#: 97.5 % point of the standard normal distribution: half the width of a 95 % interval in SEs.
NORMAL_97_5 = 1.959963984540054

RATIOS = ("RR", "OR", "IRR", "HR")

#: The tables that a fit sees: what the fingerprint is made of.
FINGERPRINTED = ("studies", "arms", "results", "contrasts", "reference_doses")

DIMS = {"studies": "study", "arms": "arm"}


def evidence_tree(tables: dict[str, pd.DataFrame], *, source: str, kind: str) -> xr.DataTree:
    """Join tables into the evidence tree.

    Parameters
    ----------
    tables
        Each with typed columns: text, or floats with NaN.
    source
        The name of the file or folder, as the user gave it.
    kind
        ``base`` or ``flat``.

    Returns
    -------
    xr.DataTree
        One dataset a table, over dim ``study``, ``arm`` or ``row``; attributes ``source``,
        ``kind`` and ``evidence_hash``.
    """
    groups = {name: _dataset(frame, DIMS.get(name, "row")) for name, frame in tables.items()}
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"source": source, "kind": kind, "evidence_hash": _fingerprint(tables)}
    return tree


def table(tree: xr.DataTree, name: str) -> pd.DataFrame:
    """Give a table of the evidence as a data frame.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    name
        ``studies``, ``arms``, ``results``, ``contrasts``, ``reference_doses``, ``published``, ...

    Returns
    -------
    pd.DataFrame
        A copy, with its label (``study``, ``arm`` or ``row``) as the first column.
    """
    dataset = tree[name].to_dataset()
    dim = DIMS.get(name, "row")
    columns = {dim: dataset[dim], **dataset.data_vars}
    return pd.DataFrame(
        {
            key: pd.Series(array.to_numpy().copy(), dtype="str" if array.dtype == object else None)
            for key, array in columns.items()
        }
    )


def arm_label(study: pd.Series, arm_id: pd.Series) -> pd.Series:
    """Name arms so that no two studies share a name.

    Parameters
    ----------
    study
        Names of studies.
    arm_id
        Names of arms within them; empty for none.

    Returns
    -------
    pd.Series
        ``study: arm_id``, or empty.
    """
    return (study + ": " + arm_id).where(arm_id != "", "")


def standard_errors(results: pd.DataFrame) -> pd.Series:
    """Give the standard error of each mean, as printed or from its SD.

    Parameters
    ----------
    results
        With columns se, sd and n.

    Returns
    -------
    pd.Series
        ``se``, or ``sd / sqrt(n)``, or NaN.
    """
    return results["se"].fillna(results["sd"] / np.sqrt(results["n"]))


def hours_after_treatment(results: pd.DataFrame, arms: pd.DataFrame) -> pd.Series:
    """Give the time of each result since its study's treatments ended.

    An arm's treatment ends with the infusion for a single dose whose length is known, at once for
    one whose length is not, and with its last day for a course. The clock of a study starts when
    its last arm ends: with a clock for each arm, a push and an infusion measured at one hour would
    stand at two times, and no longer compare.

    Parameters
    ----------
    results
        With columns study and time_hours (hours since treatment began).
    arms
        With columns study, infusion_hours, n_administrations and treatment_days.

    Returns
    -------
    pd.Series
        Hours, negative during treatment; NaN where either time is not known.
    """
    single = arms["n_administrations"] == 1
    # A continuous infusion over days counts as one administration with its own length in hours.
    end = (arms["treatment_days"] * 24).where(~single, arms["infusion_hours"].fillna(0.0))
    last = end.astype(float).groupby(arms["study"]).max()
    return results["time_hours"] - results["study"].map(last).astype(float)


#: Flag of a total that was worked out from a rate.
FROM_RATE = (
    "total = rate at the end x hours of the infusion: an upper bound if the rate was stepped"
)


def course_totals(arms: pd.DataFrame) -> pd.DataFrame:
    """Work out the total dose of single infusions that are printed as a rate, and flag it.

    Parameters
    ----------
    arms
        With columns dose_value, dose_unit, infusion_hours, n_administrations and
        total_dose_mg_per_kg.

    Returns
    -------
    pd.DataFrame
        ``total_dose_mg_per_kg`` with such totals filled in, and ``dose_note``, which says where.
        A bolus before an infusion whose length is not printed stays empty.
    """
    total = arms["total_dose_mg_per_kg"]
    by_rate = arms["dose_value"] * arms["infusion_hours"]
    stated = (arms["dose_unit"] == "mg_per_kg_per_h") & (arms["n_administrations"] == 1)
    fill = total.isna() & stated & by_rate.notna()
    return arms.assign(
        total_dose_mg_per_kg=total.where(~fill, by_rate),
        dose_note=np.where(fill, FROM_RATE, ""),
    )


def contrasts_as_modelled(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Bring printed contrasts to the scale of a normal model.

    Parameters
    ----------
    contrasts
        With columns measure, estimate, se, ci_low and ci_high.

    Returns
    -------
    pd.DataFrame
        Ratios as logarithms (measure ``log_RR`` ...), and ``se`` filled from the interval.
    """
    ratio = contrasts["measure"].isin(RATIOS)
    out = contrasts.assign(
        measure=contrasts["measure"].where(~ratio, "log_" + contrasts["measure"])
    )
    for column in ("estimate", "ci_low", "ci_high"):
        positive = contrasts[column].where(ratio & (contrasts[column] > 0))
        out[column] = contrasts[column].where(~ratio, np.log(positive))
    width = out["ci_high"] - out["ci_low"]
    return out.assign(se=contrasts["se"].fillna(width / (2 * NORMAL_97_5)))


def _dataset(frame: pd.DataFrame, dim: str) -> xr.Dataset:
    plain = {str(name): _array(frame[name]) for name in frame if name != dim}
    labels = _array(frame[dim]) if dim in frame else np.arange(len(frame))
    return xr.Dataset({name: (dim, array) for name, array in plain.items()}, {dim: labels})


def _array(column: pd.Series) -> np.ndarray:
    # A copy: what pandas hands out is read-only, and a tree may be edited.
    return np.array(column.to_numpy(None if column.dtype.kind in "iufb" else object))


def _fingerprint(tables: dict[str, pd.DataFrame]) -> str:
    """Hash the content, whatever the order of its rows and columns."""
    whole = hashlib.sha256()
    for name in FINGERPRINTED:
        if name not in tables:
            continue
        frame = tables[name]
        columns = sorted(str(column) for column in frame if column != "line")
        whole.update(("\x1d" + name + "\x1f".join(columns)).encode())
        cells = [_canonical(frame[column]) for column in columns]
        whole.update("\x1e".join(sorted(map("\x1f".join, zip(*cells, strict=True)))).encode())
    return whole.hexdigest()


def _canonical(column: pd.Series) -> list[str]:
    if column.dtype.kind in "iufb":
        return ["" if x != x else repr(x) for x in column.to_numpy(float).tolist()]
    return [str(x) for x in column.tolist()]
