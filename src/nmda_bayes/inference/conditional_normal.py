"""Conditional moments of shared effects, baselines and arm effects, and their gradients.

In the normal working model

    h[arm] ~ Normal(eta[arm], 1 / information[arm])
    eta[arm] = c[arm] + sum f[m, arm] u[element[m, arm]] + g[arm] b[study] + a[arm] z[arm]

the shared u given c, a, g and f are normal with baselines b and arm effects z integrated out; so
are b given u, and z given both. Loops for numba over arms, studies and the few elements of u: no
array has size studies times arms. In a graph the map is one operation: dozens would be slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytensor.tensor as pt
from numba.extending import register_jitable
from pytensor.gradient import DisconnectedType, disconnected_type
from pytensor.graph import Apply, Op

Array = np.ndarray
Arrays = tuple[Array, ...]
#: Of the inputs of `forward`, the first seven have gradients, and three of those are standardised.
N_DIFFERENTIABLE = 7
STANDARDISED = slice(4, N_DIFFERENTIABLE)
N_CONSTANT = 6


class Arms(NamedTuple):
    """Coefficients of the arms; ``w`` is their information with z integrated out."""

    a: Array
    g: Array
    f: Array
    w: Array
    study: Array
    element: Array
    information: Array


def forward(*inputs: Array) -> Arrays:
    """Map standardised u, b and z to themselves; also the log derivative of each.

    Inputs: c, a, g, f, the three standardised, study, element, h, information, and the prior of b
    and of u (mean and precision).
    """
    c, a, g, f, z_u, z_b, z_o, study, element, h, information, prior_b, prior_u = inputs
    arms = Arms(a, g, f, information / (1.0 + a * a * information), study, element, information)
    u, log_u = np.empty_like(z_u), np.empty_like(z_u)
    b, log_b = np.empty_like(z_b), np.empty_like(z_b)
    z, log_z = np.empty_like(z_o), np.empty_like(z_o)
    residual = h - c
    precision, total = _baseline_moments(arms, residual, prior_b, len(b))
    if len(u) > 0:
        p, u, _ = _shared_moments(arms, residual, prior_u, precision, total)
        factor = _cholesky(p)
        _solve(factor, u)
        u += z_u
        _solve_transposed(factor, u)
        for k in range(len(u)):
            log_u[k] = -np.log(factor[k, k])
        residual -= _shared_effect(arms, u)
        precision, total = _baseline_moments(arms, residual, prior_b, len(b))
    for s in range(len(b)):
        b[s] = total[s] / precision[s] + z_b[s] / np.sqrt(precision[s])
        log_b[s] = -0.5 * np.log(precision[s])
    for i in range(len(c)):
        k = 1.0 + a[i] * a[i] * information[i]
        z[i] = (residual[i] - g[i] * b[study[i]]) * a[i] * arms.w[i] + z_o[i] / np.sqrt(k)
        log_z[i] = -0.5 * np.log(k)
    return u, b, z, log_u, log_b, log_z


def backward(*inputs: Array) -> Arrays:
    """Gradients by c, a, g, f and the three standardised, given those by the outputs of `forward`.

    Inputs: those of `forward`, then the six gradients.
    """
    c, a, g, f, z_u, z_b, z_o, study, element, h, information, prior_b, prior_u = inputs[:13]
    by_u, by_b, by_z, by_log_u, by_log_b, by_log_z = inputs[13:]
    arms = Arms(a, g, f, information / (1.0 + a * a * information), study, element, information)
    z, by = (z_b, z_o), (by_b, by_z, by_log_b, by_log_z)
    d_f, d_zu = np.zeros_like(f), np.zeros_like(z_u)
    residual = h - c
    precision, total = _baseline_moments(arms, residual, prior_b, len(z_b))
    if len(z_u) == 0:
        d_c, d_a, d_g, d_zb, d_zo = _arm_gradients(arms, residual, z, (precision, total), by)
        return d_c, d_a, d_g, d_f, d_zu, d_zb, d_zo
    p, y, q = _shared_moments(arms, residual, prior_u, precision, total)
    factor = _cholesky(p)
    _solve(factor, y)
    x = y + z_u
    u = x.copy()
    _solve_transposed(factor, u)
    given_u = residual - _shared_effect(arms, u)
    total_given_u = _baseline_moments(arms, given_u, prior_b, len(z_b))[1]
    d_c, d_a, d_g, d_zb, d_zo = _arm_gradients(arms, given_u, z, (precision, total_given_u), by)
    d_zu = by_u.copy()
    for m in range(len(f)):
        for i in range(len(c)):
            d_zu[element[m, i]] += d_c[i] * f[m, i]
            d_f[m, i] = d_c[i] * u[element[m, i]]
    _solve(factor, d_zu)
    d_t = d_zu.copy()
    _solve_transposed(factor, d_t)
    d_p = _factor_gradient(factor, x, y, d_zu, by_log_u)
    _add_moment_gradients(arms, residual, (precision, total), q, (d_p, d_t), (d_c, d_a, d_g, d_f))
    return d_c, d_a, d_g, d_f, d_zu, d_zb, d_zo


@register_jitable
def _cholesky(matrix: Array) -> Array:
    """Lower factor; NaN if the matrix is not positive definite."""
    size = len(matrix)
    factor = np.zeros((size, size))
    for j in range(size):
        for i in range(j, size):
            rest = matrix[i, j]
            for k in range(j):
                rest -= factor[i, k] * factor[j, k]
            factor[i, j] = np.sqrt(rest) if i == j else rest / factor[j, j]
    return factor


@register_jitable
def _solve(factor: Array, x: Array) -> None:
    """Replace x by L⁻¹ x."""
    for i in range(len(x)):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]


@register_jitable
def _solve_transposed(factor: Array, x: Array) -> None:
    """Replace x by L⁻ᵀ x."""
    for i in range(len(x) - 1, -1, -1):
        for k in range(i + 1, len(x)):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]


@register_jitable
def _baseline_moments(arms: Arms, residual: Array, prior: Array, studies: int) -> Arrays:
    """Precision of each baseline, and that times its mean, with z integrated out."""
    precision = np.full(studies, prior[1])
    total = np.full(studies, prior[0] * prior[1])
    for i in range(len(residual)):
        s = arms.study[i]
        precision[s] += arms.g[i] * arms.g[i] * arms.w[i]
        total[s] += arms.g[i] * arms.w[i] * residual[i]
    return precision, total


@register_jitable
def _shared_moments(
    arms: Arms, residual: Array, prior: Array, precision: Array, total: Array
) -> Arrays:
    """Precision of u, that times its mean, and the precision between u and each baseline."""
    f, size, studies = arms.f, prior.shape[1], len(precision)
    p, t, q = np.zeros((size, size)), np.empty(size), np.zeros((studies, size))
    for k in range(size):
        p[k, k], t[k] = prior[1, k], prior[0, k] * prior[1, k]
    for i in range(len(residual)):
        for m in range(len(f)):
            k, v = arms.element[m, i], arms.w[i] * f[m, i]
            t[k] += v * residual[i]
            q[arms.study[i], k] += v * arms.g[i]
            for n in range(len(f)):
                p[k, arms.element[n, i]] += v * f[n, i]
    for s in range(studies):
        for k in range(size):
            share = q[s, k] / precision[s]
            if share != 0.0:
                t[k] -= share * total[s]
                for n in range(size):
                    p[k, n] -= share * q[s, n]
    return p, t, q


@register_jitable
def _shared_effect(arms: Arms, u: Array) -> Array:
    """What the shared u add to the linear predictor of each arm."""
    effect = np.zeros(arms.f.shape[1])
    for m in range(len(arms.f)):
        for i in range(arms.f.shape[1]):
            effect[i] += arms.f[m, i] * u[arms.element[m, i]]
    return effect


@register_jitable
def _arm_gradients(arms: Arms, residual: Array, z: Arrays, moments: Arrays, by: Arrays) -> Arrays:
    """Gradients by c, a, g and the standardised b and z, with u held fixed."""
    (z_b, z_o), (precision, total) = z, moments
    by_b, by_z, by_log_b, by_log_z = by
    a, g, w = arms.a, arms.g, arms.w
    d_total, d_zb = by_b.copy(), np.empty_like(z_b)
    b, d_precision = np.empty_like(z_b), np.empty_like(z_b)
    for i in range(len(residual)):
        d_total[arms.study[i]] -= by_z[i] * a[i] * w[i] * g[i]
    for s in range(len(z_b)):
        variance = 1.0 / precision[s]
        sd, mean = np.sqrt(variance), total[s] * variance
        d_zb[s] = d_total[s] * sd
        b[s] = mean + z_b[s] * sd
        slope = d_total[s] * (0.5 * z_b[s] * sd + mean) + 0.5 * by_log_b[s]
        d_precision[s] = -variance * slope
        d_total[s] *= variance
    d_c, d_a, d_g = np.empty_like(residual), np.empty_like(residual), np.empty_like(residual)
    d_zo = np.empty_like(z_o)
    for i in range(len(residual)):
        s = arms.study[i]
        shrink = 1.0 / (1.0 + a[i] * a[i] * arms.information[i])
        sd, rest = np.sqrt(shrink), residual[i] - g[i] * b[s]
        d_rest = by_z[i] * a[i] * w[i]
        d_w = by_z[i] * rest * a[i] + (d_total[s] * residual[i] + d_precision[s] * g[i]) * g[i]
        d_k = -shrink * (0.5 * (by_z[i] * z_o[i] * sd + by_log_z[i]) + d_w * w[i])
        d_c[i] = -d_rest - d_total[s] * g[i] * w[i]
        d_g[i] = -d_rest * b[s] + (d_total[s] * residual[i] + 2.0 * d_precision[s] * g[i]) * w[i]
        d_a[i] = by_z[i] * rest * w[i] + 2.0 * d_k * a[i] * arms.information[i]
        d_zo[i] = by_z[i] * sd
    return d_c, d_a, d_g, d_zb, d_zo


@register_jitable
def _factor_gradient(factor: Array, x: Array, y: Array, d_x: Array, by_log_u: Array) -> Array:
    """Gradient by the precision of u through its Cholesky factor (Murray 2016)."""
    size = len(x)
    inner = np.zeros((size, size))  # transposed
    for i in range(size):
        for j in range(i):
            inner[j, i] = -(x[i] * d_x[j] + d_x[i] * y[j])
        inner[i, i] = -0.5 * (x[i] * d_x[i] + d_x[i] * y[i] + by_log_u[i])
    for j in range(size):
        _solve_transposed(factor, inner[j])
    outer = inner.T.copy()
    for i in range(size):
        _solve_transposed(factor, outer[i])
    return 0.5 * (outer + outer.T)


@register_jitable
def _add_moment_gradients(
    arms: Arms, residual: Array, moments: Arrays, q: Array, by: Arrays, gradients: Arrays
) -> None:
    """Add the gradients by c, a, g and f through the precision and mean of u."""
    (precision, total), (d_p, d_t), (d_c, d_a, d_g, d_f) = moments, by, gradients
    a, g, f, w = arms.a, arms.g, arms.f, arms.w
    size = len(d_t)
    d_q = np.empty_like(q)
    d_total, d_precision = np.empty_like(total), np.empty_like(total)
    for s in range(len(total)):
        tq, pq = 0.0, 0.0
        for k in range(size):
            d_q[s, k] = 0.0
        for n in range(size):
            if q[s, n] != 0.0:
                for k in range(size):
                    d_q[s, k] += d_p[k, n] * q[s, n]
        for k in range(size):
            tq += d_t[k] * q[s, k]
            pq += d_q[s, k] * q[s, k]
            d_q[s, k] = -(2.0 * d_q[s, k] + d_t[k] * total[s]) / precision[s]
        d_total[s] = -tq / precision[s]
        d_precision[s] = (pq + tq * total[s]) / precision[s] ** 2
    for i in range(len(residual)):
        s = arms.study[i]
        qf, tf, pf = 0.0, 0.0, 0.0
        for m in range(len(f)):
            k, pf_m = arms.element[m, i], 0.0
            for n in range(len(f)):
                pf_m += d_p[k, arms.element[n, i]] * f[n, i]
            qf += d_q[s, k] * f[m, i]
            tf += d_t[k] * f[m, i]
            pf += pf_m * f[m, i]
            d_f[m, i] += w[i] * (2.0 * pf_m + d_t[k] * residual[i] + g[i] * d_q[s, k])
        d_w = pf + tf * residual[i] + g[i] * (qf + g[i] * d_precision[s] + residual[i] * d_total[s])
        d_c[i] -= w[i] * (tf + g[i] * d_total[s])
        d_g[i] += w[i] * (qf + 2.0 * g[i] * d_precision[s] + residual[i] * d_total[s])
        d_a[i] -= 2.0 * d_w * a[i] * w[i] * w[i]


class _CompiledMap(Op):  # type: ignore[misc]
    """A function of this file as an operation; outputs have the types of some inputs."""

    __props__ = ()
    _compute: Callable[..., Arrays]
    _outputs_like: Callable[..., list[Any]]

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, list(inputs), [v.type() for v in self._outputs_like(inputs)])

    def infer_shape(self, node: Apply, shapes: list[Any]) -> list[Any]:
        return self._outputs_like(shapes)

    def perform(self, node: Apply, inputs: list[Array], outputs: list[list[Any]]) -> None:
        for storage, value in zip(outputs, self._compute(*inputs), strict=True):
            storage[0] = value


class ConditionalNormal(_CompiledMap):
    """`forward` in a graph."""

    _compute = staticmethod(forward)

    def _outputs_like(self, inputs: Sequence[Any]) -> list[Any]:
        return [*inputs[STANDARDISED], *inputs[STANDARDISED]]

    def pullback(self, inputs: list[Any], outputs: list[Any], cotangents: list[Any]) -> list[Any]:
        """Gradients by the inputs, given those by the outputs."""
        known = [
            pt.zeros_like(out) if isinstance(by.type, DisconnectedType) else by
            for out, by in zip(outputs, cotangents, strict=True)
        ]
        constant = [disconnected_type() for _ in range(N_CONSTANT)]
        return [*ConditionalNormalGradient()(*inputs, *known), *constant]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Which inputs have gradients."""
        return [[True] * 6] * N_DIFFERENTIABLE + [[False] * 6] * N_CONSTANT


class ConditionalNormalGradient(_CompiledMap):
    """`backward` in a graph."""

    _compute = staticmethod(backward)

    def _outputs_like(self, inputs: Sequence[Any]) -> list[Any]:
        return list(inputs[:N_DIFFERENTIABLE])
