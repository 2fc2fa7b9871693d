"""Row charts: forest of the trials, model against published or adjusted estimates, node splits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from nmda_bayes.dims import ARM, CHAIN, DRAW, UNNAMED_CONDITION
from nmda_bayes.figures.layout import require_columns, require_dims, require_variables
from nmda_bayes.figures.row_chart import Column, RowSeries, row_chart, stack_estimates
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    LIGHT_GREY,
    ORANGE,
    POSTERIOR_STYLE,
    REPORTED_STYLE,
    SeriesStyle,
    StyledFigure,
    column_decimals,
    display_name,
    format_estimates,
    format_number,
    one_line,
)
from nmda_bayes.intervals import INTERVAL_LEVEL, INTERVAL_TEXT, credible_interval

HALF_WIDTH = NormalDist().inv_cdf((1 + INTERVAL_LEVEL) / 2)
CONFIDENCE_INTERVAL = f"{INTERVAL_LEVEL:.0%} CI"


# Forest of the trials.


def plot_forest(study_effects: xr.Dataset) -> Figure:
    """Draw a forest plot: each comparison as reported, as estimated, and predicted for a new trial.

    Parameters
    ----------
    study_effects
        From `nmda_bayes.study_effects`: dim arm; ``raw``, ``raw_se``, ``raw_note``, ``shrunk`` and
        ``predicted`` (chain, draw, arm).

    Returns
    -------
    Figure
        Rows grouped by agent and condition, in order of exposure. A row without a trial estimate
        states why it has none.

    Raises
    ------
    ValueError
        If a dim or variable is missing.

    Examples
    --------
    >>> figure = nb.plot_forest(nb.study_effects(fit, "analgesia"))
    >>> figure.get_label()[:14]
    'Forest plot of'
    """
    needed = ("raw", "raw_se", "shrunk", "predicted", "agent", "condition", "exposure", "study")
    require_variables(study_effects, needed, "plot_forest")
    require_dims(study_effects, (ARM,), "plot_forest")
    for name in ("shrunk", "predicted"):
        require_dims(study_effects[name], (CHAIN, DRAW), f"plot_forest, {name},")
    rows, ratio = _forest_rows(study_effects), study_effects.attrs.get("ratio", "")
    arms = rows[rows["is_arm"]]
    limits = _forest_limits(rows)
    columns = [str(c) for c in rows if str(c).rpartition("_")[2] in ("median", "lower", "upper")]
    if ratio or study_effects.attrs.get("correlation"):
        natural = np.exp if ratio else np.tanh
        rows[columns] = natural(rows[columns].astype(float))
        limits = float(natural(limits[0])), float(natural(limits[1]))
        arms = rows[rows["is_arm"]]
    decimals = None if ratio else column_decimals(limits[1] - limits[0])
    reported, estimated, predicted = (
        rows[[f"{name}_{part}" for part in ("median", "lower", "upper")]].to_numpy(float)
        for name in ("raw", "shrunk", "predicted")
    )
    of_dose = " of that dose" if rows["dose"].any() else ""
    series = [
        RowSeries(
            f"predicted new trial{of_dose}\n({INTERVAL_TEXT})",
            predicted,
            SeriesStyle(LIGHT_GREY, marker=""),
            width=8,
        ),
        RowSeries(f"trial estimate ({CONFIDENCE_INTERVAL})", reported, REPORTED_STYLE, -0.2, 0.7),
        RowSeries(f"model estimate\n(median, {INTERVAL_TEXT})", estimated, POSTERIOR_STYLE, 0.16),
    ]
    indent = rows["is_arm"].map({True: "  ", False: ""})
    left = [Column("study: arm", list(indent + rows["label"]))]
    if rows["dose"].any():
        left.insert(0, Column("dose", list(rows["dose"]), "right"))
    right = [
        Column(
            f"trial estimate [{CONFIDENCE_INTERVAL}]", _trial_estimates(rows, reported, decimals)
        ),
        Column(f"model estimate [{INTERVAL_TEXT}]", _estimate_texts(estimated, decimals)),
    ]
    label, scale = (one_line(study_effects.attrs.get(k, ""), 60) for k in ("label", "scale"))
    compared = f"{ratio}, arm vs comparator" if ratio else f"{scale}, arm minus comparator"
    if study_effects.attrs.get("correlation"):
        scale, compared = "correlation", "correlation, arm vs comparator"
    scale = ratio or scale
    xlabel = f"{label}: {compared}".lstrip(": ")
    headings = set(np.flatnonzero(~rows["is_arm"]).tolist())
    options: dict[str, Any] = {"xlabel": xlabel, "limits": limits, "bold": headings}
    options |= {"log": bool(ratio), "null": 1.0 if ratio else 0.0}
    with row_chart(len(rows), series, left=left, right=right, **options) as (figure, _):
        medians, missing = arms["shrunk_median"], int(arms["raw_median"].isna().sum())
        figure.set_alt_text(
            f"Forest plot of {len(arms)} comparisons from {arms['study'].nunique()} studies,"
            f" {label or 'effect'}, in {scale or 'its units'}: model estimates from"
            f" {medians.min():.3g} to {medians.max():.3g}, each with its {INTERVAL_TEXT}.",
            missing > 0 and f"{missing} without a trial estimate.",
        )
    return figure


def _forest_rows(effects: xr.Dataset) -> pd.DataFrame:
    """Make a row an arm, sorted, under a heading for each agent and condition."""
    arms = pd.DataFrame({c: effects[c].values for c in ("agent", "condition", "study", "exposure")})
    arms["label"] = [one_line(label) for label in effects[ARM].values]
    if "comparator" in effects.coords:
        # A comparison of two active arms must not look like one with the reference.
        active = pd.Series(effects["comparator"].values)
        named = " vs " + active.map(lambda agent: display_name(agent, 20))
        arms["label"] += named.where(active.isin(arms["agent"]), "")
    texts = effects["dose_text"].values if "dose_text" in effects.coords else None
    # Without a dose axis an exposure only tells the reference (0) from the others (1).
    is_dose = not arms["exposure"].dropna().isin([0, 1]).all()
    known = [f"{x:.3g}" if is_dose and np.isfinite(x) else "" for x in arms["exposure"]]
    arms["dose"] = known if texts is None else [one_line(text, 28) for text in texts]
    for dim in ("agent", "condition"):
        name = f"{dim}_label"
        words = effects[name].values if name in effects.coords else arms[dim].map(display_name)
        arms[name] = [one_line(text, 40) for text in words]
    note = effects["raw_note"].values if "raw_note" in effects else [""] * len(arms)
    arms["note"] = [one_line(text, 60) for text in note]
    raw, half_width = effects["raw"], HALF_WIDTH * effects["raw_se"]
    intervals: dict[str, Any] = {
        name: credible_interval(effects[name].reset_coords(drop=True))
        for name in ("shrunk", "predicted")
    }
    intervals["raw"] = {"median": raw, "lower": raw - half_width, "upper": raw + half_width}
    for name, interval in intervals.items():
        for part in ("lower", "median", "upper"):
            arms[f"{name}_{part}"] = interval[part].values
    order = ["agent", "condition", "exposure", "study", "label"]
    arms = arms.sort_values(order, kind="stable").assign(is_arm=True)
    parts = []
    for _, group in arms.groupby(["agent", "condition"], sort=True):
        agent, condition = group[["agent_label", "condition_label"]].iloc[0]
        unnamed = group["condition"].iloc[0] == UNNAMED_CONDITION
        heading = agent if unnamed else f"{agent}, {condition}"
        first = {"label": [heading], "is_arm": [False], "note": [""], "dose": [""]}
        parts += [pd.DataFrame(first), group]
    return pd.concat(parts, ignore_index=True)


def _forest_limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Show every model interval and trial estimate, but not every trial's interval."""
    shown = rows.filter(regex="predicted_|shrunk_|raw_median").to_numpy(float)
    low, high = np.nanmin([np.nanmin(shown), 0.0]), np.nanmax([np.nanmax(shown), 0.0])
    pad = 0.05 * (high - low or 1.0)
    return float(low - pad), float(high + pad)


