"""What a baseline is: stated, or the mean of the arms unless baselines are pooled."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.errors import SpecError
from nmda_bayes.sensitivity.variants import merge_spec
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("pooling", ["independent", "study", "common"])
def test_where_it_is_not_stated(pooling: str):
    outcome = specs.outcome("binomial", parameters={"baseline": specs.parameter(pooling)})
    del outcome["baseline"]
    part = specs.spec(outcome).outcomes["pain"]
    assert part.baseline is None
    assert part.baseline_is_mean == (pooling == "independent")


@pytest.mark.parametrize("likelihood", [n for n, p in LIKELIHOODS.items() if not p.has_baseline])
def test_not_of_a_likelihood_without_baselines(likelihood: str):
    outcome = specs.outcome(likelihood, baseline="mean_of_arms")
    (issue,) = issues_when(lambda: specs.spec(outcome), SpecError)
    assert (issue.code, issue.column) == ("E309", "outcomes.pain.baseline")


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_analyses_are_of_means(path: Path):
    content = tomllib.loads(path.read_text("utf-8"))
    for name in content.get("outcomes", {}):
        part = AnalysisSpec.from_dict(content).outcomes[name]
        if LIKELIHOODS[part.likelihood].has_baseline:
            assert part.baseline_is_mean
            assert part.baseline == "mean_of_arms" or path.stem.startswith("template_")


def test_a_variant_without_baselines_drops_it():
    base = specs.spec(specs.outcome("binomial", "linear", baseline="mean_of_arms"))
    content = base.model_dump(mode="json", exclude_none=True)
    partial = {"outcomes": {"pain": {"likelihood": "hypergeometric"}}}
    merged, dropped = merge_spec(content, partial)
    assert AnalysisSpec.from_dict(merged).outcomes["pain"].baseline is None
    assert set(dropped) == {"outcomes.pain.baseline", "outcomes.pain.parameters.baseline"}


def test_unblinding_needs_levels_of_the_harm():
    bias = {"unblinding": {"harm": "harm", "prior": specs.normal()}}
    pain = specs.outcome("normal", better="lower") | {"bias": bias}
    issues = issues_when(lambda: specs.spec(pain, specs.outcome("hypergeometric")), SpecError)
    assert {issue.code for issue in issues} == {"E382"}
