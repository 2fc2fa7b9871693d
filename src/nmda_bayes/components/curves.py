"""Dose-response curves: the effect of an exposure x > 0, relative to x = 0.

A formula is written once, in arithmetic and the functions of a namespace `xp`: the graph evaluates
it with `pytensor.xtensor.math`, estimands and figures with `numpy` on xarray draws. To add a curve,
write its formula under one `@curve` line.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nmda_bayes.components import keyword_parameters, summary_line
from nmda_bayes.components.prior_guidance import PriorSuggestion, Rule, suggest_prior
from nmda_bayes.errors import suggest_match
from nmda_bayes.registry import Registry

# Options of curves and time courses: fixed settings such as knots, powers or a top dose.


@dataclass(frozen=True, slots=True)
class CurveOption:
    """A fixed setting; ``requirement`` describes its valid values."""

    name: str
    requirement: str
    is_valid: Callable[[Any], bool]
    is_dose: bool = False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_number, value))


def is_increasing(value: Any, low: float = -np.inf) -> bool:
    """Say whether a value is a list of increasing numbers from a lowest one on."""
    return (
        _is_numbers(value)
        and all(v >= low for v in value[:1])
        and all(a < b for a, b in zip(value, value[1:], strict=False))
    )


def _is_increasing_above_0(value: Any) -> bool:
    return is_increasing(value, np.nextafter(0, 1))


_ABOVE_0 = "increasing doses above 0"
CURVE_OPTIONS: dict[str, CurveOption] = {
    option.name: option
    for option in (
        CurveOption("knots", "increasing doses from 0 on", lambda v: is_increasing(v, 0), True),
        CurveOption("inner_knots", _ABOVE_0, _is_increasing_above_0, True),
        CurveOption("steps", _ABOVE_0, _is_increasing_above_0, True),
        CurveOption("top_dose", "a dose above 0", lambda v: _is_number(v) and v > 0, True),
        CurveOption("powers", "a list of numbers (0 is the logarithm)", _is_numbers),
        CurveOption("origin", "a dose of 0 or more", lambda v: _is_number(v) and v >= 0),
        CurveOption(
            "degree", "an integer from 1 to 4", lambda v: _is_number(v) and v in range(1, 5)
        ),
        CurveOption(
            "basis_functions",
            "an integer from 2 to 100",
            lambda v: _is_number(v) and v in range(2, 101),
        ),
        CurveOption("boundary", "a number of 1.2 or more", lambda v: _is_number(v) and v >= 1.2),
    )
}


def option_issues(
    kind: str,
    name: str,
    defaults: Mapping[str, Any],
    example: Mapping[str, Any],
    options: Mapping[str, Any],
    known: Mapping[str, CurveOption] = CURVE_OPTIONS,
) -> Iterator[tuple[str, str, str]]:
    """Find unknown, missing and invalid options of a part: option, message and hint of each.

    ``defaults`` holds every option of the part, `inspect.Parameter.empty` where it is required.
    """
    for option in options:
        if option not in defaults:
            hint = suggest_match(option, tuple(defaults)) if defaults else "Remove it."
            yield option, f"{kind} '{name}' has no option '{option}'", hint
    hint = f"For instance {kind}_options = {options_toml(example)}."
    for option, default in defaults.items():
        value = options.get(option, default)
        if value is inspect.Parameter.empty:
            yield option, f"{kind} '{name}' needs {option}: {known[option].requirement}", hint
        elif not known[option].is_valid(value):
            yield option, f"{option} = {value} is not {known[option].requirement}", hint


def dose_notes(options: Mapping[str, Any], doses: Sequence[float]) -> Iterator[str]:
    """Describe doses among the options that lie outside the doses of the trials."""
    low, high = min(doses), max(doses)
    slack = 1 + 1e-6
    for name, value in options.items():
        if name not in CURVE_OPTIONS or not CURVE_OPTIONS[name].is_dose:
            continue
        for dose in value if isinstance(value, list | tuple) else (value,):
            if dose > high * slack:
                yield f"{name}: {dose:g} is above the highest tested dose ({high:g})"
            elif 0 < dose * slack < low:
                yield f"{name}: {dose:g} is below the lowest tested dose ({low:g})"
        if name == "top_dose" and value * slack < high:
            yield f"top_dose: {value:g} is below the highest tested dose ({high:g})"
        if name == "steps" and value and value[0] > low * slack:
            yield f"steps: tested doses from {low:g} to {value[0]:g} are assumed to have no effect"


def option_text(value: Any) -> str:
    """Write an option's value for a reader."""
    values = value if isinstance(value, list | tuple) else (value,)
    return ", ".join(f"{v:g}" for v in values) or "none"


