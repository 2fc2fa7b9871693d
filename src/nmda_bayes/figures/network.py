"""Network of comparisons, league table, and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from nmda_bayes.dims import AGENT
from nmda_bayes.evidence.doses import DOSE_NOT_KNOWN
from nmda_bayes.evidence.network import evidence_network
from nmda_bayes.figures.layout import (
    panel_grid,
    percent_axis,
    require_columns,
    require_dims,
    require_variables,
)
from nmda_bayes.figures.style import (
    BLACK,
    BLUE,
    EXTRAPOLATED_LINE,
    FULL_WIDTH,
    GREY,
    LIGHT_GREY,
    NO_TRIAL_HATCH,
    ORANGE,
    column_decimals,
    display_name,
    format_number,
    line_key,
    marker_key,
    one_line,
    patch_key,
    styled_figure,
    wrap_text,
)
from nmda_bayes.intervals import INTERVAL_TEXT

COMPARATOR, RANK = "comparator", "rank"
CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}
#: Largest tables and networks that one page holds.
MAX_LEAGUE_SIZE, MAX_NETWORK_SIZE, MAX_RANKS_SIZE = 9, 100, 15


def _estimand_title(attrs: Mapping[str, Any]) -> str:
    """Write the outcome, doses and condition that a league table or ranks are about."""
    condition = f", {one_line(attrs['condition'], 60)}" if attrs.get("condition") else ""
    return f"{one_line(attrs.get('title', ''), 60)}, {attrs.get('dose', '')}{condition}"


# Network of agents, or of doses.

#: Up to so many nodes, labels are horizontal.
MAX_HORIZONTAL_LABELS = 18
#: Up to so many edges, the number of studies is printed on each.
MAX_NUMBERED_EDGES = 30
#: In a network by dose adjacent agents differ in lightness, so that each agent's arc is visible.
LIGHT_BLUE = "#9CC4E0"


def plot_network(
    evidence: xr.DataTree | pd.DataFrame,
    *,
    by: Literal["agent", "dose"] = "agent",
    outcome: str | Sequence[str] | None = None,
    reference: str = "placebo",
    participants: Mapping[str, float] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the network: agents, or doses of agents, as nodes on a circle, comparisons as edges.

    Parameters
    ----------
    evidence
        From `nmda_bayes.load_evidence` (usable rows are drawn), or a fit's ``design`` (a child
        ``arms`` with study and agent), or a table of edges: agent, comparator, studies.
    by
        ``agent``: a node is an agent at any dose. ``dose``: an agent at one dose by one route.
    outcome
        One outcome, or several, of which usable rows are drawn; None for all.
    reference
        The agent marked as reference.
    participants
        Participants by agent. If None, those of the evidence.
    labels
        How agents are written; by default their names as words.

    Returns
    -------
    Figure
        Area of a node: participants; width of an edge: studies. Of more than 100 nodes those with
        the most studies are drawn, and the others counted at the foot.

    Raises
    ------
    ValueError
        If the evidence has neither arms nor the columns of a table of edges, or is not what ``by``
        or ``outcome`` need.

    Examples
    --------
    >>> edges = pd.DataFrame({"agent": ["ketamine"], "comparator": ["placebo"], "studies": [3]})
    >>> nb.plot_network(edges).get_label()
    'Network of 2 agents and 1 comparisons. Most studied: ketamine vs placebo, 3 studies.'
    """
    is_evidence = isinstance(evidence, xr.DataTree) and "results" in evidence.children
    if is_evidence:
        outcomes = [outcome] if isinstance(outcome, str) else outcome
        net = evidence_network(evidence, outcomes, reference, by)  # type: ignore[arg-type]
        names = ("agent", "comparator", "studies")
        edges = pd.DataFrame({name: net[f"edge_{name}"].values for name in names})
        people = dict(zip(net["agent"].values, net["participants"].values, strict=True))
    elif by == "dose" or outcome is not None:
        raise ValueError("plot_network by dose, or of an outcome, needs what load_evidence returns")
    else:
        edges, people = _find_edges(evidence)
    people = dict(participants) if participants is not None else people
    edges, people, n_omitted = _limit_network(edges, people, reference)
    nodes = sorted({*edges["agent"], *edges["comparator"], *people} - {""}, key=_node_order)
    nodes.sort(key=lambda node: node != reference)
    angle = np.pi / 2 - 2 * np.pi * np.arange(len(nodes)) / max(len(nodes), 1)
    positions = dict(zip(nodes, np.stack([np.cos(angle), np.sin(angle)], axis=-1), strict=True))
    within = edges["agent"].map(_node_agent) == edges["comparator"].map(_node_agent)
    with styled_figure(6.4, 4.4 if len(nodes) <= MAX_HORIZONTAL_LABELS else 6.2) as figure:
        axes = figure.subplots()
        _draw_edges(axes, edges.assign(within=within), positions)
        _draw_nodes(axes, positions, people, reference)
        _label_nodes(axes, positions, reference, labels or {})
        axes.set_aspect("equal")
        axes.set_axis_off()
        known = any(np.isfinite(v) and v > 0 for v in people.values())
        area = "area: participants" if known else "participants not known"
        node = "agent" if by == "agent" else "agent, route, dose (dose?: not known)"
        number = ", number" if len(edges) <= MAX_NUMBERED_EDGES else ""
        disc: dict[str, Any] = {"mec": BLACK, "ms": 6}
        figure.add_legend(
            marker_key(f"{node} ({area})", mfc=BLUE, **disc),
            reference in positions
            and marker_key(f"reference: {display_name(reference, 30)}", mfc=ORANGE, **disc),
            line_key(f"comparison (width{number}: studies)", GREY, lw=3),
            bool(by == "dose" and within.any()) and line_key("doses of one agent", lw=3),
            columns=2,
        )
        if n_omitted:
            figure.add_note(f"Not drawn: {n_omitted} more nodes with fewer studies.")
        top = edges.sort_values("studies", ascending=False, kind="stable").head(1)
        total = np.nansum(list(people.values()))
        figure.set_alt_text(
            f"Network of {len(nodes)} {'agents' if by == 'agent' else 'doses'} and {len(edges)}"
            " comparisons.",
            *(
                f"Most studied: {display_name(edge.agent)} vs {display_name(edge.comparator)},"
                f" {edge.studies} studies."
                for edge in top.itertuples()
            ),
            bool(total > 0) and f"{total:,.0f} participants in all arms.",
        )
    return figure