def _estimate_texts(estimates: np.ndarray, decimals: int | None) -> list[str]:
    """Write estimates with their intervals; of ratios (no decimals stated) three digits."""
    if decimals is not None:
        return format_estimates(estimates, decimals)

    def text(ratio: float) -> str:
        return format_number(ratio, 2 if ratio < 10 else 1 if ratio < 100 else 0)

    rows = [[text(x) for x in row] if np.isfinite(row[0]) else [] for row in estimates]
    return [f"{row[0]} [{row[1]}, {row[2]}]" if row else "" for row in rows]


def _trial_estimates(rows: pd.DataFrame, reported: np.ndarray, decimals: int | None) -> list[str]:
    """Write trial estimates with their intervals, or why there is none."""
    texts = _estimate_texts(reported, decimals)
    reasons = [
        (str(note).split(":")[0].removeprefix("a ") or "not reported") if is_arm else ""
        for note, is_arm in zip(rows["note"], rows["is_arm"], strict=True)
    ]
    return [text or reason for text, reason in zip(texts, reasons, strict=True)]


# Two estimates a row.


def plot_bias_adjustment(table: pd.DataFrame, *, axis: str = "effect") -> Figure:
    """Draw effects as the trials show them, and adjusted for bias.

    Parameters
    ----------
    table
        A row an effect: ``label``, and ``apparent`` and ``without`` (median) with ``_low`` and
        ``_high``.
    axis
        Name and unit of the effect.

    Returns
    -------
    Figure
        Two intervals a row, with their numbers.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["ketamine"], "apparent": [-12.0], "without": [-8.0]})
    >>> for name in ("apparent", "without"):
    ...     table[f"{name}_low"], table[f"{name}_high"] = table[name] - 5, table[name] + 5
    >>> nb.plot_bias_adjustment(table, axis="pain, points").get_label()
    'Effects unadjusted and adjusted for bias, pain, points. ketamine: −12.00 and −8.00.'
    """
    names = ("apparent", "without")
    legend = [f"{kind} (median, {INTERVAL_TEXT})" for kind in ("unadjusted", "adjusted for bias")]
    figure = _draw_two_estimates(table, names, ("unadjusted", "adjusted"), legend, axis)
    decimals = column_decimals(float(np.ptp(_estimates(table, names).to_numpy(float))))
    effects = "; ".join(
        f"{label}: {format_number(apparent, decimals)} and {format_number(adjusted, decimals)}"
        for label, apparent, adjusted in table[["label", *names]].itertuples(index=False)
    )
    head = f"Effects unadjusted and adjusted for bias, {one_line(axis)}."
    figure.set_alt_text(head, f"{effects}.")
    return figure


