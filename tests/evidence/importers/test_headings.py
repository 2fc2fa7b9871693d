"""The user's own headings: aliases, units, settings, outcomes and treatments side by side."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.evidence.importers.headings import ALIASES, parse_heading

COUNTS = pd.DataFrame(
    {
        "study": ["A", "A", "B", "B"],
        "agent": ["placebo", "x", "placebo", "x"],
        "events": ["9", "5", "12", "7"],
        "n": ["40", "41", "50", "49"],
    }
)
MEANS = COUNTS.drop(columns="events").assign(
    mean=["5.5", "4", "6.1", "4.4"], sd=["2", "2.1", "2.2", "1.9"]
)


def load(frame: pd.DataFrame, *given: str):
    questions: list[Issue] = []
    tree = load_with_options(frame, parse_options(given), questions)
    return tree, questions


def renamed(frame: pd.DataFrame, *headings: str) -> pd.DataFrame:
    return frame.set_axis(list(headings), axis=1)


def issues_of(frame: pd.DataFrame, *given: str) -> list[Issue]:
    with pytest.raises(EvidenceError) as caught:
        load_with_options(frame, parse_options(given))
    return list(caught.value.issues)


NAMES = {
    "study": ["Study", "Trial name", "studlab", "Study ID", "Author", "TRIAL"],
    "agent": ["Treatment", "trt", "Drug", "Intervention ", "Group", "Arm", "treatment_group"],
    "events": ["Events", "r", "Number with event", "Responders", "n_events", "No. of events"],
    "n": ["N", "Total", "Sample size", "sampleSize", "Number randomised", "participants"],
    "mean": ["Mean", "average", "Mean score"],
    "sd": ["SD", "Std. Dev.", "Standard deviation", "std"],
}


@pytest.mark.parametrize("shift", range(7))
@pytest.mark.parametrize("table", [COUNTS, MEANS], ids=["counts", "means"])
def test_headings_name_roles(table: pd.DataFrame, shift: int):
    names = [NAMES[role][shift % len(NAMES[role])] for role in table]
    tree, questions = load(renamed(table, *names))
    assert not questions
    assert tree.attrs["evidence_hash"] == load_evidence(table).attrs["evidence_hash"]
    if tree.attrs["format"] == "flat":
        assert any("from" in note for note in tree.attrs["notes"]) or tree.attrs["columns"]


def test_every_alias_has_one_role():
    aliases = [
        (name, role)
        for role, tiers in ALIASES.items()
        for tier in tiers
        for name in tier.split("|")
    ]
    names = [name for name, _ in aliases]
    assert len(names) == len(set(names)), [n for n in names if names.count(n) > 1]


@pytest.mark.parametrize(
    ("heading", "role", "label", "unit"),
    [
        ("Dose (mg/kg)", "dose", "", "mg/kg"),
        ("dose_mg", "dose", "", "mg"),
        ("Dose, mg/day", "dose", "", "mg/day"),
        ("Pain mean (0-10)", "mean", "Pain", "0-10"),
        ("pain_sd", "sd", "pain", ""),
        ("SD pain", "sd", "pain", ""),
        ("Mean pain", "mean", "pain", ""),
        ("nausea_r", "events", "nausea", ""),
        ("Number with nausea", "events", "nausea", ""),
        ("n with severe nausea", "events", "severe nausea", ""),
        ("Sleep quality mean change", "change_mean", "Sleep quality", ""),
        ("95% CI lower", "ci_low", "", ""),
        ("ci.ub", "ci_high", "", ""),
        ("rr_ll", "ci_low", "", ""),
        ("OR upper", "ci_high", "", ""),
        ("95% CI", "interval", "", ""),
        ("week", "time", "", "week"),
        ("Time (days)", "time", "", "days"),
        ("follow-up (months)", "time", "", "months"),
        ("year", "year", "", ""),
        ("comment", "", "", ""),
    ],
)
def test_what_a_heading_says(heading: str, role: str, label: str, unit: str):
    parsed = parse_heading(heading)
    assert (parsed.role, parsed.label, parsed.unit) == (role, label, unit)


def test_two_candidates_are_a_question():
    frame = renamed(COUNTS, "Trial", "Treatment", "events", "n")
    other = frame.assign(Drug=["x", "placebo", "x", "x"])
    tree, (question,) = load(other)
    assert question.code == "E173"
    assert "--set column.agent=Treatment" in question.hint
    assert "--set column.agent=Drug" in question.hint
    chosen, questions = load(other, "column.agent=Treatment")
    assert not questions
    assert "x" in set(to_frame(chosen, "arms")["agent"])
    # Columns that divide the rows alike are one.
    same = frame.assign(Drug=frame["Treatment"].str.upper())
    assert not load(same)[1]


def test_setting_maps_a_column():
    frame = renamed(COUNTS, "Where", "What", "How often", "Of how many")
    roles = dict(zip(["study", "agent", "events", "n"], frame, strict=True))
    tree, questions = load(frame, *(f"column.{role}={name}" for role, name in roles.items()))
    assert not questions
    assert tree.attrs["evidence_hash"] == load_evidence(COUNTS).attrs["evidence_hash"]


@pytest.mark.parametrize("setting", ["column.agnet=What", "column.agent=Wat"])
def test_unknown_role_or_heading(setting: str):
    frame = renamed(COUNTS, "study", "What", "events", "n")
    (issue,) = issues_of(frame, setting)
    assert issue.code == "E174"
    assert "Did you mean" in issue.hint


def test_missing_role_names_the_columns_that_could_have_it():
    (issue,) = issues_of(renamed(COUNTS, "study", "What was given", "events", "n"))
    assert (issue.code, issue.column) == ("E111", "agent")
    assert '--set column.agent="What was given"' in issue.hint


def test_only_column_of_counts_is_the_event():
    frame = renamed(COUNTS, "study", "treatment", "stroke", "total").assign(
        age=["60", "60", "5", "5"]
    )
    tree, questions = load(frame)
    rows = to_frame(tree, "results")
    assert not questions
    assert rows["events"].tolist() == [9, 5, 12, 7]
    assert set(rows["outcome"]) == {"stroke"}
    assert any("'stroke'" in note for note in tree.attrs["notes"])
    both = frame.assign(bleeding=["1", "2", "0", "4"])
    (issue,) = issues_of(both)
    assert issue.code == "E227"
    assert "column.events=stroke" in issue.hint
    assert "column.events=bleeding" in issue.hint


# Outcomes and treatments side by side.

NATURAL = """\
Study,Drug,Dose (mg/kg),N,Pain mean,Pain SD,Dissociation n
Hale,placebo,0,20,61,22,1
Hale,x,0.3,21,48,20,6
Ives,placebo,0,33,58,18,0
Ives,x,0.5,31,41,19,9
"""


@pytest.fixture
def natural(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(NATURAL, encoding="utf-8")
    return path


def test_natural_file(natural: Path):
    tree = load_evidence(natural)
    rows = to_frame(tree, "results").set_index(["outcome", "arm"])
    pain, other = rows.loc["Pain"], rows.loc["Dissociation"]
    assert pain["mean"].tolist() == [61, 48, 58, 41]
    assert pain["sd"].tolist() == [22, 20, 18, 19]
    assert other["events"].tolist() == [1, 6, 0, 9]
    assert pain["n"].tolist() == other["n"].tolist() == [20, 21, 33, 31]
    arms = to_frame(tree, "arms")
    assert arms["dose"].tolist() == [0, 0.3, 0, 0.5]
    assert set(arms["dose_unit"]) == {"mg/kg"}
    assert rows["line"].tolist() == [2, 2, 3, 3, 4, 4, 5, 5]
    long = pd.DataFrame(
        [
            {"study": s, "agent": a, "dose": d, "dose_unit": "mg/kg", "outcome": o, **r, "n": n}
            for s, a, d, n, m, sd, e in (line.split(",") for line in NATURAL.splitlines()[1:])
            for o, r in (("Pain", {"mean": m, "sd": sd}), ("Dissociation", {"events": e}))
        ]
    )
    assert load_evidence(long).attrs["evidence_hash"] == tree.attrs["evidence_hash"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("0.3,21,48,20,6", "0.3,21,48,20,26", ("E125", 3, "Dissociation n")),
        ("0.3,21,48,20,6", "0.3,21,48,zwei,6", ("E121", 3, "Pain SD")),
        ("0.3,21,48,20,6", "-0.3,21,48,20,6", ("E123", 3, "Dose (mg/kg)")),
    ],
)
def test_errors_are_at_the_users_cell(natural: Path, old: str, new: str, place):
    natural.write_text(NATURAL.replace(old, new), encoding="utf-8")
    with pytest.raises(EvidenceError) as caught:
        load_evidence(natural)
    assert place in {(i.code, i.row, i.column) for i in caught.value.issues}


def test_outcome_of_some_trials_only(natural: Path):
    natural.write_text(
        NATURAL.replace("58,18,0", ",,0").replace("41,19,9", ",,9"), encoding="utf-8"
    )
    tree = load_evidence(natural)
    assert to_frame(tree, "results").groupby("outcome").size().to_dict() == {
        "Dissociation": 4,
        "Pain": 2,
    }
    assert any("'Pain' is not reported" in note for note in tree.attrs["notes"])


def test_characteristics_are_no_outcome(natural: Path):
    lines = NATURAL.splitlines()
    header = lines[0] + ",Age mean,Age SD,Female n,Screened n"
    text = "\n".join([header, *(f"{line},40,9,10,35" for line in lines[1:])])
    natural.write_text(text, encoding="utf-8")
    assert set(to_frame(load_evidence(natural), "results")["outcome"]) == {"Pain", "Dissociation"}


def test_other_sizes_are_no_outcome():
    frame = COUNTS.assign(**{"n.all": ["45"] * 4})
    frame = renamed(frame, "Trial", "Drug", "Events", "N", "n.all")
    rows = to_frame(load_evidence(frame), "results")
    assert rows["events"].tolist() == [9, 5, 12, 7]
    assert set(rows["outcome"]) == {""}


def test_sizes_of_groups_are_no_events():
    """A table of two groups without their events is not read as one."""
    frame = pd.DataFrame(
        {"study": ["A", "B"], "n.treat": [9, 12], "n.control": [8, 12], "n.total": [17, 24],
         "lower": [0.1, 0.2], "upper": [0.3, 0.5], "stderr": [0.1, 0.1]}
    )  # fmt: skip
    assert "E111" in {issue.code for issue in issues_of(frame)}


def test_treatments_side_by_side():
    frame = pd.DataFrame(
        {
            "Trial": ["A", "B"],
            "Control events": [9, 12],
            "Control n": [40, 50],
            "Drug events": [5, 7],
            "Drug n": [41, 49],
        }
    )
    rows = to_frame(load_evidence(frame), "results").set_index("arm")
    assert rows["events"].to_dict() == {
        "A: control": 9,
        "A: drug": 5,
        "B: control": 12,
        "B: drug": 7,
    }


# Units, intervals, effects.


@pytest.mark.parametrize(
    ("heading", "cell", "hours"),
    [
        ("week", "2", 336),
        ("Time (days)", "3", 72),
        ("Months", "1", 730.5),
        ("time_hours", "5", 5),
        ("Time", "2 weeks", 336),
    ],
)
def test_times_are_hours(heading: str, cell: str, hours: float):
    table = COUNTS.rename(columns={"agent": "Treatment"}).assign(**{heading: cell})
    tree = load_evidence(table)
    assert set(to_frame(tree, "results")["time_hours"]) == {hours}


@pytest.mark.parametrize(
    "cells", [["0", "0.5 mg/kg"], ["0 mg/kg", "0.5mg/kg"], ["0", "0.5  MG/KG"]]
)
def test_dose_with_its_unit_in_the_cell(cells: list[str]):
    arms = to_frame(load_evidence(COUNTS.assign(dose=cells * 2)), "arms")
    assert arms["dose"].tolist() == [0, 0.5, 0, 0.5]
    assert {unit.casefold().strip() for unit in arms["dose_unit"]} - {""} == {"mg/kg"}


EFFECTS = pd.DataFrame(
    {
        "study": ["A", "B"],
        "agent": "vac",
        "comparator": "placebo",
        "OR": ["0.41", "0.24"],
        "lower": ["0.13", "0.18"],
        "upper": ["1.26", "0.31"],
    }
)


def test_level_of_intervals_is_a_question():
    _, (question,) = load(EFFECTS)
    assert (question.code, question.column) == ("E136", "ci_level")
    assert "ci_level=0.95" in question.hint
    tree, questions = load(EFFECTS, "ci_level=0.95")
    assert not questions
    rows = to_frame(tree, "contrasts")
    assert set(rows["measure"]) == {"log_OR"}
    assert rows["estimate"].to_numpy() == pytest.approx([-0.8916, -1.4271], abs=1e-4)


@pytest.mark.parametrize(
    "headings",
    [
        ("OR", "95% CI lower", "95% CI upper"),
        ("Odds ratio", "lower 95% CI", "upper 95% CI"),
        ("or", "or_lci_95", "or_uci_95"),
        ("OR", "LCL (95%)", "UCL (95%)"),
    ],
)
def test_level_in_the_heading(headings: tuple[str, str, str]):
    frame = renamed(EFFECTS, "study", "agent", "comparator", *headings)
    tree, questions = load(frame)
    assert not questions
    assert (
        tree.attrs["evidence_hash"]
        == load(
            EFFECTS.assign(measure="OR", ci_level="95").rename(
                columns={"OR": "estimate", "lower": "ci_low", "upper": "ci_high"}
            )
        )[0].attrs["evidence_hash"]
    )


@pytest.mark.parametrize("form", ["{} to {}", "({}, {})", "[{}; {}]", "{}\u2013{}", "{}-{}"])
def test_interval_in_one_cell(form: str):
    cells = [form.format(a, b) for a, b in zip(EFFECTS["lower"], EFFECTS["upper"], strict=True)]
    frame = EFFECTS.drop(columns=["lower", "upper"]).assign(**{"95% CI": cells})
    rows = to_frame(load_evidence(frame), "contrasts")
    assert rows["se"].gt(0).all()
    assert set(rows["ci_level"]) == {95}


def test_quartiles_in_one_cell():
    frame = MEANS.drop(columns=["mean", "sd"]).assign(
        Median=["5", "4", "6", "4"], IQR=["3-7", "2-6", "4 to 8", "3-6"]
    )
    rows = to_frame(load_evidence(frame), "results")
    assert rows["q1"].tolist() == [3, 2, 4, 3]
    assert rows["q3"].tolist() == [7, 6, 8, 6]


def test_log_ratio_with_its_error():
    frame = pd.DataFrame({"author": ["A", "B"], "lnHR": ["-0.4", "-0.3"], "selnHR": ["0.2", "0.3"]})
    tree, questions = load(frame, "groups=drug,usual care")
    rows = to_frame(tree, "contrasts")
    assert not questions
    assert rows[["agent", "comparator", "measure", "estimate", "se"]].iloc[0].tolist() == [
        "drug", "usual care", "log_HR", -0.4, 0.2,
    ]  # fmt: skip


# Trials of one name.


@pytest.mark.parametrize("layout", ["arms", "escalc", "author"])
def test_year_tells_trials_apart(layout: str):
    if layout == "escalc":
        frame = pd.DataFrame(
            {"study": ["Lee", "Lee", "Kim"], "year": [2000, 2002, 2000], "ai": [1, 2, 3],
             "n1i": [20, 21, 22], "ci": [4, 5, 6], "n2i": [20, 21, 22]}
        )  # fmt: skip
        expected = {"Lee 2000", "Lee 2002", "Kim"}
    else:
        names = ["Lee"] * 4 + ["Kim"] * 2
        years = [2000, 2000, 2002, 2002, 2000, 2000]
        frame = pd.DataFrame(
            {"author" if layout == "author" else "study": names, "year": years,
             "agent": ["p", "x"] * 3, "events": range(1, 7), "n": 30}
        )  # fmt: skip
        expected = {"Lee 2000", "Lee 2002", "Kim 2000" if layout == "author" else "Kim"}
    tree = load_evidence(frame)
    assert set(to_frame(tree, "studies")["study"]) == expected
    assert any("year" in note for note in tree.attrs["notes"])


def test_number_tells_trials_apart_but_not_results():
    frame = pd.DataFrame(
        {"study": "Lee", "id": [1, 1, 2, 2], "agent": ["p", "x"] * 2, "events": range(4), "n": 30}
    )
    assert len(to_frame(load_evidence(frame), "studies")) == 2
    rows = issues_of(frame.assign(id=range(4)))
    assert {issue.code for issue in rows} == {"E191"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::6])
def test_order_of_columns_makes_no_difference(order):
    frame = renamed(COUNTS, "Study", "Drug", "Events", "N").iloc[:, list(order)]
    assert load(frame)[0].attrs["evidence_hash"] == load_evidence(COUNTS).attrs["evidence_hash"]


def test_an_unlabelled_sd_is_that_of_the_only_outcome():
    frame = pd.DataFrame(
        {
            "Paper": ["A", "A"],
            "Intervention": ["placebo", "x"],
            "Mean pain": ["6", "5"],
            "SD": ["2", "1.5"],
            "Number": ["40", "41"],
        }
    )
    results = to_frame(load_evidence(frame), "results")
    assert results["sd"].tolist() == [2, 1.5]
    assert set(results["outcome"]) == {"pain"}
