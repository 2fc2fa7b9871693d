"""Arms, contrasts, responders and crossover trials in one outcome: dims, densities, who counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests import specs
from tests.model.test_graph import density

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
    def test_a_trial_enters_once_in_the_form_that_says_most(self):
        design = build_design(mixed(), load_evidence(frame()))
        pain = design["outcomes/pain"].to_dataset()
        assert pain.sizes == {"arm": 8, "contrast": 1}
        reports = dict(zip(pain["arm"].to_numpy(), pain["report"].to_numpy(), strict=True))
        assert [reports[f"{s}: placebo"] for s in "ABD"] == ["arm", "arm", "responders"]
        assert reports["C: placebo 0"] == "contrast"
        assert pain["contrast"].to_numpy().tolist() == ["C: ketamine 1 v placebo 0"]
        gone = design["left_out"].to_dataset().to_dataframe()
        assert gone["study"].tolist() == ["A", "A"]
        assert set(gone["reason"]) == {"the trial enters in a form that says more"}

    def test_what_a_form_does_not_report_is_no_number(self):
        pain = build_design(mixed(), load_evidence(frame()))["outcomes/pain"].to_dataset()
        one = pain.sel(arm="D: ketamine 1")
        assert np.isnan(one["mean"])
        assert int(one["events"]) == 11
        assert float(one["cutoff_share"]) == 0.5

    def test_a_crossover_trial_of_which_the_spec_says_nothing_is_refused(self):
        with pytest.raises(
            SpecError, match=r"1 crossover trial.*\(B\).*within_person_corr"
        ) as told:
            build_design(mixed(designs={}), load_evidence(frame()))
        assert told.value.faults[0].column == "designs.crossover"

    def test_the_first_period_alone_is_a_parallel_trial(self):
        rows = frame().assign(period=["", "", "first", "first", *[""] * 5])
        design = build_design(mixed(designs={}), load_evidence(rows))
        assert set(design["outcomes/pain"]["same_people"].to_numpy()) == {0.0}

    def test_periods_first_leaves_a_whole_crossover_trial_out(self):
        spec = mixed(designs={"crossover": {"periods": "first"}})
        gone = build_design(spec, load_evidence(frame()))["left_out"].to_dataset().to_dataframe()
        reasons = gone.set_index("study")["reason"]
        assert set(reasons["B"]) == {"a crossover trial, and not its first period alone"}

    def test_counts_among_the_same_people_must_be_let_in_by_name(self):
        rows = frame()
        rows.loc[rows["study"] == "D", "design"] = "crossover"
        design = build_design(mixed(), load_evidence(rows))
        reasons = design["left_out"].to_dataset().to_dataframe().set_index("study")["reason"]
        assert reasons["D"].str.contains("same people in every arm").all()


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

    def test_studies_that_report_contrasts_alone_have_no_baseline(self):
        model = build_model(mixed(), load_evidence(frame()))
        assert model.coords["study"] == ("A", "B", "D")
        assert model.coords["responder_study"] == ("D",)
        assert model.coords["crossover_study"] == ("B",)

    def test_the_density_is_that_of_the_parts(self):
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

    def test_as_parallel_adds_no_correlation(self):
        designs = {"crossover": {"periods": "all", "as_parallel": ["pain"]}}
        model = build_model(mixed(designs=designs), load_evidence(frame()))
        assert "within_person_correlation" not in model.named_vars

    def test_without_a_responder_no_parameter_of_theirs(self):
        rows = frame()[lambda f: f["outcome"] == "pain"]
        model = build_model(mixed(), load_evidence(rows))
        assert "responder_sd" not in model.named_vars
        assert model.named_vars_to_dims["reported"] == ("reporting_arm",)


class TestSpec:
    def faults(self, outcome, **more):
        with pytest.raises(SpecError) as told:
            specs.spec(outcome, **more)
        return {fault.column: str(fault) for fault in told.value.faults}

    def test_responders_need_a_mean_and_a_direction(self):
        outcome = specs.outcome("binomial", responders={"measures": {"half": "50 %"}})
        told = self.faults(outcome)
        assert 'likelihood = "normal"' in told["outcomes.pain.responders"]
        assert "better" in told["outcomes.pain.better"]
        assert "positive" in told["outcomes.pain.parameters.responder_sd.priors.location"]

    def test_a_cutoff_is_a_share_or_points(self):
        outcome = specs.outcome(
            parameters=RESPONDERS, better="lower", responders={"measures": {"half": "half"}}
        )
        assert "50 %" in self.faults(outcome)["outcomes.pain.responders.measures.half"]

    def test_contrasts_on_another_scale_are_refused(self):
        told = self.faults(specs.outcome(contrasts={"effects": ["log_OR"]}))
        assert "not on the scale" in told["outcomes.pain.contrasts.effects"]
        told = self.faults(specs.outcome("normal_contrast", contrasts={"effects": ["MD"]}))
        assert "already" in told["outcomes.pain.contrasts"]

    def test_a_correlation_prior_beyond_the_unit_interval_is_refused(self):
        crossover = {"periods": "all", "within_person_correlation": specs.normal()}
        told = self.faults(specs.outcome(), designs={"crossover": crossover})
        assert "Beta" in told["designs.crossover.within_person_correlation"]

    def test_an_unknown_outcome_as_parallel_is_told(self):
        crossover = {"periods": "all", "as_parallel": ["pian"]}
        told = self.faults(specs.outcome(), designs={"crossover": crossover})
        assert "'pain'" in told["designs.crossover.as_parallel"]

    def test_the_first_period_needs_no_correlation(self):
        crossover = {"periods": "first", "within_person_correlation": BETA}
        told = self.faults(specs.outcome(), designs={"crossover": crossover})
        assert "designs.crossover.periods" in told
