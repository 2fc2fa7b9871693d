"""Selection for publication: the density of published trials, and draws as published.

    w(p(y)) / Σ_k w_k · P(p in k | mean, √(se² + tau²))        a factor per trial

The factor is an observed variable next to the likelihood, so that effects of arms stay in the graph
and may be correlated between outcomes (`nmda_bayes.components.bias` derives its constant). It is
not a potential: those of `pymc.dims` have no gradient in PyMC 6.3 and are left out of
log-likelihoods. Forward draws of the likelihood ignore it; `apply_publication_selection` redraws
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import pytensor.xtensor.math as xp
import xarray as xr
from pytensor.tensor.random.op import RandomVariable
from scipy import special

from nmda_bayes.components.bias import BIASES, publication_probability
from nmda_bayes.components.likelihoods import LIKELIHOODS, contrast_covariance
from nmda_bayes.design import ARM_REPORT, WEIGHT, publication_contrasts
from nmda_bayes.dims import ARM, CONTRAST, SAMPLE, STUDY
from nmda_bayes.graph_data import shared_data
from nmda_bayes.model.bias import benefit_sign
from nmda_bayes.model.outcome import Outcome, take
from nmda_bayes.spec.outcome import PREFIX, PUBLISHED
from nmda_bayes.spec.rules import HETEROGENEITY_SD

#: The dim of the studies that may have been published or not, and that of the p-value steps.
PUBLISHED_STUDY, P_VALUE_STEP = f"published_{STUDY}", "p_value_step"
SELECTION_FACTOR = f"{PREFIX}selection"
SELECTION_MOMENTS = SELECTION_MEAN, SELECTION_SD = (
    f"{SELECTION_FACTOR}_mean",
    f"{SELECTION_FACTOR}_sd",
)


def add_publication_selection(outcome: Outcome, expected: Any, at_arm: Mapping[str, Any]) -> None:
    """Add the publication factor of each trial to the model on the stack."""
    part = outcome.spec.bias.selection
    if part is None:
        return
    contrasts, dim = publication_contrast(outcome), outcome.name(PUBLISHED_STUDY)
    step = outcome.name(P_VALUE_STEP)
    outcome.add_dim(dim, STUDY, contrasts[STUDY])
    pm.modelcontext(None).add_coords({step: [f"{p:g}" for p in part.steps]})

    def at(side: str, value: Any) -> Any:
        return take(value, outcome.arm, contrasts[side].to_numpy(int), dim)

    sign = benefit_sign(outcome)
    mean = sign * (at("arm", expected) - at("comparator", expected))
    estimates, errors = contrast_estimates(outcome, contrasts)
    estimate = shared_data(f"{dim}.estimate", estimates, (dim,))
    se = shared_data(f"{dim}.se", errors, (dim,))
    tau = at_arm.get(HETEROGENEITY_SD, 0.0)
    if HETEROGENEITY_SD in at_arm and outcome.arm in tau.type.dims:
        tau = at("arm", tau)
    mean = pmd.Deterministic(outcome.name(SELECTION_MEAN), mean, dims=(dim,))
    sd = pmd.Deterministic(outcome.name(SELECTION_SD), xp.sqrt(se**2 + tau**2), dims=(dim,))
    weights = np.ones(len(contrasts))
    if WEIGHT in outcome.reported:
        weights = outcome.reported[WEIGHT].to_numpy()[contrasts["arm"].to_numpy(int)]
    weight = shared_data(f"{dim}.{WEIGHT}", weights, (dim,))
    critical = shared_data(f"{dim}.critical", critical_values(outcome), (step,))
    relative = [
        pmd.tensor_from_xtensor(outcome.variable(name, prior))
        for name, prior in outcome.spec.bias.priors.items()
        if name.startswith(PUBLISHED)
    ]
    PublicationFactor(
        outcome.name(SELECTION_FACTOR),
        *map(pmd.tensor_from_xtensor, (mean, sd, se, weight, critical)),
        pt.stack(publication_probabilities(outcome, relative)),
        observed=(sign * estimate).values,
        dims=(dim,),
    )


def publication_contrast(outcome: Outcome) -> pd.DataFrame:
    """The contrast that decided about the publication of each study."""

    def frame(columns: list[str]) -> pd.DataFrame:
        return pd.DataFrame({c: outcome.reported[c].to_numpy() for c in columns})

    contrasts = None
    if CONTRAST in outcome.reported.dims:
        contrasts = frame(["arm_position", "comparator_position"])
    return publication_contrasts(frame([STUDY, "exposure", "report"]), contrasts)


def contrast_estimates(outcome: Outcome, contrasts: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and standard errors of contrasts with the control, from arms or as reported."""
    reported = outcome.reported
    arm, comparator, row, sign = (
        contrasts[c].to_numpy() for c in ("arm", "comparator", "contrast", "sign")
    )
    by_arms = row < 0
    estimate, se = np.zeros(len(contrasts)), np.zeros(len(contrasts))
    if by_arms.any():
        mean, variance = LIKELIHOODS[outcome.spec.likelihood].estimates(reported)
        error, a, b = np.sqrt(variance), arm[by_arms], comparator[by_arms]
        estimate[by_arms], se[by_arms] = mean[a] - mean[b], np.hypot(error[a], error[b])
    if not by_arms.all():
        rows = row[~by_arms]
        estimate[~by_arms] = sign[~by_arms] * reported["estimate"].to_numpy()[rows]
        se[~by_arms] = reported["estimate_se"].to_numpy()[rows]
    return estimate, se


