"""Standard errors and SDs derived from other statistics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nmda_bayes.evidence import derive as d
from nmda_bayes.evidence.derive import (
    moments_from_five_numbers,
    moments_from_quartiles,
    moments_from_range,
)

positive = st.floats(1e-3, 1e3)
freedoms = st.none() | st.integers(1, 500)


def _point(tail, freedom):
    return stats.norm.isf(tail) if freedom is None else stats.t.isf(tail, freedom)


@given(se=positive, level=st.floats(0.5, 0.999), estimate=st.floats(-10, 10), freedom=freedoms)
def test_interval_round_trip(se, level, estimate, freedom):
    half = se * _point((1 - level) / 2, freedom)
    result = d.se_from_interval(estimate - half, estimate + half, level=level, freedom=freedom)
    np.testing.assert_allclose(result, se, rtol=1e-6)


@given(se=positive, z=st.floats(0.01, 8), freedom=freedoms)
def test_p_t_and_f_round_trip(se, z, freedom):
    estimate = -z * se
    tail = stats.norm.sf(z) if freedom is None else stats.t.sf(z, freedom)
    np.testing.assert_allclose(d.se_from_p(estimate, 2 * tail, freedom=freedom), se, rtol=1e-6)
    np.testing.assert_allclose(d.se_from_t(estimate, -z), se)
    np.testing.assert_allclose(d.se_from_f(estimate, z**2), se)


@given(sd=positive, n=st.integers(2, 1000), m=st.integers(1, 1000))
def test_sd_round_trip(sd, n, m):
    np.testing.assert_allclose(d.sd_from_se(d.se_from_sd(sd, n), n), sd)
    np.testing.assert_allclose(d.sd_from_difference_se(sd * np.sqrt(1 / n + 1 / m), n, m), sd)


@pytest.mark.reference
def test_standard_errors_of_the_handbook():
    # Cochrane Handbook 6.5, 6.5.2.3: a difference of 3.8 between 25 and 22 people with p = 0.008,
    # so t = 2.78, has SE 1.37, and the people an SD of 4.69.
    se = d.se_from_t(3.8, 2.78)
    assert round(float(se), 2) == 1.37
    assert round(float(d.sd_from_difference_se(1.37, 25, 22)), 2) == 4.69
    assert round(float(d.se_from_p(3.8, 0.008, freedom=45)), 2) == 1.37


def test_underivable_standard_errors_are_nan():
    nothing = [
        d.se_from_p([0.0, 1.0], [0.3, 1.0]),
        d.se_from_t([0.0, 1.0], [2.0, 0.0]),
        d.se_from_f([0.0, 1.0], [2.0, 0.0]),
        d.se_from_interval([1.0, np.nan], [1.0, 2.0], level=0.95),
    ]
    assert np.isnan(nothing).all()


@pytest.mark.reference
def test_divisors_of_wan_2014():
    # Wan 2014, table 1: the expected range of n standard normals, which its formula approximates.
    n = np.array([5, 10, 20, 30, 50])
    width = 1 / moments_from_range(0, 0.5, 1, n).sd
    np.testing.assert_allclose(width, [2.326, 3.078, 3.735, 4.086, 4.498], atol=0.04)


def test_moments_of_symmetric_statistics():
    five = moments_from_five_numbers(0, 4, 5, 6, 10, 40)
    assert float(five.mean) == 5
    parts = moments_from_range(0, 5, 10, 40), moments_from_quartiles(4, 5, 6, 40)
    np.testing.assert_allclose(five.sd, (parts[0].sd + parts[1].sd) / 2)
    assert five.note.item() == "imputed from range and quartiles: mean Luo 2018, SD Wan 2014"


def test_weights_of_luo_2018():
    # n = 16: 4 / (4 + 8) = 1/3; 0.7 + 0.39 / 16 = 0.724375; 2.2 / 10.2 and 0.7 - 0.72 / 16**0.55.
    np.testing.assert_allclose(moments_from_range(0, 3, 12, 16).mean, 6 / 3 + 3 * 2 / 3)
    quartiles = moments_from_quartiles(2, 3, 6, 16)
    np.testing.assert_allclose(quartiles.mean, 4 * 0.724375 + 3 * 0.275625)
    w, v = 2.2 / 10.2, 0.7 - 0.72 / 16**0.55
    five = moments_from_five_numbers(0, 2, 3, 6, 12, 16)
    np.testing.assert_allclose(five.mean, 6 * w + 4 * v + 3 * (1 - w - v))


def test_quartiles_without_a_median_give_an_sd_only():
    moments = moments_from_quartiles([1, np.nan], [np.nan, 2], [3, 3], 20)
    assert np.isnan(moments.mean).all()
    assert np.isnan(moments.sd).tolist() == [False, True]
    assert np.isnan(moments.sd_relative_se).tolist() == [False, True]
    assert moments.note[1] == ""


@pytest.mark.parametrize("n", [10, 40, 150])
def test_moments_of_normal_samples(n):
    x = np.random.default_rng(20260101).normal(50, 12, size=(8000, n))
    low, q1, median, q3, high = np.quantile(x, [0, 0.25, 0.5, 0.75, 1], axis=1)
    for moments in (
        moments_from_range(low, median, high, n),
        moments_from_quartiles(q1, median, q3, n),
        moments_from_five_numbers(low, q1, median, q3, high, n),
    ):
        # 8,000 samples: the mean SD is known to 0.4%; the bias of Wan's formula is within 1%.
        np.testing.assert_allclose(moments.sd.mean(), 12, rtol=0.02)
        np.testing.assert_allclose(moments.mean.mean(), 50, atol=0.2)
        np.testing.assert_allclose(moments.sd.std() / 12, moments.sd_relative_se[0], rtol=0.08)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: d.se_from_sd(-1, 9), r"^sd must not be negative: -1$"),
        (lambda: d.se_from_sd(1, [9, 1]), r"^n must be more than 1: 1 at position 1$"),
        (lambda: d.sd_from_se(-1, 9), r"^se must not be negative"),
        (lambda: d.sd_from_difference_se(1, 9, 0), r"^comparator_n must be at least 1"),
        (lambda: d.se_from_interval(2, 1, level=0.95), r"^low must not exceed high"),
        (lambda: d.se_from_interval(1, 2, level=95), r"^level must be between 0 and 1"),
        (lambda: d.se_from_interval(1, 2, level=0.95, freedom=0), r"^freedom must be more than 0"),
        (lambda: d.se_from_p(1, 0), r"^p must be above 0 to 1"),
        (lambda: d.se_from_f(1, -1), r"^f must not be negative"),
        (lambda: moments_from_range(0, 5, 10, 1), r"^n must be more than 1"),
        (lambda: moments_from_quartiles(6, 5, 7, 10), r"^q1 must not exceed median"),
        (lambda: moments_from_quartiles(6, np.nan, 5, 10), r"^q1 must not exceed q3"),
        (lambda: moments_from_five_numbers(5, 4, 5, 6, 7, 10), r"^low must not exceed q1"),
    ],
)
def test_impossible_numbers_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
