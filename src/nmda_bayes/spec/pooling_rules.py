"""What a pooling asks of the other keys: priors, how heavy its tails are, strata, classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nmda_bayes.components.heterogeneity import (
    HETEROGENEITIES,
    OUTLYING_RATIO,
    OUTLYING_SHARE,
)
from nmda_bayes.components.pooling import HEAVY, POOLINGS, SPREADS, Pooling
from nmda_bayes.components.responders import RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.errors import Fault, nearest
from nmda_bayes.priors import EXAMPLE, is_positive, prior_faults
from nmda_bayes.spec.content import mapping, named_once, names
from nmda_bayes.spec.likelihood_rules import is_own_positive, own_poolings

BASELINE = "baseline"
HETEROGENEITY_SD = "heterogeneity_sd"
CLUSTER_SD = "cluster_sd"
#: SDs of what trials differ by.
TRIAL_SDS = (HETEROGENEITY_SD, CLUSTER_SD)
#: A baseline belongs to a study and a heterogeneity SD to the analysis or its strata; the rest to
#: agents.
POOLINGS_OF = {
    BASELINE: ("common", "independent", "study"),
    HETEROGENEITY_SD: ("common", "independent", "stratum"),
    CLUSTER_SD: ("common",),
    OUTLYING_RATIO: ("common",),
    OUTLYING_SHARE: ("common",),
    RESPONDER_SD: ("common",),
    STARTING_LEVEL: ("common", "independent", "study"),
}
#: Poolings of no curve parameter.
NOT_OF_AGENTS = ("study", "stratum")
#: Parameters that no prior may let be negative.
POSITIVE = (*TRIAL_SDS, RESPONDER_SD)
NU = "nu"
NU_EXAMPLE = '{ dist = "Gamma", kwargs = { alpha = 2, beta = 0.1 }, why = "..." }'


def parameter_faults(
    key: str,
    name: str,
    parameter: Mapping[str, Any],
    *,
    on_natural_scale: bool,
    heterogeneity: str,
) -> Iterator[Fault]:
    """Find what is wrong with how a parameter is shared.

    Parameters
    ----------
    key
        Its dotted key.
    name
        Its name.
    parameter
        Its plain content.
    on_natural_scale
        True where the formula wants its logarithm.
    heterogeneity
        The outcome's heterogeneity.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
    pooling = POOLINGS.get(str(parameter.get("pooling")))
    priors = mapping(parameter, "priors")
    of_arms = HETEROGENEITIES.get(heterogeneity)
    heavy = pooling is not None and pooling.heavy
    if name == HETEROGENEITY_SD and of_arms is not None:
        heavy = of_arms.heavy
    if pooling is not None:
        yield from _fit_faults(key, name, pooling, on_natural_scale)
        yield from _slot_faults(f"{key}.priors", pooling, priors, heavy)
        yield from _stratum_faults(key, name, pooling, parameter)
    yield from _tail_faults(key, parameter, heavy)
    for covariate, part in mapping(parameter, "covariates").items():
        at = f"{key}.covariates.{covariate}"
        yield from _covariate_faults(at, name, mapping(part), on_natural_scale)
    for slot, prior in priors.items():
        must_be_positive = slot.startswith((*SPREADS, NU)) or (
            slot in ("location", "each")
            and (on_natural_scale or name in POSITIVE or is_own_positive(name))
        )
        yield from prior_rules(f"{key}.priors.{slot}", mapping(prior), must_be_positive)


def _fit_faults(key: str, name: str, pooling: Pooling, on_natural_scale: bool) -> Iterator[Fault]:
    allowed = POOLINGS_OF.get(name) or own_poolings(name)
    if on_natural_scale:
        allowed = ("common", "independent")
    elif allowed is None:
        allowed = tuple(p for p in POOLINGS if p not in NOT_OF_AGENTS)
    if pooling.name not in allowed:
        yield Fault(
            f"pooling '{pooling.name}' does not apply to '{name}'",
            f"Use one of: {', '.join(allowed)}.",
            column=f"{key}.pooling",
        )


def _slot_faults(
    key: str, pooling: Pooling, priors: Mapping[str, Any], heavy: bool
) -> Iterator[Fault]:
    for slot in pooling.priors:
        if slot not in priors:
            yield Fault(
                f"pooling '{pooling.name}' needs the prior '{slot}'",
                f"Write priors.{slot} = {EXAMPLE}; none is supplied.",
                column=f"{key}.{slot}",
            )
    slots = (*pooling.priors, *pooling.optional, *((NU,) if heavy else ()))
    for slot in priors:
        if slot not in slots and slot != NU:
            yield Fault(
                f"pooling '{pooling.name}' has no prior '{slot}'",
                nearest(slot, slots),
                column=f"{key}.{slot}",
            )


