"""Evidence as the reports print it: the inverse of what is derived at loading."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.doses import DOSE_COLUMNS, FROM_COLUMNS
from nmda_bayes.evidence.flat_columns import DERIVED, NUMBERS, OF_ARMS, OF_STUDIES, TEXTS
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.tree import DIMS, RATIOS, SE_PRINTED, UNPRINTED, table

#: Columns of a base's tables that are worked out at loading, besides `UNPRINTED`.
_OF_BASE = {
    "arms": ("arm", "dose", "course_days", *DOSE_COLUMNS),
    "results": ("arm",),
    "contrasts": (
        *("arm", "comparator_arm", "dose", "comparator_dose", "comparator_se", "condition"),
        "given_as",
    ),
}
#: What a flat table takes from other columns.
_REPEATED = ("agent_reported", "outcome_reported", "comparator_reported", "condition_group")
#: The columns that a reader looks for first.
_FIRST = (
    *("study", "arm", "agent", "dose", "comparator", "comparator_dose", "condition"),
    *("outcome", "measure", "time_hours", "time_label"),
)
#: How many neighbours of a number are tried for one whose logarithm is exact.
_NEIGHBOURS = 64


def printed_rows(tree: xr.DataTree) -> pd.DataFrame:
    """Give flat evidence as the one table that it was loaded from.

    Parameters
    ----------
    tree
        Of kind flat.

    Returns
    -------
    pd.DataFrame
        One row an arm and outcome, or a contrast, in the order of the file; no column of ours that
        is empty throughout.

    Raises
    ------
    EvidenceError
        If there are arms without a result, which a flat table cannot hold.
    """
    studies, arms = table(tree, "studies"), table(tree, "arms")
    results, contrasts = table(tree, "results"), table(tree, "contrasts")
    lonely = arms[~arms["arm"].isin(results["arm"])]
    if len(lonely):
        mend = "Take them out, or give their results."
        text = f"{len(lonely)} arms have no result, such as '{lonely['arm'].iloc[0]}'"
        raise EvidenceError([Fault(text, mend, str(tree.attrs["source"]), None, "arm")])
    of_arm = arms[["arm", "arm_id", *(c for c in ("agent", "dose", *OF_ARMS) if c in arms)]]
    of_arm = of_arm.loc[:, ~of_arm.columns.duplicated()]
    rows = results.merge(of_arm, on="arm", how="left", suffixes=("", "_of_arm"))
    rows = rows.drop(columns="arm").rename(columns={"arm_id": "arm"})
    rows["mean"] = rows["mean"].where(rows["mean_from"] == SE_PRINTED)
    both = [rows, _printed_contrasts(contrasts).drop(columns=["arm", "comparator_arm"])]
    own = {str(c) for frame in both for c in frame} - _ours()
    every = _stacked([frame for frame in both if len(frame)] or both[:1])
    wide = ["study", *(c for c in ("condition", *OF_STUDIES) if c in studies)]
    every = every.drop(columns=[c for c in wide[1:] if c in every])
    every = every.merge(studies[wide], on="study", how="left")
    if (every["time_point"] == every["time_label"]).all():
        every = every.drop(columns="time_point")
    every = every.sort_values("line", kind="stable", ignore_index=True)
    gone = {*UNPRINTED, *DERIVED, *_REPEATED, "given_as"} - {"time_point"}
    kept = [
        c for c in every if c not in gone and (c in {*own, "time_point"} or not _blank(every[c]))
    ]
    places = dict.fromkeys((*_FIRST, *NUMBERS, *TEXTS))
    order = {name: place for place, name in enumerate(places)}
    return every[sorted(kept, key=lambda name: order.get(str(name), len(order)))]


def _ours() -> set[str]:
    tables = ("studies", "arms", "results", "contrasts")
    described = {name for one in tables for name in TABLES[one].names}
    return {*TEXTS, *NUMBERS, *OF_ARMS, *OF_STUDIES, *UNPRINTED, *DERIVED, *described, "given_as"}


def printed_folder(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give a base as the tables that it was loaded from.

    Parameters
    ----------
    tree
        Of kind base.

    Returns
    -------
    dict
        Tables by name; the ones that are empty and not needed are left out.
    """
    made = {}
    for name in (child for child in tree.children if child in TABLES):
        frame = table(tree, name)
        if not len(frame) and not TABLES[name].required:
            continue
        if "line" in frame:
            frame = frame.sort_values("line", kind="stable", ignore_index=True)
        if name in ("results", "contrasts"):
            frame = frame.assign(arm_id=_arm_id(frame, "arm"))
        if name == "contrasts":
            frame = _printed_contrasts(frame, all_ratios=True)
            frame = frame.assign(comparator_arm_id=_arm_id(frame, "comparator_arm"))
        if name == "arms" and frame["dose_note"].str.contains(FROM_COLUMNS, regex=False).any():
            frame = frame.assign(schedule="")
        gone = {*UNPRINTED, *_OF_BASE.get(name, ())} - set(TABLES[name].names)
        if DIMS.get(name, "row") == "row":
            gone.add("row")
        known = [c for c in TABLES[name].names if c in frame]
        made[name] = frame[[*known, *(c for c in frame if c not in {*known, *gone})]]
    return made


