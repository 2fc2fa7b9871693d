"""Bring your own: what reads, and every way a table can be wrong, with its message."""

from __future__ import annotations

import re
import time
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, network_faults, table
from nmda_bayes.evidence.notes import evidence_notes
from tests.evidence.conftest import ARMS

HEAD = "study,agent,dose,events,n\n"
PAIR = "A,placebo,0,2,20\nA,ketamine,0.5,8,21\n"


def test_arms_become_the_same_tree_as_a_base(write):
    tree = load_evidence(write(ARMS))
    assert set(tree.children) == {
        "studies", "arms", "results", "contrasts", "reference_doses", "published",
    }  # fmt: skip
    assert tree.attrs["kind"] == "flat"
    arms, results = table(tree, "arms"), table(tree, "results")
    assert arms["arm"].tolist() == [
        "A: placebo", "A: ketamine 0.5", "B: placebo", "B: ketamine 0.25", "B: ketamine 0.5",
    ]  # fmt: skip
    assert arms["dose"].tolist() == [0, 0.5, 0, 0.25, 0.5]
    assert set(results["kind"]) == {"binary"}
    assert set(results["outcome"]) == {""}
    assert results["line"].tolist() == [2, 3, 4, 5, 6]
    assert set(table(tree, "studies")["condition_group"]) == {"all"}
    assert set(results["arm"]) == set(arms["arm"])


def test_the_base_has_no_column_that_a_flat_table_lacks(base, write):
    tree = load_evidence(write(ARMS))
    for name in ("studies", "arms", "results", "contrasts", "reference_doses", "published"):
        assert set(table(tree, name)) >= set(table(base, name)) - {"line"}, name


@pytest.mark.parametrize(
    ("columns", "se"),
    [("mean,se,sd,n", "4,0.5,1.6,10"), ("mean,sd,n", "4,2,16"), ("mean,se", "4,0.5")],
)
def test_means_come_with_their_standard_error(write, columns, se):
    text = f"study,agent,{columns}\nA,placebo,{se}\nA,x,{se}\n"
    results = table(load_evidence(write(text)), "results")
    assert results["se_used"].tolist() == [0.5, 0.5]
    assert set(results["kind"]) == {"continuous"}


def test_contrasts(write):
    text = (
        "study,agent,dose,comparator,estimate,se,comparator_se\n"
        "A,x,10,placebo,-1.0,0.4,0.2\nA,x,20,placebo,-1.5,0.4,0.2\n"
    )
    tree = load_evidence(write(text))
    contrasts = table(tree, "contrasts")
    assert len(table(tree, "results")) == 0
    assert contrasts["comparator_dose"].tolist() == [0, 0]
    assert contrasts["comparator_se"].tolist() == [0.2, 0.2]


def test_several_outcomes_share_their_arms_and_own_columns_are_kept(write):
    text = (
        "study,agent,outcome,events,n,mean,se,year\n"
        "A,placebo,harm,1,20,,,1999\nA,placebo,pain,,,50,3,1999\n"
        "A,x,harm,4,20,,,1999\nA,x,pain,,,40,3,1999\n"
    )
    tree = load_evidence(write(text))
    results = table(tree, "results")
    assert len(table(tree, "arms")) == 2
    assert results["kind"].tolist() == ["binary", "continuous", "binary", "continuous"]
    assert results["year"].tolist() == [1999] * 4


def test_arm_names_tell_equal_arms_apart(write):
    text = "study,agent,arm,mean,se\nA,x,fast,4,1\nA,x,slow,5,1\nA,placebo,p,6,1\n"
    assert table(load_evidence(write(text)), "arms")["arm"].tolist() == [
        "A: fast", "A: slow", "A: p",
    ]  # fmt: skip


def test_a_name_that_looks_like_code_stays_text(write):
    tree = load_evidence(write(ARMS.replace("A,", "<script>alert(1)</script>,")))
    assert "<script>alert(1)</script>" in set(table(tree, "studies")["study"])


def test_frames_of_any_dtype_read_alike(write):
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
def test_files_saved_anywhere_read(write, content):
    arms = table(load_evidence(write(content)), "arms")
    assert arms["dose"].tolist() == [0, 0.5, 0, 0.25, 0.5]


