"""No reading of a table leaves a result or a dose unread in silence, whatever its headings are."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.evidence.importers.headings import states_result

STUDY = ["Study", "study", "Trial", "studlab", "id", "Author", "Study ID"]
AGENT = ["Drug", "Treatment", "agent", "trt", "Group", "Arm", "Intervention"]
DOSE = ["Dose (mg/kg)", "dose", "Dose", "Daily dose (mg)", "Dosage"]
SIZE = ["N", "n", "Total", "sampleSize", "randomized"]
#: Columns of an outcome, with the cells of four arms.
OUTCOMES = [
    {"Pain mean": "5.5 4 6.1 4.4", "Pain SD": "2 2.1 2.2 1.9"},
    {"mean": "5.5 4 6.1 4.4", "sd": "2 2.1 2.2 1.9"},
    {"mi": "5.5 4 6.1 4.4", "sdi": "2 2.1 2.2 1.9"},
    {"Anxiety mean": "5.5 4 6.1 4.4", "Anxiety SE": "0.2 0.3 0.2 0.1"},
    {"Dissociation n": "1 5 2 6"},
    {"Events": "1 5 2 6"},
    {"r": "1 5 2 6"},
    {"xi": "1 5 2 6"},
    {"responders": "1 5 2 6"},
    {"Nausea events": "1 5 2 6"},
    {"deaths": "1 5 2 6"},
]
#: Columns that alone are no result.
PARTS = [{"Mood mean": "5 4 6 4"}, {"Sleep SD": "2 2 1 3"}, {"Fatigue events/week": "1 2 3 4"}]


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            draw(st.sampled_from(STUDY)): ["A", "A", "B", "B"],
            draw(st.sampled_from(AGENT)): ["placebo", "x", "placebo", "y"],
        }
    )
    if draw(st.booleans()):
        frame[draw(st.sampled_from(DOSE))] = ["0", "0.5", "0", "1"]
    frame[draw(st.sampled_from(SIZE))] = ["40", "41", "50", "49"]
    chosen = draw(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=3, unique_by=id))
    chosen += draw(st.lists(st.sampled_from(PARTS), max_size=1))
    for columns in chosen:
        for name, cells in columns.items():
            frame[name] = cells.split()
    return frame


@settings(max_examples=80, deadline=None)
@given(frame=tables(), seed=st.randoms(use_true_random=False))
def test_no_result_is_left_in_silence(frame: pd.DataFrame, seed):
    names = [*frame]
    seed.shuffle(names)
    questions: list[Issue] = []
    try:
        tree = load_with_options(frame[names], parse_options([]), questions)
    except EvidenceError as error:
        assert all(issue.hint for issue in error.issues)
        return
    rows = pd.concat([to_frame(tree, name) for name in ("results", "contrasts")])
    arms = to_frame(tree, "arms")
    numbers = {*rows.select_dtypes("number").to_numpy().ravel(), *arms["dose"]}
    text = " ".join([f"{q.message} {q.column}" for q in questions] + [*tree.attrs["notes"]])
    for name in names:
        if states_result(name) or name in ("xi", "deaths", "Dissociation n", "mi", "sdi"):
            read = {float(cell) for cell in frame[name]} <= numbers
            assert read or f"'{name}'" in text or name in text.split(), name


NATURAL = pd.DataFrame(
    {
        "Study": ["Oak", "Oak", "Elm", "Elm"],
        "Drug": ["placebo", "ketamine", "placebo", "ketamine"],
        "Dose (mg/kg)": ["0", "0.3", "0", "0.5"],
        "N": ["20", "21", "30", "31"],
        "Pain mean": ["58", "48", "61", "41"],
        "Pain SD": ["18", "20", "21", "19"],
        "Dissociation n": ["0", "6", "1", "9"],
    }
)


def test_the_reading_with_every_column_wins():
    tree = load_evidence(NATURAL)
    rows = to_frame(tree, "results")
    assert rows.groupby("outcome").size().to_dict() == {"Dissociation": 4, "Pain": 4}
    assert to_frame(tree, "arms")["dose"].tolist() == [0, 0.3, 0, 0.5]


@pytest.mark.parametrize("lost", ["Pain SD", "Pain mean"])
def test_half_of_a_result_is_a_question(lost: str):
    questions: list[Issue] = []
    load_with_options(NATURAL.drop(columns=lost), parse_options([]), questions)
    assert [question.code for question in questions] == ["E239"]
    other = ({"Pain mean", "Pain SD"} - {lost}).pop()
    assert f"ignore={other}" in questions[0].hint
    questions.clear()
    frame = NATURAL.drop(columns=lost)
    tree = load_with_options(frame, parse_options([f"ignore={other}"]), questions)
    assert not questions
    assert set(to_frame(tree, "results")["outcome"]) == {"Dissociation"}


def test_second_column_of_events_is_a_question():
    frame = pd.DataFrame(
        {"study": "A", "agent": ["placebo", "x"], "events": [3, 5], "n": 40, "responders": [9, 4]}
    )
    questions: list[Issue] = []
    load_with_options(frame, parse_options([]), questions)
    assert [(q.code, q.column) for q in questions] == [("E239", "responders")]
    assert "column.events=responders" in questions[0].hint


@pytest.mark.parametrize(
    "headings",
    ["study,agent,events,n", "study,treatment,responders,sampleSize", "Study,Drug,Events,N"],
)
def test_slashes_in_headings(headings: str):
    frame = pd.DataFrame([["A", "x", 1, 10], ["A", "p", 2, 10]], columns=headings.split(","))
    tree = load_evidence(frame.assign(**{"site/centre": "u", "n/N": "1/10"}))
    assert set(tree.attrs["unread"]) == {"site/centre", "n/N"}
    assert len(to_frame(tree, "results")) == 2


def test_groups_a_and_b_side_by_side():
    frame = pd.DataFrame(
        {"Study": ["A", "B"], "nA": [40, 50], "meanA": [5.9, 4.7], "sdA": [2.0, 2.1],
         "nB": [41, 49], "meanB": [4.7, 4.1], "sdB": [2.2, 1.9]}
    )  # fmt: skip
    assert len(to_frame(load_evidence(frame), "results")) == 4


def test_outcomes_of_one_group_are_not_treatments():
    frame = pd.DataFrame(
        {"author": ["Oak", "Elm"], "n": [40, 50], "mean.mood": [1.5, 1.7], "lower.mood": [1.1, 1.2],
         "upper.mood": [1.9, 2.2], "mean.sleep": [2.5, 2.7], "lower.sleep": [2.1, 2.2],
         "upper.sleep": [2.9, 3.2]}
    )  # fmt: skip
    questions: list[Issue] = []
    tree = load_with_options(frame, parse_options(["ci_level=0.95"]), questions)
    assert [question.code for question in questions] == ["E226"]
    assert set(to_frame(tree, "results")["outcome"]) == {"mood", "sleep"}
    tree = load_with_options(frame, parse_options(["ci_level=0.95", "groups=mood,sleep"]))
    assert set(to_frame(tree, "arms")["agent"]) == {"mood", "sleep"}
