"""Convergence diagnostics with thresholds, and Pareto-smoothed importance sampling (PSIS)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Final

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design import RESPONDER_REPORT, observed_variables
from nmda_bayes.dims import SAMPLE
from nmda_bayes.estimands import design_of, spec_of
from nmda_bayes.runtime import silence_logger

#: Vehtari et al. 2021: rank-normalised R-hat at most 1.01; a bulk and a tail ESS of at least 100
#: for each of the usual four chains. Betancourt 2016: E-BFMI at least 0.3.
MAX_RHAT: Final = 1.01
MIN_ESS: Final = 400
MIN_EBFMI: Final = 0.3
#: Exact fits: the largest change of the log evidence when the grid is halved.
MAX_INTEGRATION_ERROR: Final = 1e-4
#: Above this k-hat importance weights are unreliable for any number of draws (Vehtari et al. 2024).
MAX_PARETO_K: Final = 0.7
#: Log weights with a smaller SD are all equal: there is no tail to smooth.
NO_CHANGE: Final = 1e-12


def scalar_diagnostics(fit: xr.DataTree) -> pd.DataFrame:
    """R-hat, bulk and tail ESS of every scalar of the posterior."""
    posterior = fit["posterior"].to_dataset()
    # A constant scalar has an R-hat of 0 / 0: NaN, which fails the check.
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {
            "r_hat": arviz_stats.rhat(posterior),
            "ess_bulk": arviz_stats.ess(posterior, method="bulk"),
            "ess_tail": arviz_stats.ess(posterior, method="tail"),
        }
    frames = []
    for name in posterior.data_vars:
        columns = {k: np.atleast_1d(m[name].to_numpy()).ravel() for k, m in measures.items()}
        labels = coordinate_labels(posterior[name])
        not_zero = np.atleast_1d((posterior[name] != 0).any(SAMPLE).to_numpy()).ravel()
        frames.append(pd.DataFrame({"variable": str(name), "at": labels, **columns})[not_zero])
    return pd.concat(frames, ignore_index=True)


def coordinate_labels(array: xr.DataArray) -> list[str]:
    """The labels of each scalar of an array of draws, as ``dim=label, ...``."""
    dims = [dim for dim in array.dims if dim not in SAMPLE]
    if not dims:
        return [""]
    index = pd.MultiIndex.from_product([array[dim].to_numpy() for dim in dims])
    return [
        ", ".join(f"{dim}={label}" for dim, label in zip(dims, labels, strict=True))
        for labels in index
    ]


def convergence_checks(fit: xr.DataTree, scalars: pd.DataFrame) -> pd.DataFrame:
    """Compare the worst value of each criterion with its threshold."""
    stats = fit["sample_stats"].to_dataset()
    rows = [
        _worst("R-hat", scalars, "r_hat", MAX_RHAT, at_most=True),
        _worst("bulk ESS", scalars, "ess_bulk", MIN_ESS, at_most=False),
        _worst("tail ESS", scalars, "ess_tail", MIN_ESS, at_most=False),
    ]
    divergences = int(stats["diverging"].sum()) if "diverging" in stats else 0
    rows.append(("divergences", float(divergences), 0.0, divergences == 0, "any transition"))
    if "integration_error" in stats:
        error = float(stats["integration_error"])
        passed = error <= MAX_INTEGRATION_ERROR
        rows.append(("integration error", error, MAX_INTEGRATION_ERROR, passed, "log evidence"))
    if "energy" in stats:
        ebfmi = float(np.min(arviz_stats.bfmi(stats)["energy"].to_numpy()))
        rows.append(("E-BFMI", ebfmi, MIN_EBFMI, ebfmi >= MIN_EBFMI, "worst chain"))
    return pd.DataFrame(rows, columns=["check", "value", "threshold", "passed", "where"])


def _worst(
    check: str, scalars: pd.DataFrame, column: str, threshold: float, *, at_most: bool
) -> tuple[str, float, float, bool, str]:
    """Compare the worst scalar with a threshold; NaN is worse than any number."""
    values = scalars[column].to_numpy(dtype=float)
    if not len(values):
        return check, float("nan"), threshold, False, "no scalar can be checked"
    badness = values if at_most else -values
    worst = int(np.argmax(np.where(np.isnan(values), np.inf, badness)))
    value = float(values[worst])
    passed = value <= threshold if at_most else value >= threshold
    variable, at = scalars[["variable", "at"]].iloc[worst].astype(str)
    return check, value, threshold, bool(passed), f"{variable}[{at}]" if at else variable


def pareto_k_limit(draws: int) -> float:
    """The largest k-hat at which the weights of so many draws are reliable."""
    return float(min(1 - 1 / np.log10(draws), MAX_PARETO_K))


def psis(log_ratio: xr.DataArray, relative_efficiency: float = 1.0) -> tuple[xr.DataArray, float]:
    """Smooth log importance ratios of draws; normalised log weights and k-hat."""
    centred = log_ratio - log_ratio.max()
    if float(centred.std()) < NO_CHANGE:
        return xr.zeros_like(centred) - np.log(centred.size), 0.0
    with warnings.catch_warnings(), silence_logger("arviz_stats"):
        warnings.simplefilter("ignore", UserWarning)  # callers report a large k-hat
        # `psislw` expects the log densities that are left out: the negative of log weights.
        log_weight, k_hat = (-centred).azstats.psislw(dim=list(SAMPLE), r_eff=relative_efficiency)
    total = np.log(float(np.exp(log_weight).sum()))
    return log_weight.transpose(*SAMPLE) - total, float(k_hat)


# Prior and posterior predictive checks of each outcome's data.

#: A function of rows (last axis) and their design.
Statistic = Callable[[np.ndarray, xr.Dataset], np.ndarray]

CONTINUOUS: Mapping[str, Statistic] = {
    "mean over arms": lambda y, design: y.mean(-1),
    "SD over arms": lambda y, design: y.std(-1),
    "smallest": lambda y, design: y.min(-1),
    "largest": lambda y, design: y.max(-1),
}
EVENTS: Mapping[str, Statistic] = {
    "events in all arms": lambda y, design: y.sum(-1),
    "arms without an event": lambda y, design: (y == 0).sum(-1),
}
COUNTS: Mapping[str, Statistic] = {
    **EVENTS,
    "SD of the proportions": lambda y, design: (y / design["n"].to_numpy()).std(-1),
}
RATES: Mapping[str, Statistic] = {
    **EVENTS,
    "SD of the rates": lambda y, design: (y / design["person_time"].to_numpy()).std(-1),
}
#: By the column that is the denominator of events.
STATISTICS = {"": CONTINUOUS, "n": COUNTS, "person_time": RATES}


def predictive_checks(fit: xr.DataTree) -> pd.DataFrame:
    """Probability that a statistic of replicated data exceeds the observed one.

    NaN where the fit has no such replicates.
    """
    spec = spec_of(fit)
    groups = {
        name: fit[name].to_dataset() if name in fit.children else None
        for name in ("observed_data", "prior_predictive", "posterior_predictive")
    }
    rows = []
    for outcome in spec.outcomes:
        for form in observed_variables(spec, design_of(fit, outcome), outcome):
            suffix = ", responders" if form.report_format == RESPONDER_REPORT else ""
            observed, *replicates = (
                group[form.variable].transpose(*SAMPLE, ..., missing_dims="ignore").to_numpy()
                if group is not None
                else None
                for group in groups.values()
            )
            if observed is None:
                continue
            for label, statistic in STATISTICS[form.at_risk].items():
                value = float(statistic(observed.astype(float), form.design))
                p_values = (
                    float("nan")
                    if draws is None
                    else _tail_probability(statistic(draws.astype(float), form.design), value)
                    for draws in replicates
                )
                rows.append((outcome, label + suffix, value, *p_values))
    columns = ["outcome", "statistic", "observed", "prior_p", "posterior_p"]
    return pd.DataFrame(rows, columns=columns)


def _tail_probability(replicated: np.ndarray, observed: float) -> float:
    return float(np.mean(replicated > observed) + np.mean(replicated == observed) / 2)
