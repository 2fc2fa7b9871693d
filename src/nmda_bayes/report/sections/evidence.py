"""Included and excluded data, the network, the evidence map, and doses as concentrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design import (
    BORROWED_SD,
    CONTRAST_REPORT,
    CUTOFF_COLUMN,
    EXCLUDED,
    RESPONDER_REPORT,
    ObservedVariable,
    n_cutoffs,
)
from nmda_bayes.design.pk_exposure import PKModels, pk_models_of_design
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.estimands.regimens import regimen_window
from nmda_bayes.estimands.time import regimen_over_time
from nmda_bayes.evidence.tree import SE_FROM_SD, SE_PRINTED
from nmda_bayes.figures import (
    plot_concentration,
    plot_evidence_map,
    plot_network,
    plot_regimen_window,
    plot_regimens_over_time,
)
from nmda_bayes.figures.dose import plot_exposure_axis
from nmda_bayes.pk import predict_concentrations
from nmda_bayes.pk.structure import SITE_HALF_LIFE
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.report.blocks import (
    Block,
    Fold,
    Heading,
    Items,
    Picture,
    Table,
    Text,
    build_table,
    fold_table,
    section,
)
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.equations import nominal_exposure_note
from nmda_bayes.report.format import (
    CRI,
    capitalise,
    count_noun,
    describe_probability,
    display_name,
    format_draws,
    format_effect,
    format_interval,
    format_number,
    join_words,
    list_some,
)

#: Rows of the evidence map, at most.
MAX_OUTCOMES: Final = 12
#: Shown in the map although no analysis may ask for them: what matters to patients.
SECONDARY_OUTCOMES: Final = [
    "depressive_symptoms",
    "opioid_use",
    "quality_of_life",
    "serious_adverse_event",
]
MAX_REGIMEN_LENGTH: Final = 60
#: Where every number of a user's table is from, which no column needs to repeat.
GIVEN: Final = "given"
#: Title of the result column, by the denominator of events.
RESULT_TITLES: Final = {
    "": "mean (SE)",
    "n": "events of participants",
    "person_time": "events in person-time",
}
#: Text columns of the included arms.
ARM_TEXTS: Final = [
    "study",
    "agent",
    "condition",
    "route",
    "regimen",
    "dose_note",
    "measure",
    "time_label",
    "source",
    "provenance",
    "se_from",
]
#: Standard errors as reported, or computed from a reported SD.
REPORTED_SE: Final = ("", SE_PRINTED, SE_FROM_SD)


@section("data", "Included data", 30)
def evidence_section(report: ReportContext) -> Iterator[Block]:
    """The included arms, the network, the excluded rows and the evidence map."""
    yield Text(_totals(report))
    network = report.fit.children["design"]
    if len(set(network["arms"]["agent"].to_numpy())) > 1:
        names = [*report.agents, report.spec.reference]
        labels = {agent: capitalise(report.agent(agent)) for agent in names}
        figure = plot_network(network, reference=report.spec.reference, labels=labels)
        caption = (
            "Network of the included agents, with the number of trials that compare them. Area of a"
            " node: participants of its arms, where they are known."
        )
        yield report.figures.add(figure, caption)
    for outcome in report.outcomes:
        yield Heading(f"Included arms: {report.label(outcome)}")
        for form in report.observed(outcome):
            yield _included_table(report, outcome, form)
    yield Heading("Excluded data")
    yield _excluded_table(report)
    yield from _evidence_map(report)


def _totals(report: ReportContext) -> str:
    arms = report.fit["design/arms"].to_dataset()
    designs = {report.label(outcome): report.design(outcome) for outcome in report.outcomes}
    by_outcome = "; ".join(
        f"{label}: {count_noun(len(set(rows['study'].to_numpy())), 'trial')},"
        f" {count_noun(rows.sizes['arm'], 'arm')}"
        for label, rows in designs.items()
    )
    origins = Counter(
        origin
        for rows in designs.values()
        for column in ("se_from", "estimate_se_from")
        for origin in (rows[column].to_numpy() if column in rows else ())
        if isinstance(origin, str) and origin not in REPORTED_SE
    )
    imputed = "; ".join(f"{count} from {origin}" for origin, count in sorted(origins.items()))
    imputations = f"Standard errors not reported: {imputed}" if imputed else "Nothing was imputed"
    trials = capitalise(count_noun(len(set(arms["study"].to_numpy())), "trial"))
    text = (
        f"{trials} with {count_noun(arms.sizes['arm'], 'arm')} ({by_outcome}). Every number has a"
        f" source. {imputations}."
    )
    for outcome in report.outcomes:
        counted = len(set(report.design(outcome)["study"].to_numpy()))
        if silent := report.silent_trials(outcome):
            text += (
                f" {report.title(outcome)}: in {len(silent)} of {count_noun(counted, 'trial')}"
                " nobody had the event, or everybody; they say nothing about the effect."
            )
    return text


def _included_table(report: ReportContext, outcome: str, form: ObservedVariable) -> Table | Fold:
    title, rows = report.title(outcome), form.design
    if form.report_format == CONTRAST_REPORT:
        frame = pd.DataFrame(
            {
                "contrast": rows["contrast"],
                "estimate": [format_effect(x) for x in rows["estimate"].to_numpy()],
                "SE": [format_effect(x) for x in rows["estimate_se"].to_numpy()],
                "source": _texts(rows, "estimate_source", rows.sizes["contrast"]),
            }
        )
        table = build_table(frame, f"{title}: contrasts as reported.")
        return fold_table(table, f"{count_noun(len(frame), 'contrast')}: {report.label(outcome)}")
    kind = ", trials that report responders" if form.report_format == RESPONDER_REPORT else ""
    caption = f"{title}: included arms{kind}."
    if report.has_dose(outcome):
        caption += f" {capitalise(report.axis_of(outcome))}; 0 is the reference."
    if not form.counts:
        caption += " SE: standard error of the mean."
    table = build_table(_included_arms(report, outcome, form), caption)
    summary = f"{count_noun(rows.sizes['arm'], 'arm')}{kind}: {report.label(outcome)}"
    return fold_table(table, summary)


def _included_arms(report: ReportContext, outcome: str, form: ObservedVariable) -> pd.DataFrame:
    design = form.design
    texts = pd.DataFrame({c: _texts(design, c, design.sizes["arm"]) for c in ARM_TEXTS})
    results = _event_texts(report, form) if form.counts else _mean_texts(design)
    exposures = design["exposure"].to_numpy().astype(float)
    rows = []
    for arm, exposure, result in zip(texts.to_dict("records"), exposures, results, strict=True):
        source, provenance = arm["source"], display_name(arm["provenance"])
        if not source and provenance == GIVEN:
            provenance = ""
        if source and provenance:
            source += f" ({provenance})"
        imputed = not form.counts and arm["se_from"] not in REPORTED_SE
        condition, measure = (
            report.condition(arm["condition"]),
            report.term(OUTCOME, arm["measure"]),
        )
        rows.append(
            {
                "study": arm["study"],
                "arm": _joined(report.agent(arm["agent"]), arm["route"], condition),
                "regimen": _joined(_shortened(arm["regimen"]), arm["dose_note"], separator="; "),
                "dose": _dose_cell(report, outcome, arm["agent"], exposure),
                RESULT_TITLES[form.at_risk]: result,
                "measure, time": _joined(measure, arm["time_label"]),
                "source (provenance)": _joined(
                    source or provenance,
                    f"SE from {arm['se_from']}" if imputed else "",
                    separator="; ",
                ),
            }
        )
    return pd.DataFrame(rows)


def _dose_cell(report: ReportContext, outcome: str, agent: str, exposure: float) -> str:
    if not report.has_dose(outcome):
        return ""
    return report.dose_text(outcome, agent, exposure) if exposure > 0 else "0"


def _mean_texts(design: xr.Dataset) -> list[str]:
    return [
        f"{format_effect(mean)} ({BORROWED_SD if np.isnan(se) else format_effect(se)})"
        for mean, se in zip(design["mean"].to_numpy(), design["se"].to_numpy(), strict=True)
    ]


def _event_texts(report: ReportContext, form: ObservedVariable) -> list[str]:
    design = form.design
    text = "{:.0f} of {:.0f}" if form.at_risk == "n" else "{:.0f} in {:g}"
    pairs = zip(design["events"].to_numpy(), design[form.at_risk].to_numpy(), strict=True)
    results = [text.format(*pair) for pair in pairs]
    for level in range(2, n_cutoffs(design) + 1):
        events = design[CUTOFF_COLUMN.format("events", level)].to_numpy().astype(float)
        measures = design[CUTOFF_COLUMN.format("measure", level)].to_numpy()
        for i, (count, measure) in enumerate(zip(events, measures, strict=True)):
            if not np.isnan(count):
                results[i] += f"; {count:.0f}: {report.term(OUTCOME, str(measure))}"
    return results


def _joined(*parts: str, separator: str = ", ") -> str:
    return separator.join(part for part in parts if part)


def _texts(design: xr.Dataset, column: str, size: int) -> list[str]:
    """A text column; empty where it is missing."""
    if column not in design:
        return [""] * size
    return ["" if pd.isna(text) else str(text) for text in design[column].to_numpy()]


def _shortened(text: str) -> str:
    limit = MAX_REGIMEN_LENGTH
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def _excluded_table(report: ReportContext) -> Block:
    excluded = report.fit[f"design/{EXCLUDED}"].to_dataset()
    if excluded.sizes.get("row", 0) == 0:
        return Text("None: all rows of these measures and this selection are included.")
    rows = pd.DataFrame(
        {c: excluded[c].to_numpy().astype(str) for c in ("study", "outcome", "reason")}
    )
    counts = rows.groupby(["outcome", "reason"], as_index=False).agg(
        rows=("study", "size"),
        trials=("study", "nunique"),
        examples=("study", lambda studies: list_some(studies.unique(), 3)),
    )
    counts = counts.sort_values(["outcome", "rows"], ascending=[True, False])
    counts["outcome"] = [
        report.label(o) if o in report.outcomes else display_name(o) for o in counts["outcome"]
    ]
    counts["reason"] = counts["reason"].map(display_name)
    table = build_table(
        counts,
        "Excluded rows of each outcome, by reason. A row is one arm at one time point,"
        " or one contrast.",
    )
    return fold_table(table, f"{count_noun(len(rows), 'excluded row')} by reason")


# --- Evidence map --------------------------------------------------------------------------------


def _evidence_map(report: ReportContext) -> Iterator[Block]:
    if "evidence_map" not in report.fit.children:
        return
    results = report.fit["evidence_map"].to_dataset()["results"]
    agents = [a for a in report.agents if a in results[AGENT].to_numpy()]
    conditions = [c for c in report.conditions if c in results[CONDITION].to_numpy()]
    if not agents or not conditions:
        return
    results = results.sel({AGENT: agents})
    known = [str(o) for o in results[OUTCOME].to_numpy()]
    wanted = [*(m for part in report.outcomes.values() for m in part.measures), *SECONDARY_OUTCOMES]
    outcomes = ([o for o in dict.fromkeys(wanted) if o in known] or known)[:MAX_OUTCOMES]
    figure = plot_evidence_map(results, agents=agents, conditions=conditions, outcomes=outcomes)
    caption = (
        f"Evidence map: trials with usable results in {report.fit.attrs['evidence_source']},"
        " included or not. Hatched: no trials (evidence gap)."
    )
    yield Heading("Evidence map")
    yield report.figures.add(figure, caption)
    cells = results.sel({OUTCOME: outcomes, CONDITION: conditions})
    gaps = [text for outcome in outcomes if (text := _gap_sentence(report, cells, outcome))]
    yield Items(tuple(gaps) or ("Every outcome shown has trials of every agent.",))


def _gap_sentence(report: ReportContext, results: xr.DataArray, outcome: str) -> str:
    """The gaps of one outcome by class of conditions; empty if there are none."""
    agents = [str(agent) for agent in results[AGENT].to_numpy()]
    gaps, partial = [], []
    for kind, members in _condition_classes(report, results).items():
        counts = results.sel({OUTCOME: outcome, CONDITION: members}).sum(CONDITION)
        tested = [agent for agent in agents if int(counts.sel({AGENT: agent})) > 0]
        if not tested:
            gaps.append(kind)
        elif len(tested) < len(agents):
            partial.append(f"in {kind} only trials of {join_words(map(report.agent, tested))}")
    texts = ([f"no trials in {join_words(gaps, 'or')}"] if gaps else []) + partial
    return f"{capitalise(report.term(OUTCOME, outcome))}: {'; '.join(texts)}." if texts else ""


def _condition_classes(report: ReportContext, results: xr.DataArray) -> dict[str, list[str]]:
    """Conditions by their broader class, where the evidence has one."""
    conditions = [str(c) for c in results[CONDITION].to_numpy()]
    within = f"{CONDITION}_within"
    kinds = results[within].to_numpy() if within in results.coords else [""] * len(conditions)
    classes: dict[str, list[str]] = {}
    for condition, kind in zip(conditions, kinds, strict=True):
        name = display_name(str(kind)) if kind and kind != "other" else report.condition(condition)
        name += " conditions" if name == "psychiatric" else ""
        classes.setdefault(name, []).append(condition)
    return classes


# --- Doses and concentrations --------------------------------------------------------------------

#: Window maps by regimen, at most: the cells with most trials.
MAX_MAPS: Final = 2
#: Trials whose concentrations are drawn, and schedules in one figure, at most.
MAX_COURSES, MAX_SCHEDULES = 2, 6
#: Factor by which the reference regimen is given faster and slower, and points of each line.
RATE_FACTOR, N_HOURS = 6, 40
TYPICAL_PERSON: Final = (
    "Concentrations are those of a typical person, because a trial arm reports the mean of its"
    " participants. Published between-person variability is not included."
)


@section("exposure", "Doses and concentrations", 40)
def exposure_section(report: ReportContext) -> Iterator[Block]:
    """The pharmacokinetic models, exposures of the arms, and results by regimen."""
    kinetics = pk_models_of_design(report.spec, report.fit["design"])
    outcomes = [o for o, part in report.outcomes.items() if EXPOSURES[part.exposure].metric]
    if kinetics is None or not outcomes:
        return
    if kinetics.spec.why:
        yield Text(kinetics.spec.why)
    weight = f"{kinetics.body_weight_kg:g} kg"
    text = f"Concentrations are computed for a {weight} adult, up to each measurement."
    if kinetics.spec.uncertainty == "fixed":
        text += (
            " Pharmacokinetic parameters are fixed at their published values; no interval in this"
        )
        text += " report includes their uncertainty."
    else:
        text += " Pharmacokinetic parameters have log-normal priors with their published values and"
        text += " standard errors; without a published standard error they are fixed."
    yield from (Text(text), Text(TYPICAL_PERSON), _pk_model_table(report, kinetics))
    for outcome in outcomes:
        arms = _exposure_arms(report, outcome)
        if (arms["exposure"] > 0).any():
            axis = EXPOSURES[report.outcomes[outcome].exposure].axis
            caption = f"{report.title(outcome)}: arms by {axis}, with their regimens."
            yield report.figures.add(plot_exposure_axis(arms, axis), caption)
    yield from _concentration_figures(report, kinetics, outcomes)
    yield from _pk_parameter_table(report, kinetics)
    for outcome in outcomes:
        if nominal := nominal_exposure_note(kinetics, report.design(outcome)):
            yield Text(f"{report.title(outcome)}: {nominal}.")
    yield from _regimen_figures(report, kinetics)


def _pk_model_table(report: ReportContext, kinetics: PKModels) -> Table | Fold:
    rows = []
    for agent, routes in kinetics.spec.model.items():
        for route, name in routes.items():
            model = kinetics.published[name]
            reference_route, regimen = kinetics.reference(agent)
            rows.append(
                {
                    "agent": report.agent(agent),
                    "route": route,
                    "model": name,
                    "analyte, specimen": f"{display_name(model.analyte)};"
                    f" {model.specimen or 'specimen not stated'}",
                    "population": model.population,
                    "not reported": "; ".join(model.lacks),
                    "reference regimen": f"{regimen} ({reference_route})" if regimen else "",
                }
            )
    table = build_table(pd.DataFrame(rows), "Published pharmacokinetic models named in the spec.")
    return fold_table(table, count_noun(len(rows), "model"))


def _exposure_arms(report: ReportContext, outcome: str) -> pd.DataFrame:
    design = report.design(outcome)
    columns = ["study", "agent", "route", "schedule", "exposure", "kinetic_model"]
    arms = pd.DataFrame({c: design[c].to_numpy() for c in columns if c in design})
    arms = arms.reindex(columns=columns)
    return arms.assign(
        schedule=arms["schedule"].fillna(""),
        exposure=arms["exposure"].astype(float),
        by_model=arms["kinetic_model"].fillna("") != "",
    )


def _concentration_figures(
    report: ReportContext, kinetics: PKModels, outcomes: list[str]
) -> Iterator[Picture]:
    """Concentrations over time in trials that gave an agent by several schedules."""
    columns = ["study", "agent", "agent_given", "route", "schedule", "kinetic_model", "read_at"]
    drawn = 0
    for outcome in outcomes:
        design = report.design(outcome)
        if any(column not in design for column in columns):
            continue
        arms = pd.DataFrame({c: design[c].to_numpy() for c in columns})
        arms = arms[arms["kinetic_model"].fillna("") != ""]
        for (study, agent, route), rows in arms.groupby(["study", "agent_given", "route"]):
            schedules = list(dict.fromkeys(rows["schedule"]))
            model = kinetics.for_outcome(outcome).model(str(agent), str(route))
            if not 1 < len(schedules) <= MAX_SCHEDULES or model is None or drawn == MAX_COURSES:
                continue
            hours = sorted({float(hour) for hour in rows["read_at"] if np.isfinite(float(hour))})
            curves = predict_concentrations(
                schedules,
                model,
                1.5 * max([1.0, *hours]),
                weight=kinetics.body_weight_kg,
                route=str(route),
                agent=str(agent),
                analytes=(model.analyte,),
            )
            site = " at the effect site" if kinetics.spec.effect_site.get(outcome) else ""
            times = "and times of measurement" if hours else "(time of measurement not reported)"
            caption = f"{study}: concentrations{site} predicted by {model.name}, {times}."
            yield report.figures.add(plot_concentration(curves, measured_at=hours), caption)
            drawn += 1


def _pk_parameter_table(report: ReportContext, kinetics: PKModels) -> Iterator[Table | Fold]:
    """Pharmacokinetic parameters before and after the data, where they have priors."""
    posterior = report.fit["posterior"].to_dataset()
    rows: dict[str, dict[str, str]] = {}
    for models in (kinetics, *map(kinetics.for_outcome, kinetics.spec.effect_site)):
        for name in models.model_names:
            model = models.published[name]
            for (analyte, symbol), parameter in model.parameters.items():
                variable = models.variable(model, symbol)
                if analyte != model.analyte or variable not in posterior:
                    continue
                value, factor = parameter.value, np.exp(1.959964 * models.log_sd(model, symbol))
                prior = format_interval(value / factor, value, value * factor, format_number)
                site = symbol == SITE_HALF_LIFE and models.outcome
                rows[variable] = {
                    "model": f"effect site of {report.label(models.outcome)}" if site else name,
                    "parameter": f"{display_name(symbol)}, {parameter.unit}",
                    "prior (published)": prior,
                    "posterior": format_draws(posterior[variable], format_number),
                }
    if rows:
        caption = f"Pharmacokinetic parameters: medians and {CRI}s, prior and posterior."
        table = build_table(pd.DataFrame(list(rows.values())), caption)
        yield fold_table(table, count_noun(len(rows), "parameter"))


def _regimen_figures(report: ReportContext, kinetics: PKModels) -> Iterator[Block]:
    """The targets by regimen, for the cells with most trials of benefit and harm."""
    window = report.spec.window
    if window is None or any(
        not EXPOSURES[part.exposure].metric and part.shape.needs_dose
        for part in report.outcomes.values()
    ):
        return
    cells = [
        (
            min(report.n_trials(o, agent, condition) for o in (window.benefit, window.harm)),
            agent,
            condition,
        )
        for agent in report.agents
        if kinetics.model(agent, "iv") is not None and kinetics.reference(agent)[0] == "iv"
        for condition in report.conditions
    ]
    most = sorted((cell for cell in cells if cell[0] > 0), key=lambda cell: -cell[0])[:MAX_MAPS]
    if not most:
        return
    yield Heading("Benefit and harm by regimen")
    yield from _rate_figure(report, kinetics, *most[0][1:])
    for _, agent, condition in most:
        regimens = regimen_window(report.fit, agent=agent, condition=condition)
        index = regimens["p_both"].argmax(("hours", "rate"))
        best = regimens.isel({dim: int(i) for dim, i in dict(index).items()})
        caption = (
            f"{capitalise(report.agent_in(agent, condition))}: probability of"
            " benefit with acceptable harm, by rate and duration of an infusion."
            f" {describe_probability('both targets met', float(best['p_both']))} is highest at"
            f" {format_number(float(best['rate']), 2)} mg/kg/h for"
            f" {format_number(float(best['hours']), 2)} h"
            + (", above the tested exposures." if bool(best["extrapolated"]) else ".")
        )
        yield report.figures.add(plot_regimen_window(regimens), caption)


def _rate_figure(
    report: ReportContext, kinetics: PKModels, agent: str, condition: str
) -> Iterator[Picture]:
    """The total dose of the reference regimen, given as there, faster and slower."""
    _, schedule = kinetics.reference(agent)
    reference = parse_regimen(schedule)
    total, duration = reference.total("mg/kg"), reference.hours
    if not (np.isfinite(total) and duration > 0):
        return
    regimens = [
        f"{total:g} mg/kg over {60 * duration / RATE_FACTOR:.3g} min",
        schedule,
        f"{total:g} mg/kg over {duration * RATE_FACTOR:.3g} h",
    ]
    grid = np.geomspace(duration / 10, 3 * RATE_FACTOR * duration, N_HOURS)
    results = regimen_over_time(
        report.thinned_fit,
        regimens,
        np.unique([*grid, duration]),
        agent=agent,
        condition=condition,
    )
    caption = (
        f"{capitalise(report.agent_in(agent, condition))}:"
        f" {format_number(total)} mg/kg over the time of the reference regimen, {RATE_FACTOR} times"
        f" faster and {RATE_FACTOR} times slower. Medians and {CRI}s."
    )
    yield report.figures.add(plot_regimens_over_time(results), caption)
