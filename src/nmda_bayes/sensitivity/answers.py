"""What is kept of each variant: the numbers that are compared, not the draws.

A hundred fits with their draws are gigabytes, and nobody compares those.
"""

from __future__ import annotations

from typing import Final

import arviz_stats
import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE
from nmda_bayes.estimands import linear_response, spec_of, tested, therapeutic_window
from nmda_bayes.estimands.reading import default_doses, variable
from nmda_bayes.intervals import interval
from nmda_bayes.sensitivity.designs import seen
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.rules import HETEROGENEITY_SD

STATISTIC: Final = "statistic"
#: Mean, SD, 95 % equal-tailed interval and median, the share of draws above 0, and the Monte Carlo
#: error of the mean.
STATISTICS: Final = ("mean", "sd", "lower", "median", "upper", "above_zero", "mcse")
#: Draws that the window is computed from: its probabilities then have an error below 0.011.
WINDOW_DRAWS: Final = 2000
LOG_ED50: Final = "log_ed50"


def as_fit(
    spec: AnalysisSpec, design: xr.DataTree, posterior: xr.Dataset, stats: xr.Dataset
) -> xr.DataTree:
    """Make of draws a fit that every estimand can be asked of.

    Parameters
    ----------
    spec
        The analysis.
    design
        The rows that it saw, with or without weights.
    posterior
        Draws.
    stats
        The sampler's.

    Returns
    -------
    xr.DataTree
        Without predictions, priors and densities, which no answer of a variant needs.
    """
    fit = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})
    for name, group in seen(design).children.items():
        fit[f"design/{name}"] = group.copy()
    fit.attrs = {"spec": spec.to_json()}
    return fit


def answers(fit: xr.DataTree, dose: float) -> xr.Dataset:
    """Answer what variants are compared by.

    Parameters
    ----------
    fit
        As `as_fit` makes it, or a whole one.
    dose
        Where effects are compared, on the exposure axis.

    Returns
    -------
    xr.Dataset
        Dim statistic (`STATISTICS`): ``effect`` (outcome, agent, condition; on the linear
        predictor's scale, against the reference), ``ed50`` (outcome, agent; NaN where the curve has
        none), ``heterogeneity_sd`` (outcome; NaN where it has none or one a stratum). ``trials``
        (outcome, agent, condition). With a window ``p_window`` (agent, condition) at the dose,
        ``p_best`` and ``best_dose`` over the doses that were tried.
    """
    spec = spec_of(fit)
    outcomes = list(spec.outcomes)
    parts = {
        "effect": [_effect(fit, name, dose) for name in outcomes],
        "ed50": [_ed50(fit, name) for name in outcomes],
        "heterogeneity_sd": [_heterogeneity(fit, name) for name in outcomes],
    }
    by = xr.Variable(OUTCOME, outcomes)
    found = xr.Dataset({k: xr.concat(v, dim=by, coords="minimal") for k, v in parts.items()})
    found["trials"] = tested(fit)["trials"]
    labels = fit["design/labels"].to_dataset()
    found = found.assign_coords(
        {k: v for k, v in labels.data_vars.items() if str(k).endswith("_label")}
    )
    if spec.window is not None:
        found = found.merge(_window(fit, dose))
    return found.assign_attrs(dose=dose)


def summarised(draws: xr.DataArray) -> xr.DataArray:
    """Summarise draws by every statistic.

    Parameters
    ----------
    draws
        Dims chain, draw and any others.

    Returns
    -------
    xr.DataArray
        Dim statistic last.
    """
    draws = draws.reset_coords(drop=True)
    ends = interval(draws)
    sd = draws.std(SAMPLE, ddof=1)
    # A number that never moves has no effective draws: its Monte Carlo error is none.
    with np.errstate(invalid="ignore", divide="ignore"):
        mcse = arviz_stats.mcse(draws.rename("draws").to_dataset(), method="mean")["draws"]
    parts = {
        "mean": draws.mean(SAMPLE),
        "sd": sd,
        "lower": ends["lower"],
        "median": ends["median"],
        "upper": ends["upper"],
        "above_zero": (draws > 0).mean(SAMPLE),
        "mcse": mcse.where(sd > 0, 0.0),
    }
    kept = [parts[name].reset_coords(drop=True) for name in STATISTICS]
    joined = xr.concat(kept, dim=xr.Variable(STATISTIC, list(STATISTICS)))
    return joined.transpose(..., STATISTIC)


def _effect(fit: xr.DataTree, outcome: str, dose: float) -> xr.DataArray:
    return summarised(linear_response(fit, outcome, [dose]).isel({DOSE: 0}, drop=True))


def _ed50(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    labels = fit["design/labels"].to_dataset()
    name = variable(spec_of(fit), outcome, LOG_ED50)
    posterior = fit["posterior"].to_dataset()
    empty = xr.zeros_like(labels[AGENT], float)
    if name not in posterior or CONDITION in posterior[name].dims:
        return _nothing(empty)
    return summarised(xr.apply_ufunc(np.exp, posterior[name]) + empty)


def _heterogeneity(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    name = variable(spec_of(fit), outcome, HETEROGENEITY_SD)
    posterior = fit["posterior"].to_dataset()
    if name not in posterior or set(posterior[name].dims) != set(SAMPLE):
        return _nothing(xr.DataArray(0.0))
    return summarised(posterior[name])


def _nothing(like: xr.DataArray) -> xr.DataArray:
    shape = (*like.shape, len(STATISTICS))
    coords = {**{d: like[d] for d in like.dims}, STATISTIC: list(STATISTICS)}
    return xr.DataArray(np.full(shape, np.nan), dims=(*like.dims, STATISTIC), coords=coords)


def _window(fit: xr.DataTree, dose: float) -> xr.Dataset:
    posterior = fit["posterior"].to_dataset()
    step = max(1, posterior.sizes["chain"] * posterior.sizes["draw"] // WINDOW_DRAWS)
    thin = fit.copy()
    thin["posterior"] = xr.DataTree(posterior.isel(draw=slice(None, None, step)))
    grid = np.unique([*default_doses(fit).to_numpy(), dose])
    window = therapeutic_window(thin, dose=grid)
    both = window["p_both"].reset_coords(drop=True)
    reached = both.where(~window["extrapolated"].reset_coords(drop=True), -1.0)
    best = reached.max(DOSE)
    return xr.Dataset(
        {
            "p_window": both.sel({DOSE: dose}, drop=True),
            "p_best": best.where(best >= 0),
            "best_dose": reached.idxmax(DOSE).where(best >= 0),
        }
    )
