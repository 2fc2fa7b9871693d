"""The logarithm of a sum over all ways of a trial's events, as one operation of a graph.

Its derivative is the mean number of events of each arm over the ways, which the sum gives on its
way: one exponential a way serves both. Written out in the graph every way had an array for each of
some twenty operations, forwards and backwards.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

Array = np.ndarray


def log_ways(effects: Any, log_count: Any, events: Any, trial: Any) -> Any:
    """Sum the weights of all ways in which the events of trials may fall on their arms.

    Parameters
    ----------
    effects
        Linear predictor of each trial's arms, dims study and slot.
    log_count
        Log of how many ways of picking people make each way, dims piece and way; minus infinity for
        none.
    events
        Events by slot, dims piece, way and slot.
    trial
        Place of each piece's trial.

    Returns
    -------
    Any
        Log of the sum of exp(log_count + events · effects), dim study.
    """
    given = [pt.as_tensor(one) for one in (effects, log_count, events, trial)]
    return _LogWays()(*given)[0]


def every_way(effects: Array, log_count: Array, events: Array, trial: Array) -> Array:
    """Give the log weight of every way.

    Parameters
    ----------
    effects, log_count, events, trial
        Numbers, as `log_ways` takes them.

    Returns
    -------
    np.ndarray
        log_count + events · effects, dims piece and way.
    """
    found: Array = log_count + (events * effects[trial][:, None, :]).sum(axis=-1)
    return found


class _LogWays(Op):  # type: ignore[misc]
    """The log of the sum, and the mean number of events of each arm."""

    __props__ = ()
    gufunc_signature = "(s,k),(p,w),(p,w,k),(p)->(s),(s,k)"

    def make_node(self, *inputs: Any) -> Apply:
        effects = inputs[0]
        size = effects.type.shape[0]
        made = [pt.vector(dtype=effects.dtype, shape=(size,)), effects.type()]
        return Apply(self, list(inputs), made)

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        return [shapes[0][:1], shapes[0]]

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        effects, _, events, trial = inputs
        every = every_way(*inputs)
        top = np.full(len(effects), -np.inf)
        np.maximum.at(top, trial, every.max(axis=1))
        weight = np.exp(every - top[trial][:, None])
        total = np.bincount(trial, weight.sum(axis=1), len(effects))
        mean = np.zeros_like(effects)
        np.add.at(mean, trial, (weight[..., None] * events).sum(axis=1))
        outputs[0][0], outputs[1][0] = top + np.log(total), mean / total[:, None]

    def pullback(self, inputs: list[Any], outputs: list[Any], cotangents: list[Any]) -> list[Any]:
        of_sum, of_mean = cotangents
        if not isinstance(of_mean.type, DisconnectedType):
            raise NotImplementedError("the mean number of events has no derivative here")
        return [of_sum[:, None] * outputs[1], *[disconnected_type() for _ in inputs[1:]]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True, True], *[[False, False] for _ in node.inputs[1:]]]


def _compiled(effects: Array, log_count: Array, events: Array, trial: Array) -> tuple[Array, Array]:
    """What `_LogWays.perform` does, in two passes over the ways and without arrays between."""
    studies, slots = effects.shape
    pieces, ways = log_count.shape
    every = np.empty((pieces, ways))
    top = np.full(studies, -np.inf)
    for i in range(pieces):
        at = trial[i]
        for j in range(ways):
            x = log_count[i, j]
            for k in range(slots):
                x += events[i, j, k] * effects[at, k]
            every[i, j] = x
            top[at] = max(top[at], x)
    total, mean = np.zeros(studies), np.zeros((studies, slots))
    for i in range(pieces):
        at = trial[i]
        for j in range(ways):
            weight = np.exp(every[i, j] - top[at])
            total[at] += weight
            for k in range(slots):
                mean[at, k] += weight * events[i, j, k]
    return top + np.log(total), mean / total.reshape(-1, 1)


#: Compiled code is kept on disk by operation; without this an edited formula would be answered by
#: the code of the old one.
_VERSION = int(hashlib.sha256(inspect.getsource(_compiled).encode()).hexdigest()[:15], 16)


@register_funcify_default_op_cache_key(_LogWays)  # type: ignore[untyped-decorator]
def _in_numba(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    return numba_njit(_compiled, error_model="numpy"), _VERSION
