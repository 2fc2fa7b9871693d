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
    value = pooling.formula(_ParameterSites(outcome, name, given))
    if outcome.name(name) in pm.modelcontext(None).named_vars:
        return value
    return pmd.Deterministic(outcome.name(name), value)


@dataclass(frozen=True)
class _ParameterSites:
    """Makes the random variables that a pooling asks for, under the parameter's name."""

    outcome: Outcome
    parameter: str
    spec: ParameterSpec

    def _make(self, slot: str, name: str, dims: tuple[str, ...]) -> Any:
        prior = self.spec.priors[slot]
        return random_variable(self.outcome.name(name), prior.dist, prior.kwargs, dims)

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        alone = set(self.spec.priors) == {slot}
        return self._make(slot, self.parameter if alone else f"{self.parameter}_{slot}", dims)

    @property
    def study(self) -> str:
        starting = self.parameter == STARTING_LEVEL
        return self.outcome.responder_study if starting else self.outcome.study

    def own(self) -> Any:
        own = self.study if self.parameter in (BASELINE, STARTING_LEVEL) else AGENT
        return self._make("each", self.parameter, (own,))

    def offset(self, *dims: str) -> Any:
        name = self.outcome.name(f"{self.parameter}_{'_'.join(dims)}{OFFSET}")
        named = tuple(self.study if dim == STUDY else dim for dim in dims)
        return pmd.Normal(name, mu=0, sigma=1, dims=named)

    def has(self, slot: str) -> bool:
        return slot in self.spec.priors
