"""Every curve in the graph and on draws: equal values, zero at dose zero."""

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

from nmda_bayes.components.curves import CURVES, LOG_PREFIX, Curve, curve
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.fits import value_of

DOSES = np.array([0.0, 1e-3, 0.25, 1.0, 4.0, 1e3])
N_DRAWS = 40
EVERY = pytest.mark.parametrize("name", sorted(CURVES))


def example(name: str) -> Curve:
    """A curve with its example options."""
    return CURVES[name].with_options(CURVES[name].example)


def doses(values=DOSES) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims="dose")


def random_parameters(name: str) -> dict[str, xr.DataArray]:
    """Draws of effects of any sign, and of logarithms."""
    rng = np.random.default_rng(list(CURVES).index(name))
    sd = {True: 4.0, False: 10.0}
    return {
        parameter: xr.DataArray(
            rng.normal(0, sd[parameter.startswith(LOG_PREFIX)], N_DRAWS), dims="draw"
        )
        for parameter in example(name).parameters
    }


def on_draws(name: str, exposure: xr.DataArray, **parameters: float) -> xr.DataArray:
    labelled = {key: xr.DataArray(value) for key, value in parameters.items()}
    return example(name).response(exposure, labelled, np)


@EVERY
def test_response_is_zero_at_dose_zero_and_finite(name):
    response = example(name).response(doses(), random_parameters(name), np)
    response = response.broadcast_like(xr.DataArray(np.zeros(N_DRAWS), dims="draw"))
    assert set(response.dims) == {"dose", "draw"}
    assert_allclose(response.isel(dose=0), 0.0, atol=0)
    assert np.isfinite(response).all()
    assert (abs(response.isel(dose=slice(1, None))).max("dose") > 0).any()


@EVERY
def test_graph_equals_numpy_with_finite_gradient(name):
    curve = example(name)
    parameters = random_parameters(name)
    symbols = {key: xtensor(key, dims=("draw",), shape=(N_DRAWS,)) for key in curve.parameters}
    exposure = xtensor("exposure", dims=("dose",), shape=(len(DOSES),))
    response = curve.response(exposure, symbols, graph_xp)
    assert set(response.type.dims) <= {"dose", "draw"}
    response = response.transpose("dose", "draw")
    # Named dims have no gradient until PyTensor lowers them to axes.
    total = rewrite_graph(response.values.sum(), include=("lower_xtensor",))
    slopes = pytensor.grad(total, list(symbols.values()))
    evaluate = pytensor.function(
        [exposure, *symbols.values()], [response.values, *slopes], mode="FAST_COMPILE"
    )
    numbers, *gradients = evaluate(DOSES, *(parameters[key].to_numpy() for key in symbols))
    expected = curve.response(doses(), parameters, np).transpose("dose", "draw")
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
def test_text_names_all_parameters(name):
    curve = CURVES[name]
    assert curve.name == name
    assert curve.parameters
    assert curve.about.endswith(".") or ":" in curve.about or ";" in curve.about
    assert all(parameter in curve.text for parameter in curve.parameters)


def test_constant_by_hand():
    assert on_draws("constant", doses(), effect=-3.0).values.tolist() == [0] + [-3] * 5


def test_linear_by_hand():
    response = on_draws("linear", doses([1, 2, 4]), slope=-3.0)
    assert_allclose(response, [-3, -6, -12])


def test_log_linear_by_hand():
    small, large = on_draws("log_linear", doses([1e-8, np.e - 1]), slope=-3.0)
    assert_allclose(small / 1e-8, -3.0, rtol=1e-7)  # log(1 + x) = x - x²/2: off by x/2
    assert_allclose(large, -3.0)


def test_emax_at_ed50_and_limits():
    at = {"emax": -20.0, "log_ed50": np.log(0.5)}
    assert_allclose(on_draws("emax", doses([0.5]), **at), -10.0)
    assert_allclose(on_draws("emax", doses([5e9]), **at), -20.0, rtol=1e-9)
    assert_allclose(on_draws("emax", doses([5e-9]), **at) / 5e-9, -40.0, rtol=1e-7)


