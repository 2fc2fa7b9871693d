"""Consistency, taken apart: which arms inform an effect of their own.

Consistency says that an agent has one effect, whoever it is compared with. A spec may drop that for
an outcome, for all comparisons (``effects = "unrelated"``: Dias et al. 2013, NICE TSD 4, section 3)
or for one (``split = ["memantine", "ketamine"]``: Dias et al. 2010; van Valkenhoef et al. 2016).
Arms are relabelled once their exposures are known, so that curve, pooling, likelihood and inference
are those of the consistent model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec import OutcomeSpec

#: Stands between the agents of a comparison, and behind an agent seen in its direct trials alone.
VERSUS, DIRECT = " v ", " · direct"


def nodes(arms: pd.DataFrame, reference: str) -> pd.Series:
    """Name what each arm compares: its agent, or the reference where its exposure is 0.

    Parameters
    ----------
    arms
        With agent and exposure.
    reference
        The reference agent.

    Returns
    -------
    pd.Series
        One a row.
    """
    return arms["agent"].where(arms["exposure"] > 0, reference)


def original_agent(label: str) -> str:
    """Name the agent behind a label that this module made.

    Parameters
    ----------
    label
        ``memantine · direct``, ``memantine v ketamine``, or an agent's own name.

    Returns
    -------
    str
        ``memantine``.
    """
    return label.removesuffix(DIRECT).split(VERSUS)[0]


def of_agents(labels: np.ndarray, agents: Sequence[str]) -> np.ndarray:
    """Say which labels are of some agents.

    Parameters
    ----------
    labels
        Agents, or what this module made of them.
    agents
        Agents.

    Returns
    -------
    np.ndarray
        1 there, 0 elsewhere.
    """
    return np.array([float(original_agent(str(one)) in agents) for one in labels])


def relabelled(arms: pd.DataFrame, outcome: OutcomeSpec, reference: str) -> pd.DataFrame:
    """Give the arms that a spec sets apart an agent of their own.

    Parameters
    ----------
    arms
        With study, agent and exposure.
    outcome
        Its ``effects`` and ``split``.
    reference
        The reference agent.

    Returns
    -------
    pd.DataFrame
        The arms; unchanged where effects are consistent.
    """
    if outcome.split is not None:
        return _split(arms, outcome.split, reference)
    if outcome.effects == "unrelated":
        return _unrelated(arms, reference, dosed=outcome.shape.needs_dose)
    return arms


def split_faults(
    name: str, arms: pd.DataFrame, outcome: OutcomeSpec, reference: str
) -> Iterator[Fault]:
    """Find what is wrong with a comparison that a spec splits.

    Parameters
    ----------
    name
        The outcome.
    arms
        Its arms, not yet relabelled.
    outcome
        Its ``split``.
    reference
        The reference agent.

    Yields
    ------
    Fault
        An agent without arms, or a comparison without a trial.
    """
    if outcome.split is None or arms.empty:
        return
    node, key = nodes(arms, reference), f"outcomes.{name}.split"
    known = sorted(set(node))
    missing = [agent for agent in outcome.split if agent not in known]
    for agent in missing:
        yield Fault(
            f"no arm of outcome '{name}' has agent '{agent}'", nearest(agent, known), column=key
        )
    if not missing and not _studies_with(arms["study"], node, outcome.split):
        yield Fault(
            f"no trial compares {VERSUS.join(outcome.split)}: there is no direct evidence to split",
            "Choose one of those that node_splits lists.",
            column=key,
        )


def _studies_with(study: pd.Series, node: pd.Series, members: tuple[str, ...]) -> set[str]:
    held = node.groupby(study).agg(set)
    return {str(name) for name, agents in held.items() if set(members) <= agents}


def _split(arms: pd.DataFrame, pair: tuple[str, str], reference: str) -> pd.DataFrame:
    """Set the arms of a pair's agent apart in the trials that hold both.

    In a trial with more arms the others stay with the network, as van Valkenhoef et al. have it.
    """
    agent = pair[0] if pair[0] != reference else pair[1]
    node = nodes(arms, reference)
    direct = arms["study"].isin(_studies_with(arms["study"], node, pair)) & (node == agent)
    return arms.assign(agent=arms["agent"].mask(direct, agent + DIRECT))


def _unrelated(arms: pd.DataFrame, reference: str, *, dosed: bool) -> pd.DataFrame:
    """Give each comparison without the reference an effect of its own.

    A trial with a reference arm compares each agent with it. In any other, agents are compared with
    the one that most trials hold, the first by name among equals; three-arm trials can be written
    in more ways than one (TSD 4). Without a dose the difference itself is the effect, so that the
    comparator's arm stands at 0; over a dose both arms keep their place on the axis, and the agent
    has a curve of its own beside the comparator's.
    """
    node = nodes(arms, reference)
    trials = arms["study"].groupby(node).nunique()
    held = node.groupby(arms["study"]).agg(set)
    bases = {
        study: reference if reference in agents else min(agents, key=lambda a: (-trials[a], a))
        for study, agents in held.items()
    }
    base = arms["study"].map(bases)
    apart = (base != reference) & (node != base)
    agent = arms["agent"].mask(apart, arms["agent"] + VERSUS + base)
    at_zero = (base != reference) & (node == base) & (not dosed)
    return arms.assign(
        agent=agent.mask(at_zero, reference), exposure=arms["exposure"].mask(at_zero, 0.0)
    )
