"""Paired effect sizes agree with worked crossover trials and with their own algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmda_bayes.evidence.arm_statistics import Counts, Means
from nmda_bayes.evidence.count_effects import ZERO_CELL, log_odds_ratio
from nmda_bayes.evidence.effect_sizes import mean_difference
from nmda_bayes.evidence.paired_effects import (
    OUT_OF_REACH,
    change_over_its_sd,
    paired_log_odds_ratio,
    paired_mean_difference,
    paired_standardised_difference,
    sd_of_difference,
    within_person_correlation,
)

# Elbourne et al. (2002) give the formulae; the Cochrane Handbook 5.1, 16.4.6.4, works them through
# for ten people, 7.0 (SD 2.38) against 6.5 (SD 2.21).
WORKED = Means(7.0, 2.38, 10), Means(6.5, 2.21, 10)


@pytest.mark.reference
def test_the_handbooks_mean_difference_with_an_imputed_correlation():
    md = paired_mean_difference(*WORKED, correlation=0.68)
    assert (round(float(md.estimate), 3), round(float(md.se), 3)) == (0.5, 0.583)


@pytest.mark.reference
def test_the_handbooks_mean_difference_with_an_imputed_sd_of_differences():
    # SD of differences 2, from other trials: SE 0.632. The correlation that it implies gives it.
    r = within_person_correlation(2.38, 2.21, 2)
    md = paired_mean_difference(*WORKED, correlation=r)
    assert (round(float(md.estimate), 3), round(float(md.se), 3)) == (0.5, 0.632)
    np.testing.assert_allclose(r, (2.38**2 + 2.21**2 - 4) / (2 * 2.38 * 2.21))


@pytest.mark.reference
def test_the_handbooks_standardised_difference():
    smd = paired_standardised_difference(*WORKED, correlation=0.68)
    assert (round(float(smd.estimate), 3), round(float(smd.se), 3)) == (0.218, 0.256)


@pytest.mark.parametrize("r", [-0.4, 0.0, 0.5, 0.9])
def test_a_crossover_needs_fewer_people_than_a_parallel_trial(r):
    """Elbourne: with equal SDs the variance is (1 - r) times that of a parallel trial of 2n."""
    arm, comparator = Means(7.0, 2.3, 10), Means(6.5, 2.3, 10)
    parallel = mean_difference(arm, comparator).variance
    paired = paired_mean_difference(arm, comparator, correlation=r).variance
    np.testing.assert_allclose(paired, (1 - r) * parallel)


def test_paired_difference_is_that_of_the_people_themselves():
    on = np.array([52.0, 40, 61, 33, 48, 57, 45])
    off = np.array([60.0, 47, 59, 45, 55, 70, 44])
    sds, r = (on.std(ddof=1), off.std(ddof=1)), np.corrcoef(on, off)[0, 1]
    made = paired_mean_difference(
        Means(on.mean(), sds[0], 7), Means(off.mean(), sds[1], 7), correlation=r
    )
    apart = on - off
    np.testing.assert_allclose(made.estimate, apart.mean())
    np.testing.assert_allclose(made.variance, apart.var(ddof=1) / 7)
    np.testing.assert_allclose(within_person_correlation(*sds, apart.std(ddof=1)), r)
    assert np.isnan(within_person_correlation(1, 1, 3))


def test_becker_and_balagtas_worked_by_hand():
    # 25 people: 10 with the event under both, 5 under the arm only, 2 under the comparator only,
    # 8 under neither. Margins 15:10 and 12:13.
    n, s, a, b, c, d = 25, 10, 15, 10, 12, 13
    delta = n**2 * (n * s - a * c) / (a * b * c * d)
    variance = 1 / a + 1 / b + 1 / c + 1 / d - 2 * delta / n
    phi = (10 * 8 - 5 * 2) / np.sqrt(a * b * c * d)
    made = paired_log_odds_ratio(Counts(a, n), Counts(c, n), correlation=phi, correction=None)
    np.testing.assert_allclose(made.estimate, np.log(15 * 13 / (10 * 12)))
    np.testing.assert_allclose(made.variance, variance)
    np.testing.assert_allclose(made.variance, 0.177350, atol=1e-6)
    alone = paired_log_odds_ratio(Counts(a, n), Counts(c, n), correlation=0, correction=None)
    separate = log_odds_ratio(Counts(a, n), Counts(c, n), correction=None)
    np.testing.assert_allclose(alone.variance, separate.variance)


# People by outcome: under both treatments, the arm alone, the comparator alone, neither.
PAIRS = [(40, 10, 2, 15), (3, 9, 4, 20), (12, 1, 6, 30)]


@pytest.mark.parametrize("pairs", PAIRS)
def test_becker_and_balagtas_is_the_delta_method_on_the_four_kinds_of_person(pairs):
    """The same variance from the multinomial, by its gradient, without Becker's formula."""
    both, first, second, neither = pairs
    n = sum(pairs)
    a, c = both + first, both + second
    phi = (both * neither - first * second) / np.sqrt(a * (n - a) * c * (n - c))
    made = paired_log_odds_ratio(Counts(a, n), Counts(c, n), correlation=phi, correction=None)
    shares = np.array(pairs) / n
    p, q = shares[0] + shares[1], shares[0] + shares[2]
    logit_of_first = np.array([1, 1, 0, 0]) / (p * (1 - p))
    logit_of_second = np.array([1, 0, 1, 0]) / (q * (1 - q))
    gradient = logit_of_first - logit_of_second
    spread = (np.diag(shares) - np.outer(shares, shares)) / n
    np.testing.assert_allclose(made.variance, gradient @ spread @ gradient, rtol=1e-12)
    np.testing.assert_allclose(made.estimate, np.log(p / (1 - p)) - np.log(q / (1 - q)))
    # Taking the people as two groups would give another variance: larger where they agree.
    separate = log_odds_ratio(Counts(a, n), Counts(c, n), correction=None)
    assert (made.variance < separate.variance) == (phi > 0)


