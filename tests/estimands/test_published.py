"""Published pooled results compared with the fit, on the published scale."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from nmda_bayes.estimands import compare_with_published
from tests.support import specs
from tests.support.fits import draws, make_fit

EFFECTS = np.linspace(0.0, 1.0, 1001)


def published_fit(likelihood: str, table, measures: tuple[str, ...]) -> xr.DataTree:
    outcome = specs.outcome(likelihood, "constant", "none", label="Pain")
    text = ("analysis", "measure", "source", "outcome")
    rows = {
        "analysis": ["1.1"] * len(measures),
        "measure": list(measures),
        "estimate": [2.0] * len(measures),
        "ci_low": [1.0] * len(measures),
        "ci_high": [4.0] * len(measures),
        "source": ["review"] * len(measures),
        "outcome": ["pain"] * len(measures),
    }
    arrays = {k: ("row", np.array(v, object if k in text else float)) for k, v in rows.items()}
    return make_fit(
        specs.spec(outcome),
        table.assign(outcome="pain"),
        {"effect": draws(EFFECTS)},
        published=xr.Dataset(arrays),
    )


def test_no_published_results_give_an_empty_table(fit):
    assert compare_with_published(fit).empty


def test_mean_difference_is_compared_with_mean_difference():
    (row,) = compare_with_published(
        published_fit("normal", specs.normal_table(), ("MD", "SMD"))
    ).itertuples()
    assert row.label == "1.1 Pain"
    assert (row.published, row.published_low, row.published_high) == (2.0, 1.0, 4.0)
    assert_allclose([row.ours_low, row.ours, row.ours_high], [0.025, 0.5, 0.975])


def test_risk_ratio_is_at_pooled_risk_of_reference_arms():
    (row,) = compare_with_published(
        published_fit("binomial", specs.binary_table(), ("RR", "OR"))
    ).itertuples()
    risk = 3 / 75  # 1 of 20, 0 of 30, 2 of 25
    assert_allclose(row.at_risk, risk)
    ratio = expit(logit(risk) + np.array([0.025, 0.5, 0.975])) / risk
    assert_allclose([row.ours_low, row.ours, row.ours_high], ratio)
