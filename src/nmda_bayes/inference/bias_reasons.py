"""Which biases cannot be integrated, and why: those that are no sum of normal variables."""

from __future__ import annotations

from collections.abc import Iterator

from nmda_bayes.spec.bias import BiasSpec


def bias_reasons(bias: BiasSpec) -> Iterator[str]:
    """Say why the biases of an outcome cannot be integrated exactly.

    Parameters
    ----------
    bias
        The biases of an outcome.

    Yields
    ------
    str
        One reason a bias. Small-study effects and shifts by judgement are linear, and weights only
        widen the errors: of these there is none.
    """
    if bias.selection is not None:
        yield "which trials are published depends on their p-values, so that they are not normal"
    if bias.unblinding is not None:
        yield f"its benefit is inflated by the probability of '{bias.unblinding.harm}'"
    if bias.risk_of_bias is not None and bias.risk_of_bias.spread is not None:
        yield "trials have biases of their own, with a spread"
