"""Means and SDs from medians, quartiles and ranges: guesses that take the outcome to be normal.

So each carries the names of its methods and how uncertain its SD is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from nmda_bayes.evidence.arm_statistics import FloatArray, numbers, require

FROM_RANGE = "imputed from range: mean Luo 2018, SD Wan 2014"
FROM_QUARTILES = "imputed from quartiles: mean Luo 2018, SD Wan 2014"
FROM_BOTH = "imputed from range and quartiles: mean Luo 2018, SD Wan 2014"


class Moments(NamedTuple):
    """Means and SDs recovered from order statistics.

    Attributes
    ----------
    mean
        In outcome units; NaN without a median.
    sd
        In outcome units.
    sd_relative_se
        Standard error of ``sd`` as a share of it, were the outcome normal. (An SD computed from
        the people themselves has about 1 / √(2n).)
    note
        The methods, by name.
    """

    mean: FloatArray
    sd: FloatArray
    sd_relative_se: FloatArray
    note: NDArray[np.object_]


def moments_from_range(low: ArrayLike, median: ArrayLike, high: ArrayLike, n: ArrayLike) -> Moments:
    """Mean (Luo 2018) and SD (Wan 2014) from the smallest, median and largest value.

    Formulae::

        mean = w (low + high)/2 + (1 - w) median,    w = 4 / (4 + n^0.75)
        sd   = (high - low) / ξ,                     ξ = 2 Φ⁻¹((n - 0.375) / (n + 0.25))

    Parameters
    ----------
    low, median, high
        In outcome units; the median may be NaN.
    n
        People.

    Returns
    -------
    Moments
        In outcome units. Relative SE of the SD: π / √(6 ln n) / ξ, from the extreme-value limit
        of the range; within 6 % of simulation from n = 10 on, too large below.

    References
    ----------
    Luo D et al. (2018), Stat Methods Med Res 27:1785, doi:10.1177/0962280216669183. Wan X et al.
    (2014), BMC Med Res Methodol 14:135, doi:10.1186/1471-2288-14-135.
    """
    a, m, b, people = _ordered(n, low=low, median=median, high=high)
    weight = 4 / (4 + people**0.75)
    mean = weight * (a + b) / 2 + (1 - weight) * m
    return _moments(mean, (b - a) / _range_width(people), _range_error(people), FROM_RANGE)


def moments_from_quartiles(
    q1: ArrayLike, median: ArrayLike, q3: ArrayLike, n: ArrayLike
) -> Moments:
    """Mean (Luo 2018) and SD (Wan 2014) from the quartiles, or from the median and IQR.

    Formulae::

        mean = w (q1 + q3)/2 + (1 - w) median,    w = 0.7 + 0.39/n
        sd   = (q3 - q1) / η,                     η = 2 Φ⁻¹((0.75 n - 0.125) / (n + 0.25))

    Parameters
    ----------
    q1, median, q3
        In outcome units; the median may be NaN.
    n
        People.

    Returns
    -------
    Moments
        In outcome units. Relative SE of the SD: 1.166 / √n, the limit for quartiles of a normal
        sample; within 8 % of simulation from n = 5 on.

    References
    ----------
    Luo D et al. (2018), Stat Methods Med Res 27:1785, doi:10.1177/0962280216669183. Wan X et al.
    (2014), BMC Med Res Methodol 14:135, doi:10.1186/1471-2288-14-135.
    """
    first, m, third, people = _ordered(n, q1=q1, median=median, q3=q3)
    weight = 0.7 + 0.39 / people
    mean = weight * (first + third) / 2 + (1 - weight) * m
    sd = (third - first) / _quartile_width(people)
    return _moments(mean, sd, _quartile_error(people), FROM_QUARTILES)


def moments_from_five_numbers(
    low: ArrayLike, q1: ArrayLike, median: ArrayLike, q3: ArrayLike, high: ArrayLike, n: ArrayLike
) -> Moments:
    """Mean (Luo 2018) and SD (Wan 2014) from range and quartiles together.

    Formulae::

        mean = w (low + high)/2 + v (q1 + q3)/2 + (1 - w - v) median,
               w = 2.2 / (2.2 + n^0.75),    v = 0.7 - 0.72 / n^0.55
        sd   = ((high - low) / ξ + (q3 - q1) / η) / 2

    Parameters
    ----------
    low, q1, median, q3, high
        In outcome units; the median may be NaN.
    n
        People.

    Returns
    -------
    Moments
        In outcome units. Relative SE of the SD: those of `moments_from_range` and
        `moments_from_quartiles` for a half each, correlated by 1.2 / √n (simulated, n 10 to 400).

    References
    ----------
    Luo D et al. (2018), Stat Methods Med Res 27:1785, doi:10.1177/0962280216669183. Wan X et al.
    (2014), BMC Med Res Methodol 14:135, doi:10.1186/1471-2288-14-135.
    """
    a, first, m, third, b, people = _ordered(n, low=low, q1=q1, median=median, q3=q3, high=high)
    w, v = 2.2 / (2.2 + people**0.75), 0.7 - 0.72 / people**0.55
    mean = w * (a + b) / 2 + v * (first + third) / 2 + (1 - w - v) * m
    sd = ((b - a) / _range_width(people) + (third - first) / _quartile_width(people)) / 2
    x, y = _range_error(people), _quartile_error(people)
    together = np.minimum(1.2 / np.sqrt(people), 1)
    return _moments(mean, sd, np.sqrt(x**2 + y**2 + 2 * together * x * y) / 2, FROM_BOTH)


def _ordered(n: ArrayLike, **points: ArrayLike) -> list[FloatArray]:
    *values, people = numbers(**points, n=n)
    require(people > 1, "n", "must be more than 1", people)
    names = list(points)
    for i, name in enumerate(names):
        for j in range(i + 1, len(names)):
            fits = (values[i] <= values[j]) | np.isnan(values[j])
            require(fits, name, f"must not exceed {names[j]}", values[i])
    return [*values, people]


def _moments(mean: FloatArray, sd: FloatArray, error: FloatArray, name: str) -> Moments:
    note = np.where(np.isfinite(sd), name, "").astype(object)
    return Moments(mean, sd, np.where(np.isfinite(sd), error, np.nan), note)


def _range_width(n: FloatArray) -> FloatArray:
    return 2 * ndtri((n - 0.375) / (n + 0.25))


def _quartile_width(n: FloatArray) -> FloatArray:
    return 2 * ndtri((0.75 * n - 0.125) / (n + 0.25))


def _range_error(n: FloatArray) -> FloatArray:
    return np.pi / np.sqrt(6 * np.log(n)) / _range_width(n)


def _quartile_error(n: FloatArray) -> FloatArray:
    # With p = 1/4 and φ the density there, a quartile of a normal sample has variance
    # p (1 - p) / (n φ²) and the two have covariance p² / (n φ²): their difference, p / (n φ²).
    density, width = 0.31777657, 1.34897950
    return np.sqrt(0.25 / n) / (density * width)
