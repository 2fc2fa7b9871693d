"""The graph: its dims, and its density by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests.support import specs
from tests.support.fits import value_of

T = specs.TRIALS
STUDY = np.array([0, 0, 1, 1, 1, 2, 2])
#: Agent of each arm: 0 ketamine, 1 mem; the reference has none.
AGENT = np.array([0, 0, 0, 0, 0, 0, 1])


def density(model: Any, point: Mapping[str, Any]) -> float:
    """Log density of the free and the observed variables, without Jacobians."""
    assert set(point) == {v.name for v in model.value_vars}
    return float(model.compile_logp(jacobian=False, mode="FAST_COMPILE")(dict(point)))


def inverse_logit(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class TestDims:
    def test_of_one_outcome(self):
        model = build_model(specs.spec(), load_evidence(specs.normal_table()))
        normals = ("emax", "log_ed50", "baseline")
        assert model.named_vars_to_dims == {
            "emax": (),
            "log_ed50": (),
            "ed50": (),
            "baseline": ("study",),
            "heterogeneity_sd": (),
            "arm_offset": ("arm",),
            "eta": ("arm",),
            "reported": ("arm",),
            **dict.fromkeys(("arm.exposure", "arm.mean", "arm.se"), ("arm",)),
            **dict.fromkeys((f"{p}.{k}" for p in normals for k in ("mu", "sigma")), ()),
            "heterogeneity_sd.sigma": (),
        }
        assert model.coords["study"] == ("A", "B", "C")
        assert model.coords["arm"][:2] == ("A: placebo", "A: ketamine 1")

    def test_of_two_outcomes(self):
        model = build_model(
            specs.benefit_risk(correlations=specs.LKJ), load_evidence(specs.both_tables())
        )
        dims = model.named_vars_to_dims
        for outcome in ("pain", "harm"):
            assert dims[f"{outcome}::eta"] == (f"{outcome}::arm",)
            assert dims[f"{outcome}::reported"] == (f"{outcome}::arm",)
            assert dims[f"{outcome}::baseline"] == (f"{outcome}::study",)
        assert dims["arm_offset"] == ("outcome", "arm")
        assert dims["heterogeneity_correlation"] == ("outcome_pair",)
        assert model.coords["outcome"] == ("pain", "harm")
        assert model.coords["outcome_pair"] == ("pain, harm",)

    def test_uncorrelated_outcomes_have_separate_offsets(self):
        model = build_model(specs.benefit_risk(), load_evidence(specs.both_tables()))
        dims = model.named_vars_to_dims
        assert dims["pain::arm_offset"] == ("pain::arm",)
        assert dims["harm::arm_offset"] == ("harm::arm",)
        assert "heterogeneity_correlation" not in dims

    def test_agent_without_trial_keeps_its_label(self):
        harm = specs.binary_table(T[T["agent"] != "mem"])
        table = specs.both_tables()
        table = table[table["outcome"] == "pain"]
        slope = {"slope": specs.parameter("agent")}
        outcomes = (
            specs.outcome("normal", "linear", parameters=slope),
            specs.outcome("binomial", "linear", parameters=slope),
        )
        both = load_evidence(pd.concat([table, harm]))
        model = build_model(specs.spec(*outcomes), both)
        assert model.coords["agent"] == ("ketamine", "mem")
        assert model.named_vars_to_dims["harm::slope"] == ("agent",)
        assert len(model.coords["harm::arm"]) == 5


class TestDensity:
    def test_normal_emax_by_agent(self):
        emax = specs.parameter(
            "agent", location=specs.normal(0, 20), between_agent=specs.prior("HalfNormal", sigma=10)
        )
        spec = specs.spec(specs.outcome(parameters={"emax": emax}))
        model = build_model(spec, load_evidence(specs.normal_table()))
        z, delta = np.array([0.5, -1.0]), np.linspace(-1, 1, 7)
        baseline = np.array([50.0, 54.0, 59.0])
        location, between, log_ed50, sd = -12.0, 4.0, 0.2, 1.5
        point = {
            "emax_location": np.array(location),
            "emax_between_agent_log__": np.array(np.log(between)),
            "emax_agent_offset": z,
            "log_ed50": np.array(log_ed50),
            "baseline": baseline,
            "heterogeneity_sd_log__": np.array(np.log(sd)),
            "arm_offset": delta,
        }
        dose = T["dose"].to_numpy(float)
        theta = (location + between * z)[AGENT]
        eta = baseline[STUDY] + theta * dose / (dose + np.exp(log_ed50)) + sd / np.sqrt(2) * delta
        assert_allclose(value_of(model, "eta", point), eta, rtol=1e-12)
        expected = (
            stats.norm(0, 20).logpdf(location)
            + stats.halfnorm(0, 10).logpdf(between)
            + stats.norm.logpdf(z).sum()
            + stats.norm(0, 1).logpdf(log_ed50)
            + stats.norm(0, 10).logpdf(baseline).sum()
            + stats.halfnorm(0, 1).logpdf(sd)
            + stats.norm.logpdf(delta).sum()
            + stats.norm(eta, T["se"]).logpdf(T["mean"]).sum()
        )
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_binomial_constant(self):
        effect = specs.parameter("independent", each=specs.normal(0, 2))
        outcome = specs.outcome("binomial", "constant", "none", {"effect": effect})
        model = build_model(specs.spec(outcome), load_evidence(_as_pain(specs.binary_table())))
        each, baseline = np.array([1.2, -0.4]), np.array([-2.5, -3.0, -1.0])
        eta = baseline[STUDY] + np.where(T["dose"] > 0, each[AGENT], 0.0)
        expected = (
            stats.norm(0, 2).logpdf(each).sum()
            + stats.norm(0, 10).logpdf(baseline).sum()
            + stats.binom(T["n"], inverse_logit(eta)).logpmf(T["events"]).sum()
        )
        point = {"effect": each, "baseline": baseline}
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_contrasts_of_a_three_arm_trial(self):
        outcome = specs.outcome("normal_contrast", "linear")
        model = build_model(specs.spec(outcome), load_evidence(specs.CONTRASTS))
        # Arms: A placebo, 1, 2; B; C: their order is the design's.
        arms = list(model.coords["arm"])
        delta, slope, sd = np.linspace(-1, 1, 7), -4.0, 2.0
        at = {arm: sd / np.sqrt(2) * delta[i] for i, arm in enumerate(arms)}
        pairs = [
            ("A: ketamine 1", "A: placebo 0", 1),
            ("A: ketamine 2", "A: placebo 0", 2),
            ("B: ketamine 1", "B: placebo 0", 1),
            ("C: mem 1", "C: placebo 0", 1),
        ]
        mean = [slope * dose + at[arm] - at[comparator] for arm, comparator, dose in pairs]
        covariance = np.diag(specs.CONTRASTS["se"].to_numpy(float) ** 2)
        covariance[0, 1] = covariance[1, 0] = 2.0**2
        expected = (
            stats.norm(0, 1).logpdf(slope)
            + stats.halfnorm(0, 1).logpdf(sd)
            + stats.norm.logpdf(delta).sum()
            + stats.multivariate_normal(mean, covariance).logpdf(specs.CONTRASTS["estimate"])
        )
        point = {
            "slope": np.array(slope),
            "heterogeneity_sd_log__": np.array(np.log(sd)),
            "arm_offset": delta,
        }
        assert_allclose(density(model, point), expected, rtol=1e-9)

    def test_two_outcomes_with_correlated_offsets(self):
        outcomes = (specs.outcome("normal", "linear"), specs.outcome("binomial", "linear"))
        model = build_model(
            specs.spec(*outcomes, correlations=specs.LKJ), load_evidence(specs.both_tables())
        )
        rng = np.random.default_rng(3)
        z, share = rng.normal(size=(2, 7)), 0.8
        slope, sd = {"pain": -4.0, "harm": 0.7}, {"pain": 2.0, "harm": 0.5}
        baseline = {"pain": np.array([50.0, 54.0, 59.0]), "harm": np.array([-2.5, -3.0, -1.0])}
        r = 2 * share - 1
        offset = {"pain": z[0], "harm": r * z[0] + np.sqrt(1 - r**2) * z[1]}
        dose = T["dose"].to_numpy(float)
        eta = {
            k: baseline[k][STUDY] + slope[k] * dose + sd[k] / np.sqrt(2) * offset[k] for k in slope
        }
        # eta = 2 and K = 2: the share (r + 1) / 2 is Beta(2, 2).
        expected = stats.beta(2, 2).logpdf(share) + stats.norm.logpdf(z).sum()
        for k in slope:
            expected += stats.norm(0, 1).logpdf(slope[k]) + stats.halfnorm(0, 1).logpdf(sd[k])
            expected += stats.norm(0, 10).logpdf(baseline[k]).sum()
        expected += stats.norm(eta["pain"], T["se"]).logpdf(T["mean"]).sum()
        expected += stats.binom(T["n"], inverse_logit(eta["harm"])).logpmf(T["events"]).sum()
        point = {
            "arm_offset": z,
            "pain_harm_offset_logodds__": np.array(np.log(share / (1 - share))),
        }
        for k in slope:
            point |= {
                f"{k}::slope": np.array(slope[k]),
                f"{k}::heterogeneity_sd_log__": np.array(np.log(sd[k])),
                f"{k}::baseline": baseline[k],
            }
        assert_allclose(value_of(model, "heterogeneity_correlation", point), [r], rtol=1e-12)
        assert_allclose(density(model, point), expected, rtol=1e-9)


def _as_pain(table):
    return table.assign(outcome="pain")


@pytest.mark.parametrize("zero", ["exposure", "effect"])
def test_arms_are_equal_without_effect_or_exposure(zero):
    table = specs.normal_table()
    spec = specs.spec(specs.outcome("normal", "linear", "none"))
    model = build_model(spec, load_evidence(table))
    slope = 0.0 if zero == "effect" else 5.0
    eta = value_of(model, "eta", {"slope": np.array(slope), "baseline": np.array([1.0, 2, 3])})
    reference = (table["dose"] == 0).to_numpy()
    active = np.ones(7, bool) if zero == "effect" else reference
    assert_allclose(eta[active], np.array([1.0, 2, 3])[STUDY][active])
    assert (eta[~active] != np.array([1.0, 2, 3])[STUDY][~active]).all()
