"""A user's own table: one command from the file to the report, or errors with hints."""

from __future__ import annotations

import html
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence, shipped_folder, to_frame
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.inference import read_fit
from nmda_bayes.templates import fill_template
from tests.cli.conftest import Bench
from tests.evidence.importers.layouts import LAYOUTS, MEANS, data_rows

mocked = pytest.mark.usefixtures("mocked_sampler", "few_draws")


@pytest.fixture
def few_draws(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Templates with few draws: the sampler is mocked."""
    folder = tmp_path_factory.mktemp("models")
    for path in shipped_folder("models").glob("template_*.toml"):
        text = path.read_text(encoding="utf-8")
        assert "\ndraws = 2000\n" in text
        (folder / path.name).write_text(text.replace("draws = 2000", "draws = 50"), "utf-8")
    monkeypatch.setattr("nmda_bayes.templates.composition.shipped_folder", lambda _: folder)


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
1,0,0,Drug vs placebo,,,,,,,,,,,,
1,1,0,Vomiting,DIC,RR,,,,,,,,,Ondansetron,Placebo
1,1,0,Ames 1999,,,10,0,0,50,20,0,0,52,,
1,1,0,Berg 2001,,,5,0,0,60,12,0,0,58,,
1,1,0,Cole 2004,,,8,0,0,44,15,0,0,45,,
1,2,0,Nausea,CON,MD,,,,,,,,,Ondansetron,Placebo
1,2,0,Ames 1999,,,0,22,15,50,0,30,16,52,,
1,2,0,Berg 2001,,,0,25,14,60,0,29,15,58,,
"""


def changed(table: str, *changes: tuple[str, str]) -> str:
    """The table with texts replaced, each of which occurs once."""
    for old, new in changes:
        assert table.count(old) == 1, old
        table = table.replace(old, new)
    return table


#: An invalid table, and the code and place of its error.
INVALID_MBNMADOSE = {
    "no n": (changed(MBNMADOSE, ("dose,r,n", "dose,r,many")), "E111 t.csv, n:"),
    "events above n": (changed(MBNMADOSE, ("10,9,41", "10,49,41")), "E125 t.csv, row 3, r:"),
    "a percentage": (changed(MBNMADOSE, ("10,9,41", "10,9.5,41")), "E122 t.csv, row 3, r:"),
    "text": (changed(MBNMADOSE, ("10,9,41", "10,nine,41")), "E121 t.csv, row 3, r:"),
    "negative dose": (changed(MBNMADOSE, ("x,5,5", "x,-5,5")), "E123 t.csv, row 5, dose:"),
    "duplicate arm": (
        changed(MBNMADOSE, ("x,20,11,29", "x,5,11,29")),
        "E128 t.csv, row 6, agent:",
    ),
    "no agent": (changed(MBNMADOSE, ("C,y,1", "C,,1")), "E120 t.csv, row 8, agent:"),
    "n of 0": (changed(MBNMADOSE, ("10,9,41", "10,0,0")), "E123 t.csv, row 3, n:"),
    "short row": (changed(MBNMADOSE, ("A,x,10,9,41", "A,x,10,9")), "E110 t.csv, row 3:"),
}

INVALID_NETMETA = {
    "no seTE": (changed(NETMETA, ("TE,seTE", "TE,sd")), "E236 t.csv, row 1, TE:"),
    "negative seTE": (changed(NETMETA, ("-0.80,0.21", "-0.80,-0.21")), "E123 t.csv, row 3, seTE:"),
    "seTE of 0": (changed(NETMETA, ("-0.80,0.21", "-0.80,0")), "E123 t.csv, row 3, seTE:"),
    "no treatment": (changed(NETMETA, ("B,rosi,plac", "B,,plac")), "E120 t.csv, row 3, treat1:"),
    "self-comparison": (
        changed(NETMETA, ("B,rosi,plac", "B,plac,plac")),
        "E144 t.csv, row 3, treat2:",
    ),
    "missing pair": (
        changed(NETMETA, ("C,acar,metf,0.20,0.30\n", "")),
        "E212 t.csv, row 4, seTE:",
    ),
    "wrong sign": (
        changed(NETMETA, ("C,acar,metf,0.20", "C,acar,metf,-0.20")),
        "E214 t.csv, row 4, TE:",
    ),
    "inconsistent errors": (
        changed(NETMETA, ("metf,0.20,0.30", "metf,0.20,0.90")),
        "E213 t.csv, row 4, seTE:",
    ),
    "duplicate pair": (NETMETA + "A,plac,metf,1.00,0.20\n", "E127 t.csv, row 7, TE:"),
}

INVALID_REVMAN = {
    "no totals": (changed(REVMAN, ("SD 1,Total 1", "SD 1,All 1")), "E111 t.csv, Total 1:"),
    "events above n": (
        changed(REVMAN, (",10,0,0,50,20", ",70,0,0,50,20")),
        "E125 t.csv, row 4, Events 1:",
    ),
    "second group": (
        changed(REVMAN, ("50,20,0,0,52", "50,70,0,0,52")),
        "E125 t.csv, row 4, Events 2:",
    ),
    "text": (
        changed(REVMAN, (",5,0,0,60,12", ",five,0,0,60,12")),
        "E121 t.csv, row 5, Events 1:",
    ),
    "n of 0": (changed(REVMAN, (",8,0,0,44,15", ",8,0,0,0,15")), "E123 t.csv, row 6, Total 1:"),
    "negative SD": (changed(REVMAN, ("0,22,15,50", "0,22,-15,50")), "E123 t.csv, row 8, SD 1:"),
    "unnamed trial": (changed(REVMAN, ("1,1,0,Berg 2001", "1,1,0,")), "E120 t.csv, row 5, Name:"),
    "duplicate trial": (
        changed(REVMAN, ("1,1,0,Berg 2001", "1,1,0,Ames 1999")),
        "E128 t.csv, row 5, Group Label 2:",
    ),
    "no heading": (
        changed(REVMAN, ("1,2,0,Nausea,CON,MD,,,,,,,,,Ondansetron,Placebo\n", "")),
        "E219 t.csv, row 7, Outcome Number:",
    ),
}

INVALID = {
    f"{format}: {case}": table
    for format, cases in (
        ("MBNMAdose", INVALID_MBNMADOSE),
        ("netmeta", INVALID_NETMETA),
        ("RevMan", INVALID_REVMAN),
    )
    for case, table in cases.items()
}


@pytest.mark.parametrize(
    "table",
    [
        changed(MBNMADOSE, ("10,9,41", "10,NA,41")),
        changed(NETMETA, ("-0.80,0.21", "NA,0.21")),
    ],
    ids=["MBNMAdose", "netmeta"],
)
def test_result_that_is_not_reported_is_set_aside(bench: Bench, table: str):
    tree = load_evidence(bench.write("t.csv", table))
    rows = pd.concat([to_frame(tree, "results"), to_frame(tree, "contrasts")])
    assert rows["unusable"].str.startswith("result missing").any()
    assert any("(row 3)" in note for note in tree.attrs["notes"])


@pytest.mark.parametrize("case", INVALID)
def test_invalid_table_is_rejected(bench: Bench, case: str):
    content, error = INVALID[case]
    table = bench.write("t.csv", content)
    before = bench.contents()
    for arguments in (["check", table], ["run", "--evidence", table, "--out", bench.folder / "o"]):
        result = bench(*arguments)
        assert result.code == 2, result.text
        assert "Traceback" not in result.text
        assert error in result.err
    assert bench.contents() == before


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (changed(MBNMADOSE, ("10,9,41", "10,NA,41")), ["row 2", "row 3"]),
        (changed(NETMETA, ("-0.80,0.21", "NA,0.21")), ["row 3"]),
        (changed(REVMAN, (",8,0,0,44,15", ",,0,0,44,15")), ["row 6", "row 6"]),
    ],
    ids=["MBNMAdose", "netmeta", "RevMan"],
)
def test_rows_without_a_result_are_set_aside(bench: Bench, content: str, rows: list[str]):
    result = bench("check", bench.write("t.csv", content))
    assert re.findall(r"Set aside.*\((rows? [\d, ]+)\)", result.text) == rows
    assert not re.search(r"E1\d\d", result.err)


