"""Numbers derived on import: multi-arm trials, rates, Peto's ratios, logarithms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.importers import FORMATS
from nmda_bayes.evidence.importers.revman import SEVERAL_SUBGROUPS

#: A trial of four arms: the mean of each, and its variance.
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
def test_all_pairs_become_contrasts_with_one_arm(digits: int, tolerance: float):
    tree = load_evidence(all_pairs(digits))
    rows = to_frame(tree, "contrasts").set_index("agent")
    assert sorted(rows.index) == ["x", "y", "z"]
    assert set(rows["comparator"]) == {"placebo"}
    for agent in ("x", "y", "z"):
        assert rows.loc[agent, "estimate"] == pytest.approx(MEAN[agent], abs=tolerance)
        se = (VARIANCE[agent] + VARIANCE["placebo"]) ** 0.5
        assert rows.loc[agent, "se"] == pytest.approx(se, abs=tolerance)
    assert rows["comparator_se"].to_numpy() == pytest.approx([0.2] * 3, abs=tolerance)
    assert any("6 contrasts of 4 arms" in note for note in tree.attrs["notes"])


def test_three_arms_give_exact_variances():
    pairs = all_pairs()
    three = pairs[(pairs["treat1"] != "z") & (pairs["treat2"] != "z")]
    rows = to_frame(load_evidence(three), "contrasts")
    assert rows["comparator_se"].tolist() == pytest.approx([0.2, 0.2], rel=1e-12)


def test_pairs_are_reduced_within_each_outcome():
    both = pd.concat([all_pairs().assign(outcome=o) for o in ("pain", "sleep")])
    rows = to_frame(load_evidence(both), "contrasts")
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
    treated, control = (frame[frame["agent"] == agent] for agent in ("x", "placebo"))
    both = treated.merge(control, on="study", suffixes=("1", "2"))
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
def test_rates_are_events_in_person_time(layout: str):
    tree = load_evidence(_rates(layout))
    assert tree.attrs["format"] == layout
    rows = to_frame(tree, "results").sort_values(["study", "arm"])
    assert rows["events"].tolist() == [4, 9, 25, 16]
    assert rows["person_time"].tolist() == [100, 90, 400, 200]
    assert set(rows["kind"]) == {"binary"}


@pytest.mark.parametrize("layout", OF_RATES)
def test_rate_without_events_is_read(layout: str):
    frame = _rates(layout)
    column = next(c for c in ("r", "responders", "event1", "x1i") if c in frame)
    frame.loc[0, column] = 0
    assert 0 in to_frame(load_evidence(frame), "results")["events"].tolist()


def test_times_without_a_unit_become_labels():
    text = {
        "studyID": ["A"] * 4, "time": [1, 1, 2, 2], "treatment": ["x", "y"] * 2,
        "y": [1.0, 2, 3, 4], "se": [1.0] * 4,
    }  # fmt: skip
    tree = load_evidence(pd.DataFrame(text))
    assert tree.attrs["format"] == "mbnmatime/means"
    assert to_frame(tree, "results")["time_label"].tolist() == ["1", "1", "2", "2"]


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


def test_generic_effects_and_peto_ratios():
    tree = load_evidence(pd.DataFrame(REVIEW))
    rows = to_frame(tree, "contrasts").set_index("outcome")
    assert rows.loc["1.1", "estimate"] == -0.6931
    assert rows.loc["1.1", "measure"] == "log ratio"
    # Peto: (O - E) / V, 1 / sqrt(V); Cochrane Handbook 6.5, section 6.9.2.
    assert rows.loc["1.2", "estimate"] == pytest.approx(-1.5 / 2.25)
    assert rows.loc["1.2", "se"] == pytest.approx(1 / 1.5)
    assert rows.loc["1.1", "n_treat"] == 1050
    counts = to_frame(tree, "results")
    assert counts["events"].tolist() == [20, 10]


def test_trial_in_several_subgroups_is_unusable():
    frame = pd.DataFrame(REVIEW).iloc[[2, 2]].assign(Subgroup=["early", "late"])
    results = to_frame(load_evidence(frame), "results")
    assert len(results) == 4
    assert set(results["unusable"]) == {SEVERAL_SUBGROUPS}


def test_unfilled_row_is_skipped_with_a_note():
    empty = dict.fromkeys(REVIEW, "0") | {
        "Analysis group": "1", "Analysis number": "3", "Study": "B",
    }  # fmt: skip
    tree = load_evidence(pd.concat([pd.DataFrame(REVIEW), pd.DataFrame([empty])]))
    assert "B" not in set(to_frame(tree, "studies")["study"])
    assert any(note.startswith("Row 5:") for note in tree.attrs["notes"])


def test_counts_have_priority_over_effects():
    frame = pd.DataFrame(
        {
            "study": ["A"],
            "ai": [1],
            "n1i": [20],
            "ci": [4],
            "n2i": [21],
            "yi": [np.log(17 / 4 / 19)],
            "vi": [1 + 1 / 19 + 1 / 4 + 1 / 17],
        }  # fmt: skip
    )
    tree = load_evidence(frame)
    assert tree.attrs["format"] == "escalc/counts_n"
    assert to_frame(tree, "results")["events"].tolist() == [4, 1]
    assert load_evidence(frame, "escalc/variances").attrs["format"] == "escalc/variances"


def test_three_arms_need_the_baseline_standard_error(issues_of):
    frame = pd.DataFrame(
        {
            "study": ["A"] * 3,
            "trt": ["p", "x", "y"],
            "y": ["NA", "1", "2"],
            "se": ["0.3", "0.5", "0.6"],
        }
    )
    rows = to_frame(load_evidence(frame), "contrasts")
    assert rows["comparator_se"].tolist() == [0.3, 0.3]
    (issue,) = issues_of(frame.assign(se=["NA", "0.5", "0.6"]))
    assert (issue.code, issue.row, issue.column) == ("E209", 2, "se")


def test_formats_describe_their_rows():
    for name, format in FORMATS.items():
        assert name == f"{format.convention}/{format.layout}"
        assert ":" in format.about
        assert len(format.required) >= 3


#: A table, and the place and code of its error.
INVALID = {
    "no baseline": ("study,trt,diff,se_diff\nA,p,1,1\nA,x,2,1\n", (2, "diff", "E206")),
    "two baselines": ("study,trt,diff,se_diff\nA,p,NA,1\nA,x,NA,1\n", (3, "diff", "E207")),
    "baseline only": ("study,trt,diff,se_diff\nA,p,NA,1\n", (2, "study", "E208")),
    "single group": ("study,group1,group2,yi,vi,measure\nA,x,p,1,1,PLO\n", (2, "measure", "E211")),
    "unnamed arm": (
        "studlab,treat1,treat2,event1,event2,n1,n2\nA,x,,1,2,9,9\n",
        (2, "treat2", "E205"),
    ),
}


@pytest.mark.parametrize(("text", "error"), INVALID.values(), ids=INVALID)
def test_invalid_conversion_is_rejected(text, error, write, issues_of):
    assert error in {(issue.row, issue.column, issue.code) for issue in issues_of(write(text))}
