"""Catheter infections, zero cells as they are: counts given their margins, against metafor's.

The density of each trial comes from the graph; its log odds ratio, Normal(mu, tau²) between trials,
is integrated here by Gauss and Hermite's rule, and the whole is maximised as metafor does it.
`rare_events.R` prints the numbers that it is held to (metafor 3.8-1, BiasedUrn 2.0.9).
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
from nmda_bayes.evidence.arm_statistics import Counts
from nmda_bayes.evidence.count_effects import log_odds_ratio
from nmda_bayes.inference.affine import linear
from nmda_bayes.inference.latents import POINT
from nmda_bayes.inference.regression import solve
from nmda_bayes.model import CHEAP, build_model, outcomes_of
from tests import specs

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
NODES = 41


@pytest.fixture(scope="module")
def of_trials():
    """Log density of each trial at a log odds ratio, from the graph."""
    spec = specs.spec(specs.outcome("hypergeometric", "constant", "none"), reference="standard")
    model = build_model(spec, load_evidence(HERE / "nielweise2007.csv"))
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, **CHEAP)
    grid = np.linspace(-14, 10, 481)
    table = xr.DataArray(
        [compiled({"effect": np.array(x)})[0] for x in grid],
        {"study": ("arm", [str(arm).split(": ")[0] for arm in model.coords["arm"]])},
        ("effect", "arm"),
    )
    trials = table.groupby("study").sum()
    return interpolate.CubicSpline(grid, trials.transpose("effect", "study").to_numpy())


def log_likelihood(of_trials, mu: float, tau: float) -> float:
    z, weight = np.polynomial.hermite_e.hermegauss(NODES)
    density = of_trials(np.clip(mu + tau * z, -14, 10))
    share = np.log(weight / weight.sum())[:, None]
    return float(special.logsumexp(density + share, axis=0).sum())


def test_the_conditional_likelihood_is_metafors(of_trials):
    def minus(x):
        return -log_likelihood(of_trials, x[0], np.exp(x[1]))

    found = optimize.minimize(
        minus, [-1.0, -0.5], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}
    )
    assert found.success
    # rma.glmm(measure = "OR", model = "CM.EL"): by quadrature too, to 1e-3 and better.
    assert_allclose(found.x[0], -1.353158, atol=1e-3)
    assert_allclose(np.exp(found.x[1]), 0.832742, atol=1e-3)
    assert_allclose(-found.fun, -24.94446, atol=1e-3)
    steps = 1e-3 * np.array([[1, 0], [0, 1]])
    information = [
        [sum(a * b * minus(found.x + a * one + b * other) for a in (1, -1) for b in (1, -1))
         for other in steps] for one in steps
    ]  # fmt: skip
    covariance = np.linalg.inv(np.array(information) / (4 * 1e-6))
    assert_allclose(np.sqrt(covariance[0, 0]), 0.3510682, atol=1e-3)


def test_the_trial_without_an_event_says_nothing(of_trials):
    rows = pd.read_csv(HERE / "nielweise2007.csv")
    silent = sorted(rows["study"].unique()).index("15 Yucel 2004")
    assert rows.loc[rows["study"] == "15 Yucel 2004", "events"].sum() == 0
    assert_allclose(of_trials(np.array([-3.0, 0.0, 2.0]))[:, silent], 0.0, atol=1e-12)


def test_the_normal_approximation_says_something_else():
    """rma(measure = "OR", drop00 = TRUE) by REML, half an event added where a cell is empty."""
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
    outcome = next(outcomes_of(spec, build_design(spec, load_evidence(table))))

    def solved(tau: float):
        return solve(linear(outcome, {"heterogeneity_sd": xr.DataArray([tau], dims=POINT)}))

    found = optimize.minimize_scalar(
        lambda log_tau: -solved(np.exp(log_tau)).log_evidence[0], bounds=(-6, 2), method="bounded",
        options={"xatol": 1e-7},
    )  # fmt: skip
    tau = float(np.exp(found.x))
    assert_allclose(tau, 0.1885861, atol=1e-3)
    regression = linear(outcome, {"heterogeneity_sd": xr.DataArray([tau], dims=POINT)})
    place = regression.latents.blocks["effect"].start
    at = solve(regression)
    assert_allclose(at.mean[0, place], -0.980383, atol=1e-3)
    precision = at.root[0] @ at.root[0].T
    assert_allclose(np.sqrt(np.linalg.inv(precision)[place, place]), 0.2434752, atol=1e-3)
