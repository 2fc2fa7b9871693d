"""Advice on the priors of curves, tied to the doses that were tried. Advice is never a default.

The rules go by a parameter's name, so that a new curve that calls its quantities as the field does
is advised on without a line more.
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
    from nmda_bayes.components.curves.catalogue import Curve

#: Half the width of a normal distribution's central 95 %.
HALF_95 = 1.959964

LARGEST = "the largest effect that you would believe, on the scale of the linear predictor"


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice on one prior: normal, for every parameter is on the unconstrained scale.

    Attributes
    ----------
    why
        What it says, in words.
    mu
        Its mean; None where the doses that were tried are not known, or say nothing.
    sigma
        Its SD.
    unit
        ``A`` where sigma counts half of the largest effect that the reader would believe, ``log A``
        where its logarithm is the mean; empty where neither.
    """

    why: str
    mu: float | None = None
    sigma: float = 0.0
    unit: str = ""

    @property
    def prior(self) -> str:
        """The prior as a reader would write it; empty where there are no numbers."""
        if self.mu is None:
            return ""
        mu = "log(A)" if self.unit == "log A" else f"{self.mu:.3g}"
        sigma = f"{self.sigma:.3g}" + (" A" if self.unit == "A" else "")
        sigma = sigma.removeprefix("1 ")
        return f"Normal(mu={mu}, sigma={sigma})"

    def written(self, largest_effect: float) -> dict[str, Any]:
        """Write the advice as a spec would, for a reader who has made it theirs.

        Parameters
        ----------
        largest_effect
            The largest effect that the reader would believe.

        Returns
        -------
        dict[str, Any]
            A prior of a spec.

        Raises
        ------
        ValueError
            If there are no numbers.
        """
        if self.mu is None:
            raise ValueError(f"there are no numbers in this advice: {self.why}")
        half = largest_effect / 2
        mu = math.log(half) if self.unit == "log A" else self.mu
        sigma = self.sigma * half if self.unit == "A" else self.sigma
        return {"dist": "Normal", "kwargs": {"mu": mu, "sigma": sigma}, "why": self.why}

    def __str__(self) -> str:
        return f"{self.prior}: {self.why}" if self.prior else self.why


Doses = Sequence[float]


def _range(doses: Doses) -> tuple[float, float]:
    """Mean and SD of a log dose: 95 % between half the smallest and twice the largest tried."""
    low, high = math.log(min(doses) / 2), math.log(max(doses) * 2)
    return (low + high) / 2, (high - low) / (2 * HALF_95)


def _times_largest(doses: Doses, low: float, high: float) -> tuple[float, float]:
    """Mean and SD of a log dose: 95 % between two multiples of the largest tried."""
    largest = math.log(max(doses))
    return (
        largest + 0.5 * math.log(low * high),
        math.log(high / low) / (2 * HALF_95),
    )


def _rate(doses: Doses) -> tuple[float, float]:
    middle, sd = _range(doses)
    return math.log(math.log(2)) - middle, sd


#: By name of the parameter: mean and SD of a normal prior from the doses, and what it says.
RULES: dict[str, tuple[Callable[[Doses], tuple[float, float]], str]] = {
    "log_ed50": (
        _range,
        "95 % between half the smallest and twice the largest dose tried; far beyond them an"
        " Emax curve is a straight line and its two parameters cannot be told apart",
    ),
    "log_dose_scale": (
        lambda doses: _times_largest(doses, 0.01, 0.5),
        "95 % between a hundredth and half of the largest dose tried (the bounds of DoseFinding):"
        " below it the rise is a jump, above it a straight line",
    ),
    "log_growth_dose": (
        lambda doses: _times_largest(doses, 0.1, 2),
        "95 % between a tenth and twice the largest dose tried (the bounds of DoseFinding): below"
        " it the whole effect is at the last dose, above it the curve is a straight line",
    ),
    "log_rate": (
        _rate,
        "the dose of half the effect, log(2) / rate, with 95 % between half the smallest and twice"
        " the largest dose tried",
    ),
    "log_hill": (
        lambda doses: (0.0, 0.5),
        "a Hill coefficient of 0.4 to 2.7 with 95 %; steeper takes several doses within the rise",
    ),
    "log_power": (lambda doses: (0.0, 0.5), "a power of 0.4 to 2.7 with 95 %, 1 the middle"),
    "log_weight": (
        lambda doses: (0.0, 1.0),
        "each share of the whole within a factor of 7 of the first with 95 %",
    ),
    "weight": (
        lambda doses: (0.0, 1.0),
        "by definition: the process's size is in its amplitude; another prior is another process",
    ),
    "log_length": (
        lambda doses: (math.log(max(doses) / 2), 0.5),
        "half the range of doses, within a factor of 2.7 with 95 %; shorter than the gaps between"
        " doses cannot be seen, longer is a straight line",
    ),
}
#: Parameters that are themselves an effect at some dose.
EFFECTS = ("effect", "emax", "top")


def advise(curve: Curve, name: str, doses: Doses) -> Advice:
    """Advise on the prior of one parameter of a curve.

    Parameters
    ----------
    curve
        The curve, its options given.
    name
        One of its parameters.
    doses
        The exposures above 0 that were tried; empty where they are not known.

    Returns
    -------
    Advice
        Words, and numbers where the doses are known.
    """
    base = re.sub(r"_\d+$", "", name)
    if base in RULES:
        numbers, why = RULES[base]
        return Advice(why, *numbers(doses)) if len(doses) else Advice(why)
    if name in EFFECTS:
        return Advice(f"A = half of {LARGEST}", 0.0, 1.0, "A")
    if name == "log_amplitude":
        return Advice(f"A = half of {LARGEST}", 0.0, 0.5, "log A")
    if name.startswith("log_"):
        return Advice("the logarithm of a positive quantity: think of its range, take logs")
    why = f"its share of the effect at the largest dose tried within A, half of {LARGEST}"
    unit = _at_the_largest(curve, name, doses) if len(doses) else 0.0
    if not (math.isfinite(unit) and unit > 0):
        return Advice(why)
    return Advice(why, 0.0, 1 / unit, "A")


def _at_the_largest(curve: Curve, name: str, doses: Doses) -> float:
    """The effect at the largest dose of one unit of a coefficient, the other coefficients 0."""
    middles = {other: RULES[other][0](doses)[0] for other in curve.parameters if other in RULES}
    values: dict[str, Any] = {
        other: xr.DataArray(1.0 if other == name else middles.get(other, 0.0))
        for other in curve.parameters
    }
    return abs(float(curve.response(xr.DataArray(float(max(doses))), values, np)))
