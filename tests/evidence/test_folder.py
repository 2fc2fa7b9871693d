"""A folder of tables: what loads, and the error of each invalid cell."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, shipped_folder, to_frame


def test_small_folder_loads(small):
    tree = load_evidence(small)
    assert tree.attrs["kind"] == "base"
    assert to_frame(tree, "results")["hours_after_treatment"].tolist() == [0.5, 0.5, 2.0, 2.0]
    assert to_frame(tree, "arms")["dose"].fillna(-1).tolist() == [-1, 0, -1, 0]


def test_synonyms_become_terms(small):
    arms = pd.read_csv(small / "arms.csv").replace({"ketamine": "esketamine"})
    arms.to_csv(small / "arms.csv", index=False)
    results = pd.read_csv(small / "results.csv").replace({"nausea": "ae_nausea"})
    results.to_csv(small / "results.csv", index=False)
    tree = load_evidence(small)
    assert to_frame(tree, "arms")["agent"].tolist() == ["s_ketamine", "placebo"] * 2
    assert to_frame(tree, "arms")["agent_reported"].tolist() == ["esketamine", "placebo"] * 2
    assert set(to_frame(tree, "results")["outcome"]) == {"nausea"}
    assert set(to_frame(tree, "results")["outcome_reported"]) == {"ae_nausea"}


def test_column_of_another_table_is_rejected(small, issues_of):
    """Joined to its arm, a result's text would be taken to be the arm's dose."""
    results = pd.read_csv(small / "results.csv").assign(dose="three")
    results.to_csv(small / "results.csv", index=False)
    (issue,) = issues_of(small)
    assert (issue.code, issue.file, issue.column) == ("E114", "results.csv", "dose")


#: Table, row of the frame, column, new value; line and code of the error.
INVALID = [
    ("arms", 0, "agent", "ketamin", 2, "E130"),
    ("arms", 0, "agent", "zzz", 2, "E130"),
    ("results", 1, "outcome", "nusea", 3, "E130"),
    ("studies", 1, "condition_group", "crsp", 3, "E130"),
    ("results", 0, "time_label", "24 hh", 2, "E130"),
    ("results", 0, "time_label", "zzz", 2, "E130"),
    ("results", 2, "study", "BB", 4, "E131"),
    ("results", 2, "arm_id", "kett", 4, "E131"),
    ("arms", 2, "study", "C", 4, "E131"),
    ("results", 0, "events", 21, 2, "E125"),
    ("results", 0, "n", 0, 2, "E123"),
    ("results", 0, "n", 19.5, 2, "E122"),
    ("results", 0, "n", None, 2, "E120"),
    ("results", 0, "kind", "count", 2, "E124"),
    ("results", 0, "kind", "continuous", 2, "E120"),
    ("results", 0, "source", "", 2, "E120"),
    ("results", 0, "events", "many", 2, "E121"),
    ("arms", 0, "infusion_hours", -0.5, 2, "E123"),
    ("arms", 1, "arm_id", "ket", 3, "E126"),
    ("studies", 1, "study", "A", 3, "E126"),
    ("studies", 0, "design", "paralel", 2, "E124"),
    ("results", 1, "arm_id", "ket", 3, "E127"),
]


@pytest.mark.parametrize(("name", "row", "column", "value", "line", "code"), INVALID)
def test_invalid_cell_is_rejected(small, issues_of, name, row, column, value, line, code):
    change_cell(small / f"{name}.csv", row, column, value)
    issues = [issue for issue in issues_of(small) if issue.code == code]
    assert (issues[0].file, issues[0].row) == (f"{name}.csv", line)
    assert issues[0].hint


def change_cell(path: Path, row: int, column: str, value: object) -> None:
    frame = pd.read_csv(path)
    if column not in frame:
        frame[column] = ""
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    frame.to_csv(path, index=False)


def test_invalid_schedule_is_located(small, issues_of):
    change_cell(small / "arms.csv", 0, "schedule", "0.5 mg/kg sometimes")
    assert ("arms.csv", 2, "schedule") in {(x.file, x.row, x.column) for x in issues_of(small)}


@pytest.mark.parametrize(
    ("name", "column", "value", "suggestion"),
    [
        ("arms", "agent", "ketamin", "'ketamine'"),
        ("results", "arm_id", "kett", "'A: ket'"),
        ("studies", "design", "paralel", "'parallel'"),
    ],
)
def test_misspelt_term_has_a_suggestion(small, issues_of, name, column, value, suggestion):
    change_cell(small / f"{name}.csv", 0, column, value)
    (issue,) = [issue for issue in issues_of(small) if issue.column == column]
    assert suggestion in issue.hint


def test_missing_tables_are_named(small, issues_of, tmp_path):
    (small / "arms.csv").unlink()
    (small / "results.csv").unlink()
    (issue,) = issues_of(small)
    assert issue.code == "E115"
    assert "arms.csv, results.csv" in issue.message
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "studies.csv" in issues_of(empty)[0].message


def test_missing_column_is_one_error(small, issues_of):
    frame = pd.read_csv(small / "results.csv").rename(columns={"outcome": "outcomes"})
    frame.to_csv(small / "results.csv", index=False)
    (issue,) = issues_of(small)
    assert (issue.code, issue.column) == ("E111", "outcome")
    assert "'outcomes'" in issue.hint


def test_errors_of_all_tables_are_reported_at_once(small, issues_of):
    for name, column in (("arms", "agent"), ("results", "outcome"), ("studies", "condition_group")):
        change_cell(small / f"{name}.csv", 0, column, "unheard of")
    assert {issue.file for issue in issues_of(small)} == {"arms.csv", "results.csv", "studies.csv"}


def test_unresolved_source_is_rejected(small, issues_of):
    (small / "sources.bib").write_text("@misc{Smith1999,\n  title = {x}\n}\n", "utf-8")
    frame = pd.read_csv(small / "results.csv")
    frame["source"] = ["Smith1999", "doi:10.1000/x; pmid:12", "Smith", "https://example.org/x"]
    frame.to_csv(small / "results.csv", index=False)
    (issue,) = issues_of(small)
    assert (issue.code, issue.row, issue.column) == ("E132", 4, "source")
    assert "'Smith'" in issue.message


def test_file_that_is_not_text_is_rejected(small, issues_of):
    (small / "results.csv").write_bytes(b"\x00\x01PK")
    assert issues_of(small)[0].code == "E101"


def test_shipped_folders():
    assert (shipped_folder("data") / "studies.csv").is_file()
    with pytest.raises(EvidenceError):
        shipped_folder("nothing")
