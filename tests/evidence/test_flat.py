"""Flat tables: what loads, what is derived, and the error of each invalid table."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, network_issues, to_frame
from nmda_bayes.evidence.describe import evidence_notes
from nmda_bayes.evidence.schema import FLAT, column_table
from tests.evidence.conftest import ARMS

HEAD = "study,agent,dose,events,n\n"
PAIR = "A,placebo,0,2,20\nA,ketamine,0.5,8,21\n"


def test_flat_table_has_the_tables_of_a_base(write):
    tree = load_evidence(write(ARMS))
    assert set(tree.children) == {
        "studies", "arms", "results", "contrasts", "reference_doses", "published",
    }  # fmt: skip
    assert tree.attrs["kind"] == "flat"
    arms, results = to_frame(tree, "arms"), to_frame(tree, "results")
    assert arms["arm"].tolist() == [
        "A: placebo", "A: ketamine 0.5", "B: placebo", "B: ketamine 0.25", "B: ketamine 0.5",
    ]  # fmt: skip
    assert arms["dose"].tolist() == [0, 0.5, 0, 0.25, 0.5]
    assert set(results["kind"]) == {"binary"}
    assert set(results["outcome"]) == {""}
    assert results["line"].tolist() == [2, 3, 4, 5, 6]
    assert set(to_frame(tree, "studies")["condition_group"]) == {"all"}
    assert set(results["arm"]) == set(arms["arm"])


def test_flat_table_has_the_columns_of_a_base(base, write):
    tree = load_evidence(write(ARMS))
    for name in ("studies", "arms", "results", "contrasts", "reference_doses", "published"):
        assert set(to_frame(tree, name)) >= set(to_frame(base, name)) - {"line"}, name


def test_columns_in_the_documentation_are_current():
    text = (Path(__file__).parents[2] / "docs" / "own_data.md").read_text(encoding="utf-8")
    section = text.split("schema.column_table) -->")[1].split("<!--")[0]
    assert section.strip() == column_table(FLAT)


@pytest.mark.parametrize(
    ("columns", "se"),
    [("mean,se,sd,n", "4,0.5,1.6,10"), ("mean,sd,n", "4,2,16"), ("mean,se", "4,0.5")],
)
def test_standard_errors_of_means(write, columns, se):
    text = f"study,agent,{columns}\nA,placebo,{se}\nA,x,{se}\n"
    results = to_frame(load_evidence(write(text)), "results")
    assert results["se_used"].tolist() == [0.5, 0.5]
    assert set(results["kind"]) == {"continuous"}


def test_contrasts(write):
    text = (
        "study,agent,dose,comparator,estimate,se,comparator_se\n"
        "A,x,10,placebo,-1.0,0.4,0.2\nA,x,20,placebo,-1.5,0.4,0.2\n"
    )
    tree = load_evidence(write(text))
    contrasts = to_frame(tree, "contrasts")
    assert len(to_frame(tree, "results")) == 0
    assert contrasts["comparator_dose"].tolist() == [0, 0]
    assert contrasts["comparator_se"].tolist() == [0.2, 0.2]


def test_outcomes_share_arms_and_user_columns_are_kept(write):
    text = (
        "study,agent,outcome,events,n,mean,se,year\n"
        "A,placebo,harm,1,20,,,1999\nA,placebo,pain,,,50,3,1999\n"
        "A,x,harm,4,20,,,1999\nA,x,pain,,,40,3,1999\n"
    )
    tree = load_evidence(write(text))
    results = to_frame(tree, "results")
    assert len(to_frame(tree, "arms")) == 2
    assert results["kind"].tolist() == ["binary", "continuous", "binary", "continuous"]
    assert results["year"].tolist() == [1999] * 4


def test_arm_names_distinguish_equal_arms(write):
    text = "study,agent,arm,mean,se\nA,x,fast,4,1\nA,x,slow,5,1\nA,placebo,p,6,1\n"
    assert to_frame(load_evidence(write(text)), "arms")["arm"].tolist() == [
        "A: fast", "A: slow", "A: p",
    ]  # fmt: skip


def test_markup_in_a_name_is_text(write):
    tree = load_evidence(write(ARMS.replace("A,", "<script>alert(1)</script>,")))
    assert "<script>alert(1)</script>" in set(to_frame(tree, "studies")["study"])


def test_frames_of_any_dtype_are_equal(write):
    frame = pd.read_csv(write(ARMS))
    kinds = [frame, frame.astype(object), frame.astype({"agent": "category"}), frame.astype("str")]
    hashes = {load_evidence(kind).attrs["evidence_hash"] for kind in kinds}
    assert hashes == {load_evidence(write(ARMS)).attrs["evidence_hash"]}


READABLE = {
    "byte order mark": b"\xef\xbb\xbf" + ARMS.encode(),
    "windows line ends": ARMS.replace("\n", "\r\n").encode(),
    "latin-1 letters": ARMS.replace("A,", "Kleinb\xf6hl,").encode("latin-1"),
    "utf-16": ARMS.encode("utf-16"),
    "semicolons and decimal commas": ARMS.replace(".", ";").replace(",", "|").replace(";", ",")
    .replace("|", ";").encode(),
    "tabs": ARMS.replace(",", "\t").encode(),
    "blank lines and spaces": ARMS.replace(",", " , ").replace("\nB", "\n\nB").encode(),
    "trailing commas": ARMS.replace("\n", ",,\n").replace("n,,", "n").encode(),
    "quoted cells": ARMS.replace("ketamine", '"ketamine"').encode(),
    "no newline at the end": ARMS.strip().encode(),
}  # fmt: skip


@pytest.mark.parametrize("content", READABLE.values(), ids=READABLE)
def test_text_encodings_and_separators(write, content):
    arms = to_frame(load_evidence(write(content)), "arms")
    assert arms["dose"].tolist() == [0, 0.5, 0, 0.25, 0.5]


def test_latin_letters_are_kept(write):
    tree = load_evidence(write(READABLE["latin-1 letters"]))
    assert "Kleinb\xf6hl" in set(to_frame(tree, "studies")["study"])


#: What is wrong: the file, and the place and code of the error.
INVALID = {
    "empty": ("", None, "", "E102"),
    "only blank lines": ("\n \n", None, "", "E102"),
    "header only": (HEAD, None, "", "E102"),
    "binary": (b"PK\x03\x04\x00\x00zip", None, "", "E101"),
    "excel-like bytes": (b"\x00\x01\x02" * 50, None, "", "E101"),
    "missing column": (HEAD.replace("agent", "agnet") + PAIR, None, "agent", "E111"),
    "no results": ("study,agent,note\nA,x,1\n", 1, "events", "E113"),
    "incomplete results": ("study,agent,events\nA,x,1\n", None, "n", "E111"),
    "wrong type": (HEAD + PAIR.replace(",8,", ",eight,"), 3, "events", "E121"),
    "infinite": (HEAD + PAIR.replace(",8,", ",inf,"), 3, "events", "E121"),
    "no number at all": ("study,agent,mean,se\nA,p,low,1\nA,x,high,1\n", None, "mean", "E121"),
    "not a number": (HEAD + PAIR.replace(",8,", ",NaN,"), 3, "events", "E120"),
    "events above n": (HEAD + PAIR.replace(",8,", ",22,"), 3, "events", "E125"),
    "negative events": (HEAD + PAIR.replace(",8,", ",-8,"), 3, "events", "E123"),
    "negative dose": (HEAD + PAIR.replace("0.5", "-0.5"), 3, "dose", "E123"),
    "n of 0": (HEAD + PAIR.replace(",21", ",0"), 3, "n", "E123"),
    "half a person": (HEAD + PAIR.replace(",21", ",20.5"), 3, "n", "E122"),
    "missing n": (HEAD + PAIR.replace(",21", ","), 3, "n", "E120"),
    "missing study": (HEAD + PAIR.replace("A,ket", ",ket"), 3, "study", "E120"),
    "missing agent": (HEAD + PAIR.replace("ketamine", ""), 3, "agent", "E120"),
    "negative se": ("study,agent,mean,se\nA,p,1,1\nA,x,1,-1\n", 3, "se", "E123"),
    "se of 0": ("study,agent,mean,se\nA,p,1,1\nA,x,1,0\n", 3, "se", "E123"),
    "negative sd": ("study,agent,mean,sd,n\nA,p,1,1,5\nA,x,1,-1,5\n", 3, "sd", "E123"),
    "no dispersion": ("study,agent,mean,se\nA,p,1,1\nA,x,1,\n", 3, "se", "E133"),
    "row without a result": ("study,agent,mean,se\nA,p,1,1\nA,x,,\n", 3, "mean", "E149"),
    "duplicate arm": (HEAD + PAIR + "A,ketamine,0.5,8,21\n", 4, "agent", "E128"),
    "duplicate named arm": ("study,agent,arm,mean,se\nA,p,p,1,1\nA,p,p,1,1\n", 3, "arm", "E128"),
    "an arm with two agents": (
        "study,agent,arm,outcome,mean,se\nA,p,arm1,a,1,1\nA,x,arm1,b,1,1\n",
        3,
        "agent",
        "E129",
    ),
    "a study with two conditions": (
        "study,agent,condition,mean,se\nA,p,crps,1,1\nA,x,sciatica,1,1\n",
        3,
        "condition",
        "E129",
    ),
    "duplicate column": ("study,agent,events,n,n\nA,x,1,2,2\n", 1, "n", "E107"),
    "column without a name": ("study,agent,,events,n\nA,x,1,2,2\n", 1, "#3", "E106"),
    "two headers": (HEAD + HEAD + PAIR, 2, "", "E109"),
    "a row of units": (HEAD + "text,text,mg/kg,count,count\n" + PAIR, 2, "dose", "E121"),
    "ragged row": (HEAD + "A,placebo,0,2\n" + PAIR, 2, "", "E110"),
    "too many cells": (HEAD + "A,Smith, ket,0.5,2,20\n" + PAIR, 2, "", "E110"),
    "contrast without se": ("study,agent,comparator,estimate,se\nA,x,p,1,\n", 2, "se", "E133"),
    "self-comparison": ("study,agent,comparator,estimate,se\nA,x,x,1,1\n", 2, "comparator", "E144"),
    "duplicate contrast": (
        "study,agent,comparator,estimate,se\nA,x,p,1,1\nA,x,p,1,1\n",
        3,
        "estimate",
        "E127",
    ),
    "comparator se too large": (
        "study,agent,comparator,estimate,se,comparator_se\nA,x,p,1,1,2\n",
        2,
        "comparator_se",
        "E146",
    ),
    "reversed scale": (
        "study,agent,mean,se,scale_min,scale_max\nA,x,1,1,10,0\n",
        2,
        "scale_max",
        "E134",
    ),
}


@pytest.mark.parametrize(("content", "row", "column", "code"), INVALID.values(), ids=INVALID)
def test_invalid_table_is_rejected(write, issues_of, content, row, column, code):
    path = write(content)
    issues = [issue for issue in issues_of(path) if issue.code == code]
    assert issues
    assert (issues[0].row, issues[0].column, issues[0].file) == (row, column, path.name)
    assert issues[0].hint


def test_all_errors_are_reported_at_once(write, issues_of):
    text = HEAD + "A,placebo,-1,2,20\n,ketamine,x,30,21\nA,b,1,1,0\n"
    places = {(issue.row, issue.column) for issue in issues_of(write(text))}
    assert places >= {(2, "dose"), (3, "study"), (3, "dose"), (3, "events"), (4, "n")}


def test_repeated_errors_are_counted(write, issues_of):
    text = HEAD + "".join(f"S{i},x,1,9,5\n" for i in range(300))
    issues = issues_of(write(text))
    assert len(issues) == 21
    assert {issue.code for issue in issues} == {"E125"}
    assert issues[-1].row is None
    assert "280" in issues[-1].message


def test_invalid_frame_is_rejected(issues_of):
    frame = pd.DataFrame({"study": ["A"], "agent": ["x"], "events": [3], "n": [2]})
    (issue,) = issues_of(frame)
    assert (issue.code, issue.row, issue.column) == ("E125", 2, "events")
    assert "data frame" in issue.file
    twice = pd.DataFrame([["A", "x", 1, 2, 2]], columns=["study", "agent", "events", "n", "n"])
    assert issues_of(twice)[0].code == "E107"
    assert issues_of(frame.iloc[:0])[0].code == "E102"


def test_missing_file_is_rejected(tmp_path, issues_of):
    (issue,) = issues_of(tmp_path / "none.csv")
    assert issue.code == "E100"
    with pytest.raises(TypeError, match="int"):
        load_evidence(3)  # type: ignore[arg-type]


ONE_ARM = HEAD + PAIR + "C,ketamine,1,3,9\n"
ISLANDS = HEAD + PAIR + "C,x,1,3,9\nC,y,1,3,9\n"
NO_PLACEBO = HEAD + "C,x,1,3,9\nC,y,1,3,9\n"


@pytest.mark.parametrize(
    ("content", "rows"),
    [(ONE_ARM, {4}), (ISLANDS, {None}), (NO_PLACEBO, {None})],
    ids=["one arm", "disconnected", "no placebo"],
)
def test_incomplete_network_loads_with_issues(write, content, rows):
    tree = load_evidence(write(content))
    assert {issue.row for issue in network_issues(tree)} == rows


def test_connected_network_has_no_issues(write):
    assert network_issues(load_evidence(write(ARMS))) == []
    assert network_issues(load_evidence(write(NO_PLACEBO)), reference="x") == []


def test_doses_of_one_agent_are_a_comparison(write):
    text = HEAD + "A,ketamine,0.5,8,21\nA,ketamine,1,9,21\n"
    assert all(issue.row is None for issue in network_issues(load_evidence(write(text))))


def counts(arms: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = rng.integers(10, 200, arms)
    return pd.DataFrame(
        {
            "study": [f"S{i // 2}" for i in range(arms)],
            "agent": np.tile(["placebo", "x"], arms // 2),
            "dose": np.tile([0.0, 1.0], arms // 2),
            "events": rng.binomial(n, 0.3),
            "n": n,
        }
    )


@pytest.mark.parametrize("wrong", [False, True])
def test_time_is_linear_in_the_rows(wrong):

    def seconds(frame: pd.DataFrame) -> float:
        if wrong:
            frame = frame.assign(events=frame["n"] + 1, dose="?")
            frame.loc[0, "dose"] = "0"
        start = time.process_time()
        try:
            load_evidence(frame)
        except EvidenceError as error:
            assert wrong
            assert len(error.issues) < 100
        return time.process_time() - start

    small, large = (min(seconds(counts(arms)) for _ in range(3)) for arms in (2_000, 20_000))
    assert large <= 15 * small


def test_mutated_text_loads_or_is_rejected(write):
    rng = np.random.default_rng(2)
    letters = np.array(list(',;\n"\t0.9-aA\xe9\x00'))
    for _ in range(60):
        text = list(ARMS)
        for position in rng.integers(0, len(text), rng.integers(1, 6)):
            text[position] = str(rng.choice(letters))
        try:
            load_evidence(write("".join(text).encode("latin-1")))
        except EvidenceError as error:
            assert all(issue.hint for issue in error.issues)


METHODS = {
    "a t-interval": ("mean,ci_low,ci_high,ci_level,n", "4,3,5,95,20",
                     2 / (2 * 2.0930240544), "95% CI, t with n - 1 df"),
    "a normal interval": ("mean,ci_low,ci_high,ci_level", "4,3,5,0.9",
                          2 / (2 * 1.6448536270), "90% CI, normal"),
    "quartiles": ("median,q1,q3,n", "4,3,5,20",
                  1 / NormalDist().inv_cdf(14.875 / 20.25) / np.sqrt(20),
                  "imputed from quartiles: SD Wan 2014"),
    "a change": ("change_mean,change_sd,n", "-4,3,9", 1, "sd of the change and n"),
    "before and after": ("pre_mean,pre_sd,post_mean,post_sd,pre_post_correlation,n",
                         "50,4,40,3,0.5,13", 1,
                         "sd before and after with their correlation, and n"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "cells", "se", "method"), METHODS.values(), ids=METHODS)
def test_derived_standard_errors_of_arms(write, columns, cells, se, method):
    text = f"study,agent,{columns}\nA,placebo,{cells}\nA,x,{cells}\n"
    results = to_frame(load_evidence(write(text)), "results")
    assert results["se_used"].to_numpy() == pytest.approx([se, se], rel=1e-6)
    assert set(results["se_from"]) == {method}
    assert results["sd_relative_se"].notna().all() == method.startswith("imputed")


@pytest.mark.parametrize(
    ("columns", "cells", "estimate", "se", "method"),
    [
        ("measure,ci_low,ci_high,ci_level", "OR,1.1,3.64,95", np.log(2),
         np.log(3.64 / 1.1) / (2 * 1.959964), "95% CI, normal"),
        ("p", "0.03", 2, 2 / 2.1700904, "p, normal"),
        ("p,df", "0.03,10", 2, 2 / 2.5274842, "p, t with the given df"),
        ("t", "-2.5", 2, 0.8, "t statistic"),
        ("f", "6.25", 2, 0.8, "F statistic"),
        ("se,p", "0.9,<0.05", 2, 0.9, "printed"),
    ],
)  # fmt: skip
def test_derived_standard_errors_of_contrasts(write, columns, cells, estimate, se, method):
    text = f"study,agent,comparator,estimate,{columns}\nA,x,placebo,2,{cells}\n"
    row = to_frame(load_evidence(write(text)), "contrasts").iloc[0]
    assert row["estimate"] == pytest.approx(estimate)
    assert row["se"] == pytest.approx(se, rel=1e-6)
    assert row["se_from"] == method


CONTRAST = "study,agent,comparator,estimate,"
INVALID_DISPERSION = {
    "no level": (CONTRAST + "ci_low,ci_high\nA,x,p,2,1,3\n", "ci_level", "E136"),
    "no level in a row": (CONTRAST + "ci_low,ci_high,ci_level\nA,x,p,2,1,3,\n", "ci_level", "E136"),
    "one end": (CONTRAST + "ci_low,ci_high,ci_level\nA,x,p,2,1,,95\n", "ci_high", "E135"),
    "an undeclared ratio": (
        CONTRAST + "ci_low,ci_high,ci_level\nA,x,p,2.00,1.10,3.64,95\n",
        "ci_high",
        "E138",
    ),
    "a ratio below 0": (CONTRAST + "se,measure\nA,x,p,-2,1,OR\n", "estimate", "E141"),
    "an unknown ratio measure": (
        CONTRAST + "se,measure\nA,x,p,2,1,Odds ratio\n",
        "measure",
        "E142",
    ),
    "a bound": (CONTRAST + "p\nA,x,p,2,<0.05\n", "p", "E121"),
    "contradiction": (CONTRAST + "se,t\nA,x,p,2.00,1.00,5.00\n", "se", "E140"),
    "sd against se": ("study,agent,mean,se,sd,n\nA,x,4,0.50,9.00,10\n", "se", "E140"),
    "quartiles out of order": ("study,agent,median,q1,q3,n\nA,x,4,5,3,9\n", "q1", "E139"),
    "a change without a correlation": (
        "study,agent,pre_mean,pre_sd,post_mean,post_sd,pre_post_correlation,n\nA,x,5,1,4,1,,9\n",
        "pre_post_correlation",
        "E193",
    ),
    "a period without crossover": ("study,agent,mean,se,period\nA,x,1,1,first\n", "period", "E145"),
}


@pytest.mark.parametrize(
    ("text", "column", "code"), INVALID_DISPERSION.values(), ids=INVALID_DISPERSION
)
def test_invalid_dispersion_is_rejected(write, issues_of, text, column, code):
    issues = [issue for issue in issues_of(write(text)) if issue.code == code]
    assert issues[0].column == column
    assert issues[0].hint


def test_contradiction_shows_both_values(write, issues_of):
    (issue,) = issues_of(write(CONTRAST + "se,t\nA,x,p,2.00,1.00,5.00\n"))
    assert (issue.code, issue.row) == ("E140", 2)
    assert "0.4" in issue.message


def test_rounding_is_not_a_contradiction(write):
    text = "study,agent,comparator,estimate,se,p\nA,x,placebo,-3.1,1.4,0.03\n"
    assert to_frame(load_evidence(write(text)), "contrasts")["se_from"].tolist() == ["printed"]


def test_times_without_treatment_end_are_noted(write):
    text = "study,agent,time_hours,events,n\nA,placebo,24,1,9\nA,x,24,2,9\n"
    (note,) = evidence_notes(load_evidence(write(text)))
    assert (note.column, note.row) == ("time_hours", 2)
    dated = text.replace("n\n", "n,treatment_days\n", 1).replace("9\n", "9,1\n")
    assert not [*evidence_notes(load_evidence(write(dated)))]


def test_crossover_columns_are_kept(write):
    text = (
        "study,agent,design,period,correlation,mean,sd,n\n"
        "A,placebo,crossover,all,.5,4,3,20\nA,x,crossover,all,.5,5,4,20\n"
    )
    tree = load_evidence(write(text))
    assert to_frame(tree, "studies")["design"].tolist() == ["crossover"]
    assert (
        to_frame(tree, "results")[["period", "correlation"]].to_numpy().tolist()
        == [["all", 0.5]] * 2
    )
