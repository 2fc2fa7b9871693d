"""Biases: why reported results differ systematically from the effect of the agent.

A bias shifts what an arm reports, never the curve, so that every estimand excludes it. A positive
bias favours the active arm, in the direction of the outcome's better side; arms at dose 0 have
none.

Selection for publication (Vevea and Hedges 1995): a trial whose one-sided p-value falls into the
k-th interval is published with probability w_k relative to the first, so that published results
have the density

    w(p(y)) · Normal(y; mu, √(se² + tau²)) / A,    A = Σ_k w_k · P(p in k | mu, √(se² + tau²)).

A trial's effect u and its error are drawn first and are then published together or not. The joint
density of y and u among the published trials is therefore

    w(p(y)) · Normal(y; mu + u, se) · Normal(u; 0, tau) / A

with A at mu, not at mu + u: normalising at mu + u would mean that a trial with a given u is
repeated until it is published, and selection would not be identified. Integrating over u gives the
first line, so that the graph may keep the effects of arms. Standard errors are taken as known and
estimates as normal; specs where events are counted are refused (`Likelihood.normal`).

The regressor of small-study effects is a standard error that does not depend on the outcome: for
counts, that of the pooled proportion of the trial's arms. Standard errors from the arms' own events
are a function of the log odds ratio, and the regression then finds a slope without any bias
(Macaskill et al. 2001, Harbord et al. 2006, Peters et al. 2006).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nmda_bayes.components import keyword_parameters, summary_line
from nmda_bayes.registry import Registry

#: What a bias acts on: the linear predictor of arms, which trials are published, their weight.
BiasTarget = Literal["arms", "publication", "weight"]

#: Judgements that may have a prior; the reference is `low` unless that has a prior too.
JUDGEMENTS = ("some_concerns", "high", "unclear", "unknown")
LOW_RISK, UNKNOWN_RISK = "low", "unknown"


@dataclass(frozen=True, slots=True)
class Bias:
    """A kind of bias; ``about`` is one sentence on what is adjusted for."""

    name: str
    formula: Callable[..., Any]
    text: str
    about: str
    applies_to: BiasTarget
    required_columns: tuple[str, ...]
    parameters: tuple[str, ...]


def _build(
    formula: Callable[..., Any],
    text: str,
    *,
    applies_to: BiasTarget = "arms",
    required_columns: str = "",
) -> Bias:
    """A bias named after its function; ``required_columns`` are separated by spaces."""
    return Bias(
        formula.__name__,
        formula,
        text,
        summary_line(formula),
        applies_to,
        tuple(required_columns.split()),
        keyword_parameters(formula),
    )


BIASES = Registry("bias", _build)
bias = BIASES.entry


@bias("toward · bias_small_study · se[contrast]", required_columns="contrast_se")
def small_study(contrast_se: Any, *, slope: Any) -> Any:
    """Small trials show larger effects than large ones, in proportion to their standard error.

    The adjusted effect is that of a trial without sampling error. (Egger et al. 1997; Moreno et al.
    2009 compare such regressions; for networks see Chaimani and Salanti 2012.)
    """
    return slope * contrast_se


@bias("toward · (bias_[judgement] + bias_spread · z[study])", required_columns="judgement")
def risk_of_bias(judged: Any, offset: Any, *, shift: Any, spread: Any) -> Any:
    """Trials that were not judged at low risk of bias are shifted, by a prior for each judgement.

    ``judged`` is 1 for the active arms of the trials with one judgement. With a spread, the biases
    of trials vary about that of their judgement. (Welton et al. 2009; Turner et al. 2009.)
    """
    return judged * (shift + spread * offset)


@bias("toward · bias_unblinding · (p_harm[arm] − p_harm[control of the study])")
def unblinding(harm: Any, control: Any, *, slope: Any) -> Any:
    """Psychoactive effects unblind participants, who then report more benefit.

    ``harm`` and ``control`` are the probabilities of the unblinding harm in the arm and in its
    study's control; ``slope`` is the shift if everyone in the arm and nobody in the control has it.
    """
    return slope * (harm - control)


@bias("w(p[study]) / Σ_k w_k · P(p in k | mean, √(se² + tau²))", applies_to="publication")
def selection(kept: Sequence[Any], expected: Sequence[Any], *, published: Sequence[Any]) -> Any:
    """Trials with large p-values may not have been published, in steps of the one-sided p-value.

    ``kept``: whether a trial's p-value is below each step; ``expected``: the probability of that
    beforehand; ``published``: relative probabilities of publication, one more than steps. (Vevea
    and Hedges 1995.)
    """
    return publication_probability(kept, published) / publication_probability(expected, published)


@bias("log-likelihood[study] · weight[study]", applies_to="weight", required_columns="weight")
def power(log_likelihood: Any, weight: Any) -> Any:
    """Evidence of another kind is down-weighted by a declared, fixed weight (a power prior).

    A prior on the weight would require the normalising constant of the likelihood to that power.
    (Ibrahim and Chen 2000; Neuenschwander et al. 2009.)
    """
    return log_likelihood * weight


def publication_probability(below: Sequence[Any], published: Sequence[Any]) -> Any:
    """Relative probability of publication, given (the probability of) a p-value below each step."""
    steps = zip(published, published[1:], below, strict=False)
    return published[-1] + sum((inside - outside) * share for inside, outside, share in steps)
