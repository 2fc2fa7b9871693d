"""Importance weights with their tail smoothed, and how far they may be relied on.

Pareto-smoothed importance sampling: Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR 25:72.
"""

from __future__ import annotations

import warnings
from typing import Final

import arviz_stats  # noqa: F401  (gives arrays their `azstats`)
import numpy as np
import xarray as xr

from nmda_bayes.dims import SAMPLE
from nmda_bayes.logs import quietly

#: Above it weights are not reliable, however many draws there are (Vehtari et al. 2024).
K_AT_MOST: Final = 0.7
#: Log weights that differ by less carry the draws nowhere, and their tail has no shape.
NO_CHANGE: Final = 1e-12


def k_limit(draws: int) -> float:
    """Say up to which k-hat weights of so many draws are reliable.

    Parameters
    ----------
    draws
        How many are weighed.

    Returns
    -------
    float
        The lower of 0.7 and 1 − 1 / log10(draws).
    """
    return float(min(1 - 1 / np.log10(draws), K_AT_MOST))


def smoothed(log_ratio: xr.DataArray, share: float = 1.0) -> tuple[xr.DataArray, float]:
    """Smooth the tail of importance weights.

    Parameters
    ----------
    log_ratio
        Logarithms of the ratios of densities, up to a constant; dims chain and draw.
    share
        How many independent draws one of them is worth.

    Returns
    -------
    tuple[xr.DataArray, float]
        Log weights, whose exponentials add up to 1, and k-hat, the shape of their tail: 0 where all
        draws weigh alike.
    """
    flat = log_ratio - log_ratio.max()
    if float(flat.std()) < NO_CHANGE:
        return xr.zeros_like(flat) - np.log(flat.size), 0.0
    with warnings.catch_warnings(), quietly("arviz_stats"):
        warnings.simplefilter("ignore", UserWarning)  # a large k is told by those who ask
        # It asks for log densities to be left out: the negative of log weights.
        found, k_hat = (-flat).azstats.psislw(dim=list(SAMPLE), r_eff=share)
    total = np.log(float(xr.apply_ufunc(np.exp, found).sum()))
    return found.transpose(*SAMPLE) - total, float(k_hat)