def options_toml(options: Mapping[str, Any]) -> str:
    """Write options as an inline table of a spec."""
    pairs = (
        f"{name} = [{option_text(v)}]" if isinstance(v, list | tuple) else f"{name} = {v:g}"
        for name, v in options.items()
    )
    return f"{{ {', '.join(pairs)} }}"


LOG_PREFIX = "log_"


@dataclass(frozen=True, slots=True)
class Curve:
    """A dose-response curve.

    ``defaults`` holds the options, `inspect.Parameter.empty` where one is required;
    ``indexed_parameter`` stands for as many numbered parameters as ``n_indexed`` of the options
    says.
    """

    name: str
    parameters: tuple[str, ...]
    formula: Callable[..., Any]
    text: str
    about: str
    needs_dose: bool = True
    indexed_parameter: str = ""
    n_indexed: Callable[..., int] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)
    option_conflict: Callable[..., str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    symbols: str = ""
    inverse: Callable[..., Any] | None = None
    guidance: Mapping[str, Rule] = field(default_factory=dict)

    def option_issues(self, options: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Find unknown, missing, invalid and conflicting options: option, message, hint."""
        issues = list(option_issues("curve", self.name, self.defaults, self.example, options))
        yield from issues
        valid = not any(name in self.defaults for name, _, _ in issues)
        if valid and self.option_conflict is not None:
            conflict = self.option_conflict(**self._complete(options))
            if conflict:
                yield next(iter(self.defaults)), conflict, "Correct the options."

    def with_options(self, options: Mapping[str, Any]) -> Curve:
        """Set the options, which determine the numbered parameters."""
        issues = [message for _, message, _ in self.option_issues(options)]
        if issues:
            raise ValueError("; ".join(issues))
        options = self._complete(options)
        parameters = self.parameters
        if self.n_indexed is not None:
            numbered = (
                f"{self.indexed_parameter}_{i + 1}" for i in range(self.n_indexed(**options))
            )
            scalars = (p for p in self.parameters if p != self.indexed_parameter)
            parameters = (*scalars, *numbered)
        texts = {name: option_text(value) for name, value in options.items()}
        symbols = self.symbols.format(**texts)
        return replace(self, parameters=parameters, options=options, symbols=symbols)

    def response(self, exposure: Any, parameters: Mapping[str, Any], xp: Any) -> Any:
        """Evaluate the curve, zero where the exposure is zero.

        Formulas never see x = 0, so that ``x ** hill`` and ``log(x)`` have finite gradients.
        """
        active = (exposure > 0) * 1.0
        positive = exposure + (1.0 - active)
        return active * self.formula(positive, xp, **self._arguments(parameters))

    def dose_for(self, effect: Any, parameters: Mapping[str, Any]) -> Any:
        """Find the dose of an effect by the closed-form inverse; NaN where no dose has it."""
        if self.inverse is None:
            raise ValueError(f"the curve '{self.name}' has no inverse in closed form")
        with np.errstate(all="ignore"):
            dose = self.inverse(effect, **self._arguments(parameters))
            return (dose + 0.0 * effect).where(np.isfinite(dose) & (dose >= 0))

    def prior_suggestions(self, doses: Sequence[float] = ()) -> dict[str, PriorSuggestion]:
        """Suggest priors of the parameters by the tested doses."""
        return {name: suggest_prior(self, name, doses) for name in self.parameters}

    def option_notes(self, doses: Sequence[float]) -> tuple[str, ...]:
        """Describe doses among the options that lie outside the tested doses."""
        return tuple(dose_notes(self.options, doses)) if len(doses) else ()

    def _complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: options.get(name, default) for name, default in self.defaults.items()}

    def _arguments(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        arguments = dict(self.options)
        if self.indexed_parameter:
            arguments[self.indexed_parameter] = ()
        for name in self.parameters:
            stem, _, number = name.rpartition("_")
            if number.isdigit() and stem == self.indexed_parameter:
                arguments[stem] = (*arguments[stem], parameters[name])
            else:
                arguments[name] = parameters[name]
        return arguments


def _build(
    formula: Callable[..., Any],
    /,
    text: str,
    *,
    example: Mapping[str, Any] | None = None,
    guidance: Mapping[str, Rule] | None = None,
    **fields: Any,
) -> Curve:
    """A curve named after its formula; ``fields`` are the other fields of `Curve`.

    Arguments after ``x, xp`` are its options and those after ``*`` its parameters, on the
    unconstrained scale: a positive quantity is its logarithm, called ``log_...``.
    """
    arguments = list(inspect.signature(formula).parameters.values())[2:]
    return Curve(
        name=formula.__name__,
        parameters=keyword_parameters(formula),
        formula=formula,
        text=text,
        about=summary_line(formula),
        defaults={a.name: a.default for a in arguments if a.kind is not a.KEYWORD_ONLY},
        example=example or {},
        guidance=guidance or {},
        **fields,
    )


CURVES = Registry("curve", _build)
curve = CURVES.entry

# Curves with one to three parameters.

#: e^710 overflows a double, and its gradient is then NaN.
MAX_EXPONENT = 600.0


@curve("effect", needs_dose=False)
def constant(x: Any, xp: Any, *, effect: Any) -> Any:
    """The same effect at any dose: the classic random-effects meta-analysis."""
    return effect


@curve("slope · x", inverse=lambda effect, slope: effect / slope)
def linear(x: Any, xp: Any, *, slope: Any) -> Any:
    """Proportional to dose, without a maximum."""
    return slope * x


@curve("slope · log(1 + x)", inverse=lambda effect, slope: np.expm1(effect / slope))
def log_linear(x: Any, xp: Any, *, slope: Any) -> Any:
    """Increasing ever more slowly, without a maximum; steep at small doses."""
    return slope * xp.log1p(x)


@curve(
    "e1 · (exp(x / exp(log_growth_dose)) − 1)",
    inverse=lambda effect, e1, log_growth_dose: np.exp(log_growth_dose) * np.log1p(effect / e1),
)
def exponential(x: Any, xp: Any, *, e1: Any, log_growth_dose: Any) -> Any:
    """Increasing ever faster: an effect of large doses only."""
    return e1 * xp.expm1(xp.minimum(x * xp.exp(-log_growth_dose), MAX_EXPONENT))


def _smaller_root(effect: Any, slope: Any, curvature: Any) -> Any:
    """The smaller non-negative root, in the form without cancellation."""
    half = -0.5 * (slope + np.copysign(np.sqrt(slope**2 + 4 * curvature * effect), slope))
    roots = [half / curvature, -effect / half]
    positive = [root.where(root >= 0, np.inf) for root in (r + 0.0 * effect for r in roots)]
    return np.minimum(*positive)


@curve("slope · x + curvature · x^2", inverse=_smaller_root)
def quadratic(x: Any, xp: Any, *, slope: Any, curvature: Any) -> Any:
    """Umbrella-shaped: beyond the best dose the effect decreases again."""
    return slope * x + curvature * x * x


@curve(
    "slope · x^p, p = exp(log_power)",
    inverse=lambda effect, slope, log_power: (effect / slope) ** np.exp(-log_power),
)
def power(x: Any, xp: Any, *, slope: Any, log_power: Any) -> Any:
    """Proportional to a power of dose: concave for powers below 1, convex above."""
    return slope * xp.exp(xp.minimum(xp.exp(log_power) * xp.log(x), MAX_EXPONENT))


@curve(
    "emax · x / (x + exp(log_ed50))",
    inverse=lambda effect, emax, log_ed50: np.exp(log_ed50) * effect / (emax - effect),
)
def emax(x: Any, xp: Any, *, emax: Any, log_ed50: Any) -> Any:
    """Saturating at emax, with half of it at the ED50 (one binding site)."""
    return emax * x / (x + xp.exp(log_ed50))


@curve(
    "emax · x^h / (x^h + exp(log_ed50)^h), h = exp(log_hill)",
    inverse=lambda effect, emax, log_ed50, log_hill: np.exp(
        log_ed50 + np.log(effect / (emax - effect)) * np.exp(-log_hill)
    ),
)
def sigmoid_emax(x: Any, xp: Any, *, emax: Any, log_ed50: Any, log_hill: Any) -> Any:
    """Emax with a slope: like a threshold where the Hill coefficient is above 1."""
    # x^h / (x^h + ed50^h) as a tanh: 1 / (1 + exp(...)) overflows far below a steep threshold.
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
    # Effects are relative to dose 0, where the logistic curve is not 0.
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
    """Saturating, with the effect at the top dose as parameter; linear at a small rate."""
    rate = xp.exp(log_rate)
    return top * xp.expm1(-rate * x) / xp.expm1(-rate * top_dose)


# Flexible curves: sums of basis functions, with a parameter for each.


def _weighted(weights: Sequence[Any], basis: Sequence[Any]) -> Any:
    return sum(weight * part for weight, part in zip(weights, basis, strict=True))


def _shares(log_weight: Sequence[Any], xp: Any) -> list[Any]:
    """Shares that sum to 1, from their log ratios to the first."""
    largest: Any = 0.0
    for log_ratio in log_weight:
        largest = xp.maximum(log_ratio, largest)
    weights = [xp.exp(log_ratio - largest) for log_ratio in (0.0, *log_weight)]
    total = sum(weights)
    return [weight / total for weight in weights]


@curve(
    "Σ coefficient_j · (P_j(x + d) − P_j(d))",
    indexed_parameter="coefficient",
    n_indexed=lambda powers, origin: len(powers),
    example={"powers": (0.5, 1), "origin": 0},
    option_conflict=lambda powers, origin: (
        "" if powers else "powers is empty: a fractional polynomial needs at least one"
    ),
    symbols="P_j(x) = x^p_j with p = {powers}; 0 is log(x), and a repeated power takes log(x) once"
    " more; d = {origin}. With d = 0 the powers up to 0 have no P_j(d): the curve jumps at dose 0",
)
def fractional_polynomial(
    x: Any, xp: Any, powers: Sequence[float], origin: float, *, coefficient: Any
) -> Any:
    """Fractional polynomial with fixed powers of dose (Royston and Altman 1994)."""
    return _weighted(coefficient, fractional_polynomial_basis(x, xp, powers, origin))


@curve(
    "Σ coefficient_j · C_j(x)",
    indexed_parameter="coefficient",
    n_indexed=lambda knots: len(knots) - 1,
    example={"knots": (0.25, 1, 4)},
    option_conflict=lambda knots: (
        "" if len(knots) >= 3 else "a restricted cubic spline needs at least 3 knots"
    ),
    symbols="C_1(x) = x; C_2 and on: Harrell's restricted cubic splines with knots {knots},"
    " straight lines beyond the first and the last",
)
def restricted_cubic_spline(x: Any, xp: Any, knots: Sequence[float], *, coefficient: Any) -> Any:
    """Restricted cubic spline: smooth, not monotone, linear beyond the outer knots."""
    return _weighted(coefficient, restricted_cubic_spline_basis(x, xp, knots))


def _knots_below_the_top(inner_knots: Sequence[float], top_dose: float, degree: int) -> str:
    below = not inner_knots or inner_knots[-1] < top_dose
    if not below:
        return f"the inner knot {inner_knots[-1]:g} is not below top_dose = {top_dose:g}"
    if len(inner_knots) + degree < 2:
        return "a single basis function has a fixed shape: add an inner knot or a degree"
    return ""


@curve(
    "top · Σ w_j · I_j(x) / Σ w_j, w_1 = 1, w_(j+1) = exp(log_weight_j)",
    indexed_parameter="log_weight",
    n_indexed=lambda inner_knots, top_dose, degree: len(inner_knots) + int(degree) - 1,
    example={"inner_knots": (1,), "top_dose": 4, "degree": 2},
    option_conflict=_knots_below_the_top,
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
    """Smooth and monotone, increasing or decreasing (Ramsay 1988)."""
    basis = i_spline_basis(x, xp, inner_knots, top_dose, int(degree))
    return top * _weighted(_shares(log_weight, xp), basis)


@curve(
    "top · Σ w_j · (x ≥ s_j) / Σ w_j, w_1 = 1, w_(j+1) = exp(log_weight_j)",
    indexed_parameter="log_weight",
    n_indexed=lambda steps: len(steps) - 1,
    example={"steps": (0.25, 1, 4)},
    option_conflict=lambda steps: (
        "" if len(steps) >= 2 else "steps needs at least 2 doses: with one, use 'constant'"
    ),
    symbols="s = {steps}, the doses at which the effect changes; it is constant between them",
)
def monotone_steps(x: Any, xp: Any, steps: Sequence[float], *, top: Any, log_weight: Any) -> Any:
    """Monotone steps, with a level for each tested dose."""
    # Tolerance: a relative dose of 10 / 30 reaches a step written as 0.333333.
    basis = [(x * (1 + 1e-6) >= step) * 1.0 for step in steps]
    return top * _weighted(_shares(log_weight, xp), basis)


@curve(
    "Σ weight_j · √S_j · (φ_j(x) − φ_j(0)), log S_j from log_amplitude and log_length",
    indexed_parameter="weight",
    n_indexed=lambda top_dose, basis_functions, boundary: int(basis_functions),
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
    """Gaussian process in the Hilbert-space approximation; its weights are standard normal."""
    basis = hsgp_basis(x, xp, top_dose, int(basis_functions), boundary, log_amplitude, log_length)
    return _weighted(weight, basis)


# Basis functions of the flexible curves, each 0 at dose 0.


def fractional_polynomial_basis(
    x: Any, xp: Any, powers: Sequence[float], origin: float
) -> list[Any]:
    """Terms of a fractional polynomial (Royston and Altman 1994)."""
    terms = []
    log_x = xp.log(x + origin)
    for i, power in enumerate(powers):
        logs = list(powers[:i]).count(power) + (power == 0)
        start = 0.0 if origin == 0 else origin**power * math.log(origin) ** logs
        term = xp.exp(power * log_x) if power != 0 else 1.0
        for _ in range(logs):
            term = term * log_x
        terms.append(term - start)
    return terms


def restricted_cubic_spline_basis(x: Any, xp: Any, knots: Sequence[float]) -> list[Any]:
    """Harrell's restricted cubic splines, divided by the squared range of the knots.

    Harrell FE (2015). Regression Modeling Strategies, 2nd ed., section 2.4.5.
    """

    def cube(knot: float) -> Any:
        above = xp.maximum(x - knot, 0.0)
        return above * above * above

    last, before = knots[-1], knots[-2]
    norm, gap = (last - knots[0]) ** 2, last - before
    return [x] + [
        (cube(t) - cube(before) * ((last - t) / gap) + cube(last) * ((before - t) / gap)) / norm
        for t in knots[:-2]
    ]


def i_spline_basis(
    x: Any, xp: Any, inner_knots: Sequence[float], top_dose: float, degree: int
) -> list[Any]:
    """Ramsay's I-splines between 0 and a top dose; 1 beyond it.

    Ramsay JO (1988). Monotone regression splines in action. Statistical Science 3:425-441.
    """
    edge = degree + 1
    knots = [0.0] * edge + [float(k) for k in inner_knots] + [float(top_dose)] * edge
    pieces = _b_splines(xp.minimum(x, top_dose), knots, degree)
    # An I-spline is the sum of the B-splines of one higher order from its index on.
    sums, running = [], 0.0
    for piece in reversed(pieces[1:]):
        running = running + piece
        sums.append(running)
    return sums[::-1]


def _b_splines(x: Any, knots: Sequence[float], degree: int) -> list[Any]:
    """B-splines by de Boor's recursion; the last piece includes the last knot."""
    last = knots[-1]
    pieces: list[Any] = []
    for low, high in zip(knots, knots[1:], strict=False):
        # x never exceeds the last knot, so that the last piece needs no upper bound.
        below = 1.0 if high == last else (x < high) * 1.0
        pieces.append((x >= low) * below if low < high else 0.0)
    for d in range(1, degree + 1):
        rising = [
            (x - low) / (high - low) if high > low else 0.0
            for low, high in zip(knots, knots[d:], strict=False)
        ]
        pieces = [
            rising[i] * pieces[i] + (1.0 - rising[i + 1]) * pieces[i + 1]
            if knots[i + 1] < knots[i + d + 1]
            else rising[i] * pieces[i]
            for i in range(len(pieces) - 1)
        ]
    return pieces


def hsgp_basis(
    x: Any,
    xp: Any,
    top_dose: float,
    count: int,
    boundary: float,
    log_amplitude: Any,
    log_length: Any,
) -> list[Any]:
    """Hilbert-space basis of a Gaussian process, minus its value at dose 0.

    Doses are centred on half the top dose. The approximation holds up to the boundary, beyond which
    the curve is constant.

    Riutort-Mayol G, Bürkner PC, Andersen MR, Solin A, Vehtari A (2023). Practical Hilbert space
    approximate Bayesian Gaussian processes for probabilistic programming. Statistics and Computing
    33:17. Equations 3, 6 and 8.
    """
    half = top_dose / 2
    width = boundary * half
    centred = xp.minimum(x, half + width) - half
    length = xp.exp(log_length)
    basis = []
    for j in range(1, count + 1):
        frequency = j * math.pi / (2 * width)
        at_zero = math.sin(frequency * (width - half))
        wave = (xp.sin(frequency * (centred + width)) - at_zero) / math.sqrt(width)
        # √S = α (2π)^¼ √ℓ exp(−ℓ²ω²/4)
        log_root = log_amplitude + 0.5 * log_length - 0.25 * length * length * frequency**2
        basis.append((2 * math.pi) ** 0.25 * xp.exp(log_root) * wave)
    return basis
