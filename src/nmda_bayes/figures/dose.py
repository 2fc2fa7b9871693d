"""Dose-response curves of a fit and of the catalogue, and the exposures of trial arms."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmda_bayes.components.curves import CURVES, Curve
from nmda_bayes.components.links import LINKS, LOGIT, risk_at_effect
from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DOSE, DRAW, OUTCOME
from nmda_bayes.figures.layout import (
    BEYOND_DOSES,
    band_keys,
    cell_title,
    choose_cells,
    dose_axis,
    draw_band,
    label_bottom_axes,
    label_dose_axis,
    log_axis,
    panel_grid,
    panel_message,
    percent_axis,
    require_columns,
    require_dims,
    require_variables,
)
from nmda_bayes.figures.row_chart import Column, RowSeries, row_chart
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    LIGHT_GREY,
    ORANGE,
    OUTCOME_STYLES,
    SeriesStyle,
    display_name,
    marker_key,
    one_line,
    styled_figure,
    within_sentence,
    wrap_text,
)
from nmda_bayes.intervals import INTERVAL_LEVEL, INTERVAL_TEXT, credible_interval

RISK, RATIO, CORRELATION = "risk", "ratio", "correlation"


# Dose-response curves of a fit.


def plot_dose_response(
    response: xr.DataArray, observed: Mapping[str, xr.Dataset] | None = None
) -> Figure:
    """Draw every outcome over one dose axis: median, interval, and the trial arms.

    Parameters
    ----------
    response
        From `nmda_bayes.dose_response`: dims outcome, agent, condition, dose, chain, draw. Select
        agents or conditions with ``.sel`` to draw fewer.
    observed
        By outcome, its `nmda_bayes.study_effects`, or the design's rows.

    Returns
    -------
    Figure
        One column of panels a cell, its outcomes one above the other. Bands are hatched and medians
        broken beyond the tested doses; a cell without trials is grey.

    Raises
    ------
    ValueError
        If a dim is missing.

    Examples
    --------
    >>> curve = nb.dose_response(fit)
    >>> figure = nb.plot_dose_response(curve.isel(agent=[0], condition=[0]))
    >>> len(figure.axes) == curve.sizes["outcome"]
    True
    """
    require_dims(response, (OUTCOME, AGENT, CONDITION, DOSE, CHAIN, DRAW), "plot_dose_response")
    outcomes, agents = list(response[OUTCOME].values), list(response[AGENT].values)
    baseline = response.attrs.get("baseline_risk")
    points = {
        name: _arm_points(
            rows, str(response["scale"].sel({OUTCOME: name}).item()), baseline, agents
        )
        for name, rows in (observed or {}).items()
        if name in outcomes
    }
    page = choose_cells(response["trials"].sum(OUTCOME))
    bands, remark = [_cell_interval(response, cell) for cell in page.selected], ""
    width, height = min(FULL_WIDTH, 2.2 + 2.2 * page.columns), 0.35 + 1.2 * len(outcomes)
    with styled_figure(width, 0.5 + page.rows * height) as figure:
        count = page.rows * len(outcomes) * page.columns
        grid = panel_grid(figure, count, page.columns, sharey="row")
        # (row of cells, outcome, column of cells)
        panels = grid.reshape(page.rows, len(outcomes), page.columns)
        for i, band in enumerate(bands):
            stack = panels[i // page.columns, :, i % page.columns]
            stack[0].set_title(cell_title(band))
            for o, (axes, outcome) in enumerate(zip(stack, outcomes, strict=True)):
                curve = band.sel({OUTCOME: outcome})
                remark = _draw_response(axes, curve, OUTCOME_STYLES[o % len(OUTCOME_STYLES)])
                if outcome in points:
                    _draw_arms(axes, points[outcome], page.selected[i])
                if i % page.columns == 0:
                    axes.set_ylabel(_response_label(curve))
        for axes in panels.transpose(0, 2, 1).reshape(-1, len(outcomes))[len(bands) :].flat:
            axes.set_visible(False)
        label_bottom_axes(grid)
        for o in range(len(outcomes)):
            visible = [axes for axes in panels[:, o].flat if axes.get_visible()]
            limits = np.array([axes.get_ylim() for axes in visible])
            for axes in visible:
                axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
        risks = f"risks at a baseline of {100 * baseline:g}%" if baseline is not None else ""
        remark = "; ".join(filter(None, (remark, risks)))
        label_dose_axis(figure, response.attrs.get("exposure_axis", "dose"), remark, page.omitted)
        figure.add_legend(*_response_keys(response, points))
        sentences = [_describe_response([b.sel({OUTCOME: o}) for b in bands]) for o in outcomes]
        figure.set_alt_text("Dose-response curves over one dose axis.", *sentences)
    return figure


def _cell_interval(response: xr.DataArray, cell: dict[str, object]) -> xr.Dataset:
    """Summarise one cell; a quantile drops the labels of absent dims, so these go last."""
    selected = response.sel({dim: [label] for dim, label in cell.items()})
    return credible_interval(selected).squeeze([*cell])


def _draw_response(axes: Axes, band: xr.Dataset, style: SeriesStyle) -> str:
    doses, scale, trials = band[DOSE].values, str(band["scale"].item()), int(band["trials"])
    remark = dose_axis(axes, doses)
    color = style.color if trials else GREY
    extrapolated = np.asarray(band["extrapolated"].values, dtype=bool) | (trials == 0)
    draw_band(axes, doses, band, extrapolated, color, color)
    if scale == RISK:
        percent_axis(axes.yaxis)
    else:
        if scale == RATIO:
            axes.set_yscale("log")
            log_axis(axes.yaxis)
        axes.axhline(1 if scale == RATIO else 0, color=GREY, lw=0.6, zorder=0)
    panel_message(axes, "" if trials else "no trials")
    return remark


def _arm_points(
    rows: xr.Dataset, scale: str, baseline_risk: float | None, active: Collection[str]
) -> pd.DataFrame:
    """Place trial arms on the scale of a dose-response figure.

    The baseline of a study differs from that of the curves. Log odds ratios are therefore applied
    to the curves' baseline; otherwise the height of an arm would show how ill its patients were.
    """
    require_variables(rows, ("agent", "condition", "exposure"), "plot_dose_response, observed,")
    frame = rows[[n for n in rows.variables if rows[n].dims == ("arm",)]].to_dataframe()
    if "raw" not in frame:
        frame = _against_reference(frame)
    if "comparator" in frame:
        frame = frame[~frame["comparator"].isin(active)]
    value = frame["raw"].to_numpy(float)
    if scale == RISK:
        link = LINKS[rows.attrs.get("link", LOGIT.name)]
        value = risk_at_effect(np.nan if baseline_risk is None else baseline_risk, value, link)
    elif scale == RATIO:
        value = np.exp(value)
    elif scale == CORRELATION:
        value = np.tanh(value)
    points = frame[["agent", "condition", "exposure"]].astype({"exposure": float})
    return points.assign(value=value, weight=1 / frame["raw_se"].to_numpy(float))


def _against_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """Compare each arm with its study's arm at exposure 0."""
    if "mean" in frame:
        frame = frame.assign(level=frame["mean"], level_se=frame["se"])
    else:
        events, n = frame["events"].astype(float), frame["n"].astype(float)
        events = events.where((events > 0) & (events < n))
        variance = 1 / events + 1 / (n - events)
        frame = frame.assign(level=np.log(events / (n - events)), level_se=np.sqrt(variance))
    ordered = frame.sort_values("exposure", kind="stable")
    active = ordered[ordered.duplicated("study")]
    reference = ordered.drop_duplicates("study").set_index("study").loc[active["study"]]
    at_zero = reference["exposure"].to_numpy(float) == 0
    active, reference = active[at_zero], reference[at_zero]
    return active.assign(
        raw=active["level"].to_numpy() - reference["level"].to_numpy(),
        raw_se=np.hypot(active["level_se"].to_numpy(), reference["level_se"].to_numpy()),
    )


