"""Faults, names and the words for them."""

from __future__ import annotations

import pytest

from nmda_bayes.dims import scoped
from nmda_bayes.errors import EvidenceError, Fault, FitError, InputError, SpecError, nearest


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("is wrong"), "is wrong"),
        (Fault("is wrong", "Mend it."), "is wrong. Mend it."),
        (Fault("is wrong", "", "a.csv", 3, "dose"), "a.csv, row 3, dose: is wrong"),
        (Fault("is wrong", "", "a.csv", 0), "a.csv, row 0: is wrong"),
        (Fault("is wrong", "Mend it.", column="x.y"), "x.y: is wrong. Mend it."),
    ],
)
def test_a_fault_says_where_what_and_the_mend(fault, text):
    assert str(fault) == text


@pytest.mark.parametrize("kind", [EvidenceError, SpecError, FitError])
def test_an_error_carries_every_fault_a_line_each(kind):
    error = kind(Fault(word) for word in ("one", "two"))
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert [fault.message for fault in error.faults] == ["one", "two"]
    assert str(error) == "one\ntwo"


def test_an_error_without_a_fault_is_a_mistake_of_ours():
    with pytest.raises(ValueError, match="at least one fault"):
        InputError([])


def test_the_nearest_word_or_all_of_them():
    assert nearest("emaxx", ["linear", "emax"]) == "Did you mean 'emax'?"
    assert nearest("zzz", ["linear", "emax"]) == "Known: linear, emax"


def test_an_outcome_alone_needs_no_prefix():
    assert scoped("pain", "emax", alone=True) == "emax"
    assert scoped("pain", "emax", alone=False) == "pain::emax"
