"""Published models, read from the table of parameters, and draws of their parameters.

    log θ_draw ~ Normal(log θ, log(1 + cv²))

`STRUCTURES` holds what the reports say besides numbers; a table without one of these is
intravenous, with first-order absorption for each ``ka_<route>``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import InputError, Issue, suggest_match
from nmda_bayes.pk.structure import (
    CLEARANCE_UNITS,
    INTRAVENOUS,
    PARAMETER_UNITS,
    VOLUME_UNITS,
    AbsorptionPath,
    Metabolite,
    Parameter,
    PKModel,
    Structure,
    SymbolValues,
    Variability,
    first_order_absorption,
    log_sd,
    parameter_name,
)
from nmda_bayes.regimens import Measure

FILE = "pharmacokinetics.csv"
#: Units of proportions, with their factors.
_PROPORTIONS = {"percent": 0.01, "dimensionless": 1.0}
#: Allowed units of symbols, by the beginning of the symbol.
_SYMBOL_UNITS = (
    (re.compile(r"V(\d|_|$)"), VOLUME_UNITS),
    (re.compile(r"CL|Q\d?($|_)"), CLEARANCE_UNITS),
    (re.compile(r"(k\d\d|ka|KA|kel|kmet)"), ("1/h",)),
    (re.compile(r"(D\d?_|t_lag|MTT|mean_transit)"), ("h",)),
    (re.compile(r"F\d?_|relative_F"), ("1",)),
)
_EQUAL_TO = re.compile(r"equal to (?:.* )?(\w+)$")
#: Symbols that each structure needs of the parent: clearances, or rate constants.
_REQUIRED_SYMBOLS = {
    "one_compartment": (("V1", "CL"), ("V1", "k10")),
    "two_compartments": (("V1", "V2", "CL", "Q2"), ("V1", "k10", "k12", "k21")),
    "three_compartments": (
        ("V1", "V2", "V3", "CL", "Q2", "Q3"),
        ("V1", "k10", "k12", "k13", "k21", "k31"),
    ),
}
#: Symbols that replace `CL`: a liver with a volume, or one in equilibrium with plasma.
_CLEARANCE_ALTERNATIVES = (
    {"Q_hepatic", "V_hepatic", "kel", "kmet"},
    {"Q1_hepatic", "CL_CYP2D6_to_dextrorphan"},
)


def draw_parameters(
    model: PKModel, rng: np.random.Generator, n: int, *, variability: Variability = "people"
) -> xr.Dataset:
    """Draw the parameters of a model.

    Parameters
    ----------
    model
        From `published_pk_model`.
    rng
        Random number generator.
    n
        Number of draws.
    variability
        ``people``: variation between people, by the published CV. ``typical``: uncertainty of the
        typical value, by the standard error. ``both``: a new person, with both.

    Returns
    -------
    xr.Dataset
        Dim draw; a variable per parameter in the model's unit, those of metabolites prefixed by the
        analyte. Log-normal with the published value as median and log variance log(1 + cv²).
        Attribute ``fixed`` lists parameters without a published CV, which do not vary: results from
        the draws are too narrow by their variation.

    Examples
    --------
    >>> model = nb.published_pk_model("Simons2022", evidence)
    >>> drawn = nb.draw_parameters(model, np.random.default_rng(1), 100)
    >>> drawn["V1"].dims, drawn["V1"].attrs["units"]
    (('draw',), 'L')
    """
    out: dict[str, tuple[tuple[str], np.ndarray, dict[str, str]]] = {}
    linked = {second: (first, covariance) for first, second, covariance in model.covariances}
    deviates: dict[tuple[str, str], np.ndarray] = {}
    fixed = []
    for (analyte, symbol), parameter in model.parameters.items():
        name, sd = parameter_name(model, analyte, symbol), log_sd(parameter, variability)
        # Drawn for fixed parameters too, so that draws do not depend on which others vary.
        z = deviates[analyte, symbol] = rng.standard_normal(n)
        # Standard errors have no published covariance and are independent.
        if variability == "people" and analyte == model.analyte and symbol in linked:
            first, covariance = linked[symbol]
            sds = (log_sd(model.parameters[analyte, s], "people") for s in (first, symbol))
            rho = covariance / math.prod(sds)
            z = rho * deviates[analyte, first] + math.sqrt(1 - rho**2) * z
        out[name] = (("draw",), parameter.value * np.exp(sd * z), {"units": parameter.unit})
        if not sd:
            fixed.append(name)
    return xr.Dataset(out, coords={"draw": np.arange(n)}).assign_attrs(
        model=model.name, variability=variability, fixed=", ".join(fixed)
    )


def published_models(table: pd.DataFrame | xr.DataTree) -> Mapping[str, PKModel]:
    """Read every complete model of a table of parameters.

    Parameters
    ----------
    table
        ``pharmacokinetics.csv`` as a data frame, or evidence from `load_evidence`.

    Returns
    -------
    Mapping of str to PKModel
        By report.

    Raises
    ------
    InputError
        With every wrong row: values (E741), units (E742), structures (E743), missing symbols
        (E744).

    Examples
    --------
    >>> from nmda_bayes.pk import published_models
    >>> "Domino" in published_models(evidence)
    True
    """
    return _models(_rows(table))


def published_pk_model(name: str, table: pd.DataFrame | xr.DataTree) -> PKModel:
    """Read one model of a table of parameters.

    Parameters
    ----------
    name
        The report, such as ``Simons2022``.
    table
        ``pharmacokinetics.csv`` as a data frame, or evidence from `load_evidence`.

    Returns
    -------
    PKModel
        ``print`` it for its assumptions and gaps.

    Raises
    ------
    InputError
        If there is no such complete model (E740), or a row of it is wrong.

    Examples
    --------
    >>> nb.published_pk_model("Simons2022", evidence).analytes
    ('s_ketamine', 's_norketamine', 's_hydroxynorketamine')
    """
    rows = _rows(table)
    known = rows.loc[rows["whole_model"] == "yes", "report"].unique().tolist()
    if name not in known:
        hint = suggest_match(name, known)
        raise InputError([Issue("E740", f"no complete model '{name}'", hint, FILE)])
    return _models(rows[rows["report"] == name])[name]


def _rows(table: pd.DataFrame | xr.DataTree) -> pd.DataFrame:
    """Return the rows, indexed by their line in the file."""
    if isinstance(table, xr.DataTree):
        table = table["pharmacokinetics"].to_dataset().to_dataframe().reset_index(drop=True)
    # Of a plain frame the header is line 1.
    return table.set_axis(table["line"] if "line" in table else table.index + 2)


def _models(rows: pd.DataFrame) -> Mapping[str, PKModel]:
    issues: list[Issue] = []
    by_report = rows[rows["whole_model"] == "yes"].groupby("report", sort=False)
    models = {str(name): _model(str(name), of_report, issues) for name, of_report in by_report}
    if issues:
        raise InputError(issues)
    return MappingProxyType(models)


def _model(name: str, rows: pd.DataFrame, issues: list[Issue]) -> PKModel:
    analyte = str(rows["analyte"].iloc[0])
    parameters: dict[tuple[str, str], Parameter] = {}
    aliases: dict[tuple[str, str], str] = {}
    covariances: list[tuple[str, str, float]] = []
    for line, row in rows.iterrows():
        key = (str(row["analyte"]), str(row["symbol"]))
        if alias := _EQUAL_TO.match(str(row["value_reported"])):
            aliases[key] = alias[1]
        elif key[1].startswith("omega_cov_"):
            first, second = key[1].removeprefix("omega_cov_").split("_")
            covariances.append((first, second, float(row["value"])))
        elif not key[1].startswith(("residual_", "inter_occasion_")):
            parameter = _parameter(name, row, int(str(line)))
            if isinstance(parameter, Issue):
                issues.append(parameter)
            else:
                parameters[key] = parameter
    symbols = {symbol for owner, symbol in parameters if owner == analyte}
    compartments = str(rows["structure"].iloc[0])
    issues.extend(_structure_issues(name, compartments, symbols, int(str(rows.index[0]))))
    return PKModel(
        name,
        str(rows["agent"].iloc[0]),
        analyte,
        compartments,
        MappingProxyType(parameters),
        STRUCTURES.get(name) or _default_structure(symbols),
        str(rows["population"].iloc[0]),
        str(rows["source"].iloc[0]),
        tuple(covariances),
        MappingProxyType(aliases),
    )


def _default_structure(symbols: set[str]) -> Structure:
    """Return the structure of a user's own model: intravenous, and each ``ka_<route>``."""
    routes = {
        route: first_order_absorption(
            f"ka_{route}",
            *(name if name in symbols else "" for name in (f"F_{route}", f"t_lag_{route}")),
        )
        for route in sorted(s.removeprefix("ka_") for s in symbols if s.startswith("ka_"))
    }
    assumption = f"values for a body weight go by the usual powers ({_ALLOMETRIC})"
    return Structure(routes={**INTRAVENOUS, **routes}, assumes=(assumption,))


