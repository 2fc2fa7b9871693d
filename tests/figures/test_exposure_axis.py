"""Arms on their axis of exposure."""

from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.figures.exposure_axis import ARMS, plot_exposure_axis

ROWS = pd.DataFrame(
    {
        "study": ["A", "A", "B", "C"],
        "agent": ["ketamine", "ketamine", "memantine", "placebo"],
        "route": ["iv", "intranasal", "oral", "iv"],
        "schedule": ["0.3 mg/kg over 4 min", "56 mg", "20 mg a day, 28 days", ""],
        "exposure": [2.5, 0.5, 1.0, 0.0],
        "by_model": [True, True, False, False],
    }
)


def test_each_arm_with_a_dose_stands_at_its_exposure_with_what_was_given():
    figure = plot_exposure_axis(ROWS, "peak concentration")
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == [
        "A: ketamine intranasal 56 mg",
        "B: memantine oral 20 mg a day, 28 days",
        "A: ketamine 0.3 mg/kg over 4 min",
    ]
    drawn = sorted((float(x), line.get_marker()) for line in axes.lines for x in line.get_xdata())
    assert drawn == [(0.5, "o"), (1.0, "s"), (2.5, "o")]
    assert "3 arms by exposure, from 0.5 (56 mg) to 2.5" in figure.get_label()


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ValueError, match="needs the columns route"):
        plot_exposure_axis(ROWS.drop(columns="route"), "x")
    with pytest.raises(ValueError, match="no arm has a dose"):
        plot_exposure_axis(ROWS.assign(exposure=0.0), "x")
    many = pd.concat([ROWS.iloc[[0]]] * (ARMS + 2), ignore_index=True)
    notes = " ".join(text.get_text() for text in plot_exposure_axis(many, "x").texts)
    assert "2 arms of smaller exposure are not drawn" in notes.replace("\n", " ")
