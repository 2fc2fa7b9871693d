"""The section on bias adjustment, and bias terms in equations and descriptions."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.report.blocks import Items, Picture, Table, Text
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.equations import describe_analysis, equations
from nmda_bayes.report.sections.certainty import bias_section
from nmda_bayes.report.sections.model import prior_table
from tests.support import specs
from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

BETA = specs.prior("Beta", alpha=1, beta=1)
ON_ARMS = {
    "unblinding": {"harm": "harm", "prior": specs.normal(5, 1), "why": "It <tells>."},
    "small_study": {"prior": specs.normal()},
    "risk_of_bias": {
        "column": "risk_of_bias",
        "priors": {"high": specs.normal(), "unknown": specs.normal()},
    },
}
ON_PUBLICATION = {
    "selection": {"steps": [0.025, 0.5], "priors": [BETA, BETA], "contrast": "highest_dose"}
}


def analysis():
    pain = specs.outcome("normal", "constant", "none", better="lower", unit="points")
    harm = specs.outcome("binomial", "constant", "arm", label="Dissociation")
    mood = specs.outcome("normal", "constant", "arm", better="higher")
    outcomes = (pain | {"bias": ON_ARMS}, harm, mood | {"bias": ON_PUBLICATION})
    judged = {"A": "low", "B": "high", "C": None}
    trials = specs.TRIALS.assign(risk_of_bias=specs.TRIALS["study"].map(judged))
    counted = specs.binary_table(trials[trials["study"] != "C"])
    table = [specs.normal_table(trials), counted, specs.normal_table(trials, "mood")]
    few = {"seed": 1, "chains": 2, "draws": 100, "tune": 100}
    return specs.spec(*outcomes, sampling=few), load_evidence(pd.concat(table, ignore_index=True))


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAMPLER, prior_as_posterior)
        # 200 draws against 1,000 overlap by 0.87 on twenty bins, against 100 by less than 0.8.
        patch.setattr(PRIOR_DRAWS, 1000)
        return ReportContext(inference.fit(*analysis()))


@pytest.fixture(scope="module")
def blocks(report):
    section = bias_section(report)
    assert section.key == "bias"
    return section.blocks


def test_bias_models_are_described_with_their_data(blocks):
    assert "adjusted for bias" in next(b.text for b in blocks if isinstance(b, Text))
    pain, mood = (" ".join(b.items) for b in blocks if isinstance(b, Items))
    assert "2 of 7 arms do not report it" in pain and "dissociation" in pain
    assert "It <tells>." in pain  # the template escapes it
    assert "low 1, high 1 and unknown 1" in pain
    assert "2.8 to 5.7" in pain  # standard errors of the contrasts
    assert "Steps of the one-sided p-value: 0.025 and 0.5." in mood


def test_prior_and_posterior_of_bias_parameters(blocks):
    tables = [b for b in blocks if isinstance(b, Table) and "prior and posterior" in b.caption]
    names = [[row[0] for row in table.rows] for table in tables]
    assert names == [
        ["bias_small_study", "bias_high", "bias_unknown", "bias_unblinding"],
        ["bias_published_2", "bias_published_3"],
    ]
    # The posterior of this fit is its prior.
    assert all(row[-1] == "prior only" for table in tables for row in table.rows)


def test_effects_with_and_without_adjustment(blocks):
    assert sum(isinstance(b, Picture) for b in blocks) == 2
    shown = [b for b in blocks if isinstance(b, Table) and "with and without" in b.caption]
    assert [c.title for c in shown[0].columns] == [
        "agent",
        "trials",
        "arms",
        "as reported (95% CrI)",
        "bias (95% CrI)",
        "adjusted (95% CrI)",
    ]
    assert [row[:3] for row in shown[0].rows] == [("ketamine", "2", "3"), ("mem", "1", "1")]


def test_bias_priors_are_in_the_table_of_priors(report):
    frame = prior_table(report)
    rows = frame[frame["component"] == "bias"]
    assert set(rows["parameter"]) >= {"bias_unblinding", "bias_high", "bias_published_3"}
    assert (rows["reason"] == "a test").all()


def test_equations_have_the_bias_and_its_direction(report):
    blocks = {b.title: "\n".join(f"{x.left}{x.relation}{x.right}" for x in b.lines)
              for b in equations(report.fit)}  # fmt: skip
    assert "<var>bias</var><sub>[arm]</sub>" in blocks["Pain"]
    assert "−<var>bias_unblinding</var>" in blocks["Pain"]
    assert "published" in blocks["Mood"] and "<var>bias</var>" not in blocks["Dissociation"]


def test_description_has_the_bias_terms():
    text = describe_analysis(*analysis())
    assert "+ bias[arm]" in text
    assert "bias[arm] = −bias_small_study · se[contrast]" in text
    assert "w_2 ~ Beta(alpha=1, beta=1)   # a test" in text


def test_no_section_without_bias_models(quick_fit):
    assert bias_section(ReportContext(quick_fit)) is None
