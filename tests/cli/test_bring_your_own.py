"""A statistician's own table: one command from file to report, or a message to act on."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence, shipped_folder
from nmda_bayes.evidence.readers import said as read_words
from nmda_bayes.generic import generic_spec
from tests.cli.conftest import Bench, Told
from tests.evidence.readers.layouts import LAYOUTS, MEANS, data_rows

mocked = pytest.mark.usefixtures("mocked_sampler", "few_draws")


@pytest.fixture
def few_draws(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped generic specs with a fortieth of their draws: the sampler is mocked anyway."""
    folder = tmp_path_factory.mktemp("models")
    for path in shipped_folder("models").glob("own_*.toml"):
        text = path.read_text(encoding="utf-8")
        assert "\ndraws = 2000\n" in text
        (folder / path.name).write_text(text.replace("draws = 2000", "draws = 50"), "utf-8")
    monkeypatch.setattr("nmda_bayes.generic.shipped_folder", lambda _: folder)


MBNMADOSE = """\
studyID,agent,dose,r,n
A,placebo,0,4,40
A,x,10,9,41
B,placebo,0,3,30
B,x,5,5,31
B,x,20,11,29
C,placebo,0,6,50
C,y,1,12,52
"""

NETMETA = """\
studlab,treat1,treat2,TE,seTE
A,metf,plac,-1.00,0.20
B,rosi,plac,-0.80,0.21
C,acar,metf,0.20,0.30
C,acar,plac,-0.90,0.28
C,metf,plac,-1.10,0.26
"""

REVMAN = """\
Comparison Number,Outcome Number,Subgroup Number,Name,Data Type,Effect Measure,Events 1,Mean 1,\
SD 1,Total 1,Events 2,Mean 2,SD 2,Total 2,Group Label 1,Group Label 2
1,0,0,Drug v placebo,,,,,,,,,,,,
1,1,0,Vomiting,DIC,RR,,,,,,,,,Ondansetron,Placebo
1,1,0,Ames 1999,,,10,0,0,50,20,0,0,52,,
1,1,0,Berg 2001,,,5,0,0,60,12,0,0,58,,
1,1,0,Cole 2004,,,8,0,0,44,15,0,0,45,,
1,2,0,Nausea,CON,MD,,,,,,,,,Ondansetron,Placebo
1,2,0,Ames 1999,,,0,22,15,50,0,30,16,52,,
1,2,0,Berg 2001,,,0,25,14,60,0,29,15,58,,
"""


def broken(table: str, *changes: tuple[str, str]) -> str:
    """The table with words of it replaced, each of which must stand there once."""
    for old, new in changes:
        assert table.count(old) == 1, old
        table = table.replace(old, new)
    return table


#: What is wrong; the table; what the message must say: place, fault and mend.
BROKEN_MBNMADOSE = {
    "no dose": (broken(MBNMADOSE, ("agent,dose,r", "agent,amount,r")),
                ["dose: the column 'dose' is missing", "mbnmadose/counts", "--format"]),
    "more responders than people": (broken(MBNMADOSE, ("10,9,41", "10,49,41")),
                                    ["row 3, r: more events than people", "events is 'r'"]),
    "a percentage": (broken(MBNMADOSE, ("10,9,41", "10,9.5,41")),
                     ["row 3, r: not a whole number", "Count people, not percent"]),
    "words for a number": (broken(MBNMADOSE, ("10,9,41", "10,nine,41")),
                           ["row 3, r: 'nine' is not a finite number", "Write a plain number"]),
    "a negative dose": (broken(MBNMADOSE, ("x,5,5", "x,-5,5")), ["row 5, dose", "negative"]),
    "an arm twice": (broken(MBNMADOSE, ("x,20,11,29", "x,5,11,29")),
                     ["row 6, agent: study 'B' has two rows for arm 'x 5'", "Delete one"]),
    "no agent": (broken(MBNMADOSE, ("C,y,1", "C,,1")),
                 ["row 8, agent: nothing stands here", "fill it in"]),
    "NA for the responders": (broken(MBNMADOSE, ("10,9,41", "10,NA,41")),
                              ["row 3, r: nothing stands here", "Fill it in"]),
    "nobody": (broken(MBNMADOSE, ("10,9,41", "10,0,0")),
               ["row 3, n: a group of nobody", "n must be 1 or more"]),
    "a short row": (broken(MBNMADOSE, ("A,x,10,9,41", "A,x,10,9")),
                    ["row 3: the row has 4 cells, the header 5"]),
}  # fmt: skip

