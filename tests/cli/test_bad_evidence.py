"""Invalid evidence on the command line: exit code 2, all errors located, nothing written."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from nmda_bayes.evidence import shipped_folder
from tests.cli.conftest import TABLE, Bench

HEADER, *ROWS = TABLE.splitlines()


def table_with(*changes: tuple[int, str], header: str = HEADER) -> str:
    """The valid table with some lines replaced, or deleted where blank (the header is line 1)."""
    rows = dict(enumerate(ROWS, start=2)) | dict(changes)
    return "\n".join([header, *(row for _, row in sorted(rows.items()) if row)]) + "\n"


#: An invalid table, and the code and place of its error.
INVALID = {
    "missing column": (table_with(header="study,colour,dose,events,n"), "E111 t.csv, agent:"),
    "missing result": (
        "study,agent,dose,events\nA,placebo,0,1\nA,ketamine,1,4\n",
        "E111 t.csv, n:",
    ),
    "wrong type": (table_with((3, "A,ketamine,1,many,20")), "E121 t.csv, row 3, events:"),
    "events above n": (table_with((3, "A,ketamine,1,24,20")), "E125 t.csv, row 3, events:"),
    "negative dose": (table_with((3, "A,ketamine,-1,4,20")), "E123 t.csv, row 3, dose:"),
    "negative se": (
        "study,agent,dose,mean,se\nA,placebo,0,50,2\nA,ketamine,1,40,-2\n",
        "E123 t.csv, row 3, se:",
    ),
    "se of 0": (
        "study,agent,dose,mean,se\nA,placebo,0,50,2\nA,ketamine,1,40,0\n",
        "E123 t.csv, row 3, se:",
    ),
    "n of 0": (table_with((3, "A,ketamine,1,0,0")), "E123 t.csv, row 3, n:"),
    "percentage": (table_with((3, "A,ketamine,1,4.5,20")), "E122 t.csv, row 3, events:"),
    "duplicate arm": (table_with((3, "A,placebo,0,1,20")), "E128 t.csv, row 3, agent:"),
    "empty file": ("", "E102 t.csv:"),
    "header only": (HEADER + "\n", "E102 t.csv:"),
    "not text": (b"PK\x03\x04" + bytes(range(256)), "E101 t.csv:"),
    "short row": (table_with((3, "A,ketamine,1")), "E110 t.csv, row 3:"),
    "code for missing": (table_with((3, "A,ketamine,1,-999,20")), "E189 t.csv, row 3, events:"),
    "row of a total": (table_with((5, "Subtotal,,,9,90")), "E170 t.csv, row 5:"),
    "percentage sign": (table_with((3, "A,ketamine,1,20%,20")), "E121 t.csv, row 3, events:"),
    "two notations": (table_with((3, 'A,ketamine,"1,5",4,20')), "E168 t.csv, row"),
    "JSON": ('[{"study": "A", "agent": "placebo"}]', "E101 t.csv:"),
}

#: Valid tables whose network is incomplete, and what the message must name.
NETWORKS = {
    "no placebo": (
        table_with(*[(line, "") for line in (2, 3, 4, 7, 8)]).replace("ketamine,2", "memantine,2"),
        ["--set reference=ketamine or --set reference=memantine"],
    ),
    "disconnected": (
        table_with((7, "C,dextromethorphan,1,2,25")),
        ["dextromethorphan, memantine"],
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_incomplete_network_is_reported(bench: Bench, case: str):
    content, texts = NETWORKS[case]
    result = bench("check", bench.write("t.csv", content))
    assert result.code == 2, result.text
    assert "t.csv" in result.err
    assert all(text in result.err for text in texts), result.err


def test_a_study_with_one_arm_is_left_out_and_named(bench: Bench):
    result = bench("check", bench.write("t.csv", table_with((8, ""))))
    assert result.code == 0, result.text
    assert "trial 'C' are left out: no other arm" in result.out


@pytest.mark.parametrize("case", ["no placebo", "disconnected"])
def test_incomplete_network_is_not_fitted(bench: Bench, spec: Path, case: str):
    table = bench.write("t.csv", NETWORKS[case][0])
    before = bench.contents()
    result = bench("fit", spec, "--evidence", table, "--out", bench.folder / "results")
    assert result.code == 2, result.text
    assert re.search(r"E\d{3} ", result.err)
    assert bench.contents() == before


@pytest.mark.parametrize("command", ["check", "fit"])
@pytest.mark.parametrize("case", INVALID)
def test_invalid_table_is_rejected(bench: Bench, spec: Path, case: str, command: str):
    content, error = INVALID[case]
    table = bench.write("t.csv", content)
    before = bench.contents()
    arguments = (
        [table] if command == "check" else [spec, "--evidence", table, "--out", bench.folder / "o"]
    )
    result = bench(command, *arguments)
    assert result.code == 2, result.text
    assert "Traceback" not in result.text
    assert error in result.err
    assert bench.contents() == before


def test_all_errors_are_reported_at_once(bench: Bench):
    invalid = table_with((3, "A,ketamine,-1,4,20"), (5, "B,ketamine,0.5,32,31"), (8, "C,,x,2,24"))
    result = bench("check", bench.write("t.csv", invalid))
    assert result.code == 2
    assert set(re.findall(r"(E\d{3}) t\.csv, row (\d), (\w+):", result.err)) == {
        ("E123", "3", "dose"),
        ("E125", "5", "events"),
        ("E120", "8", "agent"),
        ("E121", "8", "dose"),
    }


@pytest.mark.parametrize(
    "encoded",
    [
        TABLE.replace("A,", "Färkkilä 2003,").encode("utf-8-sig"),
        TABLE.replace("A,", "Färkkilä 2003,").replace("\n", "\r\n").encode(),
        TABLE.replace("A,", "Färkkilä 2003,").encode("latin-1"),
        TABLE.replace("A,", "Färkkilä 2003,")
        .replace(",", ";")
        .replace("0.5", "0,5")
        .encode("cp1252"),
    ],
    ids=["BOM", "CRLF", "latin-1", "semicolons"],
)
def test_encodings_of_spreadsheets(bench: Bench, encoded: bytes, spec: Path):
    table = bench.write("t.csv", encoded)
    assert bench("check", table).code == 0
    result = bench("show", spec, "--evidence", table)
    assert result.code == 0, result.text


@pytest.mark.parametrize(
    ("file", "term", "misspelt"),
    [("arms.csv", "ketamine", "ketamin"), ("results.csv", "pain_intensity", "pain_intensty")],
)
def test_unknown_term_of_a_base_has_a_suggestion(bench: Bench, file: str, term: str, misspelt: str):
    base = bench.folder / "base"
    shutil.copytree(shipped_folder("data"), base)
    text = (base / file).read_text(encoding="utf-8")
    (base / file).write_text(text.replace(f",{term},", f",{misspelt},", 1), encoding="utf-8")
    result = bench("check", base)
    assert result.code == 2
    assert f"E130 {file}, row" in result.err
    assert f"'{term}'" in result.err


def test_missing_file_is_rejected(bench: Bench):
    result = bench("check", bench.folder / "nowhere.csv")
    assert result.code == 2
    assert "E100 " in result.err


def test_shipped_base_is_valid(bench: Bench):
    result = bench("check")
    assert result.code == 0, result.text
    assert "studies" in result.out
