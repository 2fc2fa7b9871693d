"""Likelihoods of arm means."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.components.likelihoods.catalogue import column, likelihood
from nmda_bayes.components.links import IDENTITY


@likelihood("mean ~ Normal(eta, se)", columns="mean se", link=IDENTITY, effects="MD unnamed")
def normal(name: str, eta: Any, reported: xr.Dataset, dim: str, se: Any = None) -> Any:
    """Arm means with known standard errors; with ``se``, part of the error is in eta already."""
    import pymc.dims as pmd

    return pmd.Normal(
        name,
        mu=eta,
        sigma=column(reported, "se", dim) if se is None else se,
        observed=column(reported, "mean", dim),
    )


@likelihood(
    "mean ~ StudentT(nu, eta, se)",
    columns="mean se",
    link=IDENTITY,
    effects="MD unnamed",
    positive="nu",
)
def student_t(name: str, eta: Any, reported: xr.Dataset, dim: str, *, nu: Any) -> Any:
    """Arm means whose errors have heavy tails: one wild arm moves the rest less.

    ``se`` is the t's scale, not its SD: the SD is se √(nu / (nu − 2)), and as nu grows this is
    `normal`. (Lange, Little and Taylor 1989.)
    """
    import pymc.dims as pmd

    return pmd.StudentT(
        name,
        nu=nu,
        mu=eta,
        sigma=column(reported, "se", dim),
        observed=column(reported, "mean", dim),
    )


@likelihood(
    "mean ~ Normal(eta, arm_sd / √n); (n − 1) · sd² / arm_sd² ~ ChiSquared(n − 1);"
    " log(arm_sd) ~ Normal(log_sd, sd_spread)",
    columns="mean n",
    link=IDENTITY,
    effects="MD unnamed",
    positive="sd_spread",
    of_studies="log_sd",
    also="sd",
)
def normal_with_sd(
    name: str, eta: Any, reported: xr.Dataset, dim: str, *, log_sd: Any, sd_spread: Any
) -> Any:
    """Arm means whose SDs are reports too: an arm that prints none borrows it from the others.

    The SD of the people of an arm is exchangeable between arms on the log scale; a printed SD is an
    estimate of it on n − 1 degrees of freedom. (Stevens 2011.)
    """
    import pymc as pm
    import pymc.dims as pmd
    import pytensor.xtensor.math as xp

    prefix = name.removesuffix("reported")
    z = pmd.Normal(f"{prefix}arm_sd_offset", mu=0, sigma=1, dims=(dim,))
    sd = pmd.Deterministic(f"{prefix}arm_sd", xp.exp(log_sd + sd_spread * z), dims=(dim,))
    n = reported["n"].to_numpy().astype(float)
    printed = np.flatnonzero((reported["sd"].to_numpy().astype(float) > 0) & (n > 1))
    if len(printed):
        some, rows = f"{dim}_with_sd", reported["sd"].dims[0]
        labels = pm.modelcontext(None).coords[dim] or ()
        pm.modelcontext(None).add_coords({some: [labels[i] for i in printed]})
        half = (column(reported.isel({rows: printed}), "n", some) - 1) / 2
        mine = sd.isel({dim: pmd.as_xtensor(printed, dims=(some,))})
        pmd.Gamma(
            f"{prefix}reported_variance",
            alpha=half,
            beta=half / mine**2,
            observed=column(reported.isel({rows: printed}), "sd", some) ** 2,
        )
    return pmd.Normal(
        name,
        mu=eta,
        sigma=sd / xp.sqrt(column(reported, "n", dim)),
        observed=column(reported, "mean", dim),
    )
