"""Checks of the arrays, grids of panels, axes, and curves with their extrapolated part."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import matplotlib
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from nmda_bayes.dims import AGENT, CONDITION, DOSE, UNNAMED_CONDITION
from nmda_bayes.figures.style import (
    BLUE,
    EXTRAPOLATED_HATCH,
    EXTRAPOLATED_LINE,
    GREY,
    cell_label,
    hatch_key,
    line_key,
    one_line,
    patch_key,
    wrap_text,
)
from nmda_bayes.intervals import INTERVAL_TEXT

#: Agent-condition cells on one page.
MAX_CELLS: Final = 12
#: From this ratio of the largest to the smallest positive dose on, the dose axis is logarithmic.
LOG_DOSE_RATIO: Final = 20.0
#: Opacity of an interval's band.
BAND_ALPHA: Final = 0.28
BEYOND_DOSES: Final = "beyond the tested doses, or no trials"


# Checks of what a figure is given.


def require_dims(array: xr.DataArray | xr.Dataset, dims: Iterable[str], figure: str) -> None:
    """Raise ValueError if an array lacks a dim."""
    present = [str(dim) for dim in array.dims]
    for dim in dims:
        if dim not in present:
            raise ValueError(
                f"{figure} needs the dim '{dim}'; the array has {', '.join(present) or 'none'}"
            )


def require_variables(dataset: xr.Dataset, names: Iterable[str], figure: str) -> None:
    """Raise ValueError if a dataset lacks a variable."""
    for name in names:
        if name not in dataset.variables:
            present = ", ".join(map(str, dataset.data_vars))
            raise ValueError(
                f"{figure} needs the variable '{name}'; the dataset has {present or 'none'}"
            )


def require_columns(table: pd.DataFrame, names: Collection[str], figure: str) -> None:
    """Raise ValueError if a table lacks a column."""
    if missing := [name for name in names if name not in table]:
        raise ValueError(f"{figure} needs the columns {', '.join(missing)}")


# Which agent-condition cells are drawn, and where.


@dataclass(frozen=True)
class CellGrid:
    """The agent-condition cells that a figure draws."""

    selected: list[dict[str, object]]
    columns: int
    omitted: str = ""

    @property
    def rows(self) -> int:
        """The number of rows of cells."""
        return -(-len(self.selected) // self.columns)


def choose_cells(trials: xr.DataArray, what: str = "trials") -> CellGrid:
    """Choose the agent-condition cells to draw, those with the most trials, and their order."""
    agents, conditions = list(trials[AGENT].values), list(trials[CONDITION].values)
    by_agent = [{AGENT: a, CONDITION: c} for a in agents for c in conditions]
    if len(by_agent) > MAX_CELLS:
        count = trials.transpose(AGENT, CONDITION).values.ravel()
        order = np.argsort(-count, kind="stable")
        order = order[: max(1, min(MAX_CELLS, int((count > 0).sum())))]
        why = f"no {what}" if np.delete(count, order).max() == 0 else f"fewer or no {what}"
        n_omitted = len(by_agent) - len(order)
        omitted = f"not drawn: {n_omitted} more pairs of agent and condition ({why})"
        return CellGrid([by_agent[i] for i in sorted(order)], min(4, len(order)), omitted)
    if 1 < len(agents) <= 4:
        return CellGrid([{AGENT: a, CONDITION: c} for c in conditions for a in agents], len(agents))
    if 1 < len(conditions) <= 4:
        return CellGrid(by_agent, len(conditions))
    return CellGrid(by_agent, min(4, len(by_agent)))


def min_trials(cell: xr.Dataset) -> xr.DataArray:
    """Count the trials of the outcome, benefit or harm, that has fewer."""
    benefit, harm = (cell[f"trials_{side}"].reset_coords(drop=True) for side in ("benefit", "harm"))
    return benefit.where(benefit < harm, harm)


def untested_side(cell: xr.Dataset) -> str:
    """Write which of benefit and harm no trial of a cell has measured."""
    variables = {"benefit": "trials_benefit", "harm": "trials_harm"}
    untested = [side for side, name in variables.items() if name in cell and int(cell[name]) == 0]
    return ("", f"no trials of {''.join(untested)}", "no trials")[len(untested)]


def most_studied_cell(trials: xr.DataArray) -> dict[str, object]:
    """Find the cell with the most trials."""
    table = trials.transpose(AGENT, CONDITION)
    agent, condition = np.unravel_index(int(np.argmax(table.values)), table.shape)
    return {AGENT: table[AGENT].values[agent], CONDITION: table[CONDITION].values[condition]}


def cell_title(cell: xr.DataArray | xr.Dataset, separator: str = "\n") -> str:
    """Write a cell's agent and condition; as the title of a panel, in short lines."""
    named = (AGENT,) if cell[CONDITION].item() == UNNAMED_CONDITION else (AGENT, CONDITION)
    labels = [cell_label(cell, dim, 60) for dim in named]
    if separator != "\n":
        return separator.join(labels)
    if "reference_text" in cell.coords and cell["reference_text"].item():
        labels.append(one_line(f"1 × = {cell['reference_text'].item()}", 90))
    return separator.join(wrap_text(text, 28) for text in labels)


