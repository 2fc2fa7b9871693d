"""What a bias asks of the other keys of its outcome, and of the outcome whose harm betrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.bias import (
    JUDGEMENTS,
    LOW,
    SELECTABLE,
    SELECTABLE_HETEROGENEITIES,
)
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS, LOGIT
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.spec.content import mapping
from nmda_bayes.spec.pooling_rules import prior_rules

HALF = '{ dist = "HalfNormal", kwargs = { sigma = 1 }, why = "..." }'


def bias_faults(
    key: str, outcome: Mapping[str, Any], outcomes: Mapping[str, Any]
) -> Iterator[Fault]:
    """Find where the biases of an outcome contradict its other keys.

    Parameters
    ----------
    key
        The outcome's dotted key.
    outcome
        Its plain content.
    outcomes
        All outcomes of the spec.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    biases, at = mapping(outcome, "bias"), f"{key}.bias"
    given = {name: part for name, part in biases.items() if isinstance(part, Mapping)}
    if set(given) - {"power"} and not outcome.get("better"):
        yield Fault(
            "a bias favours the active arm, so it needs to know which way of the outcome is better",
            'Write better = "lower" or better = "higher".',
            column=f"{key}.better",
        )
    for name in ("small_study", "unblinding"):
        if name in given:
            yield from prior_rules(f"{at}.{name}.prior", mapping(given, name, "prior"), False)
    if "risk_of_bias" in given:
        yield from _judgement_faults(f"{at}.risk_of_bias", given["risk_of_bias"])
    if "selection" in given:
        yield from _step_faults(f"{at}.selection", given["selection"])
        yield from _selectable_faults(f"{at}.selection", outcome, given)
    if "power" in given:
        yield from _weight_faults(f"{at}.power", given["power"])
    if "unblinding" in given:
        yield from _harm_faults(f"{at}.unblinding.harm", key, given["unblinding"], outcomes)


def _judgement_faults(key: str, part: Mapping[str, Any]) -> Iterator[Fault]:
    if bool(part.get("column")) == bool(part.get("domain")):
        yield Fault(
            "judgements have one source",
            'Write column = "risk_of_bias_judgement", or another column of the evidence, or'
            ' domain = "overall" for its table of judgements.',
            column=f"{key}.column",
        )
    if part.get("scope") and not part.get("domain"):
        yield Fault("only a domain has a scope", "Remove it.", column=f"{key}.scope")
    for judgement, prior in mapping(part, "priors").items():
        at = f"{key}.priors.{judgement}"
        if judgement == LOW:
            yield Fault(
                "trials at low risk of bias are what the others are held against",
                "Remove it.",
                column=at,
            )
        elif judgement not in JUDGEMENTS:
            yield Fault(
                f"unknown judgement '{judgement}'", nearest(judgement, JUDGEMENTS), column=at
            )
        yield from prior_rules(at, mapping(prior), False)
    yield from prior_rules(f"{key}.spread", mapping(part, "spread"), True)


def _step_faults(key: str, part: Mapping[str, Any]) -> Iterator[Fault]:
    steps, priors = part.get("steps"), part.get("priors")
    if isinstance(steps, list | tuple) and all(isinstance(s, int | float) for s in steps):
        inside = all(0 < step < 1 for step in steps)
        if not inside or list(steps) != sorted(set(steps)):
            yield Fault(
                f"steps {', '.join(f'{step:g}' for step in steps)} do not rise between 0 and 1",
                "Write one-sided p-values, for instance steps = [0.025, 0.5].",
                column=f"{key}.steps",
            )
        if isinstance(priors, list | tuple) and len(priors) != len(steps):
            yield Fault(
                f"{len(steps)} steps leave {len(steps)} intervals past the first, and"
                f" {len(priors)} priors are given",
                "Write a prior of each interval's probability of publication, relative to the"
                ' first, for instance { dist = "Beta", kwargs = { alpha = 1, beta = 1 } }.',
                column=f"{key}.priors",
            )
    for place, prior in enumerate(priors if isinstance(priors, list | tuple) else ()):
        yield from prior_rules(f"{key}.priors.{place}", mapping(prior), True)


