"""Biases against R's metafor 3.8-1 (`selection.R` prints every number below)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import optimize, special, stats

from nmda_bayes.components.bias import BIASES
from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles, integrate_posterior
from nmda_bayes.inference.normal_regression import GRID_POINT, build_regression, solve_regression
from nmda_bayes.model import build_model_from_design, model_outcomes
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs

HERE = Path(__file__).parent
pytestmark = pytest.mark.reference

#: Table, sign of a beneficial effect, steps; then selmodel(type = "stepfun"): beta, tau²,
#: relative probabilities of publication, log-likelihood.
STEPFUN = {
    "hackshaw1998, two steps": (
        ("hackshaw1998.csv", 1, [0.025, 0.5]),
        (0.07656854867, 0.01522566095, [0.4598665081, 0.1495371286], -8.14789726757),
    ),
    "hackshaw1998, one step": (
        ("hackshaw1998.csv", 1, [0.1]),
        (0.14157280258, 0.01310284627, [0.4819901721], -9.30762744788),
    ),
    "bcg, lower is better": (
        ("bcg.csv", -1, [0.025]),
        (-0.6205636233, 0.2912394546, [0.6355361093], -12.5438266065),
    ),
}


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = pd.read_csv(HERE / name)
    return rows["estimate"].to_numpy(), rows["se"].to_numpy()


def log_density(
    x: np.ndarray, y: np.ndarray, se: np.ndarray, steps: list[float], sign: int
) -> float:
    """The log density of published estimates, trial effects integrated out, by our formula."""
    mean, sd, published = x[0], np.hypot(se, np.exp(x[1] / 2)), [1.0, *np.exp(x[2:])]
    limits = [-special.ndtri(step) * se for step in steps]
    passed = [1.0 * (sign * y >= limit) for limit in limits]
    probabilities = [special.ndtr((sign * mean - limit) / sd) for limit in limits]
    factor = BIASES["selection"].formula(passed, probabilities, published=published)
    return float((stats.norm.logpdf(y, mean, sd) + np.log(factor)).sum())


@pytest.mark.parametrize("case", STEPFUN)
def test_selection_model_has_the_maximum_of_metafor(case):
    (name, sign, steps), (beta, tau2, published, maximum) = STEPFUN[case]
    y, se = table(name)
    result = optimize.minimize(
        lambda x: -log_density(x, y, se, steps, sign),
        np.array([y.mean(), np.log(0.05), *np.full(len(steps), -0.5)]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 9999, "maxfev": 9999},
    )
    # The maximum agrees to nine digits, its location to five: the surface is flat there.
    assert_allclose(-result.fun, maximum, atol=1e-8)
    at = np.array([beta, np.log(tau2), *np.log(published)])
    assert_allclose(log_density(at, y, se, steps, sign), maximum, atol=1e-8)
    assert_allclose(result.x[0], beta, atol=1e-5)
    assert_allclose(np.exp(result.x[1]), tau2, rtol=1e-4)
    assert_allclose(np.exp(result.x[2:]), published, rtol=1e-4)


def small_study(heterogeneity: str) -> AnalysisSpec:
    wide = specs.normal(0, 100)
    return specs.spec(
        specs.outcome(
            "normal_contrast",
            "constant",
            heterogeneity,
            {"effect": specs.parameter(location=wide)},
            better="higher",
            bias={"small_study": {"prior": wide}},
        ),
        reference="none",
    )


def test_regression_on_the_standard_error():
    spec, evidence = small_study("none"), load_evidence(pd.read_csv(HERE / "hackshaw1998.csv"))
    design = build_design(spec, evidence)
    assert exact_obstacles(spec, design) == []
    fit = integrate_posterior(spec, design, build_model_from_design(spec, design))
    # rma(yi, vi, mods = ~ sqrt(vi), method = "FE"): intercept and slope with their standard errors.
    # A prior of SD 100 shrinks them by 1e-5.
    effect, slope = (fit["exact"][n].to_series() for n in ("effect", "bias_small_study"))
    assert_allclose(effect[["mean", "sd"]], [0.005037323075, 0.07949431844], rtol=2e-3, atol=1e-5)
    assert_allclose(slope[["mean", "sd"]], [0.901932653855, 0.35033858028], rtol=1e-4)


def test_random_effects_regression_given_tau():
    spec, evidence = small_study("arm"), load_evidence(pd.read_csv(HERE / "hackshaw1998.csv"))
    (outcome,) = model_outcomes(spec, build_design(spec, evidence))
    # regtest(model = "rma", predictor = "sei") of an ML fit: the limit as the standard error goes
    # to 0, and the slope (z = 2.1713), at its tau² of 0.01234152144.
    tau = xr.DataArray([np.sqrt(0.01234152144)], dims=GRID_POINT)
    regression = build_regression(outcome, {"heterogeneity_sd": tau})
    solved = solve_regression(regression)
    at = [regression.latents.blocks[n].start for n in ("effect", "bias_small_study")]
    assert_allclose(solved.mean[0, at], [0.01885660161, 0.85429498077], rtol=2e-3, atol=2e-5)
    variance = np.linalg.inv(solved.root[0] @ solved.root[0].T)[at, at]
    assert_allclose(np.sqrt(variance), [0.09821161951, 0.39344179099], rtol=1e-4)
