"""Normal moments of what is shared, of baselines and of effects of arms, forwards and backwards.

In the normal working model

    h[arm] ~ Normal(eta[arm], 1 / information[arm])
    eta[arm] = c[arm] + sum f[m, arm] u[place[m, arm]] + g[arm] b[study] + a[arm] z[arm]

the shared u given c, a, g and f are normal with the effects of arms and the baselines integrated
out; so are b given u, and z given both. Loops over arms, studies and the few elements of u, for a
compiler; no array is as large as studies times arms.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

Array = np.ndarray


@register_jitable
def _cholesky(matrix: Array) -> Array:
    """Lower factor; not a number where there is none."""
    size = len(matrix)
    factor = np.zeros((size, size))
    for j in range(size):
        for i in range(j, size):
            left = matrix[i, j]
            for k in range(j):
                left -= factor[i, k] * factor[j, k]
            factor[i, j] = np.sqrt(left) if i == j else left / factor[j, j]
    return factor


@register_jitable
def _solve(factor: Array, x: Array) -> None:
    """Put L⁻¹ x in the place of x."""
    for i in range(len(x)):
        for k in range(i):
            x[i] -= factor[i, k] * x[k]
        x[i] /= factor[i, i]


@register_jitable
def _solve_back(factor: Array, x: Array) -> None:
    """Put L⁻ᵀ x in the place of x."""
    for i in range(len(x) - 1, -1, -1):
        for k in range(i + 1, len(x)):
            x[i] -= factor[k, i] * x[k]
        x[i] /= factor[i, i]


@register_jitable
def _of_baselines(
    left: Array, g: Array, w: Array, study: Array, prior: Array, studies: int
) -> tuple[Array, Array]:
    """Precision of each baseline, and that times its mean; w without the effects of arms."""
    precision = np.full(studies, prior[1])
    total = np.full(studies, prior[0] * prior[1])
    for i in range(len(left)):
        s = study[i]
        precision[s] += g[i] * g[i] * w[i]
        total[s] += g[i] * w[i] * left[i]
    return precision, total


@register_jitable
def _of_shared(
    left: Array, g: Array, f: Array, w: Array, study: Array, place: Array, prior: Array,
    precision: Array, total: Array,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Precision of u, that times its mean, and the precision between u and each baseline."""
    size, studies = prior.shape[1], len(precision)
    p, t, q = np.zeros((size, size)), np.empty(size), np.zeros((studies, size))
    for k in range(size):
        p[k, k], t[k] = prior[1, k], prior[0, k] * prior[1, k]
    for i in range(len(left)):
        for m in range(len(f)):
            k, v = place[m, i], w[i] * f[m, i]
            t[k] += v * left[i]
            q[study[i], k] += v * g[i]
            for n in range(len(f)):
                p[k, place[n, i]] += v * f[n, i]
    for s in range(studies):
        for k in range(size):
            share = q[s, k] / precision[s]
            if share != 0.0:
                t[k] -= share * total[s]
                for n in range(size):
                    p[k, n] -= share * q[s, n]
    return p, t, q


@register_jitable
def _explained(f: Array, u: Array, place: Array) -> Array:
    """What the shared u add to the linear predictor of each arm."""
    found = np.zeros(f.shape[1])
    for m in range(len(f)):
        for i in range(f.shape[1]):
            found[i] += f[m, i] * u[place[m, i]]
    return found


