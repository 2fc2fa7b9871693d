"""The evidence as one labelled tree, what is derived from it, and its fingerprint.

Derived here and typed nowhere::

    se_used               = se                 where the source gives it
                          = sd / sqrt(n)       otherwise (a flat table has more ways, see `implied`)
    se_from               = which of these, in words
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

#: How a standard error was come by, as ``se_from`` says it.
SE_PRINTED, SE_FROM_SD, SE_FROM_INTERVAL = "printed", "sd and n", "95 % interval, normal"

#: Why a mean cannot be used that has no standard error; only a likelihood that borrows it can.
NO_DISPERSION = "no_dispersion"
RATIOS = ("RR", "OR", "IRR", "HR")

#: The tables that a fit sees: what the fingerprint is made of.
FINGERPRINTED = ("studies", "arms", "results", "contrasts", "reference_doses")
#: Columns that follow from the others or from the layout of a file: the fingerprint passes them by.
UNPRINTED = (
    *("line", "se_used", "se_from", "mean_from", "sd_relative_se", "hours_after_treatment"),
    *("dose_note", "conversion_note", "time_point", "blinding_level", "carry_over", "given_as"),
)

#: The columns of a table.
Columns = dict[str, np.ndarray]

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
    arrays = {
        name: {str(column): _array(frame[column]) for column in frame}
        for name, frame in tables.items()
    }
    groups = {
        name: _dataset(columns, DIMS.get(name, "row"), len(tables[name]))
        for name, columns in arrays.items()
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"source": source, "kind": kind, "evidence_hash": _fingerprint(arrays)}
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


def standard_error_sources(results: pd.DataFrame) -> pd.Series:
    """Say how the standard error of each mean was come by.

    Parameters
    ----------
    results
        With columns mean, se, sd and n.

    Returns
    -------
    pd.Series
        `SE_PRINTED`, `SE_FROM_SD`, or empty where there is no mean or no standard error.
    """
    known = results["mean"].notna() & standard_errors(results).notna()
    origin = np.where(results["se"].notna(), SE_PRINTED, SE_FROM_SD)
    return pd.Series(np.where(known, origin, ""), index=results.index, dtype="str")


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


def ratios_as_logarithms(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Take the logarithm of ratios and of their intervals.

    Parameters
    ----------
    contrasts
        With columns measure, estimate, ci_low and ci_high.

    Returns
    -------
    pd.DataFrame
        Ratios as logarithms (measure ``log_RR`` ...); differences as they stand.
    """
    ratio = contrasts["measure"].isin(RATIOS)
    out = contrasts.assign(
        measure=contrasts["measure"].where(~ratio, "log_" + contrasts["measure"])
    )
    for column in ("estimate", "ci_low", "ci_high"):
        positive = contrasts[column].where(ratio & (contrasts[column] > 0))
        out[column] = contrasts[column].where(~ratio, np.log(positive))
    return out


def contrasts_as_modelled(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Bring printed contrasts to the scale of a normal model.

    Parameters
    ----------
    contrasts
        With columns measure, estimate, se, ci_low and ci_high.

    Returns
    -------
    pd.DataFrame
        Ratios as logarithms (measure ``log_RR`` ...), ``se`` filled from the interval, and
        ``se_from``, which of the two it is.
    """
    out = ratios_as_logarithms(contrasts)
    se = contrasts["se"].fillna((out["ci_high"] - out["ci_low"]) / (2 * NORMAL_97_5))
    origin = np.where(contrasts["se"].notna(), SE_PRINTED, SE_FROM_INTERVAL)
    return out.assign(se=se, se_from=np.where(se.notna(), origin, ""))


def _dataset(columns: Columns, dim: str, size: int) -> xr.Dataset:
    # The fast path leaves out a search for dates among the texts, which is most of the time.
    plain = {
        name: xr.Variable((dim,), array, fastpath=True)
        for name, array in columns.items()
        if name != dim
    }
    return xr.Dataset(plain, {dim: columns.get(dim, np.arange(size))})


def _array(column: pd.Series) -> np.ndarray:
    if column.dtype.kind in "iufb":
        # A copy: what pandas hands out is read-only, and a tree may be edited.
        return np.array(column.to_numpy())
    if (column == "").all():
        return np.full(len(column), "", dtype=object)
    return np.array(column.to_numpy(object))


def _fingerprint(tables: dict[str, Columns]) -> str:
    """Hash the content, whatever the order of its rows and columns, empty columns or none."""
    whole = hashlib.sha256()
    for name in FINGERPRINTED:
        if name not in tables:
            continue
        cells = {
            column: _canonical(array)
            for column, array in sorted(tables[name].items())
            if column not in UNPRINTED and not _empty(array)
        }
        whole.update(("\x1d" + name + "\x1f".join(cells)).encode("utf-8", "surrogatepass"))
        rows = sorted(map("\x1f".join, zip(*cells.values(), strict=True)))
        whole.update("\x1e".join(rows).encode("utf-8", "surrogatepass"))
    return whole.hexdigest()


def _empty(array: np.ndarray) -> bool:
    return bool((np.isnan(array) if array.dtype.kind == "f" else array == "").all())


def _canonical(array: np.ndarray) -> list[str]:
    if array.dtype.kind not in "iufb":
        return list(map(str, array.tolist()))
    # + 0.0 makes one number of 0 and -0; each different number is written once.
    numbers, place = np.unique(array.astype(float) + 0.0, return_inverse=True)
    texts = ["" if x != x else repr(x) for x in numbers.tolist()]
    return [texts[i] for i in place.tolist()]
