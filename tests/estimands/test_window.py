"""The therapeutic window, with probabilities counted over four draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import therapeutic_window
from tests.estimands.conftest import HARM, PAIN, linear_fit
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import codes_when


def test_counts_draws_with_enough_benefit_and_safe_harm(fit):
    window = therapeutic_window(fit, 10, 0.1, 0.2, dose=[0, 1, 2])
    for name in ("p_benefit", "p_risk", "p_both"):
        assert window[name].dims == ("agent", "condition", "dose")
    ketamine = window.sel(agent="ketamine", condition="crps")
    # Falls of 4, 8, 12, 16 points a unit of dose; 10 are enough.
    assert_allclose(ketamine["p_benefit"], [0, 0.5, 0.75])
    added = expit(logit(0.2) + np.outer([0, 1, 2], HARM[:, 0])) - 0.2
    assert_allclose(ketamine["p_risk"], (added <= 0.1).mean(axis=1))
    benefit = -np.outer([0, 1, 2], PAIN[:, 0])
    both = (benefit >= 10) & (added <= 0.1)
    assert_allclose(ketamine["p_both"], both.mean(axis=1))
    # Draws with more benefit have more harm: the two are correlated.
    assert not np.allclose(ketamine["p_both"], ketamine["p_benefit"] * ketamine["p_risk"])
    assert_allclose(ketamine["gain"].isel(chain=0).transpose("dose", "draw"), benefit)
    assert_allclose(ketamine["added_risk"].isel(chain=0).transpose("dose", "draw"), added)


def test_benefit_that_is_better_higher():
    """With the direction reversed the same draws are losses."""
    window = therapeutic_window(linear_fit("higher"), 10, 0.1, 0.2, dose=[0, 1, 2])
    assert_allclose(window["p_benefit"].sel(agent="ketamine"), 0.0)
    assert_allclose(window["p_benefit"].sel(agent="mem"), 0.0)
    lower = therapeutic_window(linear_fit("lower"), 10, 0.1, 0.2, dose=[0, 1, 2])
    assert_allclose(window["gain"], -lower["gain"])
    assert_allclose(window["p_risk"], lower["p_risk"])


def test_benefit_that_is_a_risk():
    slope = {"slope": specs.parameter("agent")}
    responders = specs.outcome("binomial", "linear", "none", slope, better="higher")
    harm = specs.outcome("binomial", "linear", "none", slope)
    tables = [specs.binary_table(name=name) for name in ("pain", "harm")]
    slopes = draws(HARM, "agent", agent=["ketamine", "mem"])
    fit = make_fit(
        specs.spec(responders, harm, window=specs.WINDOW),
        pd.concat(tables),
        {"pain::slope": slopes, "harm::slope": slopes},
    )
    window = therapeutic_window(fit, 0.08, 0.5, 0.2, dose=[1.0])
    gain = expit(logit(0.2) + HARM[:, 0]) - 0.2
    known = (gain >= 0.08).mean()
    assert 0 < known < 1
    assert_allclose(window["p_benefit"].sel(agent="ketamine", condition="crps"), known)


def test_thresholds_default_to_the_spec(fit):
    window = therapeutic_window(fit, dose=[1.0])
    assert window.attrs == {
        "benefit_at_least": 10.0,
        "risk_at_most": 0.1,
        "baseline_risk": 0.05,
        "exposure_axis": "dose (unit not stated)",
        "benefit_unit": "points",
        "benefit_label": "pain",
        "harm_label": "Dissociation",
    }


def test_trials_and_extrapolation(fit):
    window = therapeutic_window(fit, dose=[1.0, 2.0])
    assert window["trials_benefit"].to_numpy().tolist() == [[2, 0], [0, 1]]
    assert window["trials_harm"].to_numpy().tolist() == [[2, 0], [0, 1]]
    assert window["extrapolated"].dims == ("agent", "condition", "dose")
    assert window["extrapolated"].to_numpy().tolist() == [
        [[False, False], [True, True]],
        [[True, True], [False, True]],
    ]
    assert window["tested"].to_numpy().tolist() == [
        [[True, True], [False, False]],
        [[False, False], [True, False]],
    ]


def test_spec_without_window_is_rejected():
    fit = linear_fit(window=None)
    assert codes_when(lambda: therapeutic_window(fit, 10, 0.1, 0.2), SpecError) == ["E803"]
