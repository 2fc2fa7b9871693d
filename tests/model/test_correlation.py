"""The correlation of study effects between outcomes has an LKJ distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import PY_MODE, build_model
from tests.support import specs

N = 4000
QUANTILES = np.array([0.025, 0.25, 0.5, 0.75, 0.975])


def model_of(k: int, eta: float):
    names = ["pain", "harm", "mood"][:k]
    tables = [specs.normal_table(name=name) for name in names]
    outcomes = [specs.outcome("normal", "linear") for _ in names]
    correlations = {"heterogeneity": {"dist": "LKJCorr", "kwargs": {"eta": eta}}}
    evidence = load_evidence(pd.concat(tables))
    return build_model(specs.spec(*outcomes, correlations=correlations), evidence)


@pytest.mark.parametrize(("k", "eta"), [(2, 2.0), (3, 2.0), (3, 1.0)])
def test_correlation_has_lkj_marginal(k, eta):
    """Lewandowski, Kurowicka and Joe 2009: (r + 1) / 2 ~ Beta(a, a), a = eta + (K - 2) / 2."""
    model = model_of(k, eta)
    drawn = pm.sample_prior_predictive(
        N,
        model=model,
        var_names=["heterogeneity_correlation"],
        random_seed=1,
        compile_kwargs={"mode": PY_MODE},
    )
    r = drawn["prior"]["heterogeneity_correlation"].isel(chain=0)
    assert r.dims == ("draw", "outcome_pair")
    assert r.sizes["outcome_pair"] == k * (k - 1) // 2
    a = eta + (k - 2) / 2
    known = stats.beta(a, a, loc=-1, scale=2)
    at = known.ppf(QUANTILES)
    # Standard error of a sample quantile: √(p (1 - p) / n) / density; four of each.
    error = np.sqrt(QUANTILES * (1 - QUANTILES) / N) / known.pdf(at)
    for pair in r["outcome_pair"].to_numpy():
        quantiles = np.quantile(r.sel(outcome_pair=pair), QUANTILES)
        assert (abs(quantiles - at) < 4 * error).all(), (pair, quantiles, at)


def test_three_outcomes_have_a_correlation_matrix():
    model = model_of(3, 2.0)
    names = ["heterogeneity_correlation", "arm_offset"]
    names += ["pain_harm_offset", "pain_mood_offset", "harm_mood_offset"]
    assert set(names) <= set(model.named_vars)
    drawn = pm.sample_prior_predictive(
        N, model=model, var_names=names[:1], random_seed=2, compile_kwargs={"mode": PY_MODE}
    )["prior"]["heterogeneity_correlation"].isel(chain=0)
    of = {
        pair: drawn.sel(outcome_pair=pair).to_numpy()
        for pair in ("pain, harm", "pain, mood", "harm, mood")
    }
    ab, ac, bc = of.values()
    determinant = 1 + 2 * ab * ac * bc - ab**2 - ac**2 - bc**2
    assert (determinant > 0).all()


def test_offsets_have_the_reported_correlation():
    model = model_of(2, 2.0)
    wanted = ["heterogeneity_correlation", "pain::eta", "harm::eta", "pain::slope", "harm::slope"]
    wanted += [f"{o}::{p}" for o in ("pain", "harm") for p in ("baseline", "heterogeneity_sd")]
    drawn = pm.sample_prior_predictive(
        N, model=model, var_names=wanted, random_seed=3, compile_kwargs={"mode": PY_MODE}
    )["prior"].isel(chain=0)
    # The first reference arm's predictor minus its baseline.
    left = {
        o: (drawn[f"{o}::eta"].to_numpy()[:, 0] - drawn[f"{o}::baseline"].to_numpy()[:, 0])
        / drawn[f"{o}::heterogeneity_sd"].to_numpy()
        * np.sqrt(2)
        for o in ("pain", "harm")
    }
    r = drawn["heterogeneity_correlation"].to_numpy()[:, 0]
    product = left["pain"] * left["harm"]
    # E[xy | r] = r, so the slope of xy on r is 1. Given r, var(xy) = 1 + r², at most 2.
    slope = (product * r).sum() / (r**2).sum()
    assert abs(slope - 1) < 4 * np.sqrt(2 / (r**2).sum())


# LKJCorr needs a BLAS for its matrix product; only this test uses it.
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")
def test_pymc_lkjcorr_draws_cholesky_factor():
    """Reason for our C-vine. When this fails, PyMC has fixed it: use `pm.LKJCorr`."""
    with pm.Model():
        matrix = np.asarray(pm.draw(pm.LKJCorr("r", n=3, eta=2), random_seed=1, mode=PY_MODE))
    assert matrix.shape == (3, 3)
    assert not np.allclose(matrix, matrix.T)
    assert_allclose(np.triu(matrix, 1), 0.0)
    assert_allclose((matrix**2).sum(axis=1), 1.0)
