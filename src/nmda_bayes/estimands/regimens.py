"""What a fit on axes of concentration says of regimens: faster or slower, once or for days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design import original_agent
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.named_models import kinetics_of_design
from nmda_bayes.dims import AGENT, CONDITION, DRAW, OUTCOME, SAMPLE
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.estimands.baseline import baseline_for_risks
from nmda_bayes.estimands.kinetic_words import rests_on
from nmda_bayes.estimands.reading import link_of, spec_of, tested
from nmda_bayes.estimands.regimen_exposure import REGIMEN, RegimenAxis
from nmda_bayes.estimands.response import curve_parameters, on_natural_scale, scale_of
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec import AnalysisSpec


def regimen_response(
    fit: xr.DataTree,
    regimens: Sequence[str],
    *,
    agent: str,
    condition: str | None = None,
    route: str = "iv",
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Answer what regimens of one agent do, in the same draws.

    Parameters
    ----------
    fit
        A fit whose outcomes stand on axes of concentration.
    regimens
        In the notation of schedules: ``0.5 mg/kg over 40 min``.
    agent
        What is given.
    condition
        May be left out where the fit has one.
    route
        Of the doses.
    baseline_risk
        The risk without the agent; the spec's ``window.baseline_risk`` if None.

    Returns
    -------
    xr.Dataset
        ``response`` (outcome, regimen, chain, draw), on each outcome's natural scale: a difference
        from no dose, an absolute risk, a ratio; ``exposure``, the same dims where kinetic
        parameters have priors, else outcome and regimen. Coordinates say by outcome the ``label``,
        ``unit``, ``scale``, ``better``, ``axis``, ``trials`` and the range tried; ``extrapolated``
        whether a regimen lies beyond it, ``below`` whether it lies between its lowest end and no
        dose. Attribute ``rests_on`` says in words what it rests on.

    Raises
    ------
    InputError
        If a regimen cannot be read or worked out, or the agent has no model.
    SpecError
        If the fit does not stand on axes of concentration, or does not know agent or condition.
    """
    asked = Asked.of(fit, agent, condition, route)
    for text in regimens:
        parse_regimen(text)
    baseline = baseline_for_risks(fit, baseline_risk)
    exposures, responses = [], []
    for name in asked.spec.outcomes:
        exposure = asked.axis(name).place(regimens)
        exposures.append(exposure)
        responses.append(asked.natural(name, asked.response(name, exposure), baseline))
    outcomes = xr.Variable(OUTCOME, list(asked.spec.outcomes))
    found = xr.Dataset(
        {
            "response": xr.concat(responses, outcomes).transpose(OUTCOME, REGIMEN, *SAMPLE),
            "exposure": xr.concat(exposures, outcomes),
        }
    )
    return asked.described(found, baseline)


