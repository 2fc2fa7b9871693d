"""The posterior by the No-U-Turn sampler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pymc as pm
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.graph.rewriting.utils import rewrite_graph

from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.inference.anchoring import anchor_weights, anchored
from nmda_bayes.inference.compiled_density import compiled_density
from nmda_bayes.inference.whitening import whitened
from nmda_bayes.model.weighing import WEIGHING, log_density_of_rows
from nmda_bayes.spec import AnalysisSpec, SamplingSpec

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


def sample_posterior(
    model: pm.Model, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree | None = None
) -> xr.DataTree:
    """Draw from the posterior of a model.

    Parameters
    ----------
    model
        The graph.
    spec
        Its sampling settings are used.
    progress
        Show the sampler's progress bar.
    design
        The design of the model, for coordinates that are easier to draw in (see
        `nmda_bayes.inference.whitening` and `nmda_bayes.inference.anchoring`); those of the graph
        if None.

    Returns
    -------
    xr.DataTree
        Groups posterior and sample_stats.
    """
    # One fit wants its data as constants: what they alone determine, such as the binomial
    # coefficients, is then worked out once and not at every gradient.
    seen = freeze_dims_and_data(model)
    # Correlated effects of arms keep their coordinates, and to whiten the baselines alone costs
    # more than it gives: on the primary analysis 1,337 effective draws in 28 s without, and 1,098
    # in 37 s with it. There what the arms share is anchored instead.
    if design is not None and spec.correlations.heterogeneity is None:
        seen = whitened(seen, spec, design)
    elif design is not None:
        seen = anchored(seen, anchor_weights(seen, spec, design))
    return draw(compiled(seen), spec.sampling, progress)


def compiled(model: pm.Model) -> Any:
    """Compile the density of a model and its gradient.

    Parameters
    ----------
    model
        The graph. Its data are constants, or one row that is an input of what is compiled.

    Returns
    -------
    Any
        As nutpie compiles it.
    """
    return compiled_density(_differentiable(model))


def _differentiable(model: pm.Model) -> pm.Model:
    if model.potentials:
        model.logp = partial(_log_density, model)
    return model


def _log_density(model: pm.Model) -> Any:
    """Write the log density without dims: operations on dims have no gradient.

    PyMC 6.3 does so for the densities of variables, and forgets potentials. It also rewrites them
    before the potentials are added: of weighed rows the density of each then stood twice in what is
    compiled, with all that eta comes of (895 nodes for 804 on the primary analysis). They are
    written here as the weighing writes them.
    """
    if any(str(one.name).endswith(WEIGHING) for one in model.potentials):
        rows = [log_density_of_rows(rv, model.rvs_to_values[rv]) for rv in model.observed_RVs]
        others = pm.Model.logp(model, vars=[*model.free_RVs, *model.potentials])
        total = others + sum(row.sum() for row in model.replace_rvs_by_values(rows))
    else:
        total = pm.Model.logp(model)
    return rewrite_graph(total, include=("lower_xtensor",))


def draw(compiled: Any, settings: SamplingSpec, progress: bool) -> xr.DataTree:
    """Draw from a compiled density.

    Trees are left to turn when they do. With nutpie's ``mindepth`` of 3 the heterogeneity of the
    eight schools came out at 5.68 to 5.71 with four seeds, where its integral is 5.88 and the Monte
    Carlo error 0.06; without, at 5.83 to 5.90.

    The mass matrix is of variances of draws alone, not of gradients too as nutpie has it of itself:
    for a second of processor time the worst scalar has as many effective draws on the primary
    analysis (36 to 42, of gradients 41 to 50), 1.2 times as many on the triptans network, 1.3 times
    with unblinding and 1.8 times on concentrations; and each draw is worth up to four times as
    much, so that fewer fits are refused and half the tuning will do. A dense matrix has divergences
    (funnels are no matter of scale), and that of low rank takes four times as long.

    Parameters
    ----------
    compiled
        As nutpie compiles it.
    settings
        Draws, chains, seed and target acceptance.
    progress
        Show the sampler's progress bar.

    Returns
    -------
    xr.DataTree
        Groups posterior and sample_stats.

    Raises
    ------
    SpecError
        If there is no place to start from.
    """
    import nutpie

    with _starting_somewhere():
        drawn = nutpie.sample(
            compiled,
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
            target_accept=settings.target_accept,
            save_warmup=False,
            adaptation="draw_diag",
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


@contextmanager
def _starting_somewhere() -> Iterator[None]:
    """Say in words that the density or its gradient was no number at any place that was tried.

    nutpie says so by a RuntimeError, or by a panic, which no ``except Exception`` sees.
    """
    try:
        yield
    except BaseException as ended:
        nowhere = "initialization points failed" in str(ended)
        if not nowhere and type(ended).__name__ != "PanicException":
            raise
        raise SpecError(
            [
                Fault(
                    "the sampler found no place to start from: the density is nowhere finite near"
                    " the middle of the prior",
                    "Look for a prior under which effects overflow, and for a number of the"
                    " evidence that no parameter could give; nmda-bayes show prints both.",
                )
            ]
        ) from ended