BROKEN_NETMETA = {
    "no seTE": (broken(NETMETA, ("TE,seTE", "TE,sd")),
                ["seTE: the column 'seTE' is missing", "netmeta/contrasts", "--format"]),
    "a negative seTE": (broken(NETMETA, ("-0.80,0.21", "-0.80,-0.21")),
                        ["row 3, seTE: the number is negative"]),
    "seTE of 0": (broken(NETMETA, ("-0.80,0.21", "-0.80,0")),
                  ["row 3, seTE: a standard error of 0"]),
    "NA for TE": (broken(NETMETA, ("-0.80,0.21", "NA,0.21")), ["row 3, TE: nothing stands here"]),
    "no treatment": (broken(NETMETA, ("B,rosi,plac", "B,,plac")),
                     ["row 3, treat1: nothing stands here", "Name the treatment"]),
    "against itself": (broken(NETMETA, ("B,rosi,plac", "B,plac,plac")),
                       ["row 3", "the agent is compared with itself"]),
    "a pair is missing": (broken(NETMETA, ("C,acar,metf,0.20,0.30\n", "")),
                          ["row 4, seTE: study 'C' has 3 arms and 2 of their 3 contrasts",
                           "Add the missing contrasts", "comparator_se"]),
    "a sign is turned": (broken(NETMETA, ("C,acar,metf,0.20", "C,acar,metf,-0.20")),
                         ["row 4, TE: study 'C'", "do not add up, by 0.4", "Check their signs"]),
    "variances that cannot be": (broken(NETMETA, ("metf,0.20,0.30", "metf,0.20,0.90")),
                                 ["row 4, seTE: study 'C'", "no variance for arm 'plac'"]),
    "a pair twice": (NETMETA + "A,plac,metf,1.00,0.20\n",
                     ["row 7, TE: study 'A' has this contrast twice", "Delete one"]),
}  # fmt: skip

BROKEN_REVMAN = {
    "no totals": (broken(REVMAN, ("SD 1,Total 1", "SD 1,All 1")),
                  ["Total 1: the column 'Total 1' is missing", "revman/export", "--format"]),
    "more events than people": (broken(REVMAN, (",10,0,0,50,20", ",70,0,0,50,20")),
                                ["row 4, Events 1: more events than people", "Events 1"]),
    "the second group": (broken(REVMAN, ("50,20,0,0,52", "50,70,0,0,52")),
                         ["row 4, Events 2: more events than people"]),
    "a word for a number": (broken(REVMAN, (",5,0,0,60,12", ",five,0,0,60,12")),
                            ["row 5, Events 1: 'five' is not a finite number"]),
    "a blank count": (broken(REVMAN, (",8,0,0,44,15", ",,0,0,44,15")),
                      ["row 6, Events 1: nothing stands here", "Fill it in"]),
    "nobody in a group": (broken(REVMAN, (",8,0,0,44,15", ",8,0,0,0,15")),
                          ["row 6, Total 1: a group of nobody"]),
    "a negative SD": (broken(REVMAN, ("0,22,15,50", "0,22,-15,50")),
                      ["row 8, SD 1: the number is negative"]),
    "a trial without a name": (broken(REVMAN, ("1,1,0,Berg 2001", "1,1,0,")),
                               ["row 5, Name: nothing stands here", "Name the trial"]),
    "a trial twice": (broken(REVMAN, ("1,1,0,Berg 2001", "1,1,0,Ames 1999")),
                      ["row 5", "study 'Ames 1999' has two rows for arm"]),
    "no heading": (broken(REVMAN, ("1,2,0,Nausea,CON,MD,,,,,,,,,Ondansetron,Placebo\n", "")),
                   ["row 7, Outcome Number: no heading row names this analysis", "Export"]),
}  # fmt: skip

