"""The pooling report against conjugate normal shrinkage, where every number has a closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands.borrowing import pooling_report, pooling_words
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests import specs
from tests.conftest import draws, faults_when, make_fit

N = 40_000
#: Six trials of three agents against placebo, each agent with its own number and precision.
SE = np.array([2.0, 3.0, 4.0, 2.5, 2.5, 5.0])
Y = np.array([-8.0, -3.0, -1.0, -4.0, -6.0, 2.0])
OF = np.array([0, 0, 0, 1, 1, 2])
AGENTS = ("a", "b", "c")
TABLE = pd.DataFrame(
    {"study": [f"S{k}" for k in range(6)], "agent": [AGENTS[k] for k in OF], "dose": 1.0,
     "comparator": "placebo", "comparator_dose": 0.0, "estimate": Y, "se": SE, "outcome": "pain"}
)  # fmt: skip
LOCATION, BETWEEN, TAU = 20.0, 3.0, 1.5


def closed_form() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Posterior mean and covariance of the agents' effects, their prior covariance, and X."""
    x = np.eye(3)[OF]
    prior = LOCATION**2 + BETWEEN**2 * np.eye(3)
    precision = x.T @ np.diag(1 / (SE**2 + TAU**2)) @ x
    covariance = np.linalg.inv(np.linalg.inv(prior) + precision)
    return covariance @ x.T @ (Y / (SE**2 + TAU**2)), covariance, precision, x


@pytest.fixture(scope="module")
def fit():
    """Exact draws of the joint posterior at known spreads: effects, and the trials' predictors."""
    effect = specs.parameter("agent")
    outcome = specs.outcome("normal_contrast", "constant", "arm", {"effect": effect})
    spec = specs.spec(outcome)
    arms = list(build_model(spec, load_evidence(TABLE)).coords["arm"])
    mean, covariance, _, x = closed_form()
    rng = np.random.default_rng(1)
    theta = rng.multivariate_normal(mean, covariance, N)
    # A trial's own effect given the agent's: between that and what the trial reports.
    share = TAU**2 / (TAU**2 + SE**2)
    centre = theta @ x.T
    trial = centre + share * (Y - centre) + rng.standard_normal((N, 6)) * np.sqrt(share) * SE
    eta = np.zeros((N, len(arms)))
    for k in range(6):
        active = next(i for i, arm in enumerate(arms) if arm.startswith(f"S{k}: {AGENTS[OF[k]]}"))
        eta[:, active] = trial[:, k]
    posterior = {
        "effect": draws(theta, "agent", agent=list(AGENTS)),
        "eta": draws(eta, "arm", arm=arms),
        "heterogeneity_sd": draws(np.full(N, TAU)),
    }
    return make_fit(spec, TABLE, posterior)


@pytest.fixture(scope="module")
def report(fit):
    return pooling_report(fit, "pain")


def test_the_dims(report):
    assert report["weight"].dims == ("cell", "from_cell")
    assert report["pooling"].dims == ("cell",)
    assert list(report["agent"].to_numpy()) == ["a", "b", "c"]
    assert list(report["studies"].to_numpy()) == [3, 2, 1]


def test_a_cell_alone_is_its_inverse_variance_mean(report):
    weights = 1 / (SE**2 + TAU**2)
    for k in range(3):
        mine = k == OF
        assert_allclose(report["own"][k], (weights * Y)[mine].sum() / weights[mine].sum())
        assert_allclose(report["own_sd"][k], weights[mine].sum() ** -0.5)


def test_pooling_and_effective_studies_are_those_of_the_conjugate_model(report):
    mean, covariance, precision, _ = closed_form()
    own, posterior = np.diag(precision), np.diag(covariance)
    # Monte Carlo: SD / √N for a mean, √(2 / N) relative for a variance; four of each.
    assert (abs(report["pooled"] - mean) < 4 * np.sqrt(posterior / N)).all()
    relative = 4 * np.sqrt(2 / N)
    assert_allclose(1 - report["pooling"], own * posterior, rtol=relative)
    studies = np.array([3, 2, 1])
    assert_allclose(report["effective_studies"], studies / (own * posterior), rtol=relative)
    assert_allclose(report["borrowed_studies"], report["effective_studies"] - studies)
    # The less a cell has of its own, the more of it is borrowed.
    assert (report["pooling"].diff("cell") > 0).all()


