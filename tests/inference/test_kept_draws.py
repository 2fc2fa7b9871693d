"""Draws of a posterior are never lost: vague priors, and predictions or densities that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.checks import diagnose
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import fit, read_fit, write_fit
from nmda_bayes.inference.predictive import LARGEST_COUNT, prior_draws
from nmda_bayes.model import build_model, build_model_from_design
from nmda_bayes.report.page import render_report
from nmda_bayes.report.tables import summary_table
from nmda_bayes.spec import AnalysisSpec
from tests.components.test_parts import TABLES
from tests.model.test_mixing import RESPONDERS
from tests.support import specs
from tests.support.fits import PRIOR_DRAWS, SAMPLER, prior_as_posterior

SAMPLING = {"seed": 1, "chains": 4, "draws": 100, "tune": 1}


def analysis(likelihood: str, sigma: float) -> AnalysisSpec:
    """Effects of each agent, with normal priors of this SD."""
    parameters: dict[str, Any] = {
        "baseline": specs.parameter("independent", each=specs.normal(0, sigma)),
        "effect": specs.parameter("common", location=specs.normal(0, sigma)),
    }
    if not LIKELIHOODS[likelihood].has_baseline:
        del parameters["baseline"]
    outcome = specs.outcome(likelihood, "constant", "none", parameters)
    return specs.spec(outcome, sampling=SAMPLING)


@pytest.fixture
def posterior_of_modest_priors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sampler that returns draws of modest priors."""

    def sample(model: Any, spec: AnalysisSpec, *, progress: bool, design: xr.DataTree) -> Any:
        (outcome,) = spec.outcomes.values()
        modest = analysis(outcome.likelihood, 0.5)
        return prior_as_posterior(build_model_from_design(modest, design), spec, progress=False)

    monkeypatch.setattr(SAMPLER, sample)
    monkeypatch.setattr(PRIOR_DRAWS, 100)


@pytest.mark.parametrize(
    ("likelihood", "sigma"),
    [*((name, 100.0) for name in sorted(LIKELIHOODS)), ("beta_binomial", 1e4), ("poisson", 1e4)],
)
@pytest.mark.usefixtures("posterior_of_modest_priors")
def test_vague_priors_lose_no_fit(likelihood: str, sigma: float, tmp_path: Path):
    spec = analysis(likelihood, sigma)
    fitted = fit(spec, load_evidence(TABLES[likelihood]))
    again = read_fit(write_fit(fitted, tmp_path / "fit.nc"))
    xr.testing.assert_equal(again["posterior"].to_dataset(), fitted["posterior"].to_dataset())
    assert again["posterior_predictive"].to_dataset().notnull().all().to_array().all()
    checks = diagnose(again)
    limited = likelihood in ("poisson", "negative_binomial")
    if likelihood != "beta_binomial":  # there shapes are rounded to 0 in some draws
        assert bool(checks.remarks) == limited, checks.remarks
    for remark in checks.remarks:
        assert remark.startswith("prior_predictive: drawn in a limited range"), remark
    if limited:
        counts = again["prior_predictive"]["reported"]
        assert counts.dtype.kind == "i"
        assert counts.min() >= 0 and LARGEST_COUNT / 10 < counts.max() < 3 * LARGEST_COUNT
    assert checks.predictive[["prior_p", "posterior_p"]].notna().all(axis=None)


@pytest.mark.usefixtures("posterior_of_modest_priors")
def test_draws_in_range_are_those_of_an_unlimited_prior():
    """Where no count is limited, the same seed gives the same draws."""
    model = freeze_dims_and_data(
        build_model(analysis("poisson", 1.0), load_evidence(TABLES["poisson"]))
    )
    plain, bounded = (prior_draws(model, 50, 3, bounded=b) for b in (False, True))
    for first, second in zip(plain, bounded, strict=True):
        xr.testing.assert_equal(first, second)


