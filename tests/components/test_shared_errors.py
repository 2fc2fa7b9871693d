"""Shared errors of crossover trials, and the probability of response of normal scores."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import expit

from nmda_bayes.components.heterogeneity import split_error
from nmda_bayes.components.likelihoods import (
    Cutoff,
    log_odds_from_probit,
    parse_cutoff,
    responder_probit,
)
from nmda_bayes.evidence.effect_sizes import Means, paired_mean_difference


class TestSamePeople:
    se = xr.DataArray([3.0, 2.0], dims="arm")

    def parts(self, same, rho):
        """The shared and the remaining error of each arm."""
        shared = xr.DataArray([1.0, 1.0], dims="arm")
        return split_error(self.se, xr.DataArray(same, dims="arm"), rho, shared, np)

    def test_shared_error_keeps_variances(self):
        shift, left = self.parts([1.0, 1.0], 0.6)
        assert shift.dims == left.dims == ("arm",)
        assert_allclose(shift**2 + left**2, self.se**2, rtol=1e-14)

    @pytest.mark.parametrize("rho", [0.0, 0.3, 0.9])
    def test_contrast_variance_is_that_of_paired_data(self, rho):
        """Elbourne et al. 2002, as `paired_mean_difference` (checked against metafor)."""
        shift, left = self.parts([1.0, 1.0], rho)
        variance = float((shift[0] - shift[1]) ** 2 + (left**2).sum())
        n = 25
        sides = (Means(0.0, 3.0 * np.sqrt(n), n), Means(0.0, 2.0 * np.sqrt(n), n))
        assert_allclose(variance, paired_mean_difference(*sides, correlation=rho).variance)

    def test_parallel_arms_are_unchanged(self):
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
    def test_parse_cutoff(self, text, cutoff):
        assert parse_cutoff(text) == cutoff

    def test_responder_probability_of_normal_scores(self):
        """A million correlated scores with means 60 and 40, cut-offs of half and of 20 points."""
        rng = np.random.default_rng(5)
        size = 1_000_000
        start = rng.normal(60, 12, size)
        end = 40 + 0.5 * (start - 60) + rng.normal(0, 20, size)
        for cutoff, responded in (
            (Cutoff(0.5, 0), end <= 0.5 * start),
            (Cutoff(0, 20), end <= start - 20),
        ):
            sd = np.std(end - (1 - cutoff.share) * start)
            eta = xr.DataArray([40.0], dims="arm")
            z = responder_probit(
                eta, 60.0, sd, share=cutoff.share, points=cutoff.points, lower=True
            )
            assert z.dims == ("arm",)
            # Monte Carlo error of a share of a million: at most 0.0005.
            assert_allclose(stats.norm.cdf(z), responded.mean(), atol=0.002)

    def test_signs_change_where_higher_is_better(self):
        low = responder_probit(40.0, 60.0, 20.0, share=0.5, points=0.0, lower=True)
        high = responder_probit(-40.0, -60.0, 20.0, share=0.5, points=0.0, lower=False)
        assert low == pytest.approx((0.5 * 60 - 40) / 20)
        # An increase of 60 by 50% is 90.
        assert responder_probit(
            90.0, 60.0, 20.0, share=0.5, points=0.0, lower=False
        ) == pytest.approx(0)
        assert high == pytest.approx((-40 + 90) / 20)

    def test_starting_level_cancels_from_contrasts(self):
        eta = np.array([55.0, 45.0])
        for start in (50.0, 80.0):
            z = responder_probit(eta, start, 22.0, share=0.5, points=0.0, lower=True)
            assert z[1] - z[0] == pytest.approx(10 / 22)

    def test_log_odds_are_accurate_in_both_tails(self):
        z = np.array([-30.0, -9.0, -1.0, 0.0, 2.0, 9.0, 30.0])
        exact = stats.norm.logcdf(z) - stats.norm.logsf(z)
        # PyTensor's erfcx agrees with SciPy's to 2e-8.
        assert_allclose(log_odds_from_probit(z).eval(), exact, rtol=1e-7, atol=1e-12)
        assert_allclose(
            expit(log_odds_from_probit(z[1:6]).eval()), stats.norm.cdf(z[1:6]), rtol=1e-6
        )
