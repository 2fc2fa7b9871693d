"""Curves on the scale that a reader thinks in, and what is extrapolated."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import absolute_risk, dose_response, linear_response
from nmda_bayes.estimands import tested as where_tested
from nmda_bayes.estimands.reading import default_doses, design_of
from nmda_bayes.intervals import INTERVAL_TEXT, interval
from tests import specs
from tests.conftest import draws, faults_when, make_fit
from tests.estimands.conftest import HARM, PAIN, linear_fit

DOSES = [0.0, 0.5, 2.0]


def test_dims_and_labels(fit):
    found = dose_response(fit, DOSES)
    assert found.dims == ("outcome", "agent", "condition", "dose", "chain", "draw")
    assert found.name == "response"
    assert found["scale"].to_series().to_dict() == {"pain": "difference", "harm": "risk"}
    assert found["label"].to_series().to_dict() == {"pain": "pain", "harm": "Dissociation"}
    assert found["unit"].to_series().to_dict() == {"pain": "points", "harm": "probability"}
    assert found["better"].to_series().to_dict() == {"pain": "lower", "harm": "lower"}
    assert found.attrs["baseline_risk"] == 0.05
    assert found.attrs["exposure_axis"] == "dose, in the units of the evidence"


def test_a_difference_is_the_curve_and_zero_at_dose_zero(fit):
    found = dose_response(fit, DOSES).sel(outcome="pain", chain=0)
    assert_allclose(found.sel(dose=0.0), 0.0, atol=0)
    for i, agent in enumerate(("ketamine", "mem")):
        for condition in ("crps", "fibro"):
            assert_allclose(found.sel(agent=agent, condition=condition, dose=2.0), 2 * PAIN[:, i])


def test_a_risk_is_absolute_and_starts_at_the_baseline(fit):
    found = dose_response(fit, DOSES, baseline_risk=0.2).sel(outcome="harm", chain=0)
    assert_allclose(found.sel(dose=0.0), 0.2)
    known = expit(logit(0.2) + 2 * HARM[:, 0])
    assert_allclose(found.sel(agent="ketamine", condition="crps", dose=2.0), known)


def test_the_baseline_of_the_window_is_taken_where_none_is_passed(fit):
    found = dose_response(fit, [0.0]).sel(outcome="harm")
    assert_allclose(found, 0.05)


@pytest.mark.parametrize("risk", [0.0, 1.0, -0.1, 5])
def test_a_baseline_that_is_no_probability_is_refused(fit, risk):
    with pytest.raises(SpecError, match="a risk needs a baseline between 0 and 1"):
        dose_response(fit, DOSES, baseline_risk=risk)


def test_a_risk_without_a_baseline_says_where_to_write_it():
    fit = linear_fit(window=None)
    (fault,) = faults_when(lambda: dose_response(fit, DOSES), SpecError)
    assert "baseline_risk=" in fault.mend
    assert fault.column == "window.baseline_risk"
    assert dose_response(fit, DOSES, baseline_risk=0.1).attrs["baseline_risk"] == 0.1


def test_trials_and_what_lies_beyond_them(fit):
    found = dose_response(fit, [0.0, 0.5, 1.0, 2.0, 2.5])
    trials = found["trials"].sel(outcome="pain")
    assert trials.dims == ("agent", "condition")
    assert trials.to_numpy().tolist() == [[2, 0], [0, 1]]
    assert found["tested_from"].sel(outcome="pain").to_numpy().tolist() == [0.5, 1.0]
    assert found["tested_to"].sel(outcome="pain").to_numpy().tolist() == [2.0, 1.0]
    beyond = found["extrapolated"].sel(outcome="pain")
    assert beyond.dims == ("agent", "dose")
    assert beyond.to_numpy().tolist() == [[False] * 4 + [True], [False] * 3 + [True] * 2]


def test_an_agent_that_no_trial_of_an_outcome_tried_is_extrapolated_everywhere():
    slope = {"slope": specs.parameter("agent")}
    outcomes = [specs.outcome(k, "linear", "none", slope) for k in ("normal", "binomial")]
    table = specs.both_tables()
    table = table[~((table["outcome"] == "harm") & (table["study"] == "C"))]
    posterior = {f"{o}::slope": draws(PAIN, "agent", agent=["ketamine", "mem"]) for o in
                 ("pain", "harm")}  # fmt: skip
    fit = make_fit(specs.spec(*outcomes), table, posterior)
    where = where_tested(fit)
    assert where["trials"].sel(outcome="harm", agent="mem").to_numpy().tolist() == [0, 0]
    assert np.isnan(where["tested_to"].sel(outcome="harm", agent="mem"))
    found = dose_response(fit, DOSES, baseline_risk=0.1)
    assert found["extrapolated"].sel(outcome="harm", agent="mem").all()
    assert not found["extrapolated"].sel(outcome="pain", agent="mem", dose=0.5)


def test_a_study_that_compares_one_dose_with_itself_is_no_trial_of_it(fit):
    arms = fit["design/outcomes/pain"].to_dataset()
    of_a = arms["study"] == "A"
    arms = arms.assign(
        exposure=arms["exposure"].where(~of_a, 1.0), agent=arms["agent"].where(~of_a, "ketamine")
    )
    fit["design/outcomes/pain"] = xr.DataTree(arms)
    trials = where_tested(fit)["trials"].sel(outcome="pain", agent="ketamine", condition="crps")
    assert int(trials) == 1


def test_the_grid_runs_from_zero_to_beyond_what_was_tried_through_each_end(fit):
    grid = default_doses(fit)
    assert grid.dims == ("dose",)
    values = grid.to_numpy()
    assert values[0] == 0.0
    assert (np.diff(values) > 0).all()
    assert_allclose([values[1], values[-1]], [0.5 / 4, 2.0 * 1.5])
    assert {1.0, 2.0} <= set(values)


@pytest.mark.parametrize("dose", [[-1.0], [0.0, np.nan], [np.inf]])
def test_a_dose_that_is_none_is_refused(fit, dose):
    with pytest.raises(SpecError, match="negative or not a number"):
        linear_response(fit, "pain", dose)


def test_an_unknown_outcome_says_the_nearest(fit):
    (fault,) = faults_when(lambda: design_of(fit, "pian"), SpecError)
    assert "'pain'" in fault.mend


def test_odds_become_risks():
    odds = xr.DataArray([0.0, np.log(3.0)], dims="x")
    # 1 in 5 is odds of 1/4; three times that is 3/4, a risk of 3/7.
    assert_allclose(absolute_risk(odds, 0.2), [0.2, 3 / 7])


def test_the_one_interval_says_its_kind_and_level():
    array = xr.DataArray(
        np.arange(1001.0).reshape(1, 1001, 1), dims=("chain", "draw", "x"), attrs={"unit": "points"}
    )
    found = interval(array)
    assert found.sizes == {"x": 1}
    assert_allclose([found[k].item() for k in ("lower", "median", "upper")], [25, 500, 975])
    assert found.attrs == {"unit": "points", "kind": "equal-tailed", "level": 0.95}
    assert INTERVAL_TEXT == "95 % equal-tailed interval"
