"""Exposures: by which models doses became concentrations, and what follows for regimens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.named_models import kinetics_of_design
from nmda_bayes.estimands.infusions import regimen_window
from nmda_bayes.estimands.regimen_course import regimen_over_time
from nmda_bayes.figures.concentration import plot_concentration
from nmda_bayes.figures.exposure_axis import plot_exposure_axis
from nmda_bayes.figures.regimens import plot_regimen_window
from nmda_bayes.figures.regimens_over_time import plot_regimens_over_time
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.pharmacokinetics import concentration
from nmda_bayes.pharmacokinetics.parameter import SITE_HALF_LIFE
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.report.blocks import Heading, Section, Text, as_table, folded
from nmda_bayes.report.kinetic_lines import nominal_line
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import count, number, opened, probability

#: Maps of regimens that a page shows: those with most trials.
MAPS = 2
#: Trials whose concentrations over time are drawn, and lines of one such figure.
COURSES, LINES = 2, 6
#: How many times as fast and as slowly a total dose is given, and points of each line.
SLOWER, HOURS = 6, 40
BETWEEN_PEOPLE = (
    "Concentrations are those of a typical person. What is published of the spread between people"
    " is not uncertainty of that person, and is not in them: a trial's arm is about its people's"
    " mean."
)


def exposure(view: View, gallery: Gallery) -> Section | None:
    """Say on what axes the outcomes stand, and what the fit says of regimens.

    Parameters
    ----------
    view
        The fit.
    gallery
        Numbers the figures.

    Returns
    -------
    Section or None
        None where no outcome stands on an axis of concentration.
    """
    kinetics = kinetics_of_design(view.spec, view.fit["design"])
    asking = [o for o in view.outcomes if EXPOSURES[view.outcomes[o].exposure].of]
    if kinetics is None or not asking:
        return None
    blocks: list[object] = [Text(_errors(kinetics)), Text(BETWEEN_PEOPLE), _models(view, kinetics)]
    if kinetics.spec.why:
        blocks.insert(0, Text(kinetics.spec.why))
    for outcome in asking:
        axis = EXPOSURES[view.outcomes[outcome].exposure].axis
        arms = _arms(view, outcome)
        if (arms["exposure"] > 0).any():
            caption = f"{opened(view.label(outcome))}: arms by {axis}, with what was given."
            blocks.append(gallery.picture(plot_exposure_axis(arms, axis), caption))
    blocks += list(_courses(view, kinetics, asking, gallery))
    blocks += list(_learned(view, kinetics))
    for outcome in asking:
        if nominal := nominal_line(kinetics, view.design(outcome)):
            blocks.append(Text(f"{opened(view.label(outcome))}: {nominal}."))
    blocks += list(_maps(view, kinetics, gallery))
    return Section("exposure", "From doses to concentrations", tuple(blocks))


def _errors(kinetics: Kinetics) -> str:
    weight = f"for a body of {kinetics.weight:g} kg, up to the hour of each reading"
    if kinetics.spec.uncertainty == "fixed":
        return (
            f"Concentrations are worked out {weight}, with the parameters of published models held"
            " at their values: what is uncertain of them is not in the intervals of this page."
        )
    return (
        f"Concentrations are worked out {weight}. Parameters of published models have log-normal"
        " priors around their published values with their published standard errors; where none is"
        " published they are held."
    )


def _models(view: View, kinetics: Kinetics) -> object:
    rows = []
    for agent, routes in kinetics.spec.model.items():
        for route, name in routes.items():
            model = kinetics.published[name]
            one_route, one = kinetics.reference(agent)
            rows.append(
                {
                    "agent": view.agent(agent) if agent in view.agents else agent.replace("_", " "),
                    "route": route,
                    "model": name,
                    "of": f"{model.analyte.replace('_', ' ')}; {model.specimen or 'not read'}",
                    "in": model.population,
                    "lacks": "; ".join(model.lacks),
                    "reference": f"{one} ({one_route})" if one else "",
                }
            )
    columns = {
        "agent": ("agent", None),
        "route": ("route", None),
        "model": ("model", None),
        "of": ("measures", None),
        "in": ("people", None),
        "lacks": ("not known of it", None),
        "reference": ("reference regimen", None),
    }
    caption = (
        "The published pharmacokinetic models that the spec names; another choice is a variant."
    )
    table = as_table(pd.DataFrame(rows), caption, columns)
    return folded(table, count(len(rows), "model"))


def _arms(view: View, outcome: str) -> pd.DataFrame:
    design = view.design(outcome)
    columns = ("study", "agent", "route", "schedule", "exposure", "kinetic_model")
    arms = pd.DataFrame({c: design[c].to_numpy() for c in columns if c in design})
    arms = arms.reindex(columns=list(columns))
    arms["schedule"] = arms["schedule"].fillna("")
    arms["exposure"] = arms["exposure"].astype(float)
    return arms.assign(by_model=arms["kinetic_model"].fillna("") != "")


def _courses(
    view: View, kinetics: Kinetics, outcomes: list[str], gallery: Gallery
) -> Iterator[object]:
    """Concentrations over time in trials that gave an agent in two ways, and the readings."""
    drawn = 0
    for outcome in outcomes:
        design = view.design(outcome)
        columns = ("study", "agent", "agent_given", "route", "schedule", "kinetic_model", "read_at")
        arms = pd.DataFrame({c: design[c].to_numpy() for c in columns if c in design})
        if len(arms.columns) < len(columns):
            continue
        arms = arms[arms["kinetic_model"].fillna("") != ""]
        for (study, given, route), mine in arms.groupby(["study", "agent_given", "route"]):
            schedules = list(dict.fromkeys(mine["schedule"]))
            model = kinetics.of_outcome(outcome).model(str(given), str(route))
            if not 1 < len(schedules) <= LINES or model is None or drawn == COURSES:
                continue
            hours = sorted({float(hour) for hour in mine["read_at"] if np.isfinite(float(hour))})
            found = concentration(
                schedules, model, 1.5 * max([1.0, *hours]), weight=kinetics.weight,
                route=str(route), agent=str(given), analytes=(model.analyte,),
            )  # fmt: skip
            where = " at the effect site" if kinetics.spec.effect_site.get(outcome) else ""
            caption = (
                f"{study}: concentrations{where} that {model.name} predicts of its arms, and when"
                f" {view.label(outcome)} was read" + ("." if hours else " (no hour is given).")
            )
            figure = plot_concentration(found, measured_at=hours)
            yield gallery.picture(figure, caption)
            drawn += 1


def _learned(view: View, kinetics: Kinetics) -> Iterator[object]:
    """Kinetic parameters before and after the trials, where they have priors."""
    posterior = view.fit["posterior"].to_dataset()
    rows: dict[str, dict[str, str]] = {}
    for here in (kinetics, *map(kinetics.of_outcome, kinetics.spec.effect_site)):
        for name in here.used:
            model = here.published[name]
            for (analyte, symbol), parameter in model.parameters.items():
                variable = here.variable(model, symbol)
                if analyte != model.analyte or variable not in posterior:
                    continue
                low, mid, high = np.quantile(posterior[variable].to_numpy(), [0.025, 0.5, 0.975])
                wide = np.exp(1.959964 * here.log_sd(model, symbol))
                was = (parameter.value / wide, parameter.value, parameter.value * wide)
                at_site = f"effect site of {view.label(here.outcome)}" if here.outcome else name
                rows[variable] = {
                    "model": name if symbol != SITE_HALF_LIFE else at_site,
                    "parameter": f"{symbol.replace('_', ' ')}, {parameter.unit}",
                    "published": _interval(*was),
                    "after": _interval(low, mid, high),
                }
    if rows:
        heads = {"published": "before (published, or the prior)", "after": "after the trials"}
        columns = {c: (heads.get(c, c), None) for c in ("model", "parameter", *heads)}
        caption = (
            f"Kinetic parameters before and after the trials: medians and {INTERVAL_TEXT}s. Where"
            " both agree the trials said nothing of them."
        )
        table = as_table(pd.DataFrame(list(rows.values())), caption, columns)
        yield folded(table, count(len(rows), "parameter"))


def _interval(low: float, mid: float, high: float) -> str:
    return f"{number(mid)} ({number(low)} to {number(high)})"


def _maps(view: View, kinetics: Kinetics, gallery: Gallery) -> Iterator[object]:
    """The window in regimens, for the agents and conditions with most trials of both outcomes."""
    window = view.spec.window
    if window is None or any(
        not EXPOSURES[view.outcomes[o].exposure].of and view.has_dose(o) for o in view.outcomes
    ):
        return
    cells = [
        (min(view.trials(o, a, c) for o in (window.benefit, window.harm)), a, c)
        for a in view.agents
        if kinetics.model(a, "iv") is not None and kinetics.reference(a)[0] == "iv"
        for c in view.conditions
    ]
    best = sorted((cell for cell in cells if cell[0] > 0), key=lambda cell: -cell[0])[:MAPS]
    if best:
        yield Heading("The window in regimens")
    for _, agent, condition in best[:1]:
        yield from _slower(view, kinetics, gallery, agent, condition)
    for _, agent, condition in best:
        found = regimen_window(view.fit, agent=agent, condition=condition)
        at = found["p_both"].argmax(("hours", "rate"))
        top = found.isel({dim: int(place) for dim, place in dict(at).items()})
        caption = (
            f"{opened(view.agent(agent))} in {view.condition(condition)}: the probability of enough"
            " benefit and acceptable harm, by rate and duration of an infusion. It is highest,"
            f" {probability(float(top['p_both']))}, at {number(float(top['rate']), 2)} mg/kg/h for"
            f" {number(float(top['hours']), 2)} h"
            + (", beyond the exposures tried." if bool(top["extrapolated"]) else ".")
        )
        yield gallery.picture(plot_regimen_window(found), caption)


def _slower(
    view: View, kinetics: Kinetics, gallery: Gallery, agent: str, condition: str
) -> Iterator[object]:
    """One total dose as the reference regimen gives it, faster and slower, hour by hour."""
    _, schedule = kinetics.reference(agent)
    one = parse_regimen(schedule)
    total, lasts = one.total("mg/kg"), one.hours
    if not (np.isfinite(total) and lasts > 0):
        return
    regimens = [f"{total:g} mg/kg over {60 * lasts / SLOWER:.3g} min", schedule]
    regimens.append(f"{total:g} mg/kg over {lasts * SLOWER:.3g} h")
    hours = np.unique([*np.geomspace(lasts / 10, 3 * SLOWER * lasts, HOURS), lasts])
    found = regimen_over_time(view.thinned, regimens, hours, agent=agent, condition=condition)
    caption = (
        f"{opened(view.agent(agent))} in {view.condition(condition)}: {number(total)} mg/kg given"
        f" {SLOWER} times as fast as the reference regimen, like it, and {SLOWER} times as slowly."
        f" Medians and {INTERVAL_TEXT}s."
    )
    yield gallery.picture(plot_regimens_over_time(found), caption)
