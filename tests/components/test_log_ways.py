"""The sum over all ways of a trial's events: one operation, forwards, backwards and compiled."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from nmda_bayes.components.likelihoods.log_ways import _compiled, log_ways
from nmda_bayes.model import CHEAP

#: Two trials of three pieces, the second of two; a piece of three ways has one that is none.
TRIAL = np.array([0, 1, 1])
EVENTS = np.array([[[2, 0], [1, 1], [0, 2]], [[5, 0], [4, 1], [3, 2]], [[2, 3], [1, 4], [0, 0]]])
LOG_COUNT = np.log([[3.0, 8.0, 1.0], [1.0, 20.0, 9.0], [7.0, 2.0, np.finfo(float).tiny]])
LOG_COUNT[2, 2] = -np.inf
AT = np.array([[0.3, -1.2], [0.0, 2.5]])


def by_hand(effects: np.ndarray) -> np.ndarray:
    every = LOG_COUNT + (EVENTS * effects[TRIAL][:, None, :]).sum(axis=2)
    return np.array([logsumexp(every[t == TRIAL]) for t in (0, 1)])


def test_is_the_log_of_the_sum():
    effects = pt.matrix()
    found = log_ways(effects, LOG_COUNT, EVENTS.astype(float), TRIAL).eval({effects: AT}, **CHEAP)
    assert found.shape == (2,)
    assert_allclose(found, by_hand(AT), rtol=1e-13)


def test_the_gradient_is_that_of_the_sum():
    effects, weights = pt.matrix(), np.array([0.7, -1.3])
    total = (log_ways(effects, LOG_COUNT, EVENTS.astype(float), TRIAL) * weights).sum()
    found = pt.grad(total, effects).eval({effects: AT}, **CHEAP)
    for at in np.ndindex(AT.shape):
        step = np.zeros_like(AT)
        step[at] = 1e-6
        slope = (by_hand(AT + step) - by_hand(AT - step)) @ weights / 2e-6
        assert_allclose(found[at], slope, rtol=1e-7)


@pytest.mark.parametrize("scale", [1.0, 400.0])
def test_compiled_it_is_the_same(scale: float):
    """By 400 some weights are 0: exp(-1000)."""
    given = (scale * AT, LOG_COUNT, EVENTS.astype(float), TRIAL)
    log_sum, mean = _compiled(*given)
    assert_allclose(log_sum, by_hand(scale * AT), rtol=1e-13)
    effects = pt.matrix()
    numbers = [pt.constant(one) for one in given[1:]]
    both = pt.grad(log_ways(effects, *numbers).sum(), effects)
    assert_allclose(mean, both.eval({effects: scale * AT}, **CHEAP), rtol=1e-13)


def test_over_many_draws_at_once():
    effects = pt.tensor3()
    one = pt.matrix()
    graph = log_ways(one, LOG_COUNT, EVENTS.astype(float), TRIAL)
    many = pytensor.graph.replace.vectorize_graph(graph, {one: effects})
    draws = np.stack([AT, 0.5 * AT, -AT])
    found = many.eval({effects: draws}, **CHEAP)
    assert_allclose(found, [by_hand(draw) for draw in draws], rtol=1e-13)
