"""Which rows of a table enter, and which step excludes the others: a small table for each step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from nmda_bayes.design import STEPS, build_design
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.registry import shipped_folder
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when
from tests.support.specs import rows


def design(frame: pd.DataFrame, *outcomes, **more) -> xr.DataTree:
    return build_design(specs.spec(*outcomes, **more), load_evidence(frame))


def used(tree: xr.DataTree, outcome: str = "pain") -> pd.DataFrame:
    return tree[f"outcomes/{outcome}"].to_dataset().to_dataframe()


def excluded(tree: xr.DataTree) -> pd.DataFrame:
    return tree["excluded"].to_dataset().to_dataframe()


def exclusions(tree: xr.DataTree) -> list[tuple[str, str]]:
    """The study and the step of each excluded row, sorted."""
    return sorted(excluded(tree)[["study", "step"]].itertuples(index=False, name=None))


def timed(rule: str, **more) -> dict:
    return specs.outcome(time={"rule": rule, **more})


class TestShape:
    def test_dims_and_labels(self):
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
        assert excluded(tree).empty

    def test_outcomes_share_the_list_of_arms(self):
        harm = specs.TRIALS[specs.TRIALS["study"] != "B"]
        frame = pd.concat([specs.normal_table(), specs.binary_table(harm)])
        tree = design(frame, specs.outcome(), specs.outcome("binomial"))
        arms = tree["arms"].to_dataset()["arm"].to_numpy()
        for name, size in (("pain", 7), ("harm", 4)):
            outcome = tree[f"outcomes/{name}"].to_dataset()
            assert outcome.sizes == {"arm": size}
            of_all = arms[outcome["position"].to_numpy()]
            assert outcome["arm"].to_numpy().tolist() == of_all.tolist()


def test_every_step_has_a_name_of_its_own():
    names = [step.__name__ for step in STEPS]
    assert len(set(names)) == len(names)
    assert all(step.__doc__ for step in STEPS)


class TestExcluded:
    def test_a_row_without_a_dose(self):
        frame = specs.normal_table().assign(dose=specs.TRIALS["dose"].replace(0.5, np.nan))
        tree = design(frame)
        columns = ["study", "arm", "outcome", "step"]
        assert excluded(tree)[columns].to_numpy().tolist() == [
            ["B", "B: ketamine", "pain", "known_exposure"]
        ]
        assert "B: ketamine" not in used(tree).index

    def test_a_constant_curve_needs_no_dose(self):
        frame = specs.normal_table().drop(columns="dose").drop_duplicates(["study", "agent"])
        tree = design(frame, specs.outcome(curve="constant"))
        active = used(tree)["agent"] != "placebo"
        assert_allclose(used(tree)["exposure"], active * 1.0)

    def test_means_for_a_binomial_likelihood(self):
        frame = pd.concat([specs.binary_table(), specs.normal_table(name="harm")])
        frame = frame.assign(arm=frame["agent"] + frame["dose"].astype(str))
        frame.loc[frame["mean"].notna(), "arm"] += " as mean"
        tree = design(frame.assign(outcome="pain"), specs.outcome("binomial"))
        assert len(used(tree)) == 7
        assert excluded(tree)["step"].tolist() == ["complete_values"] * 7

    def test_a_single_arm(self):
        tree = design(specs.normal_table().iloc[[0, 1, 3]])  # B keeps only its ketamine arm
        assert excluded(tree)["arm"].tolist() == ["B: ketamine 0.5"]
        assert exclusions(tree) == [("B", "comparison_within_study")]

    def test_a_single_arm_with_pooled_baselines(self):
        shared = specs.outcome(parameters={"baseline": specs.parameter("study")})
        tree = design(specs.normal_table().iloc[[0, 1, 3]], shared)
        assert "B: ketamine 0.5" in used(tree).index
        assert excluded(tree).empty

    def test_rows_of_another_outcome_are_not_listed(self):
        tree = design(specs.both_tables())
        assert len(used(tree)) == 7
        assert excluded(tree).empty

    def test_a_table_without_outcome_names(self):
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

    def test_first_measure_with_two_arms_is_used(self):
        tree = design(self.FRAME, specs.outcome(measures=["any", "second"]))
        assert used(tree)["mean"].tolist() == [1, 2, 5, 6, 7, 8]
        step = "preferred_measure"
        assert exclusions(tree) == [("A", step), ("A", step), ("C", step)]

    def test_measures_are_ordered_by_the_spec(self):
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
        [
            ("nearest_end_of_treatment", [1, 2, 5, 6]),
            ("earliest", [1, 2, 5, 6]),
            ("latest", [3, 4, 7, 8]),
        ],
    )
    def test_time_rule(self, rule, chosen):
        tree = design(self.FRAME, timed(rule))
        assert used(tree)["mean"].tolist() == chosen
        assert set(excluded(tree)["step"]) == {"time_point"}

    def test_rows_after_the_window(self):
        tree = design(self.FRAME, timed("latest", at_most_hours=100))
        assert used(tree)["mean"].tolist() == [3, 4, 5, 6]
        assert exclusions(tree) == [("A", "time_point")] * 2 + [("B", "time_point")] * 2

    def test_rows_without_an_hour_need_a_window(self):
        frame = self.FRAME.assign(
            time_hours=self.FRAME["time_hours"].where(self.FRAME["study"] == "A"),
            time_label=self.FRAME["time_hours"].map("{:g} h".format),
            infusion_hours=2.0,
            time_window=["immediate"] * 6 + ["short"] * 2,
        ).drop(index=[0, 1])
        strict = design(frame, timed("nearest_end_of_treatment"))
        assert set(used(strict)["study"]) == {"A"}
        lax = design(frame, timed("nearest_end_of_treatment", missing_time="review_window"))
        assert used(lax)["mean"].tolist() == [3, 4, 5, 6]

    TIE = rows("""
        study agent    dose time_hours n_administrations infusion_hours mean se
        A     placebo  0    1          1                 2              1    1
        A     ketamine 1    3          1                 2              2    1
        A     placebo  0    3          1                 2              3    1
        A     ketamine 1    1          1                 2              4    1
    """).assign(outcome="pain")

    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]])
    def test_tie_before_and_after_the_end(self, order):
        """A tie goes to the hour after the end, for every arm and in every order of rows."""
        tree = design(self.TIE.iloc[order], timed("nearest_end_of_treatment"))
        assert used(tree)["time_hours"].tolist() == [3, 3]
        assert sorted(used(tree)["mean"]) == [2, 3]

    @pytest.mark.parametrize("order", [[0, 1, 2, 3], [1, 0, 3, 2], [3, 2, 1, 0]])
    def test_one_time_point_without_a_rule(self, order):
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

    def test_levels_and_changes_are_rescaled(self):
        tree = design(self.FRAME, specs.outcome(scale=[0, 100]))
        # A 0-10 x 10; B 1-5: (3 - 1) / 4 x 100; C a change on 0-10; D a change printed -10 to 10,
        # which is a 0-10 scale too.
        assert_allclose(used(tree)["mean"], [50, 30, 50, 25, -10, -30, -10, -30])
        assert_allclose(used(tree)["se"], [5, 5, 5, 5, 4, 4, 4, 4])

    def test_a_row_without_a_scale(self):
        tree = design(self.FRAME, specs.outcome(scale=[0, 100]))
        assert exclusions(tree) == [("E", "complete_values")] * 2

    def test_no_rescaling_without_a_scale(self):
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
        assert exclusions(tree) == [("A", "levels_or_changes")] * 2

    @pytest.mark.parametrize("backwards", [False, True])
    def test_levels_and_changes_are_not_mixed(self, backwards):
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

    def test_a_pooled_arm_with_its_parts(self):
        tree = build_design(specs.spec(), self.evidence({"B: ketamine 2": "pools ketamine 0.5"}))
        assert "B: ketamine 2" not in used(tree).index
        assert exclusions(tree) == [("B", "randomised_arms")]

    def test_pooled_arms_without_their_parts(self):
        both = {"B: ketamine 2": "pools x; y", "B: ketamine 0.5": "pools v; w"}
        tree = build_design(specs.spec(), self.evidence(both))
        assert {"B: ketamine 2", "B: ketamine 0.5"} <= set(used(tree).index)

    def test_a_stratum(self):
        tree = build_design(specs.spec(), self.evidence({"B: ketamine 2": "stratum of ketamine"}))
        assert exclusions(tree) == [("B", "randomised_arms")]


class TestContrasts:
    OUTCOME = specs.outcome("normal_contrast", "linear")

    def test_positions_of_the_compared_arms(self):
        pain = design(specs.CONTRASTS, self.OUTCOME)["outcomes/pain"].to_dataset()
        assert pain.sizes == {"arm": 7, "contrast": 4}
        arms = pain["arm"].to_numpy()
        active = ["A: ketamine 1", "A: ketamine 2", "B: ketamine 1", "C: mem 1"]
        assert arms[pain["arm_position"]].tolist() == active
        # The two contrasts of A share an arm.
        controls = ["A: placebo 0", "A: placebo 0", "B: placebo 0", "C: placebo 0"]
        assert arms[pain["comparator_position"]].tolist() == controls
        assert_allclose(pain["estimate"], [-8, -11, -5, -1])
        assert_allclose(pain["comparator_se"], [2, 2, np.nan, np.nan])

    def test_time_rule_for_contrasts_of_the_base(self):
        """The table of contrasts has hours and no windows."""
        spec = AnalysisSpec.from_toml(
            shipped_folder("models") / "magnesium_headache.toml"
        ).model_dump()
        spec["outcomes"]["analgesia"]["time"] = {"rule": "latest"}
        spec |= {"exclude": {}}
        tree = build_design(AnalysisSpec.from_dict(spec), load_evidence())
        analgesia = tree["outcomes/analgesia"].to_dataset()
        assert set(analgesia["study"].to_numpy()) == {"Rahimdel", "Shahrami2015"}
        assert ("Corbo2001", "time_point") in exclusions(tree)

    @pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    def test_a_contrast_at_two_times_enters_once(self, order):
        later = specs.CONTRASTS.iloc[[2]].assign(estimate=-3, time_hours=48.0)
        frame = pd.concat([specs.CONTRASTS.assign(time_hours=24.0), later], ignore_index=True)
        tree = design(frame.iloc[order], self.OUTCOME)
        pain = tree["outcomes/pain"].to_dataset()
        assert pain.sizes == {"arm": 7, "contrast": 4}
        assert sorted(pain["estimate"].to_numpy()) == [-11, -8, -5, -1]
        assert exclusions(tree) == [("B", "same_time_point")]

    def test_preferred_measure(self):
        second = specs.CONTRASTS.iloc[[2]].assign(estimate=-3, outcome="second")
        frame = pd.concat([specs.CONTRASTS, second], ignore_index=True)
        tree = design(frame, {**self.OUTCOME, "measures": ["second", "pain"]})
        assert sorted(tree["outcomes/pain"]["estimate"].to_numpy()) == [-11, -8, -3, -1]
        assert exclusions(tree) == [("B", "preferred_measure")]


class TestSeveralReports:
    """Arms, contrasts and responder counts of one outcome."""

    FRAME = rows("""
        study design    agent    dose mean se events n  comparator comparator_dose estimate outcome
        A     parallel  placebo  0    60   3  -      -  -          -               -        pain
        A     parallel  ketamine 1    50   4  -      -  -          -               -        pain
        A     parallel  placebo  0    -    -  5      40 -          -               -        half
        A     parallel  ketamine 1    -    -  9      40 -          -               -        half
        C     parallel  ketamine 1    -    5  -      -  placebo    0               -9       pain
        D     parallel  placebo  0    -    -  4      30 -          -               -        half
        D     parallel  ketamine 1    -    -  11     31 -          -               -        half
    """).astype({"dose": float})

    @staticmethod
    def outcome(effect: str = "unnamed"):
        parameters = {
            "responder_sd": specs.parameter(location=specs.half_normal(20)),
            "starting_level": specs.parameter("independent", each=specs.normal(60, 15)),
        }
        return specs.outcome(
            "normal",
            "linear",
            "none",
            parameters,
            better="lower",
            contrasts={"effects": [effect]},
            responders={"measures": {"half": "50 %", "third": "30 %"}},
        )

    def test_each_study_contributes_one_data_type(self):
        tree = design(self.FRAME, self.outcome())
        reports = used(tree).groupby("study")["report"].unique()
        assert reports.map(list).to_dict() == {"A": ["arm"], "C": ["contrast"], "D": ["responders"]}
        assert exclusions(tree) == [("A", "one_report_per_study")] * 2

    def test_effects_that_are_not_listed(self):
        tree = design(self.FRAME, self.outcome("MD"))
        assert ("C", "requested_effects") in exclusions(tree)

    def test_responders_of_a_crossover_trial(self):
        is_d = self.FRAME["study"] == "D"
        frame = self.FRAME.assign(design=self.FRAME["design"].mask(is_d, "crossover"))
        tree = design(frame, self.outcome())
        assert exclusions(tree)[2:] == [("D", "crossover_periods")] * 2
        spec = {"designs": {"crossover": {"periods": "all", "as_parallel": ["pain"]}}}
        assert "D" in set(used(design(frame, self.outcome(), **spec))["study"])

    def test_cutoffs_of_the_same_patients_are_joined(self):
        half = self.FRAME[self.FRAME["study"] == "D"]
        more, fewer = (half.assign(events=events, outcome="third") for events in ([7, 17], [2, 17]))
        tree = design(pd.concat([self.FRAME, more]), self.outcome())
        pain = tree["outcomes/pain"].to_dataset().sel(arm="D: ketamine 1")
        assert (pain["events"], pain["events_2"]) == (17, 11)
        assert (pain["cutoff_share"], pain["cutoff_share_2"]) == (0.3, 0.5)
        # Fewer patients gained 30% than 50%: the counts cannot be of the same patients.
        tree = design(pd.concat([self.FRAME, fewer]), self.outcome())
        assert ("D", "nested_cutoffs") in exclusions(tree)


def test_a_mean_without_a_dispersion_is_unusable():
    tree = design(specs.sd_table(), specs.outcome("normal", "linear", "none"))
    assert exclusions(tree) == [("B", "usable_rows")]


def test_a_study_without_a_covariate():
    frame = specs.normal_table().assign(year=[2001.0] * 2 + [np.nan] * 3 + [2010.0] * 2)
    year = {"prior": specs.normal(), "centre": 2000.0, "unit": 10.0}
    slope = specs.parameter() | {"covariates": {"year": year}}
    tree = design(frame, specs.outcome("normal", "linear", parameters={"slope": slope}))
    assert exclusions(tree) == [("B", "study_information")] * 3


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
#: A trial that is always included, so that rows are left.
ALWAYS = rows("""
    study agent    dose outcome time_hours mean se
    Z     placebo  0    any     1          0    1
    Z     ketamine 1    any     1          -1   1
