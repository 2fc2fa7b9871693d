"""Figures of a sensitivity analysis, from a table written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures import (
    plot_left_out,
    plot_power_scaling,
    plot_specification_curve,
    plot_tornado,
    plot_two_choices,
)

NAMES = ["base", "flat", "wide", "without A", "without B", "flat + without A"]
SETTING = [
    ["as in the base", "as in the base"],
    ["flat", "as in the base"],
    ["wide", "as in the base"],
    ["as in the base", "without A"],
    ["as in the base", "without B"],
    ["flat", "without A"],
]
MEDIANS = [-5.0, -7.0, -4.0, -1.0, np.nan, -2.0]


@pytest.fixture
def cell() -> xr.Dataset:
    median = np.array(MEDIANS)
    parts = {"lower": median - 3, "median": median, "upper": median + 3, "sd": median * 0 + 1.5}
    loo = "leave_one_out"
    return xr.Dataset(
        {
            "effect": (("variant", "statistic"), np.stack(list(parts.values()), axis=-1)),
            "trials": ("variant", [3, 3, 3, 2, 0, 2]),
            "p_window": ("variant", [0.4, 0.6, 0.3, 0.05, np.nan, 0.1]),
            "setting": (("variant", "choice"), np.array(SETTING, dtype=object)),
            "kind": ("variant", np.array(["base", *["named"] * 2, loo, loo, "multiverse"], object)),
            "passed": ("variant", [True, True, False, True, False, True]),
        },
        coords={
            "variant": np.array(NAMES, dtype=object),
            "statistic": list(parts),
            "choice": ["prior", "trials"],
        },
        attrs={"title": "Ketamine, $CRPS$", "axis": "Pain: points, against dose 0"},
    )


def test_the_specification_curve_orders_what_has_an_answer(cell: xr.Dataset):
    figure = plot_specification_curve(cell)
    said = figure.get_label()
    assert "medians of 5 variants from -7 to -1, the base -5" in said
    assert "3 have a 95 % equal-tailed interval wholly below 0 and 0 wholly above" in said
    curve, choices = figure.axes
    drawn = [np.asarray(c.get_offsets()).tolist() for c in curve.collections]
    assert [[2.0, -4.0]] in drawn  # the one that was refused, hollow
    assert [[1.0, -5.0]] in drawn  # the base
    marks = {tuple(map(float, xy)) for xy in np.asarray(choices.collections[0].get_offsets())}
    # By median: flat, base, wide, flat + without A, without A; the choice turned most is on top.
    assert marks == {(0, 0), (2, 0), (3, 0), (3, 1), (4, 1)}


def test_the_tornado_has_the_range_of_each_choice_alone(cell: xr.Dataset):
    figure = plot_tornado(cell)
    assert "trials moves the median most, from -5 to -1" in figure.get_label()
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in figure.axes[0].patches[1:]]
    # Below and above the base, widest first: trials, then prior.
    assert ends == [(-5, -5), (-7, -5), (-5, -1), (-5, -4)]


def test_the_leave_one_out_forest_says_how_far_each_moves(cell: xr.Dataset):
    figure = plot_left_out(cell)
    assert "moves most, to -1, without A" in figure.get_label()
    said = [text.get_text() for text in figure.axes[0].texts]
    assert "2.67" in said  # (−1 − −5) / 1.5
    assert any(text.startswith("−1.0") and "2.0" in text for text in said), said


def test_two_choices_print_every_pair_and_what_was_not_run(cell: xr.Dataset):
    figure = plot_two_choices(cell, ("prior", "trials"))
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said.count("not run") == 4
    assert {"40 %", "60 %", "30 %", "5 %", "10 %"} <= set(said)
    assert "0.4 in the base" in figure.get_label()


def test_what_is_missing_is_told(cell: xr.Dataset):
    with pytest.raises(ValueError, match="no choice is called 'dose'"):
        plot_two_choices(cell, ("prior", "dose"))
    with pytest.raises(ValueError, match="kind 'leave_one_out'"):
        plot_left_out(cell.isel(variant=[0, 1, 2]))
    with pytest.raises(ValueError, match="one choice each"):
        plot_tornado(cell.isel(variant=[0, 5]))
    with pytest.raises(ValueError, match="the base, which comes first"):
        plot_specification_curve(cell.isel(variant=[4, 0]))
    with pytest.raises(ValueError, match="needs"):
        plot_specification_curve(cell.drop_vars("effect"))


def test_power_scaling_draws_each_parameter_under_each_power():
    rng = np.random.default_rng(3)
    dims, cell = ("chain", "draw"), rng.normal(size=(2, 400, 2))
    prior = xr.Dataset({"emax": ((*dims, "agent"), 3 * cell), "sd": (dims, np.abs(cell[..., 0]))})
    posterior = xr.Dataset({"emax": ((*dims, "agent"), cell), "sd": (dims, np.abs(cell[..., 1]))})
    by = {name: data.assign_coords(agent=["ketamine", "mem"]) for name, data in
          (("prior", prior), ("posterior", posterior))}  # fmt: skip
    first = np.linspace(2, 0, 400)[None].repeat(2, 0)
    weight = np.stack([[first, np.ones((2, 400)), first[:, ::-1]]] * 2)
    coords = {"component": ["prior", "likelihood"], "power": [0.67, 1.0, 1.5]}
    scaled = xr.Dataset(
        {
            "weight": (("component", "power", *dims), weight / weight.sum((-1, -2), keepdims=True)),
            "k_hat": (("component", "power"), [[0.1, 0.0, 0.9], [0.2, 0.0, 0.3]]),
        },
        coords,
    )
    figure = plot_power_scaling(by["prior"], by["posterior"], scaled, panels=2)
    assert len(figure.axes) == 2 * 2
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["_prior", "_0.67", "_1", "_1.5"]
    assert figure.axes[0].get_title() == "priors raised to a power\n(power 1.5 not to be relied on)"
    assert figure.axes[1].get_title() == "likelihood raised to a power"
    assert "2 parameters" in figure.get_label()
    with pytest.raises(ValueError, match="plot_power_scaling"):
        plot_power_scaling(by["prior"], by["posterior"], scaled.drop_vars("k_hat"))
