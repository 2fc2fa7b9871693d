"""Posteriors of one or two scales on a grid: weights, moments, quantiles, draws.

A positive quantity is integrated over v with log(quantity) = v - exp(log_unit - v). Well above the
unit v is the logarithm. Below it the logarithm falls exponentially, so that a density that is flat
down to 0, and falls only as exp(v) over the logarithm, vanishes within a few steps (Takahasi and
Mori 1974, the half-line with an exponential end).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.special import ndtr, ndtri

from nmda_bayes.design import outcome_covariates
from nmda_bayes.inference.normal_regression import (
    GRID_POINT,
    LATENT,
    NormalRegression,
    affine_parameter,
    build_regression,
    solve_regression,
)
from nmda_bayes.model import Outcome, arm_parameters, linear_biases
from nmda_bayes.priors import log_density

#: Points of the grid by the number of scales; the error falls exponentially with them.
GRID_POINTS = {0: 1, 1: 241, 2: 61}
#: Where the grid is searched for, on the log scale of a positive quantity: 4e-9 to 3e6.
SEARCH_RANGE = {True: (-19.4, 15.0), False: (-15.0, 15.0)}
SEARCH_POINTS = {1: 97, 2: 33}
#: The unit is three e-folds below the mode of the posterior; the grid ends four further down, where
#: the quantity is exp(-55) units.
UNIT_DEPTH, GRID_DEPTH = 3.0, 4.0
#: Points this far below the largest log density (a share of 1e-11) are off the grid.
LOG_DENSITY_CUTOFF = 25.0
#: Regressions solved at once, to bound the memory.
BATCH_SIZE = 256
#: Summaries of each scalar in group ``exact``, over a dim of this name.
STATISTIC = "statistic"
STATISTICS = ("mean", "sd", "q2.5", "q50", "q97.5")
QUANTILE_LEVELS = (0.025, 0.5, 0.975)

LogEvidence = Callable[[Mapping[str, xr.DataArray]], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """A quantity to sum over."""

    name: str
    dist: str
    kwargs: Mapping[str, float]
    positive: bool
    log_unit: float = -np.inf

    def value(self, v: np.ndarray) -> np.ndarray:
        """The quantity at points of the grid."""
        return np.exp(log_at_point(v, self.log_unit)) if self.positive else v

    def log_prior(self, v: np.ndarray) -> np.ndarray:
        """The prior's log density at points of the grid."""
        jacobian = log_jacobian(v, self.log_unit) if self.positive else 0.0
        return log_density(self.dist, self.kwargs, self.value(v)) + jacobian


def log_at_point(v: np.ndarray, log_unit: Any) -> np.ndarray:
    """The logarithm of a positive quantity at points of the grid."""
    return v - np.exp(log_unit - v)


def log_jacobian(v: np.ndarray, log_unit: Any) -> np.ndarray:
    """The log derivative of a positive quantity by v."""
    return log_at_point(v, log_unit) + np.log1p(np.exp(log_unit - v))


@dataclass(frozen=True)
class ScaleGrid:
    """Scales at the points of a grid, and the weight of each point."""

    scales: tuple[Scale, ...]
    axes: tuple[np.ndarray, ...]
    weight: np.ndarray
    log_evidence: float
    error: float

    @property
    def values(self) -> dict[str, xr.DataArray]:
        """The scales at every point, by name, over dim `GRID_POINT`."""
        return _values(self.scales, self.axes)

    def marginal(self, axis: int) -> np.ndarray:
        """Weights along one axis."""
        return self.weight.sum(_other_axes(axis, len(self.axes)))

    def quantiles(self, axis: int, shares: Sequence[float]) -> np.ndarray:
        """Quantiles of one scale."""
        with np.errstate(divide="ignore"):
            density = np.log(self.marginal(axis))
        points = grid_quantiles(self.axes[axis][None], density[None], shares)[0]
        return self.scales[axis].value(points)

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, xr.DataArray]:
        """Draw the scales: a quantile from each of ``count`` equal strata, in random order."""
        if not self.scales:
            return {}
        stratified = (rng.permutation(count) + rng.random(count)) / count
        points = [_inverse(self.axes[0], self.marginal(0)[None], stratified, np.zeros(count, int))]
        if len(self.scales) == 2:
            # Between two columns of the grid, the nearer is the more probable.
            position = np.interp(points[0], self.axes[0], np.arange(len(self.axes[0])))
            column = np.floor(position + rng.random(count)).astype(int)
            column = column.clip(0, len(self.axes[0]) - 1)
            points.append(_inverse(self.axes[1], self.weight, rng.random(count), column))
        return {
            scale.name: xr.DataArray(scale.value(v), dims=GRID_POINT)
            for scale, v in zip(self.scales, points, strict=True)
        }


