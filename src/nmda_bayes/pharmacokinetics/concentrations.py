"""Concentration over time after a regimen, by a published model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.pharmacokinetics.asked import Asked, Regimens
from nmda_bayes.pharmacokinetics.models import PharmacokineticModel
from nmda_bayes.pharmacokinetics.responses import superposed
from nmda_bayes.pharmacokinetics.structure import MOLAR_MASS

#: Units of concentration: what a mg/L is in each; of a molar one, what a mmol/L is.
MASS_UNITS = {"ng/mL": 1000.0, "ug/mL": 1.0, "mg/L": 1.0, "ug/L": 1000.0}
MOLAR_UNITS = {"mmol/L": 1.0, "umol/L": 1000.0, "nmol/mL": 1000.0, "nmol/L": 1e6}


def concentration(
    regimen: Regimens,
    model: PharmacokineticModel,
    times: Any,
    *,
    weight: float = 70.0,
    route: str = "iv",
    agent: str = "",
    parameters: xr.Dataset | None = None,
    analytes: Sequence[str] = (),
    unit: str = "ng/mL",
) -> xr.DataArray:
    """Predict concentrations of a drug and its metabolites after a regimen.

    Parameters
    ----------
    regimen
        In the notation of schedules, or read already. Several, as a list or by name, are computed
        together.
    model
        As `published_model` gives it.
    times
        Hours since the first administration. At the time of a bolus it is in. One number: until
        that hour, on a grid that holds the start and the end of every dose.
    weight
        Of the body, kg. It stands in the answer's attributes.
    route
        Of the doses.
    agent
        What was given, where that is not what the model is about: half of ``ketamine`` is
        S-ketamine, 9.86 % of ``magnesium_sulfate`` is magnesium.
    parameters
        As `draw_parameters` gives them; the typical values otherwise.
    analytes
        Which of the model's analytes; all by default.
    unit
        Of the answer: ng/mL, mg/L, nmol/mL, mmol/L, ...

    Returns
    -------
    xr.DataArray
        Dims analyte, draw (where parameters are drawn), regimen (where there are several) and
        time. What the body has of its own (a baseline) is in it.

    Raises
    ------
    InputError
        If the schedule does not say enough, or the model has no parameters for the route or for
        what was given.
    """
    asked = Asked.of(regimen, model, weight, route, agent, parameters).only(analytes)
    hours = asked.grid(float(times)) if np.ndim(times) == 0 else np.asarray(times, dtype=float)
    found = {
        name: asked.over(superposed, ways, hours) + asked.baseline(name)
        for name, ways in asked.ways.items()
    }
    values = [found[name] * per_mg_per_litre(unit, name) for name in found]
    return asked.labelled(
        values, list(found), ("time",), {"time": ("time", hours, {"units": "h"})}
    ).assign_attrs(long_name="concentration", units=unit, **asked.attributes)


def per_mg_per_litre(unit: str, analyte: str) -> float:
    """Say what 1 mg/L is in a unit.

    Parameters
    ----------
    unit
        Of concentration.
    analyte
        For units that count molecules.

    Returns
    -------
    float
        The factor.

    Raises
    ------
    InputError
        If the unit or the molar mass is not known.
    """
    if unit in MASS_UNITS:
        return MASS_UNITS[unit]
    if unit not in MOLAR_UNITS:
        known = ", ".join((*MASS_UNITS, *MOLAR_UNITS))
        raise InputError([Fault(f"'{unit}' is no unit of concentration here", f"Known: {known}")])
    if analyte not in MOLAR_MASS:
        raise InputError([Fault(f"the molar mass of '{analyte}' is not known", "Take ng/mL.")])
    return MOLAR_UNITS[unit] / MOLAR_MASS[analyte]
