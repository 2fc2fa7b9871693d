"""Variants near the base, computed from the base's own draws by importance weights.

The posterior of a variant that changes priors, or leaves whole trials out, is the base's posterior
times a known factor of each draw,

    w(theta) = p(theta | new priors) / p(theta | old priors) · prod 1 / p(y_s | theta)

over the changed priors and the trials s that are left out. The density of a trial is marginal over
its own baseline and effects (`nmda_bayes.checks.leave_one_study_out`): conditional on those, the
weights of nearly every trial are unreliable. The tail of the weights is smoothed (PSIS; Vehtari,
Simpson, Gelman, Yao and Gabry 2024, JMLR 25:72); where k-hat is above its limit, the variant is
refitted with the density that is already compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pymc as pm
import pytensor.xtensor as px
import xarray as xr
from pymc.dims.distributions.transforms import LogOddsTransform, LogTransform
from pytensor.compile import SharedVariable
from pytensor.graph import ancestors
from pytensor.graph.basic import equal_computations

from nmda_bayes.checks import study_density
from nmda_bayes.checks.diagnostics import MIN_ESS, NO_CHANGE, pareto_k_limit, psis
from nmda_bayes.design import OUTCOMES, WEIGHT
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY
from nmda_bayes.errors import SpecError
from nmda_bayes.estimands import spec_of
from nmda_bayes.inference.fitting import NUTS, sampling_method
from nmda_bayes.inference.nuts import with_weights
from nmda_bayes.inference.predictive import draws_input, evaluate_at_draws
from nmda_bayes.model import build_model_from_design
from nmda_bayes.model.observed import log_density_of_arguments
from nmda_bayes.sensitivity import summaries
from nmda_bayes.sensitivity.cache import ResultCache
from nmda_bayes.sensitivity.runner import VariantJob
from nmda_bayes.sensitivity.summaries import STATISTIC, as_fit
from nmda_bayes.spec import AnalysisSpec

#: Draws that are weighted first, evenly thinned. All draws are weighted only where these leave too
#: few effective ones and no density of a trial is needed: summaries cost time per draw.
MAX_WEIGHTED: Final = 4000
#: Families on the whole line, on its positive half, and between 0 and 1: two families of one kind
#: have the same support.
SAME_SUPPORT: Final = (type(None), LogTransform, LogOddsTransform)


class ReweightedVariants:
    """Computes variants near the base one after the other, the base first.

    `refit` lists the jobs that cannot be reweighted, `reweight` those that are tried. Nothing is
    sampled before the first is requested, so that workers can compile the former meanwhile.
    `same_structure` recognises most candidates without building their graphs.
    """

    def __init__(
        self,
        base: VariantJob,
        jobs: Sequence[VariantJob],
        cache: ResultCache,
        same_structure: Callable[[VariantJob], bool],
    ) -> None:
        self._base, self._cache = base, cache
        self._base_requested = any(job.key == base.key for job in jobs)
        others = [job for job in jobs if job.key != base.key]
        design = with_weights(base.design)
        model = build_model_from_design(base.spec, design)

        def candidate(job: VariantJob) -> bool:
            if same_structure(job):
                return True
            its_design = with_weights(job.design)
            its_model = build_model_from_design(job.spec, its_design)
            return model_difference(model, design, its_model, its_design) is not None

        self.reweight = [job for job in others if candidate(job)]
        self.refit = [job for job in others if job not in self.reweight]

    def __iter__(self) -> Iterator[tuple[VariantJob, xr.Dataset | None]]:
        """Summarise each; None where the weights fail and the variant has to be refitted."""
        fit = self._base_fit()
        how, seconds = str(fit.attrs["how"]), float(fit.attrs["seconds"])
        base = summaries.summarise(
            fit, self._base.dose, how=how, seconds=seconds, elpd=self._base.elpd
        )
        if self._base_requested:
            yield self._base, base
        errors, reweighter = _relative_errors(base), Reweighter(fit)
        for job in self.reweight:
            yield job, _reweight(job, reweighter, errors)

    def _base_fit(self) -> xr.DataTree:
        """Read the base's draws, or sample and store them."""
        job = self._base
        fit = self._cache.read_draws(job.key)
        if fit is None:
            start = time.perf_counter()
            draws, how = summaries.sample_variant(job, job.spec.sampling)
            groups = (draws[name].to_dataset() for name in ("posterior", "sample_stats"))
            fit = as_fit(job.spec, job.design, *groups)
            fit.attrs |= {"how": how, "seconds": time.perf_counter() - start}
            self._cache.write_draws(job.key, fit)
        return fit