def test_sigmoid_with_hill_one_is_emax():
    shared = {"emax": -20.0, "log_ed50": 0.7}
    assert_allclose(
        on_draws("sigmoid_emax", doses(), **shared, log_hill=0.0),
        on_draws("emax", doses(), **shared),
        rtol=1e-12,
    )


def test_steep_sigmoid_is_a_threshold():
    below, at, above = on_draws(
        "sigmoid_emax", doses([0.5, 1.0, 2.0]), emax=8.0, log_ed50=0.0, log_hill=np.log(40)
    )
    assert_allclose([below, at, above], [0.0, 4.0, 8.0], atol=1e-10)


def test_exponential_by_hand():
    response = on_draws("exponential", doses([1e-9, 2.0, 4.0]), e1=-3.0, log_growth_dose=np.log(2))
    assert_allclose(response[1:], [-3 * (np.e - 1), -3 * (np.e**2 - 1)])
    assert_allclose(response[0] / 1e-9, -1.5, rtol=1e-9)


def test_quadratic_by_hand():
    response = on_draws("quadratic", doses([1.0, 2.0, 3.0, 4.0]), slope=4.0, curvature=-1.0)
    assert_allclose(response, [3.0, 4.0, 3.0, 0.0])


def test_power_by_hand():
    assert_allclose(on_draws("power", doses([2, 4]), slope=3.0, log_power=0.0), [6, 12])
    assert_allclose(on_draws("power", doses([2, 4]), slope=3.0, log_power=np.log(2)), [12, 48])


def test_logistic_by_hand():
    at = {"emax": 8.0, "log_ed50": np.log(3), "log_dose_scale": np.log(0.5)}
    x = np.array([0.5, 3.0, 50.0])
    known = 8 * (expit((x - 3) / 0.5) - expit(-6))
    assert_allclose(on_draws("logistic", doses(x), **at), known, rtol=1e-12)


class TestIntegratedTwoParameter:
    def test_effect_at_top_dose(self):
        for log_rate in (-8.0, 0.0, 3.0):
            assert_allclose(itp([2.0], top=-7.0, log_rate=log_rate), -7.0)

    def test_small_rate_is_linear(self):
        # Off by r (D - x) / 2 of itself: 1e-6 here.
        response = itp([0.5, 1.0, 4.0], top=6.0, log_rate=np.log(1e-6))
        assert_allclose(response, [1.5, 3.0, 12.0], rtol=2e-6)

    def test_large_rate_is_flat(self):
        assert_allclose(itp([0.5, 1.0, 9.0], top=6.0, log_rate=np.log(80)), 6.0)

    def test_by_hand(self):
        # 6 (1 - e^-1) / (1 - e^-2) = 6 / (1 + e^-1)
        assert_allclose(itp([1.0], top=6.0, log_rate=0.0), 6 / (1 + np.exp(-1)))


def itp(x, **parameters):
    curve = CURVES["integrated_two_parameter"].with_options({"top_dose": 2})
    labelled = {k: xr.DataArray(v) for k, v in parameters.items()}
    return curve.response(doses(x), labelled, np)


INVERTIBLE = [name for name in CURVES if CURVES[name].inverse is not None]


def test_curves_with_closed_inverse():
    assert set(INVERTIBLE) == {
        "linear",
        "log_linear",
        "exponential",
        "quadratic",
        "power",
        "emax",
        "sigmoid_emax",
        "logistic",
        "integrated_two_parameter",
    }


@pytest.mark.parametrize("name", INVERTIBLE)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_inverse_recovers_dose(name, sign):
    curve = example(name)
    known = doses([0.0, 1e-3, 0.3, 1.0, 2.5])
    effects = {"emax", "top", "slope", "e1", "curvature"}
    parameters = {
        key: xr.DataArray([0.2, 0.7, 1.1], dims="draw") * (sign if key in effects else 1.0)
        for key in curve.parameters
    }
    dose = curve.dose_for(curve.response(known, parameters, np), parameters)
    assert set(dose.dims) == {"dose", "draw"}
    # A steep sigmoid at a thousandth of its ED50 has 1e-9 of its effect, as 1 + tanh: seven digits.
    assert_allclose(dose, known.broadcast_like(dose), rtol=1e-7, atol=1e-12)
    # No dose has an effect of the other sign, or above the maximum.
    away = curve.dose_for(xr.DataArray(-0.05 * sign), parameters)
    assert np.isnan(away).all()
    if "emax" in parameters:
        assert np.isnan(curve.dose_for(1.01 * parameters["emax"], parameters)).all()