def test_all_errors_of_a_wide_row_are_reported(bench: Bench):
    table = changed(
        REVMAN,
        (",10,0,0,50,20", ",70,0,0,50,90"),
        ("0,25,14,60", "0,25,-14,60"),
        (",8,0,0,44,15", ",,0,0,44,15"),
    )
    result = bench("check", bench.write("t.csv", table))
    assert set(re.findall(r"row (\d), (\w+ \d):", result.err)) == {
        ("4", "Events 1"),
        ("4", "Events 2"),
        ("9", "SD 1"),
    }


@pytest.mark.parametrize(
    ("content", "settings", "texts"),
    [
        (MBNMADOSE, [], ["mbnmadose/counts", "study from 'studyID'", "events from 'r'", "x, y"]),
        (REVMAN, ["outcome=1.1"], ["revman/export", "'Placebo' in 'Group Label 2'"]),
        (
            NETMETA,
            ["measure=log_OR", "reference=plac"],
            ["netmeta/contrasts", "3 contrasts of 3 arms", "acar, metf, rosi"],
        ),
    ],
    ids=["MBNMAdose", "RevMan", "netmeta"],
)
def test_check_describes_the_import(
    bench: Bench, content: str, settings: list[str], texts: list[str]
):
    options = [text for setting in settings for text in ("--set", setting)]
    result = bench("check", bench.write("t.csv", content), *options)
    assert result.code == 0, result.text
    assert [text for text in texts if text not in result.out] == [], result.out


