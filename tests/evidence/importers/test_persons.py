"""One row per participant: its conversion, its errors, and that no information is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.model import PY_MODE, build_model
from tests.evidence.importers.layouts import EVENTS, VALUES
from tests.support import specs

#: A study with summary statistics only, besides the participants of study A.
SUMMARIES = pd.DataFrame(
    {"study": "B", "agent": ["placebo", "x"], "mean": ["55", "45"], "sd": ["12", "14"],
     "n": ["20", "21"]}
)  # fmt: skip
MIXED = pd.concat([VALUES, SUMMARIES], ignore_index=True).fillna("")


def test_participants_and_arms_in_one_table():
    evidence = load_evidence(MIXED)
    assert evidence.attrs["format"] == "persons/values"
    results = to_frame(evidence, "results")
    assert results["study"].tolist() == ["A", "A", "B", "B"]
    assert_allclose(results["n"], [3, 3, 20, 21])
    assert results["line"].tolist() == [2, 5, 8, 9]
    notes = " ".join(evidence.attrs["notes"])
    assert "6 participants of 1 trial(s)" in notes
    assert "2 row(s) without a participant" in notes


def test_columns_that_differ_between_participants_are_skipped():
    evidence = load_evidence(VALUES.assign(age=list("123456"), country="NO"))
    names = {str(name) for group in evidence.children.values() for name in group.to_dataset()}
    assert "country" in names
    assert "age" not in names
    assert any("'age'" in note for note in evidence.attrs["notes"])


@pytest.mark.parametrize(
    ("change", "code", "row"),
    [
        (lambda t: t.assign(person=list("121456")), "E218", 4),
        (lambda t: t.assign(value=["50", "", "40", "31", "42", "20"]), "E120", 3),
        (lambda t: t.drop(index=[4, 5]), "E216", 5),
        (lambda t: t.assign(person="1"), "E218", 3),
    ],
)
def test_invalid_participant_is_rejected(change, code, row, issues_of):
    assert (code, row) in {(issue.code, issue.row) for issue in issues_of(change(VALUES))}


def test_event_is_1_or_0(issues_of):
    issues = issues_of(EVENTS.assign(event=["0", "1", "2", "1", "1", "0"]))
    assert [(x.row, x.column) for x in issues if x.code == "E217"] == [(4, "event")]


def test_table_without_participants_is_not_of_persons(issues_of):
    (issue,) = issues_of(VALUES.drop(columns="person"))
    assert "person" in issue.hint
    assert load_evidence(SUMMARIES).attrs["format"] == "flat"


def test_mean_sd_and_n_are_sufficient():
    """The log densities of the values and of the arms differ by a constant."""
    sd = specs.parameter("independent", each=specs.normal(3, 1))
    outcome = specs.outcome("normal_with_sd", "constant", "none", {"log_sd": sd})
    outcome["likelihood_options"] = {"sd_spread": 1e-9}  # one SD for both arms of the study
    outcome["parameters"].pop("sd_spread")
    model = build_model(specs.spec(outcome), load_evidence(VALUES))
    observed = [model["reported"], model["reported_variance"]]
    density = model.compile_logp(vars=observed, mode=PY_MODE)
    values = VALUES["value"].to_numpy(float)
    treated = (VALUES["agent"] == "x").to_numpy()
    differences = []
    for level, effect, log_sd in ((50.0, -10.0, 2.5), (40.0, 3.0, 3.2), (62.0, -25.0, 1.9)):
        point = {
            "baseline": np.array([level]),
            "effect": np.array(effect),
            "log_sd": np.array([log_sd]),
            "arm_sd_offset": np.zeros(2),
        }
        each = stats.norm(level + effect * treated, np.exp(log_sd)).logpdf(values).sum()
        differences.append(each - float(density(point)))
    assert_allclose(differences, differences[0], atol=1e-6)
