"""Evidence: doses tested, evidence map, and the folder of figures and tables about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nmda_bayes.artifacts import write_csv
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME, positions_in
from nmda_bayes.evidence.describe import (
    describe_evidence,
    study_characteristics,
    trials_by_time,
    unusable_row_counts,
)
from nmda_bayes.evidence.doses import dose_coverage, reference_agents
from nmda_bayes.evidence.network import TIME, evidence_map, evidence_network
from nmda_bayes.figures.layout import log_axis, panel_grid, require_columns, require_dims
from nmda_bayes.figures.network import plot_network
from nmda_bayes.figures.row_chart import Column, draw_columns, setup_row_axes
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    FULL_WIDTH,
    GREY,
    LIGHT_GREY,
    ORANGE,
    StyledFigure,
    cell_label,
    display_name,
    marker_key,
    patch_key,
    styled_figure,
    wrap_text,
)

# Dose coverage: which doses of each agent were tested, by which route, in how many people.

#: Rows on one page: pairs of agent and route with a known dose.
MAX_COVERAGE_SIZE = 30
ROW_HEIGHT = 0.21
UNIT_LABELS = {"mg/kg": "mg/kg of the course", "mg a day": "mg on a day of treatment"}


def plot_dose_coverage(
    evidence: xr.DataTree | pd.DataFrame, *, agents: Sequence[str] | None = None
) -> Figure:
    """Draw every tested dose of each agent and route on a logarithmic axis.

    Parameters
    ----------
    evidence
        From `nmda_bayes.load_evidence`, or rows from `nmda_bayes.dose_coverage`.
    agents
        Which to draw, in this order; if None, those with the most arms, as many as fit on a page.

    Returns
    -------
    Figure
        A panel a unit, a row an agent and route; area: people; a bar marks the reference dose.
        Doses of arms without usable results are hollow. Arms without a dose, and rows that are not
        drawn, are counted at the foot.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> figure = nb.plot_dose_coverage(evidence, agents=["ketamine", "memantine"])
    >>> figure.get_label()[:18]
    'Doses of 2 agents:'
    """
    arms = dose_coverage(evidence) if isinstance(evidence, xr.DataTree) else evidence
    needed = {"agent", "route", "dose", "unit", "reference_dose", "people", "overlaps", "usable"}
    require_columns(arms, sorted(needed), "plot_dose_coverage")
    if agents is not None:
        arms = arms[arms["agent"].isin(list(agents))]
    rows = _coverage_rows(arms, agents)
    with_dose, without_dose = rows[rows["known"] > 0], rows[rows["known"] == 0]
    shown, omitted = with_dose.head(MAX_COVERAGE_SIZE), with_dose.iloc[MAX_COVERAGE_SIZE:]
    panels = list(shown.groupby("unit", sort=False))
    heights = [len(group) + 2.6 for _, group in panels] or [2.0]
    largest = max([1.0, *arms["people"].dropna()])
    names = [_coverage_label(row) for _, row in shown.iterrows()]
    with styled_figure(FULL_WIDTH, 0.5 + ROW_HEIGHT * sum(heights)) as figure:
        grid = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (unit, group) in zip(grid, panels, strict=False):
            _draw_coverage(axes, arms[arms["unit"] == unit], group, str(unit), largest)
            _draw_coverage_columns(axes, group, names)
        if not panels:
            grid[0].set_axis_off()
            message = {"ha": "center", "va": "center", "transform": grid[0].transAxes}
            grid[0].text(0.5, 0.5, "No dose is known.", **message)
        else:
            _add_coverage_legend(figure, shown, bool(arms["usable"].all()), largest)
        counts = [f"{_coverage_label(row)} ({row['arms']})" for _, row in without_dose.iterrows()]
        more = f"; and {len(counts) - 8} more" if len(counts) > 8 else ""
        omitted_text = f"{len(omitted)} more rows ({omitted['arms'].sum()} arms)"
        figure.add_note(
            len(omitted) > 0 and f"Not drawn, with fewer arms: {omitted_text}.",
            len(counts) > 0 and f"No dose known (arms): {'; '.join(counts[:8])}{more}.",
        )
        known = int(arms["dose"].notna().sum())
        figure.set_alt_text(
            f"Doses of {shown['agent'].nunique()} agents: {known} of {len(arms)} arms have one.",
            "" if shown.empty else _describe_most_arms(arms, shown),
        )
    return figure


def _coverage_rows(arms: pd.DataFrame, agents: Sequence[str] | None) -> pd.DataFrame:
    """Count by agent, route and unit; an arm without a dose is counted in its usual unit."""
    keys, has_dose = ["agent", "route"], arms["dose"].notna()
    usual = arms[has_dose].groupby(keys)["unit"].agg(lambda unit: unit.value_counts().index[0])
    usual_unit = arms[keys].join(usual.rename("usual"), on=keys)["usual"].fillna("")
    counted = arms["people"].where(arms["overlaps"] == "", 0.0)
    arms = arms.assign(unit=arms["unit"].where(has_dose, usual_unit), counted=counted)
    rows = arms.groupby([*keys, "unit"], sort=False, as_index=False).agg(
        arms=("agent", "size"),
        known=("dose", "count"),
        people=("counted", "sum"),
        reference=("reference_dose", "first"),
    )
    if "multiple" in arms:
        # A reference dose is in the unit of the arms that are given as multiples of it.
        scaled = arms[arms["multiple"].notna()].groupby(keys)["unit"].first()
        unit = rows[keys].join(scaled, on=keys)["unit"]
        rows["reference"] = rows["reference"].where(rows["unit"] == unit)
    if agents is not None:
        return rows.iloc[np.argsort(positions_in(agents, rows["agent"]), kind="stable")]
    total = rows.groupby("agent")["arms"].transform("sum")
    order = rows.assign(total=total).sort_values(
        ["total", "agent", "arms"], ascending=[False, True, False], kind="stable"
    )
    return order.drop(columns="total")


def _coverage_label(row: pd.Series) -> str:
    route = f", {display_name(row['route'], 16)}" if row["route"] else ""
    return f"{display_name(row['agent'], 30)}{route}"


def _doses_of(arms: pd.DataFrame, row: pd.Series) -> pd.DataFrame:
    same = (arms["agent"] == row["agent"]) & (arms["route"] == row["route"])
    return arms[same & (arms["unit"] == row["unit"]) & arms["dose"].notna()]


def _marker_area(people: Any, largest: float) -> Any:
    """Scale the area of a marker by people; a dot where their number is not known."""
    return 6 + 110 * people / largest


def _draw_coverage(
    axes: Axes, arms: pd.DataFrame, rows: pd.DataFrame, unit: str, largest: float
) -> None:
    for y, (_, row) in enumerate(rows.iterrows()):
        axes.axhline(y, color=LIGHT_GREY, lw=0.5, zorder=0, label="_row")
        # One mark a dose: arms of the same dose add up, and none hides another.
        tested = _doses_of(arms, row)
        people = tested["people"].where(tested["overlaps"] == "", 0.0).fillna(0.0)
        rounded = tested["dose"].map(lambda dose: float(f"{dose:.3g}"))
        totals = people.groupby([rounded, tested["usable"]]).sum()
        marks = totals.sort_values(ascending=False).reset_index()
        usable, area = marks["usable"].astype(bool), _marker_area(marks["people"], largest)
        style: dict[str, Any] = {"fc": np.where(usable, BLUE + "88", "none"), "lw": 0.8}
        style |= {"ec": np.where(usable, BLUE, GREY), "zorder": 3, "label": "_doses"}
        axes.scatter(marks["dose"], np.full(len(marks), y), s=area, **style)
        if np.isfinite(row["reference"]):
            ends = [row["reference"]] * 2, [y - 0.5, y + 0.5]
            style = {"color": ORANGE, "lw": 2.4, "zorder": 2, "solid_capstyle": "butt"}
            axes.plot(*ends, label="_reference", **style)
    axes.set_xscale("log")
    all_doses = arms.loc[arms["agent"].isin(rows["agent"]), "dose"]
    log_axis(axes.xaxis, (1, 2, 5) if all_doses.max() / all_doses.min() < 100 else (1,))
    axes.set_xlabel(UNIT_LABELS.get(unit, unit or "dose (unit not stated)"))
    axes.margins(x=0.06)
    setup_row_axes(axes, len(rows))


def _draw_coverage_columns(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """Print names, as wide as all panels need, and counts."""
    head = "agent, route" if any("," in name for name in names) else "agent"
    labels = [_coverage_label(row) for _, row in rows.iterrows()]
    draw_columns(axes, [Column(head, labels)], "left", reserve=[head, max(names, key=len)])
    counts = {
        "arms": (rows["arms"], "?"),
        "people": (rows["people"], "?"),
        "no dose": (rows["arms"] - rows["known"], "0"),
    }
    columns = [
        Column(name, [f"{value:,.0f}" if value > 0 else none for value in values], "right")
        for name, (values, none) in counts.items()
    ]
    draw_columns(axes, columns, "right")


def _add_coverage_legend(
    figure: StyledFigure, rows: pd.DataFrame, all_usable: bool, largest: float
) -> None:
    power = 10 ** int(np.floor(np.log10(max(largest, 1))))
    size = max(k * power for k in (1, 2, 5) if k * power <= max(largest, 1))
    diameter = _marker_area(size, largest) ** 0.5
    hollow: dict[str, Any] = {"mfc": "none", "ms": 5}
    has_reference = rows["reference"].notna().any()
    figure.add_legend(
        marker_key("usable arms at a dose", color=BLUE, mfc=BLUE + "88", ms=5),
        not all_usable and marker_key("arms without usable results", color=GREY, **hollow),
        marker_key(f"area: {size:,} people", mfc="none", ms=diameter),
        bool(has_reference) and marker_key("reference dose", "|", ORANGE, ms=8, mew=2.4),
        columns=4,
    )


def _describe_most_arms(arms: pd.DataFrame, shown: pd.DataFrame) -> str:
    top = shown.iloc[int(shown["known"].argmax())]
    doses = _doses_of(arms, top)["dose"]
    span = f"{doses.min():g} to {doses.max():g} {top['unit']}".rstrip()
    return f"Most arms: {_coverage_label(top)}, {top['known']} arms, {span}."


# Evidence map: agents by conditions by outcomes (by time).

#: Light to dark by number of studies, which is also printed in the cell.
SHADES = (
    (1, "1 study", "#D6E6F2"),
    (2, "2–3", "#9CC4E0"),
    (4, "4–7", "#4F97C7"),
    (8, "8–15", "#0072B2"),
    (16, "16 or more", "#00466E"),
)
MAX_MAP_SIZE = {AGENT: 10, CONDITION: 15, OUTCOME: 6}
#: With a fourth dim, of which the labels are rows of panels, a page holds less of the others.
MAX_MAP_SIZE_BY_ROWS = {AGENT: 10, CONDITION: 7, OUTCOME: 3}
CELL_SIZE = 0.17
NO_STUDY: dict[str, Any] = {"facecolor": "none", "hatch": "////"}


def plot_evidence_map(
    evidence_map: xr.Dataset | xr.DataArray,
    *,
    agents: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    outcomes: Sequence[str] | None = None,
) -> Figure:
    """Draw how many studies reported each outcome of each agent in each condition.

    Parameters
    ----------
    evidence_map
        From `nmda_bayes.evidence_map`: number of studies with usable results (``results`` of a
        dataset), dims agent, condition, outcome, and at most one more, such as time, whose labels
        become rows of panels; printed names as the coordinates ``<dim>_label``.
    agents
        Which to draw, in this order; if None, those with the most studies that fit on a page.
    conditions
        Which to draw; as for agents.
    outcomes
        Which to draw; as for agents. One without studies is drawn as an empty panel.

    Returns
    -------
    Figure
        One panel an outcome, or an outcome and time; a cell without studies is hatched, with a 0.
        What is not shown is counted at the foot.

    Raises
    ------
    ValueError
        If a dim is missing, or there are more than four.

    Examples
    --------
    >>> figure = nb.plot_evidence_map(nb.evidence_map(evidence), outcomes=["pain_intensity"])
    >>> len([axes for axes in figure.axes if axes.get_visible()])
    1
    """
    results = evidence_map["results"] if isinstance(evidence_map, xr.Dataset) else evidence_map
    require_dims(results, (AGENT, CONDITION, OUTCOME), "plot_evidence_map")
    by = [str(dim) for dim in results.dims if dim not in MAX_MAP_SIZE]
    if len(by) > 1:
        raise ValueError(f"plot_evidence_map draws four dims; select one label of {', '.join(by)}")
    sizes = MAX_MAP_SIZE_BY_ROWS if by else MAX_MAP_SIZE
    wanted = {AGENT: agents, CONDITION: conditions, OUTCOME: outcomes}
    omitted = []
    for dim, labels in wanted.items():
        results, n_omitted = _select_labels(results, dim, labels, sizes[dim])
        if n_omitted:
            omitted.append(f"{n_omitted} {display_name(dim)}{'s' * (n_omitted > 1)}")
    results = results.transpose(*by, OUTCOME, CONDITION, AGENT)
    n_rows, n_outcomes = (results.sizes[by[0]] if by else 1), results.sizes[OUTCOME]
    panel_width = CELL_SIZE * results.sizes[AGENT] + 0.15
    across = n_outcomes if by else min(n_outcomes, max(1, int((FULL_WIDTH - 1.4) // panel_width)))
    down = -(-n_rows * n_outcomes // across)
    width = max(min(FULL_WIDTH, 1.8 + across * panel_width), 3.4)
    height = 1.5 + down * (CELL_SIZE * results.sizes[CONDITION] + 0.35)
    with styled_figure(width, height) as figure:
        grid = panel_grid(figure, n_rows * n_outcomes, across)
        panels = [results.isel(dict.fromkeys(by, row)) for row in range(n_rows)]
        for i, axes in enumerate(grid.flat[: n_rows * n_outcomes]):
            row, column = divmod(i, n_outcomes)
            _draw_map(axes, panels[row].isel({OUTCOME: column}), titled=row == 0)
            if by and column == 0:
                text = wrap_text(cell_label(panels[row], by[0], 60), 15)
                axes.set_ylabel(text, rotation=0, ha="right", va="center", labelpad=8)
        for axes in grid.flat:
            axes.tick_params(axis="x", labelbottom=False)
        for axes in grid[0]:
            axes.tick_params(axis="x", labeltop=True)
        shades = [patch_key(text, color, edgecolor=GREY) for _, text, color in SHADES]
        no_study = patch_key("no study", edgecolor=GREY, hatch="////", linestyle="--")
        figure.add_legend(no_study, *shades, columns=6)
        if omitted:
            figure.add_note(f"Not shown, with fewer studies: {', '.join(omitted)}.")
        each = [results.isel({OUTCOME: i}) for i in range(n_outcomes)]
        unstudied = ", ".join(cell_label(panel, OUTCOME) for panel in each if not panel.any())
        figure.set_alt_text(
            f"Map of {results.sizes[AGENT]} agents, {results.sizes[CONDITION]} conditions and"
            f" {n_outcomes} outcomes: {int((results == 0).sum())} of {results.size} cells have no"
            " study.",
            unstudied and f"No study at all: {unstudied}.",
        )
    return figure


def _select_labels(
    results: xr.DataArray, dim: str, labels: Sequence[str] | None, most: int
) -> tuple[xr.DataArray, int]:
    """Select these labels, or those with the most studies, and count the others."""
    if labels is None:
        others = [other for other in results.dims if other != dim]
        order = np.argsort(-results.sum(others).values, kind="stable")
        return results.isel({dim: order[:most]}), max(0, len(order) - most)
    known, name = set(results[dim].values), f"{dim}_label"
    selected = results.reindex({dim: list(labels)}, fill_value=0)
    if name in selected.coords:
        pairs = zip(labels, selected[name].values, strict=True)
        texts = [text if label in known else display_name(label) for label, text in pairs]
        selected = selected.assign_coords({name: (dim, texts)})
    return selected, 0


def _draw_map(axes: Axes, panel: xr.DataArray, *, titled: bool) -> None:
    """Draw the counts of one outcome (condition, agent)."""
    counts = panel.values.astype(int)
    cells = [(x, y, int(counts[y, x])) for y, x in np.ndindex(counts.shape)]
    squares = {(x, y): Rectangle((x - 0.43, y - 0.43), 0.86, 0.86) for x, y, _ in cells}
    empty = [squares[x, y] for x, y, count in cells if not count]
    full = [squares[x, y] for x, y, count in cells if count]
    shades = [_shade(count) for _, _, count in cells if count]
    zeros = [Rectangle((x - 0.17, y - 0.2), 0.34, 0.4) for x, y, count in cells if not count]
    broken: dict[str, Any] = {"edgecolor": LIGHT_GREY, "linewidth": 0.5, "linestyle": (0, (2, 1.5))}
    for patches, style in (
        (empty, {"label": "_no study", **NO_STUDY, **broken}),
        (full, {"label": "_studies", "facecolors": shades, "edgecolors": GREY, "linewidth": 0.4}),
        (zeros, {"label": "_zeros", "facecolor": "white", "linewidth": 0}),
    ):
        axes.add_collection(PatchCollection(patches, **style))
    for x, y, count in cells:
        color = "white" if count >= 4 else BLACK if count else GREY
        number = axes.text(x, y, str(count), fontsize=6 if count else 5, color=color)
        # A number stays inside its cell: measuring each would take most of the layout's time.
        number.set(ha="center", va="center_baseline", in_layout=False)
    rows, columns = counts.shape
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xticks(range(columns), _tick_labels(panel, AGENT), rotation=90)
    axes.set_yticks(range(rows), _tick_labels(panel, CONDITION))
    axes.tick_params(length=0, labelsize=6.5)
    axes.spines[["left", "bottom"]].set_visible(False)
    width = max(16, int(2.4 * columns))
    title = [wrap_text(cell_label(panel, OUTCOME, 60), width)] if titled else []
    axes.set_title("\n".join([*title, *([] if counts.any() else ["(no study)"])]), fontsize=7)


def _tick_labels(panel: xr.DataArray, dim: str) -> list[str]:
    return [cell_label(panel.isel({dim: i}), dim) for i in range(panel.sizes[dim])]


def _shade(count: int) -> str:
    return [color for least, _, color in SHADES if count >= least][-1]


# The folder of figures and tables about evidence.


def write_evidence_folder(
    folder: Path, tree: xr.DataTree, reference: str = "placebo"
) -> list[Path]:
    """Write the figures (PNG, PDF) and tables (CSV) of evidence into an empty folder."""
    text = folder / "evidence.txt"
    text.write_text(describe_evidence(tree, reference, full=True) + "\n", encoding="utf-8")
    written = [text]
    for name, table in _evidence_tables(tree, reference).items():
        written.append(folder / f"{name}.csv")
        write_csv(written[-1], table)
    for name, figure in _evidence_figures(tree, reference).items():
        for suffix in ("png", "pdf"):
            written.append(folder / f"{name}.{suffix}")
            # Without its date, the same evidence gives the same file.
            metadata = {"CreationDate": None} if suffix == "pdf" else None
            figure.savefig(written[-1], metadata=metadata)
    return written


def _evidence_tables(tree: xr.DataTree, reference: str) -> dict[str, pd.DataFrame]:
    return {
        "trials": study_characteristics(tree),
        "doses": dose_coverage(tree, reference=reference),
        "map": trials_by_time(tree, reference),
        "comparisons_by_agent": _edge_table(evidence_network(tree, reference=reference)),
        "comparisons_by_dose": _edge_table(evidence_network(tree, reference=reference, by="dose")),
        "unusable": unusable_row_counts(tree),
    }


def _edge_table(net: xr.Dataset) -> pd.DataFrame:
    names = ("agent", "comparator", "studies", "participants")
    return pd.DataFrame({name: net[f"edge_{name}"].to_numpy() for name in names})


def _evidence_figures(tree: xr.DataTree, reference: str) -> dict[str, Figure]:
    cells = evidence_map(tree)
    cells = cells.sel({AGENT: ~cells[AGENT].isin([reference, *reference_agents(tree)])})
    # Agents without usable results would take the place of others on the page.
    cells = cells.sel({AGENT: cells.any((CONDITION, OUTCOME))})
    over_time = evidence_map(tree, (AGENT, CONDITION, OUTCOME, TIME))
    return {
        "network_by_agent": plot_network(tree, reference=reference),
        "network_by_dose": plot_network(tree, by="dose", reference=reference),
        "map": plot_evidence_map(cells),
        "map_over_time": plot_evidence_map(over_time.sel({AGENT: cells[AGENT]})),
        "doses": plot_dose_coverage(dose_coverage(tree, reference=reference)),
    }
