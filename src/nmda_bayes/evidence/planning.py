"""How many people one trial would need: the optimal information size of a cell."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from scipy.special import ndtri

from nmda_bayes.evidence.trial_effects import RATIO, STANDARD

#: Two-sided error and power of the trial that the information is measured against.
ERROR: Final = 0.05
POWER: Final = 0.8


def people_for_means(difference: float, sd: float) -> float:
    """People of a two-arm trial for a difference of means, 4 (z₁ + z₂)² sd² / difference².

    Parameters
    ----------
    difference
        To be seen, in outcome units; not 0.
    sd
        Between people, in outcome units.

    Returns
    -------
    float
        In both arms together, not rounded; 5 % two-sided, 80 % power.

    References
    ----------
    Julious SA (2004), Stat Med 23:1921, doi:10.1002/sim.1783.
    """
    return 4 * _z() ** 2 * sd**2 / difference**2


def people_for_risks(risk: float, comparator_risk: float) -> float:
    """People of a two-arm trial for two risks, 2 (z₁ + z₂)² Σ p (1 - p) / (p₁ - p₂)².

    Parameters
    ----------
    risk, comparator_risk
        Of the two arms; different.

    Returns
    -------
    float
        In both arms together, not rounded; 5 % two-sided, 80 % power. NaN for a risk outside 0
        to 1.

    References
    ----------
    Julious SA (2004), Stat Med 23:1921, doi:10.1002/sim.1783.
    """
    if not (0 < comparator_risk < 1 and 0 < risk < 1):
        return float("nan")
    spread = risk * (1 - risk) + comparator_risk * (1 - comparator_risk)
    return 2 * _z() ** 2 * spread / (risk - comparator_risk) ** 2


def information_size(trials: pd.DataFrame, measure: str, least: float) -> float:
    """People that one trial would need to see the least difference in the cell's own population.

    Parameters
    ----------
    trials
        Rows of `effects_of_arms`: the comparators' risk, or their SD, is taken from them.
    measure
        The cell's measure.
    least
        The smallest difference that matters, in the unit of the measure (a ratio for counts).

    Returns
    -------
    float
        NaN where the comparators tell no risk or SD.

    Raises
    ------
    ValueError
        If the difference is none.
    """
    if least == (1 if measure == RATIO else 0) or (measure == RATIO and least <= 0):
        raise ValueError(f"a least important difference of {least:g} is no difference ({measure})")
    if measure == RATIO:
        told = trials.dropna(subset=["control_events", "control_n"])
        people = told["control_n"].sum()
        risk = told["control_events"].sum() / people if people else np.nan
        return people_for_risks(risk * least, risk)
    if measure == STANDARD:
        return people_for_means(least, 1.0)
    scale = trials["factor"].where(trials["factor"].notna(), 1.0)
    freedom = (trials["control_n"] - 1).where(trials["control_sd"].notna())
    if not freedom.sum() > 0:
        return float("nan")
    variance = ((scale * trials["control_sd"]) ** 2 * freedom).sum() / freedom.sum()
    return people_for_means(least, float(np.sqrt(variance)))


def _z() -> float:
    return float(ndtri(1 - ERROR / 2) + ndtri(POWER))
