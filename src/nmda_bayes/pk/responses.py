"""Responses of each analyte to a unit dose, as sums of exponentials, and their superposition.

    h(t) = Σ_k w_k exp(-λ_k t),   C(t) = Σ_dose dose h(t - t_dose)

Compartments are solved by eigenvalues; absorption, metabolism and an effect site are convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from nmda_bayes.errors import InputError, Issue
from nmda_bayes.pk.structure import (
    MOLAR_MASS,
    SITE_HALF_LIFE,
    AbsorptionPath,
    PKModel,
    SymbolValues,
)
from nmda_bayes.regimens import Event, Regimen

# Doses of a regimen as series of equal, evenly spaced inputs, in closed form.

#: Tolerance in dosing intervals by which a time counts as that of a dose: 48 h typed with any
#: rounding error is the third daily dose.
_TIME_TOLERANCE = 1e-9
#: Smallest duration, which keeps divisions finite; far below a second.
_MIN_HOURS = 1e-300
_SMALL = 1e-8

UNKNOWN_DURATION = "how long an intravenous dose took"


@dataclass(frozen=True, slots=True)
class DoseSeries:
    """Equal inputs, evenly spaced, in hours and mg; attributes may be arrays over regimens."""

    start: Any
    hours: Any
    amount: Any
    n: Any = 1
    interval: Any = 1.0

    @classmethod
    def combine(
        cls, many: Sequence[DoseSeries], function: Callable[[list[Any]], Any]
    ) -> DoseSeries:
        """Combine series attribute by attribute."""
        return cls(*(function([getattr(each, f.name) for each in many]) for f in fields(cls)))


@dataclass(frozen=True, slots=True)
class DoseClock:
    """Times relative to the inputs of a series. Make it with `locate_times`."""

    series: DoseSeries
    started: Any
    n_completed: Any
    elapsed: Any
    since_end: Any

    def remaining(self, rate: Any, xp: Any = np) -> Any:
        """Return what remains in a pool with this rate, in units of one input."""
        series = self.series
        # The last input alone: lost while it went in, and decay since its end.
        lost, decay = xp.expm1(-rate * self.elapsed), xp.exp(-rate * self.since_end)
        if _are_boluses(series.hours):
            amount = decay
        else:
            # Over the duration: accurate for a second as for 0.
            mean = lost / (-rate * xp.maximum(series.hours, _MIN_HOURS))
            infused = _are_infusions(series.hours)
            amount = decay * (mean if infused else xp.where(series.hours > 0, mean, 1.0))
        if np.any(np.asarray(series.n) > 1):
            pause = xp.exp(-rate * (series.interval - series.hours))
            geometric = xp.expm1(-rate * series.interval * self.n_completed) / xp.expm1(
                -rate * series.interval
            )
            earlier = _mean_decay(rate * series.hours, xp) * pause
            amount = amount + earlier * (decay * (1 + lost) * geometric)
        return amount

    def doses_given(self, xp: Any = np) -> Any:
        """Return the number of inputs given, with the fraction of the current one."""
        hours = xp.maximum(self.series.hours, _MIN_HOURS)
        return self.n_completed + xp.where(self.series.hours > 0, self.elapsed / hours, 1.0)

    @property
    def amount(self) -> Any:
        """Amount of one input, mg; 0 at times before the first."""
        return self.series.amount * self.started


def locate_times(series: DoseSeries, times: Any, xp: Any = np) -> DoseClock:
    """Locate times in hours within a series."""
    since = times - series.start
    late = xp.maximum(since, 0.0)
    if np.any(np.asarray(series.n) > 1):
        completed = xp.minimum(xp.floor(late / series.interval + _TIME_TOLERANCE), series.n - 1)
        since_last = xp.maximum(late - completed * series.interval, 0.0)
    else:
        completed, since_last = 0.0, late
    elapsed = 0.0 if _are_boluses(series.hours) else xp.minimum(since_last, series.hours)
    return DoseClock(series, 1.0 * (since >= 0), completed, elapsed, since_last - elapsed)


def _are_boluses(hours: Any) -> bool:
    """Whether all durations are known to be 0."""
    return isinstance(hours, float | int | np.ndarray) and not np.any(hours)


def _are_infusions(hours: Any) -> bool:
    """Whether all durations are positive, as a variable of a graph (zero-order release) is."""
    return not isinstance(hours, float | int | np.ndarray) or bool(np.all(np.asarray(hours) > 0))


def _mean_decay(x: Any, xp: Any) -> Any:
    """Return the mean of exp(-x s) over s in (0, 1), (1 - exp(-x)) / x; 1 for x = 0."""
    small = x < _SMALL
    # `where` twice, so that the gradient of the branch not taken is not 0 / 0.
    safe = xp.where(small, 1.0, x)
    return xp.where(small, 1 - x / 2, -xp.expm1(-safe) / safe)


@lru_cache(maxsize=1024)
def dose_series(regimen: Regimen) -> tuple[DoseSeries, ...]:
    """Group the events of a regimen into series of equal, evenly spaced ones."""
    runs: list[list[Event]] = []
    last: dict[tuple[str, float], list[Event]] = {}
    for event in regimen.events():
        key = (repr(event.hours), event.amount)
        run = last.get(key)
        if run and _continues(run, event):
            run.append(event)
        else:
            last[key] = [event]
            runs.append(last[key])
    return tuple(_series_of_run(run) for run in runs)


def _continues(run: Sequence[Event], event: Event) -> bool:
    """Whether an event is the next of evenly spaced ones that do not overlap."""
    step = event.start_hours - run[-1].start_hours
    if step <= 0 or step < np.nan_to_num(event.hours) * (1 - _TIME_TOLERANCE):
        return False
    return len(run) == 1 or math.isclose(
        step, run[-1].start_hours - run[-2].start_hours, rel_tol=1e-9
    )


def _series_of_run(run: Sequence[Event]) -> DoseSeries:
    first = run[0]
    if len(run) > 1:
        interval = (run[-1].start_hours - first.start_hours) / (len(run) - 1)
    else:  # unused, but the formula needs one that is not shorter than the input
        interval = 1.0 + float(np.nan_to_num(first.hours))
    return DoseSeries(first.start_hours, first.hours, first.amount, len(run), interval)


def fill_durations(
    doses: Sequence[DoseSeries], route: str, regimen: Regimen
) -> tuple[DoseSeries, ...]:
    """Set unknown durations to 0, except for intravenous doses, where the peak depends on them."""
    if route == "iv" and any(math.isnan(series.hours) for series in doses):
        message = f"the schedule '{regimen}' does not say {UNKNOWN_DURATION}"
        hint = "Write 'bolus 0.3 mg/kg' or '0.3 mg/kg over 15 min': the peak depends on it."
        raise InputError([Issue("E757", message, hint)])
    return tuple(replace(s, hours=0.0) if math.isnan(s.hours) else s for s in doses)


def stack_series(many: Sequence[Sequence[DoseSeries]]) -> tuple[DoseSeries, ...]:
    """Stack the series of several regimens, axes regimen and 1, so that one formula serves all."""
    longest = max(map(len, many))
    nothing = DoseSeries(0.0, 0.0, 0.0)
    padded = [[*each, *[nothing] * (longest - len(each))] for each in many]
    return tuple(
        DoseSeries.combine([each[k] for each in padded], lambda values: np.array(values)[:, None])
        for k in range(longest)
    )


#: Pairs of weight and rate: the response is the sum of weight * exp(-rate * t).
Terms = tuple[tuple[Any, Any], ...]

#: Smallest relative distance of two rates, as the closed form is 0 / 0 where they are equal. The
#: error of the distance (1e-8) and that of rounding (2e-16 / 1e-8) are then of one size.
MIN_SEPARATION = 1e-8
#: Relative distance of two rates that are equal by construction, to either side of their mean. The
#: response changes by the square of this, which two such pairs extrapolate to 1e-12; rounding
#: costs 2e-16 / 1e-3².
TWIN_SEPARATION = 1e-3


@dataclass(frozen=True, slots=True)
class Mammillary:
    """A central compartment (number 0) and those that exchange with it, by eigenvalues."""

    volumes: tuple[Any, ...]
    rates: tuple[Any, ...]
    vectors: tuple[tuple[Any, ...], ...]

    def response(self, dosed: int = 0, observed: int = 0) -> Terms:
        """Return the concentration in one compartment after a unit dose into another."""
        scale = (self.volumes[dosed] * self.volumes[observed]) ** -0.5
        pairs = zip(self.vectors[dosed], self.vectors[observed], self.rates, strict=True)
        return tuple((scale * u * v, rate) for u, v, rate in pairs)


def solve_mammillary(
    volumes: tuple[Any, ...], flows: tuple[Any, ...], clearances: tuple[Any, ...], xp: Any = np
) -> Mammillary:
    """Find the eigenvalues of a mammillary system of any number of compartments.

    Amounts over the square roots of volumes follow a symmetric matrix: eigenvalues are real,
    vectors orthogonal, and weights need none of the differences of rates of the textbook formulas.
    """
    count = len(volumes)
    # Broadcasts numbers and arrays of draws to one shape.
    zero = 0.0 * sum((*volumes, *flows, *clearances))
    matrix = [[zero] * count for _ in range(count)]
    matrix[0][0] = zero + (clearances[0] + sum(flows)) / volumes[0]
    for j, flow in enumerate(flows, start=1):
        matrix[j][j] = zero + (flow + clearances[j]) / volumes[j]
        matrix[0][j] = matrix[j][0] = zero - flow * (volumes[0] * volumes[j]) ** -0.5
    rows = [xp.stack(row, axis=-1) for row in matrix]
    rates, vectors = xp.linalg.eigh(xp.stack(rows, axis=-2))
    numbers = range(count)
    return Mammillary(
        volumes,
        tuple(rates[..., k] for k in numbers),
        tuple(tuple(vectors[..., j, k] for k in numbers) for j in numbers),
    )


def first_order_response(rate: Any) -> Terms:
    """Return the outflow of a pool with a first-order rate."""
    return ((rate, rate),)


def transit_response(mean_hours: Any) -> Terms:
    """Return the outflow of two equal pools in a row with this mean transit time."""
    rate = 2 / mean_hours
    terms: list[tuple[Any, Any]] = []
    for coefficient, distance in ((4 / 3, TWIN_SEPARATION), (-1 / 3, 2 * TWIN_SEPARATION)):
        weight = coefficient * rate * (1 - distance**2) / (2 * distance)
        terms += [(weight, rate * (1 - distance)), (-weight, rate * (1 + distance))]
    return tuple(terms)


def scale_terms(terms: Terms, factor: Any) -> Terms:
    """Multiply a response by a factor."""
    return tuple((factor * weight, rate) for weight, rate in terms)


def convolve(first: Terms | None, second: Terms, xp: Any = np) -> Terms:
    """Return the response of a system whose input is the outflow of another (None: the dose)."""
    if first is None:
        return second
    rates, others = [rate for _, rate in first], [rate for _, rate in second]
    for i in range(len(rates)):
        for j, other in enumerate(others):
            middle, half = (rates[i] + other) / 2, (other - rates[i]) / 2
            close = xp.abs(half) < MIN_SEPARATION * middle
            rates[i] = xp.where(close, middle * (1 - MIN_SEPARATION), rates[i])
            others[j] = xp.where(close, middle * (1 + MIN_SEPARATION), other)
    weights = [0.0 * rate for rate in rates]
    other_weights = [0.0 * rate for rate in others]
    for i, (weight, _) in enumerate(first):
        for j, (other_weight, _) in enumerate(second):
            product = weight * other_weight / (others[j] - rates[i])
            weights[i] = weights[i] + product
            other_weights[j] = other_weights[j] - product
    return (*zip(weights, rates, strict=True), *zip(other_weights, others, strict=True))


def total_response(terms: Terms) -> Any:
    """Integrate a response from 0 to infinity."""
    return sum(weight / rate for weight, rate in terms)


@dataclass(frozen=True, slots=True)
class ImpulseResponse:
    """The response of one analyte to a unit dose by one absorption path."""

    path: AbsorptionPath
    terms: Terms
    symbols: SymbolValues

    def apply_dose(self, series: DoseSeries, xp: Any = np) -> DoseSeries:
        """Return the doses that enter by this path."""
        path, p = self.path, self.symbols
        amount = self.bioavailability(series.amount, xp) * series.amount
        start = series.start + p[path.lag] if path.lag else series.start
        hours = xp.maximum(p[path.hours], series.hours) if path.hours else series.hours
        return DoseSeries(start, hours, amount, series.n, series.interval)

    def bioavailability(self, amount: Any, xp: Any = np) -> Any:
        """Return the fraction of doses in mg that enters by this path."""
        if np.ndim(amount) == 0:
            return self.path.fraction(self.symbols, float(amount))
        fractions = [self.path.fraction(self.symbols, float(mg)) for mg in np.ravel(amount)]
        if all(np.ndim(fraction) == 0 for fraction in fractions):
            return xp.reshape(xp.stack(fractions), np.shape(amount))
        shapes = [np.broadcast_shapes((1, 1), np.shape(f)) for f in fractions]
        return np.concatenate(
            [np.broadcast_to(f, s) for f, s in zip(fractions, shapes, strict=True)], axis=-2
        )


def impulse_responses(
    model: PKModel, values: Mapping[str, SymbolValues], route: str, xp: Any = np
) -> dict[str, tuple[ImpulseResponse, ...]]:
    """Return the responses of each analyte to a unit dose, by absorption path of the route."""
    paths, p = model.paths(route), values[model.analyte]
    parent = solve_mammillary(*disposition(p), xp)
    dispositions = {name: disposition(values[name]) for name in model.analytes[1:]}
    systems = {name: solve_mammillary(*parts, xp) for name, parts in dispositions.items()}
    responses: dict[str, list[ImpulseResponse]] = {name: [] for name in model.analytes}
    for path in paths:
        absorption = first_order_response(p[path.rate]) if path.rate else None
        dosed = len(parent.volumes) - 1 if path.liver else 0
        terms = {model.analyte: convolve(absorption, parent.response(dosed), xp)}
        for metabolite in () if path.parent_only else model.structure.metabolites:
            source = metabolite.source or model.analyte
            flow = (
                scale_terms(terms[source], dispositions[source][2][0])
                if metabolite.source
                else _elimination(p, parent, absorption, dosed, path, xp)
            )
            mass = MOLAR_MASS[metabolite.analyte] / MOLAR_MASS[source] if metabolite.molar else 1.0
            flow = scale_terms(flow, metabolite.fraction(p) * mass)
            if metabolite.transit:
                delay = values[metabolite.analyte][metabolite.transit]
                flow = convolve(flow, transit_response(delay), xp)
            system = systems[metabolite.analyte]
            terms[metabolite.analyte] = convolve(flow, system.response(), xp)
        if SITE_HALF_LIFE in p:
            site = first_order_response(math.log(2.0) / p[SITE_HALF_LIFE])
            terms[model.analyte] = convolve(terms[model.analyte], site, xp)
        for name, response in terms.items():
            responses[name].append(ImpulseResponse(path, response, p))
    return {name: tuple(by_path) for name, by_path in responses.items() if by_path}


def _elimination(
    p: SymbolValues,
    parent: Mammillary,
    absorption: Terms | None,
    dosed: int,
    path: AbsorptionPath,
    xp: Any,
) -> Terms:
    """Return the elimination rate of the parent, from the liver's compartment if there is one."""
    cleared = len(parent.volumes) - 1 if "V_hepatic" in p else 0
    flow = convolve(absorption, parent.response(dosed, cleared), xp)
    flow = scale_terms(flow, disposition(p)[2][cleared])
    if path.first_pass is None or absorption is None:
        return flow
    # Per mg that passes the liver, as all responses of a path are.
    return (*flow, *scale_terms(absorption, path.first_pass(p) / path.fraction(p, 0.0)))


