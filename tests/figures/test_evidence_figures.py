"""Figures of the evidence and of the parameters: network, map, prior against posterior."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.evidence import evidence_map as map_of
from nmda_bayes.evidence import load_evidence
from nmda_bayes.figures import (
    plot_dose_coverage,
    plot_evidence_map,
    plot_network,
    plot_prior_posterior,
)
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import make_evidence, make_map, make_parameters, texts


def collection(axes, label):
    return next(c for c in axes.collections if c.get_label() == label)


def overlaps(figure, found):
    renderer = figure.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in found]
    return [
        (found[i].get_text(), found[j].get_text())
        for i in range(len(boxes))
        for j in range(i)
        if boxes[i].overlaps(boxes[j])
    ]


@pytest.mark.parametrize("agents", [2, 4, 12, 15])
def test_network_labels_every_agent_without_overlap(agents):
    figure = plot_network(make_evidence(agents))
    figure.draw_without_rendering()  # equal aspects are applied when a figure is drawn
    axes = figure.axes[0]
    labels = [t for t in axes.texts if not t.get_text().isdigit()]
    assert len(labels) == agents
    assert "placebo (reference)" in texts(figure)
    assert overlaps(figure, labels) == []
    renderer = figure.canvas.get_renderer()
    for text in labels:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_network_counts_studies_and_people():
    arms = xr.Dataset(
        {
            "study": ("arm", ["A", "A", "A", "B", "B", "B"]),
            "agent": ("arm", ["x", "x", "placebo", "x", "placebo", "y"]),
            "n_randomised": ("arm", [10.0, 20.0, 30.0, 5.0, np.nan, 15.0]),
            "overlaps": ("arm", ["", "pools 1", "", "", "", ""]),
        }
    )
    contrasts = xr.Dataset(
        {
            "study": ("row", ["C"]),
            "agent": ("row", ["z"]),
            "comparator": ("row", ["x"]),
        }
    )
    figure = plot_network(xr.DataTree.from_dict({"arms": arms, "contrasts": contrasts}))
    numbers = sorted(t.get_text() for t in figure.axes[0].texts if t.get_text().isdigit())
    assert numbers == ["1", "1", "1", "2"]
    assert "4 agents and 4 comparisons" in figure.get_label()
    assert "placebo against x, 2 studies. 60 participants" in figure.get_label()


def test_network_takes_a_table_of_edges():
    edges = pd.DataFrame({"agent": ["a", "b"], "comparator": ["c", "c"], "studies": [3, 1]})
    figure = plot_network(edges, reference="c", participants={"a": 10, "b": 20, "c": 5})
    assert sum(line.get_label() == "_edge" for line in figure.axes[0].lines) == 2
    sizes = collection(figure.axes[0], "_agents").get_sizes()
    assert sizes.argmax() == 2
    with pytest.raises(ValueError, match="comparator"):
        plot_network(edges.drop(columns="comparator"))
    with pytest.raises(ValueError, match="'arms'"):
        plot_network(xr.DataTree())


def test_network_reads_a_fits_design_without_participants():
    arms = xr.Dataset(
        {"study": ("arm", ["A", "A"]), "agent": ("arm", ["x", "placebo"])},
        coords={"agent_label": ["x"]},
    )
    figure = plot_network(xr.DataTree.from_dict({"arms": arms}))
    assert any("participants not known" in text for text in texts(figure))


def test_a_large_network_is_drawn():
    figure = plot_network(make_evidence(47))
    assert len(figure.axes[0].texts) == 47


@pytest.fixture(scope="module")
def flat():
    """Trials of several doses of two drugs; a third has no dose."""
    rows = [
        ("A", "placebo", 0, 2, 20), ("A", "x", 5, 8, 21), ("A", "x", 10, 9, 30),
        ("B", "placebo", 0, 1, 10), ("B", "x", 5, 3, 11), ("B", "y", 500, 5, 12),
        ("C", "z", None, 1, 9), ("C", "placebo", 0, 1, 8),
    ]  # fmt: skip
    return load_evidence(pd.DataFrame(rows, columns=["study", "agent", "dose", "events", "n"]))


def test_a_network_by_dose_tells_doses_of_one_agent_apart(flat):
    figure = plot_network(flat, by="dose")
    names = {t.get_text() for t in figure.axes[0].texts if not t.get_text().isdigit()}
    assert names == {"placebo (reference)", "x, 5", "x, 10", "y, 500", "z, dose?"}
    edges = [line for line in figure.axes[0].lines if line.get_label() == "_edge"]
    within = [line for line in edges if len(line.get_xdata()) > 2]
    assert (len(edges), len(within)) == (6, 1)
    assert "doses of one agent" in texts(figure)
    # Area follows people: 32 at x 5, 30 at x 10, 12 at y, 9 at z.
    sizes = collection(figure.axes[0], "_agents").get_sizes()
    assert sizes.argmax() == 0
    assert np.diff(np.sort(sizes)).min() > 0


def test_a_network_of_an_outcome_has_its_trials_alone(flat):
    assert "0 agents" in plot_network(flat, outcome="another").get_label()
    assert "4 agents and 4 comparisons" in plot_network(flat).get_label()
    for more in ({"by": "dose"}, {"outcome": "pain"}):
        with pytest.raises(ValueError, match="load_evidence"):
            plot_network(make_evidence(3), **more)


def test_a_network_of_very_many_nodes_says_what_it_leaves_out():
    figure = plot_network(make_evidence(130))
    assert len(figure.axes[0].texts) == 100
    assert any("30 more nodes" in text for text in texts(figure))


def test_dose_coverage_marks_each_dose_with_its_people(flat):
    figure = plot_dose_coverage(flat)
    axes = figure.axes[0]
    doses = [c for c in axes.collections if c.get_label() == "_doses"]
    assert [sorted(c.get_offsets()[:, 0]) for c in doses] == [[5, 10], [500]]
    # 21 and 11 people took x 5, 30 took x 10: one mark a dose, its area by people.
    at = dict(zip(doses[0].get_offsets()[:, 0], doses[0].get_sizes(), strict=True))
    assert at[5] - at[10] == pytest.approx(110 * 2 / 30)
    assert axes.get_xscale() == "log"
    assert "No dose known (arms): z (1)." in texts(figure)
    assert overlaps(figure, [t for t in axes.texts if t.get_visible()]) == []


def test_dose_coverage_of_the_base_marks_reference_doses():
    figure = plot_dose_coverage(load_evidence(), agents=["ketamine", "s_ketamine", "memantine"])
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "mg/kg of the course",
        "mg on a day of treatment",
    ]
    marks = [
        line for axes in figure.axes for line in axes.lines if line.get_label() == "_reference"
    ]
    assert {0.5, 0.25, 20.0} <= {line.get_xdata()[0] for line in marks}
    for axes in figure.axes:
        assert overlaps(figure, [t for t in axes.texts if t.get_visible()]) == []


def test_dose_coverage_without_any_dose_says_so(flat):
    frame = pd.DataFrame({"study": ["A", "A"], "agent": ["x", "placebo"], "events": 1, "n": 9})
    assert "No dose is known." in texts(plot_dose_coverage(load_evidence(frame)))
    with pytest.raises(ValueError, match="reference_dose"):
        plot_dose_coverage(pd.DataFrame({"agent": ["x"]}))


def test_a_map_over_time_has_a_row_of_panels_a_window(flat):
    cells = map_of(flat, ("agent", "condition", "outcome", "time"))
    figure = plot_evidence_map(cells)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == cells.sizes["time"]
    assert shown[-1].get_ylabel() == "time unknown"
    zeros = [t for axes in shown for t in axes.texts if t.get_text() == "0"]
    assert len(zeros) == int((cells == 0).sum()) > 0
    with pytest.raises(ValueError, match="four dims"):
        plot_evidence_map(cells.expand_dims(place=["here"]))


def test_empty_cells_of_the_map_are_drawn_as_empty():
    evidence_map = make_map()
    figure = plot_evidence_map(evidence_map)
    empty = [collection(axes, "_no study") for axes in figure.axes if axes.get_visible()]
    assert all(c.get_hatch() for c in empty)
    assert all(len(c.get_facecolor()) == 0 for c in empty)
    count = int((evidence_map["results"] == 0).sum())
    assert sum(len(c.get_paths()) for c in empty) == count
    assert f"{count} of 400 cells have no study" in figure.get_label()
    assert "depressive symptoms\n(no study)" in texts(figure)
    assert "No study at all: depressive symptoms" in figure.get_label()


def test_an_outcome_that_nobody_reported_is_still_drawn():
    figure = plot_evidence_map(make_map(), outcomes=["pain_intensity", "opioid_use_in_life"])
    assert [a.get_title() for a in figure.axes][1].endswith("(no study)")


def test_a_large_map_says_what_it_leaves_out():
    figure = plot_evidence_map(make_map(47, 15, 30))
    (note,) = (text for text in texts(figure) if text.startswith("Not shown"))
    assert "37 agents" in note
    assert "24 outcomes" in note


@pytest.mark.parametrize("dim", ["agent", "condition", "outcome"])
def test_a_map_without_a_dim_is_refused(dim):
    with pytest.raises(ValueError, match=f"plot_evidence_map needs the dim '{dim}'"):
        plot_evidence_map(make_map().isel({dim: 0}))


def test_prior_and_posterior_are_drawn_with_the_verdict():
    prior, posterior = make_parameters()
    verdicts = pd.DataFrame(
        {
            "variable": ["analgesia::emax", "analgesia::log_ed50"],
            "at": ["agent=ketamine", "agent=s_ketamine"],
            "verdict": ["informed by the data", "prior only"],
        }
    )
    figure = plot_prior_posterior(prior, posterior, verdicts=verdicts)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    # Two agents twice, one spread, and one correlation: not its mirror image, nor the diagonal.
    assert len(shown) == 6
    said = [text.get_text() for axes in shown for text in axes.texts if text.get_text()]
    assert said == ["informed by the data", "prior only"]
    assert f"posterior {INTERVAL_TEXT}" in texts(figure)
    assert "analgesia: log ed50\ns ketamine" in texts(figure)
    assert "1 prior only" in figure.get_label()
    for axes in shown:
        assert sum(line.get_label() == "_density" for line in axes.lines) == 2


def test_a_density_ends_where_its_support_does():
    prior, posterior = make_parameters()
    figure = plot_prior_posterior(prior, posterior, ["analgesia::heterogeneity_sd"])
    for line in figure.axes[0].lines:
        x, density = line.get_data()
        assert x.min() >= 0
        assert density[0] > 0.8 * density.max()
        assert np.trapezoid(density, x) == pytest.approx(1, abs=0.02)


def test_prior_posterior_names_what_is_missing():
    prior, posterior = make_parameters()
    with pytest.raises(ValueError, match="prior, needs the variable 'gamma'"):
        plot_prior_posterior(prior, posterior, ["gamma"])
    with pytest.raises(ValueError, match="posterior, needs the dim 'chain'"):
        plot_prior_posterior(prior, posterior.isel(chain=0))