#: A table, the user's settings, and the template that is chosen.
RUNS = {
    "MBNMAdose": (MBNMADOSE, [], "template_dose_response"),
    "RevMan counts": (REVMAN, ["outcome=1.1"], "template_counts"),
    "netmeta": (NETMETA, ["measure=OR", "reference=plac"], "template_contrasts"),
}


def run(bench: Bench, content: str, settings: list[str]) -> Any:
    table = bench.write("t.csv", content)
    options = [text for setting in settings for text in ("--set", setting)]
    return bench("run", "--evidence", table, "--out", bench.folder / "results", *options)


@mocked
@pytest.mark.parametrize("case", RUNS)
def test_run_makes_a_report_from_a_file(bench: Bench, case: str):
    content, settings, name = RUNS[case]
    result = run(bench, content, settings)
    folder = bench.folder / "results"
    assert result.code in (0, 3), result.text
    assert name in result.out.splitlines()[0]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert ("revman/export" if "RevMan" in case else case.split()[0].lower()) in page
    spec = tomllib.loads((folder / "spec.toml").read_text(encoding="utf-8"))
    assert name in spec["decisions"]["spec"]
    assert set(pd.read_csv(folder / "summary.csv")["variable"])


#: One row for each arm and outcome, as the natural file of a trial of pain and harm is read.
PAIN_AND_HARM = """\
study,agent,dose,n,outcome,mean,sd,events
A,placebo,0,20,pain,6.1,2,
A,ketamine,0.5,21,pain,4.1,2,
A,placebo,0,20,dissociation,,,1
A,ketamine,0.5,21,dissociation,,,6
B,placebo,0,30,pain,5.1,2,
B,ketamine,0.25,31,pain,4.1,2,
B,placebo,0,30,dissociation,,,2
B,ketamine,0.25,31,dissociation,,,3
"""
JOINT = ["benefit=pain", "harm=dissociation", "better.pain=lower", "scale.pain=0,10"]
#: Tables whose analysis needs a format, several settings, or a name in quotes.
REPEATED = {
    "joint": (PAIN_AND_HARM, JOINT, []),
    "quoted": (REVMAN, ["outcome=1.2 Nausea", "scale=0,100"], ["--format", "revman"]),
    "doses": (MBNMADOSE, ["dose.x=5"], []),
}


@mocked
@pytest.mark.parametrize("case", REPEATED)
def test_printed_commands_repeat_the_analysis(
    bench: Bench, case: str, monkeypatch: pytest.MonkeyPatch
):
    content, settings, more = REPEATED[case]
    monkeypatch.chdir(bench.folder)
    options = [text for setting in settings for text in ("--set", setting)]
    checked = bench("check", bench.write("t.csv", content), *options, *more)
    assert checked.code == 0, checked.text
    program, *words = shlex.split(checked.out.splitlines()[-1].split("Ready: ")[1])
    assert program == "nmda-bayes"
    assert bench(*words).code in (0, 3)
    folder = bench.folder / "results"
    first = read_fit(folder).attrs
    page = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    (command,) = set(re.findall(r"nmda-bayes (run spec\.toml [^<\n]* --out results)", page))
    for setting in settings:
        assert shlex.quote(setting) in command
    (bench.folder / "spec.toml").write_text((folder / "spec.toml").read_text("utf-8"), "utf-8")
    folder.rename(bench.folder / "first")
    assert bench(*shlex.split(command)).code in (0, 3)
    again = read_fit(folder).attrs
    assert again["evidence_hash"] == first["evidence_hash"]
    assert json.loads(again["spec"]) == json.loads(first["spec"])


