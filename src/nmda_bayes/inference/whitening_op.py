"""The way from standardised effects to themselves as one operation of a graph.

One pass over the arms and the studies in compiled code, forwards and backwards, instead of some
thirty operations of the graph and an array for what is between each two of them.
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

from nmda_bayes.inference import conditional_normal

Array = np.ndarray
#: What has a gradient comes first: c, a, g, f and the three that are standardised.
MOVING = 7
STANDARDISED = slice(4, MOVING)
KNOWN = 6


def whitening(*inputs: Any) -> list[Any]:
    """Map standardised effects to themselves, given all else.

    Parameters
    ----------
    *inputs
        In order: the linear predictor of each arm without any of them; what an arm's effect, a
        baseline and each shared variable is multiplied by in it (the last with a row a variable);
        standardised shared elements, baselines and effects of arms; the place of each arm's study,
        and of the element of each shared variable that it reads; the estimate of each arm's linear
        predictor and its information; the prior mean and precision of the baselines, and of the
        shared elements (a column each).

    Returns
    -------
    list[Any]
        Shared elements, baselines, effects of arms; and the logarithms of their derivatives by the
        standardised, or what has the same sum.
    """
    moved: list[Any] = _Whitening()(*map(pt.as_tensor, inputs))
    return moved


class _Whitening(Op):  # type: ignore[misc]
    """`conditional_normal.forward` in a graph."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        made = [v.type() for v in inputs[STANDARDISED]]
        return Apply(self, list(inputs), [*made, *(v.type() for v in inputs[STANDARDISED])])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        return [*shapes[STANDARDISED], *shapes[STANDARDISED]]

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        for storage, value in zip(outputs, conditional_normal.forward(*inputs), strict=True):
            storage[0] = value

    def pullback(self, inputs: list[Any], outputs: list[Any], cotangents: list[Any]) -> list[Any]:
        known = [
            pt.zeros_like(out) if isinstance(by.type, DisconnectedType) else by
            for out, by in zip(outputs, cotangents, strict=True)
        ]
        back = _WhiteningBack()(*inputs, *known)
        return [*back, *[disconnected_type() for _ in range(KNOWN)]]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True] * 6] * MOVING + [[False] * 6] * KNOWN


class _WhiteningBack(Op):  # type: ignore[misc]
    """`conditional_normal.backward` in a graph."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, list(inputs), [v.type() for v in inputs[:MOVING]])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        return shapes[:MOVING]

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        for storage, value in zip(outputs, conditional_normal.backward(*inputs), strict=True):
            storage[0] = value


#: Compiled code is kept on disk by operation; without this an edited formula would be answered by
#: the code of the old one.
_VERSION = int(hashlib.sha256(inspect.getsource(conditional_normal).encode()).hexdigest()[:15], 16)


@register_funcify_default_op_cache_key(_Whitening)  # type: ignore[untyped-decorator]
def _compiled_forward(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    return numba_njit(conditional_normal.forward, error_model="numpy"), _VERSION


@register_funcify_default_op_cache_key(_WhiteningBack)  # type: ignore[untyped-decorator]
def _compiled_backward(op: Op, node: Apply, **kwargs: Any) -> tuple[Callable[..., Any], int]:
    return numba_njit(conditional_normal.backward, error_model="numpy"), _VERSION
