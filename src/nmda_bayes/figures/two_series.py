"""Two intervals a row, hollow squares against filled circles, with their numbers beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.axes import decimals, row_axes, text_column
from nmda_bayes.figures.style import AFTER, BLACK, GREY, Look, drawing
from nmda_bayes.figures.text import legend, number, plain

#: Told apart in grey: a hollow square, and a filled circle.
HOLLOW = Look(BLACK, "-", "s")


@dataclass(frozen=True)
class Series:
    """One of the two estimates of each row.

    Attributes
    ----------
    name
        Its column; ``<name>_low`` and ``<name>_high`` are its interval.
    heading
        What stands over its numbers.
    legend
        What it is, with the kind and level of its interval.
    look
        How it is drawn.
    missing
        What is printed where a row has none.
    """

    name: str
    heading: str
    legend: str
    look: Look = AFTER
    missing: str = ""

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns that it needs."""
        return self.name, f"{self.name}_low", f"{self.name}_high"

    @property
    def face(self) -> str:
        """The colour inside its markers."""
        return "white" if self.look == HOLLOW else self.look.color

    def draw(self, axes: Axes, table: pd.DataFrame, y: np.ndarray) -> None:
        """Draw it.

        Parameters
        ----------
        axes
            Of `row_axes`.
        table
            One row each.
        y
            Where the rows stand.
        """
        _, low, high = (table[column] for column in self.columns)
        axes.hlines(y, low, high, colors=self.look.color, linewidth=1.3, label=f"_{self.name}")
        axes.scatter(
            table[self.name], y, s=17, marker=self.look.marker, facecolors=self.face,
            edgecolors=self.look.color, linewidths=0.9, zorder=3,
        )  # fmt: skip

    def numbers(self, table: pd.DataFrame) -> list[str]:
        """Write its numbers, as many digits as its own span asks for.

        Parameters
        ----------
        table
            One row each.

        Returns
        -------
        list[str]
            ``estimate [low, high]`` of each row.
        """
        values = table[[*self.columns]].to_numpy(float)
        digits = decimals(float(np.nanmax(values) - np.nanmin(values)))
        return [
            f"{number(middle, digits)} [{number(low, digits)}, {number(high, digits)}]"
            if np.isfinite(middle)
            else self.missing
            for middle, low, high in values
        ]

    @property
    def handle(self) -> Line2D:
        """Its line of the legend."""
        return Line2D(
            [], [], color=self.look.color, linewidth=1.3, marker=self.look.marker,
            markerfacecolor=self.face, markersize=4, label=self.legend,
        )  # fmt: skip


def two_series(
    table: pd.DataFrame, series: tuple[Series, Series], axis: str, *, log: bool = False
) -> Figure:
    """Draw two intervals a row.

    Parameters
    ----------
    table
        One row each: label, and the columns of both series.
    series
        The upper and the lower of each row.
    axis
        What is estimated, with its unit.
    log
        True for ratios: a logarithmic axis with its line at 1.

    Returns
    -------
    Figure
        Without an alternative text, which only the caller can write.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    needed = ("label", *(column for one in series for column in one.columns))
    missing = [c for c in needed if c not in table]
    if missing:
        raise ValueError(f"the figure needs the columns {', '.join(missing)}")
    with drawing(7.2, 0.7 + 0.31 * (len(table) + 1.5)) as figure:
        axes = figure.subplots()
        row_axes(axes, len(table))
        if log:
            axes.set_xscale("log")
        y = np.arange(len(table), dtype=float)
        for one, shift in zip(series, (-0.17, 0.17), strict=True):
            one.draw(axes, table, y + shift)
        axes.axvline(1 if log else 0, color=GREY, linewidth=0.7, zorder=0)
        axes.set_xlabel(plain(axis, 90))
        if log:
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.xaxis.set_minor_formatter(lambda x, _: "")
        labels = [plain(text, 46) for text in table["label"]]
        places = [-1.0, *y]
        weights = ["bold", *("normal" for _ in labels)]
        text_column(axes, ["", *labels], places, 6, weights=weights)
        used = 6.0
        for one in series:
            texts = [one.heading, *one.numbers(table)]
            used = 10 + text_column(axes, texts, places, used, side="right", weights=weights)
        legend(figure, [one.handle for one in series])
    return figure