def forward(
    c: Array, a: Array, g: Array, f: Array, z_u: Array, z_b: Array, z_o: Array,
    study: Array, place: Array, h: Array, information: Array, prior_b: Array, prior_u: Array,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Make u, b and z from standardised ones with the moments of the working model.

    Parameters
    ----------
    c, a, g, f
        As in the formula above; f has a row a shared variable.
    z_u, z_b, z_o
        Standardised elements, baselines and effects of arms.
    study, place
        The baseline and the elements that an arm reads.
    h, information
        Each arm's estimate of eta, and how well it is known.
    prior_b, prior_u
        Mean and precision of the baselines, and of the elements (a column each).

    Returns
    -------
    tuple[Array, ...]
        The three, and the logarithms of what they are stretched by.
    """
    w = information / (1.0 + a * a * information)
    u, log_u = np.empty_like(z_u), np.empty_like(z_u)
    b, log_b = np.empty_like(z_b), np.empty_like(z_b)
    o, log_o = np.empty_like(z_o), np.empty_like(z_o)
    left = h - c
    precision, total = _of_baselines(left, g, w, study, prior_b, len(b))
    if len(u) > 0:
        p, u, _ = _of_shared(left, g, f, w, study, place, prior_u, precision, total)
        factor = _cholesky(p)
        _solve(factor, u)
        u += z_u
        _solve_back(factor, u)
        for k in range(len(u)):
            log_u[k] = -np.log(factor[k, k])
        left -= _explained(f, u, place)
        precision, total = _of_baselines(left, g, w, study, prior_b, len(b))
    for s in range(len(b)):
        b[s] = total[s] / precision[s] + z_b[s] / np.sqrt(precision[s])
        log_b[s] = -0.5 * np.log(precision[s])
    for i in range(len(c)):
        k = 1.0 + a[i] * a[i] * information[i]
        o[i] = (left[i] - g[i] * b[study[i]]) * a[i] * w[i] + z_o[i] / np.sqrt(k)
        log_o[i] = -0.5 * np.log(k)
    return u, b, o, log_u, log_b, log_o


def backward(
    c: Array, a: Array, g: Array, f: Array, z_u: Array, z_b: Array, z_o: Array,
    study: Array, place: Array, h: Array, information: Array, prior_b: Array, prior_u: Array,
    by_u: Array, by_b: Array, by_o: Array, by_log_u: Array, by_log_b: Array, by_log_o: Array,
) -> tuple[Array, Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Give the derivatives of what has known ones by the outputs of `forward`.

    Parameters
    ----------
    c, a, g, f, z_u, z_b, z_o, study, place, h, information, prior_b, prior_u
        As of `forward`.
    by_u, by_b, by_o, by_log_u, by_log_b, by_log_o
        The known derivatives.

    Returns
    -------
    tuple[Array, ...]
        By c, a, g, f, z_u, z_b and z_o.
    """
    w = information / (1.0 + a * a * information)
    d_f, d_zu = np.zeros_like(f), np.zeros_like(z_u)
    left = h - c
    precision, total = _of_baselines(left, g, w, study, prior_b, len(z_b))
    if len(z_u) == 0:
        d_c, d_a, d_g, d_zb, d_zo = _of_arms(
            left, a, g, w, z_b, z_o, study, information, precision, total,
            by_b, by_o, by_log_b, by_log_o,
        )  # fmt: skip
        return d_c, d_a, d_g, d_f, d_zu, d_zb, d_zo
    p, y, q = _of_shared(left, g, f, w, study, place, prior_u, precision, total)
    factor = _cholesky(p)
    _solve(factor, y)
    x = y + z_u
    u = x.copy()
    _solve_back(factor, u)
    after = left - _explained(f, u, place)
    d_c, d_a, d_g, d_zb, d_zo = _of_arms(
        after, a, g, w, z_b, z_o, study, information, precision,
        _of_baselines(after, g, w, study, prior_b, len(z_b))[1], by_b, by_o, by_log_b, by_log_o,
    )  # fmt: skip
    d_zu = by_u.copy()
    for m in range(len(f)):
        for i in range(len(c)):
            d_zu[place[m, i]] += d_c[i] * f[m, i]
            d_f[m, i] = d_c[i] * u[place[m, i]]
    _solve(factor, d_zu)
    d_t = d_zu.copy()
    _solve_back(factor, d_t)
    d_p = _of_factor(factor, x, y, d_zu, by_log_u)
    _of_moments(left, a, g, f, w, study, place, precision, total, q, d_p, d_t, d_c, d_a, d_g, d_f)
    return d_c, d_a, d_g, d_f, d_zu, d_zb, d_zo


@register_jitable
def _of_arms(
    left: Array, a: Array, g: Array, w: Array, z_b: Array, z_o: Array, study: Array,
    information: Array, precision: Array, total: Array,
    by_b: Array, by_o: Array, by_log_b: Array, by_log_o: Array,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Derivatives by c, a, g, z_b and z_o with u as it is."""
    d_total, d_zb = by_b.copy(), np.empty_like(z_b)
    b, d_precision = np.empty_like(z_b), np.empty_like(z_b)
    for i in range(len(left)):
        d_total[study[i]] -= by_o[i] * a[i] * w[i] * g[i]
    for s in range(len(z_b)):
        variance = 1.0 / precision[s]
        root, mean = np.sqrt(variance), total[s] * variance
        d_zb[s] = d_total[s] * root
        b[s] = mean + z_b[s] * root
        bent = d_total[s] * (0.5 * z_b[s] * root + mean) + 0.5 * by_log_b[s]
        d_precision[s] = -variance * bent
        d_total[s] *= variance
    d_c, d_a, d_g = np.empty_like(left), np.empty_like(left), np.empty_like(left)
    d_zo = np.empty_like(z_o)
    for i in range(len(left)):
        s = study[i]
        shrink = 1.0 / (1.0 + a[i] * a[i] * information[i])
        root, rest = np.sqrt(shrink), left[i] - g[i] * b[s]
        d_rest = by_o[i] * a[i] * w[i]
        d_w = by_o[i] * rest * a[i] + (d_total[s] * left[i] + d_precision[s] * g[i]) * g[i]
        d_k = -shrink * (0.5 * (by_o[i] * z_o[i] * root + by_log_o[i]) + d_w * w[i])
        d_c[i] = -d_rest - d_total[s] * g[i] * w[i]
        d_g[i] = -d_rest * b[s] + (d_total[s] * left[i] + 2.0 * d_precision[s] * g[i]) * w[i]
        d_a[i] = by_o[i] * rest * w[i] + 2.0 * d_k * a[i] * information[i]
        d_zo[i] = by_o[i] * root
    return d_c, d_a, d_g, d_zb, d_zo


@register_jitable
def _of_factor(factor: Array, x: Array, y: Array, d_x: Array, by_log_u: Array) -> Array:
    """Derivative by the precision of u through its factor (Murray 2016)."""
    size = len(x)
    inner = np.zeros((size, size))  # transposed
    for i in range(size):
        for j in range(i):
            inner[j, i] = -(x[i] * d_x[j] + d_x[i] * y[j])
        inner[i, i] = -0.5 * (x[i] * d_x[i] + d_x[i] * y[i] + by_log_u[i])
    for j in range(size):
        _solve_back(factor, inner[j])
    outer = inner.T.copy()
    for i in range(size):
        _solve_back(factor, outer[i])
    return 0.5 * (outer + outer.T)


@register_jitable
def _of_moments(
    left: Array, a: Array, g: Array, f: Array, w: Array, study: Array, place: Array,
    precision: Array, total: Array, q: Array, d_p: Array, d_t: Array,
    d_c: Array, d_a: Array, d_g: Array, d_f: Array,
) -> None:  # fmt: skip
    """Add the derivatives by c, a, g and f through the precision and mean of u."""
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
    for i in range(len(left)):
        s = study[i]
        qf, tf, pf = 0.0, 0.0, 0.0
        for m in range(len(f)):
            k, along = place[m, i], 0.0
            for n in range(len(f)):
                along += d_p[k, place[n, i]] * f[n, i]
            qf += d_q[s, k] * f[m, i]
            tf += d_t[k] * f[m, i]
            pf += along * f[m, i]
            d_f[m, i] += w[i] * (2.0 * along + d_t[k] * left[i] + g[i] * d_q[s, k])
        d_w = pf + tf * left[i] + g[i] * (qf + g[i] * d_precision[s] + left[i] * d_total[s])
        d_c[i] -= w[i] * (tf + g[i] * d_total[s])
        d_g[i] += w[i] * (qf + 2.0 * g[i] * d_precision[s] + left[i] * d_total[s])
        d_a[i] -= 2.0 * d_w * a[i] * w[i] * w[i]
