"""Curves without a fixed shape: sums of basis functions, with a parameter for each.

The basis is tied to doses by options of the spec (`curve_options`); the weights are parameters, one
scalar each, so that every pooling applies to them as to any other parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nmda_bayes.components.curves.bases import (
    hilbert_basis,
    integrated_splines,
    power_basis,
    restricted_cubic_basis,
)
from nmda_bayes.components.curves.catalogue import curve


def _weighted(weights: Sequence[Any], basis: Sequence[Any]) -> Any:
    """Sum a basis by its weights."""
    return sum(weight * part for weight, part in zip(weights, basis, strict=True))


def _shares(log_weight: Sequence[Any], xp: Any) -> list[Any]:
    """Shares of 1 by their log ratios to the first, which is the yardstick."""
    largest: Any = 0.0
    for log_ratio in log_weight:
        largest = xp.maximum(log_ratio, largest)
    weights = [xp.exp(log_ratio - largest) for log_ratio in (0.0, *log_weight)]
    total = sum(weights)
    return [weight / total for weight in weights]


def _enough_powers(powers: Sequence[float], origin: float) -> str:
    return "" if powers else "powers is empty: a fractional polynomial needs at least one"


@curve(
    "Σ coefficient_j · (P_j(x + d) − P_j(d))",
    numbered="coefficient",
    how_many=lambda powers, origin: len(powers),
    example={"powers": (0.5, 1), "origin": 0},
    agree=_enough_powers,
    symbols="P_j(x) = x^p_j with p = {powers}; 0 is log(x), and a repeated power takes log(x) once"
    " more; d = {origin}. With d = 0 the powers up to 0 have no P_j(d): the curve jumps at dose 0",
)
def fractional_polynomial(
    x: Any, xp: Any, powers: Sequence[float], origin: float, *, coefficient: Any
) -> Any:
    """Few terms, many shapes: powers of dose chosen beforehand (Royston and Altman 1994)."""
    return _weighted(coefficient, power_basis(x, xp, powers, origin))


def _three_knots(knots: Sequence[float]) -> str:
    return "" if len(knots) >= 3 else "a restricted cubic spline needs at least 3 knots"


@curve(
    "Σ coefficient_j · C_j(x)",
    numbered="coefficient",
    how_many=lambda knots: len(knots) - 1,
    example={"knots": (0.25, 1, 4)},
    agree=_three_knots,
    symbols="C_1(x) = x; C_2 and on: Harrell's restricted cubic splines with knots {knots},"
    " straight lines beyond the first and the last",
)
def restricted_cubic_spline(x: Any, xp: Any, knots: Sequence[float], *, coefficient: Any) -> Any:
    """Smooth, of any direction, and straight beyond the outer knots."""
    return _weighted(coefficient, restricted_cubic_basis(x, xp, knots))


def _knots_below_the_top(inner_knots: Sequence[float], top_dose: float, degree: int) -> str:
    below = not inner_knots or inner_knots[-1] < top_dose
    if not below:
        return f"the inner knot {inner_knots[-1]:g} is not below top_dose = {top_dose:g}"
    if len(inner_knots) + degree < 2:
        return "one basis function leaves no shape to learn: add an inner knot or a degree"
    return ""


@curve(
    "top · Σ w_j · I_j(x) / Σ w_j, w_1 = 1, w_(j+1) = exp(log_weight_j)",
    numbered="log_weight",
    how_many=lambda inner_knots, top_dose, degree: len(inner_knots) + int(degree) - 1,
    example={"inner_knots": (1,), "top_dose": 4, "degree": 2},
    agree=_knots_below_the_top,
    symbols="I_j: Ramsay's integrated splines of degree {degree}, rising from 0 to 1 over doses 0"
    " to {top_dose}, inner knots {inner_knots}; flat beyond",
)
def monotone_spline(
    x: Any,
    xp: Any,
    inner_knots: Sequence[float],
    top_dose: float,
    degree: int = 2,
    *,
    top: Any,
    log_weight: Any,
) -> Any:
    """Smooth and of one direction, whichever it is; nothing else is assumed (Ramsay 1988)."""
    basis = integrated_splines(x, xp, inner_knots, top_dose, int(degree))
    return top * _weighted(_shares(log_weight, xp), basis)


def _two_steps(steps: Sequence[float]) -> str:
    return "" if len(steps) >= 2 else "steps needs at least 2 doses: with one, use 'constant'"


@curve(
    "top · Σ w_j · (x ≥ s_j) / Σ w_j, w_1 = 1, w_(j+1) = exp(log_weight_j)",
    numbered="log_weight",
    how_many=lambda steps: len(steps) - 1,
    example={"steps": (0.25, 1, 4)},
    agree=_two_steps,
    symbols="s = {steps}, the doses at which the effect steps up; between them it does not change",
)
def monotone_steps(x: Any, xp: Any, steps: Sequence[float], *, top: Any, log_weight: Any) -> Any:
    """A level for each dose tried, never turning back: no shape is assumed between doses."""
    # A millionth of slack: a relative dose of 10 / 30 is at the step that is written 0.333333.
    basis = [(x * (1 + 1e-6) >= step) * 1.0 for step in steps]
    return top * _weighted(_shares(log_weight, xp), basis)


@curve(
    "Σ weight_j · √S_j · (φ_j(x) − φ_j(0)), log S_j from log_amplitude and log_length",
    numbered="weight",
    how_many=lambda top_dose, basis_functions, boundary: int(basis_functions),
    example={"top_dose": 4, "basis_functions": 6, "boundary": 1.5},
    symbols="φ_j: {basis_functions} sines over doses 0 to {top_dose}, boundary factor {boundary};"
    " S_j: their spectral density under a Gaussian process with squared-exponential covariance,"
    " standard deviation exp(log_amplitude) and length-scale exp(log_length)",
)
def gaussian_process(
    x: Any,
    xp: Any,
    top_dose: float,
    basis_functions: int,
    boundary: float = 1.5,
    *,
    log_amplitude: Any,
    log_length: Any,
    weight: Any,
) -> Any:
    """Any smooth shape, in the Hilbert-space approximation; its weights are standard normal."""
    basis = hilbert_basis(
        x, xp, top_dose, int(basis_functions), boundary, log_amplitude, log_length
    )
    return _weighted(weight, basis)
