"""Ordinary and outlying trials against R (`two_kinds.R` prints every number below)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, logsumexp

from nmda_bayes.components.heterogeneity import two_kinds
from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.study_terms import study_terms
from nmda_bayes.model import model_of
from tests import specs

pytestmark = [pytest.mark.reference, pytest.mark.slow]
TRIALS = pd.read_csv(Path(__file__).parent / "hackshaw1998.csv")
#: Stated values, the log likelihood there, and how probably the first four trials are outlying.
STATED = {"effect": 0.25, "heterogeneity_sd": 0.15, "outlying_ratio": 3.0, "outlying_share": 0.2}
LOG_LIKELIHOOD = -32.7984509101
OUTLYING = [1.0, 0.1184701704, 0.1852981699, 0.1102367434]


def test_trials_and_who_is_outlying_are_those_of_the_marginal_mixture():
    """The graph's density of each trial, summed over a grid of the effects of its arms."""
    far = TRIALS["estimate"].where(TRIALS.index > 0, TRIALS["estimate"] + 3)
    outcome = specs.outcome("normal_contrast", "constant", "arm_mixture")
    spec = specs.spec(outcome, reference="none")
    design = build_design(spec, load_evidence(TRIALS.assign(estimate=far)))
    terms = study_terms(model_of(spec, design), design)
    assert set(terms.shared) == set(STATED)
    # The trapezoidal rule on normals of SD s errs by exp(-2 pi² (s / step)²): of the sum of both
    # arms s is 1, of their difference 0.5 or more, given a trial's standard error. What lies past
    # 16, or 5.3 SDs of an outlying trial, is 1e-7 of a density, and there are 37.
    difference, both = np.meshgrid(np.arange(-26, 26, 0.4), np.arange(-16, 16, 1.0))
    z = np.stack([both + difference, both - difference]).reshape(2, -1) / np.sqrt(2)
    own = np.empty((1, z.shape[1], len(terms.owner)))
    for k in range(len(TRIALS)):
        own[0][:, terms.owner == k] = z.T
    shared = [np.array([STATED[name]]) for name in terms.shared]
    found = terms.evaluate(own, shared)[0]
    density = logsumexp(found, axis=0) + np.log(0.4 * 1.0)
    assert_allclose(density.sum(), LOG_LIKELIHOOD, atol=37e-7)
    ordinary, outlying = two_kinds((z**2).sum(0), 2, 3.0, 0.2, np)
    places = {name: k for k, name in enumerate(terms.studies)}
    first = [places[name] for name in TRIALS["study"][:4]]
    probability = np.exp(found - logsumexp(found, axis=0)).T @ expit(outlying - ordinary)
    assert_allclose(probability[first], OUTLYING, atol=1e-6)
