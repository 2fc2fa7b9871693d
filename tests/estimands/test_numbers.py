"""Contrasts, the dose for an effect, and numbers needed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import contrasts, effective_dose, number_needed
from tests.estimands.conftest import HARM, PAIN, linear_fit


def test_contrasts_are_antisymmetric(fit):
    found = contrasts(fit, "pain", 2.0)
    assert found.dims == ("agent", "comparator", "condition", "chain", "draw")
    swapped = found.rename(agent="comparator", comparator="agent").transpose(*found.dims)
    xr.testing.assert_allclose(found, -swapped)
    one = found.sel(agent="ketamine", comparator="mem", condition="fibro", chain=0)
    assert_allclose(one, 2 * (PAIN[:, 0] - PAIN[:, 1]))
    assert_allclose(found.sel(agent="mem", comparator="mem"), 0.0)


class TestEffectiveDose:
    GRID = np.array([0.0, 0.3, 1.0, 1.7, 2.6])

    def test_is_exact_on_a_straight_line(self, fit):
        found = effective_dose(fit, "pain", -8.0, self.GRID)
        assert found.dims == ("agent", "condition", "chain", "draw")
        ketamine = found.sel(agent="ketamine", condition="crps", chain=0)
        assert_allclose(ketamine, -8.0 / PAIN[:, 0])

    def test_is_nan_where_the_effect_is_not_reached(self, fit):
        found = effective_dose(fit, "pain", -12.0, self.GRID).sel(condition="crps", chain=0)
        ketamine = found.sel(agent="ketamine").to_numpy()
        # -4 a unit reaches -10.4 at the end of the grid.
        assert np.isnan(ketamine).tolist() == [True, False, False, False]
        assert_allclose(ketamine[1:], [1.5, 1.0, 0.75])
        assert np.isnan(found.sel(agent="mem")).all()

    def test_of_no_effect_is_no_dose(self, fit):
        assert_allclose(effective_dose(fit, "pain", 0.0, self.GRID), 0.0)

    def test_of_a_risk_is_on_the_risk_scale(self, fit):
        grid = np.linspace(0, 3, 3001)
        found = effective_dose(fit, "harm", 0.1, grid).sel(agent="ketamine", condition="crps")
        known = (logit(0.1) - logit(0.05)) / HARM[:, 0][1:]
        # Linear between points 0.001 apart: the curve's bend leaves an error far below that.
        assert_allclose(found.to_numpy()[0, 1:], known, atol=1e-5)
        assert np.isnan(found.to_numpy()[0, 0])

    def test_of_a_risk_counts_from_the_baseline_that_is_passed(self):
        fit, grid = linear_fit(window=None), np.linspace(0, 3, 301)
        found = effective_dose(fit, "harm", 0.4, grid, baseline_risk=0.3)
        known = (logit(0.4) - logit(0.3)) / 0.5
        assert_allclose(found.sel(agent="mem"), known, atol=1e-4)
        with pytest.raises(SpecError, match="a risk needs a baseline"):
            effective_dose(fit, "harm", 0.3, grid)

    def test_of_a_difference_needs_no_baseline_for_the_other_outcome(self):
        found = effective_dose(linear_fit(window=None), "pain", -8.0, self.GRID)
        assert_allclose(found.sel(agent="ketamine", condition="crps")[0], -8.0 / PAIN[:, 0])


class TestNumberNeeded:
    def test_is_the_inverse_of_the_added_risk(self, fit):
        found = number_needed(fit, "harm", 1.0, baseline_risk=0.2)
        assert found["number_needed"].dims == ("agent", "condition")
        added = expit(logit(0.2) + HARM[:, 0]) - 0.2
        ketamine = found.sel(agent="ketamine", condition="crps")
        assert_allclose(ketamine["median"], np.median(added))
        assert_allclose(ketamine["number_needed"], 1 / np.median(added))
        assert_allclose(ketamine["number_low"], 1 / np.quantile(added, 0.975))
        assert_allclose(ketamine["number_high"], 1 / np.quantile(added, 0.025))
        certain = found.sel(agent="mem", condition="crps")
        for name in ("number_low", "number_needed", "number_high"):
            assert_allclose(certain[name], 1 / (expit(logit(0.2) + 0.5) - 0.2))

    def test_is_endless_where_the_interval_holds_zero(self):
        fit = linear_fit()
        fit["posterior"]["harm::slope"][:, 0, 0] = -0.5
        found = number_needed(fit, "harm", 1.0, 0.2).sel(agent="ketamine", condition="crps")
        assert float(found["lower"]) < 0 < float(found["upper"])
        assert np.isinf(found["number_high"])
        assert_allclose(found["number_low"], 1 / found["upper"])

    def test_needs_a_risk_and_a_baseline(self, fit):
        with pytest.raises(ValueError, match="'pain' is not binary"):
            number_needed(fit, "pain", 1.0)
        with pytest.raises(SpecError, match="a risk needs a baseline"):
            number_needed(linear_fit(window=None), "harm", 1.0)