def scale_grid(scales: Sequence[Scale], evidence: LogEvidence) -> ScaleGrid:
    """Place a grid where the posterior of the scales is, and weigh its points."""
    count = len(scales)
    if not count:
        return ScaleGrid((), (), np.ones(()), float(evidence({})[0]), 0.0)
    axes = tuple(
        np.linspace(*SEARCH_RANGE[scale.positive], SEARCH_POINTS[count]) for scale in scales
    )
    profiles = _profiles(_log_posterior(scales, axes, evidence))
    scales = [
        replace(scale, log_unit=float(axis[profile.argmax()]) - UNIT_DEPTH)
        if scale.positive
        else scale
        for scale, axis, profile in zip(scales, axes, profiles, strict=True)
    ]
    axes = tuple(
        np.linspace(scale.log_unit - GRID_DEPTH, axis[-1], len(axis)) if scale.positive else axis
        for scale, axis in zip(scales, axes, strict=True)
    )
    for points in (SEARCH_POINTS[count], GRID_POINTS[count]):
        profiles = _profiles(_log_posterior(scales, axes, evidence))
        axes = tuple(_trimmed(axis, p, points) for axis, p in zip(axes, profiles, strict=True))
    density = _log_posterior(scales, axes, evidence)
    weight = np.exp(density - density.max())
    log_evidence = _log_sum(density, axes)
    half = _log_sum(density[(slice(None, None, 2),) * count], tuple(axis[::2] for axis in axes))
    error = abs(log_evidence - half)
    return ScaleGrid(tuple(scales), axes, weight / weight.sum(), log_evidence, error)


def _other_axes(axis: int, count: int) -> tuple[int, ...]:
    return tuple(i for i in range(count) if i != axis)


def _profiles(density: np.ndarray) -> list[np.ndarray]:
    """The largest log density along each axis."""
    return [density.max(_other_axes(axis, density.ndim)) for axis in range(density.ndim)]


def _trimmed(axis: np.ndarray, profile: np.ndarray, points: int) -> np.ndarray:
    """An axis where the density is not negligible, and a step beyond on either side."""
    inside = np.flatnonzero(profile > profile.max() - LOG_DENSITY_CUTOFF)
    low, high = max(inside[0] - 1, 0), min(inside[-1] + 1, len(profile) - 1)
    return np.linspace(axis[low], axis[high], points)


