"""Detection of a table's format, and the errors of tables of no single format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from openpyxl import Workbook

from nmda_bayes.cli import FormatOption
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.evidence.importers import format_names
from nmda_bayes.evidence.importers.options import OPTION_PARSERS, PREFIXED_OPTIONS


def frame(columns: str) -> pd.DataFrame:
    return pd.DataFrame({name: ["1", "2"] for name in columns.split(",")})


def test_the_conventions():
    assert format_names() == [
        "flat", "arms", "dosresmeta", "effects", "escalc", "gemtc", "mbnmadose", "mbnmatime",
        "meta", "multinma", "netmeta", "persons", "revman",
    ]  # fmt: skip


def test_help_and_docs_list_every_convention():
    guide = (Path(__file__).parents[3] / "docs" / "own_data.md").read_text(encoding="utf-8")
    # A literal: looking the names up would import pandas at every start of the command line.
    help = get_args(FormatOption)[1].help
    assert help.partition(": ")[2].partition(";")[0].split(", ") == format_names()
    assert all(f"`{name}`" in guide for name in format_names() if name != "flat")


def test_columns_of_two_conventions_are_ambiguous(issues_of):
    (issue,) = issues_of(frame("study,treatment,trt,r,n"))
    assert (issue.code, issue.row) == ("E201", 1)
    assert "multinma/counts (study, trt, r, n)" in issue.message
    assert "multinma or netmeta" in issue.hint


def test_columns_of_no_convention_are_rejected(issues_of):
    (issue,) = issues_of(frame("who,what,when"))
    assert issue.code == "E202"
    for word in ("'who'", "--set column.study=", "docs/own_data.md"):
        assert word in issue.hint
    (issue,) = issues_of(frame("trial,what,outcome"))
    assert "'trial': study" in issue.hint


def test_unknown_format_has_a_suggestion():
    with pytest.raises(EvidenceError) as caught:
        load_evidence(frame("study,agent,events,n"), "netmata")
    (issue,) = caught.value.issues
    assert issue.code == "E200"
    assert "'netmeta'" in issue.hint


def test_case_and_punctuation_of_columns_are_ignored():
    table = pd.DataFrame(
        {"Study": ["A", "A"], "Treatment": ["p", "x"], "Sample Size": [9, 9], "RESPONDERS": [1, 2]}
    )
    assert load_evidence(table).attrs["format"] == "gemtc/counts"


def test_base_has_no_format():
    with pytest.raises(EvidenceError) as caught:
        load_evidence("nmda", "netmeta")
    assert [issue.code for issue in caught.value.issues] == ["E166"]


def book(path: Path, *rows: list[object]) -> Path:
    workbook = Workbook()
    for row in rows:
        workbook.active.append(row)
    workbook.save(path)
    return path


def test_errors_of_a_workbook_are_located(tmp_path: Path, issues_of):
    good = [["study", "agent", "events", "n"], ["A", "placebo", 1, 9]]
    path = book(tmp_path / "t.xlsx", *good, [], ["A", "x", 12, 9])
    (issue,) = issues_of(path)
    # Row 4 as Excel numbers it: the third is blank.
    assert (issue.file, issue.row, issue.column) == ("t.xlsx", 4, "events")
    (issue,) = issues_of(f"{path}#Arms")
    assert issue.code == "E104"
    assert "Sheet" in issue.hint
    (issue,) = issues_of(book(tmp_path / "f.xlsx", *good, ["A", "x", "=1+1", 9]))
    assert (issue.code, issue.row, issue.column) == ("E105", 3, "C")


def test_invalid_workbook_is_rejected(tmp_path: Path, issues_of):
    for name in ("t.xlsx", "t.xls"):
        path = tmp_path / name
        path.write_text("study,agent\n", encoding="utf-8")
        (issue,) = issues_of(path)
        assert issue.code == "E101"
        assert "CSV" in issue.hint
    assert issues_of(tmp_path / "none.xlsx")[0].code == "E100"
    assert issues_of(book(tmp_path / "empty.xlsx"))[0].code == "E102"


def test_every_setting_is_in_the_guide():
    guide = (Path(__file__).parents[3] / "docs" / "own_data.md").read_text(encoding="utf-8")
    for key in (*OPTION_PARSERS, *PREFIXED_OPTIONS):
        assert re.search(rf"^\|.*`{re.escape(key)}", guide, re.MULTILINE), key
