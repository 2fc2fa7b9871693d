"""Units of doses in users' tables: which are known, and which convert exactly.

A unit is a product of an amount and what it is divided by, such as mg/kg, ug_per_kg_per_h or
mL/day. Amounts of one kind convert by a factor; mg and mg/kg differ by a body weight, and do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_PIECES = (
    *("cup", "drink", "glass", "serving", "portion", "tablet", "capsule", "puff", "session"),
    *("drop", "patch", "sachet", "cigarette", "injection"),
)
#: Names of units by their dimension, with the factor to the first unit of the dimension.
_AMOUNTS: dict[str, tuple[str, float]] = {
    name: (dimension, factor)
    for dimension, units in {
        "mass": {
            "mg milligram milligrams mgs": 1.0,
            "ug mcg µg μg microg microgram micrograms": 1e-3,
            "ng nanogram nanograms": 1e-6,
            "g gram grams gm": 1e3,
            "kg kilogram kilograms": 1e6,
        },
        "substance": {"mmol": 1.0, "umol µmol μmol": 1e-3, "nmol": 1e-6, "mol": 1e3},
        "activity": {"iu u unit units": 1.0, "miu mu": 1e-3, "kiu ku": 1e3},
        "volume": {"ml cc": 1.0, "l litre litres liter liters": 1e3, "ul µl μl": 1e-3},
        "radiation": {"gy": 1.0, "mgy": 1e-3, "cgy": 1e-2},
        "energy": {"j": 1.0, "kj": 1e3, "kcal": 4184.0, "mj": 1e-3},
        "share": {"%": 1.0, "percent": 1.0},
        **{word: {f"{word} {word}s {word}es": 1.0} for word in _PIECES},
        **{unit: {unit: 1.0} for unit in ("mac", "ppm", "ma", "hz", "mmhg", "met")},
    }.items()
    for names, factor in units.items()
    for name in names.split()
}
_DIVISORS: dict[str, tuple[str, float]] = {
    name: (dimension, factor)
    for dimension, units in {
        "body weight": {"kg bw": 1.0},
        "body surface": {"m2 m² sqm": 1.0},
        "volume": {"ml": 1.0, "l litre liter": 1e3, "dl": 1e2},
        "time": {
            "h hr hour hours": 1.0,
            "min minute minutes": 1 / 60,
            "s sec second": 1 / 3600,
            "d day days": 24.0,
            "wk week weeks": 168.0,
        },
        "dose": {"dose": 1.0, "pca": 1.0, "infusion": 1.0, "bolus": 1.0},
        "target": {"target": 1.0},
    }.items()
    for names, factor in units.items()
    for name in names.split()
}
_WORDS = {"daily": "/day", "weekly": "/week", "hourly": "/h", "a day": "/day", "a week": "/week"}
MAX_UNIT_LENGTH = 40


@dataclass(frozen=True, slots=True)
class DoseUnit:
    """What a unit measures, and its factor to the first unit of that kind."""

    dimension: tuple[str, ...]
    factor: float


@cache
def parse_dose_unit(text: str) -> DoseUnit | None:
    """Parse a unit of doses; None for an unknown one."""
    if len(text) > MAX_UNIT_LENGTH:
        return None
    plain = " ".join(text.strip().casefold().split())
    for word, divisor in _WORDS.items():
        plain = re.sub(rf"[ _]?\b{word}$", divisor, plain)
    plain = re.sub(r"[ _]per[ _]", "/", plain).replace("_in_", "/").replace("_target", "/target")
    amount, *divisors = re.split(r"\s*/\s*", plain.replace(" ", ""))
    if amount not in _AMOUNTS or any(divisor not in _DIVISORS for divisor in divisors):
        return None
    dimension, factor = _AMOUNTS[amount]
    names = []
    for divisor in divisors:
        name, size = _DIVISORS[divisor]
        names.append(name)
        factor /= size
    return DoseUnit((dimension, *sorted(names)), factor)
