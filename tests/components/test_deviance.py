"""Residual deviances of counts: twice the log-likelihood ratio of saturated and fitted model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.components.likelihoods import LIKELIHOODS

EVENTS = np.array([0.0, 3.0, 20.0, 7.0])
ARMS = {
    "events": EVENTS,
    "n": np.array([12.0, 9.0, 20.0, 50.0]),
    "person_time": np.array([0.5, 4.0, 11.0, 20.0]),
    "follow_up": np.array([0.2, 1.0, 2.0, 5.0]),
}


def poisson(eta: np.ndarray) -> np.ndarray:
    fitted = ARMS["person_time"] * np.exp(eta)
    return 2 * (stats.poisson.logpmf(EVENTS, EVENTS) - stats.poisson.logpmf(EVENTS, fitted))


def binomial(eta: np.ndarray, risk: Callable[[Any], Any]) -> np.ndarray:
    n = ARMS["n"]
    return 2 * (
        stats.binom.logpmf(EVENTS, n, EVENTS / n) - stats.binom.logpmf(EVENTS, n, risk(eta))
    )


EXPECTED = {
    "poisson": poisson,
    "binomial_cloglog": lambda eta: binomial(
        eta, lambda eta: 1 - np.exp(-ARMS["follow_up"] * np.exp(eta))
    ),
    "binomial": lambda eta: binomial(eta, lambda eta: 1 / (1 + np.exp(-eta))),
}


@pytest.mark.parametrize("likelihood", EXPECTED)
def test_deviance_is_a_log_likelihood_ratio(likelihood: str):
    deviance = LIKELIHOODS[likelihood].deviance
    assert deviance is not None
    # All of 20 had an event: a risk rounded to 1 has a log likelihood of NaN in SciPy.
    for eta in np.random.default_rng(2).normal(-1, 0.7, (30, 4)):
        assert_allclose(deviance(ARMS, eta), EXPECTED[likelihood](eta), rtol=1e-9, atol=1e-9)
