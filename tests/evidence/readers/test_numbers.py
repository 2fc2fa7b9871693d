"""Numbers that reading works out: multi-arm trials, rates, Peto's ratios, logarithms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.readers import READERS

#: A trial of four arms: what each showed, and the variance of its mean.
MEAN = {"placebo": 0.0, "x": 1.0, "y": -0.5, "z": 2.25}
VARIANCE = {"placebo": 0.04, "x": 0.09, "y": 0.01, "z": 0.16}


def all_pairs(digits: int = 15) -> pd.DataFrame:
    """Every contrast of the trial as netmeta wants them, placebo on either side."""
    names = list(MEAN)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return pd.DataFrame(
        {
            "studlab": "S",
            "treat1": [a for a, _ in pairs],
            "treat2": [b for _, b in pairs],
            "TE": [round(MEAN[a] - MEAN[b], digits) for a, b in pairs],
            "seTE": [round((VARIANCE[a] + VARIANCE[b]) ** 0.5, digits) for a, b in pairs],
        }
    )


@pytest.mark.parametrize(("digits", "tolerance"), [(15, 1e-9), (2, 0.02)])
def test_all_pairs_of_a_trial_become_contrasts_with_one_arm(digits: int, tolerance: float):
    tree = load_evidence(all_pairs(digits))
    rows = table(tree, "contrasts").set_index("agent")
    assert sorted(rows.index) == ["x", "y", "z"]
    assert set(rows["comparator"]) == {"placebo"}
    for agent in ("x", "y", "z"):
        assert rows.loc[agent, "estimate"] == pytest.approx(MEAN[agent], abs=tolerance)
        se = (VARIANCE[agent] + VARIANCE["placebo"]) ** 0.5
        assert rows.loc[agent, "se"] == pytest.approx(se, abs=tolerance)
    assert rows["comparator_se"].to_numpy() == pytest.approx([0.2] * 3, abs=tolerance)
    note = " ".join(tree.attrs["notes"])
    assert "6 contrasts of 4 arms are reduced to 3, each against 'placebo'" in note
    assert "follows from them" in note


def test_three_arms_give_the_variances_exactly():
    pairs = all_pairs()
    three = pairs[(pairs["treat1"] != "z") & (pairs["treat2"] != "z")]
    rows = table(load_evidence(three), "contrasts")
    assert rows["comparator_se"].tolist() == pytest.approx([0.2, 0.2], rel=1e-12)


def test_pairs_of_several_outcomes_are_reduced_within_each():
    both = pd.concat([all_pairs().assign(outcome=o) for o in ("pain", "sleep")])
    rows = table(load_evidence(both), "contrasts")
    assert rows.groupby("outcome").size().to_dict() == {"pain": 3, "sleep": 3}


RATES = pd.DataFrame(
    {
        "study": ["A", "A", "B", "B"],
        "agent": ["placebo", "x", "placebo", "x"],
        "events": [4, 9, 25, 16],
        "time": [100.0, 90.0, 400.0, 200.0],
    }
)


def _side(frame: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    one, two = (frame[frame["agent"] == agent] for agent in ("x", "placebo"))
    both = one.merge(two, on="study", suffixes=("1", "2"))
    return both.rename(columns={"agent1": "group1", "agent2": "group2"} | names)


OF_RATES = {
    "mbnmadose/rates": lambda: RATES.rename(
        columns={"study": "studyID", "events": "r", "time": "E"}
    ).assign(dose=[0, 1, 0, 1]),
    "multinma/rates": lambda: RATES.rename(columns={"agent": "trt", "events": "r", "time": "E"}),
    "gemtc/rates": lambda: RATES.rename(
        columns={"agent": "treatment", "events": "responders", "time": "exposure"}
    ),
    "netmeta/rates_wide": lambda: _side(
        RATES, {"group1": "treat1", "group2": "treat2", "events1": "event1", "events2": "event2"}
    ),
    "escalc/rates": lambda: _side(
        RATES, {"events1": "x1i", "time1": "t1i", "events2": "x2i", "time2": "t2i"}
    ),
}


def _rates(layout: str) -> pd.DataFrame:
    frame = OF_RATES[layout]()
    if layout == "netmeta/rates_wide":
        frame = frame.rename(columns={"group1": "treat1", "group2": "treat2"})
    return frame


@pytest.mark.parametrize("layout", OF_RATES)
def test_rates_become_log_rates(layout: str):
    tree = load_evidence(_rates(layout))
    assert tree.attrs["format"] == layout
    rows = table(tree, "results").sort_values(["study", "arm"])
    events, time = np.array([4.0, 9, 25, 16]), np.array([100.0, 90, 400, 200])
    assert rows["mean"].to_numpy() == pytest.approx(np.log(events / time))
    assert rows["se_used"].to_numpy() == pytest.approx(1 / np.sqrt(events))
    assert "log rate" in " ".join(tree.attrs["notes"])


@pytest.mark.parametrize("layout", OF_RATES)
def test_an_arm_without_events_is_never_given_half_of_one(layout: str, faults_of):
    frame = _rates(layout)
    column = next(c for c in ("r", "responders", "event1", "x1i") if c in frame)
    frame.loc[0, column] = 0
    (fault,) = faults_of(frame)
    assert (fault.row, fault.column) == (2, column)
    assert "nothing is added" in fault.message


def test_times_without_a_unit_tell_rows_apart():
    text = {
        "studyID": ["A"] * 4, "time": [1, 1, 2, 2], "treatment": ["x", "y"] * 2,
        "y": [1.0, 2, 3, 4], "se": [1.0] * 4,
    }  # fmt: skip
    tree = load_evidence(pd.DataFrame(text))
    assert tree.attrs["format"] == "mbnmatime/means"
    assert table(tree, "results")["time_label"].tolist() == ["1", "1", "2", "2"]


REVIEW = {
    "Analysis group": ["1", "1", "1"],
    "Analysis number": ["1", "2", "3"],
    "Study": ["A", "A", "A"],
    "GIV Mean": ["-0.6931", "0", "0"],
    "GIV SE": ["0.3", "0", "0"],
    "Experimental cases": ["0", "3", "10"],
    "Experimental N": ["1,050", "50", "50"],
    "Control cases": ["0", "6", "20"],
    "Control N": ["52", "52", "52"],
    "O-E": ["0", "-1.5", "0"],
    "Variance": ["0", "2.25", "0"],
    "Mean": ["0.5", "0.51", "0.52"],
}


def test_generic_effects_and_petos_ratios_of_a_review():
    tree = load_evidence(pd.DataFrame(REVIEW))
    rows = table(tree, "contrasts").set_index("outcome")
    assert rows.loc["1.1", "estimate"] == -0.6931
    assert rows.loc["1.1", "measure"] == "log ratio"
    # Peto: (O - E) / V, 1 / sqrt(V); Cochrane Handbook 6.5, section 6.9.2.
    assert rows.loc["1.2", "estimate"] == pytest.approx(-1.5 / 2.25)
    assert rows.loc["1.2", "se"] == pytest.approx(1 / 1.5)
    assert rows.loc["1.1", "n_treat"] == 1050
    counts = table(tree, "results")
    assert counts["events"].tolist() == [20, 10]


def test_a_trial_in_several_subgroups_is_kept_and_not_used():
    frame = pd.DataFrame(REVIEW).iloc[[2, 2]].assign(Subgroup=["early", "late"])
    results = table(load_evidence(frame), "results")
    assert len(results) == 4
    assert results["unusable"].str.startswith("the trial stands in several subgroups").all()


def test_a_row_that_was_never_filled_in_is_told():
    empty = dict.fromkeys(REVIEW, "0") | {
        "Analysis group": "1", "Analysis number": "3", "Study": "B",
    }  # fmt: skip
    tree = load_evidence(pd.concat([pd.DataFrame(REVIEW), pd.DataFrame([empty])]))
    assert "B" not in set(table(tree, "studies")["study"])
    assert "Row 5: every number is 0 or missing" in " ".join(tree.attrs["notes"])


def test_counts_are_read_where_effects_stand_beside_them():
    frame = pd.DataFrame(
        {"study": ["A"], "ai": [1], "n1i": [20], "ci": [4], "n2i": [21], "yi": [-1.5], "vi": [1.3]}
    )
    tree = load_evidence(frame)
    assert tree.attrs["format"] == "escalc/counts_n"
    assert table(tree, "results")["events"].tolist() == [4, 1]
    assert load_evidence(frame, "escalc/variances").attrs["format"] == "escalc/variances"


def test_the_baselines_own_error_is_what_three_arms_share(faults_of):
    frame = pd.DataFrame(
        {
            "study": ["A"] * 3,
            "trt": ["p", "x", "y"],
            "y": ["NA", "1", "2"],
            "se": ["0.3", "0.5", "0.6"],
        }
    )
    rows = table(load_evidence(frame), "contrasts")
    assert rows["comparator_se"].tolist() == [0.3, 0.3]
    (fault,) = faults_of(frame.assign(se=["NA", "0.5", "0.6"]))
    assert (fault.row, fault.column) == (2, "se")
    assert "how the effects correlate is not known" in fault.message


def test_the_catalogue_says_what_each_row_is():
    for name, reader in READERS.items():
        assert name == f"{reader.convention}/{reader.layout}"
        assert ":" in reader.about
        assert len(reader.needed) >= 3
