"""A fit as the report reads it: its names and facts, and results that several sections share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import xarray as xr

from nmda_bayes.checks import Diagnostics, diagnose
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.links import Link
from nmda_bayes.design import ObservedVariable, observed_variables
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE, SEPARATOR, scoped_name
from nmda_bayes.estimands import (
    design_of,
    dose_range,
    dose_response,
    linear_response,
    spec_of,
    study_effects,
    therapeutic_window,
)
from nmda_bayes.estimands.fit_access import (
    exposure_axis_label,
    is_risk,
    link_of,
    shares_dose_axis,
    variable_name,
)
from nmda_bayes.report.blocks import FigureNumbering
from nmda_bayes.report.format import (
    capitalise,
    decapitalise,
    display_name,
    format_exact,
    format_exact_percent,
    join_words,
)
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.rules import BASELINE

#: Numbers of one curve, at most: 48 doses of 60 cells with 1,000 draws.
MAX_CURVE_NUMBERS: Final = 3_000_000
#: Labels of one quantity that a sentence can list.
MAX_LABELS: Final = 6
ALL_CONDITIONS: Final = "all conditions combined"
#: The condition of a table without conditions.
UNNAMED_CONDITION: Final = "all"
TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class ModelCell:
    """An agent in a condition; `where` is the condition as displayed."""

    agent: str
    condition: str
    where: str
    trials: int
    controlled: int

    @property
    def place(self) -> str:
        """The condition after a comma; empty where it has no name."""
        return f", {self.where}" if self.where else ""


class ReportContext:
    """A fit with its checks and variants, its names for a reader, and its shared results."""

    def __init__(
        self,
        fit: xr.DataTree,
        variants: xr.Dataset | None = None,
        checks: Diagnostics | None = None,
    ) -> None:
        self.fit, self.variants = fit, variants
        self.spec: AnalysisSpec = spec_of(fit)
        self.synthetic = bool(fit.attrs.get("synthetic", 0))
        self.figures = FigureNumbering(watermark="SYNTHETIC" if self.synthetic else "")
        self._checks = checks

    @cached_property
    def checks(self) -> Diagnostics:
        """The checks, computed if they were not passed."""
        return diagnose(self.fit) if self._checks is None else self._checks

    # --- Names -----------------------------------------------------------------------------------

    @property
    def outcomes(self) -> dict[str, OutcomeSpec]:
        """The outcomes, in the spec's order."""
        return self.spec.outcomes

    @cached_property
    def agents(self) -> list[str]:
        """Agents with a curve."""
        return [str(agent) for agent in self.dose_range[AGENT].to_numpy()]

    @cached_property
    def conditions(self) -> list[str]:
        """Conditions of the arms."""
        return [str(condition) for condition in self.dose_range[CONDITION].to_numpy()]

    def label(self, outcome: str) -> str:
        """Display name of an outcome within a sentence."""
        return decapitalise(self.outcomes[outcome].label or display_name(outcome))

    def title(self, outcome: str) -> str:
        """Display name of an outcome at the start of a sentence."""
        return capitalise(self.label(outcome))

    def term(self, dim: str, value: str) -> str:
        """Display name of a label of the evidence."""
        text = self._labels.get((dim, value), "")
        return decapitalise(text) if text and text != value else display_name(value)

    @cached_property
    def _labels(self) -> dict[tuple[str, str], str]:
        if "evidence_map" not in self.fit.children:
            return {}
        coords = self.fit["evidence_map"].coords
        return {
            (dim, str(value)): str(label)
            for dim in (AGENT, CONDITION, OUTCOME)
            if f"{dim}_label" in coords
            for value, label in zip(
                coords[dim].to_numpy(), coords[f"{dim}_label"].to_numpy(), strict=True
            )
        }

    def agent(self, agent: str) -> str:
        """Display name of an agent."""
        return self.term(AGENT, agent)

    def condition(self, condition: str) -> str:
        """Display name of a condition."""
        return self.term(CONDITION, condition)

    @property
    def reference(self) -> str:
        """Display name of the reference agent."""
        return self.agent(self.spec.reference)

    def unit(self, outcome: str) -> str:
        """Unit of an outcome's differences, after a space; empty without one."""
        unit = self.outcomes[outcome].unit
        return f" {unit}" if unit else ""

    def scale(self, outcome: str) -> str:
        """Name the scale of an outcome's effects: a log ratio, a unit, or "difference"."""
        return self.link(outcome).effect or self.outcomes[outcome].unit or "difference"

    def variable(self, outcome: str, parameter: str) -> str:
        """Name of an outcome's variable in the fit."""
        return variable_name(self.spec, outcome, parameter)

    def quantity(self, variable: str) -> str:
        """Display name of a variable of the fit."""
        outcome, _, parameter = variable.rpartition(SEPARATOR)
        return f"{parameter} of {self.label(outcome)}" if outcome in self.outcomes else variable

    def parameters_with(self, conclusion: str) -> list[str]:
        """Name the quantities with one conclusion, and for which labels unless for all."""
        names = []
        for variable, rows in self.checks.identifiability.groupby("variable", sort=False):
            labels = rows.loc[rows["conclusion"] == conclusion, "at"]
            if len(labels) == len(rows):
                names.append(self.quantity(str(variable)))
            elif len(labels):
                of = f"{len(labels)} of {len(rows)} elements"
                if len(labels) <= MAX_LABELS:
                    of = join_words(self._cell_name(str(at)) for at in labels)
                names.append(f"{self.quantity(str(variable))} ({of})")
        return names

    def _cell_name(self, at: str) -> str:
        """Display the coordinates of a scalar, ``dim=label, ...``."""
        pairs = [part.partition("=") for part in at.split(", ")]
        return " in ".join(
            self.term(dim, label) if dim in (AGENT, CONDITION) else label or dim
            for dim, _, label in pairs
        )

    # --- Facts -----------------------------------------------------------------------------------

    def design(self, outcome: str) -> xr.Dataset:
        """The arms to which an outcome was fitted."""
        return design_of(self.fit, outcome)

    def observed(self, outcome: str) -> list[ObservedVariable]:
        """The observed variables of an outcome, one per report format."""
        return observed_variables(self.spec, self.design(outcome), outcome)

    def is_risk(self, outcome: str) -> bool:
        """Whether an outcome is a probability."""
        return is_risk(self.spec, outcome)

    def link(self, outcome: str) -> Link:
        """Link of an outcome's linear predictor."""
        return link_of(self.spec, outcome)

    def has_dose(self, outcome: str) -> bool:
        """Whether an outcome's effect depends on dose."""
        return self.outcomes[outcome].shape.needs_dose

    def varies(self, outcome: str, dim: str) -> bool:
        """Whether an outcome's curve may differ over a dim."""
        posterior = self.fit["posterior"].to_dataset()
        if dim == AGENT and self.outcomes[outcome].curves:
            return True
        parameters = self.outcomes[outcome].shape.parameters
        return any(dim in posterior[self.variable(outcome, p)].dims for p in parameters)

    @property
    def dose_outcomes(self) -> list[str]:
        """Outcomes whose effect depends on dose."""
        return [outcome for outcome in self.outcomes if self.has_dose(outcome)]

    @property
    def relative(self) -> bool:
        """Whether exposure 1 is every agent's reference dose or regimen."""
        return all(EXPOSURES[self.outcomes[o].exposure].relative for o in self.dose_outcomes)

    @property
    def axis(self) -> str:
        """Label of the dose axis."""
        return exposure_axis_label(self.spec)

    @cached_property
    def dose_range(self) -> xr.Dataset:
        """Number of trials and tested range of exposures, by outcome, agent and condition."""
        return dose_range(self.fit)

    def n_trials(self, outcome: str, agent: str, condition: str = "") -> int:
        """Count the trials of an agent, in one condition or in all."""
        cells = self.dose_range["trials"].sel({OUTCOME: outcome, AGENT: agent})
        return int(cells.sel({CONDITION: condition}) if condition else cells.sum())

    def n_controlled(self, outcome: str, agent: str, condition: str = "") -> int:
        """Count the trials that compare an agent with the reference."""
        design = self.design(outcome)
        study, exposure = design["study"].to_numpy(), design["exposure"].to_numpy()
        active = (design["agent"].to_numpy() == agent) & (exposure > 0)
        if condition:
            active &= design["condition"].to_numpy() == condition
        return len(set(study[active]) & set(study[exposure == 0]))

    def below_tested(self, outcome: str, agent: str, dose: float) -> bool:
        """Whether a dose is below all tested doses of an agent."""
        lowest = float(self.dose_range["tested_from"].sel({OUTCOME: outcome, AGENT: agent}))
        return self.has_dose(outcome) and dose < lowest * (1 - TOLERANCE)

    def above_tested(self, outcome: str, agent: str, dose: float) -> bool:
        """Whether a dose is above all tested doses of an agent, or the agent was never tested."""
        if not self.has_dose(outcome):
            return self.n_trials(outcome, agent) == 0
        largest = float(self.dose_range["tested_to"].sel({OUTCOME: outcome, AGENT: agent}))
        return not dose <= largest * (1 + TOLERANCE)

    def cells(self, outcome: str) -> list[ModelCell]:
        """The cells of an outcome that the model distinguishes, those with most trials first."""
        by_condition = self.varies(outcome, CONDITION) or len(self.conditions) == 1
        cells = [
            ModelCell(
                agent,
                condition or self.conditions[0],
                self._condition_title(condition),
                self.n_trials(outcome, agent, condition),
                self.n_controlled(outcome, agent, condition),
            )
            for agent in self.agents
            for condition in (self.conditions if by_condition else [""])
        ]
        return sorted(cells, key=lambda cell: (-cell.controlled, -cell.trials))

    def _condition_title(self, condition: str) -> str:
        if not condition:
            return ALL_CONDITIONS
        return "" if condition == UNNAMED_CONDITION else self.condition(condition)

    def tested_cells(self, outcome: str) -> list[ModelCell]:
        """The cells of an outcome that have a trial."""
        return [cell for cell in self.cells(outcome) if cell.trials]

    # --- Results ---------------------------------------------------------------------------------

    def baseline(self, outcome: str) -> tuple[float, str]:
        """The risk without treatment that an outcome's risks are computed from, and its source."""
        if self.spec.window is not None:
            return self.spec.window.baseline_risk, "set in the spec"
        arms = self.design(outcome)
        controls = arms.isel(arm=np.flatnonzero(arms["exposure"].to_numpy() == 0))
        if not controls.sizes["arm"]:
            return self._baseline_without_controls(outcome, arms)
        events, people = float(controls["events"].sum()), float(controls["n"].sum())
        if 0 < events < people:
            return events / people, "the crude risk in the reference arms"
        # The link needs a risk strictly between 0 and 1.
        return (events + 0.5) / (
            people + 1
        ), "the crude risk in the reference arms, plus 0.5 events"

    def _baseline_without_controls(self, outcome: str, arms: xr.Dataset) -> tuple[float, str]:
        posterior = self.fit["posterior"].to_dataset()
        for name in (BASELINE, f"{BASELINE}_location"):
            draws = posterior.get(
                scoped_name(outcome, name, single_outcome=self.spec.single_outcome)
            )
            if draws is not None and set(draws.dims) == set(SAMPLE):
                risk = float(self.link(outcome).inverse(draws).median())
                return risk, "the median of the model's baseline: no trial has a reference arm"
        share = float((arms["events"].sum() + 0.5) / (arms["n"].sum() + 1))
        return share, "the crude risk over all arms: no trial has a reference arm"

    @cached_property
    def curve_baseline(self) -> tuple[float, str] | None:
        """The baseline of the dose-response curves; None if no outcome is a risk."""
        risks = [outcome for outcome in self.outcomes if self.is_risk(outcome)]
        risks = [outcome for outcome in risks if self.has_dose(outcome)] or risks
        return self.baseline(risks[0]) if risks else None

    @cached_property
    def thinned_fit(self) -> xr.DataTree:
        """The fit with as many draws as a curve on a page needs."""
        posterior = self.fit["posterior"].to_dataset()
        draws = posterior.sizes["chain"] * posterior.sizes["draw"]
        numbers = draws * 48 * len(self.agents) * len(self.conditions)
        step = math.ceil(numbers / MAX_CURVE_NUMBERS)
        if step <= 1:
            return self.fit
        thinned = self.fit.copy()
        thinned["posterior"] = xr.DataTree(posterior.isel(draw=slice(None, None, step)))
        return thinned

    @cached_property
    def response(self) -> xr.DataArray:
        """Every outcome's curve over the default doses, from `thinned_fit`."""
        baseline = self.curve_baseline and self.curve_baseline[0]
        return dose_response(self.thinned_fit, baseline_risk=baseline)

    @cached_property
    def window(self) -> xr.Dataset | None:
        """The therapeutic window over the default doses; None without one in the spec."""
        defined = self.spec.window is not None and shares_dose_axis(self.spec)
        return therapeutic_window(self.thinned_fit) if defined else None

    @cached_property
    def effects(self) -> dict[str, xr.Dataset]:
        """Each outcome's effects by trial."""
        return {outcome: study_effects(self.fit, outcome) for outcome in self.outcomes}

    def effect_draws(self, outcome: str, agent: str, condition: str, dose: float) -> np.ndarray:
        """Draws of an effect at a displayed dose, on the scale of the linear predictor."""
        grid = self._display_effects[outcome]
        cell = grid.sel({AGENT: agent, CONDITION: condition})
        nearest = int(np.abs(grid[DOSE].to_numpy() - dose).argmin())
        return cell.isel({DOSE: nearest}).to_numpy().ravel()

    @cached_property
    def _display_effects(self) -> dict[str, xr.DataArray]:
        doses = sorted({dose for doses in self.display_doses.values() for dose in doses})
        return {outcome: linear_response(self.fit, outcome, doses) for outcome in self.outcomes}

    @cached_property
    def display_doses(self) -> dict[str, list[float]]:
        """Doses at which the report states effects, by agent."""
        if not self.dose_outcomes:
            return {agent: [1.0] for agent in self.agents}
        if self.relative:
            return {agent: [0.5, 1.0, 2.0] for agent in self.agents}
        return {agent: self._tested_doses(agent) for agent in self.agents}

    def _tested_doses(self, agent: str) -> list[float]:
        """The lowest, middle and highest tested dose of an agent."""
        doses: set[float] = set()
        for outcome in self.dose_outcomes:
            arms = self.design(outcome)
            exposure = arms["exposure"].to_numpy()[arms["agent"].to_numpy() == agent]
            doses |= {float(dose) for dose in exposure if dose > 0}
        tested = sorted(doses) or [1.0]
        return sorted({tested[0], tested[(len(tested) - 1) // 2], tested[-1]})

    def main_dose(self, agent: str) -> float:
        """The dose at which an agent's effect is summarised."""
        doses = self.display_doses[agent]
        return 1.0 if 1.0 in doses else doses[(len(doses) - 1) // 2]

    def dose_text(self, dose: float, *, in_table: bool = False) -> str:
        """Write a dose for a sentence or a table cell."""
        if not self.dose_outcomes:
            return format_exact(dose) if in_table else "any dose"
        if self.relative:
            named = dose == 1 and not in_table
            return "the reference dose" if named else f"{format_exact(dose)} × reference"
        return format_exact(dose) if in_table else f"dose {format_exact(dose)}"

    def benefit_target(self) -> str:
        """The smallest important benefit of the spec's window, with its unit."""
        window = self.spec.window
        assert window is not None
        if self.is_risk(window.benefit):
            return format_exact_percent(window.benefit_at_least)
        return f"{format_exact(window.benefit_at_least)}{self.unit(window.benefit)}"
