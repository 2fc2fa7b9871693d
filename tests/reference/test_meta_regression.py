"""BCG vaccine and latitude: exact inference against a sum over tau and against R."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import integrate_posterior
from nmda_bayes.model import build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs

HERE = Path(__file__).parent
#: Absolute latitude of the 13 trials: column ablat of dat.bcg (R package metadat), in its order.
LATITUDE = [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]
CENTRE = 33.0
LOCATION, SLOPE, TAU = 4.0, 1.0, 0.5


def by_summing(y: np.ndarray, se: np.ndarray, x: np.ndarray) -> dict[str, float]:
    """The posterior by generalised least squares at each of 600 values of tau."""
    design = np.column_stack([np.ones_like(x), x - CENTRE])
    prior = np.diag([LOCATION**-2.0, SLOPE**-2.0])
    taus = np.linspace(1e-4, 3, 600)
    logs, means, squares = [], [], []
    for tau in taus:
        covariance = np.diag(se**2 + tau**2)
        precision = prior + design.T @ np.linalg.solve(covariance, design)
        mean = np.linalg.solve(precision, design.T @ np.linalg.solve(covariance, y))
        marginal = covariance + design @ np.linalg.solve(prior, design.T)
        logs.append(stats.multivariate_normal(np.zeros(len(y)), marginal).logpdf(y))
        means.append(mean)
        squares.append(np.diag(np.linalg.inv(precision)) + mean**2)
    weight = np.exp(logs - np.max(logs)) * stats.halfnorm(0, TAU).pdf(taus)
    weight /= weight.sum()
    mean, square = weight @ np.array(means), weight @ np.array(squares)
    sd = np.sqrt(square - mean**2)
    moments = {"effect": mean[0], "slope": mean[1], "effect_sd": sd[0], "slope_sd": sd[1]}
    return moments | {"tau": float(weight @ taus)}


@pytest.mark.reference
def test_slope_over_latitude():
    rows = pd.read_csv(HERE / "bcg.csv").assign(latitude=LATITUDE)
    latitude = {"prior": specs.normal(0, SLOPE), "centre": CENTRE, "unit": 1.0}
    effect = specs.parameter(location=specs.normal(0, LOCATION))
    parameters = {
        "effect": effect | {"covariates": {"latitude": latitude}},
        "heterogeneity_sd": specs.parameter(location=specs.half_normal(TAU)),
    }
    outcome = specs.outcome("normal_contrast", "constant", "arm", parameters)
    spec: AnalysisSpec = specs.spec(outcome, reference="control")
    design = build_design(spec, load_evidence(rows))
    fit = integrate_posterior(spec, design, build_model_from_design(spec, design))
    exact = fit["exact"]
    y, se = (rows[c].to_numpy() for c in ("estimate", "se"))
    expected = by_summing(y, se, np.array(LATITUDE, float))
    slope, effect, tau = (exact[n] for n in ("effect_per_latitude", "effect", "heterogeneity_sd"))
    assert slope.dims == effect.dims == ("statistic",)
    assert_allclose(slope.sel(statistic="mean"), expected["slope"], rtol=1e-3)
    assert_allclose(slope.sel(statistic="sd"), expected["slope_sd"], rtol=1e-3)
    assert_allclose(effect.sel(statistic="mean"), expected["effect"], rtol=1e-3)
    assert_allclose(effect.sel(statistic="sd"), expected["effect_sd"], rtol=1e-3)
    assert_allclose(tau.sel(statistic="mean"), expected["tau"], rtol=1e-3)
    # metafor 3.8-1, rma(yi, vi, mods = ~ ablat) on dat.bcg by REML: -0.02910 (SE 0.00720). A prior
    # on tau gives another estimator: within a tenth of the standard error.
    assert_allclose(slope.sel(statistic="mean"), -0.0291, atol=0.1 * 0.0072)
