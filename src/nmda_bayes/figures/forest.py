"""The forest: each trial arm as reported, as the model sees it, and as it expects the next one."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nmda_bayes.dims import ARM, CHAIN, DRAW
from nmda_bayes.figures.axes import decimals, row_axes, text_column
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.style import BLACK, BLUE, GREY, PALE, drawing
from nmda_bayes.figures.text import legend, number, plain, words
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL, interval

HALF_WIDTH = NormalDist().inv_cdf((1 + LEVEL) / 2)


def plot_forest(study_effects: xr.Dataset) -> Figure:
    """Draw each comparison raw, shrunk and predicted.

    Parameters
    ----------
    study_effects
        As `nmda_bayes.estimands.study_effects` gives it: dim arm; ``raw``, ``raw_se``,
        ``raw_note``, ``shrunk`` and ``predicted`` (chain, draw, arm).

    Returns
    -------
    Figure
        Rows grouped by agent and condition, in order of exposure. Where the raw estimate cannot be
        computed, the row says why.

    Raises
    ------
    ValueError
        If a dim or variable is missing.
    """
    needed = ("raw", "raw_se", "shrunk", "predicted", "agent", "condition", "exposure", "study")
    need_variables(study_effects, needed, "plot_forest")
    need_dims(study_effects, (ARM,), "plot_forest")
    for name in ("shrunk", "predicted"):
        need_dims(study_effects[name], (CHAIN, DRAW), f"plot_forest, {name},")
    rows = _rows(study_effects)
    with drawing(7.2, 0.7 + 0.19 * (len(rows) + 2)) as figure:
        axes = figure.subplots()
        row_axes(axes, len(rows))
        _marks(axes, rows[rows["is_arm"]])
        _columns(axes, rows)
        axes.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        label, scale = (plain(study_effects.attrs.get(k, ""), 60) for k in ("label", "scale"))
        axes.set_xlabel(f"{label}: {scale}, arm minus comparator".lstrip(": "))
        legend(figure, _legend())
        figure.set_label(_alt(study_effects, rows[rows["is_arm"]]))
    return figure


def _rows(effects: xr.Dataset) -> pd.DataFrame:
    """One row an arm, sorted, under a heading for each agent and condition."""
    columns = ["agent", "condition", "study", "exposure", "raw", "raw_se"]
    frame = pd.DataFrame({c: effects[c].values for c in columns})
    frame["label"] = [plain(label) for label in effects[ARM].values]
    if "comparator" in effects.coords:
        # A comparison of two active arms must not pass for one with the reference.
        pairs = zip(frame["label"], effects["comparator"].values, strict=True)
        active = set(frame["agent"])
        frame["label"] = [f"{t} v {words(c, 20)}" if c in active else t for t, c in pairs]
    note = effects["raw_note"].values if "raw_note" in effects else [""] * len(frame)
    frame["note"] = [plain(text, 60) for text in note]
    for name in ("shrunk", "predicted"):
        found = interval(effects[name].reset_coords(drop=True))
        for part in ("lower", "median", "upper"):
            frame[f"{name}_{part}"] = found[part].values
    order = ["agent", "condition", "exposure", "study", "label"]
    frame = frame.sort_values(order, kind="stable").assign(is_arm=True)
    parts = []
    for (agent, condition), group in frame.groupby(["agent", "condition"], sort=True):
        heading = f"{words(agent, 30)}, {words(condition, 30)}"
        parts += [pd.DataFrame({"label": [heading], "is_arm": [False], "note": [""]}), group]
    return pd.concat(parts, ignore_index=True).rename_axis("row").reset_index()


def _marks(axes: Axes, arms: pd.DataFrame) -> None:
    y = arms["row"].to_numpy(float)
    low, high = _limits(arms)
    axes.set_xlim(low, high)
    axes.hlines(
        y, arms["predicted_lower"], arms["predicted_upper"], colors=PALE, linewidth=8, zorder=1,
        label="_predicted",
    )  # fmt: skip
    axes.hlines(
        y + 0.16, arms["shrunk_lower"], arms["shrunk_upper"], colors=BLUE, linewidth=1.6, zorder=3,
        label="_shrunk",
    )  # fmt: skip
    axes.scatter(arms["shrunk_median"], y + 0.16, s=13, color=BLUE, zorder=4)
    seen = arms[arms["raw"].notna() & arms["raw_se"].notna()]
    at, reach = seen["row"] - 0.2, HALF_WIDTH * seen["raw_se"]
    left, right = seen["raw"] - reach, seen["raw"] + reach
    axes.hlines(
        at, left.clip(lower=low), right.clip(upper=high), colors=BLACK, linewidth=0.7, zorder=3,
        label="_raw",
    )  # fmt: skip
    axes.scatter(
        seen["raw"], at, s=11, marker="s", facecolors="white", edgecolors=BLACK, linewidths=0.8,
        zorder=4,
    )  # fmt: skip
    for out, edge, marker in ((left < low, low, "<"), (right > high, high, ">")):
        axes.scatter(
            np.full(int(out.sum()), edge), at[out], s=12, marker=marker, color=BLACK, zorder=4,
            clip_on=False, linewidths=0,
        )  # fmt: skip


def _limits(arms: pd.DataFrame) -> tuple[float, float]:
    """Show every model interval and raw point; a raw interval may run off, with an arrowhead."""
    parts = ["predicted_lower", "predicted_upper", "shrunk_lower", "shrunk_upper", "raw"]
    values = np.append(arms[parts].to_numpy(float), 0.0)
    low, high = np.nanmin(values), np.nanmax(values)
    pad = 0.05 * (high - low or 1.0)
    return float(low - pad), float(high + pad)


def _columns(axes: Axes, rows: pd.DataFrame) -> None:
    places = [-1.0, *rows["row"]]
    weights = ["bold", *("normal" if arm else "bold" for arm in rows["is_arm"])]
    exposure = [f"{x:.3g}" if np.isfinite(x) else "" for x in rows["exposure"]]
    used = text_column(axes, ["exposure", *exposure], places, 5, align="right", weights=weights)
    labels = [
        "study: arm",
        *("  " * arm + t for t, arm in zip(rows["label"], rows["is_arm"], strict=True)),
    ]
    text_column(axes, labels, places, used + 8, weights=weights)
    low, high = axes.get_xlim()
    digits = decimals(high - low)
    raw = [_said(r, digits) if r.is_arm else "" for r in rows.itertuples()]
    used = text_column(axes, ["raw", *raw], places, 6, side="right", align="left", weights=weights)
    records: list[Any] = list(rows.itertuples())
    shrunk = [
        f"{number(r.shrunk_median, digits)} [{number(r.shrunk_lower, digits)},"
        f" {number(r.shrunk_upper, digits)}]"
        if r.is_arm
        else ""
        for r in records
    ]
    text_column(axes, ["shrunk", *shrunk], places, used + 8, side="right", weights=weights)


def _said(row: Any, digits: int) -> str:
    """The raw estimate as text, or why there is none."""
    if np.isfinite(row.raw):
        return f"{number(row.raw, digits)} (SE {number(row.raw_se, digits)})"
    return str(row.note).split(":")[0].removeprefix("a ") or "not reported"


def _legend() -> list[Line2D | Patch]:
    raw = f"raw: as reported, ± {HALF_WIDTH:.2f} SE\n({100 * LEVEL:g} % confidence interval)"
    return [
        Line2D([], [], color=BLACK, linewidth=0.7, marker="s", markerfacecolor="white",
               markersize=3.5, label=raw),
        Line2D([], [], color=BLUE, linewidth=1.6, marker="o", markersize=3.5,
               label=f"shrunk: as the model sees it\n(median, {INTERVAL_TEXT})"),
        Patch(facecolor=PALE, label=f"predicted: a new trial of that dose\n({INTERVAL_TEXT})"),
    ]  # fmt: skip


def _alt(effects: xr.Dataset, arms: pd.DataFrame) -> str:
    least, most = arms["shrunk_median"].min(), arms["shrunk_median"].max()
    missing = int(arms["raw"].isna().sum())
    text = (
        f"Forest of {len(arms)} comparisons from {arms['study'].nunique()} studies,"
        f" {plain(effects.attrs.get('label', 'effect'))}, in"
        f" {plain(effects.attrs.get('scale', 'its units'))}: shrunk medians from {least:.3g} to"
        f" {most:.3g}, each with its {INTERVAL_TEXT}."
    )
    return f"{text} {missing} have no raw estimate." if missing else text
