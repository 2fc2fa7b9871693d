"""Likelihoods: how the reported results of a trial depend on the linear predictor of its arms.

    reported[arm] ~ Likelihood(eta[arm])

To add a likelihood, write the function that makes its observed variable under one `@likelihood`
line that states its columns, link and other facts. ``eta`` covers the arms that report the outcome.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import expit, gammaln, log_expit, xlogy

from nmda_bayes.components import keyword_parameters
from nmda_bayes.components.links import CLOGLOG, IDENTITY, LOG, LOGIT, Link
from nmda_bayes.dims import STUDY, positions_in
from nmda_bayes.graph_data import add_subset_dim, shared_data
from nmda_bayes.registry import Registry

#: Columns of some arms by name, as floats.
Arms = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """A sampling model of reported results.

    ``positive``, ``shares`` (in 0-1) and ``study_parameters`` (one per study) are among its
    ``parameters``. Functions of arms: ``crude`` estimate and variance, ``null_variance`` at the
    trial's totals, ``approximate`` estimate and information, ``information`` at an expected value,
    ``deviance`` and ``log_density`` at eta; None where undefined.
    """

    name: str
    columns: tuple[str, ...]
    link: Link
    observe: Callable[..., Any]
    text: str
    contrasts: bool = False
    conditional: bool = False
    normal: bool = False
    allows_shared_error: bool = False
    allows_correlated_error: bool = False
    effects: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    shares: tuple[str, ...] = ()
    study_parameters: tuple[str, ...] = ()
    second_observed: str = ""
    crude: Callable[[Arms], tuple[Any, Any]] | None = None
    null_variance: Callable[[Arms, Arms], Any] | None = None
    approximate: Callable[[Arms], tuple[Any, Any]] | None = None
    information: Callable[[Arms, Any], Any] | None = None
    deviance: Callable[[Arms, Any], Any] | None = None
    log_density: Callable[[Arms, Any], Any] | None = None

    @property
    def has_baseline(self) -> bool:
        """Whether it needs a baseline for each study, besides differences between its arms."""
        return not (self.contrasts or self.conditional)

    @property
    def counts(self) -> bool:
        """Whether events are counted."""
        return self.columns[0] == "events"

    @property
    def symbols(self) -> tuple[str, ...]:
        """The names in its text that differ from row to row."""
        second = self.second_observed
        return ("eta", *self.columns, *((second, f"arm_{second}") if second else ()))

    @property
    def recorded(self) -> tuple[str, ...]:
        """All columns that it reads."""
        return (*self.columns, self.second_observed) if self.second_observed else self.columns

    def numbers(self, reported: Any) -> dict[str, np.ndarray]:
        """The columns of some rows as floats, for the functions of arms."""
        return {name: reported[name].to_numpy().astype(float) for name in self.recorded}

    def estimates(self, reported: Any) -> tuple[np.ndarray, np.ndarray]:
        """`crude` of some rows, NaN where it is undefined."""
        if self.crude is None:
            missing = np.full(len(reported[self.columns[0]]), np.nan)
            return missing, missing
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.crude(self.numbers(reported))


def _build(
    observe: Callable[..., Any],
    /,
    text: str,
    *,
    columns: str,
    effects: str = "",
    positive: str = "",
    shares: str = "",
    study_parameters: str = "",
    **facts: Any,
) -> Likelihood:
    """A likelihood named after its function; its keyword-only arguments are its parameters.

    Names are separated by spaces; ``facts`` are the other fields of `Likelihood`.
    """
    return Likelihood(
        name=observe.__name__,
        columns=tuple(columns.split()),
        observe=observe,
        text=text,
        effects=tuple(effects.split()),
        parameters=keyword_parameters(observe),
        positive=tuple(positive.split()),
        shares=tuple(shares.split()),
        study_parameters=tuple(study_parameters.split()),
        **facts,
    )


LIKELIHOODS = Registry("likelihood", _build)
likelihood = LIKELIHOODS.entry


def arm_columns() -> tuple[str, ...]:
    """Every column that a likelihood of arms reads."""
    parts = [part for part in LIKELIHOODS.values() if not part.contrasts]
    return tuple(dict.fromkeys(name for part in parts for name in part.recorded))


def data_column(reported: Any, name: str, dim: str) -> Any:
    """A column as floats over ``dim``: named data ``<dim>.<column>`` of the model on the stack."""
    return shared_data(f"{dim}.{name}", reported[name].to_numpy().astype(float), (dim,))


def _observed_counts(reported: Any, dim: str) -> dict[str, Any]:
    """Arguments of a variable of PyMC (not `pymc.dims`) that counts events of n."""
    return {
        "n": data_column(reported, "n", dim).astype(int).values,
        "observed": data_column(reported, "events", dim).astype(int).values,
        "dims": (dim,),
    }


# Likelihoods of contrasts: differences of two arms, correlated where they share one.


@likelihood(
    "estimate ~ MvNormal(eta[arm] − eta[comparator], S)",
    columns="estimate se",
    link=IDENTITY,
    contrasts=True,
    normal=True,
    allows_correlated_error=True,
)
def normal_contrast(
    name: str, eta: Any, reported: xr.Dataset, dim: str, tie: tuple[Any, Any, Any] | None = None
) -> Any:
    """Contrasts with known standard errors, correlated where they share an arm.

    S is `contrast_covariance` (Franchini et al. 2012), diagonal where no arm is shared. ``tie`` is
    the part of the standard normal errors that is shared with other outcomes: its weight, the part,
    and the weight of the rest.
    """
    import pymc as pm
    import pymc.dims as pmd

    def side(name: str) -> Any:
        positions = pmd.as_xtensor(reported[f"{name}_position"].values, dims=(dim,))
        return eta.isel({eta.type.dims[0]: positions})

    mu = side("arm") - side("comparator")
    covariance = contrast_covariance(reported)
    no_tie: tuple[Any, Any, Any] = (0.0, 0.0, 1.0)
    weight, shared, rest = tie or no_tie
    if np.count_nonzero(covariance - np.diag(np.diag(covariance))) == 0:
        error = data_column(reported, "estimate_se", dim)
        return pmd.Normal(
            name,
            mu=mu + error * weight * shared,
            sigma=error * rest,
            observed=data_column(reported, "estimate", dim),
        )
    column, model = f"{dim}_column", pm.modelcontext(None)
    model.add_coords({column: model.coords[dim]})
    root = shared_data(f"{dim}.covariance_root", np.linalg.cholesky(covariance), (dim, column))
    if tie is not None:
        # Weights are constant within a trial, so that they commute with the blocks of the root.
        mu = mu + weight * (root * shared.rename({dim: column})).sum(column)
        root = root * rest
    return pm.MvNormal(
        name,
        mu=mu.transpose(dim).values,
        chol=root.transpose(dim, column).values,
        observed=data_column(reported, "estimate", dim).values,
        dims=(dim,),
    )


def contrast_covariance(reported: xr.Dataset) -> np.ndarray:
    """Sampling covariance of contrasts that may share arms, dims contrast and contrast.

    The variance of a contrast is the sum of those of its two arms; given the comparator's standard
    error both are known. Two contrasts covary by the variance of each shared arm, negatively where
    it is the arm of the one and the comparator of the other.
    """
    whole = reported["estimate_se"].to_numpy() ** 2
    comparator = np.nan_to_num(reported["comparator_se"].to_numpy()) ** 2
    known = comparator > 0
    sides = (
        (1, reported["arm_position"].to_numpy(), np.where(known, whole - comparator, 0.0)),
        (-1, reported["comparator_position"].to_numpy(), comparator),
    )
    covariance = np.zeros((len(whole), len(whole)))
    for sign, arms, variance in sides:
        for other_sign, other_arms, other_variance in sides:
            same = arms[:, None] == other_arms[None, :]
            # Two contrasts may report different variances of one arm: their geometric mean.
            shared = np.sqrt(np.outer(variance.clip(min=0), other_variance.clip(min=0)))
            covariance += sign * other_sign * np.where(same, shared, 0.0)
    np.fill_diagonal(covariance, whole)
    return covariance


# Estimates, variances and densities of arms that count events.


def log_odds(arms: Arms) -> tuple[Any, Any]:
    """Log odds of the event and their variance; infinite for an empty cell."""
    events, n = arms["events"], arms["n"]
    return np.log(events) - np.log(n - events), 1 / events + 1 / (n - events)


def log_rate(arms: Arms) -> tuple[Any, Any]:
    """Log rate of events and its variance; infinite without an event."""
    return np.log(arms["events"] / arms["person_time"]), 1 / arms["events"]


def log_hazard(arms: Arms) -> tuple[Any, Any]:
    """Log hazard of a first event and its variance; infinite for an empty cell."""
    events, n = arms["events"], arms["n"]
    alive = 1 - events / n
    level = np.log(-np.log(alive)) - np.log(arms["follow_up"])
    return level, events / n / (n * alive * np.log(alive) ** 2)  # delta method


# Variances at the proportion or rate of the whole trial, by the delta method, with half an event
# and half a non-event added.


def pooled_log_odds_variance(arms: Arms, trial: Arms) -> Any:
    """Variance of the log odds at the trial's proportion."""
    p = (trial["events"] + 0.5) / (trial["n"] + 1.0)
    slope = p * (1 - p)
    return p * (1 - p) / arms["n"] / slope**2


