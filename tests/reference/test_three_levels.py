"""Schools in districts: the exact engine's evidence, maximised, against metafor's REML.

An effect with a prior as wide as 1e4 is integrated out as REML does it, so that the log evidence at
two SDs is the restricted likelihood but for a constant. `three_levels.R` prints the numbers
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
from nmda_bayes.inference.affine import linear
from nmda_bayes.inference.exact import integrate, reasons_against
from nmda_bayes.inference.latents import POINT
from nmda_bayes.inference.regression import solve
from nmda_bayes.model import model_of, outcomes_of
from tests import specs

pytestmark = pytest.mark.reference

TABLE = Path(__file__).parent / "konstantopoulos2011.csv"
SDS = ("cluster_sd", "heterogeneity_sd")


def spec_of(location_sd: float, **more):
    half = specs.half_normal(1.0)
    parameters = {
        "effect": specs.parameter(location=specs.normal(0, location_sd)),
        "heterogeneity_sd": specs.parameter(location=half),
        "cluster_sd": {**specs.parameter(location=half), "by": "district"},
    }
    outcome = specs.outcome("normal_contrast", "constant", "nested", parameters)
    return specs.spec(outcome, reference="standard", **more)


def solved(outcome, log_sds):
    """At rows of the logarithms of the two SDs."""
    sds = {n: xr.DataArray(np.exp(v), dims=POINT) for n, v in zip(SDS, log_sds.T, strict=True)}
    regression = linear(outcome, sds)
    return regression, solve(regression)


def test_the_restricted_likelihood_is_metafors():
    spec = spec_of(1e4)
    design = build_design(spec, load_evidence(TABLE))
    outcome = next(outcomes_of(spec, design))
    best, step = np.array([-1.0, -1.5]), 0.3
    for _ in range(12):  # a grid of 7 x 7 about the best place so far, each time half as wide
        offset = step * np.linspace(-1, 1, 7)
        places = best + np.stack(np.meshgrid(offset, offset), axis=-1).reshape(-1, 2)
        best = places[solved(outcome, places)[1].log_evidence.argmax()]
        step /= 2
    assert_allclose(np.exp(2 * best), [0.06506194, 0.03273652], atol=1e-3)
    regression, at = solved(outcome, best[None])
    place = regression.latents.blocks["effect"].start
    covariance = np.linalg.inv(at.root[0] @ at.root[0].T)
    assert_allclose(at.mean[0, place], 0.1847132, atol=1e-3)
    assert_allclose(np.sqrt(covariance[place, place]), 0.08455592, atol=1e-3)


@pytest.mark.slow
def test_the_posterior_is_that_of_a_double_integral():
    """Half-normal priors on both SDs; districts by blocks of a covariance, and no shared code.

    The first four districts, fifteen schools: the whole table takes ten times as long.
    """
    settings = {**specs.SAMPLING, "method": "exact", "chains": 1, "draws": 2}
    spec = spec_of(1.0, sampling=settings)
    rows = pd.read_csv(TABLE)
    few = rows[rows["district"].isin(rows["district"].unique()[:4])]
    design = build_design(spec, load_evidence(few))
    assert reasons_against(spec, design) == []
    found = integrate(spec, design, model_of(spec, design))["exact"].to_dataset()
    y, se = (design["outcomes/pain"][c].to_numpy() for c in ("estimate", "estimate_se"))
    place = design["outcomes/pain"]["arm_position"].to_numpy()
    district = design["outcomes/pain"]["cluster"].to_numpy()[place]
    together = (district[:, None] == district).astype(float)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    # Up to 5 SDs of the prior; squares put half of the points below a quarter of that.
    points, weights = 5 * ((nodes + 1) / 2) ** 2, 5 * (nodes + 1) / 2 * weights
    prior = stats.halfnorm(0, 1).pdf(points) * weights
    table = np.zeros((40, 40, 3))
    for i, between in enumerate(points):
        for j, within in enumerate(points):
            covariance = np.diag(se**2 + within**2) + between**2 * together
            one, data = np.linalg.solve(covariance, np.column_stack([np.ones_like(y), y])).T
            precision = one.sum() + 1.0
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
        assert_allclose(found[name].sel(statistic="mean"), expected, rtol=1e-3)
    assert_allclose(found["effect"].sel(statistic="sd"), sd, rtol=1e-3)
