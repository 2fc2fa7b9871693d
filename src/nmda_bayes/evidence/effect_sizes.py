"""Effect sizes and their sampling variances: means, counts, rates and paired data of two arms.

An effect is arm minus comparator on a scale with approximately normal errors (ratios as
logarithms). "metafor's MD" is that measure of `escalc`: Viechtbauer W (2010), J Stat Softw 36(3),
doi:10.18637/jss.v036.i03.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

FloatArray = NDArray[np.float64]

#: Notes: why an effect or its variance is NaN, or what was added to a table.
OPPOSITE_SIGNS = "no ratio: means are not of one sign"
NO_VARIANCE = "no variance"
NO_EVENTS = "no events in any arm"
ALL_EVENTS = "only events in every arm"
ZERO_CELL = "zero cell"
#: No table with these margins has this correlation: assume a smaller one.
IMPOSSIBLE_CORRELATION = "correlation impossible with these margins"

#: For code that divides by 0: `build_effect` turns the result into NaN.
ignore_division = np.errstate(divide="ignore", invalid="ignore")


def as_arrays(**arguments: ArrayLike) -> list[FloatArray]:
    """Convert arguments to arrays of one shape, or raise a ValueError that names the wrong one."""
    arrays = []
    for name, value in arguments.items():
        try:
            array = np.array(value, dtype=float)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be numeric: {error}") from error
        require(~np.isinf(array), name, "must be finite", array)
        arrays.append(array)
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError as error:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in zip(arguments, arrays, strict=True))
        raise ValueError(f"arguments of different lengths: {shapes}") from error


def require(holds: NDArray[np.bool_], name: str, rule: str, value: FloatArray) -> None:
    """Raise a ValueError at the first value that breaks a rule; NaN always passes."""
    wrong = ~np.asarray(holds) & ~np.isnan(value)
    if wrong.any():
        index = int(np.flatnonzero(wrong)[0])
        position = f" at position {index}" if value.ndim else ""
        raise ValueError(f"{name} {rule}: {float(value.ravel()[index]):g}{position}")


def _require_correlation(value: FloatArray) -> None:
    require(np.abs(value) <= 1, "correlation", "must be between -1 and 1", value)


def _require_nonnegative(**values: FloatArray) -> None:
    for name, value in values.items():
        require(value >= 0, name, "must not be negative", value)


@dataclass(init=False, eq=False, slots=True)
class Means:
    """Mean, SD and number of people of one arm, or of one period of a crossover, in each study."""

    mean: FloatArray
    sd: FloatArray
    n: FloatArray

    def __init__(self, mean: ArrayLike, sd: ArrayLike, n: ArrayLike) -> None:
        self.mean, self.sd, self.n = as_arrays(mean=mean, sd=sd, n=n)
        _require_nonnegative(sd=self.sd)
        require(self.n > 1, "n", "must be more than 1", self.n)


@dataclass(init=False, eq=False, slots=True)
class Counts:
    """People with the event, and all people, in one arm of each study."""

    events: FloatArray
    n: FloatArray

    def __init__(self, events: ArrayLike, n: ArrayLike) -> None:
        self.events, self.n = as_arrays(events=events, n=n)
        _require_nonnegative(events=self.events)
        require(self.n >= 1, "n", "must be at least 1", self.n)
        possible = (self.events <= self.n) | np.isnan(self.n)
        require(possible, "events", "must not exceed n", self.events)


@dataclass(init=False, eq=False, slots=True)
class Rates:
    """Events and person-time in one arm of each study."""

    events: FloatArray
    time: FloatArray

    def __init__(self, events: ArrayLike, time: ArrayLike) -> None:
        self.events, self.time = as_arrays(events=events, time=time)
        _require_nonnegative(events=self.events)
        require(self.time > 0, "time", "must be more than 0", self.time)


class Effect(NamedTuple):
    """Effects of several studies, each with its sampling variance."""

    estimate: FloatArray
    variance: FloatArray
    note: NDArray[np.object_]

    @property
    def se(self) -> FloatArray:
        """Standard error, on the scale of the estimate."""
        return np.sqrt(self.variance)


def build_effect(
    estimate: FloatArray, variance: FloatArray, note: NDArray[np.object_] | str
) -> Effect:
    """Build effects; what is not finite and variances that are not positive become NaN."""
    estimate, variance = np.broadcast_arrays(estimate, variance)
    value = np.where(np.isfinite(estimate), estimate, np.nan)
    usable = np.isfinite(value) & np.isfinite(variance) & (variance > 0)
    notes = np.broadcast_to(np.asarray(note, dtype=object), value.shape)
    notes = np.where(~np.isnan(estimate) & ~usable & (notes == ""), NO_VARIANCE, notes)
    return Effect(value, np.where(usable, variance, np.nan), notes.astype(object))


def hedges_correction(freedom: FloatArray) -> FloatArray:
    """Small-sample correction of a standardised difference, J = Γ(m/2) / (√(m/2) Γ((m-1)/2)).

    References
    ----------
    Hedges LV (1981), J Educ Stat 6:107, doi:10.3102/10769986006002107.
    """
    m = np.where(freedom > 1, freedom, np.nan)
    return np.exp(gammaln(m / 2) - np.log(np.sqrt(m / 2)) - gammaln((m - 1) / 2))


@ignore_division
def mean_difference(arm: Means, comparator: Means) -> Effect:
    """MD = mean₁ - mean₂, variance sd₁²/n₁ + sd₂²/n₂ (SDs may differ).

    References
    ----------
    Deeks JJ, Higgins JPT (2010), Statistical algorithms in Review Manager 5; metafor's MD.
    """
    variance = arm.sd**2 / arm.n + comparator.sd**2 / comparator.n
    return build_effect(arm.mean - comparator.mean, variance, "")


@ignore_division
def standardised_mean_difference(arm: Means, comparator: Means, *, exact: bool) -> Effect:
    """Hedges' g = J(m) (mean₁ - mean₂) / pooled SD, with m = n₁ + n₂ - 2.

    Variance, exact (its unbiased estimate)::

        1/n₁ + 1/n₂ + (1 - (m - 2) / (m J²)) g²        exists for m > 2

    large-sample::

        1/n₁ + 1/n₂ + g² / (2 (n₁ + n₂))

    References
    ----------
    Hedges LV (1981), J Educ Stat 6:107, doi:10.3102/10769986006002107. Hedges LV (1983), Psychol
    Bull 93:388, doi:10.1037/0033-2909.93.2.388. metafor's SMD, vtype UB and LS.
    """
    m = arm.n + comparator.n - 2
    j = hedges_correction(m)
    g = j * (arm.mean - comparator.mean) / _pooled_sd(arm, comparator)
    if exact:
        factor = np.where(m > 2, 1 - (m - 2) / (m * j**2), np.inf)
    else:
        factor = 1 / (2 * (arm.n + comparator.n))
    return build_effect(g, 1 / arm.n + 1 / comparator.n + factor * g**2, "")


def _pooled_sd(arm: Means, comparator: Means) -> FloatArray:
    squares = (arm.n - 1) * arm.sd**2 + (comparator.n - 1) * comparator.sd**2
    return np.sqrt(squares / (arm.n + comparator.n - 2))


@ignore_division
def revman_smd(arm: Means, comparator: Means) -> Effect:
    """Hedges' g of Cochrane's Review Manager, J ≈ 1 - 3 / (4N - 9) with N = n₁ + n₂.

    Variance::

        N / (n₁ n₂) + g² / (2 (N - 3.94))

    Reproduces the numbers of a Cochrane review; `standardised_mean_difference` is exact.

    References
    ----------
    Deeks JJ, Higgins JPT (2010), Statistical algorithms in Review Manager 5, section 4.
    """
    n, m = arm.n, comparator.n
    total = n + m
    g = (1 - 3 / (4 * total - 9)) * (arm.mean - comparator.mean) / _pooled_sd(arm, comparator)
    return build_effect(g, total / (n * m) + g**2 / (2 * (total - 3.94)), "")


@ignore_division
def log_ratio_of_means(arm: Means, comparator: Means) -> Effect:
    """Log response ratio ROM = ln(mean₁ / mean₂), variance Σ sdᵢ² / (nᵢ meanᵢ²).

    References
    ----------
    Hedges LV, Gurevitch J, Curtis PS (1999), Ecology 80:1150; metafor's ROM.
    """
    variance = sum(x.sd**2 / (x.n * x.mean**2) for x in (arm, comparator))
    impossible = arm.mean * comparator.mean <= 0
    return build_effect(
        np.log(np.where(impossible, np.nan, arm.mean / comparator.mean)),
        np.where(impossible, np.nan, variance),
        np.where(impossible, OPPOSITE_SIGNS, "").astype(object),
    )


@ignore_division
def log_odds_ratio(arm: Counts, comparator: Counts, *, correction: float | None) -> Effect:
    """Log OR = ln(a d / (b c)), variance 1/a + 1/b + 1/c + 1/d.

    a, b are people with and without the event in the arm, c, d in the comparator.

    References
    ----------
    Woolf B (1955), Ann Hum Genet 19:251, doi:10.1111/j.1469-1809.1955.tb01348.x; metafor's OR.
    """
    (a, b, c, d), note = two_by_two_cells(arm, comparator, correction=correction)
    return build_effect(np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d, note)


@ignore_division
def log_risk_ratio(arm: Counts, comparator: Counts, *, correction: float | None) -> Effect:
    """Log RR = ln((a/n₁) / (c/n₂)), variance 1/a - 1/n₁ + 1/c - 1/n₂.

    References
    ----------
    Katz D et al. (1978), Biometrics 34:469, doi:10.2307/2530610; metafor's RR.
    """
    (a, b, c, d), note = two_by_two_cells(arm, comparator, correction=correction)
    n, m = a + b, c + d
    # b / (a n) is 1/a - 1/n without its rounding error if everyone has the event.
    return build_effect(np.log(a / n / (c / m)), b / (a * n) + d / (c * m), note)


@ignore_division
def risk_difference(arm: Counts, comparator: Counts, *, correction: float | None) -> Effect:
    """RD = p₁ - p₂, variance Σ pᵢ (1 - pᵢ) / nᵢ.

    References
    ----------
    Deeks JJ, Higgins JPT (2010), Statistical algorithms in Review Manager 5; metafor's RD.
    """
    (a, b, c, d), note = two_by_two_cells(arm, comparator, correction=correction)
    n, m = a + b, c + d
    return build_effect(a / n - c / m, a * b / n**3 + c * d / m**3, note)


@ignore_division
def logit_proportion(arm: Counts, *, correction: float | None) -> Effect:
    """Log odds of one arm = ln(a / b), variance 1/a + 1/b.

    References
    ----------
    Woolf B (1955), Ann Hum Genet 19:251, for one arm of his ratio; metafor's PLO.
    """
    (a, b), note = two_by_two_cells(arm, correction=correction)
    return build_effect(np.log(a / b), 1 / a + 1 / b, note)


@ignore_division
def log_rate(arm: Rates, *, correction: float | None) -> Effect:
    """Log rate of one arm = ln(x / time), variance 1/x (Poisson).

    References
    ----------
    Cochrane Handbook 6.5, section 6.7; metafor's IRLN.
    """
    (x,), note = _correct_zero_cells([arm.events], [], correction)
    return build_effect(np.log(x / arm.time), 1 / x, note)


@ignore_division
def log_rate_ratio(arm: Rates, comparator: Rates, *, correction: float | None) -> Effect:
    """Log IRR = ln((x₁/time₁) / (x₂/time₂)), variance 1/x₁ + 1/x₂ (Poisson).

    References
    ----------
    Cochrane Handbook 6.5, section 6.7; metafor's IRR.
    """
    (x, y), note = _correct_zero_cells([arm.events, comparator.events], [], correction)
    return build_effect(np.log(x / arm.time / (y / comparator.time)), 1 / x + 1 / y, note)


def two_by_two_cells(
    *arms: Counts, correction: float | None
) -> tuple[list[FloatArray], NDArray[np.object_]]:
    """Return people with and without the event by arm, corrected if asked, and notes."""
    events = [arm.events for arm in arms]
    others = [arm.n - arm.events for arm in arms]
    cells, note = _correct_zero_cells(events, others, correction)
    pairs = zip(cells[: len(arms)], cells[len(arms) :], strict=True)
    return [cell for pair in pairs for cell in pair], note


def _correct_zero_cells(
    events: list[FloatArray], others: list[FloatArray], correction: float | None
) -> tuple[list[FloatArray], NDArray[np.object_]]:
    """Add a correction to every cell of tables with an empty one; note which kind it is."""
    if correction is not None and not 0 < correction < np.inf:
        raise ValueError(f"correction must be more than 0, or None: {correction}")
    table = np.stack(np.broadcast_arrays(*events, *others))
    zero = table == 0
    corrected = zero.any(axis=0) & ~np.isnan(table).any(axis=0)
    no_events, no_others = zero[: len(events)], zero[len(events) :]
    all_events = no_others.all(axis=0) if others else np.zeros_like(corrected)
    kind = np.select([no_events.all(axis=0), all_events], [NO_EVENTS, ALL_EVENTS], ZERO_CELL)
    if correction is not None:
        table = table + correction * corrected
        kind = np.char.add(kind, f": {correction:g} added to every cell")
    return list(table), np.where(corrected, kind, "").astype(object)


def sd_of_difference(sd: ArrayLike, comparator_sd: ArrayLike, correlation: ArrayLike) -> FloatArray:
    """SD of within-person differences = √(sd₁² + sd₂² - 2 r sd₁ sd₂); also of a change score.

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140. Cochrane Handbook
    6.5, section 6.5.2.8.
    """
    first, second, r = as_arrays(sd=sd, comparator_sd=comparator_sd, correlation=correlation)
    _require_nonnegative(sd=first, comparator_sd=second)
    _require_correlation(r)
    # (sd₁ - sd₂)² + 2 (1 - r) sd₁ sd₂ is the same, and never negative by rounding at r = 1.
    return np.sqrt((first - second) ** 2 + 2 * (1 - r) * first * second)


@ignore_division
def within_person_correlation(
    sd: ArrayLike, comparator_sd: ArrayLike, difference_sd: ArrayLike
) -> FloatArray:
    """Correlation implied by three reported SDs, r = (sd₁² + sd₂² - sd_d²) / (2 sd₁ sd₂).

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140. Cochrane Handbook
    6.5, section 23.2.7.
    """
    names = ("sd", "comparator_sd", "difference_sd")
    sds = as_arrays(**dict(zip(names, (sd, comparator_sd, difference_sd), strict=True)))
    _require_nonnegative(**dict(zip(names, sds, strict=True)))
    first, second, difference = sds
    r = (first**2 + second**2 - difference**2) / (2 * first * second)
    return np.where(np.abs(r) <= 1, r, np.nan)


@ignore_division
def paired_mean_difference(arm: Means, comparator: Means, *, correlation: ArrayLike) -> Effect:
    """MD = mean₁ - mean₂, variance (sd₁² + sd₂² - 2 r sd₁ sd₂) / n.

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140; metafor's MC.
    """
    n = _paired_n(arm, comparator)
    variance = sd_of_difference(arm.sd, comparator.sd, correlation) ** 2 / n
    return build_effect(arm.mean - comparator.mean, variance, "")


@ignore_division
def paired_standardised_difference(
    arm: Means, comparator: Means, *, correlation: ArrayLike
) -> Effect:
    """Crossover SMD d = (mean₁ - mean₂) / √((sd₁² + sd₂²) / 2), comparable with parallel trials.

    Variance::

        2 (1 - r) (1/n + d² / (2n))

    No small-sample correction is made, as in the source.

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140. Cochrane Handbook
    5.1, section 16.4.6.
    """
    n, r = _paired_n(arm, comparator), _checked_correlation(correlation)
    d = (arm.mean - comparator.mean) / np.sqrt((arm.sd**2 + comparator.sd**2) / 2)
    return build_effect(d, 2 * (1 - r) * (1 / n + d**2 / (2 * n)), "")


@ignore_division
def mean_change_over_change_sd(after: Means, before: Means, *, correlation: ArrayLike) -> Effect:
    """SMCC = J(n-1) (mean after - mean before) / SD of the change, variance 1/n + SMCC²/(2n).

    In SDs of changes: not to be pooled with SMDs of parallel trials.

    References
    ----------
    Gibbons RD, Hedeker DR, Davis JM (1993), J Educ Stat 18:271, doi:10.3102/10769986018003271;
    metafor's SMCC.
    """
    n = _paired_n(after, before)
    change_sd = sd_of_difference(after.sd, before.sd, correlation)
    d = hedges_correction(n - 1) * (after.mean - before.mean) / change_sd
    return build_effect(d, 1 / n + d**2 / (2 * n), "")


@ignore_division
def mean_change_over_baseline_sd(after: Means, before: Means, *, correlation: ArrayLike) -> Effect:
    """SMCR = J(n-1) (mean after - mean before) / SD before, variance 2 (1 - r)/n + SMCR²/(2n).

    References
    ----------
    Becker BJ (1988), Br J Math Stat Psychol 41:257, doi:10.1111/j.2044-8317.1988.tb00901.x;
    metafor's SMCR.
    """
    n, r = _paired_n(after, before), _checked_correlation(correlation)
    d = hedges_correction(n - 1) * (after.mean - before.mean) / before.sd
    return build_effect(d, 2 * (1 - r) / n + d**2 / (2 * n), "")


@ignore_division
def paired_log_odds_ratio(
    arm: Counts, comparator: Counts, *, correlation: ArrayLike, correction: float | None
) -> Effect:
    """Marginal log OR of a crossover = ln(a d / (b c)), variance Σ 1/cell - 2 r n / √(a b c d).

    a, b are people with and without the event under the arm, c, d under the comparator. This is
    the Becker-Balagtas variance Σ 1/cell - 2Δ/n, Δ = n² (n s - a c) / (a b c d), where the number s
    with both events follows from r: n s = a c + r √(a b c d). The estimand is that of a parallel
    trial, unlike that of the conditional ratio of discordant pairs.

    References
    ----------
    Becker MP, Balagtas CC (1993), Biometrics 49:997. Elbourne DR et al. (2002), Int J Epidemiol
    31:140, doi:10.1093/ije/31.1.140. Stedman MR et al. (2011), Int J Epidemiol 40:1732. metafor's
    MPORM.
    """
    _paired_n(arm, comparator)
    r = _checked_correlation(correlation)
    (a, b, c, d), note = two_by_two_cells(arm, comparator, correction=correction)
    n, root = a + b, np.sqrt(a * b * c * d)
    both = (a * c + r * root) / n
    tolerance = 1e-9 * n
    too_many = both > np.minimum(a, c) + tolerance
    impossible = too_many | (both < np.maximum(0, a + c - n) - tolerance)
    note = np.where(impossible & (note == ""), IMPOSSIBLE_CORRELATION, note).astype(object)
    variance = 1 / a + 1 / b + 1 / c + 1 / d - 2 * r * n / root
    return build_effect(np.log(a * d / (b * c)), variance, note)


def _paired_n(arm: Means | Counts, comparator: Means | Counts) -> FloatArray:
    n, m = as_arrays(n=arm.n, comparator_n=comparator.n)
    require((n == m) | np.isnan(m), "n", "must be the same in both arms of paired data", n)
    return n


def _checked_correlation(correlation: ArrayLike) -> FloatArray:
    (r,) = as_arrays(correlation=correlation)
    _require_correlation(r)
    return r


@ignore_division
def shared_comparator_variance(
    arm: Means, comparator: Means, effect: Effect, *, standardised: bool
) -> FloatArray:
    """Covariance of the effects of several arms of one trial with the same comparator.

    Log ratios of means: sd₀² / (n₀ mean₀²). Standardised differences, with N people in the trial::

        1/n₀ + gᵢ gⱼ / (2N)

    which is the mean over the pairs i, j where there are more than two effects.

    References
    ----------
    Gleser LJ, Olkin I (2009), in Cooper H, Hedges LV, Valentine JC, The Handbook of Research
    Synthesis and Meta-Analysis, 2nd ed, chapter 19. Lajeunesse MJ (2011), Ecology 92:2049.
    """
    size = len(effect.estimate)
    if not standardised:
        ratio = comparator.sd**2 / (comparator.n * comparator.mean**2)
        return np.broadcast_to(ratio, (size,)).copy()
    total = arm.n.sum() + comparator.n[0]
    products = np.outer(effect.estimate, effect.estimate)
    pairs = products[np.triu_indices(size, 1)]
    mean_product = pairs.mean() if pairs.size else 0.0
    return np.full(size, 1 / comparator.n[0] + mean_product / (2 * total))
