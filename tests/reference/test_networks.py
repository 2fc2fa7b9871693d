"""Published results for a network and for single-arm trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nmda_bayes.checks import PRIOR_ONLY, diagnose
from nmda_bayes.estimands import residual_deviance
from nmda_bayes.inference import read_fit
from tests.reference.monte_carlo import compare
from tests.support.quadrature import binomial_normal

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
PINNED = json.loads((HERE / "pinned.json").read_text(encoding="utf-8"))
Fitted = Callable[..., tuple[int, Path]]


def test_smoking_network_agrees_with_jags(fitted: Fitted):
    code, folder = fitted("smoking", "smoking")
    assert code == 0
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    posterior = read_fit(folder)["posterior"].to_dataset()
    compared = []
    for row in PINNED["smoking"]["rows"]:
        variable, agent = row["variable"], row["agent"]
        draws = posterior[variable].sel(agent=agent) if agent else posterior[variable]
        rows = summary[(summary["variable"] == variable) & (summary["agent"] == agent)]
        compared += compare(draws, rows.iloc[0], row)
    frame = pd.DataFrame(compared)
    assert len(frame) == 4 * 4
    assert frame["ok"].all(), frame[~frame["ok"]].to_string()


def test_residual_deviance_of_the_smoking_network(fitted: Fitted):
    # NICE TSD 4, random effects under consistency: total residual deviance 54.0 on 50 data points.
    deviance = residual_deviance(read_fit(fitted("smoking", "smoking")[1]), "quit")
    assert deviance.attrs["data_points"] == 50
    # Printed to one decimal, with a Monte Carlo error like ours.
    limit = 0.05 + 3 * np.sqrt(2) * error_of(deviance["total"], "mean")
    assert limit < 1
    assert abs(deviance.attrs["total"] - 54.0) <= limit, (deviance.attrs, limit)


@pytest.mark.slow
def test_single_arm_trials_predict_a_new_trial(fitted: Fitted):
    code, folder = fitted("spondylitis", "spondylitis")
    assert code == 0
    posterior = read_fit(folder)["posterior"].to_dataset()
    sd = posterior["baseline_between_study"]
    offset = np.random.default_rng(1).standard_normal(sd.shape)
    rate = 1 / (1 + np.exp(-(posterior["baseline_location"] + sd * offset)))
    exact = single_arms(401)
    for name, number in exact.items():
        quantity, statistic = name.split("_")
        draws = sd if quantity == "tau" else rate
        value = value_of(draws, statistic)
        grid = 0.004 if name.startswith("tau_q") else 0.0004
        limit = 3 * error_of(draws, statistic) + grid
        assert abs(value - number) <= limit, (name, value, number, limit)


def test_quadrature_of_single_arms_agrees_with_rbest():
    # Doubling the step changes no mean or median by more than 0.0004.
    exact, printed = single_arms(201), PINNED["spondylitis"]
    # RBesT samples: with an SD of 0.21 (tau) the error of a mean of 4,000 draws is at least 0.003;
    # its quantiles and SDs are too noisy to compare.
    for name in ("tau_mean", "rate_mean", "rate_q50"):
        assert abs(exact[name] - printed[name]) <= 0.003, (name, exact[name])


@cache
def single_arms(points: int) -> dict[str, float]:
    rows = pd.read_csv(HERE / "spondylitis.csv")
    return binomial_normal(
        rows["events"].to_numpy(), rows["n"].to_numpy(), 2.0, stats.halfnorm(scale=1), points=points
    )


@pytest.mark.slow
def test_an_effect_without_data_is_prior_only(fitted: Fitted):
    _, folder = fitted("spondylitis", "spondylitis")
    table = diagnose(read_fit(folder)).identifiability.set_index("variable")
    assert table["conclusion"]["effect"] == PRIOR_ONLY
    assert table["conclusion"]["baseline_location"] != PRIOR_ONLY


def value_of(draws: xr.DataArray, statistic: str) -> float:
    """A mean, an SD or a quantile such as ``q97.5``."""
    if statistic in ("mean", "sd"):
        return float(draws.mean() if statistic == "mean" else draws.std())
    return float(draws.quantile(float(statistic.removeprefix("q")) / 100))


def error_of(draws: xr.DataArray, statistic: str) -> float:
    """Monte Carlo standard error of a mean, an SD or a quantile such as ``q97.5``."""
    if statistic in ("mean", "sd"):
        return float(arviz_stats.mcse(draws, method=statistic))
    prob = float(statistic.removeprefix("q")) / 100
    return float(arviz_stats.mcse(draws, method="quantile", prob=prob))