def _tail_faults(key: str, parameter: Mapping[str, Any], heavy: bool) -> Iterator[Fault]:
    """Ask for degrees of freedom where tails are heavy, once, and nowhere else."""
    number = parameter.get(NU)
    given = (number is not None) + (NU in mapping(parameter, "priors"))
    at = f"{key}.{NU}"
    if not heavy and given:
        yield Fault(
            "nothing here has the tails of a t distribution", f"Use {HEAVY}, or remove it.",
            column=at,
        )  # fmt: skip
    elif heavy and not given:
        yield Fault(
            "how heavy the tails are is not said",
            f"Write nu = 4 (degrees of freedom), or priors.nu = {NU_EXAMPLE}; none is supplied.",
            column=at,
        )
    elif given == 2:
        yield Fault("nu is given twice", "Keep the number or its prior.", column=at)


def _stratum_faults(
    key: str, name: str, pooling: Pooling, parameter: Mapping[str, Any]
) -> Iterator[Fault]:
    by = parameter.get("by")
    if name == CLUSTER_SD:
        if not by:
            yield Fault(
                "what the trials are nested in is not said",
                'Write by = "district", or another column of the evidence.',
                column=f"{key}.by",
            )
        return
    wanted = name == HETEROGENEITY_SD and pooling.name in ("independent", "stratum")
    if wanted and not by:
        yield Fault(
            f"pooling '{pooling.name}' of '{name}' needs to know over what",
            'Use one of: common; or write by = "risk_of_bias", or another column of the evidence.',
            column=f"{key}.pooling",
        )
    elif by and not wanted:
        yield Fault(
            f"'{name}' does not differ by strata",
            f'Use pooling = "stratum" or "independent" with {HETEROGENEITY_SD}, or remove it.',
            column=f"{key}.by",
        )


def _covariate_faults(
    key: str, name: str, covariate: Mapping[str, Any], on_natural_scale: bool
) -> Iterator[Fault]:
    if name in POOLINGS_OF or own_poolings(name) is not None:
        yield Fault(
            f"'{name}' is not regressed on anything",
            "Regress a parameter of the curve; for a heterogeneity use strata.",
            column=key,
        )
    elif on_natural_scale:
        yield Fault(
            f"a positive quantity is regressed on its logarithm, and '{name}' is given itself",
            f"Give log_{name} and its priors.",
            column=key,
        )
    if not covariate.get("level"):
        for stated, example in (("centre", "2010"), ("unit", "10")):
            if covariate.get(stated) is None:
                what = "where the answers stand" if stated == "centre" else "what it is per"
                yield Fault(
                    f"the coefficient's {stated} is not stated: {what}",
                    f"Write {stated} = {example}, in the covariate's own units.",
                    column=f"{key}.{stated}",
                )
    if sum(bool(covariate.get(source)) for source in ("column", "measure")) > 1 or (
        covariate.get("level") and covariate.get("measure")
    ):
        yield Fault(
            "a covariate has one source", "Keep column (with level or without) or measure.",
            column=key,
        )  # fmt: skip
    yield from prior_rules(f"{key}.prior", mapping(covariate, "prior"), False)


def prior_rules(key: str, prior: Mapping[str, Any], must_be_positive: bool) -> Iterator[Fault]:
    """Find what is wrong with a prior where it stands.

    Parameters
    ----------
    key
        Its dotted key.
    prior
        Its plain content.
    must_be_positive
        True where the quantity is.

    Yields
    ------
    Fault
        Each with the dotted key and the mend.
    """
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


def class_faults(content: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Iterator[Fault]:
    """Ask for the classes of agents where a parameter is shared within them.

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
    if content.get("classes"):
        return
    for name, outcome in outcomes.items():
        for parameter, part in mapping(outcome, "parameters").items():
            pooling = POOLINGS.get(str(mapping(part).get("pooling")))
            if pooling is not None and pooling.of_classes:
                yield Fault(
                    f"pooling '{pooling.name}' needs the classes of the agents",
                    'Write [classes] with a line for each agent, for instance ketamine = "'
                    'arylcyclohexylamine".',
                    column=f"outcomes.{name}.parameters.{parameter}.pooling",
                )


def agent_correlation_faults(
    content: Mapping[str, Any], outcomes: Mapping[str, Any]
) -> Iterator[Fault]:
    """Find parameters that have no agents' effects to be correlated.

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
    correlation = mapping(content, "correlations", "agent")
    if not correlation:
        return
    key = "correlations.agent.of"
    named = names(correlation.get("of"))
    able = [
        f"{name}.{parameter}"
        for name, outcome in outcomes.items()
        for parameter, part in mapping(outcome, "parameters").items()
        if (pooling := POOLINGS.get(str(mapping(part).get("pooling")))) and "agent" in pooling.dims
    ]
    for one in named:
        if one not in able:
            yield Fault(
                f"'{one}' has no effects of agents that are shared about a location",
                nearest(one, able) if able else 'Pool it by "agent" or "agent_and_condition".',
                column=key,
            )
    if not named_once(named):
        yield Fault(
            "a correlation is between two parameters or more, each named once",
            f'Write of = ["outcome.parameter", ...]. Possible: {", ".join(able)}.',
            column=key,
        )
