"""A fit as the page reads it: what several sections ask for, computed once."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import xarray as xr

from nmda_bayes.checks import Checks, check
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE, scoped
from nmda_bayes.estimands import (
    dose_response,
    linear_response,
    study_effects,
    therapeutic_window,
)
from nmda_bayes.estimands.reading import on_one_axis
from nmda_bayes.report.names import Named
from nmda_bayes.report.words import listed
from nmda_bayes.spec.rules import BASELINE

#: Numbers kept for one curve of the page, at most: 48 doses of 60 cells with 1,000 draws. Curves
#: and probabilities at print size do not show more draws than that.
LARGEST = 3_000_000

#: Places of one quantity that a sentence can name.
PLACES = 6


class View(Named):
    """A fit, and what the page says of it.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.
    variants
        A sensitivity analysis of it, where there is one.
    checks
        Its checks; computed when first asked for if None.
    """

    def __init__(
        self, fit: xr.DataTree, variants: xr.Dataset | None = None, checks: Checks | None = None
    ) -> None:
        super().__init__(fit, variants)
        self._known = checks

    @cached_property
    def checks(self) -> Checks:
        """The checks of the fit."""
        return check(self.fit) if self._known is None else self._known

    def told(self, verdict: str) -> list[str]:
        """Name the quantities of which the data said one thing, and where, if not everywhere.

        Parameters
        ----------
        verdict
            A word of the identifiability table.

        Returns
        -------
        list[str]
            ``log_ed50 (ketamine and memantine)``, ``emax of pain intensity (12 of 48 places)``.
        """
        names = []
        for variable, rows in self.checks.identifiability.groupby("variable", sort=False):
            places = rows.loc[rows["verdict"] == verdict, "at"]
            where = [" in ".join(self._labels(str(at))) for at in places]
            if 0 < len(places) < len(rows):
                many = len(places) > PLACES
                said = f"{len(places)} of {len(rows)} places" if many else listed(where)
                names.append(f"{self.quantity(str(variable))} ({said})")
            elif len(places):
                names.append(self.quantity(str(variable)))
        return names

    def _labels(self, at: str) -> list[str]:
        """Printed names of the coordinates of a scalar."""
        name = {AGENT: self.agent, CONDITION: self.condition}
        pairs = [part.partition("=") for part in at.split(", ")]
        return [name.get(dim, str)(label or dim) for dim, _, label in pairs]

    def baseline(self, outcome: str) -> tuple[float, str]:
        """Find the risk from which an outcome's risks are counted.

        Parameters
        ----------
        outcome
            A binary outcome.

        Returns
        -------
        tuple[float, str]
            The risk without an agent, and where it comes from.
        """
        if self.spec.window is not None:
            return self.spec.window.baseline_risk, "as the spec states it"
        every = self.design(outcome)
        arms = every.isel(arm=np.flatnonzero(every["exposure"].to_numpy() == 0))
        if not arms.sizes["arm"]:
            return self._without_reference(outcome, every)
        events, people = float(arms["events"].sum()), float(arms["n"].sum())
        if 0 < events < people:
            return events / people, "the crude share in the reference arms, none being stated"
        # A logit needs a risk inside (0, 1); that half an event was added is said where it is used.
        share = (events + 0.5) / (people + 1)
        return (
            share,
            "the crude share in the reference arms, half an event added",
        )

    def _without_reference(self, outcome: str, arms: xr.Dataset) -> tuple[float, str]:
        """The baseline where no trial has a reference arm: the model's, if it has one for all."""
        posterior = self.fit["posterior"].to_dataset()
        for name in (BASELINE, f"{BASELINE}_location"):
            found = posterior.get(scoped(outcome, name, alone=self.spec.alone))
            if found is not None and set(found.dims) == set(SAMPLE):
                link = LIKELIHOODS[self.outcomes[outcome].likelihood].link
                risk = float(link.inverse(found).median())
                return risk, "the median of the model's baseline: no trial has a reference arm"
        share = float((arms["events"].sum() + 0.5) / (arms["n"].sum() + 1))
        return share, "the crude share over all arms: no trial has a reference arm"

    @cached_property
    def curve_baseline(self) -> tuple[float, str] | None:
        """The baseline of the curves; None if no outcome is a risk."""
        risks = [outcome for outcome in self.outcomes if self.is_risk(outcome)]
        risks = [outcome for outcome in risks if self.has_dose(outcome)] or risks
        return self.baseline(risks[0]) if risks else None

    @cached_property
    def thinned(self) -> xr.DataTree:
        """The fit with as many draws as curves on a page need."""
        draws = self.fit["posterior"].sizes["chain"] * self.fit["posterior"].sizes["draw"]
        numbers = draws * 48 * len(self.agents) * len(self.conditions)
        step = math.ceil(numbers / LARGEST)
        if step <= 1:
            return self.fit
        thin = self.fit.copy()
        thin["posterior"] = xr.DataTree(
            self.fit["posterior"].to_dataset().isel(draw=slice(None, None, step))
        )
        return thin

    @cached_property
    def response(self) -> xr.DataArray:
        """Every outcome's curve over the default doses, from `thinned` draws."""
        return dose_response(
            self.thinned, baseline_risk=self.curve_baseline and self.curve_baseline[0]
        )

    @cached_property
    def window(self) -> xr.Dataset | None:
        """The therapeutic window over the default doses; None if the spec has none, or two axes."""
        asked = self.spec.window is not None and on_one_axis(self.spec)
        return therapeutic_window(self.thinned) if asked else None

    @cached_property
    def effects(self) -> dict[str, xr.Dataset]:
        """Trial by trial, each outcome's effects."""
        return {outcome: study_effects(self.fit, outcome) for outcome in self.outcomes}

    def at(self, outcome: str, agent: str, condition: str, dose: float) -> np.ndarray:
        """Take the draws of an effect, on the scale of the linear predictor.

        Parameters
        ----------
        outcome
            Its name in the spec.
        agent
            The agent.
        condition
            The condition.
        dose
            The exposure.

        Returns
        -------
        np.ndarray
            All draws.
        """
        grid = self._at_marks[outcome]
        cell = grid.sel({AGENT: agent, CONDITION: condition})
        nearest = int(np.abs(grid[DOSE].to_numpy() - dose).argmin())
        return cell.isel({DOSE: nearest}).to_numpy().ravel()

    @cached_property
    def _at_marks(self) -> dict[str, xr.DataArray]:
        doses = sorted({dose for marks in self.marks.values() for dose in marks})
        return {outcome: linear_response(self.fit, outcome, doses) for outcome in self.outcomes}

    @cached_property
    def marks(self) -> dict[str, list[float]]:
        """Doses by agent at which the page states effects."""
        if not self.dosed:
            return {agent: [1.0] for agent in self.agents}
        if self.relative:
            return {agent: [0.5, 1.0, 2.0] for agent in self.agents}
        return {agent: self._tried_doses(agent) for agent in self.agents}

    def _tried_doses(self, agent: str) -> list[float]:
        """The lowest, middle and highest dose tried of an agent."""
        doses: set[float] = set()
        for outcome in self.dosed:
            arms = self.design(outcome)
            mine = (arms["agent"].to_numpy() == agent) & (arms["exposure"].to_numpy() > 0)
            doses |= {float(x) for x in arms["exposure"].to_numpy()[mine]}
        tried = sorted(doses)
        if not tried:
            return [1.0]
        return sorted({tried[0], tried[(len(tried) - 1) // 2], tried[-1]})

    def main_mark(self, agent: str) -> float:
        """Choose the dose for an answer in one sentence.

        Parameters
        ----------
        agent
            The agent.

        Returns
        -------
        float
            The reference dose, or the middle one of those tried.
        """
        marks = self.marks[agent]
        return 1.0 if 1.0 in marks else marks[(len(marks) - 1) // 2]

    def trials(self, outcome: str, agent: str, condition: str = "") -> int:
        """Count trials.

        Parameters
        ----------
        outcome
            Its name in the spec.
        agent
            The agent.
        condition
            The condition; all if empty.

        Returns
        -------
        int
            How many trials gave the agent there.
        """
        cells = self.tested["trials"].sel({OUTCOME: outcome, AGENT: agent})
        return int(cells.sel({CONDITION: condition}) if condition else cells.sum())

    def controlled(self, outcome: str, agent: str, condition: str = "") -> int:
        """Count trials that compare an agent with the reference itself.

        Parameters
        ----------
        outcome
            Its name in the spec.
        agent
            The agent.
        condition
            The condition; all if empty.

        Returns
        -------
        int
            Trials with an arm of the agent and an arm at dose 0; the others compare its doses, or
            it with other agents.
        """
        design = self.design(outcome)
        study, exposure = design["study"].to_numpy(), design["exposure"].to_numpy()
        mine = (design["agent"].to_numpy() == agent) & (exposure > 0)
        if condition:
            mine &= design["condition"].to_numpy() == condition
        return len(set(study[mine]) & set(study[exposure == 0]))

    def below(self, outcome: str, agent: str, dose: float) -> bool:
        """Say whether a dose is below every dose that was tried of an agent.

        Parameters
        ----------
        outcome
            Its name in the spec.
        agent
            The agent.
        dose
            The exposure.

        Returns
        -------
        bool
            True where the curve alone leads from dose 0 to the lowest dose tried.
        """
        lowest = float(self.tested["tested_from"].sel({OUTCOME: outcome, AGENT: agent}))
        return self.has_dose(outcome) and dose < lowest * (1 - 1e-6)

    def beyond(self, outcome: str, agent: str, dose: float) -> bool:
        """Say whether a dose is beyond what was tried of an agent.

        Parameters
        ----------
        outcome
            Its name in the spec.
        agent
            The agent.
        dose
            The exposure.

        Returns
        -------
        bool
            True beyond the largest exposure tried, and where there was no trial.
        """
        if not self.has_dose(outcome):
            return self.trials(outcome, agent) == 0
        largest = float(self.tested["tested_to"].sel({OUTCOME: outcome, AGENT: agent}))
        return not dose <= largest * (1 + 1e-6)