BROKEN = {
    f"{form}: {what}": case
    for form, cases in (
        ("MBNMAdose", BROKEN_MBNMADOSE), ("netmeta", BROKEN_NETMETA), ("RevMan", BROKEN_REVMAN),
    )
    for what, case in cases.items()
}  # fmt: skip


def test_ten_of_each():
    assert [len(c) for c in (BROKEN_MBNMADOSE, BROKEN_NETMETA, BROKEN_REVMAN)] == [10] * 3


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_table_is_told_with_its_place_and_mend(bench: Bench, case: str):
    content, words = BROKEN[case]
    table = bench.write("mine.csv", content)
    before = bench.contents()
    for arguments in (["check", table], ["run", "--evidence", table, "--out", bench.folder / "o"]):
        told = bench(*arguments)
        assert told.code == 2, told.text
        assert "Traceback" not in told.text
        assert "mine.csv, " in told.err
        assert [word for word in words if word not in told.err] == [], told.err
    assert bench.contents() == before


def test_every_fault_of_a_wide_row_is_told_at_once(bench: Bench):
    wrong = broken(
        REVMAN, (",10,0,0,50,20", ",70,0,0,50,90"), ("0,25,14,60", "0,25,-14,60"),
        (",8,0,0,44,15", ",,0,0,44,15"),
    )  # fmt: skip
    told = bench("check", bench.write("mine.csv", wrong))
    for place in ("row 4, Events 1", "row 4, Events 2", "row 6, Events 1", "row 9, SD 1"):
        assert place in told.err, told.err
    assert "4 faults" in told.err


@pytest.mark.parametrize(
    ("content", "words", "lines"),
    [
        (MBNMADOSE, [], ["read as: mbnmadose/counts", "study from 'studyID'", "events from 'r'",
                         "Against placebo: x, y"]),
        (REVMAN, [], ["read as: revman/export", "'Placebo' in 'Group Label 2' is read as",
                      "events from 'Events 2' and 'Events 1'"]),
        (NETMETA, [], ["read as: netmeta/contrasts", "3 contrasts of 3 arms are reduced to 2",
                       "Against plac: acar, metf, rosi"]),
    ],
)  # fmt: skip
def test_check_says_how_a_table_was_understood(bench: Bench, content, words, lines):
    told = bench("check", bench.write("mine.csv", content), *words)
    assert told.code == 0, told.text
    assert [line for line in lines if line not in told.out] == [], told.out
    assert "No fault." in told.out


#: A table, what the user says of it, and the generic spec that it gets.
RUNS = {
    "MBNMAdose": (MBNMADOSE, [], "own_dose_response"),
    "RevMan counts": (REVMAN, ["outcome=1.1"], "own_counts"),
    "netmeta": (NETMETA, ["measure=OR"], "own_contrasts"),
}


def run(bench: Bench, content: str, said: list[str], *more: str) -> Told:
    table = bench.write("mine.csv", content)
    words = [word for each in said for word in ("--say", each)]
    return bench("run", *more, "--evidence", table, "--out", bench.folder / "results", *words)


@mocked
@pytest.mark.parametrize("case", RUNS)
def test_from_a_file_to_a_report_with_one_command(bench: Bench, case: str):
    content, said, name = RUNS[case]
    told = run(bench, content, said)
    folder = bench.folder / "results"
    assert told.code in (0, 3), told.text
    assert told.out.startswith(f"spec: {name}: the table holds")
    assert "Its priors are generic." in told.out.splitlines()[0]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Generic, not made for this question" in page
    assert f"Read as {'revman/export' if 'RevMan' in case else case.split()[0].lower()}" in page
    spec = tomllib.loads((folder / "spec.toml").read_text(encoding="utf-8"))
    assert spec["choices"]["spec"].startswith(name)
    assert set(pd.read_csv(folder / "summary.csv")["variable"])