def _find_edges(evidence: xr.DataTree | pd.DataFrame) -> tuple[pd.DataFrame, dict[str, float]]:
    """Find the edges and participants of a table of edges, or of the arms of a design."""
    if isinstance(evidence, pd.DataFrame):
        columns = ["agent", "comparator", "studies"]
        require_columns(evidence, columns, "plot_network")
        return evidence[columns], {}
    if "arms" not in evidence.children:
        raise ValueError("plot_network needs a child 'arms' with 'study' and 'agent'")
    arms = _to_table(evidence, "arms")
    nodes = [arms[["study", "agent"]]]
    if "contrasts" in evidence.children:
        contrasts = _to_table(evidence, "contrasts")
        nodes += [
            contrasts[["study", side]].set_axis(["study", "agent"], axis=1)
            for side in ("agent", "comparator")
        ]
    compared = pd.concat(nodes).drop_duplicates()
    compared = compared[compared["agent"] != ""]
    pairs = [
        pair
        for _, agents in compared.groupby("study")["agent"]
        for pair in combinations(sorted(agents), 2)
    ]
    edges = pd.DataFrame(pairs, columns=["agent", "comparator"])
    people = dict.fromkeys(sorted(compared["agent"]), np.nan)
    if "n_randomised" in arms:
        # An arm that repeats the participants of others would count them twice.
        counted = arms[arms["overlaps"] == ""] if "overlaps" in arms else arms
        people |= counted.groupby("agent")["n_randomised"].sum(min_count=1).to_dict()
    return edges.value_counts(sort=False).rename("studies").reset_index(), people


