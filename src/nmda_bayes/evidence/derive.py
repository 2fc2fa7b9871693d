"""Means and standard errors derived from other statistics of a report, and how each was obtained.

The first measure of dispersion that a row has is used, and named in ``se_from``::

    arm         se, then sd and n, then interval, then quartiles or range (imputed)
    contrast    se, then interval, then t, then F, then p

Where a row has several, they must agree within 10%, apart from rounding. Section numbers are those
of the Cochrane Handbook 6.5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from nmda_bayes.evidence.effect_sizes import FloatArray, as_arrays, require, sd_of_difference
from nmda_bayes.evidence.table_io import RawTable
from nmda_bayes.evidence.tree import SE_FROM_SD, SE_PRINTED

# Standard errors and SDs, one formula each.

_ignore_division = np.errstate(divide="ignore", invalid="ignore")


def se_from_sd(sd: ArrayLike, n: ArrayLike) -> FloatArray:
    """SE of a mean = sd / √n (6.5.2.2)."""
    spread, people = as_arrays(sd=sd, n=n)
    require(spread >= 0, "sd", "must not be negative", spread)
    require(people > 1, "n", "must be more than 1", people)
    return spread / np.sqrt(people)


def sd_from_se(se: ArrayLike, n: ArrayLike) -> FloatArray:
    """SD between people = se √n, from the SE of one arm's mean (6.5.2.2)."""
    error, people = as_arrays(se=se, n=n)
    require(error >= 0, "se", "must not be negative", error)
    require(people > 1, "n", "must be more than 1", people)
    return error * np.sqrt(people)


def sd_from_difference_se(se: ArrayLike, n: ArrayLike, comparator_n: ArrayLike) -> FloatArray:
    """SD common to both arms = se / √(1/n₁ + 1/n₂), from the SE of a difference (6.5.2.3)."""
    error, people, others = as_arrays(se=se, n=n, comparator_n=comparator_n)
    require(error >= 0, "se", "must not be negative", error)
    for name, value in (("n", people), ("comparator_n", others)):
        require(value >= 1, name, "must be at least 1", value)
    return error / np.sqrt(1 / people + 1 / others)


def se_from_interval(
    low: ArrayLike, high: ArrayLike, *, level: ArrayLike, freedom: ArrayLike | None = None
) -> FloatArray:
    """SE = (high - low) / (2 q), q the (1 + level) / 2 point of the normal or t (6.3.1, 6.3.2)."""
    below, above, share = as_arrays(low=low, high=high, level=level)
    require((below <= above) | np.isnan(above), "low", "must not exceed high", below)
    require((share > 0) & (share < 1), "level", "must be between 0 and 1", share)
    return _positive((above - below) / (2 * _quantile((1 - share) / 2, freedom)))


@_ignore_division
def se_from_p(estimate: ArrayLike, p: ArrayLike, *, freedom: ArrayLike | None = None) -> FloatArray:
    """SE = |estimate| / q, q the 1 - p/2 point of the normal or t distribution (6.3.1, 6.3.2)."""
    value, probability = as_arrays(estimate=estimate, p=p)
    require((probability > 0) & (probability <= 1), "p", "must be above 0 to 1", probability)
    return _positive(np.abs(value) / _quantile(probability / 2, freedom))


@_ignore_division
def se_from_t(estimate: ArrayLike, t: ArrayLike) -> FloatArray:
    """SE = |estimate / t| (6.5.2.3)."""
    value, statistic = as_arrays(estimate=estimate, t=t)
    return _positive(np.abs(value / statistic))


@_ignore_division
def se_from_f(estimate: ArrayLike, f: ArrayLike) -> FloatArray:
    """SE = |estimate| / √F, for one degree of freedom in the numerator: t = √F (6.5.2.3)."""
    value, statistic = as_arrays(estimate=estimate, f=f)
    require(statistic >= 0, "f", "must not be negative", statistic)
    return _positive(np.abs(value) / np.sqrt(statistic))


def _quantile(tail: FloatArray, freedom: ArrayLike | None) -> FloatArray:
    """The quantile with a probability of `tail` above it; infinite degrees of freedom: normal."""
    normal = -ndtri(tail)
    if freedom is None:
        return normal
    degrees = np.asarray(freedom, dtype=float)
    require(degrees > 0, "freedom", "must be more than 0", degrees)
    return np.where(np.isinf(degrees), normal, -stdtrit(_finite(degrees), tail))


def _positive(se: FloatArray) -> FloatArray:
    return np.where(np.isfinite(se) & (se > 0), se, np.nan)


def _finite(value: FloatArray) -> FloatArray:
    return np.where(np.isinf(value), np.nan, value)