def scale_batches(
    values: Mapping[str, xr.DataArray], size: int
) -> Iterator[dict[str, xr.DataArray]]:
    """Split the values of scales into batches of regressions."""
    for start in range(0, size if values else 1, BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        yield {name: value.isel({GRID_POINT: batch}) for name, value in values.items()}


def _log_posterior(
    scales: Sequence[Scale], axes: tuple[np.ndarray, ...], evidence: LogEvidence
) -> np.ndarray:
    """Unnormalised, dims those of the axes."""
    shape = [len(axis) for axis in axes]
    batches = scale_batches(_values(scales, axes), int(np.prod(shape)))
    density = np.concatenate([evidence(batch) for batch in batches]).reshape(shape)
    for i, (scale, axis) in enumerate(zip(scales, axes, strict=True)):
        density = density + np.expand_dims(scale.log_prior(axis), _other_axes(i, len(axes)))
    return np.where(np.isnan(density), -np.inf, density)


def _values(scales: Sequence[Scale], axes: tuple[np.ndarray, ...]) -> dict[str, xr.DataArray]:
    """The scales at every point of the grid, in the order of its raveled weights."""
    points = np.array(list(product(*axes))) if axes else np.empty((1, 0))
    return {
        scale.name: xr.DataArray(scale.value(points[:, i]), dims=GRID_POINT)
        for i, scale in enumerate(scales)
    }


def _log_sum(density: np.ndarray, axes: tuple[np.ndarray, ...]) -> float:
    """Integrate by the trapezoidal rule, whose ends are negligible here."""
    top = density.max()
    steps = np.prod([axis[1] - axis[0] for axis in axes])
    return float(top + np.log(np.exp(density - top).sum() * steps))


def _inverse(
    axis: np.ndarray, weight: np.ndarray, share: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """Quantiles from rows of weights, linear between points."""
    below = np.cumsum((weight[:, 1:] + weight[:, :-1]) / 2, axis=1)
    below = np.concatenate([np.zeros((len(weight), 1)), below], axis=1)
    quantiles = np.empty(len(share))
    for r in np.unique(row):
        in_row = row == r
        quantiles[in_row] = np.interp(share[in_row] * below[r, -1], below[r], axis)
    return quantiles


# --- Moments and quantiles of scales and parameters ----------------------------------------------


def grid_statistics(outcome: Outcome, grid: ScaleGrid) -> dict[str, xr.DataArray]:
    """Mean, SD and quantiles of every scale and parameter, without draws."""
    statistics = {}
    for axis, scale in enumerate(grid.scales):
        value, weight = scale.value(grid.axes[axis]), grid.marginal(axis)
        mean = float(weight @ value)
        sd = float(np.sqrt(weight @ (value - mean) ** 2))
        numbers = np.array([mean, sd, *grid.quantiles(axis, QUANTILE_LEVELS)])
        statistics[scale.name] = _over_statistics(numbers)
    weight = grid.weight.ravel()
    by_name: dict[str, list[xr.Dataset]] = {}
    for batch in scale_batches(grid.values, weight.size):
        regression = build_regression(outcome, batch)
        solved = solve_regression(regression)
        root_inverse = np.linalg.inv(solved.root)  # Q⁻¹ = L'⁻¹ L⁻¹
        for name, form in _affine_forms(outcome, regression, batch, set(statistics)):
            by_name.setdefault(name, []).append(_normal_moments(form, solved.mean, root_inverse))
    return statistics | {
        name: _mixture_statistics(xr.concat(batches, GRID_POINT), weight)
        for name, batches in by_name.items()
    }


def _over_statistics(numbers: np.ndarray, *dims: Any) -> xr.DataArray:
    return xr.DataArray(numbers, {STATISTIC: list(STATISTICS)}, (*dims, STATISTIC))


def _affine_forms(
    outcome: Outcome, regression: NormalRegression, scales: dict[str, xr.DataArray], known: set[str]
) -> Iterator[tuple[str, xr.DataArray]]:
    """Coefficients and parameters as affine forms of the latents, by their names in the graph."""
    width = regression.latents.size + 1
    slopes = [*outcome_covariates(outcome.spec), *(term.name for term in linear_biases(outcome))]
    for name in map(outcome.name, slopes):
        yield name, regression.latents.affine_form(name, width)
    for parameter in arm_parameters(outcome):
        name = outcome.name(parameter)
        if name not in known:
            form = affine_parameter(outcome, parameter, regression.latents, scales, width)
            if LATENT in form.dims:
                yield name, form


def _normal_moments(form: xr.DataArray, mean: np.ndarray, root_inverse: np.ndarray) -> xr.Dataset:
    """Mean and SD of an affine form at each point of the grid, where it is normal."""
    form = form if GRID_POINT in form.dims else form.expand_dims({GRID_POINT: len(mean)})
    form = form.transpose(GRID_POINT, ..., LATENT)
    rows = form.to_numpy().reshape(len(mean), -1, form.sizes[LATENT])
    means = np.einsum("pkl,pl->pk", rows[..., :-1], mean) + rows[..., -1]
    sds = np.linalg.norm(np.einsum("plm,pkm->pkl", root_inverse, rows[..., :-1]), axis=-1)
    dims, shape = form.dims[:-1], form.shape[:-1]
    return xr.Dataset({"mean": (dims, means.reshape(shape)), "sd": (dims, sds.reshape(shape))})


def _mixture_statistics(normals: xr.Dataset, weight: np.ndarray) -> xr.DataArray:
    """Moments and quantiles of a mixture of normals over the points of the grid."""
    dims = [dim for dim in normals["mean"].dims if dim != GRID_POINT]
    mean, sd = (normals[name].to_numpy().reshape(len(weight), -1).T for name in ("mean", "sd"))
    expected = mean @ weight
    variance = (sd**2 + mean**2) @ weight - expected**2
    columns = [expected, np.sqrt(variance.clip(min=0))]
    columns += [mixture_quantile(mean, sd, weight, share) for share in QUANTILE_LEVELS]
    shape = [normals.sizes[dim] for dim in dims]
    numbers = np.stack(columns, axis=-1).reshape(*shape, len(STATISTICS))
    return _over_statistics(numbers, *dims)


# --- Quantiles of densities on a grid, and of mixtures of normals --------------------------------

#: Parts between two points of a grid, on which a spline interpolates the log density.
SUBDIVISIONS = 8
#: Bisections of a part: to 1e-6 of it.
BISECTIONS = 20
#: Newton steps at most; each also shrinks a bracket.
MAX_STEPS = 60
#: Tolerance of the probability below a quantile of a mixture.
QUANTILE_TOLERANCE = 1e-8


def grid_quantiles(v: np.ndarray, log_density: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of densities on evenly spaced grids, the last dim.

    The log density is interpolated, as it is smooth where the density is sharp; the distribution
    between points comes from density and slope at both ends, to fourth order in the step.
    """
    count = v.shape[-1]
    fine = np.linspace(0, count - 1, SUBDIVISIONS * (count - 1) + 1)
    # Values far below the maximum would only make the spline oscillate.
    floor = log_density.max(-1, keepdims=True) - 80.0
    spline = CubicSpline(np.arange(count), np.maximum(log_density, floor), axis=-1)
    logs = spline(fine)
    density = np.exp(logs - logs.max(-1, keepdims=True))
    slope = density * spline(fine, 1)
    step = 1.0 / SUBDIVISIONS
    pieces = step / 2 * (density[..., 1:] + density[..., :-1])
    pieces += step**2 / 12 * (slope[..., :-1] - slope[..., 1:])
    below = np.concatenate([np.zeros((*v.shape[:-1], 1)), np.cumsum(pieces, axis=-1)], axis=-1)
    total = below[..., -1:]
    below, density = below / total, density / total * step
    positions = np.stack([_crossing(below, density, share) for share in shares], axis=-1) * step
    return v[..., :1] + positions * (v[..., 1:2] - v[..., :1])


def _crossing(below: np.ndarray, density: np.ndarray, share: float) -> np.ndarray:
    """Where distributions cross a share, in steps: a cubic through points and slopes."""
    index = (below < share).sum(-1).clip(1, below.shape[-1] - 1)
    low, high, low_slope, high_slope = (
        np.take_along_axis(values, at[..., None], -1)[..., 0]
        for values in (below, density)
        for at in (index - 1, index)
    )
    left, right = np.zeros_like(low), np.ones_like(low)
    for _ in range(BISECTIONS):
        t = (left + right) / 2
        value = (
            low * (1 + 2 * t) * (1 - t) ** 2
            + low_slope * t * (1 - t) ** 2
            + high * t**2 * (3 - 2 * t)
            + high_slope * t**2 * (t - 1)
        )
        left, right = np.where(value < share, t, left), np.where(value < share, right, t)
    return index - 1 + (left + right) / 2


def mixture_quantile(
    mean: np.ndarray, sd: np.ndarray, weight: np.ndarray, share: float
) -> np.ndarray:
    """A quantile of mixtures of normals, components last."""
    shape, components = mean.shape[:-1], mean.shape[-1]
    weight = np.broadcast_to(weight, mean.shape).reshape(-1, components)
    mean, sd = mean.reshape(-1, components), sd.reshape(-1, components)
    centre = (weight * mean).sum(-1)
    total_sd = np.sqrt((weight * (sd**2 + (mean - centre[:, None]) ** 2)).sum(-1))
    # Cantelli's inequality bounds a quantile's distance from the mean.
    low = centre - total_sd * np.sqrt((1 - share) / share) * 1.001
    high = centre + total_sd * np.sqrt(share / (1 - share)) * 1.001
    quantile = centre + total_sd * float(ndtri(share))
    active = np.flatnonzero(total_sd > 0)
    for _ in range(MAX_STEPS):
        x = quantile[active]
        z = (x[:, None] - mean[active]) / sd[active]
        excess = (weight[active] * ndtr(z)).sum(-1) - share
        converged = np.abs(excess) < QUANTILE_TOLERANCE
        if converged.all():
            break
        slope = (weight[active] * np.exp(-0.5 * z**2) / sd[active]).sum(-1) / np.sqrt(2 * np.pi)
        low[active] = np.where(excess < 0, x, low[active])
        high[active] = np.where(excess < 0, high[active], x)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = x - excess / slope
        inside = (newton > low[active]) & (newton < high[active])
        midpoint = (low[active] + high[active]) / 2
        quantile[active] = np.where(converged, x, np.where(inside, newton, midpoint))
        active = active[~converged]
    return quantile.reshape(shape)
