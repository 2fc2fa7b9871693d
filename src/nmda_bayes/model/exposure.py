"""Exposures in the graph: concentrations whose parameters have priors of their own.

    kinetic parameter ~ log-normal, its published value and standard error     (one a model)
    site's half-life  ~ log-normal, as the spec has it             (one a drug and an outcome)
    exposure[arm]     = the published model's closed form, up to the reading   (one an outcome)

What is published between people (the coefficient of variation) has no place here: an arm's result
is about its mean person, and what is uncertain of that one is the standard error. Parameters of
which no error is published are held at their values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc.dims as pmd
import pytensor.tensor as pt

from nmda_bayes.components.exposures import EXPOSURES, Exposure
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.splitting import original_agent
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.pharmacokinetics.readings import Read, Readings
from nmda_bayes.regimens import parse_regimen


def graph_exposure(outcome: Outcome) -> Any:
    """Give the exposure of each arm: numbers of the design, or functions of kinetic parameters.

    Arms of printed differences keep the numbers, worked out with the published values: their rows
    do not hold the schedule that a closed form would need, so that the errors of the kinetics do
    not reach them. `show` and the report say how many they are.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    Any
        Dim arm.
    """
    numbers = outcome.over_arms(outcome.reported["exposure"].to_numpy(), "exposure")
    kind = EXPOSURES[outcome.spec.exposure]
    if outcome.kinetics is None or not kind.of or "kinetic_model" not in outcome.reported:
        return numbers
    parameters = outcome.kinetics.of_outcome(outcome.label)
    placed = _placed(outcome, parameters.kinetics, kind)
    at, groups = _side_by_side(placed, parameters.kinetics)
    if not any(parameters.vary(readings) for readings in groups):
        return numbers
    found = [
        readings.value(kind.of, parameters.of(readings.model, readings.symbols), pt)
        if parameters.vary(readings)
        else pt.as_tensor(readings.value(kind.of))
        for readings in groups
    ]
    values = pt.concatenate(found)[np.argsort(at)]
    value = values[: len(placed.rows)]
    if kind.relative:
        value = value / values[placed.reference]
    value = pt.set_subtensor(numbers.values[placed.rows], value)
    exposure = pmd.as_xtensor(value, dims=(outcome.arm,))
    return pmd.Deterministic(outcome.name("exposure"), exposure, dims=(outcome.arm,))


@dataclass(frozen=True)
class _Placed:
    """Arms whose exposure a model gives, and after them the reference regimens of their agents.

    Attributes
    ----------
    rows
        Places of the arms among all.
    reads
        What was given and when it was read: the arms', then the references'.
    models
        Model and route of each.
    reference
        For each arm, the place among `reads` of its agent's reference regimen.
    """

    rows: np.ndarray
    reads: list[Read]
    models: list[tuple[str, str]]
    reference: np.ndarray


def _placed(outcome: Outcome, kinetics: Kinetics, kind: Exposure) -> _Placed:
    reported = outcome.reported
    columns = ("agent", "agent_given", "route", "schedule", "kinetic_model", "read_at")
    arms = list(zip(*(reported[c].to_numpy() for c in columns), strict=True))
    # A pump's target is a number: no model said it.
    rows = [
        i
        for i, (_, _, _, schedule, model, _) in enumerate(arms)
        if isinstance(model, str) and model and parse_regimen(schedule).basis != "ng/mL"
    ]
    reads = [Read(arms[i][1], arms[i][3], float(arms[i][5])) for i in rows]
    models = [(arms[i][4], arms[i][2]) for i in rows]
    agents = [original_agent(str(arms[i][0])) for i in rows]
    place: dict[str, int] = {}
    for agent in dict.fromkeys(agents) if kind.relative else ():
        place[agent] = len(reads)
        reads.append(kinetics.reference_read(agent, kind.of))
        route, _ = kinetics.reference(agent)
        models.append((kinetics.spec.model_name(agent, route), route))
    reference = np.array([place.get(agent, 0) for agent in agents], dtype=int)
    return _Placed(np.array(rows, dtype=int), reads, models, reference)


def _side_by_side(placed: _Placed, kinetics: Kinetics) -> tuple[np.ndarray, list[Readings]]:
    """Gather what one model gives by one route: one evaluation of the closed form for all of it.

    Returns the place of each value among the reads, in the order of the groups.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for i, key in enumerate(placed.models):
        groups.setdefault(key, []).append(i)
    readings = [
        Readings.of(
            [placed.reads[i] for i in places],
            kinetics.published[name],
            route=route,
            weight=kinetics.weight,
        )
        for (name, route), places in groups.items()
    ]
    return np.array([i for places in groups.values() for i in places], dtype=int), readings
