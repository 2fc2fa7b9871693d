"""Conversions of flat rows, and quantities that a table states twice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.base import load_with_options
from nmda_bayes.evidence.importers import ImportOptions
from tests.evidence.importers.test_conventions import table

# Cluster trials.

CLUSTERS = (
    "study,agent,events,n,clusters,icc\nA,placebo,30,200,10,0.05\nA,x,18,210,10,0.05\n"
    "B,placebo,12,50,,\nB,x,7,49,,"
)


def test_people_of_cluster_trials_are_divided_by_the_design_effect():
    tree = load_evidence(table(CLUSTERS))
    rows = to_frame(tree, "results")
    # 20 people in a cluster: 1 + 19 * 0.05 = 1.95; 21: 1 + 20 * 0.05 = 2.
    assert rows["n"].tolist() == [round(200 / 1.95), 105, 50, 49]
    assert rows["events"].tolist() == [round(30 / 1.95), 9, 12, 7]
    assert any("1.95" in note for note in tree.attrs["notes"])


def test_missing_cluster_correlation_is_asked_for():
    frame = table(CLUSTERS).drop(columns="icc")
    questions = []
    load_with_options(frame, ImportOptions(), questions)
    assert [(q.code, q.row, q.column) for q in questions] == [("E233", 2, "clusters")]
    tree = load_with_options(frame, ImportOptions(icc=0.05))
    assert to_frame(tree, "results")["n"].tolist() == [103, 105, 50, 49]
    tree = load_with_options(frame, ImportOptions(ignore=("clusters",)))
    assert to_frame(tree, "results")["n"].tolist() == [200, 210, 50, 49]


def test_missing_cluster_size_is_asked_for():
    questions = []
    load_with_options(table(CLUSTERS).drop(columns="clusters"), ImportOptions(), questions)
    assert [(q.code, q.row, q.column) for q in questions] == [("E234", 2, "icc")]


def test_cluster_size_in_a_table_of_another_package():
    frame = table("study,event.e,n.e,event.c,n.c,cluster_size,icc\nA,18,210,30,200,21,0.05")
    assert to_frame(load_evidence(frame), "results")["n"].tolist() == [100, 105]


def test_impossible_cluster_correlation_is_rejected(issues_of):
    issues = issues_of(table(CLUSTERS.replace("0.05", "1.5")))
    assert {("E232", 2, "icc"), ("E232", 3, "icc")} == {(i.code, i.row, i.column) for i in issues}


# Standardised differences and log ratios of means.

MEANS = (
    "study,agent,mean,sd,n\nA,placebo,10,4,30\nA,x,7.5,3.5,28\nA,y,6,4.5,33\n"
    "B,placebo,9,3,20\nB,x,8,3,21"
)
#: metafor 4: escalc(vtype = "UB"), escalc("ROM", vtype = "LS"); covariance of Gleser and Olkin.
METAFOR = {
    "SMD": (
        [-0.6546846042057978, -0.9252812172697784],
        [0.0729977066847567, 0.0708608313592541],
        0.0366617254624945,
    ),
    "ROM": (
        [-0.2876820724517809, -0.5108256237659907],
        [0.0131111111111111, 0.0223787878787879],
        0.00533333333333333,
    ),
}


@pytest.mark.parametrize(("measure", "values"), METAFOR.items())
def test_effects_of_means_share_their_comparator(measure: str, values):
    estimate, variance, covariance = values
    tree = load_with_options(table(MEANS), ImportOptions(measure=measure))
    rows = to_frame(tree, "contrasts")
    first = rows[rows["study"] == "A"]
    assert first["estimate"].tolist() == pytest.approx(estimate, rel=1e-10)
    assert (first["se"] ** 2).tolist() == pytest.approx(variance, rel=1e-10)
    assert (first["comparator_se"] ** 2).tolist() == pytest.approx([covariance] * 2, rel=1e-10)
    assert rows["comparator_se"].isna().tolist() == [False, False, True]
    assert set(rows["comparator"]) == {"placebo"}
    assert len(to_frame(tree, "results")) == 0


def test_effects_of_means_need_a_comparator():
    frame, questions = table(MEANS.replace("placebo", "usual")), []
    load_with_options(frame, ImportOptions(measure="SMD"), questions)
    assert [q.code for q in questions] == ["E235"]
    tree = load_with_options(frame, ImportOptions(measure="SMD", reference="usual"))
    assert len(to_frame(tree, "contrasts")) == 3


def test_means_side_by_side_become_standardised():
    frame = table("study,m1i,sd1i,n1i,m2i,sd2i,n2i\nA,7.5,3.5,28,10,4,30")
    tree = load_with_options(frame, ImportOptions(measure="SMD"))
    assert to_frame(tree, "contrasts")["estimate"].item() == pytest.approx(-0.6546846042057978)
    assert tree.attrs["comparator"] == "control"


# Cells and logarithms.


@pytest.mark.parametrize("cells", [("3-7", "2-6"), ("3 to 7", "2 to 6"), ("(3, 7)", "[2;6]")])
def test_quartiles_in_one_cell(cells: tuple[str, str]):
    frame = pd.DataFrame(
        {
            "study": "A", "agent": ["placebo", "x"], "median": ["5", "4"], "iqr": cells,
            "n": ["40", "41"],
        }
    )  # fmt: skip
    rows = to_frame(load_evidence(frame), "results")
    assert rows["q1"].tolist() == [3, 2]
    assert rows["q3"].tolist() == [7, 6]


def test_interval_in_one_cell_has_the_level_of_its_heading():
    frame = pd.DataFrame(
        {
            "study": ["A"], "agent": "x", "comparator": "placebo", "estimate": "0.5",
            "95% CI": "0.25 to 1", "measure": "RR",
        }
    )  # fmt: skip
    row = to_frame(load_evidence(frame), "contrasts")
    assert row["se"].item() == pytest.approx(np.log(4) / 3.9199, rel=1e-4)


def test_cell_that_is_no_interval_is_rejected(issues_of):
    frame = pd.DataFrame(
        {
            "study": "A", "agent": ["placebo", "x"], "median": ["5", "4"], "iqr": ["3-7", "wide"],
            "n": ["40", "41"],
        }
    )  # fmt: skip
    assert ("E121", 3, "iqr") in {(i.code, i.row, i.column) for i in issues_of(frame)}


def test_decimal_logarithms_become_natural():
    frame = table("study,agent,comparator,estimate,se,measure\nA,x,placebo,-0.3,0.1,log10_RR")
    tree = load_evidence(frame)
    row = to_frame(tree, "contrasts")
    assert row["estimate"].item() == pytest.approx(-0.3 * np.log(10))
    assert row["se"].item() == pytest.approx(0.1 * np.log(10))
    assert row["measure"].item() == "log_RR"


# Quantities stated twice.


@pytest.mark.parametrize(
    ("text", "places"),
    [
        # The standard error taken for the variance.
        ("study,yi,vi,sei\nA,0.2,0.15,0.15\nB,0.1,0.09,0.3", {("E221", 2, "sei")}),
        # SE 0.4494 of the log odds ratio -1.1; the second is of another sign.
        (
            "study,ai,n1i,ci,n2i,yi,sei\nA,8,40,18,41,-1.141,0.507\nB,9,50,12,49,0.391,0.4957\n"
            "C,3,30,6,30,-0.811,0.763",
            {("E220", 3, "yi")},
        ),
        # No effect of these means.
        ("study,m1i,sd1i,n1i,m2i,sd2i,n2i,yi,vi\nA,5,2,40,4,2,41,9.9,0.01", {("E220", 2, "yi")}),
        ("studlab,treat1,treat2,event1,n1,event2,n2,TE,seTE\nA,x,placebo,6,51,10,50,2,0.1",
         {("E220", 2, "TE")}),
    ],
)  # fmt: skip
def test_contradiction_is_rejected_by_row(text: str, places, issues_of):
    assert {(i.code, i.row, i.column) for i in issues_of(table(text))} == places


def test_what_agrees_is_named_and_not_used():
    frame = table("study,m1i,sd1i,n1i,m2i,sd2i,n2i,yi,vi\nA,5,2,40,4,2,40,1,0.2")
    tree = load_evidence(frame)
    assert len(to_frame(tree, "results")) == 2
    assert any("'yi', 'vi'" in note for note in tree.attrs["notes"])


def test_ignored_columns_are_not_compared():
    frame = table("study,yi,vi,sei\nA,0.2,0.15,0.15")
    tree = load_with_options(frame, ImportOptions(ignore=("vi",)))
    assert to_frame(tree, "contrasts")["se"].item() == 0.15


def test_unread_columns_are_listed():
    tree = load_evidence(table("study,event.e,n.e,event.c,n.c,funder\nA,3,40,9,41,north"))
    assert tree.attrs["unread"] == ("funder",)
