"""The published models that an analysis names, read and ready: concentrations of its agents.

The design keeps the rows of the models that were used, so that a stored fit can be asked about a
regimen without the evidence beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import xarray as xr

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.pharmacokinetics import PharmacokineticModel, models
from nmda_bayes.pharmacokinetics.readings import Read, Readings
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.kinetics import PharmacokineticsSpec

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
            found = float(self.readings(self.reference_read(agent, kind)).value(kind)[0])
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
        return Read(agent, schedule, float(self.readings(whole).ends[0, 0]))

    def readings(self, read: Read) -> Readings:
        """Work out what a reading of an agent's reference regimen depends on.

        Parameters
        ----------
        read
            As `reference_read` gives it.

        Returns
        -------
        Readings
            At the published parameters.
        """
        route, _ = self.reference(read.agent)
        model = self.published[self.spec.model_name(read.agent, route)]
        return Readings.of([read], model, route=route, weight=self.weight)


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
