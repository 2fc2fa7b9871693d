"""The section of network comparisons."""

from __future__ import annotations

from importlib import import_module

import pandas as pd
import pytest
from matplotlib.figure import Figure

from nmda_bayes import inference
from nmda_bayes.estimands import unrelated_means, with_node_split
from nmda_bayes.estimands.network import ASSUMPTIONS, CAUTION, PRIOR_ONLY
from nmda_bayes.evidence import load_evidence
from nmda_bayes.report.blocks import Fold, Items, Picture, Text
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.sections.effects import network_section
from tests.support import specs
from tests.support.networks import network_spec, triangle


@pytest.fixture(autouse=True)
def _posterior_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmda_bayes.inference.fitting._add_predictions", lambda *_: None)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the figures where only text is tested."""
    module = import_module("nmda_bayes.report.sections.effects")
    for name in ("plot_league", "plot_ranks"):
        monkeypatch.setattr(module, name, lambda _: Figure())


def blocks_of(spec, table: pd.DataFrame) -> tuple:
    section = network_section(ReportContext(inference.fit(spec, load_evidence(table))))
    return () if section is None else section.blocks


def text_of(blocks) -> str:
    texts = [block.text for block in blocks if isinstance(block, Text)]
    return " ".join(
        [*texts, *(t for block in blocks if isinstance(block, Items) for t in block.items)]
    )


def test_sub_networks_are_listed_with_their_assumptions():
    loose = specs.rows("study agent dose mean se\n y d 1 0 1\n y e 1 -2 1")
    blocks = blocks_of(network_spec(disconnected="allow"), pd.concat([triangle(0.0), loose]))
    text = text_of(blocks)
    assert "disconnected (2 sub-networks)" in text
    assert "Placebo, a and b (6 trials). Identified: effects vs placebo" in text
    assert "D and e (1 trial). Identified: differences between these agents." in text
    assert f"Assumed vs placebo: {ASSUMPTIONS[PRIOR_ONLY]}" in text
    pictures = [block for block in blocks if isinstance(block, Picture)]
    assert ["league" in p.caption for p in pictures] == [True, False]
    assert CAUTION in pictures[1].caption
    (fold,) = (block for block in blocks if isinstance(block, Fold))
    (table,) = fold.blocks
    assert len(table.rows) == 10
    assert table.row_styles.count("gap") == 6


@pytest.mark.usefixtures("undrawn")
def test_connected_network_reports_residual_deviance():
    text = text_of(blocks_of(network_spec(), triangle(0.0)))
    assert "disconnected" not in text
    assert "for 12 data points" in text


@pytest.mark.usefixtures("undrawn")
def test_single_agent_has_no_network_section():
    table = triangle(0.0)
    assert blocks_of(network_spec(), table[table["study"].str.startswith("placebo_a")]) == ()


@pytest.mark.usefixtures("undrawn")
def test_node_split_and_unrelated_effects_are_reported():
    evidence = load_evidence(triangle(2.0))
    apart = text_of(blocks_of(with_node_split(network_spec(), evidence, ("b", "a")), triangle(2.0)))
    assert "Node split, b v" in apart
    assert ": direct" in apart
    assert "p = 0.0" in apart
    unrelated = blocks_of(unrelated_means(network_spec()), triangle(2.0))
    assert "Unrelated effects" in text_of(unrelated)
