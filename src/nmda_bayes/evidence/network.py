"""The network of comparisons, and the evidence map of trials and people by cell."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import combinations
from typing import Final, Literal

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.errors import Issue
from nmda_bayes.evidence.doses import (
    CONTRAST_SIDES,
    DOSE_COLUMN_UNITS,
    arm_sizes,
    assign_dose,
    dose_nodes,
)
from nmda_bayes.evidence.tree import WINDOW_LABELS, select_window, to_frame

#: A node of the network: an agent, or an agent at one dose by one route.
NodeKind = Literal["agent", "dose"]

#: The reference of an analysis over dose in which no agent is the reference: each agent's dose 0.
ZERO_DOSE: Final = "zero dose"

#: Dim: the window of time since the end of treatment.
TIME: Final = "time"
MAP_DIMS: Final = (AGENT, CONDITION, OUTCOME)
VOCABULARY_KINDS: Final = {AGENT: "agent", CONDITION: "condition_group", OUTCOME: "outcome"}
_SIDE_COLUMNS: Final = [
    "study",
    "outcome",
    "arm",
    "agent",
    "route",
    "dose",
    "unit",
    "at_zero",
    "overlaps",
    "participants",
    "line",
]


def evidence_network(
    evidence: xr.DataTree,
    outcomes: Sequence[str] | None = None,
    reference: str = "placebo",
    by: NodeKind = "agent",
) -> xr.Dataset:
    """Count the comparisons between agents, from usable rows.

    Parameters
    ----------
    evidence
        From `load_evidence`.
    outcomes
        Outcomes to include; None for all.
    reference
        The reference agent; arms at dose 0 count as it.
    by
        ``agent``: a node is an agent at any dose. ``dose``: a node is an agent at one dose by one
        route, so that doses of one agent are compared.

    Returns
    -------
    xr.Dataset
        Over dim ``agent``: ``studies``, ``participants`` (where reported) and ``part``, the number
        of the sub-network (0 contains the reference). Over dim ``edge``: ``edge_agent``,
        ``edge_comparator``, ``edge_studies``, ``edge_participants``. Attributes ``reference``,
        ``n_components`` and ``identified``, which comparisons are identified.

    Examples
    --------
    >>> net = nb.evidence_network(evidence, outcomes=["pain_intensity"])
    >>> net["agent"].to_numpy()[0], net["studies"].dims, net["edge_studies"].dims
    ('placebo', ('agent',), ('edge',))
    """
    members = arms_by_node(evidence, outcomes, reference, by)
    people = members.groupby(["study", "agent"])["participants"].max().reset_index()
    parts = connected_components(zip(people["study"], people["agent"], strict=True))
    parts.sort(key=lambda part: reference not in part)
    part_of = {node: number for number, part in enumerate(parts) for node in part}
    agents = sorted(part_of, key=lambda agent: (agent != reference, part_of[agent], str(agent)))
    by_agent = people.groupby("agent")["participants"].agg(["size", "sum"]).reindex(agents)
    edges = _edges(people)
    return xr.Dataset(
        {
            "studies": ("agent", by_agent["size"].to_numpy(int)),
            "participants": ("agent", by_agent["sum"].to_numpy(float)),
            "part": ("agent", np.array([part_of[agent] for agent in agents], int)),
            "edge_agent": ("edge", edges["agent"].to_numpy(object)),
            "edge_comparator": ("edge", edges["comparator"].to_numpy(object)),
            "edge_studies": ("edge", edges["studies"].to_numpy(int)),
            "edge_participants": ("edge", edges["participants"].to_numpy(float)),
        },
        coords={"agent": np.array(agents, object)},
        attrs={
            "reference": reference,
            "n_components": len(parts),
            "identified": _identified_text(parts, reference),
        },
    )


def _edges(people: pd.DataFrame) -> pd.DataFrame:
    pairs = [
        (agent, comparator, study, n + n_comparator)
        for study, rows in people.groupby("study")
        for (agent, n), (comparator, n_comparator) in combinations(
            sorted(zip(rows["agent"], rows["participants"], strict=True)), 2
        )
    ]
    frame = pd.DataFrame(pairs, columns=["agent", "comparator", "study", "participants"])
    return frame.groupby(["agent", "comparator"], as_index=False).agg(
        studies=("study", "nunique"), participants=("participants", "sum")
    )


def connected_components(memberships: Iterable[tuple[Hashable, Hashable]]) -> list[set[Hashable]]:
    """Split the nodes of (study, node) pairs into sub-networks, the largest first."""
    parts: list[tuple[set[Hashable], set[Hashable]]] = []
    for study, node in memberships:
        studies, nodes = {study}, {node}
        separate = []
        for part in parts:
            if study in part[0] or node in part[1]:
                studies, nodes = studies | part[0], nodes | part[1]
            else:
                separate.append(part)
        parts = [*separate, (studies, nodes)]
    return sorted((nodes for _, nodes in parts), key=lambda part: (-len(part), min(map(str, part))))


def _identified_text(parts: list[set[Hashable]], reference: str) -> str:
    """Describe which comparisons are identified."""
    texts = []
    for part in sorted(parts, key=lambda part: reference not in part):
        names = ", ".join(sorted(str(node) for node in part - {reference}))
        if reference in part:
            texts.append(f"against {reference}: {names}" if names else f"{reference} alone")
        else:
            prefix = "separate sub-network: " if len(part) > 1 else "none: "
            texts.append(prefix + names)
    return "Comparisons identified: " + "; ".join(texts)


def arms_by_node(
    tree: xr.DataTree,
    outcomes: Sequence[str] | None = None,
    reference: str = "placebo",
    by: NodeKind = "agent",
) -> pd.DataFrame:
    """Return a row per study, outcome and node with usable results, with participants.

    Arms at dose 0 belong to the reference. An arm counts its people once however often it is
    reported; arms of crossover trials, and arms that overlap, share people.
    """
    keys = ["study", "outcome", "agent"]
    sides = pd.concat([_sides_of_results(tree), *_sides_of_contrasts(tree)], ignore_index=True)
    if outcomes is not None:
        sides = sides[sides["outcome"].isin([*outcomes])]
    node = sides["agent"] if by == "agent" else dose_nodes(sides)
    sides = sides.assign(agent=node.mask(sides["at_zero"], reference))
    studies = to_frame(tree, "studies")[["study", "condition_group", "design"]]
    crossovers = studies.loc[studies["design"] == "crossover", "study"]
    sides["shared"] = sides["study"].isin(crossovers) | (sides["overlaps"] != "")
    arms = sides.groupby([*keys, "arm", "shared"], as_index=False, dropna=False).agg(
        participants=("participants", "max"), line=("line", "min")
    )
    largest = arms.groupby(keys)["participants"].max()
    added = arms[~arms["shared"]].groupby(keys)["participants"].sum(min_count=1)
    participants = largest.where(~(added.reindex(largest.index) > largest), added)
    rows = participants.to_frame().join(arms.groupby(keys)["line"].min()).reset_index()
    return rows.merge(studies.drop(columns="design"), on="study", how="left")


def _sides_of_results(tree: xr.DataTree) -> pd.DataFrame:
    arms, results = to_frame(tree, "arms"), to_frame(tree, "results")
    dosed = assign_dose(arms, to_frame(tree, "reference_doses"))
    # Dose 0 as reported: an active placebo at 0 mg/kg remains a node of its own.
    dosed = dosed.assign(at_zero=arms["dose"] == 0)
    dosed = dosed[["arm", "agent", "route", "dose", "unit", "at_zero", "overlaps"]]
    usable = results.loc[results["unusable"] == "", ["study", "outcome", "arm", "n", "line"]]
    rows = usable.merge(dosed, on="arm")
    randomised = rows["arm"].map(arm_sizes(tree))
    return rows.assign(participants=rows["n"].fillna(randomised))[_SIDE_COLUMNS]


def _sides_of_contrasts(tree: xr.DataTree) -> list[pd.DataFrame]:
    """Return both sides of each contrast, with route and dose of arms in the evidence."""
    contrasts = to_frame(tree, "contrasts")
    contrasts = contrasts[contrasts["unusable"] == ""]
    arms, references = to_frame(tree, "arms").set_index("arm"), to_frame(tree, "reference_doses")
    sides = []
    for agent, arm, dose, people in CONTRAST_SIDES:
        label = contrasts[arm]
        texts = {c: label.map(arms[c]).astype(object).fillna("") for c in ("route", "overlaps")}
        doses = {name: label.map(arms[name]).astype(float) for name in DOSE_COLUMN_UNITS}
        side = contrasts[["study", "outcome", "line"]].assign(
            arm=label,
            agent=contrasts[agent],
            dose=contrasts[dose].astype(float),
            at_zero=contrasts[dose] == 0,
            participants=contrasts[people],
            **texts,
            **doses,
        )
        sides.append(assign_dose(side, references)[_SIDE_COLUMNS])
    return [side for side in sides if len(side)]


def network_issues(
    tree: xr.DataTree,
    reference: str = "placebo",
    outcomes: Sequence[str] | None = None,
    *,
    over_dose: bool = False,
) -> list[Issue]:
    """Report single-arm studies and agents that are not connected to the reference.

    A base is checked over all outcomes, a flat table outcome by outcome. Over doses, a trial that
    compares doses of an agent connects it to its dose 0, which the reference is.
    """
    source, flat = str(tree.attrs["source"]), tree.attrs["kind"] == "flat"
    members = arms_by_node(tree, outcomes, reference)
    sides = pd.concat([_sides_of_results(tree), *_sides_of_contrasts(tree)], ignore_index=True)
    sides["dose"] = sides["dose"].astype(float)
    if not flat:
        members, sides = members.assign(outcome=""), sides.assign(outcome="")
    results = to_frame(tree, "results")
    # Arms that are set aside are reported by their reason.
    set_aside = set(results.loc[results["unusable"] != "", "study"])
    issues: list[Issue] = []
    for outcome in sorted(members["outcome"].unique()):
        rows = members[members["outcome"] == outcome]
        of_outcome = f" for outcome '{outcome}'" if outcome else ""
        relevant = sides[sides["outcome"] == outcome]
        # Doses of one agent, and arms of one agent and dose, are compared with each other.
        keys = ["study", "agent", "dose", "arm"]
        n_arms = relevant.drop_duplicates(keys).groupby("study").size()
        for study, n_agents in rows.groupby("study", sort=False)["agent"].nunique().items():
            single = n_agents == 1 and n_arms.get(study, 0) <= 1
            if single and study not in set_aside:
                message = f"study '{study}' has a single arm{of_outcome}, no comparison"
                hint = "Add its other arm, exclude it, or use a spec with pooled baselines."
                line = int(rows.loc[rows["study"] == study, "line"].min()) if flat else None
                issues.append(Issue("E720", message, hint, source, line, "study"))
        memberships = list(zip(rows["study"], rows["agent"], strict=True))
        if over_dose:
            active = relevant[(relevant["dose"] > 0) & (relevant["agent"] != reference)]
            links = dose_links(active["study"], active["agent"], active["dose"], reference)
            memberships += links
        parts = connected_components(memberships)
        issues += _connection_issues(parts, reference, of_outcome, source)
    return issues


def dose_links(
    study: pd.Series, agent: pd.Series, dose: pd.Series, reference: str
) -> list[tuple[Hashable, Hashable]]:
    """Memberships that connect an agent, several doses of which a trial compares, to dose 0."""
    n_doses = dose.groupby([study.rename("study"), agent.rename("agent")]).nunique()
    agents = sorted({str(name) for _, name in n_doses.index[n_doses > 1]})
    return [(("curve", name), node) for name in agents for node in (name, reference)]


def _connection_issues(
    parts: list[set[Hashable]], reference: str, of_outcome: str, source: str
) -> Iterator[Issue]:
    agents = sorted(str(node) for part in parts for node in part)
    identified = _identified_text(parts, reference)
    if reference not in agents:
        message = f"no arm is '{reference}'{of_outcome}. {identified}"
        hint = "Name the reference agent: --set reference=..., or reference = ... in a spec;"
        hint += f" agents: {', '.join(agents)}."
        yield Issue("E721", message, hint, source, None, "agent")
    elif len(parts) > 1:
        message = f"the network is disconnected{of_outcome} ({len(parts)} parts). {identified}"
        hint = "Add trials that connect them, exclude the others, or pool baselines."
        yield Issue("E722", message, hint, source, None, "agent")


def evidence_map(evidence: xr.DataTree, by: Sequence[str] = MAP_DIMS) -> xr.DataArray:
    """Count the trials with a usable row in each cell, cells without trials included.

    Parameters
    ----------
    evidence
        From `load_evidence`.
    by
        Dims, out of agent, condition, outcome and time (the window since the end of treatment).

    Returns
    -------
    xr.DataArray
        ``studies``, integers over the dims of ``by``: the product of all agents, condition groups,
        outcomes and windows that the evidence names, so that gaps are cells with 0. Coordinates
        ``<dim>_label`` (display name) and ``<dim>_within`` (broader class).

    Raises
    ------
    ValueError
        If ``by`` names another dim, one twice, or none.

    Examples
    --------
    >>> nb.evidence_map(evidence, ["agent", "outcome"]).dims
    ('agent', 'outcome')
    """
    return evidence_cells(evidence, by)["studies"]


def evidence_cells(tree: xr.DataTree, by: Sequence[str] = MAP_DIMS) -> xr.Dataset:
    """Count the trials, and the people in them, of each cell.

    Parameters
    ----------
    evidence
        From `load_evidence`.
    by
        Dims, out of agent, condition, outcome and time (the window since the end of treatment).

    Returns
    -------
    xr.Dataset
        Over the dims of ``by``: ``studies`` and ``people``, integers. A trial and its people count
        once in a cell however many rows they have, but in each of their cells: do not add up cells
        over outcomes or times. People are those of the agent's arms, where reported; without agent
        in ``by``, of all arms. Coordinates as in `evidence_map`.

    Raises
    ------
    ValueError
        If ``by`` names another dim, one twice, or none.

    Examples
    --------
    >>> list(nb.evidence_cells(evidence, ["outcome"]))
    ['studies', 'people']
    """
    known = (*MAP_DIMS, TIME)
    if not by or set(by) - set(known) or len(set(by)) < len(by):
        raise ValueError(f"by must be some of {', '.join(known)}, each once, not {', '.join(by)!r}")
    members = _usable_members(tree, with_time=TIME in by)
    terms = _terms(tree, members)
    counts = _people(members, [*by]).groupby([*by])["participants"].agg(["size", "sum"])
    index: pd.Index = pd.MultiIndex.from_product([terms[dim]["term"] for dim in by], names=[*by])
    if len(by) == 1:
        index = index.get_level_values(0)
    filled = counts.reindex(index, fill_value=0).astype(np.int64)
    shape = [len(terms[dim]) for dim in by]
    coords: dict[str, object] = {}
    for dim in by:
        coords[dim] = terms[dim]["term"].to_numpy(object)
        coords[f"{dim}_label"] = (dim, terms[dim]["label"].to_numpy(object))
        coords[f"{dim}_within"] = (dim, terms[dim]["within"].to_numpy(object))
    columns = {"studies": "size", "people": "sum"}
    return xr.Dataset(
        {name: ([*by], filled[c].to_numpy().reshape(shape)) for name, c in columns.items()}, coords
    )


def _usable_members(tree: xr.DataTree, *, with_time: bool) -> pd.DataFrame:
    """Return a row per study, agent, outcome and, if asked, window."""
    if with_time:
        parts = {window: arms_by_node(select_window(tree, window)) for window in WINDOW_LABELS}
        members = pd.concat([part.assign(**{TIME: window}) for window, part in parts.items()])
    else:
        members = arms_by_node(tree)
    design = to_frame(tree, "studies").set_index("study")["design"]
    return members.rename(columns={"condition_group": CONDITION}).assign(
        crossover=members["study"].map(design) == "crossover"
    )


def _people(members: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return a row per study and cell: people of arms add up, except in crossover trials."""
    keys = ["study", "crossover", *by]
    arms = members.groupby([*dict.fromkeys([*keys, AGENT])])["participants"].max().reset_index()
    if AGENT in by:
        return arms
    cells = arms.groupby(keys)["participants"].agg(["sum", "max"]).reset_index()
    return cells.assign(participants=cells["sum"].where(~cells["crossover"], cells["max"]))


def _terms(tree: xr.DataTree, members: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return term, label and broader class of each dim, in the order of the vocabulary."""
    windows = {"term": [*WINDOW_LABELS], "label": [*WINDOW_LABELS.values()], "within": ""}
    terms = {TIME: pd.DataFrame(windows, dtype="str")}
    if "vocabulary" in tree.children:
        vocabulary = to_frame(tree, "vocabulary")
        vocabulary = vocabulary[vocabulary["synonym"] == ""]
        return terms | {d: vocabulary[vocabulary["kind"] == k] for d, k in VOCABULARY_KINDS.items()}
    for dim in MAP_DIMS:
        used = sorted(members[dim].astype(str).unique())
        terms[dim] = pd.DataFrame({"term": used, "label": used, "within": ""}, dtype="str")
    return terms
