"""Effects over time after treatment, from draws set by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands.time import (
    effect_duration,
    effect_over_time,
    remaining_effect,
    risk_over_time,
)
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import codes_when
from tests.support.specs import READ, REPEATED

SLOPE = np.array([-20.0, -16.0, -12.0, -8.0])
HALF_LIFE = np.array([2.0, 4.0, 8.0, 1e6])
HOURS = [-1.0, 0.0, 2.0, 4.0, 8.0, 24.0]


def fitted(course: str = "exponential_decay", **values: np.ndarray) -> xr.DataTree:
    parameters = {name: specs.parameter("common") for name in values}
    outcome = specs.outcome(
        "normal",
        "linear",
        "arm",
        parameters,
        better="lower",
        unit="points",
        course=course,
        time={"rule": "all"},
    )
    posterior = {
        "slope": draws(SLOPE),
        **{name: draws(value) for name, value in values.items()},
    }
    return make_fit(specs.spec(outcome, designs=REPEATED), READ, posterior)


@pytest.fixture
def fit() -> xr.DataTree:
    return fitted(log_half_life=np.log(HALF_LIFE))


def test_share_halves_with_each_half_life(fit):
    share = remaining_effect(fit, "pain", HOURS)
    assert share.dims == ("hour", "chain", "draw")
    assert_allclose(share.sel(hour=[-1.0, 0.0]), 1.0)
    assert_allclose(share.sel(hour=4.0, chain=0), 2 ** (-4.0 / HALF_LIFE))


def test_effect_is_dose_effect_times_share(fit):
    effect = effect_over_time(fit, "pain", HOURS, dose=[0.0, 1.0, 2.0])
    assert effect.dims == ("agent", "condition", "dose", "hour", "chain", "draw")
    assert_allclose(effect.sel(dose=0.0), 0.0)
    at = effect.sel(dose=2.0, hour=8.0, chain=0).isel(agent=0, condition=0)
    assert_allclose(at, 2 * SLOPE * 2 ** (-8.0 / HALF_LIFE))


def test_hours_outside_measurements_are_extrapolated(fit):
    effect = effect_over_time(fit, "pain", HOURS, dose=[1.0])
    assert effect["extrapolated"].dims == ("hour", "agent")
    ketamine = effect["extrapolated"].sel(agent="ketamine")
    assert ketamine["read_from"] == 0.0
    assert ketamine["read_to"] == 24.0
    assert ketamine.to_series().to_dict() == dict(
        zip(HOURS, [True, False, False, False, False, False], strict=True)
    )


def test_effect_duration_ends_below_the_threshold(fit):
    hours = np.linspace(0.0, 24.0, 241)
    effect = effect_over_time(fit, "pain", hours, dose=[1.0])
    lasts = effect_duration(effect, threshold=10.0, better="lower").isel(agent=0, condition=0)
    assert set(lasts.dims) == {"dose", "chain", "draw"}
    # h · log2(effect / 10): 2 h of 20 points, 4 h of 16, 8 h of 12; never 10 of 8 points.
    known = [2.0, 4 * np.log2(1.6), 8 * np.log2(1.2), 0.0]
    assert_allclose(lasts.sel(dose=1.0, chain=0), known, atol=0.1)
    assert lasts["censored"].sel(dose=1.0) == 0.0
    assert_allclose(effect_duration(effect, 10.0, "higher"), 0.0)


def test_effect_duration_beyond_the_grid_is_censored(fit):
    effect = effect_over_time(fit, "pain", [0.0, 12.0], dose=[2.0])
    lasts = effect_duration(effect, threshold=10.0, better="lower").isel(agent=0, condition=0)
    assert_allclose(lasts.sel(dose=2.0, chain=0), [0.0, 0.0, 0.0, 12.0])
    assert lasts["censored"].sel(dose=2.0) == 0.25


@pytest.mark.parametrize(("threshold", "better"), [(0.0, "lower"), (-1.0, "lower"), (1.0, "")])
def test_duration_needs_a_threshold_and_a_direction(fit, threshold, better):
    effect = effect_over_time(fit, "pain", [0.0, 1.0], dose=[1.0])
    with pytest.raises(ValueError, match="threshold"):
        effect_duration(effect, threshold, better)


def test_onset_needs_the_length_of_treatment():
    onset = fitted(
        "onset_and_decay",
        log_onset_half_life=np.zeros(4),
        log_half_life=np.log(HALF_LIFE),
    )
    assert codes_when(lambda: remaining_effect(onset, "pain", HOURS), SpecError) == ["E814"]
    share = remaining_effect(onset, "pain", [0.0], treatment_hours=1.0)
    assert_allclose(share, 0.5)


def test_no_time_course_is_constant():
    flat = fitted("constant")
    effect = effect_over_time(flat, "pain", HOURS, dose=[1.0])
    assert_allclose(effect.isel(agent=0, condition=0, dose=0, hour=-1, chain=0), SLOPE)


def test_risk_returns_to_its_baseline():
    counts = READ.drop(columns=["mean", "se"]).assign(events=3)
    slope, half_life = np.array([1.0, 2.0]), np.array([2.0, 8.0])
    harm = specs.outcome(
        "binomial",
        "linear",
        "arm",
        {"log_half_life": specs.parameter("common")},
        course="exponential_decay",
        time={"rule": "all"},
    )
    spec = specs.spec(harm, designs={"repeated": {"as_independent": ["pain"]}})
    posterior = {"slope": draws(slope), "log_half_life": draws(np.log(half_life))}
    fit = make_fit(spec, counts, posterior)
    risk = risk_over_time(fit, "pain", [-1.0, 4.0, 1e6], [0.0, 2.0], baseline_risk=0.2)
    assert risk.dims == ("agent", "condition", "dose", "hour", "chain", "draw")
    assert risk.attrs["baseline_risk"] == 0.2
    assert_allclose(risk.sel(dose=0.0), 0.2)
    assert_allclose(risk.sel(hour=1e6), 0.2)
    odds = 0.25 * np.exp(2 * slope * 2 ** (-4.0 / half_life))
    at = risk.sel(dose=2.0, hour=4.0, chain=0).isel(agent=0, condition=0)
    assert_allclose(at, odds / (1 + odds))
    assert codes_when(lambda: risk_over_time(fit, "pain", [0.0]), SpecError) == ["E802"]


def test_difference_has_no_risk_over_time(fit):
    codes = codes_when(lambda: risk_over_time(fit, "pain", HOURS, baseline_risk=0.1), SpecError)
    assert codes == ["E801"]
