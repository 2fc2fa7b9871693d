"""Stacking weights against a second optimiser, and model averages against their parts."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.testing import assert_allclose
from scipy import optimize

from nmda_bayes.checks.leave_one_study_out import model_average, optimise_stacking, stacking_weights
from nmda_bayes.errors import SpecError
from tests.support import specs
from tests.support.fits import draws, make_fit
from tests.support.issues import issues_when

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


class TestOptimiser:
    def test_weights_agree_with_a_second_optimiser(self):
        rng = np.random.default_rng(4)
        elpd = rng.normal(-5, 1, (20, 4)) + np.array([0, 0.3, -0.2, -3])
        weight = optimise_stacking(elpd, np.full((1, 20), 1 / 20))[0]
        density = np.exp(elpd - elpd.max(1, keepdims=True))

        def loss(w: np.ndarray) -> float:
            return -float(np.log(density @ w).sum())

        other = optimize.minimize(
            loss,
            np.full(4, 0.25),
            bounds=[(0, 1)] * 4,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert_allclose(weight, other.x, atol=1e-4)
        assert_allclose(weight.sum(), 1)
        assert loss(weight) <= other.fun + 1e-9

    def test_models_that_each_predict_half_have_equal_weights(self):
        elpd = np.where(np.arange(12)[:, None] % 2 == np.arange(2), 0.0, -20.0)
        assert_allclose(optimise_stacking(elpd, np.full((1, 12), 1 / 12))[0], [0.5, 0.5], atol=1e-6)


class TestStackingWeights:
    def test_weights_have_bootstrap_intervals(self):
        fits = {"a": fit_of(), "b": fit_of()}
        rng = np.random.default_rng(5)
        base = rng.normal(-3, 1, 12)
        noise = rng.normal(0, 0.3, 12)
        stacked = stacking_weights(fits, {"a": elpd_of(base), "b": elpd_of(base + noise - 0.02)})
        assert stacked["weight"].dims == ("variant",)
        assert stacked["elpd"].dims == ("variant", "study")
        assert_allclose(stacked["weight"].sum(), 1)
        assert (stacked["lower"] <= stacked["weight"]).all()
        assert (stacked["weight"] <= stacked["upper"]).all()
        assert float((stacked["upper"] - stacked["lower"]).max()) > 0.5
        assert_allclose(stacked["elpd_difference"].max(), 0)
        assert "12 studies" in stacked.attrs["summary"]
        assert "no model predicts clearly worse" in stacked.attrs["summary"]

    def test_a_uniformly_worse_model_has_weight_0(self):
        base = np.linspace(-4, -2, 12)
        fits = {"good": fit_of(), "bad": fit_of()}
        stacked = stacking_weights(fits, {"good": elpd_of(base), "bad": elpd_of(base - 1)})
        assert_allclose(stacked["weight"], [1, 0], atol=1e-6)
        assert_allclose(stacked["elpd_difference"], [0, -12])
        assert "clearly worse predictions than the best: bad" in stacked.attrs["summary"]

    def test_fits_of_other_studies_are_rejected(self):
        fewer = specs.normal_table().query("study != 'C'")
        (issue,) = issues_when(
            lambda: stacking_weights({"a": fit_of(), "b": fit_of(table=fewer)}), SpecError
        )
        assert issue.code == "E571"
        assert "C: mem 1" in issue.message
        (issue,) = issues_when(lambda: stacking_weights({"a": fit_of()}), SpecError)
        assert issue.code == "E570"


class TestModelAverage:
    WEIGHTS = xr.Dataset({"weight": ("variant", [0.25, 0.75])}, coords={"variant": ["a", "b"]})

    def test_draws_are_in_proportion_to_the_weights(self):
        first, second = (draws(np.full((400, 2), v), "dose", dose=[0.0, 1.0]) for v in (1.0, 2.0))
        mixed = model_average({"a": first, "b": second}, self.WEIGHTS)
        assert mixed.dims == ("chain", "draw", "dose")
        assert mixed.sizes == {"chain": 1, "draw": 400, "dose": 2}
        assert_allclose(mixed.mean(("chain", "draw")), 1.75)
        of_a = mixed["from_variant"].to_numpy() == "a"
        assert of_a.sum() == 100
        assert (mixed.to_numpy()[0, of_a] == 1.0).all()
        assert mixed.attrs["averaged_over"] == "a 0.25, b 0.75"

    def test_estimates_at_other_doses_are_rejected(self):
        first = draws(np.ones((10, 2)), "dose", dose=[0.0, 1.0])
        second = draws(np.ones((10, 2)), "dose", dose=[0.0, 2.0])
        for estimates, code in (({"a": first, "b": second}, "E573"), ({"a": first}, "E572")):
            (issue,) = issues_when(lambda e=estimates: model_average(e, self.WEIGHTS), SpecError)
            assert issue.code == code
