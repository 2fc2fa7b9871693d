"""Time courses in the graph: dims, densities by hand, shared errors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model
from tests.support import specs
from tests.support.fits import value_of
from tests.support.specs import DECAY, READ, REPEATED

AFTER = np.array([0, 0, 24, 24, 6, 6])
DOSE = np.array([0, 1, 0, 1, 0, 2])
POINT = {
    "slope": -12.0,
    "log_half_life": np.log(8.0),
    "baseline": np.array([58.0, 56.0, 70.0]),
    "heterogeneity_sd_log__": np.log(3.0),
    "arm_offset": np.array([0.3, -0.7, 1.1, 0.2]),
}
ARM_OF_ROW, LEVEL_OF_ROW = [0, 1, 0, 1, 2, 3], [0, 0, 1, 1, 2, 2]


def model_with(heterogeneity="arm", designs=None, **more):
    parameters = {**DECAY["parameters"]}
    outcome = specs.outcome(
        **{
            **DECAY,
            "curve": "linear",
            "heterogeneity": heterogeneity,
            "parameters": parameters,
            **more,
        }
    )
    return build_model(specs.spec(outcome, designs=designs or REPEATED), load_evidence(READ))


def by_hand(heterogeneity="arm"):
    share = 2 ** (-AFTER / 8.0)
    delta = 3.0 / np.sqrt(2) * POINT["arm_offset"][ARM_OF_ROW]
    delta = delta * share if heterogeneity == "proportional_to_course" else delta
    return POINT["baseline"][LEVEL_OF_ROW] - 12.0 * DOSE * share + delta


def test_dims_of_readings_and_arms():
    dims = model_with().named_vars_to_dims
    assert dims["baseline"] == ("reading",)
    assert dims["arm_offset"] == ("parent_arm",)
    assert dims["eta"] == ("arm",)
    assert dims["log_half_life"] == ()
    assert dims["same_arm_offset"] == ("repeated_parent_arm",)


@pytest.mark.parametrize("heterogeneity", ["arm", "proportional_to_course"])
def test_predictor_is_curve_times_course(heterogeneity):
    model = model_with(heterogeneity)
    point = model.initial_point() | POINT
    assert_allclose(value_of(model, "eta", point), by_hand(heterogeneity), rtol=1e-12)


def test_readings_of_an_arm_share_errors():
    model = model_with()
    z = np.array([0.4, -1.3])
    point = model.initial_point() | POINT | {"same_arm_offset": z}
    se, mean = READ.iloc[2:8][["se", "mean"]].to_numpy(float).T
    same = np.array([1, 1, 1, 1, 0, 0])
    shift = same * se * np.sqrt(0.5) * np.concatenate([z[[0, 1, 0, 1]], [0, 0]])
    left = se * np.sqrt(1 - 0.5 * same)
    expected = stats.norm(by_hand() + shift, left).logpdf(mean).sum()
    reported = model.compile_logp(vars=[model["reported"]], mode="FAST_COMPILE")
    assert_allclose(reported(point), expected, rtol=1e-9)


def test_within_arm_correlation_options():
    beta = specs.prior("Beta", alpha=5, beta=5)
    learned = model_with(designs={"repeated": {"within_arm_correlation": beta}})
    assert learned.named_vars_to_dims["within_arm_correlation"] == ()
    assert "within_arm_correlation" in [v.name for v in learned.free_RVs]
    apart = model_with(designs={"repeated": {"as_independent": ["pain"]}})
    assert "same_arm_offset" not in apart.named_vars_to_dims


def test_gradient_with_single_readings_is_finite():
    beta = specs.prior("Beta", alpha=5, beta=5)
    model = model_with(designs={"repeated": {"within_arm_correlation": beta}})
    gradient = model.compile_dlogp()(model.initial_point())
    assert np.isfinite(gradient).all()


def test_step_course_shares():
    share = {"share": specs.parameter("common")}
    model = model_with(course="steps", course_options={"edges": [1, 12]}, parameters=share)
    point = model.initial_point() | {k: v for k, v in POINT.items() if k != "log_half_life"}
    point |= {"share_1": 0.5, "share_2": -0.25}
    shares = np.array([1, 1, -0.25, -0.25, 0.5, 0.5])
    delta = 3.0 / np.sqrt(2) * POINT["arm_offset"][ARM_OF_ROW]
    expected = POINT["baseline"][LEVEL_OF_ROW] - 12.0 * DOSE * shares + delta
    assert_allclose(value_of(model, "eta", point), expected, rtol=1e-12)


def test_exact_engine_refuses_time_courses():
    outcome = specs.outcome(**{**DECAY, "curve": "linear"})
    spec = specs.spec(outcome, designs=REPEATED)
    reasons = exact_obstacles(spec, build_design(spec, load_evidence(READ)))
    assert "pain: time course 'exponential_decay' is not linear" in reasons
    assert "pain: arms are measured at several times" in reasons
