"""Heterogeneity: differences between the arms of a study beyond dose, agent and sampling error.

``arm``: each arm's linear predictor has an effect N(0, heterogeneity_sd² / 2), so that a contrast
between two arms of a study has variance heterogeneity_sd² and two contrasts that share an arm have
correlation 1/2, as in the usual random-effects model for multi-arm trials (Higgins and Whitehead
1996).

``arm_t``: these effects are divided by √g with one g for each study, so that contrasts have a t
distribution of scale heterogeneity_sd, which limits the influence of outlying studies (Lee and
Thompson 2008).

``nested``: trials are in clusters (centres in programmes); each treatment also has an effect
N(0, cluster_sd² / 2) in each cluster. A contrast has variance heterogeneity_sd² + cluster_sd², of
which trials of a cluster share the second part: the three-level model (Konstantopoulos 2011).

``outlier_mixture``: a trial is outlying with probability outlier_probability; the effects of all
its arms are then outlier_sd_ratio times as wide (Beath 2014, Res Synth Methods 5:285). A contrast
has variance heterogeneity_sd² (1 + outlier_probability (outlier_sd_ratio² - 1)) over all trials.
Which trials are outlying is marginalised out; given the effects it is a probability.

``proportional_to_course``: the effects of arms are multiplied by the time course, so that
differences between trials vanish with the effect; an arm of the reference, which has no course,
follows the mean course of its trial's other arms. Without a course it is ``arm``.

A formula asks an `ArmScope` for random effects: the graph makes them random variables, the exact
engine affine forms of normal variables, and predictions draw those of a new trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nmda_bayes.components import keyword_parameters
from nmda_bayes.registry import Registry

# Correlations: of random effects (an LKJ prior) and of sampling errors that share participants.

#: Correlation of the errors of two arms of a crossover trial, whose participants are the same.
WITHIN_PERSON_CORRELATION = "within_person_correlation"
#: Correlation of the errors of one arm's results at several hours.
WITHIN_ARM_CORRELATION = "within_arm_correlation"
CROSSOVER_TEXT = (
    "mean[arm] = eta[arm] + se[arm]·(√rho·u[study] + √(1 − rho)·e[arm]) in crossover trials"
)
#: Outcomes of one arm, or of one contrast, measured in the same participants.
ERROR_CORRELATION_TEXT = "error[arm] = se[arm]·(√|r|·w[arm] + √(1 − |r|)·e[arm]) in each outcome"
REPEATED_MEASURES_TEXT = (
    "mean[arm] = eta[arm] + se[arm]·(√rho·v[arm] + √(1 − rho)·e[hour]) over an arm's hours"
)


def split_error(se: Any, same: Any, rho: Any, shared: Any, xp: Any) -> tuple[Any, Any]:
    """Split the errors of means into the shared part, and the standard error of the rest.

    ``same`` is 1 for rows that share their participants and 0 elsewhere.
    """
    return same * se * xp.sqrt(rho) * shared, se * xp.sqrt(1.0 - same * rho)


def lkj_cholesky(
    names: Sequence[str], eta: Any, xp: Any, beta: Callable[[str, Any], Any]
) -> list[list[Any]]:
    """Rows of the Cholesky factor of an LKJ-distributed correlation matrix, by the C-vine.

    The partial correlations at the k-th level of the vine of K variables are Beta(b, b) on (-1, 1),
    b = eta + (K - 1 - k) / 2, and independent; ``beta(name, b)`` supplies them on (0, 1).
    (Lewandowski, Kurowicka and Joe 2009.)
    """
    # Not pm.LKJCorr: in PyMC 6.3.2 its forward draws are the Cholesky factor, not the matrix.
    cholesky: list[list[Any]] = []
    for i, name in enumerate(names):
        remainder: Any = 1.0
        row = []
        for level, other in enumerate(names[:i], start=1):
            partial = 2 * beta(f"{other}_{name}", eta + (len(names) - 1 - level) / 2) - 1
            row.append(partial * remainder)
            remainder = remainder * xp.sqrt(1 - partial**2)
        cholesky.append([*row, remainder])
    return cholesky


class ArmScope:
    """Source of the random effects of arms; effects that a scope does not supply are refused."""

    def offset(self) -> Any:
        """Independent standard normal effects of the arms."""
        raise NotImplementedError

    def mixture_offset(self, ratio: Any, probability: Any) -> Any:
        """Standard normal effects, ``ratio`` times as wide in outlying trials."""
        raise NotImplementedError

    def t_scale(self) -> Any:
        """√g of each arm's study, g ~ Gamma(nu / 2, nu / 2): offsets divided by it are t."""
        raise NotImplementedError

    def cluster_offset(self) -> Any:
        """Standard normal effects of each treatment in each cluster, at the arms."""
        raise NotImplementedError

    def course(self) -> Any:
        """The share of the effect that is present at the arms' hours."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """A kind of heterogeneity: ``formula(scope, **parameters)`` gives the effects of the arms.

    ``offset_parameters`` belong to the distribution of the offsets, which are then not standard
    normal; ``independent_arms`` differ normally, with one variance and nothing else.
    """

    name: str
    parameters: tuple[str, ...]
    formula: Callable[..., Any]
    text: str
    offset_parameters: tuple[str, ...] = ()
    independent_arms: bool = False
    heavy_tailed: bool = False
    follows_course: bool = False
    nested: bool = False


#: SD of outlying trials relative to ordinary ones, and the probability that a trial is outlying.
OUTLIER_SD_RATIO, OUTLIER_PROBABILITY = "outlier_sd_ratio", "outlier_probability"


def _build(formula: Callable[..., Any], /, text: str, **facts: Any) -> Heterogeneity:
    """A kind named after its formula; ``facts`` are the other fields of `Heterogeneity`."""
    return Heterogeneity(formula.__name__, keyword_parameters(formula), formula, text, **facts)


HETEROGENEITIES = Registry("heterogeneity", _build)
heterogeneity = HETEROGENEITIES.entry


@heterogeneity("0", independent_arms=True)
def none(scope: ArmScope) -> Any:
    """Arms of a study do not differ."""
    return 0.0


@heterogeneity("Normal(0, heterogeneity_sd² / 2) for each arm", independent_arms=True)
def arm(scope: ArmScope, *, heterogeneity_sd: Any) -> Any:
    """Half the contrast's variance in each of its two arms."""
    return heterogeneity_sd / math.sqrt(2.0) * scope.offset()