def critical_values(outcome: Outcome) -> list[float]:
    """Each step of the one-sided p-value in standard errors, positive for the active arm."""
    part = outcome.spec.bias.selection
    return [] if part is None else [float(-special.ndtri(step)) for step in part.steps]


def publication_probabilities(outcome: Outcome, relative: list[Any]) -> list[Any]:
    """Probability of publication in each p-value interval, relative to the first."""
    part = outcome.spec.bias.selection
    cumulative = part is not None and part.relative_to == "previous"
    published: list[Any] = [1.0]
    for ratio in relative:
        published.append((published[-1] if cumulative else 1.0) * ratio)
    return published


class PublicationFactorRV(RandomVariable):  # type: ignore[misc]
    """The estimate of a published trial, given mean, SD, standard error and weight.

    ``critical`` are the limits of the p-values in standard errors, ``published`` the relative
    probabilities of publication. `pymc.CustomDist` would make a class for each graph, so that two
    graphs of the same structure differ and compiled code cannot be shared.
    """

    name = "selection"
    signature = "(),(),(),(),(k),(j)->()"
    dtype = "floatX"
    _print_name = ("Selection", "\\operatorname{Selection}")

    @classmethod
    def rng_fn(cls, rng: Any, *parameters: Any) -> np.ndarray:
        """Draw estimates of published trials."""
        mean, sd, se, _, critical, published, size = parameters
        shape = np.broadcast_shapes(np.shape(mean), np.shape(sd), np.shape(se), tuple(size or ()))
        mean, sd = np.broadcast_to(mean, shape), np.broadcast_to(sd, shape)
        steps = np.moveaxis(np.asarray(critical), -1, 0)
        limits = [np.broadcast_to(step * se, shape) for step in steps]
        return draw_published(mean, sd, limits, list(np.moveaxis(published, -1, 0)), rng)


class PublicationFactor(pm.Distribution):  # type: ignore[misc]
    """The factor by which selection changes the density of a trial."""

    rv_op = PublicationFactorRV()

    @classmethod
    def dist(cls, *parameters: Any, **kwargs: Any) -> Any:
        """Make the variable."""
        return super().dist(list(map(pt.as_tensor, parameters)), **kwargs)

    @staticmethod
    def support_point(rv: Any, size: Any, mean: Any, *_: Any) -> Any:
        """Start at the mean."""
        return mean

    @staticmethod
    def logp(
        estimate: Any, mean: Any, sd: Any, se: Any, weight: Any, critical: Any, published: Any
    ) -> Any:
        """Log of the factor, times the weight of the trial."""
        kept, expected = [], []
        for k in range(critical.type.shape[-1]):
            limit = critical[..., k] * se
            kept.append(pt.ge(estimate, limit).astype("float64"))
            # Phi as erfc, which is accurate in the lower tail.
            expected.append(pt.erfc((limit - mean) / (math.sqrt(2.0) * sd)) / 2.0)
        relative = [published[..., k] for k in range(published.type.shape[-1])]
        return weight * pt.log(BIASES["selection"].formula(kept, expected, published=relative))


