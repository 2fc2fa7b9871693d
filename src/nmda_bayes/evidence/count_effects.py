"""Effect sizes of counts and rates in separate arms; empty cells are never filled in silence.

``correction=None`` adds nothing: NaN where the data give no effect or no variance, and a note that
tells which cell is empty. A number is added where asked, and the note tells that too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nmda_bayes.evidence.arm_statistics import Counts, FloatArray, Rates
from nmda_bayes.evidence.effect_sizes import Effect, effect, quiet

#: Notes: what a table lacks. A trial without events says nothing of a ratio, and a reader who
#: leaves such trials out must be able to tell them from those with one empty cell.
NO_EVENTS = "no events in any arm"
ALL_EVENTS = "only events in every arm"
ZERO_CELL = "zero cell"


@quiet
def log_odds_ratio(arm: Counts, comparator: Counts, *, correction: float | None) -> Effect:
    """Log OR = ln(a d / (b c)), variance 1/a + 1/b + 1/c + 1/d.

    a, b are people with and without the event in the arm, c, d in the comparator.

    Parameters
    ----------
    arm, comparator
        People with the event.
    correction
        Added to all four cells of a table with an empty one, and noted; None: NaN there.

    Returns
    -------
    Effect
        Natural logarithm of an odds ratio.

    References
    ----------
    Woolf B (1955), Ann Hum Genet 19:251, doi:10.1111/j.1469-1809.1955.tb01348.x; metafor's OR.
    """
    (a, b, c, d), note = cells(arm, comparator, correction=correction)
    return effect(np.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d, note)


@quiet
def log_risk_ratio(arm: Counts, comparator: Counts, *, correction: float | None) -> Effect:
    """Log RR = ln((a/n₁) / (c/n₂)), variance 1/a - 1/n₁ + 1/c - 1/n₂.

    Parameters
    ----------
    arm, comparator
        People with the event.
    correction
        Added to all four cells of a table with an empty one (people without the event count, as in
        RevMan and metafor), and noted; None: NaN where an arm has no event.

    Returns
    -------
    Effect
        Natural logarithm of a risk ratio.

    References
    ----------
    Katz D et al. (1978), Biometrics 34:469, doi:10.2307/2530610; metafor's RR.
    """
    (a, b, c, d), note = cells(arm, comparator, correction=correction)
    n, m = a + b, c + d
    # b / (a n) is 1/a - 1/n without the rounding error that is left when everyone has the event.
    return effect(np.log(a / n / (c / m)), b / (a * n) + d / (c * m), note)


@quiet
def risk_difference(arm: Counts, comparator: Counts, *, correction: float | None) -> Effect:
    """RD = p₁ - p₂, variance Σ pᵢ (1 - pᵢ) / nᵢ.

    Parameters
    ----------
    arm, comparator
        People with the event.
    correction
        Added to all four cells of a table with an empty one, and noted. None: nothing is added,
        the arm with an empty cell adds nothing to the variance (noted), and a table in which
        neither arm varies has no variance.

    Returns
    -------
    Effect
        A difference of probabilities, -1 to 1.

    References
    ----------
    Deeks JJ, Higgins JPT (2010), Statistical algorithms in Review Manager 5; metafor's RD.
    """
    (a, b, c, d), note = cells(arm, comparator, correction=correction)
    n, m = a + b, c + d
    return effect(a / n - c / m, a * b / n**3 + c * d / m**3, note)


@quiet
def logit_proportion(arm: Counts, *, correction: float | None) -> Effect:
    """Log odds of one arm = ln(a / b), variance 1/a + 1/b.

    Parameters
    ----------
    arm
        People with the event.
    correction
        Added to both cells where one is empty, and noted; None: NaN there.

    Returns
    -------
    Effect
        Log odds of the event (no comparator).

    References
    ----------
    Woolf B (1955), Ann Hum Genet 19:251, for one arm of his ratio; metafor's PLO.
    """
    (a, b), note = cells(arm, correction=correction)
    return effect(np.log(a / b), 1 / a + 1 / b, note)


@quiet
def log_rate(arm: Rates, *, correction: float | None) -> Effect:
    """Log rate of one arm = ln(x / time), variance 1/x (Poisson).

    Parameters
    ----------
    arm
        Events x over person-time.
    correction
        Added to the events where there are none, and noted; None: NaN there.

    Returns
    -------
    Effect
        Natural logarithm of events a unit of person-time.

    References
    ----------
    Cochrane Handbook 6.5, section 6.7; metafor's IRLN.
    """
    (x,), note = _filled([arm.events], [], correction)
    return effect(np.log(x / arm.time), 1 / x, note)


@quiet
def log_rate_ratio(arm: Rates, comparator: Rates, *, correction: float | None) -> Effect:
    """Log IRR = ln((x₁/time₁) / (x₂/time₂)), variance 1/x₁ + 1/x₂ (Poisson).

    Parameters
    ----------
    arm, comparator
        Events over person-time, in one unit of time.
    correction
        Added to the events of both arms where one has none, and noted; None: NaN there.

    Returns
    -------
    Effect
        Natural logarithm of a rate ratio.

    References
    ----------
    Cochrane Handbook 6.5, section 6.7; metafor's IRR.
    """
    (x, y), note = _filled([arm.events, comparator.events], [], correction)
    return effect(np.log(x / arm.time / (y / comparator.time)), 1 / x + 1 / y, note)


def cells(*arms: Counts, correction: float | None) -> tuple[list[FloatArray], NDArray[np.object_]]:
    """Lay out people with and without the event, and fill empty cells only if asked.

    Parameters
    ----------
    *arms
        Those compared with each other.
    correction
        Added to every cell of a table with an empty one; None for nothing.

    Returns
    -------
    tuple[list[FloatArray], NDArray[np.object_]]
        With, without, with, without, ... and the note of each table.
    """
    inside = [arm.events for arm in arms]
    outside = [arm.n - arm.events for arm in arms]
    filled, note = _filled(inside, outside, correction)
    pairs = zip(filled[: len(arms)], filled[len(arms) :], strict=True)
    return [cell for pair in pairs for cell in pair], note


def _filled(
    events: list[FloatArray], others: list[FloatArray], correction: float | None
) -> tuple[list[FloatArray], NDArray[np.object_]]:
    if correction is not None and not 0 < correction < np.inf:
        raise ValueError(f"correction must be more than 0, or None: {correction}")
    table = np.stack(np.broadcast_arrays(*events, *others))
    known = ~np.isnan(table).any(axis=0)
    zero = table == 0
    empty = zero.any(axis=0) & known
    inside, outside = zero[: len(events)], zero[len(events) :]
    everyone = outside.all(axis=0) if others else np.zeros_like(empty)
    kind = np.select([inside.all(axis=0), everyone], [NO_EVENTS, ALL_EVENTS], ZERO_CELL)
    if correction is None:
        return list(table), np.where(empty, kind, "").astype(object)
    said = np.char.add(kind, f": {correction:g} added to every cell")
    return list(table + correction * empty), np.where(empty, said, "").astype(object)
