"""The network: which agents were compared with which, and what that identifies."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.memberships import Nodes, memberships
from nmda_bayes.evidence.tree import table


def connected_parts(memberships: Iterable[tuple[Hashable, Hashable]]) -> list[set[Hashable]]:
    """Split nodes into parts that no study connects.

    Parameters
    ----------
    memberships
        Pairs of study and node: the node (an agent) was an arm of the study.

    Returns
    -------
    list of set
        Nodes of each part, the largest part first.
    """
    root: dict[Hashable, Hashable] = {}

    def find(node: Hashable) -> Hashable:
        root.setdefault(node, node)
        while root[node] != node:
            root[node] = root[root[node]]
            node = root[node]
        return node

    anchor: dict[Hashable, Hashable] = {}
    for study, node in memberships:
        here = find(node)
        if study in anchor:
            root[here] = find(anchor[study])
        else:
            anchor[study] = here
    parts: dict[Hashable, set[Hashable]] = {}
    for node in list(root):
        parts.setdefault(find(node), set()).add(node)
    return sorted(parts.values(), key=lambda part: (-len(part), min(map(str, part))))


def network(
    tree: xr.DataTree,
    measures: Sequence[str] | None = None,
    reference: str = "placebo",
    by: Nodes = "agent",
) -> xr.Dataset:
    """Count who was compared with whom.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    measures
        Outcomes to look at; None for all.
    reference
        The agent that the others are measured against.
    by
        ``agent``: a node is an agent at any dose. ``dose``: a node is an agent at one dose by one
        route, and doses of one agent are compared with each other.

    Returns
    -------
    xr.Dataset
        Over dim ``agent``: ``studies``, ``participants`` (people, where a number was read) and
        ``part`` (0 for the reference's part). Over dim ``edge``: ``edge_agent``,
        ``edge_comparator``, ``edge_studies``, ``edge_participants``. Attributes ``reference``,
        ``n_parts``, and ``identified``: what these comparisons can tell, in words.
    """
    seen = memberships(tree, measures, reference, by)
    people = seen.groupby(["study", "agent"])["participants"].max().reset_index()
    parts = connected_parts(zip(people["study"], people["agent"], strict=True))
    parts.sort(key=lambda part: reference not in part)
    place = {node: number for number, part in enumerate(parts) for node in part}
    agents = sorted(place, key=lambda agent: (agent != reference, place[agent], str(agent)))
    by_agent = people.groupby("agent")["participants"].agg(["size", "sum"]).reindex(agents)
    edges = _edges(people)
    return xr.Dataset(
        {
            "studies": ("agent", by_agent["size"].to_numpy(int)),
            "participants": ("agent", by_agent["sum"].to_numpy(float)),
            "part": ("agent", np.array([place[agent] for agent in agents], int)),
            "edge_agent": ("edge", edges["agent"].to_numpy(object)),
            "edge_comparator": ("edge", edges["comparator"].to_numpy(object)),
            "edge_studies": ("edge", edges["studies"].to_numpy(int)),
            "edge_participants": ("edge", edges["participants"].to_numpy(float)),
        },
        coords={"agent": np.array(agents, object)},
        attrs={
            "reference": reference,
            "n_parts": len(parts),
            "identified": _identified(parts, reference),
        },
    )


def network_faults(tree: xr.DataTree, reference: str = "placebo") -> list[Fault]:
    """Say which studies have one arm, and which agents nothing connects to the reference.

    A base is looked at as a whole, as one outcome more or less is no fault of it; a flat table is
    looked at outcome by outcome.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    reference
        The agent that the others are measured against.

    Returns
    -------
    list of Fault
        Empty where every study compares and every agent is connected. Not raised by
        `load_evidence`: a spec that shares baselines between studies can use such evidence.
    """
    source, flat = str(tree.attrs["source"]), tree.attrs["kind"] == "flat"
    seen = memberships(tree, reference=reference)
    if not flat:
        seen = seen.assign(outcome="")
    faults: list[Fault] = []
    for outcome in sorted(seen["outcome"].unique()):
        rows = seen[seen["outcome"] == outcome]
        where = f" for outcome '{outcome}'" if outcome else ""
        arms = _arms_of(tree, outcome if flat else None)
        agents = rows.groupby("study", sort=False)["agent"].agg(set)
        first_line = rows.groupby("study")["line"].min()
        alone = [study for study, given in agents.items() if len(given) == 1]
        faults += [
            Fault(
                f"study '{study}' has one arm{where}: it compares nothing",
                "Add its other arm, leave it out, or use a spec that pools baselines.",
                source,
                int(first_line[study]) if flat else None,
                "study",
            )
            for study in alone
            if arms.get(str(study), 0) <= 1
        ]
        parts = connected_parts(zip(rows["study"], rows["agent"], strict=True))
        faults += _loose(parts, reference, where, source)
    return faults


def _arms_of(tree: xr.DataTree, outcome: str | None) -> dict[str, int]:
    """Count the arms of each study, doses of one agent apart."""
    results = table(tree, "results")
    mine = results[results["unusable"] == ""]
    if outcome is not None:
        mine = mine[mine["outcome"] == outcome]
    return {str(study): int(n) for study, n in mine.groupby("study")["arm"].nunique().items()}


def _loose(parts: list[set[Hashable]], reference: str, where: str, source: str) -> list[Fault]:
    known = sorted(str(node) for part in parts for node in part)
    if reference not in known:
        return [
            Fault(
                f"no arm is '{reference}'{where}. {_identified(parts, reference)}",
                f"Name the reference agent in the spec; there are: {', '.join(known)}.",
                source,
                None,
                "agent",
            )
        ]
    if len(parts) == 1:
        return []
    return [
        Fault(
            f"the network falls into {len(parts)} parts{where}. {_identified(parts, reference)}",
            "Add trials that connect them, leave the others out, or pool baselines.",
            source,
            None,
            "agent",
        )
    ]


def _edges(people: pd.DataFrame) -> pd.DataFrame:
    pairs = [
        (agent, comparator, study, first + second)
        for study, rows in people.groupby("study")
        for (agent, first), (comparator, second) in combinations(
            sorted(zip(rows["agent"], rows["participants"], strict=True)), 2
        )
    ]
    frame = pd.DataFrame(pairs, columns=["agent", "comparator", "study", "participants"])
    return frame.groupby(["agent", "comparator"], as_index=False).agg(
        studies=("study", "nunique"), participants=("participants", "sum")
    )


def _identified(parts: list[set[Hashable]], reference: str) -> str:
    """Say in words what the comparisons can tell."""
    home = next((part for part in parts if reference in part), set())
    others = [part for part in parts if part is not home]
    said = []
    if home:
        agents = sorted(str(node) for node in home - {reference})
        said.append(f"Against {reference}: {', '.join(agents)}" if agents else f"{reference} alone")
    for part in others:
        names = ", ".join(sorted(map(str, part)))
        said.append(f"only among themselves: {names}" if len(part) > 1 else f"nothing of {names}")
    return "What is identified: " + "; ".join(said)