# Means and SDs imputed from medians, quartiles and ranges, assuming a normal outcome. Means by
# Luo D et al. (2018), Stat Methods Med Res 27:1785, doi:10.1177/0962280216669183; SDs by
# Wan X et al. (2014), BMC Med Res Methodol 14:135, doi:10.1186/1471-2288-14-135.

#: How the text of an imputation begins; the method follows.
IMPUTED = "imputed"


class Moments(NamedTuple):
    """Means and SDs recovered from order statistics, with the relative SE of the SD."""

    mean: FloatArray
    sd: FloatArray
    sd_relative_se: FloatArray
    note: NDArray[np.object_]


def moments_from_range(low: ArrayLike, median: ArrayLike, high: ArrayLike, n: ArrayLike) -> Moments:
    """Mean and SD from the smallest, median and largest value.

    Formulae::

        mean = w (low + high)/2 + (1 - w) median,    w = 4 / (4 + n^0.75)
        sd   = (high - low) / ξ,                     ξ = 2 Φ⁻¹((n - 0.375) / (n + 0.25))
    """
    a, m, b, people = _ordered(n, low=low, median=median, high=high)
    weight = 4 / (4 + people**0.75)
    mean = weight * (a + b) / 2 + (1 - weight) * m
    return _moments(mean, (b - a) / _range_width(people), _range_error(people), "range")


def moments_from_quartiles(
    q1: ArrayLike, median: ArrayLike, q3: ArrayLike, n: ArrayLike
) -> Moments:
    """Mean and SD from the quartiles, or from the median and IQR.

    Formulae::

        mean = w (q1 + q3)/2 + (1 - w) median,    w = 0.7 + 0.39/n
        sd   = (q3 - q1) / η,                     η = 2 Φ⁻¹((0.75 n - 0.125) / (n + 0.25))
    """
    first, m, third, people = _ordered(n, q1=q1, median=median, q3=q3)
    weight = 0.7 + 0.39 / people
    mean = weight * (first + third) / 2 + (1 - weight) * m
    sd = (third - first) / _quartile_width(people)
    return _moments(mean, sd, _quartile_error(people), "quartiles")


def moments_from_five_numbers(
    low: ArrayLike, q1: ArrayLike, median: ArrayLike, q3: ArrayLike, high: ArrayLike, n: ArrayLike
) -> Moments:
    """Mean and SD from range and quartiles together.

    Formulae::

        mean = w (low + high)/2 + v (q1 + q3)/2 + (1 - w - v) median,
               w = 2.2 / (2.2 + n^0.75),    v = 0.7 - 0.72 / n^0.55
        sd   = ((high - low) / ξ + (q3 - q1) / η) / 2
    """
    a, first, m, third, b, people = _ordered(n, low=low, q1=q1, median=median, q3=q3, high=high)
    w, v = 2.2 / (2.2 + people**0.75), 0.7 - 0.72 / people**0.55
    mean = w * (a + b) / 2 + v * (first + third) / 2 + (1 - w - v) * m
    sd = ((b - a) / _range_width(people) + (third - first) / _quartile_width(people)) / 2
    x, y = _range_error(people), _quartile_error(people)
    correlation = np.minimum(1.2 / np.sqrt(people), 1)
    error = np.sqrt(x**2 + y**2 + 2 * correlation * x * y) / 2
    return _moments(mean, sd, error, "range and quartiles")


def _ordered(n: ArrayLike, **points: ArrayLike) -> list[FloatArray]:
    *values, people = as_arrays(**points, n=n)
    require(people > 1, "n", "must be more than 1", people)
    names = list(points)
    for i, name in enumerate(names):
        for j in range(i + 1, len(names)):
            ordered = (values[i] <= values[j]) | np.isnan(values[j])
            require(ordered, name, f"must not exceed {names[j]}", values[i])
    return [*values, people]


def _moments(mean: FloatArray, sd: FloatArray, error: FloatArray, statistics: str) -> Moments:
    note = f"{IMPUTED} from {statistics}: mean Luo 2018, SD Wan 2014"
    known = np.isfinite(sd)
    return Moments(
        mean, sd, np.where(known, error, np.nan), np.where(known, note, "").astype(object)
    )


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


_FIVE_NUMBERS = ("min", "q1", "median", "q3", "max")


def _from_order_statistics(x: dict[str, FloatArray]) -> Moments:
    """Moments from quartiles, range, or both where a row has both."""
    size = len(x["n"])
    mean, sd, error = (np.full(size, np.nan) for _ in range(3))
    note = np.full(size, "", dtype=object)
    several = x["n"] > 1
    quartiles = several & ~np.isnan(x["q1"]) & ~np.isnan(x["q3"])
    extremes = several & ~np.isnan(x["min"]) & ~np.isnan(x["max"])
    methods: list[tuple[NDArray[np.bool_], tuple[str, ...], Callable[..., Moments]]] = [
        (quartiles & extremes, _FIVE_NUMBERS, moments_from_five_numbers),
        (quartiles & ~extremes, _FIVE_NUMBERS[1:4], moments_from_quartiles),
        (extremes & ~quartiles, _FIVE_NUMBERS[::2], moments_from_range),
    ]
    for rows, points, method in methods:
        if rows.any():
            moments = method(*(x[name][rows] for name in points), x["n"][rows])
            mean[rows], sd[rows], error[rows], note[rows] = moments
    return Moments(mean, sd, error, note)


