"""What a likelihood asks of the other keys: a prior or a number for each of its own parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec.content import mapping, no_share

SHARE = '{ dist = "Beta", kwargs = { alpha = 1, beta = 9 }, why = "..." }'


def own_parameters(likelihood: Likelihood, outcome: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the parameters of a likelihood that have no number in the spec.

    Parameters
    ----------
    likelihood
        The outcome's likelihood.
    outcome
        The outcome, as plain content.

    Returns
    -------
    tuple[str, ...]
        Those that need a prior.
    """
    given = mapping(outcome, "likelihood_options")
    return tuple(name for name in likelihood.parameters if name not in given)


def own_poolings(name: str) -> tuple[str, ...] | None:
    """Say how a likelihood's own parameter may be shared.

    Parameters
    ----------
    name
        A parameter.

    Returns
    -------
    tuple[str, ...] or None
        None where no likelihood has it.
    """
    mine = [one for one in LIKELIHOODS.values() if name in one.parameters]
    if not mine:
        return None
    studies = any(name in one.of_studies for one in mine)
    return ("common", "independent", "study") if studies else ("common",)


def is_own_positive(name: str) -> bool:
    """Say whether a parameter is a likelihood's own and above 0.

    Parameters
    ----------
    name
        A parameter.

    Returns
    -------
    bool
        True where a likelihood says so.
    """
    return any(name in (*one.positive, *one.shares) for one in LIKELIHOODS.values())


def likelihood_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    """Find what is wrong with the numbers and priors of a likelihood's own parameters.

    Parameters
    ----------
    key
        The outcome's dotted key.
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
    for name, value in mapping(outcome, "likelihood_options").items():
        at = f"{key}.likelihood_options.{name}"
        if name not in likelihood.parameters:
            message = f"likelihood '{likelihood.name}' has no parameter '{name}'"
            mend = nearest(name, likelihood.parameters) if likelihood.parameters else "Remove it."
            yield Fault(message, mend, column=at)
        elif isinstance(value, int | float):
            yield from _number_faults(at, name, value, likelihood)
    for name in likelihood.shares:
        for slot, prior in mapping(outcome, "parameters", name, "priors").items():
            if no_share(prior):
                yield Fault(
                    f"'{name}' lies between 0 and 1, this prior does not",
                    f"Write for instance {SHARE}.",
                    column=f"{key}.parameters.{name}.priors.{slot}",
                )


def _number_faults(key: str, name: str, value: float, likelihood: Likelihood) -> Iterator[Fault]:
    if name in likelihood.shares and not 0 < value < 1:
        yield Fault(f"{name} = {value} is no share", "Write a number between 0 and 1.", column=key)
    elif name in likelihood.positive and not value > 0:
        yield Fault(f"{name} = {value} must be positive", "Write a number above 0.", column=key)
