"""Random-effects meta-analysis agrees with metafor; limits and invariances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmda_bayes.evidence.frequentist import RandomEffects, dersimonian_laird, egger_p

PINNED = json.loads(Path(__file__).with_name("classical.json").read_text(encoding="utf-8"))
CASES = sorted(set(PINNED) - {"versions"})
NUMBERS = [name for name in RandomEffects._fields if name != "trials"]


@pytest.mark.reference
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_metafor(case):
    # metafor 3.8.1: rma(method = "DL"), predict(pi.type = "riley"), regtest(model = "lm").
    pinned = PINNED[case]
    y, v = np.atleast_1d(pinned["input"]["y"]), np.atleast_1d(pinned["input"]["v"])
    pool = dersimonian_laird(y, v)
    assert pool.trials == y.size
    for name in NUMBERS:
        expected = np.nan if pinned[name] is None else pinned[name]
        # Inputs are pinned to 15 digits; tau² of the tightest case loses some of them.
        np.testing.assert_allclose(
            getattr(pool, name), expected, rtol=1e-8, atol=1e-8, err_msg=name
        )
    expected = np.nan if pinned["egger_p"] is None else pinned["egger_p"]
    np.testing.assert_allclose(egger_p(y, v), expected, rtol=1e-8)


def test_pinned_cases_with_and_without_heterogeneity():
    tau2 = {case: PINNED[case]["tau2"] for case in CASES}
    assert tau2["bcg"] > 0
    assert tau2["eight_schools"] == 0


def test_trial_without_an_effect_has_no_weight():
    pool = dersimonian_laird([1.0, np.nan, 3.0, 2.0], [1.0, 1.0, np.nan, 1.0])
    assert pool.trials == 2
    assert np.isnan(pool.weights).tolist() == [False, True, True, False]
    assert pool.estimate == pytest.approx(1.5)
    assert np.isnan(pool.prediction_lower)


def test_nothing_to_pool():
    pool = dersimonian_laird([np.nan], [np.nan])
    assert pool.trials == 0
    assert np.isnan([getattr(pool, name) for name in NUMBERS if name != "weights"]).all()


def test_equal_trials_have_no_heterogeneity():
    pool = dersimonian_laird([2.0, 2.0, 2.0], [0.5, 1.0, 2.0])
    assert (pool.q, pool.i2, pool.tau2) == (0, 0, 0)


def test_too_few_trials_for_a_funnel():
    y, v = np.arange(9.0), np.linspace(1, 2, 9)
    assert np.isnan(egger_p(y, v))
    assert np.isnan(egger_p(np.arange(10.0), np.ones(10)))


@pytest.mark.parametrize("pool", [dersimonian_laird, egger_p])
def test_zero_variance_is_rejected(pool):
    with pytest.raises(ValueError, match=r"^variance must be more than 0: 0 at position 1$"):
        pool([1, 2], [1, 0])


effects = st.lists(
    st.tuples(st.floats(-50, 50), st.floats(0.01, 100)), min_size=1, max_size=12
).map(lambda rows: tuple(map(np.array, zip(*rows, strict=True))))


@given(effects, st.floats(-100, 100), st.floats(0.1, 10))
def test_shift_and_scale_equivariance(rows, shift, scale):
    y, v = rows
    pool, shifted = dersimonian_laird(y, v), dersimonian_laird(shift + scale * y, scale**2 * v)
    tolerance = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(shifted.estimate, shift + scale * pool.estimate, **tolerance)
    np.testing.assert_allclose(shifted.tau2, scale**2 * pool.tau2, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(shifted.i2, pool.i2, atol=1e-6)


@given(effects)
def test_mean_is_within_trials_and_prediction_is_wider(rows):
    y, v = rows
    pool = dersimonian_laird(y, v)
    assert y.min() - 1e-9 <= pool.estimate <= y.max() + 1e-9
    assert pool.weights.sum() == pytest.approx(1)
    assert pool.se <= np.sqrt(v.min() + pool.tau2) * (1 + 1e-12)
    if y.size > 2:
        assert pool.prediction_lower < pool.lower
        assert pool.upper < pool.prediction_upper
