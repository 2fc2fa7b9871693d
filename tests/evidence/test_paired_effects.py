"""Paired effect sizes agree with worked examples, and have the invariances of their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmda_bayes.evidence.effect_sizes import (
    IMPOSSIBLE_CORRELATION,
    ZERO_CELL,
    Counts,
    Means,
    log_odds_ratio,
    mean_change_over_change_sd,
    mean_difference,
    paired_log_odds_ratio,
    paired_mean_difference,
    paired_standardised_difference,
    sd_of_difference,
    within_person_correlation,
)

# Example of the Cochrane Handbook 5.1, 16.4.6.4: ten people, 7.0 (SD 2.38) vs 6.5 (SD 2.21).
WORKED = Means(7.0, 2.38, 10), Means(6.5, 2.21, 10)


@pytest.mark.reference
def test_handbook_mean_difference_by_correlation():
    md = paired_mean_difference(*WORKED, correlation=0.68)
    assert (round(float(md.estimate), 3), round(float(md.se), 3)) == (0.5, 0.583)


@pytest.mark.reference
def test_handbook_mean_difference_by_sd_of_differences():
    # SD of differences 2, from other trials: SE 0.632 by the implied correlation.
    r = within_person_correlation(2.38, 2.21, 2)
    md = paired_mean_difference(*WORKED, correlation=r)
    assert (round(float(md.estimate), 3), round(float(md.se), 3)) == (0.5, 0.632)
    np.testing.assert_allclose(r, (2.38**2 + 2.21**2 - 4) / (2 * 2.38 * 2.21))


@pytest.mark.reference
def test_handbook_standardised_difference():
    smd = paired_standardised_difference(*WORKED, correlation=0.68)
    assert (round(float(smd.estimate), 3), round(float(smd.se), 3)) == (0.218, 0.256)


@pytest.mark.parametrize("r", [-0.4, 0.0, 0.5, 0.9])
def test_crossover_variance_relative_to_parallel(r):
    """Elbourne: with equal SDs the variance is (1 - r) times that of a parallel trial of 2n."""
    arm, comparator = Means(7.0, 2.3, 10), Means(6.5, 2.3, 10)
    parallel = mean_difference(arm, comparator).variance
    paired = paired_mean_difference(arm, comparator, correlation=r).variance
    np.testing.assert_allclose(paired, (1 - r) * parallel)


def test_paired_difference_from_individual_data():
    on = np.array([52.0, 40, 61, 33, 48, 57, 45])
    off = np.array([60.0, 47, 59, 45, 55, 70, 44])
    sds, r = (on.std(ddof=1), off.std(ddof=1)), np.corrcoef(on, off)[0, 1]
    result = paired_mean_difference(
        Means(on.mean(), sds[0], 7), Means(off.mean(), sds[1], 7), correlation=r
    )
    differences = on - off
    np.testing.assert_allclose(result.estimate, differences.mean())
    np.testing.assert_allclose(result.variance, differences.var(ddof=1) / 7)
    np.testing.assert_allclose(within_person_correlation(*sds, differences.std(ddof=1)), r)
    assert np.isnan(within_person_correlation(1, 1, 3))


def test_paired_odds_ratio_by_hand():
    # 25 people: 10 with the event under both, 5 under the arm only, 2 under the comparator only,
    # 8 under neither. Margins 15:10 and 12:13.
    n, s, a, b, c, d = 25, 10, 15, 10, 12, 13
    delta = n**2 * (n * s - a * c) / (a * b * c * d)
    variance = 1 / a + 1 / b + 1 / c + 1 / d - 2 * delta / n
    phi = (10 * 8 - 5 * 2) / np.sqrt(a * b * c * d)
    result = paired_log_odds_ratio(Counts(a, n), Counts(c, n), correlation=phi, correction=None)
    np.testing.assert_allclose(result.estimate, np.log(15 * 13 / (10 * 12)))
    np.testing.assert_allclose(result.variance, variance)
    np.testing.assert_allclose(result.variance, 0.177350, atol=1e-6)
    alone = paired_log_odds_ratio(Counts(a, n), Counts(c, n), correlation=0, correction=None)
    separate = log_odds_ratio(Counts(a, n), Counts(c, n), correction=None)
    np.testing.assert_allclose(alone.variance, separate.variance)


# People by outcome: under both treatments, the arm alone, the comparator alone, neither.
PAIRS = [(40, 10, 2, 15), (3, 9, 4, 20), (12, 1, 6, 30)]


@pytest.mark.parametrize("pairs", PAIRS)
def test_paired_odds_ratio_equals_the_delta_method(pairs):
    """The variance of Becker and Balagtas from the multinomial distribution and its gradient."""
    both, first, second, neither = pairs
    n = sum(pairs)
    a, c = both + first, both + second
    phi = (both * neither - first * second) / np.sqrt(a * (n - a) * c * (n - c))
    result = paired_log_odds_ratio(Counts(a, n), Counts(c, n), correlation=phi, correction=None)
    shares = np.array(pairs) / n
    p, q = shares[0] + shares[1], shares[0] + shares[2]
    logit_of_first = np.array([1, 1, 0, 0]) / (p * (1 - p))
    logit_of_second = np.array([1, 0, 1, 0]) / (q * (1 - q))
    gradient = logit_of_first - logit_of_second
    spread = (np.diag(shares) - np.outer(shares, shares)) / n
    np.testing.assert_allclose(result.variance, gradient @ spread @ gradient, rtol=1e-12)
    np.testing.assert_allclose(result.estimate, np.log(p / (1 - p)) - np.log(q / (1 - q)))
    # The variance of two separate groups is larger if the outcomes agree.
    separate = log_odds_ratio(Counts(a, n), Counts(c, n), correction=None)
    assert (result.variance < separate.variance) == (phi > 0)


def test_impossible_correlation_is_noted():
    # 1 of 40 vs 20 of 40: at most one person has both events, which is a phi of 0.16.
    result = paired_log_odds_ratio(
        Counts(1, 40), Counts(20, 40), correlation=[0.16, 0.5, -0.5], correction=None
    )
    assert result.note.tolist() == ["", IMPOSSIBLE_CORRELATION, IMPOSSIBLE_CORRELATION]
    assert (result.variance > 0).all()
    uncorrected = paired_log_odds_ratio(
        Counts(0, 9), Counts(2, 9), correlation=0.5, correction=None
    )
    assert np.isnan(uncorrected.estimate)
    assert uncorrected.note.item() == ZERO_CELL


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: paired_mean_difference(Means(1, 1, 9), Means(1, 1, 8), correlation=0),
            r"^n must be the same in both arms",
        ),
        (
            lambda: paired_mean_difference(Means(1, 1, 9), Means(1, 1, 9), correlation=1.1),
            r"^correlation must be between -1 and 1: 1.1$",
        ),
        (
            lambda: paired_standardised_difference(Means(1, 1, 9), Means(1, 1, 9), correlation=-2),
            r"^correlation must be",
        ),
        (lambda: sd_of_difference(1, -1, 0), r"^comparator_sd must not be negative"),
        (lambda: within_person_correlation(1, 1, -1), r"^difference_sd must not be negative"),
    ],
)
def test_invalid_numbers_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


positive = st.floats(0.01, 1000)
means = st.builds(Means, positive, positive, st.integers(2, 500))


@given(arm=means, comparator=means, r=st.floats(-1, 1))
def test_swapping_periods_changes_only_the_sign(arm, comparator, r):
    comparator = Means(comparator.mean, comparator.sd, arm.n)
    for effect in (
        paired_mean_difference,
        mean_change_over_change_sd,
        paired_standardised_difference,
    ):
        forward = effect(arm, comparator, correlation=r)
        backward = effect(comparator, arm, correlation=r)
        np.testing.assert_allclose(forward.estimate, -backward.estimate, rtol=1e-9)
        np.testing.assert_allclose(forward.variance, backward.variance, rtol=1e-9)


@given(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 0.999))
def test_swapping_paired_counts_changes_only_the_sign(n, share, comparator_share, r):
    arm, comparator = (Counts(int(p * n), n) for p in (share, comparator_share))
    forward = paired_log_odds_ratio(arm, comparator, correlation=r, correction=0.5)
    backward = paired_log_odds_ratio(comparator, arm, correlation=r, correction=0.5)
    np.testing.assert_allclose(forward.estimate, -backward.estimate, atol=1e-12)
    np.testing.assert_allclose(forward.variance, backward.variance, rtol=1e-6)
