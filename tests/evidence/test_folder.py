"""A folder of tables: what is refused, where, and with which mend."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence, shipped_folder, table


def test_a_small_folder_loads(small):
    tree = load_evidence(small)
    assert tree.attrs["kind"] == "base"
    assert table(tree, "results")["hours_after_treatment"].tolist() == [0.5, 0.5, 2.0, 2.0]
    assert table(tree, "arms")["dose"].fillna(-1).tolist() == [-1, 0, -1, 0]


def test_synonyms_are_read_as_their_term(small):
    arms = pd.read_csv(small / "arms.csv").replace({"ketamine": "esketamine"})
    arms.to_csv(small / "arms.csv", index=False)
    results = pd.read_csv(small / "results.csv").replace({"nausea": "ae_nausea"})
    results.to_csv(small / "results.csv", index=False)
    tree = load_evidence(small)
    assert table(tree, "arms")["agent"].tolist() == ["s_ketamine", "placebo"] * 2
    assert table(tree, "arms")["agent_reported"].tolist() == ["esketamine", "placebo"] * 2
    assert set(table(tree, "results")["outcome"]) == {"nausea"}
    assert set(table(tree, "results")["outcome_reported"]) == {"ae_nausea"}


def test_a_column_of_another_table_is_refused(small):
    """Joined to its arm, a result's own text would be taken for the arm's dose."""
    results = pd.read_csv(small / "results.csv").assign(dose="three")
    results.to_csv(small / "results.csv", index=False)
    with pytest.raises(EvidenceError, match="'dose' belongs to arms.csv. Move it there") as told:
        load_evidence(small)
    (fault,) = told.value.faults
    assert (fault.file, fault.column) == ("results.csv", "dose")


#: table, row number in the frame, column, new value -> line, message
BAD = [
    ("arms", 0, "agent", "ketamin", 2, "'ketamin' is no agent of the vocabulary. Did you mean"),
    ("arms", 0, "agent", "zzz", 2, "A new one needs a row in vocabulary.csv"),
    ("results", 1, "outcome", "nusea", 3, "Did you mean 'nausea'"),
    ("studies", 1, "condition_group", "crsp", 3, "Did you mean 'crps'"),
    ("results", 0, "time_label", "24 hh", 2, "'24 hh' is no time_point of the vocabulary. Did you"),
    ("results", 0, "time_label", "zzz", 2, "A new one needs a row in vocabulary.csv"),
    ("results", 2, "study", "BB", 4, "'BB' is not in studies.csv"),
    ("results", 2, "arm_id", "kett", 4, "'B: kett' is not in arms.csv. Did you mean 'B: ket'"),
    ("arms", 2, "study", "C", 4, "'C' is not in studies.csv"),
    ("results", 0, "events", 21, 2, "more events than people"),
    ("results", 0, "n", 0, 2, "is too small"),
    ("results", 0, "n", 19.5, 2, "19.5 is not a whole number"),
    ("results", 0, "n", None, 2, "a count without its n"),
    ("results", 0, "kind", "count", 2, "'count' is not a word for this column"),
    ("results", 0, "kind", "continuous", 2, "no mean"),
    ("results", 0, "source", "", 2, "nothing stands here"),
    ("results", 0, "events", "many", 2, "'many' is not a finite number"),
    ("arms", 0, "schedule", "0.5 mg/kg sometimes", 2, "should stand at 'sometimes'"),
    ("arms", 0, "infusion_hours", -0.5, 2, "-0.5 is negative"),
    ("arms", 1, "arm_id", "ket", 3, "the same study and arm_id as in row 2 (A, ket)"),
    ("studies", 1, "study", "A", 3, "the same study as in row 2 (A)"),
    ("studies", 0, "design", "paralel", 2, "Did you mean 'parallel'"),
    ("results", 1, "arm_id", "ket", 3, "another usable row has the same arm"),
]


@pytest.mark.parametrize(("name", "row", "column", "value", "line", "message"), BAD)
def test_a_wrong_cell_is_found(small, faults_of, name, row, column, value, line, message):
    path = small / f"{name}.csv"
    frame = pd.read_csv(path)
    if column not in frame:
        frame[column] = ""
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    frame.to_csv(path, index=False)
    hit = [fault for fault in faults_of(small) if message in str(fault)]
    assert hit
    assert (hit[0].file, hit[0].row) == (f"{name}.csv", line)


def test_what_a_folder_lacks(small, faults_of, tmp_path):
    (small / "arms.csv").unlink()
    (small / "results.csv").unlink()
    (fault,) = faults_of(small)
    assert "arms.csv, results.csv" in fault.message
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "studies.csv" in str(faults_of(empty)[0])


def test_a_missing_column_is_one_fault(small, faults_of):
    frame = pd.read_csv(small / "results.csv").rename(columns={"outcome": "outcomes"})
    frame.to_csv(small / "results.csv", index=False)
    faults = faults_of(small)
    assert [f.column for f in faults] == ["outcome"]
    assert "Did you mean 'outcomes'" in str(faults[0])


def test_faults_of_all_tables_come_at_once(small, faults_of):
    for name, column in (("arms", "agent"), ("results", "outcome"), ("studies", "condition_group")):
        frame = pd.read_csv(small / f"{name}.csv")
        frame.loc[0, column] = "never heard of"
        frame.to_csv(small / f"{name}.csv", index=False)
    assert {f.file for f in faults_of(small)} == {"arms.csv", "results.csv", "studies.csv"}


def test_a_source_must_lead_somewhere(small, faults_of):
    (small / "sources.bib").write_text("@misc{Smith1999,\n  title = {x}\n}\n", "utf-8")
    frame = pd.read_csv(small / "results.csv")
    frame["source"] = ["Smith1999", "doi:10.1000/x; pmid:12", "Smith", "https://example.org/x"]
    frame.to_csv(small / "results.csv", index=False)
    (fault,) = faults_of(small)
    assert (fault.row, fault.column) == (4, "source")
    assert "'Smith' leads nowhere" in fault.message


def test_a_table_that_is_a_broken_file_is_told_with_the_rest(small, faults_of):
    (small / "results.csv").write_bytes(b"\x00\x01PK")
    assert "not a text file" in str(faults_of(small)[0])


def test_shipped_folders():
    assert (shipped_folder("data") / "studies.csv").is_file()
    with pytest.raises(EvidenceError, match="Install the wheel again"):
        shipped_folder("nothing")
