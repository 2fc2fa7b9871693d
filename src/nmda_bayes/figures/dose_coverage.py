"""Dose coverage: which doses of each agent were tried, by which route, in how many people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nmda_bayes.evidence.tested_doses import dose_coverage
from nmda_bayes.figures.axes import row_axes, text_column
from nmda_bayes.figures.style import BLACK, BLUE, FULL_WIDTH, GREY, ORANGE, PALE, drawing
from nmda_bayes.figures.text import legend, note, words

#: Rows on one page: pairs of agent and route with a known dose.
AT_MOST = 30
ROW = 0.21
AXES_NAMES = {"mg/kg": "mg/kg of the course", "mg a day": "mg on a day of treatment"}


def plot_dose_coverage(
    evidence: xr.DataTree | pd.DataFrame, *, agents: Sequence[str] | None = None
) -> Figure:
    """Draw every tried dose of each agent and route on a logarithmic axis.

    Parameters
    ----------
    evidence
        As `nmda_bayes.load_evidence` gives it, or rows as `nmda_bayes.dose_coverage` gives them.
    agents
        Which to draw, in this order; if None, those with the most arms, as many as can be read.

    Returns
    -------
    Figure
        A panel a unit, a row an agent and route; area: people; a bar marks the reference dose.
        Doses of arms without a usable row are hollow. Arms without a dose, and rows that are not
        drawn, are counted in words.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    arms = dose_coverage(evidence) if isinstance(evidence, xr.DataTree) else evidence
    needed = {"agent", "route", "dose", "unit", "reference_dose", "people", "overlaps", "usable"}
    if missing := sorted(needed - set(arms)):
        raise ValueError(f"plot_dose_coverage needs the columns {', '.join(missing)}")
    if agents is not None:
        arms = arms[arms["agent"].isin(list(agents))]
    rows = _rows(arms, agents)
    drawn = rows[rows["known"] > 0]
    shown, hidden = drawn.head(AT_MOST), drawn.iloc[AT_MOST:]
    panels = [(unit, mine) for unit, mine in shown.groupby("unit", sort=False)]
    heights = [len(mine) + 2.6 for _, mine in panels] or [2.0]
    most = max([1.0, *arms["people"].dropna()])
    with drawing(FULL_WIDTH, 0.5 + ROW * sum(heights)) as figure:
        grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (unit, mine) in zip(grid, panels, strict=False):
            _panel(axes, arms, mine, str(unit), most)
            _columns(axes, mine, shown)
        if not panels:
            _nothing(grid[0])
        if panels:
            scaled = bool(shown["reference"].notna().any())
            legend(figure, _legend(scaled, bool(arms["usable"].all()), most), 4)
        if remark := _remark(rows, hidden):
            note(figure, remark)
        figure.set_label(_alt(arms, shown))
    return figure


def _rows(arms: pd.DataFrame, agents: Sequence[str] | None) -> pd.DataFrame:
    """Sum up each agent, route and unit; an arm without a dose goes to its route's first unit."""
    keys = ["agent", "route"]
    known = arms[arms["dose"].notna()]
    units = known.groupby(keys, sort=False)["unit"].agg(lambda u: u.value_counts().index[0])
    usual = arms[keys].merge(units.rename("usual").reset_index(), on=keys, how="left")["usual"]
    usual = usual.fillna("").set_axis(arms.index)
    arms = arms.assign(unit=arms["unit"].where(arms["dose"].notna(), usual))
    once = arms["people"].where(arms["overlaps"] == "", 0.0)
    rows = arms.assign(once=once).groupby([*keys, "unit"], sort=False, as_index=False)
    out = rows.agg(
        arms=("agent", "size"), known=("dose", "count"), people=("once", "sum"),
        reference=("reference_dose", "first"),
    )  # fmt: skip
    out["reference"] = out["reference"].where(out["unit"] == _unit_of_reference(arms, out))
    if agents is not None:
        place = {agent: i for i, agent in enumerate(agents)}
        return out.iloc[np.argsort(out["agent"].map(place), kind="stable")]
    total = out.groupby("agent")["arms"].transform("sum")
    order = out.assign(total=total).sort_values(
        ["total", "agent", "arms"], ascending=[False, True, False], kind="stable"
    )
    return order.drop(columns="total")


def _unit_of_reference(arms: pd.DataFrame, rows: pd.DataFrame) -> pd.Series:
    """Give the unit that each reference dose is in: that of the arms which have a multiple."""
    if "multiple" not in arms:
        return rows["unit"]
    scaled = arms[arms["multiple"].notna()].drop_duplicates(["agent", "route"])
    found = rows.merge(scaled[["agent", "route", "unit"]], on=["agent", "route"], how="left")
    return found["unit_y"].set_axis(rows.index)


