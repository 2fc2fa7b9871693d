"""Cheap answers agree with integrals of the variant; where weights fail the variant is refitted."""

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
from nmda_bayes.inference.densities import log_densities
from nmda_bayes.inference.exact import integrate
from nmda_bayes.model import model_of
from nmda_bayes.sensitivity.answers import as_fit
from nmda_bayes.sensitivity.designs import Designs, seen, without
from nmda_bayes.sensitivity.executors import Here
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.plan import plan_of
from nmda_bayes.sensitivity.reweighting import Reweighting, Weigher, log_prior, resampled
from nmda_bayes.sensitivity.run import run_plan
from nmda_bayes.sensitivity.store import Store
from nmda_bayes.spec import AnalysisSpec, SamplingSpec
from tests import specs

DRAWS = 1000
SAMPLING = {"draws": DRAWS, "tune": 100, "chains": 2, "seed": 3, "method": "exact"}


def frame(planted: float | None = None) -> pd.DataFrame:
    """Eight trials of one agent, effects near -8; the last may be planted far off and exact."""
    rng = np.random.default_rng(5)
    rows = []
    for k in range(8):
        effect, se = -8 + 2 * rng.normal(), 2.0
        if planted is not None and k == 7:
            effect, se = planted, 0.05
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
    rows = seen(design)
    return integrate(spec, rows, model_of(spec, rows))


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


def agree(cheap: xr.Dataset, full: xr.Dataset, k: float = 4.0) -> None:
    """Means within ``k`` Monte Carlo errors; the reweighted draws count for a third at least."""
    for name in ("slope", "heterogeneity_sd"):
        a, b = (d[name].to_numpy().ravel() for d in (cheap, full))
        error = np.sqrt(3 * a.var() / a.size + b.var() / b.size)
        assert abs(a.mean() - b.mean()) < k * error
        assert_allclose(a.std(), b.std(), rtol=0.1)


@pytest.fixture(scope="module")
def weigher(base) -> Weigher:
    return Weigher(base)


class TestPriors:
    def test_a_sceptical_prior_is_answered_from_the_draws_of_the_base(self, base, weigher, design):
        variant = spec_of(scale=8.0)
        found = weigher.weigh(variant, design)
        assert found.reliable
        cheap = resampled(weigher.draws, found, 1)
        assert dict(cheap["slope"].sizes) == {"chain": 2, "draw": DRAWS}
        full = exactly(variant, design)["posterior"].to_dataset()
        agree(cheap, full)
        # It is another answer than the base's: the sceptic's effect is smaller.
        moved = float(full["slope"].mean() - base["posterior"]["slope"].mean())
        assert moved > 4 * float(full["slope"].std()) / np.sqrt(2 * DRAWS)

    def test_weights_are_the_ratio_of_the_priors(self, base, weigher, design):
        found = weigher.weigh(spec_of(scale=18.0), design)
        slope = base["posterior"]["slope"].to_numpy()
        ratio = -0.5 * slope**2 * (1 / 18.0**2 - 1 / 20.0**2)
        weight = np.exp(ratio - ratio.max())
        assert_allclose(np.exp(found.log_weight), weight / weight.sum(), rtol=0.02)

    def test_the_base_itself_weighs_all_draws_alike(self, weigher, design):
        found = weigher.weigh(spec_of(), design)
        assert (found.k_hat, found.effective) == (0.0, pytest.approx(2 * DRAWS))
        assert_allclose(np.exp(found.log_weight), 1 / (2 * DRAWS))

    def test_where_some_draws_leave_too_few_all_are_weighed(
        self, base, weigher, design, monkeypatch
    ):
        monkeypatch.setattr("nmda_bayes.sensitivity.reweighting.WEIGHED", 500)
        of_some, variant = Weigher(base), spec_of(scale=5.0)
        assert of_some.weigh(spec_of(scale=19.0), design).log_weight.size == 500
        found = of_some.weigh(variant, design)
        assert_allclose(found.log_weight, weigher.weigh(variant, design).log_weight)
        assert found.reliable
        assert resampled(of_some.every, found, 1).sizes["draw"] == DRAWS

    def test_another_family_of_the_same_support_is_weighed(self, base, weigher, design):
        variant = spec_of(sd=specs.prior("LogNormal", mu=0.5, sigma=0.5))
        found = weigher.weigh(variant, design)
        tau = base["posterior"]["heterogeneity_sd"].to_numpy()
        ratio = -np.log(tau) - (np.log(tau) - 0.5) ** 2 / 0.5 + tau**2 / 18
        weight = np.exp(ratio - ratio.max())
        assert_allclose(np.exp(found.log_weight), weight / weight.sum(), rtol=0.02, atol=1e-6)
        bounded = spec_of(sd=specs.prior("Uniform", lower=0, upper=9))
        assert weigher.weigh(bounded, design) is None

    def test_a_prior_far_from_the_draws_is_not_answered_by_weights(self, weigher, design):
        found = weigher.weigh(spec_of(scale=0.5), design)
        assert found.k_hat > 0.7
        assert not found.reliable

    def test_few_effective_draws_are_no_answer_however_light_their_tail(self, base):
        weight = np.full((2, DRAWS), 1e-6)
        weight[:, :150] = 1.0
        log_weight = xr.DataArray(np.log(weight / weight.sum()), dims=("chain", "draw"))
        found = Reweighting(log_weight, -1.0)
        assert found.effective == pytest.approx(300, rel=0.02)
        assert not found.reliable

    def test_log_priors_are_those_of_the_graph(self, base, design):
        model, draws = model_of(spec_of(), design), base["posterior"].to_dataset()
        names = [str(rv.name) for rv in model.free_RVs]
        rows = log_densities(model, draws, names)
        total = sum(rows[n].sum([d for d in rows[n].dims if d not in SAMPLE]) for n in names)
        assert_allclose(log_prior(model, names, draws), total)


