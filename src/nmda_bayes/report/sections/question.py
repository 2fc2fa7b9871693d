"""What was asked, in words, and the short answer in numbers."""

from __future__ import annotations

import math

import numpy as np

from nmda_bayes.checks.identifiability import INFORMED, PRIOR_ONLY
from nmda_bayes.components.links import risk_from
from nmda_bayes.dims import AGENT, OUTCOME
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.answers import Cell, best_dose, dose_text, tried
from nmda_bayes.report.blocks import Definitions, Heading, Items, Section, Text
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.view import View
from nmda_bayes.report.words import (
    chance,
    count,
    effect,
    exact,
    exact_percent,
    listed,
    name,
    number,
    opened,
    percent,
    probability,
    spread,
)
from nmda_bayes.spec.time import TimeSpec

#: Agents that the short answer speaks of; the results hold all.
IN_SHORT = 6


def question(view: View, gallery: Gallery) -> Section:
    """Say what was asked, and answer in short.

    Parameters
    ----------
    view
        The fit.
    gallery
        Not used.

    Returns
    -------
    Section
        Short answer first, then what was asked and which choices were made.
    """
    spec = view.spec
    blocks: list[object] = []
    if spec.question:
        blocks.append(Text(" ".join(spec.question.split()), "lead"))
    blocks.append(Heading("The short answer"))
    if not view.checks.passed:
        blocks.append(
            Text(
                "REFUSED by the checks: these sentences show what was computed, not found.",
                "warning",
            )
        )
    blocks.append(Items(tuple(_answers(view))))
    blocks.append(
        Text(
            f"Intervals are {INTERVAL_TEXT}s of the posterior; a number stands for its median. P is"
            " the posterior probability. Every statement holds given the model and priors below.",
            "note",
        )
    )
    blocks += [Heading("What was asked"), Definitions(tuple(_asked(view)))]
    if spec.choices:
        pairs = tuple((name(key), text) for key, text in spec.choices.items())
        blocks += [Heading("Choices that others might make differently"), Definitions(pairs)]
    return Section("question", "Question and short answer", tuple(blocks))


def _answers(view: View) -> list[str]:
    sentences = []
    for outcome in view.outcomes:
        cells = _main_cells(tried(view, outcome))
        if not cells:
            sentences.append(f"{view.title(outcome)}: no trial of any agent entered.")
        sentences += [_effect_sentence(view, outcome, cell) for cell in cells[:IN_SHORT]]
        without = [a for a in view.agents if not view.trials(outcome, a)]
        if cells and without:
            names = listed(map(view.agent, without), "or")
            sentences.append(f"{view.title(outcome)}: no trial of {names} entered.")
        more = len(cells) - IN_SHORT
        if more > 0:
            sentences.append(
                f"{view.title(outcome)} under {count(more, 'further agent')}: see the results."
            )
    if view.window is not None:
        sentences += _window_sentences(view)
    sentences += _prior_sentences(view)
    return sentences


def _main_cells(cells: list[Cell]) -> list[Cell]:
    """The best known cell of each agent, the agents with most trials first."""
    seen: dict[str, Cell] = {}
    trials: dict[str, int] = {}
    for cell in cells:
        seen.setdefault(cell.agent, cell)
        trials[cell.agent] = trials.get(cell.agent, 0) + cell.controlled
    return sorted(seen.values(), key=lambda cell: -trials[cell.agent])


def _effect_sentence(view: View, outcome: str, cell: Cell) -> str:
    dose = view.main_mark(cell.agent)
    draws = view.at(outcome, cell.agent, cell.condition, dose)
    low, middle, high = spread(draws)
    at = f" at {dose_text(view, dose)}" if view.has_dose(outcome) else ""
    if view.outcomes[outcome].over_time.parameters:
        at += ", when its effect is whole,"
    link = view.link(outcome)
    if link.ratio:
        ratio = [math.exp(min(x, 700.0)) for x in (low, middle, high)]
        text = f"{link.ratio} {effect(ratio[1])} ({effect(ratio[0])} to {effect(ratio[2])})"
    if link.probability:
        baseline, _ = view.baseline(outcome)
        risk = spread(risk_from(baseline, draws, link))
        text += (
            f", a risk of {percent(risk[1])} ({percent(risk[0])} to {percent(risk[2])}) from a"
            f" baseline of {exact_percent(baseline)}"
        )
    if not link.ratio:
        unit = view.unit(outcome)
        text = f"difference {effect(middle)}{unit} ({effect(low)} to {effect(high)})"
    said = (
        f"{view.title(outcome)}, {view.agent(cell.agent)}{at} v {view.reference}{_in(cell)}:"
        f" {text}. {_direction(view, draws, view.outcomes[outcome].better)}"
        f" {_support(view, cell)}"
    )
    if view.beyond(outcome, cell.agent, dose):
        return f"{said}, none at so high a dose: extrapolated."
    if view.below(outcome, cell.agent, dose):
        return f"{said}, none at so low a dose: the curve leads there."
    return f"{said}."


def _in(cell: Cell) -> str:
    return f", {cell.where}" if cell.where else ""


