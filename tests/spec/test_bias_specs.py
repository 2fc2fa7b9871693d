"""Errors of the keys of biases, and the names of their priors."""

from __future__ import annotations

import pytest

from nmda_bayes.errors import SpecError
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

BETA = specs.prior("Beta", alpha=1, beta=1)
STEPS = {"steps": [0.025, 0.5], "priors": [BETA, BETA]}
JUDGED = {"column": "risk_of_bias", "priors": {"high": specs.normal()}}


def codes_of(bias, *others, **more):
    outcome = specs.outcome(**{"better": "lower", **more}) | {"bias": bias}
    issues = issues_when(lambda: specs.spec(outcome, *others), SpecError)
    assert all(f.hint for f in issues)
    return {f.column.removeprefix("outcomes.pain."): f.code for f in issues}


@pytest.mark.parametrize(
    ("bias", "at", "code"),
    [
        ({"selection": STEPS | {"steps": [0.5, 0.025]}}, "selection.steps", "E374"),
        ({"selection": STEPS | {"steps": [0.025, 1.0]}}, "selection.steps", "E374"),
        ({"selection": STEPS | {"priors": [BETA]}}, "selection.priors", "E375"),
        (
            {"selection": STEPS | {"priors": [BETA, specs.normal()]}},
            "selection.priors.1",
            "E317",
        ),
        ({"risk_of_bias": JUDGED | {"domain": "overall"}}, "risk_of_bias.column", "E370"),
        ({"risk_of_bias": JUDGED | {"scope": ["pain"]}}, "risk_of_bias.scope", "E371"),
        (
            {"risk_of_bias": JUDGED | {"priors": {"low": specs.normal()}}},
            "risk_of_bias.priors.low",
            "E372",
        ),
        (
            {"risk_of_bias": JUDGED | {"priors": {"hihg": specs.normal()}}},
            "risk_of_bias.priors.hihg",
            "E373",
        ),
        ({"risk_of_bias": JUDGED | {"spread": specs.normal()}}, "risk_of_bias.spread", "E317"),
        ({"power": {"column": "x", "weights": {"a": 1.0}}}, "power.weights", "E381"),
        ({"power": {"column": "x", "weights": {"a": 1.5}}}, "power.weights.a", "E303"),
        ({"unblinding": {"harm": "harm", "prior": BETA}}, "unblinding.harm", "E340"),
        ({"small_study": {"prior": specs.prior("Normal", mu=0)}}, "small_study.prior", "E316"),
    ],
)
def test_each_error_is_at_its_key(bias, at, code):
    outcome = specs.outcome(better="lower") | {"bias": bias}
    issues = issues_when(lambda: specs.spec(outcome), SpecError)
    assert [(f.code, f.column) for f in issues] == [(code, f"outcomes.pain.bias.{at}")]


def test_a_bias_needs_the_better_direction():
    codes = codes_of({"small_study": {"prior": specs.normal()}}, better="")
    assert codes == {"better": "E341"}
    weighed = specs.outcome() | {"bias": {"power": {"column": "x", "weights": {"a": 0.5}}}}
    assert specs.spec(weighed).outcomes["pain"].bias.given == ["power"]


def test_all_obstacles_to_selection_are_reported():
    harm = specs.outcome("binomial", better="lower")
    bias = {
        "selection": STEPS,
        "unblinding": {"harm": "harm", "prior": specs.normal()},
        "risk_of_bias": JUDGED | {"spread": specs.half_normal()},
    }
    outcome = specs.outcome("student_t", "emax", "arm_t", better="lower") | {"bias": bias}
    issues = issues_when(lambda: specs.spec(outcome, harm), SpecError)
    assert {f.column for f in issues} == {"outcomes.pain.bias.selection"}
    assert {f.code for f in issues} == {"E376", "E378", "E379", "E380"}
    counted = specs.outcome("binomial", better="lower") | {"bias": {"selection": STEPS}}
    (issue,) = issues_when(lambda: specs.spec(counted), SpecError)
    assert issue.code == "E376"


def test_unblinding_needs_a_counted_unbiased_harm():
    bias = {"unblinding": {"harm": "harm", "prior": specs.normal()}}
    codes = codes_of(bias, specs.outcome("normal", better="lower"))
    assert codes["bias.unblinding.harm"] == "E382"
    back = {"unblinding": {"harm": "pain", "prior": specs.normal()}}
    codes = codes_of(bias, specs.outcome("binomial", better="lower") | {"bias": back})
    assert codes["bias.unblinding.harm"] == "E384"
    other = specs.outcome("binomial", exposure="dose_relative_to_reference")
    assert codes_of(bias, other)["bias.unblinding.harm"] == "E385"


def test_priors_by_the_names_of_their_variables():
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
