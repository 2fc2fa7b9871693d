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

An arm that counts responders at 30 % and at 50 % counts some people twice. The counts are nested:
those at the harder cut-off are a Binomial among those at the easier one, with the ratio of the two
shares; together that is the multinomial of the categories between the cut-offs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

RESPONDER_SD, STARTING_LEVEL = "responder_sd", "starting_level"
TEXT = "responders ~ Binomial(n, Phi(±(cut-off − eta)/responder_sd))"
#: Of an arm that counts them at several cut-offs: the people are the same, and so is Phi.
HARDER = "harder ~ Binomial(responders, Phi(harder cut-off)/Phi(cut-off))"

_ROOT_2 = np.sqrt(np.float64(2))
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


def observe_responders(name: str, z: Any, easier: Any, *, n: Any, events: Any, dim: str) -> Any:
    """Count responders of all people, or of those who passed an easier cut-off.

    Parameters
    ----------
    name
        The observed variable's name.
    z
        As `probit` gives it, a tensor.
    easier
        The same at the easier cut-off of these arms; None where all people are counted.
    n
        How many people are counted: a number, or the observed variable of the easier cut-off.
    events
        How many responded.
    dim
        The dim of the arms.

    Returns
    -------
    Any
        The observed variable, in the model on the stack.
    """
    import pymc as pm

    # Phi by way of its own logarithms: at a probit of -9 the plain share is 0 in doubles, and one
    # responder there would have a log density of -inf.
    log_odds = log_odds_of(z) if easier is None else log_odds_among(z, easier)
    return pm.Binomial(name, n=n, logit_p=log_odds, observed=events, dims=(dim,))


def log_odds_among(z: Any, easier: Any) -> Any:
    """Give the log odds of passing a cut-off among those who passed an easier one.

    Parameters
    ----------
    z, easier
        Probits of the shares that pass either; tensors.

    Returns
    -------
    Any
        The log odds of Phi(z) / Phi(easier), a tensor.
    """
    import pytensor.tensor as pt

    log_share = _log_phi(z) - _log_phi(easier)
    return log_share - pt.log1mexp(log_share)


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
    return _log_phi(z) - _log_phi(-z)


def _log_phi(z: Any) -> Any:
    """Give log Phi(z). PyMC's own has √2 in single precision, and eight digits."""
    import pytensor.tensor as pt

    # Each branch is kept where it is finite: the other's infinity would turn gradients into NaN.
    low, high = pt.minimum(z, np.float64(-1)), pt.maximum(z, np.float64(-1))
    tail = pt.log(pt.erfcx(-low / _ROOT_2) / 2) - low**2 / 2
    return pt.switch(z < -1, tail, pt.log1p(-pt.erfc(high / _ROOT_2) / 2))
