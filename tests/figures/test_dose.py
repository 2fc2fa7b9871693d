"""Dose-response curves, the catalogue of curves, and the exposure axis."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.collections import FillBetweenPolyCollection, PathCollection
from numpy.testing import assert_allclose

from nmda_bayes.components.curves import CURVES
from nmda_bayes.figures import (
    plot_curve,
    plot_curve_catalogue,
    plot_dose_response,
    plot_therapeutic_window,
)
from nmda_bayes.figures.dose import MAX_ARMS, plot_exposure_axis
from nmda_bayes.figures.layout import dose_axis
from nmda_bayes.figures.style import EXTRAPOLATED_HATCH
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import (
    collection,
    full_text,
    make_effects,
    make_response,
    make_window,
    texts,
    visible_axes,
)


def bands(axes):
    return [c for c in axes.collections if isinstance(c, FillBetweenPolyCollection)]


def test_dose_response_draws_each_cell_and_outcome(response):
    figure = plot_dose_response(response)
    assert len(visible_axes(figure)) == 3 * 2 * 2
    first = visible_axes(figure)[0]
    tested, beyond = bands(first)
    assert tested.get_hatch() is None
    assert beyond.get_hatch() == EXTRAPOLATED_HATCH
    solid, broken = (
        line for line in first.lines if line.get_label() in ("_tested", "_extrapolated")
    )
    assert solid.get_linestyle() == "-"
    assert broken.get_linestyle() == "--"
    assert solid.get_xdata()[-1] == broken.get_xdata()[0]
    assert INTERVAL_TEXT in texts(figure)
    assert texts(figure).count("no trials") == 2


def test_dose_response_axes_are_shared(response):
    figure = plot_dose_response(response)
    assert len({axes.get_xlim() for axes in visible_axes(figure)}) == 1
    assert len({axes.get_ylim() for axes in visible_axes(figure)}) == 2


def test_dose_response_band_is_the_interval(response):
    figure = plot_dose_response(response.isel(agent=[0], condition=[0]))
    tested, _ = bands(figure.axes[0])
    low = tested.get_paths()[0].vertices[:, 1].min()
    inside = response.isel(outcome=0, agent=0, condition=0).where(response["dose"] <= 3, drop=True)
    assert low == pytest.approx(float(inside.quantile(0.025, ("chain", "draw")).min()))


def test_untested_cell_is_wholly_hatched(response):
    figure = plot_dose_response(response.sel(agent=["memantine"], condition=["crps"]))
    assert [c.get_hatch() for axes in figure.axes for c in bands(axes)] == [EXTRAPOLATED_HATCH] * 2


def test_dose_response_draws_trial_arms(response):
    observed = {
        "analgesia": make_effects(12),
        "psychotomimetic": make_effects(12, scale="log odds"),
    }
    figure = plot_dose_response(response.sel(agent=["ketamine"]), observed)
    rings = [c for axes in figure.axes for c in axes.collections if c.get_label() == "_arms"]
    every = [c for axes in figure.axes for c in axes.collections]
    crosses = [c for c in every if c.get_label() == "_not estimable"]
    assert sum(len(c.get_offsets()) for c in [*rings, *crosses]) == 12
    risks = np.concatenate([c.get_offsets()[:, 1] for c in rings[2:]])
    assert ((risks > 0) & (risks < 1)).all()
    sizes = np.concatenate([c.get_sizes() for c in rings])
    assert sizes.max() > sizes.min()


def test_arms_with_an_active_comparator_are_not_drawn(response):
    effects = make_effects(6)
    effects["comparator"][:3] = "s_ketamine"
    figure = plot_dose_response(response, {"analgesia": effects})
    drawn = [c for axes in figure.axes for c in axes.collections]
    seen = [c for c in drawn if c.get_label() in ("_arms", "_not estimable")]
    assert sum(len(c.get_offsets()) for c in seen) == 3


def test_arms_from_design_rows(response):
    rows = make_effects(4).isel(arm=[0, 1]).drop_vars(["raw", "raw_se", "shrunk", "predicted"])
    rows = rows.assign_coords(
        study=("arm", ["A", "A"]), exposure=("arm", [1.0, 0.0]), agent=("arm", ["ketamine"] * 2)
    ).assign(mean=("arm", [20.0, 32.0]), se=("arm", [3.0, 4.0]))
    cell = response.sel(agent=["ketamine"], condition=["crps"])
    figure = plot_dose_response(cell, {"analgesia": rows})
    (ring,) = (c for a in figure.axes for c in a.collections if c.get_label() == "_arms")
    assert_allclose(ring.get_offsets(), [[1.0, -12.0]])


def test_omitted_cells_are_counted():
    agents, conditions = [f"a{i}" for i in range(6)], [f"c{i}" for i in range(8)]
    tested = {("a1", "c2"), ("a0", "c7")}
    untested = [(a, c) for a in agents for c in conditions if (a, c) not in tested]
    some = make_response(agents, conditions, np.array([0.0, 1.0, 2.0]), untested)
    figure = plot_dose_response(some)
    assert [a.get_title() for a in visible_axes(figure) if a.get_title()] == ["a0\nc7", "a1\nc2"]
    omitted = "not drawn: 46 more pairs of agent and condition (no trials"
    assert f"{omitted})" in full_text(figure)
    window = plot_therapeutic_window(make_window(some))
    assert f"{omitted} of both)" in full_text(window)


def test_twelve_agents_are_drawn():
    agents = [f"an_agent_with_a_long_name_{i}" for i in range(12)]
    figure = plot_dose_response(make_response(agents, ["crps"]))
    assert len(visible_axes(figure)) == 24


def test_dose_axis_over_decades_is_logarithmic(response):
    figure = plot_dose_response(response)
    assert figure.axes[0].get_xscale() == "symlog"
    assert 0 in figure.axes[0].get_xticks()
    assert "0, then logarithmic" in full_text(figure)
    figure = plot_dose_response(make_response(doses=np.linspace(0, 4, 9)))
    assert figure.axes[0].get_xscale() == "linear"
    assert dose_axis(figure.axes[0], np.array([0.0])) == ""


def test_curve_of_values_follows_the_formula():
    figure = plot_curve("emax", {"emax": -10.0, "log_ed50": 0.0}, dose=[0, 1, 3])
    (line,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert_allclose(line.get_ydata(), [0, -5, -7.5])
    assert "emax · x / (x + exp(log_ed50))" in figure.get_supxlabel()
    assert "-7.5 at the last" in figure.get_label()


def test_curve_of_draws_has_a_band():
    rng = np.random.default_rng(1)
    emax = xr.DataArray(rng.normal(-10, 2, (2, 50)), dims=("chain", "draw"))
    figure = plot_curve("emax", {"emax": emax, "log_ed50": 0.0})
    assert INTERVAL_TEXT in full_text(figure)
    middle = max(figure.axes[0].lines, key=lambda line: line.get_linewidth()).get_ydata()
    assert_allclose(middle[-1], np.median(emax) * 4 / 5, rtol=0.02)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("emaks", {}, "emaks"),
        ("emax", {"emax": 1.0, "slope": 2.0}, "log_ed50.*slope"),
        ("emax", {"emax": [1, 2], "log_ed50": [1, 2, 3]}, "emax 2, log_ed50 3"),
        ("monotone_steps", {"top": 1.0}, "steps"),
    ],
)
def test_curve_bad_input_is_rejected(name, values, message):
    with pytest.raises(ValueError, match=message):
        plot_curve(name, values)


def test_catalogue_has_a_panel_for_each_curve():
    figure = plot_curve_catalogue()
    shown = visible_axes(figure)
    assert [axes.get_title(loc="left") for axes in shown] == list(CURVES)
    for axes, curve in zip(shown, CURVES.values(), strict=True):
        assert axes.get_xlabel().split("\n")[0].split()[0] == curve.text.split()[0]
    assert "never a default" in figure.get_label()


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


def test_exposure_axis_draws_each_arm_with_a_dose():
    figure = plot_exposure_axis(ROWS, "peak concentration")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.texts]
    assert labels == [
        "trial arm",
        "A: ketamine 0.3 mg/kg over 4 min",
        "B: memantine oral 20 mg a day, 28 days",
        "A: ketamine intranasal 56 mg",
    ]
    drawn = {
        label: collection(axes, label, PathCollection).get_offsets().tolist()
        for label in ("_from its pharmacokinetic model", "_relative dose")
    }
    assert list(drawn.values()) == [[[2.5, 0], [0.5, 2]], [[1.0, 1]]]
    assert "3 arms by exposure, from 0.5 (56 mg) to 2.5" in figure.get_label()


def test_exposure_axis_bad_input_is_rejected():
    with pytest.raises(ValueError, match="route"):
        plot_exposure_axis(ROWS.drop(columns="route"), "x")
    with pytest.raises(ValueError, match="no arm has a dose"):
        plot_exposure_axis(ROWS.assign(exposure=0.0), "x")
    many = pd.concat([ROWS.iloc[[0]]] * (MAX_ARMS + 2), ignore_index=True)
    assert "2 arms with smaller exposure are not drawn" in full_text(plot_exposure_axis(many, "x"))
