"""Fits without sampling: a sampler that returns the prior, and fits made from written draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.predictive import prior_draws
from nmda_bayes.spec import AnalysisSpec

SAMPLER = "nmda_bayes.inference.nuts.sample_posterior"
#: Patched with a small number where the sampler is mocked: prior draws would dominate the time.
PRIOR_DRAWS = "nmda_bayes.inference.fitting.PRIOR_DRAWS"


def prior_as_posterior(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    """Stand in for the sampler: independent draws of the prior, split into chains."""
    chains, draws = spec.sampling.chains, spec.sampling.draws
    prior, _ = prior_draws(freeze_dims_and_data(model), chains * draws, seed=7)
    flat = prior.isel(chain=0, drop=True).drop_vars("draw")
    split = flat.coarsen(draw=draws).construct(draw=("chain", "draw"))
    split = split.assign_coords(chain=range(chains), draw=range(draws))
    return xr.DataTree.from_dict(
        {
            "posterior": split.transpose("chain", "draw", ...),
            "sample_stats": sample_stats(chains, draws),
        }
    )


def sample_stats(chains: int, draws: int) -> xr.Dataset:
    """Sampler statistics that pass every convergence check."""
    energy = np.random.default_rng(1).normal(size=(chains, draws))
    dims = ("chain", "draw")
    return xr.Dataset(
        {"diverging": (dims, np.zeros(energy.shape, bool)), "energy": (dims, energy)},
        coords={"chain": range(chains), "draw": range(draws)},
    )


def make_fit(
    spec: AnalysisSpec,
    table: pd.DataFrame,
    posterior: Mapping[str, xr.DataArray],
    prior: Mapping[str, xr.DataArray] | None = None,
    **groups: xr.Dataset,
) -> xr.DataTree:
    """Make a fit of a table from written draws of its parameters."""
    design = build_design(spec, load_evidence(table))
    posterior_draws = xr.Dataset(dict(posterior))
    tree = {
        "posterior": posterior_draws,
        "prior": xr.Dataset(dict(prior or posterior)),
        "sample_stats": sample_stats(posterior_draws.sizes["chain"], posterior_draws.sizes["draw"]),
        **groups,
    }
    tree |= {f"design{node.path}": node.to_dataset() for node in design.subtree if node.has_data}
    fit = xr.DataTree.from_dict(tree)
    fit.attrs = {"spec": json.dumps(spec.model_dump())}
    return fit


def draws(values: Any, *dims: str, **coords: Any) -> xr.DataArray:
    """Draws of one chain: the first axis is the draw, the others are `dims`."""
    array = np.asarray(values, float)[None]
    return xr.DataArray(
        array,
        dims=("chain", "draw", *dims),
        coords={"chain": [0], "draw": range(array.shape[1]), **coords},
    )


def value_of(model: pm.Model, name: str, point: Mapping[str, Any]) -> np.ndarray:
    """A variable of a graph at a point: free variables by value, positive ones by logarithm."""
    unknown = set(point) - {variable.name for variable in model.value_vars}
    assert not unknown, f"not a value of the graph: {unknown}"
    (value,) = model.replace_rvs_by_values([model[name]])
    tensor = getattr(value, "values", value)
    evaluate = model.compile_fn(
        tensor, inputs=model.value_vars, mode="FAST_COMPILE", on_unused_input="ignore"
    )
    return np.asarray(evaluate(model.initial_point() | dict(point)))
