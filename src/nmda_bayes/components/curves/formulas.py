"""Curves that a formula with one to three parameters writes.

To add one, write its formula under one `@curve` line. Parameters are on the unconstrained scale; a
positive quantity is its logarithm and is called ``log_...``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nmda_bayes.components.curves.catalogue import curve

#: Past e^600 no log density can tell two curves apart, and from e^710 on a double is infinite and
#: its gradient not a number.
LARGEST_EXPONENT = 600.0


@curve("effect", needs_dose=False)
def constant(x: Any, xp: Any, *, effect: Any) -> Any:
    """The same effect at any dose: the classic random-effects meta-analysis."""
    return effect


@curve("slope · x", inverse=lambda effect, slope: effect / slope)
def linear(x: Any, xp: Any, *, slope: Any) -> Any:
    """In proportion to dose, without a ceiling."""
    return slope * x


@curve("slope · log(1 + x)", inverse=lambda effect, slope: np.expm1(effect / slope))
def log_linear(x: Any, xp: Any, *, slope: Any) -> Any:
    """Rising ever more slowly, without a ceiling; steep at small doses."""
    return slope * xp.log1p(x)


@curve(
    "e1 · (exp(x / exp(log_growth_dose)) − 1)",
    inverse=lambda effect, e1, log_growth_dose: np.exp(log_growth_dose) * np.log1p(effect / e1),
)
def exponential(x: Any, xp: Any, *, e1: Any, log_growth_dose: Any) -> Any:
    """Rising ever faster: an effect that only large doses show."""
    return e1 * xp.expm1(xp.minimum(x * xp.exp(-log_growth_dose), LARGEST_EXPONENT))


def _smaller_root(effect: Any, slope: Any, curvature: Any) -> Any:
    """The first dose of a parabola, by the form that does not cancel."""
    half = -0.5 * (slope + np.copysign(np.sqrt(slope**2 + 4 * curvature * effect), slope))
    roots = [half / curvature, -effect / half]
    positive = [root.where(root >= 0, np.inf) for root in (r + 0.0 * effect for r in roots)]
    return np.minimum(*positive)


@curve("slope · x + curvature · x^2", inverse=_smaller_root)
def quadratic(x: Any, xp: Any, *, slope: Any, curvature: Any) -> Any:
    """An umbrella: past its best dose the effect falls again."""
    return slope * x + curvature * x * x


@curve(
    "slope · x^p, p = exp(log_power)",
    inverse=lambda effect, slope, log_power: (effect / slope) ** np.exp(-log_power),
)
def power(x: Any, xp: Any, *, slope: Any, log_power: Any) -> Any:
    """In proportion to a power of dose: rising ever more slowly below 1, ever faster above."""
    return slope * xp.exp(xp.minimum(xp.exp(log_power) * xp.log(x), LARGEST_EXPONENT))


@curve(
    "emax · x / (x + exp(log_ed50))",
    inverse=lambda effect, emax, log_ed50: np.exp(log_ed50) * effect / (emax - effect),
)
def emax(x: Any, xp: Any, *, emax: Any, log_ed50: Any) -> Any:
    """Saturating at emax, half of it at the ED50: one binding site, one effect."""
    return emax * x / (x + xp.exp(log_ed50))


@curve(
    "emax · x^h / (x^h + exp(log_ed50)^h), h = exp(log_hill)",
    inverse=lambda effect, emax, log_ed50, log_hill: np.exp(
        log_ed50 + np.log(effect / (emax - effect)) * np.exp(-log_hill)
    ),
)
def sigmoid_emax(x: Any, xp: Any, *, emax: Any, log_ed50: Any, log_hill: Any) -> Any:
    """Emax with a steepness: a threshold where the Hill coefficient is above 1."""
    # x^h / (x^h + ed50^h) as a tanh: written as 1 / (1 + exp(...)), a steep curve far below its
    # threshold overflows, and its gradient is then inf / inf.
    return 0.5 * emax * (1.0 + xp.tanh(0.5 * xp.exp(log_hill) * (xp.log(x) - log_ed50)))


def _logistic_inverse(effect: Any, emax: Any, log_ed50: Any, log_dose_scale: Any) -> Any:
    scale = np.exp(log_dose_scale)
    start = 1.0 / (1.0 + np.exp(np.exp(log_ed50) / scale))
    share = effect / emax + start
    return np.exp(log_ed50) + scale * (np.log(share) - np.log1p(-share))


@curve(
    "emax · (logit⁻¹((x − ed50) / s) − logit⁻¹(−ed50 / s)),"
    " ed50 = exp(log_ed50), s = exp(log_dose_scale)",
    inverse=_logistic_inverse,
)
def logistic(x: Any, xp: Any, *, emax: Any, log_ed50: Any, log_dose_scale: Any) -> Any:
    """A sigmoid in dose itself, not in its logarithm: symmetric about its ED50."""
    # The logistic curve is not 0 at dose 0: its value there is taken off, as effects are relative.
    half = 0.5 * xp.exp(-log_dose_scale)
    ed50 = xp.exp(log_ed50)
    return 0.5 * emax * (xp.tanh(half * (x - ed50)) + xp.tanh(half * ed50))


def _itp_inverse(effect: Any, top_dose: float, top: Any, log_rate: Any) -> Any:
    rate = np.exp(log_rate)
    return -np.log1p(effect / top * np.expm1(-rate * top_dose)) / rate


@curve(
    "top · (1 − exp(−r · x)) / (1 − exp(−r · D)), r = exp(log_rate)",
    example={"top_dose": 2},
    symbols="D = {top_dose}, the dose at which the effect is top",
    inverse=_itp_inverse,
)
def integrated_two_parameter(x: Any, xp: Any, top_dose: float, *, top: Any, log_rate: Any) -> Any:
    """Saturating, told by its effect at the top dose: near a straight line at a small rate."""
    rate = xp.exp(log_rate)
    return top * xp.expm1(-rate * x) / xp.expm1(-rate * top_dose)
