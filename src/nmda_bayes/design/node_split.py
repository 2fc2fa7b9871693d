"""Models without consistency: arms whose agents have separate effects.

Consistency: an agent has one effect, whatever it is compared with. A spec may drop it for all
comparisons of an outcome (`effects = "unrelated"`; Dias et al. 2013, NICE TSD 4, section 3) or for
one (`split = ["memantine", "ketamine"]`; Dias et al. 2010; van Valkenhoef et al. 2016). Arms are
relabelled, so curve, pooling, likelihood and inference are those of the consistent model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.spec import OutcomeSpec
from nmda_bayes.spec.rules import issue_at

#: Separates the agents of a comparison; follows an agent in its direct trials.
VERSUS_SEPARATOR, DIRECT_SUFFIX = " vs ", " · direct"


def arm_nodes(arms: pd.DataFrame, reference: str) -> pd.Series:
    """The node of each arm in the network: its agent, or the reference at exposure 0."""
    return arms["agent"].where(arms["exposure"] > 0, reference)


def original_agent(label: str) -> str:
    """The agent of a relabelled arm."""
    return label.removesuffix(DIRECT_SUFFIX).split(VERSUS_SEPARATOR)[0]


def agent_mask(labels: np.ndarray, agents: Sequence[str]) -> np.ndarray:
    """1.0 for the labels of some agents, else 0.0."""
    return np.array([float(original_agent(str(label)) in agents) for label in labels])


def relabel_split_arms(arms: pd.DataFrame, outcome: OutcomeSpec, reference: str) -> pd.DataFrame:
    """Relabel the agents of arms that have a separate effect."""
    if outcome.split is not None:
        return _split(arms, outcome.split, reference)
    if outcome.effects == "unrelated":
        return _unrelated(arms, reference, has_dose=outcome.shape.needs_dose)
    return arms


def split_issues(
    name: str, arms: pd.DataFrame, outcome: OutcomeSpec, reference: str
) -> Iterator[Issue]:
    """Find agents of a split comparison without arms, and comparisons without direct trials."""
    if outcome.split is None or arms.empty:
        return
    nodes, key = arm_nodes(arms, reference), f"outcomes.{name}.split"
    agents = sorted(set(nodes))
    missing = [agent for agent in outcome.split if agent not in agents]
    for agent in missing:
        message = f"no arm of outcome '{name}' has agent '{agent}'"
        yield issue_at("E403", key, message, suggest_match(agent, agents))
    if not missing and not _direct_studies(arms["study"], nodes, outcome.split):
        message = f"no trial compares {VERSUS_SEPARATOR.join(outcome.split)} directly"
        yield issue_at("E415", key, message, "Choose a comparison that node_splits lists.")


def _direct_studies(study: pd.Series, nodes: pd.Series, pair: tuple[str, str]) -> set[str]:
    agents_of = nodes.groupby(study).agg(set)
    return {str(name) for name, agents in agents_of.items() if set(pair) <= agents}


def _split(arms: pd.DataFrame, pair: tuple[str, str], reference: str) -> pd.DataFrame:
    """Relabel the arms of a pair's agent in trials that compare the pair directly.

    Other arms of these trials keep their label (van Valkenhoef et al. 2016).
    """
    agent = pair[0] if pair[0] != reference else pair[1]
    nodes = arm_nodes(arms, reference)
    is_direct = arms["study"].isin(_direct_studies(arms["study"], nodes, pair)) & (nodes == agent)
    return arms.assign(agent=arms["agent"].mask(is_direct, agent + DIRECT_SUFFIX))


def _unrelated(arms: pd.DataFrame, reference: str, *, has_dose: bool) -> pd.DataFrame:
    """Give each comparison without the reference a separate effect.

    Agents are compared with the reference of their trial, else with the agent that most trials
    include (ties: first by name); for three-arm trials other choices are possible (TSD 4). Without
    a dose the comparator is placed at 0; over a dose both arms keep their exposure, and the agent
    has a separate curve.
    """
    nodes = arm_nodes(arms, reference)
    n_trials = arms["study"].groupby(nodes).nunique()
    comparators = {
        study: reference if reference in agents else min(agents, key=lambda a: (-n_trials[a], a))
        for study, agents in nodes.groupby(arms["study"]).agg(set).items()
    }
    comparator = arms["study"].map(comparators)
    is_separate = (comparator != reference) & (nodes != comparator)
    at_zero = (comparator != reference) & (nodes == comparator) & (not has_dose)
    agent = arms["agent"].mask(is_separate, arms["agent"] + VERSUS_SEPARATOR + comparator)
    agent = agent.mask(at_zero, reference)
    return arms.assign(agent=agent, exposure=arms["exposure"].mask(at_zero, 0.0))