def plot_published_comparison(
    table: pd.DataFrame, *, axis: str = "estimate", log: bool = False
) -> Figure:
    """Draw published estimates and those of this model, row by row.

    Parameters
    ----------
    table
        From `nmda_bayes.compare_with_published`: ``label``, and ``published`` and ``ours`` with
        ``_low`` and ``_high``.
    axis
        Name and unit of the estimate.
    log
        Whether the estimates are ratios, drawn on a logarithmic axis.

    Returns
    -------
    Figure
        Two intervals a row, with their numbers.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["pain"], "published": [-15.8], "ours": [-14.0]})
    >>> for name in ("published", "ours"):
    ...     table[f"{name}_low"], table[f"{name}_high"] = table[name] - 9, table[name] + 9
    >>> nb.plot_published_comparison(table, axis="points").get_label()[:41]
    'Published estimates and those of this mod'
    """
    names = ("published", "ours")
    legend = [f"published ({CONFIDENCE_INTERVAL})", f"this model (median, {INTERVAL_TEXT})"]
    headings = ("published", "this model")
    figure = _draw_two_estimates(table, names, headings, legend, axis, "not published", log=log)
    both = _estimates(table, names).dropna(subset=["published", "ours", "ours_low", "ours_high"])
    inside = int(both["published"].between(both["ours_low"], both["ours_high"]).sum())
    figure.set_alt_text(
        f"Published estimates and those of this model, {one_line(axis)}, {len(table)} rows:"
        f" {inside} of {len(both)} published estimates lie within this model's {INTERVAL_TEXT}."
    )
    return figure


