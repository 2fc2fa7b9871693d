"""The generative model, as the paper writes it.

    y[arm]   ~ Likelihood(eta[arm])
    eta[arm] = baseline[study] + f(exposure[arm]; theta[agent, condition]) · g(hour) + delta[arm]
             + bias[arm]
    theta    ~ pooled over agents and conditions, each parameter in its own way
    delta    ~ heterogeneity between the arms of a study, correlated between outcomes

A classic random-effects meta-analysis is this with ``f = constant``; a network meta-analysis has
several agents; a dose-response model has a curve, and ``g`` is 1 unless an outcome has a time
course; benefit and harm are two outcomes of one set of
arms. Everything is labelled: an agent without a trial is a label without an arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr
from pytensor.compile.mode import Mode

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.responders import RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.design import (
    ARMS,
    AS_RESPONDERS,
    LABELS,
    OUTCOMES,
    WHOLE_ARM,
    build_design,
)
from nmda_bayes.dims import AGENT, AGENT_CLASS, ARM, CONDITION, OUTCOME, STRATUM, STUDY
from nmda_bayes.model.bias import arm_shift
from nmda_bayes.model.correlated import correlated_agents, correlated_arms
from nmda_bayes.model.error_ties import error_ties
from nmda_bayes.model.exposure import graph_exposure
from nmda_bayes.model.kinetic_parameters import kinetic_parameters
from nmda_bayes.model.observed import observe
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET, covariate_shift, parameter, study_tails
from nmda_bayes.model.selection import select
from nmda_bayes.model.two_kinds import effects_of_two_kinds
from nmda_bayes.model.unblinding import Arms
from nmda_bayes.model.weighing import weigh
from nmda_bayes.spec import AnalysisSpec, DesignsSpec, needed_parameters
from nmda_bayes.spec.rules import BASELINE

#: Prior and predictive graphs are evaluated a few thousand times, not millions: compiling them
#: costs more than running them. On the triptans network the prior took 4.0 s with the default
#: mode and 0.34 s with this one, the posterior predictive 1.2 s and 0.28 s. The Python linker
#: needs no C compiler and asks for no BLAS. Without the stabilising rewrites log(1 - p) at a logit
#: of 40 would be minus infinity; they cost nothing that could be measured.
CHEAP = {"mode": Mode("py", "fast_compile").including("stabilize")}


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
        correlated, shared = correlated_arms(spec, arms), correlated_agents(spec)
        built: dict[str, Arms] = {}
        # An outcome whose benefit another one's harm inflates comes after it.
        outcomes = outcomes_of(spec, design)
        for one in sorted(outcomes, key=lambda one: bool(one.spec.bias.unblinding)):
            built[one.label] = _add_outcome(one, correlated, shared, spec.designs, built)
    return model


def outcomes_of(spec: AnalysisSpec, design: xr.DataTree) -> Iterator[Outcome]:
    """Give the outcomes of an analysis with what their trials report.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Yields
    ------
    Outcome
        In the spec's order.
    """
    labels, ties = design[LABELS].to_dataset(), error_ties(spec, design)
    kinetics = kinetic_parameters(spec, design)
    for name, part in spec.outcomes.items():
        reported = design[f"{OUTCOMES}/{name}"].to_dataset()
        yield Outcome(name, part, spec.alone, labels, reported, ties.get(name), kinetics)


def _add_outcome(
    outcome: Outcome,
    correlated: dict[str, Any],
    shared: dict[str, Any],
    designs: DesignsSpec,
    built: Mapping[str, Arms],
) -> Arms:
    """Add one outcome's lines to the model on the stack."""
    model = pm.modelcontext(None)
    part, reported = outcome.spec, outcome.reported
    model.add_coords({outcome.arm: list(reported[ARM].to_numpy())})
    model.add_coords({dim: list(labels) for dim, labels in outcome.studies.items()})
    if outcome.classes:
        model.add_coords({AGENT_CLASS: outcome.classes})
    if outcome.strata:
        model.add_coords({outcome.stratum: outcome.strata})

    theta = {name: parameter(outcome, name, shared) for name in parameters_of(outcome)}
    at_arms = {
        dim: outcome.positions(dim, outcome.labels[dim].to_numpy()) for dim in (AGENT, CONDITION)
    }
    for dim, labels in outcome.studies.items():
        at_arms[dim] = outcome.positions(outcome.column_of(dim), labels)
    if outcome.strata:
        at_arms[outcome.stratum] = outcome.positions(STRATUM, np.array(outcome.strata))
    of_arm = {
        name: _at(value, at_arms) + covariate_shift(outcome, name) for name, value in theta.items()
    }

    exposure = graph_exposure(outcome)
    share = _share(outcome, of_arm)
    response = part.shape.response(exposure, of_arm, xp, outcome.members) * share
    delta = _delta(outcome, of_arm, at_arms, correlated, share)
    expected = response + arm_shift(outcome, exposure, built)
    eta = _baseline(outcome, of_arm) + expected + delta
    eta = pmd.Deterministic(outcome.name("eta"), eta, dims=(outcome.arm,))

    before = len(model.observed_RVs)
    observe(outcome, eta, of_arm, designs)
    weigh(outcome, model.observed_RVs[before:])
    select(outcome, expected, of_arm)
    return Arms(outcome, theta, eta, correlated.get(outcome.label))


