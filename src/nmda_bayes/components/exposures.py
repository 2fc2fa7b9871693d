"""Exposures: the quantity on the dose axis.

An exposure gives each arm one number, 0 for the reference. It is NaN where the arm lacks the
information; the design then excludes the arm with that reason, and nothing is imputed.

Concentrations are columns of the arms, computed by the published models that the spec names, up to
the time of measurement, in blood or at the effect site. Each is registered twice: as it is, and
divided by that of the agent's reference regimen.

To add an exposure, write its function under one `@exposure` line; a concentration is one line of
`CONCENTRATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nmda_bayes.registry import Registry


@dataclass(frozen=True, slots=True)
class Exposure:
    """A definition of the dose axis.

    ``missing_reason`` is the reason for excluding an arm; ``metric`` names the column of the
    pharmacokinetic metric, empty for doses.
    """

    name: str
    formula: Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
    axis: str
    missing_reason: str
    metric: str = ""
    relative: bool = False
    at_effect_site: bool = False
    unit: str = ""


def _build(
    formula: Callable[..., Any], axis: str, missing: str, *, relative: bool = False
) -> Exposure:
    return Exposure(formula.__name__, formula, axis, missing, relative=relative)


EXPOSURES = Registry("exposure", _build)
exposure = EXPOSURES.entry


@exposure("dose", "no dose in the evidence")
def dose(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The dose column."""
    return arms["dose"].to_numpy(float)


@exposure(
    "dose, in multiples of the agent's reference dose",
    "no dose in the reference dose's unit, or no reference dose for agent and route",
    relative=True,
)
def dose_relative_to_reference(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The arm's dose divided by the reference dose of its agent and route.

    Each reference names the dose column it refers to (total mg/kg of the course, or mg a day).
    """
    relative = np.full(len(arms), np.nan)
    for reference in references.itertuples():
        same = (arms["agent"] == reference.agent) & (arms["route"] == reference.route)
        values = arms.loc[same, str(reference.dose_column)].to_numpy(float)
        relative[same.to_numpy()] = values / float(str(reference.reference_dose))
    return np.where(arms["dose"].to_numpy(float) == 0, 0.0, relative)


@dataclass(frozen=True, slots=True)
class Concentration:
    """A pharmacokinetic metric of the arms; ``reference`` is its value of 1 if relative."""

    axis: str
    column: str
    reference: str = "the agent's reference regimen"
    at_effect_site: bool = False

    def as_exposures(self, name: str) -> tuple[Exposure, Exposure]:
        """Make its absolute and its relative exposure."""
        unit = "ng h/mL" if self.column == "area" else "ng/mL"
        missing = "the concentration cannot be computed"

        def make(name: str, column: str, scale: str, *, relative: bool) -> Exposure:
            axis = f"{self.axis}, {scale}"
            read, site = _column(column), self.at_effect_site
            stated = "" if relative else unit
            return Exposure(name, read, axis, missing, self.column, relative, site, stated)

        relative_name, scale = f"{name}_relative_to_reference", f"in multiples of {self.reference}"
        return (
            make(name, self.column, unit, relative=False),
            make(relative_name, f"{self.column}_relative", scale, relative=True),
        )


def _column(name: str) -> Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]:
    def read(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
        return arms[name].to_numpy(float) if name in arms else np.full(len(arms), np.nan)

    return read


PEAK_CONCENTRATION, CONCENTRATION_AT_OUTCOME = "peak_concentration", "concentration_at_outcome"
_AT_END = "that at the end of the agent's reference regimen"
CONCENTRATIONS = {
    PEAK_CONCENTRATION: Concentration(
        "peak concentration up to the measurement", PEAK_CONCENTRATION
    ),
    "average_concentration": Concentration(
        "average concentration during treatment, up to the measurement", "average_concentration"
    ),
    CONCENTRATION_AT_OUTCOME: Concentration(
        "concentration at the time of measurement", CONCENTRATION_AT_OUTCOME, _AT_END
    ),
    "area": Concentration("area under the concentration curve up to the measurement", "area"),
    "effect_site_concentration": Concentration(
        "concentration at the effect site at the time of measurement",
        CONCENTRATION_AT_OUTCOME,
        _AT_END,
        at_effect_site=True,
    ),
    "peak_effect_site_concentration": Concentration(
        "peak concentration at the effect site up to the measurement",
        PEAK_CONCENTRATION,
        at_effect_site=True,
    ),
}
for _name, _concentration in CONCENTRATIONS.items():
    for _exposure in _concentration.as_exposures(_name):
        EXPOSURES.add(_exposure)
