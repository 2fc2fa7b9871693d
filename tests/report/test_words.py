"""Numbers as the page writes them."""

from __future__ import annotations

import math

import pytest

from nmda_bayes.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(-5.84, "−5.8"), (0.314, "0.31"), (-0.001, "0.00"), (123.4, "123"), (math.nan, "—"),
     (math.inf, "∞")],
)  # fmt: skip
def test_effects(value, text):
    assert words.effect(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(10.0, "10"), (0.5, "0.5"), (1.0, "1"), (0.0, "0"), (128.3, "128")]
)
def test_chosen_numbers_have_no_trailing_zeros(value, text):
    assert words.exact(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "< 0.01"), (1.0, "> 0.99"), (0.931, "0.93")])
def test_a_share_of_draws_is_never_certain(value, text):
    assert words.probability(value) == text


def test_sentences():
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.count(0, "trial") == "no trials"
    assert words.count(1, "trial") == "1 trial"
    assert words.within("Acute pain") == "acute pain"
    assert words.within("PTSD symptoms") == "PTSD symptoms"
    assert words.name("s_ketamine") == "S-ketamine"
    assert words.chance("better", 0.999) == "P(better) > 0.99"
