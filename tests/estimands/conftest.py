"""Fits with draws set by hand, so that every estimand is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.support import specs
from tests.support.fits import draws, make_fit

AGENTS = ["ketamine", "mem"]
#: Draws of the slopes, points per unit of dose: ketamine, mem.
PAIN = np.array([[-4.0, 1.0], [-8.0, -1.0], [-12.0, 0.0], [-16.0, 2.0]])
#: Draws of the slopes, log odds per unit of dose.
HARM = np.array([[0.0, 0.5], [0.5, 0.5], [1.0, 0.5], [2.0, 0.5]])
BASELINE_PAIN, BASELINE_HARM = np.array([50.0, 55.0, 60.0]), np.array([-2.0, -3.0, -2.0])
SD = {"pain": 1.0, "harm": 0.1}


def linear_fit(better: str = "lower", **more) -> xr.DataTree:
    """Pain and harm on straight lines through the trials of `tests.support.specs.TRIALS`."""
    slope = {"slope": specs.parameter("agent")}
    pain = specs.outcome("normal", "linear", "arm", slope, better=better, unit="points")
    harm = specs.outcome("binomial", "linear", "arm", slope, better="lower", label="Dissociation")
    spec = specs.spec(pain, harm, **{"window": specs.WINDOW, **more})
    posterior = {}
    for name, slopes, baseline in (("pain", PAIN, BASELINE_PAIN), ("harm", HARM, BASELINE_HARM)):
        of_arm = baseline[[0, 0, 1, 1, 1, 2, 2]]
        slope_of_arm = slopes[:, [0, 0, 0, 0, 0, 0, 1]]
        eta = of_arm + slope_of_arm * specs.TRIALS["dose"].to_numpy(float)
        posterior |= {
            f"{name}::slope": draws(slopes.copy(), "agent", agent=AGENTS),
            f"{name}::heterogeneity_sd": draws(np.full(4, SD[name])),
            f"{name}::baseline": draws(np.tile(baseline, (4, 1)), f"{name}::study"),
            f"{name}::eta": draws(eta, f"{name}::arm"),
        }
    return make_fit(spec, specs.both_tables(), posterior)


@pytest.fixture
def fit() -> xr.DataTree:
    return linear_fit()
