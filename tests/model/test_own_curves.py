"""Agents with curves of their own: what the spec asks for, and what each trial then tells."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.checks.identifiability import OTHER_CURVE, identifiability
from nmda_bayes.components.curves import CURVES, Shapes
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import dose_response, effective_dose
from nmda_bayes.estimands.effects import expected_arms
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import log_evidence, reasons_against
from nmda_bayes.model import model_of
from nmda_bayes.report.show import show_text
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import draws, faults_when, make_fit, value_of

SLOPE = specs.parameter("common", location=specs.normal(0, 3))


def own(
    heterogeneity: str = "none", curves=None, curve: str = "emax", **parameters
) -> AnalysisSpec:
    """Ketamine (and any other) on the outcome's curve, memantine in proportion to dose."""
    given = {"slope": SLOPE, **parameters}
    named = {"mem": "linear"} if curves is None else curves
    return specs.spec(
        specs.outcome("normal", curve, heterogeneity, given, curves=named, better="lower")
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
    def test_a_parameter_of_an_agent_s_curve_needs_a_prior(self):
        content = specs.content(specs.outcome("normal", "emax", curves={"mem": "linear"}))
        del content["outcomes"]["pain"]["parameters"]["slope"]
        (fault,) = faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        assert fault.column == "outcomes.pain.parameters.slope"
        assert "'slope' of mem's curve 'linear' has no prior" in fault.message
        assert "[outcomes.pain.parameters.slope]" in fault.mend

    def test_a_parameter_of_no_curve_is_refused(self):
        content = specs.content(specs.outcome("normal", "emax", curves={"mem": "linear"}))
        content["outcomes"]["pain"]["parameters"]["log_hill"] = specs.parameter()
        found = faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        assert any("'log_hill' is not a parameter of this outcome" in f.message for f in found)

    @pytest.mark.parametrize(
        ("curves", "column", "said"),
        [
            ({"mem": "linea"}, "curves.mem", "Did you mean 'linear'"),
            ({"mem": {"curve": "monotone_steps"}}, "curves.mem.curve_options.steps", "needs steps"),
            ({"mem": {"curve": "linear", "option": 1}}, "curves.mem.option", "unknown key"),
        ],
    )
    def test_faults_stand_at_the_agent(self, curves, column, said):
        content = specs.content(specs.outcome("normal", "emax"))
        content["outcomes"]["pain"]["curves"] = curves
        found = faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)
        told = [str(f) for f in found if column in f.column]
        assert any(said in text for text in told), found

    def test_agents_are_those_of_the_evidence(self):
        for agent, said in (("mema", "Did you mean 'mem'"), ("placebo", "is the reference")):
            spec = own(curves={agent: "linear"})
            evidence = load_evidence(specs.normal_table())
            (fault,) = faults_when(lambda s=spec, e=evidence: build_design(s, e), SpecError)
            assert fault.column == f"outcomes.pain.curves.{agent}"
            assert said in str(fault)

    def test_a_stored_spec_is_the_same_spec(self):
        spec = own(curves={"mem": {"curve": "linear", "why": "few doses"}})
        assert AnalysisSpec.model_validate_json(spec.to_json()) == spec


class TestShapes:
    def test_parameters_are_shared_by_name(self):
        shapes = Shapes(CURVES["emax"], {"mem": CURVES["sigmoid_emax"], "a": CURVES["emax"]})
        assert shapes.parameters == ("emax", "log_ed50", "log_hill")
        assert shapes.shared == ("emax", "log_ed50")
        assert [(c.name, agents) for c, agents in shapes.groups] == [
            ("emax", ("a",)),
            ("sigmoid_emax", ("mem",)),
        ]
        assert shapes.has("mem", "hill")
        assert not shapes.has("ketamine", "log_hill")
        with pytest.raises(ValueError, match="say where each of them is"):
            shapes.response(xr.DataArray(1.0), {}, np)

    def test_a_steep_curve_of_others_never_overflows_into_an_agent(self):
        shapes = Shapes(CURVES["linear"], {"mem": CURVES["exponential"]})
        theta = {"slope": 2.0, "e1": 1.0, "log_growth_dose": -5.0}
        agents = xr.DataArray(["ketamine", "mem"], dims="agent")
        with np.errstate(over="ignore"):
            found = shapes.response(
                xr.DataArray([100.0, 1.0], dims="agent"), theta, np, lambda a: agents.isin(a) * 1.0
            )
        assert float(found[0]) == 200.0
        assert np.isfinite(found[0])


