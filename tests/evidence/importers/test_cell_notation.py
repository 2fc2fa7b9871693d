"""One notation of numbers for a file: thousands, decimal marks, missing words and codes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import load_evidence, network_issues, to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import parse_options


def load(folder: Path, text: str, *given: str) -> tuple[pd.DataFrame, list[Issue], tuple[str, ...]]:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    questions: list[Issue] = []
    tree = load_with_options(path, parse_options(given), questions)
    return to_frame(tree, "results"), questions, tree.attrs["notes"]


def means(*cells: str, sd: str = "386,5", n: str = "40") -> str:
    rows = [f"T{i // 2};{'p' if i % 2 == 0 else 'x'};{c};{sd};{n}" for i, c in enumerate(cells)]
    return "study;agent;mean;sd;n\n" + "\n".join(rows) + "\n"


OPEN = means("1.402", "1.302", "1.400", "1.310")


def test_points_beside_decimal_commas_are_a_question(tmp_path: Path):
    _, (question,), _ = load(tmp_path, OPEN)
    assert (question.code, question.row, question.column) == ("E167", 2, "mean")
    assert "decimal=comma (1402)" in question.hint
    assert "decimal=point (1.402)" in question.hint
    with pytest.raises(EvidenceError, match="E167"):
        load_evidence(tmp_path / "t.csv")


def test_answer_is_applied(tmp_path: Path):
    rows, questions, notes = load(tmp_path, OPEN, "decimal=comma")
    assert rows["mean"].tolist() == [1402, 1302, 1400, 1310]
    assert rows["sd"].tolist() == [386.5] * 4
    assert not questions
    assert any("'1.402' is 1402" in note for note in notes)
    with pytest.raises(EvidenceError, match="E168"):
        load(tmp_path, OPEN, "decimal=point")


@pytest.mark.parametrize(
    ("text", "mean", "n"),
    [
        (means("1.402,87", "1.302,05", "1.400", "1.310,1", n="1.200"), 1402.87, 1200),
        (means("12,5", "10,1", n="1.204"), 12.5, 1204),
        ('study,agent,mean,sd,n\nA,p,2.5,1,"1,204"\nA,x,3,1,99\n', 2.5, 1204),
        ("study,agent,mean,sd,n\nA,p,2.5,1,12 000\nA,x,3,1,99\n", 2.5, 12000),
        ("study,agent,mean,sd,n\nA,p,2.5,1,1'234\nA,x,3,1,99\n", 2.5, 1234),
        ('study,agent,mean,sd,n\nA,p,"1,402.5",1,40\nA,x,"1,300",1,99\n', 1402.5, 40),
        ("study\tagent\tmean\tsd\tn\nA\tp\t2,87\t1,286\t40\nA\tx\t4\t1,1\t41\n", 2.87, 40),
        ("study,agent,mean,sd,n\nA,p,\u20131.2,1,40\nA,x,- 2.9,1,41\n", -1.2, 40),
        ("study,agent,mean,sd,n\nA,p,\u22121.2,1,40\nA,x,2,1,41\n", -1.2, 40),
    ],
)
def test_notation_that_the_file_decides(tmp_path: Path, text: str, mean: float, n: float):
    rows, questions, notes = load(tmp_path, text)
    assert (rows["mean"][0], rows["n"][0]) == (mean, n)
    assert not questions
    assert notes


def test_both_marks_are_errors_of_the_rarer(tmp_path: Path):
    with pytest.raises(EvidenceError) as caught:
        load(tmp_path, means("12,5", "10,1", "3.75", "4,25"))
    assert [(i.code, i.row, i.column) for i in caught.value.issues] == [("E168", 4, "mean")]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.lists(st.integers(min_value=1_000_000, max_value=99_999_999), min_size=4, max_size=4),
    european=st.booleans(),
)
def test_any_number_is_never_another(tmp_path: Path, values: list[int], european: bool):
    """A number with two decimals and thousands is read as it is in either notation."""
    texts = [f"{v / 100:,.2f}" for v in values]
    if european:
        swap = str.maketrans(",.", ".,")
        texts = [t.translate(swap) for t in texts]
    rows, questions, _ = load(tmp_path, means(*texts, sd="1"), "missing=NA")
    assert rows["mean"].tolist() == [v / 100 for v in values]
    assert not questions


# Missing numbers.

ROWS = ["A,p,9,40", "A,x,5,41", "B,p,12,50", "B,x,7,49"]


def counts(*rows: str) -> str:
    return "\n".join(["study,agent,events,n", *rows]) + "\n"


WORDS = [
    "NA",
    "NR",
    "N/A",
    "n.r.",
    ".",
    "-",
    "?",
    "not reported",
    "\u2013",
    "#N/A",
    "Not Available",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("cell", ["events", "n"])
def test_trial_without_a_number_is_set_aside(tmp_path: Path, word: str, cell: str):
    row = f"C,x,{word},46" if cell == "events" else f"C,x,4,{word}"
    rows, questions, notes = load(tmp_path, counts(*ROWS, "C,p,8,44", row))
    reasons = dict(zip(rows["arm"], rows["unusable"], strict=True))
    assert reasons["C: x"] == f"result missing: {cell}"
    assert reasons["C: p"] == "no comparator left"
    assert (rows["unusable"] == "").sum() == 4
    assert not questions
    assert any("result missing" in note and "row 7" in note for note in notes)
    tree = load_evidence(tmp_path / "t.csv")
    assert not network_issues(tree, "p")


def test_word_in_text_is_kept(tmp_path: Path):
    rows, _, _ = load(tmp_path, counts("A,NA,9,40", "A,none,5,41"))
    assert rows["arm"].tolist() == ["A: NA", "A: none"]


def test_missing_sd_is_not_reported(tmp_path: Path):
    text = "study,agent,mean,sd,n\nA,p,5,2,40\nA,x,4,NR,41\n"
    rows, _, _ = load(tmp_path, text)
    assert rows["unusable"].tolist() == ["", "no_dispersion"]


def test_table_without_any_result(tmp_path: Path):
    with pytest.raises(EvidenceError) as caught:
        load(tmp_path, counts("A,p,NR,40", "A,x,NR,41"))
    places = {(issue.code, issue.row, issue.column) for issue in caught.value.issues}
    assert places == {("E120", 2, "events"), ("E120", 3, "events")}


@pytest.mark.parametrize("code", ["-999", "-9", "-99", "9999", "-999.0"])
def test_code_for_missing_is_a_question(tmp_path: Path, code: str):
    text = f"study,agent,mean,sd,n\nA,p,5.5,2,40\nA,x,4.2,2,41\nB,p,6,2,30\nB,x,{code},2,31\n"
    _, (question,), _ = load(tmp_path, text)
    assert (question.code, question.row, question.column) == ("E189", 5, "mean")
    rows, questions, _ = load(tmp_path, text, f"missing={code}")
    assert not questions
    assert rows["unusable"].tolist() == ["", "", "no comparator left", "result missing: no number"]
    rows, questions, _ = load(tmp_path, text, "missing=NA")
    assert not questions
    assert rows["mean"][3] == float(code)


def test_plain_negative_numbers_are_no_codes(tmp_path: Path):
    text = "study,agent,mean,sd,n\nA,p,-8,2,40\nA,x,-9,2,99\nB,p,-7.5,2,99\nB,x,-9,2,41\n"
    assert load(tmp_path, text)[1] == []


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("23%", "percentage"),
        ("9 (18%)", "alone"),
        ("4/49", "with the event"),
        ("5.1*", "mark"),
        ("5.5 (2.1)", "two columns"),
        ("4.4 \u00b1 2.0", "two columns"),
        ("<5", "bound"),
        ("3-7", "range"),
    ],
)
def test_cell_with_more_than_a_number_has_its_own_hint(tmp_path: Path, cell: str, word: str):
    with pytest.raises(EvidenceError) as caught:
        load(tmp_path, counts(*ROWS, "C,p,8,44", f"C,x,{cell},46"))
    (issue,) = caught.value.issues
    assert (issue.code, issue.row, issue.column) == ("E121", 7, "events")
    assert cell in issue.message
    assert word in issue.hint
