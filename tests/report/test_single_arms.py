"""A page on trials of single arms: doses of one agent, no arm without it, a pooled baseline."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes import inference
from nmda_bayes.estimands import reading
from nmda_bayes.evidence import load_evidence
from nmda_bayes.report.page import write_report
from nmda_bayes.report.view import View
from tests import specs
from tests.conftest import PRIOR_DRAWS, SAMPLER, prior_as_posterior

#: Dose-limiting toxicity in six trials of one arm each; made for this test.
TRIALS = pd.DataFrame(
    {
        "study": [f"P{i}" for i in range(6)],
        "agent": "drug",
        "dose": [1.0, 2, 3, 4, 2, 3],
        "events": [0, 1, 3, 7, 2, 4],
        "n": [6, 12, 15, 18, 20, 14],
    }
)


@pytest.fixture(scope="module")
def fit():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SAMPLER, prior_as_posterior)
        patch.setattr(PRIOR_DRAWS, 100)
        baseline = specs.parameter("common", location=specs.normal(-3, 0.1))
        outcome = specs.outcome("binomial", "linear", "arm", {"baseline": baseline}, better="lower")
        return inference.fit(specs.spec(outcome), load_evidence(TRIALS.assign(outcome="pain")))


def test_trials_of_single_arms_count_where_baselines_are_pooled(fit):
    where = reading.tested(fit)
    assert where["trials"].to_numpy().tolist() == [[[6]]]
    assert (float(where["tested_from"].squeeze()), float(where["tested_to"].squeeze())) == (1, 4)


def test_risks_are_counted_from_the_models_own_baseline(fit):
    share, whence = View(fit).baseline("pain")
    assert share == pytest.approx(0.047, abs=0.003)  # logit⁻¹(-3)
    assert "no trial has a reference arm" in whence


def test_the_page_is_written(fit, tmp_path):
    page = write_report(tmp_path / "report.html", fit).read_text(encoding="utf-8")
    assert "no trial has a reference arm" in page
    assert "50 %" not in page.split("Evidence and map")[1].split("Provenance")[0]
