"""Correlated errors of two outcomes of the same participants."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.components.likelihoods import contrast_covariance
from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model
from nmda_bayes.simulate import simulate_evidence
from tests.support import specs
from tests.support.gaussian import Marginal

BETA = {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}, "why": "a test"}


def spec_of(likelihood: str, errors, **more):
    part = specs.outcome(likelihood, "linear", "none")
    errors = {"of": ["pain", "harm"], **errors}
    return specs.spec(part, part, correlations={"errors": errors}, **more)


def two_outcomes(rows: pd.DataFrame) -> pd.DataFrame:
    """Pain, and harm of all studies but C with half the values and standard errors."""
    few = rows[rows["study"] != "C"].assign(outcome="harm")
    halved = {c: few[c] / 2 for c in ("mean", "estimate", "se", "comparator_se") if c in few}
    return pd.concat([rows.assign(outcome="pain"), few.assign(**halved)], ignore_index=True)


ARMS = two_outcomes(specs.normal_table())
CONTRASTS = two_outcomes(specs.CONTRASTS)
AT = {"pain::slope": -3.0, "harm::slope": -1.0}
LEVELS = {"pain::baseline": np.array([50.0, 54.0, 59.0]), "harm::baseline": np.array([24.0, 28.0])}
TRIAL, DOSE = ARMS["study"].to_numpy(str), ARMS["dose"].to_numpy(float)
HARM = (ARMS["outcome"] == "harm").to_numpy()
SAME_TRIAL, SAME_OUTCOME = TRIAL[:, None] == TRIAL, HARM[:, None] == HARM
SAME_ARM = SAME_TRIAL & (DOSE[:, None] == DOSE)
PLACE = np.searchsorted(["A", "B", "C"], TRIAL)
LEVEL = np.where(HARM, np.array([24.0, 28.0, 0.0])[PLACE], LEVELS["pain::baseline"][PLACE])
MEAN = LEVEL + np.where(HARM, -1.0, -3.0) * DOSE


@pytest.mark.parametrize("rho", [-0.4, 0.6])
def test_crossover_covariance(rho):
    model = build_model(spec_of("normal", {"correlation": rho}), load_evidence(ARMS))
    marginal = Marginal(model, ["pain::reported", "harm::reported"], ["error_arm_offset"])
    covariance = SAME_ARM * np.where(SAME_OUTCOME, 1.0, rho) * np.outer(ARMS["se"], ARMS["se"])
    expected = stats.multivariate_normal(MEAN, covariance).logpdf(ARMS["mean"])
    assert_allclose(marginal(AT | LEVELS), expected, rtol=1e-8)


def test_covariance_of_correlated_contrasts():
    spec = spec_of("normal_contrast", {"correlation": 0.6})
    design = build_design(spec, load_evidence(CONTRASTS))
    model = build_model(spec, load_evidence(CONTRASTS))
    marginal = Marginal(model, ["pain::reported", "harm::reported"], ["error_contrast_offset"])
    pain, harm = (design[f"outcomes/{name}"].to_dataset() for name in ("pain", "harm"))
    blocks = [contrast_covariance(reported) for reported in (pain, harm)]
    roots = [np.linalg.cholesky(block) for block in blocks]
    both = [np.flatnonzero(np.isin(pain["contrast"], harm["contrast"])), np.arange(3)]
    across = np.zeros((4, 3))
    across[both[0]] = 0.6 * (roots[0] @ np.eye(4, 3) @ roots[1].T)[both[0]]
    covariance = np.block([[blocks[0], across], [across.T, blocks[1]]])
    doses = [1.0, 2.0, 1.0, 1.0]
    mean = np.concatenate([-3.0 * np.array(doses), -1.0 * np.array(doses[:3])])
    y = np.concatenate([pain["estimate"], harm["estimate"]])
    expected = stats.multivariate_normal(mean, covariance).logpdf(y)
    assert_allclose(marginal(AT), expected, rtol=1e-8)


def test_crossover_errors_correlate_between_outcomes():
    rows = ARMS.assign(design="crossover")
    crossover = {"periods": "all", "within_person_correlation": BETA}
    spec = spec_of("normal", {"correlation": 0.5}, designs={"crossover": crossover})
    model = build_model(spec, load_evidence(rows))
    offsets = [
        "error_arm_offset",
        "error_study_offset",
        "pain::people_offset",
        "harm::people_offset",
    ]
    marginal = Marginal(model, ["pain::reported", "harm::reported"], offsets)
    person = {"pain": 0.3, "harm": 0.7}
    parameters = {
        f"{name}::within_person_correlation_logodds__": np.log(rho / (1 - rho))
        for name, rho in person.items()
    }
    of_rows = np.where(HARM, person["harm"], person["pain"])
    shared = np.sqrt(np.outer(of_rows, of_rows)) * SAME_TRIAL
    separate = np.sqrt(np.outer(1 - of_rows, 1 - of_rows)) * SAME_ARM
    tie = np.where(SAME_OUTCOME, 1.0, 0.5)
    covariance = tie * (shared + separate) * np.outer(rows["se"], rows["se"])
    expected = stats.multivariate_normal(MEAN, covariance).logpdf(rows["mean"])
    assert_allclose(marginal(AT | LEVELS | parameters), expected, rtol=1e-8)


def test_error_correlation_prior():
    spec = spec_of("normal", {"prior": BETA})
    design = build_design(spec, load_evidence(ARMS))
    model = build_model(spec, load_evidence(ARMS))
    assert model.named_vars_to_dims["error_correlation"] == ()
    assert "errors are correlated between outcomes" in exact_obstacles(spec, design)


def test_error_correlation_column():
    rows = ARMS.assign(rho=ARMS["study"].map({"A": 0.2, "B": -0.5}))
    spec = spec_of("normal", {"column": "rho"})
    flat, _, back = simulate_evidence(spec, load_evidence(rows, settings=["ignore=rho"]))
    design = build_design(back, load_evidence(flat, settings=["ignore=rho"]))
    reported = design["outcomes/harm"].to_dataset()
    known = dict(
        zip(reported["study"].to_numpy(), reported["error_correlation"].to_numpy(), strict=True)
    )
    assert known == {"A": 0.2, "B": -0.5}


@pytest.mark.parametrize(
    ("errors", "code", "key"),
    [
        ({}, "E350", "correlations.errors"),
        ({"correlation": 0.5, "column": "rho"}, "E350", "correlations.errors"),
        ({"correlation": 1.5}, "E303", "correlations.errors.correlation"),
        ({"prior": specs.normal()}, "E318", "correlations.errors.prior"),
        ({"of": ["pain"], "correlation": 0.5}, "E346", "correlations.errors.of"),
        ({"of": ["pain", "mood"], "correlation": 0.5}, "E340", "correlations.errors.of"),
    ],
)
def test_invalid_error_correlations_are_rejected(errors, code, key):
    with pytest.raises(SpecError) as caught:
        spec_of("normal", errors)
    assert (code, key) in {(issue.code, issue.column) for issue in caught.value.issues}


def test_counts_cannot_have_correlated_errors():
    with pytest.raises(SpecError, match="E348 correlations.errors.of"):
        spec_of("binomial", {"correlation": 0.5})


def test_missing_error_correlation_is_rejected():
    rows = ARMS.assign(rho=ARMS["study"].map({"A": 0.2}))
    for column in ("rho", "roh"):
        spec = spec_of("normal", {"column": column})
        with pytest.raises(SpecError, match=column):
            build_design(spec, load_evidence(rows, settings=["ignore=rho"]))
