"""Observed variables: arm-level results, contrasts or counts of responders, and their weights.

All depend on the linear predictor ``eta`` of the arms. Each trial contributes one data type per
outcome, so that no participant is counted twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import pytensor.xtensor as px
import pytensor.xtensor.math as xp
import xarray as xr
from pytensor.graph import graph_replace
from pytensor.tensor.random.basic import MvNormalRV
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.random.type import RandomType

from nmda_bayes.components.heterogeneity import (
    WITHIN_ARM_CORRELATION,
    WITHIN_PERSON_CORRELATION,
    mixture_log_densities,
    split_error,
)
from nmda_bayes.components.hypergeometric import NoncentralHypergeometricRV
from nmda_bayes.components.likelihoods import (
    LIKELIHOODS,
    RESPONDER_SD,
    STARTING_LEVEL,
    data_column,
    normal_contrast,
    observe_responders,
    responder_probit,
)
from nmda_bayes.design import (
    ARM_REPORT,
    CONTRAST_REPORT,
    CUTOFF_COLUMN,
    ERROR_CORRELATION,
    OUTCOMES,
    PARENT_ARM,
    RESPONDER_REPORT,
    SAME_ARM,
    WEIGHT,
    n_cutoffs,
)
from nmda_bayes.dims import ARM, CONTRAST, STUDY, positions_in, study_of
from nmda_bayes.graph_data import add_study_dim, add_subset_dim, shared_data
from nmda_bayes.model.outcome import Outcome, standard_normal, take
from nmda_bayes.model.parameters import OFFSET
from nmda_bayes.priors import random_variable
from nmda_bayes.spec import AnalysisSpec, DesignsSpec, ErrorCorrelation, PriorSpec

#: The potential that multiplies log-likelihoods by weights.
WEIGHT_POTENTIAL = "likelihood_weights"


def observe(outcome: Outcome, eta: Any, at_arm: Mapping[str, Any], designs: DesignsSpec) -> None:
    """Add the results that an outcome's trials report to the model on the stack."""
    reports = set(outcome.reported["report"].to_numpy())
    if ARM_REPORT in reports:
        _observe_arms(outcome, eta, at_arm, designs)
    if RESPONDER_REPORT in reports:
        _observe_responders(outcome, eta, at_arm)
    if CONTRAST_REPORT in reports:
        _observe_contrasts(outcome, eta)


@dataclass(frozen=True)
class _Rows:
    """The arms with one data type, and their dim: that of all arms where there is no other."""

    outcome: Outcome
    positions: np.ndarray
    dim: str

    @classmethod
    def of(cls, outcome: Outcome, report: str, name: str) -> _Rows:
        positions = np.flatnonzero(outcome.reported["report"].to_numpy() == report)
        if len(positions) == outcome.reported.sizes[ARM]:
            return cls(outcome, positions, outcome.arm)
        add_subset_dim(outcome.name(name), outcome.arm, positions)
        return cls(outcome, positions, outcome.name(name))

    @property
    def reported(self) -> xr.Dataset:
        return self.outcome.reported.isel({ARM: self.positions})

    def select(self, value: Any) -> Any:
        """A value of all arms at these."""
        return _subset(value, self.outcome.arm, self.positions, self.dim)


def _subset(value: Any, dim: str, positions: np.ndarray, subset: str) -> Any:
    keep = subset == dim or dim not in value.type.dims
    return value if keep else take(value, dim, positions, subset)


def _observe_arms(
    outcome: Outcome, eta: Any, at_arm: Mapping[str, Any], designs: DesignsSpec
) -> None:
    rows = _Rows.of(outcome, ARM_REPORT, "reporting_arm")
    likelihood, fixed = LIKELIHOODS[outcome.spec.likelihood], outcome.spec.likelihood_options
    reported, dim, eta = rows.reported, rows.dim, rows.select(eta)
    parameters = {
        name: shared_data(outcome.name(f"likelihood.{name}"), fixed[name])
        if name in fixed
        else rows.select(at_arm[name])
        for name in likelihood.parameters
    }
    name = outcome.name("reported")
    shared = None
    if likelihood.allows_shared_error:
        shared = split_shared_error(outcome, reported, dim, designs)
    if shared is None:
        likelihood.observe(name, eta, reported, dim, **parameters)
    else:
        shift, se = shared
        likelihood.observe(name, eta + shift, reported, dim, se, **parameters)


