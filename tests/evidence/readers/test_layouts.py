"""One body of evidence in every convention is one evidence tree."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from openpyxl import Workbook

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.readers import READERS
from tests.evidence.readers.layouts import (
    BCG,
    FIRST,
    LAYOUTS,
    MEANS,
    TRIPTANS,
    data_rows,
    of_revman,
    revman_export,
)

WHO = ["study", "agent", "comparator", "arm", "outcome"]
SEEN = ["events", "n", "mean", "sd", "se", "se_used", "estimate", "comparator_se", "dose"]


def says(tree, name: str) -> pd.DataFrame:
    """What a table of the tree says, whatever the order of its rows."""
    rows = table(tree, name)
    rows = rows[[c for c in (*WHO, *SEEN) if c in rows]]
    return rows.sort_values([*rows], ignore_index=True)


def same(one, two) -> None:
    for name in ("arms", "results", "contrasts"):
        assert len(table(two, name)) or name != "results" or len(table(two, "contrasts"))
        pd.testing.assert_frame_equal(says(one, name), says(two, name), check_dtype=False)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_found_by_its_columns_and_says_what_the_flat_table_says(layout: str):
    make, flat = LAYOUTS[layout]
    read = load_evidence(make())
    assert read.attrs["format"] == layout
    same(read, load_evidence(flat()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_read_by_name_is_the_same(layout: str):
    frame = LAYOUTS[layout][0]()
    by_name, convention = load_evidence(frame, layout), load_evidence(frame, layout.split("/")[0])
    assert by_name.attrs["format"] == convention.attrs["format"] == layout
    assert by_name.attrs["evidence_hash"] == convention.attrs["evidence_hash"]


def test_every_reader_of_arms_and_contrasts_is_tried():
    untried = set(READERS) - set(LAYOUTS)
    # Rates and times are tried by themselves below: no flat table says the same.
    assert untried == {
        "mbnmadose/rates", "mbnmatime/means", "multinma/rates", "gemtc/rates", "netmeta/rates_wide",
        "escalc/rates",
    }  # fmt: skip


def test_flat_by_name():
    assert load_evidence(TRIPTANS, "flat").attrs["format"] == "flat"


@pytest.mark.parametrize("layout", ["mbnmadose/counts", "revman/export", "netmeta/contrasts"])
def test_any_vessel_holds_the_same(tmp_path: Path, layout: str):
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
    vessels = {
        "csv": tmp_path / "t.csv",
        "tsv": tmp_path / "t.tsv",
        "semicolons": tmp_path / "semicolon.csv",
        "xlsx": f"{tmp_path / 't.xlsx'}#Data",
        "pandas": typed,
        "polars": pl.DataFrame(frame.to_dict(orient="list")),
        "typed polars": pl.read_csv(tmp_path / "t.csv", infer_schema_length=None),
    }
    trees = {name: load_evidence(source) for name, source in vessels.items()}
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


def test_the_first_sheet_is_read_where_none_is_named(tmp_path: Path):
    book = Workbook()
    for row in [[*BCG], *BCG.to_numpy().tolist()]:
        book.active.append(row)
    book.create_sheet("Other").append(["nothing"])
    book.save(tmp_path / "bcg.xlsx")
    same(load_evidence(tmp_path / "bcg.xlsx"), load_evidence(BCG))


def test_a_frame_is_not_changed():
    frame = data_rows(TRIPTANS)
    before = frame.copy()
    load_evidence(frame)
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize("kind", ["CON", ""])
def test_revman_means_are_told_by_their_type_or_by_what_is_filled_in(kind: str):
    flat = load_evidence(of_revman(MEANS, "x"))
    if kind:
        same(load_evidence(revman_export(MEANS, kind)), flat)
    else:
        rows = data_rows(MEANS)
        same(load_evidence(rows[rows["Experimental group label"] == "x"]), flat)


def test_lines_are_those_of_the_users_table():
    tree = load_evidence(revman_export(TRIPTANS, "DIC"))
    lines = table(tree, "results")["line"].tolist()
    # Two headings after the header: the first trial stands in line 4, with both of its arms.
    assert lines[:4] == [4, 4, 5, 5]
    assert set(table(tree, "arms")["agent"]) == {FIRST, "placebo"}


def test_columns_that_nobody_reads_stay_for_selecting():
    frame = LAYOUTS["mbnmadose/counts"][0]().assign(**{"class": "triptan", "year": "2001"})
    results = table(load_evidence(frame), "results")
    assert set(results["class"]) == {"triptan"}
    assert set(results["year"]) == {2001}
