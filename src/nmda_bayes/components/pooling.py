"""Pooling: how much a parameter is shared between agents, their classes, conditions and studies.

    parameter[agent, condition] = location + between_agent · z[agent] + ...,   z ~ Normal(0, 1)

A pooling asks a `ParameterScope` for its priors and for standard normal offsets over dims
(non-centred, so that groups without trials are drawn from the population), and returns the sum. To
add one, write its sum under one `@pooling` line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nmda_bayes.components import summary_line
from nmda_bayes.registry import Registry

#: Priors whose names begin so are of SDs, and positive.
SD_PREFIXES = ("between", "within")
#: The choices with tails heavier than a normal's.
HEAVY_TAIL_TEXT = 'pooling = "agent_t" or heterogeneity = "arm_t"'


class ParameterScope(Protocol):
    """Source of a parameter's random variables, supplied by `nmda_bayes.model`.

    A slot is the name of a prior in the spec. A parameter's own dim is the study for a baseline and
    the agent otherwise.
    """

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        """Random variable of a prior."""

    def own_prior(self) -> Any:
        """Random variable of the ``each`` prior over the parameter's own dim."""

    def offset(self, *dims: str) -> Any:
        """Independent standard normal offsets over dims."""

    def exp(self, value: Any) -> Any:
        """Exponential, for positive parameters."""

    def t_scale(self, *dims: str) -> Any:
        """√g, g ~ Gamma(nu / 2, nu / 2): a normal offset divided by it has a t distribution."""

    def expand_to_agents(self, value: Any) -> Any:
        """Value of each agent's class."""

    def record(self, name: str, value: Any) -> Any:
        """Record a term of the sum under its name."""

    def has(self, slot: str) -> bool:
        """Whether the spec has an optional prior."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """A way to share a parameter; ``priors`` and ``optional`` are slots of the spec."""

    name: str
    priors: tuple[str, ...]
    optional: tuple[str, ...]
    dims: tuple[str, ...]
    formula: Callable[[ParameterScope], Any]
    text: str
    about: str
    heavy_tailed: bool = False
    uses_classes: bool = False


def _build(
    formula: Callable[[ParameterScope], Any],
    /,
    text: str,
    *,
    priors: str,
    dims: str = "",
    optional: str = "",
    **facts: bool,
) -> Pooling:
    """A pooling named after its formula; names are separated by spaces, ``facts`` are its flags."""
    return Pooling(
        formula.__name__,
        tuple(priors.split()),
        tuple(optional.split()),
        tuple(dims.split()),
        formula,
        text,
        summary_line(formula),
        **facts,
    )


POOLINGS = Registry("pooling", _build)
pooling = POOLINGS.entry


def _deviation(scope: ParameterScope, slot: str, *dims: str) -> Any:
    """Normal deviations over dims, whose SD is a prior."""
    return scope.prior(slot) * scope.offset(*dims)


@pooling("location", priors="location")
def common(scope: ParameterScope) -> Any:
    """One value for all."""
    return scope.prior("location")


@pooling("each", priors="each", dims="own")
def independent(scope: ParameterScope) -> Any:
    """A separate value for each agent (each study for a baseline), nothing shared."""
    return scope.own_prior()


@pooling("location + between_agent · z[agent]", priors="location between_agent", dims="agent")
def agent(scope: ParameterScope) -> Any:
    """Exchangeable over agents, with an estimated SD between them."""
    return scope.prior("location") + _deviation(scope, "between_agent", "agent")


@pooling(
    "location + between_condition · z[condition]",
    priors="location between_condition",
    dims="condition",
)
def condition(scope: ParameterScope) -> Any:
    """Exchangeable over conditions, with an estimated SD between them."""
    return scope.prior("location") + _deviation(scope, "between_condition", "condition")


@pooling("location + between_study · z[study]", priors="location between_study", dims="study")
def study(scope: ParameterScope) -> Any:
    """Exchangeable over studies, with an estimated SD between them."""
    return scope.prior("location") + _deviation(scope, "between_study", "study")


@pooling(
    "location + between_agent · z[agent] + between_condition · z[condition]"
    " (+ between_cells · z[agent, condition])",
    priors="location between_agent between_condition",
    dims="agent condition",
    optional="between_cells",
)
def agent_and_condition(scope: ParameterScope) -> Any:
    """Crossed partial sharing over agents and conditions, with an optional interaction."""
    value = scope.prior("location") + _deviation(scope, "between_agent", "agent")
    value = value + _deviation(scope, "between_condition", "condition")
    if scope.has("between_cells"):
        value = value + _deviation(scope, "between_cells", "agent", "condition")
    return value


@pooling(
    "location + between_class · z[class] + within_class · z[agent]",
    priors="location between_class within_class",
    dims="agent",
    uses_classes=True,
)
def class_and_agent(scope: ParameterScope) -> Any:
    """Exchangeable classes of agents, and agents exchangeable within their class."""
    # An agent alone in its class has both offsets; the prior alone determines its distance from it.
    class_mean = scope.prior("location") + _deviation(scope, "between_class", "agent_class")
    class_mean = scope.record("class", class_mean)
    return scope.expand_to_agents(class_mean) + _deviation(scope, "within_class", "agent")


@pooling(
    "location + between_agent · z[agent] / √g[agent]",
    priors="location between_agent",
    dims="agent",
    heavy_tailed=True,
)
def agent_t(scope: ParameterScope) -> Any:
    """Exchangeable over agents with a t distribution, which allows for an outlying agent."""
    offset = scope.offset("agent") / scope.t_scale("agent")
    return scope.prior("location") + scope.prior("between_agent") * offset


@pooling(
    "location · exp(between_stratum · z[stratum])",
    priors="location between_stratum",
    dims="stratum",
)
def stratum(scope: ParameterScope) -> Any:
    """Exchangeable over strata of the trials on the log scale, with an estimated SD."""
    deviation = _deviation(scope, "between_stratum", "stratum")
    return scope.prior("location") * scope.exp(deviation)
