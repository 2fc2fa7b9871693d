"""Correlations: an LKJ prior, as the rows of its Cholesky factor.

The C-vine of Lewandowski, Kurowicka and Joe (2009): the partial correlations of the k-th vine level
of K variables are Beta(b, b) on (-1, 1), b = eta + (K - 1 - k) / 2, and independent. For two
variables the correlation itself is 2 Beta(eta, eta) - 1.

`pm.LKJCorr` would say this in one word, but in PyMC 6.3.2 its forward draws are the Cholesky factor
instead of the matrix, so that a prior predictive built on it is wrong or not a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def lkj_root(
    names: Sequence[str], eta: Any, xp: Any, beta: Callable[[str, Any], Any]
) -> list[list[Any]]:
    """Make the Cholesky factor of an LKJ-distributed correlation matrix.

    Parameters
    ----------
    names
        What is correlated.
    eta
        The LKJ shape: 1 is uniform over matrices, larger is more sceptical.
    xp
        Namespace with ``sqrt``.
    beta
        ``beta(name, b)``: makes a Beta(b, b) variable.

    Returns
    -------
    list[list[Any]]
        Row i has its i + 1 non-zero entries; scalars.
    """
    root: list[list[Any]] = []
    for i, name in enumerate(names):
        left: Any = 1.0
        row = []
        for j, other in enumerate(names[:i]):
            level = j + 1
            share = beta(f"{other}_{name}", eta + (len(names) - 1 - level) / 2)
            partial = 2 * share - 1
            row.append(partial * left)
            left = left * xp.sqrt(1 - partial**2)
        root.append([*row, left])
    return root