def _to_table(tree: xr.DataTree, child: str) -> pd.DataFrame:
    dataset = tree[child].to_dataset()
    names = ("study", "agent", "comparator", "n_randomised", "overlaps")
    return pd.DataFrame({name: dataset[name].values for name in names if name in dataset})


def _limit_network(
    edges: pd.DataFrame, people: dict[str, float], reference: str
) -> tuple[pd.DataFrame, dict[str, float], int]:
    """Keep the nodes with the most studies, and count the others."""
    studies = pd.concat([edges.set_index(side)["studies"] for side in ("agent", "comparator")])
    total = studies.groupby(level=0).sum()
    total = total.reindex([*dict.fromkeys([*people, *total.index])], fill_value=0)
    order = list(total.sort_values(ascending=False, kind="stable").index)
    order.sort(key=lambda node: node != reference)
    kept = set(order[:MAX_NETWORK_SIZE])
    inside = edges["agent"].isin(kept) & edges["comparator"].isin(kept)
    return edges[inside], {a: n for a, n in people.items() if a in kept}, len(order) - len(kept)


def _node_agent(node: str) -> str:
    """Take the agent (and route) of a node by dose."""
    return node.partition("@")[0]


def _node_order(node: str) -> tuple[str, str, float, str]:
    """Order nodes by agent, then unit, then dose; an unknown dose comes last."""
    agent, _, amount = node.partition("@")
    number, _, unit = amount.partition(" ")
    try:
        return agent, unit, float(number), node
    except ValueError:
        return agent, "~", np.inf, node


def _draw_edges(axes: Axes, edges: pd.DataFrame, positions: Mapping[str, np.ndarray]) -> None:
    degree = pd.concat([edges["agent"], edges["comparator"]]).value_counts()
    numbered = len(edges) <= MAX_NUMBERED_EDGES
    widest = 5.4 if numbered else 3.4 if len(edges) <= 60 else 2.2
    numbers: list[np.ndarray] = []
    names = edges[["agent", "comparator", "studies", "within"]]
    for agent, comparator, studies, within in names.itertuples(index=False):
        start, end = positions[agent], positions[comparator]
        style: dict[str, Any] = {"color": GREY, "alpha": 0.6, "zorder": 1}
        if within:
            style = {"color": BLACK, "zorder": 2}
        width = 0.6 + widest * np.sqrt(studies / edges["studies"].max())
        axes.plot(*_edge_path(start, end, bent=within), lw=width, label="_edge", **style)
        if numbered:
            # Nearer the end where fewer edges meet, and away from other numbers.
            if degree[agent] > degree[comparator]:
                start, end = end, start
            points = [start + part * (end - start) for part in (0.34, 0.45, 0.26, 0.55, 0.18)]
            free = [p for p in points if all(np.hypot(*(p - other)) > 0.12 for other in numbers)]
            numbers.append((free or points)[0])
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            x, y = numbers[-1]
            axes.text(x, y, f"{int(studies)}", fontsize=6.5, zorder=4, bbox=box, **CENTRED)


def _edge_path(start: np.ndarray, end: np.ndarray, *, bent: bool) -> np.ndarray:
    """Join two nodes (axis, point), straight, or bent inwards so that nodes do not hide it."""
    t = np.linspace(0, 1, 21 if bent else 2)[:, None]
    middle = (start + end) / 2 * (0.72 if bent else 1)
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end).T


def _draw_nodes(
    axes: Axes, positions: Mapping[str, np.ndarray], people: Mapping[str, float], reference: str
) -> None:
    counts = np.array([people.get(node, np.nan) for node in positions], dtype=float)
    largest = np.nanmax(counts) if np.isfinite(counts).any() else 1.0
    area = 22 + 330 * np.nan_to_num(counts / largest, nan=0.0)
    agents = list(dict.fromkeys(_node_agent(node) for node in positions if node != reference))
    shades = (BLUE, LIGHT_BLUE if any("@" in node for node in positions) else BLUE)
    colors = {agent: shades[i % 2] for i, agent in enumerate(agents)}
    faces = [ORANGE if n == reference else colors[_node_agent(n)] for n in positions]
    x, y = np.array(list(positions.values())).reshape(-1, 2).T
    style: dict[str, Any] = {"ec": BLACK, "zorder": 3, "clip_on": False}
    axes.scatter(x, y, s=area, c=faces, lw=0.8, label="_agents", **style)
    for i, node in enumerate(positions):
        if node == reference:
            style |= {"fc": "none", "lw": 0.9, "label": "_reference"}
            axes.scatter(x[i], y[i], s=area[i] * 1.5 + 60, **style)


