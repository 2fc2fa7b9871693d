"""Dose-response curves: the effect of an exposure x > 0, relative to x = 0.

A curve is a value: a name, the names of its parameters, one formula and its text. The formula is
written once, in arithmetic and the functions of a namespace `xp`, so that the curve in the graph
(`pytensor.xtensor.math`) is the curve in the report (`numpy`, on xarray draws).

A formula never sees x = 0: `Curve.response` gives placebo its zero, so ``x ** hill`` and ``log(x)``
need no guard and have finite gradients everywhere.

To add a curve, write its formula under one `@curve` line. Parameters are on the unconstrained
scale; a positive quantity is its logarithm and is called ``log_...``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LOG = "log_"


@dataclass(frozen=True, slots=True)
class Curve:
    """A dose-response curve.

    Attributes
    ----------
    name
        What a spec calls it.
    parameters
        The names of its parameters, in the order of the formula.
    formula
        ``formula(x, xp, **parameters)`` for x > 0.
    text
        The formula as a reader would write it.
    about
        One sentence on when it is the right curve.
    needs_dose
        False where any dose above 0 has the same effect, so that an arm may leave it out.
    """

    name: str
    parameters: tuple[str, ...]
    formula: Callable[..., Any]
    text: str
    about: str
    needs_dose: bool = True

    def response(self, exposure: Any, parameters: Mapping[str, Any], xp: Any) -> Any:
        """Evaluate the curve, zero where the exposure is zero.

        Parameters
        ----------
        exposure
            Labelled array of exposures >= 0, in the units of the spec's exposure.
        parameters
            Labelled arrays by parameter name; dims broadcast by name.
        xp
            Namespace with ``exp``, ``log``, ``log1p`` and ``tanh`` for these arrays.

        Returns
        -------
        Any
            Labelled array on the scale of the linear predictor.
        """
        active = (exposure > 0) * 1.0
        at_least_something = exposure + (1.0 - active)
        theta = {name: parameters[name] for name in self.parameters}
        return active * self.formula(at_least_something, xp, **theta)


CURVES: dict[str, Curve] = {}


def curve(text: str, *, needs_dose: bool = True) -> Callable[[Callable[..., Any]], Curve]:
    """Enter a formula in the catalogue under its function's name.

    Parameters
    ----------
    text
        The formula as a reader would write it.
    needs_dose
        False where any dose above 0 has the same effect.

    Returns
    -------
    Callable
        Decorator from the formula to the `Curve`.
    """

    def enter(formula: Callable[..., Any]) -> Curve:
        signature = inspect.signature(formula).parameters.values()
        names = tuple(p.name for p in signature if p.kind is p.KEYWORD_ONLY)
        about = (inspect.getdoc(formula) or "").splitlines()[0]
        made = Curve(formula.__name__, names, formula, text, about, needs_dose)
        CURVES[made.name] = made
        return made

    return enter


@curve("effect", needs_dose=False)
def constant(x: Any, xp: Any, *, effect: Any) -> Any:
    """The same effect at any dose: the classic random-effects meta-analysis."""
    return effect


@curve("slope · x")
def linear(x: Any, xp: Any, *, slope: Any) -> Any:
    """In proportion to dose, without a ceiling."""
    return slope * x


@curve("slope · log(1 + x)")
def log_linear(x: Any, xp: Any, *, slope: Any) -> Any:
    """Rising ever more slowly, without a ceiling; steep at small doses."""
    return slope * xp.log1p(x)


@curve("emax · x / (x + exp(log_ed50))")
def emax(x: Any, xp: Any, *, emax: Any, log_ed50: Any) -> Any:
    """Saturating at emax, half of it at the ED50: one binding site, one effect."""
    return emax * x / (x + xp.exp(log_ed50))


@curve("emax · x^h / (x^h + exp(log_ed50)^h), h = exp(log_hill)")
def sigmoid_emax(x: Any, xp: Any, *, emax: Any, log_ed50: Any, log_hill: Any) -> Any:
    """Emax with a steepness: a threshold where the Hill coefficient is above 1."""
    # x^h / (x^h + ed50^h) as a tanh: written as 1 / (1 + exp(...)), a steep curve far below its
    # threshold overflows, and its gradient is then inf / inf.
    return 0.5 * emax * (1.0 + xp.tanh(0.5 * xp.exp(log_hill) * (xp.log(x) - log_ed50)))
