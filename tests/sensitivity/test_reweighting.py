"""Cheap answers agree with integrals of the variant; where weights fail the variant is refitted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import integrate
from nmda_bayes.model import model_of
from nmda_bayes.sensitivity.answers import as_fit
from nmda_bayes.sensitivity.designs import seen, without
from nmda_bayes.sensitivity.reweighting import (
    Reweighting,
    answer_cheaply,
    resampled,
    reweighting,
)
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


def spec_of(scale: float = 20.0, curve: str = "linear") -> AnalysisSpec:
    slope = specs.parameter("common", location=specs.normal(0, scale))
    sd = specs.parameter("common", location=specs.half_normal(3))
    baseline = specs.parameter("independent", each=specs.normal(50, 20))
    return specs.spec(
        specs.outcome(
            "normal",
            curve,
            parameters={"slope": slope, "heterogeneity_sd": sd, "baseline": baseline},
        ),
        sampling=SAMPLING,
    )


@dataclass
class Integrated:
    """Stands in for a compiled density: what it draws is the exact posterior."""

    asked: list[str] = field(default_factory=list)

    def accepts(self, spec: AnalysisSpec, design: xr.DataTree) -> bool:
        return True

    def sample(
        self, settings: SamplingSpec, *, spec: AnalysisSpec, design: xr.DataTree
    ) -> xr.DataTree:
        self.asked.append(spec.title)
        return exactly(spec, design)


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


class TestPriors:
    def test_a_sceptical_prior_is_answered_from_the_draws_of_the_base(self, base, design):
        prepared, variant = Integrated(), spec_of(scale=8.0)
        found = answer_cheaply(base, prepared, variant, design)
        assert dict(found.posterior["slope"].sizes) == {"chain": 2, "draw": DRAWS}
        assert found.how == f"reweighted (k-hat {found.k_hat:.2f})"
        assert not prepared.asked
        full = exactly(variant, design)["posterior"].to_dataset()
        agree(found.posterior, full)
        # It is another answer than the base's: the sceptic's effect is smaller.
        moved = float(full["slope"].mean() - base["posterior"]["slope"].mean())
        assert moved > 4 * float(full["slope"].std()) / np.sqrt(2 * DRAWS)

    def test_weights_are_the_ratio_of_the_priors(self, base, design):
        found = reweighting(base, spec_of(scale=18.0), design)
        slope = base["posterior"]["slope"].to_numpy()
        ratio = -0.5 * slope**2 * (1 / 18.0**2 - 1 / 20.0**2)
        weight = np.exp(ratio - ratio.max())
        assert_allclose(np.exp(found.log_weight), weight / weight.sum(), rtol=0.02)

    def test_the_base_itself_weighs_all_draws_alike(self, base, design):
        found = reweighting(base, spec_of(), design)
        assert found.k_hat == 0.0
        assert_allclose(np.exp(found.log_weight), 1 / (2 * DRAWS))

    def test_a_prior_far_from_the_draws_is_refitted(self, base, design):
        prepared = Integrated()
        found = answer_cheaply(base, prepared, spec_of(scale=0.5), design)
        assert found.how == "refitted"
        assert len(prepared.asked) == 1
        assert found.k_hat > 0.7


class TestTrials:
    def test_a_trial_like_the_others_is_left_out_by_weights(self, base, design):
        left = without(spec_of(), design, {"S4"})
        prepared = Integrated()
        found = answer_cheaply(base, prepared, spec_of(), left)
        assert found.how.startswith("reweighted")
        agree(found.posterior, exactly(spec_of(), left)["posterior"].to_dataset())

    def test_a_planted_trial_makes_the_weights_fail_and_is_refitted(self):
        design = build_design(spec_of(), load_evidence(frame(planted=60.0)))
        base, left = fitted(design), without(spec_of(), design, {"S7"})
        prepared = Integrated()
        found = answer_cheaply(base, prepared, spec_of(), left)
        assert found.how == "refitted"
        assert found.k_hat > 0.7
        # And it did decide the base's answer: without it the effect is where the others are.
        assert float(base["posterior"]["slope"].mean()) > -5
        assert float(found.posterior["slope"].mean()) < -6


def test_another_curve_is_no_matter_of_weights(base, design):
    assert reweighting(base, spec_of().model_copy(), design) is not None
    other = specs.spec(specs.outcome("normal", "log_linear"), sampling=SAMPLING)
    assert reweighting(base, other, design) is None


def test_resampled_draws_are_each_as_often_as_they_weigh():
    values = xr.Dataset({"x": (("chain", "draw"), np.arange(8.0).reshape(2, 4))},
                        coords={"chain": [0, 1], "draw": range(4)})  # fmt: skip
    weight = np.array([[4, 0, 1, 0], [0, 2, 0, 1]]) / 8
    with np.errstate(divide="ignore"):
        log_weight = xr.DataArray(np.log(weight), values.coords, ("chain", "draw"))
    picked = resampled(values, Reweighting(log_weight, 0.1), seed=1)
    assert picked["x"].dims == ("chain", "draw")
    assert sorted(picked["x"].to_numpy().ravel()) == [0, 0, 0, 0, 2, 5, 5, 7]
