"""Concentrations after regimens: a `PKProblem` puts model, regimens, body and route together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.errors import InputError, Issue, suggest_match
from nmda_bayes.pk.responses import (
    DoseSeries,
    ImpulseResponse,
    dose_series,
    fill_durations,
    impulse_responses,
    stack_series,
    superpose,
)
from nmda_bayes.pk.structure import MOLAR_MASS, PKModel, salt_factor
from nmda_bayes.regimens import Regimen, parse_regimen

Regimens = str | Regimen | Mapping[str, str | Regimen] | Sequence[str | Regimen]

#: Numbers in an array that is computed at once: a megabyte stays in the processor's cache.
BLOCK_SIZE = 2**17
#: Starts and ends of doses that a time grid includes.
MAX_GRID_EDGES = 400

#: Units of concentration: what 1 mg/L is in each; of a molar unit, what 1 mmol/L is.
MASS_UNITS = {"ng/mL": 1000.0, "ug/mL": 1.0, "mg/L": 1.0, "ug/L": 1000.0}
MOLAR_UNITS = {"mmol/L": 1.0, "umol/L": 1000.0, "nmol/mL": 1000.0, "nmol/L": 1e6}


def predict_concentrations(
    regimen: Regimens,
    model: PKModel,
    times: Any,
    *,
    weight: float = 70.0,
    route: str = "iv",
    agent: str = "",
    parameters: xr.Dataset | None = None,
    analytes: Sequence[str] = (),
    unit: str = "ng/mL",
) -> xr.DataArray:
    """Predict concentrations of a drug and its metabolites after a regimen.

    Parameters
    ----------
    regimen
        In the notation of `parse_regimen`, or parsed. Several, as a list or by name, are computed
        together.
    model
        From `published_model`.
    times
        Hours since the first administration; at the time of a bolus the dose is included. One
        number: up to that hour, on a grid that includes start and end of every dose.
    weight
        Body weight, kg.
    route
        Route of the doses.
    agent
        The agent given, if the model is of a part of it: half of ``ketamine`` is S-ketamine, 9.86%
        of ``magnesium_sulfate`` is magnesium.
    parameters
        From `draw_parameters`; by default the typical values.
    analytes
        Analytes of the model; by default all.
    unit
        Unit of concentration: ng/mL, mg/L, nmol/mL, mmol/L, ...

    Returns
    -------
    xr.DataArray
        Dims analyte, draw (with `parameters`), regimen (if several) and time. An endogenous
        baseline is included.

    Raises
    ------
    InputError
        If the schedule is incomplete (E705, E757), or the model has no parameters for the route
        (E755) or the agent (E756).

    Examples
    --------
    >>> model = nb.published_pk_model("Simons2022", evidence)
    >>> curve = nb.predict_concentrations("0.5 mg/kg over 40 min", model, [1, 4], agent="ketamine")
    >>> curve.sizes["analyte"], curve.sizes["time"], curve.attrs["units"]
    (3, 2, 'ng/mL')
    """
    problem = PKProblem.of(regimen, model, weight, route, agent, parameters)
    problem = problem.select_analytes(analytes)
    hours = problem.time_grid(float(times)) if np.ndim(times) == 0 else np.asarray(times, float)
    values = [
        (problem.evaluate(superpose, responses, hours) + problem.values[name].get("baseline", 0.0))
        * unit_factor(unit, name)
        for name, responses in problem.responses.items()
    ]
    return problem.to_dataarray(values, hours).assign_attrs(
        long_name="concentration", units=unit, **problem.attributes
    )


@dataclass(frozen=True, slots=True)
class PKProblem:
    """Regimens, a model, a body and a route, with the responses of each analyte."""

    model: PKModel
    regimens: Mapping[str, Regimen]
    doses: tuple[DoseSeries, ...]
    responses: Mapping[str, tuple[ImpulseResponse, ...]]
    values: Mapping[str, Mapping[str, Any]]
    attributes: Mapping[str, Any]
    draw_labels: np.ndarray | None

    @classmethod
    def of(
        cls,
        regimen: Regimens,
        model: PKModel,
        weight: float,
        route: str,
        agent: str,
        parameters: xr.Dataset | None,
        *,
        require_durations: bool = True,
    ) -> PKProblem:
        """Check the arguments of `predict_concentrations` and prepare its formulas."""
        if not weight > 0:
            hint = "Give a weight above 0 kg."
            raise InputError([Issue("E750", f"body weight of {weight:g} kg", hint)])
        by_label = _by_label(regimen)
        model.paths(route)  # an unknown route is reported before anything else
        agent = agent or model.agent
        factor = salt_factor(agent, model)
        weighed = {label: each.for_weight(weight) for label, each in by_label.items()}
        checked_route = route if require_durations else ""
        doses = [
            [
                replace(series, amount=series.amount * factor)
                for series in fill_durations(_series(each), checked_route, by_label[label])
            ]
            for label, each in weighed.items()
        ]
        values: dict[str, dict[str, Any]] = model.values(weight, parameters)
        if parameters is not None:
            values = {
                name: {symbol: np.reshape(v, (-1, 1, 1)) for symbol, v in by_symbol.items()}
                for name, by_symbol in values.items()
            }
        attributes = {
            "agent": agent,
            "route": route,
            "regimen": "; or ".join(map(str, by_label.values())),
            "model": model.name,
            "weight_kg": float(weight),
            "specimen": model.specimen or "not known",
            "assumes": "; ".join(model.assumes),
            "lacks": "; ".join(model.lacks),
        }
        draws = None if parameters is None else parameters["draw"].to_numpy()
        responses = impulse_responses(model, values, route)
        aligned = tuple(doses[0]) if len(doses) == 1 else stack_series(doses)
        return cls(model, weighed, aligned, responses, values, attributes, draws)

    def select_analytes(self, analytes: Sequence[str]) -> PKProblem:
        """Keep some analytes; all if none is named."""
        if unknown := [name for name in analytes if name not in self.responses]:
            message = f"the model '{self.model.name}' does not predict '{unknown[0]}'"
            hint = suggest_match(unknown[0], list(self.responses))
            raise InputError([Issue("E751", message, hint)])
        names = analytes or self.responses
        return replace(self, responses={name: self.responses[name] for name in names})

    def time_grid(self, until: float) -> np.ndarray:
        """Return times up to an hour, dense after the start and end of doses."""
        edges = {0.0}
        for regimen in self.regimens.values():
            for event in regimen.events():
                edges |= {event.start_hours, event.start_hours + np.nan_to_num(event.hours)}
        near = np.concatenate([[-1e-9, 0.0], np.geomspace(1e-3, 1.0, 16)])
        after_edges = np.add.outer(np.array(sorted(edges))[:MAX_GRID_EDGES], near).ravel()
        times = np.concatenate([np.linspace(0, until, 400), after_edges])
        return np.unique(times[(times >= 0) & (times <= until)])

    def evaluate(
        self,
        formula: Callable[[Sequence[ImpulseResponse], Sequence[DoseSeries], Any], Any],
        responses: Sequence[ImpulseResponse],
        hours: np.ndarray,
    ) -> Any:
        """Evaluate a function of time in blocks that fit the processor's cache."""
        rows = len(self.regimens) * self._n_draws
        blocks = min(max(1, math.ceil(rows * hours.shape[-1] / BLOCK_SIZE)), hours.shape[-1])
        parts = [
            formula(responses, self.doses, block)
            for block in np.array_split(hours, blocks, axis=-1)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    @property
    def _n_draws(self) -> int:
        return 1 if self.draw_labels is None else len(self.draw_labels)

    def to_dataarray(self, values: Sequence[Any], times: np.ndarray | None = None) -> xr.DataArray:
        """Label arrays, one per analyte: dims analyte, draw, regimen and time, if any."""
        shape = (self._n_draws, len(self.regimens), 1 if times is None else len(times))
        array = xr.DataArray(
            np.stack([np.broadcast_to(value, shape) for value in values]),
            dims=("analyte", "draw", "regimen", "time"),
            coords={"analyte": list(self.responses)},
        )
        if times is None:
            array = array.isel(time=0)
        else:
            array = array.assign_coords(time=("time", times, {"units": "h"}))
        if self.draw_labels is None:
            array = array.isel(draw=0)
        else:
            array = array.assign_coords(draw=self.draw_labels)
        labels = list(self.regimens)
        return array.isel(regimen=0) if labels == [""] else array.assign_coords(regimen=labels)


def _by_label(regimen: Regimens) -> dict[str, Regimen]:
    if isinstance(regimen, str | Regimen):
        regimen = {"": regimen}
    elif not isinstance(regimen, Mapping):
        regimen = {str(each): each for each in regimen}
    return {
        label: parse_regimen(each) if isinstance(each, str) else each
        for label, each in regimen.items()
    }


def _series(regimen: Regimen) -> tuple[DoseSeries, ...]:
    if regimen.basis == "ng/mL":
        message = f"the schedule '{regimen}' aims at a concentration and has no dose"
        hint = "The target of a pump is the concentration itself: no model is needed."
        raise InputError([Issue("E752", message, hint)])
    return dose_series(regimen)


def unit_factor(unit: str, analyte: str) -> float:
    """Return what 1 mg/L of an analyte is in a unit of concentration."""
    if unit in MASS_UNITS:
        return MASS_UNITS[unit]
    if unit not in MOLAR_UNITS:
        hint = f"Known: {', '.join((*MASS_UNITS, *MOLAR_UNITS))}."
        raise InputError([Issue("E753", f"unknown unit of concentration '{unit}'", hint)])
    if analyte not in MOLAR_MASS:
        message = f"the molar mass of '{analyte}' is not known"
        raise InputError([Issue("E754", message, "Use a unit of mass, such as ng/mL.")])
    return MOLAR_UNITS[unit] / MOLAR_MASS[analyte]
