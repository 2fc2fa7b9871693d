"""Which rows of a table enter and which do not, and why: one small table a rule."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.shipped import shipped_folder
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.specs import rows


def design(frame: pd.DataFrame, *outcomes, **more) -> xr.DataTree:
    return build_design(specs.spec(*outcomes, **more), load_evidence(frame))


def used(tree: xr.DataTree, outcome: str = "pain") -> pd.DataFrame:
    return tree[f"outcomes/{outcome}"].to_dataset().to_dataframe()


def left_out(tree: xr.DataTree) -> pd.DataFrame:
    return tree["left_out"].to_dataset().to_dataframe()


def timed(rule: str, **more) -> dict:
    return specs.outcome(time={"rule": rule, **more})


class TestShape:
    def test_an_arm_is_one_row_with_named_dims(self):
        tree = design(specs.normal_table())
        assert tree["arms"].to_dataset().sizes == {"arm": 7}
        pain = tree["outcomes/pain"].to_dataset()
        assert pain.sizes == {"arm": 7}
        assert_allclose(pain["mean"], specs.TRIALS["mean"])
        assert_allclose(pain["se"], specs.TRIALS["se"])
        assert_allclose(pain["exposure"], specs.TRIALS["dose"])
        labels = tree["labels"].to_dataset()
        assert labels["agent"].to_numpy().tolist() == ["ketamine", "mem"]  # placebo has no curve
        assert labels["condition"].to_numpy().tolist() == ["crps", "fibro"]
        assert left_out(tree).empty

    def test_two_outcomes_stand_on_one_list_of_arms(self):
        harm = specs.TRIALS[specs.TRIALS["study"] != "B"]
        frame = pd.concat([specs.normal_table(), specs.binary_table(harm)])
        tree = design(frame, specs.outcome(), specs.outcome("binomial"))
        arms = tree["arms"].to_dataset()["arm"].to_numpy()
        for name, size in (("pain", 7), ("harm", 4)):
            one = tree[f"outcomes/{name}"].to_dataset()
            assert one.sizes == {"arm": size}
            assert one["arm"].to_numpy().tolist() == arms[one["position"].to_numpy()].tolist()


class TestLeftOut:
    def test_a_row_without_a_dose_says_so(self):
        frame = specs.normal_table().assign(dose=specs.TRIALS["dose"].replace(0.5, np.nan))
        tree = design(frame)
        gone = left_out(tree)
        assert gone[["study", "arm", "outcome"]].to_numpy().tolist() == [
            ["B", "B: ketamine", "pain"]
        ]
        assert gone["reason"].tolist() == ["no dose in the evidence"]
        assert "B: ketamine" not in used(tree).index

    def test_a_constant_curve_needs_no_dose(self):
        frame = specs.normal_table().drop(columns="dose").drop_duplicates(["study", "agent"])
        tree = design(frame, specs.outcome(curve="constant"))
        active = used(tree)["agent"] != "placebo"
        assert_allclose(used(tree)["exposure"], active * 1.0)

    def test_a_mean_cannot_be_read_as_counts(self):
        frame = pd.concat([specs.binary_table(), specs.normal_table(name="harm")])
        frame = frame.assign(arm=frame["agent"] + frame["dose"].astype(str))
        frame.loc[frame["mean"].notna(), "arm"] += " as mean"
        tree = design(frame.assign(outcome="pain"), specs.outcome("binomial"))
        assert len(used(tree)) == 7
        assert set(left_out(tree)["reason"]) == {"no events on the outcome's scale"}
        assert len(left_out(tree)) == 7

    def test_a_study_of_one_arm_teaches_no_difference(self):
        lonely = specs.normal_table().iloc[[0, 1, 3]]  # B keeps only its ketamine arm
        tree = design(lonely)
        assert left_out(tree)["arm"].tolist() == ["B: ketamine 0.5"]
        assert left_out(tree)["reason"].str.startswith("one arm left in its study").all()

    def test_unless_the_baselines_are_shared(self):
        shared = specs.outcome(parameters={"baseline": specs.parameter("study")})
        tree = design(specs.normal_table().iloc[[0, 1, 3]], shared)
        assert "B: ketamine 0.5" in used(tree).index
        assert left_out(tree).empty

    def test_rows_of_another_outcome_are_no_concern(self):
        tree = design(specs.both_tables())
        assert len(used(tree)) == 7
        assert left_out(tree).empty

    def test_a_table_of_one_unnamed_outcome_is_that_outcome(self):
        assert len(used(design(specs.normal_table().drop(columns="outcome")))) == 7


class TestMeasures:
    FRAME = rows("""
        study agent    dose outcome  mean se
        A     placebo  0    any      1    1
        A     ketamine 1    any      2    1
        A     placebo  0    second   3    1
        A     ketamine 1    second   4    1
        B     placebo  0    second   5    1
        B     ketamine 1    second   6    1
        C     placebo  0    second   7    1
        C     ketamine 1    second   8    1
        C     ketamine 1    any      9    1
    """)

    def test_the_first_measure_that_two_arms_report_is_preferred_study_by_study(self):
        tree = design(self.FRAME, specs.outcome(measures=["any", "second"]))
        assert used(tree)["mean"].tolist() == [1, 2, 5, 6, 7, 8]
        assert left_out(tree)["study"].tolist() == ["A", "A", "C"]
        assert set(left_out(tree)["reason"]) == {"the study reports a preferred measure"}

    def test_the_order_is_the_specs(self):
        tree = design(self.FRAME, specs.outcome(measures=["second", "any"]))
        assert used(tree)["measure"].unique().tolist() == ["second"]


class TestTime:
    FRAME = rows("""
        study agent    dose time_hours n_administrations mean se
        A     placebo  0    1          1                 1    1
        A     ketamine 1    1          1                 2    1
        A     placebo  0    24         1                 3    1
        A     ketamine 1    24         1                 4    1
        B     placebo  0    6          1                 5    1
        B     ketamine 1    6          1                 6    1
        B     placebo  0    500        1                 7    1
        B     ketamine 1    500        1                 8    1
    """).assign(outcome="pain")

    @pytest.mark.parametrize(
        ("rule", "chosen"),
        [("nearest_end_of_treatment", [1, 2, 5, 6]),
         ("earliest", [1, 2, 5, 6]),
         ("latest", [3, 4, 7, 8])],
    )  # fmt: skip
    def test_each_study_has_the_time_point_of_the_rule(self, rule, chosen):
        tree = design(self.FRAME, timed(rule))
        assert used(tree)["mean"].tolist() == chosen
        assert left_out(tree)["reason"].str.startswith("another time point is chosen").all()

    def test_what_is_too_late_is_said_to_be(self):
        tree = design(self.FRAME, timed("latest", at_most_hours=100))
        assert used(tree)["mean"].tolist() == [3, 4, 5, 6]
        reasons = left_out(tree).groupby("study")["reason"].first()
        assert reasons["B"] == "outside the time window, or its time is not known"

    def test_a_row_without_an_hour_is_left_out_unless_its_window_holds_the_end(self):
        frame = self.FRAME.assign(
            time_hours=self.FRAME["time_hours"].where(self.FRAME["study"] == "A"),
            time_label=self.FRAME["time_hours"].map("{:g} h".format),
            infusion_hours=2.0,
            time_window=["immediate"] * 6 + ["short"] * 2,
        ).drop(index=[0, 1])
        strict = design(frame, timed("nearest_end_of_treatment"))
        assert set(used(strict)["study"]) == {"A"}
        lax = design(frame, timed("nearest_end_of_treatment", undated="window_of_the_end"))
        assert used(lax)["mean"].tolist() == [3, 4, 5, 6]

    TIE = rows("""
        study agent    dose time_hours n_administrations infusion_hours mean se
        A     placebo  0    1          1                 2              1    1
        A     ketamine 1    3          1                 2              2    1
        A     placebo  0    3          1                 2              3    1
        A     ketamine 1    1          1                 2              4    1
    """).assign(outcome="pain")

    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]])
    def test_an_hour_before_and_an_hour_after_the_end_are_not_mixed(self, order):
        """A tie goes to the hour after the end, for every arm and in every order of rows."""
        tree = design(self.TIE.iloc[order], timed("nearest_end_of_treatment"))
        assert used(tree)["time_hours"].tolist() == [3, 3]
        assert sorted(used(tree)["mean"]) == [2, 3]

    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]])
    def test_without_a_rule_the_arms_of_a_study_still_stand_at_one_time(self, order):
        tree = design(self.TIE.iloc[order])
        assert used(tree)["time_hours"].unique().size == 1
        assert len(used(tree)) == 2


class TestScale:
    FRAME = rows("""
        study agent    dose mean se   scale_min scale_max is_change_score
        A     placebo  0    5    0.5  0         10        0
        A     ketamine 1    3    0.5  0         10        0
        B     placebo  0    3    0.2  1         5         0
        B     ketamine 1    2    0.2  1         5         0
        C     placebo  0    -1   0.4  0         10        1
        C     ketamine 1    -3   0.4  0         10        1
        D     placebo  0    -1   0.4  -10       10        1
        D     ketamine 1    -3   0.4  -10       10        1
        E     placebo  0    40   3    -         -         0
        E     ketamine 1    30   3    -         -         0
    """).assign(outcome="pain")

    def test_levels_and_changes_are_stretched_each_in_its_way(self):
        tree = design(self.FRAME, specs.outcome(scale=[0, 100]))
        # A 0-10 x 10; B 1-5: (3 - 1) / 4 x 100; C a change on 0-10; D a change printed -10 to 10,
        # which is a 0-10 scale too.
        assert_allclose(used(tree)["mean"], [50, 30, 50, 25, -10, -30, -10, -30])
        assert_allclose(used(tree)["se"], [5, 5, 5, 5, 4, 4, 4, 4])

    def test_a_row_whose_scale_is_not_known_cannot_be_brought_to_it(self):
        tree = design(self.FRAME, specs.outcome(scale=[0, 100]))
        assert set(left_out(tree)["study"]) == {"E"}
        assert set(left_out(tree)["reason"]) == {"no mean on the outcome's scale"}

    def test_without_a_scale_numbers_are_as_they_stand(self):
        assert_allclose(used(design(self.FRAME))["mean"], self.FRAME["mean"])

    BOTH = rows("""
        study arm  agent    dose mean se is_change_score time_label
        A     p    placebo  0    50   1  0               level
        A     k    ketamine 1    40   1  0               level
        A     p    placebo  0    -5   1  1               change
        A     k    ketamine 1    -15  1  1               change
    """).assign(outcome="pain")

    def test_levels_are_preferred_to_changes(self):
        tree = design(self.BOTH)
        assert used(tree)["mean"].tolist() == [50, 40]
        assert left_out(tree)["reason"].str.contains("levels").all()

    @pytest.mark.parametrize("backwards", [False, True])
    def test_levels_of_two_arms_are_not_mixed_with_the_change_of_a_third(self, backwards):
        third = rows("""
            study arm  agent    dose mean se is_change_score time_label
            A     k2   ketamine 2    -20  1  1               change
        """).assign(outcome="pain")
        frame = pd.concat([self.BOTH, third], ignore_index=True)
        tree = design(frame.iloc[::-1] if backwards else frame)
        assert sorted(used(tree)["mean"]) in ([-20, -15, -5], [40, 50])


class TestOverlaps:
    @staticmethod
    def evidence(overlaps: dict[str, str]) -> xr.DataTree:
        tree = load_evidence(specs.normal_table())
        arms = tree["arms"].to_dataset()
        arms["overlaps"].loc[{"arm": list(overlaps)}] = list(overlaps.values())
        tree["arms"] = xr.DataTree(arms)
        return tree

    def test_a_pooled_arm_yields_to_the_arms_that_it_pools(self):
        tree = build_design(specs.spec(), self.evidence({"B: ketamine 2": "pools ketamine 0.5"}))
        assert "B: ketamine 2" not in used(tree).index
        assert left_out(tree)["reason"].tolist() == ["its patients are counted in other arms"]

    def test_and_stands_where_they_are_not_usable(self):
        both = {"B: ketamine 2": "pools x; y", "B: ketamine 0.5": "pools v; w"}
        tree = build_design(specs.spec(), self.evidence(both))
        assert {"B: ketamine 2", "B: ketamine 0.5"} <= set(used(tree).index)

    def test_a_stratum_was_not_randomised(self):
        tree = build_design(specs.spec(), self.evidence({"B: ketamine 2": "stratum of ketamine"}))
        assert left_out(tree)["reason"].str.startswith("a stratum").tolist() == [True]


class TestContrasts:
    OUTCOME = specs.outcome("normal_contrast", "linear")

    def test_contrasts_point_at_the_arms_that_they_compare(self):
        one = design(specs.CONTRASTS, self.OUTCOME)["outcomes/pain"].to_dataset()
        assert one.sizes == {"arm": 7, "contrast": 4}
        arms = one["arm"].to_numpy()
        assert arms[one["arm_position"]].tolist() == [
            "A: ketamine 1", "A: ketamine 2", "B: ketamine 1", "C: mem 1"]  # fmt: skip
        # The two contrasts of A share one arm.
        assert arms[one["comparator_position"]].tolist() == [
            "A: placebo 0", "A: placebo 0", "B: placebo 0", "C: placebo 0"]  # fmt: skip
        assert_allclose(one["estimate"], [-8, -11, -5, -1])
        assert_allclose(one["comparator_se"], [2, 2, np.nan, np.nan])

    def test_a_rule_by_the_hour_takes_printed_differences_of_the_base(self):
        """Their table has hours and no windows; headache trials of magnesium are such a mixture."""
        spec = AnalysisSpec.from_toml(
            shipped_folder("models") / "magnesium_headache.toml"
        ).model_dump()
        spec["outcomes"]["analgesia"]["time"] = {"rule": "latest"}
        spec |= {"exclude": {}}
        tree = build_design(AnalysisSpec.from_dict(spec), load_evidence())
        one = tree["outcomes/analgesia"].to_dataset()
        assert set(one["study"].to_numpy()) == {"Rahimdel", "Shahrami2015"}
        gone = left_out(tree)
        reason = gone.loc[gone["study"] == "Corbo2001", "reason"]
        assert reason.tolist() == ["outside the time window, or its time is not known"]

    @pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    def test_a_contrast_at_two_times_enters_once(self, order):
        later = specs.CONTRASTS.iloc[[2]].assign(estimate=-3, time_hours=48.0)
        frame = pd.concat([specs.CONTRASTS.assign(time_hours=24.0), later], ignore_index=True)
        tree = design(frame.iloc[order], self.OUTCOME)
        one = tree["outcomes/pain"].to_dataset()
        assert one.sizes == {"arm": 7, "contrast": 4}
        assert sorted(one["estimate"].to_numpy()) == [-11, -8, -5, -1]
        assert left_out(tree)["study"].tolist() == ["B"]

    def test_a_preferred_measure_replaces_the_other(self):
        second = specs.CONTRASTS.iloc[[2]].assign(estimate=-3, outcome="second")
        frame = pd.concat([specs.CONTRASTS, second], ignore_index=True)
        tree = design(frame, {**self.OUTCOME, "measures": ["second", "pain"]})
        assert sorted(tree["outcomes/pain"]["estimate"].to_numpy()) == [-11, -8, -3, -1]
        assert left_out(tree)["reason"].tolist() == ["the study reports a preferred measure"]


ROWS = st.fixed_dictionaries(
    {
        "study": st.sampled_from(["A", "B", "C"]),
        "agent": st.sampled_from(["placebo", "ketamine"]),
        "dose": st.sampled_from([0.5, 1.0, np.nan]),
        "outcome": st.sampled_from(["any", "second", "other"]),
        "time_hours": st.sampled_from([1.0, 24.0, np.nan]),
        "mean": st.integers(-5, 5).map(float),
        "se": st.sampled_from([1.0, 2.0]),
    }
)
#: One trial that is always there, so that something is left.
SURE = rows("""
    study agent    dose outcome time_hours mean se
    Z     placebo  0    any     1          0    1
    Z     ketamine 1    any     1          -1   1
