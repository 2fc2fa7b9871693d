"""Designs: what the way people were allotted to arms does to the errors of the arms.

In a crossover trial the same people are in every arm, so that the sampling errors of its means go
up and down together. With a within-person correlation rho,

    mean[arm] = eta[arm] + se[arm] · (√rho · u[study] + √(1 − rho) · e[arm]),   u, e ~ Normal(0, 1)

gives each mean its own variance se², two means of a trial the covariance rho · se · se', and their
difference the variance se² + se'² − 2 rho · se · se' of Elbourne et al. (2002, eq. 2). Readings of
one arm at several hours share a term of their own in the same way.
"""

from __future__ import annotations

from typing import Any

#: The parameter: one for each outcome whose crossover trials put the same people in every arm.
WITHIN_PERSON = "within_person_correlation"
#: The same of the errors of one arm's readings at several hours.
WITHIN_ARM = "within_arm_correlation"
TEXT = "mean[arm] = eta[arm] + se[arm]·(√rho·u[study] + √(1 − rho)·e[arm]) in crossover trials"
#: Of the outcomes of one arm, or of one contrast, that are measured in the same people.
BETWEEN_OUTCOMES = "error[arm] = se[arm]·(√|r|·w[arm] + √(1 − |r|)·e[arm]) in each outcome"
READINGS = "mean[arm] = eta[arm] + se[arm]·(√rho·v[arm] + √(1 − rho)·e[hour]) over an arm's hours"


def same_people(se: Any, same: Any, rho: Any, shared: Any, xp: Any) -> tuple[Any, Any]:
    """Split the error of each mean into what its people carry along and what is left.

    Parameters
    ----------
    se
        Standard errors of the means, dim arm.
    same
        1 where the arm's people are also in the trial's other arms, else 0; dim arm.
    rho
        The within-person correlation of the errors, between 0 and 1.
    shared
        Standard normal error ``u`` of each arm's study, dim arm.
    xp
        Namespace with ``sqrt``.

    Returns
    -------
    tuple
        The shift of the mean, and the standard error that is left; dim arm.
    """
    return same * se * xp.sqrt(rho) * shared, se * xp.sqrt(1.0 - same * rho)
