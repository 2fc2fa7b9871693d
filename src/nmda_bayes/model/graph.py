"""The generative model.

    y[arm]   ~ Likelihood(eta[arm])
    eta[arm] = baseline[study] + shift[arm] − mean shift of the study's arms + delta[arm]
    shift    = f(exposure[arm]; theta[agent, condition]) · g(hour) + bias[arm]
    theta    ~ pooled over agents and conditions, separately for each parameter
    delta    ~ heterogeneity between the arms of a study, correlated between outcomes

With ``f = constant`` this is a random-effects meta-analysis, with several agents a network
meta-analysis, with a curve a dose-response model; ``g`` is 1 unless an outcome has a time course.
Benefit and harm are two outcomes of the same arms. A baseline that is the level of an arm without
an effect (``baseline = "reference_arm"``) has no mean subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr
from pytensor.compile import Mode

from nmda_bayes.components.heterogeneity import HETEROGENEITIES, ArmScope
from nmda_bayes.components.likelihoods import RESPONDER_SD, STARTING_LEVEL
from nmda_bayes.design import ARMS, LABELS, OUTCOMES, PARENT_ARM, RESPONDER_REPORT, build_design
from nmda_bayes.dims import (
    AGENT,
    AGENT_CLASS,
    ARM,
    ARM_SLOT,
    CONDITION,
    COURSE_SLOT,
    OUTCOME,
    STRATUM,
    STUDY,
)
from nmda_bayes.graph_data import shared_data
from nmda_bayes.model.bias import BuiltOutcome, arm_bias
from nmda_bayes.model.exposure import graph_exposure, pk_parameters
from nmda_bayes.model.observed import (
    add_likelihood_weights,
    correlated_errors,
    observe,
    outlier_mixture_effects,
)
from nmda_bayes.model.outcome import Outcome, standard_normal
from nmda_bayes.model.parameters import (
    OFFSET,
    correlated_agent_effects,
    correlated_arm_effects,
    covariate_shift,
    parameter,
    study_t_scale,
)
from nmda_bayes.model.selection import add_publication_selection
from nmda_bayes.spec import AnalysisSpec, DesignsSpec, required_parameters
from nmda_bayes.spec.rules import BASELINE

#: For graphs that are evaluated a few thousand times: compiling them would take longer. Without the
#: stabilising rewrites log(1 - p) at a logit of 40 would be minus infinity.
PY_MODE = Mode("py", "fast_compile").including("stabilize")


def build_model(spec: AnalysisSpec, evidence: xr.DataTree) -> pm.Model:
    """Build the PyMC model of an analysis.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        Trial data, as `nmda_bayes.load_evidence` returns them.

    Returns
    -------
    pm.Model
        All variables have named dims: agent, condition, study, arm (prefixed ``<outcome>::`` where
        the analysis has several outcomes).

    Raises
    ------
    SpecError
        If the spec does not fit the evidence.

    Examples
    --------
    >>> model = nb.build_model(spec, evidence)
    >>> [str(name) for name in model.coords["outcome"]]
    ['analgesia', 'psychotomimetic']
    >>> model.named_vars_to_dims["analgesia::eta"]
    ('analgesia::arm',)
    """
    return build_model_from_design(spec, build_design(spec, evidence))


def build_model_from_design(spec: AnalysisSpec, design: xr.DataTree) -> pm.Model:
    """Build the PyMC model of an analysis whose rows have been selected."""
    arms, labels = design[ARMS].to_dataset(), design[LABELS].to_dataset()
    coords = {dim: list(labels[dim].to_numpy()) for dim in (AGENT, CONDITION)}
    with pm.Model(coords={**coords, OUTCOME: list(spec.outcomes)}) as model:
        arm_effects = correlated_arm_effects(spec, arms)
        agent_effects = correlated_agent_effects(spec)
        built: dict[str, BuiltOutcome] = {}
        # An outcome whose trials another outcome unblinds comes after that outcome.
        outcomes = sorted(model_outcomes(spec, design), key=lambda o: bool(o.spec.bias.unblinding))
        for o in outcomes:
            built[o.label] = _add_outcome(o, arm_effects, agent_effects, spec.designs, built)
    return model


def model_outcomes(spec: AnalysisSpec, design: xr.DataTree) -> Iterator[Outcome]:
    """Give the outcomes of an analysis with the results that their trials report."""
    labels, errors = design[LABELS].to_dataset(), correlated_errors(spec, design)
    kinetics = pk_parameters(spec, design)
    for name, part in spec.outcomes.items():
        reported = design[f"{OUTCOMES}/{name}"].to_dataset()
        yield Outcome(name, part, spec.single_outcome, labels, reported, errors.get(name), kinetics)


def _add_outcome(
    outcome: Outcome,
    arm_effects: Mapping[str, Any],
    agent_effects: Mapping[str, Any],
    designs: DesignsSpec,
    built: Mapping[str, BuiltOutcome],
) -> BuiltOutcome:
    """Add one outcome to the model on the stack."""
    _add_dims(outcome)
    positions = _arm_positions(outcome)
    theta = {name: parameter(outcome, name, agent_effects) for name in arm_parameters(outcome)}
    at_arm = {
        name: _at(value, positions) + covariate_shift(outcome, name)
        for name, value in theta.items()
    }

    exposure = graph_exposure(outcome)
    course = _course(outcome, at_arm)
    effect = outcome.spec.shape.response(exposure, at_arm, xp, outcome.agent_mask) * course
    heterogeneity = HETEROGENEITIES[outcome.spec.heterogeneity]
    scope = _GraphArms(
        outcome, positions, arm_effects, _course_of_all_arms(outcome, course, at_arm)
    )
    delta = heterogeneity.formula(scope, **{n: at_arm[n] for n in heterogeneity.parameters})
    expected = effect + arm_bias(outcome, exposure, built)
    level = _baseline(outcome, at_arm) - _mean_of_arms(outcome, expected)
    eta = pmd.Deterministic(outcome.name("eta"), level + expected + delta, dims=(outcome.arm,))

    model = pm.modelcontext(None)
    n_observed = len(model.observed_RVs)
    observe(outcome, eta, at_arm, designs)
    add_likelihood_weights(outcome, model.observed_RVs[n_observed:])
    add_publication_selection(outcome, expected, at_arm)
    return BuiltOutcome(outcome, theta, level, eta, arm_effects.get(outcome.label))


def arm_parameters(outcome: Outcome) -> list[str]:
    """List the parameters that the arms need; those of responders only if a trial reports them."""
    responders = RESPONDER_REPORT in outcome.reported["report"].to_numpy()
    return [
        name
        for name in required_parameters(outcome.spec) or ()
        if responders or name not in (RESPONDER_SD, STARTING_LEVEL)
    ]


def _add_dims(outcome: Outcome) -> None:
    reported, model = outcome.reported, pm.modelcontext(None)
    outcome.add_dim(outcome.arm, ARM, reported[ARM].to_numpy())
    for dim, labels in outcome.studies.items():
        outcome.add_dim(dim, outcome.column_of(dim), labels)
    if PARENT_ARM in reported:
        parents = dict.fromkeys(reported[PARENT_ARM].to_numpy())
        outcome.add_dim(outcome.parent_arm, PARENT_ARM, parents)
    if outcome.classes:
        model.add_coords({AGENT_CLASS: outcome.classes})
    if outcome.strata:
        model.add_coords({outcome.stratum: outcome.strata})


def _arm_positions(outcome: Outcome) -> dict[str, Any]:
    """The position of each arm's label along each dim of the parameters."""
    positions = {
        dim: outcome.positions(dim, outcome.labels[dim].to_numpy()) for dim in (AGENT, CONDITION)
    }
    for dim, labels in outcome.studies.items():
        positions[dim] = outcome.positions(outcome.column_of(dim), labels)
    if outcome.strata:
        positions[outcome.stratum] = outcome.positions(STRATUM, np.array(outcome.strata))
    return positions


