"""The report of single-arm trials with a pooled baseline."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes import inference
from nmda_bayes.estimands import dose_range
from nmda_bayes.evidence import load_evidence
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.page import write_report
from tests.support import specs
from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

#: Dose-limiting toxicity in six single-arm trials; made for this test.
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


def test_single_arms_count_with_pooled_baselines(fit):
    tested = dose_range(fit)
    assert tested["trials"].to_numpy().tolist() == [[[6]]]
    assert (float(tested["tested_from"].squeeze()), float(tested["tested_to"].squeeze())) == (1, 4)


def test_baseline_risk_is_that_of_the_model(fit):
    risk, source = ReportContext(fit).baseline("pain")
    assert risk == pytest.approx(0.047, abs=0.003)  # logit⁻¹(-3)
    assert "no trial has a reference arm" in source


def test_page_is_written(fit, tmp_path):
    page = write_report(tmp_path / "report.html", fit).read_text(encoding="utf-8")
    assert "no trial has a reference arm" in page
    assert "assuming 50%" not in page