def test_latin_letters_survive(write):
    tree = load_evidence(write(READABLE["latin-1 letters"]))
    assert "Kleinb\xf6hl" in set(table(tree, "studies")["study"])


#: What is wrong, the file, and (row, column, message) of the fault.
BAD = {
    "empty": ("", None, "", "the file is empty"),
    "only blank lines": ("\n \n", None, "", "the file is empty"),
    "header only": (HEAD, None, "", "a header and no rows"),
    "binary": (b"PK\x03\x04\x00\x00zip", None, "", "not a text file"),
    "excel-like bytes": (b"\x00\x01\x02" * 50, None, "", "not a text file"),
    "missing column": (HEAD.replace("agent", "agnet") + PAIR, None, "agent",
                       "'agent' is missing. Did you mean 'agnet'"),
    "capital letter": (HEAD.replace("study", "Study") + PAIR, None, "study",
                       "Rename 'Study' to 'study'"),
    "no reading": ("study,agent,note\nA,x,1\n", 1, "events", "no column says what was seen"),
    "half a reading": ("study,agent,events\nA,x,1\n", None, "n", "'n' is missing"),
    "wrong type": (HEAD + PAIR.replace(",8,", ",eight,"), 3, "events",
                   "'eight' is not a finite number"),
    "infinite": (HEAD + PAIR.replace(",8,", ",inf,"), 3, "events", "'inf' is not a finite"),
    "no number at all": ("study,agent,mean,se\nA,p,low,1\nA,x,high,1\n", None, "mean",
                         "no cell of the column is a number"),
    "not a number": (HEAD + PAIR.replace(",8,", ",NaN,"), 3, "events", "nothing stands here"),
    "events above n": (HEAD + PAIR.replace(",8,", ",22,"), 3, "events", "more events than people"),
    "negative events": (HEAD + PAIR.replace(",8,", ",-8,"), 3, "events", "negative"),
    "negative dose": (HEAD + PAIR.replace("0.5", "-0.5"), 3, "dose", "negative"),
    "nobody": (HEAD + PAIR.replace(",21", ",0"), 3, "n", "a group of nobody"),
    "half a person": (HEAD + PAIR.replace(",21", ",20.5"), 3, "n", "not a whole number"),
    "missing n": (HEAD + PAIR.replace(",21", ","), 3, "n", "nothing stands here"),
    "missing study": (HEAD + PAIR.replace("A,ket", ",ket"), 3, "study", "nothing stands here"),
    "missing agent": (HEAD + PAIR.replace("ketamine", ""), 3, "agent", "nothing stands here"),
    "negative se": ("study,agent,mean,se\nA,p,1,1\nA,x,1,-1\n", 3, "se", "negative"),
    "se of 0": ("study,agent,mean,se\nA,p,1,1\nA,x,1,0\n", 3, "se", "a standard error of 0"),
    "negative sd": ("study,agent,mean,sd,n\nA,p,1,1,5\nA,x,1,-1,5\n", 3, "sd", "negative"),
    "no spread": ("study,agent,mean,se\nA,p,1,1\nA,x,1,\n", 3, "se", "a mean without its se"),
    "silent row": ("study,agent,mean,se\nA,p,1,1\nA,x,,\n", 3, "mean", "says nothing"),
    "duplicate arm": (HEAD + PAIR + "A,ketamine,0.5,8,21\n", 4, "agent",
                      "two rows for arm 'ketamine 0.5'"),
    "duplicate named arm": ("study,agent,arm,mean,se\nA,p,p,1,1\nA,p,p,1,1\n", 3, "arm",
                            "two rows for arm 'p'"),
    "an arm that is two things": (
        "study,agent,arm,outcome,mean,se\nA,p,one,a,1,1\nA,x,one,b,1,1\n", 3, "agent",
        "arm 'one' has agent 'x' here and 'p' above"),
    "a study with two conditions": (
        "study,agent,condition,mean,se\nA,p,crps,1,1\nA,x,sciatica,1,1\n", 3, "condition",
        "study 'A' has condition 'sciatica' here"),
    "column twice": ("study,agent,events,n,n\nA,x,1,2,2\n", 1, "n", "the column stands twice"),
    "nameless column": ("study,agent,,events,n\nA,x,1,2,2\n", 1, "#3", "has no name"),
    "two headers": (HEAD + HEAD + PAIR, 2, "", "the header stands here again"),
    "a row of units": (HEAD + "text,text,mg/kg,count,count\n" + PAIR, 2, "dose",
                       "Delete the row if it is a second header"),
    "ragged row": (HEAD + "A,placebo,0,2\n" + PAIR, 2, "", "the row has 4 cells, the header 5"),
    "too many cells": (HEAD + "A,Smith, ket,0.5,2,20\n" + PAIR, 2, "", "has 6 cells"),
    "contrast without se": ("study,agent,comparator,estimate,se\nA,x,p,1,\n", 2, "se",
                            "nothing stands here"),
    "contrast with itself": ("study,agent,comparator,estimate,se\nA,x,x,1,1\n", 2, "comparator",
                             "compared with itself"),
    "contrast twice": ("study,agent,comparator,estimate,se\nA,x,p,1,1\nA,x,p,1,1\n", 3,
                       "estimate", "has this contrast twice"),
    "comparator se too large": (
        "study,agent,comparator,estimate,se,comparator_se\nA,x,p,1,1,2\n", 2, "comparator_se",
        "larger than the se of the contrast"),
    "capital in an optional column": (HEAD.replace("dose", "Dose") + PAIR, 1, "Dose",
                                      "Rename it to 'dose'"),
    "scale upside down": ("study,agent,mean,se,scale_min,scale_max\nA,x,1,1,10,0\n", 2,
                          "scale_max", "ends below its beginning"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "row", "column", "message"), BAD.values(), ids=BAD)
