"""Exposures: what stands on the dose axis.

An exposure turns the arms of a study into one number each, 0 for the reference. What an arm does
not say is NaN, and the design leaves that arm out and says so; nothing is guessed here.

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
    """

    name: str
    formula: Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
    axis: str
    missing: str


EXPOSURES: dict[str, Exposure] = {}


def exposure(axis: str, missing: str) -> Callable[[Callable[..., Any]], Exposure]:
    """Enter a function in the catalogue under its name.

    Parameters
    ----------
    axis
        The label of the dose axis.
    missing
        Why an arm without a value has none.

    Returns
    -------
    Callable
        Decorator from the function to the `Exposure`.
    """

    def enter(formula: Callable[..., Any]) -> Exposure:
        made = Exposure(formula.__name__, formula, axis, missing)
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
