"""Reweighted draws agree with exact fits; unreliable weights are detected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.dims import SAMPLE
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import integrate_posterior
from nmda_bayes.inference.predictive import log_densities
from nmda_bayes.model import build_model_from_design
from nmda_bayes.sensitivity.cache import ResultCache
from nmda_bayes.sensitivity.plan import build_plan
from nmda_bayes.sensitivity.reweight import Reweighter, Reweighting, log_prior, resample
from nmda_bayes.sensitivity.runner import SerialExecutor, VariantJob, run_plan
from nmda_bayes.sensitivity.summaries import as_fit
from nmda_bayes.sensitivity.variants import DesignCache, drop_studies, included_rows
from nmda_bayes.spec import AnalysisSpec, SamplingSpec
from tests.support import specs

DRAWS = 1000
SAMPLING = {"draws": DRAWS, "tune": 100, "chains": 2, "seed": 3, "method": "exact"}


def frame(outlier: float | None = None) -> pd.DataFrame:
    """Eight trials of one agent, effects near -8; `outlier` replaces the last, precisely."""
    rng = np.random.default_rng(5)
    rows = []
    for k in range(8):
        effect, se = -8 + 2 * rng.normal(), 2.0
        if outlier is not None and k == 7:
            effect, se = outlier, 0.05
        for agent, dose, mean in (("placebo", 0.0, 50.0), ("ketamine", 1.0, 50.0 + effect)):
            rows.append((f"S{k}", agent, dose, mean + se * rng.normal(), se, "pain"))
    return pd.DataFrame(rows, columns=["study", "agent", "dose", "mean", "se", "outcome"])


def spec_of(scale: float = 20.0, sd: dict | None = None, method: str = "exact") -> AnalysisSpec:
    slope = specs.parameter("common", location=specs.normal(0, scale))
    sd = specs.parameter("common", location=sd or specs.half_normal(3))
    baseline = specs.parameter("independent", each=specs.normal(50, 20))
    return specs.spec(
        specs.outcome(
            "normal",
            "linear",
            parameters={"slope": slope, "heterogeneity_sd": sd, "baseline": baseline},
        ),
        sampling={**SAMPLING, "method": method},
    )


def exactly(spec: AnalysisSpec, design: xr.DataTree) -> xr.DataTree:
    rows = included_rows(design)
    return integrate_posterior(spec, rows, build_model_from_design(spec, rows))


def fitted(design: xr.DataTree) -> xr.DataTree:
    drawn = exactly(spec_of(), design)
    parts = (drawn[name].to_dataset() for name in ("posterior", "sample_stats"))
    return as_fit(spec_of(), design, *parts)


@pytest.fixture(scope="module")
def base() -> xr.DataTree:
    return fitted(build_design(spec_of(), load_evidence(frame())))


@pytest.fixture(scope="module")
def design() -> xr.DataTree:
    return build_design(spec_of(), load_evidence(frame()))


def agree(reweighted: xr.Dataset, full: xr.Dataset, k: float = 4.0) -> None:
    """Check that means agree within ``k`` Monte Carlo errors."""
    for name in ("slope", "heterogeneity_sd"):
        a, b = (d[name].to_numpy().ravel() for d in (reweighted, full))
        error = np.sqrt(3 * a.var() / a.size + b.var() / b.size)
        assert abs(a.mean() - b.mean()) < k * error
        assert_allclose(a.std(), b.std(), rtol=0.1)


@pytest.fixture(scope="module")
def reweighter(base) -> Reweighter:
    return Reweighter(base)


class TestPriors:
    def test_sceptical_prior_agrees_with_exact_fit(self, base, reweighter, design):
        variant = spec_of(scale=8.0)
        result = reweighter.weights(variant, design)
        assert result.reliable
        reweighted = resample(reweighter.draws, result, 1)
        assert dict(reweighted["slope"].sizes) == {"chain": 2, "draw": DRAWS}
        full = exactly(variant, design)["posterior"].to_dataset()
        agree(reweighted, full)
        # It is another answer than the base's: the sceptic's effect is smaller.
        moved = float(full["slope"].mean() - base["posterior"]["slope"].mean())
        assert moved > 4 * float(full["slope"].std()) / np.sqrt(2 * DRAWS)

    def test_weights_are_prior_ratios(self, base, reweighter, design):
        result = reweighter.weights(spec_of(scale=18.0), design)
        slope = base["posterior"]["slope"].to_numpy()
        ratio = -0.5 * slope**2 * (1 / 18.0**2 - 1 / 20.0**2)
        weight = np.exp(ratio - ratio.max())
        assert_allclose(np.exp(result.log_weight), weight / weight.sum(), rtol=0.02)

    def test_base_has_equal_weights(self, reweighter, design):
        result = reweighter.weights(spec_of(), design)
        assert (result.k_hat, result.effective) == (0.0, pytest.approx(2 * DRAWS))
        assert_allclose(np.exp(result.log_weight), 1 / (2 * DRAWS))

    def test_all_draws_are_weighted_if_thinned_ones_are_too_few(
        self, base, reweighter, design, monkeypatch
    ):
        monkeypatch.setattr("nmda_bayes.sensitivity.reweight.MAX_WEIGHTED", 500)
        of_some, variant = Reweighter(base), spec_of(scale=5.0)
        assert of_some.weights(spec_of(scale=19.0), design).log_weight.size == 500
        result = of_some.weights(variant, design)
        assert_allclose(result.log_weight, reweighter.weights(variant, design).log_weight)
        assert result.reliable
        assert resample(of_some.all_draws, result, 1).sizes["draw"] == DRAWS

    def test_prior_family_of_the_same_support(self, base, reweighter, design):
        variant = spec_of(sd=specs.prior("LogNormal", mu=0.5, sigma=0.5))
        result = reweighter.weights(variant, design)
        tau = base["posterior"]["heterogeneity_sd"].to_numpy()
        ratio = -np.log(tau) - (np.log(tau) - 0.5) ** 2 / 0.5 + tau**2 / 18
        weight = np.exp(ratio - ratio.max())
        assert_allclose(np.exp(result.log_weight), weight / weight.sum(), rtol=0.02, atol=1e-6)
        bounded = spec_of(sd=specs.prior("Uniform", lower=0, upper=9))
        assert reweighter.weights(bounded, design) is None

    def test_distant_prior_is_unreliable(self, reweighter, design):
        result = reweighter.weights(spec_of(scale=0.5), design)
        assert result.k_hat > 0.7
        assert not result.reliable

    def test_few_effective_draws_are_unreliable(self, base):
        weight = np.full((2, DRAWS), 1e-6)
        weight[:, :150] = 1.0
        log_weight = xr.DataArray(np.log(weight / weight.sum()), dims=("chain", "draw"))
        result = Reweighting(log_weight, -1.0)
        assert result.effective == pytest.approx(300, rel=0.02)
        assert not result.reliable

    def test_log_priors_are_those_of_the_graph(self, base, design):
        model, draws = build_model_from_design(spec_of(), design), base["posterior"].to_dataset()
        names = [str(rv.name) for rv in model.free_RVs]
        rows = log_densities(model, draws, names)
        total = sum(rows[n].sum([d for d in rows[n].dims if d not in SAMPLE]) for n in names)
        assert_allclose(log_prior(model, names, draws), total)


class TestTrials:
    def test_typical_trial_can_be_left_out(self, reweighter, design):
        left = drop_studies(spec_of(), design, {"S4"})
        result = reweighter.weights(spec_of(), left)
        assert result.reliable
        full = exactly(spec_of(), left)["posterior"].to_dataset()
        agree(resample(reweighter.draws, result, 1), full)

    def test_outlying_trial_is_refitted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
        refitted: list[str] = []

        def draw(job: VariantJob, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
            refitted.append(job.name)
            return exactly(job.spec, job.design), "refitted"

        monkeypatch.setattr("nmda_bayes.sensitivity.summaries.sample_variant", draw)
        spec, evidence = spec_of(method="nuts"), load_evidence(frame(outlier=60.0))
        content = {"dose": 1, "generate": {"leave_one_out": {"by": ["study"], "why": "so"}}}
        plan = build_plan(content, DesignCache(spec, evidence)).only(("without study S7",))
        result = run_plan(plan, evidence, ResultCache(tmp_path), SerialExecutor)
        assert refitted == ["base", "without study S7"]
        assert result["how"].to_numpy().tolist() == ["refitted", "refitted"]
        # And it did decide the base's answer: without it the effect is where the others are.
        mean = result["effect"].sel(statistic="mean").squeeze().to_numpy()
        assert mean[0] > -5
        assert mean[1] < -6


def test_other_curves_cannot_be_reweighted(reweighter, design):
    other = specs.spec(specs.outcome("normal", "log_linear"), sampling=SAMPLING)
    assert reweighter.weights(other, design) is None


def test_resampling_frequencies_match_weights():
    values = xr.Dataset({"x": (("chain", "draw"), np.arange(8.0).reshape(2, 4))},
                        coords={"chain": [0, 1], "draw": range(4)})  # fmt: skip
    weight = np.array([[4, 0, 1, 0], [0, 2, 0, 1]]) / 8
    with np.errstate(divide="ignore"):
        log_weight = xr.DataArray(np.log(weight), values.coords, ("chain", "draw"))
    picked = resample(values, Reweighting(log_weight, 0.1), seed=1)
    assert picked["x"].dims == ("chain", "draw")
    assert sorted(picked["x"].to_numpy().ravel()) == [0, 0, 0, 0, 2, 5, 5, 7]
