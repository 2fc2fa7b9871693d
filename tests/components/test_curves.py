"""Every curve of the catalogue, in the graph and on draws: the same numbers, zero at zero."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.xtensor.math as graph_xp
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.xtensor.type import xtensor

from nmda_bayes.components.curves import CURVES, LOG, Curve, curve
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import value_of

DOSES = np.array([0.0, 1e-3, 0.25, 1.0, 4.0, 1e3])
N_DRAWS = 40
EVERY = pytest.mark.parametrize("name", sorted(CURVES))


def example(name: str) -> Curve:
    """A curve of the catalogue with its options filled in."""
    return CURVES[name].given(CURVES[name].example)


def doses(values=DOSES) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims="dose")


def random_parameters(name: str) -> dict[str, xr.DataArray]:
    """Over draws: effects of any sign, logarithms over a factor of 3,000 either way."""
    rng = np.random.default_rng(list(CURVES).index(name))
    sd = {True: 4.0, False: 10.0}
    return {
        parameter: xr.DataArray(rng.normal(0, sd[parameter.startswith(LOG)], N_DRAWS), dims="draw")
        for parameter in example(name).parameters
    }


def on_draws(name: str, exposure: xr.DataArray, **parameters: float) -> xr.DataArray:
    labelled = {key: xr.DataArray(value) for key, value in parameters.items()}
    return example(name).response(exposure, labelled, np)


@EVERY
def test_is_zero_at_dose_zero_and_finite_beyond(name):
    response = example(name).response(doses(), random_parameters(name), np)
    response = response.broadcast_like(xr.DataArray(np.zeros(N_DRAWS), dims="draw"))
    assert set(response.dims) == {"dose", "draw"}
    assert_allclose(response.isel(dose=0), 0.0, atol=0)
    assert np.isfinite(response).all()
    assert (abs(response.isel(dose=slice(1, None))).max("dose") > 0).any()


@EVERY
def test_the_graph_and_the_draws_agree_and_the_gradient_is_finite(name):
    made = example(name)
    given = random_parameters(name)
    symbols = {key: xtensor(key, dims=("draw",), shape=(N_DRAWS,)) for key in made.parameters}
    exposure = xtensor("exposure", dims=("dose",), shape=(len(DOSES),))
    response = made.response(exposure, symbols, graph_xp)
    assert set(response.type.dims) <= {"dose", "draw"}
    response = response.transpose("dose", "draw")
    # Named dims have no gradient of their own: PyTensor lowers them to axes first, and so must we.
    total = rewrite_graph(response.values.sum(), include=("lower_xtensor",))
    slopes = pytensor.grad(total, list(symbols.values()))
    evaluate = pytensor.function(
        [exposure, *symbols.values()], [response.values, *slopes], mode="FAST_COMPILE"
    )
    numbers, *gradients = evaluate(DOSES, *(given[key].to_numpy() for key in symbols))
    expected = made.response(doses(), given, np).transpose("dose", "draw")
    # One formula, two libraries: they differ by rounding only, and exp(600) has 600 times the
    # rounding of its exponent: 600 times some ten units of 2e-16.
    assert_allclose(numbers, expected, rtol=1e-11, atol=1e-12)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@EVERY
def test_broadcasts_by_name_over_agents_and_conditions(name):
    parameters = {
        key: xr.DataArray(np.full((2, 3), 0.3 + i), dims=("agent", "condition"))
        for i, key in enumerate(example(name).parameters)
    }
    response = example(name).response(doses(), parameters, np)
    assert set(response.dims) == {"dose", "agent", "condition"}
    alone = on_draws(name, doses(), **{k: float(v[0, 0]) for k, v in parameters.items()})
    assert_allclose(response.isel(agent=1, condition=2), alone, rtol=1e-12)


@EVERY
def test_says_what_it_is(name):
    made = CURVES[name]
    assert made.name == name
    assert made.parameters
    assert made.about.endswith(".") or ":" in made.about or ";" in made.about
    assert all(parameter in made.text for parameter in made.parameters)


def test_constant_is_its_effect_at_any_dose():
    assert on_draws("constant", doses(), effect=-3.0).values.tolist() == [0] + [-3] * 5


def test_linear_doubles_with_the_dose():
    response = on_draws("linear", doses([1, 2, 4]), slope=-3.0)
    assert_allclose(response, [-3, -6, -12])


def test_log_linear_starts_with_its_slope_and_then_flattens():
    small, large = on_draws("log_linear", doses([1e-8, np.e - 1]), slope=-3.0)
    assert_allclose(small / 1e-8, -3.0, rtol=1e-7)  # log(1 + x) = x - x²/2: off by x/2
    assert_allclose(large, -3.0)


def test_emax_is_half_at_the_ed50_and_whole_at_last():
    at = {"emax": -20.0, "log_ed50": np.log(0.5)}
    assert_allclose(on_draws("emax", doses([0.5]), **at), -10.0)
    assert_allclose(on_draws("emax", doses([5e9]), **at), -20.0, rtol=1e-9)
    assert_allclose(on_draws("emax", doses([5e-9]), **at) / 5e-9, -40.0, rtol=1e-7)


def test_sigmoid_with_a_hill_of_one_is_emax():
    shared = {"emax": -20.0, "log_ed50": 0.7}
    assert_allclose(
        on_draws("sigmoid_emax", doses(), **shared, log_hill=0.0),
        on_draws("emax", doses(), **shared),
        rtol=1e-12,
    )


def test_a_steep_sigmoid_is_a_threshold_at_its_ed50():
    below, at, above = on_draws(
        "sigmoid_emax", doses([0.5, 1.0, 2.0]), emax=8.0, log_ed50=0.0, log_hill=np.log(40)
    )
    assert_allclose([below, at, above], [0.0, 4.0, 8.0], atol=1e-10)


@pytest.fixture
def square_root():
    """A curve that is added in one decorated function, and taken away again."""

    @curve("top · √x")
    def square_root(x, xp, *, top):
        """Steep at first, never flat."""
        return top * xp.exp(0.5 * xp.log(x))

    yield square_root
    del CURVES["square_root"]


def test_a_curve_added_in_one_function_is_a_word_of_the_spec_and_works(square_root):
    assert square_root.parameters == ("top",)
    schema = AnalysisSpec.model_json_schema()
    assert "square_root" in schema["$defs"]["OutcomeSpec"]["properties"]["curve"]["enum"]
    spec = specs.spec(specs.outcome(curve="square_root"))
    model = build_model(spec, load_evidence(specs.normal_table()))
    assert model.named_vars_to_dims["top"] == ()
    eta = value_of(model, "eta", {"top": np.array(3.0)})
    exposure = specs.normal_table()["dose"].to_numpy()
    assert_allclose(eta, 3.0 * np.sqrt(exposure), rtol=1e-12)


def test_and_is_gone_after_that_test():
    assert "square_root" not in CURVES
    assert "square_root" not in str(AnalysisSpec.model_json_schema())
