"""Figures of the evidence: dose coverage and evidence map."""

import pandas as pd
import pytest

from nmda_bayes.evidence import evidence_map, load_evidence
from nmda_bayes.figures import plot_dose_coverage, plot_evidence_map
from tests.figures.conftest import collection, make_map, overlapping, texts, visible_axes


def test_dose_coverage_area_is_people(flat_evidence):
    figure = plot_dose_coverage(flat_evidence)
    axes = figure.axes[0]
    doses = [c for c in axes.collections if c.get_label() == "_doses"]
    assert [sorted(c.get_offsets()[:, 0]) for c in doses] == [[5, 10], [500]]
    # 21 and 11 people took x 5, 30 took x 10: one mark a dose, its area by people.
    at = dict(zip(doses[0].get_offsets()[:, 0], doses[0].get_sizes(), strict=True))
    assert at[5] - at[10] == pytest.approx(110 * 2 / 30)
    assert axes.get_xscale() == "log"
    assert "No dose known (arms): z (1)." in texts(figure)
    assert overlapping(figure, axes.texts) == []


def test_dose_coverage_marks_reference_doses():
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
        assert overlapping(figure, axes.texts) == []


def test_dose_coverage_without_doses():
    frame = pd.DataFrame({"study": ["A", "A"], "agent": ["x", "placebo"], "events": 1, "n": 9})
    assert "No dose is known." in texts(plot_dose_coverage(load_evidence(frame)))
    with pytest.raises(ValueError, match="reference_dose"):
        plot_dose_coverage(pd.DataFrame({"agent": ["x"]}))


def test_evidence_map_over_time(flat_evidence):
    cells = evidence_map(flat_evidence, ("agent", "condition", "outcome", "time"))
    figure = plot_evidence_map(cells)
    shown = visible_axes(figure)
    assert len(shown) == cells.sizes["time"]
    assert shown[-1].get_ylabel() == "time unknown"
    zeros = [t for axes in shown for t in axes.texts if t.get_text() == "0"]
    assert len(zeros) == int((cells == 0).sum()) > 0
    with pytest.raises(ValueError, match="site"):
        plot_evidence_map(cells.expand_dims(site=["A"]))


def test_evidence_map_marks_cells_without_studies():
    cells = make_map()
    figure = plot_evidence_map(cells)
    empty = [collection(axes, "_no study") for axes in visible_axes(figure)]
    assert all(c.get_hatch() for c in empty)
    assert all(len(c.get_facecolor()) == 0 for c in empty)
    count = int((cells["results"] == 0).sum())
    assert sum(len(c.get_paths()) for c in empty) == count
    assert f"{count} of 400 cells have no study" in figure.get_label()
    assert "depressive symptoms\n(no study)" in texts(figure)
    assert "No study at all: depressive symptoms" in figure.get_label()


def test_evidence_map_draws_an_unreported_outcome():
    figure = plot_evidence_map(make_map(), outcomes=["pain_intensity", "opioid_use_in_life"])
    assert [a.get_title() for a in figure.axes][1].endswith("(no study)")


def test_evidence_map_counts_omitted_labels():
    figure = plot_evidence_map(make_map(47, 15, 30))
    (note,) = (text for text in texts(figure) if text.startswith("Not shown"))
    assert "37 agents" in note
    assert "24 outcomes" in note


@pytest.mark.parametrize("dim", ["agent", "condition", "outcome"])
def test_evidence_map_missing_dim_is_rejected(dim):
    with pytest.raises(ValueError, match=f"plot_evidence_map needs the dim '{dim}'"):
        plot_evidence_map(make_map().isel({dim: 0}))
