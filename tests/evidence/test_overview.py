"""Doses, studies and the network by dose, as tables."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.evidence import (
    dose_coverage,
    evidence_network,
    load_evidence,
    study_characteristics,
    to_frame,
)
from nmda_bayes.evidence.describe import describe_evidence, format_table
from nmda_bayes.evidence.doses import NO_DOSE, NO_REFERENCE, UNIT_MISMATCH, assign_dose

TRIALS = [
    ("A", "placebo", 0, 2, 20), ("A", "x", 5, 8, 21),
    ("B", "placebo", 0, 1, 10), ("B", "x", 5, 3, 11), ("B", "x", 10, 5, 12),
    ("C", "y", None, 1, 9), ("C", "placebo", 0, 1, 8),
]  # fmt: skip


@pytest.fixture
def flat():
    return load_evidence(pd.DataFrame(TRIALS, columns=["study", "agent", "dose", "events", "n"]))


def test_network_by_dose(flat):
    net = evidence_network(flat, by="dose")
    assert net.sizes == {"agent": 4, "edge": 4}
    assert net["agent"].to_numpy().tolist() == ["placebo", "x@10", "x@5", "y@dose not known"]
    people = net["participants"].to_series()
    assert people.to_dict() == {"placebo": 38, "x@5": 32, "x@10": 12, "y@dose not known": 9}


def test_people_are_summed_over_doses(flat):
    assert evidence_network(flat)["participants"].sel(agent="x").item() == 21 + 11 + 12


def test_dose_coverage_keeps_arms_without_a_dose(flat):
    arms = dose_coverage(flat)
    assert arms["agent"].tolist() == ["x", "x", "x", "y"]
    assert arms["dose"].tolist()[:3] == [5, 5, 10]
    assert arms["missing_reason"].tolist() == ["", "", "", NO_DOSE]
    assert arms["people"].tolist() == [21, 11, 12, 9]
    assert arms["usable"].all()


def test_dose_in_another_unit_is_not_converted():
    arms = pd.DataFrame(
        {
            "agent": ["k", "k", "k", "m"],
            "route": "iv",
            "dose": float("nan"),
            "total_dose_mg_per_kg": [1.0, float("nan"), float("nan"), 3.0],
            "daily_dose_mg": [float("nan"), 70.0, float("nan"), 50.0],
        }
    )
    references = pd.DataFrame(
        {"agent": ["k"], "route": "iv", "dose_column": "total_dose_mg_per_kg"}
    ).assign(reference_dose=0.5)
    at = assign_dose(arms, references)
    assert at["unit"].tolist() == ["mg/kg", "mg a day", "", "mg/kg"]
    assert at["multiple"].tolist()[0] == 2
    assert at["multiple"].isna().tolist() == [False, True, True, True]
    assert at["missing_reason"].tolist() == ["", UNIT_MISMATCH, NO_DOSE, NO_REFERENCE]


def test_active_arms_of_the_base_have_a_dose_or_a_reason(base):
    arms = dose_coverage(base)
    assert (arms["multiple"].notna() == (arms["missing_reason"] == "")).all()
    assert "placebo" not in set(arms["agent"])
    assert not {"no_treatment", "active_placebo_midazolam"} & set(arms["agent"])


def test_study_characteristics_of_the_base(base):
    trials = study_characteristics(base)
    assert trials["study"].tolist() == to_frame(base, "studies")["study"].tolist()
    results, contrasts = to_frame(base, "results"), to_frame(base, "contrasts")
    assert trials["rows"].sum() == len(results) + len(contrasts)
    unusable = (results["unusable"] != "").sum() + (contrasts["unusable"] != "").sum()
    assert trials["unusable"].sum() == unusable
    study = trials.set_index("study").loc["Eide1994"]
    assert study["design"] == "crossover"
    assert study["arms"].startswith("ketamine 0.15 mg/kg iv, n 8; morphine 0.075 mg/kg iv, n 8")
    # In a crossover trial the eight people of one arm are those of the other.
    assert study["outcomes"] == "any_adverse_event (n 8)"


def test_studies_with_contrasts_only():
    frame = pd.DataFrame(
        {"study": ["A", "B"], "agent": ["x", "y"], "comparator": ["placebo", "x"],
         "estimate": [1, 2], "se": [1, 1]}
    )  # fmt: skip
    tree = load_evidence(frame)
    assert study_characteristics(tree)["arms"].tolist() == ["x against placebo", "y against x"]
    assert dose_coverage(tree)["agent"].tolist() == ["x", "y", "x"]
    assert "0 trials compared doses" in describe_evidence(tree)


def test_lines_are_truncated_and_numbers_right_aligned():
    frame = pd.DataFrame({"a": ["x" * 200, "y"], "n": [1, 1000]})
    lines = list(format_table(frame, width=40))
    assert [len(line) for line in lines] == [40, 40, 40]
    assert "…" in lines[1]
    assert lines[2].endswith("  1,000")
