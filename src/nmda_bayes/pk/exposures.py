"""Exposures: summaries of a concentration that an effect may follow (peak, average, area, ...).

Areas and averages are closed forms. A peak is searched on a grid that includes the end of every
input, then refined to the ninth digit.
"""

from __future__ import annotations

import math
from collections import UserDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import InputError
from nmda_bayes.pk.problem import PKProblem, Regimens, unit_factor
from nmda_bayes.pk.responses import (
    UNKNOWN_DURATION,
    DoseSeries,
    ImpulseResponse,
    area_to_time,
    impulse_responses,
    stack_series,
    stack_terms,
    superpose,
    total_area,
)
from nmda_bayes.pk.structure import SITE_HALF_LIFE, PKModel, salt_factor
from nmda_bayes.pk.table import draw_parameters
from nmda_bayes.regimens import QUALIFIER_NOTES, Regimen, parse_regimen

#: Units: ng/mL, of the area ng h/mL.
EXPOSURE_METRICS = (
    "peak_concentration",
    "average_concentration",
    "area",
    "concentration_at_outcome",
)

#: First and last inputs of a series after which a peak is searched.
FIRST_INPUTS, LAST_INPUTS = 8, 16
#: Times searched after each input, from 1/1000 of the fastest time constant to 5 of the slowest.
OFFSETS = 32
ROUNDS, POINTS = 6, 17
#: Hours after which nothing remains of any dose: at a rate of 1e-4/h, e^-1000.
FOREVER = 1e7

#: Draws of the parameters by which the possible hours of a peak are found, and how many hours are
#: kept. After an infusion it is one hour for all parameters; after sprays and tablets it depends on
#: the absorption rate.
PEAK_DRAWS, PEAK_HOURS = 64, 9
#: At an effect site every peak moves with the half-life, which may be known to a factor of ten:
#: more draws, and more hours on a grid from the first to the last.
SITE_PEAK_DRAWS, SITE_PEAK_HOURS = 512, 24


