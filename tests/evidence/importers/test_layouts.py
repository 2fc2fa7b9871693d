"""The same evidence in every format gives the same tree."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from openpyxl import Workbook

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.importers.base import DETECTORS, FORMATS
from tests.evidence.importers.layouts import (
    BCG,
    FIRST,
    LAYOUTS,
    MEANS,
    TRIPTANS,
    data_rows,
    of_revman,
    revman_export,
)

LABELS = ["study", "agent", "comparator", "arm", "outcome"]
RESULTS = ["events", "n", "mean", "sd", "se", "se_used", "estimate", "comparator_se", "dose"]


def content(tree, name: str) -> pd.DataFrame:
    """The content of a table, in an order that does not depend on its rows."""
    rows = to_frame(tree, name)
    rows = rows[[c for c in (*LABELS, *RESULTS) if c in rows]]
    return rows.sort_values([*rows], ignore_index=True)


def assert_same(tree, other) -> None:
    for name in ("arms", "results", "contrasts"):
        assert len(to_frame(other, name)) or name != "results" or len(to_frame(other, "contrasts"))
        pd.testing.assert_frame_equal(content(tree, name), content(other, name), check_dtype=False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_is_detected_and_equals_the_flat_table(layout: str):
    make, flat = LAYOUTS[layout]
    tree = load_evidence(make())
    assert tree.attrs["format"] == layout
    assert_same(tree, load_evidence(flat()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_by_name_is_the_same(layout: str):
    frame = LAYOUTS[layout][0]()
    by_name, convention = load_evidence(frame, layout), load_evidence(frame, layout.split("/")[0])
    assert by_name.attrs["format"] == convention.attrs["format"] == layout
    assert by_name.attrs["evidence_hash"] == convention.attrs["evidence_hash"]


def test_every_layout_is_tested():
    # Layouts that are found by the words of their headings are tested in test_conventions.
    untested = {
        name for name in set(FORMATS) - set(LAYOUTS) if FORMATS[name].convention not in DETECTORS
    }
    # Rates and times are tested in test_numbers: no flat table is equivalent.
    assert untested == {
        "mbnmadose/rates", "mbnmatime/means", "multinma/rates", "gemtc/rates", "netmeta/rates_wide",
        "escalc/rates",
    }  # fmt: skip


def test_flat_by_name():
    assert load_evidence(TRIPTANS, "flat").attrs["format"] == "flat"


@pytest.mark.parametrize("layout", ["mbnmadose/counts", "revman/export", "netmeta/contrasts"])
def test_file_types_and_frames_are_equal(tmp_path: Path, layout: str):
    frame = LAYOUTS[layout][0]()
    book = Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("Data")
    for row in [[*frame], *frame.to_numpy().tolist()]:
        sheet.append([_excel(cell) for cell in row])
    book.save(tmp_path / "t.xlsx")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    comma = frame.map(lambda cell: str(cell).replace(".", ",") if _number(cell) else cell)
    comma.to_csv(tmp_path / "semicolon.csv", index=False, sep=";")
    typed = pd.read_csv(tmp_path / "t.csv")
    sources = {
        "csv": tmp_path / "t.csv",
        "tsv": tmp_path / "t.tsv",
        "semicolons": tmp_path / "semicolon.csv",
        "xlsx": f"{tmp_path / 't.xlsx'}#Data",
        "pandas": typed,
        "polars": pl.DataFrame(frame.to_dict(orient="list")),
        "typed polars": pl.read_csv(tmp_path / "t.csv", infer_schema_length=None),
    }
    trees = {name: load_evidence(source) for name, source in sources.items()}
    hashes = {name: tree.attrs["evidence_hash"] for name, tree in trees.items()}
    assert len(set(hashes.values())) == 1, hashes
    assert {tree.attrs["format"] for tree in trees.values()} == {layout}


def _number(cell: object) -> bool:
    try:
        float(str(cell))
    except ValueError:
        return False
    return True


def _excel(cell: object) -> object:
    if not _number(cell):
        return cell
    number = float(str(cell))
    return int(number) if number == int(number) else number


def test_first_sheet_is_the_default(tmp_path: Path):
    book = Workbook()
    for row in [[*BCG], *BCG.to_numpy().tolist()]:
        book.active.append(row)
    book.create_sheet("Other").append(["nothing"])
    book.save(tmp_path / "bcg.xlsx")
    assert_same(load_evidence(tmp_path / "bcg.xlsx"), load_evidence(BCG))


def test_frame_is_not_changed():
    frame = data_rows(TRIPTANS)
    before = frame.copy()
    load_evidence(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("kind", ["CON", ""])
def test_revman_means_by_data_type_or_by_filled_columns(kind: str):
    flat = load_evidence(of_revman(MEANS, "x"))
    if kind:
        assert_same(load_evidence(revman_export(MEANS, kind)), flat)
    else:
        rows = data_rows(MEANS)
        assert_same(load_evidence(rows[rows["Experimental group label"] == "x"]), flat)


def test_lines_are_those_of_the_user_table():
    tree = load_evidence(revman_export(TRIPTANS, "DIC"))
    lines = to_frame(tree, "results")["line"].tolist()
    # Two headings after the header: the first trial stands in line 4, with both of its arms.
    assert lines[:4] == [4, 4, 5, 5]
    assert set(to_frame(tree, "arms")["agent"]) == {FIRST, "placebo"}


def test_other_columns_are_kept():
    frame = LAYOUTS["mbnmadose/counts"][0]().assign(**{"class": "triptan", "year": "2001"})
    results = to_frame(load_evidence(frame), "results")
    assert set(results["class"]) == {"triptan"}
    assert set(results["year"]) == {2001}