def _draw_arms(axes: Axes, points: pd.DataFrame, cell: dict[str, object]) -> None:
    """Draw a cell's arms: circles sized by precision, crosses at the foot where not estimable."""
    arms = points[(points["agent"] == cell[AGENT]) & (points["condition"] == cell[CONDITION])]
    known, unknown = arms[arms["value"].notna()], arms[arms["value"].isna()]
    area = 6 + 54 * known["weight"] / points["weight"].max()
    circle: dict[str, Any] = {"fc": "white", "ec": BLACK, "lw": 0.7, "alpha": 0.85, "zorder": 3}
    axes.scatter(known["exposure"], known["value"], s=area, label="_arms", **circle)
    cross: dict[str, Any] = {"s": 14, "marker": "x", "color": BLACK, "lw": 0.8, "zorder": 3}
    cross |= {"transform": axes.get_xaxis_transform(), "label": "_not estimable"}
    axes.scatter(unknown["exposure"], np.full(len(unknown), 0.05), **cross)


def _response_label(band: xr.Dataset) -> str:
    name, unit = one_line(band["label"].item(), 60), one_line(band["unit"].item(), 30)
    difference = f"{name}, difference" + (f" ({unit})" if unit else "")
    texts = {
        RISK: f"risk of {within_sentence(name)}",
        RATIO: f"{name}, {unit}",
        CORRELATION: f"{name}, {unit}",
    }
    better = str(band["better"].item())
    text = wrap_text(texts.get(str(band["scale"].item()), difference), 21)
    return text + (f"\n({better} is better)" if better else "")