""")


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(ROWS, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_every_row_is_used_or_left_out_once_whatever_the_order(drawn, random, with_time):
    frame = pd.DataFrame([*SURE.to_dict("records"), *drawn])
    placebo = frame["agent"] == "placebo"
    frame["dose"] = frame["dose"].where(~placebo, 0.0)
    keys = ["study", "agent", "dose", "outcome", "time_hours"]
    frame = frame.drop_duplicates(keys).assign(n_administrations=1)
    time = {"time": {"rule": "latest"}} if with_time else {}
    spec = specs.spec(specs.outcome(measures=["any", "second"], **time))
    shuffled = frame.iloc[random.sample(range(len(frame)), len(frame))]
    kept, found = [], []
    for one in (frame, shuffled):
        evidence = load_evidence(one)
        tree = build_design(spec, evidence)
        mine = table(evidence, "results")
        mine = Counter(mine.loc[mine["outcome"].isin(["any", "second"]), "arm"])
        told = Counter(left_out(tree)["arm"]) + Counter(used(tree).index)
        assert told == mine
        assert used(tree).index.is_unique
        kept.append(used(tree).drop(columns="position").sort_index())
        found.append(left_out(tree).sort_values(["arm", "measure", "reason"]).to_numpy().tolist())
    pd.testing.assert_frame_equal(*kept)
    assert found[0] == found[1]


def test_no_row_of_an_outcome_is_said_and_no_crash():
    with pytest.raises(EvidenceError, match="no row is left for outcome 'pain'"):
        design(specs.binary_table(), specs.outcome("binomial"))
