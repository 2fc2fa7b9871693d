"""Cheap before dear: a variant near the base is answered from the base's own draws.

A variant that changes numbers of priors, or leaves whole trials out, has a posterior that is the
base's times a known factor of each draw,

    w(theta) = p(theta | new priors) / p(theta | old priors) · prod 1 / p(y_s | theta)

over what was changed and who was left out. The density of a trial is marginal over its own baseline
and effects (`nmda_bayes.checks.leaving_out`): given those, which fit it alone, nearly every trial's
weights fail. The tail of the weights is smoothed (PSIS; Vehtari, Simpson, Gelman, Yao and Gabry
2024, JMLR 25:72); where k-hat says that this does not suffice the variant is refitted, on the
density that is compiled already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import arviz_stats  # noqa: F401  (gives arrays their `azstats`)
import numpy as np
import pymc as pm
import xarray as xr
from pymc.stats import compute_log_prior
from pytensor.graph.traversal import ancestors

from nmda_bayes.checks import study_density
from nmda_bayes.checks.leaving_out import K_AT_MOST
from nmda_bayes.design import OUTCOMES, WEIGHT
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import spec_of
from nmda_bayes.inference.prepared import Prepared, prepare, same_structure, weighable
from nmda_bayes.model import CHEAP, model_of
from nmda_bayes.spec import AnalysisSpec

#: Weights that vary by less carry the draws nowhere, and their tail has no shape.
NO_CHANGE: Final = 1e-12


@dataclass(frozen=True)
class Reweighting:
    """Weights that carry draws of the base to a variant.

    Attributes
    ----------
    log_weight
        Dims chain and draw, over the draws that were used; their exponentials add up to 1.
    k_hat
        Shape of the weights' tail.
    """

    log_weight: xr.DataArray
    k_hat: float

    @property
    def reliable(self) -> bool:
        """Whether there are draws enough for a tail of this shape."""
        return self.k_hat <= min(1 - 1 / np.log10(self.log_weight.size), K_AT_MOST)

    @property
    def told(self) -> str:
        """Which way it was got, in words."""
        return f"reweighted (k-hat {self.k_hat:.2f})"


@dataclass(frozen=True)
class Answered:
    """Draws of a variant's posterior.

    Attributes
    ----------
    posterior
        Dims chain and draw. What is a left-out trial's own is of no meaning in reweighted draws.
    sample_stats
        The sampler's; empty where nothing was sampled.
    how
        ``reweighted (k-hat ...)``, ``refitted`` or ``fitted``.
    k_hat
        NaN where no weights could be had.
    """

    posterior: xr.Dataset
    sample_stats: xr.Dataset
    how: str
    k_hat: float


def answer_cheaply(
    base: xr.DataTree,
    prepared: Prepared,
    spec: AnalysisSpec,
    design: xr.DataTree,
    *,
    density: xr.Dataset | None = None,
) -> Answered:
    """Answer a variant the cheapest way that can be relied on.

    Parameters
    ----------
    base
        The fit that it is near to.
    prepared
        The base's compiled density.
    spec, design
        The variant.
    density
        `nmda_bayes.checks.study_density` of the base, where it is at hand; else it is computed
        when a trial is left out.

    Returns
    -------
    Answered
        From the base's draws; refitted where their weights are not reliable; compiled anew where
        the structure differs.
    """
    found = reweighting(base, spec, design, density=density)
    k_hat = np.nan if found is None else found.k_hat
    if found is not None and found.reliable:
        posterior = resampled(base["posterior"].to_dataset(), found, spec.sampling.seed)
        return Answered(posterior, xr.Dataset(), found.told, k_hat)
    how = "refitted" if prepared.accepts(spec, design) else "fitted"
    ready = prepared if how == "refitted" else prepare(spec, design)
    drawn = ready.sample(spec.sampling, spec=spec, design=design)
    posterior, stats = (drawn[name].to_dataset() for name in ("posterior", "sample_stats"))
    return Answered(posterior, stats, how, k_hat)


def reweighting(
    base: xr.DataTree,
    spec: AnalysisSpec,
    design: xr.DataTree,
    *,
    density: xr.Dataset | None = None,
) -> Reweighting | None:
    """Weigh the draws of a fit for a variant of it.

    Parameters
    ----------
    base
        The fit.
    spec, design
        The variant. Trials that it leaves out are in its design with the weight 0.
    density
        `nmda_bayes.checks.study_density` of the base.

    Returns
    -------
    Reweighting or None
        None where the variant differs in more than numbers of priors and whole trials left out, or
        where the model does not part by trial.
    """
    before = weighable(base.children["design"])
    old, new = model_of(spec_of(base), before), model_of(spec, weighable(design))
    if not same_structure(old, new):
        return None
    gone = _left_out(before, weighable(design))
    moved = _moved(old, new)
    if gone is None or moved is None:
        return None
    if gone and any(old.named_vars_to_dims[name] for name in moved):
        return None  # the density of a trial that goes holds these priors too
    draws = base["posterior"].to_dataset()
    nothing = np.zeros([draws.sizes[dim] for dim in SAMPLE])
    log_ratio = xr.DataArray(nothing, {dim: draws[dim] for dim in SAMPLE}, SAMPLE)
    if gone:
        try:
            density = study_density(base) if density is None else density
        except SpecError:
            return None
        log_density = density["log_density"]
        log_ratio = -log_density.sel({STUDY: gone}).sum(STUDY)
        draws = draws.sel({dim: log_density[dim] for dim in SAMPLE})
    if moved:
        log_ratio = log_ratio + _log_prior(new, moved, draws) - _log_prior(old, moved, draws)
    return _smoothed(log_ratio.reset_coords(drop=True))


def resampled(posterior: xr.Dataset, found: Reweighting, seed: int) -> xr.Dataset:
    """Draw from a posterior with weights, so that every answer can be asked of plain draws.

    Parameters
    ----------
    posterior
        Draws of the base.
    found
        Their weights.
    seed
        Of the one random number of systematic resampling.

    Returns
    -------
    xr.Dataset
        As many draws as have weights, each as often as it weighs, in random order.
    """
    rng = np.random.default_rng(seed)
    weight = np.exp(found.log_weight.transpose(*SAMPLE).to_numpy().ravel())
    count = len(weight)
    places = (np.arange(count) + rng.random()) / count
    below = np.cumsum(weight) / weight.sum()
    taken = rng.permutation(np.minimum(np.searchsorted(below, places), count - 1))
    chains, draws = (found.log_weight.sizes[dim] for dim in SAMPLE)
    kept = posterior.sel({dim: found.log_weight[dim] for dim in SAMPLE})
    chain, draw = (
        xr.DataArray(at.reshape(chains, draws), dims=SAMPLE)
        for at in np.unravel_index(taken, (chains, draws))
    )
    picked = kept.drop_vars([dim for dim in SAMPLE if dim in kept.coords]).isel(
        {CHAIN: chain, DRAW: draw}
    )
    order = picked.assign_coords({CHAIN: range(chains), DRAW: range(draws)})
    return order.transpose(*SAMPLE, ...)


def _left_out(before: xr.DataTree, after: xr.DataTree) -> list[str] | None:
    """Name the trials whose weight fell to 0 in every outcome; None where else weights differ."""
    gone: set[str] = set()
    kept: set[str] = set()
    for name, node in before[OUTCOMES].children.items():
        studies = node[STUDY].to_numpy().astype(str)
        old, new = (tree[f"{OUTCOMES}/{name}"][WEIGHT].to_numpy() for tree in (before, after))
        if not np.all((new == old) | ((new == 0) & (old == 1))):
            return None
        gone |= set(studies[new != old])
        kept |= set(studies[new == old])
    return None if gone & kept else sorted(gone)


def _moved(old: pm.Model, new: pm.Model) -> list[str] | None:
    """Name the free variables whose priors have other numbers; None where other data differ."""
    changed = {
        data
        for data in old.data_vars
        if not data.name.endswith(f".{WEIGHT}")
        and not np.array_equal(data.get_value(), new[data.name].get_value(), equal_nan=True)
    }
    free = set(old.free_RVs)
    reached = {rv: set(_own_ancestors(rv, free)) & changed for rv in old.free_RVs}
    others = [*old.observed_RVs, *(old.rvs_to_values[rv] for rv in old.observed_RVs)]
    others += old.deterministics
    if any(set(_own_ancestors(variable, free)) & changed for variable in others):
        return None
    found = [str(rv.name) for rv, data in reached.items() if data]
    return found if changed == set().union(*reached.values(), set()) else None


def _own_ancestors(variable: Any, free: set[Any]) -> Iterator[Any]:
    """What a variable depends on without passing through another free variable."""
    return ancestors([variable], blockers=free - {variable})


def _log_prior(model: pm.Model, names: list[str], draws: xr.Dataset) -> xr.DataArray:
    """Sum the log prior of some variables over all but the draws."""
    found = compute_log_prior(
        xr.DataTree.from_dict({"posterior": draws}),
        var_names=names,
        model=model,
        extend_inferencedata=False,
        progressbar=False,
        compile_kwargs=CHEAP,
    )
    dataset = found if isinstance(found, xr.Dataset) else found.to_dataset()
    parts = [v.sum([d for d in v.dims if d not in SAMPLE]) for v in dataset.data_vars.values()]
    total: xr.DataArray = sum(parts[1:], parts[0])
    return total


def _smoothed(log_ratio: xr.DataArray) -> Reweighting:
    flat = log_ratio - log_ratio.max()
    if float(flat.std()) < NO_CHANGE:
        return Reweighting(xr.zeros_like(flat) - np.log(flat.size), 0.0)
    weight = xr.apply_ufunc(np.exp, flat)
    share = float(weight.azstats.ess(method="mean", relative=True).clip(max=1.0))
    smoothed, k_hat = (-flat).azstats.psislw(dim=list(SAMPLE), r_eff=share)
    total = np.log(float(xr.apply_ufunc(np.exp, smoothed).sum()))
    return Reweighting(smoothed.transpose(*SAMPLE) - total, float(k_hat))
