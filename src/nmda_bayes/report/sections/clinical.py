"""Duration of effect, and the therapeutic window: benefit with acceptable harm by dose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.time_courses import HOURS_AFTER_END, HOURS_SINCE_START
from nmda_bayes.dims import AGENT, CONDITION, DOSE, HOUR
from nmda_bayes.estimands.response import absolute_risk
from nmda_bayes.estimands.tested_doses import TOLERANCE
from nmda_bayes.estimands.time import effect_duration, effect_over_time, remaining_effect
from nmda_bayes.figures import (
    plot_benefit_risk,
    plot_effect_over_dose_and_time,
    plot_effect_over_time,
    plot_therapeutic_window,
)
from nmda_bayes.report.blocks import Block, Picture, Table, Text, build_table, fold_table, section
from nmda_bayes.report.context import ReportContext
from nmda_bayes.report.format import (
    CRI,
    capitalise,
    count_noun,
    format_draws,
    format_exact,
    format_exact_percent,
    format_number,
    format_probability,
    join_words,
)
from nmda_bayes.report.tables import best_dose

#: Points of a curve over time, and doses of a map over dose and time.
N_HOURS, N_DOSES = 60, 30
#: Hours of the table, up to twice the last measurement.
TABLE_HOURS: Final = (1.0, 4.0, 24.0, 72.0, 168.0, 672.0)


@section("duration", "Duration of effect", 90)
def duration_section(report: ReportContext) -> Iterator[Block]:
    """The effect over time, where an outcome has a time course."""
    for outcome, part in report.outcomes.items():
        agents = [agent for agent in report.agents if report.n_trials(outcome, agent)]
        if part.over_time.parameters and agents:
            yield from _DurationBlocks(report, outcome, agents).blocks()


class _DurationBlocks:
    """The blocks of one outcome and its tested agents."""

    def __init__(self, report: ReportContext, outcome: str, agents: list[str]) -> None:
        self.report, self.outcome, self.agents = report, outcome, agents
        design, course = report.design(outcome), report.outcomes[outcome].over_time
        self.after = design[HOURS_AFTER_END].to_numpy().astype(float)
        self.last = max(float(self.after.max()), 1.0)
        duration = design[HOURS_SINCE_START].to_numpy().astype(float) - self.after
        needs_duration = HOURS_SINCE_START in course.clocks
        self.treatment_hours = float(np.median(duration)) if needs_duration else None
        measured = self.after[self.after >= 0]
        curve = np.geomspace(self.last / 1000, 1.25 * self.last, N_HOURS)
        self.hours = np.unique([-1.0, -0.5, 0.0, *measured, *curve])
        self.axis = f"{report.label(outcome)}, {report.scale(outcome)}"

    def blocks(self) -> Iterator[Block]:
        report, title = self.report, self.report.title(self.outcome)
        text = f"{title}: the effect of a dose times the share of it that remains at each hour."
        uninformed = [
            name
            for name in report.parameters_with("prior only")
            if "half life" in name or "share" in name
        ]
        if uninformed:
            text += f" The data are uninformative about {join_words(uninformed)}: prior only."
        if self.treatment_hours is not None:
            text += (
                f" Treatment is assumed to last {format_number(self.treatment_hours)} h, the median"
                " of these arms."
            )
        yield Text(text)
        effects = self._effects(self.hours)
        design = report.design(self.outcome)
        active, agent = design["exposure"].to_numpy() > 0, design["agent"].to_numpy()
        measured = {name: self.after[active & (agent == name)] for name in self.agents}
        doses = (
            f"{report.agent(name)} at {report.dose_text(self.outcome, name, self._dose(name))}"
            + (f" in {where}" if (where := report.condition(self._condition(name))) else "")
            for name in self.agents
        )
        caption = (
            f"{title} over time, each agent at its commonest tested dose in the condition with most"
            f" of its trials ({'; '.join(doses)}). Medians and {CRI}s."
        )
        yield report.figures.add(
            plot_effect_over_time(effects, axis=self.axis, measured_at=measured), caption
        )
        yield self._table(effects)
        if report.has_dose(self.outcome):
            yield self._map()

    def _effects(self, hours: np.ndarray, doses: np.ndarray | None = None) -> xr.DataArray:
        """Effect of each agent over time at its main dose or at given doses."""
        effects = []
        for agent in self.agents:
            dose = [self._dose(agent)] if doses is None else doses
            effect = effect_over_time(
                self.report.thinned_fit, self.outcome, hours, dose, self.treatment_hours
            )
            effect = effect.sel({AGENT: agent, CONDITION: self._condition(agent)})
            effect = effect.reset_coords(CONDITION, drop=True)
            if doses is None:
                effect = effect.isel({DOSE: 0}).reset_coords(DOSE, drop=True)
            effects.append(effect.assign_coords(agent_label=self.report.agent(agent)))
        return xr.concat(effects, dim=AGENT, coords="different", compat="equals")

    def _condition(self, agent: str) -> str:
        """The condition with most trials of an agent."""
        report, outcome = self.report, self.outcome
        return max(report.conditions, key=lambda c: report.n_trials(outcome, agent, c))

    def _dose(self, agent: str) -> float:
        """The commonest tested dose of an agent in that condition."""
        return self.report.main_dose(self.outcome, agent, self._condition(agent))

    def _map(self) -> Picture:
        """The effect over dose and time, up to the largest tested dose of each agent."""
        report, outcome = self.report, self.outcome
        ranges = [report.tested_range(outcome, a, self._condition(a)) for a in self.agents]
        lowest, highest = (list(ends) for ends in zip(*ranges, strict=True))
        grid = np.geomspace(min(lowest), max(highest), N_DOSES)
        effects = self._effects(self.hours[self.hours >= 0], grid)
        largest = xr.DataArray(highest, {AGENT: self.agents}, (AGENT,))
        above = effects[DOSE] > largest * (1 + TOLERANCE)
        effects = effects.assign_coords(extrapolated=effects["extrapolated"] | above)
        axis, lower = self.axis, report.outcomes[outcome].better == "lower"
        caption = f"{report.title(outcome)} over dose and time: medians."
        if report.is_risk(outcome):
            risk, source = report.baseline(outcome)
            effects = 100 * absolute_risk(effects, risk, report.link(outcome))
            axis, lower = f"{report.label(outcome)}, risk in %", False
            caption += (
                f" Absolute risk, assuming {format_exact_percent(risk)} without treatment"
                f" ({source}) at every hour."
            )
        caption += " Hatched: outside the tested doses or hours of the agent."
        figure = plot_effect_over_dose_and_time(
            effects, axis=axis, dose_axis=report.axis, lower=lower
        )
        return report.figures.add(figure, caption)

    def _table(self, effects: xr.DataArray) -> Table:
        report, outcome, window = self.report, self.outcome, self.report.spec.window
        better = report.outcomes[outcome].better
        target = (
            window.benefit_at_least if window and window.benefit == outcome and better else None
        )
        hours = [hour for hour in TABLE_HOURS if hour <= 2 * self.last] or [1.0]
        remaining = remaining_effect(report.thinned_fit, outcome, hours, self.treatment_hours)
        rows = []
        for agent in self.agents:
            labels = {AGENT: agent, CONDITION: self._condition(agent)}
            of_agent = remaining.sel({d: v for d, v in labels.items() if d in remaining.dims})
            row = {"agent": report.agent(agent)} | {
                f"% left after {format_exact(hour)} h": format_draws(
                    100 * of_agent.sel({HOUR: hour}), _format_share
                )
                for hour in hours
            }
            if target is not None:
                duration = effect_duration(effects.sel({AGENT: agent}), target, better)
                row[f"hours with at least {report.benefit_target()}"] = format_draws(
                    duration, format_number
                )
            rows.append(row)
        caption = f"{report.title(outcome)}: remaining share of the effect; medians and {CRI}s."
        if target is not None:
            caption += (
                " Hours count from the end of treatment; 0 where the effect is never that large;"
                " they end with the figure."
            )
        return build_table(pd.DataFrame(rows), caption)


def _format_share(percent: float) -> str:
    if percent >= 99.5:
        return "100"
    return format_number(percent, 2) if abs(percent) >= 0.1 else "0.0"


# --- Therapeutic window --------------------------------------------------------------------------

#: Panels of one figure, at most; the table has every cell with trials.
MAX_PANELS: Final = 12
NO_DOSE_IS_LIKELY: Final = "no tested dose is likely (at least 50%) to meet both"


@section("window", "Therapeutic window", 110)
def window_section(report: ReportContext) -> Iterator[Block]:
    """The probability of enough benefit and acceptable harm, by dose."""
    window, results = report.spec.window, report.window
    if window is None or results is None:
        return
    yield Text(
        f"Probability that the mean benefit ({report.label(window.benefit)}) is at least"
        f" {report.benefit_target()}, that the added risk ({report.label(window.harm)}) is at most"
        f" {format_exact_percent(window.risk_at_most)} (assuming"
        f" {format_exact_percent(window.baseline_risk)} without treatment), and of both together."
        " These are probabilities about population means, not individual patients."
        " Both targets are set in the spec."
        f" {capitalise(window.why)}".rstrip()
    )
    frame = _window_cells(report)
    if frame.empty:
        yield Text("No agent has trials of both benefit and harm.")
        return
    for agents, conditions in _window_panels(frame):
        panels = {AGENT: agents, CONDITION: conditions}
        title = "" if len(agents) > 1 else f" {report.agent(agents[0])}."
        caption = (
            f"Therapeutic window.{title} Posterior probabilities by dose ({report.axis}); hatched"
            " or thin above the doses tested for the agent in the condition. Markers: tested doses."
        )
        yield report.figures.add(plot_therapeutic_window(results.sel(panels)), caption)
        if report.has_dose(window.benefit) or report.has_dose(window.harm):
            figure = plot_benefit_risk(
                report.response.sel(panels),
                benefit=window.benefit,
                harm=window.harm,
                benefit_at_least=window.benefit_at_least,
                risk_at_most=window.risk_at_most,
            )
            caption = (
                f"Benefit and added risk by dose.{title} Medians, with {CRI}s at tested doses."
            )
            yield report.figures.add(figure, caption)
    caption = (
        "Of the doses tested for an agent in a condition, that with the highest probability of"
        " meeting both targets."
    )
    shown = frame.assign(
        agent=frame["agent"].map(report.agent), condition=frame["condition"].map(report.condition)
    )
    unlikely = ~shown["finding"].str.startswith("likely")
    table = build_table(shown, caption, flagged=unlikely)
    yield fold_table(table, count_noun(len(frame), "agent-condition pair"))


def _window_cells(report: ReportContext) -> pd.DataFrame:
    """The cells with a trial of benefit or harm, with their best dose."""
    window = report.spec.window
    assert window is not None
    rows = []
    for agent in report.agents:
        for condition in report.conditions:
            benefit = report.n_trials(window.benefit, agent, condition)
            harm = report.n_trials(window.harm, agent, condition)
            best = best_dose(report, agent, condition)
            if not (benefit or harm) or best is None:
                continue
            remarks = {
                "no trial of the benefit here": not benefit,
                "no trial of the harm here": not harm,
                "the largest tested dose": best.is_largest,
            }
            finding = "likely to meet both" if best.is_likely else NO_DOSE_IS_LIKELY
            rows.append(
                {
                    "agent": agent,
                    "condition": condition,
                    "trials of benefit": benefit,
                    "trials of harm": harm,
                    "highest at": report.dose_text(window.benefit, agent, best.dose),
                    "Pr(both targets met)": format_probability(best.probability),
                    "finding": finding,
                    "remark": join_words(text for text, applies in remarks.items() if applies),
                }
            )
    return pd.DataFrame(rows)


def _window_panels(frame: pd.DataFrame) -> list[tuple[list[str], list[str]]]:
    """Split the cells into readable figures: agents and conditions of each."""
    agents, conditions = list(frame["agent"].unique()), list(frame["condition"].unique())
    if len(agents) * len(conditions) <= min(MAX_PANELS, len(frame) + 2):
        return [(agents, conditions)]
    by_agent = frame.groupby("agent", sort=False)["condition"].agg(list)
    return [([str(agent)], cells[:MAX_PANELS]) for agent, cells in by_agent.items()]
