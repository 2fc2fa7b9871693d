"""Benefit against added risk over dose, and the therapeutic window."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DOSE, DRAW, OUTCOME, SAMPLE
from nmda_bayes.figures.dose import RISK
from nmda_bayes.figures.layout import (
    BEYOND_DOSES,
    cell_title,
    choose_cells,
    dose_axis,
    draw_line,
    flag_runs,
    label_dose_axis,
    mark_doses,
    min_trials,
    most_studied_cell,
    outline_text,
    panel_grid,
    panel_message,
    percent_axis,
    require_dims,
    require_variables,
    tested_doses_to_mark,
    untested_side,
)
from nmda_bayes.figures.style import (
    BENEFIT_STYLE,
    BLACK,
    BLUE,
    BOTH_STYLE,
    EXTRAPOLATED_HATCH,
    EXTRAPOLATED_LINE,
    FULL_WIDTH,
    GREY,
    HARM_STYLE,
    LIGHT_GREY,
    line_key,
    one_line,
    patch_key,
    styled_figure,
    within_sentence,
    wrap_text,
)
from nmda_bayes.intervals import INTERVAL_TEXT, credible_interval

PROBABILITY_STYLES = {"p_benefit": BENEFIT_STYLE, "p_risk": HARM_STYLE, "p_both": BOTH_STYLE}
THRESHOLD: dict[str, Any] = {"color": BLACK, "lw": 0.8, "ls": (0, (1, 1.5))}


# The benefit-risk plane.


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
        From `nmda_bayes.dose_response` (dims outcome, agent, condition, dose, chain, draw) or
        `nmda_bayes.therapeutic_window`. A window with the draws ``gain`` and ``added_risk``
        (agent, condition, dose, chain, draw) is drawn like a response; otherwise the probability
        of enough benefit is drawn against that of too much risk.
    benefit
        The outcome of a response that is the benefit; its first difference if None.
    harm
        The outcome of a response that is the harm; its first risk if None.
    benefit_at_least
        The least benefit that matters, in the outcome's units; that of the window if None.
    risk_at_most
        The largest acceptable added risk; that of the window if None.

    Returns
    -------
    Figure
        One panel a cell; crosses are the intervals at the labelled doses.

    Raises
    ------
    ValueError
        If a dim, variable or outcome is missing.

    Examples
    --------
    >>> curve = nb.dose_response(fit)
    >>> figure = nb.plot_benefit_risk(curve, benefit="analgesia", harm="psychotomimetic")
    >>> figure.get_label()[:29]
    'Benefit-risk plane over dose.'
    """
    if isinstance(source, xr.DataArray):
        plane = _plane_of_response(source, benefit, harm)
    else:
        plane = _plane_of_window(source)
    attrs = {**plane.attrs, **source.attrs}
    least = attrs.get("benefit_at_least") if benefit_at_least is None else benefit_at_least
    most = attrs.get("risk_at_most") if risk_at_most is None else risk_at_most
    has_intervals = "x_lower" in plane
    page = choose_cells(min_trials(plane), "trials of both")
    with styled_figure(min(FULL_WIDTH, 2.2 + 2.2 * page.columns), 0.5 + 1.8 * page.rows) as figure:
        ylabel = wrap_text(plane.attrs["y"], 32)
        grid = panel_grid(figure, len(page.selected), page.columns, ylabel=ylabel)
        for axes, cell in zip(grid.flat, page.selected, strict=False):
            _draw_path(axes, plane.sel(cell))
            if has_intervals:
                axes.axhline(0, color="#999999", lw=0.5, zorder=0)
                axes.axvline(0, color="#999999", lw=0.5, zorder=0)
                if least is not None:
                    axes.axvline(least, label="_threshold", zorder=0, **THRESHOLD)
                if most is not None:
                    axes.axhline(most, label="_threshold", zorder=0, **THRESHOLD)
        doses = one_line(source.attrs.get("exposure_axis", ""), 80)
        labelled = f"; numbers: {doses}" if doses else ""
        label_dose_axis(figure, f"{plane.attrs['x']}{labelled}", "", page.omitted)
        thresholds = [f"benefit {least:g}"] if least is not None else []
        thresholds += [f"added risk {100 * most:g}%"] if most is not None else []
        point: dict[str, Any] = {"marker": "o", "ms": 3.5}
        beyond = {"mfc": "white", "ls": EXTRAPOLATED_LINE, **point}
        figure.add_legend(
            line_key(f"{'median' if has_intervals else 'probability'} by dose", BLUE, **point),
            line_key("beyond the tested doses", BLUE, **beyond),
            has_intervals
            and line_key(f"{INTERVAL_TEXT} at the labelled tested dose", BLUE, lw=0.7, marker="+"),
            bool(has_intervals and thresholds)
            and line_key(f"thresholds: {', '.join(thresholds)}", **THRESHOLD),
        )
        figure.set_alt_text(
            f"Benefit-risk plane over dose. Horizontal: {plane.attrs['x']}. Vertical:"
            f" {plane.attrs['y']}.",
            _describe_plane(plane),
        )
    return figure


