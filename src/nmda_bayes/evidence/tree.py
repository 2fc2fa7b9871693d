"""The evidence as one labelled tree, the columns derived from it, and its hash.

Derived columns::

    se_used               = se                 where the source gives it
                          = sd / sqrt(n)       otherwise (for flat tables see `derive`)
    se_from               = which of these
    hours_after_treatment = time_hours - end of the study's treatments, both since their start
    se of a contrast      = (ci_high - ci_low) / (2 * 1.959964)    where no se is printed
    ratios (RR, OR, ...)  are log-transformed, with their intervals
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.artifacts import digest

#: 97.5% point of the standard normal distribution: half the width of a 95% interval in SEs.
NORMAL_97_5 = 1.959963984540054

#: How a standard error was obtained, as ``se_from`` gives it.
SE_PRINTED, SE_FROM_SD, SE_FROM_INTERVAL = "printed", "sd and n", "95% CI, normal"

#: Why a mean without a standard error is unusable; only a likelihood that borrows SDs can use it.
NO_DISPERSION = "no_dispersion"
RATIO_MEASURES = ("RR", "OR", "IRR", "HR")
#: A difference of means.
MD = "MD"

#: The tables that a fit uses; the hash is made of them.
HASHED_TABLES = ("studies", "arms", "results", "contrasts", "reference_doses")
#: Columns that follow from the others or from the layout of a file; the hash ignores them.
COMPUTED_COLUMNS = {
    "line",
    "se_used",
    "se_from",
    "mean_from",
    "sd_relative_se",
    "hours_after_treatment",
    "dose_note",
    "conversion_note",
    "time_point",
    "blinding_level",
    "carry_over",
    "given_as",
}

TABLE_DIMS = {"studies": "study", "arms": "arm"}


def evidence_tree(tables: dict[str, pd.DataFrame], *, source: str, kind: str) -> xr.DataTree:
    """Combine tables into the evidence tree."""
    arrays = {
        name: {str(column): _array(frame[column]) for column in frame}
        for name, frame in tables.items()
    }
    datasets = {
        name: _dataset(columns, TABLE_DIMS.get(name, "row"), len(tables[name]))
        for name, columns in arrays.items()
    }
    tree = xr.DataTree.from_dict(datasets)
    tree.attrs = {"source": source, "kind": kind, "evidence_hash": _evidence_hash(arrays)}
    return tree


def to_frame(evidence: xr.DataTree, name: str) -> pd.DataFrame:
    """Return a table of the evidence as a data frame.

    Parameters
    ----------
    evidence
        Evidence, as `load_evidence` returns it.
    name
        Name of the table: ``"studies"``, ``"arms"``, ``"results"``, ``"contrasts"``, ...

    Returns
    -------
    pd.DataFrame
        One row per study, arm or row of the table; the labels are a column.

    Examples
    --------
    >>> nb.evidence.to_frame(evidence, "arms").columns[0]
    'arm'
    """
    dataset = evidence[name].to_dataset()
    dim = TABLE_DIMS.get(name, "row")
    columns = {dim: dataset[dim], **dataset.data_vars}
    return pd.DataFrame(
        {
            key: pd.Series(array.to_numpy().copy(), dtype="str" if array.dtype == object else None)
            for key, array in columns.items()
        }
    )


def _dataset(columns: dict[str, np.ndarray], dim: str, size: int) -> xr.Dataset:
    # The fast path omits a search for dates among the texts, which is most of the time.
    variables = {
        name: xr.Variable((dim,), array, fastpath=True)
        for name, array in columns.items()
        if name != dim
    }
    return xr.Dataset(variables, {dim: columns.get(dim, np.arange(size))})


def _array(column: pd.Series) -> np.ndarray:
    if column.dtype.kind in "iufb":
        # A copy: pandas returns a read-only array, and a tree may be edited.
        return np.array(column.to_numpy())
    if (column == "").all():
        return np.full(len(column), "", dtype=object)
    return np.array(column.to_numpy(object))


def _evidence_hash(tables: dict[str, dict[str, np.ndarray]]) -> str:
    """Hash the content; the order of rows and columns and empty columns make no difference."""
    parts: list[str] = []
    for name in HASHED_TABLES:
        if name not in tables:
            continue
        cells = {
            column: _canonical(array)
            for column, array in sorted(tables[name].items())
            if column not in COMPUTED_COLUMNS and not _is_empty(array)
        }
        parts.append("\x1d" + name + "\x1f".join(cells))
        rows = sorted(map("\x1f".join, zip(*cells.values(), strict=True)))
        parts.append("\x1e".join(rows))
    return digest(*parts)


def _is_empty(array: np.ndarray) -> bool:
    return bool((np.isnan(array) if array.dtype.kind == "f" else array == "").all())


def _canonical(array: np.ndarray) -> list[str]:
    if array.dtype.kind not in "iufb":
        return list(map(str, array.tolist()))
    # + 0.0 makes one number of 0 and -0; each different number is formatted once.
    numbers, places = np.unique(array.astype(float) + 0.0, return_inverse=True)
    texts = ["" if x != x else repr(x) for x in numbers.tolist()]
    return [texts[i] for i in places.tolist()]


# Labels and coded values.


def arm_label(study: pd.Series, arm_id: pd.Series) -> pd.Series:
    """Labels of arms that are unique across studies."""
    return (study + ": " + arm_id).where(arm_id != "", "")


def terms(words: pd.Series, vocabulary: pd.DataFrame, kind: str) -> pd.Series:
    """Replace synonyms by their terms."""
    synonyms = vocabulary[(vocabulary["kind"] == kind) & (vocabulary["synonym"] != "")]
    return words.replace(synonyms.set_index("synonym")["term"].to_dict())


#: The level of a study whose report does not mention blinding.
BLINDING_NOT_STATED = "not_stated"


def blinding_levels(blinding: pd.Series, vocabulary: pd.DataFrame) -> pd.Series:
    """The level of blinding of each study."""
    return terms(blinding, vocabulary, "blinding").where(blinding != "", BLINDING_NOT_STATED)


CROSSOVER = "crossover"
WASHOUT_NOT_REPORTED = "washout not reported"


def carry_over(studies: pd.DataFrame) -> pd.Series:
    """What is known of carry-over between the periods of each crossover study."""
    washout = studies["washout_days"].map(lambda days: f"washout {days:g} days", na_action="ignore")
    text = washout.astype(object).where(studies["washout_days"].notna(), WASHOUT_NOT_REPORTED)
    return text.where(studies["design"] == CROSSOVER, "").astype("str")


# Means and contrasts.


def standard_errors(results: pd.DataFrame) -> pd.Series:
    """The standard error of each mean, as printed or from its SD."""
    return results["se"].fillna(results["sd"] / np.sqrt(results["n"]))


def standard_error_sources(results: pd.DataFrame) -> pd.Series:
    """How the standard error of each mean was obtained."""
    known = results["mean"].notna() & standard_errors(results).notna()
    origin = np.where(results["se"].notna(), SE_PRINTED, SE_FROM_SD)
    return pd.Series(np.where(known, origin, ""), index=results.index, dtype="str")


def log_transform_ratios(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Take the logarithm of ratios and of their intervals."""
    ratio = contrasts["measure"].isin(RATIO_MEASURES)
    out = contrasts.assign(
        measure=contrasts["measure"].where(~ratio, "log_" + contrasts["measure"])
    )
    for column in ("estimate", "ci_low", "ci_high"):
        positive = contrasts[column].where(ratio & (contrasts[column] > 0))
        out[column] = contrasts[column].where(~ratio, np.log(positive))
    return out


