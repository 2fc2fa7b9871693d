"""Layouts that are found by the words of their headings: groups, arms, effects, dose-response."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import FORMATS, ImportOptions, parse_options
from nmda_bayes.evidence.importers.base import DETECTORS
from nmda_bayes.evidence.importers.dosresmeta import fitted_cases, referent_errors


def table(text: str) -> pd.DataFrame:
    """A table written as lines of cells."""
    header, *rows = [line.split(",") for line in text.split()]
    return pd.DataFrame(rows, columns=header)


def arms(tree) -> dict[tuple[str, str], tuple[float, float]]:
    """Events and people by study and agent."""
    rows = to_frame(tree, "results").merge(to_frame(tree, "arms")[["arm", "agent"]], on="arm")
    keys = zip(rows["study"], rows["agent"], strict=True)
    return dict(zip(keys, zip(rows["events"], rows["n"], strict=True), strict=True))


# Two groups side by side.

#: Headings of events and people in the treated group and in the control, and the groups' names.
COUNT_HEADINGS = {
    "event.e,n.e,event.c,n.c": ("experimental", "control"),
    "Ee,Ne,Ec,Nc": ("experimental", "control"),
    "xt,nt,xc,nc": ("experimental", "control"),
    "xTi,nTi,xCi,nCi": ("experimental", "control"),
    "event1,n1,event2,n2": ("experimental", "control"),
    "d.asp,n.asp,d.plac,n.plac": ("asp", "placebo"),
    "relapse.gum,n.gum,relapse.ctrl,n.ctrl": ("gum", "control"),
    "gum_arm_event,gum_arm_total,control_arm_event,control_arm_total": ("gum", "control"),
    "h.caf,n.caf,h.decaf,n.decaf": ("caf", "decaf"),
}


@pytest.mark.parametrize(("headings", "groups"), COUNT_HEADINGS.items())
def test_two_groups_of_counts(headings: str, groups: tuple[str, str]):
    tree = load_evidence(table(f"study,{headings}\nA,3,40,9,41\nB,5,60,12,62"))
    assert tree.attrs["format"] == "meta/counts"
    treated, control = groups
    assert arms(tree) == {
        ("A", treated): (3, 40), ("A", control): (9, 41),
        ("B", treated): (5, 60), ("B", control): (12, 62),
    }  # fmt: skip
    assert tree.attrs["comparator"] == control


@pytest.mark.parametrize(
    "headings",
    [
        "n.e,mean.e,sd.e,n.c,mean.c,sd.c",
        "Ne,Me,Se,Nc,Mc,Sc",
        "new_n,new_m,new_s,no_new_n,no_new_m,no_new_s",
        "n.drug,mean.drug,var.drug,n.plac,mean.plac,var.plac",
    ],
)
def test_two_groups_of_means(headings: str):
    variance = "var" in headings
    spread = ("4", "9") if variance else ("2", "3")
    row = f"A,30,5.5,{spread[0]},31,6.5,{spread[1]}"
    tree = load_evidence(table(f"study,{headings}\n{row}"))
    assert tree.attrs["format"] == "meta/means"
    rows = to_frame(tree, "results").sort_values("mean")
    assert rows["mean"].tolist() == [5.5, 6.5]
    # SD 2 of 30 people, and 3 of 31.
    assert rows["se_used"].to_numpy() == pytest.approx([2 / 30**0.5, 3 / 31**0.5])


def test_groups_of_people_with_and_without_the_event():
    tree = load_evidence(
        table("study,stroke.cont,nostroke.cont,stroke.exp,nostroke.exp\nA,9,31,4,38")
    )
    assert arms(tree) == {("A", "control"): (9, 40), ("A", "experimental"): (4, 42)}
    tree = load_evidence(table("study,non.pos,non.neg,cut.pos,cut.neg\nA,9,31,4,38"))
    assert arms(tree) == {("A", "non"): (9, 40), ("A", "cut"): (4, 42)}


def test_groups_with_person_time():
    tree = load_evidence(table("study,d.smoke,py.smoke,d.none,py.none\nA,9,310,4,380"))
    assert tree.attrs["format"] == "meta/rates"
    assert to_frame(tree, "results")["person_time"].tolist() == [380, 310]


def test_several_outcomes_of_two_groups():
    frame = table(
        "study,x.death,x.stroke,x.total,y.death,y.stroke,y.total\nA,3,NA,40,9,8,41\nB,1,2,30,3,4,31"
    )
    tree = load_evidence(frame)
    rows = to_frame(tree, "results")
    # The row without a number is set aside for its outcome alone.
    assert rows["outcome"].value_counts().to_dict() == {"death": 4, "stroke": 2}
    assert any("row 2" in note for note in tree.attrs["notes"])


def test_control_of_a_trial_with_two_comparisons_is_read_once():
    text = (
        "id,treat.exp,x.exp,n.exp,x.plac,n.plac\n1,low,3,40,9,41\n1,high,2,42,9,41\n2,low,4,30,6,31"
    )
    tree = load_evidence(table(text))
    assert arms(tree)["1", "placebo"] == (9, 41)
    assert len(to_frame(tree, "results")) == 5


def test_trials_of_one_name_are_told_apart_by_their_year():
    text = "study,year,ai,n1i,ci,n2i\nRay,2000,3,40,9,41\nRay,2002,2,42,7,39\nSol,2001,4,30,6,31"
    assert set(to_frame(load_evidence(table(text)), "studies")["study"]) == {
        "Ray 2000", "Ray 2002", "Sol",
    }  # fmt: skip


def test_repeated_comparison_is_asked_about(issues_of):
    (issue,) = issues_of(
        table("study,ai,n1i,ci,n2i,site\nA,3,40,9,41,u\nA,2,42,7,39,v\nB,1,9,2,9,u")
    )
    assert (issue.code, issue.row, issue.column) == ("E238", 3, "study")
    assert "--set repeated=separate" in issue.hint
    assert "--set column.outcome=site" in issue.hint


def test_repeated_comparison_is_a_trial_of_its_own_where_set():
    frame = table("study,ai,n1i,ci,n2i\nA,3,40,9,41\nA,2,42,7,39\nB,1,9,2,9")
    tree = load_with_options(frame, parse_options(["repeated=separate"]))
    assert set(to_frame(tree, "studies")["study"]) == {"A", "A (2)", "B"}
    assert any("set by you" in note for note in tree.attrs["notes"])


# One row per arm.


@pytest.mark.parametrize(
    "headings",
    [
        "study,trt,xi,ni",
        "Study,T,R,N",
        "trial,drug,events,total",
        "Study,Agent,Events,N",
        "Study,TREATMENT,Event,randomised",
    ],
)
def test_arms_of_counts(headings: str):
    tree = load_evidence(table(f"{headings}\nA,Placebo,9,40\nA,x,5,41\nB,Placebo,12,50\nB,y,7,49"))
    assert arms(tree)["B", "y"] == (7, 49)
    assert arms(tree)["A", "placebo"] == (9, 40)


def test_events_under_the_name_of_the_outcome():
    text = "study,year,treatment,relapse,randomized\nA,1999,p,9,40\nA,1999,x,5,41"
    rows = to_frame(load_evidence(table(text)), "results")
    assert rows["outcome"].tolist() == ["relapse"] * 2
    assert rows["events"].tolist() == [9, 5]


def test_several_columns_of_counts_are_asked_about(issues_of):
    (issue,) = issues_of(table("study,treatment,deaths,strokes,n\nA,p,9,3,40\nA,x,5,4,41"))
    assert (issue.code, issue.row) == ("E227", None)
    assert "--set column.events=deaths" in issue.hint


def test_statistics_are_never_taken_for_events():
    text = "study,treatment,median,q1,q3,n\nA,p,5,3,7,40\nA,x,4,2,6,41"
    try:
        tree = load_evidence(table(text))
    except EvidenceError:
        return
    assert to_frame(tree, "results")["events"].isna().all()


@pytest.mark.parametrize("headings", ["Study,T,Mean,SD,N", "study,treatment,mi,sdi,ni"])
def test_arms_of_means(headings: str):
    rows = to_frame(load_evidence(table(f"{headings}\nA,p,5,2,40\nA,x,4,3,41")), "results")
    assert rows["mean"].tolist() == [5, 4]
    assert rows["sd"].tolist() == [2, 3]


def test_agent_twice_in_a_trial_has_arms_by_another_column():
    text = (
        "study,treatment,armcode,xi,ni\nA,p,1,9,40\nA,x,2,5,41\nA,x,3,6,43\nB,p,1,9,40\nB,x,2,5,41"
    )
    tree = load_evidence(table(text))
    assert set(to_frame(tree, "arms")["arm"]) == {
        "A: p (1)", "A: x (2)", "A: x (3)", "B: p", "B: x",
    }  # fmt: skip


def test_proportions_of_one_group():
    tree = load_evidence(table("study,xi,ni\nA,12,80\nB,5,66"))
    assert tree.attrs["format"] == "arms/proportions"
    assert arms(tree) == {("A", "all"): (12, 80), ("B", "all"): (5, 66)}
    assert tree.attrs["comparator"] == "all"


def test_doses_of_one_exposure():
    rows = to_frame(load_evidence(table("id,dose,y,sd,n\n1,0,5,18,85\n1,10,8,19,92")), "arms")
    assert rows["agent"].tolist() == ["exposure"] * 2
    assert rows["dose"].tolist() == [0, 10]


def test_rows_that_nothing_tells_apart_are_asked_about(issues_of):
    (issue,) = issues_of(table("study,cases,total\nA,12,80\nA,5,66\nB,3,40"))
    assert (issue.code, issue.row, issue.column) == ("E226", 3, "study")


# Effects.

#: Headings, cells, and the estimate, standard error and measure that they give.
EFFECTS = {
    "lnOR,selnOR": ("-0.4,0.2", (-0.4, 0.2, "log_OR")),
    "logHR,varlogHR": ("-0.4,0.04", (-0.4, 0.2, "log_HR")),
    "smd,se": ("0.3,0.1", (0.3, 0.1, "SMD")),
    "yi,ci.lb,ci.ub": ("-0.4,-0.792,-0.008", (-0.4, 0.2, "")),
    "rr,rr_ll,rr_ul": ("0.5,0.25,1", (np.log(0.5), np.log(4) / 3.9199, "log_RR")),
    "OR,lower,upper": ("0.5,0.25,1", (np.log(0.5), np.log(4) / 3.9199, "log_OR")),
    "HR,lcl,ucl": ("0.5,0.25,1", (np.log(0.5), np.log(4) / 3.9199, "log_HR")),
    "O-E,V": ("-1.5,2.25", (-1.5 / 2.25, 1 / 1.5, "log ratio")),
}


@pytest.mark.parametrize(("headings", "cells"), EFFECTS.items())
def test_effects_under_usual_headings(headings: str, cells):
    values, expected = cells
    options = ImportOptions(ci_level=0.95)
    row = to_frame(load_with_options(table(f"study,{headings}\nA,{values}"), options), "contrasts")
    assert row["estimate"].item() == pytest.approx(expected[0])
    assert row["se"].item() == pytest.approx(expected[1], rel=1e-4)
    assert row["measure"].item() == expected[2]


def test_level_of_an_interval_is_asked_for():
    questions = []
    load_with_options(table("study,OR,lower,upper\nA,0.5,0.25,1"), ImportOptions(), questions)
    assert [(q.code, q.column) for q in questions] == [("E136", "ci_level")]
    assert "--set ci_level=0.95" in questions[0].hint
    with pytest.raises(EvidenceError):
        load_evidence(table("study,OR,lower,upper\nA,0.5,0.25,1"))


def test_pairs_of_a_trial_under_other_names_are_reduced():
    # Arms of variance 0.04, 0.09 and 0.01: the standard errors are those of the pairs.
    text = (
        "id,lnOR,selnOR,treat1,treat2\n1,1,0.36055512754639896,x,placebo\n"
        "1,-0.5,0.22360679774997896,y,placebo\n1,1.5,0.31622776601683794,x,y"
    )
    rows = to_frame(load_evidence(table(text)), "contrasts")
    assert len(rows) == 2
    assert rows["comparator_se"].tolist() == pytest.approx([0.2, 0.2])


def test_correlations_become_fisher_z():
    tree = load_evidence(table("study,ri,ni\nA,0.31,60\nB,-0.2,24"))
    rows = to_frame(tree, "contrasts")
    # metafor 4: escalc("ZCOR", ri = c(.31, -.2), ni = c(60, 24)).
    assert rows["estimate"].tolist() == pytest.approx([0.3205454093019461, -0.2027325540540821])
    assert (rows["se"] ** 2).tolist() == pytest.approx([0.0175438596491228, 0.0476190476190476])
    assert set(rows["measure"]) == {"ZCOR"}


def test_r_of_n_people_with_the_event_is_no_correlation():
    assert "events" in to_frame(load_evidence(table("study,t,r,n\nA,p,1,9\nA,x,0,9")), "results")


def test_several_effects_of_a_trial_are_asked_about(issues_of):
    (issue,) = issues_of(table("study,esid,yi,vi\n1,1,0.2,0.04\n1,2,0.3,0.05\n2,3,0.1,0.03"))
    assert (issue.code, issue.row, issue.column) == ("E223", 3, "study")
    assert "column.outcome=esid" in issue.hint
    assert "repeated=separate" in issue.hint
    frame = table("study,esid,yi,vi\n1,1,0.2,0.04\n1,2,0.3,0.05\n2,3,0.1,0.03")
    tree = load_with_options(frame, parse_options(["repeated=separate"]))
    assert set(to_frame(tree, "studies")["study"]) == {"1", "1 (2)", "2"}
    tree = load_with_options(frame, parse_options(["column.outcome=esid"]))
    assert to_frame(tree, "contrasts")["outcome"].tolist() == ["1", "2", "3"]


def test_an_agent_in_several_rows_is_asked_about(issues_of):
    text = "study,treatment,diff,se\nA,p,0.1,0.1\nA,x,0.5,0.1\nA,x,0.6,0.2"
    (issue,) = issues_of(table(text))
    assert (issue.code, issue.row) == ("E240", 2)
    tree = load_with_options(table(text), parse_options(["repeated=separate"]))
    assert sorted(to_frame(tree, "arms")["arm"]) == ["A: p", "A: x (1)", "A: x (2)"]


def test_effects_of_arms_are_asked_about():
    questions = []
    frame = table("study,trt,yi,sei\n1,x,0.2,0.1\n1,y,0.3,0.1\n2,x,0.1,0.2\n2,y,0.4,0.2")
    load_with_options(frame, ImportOptions(), questions)
    assert [(q.code, q.row) for q in questions] == [("E225", 2)]
    tree = load_evidence(frame, "arms")
    assert to_frame(tree, "results")["mean"].tolist() == [0.2, 0.3, 0.1, 0.4]


@pytest.mark.parametrize(
    ("headings", "row"),
    [
        ("study,TP,FP,FN,TN", "A,10,3,2,40"),
        ("Author,Year,TP,FP,FN,TN,Sample.size,n1", "A,2001,10,3,2,40,55,12"),
        ("study,n,alpha,items", "A,98,0.5,8"),
        ("study,n,tval", "A,98,2.5"),
        ("study,d,total", "A,0.31,60"),
    ],
)
def test_what_cannot_be_read_has_a_reason(headings: str, row: str, issues_of):
    (issue,) = issues_of(table(f"{headings}\n{row}\n{row.replace('A', 'B')}"))
    assert (issue.code, issue.row) == ("E236", 1)


# Doses against a referent.

DOSES = (
    "id,type,dose,cases,n,logrr,se\n1,cc,0,20,400,0,{0}\n1,cc,5,25,380,{1},{2}\n1,cc,15,33,350,{3},{4}\n"
    "2,cc,2,30,300,0,{0}\n2,cc,8,40,310,0.3,0.3"
)


def crude() -> tuple[list[float], list[float], float]:
    """Log odds ratios of the first study, their standard errors, and their covariance."""
    cases, n = np.array([20.0, 25, 33]), np.array([400.0, 380, 350])
    odds, parts = np.log(cases / (n - cases)), 1 / cases + 1 / (n - cases)
    return (odds[1:] - odds[0]).tolist(), np.sqrt(parts[1:] + parts[0]).tolist(), parts[0]


@pytest.mark.parametrize("referent", ["0", "NA"])
def test_doses_share_their_referent(referent: str):
    effects, errors, covariance = crude()
    text = DOSES.format(referent, effects[0], errors[0], effects[1], errors[1])
    tree = load_evidence(table(text))
    assert tree.attrs["format"] == "dosresmeta/contrasts"
    rows = to_frame(tree, "contrasts")
    assert rows["dose"].tolist() == [5, 15, 8]
    assert rows["comparator_dose"].tolist() == [0, 0, 2]
    # Crude effects: the covariance is the variance of the referent's log odds.
    assert (rows["comparator_se"][:2] ** 2).tolist() == pytest.approx([covariance] * 2)
    assert set(rows["measure"]) == {"log_OR"}


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["cc", "ci", "ir"]),
    st.lists(st.floats(-0.8, 0.8), min_size=1, max_size=4),
    st.lists(st.integers(15, 90), min_size=5, max_size=5),
)
def test_fitted_cases_have_the_effects_and_the_total(design, effects, cases):
    counts = np.array(cases[: len(effects) + 1], dtype=float)
    n = np.full(len(counts), 1000.0)
    log_ratio = np.array([0.0, *effects])
    fitted = fitted_cases(log_ratio, counts, n, design=design)
    level = fitted / (n - fitted) if design == "cc" else fitted / n
    assert np.log(level[1:] / level[0]) == pytest.approx(effects, abs=1e-6)
    assert fitted.sum() == pytest.approx(counts.sum())
    se = np.array([np.nan, *[0.4] * len(effects)])
    shared = referent_errors(log_ratio, se, counts, n, design=design)
    assert ((shared > 0) & (shared < 0.4)).all()


def test_study_without_a_referent_is_rejected(issues_of):
    issues = issues_of(
        table("id,type,dose,cases,n,logrr,se\n1,cc,5,20,400,0.1,0.2\n1,cc,9,20,380,0.2,0.2")
    )
    assert ("E228", 2, "se") in {(i.code, i.row, i.column) for i in issues}


def test_ratio_that_contradicts_its_logarithm_is_rejected(issues_of):
    text = "id,type,dose,cases,n,rr,logrr,se\n1,ir,0,20,400,1,0,0\n1,ir,5,25,380,1.5,0.182,0.2"
    (issue,) = issues_of(table(text))
    assert (issue.code, issue.row, issue.column) == ("E220", 3, "logrr")


def test_every_detector_has_registered_layouts():
    assert set(DETECTORS) <= {format.convention for format in FORMATS.values()}
