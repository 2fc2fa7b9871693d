"""Exposures: the one number of a concentration that an effect may follow.

Areas and averages are closed forms. A peak is searched for on a grid that holds the end of every
input, then narrowed down until the error is beyond the ninth digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.pharmacokinetics.asked import Asked, Regimens
from nmda_bayes.pharmacokinetics.concentrations import per_mg_per_litre
from nmda_bayes.pharmacokinetics.inputs import Train
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.responses import Passage, area_until, superposed, whole_area

#: Doses of a train after which a peak is looked for: its first and its last ones.
FIRST, LAST = 8, 16
#: Times after each mark, from a thousandth of the fastest rate's time to five of the slowest's.
OFFSETS = 32
ROUNDS, POINTS = 6, 17
#: Hours after which nothing is left of any dose: of a rate of 1e-4/h, e^-1000.
FOREVER = 1e7


def exposures(
    regimen: Regimens,
    model: PharmacokineticModel,
    *,
    weight: float = 70.0,
    route: str = "iv",
    agent: str = "",
    parameters: xr.Dataset | None = None,
    times: Sequence[float] = (),
    over: tuple[float, float] | None = None,
    until: float = math.inf,
    analytes: Sequence[str] = (),
    unit: str = "ng/mL",
) -> xr.Dataset:
    """Sum up the concentrations of a regimen.

    Parameters
    ----------
    regimen
        As for `concentration`.
    model
        As `published_model` gives it.
    weight
        Of the body, kg.
    route
        Of the doses.
    agent
        What was given, as for `concentration`.
    parameters
        As `draw_parameters` gives them; the typical values otherwise.
    times
        Hours at which the concentration is wanted.
    over
        Two hours between which the area is wanted, such as a dosing interval.
    until
        The hour of a reading: an effect cannot follow what comes after it, so that peak, average
        and area are those up to it.
    analytes
        Which of the model's analytes; all by default.
    unit
        Of concentration; areas are in that times hours.

    Returns
    -------
    xr.Dataset
        Dims analyte, draw (if drawn) and regimen (if several). ``peak_concentration`` and
        ``time_of_peak`` (h); ``average_concentration`` over ``treatment_hours``, which end with
        the last infusion, or one interval after the last of several doses; NaN for a single dose
        that took no time. ``area`` to infinity; ``area_over``, if asked for;
        ``concentration_at``, over dim time. All of it is what the doses add to a baseline, and no
        more than has come by `until`.

    Raises
    ------
    InputError
        As `concentration`.
    """
    asked = Asked.of(regimen, model, weight, route, agent, parameters).only(analytes)
    factor = {name: per_mg_per_litre(unit, name) for name in asked.ways}
    whole = [[treatment_hours(asked.given, i)] for i in range(len(asked.regimens))]
    ends = np.minimum(np.array(whole), until)
    limit = np.full_like(ends, min(until, FOREVER))
    parts: dict[str, list[Any]] = {}

    def add(name: str, value: Any) -> None:
        parts.setdefault(name, []).append(value)

    for analyte, ways in asked.ways.items():
        scale = factor[analyte]
        peak, at = peak_of(asked, ways, limit)
        add("peak_concentration", peak * scale)
        add("time_of_peak", at)
        length = np.where(ends > 0, ends, np.nan)
        add("average_concentration", area_until(ways, asked.given, ends) / length * scale)
        unread = until >= FOREVER
        area = whole_area(ways, asked.given) if unread else area_until(ways, asked.given, limit)
        add("area", area * scale)
        if over is not None:
            before = [area_until(ways, asked.given, np.array([hour])) for hour in over]
            add("area_over", (before[1] - before[0]) * scale)
        if len(times):
            hours = np.asarray(times, dtype=float)
            add("concentration_at", superposed(ways, asked.given, hours) * scale)
    units = {"time_of_peak": "h", "area": f"{unit} h", "area_over": f"{unit} h"}
    out = {
        name: asked.labelled(
            values,
            list(asked.ways),
            ("time",) if name == "concentration_at" else (),
            {"time": np.asarray(times, dtype=float)} if name == "concentration_at" else {},
        ).assign_attrs(units=units.get(name, unit))
        for name, values in parts.items()
    }
    several = len(asked.regimens) > 1
    out["treatment_hours"] = xr.DataArray(
        np.ravel(whole) if several else whole[0][0],
        dims=("regimen",) if several else (),
        attrs={"units": "h"},
    )
    return xr.Dataset(out).assign_attrs(asked.attributes)


def treatment_hours(given: Sequence[Train], regimen: int = 0) -> float:
    """Say how long a treatment lasts.

    Parameters
    ----------
    given
        Trains of doses.
    regimen
        Which, where trains hold several side by side.

    Returns
    -------
    float
        To the end of the last infusion, or to one interval after the last of several doses; 0 for
        a single dose that took no time.
    """
    ends = [0.0]
    for train in (_of(train, regimen) for train in given):
        if train.amount > 0:
            lasting = train.interval if train.n > 1 else train.hours
            ends.append(train.start + (train.n - 1) * train.interval + lasting)
    return float(max(ends))


def _of(train: Train, regimen: int) -> Train:
    """Give one regimen's part of trains side by side."""
    parts = (train.start, train.hours, train.amount, train.n, train.interval)
    return Train(*(float(np.ravel(p)[regimen] if np.ndim(p) else p) for p in parts))


