"""The plain random-effects pool, for comparison: what a reader of a forest plot expects to see.

No model of this package rests on it. It reproduces printed reviews, and says how imprecise and how
inconsistent a cell of the evidence is, without a prior.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtr, stdtrit

from nmda_bayes.evidence.arm_statistics import FloatArray, numbers, require
from nmda_bayes.intervals import LEVEL

#: Trials below which a test for a lopsided funnel is not made (Sterne 2011).
FUNNEL_TRIALS = 10


class Pool(NamedTuple):
    """A random-effects pool and its heterogeneity.

    Attributes
    ----------
    estimate
        Mean effect, on the scale of the effects.
    se
        Its standard error.
    lower, upper
        Ends of its 95 % confidence interval.
    tau2
        Variance between trials, on the squared scale of the effects.
    q
        Cochran's Q, weights 1/variance.
    i2
        Share of the variation that is between trials, 0 to 1; NaN for one trial.
    prediction_lower, prediction_upper
        Ends of the 95 % interval for the effect in a new trial; NaN for fewer than three trials.
    weights
        Share of each trial in the mean, in the order given; NaN for a trial without an effect.
    trials
        Trials pooled.
    """

    estimate: float
    se: float
    lower: float
    upper: float
    tau2: float
    q: float
    i2: float
    prediction_lower: float
    prediction_upper: float
    weights: FloatArray
    trials: int


def dersimonian_laird(estimate: ArrayLike, variance: ArrayLike) -> Pool:
    """Pool effects with the moment estimate of the variance between trials.

    With w = 1/v and k trials::

        Q    = Σ w (y - Σwy/Σw)²
        tau² = max(0, (Q - (k - 1)) / (Σw - Σw²/Σw))
        mean = Σ y/(v + tau²) / Σ 1/(v + tau²),  SE = (Σ 1/(v + tau²))^(-1/2),  mean ± 1.96 SE
        I²   = max(0, (Q - (k - 1)) / Q)
        new trial: mean ± t(0.975; k - 2) √(tau² + SE²)

    Parameters
    ----------
    estimate
        Effects y, on one scale (ratios as logarithms).
    variance
        Their sampling variances v, above 0. A trial whose effect or variance is NaN is left out;
        its weight is NaN.

    Returns
    -------
    Pool
        All NaN, with ``trials`` 0, where no trial has an effect.

    References
    ----------
    DerSimonian R, Laird N (1986), Control Clin Trials 7:177, doi:10.1016/0197-2456(86)90046-2.
    Higgins JPT et al. (2003), BMJ 327:557, doi:10.1136/bmj.327.7414.557 (I²). Higgins JPT,
    Thompson SG, Spiegelhalter DJ (2009), J R Stat Soc A 172:137,
    doi:10.1111/j.1467-985X.2008.00552.x, and IntHout J et al. (2016), BMJ Open 6:e010247,
    doi:10.1136/bmjopen-2015-010247 (the interval for a new trial, here with the k - 2 degrees of
    freedom of the former).
    """
    every, spread = numbers(estimate=estimate, variance=variance)
    require(spread > 0, "variance", "must be more than 0", spread)
    told = ~np.isnan(every) & ~np.isnan(spread)
    y, v = every[told], spread[told]
    weights = np.full(every.shape, np.nan)
    k = y.size
    if k == 0:
        none = float("nan")
        return Pool(none, none, none, none, none, none, none, none, none, weights, 0)
    w = 1 / v
    q = float(np.sum(w * (y - np.average(y, weights=w)) ** 2))
    excess = max(0.0, q - (k - 1)) if k > 1 else 0.0
    tau2 = excess / float(w.sum() - np.sum(w**2) / w.sum()) if k > 1 else 0.0
    pooled = 1 / (v + tau2)
    mean, se = float(np.average(y, weights=pooled)), float(pooled.sum() ** -0.5)
    weights[told] = pooled / pooled.sum()
    half = float(ndtri(_upper_tail())) * se
    new = float(stdtrit(k - 2, _upper_tail())) * np.hypot(np.sqrt(tau2), se) if k > 2 else np.nan
    i2 = float("nan") if k == 1 else excess / q if q > 0 else 0.0
    ends = (mean - half, mean + half, tau2, q, i2, float(mean - new), float(mean + new))
    return Pool(mean, se, *ends, weights, k)


def egger_p(estimate: ArrayLike, variance: ArrayLike) -> float:
    """P-value of Egger's test that small trials show other effects than large ones.

    The intercept of the line of y/SE on 1/SE against 0: two-sided, t with k - 2 degrees of freedom.

    Parameters
    ----------
    estimate
        Effects, on one scale (ratios as logarithms).
    variance
        Their sampling variances, above 0. A trial whose effect or variance is NaN is left out.

    Returns
    -------
    float
        NaN for fewer than ten trials, where the test tells nothing, or where all variances are
        equal.

    References
    ----------
    Egger M et al. (1997), BMJ 315:629, doi:10.1136/bmj.315.7109.629. Sterne JAC et al. (2011), BMJ
    343:d4002, doi:10.1136/bmj.d4002 (ten trials at the least).
    """
    every, spread = numbers(estimate=estimate, variance=variance)
    require(spread > 0, "variance", "must be more than 0", spread)
    told = ~np.isnan(every) & ~np.isnan(spread)
    se = np.sqrt(spread[told])
    k = se.size
    if k < FUNNEL_TRIALS or np.ptp(se) == 0:
        return float("nan")
    sides = np.column_stack([np.ones(k), 1 / se])
    standard = every[told] / se
    line, *_ = np.linalg.lstsq(sides, standard, rcond=None)
    noise = float(np.sum((standard - sides @ line) ** 2)) / (k - 2)
    if noise == 0:
        return float("nan")
    t = float(line[0] / np.sqrt(noise * np.linalg.inv(sides.T @ sides)[0, 0]))
    return float(2 * stdtr(k - 2, -abs(t)))


def _upper_tail() -> float:
    return 0.5 + LEVEL / 2
