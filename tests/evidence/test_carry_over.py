"""What is known of the break between periods is flagged for every crossover trial, and no other."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.carry_over import NOT_REPORTED
from nmda_bayes.evidence.notes import evidence_notes


def test_the_base_flags_its_crossover_trials(base):
    studies = table(base, "studies").set_index("study")
    crossover = studies["design"] == "crossover"
    assert (studies.loc[~crossover, "carry_over"] == "").all()
    assert studies.loc["Taylor2018", "carry_over"] == "washout 28 days"
    others = studies.loc[crossover].drop("Taylor2018")
    assert (others["carry_over"] == NOT_REPORTED).all()
    said = [str(note) for note in evidence_notes(base) if "carry-over" in str(note)]
    assert len(said) == 1
    assert f"{len(others)} of {len(others) + 1} crossover trials" in said[0]


def test_a_table_of_ones_own_is_flagged_alike():
    frame = pd.DataFrame(
        {
            "study": ["A", "A", "B", "B"],
            "agent": ["placebo", "ketamine"] * 2,
            "design": ["crossover"] * 2 + ["parallel"] * 2,
            "washout_days": [7, 7, None, None],
            "events": [1, 2, 3, 4],
            "n": [10, 10, 20, 20],
        }
    )
    tree = load_evidence(frame)
    assert table(tree, "studies")["carry_over"].tolist() == ["washout 7 days", ""]
    assert not [note for note in evidence_notes(tree) if "carry-over" in str(note)]
