"""Curves of the catalogue and weights of models, as drawn."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.components.curves import CURVES
from nmda_bayes.figures import plot_curve, plot_curves, plot_stack
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import texts


def test_a_curve_of_values_is_the_formula():
    figure = plot_curve("emax", {"emax": -10.0, "log_ed50": 0.0}, dose=[0, 1, 3])
    (line,) = [one for one in figure.axes[0].lines if len(one.get_xdata()) == 3]
    assert_allclose(line.get_ydata(), [0, -5, -7.5])
    assert "emax · x / (x + exp(log_ed50))" in figure.get_supxlabel()
    assert "-7.5 at the last" in figure.get_label()


def test_draws_are_drawn_together_with_their_band():
    rng = np.random.default_rng(1)
    emax = xr.DataArray(rng.normal(-10, 2, (2, 50)), dims=("chain", "draw"))
    figure = plot_curve("emax", {"emax": emax, "log_ed50": 0.0})
    assert INTERVAL_TEXT in figure.get_supxlabel().replace("\n", " ")
    middle = max(figure.axes[0].lines, key=lambda one: one.get_linewidth()).get_ydata()
    assert_allclose(middle[-1], np.median(emax) * 4 / 5, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("emaks", {}, "no curve 'emaks'. Did you mean 'emax'"),
        ("emax", {"emax": 1.0, "slope": 2.0}, "lacks log_ed50; has no parameter slope"),
        ("emax", {"emax": [1, 2], "log_ed50": [1, 2, 3]}, "differ in number: emax 2, log_ed50 3"),
        ("monotone_steps", {"top": 1.0}, "needs steps"),
    ],
)
def test_what_cannot_be_drawn_is_said(name, values, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        plot_curve(name, values)


def test_the_gallery_has_a_panel_for_each_curve_with_its_formula():
    figure = plot_curves()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == list(CURVES)
    for axes, curve in zip(shown, CURVES.values(), strict=True):
        assert axes.get_xlabel().split("\n")[0].split()[0] == curve.text.split()[0]
    assert "never a default" in figure.get_label()


def test_weights_are_drawn_with_their_intervals_best_first():
    stacked = xr.Dataset(
        {
            "weight": ("variant", [0.2, 0.8]),
            "lower": ("variant", [0.0, 0.3]),
            "upper": ("variant", [0.7, 1.0]),
            "behind": ("variant", [-2.0, 0.0]),
            "behind_error": ("variant", [1.5, 0.0]),
            "unreliable": ("variant", [0, 0]),
        },
        coords={"variant": ["linear", "emax"]},
        attrs={"words": "12 studies."},
    )
    figure = plot_stack(stacked)
    (weights, scores) = figure.axes
    assert [t.get_text() for t in weights.get_yticklabels()] == ["emax", "linear"]
    assert_allclose(weights.collections[0].get_segments()[0][:, 0], [0.3, 1.0])
    assert_allclose(scores.collections[0].get_segments()[1][:, 0], [-3.5, -0.5])
    assert any(INTERVAL_TEXT in text for text in texts(figure))
    assert "emax has 80%" in figure.get_label()
    with pytest.raises(ValueError, match="needs the dim 'variant'"):
        plot_stack(stacked.isel(variant=0))
