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

#: Dims of log_count, events, arm, held and study; PyTensor puts the arms' dim before them.
DIMS = (2, 3, 2, 2, 1)


def _bare(ways: tuple[Any, ...]) -> list[Any]:
    """Take off what PyTensor puts before the dims of parameters that all arms have in common."""
    return [one[(0,) * (one.ndim - dims)] for one, dims in zip(ways, DIMS, strict=True)]


class NoncentralHypergeometricRV(RandomVariable):  # type: ignore[misc]
    """Events of every arm, the total of each trial as it is."""

    name = "noncentral_hypergeometric"
    # Linear predictor and people of the arms; ways by trial, and by arm of the trial; where a
    # trial's arms stand among all, which of its slots has one, and the trial of each arm.
    signature = "(),(),(s,w),(s,w,k),(s,k),(s,k),(a)->()"
    dtype = "int64"
    _print_name = ("NoncentralHypergeometric", r"\operatorname{NoncentralHypergeometric}")

    @classmethod
    def rng_fn(cls, rng: np.random.Generator, eta: Any, n: Any, *ways_and_size: Any) -> np.ndarray:
        """Draw which of its ways each trial goes, each as likely as its weight says."""
        log_count, events, arm, held, _ = _bare(ways_and_size[:-1])
        by_slot = (eta[arm] - eta[arm[:, :1]]) * held
        every = log_count + (events * by_slot[:, None, :]).sum(axis=-1)
        below = np.cumsum(np.exp(every - every.max(axis=1, keepdims=True)), axis=1)
        share = rng.random(len(below)) * below[:, -1]
        chosen = events[np.arange(len(below)), (below <= share[:, None]).sum(axis=1)]
        drawn = np.zeros(eta.shape, dtype=np.int64)
        drawn[arm[held > 0]] = chosen[held > 0]
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
        log_count, events, arm, held, study = _bare(ways)
        # Against the trial's first arm: a level that all arms have would cancel with large terms.
        by_slot = (eta[arm] - eta[arm[:, :1]]) * held
        chosen, people = value[arm] * held, n[arm] * held
        count = pt.gammaln(people + 1) - pt.gammaln(chosen + 1) - pt.gammaln(people - chosen + 1)
        every = log_count + (events * by_slot[:, None, :]).sum(axis=-1)
        top = every.max(axis=1)
        log_sum = top + pt.log(pt.exp(every - top[:, None]).sum(axis=1))
        of_study = (count + chosen * by_slot).sum(axis=1) - log_sum
        return (of_study / held.sum(axis=1))[study]