def pooled_log_hazard_variance(arms: Arms, trial: Arms) -> Any:
    """Variance of the log hazard at the trial's proportion."""
    p = (trial["events"] + 0.5) / (trial["n"] + 1.0)
    slope = -(1 - p) * np.log1p(-p)
    return p * (1 - p) / arms["n"] / slope**2


def pooled_log_rate_variance(arms: Arms, trial: Arms) -> Any:
    """Variance of the log rate at the trial's rate."""
    return 1.0 / ((trial["events"] + 0.5) / trial["person_time"] * arms["person_time"])


def approximate_log_odds(arms: Arms) -> tuple[Any, Any]:
    """Log odds with half an event and half a non-event added (Haldane 1956), and information."""
    p = (arms["events"] + 0.5) / (arms["n"] + 1)
    return np.log(p / (1 - p)), arms["n"] * p * (1 - p)


def approximate_log_rate(arms: Arms) -> tuple[Any, Any]:
    """Log rate with half an event added, and its information."""
    events = arms["events"] + 0.5
    return np.log(events / arms["person_time"]), events


def binomial_deviance(arms: Arms, eta: Any) -> Any:
    """Residual deviance: 2 [r log(r / r̂) + (n − r) log((n − r) / (n − r̂))]."""
    share = xr.apply_ufunc(expit, eta)
    return _binomial_deviance(arms, share, 1 - share)


