"""The linear predictor as a linear function of what is normal, given the scales.

A model with normal errors, whose curve is linear in its parameters and whose parameters are pooled
by sums, is a linear regression once its scales (heterogeneity, spreads between agents, an ED50) are
known. The same pooling formulas and the same curve that make the graph are evaluated here on the
affine forms of `latents`; what is learnt of the latents is then linear algebra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import contrast_covariance
from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.design import WEIGHT, covariates_of, of_agents
from nmda_bayes.dims import AGENT, AGENT_CLASS, ARM, CONDITION, STUDY
from nmda_bayes.inference.latents import LATENT, POINT, AffineSites, Latents
from nmda_bayes.model import OFFSET, Outcome, linear_terms, parameters_of
from nmda_bayes.spec.rules import BASELINE, natural


@dataclass(frozen=True)
class Linear:
    """One outcome as a regression, for each value of its scales.

    Attributes
    ----------
    latents
        The normal variables.
    design
        Coefficients, dims `POINT`, row, `LATENT` without the constant.
    target
        What was observed less the constant, dims `POINT` and row.
    covariance
        Sampling covariance of the rows.
    """

    latents: Latents
    design: np.ndarray
    target: np.ndarray
    covariance: np.ndarray


def linear(outcome: Outcome, scales: Mapping[str, xr.DataArray]) -> Linear:
    """Write an outcome as a regression.

    Parameters
    ----------
    outcome
        The outcome; its curve is linear in what is not in ``scales``.
    scales
        Values of every variable that is not normal, by its name in the graph, over dim `POINT`.

    Returns
    -------
    Linear
        The regression at each point.
    """
    sizes = {outcome.arm: outcome.reported.sizes[ARM]}
    sizes |= {dim: len(labels) for dim, labels in outcome.studies.items()}
    sizes |= {dim: outcome.labels.sizes[dim] for dim in (AGENT, CONDITION)}
    sizes[AGENT_CLASS] = len(outcome.classes)
    if HETEROGENEITIES[outcome.spec.heterogeneity].nested:
        sizes[outcome.cluster_arm] = len(set(outcome.cluster_arms))
    latents = Latents(sizes)
    _eta(outcome, latents, scales, 1)  # a first pass enters the variables
    width = latents.size + 1
    eta = _eta(outcome, latents, scales, width)
    points = next(iter(scales.values())).sizes[POINT] if scales else 1
    if POINT not in eta.dims:
        eta = eta.expand_dims({POINT: points})
    rows, observed, covariance = _rows(outcome, eta)
    forms = rows.transpose(POINT, "row", LATENT).to_numpy()
    return Linear(latents, forms[..., :-1], observed - forms[..., -1], covariance)


def _eta(
    outcome: Outcome, latents: Latents, scales: Mapping[str, xr.DataArray], width: int
) -> xr.DataArray:
    """The linear predictor of the arms as an affine form: the model's own lines."""
    theta = {
        name: affine_parameter(outcome, name, latents, scales, width)
        for name in parameters_of(outcome)
    }
    at = {dim: _places(outcome, dim, outcome.labels[dim].to_numpy()) for dim in (AGENT, CONDITION)}
    for dim, labels in outcome.studies.items():
        at[dim] = _places(outcome, STUDY, labels)
    of_arm = {
        name: value.isel({d: i for d, i in at.items() if d in value.dims})
        for name, value in theta.items()
    }
    for column, (parameter, _, covariate) in covariates_of(outcome.spec).items():
        kwargs = covariate.prior.kwargs
        latents.enter(outcome.name(column), (), kwargs["mu"], kwargs["sigma"])
        x = xr.DataArray(outcome.moved(column, covariate), dims=outcome.arm)
        of_arm[parameter] = of_arm[parameter] + latents.form(outcome.name(column), width) * x
    exposure = xr.DataArray(outcome.reported["exposure"].to_numpy().astype(float), dims=outcome.arm)
    eta = outcome.spec.shape.response(
        exposure,
        of_arm,
        np,
        lambda agents: xr.DataArray(
            of_agents(outcome.reported[AGENT].to_numpy(), agents), dims=outcome.arm
        ),
    )
    for term in linear_terms(outcome):
        kwargs = term.prior.kwargs
        latents.enter(outcome.name(term.name), (), kwargs["mu"], kwargs["sigma"])
        x = xr.DataArray(term.regressor, dims=outcome.arm)
        eta = eta + term.shift(latents.form(outcome.name(term.name), width), x)
    if BASELINE in of_arm:
        eta = eta + of_arm[BASELINE] * xr.DataArray(outcome.has_baseline, dims=outcome.arm)
    heterogeneity = HETEROGENEITIES[outcome.spec.heterogeneity]
    if heterogeneity.formula is not None:
        name = outcome.name("arm" + OFFSET)
        latents.enter(name, (outcome.arm,), 0.0, 1.0)
        given = {k: theta[k] for k in heterogeneity.parameters}
        more: tuple[Any, ...] = (1.0,) if heterogeneity.fades else ()  # without a course: all of it
        if heterogeneity.nested:
            more = (_of_clusters(outcome, latents, width),)
        eta = eta + heterogeneity.formula(latents.form(name, width), *more, **given)
    return eta


