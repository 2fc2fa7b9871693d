"""A published model: its parameters, the body it is for, and what it lacks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import xarray as xr

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.pharmacokinetics.parameter import CLEARANCE, SITE_HALF_LIFE, VOLUME, Parameter
from nmda_bayes.pharmacokinetics.structure import Path, Structure, absorbed


@dataclass(frozen=True, slots=True)
class PharmacokineticModel:
    """A published model that can be simulated as it stands.

    Attributes
    ----------
    name
        Name of the report.
    agent
        The drug that it is about.
    analyte
        What is measured first; metabolites have names of their own.
    compartments
        As the table words it.
    parameters
        By analyte and symbol.
    structure
        Ways in, metabolites, body weight.
    population
        In whom.
    source
        Where the numbers were read.
    covariances
        Of logarithms between people: two symbols of the first analyte and the covariance.
    same
        Parameters that are another analyte's: analyte and symbol to the symbol of the first.
    """

    name: str
    agent: str
    analyte: str
    compartments: str
    parameters: Mapping[tuple[str, str], Parameter]
    structure: Structure
    population: str = ""
    source: str = ""
    covariances: tuple[tuple[str, str, float], ...] = ()
    same: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def analytes(self) -> tuple[str, ...]:
        """What it predicts, the drug first."""
        return (self.analyte, *(m.analyte for m in self.structure.metabolites))

    @property
    def routes(self) -> tuple[str, ...]:
        """Routes that it has parameters for."""
        return tuple(self.structure.routes)

    @property
    def specimen(self) -> str:
        """What was drawn; empty where not known."""
        return self.structure.specimen

    @property
    def assumes(self) -> tuple[str, ...]:
        """What it takes for granted."""
        return self.structure.assumes

    @property
    def lacks(self) -> tuple[str, ...]:
        """What is not known of it, in words."""
        mine = self.parameters.values()
        words = []
        if all(math.isnan(p.cv) for p in mine):
            words.append("between-subject variability")
        if all(math.isnan(p.se) for p in mine):
            words.append("standard errors")
        if not self.specimen:
            words.append("the specimen (arterial or venous, plasma or serum)")
        return (*words, *self.structure.lacks)

    def values(
        self, weight: float = 70.0, drawn: xr.Dataset | Mapping[str, Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Give the parameters of a body.

        Parameters
        ----------
        weight
            Of the body, kg.
        drawn
            As `draw_parameters` gives them, or by name: numbers, or variables of a graph. What is
            not named has its typical value.

        Returns
        -------
        dict
            Analyte to symbol to value, in L, L/h, 1/h, h, mg/L and shares of 1.
        """
        out: dict[str, dict[str, Any]] = {name: {} for name in self.analytes}
        for (analyte, symbol), parameter in self.parameters.items():
            base: Any = parameter.value
            name = variable(self, analyte, symbol)
            if drawn is not None and name in drawn:
                base = drawn[name]
                base = base.to_numpy() if isinstance(base, xr.DataArray) else base
            if analyte in out:
                out[analyte][symbol] = base * self._factor(symbol, parameter, weight)
        for (analyte, symbol), other in self.same.items():
            out[analyte][symbol] = out[self.analyte][other]
        return out

    def of_the_drug(self) -> PharmacokineticModel:
        """Leave the metabolites out.

        Returns
        -------
        PharmacokineticModel
            The same model of the drug alone, at a part of the cost.
        """
        mine = {key: value for key, value in self.parameters.items() if key[0] == self.analyte}
        same = {key: value for key, value in self.same.items() if key[0] == self.analyte}
        structure = replace(self.structure, metabolites=())
        return replace(self, structure=structure, parameters=mine, same=same)

    def with_absorption(
        self, route: str, *, rate_per_hour: float, share: float, source: str
    ) -> PharmacokineticModel:
        """Add first-order absorption by a route that the report has no parameters for.

        Parameters
        ----------
        route
            Such as ``intranasal``.
        rate_per_hour
            Of the absorption, 1/h.
        share
            Bioavailability, from 0 to 1.
        source
            Where the two numbers are from; stands in `assumes`.

        Returns
        -------
        PharmacokineticModel
            A new one.

        Raises
        ------
        InputError
            If the rate is not positive or the share not within 0 and 1.
        """
        if not rate_per_hour > 0 or not 0 < share <= 1:
            raise InputError(
                [
                    Fault(
                        f"absorption at {rate_per_hour:g}/h of a share of {share:g} cannot be",
                        "The rate is positive; the share is above 0 and at most 1.",
                    )
                ]
            )
        said = f"{route}: {share:g} of the dose at {rate_per_hour:g}/h ({source})"
        rate, part = f"ka_{route}", f"F_{route}"
        structure = replace(
            self.structure,
            routes={**self.structure.routes, route: absorbed(rate, part)},
            assumes=(*self.assumes, said),
        )
        new = {
            (self.analyte, rate): Parameter(rate_per_hour, "1/h"),
            (self.analyte, part): Parameter(share, "1"),
        }
        return replace(self, structure=structure, parameters={**self.parameters, **new})

    def with_effect_site(
        self, half_life_hours: float, log_sd: float = 0.0, source: str = ""
    ) -> PharmacokineticModel:
        """Follow the drug to where it acts: blood feeds the site, and takes nothing from it.

        Parameters
        ----------
        half_life_hours
            Hours in which half of the difference to blood is gone, ln 2 / ke0.
        log_sd
            What is not known of its logarithm; 0 where it is held.
        source
            Where the number is from; stands in `assumes`.

        Returns
        -------
        PharmacokineticModel
            The same model without metabolites, which measures the drug at the effect site, in the
            units of blood: at a steady state both are one number.

        Raises
        ------
        InputError
            If the half-life is not positive, or the log SD is negative.
        """
        if not half_life_hours > 0 or not log_sd >= 0:
            raise InputError(
                [
                    Fault(
                        f"an effect site with a half-life of {half_life_hours:g} h (log SD"
                        f" {log_sd:g}) cannot be",
                        "Give hours above 0, and a log SD from 0 on.",
                    )
                ]
            )
        mine = self.of_the_drug()
        whence = f" ({source})" if source else ""
        said = f"the effect site follows blood with a half-life of {half_life_hours:.3g} h{whence}"
        blood = f" in balance with {self.specimen}" if self.specimen else ""
        site = Parameter(half_life_hours, "h", se=math.sqrt(math.expm1(log_sd**2)) or math.nan)
        return replace(
            mine,
            structure=replace(
                mine.structure,
                specimen=f"effect site{blood}",
                assumes=(*mine.assumes, said),
            ),
            parameters={**mine.parameters, (self.analyte, SITE_HALF_LIFE): site},
        )

    def paths(self, route: str) -> tuple[Path, ...]:
        """Give the ways in of a route.

        Parameters
        ----------
        route
            A word of the vocabulary.

        Returns
        -------
        tuple of Path
            At least one.

        Raises
        ------
        InputError
            If the model has no parameters for it.
        """
        if route not in self.structure.routes:
            raise InputError(
                [
                    Fault(
                        f"the model '{self.name}' has no absorption for the route '{route}'",
                        f"It knows: {', '.join(self.routes)}. Give it one with with_absorption,"
                        " or take another model.",
                    )
                ]
            )
        return self.structure.routes[route]

    def _factor(self, symbol: str, parameter: Parameter, weight: float) -> float:
        if parameter.unit.endswith("/kg"):
            return weight
        if symbol in self.structure.own_exponents:
            body, power = self.structure.own_exponents[symbol]
            return float((weight / body) ** power)
        power = self.structure.exponents[int(parameter.unit in CLEARANCE)]
        scaled = parameter.unit in (*VOLUME, *CLEARANCE) and not math.isnan(parameter.body_kg)
        return float((weight / parameter.body_kg) ** power) if scaled else 1.0

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.agent}, {self.compartments.replace('_', ' ')};"
            f" {self.population}; {self.specimen or 'specimen not read'}",
            f"  routes: {', '.join(self.routes)}; predicts {', '.join(self.analytes)}",
            *(f"  assumes {words}" for words in self.assumes),
            *(f"  lacks {words}" for words in self.lacks),
            f"  source: {self.source}",
        ]
        return "\n".join(lines)


def variable(model: PharmacokineticModel, analyte: str, symbol: str) -> str:
    """Name a parameter where one name must do.

    Parameters
    ----------
    model
        The model.
    analyte
        One of its analytes.
    symbol
        The parameter.

    Returns
    -------
    str
        The symbol, after the analyte where that is a metabolite.
    """
    return symbol if analyte == model.analyte else f"{analyte}::{symbol}"