def cloglog_deviance(arms: Arms, eta: Any) -> Any:
    """Residual deviance of `binomial_deviance`, at the risk after each arm's follow-up."""
    hazard = arms["follow_up"] * np.exp(eta)
    return _binomial_deviance(arms, -np.expm1(-hazard), np.exp(-hazard))


def _binomial_deviance(arms: Arms, share: Any, remaining: Any) -> Any:
    events, n = arms["events"], arms["n"]
    alive = n - events
    return 2 * (_log_ratio(events, n * share) + _log_ratio(alive, n * remaining))


def poisson_deviance(arms: Arms, eta: Any) -> Any:
    """Residual deviance: 2 [r log(r / r̂) − (r − r̂)]."""
    events, expected = arms["events"], arms["person_time"] * np.exp(eta)
    return 2 * (_log_ratio(events, expected) - (events - expected))


def _log_ratio(count: Any, expected: Any) -> Any:
    """Count × log(count / expected), with 0 log 0 = 0."""
    return xr.apply_ufunc(xlogy, count, count / expected)


def binomial_log_density(arms: Arms, eta: Any) -> Any:
    """Log probability of the events."""
    events, n = arms["events"], arms["n"]
    count = log_binomial_coefficient(n, events)
    return count + events * log_expit(eta) + (n - events) * log_expit(-eta)


