"""Trials drawn with a bias: a fit that allows for it finds it, and the effect behind it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special, stats

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.intervals import interval
from tests import specs

pytestmark = pytest.mark.slow
EXACT = {"seed": 3, "method": "exact"}
SAMPLED = {"seed": 3, "draws": 500, "tune": 500, "target_accept": 0.9}
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


def test_selection():
    # 40 of some 75 trials are seen: all that are significant, a third of the others, few of those
    # that point the wrong way.
    rng = np.random.default_rng(4)
    table = contrasts(rng, 75, 0.2)
    p = stats.norm.sf(table["estimate"] / table["se"])
    seen = rng.uniform(size=len(p)) < np.select([p < 0.025, p < 0.5], [1.0, 0.35], 0.1)
    table = table[seen].reset_index(drop=True)
    plain = fitted(table, pooled(), **EXACT)
    assert float(plain["effect"].quantile(0.025)) > 0.22  # and the truth is 0.2
    flat = specs.prior("Beta", alpha=1, beta=1)
    part = {"steps": [0.025, 0.5], "priors": [flat, flat]}
    posterior = fitted(table, pooled(selection=part), **SAMPLED)
    assert_covers(posterior, effect=0.2, bias_published_2=0.35, bias_published_3=0.1)
    assert float(posterior["effect"].median()) < float(plain["effect"].median())


def test_unblinding():
    # Nobody is relieved by the drug itself: who is disturbed says 3 points more.
    rng, count = np.random.default_rng(5), 32
    dose = np.tile([0.5, 1.0, 2.0, 4.0], count // 4)
    usual, own = rng.normal(-2, 0.5, count), rng.normal(0, 0.8, count)
    control, active = special.expit(usual), special.expit(usual + 0.6 * dose + own)
    start = rng.normal(0, 2, count)
    arms = []
    for agent, given, told, shift in (
        ("placebo", 0.0 * dose, control, 0.0), ("ketamine", dose, active, active - control),
    ):  # fmt: skip
        arms.append(pd.DataFrame({
            "study": [f"T{k}" for k in range(count)], "agent": agent, "dose": given, "se": 0.2,
            "n": 80, "events": rng.binomial(80, told), "mean": rng.normal(start + 3 * shift, 0.2),
        }))  # fmt: skip
    wide = pd.concat(arms)
    pain = wide.drop(columns="events").assign(outcome="pain")
    harm = wide.drop(columns=["mean", "se"]).assign(outcome="harm")
    table = pd.concat([pain, harm], ignore_index=True)
    effect = {"slope": specs.parameter(location=specs.normal(0, 2))}
    plain = fitted(pain, specs.outcome("normal", "linear", "arm", effect, better="higher"), **EXACT)
    assert float(plain["slope"].quantile(0.025)) > 0.1  # and the truth is 0
    bias = {"unblinding": {"harm": "harm", "prior": WIDE}}
    posterior = fitted(
        table, specs.outcome("normal", "linear", "arm", effect, better="higher", bias=bias),
        specs.outcome("binomial", "linear", "arm", effect, better="lower"), **SAMPLED,
    )  # fmt: skip
    truth = {"pain::slope": 0.0, "pain::bias_unblinding": 3.0, "harm::slope": 0.6}
    assert_covers(posterior, **truth)
