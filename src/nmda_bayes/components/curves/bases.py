"""Basis functions of the flexible curves, each 0 at dose 0, in the graph and on draws alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def power_basis(x: Any, xp: Any, powers: Sequence[float], origin: float) -> list[Any]:
    """Evaluate the terms of a fractional polynomial (Royston and Altman 1994).

    Parameters
    ----------
    x
        Doses above 0.
    xp
        Namespace of their functions.
    powers
        The powers; 0 is the logarithm, a repeated power takes another factor log(x).
    origin
        Added to every dose before the powers are taken; the value there is subtracted, so that
        dose 0 has effect 0. With 0, what is infinite at dose 0 stays, and the curve jumps there.

    Returns
    -------
    list[Any]
        One array a power.
    """
    terms = []
    seen: dict[float, int] = {}
    for power in powers:
        repeats = seen.get(power, 0)
        seen[power] = repeats + 1
        logs = repeats + (power == 0)
        log_x = xp.log(x + origin)
        start = 0.0 if origin == 0 else origin**power * math.log(origin) ** logs
        term = xp.exp(power * log_x) if power != 0 else 1.0
        for _ in range(logs):
            term = term * log_x
        terms.append(term - start)
    return terms


def restricted_cubic_basis(x: Any, xp: Any, knots: Sequence[float]) -> list[Any]:
    """Evaluate Harrell's restricted cubic splines, normed by the squared range of the knots.

    Parameters
    ----------
    x
        Doses above 0.
    xp
        Namespace of their functions.
    knots
        At least three, increasing.

    Returns
    -------
    list[Any]
        x itself, then one array for each knot but the last two.

    References
    ----------
    Harrell FE (2015). Regression Modeling Strategies, 2nd ed., section 2.4.5.
    """

    def cube(knot: float) -> Any:
        above = xp.maximum(x - knot, 0.0)
        return above * above * above

    last, before = knots[-1], knots[-2]
    norm = (last - knots[0]) ** 2
    gap = last - before
    return [x] + [
        (cube(t) - cube(before) * ((last - t) / gap) + cube(last) * ((before - t) / gap)) / norm
        for t in knots[:-2]
    ]


def integrated_splines(
    x: Any, xp: Any, inner_knots: Sequence[float], top_dose: float, degree: int
) -> list[Any]:
    """Evaluate Ramsay's I-splines between 0 and a top dose; 1 beyond it.

    Parameters
    ----------
    x
        Doses above 0.
    xp
        Namespace of their functions.
    inner_knots
        Increasing, between 0 and the top dose.
    top_dose
        Where every basis function has reached 1.
    degree
        Degree of the pieces: M-splines of order ``degree``, integrated.

    Returns
    -------
    list[Any]
        ``len(inner_knots) + degree`` arrays, each rising from 0 to 1.

    References
    ----------
    Ramsay JO (1988). Monotone regression splines in action. Statistical Science 3:425-441.
    """
    edge = degree + 1
    knots = [0.0] * edge + [float(k) for k in inner_knots] + [float(top_dose)] * edge
    inside = xp.minimum(x, top_dose)
    pieces = _b_splines(inside, knots, degree)
    # An I-spline is the sum of the B-splines of one order more from its own index on.
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
        if low == high:
            pieces.append(0.0)
        else:
            # x never exceeds the last knot, so that the last piece needs no upper bound.
            at_most = 1.0 if high == last else (x < high) * 1.0
            pieces.append((x >= low) * at_most)
    for d in range(1, degree + 1):
        rising = [_ramp(x, knots[i], knots[i + d]) for i in range(len(pieces))]
        pieces = [
            rising[i] * pieces[i] + (1.0 - rising[i + 1]) * pieces[i + 1]
            if knots[i + 1] < knots[i + d + 1]
            else rising[i] * pieces[i]
            for i in range(len(pieces) - 1)
        ]
    return pieces


def _ramp(x: Any, low: float, high: float) -> Any:
    return (x - low) / (high - low) if high > low else 0.0


def hilbert_basis(
    x: Any,
    xp: Any,
    top_dose: float,
    count: int,
    boundary: float,
    log_amplitude: Any,
    log_length: Any,
) -> list[Any]:
    """Evaluate the Hilbert-space basis of a Gaussian process, less its value at dose 0.

    Doses are centred on the middle of 0 to the top dose, as the approximation asks; it holds up to
    the boundary, beyond which the curve is held where it is.

    Parameters
    ----------
    x
        Doses above 0.
    xp
        Namespace of their functions.
    top_dose
        End of the doses that it describes.
    count
        Number of basis functions.
    boundary
        Half-width of the domain over half the range of doses (c in the paper).
    log_amplitude
        Logarithm of the process's standard deviation.
    log_length
        Logarithm of its length-scale, in doses.

    Returns
    -------
    list[Any]
        Basis functions, each times the square root of its spectral density.

    References
    ----------
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
