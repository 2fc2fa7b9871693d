"""Draws reweighted as if priors or likelihood were raised to a power."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.checks import power_scaling

DIMS = ("chain", "draw")


@pytest.fixture
def fit() -> xr.DataTree:
    """The posterior of x ~ Normal(0, 1) without data: the likelihood is flat."""
    x = np.random.default_rng(2).normal(size=(4, 1000))
    log_prior = xr.Dataset(
        {"x": (DIMS, -(x**2) / 2), "baseline": (("chain", "draw", "study"), np.ones((4, 1000, 3)))}
    )
    flat = xr.Dataset({"y": (("chain", "draw", "arm"), np.ones((4, 1000, 2)))})
    posterior = xr.Dataset({"x": (DIMS, x)})
    groups = {"posterior": posterior, "log_prior": log_prior, "log_likelihood": flat}
    return xr.DataTree.from_dict(groups)


def test_a_normal_prior_to_a_power_has_that_precision(fit: xr.DataTree):
    scaled = power_scaling(fit)
    assert scaled["weight"].dims == ("component", "power", "chain", "draw")
    assert_allclose(scaled["weight"].sum(DIMS), 1)
    assert float(scaled["k_hat"].max()) < 0.7
    x, power = fit["posterior"]["x"], scaled["power"].to_numpy()
    variance = (scaled["weight"] * x**2).sum(DIMS)
    # The variance of 4,000 draws has an error of 2.2%; with weights half of them are effective.
    assert_allclose(variance.sel(component="prior"), 1 / power, rtol=0.1)
    assert_allclose(variance.sel(component="likelihood"), (x**2).mean())


def test_priors_of_baselines_are_scaled_apart(fit: xr.DataTree):
    without = fit.copy()
    without["log_prior"] = xr.DataTree(fit["log_prior"].to_dataset().drop_vars("baseline"))
    scaled, others = power_scaling(fit), power_scaling(without)
    assert list(scaled["component"]) == ["prior", "baseline", "likelihood"]
    assert list(others["component"]) == ["prior", "likelihood"]
    xr.testing.assert_identical(scaled.sel(component=others["component"]), others)
    # The baselines' density is the same at every draw here.
    assert_allclose(scaled["weight"].sel(component="baseline"), 1 / 4000)


def test_a_baseline_prior_moves_what_depends_on_it(fit: xr.DataTree):
    x = fit["posterior"]["x"]
    fit["log_prior"] = xr.DataTree(xr.Dataset({"x": 0 * x, "pain::baseline": -(x**2) / 2}))
    scaled = power_scaling(fit)
    variance = (scaled["weight"] * x**2).sum(DIMS)
    assert_allclose(variance.sel(component="baseline"), 1 / scaled["power"], rtol=0.1)