def reweighted_variants(
    base: VariantJob,
    jobs: Sequence[VariantJob],
    cache: ResultCache,
    same_structure: Callable[[VariantJob], bool],
) -> ReweightedVariants | None:
    """Divide jobs by `ReweightedVariants`; None without variants, or if the base is not sampled."""
    others = any(job.key != base.key for job in jobs)
    if not others or sampling_method(base.spec, base.design) != NUTS:
        return None
    return ReweightedVariants(base, jobs, cache, same_structure)


def _reweight(job: VariantJob, reweighter: Reweighter, errors: xr.Dataset) -> xr.Dataset | None:
    start = time.perf_counter()
    weights = reweighter.weights(job.spec, job.design)
    if weights is None or not weights.reliable:
        return None
    posterior = resample(reweighter.all_draws, weights, job.spec.sampling.seed)
    stats = reweighter.fit["sample_stats"].to_dataset()
    result = summaries.summarise(
        as_fit(job.spec, job.design, posterior, stats),
        job.dose,
        how=summaries.REWEIGHTED,
        seconds=time.perf_counter() - start,
        k_hat=weights.k_hat,
        elpd=job.elpd,
    )
    return _with_errors(result, errors, weights)


def _relative_errors(result: xr.Dataset) -> xr.Dataset:
    """Monte Carlo errors of means in posterior SDs: one over the root of the effective draws."""
    summarised = result[[name for name in result if STATISTIC in result[name].dims]]
    sd = summarised.sel({STATISTIC: "sd"}, drop=True)
    return (summarised.sel({STATISTIC: "mcse"}, drop=True) / sd.where(sd > 0)).fillna(0.0)


def _with_errors(result: xr.Dataset, errors: xr.Dataset, weights: Reweighting) -> xr.Dataset:
    """Replace Monte Carlo errors by those of weighted draws.

    Resampled draws look independent: they no longer show the base's chains and the weights.
    """
    result = result.copy(deep=True)
    count = weights.log_weight.size
    of_weights = (weights.effective / weights.share / count) ** -0.5
    for name, of_base in errors.items():
        # Thinned draws are worth more each, and never more than one.
        of_draws = np.maximum(of_base, count**-0.5)
        sd = result[name].sel({STATISTIC: "sd"}, drop=True)
        result[name].loc[{STATISTIC: "mcse"}] = (sd * of_draws * of_weights).transpose(*sd.dims)
    return result


@dataclass(frozen=True)
class Reweighting:
    """Smoothed weights that turn draws of the base into draws of a variant.

    `log_weight` (chain, draw) covers the draws that were weighted, and its exponentials sum to 1;
    `k_hat` is the shape of the weights' tail; `share` the number of independent draws that one of
    the base's is worth.
    """

    log_weight: xr.DataArray
    k_hat: float
    share: float = 1.0

    @property
    def effective(self) -> float:
        """Effective sample size of the weighted draws."""
        squares = float(np.exp(2 * self.log_weight.to_numpy()).sum())
        return self.share / squares

    @property
    def reliable(self) -> bool:
        """Whether k-hat is within its limit and as many effective draws are left as a fit needs."""
        return self.k_hat <= pareto_k_limit(self.log_weight.size) and self.effective >= MIN_ESS