def _plane_of_response(response: xr.DataArray, benefit: str | None, harm: str | None) -> xr.Dataset:
    """Place a response on the benefit-risk plane, as intervals."""
    dims = (OUTCOME, AGENT, CONDITION, DOSE, CHAIN, DRAW)
    require_dims(response, dims, "plot_benefit_risk")
    scales = response["scale"].to_series()
    benefits, harms = scales.index[scales != RISK], scales.index[scales == RISK]
    if (benefit is None and not len(benefits)) or (harm is None and not len(harms)):
        raise ValueError(
            "plot_benefit_risk needs a benefit on a difference scale and a harm on a risk scale;"
            f" the response has {dict(scales)}. Name them with benefit=... and harm=..."
        )
    outcomes = [response.sel({OUTCOME: n}) for n in (benefit or benefits[0], harm or harms[0])]
    if RISK in [o["scale"].item() for o in outcomes] and "baseline_risk" not in response.attrs:
        raise ValueError("plot_benefit_risk needs the response's attribute 'baseline_risk'")
    gain, added = (
        o - response.attrs["baseline_risk"] if o["scale"].item() == RISK else o for o in outcomes
    )
    good, bad = outcomes
    plane = _intervals(-gain if str(good["better"].item()) == "lower" else gain, added).assign(
        trials_benefit=good["trials"].reset_coords(drop=True),
        trials_harm=bad["trials"].reset_coords(drop=True),
        extrapolated=(good["extrapolated"] | bad["extrapolated"]).reset_coords(drop=True),
    )
    if "tested" in response.coords:
        tested = (good["tested"] | bad["tested"]).reset_coords(drop=True)
        plane = plane.assign_coords(tested=tested)
    names = (one_line(text.item(), 60) for text in (good["label"], bad["label"], good["unit"]))
    return _name_plane(plane, response, *names)


def _plane_of_window(window: xr.Dataset) -> xr.Dataset:
    """Place a therapeutic window on the benefit-risk plane, as intervals or probabilities."""
    require_dims(window, (AGENT, CONDITION, DOSE), "plot_benefit_risk")
    attrs = {"benefit_label": "benefit", "harm_label": "harm", "benefit_unit": ""} | window.attrs
    benefit, harm = one_line(attrs["benefit_label"], 60), one_line(attrs["harm_label"], 60)
    unit = one_line(attrs["benefit_unit"], 30)
    if "gain" in window and "added_risk" in window:
        plane = _intervals(window["gain"], window["added_risk"])
    else:
        require_variables(window, ("p_benefit", "p_risk"), "plot_benefit_risk")
        probabilities = {"x": window["p_benefit"], "y": 1 - window["p_risk"]}
        plane = xr.Dataset(probabilities).reset_coords(drop=True)
    for name in ("trials_benefit", "trials_harm", "extrapolated"):
        plane[name] = window[name].reset_coords(drop=True)
    if "tested" in window.coords:
        plane = plane.assign_coords(tested=window["tested"].reset_coords(drop=True))
    plane = _name_plane(plane, window, benefit, harm, unit)
    if "x_lower" in plane:
        return plane
    least, most = attrs["benefit_at_least"], attrs["risk_at_most"]
    gain, added = within_sentence(benefit), within_sentence(harm)
    return plane.assign_attrs(
        x=f"probability that {gain} is better by at least {least:g} {unit}".rstrip(),
        y=f"probability that the added risk of {added} is above {100 * most:g}%",
    )


