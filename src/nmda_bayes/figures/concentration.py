"""Concentration over time, with the regimen beneath it and the times of measurement marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    VERMILLION,
    Look,
    drawing,
)
from nmda_bayes.figures.text import legend, note, plain, words
from nmda_bayes.intervals import INTERVAL_TEXT, interval
from nmda_bayes.regimens import Event, Regimen, parse_regimen

#: Lines in one panel that can be told apart.
LOOKS = (
    Look(BLUE, "-", "o"),
    Look(ORANGE, (0, (5, 1.5)), "s"),
    Look(BLACK, (0, (3, 1, 1, 1)), "^"),
    Look(PURPLE, (0, (1, 1)), "D"),
    Look(GREEN, (0, (7, 2)), "v"),
    Look(VERMILLION, (0, (2, 2)), "P"),
)
DIMS = ("analyte", "regimen", "draw", "time")


def plot_concentration(
    concentration: xr.DataArray,
    *,
    observed: pd.DataFrame | None = None,
    regimen: Regimen | str | None = None,
    measured_at: Sequence[float] = (),
) -> Figure:
    """Draw concentrations over time.

    Parameters
    ----------
    concentration
        As `nmda_bayes.concentration` gives it: dim time, and any of analyte, regimen and draw.
    observed
        Measurements: columns time_hours and concentration, in the unit of the first argument;
        where there are several analytes also analyte, and sd where it is known.
    regimen
        What was given, drawn beneath. By default the one that the concentration names, if it is
        one.
    measured_at
        Hours at which an outcome was measured; marked by lines.

    Returns
    -------
    Figure
        Lines are medians where there are draws, with their interval as a band.

    Raises
    ------
    ValueError
        If there are more lines than can be told apart, or a unit or a column is not what it must
        be.
    """
    _must_fit(concentration, observed)
    lines = list(_lines(concentration))
    given = _given(concentration, regimen)
    heights = [3.4, 0.9] if given else [3.4]
    with drawing(FULL_WIDTH, sum(heights)) as figure:
        grid = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[
            :, 0
        ]
        for (name, line), look in zip(lines, LOOKS, strict=False):
            _line(grid[0], line, look)
            if observed is not None:
                _observed(grid[0], observed, name[0] if len(lines) > 1 else "", look)
        _axes(grid[0], concentration)
        for axes in grid:
            for hour in measured_at:
                axes.axvline(hour, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        if given:
            _doses(grid[1], given)
        grid[-1].set_xlabel("hours since the first administration")
        legend(figure, _legend(lines, concentration, observed, measured_at), 3)
        note(figure, _remark(concentration, given))
        figure.set_label(_alt(lines, concentration))
    return figure


def _must_fit(concentration: xr.DataArray, observed: pd.DataFrame | None) -> None:
    if wrong := [str(dim) for dim in concentration.dims if dim not in DIMS]:
        raise ValueError(f"plot_concentration draws no dim {wrong[0]}; select one of it")
    lines = concentration.size // concentration["time"].size
    if (lines := lines // concentration.sizes.get("draw", 1)) > len(LOOKS):
        raise ValueError(f"{lines} lines cannot be told apart; select at most {len(LOOKS)}")
    if observed is None:
        return
    if missing := sorted({"time_hours", "concentration"} - set(observed)):
        raise ValueError(f"plot_concentration needs the columns {', '.join(missing)}")
    unit = concentration.attrs.get("units")
    if "unit" in observed and set(observed["unit"]) - {unit}:
        raise ValueError(f"observed concentrations must be in {unit}, as the predicted ones are")


def _lines(concentration: xr.DataArray) -> Iterator[tuple[tuple[str, ...], xr.DataArray]]:
    """Give each line with the names that tell it from the others."""
    over = [dim for dim in ("analyte", "regimen") if dim in concentration.dims]
    for labels in product(*(concentration[dim].to_numpy().tolist() for dim in over)):
        chosen = dict(zip(over, labels, strict=True))
        # What all lines share does not tell them apart.
        telling = [str(v) for d, v in chosen.items() if concentration.sizes[d] > 1]
        yield tuple(telling or map(str, labels[:1])), concentration.sel(chosen)


def _line(axes: Axes, line: xr.DataArray, look: Look) -> None:
    hours = line["time"].values
    if "draw" in line.dims:
        band = interval(line, ("draw",))
        low, high = band["lower"].values, band["upper"].values
        axes.fill_between(hours, low, high, color=look.color, alpha=0.18, linewidth=0)
        line = band["median"]
    axes.plot(hours, line.values, color=look.color, linestyle=look.linestyle, label="_line")


def _observed(axes: Axes, observed: pd.DataFrame, analyte: str, look: Look) -> None:
    mine = observed
    if analyte and "analyte" in observed:
        mine = observed[observed["analyte"] == analyte]
    sd = mine["sd"].to_numpy(float) if "sd" in mine else None
    axes.errorbar(
        mine["time_hours"], mine["concentration"], yerr=sd, fmt=look.marker, ms=4.5,
        mfc="white", mec=look.color, ecolor=look.color, elinewidth=0.8, label="_observed",
        zorder=4,
    )  # fmt: skip


def _axes(axes: Axes, concentration: xr.DataArray) -> None:
    hours = concentration["time"].values
    axes.set_xlim(min(0.0, float(hours.min())), float(hours.max()))
    axes.set_ylim(bottom=0)
    # Where lines are regimens, nothing else names what is in the blood.
    one = concentration.sizes.get("analyte") == 1 and "regimen" in concentration.dims
    of = f" of {words(concentration['analyte'].item(), 24)}" if one else ""
    axes.set_ylabel(f"concentration{of}, {concentration.attrs.get('units', 'unit not said')}")
    axes.grid(axis="y", color=PALE, linewidth=0.4)


def _given(concentration: xr.DataArray, regimen: Regimen | str | None) -> Regimen | None:
    if regimen is None and "regimen" not in concentration.dims:
        regimen = str(concentration.attrs.get("regimen", "")) or None
    return parse_regimen(regimen) if isinstance(regimen, str) else regimen


def _doses(axes: Axes, regimen: Regimen) -> None:
    """Draw rates as steps, and what goes in at once as stems, each on an axis of its own."""
    events = regimen.events()
    rates = [event for event in events if event.hours > 0]
    at_once = [event for event in events if not event.hours > 0]
    axes.set_ylabel(f"{regimen.basis}/h" if rates else regimen.basis)
    if rates:
        axes.stairs(*_steps(rates), color=BLACK, fill=True, facecolor=PALE, linewidth=0.8)
    stems = axes.twinx() if rates and at_once else axes
    if at_once:
        stems.vlines(
            [e.start_hours for e in at_once], 0, [e.amount for e in at_once],
            color=VERMILLION, linewidth=1.6,
        )  # fmt: skip
        if stems is not axes:
            stems.spines["right"].set_visible(True)
            stems.set_ylabel(f"at once, {regimen.basis}", color=VERMILLION)
        stems.set_ylim(0, 1.15 * max(e.amount for e in at_once))
    if rates:
        axes.set_ylim(0, 1.15 * max(_steps(rates)[0]))


def _steps(events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray]:
    """Add the rates that run at the same time."""
    ends = {e.start_hours + e.hours for e in events}
    edges = np.array(sorted({e.start_hours for e in events} | ends))
    total = np.zeros(len(edges) - 1)
    for event in events:
        inside = (edges[:-1] >= event.start_hours) & (edges[1:] <= event.start_hours + event.hours)
        total[inside] += event.rate
    return total, edges


def _legend(
    lines: Sequence[tuple[tuple[str, ...], xr.DataArray]],
    concentration: xr.DataArray,
    observed: pd.DataFrame | None,
    measured_at: Sequence[float],
) -> list[Artist]:
    handles: list[Artist] = [
        Line2D([], [], color=look.color, linestyle=look.linestyle,
               label=", ".join(words(name, 40) for name in names if name) or "predicted")
        for (names, _), look in zip(lines, LOOKS, strict=False)
    ]  # fmt: skip
    if observed is not None:
        text = _kind(observed)
        handles.append(
            Line2D([], [], marker="o", mfc="white", mec=GREY, linestyle="none", label=text)
        )
    if len(measured_at):
        handles.append(Line2D([], [], color=GREY, linestyle=(0, (1, 2)), label="outcome measured"))
    return handles


def _kind(observed: pd.DataFrame) -> str:
    """Say what the points are: another model's curve is no measurement."""
    if "statistic" in observed and (observed["statistic"] == "model_curve").all():
        return "published curve of a model"
    with_sd = "sd" in observed and bool(observed["sd"].notna().any())
    return "measured, with SD" if with_sd else "measured"


