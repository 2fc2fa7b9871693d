"""The map by time, and its people."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.evidence import evidence_map, load_evidence
from nmda_bayes.evidence.network import evidence_cells
from nmda_bayes.evidence.tree import WINDOW_LABELS, time_windows

ALL = ("agent", "condition", "outcome", "time")


@pytest.fixture(scope="module")
def cells(base):
    return evidence_cells(base, ALL)


def test_map_has_every_window(cells, base):
    assert cells["studies"].dims == ALL
    assert cells["people"].dims == ALL
    assert cells["studies"].dtype.kind == cells["people"].dtype.kind == "i"
    assert cells["time"].to_numpy().tolist() == [*WINDOW_LABELS]
    assert cells.sizes["agent"] == evidence_map(base).sizes["agent"]
    assert (cells["studies"] == 0).mean() > 0.9


def test_windows_lose_no_trial(cells, base):
    whole = evidence_cells(base)
    assert (cells["studies"].max("time") <= whole["studies"]).all()
    assert (cells["studies"].sum("time") >= whole["studies"]).all()
    assert (cells["people"].max("time") <= whole["people"]).all()
    assert whole["studies"].equals(evidence_map(base))


def test_no_people_without_trials(cells):
    assert not ((cells["people"] > 0) & (cells["studies"] == 0)).any()


def test_single_trial_cell(cells):
    # Sigtermans2009: S-ketamine over 4.2 days in 30 people with CRPS, pain at 1 week (4 days on).
    cell = cells.sel(agent="s_ketamine", condition="crps", outcome="pain_intensity")
    assert cell["studies"].sel(time="to_1_week").item() == 1
    assert cell["people"].sel(time="to_1_week").item() == 30


def _arms(n_administrations):
    arm = {"study": "A", "infusion_hours": 0.5, "treatment_days": float("nan")}
    return pd.DataFrame([arm | {"n_administrations": n_administrations}])


@pytest.mark.parametrize(
    ("hours", "reported", "window"),
    [
        (0.25, "", "during"),
        (0.5, "", "during"),
        (1.0, "", "to_24_hours"),
        (24.5, "", "to_24_hours"),
        (24.6, "", "to_1_week"),
        (168.5, "", "to_1_week"),
        (169, "", "to_3_months"),
        (2190.5, "", "to_3_months"),
        (2191, "", "later"),
        (None, "immediate", "to_1_week"),
        (None, "short", "to_3_months"),
        (None, "medium", "later"),
        (None, "", "unknown"),
    ],
)
def test_windows_start_at_the_end_of_treatment(hours, reported, window):
    arms = _arms(n_administrations=1.0)
    rows = pd.DataFrame({"study": ["A"], "time_hours": [hours], "time_window": [reported]})
    assert time_windows(rows.astype({"time_hours": float}), arms).tolist() == [window]


def test_unknown_end_of_treatment_has_no_window():
    arms = _arms(n_administrations=3.0)
    rows = pd.DataFrame({"study": ["A"], "time_hours": [24.0]})
    assert time_windows(rows, arms).tolist() == ["unknown"]


FLAT = pd.DataFrame(
    {
        "study": ["A", "A", "A", "A", "A", "A"],
        "agent": ["placebo", "x", "placebo", "x", "placebo", "x"],
        "outcome": ["nausea", "nausea", "pain", "pain", "pain", "pain"],
        "time_hours": [1.0, 1.0, 1.0, 1.0, 48.0, 48.0],
        "events": [1, 2, 3, 4, 5, 6],
        "n": [20, 21, 20, 21, 18, 19],
    }
)


def test_people_count_once_per_cell():
    tree = load_evidence(FLAT)
    assert evidence_cells(tree, ["agent"])["people"].to_series().to_dict() == {
        "placebo": 20,
        "x": 21,
    }
    by_outcome = evidence_cells(tree, ["outcome"])
    assert by_outcome["people"].to_series().to_dict() == {"nausea": 41, "pain": 41}
    assert by_outcome["studies"].to_series().to_dict() == {"nausea": 1, "pain": 1}
    assert evidence_cells(tree, ["time"])["studies"].sum() >= 1


@pytest.mark.parametrize("by", [(), ("agent", "agent"), ("agent", "dose")])
def test_invalid_dims_are_rejected(base, by):
    with pytest.raises(ValueError, match="by must be some of agent, condition, outcome, time"):
        evidence_cells(base, by)
