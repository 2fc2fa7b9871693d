"""Responders and means of one scale: the latent score behind a count of responders.

A person responds if the score at the end has fallen to a cut-off, set from the score at the start:
to the share 1 − c of it (a fall of 50 %: c = 0.5), or by so many points. With scores normal between
people, the arm's mean at the end ``eta`` and the share of responders are tied by

    share = Phi((cut-off − eta) / responder_sd),   cut-off = (1 − c) · starting_level,
                                               or  cut-off = starting_level − points,

where ``responder_sd`` is the SD between people of the score at the end less the person's own
cut-off. Where higher scores are better both signs turn. In a trial that reports responders alone,
with a baseline of its own, the cut-off cancels from the comparison of its arms:
eta − eta' = responder_sd · (probit(share') − probit(share)); a wrong starting level then costs
nothing. (Anzures-Cabrera, Sarpatwari and Higgins 2011; Suissa 1991.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import xarray as xr

RESPONDER_SD, STARTING_LEVEL = "responder_sd", "starting_level"
TEXT = "responders ~ Binomial(n, Phi(±(cut-off − eta)/responder_sd))"

_CUTOFF = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(%|points)\s*")


@dataclass(frozen=True, slots=True)
class Cutoff:
    """What counts as a response.

    Attributes
    ----------
    share
        The share of the starting score that must be gone (or gained), 0 where points count.
    points
        The points that must be gone (or gained), 0 where a share counts.
    """

    share: float
    points: float


def cutoff_of(text: str) -> Cutoff | None:
    """Read a cut-off as a spec writes it.

    Parameters
    ----------
    text
        ``"50 %"`` or ``"20 points"``.

    Returns
    -------
    Cutoff or None
        None where the text is neither.
    """
    found = _CUTOFF.fullmatch(str(text))
    if found is None:
        return None
    number, unit = float(found[1]), found[2]
    if unit == "%":
        return Cutoff(number / 100, 0.0) if 0 < number <= 100 else None
    return Cutoff(0.0, number) if number > 0 else None


def probit(eta: Any, starting_level: Any, sd: Any, *, share: Any, points: Any, lower: bool) -> Any:
    """Give the probit of the share of responders in an arm.

    Parameters
    ----------
    eta
        Mean score at the end, dim arm.
    starting_level
        Mean score at the start.
    sd
        SD between people of the score at the end less their own cut-off.
    share, points
        The cut-off, as in `Cutoff`; dim arm.
    lower
        True where lower scores are better.

    Returns
    -------
    Any
        ``probit(P(response))``, dim arm.
    """
    sign = -1.0 if lower else 1.0
    cutoff = starting_level * (1.0 + sign * share) + sign * points
    return sign * (eta - cutoff) / sd


def observe_responders(name: str, probit_share: Any, reported: xr.Dataset, dim: str) -> Any:
    """Count responders.

    Parameters
    ----------
    name
        The observed variable's name.
    probit_share
        As `probit` gives it.
    reported
        ``events`` and ``n`` of the arms that count responders.
    dim
        Their dim.

    Returns
    -------
    Any
        The observed variable, in the model on the stack.
    """
    import pymc as pm

    # Phi by way of its own logarithms: at a probit of -9 the plain share is 0 in doubles, and one
    # responder there would have a log density of -inf.
    return pm.Binomial(
        name,
        n=reported["n"].values.astype(int),
        logit_p=log_odds_of(probit_share.transpose(dim).values),
        observed=reported["events"].values.astype(int),
        dims=(dim,),
    )


def log_odds_of(z: Any) -> Any:
    """Give the log odds that belong to a probit, log Phi(z) - log Phi(-z), accurate in both tails.

    Parameters
    ----------
    z
        A tensor.

    Returns
    -------
    Any
        A tensor.
    """
    from pymc.distributions.dist_math import normal_lcdf

    return normal_lcdf(0.0, 1.0, z) - normal_lcdf(0.0, 1.0, -z)
