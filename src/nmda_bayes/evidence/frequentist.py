"""Classical random-effects meta-analysis, one effect per trial, agent and outcome; sample sizes.

Arms of one agent at several doses are combined, weighted by their people (Cochrane Handbook 6.5,
section 6.5.2.10), and so are several comparator arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtr, stdtrit

from nmda_bayes.evidence.effect_sizes import (
    NO_EVENTS,
    ZERO_CELL,
    Counts,
    FloatArray,
    Means,
    as_arrays,
    log_risk_ratio,
    require,
    standardised_mean_difference,
)
from nmda_bayes.evidence.tree import hours_after_treatment, to_frame
from nmda_bayes.intervals import INTERVAL_LEVEL

#: Trials below which funnel asymmetry is not tested (Sterne 2011).
MIN_FUNNEL_TRIALS = 10
#: Two-sided error and power of the optimal information size.
ALPHA: Final = 0.05
POWER: Final = 0.8

LOG_RISK_RATIO: Final = "log risk ratio"
MEAN_DIFFERENCE_OF_100: Final = "mean difference, points of 100"
STANDARDISED_DIFFERENCE: Final = "standardised mean difference"
MEAN_DIFFERENCE: Final = "md"
#: Columns of effects; the variance of each is in column ``<effect>: v``.
MEASURES: Final = (LOG_RISK_RATIO, MEAN_DIFFERENCE_OF_100, MEAN_DIFFERENCE, STANDARDISED_DIFFERENCE)
CELL_KEYS: Final = ["study", "agent", "condition", "outcome"]
EFFECT_COLUMNS: Final = [
    *CELL_KEYS,
    "kind",
    "people",
    *(column for measure in MEASURES for column in (measure, f"{measure}: v")),
    *(f"control_{name}" for name in ("events", "n", "sd", "se")),
    "factor",
    "unit",
    "crossover",
    "note",
]
_TIME_KEYS: Final = ["time_hours", "time_label", "time_window", "period"]
#: Ranks of periods (first before all) and of windows of rows without an hour.
_PERIOD_RANK: Final = {"first": 0, "all": 2}
_WINDOW_RANK: Final = {"immediate": 0, "short": 1, "medium": 2}


class RandomEffects(NamedTuple):
    """A random-effects meta-analysis and its heterogeneity."""

    estimate: float
    se: float
    lower: float
    upper: float
    tau2: float
    q: float
    i2: float
    prediction_lower: float
    prediction_upper: float
    weights: FloatArray
    trials: int


def dersimonian_laird(estimate: ArrayLike, variance: ArrayLike) -> RandomEffects:
    """Pool effects with the moment estimate of the variance between trials.

    With w = 1/v and k trials::

        Q    = Σ w (y - Σwy/Σw)²
        tau² = max(0, (Q - (k - 1)) / (Σw - Σw²/Σw))
        mean = Σ y/(v + tau²) / Σ 1/(v + tau²),  SE = (Σ 1/(v + tau²))^(-1/2),  mean ± 1.96 SE
        I²   = max(0, (Q - (k - 1)) / Q)
        new trial: mean ± t(0.975; k - 2) √(tau² + SE²)

    References
    ----------
    DerSimonian R, Laird N (1986), Control Clin Trials 7:177, doi:10.1016/0197-2456(86)90046-2.
    Higgins JPT et al. (2003), BMJ 327:557, doi:10.1136/bmj.327.7414.557 (I²). Higgins JPT,
    Thompson SG, Spiegelhalter DJ (2009), J R Stat Soc A 172:137,
    doi:10.1111/j.1467-985X.2008.00552.x (prediction interval, k - 2 degrees of freedom). IntHout J
    et al. (2016), BMJ Open 6:e010247, doi:10.1136/bmjopen-2015-010247.
    """
    y, v, known = _known_effects(estimate, variance)
    weights = np.full(known.shape, np.nan)
    k = y.size
    if k == 0:
        nan = np.nan
        return RandomEffects(nan, nan, nan, nan, nan, nan, nan, nan, nan, weights, 0)
    w = 1 / v
    q = float(np.sum(w * (y - np.average(y, weights=w)) ** 2))
    excess = max(0.0, q - (k - 1)) if k > 1 else 0.0
    tau2 = excess / float(w.sum() - np.sum(w**2) / w.sum()) if k > 1 else 0.0
    i2 = float("nan") if k == 1 else excess / q if q > 0 else 0.0
    pooled = 1 / (v + tau2)
    weights[known] = pooled / pooled.sum()
    mean, se = float(np.average(y, weights=pooled)), float(pooled.sum() ** -0.5)
    upper_tail = 0.5 + INTERVAL_LEVEL / 2
    half = float(ndtri(upper_tail)) * se
    new = float(stdtrit(k - 2, upper_tail)) * np.hypot(np.sqrt(tau2), se) if k > 2 else np.nan
    prediction = float(mean - new), float(mean + new)
    return RandomEffects(mean, se, mean - half, mean + half, tau2, q, i2, *prediction, weights, k)


def egger_p(estimate: ArrayLike, variance: ArrayLike) -> float:
    """Return the p-value of Egger's test of funnel asymmetry.

    The intercept of the regression of y/SE on 1/SE against 0: two-sided, t with k - 2 degrees of
    freedom. NaN for fewer than ten trials, or if all are of one size.

    References
    ----------
    Egger M et al. (1997), BMJ 315:629, doi:10.1136/bmj.315.7109.629. Sterne JAC et al. (2011), BMJ
    343:d4002, doi:10.1136/bmj.d4002 (at least ten trials).
    """
    y, v, _ = _known_effects(estimate, variance)
    se = np.sqrt(v)
    k = se.size
    if k < MIN_FUNNEL_TRIALS or np.ptp(se) == 0:
        return float("nan")
    design = np.column_stack([np.ones(k), 1 / se])
    coefficients, *_ = np.linalg.lstsq(design, y / se, rcond=None)
    residual = float(np.sum((y / se - design @ coefficients) ** 2)) / (k - 2)
    if residual == 0:
        return float("nan")
    intercept_se = np.sqrt(residual * np.linalg.inv(design.T @ design)[0, 0])
    return float(2 * stdtr(k - 2, -abs(float(coefficients[0] / intercept_se))))


def _known_effects(
    estimate: ArrayLike, variance: ArrayLike
) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Return effects and variances of the trials that have both, and which these are."""
    y, v = as_arrays(estimate=estimate, variance=variance)
    require(v > 0, "variance", "must be more than 0", v)
    known = ~np.isnan(y) & ~np.isnan(v)
    return y[known], v[known], known


