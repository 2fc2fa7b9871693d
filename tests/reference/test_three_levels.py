"""Schools in districts: the log evidence of exact inference, maximised, against metafor's REML.

With a prior SD of 1e4 the effect is integrated out as by REML, so that the log evidence at two SDs
is the restricted likelihood up to a constant. `three_levels.R` prints the numbers
(metafor 3.8-1, rma.mv, random = ~ 1 | district / school); the data are Konstantopoulos 2011.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles, integrate_posterior
from nmda_bayes.inference.normal_regression import GRID_POINT, build_regression, solve_regression
from nmda_bayes.model import build_model_from_design, model_outcomes
from tests.support import specs

pytestmark = pytest.mark.reference

TABLE = Path(__file__).parent / "konstantopoulos2011.csv"
SDS = ("cluster_sd", "heterogeneity_sd")


def spec_of(location_sd: float, **more):
    half = specs.half_normal(1.0)
    parameters = {
        "effect": specs.parameter(location=specs.normal(0, location_sd)),
        "heterogeneity_sd": specs.parameter(location=half),
        "cluster_sd": {**specs.parameter(location=half), "strata_column": "district"},
    }
    outcome = specs.outcome("normal_contrast", "constant", "nested", parameters)
    return specs.spec(outcome, reference="standard", **more)


def solved(outcome, log_sds):
    """The regression at rows of logarithms of the two SDs."""
    sds = {n: xr.DataArray(np.exp(v), dims=GRID_POINT) for n, v in zip(SDS, log_sds.T, strict=True)}
    regression = build_regression(outcome, sds)
    return regression, solve_regression(regression)


def test_restricted_likelihood():
    spec = spec_of(1e4)
    design = build_design(spec, load_evidence(TABLE, settings=["ignore=district"]))
    outcome = next(model_outcomes(spec, design))
    best, step = np.array([-1.0, -1.5]), 0.3
    for _ in range(12):  # a grid of 7 x 7 around the best point, halved each time
        offset = step * np.linspace(-1, 1, 7)
        points = best + np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)
        best = points[solved(outcome, points)[1].log_evidence.argmax()]
        step /= 2
    assert_allclose(np.exp(2 * best), [0.06506194, 0.03273652], atol=1e-3)
    regression, posterior = solved(outcome, best[None])
    i = regression.latents.blocks["effect"].start
    covariance = np.linalg.inv(posterior.root[0] @ posterior.root[0].T)
    assert_allclose(posterior.mean[0, i], 0.1847132, atol=1e-3)
    assert_allclose(np.sqrt(covariance[i, i]), 0.08455592, atol=1e-3)


@pytest.mark.slow
def test_posterior_by_a_double_integral():
    """Half-normal priors on both SDs; districts as blocks of a covariance (four of them)."""
    settings = {**specs.SAMPLING, "method": "exact", "chains": 1, "draws": 2}
    spec = spec_of(1.0, sampling=settings)
    rows = pd.read_csv(TABLE)
    few = rows[rows["district"].isin(rows["district"].unique()[:4])]
    design = build_design(spec, load_evidence(few, settings=["ignore=district"]))
    assert exact_obstacles(spec, design) == []
    exact = integrate_posterior(spec, design, build_model_from_design(spec, design))["exact"]
    y, se = (design["outcomes/pain"][c].to_numpy() for c in ("estimate", "estimate_se"))
    arms = design["outcomes/pain"]["arm_position"].to_numpy()
    district = design["outcomes/pain"]["cluster"].to_numpy()[arms]
    same_district = (district[:, None] == district).astype(float)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    # Up to 5 SDs of the prior; squares put half of the points below a quarter of that.
    points, weights = 5 * ((nodes + 1) / 2) ** 2, 5 * (nodes + 1) / 2 * weights
    prior = stats.halfnorm(0, 1).pdf(points) * weights
    table = np.zeros((40, 40, 3))
    for i, between in enumerate(points):
        for j, within in enumerate(points):
            covariance = np.diag(se**2 + within**2) + between**2 * same_district
            ones, data = np.linalg.solve(covariance, np.column_stack([np.ones_like(y), y])).T
            precision = ones.sum() + 1.0
            mean = data.sum() / precision
            _, logdet = np.linalg.slogdet(covariance)
            log = -0.5 * (logdet + np.log(precision) + y @ data - precision * mean**2)
            table[i, j] = log, mean, 1 / precision
    weight = np.exp(table[..., 0] - table[..., 0].max()) * np.outer(prior, prior)
    weight /= weight.sum()
    mean = float((weight * table[..., 1]).sum())
    sd = float(np.sqrt((weight * (table[..., 2] + table[..., 1] ** 2)).sum() - mean**2))
    for name, expected in (
        ("effect", mean),
        ("cluster_sd", float(weight.sum(1) @ points)),
        ("heterogeneity_sd", float(weight.sum(0) @ points)),
    ):
        assert_allclose(exact[name].sel(statistic="mean"), expected, rtol=1e-3)
    assert_allclose(exact["effect"].sel(statistic="sd"), sd, rtol=1e-3)