def test_a_wrong_table_is_refused_with_place_and_mend(
    write, faults_of, content, row, column, message
):
    path = write(content)
    faults = faults_of(path)
    hit = [f for f in faults if re.search(re.escape(message), str(f))]
    assert hit, faults
    assert (hit[0].row, hit[0].column, hit[0].file) == (row, column, path.name)
    assert hit[0].mend


def test_all_faults_come_at_once(write, faults_of):
    text = HEAD + "A,placebo,-1,2,20\n,ketamine,x,30,21\nA,b,1,1,0\n"
    found = {(f.row, f.column) for f in faults_of(write(text))}
    assert found >= {(2, "dose"), (3, "study"), (3, "dose"), (3, "events"), (4, "n")}


def test_many_like_faults_are_counted(write, faults_of):
    text = HEAD + "".join(f"S{i},x,1,9,5\n" for i in range(300))
    faults = faults_of(write(text))
    assert len(faults) == 21
    assert "280 more rows" in faults[-1].message


def test_frames_are_refused_alike(faults_of):
    frame = pd.DataFrame({"study": ["A"], "agent": ["x"], "events": [3], "n": [2]})
    (fault,) = faults_of(frame)
    assert (fault.row, fault.column) == (2, "events")
    assert "data frame" in fault.file
    twice = pd.DataFrame([["A", "x", 1, 2, 2]], columns=["study", "agent", "events", "n", "n"])
    assert "twice" in str(faults_of(twice)[0])
    assert "no rows" in str(faults_of(frame.iloc[:0])[0])


def test_a_path_that_leads_nowhere(tmp_path, faults_of):
    assert "no such file" in str(faults_of(tmp_path / "none.csv")[0])
    with pytest.raises(TypeError, match="int"):
        load_evidence(3)  # type: ignore[arg-type]


ONE_ARM = HEAD + PAIR + "C,ketamine,1,3,9\n"
ISLANDS = HEAD + PAIR + "C,x,1,3,9\nC,y,1,3,9\n"
NO_PLACEBO = HEAD + "C,x,1,3,9\nC,y,1,3,9\n"