def summarise_exposure(
    regimen: Regimens,
    model: PKModel,
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
    """Summarise the concentrations after a regimen.

    Parameters
    ----------
    regimen
        As for `concentration`.
    model
        From `published_model`.
    weight
        Body weight, kg.
    route
        Route of the doses.
    agent
        The agent given, as for `concentration`.
    parameters
        From `draw_parameters`; by default the typical values.
    times
        Hours at which the concentration is returned.
    over
        Two hours between which the area is returned, such as a dosing interval.
    until
        Hour of an outcome measurement, which cannot depend on later doses: peak, average and area
        are those up to it.
    analytes
        Analytes of the model; by default all.
    unit
        Unit of concentration; of areas, this times hours.

    Returns
    -------
    xr.Dataset
        Dims analyte, draw (with `parameters`) and regimen (if several). ``peak_concentration`` and
        ``time_of_peak`` (h); ``average_concentration`` over ``treatment_hours``, which end with the
        last infusion, or one interval after the last of several doses (NaN for a single bolus);
        ``area`` to infinity; with `over`, ``area_over``; with `times`, ``concentration_at`` over
        dim time. All are without the endogenous baseline, and up to `until`.

    Raises
    ------
    InputError
        As for `concentration`.

    Examples
    --------
    >>> model = nb.published_pk_model("Domino", evidence)
    >>> summary = nb.summarise_exposure("0.5 mg/kg over 40 min", model)
    >>> round(float(summary["treatment_hours"]), 3)
    0.667
    """
    problem = PKProblem.of(regimen, model, weight, route, agent, parameters)
    problem = problem.select_analytes(analytes)
    treatment = np.array(
        [[treatment_hours(problem.doses, i)] for i in range(len(problem.regimens))]
    )
    ends = np.minimum(treatment, until)
    limit, hours = np.full_like(ends, min(until, FOREVER)), np.asarray(times, dtype=float)
    columns: dict[str, list[Any]] = {}
    for analyte, responses in problem.responses.items():
        area = partial(area_to_time, responses, problem.doses)
        peak, peak_time = find_peak(problem, responses, limit)
        values = {
            "peak_concentration": peak,
            "average_concentration": area(ends) / np.where(ends > 0, ends, np.nan),
            "area": total_area(responses, problem.doses) if until >= FOREVER else area(limit),
        }
        if over is not None:
            values["area_over"] = area(np.array([over[1]])) - area(np.array([over[0]]))
        if len(hours):
            values["concentration_at"] = superpose(responses, problem.doses, hours)
        factor = unit_factor(unit, analyte)
        for name, value in values.items():
            columns.setdefault(name, []).append(value * factor)
        columns.setdefault("time_of_peak", []).append(peak_time)
    units = {"time_of_peak": "h", "area": f"{unit} h", "area_over": f"{unit} h"}
    out = {}
    for name, arrays in columns.items():
        array = problem.to_dataarray(arrays, hours if name == "concentration_at" else None)
        out[name] = array.assign_attrs(units=units.get(name, unit))
    several = len(problem.regimens) > 1
    out["treatment_hours"] = xr.DataArray(
        treatment[:, 0] if several else treatment[0, 0],
        dims=("regimen",) if several else (),
        attrs={"units": "h"},
    )
    return xr.Dataset(out).assign_attrs(problem.attributes)


def treatment_hours(doses: Sequence[DoseSeries], regimen: int = 0) -> float:
    """Return the duration of a treatment in hours."""
    ends = [0.0]
    for series in (_select_regimen(series, regimen) for series in doses):
        if series.amount > 0:
            last = series.interval if series.n > 1 else series.hours
            ends.append(series.start + (series.n - 1) * series.interval + last)
    return float(max(ends))


def _select_regimen(series: DoseSeries, regimen: int) -> DoseSeries:
    return DoseSeries.combine(
        [series], lambda value: float(np.ravel(value[0])[regimen if np.ndim(value[0]) else 0])
    )


def find_peak(
    problem: PKProblem, responses: Sequence[ImpulseResponse], until: np.ndarray
) -> tuple[Any, Any]:
    """Return the highest concentration in mg/L and its hour, axes draw, regimen and 1."""
    candidates = [
        np.unique(np.minimum(_candidate_hours(problem.doses, i, responses), until[i, 0]))
        for i in range(len(problem.regimens))
    ]
    grid = _pad_rows(candidates)
    values = problem.evaluate(superpose, responses, grid)
    values = np.broadcast_to(values, (*([1] * (3 - np.ndim(values))), *np.shape(values)))
    best = values.argmax(-1, keepdims=True)
    grid = np.broadcast_to(grid, values.shape)
    peak = np.take_along_axis(values, best, -1)
    hour = np.take_along_axis(grid, best, -1)
    # Padding repeats the last time of a grid, and with it the right neighbour of the best.
    low = np.take_along_axis(grid, np.maximum(best - 1, 0), -1)
    high = np.take_along_axis(grid, np.minimum(best + 1, grid.shape[-1] - 1), -1)
    for _ in range(ROUNDS):
        times = low + (high - low) * np.linspace(0, 1, POINTS)
        values = superpose(responses, problem.doses, times)
        best = values.argmax(-1, keepdims=True)
        higher = np.take_along_axis(values, best, -1)
        hour = np.where(higher > peak, np.take_along_axis(times, best, -1), hour)
        peak = np.maximum(peak, higher)
        low, high = (
            np.take_along_axis(times, np.clip(best + step, 0, POINTS - 1), -1) for step in (-1, 1)
        )
    return peak, hour


def _pad_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Stack arrays of different lengths, padded by their last value."""
    longest = max(map(len, rows))
    return np.array([np.pad(row, (0, longest - len(row)), mode="edge") for row in rows])


def _candidate_hours(
    doses: Sequence[DoseSeries], regimen: int, responses: Sequence[ImpulseResponse]
) -> np.ndarray:
    """Return times near which a peak may be: after the start and end of the inputs."""
    rates = [np.ravel(rate) for response in responses for _, rate in response.terms]
    draws = max(map(len, rates))
    slowest = np.min([np.broadcast_to(rate, draws) for rate in rates], axis=0)
    fastest = np.concatenate(rates).max()
    offsets = np.geomspace(1e-3 / fastest, 5 / np.median(slowest), OFFSETS)
    edges = [0.0]
    for series in doses:
        for response in responses:
            inputs = response.apply_dose(_select_regimen(series, regimen))
            n = int(inputs.n)
            numbers = [*range(min(FIRST_INPUTS, n)), *range(max(FIRST_INPUTS, n - LAST_INPUTS), n)]
            starts = float(np.mean(inputs.start)) + float(inputs.interval) * np.array(numbers)
            edges += [*starts, *(starts + float(np.mean(inputs.hours)))]
    unique = np.unique(np.maximum(edges, 0.0))
    return np.unique(np.concatenate([unique, *(unique + offset for offset in offsets)]))


def arm_exposures(
    arms: pd.DataFrame,
    model_by_agent: Mapping[str, PKModel],
    *,
    weight: float | pd.Series = 70.0,
    hours_at_outcome: pd.Series | None = None,
    reference: str = "placebo",
) -> pd.DataFrame:
    """Compute the exposure of every arm from its schedule.

    Parameters
    ----------
    arms
        With columns agent, route and schedule.
    model_by_agent
        The model of each agent, or of a part of it whose fraction is known (S-ketamine in ketamine,
        magnesium in its sulphate).
    weight
        Body weight, kg; one for all, or one per arm (NaN: not known).
    hours_at_outcome
        Hours from the first administration to the outcome, one per arm; NaN if not known. Exposures
        are those up to it: of an infusion of a day, measured after six hours, six hours. Without it
        the whole regimen counts.
    reference
        The agent without a concentration: its exposures are 0.

    Returns
    -------
    pd.DataFrame
        Index of `arms`. Columns ``peak_concentration``, ``average_concentration``, ``area`` (to
        infinity without an hour) and ``concentration_at_outcome`` of the model's analyte above any
        baseline, in ng/mL (area: ng h/mL), NaN if not known, with the reason in columns
        ``<exposure>_missing``; ``note``, what was assumed; ``model``, its name.

    Raises
    ------
    InputError
        If a schedule cannot be parsed (E700), or a model is of another agent (E756).

    Examples
    --------
    >>> arms = pd.DataFrame({"agent": ["ketamine"], "route": "iv", "schedule": "bolus 20 mg"})
    >>> models = {"ketamine": nb.published_pk_model("Domino", evidence)}
    >>> nb.arm_exposures(arms, models)["average_concentration_missing"].item()
    'a single dose has no duration to average over'
    """
    weights = weight if isinstance(weight, pd.Series) else pd.Series(weight, index=arms.index)
    hours = pd.Series(math.nan, index=arms.index) if hours_at_outcome is None else hours_at_outcome
    schedules = arms[["agent", "route", "schedule"]].astype("str")
    schedules = schedules.assign(weight=weights.astype(float), hour=hours.astype(float))
    rows = []
    for agent, route, schedule, kg, hour in schedules.itertuples(index=False, name=None):
        model = model_by_agent.get(agent)
        arm = _ArmExposures()
        if agent == reference:
            arm.values = dict.fromkeys(EXPOSURE_METRICS, 0.0)
        elif not schedule:
            arm.set_missing("no schedule")
        elif model is None:
            arm.set_missing(f"no pharmacokinetic model of {agent.replace('_', ' ')} is named")
        else:
            arm.compute(agent, route, parse_regimen(schedule), model, kg, hour)
        rows.append(arm.row() | {"model": model.name if model else ""})
    missing = [f"{name}_missing" for name in EXPOSURE_METRICS]
    columns = [*EXPOSURE_METRICS, *missing, "note", "model"]
    return pd.DataFrame(rows, columns=columns, index=arms.index)


@dataclass(slots=True)
class _ArmExposures:
    """Exposures of one arm, the reasons for those that are missing, and notes."""

    values: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(EXPOSURE_METRICS, math.nan)
    )
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def set_missing(self, reason: str) -> None:
        self.missing |= dict.fromkeys(EXPOSURE_METRICS, reason)

    def row(self) -> dict[str, Any]:
        missing = {
            f"{name}_missing": self.missing.get(name, "") if math.isnan(value) else ""
            for name, value in self.values.items()
        }
        return {**self.values, **missing, "note": "; ".join(self.notes)}

    def compute(
        self, agent: str, route: str, regimen: Regimen, model: PKModel, weight: float, hour: float
    ) -> None:
        is_target = regimen.basis == "ng/mL"
        if not is_target and route not in model.routes:
            name = route.replace("_", " ") or "an unknown route"
            self.set_missing(f"{model.name} has no absorption for {name}")
            return
        if not is_target and not weight > 0:
            self.set_missing("no body weight")
            return
        self.notes += [QUALIFIER_NOTES[word] for word in regimen.qualifiers]
        factor = salt_factor(agent, model)
        if is_target:
            self._copy_target(regimen, factor)
            return
        whole = math.isnan(hour)
        try:
            summary = summarise_exposure(
                regimen,
                model,
                weight=weight,
                route=route,
                agent=agent,
                times=() if whole else (hour,),
                until=math.inf if whole else hour,
                analytes=(model.analyte,),
            ).isel(analyte=0)
        except InputError:
            unknowns = regimen.unknowns or (UNKNOWN_DURATION,)
            self.set_missing(f"the schedule does not say {' or '.join(unknowns)}")
            # During treatment the area depends on unknown times of doses; after it, it does not.
            if whole or hour >= regimen.days * 24:
                self._total_area(agent, route, regimen, model, weight)
            return
        for name in ("peak_concentration", "average_concentration", "area"):
            self.values[name] = float(summary[name])
        self.missing["average_concentration"] = "a single dose has no duration to average over"
        if whole:
            self.missing["concentration_at_outcome"] = "time of the outcome not known"
            return
        self.values["concentration_at_outcome"] = float(summary["concentration_at"][0])
        treated = float(summary["treatment_hours"])
        if hour < treated * (1 - 1e-9):
            self.notes.append(f"counted up to the outcome at {hour:g} h of {treated:.4g} h")

    def _total_area(
        self, agent: str, route: str, regimen: Regimen, model: PKModel, weight: float
    ) -> None:
        """Compute the area to infinity, which needs neither durations nor times of doses."""
        if regimen.unknowns:
            total = regimen.for_weight(weight).total("mg")
            doses: tuple[DoseSeries, ...] = (
                DoseSeries(0.0, 0.0, total * salt_factor(agent, model)),
            )
        else:
            doses = PKProblem.of(
                regimen, model, weight, route, agent, None, require_durations=False
            ).doses
        responses = impulse_responses(model, model.values(weight), route)
        area = float(total_area(responses[model.analyte], doses))
        self.values["area"] = area * unit_factor("ng/mL", model.analyte)
        self.missing["area"] = "the schedule does not say the total dose"

    def _copy_target(self, regimen: Regimen, factor: float) -> None:
        """Copy the target concentrations of a pump, whose doses are not known."""
        targets = [phase.amount.to("ng/mL") * factor for c in regimen.courses for phase in c.phases]
        self.values["peak_concentration"] = max(targets)
        if len(targets) == 1:
            self.values["average_concentration"] = targets[0]
        self.missing = {
            "average_concentration": "the target concentration changes",
            "area": "the dose of a target concentration is not known",
            "concentration_at_outcome": "later concentrations are not known",
        }
        self.notes.append("target concentration, not a prediction")


@dataclass(frozen=True, slots=True)
class ArmSchedule:
    """Agent and schedule of an arm, and the hours to its outcome (NaN: not known)."""

    agent: str
    schedule: str
    hours: float


@dataclass(frozen=True, slots=True)
class ArmBatch:
    """Arms of one model and route, whose exposures are one formula. Make it with `of`."""

    model: PKModel
    route: str
    weight: float
    doses: DoseSeries
    outcome_hours: np.ndarray
    treatment_ends: np.ndarray
    peak_hours: np.ndarray

    @classmethod
    def of(
        cls,
        arms: Sequence[ArmSchedule],
        model: PKModel,
        *,
        route: str,
        weight: float,
        peaks: bool = True,
    ) -> ArmBatch:
        """Prepare arms; without `peaks`, peak concentrations are not available."""
        model = model.without_metabolites()
        problems = [
            PKProblem.of(arm.schedule, model, weight, route, arm.agent, None) for arm in arms
        ]
        hours = [[FOREVER if np.isnan(arm.hours) else arm.hours] for arm in arms]
        until = np.array(hours, dtype=float)
        ends = np.minimum([[treatment_hours(problem.doses)] for problem in problems], until)
        peak_hours = np.empty((len(arms), 0))
        if peaks:
            pairs = zip(problems, until, strict=True)
            peak_hours = _pad_rows([_peak_hours(problem, limit) for problem, limit in pairs])
        # Axes arm, hour, series and term.
        doses = DoseSeries.combine(
            stack_series([problem.doses for problem in problems]),
            lambda values: np.stack(values, axis=-1)[..., None],
        )
        return cls(model, route, weight, doses, until, ends, peak_hours)

    def value(self, kind: str, bases: Mapping[str, Any] | None = None, xp: Any = np) -> Any:
        """Return an exposure of every arm, in ng/mL or ng h/mL."""
        return self._value(kind, self.model.values(self.weight, bases), xp)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the parameters that the exposures depend on."""
        read: set[str] = set()
        values = self.model.values(self.weight)
        recorded = {analyte: _RecordedReads(v, read) for analyte, v in values.items()}
        self._value("average_concentration", recorded, np)
        return tuple(symbol for _, symbol in self.model.parameters if symbol in read)

    def _value(self, kind: str, values: Mapping[str, Mapping[str, Any]], xp: Any) -> Any:
        responses = impulse_responses(self.model, values, self.route, xp)[self.model.analyte]
        responses = stack_terms(responses, xp)

        def evaluate(formula: Callable[..., Any], hours: np.ndarray) -> Any:
            parts = formula(responses, (self.doses,), hours[..., None, None], xp)
            return xp.sum(xp.sum(parts, axis=-1), axis=-1)

        if kind == "peak_concentration":
            value = _max_with_one_gradient(evaluate(superpose, self.peak_hours), xp)
        elif kind == "concentration_at_outcome":
            value = evaluate(superpose, self.outcome_hours)[..., 0]
        elif kind == "area":
            value = evaluate(area_to_time, self.outcome_hours)[..., 0]
        else:
            hours = np.where(self.treatment_ends > 0, self.treatment_ends, np.nan)
            value = (evaluate(area_to_time, self.treatment_ends) / hours)[..., 0]
        return value * unit_factor("ng/mL", self.model.analyte)


class _RecordedReads(UserDict[str, Any]):
    """Parameters of an analyte that records which symbols are read."""

    def __init__(self, values: Mapping[str, Any], read: set[str]) -> None:
        super().__init__(values)
        self.read = read

    def __getitem__(self, symbol: str) -> Any:
        value = super().__getitem__(symbol)
        self.read.add(symbol)
        return value


def _max_with_one_gradient(values: Any, xp: Any) -> Any:
    """Return the maximum along the last axis; ties share the gradient (`max` gives it to each)."""
    is_highest = xp.where(values < xp.max(values, axis=-1, keepdims=True), 0.0, 1.0)
    return xp.sum(values * is_highest, axis=-1) / xp.sum(is_highest, axis=-1)


def _peak_hours(problem: PKProblem, until: np.ndarray) -> np.ndarray:
    """Return hours of the peak for draws of the parameters, in ascending order."""
    model, attributes = problem.model, problem.attributes
    at_site = (model.analyte, SITE_HALF_LIFE) in model.parameters
    draws = SITE_PEAK_DRAWS if at_site else PEAK_DRAWS
    drawn = draw_parameters(model, np.random.default_rng(0), draws, variability="typical")
    of_draws = PKProblem.of(
        next(iter(problem.regimens.values())),
        model,
        attributes["weight_kg"],
        attributes["route"],
        attributes["agent"],
        drawn,
    )
    peaks = [find_peak(p, p.responses[model.analyte], until[:, None]) for p in (problem, of_draws)]
    hours = np.concatenate([np.ravel(hour) for _, hour in peaks])
    first, last = hours.min(), hours.max()
    if last - first < 1e-9 * (1 + last):
        return hours[:1]
    usual = np.quantile(hours[1:], np.linspace(0, 1, PEAK_HOURS - 1))
    more = np.geomspace(first, last, SITE_PEAK_HOURS if at_site else 0)
    return np.unique([*usual, hours[0], *more])
