"""Weights of several models, with how far they would move with other studies."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from nmda_bayes.dims import VARIANT
from nmda_bayes.figures.axes import percent_axis
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.style import BLUE, GREY, drawing
from nmda_bayes.figures.text import note, plain
from nmda_bayes.intervals import INTERVAL_TEXT

PARTS = ("weight", "lower", "upper", "behind", "behind_error", "unreliable")


def plot_stack(stacked: xr.Dataset) -> Figure:
    """Draw the stacking weight of each model, and how well each foretells studies.

    Parameters
    ----------
    stacked
        As `nmda_bayes.stack` gives it.

    Returns
    -------
    Figure
        One row a model, the largest weight first; beside it how far the model is behind the best
        in log predictive density, with its standard error.

    Raises
    ------
    ValueError
        If a dim or variable is missing.
    """
    need_dims(stacked, (VARIANT,), "plot_stack")
    need_variables(stacked, PARTS, "plot_stack")
    shown = stacked.isel({VARIANT: np.argsort(-stacked["weight"].values, kind="stable")})
    names = [plain(name, 40) for name in shown[VARIANT].values]
    y = np.arange(len(names), dtype=float)
    with drawing(7.2, 1.3 + 0.3 * len(names)) as figure:
        weights, scores = figure.subplots(1, 2, sharey=True)
        weights.hlines(y, shown["lower"], shown["upper"], colors=BLUE, linewidth=1.3)
        weights.scatter(shown["weight"], y, s=18, color=BLUE, zorder=3)
        weights.set_xlim(-0.03, 1.03)
        percent_axis(weights, "x")
        weights.set_xlabel("stacking weight")
        behind, error = shown["behind"].values, shown["behind_error"].values
        scores.hlines(y, behind - error, behind + error, colors=GREY, linewidth=1.3)
        scores.scatter(behind, y, s=16, marker="s", color=GREY, zorder=3)
        scores.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        scores.set_xlabel("log predictive density, less the best's (± 1 standard error)")
        weights.set_yticks(y, names)
        weights.set_ylim(len(names) - 0.5, -0.5)
        for axes in (weights, scores):
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        words = str(stacked.attrs.get("words", ""))
        note(figure, f"Bars: {INTERVAL_TEXT} over resampled studies. In words: {words}")
        first = shown.isel({VARIANT: 0})
        figure.set_label(
            f"Stacking weights of {len(names)} models: {names[0]} has {float(first['weight']):.0%},"
            f" with a {INTERVAL_TEXT} over resampled studies from {float(first['lower']):.0%} to"
            f" {float(first['upper']):.0%}. {words}"
        )
    return figure
