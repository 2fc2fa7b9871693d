"""Benefit and harm over one dose axis, with the trials behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DOSE, DRAW, OUTCOME
from nmda_bayes.figures.arms import RATIO, RISK, arm_points
from nmda_bayes.figures.axes import dose_axis, label_lowest, percent_axis
from nmda_bayes.figures.labelled import cells, need_dims, runs
from nmda_bayes.figures.style import (
    BEYOND_HATCH,
    BEYOND_LINE,
    FULL_WIDTH,
    GREY,
    OUTCOME_LOOKS,
    Look,
    drawing,
)
from nmda_bayes.figures.text import dose_label, legend, named, plain, wrapped
from nmda_bayes.intervals import INTERVAL_TEXT, interval

NO_TRIAL = "no trial"


def plot_dose_response(
    response: xr.DataArray, observed: Mapping[str, xr.Dataset] | None = None
) -> Figure:
    """Draw every outcome over one dose axis: median, interval, and the trial arms behind.

    Parameters
    ----------
    response
        As `nmda_bayes.dose_response` gives it: dims outcome, agent, condition, dose, chain, draw.
        Select agents or conditions with ``.sel`` to draw fewer.
    observed
        By outcome, its `nmda_bayes.study_effects`, or the design's rows.

    Returns
    -------
    Figure
        One column of panels a cell, its outcomes one above the other. Bands are hatched and medians
        broken beyond the doses that were tried; a cell without a trial is grey and says so.

    Raises
    ------
    ValueError
        If a dim is missing.
    """
    dims = (OUTCOME, AGENT, CONDITION, DOSE, CHAIN, DRAW)
    need_dims(response, dims, "plot_dose_response")
    points = {
        name: arm_points(
            rows,
            str(response["scale"].sel({OUTCOME: name}).item()),
            float(response.attrs.get("baseline_risk", np.nan)),
            set(response[AGENT].values),
        )
        for name, rows in (observed or {}).items()
        if name in response[OUTCOME].values
    }
    page = cells(response["trials"].sum(OUTCOME))
    bands = [_band(response, cell) for cell in page.chosen]
    outcomes = list(response[OUTCOME].values)
    width = min(FULL_WIDTH, 2.2 + 2.2 * page.columns)
    with drawing(width, 0.5 + page.lines * (0.35 + 1.2 * len(outcomes))) as figure:
        count = len(outcomes)
        grid = figure.subplots(
            page.lines * count, page.columns, sharex=True, sharey="row", squeeze=False
        )
        for axes in grid.flat:
            axes.set_visible(False)
        said = ""
        for i, cell in enumerate(page.chosen):
            line, column = divmod(i, page.columns)
            stack = grid[line * count : (line + 1) * count, column]
            stack[0].set_title(f"{named(bands[i], AGENT)}\n{named(bands[i], CONDITION)}")
            for o, (axes, outcome) in enumerate(zip(stack, outcomes, strict=True)):
                axes.set_visible(True)
                one = bands[i].sel({OUTCOME: outcome})
                said = _panel(axes, one, OUTCOME_LOOKS[o % len(OUTCOME_LOOKS)])
                if outcome in points:
                    _arms(axes, points[outcome], cell)
                if column == 0:
                    axes.set_ylabel(_quantity(one))
        label_lowest(grid)
        _same_heights(grid, len(outcomes))
        if "baseline_risk" in response.attrs:
            risk = f"{100 * response.attrs['baseline_risk']:g}\N{NO-BREAK SPACE}%"
            baseline = f"risks from a baseline of {risk}"
            said = f"{said}; {baseline}" if said else baseline
        dose_label(figure, response.attrs.get("exposure_axis", "dose"), said, page.left_out)
        legend(figure, _legend(response, points))
        figure.set_label(_alt(bands))
    return figure


def _band(response: xr.DataArray, cell: dict[str, object]) -> xr.Dataset:
    """One cell's interval; a quantile drops the labels of dims that are gone, so these go last."""
    return interval(response.sel({dim: [label] for dim, label in cell.items()})).squeeze([*cell])