class TestModel:
    def test_each_arm_is_on_its_agent_s_curve(self):
        spec = own(emax=EMAX)
        model = model_of(spec, build_design(spec, load_evidence(specs.normal_table())))
        point = {
            "emax": np.array([-12.0, 99.0]),
            "log_ed50": np.array(0.0),
            "slope": np.array(-2.0),
            "baseline": np.array([50.0, 55.0, 60.0]),
        }
        expected = [50, 50 - 6, 55, 55 - 4, 55 - 8, 60, 60 - 2]
        assert_allclose(value_of(model, "eta", point), expected)

    def test_what_can_be_integrated_is_integrated_with_these_curves(self):
        """Linear for all but memantine, whose effect is constant: a multivariate normal."""
        effect = specs.parameter("common", location=specs.normal(0, 5))
        content = specs.outcome("normal", "linear", "none", {"slope": SLOPE, "effect": effect},
                                curves={"mem": "constant"})  # fmt: skip
        spec = specs.spec(content)
        design = build_design(spec, load_evidence(specs.normal_table()))
        assert reasons_against(spec, design) == []
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
        assert_allclose(log_evidence(spec, design), expected, rtol=1e-9)

    def test_a_bent_curve_of_one_agent_is_summed_over_if_its_parameter_is_common(self):
        log_ed50 = specs.parameter("common", location=specs.normal(0, 1))
        spec = own(log_ed50=log_ed50)
        design = build_design(spec, load_evidence(specs.normal_table()))
        assert reasons_against(spec, design) == []
        spec = own(log_ed50=specs.parameter("independent", each=specs.normal(0, 1)))
        assert any("'emax', 'linear'" in r for r in reasons_against(spec, design))


class TestAnswers:
    def test_the_answers_are_each_agent_s_own_curve(self):
        fit = fit_of(own(emax=EMAX))
        found = dose_response(fit, [0, 1, 3]).isel(chain=0, draw=0, outcome=0, condition=0)
        assert_allclose(found.sel(agent="ketamine"), [0, -6, -9])
        assert_allclose(found.sel(agent="mem"), [0, -2, -6])
        arms = expected_arms(fit, "pain").isel(chain=0, draw=0)
        assert_allclose(arms, [0, -6, 0, -4, -8, 0, -2])

    def test_a_dose_for_an_effect_is_by_each_agent_s_own_inverse(self):
        fit = fit_of(own(emax=EMAX))
        found = effective_dose(fit, "pain", -2.0, dose=[0, 1, 3]).isel(chain=0, draw=0, condition=0)
        assert_allclose(found.sel(agent="ketamine"), 0.2)
        assert_allclose(found.sel(agent="mem"), 1.0)

    def test_what_an_agent_s_curve_lacks_is_no_estimate(self):
        told = identifiability(fit_of(own(emax=EMAX))).set_index("at")["verdict"]
        assert told["agent=mem"] == OTHER_CURVE
        assert told["agent=ketamine"] != OTHER_CURVE

    def test_show_prints_whose_each_formula_is(self):
        text = show_text(own(emax=EMAX), load_evidence(specs.normal_table()))
        assert "f(x) = slope · x for x > 0, else 0   of mem" in text
        assert "else 0   of all other agents" in text
