"""Variants as data: merged by key, validated whole, every fault at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.design import OUTCOMES, WEIGHT, build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.sensitivity.designs import Designs, rows_asked, seen
from nmda_bayes.sensitivity.estimate import estimate
from nmda_bayes.sensitivity.generators import GENERATORS
from nmda_bayes.sensitivity.merging import merged
from nmda_bayes.sensitivity.plan import Plan, base_of, plan_of, read_plan
from nmda_bayes.sensitivity.run import jobs_of
from nmda_bayes.sensitivity.toml import content_of
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when

SHIPPED = Path("models/sensitivity.toml")
WIDE = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 20}, "why": "wide"}
SLOPE = {"pooling": "common", "priors": {"location": WIDE}}
AT = ("outcomes", "pain", "parameters", "emax", "priors", "location")


@pytest.fixture(scope="module")
def designs() -> Designs:
    """One for all tests: what one has built the next need not."""
    return Designs(specs.benefit_risk(), load_evidence(specs.both_tables()))


def plan(designs: Designs, **content: Any) -> Plan:
    return plan_of({"dose": 1, **content}, designs, file="what_if.toml")


def under(value: Any, *keys: str) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


class TestMerging:
    def test_a_prior_is_replaced_whole_and_all_else_stays(self, designs):
        other = {"dist": "StudentT", "kwargs": {"nu": 4, "mu": 1, "sigma": 2}}
        found = plan(designs, variants={"v": {"why": "so", **under(other, *AT)}}).variants["v"]
        base = specs.benefit_risk()
        prior = found.spec.outcomes["pain"].parameters["emax"].priors["location"]
        assert (prior.dist, prior.kwargs) == ("StudentT", {"nu": 4, "mu": 1, "sigma": 2})
        assert found.spec.outcomes["harm"] == base.outcomes["harm"]
        assert found.spec.sampling == base.sampling

    def test_what_a_changed_part_has_no_use_for_falls_away_and_is_listed(self, designs):
        part = {"curve": "linear", "parameters": {"slope": SLOPE}}
        found = plan(designs, variants={"v": {"why": "so", "outcomes": {"pain": part}}})
        variant = found.variants["v"]
        assert variant.fallen == (
            "outcomes.pain.parameters.emax",
            "outcomes.pain.parameters.log_ed50",
        )
        assert set(variant.spec.outcomes["pain"].parameters) == {
            "slope", "baseline", "heterogeneity_sd"}  # fmt: skip

    def test_what_the_variant_itself_gives_in_vain_is_its_fault(self, designs):
        part = {"curve": "linear", "parameters": {"slope": SLOPE, "emax": SLOPE}}
        action = {"v": {"why": "so", "outcomes": {"pain": part}}}
        fault, *_ = faults_when(lambda: plan(designs, variants=action), SpecError)
        assert fault.column == "variants.v.outcomes.pain.parameters.emax"

    def test_another_pooling_lets_go_of_the_old_ones_priors(self):
        agents = {"pooling": "agent", "priors": {"location": WIDE, "between_agent": WIDE}}
        base = under(agents, *AT[:4])
        content, fallen = merged(base, under("common", *AT[:4], "pooling"))
        assert content["outcomes"]["pain"]["parameters"]["emax"]["priors"] == {"location": WIDE}
        assert fallen == ("outcomes.pain.parameters.emax.priors.between_agent",)

    def test_exclusions_add_up(self):
        content, _ = merged({"exclude": {"study": ["A"]}}, {"exclude": {"study": "B", "x": "y"}})
        assert content["exclude"] == {"study": ["A", "B"], "x": "y"}

    def test_keys_are_left_out_by_name(self, designs):
        found = plan(designs, variants={"v": {"why": "so", "without": "window"}})
        assert found.variants["v"].spec.window is None
        wrong = {"v": {"why": "so", "without": ["windw"]}}
        (fault,) = faults_when(lambda: plan(designs, variants=wrong), SpecError)
        assert "'window'" in fault.mend


class TestFaults:
    def test_every_fault_of_every_variant_at_once(self, designs):
        content: dict[str, Any] = {
            "bas": "x",
            "variants": {
                "one": {"why": "so", **under("emaxx", "outcomes", "pain", "curve")},
                "two": under("B", "exclude", "study"),
                "three": {"why": "so", "exclude": {"study": "Z"}},
                "four": {"why": "nothing"},
            },
            "generate": {
                "leave_one_owt": {},
                "prior_scale": {"of": "pain.emax.locatoin", "by": [2], "why": "so"},
                "leave_one_out": {"by": ["arm"], "why": "so"},
                "curves": {"outcome": "pain", "among": ["linear"], "why": "so"},
            },
        }
        faults = faults_when(lambda: plan(designs, **content), SpecError)
        at = {fault.column: fault for fault in faults}
        assert "'base'" in at["bas"].mend
        assert "'emax'" in at["variants.one.outcomes.pain.curve"].message
        assert "variants.two.why" in at
        assert "study = 'Z'" in at["variants.three.exclude.study"].message
        assert at["variants.four"].message == "differs in nothing"
        assert "'leave_one_out'" in at["generate.leave_one_owt"].mend
        assert "'pain.emax.location'" in at["generate.prior_scale.of"].mend
        assert "generate.leave_one_out.by.0" in at
        assert "no prior" in at["curves: pain: linear.outcomes.pain.parameters.slope"].message
        assert {fault.file for fault in faults} == {"what_if.toml"}

    def test_a_named_variant_that_cannot_be_fitted_is_a_fault_and_a_generated_one_an_answer(
        self, designs
    ):
        wrong = {"v": {"why": "so", "exclude": {"agent": ["placebo"]}}}
        (fault, *_) = faults_when(lambda: plan(designs, variants=wrong), SpecError)
        assert fault.column.startswith("variants.v.")
        rule = {"among": [["placebo"]], "key": "exclude.agent", "why": "so"}
        found = plan(designs, generate={"choice": rule})
        (impossible,) = [v for v in found.variants.values() if v.impossible]
        assert impossible.design is None

    def test_one_name_is_not_two_variants(self, designs):
        once = {"by": ["study"], "why": "so"}
        (fault, *_) = faults_when(
            lambda: plan(designs, generate={"leave_one_out": [once, once]}), SpecError
        )
        assert "two of this name" in fault.message


class TestGenerators:
    def test_scales_of_priors(self, designs):
        rule = {"of": ["pain.emax.location", "harm.*.location"], "by": [0.5], "why": "so"}
        found = plan(designs, generate={"prior_scale": rule}).variants
        sigma = found["pain.emax.location: scale × 0.5"].spec.outcomes["pain"].parameters["emax"]
        assert sigma.priors["location"].kwargs == {"mu": 0, "sigma": 0.5}
        assert len(found) == 1 + 4

    def test_locations_of_priors(self, designs):
        rule = {"of": "pain.emax.location", "by": [-2], "why": "so"}
        (_, found) = plan(designs, generate={"prior_location": rule}).variants.values()
        assert found.choices == {"prior of pain.emax.location": "location −2"}
        prior = found.spec.outcomes["pain"].parameters["emax"].priors["location"]
        assert prior.kwargs == {"mu": -2, "sigma": 1}

    def test_a_library_of_priors_by_outcome_and_comparison(self, designs):
        rule = {"of": "harm.heterogeneity_sd.location", "library": "turner_2015", "why": "so"}
        found = plan(designs, generate={"prior_choice": rule}).variants
        assert len(found) == 1 + 15
        one = found["harm.heterogeneity_sd.location: turner 2015 pain drug v placebo"]
        prior = one.spec.outcomes["harm"].parameters["heterogeneity_sd"].priors["location"]
        assert prior.dist == "LogNormal"

    def test_one_left_out_at_a_time(self, designs):
        rule = {"by": ["study", "agent"], "why": "so"}
        found = plan(designs, generate={"leave_one_out": rule}).variants
        assert list(found)[1:4] == ["without study A", "without study B", "without study C"]
        assert "without agent mem" in found
        design = seen(found["without study B"].design)
        assert set(design[f"{OUTCOMES}/pain"]["study"].to_numpy()) == {"A", "C"}

    def test_curves_with_the_files_priors_and_the_bases(self, designs):
        rule = {
            "outcome": "pain",
            "among": ["linear", "emax", "sigmoid_emax"],
            "parameters": {"slope": SLOPE, "log_hill": SLOPE},
            "why": "so",
        }
        found = plan(designs, generate={"curves": rule}).variants
        assert list(found)[1:] == ["pain: linear", "pain: sigmoid_emax"]

    def test_every_generator_has_a_sentence_and_asks_for_a_reason(self):
        for made in GENERATORS.values():
            assert made.about.endswith(".")
            assert made.model_fields["why"].is_required()


class TestMultiverse:
    def test_is_the_product_with_the_base_as_a_choice(self, designs):
        content = {
            "variants": {"flat": {"why": "so", **under(WIDE, *AT)}},
            "generate": {"leave_one_out": {"by": ["study"], "why": "so"}},
            "multiverse": {"of": [["flat"], "leave_one_out"], "why": "so"},
        }
        found = plan(designs, **content).variants
        assert len(found) == (1 + 1) * (1 + 3)
        both = found["flat + without study A"]
        assert both.choices == {"flat": "yes", "trials": "without study A"}
        assert both.spec.exclude == {"study": ("A",)}

    def test_two_factors_that_write_one_key_are_refused(self, designs):
        scale = {"of": "pain.emax.location", "by": [2], "why": "so"}
        content = {
            "variants": {"flat": {"why": "so", **under(WIDE, *AT)}},
            "generate": {"prior_scale": scale},
            "multiverse": {"of": ["flat", "prior_scale"], "why": "so"},
        }
        (fault, *_) = faults_when(lambda: plan(designs, **content), SpecError)
        assert "outcomes.pain.parameters.emax.priors.location" in fault.message


def test_the_dose_has_to_be_named_where_one_is_not_the_reference(designs):
    action = {"variants": {"v": {"why": "so", "without": "window"}}}
    (fault,) = faults_when(lambda: plan_of(action, designs), SpecError)
    assert fault.column == "dose"


class TestDesigns:
    @pytest.mark.parametrize(
        "left", [{"study": ["B"]}, {"condition_group": ["fibro"]}, {"agent": ["mem"]}]
    )
    def test_leaving_trials_out_by_weight_leaves_the_rows_that_a_new_design_has(
        self, designs, left
    ):
        excluded = {k: tuple(v) for k, v in left.items()}
        spec = designs.base.model_copy(update={"exclude": excluded})
        ours, anew = designs.of(spec), build_design(spec, designs.evidence)
        for name in spec.outcomes:
            rows = seen(ours)[f"{OUTCOMES}/{name}"].to_dataset()
            fresh = anew[f"{OUTCOMES}/{name}"].to_dataset()
            assert WEIGHT not in rows
            for column in set(fresh) - {"position"}:
                pd.testing.assert_series_equal(rows[column].to_series(), fresh[column].to_series())
        weight = ours[f"{OUTCOMES}/pain"][WEIGHT]
        assert weight.dims == ("arm",)
        assert set(np.unique(weight)) == {0, 1}

    def test_priors_curves_and_windows_choose_no_rows(self):
        base = specs.benefit_risk()
        assert rows_asked(base) == rows_asked(specs.benefit_risk(window=None))
        other = specs.outcome(curve="linear")
        assert rows_asked(specs.spec(other)) == rows_asked(specs.spec(specs.outcome()))
        assert rows_asked(specs.spec(specs.outcome(curve="constant"))) != rows_asked(specs.spec())
        assert rows_asked(base) != rows_asked(
            base.model_copy(update={"exclude": {"study": ("A",)}})
        )


#: What a reviewer asks.
DEMANDS = (
    "sceptical_prior",
    "no_high_risk_trials",
    "no_crossover_trials",
    "log_linear_relief",
    "odds_ratios_alone",
)


class TestShipped:
    @pytest.fixture(scope="class")
    @staticmethod
    def plan() -> Plan:
        """What asks for rows otherwise, and one of each kind that does not; the rest is slow."""
        content = dict(content_of(SHIPPED))
        rules = dict(content["generate"])
        rules["leave_one_out"] = {**rules["leave_one_out"], "by": ["study"]}
        for kind in ("prior_scale", "prior_choice"):
            del rules[kind]
        base = AnalysisSpec.from_toml(base_of(SHIPPED, SHIPPED.parent))
        return plan_of({**content, "generate": rules}, Designs(base, load_evidence()))

    def test_a_reviewers_demands_are_there_with_a_reason_and_rows(self, plan: Plan):
        for name in DEMANDS:
            one = plan.variants[name]
            assert one.why
            assert not one.impossible
            assert one.spec != plan.base.spec

    def test_what_leaves_trials_out_sees_other_rows(self, plan: Plan):
        for name, one in plan.variants.items():
            left_out = set(one.spec.exclude) - set(plan.base.spec.exclude)
            if left_out and not one.impossible:
                assert not seen(one.design).equals(seen(plan.base.design)), name
        assert not seen(plan.variants["first_periods"].design).equals(seen(plan.base.design))

    def test_another_hour_chooses_the_bases_rows_and_is_not_run(self, plan: Plan):
        rules = [n for n in plan.variants if n.startswith("outcomes.analgesia.time.rule")]
        alike = [n for n, one in plan.variants.items() if one.same_rows]
        assert alike == rules
        assert len(rules) == 2
        jobs = jobs_of(plan, load_evidence())
        assert {jobs[name].key for name in rules} == {jobs["base"].key}
        assert plan.variants[rules[0]].remark == "chooses the base's rows: its answer is the base's"
        told = estimate(plan, jobs, None, 1)
        assert "2 of them choose the base's rows" in told.text
        assert told.left == len({job.key for job in jobs.values()})

    @pytest.mark.parametrize("name", ["magnesium_headache", "concentration"])
    def test_the_others_are_whole(self, name):
        path = SHIPPED.parent / f"{name}_sensitivity.toml"
        base = AnalysisSpec.from_toml(base_of(path, SHIPPED.parent))
        found = read_plan(path, load_evidence(), base)
        named = [one for one in found.variants.values() if one.kind == "named"]
        assert named
        assert all(one.why and not one.impossible for one in named)


@pytest.mark.slow
def test_the_shipped_sensitivity_analysis_is_whole():
    """Every prior of it was written by somebody, and nothing of it is a fault."""
    base = AnalysisSpec.from_toml(base_of(SHIPPED, SHIPPED.parent))
    found = read_plan(SHIPPED, load_evidence(), base)
    named = [v for v in found.variants.values() if v.kind == "named"]
    assert len(named) == 6
    assert not any(v.impossible for v in named)
    assert 80 <= len(found.variants) <= 120
    assert all(v.why for v in found.variants.values())
