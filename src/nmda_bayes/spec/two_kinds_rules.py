"""What a mixture of ordinary and outlying trials asks of the other keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.heterogeneity import HETEROGENEITIES, OUTLYING_RATIO, OUTLYING_SHARE
from nmda_bayes.errors import Fault
from nmda_bayes.priors import is_at_least_one
from nmda_bayes.spec.content import mapping, no_share

RATIO = (
    '{ dist = "TruncatedNormal", kwargs = { mu = 1, sigma = 3, lower = 1, upper = 20 },'
    ' why = "..." }'
)
SHARE = '{ dist = "Beta", kwargs = { alpha = 1, beta = 4 }, why = "..." }'


def two_kinds_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where an outcome with trials of two kinds contradicts the other keys.

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
    for name, outcome in outcomes.items():
        kind = HETEROGENEITIES.get(str(mapping(outcome).get("heterogeneity")))
        if kind is None or not kind.of_offsets:
            continue
        yield from _prior_faults(f"outcomes.{name}.parameters", mapping(outcome, "parameters"))
        if mapping(content, "correlations").get("heterogeneity") is not None:
            yield Fault(
                f"effects of arms of outcome '{name}' are of two kinds of trial, and a correlation"
                " with another outcome's would need to know whether its trials are of the same"
                " kinds",
                'Use heterogeneity = "arm_t", or remove the correlation.',
                column="correlations.heterogeneity",
            )


def _prior_faults(key: str, parameters: Mapping[str, Any]) -> Iterator[Fault]:
    ratio = mapping(parameters, OUTLYING_RATIO, "priors", "location").get("kwargs")
    if isinstance(ratio, Mapping) and not is_at_least_one(ratio):
        yield Fault(
            "below 1 the outlying trials would be the ordinary ones, and nobody could tell which",
            f"Write a prior with a lower bound of 1 or more, for instance {RATIO}.",
            column=f"{key}.{OUTLYING_RATIO}.priors.location",
        )
    if no_share(mapping(parameters, OUTLYING_SHARE, "priors", "location")):
        yield Fault(
            "a share of trials lies between 0 and 1, this prior does not",
            f"Write for instance {SHARE}.",
            column=f"{key}.{OUTLYING_SHARE}.priors.location",
        )
