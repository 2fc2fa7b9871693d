"""Rare events with zero cells: the graph's own likelihood of counts, maximised as metafor does it.

metafor's unconditional model with random study effects (`rma.glmm(measure = "OR", model =
"UM.RS")`) has log odds mu + u[study] ± d[study] / 2, with normal u and d. The arm effects here,
independent and of variance tau² / 2, have the same difference and add tau² / 4 to u: one
likelihood, written twice.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import interpolate, optimize, special

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests import specs

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
#: Gauss-Hermite points: of a study's baseline, and of an arm's own effect.
BASELINES, EFFECTS = 21, 21


@pytest.fixture(scope="module")
def log_density():
    """The log density of each arm's count at a log odds, from the graph; the arms' places."""
    parameters = {"baseline": specs.parameter("common", location=specs.normal(0, 10))}
    outcome = specs.outcome("binomial", "constant", "none", parameters)
    spec = specs.spec(outcome, reference="standard")
    evidence = load_evidence(HERE / "nielweise2007.csv")
    model = build_model(spec, evidence)
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, mode="FAST_COMPILE")
    # The baseline is every arm's log odds where the effect is 0; a grid of it gives the curve of
    # each arm's density, smooth enough for a spline of any step below.
    grid = np.linspace(-20, 10, 601)
    none = {"effect": np.array(0.0)}
    table = np.array([compiled(none | {"baseline": np.array(x)})[0] for x in grid])
    arms = [str(arm) for arm in model.coords["arm"]]
    treated = np.array(["coated" in arm for arm in arms])
    order = [arm.split(": ")[0] for arm in arms]
    by_study = np.argsort(order, kind="stable")
    return interpolate.CubicSpline(grid, table[:, by_study]), treated[by_study]


def marginal(log_density, mu, spread, effect, tau):
    """Log likelihood of the counts, baselines and arm effects integrated out."""
    curve, treated = log_density
    z, weight = np.polynomial.hermite_e.hermegauss(BASELINES)
    e, share = np.polynomial.hermite_e.hermegauss(EFFECTS)
    weight, share = np.log(weight / weight.sum()), np.log(share / share.sum())
    base = mu + spread * z
    eta = (base[:, None] + tau / np.sqrt(2) * e).ravel()
    density = 0.0
    for here, shift in ((treated, effect), (~treated, 0.0)):
        at = curve(np.clip(eta + shift, -20, 10))[:, here].reshape(BASELINES, EFFECTS, -1)
        density = density + special.logsumexp(at + share[:, None], axis=1)  # baseline, study
    return float(special.logsumexp(density + weight[:, None], axis=0).sum())


def test_the_exact_likelihood_of_counts_is_metafors(log_density):
    found = optimize.minimize(
        lambda x: -marginal(log_density, x[0], np.exp(x[1]), x[2], np.exp(x[3])),
        [-3.5, 0.0, -1.0, -0.5],
        method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 600},
    )
    assert found.success
    effect, log_tau = found.x[2:]
    # metafor prints -1.2812 and tau² 0.726, by Laplace's approximation: lme4, which it calls,
    # allows no quadrature over two effects. What is left is the error of that approximation.
    assert effect == pytest.approx(-1.2812, abs=0.01)
    assert np.exp(2 * log_tau) == pytest.approx(0.726, abs=0.02)
