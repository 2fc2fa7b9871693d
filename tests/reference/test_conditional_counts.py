"""Catheter infections with zero cells: the conditional likelihood against metafor.

The density of each trial comes from the graph; its log odds ratio, Normal(mu, tau²) between trials,
is integrated here by Gauss-Hermite quadrature, and the likelihood is maximised. `rare_events.R`
prints the expected numbers (metafor 3.8-1, BiasedUrn 2.0.9).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import interpolate, optimize, special

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.evidence.effect_sizes import Counts, log_odds_ratio
from nmda_bayes.inference.normal_regression import GRID_POINT, build_regression, solve_regression
from nmda_bayes.model import PY_MODE, build_model, model_outcomes
from tests.support import specs

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
NODES = 41


@pytest.fixture(scope="module")
def trial_densities():
    """Log density of each trial at a log odds ratio, from the graph."""
    spec = specs.spec(specs.outcome("hypergeometric", "constant", "none"), reference="standard")
    model = build_model(spec, load_evidence(HERE / "nielweise2007.csv"))
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, mode=PY_MODE)
    grid = np.linspace(-14, 10, 481)
    table = xr.DataArray(
        [compiled({"effect": np.array(x)})[0] for x in grid],
        {"study": ("arm", [str(arm).split(": ")[0] for arm in model.coords["arm"]])},
        ("effect", "arm"),
    )
    trials = table.groupby("study").sum()
    return interpolate.CubicSpline(grid, trials.transpose("effect", "study").to_numpy())


def log_likelihood(trial_densities, mu: float, tau: float) -> float:
    z, weight = np.polynomial.hermite_e.hermegauss(NODES)
    density = trial_densities(np.clip(mu + tau * z, -14, 10))
    share = np.log(weight / weight.sum())[:, None]
    return float(special.logsumexp(density + share, axis=0).sum())


def test_conditional_likelihood(trial_densities):
    def minus(x):
        return -log_likelihood(trial_densities, x[0], np.exp(x[1]))

    result = optimize.minimize(
        minus, [-1.0, -0.5], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
    )
    assert result.success
    # rma.glmm(measure = "OR", model = "CM.EL"), by quadrature with an accuracy of 1e-3.
    assert_allclose(result.x[0], -1.353158, atol=1e-3)
    assert_allclose(np.exp(result.x[1]), 0.832742, atol=1e-3)
    assert_allclose(-result.fun, -24.94446, atol=1e-3)
    steps = 1e-3 * np.array([[1, 0], [0, 1]])
    x, signs = result.x, (1, -1)
    information = [
        [sum(a * b * minus(x + a * u + b * v) for a in signs for b in signs) for v in steps]
        for u in steps
    ]
    covariance = np.linalg.inv(np.array(information) / (4 * 1e-6))
    assert_allclose(np.sqrt(covariance[0, 0]), 0.3510682, atol=1e-3)


def test_a_trial_without_events_is_uninformative(trial_densities):
    rows = pd.read_csv(HERE / "nielweise2007.csv")
    no_events = sorted(rows["study"].unique()).index("15 Yucel 2004")
    assert rows.loc[rows["study"] == "15 Yucel 2004", "events"].sum() == 0
    assert_allclose(trial_densities(np.array([-3.0, 0.0, 2.0]))[:, no_events], 0.0, atol=1e-12)


def test_normal_approximation():
    """rma(measure = "OR", drop00 = TRUE) by REML, half an event added to empty cells."""
    rows = pd.read_csv(HERE / "nielweise2007.csv").pivot_table(index="study", columns="agent")
    rows = rows[rows["events"].sum(axis=1) > 0]
    coated, standard = (Counts(rows["events", s], rows["n", s]) for s in ("coated", "standard"))
    effects = log_odds_ratio(coated, standard, correction=0.5)
    table = pd.DataFrame(
        {
            "study": rows.index.to_numpy(),
            "agent": "coated",
            "comparator": "standard",
            "estimate": effects.estimate,
            "se": np.sqrt(effects.variance),
        }
    )
    # A normal prior as wide as 1e4 integrates the effect out as REML does.
    wide = {"effect": specs.parameter(location=specs.normal(0, 1e4))}
    spec = specs.spec(
        specs.outcome("normal_contrast", "constant", "arm", wide), reference="standard"
    )
    outcome = next(model_outcomes(spec, build_design(spec, load_evidence(table))))

    def regression_at(tau: float):
        return build_regression(outcome, {"heterogeneity_sd": xr.DataArray([tau], dims=GRID_POINT)})

    result = optimize.minimize_scalar(
        lambda log_tau: -solve_regression(regression_at(np.exp(log_tau))).log_evidence[0],
        bounds=(-6, 2),
        method="bounded",
        options={"xatol": 1e-7},
    )
    tau = float(np.exp(result.x))
    assert_allclose(tau, 0.1885861, atol=1e-3)
    regression = regression_at(tau)
    i = regression.latents.blocks["effect"].start
    solved = solve_regression(regression)
    assert_allclose(solved.mean[0, i], -0.980383, atol=1e-3)
    covariance = np.linalg.inv(solved.root[0] @ solved.root[0].T)
    assert_allclose(np.sqrt(covariance[i, i]), 0.2434752, atol=1e-3)
