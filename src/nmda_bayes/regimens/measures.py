"""A number with its unit, as a report prints it.

The registry holds the units of a schedule and no other. In it ``kg`` is weight of the body and not
of the drug, so that mg/kg has a dimension of its own: pint then refuses to read mg/kg as mg, where
its full registry, for which mg/kg is a bare number, would not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from nmda_bayes.errors import Fault, InputError

if TYPE_CHECKING:
    import pint

_DEFINITIONS = (
    "milli- = 1e-3 = m-",
    "micro- = 1e-6 = µ- = μ- = u-",
    "nano- = 1e-9 = n-",
    "gram = [drug] = g",
    "mcg = 1e-6 * gram",
    "kg = [body_weight]",
    "liter = [volume] = L = l = litre",
    "hour = [time] = h",
    "minute = hour / 60 = min",
    "second = minute / 60 = s",
    "day = 24 * hour",
    "week = 7 * day",
)

#: The unit that each kind of measure is worked out in.
CANONICAL = ("mg", "mg/kg", "mg/h", "mg/kg/h", "ng/mL", "h")


@dataclass(frozen=True, slots=True)
class Measure:
    """A number with its unit.

    Attributes
    ----------
    value
        The number.
    unit
        Its unit, as it was written.
    """

    value: float
    unit: str

    def to(self, unit: str) -> float:
        """Give the number in another unit.

        Parameters
        ----------
        unit
            Of the same dimension.

        Returns
        -------
        float
            The number.

        Raises
        ------
        InputError
            If the two units measure different things, as mg and mg/kg do.
        """
        return self.value * _factor(self.unit, unit)

    def __str__(self) -> str:
        return f"{plain(self.value)} {self.unit}"


def plain(value: float) -> str:
    """Write a number without a needless ``.0``, so that it reads back as itself.

    Parameters
    ----------
    value
        Finite.

    Returns
    -------
    str
        ``20`` for 20.0, ``0.15`` for 0.15.
    """
    return repr(float(value)).removesuffix(".0")


@cache
def canonical(unit: str) -> str:
    """Say which of the canonical units a unit can be read in.

    Parameters
    ----------
    unit
        Such as ``ug/kg/min``.

    Returns
    -------
    str
        One of `CANONICAL`; empty where it is no unit of a schedule.
    """
    import pint.errors

    registry = _registry()
    try:
        dimension = registry.get_dimensionality(registry.parse_units(unit))
    except (pint.errors.UndefinedUnitError, pint.errors.DefinitionSyntaxError, ValueError):
        return ""
    same = (known for known in CANONICAL if registry.get_dimensionality(known) == dimension)
    return next(same, "")


@cache
def _registry() -> pint.UnitRegistry:
    # Imported here: it costs 0.2 s, which `nmda-bayes --help` should not pay.
    import pint

    registry: pint.UnitRegistry = pint.UnitRegistry(None)
    for definition in _DEFINITIONS:
        registry.define(definition)
    return registry


@cache
def _factor(unit: str, other: str) -> float:
    import pint.errors

    try:
        return float(_registry().Quantity(1.0, unit).to(other).magnitude)
    except (pint.errors.DimensionalityError, pint.errors.UndefinedUnitError) as wrong:
        raise InputError(
            [
                Fault(
                    f"{unit} cannot be read as {other}",
                    "mg/kg and mg differ by a body weight, a rate and an amount by a time.",
                )
            ]
        ) from wrong
