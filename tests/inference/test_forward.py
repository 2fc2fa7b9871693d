"""Draws forwards in one evaluation: those of PyMC, which calls a graph once a draw."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.dims import SAMPLE
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.forward import observations, predictive_draws, prior_draws
from nmda_bayes.model import CHEAP, build_model
from tests import specs
from tests.inference.test_densities import MODELS
from tests.inference.test_prepared import CASES

DRAWS = 400
EVERY = {
    **MODELS,
    **{name: lambda made=made: (made[0](1.0), made[1]) for name, made in CASES.items()},
}


@pytest.fixture(params=EVERY)
def model(request) -> pm.Model:
    spec, table = EVERY[request.param]()
    return freeze_dims_and_data(build_model(spec, load_evidence(table)))


def test_they_are_pymcs(model):
    with model:
        known = pm.sample_prior_predictive(DRAWS, random_seed=1, compile_kwargs=CHEAP)
    parameters, reports = prior_draws(model, DRAWS, seed=2)
    for found, group in ((parameters, "prior"), (reports, "prior_predictive")):
        expected = known[group].to_dataset()
        assert set(found.data_vars) == set(expected.data_vars)
        for name in expected.data_vars:
            one, two = found[name], expected[name]
            assert one.dims == two.dims
            assert one.dtype == two.dtype
            for dim in two.dims:
                assert list(one[dim].to_numpy()) == list(two[dim].to_numpy())
            _same_distribution(one, two)
    xr.testing.assert_equal(observations(model), known["observed_data"].to_dataset())


def test_predictions_are_pymcs_draw_by_draw(model):
    parameters, _ = prior_draws(model, 40, seed=2)
    tree = xr.DataTree.from_dict({"posterior": parameters})
    with model:
        known = pm.sample_posterior_predictive(
            tree, random_seed=3, progressbar=False, compile_kwargs=CHEAP
        )["posterior_predictive"].to_dataset()
    found = predictive_draws(model, tree, seed=3)
    assert set(found.data_vars) == set(known.data_vars)
    for name in known.data_vars:
        assert found[name].dims == known[name].dims
        assert found[name].dtype == known[name].dtype
        # One generator a variable, read in the same order.
        assert_allclose(found[name], known[name], rtol=1e-9, atol=1e-9)


def test_each_draw_is_its_own_and_a_seed_is_one_set():
    model = freeze_dims_and_data(build_model(specs.spec(), load_evidence(specs.normal_table())))
    first, second, other = (prior_draws(model, DRAWS, seed)[0] for seed in (1, 1, 2))
    xr.testing.assert_equal(first, second)
    assert not first.equals(other)
    for variable in model.free_RVs:
        assert len(np.unique(first[variable.name].to_numpy())) == first[variable.name].size


def _same_distribution(one: xr.DataArray, two: xr.DataArray) -> None:
    """Hold two samples to one distribution, element by element, by Kolmogorov and Smirnov.

    1.36 would refuse one true element of twenty, 2.6 one of 400,000.
    """
    first, second = (x.transpose(*SAMPLE, ...).to_numpy().reshape(DRAWS, -1) for x in (one, two))
    for a, b in zip(first.T, second.T, strict=True):
        places = np.sort(np.concatenate([a, b]))
        shares = [np.searchsorted(np.sort(x), places, side="right") / DRAWS for x in (a, b)]
        assert np.abs(shares[0] - shares[1]).max() < 2.6 * np.sqrt(2 / DRAWS)
