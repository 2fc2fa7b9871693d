"""Published answers beyond one contrast a trial: a network, and trials of single arms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nmda_bayes.checks import PRIOR_ONLY, check
from nmda_bayes.inference import read_fit
from tests.reference.quadrature import binomial_normal

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
PINNED = json.loads((HERE / "pinned.json").read_text(encoding="utf-8"))
Fitted = Callable[..., tuple[int, Path]]


def near(found: float, printed: float, error: float) -> bool:
    """Within three combined errors and half of the last digit printed.

    The printed run had 4,000 draws (multinma's default), of which a heterogeneity SD keeps a few
    hundred effective ones against our two thousand: its error is taken to be twice ours.
    """
    return abs(found - printed) <= 3 * np.hypot(error, 2 * error) + 0.005


def test_smoking_network_agrees_with_multinma(fitted: Fitted):
    code, folder = fitted("smoking", "smoking")
    assert code == 0
    summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    posterior = read_fit(folder)["posterior"].to_dataset()
    for row in PINNED["smoking"]["rows"]:
        variable, agent = row["variable"], row["agent"]
        draws = posterior[variable].sel(agent=agent) if agent else posterior[variable]
        mine = summary[(summary["variable"] == variable) & (summary["agent"] == agent)].iloc[0]
        for statistic in row.keys() - {"variable", "agent"}:
            error = error_of(draws, statistic)
            assert near(mine[statistic], row[statistic], error), (variable, agent, statistic)


def test_trials_of_single_arms_predict_the_next_one(fitted: Fitted):
    code, folder = fitted("spondylitis", "spondylitis")
    assert code == 0
    posterior = read_fit(folder)["posterior"].to_dataset()
    spread = posterior["baseline_between_study"]
    offset = np.random.default_rng(1).standard_normal(spread.shape)
    rate = 1 / (1 + np.exp(-(posterior["baseline_location"] + spread * offset)))
    exact = single_arms()
    for name, number in exact.items():
        of, statistic = name.split("_")
        draws = spread if of == "tau" else rate
        found = value_of(draws, statistic)
        grid = 0.004 if name.startswith("tau_q") else 0.0004
        limit = 3 * error_of(draws, statistic) + grid
        assert abs(found - number) <= limit, (name, found, number, limit)


def test_the_integral_over_single_arms_is_what_rbest_prints():
    exact, printed = single_arms(), PINNED["spondylitis"]
    # RBesT samples; its means of 8,000 draws are good to 0.003 and its tails, looser, are not held.
    for name in ("tau_mean", "rate_mean", "rate_q50"):
        assert abs(exact[name] - printed[name]) <= 0.003, (name, exact[name])


def single_arms() -> dict[str, float]:
    rows = pd.read_csv(HERE / "spondylitis.csv")
    return binomial_normal(
        rows["events"].to_numpy(), rows["n"].to_numpy(), 2.0, stats.halfnorm(scale=1)
    )


def test_an_effect_that_no_arm_has_is_called_its_prior(fitted: Fitted):
    _, folder = fitted("spondylitis", "spondylitis")
    told = check(read_fit(folder)).identifiability.set_index("variable")["verdict"]
    assert told["effect"] == PRIOR_ONLY
    assert told["baseline_location"] != PRIOR_ONLY


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
