"""Published models, read out of the table of parameters, with a fault for each thing amiss."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
import xarray as xr

from nmda_bayes.errors import Fault, InputError, nearest
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.parameter import CLEARANCE, UNITS, VOLUME, Parameter
from nmda_bayes.pharmacokinetics.published import STRUCTURES
from nmda_bayes.pharmacokinetics.structure import INTRAVENOUS, Structure, absorbed
from nmda_bayes.regimens.measures import Measure

FILE = "pharmacokinetics.csv"
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
