"""Cumulative rankograms: how likely an agent is among the first, and how little that may mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nmda_bayes.dims import AGENT
from nmda_bayes.figures.axes import percent_axis
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.style import BEYOND_LINE, BLACK, BLUE, PALE, drawing
from nmda_bayes.figures.text import note, plain
from nmda_bayes.intervals import INTERVAL_TEXT

RANK = "rank"
AT_MOST, COLUMNS = 15, 5
TIED = ("", "direct", "indirect", "direct and indirect")


def plot_ranks(ranks: xr.Dataset) -> Figure:
    """Draw the probability of being among the best 1, 2, 3 ..., agent by agent.

    Parameters
    ----------
    ranks
        As `nmda_bayes.estimands.ranks` gives it.

    Returns
    -------
    Figure
        One panel an agent, the others pale behind it, the best mean rank first; with what ranks
        hide printed below. Agents that no trial ties to the reference are drawn broken.

    Raises
    ------
    ValueError
        If a dim or variable is missing.
    """
    need_dims(ranks, (AGENT, RANK), "plot_ranks")
    parts = ("cumulative", "sucra", "mean_rank", "lower", "upper", "evidence", "label")
    need_variables(ranks, parts, "plot_ranks")
    every = ranks.isel({AGENT: np.argsort(ranks["mean_rank"].values, kind="stable")})
    shown = every.isel({AGENT: slice(AT_MOST)})
    count = shown.sizes[AGENT]
    lines = -(-count // COLUMNS)
    columns = -(-count // lines)
    with drawing(7.2, 1.6 * lines + 0.75) as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= count:
                axes.set_visible(False)
                continue
            _panel(axes, shown, every, place)
        for axes in grid[:, 0]:
            axes.set_ylabel("P(at most this rank)")
        for column in grid.T:
            last = [axes for axes in column if axes.get_visible()][-1]
            last.tick_params(axis="x", labelbottom=True)
            last.set_xlabel("rank (1 is best)")
        gone = [str(x) for x in every["label"].values[AT_MOST:]]
        note(figure, _note(ranks, gone))
        figure.set_label(_alt(shown, ranks))
    return figure


def _panel(axes: Axes, shown: xr.Dataset, every: xr.Dataset, place: int) -> None:
    one, size = shown.isel({AGENT: place}), every.sizes[RANK]
    steps = np.append(np.arange(1, size + 1) - 0.5, size + 0.5)
    for other in every["cumulative"].transpose(AGENT, RANK).values:
        axes.stairs(other, steps, baseline=None, color=PALE, linewidth=0.7, zorder=1)
    tied = str(one["evidence"].item()) in TIED
    mine = one["cumulative"].values
    axes.stairs(mine, steps, baseline=0, fill=True, color=BLUE, alpha=0.18 if tied else 0.07)
    axes.stairs(
        mine, steps, baseline=None, color=BLUE if tied else BLACK, linewidth=1.6, zorder=3,
        linestyle="-" if tied else BEYOND_LINE,
    )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0.5, size + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    percent_axis(axes, "y")
    low, high = (round(float(one[k])) for k in ("lower", "upper"))
    ends = f"{low}" if low == high else f"{low} to {high}"
    said = f"mean rank {float(one['mean_rank']):.1f} ({ends})\nSUCRA {100 * one['sucra']:.0f} %"
    if not tied:
        said += f"; {plain(one['evidence'].item(), 20)}"
    axes.set_title(plain(one["label"].item(), 24), loc="left", fontweight="bold", pad=21)
    where: dict[str, Any] = {"transform": axes.transAxes, "fontsize": 6.2, "va": "bottom"}
    axes.text(0, 1.03, said, in_layout=False, **where)


def _note(ranks: xr.Dataset, gone: list[str]) -> str:
    attrs = ranks.attrs
    where = f", {plain(attrs['condition'], 60)}" if attrs.get("condition") else ""
    text = (
        f"{plain(attrs.get('title', ''), 60)}, {attrs.get('dose', '')}{where}. Mean ranks with"
        f" their {INTERVAL_TEXT}; pale: the other agents. {attrs.get('caution', '')}"
    )
    return f"{text} Not drawn, with worse mean ranks: {', '.join(gone)}." if gone else text


def _alt(shown: xr.Dataset, ranks: xr.Dataset) -> str:
    first, attrs = shown.isel({AGENT: 0}), ranks.attrs
    low, high = (float(first[k]) for k in ("lower", "upper"))
    return (
        f"Cumulative ranks of {ranks.sizes[AGENT]} agents, {plain(attrs.get('title', ''), 60)},"
        f" {attrs.get('dose', '')}: {plain(first['label'].item())} has the best mean rank,"
        f" {float(first['mean_rank']):.1f}, with a {INTERVAL_TEXT} from {low:.0f} to {high:.0f}."
        f" {attrs.get('caution', '')}"
    )