def usable_arm_results(tree: xr.DataTree, comparators: Sequence[str]) -> pd.DataFrame:
    """Return one usable result per arm and outcome, at one time for all arms of a trial.

    The time is the first at or after the end of treatment, else the last before it, else a row
    without an hour. Strata are left out, and arms whose people are counted in other usable arms.
    """
    arms, results, studies = (to_frame(tree, name) for name in ("arms", "results", "studies"))
    rows = results[results["unusable"] == ""]
    rows = rows.drop(columns=["agent", "dose", "overlaps"], errors="ignore")
    rows = rows.merge(arms[["arm", "agent", "dose", "overlaps"]], on="arm")
    rows = rows[~rows["overlaps"].str.startswith("stratum")]
    rows = rows.merge(studies[["study", "condition_group", "design"]], on="study")
    rows["reference"] = rows["agent"].isin([*comparators]) | (rows["dose"] == 0)
    rows["hours"] = hours_after_treatment(rows, arms)
    for column in ("time_label", "time_window", "period", "unit"):
        rows[column] = rows[column].fillna("") if column in rows else ""
    rows = _at_best_time(rows)
    whole = rows["overlaps"] == ""
    any_whole = whole.groupby([rows[key] for key in ("study", "outcome", "agent")]).transform("any")
    rows = rows[whole | ~any_whole].drop_duplicates(["arm", "outcome"])
    scale = rows["scale_max"] - rows["scale_min"]
    se = rows["se_used"]
    rows = rows.assign(
        condition=rows["condition_group"],
        factor=100 / scale.where(scale > 0),
        se=se,
        sd=rows["sd"].fillna(se * np.sqrt(rows["n"])),
        crossover=(rows["design"] == "crossover") & (rows["period"] != "first"),
    )
    numbers = ["mean", "se", "sd", "n", "events", "factor"]
    return rows[[*CELL_KEYS, "kind", "reference", *numbers, "unit", "crossover"]]


