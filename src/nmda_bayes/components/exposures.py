"""Exposures: what stands on the dose axis.

An exposure turns the arms of a study into one number each, 0 for the reference. What an arm does
not say is NaN, and the design leaves that arm out and says so; nothing is guessed here.

Concentrations come in as columns of the arms, worked out by the published models that the spec
names and up to the hour of the reading, in blood or at the effect site. Each stands in the
catalogue twice: as it is, and over that of the agent's reference regimen, so that 1 is the
reference regimen on every relative axis.

To add an exposure, write its function under one `@exposure` line; a concentration is one line of
`CONCENTRATIONS`.
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
    at_site
        Whether it is that at the effect site, which follows blood.
    """

    name: str
    formula: Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
    axis: str
    missing: str
    of: str = ""
    relative: bool = False
    at_site: bool = False


EXPOSURES: dict[str, Exposure] = {}


def exposure(
    axis: str, missing: str, *, relative: bool = False
) -> Callable[[Callable[..., Any]], Exposure]:
    """Enter a function in the catalogue under its name.

    Parameters
    ----------
    axis
        The label of the dose axis.
    missing
        Why an arm without a value has none.
    relative
        Whether 1 is the agent's own reference.

    Returns
    -------
    Callable
        Decorator from the function to the `Exposure`.
    """

    def enter(formula: Callable[..., Any]) -> Exposure:
        made = Exposure(formula.__name__, formula, axis, missing, relative=relative)
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


@dataclass(frozen=True, slots=True)
class Concentration:
    """A concentration that an effect may follow.

    Attributes
    ----------
    axis
        What it is, in words.
    of
        The same as `nmda_bayes.pharmacokinetics` names it.
    over
        What it is a multiple of, where it is relative.
    at_site
        Whether it is that at the effect site.
    """

    axis: str
    of: str
    over: str = "the agent's reference regimen"
    at_site: bool = False

    def entered_as(self, name: str) -> tuple[Exposure, Exposure]:
        """Make its two exposures.

        Parameters
        ----------
        name
            What a spec calls the first of them.

        Returns
        -------
        tuple of Exposure
            In ng/mL, and in multiples of the reference.
        """
        unit = "ng h/mL" if self.of == "area" else "ng/mL"
        missing = "no concentration can be worked out"
        relative, multiples = f"{name}_relative_to_reference", f"in multiples of {self.over}"
        return (
            Exposure(name, _column(self.of), f"{self.axis}, {unit}", missing, self.of,
                     at_site=self.at_site),
            Exposure(relative, _column(f"{self.of}_relative"), f"{self.axis}, {multiples}",
                     missing, self.of, relative=True, at_site=self.at_site),
        )  # fmt: skip


def _column(name: str) -> Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]:
    """Read what was worked out already."""

    def read(arms: pd.DataFrame, references: pd.DataFrame) -> np.ndarray:
        if name not in arms:
            return np.full(len(arms), np.nan)
        return arms[name].to_numpy(float)

    return read


PEAK, AT_OUTCOME = "peak_concentration", "concentration_at_outcome"
CONCENTRATIONS = {
    PEAK: Concentration("peak concentration up to the reading", PEAK),
    "average_concentration": Concentration(
        "average concentration over the treatment, up to the reading", "average_concentration"
    ),
    AT_OUTCOME: Concentration(
        "concentration when the outcome was read", AT_OUTCOME,
        over="that at the end of the agent's reference regimen",
    ),
    "area": Concentration("area under the concentration up to the reading", "area"),
    "effect_site_concentration": Concentration(
        "concentration at the effect site when the outcome was read", AT_OUTCOME,
        over="that at the end of the agent's reference regimen", at_site=True,
    ),
    "peak_effect_site_concentration": Concentration(
        "peak concentration at the effect site up to the reading", PEAK, at_site=True
    ),
}  # fmt: skip
EXPOSURES.update(
    (made.name, made) for name, one in CONCENTRATIONS.items() for made in one.entered_as(name)
)