@heterogeneity("heterogeneity_sd / √2 · z[arm] / √g[study]", heavy_tailed=True)
def arm_t(scope: ArmScope, *, heterogeneity_sd: Any) -> Any:
    """Contrasts have a t distribution with scale heterogeneity_sd."""
    return heterogeneity_sd / math.sqrt(2.0) * scope.offset() / scope.t_scale()


@heterogeneity(
    "heterogeneity_sd / √2 · m[arm]; m ~ Normal(0, 1) in all arms of a trial, or, with probability"
    " outlier_probability, Normal(0, outlier_sd_ratio²) in all of them",
    offset_parameters=(OUTLIER_SD_RATIO, OUTLIER_PROBABILITY),
)
def outlier_mixture(
    scope: ArmScope, *, heterogeneity_sd: Any, outlier_sd_ratio: Any, outlier_probability: Any
) -> Any:
    """Ordinary and outlying trials; heterogeneity_sd is the SD of ordinary ones."""
    offset = scope.mixture_offset(outlier_sd_ratio, outlier_probability)
    return heterogeneity_sd / math.sqrt(2.0) * offset


@heterogeneity(
    "heterogeneity_sd / √2 · z[arm] · g(hour); g of the trial's other arms in an arm of the"
    " reference",
    follows_course=True,
)
def proportional_to_course(scope: ArmScope, *, heterogeneity_sd: Any) -> Any:
    """Arms differ in the size of their effect, in proportion to its time course."""
    return heterogeneity_sd / math.sqrt(2.0) * scope.offset() * scope.course()


@heterogeneity(
    "heterogeneity_sd / √2 · z[arm] + cluster_sd / √2 · z[treatment in its cluster]", nested=True
)
def nested(scope: ArmScope, *, heterogeneity_sd: Any, cluster_sd: Any) -> Any:
    """Arms in trials in clusters, whose trials share part of each treatment's deviation."""
    within = heterogeneity_sd * scope.offset()
    return (within + cluster_sd * scope.cluster_offset()) / math.sqrt(2.0)


def mixture_log_densities(
    square: Any, arms: Any, ratio: Any, probability: Any, xp: Any
) -> tuple[Any, Any]:
    """Joint log densities of a trial's arm effects and its being ordinary, or outlying.

    ``square`` is the sum of the squared effects of the trial's ``arms``. Without arms / 2 · log(2
    pi).
    """
    ordinary = xp.log1p(-probability) - square / 2.0
    outlying = xp.log(probability) - arms * xp.log(ratio) - square / (2.0 * ratio**2)
    return ordinary, outlying
