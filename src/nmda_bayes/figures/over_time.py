"""How an effect comes and goes over the hours after treatment, one panel an agent."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.dims import AGENT, CHAIN, DRAW, HOUR
from nmda_bayes.figures.labelled import need_dims, runs
from nmda_bayes.figures.style import (
    BEYOND_HATCH,
    BEYOND_LINE,
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    drawing,
)
from nmda_bayes.figures.text import legend, named, note, plain
from nmda_bayes.intervals import INTERVAL_TEXT, interval

COLUMNS = 3
#: Beyond so many hours the axis is logarithmic: for relief of a day, and readings of weeks.
LONG = 96.0
#: There, all of the treatment's time stands at one place.
DURING = -0.5
TICKS = {0: "0", 1: "1 h", 6: "6 h", 24: "1 d", 168: "1 wk", 1008: "6 wk", 4380: "6 mo"}
#: A rug of hours, as a share of the panel's height.
RUG = 0.05


def plot_over_time(
    effect: xr.DataArray, *, axis: str = "effect", read_at: dict[str, np.ndarray] | None = None
) -> Figure:
    """Draw effects over the hours after treatment.

    Parameters
    ----------
    effect
        As `nmda_bayes.effect_over_time` gives it, at one dose and for one condition: dims agent,
        hour, chain, draw.
    axis
        What the effect is, with its unit.
    read_at
        By agent, the hours at which its trials read the outcome, marked at the foot.

    Returns
    -------
    Figure
        Median and interval; hatched and broken at hours that no trial of the agent read.

    Raises
    ------
    ValueError
        If a dim is missing.
    """
    need_dims(effect, (AGENT, HOUR, CHAIN, DRAW), "plot_over_time")
    agents = list(effect[AGENT].values)
    columns = min(COLUMNS, len(agents))
    lines = math.ceil(len(agents) / columns)
    with drawing(min(FULL_WIDTH, 1.4 + 2.1 * columns), 0.7 + 1.75 * lines) as figure:
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(agents) :]:
            axes.set_visible(False)
        for place, (axes, agent) in enumerate(zip(grid.flat, agents, strict=False)):
            one = effect.sel({AGENT: agent})
            _panel(axes, one, (read_at or {}).get(str(agent), np.array([])))
            axes.set_title(named(one, AGENT))
            if place + columns >= len(agents):
                axes.tick_params(labelbottom=True)
        figure.supylabel(plain(axis, 60), fontsize=8)
        note(
            figure,
            "Hours (h), days (d), weeks (wk), months (mo) after the end of treatment, which is 0;"
            " what lies before it was read during treatment.",
        )
        legend(figure, _legend())
        figure.set_label(_alt(effect, axis))
    return figure


def _panel(axes: Axes, effect: xr.DataArray, read_at: np.ndarray) -> None:
    band = interval(effect)
    hours = band[HOUR].values
    beyond = np.asarray(band["extrapolated"].values, dtype=bool)
    for part, outside in runs(beyond):
        x = hours[part]
        low, middle, high = (band[k].values[part] for k in ("lower", "median", "upper"))
        color = GREY if outside else BLUE
        axes.fill_between(
            x, low, high, facecolor="none" if outside else color, edgecolor=color,
            alpha=0.55 if outside else 0.28, hatch=BEYOND_HATCH if outside else None,
            linewidth=0.4 if outside else 0, label="_not read" if outside else "_read",
        )  # fmt: skip
        axes.plot(
            x, middle, color=color, linestyle=BEYOND_LINE if outside else "-",
            linewidth=1.2 if outside else 1.8, label="_not read" if outside else "_read",
        )  # fmt: skip
    hours_axis(axes, float(hours.max()))
    axes.axhline(0, color=GREY, linewidth=0.7, zorder=0)
    axes.axvline(0, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
    if hours.max() > LONG:
        read_at = np.where(read_at < 0, DURING, read_at)
    inside = read_at[(read_at >= hours.min()) & (read_at <= hours.max())]
    axes.vlines(
        inside, 0, RUG, colors=BLACK, linewidth=1.0, transform=axes.get_xaxis_transform(),
        label="_readings",
    )  # fmt: skip


def hours_axis(axes: Axes, last: float) -> None:
    """Draw hours after treatment, on a log scale where they are many.

    Parameters
    ----------
    axes
        Where.
    last
        The last hour.
    """
    if last <= LONG:
        return
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    shown = {hour: text for hour, text in TICKS.items() if hour <= last}
    axes.set_xticks([*shown], [*shown.values()])
    axes.set_xticks([], minor=True)
    axes.set_xlim(2 * DURING, last)


def _legend() -> list[Line2D | Patch]:
    return [
        Line2D([], [], color=BLUE, linewidth=1.8, label="median"),
        Patch(facecolor=BLUE, alpha=0.28, label=INTERVAL_TEXT),
        Patch(
            facecolor="none",
            edgecolor=GREY,
            hatch=BEYOND_HATCH,
            label="at hours that no trial of the agent read: course and prior",
        ),
        Line2D([], [], color=BLACK, marker="|", linestyle="", label="a reading"),
    ]


def _alt(effect: xr.DataArray, axis: str) -> str:
    first, last = effect.isel({HOUR: 0}), effect.isel({HOUR: -1})
    texts = []
    for agent in effect[AGENT].values:
        start, end = (float(interval(e.sel({AGENT: agent}))["median"]) for e in (first, last))
        texts.append(f"{named(effect.sel({AGENT: agent}), AGENT)}: {start:.3g} to {end:.3g}")
    hours = f"from {float(effect[HOUR][0]):g} to {float(effect[HOUR][-1]):g} hours"
    return (
        f"{plain(axis)} {hours} after treatment, medians with {INTERVAL_TEXT}s. {'; '.join(texts)}."
    )
