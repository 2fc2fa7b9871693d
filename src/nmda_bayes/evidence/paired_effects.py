"""Effect sizes where people are their own controls: crossover trials, and before against after.

All rest on the correlation r of a person's two values. Few trials print it: it is then an
assumption, so every function takes it as an argument and none has a default::

    variance of a difference = sd₁² + sd₂² - 2 r sd₁ sd₂

For a crossover, arm and comparator are the two treatments over the same people; for a change, the
arm is after and the comparator before. Carry-over and period effects are taken to be nil.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from nmda_bayes.evidence.arm_statistics import Counts, FloatArray, Means, numbers, require
from nmda_bayes.evidence.count_effects import cells
from nmda_bayes.evidence.effect_sizes import Effect, effect, hedges_correction, quiet

#: Note: no table with these margins has this correlation; a milder one should be assumed.
OUT_OF_REACH = "correlation out of reach of these margins"


def sd_of_difference(sd: ArrayLike, comparator_sd: ArrayLike, correlation: ArrayLike) -> FloatArray:
    """SD of a person's difference = √(sd₁² + sd₂² - 2 r sd₁ sd₂); also of a change score.

    Parameters
    ----------
    sd, comparator_sd
        Of the two values, in outcome units.
    correlation
        Of a person's two values, r.

    Returns
    -------
    FloatArray
        In outcome units.

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140. Cochrane Handbook
    6.5, section 6.5.2.8.
    """
    first, second, r = numbers(sd=sd, comparator_sd=comparator_sd, correlation=correlation)
    for name, value in (("sd", first), ("comparator_sd", second)):
        require(value >= 0, name, "must not be negative", value)
    require(np.abs(r) <= 1, "correlation", "must be between -1 and 1", r)
    # (sd₁ - sd₂)² + 2 (1 - r) sd₁ sd₂: the same, and never a hair below 0 at r = 1.
    return np.sqrt((first - second) ** 2 + 2 * (1 - r) * first * second)


@quiet
def within_person_correlation(
    sd: ArrayLike, comparator_sd: ArrayLike, difference_sd: ArrayLike
) -> FloatArray:
    """Correlation that three printed SDs imply, r = (sd₁² + sd₂² - sd_d²) / (2 sd₁ sd₂).

    Parameters
    ----------
    sd, comparator_sd
        Of the two values, in outcome units.
    difference_sd
        Of a person's difference, in outcome units.

    Returns
    -------
    FloatArray
        r, -1 to 1; NaN where no correlation gives these SDs (one of them is then not what it says).

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140. Cochrane Handbook
    6.5, section 23.2.7.
    """
    first, second, apart = numbers(sd=sd, comparator_sd=comparator_sd, difference_sd=difference_sd)
    for name, value in (("sd", first), ("comparator_sd", second), ("difference_sd", apart)):
        require(value >= 0, name, "must not be negative", value)
    r = (first**2 + second**2 - apart**2) / (2 * first * second)
    return np.where(np.abs(r) <= 1, r, np.nan)


@quiet
def paired_mean_difference(arm: Means, comparator: Means, *, correlation: ArrayLike) -> Effect:
    """MD = mean₁ - mean₂, variance (sd₁² + sd₂² - 2 r sd₁ sd₂) / n.

    Parameters
    ----------
    arm, comparator
        Of the same people, with the same ``n``.
    correlation
        Of a person's two values, r.

    Returns
    -------
    Effect
        In outcome units.

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140; metafor's MC.
    """
    n = _people(arm, comparator)
    variance = sd_of_difference(arm.sd, comparator.sd, correlation) ** 2 / n
    return effect(arm.mean - comparator.mean, variance, "")


@quiet
def paired_standardised_difference(
    arm: Means, comparator: Means, *, correlation: ArrayLike
) -> Effect:
    """Crossover SMD d = (mean₁ - mean₂) / √((sd₁² + sd₂²) / 2), comparable with parallel trials.

    Variance::

        2 (1 - r) (1/n + d² / (2n))

    No small-sample correction is made, as in the source.

    Parameters
    ----------
    arm, comparator
        Of the same people, with the same ``n``.
    correlation
        Of a person's two values, r.

    Returns
    -------
    Effect
        In standard deviations between people.

    References
    ----------
    Elbourne DR et al. (2002), Int J Epidemiol 31:140, doi:10.1093/ije/31.1.140. Cochrane Handbook
    5.1, section 16.4.6.
    """
    n, r = _people(arm, comparator), _correlation(correlation)
    d = (arm.mean - comparator.mean) / np.sqrt((arm.sd**2 + comparator.sd**2) / 2)
    return effect(d, 2 * (1 - r) * (1 / n + d**2 / (2 * n)), "")


@quiet
def change_over_its_sd(after: Means, before: Means, *, correlation: ArrayLike) -> Effect:
    """SMCC = J(n-1) (mean after - mean before) / SD of the change, variance 1/n + SMCC²/(2n).

    Its unit is the SD of changes, so it must not be pooled with SMDs of parallel trials.

    Parameters
    ----------
    after, before
        Of the same people, with the same ``n``.
    correlation
        Of a person's two values, r.

    Returns
    -------
    Effect
        In standard deviations of the change.

    References
    ----------
    Gibbons RD, Hedeker DR, Davis JM (1993), J Educ Stat 18:271, doi:10.3102/10769986018003271;
    metafor's SMCC.
    """
    n = _people(after, before)
    spread = sd_of_difference(after.sd, before.sd, correlation)
    d = hedges_correction(n - 1) * (after.mean - before.mean) / spread
    return effect(d, 1 / n + d**2 / (2 * n), "")


@quiet
def change_over_baseline_sd(after: Means, before: Means, *, correlation: ArrayLike) -> Effect:
    """SMCR = J(n-1) (mean after - mean before) / SD before, variance 2 (1 - r)/n + SMCR²/(2n).

    Parameters
    ----------
    after, before
        Of the same people, with the same ``n``.
    correlation
        Of a person's two values, r.

    Returns
    -------
    Effect
        In standard deviations between people before treatment.

    References
    ----------
    Becker BJ (1988), Br J Math Stat Psychol 41:257, doi:10.1111/j.2044-8317.1988.tb00901.x;
    metafor's SMCR.
    """
    n, r = _people(after, before), _correlation(correlation)
    d = hedges_correction(n - 1) * (after.mean - before.mean) / before.sd
    return effect(d, 2 * (1 - r) / n + d**2 / (2 * n), "")


@quiet
def paired_log_odds_ratio(
    arm: Counts, comparator: Counts, *, correlation: ArrayLike, correction: float | None
) -> Effect:
    """Marginal log OR of a crossover = ln(a d / (b c)), variance Σ 1/cell - 2 r n / √(a b c d).

    a, b are people with and without the event under the arm, c, d under the comparator. This is
    the Becker-Balagtas variance Σ 1/cell - 2Δ/n, in which Δ = n² (n s - a c) / (a b c d) and the
    unprinted number s with both events follows from r: n s = a c + r √(a b c d). It estimates what
    a parallel trial does; the conditional ratio of discordant pairs does not.

    Parameters
    ----------
    arm, comparator
        Of the same people, with the same ``n``.
    correlation
        Of a person's two outcomes, r (phi). Two uneven margins cannot be closely correlated:
        where r is out of their reach, the note says so.
    correction
        Added to all four cells of a table with an empty one, and noted; None: NaN there.

    Returns
    -------
    Effect
        Natural logarithm of an odds ratio.

    References
    ----------
    Becker MP, Balagtas CC (1993), Biometrics 49:997. Elbourne DR et al. (2002), Int J Epidemiol
    31:140, doi:10.1093/ije/31.1.140. Stedman MR et al. (2011), Int J Epidemiol 40:1732. metafor's
    MPORM.
    """
    _people(arm, comparator)
    r = _correlation(correlation)
    (a, b, c, d), note = cells(arm, comparator, correction=correction)
    n, root = a + b, np.sqrt(a * b * c * d)
    both = (a * c + r * root) / n
    slack = 1e-9 * n
    impossible = (both > np.minimum(a, c) + slack) | (both < np.maximum(0, a + c - n) - slack)
    note = np.where(impossible & (note == ""), OUT_OF_REACH, note).astype(object)
    variance = 1 / a + 1 / b + 1 / c + 1 / d - 2 * r * n / root
    return effect(np.log(a * d / (b * c)), variance, note)


def _people(arm: Means | Counts, comparator: Means | Counts) -> FloatArray:
    n, m = numbers(n=arm.n, comparator_n=comparator.n)
    require((n == m) | np.isnan(m), "n", "must be the same in both arms of paired data", n)
    return n


def _correlation(correlation: ArrayLike) -> FloatArray:
    (r,) = numbers(correlation=correlation)
    require(np.abs(r) <= 1, "correlation", "must be between -1 and 1", r)
    return r
