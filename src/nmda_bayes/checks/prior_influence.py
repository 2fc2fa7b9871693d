"""How far the data moved each parameter from its prior: the overlap of prior and posterior."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from arviz_base import dataset_to_dataframe

from nmda_bayes.checks.diagnostics import coordinate_labels, psis
from nmda_bayes.components.curves import LOG_PREFIX
from nmda_bayes.design import original_agent
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME, SAMPLE, SEPARATOR, scoped_name
from nmda_bayes.estimands import dose_range, spec_of
from nmda_bayes.model import BIAS_SHIFT, HARM_BASELINE, OFFSET, SELECTION_MOMENTS
from nmda_bayes.runtime import silence_logger
from nmda_bayes.spec.outcome import PREFIX
from nmda_bayes.spec.rules import BASELINE

PRIOR_ONLY: Final = "prior only"
WEAK: Final = "weakly informed"
INFORMED: Final = "informed by the data"
SINGLETON_CLASSES: Final = (
    "no class has two agents: only the sum of the two variances is identified"
)
ONE_CLASS: Final = "a single class of agents: prior only"
OTHER_CURVE: Final = "not a parameter of this agent's curve: prior only"
NO_TRIAL: Final = "no trial: from the other agents or conditions, and the prior"

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
    """Compare every parameter's posterior with its prior; no rows without draws of the prior."""
    columns = ["variable", "at", "prior_sd", "posterior_sd", "overlap", "conclusion"]
    if "prior" not in fit.children:
        return pd.DataFrame(columns=columns)
    prior, posterior = fit["prior"].to_dataset(), fit["posterior"].to_dataset()
    untested, unidentified = _untested_cells(fit), _unidentified_sds(fit)
    spec = spec_of(fit)
    curves = {
        "" if spec.single_outcome else name: part.shape for name, part in spec.outcomes.items()
    }
    rows = []
    for name in reported_parameters(fit):
        outcome, _, parameter = name.rpartition(SEPARATOR)
        for at, (agent, condition), before, after in zip(
            coordinate_labels(posterior[name]),
            _cells(posterior[name]),
            _draws_by_scalar(prior[name]),
            _draws_by_scalar(posterior[name]),
            strict=True,
        ):
            overlap = prior_posterior_overlap(before, after)
            if agent and not curves[outcome].has(original_agent(agent), parameter):
                conclusion = OTHER_CURVE
            elif name in unidentified:
                conclusion = unidentified[name]
            elif (outcome, agent, condition) in untested:
                conclusion = NO_TRIAL
            else:
                conclusion = _overlap_label(overlap)
            rows.append((name, at, _robust_sd(before), _robust_sd(after), overlap, conclusion))
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


def _cells(array: xr.DataArray) -> list[tuple[str, str]]:
    """Agent and condition of each scalar, in the order of `coordinate_labels`; empty if none."""
    draw = array.isel(dict.fromkeys(SAMPLE, 0), drop=True)
    columns = []
    for dim in (AGENT, CONDITION):
        labels = draw[dim] if dim in draw.dims else xr.DataArray("")
        values = labels.broadcast_like(draw).transpose(*draw.dims).to_numpy().ravel()
        columns.append([str(value) for value in values])
    return list(zip(*columns, strict=True))


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


def _untested_cells(fit: xr.DataTree) -> set[tuple[str, str, str]]:
    """Outcome prefix, agent and condition without a trial; empty for all agents or conditions."""
    single, trials = spec_of(fit).single_outcome, dose_range(fit)["trials"]
    untested = set()
    for summed in ([], [CONDITION], [AGENT]):
        counts = trials.sum(summed).to_series()
        names = counts.index.names
        for labels in counts[counts == 0].index:
            place = dict(zip(names, labels, strict=True))
            outcome = "" if single else place[OUTCOME]
            untested.add((outcome, place.get(AGENT, ""), place.get(CONDITION, "")))
    return untested


# Power-scaling: how the posterior changes if priors or likelihood are raised to a power.

