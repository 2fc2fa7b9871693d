"""Judgements of bias by domain and judge, and levels of blinding."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.tree import blinding_levels

ROB_2 = {
    "randomisation",
    "deviations",
    "missing_outcomes",
    "measurement",
    "selective_reporting",
    "overall",
}
ROB_1 = {
    "sequence_generation",
    "allocation_concealment",
    "blinding",
    "blinding_of_outcome",
    "incomplete_outcomes",
    "selective_reporting",
    "sample_size",
    "overall",
}
#: Judgements of the Cochrane review in the terms of the table.
TERMS = {"Low risk": "low", "Some concerns": "some_concerns"}


@pytest.fixture(scope="module")
def judged(base) -> pd.DataFrame:
    return to_frame(base, "risk_of_bias")


def test_domains_of_each_tool(judged):
    domains = judged.groupby("tool")["domain"].agg(set).to_dict()
    assert domains["rob_2"] <= ROB_2
    assert domains["rob_1"] <= ROB_1
    assert domains["pedro"] == domains["graded"] == {"overall"}
    assert domains["remark"] == {"design"}
    remarks = judged["tool"] == "remark"
    assert (judged["judgement"] == "not_judged").equals(remarks)


def test_readme_counts_judgements(data, judged):
    text = (data / "README.md").read_text("utf-8")
    counts = f"{len(judged)} judgements and remarks on {judged['study'].nunique()} trials"
    assert counts in text


def test_randomisation_judgements_agree_with_the_review(base, judged):
    printed = to_frame(base, "comparisons").groupby("study_id")["rob_randomisation"].agg(set)
    assert printed.map(len).eq(1).all()
    expected = {study: TERMS[next(iter(words))] for study, words in printed.items()}
    rows = judged[(judged["tool"] == "rob_2") & (judged["domain"] == "randomisation")]
    assert len(rows) == len(expected)
    assert dict(zip(rows["study"], rows["judgement"], strict=True)) == expected


def test_every_text_on_bias_has_rows(base, judged):
    studies = to_frame(base, "studies")
    with_text = set(studies.loc[studies["risk_of_bias"] != "", "study"])
    assert with_text <= set(judged["study"])
    more = judged[~judged["study"].isin(with_text)]
    assert set(more["tool"]) == {"remark"}


def test_judgements_by_outcome(judged):
    rows = judged[(judged["study"] == "Dadabayev2020") & (judged["domain"] == "overall")]
    assert dict(zip(rows["scope"], rows["judgement"], strict=True)) == {
        "pain intensity": "some_concerns",
        "serious adverse events": "high",
    }


def test_judgements_by_domain(judged):
    rows = judged[(judged["study"] == "Schwenkreis2003") & (judged["tool"] == "rob_1")]
    assert rows.set_index("domain")["judgement"].to_dict() == {
        "overall": "some_concerns",
        "sequence_generation": "low",
        "allocation_concealment": "low",
        "blinding": "low",
        "selective_reporting": "low",
        "incomplete_outcomes": "unclear",
        "sample_size": "high",
    }


def test_judgements_of_two_reviews_are_kept(judged):
    rows = judged[judged["study"] == "Maier2003"]
    assert set(rows["judged_by"]) == {"Cochrane review 2025", "review PMC5558877"}


ROW = {
    "study": "A",
    "tool": "rob_2",
    "domain": "overall",
    "scope": "",
    "judgement": "low",
    "judged_by": "a review",
    "reported": "low",
    "source": "doi:10.1000/x",
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("judgement", "medium"),
        ("domain", "attrition"),
        ("study", "Nobody1999"),
        ("judged_by", ""),
    ],
)
def test_wrong_cell_is_located(small, issues_of, column, value):
    pd.DataFrame([ROW]).to_csv(small / "risk_of_bias.csv", index=False)
    assert len(to_frame(load_evidence(small), "risk_of_bias")) == 1
    pd.DataFrame([ROW | {column: value}]).to_csv(small / "risk_of_bias.csv", index=False)
    (issue,) = issues_of(small)
    assert value in issue.message
    assert (issue.file, issue.row, issue.column) == ("risk_of_bias.csv", 2, column)


def test_duplicate_judgement_is_rejected(small, issues_of):
    rows = pd.DataFrame([ROW, ROW | {"judgement": "high"}])
    rows.to_csv(small / "risk_of_bias.csv", index=False)
    (issue,) = issues_of(small)
    assert (issue.file, issue.row) == ("risk_of_bias.csv", 3)


@pytest.mark.parametrize(
    ("reported", "level"),
    [
        ("double-blind, double-dummy", "double"),
        ("double-blind (quadruple masking on registry NCT00579085)", "double"),
        ("single-blind", "single"),
        ("blinded assessor", "single"),
        ("open-label", "open"),
        ("placebo-controlled", "blinded_unspecified"),
        ("unclear from the abstract", "not_stated"),
        ("", "not_stated"),
    ],
)
def test_blinding_levels(base, reported, level):
    levels = blinding_levels(pd.Series([reported], dtype="str"), to_frame(base, "vocabulary"))
    assert levels.tolist() == [level]


def test_every_trial_has_a_blinding_level(base, data):
    studies = to_frame(base, "studies")
    levels = {"open", "single", "double", "blinded_unspecified", "not_stated"}
    assert set(studies["blinding_level"]) == levels
    typed = pd.read_csv(data / "studies.csv", dtype="str", keep_default_na=False)
    assert "blinding_level" not in typed
    assert studies["blinding"].tolist() == typed["blinding"].tolist()
    single = studies.set_index("study")["blinding_level"]
    assert single["Jennings2012"] == "open"
    assert single["Lumanauw2019"] == "double"


def test_unknown_blinding_is_rejected(small, issues_of):
    rows = pd.read_csv(small / "studies.csv").assign(blinding=["double-blind", "dubble-blind"])
    rows.to_csv(small / "studies.csv", index=False)
    (issue,) = issues_of(small)
    assert "'dubble-blind'" in issue.message
    assert "'double-blind'" in issue.hint
    assert (issue.file, issue.row, issue.column) == ("studies.csv", 3, "blinding")
