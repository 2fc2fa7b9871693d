"""Errors of a design, and what its network identifies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.evidence.grade import RISK_OF_BIAS_COLUMN, overall_risk_of_bias
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when
from tests.support.specs import rows


def build(frame: pd.DataFrame = specs.TRIALS, *outcomes, **more):
    frame = specs.normal_table() if frame is specs.TRIALS else frame
    return build_design(specs.spec(*outcomes, **more), load_evidence(frame))


class TestSelect:
    def test_by_columns_of_studies_and_of_the_user(self):
        frame = specs.normal_table().assign(blinded=["yes"] * 5 + ["no"] * 2)
        tree = build(frame, select={"blinded": "yes", "condition": ["crps"]})
        assert set(tree["arms"]["study"].to_numpy()) == {"A", "B"}

    def test_unknown_column(self):
        (issue,) = issues_when(lambda: build(select={"conditoin": "crps"}), SpecError)
        assert (issue.code, issue.column) == ("E401", "select.conditoin")
        assert "'condition'" in issue.hint

    def test_unknown_value(self):
        (issue,) = issues_when(lambda: build(select={"agent": ["ketamin", "mem"]}), SpecError)
        assert (issue.code, issue.column) == ("E402", "select.agent")
        assert "'ketamin'" in issue.message
        assert "'ketamine'" in issue.hint

    def test_exclude(self):
        tree = build(exclude={"study": ["B"]})
        assert set(tree["arms"]["study"].to_numpy()) == {"A", "C"}

    def test_unknown_column_and_value_of_exclude(self):
        wrong = {"study": ["D"], "conditoin": "crps"}
        issues = issues_when(lambda: build(exclude=wrong), SpecError)
        places = [(issue.code, issue.column) for issue in issues]
        assert places == [("E402", "exclude.study"), ("E401", "exclude.conditoin")]
        assert "'condition'" in issues[1].hint

    def test_exclude_by_overall_risk_of_bias(self):
        spec = AnalysisSpec.from_toml("models/benefit_risk.toml")
        concerned = spec.model_copy(update={"exclude": {RISK_OF_BIAS_COLUMN: ("some_concerns",)}})
        evidence = load_evidence()
        every, kept = (
            set(build_design(each, evidence)["arms"]["study"].to_numpy())
            for each in (spec, concerned)
        )
        judged = overall_risk_of_bias(evidence)
        assert every - kept == {s for s in every if judged.get(s) == "some_concerns"} != set()

    def test_all_errors_are_reported_at_once(self):
        wrong = {"agent": ["x", "y"], "nothing": "z"}
        issues = issues_when(lambda: build(select=wrong, agents={"w": "placebo"}), SpecError)
        columns = [issue.column for issue in issues]
        assert columns == ["select.agent", "select.agent", "select.nothing", "agents.w"]

    def test_no_rows_left_counts_the_reasons(self):
        frame = specs.normal_table().assign(dose=0.0, agent="placebo", arm=list("abcdefg"))
        frame = frame[frame["study"] != "B"].groupby("study").head(1)
        (issue,) = issues_when(lambda: build(frame), EvidenceError)
        assert (issue.code, issue.column) == ("E400", "outcomes.pain")
        assert "2 x" in issue.message

    def test_no_rows_of_the_measure(self):
        outcome = specs.outcome(measures=["sleep"])
        (issue,) = issues_when(lambda: build(specs.normal_table(), outcome), EvidenceError)
        assert issue.code == "E400"


class TestAgents:
    def test_renamed_agent(self):
        frame = specs.normal_table().replace({"mem": "memantine_xr"})
        tree = build(frame, agents={"memantine_xr": "ketamine"})
        assert tree["labels"]["agent"].to_numpy().tolist() == ["ketamine"]
        assert tree["arms"]["agent"].to_numpy().tolist().count("ketamine") == 4

    def test_active_control_as_reference(self):
        frame = specs.normal_table()
        frame.loc[5, ["agent", "dose"]] = ["midazolam", 3.0]
        tree = build(frame, agents={"midazolam": "placebo"})
        pain = tree["outcomes/pain"].to_dataset()
        assert pain["exposure"].to_numpy()[5] == 0.0
        assert "midazolam" not in tree["labels"]["agent"].to_numpy()


DISCONNECTED = rows("""
    study agent    dose mean se
    A     placebo  0    50   2
    A     ketamine 1    42   2
    B     mem      1    55   3
    B     amant    1    52   3
""").assign(outcome="pain")


class TestNetwork:
    def test_disconnected_network(self):
        (issue,) = issues_when(lambda: build(DISCONNECTED), EvidenceError)
        assert (issue.code, issue.column) == ("E405", "agent")
        assert "amant, mem" in issue.message
        assert 'disconnected = "allow"' in issue.hint

    def test_disconnected_network_is_allowed_by_the_spec(self):
        tree = build(DISCONNECTED, disconnected="allow")
        assert tree["labels"]["agent"].to_numpy().tolist() == ["amant", "ketamine", "mem"]

    @pytest.mark.parametrize("pooling", ["common", "study"])
    def test_disconnected_network_with_pooled_baselines(self, pooling):
        outcome = specs.outcome(parameters={"baseline": specs.parameter(pooling)})
        assert build(DISCONNECTED, outcome)["arms"].sizes["arm"] == 4

    def test_arms_of_the_reference_only_with_pooled_baselines(self):
        outcome = specs.outcome(parameters={"baseline": specs.parameter("study")})
        frame = DISCONNECTED[DISCONNECTED["agent"] == "placebo"]
        assert build(frame, outcome)["arms"].sizes["arm"] == len(frame)

    def test_another_reference_has_exposure_zero(self):
        frame = DISCONNECTED[DISCONNECTED["study"] == "B"]
        tree = build(frame, reference="mem")
        pain = tree["outcomes/pain"].to_dataset()
        assert pain["exposure"].to_series().groupby(pain["agent"].to_numpy()).first().to_dict() == {
            "mem": 0.0,
            "amant": 1.0,
        }

    def test_disconnected_contrasts(self):
        frame = specs.CONTRASTS.copy()
        frame.loc[3, ["comparator", "comparator_dose"]] = ["amant", 1.0]
        outcome = specs.outcome("normal_contrast", "linear")
        (issue,) = issues_when(lambda: build(frame, outcome), EvidenceError)
        assert issue.code == "E405"
        assert "amant, mem" in issue.message

    def test_redundant_contrasts(self):
        """Three contrasts of two differences: high vs low, low vs placebo, high vs placebo."""
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
        (issue,) = issues_when(lambda: build(frame, outcome), EvidenceError)
        assert (issue.code, issue.column) == ("E412", "comparator_se")
        build(frame.iloc[:2], outcome)

    def test_shared_arm_without_standard_error(self):
        frame = specs.CONTRASTS.assign(comparator_se=None)
        outcome = specs.outcome("normal_contrast", "linear")
        (issue,) = issues_when(lambda: build(frame, outcome), EvidenceError)
        assert (issue.code, issue.column) == ("E411", "comparator_se")
        assert "'A'" in issue.message
