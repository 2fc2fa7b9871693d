"""The published models of an analysis, by agent and route, in blood or at an effect site."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from nmda_bayes.components.exposures import AT_OUTCOME
from nmda_bayes.dims import SEPARATOR, scoped
from nmda_bayes.pharmacokinetics import PharmacokineticModel
from nmda_bayes.pharmacokinetics.parameter import SITE_HALF_LIFE, log_sd
from nmda_bayes.pharmacokinetics.readings import Read, Readings
from nmda_bayes.spec.kinetics import PharmacokineticsSpec
from nmda_bayes.spec.prior import PriorSpec

#: ``pharmacokinetics.uncertainty`` of a spec whose published parameters have priors.
PUBLISHED = "published"


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
    alone
        True where the spec has one outcome.
    outcome
        Whose effect site the models are at; empty where they measure blood.
    """

    spec: PharmacokineticsSpec
    published: Mapping[str, PharmacokineticModel]
    rows: pd.DataFrame
    alone: bool = False
    outcome: str = ""

    def of_outcome(self, name: str) -> Kinetics:
        """Give the models as an outcome follows them: in blood, or at its effect site.

        Parameters
        ----------
        name
            The outcome.

        Returns
        -------
        Kinetics
            The same where the outcome follows blood. A model whose drug has no effect site there
            is left out.
        """
        sites = self.spec.effect_site.get(name)
        if not sites:
            return self
        at_site = {
            report: _at_site(model, sites[model.agent])
            for report, model in self.published.items()
            if model.agent in sites
        }
        return replace(self, published=at_site, outcome=name)

    def variable(self, model: PharmacokineticModel, symbol: str) -> str:
        """Name a kinetic parameter in the graph.

        Parameters
        ----------
        model
            One of these.
        symbol
            Its parameter.

        Returns
        -------
        str
            After the model, which all outcomes share; an effect site's after its outcome and drug.
        """
        if symbol != SITE_HALF_LIFE:
            return f"{model.name}{SEPARATOR}{symbol}"
        return scoped(self.outcome, f"{symbol}_{model.agent}", alone=self.alone)

    def log_sd(self, model: PharmacokineticModel, symbol: str) -> float:
        """Say how wide the prior of a kinetic parameter is.

        Parameters
        ----------
        model
            One of these.
        symbol
            Its parameter.

        Returns
        -------
        float
            The SD of its logarithm; 0 where it is held. A published error counts where the spec
            wants it, an effect site's prior always.
        """
        if symbol != SITE_HALF_LIFE and self.spec.uncertainty != PUBLISHED:
            return 0.0
        return log_sd(model.parameters[model.analyte, symbol], "typical")

    @property
    def learns(self) -> bool:
        """Whether any kinetic parameter has a prior."""
        priors = (one for site in self.spec.effect_site.values() for one in site.values())
        return self.spec.uncertainty == PUBLISHED or any(isinstance(p, PriorSpec) for p in priors)

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
        if kind != AT_OUTCOME:
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


def _at_site(model: PharmacokineticModel, half_life: PriorSpec | float) -> PharmacokineticModel:
    if isinstance(half_life, PriorSpec):
        mu, sigma = half_life.kwargs["mu"], half_life.kwargs["sigma"]
        return model.with_effect_site(math.exp(mu), sigma, half_life.why)
    return model.with_effect_site(half_life)