def draw_published(
    mean: np.ndarray,
    sd: np.ndarray,
    limits: Sequence[np.ndarray],
    published: Sequence[Any],
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw normal estimates of published trials by rejection sampling."""
    weights = [np.broadcast_to(weight, mean.shape) for weight in published]
    largest = np.max(weights, axis=0)
    value, pending = np.empty(mean.shape), np.ones(mean.shape, dtype=bool)
    while pending.any():
        proposal = rng.normal(mean[pending], sd[pending])
        below = [1.0 * (proposal >= limit[pending]) for limit in limits]
        probability = publication_probability(below, [weight[pending] for weight in weights])
        accepted = rng.random(len(proposal)) < probability / largest[pending]
        indices = tuple(np.argwhere(pending)[accepted].T)
        value[indices] = proposal[accepted]
        pending[indices] = False
    return value


def apply_publication_selection(
    outcome: Outcome, drawn: xr.Dataset, parameters: xr.Dataset, seed: int, *, of_arms: bool
) -> xr.Dataset:
    """Redraw predicted results as published.

    The deciding contrast is drawn conditionally on publication, and the other rows of its study
    follow by their regression on it; given its value, selection does not affect them. With
    ``of_arms`` predictions are given the effects of the arms, else for new trials.
    """
    if outcome.spec.bias.selection is None:
        return drawn

    def draws(name: str) -> np.ndarray:
        return np.asarray(parameters[outcome.name(name)].transpose(*SAMPLE, ...).to_numpy())

    names = [n for n in outcome.spec.bias.priors if n.startswith(PUBLISHED)]
    published = publication_probabilities(outcome, list(map(draws, names)))
    mean, sd, eta = draws(SELECTION_MEAN), draws(SELECTION_SD), draws("eta")
    contrasts, rng = publication_contrast(outcome), np.random.default_rng(seed)
    sign, critical = benefit_sign(outcome), critical_values(outcome)
    _, errors = contrast_estimates(outcome, contrasts)
    redrawn = drawn.copy()
    for k in range(len(contrasts)):
        deciding = contrasts.iloc[k]
        name, sampling, between, weights = _rows_of(outcome, deciding)
        weights = sign * weights
        rows = redrawn[name].transpose(*SAMPLE, ...)
        y, tau2 = rows.to_numpy().copy(), sd[..., k] ** 2 - errors[k] ** 2
        centre, spread = mean[..., k], sd[..., k]
        if of_arms:
            arm, comparator = int(deciding["arm"]), int(deciding["comparator"])
            centre = sign * (eta[..., arm] - eta[..., comparator])
            spread, tau2 = np.full_like(centre, errors[k]), np.zeros_like(centre)
        limits = [np.full_like(centre, value * errors[k]) for value in critical]
        contrast = draw_published(centre, spread, limits, published, rng)
        covariance = sampling @ weights + tau2[..., None] / 2 * (between @ weights)
        slope = covariance / (covariance @ weights)[..., None]
        y += slope * (contrast - y @ weights)[..., None]
        redrawn[name] = rows.copy(data=y)
    return redrawn


def _rows_of(
    outcome: Outcome, deciding: pd.Series
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """The variable with a contrast, and of its rows: sampling covariance, arms' part, weights."""
    reported, likelihood = outcome.reported, LIKELIHOODS[outcome.spec.likelihood]
    if deciding["contrast"] < 0:
        arms = np.flatnonzero(reported["report"].to_numpy() == ARM_REPORT)
        _, variance = likelihood.estimates(reported)
        weights = 1.0 * (arms == deciding["arm"]) - (arms == deciding["comparator"])
        return outcome.name("reported"), np.diag(variance[arms]), np.eye(len(arms)), weights
    arm, comparator = (
        np.eye(reported.sizes[ARM])[reported[f"{side}_position"].to_numpy().astype(int)]
        for side in ("arm", "comparator")
    )
    between = (arm - comparator) @ (arm - comparator).T
    weights = deciding["sign"] * np.eye(reported.sizes[CONTRAST])[int(deciding["contrast"])]
    name = outcome.name("reported" if likelihood.contrasts else "reported_contrasts")
    return name, contrast_covariance(reported), between, weights