def disposition(p: SymbolValues) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
    """Return volumes, intercompartmental flows and clearances."""
    if "k10" in p:
        others = [j for j in "23" if f"k1{j}" in p]
        volumes = [p["V1"], *(p["V1"] * p[f"k1{j}"] / p[f"k{j}1"] for j in others)]
        flows = [p["V1"] * p[f"k1{j}"] for j in others]
        central = p["V1"] * p["k10"]
    else:
        others = [j for j in "23" if f"V{j}" in p]
        volumes = [p["V1"], *(p[f"V{j}"] for j in others)]
        flows = [p[f"Q{j}"] for j in others]
        central = _central_clearance(p)
    clearances = [central, *(0.0 for _ in others)]
    if "V_hepatic" in p:
        volumes.append(p["V_hepatic"])
        flows.append(p["Q_hepatic"])
        clearances.append((p["kel"] + p["kmet"]) * p["V_hepatic"])
    return tuple(volumes), tuple(flows), tuple(clearances)


def _central_clearance(p: SymbolValues) -> Any:
    """Return the clearance of the central compartment; 0 if the liver is its own compartment."""
    if "CL" in p:
        return p["CL"]
    if "V_hepatic" in p:
        return 0.0
    enzymes = sum(value for symbol, value in p.items() if symbol.startswith("CL_"))
    if "Q1_hepatic" in p:
        return p["Q1_hepatic"] * enzymes / (p["Q1_hepatic"] + enzymes)
    return enzymes