def _intervals(gain: xr.DataArray, added: xr.DataArray) -> xr.Dataset:
    names = {"median": "", "lower": "_lower", "upper": "_upper"}
    intervals = [
        credible_interval(draws.reset_coords(drop=True), SAMPLE).rename(
            {name: f"{axis}{suffix}" for name, suffix in names.items()}
        )
        for axis, draws in (("x", gain), ("y", added))
    ]
    return xr.merge(intervals, combine_attrs="drop")


def _name_plane(
    plane: xr.Dataset, source: xr.DataArray | xr.Dataset, benefit: str, harm: str, unit: str
) -> xr.Dataset:
    """Add the labels of agents and conditions, and the names of both axes."""
    known = (f"{AGENT}_label", f"{CONDITION}_label", "reference_text")
    labels = [name for name in known if name in source.coords]
    plane = plane.assign_coords({name: source[name].reset_coords(drop=True) for name in labels})
    x = f"benefit: {within_sentence(benefit)}, gain" + (f" ({unit})" if unit else "")
    return plane.assign_attrs(x=x, y=f"added risk of {within_sentence(harm)}")


def _draw_path(axes: Axes, cell: xr.Dataset) -> None:
    untested = untested_side(cell)
    beyond = np.asarray(cell["extrapolated"].values, dtype=bool) | bool(untested)
    color = GREY if untested else BLUE
    x, y, doses = cell["x"].values, cell["y"].values, cell[DOSE].values
    draw_line(axes, x, y, beyond, color)
    marked = [i for i in tested_doses_to_mark(cell) if doses[i] > 0]
    if "x_lower" in cell:
        errors: dict[str, Any] = {
            f"{k}err": [
                (cell[k] - cell[f"{k}_lower"]).values[marked],
                (cell[f"{k}_upper"] - cell[k]).values[marked],
            ]
            for k in "xy"
        }
        style: dict[str, Any] = {"ecolor": color, "elinewidth": 0.6, "alpha": 0.6, "zorder": 1}
        axes.errorbar(x[marked], y[marked], fmt="none", label="_interval", **errors, **style)
    else:
        percent_axis(axes.xaxis)
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
    percent_axis(axes.yaxis)
    mark_doses(axes, x[marked], y[marked], beyond[marked], color, "o")
    for position, i in enumerate(marked):
        above = (3, 3 if position % 2 else -8)
        style = {"xytext": above, "textcoords": "offset points", "fontsize": 6, "zorder": 5}
        outline_text(axes.annotate(f"{float(f'{doses[i]:.2g}'):g}", (x[i], y[i]), **style))
    axes.set_title(cell_title(cell))
    panel_message(axes, untested)


def _describe_plane(plane: xr.Dataset) -> str:
    cell = plane.sel(most_studied_cell(min_trials(plane)))
    tested = np.flatnonzero(~np.asarray(cell["extrapolated"].values, dtype=bool))
    if not len(tested):
        return "No dose shown was tested for both outcomes."
    last = cell.isel({DOSE: int(tested[-1])})
    return (
        f"{cell_title(cell, ' in ')} at {float(last[DOSE]):.3g}, the largest dose tested for both:"
        f" {float(last['x']):.3g} horizontally, {float(last['y']):.1%} vertically."
    )


# The therapeutic window.


