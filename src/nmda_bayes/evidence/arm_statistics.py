"""What a trial prints of one arm, checked as it is made, so that no effect rests on nonsense.

A number that is missing is NaN and stays NaN in all that is computed from it. A number that cannot
be (a negative SD, more events than people) is an error that names it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def numbers(**arguments: ArrayLike) -> list[FloatArray]:
    """Read arguments as numbers of one shape.

    Parameters
    ----------
    **arguments
        Numbers, arrays or columns (taken by position, not by index), under the names that an
        error shall use.

    Returns
    -------
    list[FloatArray]
        In the order given, broadcast against each other.

    Raises
    ------
    ValueError
        If one is no number, is infinite, or does not fit the others in length.
    """
    read = []
    for name, value in arguments.items():
        try:
            array = np.array(value, dtype=float)
        except (TypeError, ValueError) as fault:
            raise ValueError(f"{name} must be numeric: {fault}") from fault
        require(~np.isinf(array), name, "must be finite", array)
        read.append(array)
    try:
        return list(np.broadcast_arrays(*read))
    except ValueError as fault:
        shapes = ", ".join(f"{name} {a.shape}" for name, a in zip(arguments, read, strict=True))
        raise ValueError(f"arguments of different lengths: {shapes}") from fault


def require(holds: NDArray[np.bool_], name: str, rule: str, value: FloatArray) -> None:
    """Stop at values that cannot be; NaN always passes.

    Parameters
    ----------
    holds
        Where the rule holds.
    name
        The argument at fault.
    rule
        What it must be, as the error says it.
    value
        The numbers themselves.

    Raises
    ------
    ValueError
        If the rule fails anywhere; tells the first place.
    """
    wrong = ~np.asarray(holds) & ~np.isnan(value)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        where = f" at position {place}" if value.ndim else ""
        raise ValueError(f"{name} {rule}: {float(value.ravel()[place]):g}{where}")


@dataclass(frozen=True, init=False, eq=False, slots=True)
class Means:
    """Mean and spread of one arm, or of one period of a crossover, in each study.

    Parameters
    ----------
    mean
        In outcome units.
    sd
        Standard deviation between people, in outcome units; not negative.
    n
        People; more than one.

    Raises
    ------
    ValueError
        Naming the argument that cannot be.
    """

    mean: FloatArray
    sd: FloatArray
    n: FloatArray

    def __init__(self, mean: ArrayLike, sd: ArrayLike, n: ArrayLike) -> None:
        means, sds, people = numbers(mean=mean, sd=sd, n=n)
        require(sds >= 0, "sd", "must not be negative", sds)
        require(people > 1, "n", "must be more than 1", people)
        for name, value in (("mean", means), ("sd", sds), ("n", people)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, init=False, eq=False, slots=True)
class Counts:
    """People with the event in one arm of each study.

    Parameters
    ----------
    events
        People with the event; 0 to ``n``.
    n
        People; at least one.

    Raises
    ------
    ValueError
        Naming the argument that cannot be.
    """

    events: FloatArray
    n: FloatArray

    def __init__(self, events: ArrayLike, n: ArrayLike) -> None:
        count, people = numbers(events=events, n=n)
        require(count >= 0, "events", "must not be negative", count)
        require(people >= 1, "n", "must be at least 1", people)
        require((count <= people) | np.isnan(people), "events", "must not exceed n", count)
        object.__setattr__(self, "events", count)
        object.__setattr__(self, "n", people)


@dataclass(frozen=True, init=False, eq=False, slots=True)
class Rates:
    """Events over person-time in one arm of each study.

    Parameters
    ----------
    events
        Number of events, a person may have several; not negative.
    time
        Person-time at risk, in any one unit; more than 0.

    Raises
    ------
    ValueError
        Naming the argument that cannot be.
    """

    events: FloatArray
    time: FloatArray

    def __init__(self, events: ArrayLike, time: ArrayLike) -> None:
        count, at_risk = numbers(events=events, time=time)
        require(count >= 0, "events", "must not be negative", count)
        require(at_risk > 0, "time", "must be more than 0", at_risk)
        object.__setattr__(self, "events", count)
        object.__setattr__(self, "time", at_risk)
