"""Curves with options: their bases against R and SciPy, and their options in a spec."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.integrate import cumulative_trapezoid
from scipy.interpolate import BSpline

from nmda_bayes.components.curves import CURVE_OPTIONS, CURVES
from nmda_bayes.errors import SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from nmda_bayes.report.equations import describe_analysis
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.fits import value_of
from tests.support.issues import issues_when

OPTIONAL = [name for name in CURVES if CURVES[name].defaults]


def response(name: str, options: dict[str, Any], x: Any, **parameters: float) -> xr.DataArray:
    """Response of a curve; parameters that are not named are 0."""
    curve = CURVES[name].with_options(options)
    theta = {key: xr.DataArray(float(parameters.get(key, 0.0))) for key in curve.parameters}
    return curve.response(xr.DataArray(np.asarray(x, float), dims="dose"), theta, np)


def basis(name: str, options: dict[str, Any], x: Any) -> np.ndarray:
    """Basis functions of a linear curve: its responses to single coefficients."""
    members = CURVES[name].with_options(options).parameters
    return np.array([response(name, options, x, **{key: 1.0}) for key in members])


class TestFractionalPolynomial:
    def test_powers_by_hand(self):
        x = np.array([0.25, 1.0, 4.0])
        values = basis("fractional_polynomial", {"powers": [0.5, 3], "origin": 0}, x)
        assert values.shape == (2, 3)
        assert_allclose(values, [[0.5, 1, 2], x**3])

    def test_zero_and_repeated_powers_use_logs(self):
        # Royston and Altman 1994, section 2: x^(p, p) is x^p and x^p log x; (0, 0) log x, log² x.
        x = np.array([0.5, 2.0])
        values = basis("fractional_polynomial", {"powers": [0, 0, 2, 2], "origin": 0}, x)
        log = np.log(x)
        assert_allclose(values, [log, log**2, x**2, x**2 * log])

    def test_origin_makes_curve_continuous(self):
        options = {"powers": [-1, 0, 0.5], "origin": 2}
        tiny = basis("fractional_polynomial", options, [1e-9])
        assert_allclose(tiny, 0.0, atol=1e-8)
        x = np.array([1.0, 6.0])
        known = [1 / (x + 2) - 1 / 2, np.log((x + 2) / 2), np.sqrt(x + 2) - np.sqrt(2)]
        assert_allclose(basis("fractional_polynomial", options, x), known)

    def test_origin_one_power_zero_is_log_linear(self):
        x = [0.3, 5.0]
        values = response("fractional_polynomial", {"powers": [0], "origin": 1}, x, coefficient_1=2)
        known = response("log_linear", {}, x, slope=2)
        assert_allclose(values, known)


class TestRestrictedCubicSpline:
    KNOTS = (0.25, 0.8, 1.5, 3.0)
    #: Hmisc 4.8.0 in R 4.2.2: rcspline.eval(x, knots = k, inclx = TRUE, norm = 2).
    X = (0.1, 0.4, 1.0, 2.0, 5.0)
    HMISC = (
        X,
        (0, 0.000446280991735537, 0.055785123966942150, 0.678374655647382974, 4.659090909090908),
        (0, 0, 0.00105785123966942, 0.20425344352617084, 1.97527272727272951),
    )

    def test_spline_basis_matches_hmisc(self):
        values = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, self.X)
        assert_allclose(values, self.HMISC, rtol=1e-12, atol=1e-15)

    def test_spline_spans_natural_splines_of_r(self):
        # splines::ns(x, knots = c(0.8, 1.5), Boundary.knots = c(0.25, 3)) in R 4.2.2, at 4 doses:
        # with a constant, both are all natural cubic splines with these knots.
        x = (0.3, 1.0, 2.0, 2.9)
        ns = np.array(
            [
                [-0.0261128050265445, 0.0645746711315921, -0.0383957504025683],
                [-0.0333862837563023, 0.6060049387358327, -0.3589232594659532],
                [0.4739972733443664, 0.3569775246486343, 0.0588323645414344],
                [-0.0738474656717951, 0.3816832527893262, 0.6920540200450034],
            ]
        )
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

    def test_spline_is_linear_beyond_outer_knots(self):
        values = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, [0.05, 0.1, 0.15])
        assert_allclose(np.diff(values, n=2), 0.0, atol=1e-15)
        values = basis("restricted_cubic_spline", {"knots": list(self.KNOTS)}, [4.0, 6.0, 8.0])
        assert_allclose(np.diff(values, n=2), 0.0, atol=1e-12)


class TestMonotone:
    OPTIONS = {"inner_knots": [20, 60], "top_dose": 200, "degree": 3}

    def test_matches_integrated_m_splines(self):
        x = np.linspace(1e-6, 200, 20_001)
        knots = np.array([0, 0, 0, 20, 60, 200, 200, 200], float)
        order, count = 3, 5
        shapes = []
        for i in range(count):
            weight = order / (knots[i + order] - knots[i])  # an M-spline has an integral of 1
            b = BSpline(knots, np.eye(count)[i], order - 1)(x)
            shapes.append(cumulative_trapezoid(weight * b, x, initial=0))
        curve = CURVES["monotone_spline"].with_options(self.OPTIONS)
        assert len(curve.parameters) == count  # top, and each share against the first
        rng = np.random.default_rng(1)
        for log_weight in rng.normal(size=(3, count - 1)):
            named = {f"log_weight_{i + 1}": w for i, w in enumerate(log_weight)}
            values = response("monotone_spline", self.OPTIONS, x, top=-4, **named)
            weight = np.exp([0, *log_weight])
            known = -4 * weight @ np.array(shapes) / weight.sum()
            # The trapezoid's error on 20,000 steps of 0.01.
            assert_allclose(values, known, atol=1e-6)

    @pytest.mark.parametrize("degree", [1, 2, 3, 4])
    def test_is_monotone_and_ends_at_top(self, degree):
        options = {"inner_knots": [20, 60], "top_dose": 200, "degree": degree}
        x = np.linspace(0, 300, 601)
        rng = np.random.default_rng(degree)
        members = CURVES["monotone_spline"].with_options(options).parameters[1:]
        for sign in (1, -1):
            named = {key: rng.normal(0, 2) for key in members}
            values = sign * response("monotone_spline", options, x, top=5 * sign, **named)
            assert (np.diff(values) >= -1e-12).all()
            assert_allclose(values[x >= 200], 5.0)
            assert_allclose(values[0], 0.0, atol=0)

    def test_degree_one_is_piecewise_linear(self):
        options = {"inner_knots": [50], "top_dose": 200, "degree": 1}
        values = response("monotone_spline", options, [25, 50, 125], top=8, log_weight_1=np.log(3))
        # A quarter of the whole over the first 50, three quarters over the rest.
        assert_allclose(values, [1.0, 2.0, 5.0])

    def test_steps_change_at_their_doses(self):
        options = {"steps": [1, 2, 4]}
        at = {"top": -8.0, "log_weight_1": np.log(2), "log_weight_2": 0.0}
        values = response("monotone_steps", options, [0.5, 1, 1.9, 2, 3, 4, 100], **at)
        assert_allclose(values, [0, -2, -2, -6, -6, -8, -8])

    def test_step_tolerates_rounded_relative_dose(self):
        values = response("monotone_steps", {"steps": [0.333333, 1]}, [10 / 30 - 1e-9], top=1)
        assert_allclose(values, 0.5)


class TestGaussianProcess:
    def test_covariance_of_gaussian_process(self):
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

    def test_constant_beyond_boundary(self):
        options = {"top_dose": 4, "basis_functions": 6}
        at = {"weight_1": 1.0, "weight_2": -0.5}
        values = response("gaussian_process", options, [5.0, 50.0, 500.0], **at)
        assert_allclose(values, values[0])


def content(name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    """A spec of a curve with options."""
    options = dict(CURVES[name].example if options is None else options)
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    return specs.content(specs.outcome("normal", name, curve_options=options))


@pytest.mark.parametrize("name", OPTIONAL)
def test_options_round_trip_and_build_a_model(name):
    spec = AnalysisSpec.from_dict(content(name))
    assert AnalysisSpec.from_dict(json.loads(spec.to_json())) == spec
    model = build_model(spec, load_evidence(specs.normal_table()))
    shape = spec.outcomes["pain"].shape
    assert {*shape.parameters} <= set(model.named_vars)
    values = dict.fromkeys(shape.parameters, 0.3)
    eta = value_of(model, "eta", {k: np.array(v) for k, v in values.items()})
    exposure = specs.normal_table()["dose"].to_numpy()
    known = response(name, dict(shape.default.options), exposure, **values)
    assert_allclose(eta, known, rtol=1e-9, atol=1e-12)


def test_schema_names_the_options():
    schema = AnalysisSpec.model_json_schema()["$defs"]["OutcomeSpec"]["properties"]
    assert schema["curve_options"]["propertyNames"]["enum"] == list(CURVE_OPTIONS)
    names = {name for curve in CURVES.values() for name in curve.defaults}
    assert names == set(CURVE_OPTIONS)


WRONG = {
    "missing": ({}, "knots"),
    "unknown": ({"knotts": [1, 2, 3]}, "knotts"),
    "unsorted": ({"knots": [1, 3, 2]}, "knots"),
    "duplicate": ({"knots": [1, 1, 2]}, "knots"),
    "negative": ({"knots": [-1, 1, 2]}, "knots"),
    "too few": ({"knots": [1, 2]}, "knots"),
    "words": ({"knots": ["a", "b", "c"]}, "knots"),
    "single number": ({"knots": 3}, "knots"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options_are_rejected_at_their_key(case):
    options, key = WRONG[case]
    wrong = content("restricted_cubic_spline")
    wrong["outcomes"]["pain"]["curve_options"] = options
    issues = issues_when(lambda: AnalysisSpec.from_dict(wrong), SpecError)
    (issue,) = [f for f in issues if f.column == f"outcomes.pain.curve_options.{key}"]
    assert issue.code == "E331"


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("monotone_spline", {"inner_knots": [5], "top_dose": 4}, "inner_knots"),
        ("monotone_spline", {"inner_knots": [], "top_dose": 4, "degree": 1}, "inner_knots"),
        ("monotone_spline", {"inner_knots": [1], "top_dose": 4, "degree": 9}, "degree"),
        ("monotone_steps", {"steps": [1]}, "steps"),
        ("monotone_steps", {"steps": [0, 1]}, "steps"),
        ("fractional_polynomial", {"powers": [], "origin": 0}, "powers"),
        ("fractional_polynomial", {"powers": [0]}, "origin"),
        ("gaussian_process", {"top_dose": 4, "basis_functions": 2.5}, "basis_functions"),
        ("integrated_two_parameter", {"top_dose": 0}, "top_dose"),
        ("emax", {"knots": [1, 2, 3]}, "knots"),
    ],
)
def test_conflicting_options_are_rejected(name, options, key):
    wrong = content(name)
    wrong["outcomes"]["pain"]["curve_options"] = options
    issues = issues_when(lambda: AnalysisSpec.from_dict(wrong), SpecError)
    assert [(issue.code, issue.column) for issue in issues] == [
        ("E331", f"outcomes.pain.curve_options.{key}")
    ]


def test_shared_prior_of_numbered_parameters():
    short = content("restricted_cubic_spline")
    parameters = short["outcomes"]["pain"]["parameters"]
    shared = parameters.pop("coefficient_1")
    second = parameters.pop("coefficient_2") | {"pooling": "agent"}
    second["priors"] = second["priors"] | {"between_agent": specs.half_normal()}
    parameters["coefficient"] = shared
    parameters["coefficient_2"] = second
    expanded = AnalysisSpec.from_dict(short).outcomes["pain"].parameters
    assert {"coefficient_1", "coefficient_2"} <= set(expanded)
    assert "coefficient" not in expanded
    assert expanded["coefficient_1"].pooling == "common"
    assert expanded["coefficient_2"].pooling == "agent"


def test_numbered_parameters_on_natural_scale():
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


def test_missing_numbered_prior_has_suggestion():
    wrong = content("restricted_cubic_spline")
    del wrong["outcomes"]["pain"]["parameters"]["coefficient_2"]
    (issue,) = issues_when(lambda: AnalysisSpec.from_dict(wrong), SpecError)
    assert (issue.code, issue.column) == ("E310", "outcomes.pain.parameters.coefficient_2")
    curve = CURVES["restricted_cubic_spline"]
    suggestions = curve.with_options(curve.example).prior_suggestions()
    assert suggestions["coefficient_2"].why in issue.hint


def test_knots_outside_tested_doses_are_noted():
    spec = AnalysisSpec.from_dict(content("restricted_cubic_spline", {"knots": [0.1, 1, 3]}))
    text = describe_analysis(spec, load_evidence(specs.normal_table()))
    assert "knots: 0.1 is below the lowest tested dose (0.5)" in text
    assert "knots: 3 is above the highest tested dose (2)" in text
    assert "with knots 0.1, 1, 3" in text
    spec = AnalysisSpec.from_dict(content("integrated_two_parameter", {"top_dose": 1}))
    text = describe_analysis(spec, load_evidence(specs.normal_table()))
    assert "top_dose: 1 is below the highest tested dose (2)" in text


def test_missing_option_raises():
    with pytest.raises(ValueError, match="needs top_dose"):
        CURVES["gaussian_process"].with_options({"basis_functions": 6})
