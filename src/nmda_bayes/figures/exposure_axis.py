"""The arms of an outcome on its axis of exposure, with what was given written beside each."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from nmda_bayes.figures.style import BLUE, FULL_WIDTH, GREY, ORANGE, PALE, drawing
from nmda_bayes.figures.text import legend, note, plain, words

#: Arms that one figure can name.
ARMS = 40
COLUMNS = ("study", "agent", "route", "schedule", "exposure", "by_model")


def plot_exposure_axis(arms: pd.DataFrame, axis: str) -> Figure:
    """Draw arms on their axis of exposure, the dose beneath each point's row.

    Parameters
    ----------
    arms
        Columns study, agent, route, schedule, exposure and by_model (whether a pharmacokinetic
        model gives it); arms of no dose are left out.
    axis
        The label of the axis.

    Returns
    -------
    Figure
        One row an arm, the largest exposure on top; open points stand on a relative dose.

    Raises
    ------
    ValueError
        If a column is missing or no arm has a dose.
    """
    if missing := [c for c in COLUMNS if c not in arms]:
        raise ValueError(f"plot_exposure_axis needs the columns {', '.join(missing)}")
    rows = arms[arms["exposure"] > 0].sort_values("exposure", kind="stable")
    if rows.empty:
        raise ValueError("plot_exposure_axis: no arm has a dose")
    left_out, rows = max(0, len(rows) - ARMS), rows.tail(ARMS)
    with drawing(FULL_WIDTH, 1.3 + 0.21 * len(rows)) as figure:
        axes = figure.subplots()
        place = np.arange(len(rows))
        by_model = rows["by_model"].to_numpy(bool)
        axes.hlines(place, rows["exposure"].min() / 2, rows["exposure"], color=PALE, linewidth=0.7)
        for mine, color, face, marker in (
            (by_model, BLUE, BLUE, "o"), (~by_model, ORANGE, "white", "s"),
        ):  # fmt: skip
            axes.plot(rows["exposure"][mine], place[mine], marker, color=color, mfc=face, ms=4.5)
        axes.set_xscale("log")
        axes.set_xlim(rows["exposure"].min() / 2, rows["exposure"].max() * 1.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_yticks(place, [_said(row) for row in rows.to_dict("records")])
        axes.set_ylim(-0.8, len(rows) - 0.2)
        figure.supxlabel(plain(axis, 120), fontsize=7.5)
        marks = [
            Line2D([], [], marker="o", color=BLUE, linestyle="none", label="by its model"),
            Line2D([], [], marker="s", color=ORANGE, mfc="white", linestyle="none",
                   label="its relative dose, for want of a model"),
        ]  # fmt: skip
        shown = [
            mark for mark, mine in zip(marks, (by_model, ~by_model), strict=True) if mine.any()
        ]
        legend(figure, shown, 2)
        if left_out:
            note(figure, f"{left_out} arms of smaller exposure are not drawn.")
        top, low = rows.iloc[-1], rows.iloc[0]
        figure.set_label(
            f"{len(rows)} arms by exposure, from {low['exposure']:.3g} ({plain(low['schedule'])})"
            f" to {top['exposure']:.3g} ({plain(top['schedule'])})."
        )
        axes.tick_params(axis="y", length=0, labelcolor=GREY)
    return figure


def _said(row: Mapping[Hashable, Any]) -> str:
    given = plain(row["schedule"], 46) or "schedule not said"
    route = "" if row["route"] == "iv" else f" {words(row['route'], 14)}"
    return f"{plain(row['study'], 22)}: {words(row['agent'], 18)}{route} {given}"
