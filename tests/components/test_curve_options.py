"""Curves with knots and the like: their bases by other authorities, their place in a spec."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import BSpline

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.curves.options import OPTIONS
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.report.show import show_text
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when, value_of

OPTIONAL = [name for name in CURVES if CURVES[name].wanted]


def response(name: str, options: dict[str, Any], x: Any, **parameters: float) -> xr.DataArray:
    """A curve on plain numbers; a parameter that is not named is 0."""
    made = CURVES[name].given(options)
    theta = {key: xr.DataArray(float(parameters.get(key, 0.0))) for key in made.parameters}
    return made.response(xr.DataArray(np.asarray(x, float), dims="dose"), theta, np)


def basis(name: str, options: dict[str, Any], x: Any) -> np.ndarray:
    """Each basis function of a linear curve: its response to one coefficient alone."""
    members = CURVES[name].given(options).parameters
    return np.array([response(name, options, x, **{key: 1.0}) for key in members])


class TestFractionalPolynomial:
    def test_powers_by_hand(self):
        x = np.array([0.25, 1.0, 4.0])
        found = basis("fractional_polynomial", {"powers": [0.5, 3], "origin": 0}, x)
        assert found.shape == (2, 3)
        assert_allclose(found, [[0.5, 1, 2], x**3])

    def test_zero_is_the_logarithm_and_a_repeated_power_takes_it_once_more(self):
        # Royston and Altman 1994, section 2: x^(p, p) is x^p and x^p log x; (0, 0) log x, log² x.
        x = np.array([0.5, 2.0])
        found = basis("fractional_polynomial", {"powers": [0, 0, 2, 2], "origin": 0}, x)
        log = np.log(x)
        assert_allclose(found, [log, log**2, x**2, x**2 * log])

    def test_an_origin_makes_it_continuous_at_zero(self):
        options = {"powers": [-1, 0, 0.5], "origin": 2}
        tiny = basis("fractional_polynomial", options, [1e-9])
        assert_allclose(tiny, 0.0, atol=1e-8)
        x = np.array([1.0, 6.0])
        known = [1 / (x + 2) - 1 / 2, np.log((x + 2) / 2), np.sqrt(x + 2) - np.sqrt(2)]
        assert_allclose(basis("fractional_polynomial", options, x), known)

    def test_an_origin_of_one_and_power_zero_is_log_linear(self):
        x = [0.3, 5.0]
        one = response("fractional_polynomial", {"powers": [0], "origin": 1}, x, coefficient_1=2)
        known = response("log_linear", {}, x, slope=2)
        assert_allclose(one, known)


class TestRestrictedCubicSpline:
    KNOTS = (0.25, 0.8, 1.5, 3.0)
    #: Hmisc 4.8.0 in R 4.2.2: rcspline.eval(x, knots = k, inclx = TRUE, norm = 2).
    X = (0.1, 0.4, 1.0, 2.0, 5.0)
    HMISC = (
        X,
        (0, 0.000446280991735537, 0.055785123966942150, 0.678374655647382974, 4.659090909090908),
        (0, 0, 0.00105785123966942, 0.20425344352617084, 1.97527272727272951),
    )

    def test_is_the_basis_of_harrells_own_package(self):
        found = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, self.X)
        assert_allclose(found, self.HMISC, rtol=1e-12, atol=1e-15)

    def test_spans_the_natural_splines_of_base_r(self):
        # splines::ns(x, knots = c(0.8, 1.5), Boundary.knots = c(0.25, 3)) in R 4.2.2, at 4 doses:
        # with a constant, both are all natural cubic splines with these knots.
        x = (0.3, 1.0, 2.0, 2.9)
        ns = np.array([
            [-0.0261128050265445, 0.0645746711315921, -0.0383957504025683],
            [-0.0333862837563023, 0.6060049387358327, -0.3589232594659532],
            [0.4739972733443664, 0.3569775246486343, 0.0588323645414344],
            [-0.0738474656717951, 0.3816832527893262, 0.6920540200450034],
        ])  # fmt: skip
        dense = np.linspace(0.25, 3, 60)
        ours = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, x).T
        ours = np.column_stack([np.ones(4), ours])
        whole = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, dense).T
        whole = np.column_stack([np.ones(60), whole])
        assert np.linalg.matrix_rank(whole) == 4
        weights = np.linalg.solve(ours, ns)
        # The second derivative of each combination is 0 at the outer knots: natural.
        bend = np.diff(whole @ weights, n=2, axis=0)
        assert (abs(bend[[0, -1]]) < 0.1 * abs(bend).max(axis=0)).all()

    def test_is_straight_beyond_its_outer_knots(self):
        found = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, [0.05, 0.1, 0.15])
        assert_allclose(np.diff(found, n=2), 0.0, atol=1e-15)
        found = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, [4.0, 6.0, 8.0])
        assert_allclose(np.diff(found, n=2), 0.0, atol=1e-12)


class TestMonotone:
    OPTIONS = {"inner_knots": [20, 60], "top_dose": 200, "degree": 3}

    def test_is_the_integral_of_ramsays_m_splines(self):
        x = np.linspace(1e-6, 200, 20_001)
        knots = np.array([0, 0, 0, 20, 60, 200, 200, 200], float)
        order, count = 3, 5
        shapes = []
        for i in range(count):
            weight = order / (knots[i + order] - knots[i])  # an M-spline has an integral of 1
            b = BSpline(knots, np.eye(count)[i], order - 1)(x)
            shapes.append(cumulative_trapezoid(weight * b, x, initial=0))
        made = CURVES["monotone_spline"].given(self.OPTIONS)
        assert len(made.parameters) == count  # top, and each share against the first
        rng = np.random.default_rng(1)
        for log_weight in rng.normal(size=(3, count - 1)):
            named = {f"log_weight_{i + 1}": w for i, w in enumerate(log_weight)}
            found = response("monotone_spline", self.OPTIONS, x, top=-4, **named)
            weight = np.exp([0, *log_weight])
            known = -4 * weight @ np.array(shapes) / weight.sum()
            # The trapezoid's error on 20,000 steps of 0.01.
            assert_allclose(found, known, atol=1e-6)

    @pytest.mark.parametrize("degree", [1, 2, 3, 4])
    def test_turns_back_nowhere_and_ends_at_its_top(self, degree):
        options = {"inner_knots": [20, 60], "top_dose": 200, "degree": degree}
        x = np.linspace(0, 300, 601)
        rng = np.random.default_rng(degree)
        members = CURVES["monotone_spline"].given(options).parameters[1:]
        for sign in (1, -1):
            named = {key: rng.normal(0, 2) for key in members}
            found = sign * response("monotone_spline", options, x, top=5 * sign, **named)
            assert (np.diff(found) >= -1e-12).all()
            assert_allclose(found[x >= 200], 5.0)
            assert_allclose(found[0], 0.0, atol=0)

    def test_degree_one_without_inner_weights_is_a_broken_line(self):
        options = {"inner_knots": [50], "top_dose": 200, "degree": 1}
        found = response("monotone_spline", options, [25, 50, 125], top=8, log_weight_1=np.log(3))
        # A quarter of the whole over the first 50, three quarters over the rest.
        assert_allclose(found, [1.0, 2.0, 5.0])

    def test_steps_rise_at_their_doses_alone(self):
        options = {"steps": [1, 2, 4]}
        at = {"top": -8.0, "log_weight_1": np.log(2), "log_weight_2": 0.0}
        found = response("monotone_steps", options, [0.5, 1, 1.9, 2, 3, 4, 100], **at)
        assert_allclose(found, [0, -2, -2, -6, -6, -8, -8])

    def test_a_step_is_taken_by_a_relative_dose_that_is_rounded(self):
        found = response("monotone_steps", {"steps": [0.333333, 1]}, [10 / 30 - 1e-9], top=1)
        assert_allclose(found, 0.5)


class TestGaussianProcess:
    def test_its_covariance_is_that_of_the_process_less_its_value_at_zero(self):
        options = {"top_dose": 4, "basis_functions": 40, "boundary": 3}
        x = np.array([0.5, 1.0, 2.0, 4.0])
        amplitude, length = 1.7, 1.2
        at = {"log_amplitude": np.log(amplitude), "log_length": np.log(length)}
        members = [f"weight_{i + 1}" for i in range(40)]
        waves = np.array(
            [response("gaussian_process", options, x, **at, **{key: 1.0}) for key in members]
        )
        assert waves.shape == (40, 4)

        def k(a, b):
            return amplitude**2 * np.exp(-((a[:, None] - b[None]) ** 2) / (2 * length**2))

        zero = np.zeros(1)
        known = k(x, x) - k(x, zero) - k(zero, x) + k(zero, zero)
        # Riutort-Mayol et al. 2023: the boundary factor 3 is above 3.2 ℓ / S = 1.92, and 40
        # functions above 1.75 c S / ℓ = 8.75: the error is then far below a hundredth.
        assert_allclose(waves.T @ waves, known, atol=1e-3)

    def test_is_held_where_it_is_beyond_the_boundary(self):
        options = {"top_dose": 4, "basis_functions": 6}
        at = {"weight_1": 1.0, "weight_2": -0.5}
        found = response("gaussian_process", options, [5.0, 50.0, 500.0], **at)
        assert_allclose(found, found[0])


def content(name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """A spec of a curve with options, a prior for each of its parameters."""
    options = dict(CURVES[name].example if options is None else options)
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    return specs.content(specs.outcome("normal", name, curve_options=options))


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_spec_with_options_is_the_same_after_json_and_makes_a_graph(name):
    spec = AnalysisSpec.from_dict(content(name))
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec
    model = build_model(spec, load_evidence(specs.normal_table()))
    shape = spec.outcomes["pain"].shape
    assert {*shape.parameters} <= set(model.named_vars)
    values = dict.fromkeys(shape.parameters, 0.3)
    found = value_of(model, "eta", {k: np.array(v) for k, v in values.items()})
    exposure = specs.normal_table()["dose"].to_numpy()
    known = response(name, dict(shape.rest.options), exposure, **values)
    assert_allclose(found, known, rtol=1e-9, atol=1e-12)


def test_the_schema_names_the_options():
    schema = AnalysisSpec.model_json_schema()["$defs"]["OutcomeSpec"]["properties"]
    assert schema["curve_options"]["propertyNames"]["enum"] == list(OPTIONS)
    asked = {name for curve in CURVES.values() for name in curve.wanted}
    assert asked == set(OPTIONS)


WRONG = {
    "none given": ({}, "knots", ["needs knots", "curve_options = { knots = [0.25, 1, 4] }"]),
    "unknown": ({"knotts": [1, 2, 3]}, "knotts", ["no option 'knotts'", "'knots'"]),
    "unsorted": ({"knots": [1, 3, 2]}, "knots", ["doses from 0 on, each above the last"]),
    "twice the same": ({"knots": [1, 1, 2]}, "knots", ["each above the last"]),
    "negative": ({"knots": [-1, 1, 2]}, "knots", ["doses from 0 on"]),
    "too few": ({"knots": [1, 2]}, "knots", ["at least 3 knots"]),
    "words": ({"knots": ["a", "b", "c"]}, "knots", ["doses from 0 on"]),
    "one number": ({"knots": 3}, "knots", ["doses from 0 on"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_refused_at_their_key(case):
    options, key, words = WRONG[case]
    wrong = content("restricted_cubic_spline")
    wrong["outcomes"]["pain"]["curve_options"] = options
    found = faults_when(lambda: AnalysisSpec.from_dict(wrong), SpecError)
    (told, *others) = [f for f in found if f.column == f"outcomes.pain.curve_options.{key}"]
    assert not others
    assert all(word in str(told) for word in words)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("monotone_spline", {"inner_knots": [5], "top_dose": 4}, "is not below top_dose = 4"),
        ("monotone_spline", {"inner_knots": [], "top_dose": 4, "degree": 1}, "no shape to learn"),
        ("monotone_spline", {"inner_knots": [1], "top_dose": 4, "degree": 9}, "from 1 to 4"),
        ("monotone_steps", {"steps": [1]}, "use 'constant'"),
        ("monotone_steps", {"steps": [0, 1]}, "doses above 0"),
        ("fractional_polynomial", {"powers": [], "origin": 0}, "powers is empty"),
        ("fractional_polynomial", {"powers": [0]}, "needs origin"),
        ("gaussian_process", {"top_dose": 4, "basis_functions": 2.5}, "a whole number"),
        ("integrated_two_parameter", {"top_dose": 0}, "a dose above 0"),
        ("emax", {"knots": [1, 2, 3]}, "curve 'emax' has no option 'knots'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(name, options, words):
    wrong = content(name)
    wrong["outcomes"]["pain"]["curve_options"] = options
    with pytest.raises(SpecError, match=words):
        AnalysisSpec.from_dict(wrong)


def test_one_entry_under_the_lists_name_stands_for_each_member():
    short = content("restricted_cubic_spline")
    parameters = short["outcomes"]["pain"]["parameters"]
    one = parameters.pop("coefficient_1")
    own = parameters.pop("coefficient_2") | {"pooling": "agent"}
    own["priors"] = own["priors"] | {"between_agent": specs.half_normal()}
    parameters["coefficient"] = one
    parameters["coefficient_2"] = own
    found = AnalysisSpec.from_dict(short).outcomes["pain"].parameters
    assert {"coefficient_1", "coefficient_2"} <= set(found)
    assert "coefficient" not in found
    assert found["coefficient_1"].pooling == "common"
    assert found["coefficient_2"].pooling == "agent"


def test_a_list_on_the_natural_scale():
    short = content("monotone_steps")
    parameters = short["outcomes"]["pain"]["parameters"]
    del parameters["log_weight_1"], parameters["log_weight_2"]
    parameters["weight"] = specs.parameter(
        "common", location=specs.prior("LogNormal", mu=0, sigma=1)
    )
    spec = AnalysisSpec.from_dict(short)
    assert {"weight_1", "weight_2"} <= set(spec.outcomes["pain"].parameters)
    model = build_model(spec, load_evidence(specs.normal_table()))
    assert "log_weight_1" in model.named_vars


def test_a_missing_prior_of_a_member_says_how_to_write_it_and_what_to_think_of():
    wrong = content("restricted_cubic_spline")
    del wrong["outcomes"]["pain"]["parameters"]["coefficient_2"]
    (fault,) = faults_when(lambda: AnalysisSpec.from_dict(wrong), SpecError)
    assert "'coefficient_2' has no prior" in fault.message
    assert "Advice: its share of the effect at the largest dose tried" in fault.mend


def test_knots_beyond_the_doses_that_were_tried_are_noted_and_not_refused():
    spec = AnalysisSpec.from_dict(content("restricted_cubic_spline", {"knots": [0.1, 1, 3]}))
    text = show_text(spec, load_evidence(specs.normal_table()))
    assert "Note: knots: 0.1 lies below the smallest dose tried (0.5)." in text
    assert "Note: knots: 3 lies beyond the largest dose tried (2)." in text
    assert "with knots 0.1, 1, 3" in text
    spec = AnalysisSpec.from_dict(content("integrated_two_parameter", {"top_dose": 1}))
    text = show_text(spec, load_evidence(specs.normal_table()))
    assert "Note: top_dose: 1 lies below the largest dose tried (2)." in text


def test_a_curve_is_not_evaluated_with_half_of_its_options():
    with pytest.raises(ValueError, match="needs top_dose"):
        CURVES["gaussian_process"].given({"basis_functions": 6})
