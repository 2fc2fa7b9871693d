"""The curves of one outcome: the same for every agent, or different ones for some.

Curves share parameters by name. Where an agent's curve lacks a parameter, the curves that have it
are evaluated at exposure 0, so that the agent's trials do not inform that parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from nmda_bayes.components.curves import LOG_PREFIX, Curve
from nmda_bayes.components.prior_guidance import PriorSuggestion

#: Indicator of some agents: a labelled array that is 1 for them and 0 elsewhere.
AgentMask = Callable[[tuple[str, ...]], Any]


@dataclass(frozen=True)
class CurveSet:
    """The default curve of an outcome, and the curves of agents that differ."""

    default: Curve
    by_agent: Mapping[str, Curve] = field(default_factory=dict)

    def of(self, agent: str) -> Curve:
        """Give an agent's curve."""
        return self.by_agent.get(agent, self.default)

    @property
    def groups(self) -> list[tuple[Curve, tuple[str, ...]]]:
        """Each curve once, with the agents named for it; the default curve comes first."""
        curves = [self.default, *self.by_agent.values()]
        distinct = [curve for i, curve in enumerate(curves) if curve not in curves[:i]]
        return [
            (curve, tuple(agent for agent, other in self.by_agent.items() if other == curve))
            for curve in distinct
        ]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters, each once."""
        return tuple(dict.fromkeys(self._parameter_names))

    @property
    def needs_dose(self) -> bool:
        """Whether any curve depends on dose."""
        return any(curve.needs_dose for curve, _ in self.groups)

    @property
    def shared(self) -> tuple[str, ...]:
        """The parameters that curves of different formulas share by name."""
        return tuple(n for n in self.parameters if self._parameter_names.count(n) > 1)

    @property
    def _parameter_names(self) -> list[str]:
        return [name for curve, _ in self.groups for name in curve.parameters]

    def owner(self, name: str) -> str:
        """Describe the curve that has a parameter; empty where it is every agent's."""
        if name in self.default.parameters:
            return ""
        owners = (
            f" of {', '.join(agents)}'s curve '{curve.name}'"
            for curve, agents in self.groups[1:]
            if name in curve.parameters
        )
        return next(owners, "")

    def has(self, agent: str, name: str) -> bool:
        """Say whether an agent's curve has a parameter, on either scale; true for other names."""

        def names(parameters: Sequence[str]) -> set[str]:
            return {*parameters, *(p.removeprefix(LOG_PREFIX) for p in parameters)}

        return name not in names(self.parameters) or name in names(self.of(agent).parameters)

    def formula_lines(self) -> Iterator[tuple[str, str, str]]:
        """Give the formulas: text, symbols, and the agents where curves differ."""
        for i, (curve, agents) in enumerate(self.groups):
            scope = ", ".join(agents) if i else "all other agents"
            yield curve.text, curve.symbols, scope if self.by_agent else ""

    def response(
        self,
        exposure: Any,
        parameters: Mapping[str, Any],
        xp: Any,
        members: AgentMask | None = None,
    ) -> Any:
        """Evaluate each agent's curve, zero where the exposure is zero."""
        if not self.by_agent:
            return self.default.response(exposure, parameters, xp)
        first, *others = (
            curve.response(exposure * mask, parameters, xp)
            for curve, mask in self._masked_curves(members)
        )
        return sum(others, first)

    def dose_for(
        self, effect: Any, parameters: Mapping[str, Any], members: AgentMask | None = None
    ) -> Any:
        """Find the dose of an effect by the closed-form inverses; None where no curve has one."""
        if all(curve.inverse is None for curve, _ in self.groups):
            return None
        if not self.by_agent:
            return self.default.dose_for(effect, parameters)
        dose: Any = xr.DataArray(float("nan"))
        for curve, mask in self._masked_curves(members):
            if curve.inverse is not None:
                dose = curve.dose_for(effect, parameters).where(mask > 0, dose)
        return dose

    def prior_suggestions(self, doses: Sequence[float] = ()) -> dict[str, PriorSuggestion]:
        """Suggest priors of the parameters by the tested doses."""
        suggestions: dict[str, PriorSuggestion] = {}
        for curve, _ in self.groups:
            suggestions = curve.prior_suggestions(doses) | suggestions
        return {name: suggestions[name] for name in self.parameters}

    def option_notes(self, doses: Sequence[float]) -> tuple[str, ...]:
        """Describe doses among the options that lie outside the tested doses."""
        return tuple(dict.fromkeys(note for c, _ in self.groups for note in c.option_notes(doses)))

    def _masked_curves(self, members: AgentMask | None) -> Iterator[tuple[Curve, Any]]:
        if members is None:
            raise ValueError("agents have different curves: an agent mask is required")
        (default, also), *others = self.groups
        elsewhere = tuple(agent for _, agents in others for agent in agents)
        yield default, 1.0 - members(elsewhere) if elsewhere else members(also) * 0.0 + 1.0
        for curve, agents in others:
            yield curve, members(agents)
