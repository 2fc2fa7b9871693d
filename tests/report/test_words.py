"""Numbers and sentences as the report writes them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nmda_bayes.report import format as text_of


@pytest.mark.parametrize(
    ("value", "text"),
    [(-5.84, "−5.8"), (0.314, "0.31"), (-0.001, "0.00"), (123.4, "123"), (math.nan, "—"),
     (math.inf, "∞")],
)  # fmt: skip
def test_effects(value, text):
    assert text_of.format_effect(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(10.0, "10"), (0.5, "0.5"), (1.0, "1"), (0.0, "0"), (128.3, "128")]
)
def test_exact_numbers_have_no_trailing_zeros(value, text):
    assert text_of.format_exact(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0, "< 0.01"), (1.0, "> 0.99"), (0.931, "0.93")])
def test_probabilities_are_never_certain(value, text):
    assert text_of.format_probability(value) == text


def test_sentences():
    assert text_of.join_words(["a", "b", "c"]) == "a, b and c"
    assert text_of.count_noun(0, "trial") == "no trials"
    assert text_of.count_noun(1, "trial") == "1 trial"
    assert text_of.decapitalise("Acute pain") == "acute pain"
    assert text_of.decapitalise("PTSD symptoms") == "PTSD symptoms"
    assert text_of.display_name("s_ketamine") == "S-ketamine"
    assert text_of.describe_probability("better", 0.999) == "Pr(better) > 0.99"
    assert text_of.list_some("abcd", 3) == "a, b, c and 1 more"
    assert text_of.format_draws(np.arange(41.0)) == "20.0 (1.0 to 39.0)"
    assert text_of.format_percent(0.0312) == "3.1%"
