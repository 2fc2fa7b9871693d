"""Dose-response on natural scales, tested doses and extrapolation."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import absolute_risk, dose_range, dose_response, linear_response
from nmda_bayes.estimands.fit_access import design_of
from nmda_bayes.estimands.tested_doses import default_dose_grid
from nmda_bayes.intervals import INTERVAL_TEXT, credible_interval
from tests.estimands.conftest import HARM, PAIN, linear_fit
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import codes_when, issues_when

DOSES = [0.0, 0.5, 2.0]


def test_dims_and_labels(fit):
    response = dose_response(fit, DOSES)
    assert response.dims == ("outcome", "agent", "condition", "dose", "chain", "draw")
    assert response.name == "response"
    assert response["scale"].to_series().to_dict() == {"pain": "difference", "harm": "risk"}
    assert response["label"].to_series().to_dict() == {"pain": "pain", "harm": "Dissociation"}
    assert response["unit"].to_series().to_dict() == {"pain": "points", "harm": "probability"}
    assert response["better"].to_series().to_dict() == {"pain": "lower", "harm": "lower"}
    assert response.attrs["baseline_risk"] == 0.05
    assert response.attrs["exposure_axis"] == "dose (unit not stated)"


def test_difference_is_the_curve_and_zero_at_dose_zero(fit):
    response = dose_response(fit, DOSES).sel(outcome="pain", chain=0)
    assert_allclose(response.sel(dose=0.0), 0.0, atol=0)
    for i, agent in enumerate(("ketamine", "mem")):
        for condition in ("crps", "fibro"):
            assert_allclose(
                response.sel(agent=agent, condition=condition, dose=2.0), 2 * PAIN[:, i]
            )


def test_risk_is_absolute_and_starts_at_the_baseline(fit):
    response = dose_response(fit, DOSES, baseline_risk=0.2).sel(outcome="harm", chain=0)
    assert_allclose(response.sel(dose=0.0), 0.2)
    known = expit(logit(0.2) + 2 * HARM[:, 0])
    assert_allclose(response.sel(agent="ketamine", condition="crps", dose=2.0), known)


def test_baseline_defaults_to_that_of_the_window(fit):
    response = dose_response(fit, [0.0]).sel(outcome="harm")
    assert_allclose(response, 0.05)


@pytest.mark.parametrize("risk", [0.0, 1.0, -0.1, 5])
def test_baseline_outside_the_unit_interval_is_rejected(fit, risk):
    codes = codes_when(lambda: dose_response(fit, DOSES, baseline_risk=risk), SpecError)
    assert codes == ["E802"]


def test_missing_baseline_is_rejected():
    fit = linear_fit(window=None)
    (issue,) = issues_when(lambda: dose_response(fit, DOSES), SpecError)
    assert (issue.code, issue.column) == ("E802", "window.baseline_risk")
    assert dose_response(fit, DOSES, baseline_risk=0.1).attrs["baseline_risk"] == 0.1


def test_trials_and_extrapolated_doses(fit):
    response = dose_response(fit, [0.0, 0.5, 1.0, 2.0, 2.5])
    trials = response["trials"].sel(outcome="pain")
    assert trials.dims == ("agent", "condition")
    assert trials.to_numpy().tolist() == [[2, 0], [0, 1]]
    assert_allclose(response["tested_from"].sel(outcome="pain"), [[0.5, np.nan], [np.nan, 1.0]])
    assert_allclose(response["tested_to"].sel(outcome="pain"), [[2.0, np.nan], [np.nan, 1.0]])
    extrapolated = response["extrapolated"].sel(outcome="pain")
    assert extrapolated.dims == ("agent", "condition", "dose")
    # A cell without a trial is extrapolated at every dose, whatever other conditions tested.
    assert extrapolated.to_numpy().tolist() == [
        [[False] * 4 + [True], [True] * 5],
        [[True] * 5, [False] * 3 + [True] * 2],
    ]
    tested = response["tested"].sel(outcome="pain")
    assert tested.sel(agent="ketamine", condition="crps").to_numpy().tolist() == [
        False, True, True, True, False,
    ]  # fmt: skip
    assert tested.sum("dose").to_numpy().tolist() == [[3, 0], [0, 1]]


def test_untested_agent_is_extrapolated_at_every_dose():
    slope = {"slope": specs.parameter("agent")}
    outcomes = [specs.outcome(k, "linear", "none", slope) for k in ("normal", "binomial")]
    table = specs.both_tables()
    table = table[~((table["outcome"] == "harm") & (table["study"] == "C"))]
    slopes = draws(PAIN, "agent", agent=["ketamine", "mem"])
    posterior = {f"{outcome}::slope": slopes for outcome in ("pain", "harm")}
    fit = make_fit(specs.spec(*outcomes), table, posterior)
    tested = dose_range(fit)
    assert tested["trials"].sel(outcome="harm", agent="mem").to_numpy().tolist() == [0, 0]
    assert np.isnan(tested["tested_to"].sel(outcome="harm", agent="mem")).all()
    response = dose_response(fit, DOSES, baseline_risk=0.1)
    assert response["extrapolated"].sel(outcome="harm", agent="mem").all()
    of_pain = response["extrapolated"].sel(outcome="pain", agent="mem", dose=0.5)
    assert of_pain.to_series().to_dict() == {"crps": True, "fibro": False}


def test_study_of_two_arms_at_equal_dose_is_no_trial(fit):
    arms = fit["design/outcomes/pain"].to_dataset()
    of_a = arms["study"] == "A"
    arms = arms.assign(
        exposure=arms["exposure"].where(~of_a, 1.0), agent=arms["agent"].where(~of_a, "ketamine")
    )
    fit["design/outcomes/pain"] = xr.DataTree(arms)
    trials = dose_range(fit)["trials"].sel(outcome="pain", agent="ketamine", condition="crps")
    assert int(trials) == 1


def test_default_grid_passes_through_the_tested_doses(fit):
    grid = default_dose_grid(fit)
    assert grid.dims == ("dose",)
    values = grid.to_numpy()
    assert values[0] == 0.0
    assert (np.diff(values) > 0).all()
    assert_allclose([values[1], values[-1]], [0.5 / 4, 2.0 * 1.5])
    assert {0.5, 1.0, 2.0} <= set(values)


@pytest.mark.parametrize("dose", [[-1.0], [0.0, np.nan], [np.inf]])
def test_negative_or_infinite_dose_is_rejected(fit, dose):
    assert codes_when(lambda: linear_response(fit, "pain", dose), SpecError) == ["E805"]


def test_unknown_outcome_suggests_the_closest(fit):
    (issue,) = issues_when(lambda: design_of(fit, "pian"), SpecError)
    assert (issue.code, issue.column) == ("E800", "outcome")
    assert "'pain'" in issue.hint


def test_odds_ratio_becomes_a_risk():
    odds = xr.DataArray([0.0, np.log(3.0)], dims="x")
    # 1 in 5 is odds of 1/4; three times that is 3/4, a risk of 3/7.
    assert_allclose(absolute_risk(odds, 0.2), [0.2, 3 / 7])


def test_interval_has_kind_and_level():
    array = xr.DataArray(
        np.arange(1001.0).reshape(1, 1001, 1), dims=("chain", "draw", "x"), attrs={"unit": "points"}
    )
    response = credible_interval(array)
    assert response.sizes == {"x": 1}
    assert_allclose([response[k].item() for k in ("lower", "median", "upper")], [25, 500, 975])
    assert response.attrs == {"unit": "points", "kind": "equal-tailed", "level": 0.95}
    assert INTERVAL_TEXT == "95% CrI"
