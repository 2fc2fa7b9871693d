"""Each likelihood in the graph: density against SciPy, parameters, replicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import BORROWED_SD, build_design
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model
from nmda_bayes.simulate import simulate_evidence
from tests.model.test_graph import STUDY, T, density, inverse_logit
from tests.support import specs
from tests.support.issues import issues_when

BASELINES = {"identity": np.array([50.0, 54.0, 59.0])}
DOSE = T["dose"].to_numpy(float)


def model_of(likelihood: str, table: pd.DataFrame, **more: Any) -> Any:
    """A linear curve on three trials, without heterogeneity."""
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

    def test_fixed_degrees_of_freedom(self):
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
        log_density = density(model_of("binomial_cloglog", table), self.point)
        assert_allclose(log_density, expected, rtol=1e-9)

    @pytest.mark.parametrize("likelihood", ["beta_binomial", "poisson", "negative_binomial"])
    @pytest.mark.parametrize("level", [-25.0, 0.0])
    def test_arm_without_events_is_finite(self, likelihood, level):
        rates = LIKELIHOODS[likelihood].columns[1] == "person_time"
        table = specs.rate_table() if rates else specs.binary_table(name="pain")
        model = model_of(likelihood, table.assign(events=0))
        point = model.initial_point() | {"baseline": np.full(3, level)}
        assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(point))

    @pytest.mark.parametrize("level", [-15.0, -5.0, 3.0])
    def test_extreme_risk_has_accurate_log_density(self, level):
        table = specs.follow_up_table().assign(events=0, follow_up=1.0)
        model = model_of("binomial_cloglog", table)
        # Nobody has the event: the log density of n people is -n times the hazard, exactly.
        point = {"slope": np.array(0.0), "baseline": np.full(3, level)}
        log_density = density(model, point) - priors_of(0.0, np.full(3, level))
        assert_allclose(log_density, -self.n.sum() * np.exp(level), rtol=1e-6)


class TestNormalWithSd:
    """SDs as data: A reports both, B one of three, C both."""

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

    def test_borrowed_sd_is_marked(self):
        spec = specs.spec(specs.outcome("normal_with_sd", "linear", "none"))
        pain = build_design(spec, load_evidence(specs.sd_table()))["outcomes/pain"].to_dataset()
        sources = dict(zip(pain["arm"].to_numpy(), pain["se_from"].to_numpy(), strict=True))
        assert sources["B: ketamine 0.5"] == BORROWED_SD
        assert list(sources.values()).count(BORROWED_SD) == 1
        assert np.isnan(pain["sd"].sel(arm="B: ketamine 0.5"))
        assert_allclose(pain["sd"].sel(arm="A: placebo"), 20.0)

    def test_normal_likelihood_excludes_arm_without_sd(self):
        spec = specs.spec(specs.outcome("normal", "linear", "none"))
        design = build_design(spec, load_evidence(specs.sd_table()))
        assert design["outcomes/pain"].sizes["arm"] == 6
        assert design["excluded"]["reason"].to_numpy().tolist() == ["no_dispersion"]

    def test_arm_with_an_empty_sd_is_set_aside(self):
        empty = specs.sd_table().replace("not reported", "")
        evidence = load_evidence(empty)
        assert "Set aside, result missing: no standard error: 1 of 7 rows" in str(
            evidence.attrs["notes"]
        )
        design = build_design(specs.spec(specs.outcome("normal", "linear", "none")), evidence)
        assert design["outcomes/pain"]["study"].size == len(empty) - 1

    def test_sd_of_each_study(self):
        parameters = {
            "sd": specs.parameter("independent", each=specs.prior("LogNormal", mu=3, sigma=1))
        }
        outcome = specs.outcome("normal_with_sd", "linear", "none")
        outcome["parameters"].pop("log_sd")
        outcome["parameters"] |= parameters
        model = build_model(specs.spec(outcome), load_evidence(specs.sd_table()))
        assert model.named_vars_to_dims["sd"] == ("study",)
        assert model.named_vars_to_dims["log_sd"] == ("study",)


#: D counts responders at 30% and 50%; E at 50% only; F's counts cannot be nested.
CUTOFFS = specs.rows("""
    study agent    dose events n  outcome
    D     placebo  0    9      30 third
    D     ketamine 1    17     31 third
    D     placebo  0    4      30 half
    D     ketamine 1    11     31 half
    E     placebo  0    3      25 half
    E     ketamine 2    9      26 half
    F     placebo  0    2      20 third
    F     ketamine 1    5      20 third
    F     placebo  0    3      20 half
    F     ketamine 1    4      20 half
