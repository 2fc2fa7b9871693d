"""Cheap before dear: a variant near the base is answered from the base's own draws.

A variant that changes priors, or leaves whole trials out, has a posterior that is the base's times
a known factor of each draw,

    w(theta) = p(theta | new priors) / p(theta | old priors) · prod 1 / p(y_s | theta)

over what was changed and who was left out. The density of a trial is marginal over its own baseline
and effects (`nmda_bayes.checks.leaving_out`): given those, which fit it alone, nearly every trial's
weights fail. The tail of the weights is smoothed (PSIS; Vehtari, Simpson, Gelman, Yao and Gabry
2024, JMLR 25:72); where k-hat says that this does not suffice the variant is refitted, on the
density that is compiled already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import arviz_stats  # noqa: F401  (gives arrays their `azstats`)
import numpy as np
import pymc as pm
import pytensor
import pytensor.xtensor as px
import xarray as xr
from pytensor.graph.traversal import ancestors
from pytensor.xtensor.vectorization import vectorize_graph

from nmda_bayes.checks import study_density
from nmda_bayes.checks.diagnostics import ESS_AT_LEAST
from nmda_bayes.checks.smoothing import NO_CHANGE, k_limit, smoothed
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import spec_of
from nmda_bayes.inference.densities import DRAWS
from nmda_bayes.inference.plain_linker import ON_ARRAYS
from nmda_bayes.inference.prepared import weighable
from nmda_bayes.model import model_of
from nmda_bayes.model.weighing import given_its_arguments
from nmda_bayes.sensitivity.differences import Difference, difference
from nmda_bayes.spec import AnalysisSpec

#: Draws that are weighed, evenly thinned. Of 1,000 the k-hat of one trial of the primary analysis
#: was 0.59; of 4,000 it was 0.91, with 57 effective draws. Answers cost as many draws, and so all
#: of them are weighed only where these leave too few and no density of a trial is asked for.
WEIGHED: Final = 4000


@dataclass(frozen=True)
class Reweighting:
    """Weights that carry draws of the base to a variant.

    Attributes
    ----------
    log_weight
        Dims chain and draw, over the draws that were used; their exponentials add up to 1.
    k_hat
        Shape of the weights' tail.
    share
        How many independent draws one of the base's is worth.
    """

    log_weight: xr.DataArray
    k_hat: float
    share: float = 1.0

    @property
    def effective(self) -> float:
        """How many independent draws the weighted ones are worth."""
        squares = float(np.exp(2 * self.log_weight.to_numpy()).sum())
        return self.share / squares

    @property
    def reliable(self) -> bool:
        """Whether there are draws enough for a tail of this shape, and enough are left."""
        shape = self.k_hat <= k_limit(self.log_weight.size)
        # As many as are asked of a fit: of 4,000 draws a k-hat of 0.69 left 180, and an error of
        # 7 % of the posterior's SD.
        return shape and self.effective >= ESS_AT_LEAST


class Weigher:
    """Weighs the draws of a fit for its variants.

    Parameters
    ----------
    fit
        The base, as `nmda_bayes.sensitivity.answers.as_fit` makes it.
    density
        `nmda_bayes.checks.study_density` of it, where it is at hand; worked out when it is first
        asked for if None.

    Attributes
    ----------
    every, draws
        The fit's draws, and those that are weighed at first.
    """

    def __init__(self, fit: xr.DataTree, density: xr.Dataset | None = None) -> None:
        self.every = fit["posterior"].to_dataset()
        count = self.every.sizes[CHAIN] * self.every.sizes[DRAW]
        self.draws = self.every.isel({DRAW: slice(None, None, max(1, -(-count // WEIGHED)))})
        self.fit, self._given = fit, density
        self._design = weighable(fit.children["design"])
        self.model = model_of(spec_of(fit), self._design)

    def weigh(self, spec: AnalysisSpec, design: xr.DataTree) -> Reweighting | None:
        """Weigh the draws for a variant.

        Parameters
        ----------
        spec, design
            The variant. Trials that it leaves out are in its design with the weight 0.

        Returns
        -------
        Reweighting or None
            None where the variant differs in more than priors and whole trials left out, or where
            the model does not part by trial.
        """
        asked = self.difference(spec, design)
        if asked is None:
            return None
        new, found = asked
        if found.gone:
            if self.density is None:
                return None
            log_density = self.density["log_density"]
            log_ratio = -log_density.sel({STUDY: list(found.gone)}).sum(STUDY)
            draws = self.draws.sel({dim: log_density[dim] for dim in SAMPLE})
            return weights_of(log_ratio + self._of_priors(new, found, draws))
        some = weights_of(self._of_priors(new, found, self.draws))
        more = self.every.sizes[DRAW] / self.draws.sizes[DRAW]
        if some.reliable or more == 1 or more * some.effective < ESS_AT_LEAST:
            return some
        return weights_of(self._of_priors(new, found, self.every))

    def _of_priors(self, new: pm.Model, found: Difference, draws: xr.Dataset) -> xr.DataArray:
        """How much more likely the variant's priors make each draw than the base's, as a log."""
        if not found.priors:
            return xr.zeros_like(draws[CHAIN] * draws[DRAW], float)
        ratio = log_prior(new, found.priors, draws) - log_prior(self.model, found.priors, draws)
        return ratio.reset_coords(drop=True)

    def difference(
        self, spec: AnalysisSpec, design: xr.DataTree
    ) -> tuple[pm.Model, Difference] | None:
        """Say in what a variant differs, where that may be a matter of weights.

        Parameters
        ----------
        spec, design
            The variant, as in `weigh`.

        Returns
        -------
        tuple[pm.Model, Difference] or None
            Its graph, and the difference.
        """
        its = weighable(design)
        new = model_of(spec, its)
        found = difference(self.model, self._design, new, its)
        if found is None:
            return None
        if found.gone and any(self.model.named_vars_to_dims[name] for name in found.priors):
            return None  # the density of a trial that goes holds these priors too
        return new, found

    @cached_property
    def density(self) -> xr.Dataset | None:
        """Densities of all trials at the draws; None where the model does not part by trial."""
        if self._given is not None:
            return self._given
        try:
            return study_density(self.fit, draws=WEIGHED)
        except SpecError:
            return None


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
        As many draws as have weights, each as often as it weighs, in random order. What is a
        left-out trial's own is of no meaning in them.
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


def log_prior(model: pm.Model, names: Sequence[str], draws: xr.Dataset) -> xr.DataArray:
    """Sum the log prior of some free variables, at every draw.

    Parameters
    ----------
    model
        The graph.
    names
        The variables.
    draws
        Its free variables, dims chain and draw. Only those that the priors ask for are read, so
        that nothing is derived for the others: of one prior it took 0.05 s, not 0.6 s.

    Returns
    -------
    xr.DataArray
        Dims chain and draw.
    """
    free = {str(rv.name): rv for rv in model.free_RVs}
    at = {name: free[name].type() for name in names}
    rows = [given_its_arguments(free[name], value).sum() for name, value in at.items()]
    above = set(ancestors(rows, blockers=[*free.values()]))
    read = [name for name, rv in free.items() if name in at or rv in above]
    along = {name: along_draws(free[name]) for name in read}
    replaced = {free[name]: along[name] for name in read}
    replaced |= {value: along[name] for name, value in at.items()}
    (total,) = vectorize_graph([sum(rows[1:], rows[0])], replaced)
    evaluate = pytensor.function([*along.values()], total, mode=ON_ARRAYS)
    stacked = draws[read].stack({DRAWS: SAMPLE}, create_index=False)
    values = [stacked[name].transpose(DRAWS, *free[name].type.dims) for name in read]
    found = evaluate(*(np.asarray(value.to_numpy(), dtype=float) for value in values))
    shape = [draws.sizes[dim] for dim in SAMPLE]
    return xr.DataArray(found.reshape(shape), {dim: draws[dim] for dim in SAMPLE}, SAMPLE)


def along_draws(rv: Any) -> Any:
    """Make an input of a variable's values over draws.

    Parameters
    ----------
    rv
        A free variable.

    Returns
    -------
    Any
        With the dim of draws first.
    """
    return px.xtensor(f"{rv.name}_draws", dims=(DRAWS, *rv.type.dims), shape=(None, *rv.type.shape))


def weights_of(log_ratio: xr.DataArray) -> Reweighting:
    """Smooth ratios of densities to weights.

    Parameters
    ----------
    log_ratio
        Their logarithms, dims chain and draw.

    Returns
    -------
    Reweighting
        The weights.
    """
    log_ratio = log_ratio.reset_coords(drop=True)
    weight = xr.apply_ufunc(np.exp, log_ratio - log_ratio.max())
    share = 1.0
    if float(log_ratio.std()) >= NO_CHANGE:
        share = float(weight.azstats.ess(method="mean", relative=True).clip(max=1.0))
    return Reweighting(*smoothed(log_ratio, share), share)
