"""The noncentral hypergeometric distribution of many trials at once, for PyMC.

    p(events of a trial | total) = w(events) / Σ_tables w(table),  w(e) = Π_arm C(n, e) exp(e · eta)

The log of the sum over tables (all ways to distribute a trial's events over its arms) is one graph
operation. Its gradient is the mean number of events of each arm over the tables, a by-product of
the sum; written out in the graph, each table would have an array for each of some twenty
operations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.shape_utils import rv_size_is_none
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph import Apply, Op
from pytensor.tensor.random.op import RandomVariable

Array = np.ndarray


def log_partition(effects: Any, log_count: Any, events: Any, trial: Any) -> Any:
    """Log of the sum of the weights of all tables of each trial."""
    return LogPartition()(*map(pt.as_tensor, (effects, log_count, events, trial)))[0]


def log_table_weights(effects: Array, log_count: Array, events: Array, trial: Array) -> Array:
    """Log weight of each table, dims chunk and table."""
    return np.asarray(log_count + (events * effects[trial][:, None, :]).sum(axis=-1))


class LogPartition(Op):  # type: ignore[misc]
    """The log of the sum over tables, and the mean number of events of each arm."""

    __props__ = ()
    gufunc_signature = "(s,k),(p,w),(p,w,k),(p)->(s),(s,k)"

    def make_node(self, *inputs: Any) -> Apply:
        """Types of the outputs."""
        effects = inputs[0]
        log_sum = pt.vector(dtype=effects.dtype, shape=(effects.type.shape[0],))
        return Apply(self, list(inputs), [log_sum, effects.type()])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        """Shapes of the outputs."""
        return [shapes[0][:1], shapes[0]]

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        """Evaluate both outputs."""
        effects, _, events, trial = inputs
        log_weights = log_table_weights(*inputs)
        largest = np.full(len(effects), -np.inf)
        np.maximum.at(largest, trial, log_weights.max(axis=1))
        weight = np.exp(log_weights - largest[trial][:, None])
        total = np.bincount(trial, weight.sum(axis=1), len(effects))
        mean = np.zeros_like(effects)
        np.add.at(mean, trial, (weight[..., None] * events).sum(axis=1))
        outputs[0][0], outputs[1][0] = largest + np.log(total), mean / total[:, None]

    def pullback(self, inputs: list[Any], outputs: list[Any], cotangents: list[Any]) -> list[Any]:
        """Gradient of the log sum: the mean number of events."""
        of_sum, of_mean = cotangents
        if not isinstance(of_mean.type, DisconnectedType):
            raise NotImplementedError("the mean number of events has no derivative")
        return [of_sum[:, None] * outputs[1], *[disconnected_type() for _ in inputs[1:]]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Only the effects have gradients."""
        return [[True, True], *[[False, False] for _ in node.inputs[1:]]]


def log_sum_and_mean(
    effects: Array, log_count: Array, events: Array, trial: Array
) -> tuple[Array, Array]:
    """`LogPartition.perform` in two passes without intermediate arrays, for numba."""
    studies, slots = effects.shape
    chunks, tables = log_count.shape
    log_weights = np.empty((chunks, tables))
    largest = np.full(studies, -np.inf)
    for i in range(chunks):
        study = trial[i]
        for j in range(tables):
            x = log_count[i, j]
            for k in range(slots):
                x += events[i, j, k] * effects[study, k]
            log_weights[i, j] = x
            largest[study] = max(largest[study], x)
    total, mean = np.zeros(studies), np.zeros((studies, slots))
    for i in range(chunks):
        study = trial[i]
        for j in range(tables):
            weight = np.exp(log_weights[i, j] - largest[study])
            total[study] += weight
            for k in range(slots):
                mean[study, k] += weight * events[i, j, k]
    return largest + np.log(total), mean / total.reshape(-1, 1)


#: Dims of log_count, events, trial, arm, slot_mask and study.
PARAMETER_NDIMS = (2, 3, 1, 2, 2, 1)


def _without_batch_dims(tables: tuple[Any, ...]) -> list[Any]:
    """Remove the dims that PyTensor puts before parameters which all arms have in common."""
    return [
        parameter[(0,) * (parameter.ndim - ndim)]
        for parameter, ndim in zip(tables, PARAMETER_NDIMS, strict=True)
    ]


class NoncentralHypergeometricRV(RandomVariable):  # type: ignore[misc]
    """Events of every arm, given the total of each trial."""

    name = "noncentral_hypergeometric"
    # eta and n of the arms; log_count and events by chunk of tables; the trial of each chunk; the
    # arm in each slot of a trial, whether the slot has one, and the trial of each arm.
    signature = "(),(),(p,w),(p,w,k),(p),(s,k),(s,k),(a)->()"
    dtype = "int64"
    _print_name = ("NoncentralHypergeometric", r"\operatorname{NoncentralHypergeometric}")
    one_draw_a_call = True

    @classmethod
    def rng_fn(
        cls, rng: np.random.Generator, eta: Any, n: Any, *tables_and_size: Any
    ) -> np.ndarray:
        """Draw a table for each trial, in proportion to its weight."""
        log_count, events, trial, arm, slot_mask, _ = _without_batch_dims(tables_and_size[:-1])
        by_slot = (eta[arm] - eta[arm[:, :1]]) * slot_mask
        log_weights = log_table_weights(by_slot, log_count, events, trial)
        drawn = np.zeros(eta.shape, dtype=np.int64)
        for row, uniform in enumerate(rng.random(len(arm))):
            log_weight, slots = log_weights[trial == row].ravel(), slot_mask[row] > 0
            cumulative = np.cumsum(np.exp(log_weight - log_weight.max()))
            table = (cumulative <= uniform * cumulative[-1]).sum()
            drawn[arm[row, slots]] = events[trial == row].reshape(len(log_weight), -1)[table][slots]
        return drawn


noncentral_hypergeometric = NoncentralHypergeometricRV()


class NoncentralHypergeometric(pm.Discrete):  # type: ignore[misc]
    """Event counts given their trials' totals; each arm has an equal share of the log density."""

    rv_op = noncentral_hypergeometric

    @classmethod
    def dist(cls, eta: Any, n: Any, *tables: Any, **kwargs: Any) -> Any:
        """Make the variable; ``tables`` as in `nmda_bayes.components.likelihoods.MarginTables`."""
        return super().dist(list(map(pt.as_tensor_variable, (eta, n, *tables))), **kwargs)

    @staticmethod
    def support_point(rv: Any, size: Any, eta: Any, n: Any, *tables: Any) -> Any:
        """No events."""
        point = pt.zeros_like(eta, dtype="int64")
        return point if rv_size_is_none(size) else pt.full(size, point)

    @staticmethod
    def logp(value: Any, eta: Any, n: Any, *tables: Any) -> Any:
        """Log density over the arms, an equal share of its trial's for each."""
        log_count, events, trial, arm, slot_mask, study = _without_batch_dims(tables)
        # Relative to the trial's first arm, so that a common level does not cancel large terms.
        by_slot = (eta[arm] - eta[arm[:, :1]]) * slot_mask
        observed, people = value[arm] * slot_mask, n[arm] * slot_mask
        count = (
            pt.gammaln(people + 1) - pt.gammaln(observed + 1) - pt.gammaln(people - observed + 1)
        )
        log_sum = log_partition(by_slot, log_count, events, trial)
        of_study = (count + observed * by_slot).sum(axis=1) - log_sum
        return (of_study / slot_mask.sum(axis=1))[study]