def _response_keys(response: xr.DataArray, points: Mapping[str, pd.DataFrame]) -> list[Artist]:
    extrapolated = bool(response["extrapolated"].any() or (response["trials"] == 0).any())
    keys = band_keys(BEYOND_DOSES if extrapolated else "", GREY)
    if points:
        text = "trial arm (larger: more precise)"
        if (response["scale"] == RISK).any():
            text += "; risks at the baseline of the curves"
        keys.append(marker_key(text, mfc="white", ms=5))
    if any(arms["value"].isna().any() for arms in points.values()):
        keys.append(marker_key("trial arm, not estimable (no events)", "x"))
    return keys


def _describe_response(bands: list[xr.Dataset]) -> str:
    """Write the effect at the largest tested dose, in the cell with the most trials."""
    band = max(bands, key=lambda band: int(band["trials"]))
    label = one_line(band["label"].item())
    tested = np.flatnonzero(~np.asarray(band["extrapolated"].values, dtype=bool))
    if int(band["trials"]) == 0 or not len(tested):
        return f"{label}: no trials."
    last = band.isel({DOSE: int(tested[-1])})
    low, median, high = (f"{float(last[k]):.3g}" for k in ("lower", "median", "upper"))
    at = f"{cell_title(last, ' in ')} at {float(last[DOSE]):.3g}"
    return f"{label}, {at}: {median} ({INTERVAL_TEXT} {low} to {high})."


# Curves of the catalogue: for values, for draws, and for their suggested priors.

N_DOSES, N_SINGLE_DRAWS, CURVE_COLUMNS = 121, 30, 3
SAMPLE_DIM = "draw_of_parameters"
#: Tested doses of the catalogue, in multiples of a reference dose: each curve's example has them.
TESTED_DOSES = (0.25, 1.0, 4.0)
#: Draws from each suggested prior: enough for a band.
N_PRIOR_DRAWS = 400


