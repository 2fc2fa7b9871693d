"""Atomic writes and hashes."""

from __future__ import annotations

import csv
import io
import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmda_bayes import artifacts


def test_a_failed_write_keeps_the_old_file(tmp_path: Path):
    target = artifacts.write_atomically(tmp_path / "x.txt", "old")
    with pytest.raises(RuntimeError), artifacts.atomic_path(target) as partial:
        partial.write_text("new")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.txt", "old")]


@pytest.mark.parametrize(
    ("age", "locked", "kept"), [(60, False, False), (0, False, True), (3600, True, True)]
)
def test_partials_of_killed_writers_are_removed(
    tmp_path: Path, age: float, locked: bool, kept: bool
):
    partial = tmp_path / f".fit.nc.0f{artifacts.PARTIAL}"
    partial.write_bytes(b"half")
    moment = time.time() - age
    os.utime(partial, (moment, moment))
    with partial.open("rb") as writer:
        assert not locked or artifacts.try_lock(writer.fileno())
        artifacts.remove_stale_partials(tmp_path)
    assert partial.exists() == kept


@given(text=st.text())
def test_only_control_characters_are_changed_in_a_terminal(text: str):
    shown = artifacts.printable(text)
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in shown)
    if all(unicodedata.category(c) != "Cc" for c in text):
        assert shown == text


def test_a_terminal_sequence_is_shown_as_text():
    assert artifacts.printable("St\x1b]0;x\x07\r\x9b1m\n") == "St\\x1b]0;x\\x07\\x0d\\x9b1m\n"


CELLS = ["=1+1", "'=x", "@a", "+b", "-0.5", "-", "\t=1", "-0.5 (-1 to 0)", "", "plain", "\uff1dx"]


def test_formulas_are_escaped_and_read_back(tmp_path: Path):
    table = pd.DataFrame({"=head": CELLS, "x": np.arange(len(CELLS)) - 1.5})
    path = artifacts.write_csv(tmp_path / "t.csv", table)
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["'=head", "x"]
    assert [row[0] for row in rows] == [
        "'=1+1", "''=x", "'@a", "'+b", "-0.5", "'-", "'\t=1", "'-0.5 (-1 to 0)", "", "plain",
        "'\uff1dx",
    ]  # fmt: skip
    assert [artifacts.unescape_formula(row[0]) for row in rows] == CELLS
    assert [float(row[1]) for row in rows] == table["x"].tolist()


@given(cells=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1))
def test_every_text_is_read_back(cells: list[str]):
    written = artifacts.csv_text(pd.DataFrame({"a": cells, "b": "end"}))
    rows = list(csv.reader(io.StringIO(written, newline="")))[1:]
    assert [artifacts.unescape_formula(row[0]) for row in rows] == cells
    for text in (row[0] for row in rows):
        assert not text.startswith(("=", "@")) and (
            text[:1] not in ("+", "-") or float(text) is not None
        )


def test_a_digest_is_of_the_concatenated_parts():
    # SHA-256 of "abc" (FIPS 180-4).
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert artifacts.digest("a", b"bc") == known
