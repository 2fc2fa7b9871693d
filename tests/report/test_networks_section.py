"""What the page says of agents against each other."""

from __future__ import annotations

from importlib import import_module

import pandas as pd
import pytest
from matplotlib.figure import Figure

from nmda_bayes import inference
from nmda_bayes.estimands import split, unrelated_means
from nmda_bayes.evidence import load_evidence
from nmda_bayes.report.blocks import Fold, Items, Picture, Text
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections.networks import networks
from nmda_bayes.report.view import View
from tests import specs
from tests.networks import network_spec, triangle


@pytest.fixture(autouse=True)
def _posterior_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmda_bayes.inference.fitting._add_predictions", lambda *_: None)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures, for what is about sentences."""
    module = import_module("nmda_bayes.report.sections.networks")  # the name is a function's too
    for name in ("plot_league", "plot_ranks"):
        monkeypatch.setattr(module, name, lambda _: Figure())


def blocks_of(spec, table: pd.DataFrame) -> tuple:
    section = networks(View(inference.fit(spec, load_evidence(table))), Gallery())
    return () if section is None else section.blocks


def said(blocks) -> str:
    texts = [block.text for block in blocks if isinstance(block, Text)]
    return " ".join(
        [*texts, *(t for block in blocks if isinstance(block, Items) for t in block.items)]
    )


def test_parts_that_no_trial_connects_are_named_with_what_they_assume():
    loose = specs.rows("study agent dose mean se\n y d 1 0 1\n y e 1 -2 1")
    blocks = blocks_of(network_spec(disconnected="allow"), pd.concat([triangle(0.0), loose]))
    text = said(blocks)
    assert "No trial connects the 2 parts of this network" in text
    assert "Placebo, a and b (6 trials). Identified: each against placebo" in text
    assert "D and e (1 trial). Identified: differences between these agents." in text
    assert "Assumed against placebo: the prior" in text
    pictures = [block for block in blocks if isinstance(block, Picture)]
    assert ["league" in p.caption for p in pictures] == [True, False]
    assert "how far apart" in pictures[1].caption
    (fold,) = (block for block in blocks if isinstance(block, Fold))
    (table,) = fold.blocks
    assert len(table.rows) == 10
    assert table.marks.count("hole") == 6


@pytest.mark.usefixtures("undrawn")
def test_a_connected_network_says_how_well_it_fits():
    text = said(blocks_of(network_spec(), triangle(0.0)))
    assert "No trial connects" not in text
    assert "on 12 data points" in text


@pytest.mark.usefixtures("undrawn")
def test_one_agent_has_nothing_to_stand_against():
    table = triangle(0.0)
    assert blocks_of(network_spec(), table[table["study"].str.startswith("placebo_a")]) == ()


@pytest.mark.usefixtures("undrawn")
def test_a_model_without_consistency_says_so():
    evidence = load_evidence(triangle(2.0))
    apart = said(blocks_of(split(network_spec(), evidence, ("b", "a")), triangle(2.0)))
    assert "B v a, split: direct" in apart
    assert "p = 0.0" in apart
    unrelated = blocks_of(unrelated_means(network_spec()), triangle(2.0))
    assert "Effects are unrelated" in said(unrelated)