def plot_therapeutic_window(window: xr.Dataset) -> Figure:
    """Draw the probability of enough benefit, of acceptable harm, and of both, over dose.

    Parameters
    ----------
    window
        From `nmda_bayes.therapeutic_window`: ``p_benefit``, ``p_risk`` and ``p_both`` (agent,
        condition, dose).

    Returns
    -------
    Figure
        One panel a cell, hatched beyond the tested doses.

    Raises
    ------
    ValueError
        If a dim or variable is missing.

    Examples
    --------
    >>> window = nb.therapeutic_window(fit, benefit_at_least=10, risk_at_most=0.1)
    >>> figure = nb.plot_therapeutic_window(window.isel(agent=[0], condition=[0]))
    >>> figure.axes[0].get_ylabel()
    'probability'
    """
    needed = (*PROBABILITY_STYLES, "trials_benefit", "trials_harm")
    require_variables(window, needed, "plot_therapeutic_window")
    require_dims(window, (AGENT, CONDITION, DOSE), "plot_therapeutic_window")
    page, remark = choose_cells(min_trials(window), "trials of both"), ""
    with styled_figure(min(FULL_WIDTH, 2.4 + 1.9 * page.columns), 0.45 + 1.6 * page.rows) as figure:
        grid = panel_grid(figure, len(page.selected), page.columns, ylabel="probability")
        for axes, cell in zip(grid.flat, page.selected, strict=False):
            remark = _draw_probabilities(axes, window.sel(cell))
        exposure_axis = window.attrs.get("exposure_axis", "dose")
        label_dose_axis(figure, exposure_axis, remark, page.omitted)
        figure.add_legend(*_probability_keys(window.attrs))
        figure.set_alt_text(_describe_window(window))
    return figure


def _draw_probabilities(axes: Axes, cell: xr.Dataset) -> str:
    doses = cell[DOSE].values
    remark = dose_axis(axes, doses)
    untested = untested_side(cell)
    beyond = np.asarray(cell["extrapolated"].values, dtype=bool) | bool(untested)
    hatch: dict[str, Any] = {"fc": "none", "ec": LIGHT_GREY, "hatch": EXTRAPOLATED_HATCH, "lw": 0}
    for part, outside in flag_runs(beyond):
        if outside:
            axes.axvspan(*doses[part][[0, -1]], zorder=0, label="_extrapolated", **hatch)
    marked = tested_doses_to_mark(cell)
    for name, look in PROBABILITY_STYLES.items():
        p = cell[name].values
        draw_line(axes, doses, p, beyond, look.color, linestyle=look.linestyle, name=name)
        mark_doses(axes, doses[marked], p[marked], beyond[marked], look.color, look.marker)
    axes.set_ylim(-0.03, 1.03)
    percent_axis(axes.yaxis)
    axes.set_title(cell_title(cell))
    panel_message(axes, untested)
    return remark


def _probability_keys(attrs: dict[str, Any]) -> list[Artist]:
    benefit, harm = (one_line(attrs.get(f"{side}_label", side), 40) for side in ("benefit", "harm"))
    gain = f"{attrs['benefit_at_least']:g} {one_line(attrs.get('benefit_unit', ''), 20)}".rstrip()
    gain = re.sub(r"^1 points\b", "1 point", gain)
    risk, baseline = (f"{100 * attrs[k]:g}%" for k in ("risk_at_most", "baseline_risk"))
    texts = (
        f"{benefit} better by at least {gain}",
        f"added risk of {within_sentence(harm)} at most {risk} (baseline {baseline})",
        "both",
    )
    keys: list[Artist] = [
        line_key(text, look.color, ls=look.linestyle, marker=look.marker, ms=3.5, lw=1.8)
        for text, look in zip(texts, PROBABILITY_STYLES.values(), strict=True)
    ]
    return [*keys, patch_key(BEYOND_DOSES, edgecolor=LIGHT_GREY, hatch=EXTRAPOLATED_HATCH)]


def _describe_window(window: xr.Dataset) -> str:
    had = window["tested"] if "tested" in window.coords else True
    tested = window["p_both"].where(~window["extrapolated"] & had)
    head = "Probability of enough benefit, of acceptable added risk, and of both, by dose"
    if not bool(tested.notnull().any()):
        return f"{head}. No dose shown was tested for both outcomes."
    best = tested.stack(cell=tested.dims).dropna("cell")
    top = best.isel(cell=int(best.values.argmax()))
    return (
        f"{head}, for {window.sizes[AGENT]} agents and {window.sizes[CONDITION]} conditions. Within"
        f" the tested doses, the probability of both is highest, {float(top):.0%}, for"
        f" {cell_title(top, ' in ')} at {float(top[DOSE]):.3g}."
    )