# Precision of printed numbers.


def confidence_level(level: FloatArray) -> FloatArray:
    """The level of an interval as a proportion (95 and 0.95 are the same), else NaN."""
    share = np.where(level >= 50, level / 100, level)
    return np.where((share >= 0.5) & (share < 1), share, np.nan)


def rounding_half_widths(table: RawTable, columns: list[str]) -> pd.DataFrame:
    """Half a unit of the last printed digit of each number."""
    widths = {}
    for name in columns:
        if name not in table.cells:
            widths[name] = pd.Series(0.0, index=table.cells.index)
            continue
        text = table.cells[name]
        decimals = text.str.extract(r"^[-+]?\d*[.,]?(\d*)$", expand=False).str.len()
        whole = text.str.fullmatch(r"[-+]?\d+").fillna(False).astype(bool)
        digits = decimals.where(~whole, 0).astype(float)
        widths[name] = (0.5 * 10.0 ** (-digits)).fillna(0.0)
    return pd.DataFrame(widths, index=table.cells.index)


# Standard errors of the rows of a table.

#: Two standard errors of one number may differ by this factor, apart from rounding.
MAX_SE_RATIO = 1.1


@dataclass
class DerivedSE:
    """Standard errors by one method: its name, the values, and their limits by rounding."""

    name: np.ndarray
    se: FloatArray
    low: FloatArray
    high: FloatArray


