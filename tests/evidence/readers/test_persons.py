"""One row a person: what becomes of it, what is refused, and that no information is lost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.model import CHEAP, build_model
from tests import specs
from tests.evidence.readers.layouts import EVENTS, VALUES

#: Beside the persons of A stands B, whose arms are known by their numbers alone.
BESIDE = pd.DataFrame(
    {"study": "B", "agent": ["placebo", "x"], "mean": ["55", "45"], "sd": ["12", "14"],
     "n": ["20", "21"]}
)  # fmt: skip
MIXED = pd.concat([VALUES, BESIDE], ignore_index=True).fillna("")


def test_persons_stand_beside_arms():
    evidence = load_evidence(MIXED)
    assert evidence.attrs["format"] == "persons/values"
    results = table(evidence, "results")
    assert results["study"].tolist() == ["A", "A", "B", "B"]
    assert_allclose(results["n"], [3, 3, 20, 21])
    assert results["line"].tolist() == [2, 5, 8, 9]
    said = " ".join(evidence.attrs["notes"])
    assert "6 persons of 1 trial(s) are read as 2 arms" in said
    assert "2 row(s) without a person are read as arms" in said


def test_what_differs_between_persons_is_not_carried_and_is_said():
    evidence = load_evidence(VALUES.assign(age=list("123456"), country="NO"))
    held = {str(name) for group in evidence.children.values() for name in group.to_dataset()}
    assert "country" in held
    assert "age" not in held
    assert "differs between the persons of a trial: 'age'" in " ".join(evidence.attrs["notes"])


@pytest.mark.parametrize(
    ("change", "message", "row"),
    [
        (lambda t: t.assign(person=list("121456")), "stands in the trial twice", 4),
        (lambda t: t.assign(value=["50", "", "40", "31", "42", "20"]), "nothing stands here", 3),
        (lambda t: t.drop(index=[4, 5]), "one person has no SD", 5),
        (lambda t: t.assign(person="1"), "stands in the trial twice", 3),
    ],
)
def test_what_is_wrong_with_a_person_is_told_at_its_row(change, message, row, faults_of):
    found = {(fault.row, message in fault.message) for fault in faults_of(change(VALUES))}
    assert (row, True) in found


def test_an_event_is_1_or_0(faults_of):
    found = faults_of(EVENTS.assign(event=["0", "1", "2", "1", "1", "0"]))
    told = [(f.row, f.column) for f in found if "has the event or not" in f.message]
    assert told == [(4, "event")]


def test_a_table_without_persons_is_never_taken_for_one(faults_of):
    (fault,) = faults_of(VALUES.drop(columns="person"))
    assert "person" in fault.mend
    assert load_evidence(BESIDE).attrs["format"] == "flat"


def test_mean_sd_and_number_say_all_that_the_values_do():
    """The log density of the values, less that of the arms, is the same wherever it is asked."""
    sd = specs.parameter("independent", each=specs.normal(3, 1))
    outcome = specs.outcome("normal_with_sd", "constant", "none", {"log_sd": sd})
    outcome["likelihood_options"] = {"sd_spread": 1e-9}  # one SD for both arms of the study
    outcome["parameters"].pop("sd_spread")
    model = build_model(specs.spec(outcome), load_evidence(VALUES))
    observed = [model["reported"], model["reported_variance"]]
    density = model.compile_logp(vars=observed, **CHEAP)
    values = VALUES["value"].to_numpy(float)
    treated = (VALUES["agent"] == "x").to_numpy()
    missed = []
    for level, effect, log_sd in ((50.0, -10.0, 2.5), (40.0, 3.0, 3.2), (62.0, -25.0, 1.9)):
        point = {
            "baseline": np.array([level]),
            "effect": np.array(effect),
            "log_sd": np.array([log_sd]),
            "arm_sd_offset": np.zeros(2),
        }
        each = stats.norm(level + effect * treated, np.exp(log_sd)).logpdf(values).sum()
        missed.append(each - float(density(point)))
    assert_allclose(missed, missed[0], atol=1e-6)
