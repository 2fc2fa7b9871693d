"""Parameters: pooled as the spec says, on the scale that their formula wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp

from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.responders import STARTING_LEVEL
from nmda_bayes.dims import AGENT, STUDY
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import ParameterSpec
from nmda_bayes.spec.rules import BASELINE, natural

#: Suffix of the standard normal offsets, which no reader needs to see.
OFFSET = "_offset"


def parameter(outcome: Outcome, name: str) -> Any:
    """Make a parameter, pooled as the spec says, on the scale that the formula wants.

    Parameters
    ----------
    outcome
        Its outcome.
    name
        Its name; a logarithm may be given by the prior of the quantity itself.

    Returns
    -------
    Any
        Over the dims that its pooling gives it.
    """
    given, plain = outcome.spec.parameters, natural(name)
    if name not in given:
        value = _pooled(outcome, plain, given[plain])
        return pmd.Deterministic(outcome.name(name), xp.log(value))
    value = _pooled(outcome, name, given[name])
    if plain != name:
        pmd.Deterministic(outcome.name(plain), xp.exp(value))  # for the reader: ED50 itself
    return value


def _pooled(outcome: Outcome, name: str, given: ParameterSpec) -> Any:
    pooling = POOLINGS[given.pooling]
    value = pooling.formula(_GraphSites(outcome, name, given))
    if outcome.name(name) in pm.modelcontext(None).named_vars:
        return value
    return pmd.Deterministic(outcome.name(name), value)


@dataclass(frozen=True)
class Sites:
    """The names and dims of the variables that a pooling asks for.

    Attributes
    ----------
    outcome
        The outcome.
    parameter
        The parameter's name, as the spec gives it.
    spec
        How it is pooled.
    """

    outcome: Outcome
    parameter: str
    spec: ParameterSpec

    def slot_name(self, slot: str) -> str:
        """Name the variable of a prior: the parameter itself where it has no other prior.

        Parameters
        ----------
        slot
            The prior's name in the spec.

        Returns
        -------
        str
            Its name in the graph.
        """
        alone = set(self.spec.priors) == {slot}
        return self.outcome.name(self.parameter if alone else f"{self.parameter}_{slot}")

    def offset_name(self, *dims: str) -> str:
        """Name standard normal offsets.

        Parameters
        ----------
        *dims
            The dims that they vary over.

        Returns
        -------
        str
            Their name in the graph.
        """
        return self.outcome.name(f"{self.parameter}_{'_'.join(dims)}{OFFSET}")

    @property
    def study(self) -> str:
        """The dim of the studies that the parameter may vary over."""
        starting = self.parameter == STARTING_LEVEL
        return self.outcome.responder_study if starting else self.outcome.study

    @property
    def own_dim(self) -> str:
        """The parameter's own dim."""
        return self.study if self.parameter in (BASELINE, STARTING_LEVEL) else AGENT

    def in_graph(self, dims: tuple[str, ...]) -> tuple[str, ...]:
        """Name dims as the graph does.

        Parameters
        ----------
        dims
            As a pooling names them.

        Returns
        -------
        tuple[str, ...]
            The same, study under its outcome's name.
        """
        return tuple(self.study if dim == STUDY else dim for dim in dims)

    def has(self, slot: str) -> bool:
        """Say whether the spec gives an optional prior.

        Parameters
        ----------
        slot
            The prior's name in the spec.

        Returns
        -------
        bool
            True where it is given.
        """
        return slot in self.spec.priors


class _GraphSites(Sites):
    """Makes the random variables that a pooling asks for, under the parameter's name."""

    def _make(self, slot: str, name: str, dims: tuple[str, ...]) -> Any:
        prior = self.spec.priors[slot]
        return random_variable(name, prior.dist, prior.kwargs, dims)

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        return self._make(slot, self.slot_name(slot), dims)

    def own(self) -> Any:
        return self._make("each", self.outcome.name(self.parameter), (self.own_dim,))

    def offset(self, *dims: str) -> Any:
        return pmd.Normal(self.offset_name(*dims), mu=0, sigma=1, dims=self.in_graph(dims))