def _remark(concentration: xr.DataArray, given: Regimen | None) -> str:
    """Say what the lines rest on."""
    about = concentration.attrs
    parts = [f"Given: {plain(given, 160)}, {words(about.get('route', ''))}." if given else ""]
    if "model" in about:
        parts.append(
            f"Model {plain(about['model'])} (specimen: {plain(about.get('specimen', ''))}),"
            f" a body of {about.get('weight_kg', math.nan):g} kg."
        )
    if "draw" in concentration.dims:
        parts.append(f"Lines: medians; bands: {INTERVAL_TEXT} over draws of its parameters.")
    if about.get("lacks"):
        parts.append(f"Not known: {plain(about['lacks'], 400)}.")
    return " ".join(part for part in parts if part)


def _alt(lines: Sequence[tuple[tuple[str, ...], xr.DataArray]], whole: xr.DataArray) -> str:
    unit = whole.attrs.get("units", "")
    said = []
    for names, line in lines:
        centre = line.median("draw") if "draw" in line.dims else line
        top = int(centre.argmax("time"))
        name = ", ".join(words(n) for n in names if n) or "the drug"
        said.append(
            f"{name} up to {float(centre[top]):.3g} {unit} at {float(centre['time'][top]):.3g} h"
        )
    return f"Concentration over {float(whole['time'].max()):g} hours: {'; '.join(said)}."
