"""Shrinkage by cell against the conjugate normal model, where every number has a closed form."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.errors import SpecError
from nmda_bayes.estimands.shrinkage import describe_shrinkage, shrinkage_by_cell
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

N = 40_000
#: Six trials of three agents vs placebo, with different numbers and precision by agent.
SE = np.array([2.0, 3.0, 4.0, 2.5, 2.5, 5.0])
Y = np.array([-8.0, -3.0, -1.0, -4.0, -6.0, 2.0])
OF = np.array([0, 0, 0, 1, 1, 2])
AGENTS = ("a", "b", "c")
TABLE = pd.DataFrame(
    {
        "study": [f"S{k}" for k in range(6)],
        "agent": [AGENTS[k] for k in OF],
        "dose": 1.0,
        "comparator": "placebo",
        "comparator_dose": 0.0,
        "estimate": Y,
        "se": SE,
        "outcome": "pain",
    }
)
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
    """Exact draws of the joint posterior at known SDs: effects, and linear predictors of trials."""
    effect = specs.parameter("agent")
    outcome = specs.outcome("normal_contrast", "constant", "arm", {"effect": effect})
    spec = specs.spec(outcome)
    arms = list(build_model(spec, load_evidence(TABLE)).coords["arm"])
    mean, covariance, _, x = closed_form()
    rng = np.random.default_rng(1)
    theta = rng.multivariate_normal(mean, covariance, N)
    # A trial's effect given the agent's lies between that and the trial's estimate.
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
    return shrinkage_by_cell(fit, "pain")


def test_dims_and_counts(report):
    assert report["weight"].dims == ("cell", "from_cell")
    assert report["pooling"].dims == ("cell",)
    assert list(report["agent"].to_numpy()) == ["a", "b", "c"]
    assert list(report["studies"].to_numpy()) == [3, 2, 1]


def test_cell_alone_is_its_inverse_variance_mean(report):
    weights = 1 / (SE**2 + TAU**2)
    for k in range(3):
        of_agent = k == OF
        assert_allclose(report["own"][k], (weights * Y)[of_agent].sum() / weights[of_agent].sum())
        assert_allclose(report["own_sd"][k], weights[of_agent].sum() ** -0.5)


def test_pooling_and_effective_studies_of_conjugate_model(report):
    mean, covariance, precision, _ = closed_form()
    trials, posterior = np.diag(precision), np.diag(covariance)
    # Monte Carlo: SD / √N for a mean, √(2 / N) relative for a variance; four of each.
    assert (abs(report["pooled"] - mean) < 4 * np.sqrt(posterior / N)).all()
    relative = 4 * np.sqrt(2 / N)
    assert_allclose(1 - report["pooling"], trials * posterior, rtol=relative)
    studies = np.array([3, 2, 1])
    assert_allclose(report["effective_studies"], studies / (trials * posterior), rtol=relative)
    assert_allclose(report["borrowed_studies"], report["effective_studies"] - studies)
    # The less information a cell has, the more of it is borrowed.
    assert (report["pooling"].diff("cell") > 0).all()


def test_weights_are_derivatives_of_the_posterior_mean(report):
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
    # With a nearly flat prior of the location, nearly all weight is on trials.
    assert (abs(report["rest"]) < 0.1).all()


def test_description_has_a_sentence_for_each_cell(report):
    lines = describe_shrinkage(report)
    assert len(lines) == 3
    assert lines[0].startswith("a, all: 3 trials alone -5.")
    assert lines[2].startswith("c, all: 1 trial alone 2,")
    assert report.attrs["rest"] in lines[2]
    other = float(report["weight"].sel(cell="c, all").drop_sel(from_cell="c, all").sum())
    assert f"{other:.0%} other cells" in lines[2]


def test_arms_with_a_common_reference_are_correlated():
    """Two doses of a three-arm trial: their contrasts share the reference arm's error."""
    spec = specs.spec(specs.outcome("normal", "constant", "none"))
    table = specs.normal_table()
    rng = np.random.default_rng(2)
    eta = draws(rng.standard_normal((100, 7)), "arm", arm=range(7))
    fit = make_fit(spec, table, {"effect": draws(rng.standard_normal(100)), "eta": eta})
    cell = shrinkage_by_cell(fit, "pain").sel(cell="ketamine, crps")
    # A: 2, 2. B: reference 3, doses 3 and 3.
    covariance = np.diag([8.0, 18.0, 18.0])
    covariance[1, 2] = covariance[2, 1] = 9.0
    weights = np.linalg.solve(covariance, np.ones(3))
    assert_allclose(cell["own_sd"], weights.sum() ** -0.5)
    assert_allclose(cell["own"], weights @ [-8, -3, -14] / weights.sum())
    assert int(cell["studies"]) == 2


def test_zero_cell_has_a_weight_but_no_estimate():
    spec = specs.spec(specs.outcome("binomial", "constant", "none"))
    table = specs.binary_table().assign(outcome="pain")
    rng = np.random.default_rng(3)
    eta = draws(-2 + 0.3 * rng.standard_normal((100, 7)), "arm", arm=range(7))
    fit = make_fit(spec, table, {"effect": draws(rng.standard_normal(100)), "eta": eta})
    cell = shrinkage_by_cell(fit, "pain").sel(cell="ketamine, crps")
    assert np.isnan(cell["own"])
    assert np.isfinite(cell["own_sd"])
    assert np.isfinite(cell["weight"]).all()


def test_likelihood_without_information_is_rejected():
    spec = specs.spec(specs.outcome("beta_binomial", "constant", "none"))
    eta = draws(np.zeros((2, 7)), "arm", arm=range(7))
    table = specs.binary_table().assign(outcome="pain")
    fit = make_fit(spec, table, {"effect": draws([0.0, 1.0]), "eta": eta})
    (issue,) = issues_when(lambda: shrinkage_by_cell(fit, "pain"), SpecError)
    assert (issue.code, issue.column) == ("E830", "outcomes.pain.likelihood")
    assert all(name in issue.hint for name in ("normal", "binomial", "normal_contrast"))
