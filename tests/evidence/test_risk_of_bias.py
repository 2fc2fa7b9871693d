"""Judgements on bias, by domain and judge, and the level of blinding behind the reports' words."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.blinding import blinding_levels

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
#: The words of a judgement, and the word here.
READ_AS = {"Low risk": "low", "Some concerns": "some_concerns"}


@pytest.fixture(scope="module")
def judged(base) -> pd.DataFrame:
    return table(base, "risk_of_bias")


def test_each_tool_has_its_own_domains(judged):
    domains = judged.groupby("tool")["domain"].agg(set).to_dict()
    assert domains["rob_2"] <= ROB_2
    assert domains["rob_1"] <= ROB_1
    assert domains["pedro"] == domains["graded"] == {"overall"}
    assert domains["remark"] == {"design"}
    remarks = judged["tool"] == "remark"
    assert (judged["judgement"] == "not_judged").equals(remarks)


def test_the_readme_counts_them(data, judged):
    text = (data / "README.md").read_text("utf-8")
    told = f"{len(judged)} judgements and remarks on {judged['study'].nunique()} trials"
    assert told in text


def test_the_review_judged_the_randomisation_of_its_28_trials(base, judged):
    printed = table(base, "comparisons").groupby("study_id")["rob_randomisation"].agg(set)
    assert printed.map(len).eq(1).all()
    said = {study: READ_AS[next(iter(words))] for study, words in printed.items()}
    rows = judged[(judged["tool"] == "rob_2") & (judged["domain"] == "randomisation")]
    assert len(rows) == len(said) == 28
    assert dict(zip(rows["study"], rows["judgement"], strict=True)) == said


def test_every_text_on_bias_became_rows(base, judged):
    studies = table(base, "studies")
    told = set(studies.loc[studies["risk_of_bias"] != "", "study"])
    assert told <= set(judged["study"])
    more = judged[~judged["study"].isin(told)]
    assert set(more["tool"]) == {"remark"}


def test_the_text_that_splits_by_outcome(judged):
    rows = judged[(judged["study"] == "Dadabayev2020") & (judged["domain"] == "overall")]
    assert dict(zip(rows["scope"], rows["judgement"], strict=True)) == {
        "pain intensity": "some_concerns",
        "serious adverse events": "high",
    }


def test_the_text_that_lists_domains(judged):
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


def test_two_judges_of_one_trial_both_stand(judged):
    rows = judged[judged["study"] == "Maier2003"]
    assert set(rows["judged_by"]) == {"Cochrane review 2025", "review PMC5558877"}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("judgement", "medium", "'medium' is not a word for this column"),
        ("domain", "attrition", "'attrition' is not a word for this column"),
        ("study", "Nobody1999", "'Nobody1999' is not in studies.csv"),
        ("judged_by", "", "nothing stands here"),
    ],
)
def test_a_wrong_cell_is_found(small, faults_of, column, value, message):
    row = {
        "study": "A",
        "tool": "rob_2",
        "domain": "overall",
        "judgement": "low",
        "judged_by": "a review",
        "reported": "low",
        "source": "doi:10.1000/x",
    }
    pd.DataFrame([row]).to_csv(small / "risk_of_bias.csv", index=False)
    assert len(table(load_evidence(small), "risk_of_bias")) == 1
    pd.DataFrame([row | {column: value}]).to_csv(small / "risk_of_bias.csv", index=False)
    (fault,) = faults_of(small)
    assert message in str(fault)
    assert (fault.file, fault.row, fault.column) == ("risk_of_bias.csv", 2, column)


def test_one_judge_judges_a_domain_once(small, faults_of):
    row = {
        "study": "A",
        "tool": "rob_2",
        "domain": "overall",
        "scope": "",
        "judgement": "low",
        "judged_by": "a review",
        "reported": "low",
        "source": "doi:10.1000/x",
    }
    rows = pd.DataFrame([row, row | {"judgement": "high"}])
    rows.to_csv(small / "risk_of_bias.csv", index=False)
    (fault,) = faults_of(small)
    assert "the same study and tool and domain" in fault.message


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
def test_words_of_a_report_have_a_level(base, reported, level):
    found = blinding_levels(pd.Series([reported], dtype="str"), table(base, "vocabulary"))
    assert found.tolist() == [level]


def test_every_trial_has_a_level_and_keeps_its_words(base, data):
    studies = table(base, "studies")
    levels = {"open", "single", "double", "blinded_unspecified", "not_stated"}
    assert set(studies["blinding_level"]) == levels
    typed = pd.read_csv(data / "studies.csv", dtype="str", keep_default_na=False)
    assert "blinding_level" not in typed
    assert studies["blinding"].tolist() == typed["blinding"].tolist()
    single = studies.set_index("study")["blinding_level"]
    assert single["Jennings2012"] == "open"
    assert single["Lumanauw2019"] == "double"


def test_a_word_on_blinding_that_nobody_knows_is_refused(small, faults_of):
    rows = pd.read_csv(small / "studies.csv").assign(blinding=["double-blind", "dubble-blind"])
    rows.to_csv(small / "studies.csv", index=False)
    (fault,) = faults_of(small)
    assert "'dubble-blind' is no blinding of the vocabulary. Did you mean" in str(fault)
    assert (fault.file, fault.row, fault.column) == ("studies.csv", 3, "blinding")
