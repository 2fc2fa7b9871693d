"""What evidence says of agents that have a curve of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec import AnalysisSpec


def curve_faults(spec: AnalysisSpec, agents: Collection[str]) -> Iterator[Fault]:
    """Find curves of agents that the evidence does not know, or that have none.

    Parameters
    ----------
    spec
        The analysis.
    agents
        The agents of the evidence, by its own names.

    Yields
    ------
    Fault
        Each at its agent.
    """
    known = {spec.agents.get(str(agent), str(agent)) for agent in agents} - {""}
    for name, outcome in spec.outcomes.items():
        for agent in outcome.curves:
            at = f"outcomes.{name}.curves.{agent}"
            if agent == spec.reference:
                message = f"'{agent}' is the reference: at dose 0 there is no curve"
                yield Fault(message, "Remove it.", column=at)
            elif agent not in known:
                mend = nearest(agent, sorted(known - {spec.reference}))
                yield Fault(f"the evidence has no agent '{agent}'", mend, column=at)
