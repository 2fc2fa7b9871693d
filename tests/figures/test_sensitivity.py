"""Figures of a sensitivity analysis, from a table written by hand."""

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures import (
    plot_leave_one_out,
    plot_multiverse_grid,
    plot_specification_curve,
    plot_tornado,
)
from nmda_bayes.intervals import INTERVAL_TEXT

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


def test_specification_curve_is_ordered_by_median(cell: xr.Dataset):
    figure = plot_specification_curve(cell)
    text = figure.get_label()
    assert "medians of 5 variants from -7 to -1, the base case -5" in text
    assert f"3 have a {INTERVAL_TEXT} wholly below 0 and 0 wholly above" in text
    curve, choices = figure.axes
    drawn = [np.asarray(c.get_offsets()).tolist() for c in curve.collections]
    assert [[2.0, -4.0]] in drawn  # failed checks: hollow
    assert [[1.0, -5.0]] in drawn  # the base case
    marks = {tuple(map(float, xy)) for xy in np.asarray(choices.collections[0].get_offsets())}
    # By median: flat, base, wide, flat + without A, without A; the choice changed most is on top.
    assert marks == {(0, 0), (2, 0), (3, 0), (3, 1), (4, 1)}


def test_tornado_has_the_range_of_each_choice(cell: xr.Dataset):
    figure = plot_tornado(cell)
    assert "trials shifts the median most, from -5 to -1" in figure.get_label()
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in figure.axes[0].patches[1:]]
    # Below and above the base, widest first: trials, then prior.
    assert ends == [(-5, -5), (-7, -5), (-5, -1), (-5, -4)]


def test_leave_one_out_prints_shifts(cell: xr.Dataset):
    figure = plot_leave_one_out(cell)
    assert "shifts most, to -1, without A" in figure.get_label()
    printed = [text.get_text() for text in figure.axes[0].texts]
    assert "2.67" in printed  # (−1 − −5) / 1.5
    assert any(text.startswith("−1.0") and "2.0" in text for text in printed), printed


def test_multiverse_grid_prints_every_pair(cell: xr.Dataset):
    figure = plot_multiverse_grid(cell, ("prior", "trials"))
    printed = [text.get_text() for text in figure.axes[0].texts]
    assert printed.count("not run") == 4
    assert {"40%", "60%", "30%", "5%", "10%"} <= set(printed)
    assert "0.4 in the base" in figure.get_label()


def test_sensitivity_bad_input_is_rejected(cell: xr.Dataset):
    with pytest.raises(ValueError, match="'dose'"):
        plot_multiverse_grid(cell, ("prior", "dose"))
    with pytest.raises(ValueError, match="'leave_one_out'"):
        plot_leave_one_out(cell.isel(variant=[0, 1, 2]))
    with pytest.raises(ValueError, match="a single choice"):
        plot_tornado(cell.isel(variant=[0, 5]))
    with pytest.raises(ValueError, match="base case"):
        plot_specification_curve(cell.isel(variant=[4, 0]))
    with pytest.raises(ValueError, match="'effect'"):
        plot_specification_curve(cell.drop_vars("effect"))
