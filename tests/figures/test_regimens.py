"""Concentrations and effects of regimens over time."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.figures import plot_concentration, plot_regimens_over_time
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import full_text, texts


def make_concentration(draws: int = 0, analytes: int = 2) -> xr.DataArray:
    hours = np.linspace(0, 4, 41)
    values = 50 * np.exp(-hours) * np.arange(1, analytes + 1)[:, None]
    array = xr.DataArray(
        values,
        dims=("analyte", "time"),
        coords={"analyte": [f"drug_{k}" for k in range(analytes)], "time": hours},
        attrs={
            "units": "ng/mL",
            "regimen": "bolus 0.1 mg/kg, then 0.2 mg/kg/h for 2 h",
            "route": "iv",
            "model": "Some2020",
            "weight_kg": 70.0,
            "specimen": "serum",
            "lacks": "standard errors",
        },
    )
    if draws:
        spread = xr.DataArray(np.linspace(0.5, 1.5, draws), dims="draw")
        array = (array * spread).assign_attrs(array.attrs)
    return array


def lines(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


def test_concentration_draws_lines_and_regimen():
    figure = plot_concentration(make_concentration(), measured_at=[1.0, 3.0])
    top, dose = figure.axes[:2]
    drawn = lines(top, "_line")
    assert len(drawn) == 2
    np.testing.assert_allclose(drawn[1].get_ydata()[0], 100)
    assert dose.get_ylabel() == "mg/kg/h"
    assert "bolus, mg/kg" in texts(figure)
    text = full_text(figure)
    assert "concentration, ng/mL" in text
    assert "Not reported: standard errors." in text
    assert "outcome measured" in text
    assert "drug 1 up to 100 ng/mL at 0 h" in figure.get_label()
    # Rates are drawn for as long as they run.
    (steps,) = dose.patches
    values, edges, _ = steps.get_data()
    assert (list(values), list(edges)) == ([0.2], [0.0, 2.0])


def test_concentration_draws_have_a_band():
    figure = plot_concentration(make_concentration(draws=101, analytes=1))
    (line,) = lines(figure.axes[0], "_line")
    np.testing.assert_allclose(line.get_ydata()[0], 50)
    (band,) = figure.axes[0].collections
    edge = band.get_paths()[0].vertices
    np.testing.assert_allclose(edge[:, 1].max(), 50 * 1.475)
    assert INTERVAL_TEXT in full_text(figure)


def test_measurements_are_drawn_by_analyte():
    observed = pd.DataFrame(
        {
            "time_hours": [1.0, 2.0],
            "concentration": [20.0, 9.0],
            "sd": [3.0, 2.0],
            "analyte": ["drug_0", "drug_1"],
            "unit": "ng/mL",
        }
    )
    figure = plot_concentration(make_concentration(), observed=observed)
    drawn = [c for c in figure.axes[0].containers if c.get_label() == "_observed"]
    assert [list(c.lines[0].get_xdata()) for c in drawn] == [[1.0], [2.0]]
    assert "measured (± SD)" in texts(figure)
    curve = observed.assign(statistic="model_curve")
    assert "curve of a published model" in texts(
        plot_concentration(make_concentration(), observed=curve)
    )
    with pytest.raises(ValueError, match="ng/mL"):
        plot_concentration(make_concentration(), observed=observed.assign(unit="nmol/mL"))
    with pytest.raises(ValueError, match="time_hours"):
        plot_concentration(make_concentration(), observed=observed.drop(columns="time_hours"))


def test_concentration_of_several_regimens():
    two = xr.concat([make_concentration(analytes=1), 2 * make_concentration(analytes=1)], "regimen")
    two = two.assign_coords(regimen=["fast", "slow"]).assign_attrs(units="ng/mL")
    figure = plot_concentration(two)
    assert len(figure.axes) == 1
    assert len(lines(figure.axes[0], "_line")) == 2
    assert {"fast", "slow", "concentration of drug 0, ng/mL"} <= set(texts(figure))


def test_too_many_lines_are_rejected():
    with pytest.raises(ValueError, match="7 lines"):
        plot_concentration(make_concentration(analytes=7))
    with pytest.raises(ValueError, match="'chain'"):
        plot_concentration(make_concentration().expand_dims("chain"))


FAST, SLOW = "0.5 mg/kg over 7 min", "0.5 mg/kg over 4 h"


@pytest.fixture
def answer() -> xr.Dataset:
    hours, rng = np.linspace(0.1, 12.0, 30), np.random.default_rng(2)
    top = rng.normal([[-20.0, -12.0], [0.3, 0.1]], [[3.0], [0.02]], size=(1, 60, 2, 2))
    left = 2 ** (-hours / 4)[:, None, None, None, None]
    response = xr.DataArray(
        top * left,
        dims=("hour", "chain", "draw", "outcome", "regimen"),
        coords={"hour": hours, "outcome": ["pain", "harm"], "regimen": [FAST, SLOW]},
    )
    facts = {
        "label": ["Pain", "Dissociation"],
        "unit": ["points", "probability"],
        "fades": [True, False],
    }
    beyond = xr.zeros_like(response.isel(chain=0, draw=0), bool)
    beyond.loc[{"outcome": "harm", "regimen": FAST}] = True
    answer = xr.Dataset({"response": response})
    answer = answer.assign_coords({name: ("outcome", values) for name, values in facts.items()})
    answer = answer.assign_coords(ends=("regimen", [0.1, 4.0]), extrapolated=beyond)
    return answer.assign_attrs(
        agent_label="ketamine", condition_label="acute pain", baseline_risk=0.05
    )


def test_regimens_over_time(answer):
    figure = plot_regimens_over_time(answer)
    pain, harm = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Pain", "Dissociation"]
    assert (pain.get_ylabel(), harm.get_ylabel()) == ("difference, points", "probability")
    # Two medians and two ends; of harm also the extrapolated part.
    assert [len(axes.lines) for axes in figure.axes] == [4, 5]
    text = full_text(figure)
    assert "a baseline of 5%" in text
    assert "Dissociation: cumulative effect by that time" in text
    assert INTERVAL_TEXT in text
    assert f"Pain, {FAST}:" in figure.get_label()


def test_regimens_over_time_bad_input_is_rejected(answer):
    many = xr.concat([answer] * 4, "regimen")
    with pytest.raises(ValueError, match="8 regimens"):
        plot_regimens_over_time(many)
    with pytest.raises(ValueError, match="extrapolated"):
        plot_regimens_over_time(answer.drop_vars("extrapolated"))
