"""What biases add to the linear predictor of the arms of an outcome.

bias[arm] = toward · (bias_small_study · se + bias_[judgement] + bias_spread · z[study]
                      + bias_unblinding · (p_harm[arm] − p_harm[control]))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.components.bias import BIASES, Bias
from nmda_bayes.components.heterogeneity import HETEROGENEITIES, ArmScope
from nmda_bayes.design import CONTRAST_SE, JUDGEMENT, PARENT_ARM, agent_mask
from nmda_bayes.dims import AGENT, ARM, CONDITION, STUDY, positions_in
from nmda_bayes.graph_data import add_subset_dim
from nmda_bayes.model.outcome import Outcome, standard_normal, take
from nmda_bayes.model.parameters import OFFSET, ParameterLayout
from nmda_bayes.spec.outcome import PREFIX, SMALL_STUDY, SPREAD, UNBLINDING, PriorSpec
from nmda_bayes.spec.rules import BASELINE

#: The sum of the biases, recorded for the arms where it may differ from 0, and their dim.
BIAS_SHIFT, SHIFTED_ARM = f"{PREFIX}shift", f"shifted_{ARM}"
#: The dim of the studies with a separate bias.
BIASED_STUDY = f"biased_{STUDY}"
#: The dims of the arms that do not report the unblinding harm, and of studies where no arm does.
UNCOUNTED_ARM, UNCOUNTED_STUDY = f"uncounted_{ARM}", f"uncounted_{STUDY}"
#: Baselines of the harm in studies that do not report it.
HARM_BASELINE = f"{PREFIX}harm_{BASELINE}"


@dataclass(frozen=True)
class BuiltOutcome:
    """An outcome whose variables are in the graph.

    ``level`` is that of an arm without an effect in each arm's study, ``offset`` are the correlated
    effects of arms.
    """

    outcome: Outcome
    theta: Mapping[str, Any]
    level: Any
    eta: Any
    offset: Any


def arm_bias(outcome: Outcome, exposure: Any, built: Mapping[str, BuiltOutcome]) -> Any:
    """What biases add to the linear predictor of each arm."""
    shift: Any = 0.0
    for term in linear_biases(outcome):
        coefficient = outcome.variable(term.name, term.prior)
        shift = shift + term.shift(coefficient, outcome.over_arms(term.regressor, term.name))
    shift = shift + _study_biases(outcome)
    unblinding = outcome.spec.bias.unblinding
    if unblinding is not None:
        harm = built[unblinding.harm]
        shift = shift + benefit_sign(outcome) * unblinding_shift(outcome, exposure, harm)
    if not hasattr(shift, "type"):
        return 0.0
    # At dose 0 it is 0 in every draw, which would not be an estimate.
    rows, dim = shifted_arms(outcome), outcome.name(SHIFTED_ARM)
    add_subset_dim(dim, outcome.arm, rows)
    shifted = take(shift, outcome.arm, rows, dim)
    pmd.Deterministic(outcome.name(BIAS_SHIFT), shifted, dims=(dim,))
    return shift


def benefit_sign(outcome: Outcome) -> float:
    """The direction of the linear predictor that favours the active arm."""
    return 1.0 if outcome.spec.better == "higher" else -1.0


def shifted_arms(outcome: Outcome) -> np.ndarray:
    """Positions of the arms that a bias may shift."""
    shifted = np.zeros(outcome.reported.sizes[ARM], dtype=bool)
    for term in linear_biases(outcome):
        shifted |= term.regressor != 0
    if outcome.spec.bias.unblinding is not None:
        shifted |= lowest_exposure_arms(outcome) != np.arange(len(shifted))
    return np.flatnonzero(shifted)


# Biases that are linear in a coefficient: small-study effects and risk of bias.


@dataclass(frozen=True)
class LinearBias:
    """A coefficient of a bias that is linear in it, and its regressor over the arms."""

    name: str
    bias: Bias
    prior: PriorSpec
    regressor: np.ndarray

    def shift(self, coefficient: Any, regressor: Any) -> Any:
        """Evaluate the formula of the bias."""
        if self.name == SMALL_STUDY:
            return self.bias.formula(regressor, slope=coefficient)
        return self.bias.formula(regressor, 0.0, shift=coefficient, spread=0.0)


def linear_biases(outcome: Outcome) -> Iterator[LinearBias]:
    """List the biases that are linear in a coefficient, for the graph and for exact integration."""
    part, sign = outcome.spec.bias, benefit_sign(outcome)
    if part.small_study is not None:
        regressor = sign * outcome.reported[CONTRAST_SE].to_numpy().astype(float)
        prior = part.priors[SMALL_STUDY]
        yield LinearBias(SMALL_STUDY, BIASES["small_study"], prior, regressor)
    if part.risk_of_bias is not None:
        for judgement in part.risk_of_bias.priors:
            name, regressor = PREFIX + judgement, sign * _judged(outcome, [judgement])
            yield LinearBias(name, BIASES["risk_of_bias"], part.priors[name], regressor)


def _judged(outcome: Outcome, judgements: Sequence[str]) -> np.ndarray:
    """1 for the active arms of trials with one of the judgements."""
    active = outcome.reported["exposure"].to_numpy().astype(float) > 0
    return active * np.isin(outcome.reported[JUDGEMENT].to_numpy().astype(str), list(judgements))


def _study_biases(outcome: Outcome) -> Any:
    """Deviations of trials from the bias of their judgement, where the spec gives a spread."""
    part = outcome.spec.bias.risk_of_bias
    if part is None or part.spread is None:
        return 0.0
    judged = _judged(outcome, list(part.priors))
    labels = list(dict.fromkeys(outcome.reported[STUDY].to_numpy()[judged == 1]))
    if not labels:
        return 0.0
    dim = outcome.name(BIASED_STUDY)
    outcome.add_dim(dim, STUDY, labels)
    spread = outcome.variable(SPREAD, part.spread)
    offset = standard_normal(outcome.name(PREFIX + STUDY + OFFSET), dim)
    positions = outcome.positions(STUDY, np.array(labels, dtype=object))
    regressor = outcome.over_arms(benefit_sign(outcome) * judged)
    formula = BIASES["risk_of_bias"].formula
    return formula(regressor, offset.isel({dim: positions}), shift=0.0, spread=spread)


# Functional unblinding: what the harm of an arm adds to its reported benefit.


def unblinding_shift(outcome: Outcome, exposure: Any, harm: BuiltOutcome) -> Any:
    """What the harm of each arm adds to its benefit, before its direction."""
    slope = outcome.variable(UNBLINDING, outcome.spec.bias.priors[UNBLINDING])
    probability = 1.0 / (1.0 + xp.exp(-_harm_predictor(outcome, exposure, harm)))
    control = outcome.over_arms(lowest_exposure_arms(outcome))
    formula = BIASES["unblinding"].formula
    return formula(probability, probability.isel({outcome.arm: control}), slope=slope)


def lowest_exposure_arms(outcome: Outcome) -> np.ndarray:
    """Position of the arm with the lowest exposure in the study of each arm."""
    study, exposure = outcome.reported[STUDY].to_numpy(), outcome.reported["exposure"].to_numpy()
    lowest = {s: np.flatnonzero(study == s)[np.argmin(exposure[study == s])] for s in set(study)}
    return np.array([lowest[s] for s in study], dtype=int)


def _harm_predictor(outcome: Outcome, exposure: Any, harm: BuiltOutcome) -> Any:
    """Linear predictor of the harm in the arms of another outcome, reported there or not."""
    labels = outcome.reported[PARENT_ARM if PARENT_ARM in outcome.reported else ARM].to_numpy()
    counted = harm.outcome.reported[ARM].to_numpy()
    positions = positions_in(counted, labels)
    uncounted, eta = np.flatnonzero(positions < 0), harm.eta
    if len(uncounted):
        dim = outcome.name(UNCOUNTED_ARM)
        add_subset_dim(dim, outcome.arm, uncounted)
        at_rows = take(exposure, outcome.arm, uncounted, dim)
        predicted = _uncounted_predictor(outcome, harm, at_rows, uncounted)
        eta = _concat(eta, harm.outcome.arm, predicted, dim, "every_arm")
    positions[uncounted] = len(counted) + np.arange(len(uncounted))
    return eta.isel({harm.outcome.arm: outcome.over_arms(positions)})


def _concat(first: Any, first_dim: str, second: Any, second_dim: str, temporary: str) -> Any:
    """Join two variables along their dims; the result has the dim of the first."""
    parts = [first.rename({first_dim: temporary}), second.rename({second_dim: temporary})]
    return pmd.concat(parts, dim=temporary).rename({temporary: first_dim})


def _uncounted_predictor(
    outcome: Outcome, harm: BuiltOutcome, exposure: Any, rows: np.ndarray
) -> Any:
    """Linear predictor of the harm in arms that do not report it."""
    reported, (dim,) = outcome.reported.isel({ARM: rows}), exposure.type.dims
    positions = {}
    for name in (AGENT, CONDITION):
        # The reference agent has no label; its exposure of 0 leaves it without an effect.
        index = positions_in(outcome.labels[name].to_numpy(), reported[name].to_numpy())
        positions[name] = pmd.as_xtensor(np.maximum(index, 0), dims=(dim,))
    theta = {
        name: value.isel({d: at for d, at in positions.items() if d in value.type.dims})
        for name, value in harm.theta.items()
        if name != BASELINE
    }

    def mask(agents: Sequence[str]) -> Any:
        return pmd.as_xtensor(agent_mask(reported[AGENT].to_numpy(), agents), dims=(dim,))

    effect = harm.outcome.spec.shape.response(exposure, theta, xp, mask)
    eta = _harm_levels(outcome, harm, reported, effect, dim) + effect
    kind = HETEROGENEITIES[harm.outcome.spec.heterogeneity]
    scope = _UncountedArms(outcome, harm, dim, reported["position"].to_numpy().astype(int))
    return eta + kind.formula(scope, **{name: theta[name] for name in kind.parameters})


@dataclass(frozen=True)
class _UncountedArms(ArmScope):
    """Random effects of the harm in arms that do not report it."""

    outcome: Outcome
    harm: BuiltOutcome
    dim: str
    position: np.ndarray

    def offset(self) -> Any:
        if self.harm.offset is not None:
            return take(self.harm.offset, ARM, self.position, self.dim)
        return standard_normal(self.outcome.name(f"{PREFIX}harm_arm{OFFSET}"), self.dim)


def _harm_levels(
    outcome: Outcome, harm: BuiltOutcome, rows: xr.Dataset, effect: Any, dim: str
) -> Any:
    """Levels of the harm without an effect in the studies of arms, new where none reports it."""
    baseline, study_dim = harm.theta[BASELINE], harm.outcome.study
    if study_dim not in baseline.type.dims:
        return baseline
    studies = [str(study) for study in rows[STUDY].to_numpy()]
    known = [str(study) for study in harm.outcome.studies[study_dim]]
    labels = harm.outcome.reported[harm.outcome.column_of(study_dim)].to_numpy().astype(str)
    first = [int(np.flatnonzero(labels == label)[0]) for label in known]
    level = take(harm.level, harm.outcome.arm, first, study_dim)
    new = [study for study in dict.fromkeys(studies) if study not in known]
    if new:
        new_dim = outcome.name(UNCOUNTED_STUDY)
        outcome.add_dim(new_dim, STUDY, new)
        added = _new_baselines(outcome, harm, new_dim)
        if harm.outcome.centres_arms:
            added = added - _mean_by_study(effect, dim, rows, new, new_dim)
        level = _concat(level, study_dim, added, new_dim, "every_study")
    return take(level, study_dim, positions_in([*known, *new], studies), dim)


def _mean_by_study(
    effect: Any, dim: str, rows: xr.Dataset, studies: Sequence[str], study_dim: str
) -> Any:
    """The mean effect over the arms of each study; the hours of an arm count as one arm."""
    names = rows[STUDY].to_numpy().astype(str)
    labels = rows[PARENT_ARM if PARENT_ARM in rows else ARM].to_numpy()
    of_study = [np.flatnonzero(names == study) for study in studies]
    positions = np.zeros((len(studies), max(map(len, of_study))), dtype=int)
    shares = np.zeros(positions.shape)
    for i, arms in enumerate(of_study):
        _, index, counts = np.unique(labels[arms], return_inverse=True, return_counts=True)
        positions[i, : len(arms)] = arms
        shares[i, : len(arms)] = 1.0 / (counts[index] * len(counts))
    return sum(
        pmd.as_xtensor(shares[:, k], dims=(study_dim,))
        * take(effect, dim, positions[:, k], study_dim)
        for k in range(positions.shape[1])
    )


def _new_baselines(outcome: Outcome, harm: BuiltOutcome, dim: str) -> Any:
    """Baselines of the harm in studies that do not report it, from the same prior."""
    part, model = harm.outcome.spec.parameters[BASELINE], pm.modelcontext(None)
    if "each" in part.priors:
        return outcome.variable(HARM_BASELINE, part.priors["each"], dim)
    layout = ParameterLayout(harm.outcome, BASELINE, part)
    location, between = (model[layout.slot_name(s)] for s in ("location", f"between_{STUDY}"))
    return location + between * standard_normal(outcome.name(HARM_BASELINE + OFFSET), dim)