STEPS = {
    "prior_draws": {"prior_predictive"},
    "predictive_draws": {"posterior_predictive"},
    "log_densities": {"log_likelihood", "log_prior"},
    "prior_parameters": {"prior", "prior_predictive"},
    "apply_publication_selection": {"prior_predictive", "posterior_predictive"},
}


@pytest.mark.usefixtures("mocked_sampler")
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_out_its_groups(
    step: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fail(*args: Any, **kwargs: Any) -> None:
        raise FloatingPointError("overflow")

    failing = [step, "prior_draws"] if step == "prior_parameters" else [step]
    for name in failing:
        monkeypatch.setattr(f"nmda_bayes.inference.fitting.{name}", fail)
    fitted = fit(specs.benefit_risk(), load_evidence(specs.both_tables()))
    again = read_fit(write_fit(fitted, tmp_path / "fit.nc"))
    made = {"prior", "prior_predictive", "posterior_predictive", "log_likelihood", "log_prior"}
    assert made - set(again.children) == STEPS[step]
    checks = diagnose(again)
    assert {remark.partition(":")[0] for remark in checks.remarks} == STEPS[step]
    assert all("overflow" in remark for remark in checks.remarks)
    if step in ("predictive_draws", "prior_parameters"):
        page = render_report(again, checks=checks)
        assert all(remark in page for remark in checks.remarks)
    assert checks.predictive["posterior_p"].isna().all() == ("posterior_predictive" in STEPS[step])
    assert checks.predictive["prior_p"].isna().all() == ("prior_predictive" in STEPS[step])
    assert len(checks.identifiability) > 0 or "prior" in STEPS[step]
    assert np.isnan(checks.prior_sensitivity["prior"]).all() == ("log_prior" in STEPS[step])


@pytest.mark.usefixtures("mocked_sampler")
def test_trials_that_report_only_responders(tmp_path: Path):
    table = specs.rows("""
        study agent   outcome events n
        A     placebo pasi50  18     193
        A     drug    pasi50  126    196
        A     placebo pasi75  6      193
        A     drug    pasi75  67     196
        B     placebo pasi50  6      55
        B     drug    pasi50  40     57
    """)
    table.to_csv(tmp_path / "trials.csv", index=False)
    outcome = specs.outcome(
        "normal",
        "constant",
        "none",
        RESPONDERS,
        measures=["pasi"],
        better="lower",
        responders={"measures": {"pasi50": "50 %", "pasi75": "75 %"}},
    )
    spec = specs.spec(outcome, sampling=SAMPLING)
    fitted = fit(spec, load_evidence(tmp_path / "trials.csv"))
    again = read_fit(write_fit(fitted, tmp_path / "fit.nc"))
    checks = diagnose(again)
    assert not checks.remarks
    assert "PASI" in render_report(again, checks=checks).upper()


def test_the_summary_of_an_exact_fit_holds_exact_moments():
    """Two trials of one known effect each: precision-weighted, with the prior's precision."""
    sampling = {"method": "exact", "chains": 2, "draws": 50}
    parameters = {"effect": specs.parameter("common", location=specs.normal(0, 2.0))}
    outcome = specs.outcome("normal_contrast", "constant", "none", parameters)
    table = specs.rows("""
        study agent comparator estimate se
        A     a     placebo    1.0      0.5
        B     a     placebo    0.2      0.25
    """)
    fitted = fit(specs.spec(outcome, sampling=sampling), load_evidence(table))
    row = summary_table(fitted).set_index("variable").loc["effect"]
    precision = np.array([1 / 4, 1 / 0.25, 1 / 0.0625])
    mean, sd = precision @ [0, 1.0, 0.2] / precision.sum(), precision.sum() ** -0.5
    expected = [mean, sd, mean - 1.959964 * sd, mean, mean + 1.959964 * sd]
    np.testing.assert_allclose(
        row[["mean", "sd", "q2.5", "q50", "q97.5"]].astype(float), expected, rtol=1e-5
    )
