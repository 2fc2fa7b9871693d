"""Bad evidence: exit 2, every fault at once with its place and mend, nothing written over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nmda_bayes.evidence.shipped import shipped_folder
from tests.cli.conftest import TABLE, Bench

HEADER, *ROWS = TABLE.splitlines()


def table_with(*changes: tuple[int, str], header: str = HEADER) -> str:
    """Give the good table with some of its lines replaced (the header is line 1)."""
    rows = dict(enumerate(ROWS, start=2)) | dict(changes)
    return "\n".join([header, *(row for _, row in sorted(rows.items()) if row)]) + "\n"


#: What is wrong, and words that the message must hold: the place, and what to do.
WRONG = {
    "missing column": (table_with(header="study,drug,dose,events,n"), ["'agent' is missing"]),
    "missing reading": (
        "study,agent,dose,events\nA,placebo,0,1\nA,ketamine,1,4\n",
        ["the column 'n' is missing"],
    ),
    "wrong type": (table_with((3, "A,ketamine,1,many,20")), ["row 3", "events", "many"]),
    "more events than n": (table_with((3, "A,ketamine,1,24,20")), ["row 3, events", "more events"]),
    "negative dose": (table_with((3, "A,ketamine,-1,4,20")), ["row 3", "dose", "negative"]),
    "negative se": (
        "study,agent,dose,mean,se\nA,placebo,0,50,2\nA,ketamine,1,40,-2\n",
        ["row 3", "se", "negative"],
    ),
    "se of 0": (
        "study,agent,dose,mean,se\nA,placebo,0,50,2\nA,ketamine,1,40,0\n",
        ["row 3", "se", "0"],
    ),
    "n = 0": (table_with((3, "A,ketamine,1,0,0")), ["row 3", "n must be 1 or more"]),
    "events of a percentage": (table_with((3, "A,ketamine,1,4.5,20")), ["row 3", "whole number"]),
    "duplicate arm": (table_with((3, "A,placebo,0,1,20")), ["row 3", "two rows for arm 'placebo'"]),
    "empty file": ("", ["the file is empty"]),
    "header alone": (HEADER + "\n", ["no rows"]),
    "not text": (b"PK\x03\x04" + bytes(range(256)), ["not a text file"]),
    "short row": (table_with((3, "A,ketamine,1")), ["row 3", "3 cells"]),
}  # fmt: skip


#: What no row says alone: evidence that compares too little, and what it can still tell.
NETWORKS = {
    "one-arm study": (table_with((8, "")), ["study 'C' has one arm", "row 7"]),
    "no placebo": (
        table_with(*[(line, "") for line in (2, 3, 4, 7, 8)]).replace("ketamine,2", "memantine,2"),
        ["no arm is 'placebo'", "only among themselves: ketamine, memantine"],
    ),
    "disconnected": (
        table_with((7, "C,dextromethorphan,1,2,25")),
        ["2 parts", "Against placebo: ketamine", "among themselves: dextromethorphan, memantine"],
    ),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_a_network_that_compares_too_little_is_told_what_it_identifies(bench: Bench, case: str):
    content, words = NETWORKS[case]
    told = bench("check", bench.write("mine.csv", content))
    assert told.code == 2, told.text
    assert "mine.csv" in told.err
    assert all(word in told.err for word in words), told.err


@pytest.mark.parametrize("case", ["no placebo", "disconnected"])
def test_a_fit_of_it_is_refused(bench: Bench, spec: Path, case: str):
    table = bench.write("mine.csv", NETWORKS[case][0])
    before = bench.contents()
    told = bench("fit", spec, "--evidence", table, "--out", bench.folder / "results")
    assert told.code == 2, told.text
    assert "only differences within each such group are identified" in told.err
    assert bench.contents() == before


@pytest.mark.parametrize("verb", ["check", "fit"])
@pytest.mark.parametrize("case", WRONG)
def test_is_refused_with_its_place_and_nothing_is_written(
    bench: Bench, spec: Path, case: str, verb: str
):
    content, words = WRONG[case]
    table = bench.write("mine.csv", content)
    before = bench.contents()
    arguments = (
        [table] if verb == "check" else [spec, "--evidence", table, "--out", bench.folder / "o"]
    )
    told = bench(verb, *arguments)
    assert told.code == 2, told.text
    assert "Traceback" not in told.text
    assert "mine.csv" in told.err
    assert all(word in told.err for word in words), told.err
    assert bench.contents() == before


def test_every_fault_is_told_at_once(bench: Bench):
    wrong = table_with((3, "A,ketamine,-1,4,20"), (5, "B,ketamine,0.5,32,31"), (8, "C,,x,2,24"))
    told = bench("check", bench.write("mine.csv", wrong))
    assert told.code == 2
    for place in ("row 3, dose", "row 5, events", "row 8, agent", "row 8, dose"):
        assert place in told.err, told.err
    assert "4 faults" in told.err


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
def test_a_spreadsheets_text_is_read_as_it_is(bench: Bench, encoded: bytes, spec: Path):
    table = bench.write("mine.csv", encoded)
    assert bench("check", table).code == 0
    shown = bench("show", spec, "--evidence", table)
    assert shown.code == 0, shown.text


def test_unknown_agent_of_a_base(bench: Bench):
    base = bench.folder / "base"
    shutil.copytree(shipped_folder("data"), base)
    arms = (base / "arms.csv").read_text(encoding="utf-8")
    (base / "arms.csv").write_text(arms.replace(",ketamine,", ",ketamin,", 1), encoding="utf-8")
    told = bench("check", base)
    assert told.code == 2
    assert "arms.csv" in told.err
    assert "ketamin" in told.err
    assert "Did you mean 'ketamine'?" in told.err


def test_unknown_outcome_of_a_base(bench: Bench):
    base = bench.folder / "base"
    shutil.copytree(shipped_folder("data"), base)
    results = (base / "results.csv").read_text(encoding="utf-8")
    results = results.replace(",pain_intensity,", ",pain_intensty,", 1)
    (base / "results.csv").write_text(results, encoding="utf-8")
    told = bench("check", base)
    assert told.code == 2
    assert "Did you mean 'pain_intensity'?" in told.err


def test_no_such_file(bench: Bench):
    told = bench("check", bench.folder / "nowhere.csv")
    assert told.code == 2
    assert "there is no such file or folder" in told.err


def test_the_shipped_base_has_notes_and_no_fault(bench: Bench):
    told = bench("check")
    assert told.code == 0, told.text
    assert "No fault." in told.out
