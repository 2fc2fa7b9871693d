"""Convergence diagnostics, key results in sentences, and the question and methods."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np

from nmda_bayes.checks import PRIOR_ONLY
from nmda_bayes.checks.prior_influence import INFORMED
from nmda_bayes.components.links import risk_at_effect
from nmda_bayes.design import EXCLUDED
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME
from nmda_bayes.report.blocks import (
    Block,
    Definitions,
    Fold,
    Heading,
    Items,
    Text,
    build_table,
    section,
)
from nmda_bayes.report.context import ModelCell, ReportContext
from nmda_bayes.report.format import (
    CRI,
    capitalise,
    count_noun,
    describe_probability,
    display_name,
    format_count,
    format_draws,
    format_exact,
    format_exact_percent,
    format_number,
    format_percent,
    format_probability,
    join_words,
    list_some,
    quantile_interval,
)
from nmda_bayes.report.tables import best_dose
from nmda_bayes.spec.outcome import TimeSpec

#: Positions of the first two sections; failed checks come before any result.
KEY_RESULTS, CONVERGENCE = 10, 20
#: Effects of one outcome in the key results; the section on effects has all.
MAX_AGENTS: Final = 6
#: Decisions that the first table states, by what begins their keys.
SHOWN_DECISIONS: Final = ("doses", "conditions", "reference", "scale", "window")
SYNTHETIC: Final = "SYNTHETIC DATA: these trials were simulated and say nothing about patients."
ABBREVIATIONS: Final = (
    f"{CRI}: 95% credible interval (equal-tailed, from the posterior), given after the posterior"
    " median. Pr: posterior probability. Both are conditional on the model and the priors below."
)
#: Reasons, quantities and doses that are listed.
MAX_REASONS, MAX_DOSES = 3, 8
NOT_LISTED: Final = ("_location", "_between_", "_within_")


# --- Convergence ---------------------------------------------------------------------------------


@section("convergence", "Convergence diagnostics", CONVERGENCE)
def convergence_section(report: ReportContext) -> Iterator[Block]:
    """Whether the sampler converged, and what failed."""
    if report.synthetic:
        yield Text(SYNTHETIC, "warning")
    checks = report.checks.convergence
    passed = checks["passed"].astype(bool)
    shown = checks.assign(
        result=["passed" if ok else "FAILED" for ok in passed],
        limit=[_limit(*pair) for pair in zip(checks["check"], checks["threshold"], strict=True)],
    )
    table = build_table(
        shown,
        "Worst value of each diagnostic over all quantities of the model. Thresholds: R-hat and"
        " effective sample size (ESS) as in Vehtari et al. 2021, E-BFMI as in Betancourt 2016.",
        {
            "check": "diagnostic",
            "value": ("worst value", lambda value: format_number(value, 4)),
            "limit": "threshold",
            "result": "result",
            "where": "where",
        },
    )
    if passed.all():
        text = (
            f"All {len(checks)} convergence checks passed. This does not show that the model fits"
            " the data: see Predictive checks, Prior sensitivity and Certainty of evidence."
        )
        yield Text(text, "passed")
        yield Fold("Convergence diagnostics in full", (table,))
    else:
        failed = join_words(
            f"{row['check']} is {format_number(row['value'], 4)} (threshold: {row['limit']}) at"
            f" {row['where']}"
            for row in shown[~passed].to_dict("records")
        )
        text = (
            f"CONVERGENCE CHECKS FAILED ({int((~passed).sum())} of {len(checks)}): {failed}. The"
            " draws do not represent the posterior. The results below help to find the cause; do"
            " not use them."
        )
        hint = (
            "What usually helps: more tuning and draws (sampling.tune, sampling.draws), a higher"
            " sampling.target_accept against divergences, or narrower priors for parameters marked"
            " 'prior only' below."
        )
        yield from (Text(text, "failed"), Text(hint), table)


def _limit(check: str, threshold: float) -> str:
    direction = "at most" if check in ("R-hat", "divergences") else "at least"
    return f"{direction} {format_number(threshold)}"


# --- Key results ---------------------------------------------------------------------------------


@section("key-results", "Key results", KEY_RESULTS)
def question_section(report: ReportContext) -> Iterator[Block]:
    """The question, its answers in sentences, and the definitions behind them."""
    spec = report.spec
    if spec.question:
        yield Text(" ".join(spec.question.split()), "lead")
    if not report.checks.passed:
        yield Text("Convergence checks failed: these results are not valid.", "warning")
    yield Items(tuple(_key_results(report)))
    yield Text(ABBREVIATIONS, "note")
    yield Definitions(tuple(_basis(report)))
    yield Heading("Question and methods")
    yield Definitions(tuple(_definitions(report)))
    others = {k: v for k, v in spec.decisions.items() if k not in _shown_decisions(report)}
    if others:
        yield Heading("Decisions that others might make differently")
        yield Definitions(tuple((capitalise(display_name(k)), text) for k, text in others.items()))


def _key_results(report: ReportContext) -> Iterator[str]:
    for outcome in report.outcomes:
        title = report.title(outcome)
        cells = report.tested_cells(outcome)
        if len(cells) > MAX_AGENTS:
            cells = _main_cells(cells)
        if not cells:
            yield f"{title}: no trials were included."
            continue
        for cell in cells[:MAX_AGENTS]:
            yield _effect_sentence(report, outcome, cell)
        untested = [a for a in report.agents if not report.n_trials(outcome, a)]
        if untested:
            yield f"{title}: no trials of {join_words(map(report.agent, untested), 'or')}."
        if len(cells) > MAX_AGENTS:
            more = count_noun(len(cells) - MAX_AGENTS, "more agent")
            yield f"{title}: for {more} see Effects."
    if report.window is not None:
        yield from _window_sentences(report)
    yield from _identifiability_sentences(report)


def _basis(report: ReportContext) -> Iterator[tuple[str, str]]:
    """What the results rest on: data, what was left out, decisions, and what the user set."""
    arms = report.fit["design/arms"].to_dataset()
    source = report.fit.attrs.get("evidence_source", "")
    total = _trials_text(len(set(arms["study"].to_numpy())), report.people())
    text = f"{total}, {count_noun(arms.sizes['arm'], 'arm')}"
    times = [
        float(form.design["person_time"].sum())
        for outcome in report.outcomes
        for form in report.observed(outcome)
        if form.at_risk == "person_time"
    ]
    text += f", {format_exact(max(times))} of person-time" if times else ""
    if len(report.outcomes) > 1:
        trials = {o: len(set(report.design(o)["study"].to_numpy())) for o in report.outcomes}
        counts = (f"{report.label(o)} {count_noun(n, 'trial')}" for o, n in trials.items())
        text += f" ({', '.join(counts)})"
    yield "Data", f"{text}, from {source}." if source else f"{text}."
    yield "Left out", _left_out(report)
    yield "Doses", " ".join(_dose_basis(report))
    pooled = [o for o in report.outcomes if not report.varies(o, CONDITION)]
    if len(report.conditions) > 1:
        names = join_words(map(report.condition, report.conditions))
        conditions = f"{names}: an effect for each"
        if pooled:
            of = join_words(map(report.label, pooled))
            conditions = f"{names}, pooled: one effect for all of them ({of})"
        yield "Conditions", f"{conditions}."
    decisions = report.spec.decisions
    why = decisions.get("reference", "") or f"{report.reference}."
    yield "Reference", capitalise(re.sub(r"^'(.*?)'(?=[ ,.])", r"\1", why))
    for key, text in decisions.items():
        if key.startswith("scale"):
            yield capitalise(display_name(key)), capitalise(text)
    if report.spec.window is not None:
        yield "Targets", _window_text(report)
    if settings := report.spec.settings:
        yield "Settings (--set)", "; ".join(f"{key} = {value}" for key, value in settings.items())
    if report.checks.passed:
        number = len(report.checks.convergence)
        yield "Convergence", f"All {number} checks passed."


def _trials_text(trials: int, people: int | None) -> str:
    """Count trials, with their people where they are known."""
    text = count_noun(trials, "trial")
    return text if people is None else f"{text}, {format_count(people)} people"


def _left_out(report: ReportContext) -> str:
    """Count the excluded rows of the analysed outcomes by reason."""
    excluded = report.fit[f"design/{EXCLUDED}"].to_dataset()
    if excluded.sizes.get("row", 0) == 0:
        return "Nothing: all rows of these outcomes enter."
    studies, reasons = (excluded[name].to_numpy().astype(str) for name in ("study", "reason"))
    counts = Counter(reasons).most_common()
    texts = [f"{display_name(reason)} ({count})" for reason, count in counts[:MAX_REASONS]]
    texts += [f"{len(counts) - MAX_REASONS} more reasons"] if len(counts) > MAX_REASONS else []
    names = list(dict.fromkeys(studies))
    rows = f"{count_noun(len(reasons), 'row')} of {count_noun(len(names), 'trial')}"
    return f"{rows} ({list_some(names, MAX_REASONS)}): {'; '.join(texts)}. See Included data."


def _dose_basis(report: ReportContext) -> Iterator[str]:
    with_dose = report.dose_outcomes
    several = len(report.outcomes) > 1
    if with_dose:
        of = f" ({join_words(map(report.label, with_dose))})" if several else ""
        yield f"Effects depend on the dose{of}; results are stated at tested doses."
        texts = (text for agent in report.agents if (text := _tested_text(report, agent)))
        yield f"Tested: {'; '.join(texts)}."
        if references := report.references():
            yield f"1 × reference: {references}."
        return
    yield report.spec.decisions.get("doses", "") or "All doses of an agent are one treatment."


def _tested_text(report: ReportContext, agent: str) -> str:
    """The tested doses of an agent, in its unit."""
    rows = report.tested_doses
    rows = rows[(rows[AGENT] == agent) & rows[OUTCOME].isin(report.dose_outcomes)]
    if rows.empty:
        return ""
    outcome = str(rows[OUTCOME].iloc[0])
    of_outcome = rows[rows[OUTCOME] == outcome]
    doses = sorted(set(of_outcome[DOSE]))
    shown = doses if len(doses) <= MAX_DOSES else [doses[0], doses[-1]]
    # The multiple beside a dose, in brackets, follows from the reference dose.
    texts = [report.dose_text(outcome, agent, dose).partition(" (")[0] for dose in shown]
    joint = ", " if len(doses) <= MAX_DOSES else " to "
    return f"{report.agent(agent)} {joint.join(texts)}"


def _shown_decisions(report: ReportContext) -> set[str]:
    """The decisions that the first table states."""
    decisions = report.spec.decisions
    shown = {key for key in decisions if key.startswith(SHOWN_DECISIONS)}
    # An outcome of a dose-response says why this curve; the first table states the doses only.
    return shown - {"doses"} if report.dose_outcomes else shown


def _main_cells(cells: list[ModelCell]) -> list[ModelCell]:
    """The cell of each agent with most trials, the agents with most trials first."""
    first: dict[str, ModelCell] = {}
    controlled: dict[str, int] = {}
    for cell in cells:
        first.setdefault(cell.agent, cell)
        controlled[cell.agent] = controlled.get(cell.agent, 0) + cell.controlled
    return sorted(first.values(), key=lambda cell: -controlled[cell.agent])


def _effect_sentence(report: ReportContext, outcome: str, cell: ModelCell) -> str:
    dose = report.main_dose(outcome, cell.agent, cell.tested_in)
    draws = report.effect_draws(outcome, cell.agent, cell.condition, dose)
    link = report.link(outcome)
    text = report.effect_text(outcome, draws)
    if link.probability:
        baseline, _ = report.baseline(outcome)
        risk = risk_at_effect(baseline, draws, link)
        text += (
            f"; risk {format_draws(risk, format_percent)}, assuming"
            f" {format_exact_percent(baseline)} without treatment"
        )
    at = f" at {report.dose_text(outcome, cell.agent, dose)}" if report.has_dose(outcome) else ""
    if report.outcomes[outcome].over_time.parameters:
        at += " and full effect"
    trials = _trials_text(cell.trials, report.people(outcome, cell.agent, cell.tested_in))
    if cell.controlled != cell.trials:
        trials += f", {cell.controlled or 'none'} of them against {report.reference}"
    sentence = (
        f"{report.title(outcome)}, {report.agent(cell.agent)} vs {report.reference}{at}"
        f"{cell.place}: "
    )
    silent = report.silent_trials(outcome, cell.agent, cell.tested_in)
    if cell.trials and len(silent) >= cell.trials:
        sentence += (
            "NO INFORMATION FROM THE DATA. In every trial nobody had the event, or everybody; this"
            " effect is determined by its prior: "
        )
    return f"{sentence}{text}. {_direction(report, outcome, draws)}; {trials}."


def _direction(report: ReportContext, outcome: str, draws: np.ndarray) -> str:
    """The probability of the more probable direction."""
    better = report.outcomes[outcome].better
    below = float(np.mean(draws < 0))
    good = below if better in ("", "lower") else 1 - below
    if better:
        event = f"{'better' if good >= 0.5 else 'worse'} than {report.reference}"
    else:
        name, link = report.effect_name(outcome), report.link(outcome)
        event = f"{name} {'below' if good >= 0.5 else 'above'} {1 if link.ratio else 0}"
    text = describe_probability(event, max(good, 1 - good))
    low, _, high = quantile_interval(draws)
    return f"{text}; the {CRI} {'includes' if low < 0 < high else 'excludes'} no effect"


def _window_sentences(report: ReportContext) -> Iterator[str]:
    window = report.spec.window
    assert window is not None
    cells = [
        c for c in report.tested_cells(window.benefit) if report.n_trials(window.harm, c.agent)
    ]
    if not cells:
        yield "No agent has trials of both benefit and harm."
    for cell in _main_cells(cells)[:MAX_AGENTS]:
        best = best_dose(report, cell.agent, cell.condition)
        if best is None:
            continue
        dose = report.dose_text(window.benefit, cell.agent, best.dose)
        text = f"Benefit with acceptable harm, {report.agent(cell.agent)}{cell.place}: "
        if best.is_likely:
            text += (
                f"of the tested doses {dose} has the highest probability of meeting both targets"
                f"{' (the largest tested)' if best.is_largest else ''};"
                f" {describe_probability('both targets met', best.probability)}."
            )
        else:
            text += (
                "no tested dose is likely (at least 50%) to meet both targets; the highest"
                f" probability is {format_probability(best.probability)}, at {dose}."
            )
        if not report.n_trials(window.harm, cell.agent, cell.condition):
            text += (
                " No trial of this agent reports the harm in this condition: its risk is predicted"
                " from the other conditions and the prior."
            )
        yield text


def _identifiability_sentences(report: ReportContext) -> Iterator[str]:
    names = [
        name
        for name in report.parameters_with(PRIOR_ONLY)
        if not any(part in name for part in NOT_LISTED)
    ]
    if names:
        yield (
            f"Prior only: {list_some(names, MAX_REASONS)}. The data were uninformative; results"
            f" that depend on {'it' if len(names) == 1 else 'them'} reflect the prior."
        )
    elif (report.checks.identifiability["conclusion"] == INFORMED).all():
        yield "Every parameter was informed by the data."


# --- Question and methods ------------------------------------------------------------------------


def _definitions(report: ReportContext) -> Iterator[tuple[str, str]]:
    spec = report.spec
    each = ", each" if len(report.agents) > 1 else ""
    yield "Agents", f"{join_words(map(report.agent, report.agents))}{each} vs {report.reference}"
    if conditions := [name for c in report.conditions if (name := report.condition(c))]:
        yield "Conditions", join_words(conditions)
    for outcome, part in report.outcomes.items():
        measures = [report.term(OUTCOME, m) for m in part.measures]
        text = "as recorded in your file"
        if measures and measures != [report.label(outcome)]:
            text = f"measured as {', else '.join(measures)}"
        link = report.link(outcome)
        if link.ratio or link.correlation:
            text += f"; effects are {report.effect_name(outcome)}s"
        elif part.unit:
            text += f", in {part.unit}"
        if part.scale is not None and (ends := f"{part.scale[0]:g}-{part.scale[1]:g}") not in text:
            text += f", rescaled to {ends}"
        text += f"; {part.better} is better" if part.better else ""
        text += f". {capitalise(part.why)}" if part.why else "."
        yield f"Outcome: {report.label(outcome)}", capitalise(text)
        if part.time is not None:
            yield f"Time point: {report.label(outcome)}", _time_text(part.time)
    if report.dose_outcomes:
        references = report.references()
        text = f"{report.axis}. 1 × reference: {references}." if references else report.axis
        yield "Dose axis", text
    for title, selection in (("Selected", spec.select), ("Excluded", spec.exclude)):
        for column, values in selection.items():
            dim = column.removesuffix("_group")
            words = (report.term(dim, value) for value in values)
            yield f"{title}: {display_name(column)}", join_words(words, "or")
    for agent, renamed in spec.agents.items():
        yield f"Renamed: {report.term(AGENT, agent)}", f"analysed as {report.agent(renamed)}"
    if spec.window is not None and spec.window.why:
        yield "Targets", capitalise(spec.window.why)


def _time_text(time: TimeSpec) -> str:
    text = time.rule.replace("_", " ")
    if time.at_most_hours is not None:
        text += f", at most {time.at_most_hours:g} hours from it"
    text += {
        "review_window": "; results without an hour are included if their time window contains it",
        "leave_out": "; results without an hour are excluded",
    }[time.missing_time]
    return f"{text}. {time.why}" if time.why else f"{text}."


def _window_text(report: ReportContext) -> str:
    window = report.spec.window
    assert window is not None
    return (
        f"Benefit ({report.label(window.benefit)}) of at least {report.benefit_target()}, and"
        f" added risk ({report.label(window.harm)}) of at most"
        f" {format_exact_percent(window.risk_at_most)}, assuming"
        f" {format_exact_percent(window.baseline_risk)} without treatment."
    )
