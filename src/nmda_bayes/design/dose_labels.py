"""What a dose means for each agent (its unit, the reference dose), and the people of each arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design.node_split import original_agent
from nmda_bayes.design.pk_exposure import PKModels
from nmda_bayes.dims import AGENT
from nmda_bayes.evidence import to_frame
from nmda_bayes.evidence.doses import UNIT_NOTATION, arm_sizes
from nmda_bayes.spec import AnalysisSpec

#: Units of the columns that a reference dose may refer to, where the column's name has one.
COLUMN_UNITS: Final = {
    "total_dose_mg_per_kg": "mg/kg",
    "daily_dose_mg": "mg a day",
    "peak_rate_mg_per_kg_per_h": "mg/kg/h",
    "racemic_equivalent_mg_per_kg": "mg/kg of racemic equivalent",
    "elemental_magnesium_mg_per_kg": "mg/kg of elemental magnesium",
}
UNIT_NOT_STATED: Final = "(unit not stated)"
#: How a route is written after a dose.
ROUTE_TEXTS: Final = {"iv": "IV", "im": "IM", "sc": "SC"}


def dose_labels(
    spec: AnalysisSpec,
    agents: np.ndarray,
    included: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    kinetics: PKModels | None,
) -> xr.Dataset:
    """Label agents by the unit of their doses and by their reference dose.

    Over agent: ``dose_unit``, empty if unknown; ``reference_dose`` and ``reference_unit``, NaN and
    empty without a single reference dose; ``reference_text``, every reference dose with its route.
    """
    units = _units(spec, tables)
    rows = [_labels(spec, str(agent), units, included, tables, kinetics) for agent in agents]
    columns = ("dose_unit", "reference_dose", "reference_unit", "reference_text")
    values: dict[str, tuple[str, np.ndarray]] = {
        column: (AGENT, np.array([row[i] for row in rows], object))
        for i, column in enumerate(columns)
    }
    values["reference_dose"] = (AGENT, np.array([row[1] for row in rows], float))
    return xr.Dataset(values, coords={AGENT: agents})


def _labels(
    spec: AnalysisSpec,
    agent: str,
    units: Mapping[str, str],
    included: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    kinetics: PKModels | None,
) -> tuple[str, float, str, str]:
    name = original_agent(agent)
    unit = units.get(name, "")
    kinds = [EXPOSURES[part.exposure] for part in spec.outcomes.values() if part.shape.needs_dose]
    if not any(kind.relative for kind in kinds):
        return unit, np.nan, "", ""
    if kinetics is not None and any(kind.relative and kind.metric for kind in kinds):
        route, schedule = kinetics.reference(name)
        return unit, np.nan, "", _with_route(schedule, route) if schedule else ""
    references = tables["references"]
    routes = set(included.loc[included[AGENT] == agent, "route"])
    known = references[(references[AGENT] == name) & references["route"].isin(routes)]
    doses = dict.fromkeys(
        (
            float(str(row.reference_dose)),
            _with_route(_column_unit(str(row.dose_column), unit), str(row.route)),
        )
        for row in known.itertuples()
    )
    text = "; ".join(f"{amount:g} {words or UNIT_NOT_STATED}" for amount, words in doses)
    amount, words = next(iter(doses)) if len(doses) == 1 else (np.nan, "")
    return unit, amount, words, text


def _column_unit(column: str, unit_of_table: str) -> str:
    """Find the unit of a dose column; the plain column of a table has the table's."""
    if column == "dose":
        return unit_of_table
    assumed = column.removesuffix("_assuming_weight")
    return COLUMN_UNITS.get(assumed, "")


def _with_route(unit: str, route: str) -> str:
    return f"{unit} {ROUTE_TEXTS.get(route, route.replace('_', ' '))}".strip()


def _units(spec: AnalysisSpec, tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Find the unit in which each agent's doses are stated, where it is stated and the same."""
    sides = [
        table[[AGENT, "dose_unit"]].rename(columns={AGENT: "name"})
        for table in (tables["arms"], tables["contrasts"])
        if "dose_unit" in table
    ]
    if not sides:
        return {}
    stated = pd.concat(sides, ignore_index=True).dropna()
    stated = stated[stated["dose_unit"].astype(str) != ""]
    names = stated["name"].replace(dict(spec.agents))
    return {
        str(name): UNIT_NOTATION.get(str(units.iloc[0]), str(units.iloc[0]))
        for name, units in stated["dose_unit"].groupby(names)
        if len(set(units)) == 1
    }


def facts_of_arms(
    spec: AnalysisSpec,
    included: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    evidence: xr.DataTree,
) -> dict[str, np.ndarray]:
    """Find the people of each arm (NaN if not known), and the reference dose of its route.

    ``overlaps`` is not empty where an arm repeats people of other arms.
    """
    arms = included["arm"]
    known = to_frame(evidence, "arms").drop_duplicates("arm").set_index("arm")
    units, references = _units(spec, tables), tables["references"]
    doses = {
        (str(row.agent), str(row.route)): (
            float(str(row.reference_dose)),
            _with_route(
                _column_unit(str(row.dose_column), units.get(str(row.agent), "")), str(row.route)
            ),
        )
        for row in references.itertuples()
    }
    pairs = zip(included[AGENT].map(original_agent), included["route"], strict=True)
    of_arms = [doses.get(pair, (np.nan, "")) for pair in pairs]
    return {
        "n_randomised": arm_sizes(evidence).reindex(arms).to_numpy(float),
        "overlaps": known["overlaps"].reindex(arms).fillna("").to_numpy(object),
        "reference_dose": np.array([amount for amount, _ in of_arms], float),
        "reference_unit": np.array([unit for _, unit in of_arms], object),
    }
