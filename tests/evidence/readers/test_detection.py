"""Which convention a table is taken for, and what is said where that cannot be told."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from openpyxl import Workbook

from nmda_bayes.evidence import load_evidence
from nmda_bayes.evidence.readers import conventions


def frame(columns: str) -> pd.DataFrame:
    return pd.DataFrame({name: ["1", "2"] for name in columns.split(",")})


def test_the_conventions():
    assert conventions() == [
        "flat", "escalc", "gemtc", "mbnmadose", "mbnmatime", "multinma", "netmeta", "persons",
        "revman",
    ]  # fmt: skip


def test_columns_of_two_conventions_are_asked_about(faults_of):
    (fault,) = faults_of(frame("study,treatment,trt,r,n"))
    assert "fit several formats" in fault.message
    assert "multinma/counts (study, trt, r, n)" in fault.message
    assert "--format multinma or --format netmeta" in fault.mend
    assert fault.row == 1


def test_columns_of_no_convention_are_told_what_was_looked_for(faults_of):
    (fault,) = faults_of(frame("who,what,when"))
    assert "of no format known here" in fault.message
    for word in ("flat (study, agent", "revman/export", "TE, seTE", "responders, sampleSize"):
        assert word in fault.mend


def test_a_format_that_is_none(faults_of):
    with pytest.raises(ValueError, match=r"no format is called 'netmata'. Did you mean 'netmeta'"):
        load_evidence(frame("study,agent,events,n"), "netmata")


def test_case_dots_and_blanks_of_a_column_do_not_matter():
    table = pd.DataFrame(
        {"Study": ["A", "A"], "Treatment": ["p", "x"], "Sample Size": [9, 9], "RESPONDERS": [1, 2]}
    )
    assert load_evidence(table).attrs["format"] == "gemtc/counts"


def test_a_base_takes_no_format():
    with pytest.raises(ValueError, match="leave out --format"):
        load_evidence("nmda", "netmeta")


def book(path: Path, *rows: list[object]) -> Path:
    made = Workbook()
    for row in rows:
        made.active.append(row)
    made.save(path)
    return path


def test_what_is_wrong_with_a_workbook_has_its_place(tmp_path: Path, faults_of):
    good = [["study", "agent", "events", "n"], ["A", "placebo", 1, 9]]
    path = book(tmp_path / "t.xlsx", *good, [], ["A", "x", 12, 9])
    (fault,) = faults_of(path)
    # Row 4 as Excel numbers it: the third is blank.
    assert (fault.file, fault.row, fault.column) == ("t.xlsx", 4, "events")
    (fault,) = faults_of(f"{path}#Arms")
    assert "there is no sheet 'Arms'" in fault.message
    assert "Sheet" in fault.mend
    (fault,) = faults_of(book(tmp_path / "f.xlsx", *good, ["A", "x", "=1+1", 9]))
    assert (fault.row, fault.column) == (3, "C")
    assert "formula" in fault.message


def test_what_is_no_workbook(tmp_path: Path, faults_of):
    for name, word in (("t.xlsx", "not an Excel workbook"), ("t.xls", ".xls files are not read")):
        path = tmp_path / name
        path.write_text("study,agent\n", encoding="utf-8")
        (fault,) = faults_of(path)
        assert word in fault.message
        assert "CSV" in fault.mend
    (fault,) = faults_of(tmp_path / "none.xlsx")
    assert "does not exist" in fault.message
    (fault,) = faults_of(book(tmp_path / "empty.xlsx"))
    assert "empty" in fault.message
