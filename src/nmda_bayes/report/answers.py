"""Answers as data frames: effects at doses, numbers needed, contrasts, the window's best dose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from nmda_bayes.components.links import Link, risk_from
from nmda_bayes.dims import AGENT, CONDITION, DOSE
from nmda_bayes.estimands import contrasts, number_needed
from nmda_bayes.estimands.numbers import COMPARATOR
from nmda_bayes.report.view import View
from nmda_bayes.report.words import (
    THIN,
    effect,
    exact,
    percent,
    spread,
)

EVERY = "all conditions alike"
#: The condition of a table that names none.
UNNAMED = "all"
BEYOND = "extrapolated beyond the doses tried"
BELOW = "below the doses tried"
NO_TRIAL = "no trial: from the other cells and the prior"


@dataclass(frozen=True)
class Cell:
    """An agent in a condition.

    Attributes
    ----------
    agent
        The agent.
    condition
        The condition; any of them where the model gives all the same curve.
    where
        The condition in words.
    trials
        How many trials gave the agent there.
    controlled
        How many of them had an arm at dose 0.
    """

    agent: str
    condition: str
    where: str
    trials: int
    controlled: int


def cells(view: View, outcome: str) -> list[Cell]:
    """List the cells of an outcome that the model tells apart, the best known first.

    Parameters
    ----------
    view
        The fit.
    outcome
        One of its outcomes.

    Returns
    -------
    list[Cell]
        One for each agent, and each condition where the curve may differ between them.
    """
    if view.varies(outcome, CONDITION) or len(view.conditions) == 1:
        found = [
            Cell(
                a,
                c,
                "" if c == UNNAMED else view.condition(c),
                view.trials(outcome, a, c),
                view.controlled(outcome, a, c),
            )
            for a in view.agents
            for c in view.conditions
        ]
    else:
        any_one = view.conditions[0]
        found = [
            Cell(a, any_one, EVERY, view.trials(outcome, a), view.controlled(outcome, a))
            for a in view.agents
        ]
    return sorted(found, key=lambda cell: (-cell.controlled, -cell.trials))


def tried(view: View, outcome: str) -> list[Cell]:
    """List the cells of an outcome that have a trial.

    Parameters
    ----------
    view
        The fit.
    outcome
        One of its outcomes.

    Returns
    -------
    list[Cell]
        Those with most trials first.
    """
    return [cell for cell in cells(view, outcome) if cell.trials]


def dose_text(view: View, dose: float) -> str:
    """Write a dose as a reader would.

    Parameters
    ----------
    view
        The fit.
    dose
        An exposure.

    Returns
    -------
    str
        ``the reference dose``, ``2 × reference``, or the number.
    """
    if not view.dosed:
        return "any dose"
    if view.relative:
        return "the reference dose" if dose == 1 else f"{exact(dose)} × reference"
    return f"dose {exact(dose)}"


def effects_at_marks(view: View, outcome: str) -> pd.DataFrame:
    """State an outcome's effect at the marked doses of every cell.

    Parameters
    ----------
    view
        The fit.
    outcome
        One of its outcomes.

    Returns
    -------
    pd.DataFrame
        ``agent, main, where, trials, dose, median, interval, p_better, risk, remark``; tried cells
        first; ``main`` marks the dose of the short answer.
        Differences are on the outcome's scale; for risks ``median`` is an odds ratio and ``risk``
        the risk at the baseline.
    """
    rows = [
        _effect_row(view, outcome, cell, dose)
        for cell in cells(view, outcome)
        for dose in (view.marks[cell.agent] if view.has_dose(outcome) else [1.0])
    ]
    return pd.DataFrame(rows)


def _effect_row(view: View, outcome: str, cell: Cell, dose: float) -> dict[str, object]:
    draws = view.at(outcome, cell.agent, cell.condition, dose)
    low, middle, high = spread(draws)
    risk = ""
    link = view.link(outcome)
    if link.probability:
        risk = _risk_text(view.baseline(outcome)[0], draws, link)
    if link.ratio:
        low, middle, high = (math.exp(min(x, 700.0)) for x in (low, middle, high))
    better = view.outcomes[outcome].better
    share = float(np.mean(draws < 0 if better == "lower" else draws > 0))
    remarks = [BEYOND] if view.beyond(outcome, cell.agent, dose) else []
    if view.below(outcome, cell.agent, dose):
        remarks.append(BELOW)
    if not cell.controlled:
        remarks.insert(0, f"no trial against {view.reference} here")
    return {
        "agent": view.agent(cell.agent),
        "main": dose == view.main_mark(cell.agent) or not view.has_dose(outcome),
        "where": cell.where,
        "trials": cell.trials,
        "dose": dose_cell(view, dose) if view.has_dose(outcome) else "any dose",
        "median": effect(middle),
        "interval": f"{effect(low)} to {effect(high)}",
        "p_better": share,
        "risk": risk,
        "remark": "; ".join(remarks) if cell.trials else NO_TRIAL,
    }


def _risk_text(baseline: float, log_ratios: np.ndarray, link: Link) -> str:
    low, middle, high = spread(risk_from(baseline, log_ratios, link))
    return f"{percent(middle)} ({percent(low)} to {percent(high)})"


def added_risks(view: View, outcome: str) -> pd.DataFrame:
    """State the added risk and the number needed at the main dose of every tried cell.

    Parameters
    ----------
    view
        The fit.
    outcome
        A binary outcome.

    Returns
    -------
    pd.DataFrame
        ``agent, where, dose, added, needed, remark``.
    """
    rows, found = [], {}
    baseline = view.baseline(outcome)[0]
    for cell in tried(view, outcome):
        dose = view.main_mark(cell.agent)
        if dose not in found:
            found[dose] = number_needed(view.fit, outcome, dose, baseline)
        one = found[dose].sel({AGENT: cell.agent, CONDITION: cell.condition})
        low, middle, high = (float(one[k]) for k in ("lower", "median", "upper"))
        beyond = view.beyond(outcome, cell.agent, dose)
        rows.append(
            {
                "agent": view.agent(cell.agent),
                "where": cell.where,
                "dose": dose_cell(view, dose),
                "added": f"{percent(middle)} ({percent(low)} to {percent(high)})",
                "needed": _needed_text(low, middle, high, view.outcomes[outcome].better),
                "remark": BEYOND if beyond else "",
            }
        )
    return pd.DataFrame(rows, columns=["agent", "where", "dose", "added", "needed", "remark"])


def _needed_text(low: float, middle: float, high: float, better: str) -> str:
    """Write a number needed as Altman (1998) does: through infinity where the sign is open."""
    more, fewer = ("NNT", "NNH") if better == "higher" else ("NNH", "NNT")
    if better == "":
        more, fewer = "one more in", "one fewer in"

    def one(risk: float) -> str:
        return f"{more if risk > 0 else fewer} {_persons(risk)}"

    if low < 0 < high:
        return f"{one(middle)} ({one(high)} to ∞ to {one(low)})"
    ends = sorted((low, high), key=abs, reverse=True)
    return f"{one(middle)} ({_persons(ends[0])} to {_persons(ends[1])})"


def _persons(risk: float) -> str:
    if risk == 0:
        return "∞"
    return f"{math.ceil(abs(1 / risk) - 1e-9):,}".replace(",", THIN)


def dose_cell(view: View, dose: float) -> str:
    """Write a dose in a table.

    Parameters
    ----------
    view
        The fit.
    dose
        An exposure.

    Returns
    -------
    str
        ``2 × reference``, or the number.
    """
    return f"{exact(dose)} × reference" if view.relative and view.dosed else exact(dose)


def agent_contrasts(view: View, outcome: str) -> pd.DataFrame:
    """Compare the agents that have trials, pair by pair, at one dose.

    Parameters
    ----------
    view
        The fit.
    outcome
        One of its outcomes.

    Returns
    -------
    pd.DataFrame
        ``pair, where, dose, median, interval, p_less``; odds ratios for risks. Empty where there is
        one agent, or where agents share one curve, or no dose at which to compare them.
    """
    columns = ["pair", "where", "dose", "median", "interval", "p_less"]
    by_condition: dict[str, list[Cell]] = {}
    for cell in tried(view, outcome):
        by_condition.setdefault(cell.where, []).append(cell)
    comparable = not view.has_dose(outcome) or view.relative
    if len(view.agents) < 2 or not view.varies(outcome, AGENT) or not comparable:
        return pd.DataFrame(columns=columns)
    found = contrasts(view.fit, outcome, 1.0)
    rows = []
    for where, members in by_condition.items():
        for one, other in combinations(members, 2):
            at = {AGENT: one.agent, COMPARATOR: other.agent, CONDITION: one.condition}
            draws = found.sel(at).to_numpy().ravel()
            values = spread(np.exp(draws) if view.link(outcome).ratio else draws)
            rows.append(
                (
                    f"{view.agent(one.agent)} v {view.agent(other.agent)}",
                    where,
                    dose_cell(view, 1.0) if view.has_dose(outcome) else "any dose",
                    effect(values[1]),
                    f"{effect(values[0])} to {effect(values[2])}",
                    float(np.mean(draws < 0)),
                )
            )
    return pd.DataFrame(rows, columns=columns)


def best_dose(view: View, agent: str, condition: str) -> tuple[float, float, float, bool] | None:
    """Find the dose at which enough benefit with acceptable harm is most probable.

    Parameters
    ----------
    view
        The fit.
    agent
        The agent.
    condition
        The condition.

    Returns
    -------
    tuple[float, float, float, bool] or None
        The dose, the probability there, the probability at dose 0, and whether the maximum lies at
        the largest dose tried; None without a window. Only doses that were tried are searched.
    """
    if view.window is None:
        return None
    cell = view.window["p_both"].sel({AGENT: agent, CONDITION: condition})
    inside = np.flatnonzero(~cell["extrapolated"].to_numpy().astype(bool))
    if inside.size == 0:
        return None
    values = cell.to_numpy()[inside]
    at = int(values.argmax())
    dose = float(cell[DOSE].to_numpy()[inside[at]])
    return dose, float(values[at]), float(values[0]), at == inside.size - 1
