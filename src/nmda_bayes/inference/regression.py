"""Regressions with normal priors, many at once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from nmda_bayes.inference.affine import Linear
from nmda_bayes.inference.threads import on_one_thread


@dataclass(frozen=True)
class Solved:
    """The posterior of the latents at each point.

    Attributes
    ----------
    mean
        Dims point and latent.
    root
        Cholesky factor of the posterior precision, dims point, latent, latent.
    log_evidence
        Log density of what was observed, the latents integrated out; dim point.
    """

    mean: np.ndarray
    root: np.ndarray
    log_evidence: np.ndarray


@on_one_thread
def solve(regression: Linear) -> Solved:
    """Solve a regression at every point of its scales.

    Parameters
    ----------
    regression
        Design, target and sampling covariance; the priors stand with the latents.

    Returns
    -------
    Solved
        The posterior of the latents.
    """
    blocks = regression.latents.blocks.values()
    prior_mean = np.concatenate([np.full(b.size, b.mean) for b in blocks])
    prior_precision = np.concatenate([np.full(b.size, b.sd**-2.0) for b in blocks])
    # Rows whitened once: L⁻¹X and L⁻¹y with V = LL', then V is gone from every formula.
    whitener = np.linalg.inv(np.linalg.cholesky(regression.covariance))
    x = whitener @ regression.design
    y = regression.target @ whitener.T
    # The prior's mean is taken out first: the rest has mean 0, and no large terms cancel.
    y = y - x @ prior_mean
    precision = np.swapaxes(x, -1, -2) @ x
    diagonal = np.arange(len(prior_precision))
    precision[..., diagonal, diagonal] += prior_precision
    root = _roots(precision)
    moment = np.einsum("prl,pr->pl", x, y)
    half = np.linalg.solve(root, moment[..., None])[..., 0]
    mean = np.linalg.solve(np.swapaxes(root, -1, -2), half[..., None])[..., 0]
    log_evidence = (
        -0.5 * (y.shape[-1] * np.log(2 * np.pi) + (y**2).sum(-1) - (half**2).sum(-1))
        + np.log(np.diag(whitener)).sum()
        + 0.5 * np.log(prior_precision).sum()
        - np.log(root[..., diagonal, diagonal]).sum(-1)
    )
    return Solved(prior_mean + mean, root, log_evidence)


def _roots(precision: np.ndarray) -> np.ndarray:
    """Cholesky factors; NaN where scales are so far from the data that rounding leaves none."""
    try:
        return np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        roots = np.full_like(precision, np.nan)
        for place, one in enumerate(precision):
            with suppress(np.linalg.LinAlgError):
                roots[place] = np.linalg.cholesky(one)
        return roots
