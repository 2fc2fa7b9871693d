"""The section on duration of effect, and time courses elsewhere in the report."""

from __future__ import annotations

import re

import pytest

from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import fit
from nmda_bayes.report.page import render_report
from tests.support import specs
from tests.support.specs import DECAY, READ, REPEATED


@pytest.fixture(scope="module")
def page() -> str:
    with pytest.MonkeyPatch.context() as patch:
        from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

        patch.setattr(SAMPLER, prior_as_posterior)
        patch.setattr(PRIOR_DRAWS, 100)
        outcome = specs.outcome(**DECAY, better="lower", unit="points")
        return render_report(fit(specs.spec(outcome, designs=REPEATED), load_evidence(READ)))


def spaced(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def unspaced(html: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"<[^>]+>", "", html))


def test_equations_have_the_time_course_and_shared_errors(page):
    text = unspaced(page)
    assert "baseline[study,hour]+f(x[arm];θ[agent,condition])·g(hour)+δ[arm]" in text
    assert "hourssincethestudy&#39;streatmentsended" in text
    assert "fixed" in text  # the within-arm correlation of 0.5


def test_remaining_effect_and_uninformative_data(page):
    text = spaced(page[page.index('id="duration"') :])
    assert "uninformative about log half life" in text
    assert "left after 24 h" in text
    assert "95% CrIs" in text


def test_key_results_are_at_full_effect(page):
    assert "and full effect" in spaced(page)


def test_no_borrowing_or_deviance_over_several_hours(page):
    assert "Borrowing of strength" not in spaced(page)
    assert "Total residual deviance" not in spaced(page)
