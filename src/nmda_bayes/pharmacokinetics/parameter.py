"""A parameter of a published model: its number, its unit, and what is not known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Of = Literal["people", "typical", "both"]

#: The kinds of unit of a parameter, and the power of body weight's rule that each follows.
UNITS = ("L", "L/kg", "L/h", "L/h/kg", "1/h", "h", "mg/L")
VOLUME, CLEARANCE = ("L", "L/kg"), ("L/h", "L/h/kg")
#: Hours in which half of the difference between blood and effect site is gone: ln 2 / ke0.
SITE_HALF_LIFE = "effect_site_half_life"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a model.

    Attributes
    ----------
    value
        In `unit`; the value of a typical person.
    unit
        One of `UNITS`, or 1 for a share.
    body_kg
        Weight of the body that it is for; NaN where the source names none.
    cv
        Spread between people, as a share of the value; NaN where not known.
    se
        Standard error, as a share of the value; NaN where not known.
    """

    value: float
    unit: str
    body_kg: float = math.nan
    cv: float = math.nan
    se: float = math.nan


def log_sd(parameter: Parameter, of: Of) -> float:
    """Give the spread of a parameter's logarithm.

    Parameters
    ----------
    parameter
        One of a model.
    of
        As for `draw_parameters`.

    Returns
    -------
    float
        The SD of the log-normal whose coefficient of variation is published; 0 where none is.
    """
    spreads = {"people": (parameter.cv,), "typical": (parameter.se,)}.get(
        of, (parameter.cv, parameter.se)
    )
    return math.sqrt(sum(math.log1p(s**2) for s in spreads if not math.isnan(s)))
