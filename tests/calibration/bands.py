"""Whether ranks are uniform: an exact test by the simultaneous band of their distribution function.

Under a correct posterior the rank of the truth among L draws is uniform on 0, ..., L, and the count
of ranks up to each value is binomial. The statistic is the smallest two-sided tail probability over
the L values (Säilynoja, Bürkner and Vehtari 2022); its p-value is one minus the probability that
all counts are within the band with that tail. ArviZ simulates that band, which is too slow at the
levels needed here (1e-6).
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom


def smallest_tail(counts: np.ndarray) -> np.ndarray:
    """Smallest two-sided tail probability of each row of counts by rank."""
    counts = np.atleast_2d(counts)
    below = counts.cumsum(axis=1)[:, :-1]
    return _two_sided(below, counts.sum(axis=1)[:, None], _shares(counts.shape[1])).min(axis=1)


def p_value(counts: np.ndarray) -> float:
    """Probability of a smallest tail at most that of these counts by rank, if uniform."""
    return 1.0 - _stays_inside(
        float(smallest_tail(counts)[0]), int(np.sum(counts)), _shares(len(counts))
    )


def below(counts: np.ndarray, level: float) -> np.ndarray:
    """Whether the p-value of each row of counts by rank is below a level.

    The p-value is at least half the smallest tail, so that few rows need the recursion.
    """
    suspect = smallest_tail(counts) / 2 < level
    suspect[suspect] = [p_value(row) < level for row in counts[suspect]]
    return suspect


def _shares(values: int) -> np.ndarray:
    return np.arange(1, values) / values


def _two_sided(count: np.ndarray, n: np.ndarray | int, share: np.ndarray | float) -> np.ndarray:
    return np.minimum(
        1.0, 2 * np.minimum(binom.cdf(count, n, share), binom.sf(count - 1, n, share))
    )


def _stays_inside(tail: float, n: int, shares: np.ndarray) -> float:
    """Probability that no cumulative count has a tail probability of at most ``tail``."""
    at, probability, before = np.array([0]), np.array([1.0]), 0.0
    every = np.arange(n + 1)
    for share in shares:
        # A count equal to the observed one is outside, whatever the rounding.
        following = every[_two_sided(every, n, share) > tail * (1 + 1e-9)]
        if not len(following):
            return 0.0
        step = (share - before) / (1 - before)
        moves = binom.pmf(following[None, :] - at[:, None], n - at[:, None], step)
        at, probability, before = following, probability @ moves, share
    return float(probability.sum())
