"""Published models, read out of the table of parameters; each says what it lacks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pandas as pd
import xarray as xr

from nmda_bayes.errors import Fault, InputError, nearest
from nmda_bayes.pharmacokinetics.structure import INTRAVENOUS, STRUCTURES, Path, Structure, absorbed
from nmda_bayes.regimens.measures import Measure

FILE = "pharmacokinetics.csv"
#: The kinds of unit of a parameter, and the power of body weight's rule that each follows.
UNITS = ("L", "L/kg", "L/h", "L/h/kg", "1/h", "h", "mg/L")
VOLUME, CLEARANCE = ("L", "L/kg"), ("L/h", "L/h/kg")
_SHARES = {"percent": 0.01, "dimensionless": 1.0}
#: What kind of unit a symbol must have, by how it begins.
_KINDS = (
    (re.compile(r"V(\d|_|$)"), VOLUME),
    (re.compile(r"CL|Q\d?($|_)"), CLEARANCE),
    (re.compile(r"(k\d\d|ka|KA|kel|kmet)"), ("1/h",)),
    (re.compile(r"(D\d?_|t_lag|MTT|mean_transit)"), ("h",)),
    (re.compile(r"F\d?_|relative_F"), ("1",)),
)
_SAME_AS = re.compile(r"equal to (?:.* )?(\w+)$")
#: What each structure needs of its parent: a set of clearances, or of rate constants.
_NEEDED = {
    "one_compartment": (("V1", "CL"), ("V1", "k10")),
    "two_compartments": (("V1", "V2", "CL", "Q2"), ("V1", "k10", "k12", "k21")),
    "three_compartments": (
        ("V1", "V2", "V3", "CL", "Q2", "Q3"),
        ("V1", "k10", "k12", "k13", "k21", "k31"),
    ),
}
#: Ways to be cleared that stand for `CL`: a liver with a volume, or one in balance with plasma.
_CLEARED = (("Q_hepatic", "V_hepatic", "kel", "kmet"), ("Q1_hepatic", "CL_CYP2D6_to_dextrorphan"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a model.

    Attributes
    ----------
    value
        In `unit`; the value of a typical person.
    unit
        One of `UNITS`, or 1 for a share.
    body_kg
        Weight of the body that it is for; NaN where the source names none.
    cv
        Spread between people, as a share of the value; NaN where not known.
    se
        Standard error, as a share of the value; NaN where not known.
    """

    value: float
    unit: str
    body_kg: float = math.nan
    cv: float = math.nan
    se: float = math.nan


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
        self, weight: float = 70.0, drawn: xr.Dataset | None = None
    ) -> dict[str, dict[str, Any]]:
        """Give the parameters of a body.

        Parameters
        ----------
        weight
            Of the body, kg.
        drawn
            As `draw_parameters` gives them; the typical values otherwise.

        Returns
        -------
        dict
            Analyte to symbol to value, in L, L/h, 1/h, h, mg/L and shares of 1.
        """
        out: dict[str, dict[str, Any]] = {name: {} for name in self.analytes}
        for (analyte, symbol), parameter in self.parameters.items():
            base: Any = parameter.value
            if drawn is not None:
                base = drawn[variable(self, analyte, symbol)].to_numpy()
            if analyte in out:
                out[analyte][symbol] = base * self._factor(symbol, parameter, weight)
        for (analyte, symbol), other in self.same.items():
            out[analyte][symbol] = out[self.analyte][other]
        return out

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


def models(table: pd.DataFrame | xr.DataTree) -> Mapping[str, PharmacokineticModel]:
    """Read every whole model of the table of parameters.

    Parameters
    ----------
    table
        Rows as pharmacokinetics.csv has them, or the evidence that holds them.

    Returns
    -------
    Mapping of str to PharmacokineticModel
        By name of the report.

    Raises
    ------
    InputError
        With a fault for every parameter that is missing, has no value or has a unit that cannot be
        its own.
    """
    return _read(_rows(table))


def _read(rows: pd.DataFrame) -> Mapping[str, PharmacokineticModel]:
    rows = rows[rows["whole_model"] == "yes"]
    faults: list[Fault] = []
    made = {
        str(name): _model(str(name), mine, faults)
        for name, mine in rows.groupby("report", sort=False)
    }
    if faults:
        raise InputError(faults)
    return MappingProxyType(made)


def published_model(name: str, table: pd.DataFrame | xr.DataTree) -> PharmacokineticModel:
    """Read one model of the table of parameters.

    Parameters
    ----------
    name
        Of the report, such as ``Simons2022``.
    table
        As for `models`.

    Returns
    -------
    PharmacokineticModel
        ``print`` it for what it assumes and lacks.

    Raises
    ------
    InputError
        If there is no such whole model.
    """
    rows = _rows(table)
    known = rows.loc[rows["whole_model"] == "yes", "report"].unique().tolist()
    if name not in known:
        raise InputError([Fault(f"no whole model is called '{name}'", nearest(name, known), FILE)])
    return _read(rows[rows["report"] == name])[name]


