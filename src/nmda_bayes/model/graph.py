"""The generative model, as the paper writes it.

    y[arm]   ~ Likelihood(eta[arm])
    eta[arm] = baseline[study] + f(exposure[arm]; theta[agent, condition]) + delta[arm]
    theta    ~ pooled over agents and conditions, each parameter in its own way
    delta    ~ heterogeneity between the arms of a study, correlated between outcomes

A classic random-effects meta-analysis is this with ``f = constant``; a network meta-analysis has
several agents; a dose-response model has a curve; benefit and harm are two outcomes of one set of
arms. Everything is labelled: an agent without a trial is a label without an arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr
from pytensor.compile.mode import Mode

from nmda_bayes.components.correlations import lkj_root
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design import ARMS, LABELS, OUTCOMES, build_design
from nmda_bayes.dims import AGENT, ARM, CONDITION, CONTRAST, OUTCOME, PAIR, STUDY, scoped
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec, ParameterSpec, needed_parameters
from nmda_bayes.spec.rules import BASELINE, natural

#: Suffix of the standard normal offsets, which no reader needs to see.
OFFSET = "_offset"

#: Prior and predictive graphs are evaluated a few thousand times, not millions: compiling them
#: costs more than running them. On the triptans network the prior took 4.0 s with the default
#: mode and 0.34 s with this one, the posterior predictive 1.2 s and 0.28 s. The Python linker
#: needs no C compiler and asks for no BLAS.
CHEAP = {"mode": Mode(linker="py", optimizer="fast_compile")}


def build_model(spec: AnalysisSpec, evidence: xr.DataTree) -> pm.Model:
    """Build the graph of an analysis on some evidence.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        As `nmda_bayes.load_evidence` gives it.

    Returns
    -------
    pm.Model
        Every variable has named dims: agent, condition, study, arm (prefixed ``<outcome>::``
        where there are several outcomes).
    """
    return model_of(spec, build_design(spec, evidence))


def model_of(spec: AnalysisSpec, design: xr.DataTree) -> pm.Model:
    """Build the graph of an analysis on a design.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    pm.Model
        The model.
    """
    arms = design[ARMS].to_dataset()
    labels = design[LABELS].to_dataset()
    coords = {dim: list(labels[dim].to_numpy()) for dim in (AGENT, CONDITION)}
    with pm.Model(coords={**coords, OUTCOME: list(spec.outcomes)}) as model:
        correlated = _correlated_offsets(spec, arms)
        for name, outcome in spec.outcomes.items():
            reported = design[f"{OUTCOMES}/{name}"].to_dataset()
            _add_outcome(_Outcome(name, outcome, spec.alone, labels, reported), correlated)
    return model


@dataclass(frozen=True)
class _Outcome:
    """One outcome of the analysis, and its names in the graph."""

    label: str
    spec: OutcomeSpec
    alone: bool
    labels: xr.Dataset
    reported: xr.Dataset

    def name(self, name: str) -> str:
        return scoped(self.label, name, alone=self.alone)

    @property
    def arm(self) -> str:
        return self.name(ARM)

    @property
    def study(self) -> str:
        return self.name(STUDY)

    def over_arms(self, values: Any) -> Any:
        return pmd.as_xtensor(np.asarray(values), dims=(self.arm,))

    def positions(self, column: str, coordinates: np.ndarray) -> Any:
        """Where each arm's label stands among the coordinates."""
        place = {label: i for i, label in enumerate(coordinates)}
        # The reference agent has no curve and no place; position 0 meets an exposure of 0.
        return self.over_arms([place.get(v, 0) for v in self.reported[column].to_numpy()])


def _add_outcome(outcome: _Outcome, correlated: dict[str, Any]) -> None:
    """Add one outcome's three lines to the model on the stack."""
    model = pm.modelcontext(None)
    part, reported = outcome.spec, outcome.reported
    curve, likelihood = part.shape, LIKELIHOODS[part.likelihood]
    studies = np.array(list(dict.fromkeys(reported["study"].to_numpy())), dtype=object)
    model.add_coords({outcome.arm: list(reported[ARM].to_numpy()), outcome.study: list(studies)})

    theta = {name: _parameter(outcome, name) for name in needed_parameters(part.model_dump()) or ()}
    at_arms = {
        dim: outcome.positions(dim, outcome.labels[dim].to_numpy()) for dim in (AGENT, CONDITION)
    }
    at_arms[outcome.study] = outcome.positions(STUDY, studies)
    of_arm = {name: _at(value, at_arms) for name, value in theta.items()}

    exposure = outcome.over_arms(reported["exposure"].to_numpy().astype(float))
    response = curve.response(exposure, of_arm, xp)
    eta = of_arm.get(BASELINE, 0.0) + response + _delta(outcome, theta, correlated)
    eta = pmd.Deterministic(outcome.name("eta"), eta, dims=(outcome.arm,))

    rows = outcome.arm
    if likelihood.contrasts:
        rows = outcome.name(CONTRAST)
        model.add_coords({rows: list(reported[CONTRAST].to_numpy())})
    likelihood.observe(outcome.name("reported"), eta, reported, rows)