""")


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.lists(ROWS, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_each_row_is_used_or_excluded_once_in_any_order(drawn, random, with_time):
    frame = pd.DataFrame([*ALWAYS.to_dict("records"), *drawn])
    placebo = frame["agent"] == "placebo"
    frame["dose"] = frame["dose"].where(~placebo, 0.0)
    keys = ["study", "agent", "dose", "outcome", "time_hours"]
    frame = frame.drop_duplicates(keys).assign(n_administrations=1)
    time = {"time": {"rule": "latest"}} if with_time else {}
    spec = specs.spec(specs.outcome(measures=["any", "second"], **time))
    shuffled = frame.iloc[random.sample(range(len(frame)), len(frame))]
    used_rows, excluded_rows = [], []
    for table in (frame, shuffled):
        evidence = load_evidence(table)
        tree = build_design(spec, evidence)
        results = to_frame(evidence, "results")
        expected = Counter(results.loc[results["outcome"].isin(["any", "second"]), "arm"])
        assert Counter(excluded(tree)["arm"]) + Counter(used(tree).index) == expected
        assert used(tree).index.is_unique
        assert set(excluded(tree)["step"]) <= {step.__name__ for step in STEPS}
        used_rows.append(used(tree).drop(columns="position").sort_index())
        order = ["arm", "measure", "step", "reason"]
        excluded_rows.append(excluded(tree).sort_values(order).to_numpy().tolist())
    pd.testing.assert_frame_equal(*used_rows)
    assert excluded_rows[0] == excluded_rows[1]


def test_an_outcome_without_rows_is_an_error():
    frame = specs.binary_table()
    (issue,) = issues_when(lambda: design(frame, specs.outcome("binomial")), EvidenceError)
    assert (issue.code, issue.column) == ("E400", "outcomes.pain")