@dataclass(frozen=True)
class Asked:
    """A question about regimens of one agent. Make it with `of`.

    Attributes
    ----------
    fit
        The fit.
    spec
        Its spec.
    kinetics
        Its pharmacokinetic models.
    agent, condition, route
        What is given, to whom, how.
    """

    fit: xr.DataTree
    spec: AnalysisSpec
    kinetics: Kinetics
    agent: str
    condition: str
    route: str

    @classmethod
    def of(cls, fit: xr.DataTree, agent: str, condition: str | None, route: str) -> Asked:
        """Put a question.

        Parameters
        ----------
        fit
            A fit.
        agent
            What is given.
        condition
            To whom; None where the fit has one condition.
        route
            Of the doses.

        Returns
        -------
        Asked
            The question.

        Raises
        ------
        SpecError
            With every reason why it cannot be put.
        """
        spec = spec_of(fit)
        labels = fit["design/labels"].to_dataset()
        agents, conditions = ([str(x) for x in labels[d].to_numpy()] for d in (AGENT, CONDITION))
        faults = [
            Fault(
                f"outcome '{name}' stands on an axis of dose, which does not tell regimens apart",
                "Fit it on an axis of concentration, as models/concentration.toml does.",
                column=f"outcomes.{name}.exposure",
            )
            for name, part in spec.outcomes.items()
            if not EXPOSURES[part.exposure].of and part.shape.needs_dose
        ]
        if agent not in agents:
            faults.append(Fault(f"the fit has no agent '{agent}'", nearest(agent, agents)))
        if condition is None and len(conditions) > 1:
            mend = f"Name one: {', '.join(conditions)}."
            faults.append(Fault("the fit has several conditions", mend, column="condition"))
        elif condition is not None and condition not in conditions:
            mend = nearest(condition, conditions)
            faults.append(Fault(f"the fit has no condition '{condition}'", mend))
        kinetics = kinetics_of_design(spec, fit["design"])
        if kinetics is not None and agent in agents and not kinetics.model(agent, route):
            known = kinetics.spec.model.get(agent, {})
            mend = f"Its routes: {', '.join(known)}." if known else "Name one in the spec and fit."
            faults.append(
                Fault(f"the fit has no pharmacokinetic model of '{agent}' ({route})", mend)
            )
        if faults or kinetics is None:
            raise SpecError(faults)
        return cls(fit, spec, kinetics, agent, condition or conditions[0], route)

    def axis(self, outcome: str) -> RegimenAxis:
        """Give the axis of an outcome.

        Parameters
        ----------
        outcome
            The outcome.

        Returns
        -------
        RegimenAxis
            On which regimens are placed.
        """
        posterior = self.fit["posterior"].to_dataset()
        kind = EXPOSURES[self.spec.outcomes[outcome].exposure]
        mine = self.kinetics.of_outcome(outcome)
        return RegimenAxis(posterior, mine, kind, self.agent, self.route)

    def response(self, outcome: str, exposure: xr.DataArray) -> xr.DataArray:
        """Evaluate an outcome's curve on the scale of its linear predictor.

        Parameters
        ----------
        outcome
            The outcome.
        exposure
            On its axis.

        Returns
        -------
        xr.DataArray
            With chain and draw.
        """
        curve = self.spec.outcomes[outcome].shape.of(original_agent(self.agent))
        theta = curve_parameters(self.fit, outcome, curve.parameters)
        at = {AGENT: self.agent, CONDITION: self.condition}
        theta = {
            name: value.sel({d: x for d, x in at.items() if d in value.dims}, drop=True)
            for name, value in theta.items()
        }
        found: xr.DataArray = curve.response(exposure, theta, np)
        return found

    def natural(self, outcome: str, response: xr.DataArray, baseline: float | None) -> xr.DataArray:
        """Bring an outcome's response to the scale that a reader thinks in.

        Parameters
        ----------
        outcome
            The outcome.
        response
            On the scale of the linear predictor.
        baseline
            The risk without the agent.

        Returns
        -------
        xr.DataArray
            As `on_natural_scale` gives it.
        """
        return on_natural_scale(response, link_of(self.spec, outcome), baseline)

    def described(self, found: xr.Dataset, baseline: float | None) -> xr.Dataset:
        """Say what an answer rests on.

        Parameters
        ----------
        found
            With ``exposure``.
        baseline
            The risk without the agent.

        Returns
        -------
        xr.Dataset
            The same, with coordinates and words.
        """
        where = self.tested()
        exposure = found["exposure"]
        if DRAW in exposure.dims:
            exposure = exposure.median(SAMPLE)
        # Below the lowest tried lies no dose at all, which every trial tried: that is inside.
        outside = ~(exposure <= where["tested_to"] * (1 + 1e-6))
        below = exposure < where["tested_from"] * (1 - 1e-6)
        parts = self.spec.outcomes.items()
        of = {name: link_of(self.spec, name) for name, _ in parts}
        unit = ["probability" if of[n].probability else of[n].ratio or p.unit for n, p in parts]
        found = found.assign_coords(
            {k: where[k] for k in ("trials", "tested_from", "tested_to")},
        ).assign_coords(
            extrapolated=outside,
            below=below,
            label=(OUTCOME, [part.label or name for name, part in parts]),
            unit=(OUTCOME, unit),
            scale=(OUTCOME, [scale_of(of[name]) for name, _ in parts]),
            better=(OUTCOME, [part.better for _, part in parts]),
            axis=(OUTCOME, [EXPOSURES[part.exposure].axis for _, part in parts]),
        )
        counted = {} if baseline is None else {"baseline_risk": baseline}
        return found.assign_attrs({**self.about(), **counted})

    def tested(self) -> xr.Dataset:
        """Say where the agent was tried, and how often in the condition.

        Returns
        -------
        xr.Dataset
            ``trials``, ``tested_from`` and ``tested_to``, dim outcome.
        """
        return tested(self.fit).sel({AGENT: self.agent, CONDITION: self.condition}, drop=True)

    def about(self) -> dict[str, str]:
        """Say what was asked, and what concentrations rest on.

        Returns
        -------
        dict
            For the attributes of an answer.
        """
        labels = self.fit["design/labels"].to_dataset()
        agent = labels["agent_label"].sel({AGENT: self.agent})
        condition = labels["condition_label"].sel({CONDITION: self.condition})
        return {
            "agent": self.agent,
            "agent_label": str(agent.item()),
            "condition": self.condition,
            "condition_label": str(condition.item()),
            "route": self.route,
            "rests_on": rests_on(self.fit, self.kinetics, self.agent, self.route),
        }