def _arm_id(frame: pd.DataFrame, column: str) -> pd.Series:
    pairs = zip(frame["study"].tolist(), frame[column].tolist(), strict=True)
    texts = [arm.removeprefix(f"{study}: ") for study, arm in pairs]
    return pd.Series(texts, index=frame.index, dtype="str")


def _printed_contrasts(contrasts: pd.DataFrame, *, all_ratios: bool = False) -> pd.DataFrame:
    """Take back the logarithm of ratios, and the standard errors that were worked out."""
    logs = [f"log_{name}" for name in RATIOS]
    taken = contrasts["measure"].isin(logs) if all_ratios else contrasts["given_as"] != ""
    out = contrasts.assign(
        se=contrasts["se"].where(contrasts["se_from"] == SE_PRINTED),
        measure=contrasts["measure"].where(~taken, contrasts["measure"].str.removeprefix("log_")),
    )
    for column in ("estimate", "ci_low", "ci_high"):
        values = out[column].to_numpy(copy=True)
        for place in np.flatnonzero(taken & out[column].notna()).tolist():
            values[place] = _ratio_of(values[place])
        out[column] = values
    if not all_ratios:
        from_here = "given as " + out["measure"] + "; its logarithm is taken"
        written = taken & (out["provenance"] == from_here)
        out["provenance"] = out["provenance"].where(~written, "")
    return out


def _ratio_of(logarithm: float) -> float:
    """Give the shortest number that has this logarithm, digit for digit."""
    near = float(np.exp(logarithm))
    for digits in range(1, 18):
        short = float(f"{near:.{digits}g}")
        if short > 0 and np.log(short) == logarithm:
            return short
    for toward in (0.0, np.inf):
        value = near
        for _ in range(_NEIGHBOURS):
            value = float(np.nextafter(value, toward))
            if np.log(value) == logarithm:
                return value
    return near


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put frames above each other; where one lacks a column, its cells are empty."""
    columns = list(dict.fromkeys(c for frame in frames for c in frame))
    made = {}
    for column in columns:
        kinds = [frame[column].dtype.kind for frame in frames if column in frame]
        number = all(kind in "iufb" for kind in kinds)
        parts = [
            (frame[column] if column in frame else pd.Series(np.nan, index=frame.index)).to_numpy(
                float if number else object
            )
            for frame in frames
        ]
        whole = pd.Series(np.concatenate(parts))
        made[column] = whole if number else whole.fillna("").astype("str")
    return pd.DataFrame(made)


def _blank(column: pd.Series) -> bool:
    return bool((column.isna() if column.dtype.kind in "iufb" else column == "").all())
