"""Log densities of all draws in one evaluation, against PyMC's draw by draw."""

from __future__ import annotations

import pymc as pm
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc.stats import compute_log_prior

from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.predictive import log_densities
from nmda_bayes.model import PY_MODE, build_model
from tests.model.test_mixing import frame, mixed
from tests.support import specs
from tests.support.specs import DECAY, READ, REPEATED

MODELS = {
    "means": lambda: (specs.spec(), specs.normal_table()),
    "counts": lambda: (
        specs.spec(specs.outcome("binomial", measures=["harm"])),
        specs.binary_table(),
    ),
    "counts given their totals": lambda: (
        specs.spec(specs.outcome("hypergeometric", "linear", measures=["harm"])),
        specs.binary_table(),
    ),
    "arms and responders": lambda: (mixed(), frame().query("study != 'C'")),
    "readings": lambda: (
        specs.spec(specs.outcome(**DECAY), designs=REPEATED),
        READ,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_log_densities_are_those_of_pymc(name):
    spec, table = MODELS[name]()
    model = freeze_dims_and_data(build_model(spec, load_evidence(table)))
    with model:
        drawn = pm.sample_prior_predictive(6, random_seed=1, compile_kwargs={"mode": PY_MODE})
    posterior = drawn["prior"].to_dataset()
    observed = [v.name for v in model.observed_RVs]
    free = [v.name for v in model.free_RVs]
    densities = log_densities(model, posterior, [*observed, *free])
    settings = {
        "extend_inferencedata": False,
        "progressbar": False,
        "compile_kwargs": {"mode": PY_MODE},
    }
    tree = xr.DataTree.from_dict({"posterior": posterior})
    with model:
        likelihoods = pm.compute_log_likelihood(tree, **settings)
        priors = compute_log_prior(tree, **settings)
    for group in (likelihoods, priors):
        expected = group if isinstance(group, xr.Dataset) else group.to_dataset()
        for name, values in expected.data_vars.items():
            assert densities[name].dims == values.dims
            assert_allclose(densities[name], values, rtol=1e-9, atol=1e-12)
