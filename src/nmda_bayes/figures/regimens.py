"""The therapeutic window in regimens: a map of rates and durations, with its ridge."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from nmda_bayes.figures.labelled import need_variables
from nmda_bayes.figures.style import BEYOND_HATCH, BLACK, FULL_WIDTH, GREY, drawing
from nmda_bayes.figures.text import legend, note, plain, words
from nmda_bayes.regimens import parse_regimen

#: Light where improbable, dark where probable: a grey print keeps the order.
COLOURS = "Blues"
#: Durations that a reader thinks in.
TICKS = {
    **{m / 60: f"{m} min" for m in (1, 5, 15, 40)},
    **{float(h): f"{h} h" for h in (2, 4, 8, 24, 48)},
}

#: Probabilities at which the colours of a map may end.
TOPS = (0.1, 0.25, 0.5, 1.0)


def plot_regimen_window(window: xr.Dataset) -> Figure:
    """Draw the probability of enough benefit and acceptable harm over rate and duration.

    Parameters
    ----------
    window
        As `nmda_bayes.regimen_window` gives it.

    Returns
    -------
    Figure
        Hatched beyond the exposures tried. The ridge is the best rate of each duration; broken
        lines join infusions of one total dose, faster on the left and slower on the right.
    """
    need_variables(window, ("p_both", "ridge", "extrapolated", "total"), "plot_regimen_window")
    hours, rate = window["hours"].values, window["rate"].values
    about = window.attrs
    with drawing(FULL_WIDTH * 0.75, 4.2) as figure:
        axes = figure.subplots()
        shown = axes.pcolormesh(
            hours, rate, window["p_both"].transpose("rate", "hours").values,
            cmap=matplotlib.colormaps[COLOURS], vmin=0, vmax=_top(window), shading="nearest",
            rasterized=True,
        )  # fmt: skip
        _beyond(axes, window)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(hours.min(), hours.max())
        axes.set_ylim(rate.min(), rate.max())
        _totals(axes, window)
        axes.plot(hours, window["ridge"].values, color="white", linewidth=4, zorder=4)
        axes.plot(hours, window["ridge"].values, color=BLACK, linewidth=1.6, zorder=5)
        _reference(axes, str(about.get("reference", "")))
        ticks = [t for t in TICKS if hours.min() <= t <= hours.max()]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([TICKS[t] for t in ticks])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("duration of the infusion")
        axes.set_ylabel("rate, mg/kg/h")
        bar = figure.colorbar(shown, ax=axes, pad=0.02)
        bar.set_label("probability of both")
        axes.set_title(
            f"{words(about.get('agent_label', ''))} in {words(about.get('condition_label', ''))}",
            loc="left",
        )
        legend(figure, _legend(str(about.get("reference", ""))), 2)
        note(figure, _remark(window))
        figure.set_label(_alt(window))
    return figure


def _top(window: xr.Dataset) -> float:
    """Where the colours end: on a scale to 1 a map of probabilities below 0.3 is all but white."""
    most = float(window["p_both"].max())
    return next(top for top in TOPS if most <= top)


def _beyond(axes: Axes, window: xr.Dataset) -> None:
    outside = window["extrapolated"].transpose("rate", "hours").values.astype(float)
    if outside.any():
        with matplotlib.rc_context({"hatch.color": GREY}):
            axes.contourf(
                window["hours"].values, window["rate"].values, outside, levels=[0.5, 1.5],
                colors="none", hatches=[BEYOND_HATCH],
            )  # fmt: skip


def _totals(axes: Axes, window: xr.Dataset) -> None:
    """Join infusions of one total dose."""
    total = window["total"].transpose("rate", "hours")
    low, high = (float(q) for q in total.quantile([0.1, 0.9]))
    steps = np.array([a * 10.0**k for k in range(-6, 6) for a in (1, 2, 5)])
    levels = steps[(steps >= low) & (steps <= high)]
    levels = levels[:: max(1, len(levels) // 6)]
    lines = axes.contour(
        window["hours"].values, window["rate"].values, total.values, levels=levels,
        colors=GREY, linewidths=0.8, linestyles=[(0, (4, 2))],
    )  # fmt: skip
    # Left of the middle of what is seen of each line: away from the ends, where words are cut off.
    hours, rate = (window[name].values for name in ("hours", "rate"))
    first = np.maximum(hours.min(), levels / rate.max())
    last = np.minimum(hours.max(), levels / rate.min())
    at = first**0.72 * last**0.28
    written = axes.clabel(
        lines, fmt=lambda dose: f"{dose:g} mg/kg", fontsize=6.5, colors=BLACK,
        manual=list(zip(at, levels / at, strict=True)),
    )  # fmt: skip
    for text in written:
        text.set(zorder=7, path_effects=[withStroke(linewidth=1.5, foreground="white")])


def _reference(axes: Axes, schedule: str) -> None:
    if schedule:
        regimen = parse_regimen(schedule)
        axes.plot([regimen.hours], [regimen.peak_rate("mg/kg/h")], marker="D", ms=6,
                  mfc="white", mec=BLACK, linestyle="none", zorder=6)  # fmt: skip


def _legend(reference: str) -> list[Artist]:
    found: list[Artist] = [
        Line2D([], [], color=BLACK, linewidth=1.6, label="ridge: the best rate of each duration"),
        Line2D([], [], color=GREY, linestyle=(0, (4, 2)), linewidth=0.8, label="one total dose"),
        Patch(facecolor="white", edgecolor=GREY, hatch=BEYOND_HATCH,
              label="beyond the exposures tried"),
    ]  # fmt: skip
    if reference:
        found.append(
            Line2D([], [], marker="D", mfc="white", mec=BLACK, linestyle="none",
                   label=f"reference: {plain(reference)}")
        )  # fmt: skip
    return found


def _remark(window: xr.Dataset) -> str:
    about = window.attrs
    return (
        f"Both: {plain(about['benefit_label'])} better by at least {about['benefit_at_least']:g}"
        f" {plain(about['benefit_unit'])}, and {plain(about['harm_label'])} added to at most"
        f" {about['risk_at_most']:.0%} of people from a baseline of {about['baseline_risk']:.0%},"
        " in the same draws; about means of a population. Trials here:"
        f" {about['trials_benefit']} of the benefit, {about['trials_harm']} of the harm. A"
        " probability has no interval."
    ).replace("%", " %")


def _alt(window: xr.Dataset) -> str:
    best = window["p_both"].argmax(("hours", "rate"))
    at = window.isel({dim: int(place) for dim, place in best.items()})
    return (
        f"Map of the probability of enough benefit and acceptable harm by rate and duration of an"
        f" infusion of {words(window.attrs.get('agent_label', ''))}: highest,"
        f" {float(at['p_both']):.2f}, at {float(at['rate']):.3g} mg/kg/h for"
        f" {float(at['hours']):.3g} hours."
    )