def _parameter(name: str, row: pd.Series, line: int) -> Parameter | Issue:
    """Read one row in the unit of the formulas, or return what is wrong with it."""
    symbol, unit, value = str(row["symbol"]), str(row["unit"]), float(row["value"])
    if not value > 0:
        message = f"'{symbol}' of the model '{name}' has no value above 0"
        return Issue("E741", message, "A complete model needs a number.", FILE, line, "value")
    converted = _in_parameter_unit(value, unit)
    allowed = next((units for pattern, units in _SYMBOL_UNITS if pattern.match(symbol)), None)
    if converted is None or (allowed and converted[1] not in allowed):
        message = f"'{symbol}' of the model '{name}' cannot be in '{unit}'"
        hint = f"Use a unit like {' or '.join(allowed or PARAMETER_UNITS)}."
        return Issue("E742", message, hint, FILE, line, "unit")
    body = re.fullmatch(r"([\d.]+) kg", str(row["per_body"]))
    cv, se = (float(row[c]) / 100 for c in ("between_subject_cv_percent", "se_percent"))
    return Parameter(*converted, float(body[1]) if body else math.nan, cv, se)


def _in_parameter_unit(value: float, unit: str) -> tuple[float, str] | None:
    if unit in _PROPORTIONS:
        return value * _PROPORTIONS[unit], "1"
    for parameter_unit in PARAMETER_UNITS:
        try:
            return Measure(value, unit).to(parameter_unit), parameter_unit
        except (InputError, AttributeError):
            continue
    return None


