"""The network: which agents were compared with which, by how many studies."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.figures.style import BLACK, BLUE, GREY, ORANGE, drawing
from nmda_bayes.figures.text import legend, words

#: Up to here labels stand upright around the circle and edges carry their number.
UPRIGHT = 18


def plot_network(
    evidence: xr.DataTree | pd.DataFrame,
    *,
    reference: str = "placebo",
    participants: Mapping[str, float] | None = None,
) -> Figure:
    """Draw the agents as a circle of nodes, and their comparisons as edges.

    Parameters
    ----------
    evidence
        As `nmda_bayes.load_evidence` gives it, or a fit's ``design`` (a child ``arms`` with study
        and agent), or a table of edges: agent, comparator, studies.
    reference
        The agent marked as reference.
    participants
        People given each agent. If None, the arms' ``n_randomised`` where the evidence has it.

    Returns
    -------
    Figure
        Nodes by participants, edges by number of studies.

    Raises
    ------
    ValueError
        If the evidence has neither arms nor the columns of an edge table.
    """
    edges, people = _edges_of(evidence)
    people = dict(participants) if participants is not None else people
    nodes = sorted({*edges["agent"], *edges["comparator"], *people} - {""})
    nodes = sorted(nodes, key=lambda agent: agent != reference)
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(nodes)) / max(len(nodes), 1)
    place = {a: np.array([np.cos(t), np.sin(t)]) for a, t in zip(nodes, angle, strict=True)}
    numbered = len(edges) <= 30
    with drawing(6.4, 4.4 if len(nodes) <= UPRIGHT else 6.2) as figure:
        axes = figure.subplots()
        _draw_edges(axes, edges, place, numbered=numbered)
        _draw_nodes(axes, place, people, reference)
        _label_nodes(axes, place, reference)
        axes.set_aspect("equal")
        axes.set_axis_off()
        known = any(np.isfinite(v) and v > 0 for v in people.values())
        legend(figure, _legend(reference if reference in place else "", known, numbered))
        figure.set_label(_alt(nodes, edges, people))
    return figure


def _edges_of(evidence: xr.DataTree | pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    if isinstance(evidence, pd.DataFrame):
        missing = [c for c in ("agent", "comparator", "studies") if c not in evidence]
        if missing:
            raise ValueError(f"plot_network needs the columns {', '.join(missing)}")
        return evidence[["agent", "comparator", "studies"]], {}
    if "arms" not in evidence.children:
        raise ValueError("plot_network needs a child 'arms' with 'study' and 'agent'")
    arms = _frame(evidence, "arms")
    pairs = [arms[["study", "agent"]]]
    if "contrasts" in evidence.children:
        contrasts = _frame(evidence, "contrasts")
        pairs += [contrasts[["study", "agent"]]]
        pairs += [contrasts[["study"]].assign(agent=contrasts["comparator"])]
    given = pd.concat(pairs).drop_duplicates()
    given = given[given["agent"] != ""]
    found = [
        (one, other, study)
        for study, group in given.groupby("study")
        for one, other in combinations(sorted(group["agent"]), 2)
    ]
    table = pd.DataFrame(found, columns=["agent", "comparator", "study"])
    counts = table.groupby(["agent", "comparator"])["study"].nunique()
    people = dict.fromkeys(sorted(given["agent"]), np.nan)
    if "n_randomised" in arms:
        # An arm that repeats the patients of others would count them twice.
        whole = arms[arms["overlaps"] == ""] if "overlaps" in arms else arms
        people |= whole.groupby("agent")["n_randomised"].sum(min_count=1).to_dict()
    return counts.to_frame("studies").reset_index(), people


def _frame(tree: xr.DataTree, child: str) -> pd.DataFrame:
    """One child as a table; a child may have coordinates of other dims."""
    dataset = tree[child].to_dataset()
    names = [
        n for n in ("study", "agent", "comparator", "n_randomised", "overlaps") if n in dataset
    ]
    return pd.DataFrame({n: dataset[n].values for n in names})


def _draw_edges(
    axes: Axes, edges: pd.DataFrame, place: Mapping[str, np.ndarray], *, numbered: bool
) -> None:
    degree = pd.concat([edges["agent"], edges["comparator"]]).value_counts()
    taken: list[np.ndarray] = []
    for agent, comparator, studies in edges.itertuples(index=False):
        one, other = place[agent], place[comparator]
        axes.plot(
            [one[0], other[0]], [one[1], other[1]], color=GREY, alpha=0.75, zorder=1, label="_edge",
            linewidth=0.6 + (5.4 if numbered else 3.4) * np.sqrt(studies / edges["studies"].max()),
        )  # fmt: skip
        if not numbered:
            continue
        # Nearer the quieter end, where fewer edges meet.
        quiet, busy = (one, other) if degree[agent] <= degree[comparator] else (other, one)
        ways = [quiet + part * (busy - quiet) for part in (0.34, 0.45, 0.26, 0.55, 0.18)]
        free = [at for at in ways if all(np.hypot(*(at - other)) > 0.12 for other in taken)]
        at = (free or ways)[0]
        taken.append(at)
        axes.text(
            at[0], at[1], f"{int(studies)}", fontsize=6.5, ha="center", va="center", zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        )  # fmt: skip


def _draw_nodes(
    axes: Axes, place: Mapping[str, np.ndarray], people: Mapping[str, float], reference: str
) -> None:
    counts = np.array([people.get(agent, np.nan) for agent in place], dtype=float)
    most = np.nanmax(counts) if np.isfinite(counts).any() else 1.0
    area = 22 + 330 * np.nan_to_num(counts / most, nan=0.0)
    at = np.array(list(place.values())).reshape(-1, 2)
    colors = [ORANGE if agent == reference else BLUE for agent in place]
    axes.scatter(
        at[:, 0], at[:, 1], s=area, c=colors, edgecolors=BLACK, linewidths=0.8, zorder=3,
        label="_agents", clip_on=False,
    )  # fmt: skip
    if reference in place:
        ring = [area[i] * 1.5 + 60 for i, agent in enumerate(place) if agent == reference]
        axes.scatter(
            place[reference][0],
            place[reference][1], s=ring, facecolors="none", edgecolors=BLACK, linewidths=0.9,
            zorder=3, label="_reference", clip_on=False,
        )  # fmt: skip


def _label_nodes(axes: Axes, place: Mapping[str, np.ndarray], reference: str) -> None:
    upright = len(place) <= UPRIGHT
    for agent, (x, y) in place.items():
        turn = np.degrees(np.arctan2(y, x))
        flat = abs(x) < 1e-6
        align = ("center" if flat else "left" if x > 0 else "right") if upright else "left"
        text = words(agent, 30) + (" (reference)" if agent == reference else "")
        rotation = 0.0
        if not upright:
            rotation = turn if x >= -1e-6 else turn + 180
            align = "left" if x >= -1e-6 else "right"
        axes.annotate(
            text, (x, y), xytext=(15 * x, 15 * y), textcoords="offset points", ha=align,
            va=("bottom" if y > 0 else "top") if upright and flat else "center",
            rotation=rotation, rotation_mode="anchor", fontsize=7 if upright else 6,
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(-1.15, 1.15)
    axes.set_ylim(-1.15, 1.15)


def _legend(reference: str, known: bool, numbered: bool) -> list[Line2D]:
    disc: dict[str, Any] = {"marker": "o", "mec": BLACK, "linestyle": "none", "ms": 6}
    area = "area: participants" if known else "participants not known"
    handles = [Line2D([], [], markerfacecolor=BLUE, label=f"agent ({area})", **disc)]
    if reference:
        text = f"reference: {words(reference, 30)}"
        handles.append(Line2D([], [], markerfacecolor=ORANGE, label=text, **disc))
    text = f"comparison (width{', number' if numbered else ''}: studies)"
    return [*handles, Line2D([], [], color=GREY, linewidth=3, label=text)]


def _alt(nodes: list[str], edges: pd.DataFrame, people: Mapping[str, float]) -> str:
    text = f"Network of {len(nodes)} agents and {len(edges)} comparisons."
    if len(edges):
        top = edges.iloc[int(edges["studies"].argmax())]
        text += f" Most studied: {words(top['agent'])} against {words(top['comparator'])}"
        text += f", {int(top['studies'])} studies."
    total = np.nansum(list(people.values())) if people else 0
    return f"{text} {total:,.0f} participants in all arms." if total > 0 else text
