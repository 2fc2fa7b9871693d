"""Parameters: pooled as the spec says, and correlated effects of arms and agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.components.heterogeneity import lkj_cholesky
from nmda_bayes.components.likelihoods import LIKELIHOODS, STARTING_LEVEL
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design import outcome_covariates
from nmda_bayes.dims import (
    AGENT,
    AGENT_CLASS,
    AGENT_PARAMETER,
    ARM,
    OUTCOME,
    OUTCOME_PAIR,
    PARAMETER_PAIR,
    STRATUM,
    STUDY,
)
from nmda_bayes.graph_data import add_study_dim, shared_data
from nmda_bayes.model.outcome import Outcome, standard_normal
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import AnalysisSpec, ParameterSpec
from nmda_bayes.spec.rules import BASELINE, HETEROGENEITY_SD, NU, natural_name

#: Suffix of the standard normal offsets, which reports leave out.
OFFSET = "_offset"


def parameter(
    outcome: Outcome, name: str, agent_effects: Mapping[str, Any] = MappingProxyType({})
) -> Any:
    """Add a parameter to the model on the stack, on the scale of the formula that uses it.

    The spec may give it on the natural scale (``ed50``) or on the log scale (``log_ed50``); both
    are recorded.
    """
    parameters, natural = outcome.spec.parameters, natural_name(name)
    if name not in parameters:
        value = _pooled(outcome, natural, parameters[natural], agent_effects)
        return pmd.Deterministic(outcome.name(name), xp.log(value))
    value = _pooled(outcome, name, parameters[name], agent_effects)
    if natural != name:
        pmd.Deterministic(outcome.name(natural), xp.exp(value))
    return value


def study_t_scale(outcome: Outcome) -> Any:
    """What the effects of each study's arms are divided by to have a t distribution."""
    part = outcome.spec.parameters[HETEROGENEITY_SD]
    return _GraphScope(outcome, HETEROGENEITY_SD, part, {}).t_scale(STUDY)


def covariate_shift(outcome: Outcome, name: str) -> Any:
    """What covariates add to a parameter at each arm."""
    shift: Any = 0.0
    for column, (parameter, _, covariate) in outcome_covariates(outcome.spec).items():
        if parameter == name:
            slope = outcome.variable(column, covariate.prior)
            shift = shift + slope * outcome.over_arms(
                outcome.centred_covariate(column, covariate), column
            )
    return shift


def _pooled(
    outcome: Outcome, name: str, part: ParameterSpec, agent_effects: Mapping[str, Any]
) -> Any:
    value = POOLINGS[part.pooling].formula(_GraphScope(outcome, name, part, agent_effects))
    if outcome.name(name) in pm.modelcontext(None).named_vars:
        return value
    return pmd.Deterministic(outcome.name(name), value)


@dataclass(frozen=True)
class ParameterLayout:
    """The names and dims of the variables of a pooled parameter."""

    outcome: Outcome
    parameter: str
    spec: ParameterSpec

    def slot_name(self, slot: str) -> str:
        """Name the variable of a prior: the parameter itself where it has no other prior."""
        only = set(self.spec.priors) - {NU} == {slot}
        return self.outcome.name(self.parameter if only else f"{self.parameter}_{slot}")

    def offset_name(self, *dims: str) -> str:
        """Name standard normal offsets."""
        return self.outcome.name(f"{self.parameter}_{'_'.join(dims)}{OFFSET}")

    @property
    def study(self) -> str:
        """The dim of the studies that the parameter may vary over."""
        if self.parameter == HETEROGENEITY_SD:
            return self.outcome.heterogeneity_study
        responders = self.parameter == STARTING_LEVEL
        return self.outcome.responder_study if responders else self.outcome.study

    @property
    def own_dim(self) -> str:
        """The dim of the parameter's ``each`` prior."""
        if self.parameter == HETEROGENEITY_SD:
            return self.outcome.stratum
        names = LIKELIHOODS[self.outcome.spec.likelihood].study_parameters
        of_studies = (BASELINE, STARTING_LEVEL, *names, *map(natural_name, names))
        return self.study if self.parameter in of_studies else AGENT

    @property
    def class_positions(self) -> np.ndarray:
        """Position of each agent's class among the classes."""
        return np.array(list(map(self.outcome.classes.index, self.outcome.class_of)), dtype=int)

    def graph_dims(self, dims: tuple[str, ...]) -> tuple[str, ...]:
        """Dims of a pooling as the graph names them."""
        names = {STUDY: self.study, STRATUM: self.outcome.stratum}
        return tuple(names.get(dim, dim) for dim in dims)

    def has(self, slot: str) -> bool:
        """Whether the spec has an optional prior."""
        return slot in self.spec.priors