def _structure_issues(name: str, compartments: str, symbols: set[str], line: int) -> list[Issue]:
    """Return an error for each symbol that the structure of a model still needs."""
    if compartments not in _REQUIRED_SYMBOLS:
        message = f"unknown structure '{compartments}' of the model '{name}'"
        hint = suggest_match(compartments, list(_REQUIRED_SYMBOLS))
        return [Issue("E743", message, hint, FILE, line, "structure")]
    cleared = any(alternative <= symbols for alternative in _CLEARANCE_ALTERNATIVES)
    have = symbols | ({"CL"} if cleared else set())
    missing = [[s for s in needed if s not in have] for needed in _REQUIRED_SYMBOLS[compartments]]
    kind = compartments.replace("_", " ")
    hint = "Add the parameter, or set whole_model to no."
    return [
        Issue("E744", f"the model '{name}' ({kind}) has no '{symbol}'", hint, FILE, line, "symbol")
        for symbol in min(missing, key=len)
    ]


#: One nasal spray of esketamine, mg.
SPRAY_MG = 28.0


def _nasal(p: SymbolValues, mg: float) -> Any:
    """Return the mean bioavailability of the first spray and the later ones, which is lower."""
    sprays = max(1.0, mg / SPRAY_MG)
    later = p["F_nasal_cavity_first_spray"] * p["relative_F_later_sprays"]
    return (p["F_nasal_cavity_first_spray"] + later * (sprays - 1)) / sprays


def _enzymes(p: SymbolValues) -> Any:
    return sum(value for symbol, value in p.items() if symbol.startswith("CL_CYP"))


def _hepatic_availability(p: SymbolValues) -> Any:
    """Return the fraction that escapes the first pass through a well-stirred liver."""
    return p["Q1_hepatic"] / (p["Q1_hepatic"] + _enzymes(p))


_EXPONENTS_NOT_PRINTED = (
    "powers of body weight are not printed: the usual 1 for volumes and 0.75 for clearances"
)
_PROPORTIONAL = "volumes and clearances in proportion to body weight"
_ALLOMETRIC = "allometric: 1 for volumes, 0.75 for clearances"