def plot_curve(
    curve: str,
    parameters: Mapping[str, Any],
    *,
    options: Mapping[str, Any] | None = None,
    dose: Sequence[float] | np.ndarray | None = None,
) -> Figure:
    """Draw a curve of the catalogue over dose, with its formula.

    Parameters
    ----------
    curve
        Its name in the catalogue.
    parameters
        By name: a value each, or draws of each, as an array or a variable of a fit's prior or
        posterior (all of one length; curves are drawn for them jointly).
    options
        Its options, as in a spec's ``curve_options``.
    dose
        Doses >= 0; 0 to 4 if None.

    Returns
    -------
    Figure
        One line for single values; for draws their median and 95% CrI, with some of the curves.

    Raises
    ------
    ValueError
        If the curve, an option or a parameter is unknown, or parameters are missing or differ in
        length.

    Examples
    --------
    >>> figure = nb.plot_curve("emax", {"emax": -10.0, "log_ed50": 0.0}, dose=[0, 1, 3])
    >>> figure.axes[0].lines[-1].get_ydata()[1:].tolist()
    [-5.0, -7.5]
    """
    configured = CURVES[curve].with_options(options or {})
    values = _align_draws(configured, parameters)
    doses = np.linspace(0, 4, N_DOSES) if dose is None else np.asarray(dose, dtype=float)
    with styled_figure(3.6, 2.9) as figure:
        axes = figure.subplots()
        effect = _draw_curve(axes, configured, values, doses)
        axes.set_xlabel("dose")
        axes.set_ylabel("effect relative to dose 0")
        formula, n_draws = _formula(configured), len(effect)
        figure.add_note(f"{formula}.", f"Line: median; band: {INTERVAL_TEXT}." * (n_draws > 1))
        draws = f" (median of {n_draws} draws)" if n_draws > 1 else ""
        figure.set_alt_text(
            f"The curve {formula}, over doses {doses.min():g} to {doses.max():g}: an effect of"
            f" {np.median(effect[:, -1]):.3g} at the last dose{draws}."
        )
    return figure