def stack_terms(responses: Sequence[ImpulseResponse], xp: Any = np) -> tuple[ImpulseResponse, ...]:
    """Stack the terms of each response on a last axis, evaluated at once.

    Otherwise a graph holds a copy of the formula for every term and dose series, and takes minutes
    to compile.
    """

    def stack(parts: Sequence[Any]) -> Any:
        return xp.stack(np.broadcast_arrays(*parts) if xp is np else parts, axis=-1)

    return tuple(
        ImpulseResponse(
            response.path,
            ((stack([w for w, _ in response.terms]), stack([r for _, r in response.terms])),),
            response.symbols,
        )
        for response in responses
    )


def superpose(
    responses: Sequence[ImpulseResponse], doses: Sequence[DoseSeries], times: Any, xp: Any = np
) -> Any:
    """Return the concentration in mg/L at times in hours: the sum over doses and paths."""
    total: Any = 0.0
    for response, clock in _clocks(responses, doses, times, xp):
        remaining = sum(weight * clock.remaining(rate, xp) for weight, rate in response.terms)
        total = total + clock.amount * remaining
    return total


def area_to_time(
    responses: Sequence[ImpulseResponse], doses: Sequence[DoseSeries], times: Any, xp: Any = np
) -> Any:
    """Return the area under the concentration up to a time, in mg h/L.

    The area that a pool has contributed is what was given less what remains: no grid is needed.
    """
    total: Any = 0.0
    for response, clock in _clocks(responses, doses, times, xp):
        count = clock.doses_given(xp)
        area = sum(w / rate * (count - clock.remaining(rate, xp)) for w, rate in response.terms)
        total = total + clock.amount * area
    return total


def _clocks(
    responses: Sequence[ImpulseResponse], doses: Sequence[DoseSeries], times: Any, xp: Any
) -> Iterator[tuple[ImpulseResponse, DoseClock]]:
    for response in responses:
        for series in doses:
            yield response, locate_times(response.apply_dose(series, xp), times, xp)


def total_area(responses: Sequence[ImpulseResponse], doses: Sequence[DoseSeries]) -> Any:
    """Return the area under the concentration to infinity, in mg h/L."""
    return sum(
        response.bioavailability(series.amount)
        * series.amount
        * series.n
        * total_response(response.terms)
        for response in responses
        for series in doses
    )