def _at(value: Any, positions: dict[str, Any]) -> Any:
    """Read a parameter at each arm, along whichever of the dims it has."""
    return value.isel({dim: at for dim, at in positions.items() if dim in value.type.dims})


def _delta(outcome: _Outcome, theta: dict[str, Any], correlated: dict[str, Any]) -> Any:
    """Effects of the arms beyond dose and agent."""
    heterogeneity = HETEROGENEITIES[outcome.spec.heterogeneity]
    if heterogeneity.formula is None:
        return 0.0
    if outcome.label in correlated:
        position = outcome.over_arms(outcome.reported["position"].to_numpy())
        offset = correlated[outcome.label].isel({ARM: position})
    else:
        offset = pmd.Normal(outcome.name("arm" + OFFSET), mu=0, sigma=1, dims=(outcome.arm,))
    return heterogeneity.formula(offset, **{k: theta[k] for k in heterogeneity.parameters})


def _correlated_offsets(spec: AnalysisSpec, arms: xr.Dataset) -> dict[str, Any]:
    """Standard normal effects of the arms by outcome, correlated; empty where independent."""
    prior = spec.correlations.heterogeneity
    if prior is None:
        return {}
    names = list(spec.outcomes)
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    labels = [f"{names[j]}, {names[i]}" for i, j in pairs]
    pm.modelcontext(None).add_coords({ARM: list(arms[ARM].to_numpy()), PAIR: labels})
    root = lkj_root(
        names,
        prior.kwargs["eta"],
        xp,
        lambda pair, b: pmd.Beta(pair + OFFSET, alpha=b, beta=b),
    )
    products = [sum(x * y for x, y in zip(root[i], root[j], strict=False)) for i, j in pairs]
    correlations = [product.expand_dims(PAIR) for product in products]
    pmd.Deterministic("heterogeneity_correlation", pmd.concat(correlations, dim=PAIR))
    free = pmd.Normal("arm" + OFFSET, mu=0, sigma=1, dims=(OUTCOME, ARM))
    of = [free.isel({OUTCOME: k}) for k in range(len(names))]
    return {
        name: sum(weight * of[k] for k, weight in enumerate(row))
        for name, row in zip(names, root, strict=True)
    }


def _parameter(outcome: _Outcome, name: str) -> Any:
    """A parameter, pooled as the spec says, on the scale that the formula wants."""
    given, plain = outcome.spec.parameters, natural(name)
    if name not in given:
        value = _pooled(outcome, plain, given[plain])
        return pmd.Deterministic(outcome.name(name), xp.log(value))
    value = _pooled(outcome, name, given[name])
    if plain != name:
        pmd.Deterministic(outcome.name(plain), xp.exp(value))  # for the reader: ED50 itself
    return value


def _pooled(outcome: _Outcome, name: str, parameter: ParameterSpec) -> Any:
    pooling = POOLINGS[parameter.pooling]
    value = pooling.formula(_ParameterSites(outcome, name, parameter))
    if outcome.name(name) in pm.modelcontext(None).named_vars:
        return value
    return pmd.Deterministic(outcome.name(name), value)


@dataclass(frozen=True)
class _ParameterSites:
    """Makes the random variables that a pooling asks for, under the parameter's name."""

    outcome: _Outcome
    parameter: str
    spec: ParameterSpec

    def _make(self, slot: str, name: str, dims: tuple[str, ...]) -> Any:
        prior = self.spec.priors[slot]
        return random_variable(self.outcome.name(name), prior.dist, prior.kwargs, dims)

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        alone = set(self.spec.priors) == {slot}
        return self._make(slot, self.parameter if alone else f"{self.parameter}_{slot}", dims)

    def own(self) -> Any:
        own = self.outcome.study if self.parameter == BASELINE else AGENT
        return self._make("each", self.parameter, (own,))

    def offset(self, *dims: str) -> Any:
        name = self.outcome.name(f"{self.parameter}_{'_'.join(dims)}{OFFSET}")
        named = tuple(self.outcome.study if dim == STUDY else dim for dim in dims)
        return pmd.Normal(name, mu=0, sigma=1, dims=named)

    def has(self, slot: str) -> bool:
        return slot in self.spec.priors
