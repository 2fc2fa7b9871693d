"""Parameters: pooled as the spec says, on the scale that their formula wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.components.responders import STARTING_LEVEL
from nmda_bayes.design import covariates_of
from nmda_bayes.dims import AGENT, AGENT_CLASS, STRATUM, STUDY
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.named_data import named_data
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import ParameterSpec
from nmda_bayes.spec.pooling_rules import NU
from nmda_bayes.spec.rules import BASELINE, HETEROGENEITY_SD, natural

#: Suffix of the standard normal offsets, which no reader needs to see.
OFFSET = "_offset"


def parameter(outcome: Outcome, name: str, shared: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """Make a parameter, pooled as the spec says, on the scale that the formula wants.

    Parameters
    ----------
    outcome
        Its outcome.
    name
        Its name; a logarithm may be given by the prior of the quantity itself.
    shared
        Offsets of agents that are correlated with another parameter's, by ``outcome.parameter``.

    Returns
    -------
    Any
        Over the dims that its pooling gives it.
    """
    given, plain = outcome.spec.parameters, natural(name)
    if name not in given:
        value = _pooled(outcome, plain, given[plain], shared)
        return pmd.Deterministic(outcome.name(name), xp.log(value))
    value = _pooled(outcome, name, given[name], shared)
    if plain != name:
        pmd.Deterministic(outcome.name(plain), xp.exp(value))  # for the reader: ED50 itself
    return value


def study_tails(outcome: Outcome) -> Any:
    """Make what the effects of each study's arms are divided by where their tails are heavy.

    Parameters
    ----------
    outcome
        Its outcome.

    Returns
    -------
    Any
        Over every study of the outcome.
    """
    given = outcome.spec.parameters[HETEROGENEITY_SD]
    return _GraphSites(outcome, HETEROGENEITY_SD, given, {}).tails(STUDY)


def covariate_shift(outcome: Outcome, name: str) -> Any:
    """Make what covariates add to a curve parameter at each arm.

    Parameters
    ----------
    outcome
        Its outcome.
    name
        The parameter, as the formula names it.

    Returns
    -------
    Any
        Dim arm; 0 where it is regressed on nothing. The parameter itself stays that at the
        covariates' centres.
    """
    shift: Any = 0.0
    for column, (parameter, _, covariate) in covariates_of(outcome.spec).items():
        if parameter == name:
            prior = covariate.prior
            slope = random_variable(outcome.name(column), prior.dist, prior.kwargs)
            shift = shift + slope * outcome.over_arms(outcome.moved(column, covariate), column)
    return shift


def _pooled(outcome: Outcome, name: str, given: ParameterSpec, shared: Mapping[str, Any]) -> Any:
    pooling = POOLINGS[given.pooling]
    value = pooling.formula(_GraphSites(outcome, name, given, shared))
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
        alone = set(self.spec.priors) - {NU} == {slot}
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
        if self.parameter == HETEROGENEITY_SD:
            return self.outcome.every_study
        starting = self.parameter == STARTING_LEVEL
        return self.outcome.responder_study if starting else self.outcome.study

    @property
    def own_dim(self) -> str:
        """The parameter's own dim."""
        if self.parameter == HETEROGENEITY_SD:
            return self.outcome.stratum
        own = LIKELIHOODS[self.outcome.spec.likelihood].of_studies
        of_studies = (BASELINE, STARTING_LEVEL, *own, *map(natural, own))
        return self.study if self.parameter in of_studies else AGENT

    @property
    def class_places(self) -> np.ndarray:
        """Where each agent's class stands among the classes."""
        classes = self.outcome.classes
        return np.array([classes.index(name) for name in self.outcome.class_of], dtype=int)

    def in_graph(self, dims: tuple[str, ...]) -> tuple[str, ...]:
        """Name dims as the graph does.

        Parameters
        ----------
        dims
            As a pooling names them.

        Returns
        -------
        tuple[str, ...]
            The same, study and stratum under their outcome's name.
        """
        own = {STUDY: self.study, STRATUM: self.outcome.stratum}
        return tuple(own.get(dim, dim) for dim in dims)

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


@dataclass(frozen=True)
class _GraphSites(Sites):
    """Makes the random variables that a pooling asks for, under the parameter's name."""

    shared: Mapping[str, Any]

    def _make(self, slot: str, name: str, dims: tuple[str, ...]) -> Any:
        prior = self.spec.priors[slot]
        return random_variable(name, prior.dist, prior.kwargs, dims)

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        return self._make(slot, self.slot_name(slot), dims)

    def own(self) -> Any:
        return self._make("each", self.outcome.name(self.parameter), (self.own_dim,))

    def offset(self, *dims: str) -> Any:
        correlated = self.shared.get(f"{self.outcome.label}.{self.parameter}")
        if dims == (AGENT,) and correlated is not None:
            return correlated
        return pmd.Normal(self.offset_name(*dims), mu=0, sigma=1, dims=self.in_graph(dims))

    def tails(self, *dims: str) -> Any:
        declared = self.spec.nu
        declared_name = self.outcome.name(f"{self.parameter}.{NU}")
        nu = self.prior(NU) if declared is None else named_data(declared_name, declared)
        name = self.outcome.name(f"{self.parameter}_{'_'.join(dims)}_tails{OFFSET}")
        # An inverse gamma mixture of normals is a t: z / √g, and both stay free of their scale.
        return xp.sqrt(pmd.Gamma(name, alpha=nu / 2, beta=nu / 2, dims=self.in_graph(dims)))

    def of_agents(self, value: Any) -> Any:
        return value.isel({AGENT_CLASS: pmd.as_xtensor(self.class_places, dims=(AGENT,))})

    def tell(self, name: str, value: Any) -> Any:
        return pmd.Deterministic(self.outcome.name(f"{self.parameter}_{name}"), value)

    def exp(self, value: Any) -> Any:
        return xp.exp(value)
