"""Sensitivity analysis: leave-one-out, specification curve, tornado, grid of two settings."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmda_bayes.figures.layout import require_dims, require_variables
from nmda_bayes.figures.row_chart import Column, RowSeries, row_chart, stack_estimates
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    LIGHT_GREY,
    ORANGE,
    POSTERIOR_STYLE,
    VERMILLION,
    SeriesStyle,
    display_name,
    format_estimates,
    format_number,
    line_key,
    marker_key,
    one_line,
    patch_key,
    styled_figure,
    wrap_text,
)
from nmda_bayes.intervals import INTERVAL_TEXT

VARIANT, CHOICE, STATISTIC = "variant", "choice", "statistic"
LEAVE_ONE_OUT: Final = "leave_one_out"
#: Rows of a tornado.
MAX_BARS: Final = 24
BASE_STYLE: Final = SeriesStyle(BLACK, marker="D")
FAILED_STYLE: Final = SeriesStyle(VERMILLION, hollow=True)
FAILED: Final = "convergence checks failed"
#: Opacity of the base case's interval.
BASE_ALPHA: Final = 0.5


def _estimated_variants(cell: xr.Dataset, figure: str) -> xr.Dataset:
    """Select the variants that have an estimate, and give each statistic a variable."""
    require_variables(cell, ("effect",), figure)
    require_dims(cell["effect"], (VARIANT, STATISTIC), figure)
    statistics = cell["effect"].to_dataset(STATISTIC)
    variants = cell.drop_dims(STATISTIC).assign(statistics.data_vars)
    estimated = np.flatnonzero(np.isfinite(variants["median"].to_numpy()))
    if not len(estimated) or estimated[0] != 0:
        raise ValueError(f"{figure} needs an estimate of the base case, which comes first")
    return variants.isel({VARIANT: estimated})


def _is_changed(variants: xr.Dataset) -> xr.DataArray:
    """Flag the settings (variant, choice) that differ from the base case."""
    return variants["setting"] != variants["setting"].isel({VARIANT: 0}, drop=True)


def _failed_checks(variants: xr.Dataset) -> np.ndarray:
    return ~variants["passed"].to_numpy().astype(bool)


def _title_and_axis(cell: xr.Dataset) -> tuple[str, str]:
    attrs = cell.attrs
    return one_line(attrs.get("title", ""), 60), one_line(attrs.get("axis", "effect"), 110)


def plot_leave_one_out(cell: xr.Dataset) -> Figure:
    """Draw the estimate without each part of the evidence, and with all of it.

    Parameters
    ----------
    cell
        From `nmda_bayes.select_cell`, with variants of kind ``leave_one_out``.

    Returns
    -------
    Figure
        One row a part that was left out, the base case on top; hollow where convergence checks
        failed.

    Raises
    ------
    ValueError
        If a dim or variable is missing, or no variant leaves anything out.

    Examples
    --------
    >>> cell = xr.Dataset(
    ...     {
    ...         "effect": (("variant", "statistic"), [[-8, -5, -2, 1.5], [-10, -7, -4, 1.5]]),
    ...         "kind": ("variant", ["base", "leave_one_out"]),
    ...         "trials": ("variant", [8, 7]),
    ...         "passed": ("variant", [True, True]),
    ...     },
    ...     {"statistic": ["lower", "median", "upper", "sd"], "variant": ["base", "without A"]},
    ... )
    >>> axes = nb.plot_leave_one_out(cell).axes[0]
    >>> [text.get_text() for text in axes.texts][:3]
    ['left out', 'nothing (base case)', 'A']
    """
    variants = _estimated_variants(cell, "plot_leave_one_out")
    left_out = variants["kind"].to_numpy() == LEAVE_ONE_OUT
    if not left_out.any():
        raise ValueError(f"plot_leave_one_out needs variants of kind '{LEAVE_ONE_OUT}'")
    left_out[0] = True
    rows = variants.isel({VARIANT: np.flatnonzero(left_out)})
    count, estimates, failed = rows.sizes[VARIANT], stack_estimates(rows), _failed_checks(rows)
    median, is_base = rows["median"].to_numpy(), np.arange(count) == 0
    shift = (median - median[0]) / float(rows["sd"][0])
    series = [
        RowSeries(label, np.where(selected[:, None], estimates, np.nan), style)
        for label, selected, style in (
            (f"base case (median, {INTERVAL_TEXT})", is_base, BASE_STYLE),
            (f"without it (median, {INTERVAL_TEXT})", ~is_base & ~failed, POSTERIOR_STYLE),
            (FAILED, ~is_base & failed, FAILED_STYLE),
        )
    ]
    names = [display_name(str(v).removeprefix("without "), 44) for v in rows[VARIANT].values[1:]]
    left = [Column("left out", ["nothing (base case)", *names])]
    right = [
        Column("trials", [str(int(n)) for n in rows["trials"].to_numpy()], "right"),
        Column("shift (SDs)", ["", *(format_number(x, 2) for x in shift[1:])], "right"),
        Column(f"median [{INTERVAL_TEXT}]", format_estimates(estimates)),
    ]
    title, axis = _title_and_axis(cell)
    options: dict[str, Any] = {"xlabel": axis, "title": title, "height": 0.17, "bold": {0}}
    with row_chart(count, series, left=left, right=right, **options) as (figure, axes):
        axes.axvspan(*estimates[0, 1:], color=LIGHT_GREY, alpha=BASE_ALPHA, lw=0, zorder=0)
        axes.axvline(median[0], color=BLACK, lw=0.6, ls=(0, (3, 2)), zorder=1)
        farthest = int(np.abs(shift).argmax())
        figure.set_alt_text(
            f"Leave-one-out plot, {title}, {axis}: {count - 1} estimates without a part of the"
            f" evidence; the median, {median[0]:.3g} with all, shifts most, to"
            f" {median[farthest]:.3g}, without {['nothing', *names][farthest]}. Intervals are"
            f" {INTERVAL_TEXT}s."
        )
    return figure


def plot_specification_curve(cell: xr.Dataset) -> Figure:
    """Draw all variants in order of their median, with the changed settings below.

    Parameters
    ----------
    cell
        From `nmda_bayes.select_cell`.

    Returns
    -------
    Figure
        One column a variant; the base case is marked; hollow where convergence checks failed.

    Raises
    ------
    ValueError
        If a dim or variable is missing, or the base case has no estimate.

    Examples
    --------
    >>> cell = xr.Dataset(
    ...     {
    ...         "effect": (("variant", "statistic"), [[-8, -5, -2, 1.5], [-10, -7, -4, 1.5]]),
    ...         "setting": (("variant", "choice"), [["emax"], ["linear"]]),
    ...         "passed": ("variant", [True, True]),
    ...     },
    ...     {"statistic": ["lower", "median", "upper", "sd"], "choice": ["curve"]},
    ...     {"title": "Ketamine", "axis": "points"},
    ... )
    >>> nb.plot_specification_curve(cell).get_label().split(";")[0]
    'Specification curve, Ketamine, points: medians of 2 variants from -7 to -5, the base case -5'
    """
    variants = _estimated_variants(cell, "plot_specification_curve")
    changed = _is_changed(variants)
    order = np.argsort(variants["median"].to_numpy(), kind="stable")
    # The choice that is changed most often comes next to the curve.
    choices = np.argsort(-changed.sum(VARIANT).to_numpy(), kind="stable")
    dots = changed.isel({VARIANT: order, CHOICE: choices})
    height = 0.15 * dots.sizes[CHOICE]
    title, axis = _title_and_axis(cell)
    with styled_figure(FULL_WIDTH, 2.3 + height) as figure:
        curve, settings = figure.subplots(2, 1, sharex=True, height_ratios=[2.0, max(height, 0.2)])
        _draw_curve(curve, variants.isel({VARIANT: order}), order == 0)
        _draw_settings(settings, dots)
        curve.set_ylabel(wrap_text(axis.replace(": ", "\n", 1), 32), fontsize=6.5)
        curve.set_title(f"{title}: {len(order)} variants", loc="left")
        hollow: dict[str, Any] = {"mfc": "white", "mec": VERMILLION}
        figure.add_legend(
            marker_key("base case", "D"),
            line_key(f"variant (median, {INTERVAL_TEXT})", BLUE, marker="o", ms=3.5, lw=0.9),
            bool(_failed_checks(variants).any()) and marker_key(FAILED, **hollow),
            patch_key(f"{INTERVAL_TEXT} of the base case", LIGHT_GREY, alpha=BASE_ALPHA),
        )
        median, lower, upper = (variants[k].values for k in ("median", "lower", "upper"))
        figure.set_alt_text(
            f"Specification curve, {title}, {axis}: medians of {len(median)} variants from"
            f" {median.min():.3g} to {median.max():.3g}, the base case {median[0]:.3g};"
            f" {(upper < 0).sum()} have a {INTERVAL_TEXT} wholly below 0 and {(lower > 0).sum()}"
            " wholly above."
        )
    return figure


def _draw_curve(axes: Axes, variants: xr.Dataset, is_base: np.ndarray) -> None:
    x, failed = np.arange(variants.sizes[VARIANT]), _failed_checks(variants)
    median, lower, upper = (variants[k].values for k in ("median", "lower", "upper"))
    ends = lower[is_base][0], upper[is_base][0]
    axes.axhspan(*ends, color=LIGHT_GREY, alpha=BASE_ALPHA, lw=0, label="_base")
    axes.axhline(0, color=GREY, lw=0.7)
    axes.vlines(x, lower, upper, colors=BLUE, lw=0.9)
    for selected, style, size in (
        (~failed & ~is_base, POSTERIOR_STYLE, 10),
        (failed & ~is_base, FAILED_STYLE, 10),
        (is_base, BASE_STYLE, 26),
    ):
        colors: dict[str, Any] = {"fc": style.face, "ec": style.color, "lw": 0.9, "zorder": 3}
        axes.scatter(x[selected], median[selected], s=size, marker=style.marker, **colors)


def _draw_settings(axes: Axes, changed: xr.DataArray) -> None:
    row, column = np.nonzero(changed.transpose(CHOICE, VARIANT).values)
    axes.scatter(column, row, s=7, marker="s", color=BLACK, linewidths=0)
    names = [one_line(name, 46) for name in changed[CHOICE].values]
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(-0.8, changed.sizes[VARIANT] - 0.2)
    axes.set_xticks([])
    axes.set_xlabel("variants in order of their median; dot: setting changed from the base case")
    axes.tick_params(length=0)
    axes.grid(axis="y", color=LIGHT_GREY, lw=0.4)
    axes.spines[["bottom", "left"]].set_visible(False)


def plot_tornado(cell: xr.Dataset) -> Figure:
    """Draw, for each choice, the range of medians over its settings, widest first.

    Parameters
    ----------
    cell
        From `nmda_bayes.select_cell`.

    Returns
    -------
    Figure
        One bar a choice, around the base case's median. Variants that change several choices are
        left out.

    Raises
    ------
    ValueError
        If a dim or variable is missing, or no variant changes a single choice.

    Examples
    --------
    >>> cell = xr.Dataset(
    ...     {
    ...         "effect": (("variant", "statistic"), [[-8, -5, -2, 1.5], [-10, -7, -4, 1.5]]),
    ...         "setting": (("variant", "choice"), [["emax"], ["linear"]]),
    ...         "passed": ("variant", [True, True]),
    ...     },
    ...     {"statistic": ["lower", "median", "upper", "sd"], "choice": ["curve"]},
    ...     {"title": "Ketamine", "axis": "points"},
    ... )
    >>> nb.plot_tornado(cell).get_label()
    'Tornado plot, Ketamine, points: 1 choices; curve shifts the median most, from -7 to -5.'
    """
    variants = _estimated_variants(cell, "plot_tornado")
    bars = _tornado_bars(variants)
    if bars.empty:
        raise ValueError("plot_tornado needs variants that change a single choice")
    shown, n_omitted = bars.head(MAX_BARS), max(0, len(bars) - MAX_BARS)
    lower, base, upper = (float(variants[k][0]) for k in ("lower", "median", "upper"))
    names = [
        f"{one_line(choice, 44)} ({count})"
        for choice, count in zip(shown["choice"], shown["settings"], strict=True)
    ]
    settings = [
        " | ".join(one_line(setting, 26) or "–" for setting in pair)
        for pair in shown[["low_setting", "high_setting"]].itertuples(index=False)
    ]
    keys = [
        patch_key("medians below the base case", BLUE),
        patch_key("medians above it", ORANGE),
        patch_key(f"{INTERVAL_TEXT} of the base case", LIGHT_GREY, alpha=BASE_ALPHA),
        line_key("median of the base case", BLACK, lw=0.9),
    ]
    title, axis = _title_and_axis(cell)
    left = [Column("choice (settings)", names)]
    right = [Column("setting with lowest | highest estimate", settings)]
    options: dict[str, Any] = {"xlabel": axis, "title": title, "null": None, "keys": keys}
    with row_chart(len(shown), left=left, right=right, **options) as (figure, axes):
        axes.axvspan(lower, upper, color=LIGHT_GREY, alpha=BASE_ALPHA, lw=0, zorder=0)
        y, low, high = np.arange(len(shown)), shown["low"], shown["high"]
        axes.barh(y, base - low, left=low, height=0.62, color=BLUE, zorder=2)
        axes.barh(y, high - base, left=base, height=0.62, color=ORANGE, zorder=2)
        axes.axvline(base, color=BLACK, lw=0.9, zorder=3)
        if n_omitted:
            figure.add_note(f"{n_omitted} choices with a smaller range are not drawn.")
        widest = shown.iloc[0]
        figure.set_alt_text(
            f"Tornado plot, {title}, {axis}: {len(bars)} choices; {widest['choice']} shifts the"
            f" median most, from {widest['low']:.3g} to {widest['high']:.3g}."
        )
    return figure


def _tornado_bars(variants: xr.Dataset) -> pd.DataFrame:
    """Make a row a choice: the range of medians where it alone is changed, widest first."""
    changed = _is_changed(variants).transpose(VARIANT, CHOICE).to_numpy()
    alone, medians = changed.sum(axis=1) == 1, variants["median"].to_numpy()
    base, bars = medians[0], list[dict[str, Any]]()
    for position, choice in enumerate(variants[CHOICE].to_numpy()):
        rows = np.flatnonzero(alone & changed[:, position])
        if len(rows):
            settings = variants["setting"].sel({CHOICE: choice}).to_numpy()
            lowest, highest = rows[medians[rows].argmin()], rows[medians[rows].argmax()]
            bars.append(
                {
                    "choice": str(choice),
                    "settings": len(rows),
                    "low": min(base, medians[lowest]),
                    "high": max(base, medians[highest]),
                    "low_setting": str(settings[lowest]) if medians[lowest] < base else "",
                    "high_setting": str(settings[highest]) if medians[highest] > base else "",
                }
            )
    bars.sort(key=lambda bar: bar["low"] - bar["high"])
    return pd.DataFrame(bars)


def plot_multiverse_grid(
    cell: xr.Dataset, choices: tuple[str, str], variable: str = "p_window"
) -> Figure:
    """Draw a number over the settings of two choices, all others as in the base case.

    Parameters
    ----------
    cell
        From `nmda_bayes.select_cell`, with a multiverse of the two choices.
    choices
        The choice of the rows, and that of the columns.
    variable
        The number drawn (variant); a probability if its name begins with ``p_``.

    Returns
    -------
    Figure
        A heat map with its numbers; pairs that were not run are blank.

    Raises
    ------
    ValueError
        If the variable, a choice, or variants that change both choices are missing.

    Examples
    --------
    >>> settings = [[curve, bias] for bias in ("all", "low bias") for curve in ("emax", "linear")]
    >>> cell = xr.Dataset(
    ...     {
    ...         "p_window": ("variant", [0.4, 0.2, 0.3, 0.1]),
    ...         "setting": (("variant", "choice"), settings),
    ...     },
    ...     {"choice": ["curve", "trials"]},
    ... )
    >>> figure = nb.plot_multiverse_grid(cell, ("curve", "trials"))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['40%', '30%', '20%', '10%']
    """
    require_variables(cell, (variable,), "plot_multiverse_grid")
    for choice in choices:
        if choice not in cell[CHOICE].to_numpy():
            raise ValueError(f"plot_multiverse_grid: unknown choice '{choice}'")
    table = _two_choice_table(cell, choices, variable)
    values = table.to_numpy(float)
    if not np.isfinite(values[1:, 1:]).any():
        raise ValueError("plot_multiverse_grid needs variants that change both choices")
    is_probability = variable.startswith("p_")
    low, high = (0.0, 1.0) if is_probability else (np.nanmin(values), np.nanmax(values))
    label = "Pr(enough benefit and acceptable harm)" if is_probability else display_name(variable)
    first, second = (one_line(choice, 60) for choice in choices)
    width, height = 2.6 + 0.75 * values.shape[1], 1.5 + 0.3 * values.shape[0]
    title, _ = _title_and_axis(cell)
    with styled_figure(min(max(width, 3.5), FULL_WIDTH), height) as figure:
        axes = figure.subplots()
        masked: Any = np.ma.masked_invalid(values)
        image = axes.imshow(masked, cmap="cividis", vmin=low, vmax=high, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            text = f"{value:.0%}" if is_probability else f"{value:.3g}"
            color = BLACK if not value <= low + 0.55 * (high - low) else "white"
            style: dict[str, Any] = {"ha": "center", "va": "center", "color": color}
            axes.text(column, row, text if np.isfinite(value) else "not run", **style)
        columns = [wrap_text(one_line(name, 34), 14) for name in table.columns]
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(table)), [one_line(name, 40) for name in table.index])
        axes.set_xlabel(second)
        axes.set_ylabel(wrap_text(first, 24))
        axes.set_title(title, loc="left")
        axes.tick_params(length=0)
        figure.colorbar(image, ax=axes, label=wrap_text(label, 24))
        figure.set_alt_text(
            f"Heat map, {title}: {label} over {first} and {second}, from {np.nanmin(values):.2g} to"
            f" {np.nanmax(values):.2g}; {values[0, 0]:.2g} in the base case."
        )
    return figure


def _two_choice_table(cell: xr.Dataset, choices: tuple[str, str], variable: str) -> pd.DataFrame:
    """Arrange the variants that change these choices alone by their settings, the base first."""
    others = _is_changed(cell).drop_sel({CHOICE: list(choices)}).any(CHOICE).to_numpy()
    settings = cell["setting"].sel({CHOICE: list(choices)}).transpose(VARIANT, CHOICE)
    table = pd.DataFrame(settings.to_numpy(), columns=["row", "column"])
    table = table.assign(value=cell[variable].to_numpy())[~others]
    rows, columns = table["row"].unique(), table["column"].unique()
    grid = table.pivot_table("value", "row", "column", aggfunc="last", dropna=False)
    return grid.reindex(index=rows, columns=columns)
