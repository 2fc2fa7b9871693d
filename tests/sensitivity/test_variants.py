"""Merging, validation, generators, multiverse and designs of variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.design import OUTCOMES, WEIGHT, build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.sensitivity.generators import GENERATORS
from nmda_bayes.sensitivity.plan import Plan, base_path, build_plan, read_content, read_plan
from nmda_bayes.sensitivity.runner import estimate, jobs_of
from nmda_bayes.sensitivity.variants import (
    SAME_ROWS_NOTE,
    DesignCache,
    included_rows,
    merge_spec,
    row_selection_key,
)
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

SHIPPED = Path("models/sensitivity.toml")
WIDE = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 20}, "why": "wide"}
SLOPE = {"pooling": "common", "priors": {"location": WIDE}}
AT = ("outcomes", "pain", "parameters", "emax", "priors", "location")


@pytest.fixture(scope="module")
def designs() -> DesignCache:
    """Shared, so that designs are built once."""
    return DesignCache(specs.benefit_risk(), load_evidence(specs.both_tables()))


def plan(designs: DesignCache, **content: Any) -> Plan:
    return build_plan({"dose": 1, **content}, designs, file="what_if.toml")


def under(value: Any, *keys: str) -> Any:
    for key in reversed(keys):
        value = {key: value}
    return value


class TestMerging:
    def test_priors_are_replaced_whole(self, designs):
        other = {"dist": "StudentT", "kwargs": {"nu": 4, "mu": 1, "sigma": 2}}
        result = plan(designs, variants={"v": {"why": "so", **under(other, *AT)}}).variants["v"]
        base = specs.benefit_risk()
        prior = result.spec.outcomes["pain"].parameters["emax"].priors["location"]
        assert (prior.dist, prior.kwargs) == ("StudentT", {"nu": 4, "mu": 1, "sigma": 2})
        assert result.spec.outcomes["harm"] == base.outcomes["harm"]
        assert result.spec.sampling == base.sampling

    def test_unused_keys_of_changed_parts_are_dropped(self, designs):
        part = {"curve": "linear", "parameters": {"slope": SLOPE}}
        result = plan(designs, variants={"v": {"why": "so", "outcomes": {"pain": part}}})
        variant = result.variants["v"]
        assert variant.dropped_keys == (
            "outcomes.pain.parameters.emax",
            "outcomes.pain.parameters.log_ed50",
        )
        assert set(variant.spec.outcomes["pain"].parameters) == {
            "slope", "baseline", "heterogeneity_sd"}  # fmt: skip

    def test_unused_keys_of_the_variant_are_errors(self, designs):
        part = {"curve": "linear", "parameters": {"slope": SLOPE, "emax": SLOPE}}
        action = {"v": {"why": "so", "outcomes": {"pain": part}}}
        issue, *_ = issues_when(lambda: plan(designs, variants=action), SpecError)
        assert issue.column == "variants.v.outcomes.pain.parameters.emax"

    def test_unused_priors_of_changed_pooling_are_dropped(self):
        agents = {"pooling": "agent", "priors": {"location": WIDE, "between_agent": WIDE}}
        base = under(agents, *AT[:4])
        content, dropped_keys = merge_spec(base, under("common", *AT[:4], "pooling"))
        assert content["outcomes"]["pain"]["parameters"]["emax"]["priors"] == {"location": WIDE}
        assert dropped_keys == ("outcomes.pain.parameters.emax.priors.between_agent",)

    def test_exclusions_add_up(self):
        content, _ = merge_spec(
            {"exclude": {"study": ["A"]}}, {"exclude": {"study": "B", "x": "y"}}
        )
        assert content["exclude"] == {"study": ["A", "B"], "x": "y"}

    def test_keys_are_removed_by_name(self, designs):
        result = plan(designs, variants={"v": {"why": "so", "without": "window"}})
        assert result.variants["v"].spec.window is None
        wrong = {"v": {"why": "so", "without": ["windw"]}}
        (issue,) = issues_when(lambda: plan(designs, variants=wrong), SpecError)
        assert (issue.code, issue.column) == ("E613", "variants.v.without")
        assert "'window'" in issue.hint


class TestIssues:
    def test_errors_of_all_variants_are_collected(self, designs):
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
        issues = issues_when(lambda: plan(designs, **content), SpecError)
        by_column = {issue.column: issue for issue in issues}
        codes = {column: issue.code for column, issue in by_column.items() if issue.code >= "E600"}
        assert codes == {
            "bas": "E602",
            "variants.two.why": "E610",
            "variants.four": "E611",
            "generate.leave_one_owt": "E620",
            "generate.prior_scale.of": "E623",
            "generate.leave_one_out.by.0": "E621",
        }
        assert set(by_column) - set(codes) == {
            "variants.one.outcomes.pain.curve",
            "variants.three.exclude.study",
            "curves: pain: linear.outcomes.pain.parameters.slope",
        }
        assert "'base'" in by_column["bas"].hint
        assert "'leave_one_out'" in by_column["generate.leave_one_owt"].hint
        assert "'pain.emax.location'" in by_column["generate.prior_scale.of"].hint
        assert {issue.file for issue in issues} == {"what_if.toml"}

    def test_impossible_variants_are_errors_only_if_named(self, designs):
        # Without placebo alone, a trial of two doses still informs the curve.
        wrong = {"v": {"why": "so", "exclude": {"agent": ["placebo", "ketamine"]}}}
        (issue, *_) = issues_when(lambda: plan(designs, variants=wrong), SpecError)
        assert issue.column.startswith("variants.v.")
        rule = {"among": [["placebo", "ketamine"]], "key": "exclude.agent", "why": "so"}
        result = plan(designs, generate={"choice": rule})
        (impossible,) = [v for v in result.variants.values() if v.impossible]
        assert impossible.design is None

    def test_duplicate_names_are_rejected(self, designs):
        rule = {"by": ["study"], "why": "so"}
        (issue, *_) = issues_when(
            lambda: plan(designs, generate={"leave_one_out": [rule, rule]}), SpecError
        )
        assert issue.code == "E612"


class TestGenerators:
    def test_scales_of_priors(self, designs):
        rule = {"of": ["pain.emax.location", "harm.*.location"], "by": [0.5], "why": "so"}
        result = plan(designs, generate={"prior_scale": rule}).variants
        sigma = result["pain.emax.location: scale × 0.5"].spec.outcomes["pain"].parameters["emax"]
        assert sigma.priors["location"].kwargs == {"mu": 0, "sigma": 0.5}
        assert len(result) == 1 + 4

    def test_locations_of_priors(self, designs):
        rule = {"of": "pain.emax.location", "by": [-2], "why": "so"}
        (_, result) = plan(designs, generate={"prior_location": rule}).variants.values()
        assert result.choices == {"prior of pain.emax.location": "location −2"}
        prior = result.spec.outcomes["pain"].parameters["emax"].priors["location"]
        assert prior.kwargs == {"mu": -2, "sigma": 1}

    def test_prior_choice_from_a_library(self, designs):
        rule = {"of": "harm.heterogeneity_sd.location", "library": "turner_2015", "why": "so"}
        result = plan(designs, generate={"prior_choice": rule}).variants
        assert len(result) == 1 + 15
        variant = result["harm.heterogeneity_sd.location: turner 2015 pain drug vs placebo"]
        prior = variant.spec.outcomes["harm"].parameters["heterogeneity_sd"].priors["location"]
        assert prior.dist == "LogNormal"

    def test_leave_one_out(self, designs):
        rule = {"by": ["study", "agent"], "why": "so"}
        result = plan(designs, generate={"leave_one_out": rule}).variants
        assert list(result)[1:4] == ["without study A", "without study B", "without study C"]
        assert "without agent mem" in result
        design = included_rows(result["without study B"].design)
        assert set(design[f"{OUTCOMES}/pain"]["study"].to_numpy()) == {"A", "C"}

    def test_curves_with_priors_of_file_and_base(self, designs):
        rule = {
            "outcome": "pain",
            "among": ["linear", "emax", "sigmoid_emax"],
            "parameters": {"slope": SLOPE, "log_hill": SLOPE},
            "why": "so",
        }
        result = plan(designs, generate={"curves": rule}).variants
        assert list(result)[1:] == ["pain: linear", "pain: sigmoid_emax"]

    def test_generators_are_described_and_require_reasons(self):
        for generator in GENERATORS.values():
            assert generator.about.endswith(".")
            assert generator.model_fields["why"].is_required()


class TestMultiverse:
    def test_is_the_product_of_decisions(self, designs):
        content = {
            "variants": {"flat": {"why": "so", **under(WIDE, *AT)}},
            "generate": {"leave_one_out": {"by": ["study"], "why": "so"}},
            "multiverse": {"of": [["flat"], "leave_one_out"], "why": "so"},
        }
        result = plan(designs, **content).variants
        assert len(result) == (1 + 1) * (1 + 3)
        both = result["flat + without study A"]
        assert both.choices == {"flat": "yes", "trials": "without study A"}
        assert both.spec.exclude == {"study": ("A",)}

    def test_conflicting_decisions_are_rejected(self, designs):
        scale = {"of": "pain.emax.location", "by": [2], "why": "so"}
        content = {
            "variants": {"flat": {"why": "so", **under(WIDE, *AT)}},
            "generate": {"prior_scale": scale},
            "multiverse": {"of": ["flat", "prior_scale"], "why": "so"},
        }
        (issue, *_) = issues_when(lambda: plan(designs, **content), SpecError)
        assert (issue.code, issue.column) == ("E632", "multiverse.of")
        assert "outcomes.pain.parameters.emax.priors.location" in issue.message


def test_dose_is_required_without_relative_exposures(designs):
    action = {"variants": {"v": {"why": "so", "without": "window"}}}
    (issue,) = issues_when(lambda: build_plan(action, designs), SpecError)
    assert (issue.code, issue.column) == ("E605", "dose")


class TestDesigns:
    @pytest.mark.parametrize(
        "left", [{"study": ["B"]}, {"condition_group": ["fibro"]}, {"agent": ["mem"]}]
    )
    def test_zero_weights_leave_the_rows_of_a_new_design(self, designs, left):
        excluded = {k: tuple(v) for k, v in left.items()}
        spec = designs.base.model_copy(update={"exclude": excluded})
        weighted, rebuilt = designs.build(spec), build_design(spec, designs.evidence)
        for name in spec.outcomes:
            rows = included_rows(weighted)[f"{OUTCOMES}/{name}"].to_dataset()
            expected = rebuilt[f"{OUTCOMES}/{name}"].to_dataset()
            assert WEIGHT not in rows
            for column in set(expected) - {"position"}:
                pd.testing.assert_series_equal(
                    rows[column].to_series(), expected[column].to_series()
                )
        weight = weighted[f"{OUTCOMES}/pain"][WEIGHT]
        assert weight.dims == ("arm",)
        assert set(np.unique(weight)) == {0, 1}

    def test_priors_curves_and_windows_select_no_rows(self):
        base = specs.benefit_risk()
        assert row_selection_key(base) == row_selection_key(specs.benefit_risk(window=None))
        other = specs.outcome(curve="linear")
        assert row_selection_key(specs.spec(other)) == row_selection_key(
            specs.spec(specs.outcome())
        )
        assert row_selection_key(specs.spec(specs.outcome(curve="constant"))) != row_selection_key(
            specs.spec()
        )
        assert row_selection_key(base) != row_selection_key(
            base.model_copy(update={"exclude": {"study": ("A",)}})
        )


REVIEWER_VARIANTS = (
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
        """All variants that select other rows, and one of each other kind; the rest is slow."""
        content = dict(read_content(SHIPPED))
        rules = dict(content["generate"])
        rules["leave_one_out"] = {**rules["leave_one_out"], "by": ["study"]}
        for kind in ("prior_scale", "prior_choice"):
            del rules[kind]
        base = AnalysisSpec.from_toml(base_path(SHIPPED, SHIPPED.parent))
        return build_plan({**content, "generate": rules}, DesignCache(base, load_evidence()))

    def test_reviewer_variants_can_be_fitted(self, plan: Plan):
        for name in REVIEWER_VARIANTS:
            variant = plan.variants[name]
            assert variant.why
            assert not variant.impossible
            assert variant.spec != plan.base.spec

    def test_exclusions_change_the_rows(self, plan: Plan):
        for name, variant in plan.variants.items():
            excluded = set(variant.spec.exclude) - set(plan.base.spec.exclude)
            if excluded and not variant.impossible:
                assert not included_rows(variant.design).equals(included_rows(plan.base.design)), (
                    name
                )
        assert not included_rows(plan.variants["first_periods"].design).equals(
            included_rows(plan.base.design)
        )

    def test_time_rules_with_the_same_rows_are_not_fitted(self, plan: Plan):
        rules = [n for n in plan.variants if n.startswith("outcomes.analgesia.time.rule")]
        same_rows = [n for n, variant in plan.variants.items() if variant.same_rows]
        assert same_rows == rules
        assert len(rules) == 2
        jobs = jobs_of(plan, load_evidence())
        assert {jobs[name].key for name in rules} == {jobs["base"].key}
        assert plan.variants[rules[0]].note == SAME_ROWS_NOTE
        counts = estimate(plan, jobs, None, 1)
        assert counts.same_rows == 2
        assert counts.remaining == len({job.key for job in jobs.values()})

    @pytest.mark.parametrize("name", ["magnesium_headache", "concentration"])
    def test_other_shipped_files_are_valid(self, name):
        path = SHIPPED.parent / f"{name}_sensitivity.toml"
        base = AnalysisSpec.from_toml(base_path(path, SHIPPED.parent))
        result = read_plan(path, load_evidence(), base)
        named = [v for v in result.variants.values() if v.kind == "named"]
        assert named
        assert all(v.why and not v.impossible for v in named)


@pytest.mark.slow
def test_shipped_sensitivity_analysis_is_valid():
    base = AnalysisSpec.from_toml(base_path(SHIPPED, SHIPPED.parent))
    result = read_plan(SHIPPED, load_evidence(), base)
    named = [v for v in result.variants.values() if v.kind == "named"]
    assert len(named) == 6
    assert not any(v.impossible for v in named)
    assert 80 <= len(result.variants) <= 120
    assert all(v.why for v in result.variants.values())
