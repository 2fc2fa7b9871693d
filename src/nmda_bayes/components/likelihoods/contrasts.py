"""Likelihoods of contrasts: differences of two arms, correlated where they share one."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.components.likelihoods.catalogue import column, likelihood
from nmda_bayes.components.links import IDENTITY
from nmda_bayes.named_data import named_data


@likelihood(
    "estimate ~ MvNormal(eta[arm] − eta[comparator], S)",
    columns="estimate se",
    link=IDENTITY,
    contrasts=True,
)
def normal_contrast(
    name: str, eta: Any, reported: xr.Dataset, dim: str, tie: tuple[Any, Any, Any] | None = None
) -> Any:
    """Contrasts with known standard errors, correlated where they share an arm.

    S is `contrast_covariance` (Franchini et al. 2012); without a shared arm it is diagonal and the
    contrasts are independent. With ``tie`` a part of their standard normal errors is known: its
    weight, the part, and the weight of the rest.
    """
    import pymc as pm
    import pymc.dims as pmd

    arms = eta.type.dims[0]
    position = {
        side: pmd.as_xtensor(reported[f"{side}_position"].values, dims=(dim,))
        for side in ("arm", "comparator")
    }
    mu = eta.isel({arms: position["arm"]}) - eta.isel({arms: position["comparator"]})
    se = reported["estimate_se"].values
    covariance = contrast_covariance(reported)
    weight: Any
    both: Any
    weight, both, rest = (0.0, 0.0, 1.0) if tie is None else tie
    if np.count_nonzero(covariance - np.diag(se**2)) == 0:
        error = column(reported, "estimate_se", dim)
        return pmd.Normal(
            name,
            mu=mu + error * weight * both,
            sigma=error * rest,
            observed=column(reported, "estimate", dim),
        )
    beside = f"{dim}_beside"
    pm.modelcontext(None).add_coords({beside: pm.modelcontext(None).coords[dim]})
    root = named_data(f"{dim}.covariance_root", np.linalg.cholesky(covariance), (dim, beside))
    if tie is not None:
        # The weights are alike within a trial, and so go through the blocks of the root.
        mu = mu + weight * (root * both.rename({dim: beside})).sum(beside)
        root = root * rest
    return pm.MvNormal(
        name,
        mu=mu.transpose(dim).values,
        chol=root.transpose(dim, beside).values,
        observed=column(reported, "estimate", dim).values,
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
