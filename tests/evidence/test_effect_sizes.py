"""Effect sizes agree with metafor, and have the invariances of their formulas."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmda_bayes.evidence.effect_sizes import (
    ALL_EVENTS,
    NO_EVENTS,
    NO_VARIANCE,
    OPPOSITE_SIGNS,
    ZERO_CELL,
    Counts,
    Means,
    Rates,
    hedges_correction,
    log_odds_ratio,
    log_rate,
    log_rate_ratio,
    log_ratio_of_means,
    log_risk_ratio,
    logit_proportion,
    mean_change_over_baseline_sd,
    mean_change_over_change_sd,
    mean_difference,
    paired_log_odds_ratio,
    paired_mean_difference,
    risk_difference,
    standardised_mean_difference,
)

PINNED = json.loads(Path(__file__).with_name("escalc.json").read_text(encoding="utf-8"))


def _means(effect, **options):
    return lambda t: effect(
        Means(t["m1"], t["sd1"], t["n1"]), Means(t["m2"], t["sd2"], t["n2"]), **options
    )


def _counts(effect, correction):
    return lambda t: effect(Counts(t["a"], t["n1"]), Counts(t["c"], t["n2"]), correction=correction)


def _rates(correction):
    return lambda t: log_rate_ratio(
        Rates(t["x1"], t["t1"]), Rates(t["x2"], t["t2"]), correction=correction
    )


def _change(effect):
    return lambda t: effect(
        Means(t["after"], t["sd_after"], t["n"]),
        Means(t["before"], t["sd_before"], t["n"]),
        correlation=t["r"],
    )


MEASURES = {
    "MD": _means(mean_difference),
    "SMD_large_sample": _means(standardised_mean_difference, exact=False),
    "SMD_exact": _means(standardised_mean_difference, exact=True),
    "ROM": _means(log_ratio_of_means),
    "OR": _counts(log_odds_ratio, None),
    "OR_half": _counts(log_odds_ratio, 0.5),
    "RR": _counts(log_risk_ratio, None),
    "RR_half": _counts(log_risk_ratio, 0.5),
    "RD": _counts(risk_difference, None),
    "RD_half": _counts(risk_difference, 0.5),
    "PLO_half": lambda t: logit_proportion(Counts(t["a"], t["n1"]), correction=0.5),
    "IRLN_half": lambda t: log_rate(Rates(t["x1"], t["t1"]), correction=0.5),
    "IRR": _rates(None),
    "IRR_half": _rates(0.5),
    "MC": _change(paired_mean_difference),
    "SMCC": _change(mean_change_over_change_sd),
    "SMCR": _change(mean_change_over_baseline_sd),
    "MPORM_half": lambda t: paired_log_odds_ratio(
        Counts(t["a"], t["n"]), Counts(t["c"], t["n"]), correlation=t["r"], correction=0.5
    ),
}


def test_all_pinned_measures_are_tested():
    assert set(MEASURES) == set(PINNED["results"])
    assert PINNED["versions"].keys() == {"R", "metafor"}


@pytest.mark.reference
@pytest.mark.parametrize("measure", MEASURES)
def test_agrees_with_escalc(measure):
    pinned = PINNED["results"][measure]
    result = MEASURES[measure]({k: np.array(v, float) for k, v in pinned["input"].items()})
    variance = np.array(pinned["variance"], float)
    # 15 digits are pinned; the gamma function loses some of them.
    np.testing.assert_allclose(
        result.estimate, np.array(pinned["estimate"], float), rtol=1e-8, atol=1e-12
    )
    # escalc returns a variance of 0 if neither arm varies; here it is NaN.
    np.testing.assert_allclose(
        result.variance, np.where(variance == 0, np.nan, variance), rtol=1e-8
    )
    np.testing.assert_allclose(result.se**2, result.variance)


def test_zero_cells_with_and_without_correction():
    arm, comparator = Counts([0, 0, 5, 3], [9, 9, 5, 9]), Counts([0, 2, 6, 4], [8, 8, 6, 8])
    uncorrected = log_odds_ratio(arm, comparator, correction=None)
    assert np.isnan(uncorrected.estimate[:3]).all()
    assert np.isnan(uncorrected.variance[:3]).all()
    assert uncorrected.note.tolist() == [NO_EVENTS, ZERO_CELL, ALL_EVENTS, ""]
    corrected = log_odds_ratio(arm, comparator, correction=0.5)
    assert np.isfinite(corrected.estimate).all()
    added = ": 0.5 added to every cell"
    assert corrected.note.tolist() == [NO_EVENTS + added, ZERO_CELL + added, ALL_EVENTS + added, ""]
    assert corrected.estimate[3] == uncorrected.estimate[3]
    other = log_odds_ratio(arm, comparator, correction=0.1)
    assert other.note[0].endswith("0.1 added to every cell")


def test_constant_outcomes_have_no_variance():
    same = risk_difference(Counts(0, 10), Counts(0, 12), correction=None)
    assert (float(same.estimate), same.note.item()) == (0.0, NO_EVENTS)
    assert np.isnan(same.variance)
    flat = mean_difference(Means([3, 3], [0, 1], 10), Means(2, [0, 0], 10))
    assert flat.note.tolist() == [NO_VARIANCE, ""]
    np.testing.assert_allclose(flat.variance, [np.nan, 0.1])


def test_exact_variance_needs_five_people():
    g = standardised_mean_difference(Means(1, 1, [2, 2]), Means(0, 1, [2, 3]), exact=True)
    assert np.isnan(g.variance).tolist() == [True, False]
    assert g.note.tolist() == [NO_VARIANCE, ""]


def test_hedges_correction():
    # Hedges' approximation 1 - 3 / (4 m - 1) is within 0.0004 from 10 degrees of freedom on.
    m = np.array([10.0, 50, 1e5])
    np.testing.assert_allclose(hedges_correction(m), 1 - 3 / (4 * m - 1), atol=4e-4)
    # m = 2: Γ(1) / (1 × Γ(1/2)).
    np.testing.assert_allclose(hedges_correction(np.array([1.0, 2.0])), [np.nan, np.pi**-0.5])


def test_ratio_of_means_needs_one_sign():
    result = log_ratio_of_means(Means([1, 0, 2], 1, 9), Means([-1, 2, 1], 1, 9))
    assert np.isnan(result.estimate).tolist() == [True, True, False]
    assert result.note.tolist() == [OPPOSITE_SIGNS, OPPOSITE_SIGNS, ""]


def test_missing_numbers_remain_missing():
    frame = pd.DataFrame({"mean": [1.0, np.nan], "sd": [1.0, 2.0], "n": pd.array([9, 10], "Int64")})
    arm = Means(frame["mean"], frame["sd"], frame["n"])
    result = mean_difference(arm, Means(0, 1, 10))
    assert result.estimate[0] == 1
    assert np.isnan([result.estimate[1], result.variance[1]]).all()
    counts = log_odds_ratio(Counts([np.nan, 0], [9, np.nan]), Counts(0, 9), correction=0.5)
    assert np.isnan(counts.estimate).all()
    assert counts.note.tolist() == ["", ""]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Means(1, [1, -2], 9), r"^sd must not be negative: -2 at position 1$"),
        (lambda: Means(1, 1, 1), r"^n must be more than 1: 1$"),
        (lambda: Means(np.inf, 1, 9), r"^mean must be finite: inf$"),
        (lambda: Means("much", 1, 9), r"^mean must be numeric"),
        (lambda: Means([1, 2], [1, 2, 3], 9), r"different lengths: mean \(2,\), sd \(3,\), n \(\)"),
        (lambda: Counts([3, 12], 10), r"^events must not exceed n: 12 at position 1$"),
        (lambda: Counts(-1, 10), r"^events must not be negative"),
        (lambda: Counts(0, 0), r"^n must be at least 1"),
        (lambda: Rates(-1, 10), r"^events must not be negative"),
        (lambda: Rates(1, 0), r"^time must be more than 0"),
        (lambda: log_rate(Rates(1, 1), correction=-0.5), r"^correction must be more than 0"),
    ],
)
def test_invalid_numbers_are_rejected(make, message):
    with pytest.raises(ValueError, match=message):
        make()


sizes = st.integers(2, 500)
positive = st.floats(0.01, 1000)
means = st.builds(Means, positive, positive, sizes)


@st.composite
def counts(draw):
    n = draw(st.integers(1, 200))
    return Counts(draw(st.integers(0, n)), n)


rates = st.builds(Rates, st.integers(0, 50), positive)


def _same(first, second, sign=1.0, unit=1.0):
    np.testing.assert_allclose(
        first.estimate, sign * unit * second.estimate, rtol=1e-9, atol=1e-9 * unit
    )
    np.testing.assert_allclose(first.variance, unit**2 * second.variance, rtol=1e-9)
    assert first.note.tolist() == second.note.tolist()


@given(arm=means, comparator=means)
def test_swapping_means_changes_only_the_sign(arm, comparator):
    for effect in (
        mean_difference,
        log_ratio_of_means,
        lambda x, y: standardised_mean_difference(x, y, exact=False),
        lambda x, y: standardised_mean_difference(x, y, exact=True),
    ):
        _same(effect(arm, comparator), effect(comparator, arm), sign=-1)


@given(arm=counts(), comparator=counts(), correction=st.sampled_from([None, 0.5]))
def test_swapping_counts_changes_only_the_sign(arm, comparator, correction):
    for effect in (log_odds_ratio, log_risk_ratio, risk_difference):
        forward = effect(arm, comparator, correction=correction)
        _same(forward, effect(comparator, arm, correction=correction), sign=-1)


@given(arm=counts(), comparator=counts(), correction=st.sampled_from([None, 0.5]))
def test_complement_inverts_the_odds_ratio(arm, comparator, correction):
    complements = [Counts(x.n - x.events, x.n) for x in (arm, comparator)]
    forward = log_odds_ratio(arm, comparator, correction=correction)
    backward = log_odds_ratio(*complements, correction=correction)
    np.testing.assert_allclose(forward.estimate, -backward.estimate, atol=1e-12)
    np.testing.assert_allclose(forward.variance, backward.variance)


@given(arm=rates, comparator=rates, correction=st.sampled_from([None, 0.5]), unit=positive)
def test_rate_ratio_does_not_depend_on_the_unit_of_time(arm, comparator, correction, unit):
    forward = log_rate_ratio(arm, comparator, correction=correction)
    _same(forward, log_rate_ratio(comparator, arm, correction=correction), sign=-1)
    scaled = [Rates(x.events, x.time * unit) for x in (arm, comparator)]
    _same(forward, log_rate_ratio(*scaled, correction=correction))


@given(arm=means, comparator=means, unit=positive)
def test_unit_of_the_outcome(arm, comparator, unit):
    scaled = [Means(x.mean * unit, x.sd * unit, x.n) for x in (arm, comparator)]
    _same(mean_difference(*scaled), mean_difference(arm, comparator), unit=unit)
    _same(log_ratio_of_means(*scaled), log_ratio_of_means(arm, comparator))
    for exact in (True, False):
        _same(
            standardised_mean_difference(*scaled, exact=exact),
            standardised_mean_difference(arm, comparator, exact=exact),
        )
