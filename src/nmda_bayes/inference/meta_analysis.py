"""The normal-normal meta-analysis, one or thousands at once, without MCMC.

    estimate[study] ~ Normal(theta[study], se[study]),  theta[study] ~ Normal(mu, tau),
    mu ~ Normal(location),                              tau ~ any prior of a positive quantity

Given tau all else is normal in closed form; tau is summed over a grid, each analysis its own.
`nmda_bayes.inference.exact` gives the same for a constant curve on contrasts; this is array code
for thousands of analyses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.dims import STUDY
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.inference.scale_grid import (
    GRID_DEPTH,
    QUANTILE_LEVELS,
    SEARCH_RANGE,
    STATISTIC,
    STATISTICS,
    UNIT_DEPTH,
    grid_quantiles,
    log_at_point,
    log_jacobian,
    mixture_quantile,
)
from nmda_bayes.priors import is_positive, log_density, prior_issues

#: Points over log tau, to search for the posterior and to sum.
POINTS = 49
#: Points this far below the largest log density, a share of 1e-8, are off the grid.
CUTOFF = 18.0
#: Numbers worked on at once, to stay in a processor's cache.
MAX_VALUES = 400_000

Prior = Mapping[str, Any]


def meta_analysis(
    estimate: xr.DataArray, se: xr.DataArray, *, location: Prior, heterogeneity: Prior
) -> xr.Dataset:
    """Pool estimates with known standard errors under a normal random-effects model.

    Parameters
    ----------
    estimate
        Dim study, and any others, over which analyses vary. NaN where an analysis lacks a study.
    se
        Standard errors, same dims and units.
    location
        Prior of the mean effect: ``{"dist": "Normal", "kwargs": {"mu": ..., "sigma": ...}}``.
    heterogeneity
        Prior of the SD of effects between studies, of a family of positive numbers.

    Returns
    -------
    xr.Dataset
        ``mu``, ``tau``, ``new_study`` (the effect in a new study) and ``study_effect`` (dim study)
        over dim statistic: mean, sd, q2.5, q50 and q97.5; and ``log_evidence``.

    Raises
    ------
    SpecError
        If a prior is not valid, or a standard error is missing or not positive.

    Examples
    --------
    >>> pooled = nb.meta_analysis(
    ...     xr.DataArray([0.3, 0.1, 0.5], dims="study"),
    ...     xr.DataArray([0.1, 0.2, 0.2], dims="study"),
    ...     location={"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
    ...     heterogeneity={"dist": "HalfNormal", "kwargs": {"sigma": 0.5}},
    ... )
    >>> float(pooled["mu"].sel(statistic="mean").round(2))
    0.29
    """
    _validate(estimate, se, location, heterogeneity)
    estimate, se = xr.broadcast(estimate, se)
    others = [str(dim) for dim in estimate.dims if dim != STUDY]
    y, s = (a.transpose(*others, STUDY).to_numpy().astype(float) for a in (estimate, se))
    shape, studies = y.shape[:-1], y.shape[-1]
    y, s = y.reshape(-1, studies), s.reshape(-1, studies)
    batch = max(1, MAX_VALUES // (POINTS * max(studies, 1)))
    parts = [
        _pool(y[i : i + batch], s[i : i + batch], location["kwargs"], heterogeneity)
        for i in range(0, len(y), batch)
    ]
    last_dims: dict[str, list[str]] = {"study_effect": [STUDY, STATISTIC], "log_evidence": []}
    variables = {}
    for name in parts[0]:
        values = np.concatenate([part[name] for part in parts])
        dims = (*others, *last_dims.get(name, [STATISTIC]))
        variables[name] = (dims, values.reshape((*shape, *values.shape[1:])))
    coords: dict[str, Any] = {STATISTIC: list(STATISTICS)}
    coords |= {str(d): estimate[d].to_numpy() for d in estimate.dims if d in estimate.coords}
    return xr.Dataset(variables, coords=coords)


def _validate(estimate: xr.DataArray, se: xr.DataArray, location: Prior, tau: Prior) -> None:
    issues = [
        Issue("E555", message, hint, column=name)
        for name, prior in (("location", location), ("heterogeneity", tau))
        for message, hint in prior_issues(str(prior.get("dist")), prior.get("kwargs", {}))
    ]
    if not issues:
        if location["dist"] != "Normal" or "sigma" not in location["kwargs"]:
            hint = "Use Normal with mu and sigma, or fit the analysis by NUTS."
            message = "the prior of the mean effect must be normal"
            issues.append(Issue("E556", message, hint, column="location"))
        if not is_positive(str(tau["dist"]), tau["kwargs"]):
            hint = "Use for instance HalfNormal, HalfCauchy or LogNormal."
            message = "the prior of a standard deviation must be positive"
            issues.append(Issue("E557", message, hint, column="heterogeneity"))
    if bool((se <= 0).any()):
        hint = "Use NaN for a study without an estimate."
        issues.append(Issue("E558", "a standard error is not positive", hint, column="se"))
    if bool((estimate.notnull() != se.notnull()).any()):
        hint = "Give both or neither."
        issues.append(Issue("E559", "estimate without standard error", hint, column="se"))
    if issues:
        raise SpecError(issues)


def _pool(
    y: np.ndarray, s: np.ndarray, location: Mapping[str, float], heterogeneity: Prior
) -> dict[str, np.ndarray]:
    """Pool analyses (rows) of studies (columns)."""
    observed = np.isfinite(y)
    y, variance = np.where(observed, y, 0.0), np.where(observed, s, 1.0) ** 2
    mu0, precision0 = location["mu"], location["sigma"] ** -2.0
    dist, kwargs = str(heterogeneity["dist"]), heterogeneity["kwargs"]

    def given_tau(v: np.ndarray, log_unit: Any) -> tuple[np.ndarray, ...]:
        """Tau, mean and precision of mu at each point, and the log posterior density."""
        tau = np.exp(log_at_point(v, log_unit))
        weight = observed[:, None] / (variance[:, None] + (tau**2)[..., None])
        precision = weight.sum(-1) + precision0
        mean = ((weight * y[:, None]).sum(-1) + precision0 * mu0) / precision
        fit = (weight * (y[:, None] - mu0) ** 2).sum(-1) - precision * (mean - mu0) ** 2
        with np.errstate(divide="ignore"):
            logs = np.where(observed[:, None], np.log(weight / (2 * np.pi)), 0.0).sum(-1)
        prior = log_density(dist, kwargs, tau.ravel()).reshape(v.shape) + log_jacobian(v, log_unit)
        return tau, mean, precision, 0.5 * (logs + np.log(precision0 / precision) - fit) + prior

    v = np.broadcast_to(np.linspace(*SEARCH_RANGE[True], POINTS), (len(y), POINTS))
    density = given_tau(v, -np.inf)[-1]
    log_unit = np.take_along_axis(v, density.argmax(-1)[:, None], -1) - UNIT_DEPTH
    v = np.linspace(log_unit[:, 0] - GRID_DEPTH, v[:, -1], POINTS, axis=-1)
    for _ in range(2):  # trim to where the density is not negligible
        density = given_tau(v, log_unit)[-1]
        inside = density > density.max(-1, keepdims=True) - CUTOFF
        first = (inside.argmax(-1) - 1).clip(min=0)
        last = (POINTS - inside[:, ::-1].argmax(-1)).clip(max=POINTS - 1)
        ends = np.take_along_axis(v, np.stack([first, last], axis=-1), axis=-1)
        v = np.linspace(ends[:, 0], ends[:, 1], POINTS, axis=-1)
    tau, mean, precision, density = given_tau(v, log_unit)
    top = density.max(-1, keepdims=True)
    weight = np.exp(density - top)
    log_evidence = top[:, 0] + np.log(weight.sum(-1) * (v[:, 1] - v[:, 0]))
    weight = weight / weight.sum(-1, keepdims=True)
    shrinkage = observed[:, None] / (1 + variance[:, None] / (tau**2)[..., None])
    shrinkage = np.where(observed[:, None], shrinkage, 0.0)
    effect = shrinkage * y[:, None] + (1 - shrinkage) * mean[..., None]
    effect_variance = (tau**2)[..., None] * (1 - shrinkage)
    effect_variance = effect_variance + (1 - shrinkage) ** 2 / precision[..., None]
    effect, effect_sd = (np.swapaxes(a, -1, -2) for a in (effect, np.sqrt(effect_variance)))
    study_effect = _mixture(effect, effect_sd, weight[:, None, :])
    tau_mean = (weight * tau).sum(-1)
    tau_sd = np.sqrt((weight * (tau - tau_mean[:, None]) ** 2).sum(-1))
    tau_quantiles = np.exp(log_at_point(grid_quantiles(v, density, QUANTILE_LEVELS), log_unit))
    return {
        "mu": _mixture(mean, precision**-0.5, weight),
        "tau": np.concatenate([np.stack([tau_mean, tau_sd], axis=-1), tau_quantiles], axis=-1),
        "new_study": _mixture(mean, np.sqrt(1 / precision + tau**2), weight),
        "study_effect": np.where(observed[..., None], study_effect, np.nan),
        "log_evidence": log_evidence,
    }


def _mixture(mean: np.ndarray, sd: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Moments and quantiles of mixtures of normals, components last."""
    expected = (weight * mean).sum(-1)
    variance = (weight * (sd**2 + (mean - expected[..., None]) ** 2)).sum(-1)
    quantiles = [mixture_quantile(mean, sd, weight, share) for share in QUANTILE_LEVELS]
    return np.stack([expected, np.sqrt(variance), *quantiles], axis=-1)