@pytest.mark.parametrize(
    ("content", "row", "message"),
    [
        (ONE_ARM, 4, "study 'C' has one arm"),
        (ISLANDS, None, "falls into 2 parts"),
        (ISLANDS, None, "only among themselves: x, y"),
        (NO_PLACEBO, None, "no arm is 'placebo'"),
    ],
)
def test_one_arm_and_broken_networks_load_and_are_told_apart(write, content, row, message):
    tree = load_evidence(write(content))
    hit = [f for f in network_faults(tree) if message in str(f)]
    assert len(hit) == 1
    assert hit[0].row == row


def test_a_sound_network_has_no_fault(write):
    assert network_faults(load_evidence(write(ARMS))) == []
    assert network_faults(load_evidence(write(NO_PLACEBO)), reference="x") == []


def test_doses_of_one_agent_make_a_comparison(write):
    text = HEAD + "A,ketamine,0.5,8,21\nA,ketamine,1,9,21\n"
    messages = [str(f) for f in network_faults(load_evidence(write(text)))]
    assert not any("one arm" in message for message in messages)


def many(arms: int) -> pd.DataFrame:
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
def test_the_time_grows_with_the_rows_and_no_faster(wrong):
    """Ten times the arms, at most fifteen times the work: processor time, the best of three."""

    def seconds(frame: pd.DataFrame) -> float:
        if wrong:
            frame = frame.assign(events=frame["n"] + 1, dose="?")
            frame.loc[0, "dose"] = "0"
        start = time.process_time()
        try:
            load_evidence(frame)
        except EvidenceError as refused:
            assert wrong
            assert len(refused.faults) < 100
        return time.process_time() - start

    small, large = (min(seconds(many(arms)) for _ in range(3)) for arms in (2_000, 20_000))
    assert large <= 15 * small


def test_no_text_crashes_the_reader(write):
    """Mutated tables load, or are refused; nothing else."""
    rng = np.random.default_rng(2)
    letters = np.array(list(',;\n"\t0.9-aA\xe9\x00'))
    for _ in range(60):
        text = list(ARMS)
        for place in rng.integers(0, len(text), rng.integers(1, 6)):
            text[place] = str(rng.choice(letters))
        try:
            load_evidence(write("".join(text).encode("latin-1")))
        except EvidenceError as refused:
            assert all(fault.mend for fault in refused.faults)


WAYS = {
    "a t-interval": ("mean,ci_low,ci_high,ci_level,n", "4,3,5,95,20",
                     2 / (2 * 2.0930240544), "95 % interval, t with n - 1 degrees of freedom"),
    "a normal interval": ("mean,ci_low,ci_high,ci_level", "4,3,5,0.9",
                          2 / (2 * 1.6448536270), "90 % interval, normal"),
    "quartiles": ("median,q1,q3,n", "4,3,5,20",
                  1 / NormalDist().inv_cdf(14.875 / 20.25) / np.sqrt(20),
                  "imputed from quartiles: SD Wan 2014"),
    "a change": ("change_mean,change_sd,n", "-4,3,9", 1, "sd of the change and n"),
    "before and after": ("pre_mean,pre_sd,post_mean,post_sd,pre_post_correlation,n",
                         "50,4,40,3,0.5,13", 1,
                         "sd before and after with their correlation, and n"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "cells", "se", "way"), WAYS.values(), ids=WAYS)
def test_a_standard_error_is_worked_out_and_says_how(write, columns, cells, se, way):
    text = f"study,agent,{columns}\nA,placebo,{cells}\nA,x,{cells}\n"
    results = table(load_evidence(write(text)), "results")
    assert results["se_used"].to_numpy() == pytest.approx([se, se], rel=1e-6)
    assert set(results["se_from"]) == {way}
    assert results["sd_relative_se"].notna().all() == way.startswith("imputed")


