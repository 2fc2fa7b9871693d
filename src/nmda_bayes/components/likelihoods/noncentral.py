"""The noncentral hypergeometric distribution of many trials at once, for PyMC.

A class of its own rather than `pymc.CustomDist`, which makes a new kind of variable at every call:
two graphs of one model would then never be the same, and nothing compiled could be used again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor.tensor as pt
from pymc.distributions.distribution import Discrete
from pymc.distributions.shape_utils import rv_size_is_none
from pytensor.tensor.random.op import RandomVariable

from nmda_bayes.components.likelihoods.log_ways import every_way, log_ways

#: Dims of log_count, events, trial, arm, held and study; PyTensor puts the arms' dim before them.
DIMS = (2, 3, 1, 2, 2, 1)


def _bare(ways: tuple[Any, ...]) -> list[Any]:
    """Take off what PyTensor puts before the dims of parameters that all arms have in common."""
    return [one[(0,) * (one.ndim - dims)] for one, dims in zip(ways, DIMS, strict=True)]


class NoncentralHypergeometricRV(RandomVariable):  # type: ignore[misc]
    """Events of every arm, the total of each trial as it is."""

    name = "noncentral_hypergeometric"
    # Linear predictor and people of the arms; ways by piece, and by arm of the trial; the trial of
    # each piece; where a trial's arms stand among all, which of its slots has one, and the trial of
    # each arm.
    signature = "(),(),(p,w),(p,w,k),(p),(s,k),(s,k),(a)->()"
    dtype = "int64"
    _print_name = ("NoncentralHypergeometric", r"\operatorname{NoncentralHypergeometric}")
    one_draw_a_call = True

    @classmethod
    def rng_fn(cls, rng: np.random.Generator, eta: Any, n: Any, *ways_and_size: Any) -> np.ndarray:
        """Draw which of its ways each trial goes, each as likely as its weight says."""
        log_count, events, trial, arm, held, _ = _bare(ways_and_size[:-1])
        by_slot = (eta[arm] - eta[arm[:, :1]]) * held
        every = every_way(by_slot, log_count, events, trial)
        drawn = np.zeros(eta.shape, dtype=np.int64)
        for row, share in enumerate(rng.random(len(arm))):
            mine = every[trial == row].ravel()
            below = np.cumsum(np.exp(mine - mine.max()))
            chosen = events[trial == row].reshape(len(mine), -1)[(below <= share * below[-1]).sum()]
            drawn[arm[row, held[row] > 0]] = chosen[held[row] > 0]
        return drawn


noncentral_hypergeometric = NoncentralHypergeometricRV()


class NoncentralHypergeometric(Discrete):  # type: ignore[misc]
    """Counts of arms given their trials' totals; each arm has a share of its trial's density."""

    rv_op = noncentral_hypergeometric

    @classmethod
    def dist(cls, eta: Any, n: Any, *ways: Any, **more: Any) -> Any:
        """Make the variable; ``ways`` as `nmda_bayes.components.likelihoods.conditional` has it."""
        given = [pt.as_tensor_variable(one) for one in (eta, n, *ways)]
        return super().dist(given, **more)

    @staticmethod
    def support_point(rv: Any, size: Any, eta: Any, n: Any, *ways: Any) -> Any:
        """Nobody has the event."""
        point = pt.zeros_like(eta, dtype="int64")
        return point if rv_size_is_none(size) else pt.full(size, point)

    @staticmethod
    def logp(value: Any, eta: Any, n: Any, *ways: Any) -> Any:
        """Log density over the arms, an equal share of its trial's on each."""
        log_count, events, trial, arm, held, study = _bare(ways)
        # Against the trial's first arm: a level that all arms have would cancel with large terms.
        by_slot = (eta[arm] - eta[arm[:, :1]]) * held
        chosen, people = value[arm] * held, n[arm] * held
        count = pt.gammaln(people + 1) - pt.gammaln(chosen + 1) - pt.gammaln(people - chosen + 1)
        log_sum = log_ways(by_slot, log_count, events, trial)
        of_study = (count + chosen * by_slot).sum(axis=1) - log_sum
        return (of_study / held.sum(axis=1))[study]
