"""Pooling: how much a parameter is shared between agents, their classes, conditions, studies.

A pooling writes a parameter as the sum of what is common and what is not. It asks a `Sites` for its
priors and for standard normal offsets over dims (the non-centred form: a group with no trial
then simply draws from the population), and returns the sum.

To add a pooling, write its sum under one `@pooling` line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

#: The prior slots of this beginning are spreads, and positive.
SPREADS = ("between", "within")
#: What has tails heavier than a normal's.
HEAVY = 'pooling = "agent_t" or heterogeneity = "arm_t"'


class Sites(Protocol):
    """Where a parameter's random variables are made; `nmda_bayes.model` supplies it.

    A slot is a prior's name in the spec; the dims of an offset are those it varies over. A
    parameter's own dim is study for a baseline, else agent.
    """

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        """Make the random variable of one prior slot.

        Parameters
        ----------
        slot
            The prior's name in the spec.
        dims
            The dims over which it is repeated.

        Returns
        -------
        Any
            A `pymc.dims` variable.
        """

    def own(self) -> Any:
        """Make the ``each`` prior over the parameter's own dim."""

    def offset(self, *dims: str) -> Any:
        """Make independent standard normal offsets.

        Parameters
        ----------
        *dims
            The dims that they vary over.

        Returns
        -------
        Any
            A `pymc.dims` variable.
        """

    def exp(self, value: Any) -> Any:
        """Take the exponential, for what is positive.

        Parameters
        ----------
        value
            On the log scale.

        Returns
        -------
        Any
            Positive.
        """

    def tails(self, *dims: str) -> Any:
        """Make what a normal offset is divided by to have the tails of a t distribution.

        Parameters
        ----------
        *dims
            The dims of the offset.

        Returns
        -------
        Any
            √g, g ~ Gamma(nu / 2, nu / 2), with the spec's nu.
        """

    def of_agents(self, value: Any) -> Any:
        """Give each agent the value of its class.

        Parameters
        ----------
        value
            Over the classes of agents.

        Returns
        -------
        Any
            The same over agents.
        """

    def tell(self, name: str, value: Any) -> Any:
        """Keep a part of the sum under a name of its own, for a reader to see.

        Parameters
        ----------
        name
            What the parameter's name is followed by.
        value
            The part.

        Returns
        -------
        Any
            The same.
        """

    def has(self, slot: str) -> bool:
        """Say whether the spec gives an optional slot.

        Parameters
        ----------
        slot
            The prior's name in the spec.

        Returns
        -------
        bool
            True where it is given.
        """


@dataclass(frozen=True, slots=True)
class Pooling:
    """A way to share a parameter.

    Attributes
    ----------
    name
        What a spec calls it.
    priors
        The prior slots that must be given.
    optional
        The prior slots that may be given.
    dims
        The dims over which the parameter then varies; ``own`` is the parameter's own dim.
    formula
        ``formula(sites)`` to the parameter.
    text
        The formula as a reader would write it.
    about
        What it means.
    heavy
        True where its offsets have the tails of a t distribution.
    of_classes
        True where it asks for the classes of agents.
    """

    name: str
    priors: tuple[str, ...]
    optional: tuple[str, ...]
    dims: tuple[str, ...]
    formula: Callable[[Sites], Any]
    text: str
    about: str
    heavy: bool = False
    of_classes: bool = False


POOLINGS: dict[str, Pooling] = {}


def pooling(
    text: str,
    *,
    priors: str,
    dims: str = "",
    optional: str = "",
    heavy: bool = False,
    of_classes: bool = False,
) -> Callable[[Callable[[Sites], Any]], Pooling]:
    """Enter a formula in the catalogue under its function's name.

    Parameters
    ----------
    text
        The formula as a reader would write it.
    priors
        The prior slots that must be given, separated by spaces.
    dims
        The dims over which the parameter varies, separated by spaces.
    optional
        The prior slots that may be given, separated by spaces.
    heavy
        True where the formula asks for tails.
    of_classes
        True where the formula asks for classes.

    Returns
    -------
    Callable
        Decorator from the formula to the `Pooling`.
    """

    def enter(formula: Callable[[Sites], Any]) -> Pooling:
        about = (formula.__doc__ or "").splitlines()[0]
        made = Pooling(
            formula.__name__,
            tuple(priors.split()),
            tuple(optional.split()),
            tuple(dims.split()),
            formula,
            text,
            about,
            heavy,
            of_classes,
        )
        POOLINGS[made.name] = made
        return made

    return enter


@pooling("location", priors="location")
def common(sites: Sites) -> Any:
    """One value for all."""
    return sites.prior("location")


@pooling("each", priors="each", dims="own")
def independent(sites: Sites) -> Any:
    """A value for each agent (each study for a baseline), nothing shared."""
    return sites.own()


@pooling("location + between_agent · z[agent]", priors="location between_agent", dims="agent")
def agent(sites: Sites) -> Any:
    """Exchangeable over agents, the spread between them estimated."""
    return sites.prior("location") + sites.prior("between_agent") * sites.offset("agent")


@pooling(
    "location + between_condition · z[condition]",
    priors="location between_condition",
    dims="condition",
)
def condition(sites: Sites) -> Any:
    """Exchangeable over conditions, the spread between them estimated."""
    return sites.prior("location") + sites.prior("between_condition") * sites.offset("condition")


@pooling("location + between_study · z[study]", priors="location between_study", dims="study")
def study(sites: Sites) -> Any:
    """Exchangeable over studies, the spread between them estimated."""
    return sites.prior("location") + sites.prior("between_study") * sites.offset("study")


@pooling(
    "location + between_agent · z[agent] + between_condition · z[condition]"
    " (+ between_cells · z[agent, condition])",
    priors="location between_agent between_condition",
    dims="agent condition",
    optional="between_cells",
)
def agent_and_condition(sites: Sites) -> Any:
    """Crossed partial sharing over agents and conditions, with an optional interaction."""
    value = (
        sites.prior("location")
        + sites.prior("between_agent") * sites.offset("agent")
        + sites.prior("between_condition") * sites.offset("condition")
    )
    if sites.has("between_cells"):
        value = value + sites.prior("between_cells") * sites.offset("agent", "condition")
    return value


@pooling(
    "location + between_class · z[class] + within_class · z[agent]",
    priors="location between_class within_class",
    dims="agent",
    of_classes=True,
)
def class_and_agent(sites: Sites) -> Any:
    """Exchangeable classes of agents, and agents exchangeable within their class."""
    # An agent alone in its class has both offsets, so that its prior is that of any other agent;
    # how far it lies from its class is then the prior's word, which the checks say.
    of_class = sites.prior("location") + sites.prior("between_class") * sites.offset("agent_class")
    of_class = sites.tell("class", of_class)
    return sites.of_agents(of_class) + sites.prior("within_class") * sites.offset("agent")


@pooling(
    "location + between_agent · z[agent] / √g[agent]",
    priors="location between_agent",
    dims="agent",
    heavy=True,
)
def agent_t(sites: Sites) -> Any:
    """Exchangeable over agents with the tails of a t distribution: one may stand far apart."""
    offset = sites.offset("agent") / sites.tails("agent")
    return sites.prior("location") + sites.prior("between_agent") * offset


@pooling(
    "location · exp(between_stratum · z[stratum])",
    priors="location between_stratum",
    dims="stratum",
)
def stratum(sites: Sites) -> Any:
    """Exchangeable over strata of the trials, the spread of its logarithm estimated."""
    of_stratum = sites.prior("between_stratum") * sites.offset("stratum")
    return sites.prior("location") * sites.exp(of_stratum)
