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
from nmda_bayes.components.responders import RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.priors import EXAMPLE
from nmda_bayes.spec.bias_rules import bias_faults
from nmda_bayes.spec.consistency_rules import consistency_faults
from nmda_bayes.spec.content import mapping
from nmda_bayes.spec.error_rules import error_faults
from nmda_bayes.spec.kinetics import kinetics_faults
from nmda_bayes.spec.likelihood_rules import likelihood_faults, own_parameters
from nmda_bayes.spec.mixing_rules import crossover_faults, mixing_faults
from nmda_bayes.spec.part_rules import curve_faults, library_prior_faults, shapes_of
from nmda_bayes.spec.pooling_rules import (
    BASELINE,
    HETEROGENEITY_SD,
    agent_correlation_faults,
    class_faults,
    parameter_faults,
)
from nmda_bayes.spec.time import course_of, repeated_faults, time_faults
from nmda_bayes.spec.two_kinds_rules import two_kinds_faults

__all__ = ["BASELINE", "HETEROGENEITY_SD", "natural", "needed_parameters", "spec_faults"]


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
    curve = shapes_of(outcome)
    heterogeneity = HETEROGENEITIES.get(str(outcome.get("heterogeneity")))
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    course = course_of(outcome)
    if curve is None or heterogeneity is None or likelihood is None or course is None:
        return None
    baseline = (BASELINE,) if likelihood.has_baseline else ()
    responders = (RESPONDER_SD, STARTING_LEVEL) if outcome.get("responders") else ()
    own = own_parameters(likelihood, outcome)
    over_time = course.parameters
    return (
        *(*curve.parameters, *over_time, *baseline),
        *(*heterogeneity.parameters, *own, *responders),
    )


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
    outcomes = mapping(content, "outcomes")
    for name, outcome in outcomes.items():
        yield from _outcome_faults(f"outcomes.{name}", mapping(outcome))
        yield from curve_faults(f"outcomes.{name}", mapping(outcome))
        yield from library_prior_faults(f"outcomes.{name}", mapping(outcome))
        yield from mixing_faults(f"outcomes.{name}", mapping(outcome))
        yield from consistency_faults(f"outcomes.{name}", mapping(outcome))
        yield from likelihood_faults(f"outcomes.{name}", mapping(outcome))
        yield from bias_faults(f"outcomes.{name}", mapping(outcome), outcomes)
        yield from time_faults(f"outcomes.{name}", mapping(outcome))
    yield from crossover_faults(content, outcomes)
    yield from repeated_faults(content, outcomes)
    yield from class_faults(content, outcomes)
    yield from agent_correlation_faults(content, outcomes)
    yield from _correlation_faults(content, outcomes)
    yield from two_kinds_faults(content, outcomes)
    yield from error_faults(content, outcomes)
    yield from kinetics_faults(content)
    window = {k: v for k, v in mapping(content, "window").items() if isinstance(v, str)}
    for side in ("benefit", "harm"):
        if side in window and window[side] not in outcomes:
            yield Fault(
                f"no outcome is called '{window[side]}'",
                nearest(str(window[side]), list(outcomes)),
                column=f"window.{side}",
            )
    yield from _window_faults(window, outcomes)


def _window_faults(window: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    benefit, harm = (mapping(outcomes.get(str(window.get(side)))) for side in ("benefit", "harm"))
    if benefit and not benefit.get("better"):
        yield Fault(
            "a window needs to know which way of the benefit is better",
            'Write better = "lower" or better = "higher".',
            column=f"outcomes.{window['benefit']}.better",
        )
    gain = LIKELIHOODS.get(str(benefit.get("likelihood")))
    if gain is not None and gain.link.ratio and not gain.link.probability:
        yield Fault(
            f"the benefit of a window is a difference or a risk, not a {gain.link.ratio}",
            "Name another outcome.",
            column="window.benefit",
        )
    link = LIKELIHOODS.get(str(harm.get("likelihood")))
    if harm and link is not None and not link.link.probability:
        yield Fault(
            "the harm of a window must be a risk",
            'Use an outcome with likelihood = "binomial".',
            column="window.harm",
        )


def _correlation_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    if mapping(content, "correlations").get("heterogeneity") is None:
        return
    key = "correlations.heterogeneity"
    if len(outcomes) < 2:
        yield Fault("a single outcome has nothing to be correlated with", "Remove it.", column=key)
    for name, outcome in outcomes.items():
        if mapping(outcome).get("heterogeneity") == "none":
            yield Fault(
                f"outcome '{name}' has no heterogeneity to correlate",
                f'Give outcomes.{name} heterogeneity = "arm", or remove the correlation.',
                column=key,
            )


def _outcome_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    needed = needed_parameters(outcome)
    given = mapping(outcome, "parameters")
    shapes = shapes_of(outcome)
    advice = shapes.advice() if shapes is not None else {}
    if needed is not None:
        either = {natural(name): name for name in needed}
        for name in needed:
            both = {name, natural(name)} & set(given)
            if not both:
                whose = shapes.whose(name) if shapes is not None else ""
                yield Fault(
                    f"parameter '{name}'{whose} has no prior",
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
        yield from parameter_faults(
            f"{key}.parameters.{name}",
            name,
            mapping(parameter),
            on_natural_scale=needed is not None and name not in needed,
            heterogeneity=str(outcome.get("heterogeneity")),
        )