def _label_nodes(
    axes: Axes, positions: Mapping[str, np.ndarray], reference: str, labels: Mapping[str, str]
) -> None:
    count = len(positions)
    size = 7 if count <= MAX_HORIZONTAL_LABELS else 6 if count <= 60 else 5.2
    for node, (x, y) in positions.items():
        right = x >= -1e-6
        style: dict[str, Any] = {"va": "center", "ha": "left" if right else "right"}
        if count > MAX_HORIZONTAL_LABELS:
            style["rotation"] = np.degrees(np.arctan2(y, x)) + (0 if right else 180)
        elif abs(x) < 1e-6:
            style = {"va": "bottom" if y > 0 else "top", "ha": "center"}
        text = labels.get(node) or _node_label(node)
        text += " (reference)" if node == reference else ""
        style |= {"rotation_mode": "anchor", "fontsize": size, "annotation_clip": False}
        axes.annotate(text, (x, y), xytext=(15 * x, 15 * y), textcoords="offset points", **style)
    axes.set_xlim(-1.15, 1.15)
    axes.set_ylim(-1.15, 1.15)


def _node_label(node: str) -> str:
    agent, at, amount = node.partition("@")
    amount = "dose?" if amount == DOSE_NOT_KNOWN else amount.replace(" a day", "/day")
    return display_name(f"{agent}, {amount}" if at else agent, 36)


# League table.

#: Tints that black text can be read on, and that differ in lightness.
BETTER, WORSE, DIAGONAL = "#A9D3EE", "#FBE3B4", "#EDEDED"
PRIOR_ONLY = "prior only"
#: After a number at an extrapolated dose.
DAGGER = "\N{DAGGER}"


def plot_league(league: xr.Dataset) -> Figure:
    """Draw a league table: effects below the diagonal, the evidence for them above it.

    Parameters
    ----------
    league
        From `nmda_bayes.league_table`: ``lower``, ``median``, ``upper``, ``evidence``, ``trials``
        and ``extrapolated`` over agent and comparator.

    Returns
    -------
    Figure
        Below the diagonal the row's agent vs the column's; above it the trials that compare both,
        and whether there is indirect evidence. Tables of more than 9 agents are cut.

    Raises
    ------
    ValueError
        If a dim or variable is missing.

    Examples
    --------
    >>> pairs = ("agent", "comparator")
    >>> names = ["placebo", "ketamine"]
    >>> difference = np.array([[0.0, 10.0], [-10.0, 0.0]])
    >>> league = xr.Dataset(
    ...     {
    ...         "median": (pairs, difference),
    ...         "lower": (pairs, difference - 5),
    ...         "upper": (pairs, difference + 5),
    ...         "evidence": (pairs, np.full((2, 2), "direct")),
    ...         "trials": (pairs, np.full((2, 2), 8)),
    ...         "extrapolated": (pairs, np.zeros((2, 2), bool)),
    ...     },
    ...     {"agent": names, "comparator": names, "label": ("agent", names)},
    ... ).assign_coords(dose=("agent", [0, 1]))
    >>> nb.plot_league(league).axes[0].texts[-1].get_text()
    '8 trials'
    """
    require_dims(league, (AGENT, COMPARATOR), "plot_league")
    parts = ("lower", "median", "upper", "evidence", "trials", "extrapolated", "label", "dose")
    require_variables(league, parts, "plot_league")
    shown, omitted = _limit_league(league)
    size, attrs, decimals = shown.sizes[AGENT], league.attrs, _league_decimals(shown)
    with styled_figure(FULL_WIDTH, 0.42 * size + 0.75) as figure:
        axes = figure.subplots()
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.set_axis_off()
        for i in range(size):
            _draw_league_name(axes, shown, i)
        pairs = [(i, j) for i in range(size) for j in range(i)]
        cells = [shown.isel({AGENT: i, COMPARATOR: j}) for i, j in pairs]
        for cell, (i, j) in zip(cells, pairs, strict=True):
            _draw_league_cell(axes, cell, i, j, attrs, decimals)
        figure.add_legend(*_league_keys(attrs, any(map(_is_unconnected, cells))))
        dagger = f"{DAGGER}: beyond the tested doses of the agent."
        scale, title = attrs.get("scale_text", "effect"), one_line(attrs.get("title", ""), 60)
        figure.add_note(
            f"{_estimand_title(attrs)}. Below the diagonal: row vs column, {scale}, median and"
            f" {INTERVAL_TEXT}. Above it: trials that compare both, and indirect evidence.",
            bool(shown["extrapolated"].any()) and dagger,
            omitted,
        )
        null = float(attrs.get("null", 0.0))
        n_apart = sum(bool((c["lower"] > null) | (c["upper"] < null)) for c in cells)
        n_prior_only = sum(str(c["evidence"].item()) == PRIOR_ONLY for c in cells)
        figure.set_alt_text(
            f"League table of {size} agents, {title}, {scale} {attrs.get('dose', '')}: of"
            f" {len(cells)} pairs, {n_apart} have a {INTERVAL_TEXT} that excludes {null:g},"
            f" {n_prior_only} depend on the prior only.",
            omitted,
        )
    return figure