def _at(value: Any, positions: Mapping[str, Any]) -> Any:
    """A parameter at each arm, along whichever dims it has."""
    return value.isel({dim: at for dim, at in positions.items() if dim in value.type.dims})


def _baseline(outcome: Outcome, at_arm: Mapping[str, Any]) -> Any:
    """The baseline of each arm's study; 0 in studies that report contrasts only."""
    if BASELINE not in at_arm:
        return 0.0
    return at_arm[BASELINE] * outcome.over_arms(outcome.has_baseline)


def _mean_of_arms(outcome: Outcome, expected: Any) -> Any:
    """The mean of the arms of each arm's study; 0 where the baseline is not of that mean."""
    if not outcome.centres_arms or outcome.arm not in expected.type.dims:
        return 0.0
    slot = outcome.name(ARM_SLOT)
    return _mean_over(outcome, expected, *outcome.mean_shares, slot, "share_of_mean")


def _mean_over(
    outcome: Outcome,
    value: Any,
    positions: np.ndarray,
    shares: np.ndarray,
    slot: str,
    column: str,
) -> Any:
    """For each arm the mean of a value over some arms, in shares of dims arm and slot."""
    pm.modelcontext(None).add_coords({slot: list(range(shares.shape[1]))})
    share = shared_data(f"{outcome.arm}.{column}", shares, (outcome.arm, slot))
    # Graphs with an index of two dims are not recognised as equal (PyTensor 3.3).
    return sum(
        share.isel({slot: k}) * value.isel({outcome.arm: outcome.over_arms(positions[:, k])})
        for k in range(shares.shape[1])
    )


