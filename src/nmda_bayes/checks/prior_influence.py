"""How far the data moved each parameter from its prior: the overlap of prior and posterior."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import coordinate_labels, psis
from nmda_bayes.components.curves import LOG_PREFIX
from nmda_bayes.design import original_agent
from nmda_bayes.dims import AGENT, SAMPLE, SEPARATOR, scoped_name
from nmda_bayes.estimands import dose_range, spec_of
from nmda_bayes.model import BIAS_SHIFT, HARM_BASELINE, OFFSET, SELECTION_MOMENTS
from nmda_bayes.runtime import silence_logger

PRIOR_ONLY: Final = "prior only"
WEAK: Final = "weakly informed"
INFORMED: Final = "informed by the data"
SINGLETON_CLASSES: Final = (
    "no class has two agents: only the sum of the two variances is identified"
)
ONE_CLASS: Final = "a single class of agents: prior only"
OTHER_CURVE: Final = "not a parameter of this agent's curve: prior only"
NO_TRIAL: Final = "no trial: from the other agents and the prior"

#: Overlaps, over bins of equal prior probability. Two samples of one distribution overlap by about
#: 0.96, and a centred posterior of half the prior's SD by 0.68: above 0.7 the data did not even
#: halve the prior's SD.
PRIOR_ONLY_OVERLAP: Final = 0.7
WEAK_OVERLAP: Final = 0.5
BINS: Final = 20
#: Nuisance variables, of single arms or studies.
NUISANCE: Final = ("eta", "exposure", "baseline", BIAS_SHIFT, HARM_BASELINE, *SELECTION_MOMENTS)


def reported_parameters(fit: xr.DataTree) -> list[str]:
    """Name the parameters of interest: no offsets or nuisances, logarithms rather than ED50s."""
    names = [str(name) for name in fit["posterior"].data_vars]
    plain = {name: name.rpartition(SEPARATOR)[2] for name in names}

    def has_log(name: str) -> bool:
        return name.removesuffix(plain[name]) + LOG_PREFIX + plain[name] in plain

    return [
        name
        for name in names
        if not name.endswith(OFFSET) and plain[name] not in NUISANCE and not has_log(name)
    ]


def identifiability(fit: xr.DataTree) -> pd.DataFrame:
    """Compare every parameter's posterior with its prior."""
    prior, posterior = fit["prior"].to_dataset(), fit["posterior"].to_dataset()
    untested, unidentified = _untested_agents(fit), _unidentified_sds(fit)
    spec = spec_of(fit)
    curves = {
        "" if spec.single_outcome else name: part.shape for name, part in spec.outcomes.items()
    }
    rows = []
    for name in reported_parameters(fit):
        outcome, _, parameter = name.rpartition(SEPARATOR)
        for at, agent, before, after in zip(
            coordinate_labels(posterior[name]),
            _agents(posterior[name]),
            _draws_by_scalar(prior[name]),
            _draws_by_scalar(posterior[name]),
            strict=True,
        ):
            overlap = prior_posterior_overlap(before, after)
            if agent and not curves[outcome].has(original_agent(agent), parameter):
                conclusion = OTHER_CURVE
            elif name in unidentified:
                conclusion = unidentified[name]
            elif (outcome, agent) in untested:
                conclusion = NO_TRIAL
            else:
                conclusion = _overlap_label(overlap)
            rows.append((name, at, _robust_sd(before), _robust_sd(after), overlap, conclusion))
    columns = ["variable", "at", "prior_sd", "posterior_sd", "overlap", "conclusion"]
    return pd.DataFrame(rows, columns=columns)


def prior_posterior_overlap(before: np.ndarray, after: np.ndarray) -> float:
    """The overlap of two samples, 0 to 1, over bins of equal prior probability."""
    edges = np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1])
    shares = [
        np.bincount(np.searchsorted(edges, x), minlength=BINS) / len(x) for x in (before, after)
    ]
    return float(np.minimum(*shares).sum())


def _overlap_label(overlap: float) -> str:
    if overlap >= PRIOR_ONLY_OVERLAP:
        return PRIOR_ONLY
    return WEAK if overlap >= WEAK_OVERLAP else INFORMED


def _draws_by_scalar(array: xr.DataArray) -> np.ndarray:
    """Rows are scalars, in the order of `coordinate_labels`; columns are draws."""
    stacked = array.transpose(..., *SAMPLE).to_numpy()
    return np.asarray(stacked.reshape(-1, stacked.shape[-2] * stacked.shape[-1]))


def _agents(array: xr.DataArray) -> list[str]:
    """The agent of each scalar, in the order of `coordinate_labels`; empty without that dim."""
    draw = array.isel(dict.fromkeys(SAMPLE, 0), drop=True)
    labels = draw[AGENT] if AGENT in draw.dims else xr.DataArray("")
    return list(map(str, labels.broadcast_like(draw).transpose(*draw.dims).to_numpy().ravel()))