#: Weaker, unchanged and stronger: close enough to 1 for reliable weights in the primary analysis.
POWERS: Final = (0.67, 1.0, 1.5)
COMPONENT, POWER = "component", "power"
PRIOR, BASELINES, LIKELIHOOD = "prior", "baseline", "likelihood"
#: From this power-scaling sensitivity on a parameter is flagged (the limit of arviz-stats).
SENSITIVE: Final = 0.05
BASELINE_SENSITIVE: Final = "sensitive to the priors of baselines"


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
        ``prior`` (all priors but those of baselines), ``baseline`` (those of baselines, where there
        are any) and ``likelihood``.

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari 2024, Statistics and Computing 34:57.

    Examples
    --------
    >>> scaled = nb.power_scaling(fit, powers=(0.8, 1.25))
    >>> dict(scaled["k_hat"].sizes)
    {'component': 3, 'power': 2}
    """
    priors = fit["log_prior"].to_dataset()
    log_densities = {name: priors[of] for name, of in _prior_groups(fit).items()}
    log_densities[LIKELIHOOD] = fit["log_likelihood"].to_dataset()
    weights = []
    for log_density in map(_total, log_densities.values()):
        scaled = [_power_weights(log_density, power) for power in powers]
        weights.append(xr.concat(scaled, xr.Variable(POWER, list(powers))))
    return xr.concat(weights, xr.Variable(COMPONENT, list(log_densities)))


def _prior_groups(fit: xr.DataTree) -> dict[str, list[str]]:
    """Names of the priors that are scaled together: those of baselines apart from all others."""
    names = list(map(str, fit["log_prior"].data_vars))
    of_baselines = [
        name
        for name in names
        if name.rpartition(SEPARATOR)[2].removeprefix(PREFIX + "harm_").startswith(BASELINE)
    ]
    groups = {PRIOR: [n for n in names if n not in of_baselines], BASELINES: of_baselines}
    return {group: members for group, members in groups.items() if members}


def _total(log_densities: xr.Dataset) -> xr.DataArray:
    parts = [v.sum([d for d in v.dims if d not in SAMPLE]) for v in log_densities.values()]
    total: xr.DataArray = sum(parts[1:], parts[0])
    return total


def _power_weights(log_density: xr.DataArray, power: float) -> xr.Dataset:
    log_weight, k_hat = psis((power - 1.0) * (log_density - log_density.mean()))
    return xr.Dataset({"weight": np.exp(log_weight), "k_hat": k_hat})


def prior_sensitivity(fit: xr.DataTree) -> pd.DataFrame:
    """Power-scaling sensitivity of each parameter to priors, baselines' priors and likelihood."""
    parameters = reported_parameters(fit)
    if not {"log_prior", "log_likelihood"} <= set(fit.children):
        return _no_prior_sensitivity(fit, parameters, "could not be computed (no log densities)")
    with warnings.catch_warnings(), silence_logger("arviz_stats"):
        # A Pareto k above its limit warns for every variable; `power_scaling` reports it.
        warnings.simplefilter("ignore", UserWarning)
        try:
            groups = _prior_groups(fit)
            table = arviz_stats.psense_summary(
                fit, var_names=parameters, prior_var_names=groups[PRIOR]
            )
            if BASELINES in groups:
                scaled = arviz_stats.psense(
                    fit, var_names=parameters, group=PRIOR, group_var_names=groups[BASELINES]
                ).expand_dims({COMPONENT: [BASELINES]})
                of_baselines = dataset_to_dataframe(scaled, sample_dims=[COMPONENT]).T
                table[BASELINES] = of_baselines[BASELINES].round(3)
        except ValueError as error:
            # Constant draws have no tail to smooth (arviz-stats 1.3). Such a fit fails its
            # convergence checks, and its report is still written.
            return _no_prior_sensitivity(fit, parameters, f"could not be computed ({error})")
    columns = [PRIOR, BASELINES, LIKELIHOOD, "diagnosis"]
    table = table.reindex(columns=columns)  # NaN where the model has no baselines
    sensitive = (table[BASELINES] >= SENSITIVE) & ~table["diagnosis"].str.contains("potential")
    table.loc[sensitive, "diagnosis"] = BASELINE_SENSITIVE
    return table.rename_axis("variable").reset_index()


def _no_prior_sensitivity(
    fit: xr.DataTree, parameters: Sequence[str], diagnosis: str
) -> pd.DataFrame:
    posterior = fit["posterior"].to_dataset()
    names = [
        f"{name}[{', '.join(part.partition('=')[2] for part in at.split(', '))}]" if at else name
        for name in parameters
        for at in coordinate_labels(posterior[name])
    ]
    unknown = dict.fromkeys((PRIOR, BASELINES, LIKELIHOOD), np.nan)
    return pd.DataFrame({"variable": names, **unknown, "diagnosis": diagnosis})
