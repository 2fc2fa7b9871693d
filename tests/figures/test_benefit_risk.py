"""The benefit-risk plane and the therapeutic window."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from nmda_bayes.figures import plot_benefit_risk, plot_dose_response, plot_therapeutic_window
from nmda_bayes.figures.style import EXTRAPOLATED_HATCH
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import make_window, texts, visible_axes


def test_response_figures_have_alternative_text(response):
    for figure in (
        plot_dose_response(response),
        plot_benefit_risk(response),
        plot_therapeutic_window(make_window(response)),
    ):
        assert len(figure.get_label()) > 60
        assert "ketamine in crps" in figure.get_label() or "highest" in figure.get_label()


@pytest.mark.parametrize("dim", ["outcome", "agent", "condition", "dose", "draw"])
def test_response_missing_dim_is_rejected(response, dim):
    broken = response.isel({dim: 0})
    for plot in (plot_dose_response, plot_benefit_risk):
        with pytest.raises(ValueError, match=f"'{dim}'"):
            plot(broken)


@pytest.mark.parametrize("dim", ["agent", "condition", "dose"])
def test_window_missing_dim_is_rejected(response, dim):
    with pytest.raises(ValueError, match=f"plot_therapeutic_window needs the dim '{dim}'"):
        plot_therapeutic_window(make_window(response).isel({dim: 0}))


def test_window_missing_variable_is_rejected(response):
    with pytest.raises(ValueError, match="'p_both'"):
        plot_therapeutic_window(make_window(response).drop_vars("p_both"))


def test_window_draws_three_probabilities(response):
    window = make_window(response)
    figure = plot_therapeutic_window(window)
    first = visible_axes(figure)[0]
    for name in ("p_benefit", "p_risk", "p_both"):
        tested, beyond = (line for line in first.lines if line.get_label() == f"_{name}")
        assert tested.get_linewidth() > beyond.get_linewidth()
    (span,) = (p for p in first.patches if p.get_label() == "_extrapolated")
    assert span.get_hatch() == EXTRAPOLATED_HATCH
    assert span.get_x() == pytest.approx(float(window["dose"].where(window["dose"] <= 3).max()))
    assert texts(figure).count("no trials") == 1
    assert "added risk of psychotomimetic events at most 10% (baseline 10%)" in texts(figure)


def test_untested_harm_is_labelled(response):
    window = make_window(response.isel(agent=[0], condition=[0]))
    window["trials_harm"][:] = 0
    assert "no trials of harm" in texts(plot_therapeutic_window(window))
    assert "no trials of harm" in texts(plot_benefit_risk(window))


def test_benefit_risk_plane_shows_gain(response):
    figure = plot_benefit_risk(response, benefit_at_least=10, risk_at_most=0.1)
    first = visible_axes(figure)[0]
    path = next(line for line in first.lines if line.get_label() == "_tested")
    assert path.get_xdata()[0] == 0
    assert (np.diff(path.get_xdata()) > 0).all()
    assert path.get_ydata()[0] == pytest.approx(0)
    assert sum(line.get_label() == "_threshold" for line in first.lines) == 2
    assert any(INTERVAL_TEXT in text for text in texts(figure))
    marks = [c for c in first.collections if isinstance(c, PathCollection)]
    assert len(marks[0].get_offsets()) == 4


def test_benefit_risk_of_a_window(response):
    with_draws = plot_benefit_risk(make_window(response, draws=True))
    assert any("benefit 10, added risk 10%" in text for text in texts(with_draws))
    direct = plot_benefit_risk(response)
    paths = [
        next(line for line in visible_axes(f)[0].lines if line.get_label() == "_tested")
        for f in (with_draws, direct)
    ]
    np.testing.assert_allclose(paths[0].get_ydata(), paths[1].get_ydata(), atol=1e-12)
    bare = plot_benefit_risk(make_window(response))
    assert not any(INTERVAL_TEXT in text for text in texts(bare))
    assert visible_axes(bare)[0].get_xlim() == pytest.approx((-0.03, 1.03))


def test_benefit_risk_needs_benefit_and_harm(response):
    with pytest.raises(ValueError, match="analgesia"):
        plot_benefit_risk(response.isel(outcome=[0]))
