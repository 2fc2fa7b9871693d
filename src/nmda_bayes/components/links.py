"""Links: the scale of a linear predictor, for the graph, draws (xarray) and NumPy alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

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
    correlation: bool = False


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


#: Ratios whose logarithm contrasts may be, by what follows "log" in their unit.
RATIOS: Final = {
    "or": "odds ratio",
    "odds ratio": "odds ratio",
    "rr": "risk ratio",
    "risk ratio": "risk ratio",
    "relative risk": "risk ratio",
    "hr": "hazard ratio",
    "hazard ratio": "hazard ratio",
    "irr": "rate ratio",
    "rate ratio": "rate ratio",
    "incidence rate ratio": "rate ratio",
    "rom": "ratio of means",
    "ratio of means": "ratio of means",
    "ratio": "ratio",
}
FISHER_Z: Final = ("fisher z", "fishers z", "zcor")


def link_of_unit(link: Link, unit: str) -> Link:
    """Return the link of effects in a unit that is a logarithm of a ratio, or Fisher's z.

    Such effects are reported as ratios or correlations, although the model is linear in them.
    """
    if link != IDENTITY:
        return link
    words = re.sub(r"[^a-z ]", "", re.sub(r"[_\s]+", " ", unit.lower())).strip()
    logarithm = re.fullmatch(r"(?:natural )?(?:log|ln) ?(?:of )?(?:the )?(.+)", words)
    ratio = RATIOS.get(logarithm[1]) if logarithm else None
    if ratio:
        return replace(IDENTITY, effect=f"log {ratio}", ratio=ratio)
    if words in FISHER_Z:
        return replace(IDENTITY, effect="Fisher z", correlation=True)
    return link


def risk_at_effect(baseline_risk: float, effect: Any, link: Link) -> Any:
    """Risk under an effect on the scale of the link, given the risk without it."""
    return link.inverse(link.forward(np.float64(baseline_risk)) + effect)
