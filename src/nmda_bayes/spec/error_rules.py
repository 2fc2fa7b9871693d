"""What a spec must say before errors of several outcomes can go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.priors import is_share

KEY = "correlations.errors"


def error_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where correlated errors contradict what they are of.

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
    errors = _mapping(_mapping(content.get("correlations")).get("errors"))
    if not errors:
        return
    named = errors.get("of") or ()
    named = [named] if isinstance(named, str) else [str(one) for one in named]
    if len(set(named)) < 2 or len(set(named)) < len(named):
        mend = f'Write of = ["...", "..."] with some of: {", ".join(outcomes)}.'
        message = "errors are correlated between two outcomes or more, each named once"
        yield Fault(message, mend, column=f"{KEY}.of")
    for name in named:
        yield from _outcome_faults(name, outcomes)
    yield from _source_faults(errors, several=len(named) > 2)


def _outcome_faults(name: str, outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    if name not in outcomes:
        mend = nearest(name, list(outcomes))
        yield Fault(f"no outcome is called '{name}'", mend, column=f"{KEY}.of")
        return
    outcome = _mapping(outcomes[name])
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    if likelihood is not None and not likelihood.ties_error:
        able = [one.name for one in LIKELIHOODS.values() if one.ties_error]
        yield Fault(
            f"likelihood '{likelihood.name}' of outcome '{name}' has no known normal errors",
            f"Errors are correlated between outcomes with likelihood {' or '.join(able)}.",
            column=f"{KEY}.of",
        )
    if _mapping(outcome.get("bias")).get("selection"):
        yield Fault(
            f"outcome '{name}' is weighed by what was published, one outcome at a time",
            "Remove its bias.selection, or do not correlate its errors.",
            column=f"{KEY}.of",
        )


def _source_faults(errors: Mapping[str, Any], *, several: bool) -> Iterator[Fault]:
    sources = ("correlation", "prior", "column")
    given = [name for name in sources if errors.get(name) not in (None, "")]
    if len(given) != 1:
        yield Fault(
            "how errors are correlated is given once, as a number, a prior or a column"
            f" (here: {', '.join(given) or 'nothing'})",
            "Write for instance correlation = 0.5; none is supplied.",
            column=KEY,
        )
    number = errors.get("correlation")
    if several and isinstance(number, int | float) and number < 0:
        message = "three outcomes or more cannot all go against each other"
        yield Fault(message, "Write a number from 0 to 1.", column=f"{KEY}.correlation")
    prior = _mapping(errors.get("prior"))
    kwargs = prior.get("kwargs")
    if isinstance(kwargs, Mapping) and not is_share(str(prior.get("dist")), kwargs):
        yield Fault(
            "a correlation of errors with a prior lies between 0 and 1, this prior does not",
            'Write for instance { dist = "Beta", kwargs = { alpha = 2, beta = 2 }, why = "..." };'
            " a negative one is declared as a number.",
            column=f"{KEY}.prior",
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
