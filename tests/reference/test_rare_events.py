"""Rare events with zero cells: the graph's likelihood of counts, maximised, against metafor.

metafor's unconditional model with random study effects (`rma.glmm(measure = "OR", model =
"UM.RS")`) has log odds mu + u[study] ± d[study] / 2, with normal u and d. The arm effects here,
independent with variance tau² / 2, have the same difference and add tau² / 4 to u: the same
likelihood.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import interpolate, optimize, special

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests.support import specs

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
#: Gauss-Hermite points: of a study's baseline, and of an arm's effect.
BASELINES, EFFECTS = 21, 21


@pytest.fixture(scope="module")
def log_density():
    """The log density of each arm's count at a log odds, from the graph; which arms are treated."""
    parameters = {"baseline": specs.parameter("common", location=specs.normal(0, 10))}
    outcome = specs.outcome("binomial", "constant", "none", parameters)
    spec = specs.spec(outcome, reference="standard")
    evidence = load_evidence(HERE / "nielweise2007.csv")
    model = build_model(spec, evidence)
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, mode="FAST_COMPILE")
    # With an effect of 0 the baseline is every arm's log odds; a spline on a grid interpolates.
    grid = np.linspace(-20, 10, 601)
    no_effect = {"effect": np.array(0.0)}
    table = np.array([compiled(no_effect | {"baseline": np.array(x)})[0] for x in grid])
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
    for arms, shift in ((treated, effect), (~treated, 0.0)):
        at = curve(np.clip(eta + shift, -20, 10))[:, arms].reshape(BASELINES, EFFECTS, -1)
        density = density + special.logsumexp(at + share[:, None], axis=1)  # baseline, study
    return float(special.logsumexp(density + weight[:, None], axis=0).sum())


def test_maximum_likelihood_is_that_of_metafor(log_density):
    result = optimize.minimize(
        lambda x: -marginal(log_density, x[0], np.exp(x[1]), x[2], np.exp(x[3])),
        [-3.5, 0.0, -1.0, -0.5],
        method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 600},
    )
    assert result.success
    effect, log_tau = result.x[2:]
    # metafor gives -1.2812 and tau² 0.726 by the Laplace approximation (lme4 has no quadrature over
    # two effects): the tolerance is the error of that approximation.
    assert effect == pytest.approx(-1.2812, abs=0.01)
    assert np.exp(2 * log_tau) == pytest.approx(0.726, abs=0.02)