def _rows(table: pd.DataFrame | xr.DataTree) -> pd.DataFrame:
    """Give the rows; their index is their line in the file, whatever was cut away."""
    if isinstance(table, xr.DataTree):
        table = table["pharmacokinetics"].to_dataset().to_dataframe().reset_index(drop=True)
    # The evidence knows the line of each row; of a plain frame, the header is line 1.
    return table.set_axis(table["line"] if "line" in table else table.index + 2)


def _model(name: str, rows: pd.DataFrame, faults: list[Fault]) -> PharmacokineticModel:
    analyte = str(rows["analyte"].iloc[0])
    parameters: dict[tuple[str, str], Parameter] = {}
    same: dict[tuple[str, str], str] = {}
    covariances: list[tuple[str, str, float]] = []
    for line, row in rows.iterrows():
        key = (str(row["analyte"]), str(row["symbol"]))
        if like := _SAME_AS.match(str(row["value_reported"])):
            same[key] = like[1]
        elif key[1].startswith("omega_cov_"):
            one, other = key[1].removeprefix("omega_cov_").split("_")
            covariances.append((one, other, float(row["value"])))
        elif not key[1].startswith(("residual_", "inter_occasion_")):
            if isinstance(read := _parameter(name, row, int(str(line))), Fault):
                faults.append(read)
            else:
                parameters[key] = read
    have = {symbol for of, symbol in parameters if of == analyte}
    compartments = str(rows["structure"].iloc[0])
    faults.extend(_missing(name, compartments, have, int(str(rows.index[0]))))
    return PharmacokineticModel(
        name,
        str(rows["agent"].iloc[0]),
        analyte,
        compartments,
        MappingProxyType(parameters),
        STRUCTURES.get(name) or _plain_structure(have),
        str(rows["population"].iloc[0]),
        str(rows["source"].iloc[0]),
        tuple(covariances),
        MappingProxyType(same),
    )


def _plain_structure(symbols: set[str]) -> Structure:
    """Make the structure of a table of one's own: intravenous, and each ``ka_<route>``."""
    found = {symbol.removeprefix("ka_") for symbol in symbols if symbol.startswith("ka_")}
    routes = {
        route: absorbed(
            f"ka_{route}",
            f"F_{route}" if f"F_{route}" in symbols else "",
            f"t_lag_{route}" if f"t_lag_{route}" in symbols else "",
        )
        for route in sorted(found)
    }
    return Structure(
        routes={**INTRAVENOUS, **routes},
        assumes=(
            "values given for a body go with its weight by the usual powers: 1 for volumes, 0.75"
            " for clearances",
        ),
    )


def _parameter(name: str, row: pd.Series, line: int) -> Parameter | Fault:
    """Read one row in the unit that the formulas take, or say why that cannot be."""
    symbol, unit, value = str(row["symbol"]), str(row["unit"]), float(row["value"])
    where: dict[str, Any] = {"file": FILE, "row": line}
    if not value > 0:
        message = f"'{symbol}' of the model '{name}' has no value above 0"
        return Fault(message, "A whole model needs a number here.", column="value", **where)
    found = _in_known_unit(value, unit)
    kinds = next((kinds for pattern, kinds in _KINDS if pattern.match(symbol)), None)
    if found is None or (kinds and found[1] not in kinds):
        message = f"'{symbol}' of the model '{name}' cannot be in '{unit}'"
        wanted = f"Its unit is like {' or '.join(kinds or UNITS)}."
        return Fault(message, wanted, column="unit", **where)
    body = re.fullmatch(r"([\d.]+) kg", str(row["per_body"]))
    spread = (float(row["between_subject_cv_percent"]) / 100, float(row["se_percent"]) / 100)
    return Parameter(*found, float(body[1]) if body else math.nan, *spread)


def _in_known_unit(value: float, unit: str) -> tuple[float, str] | None:
    if unit in _SHARES:
        return value * _SHARES[unit], "1"
    for known in UNITS:
        try:
            return Measure(value, unit).to(known), known
        except (InputError, AttributeError):
            continue
    return None


def _missing(name: str, compartments: str, have: set[str], line: int) -> list[Fault]:
    """Say which symbols a structure still needs."""
    where: dict[str, Any] = {"file": FILE, "row": line}
    if compartments not in _NEEDED:
        message = f"the model '{name}' is called whole, and '{compartments}' is no compartments"
        return [Fault(message, nearest(compartments, list(_NEEDED)), column="structure", **where)]
    cleared = [ways for ways in _CLEARED if set(ways) <= have]
    lacking = [
        [symbol for symbol in needed if symbol not in have and not (symbol == "CL" and cleared)]
        for needed in _NEEDED[compartments]
    ]
    fewest = min(lacking, key=len)
    return [
        Fault(
            f"the model '{name}' ({compartments.replace('_', ' ')}) has no '{symbol}'",
            "Add the parameter, or do not call the model whole.",
            column="symbol",
            **where,
        )
        for symbol in fewest
    ]
