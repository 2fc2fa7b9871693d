"""What a spec must say before errors of several outcomes can go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.errors import Fault
from nmda_bayes.spec.content import mapping, named_once, names, no_share, unknown_outcomes

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
    errors = mapping(content, "correlations", "errors")
    if not errors:
        return
    named = names(errors.get("of"))
    if not named_once(named):
        mend = f'Write of = ["...", "..."] with some of: {", ".join(outcomes)}.'
        message = "errors are correlated between two outcomes or more, each named once"
        yield Fault(message, mend, column=f"{KEY}.of")
    yield from unknown_outcomes(named, outcomes, f"{KEY}.of")
    for name in named:
        yield from _outcome_faults(name, outcomes)
    yield from _source_faults(errors, several=len(named) > 2)


def _outcome_faults(name: str, outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    outcome = mapping(outcomes, name)
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    if likelihood is not None and not likelihood.ties_error:
        able = [one.name for one in LIKELIHOODS.values() if one.ties_error]
        yield Fault(
            f"likelihood '{likelihood.name}' of outcome '{name}' has no known normal errors",
            f"Errors are correlated between outcomes with likelihood {' or '.join(able)}.",
            column=f"{KEY}.of",
        )
    if mapping(outcome, "bias").get("selection"):
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
    if no_share(errors.get("prior")):
        yield Fault(
            "a correlation of errors with a prior lies between 0 and 1, this prior does not",
            'Write for instance { dist = "Beta", kwargs = { alpha = 2, beta = 2 }, why = "..." };'
            " a negative one is declared as a number.",
            column=f"{KEY}.prior",
        )
