"""Prior and predictive draws in one evaluation, against PyMC's draw by draw."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.dims import SAMPLE
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.predictive import observations, predictive_draws, prior_draws
from nmda_bayes.model import PY_MODE, build_model
from tests.inference.test_compiled_analysis import CASES
from tests.inference.test_log_densities import MODELS
from tests.support import specs

DRAWS = 400


def _analysis(spec_of, table):
    return lambda: (spec_of(1.0), table)


EVERY = MODELS | {name: _analysis(*case) for name, case in CASES.items()}


@pytest.fixture(params=EVERY)
def model(request) -> pm.Model:
    spec, table = EVERY[request.param]()
    return freeze_dims_and_data(build_model(spec, load_evidence(table)))


def test_prior_draws_have_the_distribution_of_pymc(model):
    with model:
        pymc = pm.sample_prior_predictive(DRAWS, random_seed=1, compile_kwargs={"mode": PY_MODE})
    groups = zip(("prior", "prior_predictive"), prior_draws(model, DRAWS, seed=2), strict=True)
    for group, draws in groups:
        expected = pymc[group].to_dataset()
        assert set(draws.data_vars) == set(expected.data_vars)
        for name, reference in expected.data_vars.items():
            assert draws[name].dims == reference.dims
            assert draws[name].dtype == reference.dtype
            for dim in reference.dims:
                assert list(draws[name][dim].to_numpy()) == list(reference[dim].to_numpy())
            _assert_same_distribution(draws[name], reference)
    xr.testing.assert_equal(observations(model), pymc["observed_data"].to_dataset())


def test_predictive_draws_are_those_of_pymc(model):
    parameters, _ = prior_draws(model, 40, seed=2)
    tree = xr.DataTree.from_dict({"posterior": parameters})
    with model:
        pymc = pm.sample_posterior_predictive(
            tree, random_seed=3, progressbar=False, compile_kwargs={"mode": PY_MODE}
        )["posterior_predictive"].to_dataset()
    draws = predictive_draws(model, tree, seed=3)
    assert set(draws.data_vars) == set(pymc.data_vars)
    for name, expected in pymc.data_vars.items():
        assert draws[name].dims == expected.dims
        assert draws[name].dtype == expected.dtype
        # One generator per variable, read in the same order.
        assert_allclose(draws[name], expected, rtol=1e-9, atol=1e-9)


def test_draws_differ_and_depend_on_the_seed():
    model = freeze_dims_and_data(build_model(specs.spec(), load_evidence(specs.normal_table())))
    first, second, other = (prior_draws(model, DRAWS, seed)[0] for seed in (1, 1, 2))
    xr.testing.assert_equal(first, second)
    assert not first.equals(other)
    for variable in model.free_RVs:
        assert len(np.unique(first[variable.name].to_numpy())) == first[variable.name].size


def _assert_same_distribution(first: xr.DataArray, second: xr.DataArray) -> None:
    """Compare two samples element by element by the Kolmogorov-Smirnov statistic.

    A limit of 1.36 would reject 1 in 20 elements, 2.6 one in 400,000.
    """
    samples = [x.transpose(*SAMPLE, ...).to_numpy().reshape(DRAWS, -1) for x in (first, second)]
    for a, b in zip(*(sample.T for sample in samples), strict=True):
        values = np.sort(np.concatenate([a, b]))
        shares = [np.searchsorted(np.sort(x), values, side="right") / DRAWS for x in (a, b)]
        assert np.abs(shares[0] - shares[1]).max() < 2.6 * np.sqrt(2 / DRAWS)
