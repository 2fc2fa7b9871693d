"""Heterogeneity: how arms of a study differ beyond dose, agent and sampling error.

With ``arm``, each arm's linear predictor gets an effect N(0, heterogeneity_sd² / 2). A contrast
between two arms of a study then has variance heterogeneity_sd², and two contrasts that share an
arm have correlation 1/2: the usual random-effects model for multi-arm trials (Higgins and
Whitehead 1996).

With ``arm_t`` those effects share a divisor within a study, so that a contrast has a t distribution
of scale heterogeneity_sd: one study may stand far apart without drawing the others after it (Lee
and Thompson 2008). As a scale mixture the effects stay non-centred, and correlated as before.

With ``nested``, trials stand in clusters (schools in districts, centres in programmes): a treatment
has an effect N(0, cluster_sd² / 2) in every cluster, beside that of its arm. A contrast then has
variance heterogeneity_sd² + cluster_sd², of which two trials of a cluster share the second part:
the three-level model (Konstantopoulos 2011).

With ``arm_mixture`` a trial is of one of two kinds, ordinary or outlying: its arms' effects are as
under ``arm``, or outlying_ratio times as wide, with the same mean (Beath 2014, Res Synth Methods
5:285). All arms of a trial are of its kind. A contrast between them has variance
heterogeneity_sd² (1 + outlying_share (outlying_ratio² - 1)) over trials of both kinds. Of which
kind a trial is, is summed over and no variable; given the effects of its arms it is a probability.

With ``arm_fading`` arms differ in the size of their effect, which a time course then carries: once
an effect is gone, so is what set its trial apart. Without a course it is ``arm``.
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
    heavy
        True where the formula takes ``tails``, the divisors of the arms' studies.
    nested
        True where the formula takes ``cluster``, standard normal effects of treatments in clusters.
    fades
        True where the formula takes ``share``, how much of the effect is there at the hour.
    of_offsets
        Those parameters that are the distribution's of the arm effects, and not the formula's:
        the effects are then not standard normal.
    """

    name: str
    parameters: tuple[str, ...]
    formula: Callable[..., Any] | None
    text: str
    heavy: bool = False
    fades: bool = False
    nested: bool = False
    of_offsets: tuple[str, ...] = ()

    @property
    def scales(self) -> tuple[str, ...]:
        """The parameters that the formula takes."""
        return tuple(name for name in self.parameters if name not in self.of_offsets)


#: How many times as wide as ordinary trials outlying ones scatter, and how many of all they are.
OUTLYING_RATIO, OUTLYING_SHARE = "outlying_ratio", "outlying_share"
HETEROGENEITIES: dict[str, Heterogeneity] = {"none": Heterogeneity("none", (), None, "0")}


def heterogeneity(
    text: str, *, of_offsets: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Heterogeneity]:
    """Enter a formula in the catalogue under its function's name.

    Parameters
    ----------
    text
        The formula as a reader would write it.
    of_offsets
        Parameters of the distribution of the arm effects, where they are not standard normal.

    Returns
    -------
    Callable
        Decorator from the formula to the `Heterogeneity`.
    """

    def enter(formula: Callable[..., Any]) -> Heterogeneity:
        signature = inspect.signature(formula).parameters
        names = tuple(p.name for p in signature.values() if p.kind is p.KEYWORD_ONLY)
        tails, share, cluster = (word in signature for word in ("tails", "share", "cluster"))
        parameters = (*names, *of_offsets)
        made = Heterogeneity(
            formula.__name__, parameters, formula, text, tails, share, cluster, of_offsets
        )
        HETEROGENEITIES[made.name] = made
        return made

    return enter


@heterogeneity("Normal(0, heterogeneity_sd² / 2) for each arm")
def arm(offset: Any, *, heterogeneity_sd: Any) -> Any:
    """Half the contrast's variance in each of its two arms."""
    return heterogeneity_sd / math.sqrt(2.0) * offset


@heterogeneity("heterogeneity_sd / √2 · z[arm] / √g[study]")
def arm_t(offset: Any, tails: Any, *, heterogeneity_sd: Any) -> Any:
    """Contrasts with the tails of a t distribution, of which heterogeneity_sd is the scale."""
    return heterogeneity_sd / math.sqrt(2.0) * offset / tails


@heterogeneity(
    "heterogeneity_sd / √2 · m[arm]; m ~ Normal(0, 1) in all arms of a trial, or, with probability"
    " outlying_share, Normal(0, outlying_ratio²) in all of them",
    of_offsets=(OUTLYING_RATIO, OUTLYING_SHARE),
)
def arm_mixture(offset: Any, *, heterogeneity_sd: Any) -> Any:
    """Trials of two kinds, of which heterogeneity_sd is the ordinary kind's."""
    return heterogeneity_sd / math.sqrt(2.0) * offset


def two_kinds(square: Any, arms: Any, ratio: Any, share: Any, xp: Any) -> tuple[Any, Any]:
    """Give the log density of a trial's arm effects together with either kind.

    Parameters
    ----------
    square
        The sum of their squares over the trial's arms.
    arms
        How many there are.
    ratio, share
        `OUTLYING_RATIO` and `OUTLYING_SHARE`.
    xp
        Namespace with the elementary functions for these arrays.

    Returns
    -------
    tuple
        Of an ordinary and of an outlying trial; each plus arms / 2 · log(2 pi).
    """
    ordinary = xp.log1p(-share) - square / 2.0
    outlying = xp.log(share) - arms * xp.log(ratio) - square / (2.0 * ratio**2)
    return ordinary, outlying


@heterogeneity("heterogeneity_sd / √2 · z[arm] · g(hour)")
def arm_fading(offset: Any, share: Any, *, heterogeneity_sd: Any) -> Any:
    """Arms differ in the size of an effect, and the difference comes and goes with the effect."""
    return heterogeneity_sd / math.sqrt(2.0) * offset * share


@heterogeneity("heterogeneity_sd / √2 · z[arm] + cluster_sd / √2 · z[treatment in its cluster]")
def nested(offset: Any, cluster: Any, *, heterogeneity_sd: Any, cluster_sd: Any) -> Any:
    """Arms in trials in clusters, whose trials resemble each other in what a treatment does."""
    return (heterogeneity_sd * offset + cluster_sd * cluster) / math.sqrt(2.0)
