"""Regimens hour by hour, and effects over dose and time, as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures import plot_dose_and_time, plot_regimens_over_time

FAST, SLOW = "0.5 mg/kg over 7 min", "0.5 mg/kg over 4 h"


@pytest.fixture
def answer() -> xr.Dataset:
    hours, rng = np.linspace(0.1, 12.0, 30), np.random.default_rng(2)
    top = rng.normal([[-20.0, -12.0], [0.3, 0.1]], [[3.0], [0.02]], size=(1, 60, 2, 2))
    left = 2 ** (-hours / 4)[:, None, None, None, None]
    response = xr.DataArray(
        top * left, dims=("hour", "chain", "draw", "outcome", "regimen"),
        coords={"hour": hours, "outcome": ["pain", "harm"], "regimen": [FAST, SLOW]},
    )  # fmt: skip
    of = {
        "label": ["Pain", "Dissociation"], "unit": ["points", "probability"],
        "fades": [True, False],
    }  # fmt: skip
    beyond = xr.zeros_like(response.isel(chain=0, draw=0), bool)
    beyond.loc[{"outcome": "harm", "regimen": FAST}] = True
    found = xr.Dataset({"response": response})
    found = found.assign_coords({name: ("outcome", values) for name, values in of.items()})
    found = found.assign_coords(ends=("regimen", [0.1, 4.0]), extrapolated=beyond)
    return found.assign_attrs(
        agent_label="ketamine", condition_label="acute pain", baseline_risk=0.05
    )


def test_a_panel_an_outcome_and_a_line_a_regimen_with_its_end(answer):
    figure = plot_regimens_over_time(answer)
    pain, harm = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Pain", "Dissociation"]
    assert (pain.get_ylabel(), harm.get_ylabel()) == ("difference, points", "probability")
    # Two medians and two ends; of harm also what lies beyond.
    assert [len(axes.lines) for axes in figure.axes] == [4, 5]
    said = " ".join(text.get_text() for text in figure.texts)
    assert "a baseline of 5 %" in said
    assert "Dissociation: what has come by the hour" in " ".join(said.split())
    assert "95 % equal-tailed interval" in said
    assert f"Pain, {FAST}:" in figure.get_label()


def test_too_many_regimens_and_a_missing_variable_are_refused(answer):
    many = xr.concat([answer] * 4, "regimen")
    with pytest.raises(ValueError, match="8 regimens cannot be told apart"):
        plot_regimens_over_time(many)
    with pytest.raises(ValueError, match="extrapolated"):
        plot_regimens_over_time(answer.drop_vars("extrapolated"))


@pytest.fixture
def effect() -> xr.DataArray:
    hours, doses = np.linspace(0, 48, 13), np.array([0.0, 0.25, 0.5, 1.0, 2.0])
    left = 2 ** (-hours / 8)
    values = -10 * np.log1p(doses)[:, None, None, None, None] * left[:, None, None, None]
    array = xr.DataArray(
        values * np.ones((5, 13, 2, 1, 4)), dims=("dose", "hour", "agent", "chain", "draw"),
        coords={"dose": doses, "hour": hours, "agent": ["ketamine", "magnesium_sulfate"]},
    )  # fmt: skip
    to = xr.DataArray([24.0, np.nan], dims="agent")
    return array.assign_coords(extrapolated=~(array["hour"] <= to))


def test_a_map_an_agent_over_dose_and_time(effect):
    figure = plot_dose_and_time(effect, axis="pain, points", dose_axis="dose", lower=True)
    first, second, bar = figure.axes
    assert [a.get_title() for a in (first, second)] == ["ketamine", "magnesium sulfate"]
    assert first.get_yscale() == "log"
    assert first.get_ylim() == (0.25, 2.0)
    assert bar.get_ylabel() == "pain, points"
    assert all(axes.collections for axes in (first, second))
    assert "At the largest dose, 2" in figure.get_label()
    assert "ketamine: -11 to -0.172" in figure.get_label()


def test_no_dose_and_no_dim_are_refused(effect):
    with pytest.raises(ValueError, match="doses above 0"):
        plot_dose_and_time(effect.isel(dose=[0]))
    with pytest.raises(ValueError, match="'hour'"):
        plot_dose_and_time(effect.isel(hour=0, drop=True))
