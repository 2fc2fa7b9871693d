"""The log of the sum over a trial's tables: value, gradient and compiled version."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from nmda_bayes.components.hypergeometric import log_partition, log_sum_and_mean
from nmda_bayes.model import PY_MODE

#: Two trials in three chunks, two of them of the second trial; the last has a padded table.
TRIAL = np.array([0, 1, 1])
EVENTS = np.array([[[2, 0], [1, 1], [0, 2]], [[5, 0], [4, 1], [3, 2]], [[2, 3], [1, 4], [0, 0]]])
LOG_COUNT = np.log([[3.0, 8.0, 1.0], [1.0, 20.0, 9.0], [7.0, 2.0, np.finfo(float).tiny]])
LOG_COUNT[2, 2] = -np.inf
AT = np.array([[0.3, -1.2], [0.0, 2.5]])


def by_hand(effects: np.ndarray) -> np.ndarray:
    every = LOG_COUNT + (EVENTS * effects[TRIAL][:, None, :]).sum(axis=2)
    return np.array([logsumexp(every[t == TRIAL]) for t in (0, 1)])


def test_log_partition_by_hand():
    effects = pt.matrix()
    value = log_partition(effects, LOG_COUNT, EVENTS.astype(float), TRIAL).eval(
        {effects: AT}, mode=PY_MODE
    )
    assert value.shape == (2,)
    assert_allclose(value, by_hand(AT), rtol=1e-13)


def test_gradient_of_log_partition():
    effects, weights = pt.matrix(), np.array([0.7, -1.3])
    total = (log_partition(effects, LOG_COUNT, EVENTS.astype(float), TRIAL) * weights).sum()
    gradient = pt.grad(total, effects).eval({effects: AT}, mode=PY_MODE)
    for at in np.ndindex(AT.shape):
        step = np.zeros_like(AT)
        step[at] = 1e-6
        slope = (by_hand(AT + step) - by_hand(AT - step)) @ weights / 2e-6
        assert_allclose(gradient[at], slope, rtol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_numba_version_equals_op(scale: float):
    """With a scale of 400 some weights underflow."""
    arguments = (scale * AT, LOG_COUNT, EVENTS.astype(float), TRIAL)
    log_sum, mean = log_sum_and_mean(*arguments)
    assert_allclose(log_sum, by_hand(scale * AT), rtol=1e-13)
    effects = pt.matrix()
    numbers = [pt.constant(number) for number in arguments[1:]]
    both = pt.grad(log_partition(effects, *numbers).sum(), effects)
    assert_allclose(mean, both.eval({effects: scale * AT}, mode=PY_MODE), rtol=1e-13)


def test_vectorised_over_draws():
    effects = pt.tensor3()
    single = pt.matrix()
    graph = log_partition(single, LOG_COUNT, EVENTS.astype(float), TRIAL)
    many = pytensor.graph.replace.vectorize_graph(graph, {single: effects})
    draws = np.stack([AT, 0.5 * AT, -AT])
    values = many.eval({effects: draws}, mode=PY_MODE)
    assert_allclose(values, [by_hand(draw) for draw in draws], rtol=1e-13)
