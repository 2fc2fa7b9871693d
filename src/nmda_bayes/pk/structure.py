"""Published models: their parameters, how doses enter, and what metabolites are formed from.

Numbers come from the table of parameters. A `Structure` holds what the table cannot say: routes of
administration, metabolites, the powers of body weight, assumptions and gaps of a report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import xarray as xr

from nmda_bayes.errors import InputError, Issue

Variability = Literal["people", "typical", "both"]

#: Units that parameters are converted to.
PARAMETER_UNITS = ("L", "L/kg", "L/h", "L/h/kg", "1/h", "h", "mg/L")
VOLUME_UNITS, CLEARANCE_UNITS = ("L", "L/kg"), ("L/h", "L/h/kg")
#: Half-life of the equilibration between blood and effect site in hours, ln 2 / ke0.
SITE_HALF_LIFE = "effect_site_half_life"

#: g/mol: ketamine C13H16ClNO, norketamine C12H14ClNO, hydroxynorketamine C12H14ClNO2, magnesium,
#: dextromethorphan C18H25NO, dextrorphan C17H23NO; standard atomic weights.
MOLAR_MASS = {
    "ketamine": 237.73,
    "s_ketamine": 237.73,
    "r_ketamine": 237.73,
    "norketamine": 223.70,
    "s_norketamine": 223.70,
    "s_hydroxynorketamine": 239.70,
    "magnesium": 24.305,
    "magnesium_above_baseline": 24.305,
    "dextromethorphan": 271.40,
    "dextrorphan": 257.37,
}

#: Milligrams of a model's agent in a milligram of the agent given. Half of racemic ketamine is the
#: S enantiomer; a gram of MgSO4.7H2O (246.47 g/mol) contains 98.6 mg of magnesium.
SALT_FACTORS = {
    ("ketamine", "s_ketamine"): 0.5,
    ("magnesium_sulfate", "magnesium"): 24.305 / 246.47,
}

#: The parameters of one analyte by symbol, in L, L/h, 1/h and h; proportions as fractions of 1.
SymbolValues = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A published parameter.

    Attributes
    ----------
    value
        The typical value.
    unit
        One of `PARAMETER_UNITS`, or 1.
    body_kg
        Body weight that the value is for; NaN if it is not scaled by weight.
    cv
        Coefficient of variation between people, as a fraction; NaN if not published.
    se
        Relative standard error of the typical value, as a fraction; NaN if not published.

    Examples
    --------
    >>> Parameter(11.6, "L", body_kg=70, cv=0.242).unit
    'L'
    """

    value: float
    unit: str
    body_kg: float = math.nan
    cv: float = math.nan
    se: float = math.nan


def log_sd(parameter: Parameter, variability: Variability) -> float:
    """Return the SD of the logarithm of a parameter, √Σ log(1 + cv²); 0 if none is published."""
    people, typical = variability != "typical", variability != "people"
    cvs = [cv for cv, used in ((parameter.cv, people), (parameter.se, typical)) if used]
    return math.sqrt(sum(math.log1p(cv**2) for cv in cvs if not math.isnan(cv)))


@dataclass(frozen=True, slots=True)
class AbsorptionPath:
    """How (part of) a dose reaches the body; `rate`, `hours` and `lag` are symbols of parameters.

    `fraction` is the bioavailability of a dose in mg; `hours` the duration of zero-order release.
    """

    fraction: Callable[[SymbolValues, float], Any]
    rate: str = ""
    hours: str = ""
    lag: str = ""
    liver: bool = False
    first_pass: Callable[[SymbolValues], Any] | None = None
    parent_only: bool = False


@dataclass(frozen=True, slots=True)
class Metabolite:
    """An analyte that is formed from the parent, or from another metabolite (`source`)."""

    analyte: str
    source: str = ""
    fraction: Callable[[SymbolValues], Any] = lambda symbols: 1.0
    transit: str = ""
    molar: bool = False


#: Intravenous: the whole dose, as fast as the regimen gives it.
INTRAVENOUS = {"iv": (AbsorptionPath(lambda p, mg: 1.0),)}


