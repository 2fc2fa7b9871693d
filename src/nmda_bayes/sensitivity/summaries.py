"""One variant: its posterior draws, and the summaries that variants are compared by.

Only summaries are kept: the draws of a hundred fits take gigabytes. A worker keeps the last graphs
that it compiled, because variants of one structure follow each other.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any, Final

import arviz_stats
import numpy as np
import xarray as xr

from nmda_bayes.checks.diagnostics import convergence_checks, scalar_diagnostics
from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DOSE, OUTCOME, SAMPLE, STUDY
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.estimands import dose_range, linear_response, spec_of, therapeutic_window
from nmda_bayes.estimands.fit_access import variable_name
from nmda_bayes.estimands.tested_doses import default_dose_grid
from nmda_bayes.inference.exact import integrate_posterior
from nmda_bayes.inference.fitting import EXACT as EXACT_METHOD
from nmda_bayes.inference.fitting import sampling_method
from nmda_bayes.inference.meta_analysis import meta_analysis
from nmda_bayes.inference.nuts import CompiledAnalysis, compile_analysis
from nmda_bayes.intervals import credible_interval
from nmda_bayes.model import OFFSET, build_model_from_design
from nmda_bayes.sensitivity.results import study_predictions
from nmda_bayes.sensitivity.runner import VariantJob
from nmda_bayes.sensitivity.variants import BASE, included_rows
from nmda_bayes.spec import AnalysisSpec, SamplingSpec
from nmda_bayes.spec.rules import HETEROGENEITY_SD

# Thousands of exact variants of a normal-normal meta-analysis: priors by subsets of trials.

PRIOR: Final = "prior"
SUBSET: Final = "subset"
#: By name, the priors of the mean effect and of the heterogeneity SD, as a spec writes them.
Priors = Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]


def meta_analysis_variants(
    estimate: xr.DataArray, se: xr.DataArray, priors: Priors, subsets: xr.DataArray
) -> xr.Dataset:
    """Pool every subset of trials (subset, study; True: included) under every pair of priors.

    Returns `nmda_bayes.meta_analysis` (``mu``, ``tau``, ``new_study``, ``study_effect``,
    ``log_evidence``) with dims prior and subset, and ``trials`` by subset.
    """
    empty = subsets[SUBSET].to_numpy()[~subsets.any(STUDY).to_numpy()]
    issues = [
        Issue("E680", f"subset '{name}' has no trials", "Remove it.", column=SUBSET)
        for name in empty
    ]
    if not priors:
        fix = "Give at least one pair of priors, by name."
        issues.append(Issue("E681", "there are no priors", fix, column="priors"))
    estimates, errors = estimate.where(subsets), se.where(subsets)
    pooled = []
    for name, (location, heterogeneity) in priors.items():
        try:
            pooled.append(
                meta_analysis(estimates, errors, location=location, heterogeneity=heterogeneity)
            )
        except SpecError as error:
            issues += [replace(f, column=f"priors.{name}.{f.column}") for f in error.issues]
    if issues:
        raise SpecError(issues)
    joined = xr.concat(pooled, dim=xr.Variable(PRIOR, list(priors)))
    return joined.assign(trials=subsets.sum(STUDY))


def leave_out_subsets(estimate: xr.DataArray, at_most: int) -> xr.DataArray:
    """List every subset without up to `at_most` trials (subset, study; True: included).

    1 is leave-one-out. Subsets are named by the trials that are left out.
    """
    studies = [str(study) for study in estimate[STUDY].to_numpy()]
    left_out = [c for size in range(at_most + 1) for c in combinations(range(len(studies)), size)]
    included = np.ones((len(left_out), len(studies)), bool)
    for row, indices in enumerate(left_out):
        included[row, list(indices)] = False
    names = [f"without {', '.join(studies[i] for i in out)}" if out else "all" for out in left_out]
    coords = {SUBSET: names, STUDY: estimate[STUDY].to_numpy()}
    return xr.DataArray(included, dims=(SUBSET, STUDY), coords=coords)


STATISTIC: Final = "statistic"
#: `above_zero` is the share of draws above 0, `mcse` the Monte Carlo error of the mean.
STATISTICS: Final = ("mean", "sd", "lower", "median", "upper", "above_zero", "mcse")
#: Draws for the window's probabilities: their Monte Carlo error is then below 0.011.
WINDOW_DRAWS: Final = 2000
LOG_ED50: Final = "log_ed50"
#: How a variant was computed, from the cheapest to the most expensive.
EXACT: Final = "exact"
REWEIGHTED: Final = "reweighted"
REFITTED: Final = "refitted"
FITTED: Final = "fitted"
METHODS: Final = (EXACT, REWEIGHTED, REFITTED, FITTED)
#: Linear predictors of arms are no summary of a variant, and they are half of the scalars.
NOT_CHECKED: Final = ("eta", OFFSET)
#: A variant takes half of the base's draws and tuning steps, but no fewer than these per chain:
#: variants are compared by differences of tenths of an SD. If the checks fail, as many chains are
#: added.
MIN_DRAWS: Final = 1000
MIN_TUNE: Final = 500
_COMPILED: deque[CompiledAnalysis] = deque(maxlen=3)
#: PyTensor compiles in one thread of a process at a time.
_COMPILE_LOCK = threading.Lock()


def run_variant(job: VariantJob) -> xr.Dataset:
    """Fit a variant and summarise it, as `summarise` does."""
    with _COMPILE_LOCK:
        start = time.perf_counter()
        if sampling_method(job.spec, job.design) == EXACT_METHOD:
            rows = included_rows(job.design)
            draws = integrate_posterior(job.spec, rows, build_model_from_design(job.spec, rows))
            return _summarise_draws(job, draws, EXACT, start)
        settings = _half(job)
        if settings is None:
            return _summarise_draws(job, *sample_variant(job, job.spec.sampling), start)
        draws, how = sample_variant(job, settings)
        summaries = _summarise_draws(job, draws, how, start)
        if summaries.attrs["passed"]:
            return summaries
        more, _ = sample_variant(job, settings.model_copy(update={"seed": settings.seed + 1}))
        return _summarise_draws(job, _add_chains(draws, more), how, start)


def sample_variant(job: VariantJob, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
    """Sample a variant, with a compiled graph if there is one; return groups and method."""
    for compiled in _COMPILED:
        if compiled.is_compatible(job.spec, job.design):
            return compiled.sample(settings, spec=job.spec, design=job.design), REFITTED
    compiled = compile_analysis(job.spec, job.design)
    _COMPILED.appendleft(compiled)
    return compiled.sample(settings), FITTED


def _half(job: VariantJob) -> SamplingSpec | None:
    """Halve draws and tuning; None for the base, and where too little is left."""
    sampling = job.spec.sampling
    short = sampling.draws < 2 * MIN_DRAWS or sampling.tune < 2 * MIN_TUNE
    if job.name == BASE or short:
        return None
    return sampling.model_copy(update={"draws": sampling.draws // 2, "tune": sampling.tune // 2})


def _add_chains(draws: xr.DataTree, more: xr.DataTree) -> xr.DataTree:
    groups = {}
    for name in draws.children:
        first, second = (tree[name].to_dataset() for tree in (draws, more))
        second = second.assign_coords({CHAIN: second[CHAIN] + first.sizes[CHAIN]})
        groups[name] = xr.concat([first, second], dim=CHAIN)
    return xr.DataTree.from_dict(groups)


def as_fit(
    spec: AnalysisSpec, design: xr.DataTree, posterior: xr.Dataset, stats: xr.Dataset
) -> xr.DataTree:
    """Make a fit of draws: no predictions, priors or densities, which no summary needs."""
    fit = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})
    for name, group in included_rows(design).children.items():
        fit[f"design/{name}"] = group.copy()
    fit.attrs = {"spec": spec.to_json()}
    return fit


def _summarise_draws(job: VariantJob, draws: xr.DataTree, how: str, start: float) -> xr.Dataset:
    groups = (draws[name].to_dataset() for name in ("posterior", "sample_stats"))
    fit = as_fit(job.spec, job.design, *groups)
    return summarise(fit, job.dose, how=how, seconds=time.perf_counter() - start, elpd=job.elpd)


def summarise(
    fit: xr.DataTree,
    dose: float,
    *,
    how: str,
    seconds: float,
    k_hat: float = np.nan,
    elpd: bool = False,
) -> xr.Dataset:
    """Summarise a fit as `posterior_summaries` does, with the method and the checks as attributes.

    Attributes: ``how`` (one of `METHODS`), ``seconds``, ``passed``, ``failed_checks`` (texts) and
    ``k_hat`` (NaN unless reweighted: resampled draws have no chains to check).
    """
    summaries = posterior_summaries(fit, dose)
    if elpd:
        summaries = summaries.merge(study_predictions(fit))
    failed = [] if how == REWEIGHTED else _failed_checks(fit)
    return summaries.assign_attrs(
        how=how,
        seconds=float(seconds),
        passed=int(not failed),
        failed_checks=json.dumps(failed),
        k_hat=float(k_hat),
    )


def _failed_checks(fit: xr.DataTree) -> list[str]:
    posterior = fit["posterior"].to_dataset()
    checked = fit.copy()
    kept = [name for name in posterior.data_vars if not str(name).endswith(NOT_CHECKED)]
    checked["posterior"] = xr.DataTree(posterior[kept])
    checks: Any = convergence_checks(checked, scalar_diagnostics(checked))
    return [
        f"{row.check} {row.value:.4g} (limit {row.threshold:g}) at {row.where}"
        for row in checks[~checks["passed"]].itertuples()
    ]


def posterior_summaries(fit: xr.DataTree, dose: float) -> xr.Dataset:
    """Compute what variants are compared by, at a dose on the exposure axis.

    Dim statistic (`STATISTICS`): ``effect`` (outcome, agent, condition; linear predictor, against
    the reference), ``ed50`` (outcome, agent; NaN where the curve has none), ``heterogeneity_sd``
    (outcome; NaN where there is none or one per stratum). ``trials`` (outcome, agent, condition).
    With a window ``p_window`` (agent, condition) at the dose, ``p_best`` and ``best_dose`` over the
    tested doses.
    """
    spec = spec_of(fit)
    outcomes = list(spec.outcomes)
    parts = {
        "effect": [_effect(fit, name, dose) for name in outcomes],
        "ed50": [_ed50(fit, name) for name in outcomes],
        "heterogeneity_sd": [_heterogeneity_sd(fit, name) for name in outcomes],
    }
    dim = xr.Variable(OUTCOME, outcomes)
    summaries = xr.Dataset({k: xr.concat(v, dim=dim, coords="minimal") for k, v in parts.items()})
    summaries["trials"] = dose_range(fit)["trials"]
    labels = fit["design/labels"].to_dataset()
    summaries = summaries.assign_coords(
        {k: v for k, v in labels.data_vars.items() if str(k).endswith("_label")}
    )
    if spec.window is not None:
        summaries = summaries.merge(_window(fit, dose))
    return summaries.assign_attrs(dose=dose)


def summarise_draws(draws: xr.DataArray) -> xr.DataArray:
    """Compute every statistic over chain and draw; dim statistic last."""
    draws = draws.reset_coords(drop=True)
    bounds = credible_interval(draws)
    sd = draws.std(SAMPLE, ddof=1)
    # Constant draws have no effective sample size: their Monte Carlo error is 0.
    with np.errstate(invalid="ignore", divide="ignore"):
        mcse = arviz_stats.mcse(draws.rename("draws").to_dataset(), method="mean")["draws"]
    parts = {
        "mean": draws.mean(SAMPLE),
        "sd": sd,
        "lower": bounds["lower"],
        "median": bounds["median"],
        "upper": bounds["upper"],
        "above_zero": (draws > 0).mean(SAMPLE),
        "mcse": mcse.where(sd > 0, 0.0),
    }
    statistics = [parts[name].reset_coords(drop=True) for name in STATISTICS]
    joined = xr.concat(statistics, dim=xr.Variable(STATISTIC, list(STATISTICS)))
    return joined.transpose(..., STATISTIC)


def _effect(fit: xr.DataTree, outcome: str, dose: float) -> xr.DataArray:
    return summarise_draws(linear_response(fit, outcome, [dose]).isel({DOSE: 0}, drop=True))


def _ed50(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    agents = xr.zeros_like(fit["design/labels"].to_dataset()[AGENT], float)
    name = variable_name(spec_of(fit), outcome, LOG_ED50)
    posterior = fit["posterior"].to_dataset()
    if name not in posterior or CONDITION in posterior[name].dims:
        return _missing(agents)
    return summarise_draws(xr.apply_ufunc(np.exp, posterior[name]) + agents)


def _heterogeneity_sd(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    name = variable_name(spec_of(fit), outcome, HETEROGENEITY_SD)
    posterior = fit["posterior"].to_dataset()
    if name not in posterior or set(posterior[name].dims) != set(SAMPLE):
        return _missing(xr.DataArray(0.0))
    return summarise_draws(posterior[name])


def _missing(like: xr.DataArray) -> xr.DataArray:
    shape = (*like.shape, len(STATISTICS))
    coords = {**{d: like[d] for d in like.dims}, STATISTIC: list(STATISTICS)}
    return xr.DataArray(np.full(shape, np.nan), dims=(*like.dims, STATISTIC), coords=coords)


def _window(fit: xr.DataTree, dose: float) -> xr.Dataset:
    posterior = fit["posterior"].to_dataset()
    step = max(1, posterior.sizes["chain"] * posterior.sizes["draw"] // WINDOW_DRAWS)
    thinned = fit.copy()
    thinned["posterior"] = xr.DataTree(posterior.isel(draw=slice(None, None, step)))
    grid = np.unique([*default_dose_grid(fit).to_numpy(), dose])
    window = therapeutic_window(thinned, dose=grid)
    p_both = window["p_both"].reset_coords(drop=True)
    tested = (window["tested"] & ~window["extrapolated"]).reset_coords(drop=True)
    within_tested = p_both.where(tested, -1.0)
    best = within_tested.max(DOSE)
    return xr.Dataset(
        {
            "p_window": p_both.sel({DOSE: dose}, drop=True),
            "p_best": best.where(best >= 0),
            "best_dose": within_tested.idxmax(DOSE).where(best >= 0),
        }
    )