def _panel(axes: Axes, band: xr.Dataset, look: Look) -> str:
    doses = band[DOSE].values
    said = dose_axis(axes, doses)
    tried = int(band["trials"]) > 0
    color = look.color if tried else GREY
    beyond = np.asarray(band["extrapolated"].values, dtype=bool) | (not tried)
    for part, outside in runs(beyond):
        x = doses[part]
        low, middle, high = (band[k].values[part] for k in ("lower", "median", "upper"))
        axes.fill_between(
            x, low, high, facecolor="none" if outside else color, edgecolor=color,
            alpha=0.55 if outside else 0.28, hatch=BEYOND_HATCH if outside else None,
            linewidth=0.4 if outside else 0, label="_extrapolated" if outside else "_tried",
        )  # fmt: skip
        axes.plot(
            x, middle, color=color, linestyle=BEYOND_LINE if outside else "-",
            linewidth=1.2 if outside else 1.8, label="_extrapolated" if outside else "_tried",
        )  # fmt: skip
    if str(band["scale"].item()) == RISK:
        percent_axis(axes, "y")
    else:
        none = 1 if str(band["scale"].item()) == RATIO else 0
        axes.axhline(none, color=GREY, linewidth=0.6, zorder=0)
    if not tried:
        axes.text(
            0.04, 0.95, NO_TRIAL, transform=axes.transAxes, va="top", fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": GREY, "pad": 1.5, "linewidth": 0.6},
        )  # fmt: skip
    return said


def _arms(axes: Axes, points: pd.DataFrame, cell: dict[str, object]) -> None:
    """Draw a cell's arms: rings sized by precision, crosses where nothing can be said."""
    mine = points[(points["agent"] == cell[AGENT]) & (points["condition"] == cell[CONDITION])]
    seen = mine[mine["value"].notna()]
    area = 6 + 54 * seen["weight"] / points["weight"].max()
    axes.scatter(
        seen["exposure"], seen["value"], s=area, facecolors="white", edgecolors="black",
        linewidths=0.7, alpha=0.85, zorder=3, label="_arms",
    )  # fmt: skip
    unsaid = mine[mine["value"].isna()]
    axes.scatter(
        unsaid["exposure"], np.full(len(unsaid), 0.05), s=14, marker="x", color="black",
        linewidths=0.8, transform=axes.get_xaxis_transform(), zorder=3, label="_no raw estimate",
    )  # fmt: skip


def _same_heights(grid: np.ndarray, outcomes: int) -> None:
    """One y axis an outcome, over all lines of panels."""
    for o in range(outcomes):
        rows = [axes for axes in grid[o::outcomes].flat if axes.get_visible()]
        limits = np.array([axes.get_ylim() for axes in rows])
        for axes in rows:
            axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())


def _quantity(band: xr.Dataset) -> str:
    name, unit = plain(band["label"].item(), 60), plain(band["unit"].item(), 30)
    if str(band["scale"].item()) == RISK:
        text = f"risk of {name}"
    elif str(band["scale"].item()) == RATIO:
        text = f"{name}, {unit}"
    else:
        text = f"{name}, difference" + (f" ({unit})" if unit else "")
    better = str(band["better"].item())
    return wrapped(text, 21) + (f"\n({better} is better)" if better else "")


def _legend(response: xr.DataArray, points: Mapping[str, pd.DataFrame]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=GREY, linewidth=1.8, label="median"),
        Patch(facecolor=GREY, alpha=0.3, label=INTERVAL_TEXT),
    ]
    if bool(response["extrapolated"].any()) or bool((response["trials"] == 0).any()):
        handles.append(
            Patch(facecolor="none", edgecolor=GREY, hatch=BEYOND_HATCH,
                  label="beyond the doses that were tried, or no trial")
        )  # fmt: skip
    if points:
        text = "trial arm (larger: more precise)"
        if (response["scale"] == RISK).any():
            text += "; risks carried to the baseline"
        ring: dict[str, Any] = {
            "marker": "o",
            "markerfacecolor": "white",
            "markeredgecolor": "black",
        }
        handles.append(Line2D([], [], linestyle="none", markersize=5, label=text, **ring))
    if any(one["value"].isna().any() for one in points.values()):
        cross: dict[str, Any] = {"marker": "x", "mec": "black", "ms": 4, "linestyle": "none"}
        handles.append(Line2D([], [], label="arm without a raw estimate (zero cell)", **cross))
    return handles


def _alt(bands: list[xr.Dataset]) -> str:
    """Say the effect at the largest dose tried, in the cell with the most trials."""
    texts = []
    for outcome in bands[0][OUTCOME].values:
        ones = [band.sel({OUTCOME: outcome}) for band in bands]
        mine = max(ones, key=lambda one: int(one["trials"]))
        inside = np.flatnonzero(~np.asarray(mine["extrapolated"].values, dtype=bool))
        if int(mine["trials"]) == 0 or not len(inside):
            texts.append(f"{plain(mine['label'].item())}: no trial.")
            continue
        last = mine.isel({DOSE: int(inside[-1])})
        texts.append(
            f"{plain(last['label'].item())}, {named(last, AGENT)} in {named(last, CONDITION)} at"
            f" {float(last[DOSE]):.3g}: {float(last['median']):.3g}"
            f" ({INTERVAL_TEXT} {float(last['lower']):.3g} to {float(last['upper']):.3g})."
        )
    return "Dose-response curves with their intervals over one dose axis. " + " ".join(texts)