def peak_of(asked: Asked, ways: Sequence[Passage], until: np.ndarray) -> tuple[Any, Any]:
    """Find the highest concentration.

    Parameters
    ----------
    asked
        The question.
    ways
        Of one analyte.
    until
        The last hour that counts, of shape (regimen, 1).

    Returns
    -------
    tuple
        The concentration, mg/L, and its hour, each of shape (draw, regimen, 1).
    """
    marks = [
        np.unique(np.minimum(_marks(asked.given, i, ways), until[i, 0]))
        for i in range(len(asked.regimens))
    ]
    count = max(map(len, marks))
    grid = np.array([np.pad(m, (0, count - len(m)), mode="edge") for m in marks])
    found = asked.over(superposed, ways, grid)
    found = np.broadcast_to(found, (*([1] * (3 - np.ndim(found))), *np.shape(found)))
    best = found.argmax(-1, keepdims=True)
    grid = np.broadcast_to(grid, found.shape)
    peak = np.take_along_axis(found, best, -1)
    at = np.take_along_axis(grid, best, -1)
    # The last time of a grid may stand there several times over; so does its right neighbour.
    low = np.take_along_axis(grid, np.maximum(best - 1, 0), -1)
    high = np.take_along_axis(grid, np.minimum(best + 1, count - 1), -1)
    for _ in range(ROUNDS):
        times = low + (high - low) * np.linspace(0, 1, POINTS)
        found = superposed(ways, asked.given, times)
        best = found.argmax(-1, keepdims=True)
        higher = np.take_along_axis(found, best, -1)
        at = np.where(higher > peak, np.take_along_axis(times, best, -1), at)
        peak = np.maximum(peak, higher)
        low, high = (
            np.take_along_axis(times, np.clip(best + step, 0, POINTS - 1), -1) for step in (-1, 1)
        )
    return peak, at


def _marks(given: Sequence[Train], regimen: int, ways: Sequence[Passage]) -> np.ndarray:
    """Times near which a peak may lie: after the start and the end of every input."""
    rates = np.concatenate([np.ravel(rate) for way in ways for _, rate in way.terms])
    offsets = np.geomspace(1e-3 / rates.max(), 5 / np.median(_slowest(ways)), OFFSETS)
    marks = [0.0]
    for train in given:
        for fed in (way.fed(_of(train, regimen)) for way in ways):
            n = int(fed.n)
            late = range(max(FIRST, n - LAST), n)
            starts = float(np.mean(fed.start)) + float(fed.interval) * np.array(
                [*range(min(FIRST, n)), *late]
            )
            marks += [*starts, *(starts + float(np.mean(fed.hours)))]
    unique = np.unique(np.maximum(marks, 0.0))
    return np.unique(np.concatenate([unique, *(unique + offset for offset in offsets)]))


def _slowest(ways: Sequence[Passage]) -> Any:
    """Give the smallest rate of each draw."""
    rates = [np.ravel(rate) for way in ways for _, rate in way.terms]
    size = max(map(len, rates))
    return np.min([np.broadcast_to(rate, size) for rate in rates], axis=0)
