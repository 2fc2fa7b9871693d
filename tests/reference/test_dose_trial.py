"""A binary dose-finding trial with every curve (Ho et al. 2008, migraine, pain-free).

At the maximum likelihood each curve's deviance is that of R's glm, or of DoseFinding's formula
maximised by optim (`migraine.R`); the isotonic one's is SciPy's. Each curve is also fitted with its
suggested priors for the tested doses, and weighed by its predictions of arms.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import optimize, stats
from scipy.special import gammaln, logit

from nmda_bayes import inference
from nmda_bayes.checks import diagnose, study_elpd
from nmda_bayes.checks.leave_one_study_out import optimise_stacking
from nmda_bayes.components.curves import CURVES, Curve
from nmda_bayes.evidence import load_evidence
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs

HERE = Path(__file__).parent
ROWS = pd.read_csv(HERE / "migraine.csv")
DEVIANCE = json.loads((HERE / "migraine.json").read_text())
TESTED = tuple(float(dose) for dose in ROWS["dose"] if dose > 0)
OPTIONS: dict[str, dict[str, Any]] = {
    "fractional_polynomial": {"powers": (0.5, 1.0), "origin": 0.0},
    "restricted_cubic_spline": {"knots": (2.5, 20.0, 100.0)},
    "integrated_two_parameter": {"top_dose": 200.0},
    "monotone_steps": {"steps": TESTED},
    "monotone_spline": {"inner_knots": (20.0,), "top_dose": 200.0},
    "gaussian_process": {"top_dose": 200.0, "basis_functions": 6},
}


def curve_of(name: str) -> Curve:
    return CURVES[name].with_options(OPTIONS.get(name, {}))


DOSE, EVENTS, PEOPLE = (ROWS[column].to_numpy(float) for column in ("dose", "events", "n"))
#: Log binomial coefficients.
COEFFICIENTS = (gammaln(PEOPLE + 1) - gammaln(EVENTS + 1) - gammaln(PEOPLE - EVENTS + 1)).sum()


def log_likelihood(eta: np.ndarray) -> float:
    return float(COEFFICIENTS + (EVENTS * eta - PEOPLE * np.logaddexp(0, eta)).sum())


FULL = log_likelihood(logit(EVENTS / PEOPLE))


def least_deviance(curve: Curve) -> float:
    """The deviance of a curve at its maximum likelihood, from the saturated model."""

    def loss(values: np.ndarray) -> float:
        theta = dict(zip(curve.parameters, values[1:], strict=True))
        with np.errstate(all="ignore"):
            value = -log_likelihood(values[0] + curve.response(DOSE, theta, np))
        return value if np.isfinite(value) else 1e6

    advice = curve.prior_suggestions(TESTED)
    middle = [-2.0, *(advice[name].as_spec(2.0)["kwargs"]["mu"] for name in curve.parameters)]
    # An effect of 0 is a saddle point: start from a positive one.
    initial = [1.0 if name in ("effect", "emax", "top") else 0.0 for name in curve.parameters]
    spread = [0.0, *(advice[name].as_spec(0.6)["kwargs"]["sigma"] for name in curve.parameters)]
    best = np.inf
    for shift in (0.0, -1.0):
        at = np.array(middle) + np.array([0.0, *initial]) + shift * np.array(spread) / 2
        for _ in range(4):
            steps = {"maxfev": 1000, "xatol": 1e-6, "fatol": 1e-8}
            at = optimize.minimize(loss, at, method="Nelder-Mead", options=steps).x
        best = min(best, loss(at))
    return 2 * (best + FULL)


@pytest.mark.reference
@pytest.mark.parametrize("name", DEVIANCE)
def test_deviance_is_that_of_r(name):
    """Optimisers differ by the gain of their last steps; a limit is only approached."""
    assert_allclose(least_deviance(curve_of(name)), DEVIANCE[name], atol=0.01)


@pytest.mark.reference
def test_best_steps_are_the_isotonic_regression():
    levels = optimize.isotonic_regression(EVENTS / PEOPLE, weights=PEOPLE).x
    expected = 2 * (FULL - log_likelihood(logit(levels)))
    curve = curve_of("monotone_steps")
    shares = np.diff(logit(levels))
    weights = np.log(np.maximum(shares, 1e-9))
    theta = {"top": shares.sum()} | {
        f"log_weight_{i}": w - weights[0] for i, w in enumerate(weights[1:], start=1)
    }
    eta = logit(levels[0]) + curve.response(DOSE, theta, np)
    assert_allclose(2 * (FULL - log_likelihood(eta)), expected, atol=1e-5)


#: Without the lowest or highest dose a curve is extrapolated, and importance weights may fail;
#: those of a Gaussian process may fail in the wide gaps between high doses too.
ENDS = {"migraine: placebo", "migraine: active 200"}
LOOSE = {"gaussian_process": {"migraine: active 50", "migraine: active 100"}}


def fitted(name: str) -> xr.DataTree:
    curve = curve_of(name)
    advised = {n: prior.as_spec(3.0) for n, prior in curve.prior_suggestions(TESTED).items()}
    parameters = {n: specs.parameter(location=prior) for n, prior in advised.items()}
    parameters["baseline"] = specs.parameter("common", location=specs.normal(-2, 1))
    outcome = specs.outcome(
        "binomial", name, "none", parameters, curve_options=OPTIONS.get(name, {})
    )
    sampling = {"seed": 7, "chains": 4, "draws": 2500, "tune": 1500, "target_accept": 0.998}
    spec = AnalysisSpec.from_dict(specs.content(outcome, sampling=sampling))
    return inference.fit(spec, load_evidence(ROWS.assign(outcome="pain")))


@pytest.mark.slow
@pytest.mark.reference
def test_every_curve_converges_with_its_suggested_priors():
    elpd, failures = {}, {}
    for name in CURVES:
        fit = fitted(name)
        checks = diagnose(fit).convergence.set_index("check")
        failures[name] = checks.loc[~checks["passed"], "value"].to_dict()
        density = fit["log_likelihood"].to_dataset()["reported"].rename(arm="study")
        elpds = study_elpd(xr.Dataset({"log_density": density}))
        failed = set(elpds["study"].to_numpy()[~elpds["reliable"].to_numpy()])
        assert failed <= ENDS | LOOSE.get(name, set()), (name, failed)
        elpd[name] = elpds["elpd"].to_numpy()
        deviance = 2 * (FULL - density.sum("study"))
        if name in DEVIANCE:
            # The mean deviance exceeds the minimum by about a chi-squared variable.
            excess = stats.chi2(len(curve_of(name).parameters) + 1).ppf(0.999)
            assert DEVIANCE[name] - 0.01 < float(deviance.min()), name
            assert float(deviance.mean()) < DEVIANCE[name] + excess, name
    assert not {name: values for name, values in failures.items() if values}
    table = np.stack(list(elpd.values()), axis=1)
    weight = optimise_stacking(table, np.full((1, len(table)), 1 / len(table)))[0]
    by_name = dict(zip(elpd, weight.round(3), strict=True))
    # The effect increases with dose: a constant curve predicts worse.
    assert elpd["constant"].sum() < elpd["log_linear"].sum()
    assert by_name["exponential"] < 0.05
