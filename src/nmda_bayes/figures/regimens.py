"""Concentrations and effects of regimens over time, and the therapeutic window of infusions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from nmda_bayes.dims import HOUR, OUTCOME, SAMPLE
from nmda_bayes.figures.layout import (
    band_keys,
    draw_band,
    hatch_map,
    outline_text,
    require_columns,
    require_variables,
)
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    LIGHT_GREY,
    LINE_STYLES,
    ORANGE,
    VERMILLION,
    SeriesStyle,
    display_name,
    hatch_key,
    line_key,
    marker_key,
    one_line,
    patch_key,
    styled_figure,
)
from nmda_bayes.intervals import INTERVAL_TEXT, credible_interval
from nmda_bayes.regimens import Event, Regimen, parse_regimen

REGIMEN, HOURS = "regimen", "hours"
DOTTED = (0, (1, 2))
BEYOND_EXPOSURES = "beyond the tested exposures"


def _population(attrs: Mapping[str, Any]) -> str:
    return " in ".join(display_name(attrs.get(f"{k}_label", "")) for k in ("agent", "condition"))


def _describe_ends(label: str, draws: xr.DataArray) -> str:
    """Write the first and last median of draws over one further dim."""
    first, last = draws.median(SAMPLE).values[[0, -1]]
    return f"{label}: {first:.3g} to {last:.3g}"


def _label_outcome(axes: Axes, outcome: xr.Dataset) -> None:
    unit = str(outcome["unit"].item())
    axes.set_title(one_line(outcome["label"].item(), 60), loc="left")
    axes.set_ylabel(unit if unit == "probability" else f"difference, {one_line(unit, 40)}")
    if unit == "probability":
        axes.set_ylim(bottom=0)


# Outcomes by concentration, with external data.

#: Names of the ranges of one panel.
LETTERS = "abcdef"


@dataclass(frozen=True, slots=True)
class ExternalRange:
    """A range of concentrations from external data, not used in the fit.

    Parameters
    ----------
    low, high
        Its ends in ng/mL; equal for a single concentration.
    text
        What the range is, and its source.

    Examples
    --------
    >>> ExternalRange(25, 100, "linear increase of scores").high
    100
    """

    low: float
    high: float
    text: str


def plot_concentration_response(
    answer: xr.Dataset, external: Mapping[str, Sequence[ExternalRange]]
) -> Figure:
    """Draw outcomes by concentration, with external data.

    Parameters
    ----------
    answer
        From `nmda_bayes.at_concentration`: ``response`` (outcome, concentration in ng/mL, chain,
        draw) and ``extrapolated`` (outcome, concentration).
    external
        By outcome, ranges of concentrations from external data.

    Returns
    -------
    Figure
        One panel an outcome; hatched beyond the tested exposures.

    Raises
    ------
    ValueError
        If a variable is missing.

    Examples
    --------
    >>> response = xr.DataArray(
    ...     np.linspace(0, -10, 5).reshape(1, 5, 1, 1),
    ...     {"outcome": ["analgesia"], "concentration": np.linspace(10, 200, 5)},
    ...     ("outcome", "concentration", "chain", "draw"),
    ... )
    >>> answer = xr.Dataset({"response": response}).assign_coords(
    ...     extrapolated=xr.zeros_like(response[..., 0, 0], bool),
    ...     **{name: ("outcome", [text]) for name, text in (
    ...         ("label", "Pain"), ("unit", "points"), ("axis", "peak concentration"))},
    ... )
    >>> external = {"analgesia": [nb.figures.ExternalRange(50, 100, "an external study")]}
    >>> nb.plot_concentration_response(answer, external).axes[0].get_ylabel()
    'difference, points'
    """
    require_variables(answer, ("response", "extrapolated"), "plot_concentration_response")
    outcomes = [answer.sel({OUTCOME: outcome}) for outcome in answer[OUTCOME].values]
    x, attrs = answer["concentration"].values, answer.attrs
    ranges = [external.get(str(o), ()) for o in answer[OUTCOME].values]
    labels = [one_line(outcome["label"].item()) for outcome in outcomes]
    with styled_figure(FULL_WIDTH, 3.1) as figure:
        grid = figure.subplots(1, len(outcomes), squeeze=False)[0]
        for axes, outcome, marks in zip(grid, outcomes, ranges, strict=True):
            band = credible_interval(outcome["response"])
            draw_band(axes, x, band, outcome["extrapolated"].values, BLUE)
            _draw_ranges(axes, marks)
            axes.set_xlim(x.min(), x.max())
            _label_outcome(axes, outcome)
            axes.set_xlabel(f"{display_name(attrs.get('analyte', ''))}, ng/mL")
        external_key = patch_key("external data, not used in the fit", ORANGE, alpha=0.3)
        figure.add_legend(*band_keys(BEYOND_EXPOSURES), external_key, columns=2)
        exposures = "; ".join(dict.fromkeys(one_line(a, 120) for a in answer["axis"].values))
        baseline = attrs.get("baseline_risk")
        descriptions = [
            f"{label}, {letter}: {one_line(mark.text, 90)}, {_format_range(mark)} ng/mL."
            for label, marks in zip(labels, ranges, strict=True)
            for letter, mark in zip(LETTERS, marks, strict=False)
        ]
        figure.add_note(
            f"{_population(attrs)}. Exposure in the fit: {exposures}; converted to ng/mL with the"
            " reference regimen.",
            baseline is not None and f"Risks at a baseline of {100 * baseline:.3g}%.",
            *descriptions,
        )
        ends = zip(labels, outcomes, strict=True)
        figure.set_alt_text(
            f"Outcomes by concentration from {x[0]:.3g} to {x[-1]:.3g} ng/mL, medians.",
            *(f"{_describe_ends(label, outcome['response'])}." for label, outcome in ends),
            *descriptions,
        )
    return figure


def _format_range(mark: ExternalRange) -> str:
    return f"{mark.low:g}" if mark.low == mark.high else f"{mark.low:g} to {mark.high:g}"


def _draw_ranges(axes: Axes, ranges: Sequence[ExternalRange]) -> None:
    top = axes.get_xaxis_transform()
    for letter, mark in zip(LETTERS, ranges, strict=False):
        if mark.high > mark.low:
            axes.axvspan(mark.low, mark.high, color=ORANGE, alpha=0.22, lw=0)
        else:
            axes.axvline(mark.low, color=ORANGE, lw=1.6)
        axes.text(mark.high, 0.98, letter, ha="right", va="top", weight="bold", transform=top)


# Concentrations over time.

type Line = tuple[tuple[str, ...], xr.DataArray]


def plot_concentration(
    concentration: xr.DataArray,
    *,
    observed: pd.DataFrame | None = None,
    regimen: Regimen | str | None = None,
    measured_at: Sequence[float] = (),
) -> Figure:
    """Draw concentrations over time, with the regimen below.

    Parameters
    ----------
    concentration
        From `nmda_bayes.concentration`: dim time, and any of analyte, regimen and draw.
    observed
        Measurements: columns time_hours and concentration, in the unit of the first argument;
        also analyte where there are several, and sd where it is known.
    regimen
        The regimen drawn below; that of the concentration, if it has one, by default.
    measured_at
        Hours at which an outcome was measured; marked by lines.

    Returns
    -------
    Figure
        Lines are medians where there are draws, with their interval as a band.

    Raises
    ------
    ValueError
        If there are more lines than the figure can distinguish, or a unit or a column is wrong.

    Examples
    --------
    >>> hours = np.linspace(0, 4, 41)
    >>> array = xr.DataArray(50 * np.exp(-hours), {"time": hours}, attrs={"units": "ng/mL"})
    >>> nb.plot_concentration(array).get_label()
    'Concentration over 4 hours: the drug up to 50 ng/mL at 0 h.'
    """
    lines = _split_lines(concentration)
    if observed is not None:
        _check_observed(observed, concentration.attrs.get("units"))
    shown_regimen = _find_regimen(concentration, regimen)
    heights = [3.4, 0.9] if shown_regimen else [3.4]
    with styled_figure(FULL_WIDTH, sum(heights)) as figure:
        rows = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
        upper, lower = rows[0, 0], rows[-1, 0]
        for (names, line), look in zip(lines, LINE_STYLES, strict=False):
            _draw_concentration(upper, line, look)
            if observed is not None:
                _draw_observed(upper, observed, names[0] if len(lines) > 1 and names else "", look)
        _label_concentration(upper, concentration)
        for axes in rows.flat:
            for hour in measured_at:
                axes.axvline(hour, color=GREY, lw=0.8, ls=DOTTED, zorder=0)
        if shown_regimen:
            _draw_regimen(lower, shown_regimen)
        lower.set_xlabel("hours since the first administration")
        keys = _concentration_keys(lines, observed)
        outcome_key = line_key("outcome measured", GREY, ls=DOTTED)
        figure.add_legend(*keys, len(measured_at) > 0 and outcome_key)
        figure.add_note(*_concentration_note(concentration, shown_regimen))
        unit, last = concentration.attrs.get("units", ""), float(concentration["time"].max())
        peaks = "; ".join(_describe_peak(names, line, unit) for names, line in lines)
        figure.set_alt_text(f"Concentration over {last:g} hours: {peaks}.")
    return figure


def _split_lines(concentration: xr.DataArray) -> list[Line]:
    """Split concentrations into lines, each with the names that tell it from the others."""
    for dim in map(str, concentration.dims):
        if dim not in ("analyte", REGIMEN, "draw", "time"):
            raise ValueError(f"plot_concentration draws no dim '{dim}'; select one of its labels")
    over = [dim for dim in ("analyte", REGIMEN) if dim in concentration.dims]
    lines: list[Line] = []
    for labels in product(*(concentration[dim].to_numpy().tolist() for dim in over)):
        chosen = dict(zip(over, labels, strict=True))
        names = [str(label) for dim, label in chosen.items() if concentration.sizes[dim] > 1]
        lines.append((tuple(names or map(str, labels[:1])), concentration.sel(chosen)))
    if len(lines) > len(LINE_STYLES):
        raise ValueError(f"{len(lines)} lines are too many; draw at most {len(LINE_STYLES)}")
    return lines


def _check_observed(observed: pd.DataFrame, unit: object) -> None:
    require_columns(observed, ("time_hours", "concentration"), "plot_concentration")
    if "unit" in observed and set(observed["unit"]) - {unit}:
        raise ValueError(f"observed concentrations must be in {unit}, as the predicted ones are")


def _find_regimen(concentration: xr.DataArray, regimen: Regimen | str | None) -> Regimen | None:
    if regimen is None and REGIMEN not in concentration.dims:
        regimen = str(concentration.attrs.get(REGIMEN, "")) or None
    return parse_regimen(regimen) if isinstance(regimen, str) else regimen


def _draw_concentration(axes: Axes, line: xr.DataArray, look: SeriesStyle) -> None:
    hours = line["time"].values
    if "draw" in line.dims:
        band = credible_interval(line, ("draw",))
        ends = band["lower"].values, band["upper"].values
        axes.fill_between(hours, *ends, color=look.color, alpha=0.18, lw=0)
        line = band["median"]
    axes.plot(hours, line.values, color=look.color, ls=look.linestyle, label="_line")


def _draw_observed(axes: Axes, observed: pd.DataFrame, analyte: str, look: SeriesStyle) -> None:
    if analyte and "analyte" in observed:
        observed = observed[observed["analyte"] == analyte]
    sd = observed["sd"].to_numpy(float) if "sd" in observed else None
    style: dict[str, Any] = {"fmt": look.marker, "ms": 4.5, "mfc": "white", "mec": look.color}
    style |= {"ecolor": look.color, "elinewidth": 0.8, "zorder": 4, "label": "_observed"}
    axes.errorbar(observed["time_hours"], observed["concentration"], yerr=sd, **style)


def _label_concentration(axes: Axes, concentration: xr.DataArray) -> None:
    hours = concentration["time"].values
    axes.set_xlim(min(0.0, float(hours.min())), float(hours.max()))
    axes.set_ylim(bottom=0)
    # Where lines are regimens, the legend does not name the analyte.
    single = concentration.sizes.get("analyte") == 1 and REGIMEN in concentration.dims
    name = f" of {display_name(concentration['analyte'].item(), 24)}" if single else ""
    axes.set_ylabel(f"concentration{name}, {concentration.attrs.get('units', 'unknown unit')}")
    axes.grid(axis="y", color=LIGHT_GREY, lw=0.4)


def _draw_regimen(axes: Axes, regimen: Regimen) -> None:
    """Draw infusion rates as steps and bolus doses as stems, each on its axis."""
    events = regimen.events()
    infusions = [event for event in events if event.hours > 0]
    boluses = [event for event in events if not event.hours > 0]
    axes.set_ylabel(f"{regimen.basis}/h" if infusions else regimen.basis)
    if infusions:
        rates, edges = _sum_rates(infusions)
        axes.stairs(rates, edges, color=BLACK, fill=True, facecolor=LIGHT_GREY, lw=0.8)
        axes.set_ylim(0, 1.15 * rates.max())
    if boluses:
        stems = axes.twinx() if infusions else axes
        amounts = [event.amount for event in boluses]
        stems.vlines([e.start_hours for e in boluses], 0, amounts, color=VERMILLION, lw=1.6)
        stems.set_ylim(0, 1.15 * max(amounts))
        if infusions:
            stems.spines["right"].set_visible(True)
            stems.set_ylabel(f"bolus, {regimen.basis}", color=VERMILLION)


def _sum_rates(events: Sequence[Event]) -> tuple[np.ndarray, np.ndarray]:
    """Add the rates that run at the same time, and give their edges in hours."""
    starts = np.array([event.start_hours for event in events])
    ends = starts + [event.hours for event in events]
    edges = np.unique([starts, ends])
    running = (edges[:-1] >= starts[:, None]) & (edges[1:] <= ends[:, None])
    return np.array([event.rate for event in events]) @ running, edges


def _concentration_keys(lines: list[Line], observed: pd.DataFrame | None) -> list[Artist]:
    keys: list[Artist] = []
    for (names, _), look in zip(lines, LINE_STYLES, strict=False):
        label = ", ".join(display_name(name, 40) for name in names if name) or "predicted"
        keys.append(line_key(label, look.color, ls=look.linestyle))
    if observed is not None:
        kind = "measured"
        if "statistic" in observed and (observed["statistic"] == "model_curve").all():
            kind = "curve of a published model"
        elif "sd" in observed and bool(observed["sd"].notna().any()):
            kind = "measured (± SD)"
        keys.append(marker_key(kind, mfc="white", mec=GREY, ms=6))
    return keys


def _concentration_note(concentration: xr.DataArray, regimen: Regimen | None) -> Iterator[str]:
    attrs = concentration.attrs
    if regimen:
        yield f"Regimen: {one_line(regimen, 160)}, {display_name(attrs.get('route', ''))}."
    if "model" in attrs:
        weight = f"a {attrs['weight_kg']:g} kg adult" if "weight_kg" in attrs else "an adult"
        specimen = one_line(attrs.get("specimen", ""))
        yield f"Model {one_line(attrs['model'])} (specimen: {specimen}), {weight}."
    if "draw" in concentration.dims:
        yield f"Lines: medians; bands: {INTERVAL_TEXT} over draws of the model's parameters."
    if attrs.get("lacks"):
        yield f"Not reported: {one_line(attrs['lacks'], 400)}."


def _describe_peak(names: tuple[str, ...], line: xr.DataArray, unit: str) -> str:
    centre = line.median("draw") if "draw" in line.dims else line
    peak = centre[int(centre.argmax("time"))]
    name = ", ".join(display_name(name) for name in names if name) or "the drug"
    return f"{name} up to {float(peak):.3g} {unit} at {float(peak['time']):.3g} h"


# The therapeutic window of infusions.

#: Light where improbable, dark where probable: a grey print keeps the order.
COLORMAP = "Blues"
DURATION_TICKS = {
    **{minutes / 60: f"{minutes} min" for minutes in (1, 5, 15, 40)},
    **{float(hours): f"{hours} h" for hours in (2, 4, 8, 24, 48)},
}
#: Probabilities at which the colours of a map may end: up to 1, small ones would all be pale.
MAX_PROBABILITIES = (0.1, 0.25, 0.5, 1.0)
DASHED = (0, (4, 2))


def plot_regimen_window(window: xr.Dataset) -> Figure:
    """Draw the probability of enough benefit and acceptable harm over rate and duration.

    Parameters
    ----------
    window
        From `nmda_bayes.regimen_window`: ``p_both``, ``extrapolated`` and ``total`` (rate in
        mg/kg/h, hours), and ``ridge`` (hours).

    Returns
    -------
    Figure
        A map, hatched beyond the tested exposures, with the best rate of each duration; broken
        lines join infusions of the same total dose.

    Raises
    ------
    ValueError
        If a variable is missing.

    Examples
    --------
    >>> grid = {"rate": [0.1, 1.0], "hours": [0.5, 4.0]}
    >>> total = xr.DataArray([[0.05, 0.4], [0.5, 4.0]], grid, ("rate", "hours"))
    >>> window = xr.Dataset({"p_both": total / 10, "total": total, "extrapolated": total > 3})
    >>> window = window.assign(ridge=("hours", [1.0, 1.0])).assign_attrs(
    ...     benefit_label="Pain", benefit_at_least=10, benefit_unit="points", trials_benefit=8,
    ...     harm_label="Dissociation", risk_at_most=0.1, baseline_risk=0.05, trials_harm=5,
    ... )
    >>> nb.plot_regimen_window(window).axes[0].get_ylabel()
    'rate, mg/kg/h'
    """
    require_variables(window, ("p_both", "ridge", "extrapolated", "total"), "plot_regimen_window")
    window, attrs = window.transpose("rate", HOURS, ...), window.attrs
    hours, rate, p = (window[name].values for name in (HOURS, "rate", "p_both"))
    reference = str(attrs.get("reference", ""))
    with styled_figure(FULL_WIDTH * 0.75, 4.2) as figure:
        axes = figure.subplots()
        top = next(top for top in MAX_PROBABILITIES if p.max() <= top)
        colors: dict[str, Any] = {"cmap": matplotlib.colormaps[COLORMAP], "vmin": 0, "vmax": top}
        mesh = axes.pcolormesh(hours, rate, p, shading="nearest", rasterized=True, **colors)
        hatch_map(axes, hours, rate, window["extrapolated"].values)
        axes.set(xscale="log", yscale="log", xlim=hours[[0, -1]], ylim=rate[[0, -1]])
        _draw_total_doses(axes, window)
        axes.plot(hours, window["ridge"].values, color="white", lw=4, zorder=4)
        axes.plot(hours, window["ridge"].values, color=BLACK, lw=1.6, zorder=5)
        diamond: dict[str, Any] = {"mfc": "white", "mec": BLACK, "ms": 6}
        if reference:
            regimen = parse_regimen(reference)
            axes.plot(regimen.hours, regimen.peak_rate("mg/kg/h"), "D", zorder=6, **diamond)
        ticks = [t for t in DURATION_TICKS if hours.min() <= t <= hours.max()]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticklabels([DURATION_TICKS[t] for t in ticks])
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel="duration of the infusion", ylabel="rate, mg/kg/h")
        axes.set_title(_population(attrs), loc="left")
        figure.colorbar(mesh, ax=axes, pad=0.02).set_label("probability of both")
        figure.add_legend(
            line_key("best rate of each duration", lw=1.6),
            line_key("same total dose", GREY, ls=DASHED, lw=0.8),
            hatch_key(BEYOND_EXPOSURES, "white"),
            reference != "" and marker_key(f"reference: {one_line(reference)}", "D", **diamond),
            columns=2,
        )
        figure.add_note(_describe_both(attrs))
        best = window["p_both"].isel(window["p_both"].argmax(...))
        figure.set_alt_text(
            "Map of the probability of enough benefit and acceptable harm by rate and duration of"
            f" an infusion of {display_name(attrs.get('agent_label', ''))}: highest,"
            f" {float(best):.2f}, at {float(best['rate']):.3g} mg/kg/h for"
            f" {float(best[HOURS]):.3g} hours."
        )
    return figure


def _draw_total_doses(axes: Axes, window: xr.Dataset) -> None:
    """Draw contours of the total dose, labelled left of the middle of their visible part."""
    hours, rate, total = (window[name].values for name in (HOURS, "rate", "total"))
    low, high = np.quantile(total, [0.1, 0.9])
    levels = np.array([a * 10.0**k for k in range(-6, 6) for a in (1, 2, 5)])
    levels = levels[(levels >= low) & (levels <= high)]
    levels = levels[:: max(1, len(levels) // 6)]
    style: dict[str, Any] = {"colors": GREY, "linewidths": 0.8, "linestyles": [DASHED]}
    contours = axes.contour(hours, rate, total, levels=levels, **style)
    first = np.maximum(hours.min(), levels / rate.max())
    last = np.minimum(hours.max(), levels / rate.min())
    at = first**0.72 * last**0.28
    positions = list(zip(at, levels / at, strict=True))
    style = {"fmt": "%g mg/kg", "fontsize": 6.5, "colors": BLACK}
    for text in axes.clabel(contours, manual=positions, **style):
        text.set_zorder(7)
        outline_text(text)


def _describe_both(attrs: Mapping[str, Any]) -> str:
    return (
        f"Both: {one_line(attrs['benefit_label'])} better by at least {attrs['benefit_at_least']:g}"
        f" {one_line(attrs['benefit_unit'])}, and {one_line(attrs['harm_label'])} added to at most"
        f" {attrs['risk_at_most']:.0%} of people at a baseline of {attrs['baseline_risk']:.0%}, in"
        f" the same draws; population means. Trials: {attrs['trials_benefit']} of the benefit,"
        f" {attrs['trials_harm']} of the harm."
    )


# Effects of regimens over time.


def plot_regimens_over_time(answer: xr.Dataset) -> Figure:
    """Draw benefit and harm of regimens over the hours after the first dose.

    Parameters
    ----------
    answer
        From `nmda_bayes.regimen_over_time`: ``response`` (outcome, regimen, hour, chain, draw) and
        ``extrapolated`` (outcome, regimen, hour).

    Returns
    -------
    Figure
        Medians with intervals as bands; dotted beyond the tested exposures; the end of each
        treatment is marked at the foot.

    Raises
    ------
    ValueError
        If a variable is missing, or there are too many regimens.

    Examples
    --------
    >>> response = xr.DataArray(
    ...     np.linspace(-10, 0, 5).reshape(1, 1, 5, 1, 1),
    ...     {"outcome": ["pain"], "regimen": ["0.5 mg/kg over 40 min"], "hour": np.arange(5.0)},
    ...     ("outcome", "regimen", "hour", "chain", "draw"),
    ... )
    >>> answer = xr.Dataset({"response": response}).assign_coords(
    ...     extrapolated=xr.zeros_like(response[..., 0, 0], bool),
    ...     ends=("regimen", [40 / 60]), label=("outcome", ["Pain"]),
    ...     unit=("outcome", ["points"]), fades=("outcome", [True]),
    ... )
    >>> nb.plot_regimens_over_time(answer).axes[0].get_title(loc="left")
    'Pain'
    """
    require_variables(answer, ("response", "extrapolated"), "plot_regimens_over_time")
    regimens, attrs = [str(name) for name in answer[REGIMEN].values], answer.attrs
    if len(regimens) > len(LINE_STYLES):
        limit = len(LINE_STYLES)
        raise ValueError(f"{len(regimens)} regimens are too many; draw at most {limit}")
    outcomes = [answer.sel({OUTCOME: outcome}) for outcome in answer[OUTCOME].values]
    with styled_figure(FULL_WIDTH, 3.0) as figure:
        grid = figure.subplots(1, len(outcomes), squeeze=False)[0]
        for axes, outcome in zip(grid, outcomes, strict=True):
            _draw_regimens(axes, outcome)
        keys = [
            line_key(one_line(name, 60), look.color, ls=look.linestyle)
            for name, look in zip(regimens, LINE_STYLES, strict=False)
        ]
        beyond = line_key(BEYOND_EXPOSURES, GREY, ls=":", lw=2.4)
        extrapolated = bool(answer["extrapolated"].any())
        end = marker_key("end of treatment", "^", GREY, ms=6)
        figure.add_legend(*keys, end, extrapolated and beyond, columns=2)
        labels = [one_line(outcome["label"].item()) for outcome in outcomes]
        static = [label for label, o in zip(labels, outcomes, strict=True) if not o["fades"].item()]
        baseline = attrs.get("baseline_risk")
        figure.add_note(
            f"{_population(attrs)}. Lines: medians; bands: {INTERVAL_TEXT}s.",
            baseline is not None and f"Risks at a baseline of {baseline:.0%}.",
            len(static) > 0
            and f"{' and '.join(static)}: cumulative effect by that time; without a time course in"
            " the fit the effect does not fade.",
        )
        ends = "; ".join(
            _describe_ends(f"{label}, {one_line(name)}", o["response"].sel({REGIMEN: name}))
            for label, o in zip(labels, outcomes, strict=True)
            for name in regimens
        )
        first, last = answer[HOUR].values[[0, -1]]
        hours = f"{first:.3g} to {last:.3g} hours after the first dose"
        figure.set_alt_text(f"Outcomes of regimens from {hours}, medians. {ends}.")
    return figure


def _draw_regimens(axes: Axes, outcome: xr.Dataset) -> None:
    interval, hours = credible_interval(outcome["response"]), outcome[HOUR].values
    foot = axes.get_xaxis_transform()
    for name, look in zip(outcome[REGIMEN].values, LINE_STYLES, strict=False):
        band = interval.sel({REGIMEN: name})
        low, median, high = (band[k].values for k in ("lower", "median", "upper"))
        axes.fill_between(hours, low, high, color=look.color, alpha=0.16, lw=0)
        axes.plot(hours, median, color=look.color, ls=look.linestyle)
        beyond = outcome["extrapolated"].sel({REGIMEN: name}).values
        if beyond.any():
            axes.plot(hours[beyond], median[beyond], color=GREY, ls=":", lw=2.4)
        end = float(outcome["ends"].sel({REGIMEN: name}))
        if end <= hours.max():
            axes.plot(end, 0.02, "^", ms=5, color=look.color, transform=foot, clip_on=False)
    axes.set_xlim(0, float(hours.max()))
    axes.set_xlabel("hours since the first administration")
    _label_outcome(axes, outcome)
