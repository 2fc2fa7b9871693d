"""An outcome as a linear regression on its normal variables, given its scales.

A model with normal errors, a curve that is linear in its parameters and additive pooling is a
linear regression once its scales (heterogeneity, SDs between agents, an ED50) are known. The
pooling formulas and the curve of the graph are evaluated here on affine forms of the latents:
arrays with a last dim of coefficients and a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES, ArmScope
from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design import WEIGHT, agent_mask, outcome_covariates
from nmda_bayes.dims import AGENT, AGENT_CLASS, ARM, ARM_SLOT, CONDITION, STUDY, positions_in
from nmda_bayes.model import OFFSET, Outcome, ParameterLayout, arm_parameters, linear_biases
from nmda_bayes.runtime import single_threaded_blas
from nmda_bayes.spec.outcome import PriorSpec
from nmda_bayes.spec.rules import BASELINE, natural_name

LATENT = "latent"
#: The dim of the points of a grid of scales.
GRID_POINT = "point"
#: Likelihood weights are at least this: the variance of an excluded row is finite and negligible.
MIN_WEIGHT = 1e-9

Scales = Mapping[str, xr.DataArray]


@dataclass(frozen=True)
class LatentBlock:
    """One normal variable of the graph."""

    start: int
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    mean: float
    sd: float

    @property
    def size(self) -> int:
        """Number of scalars."""
        return int(np.prod(self.shape))


@dataclass
class Latents:
    """The normal variables of an outcome, concatenated."""

    sizes: Mapping[str, int]
    blocks: dict[str, LatentBlock] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of scalars."""
        return sum(block.size for block in self.blocks.values())

    def add(self, name: str, dims: tuple[str, ...], mean: float, sd: float) -> None:
        """Add a variable, unless it is known."""
        if name not in self.blocks:
            shape = tuple(self.sizes[dim] for dim in dims)
            self.blocks[name] = LatentBlock(self.size, dims, shape, mean, sd)

    def affine_form(self, name: str, width: int) -> xr.DataArray:
        """A variable as an affine form: coefficient 1 of itself."""
        block = self.blocks[name]
        form = np.zeros((*block.shape, width))
        if width > block.start + block.size:
            flat = form.reshape(block.size, width)
            flat[np.arange(block.size), block.start + np.arange(block.size)] = 1.0
        return xr.DataArray(form, dims=(*block.dims, LATENT))

    def form_of_prior(
        self, name: str, dims: tuple[str, ...], prior: PriorSpec, width: int
    ) -> xr.DataArray:
        """Add a variable with a normal prior; its affine form."""
        self.add(name, dims, prior.kwargs["mu"], prior.kwargs["sigma"])
        return self.affine_form(name, width)

    def form_of_offset(self, name: str, dims: tuple[str, ...], width: int) -> xr.DataArray:
        """Add standard normal offsets; their affine form."""
        self.add(name, dims, 0.0, 1.0)
        return self.affine_form(name, width)


@dataclass(frozen=True)
class AffineScope(ParameterLayout):
    """Supplies a pooling formula with affine forms of normal variables, and scales as numbers."""

    latents: Latents
    scales: Scales
    width: int

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        """The variable of a prior slot."""
        return self._variable(self.slot_name(slot), slot, dims)

    def own_prior(self) -> Any:
        """The ``each`` variable over the parameter's dim."""
        return self._variable(self.outcome.name(self.parameter), "each", (self.own_dim,))

    def offset(self, *dims: str) -> Any:
        """Standard normal offsets."""
        return self.latents.form_of_offset(
            self.offset_name(*dims), self.graph_dims(dims), self.width
        )

    def expand_to_agents(self, value: Any) -> Any:
        """The value of each agent's class."""
        return value.isel({AGENT_CLASS: xr.DataArray(self.class_positions, dims=AGENT)})

    def t_scale(self, *dims: str) -> Any:
        """Not available: a t distribution is not normal (see `exact_obstacles`)."""
        raise NotImplementedError("t-distributed effects cannot be integrated exactly")

    def exp(self, value: Any) -> Any:
        """The exponential of a scale."""
        return np.exp(value)

    def record(self, name: str, value: Any) -> Any:
        """Unchanged: only the graph stores parts of a sum."""
        return value

    def _variable(self, name: str, slot: str, dims: tuple[str, ...]) -> Any:
        if name in self.scales:
            return self.scales[name]
        return self.latents.form_of_prior(name, dims, self.spec.priors[slot], self.width)


