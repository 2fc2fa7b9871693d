"""Links: the scale of a linear predictor, and how it becomes what a reader thinks in.

A link is written once, for the graph (PyTensor), for draws (xarray) and for figures (NumPy).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Link:
    """The scale of a linear predictor.

    Attributes
    ----------
    name
        What it is called.
    forward
        From the expected result to the linear predictor.
    inverse
        Back.
    effect
        What a difference of linear predictors is called; empty where it is a plain difference.
    ratio
        What its exponential is called; empty where it has none.
    probability
        True where the expected result is a probability.
    """

    name: str
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    effect: str = ""
    ratio: str = ""
    probability: bool = False


def _same(value: Any) -> Any:
    return value


IDENTITY = Link("identity", _same, _same)
LOGIT = Link(
    "logit",
    lambda p: np.log(p) - np.log1p(-p),
    lambda eta: 1.0 / (1.0 + np.exp(-eta)),
    "log odds ratio",
    "odds ratio",
    probability=True,
)
LOG = Link("log", np.log, np.exp, "log rate ratio", "rate ratio")
#: The complementary log-log of a risk is the log of its cumulative hazard.
CLOGLOG = Link(
    "cloglog",
    lambda p: np.log(-np.log1p(-p)),
    lambda eta: -np.expm1(-np.exp(eta)),
    "log hazard ratio",
    "hazard ratio",
    probability=True,
)
LINKS = {link.name: link for link in (IDENTITY, LOGIT, LOG, CLOGLOG)}


def risk_from(baseline_risk: float, effect: Any, link: Link) -> Any:
    """Carry an effect to a baseline risk.

    Parameters
    ----------
    baseline_risk
        The risk without the agent, between 0 and 1.
    effect
        A difference of linear predictors; any dims.
    link
        The scale of the linear predictor, of a probability.

    Returns
    -------
    Any
        Probabilities, same dims.
    """
    return link.inverse(link.forward(np.float64(baseline_risk)) + effect)