#: By report. Statements from nlmixr2lib are in the model files that the table's source_note names,
#: which quote the papers' tables and code.
STRUCTURES: Mapping[str, Structure] = {
    "Simons2022": Structure(
        # The swallowed part of the film (F2, KA2, MTT_gut) reaches the metabolites alone.
        routes={
            **INTRAVENOUS,
            "oral_thin_film": (
                AbsorptionPath(
                    lambda p, mg: p["F1_mucosal"], "KA1", "D1_zero_order_input", parent_only=True
                ),
            ),
        },
        metabolites=(
            Metabolite(
                "s_norketamine", "", lambda p: 0.8, "mean_transit_time_from_ketamine", molar=True
            ),
            Metabolite(
                "s_hydroxynorketamine",
                "s_norketamine",
                lambda p: 0.7,
                "mean_transit_time_from_norketamine",
                molar=True,
            ),
        ),
        specimen="arterial plasma",
        assumes=(
            "80% of S-ketamine becomes S-norketamine and 70% of that S-hydroxynorketamine, each"
            " through two pools (paper's Methods, quoted by nlmixr2lib)",
            _EXPONENTS_NOT_PRINTED,
        ),
        lacks=("variability between occasions", "metabolites of the swallowed part of a film"),
    ),
    "Otto2021": Structure(
        metabolites=(Metabolite("s_norketamine"),),
        specimen="venous plasma",
        assumes=(
            "all S-ketamine becomes S-norketamine, milligram for milligram",
            "peripheral volumes and flows do not depend on body weight (supplementary code)",
        ),
        lacks=("the covariance of the metabolite's volume and clearance",),
    ),
    "Flint2017": Structure(
        specimen="plasma",
        lacks=("S-norketamine: its clearance rises with time, and its volume was fixed at 1 L",),
    ),
    "PerezRuixo2021": Structure(
        routes={
            **INTRAVENOUS,
            "intranasal": (
                AbsorptionPath(_nasal, "ka_nasal"),
                AbsorptionPath(
                    lambda p, mg: (1 - _nasal(p, mg)) * p["F_gut"],
                    "ka_swallowed",
                    "D_swallowed",
                    liver=True,
                ),
            ),
            "oral": (AbsorptionPath(lambda p, mg: p["F_gut"], "ka_oral", "D_oral", liver=True),),
        },
        metabolites=(
            Metabolite("s_norketamine", fraction=lambda p: p["kmet"] / (p["kel"] + p["kmet"])),
        ),
        specimen="plasma",
        assumes=(
            "a nasal dose is given as sprays of 28 mg at once",
            "no effect of body weight (screened and not kept), age above 60 or ancestry",
        ),
        lacks=(
            "between-subject variability of kmet (not printed) and of the nasal share (printed on"
            " the logit scale)",
        ),
    ),
    "Kamp2020meta": Structure(
        exponents=(1.0, 1.0), assumes=(f"{_PROPORTIONAL}, as opentiva reads the paper",)
    ),
    **dict.fromkeys(("Domino", "Clements1981", "Hijazi2003"), Structure(assumes=(_PROPORTIONAL,))),
    **dict.fromkeys(("Herd2007", "Hornik2018"), Structure(assumes=(_ALLOMETRIC,))),
    "Du2019Mg": Structure(
        specimen="serum",
        assumes=("serum creatinine of 0.8 mg/dL", f"{_ALLOMETRIC} (paper's Table 3)"),
        lacks=("the baseline, to which 18 mg/L is added for the total",),
    ),
    "Salinger2013Mg": Structure(
        routes={**INTRAVENOUS, "im": first_order_absorption("KA_im", "F_im")},
        specific_exponents={"V1": (55.0, 0.692)},
        specimen="serum",
        assumes=(
            "serum creatinine of 0.8 mg/dL",
            "volume scales with (weight / 55 kg)^0.692, clearance is constant (paper's Table 2)",
        ),
    ),
    "ClinPK2002Mg": Structure(lacks=("the effect of body weight", "the baseline")),
    "BMCPreg2024Mg": Structure(
        lacks=(
            "the baseline, about 18.5 mg/L: it predicts the rise",
            "effects of BMI, creatinine clearance and furosemide",
            "the effect of body weight",
        )
    ),
    "daCosta2020Mg": Structure(
        lacks=("effects of weight and creatinine",),
        assumes=(
            "total magnesium without a baseline: its clearance is too low to compare with others",
        ),
    ),
    "terHeine2014": Structure(
        routes={
            "oral": (
                AbsorptionPath(
                    lambda p, mg: _hepatic_availability(p),
                    "ka",
                    lag="t_lag",
                    first_pass=lambda p: 1 - _hepatic_availability(p),
                ),
            )
        },
        metabolites=(
            Metabolite(
                "dextrorphan",
                fraction=lambda p: p["CL_CYP2D6_to_dextrorphan"] / _enzymes(p),
                molar=True,
            ),
        ),
        specimen="plasma",
        assumes=(
            "apparent values: the absorbed part counts as the whole dose",
            "the liver is in equilibrium with plasma at any time (paper's Appendix 1)",
        ),
    ),
}
