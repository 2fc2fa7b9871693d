"""Quantiles without draws: of a density on a grid, and of mixtures of normals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.special import ndtr, ndtri

#: Between two points of a grid the log density is followed by a spline on so many parts.
PARTS = 8
#: Halvings of a part, after which 1e-6 of it is left.
HALVINGS = 20
#: Newton's steps at most; each also shrinks a bracket, so that none can run away.
STEPS = 60
#: A quantile is found where the share below it is this near: 3e-8 of an SD in the middle, and
#: below 2e-7 of one at 2.5 %.
NEAR = 1e-8


def grid_quantiles(u: np.ndarray, log_density: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Give quantiles of densities on evenly spaced grids.

    The log density is smooth where the density is sharp, so it is what is interpolated; the
    distribution between points then comes from density and slope at both ends, to the fourth order
    of a step.

    Parameters
    ----------
    u
        Places, evenly spaced, last dim; one grid a row.
    log_density
        Log density there, up to a constant.
    shares
        Shares below the quantiles.

    Returns
    -------
    np.ndarray
        One a row and share.
    """
    count = u.shape[-1]
    fine = np.linspace(0, count - 1, PARTS * (count - 1) + 1)
    # What is far below the top would only shake the spline.
    floor = log_density.max(-1, keepdims=True) - 80.0
    spline = CubicSpline(np.arange(count), np.maximum(log_density, floor), axis=-1)
    logs = spline(fine)
    density = np.exp(logs - logs.max(-1, keepdims=True))
    slope = density * spline(fine, 1)
    step = 1.0 / PARTS
    pieces = step / 2 * (density[..., 1:] + density[..., :-1])
    pieces += step**2 / 12 * (slope[..., :-1] - slope[..., 1:])
    below = np.concatenate([np.zeros((*u.shape[:-1], 1)), np.cumsum(pieces, axis=-1)], axis=-1)
    whole = below[..., -1:]
    below, density = below / whole, density / whole * step
    found = [_crossing(below, density, share) for share in shares]
    places = np.stack(found, axis=-1) * step
    start, width = u[..., :1], u[..., 1:2] - u[..., :1]
    return start + places * width


def _crossing(below: np.ndarray, density: np.ndarray, share: float) -> np.ndarray:
    """Where distributions cross a share, counted in steps: a cubic through points and slopes."""
    place = (below < share).sum(-1).clip(1, below.shape[-1] - 1)
    low, high, rise_low, rise_high = (
        np.take_along_axis(values, at[..., None], -1)[..., 0]
        for values in (below, density)
        for at in (place - 1, place)
    )
    left, right = np.zeros_like(low), np.ones_like(low)
    for _ in range(HALVINGS):
        t = (left + right) / 2
        reached = (
            low * (1 + 2 * t) * (1 - t) ** 2
            + rise_low * t * (1 - t) ** 2
            + high * t**2 * (3 - 2 * t)
            + rise_high * t**2 * (t - 1)
        )
        left, right = np.where(reached < share, t, left), np.where(reached < share, right, t)
    return place - 1 + (left + right) / 2


def mixture_quantile(
    mean: np.ndarray, sd: np.ndarray, weight: np.ndarray, share: float
) -> np.ndarray:
    """Find a quantile of mixtures of normals.

    Parameters
    ----------
    mean, sd
        Of each component, components last.
    weight
        Of each component; broadcasts against ``mean``.
    share
        The share below the quantile.

    Returns
    -------
    np.ndarray
        One a mixture.
    """
    shape, components = mean.shape[:-1], mean.shape[-1]
    weight = np.broadcast_to(weight, mean.shape).reshape(-1, components)
    mean, sd = mean.reshape(-1, components), sd.reshape(-1, components)
    middle = (weight * mean).sum(-1)
    spread = np.sqrt((weight * (sd**2 + (mean - middle[:, None]) ** 2)).sum(-1))
    # Cantelli's inequality: a quantile lies within so many SDs of the mean.
    low = middle - spread * np.sqrt((1 - share) / share) * 1.001
    high = middle + spread * np.sqrt(share / (1 - share)) * 1.001
    found = middle + spread * float(ndtri(share))
    open_ = np.flatnonzero(spread > 0)
    for _ in range(STEPS):
        at = found[open_]
        z = (at[:, None] - mean[open_]) / sd[open_]
        off = (weight[open_] * ndtr(z)).sum(-1) - share
        near = np.abs(off) < NEAR
        if near.all():
            break
        slope = (weight[open_] * np.exp(-0.5 * z**2) / sd[open_]).sum(-1) / np.sqrt(2 * np.pi)
        low[open_] = np.where(off < 0, at, low[open_])
        high[open_] = np.where(off < 0, high[open_], at)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = at - off / slope
        inside = (step > low[open_]) & (step < high[open_])
        halved = (low[open_] + high[open_]) / 2
        found[open_] = np.where(near, at, np.where(inside, step, halved))
        open_ = open_[~near]
    return found.reshape(shape)