def _limit_league(league: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Keep as many agents as a page holds, first those that trials connect to the reference."""
    if league.sizes[AGENT] <= MAX_LEAGUE_SIZE:
        return league, ""
    unconnected = league["evidence"].values[:, 0] == PRIOR_ONLY
    order = np.lexsort((-league["trials"].values.sum(axis=1), unconnected))
    kept = sorted([0, *order[order != 0][: MAX_LEAGUE_SIZE - 1]])
    omitted = np.delete(league["label"].values, kept)
    shown = league.isel({AGENT: kept, COMPARATOR: kept})
    return shown, f"Not drawn, with fewer trials: {', '.join(map(str, omitted))}."


def _league_decimals(league: xr.Dataset) -> int:
    if league.attrs.get("null") == 1:
        return 2
    below = np.tril_indices(league.sizes[AGENT], -1)
    widths = (league["upper"] - league["lower"]).values[below]
    return min(column_decimals(float(np.median(widths))), 2)


def _draw_league_name(axes: Axes, league: xr.Dataset, i: int) -> None:
    box: dict[str, Any] = {"facecolor": DIAGONAL, "edgecolor": "white", "linewidth": 1.2}
    axes.add_patch(Rectangle((i, i), 1, 1, **box))
    label = one_line(league["label"].values[i], 40)
    longest = max(map(len, label.split()))
    # Bold letters are 0.7 times as wide as the type size; the longest word must fit.
    cell_width = 7.0 / league.sizes[AGENT] * 72
    size = min(6.8, cell_width / (longest + 1) / 0.7)
    text = wrap_text(label, max(longest, int(cell_width / (0.7 * size))))
    doses = league["dose"].values
    named = "dose_text" in league.coords and one_line(league["dose_text"].values[i], 60)
    if doses[i] > 0 and named:
        text += "\n" + wrap_text(named, max(12, int(cell_width / 4.6)))
    elif doses[i] > 0 and len(set(doses[doses > 0])) > 1:
        text += f"\n(dose {doses[i]:g})"
    style = CENTRED | {"fontsize": size, "fontweight": "bold", "linespacing": 1.2}
    axes.text(i + 0.5, i + 0.5, text, **style)


def _draw_league_cell(
    axes: Axes, cell: xr.Dataset, i: int, j: int, attrs: dict[str, Any], decimals: int
) -> None:
    low, median, high = (
        _format_league_number(float(cell[k]), decimals) for k in ("lower", "median", "upper")
    )
    side, unconnected = _favours(cell, attrs), _is_unconnected(cell)
    color = {"better": BETTER, "worse": WORSE}.get(side, "white")
    box: dict[str, Any] = {"facecolor": color, "edgecolor": LIGHT_GREY, "linewidth": 0.6}
    axes.add_patch(Rectangle((j, i), 1, 1, hatch=NO_TRIAL_HATCH if unconnected else None, **box))
    style = CENTRED | {"fontsize": 6.2, "linespacing": 1.15}
    style |= {"fontweight": "bold" if side else "normal"}
    if unconnected:
        style["bbox"] = {"facecolor": color, "edgecolor": "none", "pad": 0.8}
    dagger = DAGGER if bool(cell["extrapolated"]) else ""
    axes.text(j + 0.5, i + 0.5, f"{median}{dagger}\n{low} to {high}", **style)
    evidence, trials = str(cell["evidence"].item()), int(cell["trials"])
    text = wrap_text(evidence, 14)
    if trials:
        indirect = "\n+ indirect" if "indirect" in evidence else ""
        text = f"{trials} trial{'s' if trials > 1 else ''}{indirect}"
    axes.text(i + 0.5, j + 0.5, text, fontsize=5.8, color="#444444", **CENTRED)


def _format_league_number(value: float, decimals: int) -> str:
    """Print large ratios with fewer decimals, no wider than a cell."""
    if abs(value) >= 1000:
        return f"{value:.0e}".replace("e+0", "e").replace("-", "\N{MINUS SIGN}")
    if abs(value) >= 10:
        decimals = 0 if abs(value) >= 100 else min(decimals, 1)
    return format_number(value, decimals)


def _favours(cell: xr.Dataset, attrs: dict[str, Any]) -> str:
    """Write on which side of no effect the whole interval lies: better, worse or apart."""
    null, better = float(attrs.get("null", 0.0)), attrs.get("better", "")
    if float(cell["lower"]) <= null <= float(cell["upper"]):
        return ""
    if not better:
        return "apart"
    return "better" if (float(cell["upper"]) < null) == (better == "lower") else "worse"


def _is_unconnected(cell: xr.Dataset) -> bool:
    return int(cell["trials"]) == 0 and str(cell["evidence"].item()) != "indirect"


def _league_keys(attrs: dict[str, Any], unconnected: bool) -> Iterator[Artist]:
    edge: dict[str, Any] = {"edgecolor": LIGHT_GREY, "linewidth": 0.6}
    if attrs.get("better"):
        excludes = f":\n{INTERVAL_TEXT} excludes {attrs.get('null', 0.0):g}"
        yield patch_key(f"row better than column{excludes}", BETTER, **edge)
        yield patch_key(f"row worse than column{excludes}", WORSE, **edge)
    if unconnected:
        text = "not connected by trials:\nan assumption, or the prior"
        yield patch_key(text, "white", hatch=NO_TRIAL_HATCH, **edge)


# Cumulative ranks.

RANK_COLUMNS = 5
CONNECTED = ("", "direct", "indirect", "direct and indirect")


def plot_ranks(ranks: xr.Dataset) -> Figure:
    """Draw the probability of being among the best 1, 2, 3 ..., agent by agent.

    Parameters
    ----------
    ranks
        From `nmda_bayes.ranks`: ``cumulative`` (agent, rank), ``sucra``, ``mean_rank``, ``lower``,
        ``upper``, ``evidence`` and ``label`` (agent).

    Returns
    -------
    Figure
        One panel an agent, the others pale, the best mean rank first. Agents that no trial connects
        to the reference are drawn with broken lines.

    Raises
    ------
    ValueError
        If a dim or variable is missing.

    Examples
    --------
    >>> names = ["placebo", "ketamine"]
    >>> ranks = xr.Dataset(
    ...     {
    ...         "cumulative": (("agent", "rank"), [[0.1, 1.0], [0.9, 1.0]]),
    ...         "sucra": ("agent", [0.1, 0.9]),
    ...         "mean_rank": ("agent", [1.9, 1.1]),
    ...         "lower": ("agent", [1.0, 1.0]),
    ...         "upper": ("agent", [2.0, 2.0]),
    ...         "evidence": ("agent", ["", "direct"]),
    ...     },
    ...     {"agent": names, "rank": [1, 2], "label": ("agent", names)},
    ... )
    >>> [axes.get_title(loc="left") for axes in nb.plot_ranks(ranks).axes]
    ['ketamine', 'placebo']
    """
    require_dims(ranks, (AGENT, RANK), "plot_ranks")
    parts = ("cumulative", "sucra", "mean_rank", "lower", "upper", "evidence", "label")
    require_variables(ranks, parts, "plot_ranks")
    order = np.argsort(ranks["mean_rank"].values, kind="stable")
    sorted_ranks, attrs = ranks.isel({AGENT: order}), ranks.attrs
    shown = sorted_ranks.isel({AGENT: slice(MAX_RANKS_SIZE)})
    count = shown.sizes[AGENT]
    rows = -(-count // RANK_COLUMNS)
    with styled_figure(FULL_WIDTH, 1.6 * rows + 0.75) as figure:
        grid = panel_grid(figure, count, -(-count // rows), ylabel="Pr(at most this rank)")
        cumulative = sorted_ranks["cumulative"].transpose(AGENT, RANK).values
        for i, axes in enumerate(grid.flat[:count]):
            _draw_ranks(axes, shown.isel({AGENT: i}), cumulative)
        for column in grid.T:
            [axes for axes in column if axes.get_visible()][-1].set_xlabel("rank (1 is best)")
        omitted = ", ".join(map(str, sorted_ranks["label"].values[MAX_RANKS_SIZE:]))
        figure.add_note(
            f"{_estimand_title(attrs)}. Mean ranks with their {INTERVAL_TEXT}; grey: other agents.",
            attrs.get("caution", ""),
            omitted and f"Not drawn, with worse mean ranks: {omitted}.",
        )
        best = shown.isel({AGENT: 0})
        low, high = float(best["lower"]), float(best["upper"])
        figure.set_alt_text(
            f"Cumulative ranks of {ranks.sizes[AGENT]} agents, {_estimand_title(attrs)}:"
            f" {one_line(best['label'].item())} has the best mean rank,"
            f" {float(best['mean_rank']):.1f} ({INTERVAL_TEXT} {low:.0f} to {high:.0f}).",
            attrs.get("caution", ""),
        )
    return figure


def _draw_ranks(axes: Axes, agent: xr.Dataset, cumulative: np.ndarray) -> None:
    """Draw an agent's cumulative ranks over those of all agents (agent, rank)."""
    size, evidence = cumulative.shape[1], str(agent["evidence"].item())
    steps = np.append(np.arange(1, size + 1) - 0.5, size + 0.5)
    for values in cumulative:
        axes.stairs(values, steps, baseline=None, color=LIGHT_GREY, lw=0.7, zorder=1)
    connected = evidence in CONNECTED
    values = agent["cumulative"].values
    axes.stairs(values, steps, fill=True, color=BLUE, alpha=0.18 if connected else 0.07)
    style: dict[str, Any] = {"color": BLUE if connected else BLACK, "lw": 1.6, "zorder": 3}
    axes.stairs(values, steps, baseline=None, ls="-" if connected else EXTRAPOLATED_LINE, **style)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0.5, size + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    percent_axis(axes.yaxis)
    ends = dict.fromkeys(str(round(float(agent[k]))) for k in ("lower", "upper"))
    text = f"mean rank {float(agent['mean_rank']):.1f} ({' to '.join(ends)})"
    text += f"\nSUCRA {float(agent['sucra']):.0%}"
    text += "" if connected else f"; {one_line(evidence, 20)}"
    label = one_line(agent["label"].item(), 24)
    named = "dose_text" in agent.coords and one_line(agent["dose_text"].item(), 60)
    lines = wrap_text(named, 26) + "\n" if named else ""
    axes.set_title(label, loc="left", fontweight="bold", pad=21 + 7 * lines.count("\n"))
    style = {"transform": axes.transAxes, "fontsize": 6.2, "va": "bottom", "in_layout": False}
    axes.text(0, 1.03, lines + text, **style)