def _robust_sd(draws: np.ndarray) -> float:
    low, high = np.quantile(draws, [0.16, 0.84])
    return float((high - low) / 2)


def _unidentified_sds(fit: xr.DataTree) -> dict[str, str]:
    """SDs of agents and of classes that the data cannot separate, with the reason."""
    labels, spec = fit["design/labels"].to_dataset(), spec_of(fit)
    if "class_of_agent" not in labels:
        return {}
    sizes = labels["class_of_agent"].to_series().value_counts()
    singletons = SINGLETON_CLASSES if sizes.max() == 1 else ""
    reasons = {"within_class": singletons, "between_class": singletons}
    if len(sizes) == 1:
        reasons["between_class"] = ONE_CLASS
    return {
        scoped_name(outcome, f"{parameter}_{slot}", single_outcome=spec.single_outcome): reason
        for outcome, part in spec.outcomes.items()
        for parameter in part.parameters
        for slot, reason in reasons.items()
        if reason
    }


def _untested_agents(fit: xr.DataTree) -> set[tuple[str, str]]:
    """Pairs of outcome prefix and agent without a trial."""
    single = spec_of(fit).single_outcome
    trials = dose_range(fit)["trials"].sum("condition").to_series()
    return {("" if single else outcome, agent) for outcome, agent in trials[trials == 0].index}


# Power-scaling: how the posterior changes if priors or likelihood are raised to a power.

#: Weaker, unchanged and stronger: close enough to 1 for reliable weights in the primary analysis.
POWERS: Final = (0.67, 1.0, 1.5)
COMPONENT, POWER = "component", "power"
PRIOR, LIKELIHOOD = "prior", "likelihood"


def power_scaling(fit: xr.DataTree, powers: Sequence[float] = POWERS) -> xr.Dataset:
    """Reweight the draws of a fit as if its priors, or its likelihood, were raised to powers.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` returns it.
    powers
        Positive; 1 leaves the fit unchanged, below 1 weakens a component.

    Returns
    -------
    xr.Dataset
        ``weight`` (component, power, chain, draw): weights that sum to 1 over the draws, smoothed
        by PSIS; ``k_hat`` (component, power): weights are unreliable above 0.7. The components are
        ``prior`` (all priors but those of baselines) and ``likelihood``.

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari 2024, Statistics and Computing 34:57.

    Examples
    --------
    >>> scaled = nb.power_scaling(fit, powers=(0.8, 1.25))
    >>> dict(scaled["k_hat"].sizes)
    {'component': 2, 'power': 2}
    """
    log_densities = {
        PRIOR: fit["log_prior"].to_dataset()[_scaled_priors(fit)],
        LIKELIHOOD: fit["log_likelihood"].to_dataset(),
    }
    weights = []
    for log_density in map(_total, log_densities.values()):
        scaled = [_power_weights(log_density, power) for power in powers]
        weights.append(xr.concat(scaled, xr.Variable(POWER, list(powers))))
    return xr.concat(weights, xr.Variable(COMPONENT, list(log_densities)))


def _scaled_priors(fit: xr.DataTree) -> list[str]:
    return [n for n in map(str, fit["log_prior"].data_vars) if not n.endswith("baseline")]


def _total(log_densities: xr.Dataset) -> xr.DataArray:
    parts = [v.sum([d for d in v.dims if d not in SAMPLE]) for v in log_densities.values()]
    total: xr.DataArray = sum(parts[1:], parts[0])
    return total


def _power_weights(log_density: xr.DataArray, power: float) -> xr.Dataset:
    log_weight, k_hat = psis((power - 1.0) * (log_density - log_density.mean()))
    return xr.Dataset({"weight": np.exp(log_weight), "k_hat": k_hat})


def prior_sensitivity(fit: xr.DataTree) -> pd.DataFrame:
    """Power-scaling sensitivity of each parameter to its prior and to the likelihood."""
    parameters = reported_parameters(fit)
    with warnings.catch_warnings(), silence_logger("arviz_stats"):
        # A Pareto k above its limit warns for every variable; `power_scaling` reports it.
        warnings.simplefilter("ignore", UserWarning)
        try:
            table = arviz_stats.psense_summary(
                fit, var_names=parameters, prior_var_names=_scaled_priors(fit)
            )
        except ValueError as error:
            # Constant draws have no tail to smooth (arviz-stats 1.3). Such a fit fails its
            # convergence checks, and its report is still written.
            posterior = fit["posterior"].to_dataset()
            names = [
                f"{name}[{', '.join(part.partition('=')[2] for part in at.split(', '))}]"
                if at
                else name
                for name in parameters
                for at in coordinate_labels(posterior[name])
            ]
            diagnosis = f"could not be computed ({error})"
            return pd.DataFrame(
                {"variable": names, "prior": np.nan, "likelihood": np.nan, "diagnosis": diagnosis}
            )
    return table.rename_axis("variable").reset_index()
