"""The network: which agents, or doses of agents, were compared, in how many studies and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmda_bayes.evidence.network import network
from nmda_bayes.evidence.tested_doses import NOT_KNOWN
from nmda_bayes.figures.style import BLACK, BLUE, GREY, ORANGE, drawing
from nmda_bayes.figures.text import legend, note, words

#: Up to here labels stand upright around the circle and edges carry their number.
UPRIGHT = 18
#: Nodes on one page.
AT_MOST = 100
#: In a network by dose neighbouring agents differ in lightness, so that each agent's arc is seen.
LIGHT = "#9CC4E0"


def plot_network(
    evidence: xr.DataTree | pd.DataFrame,
    *,
    by: Literal["agent", "dose"] = "agent",
    outcome: str | Sequence[str] | None = None,
    reference: str = "placebo",
    participants: Mapping[str, float] | None = None,
) -> Figure:
    """Draw the agents, or each dose of them, as a circle of nodes, and their comparisons as edges.

    Parameters
    ----------
    evidence
        As `nmda_bayes.load_evidence` gives it (usable rows are drawn), or a fit's ``design`` (a
        child ``arms`` with study and agent), or a table of edges: agent, comparator, studies.
    by
        ``agent``: a node is an agent at any dose. ``dose``: an agent at one dose by one route.
    outcome
        One outcome, or several, whose usable rows are drawn; None for all.
    reference
        The agent marked as reference.
    participants
        People given each agent. If None, those that the evidence tells of.

    Returns
    -------
    Figure
        Nodes by participants, edges by number of studies. Of more than 100 nodes those with the
        most studies; the rest is counted at the foot.

    Raises
    ------
    ValueError
        If the evidence has neither arms nor the columns of an edge table, or is not what ``by`` or
        ``outcome`` need.
    """
    whole = isinstance(evidence, xr.DataTree) and "results" in evidence.children
    if not whole and (by == "dose" or outcome is not None):
        raise ValueError("plot_network by dose, or of an outcome, needs what load_evidence gives")
    if whole:
        measures = [outcome] if isinstance(outcome, str) else outcome
        edges, people = _of_network(network(evidence, measures, reference, by))  # type: ignore[arg-type]
    else:
        edges, people = _edges_of(evidence)
    people = dict(participants) if participants is not None else people
    edges, people, hidden = _fullest(edges, people, reference)
    nodes = sorted({*edges["agent"], *edges["comparator"], *people} - {""}, key=_by_dose)
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
        inner = bool((edges["agent"].map(_agent) == edges["comparator"].map(_agent)).any())
        marked = reference if reference in place else ""
        legend(figure, _legend(marked, known, numbered, by, inner=by == "dose" and inner), 2)
        if hidden:
            note(figure, f"Not drawn, with fewer studies: {hidden} more nodes.")
        figure.set_label(_alt(nodes, edges, people, by))
    return figure


def _of_network(net: xr.Dataset) -> tuple[pd.DataFrame, dict[str, float]]:
    names = ("agent", "comparator", "studies")
    edges = pd.DataFrame({name: net[f"edge_{name}"].values for name in names})
    return edges, dict(zip(net["agent"].values, net["participants"].values, strict=True))


def _fullest(
    edges: pd.DataFrame, people: dict[str, float], reference: str
) -> tuple[pd.DataFrame, dict[str, float], int]:
    """Keep the nodes with the most studies, as many as can be read; say how many went."""
    both = pd.concat([edges["agent"], edges["comparator"]])
    studies = pd.concat([edges["studies"]] * 2).groupby(both.to_numpy()).sum()
    studies = studies.reindex([*dict.fromkeys([*people, *studies.index])], fill_value=0)
    order = studies.sort_values(ascending=False, kind="stable").index
    order = sorted(order, key=lambda node: node != reference)
    kept, hidden = set(order[:AT_MOST]), max(0, len(order) - AT_MOST)
    inside = edges["agent"].isin(kept) & edges["comparator"].isin(kept)
    return edges[inside], {a: n for a, n in people.items() if a in kept}, hidden


def _agent(node: str) -> str:
    """Give the agent (and route) of a node by dose."""
    return node.partition("@")[0]


def _by_dose(node: str) -> tuple[str, str, float, str]:
    """Order nodes by agent, then unit, then dose; a dose that is not known comes last."""
    agent, _, amount = node.partition("@")
    number, _, unit = amount.partition(" ")
    try:
        return agent, unit, float(number), node
    except ValueError:
        return agent, "~", np.inf, node


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
        within = _agent(agent) == _agent(comparator)
        x, y = _path(one, other, bent=within)
        most = 5.4 if numbered else 3.4 if len(edges) <= 60 else 2.2
        axes.plot(
            x, y, color=BLACK if within else GREY, alpha=1 if within else 0.6,
            zorder=2 if within else 1, label="_edge",
            linewidth=0.6 + most * np.sqrt(studies / edges["studies"].max()),
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


def _path(one: np.ndarray, other: np.ndarray, *, bent: bool) -> tuple[np.ndarray, np.ndarray]:
    """Join two nodes, straight, or bent inwards so that neighbours on the rim do not hide it."""
    t = np.linspace(0, 1, 21 if bent else 2)[:, None]
    middle = (one + other) / 2 * (0.72 if bent else 1)
    path = (1 - t) ** 2 * one + 2 * t * (1 - t) * middle + t**2 * other
    return path[:, 0], path[:, 1]


def _draw_nodes(
    axes: Axes, place: Mapping[str, np.ndarray], people: Mapping[str, float], reference: str
) -> None:
    counts = np.array([people.get(agent, np.nan) for agent in place], dtype=float)
    most = np.nanmax(counts) if np.isfinite(counts).any() else 1.0
    area = 22 + 330 * np.nan_to_num(counts / most, nan=0.0)
    at = np.array(list(place.values())).reshape(-1, 2)
    named = list(dict.fromkeys(_agent(node) for node in place if node != reference))
    dark = {
        agent: i % 2 == 0 or not any("@" in node for node in place) for i, agent in enumerate(named)
    }
    colors = [
        ORANGE if node == reference else BLUE if dark[_agent(node)] else LIGHT for node in place
    ]
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
        text = words(_short(agent), 36)
        text += " (reference)" if agent == reference else ""
        rotation = 0.0
        if not upright:
            rotation = turn if x >= -1e-6 else turn + 180
            align = "left" if x >= -1e-6 else "right"
        axes.annotate(
            text, (x, y), xytext=(15 * x, 15 * y), textcoords="offset points", ha=align,
            va=("bottom" if y > 0 else "top") if upright and flat else "center",
            rotation=rotation, rotation_mode="anchor", fontsize=_size(len(place)),
            annotation_clip=False,
        )  # fmt: skip
    axes.set_xlim(-1.15, 1.15)
    axes.set_ylim(-1.15, 1.15)


def _short(node: str) -> str:
    """Write a node by dose in few characters."""
    agent, at, amount = node.partition("@")
    amount = "dose?" if amount == NOT_KNOWN else amount.replace(" a day", "/day")
    return f"{agent}, {amount}" if at else agent


def _size(nodes: int) -> float:
    return 7 if nodes <= UPRIGHT else 6 if nodes <= 60 else 5.2


def _legend(reference: str, known: bool, numbered: bool, by: str, *, inner: bool) -> list[Line2D]:
    disc: dict[str, Any] = {"marker": "o", "mec": BLACK, "linestyle": "none", "ms": 6}
    area = "area: participants" if known else "participants not known"
    node = "agent" if by == "agent" else "agent, route, dose (dose?: not known)"
    handles = [Line2D([], [], markerfacecolor=BLUE, label=f"{node} ({area})", **disc)]
    if reference:
        text = f"reference: {words(reference, 30)}"
        handles.append(Line2D([], [], markerfacecolor=ORANGE, label=text, **disc))
    text = f"comparison (width{', number' if numbered else ''}: studies)"
    handles.append(Line2D([], [], color=GREY, linewidth=3, label=text))
    if inner:
        handles.append(Line2D([], [], color=BLACK, linewidth=3, label="doses of one agent"))
    return handles


def _alt(nodes: list[str], edges: pd.DataFrame, people: Mapping[str, float], by: str) -> str:
    what = "agents" if by == "agent" else "doses"
    text = f"Network of {len(nodes)} {what} and {len(edges)} comparisons."
    if len(edges):
        top = edges.iloc[int(edges["studies"].argmax())]
        text += f" Most studied: {words(top['agent'])} against {words(top['comparator'])}"
        text += f", {int(top['studies'])} studies."
    total = np.nansum(list(people.values())) if people else 0
    return f"{text} {total:,.0f} participants in all arms." if total > 0 else text
