"""Effects over time, and over dose and time."""

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures import plot_effect_over_dose_and_time, plot_effect_over_time
from nmda_bayes.intervals import INTERVAL_TEXT
from tests.figures.conftest import visible_axes


@pytest.fixture
def effect() -> xr.DataArray:
    hours = np.linspace(-2.0, 48.0, 26)
    rng = np.random.default_rng(1)
    top = rng.normal([-12.0, -4.0, 0.0, -8.0], 3.0, size=(2, 50, 4))
    half = np.exp(rng.normal(np.log(6.0), 0.5, size=(2, 50, 4)))
    left = 2 ** (-np.maximum(hours, 0)[:, None, None, None] / half)
    agents = ["ketamine", "s_ketamine", "memantine", "magnesium_sulfate"]
    values = xr.DataArray(
        top * left, dims=("hour", "chain", "draw", "agent"), coords={"hour": hours, "agent": agents}
    )
    to = xr.DataArray([24.0, 6.0, np.nan, 48.0], dims="agent")
    return values.assign_coords(extrapolated=~((values["hour"] >= 0) & (values["hour"] <= to)))


def test_over_time_hatches_hours_without_measurements(effect):
    figure = plot_effect_over_time(
        effect, axis="points", measured_at={"ketamine": np.array([0.5, 24.0])}
    )
    panels = visible_axes(figure)
    assert [axes.get_title() for axes in panels] == [
        "ketamine",
        "S-ketamine",
        "memantine",
        "magnesium sulfate",
    ]
    hatched = [[band.get_hatch() for band in axes.collections] for axes in panels]
    assert None in hatched[0]
    assert any(h for h in hatched[0])  # before the end of treatment, and after a day
    assert all(h for h in hatched[2][:1])  # memantine was not measured
    rugs = [c for c in panels[0].collections if c.get_label() == "_measurements"]
    assert len(rugs[0].get_segments()) == 2


def test_over_time_alternative_text(effect):
    label = plot_effect_over_time(effect, axis="points").get_label()
    assert "from -2 to 48 hours after treatment" in label
    assert INTERVAL_TEXT in label


def test_over_time_missing_dim_is_rejected(effect):
    with pytest.raises(ValueError, match="'agent'"):
        plot_effect_over_time(effect.isel(agent=0, drop=True))


@pytest.fixture
def surface() -> xr.DataArray:
    hours, doses = np.linspace(0, 48, 13), np.array([0.0, 0.25, 0.5, 1.0, 2.0])
    left = 2 ** (-hours / 8)
    values = -10 * np.log1p(doses)[:, None, None, None, None] * left[:, None, None, None]
    array = xr.DataArray(
        values * np.ones((5, 13, 2, 1, 4)),
        dims=("dose", "hour", "agent", "chain", "draw"),
        coords={"dose": doses, "hour": hours, "agent": ["ketamine", "magnesium_sulfate"]},
    )
    to = xr.DataArray([24.0, np.nan], dims="agent")
    return array.assign_coords(extrapolated=~(array["hour"] <= to))


def test_dose_and_time_map(surface):
    figure = plot_effect_over_dose_and_time(
        surface, axis="pain, points", dose_axis="dose", lower=True
    )
    first, second, bar = figure.axes
    assert [a.get_title() for a in (first, second)] == ["ketamine", "magnesium sulfate"]
    assert first.get_yscale() == "log"
    assert first.get_ylim() == (0.25, 2.0)
    assert bar.get_ylabel() == "pain, points"
    assert all(axes.collections for axes in (first, second))
    assert "At the largest dose, 2" in figure.get_label()
    assert "ketamine: -11 to -0.172" in figure.get_label()


def test_dose_and_time_bad_input_is_rejected(surface):
    with pytest.raises(ValueError, match="doses above 0"):
        plot_effect_over_dose_and_time(surface.isel(dose=[0]))
    with pytest.raises(ValueError, match="'hour'"):
        plot_effect_over_dose_and_time(surface.isel(hour=0, drop=True))
