"""What a spec has to say of pharmacokinetic models and does not, or says wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design.kinetics import Kinetics, kinetics_of
from nmda_bayes.errors import Fault, InputError, nearest
from nmda_bayes.pharmacokinetics import PharmacokineticModel
from nmda_bayes.pharmacokinetics.models import content_of
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.kinetics import ANY_ROUTE, KEY


def kinetics_faults(spec: AnalysisSpec, selected: Mapping[str, pd.DataFrame]) -> Iterator[Fault]:
    """Find what a spec has to say of pharmacokinetic models and does not, or says wrong.

    Parameters
    ----------
    spec
        The analysis.
    selected
        Rows of results, and the tables of `kinetics_tables`.

    Yields
    ------
    Fault
        At its key.
    """
    kinetics = kinetics_of(spec, selected, every=True)
    if kinetics is None:
        return
    results = selected["results"]
    asking = {
        measure
        for name, outcome in spec.outcomes.items()
        if EXPOSURES[outcome.exposure].of
        for measure in (*(outcome.measures or (name,)), "")
    }
    yield from _faults(kinetics, spec, results[results["outcome"].isin(asking)])


def _faults(kinetics: Kinetics, spec: AnalysisSpec, rows: pd.DataFrame) -> Iterator[Fault]:
    """Find what the spec has to say of the models and does not, or says wrong."""
    for agent, routes in kinetics.spec.model.items():
        for route, name in routes.items():
            if fault := _model_fault(kinetics, agent, route, name):
                yield fault
    for agent in kinetics.spec.reference:
        yield from _reference_faults(kinetics, agent)
    active = rows[rows["agent"] != spec.reference]
    for given, route in sorted(set(zip(active["agent_given"], active["route"], strict=True))):
        named = kinetics.spec.model_name(given, route) or given in kinetics.spec.relative_dose
        known = [] if named else _models_of(kinetics, given, route)
        if known:
            yield Fault(
                f"no pharmacokinetic model of '{given}' by the route '{route}' is named, and"
                " a choice among published models is not made for you",
                f'Write {given} = {{ {route} = "..." }} under {KEY}.model, one of:'
                f" {', '.join(known)}; or name the agent in relative_dose.",
                column=f"{KEY}.model.{given}.{route}",
            )
    relative = any(EXPOSURES[o.exposure].relative for o in spec.outcomes.values())
    modelled = active[[bool(kinetics.spec.model_name(a, r)) for a, r in
                       zip(active["agent_given"], active["route"], strict=True)]]  # fmt: skip
    for agent in sorted(set(modelled["agent"])) if relative else ():
        if agent not in kinetics.spec.reference:
            yield Fault(
                f"agent '{agent}' has no reference regimen, and its exposure is relative to it",
                f'Write {agent} = {{ iv = "..." }} under [{KEY}.reference].',
                column=f"{KEY}.reference.{agent}",
            )


def _models_of(kinetics: Kinetics, agent: str, route: str) -> list[str]:
    """List the published models that an agent by a route can be computed with."""
    return [
        name
        for name, model in kinetics.published.items()
        if route in model.routes and _tells_of(model, agent)
    ]


def _model_fault(kinetics: Kinetics, agent: str, route: str, name: str) -> Fault | None:
    column = f"{KEY}.model.{agent}" + ("" if route == ANY_ROUTE else f".{route}")
    if name not in kinetics.published:
        message = f"no published model is called '{name}'"
        return Fault(message, nearest(name, list(kinetics.published)), column=column)
    model = kinetics.published[name]
    if not _tells_of(model, agent):
        known = [n for n, m in kinetics.published.items() if _tells_of(m, agent)]
        mend = f"Models of it: {', '.join(known)}." if known else "No published model is of it."
        return Fault(f"the model '{name}' is of {model.agent}, not of {agent}", mend,
                     column=column)  # fmt: skip
    if route not in (ANY_ROUTE, *model.routes):
        known = _models_of(kinetics, agent, route)
        mend = f"Models of it: {', '.join(known)}." if known else "No published model has it."
        return Fault(f"the model '{name}' has no absorption for the route '{route}'", mend,
                     column=column)  # fmt: skip
    return None


def _reference_faults(kinetics: Kinetics, agent: str) -> Iterator[Fault]:
    route, _ = kinetics.reference(agent)
    column = f"{KEY}.reference.{agent}.{route}"
    model = kinetics.model(agent, route)
    if model is None:
        if agent not in kinetics.spec.model or kinetics.spec.model_name(agent, route) == "":
            mend = f"Write {agent} under {KEY}.model, for this route."
            yield Fault(f"the reference regimen of '{agent}' has no model", mend, column=column)
        return
    try:
        kinetics.readings(kinetics.reference_read(agent, "area"))
    except InputError as wrong:
        yield from (Fault(f.message, f.mend, column=column) for f in wrong.faults)


def _tells_of(model: PharmacokineticModel, agent: str) -> bool:
    try:
        content_of(agent, model)
    except InputError:
        return False
    return True
