"""Effect sizes of means in separate arms, and the one result type of all effect sizes.

An effect is an arm against its comparator, arm minus comparator, on a scale where a normal model
holds (ratios as logarithms). Counts and rates stand in `count_effects`, trials whose people are
their own controls in `paired_effects`.

"metafor's MD" is that measure of `escalc`: Viechtbauer W (2010), J Stat Softw 36(3),
doi:10.18637/jss.v036.i03.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from nmda_bayes.evidence.arm_statistics import FloatArray, Means

#: Notes: why an effect or its variance is NaN.
OPPOSITE_SIGNS = "no ratio: means are not of one sign"
NO_VARIANCE = "no variance"

#: For code that divides by zero knowingly: what comes of it is turned to NaN by `effect`.
quiet = np.errstate(divide="ignore", invalid="ignore")


class Effect(NamedTuple):
    """Effects of several studies, each with its sampling variance.

    Attributes
    ----------
    estimate
        Arm minus comparator, on the scale that the function names; NaN where there is none.
    variance
        Square of the standard error; NaN where there is none, never 0.
    note
        Empty, or what is special: an empty cell and what was added to it, a missing variance.
    """

    estimate: FloatArray
    variance: FloatArray
    note: NDArray[np.object_]

    @property
    def se(self) -> FloatArray:
        """Standard error, on the scale of the estimate."""
        return np.sqrt(self.variance)


def effect(estimate: FloatArray, variance: FloatArray, note: NDArray[np.object_] | str) -> Effect:
    """Make effects, with NaN for whatever is not finite and for a variance that is not positive.

    Parameters
    ----------
    estimate
        May hold infinities.
    variance
        May hold infinities and zeros: a trial must not get infinite weight for having no spread.
    note
        What is special about each.

    Returns
    -------
    Effect
        Where the numbers allow no variance, and there is no note yet, the note says so.
    """
    estimate, variance = np.broadcast_arrays(estimate, variance)
    value = np.where(np.isfinite(estimate), estimate, np.nan)
    usable = np.isfinite(value) & np.isfinite(variance) & (variance > 0)
    notes = np.broadcast_to(np.asarray(note, dtype=object), value.shape)
    lost = ~np.isnan(estimate) & ~usable & (notes == "")
    return Effect(
        value, np.where(usable, variance, np.nan), np.where(lost, NO_VARIANCE, notes).astype(object)
    )


def hedges_correction(freedom: FloatArray) -> FloatArray:
    """Small-sample correction of a standardised difference, J = Γ(m/2) / (√(m/2) Γ((m-1)/2)).

    Parameters
    ----------
    freedom
        Degrees of freedom m of the SD that standardises.

    Returns
    -------
    FloatArray
        J, exact; NaN for m <= 1.

    References
    ----------
    Hedges LV (1981), J Educ Stat 6:107, doi:10.3102/10769986006002107.
    """
    m = np.where(freedom > 1, freedom, np.nan)
    return np.exp(gammaln(m / 2) - np.log(np.sqrt(m / 2)) - gammaln((m - 1) / 2))


@quiet
def mean_difference(arm: Means, comparator: Means) -> Effect:
    """MD = mean₁ - mean₂, variance sd₁²/n₁ + sd₂²/n₂ (SDs may differ).

    Parameters
    ----------
    arm, comparator
        In the same outcome units.

    Returns
    -------
    Effect
        In outcome units.

    References
    ----------
    Deeks JJ, Higgins JPT (2010), Statistical algorithms in Review Manager 5; metafor's MD.
    """
    variance = arm.sd**2 / arm.n + comparator.sd**2 / comparator.n
    return effect(arm.mean - comparator.mean, variance, "")


@quiet
def standardised_mean_difference(arm: Means, comparator: Means, *, exact: bool) -> Effect:
    """Hedges' g = J(m) (mean₁ - mean₂) / pooled SD, with m = n₁ + n₂ - 2.

    Variance, exact (its unbiased estimate)::

        1/n₁ + 1/n₂ + (1 - (m - 2) / (m J²)) g²        exists for m > 2

    large-sample::

        1/n₁ + 1/n₂ + g² / (2 (n₁ + n₂))

    Parameters
    ----------
    arm, comparator
        Each pair in its own units.
    exact
        Whether the variance is the exact one.

    Returns
    -------
    Effect
        In standard deviations.

    References
    ----------
    Hedges LV (1981), J Educ Stat 6:107, doi:10.3102/10769986006002107. Hedges LV (1983), Psychol
    Bull 93:388, doi:10.1037/0033-2909.93.2.388. metafor's SMD, vtype UB and LS.
    """
    m = arm.n + comparator.n - 2
    pooled = np.sqrt(((arm.n - 1) * arm.sd**2 + (comparator.n - 1) * comparator.sd**2) / m)
    j = hedges_correction(m)
    g = j * (arm.mean - comparator.mean) / pooled
    if exact:
        spread = np.where(m > 2, 1 - (m - 2) / (m * j**2), np.inf)
    else:
        spread = 1 / (2 * (arm.n + comparator.n))
    return effect(g, 1 / arm.n + 1 / comparator.n + spread * g**2, "")


@quiet
def review_manager_smd(arm: Means, comparator: Means) -> Effect:
    """Hedges' g as Cochrane's Review Manager prints it, J ≈ 1 - 3 / (4N - 9) with N = n₁ + n₂.

    Variance::

        N / (n₁ n₂) + g² / (2 (N - 3.94))

    For making a review's numbers again to the digit; `standardised_mean_difference` is exact.

    Parameters
    ----------
    arm, comparator
        Each pair in its own units.

    Returns
    -------
    Effect
        In standard deviations.

    References
    ----------
    Deeks JJ, Higgins JPT (2010), Statistical algorithms in Review Manager 5, section 4.
    """
    n, m = arm.n, comparator.n
    whole = n + m
    pooled = np.sqrt(((n - 1) * arm.sd**2 + (m - 1) * comparator.sd**2) / (whole - 2))
    g = (1 - 3 / (4 * whole - 9)) * (arm.mean - comparator.mean) / pooled
    return effect(g, whole / (n * m) + g**2 / (2 * (whole - 3.94)), "")


@quiet
def log_ratio_of_means(arm: Means, comparator: Means) -> Effect:
    """Log response ratio ROM = ln(mean₁ / mean₂), variance Σ sdᵢ² / (nᵢ meanᵢ²).

    Parameters
    ----------
    arm, comparator
        On a scale with a true zero; both means of one sign, otherwise NaN and a note.

    Returns
    -------
    Effect
        Natural logarithm of a ratio.

    References
    ----------
    Hedges LV, Gurevitch J, Curtis PS (1999), Ecology 80:1150; metafor's ROM.
    """
    own, other = (x.sd**2 / (x.n * x.mean**2) for x in (arm, comparator))
    ratio = arm.mean / comparator.mean
    impossible = arm.mean * comparator.mean <= 0
    return effect(
        np.log(np.where(impossible, np.nan, ratio)),
        np.where(impossible, np.nan, own + other),
        np.where(impossible, OPPOSITE_SIGNS, "").astype(object),
    )
