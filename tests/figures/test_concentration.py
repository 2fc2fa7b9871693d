"""The figure of concentrations over time."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.figures import plot_concentration
from tests.figures.conftest import texts


def made(draws: int = 0, analytes: int = 2) -> xr.DataArray:
    hours = np.linspace(0, 4, 41)
    values = 50 * np.exp(-hours) * np.arange(1, analytes + 1)[:, None]
    array = xr.DataArray(
        values, dims=("analyte", "time"),
        coords={"analyte": [f"drug_{k}" for k in range(analytes)], "time": hours},
        attrs={
            "units": "ng/mL", "regimen": "bolus 0.1 mg/kg, then 0.2 mg/kg/h for 2 h",
            "route": "iv", "model": "Some2020", "weight_kg": 70.0, "specimen": "serum",
            "lacks": "standard errors",
        },
    )  # fmt: skip
    if draws:
        spread = xr.DataArray(np.linspace(0.5, 1.5, draws), dims="draw")
        array = (array * spread).assign_attrs(array.attrs)
    return array


def lines(axes, label):
    return [line for line in axes.lines if line.get_label() == label]


def test_a_line_an_analyte_and_the_regimen_beneath():
    figure = plot_concentration(made(), measured_at=[1.0, 3.0])
    top, dose = figure.axes[:2]
    found = lines(top, "_line")
    assert len(found) == 2
    np.testing.assert_allclose(found[1].get_ydata()[0], 100)
    assert dose.get_ylabel() == "mg/kg/h"
    assert "at once, mg/kg" in texts(figure)
    said = " ".join(texts(figure)).replace("\n", " ")
    assert "concentration, ng/mL" in said
    assert "Not known: standard errors." in said
    assert "outcome measured" in said
    assert "drug 1 up to 100 ng/mL at 0 h" in figure.get_label()
    # Rates are drawn for as long as they run.
    (steps,) = dose.patches
    values, edges, _ = steps.get_data()
    assert (list(values), list(edges)) == ([0.2], [0.0, 2.0])


def test_draws_become_a_median_and_an_interval():
    figure = plot_concentration(made(draws=101, analytes=1))
    (line,) = lines(figure.axes[0], "_line")
    np.testing.assert_allclose(line.get_ydata()[0], 50)
    (band,) = figure.axes[0].collections
    edge = band.get_paths()[0].vertices
    np.testing.assert_allclose(edge[:, 1].max(), 50 * 1.475)
    assert "95 % equal-tailed interval" in " ".join(texts(figure)).replace("\n", " ")


def test_measurements_stand_with_their_analyte():
    observed = pd.DataFrame(
        {"time_hours": [1.0, 2.0], "concentration": [20.0, 9.0], "sd": [3.0, 2.0],
         "analyte": ["drug_0", "drug_1"], "unit": "ng/mL"}
    )  # fmt: skip
    figure = plot_concentration(made(), observed=observed)
    drawn = [c for c in figure.axes[0].containers if c.get_label() == "_observed"]
    assert [list(c.lines[0].get_xdata()) for c in drawn] == [[1.0], [2.0]]
    assert "measured, with SD" in texts(figure)
    curve = observed.assign(statistic="model_curve")
    assert "published curve of a model" in texts(plot_concentration(made(), observed=curve))
    with pytest.raises(ValueError, match="must be in ng/mL"):
        plot_concentration(made(), observed=observed.assign(unit="nmol/mL"))
    with pytest.raises(ValueError, match="time_hours"):
        plot_concentration(made(), observed=observed.drop(columns="time_hours"))


def test_of_several_regimens_each_is_a_line_and_the_drug_stands_on_the_axis():
    two = xr.concat([made(analytes=1), 2 * made(analytes=1)], "regimen")
    two = two.assign_coords(regimen=["fast", "slow"]).assign_attrs(units="ng/mL")
    figure = plot_concentration(two)
    assert len(figure.axes) == 1
    assert len(lines(figure.axes[0], "_line")) == 2
    said = texts(figure)
    assert {"fast", "slow", "concentration of drug 0, ng/mL"} <= set(said)


def test_too_many_lines_are_refused():
    with pytest.raises(ValueError, match="7 lines"):
        plot_concentration(made(analytes=7))
    with pytest.raises(ValueError, match="no dim chain"):
        plot_concentration(made().expand_dims("chain"))