def _observe_responders(outcome: Outcome, eta: Any, at_arm: Mapping[str, Any]) -> None:
    """Counts at the first cut-off among all participants, at harder ones among those who passed."""
    rows = _Rows.of(outcome, RESPONDER_REPORT, "responder_arm")
    reported, dim = rows.reported, rows.dim
    start, sd = (rows.select(at_arm[name]) for name in (STARTING_LEVEL, RESPONDER_SD))
    eta, lower = rows.select(eta), outcome.spec.better == "lower"
    counts: Any = data_column(reported, "n", dim).astype(int).values
    z_previous, previous = eta, np.array([], dtype=int)
    for level in range(1, n_cutoffs(reported) + 1):

        def numbered(name: str, level: int = level) -> str:
            return name if level == 1 else CUTOFF_COLUMN.format(name, level)

        z_all = responder_probit(eta, start, sd, **_cutoff(reported, numbered, dim), lower=lower)
        counted = np.flatnonzero(~np.isnan(reported[numbered("events")].to_numpy().astype(float)))
        subset, easier = dim, None
        if level > 1:
            subset = outcome.name(numbered("responder_arm"))
            add_subset_dim(subset, dim, counted)
            easier = _subset(z_previous, dim, counted, subset).transpose(subset).values
            counts = counts[np.searchsorted(previous, counted)]
        observed = data_column(reported.isel({ARM: counted}), numbered("events"), subset)
        counts = observe_responders(
            outcome.name(numbered("reported_responders")),
            _subset(z_all, dim, counted, subset).transpose(subset).values,
            easier,
            n=counts,
            events=observed.astype(int).values,
            dim=subset,
        )
        z_previous, previous = z_all, counted


def _cutoff(reported: xr.Dataset, numbered: Any, dim: str) -> dict[str, Any]:
    """The cut-offs of one level; 0 for arms without it, which are not used."""
    names = {part: numbered(f"cutoff_{part}") for part in ("share", "points")}
    return {
        part: data_column(reported[[name]].astype(float).fillna(0.0), name, dim)
        for part, name in names.items()
    }


def _observe_contrasts(outcome: Outcome, eta: Any) -> None:
    likelihood, reported = LIKELIHOODS[outcome.spec.likelihood], outcome.reported
    dim = outcome.name(CONTRAST)
    outcome.add_dim(dim, CONTRAST, reported[CONTRAST].to_numpy())
    name = outcome.name("reported" if likelihood.contrasts else "reported_contrasts")
    part = likelihood if likelihood.contrasts else normal_contrast
    if outcome.correlated_error is None:
        part.observe(name, eta, reported, dim)
        return
    arms = reported.drop_dims(CONTRAST).isel({ARM: reported["arm_position"].to_numpy()})
    labelled = arms.drop_vars(ARM).assign(label=(ARM, reported[CONTRAST].to_numpy()))
    tie = outcome.correlated_error.split(CONTRAST, labelled, dim)
    part.observe(name, eta, reported, dim, tie=tie)


# Errors of one arm or contrast that are correlated between outcomes of the same participants.


@dataclass(frozen=True)
class CorrelatedError:
    """Errors of one outcome that are correlated with those of others.

    ``labels`` gives the shared arms, parent arms, studies and contrasts, each with its study.
    """

    part: ErrorCorrelation
    sign_flipped: bool
    labels: dict[str, dict[str, str]]

    def split(self, kind: str, rows: xr.Dataset, dim: str) -> tuple[Any, Any, Any] | None:
        """Split standard normal errors: weight of the shared part, the part, weight of the rest."""
        labels = self.labels.get(kind, {})
        positions = positions_in(list(labels), rows["label"].to_numpy())
        if (positions < 0).all():
            return None
        same = pmd.as_xtensor((positions >= 0).astype(float), dims=(dim,))
        rho = self._correlation(rows, dim)
        sign = xp.sign(rho) if self.sign_flipped else 1.0
        shared = take(self._shared(kind, labels), f"error_{kind}", np.maximum(positions, 0), dim)
        size = xp.abs(rho)
        return same * sign * xp.sqrt(size), shared, xp.sqrt(1.0 - same * size)

    def _correlation(self, rows: xr.Dataset, dim: str) -> Any:
        if self.part.column:
            return data_column(rows, ERROR_CORRELATION, dim)
        prior = self.part.prior
        if prior is None:
            return shared_data(ERROR_CORRELATION, self.part.correlation)
        variable = pm.modelcontext(None).named_vars.get(ERROR_CORRELATION)
        if variable is not None:
            return variable
        return random_variable(ERROR_CORRELATION, prior.dist, prior.kwargs)

    def _shared(self, kind: str, study_of_label: dict[str, str]) -> Any:
        """The shared errors, one variable for all outcomes."""
        model, name = pm.modelcontext(None), f"error_{kind}{OFFSET}"
        if name in model.named_vars:
            return model.named_vars[name]
        add_study_dim(f"error_{kind}", study_of_label, study_of_label.values())
        return standard_normal(name, f"error_{kind}")


