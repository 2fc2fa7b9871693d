"""The simulations of a case with the prior as posterior: ranks of a posterior without data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from nmda_bayes.dims import DRAW, SAMPLE
from nmda_bayes.model import PY_MODE
from tests.calibration import simulation
from tests.calibration.bands import p_value
from tests.calibration.cases import case_of
from tests.calibration.combinations import Combination

SIMULATIONS, KEPT = 40, 31
CASE = case_of(Combination("linear", "poisson", "agent", "none"))


class PriorAsPosterior(simulation.Simulations):
    """A posterior that ignores the data: the prior."""

    def _get_posterior_samples(self, replicated_data: Mapping[str, Any]) -> xr.Dataset:
        start = KEPT * self._simulations_complete
        kept = self.prior.isel({DRAW: slice(start, start + KEPT)})
        data = self._as_data(replicated_data)
        density = np.array([[self._density_of(kept, i, data) for i in range(KEPT)]])
        return self._quantities(kept, density).stack(sample=SAMPLE)


@pytest.fixture(scope="module")
def simulations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation.nutpie, "compile_pymc_model", lambda model: None)
        sbc = PriorAsPosterior(CASE, SIMULATIONS, seed=1)
    drawn = pm.sample_prior_predictive(
        SIMULATIONS * KEPT, model=sbc.model, random_seed=2, compile_kwargs={"mode": PY_MODE}
    )
    sbc.prior = drawn["prior"].to_dataset()
    sbc.run_simulations()
    return sbc


def test_which_quantities_are_ranked(simulations):
    assert set(simulations.counts()) == {
        "slope_location",
        "slope_between_agent",
        "slope[a]",
        "baseline[s1]",
        "response at dose 1",
        "log density",
    }
    assert {len(counts) for counts in simulations.counts().values()} == {KEPT + 1}
    assert {sum(counts) for counts in simulations.counts().values()} == {SIMULATIONS}


def test_only_the_log_density_detects_ignored_data(simulations):
    p = {name: p_value(np.array(counts)) for name, counts in simulations.counts().items()}
    assert p.pop("log density") < 1e-6
    assert min(p.values()) > 0.01 / len(p)


def test_simulated_data_come_from_the_truths(simulations):
    eta = simulations.truths["eta"].to_numpy()[0]
    rates = simulations.simulated["reported"].to_numpy()[0] / 30.0
    # Sums of 40 Poisson counts about their means; five standard deviations.
    expected = np.exp(eta)
    sd = np.sqrt(expected.sum(axis=0) / 30.0)
    assert (np.abs((rates - expected).sum(axis=0)) < 5 * sd).all()