def _selectable_faults(
    key: str, outcome: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[Fault]:
    """Ask for estimates that are normal about a mean that is known given the parameters."""
    likelihood = outcome.get("likelihood")
    if likelihood in LIKELIHOODS and likelihood not in SELECTABLE:
        yield Fault(
            f"selection needs estimates that are normal with known standard errors, and likelihood"
            f" '{likelihood}' has none",
            'Use likelihood = "normal_contrast" on the printed differences (log odds ratios, for'
            ' counts) and their standard errors, or likelihood = "normal".',
            column=key,
        )
    if outcome.get("responders"):
        yield Fault(
            "selection needs an estimate of each trial, and responders have none on this scale",
            "Remove the responders, or the selection.",
            column=key,
        )
    heterogeneity = outcome.get("heterogeneity")
    if heterogeneity in HETEROGENEITIES and heterogeneity not in SELECTABLE_HETEROGENEITIES:
        yield Fault(
            "selection needs trials that are normal about their mean with one variance, and with"
            f" heterogeneity '{heterogeneity}' they are not",
            'Use heterogeneity = "arm".',
            column=key,
        )
    if "unblinding" in given:
        yield Fault(
            "selection needs each trial's mean given the parameters, and unblinding makes it depend"
            " on the latent harm of its arms",
            "Keep one of the two, and compare them as variants.",
            column=key,
        )
    if mapping(given, "risk_of_bias").get("spread"):
        yield Fault(
            "selection needs each trial's variance, and the biases of risk_of_bias have a spread",
            "Remove risk_of_bias.spread.",
            column=key,
        )


def _weight_faults(key: str, part: Mapping[str, Any]) -> Iterator[Fault]:
    weights = [w for w in mapping(part, "weights").values() if isinstance(w, int | float)]
    if weights and all(weight == 1 for weight in weights):
        yield Fault(
            "every weight is 1, so that nothing is discounted",
            "Write a weight below 1, or remove the table.",
            column=f"{key}.weights",
        )


def _harm_faults(
    key: str, own: str, part: Mapping[str, Any], outcomes: Mapping[str, Any]
) -> Iterator[Fault]:
    name = str(part.get("harm"))
    others = [other for other in outcomes if f"outcomes.{other}" != own]
    if name not in others:
        mend = nearest(name, others) if others else "Add the outcome that counts the harm."
        yield Fault(f"no other outcome is called '{name}'", mend, column=key)
        return
    harm, mine = mapping(outcomes[name]), mapping(outcomes[own.removeprefix("outcomes.")])
    likelihood = LIKELIHOODS.get(str(harm.get("likelihood")))
    if likelihood is not None and (likelihood.link != LOGIT or likelihood.contrasts):
        yield Fault(
            "what betrays an agent must be counted in arms: a probability on the logit scale",
            'Name an outcome with likelihood = "binomial".',
            column=key,
        )
    kinds = HETEROGENEITIES.get(str(harm.get("heterogeneity")))
    if kinds is not None and kinds.of_offsets:
        yield Fault(
            f"outcome '{name}' has trials of two kinds, and of a trial that does not count it no"
            " kind is known",
            f'Give outcomes.{name} heterogeneity = "arm".',
            column=key,
        )
    if mapping(harm, "bias", "unblinding"):
        yield Fault(
            f"outcome '{name}' is itself inflated by unblinding",
            "What betrays an agent must be free of it.",
            column=key,
        )
    if harm.get("exposure", "dose") != mine.get("exposure", "dose"):
        yield Fault(
            f"arms that do not count '{name}' get it from its curve at their exposure, and the two"
            " outcomes have different exposures",
            "Use one exposure for both.",
            column=key,
        )
