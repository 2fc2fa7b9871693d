"""Biases: why what trials show differs from what the agent does.

A bias enters what an arm shows and never the curve, so that every answer is given with the bias
taken out. Its direction is that of the outcome's better side: a positive bias favours the active
arm. An arm at dose 0 has none.

Selection for publication (Vevea and Hedges 1995) is no shift. A trial whose one-sided p-value p
falls into the k-th interval is published with a probability w_k relative to the first, so that what
is published has the density

    w(p(y)) · Normal(y; mu, √(se² + tau²)) / A,    A = Σ_k w_k · P(p in k | mu, √(se² + tau²)).

A trial is drawn before it is judged: its own effect u and its error come first, and the two
together are kept or lost. The joint density of y and u among the published is therefore

    w(p(y)) · Normal(y; mu + u, se) · Normal(u; 0, tau) / A,

with the same A, at the mean of such trials and not at mu + u. Dividing by the constant at mu + u
would say that a trial is redone with its u until it is published: trials with a small u would then
not be missing, and the selection would tell nothing of them. Integrated over u, the first line is
what remains, so that latent effects of arms may stay in the graph. The standard error is taken as
known and the estimate as normal; where events are counted both fail, and a spec is refused
(`SELECTABLE`).

The regressor of small-study effects is a standard error that does not know the outcome: for counts
that of the pooled proportion of the trial's arms. From the arms' own events the standard error and
the log odds ratio are one number twice, and the regression finds a slope where there is no bias
(Macaskill et al. 2001, Harbord et al. 2006, Peters et al. 2006).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

#: What a bias acts on: the linear predictor of arms, which trials are seen, how much they count.
Acts = Literal["arms", "publication", "weight"]

#: Likelihoods whose estimates are normal with known standard errors, as selection needs them.
SELECTABLE = ("normal", "normal_contrast")
SELECTABLE_HETEROGENEITIES = ("none", "arm")
#: Judgements that a prior may stand for; `low` is what the others are held against, without one.
JUDGEMENTS = ("some_concerns", "high", "unclear", "unknown")
LOW, UNKNOWN = "low", "unknown"


@dataclass(frozen=True, slots=True)
class Bias:
    """A kind of bias.

    Attributes
    ----------
    name
        What a spec calls it.
    formula
        What it adds, or multiplies with.
    text
        The formula as a reader would write it.
    about
        What is allowed for, in a sentence.
    acts
        On the linear predictor of the ``arms``, on ``publication``, or as a ``weight``.
    needs
        Columns of the design.
    parameters
        The formula's own names of what has a prior.
    """

    name: str
    formula: Callable[..., Any]
    text: str
    about: str
    acts: Acts
    needs: tuple[str, ...]
    parameters: tuple[str, ...]


BIASES: dict[str, Bias] = {}


def bias(
    text: str, *, acts: Acts = "arms", needs: str = ""
) -> Callable[[Callable[..., Any]], Bias]:
    """Enter a formula in the catalogue under its function's name.

    Parameters
    ----------
    text
        The formula as a reader would write it.
    acts
        What it acts on.
    needs
        Columns of the design, separated by spaces.

    Returns
    -------
    Callable
        Decorator from the formula to the `Bias`; its keyword-only arguments are what has a prior,
        the first line of its docstring says what is allowed for.
    """

    def enter(formula: Callable[..., Any]) -> Bias:
        arguments = inspect.signature(formula).parameters.values()
        own = tuple(a.name for a in arguments if a.kind is a.KEYWORD_ONLY)
        about = (inspect.getdoc(formula) or "").partition("\n")[0]
        made = Bias(formula.__name__, formula, text, about, acts, tuple(needs.split()), own)
        BIASES[made.name] = made
        return made

    return enter


@bias("toward · bias_small_study · se[contrast]", needs="contrast_se")
def small_study(contrast_se: Any, *, slope: Any) -> Any:
    """Small trials show more than large ones, in proportion to their standard error.

    The effect without the bias is that of a trial without sampling error. (Egger et al. 1997;
    Moreno et al. 2009, who compare such regressions; in networks Chaimani and Salanti 2012.)
    """
    return slope * contrast_se


@bias("toward · (bias_[judgement] + bias_spread · z[study])", needs="judgement")
def risk_of_bias(judged: Any, offset: Any, *, shift: Any, spread: Any) -> Any:
    """Trials that were not judged at low risk of bias are shifted, by a prior for each judgement.

    ``judged`` is 1 for the active arms of the trials with one judgement. With a spread, each trial
    has a bias of its own about the judgement's. (Welton et al. 2009; Turner et al. 2009.)
    """
    return judged * (shift + spread * offset)


@bias("toward · bias_unblinding · (p_harm[arm] − p_harm[control of the study])")
def unblinding(harm: Any, control: Any, *, slope: Any) -> Any:
    """An agent that can be felt betrays itself, and who knows what was given reports more benefit.

    ``harm`` and ``control`` are the probabilities of the telling harm in the arm and in its study's
    control; ``slope`` is the shift of the benefit if everyone in the arm and nobody in the control
    were told by it.
    """
    return slope * (harm - control)


@bias("w(p[study]) / Σ_k w_k · P(p in k | mean, √(se² + tau²))", acts="publication")
def selection(kept: Sequence[Any], expected: Sequence[Any], *, published: Sequence[Any]) -> Any:
    """Trials with large p-values may not have been published, in steps of the one-sided p-value.

    ``kept`` says of each step whether a trial's p-value is below it, ``expected`` how probable that
    was beforehand; ``published`` are the relative probabilities of publication, one more than
    steps. (Vevea and Hedges 1995.)
    """
    return publication(kept, published) / publication(expected, published)


@bias("log-likelihood[study] · weight[study]", acts="weight", needs="weight")
def power(log_likelihood: Any, weight: Any) -> Any:
    """Evidence of another kind counts less than it would by its numbers, by a declared weight.

    The weight is fixed. With a prior on it the likelihood to a power would need its normalising
    constant, which no sampler has at hand. (Ibrahim and Chen 2000; Neuenschwander et al. 2009.)
    """
    return log_likelihood * weight


def publication(below: Sequence[Any], published: Sequence[Any]) -> Any:
    """Give the relative probability of publication.

    Parameters
    ----------
    below
        For each step whether the one-sided p-value is below it (0 or 1), or how probable that is.
    published
        Relative probabilities of publication of the intervals between the steps, the smallest
        p-values first; one more than steps.

    Returns
    -------
    Any
        The probability, or its expectation.
    """
    falls = zip(published, published[1:], below, strict=False)
    return published[-1] + sum((here - there) * share for here, there, share in falls)
