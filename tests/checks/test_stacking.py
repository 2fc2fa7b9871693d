"""Weights of models against a second optimiser, and mixtures against what was mixed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy import optimize

from nmda_bayes.checks.stacking import averaged, stack, stacking_weights
from nmda_bayes.errors import SpecError
from tests import specs
from tests.conftest import draws, faults_when, make_fit

STUDIES = [f"S{i}" for i in range(12)]


def elpd_of(values: np.ndarray) -> xr.Dataset:
    return xr.Dataset(
        {
            "elpd": ("study", values),
            "k_hat": ("study", np.full(len(values), 0.2)),
            "reliable": ("study", np.ones(len(values), bool)),
            "log_weight": (("chain", "draw", "study"), np.zeros((1, 2, len(values)))),
        },
        coords={"study": STUDIES[: len(values)]},
    )


def fit_of(curve: str = "linear", table=None) -> xr.DataTree:
    spec = specs.spec(specs.outcome("normal", curve))
    rows = specs.normal_table() if table is None else table
    return make_fit(spec, rows, {"slope": draws([0.0])})


class TestWeights:
    def test_are_those_of_a_second_optimiser(self):
        rng = np.random.default_rng(4)
        elpd = rng.normal(-5, 1, (20, 4)) + np.array([0, 0.3, -0.2, -3])
        found = stacking_weights(elpd, np.full((1, 20), 1 / 20))[0]
        density = np.exp(elpd - elpd.max(1, keepdims=True))

        def lost(w: np.ndarray) -> float:
            return -float(np.log(density @ w).sum())

        other = optimize.minimize(
            lost,
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert_allclose(found, other.x, atol=1e-4)
        assert_allclose(found.sum(), 1)
        assert lost(found) <= other.fun + 1e-9

    def test_two_models_that_each_foretell_half_share_alike(self):
        elpd = np.where(np.arange(12)[:, None] % 2 == np.arange(2), 0.0, -20.0)
        assert_allclose(stacking_weights(elpd, np.full((1, 12), 1 / 12))[0], [0.5, 0.5], atol=1e-6)


class TestStack:
    def test_says_weights_with_how_far_other_studies_would_move_them(self):
        fits = {"one": fit_of(), "other": fit_of()}
        rng = np.random.default_rng(5)
        base = rng.normal(-3, 1, 12)
        noise = rng.normal(0, 0.3, 12)
        found = stack(fits, {"one": elpd_of(base), "other": elpd_of(base + noise - 0.02)})
        assert found["weight"].dims == ("variant",)
        assert found["elpd"].dims == ("variant", "study")
        assert_allclose(found["weight"].sum(), 1)
        assert (found["lower"] <= found["weight"]).all()
        assert (found["weight"] <= found["upper"]).all()
        assert float((found["upper"] - found["lower"]).max()) > 0.5
        assert_allclose(found["behind"].max(), 0)
        assert "do not tell the models apart" in found.attrs["words"]
        assert "12 studies" in found.attrs["words"]

    def test_a_model_that_foretells_worse_everywhere_gets_nothing(self):
        base = np.linspace(-4, -2, 12)
        fits = {"good": fit_of(), "bad": fit_of()}
        found = stack(fits, {"good": elpd_of(base), "bad": elpd_of(base - 1)})
        assert_allclose(found["weight"], [1, 0], atol=1e-6)
        assert_allclose(found["behind"], [0, -12])
        assert "clearly worse than the best at foretelling studies: bad" in found.attrs["words"]

    def test_fits_of_other_studies_are_refused(self):
        fewer = specs.normal_table().query("study != 'C'")
        (fault,) = faults_when(lambda: stack({"a": fit_of(), "b": fit_of(table=fewer)}), SpecError)
        assert "'b' and 'a' do not report the same" in fault.message
        assert "C: mem 1" in fault.message
        (fault,) = faults_when(lambda: stack({"a": fit_of()}), SpecError)
        assert "two or more" in fault.mend


class TestAverage:
    STACKED = xr.Dataset({"weight": ("variant", [0.25, 0.75])}, coords={"variant": ["a", "b"]})

    def test_takes_draws_as_often_as_their_model_weighs(self):
        one, other = (draws(np.full((400, 2), v), "dose", dose=[0.0, 1.0]) for v in (1.0, 2.0))
        mixed = averaged({"a": one, "b": other}, self.STACKED)
        assert mixed.dims == ("chain", "draw", "dose")
        assert mixed.sizes == {"chain": 1, "draw": 400, "dose": 2}
        assert_allclose(mixed.mean(("chain", "draw")), 1.75)
        of_a = mixed["from_variant"].to_numpy() == "a"
        assert of_a.sum() == 100
        assert (mixed.to_numpy()[0, of_a] == 1.0).all()
        assert mixed.attrs["averaged_over"] == "a 0.25, b 0.75"

    def test_answers_of_other_doses_are_refused(self):
        one = draws(np.ones((10, 2)), "dose", dose=[0.0, 1.0])
        other = draws(np.ones((10, 2)), "dose", dose=[0.0, 2.0])
        with pytest.raises(SpecError, match="not of the same places"):
            averaged({"a": one, "b": other}, self.STACKED)
        with pytest.raises(SpecError, match="no answer of b"):
            averaged({"a": one}, self.STACKED)
