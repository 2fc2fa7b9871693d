"""The washout between periods is reported for every crossover trial, and no other."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.describe import evidence_notes
from nmda_bayes.evidence.tree import WASHOUT_NOT_REPORTED


def test_crossover_trials_of_the_base(base):
    studies = to_frame(base, "studies").set_index("study")
    crossover = studies["design"] == "crossover"
    assert (studies.loc[~crossover, "carry_over"] == "").all()
    assert studies.loc["Taylor2018", "carry_over"] == "washout 28 days"
    others = studies.loc[crossover].drop("Taylor2018")
    assert (others["carry_over"] == WASHOUT_NOT_REPORTED).all()
    (note,) = [note for note in evidence_notes(base) if "carry-over" in note.message]
    assert f"{len(others)} of {len(others) + 1} " in note.message


def test_crossover_trials_of_a_flat_table():
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
    assert to_frame(tree, "studies")["carry_over"].tolist() == ["washout 7 days", ""]
    assert not [note for note in evidence_notes(tree) if "carry-over" in str(note)]