class TestTrials:
    def test_a_trial_like_the_others_is_left_out_by_weights(self, weigher, design):
        left = without(spec_of(), design, {"S4"})
        found = weigher.weigh(spec_of(), left)
        assert found.reliable
        full = exactly(spec_of(), left)["posterior"].to_dataset()
        agree(resampled(weigher.draws, found, 1), full)

    def test_a_planted_trial_makes_the_weights_fail_and_is_refitted(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        refitted: list[str] = []

        def draw(job: Job, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
            refitted.append(job.name)
            return exactly(job.spec, job.design), "refitted"

        monkeypatch.setattr("nmda_bayes.sensitivity.work.sampled", draw)
        spec, evidence = spec_of(method="nuts"), load_evidence(frame(planted=60.0))
        asked = {"dose": 1, "generate": {"leave_one_out": {"by": ["study"], "why": "so"}}}
        plan = plan_of(asked, Designs(spec, evidence)).only(("without study S7",))
        found = run_plan(plan, evidence, Store(tmp_path), Here)
        assert refitted == ["base", "without study S7"]
        assert found["how"].to_numpy().tolist() == ["refitted", "refitted"]
        # And it did decide the base's answer: without it the effect is where the others are.
        mean = found["effect"].sel(statistic="mean").squeeze().to_numpy()
        assert mean[0] > -5
        assert mean[1] < -6


def test_another_curve_is_no_matter_of_weights(weigher, design):
    other = specs.spec(specs.outcome("normal", "log_linear"), sampling=SAMPLING)
    assert weigher.weigh(other, design) is None


def test_resampled_draws_are_each_as_often_as_they_weigh():
    values = xr.Dataset({"x": (("chain", "draw"), np.arange(8.0).reshape(2, 4))},
                        coords={"chain": [0, 1], "draw": range(4)})  # fmt: skip
    weight = np.array([[4, 0, 1, 0], [0, 2, 0, 1]]) / 8
    with np.errstate(divide="ignore"):
        log_weight = xr.DataArray(np.log(weight), values.coords, ("chain", "draw"))
    picked = resampled(values, Reweighting(log_weight, 0.1), seed=1)
    assert picked["x"].dims == ("chain", "draw")
    assert sorted(picked["x"].to_numpy().ravel()) == [0, 0, 0, 0, 2, 5, 5, 7]