@dataclass(frozen=True)
class _AffineArms(ArmScope):
    """Random effects of an outcome's arms as affine forms of normal variables."""

    outcome: Outcome
    latents: Latents
    width: int

    def offset(self) -> xr.DataArray:
        name = self.outcome.name("arm" + OFFSET)
        return self.latents.form_of_offset(name, (self.outcome.arm,), self.width)

    def cluster_offset(self) -> xr.DataArray:
        outcome, dim = self.outcome, self.outcome.cluster_arm
        labels = list(dict.fromkeys(outcome.cluster_arms))
        form = self.latents.form_of_offset(outcome.name("cluster" + OFFSET), (dim,), self.width)
        rows = xr.DataArray(positions_in(labels, outcome.cluster_arms), dims=outcome.arm)
        return form.isel({dim: rows})

    def course(self) -> float:
        return 1.0  # outcomes with a time course are not integrated exactly


@dataclass(frozen=True)
class NormalRegression:
    """One outcome as a regression at each point: target ~ Normal(design @ latents, covariance)."""

    latents: Latents
    design: np.ndarray
    target: np.ndarray
    covariance: np.ndarray


def build_regression(outcome: Outcome, scales: Scales) -> NormalRegression:
    """Write an outcome as a regression at each point of its scales."""
    sizes = {outcome.arm: outcome.reported.sizes[ARM], AGENT_CLASS: len(outcome.classes)}
    sizes |= {dim: len(labels) for dim, labels in outcome.studies.items()}
    sizes |= {dim: outcome.labels.sizes[dim] for dim in (AGENT, CONDITION)}
    if HETEROGENEITIES[outcome.spec.heterogeneity].nested:
        sizes[outcome.cluster_arm] = len(set(outcome.cluster_arms))
    latents = Latents(sizes)
    _linear_predictor(outcome, latents, scales, 1)  # a first pass adds the variables
    eta = _linear_predictor(outcome, latents, scales, latents.size + 1)
    if GRID_POINT not in eta.dims:
        points = next(iter(scales.values())).sizes[GRID_POINT] if scales else 1
        eta = eta.expand_dims({GRID_POINT: points})
    rows, observed, covariance = _observed_rows(outcome, eta)
    forms = rows.transpose(GRID_POINT, "row", LATENT).to_numpy()
    return NormalRegression(latents, forms[..., :-1], observed - forms[..., -1], covariance)


def _linear_predictor(
    outcome: Outcome, latents: Latents, scales: Scales, width: int
) -> xr.DataArray:
    """The linear predictor of the arms as an affine form, by the formulas of the graph."""
    arm, rows = outcome.arm, outcome.reported
    theta = {
        name: affine_parameter(outcome, name, latents, scales, width)
        for name in arm_parameters(outcome)
    }
    labels = {dim: outcome.labels[dim].to_numpy() for dim in (AGENT, CONDITION)} | outcome.studies
    positions = {
        dim: positions_in(values, rows[dim if dim in (AGENT, CONDITION) else STUDY].to_numpy())
        for dim, values in labels.items()
    }
    at = {dim: xr.DataArray(np.maximum(p, 0), dims=arm) for dim, p in positions.items()}
    of_arm = {
        name: value.isel({dim: index for dim, index in at.items() if dim in value.dims})
        for name, value in theta.items()
    }
    for column, (parameter, _, covariate) in outcome_covariates(outcome.spec).items():
        slope = latents.form_of_prior(outcome.name(column), (), covariate.prior, width)
        x = xr.DataArray(outcome.centred_covariate(column, covariate), dims=arm)
        of_arm[parameter] = of_arm[parameter] + slope * x
    eta = outcome.spec.shape.response(
        xr.DataArray(rows["exposure"].to_numpy().astype(float), dims=arm),
        of_arm,
        np,
        lambda agents: xr.DataArray(agent_mask(rows[AGENT].to_numpy(), agents), dims=arm),
    )
    for term in linear_biases(outcome):
        bias = latents.form_of_prior(outcome.name(term.name), (), term.prior, width)
        eta = eta + term.shift(bias, xr.DataArray(term.regressor, dims=arm))
    if outcome.centres_arms:
        others, shares = (xr.DataArray(a, dims=(arm, ARM_SLOT)) for a in outcome.mean_shares)
        eta = eta - (eta.isel({arm: others}) * shares).sum(ARM_SLOT)
    if BASELINE in of_arm:
        eta = eta + of_arm[BASELINE] * xr.DataArray(outcome.has_baseline, dims=arm)
    heterogeneity = HETEROGENEITIES[outcome.spec.heterogeneity]
    scope = _AffineArms(outcome, latents, width)
    return eta + heterogeneity.formula(scope, **{n: theta[n] for n in heterogeneity.parameters})


