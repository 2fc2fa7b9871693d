"""Classes, heavy tails, strata and covariates: the graph against sums by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import EXCLUDED, OUTCOMES, build_design
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model
from tests.support import specs
from tests.support.fits import value_of
from tests.support.issues import issues_when

T = specs.TRIALS
STUDY = np.array([0, 0, 1, 1, 1, 2, 2])
#: Agent of each arm: 0 ketamine, 1 mem; the reference has none.
AGENT = np.array([0, 0, 0, 0, 0, 0, 1])
DOSE = T["dose"].to_numpy(float)
CLASSES = {"ketamine": "aryl", "mem": "adamantane"}


def density(model: Any, point: dict[str, Any]) -> float:
    assert set(point) == {v.name for v in model.value_vars}
    return float(model.compile_logp(jacobian=False, mode="FAST_COMPILE")(point))


def linear(
    slope: dict[str, Any] | None = None,
    heterogeneity: str = "arm",
    sd: dict[str, Any] | None = None,
    **more: Any,
):
    parameters = {"slope": slope or specs.parameter()} | ({"heterogeneity_sd": sd} if sd else {})
    return specs.spec(specs.outcome("normal", "linear", heterogeneity, parameters), **more)


def design_and_model(spec, table=None):
    evidence = load_evidence(specs.normal_table() if table is None else table)
    return build_design(spec, evidence), build_model(spec, evidence)


BASELINE = np.array([50.0, 54.0, 59.0])
REPORTED = {"baseline": BASELINE}
PRIOR_OF_BASELINE = stats.norm(0, 10).logpdf(BASELINE).sum()


def seen(eta: np.ndarray) -> float:
    return float(stats.norm(eta, T["se"]).logpdf(T["mean"]).sum())


class TestClasses:
    def test_density_by_hand(self):
        slope = specs.parameter("class_and_agent", location=specs.normal(0, 5))
        _, model = design_and_model(linear(slope, "none", classes=CLASSES))
        assert model.coords["agent_class"] == ("adamantane", "aryl")
        assert model.named_vars_to_dims["slope_class"] == ("agent_class",)
        assert model.named_vars_to_dims["slope"] == ("agent",)
        z_class, z = np.array([1.0, -2.0]), np.array([0.5, -0.5])
        point = REPORTED | {
            "slope_location": np.array(-3.0),
            "slope_between_class_log__": np.array(np.log(2.0)),
            "slope_within_class_log__": np.array(np.log(0.5)),
            "slope_agent_class_offset": z_class,
            "slope_agent_offset": z,
        }
        # ketamine is of the second class, mem of the first.
        of_class = -3 + 2 * z_class
        slopes = of_class[[1, 0]] + 0.5 * z
        assert_allclose(value_of(model, "slope_class", point), of_class)
        assert_allclose(value_of(model, "slope", point), slopes)
        expected = (
            stats.norm(0, 5).logpdf(-3)
            + stats.halfnorm(0, 1).logpdf([2.0, 0.5]).sum()
            + stats.norm.logpdf([*z_class, *z]).sum()
            + PRIOR_OF_BASELINE
            + seen(BASELINE[STUDY] + slopes[AGENT] * DOSE)
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_agent_alone_in_its_class(self):
        """Each agent is alone in its class: variance between² + within² about the location."""
        _, model = design_and_model(linear(specs.parameter("class_and_agent"), classes=CLASSES))
        spreads = {
            "slope_between_class_log__": np.log(3.0),
            "slope_within_class_log__": np.log(4.0),
            "slope_agent_class_offset": np.ones(2),
            "slope_agent_offset": np.zeros(2),
        }
        assert_allclose(value_of(model, "slope", spreads), 3.0)
        turned = {"slope_agent_class_offset": np.zeros(2), "slope_agent_offset": np.ones(2)}
        assert_allclose(value_of(model, "slope", spreads | turned), 4.0)

    def test_each_agent_needs_a_class(self):
        slope = specs.parameter("class_and_agent")
        (issue,) = issues_when(lambda: linear(slope), SpecError)
        assert (issue.code, issue.column) == ("E330", "outcomes.pain.parameters.slope.pooling")
        spec = linear(slope, classes={"ketamine": "aryl"})
        (issue,) = issues_when(lambda: design_and_model(spec), SpecError)
        assert issue.column == "classes.mem"
        spec = linear(slope, classes=CLASSES | {"ketamin": "aryl"})
        (issue,) = issues_when(lambda: design_and_model(spec), SpecError)
        assert issue.column == "classes.ketamin"

    def test_exact_engine_integrates_both_class_sds(self):
        spec = linear(specs.parameter("class_and_agent"), "none", classes=CLASSES)
        assert exact_obstacles(spec, build_design(spec, load_evidence(specs.normal_table()))) == []
        three = linear(specs.parameter("class_and_agent"), classes=CLASSES)
        (reason,) = exact_obstacles(three, build_design(three, load_evidence(specs.normal_table())))
        assert "3 scales" in reason


class TestHeavyTails:
    def test_agents_have_a_t_distribution(self):
        slope = specs.parameter("agent_t", location=specs.normal(0, 5))
        spec = linear(slope, "none")
        design, model = design_and_model(spec)
        z, g = np.array([0.5, -1.0]), np.array([0.25, 4.0])
        point = REPORTED | {
            "slope_location": np.array(-3.0),
            "slope_between_agent_log__": np.array(np.log(2.0)),
            "slope_agent_offset": z,
            "slope_agent_tails_offset_log__": np.log(g),
        }
        slopes = -3 + 2 * z / np.sqrt(g)
        assert_allclose(value_of(model, "slope", point), slopes)
        expected = (
            stats.norm(0, 5).logpdf(-3)
            + stats.halfnorm(0, 1).logpdf(2)
            + stats.norm.logpdf(z).sum()
            + stats.gamma(2, scale=1 / 2).logpdf(g).sum()
            + PRIOR_OF_BASELINE
            + seen(BASELINE[STUDY] + slopes[AGENT] * DOSE)
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)
        (reason,) = exact_obstacles(spec, design)
        assert "tails of a t" in reason

    def test_contrasts_have_a_t_distribution(self):
        spec = linear(heterogeneity="arm_t")
        design, model = design_and_model(spec)
        assert model.named_vars_to_dims["heterogeneity_sd"] == ()
        assert model.named_vars_to_dims["heterogeneity_sd_study_tails_offset"] == (
            "heterogeneity_study",
        )
        g = np.array([0.25, 1.0, 4.0])
        z = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
        point = REPORTED | {
            "slope": np.array(0.0),
            "heterogeneity_sd_log__": np.array(np.log(3.0)),
            "arm_offset": z,
            "heterogeneity_sd_study_tails_offset_log__": np.log(g),
        }
        eta = BASELINE[STUDY] + 3 / np.sqrt(2) * z / np.sqrt(g[STUDY])
        assert_allclose(value_of(model, "eta", point), eta)
        prior = stats.gamma(2, scale=1 / 2).logpdf(g).sum() + stats.norm.logpdf(z).sum()
        prior += stats.halfnorm(0, 1).logpdf(3) + stats.norm(0, 1).logpdf(0) + PRIOR_OF_BASELINE
        assert_allclose(density(model, point), prior + seen(eta), rtol=1e-9)
        assert any("tails of a t" in reason for reason in exact_obstacles(spec, design))
        # √2 z / √(2 g) over draws: quantiles of t(4), by their standard errors.
        rng = np.random.default_rng(1)
        draws = rng.standard_normal(100_000) / np.sqrt(rng.gamma(2, 1 / 2, 100_000))
        known = stats.t(4)
        for share in (0.5, 0.9, 0.99):
            error = np.sqrt(share * (1 - share) / 100_000) / known.pdf(known.ppf(share))
            assert abs(np.quantile(draws, share) - known.ppf(share)) < 4 * error

    def test_degrees_of_freedom_may_have_a_prior(self):
        slope = specs.parameter("agent_t", nu=specs.prior("Gamma", alpha=2, beta=0.1))
        _, model = design_and_model(linear(slope))
        assert model.named_vars_to_dims["slope_nu"] == ()
        sd = specs.parameter(location=specs.half_normal(), nu=specs.prior("Gamma", alpha=2, beta=1))
        _, model = design_and_model(linear(heterogeneity="arm_t", sd=sd))
        assert {"heterogeneity_sd", "heterogeneity_sd_nu"} <= {v.name for v in model.free_RVs}

    @pytest.mark.parametrize(
        ("slope", "code"),
        [
            (specs.parameter("agent") | {"nu": 4.0}, "E322"),
            (specs.parameter("agent_t") | {"nu": None}, "E323"),
            (
                specs.parameter("agent_t", nu=specs.prior("Gamma", alpha=2, beta=1)) | {"nu": 4.0},
                "E324",
            ),
        ],
    )
    def test_invalid_degrees_of_freedom_are_rejected(self, slope, code):
        (issue,) = issues_when(lambda: linear(slope), SpecError)
        assert (issue.code, issue.column) == (code, "outcomes.pain.parameters.slope.nu")


QUALITY = specs.normal_table().assign(quality=["low", "low", "high", "high", "high", "low", "low"])


def by_quality(pooling: str = "stratum") -> dict[str, Any]:
    slot = "location" if pooling == "stratum" else "each"
    return specs.parameter(pooling, **{slot: specs.half_normal(2)}) | {"strata_column": "quality"}


class TestStrata:
    def test_density_by_hand(self):
        design, model = design_and_model(linear(sd=by_quality()), QUALITY)
        assert model.coords["stratum"] == ("high", "low")
        assert model.named_vars_to_dims["heterogeneity_sd"] == ("stratum",)
        z, delta = np.array([1.0, -1.0]), np.linspace(-1, 1, 7)
        point = REPORTED | {
            "slope": np.array(0.5),
            "heterogeneity_sd_location_log__": np.array(np.log(1.5)),
            "heterogeneity_sd_between_stratum_log__": np.array(np.log(0.7)),
            "heterogeneity_sd_stratum_offset": z,
            "arm_offset": delta,
        }
        sd = 1.5 * np.exp(0.7 * z)
        assert_allclose(value_of(model, "heterogeneity_sd", point), sd)
        of_arm = sd[np.array([1, 0, 1])[STUDY]]
        eta = BASELINE[STUDY] + 0.5 * DOSE + of_arm / np.sqrt(2) * delta
        expected = (
            stats.norm(0, 1).logpdf(0.5)
            + stats.halfnorm(0, 2).logpdf(1.5)
            + stats.halfnorm(0, 1).logpdf(0.7)
            + stats.norm.logpdf([*z, *delta]).sum()
            + PRIOR_OF_BASELINE
            + seen(eta)
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)
        assert any("differs by quality" in r for r in exact_obstacles(_spec(), design))

    def test_separate_strata(self):
        _, model = design_and_model(linear(sd=by_quality("independent")), QUALITY)
        assert model.named_vars_to_dims["heterogeneity_sd"] == ("stratum",)
        assert "heterogeneity_sd" in {v.name for v in model.free_RVs}

    def test_study_without_value_is_excluded(self):
        table = QUALITY.assign(quality=QUALITY["quality"].where(QUALITY["study"] != "B", ""))
        design = build_design(linear(sd=by_quality()), load_evidence(table))
        assert set(design[f"{OUTCOMES}/pain"]["study"].to_numpy()) == {"A", "C"}
        left = design[EXCLUDED].to_dataset()
        assert set(left["study"].to_numpy()) == {"B"}

    def test_invalid_strata_are_rejected(self):
        uneven = QUALITY.assign(quality=list("abababa"))
        (issue,) = issues_when(
            lambda: build_design(linear(sd=by_quality()), load_evidence(uneven)), EvidenceError
        )
        assert issue.column == "quality"
        misspelt = linear(sd=by_quality() | {"strata_column": "qualty"})
        (issue,) = issues_when(lambda: build_design(misspelt, load_evidence(QUALITY)), SpecError)
        assert issue.column == "outcomes.pain.parameters.heterogeneity_sd.strata_column"


def _spec():
    return linear(sd=by_quality())


YEARS = specs.normal_table().assign(year=[2000, 2000, 2010, 2010, 2010, 2020, 2020])
YEAR = {"prior": specs.normal(0, 3), "centre": 2010.0, "unit": 5.0}


def on(**covariates: Any) -> dict[str, Any]:
    return specs.parameter() | {"covariates": covariates}


class TestCovariates:
    def test_density_by_hand(self):
        spec = linear(on(year=YEAR), "none")
        design, model = design_and_model(spec, YEARS)
        assert model.named_vars_to_dims["slope_per_year"] == ()
        point = REPORTED | {"slope": np.array(-2.0), "slope_per_year": np.array(0.7)}
        x = np.array([-2.0, 0.0, 2.0])[STUDY]
        eta = BASELINE[STUDY] + (-2 + 0.7 * x) * DOSE
        assert_allclose(value_of(model, "eta", point), eta)
        expected = (
            stats.norm(0, 1).logpdf(-2)
            + stats.norm(0, 3).logpdf(0.7)
            + PRIOR_OF_BASELINE
            + seen(eta)
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)
        assert exact_obstacles(spec, design) == []

    def test_exact_engine_refuses_nonlinear_covariate(self):
        parameters = {"log_ed50": on(year=YEAR)}
        spec = specs.spec(specs.outcome("normal", "emax", "none", parameters))
        design = build_design(spec, load_evidence(YEARS))
        assert any("is regressed on year" in reason for reason in exact_obstacles(spec, design))
        laplace = YEAR | {"prior": specs.prior("Laplace", mu=0, b=1)}
        spec = linear(on(year=laplace))
        design = build_design(spec, load_evidence(YEARS))
        assert any("slope_per_year is Laplace" in r for r in exact_obstacles(spec, design))

    def test_covariate_level_is_an_indicator(self):
        spec = linear(on(poor={"prior": specs.normal(), "column": "quality", "level": "high"}))
        design, _ = design_and_model(spec, QUALITY)
        assert_allclose(design[f"{OUTCOMES}/pain"]["slope_per_poor"], [0, 0, 1, 1, 1, 0, 0])

    def test_covariate_measure_is_a_study_mean(self):
        pain = specs.normal_table().assign(n=[10, 30, 20, 20, 20, 10, 10])
        start = pain.assign(outcome="start", mean=[60, 64, 70, 70, 73, 50, 55])
        start = start[start["study"] != "C"]
        measured = {"prior": specs.normal(), "measure": "start", "centre": 60.0, "unit": 10.0}
        spec = linear(on(severity=measured))
        design = build_design(spec, load_evidence(pd.concat([pain, start])))
        reported = design[f"{OUTCOMES}/pain"]
        assert_allclose(reported["slope_per_severity"], [63, 63, 71, 71, 71])
        reasons = set(design[EXCLUDED]["reason"].to_numpy())
        assert "covariate severity is missing" in reasons

    def test_study_without_value_is_excluded(self):
        table = YEARS.assign(year=YEARS["year"].where(YEARS["study"] != "B"))
        design = build_design(linear(on(year=YEAR)), load_evidence(table))
        assert set(design[f"{OUTCOMES}/pain"]["study"].to_numpy()) == {"A", "C"}
        assert set(design[EXCLUDED]["step"].to_numpy()) == {"study_information"}

    def test_unblinding_in_contrasts(self):
        table = specs.CONTRASTS.assign(year=[2000, 2000, 2010, 2020])
        outcome = specs.outcome("normal_contrast", "linear", parameters={"slope": on(year=YEAR)})
        design = build_design(specs.spec(outcome), load_evidence(table))
        assert set(design[f"{OUTCOMES}/pain"]["slope_per_year"].to_numpy()) == {2000, 2010, 2020}

    @pytest.mark.parametrize(
        ("covariate", "column"),
        [
            ({"prior": specs.normal(), "unit": 5.0}, "year.centre"),
            ({"prior": specs.normal(), "centre": 5.0}, "year.unit"),
            (YEAR | {"column": "year", "measure": "pain"}, "year"),
        ],
    )
    def test_covariate_source_is_described(self, covariate, column):
        (issue,) = issues_when(lambda: linear(on(year=covariate)), SpecError)
        assert issue.column == f"outcomes.pain.parameters.slope.covariates.{column}"

    def test_unknown_covariate_column_is_rejected(self):
        spec = linear(on(yaer=YEAR))
        (issue,) = issues_when(lambda: build_design(spec, load_evidence(YEARS)), SpecError)
        assert issue.column.endswith("slope.covariates.yaer.column")


class TestCorrelatedAgents:
    """Agents' effects on two parameters of one outcome, and on one of another."""

    names = ("pain.emax", "pain.log_ed50", "harm.slope")

    def spec(self, *of: str, eta: float = 2.0):
        parts = {"emax": specs.parameter("agent"), "log_ed50": specs.parameter("agent")}
        pain = specs.outcome("normal", "emax", "none", parts)
        harm = specs.outcome("binomial", "linear", "none", {"slope": specs.parameter("agent")})
        prior = {"dist": "LKJCorr", "kwargs": {"eta": eta}, "of": list(of or self.names)}
        return specs.spec(pain, harm, correlations={"agent": prior})

    def test_two_by_hand(self):
        evidence = load_evidence(specs.both_tables())
        model = build_model(self.spec("pain.emax", "harm.slope"), evidence)
        dims = model.named_vars_to_dims
        assert dims["agent_offset"] == ("agent_parameter", "agent")
        assert dims["agent_correlation"] == ("parameter_pair",)
        assert model.coords["parameter_pair"] == ("pain.emax, harm.slope",)
        assert "pain::emax_agent_offset" not in dims
        assert dims["pain::log_ed50_agent_offset"] == ("agent",)
        z = np.array([[1.0, -1.0], [0.5, 2.0]])
        share = 0.8  # of the Beta: r = 2 · 0.8 - 1 = 0.6
        point = {
            "agent_pain.emax_agent_harm.slope_offset_logodds__": np.array(
                np.log(share / (1 - share))
            ),
            "agent_offset": z,
            "pain::emax_location": np.array(-5.0),
            "pain::emax_between_agent_log__": np.array(np.log(2.0)),
            "harm::slope_location": np.array(1.0),
            "harm::slope_between_agent_log__": np.array(np.log(0.5)),
        }
        assert_allclose(value_of(model, "agent_correlation", point), [0.6])
        assert_allclose(value_of(model, "pain::emax", point), -5 + 2 * z[0])
        of_harm = 0.6 * z[0] + 0.8 * z[1]
        assert_allclose(value_of(model, "harm::slope", point), 1 + 0.5 * of_harm)

    def test_exact_engine_refuses_correlated_agents(self):
        spec = self.spec()
        design = build_design(spec, load_evidence(specs.both_tables()))
        assert "effects of agents are correlated" in exact_obstacles(spec, design)

    @pytest.mark.parametrize(
        ("of", "code"),
        [
            (("pain.emax",), "E346"),
            (("pain.emax", "pain.emax"), "E346"),
            (("pain.emax", "harm.slop"), "E347"),
            (("pain.emax", "pain.baseline"), "E347"),
        ],
    )
    def test_invalid_correlated_parameters_are_rejected(self, of, code):
        (issue,) = issues_when(lambda: self.spec(*of), SpecError)
        assert (issue.code, issue.column) == (code, "correlations.agent.of")
