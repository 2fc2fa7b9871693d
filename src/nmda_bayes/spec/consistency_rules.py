"""What a spec must say before consistency can be dropped, for all comparisons or for one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.errors import Fault
from nmda_bayes.spec.content import mapping
from nmda_bayes.spec.part_rules import shapes_of

#: The dims of a parameter that differs between agents.
OF_AGENTS = {"own", "agent"}


def consistency_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where an outcome drops consistency and cannot.

    Parameters
    ----------
    key
        The outcome's place in the spec.
    outcome
        As plain content.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    split, unrelated = outcome.get("split"), outcome.get("effects") == "unrelated"
    if not split and not unrelated:
        return
    word = "split" if split else "effects"
    if split and unrelated:
        yield Fault(
            "unrelated effects leave nothing to split",
            "Keep one of the two.",
            column=f"{key}.split",
        )
    if split and len(set(split)) != 2:
        yield Fault(
            "a comparison has two different agents",
            'Write for instance split = ["memantine", "placebo"].',
            column=f"{key}.split",
        )
    poolings = {
        name: str(one.get("pooling"))
        for name, one in mapping(outcome, "parameters").items()
        if isinstance(one, Mapping)
    }
    if poolings.get("baseline", "independent") != "independent":
        yield Fault(
            "pooled baselines compare arms across trials, so that direct and indirect evidence"
            " cannot be told apart",
            'Write parameters.baseline with pooling = "independent".',
            column=f"{key}.{word}",
        )
    curve = shapes_of(outcome)
    if curve is None or curve.named:
        return
    own = (
        poolings.get(name) or poolings.get(name.removeprefix("log_")) for name in curve.parameters
    )
    dims = [set(POOLINGS[name].dims) for name in own if name in POOLINGS]
    if dims and not any(OF_AGENTS & held for held in dims):
        yield Fault(
            "every agent shares one curve, so that no comparison can have an effect of its own",
            'Pool a parameter of the curve as "independent" or over agents.',
            column=f"{key}.{word}",
        )
