"""What the parts of a spec ask of each other, checked on the plain content of the file.

pydantic checks each key by itself; these rules relate keys: a curve names the parameters that
must be given, a pooling the priors. They run on the raw content, so that their faults are
reported together with pydantic's and a file is mended in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.curves import LOG
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.responders import RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.priors import EXAMPLE, is_positive, prior_faults
from nmda_bayes.spec.mixing_rules import crossover_faults, mixing_faults
from nmda_bayes.spec.part_rules import curve_faults, curve_of, library_prior_faults

BASELINE = "baseline"
HETEROGENEITY_SD = "heterogeneity_sd"
#: A baseline belongs to a study and a heterogeneity SD to the whole analysis; the rest to agents.
POOLINGS_OF = {
    BASELINE: ("common", "independent", "study"),
    HETEROGENEITY_SD: ("common",),
    RESPONDER_SD: ("common",),
    STARTING_LEVEL: ("common", "independent", "study"),
}
#: Parameters that no prior may let be negative.
POSITIVE = (HETEROGENEITY_SD, RESPONDER_SD)


def needed_parameters(outcome: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Name the parameters that an outcome's parts need.

    Parameters
    ----------
    outcome
        An outcome of a spec, as plain content.

    Returns
    -------
    tuple[str, ...] or None
        The names, or None where a part is not known (which pydantic reports).
    """
    curve = curve_of(outcome)
    heterogeneity = HETEROGENEITIES.get(str(outcome.get("heterogeneity")))
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    if curve is None or heterogeneity is None or likelihood is None:
        return None
    baseline = () if likelihood.contrasts else (BASELINE,)
    responders = (RESPONDER_SD, STARTING_LEVEL) if outcome.get("responders") else ()
    return (*curve.parameters, *baseline, *heterogeneity.parameters, *responders)


def natural(name: str) -> str:
    """Name the positive quantity behind a logarithm: ``ed50`` for ``log_ed50``.

    Parameters
    ----------
    name
        A curve parameter.

    Returns
    -------
    str
        The name without ``log_``.
    """
    return name.removeprefix(LOG)