def plot_curve_catalogue(
    names: Sequence[str] | None = None, *, largest_effect: float = 1.0
) -> Figure:
    """Draw the curves of the catalogue under their suggested priors.

    Parameters
    ----------
    names
        Which curves; all if None.
    largest_effect
        The largest plausible effect, to which the priors are scaled.

    Returns
    -------
    Figure
        One panel a curve: median, 95% CrI and some draws, with its formula.

    Examples
    --------
    >>> figure = nb.plot_curve_catalogue(["linear", "emax"])
    >>> [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    ['linear', 'emax']
    """
    curves = [CURVES[name].with_options(CURVES[name].example) for name in names or CURVES]
    doses = np.linspace(0, max(TESTED_DOSES) * 1.25, N_DOSES)
    rng = np.random.default_rng(1)
    with styled_figure(FULL_WIDTH, 0.4 + 1.75 * -(-len(curves) // CURVE_COLUMNS)) as figure:
        grid = panel_grid(figure, len(curves), CURVE_COLUMNS, ylabel="effect")
        for axes, curve in zip(grid.flat, curves, strict=False):
            _draw_curve(axes, curve, _prior_draws(curve, largest_effect, rng), doses)
            axes.set_title(curve.name, loc="left", fontweight="bold")
            axes.set_xlabel("\n".join(textwrap.wrap(curve.text, 44)[:3]), fontsize=6)
            for tested in TESTED_DOSES:
                axes.axvline(tested, color=GREY, lw=0.4, zorder=0)
        grid.flat[0].set_ylim(-1.6 * largest_effect, 1.6 * largest_effect)
        text = (
            f"Curves under their suggested priors, for a largest plausible effect of"
            f" {largest_effect:g} and the tested doses at the grey lines. Line: median; band:"
            f" {INTERVAL_TEXT}. Suggested priors are never a default."
        )
        figure.add_note(text)
        figure.set_alt_text(f"{len(curves)} curves: {', '.join(c.name for c in curves)}.", text)
    return figure


def _align_draws(curve: Curve, parameters: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """Give all parameters of a curve the same draws, over one dim."""
    missing = [name for name in curve.parameters if name not in parameters]
    unknown = [name for name in parameters if name not in curve.parameters]
    if missing or unknown:
        parts = [f"lacks {', '.join(missing)}"] if missing else []
        parts += [f"has no parameter {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"the curve '{curve.name}' {'; '.join(parts)}")
    flat = {name: np.ravel(np.asarray(v, dtype=float)) for name, v in parameters.items()}
    lengths = {name: len(values) for name, values in flat.items()}
    if len({*lengths.values()} - {1}) > 1:
        counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"the parameters differ in their number of draws: {counts}")
    longest = max(lengths.values())
    return {
        name: xr.DataArray(np.broadcast_to(values, longest), dims=SAMPLE_DIM)
        for name, values in flat.items()
    }


def _prior_draws(
    curve: Curve, largest_effect: float, rng: np.random.Generator
) -> dict[str, xr.DataArray]:
    draws = {}
    for name, suggestion in curve.prior_suggestions(TESTED_DOSES).items():
        prior = suggestion.as_spec(largest_effect)["kwargs"]
        values = rng.normal(prior["mu"], prior["sigma"], N_PRIOR_DRAWS)
        draws[name] = xr.DataArray(values, dims=SAMPLE_DIM)
    return draws


def _draw_curve(
    axes: Axes, curve: Curve, values: Mapping[str, xr.DataArray], doses: np.ndarray
) -> np.ndarray:
    """Draw a curve for its draws, and return its effects (draw, dose)."""
    response = curve.response(xr.DataArray(doses, dims=DOSE), values, np)
    effect = np.asarray(response.transpose(SAMPLE_DIM, DOSE).to_numpy(), dtype=float)
    axes.axhline(0, color=GREY, lw=0.6, zorder=0)
    if len(effect) == 1:
        axes.plot(doses, effect[0], color=BLUE, lw=1.6)
        return effect
    tail = (1 - INTERVAL_LEVEL) / 2
    low, median, high = np.quantile(effect, [tail, 0.5, 1 - tail], axis=0)
    axes.fill_between(doses, low, high, color=BLUE, alpha=0.15, lw=0)
    axes.plot(doses, effect[:N_SINGLE_DRAWS].T, color=BLUE, lw=0.4, alpha=0.5)
    axes.plot(doses, median, color=BLACK, lw=1.4)
    return effect


def _formula(curve: Curve) -> str:
    symbols = f", where {curve.symbols}" if curve.symbols else ""
    return f"{curve.name}: f(x) = {curve.text} for x > 0, else 0{symbols}"


# Tested exposures of an outcome, labelled with the regimen.

#: Arms that one figure can name.
MAX_ARMS = 40


def plot_exposure_axis(arms: pd.DataFrame, axis: str) -> Figure:
    """Draw arms by exposure, one row each, labelled with what was given."""
    columns = ("study", "agent", "route", "schedule", "exposure", "by_model")
    require_columns(arms, columns, "plot_exposure_axis")
    rows = arms[arms["exposure"] > 0].sort_values("exposure", kind="stable")
    if rows.empty:
        raise ValueError("plot_exposure_axis: no arm has a dose")
    n_omitted, rows = max(0, len(rows) - MAX_ARMS), rows.tail(MAX_ARMS)
    rows = rows.iloc[::-1]
    exposure, by_model = rows["exposure"].to_numpy(float), rows["by_model"].to_numpy(bool)
    points = np.stack([exposure] * 3, axis=-1)
    series = [
        RowSeries(label, np.where(selected[:, None], points, np.nan), style, width=0)
        for label, selected, style in (
            ("from its pharmacokinetic model", by_model, SeriesStyle(BLUE)),
            ("relative dose (no model)", ~by_model, SeriesStyle(ORANGE, marker="s", hollow=True)),
        )
    ]
    left = [Column("trial arm", [_describe_arm(row) for _, row in rows.iterrows()])]
    limits = exposure.min() / 2, exposure.max() * 1.5
    options: dict[str, Any] = {"xlabel": axis, "limits": limits, "null": None, "log": True}
    with row_chart(len(rows), series, left=left, **options) as (figure, axes):
        axes.hlines(range(len(rows)), limits[0], exposure, colors=LIGHT_GREY, lw=0.7, zorder=0)
        if n_omitted:
            figure.add_note(f"{n_omitted} arms with smaller exposure are not drawn.")
        low, high = (
            f"{row['exposure']:.3g} ({one_line(row['schedule'])})"
            for row in (rows.iloc[-1], rows.iloc[0])
        )
        figure.set_alt_text(f"{len(rows)} arms by exposure, from {low} to {high}.")
    return figure


def _describe_arm(arm: pd.Series) -> str:
    schedule = one_line(arm["schedule"], 46) or "schedule not reported"
    route = "" if arm["route"] == "iv" else f" {display_name(arm['route'], 14)}"
    return f"{one_line(arm['study'], 22)}: {display_name(arm['agent'], 18)}{route} {schedule}"
