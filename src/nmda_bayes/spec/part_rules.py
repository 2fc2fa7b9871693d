"""What a curve's options and a published prior ask of the outcome that they stand in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.curves import CURVES, Shapes
from nmda_bayes.components.likelihoods import IDENTITY, LIKELIHOODS, LOGIT
from nmda_bayes.errors import Fault
from nmda_bayes.published_priors import HETEROGENEITY, LIBRARIES, LOG_OR, SMD
from nmda_bayes.spec.content import mapping


def shapes_of(outcome: Mapping[str, Any]) -> Shapes | None:
    """Find an outcome's curves, their options filled in.

    Parameters
    ----------
    outcome
        An outcome of a spec, as plain content.

    Returns
    -------
    Shapes or None
        None where a curve is not known or its options are at fault.
    """
    found = {}
    for agent, part in _parts(outcome):
        curve = CURVES.get(str(part.get("curve")))
        options = part.get("curve_options", {})
        if curve is None or not isinstance(options, Mapping) or any(curve.option_faults(options)):
            return None
        found[agent] = curve.given(options)
    return Shapes(found.pop(""), found)


def curve_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    """Find what is wrong with the options of an outcome's curves.

    Parameters
    ----------
    key
        The outcome's dotted key.
    outcome
        Its content.

    Yields
    ------
    Fault
        Each at its option.
    """
    for agent, part in _parts(outcome):
        curve = CURVES.get(str(part.get("curve")))
        options = part.get("curve_options", {})
        at = f"{key}.curves.{agent}" if agent else key
        if curve is not None and isinstance(options, Mapping):
            for name, message, mend in curve.option_faults(options):
                yield Fault(message, mend, column=f"{at}.curve_options.{name}")


def _parts(outcome: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give what says a curve: the outcome itself, for no agent in particular, then agents'."""
    yield "", outcome
    curves = outcome.get("curves")
    for agent, part in curves.items() if isinstance(curves, Mapping) else ():
        yield str(agent), part if isinstance(part, Mapping) else {"curve": part}


def library_prior_faults(key: str, outcome: Mapping[str, Any]) -> Iterator[Fault]:
    """Find published priors that stand where they do not belong.

    Parameters
    ----------
    key
        The outcome's dotted key.
    outcome
        Its content, shorthands written out.

    Yields
    ------
    Fault
        A prior of another quantity, of another scale, or with other numbers than its source has.
    """
    for name, parameter in mapping(outcome, "parameters").items():
        for slot, prior in mapping(parameter, "priors").items():
            if isinstance(prior, Mapping):
                at = f"{key}.parameters.{name}.priors.{slot}"
                yield from _prior_faults(at, name, prior, outcome)


def _prior_faults(
    key: str, parameter: str, prior: Mapping[str, Any], outcome: Mapping[str, Any]
) -> Iterator[Fault]:
    library = LIBRARIES.get(str(prior.get("library")))
    entry = (str(prior.get("outcome", "")), str(prior.get("comparison", "")))
    if library is None or entry not in library.priors:
        return
    dist, kwargs, scale = library.priors[entry]
    if (prior.get("dist"), prior.get("kwargs")) != (dist, kwargs):
        yield Fault(
            f"the numbers are not those of {library.name}",
            "Remove library, outcome and comparison, or dist and kwargs.",
            column=key,
        )
    if (library.quantity == HETEROGENEITY) != (parameter == "heterogeneity_sd"):
        place = "heterogeneity_sd" if library.quantity == HETEROGENEITY else "an effect"
        yield Fault(
            f"{library.name} has priors of {place}, not of '{parameter}'",
            f"Use it for {place}.",
            column=key,
        )
    wrong = _wrong_scale(scale, outcome)
    if wrong:
        yield Fault(
            f"a prior for {scale}, but {wrong}",
            "Use a library of the outcome's own scale, or write dist and kwargs.",
            column=key,
        )


def _wrong_scale(scale: str, outcome: Mapping[str, Any]) -> str:
    """Say why an outcome is not on a scale, where its likelihood tells; contrasts may be on any."""
    likelihood = LIKELIHOODS.get(str(outcome.get("likelihood")))
    if likelihood is None or likelihood.contrasts:
        return ""
    if likelihood.link.effect and (likelihood.link != LOGIT or scale != LOG_OR):
        return f"the outcome's effects are {likelihood.link.effect}s"
    unit = str(outcome.get("unit", "")).lower()
    standardised = scale == SMD and (unit in ("sd", "sds") or "standard deviation" in unit)
    if likelihood.link == IDENTITY and not standardised:
        return (
            "the outcome's effects are differences of means in its own unit"
            ' (unit = "SD" says that they are standardised)'
        )
    return ""