def spec_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    """Find where the keys of a spec contradict each other.

    Parameters
    ----------
    content
        The spec as plain content; parts of the wrong type are left to pydantic.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    outcomes = _mapping(content.get("outcomes"))
    for name, outcome in outcomes.items():
        yield from _outcome_faults(f"outcomes.{name}", _mapping(outcome))
        yield from curve_faults(f"outcomes.{name}", _mapping(outcome))
        yield from library_prior_faults(f"outcomes.{name}", _mapping(outcome))
        yield from mixing_faults(f"outcomes.{name}", _mapping(outcome))
    yield from crossover_faults(content, outcomes)
    yield from _correlation_faults(content, outcomes)
    window = {k: v for k, v in _mapping(content.get("window")).items() if isinstance(v, str)}
    for side in ("benefit", "harm"):
        if side in window and window[side] not in outcomes:
            yield Fault(
                f"no outcome is called '{window[side]}'",
                nearest(str(window[side]), list(outcomes)),
                column=f"window.{side}",
            )
    yield from _window_faults(window, outcomes)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _window_faults(window: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    benefit, harm = (_mapping(outcomes.get(str(window.get(side)))) for side in ("benefit", "harm"))
    if benefit and not benefit.get("better"):
        yield Fault(
            "a window needs to know which way of the benefit is better",
            'Write better = "lower" or better = "higher".',
            column=f"outcomes.{window['benefit']}.better",
        )
    link = LIKELIHOODS.get(str(harm.get("likelihood")))
    if harm and link is not None and link.link != "logit":
        yield Fault(
            "the harm of a window must be a risk",
            'Use an outcome with likelihood = "binomial".',
            column="window.harm",
        )


def _correlation_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    if _mapping(content.get("correlations")).get("heterogeneity") is None:
        return
    key = "correlations.heterogeneity"
    if len(outcomes) < 2:
        yield Fault("a single outcome has nothing to be correlated with", "Remove it.", column=key)
    for name, outcome in outcomes.items():
        if _mapping(outcome).get("heterogeneity") == "none":
            yield Fault(
                f"outcome '{name}' has no heterogeneity to correlate",
                f'Give outcomes.{name} heterogeneity = "arm", or remove the correlation.',
                column=key,
            )


def _outcome_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    needed = needed_parameters(outcome)
    given = _mapping(outcome.get("parameters"))
    curve = curve_of(outcome)
    advice = curve.advice() if curve is not None else {}
    if needed is not None:
        either = {natural(name): name for name in needed}
        for name in needed:
            both = {name, natural(name)} & set(given)
            if not both:
                yield Fault(
                    f"parameter '{name}' has no prior",
                    f"Write [{key}.parameters.{name}] with a pooling and its priors, for instance"
                    f' pooling = "common" and priors.location = {EXAMPLE}; none is supplied.'
                    + (f" Advice: {advice[name].why}." if name in advice else ""),
                    column=f"{key}.parameters.{name}",
                )
            elif len(both) == 2 and name != natural(name):
                yield Fault(
                    f"'{name}' and '{natural(name)}' are one quantity given twice",
                    "Keep one.",
                    column=f"{key}.parameters.{natural(name)}",
                )
        for name in given:
            if name not in needed and name not in either:
                yield Fault(
                    f"'{name}' is not a parameter of this outcome",
                    nearest(name, needed) + " Its curve, likelihood and heterogeneity need: "
                    f"{', '.join(needed)}.",
                    column=f"{key}.parameters.{name}",
                )
    for name, parameter in given.items():
        on_natural_scale = needed is not None and name not in needed
        yield from _parameter_faults(
            f"{key}.parameters.{name}", name, _mapping(parameter), on_natural_scale
        )


def _parameter_faults(
    key: str, name: str, parameter: Mapping[str, Any], on_natural_scale: bool
) -> Iterator[Fault]:
    pooling = POOLINGS.get(str(parameter.get("pooling")))
    priors = _mapping(parameter.get("priors"))
    if pooling is not None:
        allowed = POOLINGS_OF.get(name)
        if on_natural_scale:
            allowed = ("common", "independent")
        elif allowed is None:
            allowed = tuple(p for p in POOLINGS if p != "study")
        if pooling.name not in allowed:
            yield Fault(
                f"pooling '{pooling.name}' does not apply to '{name}'",
                f"Use one of: {', '.join(allowed)}.",
                column=f"{key}.pooling",
            )
        for slot in pooling.priors:
            if slot not in priors:
                yield Fault(
                    f"pooling '{pooling.name}' needs the prior '{slot}'",
                    f"Write priors.{slot} = {EXAMPLE}; none is supplied.",
                    column=f"{key}.priors.{slot}",
                )
        slots = (*pooling.priors, *pooling.optional)
        for slot in priors:
            if slot not in slots:
                yield Fault(
                    f"pooling '{pooling.name}' has no prior '{slot}'",
                    nearest(slot, slots),
                    column=f"{key}.priors.{slot}",
                )
    for slot, prior in priors.items():
        must_be_positive = slot.startswith("between") or (
            slot in ("location", "each") and (on_natural_scale or name in POSITIVE)
        )
        yield from _prior_faults(f"{key}.priors.{slot}", _mapping(prior), must_be_positive)


def _prior_faults(key: str, prior: Mapping[str, Any], must_be_positive: bool) -> Iterator[Fault]:
    dist, kwargs = prior.get("dist"), prior.get("kwargs")
    if not isinstance(dist, str) or not isinstance(kwargs, Mapping):
        return
    faults = [f for f in prior_faults(dist, kwargs) if not f[0].startswith("unknown distribution")]
    for message, mend in faults:
        yield Fault(message, mend, column=key)
    if must_be_positive and not faults and not is_positive(dist, kwargs):
        yield Fault(
            f"a {dist} prior allows negative values, but this quantity is positive",
            "Use for instance HalfNormal, HalfCauchy, LogNormal, or a TruncatedNormal"
            " with lower = 0.",
            column=key,
        )
