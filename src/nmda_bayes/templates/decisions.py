"""What only the owner of a table can decide: each is set by the user, or becomes a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.describe import infer_reference
from nmda_bayes.evidence.importers.options import ImportOptions, is_named
from nmda_bayes.evidence.network import ZERO_DOSE
from nmda_bayes.evidence.tree import MD
from nmda_bayes.templates.outcome_data import (
    CONTRASTS,
    CORRELATIONS,
    COUNTS,
    KIND_TEXTS,
    MEANS,
    RATES,
    SPARSE_EVENTS,
    STANDARDISED,
    OutcomeData,
    active_doses,
    dose_unit,
    find_outcome,
)

SET_BY_USER: Final = "set by you"
#: The shipped templates of each kind of data, and of curves over dose.
TEMPLATE_COUNTS, TEMPLATE_SPARSE = "template_counts", "template_sparse_counts"
TEMPLATE_RATES, TEMPLATE_MEANS = "template_rates", "template_means"
TEMPLATE_CONTRASTS, TEMPLATE_DIFFERENCES = "template_contrasts", "template_differences"
TEMPLATE_CORRELATIONS = "template_correlations"
TEMPLATE_EMAX, TEMPLATE_LOG_LINEAR = "template_dose_response", "template_log_linear"
CURVE_TEMPLATES: Final = (TEMPLATE_EMAX, TEMPLATE_LOG_LINEAR)
#: The kind of data that each template analyses; that of a curve may be any.
DATA_OF: Final = {
    TEMPLATE_COUNTS: COUNTS,
    TEMPLATE_SPARSE: COUNTS,
    TEMPLATE_RATES: RATES,
    TEMPLATE_MEANS: MEANS,
    TEMPLATE_CONTRASTS: CONTRASTS,
    TEMPLATE_DIFFERENCES: CONTRASTS,
    TEMPLATE_CORRELATIONS: CONTRASTS,
    TEMPLATE_EMAX: "",
    TEMPLATE_LOG_LINEAR: "",
}
#: Doses of one agent from which a ceiling can be told from a slope.
DOSES_FOR_CEILING: Final = 3
#: Outcomes for which the settings of each are asked for before one is chosen.
MAX_CANDIDATES: Final = 6
MEASURE_HINT: Final = (
    "Set it with --set measure=log_OR (or log_RR, log_HR, log_IRR; OR and so on if they are not"
    " logarithms), --set measure=SMD, or --set measure=MD."
)
#: How crossover trials enter, in words.
CROSSOVER_TEXTS: Final = {
    "parallel": "enter as if the people of their arms differed: their errors are too wide",
    "paired": "enter with a correlation of means within people; their counts as if people differed",
    "first": "enter with results of their first period only",
}
#: Proposals for the therapeutic window: a tenth of the scale or of the people, one in ten.
BENEFIT_SHARE, SMALL_SMD, RISK_AT_MOST = 0.1, 0.2, 0.1


# Which outcomes.


@dataclass(frozen=True)
class ChosenOutcomes:
    """The outcomes that are analysed: one, or a benefit and a harm. Several are candidates."""

    outcomes: tuple[OutcomeData, ...]
    is_joint: bool = False
    is_decided: bool = True


def choose_outcomes(
    every: list[OutcomeData], source: str, options: ImportOptions, questions: list[Issue]
) -> ChosenOutcomes:
    """Choose the only outcome, those that the user names, or ask."""
    if not every:
        message = "the table has no usable row"
        questions.append(Issue("E462", message, "See the reasons above.", source))
        return ChosenOutcomes((), is_decided=False)
    for name in (*options.scale_of, *options.better_of):
        if not any(is_named(data.name, name) for data in every):
            hint = suggest_match(name, [data.name for data in every])
            message = f"a setting is for outcome '{name}', which has no usable row"
            questions.append(Issue("E463", message, hint, source, None, "outcome"))
    joint = options.benefit is not None or options.harm is not None
    if joint and (options.benefit is None or options.harm is None):
        missing = "benefit" if options.benefit is None else "harm"
        hint = f"Add --set {missing}=... with one of: {_names(every)}."
        questions.append(Issue("E464", f"the {missing} is not named", hint, source, None, missing))
    if joint and options.outcome is not None:
        hint = "Leave out outcome=, or benefit= and harm=."
        message = "one outcome and a pair of outcomes are both set"
        questions.append(Issue("E464", message, hint, source, None, "outcome"))
    named = [n for n in (options.outcome, options.benefit, options.harm) if n is not None]
    if named:
        chosen = [find_outcome(every, name) for name in named]
        questions += [issue for issue in chosen if isinstance(issue, Issue)]
        matches = [data for data in chosen if isinstance(data, OutcomeData)]
        if joint and len(matches) == 2 and matches[0].name == matches[1].name:
            message, hint = "benefit and harm are one outcome", f"Choose two of: {_names(every)}."
            questions.append(Issue("E464", message, hint, source, None, "harm"))
        decided = len(matches) == len(named) and (not joint or len(matches) == 2)
        return ChosenOutcomes(tuple(matches), joint, decided)
    if len(every) == 1:
        return ChosenOutcomes(tuple(every))
    questions.append(_outcome_question(every, source))
    candidates = every if len(every) <= MAX_CANDIDATES else []
    return ChosenOutcomes(tuple(candidates), is_decided=False)


def _names(every: Sequence[OutcomeData]) -> str:
    return ", ".join(f"'{data.name}'" for data in every)


def _outcome_question(every: list[OutcomeData], source: str) -> Issue:
    harms = [data for data in every if data.kinds == [COUNTS]]
    benefits = [data for data in every if data not in harms] or harms[:1]
    first = f"'outcome={every[0].name}'" if " " in every[0].name else f"outcome={every[0].name}"
    hint = f"Choose one with --set {first}"
    hint += " (or another)."
    if harms and benefits and benefits[0] is not harms[-1]:
        benefit, harm = benefits[0].name, harms[-1].name
        pair = f"benefit={benefit} --set harm={harm}"
        if " " in benefit + harm:
            pair = f"'benefit={benefit}' --set 'harm={harm}'"
        hint += f" For benefit and harm together: --set {pair} --set better.{benefit}=lower"
        hint += " (or higher)."
    message = f"the table has {len(every)} outcomes: {_names(every)}"
    return Issue("E452", message, hint, source, None, "outcome")


# Which template.


def choose_template(
    data: OutcomeData, name: str | None, options: ImportOptions, questions: list[Issue]
) -> tuple[str, str] | None:
    """Choose a template by the data of an outcome, with the reason."""

    def ask(code: str, message: str, hint: str, column: str = "") -> None:
        questions.append(Issue(code, message, hint, data.source, None, column))

    kinds, named = data.kinds, DATA_OF.get(name or "", "")
    if name is not None and named:
        if named not in kinds:
            message = f"{name} needs {KIND_TEXTS[named]}, and {data.noun} has none"
            ask("E457", message, f"Name another of {', '.join(DATA_OF)}, or none.")
            return None
        kinds = [named]
    if len(kinds) > 1 and CONTRASTS in kinds:
        hint = f"Name a template: {TEMPLATE_COUNTS} or {TEMPLATE_MEANS} for the arms,"
        hint += f" {TEMPLATE_CONTRASTS} for the contrasts; for instance nmda-bayes run"
        ask("E453", f"{data.noun} has rows of arms and contrasts", f"{hint} {TEMPLATE_CONTRASTS}.")
        return None
    if len(kinds) > 1:
        words = " and ".join(KIND_TEXTS[kind] for kind in kinds)
        hint = "Give them two names in the column outcome, and choose with --set outcome=..."
        ask("E456", f"{data.noun} has {words}", hint, "outcome")
        return None
    (kind,) = kinds
    if not data.has_comparison:
        message = f"every study of {data.noun} has a single arm, so that nothing is compared"
        hint = "Templates compare the arms of a trial: enter the arms that these are compared with."
        hint += " Pooling single arms needs a spec with pooled baselines and agent placebo"
        hint += " (docs/own_data.md)."
        ask("E465", message, hint, "study")
        return None
    if kind != CONTRASTS and options.measure is not None:
        message = f"measure={options.measure} is of contrasts, and {data.noun} has"
        message += f" {KIND_TEXTS[kind]}"
        ask("E466", message, "Leave it out, or give contrasts: estimate and se.", "measure")
        return None
    if kind == CONTRASTS:
        return _template_of_contrasts(data, ask, name)
    if name is not None and named:
        return name, SET_BY_USER
    if kind == RATES:
        return TEMPLATE_RATES, "the table has events and person-time"
    if kind == MEANS:
        return TEMPLATE_MEANS, "the table has means of arms"
    few = f"an arm has fewer than {SPARSE_EVENTS} events or non-events"
    if not data.is_sparse:
        return TEMPLATE_COUNTS, f"the table has counts, {SPARSE_EVENTS} or more in every arm"
    if data.has_feasible_tables:
        return TEMPLATE_SPARSE, f"the table has counts, and {few}"
    return TEMPLATE_COUNTS, f"the table has counts; {few}, but a conditional likelihood is too long"


def _template_of_contrasts(
    data: OutcomeData, ask: Callable[[str, str, str, str], None], name: str | None
) -> tuple[str, str] | None:
    measures = data.measures
    if "" in measures:
        message = f"what {measures['']} contrasts of {data.noun} measure is missing, and their"
        ask("E454", f"{message} prior depends on it", MEASURE_HINT, "measure")
        return None
    if len(measures) > 1:
        return None  # asked when the table was loaded
    (measure,) = measures
    if measure == MD:
        return TEMPLATE_DIFFERENCES, "the table has differences of means"
    if measure in CORRELATIONS:
        return TEMPLATE_CORRELATIONS, "the table has correlations"
    if measure.startswith("log") or measure in STANDARDISED:
        return TEMPLATE_CONTRASTS, f"the table has contrasts ({measure.replace('_', ' ')})"
    if name == TEMPLATE_CONTRASTS:
        return name, SET_BY_USER
    ask("E455", f"no template suits contrasts of measure {measure}", MEASURE_HINT, "measure")
    return None


# Reference and doses.


@dataclass(frozen=True)
class DosePlan:
    """How doses enter: over a curve, or not at all; `why` is the decision in words.

    Agents without any dose have a constant effect where others have a curve.
    """

    curve: str
    why: str
    undosed: tuple[str, ...] = ()


def choose_doses(
    sides: pd.DataFrame,
    reference: str,
    template: str | None,
    source: str,
    options: ImportOptions,
    questions: list[Issue],
) -> DosePlan:
    """Give agents at several doses a curve, unless the user pools their doses."""
    doses = active_doses(sides, "")
    if len(doses.get(reference, ())) < 2:
        doses.pop(reference, None)
    several = {agent: values for agent, values in doses.items() if len(values) > 1}
    listed = "; ".join(
        f"{agent} {', '.join(f'{dose:g}' for dose in values[:6])}"
        + (f" and {len(values) - 6} more" if len(values) > 6 else "")
        + dose_unit(sides, agent)
        for agent, values in several.items()
    )
    named = template if template in CURVE_TEMPLATES else None
    if options.doses == "pooled":
        why = f"All doses of an agent are analysed as one treatment ({SET_BY_USER})"
        return DosePlan("", f"{why}: {listed}." if several else f"{why}.")
    if not several and not (named and doses):
        if options.doses == "separate" or named:
            message, hint = "no agent was given at several doses", "Leave out doses=separate."
            questions.append(Issue("E468", message, hint, source, None, "dose"))
        text = "each agent has one dose" if doses else "the table has no doses"
        return DosePlan("", f"No dose-response: {text}.")
    active = sides[~sides["agent"].isin(["placebo", reference, ""])]
    unknown = active[active["dose"].isna()]
    undosed = sorted(set(unknown["agent"]) - set(doses))
    if len(unknown) and options.doses is None:
        agents = ", ".join(sorted(set(unknown["agent"])))
        message = f"{len(unknown)} arms have no dose ({agents}), and other arms have ({listed})"
        hint = (
            "Fill them in. Or --set doses=pooled: the doses of an agent are one treatment. Or --set"
            " doses=separate: arms without a dose are left out, and an agent without any dose has"
            " one effect."
        )
        row = int(unknown["line"].min())
        questions.append(Issue("E469", message, hint, source, row, "dose"))
    most = max(len(values) for values in doses.values())
    curve = named or (TEMPLATE_EMAX if most >= DOSES_FOR_CEILING else TEMPLATE_LOG_LINEAR)
    shape = "Emax" if curve == TEMPLATE_EMAX else "log-linear"
    count = f"at most {most} doses of an agent" if most > 1 else "one dose of each agent"
    why = f"Dose-response ({shape}, as there are {count}): {listed}."
    why += " --set doses=pooled analyses all doses of an agent as one treatment."
    if undosed:
        why += f" Without any dose, {', '.join(undosed)} has one effect."
    return DosePlan(curve, why, tuple(undosed))


def choose_reference(
    evidence: xr.DataTree,
    outcomes: Sequence[OutcomeData],
    plan: DosePlan | None,
    options: ImportOptions,
    questions: list[Issue],
) -> tuple[str, str]:
    """The agent that others are compared with, and why; empty if the user must say.

    Without a plan of the doses nothing is asked.
    """
    sides = pd.concat([data.sides for data in outcomes], ignore_index=True)
    agents = sorted(set(sides["agent"]) - {""})
    source = outcomes[0].source
    doses = active_doses(sides, "")
    dosed = plan is not None and bool(plan.curve)
    reference, why = options.reference or "", SET_BY_USER
    if reference and reference not in agents and reference != ZERO_DOSE:
        if plan is not None:
            hint = suggest_match(reference, agents)
            message = f"no arm has agent '{reference}'"
            questions.append(Issue("E459", message, hint, source, None, "reference"))
        return "", ""
    if not reference:
        reference, why = infer_reference(evidence, [data.name for data in outcomes])
    if dosed and len(doses.get(reference, ())) > 1 and options.reference is None:
        reference, why = "", ""
    if dosed and len(doses.get(reference, ())) > 1:
        listed = ", ".join(f"{dose:g}" for dose in doses[reference])
        message = f"'{reference}' was given at several doses ({listed}), and a reference has none"
        others = [agent for agent in agents if len(doses.get(agent, ())) < 2]
        choices = [f"--set {_quoted('reference', agent)}" for agent in others[:5]]
        hint = f"{' or '.join([*choices, '--set doses=pooled'])}; or leave reference= out to"
        hint += " compare doses with each other."
        questions.append(Issue("E470", message, hint, source, None, "reference"))
        return "", ""
    if reference:
        return reference, f"'{reference}' ({why})." if why == SET_BY_USER else why
    at_zero, missing = (sides["dose"] == 0).any(), sides["dose"].isna().any()
    always_at_zero = [a for a in agents if (sides.loc[sides["agent"] == a, "dose"] == 0).all()]
    if len(always_at_zero) == 1 and not missing and plan is not None:
        return always_at_zero[0], f"'{always_at_zero[0]}', the only agent always at dose 0."
    if dosed and not missing:
        return ZERO_DOSE, (
            "dose 0 of each agent."
            if at_zero
            else "dose 0 of each agent, which no trial has: trials compare doses with each other,"
            " and effects against dose 0 are extrapolated by the curve."
        )
    if at_zero and not missing and plan is not None:
        return ZERO_DOSE, "dose 0 of each agent."
    if not any(data.has_comparison for data in outcomes):
        return "", ""  # an error already
    if plan is not None and len(agents) == 1:
        message = f"every arm is {agents[0]}, and its doses are pooled: nothing is compared"
        hint = "Leave out doses=pooled to compare its doses."
        if not doses:
            message = f"every arm is {agents[0]}, and no dose tells the arms apart"
            hint = "Enter the doses in a column dose, or name the agents of the arms."
        questions.append(Issue("E474", message, hint, source, None, "agent"))
    elif plan is not None:
        candidates = _reference_candidates(sides, doses)
        hint = " or ".join(f"--set {_quoted('reference', agent)}" for agent in candidates[:5])
        hint += f", or another of {', '.join(agents)}" * (len(agents) > len(candidates[:5]))
        message = "the agent that the others are compared with is not known"
        questions.append(Issue("E460", message, f"{hint}.", source, None, "reference"))
    return "", ""


def _quoted(key: str, value: str) -> str:
    return f"'{key}={value}'" if " " in value else f"{key}={value}"


def _reference_candidates(sides: pd.DataFrame, doses: dict[str, np.ndarray]) -> list[str]:
    """Agents that may be the reference: not at several doses, those in most trials first."""
    n_studies = sides.groupby("agent")["study"].nunique().sort_values(ascending=False)
    names = [str(agent) for agent in n_studies.index if agent]
    return [name for name in names if len(doses.get(name, ())) < 2] or names


# Conditions and scales.


def choose_conditions(
    evidence: xr.DataTree,
    outcomes: Sequence[OutcomeData],
    options: ImportOptions,
    questions: list[Issue],
) -> tuple[bool, str]:
    """Whether conditions have separate effects, and the decision in words."""
    studies = to_frame(evidence, "studies").set_index("study")["condition_group"]
    names = dict.fromkeys(study for data in outcomes for study in data.sides["study"])
    counts = studies.reindex(list(names)).value_counts()
    counts = counts[counts.index != ""]
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len(counts) < 2:
        return False, ""
    if options.conditions is None:
        message = f"the trials are of {len(counts)} conditions ({listed})"
        hint = (
            "--set conditions=pooled: an agent has one effect in all of them. --set"
            " conditions=separate: each condition has its effect, partially pooled."
        )
        source = outcomes[0].source
        questions.append(Issue("E471", message, hint, source, None, "condition"))
        return False, ""
    separate = options.conditions == "separate"
    text = "separate, partially pooled" if separate else "pooled, one effect in all of them"
    text = f"Conditions ({listed}) are {text} ({SET_BY_USER})."
    if separate:
        text += " The effect of each is shrunk towards their mean, the more the fewer its trials."
    return separate, text


def choose_crossover(
    evidence: xr.DataTree,
    outcomes: Sequence[OutcomeData],
    options: ImportOptions,
    questions: list[Issue],
) -> tuple[str, str]:
    """How crossover trials enter, and the decision in words; empty without such trials."""
    studies = to_frame(evidence, "studies")
    crossing = set(studies.loc[studies["design"] == "crossover", "study"])
    arms = pd.concat([data.arms for data in outcomes], ignore_index=True)
    arms = arms[arms["study"].isin(crossing)]
    arms = arms[arms["period"] != "first"] if "period" in arms else arms
    names = [str(name) for name in dict.fromkeys(arms["study"])]
    if not names:
        return "", ""
    listed = ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if len(names) > 3 else "")
    if options.crossover is None:
        message = f"{len(names)} trials have a crossover design ({listed}): the same people are in"
        message += " every arm"
        hint = (
            "--set crossover=parallel: arms enter as if their people differed, which makes"
            " intervals too wide. --set crossover=paired: means have a correlation within people,"
            " with a prior from 0.2 to 0.8; counts enter as parallel. --set crossover=first:"
            " only results whose column period says first enter."
        )
        row = int(arms["line"].min())
        questions.append(Issue("E475", message, hint, outcomes[0].source, row, "design"))
        return "", ""
    text = f"{len(names)} crossover trials ({listed}) {CROSSOVER_TEXTS[options.crossover]}"
    return options.crossover, f"{text} ({SET_BY_USER})."


def choose_scale(
    data: OutcomeData, several: bool, options: ImportOptions, questions: list[Issue]
) -> tuple[tuple[float, float], str] | None:
    """The scale on which means are analysed, and why."""
    scales, rows = data.scales, data.scaled_rows
    if scales is None:
        key = f"scale.{data.name}" if several else "scale"
        value = "estimate" if len(data.contrasts) else "mean"
        low, high = rows[value].min(), rows[value].max()
        unknown = int(rows[["scale_min", "scale_max"]].isna().any(axis=1).sum())
        message = f"the scale of {unknown} means of {data.noun} is missing, on which their prior"
        message += f" depends (they run from {low:g} to {high:g})"
        if len(data.contrasts):
            message = f"the scale of {unknown} differences of means of {data.noun} is missing, on"
            message += f" which their prior depends (they run from {low:g} to {high:g})"
        words = f"--set {_quoted(key, '0,10')}"
        hint = (
            f"Set its lower and upper end, for instance {words}; for a quantity without ends, the"
            " range in which nearly all patients lie. Or fill in scale_min and scale_max."
        )
        line = int(rows["line"].min())
        questions.append(Issue("E458", message, hint, data.source, line, "scale_min"))
        return None
    if len(scales) == 1:
        ((low, high),) = scales
        stated = options.scale_for(data.name) == (low, high)
        why = SET_BY_USER if stated else "of the table"
        return (low, high), f"{low:g} to {high:g} ({why}); priors are proportional to its width."
    listed = ", ".join(f"{low:g} to {high:g}" for low, high in scales)
    return (0.0, 100.0), f"trials used {listed}; all are converted to 0 to 100."


# Benefit and harm.


def check_pair(
    chosen: ChosenOutcomes, options: ImportOptions, questions: list[Issue]
) -> str | None:
    """The better direction of the benefit; the harm must be counted."""
    benefit, harm = chosen.outcomes
    if harm.kinds != [COUNTS]:
        words = " and ".join(KIND_TEXTS[kind] for kind in harm.kinds)
        message = f"the harm is a risk, and needs counts of people; {harm.noun} has {words}"
        hint = "Choose an outcome with events and n, or analyse one outcome with --set outcome=..."
        questions.append(Issue("E472", message, hint, harm.source, None, "harm"))
    logs = [m for m in benefit.measures if m.startswith("log")]
    if RATES in benefit.kinds or logs:
        message = f"the benefit of a pair cannot be a ratio, as {benefit.noun} is"
        hint = "Choose an outcome of means or counts, or analyse one with --set outcome=..."
        questions.append(Issue("E472", message, hint, benefit.source, None, "benefit"))
    better = options.better_for(benefit.name)
    if better is None:
        message = f"the better direction of {benefit.noun} is missing"
        key = f"better.{benefit.name}"
        hint = f"--set {_quoted(key, 'lower')} or --set {_quoted(key, 'higher')}."
        questions.append(Issue("E473", message, hint, benefit.source, None, "better"))
    return better


def window_of_pair(
    chosen: ChosenOutcomes,
    reference: str,
    scale: tuple[float, float] | None,
    options: ImportOptions,
) -> tuple[tuple[float, float, float], str]:
    """The thresholds of the therapeutic window: set by the user, or proposed with reasons."""
    benefit, harm = chosen.outcomes
    change = "--set window=BENEFIT,RISK,BASELINE"
    if options.window is not None:
        least, most, risk = options.window
        text = f"benefit of at least {least:g}, added risk of at most {most:g} at a risk of"
        return options.window, f"{text} {risk:g} without treatment ({SET_BY_USER})."
    least, benefit_text = BENEFIT_SHARE, "one in ten people"
    if scale:
        least, benefit_text = BENEFIT_SHARE * (scale[1] - scale[0]), "a tenth of the scale"
    elif benefit.kinds == [CONTRASTS]:
        least, benefit_text = SMALL_SMD, "a small standardised difference"
    is_control = (harm.arms["agent"].isin([reference, "placebo"])) | (harm.arms["dose"] == 0)
    controls = harm.arms[is_control].drop_duplicates("arm")
    events, people = float(controls["events"].sum()), float(controls["n"].sum())
    risk = round((events + 0.5) / (people + 1), 3) if people else 0.05
    risk = min(max(risk, 0.001), 0.999)
    source = f"{events:g} of {people:g} in the reference arms" if people else "no reference arm"
    why = (
        f"Proposed: {benefit.label} better by at least {least:g} ({benefit_text}), {harm.label} in"
        f" at most {RISK_AT_MOST:.0%} more people, at a risk of {risk:g} without treatment"
        f" ({source}). These are decisions: {change}."
    )
    return (least, RISK_AT_MOST, risk), why