def _panel(axes: Axes, arms: pd.DataFrame, rows: pd.DataFrame, unit: str, most: float) -> None:
    for place, row in enumerate(rows.itertuples()):
        mine = arms[(arms["agent"] == row.agent) & (arms["route"] == row.route)]
        mine = mine[(mine["unit"] == unit) & mine["dose"].notna()]
        axes.axhline(place, color=PALE, linewidth=0.5, zorder=0, label="_row")
        # One mark a dose: arms of the same dose add up, and none hides another.
        same = mine.assign(dose=mine["dose"].map(lambda d: float(f"{d:.3g}")))
        same = same.assign(people=same["people"].where(same["overlaps"] == "", 0.0).fillna(0.0))
        by = same.groupby(["dose", "usable"], as_index=False).agg(people=("people", "sum"))
        by = by.sort_values("people", ascending=False)
        usable = by["usable"].to_numpy(bool)
        axes.scatter(
            by["dose"], np.full(len(by), place), s=_area(by["people"].to_numpy(float), most),
            facecolors=[BLUE + "88" if u else "none" for u in usable],
            edgecolors=[BLUE if u else GREY for u in usable], linewidths=0.8, zorder=3,
            label="_doses",
        )  # fmt: skip
        reference = float(str(row.reference))
        if np.isfinite(reference):
            axes.plot(
                [reference, reference], [place - 0.5, place + 0.5], color=ORANGE, linewidth=2.4,
                zorder=2, label="_reference", solid_capstyle="butt",
            )  # fmt: skip
    axes.set_xscale("log")
    doses = arms.loc[(arms["unit"] == unit) & arms["agent"].isin(rows["agent"]), "dose"]
    narrow = doses.max() / doses.min() < 100
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=9))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(AXES_NAMES.get(unit, unit or "dose, in the units of the evidence"))
    axes.margins(x=0.06)
    row_axes(axes, len(rows))


def _columns(axes: Axes, rows: pd.DataFrame, every: pd.DataFrame) -> None:
    """Print who and how on the left, as wide as all panels need, and how many on the right."""
    at = [-1.0, *range(len(rows))]
    head = "agent, route" if any(every["route"]) else "agent"
    texts, longest = [head, *_names(rows)], max([head, *_names(every)], key=len)
    # The longest name of all panels, unseen, lines their columns up.
    unseen = text_column(axes, [longest], [-1.0], 6)
    axes.texts[-1].set_visible(False)
    for text, row in zip(texts, at, strict=True):
        axes.annotate(
            text, (0, row), xycoords=axes.get_yaxis_transform(), xytext=(-unseen, 0),
            textcoords="offset points", ha="left", va="center", fontsize=7, annotation_clip=False,
        )  # fmt: skip
    missing, end = rows["arms"] - rows["known"], 4.0
    for name, values in (("arms", rows["arms"]), ("people", rows["people"]), ("no dose", missing)):
        none = "0" if name == "no dose" else "?"
        texts = [name, *(f"{value:,.0f}" if value > 0 else none for value in values)]
        end = 8 + text_column(axes, texts, at, end, side="right", align="right")


def _names(rows: pd.DataFrame) -> list[str]:
    pairs = zip(rows["agent"], rows["route"], strict=True)
    return [
        f"{words(agent, 30)}{f', {words(route, 16)}' if route else ''}" for agent, route in pairs
    ]


def _area(people: np.ndarray, most: float) -> np.ndarray:
    """Area by people; a dot where no number was read."""
    return 6 + 110 * people / most


def _nothing(axes: Axes) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "No dose is known.", ha="center", va="center", transform=axes.transAxes)


def _legend(referenced: bool, all_usable: bool, most: float) -> list[Line2D]:
    size = _round(most)
    disc: dict[str, Any] = {"marker": "o", "linestyle": "none"}
    area = float(np.sqrt(_area(np.array([size]), most)[0]))
    ring = Line2D([], [], mfc="none", mec=GREY, ms=5, label="arms without a usable row", **disc)
    handles = [
        Line2D([], [], mfc=BLUE + "88", mec=BLUE, ms=5, label="usable arms at a dose", **disc),
        *([] if all_usable else [ring]),
        Line2D([], [], mfc="none", mec=BLACK, ms=area, label=f"area: {size:,} people", **disc),
    ]
    if referenced:
        bar: dict[str, Any] = {"marker": "|", "mew": 2.4, "linestyle": "none"}
        handles.append(Line2D([], [], color=ORANGE, ms=8, label="reference dose", **bar))
    return handles


def _round(most: float) -> int:
    """Find a round number of people below the largest group."""
    power = 10 ** int(np.floor(np.log10(max(most, 1))))
    return int(max(step * power for step in (1, 2, 5) if step * power <= max(most, 1)))


def _remark(rows: pd.DataFrame, hidden: pd.DataFrame) -> str:
    lines = []
    if len(hidden):
        arms = int(hidden["arms"].sum())
        lines.append(f"Not drawn, with fewer arms: {len(hidden)} more rows ({arms} arms).")
    silent = rows[rows["known"] == 0]
    if len(silent):
        pairs = zip(_names(silent), silent["arms"], strict=True)
        names = [f"{name} ({arms})" for name, arms in pairs]
        more = f"; and {len(names) - 8} more" if len(names) > 8 else ""
        lines.append(f"No dose known (arms): {'; '.join(names[:8])}{more}.")
    return "\n".join(lines)


def _alt(arms: pd.DataFrame, shown: pd.DataFrame) -> str:
    known = int(arms["dose"].notna().sum())
    text = f"Doses of {shown['agent'].nunique()} agents: {known} of {len(arms)} arms have one."
    if shown.empty:
        return text
    top = shown.iloc[int(shown["known"].argmax())]
    same = (arms["agent"] == top["agent"]) & (arms["route"] == top["route"])
    doses = arms.loc[same & (arms["unit"] == top["unit"]), "dose"].dropna()
    name = f"{words(top['agent'])}{f', {words(top.route)}' if top['route'] else ''}"
    return (
        f"{text} Most arms: {name}, {int(top['known'])} arms,"
        f" {doses.min():g} to {doses.max():g} {top['unit']}".rstrip()
        + "."
    )
