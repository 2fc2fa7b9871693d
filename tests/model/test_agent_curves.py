"""Agents with different curves: spec, graph and estimands."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.checks.prior_influence import OTHER_CURVE, identifiability
from nmda_bayes.components.curve_set import CurveSet
from nmda_bayes.components.curves import CURVES
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import dose_response, effective_dose
from nmda_bayes.estimands.effects import expected_arm_effects
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles, log_marginal_likelihood
from nmda_bayes.model import build_model_from_design
from nmda_bayes.report.equations import describe_analysis
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.fits import draws, make_fit, value_of
from tests.support.issues import issues_when

SLOPE = specs.parameter("common", location=specs.normal(0, 3))


def own(
    heterogeneity: str = "none", curves=None, curve: str = "emax", **parameters
) -> AnalysisSpec:
    """Memantine with a linear curve, other agents with that of the outcome."""
    priors = {"slope": SLOPE, **parameters}
    named = {"mem": "linear"} if curves is None else curves
    return specs.spec(
        specs.outcome("normal", curve, heterogeneity, priors, curves=named, better="lower")
    )


def fit_of(spec: AnalysisSpec) -> xr.DataTree:
    agents = {"agent": ["ketamine", "mem"]}
    values = {
        "emax": draws([[-12.0, 99.0]], "agent", **agents),
        "log_ed50": draws([0.0]),
        "slope": draws([-2.0]),
        "baseline": draws([[50.0, 55.0, 60.0]], "study"),
    }
    return make_fit(spec, specs.normal_table(), values)


EMAX = specs.parameter("independent", each=specs.normal(0, 20))


class TestSpec:
    def test_agent_curve_parameter_needs_a_prior(self):
        content = specs.content(specs.outcome("normal", "emax", curves={"mem": "linear"}))
        del content["outcomes"]["pain"]["parameters"]["slope"]
        (issue,) = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        assert (issue.code, issue.column) == ("E310", "outcomes.pain.parameters.slope")

    def test_unknown_parameter_is_rejected(self):
        content = specs.content(specs.outcome("normal", "emax", curves={"mem": "linear"}))
        content["outcomes"]["pain"]["parameters"]["log_hill"] = specs.parameter()
        issues = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        assert ("E312", "outcomes.pain.parameters.log_hill") in {(f.code, f.column) for f in issues}

    @pytest.mark.parametrize(
        ("curves", "column", "code"),
        [
            ({"mem": "linea"}, "curves.mem", "E304"),
            ({"mem": {"curve": "monotone_steps"}}, "curves.mem.curve_options.steps", "E331"),
            ({"mem": {"curve": "linear", "option": 1}}, "curves.mem.option", "E301"),
        ],
    )
    def test_errors_are_at_the_agent(self, curves, column, code):
        content = specs.content(specs.outcome("normal", "emax"))
        content["outcomes"]["pain"]["curves"] = curves
        issues = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        assert code in {f.code for f in issues if column in f.column}

    def test_unknown_agent_of_a_curve_is_rejected(self):
        for agent in ("mema", "placebo"):
            spec = own(curves={agent: "linear"})
            evidence = load_evidence(specs.normal_table())
            (issue,) = issues_when(lambda s=spec, e=evidence: build_design(s, e), SpecError)
            assert issue.column == f"outcomes.pain.curves.{agent}"

    def test_spec_round_trip(self):
        spec = own(curves={"mem": {"curve": "linear", "why": "few doses"}})
        assert AnalysisSpec.model_validate_json(spec.to_json()) == spec


class TestShapes:
    def test_parameters_are_shared_by_name(self):
        shapes = CurveSet(CURVES["emax"], {"mem": CURVES["sigmoid_emax"], "a": CURVES["emax"]})
        assert shapes.parameters == ("emax", "log_ed50", "log_hill")
        assert shapes.shared == ("emax", "log_ed50")
        assert [(c.name, agents) for c, agents in shapes.groups] == [
            ("emax", ("a",)),
            ("sigmoid_emax", ("mem",)),
        ]
        assert shapes.has("mem", "hill")
        assert not shapes.has("ketamine", "log_hill")
        with pytest.raises(ValueError, match="agent mask"):
            shapes.response(xr.DataArray(1.0), {}, np)

    def test_steep_curve_does_not_affect_other_agents(self):
        shapes = CurveSet(CURVES["linear"], {"mem": CURVES["exponential"]})
        theta = {"slope": 2.0, "e1": 1.0, "log_growth_dose": -5.0}
        agents = xr.DataArray(["ketamine", "mem"], dims="agent")
        with np.errstate(over="ignore"):
            response = shapes.response(
                xr.DataArray([100.0, 1.0], dims="agent"), theta, np, lambda a: agents.isin(a) * 1.0
            )
        assert float(response[0]) == 200.0
        assert np.isfinite(response[0])


class TestModel:
    def test_arms_follow_the_curve_of_their_agent(self):
        spec = own(emax=EMAX)
        model = build_model_from_design(
            spec, build_design(spec, load_evidence(specs.normal_table()))
        )
        point = {
            "emax": np.array([-12.0, 99.0]),
            "log_ed50": np.array(0.0),
            "slope": np.array(-2.0),
            "baseline": np.array([50.0, 55.0, 60.0]),
        }
        expected = [50, 50 - 6, 55, 55 - 4, 55 - 8, 60, 60 - 2]
        assert_allclose(value_of(model, "eta", point), expected)

    def test_exact_engine_with_agent_curves(self):
        """Linear for all but memantine, whose effect is constant: a multivariate normal."""
        effect = specs.parameter("common", location=specs.normal(0, 5))
        content = specs.outcome(
            "normal",
            "linear",
            "none",
            {"slope": SLOPE, "effect": effect},
            curves={"mem": "constant"},
        )
        spec = specs.spec(content)
        design = build_design(spec, load_evidence(specs.normal_table()))
        assert exact_obstacles(spec, design) == []
        rows = specs.TRIALS
        study = np.equal.outer(rows["study"].to_numpy(), rows["study"].to_numpy()) * 100.0
        dose = np.where(rows["agent"] == "ketamine", rows["dose"], 0.0)
        memantine = (rows["agent"] == "mem").to_numpy() * 1.0
        covariance = (
            np.diag(rows["se"] ** 2.0)
            + study
            + 9 * np.outer(dose, dose)
            + 25 * np.outer(memantine, memantine)
        )
        expected = stats.multivariate_normal(np.zeros(7), covariance).logpdf(rows["mean"])
        assert_allclose(log_marginal_likelihood(spec, design), expected, rtol=1e-9)

    def test_exact_engine_needs_common_nonlinear_parameter(self):
        log_ed50 = specs.parameter("common", location=specs.normal(0, 1))
        spec = own(log_ed50=log_ed50)
        design = build_design(spec, load_evidence(specs.normal_table()))
        assert exact_obstacles(spec, design) == []
        spec = own(log_ed50=specs.parameter("independent", each=specs.normal(0, 1)))
        assert any("'emax', 'linear'" in r for r in exact_obstacles(spec, design))


class TestAnswers:
    def test_dose_response_uses_agent_curves(self):
        fit = fit_of(own(emax=EMAX))
        response = dose_response(fit, [0, 1, 3]).isel(chain=0, draw=0, outcome=0, condition=0)
        assert_allclose(response.sel(agent="ketamine"), [0, -6, -9])
        assert_allclose(response.sel(agent="mem"), [0, -2, -6])
        arms = expected_arm_effects(fit, "pain").isel(chain=0, draw=0)
        assert_allclose(arms, [0, -6, 0, -4, -8, 0, -2])

    def test_effective_dose_uses_agent_curves(self):
        fit = fit_of(own(emax=EMAX))
        doses = effective_dose(fit, "pain", -2.0, dose=[0, 1, 3]).isel(chain=0, draw=0, condition=0)
        assert_allclose(doses.sel(agent="ketamine"), 0.2)
        assert_allclose(doses.sel(agent="mem"), 1.0)

    def test_parameter_of_another_curve_is_not_identified(self):
        conclusions = identifiability(fit_of(own(emax=EMAX))).set_index("at")["conclusion"]
        assert conclusions["agent=mem"] == OTHER_CURVE
        assert conclusions["agent=ketamine"] != OTHER_CURVE

    def test_description_names_agents_of_each_curve(self):
        text = describe_analysis(own(emax=EMAX), load_evidence(specs.normal_table()))
        assert "f(x) = slope · x   # for x > 0; f(0) = 0; of mem" in text
        assert "of all other agents" in text
