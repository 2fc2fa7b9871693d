"""The section of the page on how long an effect lasts."""

from __future__ import annotations

import re

import pytest

from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import fit
from nmda_bayes.report.page import render
from tests import specs
from tests.design.test_readings import DECAY, READ, REPEATED


@pytest.fixture(scope="module")
def page() -> str:
    with pytest.MonkeyPatch.context() as patch:
        from tests.conftest import PRIOR_DRAWS, SAMPLER, prior_as_posterior

        patch.setattr(SAMPLER, prior_as_posterior)
        patch.setattr(PRIOR_DRAWS, 100)
        outcome = specs.outcome(**DECAY, better="lower", unit="points")
        return render(fit(specs.spec(outcome, designs=REPEATED), load_evidence(READ)))


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def tight(html: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"<[^>]+>", "", html))


def test_the_equations_have_the_course_and_what_readings_share(page):
    text = tight(page)
    assert "baseline[study,hour]+f(x[arm];θ[agent,condition])·g(hour)+δ[arm]" in text
    assert "hourssincethestudy&#39;streatmentsended" in text
    assert "declared,notlearned" in text  # the within-arm correlation of 0.5


def test_the_section_says_how_much_is_left_and_of_what_the_trials_say_nothing(page):
    text = words(page[page.index('id="over-time"') :])
    assert "the effect of a dose times how much of it is there at an hour" in text
    assert "The trials say nothing of log_half_life" in text
    assert "left after 24 h" in text
    assert "95 % equal-tailed intervals" in text


def test_answers_say_that_they_are_of_the_whole_effect(page):
    assert "when its effect is whole" in words(page)


def test_what_has_no_meaning_over_several_hours_is_not_printed(page):
    assert "What cells borrow" not in words(page)
    assert "Total residual deviance" not in words(page)
