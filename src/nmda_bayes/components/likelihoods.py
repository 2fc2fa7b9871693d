"""Likelihoods: how what a trial reports depends on the linear predictor of its arms.

Each likelihood names the columns it needs, its link, and one function that makes the observed
variable. ``eta`` is the linear predictor over the arms that report the outcome.

To add a likelihood, write its function under one `@likelihood` line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

IDENTITY, LOGIT = "identity", "logit"


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A sampling model of reported results.

    Attributes
    ----------
    name
        What a spec calls it.
    columns
        The columns that a row must give.
    link
        ``identity`` or ``logit``: the scale of the linear predictor.
    contrasts
        True where a row is a contrast of two arms; study baselines then cancel.
    observe
        ``observe(name, eta, reported, dims)``: makes the observed variable in the model on the
        stack. ``reported`` holds the columns; ``dims`` names the observed variable's dims.
    text
        The sampling statement as a reader would write it.
    effects
        The measures of a printed contrast that are differences of this linear predictor;
        ``unnamed`` is a contrast whose table does not say. Empty for a likelihood of contrasts.
    """

    name: str
    columns: tuple[str, ...]
    link: str
    contrasts: bool
    observe: Callable[..., Any]
    text: str
    effects: tuple[str, ...] = ()

    @property
    def splits_error(self) -> bool:
        """Whether rows may share a part of their errors, as a crossover trial's means do."""
        return "se" in inspect.signature(self.observe).parameters


LIKELIHOODS: dict[str, Likelihood] = {}


def likelihood(
    text: str, *, columns: str, link: str, contrasts: bool = False, effects: str = ""
) -> Callable[[Callable[..., Any]], Likelihood]:
    """Enter a sampling model in the catalogue under its function's name.

    Parameters
    ----------
    text
        The sampling statement as a reader would write it.
    columns
        The columns that a row must give, separated by spaces.
    link
        ``identity`` or ``logit``.
    contrasts
        True where a row is a contrast of two arms.
    effects
        The measures of contrasts on the scale of the linear predictor, separated by spaces.

    Returns
    -------
    Callable
        Decorator from the function to the `Likelihood`.
    """

    def enter(observe: Callable[..., Any]) -> Likelihood:
        made = Likelihood(
            observe.__name__,
            tuple(columns.split()),
            link,
            contrasts,
            observe,
            text,
            tuple(effects.split()),
        )
        LIKELIHOODS[made.name] = made
        return made

    return enter


@likelihood("mean ~ Normal(eta, se)", columns="mean se", link=IDENTITY, effects="MD unnamed")
def normal(name: str, eta: Any, reported: xr.Dataset, dim: str, se: Any = None) -> Any:
    """Arm means with known standard errors; with ``se``, part of the error is in eta already."""
    import pymc.dims as pmd

    return pmd.Normal(
        name,
        mu=eta,
        sigma=pmd.as_xtensor(reported["se"].values, dims=(dim,)) if se is None else se,
        observed=pmd.as_xtensor(reported["mean"].values, dims=(dim,)),
    )


@likelihood(
    "events ~ Binomial(n, logit⁻¹(eta))",
    columns="events n",
    link=LOGIT,
    effects="log_OR unnamed",
)
def binomial(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Arm counts, exact: no continuity correction, zero cells as they are."""
    import pymc as pm

    # pymc.dims has no Binomial (6.3), so this one steps down to positions; eta is one dim.
    return pm.Binomial(
        name,
        n=reported["n"].values.astype(int),
        logit_p=eta.transpose(dim).values,
        observed=reported["events"].values.astype(int),
        dims=(dim,),
    )


@likelihood(
    "estimate ~ MvNormal(eta[arm] − eta[comparator], S)",
    columns="estimate se",
    link=IDENTITY,
    contrasts=True,
)
def normal_contrast(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Contrasts with known standard errors, correlated where they share an arm.

    S is `contrast_covariance` (Franchini et al. 2012); without a shared arm it is diagonal and the
    contrasts are independent.
    """
    import pymc as pm
    import pymc.dims as pmd

    arms = eta.type.dims[0]
    position = {
        side: pmd.as_xtensor(reported[f"{side}_position"].values, dims=(dim,))
        for side in ("arm", "comparator")
    }
    mu = eta.isel({arms: position["arm"]}) - eta.isel({arms: position["comparator"]})
    estimate, se = reported["estimate"].values, reported["estimate_se"].values
    covariance = contrast_covariance(reported)
    if np.count_nonzero(covariance - np.diag(se**2)) == 0:
        return pmd.Normal(
            name,
            mu=mu,
            sigma=pmd.as_xtensor(se, dims=(dim,)),
            observed=pmd.as_xtensor(estimate, dims=(dim,)),
        )
    return pm.MvNormal(
        name,
        mu=mu.transpose(dim).values,
        chol=np.linalg.cholesky(covariance),
        observed=estimate,
        dims=(dim,),
    )


def contrast_covariance(reported: xr.Dataset) -> np.ndarray:
    """Sampling covariance of contrasts that may share an arm, on either side.

    A contrast is the difference of two arms, so its variance is theirs added up: with the
    comparator's own standard error both are known. Two contrasts then covary by the variance of
    every arm that they share, with a minus where it is one's arm and the other's comparator.

    Parameters
    ----------
    reported
        ``estimate_se``, ``comparator_se``, ``arm_position`` and ``comparator_position``, dim
        contrast.

    Returns
    -------
    np.ndarray
        Square matrix with se² on the diagonal.
    """
    whole = reported["estimate_se"].to_numpy() ** 2
    comparator = np.nan_to_num(reported["comparator_se"].to_numpy()) ** 2
    known = comparator > 0
    sides = (
        (1, reported["arm_position"].to_numpy(), np.where(known, whole - comparator, 0.0)),
        (-1, reported["comparator_position"].to_numpy(), comparator),
    )
    covariance = np.zeros((len(whole), len(whole)))
    for sign, place, variance in sides:
        for other_sign, other_place, other_variance in sides:
            same = place[:, None] == other_place[None, :]
            # Two contrasts may print one arm's variance differently: the geometric mean of both.
            shared = np.sqrt(np.outer(variance.clip(min=0), other_variance.clip(min=0)))
            covariance += sign * other_sign * np.where(same, shared, 0.0)
    np.fill_diagonal(covariance, whole)
    return covariance
