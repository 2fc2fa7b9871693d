"""Biases in the graph: they shift reported results, not estimands."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from nmda_bayes.design import build_design
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles, integrate_posterior
from nmda_bayes.model import build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.fits import draws, make_fit, value_of
from tests.support.issues import issues_when

JUDGED = specs.TRIALS.assign(
    risk_of_bias=specs.TRIALS["study"].map({"A": "low", "B": "high", "C": None})
)
WORDS = {"column": "risk_of_bias", "priors": {"high": specs.normal(), "unknown": specs.normal()}}
#: Active arms of the seven; the standard errors of their contrasts with their trial's control.
ACTIVE = np.array([0, 1, 0, 1, 1, 0, 1])
SES = np.sqrt([0, 8, 0, 18, 18, 0, 32])


def pain(**bias):
    return specs.outcome("normal", "constant", "none", better="lower", bias=bias)


def eta_of(spec, table, point, name="eta"):
    model = build_model_from_design(spec, build_design(spec, load_evidence(table)))
    return value_of(model, name, point)


def test_small_study_shift_by_hand():
    spec = specs.spec(pain(small_study={"prior": specs.normal()}))
    point = {"effect": np.array(-1.0), "bias_small_study": np.array(2.0)}
    eta = eta_of(spec, specs.normal_table(), point)
    assert_allclose(eta, -1.0 * ACTIVE - 2.0 * SES)
    higher = specs.spec(pain(small_study={"prior": specs.normal()}) | {"better": "higher"})
    assert_allclose(eta_of(higher, specs.normal_table(), point), -1.0 * ACTIVE + 2.0 * SES)


def test_small_study_regressor_of_counts():
    harm = specs.outcome("binomial", "constant", "none", better="lower")
    spec = specs.spec(harm | {"bias": {"small_study": {"prior": specs.normal()}}})
    eta = eta_of(spec, specs.binary_table(name="pain"), {"bias_small_study": np.array(1.0)})
    p = (5 + 0.5) / (40 + 1)  # trial A: 1 and 4 of 20 each
    assert_allclose(-eta[1], np.sqrt(2 / (20 * p * (1 - p))))
    # The same trials with the events between the arms swapped: the regressor does not know.
    turned = specs.binary_table(name="pain").assign(events=[4, 1, 9, 2, 0, 2, 2])
    assert_allclose(eta_of(spec, turned, {"bias_small_study": np.array(1.0)}), eta)


def test_judgements_shift_the_active_arms_of_their_trials():
    table = specs.normal_table(JUDGED)
    spec = specs.spec(pain(risk_of_bias=WORDS))
    point = {"bias_high": np.array(3.0), "bias_unknown": np.array(0.5)}
    assert_allclose(eta_of(spec, table, point), [0, 0, 0, -3, -3, 0, -0.5])
    with_spread = specs.spec(pain(risk_of_bias=WORDS | {"spread": specs.half_normal()}))
    point |= {"bias_spread_log__": np.log(2.0), "bias_study_offset": np.array([1.0, -1.0])}
    assert_allclose(eta_of(with_spread, table, point), [0, 0, 0, -5, -5, 0, 1.5])
    assert "spread" in " ".join(
        exact_obstacles(with_spread, build_design(with_spread, load_evidence(table)))
    )


def test_weight_scales_log_likelihood():
    table = specs.normal_table(JUDGED.assign(species=["trial"] * 5 + ["animal"] * 2))
    power = {"column": "species", "weights": {"trial": 1.0, "animal": 0.25}}
    models = [
        build_model_from_design(spec, build_design(spec, load_evidence(table)))
        for spec in (specs.spec(pain()), specs.spec(pain(power=power)))
    ]
    values = [m.compile_logp(mode="FAST_COMPILE")(m.initial_point()) for m in models]
    prior = models[0].compile_logp(models[0].free_RVs, mode="FAST_COMPILE")
    (rows,) = models[0].compile_logp(models[0].observed_RVs, sum=False, mode="FAST_COMPILE")(
        models[0].initial_point()
    )
    weight = np.array([1, 1, 1, 1, 1, 0.25, 0.25])
    assert_allclose(values[0], prior(models[0].initial_point()) + rows.sum())
    assert_allclose(values[1], prior(models[0].initial_point()) + (weight * rows).sum())


def test_exact_engine_with_weights():
    power = {"column": "species", "weights": {"trial": 1.0, "animal": 0.25}}
    kinds = ["trial"] * 5 + ["animal"] * 2
    table = specs.normal_table(JUDGED.assign(species=kinds))
    wide = table.assign(se=table["se"] * np.where(np.array(kinds) == "animal", 2.0, 1.0))
    posteriors = []
    for outcome, rows in ((pain(power=power), table), (pain(), wide)):
        spec = specs.spec(outcome)
        design = build_design(spec, load_evidence(rows))
        assert exact_obstacles(spec, design) == []
        posteriors.append(
            integrate_posterior(spec, design, build_model_from_design(spec, design))["exact"][
                "effect"
            ]
        )
    assert_allclose(*posteriors, rtol=1e-10)


def unblinded(heterogeneity="none", **more):
    benefit = specs.outcome("normal", "log_linear", heterogeneity, better="lower")
    bias = {"unblinding": {"harm": "harm", "prior": specs.half_normal(10)}}
    harm = specs.outcome("binomial", "log_linear", "arm")
    return specs.spec(benefit | {"bias": bias}, harm, **more)


#: Trial A, two arms, both outcomes; trial C, pain alone.
BOTH = pd.concat(
    [
        specs.normal_table(specs.TRIALS[specs.TRIALS["study"] != "B"]),
        specs.binary_table(specs.TRIALS[specs.TRIALS["study"] == "A"]),
    ]
)


def test_unblinding_shift_by_hand():
    point = {
        "pain::bias_unblinding_log__": np.log(10.0),
        "pain::slope": np.array(-2.0),
        "harm::slope": np.array(1.5),
        "harm::baseline": np.array([-2.0]),
        "harm::heterogeneity_sd_log__": np.log(np.sqrt(2)),
        "harm::arm_offset": np.array([0.3, -0.2]),
        "pain::bias_harm_baseline": np.array([-1.0]),
        "pain::bias_harm_arm_offset": np.array([0.1, 0.4]),
    }
    eta = eta_of(unblinded(), BOTH, point, "pain::eta")
    log2 = np.log(2)
    probability = expit([-2 + 0.3, -2 + 1.5 * log2 - 0.2, -1 + 0.1, -1 + 1.5 * log2 + 0.4])
    shift = -10 * np.array([probability[1] - probability[0], probability[3] - probability[2]])
    assert_allclose(eta[[0, 2]], 0, atol=1e-12)  # a control is held against itself
    assert_allclose(eta[[1, 3]], -2 * log2 + shift)


def test_uncounted_arms_share_correlated_effects():
    spec = unblinded("arm", correlations=specs.LKJ)
    model = build_model_from_design(spec, build_design(spec, load_evidence(BOTH)))
    assert "pain::bias_harm_arm_offset" not in model.named_vars
    assert model.named_vars_to_dims["arm_offset"] == ("outcome", "arm")
    assert list(model.coords["pain::uncounted_study"]) == ["C"]


def test_estimands_exclude_the_bias():
    from nmda_bayes.estimands import response

    spec = specs.spec(pain(small_study={"prior": specs.normal()}))
    effect = draws(np.array([-3.0, -2.0]))
    results = []
    for slope in (0.0, 5.0):
        posterior = {"effect": effect, "bias_small_study": draws(np.full(2, slope))}
        fit = make_fit(spec, specs.normal_table(), posterior)
        results.append(response.linear_response(fit, "pain", [1.0]))
    assert_allclose(results[0], results[1])


@pytest.mark.parametrize(
    ("bias", "column"),
    [
        (
            {"risk_of_bias": WORDS | {"priors": {"high": specs.normal()}}},
            "outcomes.pain.bias.risk_of_bias.priors.unknown",
        ),
        (
            {"risk_of_bias": WORDS | {"priors": {"unknown": specs.normal()}}},
            "outcomes.pain.bias.risk_of_bias.priors.high",
        ),
        (
            {"risk_of_bias": WORDS | {"column": "risk"}},
            "outcomes.pain.bias.risk_of_bias.column",
        ),
        (
            {"risk_of_bias": {"domain": "overall", "priors": {"high": specs.normal()}}},
            "outcomes.pain.bias.risk_of_bias.domain",
        ),
        (
            {"power": {"column": "risk_of_bias", "weights": {"low": 1.0, "high": 0.5}}},
            "outcomes.pain.bias.power.weights.unknown",
        ),
    ],
)
def test_missing_bias_column_is_rejected(bias, column):
    spec = specs.spec(pain(**bias))
    evidence = load_evidence(specs.normal_table(JUDGED))
    issues = issues_when(lambda: build_design(spec, evidence), SpecError)
    assert [f.column for f in issues] == [column]
    assert issues[0].hint


def test_judgements_by_domain():
    content = AnalysisSpec.from_toml("models/benefit_risk.toml").model_dump()
    priors = {j: specs.normal() for j in ("some_concerns", "unclear", "unknown")}
    part = {"domain": "overall", "scope": ["pain intensity"], "priors": priors}
    content["outcomes"]["analgesia"]["bias"] = {"risk_of_bias": part}
    design = build_design(AnalysisSpec.from_dict(content), load_evidence())
    words = design["outcomes/analgesia"]["judgement"].to_series()
    assert {"some_concerns", "unknown"} <= set(words) <= {"low", *priors}
    assert (words == "unknown").mean() > 0.5


def test_unblinding_model_extends_the_primary_one():
    primary, other = (
        AnalysisSpec.from_toml(f"models/{n}.toml").model_dump()
        for n in ("benefit_risk", "unblinding")
    )
    bias = other["outcomes"]["analgesia"].pop("bias")
    primary["outcomes"]["analgesia"].pop("bias")
    assert [k for k, part in bias.items() if part] == ["unblinding"]
    assert bias["unblinding"]["harm"] == primary["window"]["harm"]
    for key in ("title", "question"):
        assert primary.pop(key) != other.pop(key)
    assert primary == other
