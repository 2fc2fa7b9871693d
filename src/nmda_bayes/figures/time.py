"""Effects over the hours after treatment, alone and together with dose."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmda_bayes.dims import AGENT, CHAIN, DOSE, DRAW, HOUR, SAMPLE
from nmda_bayes.figures.layout import (
    band_keys,
    draw_band,
    hatch_map,
    log_axis,
    outline_text,
    panel_grid,
    require_dims,
)
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    cell_label,
    hatch_key,
    line_key,
    marker_key,
    one_line,
    styled_figure,
)
from nmda_bayes.intervals import INTERVAL_TEXT, credible_interval

PANEL_COLUMNS = 3
#: From so many hours on the axis is logarithmic: for effects of a day, and follow-up of weeks.
LOG_HOURS = 96.0
#: Where a logarithmic axis shows all of the time of treatment.
DURING = -0.5
HOUR_TICKS = {0: "0", 1: "1 h", 6: "6 h", 24: "1 d", 168: "1 wk", 1008: "6 wk", 4380: "6 mo"}
TIME_NOTE = "Hours (h), days (d), weeks (wk), months (mo) after the end of treatment (0)"
#: Light where the effect is small, dark where it is large: a grey print keeps the order.
COLORMAP = "Blues"
MAX_CONTOURS = 6


def plot_effect_over_time(
    effect: xr.DataArray, *, axis: str = "effect", measured_at: dict[str, np.ndarray] | None = None
) -> Figure:
    """Draw effects over the hours after treatment.

    Parameters
    ----------
    effect
        From `nmda_bayes.effect_over_time`, at one dose and for one condition: dims agent, hour,
        chain, draw.
    axis
        Name and unit of the effect.
    measured_at
        By agent, the hours at which its trials measured the outcome, marked at the foot.

    Returns
    -------
    Figure
        Median and interval; hatched and broken at hours without measurements of the agent.

    Raises
    ------
    ValueError
        If a dim is missing.

    Examples
    --------
    >>> hours = xr.DataArray([0.0, 12.0, 24.0], dims="hour", coords={"hour": [0.0, 12.0, 24.0]})
    >>> draws = xr.DataArray(np.full((1, 1, 9), -8.0), dims=("agent", "chain", "draw"))
    >>> effect = (draws * 2 ** (-hours / 6)).assign_coords(agent=["ketamine"])
    >>> effect = effect.assign_coords(extrapolated=hours > 12)
    >>> nb.plot_effect_over_time(effect, axis="points").get_label().split(". ")[1]
    'ketamine: -8 to -0.5.'
    """
    require_dims(effect, (AGENT, HOUR, CHAIN, DRAW), "plot_over_time")
    interval = credible_interval(effect)
    bands = [interval.isel({AGENT: i}) for i in range(effect.sizes[AGENT])]
    names = [cell_label(band, AGENT) for band in bands]
    columns = min(PANEL_COLUMNS, len(bands))
    height = 0.7 + 1.75 * -(-len(bands) // columns)
    with styled_figure(min(FULL_WIDTH, 1.4 + 2.1 * columns), height) as figure:
        grid = panel_grid(figure, len(bands), columns)
        for axes, band, name in zip(grid.flat, bands, names, strict=False):
            measured = (measured_at or {}).get(str(band[AGENT].item()), np.array([]))
            _draw_course(axes, band, measured)
            axes.set_title(name)
        figure.supylabel(one_line(axis, 60), fontsize=8)
        figure.add_note(f"{TIME_NOTE}; negative: during treatment.")
        beyond = "no measurements of the agent at these hours (model-based)"
        figure.add_legend(*band_keys(beyond), marker_key("measurement", "|", ms=6))
        changes = _describe_changes(names, [band["median"].values[[0, -1]] for band in bands])
        first, last = effect[HOUR].values[[0, -1]]
        figure.set_alt_text(
            f"{one_line(axis)} from {first:g} to {last:g} hours after treatment, medians with"
            f" {INTERVAL_TEXT}s.",
            f"{changes}.",
        )
    return figure


def plot_effect_over_dose_and_time(
    effect: xr.DataArray, *, axis: str = "effect", dose_axis: str = "dose", lower: bool = False
) -> Figure:
    """Draw the size of an effect at each dose and hour.

    Parameters
    ----------
    effect
        From `nmda_bayes.effect_over_time` for one condition, or a risk: dims agent, dose (above 0),
        hour, chain, draw; ``extrapolated`` marks doses and hours without trials of the agent.
    axis
        Name and unit of the effect.
    dose_axis
        Name and unit of the dose.
    lower
        Whether a lower value is a larger effect, as of pain relief.

    Returns
    -------
    Figure
        Medians as colours, with contours; hatched where there are no trials.

    Raises
    ------
    ValueError
        If a dim is missing or no dose is above 0.

    Examples
    --------
    >>> shape = {"agent": ["ketamine"], "dose": [0.5, 1.0], "hour": [0.0, 24.0]}
    >>> sizes = (1, 2, 2, 1, 9)
    >>> effect = xr.DataArray(np.full(sizes, -8.0), shape, dims=(*shape, "chain", "draw"))
    >>> nb.plot_effect_over_dose_and_time(effect, axis="points").axes[0].get_yscale()
    'log'
    """
    require_dims(effect, (AGENT, DOSE, HOUR, CHAIN, DRAW), "plot_dose_and_time")
    effect = effect.sel({DOSE: effect[DOSE] > 0})
    if not effect.sizes[DOSE]:
        raise ValueError("plot_dose_and_time needs doses above 0")
    medians = effect.median(SAMPLE).transpose(AGENT, DOSE, HOUR)
    hours, doses = effect[HOUR].values, effect[DOSE].values
    outside = xr.zeros_like(medians, bool)
    if "extrapolated" in effect.coords:
        outside = (outside | effect["extrapolated"]).transpose(AGENT, DOSE, HOUR)
    names = [cell_label(effect.isel({AGENT: i}), AGENT) for i in range(effect.sizes[AGENT])]
    columns = min(PANEL_COLUMNS, len(names))
    height = 0.9 + 2.2 * -(-len(names) // columns)
    with styled_figure(min(FULL_WIDTH, 1.8 + 2.3 * columns), height) as figure:
        grid = panel_grid(figure, len(names), columns)
        colors = {
            "cmap": matplotlib.colormaps[COLORMAP + ("_r" if lower else "")],
            "norm": matplotlib.colors.Normalize(float(medians.min()), float(medians.max())),
        }
        for i, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
            values = medians.values[i]
            mesh = axes.pcolormesh(
                hours, doses, values, shading="nearest", rasterized=True, **colors
            )
            axes.set_yscale("log")
            axes.set_ylim(doses.min(), doses.max())
            log_axis(axes.yaxis)
            _hours_axis(axes, float(hours.max()))
            axes.set_xlim(hours.min(), hours.max())
            _draw_contours(axes, hours, doses, values)
            hatch_map(axes, hours, doses, outside.values[i])
            axes.set_title(name)
        figure.colorbar(mesh, ax=grid, pad=0.02).set_label(one_line(axis, 60))
        figure.supylabel(one_line(dose_axis, 60), fontsize=7.5)
        hatched = bool(outside.any())
        beyond = hatch_key("no trials of the agent at such a dose or hour", "white")
        figure.add_legend(line_key("contour", lw=0.7), hatched and beyond, columns=2)
        figure.add_note(f"{TIME_NOTE}. Medians; see the curves over time for their uncertainty.")
        changes = _describe_changes(names, medians.values[:, -1][:, [0, -1]])
        figure.set_alt_text(
            f"Map of {one_line(axis)} by dose and hours after treatment, medians. At the largest"
            f" dose, {doses[-1]:.3g}, from the first to the last hour: {changes}."
        )
    return figure


def _draw_course(axes: Axes, band: xr.Dataset, measured: np.ndarray) -> None:
    hours = band[HOUR].values
    draw_band(axes, hours, band, np.asarray(band["extrapolated"].values, dtype=bool), BLUE)
    _hours_axis(axes, float(hours.max()))
    axes.axhline(0, color=GREY, lw=0.7, zorder=0)
    axes.axvline(0, color=GREY, lw=0.7, ls=":", zorder=0)
    if hours.max() > LOG_HOURS:
        measured = np.where(measured < 0, DURING, measured)
    inside = measured[(measured >= hours.min()) & (measured <= hours.max())]
    rug = axes.get_xaxis_transform()
    axes.vlines(inside, 0, 0.05, colors=BLACK, lw=1.0, transform=rug, label="_measurements")


def _hours_axis(axes: Axes, last: float) -> None:
    """Make the axis of hours after treatment logarithmic if it is long."""
    if last > LOG_HOURS:
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
        ticks = {hour: text for hour, text in HOUR_TICKS.items() if hour <= last}
        axes.set_xticks([*ticks], [*ticks.values()])
        axes.set_xticks([], minor=True)
        axes.set_xlim(2 * DURING, last)


def _draw_contours(axes: Axes, hours: np.ndarray, doses: np.ndarray, values: np.ndarray) -> None:
    low, high = values.min(), values.max()
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        return
    step = 10 ** np.floor(np.log10((high - low) / MAX_CONTOURS))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (k * step) <= MAX_CONTOURS)
    levels = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    levels = levels[np.abs(levels) > step / 2]
    if len(levels):
        style: dict[str, Any] = {"colors": BLACK, "linewidths": 0.7, "linestyles": "-"}
        contours = axes.contour(hours, doses, values, levels, **style)
        middles = [_middle(axes, max(parts, key=len)) for parts in contours.allsegs if len(parts)]
        # Only lines an inch long are labelled: near an edge a number is cut off.
        if positions := [point for *point, length in middles if length > 72]:
            for text in axes.clabel(contours, fmt="%g", fontsize=6.5, manual=positions):
                outline_text(text)


def _middle(axes: Axes, line: np.ndarray) -> tuple[float, float, float]:
    """Find the point of a line (hour, dose) that halves its length, and the length in points."""
    steps = np.hypot(*np.diff(axes.transData.transform(line), axis=0).T)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    hour, dose = line[int(np.argmin(abs(length - length[-1] / 2)))]
    return float(hour), float(dose), float(length[-1])


def _describe_changes(names: list[str], ends: np.ndarray | list[np.ndarray]) -> str:
    pairs = zip(names, ends, strict=True)
    return "; ".join(f"{name}: {first:.3g} to {last:.3g}" for name, (first, last) in pairs)
