"""What a spreadsheet adds to a table makes no difference, and is noted; other files are refused."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.styles import PatternFill

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import parse_options

Rows = list[list[str]]

ROWS: Rows = [
    ["study", "agent", "dose", "mean", "sd", "n"],
    ["Oda 2010", "placebo", "0", "52.5", "20.25", "40"],
    ["Oda 2010", "x", "10", "41.25", "21.5", "41"],
    ["Pim 2012", "placebo", "0", "48.5", "18.75", "1030"],
    ["Pim 2012", "x", "20", "39.5", "19.5", "1033"],
]
HASH = load_evidence(pd.DataFrame(ROWS[1:], columns=ROWS[0])).attrs["evidence_hash"]


def text(rows: Rows, separator: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue()


def load(folder: Path, content: str | bytes, name: str = "t.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_evidence(path)


def pad(row: list[str]) -> list[str]:
    return row + [""] * (len(ROWS[0]) - len(row))


def point(cell: str) -> str:
    """The cell with a decimal comma and a point for thousands."""
    return f"{cell[:1]}.{cell[1:]}" if cell.isdigit() and len(cell) == 4 else cell.replace(".", ",")


#: Decorations of a table.
DECORATIONS: dict[str, Callable[[Rows], Rows]] = {
    "title": lambda rows: [pad(["Table 2. Results of the trials"]), *rows],
    "title and blank row": lambda rows: [["Results"], [], *rows],
    "empty columns": lambda rows: [[*row, "", ""] for row in rows],
    "row numbers": lambda rows: [
        ["", *rows[0]],
        *([str(i), *row] for i, row in enumerate(rows[1:], 1)),
    ],
    "R's row names": lambda rows: [
        rows[0],
        *([f"r{i}", *row] for i, row in enumerate(rows[1:], 1)),
    ],
    "pandas' index": lambda rows: [
        ["Unnamed: 0", *rows[0]],
        *([str(i), *row] for i, row in enumerate(rows[1:])),
    ],
    "total": lambda rows: [*rows, ["Total", "", "", "", "", "2144"]],
    "footnote": lambda rows: [*rows, pad(["* all people who were randomised"])],
    "source": lambda rows: [*rows, ["Source: reports of the trials."]],
    "headings in capitals": lambda rows: [[f" {name.upper()} " for name in rows[0]], *rows[1:]],
    "other headings": lambda rows: [
        ["Trial", "Treatment", "Dosage", "Average", "Std. dev.", "Sample size"],
        *rows[1:],
    ],
    "thousands": lambda rows: [
        [f"1,{c[1:]}" if c.isdigit() and len(c) == 4 else c for c in row] for row in rows
    ],
    "thousands by blanks": lambda rows: [
        [f"1\u00a0{c[1:]}" if c.isdigit() and len(c) == 4 else c for c in row] for row in rows
    ],
}


@pytest.mark.parametrize("name", DECORATIONS)
def test_decoration_is_left_out_with_a_note(tmp_path: Path, name: str):
    tree = load(tmp_path, text(DECORATIONS[name](ROWS)))
    assert tree.attrs["evidence_hash"] == HASH
    assert tree.attrs["notes"] or "from" in tree.attrs["columns"]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    inner=st.lists(st.sampled_from(["total", "headings in capitals", "thousands"]), unique=True),
    outer=st.lists(st.sampled_from(["empty columns", "row numbers"]), unique=True, max_size=1),
    around=st.lists(st.sampled_from(["title", "footnote"]), unique=True),
    separator=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_decorations_together(tmp_path, inner, outer, around, separator, encoding, line_end):
    rows = ROWS
    for name in (*inner, *outer, *around):
        rows = DECORATIONS[name](rows)
    content = text(rows, separator).replace("\n", line_end).encode(encoding)
    assert load(tmp_path, content).attrs["evidence_hash"] == HASH


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_decimal_commas(tmp_path: Path, separator: str):
    rows = [ROWS[0], *([*row[:3], *map(point, row[3:])] for row in ROWS[1:])]
    tree = load(tmp_path, text(rows, separator))
    assert tree.attrs["evidence_hash"] == HASH
    assert any("comma" in note for note in tree.attrs["notes"])


def issues_of(folder: Path, content: str | bytes, name: str = "t.csv") -> list[Issue]:
    with pytest.raises(EvidenceError) as caught:
        load(folder, content, name)
    return list(caught.value.issues)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (["Subtotal", "", "", "", "", "9"], "E170"),
        (["Acute pain", "", "", "", "", ""], "E170"),
    ],
)
def test_row_that_only_looks_like_another_is_located(tmp_path: Path, row: list[str], code: str):
    (issue,) = issues_of(tmp_path, text([*ROWS[:3], row, *ROWS[3:]]))
    assert (issue.code, issue.row) == (code, 4)


def test_trial_called_total_is_refused_with_its_rows(tmp_path: Path):
    rows = [
        *ROWS,
        ["TOTAL", "placebo", "0", "50", "20", "30"],
        ["TOTAL", "x", "10", "40", "20", "31"],
    ]
    with pytest.raises(EvidenceError) as caught:
        load(tmp_path, text(rows))
    assert [(i.code, i.row) for i in caught.value.issues] == [("E194", 6), ("E194", 7)]


# Files of other kinds.


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("t.json", b'[{"study": "A"}]', "JSON"),
        ("t.csv", b'[{"study": "A"}]', "JSON"),
        ("t.parquet", b"PAR1xxxx", "Parquet"),
        ("t.csv", b"PAR1xxxx", "Parquet"),
        ("t.rds", b"\x1f\x8b\x08", "R's"),
        ("t.sav", b"$FL2", "SPSS"),
        ("t.csv", b"\x89HDF\r\n", "HDF5"),
        ("t.html", b"<html></html>", "web"),
        ("t.csv", b"<!DOCTYPE html><table>", "HTML"),
        ("t.docx", b"PK\x03\x04", "Word"),
        ("t.csv", b"PK\x03\x04" + bytes(range(256)), "archive"),
        ("t.csv", b"%PDF-1.7", "PDF"),
        ("t.csv", "study,agent\nΠαπάς,x\n".encode("cp1253"), "encoding"),
    ],
)
def test_file_of_another_kind_is_named(tmp_path: Path, name: str, content: bytes, word: str):
    (issue,) = issues_of(tmp_path, content, name)
    assert issue.code == "E101"
    assert word in issue.message


def test_western_letters_are_noted(tmp_path: Path):
    tree = load(tmp_path, text(ROWS).replace("Oda", "Müller").encode("cp1252"))
    assert any("Müller" in note for note in tree.attrs["notes"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_pipe_is_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(EvidenceError, match="pipe or a device"):
        load_evidence(tmp_path / "pipe.csv")


@pytest.mark.parametrize("rows", [2, 200_001])
def test_large_tables_are_refused_at_once(tmp_path: Path, rows: int):
    columns = 20_000 if rows == 2 else 4
    header = ",".join(["study", "agent", "events", "n", *(f"x{i}" for i in range(columns - 4))])
    line = ",".join(["A", "x", "1", "20", *["1"] * (columns - 4)])
    (issue,) = issues_of(tmp_path, "\n".join([header, *[line] * rows]))
    assert issue.code == "E172"


def test_long_cell_is_located(tmp_path: Path):
    rows = [*ROWS[:2], ["Oda 2010", "x" * 200_000, "1", "1", "1", "9"]]
    (issue,) = issues_of(tmp_path, text(rows))
    assert (issue.code, issue.row) == ("E103", 3)


# Workbooks.


def workbook(rows: Rows = ROWS) -> Workbook:
    book = Workbook()
    for row in rows:
        book.active.append([float(c) if c.replace(".", "").isdigit() else c or None for c in row])
    return book


def saved(book: Workbook, folder: Path) -> Path:
    book.save(folder / "t.xlsx")
    return folder / "t.xlsx"


def test_sheet_with_the_table_is_found(tmp_path: Path):
    book = workbook()
    book.active.title = "Data"
    book.create_sheet("Notes", 0)["A1"] = "The data are on the other sheet."
    chart = BarChart()
    chart.add_data(Reference(book["Data"], min_col=4, min_row=1, max_row=5))
    book.create_chartsheet("Chart", 0).add_chart(chart)
    tree = load_evidence(saved(book, tmp_path))
    assert tree.attrs["evidence_hash"] == HASH
    assert any("'Data'" in note for note in tree.attrs["notes"])


def test_several_tables_are_a_question(tmp_path: Path):
    book = workbook()
    other = book.create_sheet("Old data")
    for row in ROWS[:3]:
        other.append(row)
    path = saved(book, tmp_path)
    with pytest.raises(EvidenceError) as caught:
        load_evidence(path)
    (issue,) = caught.value.issues
    assert issue.code == "E171"
    assert '--set sheet="Old data"' in issue.hint
    chosen = load_with_options(path, parse_options(["sheet=Sheet"]))
    assert chosen.attrs["evidence_hash"] == HASH
    assert load_evidence(f"{path}#Sheet").attrs["evidence_hash"] == HASH


@pytest.mark.parametrize("place", ["B1048576", "XFD1048576"])
def test_formatted_empty_cell_costs_nothing(tmp_path: Path, place: str):
    book = workbook()
    book.active[place].fill = PatternFill("solid", fgColor="FFFF00")
    assert load_evidence(saved(book, tmp_path)).attrs["evidence_hash"] == HASH


def test_merged_study_is_repeated(tmp_path: Path):
    book = workbook()
    for first in (2, 4):
        book.active[f"A{first + 1}"] = None
        book.active.merge_cells(f"A{first}:A{first + 1}")
    tree = load_evidence(saved(book, tmp_path))
    assert tree.attrs["evidence_hash"] == HASH
    assert any("Merged" in note for note in tree.attrs["notes"])


def test_merged_number_is_refused(tmp_path: Path):
    book = workbook()
    book.active["F3"] = None
    book.active.merge_cells("F2:F3")
    with pytest.raises(EvidenceError) as caught:
        load_evidence(saved(book, tmp_path))
    assert [(i.code, i.row, i.column) for i in caught.value.issues] == [("E177", 2, "n")]


def test_two_rows_of_headings(tmp_path: Path):
    book = Workbook()
    for row in (
        ["Study", "Placebo", None, "Drug", None],
        [None, "events", "n", "events", "n"],
        ["A", 9, 40, 5, 41],
        ["B", 12, 50, 7, 49],
    ):
        book.active.append(row)
    for cells in ("A1:A2", "B1:C1", "D1:E1"):
        book.active.merge_cells(cells)
    rows = to_frame(load_evidence(saved(book, tmp_path)), "results")
    found = dict(zip(rows["arm"], rows["events"], strict=True))
    assert found == {"A: placebo": 9, "A: drug": 5, "B: placebo": 12, "B: drug": 7}


def _repacked(source: Path, change: Callable[[str, bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return out.getvalue()


@pytest.mark.parametrize("cell", [b"<c><v>1</v></c>", b'<c s="1"/>'])
def test_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: bytes):
    monkeypatch.setattr("nmda_bayes.evidence.workbook.MAX_CELLS", 50_000)
    start = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    )
    bomb = start + (b"<row>" + cell * 10 + b"</row>") * 10_000 + b"</sheetData></worksheet>"
    path = saved(workbook(), tmp_path)
    content = _repacked(path, lambda name, old: bomb if "sheet1" in name else old)
    (issue,) = issues_of(tmp_path, content, "bomb.xlsx")
    assert issue.code == "E172"


def test_damaged_workbooks_are_errors_or_whole(tmp_path: Path):
    whole = saved(workbook(), tmp_path).read_bytes()
    parts = zipfile.ZipFile(tmp_path / "t.xlsx").namelist()
    rng = np.random.default_rng(5)
    for trial in range(90):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            for place in rng.integers(0, len(whole), 3):
                damaged[place] ^= 1 << int(rng.integers(0, 8))
        elif trial % 3 == 1:
            damaged = damaged[: int(rng.integers(0, len(whole)))]
        else:
            part = parts[trial % len(parts)]
            cut = float(rng.uniform())
            damaged = bytearray(
                _repacked(
                    tmp_path / "t.xlsx",
                    lambda name, old, part=part, cut=cut: (
                        old[: int(cut * len(old))] if name == part else old
                    ),
                )
            )
        (tmp_path / "d.xlsx").write_bytes(bytes(damaged))
        try:
            tree = load_evidence(tmp_path / "d.xlsx")
        except EvidenceError as error:
            assert all(issue.file.endswith("d.xlsx") for issue in error.issues)
        else:
            assert tree.attrs["evidence_hash"] == HASH