class Reweighter:
    """Weights the draws of a fit (as `as_fit` makes it) for its variants.

    `density` is its `nmda_bayes.checks.study_density`, computed when first needed if None.
    """

    def __init__(self, fit: xr.DataTree, density: xr.Dataset | None = None) -> None:
        self.fit, self._given_density = fit, density
        self.all_draws = fit["posterior"].to_dataset()
        count = self.all_draws.sizes[CHAIN] * self.all_draws.sizes[DRAW]
        step = max(1, -(-count // MAX_WEIGHTED))
        self.draws = self.all_draws.isel({DRAW: slice(None, None, step)})
        self._design = with_weights(fit.children["design"])
        self._model = build_model_from_design(spec_of(fit), self._design)

    def weights(self, spec: AnalysisSpec, design: xr.DataTree) -> Reweighting | None:
        """Weight the draws for a variant, whose left-out trials have weight 0 in its design.

        None where more than priors and whole trials differ, or where the likelihood does not
        factorise by study.
        """
        design = with_weights(design)
        model = build_model_from_design(spec, design)
        difference = model_difference(self._model, self._design, model, design)
        if difference is None:
            return None
        if difference.left_out:
            if any(self._model.named_vars_to_dims[name] for name in difference.priors):
                return None  # the density of a left-out trial integrates over these priors too
            if self.density is None:
                return None
            log_density = self.density["log_density"]
            log_ratio = -log_density.sel({STUDY: list(difference.left_out)}).sum(STUDY)
            draws = self.draws.sel({dim: log_density[dim] for dim in SAMPLE})
            return smooth_weights(log_ratio + self._prior_ratio(model, difference, draws))
        thinned = smooth_weights(self._prior_ratio(model, difference, self.draws))
        step = self.all_draws.sizes[DRAW] / self.draws.sizes[DRAW]
        if thinned.reliable or step == 1 or step * thinned.effective < MIN_ESS:
            return thinned
        return smooth_weights(self._prior_ratio(model, difference, self.all_draws))

    def _prior_ratio(
        self, model: pm.Model, difference: Difference, draws: xr.Dataset
    ) -> xr.DataArray:
        """Log ratio of the variant's priors to the base's at each draw."""
        names = difference.priors
        if not names:
            return xr.zeros_like(draws[CHAIN] * draws[DRAW], float)
        ratio = log_prior(model, names, draws) - log_prior(self._model, names, draws)
        return ratio.reset_coords(drop=True)

    @cached_property
    def density(self) -> xr.Dataset | None:
        """Densities of all trials at the draws; None where the model does not factorise."""
        if self._given_density is not None:
            return self._given_density
        try:
            return study_density(self.fit, draws=MAX_WEIGHTED)
        except SpecError:
            return None


def smooth_weights(log_ratio: xr.DataArray) -> Reweighting:
    """Smooth log ratios of densities (chain, draw) to weights."""
    log_ratio = log_ratio.reset_coords(drop=True)
    weight = xr.apply_ufunc(np.exp, log_ratio - log_ratio.max())
    share = 1.0
    if float(log_ratio.std()) >= NO_CHANGE:
        share = float(weight.azstats.ess(method="mean", relative=True).clip(max=1.0))
    return Reweighting(*psis(log_ratio, share), share)


def resample(posterior: xr.Dataset, weights: Reweighting, seed: int) -> xr.Dataset:
    """Resample the weighted draws systematically, in random order, so that every estimand applies.

    Parameters that belong to a left-out trial alone have no meaning in the result.
    """
    rng = np.random.default_rng(seed)
    weight = np.exp(weights.log_weight.transpose(*SAMPLE).to_numpy().ravel())
    count = len(weight)
    points = (np.arange(count) + rng.random()) / count
    cumulative = np.cumsum(weight) / weight.sum()
    taken = rng.permutation(np.minimum(np.searchsorted(cumulative, points), count - 1))
    chains, draws = (weights.log_weight.sizes[dim] for dim in SAMPLE)
    kept = posterior.sel({dim: weights.log_weight[dim] for dim in SAMPLE})
    chain, draw = (
        xr.DataArray(index.reshape(chains, draws), dims=SAMPLE)
        for index in np.unravel_index(taken, (chains, draws))
    )
    resampled = kept.drop_vars([dim for dim in SAMPLE if dim in kept.coords]).isel(
        {CHAIN: chain, DRAW: draw}
    )
    resampled = resampled.assign_coords({CHAIN: range(chains), DRAW: range(draws)})
    return resampled.transpose(*SAMPLE, ...)


def log_prior(model: pm.Model, names: Sequence[str], draws: xr.Dataset) -> xr.DataArray:
    """Sum the log priors of some free variables at every draw (chain, draw).

    Only the free variables that these priors depend on are evaluated.
    """
    free = {str(rv.name): rv for rv in model.free_RVs}
    values = {name: free[name].type() for name in names}
    rows = [log_density_of_arguments(free[name], value).sum() for name, value in values.items()]
    parents = set(ancestors(rows, blockers=[*free.values()]))
    read = [name for name, rv in free.items() if name in values or rv in parents]
    inputs = {name: draws_input(name, free[name], free[name].type.dims) for name in read}
    replacements = {free[name]: inputs[name] for name in read}
    replacements |= {value: inputs[name] for name, value in values.items()}
    total = px.as_xtensor(sum(rows[1:], rows[0]), dims=())
    return evaluate_at_draws({"log_prior": total}, inputs, replacements, draws)["log_prior"]


@dataclass(frozen=True)
class Difference:
    """The free variables whose priors differ, and the trials that have weight 0 in the variant."""

    priors: tuple[str, ...]
    left_out: tuple[str, ...]


def model_difference(
    model: pm.Model, design: xr.DataTree, other: pm.Model, other_design: xr.DataTree
) -> Difference | None:
    """Compare two graphs node by node; None where more differs than weights can carry.

    Priors may differ in numbers or in families of one support, and whole trials may have weight 0.
    """
    if not _same_variables(model, other):
        return None
    if not _same_graphs(_without_priors(model), _without_priors(other), model, other):
        return None
    free = [str(rv.name) for rv in model.free_RVs]
    changed = [n for n in free if not _same_graphs([model[n]], [other[n]], model, other)]
    if any(not _same_support(model, other, name) for name in changed):
        return None
    left_out = _left_out(design, other_design)
    return None if left_out is None else Difference(tuple(changed), tuple(left_out))


def _same_variables(model: pm.Model, other: pm.Model) -> bool:
    """Whether labels are equal, and the free variables in name, dims and type."""

    def description(graph: pm.Model) -> tuple[Any, ...]:
        labels = {name: tuple(values or ()) for name, values in graph.coords.items()}
        variables = [*graph.basic_RVs, *graph.deterministics]
        dims = {rv.name: graph.named_vars_to_dims.get(rv.name) for rv in variables}
        return labels, dims, [(rv.name, rv.type) for rv in graph.free_RVs]

    return bool(description(model) == description(other))


def _without_priors(model: pm.Model) -> list[Any]:
    observed = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return [*model.observed_RVs, *model.deterministics, *model.potentials, *observed]


def _same_graphs(
    first: list[Any], second: list[Any], model: pm.Model, other: pm.Model, *, values: bool = True
) -> bool:
    """Whether variables follow alike from the free ones, and from data of the same values."""
    if len(first) != len(second):
        return False
    free = [[rv for rv in m.free_RVs if rv not in v] for m, v in ((model, first), (other, second))]
    data = [_shared_data(v, cut) for v, cut in zip((first, second), free, strict=True)]
    if [(d.name, d.type) for d in data[0]] != [(d.name, d.type) for d in data[1]]:
        return False
    if values and any(_value_differs(*pair) for pair in zip(*data, strict=True)):
        return False
    in_first, in_second = ([*cut, *shared] for cut, shared in zip(free, data, strict=True))
    return bool(equal_computations(first, second, in_xs=in_first, in_ys=in_second))


def _shared_data(variables: list[Any], cut: list[Any]) -> list[Any]:
    """Shared data above some variables, up to where the graph is cut."""
    return [v for v in ancestors(variables, blockers=cut) if isinstance(v, SharedVariable)]


def _value_differs(variable: Any, other: Any) -> bool:
    """Whether shared data differ; weights of rows are compared by trial instead."""
    if str(variable.name).endswith(f".{WEIGHT}"):
        return False
    first, second = variable.get_value(borrow=True), other.get_value(borrow=True)
    numeric = isinstance(first, np.ndarray)
    return numeric and not np.array_equal(first, second, equal_nan=first.dtype.kind == "f")


def _same_support(model: pm.Model, other: pm.Model, name: str) -> bool:
    """Whether two priors of a variable are positive on the same values."""
    first, second = (type(graph.rvs_to_transforms[graph[name]]) for graph in (model, other))
    if first is second and first in SAME_SUPPORT:
        return True
    # Bounds are constants of a graph, so that a prior that differs in numbers alone has the same.
    return _same_graphs([model[name]], [other[name]], model, other, values=False)


def _left_out(before: xr.DataTree, after: xr.DataTree) -> list[str] | None:
    """Name the trials whose weight fell to 0 in every outcome; None if other weights differ."""
    left_out: set[str] = set()
    kept: set[str] = set()
    for name, node in before[OUTCOMES].children.items():
        studies = node[STUDY].to_numpy().astype(str)
        old, new = (tree[f"{OUTCOMES}/{name}"][WEIGHT].to_numpy() for tree in (before, after))
        if not np.all((new == old) | ((new == 0) & (old == 1))):
            return None
        left_out |= set(studies[new != old])
        kept |= set(studies[new == old])
    return None if left_out & kept else sorted(left_out)
