"""Log densities of all draws in one evaluation: PyMC's own, draw by draw."""

from __future__ import annotations

import pymc as pm
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data
from pymc.stats import compute_log_prior

from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.densities import log_densities
from nmda_bayes.model import CHEAP, build_model
from tests import specs
from tests.design.test_readings import DECAY, READ, REPEATED
from tests.model.test_mixing import frame, mixed

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
def test_are_those_of_pymc_at_every_draw(name):
    spec, table = MODELS[name]()
    model = freeze_dims_and_data(build_model(spec, load_evidence(table)))
    with model:
        drawn = pm.sample_prior_predictive(6, random_seed=1, compile_kwargs=CHEAP)
    posterior = drawn["prior"].to_dataset()
    observed = [v.name for v in model.observed_RVs]
    free = [v.name for v in model.free_RVs]
    found = log_densities(model, posterior, [*observed, *free])
    quiet = {"extend_inferencedata": False, "progressbar": False, "compile_kwargs": CHEAP}
    tree = xr.DataTree.from_dict({"posterior": posterior})
    with model:
        known = pm.compute_log_likelihood(tree, **quiet)
        priors = compute_log_prior(tree, **quiet)
    for one in (known, priors):
        one = one if isinstance(one, xr.Dataset) else one.to_dataset()
        for variable in one.data_vars:
            assert found[variable].dims == one[variable].dims
            assert_allclose(found[variable], one[variable], rtol=1e-9, atol=1e-12)
