"""Exposures: what stands on the dose axis.

An exposure turns the arms of a study into one number each, 0 for the reference. What an arm does
not say is NaN, and the design leaves that arm out and says so; nothing is guessed here.

Concentrations come in as columns of the arms, worked out by the published models that the spec
names and up to the hour of the reading; a concentration that is relative is over that of the
agent's reference regimen, so that 1 is the reference regimen on every relative axis.

To add an exposure, write its function under one `@exposure` line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True)
class Exposure:
    """A way to place arms on the dose axis.

    Attributes
    ----------
    name
        What a spec calls it.
    formula
        ``formula(arms, references)`` to a float per arm, NaN where the arm does not say.
    axis
        The label of the dose axis.
    missing
        Why an arm without a value has none, for the list of what was left out.
    of
        The concentration that it is, as `nmda_bayes.pharmacokinetics` names it; empty for a dose.
    relative
        Whether 1 is the agent's own reference.
    """

    name: str
    formula: Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
    axis: str
    missing: str
    of: str = ""
    relative: bool = False


EXPOSURES: dict[str, Exposure] = {}


def exposure(
    axis: str, missing: str, *, of: str = "", relative: bool = False
) -> Callable[[Callable[..., Any]], Exposure]:
    """Enter a function in the catalogue under its name.

    Parameters
    ----------
    axis
        The label of the dose axis.
    missing
        Why an arm without a value has none.
    of
        The concentration that it is; empty for a dose.
    relative
        Whether 1 is the agent's own reference.

    Returns
    -------
    Callable
        Decorator from the function to the `Exposure`.
    """

    def enter(formula: Callable[..., Any]) -> Exposure:
        made = Exposure(formula.__name__, formula, axis, missing, of, relative)
        EXPOSURES[made.name] = made
        return made

    return enter


@exposure("dose, in the units of the evidence", "no dose in the evidence")
def dose(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The dose column as it stands."""
    return arms["dose"].to_numpy(float)


@exposure(
    "dose, in multiples of the agent's reference dose",
    "no dose in the reference dose's unit, or no reference dose for agent and route",
    relative=True,
)
def dose_relative_to_reference(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The arm's dose over the reference dose of its agent and route.

    Each reference says which dose column it refers to (total mg/kg of the course, mg a day), so
    that a week of tablets and one infusion are each measured by their own yardstick.
    """
    relative = np.full(len(arms), np.nan)
    for reference in references.itertuples():
        same = (arms["agent"] == reference.agent) & (arms["route"] == reference.route)
        values = arms.loc[same, str(reference.dose_column)].to_numpy(float)
        relative[same.to_numpy()] = values / float(str(reference.reference_dose))
    return np.where(arms["dose"].to_numpy(float) == 0, 0.0, relative)


_NO_CONCENTRATION = "no concentration can be worked out"


@exposure("peak concentration up to the reading, ng/mL", _NO_CONCENTRATION, of="peak_concentration")
def peak_concentration(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The highest concentration before the outcome was read."""
    return _column(arms, "peak_concentration")


@exposure(
    "average concentration over the treatment, up to the reading, ng/mL",
    _NO_CONCENTRATION,
    of="average_concentration",
)
def average_concentration(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The mean concentration from the first dose to the end of treatment, or to the reading."""
    return _column(arms, "average_concentration")


@exposure(
    "concentration when the outcome was read, ng/mL",
    _NO_CONCENTRATION,
    of="concentration_at_outcome",
)
def concentration_at_outcome(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The concentration at the hour of the reading."""
    return _column(arms, "concentration_at_outcome")


@exposure("area under the concentration up to the reading, ng h/mL", _NO_CONCENTRATION, of="area")
def area(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The area under the concentration from the first dose to the reading."""
    return _column(arms, "area")


@exposure(
    "peak concentration up to the reading, in multiples of the agent's reference regimen",
    _NO_CONCENTRATION,
    of="peak_concentration",
    relative=True,
)
def peak_concentration_relative_to_reference(
    arms: pd.DataFrame, references: pd.DataFrame
) -> np.ndarray:
    """The peak over that of the agent's reference regimen."""
    return _column(arms, "peak_concentration_relative")


@exposure(
    "average concentration over the treatment, up to the reading, in multiples of the agent's"
    " reference regimen",
    _NO_CONCENTRATION,
    of="average_concentration",
    relative=True,
)
def average_concentration_relative_to_reference(
    arms: pd.DataFrame, references: pd.DataFrame
) -> np.ndarray:
    """The average over that of the agent's reference regimen."""
    return _column(arms, "average_concentration_relative")


@exposure(
    "concentration when the outcome was read, in multiples of that at the end of the agent's"
    " reference regimen",
    _NO_CONCENTRATION,
    of="concentration_at_outcome",
    relative=True,
)
def concentration_at_outcome_relative_to_reference(
    arms: pd.DataFrame, references: pd.DataFrame
) -> np.ndarray:
    """The concentration at the reading over what the reference regimen leaves at its end."""
    return _column(arms, "concentration_at_outcome_relative")


@exposure(
    "area under the concentration up to the reading, in multiples of the agent's reference regimen",
    _NO_CONCENTRATION,
    of="area",
    relative=True,
)
def area_relative_to_reference(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
    """The area over the whole area of the agent's reference regimen."""
    return _column(arms, "area_relative")


def _column(arms: pd.DataFrame, name: str) -> np.ndarray:
    if name not in arms:
        return np.full(len(arms), np.nan)
    return arms[name].to_numpy(float)