#: Facts that the likelihoods of event counts, and of events over person-time, have in common.
_ODDS: dict[str, Any] = {
    "columns": "events n",
    "link": LOGIT,
    "effects": "log_OR unnamed",
    "crude": log_odds,
    "null_variance": pooled_log_odds_variance,
}
_RATES: dict[str, Any] = {
    "columns": "events person_time",
    "link": LOG,
    "effects": "log_IRR unnamed",
    "crude": log_rate,
    "null_variance": pooled_log_rate_variance,
}


# Counts given the totals of their trial: the exact likelihood of odds ratios, without baselines.

#: Limit on the terms of a trial's conditional likelihood: three arms of 300 events have some
#: 45,000.
MAX_TABLES = 20_000
#: Tables are stored in chunks of this size, so that trials with few are not padded to the longest.
TABLE_CHUNK = 64


@dataclass(frozen=True)
class MarginTables:
    """All ways to distribute the events of each trial over its arms.

    Dims: arm and slot_mask (study, slot), study (arm), events (chunk, table, slot), log_count
    (chunk, table), trial (chunk).
    """

    arm: np.ndarray
    slot_mask: np.ndarray
    study: np.ndarray
    events: np.ndarray
    log_count: np.ndarray
    trial: np.ndarray


def count_tables(events: np.ndarray, n: np.ndarray) -> int:
    """Count the ways to distribute a trial's events over its arms."""
    total = int(np.sum(events))
    # Events or non-events, whichever are fewer: the count is the same.
    fewer = min(total, int(np.sum(n)) - total)
    counts = np.zeros(fewer + 1)
    counts[0] = 1.0
    for size in n:
        # Adding an arm sums the counts over its possible events: a moving window.
        cumulative = np.concatenate([np.zeros(int(size) + 1), np.cumsum(counts)])
        counts = cumulative[int(size) + 1 :] - cumulative[: fewer + 1]
    return int(counts[fewer])


def log_binomial_coefficient(n: Any, events: Any) -> Any:
    """Log of n choose events."""
    return gammaln(n + 1) - gammaln(events + 1) - gammaln(n - events + 1)


