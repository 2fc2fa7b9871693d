"""What a spec must say where trials of several kinds enter one outcome.

Trials that report arms, trials that print a difference, trials that count responders, and trials
whose arms hold the same people can inform one outcome; each kind asks something of the other keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.likelihoods import IDENTITY, LIKELIHOODS, Likelihood
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec.content import mapping, names, no_share, unknown_outcomes

EXAMPLE = '{ dist = "Beta", kwargs = { alpha = 5, beta = 5 }, why = "..." }'


def mixing_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where an outcome's contrasts and responders contradict its likelihood.

    Parameters
    ----------
    key
        The dotted key of the outcome.
    outcome
        Its plain content.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    if likelihood is None:
        return
    contrasts, responders = outcome.get("contrasts"), outcome.get("responders")
    if isinstance(contrasts, Mapping):
        yield from _contrast_faults(f"{key}.contrasts", contrasts, likelihood)
    if not isinstance(responders, Mapping):
        return
    if likelihood.contrasts or likelihood.link != IDENTITY:
        yield Fault(
            "responders are counted on the scale of a mean",
            'Use them with likelihood = "normal", or give them an outcome of their own.',
            column=f"{key}.responders",
        )
    if not outcome.get("better"):
        yield Fault(
            "responders need to know which way of the outcome is better",
            'Write better = "lower" or better = "higher".',
            column=f"{key}.better",
        )


def _contrast_faults(
    key: str, contrasts: Mapping[str, Any], likelihood: Likelihood
) -> Iterator[Fault]:
    if likelihood.contrasts:
        yield Fault(
            f"likelihood '{likelihood.name}' reads contrasts already",
            "Remove this table, or use a likelihood of arms.",
            column=key,
        )
        return
    effects = contrasts.get("effects")
    for effect in effects if isinstance(effects, list | tuple) else [effects]:
        if isinstance(effect, str) and effect not in likelihood.effects:
            yield Fault(
                f"'{effect}' is not on the scale of likelihood '{likelihood.name}'",
                nearest(effect, likelihood.effects),
                column=f"{key}.effects",
            )


def crossover_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where what a spec says of crossover trials contradicts itself.

    Parameters
    ----------
    content
        The spec as plain content.
    outcomes
        Its outcomes.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    crossover = mapping(content, "designs", "crossover")
    key, rho = "designs.crossover", crossover.get("within_person_correlation")
    parallel = names(crossover.get("as_parallel"))
    yield from unknown_outcomes(parallel, outcomes, f"{key}.as_parallel")
    if no_share(rho):
        yield Fault(
            "a within-person correlation lies between 0 and 1, this prior does not",
            f"Write for instance {EXAMPLE}.",
            column=f"{key}.within_person_correlation",
        )
    if crossover.get("periods") == "first" and (rho is not None or parallel):
        yield Fault(
            "with the first period alone no person is in two arms",
            'Remove within_person_correlation and as_parallel, or write periods = "all".',
            column=f"{key}.periods",
        )
