"""An effect over dose and time together: a map an agent, with lines of one size."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from nmda_bayes.dims import AGENT, CHAIN, DOSE, DRAW, HOUR, SAMPLE
from nmda_bayes.figures.labelled import need_dims
from nmda_bayes.figures.over_time import COLUMNS, hours_axis
from nmda_bayes.figures.style import BEYOND_HATCH, BLACK, FULL_WIDTH, GREY, drawing
from nmda_bayes.figures.text import legend, named, note, plain

#: Light where there is little of it, dark where there is much: a grey print keeps the order.
COLOURS = "Blues"
LEVELS = 6


def plot_dose_and_time(
    effect: xr.DataArray, *, axis: str = "effect", dose_axis: str = "dose", lower: bool = False
) -> Figure:
    """Draw how large an effect is at each dose and hour.

    Parameters
    ----------
    effect
        As `nmda_bayes.effect_over_time` gives it for one condition, or a risk: dims agent, dose
        (above 0), hour, chain, draw; ``extrapolated`` marks doses that no trial of the agent gave
        and hours that none read.
    axis
        What it is, with its unit.
    dose_axis
        What a dose is.
    lower
        Whether a lower value is more of it, as of pain relieved.

    Returns
    -------
    Figure
        Medians as colours, with lines of one value; hatched where no trial has been.

    Raises
    ------
    ValueError
        If a dim is missing or no dose is above 0.
    """
    need_dims(effect, (AGENT, DOSE, HOUR, CHAIN, DRAW), "plot_dose_and_time")
    effect = effect.sel({DOSE: effect[DOSE] > 0})
    if not effect.sizes[DOSE]:
        raise ValueError("plot_dose_and_time needs doses above 0")
    middle = effect.median(SAMPLE)
    low, high = float(middle.min()), float(middle.max())
    agents = list(effect[AGENT].values)
    columns, hatched = min(COLUMNS, len(agents)), False
    lines = math.ceil(len(agents) / columns)
    with drawing(min(FULL_WIDTH, 1.8 + 2.3 * columns), 0.9 + 2.2 * lines) as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(agents) :]:
            axes.set_visible(False)
        colours = matplotlib.colormaps[COLOURS + ("_r" if lower else "")]
        for axes, agent in zip(grid.flat, agents, strict=False):
            one = middle.sel({AGENT: agent})
            shown = axes.pcolormesh(
                one[HOUR].values, one[DOSE].values, one.transpose(DOSE, HOUR).values,
                cmap=colours, vmin=low, vmax=high, shading="nearest", rasterized=True,
            )  # fmt: skip
            axes.set_yscale("log")
            axes.set_ylim(float(one[DOSE].min()), float(one[DOSE].max()))
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
            hours_axis(axes, float(one[HOUR].max()))
            axes.set_xlim(float(one[HOUR].min()), float(one[HOUR].max()))
            _lines(axes, one, lower=lower)
            hatched |= _beyond(axes, effect.sel({AGENT: agent}))
            axes.set_title(named(effect.sel({AGENT: agent}), AGENT))
        bar = figure.colorbar(shown, ax=grid, pad=0.02)
        bar.set_label(plain(axis, 60))
        figure.supylabel(plain(dose_axis, 60), fontsize=7.5)
        legend(figure, _legend(hatched=hatched), 2)
        note(
            figure,
            "Hours (h), days (d), weeks (wk), months (mo) after the end of treatment. Medians; how"
            " uncertain they are is in the curves over time.",
        )
        figure.set_label(_alt(middle, axis))
    return figure


def _lines(axes: Axes, middle: xr.DataArray, *, lower: bool) -> None:
    """Join doses and hours of one value."""
    low, high = float(middle.min()), float(middle.max())
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return
    step = 10 ** np.floor(np.log10((high - low) / LEVELS))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (k * step) <= LEVELS)
    levels = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    levels = levels[np.abs(levels) > step / 2]
    if len(levels):
        drawn = axes.contour(
            middle[HOUR].values, middle[DOSE].values, middle.transpose(DOSE, HOUR).values,
            levels=levels, colors=BLACK, linewidths=0.7, linestyles="-",
        )  # fmt: skip
        # In the middle of each line: near an edge a number is cut off.
        at = [_middle(axes, max(parts, key=len)) for parts in drawn.allsegs if len(parts)]
        written = axes.clabel(drawn, fmt=lambda value: f"{value:g}", fontsize=6.5, manual=at)
        for text in written:
            # Black on the dark end of the map is not read without a rim.
            text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])


def _middle(axes: Axes, line: np.ndarray) -> tuple[float, float]:
    """The point of a line, in hours and dose, that is half of its way on paper."""
    steps = np.hypot(*np.diff(axes.transData.transform(line), axis=0).T)
    way = np.concatenate([[0.0], np.cumsum(steps)])
    hour, dose = line[int(np.argmin(abs(way - way[-1] / 2)))]
    return float(hour), float(dose)


def _beyond(axes: Axes, effect: xr.DataArray) -> bool:
    """Hatch where no trial has been, and say whether there is such a place."""
    if "extrapolated" not in effect.coords:
        return False
    outside = (xr.zeros_like(effect.isel(dict.fromkeys(SAMPLE, 0)), float)) + effect["extrapolated"]
    values = outside.transpose(DOSE, HOUR).values
    if values.any():
        with matplotlib.rc_context({"hatch.color": GREY}):
            axes.contourf(
                effect[HOUR].values, effect[DOSE].values, values, levels=[0.5, 1.5],
                colors="none", hatches=[BEYOND_HATCH],
            )  # fmt: skip
    return bool(values.any())


def _legend(*, hatched: bool) -> list[Line2D | Patch]:
    line = Line2D([], [], color=BLACK, linewidth=0.7, label="one value")
    if not hatched:
        return [line]
    return [
        line,
        Patch(
            facecolor="white",
            edgecolor=GREY,
            hatch=BEYOND_HATCH,
            label="no trial of the agent gave such a dose or read at such an hour",
        ),
    ]


def _alt(middle: xr.DataArray, axis: str) -> str:
    last = middle.isel({DOSE: -1})
    said = []
    for agent in middle[AGENT].values:
        one = last.sel({AGENT: agent})
        start, end = (float(one.isel({HOUR: at})) for at in (0, -1))
        said.append(f"{named(middle.sel({AGENT: agent}), AGENT)}: {start:.3g} to {end:.3g}")
    return (
        f"Map of {plain(axis)} by dose and hours after treatment, medians. At the largest dose,"
        f" {float(last[DOSE]):.3g}, from the first to the last hour: {'; '.join(said)}."
    )