def correlated_errors(spec: AnalysisSpec, design: xr.DataTree) -> dict[str, CorrelatedError]:
    """The errors of outcomes that the spec correlates."""
    part = spec.correlations.errors
    if part is None:
        return {}
    reported = [design[f"{OUTCOMES}/{name}"].to_dataset() for name in part.of]
    labels = {kind: _shared_labels(reported, kind) for kind in (ARM, PARENT_ARM, STUDY)}
    labels[CONTRAST] = _shared_contrasts(reported)
    return {name: CorrelatedError(part, i > 0, labels) for i, name in enumerate(part.of)}


def _shared_labels(reported: list[xr.Dataset], kind: str) -> dict[str, str]:
    """Labels of arms that report arm-level results in several outcomes, each with its study."""
    n_outcomes: Counter[str] = Counter()
    study_of_label: dict[str, str] = {}
    for rows in reported:
        arms = rows.isel({ARM: np.flatnonzero(rows["report"].to_numpy() == ARM_REPORT)})
        if kind in arms:
            labels = arms[kind].to_numpy().tolist()
            n_outcomes.update(set(labels))
            study_of_label |= dict(zip(labels, arms[STUDY].to_numpy().tolist(), strict=True))
    return {label: study for label, study in study_of_label.items() if n_outcomes[label] > 1}


def _shared_contrasts(reported: list[xr.Dataset]) -> dict[str, str]:
    """Contrasts of the trials that report some in several outcomes, each with its study.

    All contrasts of a trial are included, because they are correlated by the arms they share.
    """
    columns = (CONTRAST, study_of(CONTRAST))
    outcomes = [
        dict(zip(*(rows[c].to_numpy().tolist() for c in columns), strict=True))
        for rows in reported
        if CONTRAST in rows.dims
    ]
    n_outcomes = Counter(study for contrasts in outcomes for study in set(contrasts.values()))
    return {
        contrast: study
        for contrasts in outcomes
        for contrast, study in contrasts.items()
        if n_outcomes[study] > 1
    }


# Errors that rows of one outcome share: the arms of a crossover trial, the hours of one arm.


@dataclass(frozen=True)
class _SharedError:
    """Rows with the same participants: those of one label of a column where ``same`` is 1."""

    correlation: str
    value: PriorSpec | float | None
    offset: str
    dim: str
    column: str
    same: np.ndarray


def split_shared_error(
    outcome: Outcome, reported: xr.Dataset, dim: str, designs: DesignsSpec
) -> tuple[Any, Any] | None:
    """Split the errors of rows into their shared part, and the standard error of the rest."""
    shared_errors = [
        error
        for error in _shared_errors(outcome, reported, designs)
        if error.value is not None and error.same.any()
    ]
    correlated = _correlated(outcome, ARM, reported, reported[ARM].to_numpy(), dim)
    if not shared_errors and correlated is None:
        return None
    shift, se = 0.0, data_column(reported, "se", dim)
    for error in shared_errors:
        # No row is in two of them, so that each reduces the full standard error of its rows.
        part, se = _split(error, outcome, se, dim, reported)
        shift = shift + part
    if correlated is not None:
        weight, shared, rest = correlated
        shift, se = shift + se * weight * shared, se * rest
    return shift, se