def _support(view: View, cell: Cell) -> str:
    """Say how many trials stand behind a cell, and whether they had a reference arm."""
    trials = count(cell.trials, "trial").capitalize()
    if cell.controlled == cell.trials:
        return trials
    against = str(cell.controlled) if cell.controlled else "none"
    return f"{trials}, {against} of them against {view.reference}"


def _direction(view: View, draws: np.ndarray, better: str) -> str:
    """Say how sure the direction is, and no more."""
    below = float(np.mean(draws < 0))
    low, _, high = spread(draws)
    if better == "":
        word, share = ("below", below) if below >= 0.5 else ("above", 1 - below)
        said = chance(f"{word} {view.reference}", share)
    else:
        good = below if better == "lower" else 1 - below
        word, share = ("better", good) if good >= 0.5 else ("worse", 1 - good)
        said = chance(f"{word} than {view.reference}", share)
    if low < 0 < high:
        return f"{said}; the interval includes no difference."
    return f"{said}; the interval excludes no difference."


def _window_sentences(view: View) -> list[str]:
    window = view.spec.window
    if window is None:
        return []
    both = [
        c
        for c in tried(view, window.benefit)
        if view.trials(window.harm, c.agent) and c.agent in view.agents
    ]
    sentences = []
    for cell in _main_cells(both)[:IN_SHORT]:
        found = best_dose(view, cell.agent, cell.condition)
        if found is None:
            continue
        dose, best, _, at_the_edge = found
        rest = "" if view.trials(window.harm, cell.agent, cell.condition) else (
            " No trial of this agent counted the harm in this condition: that side rests on the"
            " other conditions and the prior."
        )  # fmt: skip
        edge = " (the largest dose tried of it)" if at_the_edge else ""
        sentences.append(
            f"Enough benefit with acceptable harm, {view.agent(cell.agent)}{_in(cell)}: of the"
            f" doses tried the best is {number(dose, 2)}{_multiples(view)}{edge}, with probability"
            f" {probability(best)}.{rest}"
        )
    if not sentences:
        sentences.append("No agent has trials of both benefit and harm: no window can be told.")
    return sentences


def _multiples(view: View) -> str:
    return " times the reference dose" if view.relative else ""


def _prior_sentences(view: View) -> list[str]:
    """Name the parameters about which the data said nothing."""
    table = view.checks.identifiability
    names = [
        name
        for name in view.told(PRIOR_ONLY)
        if not any(part in name for part in ("_location", "_between_", "_within_"))
    ]
    if names:
        return [
            f"Prior only: the data said next to nothing about {listed(names)}."
            f" What the page says of {'it' if len(names) == 1 else 'them'} is the prior."
        ]
    if (table["verdict"] == INFORMED).all():
        return ["Every parameter was informed by the data."]
    return []


def _asked(view: View) -> list[tuple[str, str]]:
    spec = view.spec
    pairs = [
        ("Agents", listed(map(view.agent, view.agents)) + f", each against {view.reference}"),
        ("Conditions", listed(map(view.condition, view.conditions))),
    ]
    for outcome, part in view.outcomes.items():
        measures = ", else ".join(view.term(OUTCOME, m) for m in part.measures)
        measures = measures or "the table's own"
        text = f"measured as {measures}"
        text += f", in {part.unit}" if part.unit else ""
        if part.scale is not None:
            text += f", brought to a scale from {part.scale[0]:g} to {part.scale[1]:g}"
        text += f"; {part.better} is better" if part.better else ""
        text += f". {opened(part.why)}" if part.why else "."
        pairs.append((f"Outcome: {view.label(outcome)}", text))
        if part.time is not None:
            pairs.append((f"Time point: {view.label(outcome)}", _time_text(part.time)))
    if view.dosed:
        pairs.append(("Dose axis", view.axis))
    for said, choice in (("Selected", spec.select), ("Left out", spec.exclude)):
        for column, values in choice.items():
            dim = column.removesuffix("_group")
            words = (view.term(dim, value) for value in values)
            pairs.append((f"{said}: {name(column)}", listed(words, "or")))
    for given, used in spec.agents.items():
        pairs.append((f"Renamed: {view.term(AGENT, given)}", f"enters as {view.agent(used)}"))
    if spec.window is not None:
        pairs.append(("Window", f"{_window_text(view)} {spec.window.why}".strip()))
    return pairs


def _time_text(time: TimeSpec) -> str:
    text = time.rule.replace("_", " ")
    if time.at_most_hours is not None:
        text += f", at most {time.at_most_hours:g} hours from it"
    text += {
        "window_of_the_end": "; a row without an hour enters where its window holds the end",
        "leave_out": "; a row without an hour is left out",
    }[time.undated]
    return f"{text}. {time.why}" if time.why else f"{text}."


def _window_text(view: View) -> str:
    window = view.spec.window
    if window is None:
        return ""
    unit = "" if view.is_risk(window.benefit) else view.unit(window.benefit)
    least = (
        exact_percent(window.benefit_at_least)
        if view.is_risk(window.benefit)
        else f"{exact(window.benefit_at_least)}{unit}"
    )
    return (
        f"benefit ({view.label(window.benefit)}) of at least {least}, and added risk"
        f" ({view.label(window.harm)}) of at most {exact_percent(window.risk_at_most)} from a"
        f" baseline of {exact_percent(window.baseline_risk)}."
    )