def affine_parameter(
    outcome: Outcome, name: str, latents: Latents, scales: Scales, width: int
) -> xr.DataArray:
    """A parameter as an affine form, by the pooling formula of the graph."""
    in_spec = name if name in outcome.spec.parameters else natural_name(name)
    spec = outcome.spec.parameters[in_spec]
    scope = AffineScope(outcome, in_spec, spec, latents, scales, width)
    value = POOLINGS[spec.pooling].formula(scope)
    return value if in_spec == name else np.log(value)


def _observed_rows(
    outcome: Outcome, eta: xr.DataArray
) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """Affine forms of the observed rows, the observations, and their covariance."""
    reported = outcome.reported
    if "contrast" not in reported.dims:
        estimate, variance = LIKELIHOODS[outcome.spec.likelihood].estimates(reported)
        covariance = _weighted_covariance(np.diag(variance), outcome, slice(None))
        return eta.rename({outcome.arm: "row"}), estimate, covariance
    arms, comparators = (
        eta.isel({outcome.arm: xr.DataArray(reported[f"{side}_position"].to_numpy(), dims="row")})
        for side in ("arm", "comparator")
    )
    positions = reported["arm_position"].to_numpy().astype(int)
    covariance = _weighted_covariance(contrast_covariance(reported), outcome, positions)
    return arms - comparators, reported["estimate"].to_numpy(), covariance


def _weighted_covariance(covariance: np.ndarray, outcome: Outcome, arms: Any) -> np.ndarray:
    """Divide variances by likelihood weights: a normal density to the power w."""
    if WEIGHT not in outcome.reported:
        return covariance
    weight = np.maximum(outcome.reported[WEIGHT].to_numpy().astype(float)[arms], MIN_WEIGHT)
    return np.asarray(covariance / np.sqrt(np.outer(weight, weight)))


@dataclass(frozen=True)
class RegressionPosterior:
    """Mean of the latents, Cholesky factor of their precision, and log evidence, at each point."""

    mean: np.ndarray
    root: np.ndarray
    log_evidence: np.ndarray


@single_threaded_blas
def solve_regression(regression: NormalRegression) -> RegressionPosterior:
    """Solve a regression at every point of its scales."""
    blocks = regression.latents.blocks.values()
    prior_mean = np.concatenate([np.full(b.size, b.mean) for b in blocks])
    prior_precision = np.concatenate([np.full(b.size, b.sd**-2.0) for b in blocks])
    # With V = LL', rows are whitened once: L⁻¹X and L⁻¹y.
    whitener = np.linalg.inv(np.linalg.cholesky(regression.covariance))
    x = whitener @ regression.design
    # The prior mean is subtracted first, so that no large terms cancel.
    y = regression.target @ whitener.T - x @ prior_mean
    precision = np.swapaxes(x, -1, -2) @ x
    diagonal = np.arange(len(prior_precision))
    precision[..., diagonal, diagonal] += prior_precision
    root = _cholesky_factors(precision)
    moment = np.einsum("prl,pr->pl", x, y)
    half = np.linalg.solve(root, moment[..., None])[..., 0]
    mean = np.linalg.solve(np.swapaxes(root, -1, -2), half[..., None])[..., 0]
    log_evidence = (
        -0.5 * (y.shape[-1] * np.log(2 * np.pi) + (y**2).sum(-1) - (half**2).sum(-1))
        + np.log(np.diag(whitener)).sum()
        + 0.5 * np.log(prior_precision).sum()
        - np.log(root[..., diagonal, diagonal]).sum(-1)
    )
    return RegressionPosterior(prior_mean + mean, root, log_evidence)


def _cholesky_factors(precision: np.ndarray) -> np.ndarray:
    """Cholesky factors; NaN at scales so far from the data that rounding leaves no factor."""
    try:
        return np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        roots = np.full_like(precision, np.nan)
        for i, matrix in enumerate(precision):
            with suppress(np.linalg.LinAlgError):
                roots[i] = np.linalg.cholesky(matrix)
        return roots