def _correlated(
    outcome: Outcome, kind: str, reported: xr.Dataset, labels: np.ndarray, dim: str
) -> tuple[Any, Any, Any] | None:
    """The part of errors that is shared with other outcomes, if the spec correlates them."""
    if outcome.correlated_error is None:
        return None
    rows = reported.drop_vars(ARM).assign(label=(ARM, labels))
    return outcome.correlated_error.split(kind, rows, dim)


def _shared_errors(
    outcome: Outcome, reported: xr.Dataset, designs: DesignsSpec
) -> Iterator[_SharedError]:
    crossover, repeated = designs.crossover, designs.repeated
    people = reported["same_people"].to_numpy().astype(float)
    rho: PriorSpec | float | None
    if crossover is not None and outcome.label not in crossover.as_parallel:
        rho, dim = crossover.within_person_correlation, f"crossover_{STUDY}"
        yield _SharedError(WITHIN_PERSON_CORRELATION, rho, "people", dim, STUDY, people)
    if (
        repeated is not None
        and SAME_ARM in reported
        and outcome.label not in repeated.as_independent
    ):
        rho, dim = repeated.within_arm_correlation, f"repeated_{PARENT_ARM}"
        same = reported[SAME_ARM].to_numpy().astype(float) * (1.0 - people)
        yield _SharedError(WITHIN_ARM_CORRELATION, rho, "same_arm", dim, PARENT_ARM, same)


def _split(
    error: _SharedError, outcome: Outcome, se: Any, dim: str, reported: xr.Dataset
) -> tuple[Any, Any]:
    row_labels = reported[error.column].to_numpy()
    labels, shared_dim = list(dict.fromkeys(row_labels[error.same == 1])), outcome.name(error.dim)
    outcome.add_dim(shared_dim, error.column, labels)
    rho = (
        outcome.variable(error.correlation, error.value)
        if isinstance(error.value, PriorSpec)
        else shared_data(outcome.name(error.correlation), error.value)
    )
    shared = standard_normal(outcome.name(error.offset + OFFSET), shared_dim)
    first = reported.isel({ARM: [list(row_labels).index(label) for label in labels]})
    correlated = _correlated(
        outcome, error.column, first, np.array(labels, dtype=object), shared_dim
    )
    if correlated is not None:
        # The participants are those of the other outcome: their shared errors are correlated too.
        weight, both, rest = correlated
        shared = weight * both + rest * shared
    positions = np.maximum(positions_in(labels, row_labels), 0)
    same = pmd.as_xtensor(error.same, dims=(dim,))
    return split_error(se, same, rho, take(shared, shared_dim, positions, dim), xp)


# Likelihood weights of rows: 0 excludes a trial, a weight between 0 and 1 is a power prior.


def add_likelihood_weights(outcome: Outcome, observed: Sequence[Any]) -> None:
    """Multiply log-likelihoods by the weights of their rows, in the model on the stack."""
    if WEIGHT not in outcome.reported:
        return
    model = pm.modelcontext(None)
    weight = outcome.over_arms(outcome.reported[WEIGHT].to_numpy(), WEIGHT).values
    terms = []
    for variable in observed:
        arms = weighted_arms(model, variable, outcome.reported)
        rows = row_log_density(variable, model.rvs_to_values[variable])
        terms.append(((weight[arms] - 1.0) * rows).sum())
    pm.Potential(outcome.name(WEIGHT_POTENTIAL), pt.stack(terms).sum())


def weighted_arms(model: pm.Model, variable: Any, reported: xr.Dataset) -> np.ndarray:
    """The arm with the weight of each row of an observed variable.

    Rows of a trial with one joint density, and contrasts, take the weight of its first arm.
    """
    (dim,) = model.named_vars_to_dims[variable.name]
    arms = positions_in(reported[ARM].to_numpy(), model.coords[dim])
    if (arms >= 0).all() and not isinstance(variable.owner.op, NoncentralHypergeometricRV):
        return np.asarray(arms)
    studies, first = np.unique(reported[STUDY].to_numpy(), return_index=True)
    return np.asarray(first[positions_in(studies, model.coords[study_of(dim)])])


def row_log_density(variable: Any, value: Any) -> Any:
    """Log density of each row."""
    if isinstance(variable.owner.op, MvNormalRV):
        return mvnormal_row_log_density(variable, value)
    return log_density_of_arguments(variable, value)


