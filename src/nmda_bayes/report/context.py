"""A fit as the report reads it: its names and facts, and results that several sections share."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks import Diagnostics, diagnose
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.links import Link
from nmda_bayes.design import ObservedVariable, observed_variables
from nmda_bayes.dims import (
    AGENT,
    CONDITION,
    DOSE,
    OUTCOME,
    SAMPLE,
    SEPARATOR,
    UNNAMED_CONDITION,
    scoped_name,
)
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
    is_risk,
    link_of,
    shares_dose_axis,
    variable_name,
)
from nmda_bayes.estimands.tested_doses import (
    TOLERANCE,
    commonest_dose,
    comparison_doses,
    default_dose_grid,
    dose_words,
    exposure_axis,
    exposure_axis_label,
    reference_words,
    reported_doses,
    tested_doses,
)
from nmda_bayes.report.blocks import FigureNumbering
from nmda_bayes.report.format import (
    CRI,
    capitalise,
    decapitalise,
    display_name,
    format_effect,
    format_exact,
    format_exact_percent,
    format_range,
    join_words,
    parameter_words,
    quantile_interval,
)
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.rules import BASELINE

#: Numbers of one curve, at most: 50 doses of 60 cells with 1,000 draws.
MAX_CURVE_NUMBERS: Final = 3_000_000
#: Labels of one quantity that a sentence can list.
MAX_LABELS: Final = 6
ALL_CONDITIONS: Final = "all conditions combined"
EXTRAPOLATED: Final = "above the tested doses (extrapolated)"
BELOW: Final = "below the tested doses (model-based)"
#: Log ratios are exponentiated up to here.
MAX_LOG: Final = 700.0


@dataclass(frozen=True)
class ModelCell:
    """An agent in a condition; `where` is the condition as displayed."""

    agent: str
    condition: str
    where: str
    trials: int
    controlled: int
    #: The condition whose trials inform it; None where conditions share one effect.
    tested_in: str | None = None

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
        self._effect_draws: dict[tuple[str, str, str, float], np.ndarray] = {}

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
        """Labels of the fit's agents and conditions, as figures have them, and of the evidence."""
        tables = [self.fit["design/labels"].to_dataset()]
        if "evidence_map" in self.fit.children:
            tables.insert(0, self.fit["evidence_map"].to_dataset())
        return {
            (dim, str(value)): str(label)
            for table in tables
            for dim in (AGENT, CONDITION, OUTCOME)
            if f"{dim}_label" in table.variables
            for value, label in zip(
                table[dim].to_numpy(), table[f"{dim}_label"].to_numpy(), strict=True
            )
        }

    def agent(self, agent: str) -> str:
        """Display name of an agent."""
        return self.term(AGENT, agent)

    def condition(self, condition: str) -> str:
        """Display name of a condition; empty in a table without conditions."""
        return "" if condition == UNNAMED_CONDITION else self.term(CONDITION, condition)

    def agent_in(self, agent: str, condition: str) -> str:
        """Display names of an agent and, where it has a name, of a condition."""
        where = self.condition(condition)
        return f"{self.agent(agent)} in {where}" if where else self.agent(agent)

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
        of = f" of {self.label(outcome)}" if outcome in self.outcomes else ""
        return f"{parameter_words(parameter)}{of}"

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
        return exposure_axis_label(self.fit)

    def axis_of(self, outcome: str) -> str:
        """Label of the dose axis of one outcome."""
        return exposure_axis(self.fit, self.outcomes[outcome].exposure)

    def references(self, agents: Iterable[str] | None = None) -> str:
        """What a multiple of 1 is, agent by agent; empty where doses are not multiples."""
        texts = {agent: reference_words(self.fit, agent) for agent in agents or self.agents}
        return "; ".join(f"{self.agent(agent)} {text}" for agent, text in texts.items() if text)

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

    def people(
        self, outcome: str = "", agent: str = "", condition: str | None = None
    ) -> int | None:
        """Count the people of an outcome's trials, or of those of an agent; None if not known.

        Of the trials of an agent, the people of its arms and of the reference arms.
        """
        arms = self.fit["design/arms"].to_dataset()
        if "n_randomised" not in arms:
            return None
        counts = arms["n_randomised"].to_numpy().astype(float)
        repeats = arms["overlaps"].to_numpy() != "" if "overlaps" in arms else counts < 0
        positions = np.arange(len(counts))
        if outcome:
            design = self.design(outcome)
            positions = design["position"].to_numpy()
            if agent:
                study, exposure = design["study"].to_numpy(), design["exposure"].to_numpy()
                of_agent = (design["agent"].to_numpy() == agent) & (exposure > 0)
                if condition is not None:
                    of_agent &= design["condition"].to_numpy() == condition
                in_trials = np.isin(study, study[of_agent]) & (exposure == 0)
                positions = positions[of_agent | in_trials]
        chosen = np.unique(positions)
        chosen = chosen[~repeats[chosen]]
        total = counts[chosen].sum() if len(chosen) else np.nan
        return int(total) if np.isfinite(total) else None

    def silent_trials(
        self, outcome: str, agent: str = "", condition: str | None = None
    ) -> list[str]:
        """Name the trials of counts in which nobody had the event, or everybody."""
        silent = []
        for form in self.observed(outcome):
            if not form.counts:
                continue
            columns = ["study", "agent", "condition", "exposure", "events", form.at_risk]
            arms = pd.DataFrame({column: form.design[column].to_numpy() for column in columns})
            for study, rows in arms.groupby("study", sort=False):
                nobody = (rows["events"] == 0).all()
                everybody = form.at_risk == "n" and (rows["events"] == rows["n"]).all()
                of_agent = (rows["agent"] == agent) & (rows["exposure"] > 0)
                of_agent &= condition is None or rows["condition"] == condition
                if (nobody or everybody) and (not agent or of_agent.any()):
                    silent.append(str(study))
        return silent

    def tested_range(
        self, outcome: str, agent: str, condition: str | None = None
    ) -> tuple[float, float]:
        """The lowest and highest tested dose, in one condition or in all; NaN without a trial."""
        of_agent = self.dose_range.sel({OUTCOME: outcome, AGENT: agent})
        if condition is not None:
            of_agent = of_agent.sel({CONDITION: condition})
        return float(of_agent["tested_from"].min()), float(of_agent["tested_to"].max())

    def dose_remark(
        self, outcome: str, agent: str, dose: float, condition: str | None = None
    ) -> str:
        """Say that a dose is outside those tested in the condition; empty where it is within."""
        if not self.has_dose(outcome):
            return ""
        low, high = self.tested_range(outcome, agent, condition)
        if not dose <= high * (1 + TOLERANCE):
            return EXTRAPOLATED
        return BELOW if dose < low * (1 - TOLERANCE) else ""

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
                condition or None,
            )
            for agent in self.agents
            for condition in (self.conditions if by_condition else [""])
        ]
        return sorted(cells, key=lambda cell: (-cell.controlled, -cell.trials))

    def _condition_title(self, condition: str) -> str:
        if not condition:
            return ALL_CONDITIONS
        return self.condition(condition)

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
        doses = default_dose_grid(self.fit).sizes[DOSE]
        numbers = draws * doses * len(self.agents) * len(self.conditions)
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
        """Draws of an effect at a dose, on the scale of the linear predictor."""
        key = outcome, agent, condition, dose
        if key not in self._effect_draws:
            cell = {AGENT: agent, CONDITION: condition}
            response = linear_response(self.fit, outcome, [dose], cell=cell)
            self._effect_draws[key] = response.to_numpy().ravel()
        return self._effect_draws[key]

    def natural_effect(self, outcome: str, draws: np.ndarray) -> np.ndarray:
        """Draws of an effect as a ratio or a correlation, where it is one, else a difference."""
        link = self.link(outcome)
        if link.ratio:
            return np.exp(np.minimum(draws, MAX_LOG))
        return np.tanh(draws) if link.correlation else draws

    def effect_name(self, outcome: str) -> str:
        """Name the natural scale of an outcome's effects: a ratio, a correlation, a difference."""
        link = self.link(outcome)
        return link.ratio or ("correlation" if link.correlation else "difference")

    def effect_text(self, outcome: str, draws: np.ndarray) -> str:
        """Write an effect with its 95% CrI and its unit."""
        natural = self.natural_effect(outcome, draws)
        low, middle, high = quantile_interval(natural)
        name = self.effect_name(outcome)
        unit = ""
        if name == "difference":
            unit = self.unit(outcome) or " (unit not stated)"
        return f"{name} {format_effect(middle)}{unit} ({CRI} {format_range(low, high)})"

    # --- Doses -----------------------------------------------------------------------------------

    @cached_property
    def tested_doses(self) -> pd.DataFrame:
        """The doses that trials compared, by outcome, agent and condition."""
        return tested_doses(self.fit)

    def reported_doses(self, outcome: str, agent: str, condition: str | None) -> list[float]:
        """Tested doses at which the report states effects, the commonest among them."""
        if not self.has_dose(outcome):
            return [1.0]
        return reported_doses(self.tested_doses, outcome, agent, condition)

    def main_dose(self, outcome: str, agent: str, condition: str | None = None) -> float:
        """The dose at which an agent's effect is summarised: the commonest tested one."""
        if not self.has_dose(outcome):
            return 1.0
        return commonest_dose(self.tested_doses, outcome, agent, condition)

    def comparison_doses(
        self, outcome: str, agents: Sequence[str], condition: str | None
    ) -> dict[str, float]:
        """The doses at which agents are compared with each other."""
        return comparison_doses(self.fit, outcome, agents, condition)

    def is_tested(self, outcome: str, agent: str, dose: float, condition: str | None) -> bool:
        """Whether a trial had a dose, in one condition or in any."""
        rows = self.tested_doses
        rows = rows[(rows[OUTCOME] == outcome) & (rows[AGENT] == agent)]
        if condition is not None:
            rows = rows[rows[CONDITION] == condition]
        return bool(np.isclose(rows[DOSE].to_numpy(float), dose, rtol=1e-5, atol=0).any())

    def dose_text(self, outcome: str, agent: str, dose: float) -> str:
        """Write a dose with its unit."""
        return dose_words(self.fit, outcome, agent, dose) if self.has_dose(outcome) else "any dose"

    def benefit_target(self) -> str:
        """The smallest important benefit of the spec's window, with its unit."""
        window = self.spec.window
        assert window is not None
        if self.is_risk(window.benefit):
            return format_exact_percent(window.benefit_at_least)
        unit = self.unit(window.benefit)
        if window.benefit_at_least == 1:
            unit = re.sub(r"^ points\b", " point", unit)
        return f"{format_exact(window.benefit_at_least)}{unit}"
