"""Published estimates beside ours, row by row."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from nmda_bayes.figures.text import plain
from nmda_bayes.figures.two_series import HOLLOW, Series, two_series
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL

PUBLISHED = Series(
    "published",
    "published",
    f"published ({100 * LEVEL:g} % confidence interval)",
    HOLLOW,
    missing="not published",
)
OURS = Series("ours", "ours", f"ours (median, {INTERVAL_TEXT})")


def plot_side_by_side(table: pd.DataFrame, *, axis: str = "estimate", log: bool = False) -> Figure:
    """Draw published estimates and ours, row by row.

    Parameters
    ----------
    table
        One row a comparison: label, published, published_low, published_high, ours, ours_low,
        ours_high; NaN where a number was not published.
    axis
        What is estimated, with its unit.
    log
        True for ratios: a logarithmic axis with its line at 1.

    Returns
    -------
    Figure
        Two intervals a row, with their numbers beside them.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    figure = two_series(table, (PUBLISHED, OURS), axis, log=log)
    figure.set_label(_alt(table, axis))
    return figure


def _alt(table: pd.DataFrame, axis: str) -> str:
    both = table.dropna(subset=["published", "ours", "ours_low", "ours_high"])
    inside = both["published"].between(both["ours_low"], both["ours_high"])
    return (
        f"Published and our estimates of {plain(axis)} side by side, {len(table)} rows:"
        f" {int(inside.sum())} of {len(both)} published estimates lie within our {INTERVAL_TEXT}."
    )
