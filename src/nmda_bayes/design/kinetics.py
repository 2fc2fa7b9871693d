"""The published models that an analysis names, read and ready: concentrations of its agents.

The design keeps the rows of the models that were used, so that a stored fit can be asked about a
regimen without the evidence beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.errors import Fault, InputError, nearest
from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.pharmacokinetics import PharmacokineticModel, models
from nmda_bayes.pharmacokinetics.models import content_of
from nmda_bayes.pharmacokinetics.readings import Read, Readings
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.kinetics import ANY_ROUTE, KEY, PharmacokineticsSpec

#: Group of the design that holds the parameters of the models that the spec names.
KINETICS = "pharmacokinetics"


@dataclass(frozen=True)
class Kinetics:
    """The models of an analysis, by agent and route.

    Attributes
    ----------
    spec
        What the analysis says of them.
    published
        Every model of the table, by name of its report.
    rows
        The table of their parameters.
    """

    spec: PharmacokineticsSpec
    published: Mapping[str, PharmacokineticModel]
    rows: pd.DataFrame

    def model(self, agent: str, route: str) -> PharmacokineticModel | None:
        """Give the model of an agent by a route.

        Parameters
        ----------
        agent
            As the evidence names it.
        route
            Of its doses.

        Returns
        -------
        PharmacokineticModel or None
            None where the spec names none.
        """
        return self.published.get(self.spec.model_name(agent, route))

    @property
    def used(self) -> list[str]:
        """Names of the models that the spec names, each once."""
        named = (name for routes in self.spec.model.values() for name in routes.values())
        return [name for name in dict.fromkeys(named) if name in self.published]

    def used_rows(self) -> pd.DataFrame:
        """Give the rows of the table that the models of the spec are made of.

        Returns
        -------
        pd.DataFrame
            As pharmacokinetics.csv has them.
        """
        rows = self.rows
        return rows[rows["report"].isin(self.used) & (rows["whole_model"] == "yes")]

    def reference(self, agent: str) -> tuple[str, str]:
        """Give the route and the schedule that are 1 on an agent's relative axis.

        Parameters
        ----------
        agent
            As the analysis names it.

        Returns
        -------
        tuple
            Route and schedule; empty where the spec names none.
        """
        named = self.spec.reference.get(agent, {})
        return next(iter(named.items()), ("", ""))

    @cached_property
    def _reference_values(self) -> dict[tuple[str, str], float]:
        """What was worked out already, by agent and kind."""
        return {}

    @property
    def weight(self) -> float:
        """Of the body, kg."""
        return self.spec.body_weight_kg

    def reference_value(self, agent: str, kind: str) -> float:
        """Give the exposure of an agent's reference regimen at the published parameters.

        Parameters
        ----------
        agent
            As the analysis names it.
        kind
            A concentration, as `EXPOSURES` names what it is of.

        Returns
        -------
        float
            ng/mL or ng h/mL; NaN where the agent has none.
        """
        if not self.model(agent, self.reference(agent)[0]):
            return math.nan
        if (agent, kind) not in self._reference_values:
            found = float(self._readings(self.reference_read(agent, kind)).value(kind)[0])
            self._reference_values[agent, kind] = found
        return self._reference_values[agent, kind]

    def reference_read(self, agent: str, kind: str) -> Read:
        """Say what an agent's reference regimen gives, and when it is read.

        Parameters
        ----------
        agent
            As the analysis names it.
        kind
            The concentration; that at an outcome is read at the regimen's end.

        Returns
        -------
        Read
            For the formulas.

        Raises
        ------
        InputError
            If its schedule says too little, or its model has no parameters for the route.
        """
        _, schedule = self.reference(agent)
        whole = Read(agent, schedule, math.nan)
        if kind != "concentration_at_outcome":
            return whole
        return Read(agent, schedule, float(self._readings(whole).ends[0, 0]))

    def _readings(self, read: Read) -> Readings:
        route, _ = self.reference(read.agent)
        model = self.published[self.spec.model_name(read.agent, route)]
        return Readings.of([read], model, route=route, weight=self.weight)

    def faults(self, spec: AnalysisSpec, rows: pd.DataFrame) -> Iterator[Fault]:
        """Find what the spec has to say of the models and does not, or says wrong.

        Parameters
        ----------
        spec
            The analysis.
        rows
            Rows that ask for a concentration: agent, agent_given, route.

        Yields
        ------
        Fault
            At its key, with the models that exist.
        """
        for agent, routes in self.spec.model.items():
            for route, name in routes.items():
                if fault := self._model_fault(agent, route, name):
                    yield fault
        for agent in self.spec.reference:
            yield from self._reference_faults(agent)
        active = rows[rows["agent"] != spec.reference]
        for given, route in sorted(set(zip(active["agent_given"], active["route"], strict=True))):
            named = self.spec.model_name(given, route) or given in self.spec.relative_dose
            known = [] if named else self.models_of(given, route)
            if known:
                yield Fault(
                    f"no pharmacokinetic model of '{given}' by the route '{route}' is named, and"
                    " a choice among published models is not made for you",
                    f'Write {given} = {{ {route} = "..." }} under {KEY}.model, one of:'
                    f" {', '.join(known)}; or name the agent in relative_dose.",
                    column=f"{KEY}.model.{given}.{route}",
                )
        relative = any(EXPOSURES[o.exposure].relative for o in spec.outcomes.values())
        modelled = active[[bool(self.spec.model_name(a, r)) for a, r in
                           zip(active["agent_given"], active["route"], strict=True)]]  # fmt: skip
        for agent in sorted(set(modelled["agent"])) if relative else ():
            if agent not in self.spec.reference:
                yield Fault(
                    f"agent '{agent}' has no reference regimen, and its exposure is relative to it",
                    f'Write {agent} = {{ iv = "..." }} under [{KEY}.reference].',
                    column=f"{KEY}.reference.{agent}",
                )

    def models_of(self, agent: str, route: str) -> list[str]:
        """List the published models that an agent by a route can be computed with.

        Parameters
        ----------
        agent
            As the evidence names it.
        route
            Of its doses.

        Returns
        -------
        list of str
            Names of reports.
        """
        return [
            name
            for name, model in self.published.items()
            if route in model.routes and _tells_of(model, agent)
        ]

    def _model_fault(self, agent: str, route: str, name: str) -> Fault | None:
        column = f"{KEY}.model.{agent}" + ("" if route == ANY_ROUTE else f".{route}")
        if name not in self.published:
            message = f"no published model is called '{name}'"
            return Fault(message, nearest(name, list(self.published)), column=column)
        model = self.published[name]
        if not _tells_of(model, agent):
            known = [n for n, m in self.published.items() if _tells_of(m, agent)]
            mend = f"Models of it: {', '.join(known)}." if known else "No published model is of it."
            return Fault(f"the model '{name}' is of {model.agent}, not of {agent}", mend,
                         column=column)  # fmt: skip
        if route not in (ANY_ROUTE, *model.routes):
            known = self.models_of(agent, route)
            mend = f"Models of it: {', '.join(known)}." if known else "No published model has it."
            return Fault(f"the model '{name}' has no absorption for the route '{route}'", mend,
                         column=column)  # fmt: skip
        return None

    def _reference_faults(self, agent: str) -> Iterator[Fault]:
        route, _ = self.reference(agent)
        column = f"{KEY}.reference.{agent}.{route}"
        model = self.model(agent, route)
        if model is None:
            if agent not in self.spec.model or self.spec.model_name(agent, route) == "":
                mend = f"Write {agent} under {KEY}.model, for this route."
                yield Fault(f"the reference regimen of '{agent}' has no model", mend, column=column)
            return
        try:
            self._readings(self.reference_read(agent, "area"))
        except InputError as wrong:
            yield from (Fault(f.message, f.mend, column=column) for f in wrong.faults)


def _tells_of(model: PharmacokineticModel, agent: str) -> bool:
    try:
        content_of(agent, model)
    except InputError:
        return False
    return True


def kinetics_of(
    spec: AnalysisSpec, tables: Mapping[str, pd.DataFrame], *, every: bool = False
) -> Kinetics | None:
    """Read the models that an analysis names.

    Parameters
    ----------
    spec
        The analysis.
    tables
        With `KINETICS`, the table of parameters.
    every
        Whether to read the models that the spec does not name too, to say which there are.

    Returns
    -------
    Kinetics or None
        None where the spec names none.
    """
    if spec.pharmacokinetics is None:
        return None
    rows = tables[KINETICS]
    if not every:
        named = {
            name for routes in spec.pharmacokinetics.model.values() for name in routes.values()
        }
        rows = rows[rows["report"].isin(named)]
    return Kinetics(spec.pharmacokinetics, models(rows), rows)


def kinetics_of_design(spec: AnalysisSpec, design: xr.DataTree | xr.DataArray) -> Kinetics | None:
    """Read the models that an analysis named, out of its design.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    Kinetics or None
        None where the spec names none.
    """
    if spec.pharmacokinetics is None or not isinstance(design, xr.DataTree):
        return None
    return kinetics_of(spec, {KINETICS: table(design, KINETICS)})


def kinetics_tables(evidence: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the tables that concentrations are worked out with.

    Parameters
    ----------
    evidence
        The evidence. One without a table of parameters is served from the one that comes with the
        package.

    Returns
    -------
    dict
        `KINETICS`; and ``conversions`` where the evidence has them.
    """
    source = evidence if KINETICS in evidence.children else load_evidence()
    tables = {KINETICS: table(source, KINETICS)}
    if "conversions" in evidence.children:
        tables["conversions"] = table(evidence, "conversions")
    return tables


def kinetics_faults(spec: AnalysisSpec, selected: Mapping[str, pd.DataFrame]) -> Iterator[Fault]:
    """Find what a spec has to say of pharmacokinetic models and does not, or says wrong.

    Parameters
    ----------
    spec
        The analysis.
    selected
        Rows of results, and the tables of `kinetics_tables`.

    Yields
    ------
    Fault
        At its key.
    """
    kinetics = kinetics_of(spec, selected, every=True)
    if kinetics is None:
        return
    results = selected["results"]
    asking = {
        measure
        for name, outcome in spec.outcomes.items()
        if EXPOSURES[outcome.exposure].of
        for measure in (*(outcome.measures or (name,)), "")
    }
    yield from kinetics.faults(spec, results[results["outcome"].isin(asking)])