def contrasts_on_model_scale(contrasts: pd.DataFrame) -> pd.DataFrame:
    """Convert printed contrasts to the scale of a normal likelihood, with standard errors."""
    out = log_transform_ratios(contrasts)
    se = contrasts["se"].fillna((out["ci_high"] - out["ci_low"]) / (2 * NORMAL_97_5))
    origin = np.where(contrasts["se"].notna(), SE_PRINTED, SE_FROM_INTERVAL)
    return out.assign(se=se, se_from=np.where(se.notna(), origin, ""))


# Times of results, and windows of the time since treatment ended.


def hours_after_treatment(results: pd.DataFrame, arms: pd.DataFrame) -> pd.Series:
    """The time of each result since its study's treatments ended, hours.

    An arm's treatment ends with the infusion for a single dose of known length, at once for one
    of unknown length, and with its last day for a course. Time in a study is counted from the
    end of its last arm: with a different origin for each arm, a bolus and an infusion that are
    measured at the same hour would no longer be comparable.
    """
    single = arms["n_administrations"] == 1
    # A continuous infusion over days counts as one administration with its own length in hours.
    end = (arms["treatment_days"] * 24).where(~single, arms["infusion_hours"].fillna(0.0))
    last = end.astype(float).groupby(arms["study"]).max()
    return results["time_hours"] - results["study"].map(last).astype(float)


UNKNOWN_TIME: Final = "unknown"
#: The windows and the last hour of each, counted from the end of the study's treatments.
WINDOW_ENDS: Final = {
    "during": 0.0,
    "to_24_hours": 24.0,
    "to_1_week": 168.0,
    "to_3_months": 2190.0,
    "later": np.inf,
}
#: Labels of the windows in reports.
WINDOW_LABELS: Final = {
    "during": "during treatment, or at its end",
    "to_24_hours": "to 24 h after",
    "to_1_week": "to 1 week after",
    "to_3_months": "to 3 months after",
    "later": "later",
    UNKNOWN_TIME: "time unknown",
}
#: The Cochrane review's windows, for rows without a time: 48 h to 1 week, to 3 months, later.
REVIEW_WINDOWS: Final = {"immediate": "to_1_week", "short": "to_3_months", "medium": "later"}


def time_windows(rows: pd.DataFrame, arms: pd.DataFrame) -> pd.Series:
    """The window of `WINDOW_ENDS` that each result is in."""
    hours = hours_after_treatment(rows, arms)
    position = np.searchsorted([*WINDOW_ENDS.values()], hours.fillna(0.0).to_numpy())
    windows = pd.Series(np.array([*WINDOW_ENDS], object)[position], rows.index)
    review = rows["time_window"] if "time_window" in rows else pd.Series("", rows.index)
    undated = review.map(REVIEW_WINDOWS).fillna(UNKNOWN_TIME)
    return windows.where(hours.notna(), undated).astype("str")


def select_window(tree: xr.DataTree, window: str) -> xr.DataTree:
    """Restrict the results and contrasts of the evidence to one window."""
    arms = to_frame(tree, "arms")
    selected = tree.copy()
    for name in ("results", "contrasts"):
        inside = (time_windows(to_frame(tree, name), arms) == window).to_numpy()
        selected[name] = xr.DataTree(tree[name].to_dataset().isel(row=np.flatnonzero(inside)))
    return selected
