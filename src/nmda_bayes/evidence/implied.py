"""Means and standard errors that a report implies, each with the words for how it was come by.

A report may print the spread of a number in several ways. The first of these that a row gives is
used, and named in ``se_from``::

    arm         se, then sd and n, then interval, then quartiles or range (imputed)
    contrast    se, then interval, then t, then F, then p

Where a row gives several, they must agree within 10 % and the digits that were printed. The
formulae are those of `dispersions` and `order_statistics`, which are held to metafor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmda_bayes.evidence.arm_statistics import FloatArray
from nmda_bayes.evidence.dispersions import se_from_f, se_from_interval, se_from_p, se_from_t
from nmda_bayes.evidence.order_statistics import (
    Moments,
    moments_from_five_numbers,
    moments_from_quartiles,
    moments_from_range,
)
from nmda_bayes.evidence.paired_effects import sd_of_difference
from nmda_bayes.evidence.printed_digits import shares
from nmda_bayes.evidence.tree import SE_FROM_SD, SE_PRINTED

FROM_CHANGE_SD = "sd of the change and n"
FROM_PAIR = "sd before and after with their correlation, and n"
GIVEN_FREEDOM = "t with the degrees of freedom given"
#: How the flag of a guess begins; what follows names the method.
IMPUTED = "imputed"

FIVE = ("min", "q1", "median", "q3", "max")
_METHODS: dict[tuple[str, ...], Callable[..., Moments]] = {
    FIVE: moments_from_five_numbers,
    FIVE[1:4]: moments_from_quartiles,
    FIVE[::2]: moments_from_range,
}

#: Two ways to one standard error may differ by this factor, besides the digits printed.
AGREEMENT = 1.1


@dataclass
class Candidate:
    """One way to the standard errors of a table's rows.

    Attributes
    ----------
    name
        The words for it, for each row.
    se
        NaN where the row does not give it.
    low, high
        What it may be, given the digits printed and what the report leaves open.
    """

    name: np.ndarray
    se: FloatArray
    low: FloatArray
    high: FloatArray


def implied_arms(rows: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Work out the mean and standard error of arms.

    Parameters
    ----------
    rows
        Typed rows of arms, with nothing in them that cannot be.
    half
        Half a unit of the last digit printed, for the same rows and columns.

    Returns
    -------
    pd.DataFrame
        mean, mean_from, is_change_score, se_used, se_from, sd_relative_se, and ``clash``: which
        other way contradicts the one used.
    """
    x = {str(name): rows[name].to_numpy() for name in rows if rows[name].dtype.kind == "f"}
    h = {str(name): half[name].to_numpy() for name in half}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        pair = np.isnan(x["change_mean"])
        change = np.where(pair, x["post_mean"] - x["pre_mean"], x["change_mean"])
        both = sd_of_difference(x["post_sd"], x["pre_sd"], x["pre_post_correlation"])
        change_sd = np.where(np.isnan(x["change_sd"]), both, x["change_sd"])
        is_change = np.isnan(x["mean"]) & ~np.isnan(change)
        n = x["n"]
        sd = np.where(is_change, change_sd, x["sd"])
        told = np.where(np.isnan(x["change_sd"]), FROM_PAIR, FROM_CHANGE_SD)
        loose = np.where(np.isnan(x["change_sd"]), h["pre_sd"] + h["post_sd"], h["change_sd"])
        digits = np.where(is_change, loose, h["sd"])
        guess = _from_order_statistics(x)
        mean = np.where(is_change, change, x["mean"])
        guessed = np.isnan(mean) & ~np.isnan(guess.mean)
        level = shares(x["ci_level"])
        freedom = np.where(n > 1, n - 1, np.inf)
        ways = [
            _printed(x["se"], h["se"]),
            _way(np.where(is_change, told, SE_FROM_SD), sd, digits, np.sqrt(n)),
            _interval(x, h, level, freedom, "t with n - 1 degrees of freedom"),
        ]
        se, origin, clash = _first(ways)
        imputed = np.isnan(se) & ~is_change & ~np.isnan(guess.sd)
        se = np.where(imputed, guess.sd / np.sqrt(n), se)
    kinds = {note: note.split(":")[0] for note in pd.unique(guess.note)}
    kind = pd.Series(guess.note).map(kinds).to_numpy(object)
    seen = ~np.isnan(mean) | guessed
    return pd.DataFrame(
        {
            "mean": np.where(guessed, guess.mean, mean),
            "mean_from": np.select(
                [guessed, is_change & pair, is_change, seen],
                [kind + ": mean Luo 2018", "after minus before", "change printed", SE_PRINTED],
                "",
            ),
            "is_change_score": np.where(is_change, 1.0, x["is_change_score"]),
            "se_used": np.where(seen, se, np.nan),
            "se_from": np.where(seen, np.where(imputed, kind + ": SD Wan 2014", origin), ""),
            "sd_relative_se": np.where(seen & imputed, guess.sd_relative_se, np.nan),
            "clash": np.where(seen, clash, ""),
        },
        index=rows.index,
    )


