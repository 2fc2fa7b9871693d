"""The biases of an outcome as lines of its model, for the page and for `show`."""

from __future__ import annotations

from collections.abc import Iterator

from nmda_bayes.components.bias import BIASES
from nmda_bayes.priors import prior_text
from nmda_bayes.spec import OutcomeSpec
from nmda_bayes.spec.bias import PUBLISHED


def shifts(part: OutcomeSpec) -> list[str]:
    """Name the biases that shift the arms.

    Parameters
    ----------
    part
        The outcome.

    Returns
    -------
    list[str]
        As the catalogue names them.
    """
    return [name for name in part.bias.given if BIASES[name].acts == "arms"]


def bias_lines(part: OutcomeSpec) -> Iterator[tuple[str, str]]:
    """Write what the biases do, and their priors.

    Parameters
    ----------
    part
        The outcome.

    Yields
    ------
    tuple[str, str]
        A statement, and a remark in words or the prior's reason.
    """
    sign, bias = ("" if part.better == "higher" else "−"), part.bias
    for name in shifts(part):
        text = BIASES[name].text.replace("toward · ", sign)
        if name == "risk_of_bias" and bias.risk_of_bias and bias.risk_of_bias.spread is None:
            text = text.replace("(", "").replace(" + bias_spread · z[study])", "")
        yield f"bias[arm] = {text}", _remark(name, part)
    if bias.selection is not None:
        steps = ", ".join(f"{step:g}" for step in bias.selection.steps)
        text = BIASES["selection"].text
        yield f"p(y | published) = p(y) · {text}", f"steps of the one-sided p: {steps}"
        yield "w_1 = 1", f"the others are relative to the {bias.selection.relative_to}"
    if bias.power is not None:
        weights = ", ".join(f"{word} {w:g}" for word, w in bias.power.weights.items())
        yield "log p(y[study]) · weight[study]", f"weights, declared, not learned: {weights}"
    for name, prior in bias.priors.items():
        written = f"w_{name.removeprefix(PUBLISHED)}" if name.startswith(PUBLISHED) else name
        yield f"{written} ~ {prior_text(prior.dist, prior.kwargs)}", prior.why


def _remark(name: str, part: OutcomeSpec) -> str:
    bias = part.bias
    if name == "risk_of_bias" and bias.risk_of_bias is not None:
        words = ", ".join(word.replace("_", " ") for word in bias.risk_of_bias.priors)
        return f"in active arms; judged {words}"
    if name == "unblinding" and bias.unblinding is not None:
        return f"p_harm: probability of '{bias.unblinding.harm}'"
    return "in active arms of trials with a control"
