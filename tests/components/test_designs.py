"""A crossover trial's errors are Elbourne's, and the link of responders is the normal's."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import expit

from nmda_bayes.components.designs import same_people
from nmda_bayes.components.responders import Cutoff, cutoff_of, log_odds_of, probit
from nmda_bayes.evidence.arm_statistics import Means
from nmda_bayes.evidence.paired_effects import paired_mean_difference


class TestSamePeople:
    se = xr.DataArray([3.0, 2.0], dims="arm")

    def parts(self, same, rho):
        """Loadings on the shared error, and what is left, of each arm."""
        one = xr.DataArray([1.0, 1.0], dims="arm")
        return same_people(self.se, xr.DataArray(same, dims="arm"), rho, one, np)

    def test_each_mean_keeps_its_own_variance(self):
        shift, left = self.parts([1.0, 1.0], 0.6)
        assert shift.dims == left.dims == ("arm",)
        assert_allclose(shift**2 + left**2, self.se**2, rtol=1e-14)

    @pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
    def test_the_difference_has_the_variance_of_a_paired_comparison(self, rho):
        """Elbourne et al. 2002, as `paired_mean_difference` (held to metafor) has it."""
        shift, left = self.parts([1.0, 1.0], rho)
        variance = float((shift[0] - shift[1]) ** 2 + (left**2).sum())
        n = 25
        sides = (Means(0.0, 3.0 * np.sqrt(n), n), Means(0.0, 2.0 * np.sqrt(n), n))
        assert_allclose(variance, paired_mean_difference(*sides, correlation=rho).variance)

    def test_parallel_arms_are_left_alone(self):
        shift, left = self.parts([0.0, 0.0], 0.6)
        assert_allclose(shift, 0)
        assert_allclose(left, self.se)


class TestResponders:
    @pytest.mark.parametrize(
        ("text", "cutoff"),
        [
            ("50 %", Cutoff(0.5, 0)),
            ("30%", Cutoff(0.3, 0)),
            ("20 points", Cutoff(0, 20)),
            ("0 %", None),
            ("120 %", None),
            ("half", None),
            ("0 points", None),
        ],
    )
    def test_reading_a_cutoff(self, text, cutoff):
        assert cutoff_of(text) == cutoff

    def test_the_share_is_that_of_normal_scores(self):
        """A million people: mean 60 at the start, 40 at the end, correlated; half gone, or 20."""
        rng = np.random.default_rng(5)
        size = 1_000_000
        start = rng.normal(60, 12, size)
        end = 40 + 0.5 * (start - 60) + rng.normal(0, 20, size)
        for cutoff, gone in (
            (Cutoff(0.5, 0), end <= 0.5 * start),
            (Cutoff(0, 20), end <= start - 20),
        ):
            sd = np.std(end - (1 - cutoff.share) * start)
            eta = xr.DataArray([40.0], dims="arm")
            z = probit(eta, 60.0, sd, share=cutoff.share, points=cutoff.points, lower=True)
            assert z.dims == ("arm",)
            # Monte Carlo error of a share of a million: at most 0.0005.
            assert_allclose(stats.norm.cdf(z), gone.mean(), atol=0.002)

    def test_where_higher_is_better_both_signs_turn(self):
        low = probit(40.0, 60.0, 20.0, share=0.5, points=0.0, lower=True)
        high = probit(-40.0, -60.0, 20.0, share=0.5, points=0.0, lower=False)
        assert low == pytest.approx((0.5 * 60 - 40) / 20)
        # Gaining 50 % of a score of 60 is reaching 90.
        assert probit(90.0, 60.0, 20.0, share=0.5, points=0.0, lower=False) == pytest.approx(0)
        assert high == pytest.approx((-40 + 90) / 20)

    def test_a_wrong_starting_level_costs_the_comparison_of_two_arms_nothing(self):
        eta = np.array([55.0, 45.0])
        for start in (50.0, 80.0):
            z = probit(eta, start, 22.0, share=0.5, points=0.0, lower=True)
            assert z[1] - z[0] == pytest.approx(10 / 22)

    def test_log_odds_hold_in_both_tails(self):
        z = np.array([-30.0, -9.0, -1.0, 0.0, 2.0, 9.0, 30.0])
        exact = stats.norm.logcdf(z) - stats.norm.logsf(z)
        # PyTensor's erfcx agrees with SciPy's to 2e-8.
        assert_allclose(log_odds_of(z).eval(), exact, rtol=1e-7, atol=1e-12)
        assert_allclose(expit(log_odds_of(z[1:6]).eval()), stats.norm.cdf(z[1:6]), rtol=1e-6)
