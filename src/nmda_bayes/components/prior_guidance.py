"""Suggested priors of curve parameters, based on the tested doses; never used as defaults.

Rules go by the parameter's name, so that a new curve with conventional names gets suggestions; a
curve may have its own rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from nmda_bayes.components.curves import Curve

#: The 97.5% quantile of the standard normal distribution.
Z_975 = 1.959964

LARGEST_EFFECT_TEXT = "the largest plausible effect, on the scale of the linear predictor"


@dataclass(frozen=True, slots=True)
class PriorSuggestion:
    """A suggested normal prior of a parameter on the unconstrained scale.

    ``unit`` is "A" where ``sigma`` is in units of A, half of the largest plausible effect, and
    "log A" where ``mu`` is its logarithm.
    """

    why: str
    mu: float | None = None
    sigma: float = 0.0
    unit: str = ""

    @property
    def prior(self) -> str:
        """The prior as text; empty where there are no numbers."""
        if self.mu is None:
            return ""
        mu = "log(A)" if self.unit == "log A" else f"{self.mu:.3g}"
        sigma = f"{self.sigma:.3g}" + (" A" if self.unit == "A" else "")
        sigma = sigma.removeprefix("1 ")
        return f"Normal(mu={mu}, sigma={sigma})"

    def as_spec(self, largest_effect: float) -> dict[str, Any]:
        """The prior as a spec writes it, given the largest plausible effect."""
        if self.mu is None:
            raise ValueError(f"this suggestion has no numbers: {self.why}")
        half = largest_effect / 2
        mu = math.log(half) if self.unit == "log A" else self.mu
        sigma = self.sigma * half if self.unit == "A" else self.sigma
        return {"dist": "Normal", "kwargs": {"mu": mu, "sigma": sigma}, "why": self.why}

    def __str__(self) -> str:
        return f"{self.prior}: {self.why}" if self.prior else self.why


Doses = Sequence[float]
#: Mean and SD of a normal prior from the doses, and its reason.
Rule = tuple[Callable[[Doses], tuple[float, float]], str]


def _range(doses: Doses) -> tuple[float, float]:
    """Mean and SD of a log dose: 95% from half the lowest to twice the highest tested dose."""
    low, high = math.log(min(doses) / 2), math.log(max(doses) * 2)
    return (low + high) / 2, (high - low) / (2 * Z_975)


def _times_largest(doses: Doses, low: float, high: float) -> tuple[float, float]:
    """Mean and SD of a log dose: 95% between two multiples of the highest tested dose."""
    mean = math.log(max(doses)) + 0.5 * math.log(low * high)
    return mean, math.log(high / low) / (2 * Z_975)


def _rate(doses: Doses) -> tuple[float, float]:
    mean, sd = _range(doses)
    return math.log(math.log(2)) - mean, sd


#: By name of the parameter, for every curve that has it.
GUIDANCE_RULES: dict[str, Rule] = {
    "log_ed50": (
        _range,
        "95% from half the lowest to twice the highest tested dose; far beyond them an Emax curve"
        " is linear and its two parameters are not identifiable",
    ),
    "log_dose_scale": (
        lambda doses: _times_largest(doses, 0.01, 0.5),
        "95% from 0.01 to 0.5 times the highest tested dose (the bounds of DoseFinding): the curve"
        " is a step below and a straight line above",
    ),
    "log_growth_dose": (
        lambda doses: _times_largest(doses, 0.1, 2),
        "95% from 0.1 to 2 times the highest tested dose (the bounds of DoseFinding): the whole"
        " effect is at the last dose below, and the curve is a straight line above",
    ),
    "log_rate": (
        _rate,
        "the dose of half the effect, log(2) / rate: 95% from half the lowest to twice the highest"
        " tested dose",
    ),
    "log_hill": (
        lambda doses: (0.0, 0.5),
        "95% of Hill coefficients from 0.4 to 2.7; steeper curves need several doses on the slope",
    ),
    "log_power": (lambda doses: (0.0, 0.5), "95% of powers from 0.4 to 2.7, median 1"),
    "log_weight": (
        lambda doses: (0.0, 1.0),
        "95% of the shares within a factor of 7 of the first",
    ),
    "weight": (
        lambda doses: (0.0, 1.0),
        "by definition: the scale of the process is in its amplitude",
    ),
    "log_length": (
        lambda doses: (math.log(max(doses) / 2), 0.5),
        "half the range of doses, 95% within a factor of 2.7; length-scales below the gaps between"
        " doses are not identifiable, and longer ones give a straight line",
    ),
}
#: Parameters that are themselves an effect at some dose.
EFFECT_PARAMETERS = ("effect", "emax", "top")


def suggest_prior(curve: Curve, name: str, doses: Doses) -> PriorSuggestion:
    """Suggest a prior of one parameter of a curve."""
    base, rules = re.sub(r"_\d+$", "", name), {**GUIDANCE_RULES, **curve.guidance}
    if base in rules:
        numbers, why = rules[base]
        return PriorSuggestion(why, *numbers(doses)) if len(doses) else PriorSuggestion(why)
    if name in EFFECT_PARAMETERS:
        return PriorSuggestion(f"A = half of {LARGEST_EFFECT_TEXT}", 0.0, 1.0, "A")
    if name == "log_amplitude":
        return PriorSuggestion(f"A = half of {LARGEST_EFFECT_TEXT}", 0.0, 0.5, "log A")
    if name.startswith("log_"):
        return PriorSuggestion("the log of a positive quantity: take logs of its plausible range")
    why = (
        f"its part of the effect at the highest tested dose within A, half of {LARGEST_EFFECT_TEXT}"
    )
    unit = _unit_effect(curve, name, doses) if len(doses) else 0.0
    if not (math.isfinite(unit) and unit > 0):
        return PriorSuggestion(why)
    return PriorSuggestion(why, 0.0, 1 / unit, "A")


def _unit_effect(curve: Curve, name: str, doses: Doses) -> float:
    """Effect at the highest dose of a coefficient of 1, with the other coefficients 0."""
    rules = {**GUIDANCE_RULES, **curve.guidance}
    means = {other: rules[other][0](doses)[0] for other in curve.parameters if other in rules}
    values: dict[str, Any] = {
        other: xr.DataArray(1.0 if other == name else means.get(other, 0.0))
        for other in curve.parameters
    }
    return abs(float(curve.response(xr.DataArray(float(max(doses))), values, np)))