# Panels and axes.


def panel_grid(
    figure: Figure,
    count: int,
    columns: int,
    *,
    sharex: bool | Literal["row"] = True,
    sharey: bool | Literal["row"] = True,
    ylabel: str = "",
) -> np.ndarray:
    """Make axes (row, column) for a number of panels; those left over are invisible."""
    shape = -(-count // columns), columns
    grid = np.asarray(figure.subplots(*shape, sharex=sharex, sharey=sharey, squeeze=False))
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    if sharex is True:
        label_bottom_axes(grid)
    if ylabel:
        for axes in grid[:, 0]:
            axes.set_ylabel(ylabel)
    return grid


def label_bottom_axes(grid: np.ndarray) -> None:
    """Print the x axis's numbers under the lowest visible panel of each column."""
    for column in grid.T:
        visible = [axes for axes in column if axes.get_visible()]
        if visible:
            visible[-1].tick_params(axis="x", labelbottom=True)


def dose_axis(axes: Axes, doses: np.ndarray) -> str:
    """Set up a dose axis that includes 0, logarithmic above it where doses span decades."""
    positive = doses[doses > 0]
    if len(positive) < 2 or positive[-1] / positive[0] < LOG_DOSE_RATIO:
        return ""
    axes.set_xscale("symlog", linthresh=float(positive[0]), linscale=0.35)
    axes.set_xlim(0, float(doses[-1]))
    ticks = [0.0, *_round_ticks(float(positive[0]) * 1.2, float(doses[-1]))]
    _set_ticks(axes.xaxis, FixedLocator(ticks))
    return "0, then logarithmic"


def _round_ticks(low: float, high: float) -> list[float]:
    """Choose round numbers, as many in a decade as leave room for their labels."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    for steps in ((1, 3), (1,)):
        ticks = [v for d in decades for s in steps if low <= (v := s * 10.0**d) <= high]
        if len(ticks) <= 5:
            break
    return ticks


def log_axis(axis: Axis, steps: Sequence[float] = (1, 2, 5), most: int = 9) -> None:
    """Give a logarithmic axis plain numbers, at these steps of each decade, at most so many."""
    _set_ticks(axis, LogLocator(subs=steps, numticks=most))


def _set_ticks(axis: Axis, locator: LogLocator | FixedLocator) -> None:
    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def percent_axis(axis: Axis) -> None:
    """Print probabilities in percent."""
    axis.set_major_formatter(FuncFormatter(lambda p, _: f"{100 * p:.3g}%"))


def label_dose_axis(figure: Figure, axis: str, remark: str, omitted: str = "") -> None:
    """Name the dose axis under all panels."""
    name = one_line(axis, 120) + (f" ({remark})" if remark else "")
    lines = "\n".join(filter(None, (name, omitted)))
    figure.supxlabel(wrap_text(lines, int(figure.get_figwidth() * 15)), fontsize=7.5)


def panel_message(axes: Axes, text: str) -> None:
    """Print a boxed message in the corner of a panel, if there is one."""
    if text:
        box = {"facecolor": "white", "edgecolor": GREY, "pad": 1.5, "linewidth": 0.6}
        style: dict[str, Any] = {"va": "top", "fontweight": "bold", "bbox": box}
        axes.text(0.04, 0.95, text, transform=axes.transAxes, **style)


def outline_text(text: Text) -> None:
    """Give a text a white outline, so that it can be read on any background."""
    text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])


# Curves and maps, of which a part is extrapolated.


def flag_runs(flags: np.ndarray) -> Iterator[tuple[slice, bool]]:
    """Cut an axis where a flag changes; adjacent parts share their border point."""
    edges = np.flatnonzero(np.diff(flags.astype(int))) + 1
    for start, stop in zip([0, *edges], [*edges, len(flags)], strict=True):
        yield slice(max(start - 1, 0), stop), bool(flags[start])


def draw_line(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    extrapolated: np.ndarray,
    color: str,
    *,
    linestyle: Any = None,
    name: str = "",
) -> None:
    """Draw a line that is thin, and broken unless it has a style, where it is extrapolated."""
    for part, outside in flag_runs(extrapolated):
        style = EXTRAPOLATED_LINE if outside else "-"
        label = f"_{name}" if name else "_extrapolated" if outside else "_tested"
        width = 1.1 if outside else 1.8
        axes.plot(x[part], y[part], color=color, ls=linestyle or style, lw=width, label=label)


def draw_band(
    axes: Axes,
    x: np.ndarray,
    band: Mapping[str, xr.DataArray] | xr.Dataset,
    extrapolated: np.ndarray,
    color: str,
    extrapolated_color: str = GREY,
) -> None:
    """Draw a median and its interval, hatched where it is extrapolated."""
    low, median, high = (band[name].values for name in ("lower", "median", "upper"))
    for part, outside in flag_runs(extrapolated):
        ends = x[part], low[part], high[part]
        if outside:
            style: dict[str, Any] = {"fc": "none", "alpha": 0.55, "lw": 0.4}
            style |= {"ec": extrapolated_color, "hatch": EXTRAPOLATED_HATCH}
            axes.fill_between(*ends, label="_extrapolated", **style)
        else:
            axes.fill_between(*ends, color=color, alpha=BAND_ALPHA, lw=0, label="_tested")
        flags = np.full(len(x[part]), outside)
        draw_line(axes, x[part], median[part], flags, extrapolated_color if outside else color)


def band_keys(beyond: str = "", color: str = BLUE) -> list[Artist]:
    """Make the legend entries of `draw_band`; the last one only if ``beyond`` names it."""
    keys: list[Artist] = [
        line_key("median", color, lw=1.8),
        patch_key(INTERVAL_TEXT, color, alpha=BAND_ALPHA),
    ]
    return [*keys, hatch_key(beyond)] if beyond else keys


def mark_doses(
    axes: Axes, x: np.ndarray, y: np.ndarray, extrapolated: np.ndarray, color: str, marker: str
) -> None:
    """Mark points of a line, hollow where they are extrapolated."""
    faces = ["white" if outside else color for outside in extrapolated]
    axes.scatter(x, y, s=13, marker=marker, fc=faces, ec=color, lw=0.8, zorder=3)


def tested_doses_to_mark(cell: xr.DataArray | xr.Dataset, count: int = 4) -> list[int]:
    """Choose the positions of tested doses to mark along a path; of many, spread over them.

    Where that is not known, positions spread over the grid.
    """
    if "tested" not in cell.coords:
        return doses_to_mark(cell[DOSE].values, count)
    tested = np.flatnonzero(cell["tested"].values)
    return [int(tested[i]) for i in doses_to_mark(tested, count - 1)] if len(tested) else []


def doses_to_mark(doses: np.ndarray, count: int = 4) -> list[int]:
    """Choose the positions of doses to mark along a path, spread over the grid."""
    if len(doses) <= count + 1:
        return list(range(len(doses)))
    positions = np.linspace(0, len(doses) - 1, count + 1).round().astype(int)
    return [int(i) for i in dict.fromkeys(positions)]


def hatch_map(axes: Axes, x: np.ndarray, y: np.ndarray, flags: np.ndarray) -> None:
    """Hatch a map (y, x) where a flag is set."""
    if flags.any():
        with matplotlib.rc_context({"hatch.color": GREY}):
            style: dict[str, Any] = {"colors": "none", "hatches": [EXTRAPOLATED_HATCH]}
            axes.contourf(x, y, flags.astype(float), levels=[0.5, 1.5], **style)
