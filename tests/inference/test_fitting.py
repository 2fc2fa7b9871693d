"""The groups and attributes of a fit, with the sampler mocked."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from nmda_bayes import inference
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.fitting import PRIOR_DRAWS, REPORTED_PACKAGES
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

GROUPS = {
    "posterior",
    "prior",
    "prior_predictive",
    "posterior_predictive",
    "observed_data",
    "log_likelihood",
    "log_prior",
    "sample_stats",
    "design",
    "evidence_map",
}


def test_groups(quick_fit: xr.DataTree):
    assert set(quick_fit.children) == GROUPS
    assert {"arms", "labels", "outcomes", "excluded"} == set(quick_fit["design"].children)
    assert set(quick_fit["design/outcomes"].children) == {"pain", "harm"}


def test_attributes(quick_fit: xr.DataTree):
    evidence = load_evidence(specs.both_tables())
    spec = specs.benefit_risk(correlations=specs.LKJ)
    assert AnalysisSpec.from_dict(json.loads(quick_fit.attrs["spec"])) == spec
    assert quick_fit.attrs["evidence_hash"] == evidence.attrs["evidence_hash"]
    assert quick_fit.attrs["evidence_source"] == "data frame"
    assert quick_fit.attrs["seed"] == spec.sampling.seed
    assert set(json.loads(quick_fit.attrs["versions"])) == {"python", *REPORTED_PACKAGES}
    assert "pain::emax ~ Normal(0, 1)" in quick_fit.attrs["model_text"]


def test_dims_of_prior_and_predictions(quick_fit: xr.DataTree):
    assert quick_fit["prior"].sizes["draw"] == PRIOR_DRAWS
    for outcome in ("pain", "harm"):
        name, arm = f"{outcome}::reported", f"{outcome}::arm"
        for group in ("prior_predictive", "posterior_predictive", "log_likelihood"):
            assert quick_fit[group][name].dims == ("chain", "draw", arm)
        assert quick_fit["observed_data"][name].dims == (arm,)
    np.testing.assert_array_equal(
        quick_fit["observed_data"]["harm::reported"], specs.TRIALS["events"]
    )


def test_log_priors_are_those_of_the_spec(quick_fit: xr.DataTree):
    names = set(quick_fit["log_prior"].data_vars)
    assert "pain::emax" in names
    assert not any(name.endswith("_offset") for name in names)


def test_evidence_map_counts_the_results(quick_fit: xr.DataTree):
    results = quick_fit["evidence_map"]["results"]
    assert results.dims == ("agent", "condition", "outcome")
    assert int(results.sel(agent="ketamine", condition="crps", outcome="pain")) == 2
    assert int(results.sel(agent="mem", condition="crps", outcome="harm")) == 0


@pytest.mark.usefixtures("mocked_sampler")
@pytest.mark.parametrize(
    ("likelihood", "table"),
    [("normal", specs.normal_table()), ("normal_contrast", specs.CONTRASTS)],
)
def test_a_single_outcome_has_no_prefix(likelihood, table):
    spec = specs.spec(specs.outcome(likelihood, "linear"))
    fit = inference.fit(spec, load_evidence(table))
    rows = "contrast" if likelihood == "normal_contrast" else "arm"
    assert fit["posterior"]["slope"].dims == ("chain", "draw")
    assert fit["posterior_predictive"]["reported"].dims == ("chain", "draw", rows)


@pytest.mark.usefixtures("mocked_sampler")
def test_a_spec_for_other_evidence_is_rejected_before_sampling():
    spec = specs.spec(select={"nothing": "x"})
    evidence = load_evidence(specs.normal_table())
    (issue,) = issues_when(lambda: inference.fit(spec, evidence), SpecError)
    assert issue.column == "select.nothing"