def _course(outcome: Outcome, at_arm: Mapping[str, Any]) -> Any:
    """The share of the effect at each row's hour; 1 without a time course."""
    course = outcome.spec.over_time
    clocks = {
        name: outcome.over_arms(outcome.reported[name].to_numpy(), name) for name in course.clocks
    }
    return course.share(clocks, at_arm, xp)


def _course_of_all_arms(outcome: Outcome, course: Any, at_arm: Mapping[str, Any]) -> Any:
    """The course, in arms of the reference the mean of the courses of their study's other arms."""
    by_arm = any(outcome.arm in at_arm[p].type.dims for p in outcome.spec.over_time.parameters)
    if not (by_arm and HETEROGENEITIES[outcome.spec.heterogeneity].follows_course):
        return course
    slot = outcome.name(COURSE_SLOT)
    return _mean_over(outcome, course, *outcome.course_shares, slot, "share_of_course")


@dataclass(frozen=True)
class _GraphArms(ArmScope):
    """Random effects of an outcome's arms as variables of the model on the stack."""

    outcome: Outcome
    positions: Mapping[str, Any]
    arm_effects: Mapping[str, Any]
    time_course: Any

    def offset(self) -> Any:
        return self._at_rows(standard_normal)

    def mixture_offset(self, ratio: Any, probability: Any) -> Any:
        def effects(name: str, dim: str) -> Any:
            reported = self.outcome.reported
            column = PARENT_ARM if dim == self.outcome.parent_arm else ARM
            _, first = np.unique(reported[column].to_numpy(), return_index=True)
            studies = reported[STUDY].to_numpy()[np.sort(first)]
            return outlier_mixture_effects(name, dim, studies, ratio, probability)

        return self._at_rows(effects)

    def t_scale(self) -> Any:
        return _at(study_t_scale(self.outcome), self.positions)

    def cluster_offset(self) -> Any:
        outcome = self.outcome
        dim, labels = outcome.cluster_arm, list(dict.fromkeys(outcome.cluster_arms))
        pm.modelcontext(None).add_coords({dim: labels})
        offset = standard_normal(outcome.name("cluster" + OFFSET), dim)
        return offset.isel({dim: outcome.over_arms(list(map(labels.index, outcome.cluster_arms)))})

    def course(self) -> Any:
        return self.time_course

    def _at_rows(self, draw: Callable[[str, str], Any]) -> Any:
        """Effects of the arms at the rows; several results of one arm share its effect."""
        outcome = self.outcome
        if outcome.label in self.arm_effects:
            position = outcome.over_arms(outcome.reported["position"].to_numpy())
            return self.arm_effects[outcome.label].isel({ARM: position})
        name = outcome.name("arm" + OFFSET)
        if PARENT_ARM not in outcome.reported:
            return draw(name, outcome.arm)
        parents = pm.modelcontext(None).coords[outcome.parent_arm]
        positions = outcome.positions(PARENT_ARM, np.array(parents))
        return draw(name, outcome.parent_arm).isel({outcome.parent_arm: positions})
