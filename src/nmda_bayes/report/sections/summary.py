"""Convergence diagnostics, key results in sentences, and the question and methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from nmda_bayes.checks import PRIOR_ONLY
from nmda_bayes.checks.prior_influence import INFORMED
from nmda_bayes.components.links import risk_at_effect
from nmda_bayes.dims import AGENT, OUTCOME
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
    format_draws,
    format_effect,
    format_exact_percent,
    format_number,
    format_percent,
    format_range,
    join_words,
    quantile_interval,
)
from nmda_bayes.report.tables import best_dose, ratio_draws
from nmda_bayes.spec.outcome import TimeSpec

#: Agents in the key results; the section on effects has all.
MAX_AGENTS: Final = 6
SYNTHETIC: Final = "SYNTHETIC DATA: these trials were simulated and say nothing about patients."
ABBREVIATIONS: Final = (
    f"{CRI}: 95% credible interval (equal-tailed, from the posterior), given after the posterior"
    " median. Pr: posterior probability. Both are conditional on the model and the priors below."
)
NOT_LISTED: Final = ("_location", "_between_", "_within_")


# --- Convergence ---------------------------------------------------------------------------------


@section("convergence", "Convergence diagnostics", 10)
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
    yield Text(ABBREVIATIONS, "note")


def _limit(check: str, threshold: float) -> str:
    direction = "at most" if check in ("R-hat", "divergences") else "at least"
    return f"{direction} {format_number(threshold)}"


# --- Key results ---------------------------------------------------------------------------------


@section("key-results", "Key results", 20)
def question_section(report: ReportContext) -> Iterator[Block]:
    """The question, its answers in sentences, and the definitions behind them."""
    spec = report.spec
    if spec.question:
        yield Text(" ".join(spec.question.split()), "lead")
    if not report.checks.passed:
        yield Text("Convergence checks failed: these results are not valid.", "warning")
    yield Items(tuple(_key_results(report)))
    yield Heading("Question and methods")
    yield Definitions(tuple(_definitions(report)))
    if spec.decisions:
        yield Heading("Decisions that others might make differently")
        yield Definitions(tuple((display_name(key), text) for key, text in spec.decisions.items()))


def _key_results(report: ReportContext) -> Iterator[str]:
    for outcome in report.outcomes:
        title = report.title(outcome)
        cells = _main_cells(report.tested_cells(outcome))
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


def _main_cells(cells: list[ModelCell]) -> list[ModelCell]:
    """The cell of each agent with most trials, the agents with most trials first."""
    first: dict[str, ModelCell] = {}
    controlled: dict[str, int] = {}
    for cell in cells:
        first.setdefault(cell.agent, cell)
        controlled[cell.agent] = controlled.get(cell.agent, 0) + cell.controlled
    return sorted(first.values(), key=lambda cell: -controlled[cell.agent])


def _effect_sentence(report: ReportContext, outcome: str, cell: ModelCell) -> str:
    dose = report.main_dose(cell.agent)
    draws = report.effect_draws(outcome, cell.agent, cell.condition, dose)
    link = report.link(outcome)
    if link.ratio:
        text = f"{link.ratio} {format_draws(ratio_draws(draws))}"
    else:
        low, middle, high = quantile_interval(draws)
        estimate = f"{format_effect(middle)}{report.unit(outcome)}"
        text = f"difference {estimate} ({format_range(low, high)})"
    if link.probability:
        baseline, _ = report.baseline(outcome)
        risk = risk_at_effect(baseline, draws, link)
        text += (
            f"; risk {format_draws(risk, format_percent)}, assuming"
            f" {format_exact_percent(baseline)} without treatment"
        )
    at = f" at {report.dose_text(dose)}" if report.has_dose(outcome) else ""
    if report.outcomes[outcome].over_time.parameters:
        at += " and full effect"
    trials = count_noun(cell.trials, "trial")
    if cell.controlled != cell.trials:
        trials += f", {cell.controlled or 'none'} of them against {report.reference}"
    if report.above_tested(outcome, cell.agent, dose):
        trials += "; above the tested doses (extrapolated)"
    elif report.below_tested(outcome, cell.agent, dose):
        trials += "; below the tested doses (model-based)"
    return (
        f"{report.title(outcome)}, {report.agent(cell.agent)} vs {report.reference}{at}"
        f"{cell.place}: {text}. {_direction(report, outcome, draws)}; {trials}."
    )


def _direction(report: ReportContext, outcome: str, draws: np.ndarray) -> str:
    """The probability of the more probable direction."""
    better = report.outcomes[outcome].better
    below = float(np.mean(draws < 0))
    good = below if better in ("", "lower") else 1 - below
    words = ("below", "above") if better == "" else ("better than", "worse than")
    word = words[0] if good >= 0.5 else words[1]
    text = describe_probability(f"{word} {report.reference}", max(good, 1 - good))
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
        unit = " times the reference dose" if report.relative else ""
        text = (
            f"Benefit with acceptable harm, {report.agent(cell.agent)}{cell.place}: the tested dose"
            " with the highest probability of meeting both targets is"
            f" {format_number(best.dose, 2)}{unit}"
            f"{' (the largest tested)' if best.is_largest else ''};"
            f" {describe_probability('both targets met', best.probability)}."
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
            f"Prior only: {join_words(names)}. The data were uninformative; results that depend on"
            f" {'it' if len(names) == 1 else 'them'} reflect the prior."
        )
    elif (report.checks.identifiability["conclusion"] == INFORMED).all():
        yield "Every parameter was informed by the data."


# --- Question and methods ------------------------------------------------------------------------


def _definitions(report: ReportContext) -> Iterator[tuple[str, str]]:
    spec = report.spec
    yield "Agents", f"{join_words(map(report.agent, report.agents))}, each vs {report.reference}"
    yield "Conditions", join_words(map(report.condition, report.conditions))
    for outcome, part in report.outcomes.items():
        measures = ", else ".join(report.term(OUTCOME, m) for m in part.measures)
        text = f"measured as {measures}" if measures else "as recorded in your file"
        text += f", in {part.unit}" if part.unit else ""
        if part.scale is not None:
            text += f", rescaled to {part.scale[0]:g}-{part.scale[1]:g}"
        text += f"; {part.better} is better" if part.better else ""
        text += f". {capitalise(part.why)}" if part.why else "."
        yield f"Outcome: {report.label(outcome)}", capitalise(text)
        if part.time is not None:
            yield f"Time point: {report.label(outcome)}", _time_text(part.time)
    if report.dose_outcomes:
        yield "Dose axis", report.axis
    for title, selection in (("Selected", spec.select), ("Excluded", spec.exclude)):
        for column, values in selection.items():
            dim = column.removesuffix("_group")
            words = (report.term(dim, value) for value in values)
            yield f"{title}: {display_name(column)}", join_words(words, "or")
    for agent, renamed in spec.agents.items():
        yield f"Renamed: {report.term(AGENT, agent)}", f"analysed as {report.agent(renamed)}"
    if spec.window is not None:
        yield "Targets", f"{_window_text(report)} {spec.window.why}".strip()


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
