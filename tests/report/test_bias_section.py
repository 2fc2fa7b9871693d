"""The page says which biases were allowed for, what is known of them, and what they do."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Items, Picture, Table, Text
from nmda_bayes.report.equations import equations
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections.bias import bias
from nmda_bayes.report.sections.priors import prior_frame
from nmda_bayes.report.show import show_text
from nmda_bayes.report.view import View
from tests import specs
from tests.conftest import PRIOR_DRAWS, SAMPLER, prior_as_posterior

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
    "selection": {"steps": [0.025, 0.5], "priors": [BETA, BETA], "of_several": "highest_dose"}
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
def view():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAMPLER, prior_as_posterior)
        # 200 draws against 1,000 overlap by 0.87 on twenty bins, against 100 by less than 0.8.
        patch.setattr(PRIOR_DRAWS, 1000)
        return View(inference.fit(*analysis()))


@pytest.fixture(scope="module")
def blocks(view):
    section = bias(view, Gallery())
    assert section.title == "Bias"
    return section.blocks


def test_what_was_allowed_for_is_said_with_what_the_trials_say_of_it(blocks):
    assert "bias taken out" in next(b.text for b in blocks if isinstance(b, Text))
    pain, mood = (" ".join(b.items) for b in blocks if isinstance(b, Items))
    assert "2 of 7 arms do not count it" in pain and "dissociation" in pain
    assert "It <tells>." in pain  # the template escapes it
    assert "Trials by judgement: low 1, high 1 and unknown 1." in pain
    assert "2.8 to 5.7" in pain  # standard errors of the contrasts
    assert "Steps of the one-sided p-value: 0.025 and 0.5." in mood


def test_prior_and_posterior_stand_side_by_side(blocks):
    learnt = [b for b in blocks if isinstance(b, Table) and "could tell" in b.caption]
    names = [[row[0] for row in table.rows] for table in learnt]
    assert names == [
        ["bias_small_study", "bias_high", "bias_unknown", "bias_unblinding"],
        ["bias_published_2", "bias_published_3"],
    ]
    # The posterior of this fit is its prior, and is called so.
    assert all(row[-1] == "prior only" for table in learnt for row in table.rows)
    assert all(INTERVAL_TEXT in table.caption for table in learnt)


def test_effects_are_shown_with_and_without(blocks):
    assert sum(isinstance(b, Picture) for b in blocks) == 2
    shown = [b for b in blocks if isinstance(b, Table) and "with and without" in b.caption]
    assert [c.title for c in shown[0].columns] == [
        "agent",
        "trials",
        "arms",
        "as trials show it",
        "bias",
        "bias taken out",
    ]
    assert [row[:3] for row in shown[0].rows] == [("ketamine", "2", "3"), ("mem", "1", "1")]


def test_every_prior_of_a_bias_is_in_the_table_of_priors(view):
    frame = prior_frame(view)
    mine = frame[frame["slot"] == "bias"]
    assert set(mine["parameter"]) >= {"bias_unblinding", "bias_high", "bias_published_3"}
    assert (mine["why"] == "a test").all()


def test_the_equations_have_the_bias_and_its_direction(view):
    blocks = {b.title: "\n".join(f"{x.left}{x.relation}{x.right}" for x in b.lines)
              for b in equations(view.fit)}  # fmt: skip
    assert "<var>bias</var><sub>[arm]</sub>" in blocks["Pain"]
    assert "−<var>bias_unblinding</var>" in blocks["Pain"]
    assert "published" in blocks["Mood"] and "<var>bias</var>" not in blocks["Dissociation"]


def test_show_prints_it_before_anything_is_fitted():
    text = show_text(*analysis())
    assert "+ bias[arm]" in text
    assert "bias[arm] = −bias_small_study · se[contrast]" in text
    assert "w_2 ~ Beta(alpha=1, beta=1)   # a test" in text


def test_an_analysis_without_bias_has_no_such_section(quick_fit):
    assert bias(View(quick_fit), Gallery()) is None