def implied_contrasts(rows: pd.DataFrame, half: pd.DataFrame) -> pd.DataFrame:
    """Work out the standard error of contrasts.

    Parameters
    ----------
    rows
        Typed rows of contrasts, ratios as logarithms, with nothing in them that cannot be.
    half
        Half a unit of the last digit printed, on the same scale, for the same rows and columns.

    Returns
    -------
    pd.DataFrame
        se, se_from, and ``clash``: which other way contradicts the one used.
    """
    x = {str(name): rows[name].to_numpy() for name in rows if rows[name].dtype.kind == "f"}
    h = {str(name): half[name].to_numpy() for name in half}
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        freedom = np.where(np.isnan(x["df"]), np.inf, x["df"])
        estimate, slack = np.abs(x["estimate"]), h["estimate"]
        least, most = _finite(np.maximum(estimate - slack, 0)), _finite(estimate + slack)
        t, f, p = np.abs(x["t"]), x["f"], x["p"]
        shy = np.maximum(t - h["t"], 0)
        by_t = se_from_t(estimate, t)
        by_f = se_from_f(estimate, np.maximum(f, 0))
        by_p = _se_from_p(estimate, p, freedom)
        surest, vaguest = np.maximum(p - h["p"], 1e-300), np.minimum(p + h["p"], 1)
        name = np.where(np.isinf(freedom), "p, normal", f"p, {GIVEN_FREEDOM}")
        root = np.sqrt(np.maximum(f - h["f"], 0)), np.sqrt(f + h["f"])
        ways = [
            _printed(x["se"], h["se"]),
            _interval(
                x,
                h,
                shares(x["ci_level"]),
                freedom,
                "t with the degrees of freedom given",
                _people(x),
            ),
            Candidate(_named("t statistic", t), by_t, least / (t + h["t"]), most / shy),
            Candidate(_named("F statistic", f), by_f, least / root[1], most / root[0]),
            Candidate(
                name,
                by_p,
                np.where(np.isnan(by_p), np.nan, _se_from_p(least, surest, freedom)),
                np.where(np.isnan(by_p), np.nan, _se_from_p(most, vaguest, freedom)),
            ),
        ]
        se, origin, clash = _first(ways)
    return pd.DataFrame({"se": se, "se_from": origin, "clash": clash}, index=rows.index)


def _from_order_statistics(x: dict[str, FloatArray]) -> Moments:
    """Guess moments from quartiles, range or both: from both where a row gives both."""
    size = len(x["n"])
    mean, sd, error = (np.full(size, np.nan) for _ in range(3))
    note = np.full(size, "", dtype=object)
    people = x["n"] > 1
    quartiles = people & ~np.isnan(x["q1"]) & ~np.isnan(x["q3"])
    extremes = people & ~np.isnan(x["min"]) & ~np.isnan(x["max"])
    both, outer, inner = quartiles & extremes, ~quartiles & extremes, quartiles & ~extremes
    for rows, points in ((both, FIVE), (inner, FIVE[1:4]), (outer, FIVE[::2])):
        if rows.any():
            made = _METHODS[points](*(x[name][rows] for name in points), x["n"][rows])
            mean[rows], sd[rows], error[rows], note[rows] = made
    return Moments(mean, sd, error, note)


