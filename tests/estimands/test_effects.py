"""Effects by trial: raw, after partial pooling, and predicted for a new trial."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.estimands import study_effects
from nmda_bayes.estimands.effects import ZERO_CELL
from tests.estimands.conftest import PAIN
from tests.support import specs
from tests.support.fits import draws, make_fit

ARMS = ["A: ketamine 1", "B: ketamine 0.5", "B: ketamine 2", "C: mem 1"]


@pytest.mark.parametrize("outcome", ["pain", "harm"])
def test_one_row_per_active_arm_with_its_comparator(fit, outcome):
    effects = study_effects(fit, outcome)
    assert effects["arm"].to_numpy().tolist() == ARMS
    assert effects["raw"].dims == ("arm",)
    assert effects["shrunk"].dims == effects["predicted"].dims == ("chain", "draw", "arm")
    assert effects["study"].to_numpy().tolist() == ["A", "B", "B", "C"]
    assert effects["agent"].to_numpy().tolist() == ["ketamine"] * 3 + ["mem"]
    assert effects["condition"].to_numpy().tolist() == ["crps"] * 3 + ["fibro"]
    assert effects["comparator"].to_numpy().tolist() == ["placebo"] * 4
    assert effects["exposure"].to_numpy().tolist() == [1.0, 0.5, 2.0, 1.0]


def test_raw_differences_of_means(fit):
    effects = study_effects(fit, "pain")
    assert_allclose(effects["raw"], [-8, -3, -14, -3])
    assert_allclose(effects["raw_se"], np.sqrt([8, 18, 18, 32]))
    assert effects["raw_note"].to_numpy().tolist() == [""] * 4
    assert effects.attrs == {
        "label": "pain",
        "scale": "points",
        "link": "identity",
        "ratio": "",
        "correlation": 0,
    }


def test_raw_log_odds_ratios_and_the_zero_cell(fit):
    effects = study_effects(fit, "harm")
    # A: 4 of 20 against 1 of 20. B has no event under placebo: no odds ratio without a correction.
    assert_allclose(effects["raw"][0], np.log((4 / 16) / (1 / 19)))
    assert_allclose(effects["raw_se"][0], np.sqrt(1 / 4 + 1 / 16 + 1 / 1 + 1 / 19))
    assert np.isnan(effects["raw"][[1, 2]]).all()
    assert np.isnan(effects["raw_se"][[1, 2]]).all()
    assert effects["raw_note"].to_numpy().tolist() == ["", ZERO_CELL, ZERO_CELL, ""]
    assert effects.attrs == {
        "label": "Dissociation",
        "scale": "log odds ratio",
        "link": "logit",
        "ratio": "odds ratio",
        "correlation": 0,
    }


@pytest.mark.parametrize("events", [0, 20])
def test_arm_without_or_with_only_events_is_a_zero_cell(events):
    table = specs.binary_table(name="pain")
    table.loc[1, "events"] = events
    outcome = specs.outcome("binomial", "linear", "none", {"slope": specs.parameter("agent")})
    posterior = {
        "slope": draws(PAIN / 10, "agent", agent=["ketamine", "mem"]),
        "eta": draws(np.zeros((4, 7)), "arm"),
    }
    effects = study_effects(make_fit(specs.spec(outcome), table, posterior), "pain")
    assert effects["raw_note"].to_numpy()[0] == ZERO_CELL
    assert np.isnan(effects["raw"].to_numpy()[0])


def test_shrunk_is_the_difference_of_the_linear_predictor(fit):
    effects = study_effects(fit, "pain").isel(chain=0)
    dose = np.array([1.0, 0.5, 2.0, 1.0])
    assert_allclose(effects["shrunk"], PAIN[:, [0, 0, 0, 1]] * dose)


def test_predicted_adds_the_heterogeneity_of_two_new_arms(fit):
    many = fit.copy()
    posterior = many["posterior"].to_dataset().isel(draw=np.zeros(4000, int))
    many["posterior"] = posterior.assign_coords(draw=range(4000))
    effects = study_effects(many, "pain").isel(chain=0)
    difference = effects["predicted"] - PAIN[0, [0, 0, 0, 1]] * np.array([1.0, 0.5, 2.0, 1.0])
    # heterogeneity_sd is 1, so a contrast has variance 1: 16,000 of them.
    assert abs(float(difference.mean())) < 4 / np.sqrt(16_000)
    assert abs(float(difference.var()) - 1.0) < 4 * np.sqrt(2 / 16_000)


def test_new_trial_without_heterogeneity_is_the_curve():
    outcome = specs.outcome("normal", "linear", "none", {"slope": specs.parameter("agent")})
    posterior = {
        "slope": draws(PAIN, "agent", agent=["ketamine", "mem"]),
        "eta": draws(np.zeros((4, 7)), "arm"),
    }
    effects = study_effects(make_fit(specs.spec(outcome), specs.normal_table(), posterior), "pain")
    dose = np.array([1.0, 0.5, 2.0, 1.0])
    assert effects["predicted"].dims == ("chain", "draw", "arm")
    assert_allclose(effects["predicted"].isel(chain=0), PAIN[:, [0, 0, 0, 1]] * dose)
    assert_allclose(effects["shrunk"], 0.0)


def test_reported_contrasts_are_unchanged():
    outcome = specs.outcome("normal_contrast", "linear", "none")
    posterior = {"slope": draws(PAIN[:, 0]), "eta": draws(np.zeros((4, 7)), "arm")}
    fit = make_fit(specs.spec(outcome), specs.CONTRASTS, posterior)
    effects = study_effects(fit, "pain")
    assert_allclose(effects["raw"], [-8, -11, -5, -1])
    assert_allclose(effects["raw_se"], [3, 3.5, 4, 2])
    assert_allclose(effects["predicted"].isel(chain=0), PAIN[:, [0]] * np.array([1, 2, 1, 1]))