def _estimates(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    columns = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    require_columns(table, ["label", *columns], "the figure")
    return table[columns]


def _draw_two_estimates(
    table: pd.DataFrame,
    names: tuple[str, str],
    headings: tuple[str, str],
    legend: Sequence[str],
    axis: str,
    missing: str = "",
    *,
    log: bool = False,
) -> StyledFigure:
    """Draw two named estimates a row: hollow squares above filled circles."""
    pair = [_estimates(table, [name]).to_numpy(float) for name in names]
    styles = (REPORTED_STYLE, POSTERIOR_STYLE)
    series = [
        RowSeries(label, estimates, style, offset)
        for label, estimates, style, offset in zip(legend, pair, styles, (-0.17, 0.17), strict=True)
    ]
    left = [Column("", [one_line(text, 46) for text in table["label"]])]
    right = [
        Column(heading, format_estimates(estimates, missing=missing))
        for heading, estimates in zip(headings, pair, strict=True)
    ]
    null = 1 if log else 0
    options: dict[str, Any] = {"xlabel": axis, "height": 0.31, "null": null, "log": log}
    with row_chart(len(table), series, left=left, right=right, **options) as (figure, _):
        return figure


# Node splits.

COMPARISON, SOURCE = "comparison", "source"


def plot_node_splits(splits: xr.Dataset) -> Figure:
    """Draw direct, indirect and joint evidence of every comparison that was split.

    Parameters
    ----------
    splits
        From `nmda_bayes.compare_direct_indirect`: ``lower``, ``median`` and ``upper`` (comparison,
        source), and ``difference_*``, ``p_value`` and ``direct_trials`` (comparison).

    Returns
    -------
    Figure
        One row a comparison, with the difference of direct and indirect evidence and its tail
        probability.

    Raises
    ------
    ValueError
        If a dim or variable is missing.

    Examples
    --------
    >>> estimates = {"median": [[-5.0, 1.0, -2.0]], "lower": [[-7, -1, -4]], "upper": [[-3, 3, 0]]}
    >>> splits = xr.Dataset(
    ...     {name: (("comparison", "source"), values) for name, values in estimates.items()}
    ...     | {
    ...         f"difference_{name}": ("comparison", [value])
    ...         for name, value in (("median", -6.0), ("lower", -9.0), ("upper", -3.0))
    ...     }
    ...     | {"p_value": ("comparison", [0.0004]), "direct_trials": ("comparison", [3])},
    ...     {"comparison": ["ketamine vs placebo"]},
    ... )
    >>> "< 0.001" in [text.get_text() for text in nb.plot_node_splits(splits).axes[0].texts]
    True
    """
    require_dims(splits, (COMPARISON, SOURCE), "plot_node_splits")
    parts = ("lower", "median", "upper", "difference_median", "p_value", "direct_trials")
    require_variables(splits, parts, "plot_node_splits")
    splits = splits.transpose(COMPARISON, SOURCE)
    estimates = stack_estimates(splits)
    looks = (
        (f"direct trials, {INTERVAL_TEXT}", SeriesStyle(BLACK, marker="s")),
        ("other trials (indirect)", SeriesStyle(ORANGE, marker="D")),
        ("all, assuming consistency", SeriesStyle(BLUE)),
    )
    series = [
        RowSeries(label, estimates[:, i], style, 0.24 * (i - 1))
        for i, (label, style) in enumerate(looks)
    ]
    difference = stack_estimates(splits, [f"difference_{k}" for k in ("median", "lower", "upper")])
    decimals = column_decimals(float(np.nanmax(estimates) - np.nanmin(estimates)))
    p_values = splits["p_value"].values
    trials = [str(int(n)) for n in splits["direct_trials"].values]
    names = [one_line(name, 40) for name in splits[COMPARISON].values]
    left = [Column("trials", trials, "right"), Column("comparison", names)]
    right = [
        Column("direct − indirect", format_estimates(difference, decimals)),
        Column("p", [_format_p(p) for p in p_values]),
    ]
    title, scale, dose = (
        one_line(splits.attrs.get(k, ""), 60) for k in ("title", "scale_text", "dose")
    )
    xlabel = f"{title}: {scale}, {dose}"
    chart = row_chart(len(names), series, left=left, right=right, xlabel=xlabel, height=0.34)
    with chart as (figure, _):
        figure.add_note(
            "p: two-sided posterior tail probability of the difference (twice the smaller tail"
            " beyond 0). Of many comparisons some fall below 0.05 by chance; a large p does not"
            " prove consistency, as few trials have little power."
        )
        figure.set_alt_text(
            f"Direct and indirect evidence of {len(names)} comparisons, {title}, medians and"
            f" {INTERVAL_TEXT}s: the smallest tail probability of a difference is"
            f" {_format_p(p_values.min())}, of {names[int(p_values.argmin())]}."
        )
    return figure


def _format_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
