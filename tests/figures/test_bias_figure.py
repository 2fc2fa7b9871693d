from __future__ import annotations

import pandas as pd
import pytest

from nmda_bayes.figures import plot_bias
from nmda_bayes.intervals import INTERVAL_TEXT

TABLE = pd.DataFrame(
    {
        "label": ["ketamine", "memantine"],
        "apparent": [-12.0, -4.0],
        "apparent_low": [-20.0, -9.0],
        "apparent_high": [-4.0, 1.0],
        "without": [-8.0, -3.5],
        "without_low": [-17.0, -8.5],
        "without_high": [1.0, 1.5],
    }
)


def test_both_effects_stand_in_one_row_with_their_numbers():
    figure = plot_bias(TABLE, axis="pain, points")
    (axes,) = figure.axes
    apparent, without = axes.collections[0], axes.collections[2]
    ends = [[p.vertices[:, 0].tolist() for p in lines.get_paths()] for lines in (apparent, without)]
    assert ends == [[[-20.0, -4.0], [-9.0, 1.0]], [[-17.0, 1.0], [-8.5, 1.5]]]
    said = [text.get_text() for text in axes.texts]
    assert "as trials show it" in said and any("−12" in text and "−20" in text for text in said)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert all(INTERVAL_TEXT in word for word in words) and len(words) == 2
    assert "ketamine: −12" in figure.get_label()


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="without_low"):
        plot_bias(TABLE.drop(columns="without_low"))
