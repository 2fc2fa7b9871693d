"""Figures over dose: curves, benefit-risk plane, window."""

import numpy as np
import pytest
from matplotlib.collections import FillBetweenPolyCollection, PathCollection

from nmda_bayes.figures import plot_benefit_risk, plot_dose_response, plot_window
from nmda_bayes.figures.axes import dose_axis, marked
from nmda_bayes.figures.labelled import AT_MOST, cells, runs
from nmda_bayes.figures.style import BEYOND_HATCH
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import make_effects, make_response, make_window, texts


def bands(axes):
    return [c for c in axes.collections if isinstance(c, FillBetweenPolyCollection)]


def panels(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_dose_response_draws_each_cell_and_outcome(response):
    figure = plot_dose_response(response)
    assert len(panels(figure)) == 3 * 2 * 2
    first = panels(figure)[0]
    tried, beyond = bands(first)
    assert tried.get_hatch() is None
    assert beyond.get_hatch() == BEYOND_HATCH
    solid, broken = (
        line for line in first.lines if line.get_label() in ("_tried", "_extrapolated")
    )
    assert solid.get_linestyle() == "-"
    assert broken.get_linestyle() == "--"
    assert solid.get_xdata()[-1] == broken.get_xdata()[0]
    assert INTERVAL_TEXT in texts(figure)
    assert texts(figure).count("no trial") == 2


def test_dose_response_shares_one_dose_axis_and_one_axis_an_outcome(response):
    figure = plot_dose_response(response)
    assert len({axes.get_xlim() for axes in panels(figure)}) == 1
    assert len({axes.get_ylim() for axes in panels(figure)}) == 2


def test_the_band_is_the_interval(response):
    figure = plot_dose_response(response.isel(agent=[0], condition=[0]))
    tried, _ = bands(figure.axes[0])
    low = tried.get_paths()[0].vertices[:, 1].min()
    inside = response.isel(outcome=0, agent=0, condition=0).where(response["dose"] <= 3, drop=True)
    assert low == pytest.approx(float(inside.quantile(0.025, ("chain", "draw")).min()))


def test_a_cell_without_a_trial_has_no_tried_band(response):
    figure = plot_dose_response(response.sel(agent=["memantine"], condition=["crps"]))
    assert [c.get_hatch() for axes in figure.axes for c in bands(axes)] == [BEYOND_HATCH] * 2


def test_arms_stand_behind_the_curves(response):
    observed = {
        "analgesia": make_effects(12),
        "psychotomimetic": make_effects(12, scale="log odds"),
    }
    figure = plot_dose_response(response.sel(agent=["ketamine"]), observed)
    rings = [c for axes in figure.axes for c in axes.collections if c.get_label() == "_arms"]
    every = [c for axes in figure.axes for c in axes.collections]
    crosses = [c for c in every if c.get_label() == "_no raw estimate"]
    assert sum(len(c.get_offsets()) for c in [*rings, *crosses]) == 12
    risks = np.concatenate([c.get_offsets()[:, 1] for c in rings[2:]])
    assert ((risks > 0) & (risks < 1)).all()
    sizes = np.concatenate([c.get_sizes() for c in rings])
    assert sizes.max() > sizes.min()


def test_an_arm_against_an_active_arm_is_no_point_of_the_curve(response):
    effects = make_effects(6)
    effects["comparator"][:3] = "s_ketamine"
    figure = plot_dose_response(response, {"analgesia": effects})
    drawn = [c for axes in figure.axes for c in axes.collections]
    seen = [c for c in drawn if c.get_label() in ("_arms", "_no raw estimate")]
    assert sum(len(c.get_offsets()) for c in seen) == 3


def test_arms_can_be_the_designs_rows(response):
    rows = make_effects(4).isel(arm=[0, 1]).drop_vars(["raw", "raw_se", "shrunk", "predicted"])
    rows = rows.assign_coords(
        study=("arm", ["A", "A"]), exposure=("arm", [1.0, 0.0]), agent=("arm", ["ketamine"] * 2)
    ).assign(mean=("arm", [20.0, 32.0]), se=("arm", [3.0, 4.0]))
    one = response.sel(agent=["ketamine"], condition=["crps"])
    figure = plot_dose_response(one, {"analgesia": rows})
    (ring,) = (c for a in figure.axes for c in a.collections if c.get_label() == "_arms")
    np.testing.assert_allclose(ring.get_offsets(), [[1.0, -12.0]])


def test_response_figures_have_alternative_text(response):
    for figure in (
        plot_dose_response(response),
        plot_benefit_risk(response),
        plot_window(make_window(response)),
    ):
        assert len(figure.get_label()) > 60
        assert "ketamine in crps" in figure.get_label() or "highest" in figure.get_label()


@pytest.mark.parametrize("dim", ["outcome", "agent", "condition", "dose", "draw"])
def test_a_missing_dim_is_named(response, dim):
    broken = response.isel({dim: 0})
    for plot in (plot_dose_response, plot_benefit_risk):
        with pytest.raises(ValueError, match=f"'{dim}'"):
            plot(broken)


@pytest.mark.parametrize("dim", ["agent", "condition", "dose"])
def test_a_window_without_a_dim_is_refused(response, dim):
    with pytest.raises(ValueError, match=f"plot_window needs the dim '{dim}'"):
        plot_window(make_window(response).isel({dim: 0}))


def test_a_window_without_a_variable_is_refused(response):
    with pytest.raises(ValueError, match="'p_both'"):
        plot_window(make_window(response).drop_vars("p_both"))


def test_window_draws_three_probabilities_and_what_lies_beyond(response):
    window = make_window(response)
    figure = plot_window(window)
    first = panels(figure)[0]
    for name in ("p_benefit", "p_risk", "p_both"):
        tried, beyond = (line for line in first.lines if line.get_label() == f"_{name}")
        assert tried.get_linewidth() > beyond.get_linewidth()
    (span,) = (p for p in first.patches if p.get_label() == "_extrapolated")
    assert span.get_hatch() == BEYOND_HATCH
    assert span.get_x() == pytest.approx(float(window["dose"].where(window["dose"] <= 3).max()))
    assert texts(figure).count("no trial") == 1
    assert "added risk of Psychotomimetic events at most 10 % (baseline 10 %)" in texts(figure)


def test_one_side_untried_is_said_so(response):
    window = make_window(response.isel(agent=[0], condition=[0]))
    window["trials_harm"][:] = 0
    assert "no trial of harm" in texts(plot_window(window))
    assert "no trial of harm" in texts(plot_benefit_risk(window))


def test_benefit_risk_plane_turns_a_fall_in_pain_into_a_gain(response):
    figure = plot_benefit_risk(response, benefit_at_least=10, risk_at_most=0.1)
    first = panels(figure)[0]
    path = next(line for line in first.lines if line.get_label() == "_tried")
    assert path.get_xdata()[0] == 0
    assert (np.diff(path.get_xdata()) > 0).all()
    assert path.get_ydata()[0] == pytest.approx(0)
    assert sum(line.get_label() == "_threshold" for line in first.lines) == 2
    assert any(INTERVAL_TEXT in text for text in texts(figure))
    marks = [c for c in first.collections if isinstance(c, PathCollection)]
    assert len(marks[0].get_offsets()) == 4


def test_benefit_risk_takes_a_window_with_and_without_draws(response):
    with_draws = plot_benefit_risk(make_window(response, draws=True))
    assert any("benefit 10, added risk 10 %" in text for text in texts(with_draws))
    direct = plot_benefit_risk(response)
    paths = [
        next(line for line in panels(f)[0].lines if line.get_label() == "_tried")
        for f in (with_draws, direct)
    ]
    np.testing.assert_allclose(paths[0].get_ydata(), paths[1].get_ydata(), atol=1e-12)
    bare = plot_benefit_risk(make_window(response))
    assert not any(INTERVAL_TEXT in text for text in texts(bare))
    assert panels(bare)[0].get_xlim() == pytest.approx((-0.03, 1.03))


def test_benefit_risk_needs_a_benefit_and_a_harm(response):
    with pytest.raises(ValueError, match="a benefit on a difference scale and a harm"):
        plot_benefit_risk(response.isel(outcome=[0]))


@pytest.mark.parametrize(
    ("agents", "conditions", "columns"), [(1, 1, 1), (3, 4, 3), (12, 3, 4), (12, 1, 4), (1, 5, 4)]
)
def test_cells_fill_columns(agents, conditions, columns):
    some = make_response(
        [f"a{i}" for i in range(agents)], [f"c{i}" for i in range(conditions)], np.array([0.0, 1.0])
    )
    page = cells(some["trials"].sum("outcome"))
    assert page.columns == columns
    assert len(page.chosen) == min(agents * conditions, AT_MOST)
    assert bool(page.left_out) == (agents * conditions > AT_MOST)


def test_of_many_cells_the_tried_ones_are_drawn_and_the_rest_counted():
    agents, conditions = [f"a{i}" for i in range(6)], [f"c{i}" for i in range(8)]
    tried = {("a1", "c2"), ("a0", "c7")}
    untried = [(a, c) for a in agents for c in conditions if (a, c) not in tried]
    some = make_response(agents, conditions, np.array([0.0, 1.0, 2.0]), untried)
    figure = plot_dose_response(some)
    assert [a.get_title() for a in panels(figure) if a.get_title()] == ["a0\nc7", "a1\nc2"]
    left_out = "not drawn: 46 more pairs of agent and condition (no trial)"
    assert any(left_out in text for text in texts(figure))
    left_out = left_out.replace("no trial", "no trial of both")
    assert any(left_out in text for text in texts(plot_window(make_window(some))))


def test_twelve_agents_fit():
    agents = [f"an_agent_with_a_long_name_{i}" for i in range(12)]
    figure = plot_dose_response(make_response(agents, ["crps"]))
    assert len(panels(figure)) == 24


def test_runs_share_their_ends():
    found = [(s.start, s.stop, f) for s, f in runs(np.array([False, False, True, True, False]))]
    assert found == [(0, 2, False), (1, 4, True), (3, 5, False)]


def test_a_dose_axis_over_decades_shows_zero_and_says_that_it_is_logarithmic(response):
    figure = plot_dose_response(response)
    assert figure.axes[0].get_xscale() == "symlog"
    assert 0 in figure.axes[0].get_xticks()
    assert any("0, then logarithmic" in text for text in texts(figure))
    figure = plot_dose_response(make_response(doses=np.linspace(0, 4, 9)))
    assert figure.axes[0].get_xscale() == "linear"
    assert dose_axis(figure.axes[0], np.array([0.0])) == ""


def test_marked_doses_spread_over_the_grid():
    assert marked(np.arange(3.0)) == [0, 1, 2]
    assert marked(np.arange(41.0)) == [0, 10, 20, 30, 40]
