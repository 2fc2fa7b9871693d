"""Parameters of published pharmacokinetic models as random variables of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.design.kinetics import Kinetics, kinetics_of_design
from nmda_bayes.dims import SEPARATOR
from nmda_bayes.pharmacokinetics import PharmacokineticModel
from nmda_bayes.pharmacokinetics.draws import log_sd
from nmda_bayes.pharmacokinetics.readings import Readings
from nmda_bayes.spec import AnalysisSpec

#: ``pharmacokinetics.uncertainty`` of a spec whose kinetic parameters have priors.
PUBLISHED = "published"
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
        By model and symbol.
    """

    kinetics: Kinetics
    made: dict[tuple[str, str], Any] = field(default_factory=dict)

    def vary(self, readings: Readings) -> bool:
        """Say whether exposures hang on a parameter that has a published error.

        Parameters
        ----------
        readings
            Arms of one model.

        Returns
        -------
        bool
            False where they are numbers.
        """
        own = readings.model.parameters
        return any(log_sd(own[readings.model.analyte, s], "typical") for s in readings.symbols)

    def of(self, model: PharmacokineticModel, symbols: Sequence[str]) -> dict[str, Any]:
        """Give the parameters of a model that have a published error.

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
            parameter = model.parameters[model.analyte, symbol]
            spread = log_sd(parameter, "typical")
            if not spread:
                continue
            key = (model.name, symbol)
            if key not in self.made:
                name = SEPARATOR.join(key)
                offset = pmd.Normal(name + OFFSET, mu=0, sigma=1, dims=())
                value = parameter.value * xp.exp(spread * offset)
                self.made[key] = pmd.Deterministic(name, value)
            found[symbol] = self.made[key].values
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
    if spec.pharmacokinetics is None or spec.pharmacokinetics.uncertainty != PUBLISHED:
        return None
    kinetics = kinetics_of_design(spec, design)
    return None if kinetics is None else KineticParameters(kinetics)
