"""Classic random-effects meta-analyses: a constant curve on contrasts with known errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nmda_bayes.estimands import study_effects
from nmda_bayes.inference import read_fit
from tests.support.quadrature import normal_normal

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
Fitted = Callable[..., tuple[int, Path]]

SLOW = pytest.mark.slow
SCHOOLS = (50.0, stats.halfcauchy(scale=25))
CRINS = (4.0, stats.halfnorm(scale=0.5))


@pytest.mark.parametrize(
    ("spec", "evidence", "outcome", "priors"),
    [
        ("eight_schools", "eight_schools", "score", SCHOOLS),
        # The others are tested without sampling in tests/inference/test_exact.py.
        pytest.param("eight_schools", "eight_schools_rounded", "score", SCHOOLS, marks=SLOW),
        pytest.param("crins2014", "crins2014", "rejection", CRINS, marks=SLOW),
        pytest.param("bcg", "bcg", "tuberculosis", CRINS, marks=SLOW),
    ],
)
def test_posterior_agrees_with_quadrature(
    fitted: Fitted, spec: str, evidence: str, outcome: str, priors: tuple[float, Any]
):
    code, folder = fitted(spec, evidence)
    assert code == 0
    exact = by_quadrature(evidence, priors)
    for name, (value, error) in statistics(read_fit(folder), outcome).items():
        assert abs(value - exact[name]) <= 3 * error, (name, value, exact[name], error)


@pytest.mark.parametrize(
    ("evidence", "priors"), [("eight_schools", SCHOOLS), ("crins2014", CRINS), ("bcg", CRINS)]
)
def test_quadrature_agrees_with_bayesmeta(evidence: str, priors: tuple[float, Any]):
    exact = by_quadrature(evidence, priors)
    pinned = json.loads((HERE / "pinned.json").read_text())[evidence]["numbers"]
    # bayesmeta integrates too, to a relative accuracy of 1e-3 (its delta and epsilon).
    for name, number in pinned.items():
        assert exact[name] == pytest.approx(number, rel=1.5e-3), name


def by_quadrature(evidence: str, priors: tuple[float, Any]) -> dict[str, float]:
    rows = pd.read_csv(HERE / f"{evidence}.csv")
    return normal_normal(rows["estimate"].to_numpy(), rows["se"].to_numpy(), *priors)


def statistics(fit: xr.DataTree, outcome: str) -> dict[str, tuple[float, float]]:
    """The pinned statistics of a fit, with Monte Carlo errors."""
    mu, tau = (fit["posterior"][name] for name in ("effect", "heterogeneity_sd"))
    new = study_effects(fit, outcome)["predicted"].isel(arm=0)
    quantities = {
        "mu_mean": (mu, "mean"),
        "mu_sd": (mu, "sd"),
        "tau_mean": (tau, "mean"),
        "tau_sd": (tau, "sd"),
        "tau_q50": (tau, "median"),
        "new_trial_sd": (new, "sd"),
    }
    compute = {"mean": np.mean, "sd": np.std, "median": np.median}
    return {
        name: (float(compute[kind](draws.values)), float(arviz_stats.mcse(draws, method=kind)))
        for name, (draws, kind) in quantities.items()
    }
