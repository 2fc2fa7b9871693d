"""Each curve on one trial of eight doses: model, mode, estimands, equation and description.

The trial is one of migraine: how many of its people were free of pain, at eight doses in mg.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit, xlogy

from nmda_bayes.components.curves import CURVES
from nmda_bayes.estimands import dose_response, effective_dose
from nmda_bayes.evidence import load_evidence
from nmda_bayes.figures import plot_dose_response
from nmda_bayes.model import build_model
from nmda_bayes.report.equations import describe_analysis, equations
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.fits import draws, make_fit

DOSES = [0, 2.5, 5, 10, 20, 50, 100, 200]
EVENTS = np.array([13, 4, 5, 16, 12, 14, 14, 21])
PEOPLE = np.array([133, 32, 44, 63, 63, 65, 59, 58])
TABLE = pd.DataFrame(
    {
        "study": "migraine",
        "agent": ["placebo"] + ["drug"] * 7,
        "dose": DOSES,
        "events": EVENTS,
        "n": PEOPLE,
    }
)
OPTIONS = {
    "integrated_two_parameter": {"top_dose": 200},
    "fractional_polynomial": {"powers": [0, 0.5], "origin": 1},
    "restricted_cubic_spline": {"knots": [2.5, 20, 100, 200]},
    "monotone_spline": {"inner_knots": [20], "top_dose": 200},
    "monotone_steps": {"steps": [2.5, 5, 10, 20, 50, 100, 200]},
    "gaussian_process": {"top_dose": 200, "basis_functions": 6},
}
#: Largest plausible log odds ratio.
LARGEST = 4.0
EVERY = pytest.mark.parametrize("name", list(CURVES))


def shape(name: str):
    return CURVES[name].with_options(OPTIONS.get(name, {}))


def spec_of(name: str) -> AnalysisSpec:
    """The curve with the priors suggested for these doses."""
    advice = shape(name).prior_suggestions(DOSES[1:])
    parameters = {
        key: {"pooling": "common", "priors": {"location": suggestion.as_spec(LARGEST)}}
        for key, suggestion in advice.items()
    }
    parameters["baseline"] = specs.parameter("independent", each=specs.normal(-2, 1.5))
    outcome = {
        "likelihood": "binomial",
        "curve": name,
        "heterogeneity": "none",
        "curve_options": OPTIONS.get(name, {}),
        "parameters": parameters,
    }
    return specs.spec(outcome)


def fitted_risks(name: str) -> np.ndarray:
    """Risks at the posterior mode, found with the graph's density and gradient."""
    spec = spec_of(name)
    model = build_model(spec, load_evidence(TABLE))
    assert model.named_vars_to_dims["eta"] == ("arm",)
    order = [v.name for v in model.value_vars]
    priors = [next(iter(spec.outcomes["pain"].parameters[n].priors.values())) for n in order]
    middle, sd = (np.array([p.kwargs[k] for p in priors]) for k in ("mu", "sigma"))
    shapes = {n: np.shape(value) for n, value in model.initial_point().items()}

    def point(z: np.ndarray) -> dict[str, np.ndarray]:
        """Values of the variables from their prior z-scores."""
        return {n: np.full(shapes[n], x) for n, x in zip(order, middle + sd * z, strict=True)}

    density = model.compile_logp(mode="FAST_COMPILE")
    slope = model.compile_dlogp(mode="FAST_COMPILE")
    # Not from 0: that is a saddle of every curve whose effect is a product.
    start = np.full(len(order), 0.3)
    assert np.isfinite(density(point(start)))
    optimum = minimize(
        lambda z: -density(point(z)),
        start,
        jac=lambda z: -slope(point(z)) * sd,
        method="L-BFGS-B",
        options={"maxiter": 40},
    )
    assert np.isfinite(slope(point(optimum.x))).all()
    evaluate = model.compile_fn(
        model.replace_rvs_by_values([model["eta"]])[0].values,
        inputs=model.value_vars,
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    return expit(np.asarray(evaluate(point(optimum.x))))


def deviance(risk: np.ndarray) -> float:
    observed = EVENTS / PEOPLE
    terms = xlogy(EVENTS, observed / risk) + xlogy(PEOPLE - EVENTS, (1 - observed) / (1 - risk))
    return float(2 * terms.sum())


@EVERY
def test_curve_fits_dose_trial(name):
    risk = fitted_risks(name)
    assert risk.shape == (8,)
    # A flat line has residual deviance 23.5 on these arms, placebo against all drug arms 12.1. Of
    # 133 people on placebo 9.8 % are free of pain; three of its standard errors of 2.6 points.
    assert deviance(risk) < 13
    assert abs(risk[0] - 13 / 133) < 3 * 0.026
    monotone = {
        "exponential",
        "quadratic",
        "fractional_polynomial",
        "restricted_cubic_spline",
        "gaussian_process",
    }
    if name not in monotone:
        assert (np.diff(risk) > -1e-9).all()


def simulated_fit(name: str) -> xr.DataTree:
    """A fit with a hundred draws near the means of the suggested priors."""
    rng = np.random.default_rng(1)
    posterior = {}
    for key, suggestion in shape(name).prior_suggestions(DOSES[1:]).items():
        kwargs = suggestion.as_spec(LARGEST)["kwargs"]
        middle = kwargs["mu"] if kwargs["mu"] else kwargs["sigma"]
        posterior[key] = draws(rng.normal(middle, 0.1 * kwargs["sigma"], 100))
    posterior["baseline"] = draws(rng.normal(-2, 0.1, (100, 1)), "study")
    posterior["eta"] = draws(np.zeros((100, 8)), "arm")
    return make_fit(spec_of(name), TABLE, posterior)


@EVERY
def test_estimands_figure_and_equation(name):
    fit = simulated_fit(name)
    response = dose_response(fit, baseline_risk=0.1)
    assert response.dims == ("outcome", "agent", "condition", "dose", "chain", "draw")
    assert_allclose(response.isel(dose=0), 0.1)
    assert ((response >= 0) & (response <= 1)).all()
    figure = plot_dose_response(response)
    assert figure.axes
    (block,) = equations(fit)
    (line,) = [
        equation for equation in block.lines if equation.left == "<var>f</var>(<var>x</var>)"
    ]
    assert "f(0) = 0" in line.note
    assert ("{" in line.note) is False
    for value in OPTIONS.get(name, {}).values():
        last = value[-1] if isinstance(value, list) else value
        assert f"{last:g}" in line.note
    effective = effective_dose(fit, "pain", 0.12, baseline_risk=0.1)
    assert effective.dims == ("agent", "condition", "chain", "draw")
    inside = effective.to_numpy().ravel()
    reached = ~np.isnan(inside)
    if name not in ("constant", "monotone_steps"):
        assert reached.any()
    if name in ("constant", "monotone_steps"):
        return  # a jump has no dose at which its effect is exactly so much
    # Exact where the curve has an inverse, else interpolated between 48 doses.
    for i in np.flatnonzero(reached)[:5]:
        at = dose_response(fit, [inside[i]], 0.1).to_numpy().ravel()[i]
        assert at == pytest.approx(0.12, abs=1e-9 if shape(name).inverse else 0.003)


@EVERY
def test_description_shows_curve_and_suggestions(name):
    text = describe_analysis(spec_of(name), load_evidence(TABLE))
    assert f"f(x) = {CURVES[name].text}" in text
    advised = "Advice on the curve's priors" in text
    assert advised is CURVES[name].needs_dose
    if advised:
        for key, suggestion in shape(name).prior_suggestions(DOSES[1:]).items():
            assert f"{key} ~ {suggestion.prior}: {suggestion.why}" in text
