"""Biases against R's metafor 3.8-1 (`selection.R` prints every number below)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, special, stats

from nmda_bayes.components.bias import BIASES

HERE = Path(__file__).parent
pytestmark = pytest.mark.reference

#: Table, sign of what favours the agent, steps; then selmodel(type = "stepfun"): beta, tau²,
#: relative probabilities of publication, log-likelihood.
STEPFUN = {
    "hackshaw1998, two steps": (
        "hackshaw1998.csv", 1, [0.025, 0.5],
        0.07656854867, 0.01522566095, [0.4598665081, 0.1495371286], -8.14789726757,
    ),
    "hackshaw1998, one step": (
        "hackshaw1998.csv", 1, [0.1],
        0.14157280258, 0.01310284627, [0.4819901721], -9.30762744788,
    ),
    "bcg, lower is better": (
        "bcg.csv", -1, [0.025],
        -0.6205636233, 0.2912394546, [0.6355361093], -12.5438266065,
    ),
}  # fmt: skip


def table(name: str) -> tuple[np.ndarray, np.ndarray]:
    rows = pd.read_csv(HERE / name)
    return rows["estimate"].to_numpy(), rows["se"].to_numpy()


def log_density(
    x: np.ndarray, y: np.ndarray, se: np.ndarray, steps: list[float], sign: int
) -> float:
    """The log density of what is published, effects of trials integrated out, by our formula."""
    mean, sd, published = x[0], np.hypot(se, np.exp(x[1] / 2)), [1.0, *np.exp(x[2:])]
    limits = [-special.ndtri(step) * se for step in steps]
    kept = [1.0 * (sign * y >= limit) for limit in limits]
    probable = [special.ndtr((sign * mean - limit) / sd) for limit in limits]
    factor = BIASES["selection"].formula(kept, probable, published=published)
    return float((stats.norm.logpdf(y, mean, sd) + np.log(factor)).sum())


@pytest.mark.parametrize("case", STEPFUN)
def test_the_density_of_selection_has_the_maximum_of_metafor(case):
    name, sign, steps, beta, tau2, published, at_most = STEPFUN[case]
    y, se = table(name)
    found = optimize.minimize(
        lambda x: -log_density(x, y, se, steps, sign),
        np.array([y.mean(), np.log(0.05), *np.full(len(steps), -0.5)]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 9999, "maxfev": 9999},
    )
    # The maximum to nine digits. Where it lies, the optimiser of metafor says to five: the surface
    # is flat there, and a gain of 1e-10 moves the place by 1e-5.
    assert_allclose(-found.fun, at_most, atol=1e-8)
    at = np.array([beta, np.log(tau2), *np.log(published)])
    assert_allclose(log_density(at, y, se, steps, sign), at_most, atol=1e-8)
    assert_allclose(found.x[0], beta, atol=1e-5)
    assert_allclose(np.exp(found.x[1]), tau2, rtol=1e-4)
    assert_allclose(np.exp(found.x[2:]), published, rtol=1e-4)
