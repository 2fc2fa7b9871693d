"""The therapeutic window: probability of enough benefit, of acceptable harm, and of both."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.dims import AGENT, CONDITION, DOSE
from nmda_bayes.figures.axes import dose_axis, label_lowest, marked, percent_axis
from nmda_bayes.figures.labelled import (
    cells,
    need_dims,
    need_variables,
    runs,
    trials_of_both,
    untried,
)
from nmda_bayes.figures.style import (
    BENEFIT,
    BEYOND_HATCH,
    BOTH,
    FULL_WIDTH,
    GREY,
    HARM,
    PALE,
    Look,
    drawing,
)
from nmda_bayes.figures.text import dose_label, legend, named, plain

LOOKS: dict[str, Look] = {"p_benefit": BENEFIT, "p_risk": HARM, "p_both": BOTH}


def plot_window(window: xr.Dataset) -> Figure:
    """Draw the probability of enough benefit, of acceptable harm, and of both, over dose.

    Parameters
    ----------
    window
        As `nmda_bayes.therapeutic_window` gives it: ``p_benefit``, ``p_risk``, ``p_both``, dims
        agent, condition, dose.

    Returns
    -------
    Figure
        One panel a cell. Doses beyond what was tried are hatched and drawn thin; a cell without a
        trial says so.

    Raises
    ------
    ValueError
        If a variable or dim is missing.
    """
    need_variables(window, (*LOOKS, "trials_benefit", "trials_harm"), "plot_window")
    need_dims(window, (AGENT, CONDITION, DOSE), "plot_window")
    page = cells(trials_of_both(window), "trial of both")
    width = min(FULL_WIDTH, 2.4 + 1.9 * page.columns)
    with drawing(width, 0.45 + 1.6 * page.lines) as figure:
        grid = figure.subplots(page.lines, page.columns, sharex=True, sharey=True, squeeze=False)
        said = ""
        for axes, cell in zip(grid.flat, page.chosen, strict=False):
            said = _panel(axes, window.sel(cell))
        for axes in list(grid.flat)[len(page.chosen) :]:
            axes.set_visible(False)
        label_lowest(grid)
        for axes in grid[:, 0]:
            axes.set_ylabel("probability")
        dose_label(figure, window.attrs.get("exposure_axis", "dose"), said, page.left_out)
        legend(figure, _legend(window))
        figure.set_label(_alt(window))
    return figure


def _panel(axes: Axes, cell: xr.Dataset) -> str:
    doses = cell[DOSE].values
    said = dose_axis(axes, doses)
    gap = untried(cell)
    beyond = np.asarray(cell["extrapolated"].values, dtype=bool) | bool(gap)
    for part, outside in runs(beyond):
        if outside:
            axes.axvspan(
                doses[part][0], doses[part][-1], facecolor="none", edgecolor=PALE,
                hatch=BEYOND_HATCH, linewidth=0, zorder=0, label="_extrapolated",
            )  # fmt: skip
    for name, look in LOOKS.items():
        values = cell[name].values
        for part, outside in runs(beyond):
            axes.plot(
                doses[part], values[part], color=look.color, linestyle=look.linestyle,
                linewidth=0.8 if outside else 1.8, label=f"_{name}",
            )  # fmt: skip
        at = marked(doses)
        axes.scatter(
            doses[at], values[at], s=11, marker=look.marker, edgecolors=look.color, linewidths=0.8,
            facecolors=["white" if beyond[i] else look.color for i in at], zorder=3,
        )  # fmt: skip
    axes.set_ylim(-0.03, 1.03)
    percent_axis(axes, "y")
    axes.set_title(f"{named(cell, AGENT)}\n{named(cell, CONDITION)}")
    if gap:
        axes.text(
            0.5, 0.5, gap, transform=axes.transAxes, ha="center", va="center", fontsize=8,
            fontweight="bold", bbox={"facecolor": "white", "edgecolor": GREY, "pad": 2},
        )  # fmt: skip
    return said


def _legend(window: xr.Dataset) -> list[Line2D | Patch]:
    attrs = window.attrs
    benefit = f"{plain(attrs.get('benefit_label', 'benefit'), 40)} better by at least "
    benefit += f"{attrs['benefit_at_least']:g} {plain(attrs.get('benefit_unit', ''), 20)}".rstrip()
    harm = f"added risk of {plain(attrs.get('harm_label', 'harm'), 40)} at most "
    harm += f"{100 * attrs['risk_at_most']:g} % (baseline {100 * attrs['baseline_risk']:g} %)"
    texts = {"p_benefit": benefit, "p_risk": harm, "p_both": "both"}
    lines: list[Line2D | Patch] = [
        Line2D([], [], color=k.color, linestyle=k.linestyle, marker=k.marker, markersize=3.5,
               linewidth=1.8, label=texts[name])
        for name, k in LOOKS.items()
    ]  # fmt: skip
    beyond = "beyond the doses that were tried, or no trial"
    return [*lines, Patch(facecolor="none", edgecolor=PALE, hatch=BEYOND_HATCH, label=beyond)]


def _alt(window: xr.Dataset) -> str:
    tried = window["p_both"].where(~window["extrapolated"])
    head = "Probability of enough benefit, of acceptable added risk, and of both, by dose"
    if not bool(tried.notnull().any()):
        return f"{head}. No dose shown was tried for both outcomes."
    best = tried.stack(place=tried.dims).dropna("place")
    top = best.isel(place=int(best.values.argmax()))
    return (
        f"{head}, for {window.sizes[AGENT]} agents and {window.sizes[CONDITION]} conditions. Within"
        f" the doses that were tried, the probability of both is highest, {float(top):.0%}, for"
        f" {named(top, AGENT)} in {named(top, CONDITION)} at {float(top[DOSE]):.3g}."
    )
