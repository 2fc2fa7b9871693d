"""The names and plain facts of a fit, as the page prints them."""

from __future__ import annotations

from functools import cached_property

import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.links import Link
from nmda_bayes.design import Form, forms_of
from nmda_bayes.dims import AGENT, CONDITION, OUTCOME, SEPARATOR
from nmda_bayes.estimands import design_of, spec_of, tested
from nmda_bayes.estimands.reading import exposure_axis, is_risk, link_of, variable
from nmda_bayes.report.words import name, opened, within
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec


class Named:
    """A fit by name: its outcomes, agents, conditions, units and variables.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.
    variants
        A sensitivity analysis of it, where there is one.
    """

    def __init__(self, fit: xr.DataTree, variants: xr.Dataset | None = None) -> None:
        self.fit, self.variants = fit, variants
        self.spec: AnalysisSpec = spec_of(fit)

    @cached_property
    def tested(self) -> xr.Dataset:
        """Where each outcome was tried."""
        return tested(self.fit)

    @property
    def synthetic(self) -> bool:
        """True where the evidence says that it was made up."""
        return bool(self.fit.attrs.get("synthetic", 0))

    @property
    def outcomes(self) -> dict[str, OutcomeSpec]:
        """The outcomes, in the spec's order."""
        return self.spec.outcomes

    @property
    def agents(self) -> list[str]:
        """Agents with a curve."""
        return [str(a) for a in self.tested[AGENT].to_numpy()]

    @property
    def conditions(self) -> list[str]:
        """Conditions of the arms."""
        return [str(c) for c in self.tested[CONDITION].to_numpy()]

    def label(self, outcome: str) -> str:
        """Name an outcome for a reader.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        str
            Its label, or its name as words, to stand within a sentence.
        """
        return within(self.outcomes[outcome].label or name(outcome))

    def title(self, outcome: str) -> str:
        """Name an outcome at the beginning of a sentence.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        str
            Its label, its first letter in upper case.
        """
        return opened(self.label(outcome))

    def term(self, dim: str, value: str) -> str:
        """Name a label of the evidence for a reader.

        Parameters
        ----------
        dim
            agent, condition or outcome.
        value
            The label.

        Returns
        -------
        str
            As the evidence's vocabulary prints it, to stand within a sentence; else its words.
        """
        printed = self._printed.get((dim, value), "")
        if not printed or printed == value:
            return name(value)
        return within(printed)

    @cached_property
    def _printed(self) -> dict[tuple[str, str], str]:
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
        """Name an agent for a reader.

        Parameters
        ----------
        agent
            Its label.

        Returns
        -------
        str
            Its printed name.
        """
        return self.term(AGENT, agent)

    def condition(self, condition: str) -> str:
        """Name a condition for a reader.

        Parameters
        ----------
        condition
            Its label.

        Returns
        -------
        str
            Its printed name.
        """
        return self.term(CONDITION, condition)

    @property
    def reference(self) -> str:
        """The agent at dose 0, for a reader."""
        return self.agent(self.spec.reference)

    def unit(self, outcome: str) -> str:
        """Name the unit of an outcome's differences.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        str
            With a space before it; empty if the spec names none.
        """
        unit = self.outcomes[outcome].unit
        return f" {unit}" if unit else ""

    def variable(self, outcome: str, parameter: str) -> str:
        """Name an outcome's variable in the fit.

        Parameters
        ----------
        outcome
            Its name in the spec.
        parameter
            The variable's own name.

        Returns
        -------
        str
            The full name.
        """
        return variable(self.spec, outcome, parameter)

    def quantity(self, variable_name: str) -> str:
        """Name a quantity of the model for a reader.

        Parameters
        ----------
        variable_name
            Its full name, perhaps with coordinates in brackets.

        Returns
        -------
        str
            ``emax of pain intensity``.
        """
        outcome, _, own = variable_name.rpartition(SEPARATOR)
        return f"{own} of {self.label(outcome)}" if outcome in self.outcomes else variable_name

    def design(self, outcome: str) -> xr.Dataset:
        """Read the arms that an outcome was fitted to.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        xr.Dataset
            Dim arm (and contrast).
        """
        return design_of(self.fit, outcome)

    def forms(self, outcome: str) -> list[Form]:
        """Say in which forms an outcome's trials report.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        list[Form]
            Arms, responders, contrasts: those that occur.
        """
        return forms_of(self.spec, self.design(outcome), outcome)

    def is_risk(self, outcome: str) -> bool:
        """Say whether an outcome is a probability.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        bool
            True for binomial outcomes.
        """
        return is_risk(self.spec, outcome)

    def link(self, outcome: str) -> Link:
        """Say on which scale an outcome's linear predictor is.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        Link
            With the words for its effects: an odds ratio, a rate ratio, a hazard ratio, or none.
        """
        return link_of(self.spec, outcome)

    def has_dose(self, outcome: str) -> bool:
        """Say whether an outcome's effect depends on dose.

        Parameters
        ----------
        outcome
            Its name in the spec.

        Returns
        -------
        bool
            False for a constant curve.
        """
        return self.outcomes[outcome].shape.needs_dose

    def varies(self, outcome: str, dim: str) -> bool:
        """Say whether an outcome's curve may differ over a dim.

        Parameters
        ----------
        outcome
            Its name in the spec.
        dim
            agent or condition.

        Returns
        -------
        bool
            False where the model gives every label of the dim one curve.
        """
        posterior = self.fit["posterior"].to_dataset()
        if dim == AGENT and self.outcomes[outcome].curves:
            return True
        parameters = self.outcomes[outcome].shape.parameters
        return any(dim in posterior[self.variable(outcome, p)].dims for p in parameters)

    @property
    def dosed(self) -> list[str]:
        """Outcomes whose effect depends on dose."""
        return [outcome for outcome in self.outcomes if self.has_dose(outcome)]

    @property
    def relative(self) -> bool:
        """True where 1 is every agent's reference dose, or its reference regimen."""
        return all(EXPOSURES[self.outcomes[o].exposure].relative for o in self.dosed)

    @property
    def axis(self) -> str:
        """The label of the dose axis."""
        return exposure_axis(self.spec)
