"""The curves of one outcome: one for every agent, or other ones for some.

Parameters are shared by name. An agent whose curve lacks a parameter has its exposure taken for 0
where that parameter's curve is evaluated, so that its trials tell nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from nmda_bayes.components.curves.advice import Advice
from nmda_bayes.components.curves.catalogue import LOG, Curve

#: Says of some agents where they are: a labelled array, 1 there and 0 elsewhere.
Members = Callable[[tuple[str, ...]], Any]


@dataclass(frozen=True)
class Shapes:
    """The curves of an outcome.

    Attributes
    ----------
    rest
        Of every agent that is not named.
    named
        By agent, where it has a curve of its own.
    """

    rest: Curve
    named: Mapping[str, Curve] = field(default_factory=dict)

    def of(self, agent: str) -> Curve:
        """Give an agent's curve.

        Parameters
        ----------
        agent
            Its label.

        Returns
        -------
        Curve
            That of the rest where it is not named.
        """
        return self.named.get(agent, self.rest)

    @property
    def groups(self) -> list[tuple[Curve, tuple[str, ...]]]:
        """Each curve once with its agents; that of the rest first, with those it is named for."""
        found: list[tuple[Curve, tuple[str, ...]]] = [(self.rest, ())]
        for agent, curve in self.named.items():
            place = next((i for i, (one, _) in enumerate(found) if one == curve), len(found))
            if place == len(found):
                found.append((curve, ()))
            found[place] = (curve, (*found[place][1], agent))
        return found

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters, each once."""
        return tuple(dict.fromkeys(name for curve, _ in self.groups for name in curve.parameters))

    @property
    def needs_dose(self) -> bool:
        """Whether any curve depends on dose."""
        return any(curve.needs_dose for curve, _ in self.groups)

    @property
    def shared(self) -> tuple[str, ...]:
        """The parameters that curves of different formulas share by name."""
        names = [name for curve, _ in self.groups for name in curve.parameters]
        return tuple(name for name in self.parameters if names.count(name) > 1)

    def whose(self, name: str) -> str:
        """Say whose a parameter is, where not every agent's curve has it.

        Parameters
        ----------
        name
            A parameter.

        Returns
        -------
        str
            `` of memantine's curve 'linear'``; empty where the curve of the rest has it.
        """
        if name in self.rest.parameters:
            return ""
        mine = (one for one in self.groups[1:] if name in one[0].parameters)
        curve, agents = next(mine, (None, ()))
        return f" of {', '.join(agents)}'s curve '{curve.name}'" if curve is not None else ""

    def has(self, agent: str, name: str) -> bool:
        """Say whether an agent's curve has a parameter.

        Parameters
        ----------
        agent
            Its label.
        name
            A parameter of a curve, as the formula or its quantity is called.

        Returns
        -------
        bool
            True too for what is no curve's parameter at all.
        """
        own = {n for p in self.parameters for n in (p, p.removeprefix(LOG))}
        mine = {n for p in self.of(agent).parameters for n in (p, p.removeprefix(LOG))}
        return name not in own or name in mine

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Write the formulas.

        Yields
        ------
        tuple[str, str, str]
            A formula, what its symbols mean, and whose it is: empty for all agents.
        """
        for place, (curve, agents) in enumerate(self.groups):
            whose = ", ".join(agents) if place else "all other agents"
            yield curve.text, curve.symbols, whose if self.named else ""

    def response(
        self,
        exposure: Any,
        parameters: Mapping[str, Any],
        xp: Any,
        members: Members | None = None,
    ) -> Any:
        """Evaluate each agent's curve, zero where the exposure is zero.

        Parameters
        ----------
        exposure
            Labelled array of exposures >= 0.
        parameters
            Labelled arrays by parameter name; dims broadcast by name.
        xp
            Namespace with the elementary functions for these arrays.
        members
            Says where some agents are, along the dims of exposure or parameters; may be left out
            where all agents have one curve.

        Returns
        -------
        Any
            Labelled array on the scale of the linear predictor.

        Raises
        ------
        ValueError
            If agents have curves of their own and nothing says where they are.
        """
        if not self.named:
            return self.rest.response(exposure, parameters, xp)
        parts = [
            curve.response(exposure * at, parameters, xp) for curve, at in self._placed(members)
        ]
        return sum(parts[1:], parts[0])

    def dose_for(
        self, effect: Any, parameters: Mapping[str, Any], members: Members | None = None
    ) -> Any:
        """Find the dose that has an effect, by the inverses that curves have in closed form.

        Parameters
        ----------
        effect
            Labelled array on the scale of the linear predictor, relative to dose 0.
        parameters
            Labelled arrays by parameter name.
        members
            As in `response`.

        Returns
        -------
        Any
            Labelled array of doses >= 0, NaN where no dose has this effect, and for agents whose
            curve has no inverse; None where no curve has one.
        """
        if all(curve.inverse is None for curve, _ in self.groups):
            return None
        if not self.named:
            return self.rest.dose_for(effect, parameters)
        found: Any = xr.DataArray(float("nan"))
        for curve, at in self._placed(members):
            if curve.inverse is not None:
                found = curve.dose_for(effect, parameters).where(at > 0, found)
        return found

    def advice(self, doses: Sequence[float] = ()) -> dict[str, Advice]:
        """Advise on the priors of the parameters, by the doses that were tried.

        Parameters
        ----------
        doses
            The exposures above 0 that were tried.

        Returns
        -------
        dict[str, Advice]
            By parameter; of one that several curves have, the first's.
        """
        found: dict[str, Advice] = {}
        for curve, _ in self.groups:
            found = curve.advice(doses) | found
        return {name: found[name] for name in self.parameters}

    def notes(self, doses: Sequence[float]) -> tuple[str, ...]:
        """Say where the options and the doses that were tried do not meet.

        Parameters
        ----------
        doses
            The exposures above 0 that were tried.

        Returns
        -------
        tuple[str, ...]
            Sentences without a full stop.
        """
        notes = (note for curve, _ in self.groups for note in curve.notes(doses))
        return tuple(dict.fromkeys(notes))

    def _placed(self, members: Members | None) -> Iterator[tuple[Curve, Any]]:
        if members is None:
            raise ValueError("agents have curves of their own: say where each of them is")
        (rest, also), *others = self.groups
        elsewhere = tuple(agent for _, agents in others for agent in agents)
        yield rest, 1.0 - members(elsewhere) if elsewhere else members(also) * 0.0 + 1.0
        for curve, agents in others:
            yield curve, members(agents)