def test_quadratic_inverse_is_the_smaller_dose():
    parameters = {"slope": xr.DataArray(4.0), "curvature": xr.DataArray([-1.0, 0.0])}
    # 4x - x² is 3 at 1 and at 3; without curvature the line is 3 at 3/4; 5 is above the top of 4.
    assert_allclose(CURVES["quadratic"].dose_for(xr.DataArray(3.0), parameters), [1.0, 0.75])
    at_five = CURVES["quadratic"].dose_for(xr.DataArray(5.0), parameters)
    assert np.isnan(at_five).to_numpy().tolist() == [True, False]


def test_curve_without_inverse_raises():
    with pytest.raises(ValueError, match="'constant' has no inverse"):
        CURVES["constant"].dose_for(xr.DataArray(1.0), {"effect": xr.DataArray(1.0)})


class TestAdvice:
    TRIED = (2.5, 5, 10, 20, 50, 100, 200)

    @EVERY
    def test_every_parameter_has_a_suggestion(self, name):
        advice = example(name).prior_suggestions(self.TRIED)
        assert list(advice) == list(example(name).parameters)
        assert all(
            suggestion.why and suggestion.prior.startswith("Normal(mu=")
            for suggestion in advice.values()
        )
        without_doses = example(name).prior_suggestions().values()
        assert all(s.why and (not s.prior or "A" in s.prior) for s in without_doses)

    def test_ed50_suggestion_covers_tested_doses(self):
        advice = CURVES["emax"].prior_suggestions(self.TRIED)["log_ed50"]
        kwargs = advice.as_spec(3.0)["kwargs"]
        ends = stats.norm(kwargs["mu"], kwargs["sigma"]).ppf([0.025, 0.975])
        assert_allclose(np.exp(ends), [1.25, 400.0], rtol=1e-6)

    def test_slope_suggestion_scales_with_highest_dose(self):
        of = {
            name: CURVES[name].prior_suggestions(self.TRIED)["slope"]
            for name in ("linear", "log_linear")
        }
        assert_allclose(of["linear"].as_spec(3.0)["kwargs"]["sigma"], 1.5 / 200)
        assert_allclose(of["log_linear"].as_spec(3.0)["kwargs"]["sigma"], 1.5 / np.log(201))
        assert of["linear"].prior == "Normal(mu=0, sigma=0.005 A)"

    def test_suggestion_without_doses_has_no_numbers(self):
        advice = CURVES["emax"].prior_suggestions()["log_ed50"]
        assert advice.prior == ""
        assert str(advice) == advice.why
        with pytest.raises(ValueError, match="no numbers"):
            advice.as_spec(3.0)


@pytest.fixture
def square_root():
    """A curve registered for one test."""

    @curve("top · √x")
    def square_root(x, xp, *, top):
        """Proportional to the square root of dose."""
        return top * xp.exp(0.5 * xp.log(x))

    yield square_root
    del CURVES["square_root"]


def test_new_curve_is_a_spec_value(square_root):
    assert square_root.parameters == ("top",)
    schema = AnalysisSpec.model_json_schema()
    assert "square_root" in schema["$defs"]["OutcomeSpec"]["properties"]["curve"]["enum"]
    spec = specs.spec(specs.outcome(curve="square_root"))
    model = build_model(spec, load_evidence(specs.normal_table()))
    assert model.named_vars_to_dims["top"] == ()
    eta = value_of(model, "eta", {"top": np.array(3.0)})
    exposure = specs.normal_table()["dose"].to_numpy()
    assert_allclose(eta, 3.0 * np.sqrt(exposure), rtol=1e-12)


def test_new_curve_is_removed_again():
    assert "square_root" not in CURVES
    assert "square_root" not in str(AnalysisSpec.model_json_schema())
