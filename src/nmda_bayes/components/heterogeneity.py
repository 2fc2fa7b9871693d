"""Heterogeneity: how arms of a study differ beyond dose, agent and sampling error.

With ``arm``, each arm's linear predictor gets an effect N(0, heterogeneity_sd² / 2). A contrast
between two arms of a study then has variance heterogeneity_sd², and two contrasts that share an
arm have correlation 1/2: the usual random-effects model for multi-arm trials (Higgins and
Whitehead 1996).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """A kind of heterogeneity.

    Attributes
    ----------
    name
        What a spec calls it.
    parameters
        The parameters it needs priors for.
    formula
        ``formula(offset, **parameters)``: standard normal arm effects to effects on the
        linear predictor; None where arms of a study do not differ.
    text
        The formula as a reader would write it.
    """

    name: str
    parameters: tuple[str, ...]
    formula: Callable[..., Any] | None
    text: str


HETEROGENEITIES: dict[str, Heterogeneity] = {"none": Heterogeneity("none", (), None, "0")}


def heterogeneity(text: str) -> Callable[[Callable[..., Any]], Heterogeneity]:
    """Enter a formula in the catalogue under its function's name.

    Parameters
    ----------
    text
        The formula as a reader would write it.

    Returns
    -------
    Callable
        Decorator from the formula to the `Heterogeneity`.
    """

    def enter(formula: Callable[..., Any]) -> Heterogeneity:
        signature = inspect.signature(formula).parameters.values()
        names = tuple(p.name for p in signature if p.kind is p.KEYWORD_ONLY)
        made = Heterogeneity(formula.__name__, names, formula, text)
        HETEROGENEITIES[made.name] = made
        return made

    return enter


@heterogeneity("Normal(0, heterogeneity_sd² / 2) for each arm")
def arm(offset: Any, *, heterogeneity_sd: Any) -> Any:
    """Half the contrast's variance in each of its two arms."""
    return heterogeneity_sd / math.sqrt(2.0) * offset
