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
from scipy import stats
from scipy.special import expit

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


def test_exponential_has_e1_times_e_less_one_at_its_growth_dose():
    response = on_draws("exponential", doses([1e-9, 2.0, 4.0]), e1=-3.0, log_growth_dose=np.log(2))
    assert_allclose(response[1:], [-3 * (np.e - 1), -3 * (np.e**2 - 1)])
    assert_allclose(response[0] / 1e-9, -1.5, rtol=1e-9)


def test_an_umbrella_turns_at_its_best_dose():
    response = on_draws("quadratic", doses([1.0, 2.0, 3.0, 4.0]), slope=4.0, curvature=-1.0)
    assert_allclose(response, [3.0, 4.0, 3.0, 0.0])


def test_a_power_of_one_is_a_straight_line_and_of_two_quadruples():
    assert_allclose(on_draws("power", doses([2, 4]), slope=3.0, log_power=0.0), [6, 12])
    assert_allclose(on_draws("power", doses([2, 4]), slope=3.0, log_power=np.log(2)), [12, 48])


def test_logistic_is_the_logistic_function_less_its_value_at_zero():
    at = {"emax": 8.0, "log_ed50": np.log(3), "log_dose_scale": np.log(0.5)}
    x = np.array([0.5, 3.0, 50.0])
    known = 8 * (expit((x - 3) / 0.5) - expit(-6))
    assert_allclose(on_draws("logistic", doses(x), **at), known, rtol=1e-12)


class TestIntegratedTwoParameter:
    def test_has_its_effect_at_the_top_dose(self):
        for log_rate in (-8.0, 0.0, 3.0):
            assert_allclose(itp([2.0], top=-7.0, log_rate=log_rate), -7.0)

    def test_a_small_rate_is_a_straight_line(self):
        # Off by r (D - x) / 2 of itself: 1e-6 here.
        response = itp([0.5, 1.0, 4.0], top=6.0, log_rate=np.log(1e-6))
        assert_allclose(response, [1.5, 3.0, 12.0], rtol=2e-6)

    def test_a_large_rate_is_flat_from_the_first_dose(self):
        assert_allclose(itp([0.5, 1.0, 9.0], top=6.0, log_rate=np.log(80)), 6.0)

    def test_by_hand(self):
        # 6 (1 - e^-1) / (1 - e^-2) = 6 / (1 + e^-1)
        assert_allclose(itp([1.0], top=6.0, log_rate=0.0), 6 / (1 + np.exp(-1)))


def itp(x, **parameters):
    curve = CURVES["integrated_two_parameter"].given({"top_dose": 2})
    labelled = {k: xr.DataArray(v) for k, v in parameters.items()}
    return curve.response(doses(x), labelled, np)


INVERTIBLE = [name for name in CURVES if CURVES[name].inverse is not None]


def test_the_curves_with_a_closed_inverse():
    assert set(INVERTIBLE) == {
        "linear", "log_linear", "exponential", "quadratic", "power", "emax", "sigmoid_emax",
        "logistic", "integrated_two_parameter",
    }  # fmt: skip


@pytest.mark.parametrize("name", INVERTIBLE)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_inverse_of_the_effect_is_the_dose(name, sign):
    made = example(name)
    known = doses([0.0, 1e-3, 0.3, 1.0, 2.5])
    effects = {"emax", "top", "slope", "e1", "curvature"}
    parameters = {
        key: xr.DataArray([0.2, 0.7, 1.1], dims="draw") * (sign if key in effects else 1.0)
        for key in made.parameters
    }
    found = made.dose_for(made.response(known, parameters, np), parameters)
    assert set(found.dims) == {"dose", "draw"}
    # A steep sigmoid at a thousandth of its ED50 has 1e-9 of its effect, as 1 + tanh: seven digits.
    assert_allclose(found, known.broadcast_like(found), rtol=1e-7, atol=1e-12)
    # An effect the other way is reached at no dose, nor is one above a ceiling.
    away = made.dose_for(xr.DataArray(-0.05 * sign), parameters)
    assert np.isnan(away).all()
    if "emax" in parameters:
        assert np.isnan(made.dose_for(1.01 * parameters["emax"], parameters)).all()


def test_an_umbrella_reaches_an_effect_on_its_way_up():
    parameters = {"slope": xr.DataArray(4.0), "curvature": xr.DataArray([-1.0, 0.0])}
    # 4x - x² is 3 at 1 and at 3; without curvature the line is 3 at 3/4; 5 is above the top of 4.
    assert_allclose(CURVES["quadratic"].dose_for(xr.DataArray(3.0), parameters), [1.0, 0.75])
    at_five = CURVES["quadratic"].dose_for(xr.DataArray(5.0), parameters)
    assert np.isnan(at_five).to_numpy().tolist() == [True, False]


def test_a_curve_without_an_inverse_says_so():
    with pytest.raises(ValueError, match="'constant' has no inverse"):
        CURVES["constant"].dose_for(xr.DataArray(1.0), {"effect": xr.DataArray(1.0)})


class TestAdvice:
    TRIED = (2.5, 5, 10, 20, 50, 100, 200)

    @EVERY
    def test_every_parameter_is_advised_on(self, name):
        advice = example(name).advice(self.TRIED)
        assert list(advice) == list(example(name).parameters)
        assert all(one.why and one.prior.startswith("Normal(mu=") for one in advice.values())
        assert all(one.why and not one.prior or "A" in one.prior for one in
                   example(name).advice().values())  # fmt: skip

    def test_an_ed50_lies_within_the_doses_that_were_tried(self):
        advice = CURVES["emax"].advice(self.TRIED)["log_ed50"]
        kwargs = advice.written(3.0)["kwargs"]
        ends = stats.norm(kwargs["mu"], kwargs["sigma"]).ppf([0.025, 0.975])
        assert_allclose(np.exp(ends), [1.25, 400.0], rtol=1e-6)

    def test_a_slope_is_scaled_by_its_effect_at_the_largest_dose(self):
        of = {name: CURVES[name].advice(self.TRIED)["slope"] for name in ("linear", "log_linear")}
        assert_allclose(of["linear"].written(3.0)["kwargs"]["sigma"], 1.5 / 200)
        assert_allclose(of["log_linear"].written(3.0)["kwargs"]["sigma"], 1.5 / np.log(201))
        assert of["linear"].prior == "Normal(mu=0, sigma=0.005 A)"

    def test_without_doses_there_are_words_alone(self):
        advice = CURVES["emax"].advice()["log_ed50"]
        assert advice.prior == ""
        assert str(advice).startswith("95 % between half the smallest and twice the largest")
        with pytest.raises(ValueError, match="no numbers"):
            advice.written(3.0)


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