def derive_arms(rows: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Derive the mean and standard error of arms; `half`: see `rounding_half_widths`."""
    x, h = _float_columns(rows), _float_columns(half)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        paired = np.isnan(x["change_mean"])
        change = np.where(paired, x["post_mean"] - x["pre_mean"], x["change_mean"])
        paired_sd = np.isnan(x["change_sd"])
        both = sd_of_difference(x["post_sd"], x["pre_sd"], x["pre_post_correlation"])
        change_sd = np.where(paired_sd, both, x["change_sd"])
        is_change = np.isnan(x["mean"]) & ~np.isnan(change)
        sd = np.where(is_change, change_sd, x["sd"])
        change_origin = np.where(
            paired_sd, "sd before and after with their correlation, and n", "sd of the change and n"
        )
        change_digits = np.where(paired_sd, h["pre_sd"] + h["post_sd"], h["change_sd"])
        digits = np.where(is_change, change_digits, h["sd"])
        moments = _from_order_statistics(x)
        mean = np.where(is_change, change, x["mean"])
        mean_imputed = np.isnan(mean) & ~np.isnan(moments.mean)
        freedom = np.where(x["n"] > 1, x["n"] - 1, np.inf)
        root_n = np.sqrt(x["n"])
        se, origin, conflict = _first_available(
            [
                _se_with_rounding(SE_PRINTED, x["se"], h["se"], 1.0),
                _se_with_rounding(
                    np.where(is_change, change_origin, SE_FROM_SD), sd, digits, root_n
                ),
                _se_from_confidence_interval(x, h, freedom, "t with n - 1 df"),
            ]
        )
        se_imputed = np.isnan(se) & ~is_change & ~np.isnan(moments.sd)
        se = np.where(se_imputed, moments.sd / root_n, se)
    method = pd.Series(moments.note).str.partition(":")[0].to_numpy(object)
    known = ~np.isnan(mean) | mean_imputed
    mean_from = np.select(
        [mean_imputed, is_change & paired, is_change, known],
        [method + ": mean Luo 2018", "after minus before", "printed change", SE_PRINTED],
        "",
    )
    return pd.DataFrame(
        {
            "mean": np.where(mean_imputed, moments.mean, mean),
            "mean_from": mean_from,
            "is_change_score": np.where(is_change, 1.0, x["is_change_score"]),
            "se": np.where(known, se, np.nan),
            "se_from": np.where(known, np.where(se_imputed, method + ": SD Wan 2014", origin), ""),
            "sd_relative_se": np.where(known & se_imputed, moments.sd_relative_se, np.nan),
            "conflict": np.where(known, conflict, ""),
        },
        index=rows.index,
    )


def derive_contrasts(rows: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Derive the standard error of contrasts; `half`: see `rounding_half_widths`."""
    x, h = _float_columns(rows), _float_columns(half)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        freedom = np.where(np.isnan(x["df"]), np.inf, x["df"])
        estimate, slack = np.abs(x["estimate"]), h["estimate"]
        smallest, largest = _finite(np.maximum(estimate - slack, 0)), _finite(estimate + slack)
        t, f, p = np.abs(x["t"]), x["f"], x["p"]
        root_low, root_high = np.sqrt(np.maximum(f - h["f"], 0)), np.sqrt(f + h["f"])
        p_low, p_high = np.maximum(p - h["p"], 1e-300), np.minimum(p + h["p"], 1)
        by_p = se_from_p(estimate, p, freedom=freedom)
        without_p = np.isnan(by_p)
        # A t interval of a contrast would have had these degrees of freedom, if they are known.
        pooled = x["n_treat"] + x["n_control"] - 2 if {"n_treat", "n_control"} <= set(x) else np.nan
        possible = np.where(pooled > 0, pooled, np.inf)
        se, origin, conflict = _first_available(
            [
                _se_with_rounding(SE_PRINTED, x["se"], h["se"], 1.0),
                _se_from_confidence_interval(x, h, freedom, "t with the given df", possible),
                DerivedSE(
                    _repeat("t statistic", t),
                    se_from_t(estimate, t),
                    smallest / (t + h["t"]),
                    largest / np.maximum(t - h["t"], 0),
                ),
                DerivedSE(
                    _repeat("F statistic", f),
                    se_from_f(estimate, np.maximum(f, 0)),
                    smallest / root_high,
                    largest / root_low,
                ),
                DerivedSE(
                    np.where(np.isinf(freedom), "p, normal", "p, t with the given df"),
                    by_p,
                    np.where(without_p, np.nan, se_from_p(smallest, p_low, freedom=freedom)),
                    np.where(without_p, np.nan, se_from_p(largest, p_high, freedom=freedom)),
                ),
            ]
        )
    return pd.DataFrame({"se": se, "se_from": origin, "conflict": conflict}, index=rows.index)


def _float_columns(frame: pd.DataFrame) -> dict[str, FloatArray]:
    return {str(name): frame[name].to_numpy() for name in frame if frame[name].dtype.kind == "f"}


def _repeat(name: str, like: FloatArray) -> np.ndarray:
    return np.full(len(like), name, dtype=object)


def _se_with_rounding(
    name: str | np.ndarray, sd: FloatArray, digits: FloatArray, root: FloatArray | float
) -> DerivedSE:
    names = _repeat(name, sd) if isinstance(name, str) else name
    return DerivedSE(names, sd / root, np.maximum(sd - digits, 0) / root, (sd + digits) / root)


def _se_from_confidence_interval(
    x: dict[str, FloatArray],
    h: dict[str, FloatArray],
    freedom: FloatArray,
    t_name: str,
    possible: FloatArray | float = np.inf,
) -> DerivedSE:
    """Standard errors from intervals, by t where the degrees of freedom are known.

    The limits allow for rounding, and for a t interval with the `possible` degrees of freedom.
    """
    low, high, level = x["ci_low"], x["ci_high"], confidence_level(x["ci_level"])
    if np.isnan(low).all():
        return DerivedSE(_repeat("", low), low, low, low)
    slack = h["ci_low"] + h["ci_high"]
    se = se_from_interval(low, high, level=level, freedom=freedom)
    fewest = np.minimum(freedom, possible)
    # Rounding may have brought the ends together.
    narrow = np.maximum(high - slack, low)
    by_t = se_from_interval(low, narrow, level=level, freedom=fewest)
    by_normal = se_from_interval(low, _finite(high + slack), level=level)
    levels, places = np.unique(level, return_inverse=True)
    names = np.array([f"{100 * value:g}% CI" for value in levels.tolist()], dtype=object)
    name = names[places] + np.where(np.isinf(freedom), ", normal", f", {t_name}")
    return DerivedSE(name, se, np.where(np.isnan(se), np.nan, np.nan_to_num(by_t)), by_normal)


def _first_available(methods: list[DerivedSE]) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """The first standard error of each row, its method, and the method that contradicts it."""
    size = len(methods[0].se)
    se, low, high = (np.full(size, np.nan) for _ in range(3))
    origin, conflict = (np.full(size, "", dtype=object) for _ in range(2))
    for method in methods:
        known = ~np.isnan(method.se)
        new = known & np.isnan(se)
        apart = (method.low > MAX_SE_RATIO * high) | (method.high * MAX_SE_RATIO < low)
        for row in np.flatnonzero(known & ~new & apart & (conflict == "")).tolist():
            conflict[row] = (
                f"{method.name[row]} gives {method.se[row]:.4g}, {origin[row]} {se[row]:.4g}"
            )
        se, low, high = (
            np.where(new, ours, before)
            for ours, before in ((method.se, se), (method.low, low), (method.high, high))
        )
        origin = np.where(new, method.name, origin)
    return _positive(se), origin, conflict
