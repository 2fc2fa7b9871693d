"""Ordinary and outlying trials against R (`outlier_mixture.R` prints every number below)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logsumexp

from nmda_bayes.components.heterogeneity import mixture_log_densities
from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.study_density import study_terms
from nmda_bayes.model import build_model_from_design
from tests.support import specs

pytestmark = [pytest.mark.reference, pytest.mark.slow]
TRIALS = pd.read_csv(Path(__file__).parent / "hackshaw1998.csv")
#: Parameter values, their log likelihood, and outlier probabilities of the first four trials.
VALUES = {
    "effect": 0.25,
    "heterogeneity_sd": 0.15,
    "outlier_sd_ratio": 3.0,
    "outlier_probability": 0.2,
}
LOG_LIKELIHOOD = -32.7984509101
OUTLYING = [1.0, 0.1184701704, 0.1852981699, 0.1102367434]


def test_density_and_outlier_probabilities():
    """The graph's density of each trial, summed over a grid of its arm effects."""
    estimate = TRIALS["estimate"].where(TRIALS.index > 0, TRIALS["estimate"] + 3)
    outcome = specs.outcome("normal_contrast", "constant", "outlier_mixture")
    spec = specs.spec(outcome, reference="none")
    design = build_design(spec, load_evidence(TRIALS.assign(estimate=estimate)))
    terms = study_terms(build_model_from_design(spec, design), design)
    assert set(terms.shared) == set(VALUES)
    # The trapezoidal rule for a normal of SD s has error exp(-2 pi² (s / step)²): s is 1 for the
    # sum of both arms and at least 0.5 for their difference. The tails beyond 16, or 5.3 SDs of an
    # outlier, are 1e-7 of a density, for each of 37 trials.
    difference, both = np.meshgrid(np.arange(-26, 26, 0.4), np.arange(-16, 16, 1.0))
    z = np.stack([both + difference, both - difference]).reshape(2, -1) / np.sqrt(2)
    local = np.empty((1, z.shape[1], len(terms.study_index)))
    for k in range(len(TRIALS)):
        local[0][:, terms.study_index == k] = z.T
    shared = [np.array([VALUES[name]]) for name in terms.shared]
    log_density = terms.evaluate(local, shared)[0]
    density = logsumexp(log_density, axis=0) + np.log(0.4 * 1.0)
    assert_allclose(density.sum(), LOG_LIKELIHOOD, atol=37e-7)
    ordinary, outlying = mixture_log_densities((z**2).sum(0), 2, 3.0, 0.2, np)
    positions = {name: k for k, name in enumerate(terms.studies)}
    first = [positions[name] for name in TRIALS["study"][:4]]
    probability = np.exp(log_density - logsumexp(log_density, axis=0)).T @ expit(
        outlying - ordinary
    )
    assert_allclose(probability[first], OUTLYING, atol=1e-6)