@pytest.mark.parametrize(
    ("settings", "exposure"),
    [
        ([], {"B: x 5": 0.5, "B: x 20": 2, "C: y 1": 1, "C: placebo": 0}),
        (["dose.x=5", "dose.y=2"], {"B: x 5": 1, "B: x 20": 4, "C: y 1": 0.5, "C: placebo": 0}),
    ],
    ids=["median dose", "set by the user"],
)
def test_reference_doses(bench: Bench, settings: list[str], exposure: dict[str, float]):
    evidence = load_evidence(bench.write("t.csv", MBNMADOSE))
    filled = fill_template(evidence, parse_options(settings))
    arms = build_design(filled.spec, filled.evidence)["outcomes/event"].to_dataset()
    exposures = dict(zip(arms["arm"].to_numpy(), arms["exposure"].to_numpy(), strict=True))
    assert {arm: exposures[arm] for arm in exposure} == exposure


#: A table, the user's settings, and what the error must name.
INCOMPLETE = {
    "which outcome": (REVMAN, [], ["--set 'outcome=1.1 Vomiting'"]),
    "unknown outcome": (REVMAN, ["outcome=Vomitting"], ["1.1 Vomiting"]),
    "no scale": (REVMAN, ["outcome=1.2"], ["--set scale=0,10"]),
    "no measure": (NETMETA, [], ["--set measure=log_OR"]),
    "no scale of differences": (NETMETA, ["measure=MD"], ["scale=0,10"]),
    "no reference": (
        "studlab,treat1,treat2,TE,seTE,sm\nA,p,q,1,0.2,SMD\nB,q,s,1,0.3,SMD\nC,p,s,2,0.4,SMD\n",
        [],
        ["--set reference=p or --set reference=q or --set reference=s"],
    ),
    "unknown reference": (NETMETA, ["measure=OR", "reference=placebo"], ["placebo"]),
    "unknown setting": (NETMETA, ["scales=0,10"], ["E203", "'scales=0,10'", "'scale'"]),
    "invalid scale": (NETMETA, ["scale=10,0"], ["E203"]),
    "dose of an unknown agent": (MBNMADOSE, ["dose.z=1"], ["'z'"]),
}


@pytest.mark.parametrize("case", INCOMPLETE)
def test_missing_information_is_requested(bench: Bench, case: str):
    content, settings, texts = INCOMPLETE[case]
    result = run(bench, content, settings)
    assert result.code == 2, result.text
    assert re.search(r"E\d{3} ", result.err)
    assert [text for text in texts if text not in result.err] == [], result.err
    assert not (bench.folder / "results").exists()


def test_template_needs_a_table(bench: Bench):
    result = bench("run", "--out", bench.folder / "results")
    assert result.code == 2
    assert "--evidence" in result.err


def test_spec_with_a_table_in_a_named_format(bench: Bench, spec: Path):
    table = bench.write("t.csv", MBNMADOSE)
    result = bench("show", spec, "--evidence", table, "--format", "mbnmadose")
    assert result.code == 0, result.text
    result = bench("show", spec, "--evidence", table, "--format", "netmeta")
    assert result.code == 2
    assert "E111 t.csv" in result.err
    assert "'studlab'" not in result.err


def test_groups_that_the_table_does_not_name(bench: Bench):
    rows = data_rows(MEANS).drop(columns=["Experimental group label", "Control group label"])
    table = bench.write("t.csv", rows.to_csv(index=False))
    result = bench("check", table)
    assert "'experimental' and 'control'" in result.out
    assert "control: experimental" in result.out
    result = bench("check", table, "--set", "groups=x,Placebo", "--set", "scale=0,100")
    assert result.code == 0, result.text
    assert "placebo: x." in result.out


@pytest.mark.parametrize(
    ("layout", "setting"),
    [
        ("gemtc/contrasts", "measure=log_OR"),
        ("escalc/variances", "measure=log_OR"),
        ("netmeta/means_wide", "scale=0,100"),
        ("revman/data_rows", "reference=placebo"),
    ],
)
def test_check_of_a_named_layout(bench: Bench, layout: str, setting: str):
    LAYOUTS[layout][0]().head(12).to_csv(bench.folder / "t.csv", index=False)
    result = bench("check", bench.folder / "t.csv", "--format", layout, "--set", setting)
    assert result.code == 0, result.text
    assert layout in result.out