def parameters_of(outcome: Outcome) -> list[str]:
    """Name the parameters that the arms need: those of responders only where some are counted.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    list[str]
        As the formulas name them.
    """
    needed = needed_parameters(outcome.spec.model_dump()) or ()
    counted = AS_RESPONDERS in outcome.reported["report"].to_numpy()
    return [name for name in needed if counted or name not in (RESPONDER_SD, STARTING_LEVEL)]


def _baseline(outcome: Outcome, of_arm: dict[str, Any]) -> Any:
    """The baseline of each arm's study; 0 where a contrast is all that the study reports."""
    if BASELINE not in of_arm:
        return 0.0
    return of_arm[BASELINE] * outcome.over_arms(outcome.has_baseline)


def _at(value: Any, positions: dict[str, Any]) -> Any:
    """Read a parameter at each arm, along whichever of the dims it has."""
    return value.isel({dim: at for dim, at in positions.items() if dim in value.type.dims})


def _share(outcome: Outcome, of_arm: dict[str, Any]) -> Any:
    """How much of its effect there is at each row's hour; 1 without a time course."""
    course = outcome.spec.over_time
    clocks = {
        name: outcome.over_arms(outcome.reported[name].to_numpy(), name) for name in course.clocks
    }
    return course.share(clocks, of_arm, xp)


def _delta(
    outcome: Outcome,
    of_arm: dict[str, Any],
    at_arms: dict[str, Any],
    correlated: dict[str, Any],
    share: Any,
) -> Any:
    """Effects of the arms beyond dose and agent; readings of one arm have one."""
    heterogeneity = HETEROGENEITIES[outcome.spec.heterogeneity]
    if heterogeneity.formula is None:
        return 0.0
    if outcome.label in correlated:
        position = outcome.over_arms(outcome.reported["position"].to_numpy())
        offset = correlated[outcome.label].isel({ARM: position})
    elif WHOLE_ARM in outcome.reported:
        arms = list(dict.fromkeys(outcome.reported[WHOLE_ARM].to_numpy()))
        pm.modelcontext(None).add_coords({outcome.whole_arm: arms})
        own = _own_effects(outcome, outcome.whole_arm, of_arm)
        offset = own.isel({outcome.whole_arm: outcome.positions(WHOLE_ARM, np.array(arms))})
    else:
        offset = _own_effects(outcome, outcome.arm, of_arm)
    given = {name: of_arm[name] for name in heterogeneity.scales}
    if heterogeneity.nested:
        return heterogeneity.formula(offset, _of_clusters(outcome), **given)
    if heterogeneity.fades:
        return heterogeneity.formula(offset, share, **given)
    if not heterogeneity.heavy:
        return heterogeneity.formula(offset, **given)
    return heterogeneity.formula(offset, _at(study_tails(outcome), at_arms), **given)


def _own_effects(outcome: Outcome, dim: str, of_arm: dict[str, Any]) -> Any:
    """Effects of the arms before they are scaled: standard normal, or of trials of two kinds."""
    name, kinds = outcome.name("arm" + OFFSET), HETEROGENEITIES[outcome.spec.heterogeneity]
    if not kinds.of_offsets:
        return pmd.Normal(name, mu=0, sigma=1, dims=(dim,))
    column = WHOLE_ARM if dim == outcome.whole_arm else ARM
    _, first = np.unique(outcome.reported[column].to_numpy(), return_index=True)
    studies = outcome.reported[STUDY].to_numpy()[np.sort(first)]
    return effects_of_two_kinds(name, dim, studies, *(of_arm[n] for n in kinds.of_offsets))


def _of_clusters(outcome: Outcome) -> Any:
    """Standard normal effects of the treatments of each cluster, at the arms."""
    dim, labels = outcome.cluster_arm, list(dict.fromkeys(outcome.cluster_arms))
    pm.modelcontext(None).add_coords({dim: labels})
    offset = pmd.Normal(outcome.name("cluster" + OFFSET), mu=0, sigma=1, dims=(dim,))
    return offset.isel({dim: outcome.over_arms([labels.index(at) for at in outcome.cluster_arms])})
