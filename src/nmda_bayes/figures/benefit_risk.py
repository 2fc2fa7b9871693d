"""The benefit-risk plane: what a rising dose buys, and what it costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from nmda_bayes.dims import AGENT, CONDITION, DOSE
from nmda_bayes.figures.axes import label_lowest, marked, percent_axis
from nmda_bayes.figures.labelled import cells, most_tried, runs, trials_of_both, untried
from nmda_bayes.figures.plane import plane_of_response, plane_of_window
from nmda_bayes.figures.style import BEYOND_LINE, BLACK, BLUE, FULL_WIDTH, GREY, drawing
from nmda_bayes.figures.text import dose_label, legend, named, wrapped
from nmda_bayes.intervals import INTERVAL_TEXT


def plot_benefit_risk(
    source: xr.DataArray | xr.Dataset,
    *,
    benefit: str | None = None,
    harm: str | None = None,
    benefit_at_least: float | None = None,
    risk_at_most: float | None = None,
) -> Figure:
    """Draw benefit against added risk as a path over dose.

    Parameters
    ----------
    source
        As `nmda_bayes.dose_response` gives it (dims outcome, agent, condition, dose, chain, draw),
        or as `nmda_bayes.therapeutic_window` does. A window that carries the draws ``gain`` and
        ``added_risk`` (agent, condition, dose, chain, draw) is drawn like a response; one with
        probabilities alone is drawn as the probability of enough benefit against that of too much
        risk.
    benefit
        Outcome of a response that is the benefit; its first difference if None.
    harm
        Outcome of a response that is the harm; its first risk if None.
    benefit_at_least
        Line at the least benefit that matters, in the outcome's units; a window's own if None.
    risk_at_most
        Line at the largest acceptable added risk; a window's own if None.

    Returns
    -------
    Figure
        One panel a cell; crosses are the intervals at the marked doses.

    Raises
    ------
    ValueError
        If a dim, variable or outcome is missing.
    """
    if isinstance(source, xr.DataArray):
        plane = plane_of_response(source, benefit, harm)
    else:
        plane = plane_of_window(source)
    attrs = {**plane.attrs, **source.attrs}
    enough = attrs.get("benefit_at_least") if benefit_at_least is None else benefit_at_least
    bearable = attrs.get("risk_at_most") if risk_at_most is None else risk_at_most
    drawn = "x_lower" in plane
    page = cells(trials_of_both(plane), "trial of both")
    width = min(FULL_WIDTH, 2.2 + 2.2 * page.columns)
    with drawing(width, 0.5 + 1.8 * page.lines) as figure:
        grid = figure.subplots(page.lines, page.columns, sharex=True, sharey=True, squeeze=False)
        for axes, cell in zip(grid.flat, page.chosen, strict=False):
            _panel(axes, plane.sel(cell))
            if drawn:
                _thresholds(axes, enough, bearable)
        for axes in list(grid.flat)[len(page.chosen) :]:
            axes.set_visible(False)
        label_lowest(grid)
        dose_label(figure, plane.attrs["x"], "", page.left_out)
        for axes in grid[:, 0]:
            axes.set_ylabel(wrapped(plane.attrs["y"], 32))
        legend(figure, _legend(drawn, enough, bearable))
        figure.set_label(_alt(plane))
    return figure


def _panel(axes: Axes, cell: xr.Dataset) -> None:
    gap = untried(cell)
    tried = not gap
    beyond = np.asarray(cell["extrapolated"].values, dtype=bool) | (not tried)
    color = BLUE if tried else GREY
    x, y, doses = cell["x"].values, cell["y"].values, cell[DOSE].values
    for part, outside in runs(beyond):
        axes.plot(
            x[part], y[part], color=color, linewidth=1.1 if outside else 1.8,
            linestyle=BEYOND_LINE if outside else "-", zorder=2,
            label="_extrapolated" if outside else "_tried",
        )  # fmt: skip
    at = [i for i in marked(doses) if doses[i] > 0]
    if "x_lower" in cell:
        low = {k: cell[k].values - cell[f"{k}_lower"].values for k in "xy"}
        high = {k: cell[f"{k}_upper"].values - cell[k].values for k in "xy"}
        axes.errorbar(
            x[at], y[at], xerr=[low["x"][at], high["x"][at]], yerr=[low["y"][at], high["y"][at]],
            fmt="none", ecolor=color, elinewidth=0.6, alpha=0.6, zorder=1, label="_interval",
        )  # fmt: skip
    axes.scatter(
        x[at], y[at], s=14, zorder=3, edgecolors=color, linewidths=0.8,
        facecolors=["white" if beyond[i] else color for i in at],
    )  # fmt: skip
    for place, i in enumerate(at):
        axes.annotate(
            f"{float(f'{doses[i]:.2g}'):g}", (x[i], y[i]), xytext=(3, 3 if place % 2 else -8),
            textcoords="offset points", fontsize=6, zorder=5,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
    percent_axis(axes, "y")
    if "x_lower" not in cell:
        percent_axis(axes, "x")
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
    title = f"{named(cell, AGENT)}\n{named(cell, CONDITION)}"
    axes.set_title(title)
    if not tried:
        axes.text(
            0.04, 0.95, gap, transform=axes.transAxes, va="top", fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": GREY, "pad": 1.5, "linewidth": 0.6},
        )  # fmt: skip


def _thresholds(axes: Axes, enough: float | None, bearable: float | None) -> None:
    line: dict[str, Any] = {"color": BLACK, "lw": 0.8, "linestyle": (0, (1, 1.5)), "zorder": 0}
    axes.axhline(0, color="#999999", linewidth=0.5, zorder=0)
    axes.axvline(0, color="#999999", linewidth=0.5, zorder=0)
    if enough is not None:
        axes.axvline(enough, label="_threshold", **line)
    if bearable is not None:
        axes.axhline(bearable, label="_threshold", **line)


def _legend(drawn: bool, enough: float | None, bearable: float | None) -> list[Line2D]:
    kind = "median" if drawn else "probability"
    handles = [
        Line2D([], [], color=BLUE, marker="o", markersize=3.5, label=f"{kind} over rising dose"),
        Line2D([], [], color=BLUE, linestyle=BEYOND_LINE, marker="o", markerfacecolor="white",
               markersize=3.5, label="beyond the doses that were tried"),
    ]  # fmt: skip
    if drawn:
        cross = f"{INTERVAL_TEXT} at the dose printed"
        handles.append(Line2D([], [], color=BLUE, linewidth=0.7, marker="+", label=cross))
    if drawn and (enough is not None or bearable is not None):
        parts = [f"benefit {enough:g}"] if enough is not None else []
        parts += [f"added risk {100 * bearable:g} %"] if bearable is not None else []
        text = "thresholds: " + ", ".join(parts)
        dots = (0, (1, 1.5))
        handles.append(Line2D([], [], color=BLACK, linewidth=0.8, linestyle=dots, label=text))
    return handles


def _alt(plane: xr.Dataset) -> str:
    cell, _ = most_tried(trials_of_both(plane))
    mine = plane.sel(cell)
    inside = np.flatnonzero(~np.asarray(mine["extrapolated"].values, dtype=bool))
    head = f"Benefit-risk plane over dose. Across: {plane.attrs['x']}. Up: {plane.attrs['y']}."
    if not len(inside):
        return f"{head} No dose shown was tried for both."
    last = mine.isel({DOSE: int(inside[-1])})
    return (
        f"{head} {named(mine, AGENT)} in {named(mine, CONDITION)} at {float(last[DOSE]):.3g},"
        f" the largest dose tried for both: {float(last['x']):.3g} across,"
        f" {float(last['y']):.1%} up."
    )
