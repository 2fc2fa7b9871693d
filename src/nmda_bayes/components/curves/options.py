"""What a curve may ask of the spec beside parameters: knots, powers, a top dose.

An option is known before any data are seen and has no prior; everything that is estimated is a
parameter. Doses among them are in the units of the outcome's exposure.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nmda_bayes.errors import nearest


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that a curve may ask for.

    Attributes
    ----------
    name
        Its key in ``curve_options``.
    wanted
        What a sound value is, in words.
    is_sound
        Says whether a value is one.
    is_dose
        True where its numbers are doses, to be held against those that were tried.
    """

    name: str
    wanted: str
    is_sound: Callable[[Any], bool]
    is_dose: bool = True


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and bool(np.isfinite(value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_is_number(v) for v in value)


def rises_from(low: float, *, touching: bool) -> Callable[[Any], bool]:
    """Make a check of numbers that rise from a lowest one.

    Parameters
    ----------
    low
        The lowest.
    touching
        Whether the first may be the lowest itself.

    Returns
    -------
    Callable
        From a value of a spec to whether it is such.
    """

    def check(value: Any) -> bool:
        if not _are_numbers(value):
            return False
        first = len(value) == 0 or (value[0] >= low if touching else value[0] > low)
        return first and all(a < b for a, b in zip(value, value[1:], strict=False))

    return check


OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("knots", "doses from 0 on, each above the last", rises_from(0, touching=True)),
        Option("inner_knots", "doses above 0, each above the last", rises_from(0, touching=False)),
        Option("steps", "doses above 0, each above the last", rises_from(0, touching=False)),
        Option("top_dose", "a dose above 0", lambda v: _is_number(v) and v > 0),
        Option("powers", "numbers, 0 standing for the logarithm", _are_numbers, is_dose=False),
        Option("origin", "a dose from 0 on", lambda v: _is_number(v) and v >= 0, is_dose=False),
        Option(
            "degree",
            "a whole number from 1 to 4",
            lambda v: _is_number(v) and v in (1, 2, 3, 4),
            is_dose=False,
        ),
        Option(
            "basis_functions",
            "a whole number from 2 to 100",
            lambda v: _is_number(v) and v == int(v) and 2 <= v <= 100,
            is_dose=False,
        ),
        Option("boundary", "a number from 1.2 on", lambda v: _is_number(v) and v >= 1.2, False),
    )
}


def option_faults(
    kind: str,
    name: str,
    wanted: Mapping[str, Any],
    example: Mapping[str, Any],
    options: Mapping[str, Any],
    known: Mapping[str, Option] = OPTIONS,
) -> Iterator[tuple[str, str, str]]:
    """Find options that a part does not know, that it lacks, and that are not what it asks for.

    Parameters
    ----------
    kind
        What it is: ``curve``, ``course``.
    name
        Its name.
    wanted
        Its options with their defaults; `inspect.Parameter.empty` where there is none.
    example
        Sound options.
    options
        As a spec writes them.
    known
        What each option is.

    Yields
    ------
    tuple[str, str, str]
        The option, a message and its mend.
    """
    for option in options:
        if option not in wanted:
            mend = nearest(option, tuple(wanted)) if wanted else "Remove it."
            yield option, f"{kind} '{name}' has no option '{option}'", mend
    shown = f"Write for instance {kind}_options = {as_toml(example)}."
    for option, default in wanted.items():
        value = options.get(option, default)
        if value is inspect.Parameter.empty:
            yield option, f"{kind} '{name}' needs {option}: {known[option].wanted}", shown
        elif not known[option].is_sound(value):
            yield option, f"{option} = {value} is not {known[option].wanted}", shown


def dose_notes(options: Mapping[str, Any], doses: Sequence[float]) -> Iterator[str]:
    """Say where an option's doses and the doses that were tried do not meet.

    Parameters
    ----------
    options
        A curve's options.
    doses
        The exposures above 0 that were tried.

    Yields
    ------
    str
        A sentence; none is a fault, for a sparse evidence base may be meant to grow.
    """
    low, high = min(doses), max(doses)
    slack = 1 + 1e-6
    for name, value in options.items():
        if name not in OPTIONS or not OPTIONS[name].is_dose:
            continue
        for dose in value if isinstance(value, list | tuple) else (value,):
            if dose > high * slack:
                yield f"{name}: {dose:g} lies beyond the largest dose tried ({high:g})"
            elif 0 < dose * slack < low:
                yield f"{name}: {dose:g} lies below the smallest dose tried ({low:g})"
        if name == "top_dose" and value * slack < high:
            yield f"top_dose: {value:g} lies below the largest dose tried ({high:g})"
        if name == "steps" and value and value[0] > low * slack:
            yield f"steps: the doses tried from {low:g} up to {value[0]:g} are held at no effect"


def as_words(value: Any) -> str:
    """Write an option's value for a reader.

    Parameters
    ----------
    value
        A number or several.

    Returns
    -------
    str
        The numbers with commas.
    """
    values = value if isinstance(value, list | tuple) else (value,)
    return ", ".join(f"{v:g}" for v in values) or "none"


def as_toml(options: Mapping[str, Any]) -> str:
    """Write options as a spec would.

    Parameters
    ----------
    options
        Sound options.

    Returns
    -------
    str
        An inline table.
    """
    pairs = (
        f"{name} = [{as_words(value)}]"
        if isinstance(value, list | tuple)
        else f"{name} = {value:g}"
        for name, value in options.items()
    )
    return f"{{ {', '.join(pairs)} }}"
