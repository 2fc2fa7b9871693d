"""What a spec must say of a bias, and what it is told where it does not."""

from __future__ import annotations

import pytest

from nmda_bayes.errors import SpecError
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when

BETA = specs.prior("Beta", alpha=1, beta=1)
STEPS = {"steps": [0.025, 0.5], "priors": [BETA, BETA]}
JUDGED = {"column": "risk_of_bias", "priors": {"high": specs.normal()}}


def refused(bias, *others, **more):
    outcome = specs.outcome(**{"better": "lower", **more}) | {"bias": bias}
    faults = faults_when(lambda: specs.spec(outcome, *others), SpecError)
    assert all(f.mend for f in faults)
    return {f.column.removeprefix("outcomes.pain."): f.message for f in faults}


@pytest.mark.parametrize(
    ("bias", "at", "said"),
    [
        ({"selection": STEPS | {"steps": [0.5, 0.025]}}, "selection.steps", "do not rise"),
        ({"selection": STEPS | {"steps": [0.025, 1.0]}}, "selection.steps", "between 0 and 1"),
        ({"selection": STEPS | {"priors": [BETA]}}, "selection.priors", "2 steps leave 2"),
        (
            {"selection": STEPS | {"priors": [BETA, specs.normal()]}},
            "selection.priors.1",
            "positive",
        ),
        ({"risk_of_bias": JUDGED | {"domain": "overall"}}, "risk_of_bias.column", "one source"),
        ({"risk_of_bias": JUDGED | {"scope": ["pain"]}}, "risk_of_bias.scope", "only a domain"),
        (
            {"risk_of_bias": JUDGED | {"priors": {"low": specs.normal()}}},
            "risk_of_bias.priors.low",
            "held against",
        ),
        (
            {"risk_of_bias": JUDGED | {"priors": {"hihg": specs.normal()}}},
            "risk_of_bias.priors.hihg",
            "unknown judgement",
        ),
        ({"risk_of_bias": JUDGED | {"spread": specs.normal()}}, "risk_of_bias.spread", "positive"),
        ({"power": {"column": "x", "weights": {"a": 1.0}}}, "power.weights", "discounted"),
        ({"power": {"column": "x", "weights": {"a": 1.5}}}, "power.weights.a", "less than"),
        ({"unblinding": {"harm": "harm", "prior": BETA}}, "unblinding.harm", "no other outcome"),
        ({"small_study": {"prior": specs.prior("Normal", mu=0)}}, "small_study.prior", "needs all"),
    ],
)
def test_each_fault_stands_at_its_key(bias, at, said):
    outcome = specs.outcome(better="lower") | {"bias": bias}
    faults = faults_when(lambda: specs.spec(outcome), SpecError)
    assert [f.column for f in faults] == [f"outcomes.pain.bias.{at}"]
    assert said in faults[0].message


def test_a_bias_needs_to_know_which_way_is_better():
    found = refused({"small_study": {"prior": specs.normal()}}, better="")
    assert list(found) == ["better"]
    weighed = specs.outcome() | {"bias": {"power": {"column": "x", "weights": {"a": 0.5}}}}
    assert specs.spec(weighed).outcomes["pain"].bias.given == ["power"]


def test_selection_says_all_that_it_cannot_do():
    harm = specs.outcome("binomial", better="lower")
    bias = {
        "selection": STEPS,
        "unblinding": {"harm": "harm", "prior": specs.normal()},
        "risk_of_bias": JUDGED | {"spread": specs.half_normal()},
    }
    outcome = specs.outcome("student_t", "emax", "arm_t", better="lower") | {"bias": bias}
    faults = faults_when(lambda: specs.spec(outcome, harm), SpecError)
    said = " ".join(f.message for f in faults)
    assert {f.column for f in faults} == {"outcomes.pain.bias.selection"}
    for word in ("'student_t' has none", "heterogeneity 'arm_t'", "latent harm", "have a spread"):
        assert word in said
    counted = specs.outcome("binomial", better="lower") | {"bias": {"selection": STEPS}}
    (fault,) = faults_when(lambda: specs.spec(counted), SpecError)
    assert "normal_contrast" in fault.mend


def test_what_betrays_an_agent_is_counted_and_free_of_it():
    telling = {"unblinding": {"harm": "harm", "prior": specs.normal()}}
    found = refused(telling, specs.outcome("normal", better="lower"))
    assert "must be counted" in found["bias.unblinding.harm"]
    back = {"unblinding": {"harm": "pain", "prior": specs.normal()}}
    found = refused(telling, specs.outcome("binomial", better="lower") | {"bias": back})
    assert "itself inflated" in found["bias.unblinding.harm"]
    other = specs.outcome("binomial", exposure="dose_relative_to_reference")
    assert "different exposures" in refused(telling, other)["bias.unblinding.harm"]


def test_priors_are_listed_by_the_names_of_their_variables():
    bias = {
        "small_study": {"prior": specs.normal()},
        "risk_of_bias": JUDGED | {"spread": specs.half_normal()},
        "selection": STEPS,
    }
    bias["risk_of_bias"].pop("spread")
    spec = specs.spec(specs.outcome(better="lower") | {"bias": bias})
    assert list(spec.outcomes["pain"].bias.priors) == [
        "bias_small_study",
        "bias_high",
        "bias_published_2",
        "bias_published_3",
    ]
    assert AnalysisSpec.from_dict(spec.model_dump()) == spec
