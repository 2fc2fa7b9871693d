"""Links: the scale of a linear predictor, for the graph, draws (xarray) and NumPy alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Link:
    """A link function; ``effect`` names a difference on its scale, ``ratio`` its exponential."""

    name: str
    forward: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    effect: str = ""
    ratio: str = ""
    probability: bool = False


IDENTITY = Link("identity", lambda mean: mean, lambda eta: eta)
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


def risk_at_effect(baseline_risk: float, effect: Any, link: Link) -> Any:
    """Risk under an effect on the scale of the link, given the risk without it."""
    return link.inverse(link.forward(np.float64(baseline_risk)) + effect)
