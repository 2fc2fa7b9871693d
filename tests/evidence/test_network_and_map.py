"""The network of comparisons, and the evidence map with its gaps."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.evidence import (
    connected_components,
    evidence_map,
    evidence_network,
    load_evidence,
    network_issues,
    summarise_evidence,
    to_frame,
)
from nmda_bayes.evidence.describe import evidence_notes


@pytest.mark.parametrize(
    ("pairs", "parts"),
    [
        ([], []),
        ([(1, "a")], [{"a"}]),
        ([(1, "a"), (1, "b"), (2, "c"), (2, "d"), (3, "b"), (3, "c")], [{"a", "b", "c", "d"}]),
        ([(1, "a"), (1, "b"), (2, "c")], [{"a", "b"}, {"c"}]),
    ],
)
def test_connected_parts(pairs, parts):
    assert connected_components(pairs) == parts


def _flat(*rows):
    return load_evidence(pd.DataFrame(rows, columns=["study", "agent", "events", "n"]))


TRIANGLE = [
    ("A", "placebo", 1, 10),
    ("A", "x", 2, 11),
    ("B", "x", 1, 20),
    ("B", "y", 2, 21),
    ("C", "placebo", 1, 5),
    ("C", "x", 1, 5),
    ("C", "y", 1, 6),
]


def test_network_counts_studies_and_people():
    net = evidence_network(_flat(*TRIANGLE))
    assert net.sizes == {"agent": 3, "edge": 3}
    assert net["studies"].sel(agent="x").item() == 3
    assert net["participants"].sel(agent="placebo").item() == 15
    columns = ("agent", "comparator", "studies", "participants")
    rows = zip(*(net[f"edge_{name}"].to_numpy() for name in columns), strict=True)
    edges = {(agent, comparator): counts for agent, comparator, *counts in rows}
    assert edges == {("placebo", "x"): [2, 31], ("placebo", "y"): [1, 11], ("x", "y"): [2, 52]}
    assert net.attrs["n_components"] == 1
    assert net.attrs["identified"].endswith("against placebo: x, y")


def test_sub_networks_are_described():
    net = evidence_network(_flat(*TRIANGLE, ("D", "u", 1, 5), ("D", "v", 1, 5), ("E", "w", 1, 5)))
    assert net.attrs["n_components"] == 3
    assert "separate sub-network: u, v" in net.attrs["identified"]
    assert "none: w" in net.attrs["identified"]
    assert net["part"].sel(agent="placebo").item() == 0


def test_network_of_selected_outcomes(base):
    every, harm = evidence_network(base), evidence_network(base, ["psychotomimetic_any"])
    assert harm.sizes["agent"] < every.sizes["agent"]
    assert "memantine" not in set(harm["agent"].to_numpy())


def test_unknown_outcome_has_an_empty_network(base):
    assert evidence_network(base, ["no such outcome"]).sizes["agent"] == 0


def test_contrasts_connect_agents():
    rows = [("A", "x", "placebo", 1), ("B", "y", "x", 2)]
    frame = pd.DataFrame(rows, columns=["study", "agent", "comparator", "estimate"]).assign(se=1)
    tree = load_evidence(frame)
    assert evidence_network(tree).attrs["n_components"] == 1
    assert network_issues(tree) == []


DOSES = ["study", "agent", "dose", "comparator", "comparator_dose", "estimate", "se"]


def test_doses_of_one_agent_are_compared():
    rows = [("A", "x", 1, "placebo", 0, 1, 1), ("B", "x", 2, "x", 1, 2, 1)]
    tree = load_evidence(pd.DataFrame(rows, columns=DOSES))
    assert network_issues(tree) == []


def test_a_curve_connects_an_agent_to_dose_0():
    rows = [("A", "x", 1, "placebo", 0, 1, 1), ("B", "y", 2, "y", 1, 2, 1)]
    tree = load_evidence(pd.DataFrame(rows, columns=DOSES))
    assert [issue.code for issue in network_issues(tree)] == ["E722"]
    assert network_issues(tree, over_dose=True) == []
    alone = load_evidence(pd.DataFrame(rows[1:], columns=DOSES))
    assert [issue.code for issue in network_issues(alone, "zero dose")] == ["E721"]
    assert network_issues(alone, "zero dose", over_dose=True) == []


def test_network_issues_of_the_base(base):
    issues = network_issues(base)
    assert {issue.code for issue in issues} == {"E720", "E722"}
    single = [issue.message for issue in issues if issue.code == "E720"]
    assert any("'AbdelGhaffar2012'" in message for message in single)


def test_network_issues_are_located():
    single = _flat(*TRIANGLE, ("D", "x", 1, 5))
    assert [(i.code, i.row) for i in network_issues(single)] == [("E720", 9)]
    islands = _flat(*TRIANGLE, ("D", "u", 1, 5), ("D", "v", 1, 5))
    assert [i.code for i in network_issues(islands)] == ["E722"]
    assert [i.code for i in network_issues(_flat(*TRIANGLE[2:4]), "z")] == ["E721"]


CHRONIC = "chronic_pain"


def test_map_has_every_cell(base):
    cells = evidence_map(base)
    assert cells.dims == ("agent", "condition", "outcome")
    assert cells.dtype.kind == "i"
    vocabulary = to_frame(base, "vocabulary")
    for dim, kind in (("agent", "agent"), ("condition", "condition_group"), ("outcome", "outcome")):
        terms = vocabulary.loc[(vocabulary["kind"] == kind) & (vocabulary["synonym"] == ""), "term"]
        assert cells[dim].to_numpy().tolist() == terms.tolist()
        assert (cells[f"{dim}_label"] != "").all()


@pytest.mark.parametrize(
    "outcome", ["depressive_symptoms", "depressive_symptoms_change", "opioid_use"]
)
def test_gaps_in_chronic_pain_are_zero(base, outcome):
    cells = evidence_map(base)
    chronic = cells.isel(condition=cells["condition_within"].to_numpy() == CHRONIC)
    gap = chronic.sel(agent=["ketamine", "s_ketamine"], outcome=outcome)
    assert gap.sizes["condition"] == 8
    assert (gap == 0).all()
    if outcome == "opioid_use":
        assert (chronic.sel(outcome=outcome) == 0).all()


def test_map_counts_trials(base):
    cells = evidence_map(base)
    crps = cells.sel(condition="crps", outcome="psychotomimetic_any")
    assert crps.sel(agent="s_ketamine").item() == 1
    assert crps.sel(agent="placebo").item() == 2


def test_map_of_a_flat_table():
    cells = evidence_map(_flat(*TRIANGLE))
    assert cells.sizes == {"agent": 3, "condition": 1, "outcome": 1}
    assert cells.sel(agent="x").item() == 3


def test_summary_counts_rows(base):
    text, counts = summarise_evidence(base)
    n_results = len(to_frame(base, "results"))
    assert f"results {n_results}" in text
    assert "no_dispersion" in text
    assert evidence_network(base).attrs["identified"] in text
    rows = counts.set_index(["part", "item"])["count"]
    results = rows["results"]
    assert results.sum() == n_results
    assert results["usable"] == (to_frame(base, "results")["unusable"] == "").sum()
    doses = rows["arms with a usable result, by dose"]
    assert (doses > 0).all()
    assert doses["on the dose axis"] > doses.sum() / 2


def test_notes_of_the_base(base):
    notes = [*evidence_notes(base)]
    assert {(note.code, note.column) for note in notes} == {
        ("E730", "se"),
        ("E733", "washout_days"),
    }


def test_notes_of_a_flat_table():
    rows = [("A", "placebo", 24, 1), ("A", "x", 24, 2)]
    frame = pd.DataFrame(rows, columns=["study", "agent", "time_hours", "events"]).assign(n=9)
    (note,) = evidence_notes(load_evidence(frame))
    assert (note.code, note.row, note.column) == ("E732", 2, "time_hours")


def test_imputed_standard_errors_are_noted():
    rows = [("A", "placebo", 5.0, 3.0, 8.0), ("A", "x", 4.0, 2.0, 7.0)]
    columns = ["study", "agent", "median", "q1", "q3"]
    frame = pd.DataFrame(rows, columns=columns).assign(n=40)
    (note,) = evidence_notes(load_evidence(frame))
    assert (note.code, note.row, note.column) == ("E731", 2, "se")


def test_summary_of_a_flat_table():
    text, _ = summarise_evidence(_flat(*TRIANGLE))
    assert text.splitlines()[-1].startswith("network: 1 part(s)")


def test_arm_at_dose_0_is_the_reference():
    frame = pd.DataFrame(
        {"study": "M", "agent": "drug", "dose": [0, 5, 10], "events": [1, 2, 3], "n": 20}
    )
    tree = load_evidence(frame)
    assert network_issues(tree) == []
    assert evidence_network(tree)["agent"].to_numpy().tolist() == ["placebo", "drug"]
