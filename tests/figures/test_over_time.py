"""Effects over time as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.figures import plot_over_time


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


def test_a_panel_an_agent_with_what_was_not_read_hatched(effect):
    figure = plot_over_time(effect, axis="points", read_at={"ketamine": np.array([0.5, 24.0])})
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == [
        "ketamine", "s ketamine", "memantine", "magnesium sulfate",
    ]  # fmt: skip
    hatched = [[band.get_hatch() for band in axes.collections] for axes in panels]
    assert None in hatched[0]
    assert any(h for h in hatched[0])  # before the end of treatment, and after a day
    assert all(h for h in hatched[2][:1])  # memantine was read at no hour
    rugs = [c for c in panels[0].collections if c.get_label() == "_readings"]
    assert len(rugs[0].get_segments()) == 2


def test_the_alternative_text_says_where_it_starts_and_ends(effect):
    label = plot_over_time(effect, axis="points").get_label()
    assert "from -2 to 48 hours after treatment" in label
    assert "95 % equal-tailed interval" in label


def test_a_dim_that_is_missing_is_named(effect):
    with pytest.raises(ValueError, match="'agent'"):
        plot_over_time(effect.isel(agent=0, drop=True))
