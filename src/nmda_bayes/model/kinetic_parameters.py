"""Parameters of published pharmacokinetic models as random variables of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.named_models import kinetics_of_design
from nmda_bayes.pharmacokinetics import PharmacokineticModel
from nmda_bayes.pharmacokinetics.readings import Readings
from nmda_bayes.spec import AnalysisSpec

#: Suffix of the standard normal offsets, which no reader needs to see.
OFFSET = "_offset"


@dataclass(frozen=True)
class KineticParameters:
    """The parameters of published models as random variables, each made when it is first needed.

    Attributes
    ----------
    kinetics
        The models of the analysis.
    made
        By name; what outcomes share is made once.
    """

    kinetics: Kinetics
    made: dict[str, Any] = field(default_factory=dict)

    def of_outcome(self, name: str) -> KineticParameters:
        """Give those that an outcome's exposures hang on.

        Parameters
        ----------
        name
            The outcome.

        Returns
        -------
        KineticParameters
            Of the models in blood, or at the outcome's effect site.
        """
        return replace(self, kinetics=self.kinetics.of_outcome(name))

    def vary(self, readings: Readings) -> bool:
        """Say whether exposures hang on a parameter that has a prior.

        Parameters
        ----------
        readings
            Arms of one model.

        Returns
        -------
        bool
            False where they are numbers.
        """
        model = readings.model
        return any(self.kinetics.log_sd(model, symbol) for symbol in readings.symbols)

    def of(self, model: PharmacokineticModel, symbols: Sequence[str]) -> dict[str, Any]:
        """Give the parameters of a model that have a prior.

        Parameters
        ----------
        model
            The model.
        symbols
            Those that are asked for.

        Returns
        -------
        dict
            By symbol, in the unit of the model; without those that are held.
        """
        found = {}
        for symbol in symbols:
            spread = self.kinetics.log_sd(model, symbol)
            if not spread:
                continue
            name = self.kinetics.variable(model, symbol)
            if name not in self.made:
                offset = pmd.Normal(name + OFFSET, mu=0, sigma=1, dims=())
                published = model.parameters[model.analyte, symbol].value
                self.made[name] = pmd.Deterministic(name, published * xp.exp(spread * offset))
            found[symbol] = self.made[name].values
        return found


def kinetic_parameters(spec: AnalysisSpec, design: xr.DataTree) -> KineticParameters | None:
    """Make ready for the kinetic parameters of an analysis.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    KineticParameters or None
        None where there are none, or they are held at their published values.
    """
    kinetics = kinetics_of_design(spec, design)
    return KineticParameters(kinetics) if kinetics is not None and kinetics.learns else None