def _people(x: dict[str, FloatArray]) -> FloatArray:
    """Give the degrees of freedom that a t-interval of a contrast would have had, if known."""
    size = len(x["estimate"])
    treated, control = (x.get(name, np.full(size, np.nan)) for name in ("n_treat", "n_control"))
    both = treated + control - 2
    return np.where(both > 0, both, np.inf)


def _printed(se: FloatArray, digits: FloatArray) -> Candidate:
    return _way(np.full(len(se), SE_PRINTED, dtype=object), se, digits, np.ones(len(se)))


def _way(name: np.ndarray, sd: FloatArray, digits: FloatArray, root: FloatArray) -> Candidate:
    return Candidate(name, sd / root, np.maximum(sd - digits, 0) / root, (sd + digits) / root)


def _named(name: str, like: FloatArray) -> np.ndarray:
    return np.full(len(like), name, dtype=object)


def _interval(
    x: dict[str, FloatArray],
    h: dict[str, FloatArray],
    level: FloatArray,
    freedom: FloatArray,
    with_t: str,
    possible: FloatArray | None = None,
) -> Candidate:
    """Read intervals, by t where the degrees of freedom are known; the other stays possible."""
    low, high = x["ci_low"], x["ci_high"]
    if np.isnan(low).all():
        return Candidate(_named("", low), low, low, low)
    slack = h["ci_low"] + h["ci_high"]
    least = np.minimum(freedom, np.inf if possible is None else possible)
    se = _se_from_interval(low, high, level, freedom)
    # Ends that digits may have brought together: at least nothing.
    by_t = _se_from_interval(low, np.maximum(high - slack, low), level, least)
    by_normal = se_from_interval(low, _finite(high + slack), level=level)
    levels, place = np.unique(level, return_inverse=True)
    names = np.array([f"{100 * value:g} % interval" for value in levels.tolist()], dtype=object)
    name = names[place] + np.where(np.isinf(freedom), ", normal", f", {with_t}")
    return Candidate(name, se, np.where(np.isnan(se), np.nan, np.nan_to_num(by_t)), by_normal)


def _se_from_interval(
    low: FloatArray, high: FloatArray, level: FloatArray, freedom: FloatArray
) -> FloatArray:
    normal = se_from_interval(low, high, level=level)
    by_t = se_from_interval(low, high, level=level, freedom=_finite(freedom))
    return np.where(np.isinf(freedom), normal, by_t)


def _se_from_p(estimate: FloatArray, p: FloatArray, freedom: FloatArray) -> FloatArray:
    normal = se_from_p(estimate, p)
    by_t = se_from_p(estimate, p, freedom=_finite(freedom))
    return np.where(np.isinf(freedom), normal, by_t)


def _finite(value: FloatArray) -> FloatArray:
    return np.where(np.isinf(value), np.nan, value)


def _first(ways: list[Candidate]) -> tuple[FloatArray, np.ndarray, np.ndarray]:
    """Take the first way that each row gives, and say which other contradicts it."""
    size = len(ways[0].se)
    se, low, high = (np.full(size, np.nan) for _ in range(3))
    origin, clash = (np.full(size, "", dtype=object) for _ in range(2))
    for way in ways:
        given = ~np.isnan(way.se)
        new = given & np.isnan(se)
        apart = (way.low > AGREEMENT * high) | (way.high * AGREEMENT < low)
        against = given & ~new & apart & (clash == "")
        for place in np.flatnonzero(against).tolist():
            clash[place] = (
                f"{way.name[place]} gives {way.se[place]:.4g}, {origin[place]} {se[place]:.4g}"
            )
        se, low, high = (
            np.where(new, here, there)
            for here, there in ((way.se, se), (way.low, low), (way.high, high))
        )
        origin = np.where(new, way.name, origin)
    return np.where(np.isfinite(se) & (se > 0), se, np.nan), origin, clash