def _at_best_time(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep, for each trial and outcome, the best time at which both sides were measured."""
    hours = rows["hours"]
    period = rows["period"].map(_PERIOD_RANK).fillna(1)
    window = rows["time_window"].map(_WINDOW_RANK).fillna(1)
    ranked = rows.assign(
        period_rank=period,
        hour_kind=np.select([hours >= 0, hours < 0], [0, 1], 2),
        hour_rank=hours.abs().fillna(period * 10 + window),
    ).sort_values(["period_rank", "hour_kind", "hour_rank", "line"], kind="stable")
    ranked["time"] = ranked.groupby(["study", "outcome", *_TIME_KEYS], dropna=False).ngroup()
    sides = ranked.groupby("time")["reference"]
    both = ranked[sides.transform("any") & ~sides.transform("all")]
    return both[both["time"] == both.groupby(["study", "outcome"])["time"].transform("first")]


def effects_from_arms(arms: pd.DataFrame, correction: float | None) -> pd.DataFrame:
    """Compare each agent of each trial with the trial's comparator; columns `EFFECT_COLUMNS`."""
    rows = []
    for (study, outcome), trial in arms.groupby(["study", "outcome"], sort=False):
        controls = trial[trial["reference"]]
        for agent, treated in trial[~trial["reference"]].groupby("agent", sort=False):
            kinds = set(treated["kind"]) & set(controls["kind"])
            if not kinds:
                continue
            kind = min(kinds)
            key = {"study": study, "agent": agent, "outcome": outcome, "kind": kind}
            arm, control = (
                _combine_arms(side[side["kind"] == kind]) for side in (treated, controls)
            )
            effect = _binary_effect if kind == "binary" else _continuous_effect
            rows.append(
                key
                | {"condition": treated["condition"].iloc[0], "note": ""}
                | _shared_columns(arm, control)
                | effect(arm, control, correction)
            )
    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


def _combine_arms(arms: pd.DataFrame) -> dict[str, Any]:
    """Combine the arms of one side: counts added, means weighted by people."""
    columns = ("n", "events", "mean", "se", "sd", "factor")
    n, events, mean, se, sd, factor = (arms[c].to_numpy(float) for c in columns)
    weight = 1 / se**2 if np.isnan(n).any() else n
    share = weight / weight.sum()
    freedom = (n - 1).sum()
    return {
        "n": n.sum(),
        "people": np.nansum(n),
        "largest": np.nanmax([*n, 0.0]),
        "events": events.sum(),
        "mean": float((share * mean).sum()),
        "se": float(np.sqrt((share**2 * se**2).sum())),
        "sd": float(np.sqrt(((n - 1) * sd**2).sum() / freedom)) if freedom > 0 else np.nan,
        "factor": factor[0] if (factor == factor[0]).all() else np.nan,
        "unit": str(arms["unit"].iloc[0]),
        "crossover": bool(arms["crossover"].any()),
    }


def _shared_columns(arm: dict[str, Any], control: dict[str, Any]) -> dict[str, Any]:
    crossover = arm["crossover"] or control["crossover"]
    same_people = max(arm["largest"], control["largest"])
    return {
        "people": same_people if crossover else arm["people"] + control["people"],
        "crossover": crossover,
        "unit": arm["unit"],
        "factor": arm["factor"],
        "control_n": control["n"],
    }


def _binary_effect(
    arm: dict[str, Any], control: dict[str, Any], correction: float | None
) -> dict[str, Any]:
    arms = (Counts(side["events"], side["n"]) for side in (arm, control))
    effect = log_risk_ratio(*arms, correction=correction)
    note = next((n for n in (NO_EVENTS, ZERO_CELL) if str(effect.note).startswith(n)), "")
    no_events = note == NO_EVENTS
    return {
        LOG_RISK_RATIO: np.nan if no_events else float(effect.estimate),
        f"{LOG_RISK_RATIO}: v": np.nan if no_events else float(effect.variance),
        "note": note,
        "control_events": control["events"],
    }


def _continuous_effect(
    arm: dict[str, Any], control: dict[str, Any], correction: float | None
) -> dict[str, Any]:
    difference, variance = arm["mean"] - control["mean"], arm["se"] ** 2 + control["se"] ** 2
    variance = variance if variance > 0 else np.nan
    factor = arm["factor"] if arm["factor"] == control["factor"] else np.nan
    means = (
        Means(side["mean"], side["sd"], side["n"] if side["n"] > 1 else np.nan)
        for side in (arm, control)
    )
    standardised = standardised_mean_difference(*means, exact=True)
    effects = {
        MEAN_DIFFERENCE: (difference, variance),
        MEAN_DIFFERENCE_OF_100: (factor * difference, factor**2 * variance),
        STANDARDISED_DIFFERENCE: (float(standardised.estimate), float(standardised.variance)),
    }
    return {
        **{measure: estimate for measure, (estimate, _) in effects.items()},
        **{f"{measure}: v": v for measure, (_, v) in effects.items()},
        "control_sd": control["sd"],
        "control_se": control["se"],
    }


def effects_from_contrasts(tree: xr.DataTree, comparators: Sequence[str]) -> pd.DataFrame:
    """Return reported differences from the comparator; columns `EFFECT_COLUMNS`."""
    rows = to_frame(tree, "contrasts")
    rows = rows[rows["unusable"] == ""]
    reference = rows["comparator"].isin([*comparators]) | (rows["comparator_dose"] == 0)
    rows = rows[reference & ~rows["agent"].isin([*comparators]) & (rows["dose"] != 0)]
    rows = rows.sort_values(["time_hours", "line"]).drop_duplicates(["study", "agent", "outcome"])
    scale = rows["scale_max"] - rows["scale_min"]
    factor = 100 / scale.where((scale > 0) & (rows["measure"] == "MD"))
    is_ratio = rows["measure"] == "log_RR"
    variance = (rows["se"] ** 2).where(rows["se"] > 0)
    binary = rows["measure"].isin(["log_RR", "log_OR", "RD", "log_IRR", "log_HR"])
    effects = {
        LOG_RISK_RATIO: rows["estimate"].where(is_ratio),
        f"{LOG_RISK_RATIO}: v": variance.where(is_ratio),
        MEAN_DIFFERENCE_OF_100: factor * rows["estimate"],
        f"{MEAN_DIFFERENCE_OF_100}: v": factor**2 * variance,
    }
    return rows.assign(
        kind=np.where(binary, "binary", "continuous"),
        people=rows["n_treat"].fillna(0) + rows["n_control"].fillna(0),
        crossover=False,
        note="",
        unit="",
        factor=factor,
        **effects,
    ).reindex(columns=EFFECT_COLUMNS)


def sample_size_means(difference: float, sd: float) -> float:
    """Return the people of a two-arm trial for a mean difference, 4 (z₁ + z₂)² sd² / difference².

    References
    ----------
    Julious SA (2004), Stat Med 23:1921, doi:10.1002/sim.1783.
    """
    return 4 * _z_sum() ** 2 * sd**2 / difference**2


def sample_size_risks(risk: float, comparator_risk: float) -> float:
    """Return the people of a two-arm trial for two risks, 2 (z₁ + z₂)² Σ p (1 - p) / (p₁ - p₂)².

    References
    ----------
    Julious SA (2004), Stat Med 23:1921, doi:10.1002/sim.1783.
    """
    if not (0 < comparator_risk < 1 and 0 < risk < 1):
        return float("nan")
    variance = risk * (1 - risk) + comparator_risk * (1 - comparator_risk)
    return 2 * _z_sum() ** 2 * variance / (risk - comparator_risk) ** 2


def _z_sum() -> float:
    return float(ndtri(1 - ALPHA / 2) + ndtri(POWER))


def information_size(trials: pd.DataFrame, measure: str, difference: float) -> float:
    """Return the people that one trial needs to detect a difference in this population."""
    is_ratio = measure == LOG_RISK_RATIO
    if difference == (1 if is_ratio else 0) or (is_ratio and difference <= 0):
        raise ValueError(f"{difference:g} is not a difference in the {measure}")
    if is_ratio:
        known = trials.dropna(subset=["control_events", "control_n"])
        people = known["control_n"].sum()
        risk = known["control_events"].sum() / people if people else np.nan
        return sample_size_risks(risk * difference, risk)
    if measure == STANDARDISED_DIFFERENCE:
        return sample_size_means(difference, 1.0)
    freedom = (trials["control_n"] - 1).where(trials["control_sd"].notna())
    if not freedom.sum() > 0:
        return float("nan")
    sd = trials["factor"].fillna(1.0) * trials["control_sd"]
    return sample_size_means(difference, float(np.sqrt((sd**2 * freedom).sum() / freedom.sum())))
