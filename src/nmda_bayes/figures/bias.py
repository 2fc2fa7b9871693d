"""Effects as trials show them beside effects without the bias, agent by agent."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from nmda_bayes.figures.axes import decimals
from nmda_bayes.figures.text import number, plain
from nmda_bayes.figures.two_series import HOLLOW, Series, two_series
from nmda_bayes.intervals import INTERVAL_TEXT

APPARENT = Series(
    "apparent", "as trials show it", f"as trials show it (median, {INTERVAL_TEXT})", HOLLOW
)
WITHOUT = Series("without", "bias taken out", f"bias taken out (median, {INTERVAL_TEXT})")


def plot_bias(table: pd.DataFrame, *, axis: str = "effect") -> Figure:
    """Draw effects as trials show them, and with the bias taken out.

    Parameters
    ----------
    table
        One row an agent: label, apparent, apparent_low, apparent_high, without, without_low,
        without_high.
    axis
        What is estimated, with its unit.

    Returns
    -------
    Figure
        Two intervals a row, with their numbers beside them.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    figure = two_series(table, (APPARENT, WITHOUT), axis)
    figure.set_label(_alt(table, axis))
    return figure


def _alt(table: pd.DataFrame, axis: str) -> str:
    digits = decimals(float(np.ptp(table[[*APPARENT.columns, *WITHOUT.columns]].to_numpy(float))))
    rows = (
        f"{label}: {number(float(shown), digits)} as trials show it,"
        f" {number(float(left), digits)} with the bias taken out"
        for label, shown, left in zip(
            table["label"], table["apparent"], table["without"], strict=True
        )
    )
    return f"Effects with and without bias, {plain(axis)}. {'; '.join(rows)}."
