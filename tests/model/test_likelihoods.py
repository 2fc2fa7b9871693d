"""Each likelihood in the graph: its density against SciPy's, its parameters, its replicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import BORROWED, build_design
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests import specs
from tests.model.test_graph import STUDY, T, density, inverse_logit

BASELINES = {"identity": np.array([50.0, 54.0, 59.0])}
DOSE = T["dose"].to_numpy(float)


def model_of(likelihood: str, table: pd.DataFrame, **more: Any) -> Any:
    """A straight line on three trials, without heterogeneity: baselines, a slope, and no more."""
    spec = specs.spec(specs.outcome(likelihood, "linear", "none", **more))
    return build_model(spec, load_evidence(table))


def priors_of(slope: float, baseline: np.ndarray) -> float:
    return float(stats.norm(0, 1).logpdf(slope) + stats.norm(0, 10).logpdf(baseline).sum())


class TestStudentT:
    slope, baseline = -4.0, np.array([50.0, 54.0, 59.0])

    def test_its_density(self):
        model = model_of("student_t", specs.normal_table())
        nu, eta = 4.0, self.baseline[STUDY] + self.slope * DOSE
        point = {
            "slope": np.array(self.slope),
            "baseline": self.baseline,
            "nu_log__": np.array(np.log(nu)),
        }
        expected = (
            priors_of(self.slope, self.baseline)
            + stats.gamma(2, scale=10).logpdf(nu)
            + stats.t(nu, eta, T["se"]).logpdf(T["mean"]).sum()
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_with_declared_degrees_of_freedom_nothing_is_learned_of_them(self):
        model = model_of("student_t", specs.normal_table(), likelihood_options={"nu": 4.0})
        assert "nu" not in model.named_vars
        eta = self.baseline[STUDY] + self.slope * DOSE
        expected = priors_of(self.slope, self.baseline)
        expected += stats.t(4, eta, T["se"]).logpdf(T["mean"]).sum()
        point = {"slope": np.array(self.slope), "baseline": self.baseline}
        assert_allclose(density(model, point), expected, rtol=1e-9)


class TestCounts:
    slope, baseline = 0.8, np.array([-2.5, -3.0, -1.0])
    eta = baseline[STUDY] + slope * DOSE
    events, n = T["events"].to_numpy(), T["n"].to_numpy()
    point = {"slope": np.array(slope), "baseline": baseline}
    priors = priors_of(slope, baseline)

    def test_beta_binomial(self):
        model = model_of("beta_binomial", specs.binary_table(name="pain"))
        rho, p = 0.07, inverse_logit(self.eta)
        people = (1 - rho) / rho
        expected = (
            self.priors
            + stats.beta(1, 9).logpdf(rho)
            + stats.betabinom(self.n, p * people, (1 - p) * people).logpmf(self.events).sum()
        )
        point = self.point | {"overdispersion_logodds__": np.array(np.log(rho / (1 - rho)))}
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_beta_binomial_without_overdispersion_is_binomial(self):
        options = {"likelihood_options": {"overdispersion": 1e-7}}
        table = specs.binary_table(name="pain")
        near = density(model_of("beta_binomial", table, **options), self.point)
        # Its relative excess variance is (n - 1) rho: some 1e-6 of each arm's density.
        assert_allclose(near, density(model_of("binomial", table), self.point), atol=1e-4)

    def test_poisson(self):
        table = specs.rate_table()
        mu = table["person_time"].to_numpy() * np.exp(self.eta)
        expected = self.priors + stats.poisson(mu).logpmf(self.events).sum()
        assert_allclose(density(model_of("poisson", table), self.point), expected, rtol=1e-9)

    def test_negative_binomial(self):
        table, shape = specs.rate_table(), 1.7
        mu = table["person_time"].to_numpy() * np.exp(self.eta)
        expected = (
            self.priors
            + stats.gamma(2, scale=10).logpdf(shape)
            + stats.nbinom(shape, shape / (shape + mu)).logpmf(self.events).sum()
        )
        point = self.point | {"shape_log__": np.array(np.log(shape))}
        assert_allclose(density(model_of("negative_binomial", table), point), expected, rtol=1e-9)

    def test_binomial_cloglog(self):
        table = specs.follow_up_table()
        risk = 1 - np.exp(-table["follow_up"].to_numpy() * np.exp(self.eta))
        expected = self.priors + stats.binom(self.n, risk).logpmf(self.events).sum()
        found = density(model_of("binomial_cloglog", table), self.point)
        assert_allclose(found, expected, rtol=1e-9)

    @pytest.mark.parametrize("likelihood", ["beta_binomial", "poisson", "negative_binomial"])
    @pytest.mark.parametrize("level", [-25.0, 0.0])
    def test_an_arm_without_an_event_has_a_finite_density(self, likelihood, level):
        rates = LIKELIHOODS[likelihood].columns[1] == "person_time"
        table = specs.rate_table() if rates else specs.binary_table(name="pain")
        model = model_of(likelihood, table.assign(events=0))
        point = model.initial_point() | {"baseline": np.full(3, level)}
        assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(point))

    @pytest.mark.parametrize("level", [-15.0, -5.0, 3.0])
    def test_a_risk_near_0_or_1_keeps_its_log_density(self, level):
        table = specs.follow_up_table().assign(events=0, follow_up=1.0)
        model = model_of("binomial_cloglog", table)
        # Nobody has the event: the log density of n people is -n times the hazard, exactly.
        point = {"slope": np.array(0.0), "baseline": np.full(3, level)}
        found = density(model, point) - priors_of(0.0, np.full(3, level))
        assert_allclose(found, -self.n.sum() * np.exp(level), rtol=1e-6)


class TestNormalWithSd:
    """Arms whose SDs are reports: A prints both, B prints one of its three, C both."""

    slope, baseline, log_sd, spread = -4.0, np.array([50.0, 54.0, 59.0]), 3.0, 0.2
    z = np.linspace(-1, 1, 7)
    sd = np.exp(log_sd + spread * z)

    def point(self) -> dict[str, Any]:
        return {
            "slope": np.array(self.slope),
            "baseline": self.baseline,
            "log_sd": np.array(self.log_sd),
            "sd_spread_log__": np.array(np.log(self.spread)),
            "arm_sd_offset": self.z,
        }

    def test_its_density(self):
        model = model_of("normal_with_sd", specs.sd_table())
        n, eta = T["n"].to_numpy(), self.baseline[STUDY] + self.slope * DOSE
        printed = np.array([text != "not reported" for text in specs.SDS])
        s = np.array([float(text) for text in specs.SDS if text != "not reported"])
        # (n - 1) s² / sigma² ~ chi²(n - 1), as a density of s².
        scale = self.sd[printed] ** 2 / (n[printed] - 1)
        expected = (
            priors_of(self.slope, self.baseline)
            + stats.norm(0, 1).logpdf(self.log_sd)
            + stats.gamma(2, scale=10).logpdf(self.spread)
            + stats.norm.logpdf(self.z).sum()
            + stats.norm(eta, self.sd / np.sqrt(n)).logpdf(T["mean"]).sum()
            + stats.chi2(n[printed] - 1, scale=scale).logpdf(s**2).sum()
        )
        assert_allclose(density(model, self.point()), expected, rtol=1e-9)

    def test_dims(self):
        dims = model_of("normal_with_sd", specs.sd_table()).named_vars_to_dims
        assert dims["arm_sd"] == ("arm",)
        assert dims["reported"] == ("arm",)
        assert dims["reported_variance"] == ("arm_with_sd",)

    def test_the_arm_without_an_sd_is_told(self):
        spec = specs.spec(specs.outcome("normal_with_sd", "linear", "none"))
        pain = build_design(spec, load_evidence(specs.sd_table()))["outcomes/pain"].to_dataset()
        told = dict(zip(pain["arm"].to_numpy(), pain["se_from"].to_numpy(), strict=True))
        assert told["B: ketamine 0.5"] == BORROWED
        assert list(told.values()).count(BORROWED) == 1
        assert np.isnan(pain["sd"].sel(arm="B: ketamine 0.5"))
        assert_allclose(pain["sd"].sel(arm="A: placebo"), 20.0)

    def test_another_likelihood_leaves_that_arm_out_and_says_why(self):
        spec = specs.spec(specs.outcome("normal", "linear", "none"))
        design = build_design(spec, load_evidence(specs.sd_table()))
        assert design["outcomes/pain"].sizes["arm"] == 6
        assert design["left_out"]["reason"].to_numpy().tolist() == ["no_dispersion"]

    def test_an_empty_sd_stays_a_fault_that_shows_what_to_write(self):
        with pytest.raises(EvidenceError, match="not reported"):
            load_evidence(specs.sd_table().replace("not reported", ""))

    def test_a_study_may_have_an_sd_of_its_own(self):
        own = {"sd": specs.parameter("independent", each=specs.prior("LogNormal", mu=3, sigma=1))}
        outcome = specs.outcome("normal_with_sd", "linear", "none")
        outcome["parameters"].pop("log_sd")
        outcome["parameters"] |= own
        model = build_model(specs.spec(outcome), load_evidence(specs.sd_table()))
        assert model.named_vars_to_dims["sd"] == ("study",)
        assert model.named_vars_to_dims["log_sd"] == ("study",)
