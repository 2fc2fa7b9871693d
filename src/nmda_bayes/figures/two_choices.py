"""Two choices at once: the window's probability over every pair of their settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from nmda_bayes.figures.labelled import need_variables
from nmda_bayes.figures.style import BLACK, drawing
from nmda_bayes.figures.text import plain, wrapped
from nmda_bayes.figures.variants import CHOICE, VARIANT, titled, turned


def plot_two_choices(
    cell: xr.Dataset, choices: tuple[str, str], variable: str = "p_window"
) -> Figure:
    """Draw a number over the settings of two choices, all others as in the base.

    Parameters
    ----------
    cell
        As `nmda_bayes.sensitivity.one_cell` gives it.
    choices
        Two choices of the table: rows and columns.
    variable
        ``p_window``, ``p_best`` or ``best_dose``.

    Returns
    -------
    Figure
        A heat map with its numbers printed; a pair that was not run is empty.

    Raises
    ------
    ValueError
        If a variable or choice is missing, or no variant turns both.
    """
    need_variables(cell, (variable,), "plot_two_choices")
    unknown = [c for c in choices if c not in cell[CHOICE].to_numpy()]
    if unknown:
        raise ValueError(f"plot_two_choices: no choice is called '{unknown[0]}'")
    values, rows, columns = _grid(cell, choices, variable)
    if np.isfinite(values[1:, 1:]).sum() == 0:
        raise ValueError("plot_two_choices needs variants that turn both choices (a multiverse)")
    share = variable.startswith("p_")
    width, height = 2.6 + 0.75 * len(columns), 1.5 + 0.3 * len(rows)
    with drawing(min(max(width, 3.5), 7.2), height) as figure:
        axes = figure.subplots()
        limits = (0.0, 1.0) if share else (np.nanmin(values), np.nanmax(values))
        shown: Any = axes.imshow(
            np.ma.masked_invalid(values), cmap="cividis", vmin=limits[0], vmax=limits[1],
            aspect="auto",
        )  # fmt: skip
        _numbers(axes, values, limits, share)
        axes.set_xticks(range(len(columns)), [wrapped(plain(c, 34), 14) for c in columns])
        axes.set_yticks(range(len(rows)), [plain(r, 40) for r in rows])
        axes.set_xlabel(plain(choices[1], 60))
        axes.set_ylabel(wrapped(plain(choices[0], 60), 24))
        axes.set_title(titled(cell), loc="left")
        axes.tick_params(length=0)
        label = "P(enough benefit and acceptable harm)" if share else variable.replace("_", " ")
        figure.colorbar(shown, ax=axes, label=wrapped(label, 24))
        told = values[np.isfinite(values)]
        figure.set_label(
            f"Heat map, {titled(cell)}: {label} over {plain(choices[0])} and {plain(choices[1])},"
            f" from {told.min():.2g} to {told.max():.2g}; {values[0, 0]:.2g} in the base."
        )
    return figure


def _grid(
    cell: xr.Dataset, choices: tuple[str, str], variable: str
) -> tuple[np.ndarray, list[str], list[str]]:
    """Find the variants that turn these choices alone."""
    moved = turned(cell)
    others = moved.drop_sel({CHOICE: list(choices)}).sum(CHOICE).to_numpy() == 0
    pairs = cell["setting"].sel({CHOICE: list(choices)}).to_numpy()
    settings = [list(dict.fromkeys(pairs[others, side])) for side in (0, 1)]
    values = np.full([len(side) for side in settings], np.nan)
    for number, (row, column) in enumerate(pairs):
        if others[number]:
            place = settings[0].index(row), settings[1].index(column)
            values[place] = float(cell[variable].isel({VARIANT: number}))
    return values, *([str(one) for one in side] for side in settings)  # type: ignore[return-value]


def _numbers(axes: Any, values: np.ndarray, limits: tuple[float, float], share: bool) -> None:
    middle = limits[0] + 0.55 * (limits[1] - limits[0])
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            text = f"{100 * value:.0f} %" if share else f"{value:.3g}"
            colour = BLACK if value > middle else "white"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=7)
        else:
            axes.text(column, row, "not run", ha="center", va="center", fontsize=6)