def test_weights_are_the_derivatives_of_the_posterior_mean(report):
    _, covariance, precision, _ = closed_form()
    expected = covariance @ precision  # d mean / d (all contrasts of a cell), row by column
    # Var of a covariance's estimate: (Var x Var y + Cov²) / N, at most twice the first; summed
    # over a cell's trials as if they moved together.
    moved = np.array([np.sum(1 / SE[k == OF]) for k in range(3)])
    error = 4 * np.sqrt(2 * np.diag(covariance)[:, None] * moved**2 / N)
    assert (abs(report["weight"].to_numpy() - expected) < error).all()
    assert (abs(report["weight"] - expected) < 4 * report["weight_error"]).all()
    assert (report["weight_error"] < error / 4).all()
    assert_allclose(report["rest"], 1 - report["weight"].sum("from_cell"))
    # Exactly shared about an almost free location: nearly all weight lies on trials.
    assert (abs(report["rest"]) < 0.1).all()


def test_it_is_said_in_words(report):
    words = pooling_words(report)
    assert len(words) == 3
    assert words[0].startswith("a, all: 3 trials alone -5.")
    assert words[2].startswith("c, all: 1 trial alone 2,")
    assert "the priors and the form of the curve" in words[2]
    assert " % other cells (most: " in words[2]


def test_arms_with_one_reference_share_it():
    """Two doses of a three-arm trial: their contrasts share the reference arm's error."""
    spec = specs.spec(specs.outcome("normal", "constant", "none"))
    table = specs.normal_table()
    rng = np.random.default_rng(2)
    eta = draws(rng.standard_normal((100, 7)), "arm", arm=range(7))
    fit = make_fit(spec, table, {"effect": draws(rng.standard_normal(100)), "eta": eta})
    found = pooling_report(fit, "pain").sel(cell="ketamine, crps")
    # A: 2, 2. B: reference 3, doses 3 and 3.
    covariance = np.diag([8.0, 18.0, 18.0])
    covariance[1, 2] = covariance[2, 1] = 9.0
    weights = np.linalg.solve(covariance, np.ones(3))
    assert_allclose(found["own_sd"], weights.sum() ** -0.5)
    assert_allclose(found["own"], weights @ [-8, -3, -14] / weights.sum())
    assert int(found["studies"]) == 2


def test_a_zero_cell_has_no_estimate_of_its_own_but_a_weight():
    spec = specs.spec(specs.outcome("binomial", "constant", "none"))
    table = specs.binary_table().assign(outcome="pain")
    rng = np.random.default_rng(3)
    eta = draws(-2 + 0.3 * rng.standard_normal((100, 7)), "arm", arm=range(7))
    fit = make_fit(spec, table, {"effect": draws(rng.standard_normal(100)), "eta": eta})
    found = pooling_report(fit, "pain").sel(cell="ketamine, crps")
    assert np.isnan(found["own"])
    assert np.isfinite(found["own_sd"])
    assert np.isfinite(found["weight"]).all()


def test_another_likelihood_is_told():
    spec = specs.spec(specs.outcome("beta_binomial", "constant", "none"))
    eta = draws(np.zeros((2, 7)), "arm", arm=range(7))
    table = specs.binary_table().assign(outcome="pain")
    fit = make_fit(spec, table, {"effect": draws([0.0, 1.0]), "eta": eta})
    (fault,) = faults_when(lambda: pooling_report(fit, "pain"), SpecError)
    assert "beta_binomial" in fault.message
    assert "normal, binomial" in fault.mend
