"""The names of the dimensions, and how a name is told apart between outcomes.

Every array of the package is labelled with these dims; nothing counts axes.
"""

from __future__ import annotations

from typing import Final

AGENT: Final = "agent"
AGENT_CLASS: Final = "agent_class"
CONDITION: Final = "condition"
STUDY: Final = "study"
STRATUM: Final = "stratum"
#: What trials are nested in, and the treatments of each.
CLUSTER: Final = "cluster"
CLUSTER_ARM: Final = "cluster_arm"
ARM: Final = "arm"
CONTRAST: Final = "contrast"
OUTCOME: Final = "outcome"
PAIR: Final = "outcome_pair"
#: Curve parameters of outcomes whose agents' effects are correlated, and pairs of them.
AGENT_PARAMETER: Final = "agent_parameter"
PARAMETER_PAIR: Final = "parameter_pair"
DOSE: Final = "dose"
#: Fits of one question under several specs.
VARIANT: Final = "variant"
#: Hours after the end of treatment, negative before.
HOUR: Final = "hour"
CHAIN: Final = "chain"
DRAW: Final = "draw"
SAMPLE: Final = (CHAIN, DRAW)

SEPARATOR: Final = "::"


def scoped(outcome: str, name: str, *, alone: bool) -> str:
    """Name a variable or dim of one outcome.

    Parameters
    ----------
    outcome
        The outcome's name in the spec.
    name
        The variable's or dim's own name.
    alone
        True where the spec has a single outcome: then no prefix is needed.

    Returns
    -------
    str
        ``name``, or ``outcome::name``.
    """
    return name if alone else f"{outcome}{SEPARATOR}{name}"
