"""Baselines and effects of arms from standardised ones, and the way back of the gradient.

One pass over the arms and the studies in compiled code, forwards and backwards, instead of some
thirty operations of the graph and an array for what is between each two of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch.basic import numba_njit, register_funcify_default_op_cache_key

Array = np.ndarray


def conditional_normal(*inputs: Any) -> list[Any]:
    """Map standardised baselines and effects of arms to themselves, given all else.

    Parameters
    ----------
    *inputs
        In order: the linear predictor without either; what an arm's effect and a baseline is
        multiplied by in it; standardised baselines, standardised effects; the place of each arm's
        study; the estimate of each arm's linear predictor and its information; the prior mean and
        precision of the baselines. Vectors over arms, but baselines over studies.

    Returns
    -------
    list[Any]
        Baselines, effects of arms, and the logarithms of their derivatives by the standardised.
    """
    moved: list[Any] = _ConditionalNormal()(*map(pt.as_tensor, inputs))
    return moved


def _forward(
    c: Array, a: Array, g: Array, z_b: Array, z_o: Array,
    study: Array, h: Array, information: Array, prior: Array,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Moments of a normal model with independent arms in each study."""
    b, log_b = np.empty_like(z_b), np.empty_like(z_b)
    o, log_o = np.empty_like(z_o), np.empty_like(z_o)
    precision = np.full(len(b), prior[1])
    total = np.full(len(b), prior[0] * prior[1])
    for i in range(len(c)):
        w = information[i] / (1.0 + a[i] ** 2 * information[i])
        precision[study[i]] += g[i] ** 2 * w
        total[study[i]] += g[i] * w * (h[i] - c[i])
    for s in range(len(b)):
        b[s] = total[s] / precision[s] + z_b[s] / np.sqrt(precision[s])
        log_b[s] = -0.5 * np.log(precision[s])
    for i in range(len(c)):
        k = 1.0 + a[i] ** 2 * information[i]
        left = h[i] - c[i] - g[i] * b[study[i]]
        o[i] = left * a[i] * information[i] / k + z_o[i] / np.sqrt(k)
        log_o[i] = -0.5 * np.log(k)
    return b, o, log_b, log_o


def _backward(
    c: Array, a: Array, g: Array, z_b: Array, z_o: Array,
    study: Array, h: Array, information: Array, prior: Array,
    by_b: Array, by_o: Array, by_log_b: Array, by_log_o: Array,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Derivatives by c, a, g, z_b and z_o of what has these derivatives by the four outputs."""
    shrink, w, b = np.empty_like(c), np.empty_like(c), np.empty_like(c)
    d_total, d_precision = np.empty_like(c), np.empty_like(c)
    of_precision = np.full(len(z_b), prior[1])
    of_total = np.full(len(z_b), prior[0] * prior[1])
    d_b, d_zb = by_b.copy(), np.empty_like(z_b)
    for i in range(len(c)):
        s = study[i]
        shrink[i] = 1.0 / (1.0 + a[i] * a[i] * information[i])
        w[i] = information[i] * shrink[i]
        of_precision[s] += g[i] * g[i] * w[i]
        of_total[s] += g[i] * w[i] * (h[i] - c[i])
        d_b[s] -= by_o[i] * a[i] * w[i] * g[i]
    for s in range(len(z_b)):
        variance = 1.0 / of_precision[s]
        root, mean = np.sqrt(variance), of_total[s] * variance
        d_zb[s] = d_b[s] * root
        of_total[s] = mean + z_b[s] * root  # from here on the baseline itself
        bent = d_b[s] * (0.5 * z_b[s] * root + mean) + 0.5 * by_log_b[s]
        of_precision[s] = -variance * bent  # and the derivative by the precision
        d_b[s] *= variance  # and that by the total
    for i in range(len(c)):
        s = study[i]
        b[i], d_total[i], d_precision[i] = of_total[s], d_b[s], of_precision[s]
    d_c, d_a, d_g, d_zo = np.empty_like(c), np.empty_like(a), np.empty_like(g), np.empty_like(z_o)
    for i in range(len(c)):
        left, root = h[i] - c[i], np.sqrt(shrink[i])
        rest = left - g[i] * b[i]
        d_rest = by_o[i] * a[i] * w[i]
        d_w = by_o[i] * rest * a[i] + (d_total[i] * left + d_precision[i] * g[i]) * g[i]
        d_k = -shrink[i] * (0.5 * (by_o[i] * z_o[i] * root + by_log_o[i]) + d_w * w[i])
        d_c[i] = -d_rest - d_total[i] * g[i] * w[i]
        d_g[i] = -d_rest * b[i] + (d_total[i] * left + 2.0 * d_precision[i] * g[i]) * w[i]
        d_a[i] = by_o[i] * rest * w[i] + 2.0 * d_k * a[i] * information[i]
        d_zo[i] = by_o[i] * root
    return d_c, d_a, d_g, d_zb, d_zo


class _ConditionalNormal(Op):  # type: ignore[misc]
    """`_forward` in a graph."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        z_b, z_o = inputs[3], inputs[4]
        return Apply(self, list(inputs), [z_b.type(), z_o.type(), z_b.type(), z_o.type()])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        return [shapes[3], shapes[4], shapes[3], shapes[4]]

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        for storage, value in zip(outputs, _forward(*inputs), strict=True):
            storage[0] = value

    def pullback(self, inputs: list[Any], outputs: list[Any], cotangents: list[Any]) -> list[Any]:
        known = [
            pt.zeros_like(out) if isinstance(by.type, DisconnectedType) else by
            for out, by in zip(outputs, cotangents, strict=True)
        ]
        return [
            *_ConditionalNormalBack()(*inputs, *known),
            *[disconnected_type() for _ in range(4)],
        ]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True] * 4] * 5 + [[False] * 4] * 4


class _ConditionalNormalBack(Op):  # type: ignore[misc]
    """`_backward` in a graph."""

    __props__ = ()

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, list(inputs), [v.type() for v in inputs[:5]])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        return shapes[:5]

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        for storage, value in zip(outputs, _backward(*inputs), strict=True):
            storage[0] = value


@register_funcify_default_op_cache_key(_ConditionalNormal)  # type: ignore[untyped-decorator]
def _compiled_forward(op: Op, node: Apply, **kwargs: Any) -> Callable[..., Any]:
    return numba_njit(_forward, error_model="numpy")


@register_funcify_default_op_cache_key(_ConditionalNormalBack)  # type: ignore[untyped-decorator]
def _compiled_backward(op: Op, node: Apply, **kwargs: Any) -> Callable[..., Any]:
    return numba_njit(_backward, error_model="numpy")
