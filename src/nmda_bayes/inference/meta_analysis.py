"""The normal-normal meta-analysis, one or thousands at once, without a Markov chain.

    estimate[study] ~ Normal(theta[study], se[study]),  theta[study] ~ Normal(mu, tau),
    mu ~ Normal(location),                              tau ~ any prior of a positive quantity

Given tau all else is normal with a closed form; tau is summed on a grid of its logarithm, each
analysis on its own. `nmda_bayes.inference.exact` finds the same for a constant curve on contrasts;
here it is written out, so that a thousand analyses are a few array operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.dims import STUDY
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.inference.moments import SHARES, STATISTIC, STATISTICS
from nmda_bayes.inference.quantiles import grid_quantiles, mixture_quantile
from nmda_bayes.inference.scales import BELOW, BEND, SEARCH, log_jacobian, log_of
from nmda_bayes.priors import is_positive, log_density, prior_faults

#: Points over log tau, first to find where it is, then to sum. Doubling the second changes no
#: moment of 8 schools, Crins or BCG by 1e-7.
SEARCHED, POINTS = 49, 49
#: What lies this far below the largest log density, a share of 1e-8, is off the grid.
DEPTH = 18.0
#: So many numbers are worked on at once: three megabytes, which a processor's cache holds.
HELD = 400_000

Prior = Mapping[str, Any]


def meta_analysis(
    estimate: xr.DataArray, se: xr.DataArray, *, location: Prior, heterogeneity: Prior
) -> xr.Dataset:
    """Pool estimates with known standard errors under a normal random-effects model.

    Parameters
    ----------
    estimate
        Dim study, and any others: one analysis for each place of those. NaN where an analysis has
        no such study.
    se
        Standard errors, same dims and units.
    location
        Prior of the mean effect: ``{"dist": "Normal", "kwargs": {"mu": ..., "sigma": ...}}``.
    heterogeneity
        Prior of the SD of effects between studies, of a family of positive numbers.

    Returns
    -------
    xr.Dataset
        ``mu``, ``tau``, ``new_study`` (the effect in a study not yet run), ``study_effect`` (dim
        study) over dim statistic: mean, sd, 2.5 %, 50 % and 97.5 % points; and ``log_evidence``.

    Raises
    ------
    SpecError
        If a prior is none, or a standard error is not positive.

    Examples
    --------
    >>> import xarray as xr
    >>> from nmda_bayes.inference import meta_analysis
    >>> found = meta_analysis(
    ...     xr.DataArray([0.3, 0.1, 0.5], dims="study"),
    ...     xr.DataArray([0.1, 0.2, 0.2], dims="study"),
    ...     location={"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
    ...     heterogeneity={"dist": "HalfNormal", "kwargs": {"sigma": 0.5}},
    ... )
    >>> float(found["mu"].sel(statistic="mean").round(2))
    0.29
    """
    _require(estimate, se, location, heterogeneity)
    estimate, se = xr.broadcast(estimate, se)
    several = [str(dim) for dim in estimate.dims if dim != STUDY]
    y, s = (a.transpose(*several, STUDY).to_numpy().astype(float) for a in (estimate, se))
    shape, studies = y.shape[:-1], y.shape[-1]
    y, s = y.reshape(-1, studies), s.reshape(-1, studies)
    at_once = max(1, HELD // (POINTS * max(studies, 1)))
    parts = [
        _pool(y[i : i + at_once], s[i : i + at_once], location["kwargs"], heterogeneity)
        for i in range(0, len(y), at_once)
    ]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    coords: dict[str, Any] = {STATISTIC: list(STATISTICS)}
    coords |= {
        str(dim): estimate[dim].to_numpy() for dim in estimate.dims if dim in estimate.coords
    }
    ends: dict[str, list[str]] = {"study_effect": [STUDY, STATISTIC], "log_evidence": []}
    found = {
        name: (
            (*several, *ends.get(name, [STATISTIC])),
            values.reshape((*shape, *values.shape[1:])),
        )
        for name, values in joined.items()
    }
    return xr.Dataset(found, coords=coords)


def _require(estimate: xr.DataArray, se: xr.DataArray, location: Prior, tau: Prior) -> None:
    faults = []
    for name, prior in (("location", location), ("heterogeneity", tau)):
        for message, mend in prior_faults(str(prior.get("dist")), prior.get("kwargs", {})):
            faults.append(Fault(message, mend, column=name))
    if not faults and (location["dist"] != "Normal" or "sigma" not in location["kwargs"]):
        mend = "Use Normal with mu and sigma, or fit the analysis by NUTS."
        faults.append(Fault("the mean effect is integrated as a normal", mend, column="location"))
    if not faults and not is_positive(str(tau["dist"]), tau["kwargs"]):
        mend = "Use for instance HalfNormal, HalfCauchy or LogNormal."
        faults.append(Fault("a standard deviation is positive", mend, column="heterogeneity"))
    if bool((se <= 0).any()):
        faults.append(Fault("a standard error is not positive", "Leave it NaN.", column="se"))
    if bool((estimate.notnull() != se.notnull()).any()):
        mend = "Give both, or neither."
        faults.append(Fault("an estimate without its standard error", mend, column="se"))
    if faults:
        raise SpecError(faults)


def _pool(
    y: np.ndarray, s: np.ndarray, location: Mapping[str, float], heterogeneity: Prior
) -> dict[str, np.ndarray]:
    """Pool analyses (rows) of studies (columns)."""
    there = np.isfinite(y)
    y, variance = np.where(there, y, 0.0), np.where(there, s, 1.0) ** 2
    mu0, precision0 = location["mu"], location["sigma"] ** -2.0
    dist, kwargs = str(heterogeneity["dist"]), heterogeneity["kwargs"]

    def given(v: np.ndarray, log_unit: Any) -> tuple[np.ndarray, ...]:
        """Tau, mean and precision of mu at each place, and the log density of all."""
        tau = np.exp(log_of(v, log_unit))
        share = there[:, None] / (variance[:, None] + (tau**2)[..., None])
        total = share.sum(-1) + precision0
        mean = ((share * y[:, None]).sum(-1) + precision0 * mu0) / total
        fit = (share * (y[:, None] - mu0) ** 2).sum(-1) - total * (mean - mu0) ** 2
        with np.errstate(divide="ignore"):
            logs = np.where(there[:, None], np.log(share / (2 * np.pi)), 0.0).sum(-1)
        prior = log_density(dist, kwargs, tau.ravel()).reshape(v.shape) + log_jacobian(v, log_unit)
        return tau, mean, total, 0.5 * (logs + np.log(precision0 / total) - fit) + prior

    v = np.broadcast_to(np.linspace(*SEARCH[True], SEARCHED), (len(y), SEARCHED))
    density = given(v, -np.inf)[-1]
    log_unit = np.take_along_axis(v, density.argmax(-1)[:, None], -1) - BEND
    ends = np.concatenate([log_unit - BELOW, v[:, -1:]], axis=-1)
    for points in (SEARCHED, POINTS):
        v = np.linspace(ends[:, 0], ends[:, 1], points, axis=-1)
        density = given(v, log_unit)[-1]
        inside = density > density.max(-1, keepdims=True) - DEPTH
        first = (inside.argmax(-1) - 1).clip(min=0)
        last = (points - inside[:, ::-1].argmax(-1)).clip(max=points - 1)
        ends = np.take_along_axis(v, np.stack([first, last], axis=-1), axis=-1)
    v = np.linspace(ends[:, 0], ends[:, 1], POINTS, axis=-1)
    tau, mean, total, density = given(v, log_unit)
    top = density.max(-1, keepdims=True)
    weight = np.exp(density - top)
    log_evidence = top[:, 0] + np.log(weight.sum(-1) * (v[:, 1] - v[:, 0]))
    weight = weight / weight.sum(-1, keepdims=True)
    drawn_in = there[:, None] / (1 + variance[:, None] / (tau**2)[..., None])
    drawn_in = np.where(there[:, None], drawn_in, 0.0)
    effect = drawn_in * y[:, None] + (1 - drawn_in) * mean[..., None]
    own = (tau**2)[..., None] * (1 - drawn_in) + (1 - drawn_in) ** 2 / total[..., None]
    effect, own = (np.swapaxes(a, -1, -2) for a in (effect, np.sqrt(own)))
    return {
        "mu": _mixture(mean, total**-0.5, weight),
        "tau": _of_scale(tau, v, log_unit, density, weight),
        "new_study": _mixture(mean, np.sqrt(1 / total + tau**2), weight),
        "study_effect": np.where(
            there[..., None], _mixture(effect, own, weight[:, None, :]), np.nan
        ),
        "log_evidence": log_evidence,
    }


def _of_scale(
    tau: np.ndarray, v: np.ndarray, log_unit: np.ndarray, density: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Moments and quantiles of tau."""
    mean = (weight * tau).sum(-1)
    sd = np.sqrt((weight * (tau - mean[:, None]) ** 2).sum(-1))
    ends = np.exp(log_of(grid_quantiles(v, density, SHARES), log_unit))
    return np.concatenate([np.stack([mean, sd], axis=-1), ends], axis=-1)


def _mixture(mean: np.ndarray, sd: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Moments and quantiles of mixtures of normals, components last."""
    expected = (weight * mean).sum(-1)
    variance = (weight * (sd**2 + (mean - expected[..., None]) ** 2)).sum(-1)
    found = [mixture_quantile(mean, sd, weight, share) for share in SHARES]
    return np.stack([expected, np.sqrt(variance), *found], axis=-1)
