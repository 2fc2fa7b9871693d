"""A fit by NUTS of the eight schools as two-arm trials, against quadrature."""

from __future__ import annotations

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs

EFFECTS = np.array([28, 8, -3, 7, -1, 1, 18, 12.0])
SE = np.array([15, 10, 16, 11, 9, 11, 10, 18.0])
BASELINE_SD, EFFECT_SD, HETEROGENEITY = 50.0, 20.0, 10.0
SAMPLING = {"seed": 8, "chains": 4, "draws": 500, "tune": 500, "target_accept": 0.9}


def schools() -> pd.DataFrame:
    """Each effect as a control arm at 0 and a coached arm, with half the variance each."""
    arms = [
        {"study": f"school {i}", "agent": agent, "mean": mean, "se": se / np.sqrt(2)}
        for i, (effect, se) in enumerate(zip(EFFECTS, SE, strict=True))
        for agent, mean in (("placebo", 0.0), ("coaching", effect))
    ]
    return pd.DataFrame(arms)


def analysis() -> AnalysisSpec:
    parameters = {
        "effect": specs.parameter(location=specs.normal(0, EFFECT_SD)),
        "baseline": specs.parameter("independent", each=specs.normal(0, BASELINE_SD)),
        "heterogeneity_sd": specs.parameter(location=specs.half_normal(HETEROGENEITY)),
    }
    outcome = specs.outcome("normal", "constant", parameters=parameters)
    return AnalysisSpec.from_dict(specs.content(outcome) | {"sampling": SAMPLING})


def by_quadrature() -> dict[str, float]:
    """Posterior moments: given tau all is normal; tau by the trapezoidal rule.

    The two arms of a school are normal with variance BASELINE_SD² + tau²/2 + se²/2 each and
    covariance BASELINE_SD²; the effect shifts the second, and its normal prior is conjugate.
    """
    tau = np.linspace(0, 80, 4001)
    log_weight = stats.halfnorm(0, HETEROGENEITY).logpdf(tau)
    precision, weighted = np.full_like(tau, 1 / EFFECT_SD**2), np.zeros_like(tau)
    for effect, se in zip(EFFECTS, SE, strict=True):
        total = tau**2 / 2 + se**2 / 2 + BASELINE_SD**2
        determinant = total**2 - BASELINE_SD**4
        precision += total / determinant
        weighted += effect * total / determinant
        log_weight += -0.5 * (np.log(determinant) + effect**2 * total / determinant)
    log_weight += 0.5 * weighted**2 / precision - 0.5 * np.log(precision)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weighted / precision
    effect = (weight * mean).sum()
    return {
        "effect": effect,
        "effect_sd": np.sqrt((weight * (1 / precision + mean**2)).sum() - effect**2),
        "heterogeneity_sd": (weight * tau).sum(),
        "heterogeneity_median": tau[np.searchsorted(weight.cumsum(), 0.5)],
    }


@pytest.fixture(scope="module")
def fitted() -> xr.DataTree:
    return inference.fit(analysis(), load_evidence(schools()))


def test_posterior_moments(fitted):
    expected, draws = by_quadrature(), fitted["posterior"].to_dataset()
    for name in ("effect", "heterogeneity_sd"):
        # Four Monte Carlo standard errors: a false alarm in 1 of 16,000 seeds.
        error = float(arviz_stats.mcse(draws[[name]], method="mean")[name])
        assert abs(float(draws[name].mean()) - expected[name]) < 4 * error
        assert error < 0.5  # precise enough to be a test
    sd_error = float(arviz_stats.mcse(draws[["effect"]], method="sd")["effect"])
    assert abs(float(draws["effect"].std()) - expected["effect_sd"]) < 4 * sd_error
    ess = float(arviz_stats.ess(draws[["heterogeneity_sd"]], method="median")["heterogeneity_sd"])
    below = float((draws["heterogeneity_sd"] < expected["heterogeneity_median"]).mean())
    assert abs(below - 0.5) < 4 * 0.5 / np.sqrt(ess)


def test_dims_of_the_draws(fitted):
    posterior = fitted["posterior"].to_dataset()
    assert posterior["effect"].dims == ("chain", "draw")
    assert posterior["baseline"].dims == ("chain", "draw", "study")
    assert posterior["eta"].dims == ("chain", "draw", "arm")
    assert posterior.sizes["chain"] == 4
    assert posterior.sizes["draw"] == 500
    assert posterior["study"].to_numpy().tolist() == [f"school {i}" for i in range(8)]


def test_log_likelihood(fitted):
    eta = fitted["posterior"]["eta"]
    frame = schools()
    expected = stats.norm(eta.to_numpy(), frame["se"].to_numpy()).logpdf(frame["mean"].to_numpy())
    np.testing.assert_allclose(fitted["log_likelihood"]["reported"].to_numpy(), expected, rtol=1e-8)


def test_same_seed_same_draws(fitted):
    again = inference.fit(analysis(), load_evidence(schools()))
    for group in ("posterior", "posterior_predictive", "prior"):
        xr.testing.assert_equal(again[group].to_dataset(), fitted[group].to_dataset())
