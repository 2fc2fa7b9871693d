"""How well each study is foretold by the others, and what the answers owe to it.

The unit left out is a study, for its arms share a baseline. Its density must then be marginal over
what is the study's own: given its own effects nearly every study's importance weights fail, because
those effects fit it alone. With p(y_s | theta) per draw of what all studies share,

    p(y_s | the others) = 1 / E[1 / p(y_s | theta)]

over the posterior, whose weights also carry every answer to what it would be without study s. Their
tail is smoothed (PSIS; Vehtari, Simpson, Gelman, Yao and Gabry 2024, JMLR 25:72), and k-hat says
where that does not suffice and a refit is needed.
"""

from __future__ import annotations

import arviz_stats  # noqa: F401  (gives arrays their `azstats`)
import numpy as np
import xarray as xr

from nmda_bayes.checks.smoothing import NO_CHANGE, k_limit, smoothed
from nmda_bayes.dims import CHAIN, DRAW, SAMPLE, STUDY
from nmda_bayes.estimands import spec_of
from nmda_bayes.inference.marginal import marginal
from nmda_bayes.inference.study_terms import POINT, study_terms
from nmda_bayes.intervals import LEVEL
from nmda_bayes.model import model_of

#: Draws that are used: more tell no more of a study, and cost as many integrals each.
DRAWS = 1000
#: Points of an integral without a closed form.
POINTS = 64


def study_density(fit: xr.DataTree, *, draws: int = DRAWS, points: int = POINTS) -> xr.Dataset:
    """Compute the log density of what each study reports, given what all studies share.

    Parameters
    ----------
    fit
        A fit.
    draws
        How many draws are used, evenly thinned.
    points
        Points of an integral that has no closed form; a power of 2, at least 8.

    Returns
    -------
    xr.Dataset
        ``log_density`` (chain, draw, study): of all that the study reports, its outcomes together,
        with its baseline, its arms' effects and all else that is its own integrated out over their
        priors. ``error`` is its Monte Carlo standard error, 0 where the integral is ``closed``
        (study): means with known errors, and normal effects.

    Raises
    ------
    SpecError
        If the model does not part by study, with every reason.
    """
    spec = spec_of(fit)
    design = fit.children["design"]
    terms = study_terms(model_of(spec, design), design)
    posterior = fit["posterior"].to_dataset()
    count = posterior.sizes[CHAIN] * posterior.sizes[DRAW]
    kept = posterior.isel({DRAW: slice(None, None, max(1, -(-count // draws)))})
    stacked = kept.drop_vars(list(kept.coords)).stack({POINT: SAMPLE}, create_index=False)
    found = marginal(terms, stacked, points, spec.sampling.seed)
    coords = {CHAIN: kept[CHAIN], DRAW: kept[DRAW], STUDY: list(terms.studies)}
    shape = (kept.sizes[CHAIN], kept.sizes[DRAW], len(terms.studies))
    return xr.Dataset(
        {
            "log_density": ((*SAMPLE, STUDY), found.log_density.reshape(shape)),
            "error": ((*SAMPLE, STUDY), found.error.reshape(shape)),
            "closed": (STUDY, found.closed),
        },
        coords=coords,
    )


def study_elpd(density: xr.Dataset) -> xr.Dataset:
    """Say how well each study is foretold by the others.

    Parameters
    ----------
    density
        As `study_density` gives it.

    Returns
    -------
    xr.Dataset
        Dim study: ``elpd``, the log density of its report given the other studies, its Monte Carlo
        standard error ``elpd_error``, ``parameters`` (how much lower that is than with the study:
        what the shared parameters owe to it), ``k_hat`` and ``reliable``; and ``log_weight``
        (chain, draw, study), which carry draws to the posterior without the study. The whole is
        ``elpd.sum()``, and √n times the SD over studies its standard error.
    """
    log_density = density["log_density"]
    count = log_density.sizes[CHAIN] * log_density.sizes[DRAW]
    smoothed = [_smoothed(log_density.sel({STUDY: s})) for s in log_density[STUDY]]
    log_weight, k_hat, share = (
        xr.concat(parts, dim=STUDY) for parts in zip(*smoothed, strict=True)
    )
    elpd = _log_sum(log_weight + log_density)
    off = _exp(log_weight + log_density - elpd) - _exp(log_weight)
    error = np.sqrt((off**2).sum(SAMPLE) / share)
    within = _log_sum(log_density) - np.log(count)
    return xr.Dataset(
        {
            "elpd": elpd,
            "elpd_error": error,
            "parameters": within - elpd,
            "k_hat": k_hat,
            "reliable": k_hat <= k_limit(count),
            "log_weight": log_weight.transpose(*SAMPLE, STUDY),
        }
    )


def study_influence(elpd: xr.Dataset, answer: xr.DataArray) -> xr.Dataset:
    """Say how far an answer moves when a study is left out.

    Parameters
    ----------
    elpd
        As `study_elpd` gives it.
    answer
        Draws of an answer, dims chain, draw and any others: a `dose_response` at a dose, a
        contrast, a variable of the posterior.

    Returns
    -------
    xr.Dataset
        ``with_all`` and its ``with_all_low``, ``with_all_high``; and by study ``without``, ``low``
        and ``high`` (95 % equal-tailed intervals), ``shift`` in the answer's unit, and
        ``shift_in_sds`` of its posterior; with coordinates ``k_hat`` and ``reliable``: where it is
        False the shift is an indication, and only a refit says more.
    """
    kept = answer.sel({dim: elpd[dim] for dim in SAMPLE})
    tails = [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2]
    weighted = kept.weighted(_exp(elpd["log_weight"]))
    without = weighted.mean(SAMPLE)
    ends = weighted.quantile(tails, dim=list(SAMPLE))
    whole = answer.quantile(tails, dim=list(SAMPLE))
    with_all = answer.mean(SAMPLE)
    # What is compared stands on the same draws, so that thinning moves nothing.
    shift = without - kept.mean(SAMPLE)
    spread = kept.std(SAMPLE)
    return xr.Dataset(
        {
            "with_all": with_all,
            "with_all_low": whole.isel(quantile=0, drop=True),
            "with_all_high": whole.isel(quantile=2, drop=True),
            "without": without,
            "low": ends.isel(quantile=0, drop=True),
            "high": ends.isel(quantile=2, drop=True),
            "shift": shift,
            "shift_in_sds": (shift / spread).where(spread > 0, 0.0),
        }
    ).assign_coords(k_hat=elpd["k_hat"], reliable=elpd["reliable"])


def _smoothed(log_density: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Log weights of a study's absence, their k-hat, and the share of draws that are effective."""
    likelihood = _exp(log_density - log_density.max())
    share = xr.ones_like(likelihood.max())
    if float(log_density.std()) >= NO_CHANGE:
        share = likelihood.azstats.ess(method="mean", relative=True).clip(max=1.0)
    log_weight, k_hat = smoothed(-log_density, float(share))
    return log_weight, xr.full_like(share, k_hat), share


def _log_sum(array: xr.DataArray) -> xr.DataArray:
    top = array.max(SAMPLE)
    total: xr.DataArray = xr.apply_ufunc(np.log, _exp(array - top).sum(SAMPLE))
    return total + top


def _exp(array: xr.DataArray) -> xr.DataArray:
    raised: xr.DataArray = xr.apply_ufunc(np.exp, array)
    return raised
