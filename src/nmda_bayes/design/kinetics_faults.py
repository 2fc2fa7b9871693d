"""What a spec has to say of pharmacokinetic models and does not, or says wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from nmda_bayes.components.exposures import EXPOSURES, PEAK
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.named_models import kinetics_of
from nmda_bayes.errors import Fault, InputError, nearest
from nmda_bayes.pharmacokinetics import PharmacokineticModel
from nmda_bayes.pharmacokinetics.content import content_of
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.kinetics import ANY_ROUTE, KEY, site_example

#: A share of a peak below which there is no concentration.
NOTHING = 1e-9


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
        name: {*(outcome.measures or (name,)), ""}
        for name, outcome in spec.outcomes.items()
        if EXPOSURES[outcome.exposure].of
    }
    rows = results[results["outcome"].isin(set().union(*asking.values()))]
    yield from _faults(kinetics, spec, rows)
    for name in kinetics.spec.effect_site:
        given = results.loc[results["outcome"].isin(asking.get(name, set())), "agent_given"]
        yield from _site_faults(kinetics, name, sorted(set(given)))


def _faults(kinetics: Kinetics, spec: AnalysisSpec, rows: pd.DataFrame) -> Iterator[Fault]:
    """Find what the spec has to say of the models and does not, or says wrong."""
    for agent, routes in kinetics.spec.model.items():
        for route, name in routes.items():
            if fault := _model_fault(kinetics, agent, route, name):
                yield fault
    kinds = {n: o.exposure for n, o in spec.outcomes.items() if EXPOSURES[o.exposure].relative}
    kinds = {name: kind for name, kind in kinds.items() if EXPOSURES[kind].of}
    for agent in kinetics.spec.reference:
        yield from _reference_faults(kinetics, agent, kinds)
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


def _site_faults(kinetics: Kinetics, outcome: str, given: list[str]) -> Iterator[Fault]:
    """Find drugs whose way to an outcome's effect site is not said, or that no model is of."""
    site, column = kinetics.spec.effect_site[outcome], f"{KEY}.effect_site.{outcome}"
    of = {
        agent: [kinetics.published[n].agent for n in routes.values() if n in kinetics.published]
        for agent, routes in kinetics.spec.model.items()
    }
    drugs = sorted({drug for mine in of.values() for drug in mine})
    for drug in sorted({drug for agent in given for drug in of.get(agent, [])} - set(site)):
        yield Fault(
            f"models of '{drug}' are named, and nothing says how fast it reaches the effect site",
            f"Write the half-life of equilibration under it: {site_example(drug)}.",
            column=f"{column}.{drug}",
        )
    for drug in site:
        if drug not in drugs:
            message = f"no model that the spec names is of '{drug}'"
            yield Fault(message, nearest(drug, drugs), column=f"{column}.{drug}")


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


def _reference_faults(kinetics: Kinetics, agent: str, kinds: Mapping[str, str]) -> Iterator[Fault]:
    """Find reference regimens that no model, or no relative exposure of `kinds`, can take."""
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
        return
    for name in sorted(kinds):
        of = EXPOSURES[kinds[name]].of
        mine = kinetics.of_outcome(name)
        if not mine.model(agent, route):
            continue
        # What rounding leaves of a bolus at the moment that it is given is not 0.
        least = NOTHING * mine.reference_value(agent, PEAK)
        if not mine.reference_value(agent, of) > least:
            yield Fault(
                f"the reference regimen of '{agent}' has no {of.replace('_', ' ')} above 0, and"
                f" outcome '{name}' is relative to it",
                "Say how long it takes ('0.5 mg/kg over 40 min'), or take another exposure.",
                column=column,
            )


def _tells_of(model: PharmacokineticModel, agent: str) -> bool:
    try:
        content_of(agent, model)
    except InputError:
        return False
    return True
