"""Trials drawn with a bias: a fit that allows for it finds it, and the effect behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.intervals import interval
from tests import specs

pytestmark = pytest.mark.slow
EXACT = {"seed": 3, "method": "exact"}
WIDE = specs.normal(0, 10)


def fitted(table: pd.DataFrame, *outcomes, **sampling) -> xr.Dataset:
    spec = specs.spec(*outcomes, sampling=sampling)
    return inference.fit(spec, load_evidence(table))["posterior"].to_dataset()


def assert_covers(posterior: xr.Dataset, **truth: float) -> None:
    for name, value in truth.items():
        ends = interval(posterior[name])
        assert float(ends["lower"]) < value < float(ends["upper"]), name


def contrasts(rng: np.random.Generator, count: int, effect: float) -> pd.DataFrame:
    """Contrasts with a true effect that varies by 0.1 between trials."""
    se = rng.uniform(0.1, 0.5, count)
    return pd.DataFrame(
        {
            "study": [f"T{k}" for k in range(count)],
            "agent": "ketamine",
            "dose": 1.0,
            "comparator": "placebo",
            "comparator_dose": 0.0,
            "estimate": rng.normal(effect, np.hypot(se, 0.1)),
            "se": se,
            "outcome": "pain",
        }
    )


def pooled(**bias):
    effect = {"effect": specs.parameter(location=WIDE)}
    return specs.outcome("normal_contrast", "constant", "arm", effect, better="higher", bias=bias)


def test_small_study_effects():
    table = contrasts(np.random.default_rng(1), 60, 0.2)
    table["estimate"] += 1.5 * table["se"]
    plain = fitted(table, pooled(), **EXACT)
    assert float(plain["effect"].quantile(0.025)) > 0.4  # and the truth is 0.2
    posterior = fitted(table, pooled(small_study={"prior": WIDE}), **EXACT)
    assert_covers(posterior, effect=0.2, bias_small_study=1.5)


def test_risk_of_bias():
    table = contrasts(np.random.default_rng(2), 60, 0.2)
    table["risk_of_bias"] = np.tile(["low", "high", "unclear"], 20)
    shifts = {"low": 0.0, "high": 0.6, "unclear": 0.3}
    table["estimate"] += table["risk_of_bias"].map(shifts)
    part = {"column": "risk_of_bias", "priors": {"high": WIDE, "unclear": WIDE}}
    posterior = fitted(table, pooled(risk_of_bias=part), **EXACT)
    assert_covers(posterior, effect=0.2, bias_high=0.6, bias_unclear=0.3)
