"""The tornado: how far each choice, turned alone, moves the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.figures.axes import row_axes, text_column
from nmda_bayes.figures.style import BLACK, BLUE, ORANGE, PALE, drawing
from nmda_bayes.figures.text import legend, note, plain
from nmda_bayes.figures.variants import CHOICE, VARIANT, axis_of, effects_of, titled, turned
from nmda_bayes.intervals import INTERVAL_TEXT

ROWS = 24


@dataclass(frozen=True)
class _Bar:
    choice: str
    low: float
    high: float
    low_setting: str
    high_setting: str
    settings: int

    @property
    def width(self) -> float:
        return self.high - self.low


def plot_tornado(cell: xr.Dataset) -> Figure:
    """Draw, for each choice, the range of medians over its settings, widest first.

    Parameters
    ----------
    cell
        As `nmda_bayes.sensitivity.one_cell` gives it.

    Returns
    -------
    Figure
        One bar a choice, around the base's median. Variants that turn several choices are left out.

    Raises
    ------
    ValueError
        If a dim or variable is missing, or no variant turns one choice alone.
    """
    found = effects_of(cell, "plot_tornado")
    bars = _bars(found)
    if not bars:
        raise ValueError("plot_tornado needs variants that turn one choice each")
    shown = bars[:ROWS]
    with drawing(7.2, 0.19 * len(shown) + 1.0) as figure:
        axes = figure.subplots()
        row_axes(axes, len(shown))
        _draw(axes, found, shown)
        axes.set_xlabel(axis_of(cell))
        axes.set_title(titled(cell), loc="left")
        legend(figure, [
            Patch(facecolor=BLUE, label="medians below the base's"),
            Patch(facecolor=ORANGE, label="medians above it"),
            Patch(facecolor=PALE, alpha=0.6, label=f"the base's {INTERVAL_TEXT}"),
            Line2D([], [], color=BLACK, linewidth=0.9, label="the base's median"),
        ])  # fmt: skip
        if len(bars) > len(shown):
            note(figure, f"{len(bars) - len(shown)} choices that move it less are not drawn.")
        widest = shown[0]
        figure.set_label(
            f"Tornado, {titled(cell)}, {axis_of(cell)}: {len(bars)} choices; {widest.choice} moves"
            f" the median most, from {widest.low:.3g} to {widest.high:.3g}."
        )
    return figure


def _bars(found: xr.Dataset) -> list[_Bar]:
    alone = turned(found).sum(CHOICE).to_numpy() == 1
    medians = found["median"].to_numpy()
    base, bars = float(medians[0]), []
    for choice in found[CHOICE].to_numpy():
        mine = alone & turned(found).sel({CHOICE: choice}).to_numpy()
        if not mine.any():
            continue
        settings = found["setting"].sel({CHOICE: choice}).to_numpy()[mine]
        values = medians[mine]
        low, high = int(values.argmin()), int(values.argmax())
        bars.append(
            _Bar(
                str(choice),
                min(base, float(values[low])),
                max(base, float(values[high])),
                str(settings[low]) if values[low] < base else "",
                str(settings[high]) if values[high] > base else "",
                int(mine.sum()),
            )
        )
    return sorted(bars, key=lambda bar: -bar.width)


def _draw(axes: Axes, found: xr.Dataset, bars: list[_Bar]) -> None:
    lower, base, upper = (float(found[k].isel({VARIANT: 0})) for k in ("lower", "median", "upper"))
    y = np.arange(len(bars))
    axes.axvspan(lower, upper, color=PALE, alpha=0.6, linewidth=0, zorder=0, label="_base")
    low, high = (np.array([getattr(bar, side) for bar in bars]) for side in ("low", "high"))
    axes.barh(y, base - low, left=low, height=0.62, color=BLUE, zorder=2)
    axes.barh(y, high - base, left=base, height=0.62, color=ORANGE, zorder=2)
    axes.axvline(base, color=BLACK, linewidth=0.9, zorder=3)
    places, weights = [-1.0, *map(float, y)], ["bold", *["normal"] * len(bars)]
    names = [
        "choice (settings)",
        *(f"{plain(bar.choice, 44)} ({bar.settings})" for bar in bars),
    ]
    text_column(axes, names, places, 6, weights=weights)
    ends = ["lowest | highest at"]
    for bar in bars:
        ends.append(" | ".join(plain(s, 26) or "–" for s in (bar.low_setting, bar.high_setting)))
    text_column(axes, ends, places, 6, side="right", weights=weights)
