"""The scales of a model on a grid: how plausible each value is, moments, quantiles, draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.inference.latents import POINT
from nmda_bayes.inference.quantiles import grid_quantiles
from nmda_bayes.priors import log_density

#: Points of the grid by the number of scales; the rule's error falls exponentially with them. On
#: 8 schools, Crins and BCG 241 points change no moment by 1e-6 when doubled.
POINTS = {0: 1, 1: 241, 2: 61}
#: Where the grid is looked for, on the log scale of a positive quantity: 4e-9 to 3e6.
SEARCH = {True: (-19.4, 15.0), False: (-15.0, 15.0)}
SEARCHED = {1: 97, 2: 33}
#: The grid bends three e-folds below the top of the posterior, and ends four places further down,
#: where the quantity is exp(-55) of its unit.
BEND, BELOW = 3.0, 4.0
#: What lies this far below the largest log density (a share of 1e-11) is off the grid.
DEPTH = 25.0
#: So many regressions are solved at once: the memory of 40 studies then stays below 30 MB.
AT_ONCE = 256

Evidence = Callable[[Mapping[str, xr.DataArray]], np.ndarray]


@dataclass(frozen=True)
class Scale:
    """A quantity to sum over.

    Attributes
    ----------
    name
        Its name in the graph.
    dist, kwargs
        Its prior.
    positive
        True for a positive quantity, which is summed over its `log_of`.
    log_unit
        Where the grid of a positive quantity bends; minus infinity for its plain logarithm.
    """

    name: str
    dist: str
    kwargs: Mapping[str, float]
    positive: bool
    log_unit: float = -np.inf

    def value(self, v: np.ndarray) -> np.ndarray:
        """Give the quantity at places of the grid.

        Parameters
        ----------
        v
            Places.

        Returns
        -------
        np.ndarray
            The quantity.
        """
        return np.exp(log_of(v, self.log_unit)) if self.positive else v

    def log_prior(self, v: np.ndarray) -> np.ndarray:
        """Give the prior's log density over places of the grid.

        Parameters
        ----------
        v
            Places.

        Returns
        -------
        np.ndarray
            With the Jacobian of the quantity.
        """
        jacobian = log_jacobian(v, self.log_unit) if self.positive else 0.0
        return log_density(self.dist, self.kwargs, self.value(v)) + jacobian


def log_of(v: np.ndarray, log_unit: Any) -> np.ndarray:
    """Give the logarithm of a positive quantity at a place: v - exp(log_unit - v).

    Far above the unit a place is the logarithm. Below it the logarithm runs away exponentially, so
    that a density which is flat down to 0, and thus falls only as exp(v) over the plain logarithm,
    is gone after a few steps (Takahasi and Mori 1974, the half-line with an exponential end).

    Parameters
    ----------
    v
        Places.
    log_unit
        Where the two halves meet; minus infinity for the plain logarithm.

    Returns
    -------
    np.ndarray
        One a place.
    """
    return v - np.exp(log_unit - v)


def log_jacobian(v: np.ndarray, log_unit: Any) -> np.ndarray:
    """Give the log derivative of the quantity by the place.

    Parameters
    ----------
    v
        Places.
    log_unit
        As in `log_of`.

    Returns
    -------
    np.ndarray
        One a place.
    """
    return log_of(v, log_unit) + np.log1p(np.exp(log_unit - v))


@dataclass(frozen=True)
class ScaleGrid:
    """Scales at the points of a grid, and the weight of each point.

    Attributes
    ----------
    scales
        What is summed over.
    axes
        The places along each.
    weight
        Posterior weight of each point, one dim a scale; sums to 1.
    log_evidence
        Log of the integral of the likelihood over the priors.
    error
        How much that changes when every second place is left out.
    """

    scales: tuple[Scale, ...]
    axes: tuple[np.ndarray, ...]
    weight: np.ndarray
    log_evidence: float
    error: float

    @property
    def values(self) -> dict[str, xr.DataArray]:
        """The scales at every point, by name, over dim `POINT`."""
        return _at(self.scales, self.axes)

    def marginal(self, place: int) -> np.ndarray:
        """Weight of the places along one axis.

        Parameters
        ----------
        place
            Which axis.

        Returns
        -------
        np.ndarray
            One weight a place.
        """
        rest = tuple(i for i in range(len(self.axes)) if i != place)
        return self.weight.sum(rest)

    def quantiles(self, place: int, shares: Sequence[float]) -> np.ndarray:
        """Give quantiles of one scale.

        Parameters
        ----------
        place
            Which scale.
        shares
            Shares below the quantiles.

        Returns
        -------
        np.ndarray
            One a share.
        """
        with np.errstate(divide="ignore"):
            density = np.log(self.marginal(place))
        return self.scales[place].value(
            grid_quantiles(self.axes[place][None], density[None], shares)[0]
        )

    def draw(self, count: int, rng: np.random.Generator) -> dict[str, xr.DataArray]:
        """Draw the scales, one quantile of each of ``count`` equal parts, in random order.

        Parameters
        ----------
        count
            How many.
        rng
            Gives the order and the place in each part.

        Returns
        -------
        dict[str, xr.DataArray]
            By name, over dim `POINT`.
        """
        if not self.scales:
            return {}
        stratified = (rng.permutation(count) + rng.random(count)) / count
        first = _inverse(self.axes[0], self.marginal(0)[None], stratified, np.zeros(count, int))
        found = [first]
        if len(self.scales) == 2:
            # Between two columns of the grid, the nearer one is the more often taken.
            place = np.interp(first, self.axes[0], np.arange(len(self.axes[0])))
            column = np.floor(place + rng.random(count)).astype(int)
            column = column.clip(0, len(self.axes[0]) - 1)
            found.append(_inverse(self.axes[1], self.weight, rng.random(count), column))
        return {
            scale.name: xr.DataArray(scale.value(u), dims=POINT)
            for scale, u in zip(self.scales, found, strict=True)
        }


def scale_grid(scales: Sequence[Scale], evidence: Evidence) -> ScaleGrid:
    """Lay a grid where the posterior of the scales is, and weigh its points.

    Parameters
    ----------
    scales
        At most two.
    evidence
        Log likelihood of the data at values of the scales, all else integrated out.

    Returns
    -------
    ScaleGrid
        The grid.
    """
    count = len(scales)
    if not count:
        log_evidence = float(evidence({})[0])
        return ScaleGrid((), (), np.ones(()), log_evidence, 0.0)
    axes = tuple(np.linspace(*SEARCH[scale.positive], SEARCHED[count]) for scale in scales)
    scales, axes = _bent(scales, axes, _log_posterior(scales, axes, evidence))
    for points in (SEARCHED[count], POINTS[count]):
        density = _log_posterior(scales, axes, evidence)
        axes = tuple(_narrowed(axes, density, place, points) for place in range(count))
    density = _log_posterior(scales, axes, evidence)
    weight = np.exp(density - density.max())
    whole = _log_sum(density, axes)
    half = tuple(slice(None, None, 2) for _ in axes)
    error = abs(whole - _log_sum(density[half], tuple(axis[::2] for axis in axes)))
    return ScaleGrid(tuple(scales), axes, weight / weight.sum(), whole, error)


def _bent(
    scales: Sequence[Scale], axes: tuple[np.ndarray, ...], density: np.ndarray
) -> tuple[list[Scale], tuple[np.ndarray, ...]]:
    """Bend the grids of positive quantities below where their posterior has its top."""
    found, bent = [], []
    for place, (scale, axis) in enumerate(zip(scales, axes, strict=True)):
        if not scale.positive:
            found.append(scale)
            bent.append(axis)
            continue
        along = density.max(tuple(i for i in range(len(axes)) if i != place))
        log_unit = float(axis[along.argmax()]) - BEND
        found.append(replace(scale, log_unit=log_unit))
        bent.append(np.linspace(log_unit - BELOW, axis[-1], len(axis)))
    return found, tuple(bent)


def _narrowed(
    axes: tuple[np.ndarray, ...], density: np.ndarray, place: int, points: int
) -> np.ndarray:
    """Lay an axis where the density is not negligible, a step beyond it on either side."""
    rest = tuple(i for i in range(len(axes)) if i != place)
    along = density.max(rest)
    inside = np.flatnonzero(along > along.max() - DEPTH)
    low, high = max(inside[0] - 1, 0), min(inside[-1] + 1, len(along) - 1)
    return np.linspace(axes[place][low], axes[place][high], points)


def parts(values: Mapping[str, xr.DataArray], size: int) -> Iterator[dict[str, xr.DataArray]]:
    """Part the values of scales, so that few regressions are solved at once.

    Parameters
    ----------
    values
        By name, over dim `POINT`; without a scale there is one part, empty.
    size
        How many points there are.

    Yields
    ------
    dict[str, xr.DataArray]
        Some of the points.
    """
    for start in range(0, size if values else 1, AT_ONCE):
        some = slice(start, start + AT_ONCE)
        yield {name: value.isel({POINT: some}) for name, value in values.items()}


def _log_posterior(
    scales: Sequence[Scale], axes: tuple[np.ndarray, ...], evidence: Evidence
) -> np.ndarray:
    values = _at(scales, axes)
    size = int(np.prod([len(axis) for axis in axes]))
    found = np.concatenate([evidence(some) for some in parts(values, size)])
    density = found.reshape([len(axis) for axis in axes])
    for place, (scale, axis) in enumerate(zip(scales, axes, strict=True)):
        shape = [-1 if i == place else 1 for i in range(len(axes))]
        density = density + scale.log_prior(axis).reshape(shape)
    return np.where(np.isnan(density), -np.inf, density)


def _at(scales: Sequence[Scale], axes: tuple[np.ndarray, ...]) -> dict[str, xr.DataArray]:
    """Give the scales at every point of the grid, in the order of its raveled weights."""
    points = np.array(list(product(*axes))) if axes else np.empty((1, 0))
    return {
        scale.name: xr.DataArray(scale.value(points[:, i]), dims=POINT)
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
    """Read quantiles off rows of weights, linear between places."""
    below = np.cumsum((weight[:, 1:] + weight[:, :-1]) / 2, axis=1)
    below = np.concatenate([np.zeros((len(weight), 1)), below], axis=1)
    found = np.empty(len(share))
    for r in np.unique(row):
        mine = row == r
        found[mine] = np.interp(share[mine] * below[r, -1], below[r], axis)
    return found