@dataclass(frozen=True)
class _GraphScope(ParameterLayout):
    """A `ParameterScope` that adds the random variables to the model on the stack."""

    agent_effects: Mapping[str, Any]

    def _add(self, slot: str, name: str, dims: tuple[str, ...]) -> Any:
        prior = self.spec.priors[slot]
        return random_variable(name, prior.dist, prior.kwargs, dims)

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        return self._add(slot, self.slot_name(slot), dims)

    def own_prior(self) -> Any:
        return self._add("each", self.outcome.name(self.parameter), (self.own_dim,))

    def offset(self, *dims: str) -> Any:
        correlated = self.agent_effects.get(f"{self.outcome.label}.{self.parameter}")
        if dims == (AGENT,) and correlated is not None:
            return correlated
        return standard_normal(self.offset_name(*dims), *self.graph_dims(dims))

    def t_scale(self, *dims: str) -> Any:
        fixed, name = self.spec.nu, self.outcome.name(f"{self.parameter}.{NU}")
        nu = self.prior(NU) if fixed is None else shared_data(name, fixed)
        # A t distribution as a scale mixture z / √g, both with fixed scales.
        name = self.outcome.name(f"{self.parameter}_{'_'.join(dims)}_tails{OFFSET}")
        return xp.sqrt(pmd.Gamma(name, alpha=nu / 2, beta=nu / 2, dims=self.graph_dims(dims)))

    def expand_to_agents(self, value: Any) -> Any:
        return value.isel({AGENT_CLASS: pmd.as_xtensor(self.class_positions, dims=(AGENT,))})

    def record(self, name: str, value: Any) -> Any:
        return pmd.Deterministic(self.outcome.name(f"{self.parameter}_{name}"), value)

    def exp(self, value: Any) -> Any:
        return xp.exp(value)


def correlated_arm_effects(spec: AnalysisSpec, arms: xr.Dataset) -> dict[str, Any]:
    """Standard normal effects of the arms by outcome, correlated between outcomes."""
    prior = spec.correlations.heterogeneity
    if prior is None:
        return {}
    names = list(spec.outcomes)
    add_study_dim(ARM, arms[ARM].to_numpy(), arms[STUDY].to_numpy())
    cholesky = _correlation_cholesky(
        names, names, prior.kwargs["eta"], "heterogeneity_correlation", OUTCOME_PAIR
    )
    return _correlated(names, cholesky, "arm" + OFFSET, (OUTCOME, ARM))


def correlated_agent_effects(spec: AnalysisSpec) -> dict[str, Any]:
    """Standard normal effects of the agents by curve parameter, correlated between parameters."""
    prior = spec.correlations.agent
    if prior is None:
        return {}
    names = list(prior.of)
    pm.modelcontext(None).add_coords({AGENT_PARAMETER: names})
    variables = [f"agent_{name}" for name in names]
    cholesky = _correlation_cholesky(
        names, variables, prior.kwargs["eta"], "agent_correlation", PARAMETER_PAIR
    )
    return _correlated(names, cholesky, "agent" + OFFSET, (AGENT_PARAMETER, AGENT))


def _correlation_cholesky(
    names: Sequence[str], variables: Sequence[str], eta: float, called: str, pair_dim: str
) -> list[list[Any]]:
    """Cholesky factor of a correlation matrix, whose correlations are recorded over pairs."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    pm.modelcontext(None).add_coords({pair_dim: [f"{names[j]}, {names[i]}" for i, j in pairs]})
    shape = shared_data(f"{called}.eta", eta)
    cholesky = lkj_cholesky(
        variables, shape, xp, lambda pair, b: pmd.Beta(pair + OFFSET, alpha=b, beta=b)
    )
    products = [
        sum(x * y for x, y in zip(cholesky[i], cholesky[j], strict=False)) for i, j in pairs
    ]
    correlations = [product.expand_dims(pair_dim) for product in products]
    pmd.Deterministic(called, pmd.concat(correlations, dim=pair_dim))
    return cholesky


def _correlated(
    names: Sequence[str], cholesky: list[list[Any]], offset: str, dims: tuple[str, str]
) -> dict[str, Any]:
    """Correlated standard normal effects by name, from independent ones."""
    independent = standard_normal(offset, *dims)
    rows = [independent.isel({dims[0]: k}) for k in range(len(names))]
    return {
        name: sum(weight * rows[k] for k, weight in enumerate(weights))
        for name, weights in zip(names, cholesky, strict=True)
    }
