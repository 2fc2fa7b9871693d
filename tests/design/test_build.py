"""What a design refuses, and what it says is identified."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.evidence.judgements import JUDGEMENT, worst_judgements
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when
from tests.specs import rows


def build(frame: pd.DataFrame = specs.TRIALS, *outcomes, **more):
    frame = specs.normal_table() if frame is specs.TRIALS else frame
    return build_design(specs.spec(*outcomes, **more), load_evidence(frame))


class TestSelect:
    def test_by_a_column_of_the_study_or_of_the_users_own(self):
        frame = specs.normal_table().assign(blinded=["yes"] * 5 + ["no"] * 2)
        tree = build(frame, select={"blinded": "yes", "condition": ["crps"]})
        assert set(tree["arms"]["study"].to_numpy()) == {"A", "B"}

    def test_an_unknown_column_says_the_nearest(self):
        (fault,) = faults_when(lambda: build(select={"conditoin": "crps"}), SpecError)
        assert fault.column == "select.conditoin"
        assert "has no column 'conditoin'" in fault.message
        assert "'condition'" in fault.mend

    def test_an_unknown_value_says_the_nearest(self):
        (fault,) = faults_when(lambda: build(select={"agent": ["ketamin", "mem"]}), SpecError)
        assert fault.column == "select.agent"
        assert "agent = 'ketamin'" in fault.message
        assert "'ketamine'" in fault.mend

    def test_what_is_excluded_goes_and_the_rest_stays(self):
        tree = build(exclude={"study": ["B"]})
        assert set(tree["arms"]["study"].to_numpy()) == {"A", "C"}

    def test_an_unknown_exclusion_says_the_nearest(self):
        wrong = {"study": ["D"], "conditoin": "crps"}
        faults = faults_when(lambda: build(exclude=wrong), SpecError)
        assert [f.column for f in faults] == ["exclude.study", "exclude.conditoin"]
        assert "'condition'" in faults[1].mend

    def test_trials_are_left_out_by_the_worst_that_was_judged_of_them(self):
        spec = AnalysisSpec.from_toml("models/benefit_risk.toml")
        concerned = spec.model_copy(update={"exclude": {JUDGEMENT: ("some_concerns",)}})
        evidence = load_evidence()
        every, kept = (
            set(build_design(one, evidence)["arms"]["study"].to_numpy())
            for one in (spec, concerned)
        )
        judged = worst_judgements(evidence)
        assert every - kept == {s for s in every if judged.get(s) == "some_concerns"} != set()

    def test_every_wrong_value_is_told_at_once(self):
        wrong = {"agent": ["x", "y"], "nothing": "z"}
        faults = faults_when(lambda: build(select=wrong, agents={"w": "placebo"}), SpecError)
        assert [f.column for f in faults] == [
            "select.agent", "select.agent", "select.nothing", "agents.w"]  # fmt: skip

    def test_nothing_left_says_what_became_of_the_rows(self):
        frame = specs.normal_table().assign(dose=0.0, agent="placebo", arm=list("abcdefg"))
        frame = frame[frame["study"] != "B"].groupby("study").head(1)
        (fault,) = faults_when(lambda: build(frame), EvidenceError)
        assert fault.column == "outcomes.pain"
        assert "2 x one arm left in its study" in fault.message

    def test_no_row_of_the_measure(self):
        outcome = specs.outcome(measures=["sleep"])
        (fault,) = faults_when(lambda: build(specs.normal_table(), outcome), EvidenceError)
        assert "no row has these measures" in fault.message


class TestAgents:
    def test_a_renamed_agent_is_the_other_from_the_start(self):
        frame = specs.normal_table().replace({"mem": "memantine_xr"})
        tree = build(frame, agents={"memantine_xr": "ketamine"})
        assert tree["labels"]["agent"].to_numpy().tolist() == ["ketamine"]
        assert tree["arms"]["agent"].to_numpy().tolist().count("ketamine") == 4

    def test_an_active_control_may_become_the_reference(self):
        frame = specs.normal_table()
        frame.loc[5, ["agent", "dose"]] = ["midazolam", 3.0]
        tree = build(frame, agents={"midazolam": "placebo"})
        pain = tree["outcomes/pain"].to_dataset()
        assert pain["exposure"].to_numpy()[5] == 0.0
        assert "midazolam" not in tree["labels"]["agent"].to_numpy()


ISLAND = rows("""
    study agent    dose mean se
    A     placebo  0    50   2
    A     ketamine 1    42   2
    B     mem      1    55   3
    B     amant    1    52   3
""").assign(outcome="pain")


class TestNetwork:
    def test_an_island_is_refused_with_what_is_identified(self):
        (fault,) = faults_when(lambda: build(ISLAND), EvidenceError)
        assert "no trial connects amant, mem to the reference 'placebo'" in fault.message
        assert "only differences within each such group are identified" in fault.message
        assert 'disconnected = "allow"' in fault.mend

    def test_unless_the_spec_rests_on_the_priors(self):
        tree = build(ISLAND, disconnected="allow")
        assert tree["labels"]["agent"].to_numpy().tolist() == ["amant", "ketamine", "mem"]

    @pytest.mark.parametrize("pooling", ["common", "study"])
    def test_or_shares_the_baselines(self, pooling):
        outcome = specs.outcome(parameters={"baseline": specs.parameter(pooling)})
        assert build(ISLAND, outcome)["arms"].sizes["arm"] == 4

    def test_another_reference_moves_the_zero_of_the_dose_axis(self):
        frame = ISLAND[ISLAND["study"] == "B"]
        tree = build(frame, reference="mem")
        pain = tree["outcomes/pain"].to_dataset()
        assert dict(zip(pain["agent"].to_numpy(), pain["exposure"].to_numpy(), strict=True)) == {
            "mem": 0.0, "amant": 1.0}  # fmt: skip

    def test_contrasts_between_active_agents_are_an_island_too(self):
        frame = specs.CONTRASTS.copy()
        frame.loc[3, ["comparator", "comparator_dose"]] = ["amant", 1.0]
        outcome = specs.outcome("normal_contrast", "linear")
        (fault,) = faults_when(lambda: build(frame, outcome), EvidenceError)
        assert "amant, mem" in fault.message

    def test_contrasts_that_follow_from_each_other_are_refused(self):
        """B v A, A v placebo and B v placebo: three contrasts of two differences."""
        frame = pd.DataFrame(
            {
                "study": "A",
                "agent": ["low", "high", "high"],
                "comparator": ["placebo", "low", "placebo"],
                "dose": [1.0, 2.0, 2.0],
                "comparator_dose": [0.0, 1.0, 0.0],
                "estimate": [-3.0, -2.0, -5.0],
                "se": np.sqrt([9.0, 12.0, 11.0]),
                "comparator_se": np.sqrt([4.0, 5.0, 4.0]),
            }
        )
        outcome = specs.outcome("normal_contrast", "linear")
        (fault,) = faults_when(lambda: build(frame, outcome), EvidenceError)
        assert "one follows from the others" in fault.message
        build(frame.iloc[:2], outcome)

    def test_contrasts_that_share_an_arm_need_its_standard_error(self):
        frame = specs.CONTRASTS.assign(comparator_se=None)
        outcome = specs.outcome("normal_contrast", "linear")
        (fault,) = faults_when(lambda: build(frame, outcome), EvidenceError)
        assert "study 'A'" in fault.message
        assert fault.column == "comparator_se"