def margin_tables(reported: xr.Dataset) -> MarginTables:
    """List the ways to distribute the events of trials over their arms."""
    names = reported[STUDY].to_numpy()
    studies = list(dict.fromkeys(names))
    events, n = (reported[c].to_numpy().astype(int) for c in ("events", "n"))
    arms = [np.flatnonzero(names == study) for study in studies]
    tables = [_compositions(int(events[rows].sum()), n[rows]) for rows in arms]
    slots = max(map(len, arms))
    chunks = [-(-len(table) // TABLE_CHUNK) for table in tables]
    first = np.cumsum([0, *chunks]) * TABLE_CHUNK
    arm, slot_mask = np.zeros((len(studies), slots), int), np.zeros((len(studies), slots), bool)
    padded, log_count = np.zeros((first[-1], slots)), np.full(first[-1], -np.inf)
    for i, (rows, table) in enumerate(zip(arms, tables, strict=True)):
        arm[i, : len(rows)], slot_mask[i, : len(rows)] = rows, True
        block = slice(first[i], first[i] + len(table))
        padded[block, : len(rows)] = table
        log_count[block] = log_binomial_coefficient(n[rows], table).sum(axis=1)
    return MarginTables(
        arm,
        slot_mask,
        positions_in(studies, names),
        padded.reshape(-1, TABLE_CHUNK, slots),
        log_count.reshape(-1, TABLE_CHUNK),
        np.repeat(np.arange(len(studies)), chunks),
    )


def _compositions(total: int, n: np.ndarray) -> np.ndarray:
    """All ways to distribute a total over arms of given sizes, dims table and arm."""
    tables = np.zeros((1, 0), dtype=int)
    for i, size in enumerate(n):
        left = total - tables.sum(axis=1)
        low, high = np.maximum(left - int(n[i + 1 :].sum()), 0), np.minimum(left, size)
        repeats = high - low + 1
        row = np.repeat(np.arange(len(tables)), repeats)
        step = np.arange(len(row)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        tables = np.column_stack([tables[row], low[row] + step])
    return tables


@likelihood(
    "events ~ NoncentralHypergeometric(n, exp(eta) | total[study])",
    conditional=True,
    **_ODDS,
)
def hypergeometric(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Arm counts given the trial's total: exact for odds ratios, with no baseline to model.

    A trial has one joint density; each arm holds an equal share of its logarithm.
    """
    import pymc as pm

    from nmda_bayes.components.hypergeometric import NoncentralHypergeometric

    tables = margin_tables(reported)
    dims = tuple(f"{dim}_{axis}" for axis in ("chunk", "table", "slot"))
    sizes = zip(dims, tables.events.shape, strict=True)
    pm.modelcontext(None).add_coords({axis: list(range(size)) for axis, size in sizes})
    return NoncentralHypergeometric(
        name,
        eta.transpose(dim).values,
        data_column(reported, "n", dim).values,
        shared_data(f"{dim}.log_count", tables.log_count, dims[:2]).values,
        shared_data(f"{dim}.tables", tables.events, dims).values,
        tables.trial,
        tables.arm,
        tables.slot_mask.astype(float),
        tables.study,
        observed=data_column(reported, "events", dim).astype(int).values,
        dims=(dim,),
    )


# Likelihoods of counts.


@likelihood(
    "events ~ Binomial(n, logit⁻¹(eta))",
    **_ODDS,
    approximate=approximate_log_odds,
    information=lambda arms, expected: arms["n"] * expected * (1 - expected),
    deviance=binomial_deviance,
    log_density=binomial_log_density,
)
def binomial(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Arm counts, exact: no continuity correction of zero cells."""
    import pymc as pm

    # pymc.dims has no Binomial (6.3).
    logit_p = eta.transpose(dim).values
    return pm.Binomial(name, logit_p=logit_p, **_observed_counts(reported, dim))


@likelihood(
    "events ~ BetaBinomial(n, logit⁻¹(eta), overdispersion)",
    shares="overdispersion",
    **_ODDS,
)
def beta_binomial(
    name: str, eta: Any, reported: xr.Dataset, dim: str, *, overdispersion: Any
) -> Any:
    """Overdispersed arm counts: outcomes of participants are correlated within an arm.

    ``overdispersion`` rho is the correlation of two participants, so that the variance is
    n p (1 − p) (1 + (n − 1) rho); at 0 this is `binomial`. (Williams 1982.)
    """
    import pymc as pm
    import pytensor.xtensor.math as xp

    concentration = (1.0 - overdispersion) / overdispersion
    return pm.BetaBinomial(
        name,
        alpha=(xp.sigmoid(eta) * concentration).transpose(dim).values,
        beta=(xp.sigmoid(-eta) * concentration).transpose(dim).values,
        **_observed_counts(reported, dim),
    )


@likelihood(
    "events ~ Poisson(person_time · exp(eta))",
    approximate=approximate_log_rate,
    deviance=poisson_deviance,
    **_RATES,
)
def poisson(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Events over person-time at a constant rate, possibly several per person."""
    import pymc.dims as pmd
    import pytensor.xtensor.math as xp

    return pmd.Poisson(
        name,
        mu=data_column(reported, "person_time", dim) * xp.exp(eta),
        observed=data_column(reported, "events", dim).astype(int),
    )


@likelihood(
    "events ~ NegativeBinomial(person_time · exp(eta), shape)",
    positive="shape",
    **_RATES,
)
def negative_binomial(name: str, eta: Any, reported: xr.Dataset, dim: str, *, shape: Any) -> Any:
    """Events over person-time whose rate varies from arm to arm, as Gamma(shape, shape).

    The variance is mu + mu² / shape; as the shape grows this is `poisson`.
    """
    import pymc.dims as pmd
    import pytensor.xtensor.math as xp

    return pmd.NegativeBinomial(
        name,
        mu=data_column(reported, "person_time", dim) * xp.exp(eta),
        alpha=shape,
        observed=data_column(reported, "events", dim).astype(int),
    )


@likelihood(
    "events ~ Binomial(n, 1 − exp(−follow_up · exp(eta)))",
    columns="events n follow_up",
    link=CLOGLOG,
    effects="log_HR unnamed",
    crude=log_hazard,
    null_variance=pooled_log_hazard_variance,
    deviance=cloglog_deviance,
)
def binomial_cloglog(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Counts of participants with a first event, such as a relapse, after unequal follow-up.

    At a constant hazard exp(eta) the complementary log-log of the risk is log(follow_up) + eta, so
    that trials of different length share one effect, a log hazard ratio. (Dias et al. 2011, NICE
    DSU Technical Support Document 2, section 3.2.)
    """
    import pymc as pm
    import pytensor.xtensor.math as xp

    hazard = data_column(reported, "follow_up", dim) * xp.exp(eta)
    # log odds = log(exp(hazard) − 1), without overflow or rounding of small risks to 0.
    log_odds = hazard + xp.log1mexp(-hazard)
    logit_p = log_odds.transpose(dim).values
    return pm.Binomial(name, logit_p=logit_p, **_observed_counts(reported, dim))


# Likelihoods of arm means.


def _mean(arms: Arms) -> tuple[Any, Any]:
    return arms["mean"], arms["se"] ** 2


def _mean_of_sd(arms: Arms) -> tuple[Any, Any]:
    return arms["mean"], arms["sd"] ** 2 / arms["n"]


def _normal_log_density(arms: Arms, eta: Any) -> Any:
    z = (arms["mean"] - eta) / arms["se"]
    return -0.5 * z**2 - np.log(arms["se"]) - 0.5 * math.log(2 * math.pi)


@likelihood(
    "mean ~ Normal(eta, se)",
    columns="mean se",
    link=IDENTITY,
    effects="MD unnamed",
    normal=True,
    allows_shared_error=True,
    allows_correlated_error=True,
    crude=_mean,
    approximate=lambda arms: (arms["mean"], arms["se"] ** -2),
    information=lambda arms, expected: arms["se"] ** -2,
    deviance=lambda arms, eta: ((arms["mean"] - eta) / arms["se"]) ** 2,
    log_density=_normal_log_density,
)
def normal(name: str, eta: Any, reported: xr.Dataset, dim: str, se: Any = None) -> Any:
    """Arm means with known standard errors; ``se`` is what remains where eta has shared errors."""
    import pymc.dims as pmd

    return pmd.Normal(
        name,
        mu=eta,
        sigma=data_column(reported, "se", dim) if se is None else se,
        observed=data_column(reported, "mean", dim),
    )


@likelihood(
    "mean ~ StudentT(nu, eta, se)",
    columns="mean se",
    link=IDENTITY,
    effects="MD unnamed",
    positive="nu",
    crude=_mean,
)
def student_t(name: str, eta: Any, reported: xr.Dataset, dim: str, *, nu: Any) -> Any:
    """Arm means whose errors have heavy tails, which limits the influence of outlying arms.

    ``se`` is the scale of the t distribution; its SD is se √(nu / (nu − 2)). `normal` is the limit
    of large nu. (Lange, Little and Taylor 1989.)
    """
    import pymc.dims as pmd

    return pmd.StudentT(
        name,
        nu=nu,
        mu=eta,
        sigma=data_column(reported, "se", dim),
        observed=data_column(reported, "mean", dim),
    )


@likelihood(
    "mean ~ Normal(eta, arm_sd / √n); (n − 1) · sd² / arm_sd² ~ ChiSquared(n − 1);"
    " log(arm_sd) ~ Normal(log_sd, sd_spread)",
    columns="mean n",
    link=IDENTITY,
    effects="MD unnamed",
    positive="sd_spread",
    study_parameters="log_sd",
    second_observed="sd",
    crude=_mean_of_sd,
)
def normal_with_sd(
    name: str, eta: Any, reported: xr.Dataset, dim: str, *, log_sd: Any, sd_spread: Any
) -> Any:
    """Arm means and SDs; missing SDs are estimated from those of other arms.

    The SD of an arm's participants is exchangeable between arms on the log scale; a reported SD is
    an estimate of it with n − 1 degrees of freedom. (Stevens 2011.)
    """
    import pymc.dims as pmd
    import pytensor.xtensor.math as xp

    prefix = name.removesuffix("reported")
    z = pmd.Normal(f"{prefix}arm_sd_offset", mu=0, sigma=1, dims=(dim,))
    sd = pmd.Deterministic(f"{prefix}arm_sd", xp.exp(log_sd + sd_spread * z), dims=(dim,))
    n = reported["n"].to_numpy().astype(float)
    with_sd = np.flatnonzero((reported["sd"].to_numpy().astype(float) > 0) & (n > 1))
    if len(with_sd):
        subset, rows = f"{dim}_with_sd", reported.isel({reported["sd"].dims[0]: with_sd})
        add_subset_dim(subset, dim, with_sd)
        half_df = (data_column(rows, "n", subset) - 1) / 2
        pmd.Gamma(
            f"{prefix}reported_variance",
            alpha=half_df,
            beta=half_df / sd.isel({dim: pmd.as_xtensor(with_sd, dims=(subset,))}) ** 2,
            observed=data_column(rows, "sd", subset) ** 2,
        )
    return pmd.Normal(
        name,
        mu=eta,
        sigma=sd / xp.sqrt(data_column(reported, "n", dim)),
        observed=data_column(reported, "mean", dim),
    )


# Responders: counts of participants whose score passed a cut-off, on the scale of the mean score.

RESPONDER_SD, STARTING_LEVEL = "responder_sd", "starting_level"
RESPONDER_TEXT = "responders ~ Binomial(n, Phi(±(cut-off − eta)/responder_sd))"
#: For arms that count them at several cut-offs.
HARDER_CUTOFF_TEXT = "harder ~ Binomial(responders, Phi(harder cut-off)/Phi(cut-off))"

_ROOT_2 = np.sqrt(np.float64(2))
_CUTOFF = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%|points)\s*")


@dataclass(frozen=True, slots=True)
class Cutoff:
    """A response: a relative (``share``) or absolute (``points``) change of the score."""

    share: float
    points: float


def parse_cutoff(text: str) -> Cutoff | None:
    """Parse a cut-off such as "50 %" or "20 points"; None where it is invalid."""
    match = _CUTOFF.fullmatch(str(text))
    number = 0.0 if match is None else float(match[1])
    if match is None or not 0 < number <= (100 if match[2] == "%" else np.inf):
        return None
    return Cutoff(number / 100, 0.0) if match[2] == "%" else Cutoff(0.0, number)


def responder_probit(
    eta: Any, starting_level: Any, sd: Any, *, share: Any, points: Any, lower: bool
) -> Any:
    """Probit of the probability of response in an arm."""
    sign = -1.0 if lower else 1.0
    cutoff = starting_level * (1.0 + sign * share) + sign * points
    return sign * (eta - cutoff) / sd


def observe_responders(name: str, z: Any, easier: Any, *, n: Any, events: Any, dim: str) -> Any:
    """Observe responders among all participants, or among those who passed an easier cut-off."""
    import pymc as pm

    # By log Phi: at a probit of -9 Phi is 0 in doubles, and a responder has log density -inf.
    log_odds = log_odds_from_probit(z) if easier is None else conditional_log_odds(z, easier)
    return pm.Binomial(name, n=n, logit_p=log_odds, observed=events, dims=(dim,))


def conditional_log_odds(z: Any, easier: Any) -> Any:
    """Log odds of passing a cut-off among those who passed an easier one."""
    import pytensor.tensor as pt

    log_share = _log_phi(z) - _log_phi(easier)
    return log_share - pt.log1mexp(log_share)


def log_odds_from_probit(z: Any) -> Any:
    """Log odds of a probit, log Phi(z) - log Phi(-z), accurate in both tails."""
    return _log_phi(z) - _log_phi(-z)


def _log_phi(z: Any) -> Any:
    """The log of Phi(z); PyMC's has √2 in single precision, and eight digits."""
    import pytensor.tensor as pt

    # Each branch is evaluated where it is finite, because infinities make gradients NaN.
    low, high = pt.minimum(z, np.float64(-1)), pt.maximum(z, np.float64(-1))
    tail = pt.log(pt.erfcx(-low / _ROOT_2) / 2) - low**2 / 2
    return pt.switch(z < -1, tail, pt.log1p(-pt.erfc(high / _ROOT_2) / 2))
