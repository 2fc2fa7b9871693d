"""Issues, error codes, suggestions and scoped names."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from nmda_bayes.dims import scoped_name
from nmda_bayes.errors import (
    CODES,
    EvidenceError,
    FitError,
    InputError,
    Issue,
    SpecError,
    suggest_match,
)

SOURCE = Path(__file__).parents[1] / "src" / "nmda_bayes"


@pytest.mark.parametrize(
    ("issue", "text"),
    [
        (Issue("E100", "is wrong"), "E100 is wrong"),
        (Issue("E100", "is wrong", "Fix it."), "E100 is wrong. Fix it."),
        (Issue("E100", "is wrong", "", "a.csv", 3, "dose"), "E100 a.csv, row 3, dose: is wrong"),
        (Issue("E100", "is wrong", "", "a.csv", 0), "E100 a.csv, row 0: is wrong"),
        (Issue("E100", "is wrong", "Fix it.", column="x.y"), "E100 x.y: is wrong. Fix it."),
    ],
)
def test_text_of_an_issue(issue, text):
    assert str(issue) == text


@pytest.mark.parametrize("kind", [EvidenceError, SpecError, FitError])
def test_an_error_carries_all_issues(kind):
    error = kind(Issue("E100", word) for word in ("first", "second"))
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert [issue.message for issue in error.issues] == ["first", "second"]
    assert str(error) == "E100 first\nE100 second"
    assert pickle.loads(pickle.dumps(error)).issues == error.issues


def test_an_error_needs_an_issue():
    with pytest.raises(ValueError, match="at least one"):
        InputError([])


def test_every_code_in_the_source_is_listed_once_and_named():
    texts = (path.read_text() for path in SOURCE.rglob("*.py") if path.name != "errors.py")
    used = {code for text in texts for code in re.findall(r"\"(E\d{3})\"", text)}
    assert used == set(CODES)
    assert len(re.findall(r"^    \"E\d{3}\":", (SOURCE / "errors.py").read_text(), re.M)) == len(
        CODES
    )
    assert all(re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name) for name in CODES.values())


def test_suggestions():
    assert "'emax'" in suggest_match("emaxx", ["linear", "emax"])
    assert "linear" not in suggest_match("emaxx", ["linear", "emax"])
    assert "linear, emax" in suggest_match("zzz", ["linear", "emax"])


def test_a_single_outcome_needs_no_prefix():
    assert scoped_name("pain", "emax", single_outcome=True) == "emax"
    assert scoped_name("pain", "emax", single_outcome=False) == "pain::emax"
