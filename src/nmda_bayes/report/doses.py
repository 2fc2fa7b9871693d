"""Doses for effects: the dose that gains or costs so much, the dose of half the effect."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from nmda_bayes.checks.identifiability import PRIOR_ONLY
from nmda_bayes.dims import AGENT, CONDITION
from nmda_bayes.estimands import effective_dose
from nmda_bayes.report.answers import BEYOND, EVERY, tried
from nmda_bayes.report.view import View
from nmda_bayes.report.words import exact, exact_percent, number, spread


def doses_for_effects(view: View) -> pd.DataFrame:
    """Find the doses that the window asks about, and half-effect doses.

    Parameters
    ----------
    view
        The fit.

    Returns
    -------
    pd.DataFrame
        ``what, agent, where, reached, dose, remark``: the dose in the draws that reach the effect,
        and the share of draws that do.
    """
    rows: list[dict[str, object]] = []
    for outcome, target, what in _targets(view):
        if not view.has_dose(outcome):
            continue
        found = effective_dose(view.thinned, outcome, target)
        for cell in tried(view, outcome):
            draws = found.sel({AGENT: cell.agent, CONDITION: cell.condition}).to_numpy().ravel()
            low, middle, high = spread(draws)
            beyond = not math.isnan(middle) and view.beyond(outcome, cell.agent, middle)
            rows.append(
                {
                    "what": what,
                    "agent": view.agent(cell.agent),
                    "where": cell.where,
                    "reached": float(np.mean(~np.isnan(draws))),
                    "dose": _dose_interval(low, middle, high),
                    "remark": BEYOND if beyond else "",
                }
            )
    rows += _half_effect_rows(view)
    columns = ["what", "agent", "where", "reached", "dose", "remark"]
    # A parameter that cells share is one row, not one a cell.
    return pd.DataFrame(rows, columns=columns).drop_duplicates(ignore_index=True)


def _dose_interval(low: float, middle: float, high: float) -> str:
    if math.isnan(middle):
        return "not reached"
    return f"{number(middle, 2)} ({number(low, 2)} to {number(high, 2)})"


def _targets(view: View) -> Iterator[tuple[str, float, str]]:
    """Effects that the spec's window names."""
    window = view.spec.window
    if window is None:
        return
    benefit, baseline = window.benefit, window.baseline_risk
    sign = -1 if view.outcomes[benefit].better == "lower" else 1
    start = baseline if view.is_risk(benefit) else 0.0
    size = (
        exact_percent(window.benefit_at_least)
        if view.is_risk(benefit)
        else f"{exact(window.benefit_at_least)}{view.unit(benefit)}"
    )
    yield benefit, start + sign * window.benefit_at_least, f"{view.label(benefit)}: gain of {size}"
    added = exact_percent(window.risk_at_most)
    target = baseline + window.risk_at_most
    if target < 1:
        yield window.harm, target, f"{view.label(window.harm)}: added risk of {added}"


def _half_effect_rows(view: View) -> Iterator[dict[str, object]]:
    posterior = view.fit["posterior"].to_dataset()
    for outcome in view.dosed:
        half = view.variable(outcome, "ed50")
        if half not in posterior:
            continue
        value = posterior[half]
        what = f"{view.label(outcome)}: half of its largest effect (ED50)"
        for cell in tried(view, outcome):
            at = {d: v for d, v in ((AGENT, cell.agent), (CONDITION, cell.condition))
                  if d in value.dims}  # fmt: skip
            low, middle, high = spread(value.sel(at).to_numpy().ravel())
            remark = BEYOND if view.beyond(outcome, cell.agent, middle) else ""
            yield {
                "what": what,
                "agent": view.agent(cell.agent) if AGENT in value.dims else "all agents alike",
                "where": cell.where if CONDITION in value.dims else EVERY,
                "reached": 1.0,
                "dose": _dose_interval(low, middle, high),
                "remark": _verdict(view, outcome, at) or remark,
            }


def _verdict(view: View, outcome: str, at: dict[str, str]) -> str:
    """Say of an ED50 that it is its prior, so that nobody reads it as found."""
    table = view.checks.identifiability
    names = [view.variable(outcome, name) for name in ("log_ed50", "ed50")]
    place = ", ".join(f"{dim}={label}" for dim, label in at.items())
    told = table[table["variable"].isin(names) & (table["at"] == place)]["verdict"]
    return "prior only: the data say nothing of it" if PRIOR_ONLY in set(told) else ""
