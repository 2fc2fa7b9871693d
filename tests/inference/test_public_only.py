"""The fallback to public functions: the same posterior as the fast path."""

from __future__ import annotations

import logging

import arviz_stats
import numpy as np
import pytest
import xarray as xr

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import compiled
from nmda_bayes.inference.fitting import fit
from nmda_bayes.inference.nuts import compile_analysis
from nmda_bayes.inference.predictive import log_densities
from nmda_bayes.model import build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from tests.inference.test_compiled_analysis import other_numbers
from tests.support import specs

#: Standard errors of a difference of two means; some tens of parameters are compared.
ERRORS = 4.5


def small(scale: float = 1.0, **sampling: int) -> AnalysisSpec:
    slope = specs.parameter("common", location=specs.normal(0, 5 * scale))
    outcome = specs.outcome("normal", "linear", parameters={"slope": slope})
    settings = {"seed": 3, "draws": 1000, "tune": 500, "chains": 2, "method": "nuts"} | sampling
    return specs.spec(outcome, sampling=settings)


def assert_same_posterior(first: xr.DataTree, second: xr.DataTree) -> None:
    """The means of all scalars agree within Monte Carlo error."""
    posteriors = [tree["posterior"].to_dataset() for tree in (first, second)]
    names = [{str(n) for n in p.data_vars if not str(n).endswith("__")} for p in posteriors]
    assert names[0] == names[1]
    for name in names[0]:
        arrays = [posterior[name] for posterior in posteriors]
        error = np.hypot(*(arviz_stats.mcse(array, method="mean").to_numpy() for array in arrays))
        mean = [array.mean(["chain", "draw"]).to_numpy() for array in arrays]
        np.testing.assert_array_less(abs(mean[0] - mean[1]), ERRORS * error + 1e-12, name)


def test_same_posterior_and_groups(monkeypatch: pytest.MonkeyPatch):
    spec, evidence = small(), load_evidence(specs.normal_table())
    fast = fit(spec, evidence)
    monkeypatch.setenv(compiled.PUBLIC_ONLY, "1")
    monkeypatch.setattr(compiled, "_compile", None)
    plain = fit(spec, evidence)
    assert set(plain.children) == set(fast.children)
    assert_same_posterior(fast, plain)
    for group in ("log_likelihood", "log_prior", "posterior_predictive", "prior_predictive"):
        assert dict(plain[group].to_dataset().sizes) == dict(fast[group].to_dataset().sizes)


def test_swapped_data(monkeypatch: pytest.MonkeyPatch):
    """With weights of rows, which are a potential."""
    spec, other = small(), small(2.0)
    table = specs.normal_table()
    design = build_design(spec, load_evidence(table))
    other_design = build_design(other, load_evidence(other_numbers(table)))
    fast = compile_analysis(spec, design).sample(other.sampling, spec=other, design=other_design)
    monkeypatch.setenv(compiled.PUBLIC_ONLY, "1")
    plain = compile_analysis(spec, design).sample(other.sampling, spec=other, design=other_design)
    assert_same_posterior(fast, plain)


def test_same_log_densities(monkeypatch: pytest.MonkeyPatch):
    spec = small(draws=20, tune=20)
    evidence = load_evidence(specs.normal_table())
    posterior = fit(spec, evidence)["posterior"].to_dataset()
    model = build_model_from_design(spec, build_design(spec, evidence))
    names = [v.name for v in [*model.free_RVs, *model.observed_RVs]]
    fast = log_densities(model, posterior, names)
    monkeypatch.setenv(compiled.PUBLIC_ONLY, "1")
    xr.testing.assert_allclose(log_densities(model, posterior, names), fast)


def test_other_versions_use_public_functions(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    compiled._versions_match.cache_clear()
    assert compiled.fast_path()
    monkeypatch.setitem(compiled.TESTED, "nutpie", "0.1")
    compiled._versions_match.cache_clear()
    with caplog.at_level(logging.WARNING, logger="nmda_bayes.inference.compiled"):
        assert not compiled.fast_path()
    assert "nutpie" in caplog.text
    compiled._versions_match.cache_clear()


@pytest.mark.slow
def test_same_posterior_of_the_primary_analysis(monkeypatch: pytest.MonkeyPatch):
    spec, evidence = AnalysisSpec.from_toml("models/benefit_risk.toml"), load_evidence()
    fast = fit(spec, evidence)
    monkeypatch.setenv(compiled.PUBLIC_ONLY, "1")
    assert_same_posterior(fast, fit(spec, evidence))
