"""Who was compared with whom, and the cells that nobody filled."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.evidence import (
    connected_parts,
    evidence_map,
    load_evidence,
    network,
    network_faults,
    summarise,
    table,
)


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
    assert connected_parts(pairs) == parts


def _flat(*rows):
    return load_evidence(pd.DataFrame(rows, columns=["study", "agent", "events", "n"]))


TRIANGLE = [
    ("A", "placebo", 1, 10), ("A", "x", 2, 11), ("B", "x", 1, 20), ("B", "y", 2, 21),
    ("C", "placebo", 1, 5), ("C", "x", 1, 5), ("C", "y", 1, 6),
]  # fmt: skip


def test_the_network_counts_studies_and_people():
    net = network(_flat(*TRIANGLE))
    assert net.sizes == {"agent": 3, "edge": 3}
    assert net["studies"].sel(agent="x").item() == 3
    assert net["participants"].sel(agent="placebo").item() == 15
    edges = {
        (a, b): (s, p)
        for a, b, s, p in zip(
            *(
                net[f"edge_{k}"].to_numpy()
                for k in ("agent", "comparator", "studies", "participants")
            ),
            strict=True,
        )
    }
    assert edges == {("placebo", "x"): (2, 31), ("placebo", "y"): (1, 11), ("x", "y"): (2, 52)}
    assert net.attrs["n_parts"] == 1
    assert net.attrs["identified"] == "What is identified: Against placebo: x, y"


def test_what_islands_identify_is_said():
    net = network(_flat(*TRIANGLE, ("D", "u", 1, 5), ("D", "v", 1, 5), ("E", "w", 1, 5)))
    assert net.attrs["n_parts"] == 3
    assert "only among themselves: u, v" in net.attrs["identified"]
    assert "nothing of w" in net.attrs["identified"]
    assert net["part"].sel(agent="placebo").item() == 0


def test_only_the_asked_outcomes_connect(base):
    whole, mind = network(base), network(base, ["psychotomimetic_any"])
    assert mind.sizes["agent"] < whole.sizes["agent"]
    assert "memantine" not in set(mind["agent"].to_numpy())


def test_an_empty_selection_is_an_empty_network(base):
    assert network(base, ["no such outcome"]).sizes["agent"] == 0


def test_contrasts_connect_too():
    frame = pd.DataFrame(
        {"study": ["A", "B"], "agent": ["x", "y"], "comparator": ["placebo", "x"],
         "estimate": [1, 2], "se": [1, 1]}
    )  # fmt: skip
    tree = load_evidence(frame)
    assert network(tree).attrs["n_parts"] == 1
    assert network_faults(tree) == []


def test_the_base_names_what_it_does_not_connect(base):
    messages = [str(fault) for fault in network_faults(base)]
    assert any("study 'AbdelGhaffar2012' has one arm" in message for message in messages)
    assert any("falls into" in message for message in messages)


CHRONIC = "chronic_pain"


def test_the_map_has_every_cell(base):
    cells = evidence_map(base)
    assert cells.dims == ("agent", "condition", "outcome")
    assert cells.dtype.kind == "i"
    words = table(base, "vocabulary")
    for dim, kind in (("agent", "agent"), ("condition", "condition_group"), ("outcome", "outcome")):
        terms = words.loc[(words["kind"] == kind) & (words["synonym"] == ""), "term"]
        assert cells[dim].to_numpy().tolist() == terms.tolist()
        assert (cells[f"{dim}_label"] != "").all()


@pytest.mark.parametrize(
    "outcome", ["depressive_symptoms", "depressive_symptoms_change", "opioid_use"]
)
def test_the_holes_in_chronic_pain_show_as_zero(base, outcome):
    cells = evidence_map(base)
    chronic = cells.isel(condition=cells["condition_within"].to_numpy() == CHRONIC)
    hole = chronic.sel(agent=["ketamine", "s_ketamine"], outcome=outcome)
    assert hole.sizes["condition"] == 8
    assert (hole == 0).all()
    if outcome == "opioid_use":
        assert (chronic.sel(outcome=outcome) == 0).all()


def test_the_map_counts_trials(base):
    cells = evidence_map(base)
    crps = cells.sel(condition="crps", outcome="psychotomimetic_any")
    assert crps.sel(agent="s_ketamine").item() == 1
    assert crps.sel(agent="placebo").item() == 2


def test_the_map_of_a_flat_table_holds_its_own_words():
    cells = evidence_map(_flat(*TRIANGLE))
    assert cells.sizes == {"agent": 3, "condition": 1, "outcome": 1}
    assert cells.sel(agent="x").item() == 3


def test_the_summary_counts_and_says(base):
    text, counts = summarise(base)
    assert "results 1014" in text
    assert "no_dispersion" in text
    assert "What is identified" in text
    rows = counts.set_index(["part", "item"])["count"]
    results = rows["results"]
    assert results.sum() == 1014
    assert results["usable"] == (table(base, "results")["unusable"] == "").sum()
    doses = rows["arms with a usable result, by dose"]
    assert (doses > 0).all()
    assert doses["on the dose axis"] > doses.sum() / 2


def test_the_summary_of_a_flat_table():
    text, _ = summarise(_flat(*TRIANGLE))
    assert text.splitlines()[-1].startswith("network: 1 part(s)")


def test_an_arm_at_dose_0_is_the_reference_whatever_it_is_called():
    frame = pd.DataFrame(
        {"study": "M", "agent": "drug", "dose": [0, 5, 10], "events": [1, 2, 3], "n": 20}
    )
    tree = load_evidence(frame)
    assert network_faults(tree) == []
    assert network(tree).attrs["identified"] == "What is identified: Against placebo: drug"