def _of_clusters(outcome: Outcome, latents: Latents, width: int) -> xr.DataArray:
    """Effects of the treatments of each cluster, at the arms."""
    name, labels = outcome.name("cluster" + OFFSET), list(dict.fromkeys(outcome.cluster_arms))
    latents.enter(name, (outcome.cluster_arm,), 0.0, 1.0)
    where = xr.DataArray([labels.index(at) for at in outcome.cluster_arms], dims=outcome.arm)
    return latents.form(name, width).isel({outcome.cluster_arm: where})


def _places(outcome: Outcome, column: str, labels: np.ndarray) -> xr.DataArray:
    place = {label: i for i, label in enumerate(labels)}
    where = [place.get(v, 0) for v in outcome.reported[column].to_numpy()]
    return xr.DataArray(where, dims=outcome.arm)


def affine_parameter(
    outcome: Outcome,
    name: str,
    latents: Latents,
    scales: Mapping[str, xr.DataArray],
    width: int,
) -> xr.DataArray:
    """Write a parameter as an affine form, pooled as the graph pools it.

    Parameters
    ----------
    outcome
        Its outcome.
    name
        Its name, as a formula has it.
    latents
        Where its normal variables are entered.
    scales
        Values of what is not normal, over dim `POINT`.
    width
        Length of the dim of latents.

    Returns
    -------
    xr.DataArray
        Over its dims, `POINT` and `LATENT`; a scale has no `LATENT`.
    """
    given = name if name in outcome.spec.parameters else natural(name)
    sites = AffineSites(outcome, given, outcome.spec.parameters[given], latents, scales, width)
    value = POOLINGS[sites.spec.pooling].formula(sites)
    return value if given == name else np.log(value)


def _rows(outcome: Outcome, eta: xr.DataArray) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
    """What was observed, as forms of the latents, with its sampling covariance."""
    reported = outcome.reported
    if "contrast" in reported.dims:
        sides = [
            eta.isel(
                {outcome.arm: xr.DataArray(reported[f"{side}_position"].to_numpy(), dims="row")}
            )
            for side in ("arm", "comparator")
        ]
        forms = sides[0] - sides[1]
        own = reported["arm_position"].to_numpy().astype(int)
        covariance = _widened(contrast_covariance(reported), outcome, own)
        return forms, reported["estimate"].to_numpy(), covariance
    forms = eta.rename({outcome.arm: "row"})
    sampling = np.diag(reported["se"].to_numpy() ** 2)
    return forms, reported["mean"].to_numpy(), _widened(sampling, outcome, slice(None))


def _widened(covariance: np.ndarray, outcome: Outcome, arms: Any) -> np.ndarray:
    """Widen the errors of rows that count less: a normal density to a power w has variance / w."""
    if WEIGHT not in outcome.reported:
        return covariance
    # Of a row that does not count the variance is a billion times its own: no digit is left of it.
    weight = np.clip(outcome.reported[WEIGHT].to_numpy().astype(float)[arms], 1e-9, None)
    return np.asarray(covariance / np.sqrt(np.outer(weight, weight)))