""")


def responders(**more: Any) -> Any:
    parameters = {
        "responder_sd": specs.parameter(location=specs.prior("LogNormal", mu=3, sigma=0.3)),
        "starting_level": specs.parameter("independent", each=specs.normal(60, 15)),
    }
    measures = {"half": "50 %", "third": "30 %"}
    outcome = specs.outcome(
        "normal", "linear", "none", parameters, better="lower", responders={"measures": measures}
    )
    return specs.spec(outcome, **more)


class TestCutoffs:
    table = CUTOFFS.astype({"dose": float})

    def test_arm_has_all_its_cutoffs(self):
        design = build_design(responders(), load_evidence(self.table))
        pain = design["outcomes/pain"].to_dataset()
        assert pain.sizes["arm"] == 6
        d, e = pain.sel(arm="D: ketamine 1"), pain.sel(arm="E: ketamine 2")
        assert (float(d["events"]), float(d["cutoff_share"])) == (17, 0.3)
        assert (float(d["events_2"]), float(d["cutoff_share_2"])) == (11, 0.5)
        assert (float(e["events"]), float(e["cutoff_share"])) == (9, 0.5)
        assert np.isnan(e["events_2"])

    def test_impossible_cutoff_counts_are_excluded(self):
        design = build_design(responders(), load_evidence(self.table))
        excluded = design["excluded"].to_dataset().to_dataframe()
        # Three of F's placebo arm gained half and two a third: the preferred count enters alone.
        assert excluded[["arm", "measure"]].to_numpy().tolist() == [["F: placebo", "third"]]
        assert excluded["reason"].iloc[0].startswith("more responders than at an easier cut-off")

    def test_cutoff_density_is_multinomial(self):
        table = self.table[self.table["study"] != "F"]
        model = build_model(responders(), load_evidence(table))
        assert model.named_vars_to_dims["reported_responders"] == ("arm",)
        assert model.named_vars_to_dims["reported_responders_2"] == ("responder_arm_2",)
        slope, sd, start = -6.0, 22.0, np.array([58.0, 63.0])
        baseline = np.array([52.0, 55.0])
        point = {
            "slope": np.array(slope),
            "baseline": baseline,
            "responder_sd_log__": np.array(np.log(sd)),
            "starting_level": start,
        }
        mean = np.array([baseline[0], baseline[0] + slope])
        third, half = (stats.norm.cdf((c * start[0] - mean) / sd) for c in (0.7, 0.5))
        expected = (
            stats.norm(0, 1).logpdf(slope)
            + stats.norm(0, 10).logpdf(baseline).sum()
            + stats.lognorm(0.3, scale=np.exp(3)).logpdf(sd)
            + stats.norm(60, 15).logpdf(start).sum()
        )
        for i, (n, easy, hard) in enumerate([(30, 9, 4), (31, 17, 11)]):
            shares = [1 - third[i], third[i] - half[i], half[i]]
            expected += stats.multinomial(n, shares).logpmf([n - easy, easy - hard, hard])
        mean = np.array([baseline[1], baseline[1] + 2 * slope])
        shares = stats.norm.cdf((0.5 * start[1] - mean) / sd)
        expected += stats.binom([25, 26], shares).logpmf([3, 9]).sum()
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_simulated_cutoffs_are_nested(self):
        table = self.table[self.table["study"] != "F"]
        rows, _, spec = simulate_evidence(responders(), load_evidence(table), seed=2)
        wide = rows.pivot_table("events", ["study", "arm"], "outcome")
        assert (wide["half"] <= wide["third"]).loc["D"].all()
        assert wide.loc["E", "third"].isna().all()
        pain = build_design(spec, load_evidence(rows))["outcomes/pain"].to_dataset()
        both = np.isfinite(pain["events_2"].to_numpy())
        assert set(pain["study"].to_numpy()[both]) == {"D"}
        assert set(pain["study"].to_numpy()[~both]) == {"E"}


class TestSpec:
    def codes(self, outcome: dict[str, Any]) -> dict[str, str]:
        issues = issues_when(lambda: specs.spec(outcome), SpecError)
        return {issue.column: issue.code for issue in issues}

    def test_likelihood_parameter_has_no_default(self):
        outcome = specs.outcome("student_t", "linear", "none")
        del outcome["parameters"]["nu"]
        assert self.codes(outcome)["outcomes.pain.parameters.nu"] == "E310"

    @pytest.mark.parametrize(
        ("likelihood", "options", "code"),
        [
            ("normal", {"nu": 4.0}, "E332"),
            ("student_t", {"nu": -1.0}, "E333"),
            ("beta_binomial", {"overdispersion": 1.5}, "E333"),
        ],
    )
    def test_impossible_likelihood_option_is_rejected(self, likelihood, options, code):
        codes = self.codes(specs.outcome(likelihood, "linear", likelihood_options=options))
        (key,) = options
        assert codes[f"outcomes.pain.likelihood_options.{key}"] == code

    def test_overdispersion_prior_in_unit_interval(self):
        wide = {"overdispersion": specs.parameter(location=specs.half_normal())}
        codes = self.codes(specs.outcome("beta_binomial", "linear", parameters=wide))
        assert codes["outcomes.pain.parameters.overdispersion.priors.location"] == "E318"

    def test_window_benefit_cannot_be_a_ratio(self):
        benefit = specs.outcome("poisson", "linear", better="lower")
        with pytest.raises(SpecError, match="E342"):
            specs.spec(benefit, specs.outcome("binomial", "linear"), window=specs.WINDOW)

    @pytest.mark.parametrize("name", sorted(set(LIKELIHOODS) - {"normal", "normal_contrast"}))
    def test_exact_engine_refuses_other_likelihoods(self, name):
        tables = {
            "n": specs.binary_table(name="pain"),
            "person_time": specs.rate_table(),
            "se": specs.normal_table(),
        }
        table = tables.get(LIKELIHOODS[name].columns[1], specs.follow_up_table())
        table = specs.sd_table() if LIKELIHOODS[name].second_observed else table
        table = specs.follow_up_table() if "follow_up" in LIKELIHOODS[name].columns else table
        spec = specs.spec(specs.outcome(name, "linear"))
        reasons = exact_obstacles(spec, build_design(spec, load_evidence(table)))
        assert any(f"'{name}' is not normal" in reason for reason in reasons)

    def test_parameter_names_are_unique(self):
        names = {name for part in LIKELIHOODS.values() for name in part.parameters}
        assert not names & {name for curve in CURVES.values() for name in curve.parameters}


class TestTables:
    def test_events_over_person_time_need_no_n(self):
        rows = to_frame(load_evidence(specs.rate_table()), "results")
        assert rows["n"].isna().all()
        assert_allclose(rows["person_time"], specs.rate_table()["person_time"])

    @pytest.mark.parametrize("column", ["person_time", "follow_up"])
    def test_zero_time_is_rejected(self, column):
        whole = specs.rate_table() if column == "person_time" else specs.follow_up_table()
        issues = issues_when(lambda: load_evidence(whole.assign(**{column: 0.0})), EvidenceError)
        assert [(issue.row, issue.column) for issue in issues] == [
            (row, column) for row in range(2, len(whole) + 2)
        ]

    def test_missing_likelihood_column_is_rejected(self):
        spec = specs.spec(specs.outcome("poisson", "linear", "none"))
        with pytest.raises(EvidenceError, match="person_time"):
            build_design(spec, load_evidence(specs.binary_table(name="pain")))
