"""Simulated trials with a bias: the bias and the effect are recovered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import special, stats

from nmda_bayes import inference
from nmda_bayes.evidence import load_evidence
from nmda_bayes.intervals import credible_interval
from tests.support import specs

pytestmark = pytest.mark.slow
EXACT = {"seed": 3, "method": "exact"}
SAMPLED = {"seed": 3, "draws": 500, "tune": 500, "target_accept": 0.9}
WIDE = specs.normal(0, 10)


def fitted(table: pd.DataFrame, *outcomes, **sampling) -> xr.Dataset:
    spec = specs.spec(*outcomes, sampling=sampling)
    return inference.fit(spec, load_evidence(table))["posterior"].to_dataset()


def assert_covers(posterior: xr.Dataset, **truth: float) -> None:
    for name, value in truth.items():
        interval = credible_interval(posterior[name])
        assert float(interval["lower"]) < value < float(interval["upper"]), name


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
    assert float(plain["effect"].quantile(0.025)) > 0.4  # the truth is 0.2
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
    # Some 40 of 75 trials are published: all significant ones, a third of the others, and few with
    # an effect in the wrong direction.
    rng = np.random.default_rng(4)
    table = contrasts(rng, 75, 0.2)
    p = stats.norm.sf(table["estimate"] / table["se"])
    published = rng.uniform(size=len(p)) < np.select([p < 0.025, p < 0.5], [1.0, 0.35], 0.1)
    table = table[published].reset_index(drop=True)
    plain = fitted(table, pooled(), **EXACT)
    assert float(plain["effect"].quantile(0.025)) > 0.22  # the truth is 0.2
    flat = specs.prior("Beta", alpha=1, beta=1)
    part = {"steps": [0.025, 0.5], "priors": [flat, flat]}
    posterior = fitted(table, pooled(selection=part), **SAMPLED)
    assert_covers(posterior, effect=0.2, bias_published_2=0.35, bias_published_3=0.1)
    assert float(posterior["effect"].median()) < float(plain["effect"].median())


def test_unblinding():
    # The drug has no benefit; patients with the harm report 3 points more.
    rng, count = np.random.default_rng(5), 32
    dose = np.tile([0.5, 1.0, 2.0, 4.0], count // 4)
    baseline, effect = rng.normal(-2, 0.5, count), rng.normal(0, 0.8, count)
    control, active = special.expit(baseline), special.expit(baseline + 0.6 * dose + effect)
    start = rng.normal(0, 2, count)
    arms = []
    for agent, doses, risk in (("placebo", 0.0 * dose, control), ("ketamine", dose, active)):
        columns = {"study": [f"T{k}" for k in range(count)], "agent": agent, "dose": doses}
        columns |= {"se": 0.2, "n": 80, "events": rng.binomial(80, risk)}
        columns["mean"] = rng.normal(start + 3 * (risk - control), 0.2)
        arms.append(pd.DataFrame(columns))
    wide = pd.concat(arms)
    pain = wide.drop(columns="events").assign(outcome="pain")
    harm = wide.drop(columns=["mean", "se"]).assign(outcome="harm")
    table = pd.concat([pain, harm], ignore_index=True)
    slope = {"slope": specs.parameter(location=specs.normal(0, 2))}
    plain = fitted(pain, specs.outcome("normal", "linear", "arm", slope, better="higher"), **EXACT)
    assert float(plain["slope"].quantile(0.025)) > 0.1  # the truth is 0
    bias = {"unblinding": {"harm": "harm", "prior": WIDE}}
    pain_spec = specs.outcome("normal", "linear", "arm", slope, better="higher", bias=bias)
    harm_spec = specs.outcome("binomial", "linear", "arm", slope, better="lower")
    posterior = fitted(table, pain_spec, harm_spec, **SAMPLED)
    truth = {"pain::slope": 0.0, "pain::bias_unblinding": 3.0, "harm::slope": 0.6}
    assert_covers(posterior, **truth)