@pytest.mark.parametrize(
    ("columns", "cells", "estimate", "se", "way"),
    [
        ("measure,ci_low,ci_high,ci_level", "OR,1.1,3.64,95", np.log(2),
         np.log(3.64 / 1.1) / (2 * 1.959964), "95 % interval, normal"),
        ("p", "0.03", 2, 2 / 2.1700904, "p, normal"),
        ("p,df", "0.03,10", 2, 2 / 2.5274842, "p, t with the degrees of freedom given"),
        ("t", "-2.5", 2, 0.8, "t statistic"),
        ("f", "6.25", 2, 0.8, "F statistic"),
        ("se,p", "0.9,<0.05", 2, 0.9, "printed"),
    ],
)  # fmt: skip
def test_a_contrast_has_many_ways_to_its_standard_error(write, columns, cells, estimate, se, way):
    text = f"study,agent,comparator,estimate,{columns}\nA,x,placebo,2,{cells}\n"
    row = table(load_evidence(write(text)), "contrasts").iloc[0]
    assert row["estimate"] == pytest.approx(estimate)
    assert row["se"] == pytest.approx(se, rel=1e-6)
    assert row["se_from"] == way


C = "study,agent,comparator,estimate,"
SPREADS = {
    "no level": (C + "ci_low,ci_high\nA,x,p,2,1,3\n", "ci_level", "is missing"),
    "no level in a row": (C + "ci_low,ci_high,ci_level\nA,x,p,2,1,3,\n", "ci_level",
                          "an interval without its level"),
    "one end": (C + "ci_low,ci_high,ci_level\nA,x,p,2,1,,95\n", "ci_high", "one end"),
    "an undeclared ratio": (C + "ci_low,ci_high,ci_level\nA,x,p,2.00,1.10,3.64,95\n", "ci_high",
                            "not symmetric"),
    "a ratio below 0": (C + "se,measure\nA,x,p,-2,1,OR\n", "estimate", "a ratio is above 0"),
    "a ratio in other words": (C + "se,measure\nA,x,p,2,1,Odds ratio\n", "measure",
                               "may be a ratio"),
    "a bound": (C + "p\nA,x,p,2,<0.05\n", "p", "'<0.05' is not a number"),
    "contradiction": (C + "se,t\nA,x,p,2.00,1.00,5.00\n", "se", "gives 0.4, printed 1"),
    "sd against se": ("study,agent,mean,se,sd,n\nA,x,4,0.50,9.00,10\n", "se",
                      "sd and n gives 2.846, printed 0.5"),
    "quartiles out of order": ("study,agent,median,q1,q3,n\nA,x,4,5,3,9\n", "q1",
                              "q1 is larger than q3"),
    "a change without a correlation": (
        "study,agent,pre_mean,pre_sd,post_mean,post_sd,pre_post_correlation,n\n"
        "A,x,5,1,4,1,,9\n", "change_sd", "a change without its spread"),
    "a period of no crossover": ("study,agent,mean,se,period\nA,x,1,1,first\n", "period",
                                 "not called a crossover"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message"), SPREADS.values(), ids=SPREADS)
def test_a_spread_that_says_nothing_sure_is_refused(write, faults_of, text, column, message):
    hit = [fault for fault in faults_of(write(text)) if message in str(fault)]
    assert [fault.column for fault in hit] == [column]
    assert hit[0].mend


def test_rounding_is_no_contradiction(write):
    text = "study,agent,comparator,estimate,se,p\nA,x,placebo,-3.1,1.4,0.03\n"
    assert table(load_evidence(write(text)), "contrasts")["se_from"].tolist() == ["printed"]


def test_times_that_no_rule_can_place_are_told(write):
    text = "study,agent,time_hours,events,n\nA,placebo,24,1,9\nA,x,24,2,9\n"
    (note,) = evidence_notes(load_evidence(write(text)))
    assert (note.column, note.row) == ("time_hours", 2)
    assert "2 rows" in note.message
    placed = text.replace("n\n", "n,treatment_days\n", 1).replace("9\n", "9,1\n")
    assert not [*evidence_notes(load_evidence(write(placed)))]


def test_a_crossover_passes_through(write):
    text = (
        "study,agent,design,period,correlation,mean,sd,n\n"
        "A,placebo,crossover,all,.5,4,3,20\nA,x,crossover,all,.5,5,4,20\n"
    )
    tree = load_evidence(write(text))
    assert table(tree, "studies")["design"].tolist() == ["crossover"]
    assert (
        table(tree, "results")[["period", "correlation"]].to_numpy().tolist() == [["all", 0.5]] * 2
    )
