"""Comparisons of agents, effective doses and numbers needed."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import compare_agents, effective_dose, number_needed
from tests.estimands.conftest import HARM, PAIN, linear_fit
from tests.support.issues import codes_when


def test_contrasts_are_antisymmetric(fit):
    result = compare_agents(fit, "pain", 2.0)
    assert result.dims == ("agent", "comparator", "condition", "chain", "draw")
    swapped = result.rename(agent="comparator", comparator="agent").transpose(*result.dims)
    xr.testing.assert_allclose(result, -swapped)
    difference = result.sel(agent="ketamine", comparator="mem", condition="fibro", chain=0)
    assert_allclose(difference, 2 * (PAIN[:, 0] - PAIN[:, 1]))
    assert_allclose(result.sel(agent="mem", comparator="mem"), 0.0)


class TestEffectiveDose:
    GRID = np.array([0.0, 0.3, 1.0, 1.7, 2.6])

    def test_is_exact_on_a_straight_line(self, fit):
        result = effective_dose(fit, "pain", -8.0, self.GRID)
        assert result.dims == ("agent", "condition", "chain", "draw")
        ketamine = result.sel(agent="ketamine", condition="crps", chain=0)
        assert_allclose(ketamine, -8.0 / PAIN[:, 0])

    def test_is_nan_if_not_reached(self, fit):
        result = effective_dose(fit, "pain", -12.0, self.GRID).sel(condition="crps", chain=0)
        ketamine = result.sel(agent="ketamine").to_numpy()
        # -4 a unit reaches -10.4 at the end of the grid.
        assert np.isnan(ketamine).tolist() == [True, False, False, False]
        assert_allclose(ketamine[1:], [1.5, 1.0, 0.75])
        assert np.isnan(result.sel(agent="mem")).all()

    def test_zero_effect_is_at_dose_zero(self, fit):
        assert_allclose(effective_dose(fit, "pain", 0.0, self.GRID), 0.0)

    def test_of_a_risk(self, fit):
        grid = np.linspace(0, 3, 3001)
        result = effective_dose(fit, "harm", 0.1, grid).sel(agent="ketamine", condition="crps")
        known = (logit(0.1) - logit(0.05)) / HARM[:, 0][1:]
        # Linear between points 0.001 apart: the curve's bend leaves an error far below that.
        assert_allclose(result.to_numpy()[0, 1:], known, atol=1e-5)
        assert np.isnan(result.to_numpy()[0, 0])

    def test_of_a_risk_uses_the_baseline_passed(self):
        fit, grid = linear_fit(window=None), np.linspace(0, 3, 301)
        result = effective_dose(fit, "harm", 0.4, grid, baseline_risk=0.3)
        known = (logit(0.4) - logit(0.3)) / 0.5
        assert_allclose(result.sel(agent="mem"), known, atol=1e-4)
        codes = codes_when(lambda: effective_dose(fit, "harm", 0.3, grid), SpecError)
        assert codes == ["E802"]

    def test_of_a_difference_needs_no_baseline(self):
        result = effective_dose(linear_fit(window=None), "pain", -8.0, self.GRID)
        assert_allclose(result.sel(agent="ketamine", condition="crps")[0], -8.0 / PAIN[:, 0])


class TestNumberNeeded:
    def test_is_the_inverse_of_the_added_risk(self, fit):
        result = number_needed(fit, "harm", 1.0, baseline_risk=0.2)
        assert result["number_needed"].dims == ("agent", "condition")
        added = expit(logit(0.2) + HARM[:, 0]) - 0.2
        ketamine = result.sel(agent="ketamine", condition="crps")
        assert_allclose(ketamine["median"], np.median(added))
        assert_allclose(ketamine["number_needed"], 1 / np.median(added))
        assert_allclose(ketamine["number_low"], 1 / np.quantile(added, 0.975))
        assert_allclose(ketamine["number_high"], 1 / np.quantile(added, 0.025))
        certain = result.sel(agent="mem", condition="crps")
        for name in ("number_low", "number_needed", "number_high"):
            assert_allclose(certain[name], 1 / (expit(logit(0.2) + 0.5) - 0.2))

    def test_is_infinite_if_the_interval_includes_zero(self):
        fit = linear_fit()
        fit["posterior"]["harm::slope"][:, 0, 0] = -0.5
        result = number_needed(fit, "harm", 1.0, 0.2).sel(agent="ketamine", condition="crps")
        assert float(result["lower"]) < 0 < float(result["upper"])
        assert np.isinf(result["number_high"])
        assert_allclose(result["number_low"], 1 / result["upper"])

    def test_needs_a_risk_and_a_baseline(self, fit):
        assert codes_when(lambda: number_needed(fit, "pain", 1.0), SpecError) == ["E801"]
        without_baseline = linear_fit(window=None)
        codes = codes_when(lambda: number_needed(without_baseline, "harm", 1.0), SpecError)
        assert codes == ["E802"]
