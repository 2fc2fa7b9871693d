"""Predictive checks: what was reported, against what the model would have reported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.dims import CHAIN, DRAW
from nmda_bayes.figures.axes import percent_axis, row_axes, text_column
from nmda_bayes.figures.labelled import need_dims
from nmda_bayes.figures.style import BLACK, BLUE, GREY, VERMILLION, drawing
from nmda_bayes.figures.text import legend, plain
from nmda_bayes.intervals import INTERVAL_TEXT, interval


def plot_predictive_check(
    observed: xr.DataArray,
    predictive: xr.DataArray,
    labels: Sequence[str] | xr.DataArray | None = None,
    kind: Literal["prior", "posterior"] = "posterior",
    *,
    n: xr.DataArray | np.ndarray | None = None,
    axis: str = "",
) -> Figure:
    """Draw each reported number over the interval of its replicates.

    Parameters
    ----------
    observed
        What was reported, over one dim (an arm or a contrast).
    predictive
        Replicates: chain, draw and that dim.
    labels
        A name for each row; the dim's own if None.
    kind
        Which predictive distribution it is.
    n
        Participants of each row where events were counted: both are then drawn as proportions.
    axis
        What was reported, with its unit.

    Returns
    -------
    Figure
        One row each; numbers outside their interval have a mark of their own.

    Raises
    ------
    ValueError
        If a dim is missing, or there are too few labels.
    """
    if observed.ndim != 1:
        raise ValueError(f"plot_predictive_check needs one dim of rows, not {observed.dims}")
    dim = str(observed.dims[0])
    need_dims(predictive, (CHAIN, DRAW, dim), "plot_predictive_check")
    names = [plain(v) for v in np.asarray(observed[dim] if labels is None else labels)]
    seen = observed.values.astype(float)
    bands = interval(predictive.reset_coords(drop=True).astype(float))
    low, middle, high = (bands[k].values for k in ("lower", "median", "upper"))
    if len(names) != len(seen):
        raise ValueError(f"plot_predictive_check: {len(names)} labels for {len(seen)} rows")
    if n is not None:
        people = np.asarray(n, dtype=float)
        seen, low, middle, high = (v / people for v in (seen, low, middle, high))
    outside = (seen < low) | (seen > high)
    with drawing(5.6, 0.5 + 0.15 * (len(seen) + 2)) as figure:
        axes = figure.subplots()
        row_axes(axes, len(seen))
        axes.set_ylim(len(seen) - 0.4, -0.6)
        _marks(axes, seen, low, middle, high, outside)
        text_column(axes, names, range(len(seen)), 6)
        if n is not None:
            percent_axis(axes, "x")
        axes.set_xlabel(plain(axis or ("proportion with the event" if n is not None else ""), 80))
        legend(figure, _legend(kind, outside))
        figure.set_label(
            f"{kind.capitalize()} predictive check of {plain(axis) or 'the reported numbers'}:"
            f" {len(seen) - int(outside.sum())} of {len(seen)} lie inside their {INTERVAL_TEXT}."
        )
    return figure


def _marks(
    axes: Axes,
    seen: np.ndarray,
    low: np.ndarray,
    middle: np.ndarray,
    high: np.ndarray,
    outside: np.ndarray,
) -> None:
    y = np.arange(len(seen))
    axes.hlines(y, low, high, colors=BLUE, linewidth=3.2, alpha=0.35, label="_interval")
    axes.scatter(middle, y, s=14, marker="|", color=BLUE, linewidths=1.2, zorder=2)
    axes.scatter(
        seen[~outside], y[~outside], s=12, facecolors="white", edgecolors=BLACK, linewidths=0.8,
        zorder=3, label="_inside",
    )  # fmt: skip
    axes.scatter(
        seen[outside], y[outside], s=20, marker="D", color=VERMILLION, edgecolors=BLACK,
        linewidths=0.6, zorder=3, label="_outside",
    )  # fmt: skip
    axes.hlines(y, 0, 1, transform=axes.get_yaxis_transform(), colors=GREY, linewidth=0.2, zorder=0)


def _legend(kind: str, outside: np.ndarray) -> list[Line2D]:
    held, all_ = len(outside) - int(outside.sum()), len(outside)
    reported = f"reported ({held} of {all_} inside)"
    ring: dict[str, Any] = {"marker": "o", "mfc": "white", "mec": BLACK}
    handles = [
        Line2D([], [], color=BLUE, alpha=0.5, linewidth=3.2,
               label=f"{kind} predictive: median, {INTERVAL_TEXT}"),
        Line2D([], [], linestyle="none", markersize=3.5, label=reported, **ring),
    ]  # fmt: skip
    if outside.any():
        diamond: dict[str, Any] = {"marker": "D", "mfc": VERMILLION, "mec": BLACK}
        text = "reported, outside its interval"
        handles.append(Line2D([], [], linestyle="none", markersize=4, label=text, **diamond))
    return handles
