"""Selection for publication: which trials of an outcome are seen, and their drawing as published.

The factor stands beside the likelihood as an observed variable of its own, so that effects of arms
stay in the graph and may be correlated between outcomes (`nmda_bayes.components.bias` argues why it
is divided by the constant of the marginal model). It is no potential: those of `pymc.dims` have no
gradient in PyMC 6.3, and log-likelihoods and power-scaling would pass them over. Forward draws of
the likelihood know nothing of it; `as_published` redraws what is simulated or predicted.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr
from scipy import special

from nmda_bayes.components.bias import BIASES, publication
from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.design import AS_ARM, WEIGHT, decisive_contrasts
from nmda_bayes.dims import ARM, CONTRAST, SAMPLE, STUDY
from nmda_bayes.model.bias import toward
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.named_data import named_data
from nmda_bayes.priors import random_variable
from nmda_bayes.spec.bias import PREFIX, PUBLISHED
from nmda_bayes.spec.rules import HETEROGENEITY_SD

#: The dim of the studies whose publication may have hung on a p-value, and what is kept of each.
PUBLISHED_STUDY = f"published_{STUDY}"
FACTOR = f"{PREFIX}selection"
MEAN, SD = f"{FACTOR}_mean", f"{FACTOR}_sd"


def decisive(outcome: Outcome) -> pd.DataFrame:
    """Find the contrast that decided about the publication of each study.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    pd.DataFrame
        As `nmda_bayes.design.decisive_contrasts`.
    """
    reported = outcome.reported
    columns = [STUDY, "exposure", "report"]
    arms = pd.DataFrame({c: reported[c].to_numpy() for c in columns})
    contrasts = None
    if CONTRAST in reported.dims:
        sides = ["arm_position", "comparator_position"]
        contrasts = pd.DataFrame({c: reported[c].to_numpy() for c in sides})
    return decisive_contrasts(arms, contrasts)


def select(outcome: Outcome, expected: Any, of_arm: dict[str, Any]) -> None:
    """Weigh each trial by the probability that it was published, to the model on the stack.

    Parameters
    ----------
    outcome
        The outcome.
    expected
        What the arms' linear predictor is without their study's baseline and their own effects;
        dim arm.
    of_arm
        Parameters at each arm, by name.
    """
    part = outcome.spec.bias.selection
    if part is None:
        return
    found, dim = decisive(outcome), outcome.name(PUBLISHED_STUDY)
    pm.modelcontext(None).add_coords({dim: list(found["study"])})
    here, there = (
        pmd.as_xtensor(found[side].to_numpy(int), dims=(dim,)) for side in ("arm", "comparator")
    )
    favours = toward(outcome)
    mean = favours * (expected.isel({outcome.arm: here}) - expected.isel({outcome.arm: there}))
    estimate, se = (
        named_data(f"{dim}.{column}", values, (dim,))
        for column, values in zip(("estimate", "se"), estimates(outcome, found), strict=True)
    )
    tau = of_arm.get(HETEROGENEITY_SD, 0.0)
    if HETEROGENEITY_SD in of_arm and outcome.arm in tau.type.dims:
        tau = tau.isel({outcome.arm: here})
    mean = pmd.Deterministic(outcome.name(MEAN), mean, dims=(dim,))
    sd = pmd.Deterministic(outcome.name(SD), xp.sqrt(se**2 + tau**2), dims=(dim,))
    weight = outcome.reported[WEIGHT].to_numpy() if WEIGHT in outcome.reported else None
    counts = np.ones(len(found)) if weight is None else weight[found["arm"].to_numpy(int)]
    given = [mean, sd, se, named_data(f"{dim}.{WEIGHT}", counts, (dim,)), *_relative(outcome)]
    pm.CustomDist(
        outcome.name(FACTOR),
        *map(pmd.tensor_from_xtensor, given),
        logp=partial(_log_factor, outcome),
        random=partial(_published_estimates, outcome),
        observed=(favours * estimate).values,
        dims=(dim,),
    )


def _log_factor(
    outcome: Outcome, estimate: Any, mean: Any, sd: Any, se: Any, weight: Any, *relative: Any
) -> Any:
    """What selection multiplies a trial's density by, on the log scale."""
    import pytensor.tensor as pt

    kept, probable = [], []
    for critical in critical_values(outcome):
        kept.append(pt.ge(estimate, critical * se).astype("float64"))
        # Phi by way of erfc, which is accurate in the lower tail.
        probable.append(pt.erfc((critical * se - mean) / (math.sqrt(2.0) * sd)) / 2.0)
    published = published_of(outcome, list(relative))
    return weight * pt.log(BIASES["selection"].formula(kept, probable, published=published))


