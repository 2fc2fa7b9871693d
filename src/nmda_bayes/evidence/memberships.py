"""Which nodes of the network each study holds: agents, or agents at one dose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pandas as pd
import xarray as xr

from nmda_bayes.evidence.tested_doses import UNITS, dose_nodes, people_of_arms, placed
from nmda_bayes.evidence.tree import table

#: What a node of the network is.
Nodes = Literal["agent", "dose"]


def memberships(
    tree: xr.DataTree,
    measures: Sequence[str] | None = None,
    reference: str = "placebo",
    by: Nodes = "agent",
) -> pd.DataFrame:
    """List which agents each study compares, by usable rows alone; dose 0 is the reference.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    measures
        Outcomes to look at; None for all.
    reference
        The agent that an arm at dose 0 has, whatever it is called.
    by
        ``agent``: all doses of an agent are one node. ``dose``: each dose is one, named as
        `dose_nodes` names it.

    Returns
    -------
    pd.DataFrame
        Columns study, outcome, agent (the node), participants (of all its arms; NaN if no number
        was read), condition_group, line; one row a study, outcome and node. People are added up
        over arms, but not where an arm repeats the people of others, nor in a crossover trial,
        where the largest arm counts.
    """
    keys = ["study", "outcome", "agent"]
    every = pd.concat([_sides_of_results(tree), *_sides_of_contrasts(tree)], ignore_index=True)
    if measures is not None:
        every = every[every["outcome"].isin([*measures])]
    node = every["agent"] if by == "agent" else dose_nodes(every)
    every = every.assign(agent=node.mask(every["at_zero"], reference))
    studies = table(tree, "studies")[["study", "condition_group", "design"]]
    again = every["study"].isin(studies.loc[studies["design"] == "crossover", "study"])
    again |= every["overlaps"] != ""
    # One row an arm (or side) first: an arm is reported at several times, its people once.
    arms = every.assign(again=again).groupby([*keys, "arm", "again"], as_index=False, dropna=False)
    sizes = arms.agg(participants=("participants", "max"), line=("line", "min"))
    largest = sizes.groupby(keys)["participants"].max()
    once = sizes[~sizes["again"]].groupby(keys)["participants"].sum(min_count=1)
    participants = largest.where(~(once.reindex(largest.index) > largest), once)
    one = participants.to_frame().join(sizes.groupby(keys)["line"].min()).reset_index()
    return one.merge(studies.drop(columns="design"), on="study", how="left")


_SIDE = [
    *("study", "outcome", "arm", "agent", "route", "dose", "unit", "at_zero"),
    *("overlaps", "participants", "line"),
]


def _sides_of_results(tree: xr.DataTree) -> pd.DataFrame:
    arms, results = table(tree, "arms"), table(tree, "results")
    given = placed(arms, table(tree, "reference_doses"))
    # Dose 0 of the reference alone: an active placebo given at 0 mg/kg stays a node of its own.
    given = given.assign(at_zero=arms["dose"] == 0)
    given = given[["arm", "agent", "route", "dose", "unit", "at_zero", "overlaps"]]
    told = results.loc[results["unusable"] == "", ["study", "outcome", "arm", "n", "line"]]
    rows = told.merge(given, on="arm")
    randomised = rows["arm"].map(people_of_arms(tree))
    return rows.assign(participants=rows["n"].fillna(randomised))[_SIDE]


def _sides_of_contrasts(tree: xr.DataTree) -> list[pd.DataFrame]:
    """Give both sides of each contrast, with route and dose of the arms that the evidence has."""
    contrasts = table(tree, "contrasts")
    contrasts = contrasts[contrasts["unusable"] == ""]
    arms = table(tree, "arms").set_index("arm")
    sides = []
    for agent, arm, dose, size in (
        ("agent", "arm", "dose", "n_treat"),
        ("comparator", "comparator_arm", "comparator_dose", "n_control"),
    ):
        known = {name: contrasts[arm].map(arms[name]) for name in ("route", *UNITS, "overlaps")}
        side = contrasts[["study", "outcome", "line"]].assign(
            arm=contrasts[arm], agent=contrasts[agent], dose=contrasts[dose].astype(float),
            at_zero=contrasts[dose] == 0, participants=contrasts[size],
            route=known["route"].astype(object).fillna(""),
            overlaps=known["overlaps"].astype(object).fillna(""),
            **{name: known[name].astype(float) for name in UNITS},
        )  # fmt: skip
        placed_side = placed(side, table(tree, "reference_doses"))
        sides.append(placed_side[_SIDE])
    return [side for side in sides if len(side)]