def test_a_correlation_that_no_table_has_is_told():
    # 1 of 40 against 20 of 40: at most that one person has both, phi is then 0.16.
    made = paired_log_odds_ratio(
        Counts(1, 40), Counts(20, 40), correlation=[0.16, 0.5, -0.5], correction=None
    )
    assert made.note.tolist() == ["", OUT_OF_REACH, OUT_OF_REACH]
    assert (made.variance > 0).all()
    bare = paired_log_odds_ratio(Counts(0, 9), Counts(2, 9), correlation=0.5, correction=None)
    assert np.isnan(bare.estimate)
    assert bare.note.item() == ZERO_CELL


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
def test_numbers_that_cannot_be_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


positive = st.floats(0.01, 1000)
means = st.builds(Means, positive, positive, st.integers(2, 500))


@given(arm=means, comparator=means, r=st.floats(-1, 1))
def test_swapping_periods_changes_the_sign_only(arm, comparator, r):
    comparator = Means(comparator.mean, comparator.sd, arm.n)
    for effect in (paired_mean_difference, change_over_its_sd, paired_standardised_difference):
        there = effect(arm, comparator, correlation=r)
        back = effect(comparator, arm, correlation=r)
        np.testing.assert_allclose(there.estimate, -back.estimate, rtol=1e-9)
        np.testing.assert_allclose(there.variance, back.variance, rtol=1e-9)


@given(st.integers(1, 200), st.floats(0, 1), st.floats(0, 1), st.floats(-1, 0.999))
def test_swapping_paired_counts_changes_the_sign_only(n, share, comparator_share, r):
    arm, comparator = (Counts(int(p * n), n) for p in (share, comparator_share))
    there = paired_log_odds_ratio(arm, comparator, correlation=r, correction=0.5)
    back = paired_log_odds_ratio(comparator, arm, correlation=r, correction=0.5)
    np.testing.assert_allclose(there.estimate, -back.estimate, atol=1e-12)
    np.testing.assert_allclose(there.variance, back.variance, rtol=1e-6)