def _published_estimates(
    outcome: Outcome, mean: Any, sd: Any, se: Any, weight: Any, *relative: Any, rng: Any, size: Any
) -> np.ndarray:
    """Draw the estimates that decide as they are published; `as_published` moves the rest."""
    shape = np.broadcast_shapes(np.shape(mean), np.shape(sd), np.shape(se), tuple(size or ()))
    mean, sd = np.broadcast_to(mean, shape), np.broadcast_to(sd, shape)
    limits = [np.broadcast_to(c * se, shape) for c in critical_values(outcome)]
    return _redrawn(mean, sd, limits, published_of(outcome, list(relative)), rng)


def estimates(outcome: Outcome, found: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Give the estimates that decided, and their standard errors, as contrasts with the control.

    Parameters
    ----------
    outcome
        The outcome.
    found
        As `decisive` gives it.

    Returns
    -------
    tuple[numpy.ndarray, numpy.ndarray]
        One a study.
    """
    reported = outcome.reported
    here, there, printed, sign = (
        found[c].to_numpy() for c in ("arm", "comparator", "contrast", "sign")
    )
    own = printed < 0
    estimate, se = np.zeros(len(found)), np.zeros(len(found))
    if own.any():
        mean, error = (reported[c].to_numpy().astype(float) for c in ("mean", "se"))
        estimate[own] = mean[here[own]] - mean[there[own]]
        se[own] = np.hypot(error[here[own]], error[there[own]])
    if not own.all():
        given, errors = (reported[c].to_numpy() for c in ("estimate", "estimate_se"))
        estimate[~own] = sign[~own] * given[printed[~own]]
        se[~own] = errors[printed[~own]]
    return estimate, se


def critical_values(outcome: Outcome) -> list[float]:
    """Say how many standard errors toward the active arm each step of the p-value is.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    list[float]
        For instance 1.96 for p = 0.025.
    """
    part = outcome.spec.bias.selection
    return [] if part is None else [float(-special.ndtri(step)) for step in part.steps]


def _relative(outcome: Outcome) -> list[Any]:
    priors = outcome.spec.bias.priors
    return [
        random_variable(outcome.name(name), prior.dist, prior.kwargs)
        for name, prior in priors.items()
        if name.startswith(PUBLISHED)
    ]


def published_of(outcome: Outcome, relative: list[Any]) -> list[Any]:
    """Give the probability of publication in each interval, relative to the first.

    Parameters
    ----------
    outcome
        Its selection says what its parameters are relative to.
    relative
        The parameters.

    Returns
    -------
    list[Any]
        One more, with 1 in front.
    """
    part = outcome.spec.bias.selection
    published: list[Any] = [1.0]
    for one in relative:
        last = published[-1] if part is not None and part.relative_to == "previous" else 1.0
        published.append(last * one)
    return published


def as_published(
    outcome: Outcome, drawn: xr.Dataset, parameters: xr.Dataset, seed: int, *, of_arms: bool
) -> xr.Dataset:
    """Redraw what trials report as it would have been published.

    The contrast that decides is drawn until it is published, and the other rows of its study follow
    by their regression on it: given its value, selection says nothing more of them.

    Parameters
    ----------
    outcome
        The outcome.
    drawn
        Its observed variables, drawn without selection; dims chain, draw and row.
    parameters
        The draws that made them.
    seed
        Of the redrawing.
    of_arms
        True where the arms' own effects are given (a replicate of the same trials); False where
        trials are drawn anew from the parameters.

    Returns
    -------
    xr.Dataset
        The same variables; unchanged where the outcome has no selection.
    """
    if outcome.spec.bias.selection is None:
        return drawn
    names = [n for n in outcome.spec.bias.priors if n.startswith(PUBLISHED)]
    relative = [parameters[outcome.name(n)].transpose(*SAMPLE).to_numpy() for n in names]
    published = published_of(outcome, relative)
    mean, sd = (parameters[outcome.name(n)].transpose(*SAMPLE, ...).to_numpy() for n in (MEAN, SD))
    found, rng, favours = decisive(outcome), np.random.default_rng(seed), toward(outcome)
    eta = parameters[outcome.name("eta")].transpose(*SAMPLE, ...).to_numpy()
    _, errors = estimates(outcome, found)
    changed = drawn.copy()
    for k in range(len(found)):
        row = found.iloc[k]
        here, there = int(row["arm"]), int(row["comparator"])
        name, sampling, between, contrast = _rows_of(outcome, row)
        contrast = favours * contrast
        rows = changed[name].transpose(*SAMPLE, ...)
        y, tau2 = rows.to_numpy().copy(), sd[..., k] ** 2 - errors[k] ** 2
        centre, spread = mean[..., k], sd[..., k]
        if of_arms:
            centre = favours * (eta[..., here] - eta[..., there])
            spread, tau2 = np.full_like(centre, errors[k]), np.zeros_like(centre)
        limits = [np.full_like(centre, c * errors[k]) for c in critical_values(outcome)]
        new = _redrawn(centre, spread, limits, published, rng)
        follows = sampling @ contrast + tau2[..., None] / 2 * (between @ contrast)
        y += follows / (follows @ contrast)[..., None] * (new - y @ contrast)[..., None]
        changed[name] = rows.copy(data=y)
    return changed


def _rows_of(outcome: Outcome, row: pd.Series) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Give a form's variable, its rows' sampling covariance, its arms' part, and one contrast."""
    reported = outcome.reported
    if row["contrast"] < 0:
        where = np.flatnonzero(reported["report"].to_numpy() == AS_ARM)
        sampling = np.diag(reported["se"].to_numpy().astype(float)[where] ** 2)
        contrast = 1.0 * (where == row["arm"]) - (where == row["comparator"])
        return outcome.name("reported"), sampling, np.eye(len(where)), contrast
    sides = [
        np.eye(reported.sizes[ARM])[reported[f"{side}_position"].to_numpy().astype(int)]
        for side in ("arm", "comparator")
    ]
    between = (sides[0] - sides[1]) @ (sides[0] - sides[1]).T
    contrast = row["sign"] * np.eye(reported.sizes[CONTRAST])[int(row["contrast"])]
    alone = LIKELIHOODS[outcome.spec.likelihood].contrasts
    name = outcome.name("reported" if alone else "reported_contrasts")
    return name, contrast_covariance(reported), between, contrast


def _redrawn(
    mean: np.ndarray,
    sd: np.ndarray,
    limits: list[np.ndarray],
    published: list[Any],
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw normals until they are published."""
    weights = [np.broadcast_to(one, mean.shape) for one in published]
    most = np.max(weights, axis=0)
    value, waiting = np.empty(mean.shape), np.ones(mean.shape, dtype=bool)
    while waiting.any():
        tried = rng.normal(mean[waiting], sd[waiting])
        own = [weight[waiting] for weight in weights]
        chance = publication([1.0 * (tried >= limit[waiting]) for limit in limits], own)
        taken = rng.random(len(tried)) < chance / most[waiting]
        places = np.argwhere(waiting)[taken]
        value[tuple(places.T)] = tried[taken]
        waiting[tuple(places.T)] = False
    return value
