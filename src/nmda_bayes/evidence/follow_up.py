"""When a result was measured, in windows of the time since treatment ended."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.evidence.tree import hours_after_treatment, table

UNKNOWN_TIME: Final = "unknown"
#: The windows and the last hour of each, counted from the end of the study's treatments.
WINDOWS: Final = {
    "during": 0.0,
    "to_24_hours": 24.0,
    "to_1_week": 168.0,
    "to_3_months": 2190.0,
    "later": np.inf,
}
#: How reports print them.
WINDOW_LABELS: Final = {
    "during": "during treatment, or at its end",
    "to_24_hours": "to 24 h after",
    "to_1_week": "to 1 week after",
    "to_3_months": "to 3 months after",
    "later": "later",
    UNKNOWN_TIME: "time unknown",
}
#: The Cochrane review's words, for rows that give no hour: 48 h to 1 week, to 3 months, later.
REVIEW_WORDS: Final = {"immediate": "to_1_week", "short": "to_3_months", "medium": "later"}


def time_windows(rows: pd.DataFrame, arms: pd.DataFrame) -> pd.Series:
    """Place results in the windows `WINDOWS`.

    Parameters
    ----------
    rows
        Results or contrasts: columns study, time_hours, and time_window (the review's word) where
        there is one.
    arms
        The arms of those studies, as `load_evidence` gives them.

    Returns
    -------
    pd.Series
        A word of `WINDOW_LABELS` for each row. ``unknown`` where the report gives no hour and the
        review no window, or where the end of treatment is not known: a time since the start alone
        does not say whether treatment was over.
    """
    hours = hours_after_treatment(rows, arms)
    ends = np.array([*WINDOWS.values()])
    place = np.searchsorted(ends, hours.fillna(0.0).to_numpy())
    words = pd.Series(np.array([*WINDOWS], object)[place], rows.index)
    review = rows["time_window"] if "time_window" in rows else pd.Series("", rows.index)
    undated = review.map(REVIEW_WORDS).fillna(UNKNOWN_TIME)
    return words.where(hours.notna(), undated).astype("str")


def in_window(tree: xr.DataTree, window: str) -> xr.DataTree:
    """Give the evidence with the results and contrasts of one window alone.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    window
        A word of `WINDOW_LABELS`.

    Returns
    -------
    xr.DataTree
        A copy; studies and arms stay whole.
    """
    arms = table(tree, "arms")
    part = tree.copy()
    for name in ("results", "contrasts"):
        told = (time_windows(table(tree, name), arms) == window).to_numpy()
        part[name] = xr.DataTree(tree[name].to_dataset().isel(row=np.flatnonzero(told)))
    return part