def mvnormal_row_log_density(variable: Any, value: Any) -> Any:
    """Decompose a multivariate normal log density into rows, which add up to it by trial.

    Rows of different trials are not correlated, so that the Cholesky factor of their covariance has
    zeros there and the whitened rows of a trial depend on that trial only.
    """
    mean, covariance = variable.owner.op.dist_params(variable.owner)
    root = pt.linalg.cholesky(covariance)
    white = pt.linalg.solve_triangular(root, value - mean, lower=True, b_ndim=1)
    return -0.5 * white**2 - pt.log(pt.diagonal(root)) - 0.5 * np.log(2 * np.pi)


def log_density_of_arguments(variable: Any, value: Any) -> Any:
    """Log density as a function of the variable's arguments in the graph.

    PyMC derives the density of a `pymc.dims` variable on a copy of its ancestors, whose random
    variables would be drawn at every evaluation.
    """
    node = variable.owner
    inputs = {arg: arg.type() for arg in node.inputs if not isinstance(arg.type, RandomType)}
    isolated = node.clone_with_new_inputs([inputs.get(arg, arg) for arg in node.inputs])
    placeholder = value.type()
    rows = pm.logp(isolated.outputs[node.outputs.index(variable)], placeholder)
    original = {new: arg for arg, new in inputs.items()} | {placeholder: value}
    rows = graph_replace(rows, original, strict=False)
    return getattr(rows, "values", rows)


# Effects of the arms of ordinary and outlying trials, as one distribution.


class OutlierMixtureRV(RandomVariable):  # type: ignore[misc]
    """Arm effects, given the SD ratio and probability of outlying trials and ``same_trial``.

    ``same_trial``, dims arm and arm, is 1 where two arms are of one trial and 0 elsewhere.
    """

    name = "outlier_mixture"
    signature = "(),(),(a,a)->(a)"
    dtype = "floatX"
    _print_name = ("OutlierMixture", "\\operatorname{OutlierMixture}")

    @classmethod
    def rng_fn(
        cls, rng: Any, ratio: Any, probability: Any, same_trial: Any, size: Any
    ) -> np.ndarray:
        """Draw which trials are outlying, and effects of their arms."""
        ratio, probability = np.asarray(ratio)[..., None], np.asarray(probability)[..., None]
        first = np.argmax(same_trial, axis=-1)
        batch = np.broadcast_shapes(ratio.shape[:-1], probability.shape[:-1], first.shape[:-1])
        shape = (*(batch if size is None else tuple(size)), first.shape[-1])
        uniform = np.take_along_axis(rng.random(shape), np.broadcast_to(first, shape), axis=-1)
        return rng.standard_normal(shape) * np.where(uniform < probability, ratio, 1.0)


class OutlierMixture(pm.Distribution):  # type: ignore[misc]
    """Effects of the arms of ordinary and outlying trials."""

    rv_op = OutlierMixtureRV()

    @classmethod
    def dist(cls, *parameters: Any, **kwargs: Any) -> Any:
        """Make the variable."""
        return super().dist(list(map(pt.as_tensor, parameters)), **kwargs)

    @staticmethod
    def support_point(rv: Any, *_: Any) -> Any:
        """Start at 0."""
        return pt.zeros_like(rv)

    @staticmethod
    def logp(z: Any, ratio: Any, probability: Any, same_trial: Any) -> Any:
        """Log density over the arms, an equal share of its trial's for each."""
        # Sums over a trial by a matrix rather than by indices, which allows vectorising over draws.
        square, arms = (same_trial * (z**2)[..., None, :]).sum(-1), same_trial.sum(-1)
        densities = mixture_log_densities(
            square, arms, ratio[..., None], probability[..., None], pt
        )
        return pt.logaddexp(*densities) / arms - math.log(2.0 * math.pi) / 2.0


def outlier_mixture_effects(
    name: str, dim: str, studies: np.ndarray, ratio: Any, probability: Any
) -> Any:
    """Add the effects of arms to the model on the stack; ``studies`` gives the study of each."""
    same_trial = (studies[:, None] == studies[None, :]).astype(float)
    effects = OutlierMixture.dist(ratio.values, probability.values, same_trial)
    model = pm.modelcontext(None)
    return model.register_rv(px.as_xtensor(effects, dims=(dim,)), name, dims=(dim,))
