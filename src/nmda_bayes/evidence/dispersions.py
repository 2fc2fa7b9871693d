"""Standard errors and SDs that a report does not print but implies, each with its formula.

From an interval, a p-value, t or F they are exact but for the digits printed. Medians, quartiles
and ranges imply them only for a normal outcome: see `order_statistics`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from nmda_bayes.evidence.arm_statistics import FloatArray, numbers, require

_quiet = np.errstate(divide="ignore", invalid="ignore")


def se_from_sd(sd: ArrayLike, n: ArrayLike) -> FloatArray:
    """SE of a mean = sd / √n.

    Parameters
    ----------
    sd
        Between people, in outcome units.
    n
        People.

    Returns
    -------
    FloatArray
        In outcome units.

    References
    ----------
    Cochrane Handbook 6.5, section 6.5.2.2.
    """
    spread, people = numbers(sd=sd, n=n)
    require(spread >= 0, "sd", "must not be negative", spread)
    require(people > 1, "n", "must be more than 1", people)
    return spread / np.sqrt(people)


def sd_from_se(se: ArrayLike, n: ArrayLike) -> FloatArray:
    """SD between people = se √n, from the SE of one arm's mean.

    Parameters
    ----------
    se
        Of the mean of one arm (not of a difference), in outcome units.
    n
        People.

    Returns
    -------
    FloatArray
        In outcome units.

    References
    ----------
    Cochrane Handbook 6.5, section 6.5.2.2.
    """
    error, people = numbers(se=se, n=n)
    require(error >= 0, "se", "must not be negative", error)
    require(people > 1, "n", "must be more than 1", people)
    return error * np.sqrt(people)


def sd_from_difference_se(se: ArrayLike, n: ArrayLike, comparator_n: ArrayLike) -> FloatArray:
    """SD common to both arms = se / √(1/n₁ + 1/n₂), from the SE of a difference of means.

    Parameters
    ----------
    se
        Of the difference between separate arms, in outcome units.
    n, comparator_n
        People in each arm.

    Returns
    -------
    FloatArray
        In outcome units.

    References
    ----------
    Cochrane Handbook 6.5, section 6.5.2.3.
    """
    error, people, others = numbers(se=se, n=n, comparator_n=comparator_n)
    require(error >= 0, "se", "must not be negative", error)
    for name, value in (("n", people), ("comparator_n", others)):
        require(value >= 1, name, "must be at least 1", value)
    return error / np.sqrt(1 / people + 1 / others)


def se_from_interval(
    low: ArrayLike, high: ArrayLike, *, level: ArrayLike, freedom: ArrayLike | None = None
) -> FloatArray:
    """SE = (high - low) / (2 q), q the (1 + level) / 2 point of the normal or t distribution.

    Parameters
    ----------
    low, high
        Ends of the interval, on a scale where it is symmetric: the logarithms for a ratio.
    level
        Coverage, 0 to 1: 0.95 for a 95 % interval.
    freedom
        Degrees of freedom, where the report made the interval with t; None for the normal.

    Returns
    -------
    FloatArray
        On the scale of the interval; NaN where it has no width.

    References
    ----------
    Cochrane Handbook 6.5, sections 6.3.1 and 6.3.2.
    """
    below, above, share = numbers(low=low, high=high, level=level)
    require((below <= above) | np.isnan(above), "low", "must not exceed high", below)
    require((share > 0) & (share < 1), "level", "must be between 0 and 1", share)
    return _positive((above - below) / (2 * _quantile((1 - share) / 2, freedom)))


@_quiet
def se_from_p(estimate: ArrayLike, p: ArrayLike, *, freedom: ArrayLike | None = None) -> FloatArray:
    """SE = |estimate| / q, q the 1 - p/2 point of the normal or t distribution.

    Parameters
    ----------
    estimate
        Against 0 for no effect: the logarithm for a ratio.
    p
        Two-sided, above 0 to 1, the value itself and not a bound such as "p < 0.05".
    freedom
        Degrees of freedom of a t-test; None for the normal.

    Returns
    -------
    FloatArray
        On the scale of the estimate; NaN where p = 1 or the estimate is 0, which imply none.

    References
    ----------
    Cochrane Handbook 6.5, sections 6.3.1 and 6.3.2.
    """
    value, probability = numbers(estimate=estimate, p=p)
    require((probability > 0) & (probability <= 1), "p", "must be above 0 to 1", probability)
    return _positive(np.abs(value) / _quantile(probability / 2, freedom))


@_quiet
def se_from_t(estimate: ArrayLike, t: ArrayLike) -> FloatArray:
    """SE = |estimate / t|.

    Parameters
    ----------
    estimate
        A difference.
    t
        Its t statistic, of either sign.

    Returns
    -------
    FloatArray
        On the scale of the estimate; NaN where t or the estimate is 0, which imply none.

    References
    ----------
    Cochrane Handbook 6.5, section 6.5.2.3.
    """
    value, statistic = numbers(estimate=estimate, t=t)
    return _positive(np.abs(value / statistic))


@_quiet
def se_from_f(estimate: ArrayLike, f: ArrayLike) -> FloatArray:
    """SE = |estimate| / √F, for an F of one degree of freedom in the numerator (F = t²).

    Parameters
    ----------
    estimate
        A difference between two arms.
    f
        Its F statistic; an F over three or more arms does not belong to one difference.

    Returns
    -------
    FloatArray
        On the scale of the estimate; NaN where F or the estimate is 0, which imply none.

    References
    ----------
    Cochrane Handbook 6.5, section 6.5.2.3, with t = √F.
    """
    value, statistic = numbers(estimate=estimate, f=f)
    require(statistic >= 0, "f", "must not be negative", statistic)
    return _positive(np.abs(value) / np.sqrt(statistic))


def _quantile(tail: FloatArray, freedom: ArrayLike | None) -> FloatArray:
    """Give the distance from 0 beyond which a share ``tail`` lies on one side."""
    if freedom is None:
        return -ndtri(tail)
    (degrees,) = numbers(freedom=freedom)
    require(degrees > 0, "freedom", "must be more than 0", degrees)
    return -stdtrit(degrees, tail)


def _positive(se: FloatArray) -> FloatArray:
    return np.where(np.isfinite(se) & (se > 0), se, np.nan)
