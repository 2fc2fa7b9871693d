"""The posterior by the No-U-Turn sampler."""

from __future__ import annotations

import pymc as pm
import xarray as xr

from nmda_bayes.spec import AnalysisSpec

SAMPLE_STATS = (
    "diverging",
    "energy",
    "energy_error",
    "depth",
    "maxdepth_reached",
    "n_steps",
    "step_size",
    "mean_tree_accept",
    "logp",
)


def sample_posterior(model: pm.Model, spec: AnalysisSpec, *, progress: bool) -> xr.DataTree:
    """Draw from the posterior of a model.

    Parameters
    ----------
    model
        The graph.
    spec
        Its sampling settings are used.
    progress
        Show the sampler's progress bar.

    Returns
    -------
    xr.DataTree
        Groups posterior and sample_stats.
    """
    import nutpie

    settings = spec.sampling
    drawn = nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        seed=settings.seed,
        target_accept=settings.target_accept,
        save_warmup=False,
        progress_bar=progress,
    )
    stats = drawn["sample_stats"].to_dataset()
    kept = [name for name in SAMPLE_STATS if name in stats]
    return xr.DataTree.from_dict(
        {
            "posterior": drawn["posterior"].to_dataset().drop_attrs(),
            "sample_stats": stats[kept].drop_attrs(),
        }
    )
