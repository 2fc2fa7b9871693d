"""Arms, contrasts, responders and crossover trials in one outcome: dims and densities."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests.model.test_graph import density
from tests.support import specs
from tests.support.issues import issues_when

#: A reports means; B the means of a crossover trial; C a difference; D responders, and so does A.
MIXED = specs.rows("""
    study design    agent    dose mean se events n  comparator comparator_dose estimate outcome
    A     parallel  placebo  0    60   3  -      -  -          -               -        pain
    A     parallel  ketamine 1    50   4  -      -  -          -               -        pain
    B     crossover placebo  0    55   2  -      -  -          -               -        pain
    B     crossover ketamine 2    41   3  -      -  -          -               -        pain
    C     parallel  ketamine 1    -    5  -      -  placebo    0               -9       pain
    D     parallel  placebo  0    -    -  4      30 -          -               -        half
    D     parallel  ketamine 1    -    -  11     31 -          -               -        half
    A     parallel  placebo  0    -    -  5      40 -          -               -        half
    A     parallel  ketamine 1    -    -  9      40 -          -               -        half
""")
BETA = specs.prior("Beta", alpha=5, beta=5)
CROSSOVER = {"crossover": {"periods": "all", "within_person_correlation": BETA}}
RESPONDERS = {
    "responder_sd": specs.parameter("common", location=specs.prior("LogNormal", mu=3, sigma=0.3)),
    "starting_level": specs.parameter("independent", each=specs.normal(60, 15)),
}


def mixed(**more):
    outcome = specs.outcome(
        "normal",
        "linear",
        "none",
        RESPONDERS,
        better="lower",
        contrasts={"effects": ["unnamed"]},
        responders={"measures": {"half": "50 %"}},
    )
    return specs.spec(outcome, **{"designs": CROSSOVER, **more})


def frame(rows: pd.DataFrame = MIXED) -> pd.DataFrame:
    return rows.astype({"dose": float})


class TestDesign:
    def test_each_trial_has_one_data_type(self):
        design = build_design(mixed(), load_evidence(frame()))
        pain = design["outcomes/pain"].to_dataset()
        assert pain.sizes == {"arm": 8, "contrast": 1}
        reports = dict(zip(pain["arm"].to_numpy(), pain["report"].to_numpy(), strict=True))
        assert [reports[f"{s}: placebo"] for s in "ABD"] == ["arm", "arm", "responders"]
        assert reports["C: placebo 0"] == "contrast"
        assert pain["contrast"].to_numpy().tolist() == ["C: ketamine 1 vs placebo 0"]
        assert {"study", "contrast.study"} <= set(pain.coords)
        assert "".join(pain["study"].to_numpy()) == "AABBCCDD"
        assert pain["contrast.study"].to_numpy().tolist() == ["C"]
        excluded = design["excluded"].to_dataset().to_dataframe()
        assert excluded["study"].tolist() == ["A", "A"]
        assert set(excluded["reason"]) == {"the study contributes more detailed data"}

    def test_unreported_columns_are_nan(self):
        pain = build_design(mixed(), load_evidence(frame()))["outcomes/pain"].to_dataset()
        arm = pain.sel(arm="D: ketamine 1")
        assert np.isnan(arm["mean"])
        assert int(arm["events"]) == 11
        assert float(arm["cutoff_share"]) == 0.5

    def test_crossover_without_rule_is_rejected(self):
        spec, evidence = mixed(designs={}), load_evidence(frame())
        issues = issues_when(lambda: build_design(spec, evidence), SpecError)
        assert issues[0].column == "designs.crossover"

    def test_first_period_is_a_parallel_trial(self):
        rows = frame().assign(period=["", "", "first", "first", *[""] * 5])
        design = build_design(mixed(designs={}), load_evidence(rows))
        assert set(design["outcomes/pain"]["same_people"].to_numpy()) == {0.0}

    def test_first_periods_exclude_crossover_trial(self):
        spec = mixed(designs={"crossover": {"periods": "first"}})
        excluded = (
            build_design(spec, load_evidence(frame()))["excluded"].to_dataset().to_dataframe()
        )
        reasons = excluded.set_index("study")["reason"]
        assert set(reasons["B"]) == {"crossover trial without first-period results"}

    def test_nested_counts_need_named_measures(self):
        rows = frame()
        rows.loc[rows["study"] == "D", "design"] = "crossover"
        design = build_design(mixed(), load_evidence(rows))
        steps = design["excluded"].to_dataset().to_dataframe().set_index("study")["step"]
        assert set(steps["D"]) == {"crossover_periods"}


class TestGraph:
    def test_dims_of_each_form(self):
        dims = build_model(mixed(), load_evidence(frame())).named_vars_to_dims
        assert dims["eta"] == ("arm",)
        assert dims["reported"] == ("reporting_arm",)
        assert dims["reported_responders"] == ("responder_arm",)
        assert dims["reported_contrasts"] == ("contrast",)
        assert dims["starting_level"] == ("responder_study",)
        assert dims["people_offset"] == ("crossover_study",)
        assert dims["within_person_correlation"] == ()

    def test_contrast_studies_have_no_baseline(self):
        model = build_model(mixed(), load_evidence(frame()))
        assert model.coords["study"] == ("A", "B", "D")
        assert model.coords["responder_study"] == ("D",)
        assert model.coords["crossover_study"] == ("B",)

    def test_density_is_sum_of_data_types(self):
        model = build_model(mixed(), load_evidence(frame()))
        slope, rho, u, sd, start = -6.0, 0.4, 0.7, 22.0, 58.0
        baseline = np.array([59.0, 56.0, 52.0])
        point = {
            "slope": np.array(slope),
            "baseline": baseline,
            "responder_sd_log__": np.array(np.log(sd)),
            "starting_level": np.array([start]),
            "within_person_correlation_logodds__": np.array(np.log(rho / (1 - rho))),
            "people_offset": np.array([u]),
        }
        a, b, d = baseline
        half = 0.5 * start
        se = np.array([2.0, 3.0])
        crossover = np.array([b, b + 2 * slope]) + se * np.sqrt(rho) * u
        shares = stats.norm.cdf((half - np.array([d, d + slope])) / sd)
        expected = (
            stats.norm(0, 1).logpdf(slope)
            + stats.norm(0, 10).logpdf(baseline).sum()
            + stats.lognorm(0.3, scale=np.exp(3)).logpdf(sd)
            + stats.norm(60, 15).logpdf(start)
            + stats.beta(5, 5).logpdf(rho)
            + stats.norm.logpdf(u)
            + stats.norm([a, a + slope], [3, 4]).logpdf([60, 50]).sum()
            + stats.norm(crossover, se * np.sqrt(1 - rho)).logpdf([55, 41]).sum()
            + stats.norm(slope, 5).logpdf(-9)
            + stats.binom([30, 31], shares).logpmf([4, 11]).sum()
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_crossover_as_parallel(self):
        designs = {"crossover": {"periods": "all", "as_parallel": ["pain"]}}
        model = build_model(mixed(designs=designs), load_evidence(frame()))
        assert "within_person_correlation" not in model.named_vars

    def test_no_responder_parameters_without_responders(self):
        rows = frame()[lambda f: f["outcome"] == "pain"]
        model = build_model(mixed(), load_evidence(rows))
        assert "responder_sd" not in model.named_vars
        assert model.named_vars_to_dims["reported"] == ("reporting_arm",)


class TestSpec:
    def codes(self, outcome, **more):
        issues = issues_when(lambda: specs.spec(outcome, **more), SpecError)
        return {issue.column: issue.code for issue in issues}

    def test_responders_need_a_mean_and_a_direction(self):
        outcome = specs.outcome("binomial", responders={"measures": {"half": "50 %"}})
        codes = self.codes(outcome)
        assert codes["outcomes.pain.responders"] == "E362"
        assert codes["outcomes.pain.better"] == "E341"
        assert codes["outcomes.pain.parameters.responder_sd.priors.location"] == "E317"

    def test_invalid_cutoff_is_rejected(self):
        outcome = specs.outcome(
            parameters=RESPONDERS, better="lower", responders={"measures": {"half": "half"}}
        )
        assert self.codes(outcome)["outcomes.pain.responders.measures.half"] == "E303"

    def test_contrasts_on_another_scale_are_rejected(self):
        codes = self.codes(specs.outcome(contrasts={"effects": ["log_OR"]}))
        assert codes["outcomes.pain.contrasts.effects"] == "E361"
        codes = self.codes(specs.outcome("normal_contrast", contrasts={"effects": ["MD"]}))
        assert codes["outcomes.pain.contrasts"] == "E360"

    def test_correlation_prior_outside_unit_interval(self):
        crossover = {"periods": "all", "within_person_correlation": specs.normal()}
        codes = self.codes(specs.outcome(), designs={"crossover": crossover})
        assert codes["designs.crossover.within_person_correlation"] == "E318"

    def test_unknown_parallel_outcome_is_rejected(self):
        crossover = {"periods": "all", "as_parallel": ["pian"]}
        codes = self.codes(specs.outcome(), designs={"crossover": crossover})
        assert codes["designs.crossover.as_parallel"] == "E340"

    def test_the_first_period_needs_no_correlation(self):
        crossover = {"periods": "first", "within_person_correlation": BETA}
        codes = self.codes(specs.outcome(), designs={"crossover": crossover})
        assert codes["designs.crossover.periods"] == "E363"
