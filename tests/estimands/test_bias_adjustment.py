"""Effects with and without bias, from draws set by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

from nmda_bayes.components.bias import publication_probability
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands.effects import bias_adjusted_effects
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

EFFECT = np.array([-3.0, -2.0])


def fit_with(bias, **variables):
    outcome = specs.outcome("normal", "constant", "none", better="lower", bias=bias)
    posterior = {"effect": draws(EFFECT)} | variables
    return make_fit(specs.spec(outcome), specs.normal_table(), posterior)


def test_bias_is_averaged_over_arms_of_each_agent():
    shifted = ["A: ketamine 1", "B: ketamine 0.5", "B: ketamine 2", "C: mem 1"]
    shift = draws([[-1.0, -2, -6, -4], [-2, -4, -6, -8]], "shifted_arm", shifted_arm=shifted)
    fit = fit_with({"small_study": {"prior": specs.normal()}}, bias_shift=shift)
    labels = fit["design/outcomes/pain"]["arm"].to_numpy()
    shifted = [labels[k] for k in (1, 3, 4, 6)]
    fit["posterior"] = fit["posterior"].to_dataset().assign_coords(shifted_arm=shifted)
    adjusted = bias_adjusted_effects(fit, "pain")
    assert adjusted["bias"].dims == ("chain", "draw", "agent")
    assert list(adjusted["agent"]) == ["ketamine", "mem"]
    assert list(adjusted["arms"]) == [3, 1] and list(adjusted["trials"]) == [2, 1]
    assert_allclose(adjusted["bias"].sel(agent="ketamine").squeeze(), [-3, -4])
    assert_allclose(adjusted["without"].sel(agent="mem").squeeze(), EFFECT)
    assert_allclose(adjusted["apparent"].sel(agent="mem").squeeze(), EFFECT + [-4, -8])


def test_publication_inflation_matches_numerical_integral():
    beta = specs.prior("Beta", alpha=1, beta=1)
    bias = {"selection": {"steps": [0.025, 0.5], "priors": [beta] * 2, "contrast": "highest_dose"}}
    se, sd = np.sqrt([8.0, 18, 32]), np.sqrt([9.0, 19, 33])
    mean = np.array([[3.0, 3, 3], [2, 2, 2]])
    of_trials = {
        name: draws(values, "published_study", published_study=["A", "B", "C"])
        for name, values in {
            "bias_selection_mean": mean,
            "bias_selection_sd": np.tile(sd, (2, 1)),
        }.items()
    }
    chances = {"bias_published_2": draws([0.4, 0.4]), "bias_published_3": draws([0.1, 0.1])}
    adjusted = bias_adjusted_effects(fit_with(bias, **of_trials, **chances), "pain")
    expected = []
    for k in range(3):
        limits = -special.ndtri([0.025, 0.5]) * se[k]

        def density(y, k=k, limits=limits):
            kept = publication_probability([float(y >= limit) for limit in limits], [1, 0.4, 0.1])
            return kept * stats.norm.pdf(y, 3.0, sd[k])

        cuts = [3 - 9 * sd[k], *sorted(limits), 3 + 9 * sd[k]]
        parts = list(zip(cuts, cuts[1:], strict=False))
        total = sum(integrate.quad(density, *ends)[0] for ends in parts)
        first = sum(integrate.quad(lambda y: y * density(y), *ends)[0] for ends in parts)
        expected.append(first / total - 3.0)
    # Lower is better: in favour of the agent is downwards.
    assert_allclose(adjusted["bias"].isel(draw=0).squeeze(), [-np.mean(expected[:2]), -expected[2]])


def test_outcome_without_bias_model_is_rejected():
    outcome = specs.outcome("normal", "constant", "none")
    fit = make_fit(specs.spec(outcome), specs.normal_table(), {"effect": draws(EFFECT)})
    (issue,) = issues_when(lambda: bias_adjusted_effects(fit, "pain"), SpecError)
    assert issue.code == "E812"
    assert "[outcomes.pain.bias]" in issue.hint


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_inflation_is_in_the_better_direction(better):
    beta = specs.prior("Beta", alpha=1, beta=1)
    bias = {"selection": {"steps": [0.025], "priors": [beta], "contrast": "highest_dose"}}
    outcome = specs.outcome("normal", "constant", "none", better=better, bias=bias)
    of_trials = {
        name: draws(np.full((2, 3), 5.0), "published_study", published_study=["A", "B", "C"])
        for name in ("bias_selection_mean", "bias_selection_sd")
    }
    posterior = {"effect": draws(EFFECT), "bias_published_2": draws([0.2, 0.2]), **of_trials}
    adjusted = bias_adjusted_effects(
        make_fit(specs.spec(outcome), specs.normal_table(), posterior), "pain"
    )
    assert (np.sign(adjusted["bias"]) == (1 if better == "higher" else -1)).all()