@pytest.mark.parametrize(
    ("said", "exposure"),
    [([], {"B: x 5": 0.5, "B: x 20": 2, "C: y 1": 1, "C: placebo": 0}),
     (["dose.x=5", "dose.y=2"], {"B: x 5": 1, "B: x 20": 4, "C: y 1": 0.5, "C: placebo": 0})],
    ids=["the middle of those tried", "as the user says"],
)  # fmt: skip
def test_reference_doses(bench: Bench, said: list[str], exposure: dict[str, float]):
    evidence = load_evidence(bench.write("mine.csv", MBNMADOSE))
    made = generic_spec(evidence, read_words(said))
    arms = build_design(made.spec, made.evidence)["outcomes/event"].to_dataset()
    found = dict(zip(arms["arm"].to_numpy(), arms["exposure"].to_numpy(), strict=True))
    assert {arm: found[arm] for arm in exposure} == exposure


#: What a generic spec cannot know: the table, what is said, and the message.
OPEN = {
    "which outcome": (REVMAN, [], ["2 outcomes", "--say outcome=", "'1.1 Vomiting'"]),
    "no such outcome": (REVMAN, ["outcome=Vomitting"], ["no usable row", "1.1 Vomiting"]),
    "no scale": (REVMAN, ["outcome=1.2"], ["the means have no scale", "--say scale=0,10"]),
    "no measure": (NETMETA, [], ["what the contrasts measure", "--say measure=log_OR"]),
    "no scale of differences": (NETMETA, ["measure=MD"], ["have no scale", "scale=0,10"]),
    "no reference": (
        "studlab,treat1,treat2,TE,seTE,sm\nA,p,q,1,0.2,SMD\nB,q,s,1,0.3,SMD\nC,p,s,2,0.4,SMD\n",
        [],
        ["which agent is the reference", "--say reference=", "p, q, s"],
    ),
    "a reference that is not there": (NETMETA, ["measure=OR", "reference=placebo"], ["no arm is"]),
    "a word that is none": (NETMETA, ["scales=0,10"], ["'scales=0,10'", "Did you mean 'scale'?"]),
    "a scale that is none": (NETMETA, ["scale=10,0"], ["lower end first"]),
    "a dose of nobody": (MBNMADOSE, ["dose.z=1"], ["no arm has 'z' at a dose"]),
}


@pytest.mark.parametrize("case", OPEN)
def test_what_must_not_be_guessed_is_asked(bench: Bench, case: str):
    content, said, words = OPEN[case]
    told = run(bench, content, said)
    assert told.code == 2, told.text
    assert [word for word in words if word not in told.err] == [], told.err
    assert not (bench.folder / "results").exists()


def test_a_generic_spec_needs_a_table(bench: Bench):
    told = bench("run", "--out", bench.folder / "results")
    assert told.code == 2
    assert "needs a table of your own" in told.err


def test_a_spec_of_ones_own_says_how_its_table_was_read(bench: Bench, spec: Path):
    table = bench.write("mine.csv", MBNMADOSE)
    told = bench("show", spec, "--evidence", table, "--format", "mbnmadose")
    assert told.code == 0, told.text
    told = bench("show", spec, "--evidence", table, "--format", "netmeta")
    assert told.code == 2
    assert "the column 'studlab' is missing" not in told.err
    assert "--format names another" in told.err


def test_groups_that_the_table_does_not_name(bench: Bench):
    rows = data_rows(MEANS).drop(columns=["Experimental group label", "Control group label"])
    table = bench.write("mine.csv", rows.to_csv(index=False))
    told = bench("check", table)
    assert "they are called 'experimental' and 'control'" in told.out
    assert "Against control: experimental" in told.out
    told = bench("check", table, "--say", "groups=x,Placebo")
    assert told.code == 0, told.text
    assert "Against placebo: x." in told.out


@pytest.mark.parametrize(
    "layout", ["gemtc/contrasts", "escalc/variances", "netmeta/means_wide", "revman/data_rows"]
)
def test_a_layout_checks_from_the_command_line(bench: Bench, layout: str):
    make = LAYOUTS[layout][0]
    make().head(12).to_csv(bench.folder / "mine.csv", index=False)
    told = bench("check", bench.folder / "mine.csv", "--format", layout)
    assert told.code == 0, told.text
    assert f"read as: {layout}" in told.out