def first_order_absorption(
    rate: str, fraction: str = "", lag: str = ""
) -> tuple[AbsorptionPath, ...]:
    """Describe first-order absorption by the symbols of its parameters."""
    return (AbsorptionPath(lambda p, mg: p[fraction] if fraction else 1.0, rate, lag=lag),)


@dataclass(frozen=True, slots=True)
class Structure:
    """What the table of parameters cannot say of a published model.

    `exponents` are the powers of body weight of volumes and clearances; `specific_exponents` those
    of single symbols, as (reference weight in kg, power).
    """

    routes: Mapping[str, tuple[AbsorptionPath, ...]] = field(default_factory=lambda: INTRAVENOUS)
    metabolites: tuple[Metabolite, ...] = ()
    exponents: tuple[float, float] = (1.0, 0.75)
    specific_exponents: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    specimen: str = ""
    assumes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PKModel:
    """A published pharmacokinetic model; ``print`` it for its assumptions and gaps.

    Attributes
    ----------
    name
        The report, such as ``Simons2022``.
    agent
        The agent whose doses it describes.
    analyte
        The analyte of the parent drug.
    compartments
        Number of compartments, as in the table: ``two_compartments``.
    parameters
        By analyte and symbol.
    structure
        Routes, metabolites, scaling by body weight, assumptions.
    population
        People in whom it was estimated.
    source
        Citation.
    covariances
        Published covariances between people, as (symbol, symbol, covariance of the logarithms).
    aliases
        Parameters of metabolites, by analyte and symbol, that equal a parameter of the parent.

    Examples
    --------
    >>> model = nb.published_pk_model("Simons2022", evidence)
    >>> model.routes
    ('iv', 'oral_thin_film')
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
    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def analytes(self) -> tuple[str, ...]:
        """Analytes that it predicts, the parent first."""
        return (self.analyte, *(m.analyte for m in self.structure.metabolites))

    @property
    def routes(self) -> tuple[str, ...]:
        """Routes that it has parameters for."""
        return tuple(self.structure.routes)

    @property
    def specimen(self) -> str:
        """Specimen in which concentrations were measured; empty if not known."""
        return self.structure.specimen

    @property
    def assumes(self) -> tuple[str, ...]:
        """Its assumptions."""
        return self.structure.assumes

    @property
    def lacks(self) -> tuple[str, ...]:
        """What is not known of it."""
        parameters = self.parameters.values()
        gaps = {
            "between-subject variability": all(math.isnan(p.cv) for p in parameters),
            "standard errors": all(math.isnan(p.se) for p in parameters),
            "the specimen (arterial or venous, plasma or serum)": not self.specimen,
        }
        return (*(gap for gap, present in gaps.items() if present), *self.structure.lacks)

    def values(
        self, weight: float = 70.0, drawn: xr.Dataset | Mapping[str, Any] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Return the parameters by analyte and symbol for a body weight in kg."""
        out: dict[str, dict[str, Any]] = {name: {} for name in self.analytes}
        for (analyte, symbol), parameter in self.parameters.items():
            base: Any = parameter.value
            name = parameter_name(self, analyte, symbol)
            if drawn is not None and name in drawn:
                base = drawn[name]
                base = base.to_numpy() if isinstance(base, xr.DataArray) else base
            if analyte in out:
                out[analyte][symbol] = base * self._weight_factor(symbol, parameter, weight)
        for (analyte, symbol), other in self.aliases.items():
            out[analyte][symbol] = out[self.analyte][other]
        return out

    def without_metabolites(self) -> PKModel:
        """Return the model of the parent alone."""
        return replace(
            self,
            structure=replace(self.structure, metabolites=()),
            parameters={k: v for k, v in self.parameters.items() if k[0] == self.analyte},
            aliases={k: v for k, v in self.aliases.items() if k[0] == self.analyte},
        )

    def with_absorption(
        self, route: str, *, rate_per_hour: float, fraction: float, source: str
    ) -> PKModel:
        """Add first-order absorption by a route that the report has no parameters for."""
        if not rate_per_hour > 0 or not 0 < fraction <= 1:
            message = f"absorption rate {rate_per_hour:g}/h with bioavailability {fraction:g}"
            hint = "The rate must be positive, the bioavailability above 0 and at most 1."
            raise InputError([Issue("E758", message, hint)])
        text = f"{route}: {fraction:g} of the dose at {rate_per_hour:g}/h ({source})"
        symbols = f"ka_{route}", f"F_{route}"
        return self._extend(
            {symbols[0]: Parameter(rate_per_hour, "1/h"), symbols[1]: Parameter(fraction, "1")},
            routes={**self.structure.routes, route: first_order_absorption(*symbols)},
            assumes=(*self.assumes, text),
        )

    def with_effect_site(
        self, half_life_hours: float, log_sd: float = 0.0, source: str = ""
    ) -> PKModel:
        """Return the model of the parent at an effect site, dE/dt = ke0 (C - E)."""
        if not half_life_hours > 0 or not log_sd >= 0:
            message = f"effect site with a half-life of {half_life_hours:g} h (log SD {log_sd:g})"
            hint = "The half-life must be above 0, the log SD at least 0."
            raise InputError([Issue("E759", message, hint)])
        citation = f" ({source})" if source else ""
        text = f"effect site in equilibrium with blood at a half-life of {half_life_hours:.3g} h"
        blood = f" in balance with {self.specimen}" if self.specimen else ""
        se = math.sqrt(math.expm1(log_sd**2)) or math.nan
        return self.without_metabolites()._extend(
            {SITE_HALF_LIFE: Parameter(half_life_hours, "h", se=se)},
            specimen=f"effect site{blood}",
            assumes=(*self.assumes, text + citation),
        )

    def _extend(self, parameters: Mapping[str, Parameter], **structure: Any) -> PKModel:
        new = {(self.analyte, symbol): parameter for symbol, parameter in parameters.items()}
        return replace(
            self,
            structure=replace(self.structure, **structure),
            parameters={**self.parameters, **new},
        )

    def paths(self, route: str) -> tuple[AbsorptionPath, ...]:
        """Return the absorption paths of a route."""
        if route not in self.structure.routes:
            message = f"the model '{self.name}' has no absorption for the route '{route}'"
            hint = f"Use {' or '.join(self.routes)}, or add the route by with_absorption."
            raise InputError([Issue("E755", message, hint)])
        return self.structure.routes[route]

    def _weight_factor(self, symbol: str, parameter: Parameter, weight: float) -> float:
        if parameter.unit.endswith("/kg"):
            return weight
        if symbol in self.structure.specific_exponents:
            body, power = self.structure.specific_exponents[symbol]
            return float((weight / body) ** power)
        if parameter.unit not in ("L", "L/h") or math.isnan(parameter.body_kg):
            return 1.0
        power = self.structure.exponents[int(parameter.unit == "L/h")]
        return float((weight / parameter.body_kg) ** power)

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.agent}, {self.compartments.replace('_', ' ')};"
            f" {self.population}; {self.specimen or 'specimen not known'}",
            f"  routes: {', '.join(self.routes)}; predicts {', '.join(self.analytes)}",
            *(f"  assumes {text}" for text in self.assumes),
            *(f"  lacks {text}" for text in self.lacks),
            f"  source: {self.source}",
        ]
        return "\n".join(lines)


def parameter_name(model: PKModel, analyte: str, symbol: str) -> str:
    """Return the name of a parameter among those of all analytes of a model."""
    return symbol if analyte == model.analyte else f"{analyte}::{symbol}"


def salt_factor(agent: str, model: PKModel) -> float:
    """Return the mg of a model's agent in 1 mg of the agent given."""
    if agent == model.agent:
        return 1.0
    if (agent, model.agent) not in SALT_FACTORS:
        message = f"the model '{model.name}' is of {model.agent}, and {agent} was given"
        hint = "Use a model of the agent given, or of a part of it whose fraction is known."
        raise InputError([Issue("E756", message, hint)])
    return SALT_FACTORS[agent, model.agent]
