"""Two outcomes of the same patients, errors and effects correlated, against metafor's rma.mv.

Five trials of periodontal treatment report probing depth and attachment level, with a known
covariance of the two errors in each (Berkey et al. 1998). At metafor's maximum (`bivariate.R`,
metafor 3.8-1) the graph's density, its offsets integrated out, is metafor's likelihood, and flat.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.gaussian import Marginal

pytestmark = pytest.mark.reference

TABLE = Path(__file__).parent / "berkey1998.csv"
NAMES = ("attachment", "probing")
ML = {
    "effects": np.array([-0.3379381, 0.3448393]),
    "se": np.array([0.07976321, 0.04945993]),
    "tau2": np.array([0.02614456, 0.007002038]),
    "rho": 0.6992295,
    "log_likelihood": 5.840657,
}


@pytest.fixture(scope="module")
def likelihood():
    part = specs.outcome("normal_contrast", "constant", "arm")
    content = specs.content(
        correlations={
            **specs.LKJ,
            "errors": {"of": list(NAMES), "column": "error_correlation"},
        },
        reference="non_surgical",
    )
    spec = AnalysisSpec.from_dict({**content, "outcomes": dict.fromkeys(NAMES, part)})
    model = build_model(spec, load_evidence(TABLE))
    observed = [f"{name}::reported" for name in NAMES]
    density = Marginal(model, observed, ["arm_offset", "error_contrast_offset"])

    def at(effects, log_tau2, z):
        point = {"attachment_probing_offset_logodds__": 2 * z}  # rho = tanh(z)
        for name, effect, log_variance in zip(NAMES, effects, log_tau2, strict=True):
            point |= {f"{name}::effect": effect}
            point |= {f"{name}::heterogeneity_sd_log__": log_variance / 2}
        return density(point)

    return at


def test_maximum_likelihood(likelihood):
    best = (ML["effects"], np.log(ML["tau2"]), np.arctanh(ML["rho"]))
    assert_allclose(likelihood(*best), ML["log_likelihood"], atol=1e-5)


def test_gradient_and_standard_errors_at_the_maximum(likelihood):
    best = [*ML["effects"], *np.log(ML["tau2"]), np.arctanh(ML["rho"])]
    top = ML["log_likelihood"]

    def shifted(i, step):
        x = np.array(best)
        x[i] += step
        return likelihood(x[:2], x[2:4], x[4])

    for i, step in enumerate([0.01, 0.01, 0.1, 0.1, 0.1]):
        up, down = shifted(i, step), shifted(i, -step)
        # Within 0.1 standard errors of the maximum.
        assert abs(up - down) / 2 < 0.1 * abs(up + down - 2 * top)
    steps = 0.01 * np.eye(5)[:2]

    def at(x):
        return likelihood(*np.split(x, [2, 4])[:2], best[4])

    information = [
        [sum(-a * b * at(best + a * u + b * v) for a in (1, -1) for b in (1, -1)) for v in steps]
        for u in steps
    ]
    covariance = np.linalg.inv(np.array(information) / (4 * 0.01**2))
    assert_allclose(np.sqrt(np.diag(covariance)), ML["se"], atol=1e-4)
