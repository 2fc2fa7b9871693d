"""Responses to a unit dose as sums of exponentials, and the three ways to make them.

    mammillary   a drug that a central compartment shares with others: the eigenvalues of its rates
    first_order  a pool that empties at a rate: absorption, transit
    convolved    one after the other: absorption then disposition, parent then metabolite

Every formula takes the namespace `xp` that it computes in and uses only what numpy and PyTensor
name alike (`exp`, `where`, `stack`, `linalg.eigh`, ...): a parameter may be a number, an array of
draws or a variable of a graph, and the formula that a fit would differentiate is the one that the
figures draw. A test runs both and compares gradients with finite differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

#: Weights and rates: a response is the sum of weight * exp(-rate * t).
Terms = tuple[tuple[Any, Any], ...]

#: Two rates that meet make the closed form 0 / 0. They are held this far apart, relative to their
#: size: what that changes (1e-8) and what rounding leaves of it (2e-16 / 1e-8) are then alike.
APART = 1e-8
#: Two equal rates are known beforehand to meet. They move to either side of their mean, which
#: changes the response by the square of this, and from two such moves the square is taken out:
#: 1e-12 is left. Two in a row lose 2e-16 / 1e-3^2 to rounding.
TWIN = 1e-3


@dataclass(frozen=True, slots=True)
class Mammillary:
    """A central compartment (number 0) and those that exchange with it, as its eigenvalues.

    Attributes
    ----------
    volumes
        Of each compartment, L.
    rates
        Eigenvalues of the rate matrix, one a compartment, 1/h; all positive.
    vectors
        ``vectors[j][k]``: compartment j in eigenvector k of the matrix made symmetric.
    """

    volumes: tuple[Any, ...]
    rates: tuple[Any, ...]
    vectors: tuple[tuple[Any, ...], ...]

    def response(self, into: int = 0, seen_in: int = 0) -> Terms:
        """Give the concentration in one compartment after a unit amount into another.

        Parameters
        ----------
        into
            Where the amount goes; 0 is the central compartment.
        seen_in
            Where the concentration is seen.

        Returns
        -------
        Terms
            Concentration an amount, as a sum of exponentials.
        """
        scale = (self.volumes[into] * self.volumes[seen_in]) ** -0.5
        pairs = zip(self.vectors[into], self.vectors[seen_in], self.rates, strict=True)
        return tuple((scale * u * v, rate) for u, v, rate in pairs)


def mammillary(
    volumes: tuple[Any, ...], flows: tuple[Any, ...], clearances: tuple[Any, ...], xp: Any = np
) -> Mammillary:
    """Find the eigenvalues of a central compartment with any number of others around it.

    Amounts over the square roots of their volumes follow a symmetric matrix, whose eigenvalues are
    real and whose vectors are orthogonal: weights come out without the differences of rates that
    the textbook's roots divide by, for one compartment as for four.

    Parameters
    ----------
    volumes
        The central one first, L.
    flows
        Between the central compartment and each of the others, L/h.
    clearances
        From each compartment out of the body, L/h; 0 where there is none.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    Mammillary
        Rates and vectors.
    """
    count = len(volumes)
    # Numbers and arrays of draws may come side by side; this brings all to one shape.
    zero = 0.0 * sum((*volumes, *flows, *clearances))
    matrix = [[zero] * count for _ in range(count)]
    matrix[0][0] = zero + (clearances[0] + sum(flows)) / volumes[0]
    for j, flow in enumerate(flows, start=1):
        matrix[j][j] = zero + (flow + clearances[j]) / volumes[j]
        matrix[0][j] = matrix[j][0] = zero - flow * (volumes[0] * volumes[j]) ** -0.5
    rows = [xp.stack(row, axis=-1) for row in matrix]
    rates, vectors = xp.linalg.eigh(xp.stack(rows, axis=-2))
    every = range(count)
    return Mammillary(
        volumes,
        tuple(rates[..., k] for k in every),
        tuple(tuple(vectors[..., j, k] for k in every) for j in every),
    )


def first_order(rate: Any) -> Terms:
    """Say how a pool empties that loses the same share of itself at any time.

    Parameters
    ----------
    rate
        1/h.

    Returns
    -------
    Terms
        Flow out of it after a unit amount into it.
    """
    return ((rate, rate),)


def two_transits(mean_hours: Any) -> Terms:
    """Say how an amount passes two pools in a row, each with half of the mean time.

    Parameters
    ----------
    mean_hours
        Mean time in both together.

    Returns
    -------
    Terms
        Flow out of the second after a unit amount into the first.
    """
    rate = 2 / mean_hours
    out: list[tuple[Any, Any]] = []
    for part, apart in ((4 / 3, TWIN), (-1 / 3, 2 * TWIN)):
        weight = part * rate * (1 - apart**2) / (2 * apart)
        out += [(weight, rate * (1 - apart)), (-weight, rate * (1 + apart))]
    return tuple(out)


def scaled(terms: Terms, factor: Any) -> Terms:
    """Multiply a response.

    Parameters
    ----------
    terms
        The response.
    factor
        What every weight is multiplied by.

    Returns
    -------
    Terms
        The response times the factor.
    """
    return tuple((factor * weight, rate) for weight, rate in terms)


def convolved(first: Terms, second: Terms, xp: Any = np) -> Terms:
    """Give the response of one system fed by the flow out of another.

    Parameters
    ----------
    first
        Flow out of the one, after a unit amount into it.
    second
        Response of the other to a unit amount.
    xp
        numpy, or `pytensor.tensor`.

    Returns
    -------
    Terms
        As many terms as both have together. Where rates of the two meet they are held apart by
        `APART`, and the response is then right to about 1e-8.
    """
    ones, others = [rate for _, rate in first], [rate for _, rate in second]
    for i, one in enumerate(ones):
        for j, other in enumerate(others):
            middle, half = (one + other) / 2, (other - one) / 2
            close = xp.abs(half) < APART * middle
            ones[i] = one = xp.where(close, middle * (1 - APART), one)
            others[j] = xp.where(close, middle * (1 + APART), other)
    made = [[0.0 * one for one in ones], [0.0 * other for other in others]]
    for i, (weight, _) in enumerate(first):
        for j, (other_weight, _) in enumerate(second):
            part = weight * other_weight / (others[j] - ones[i])
            made[0][i] = made[0][i] + part
            made[1][j] = made[1][j] - part
    return (*zip(made[0], ones, strict=True), *zip(made[1], others, strict=True))


def area(terms: Terms) -> Any:
    """Integrate a response from 0 to infinity.

    Parameters
    ----------
    terms
        The response.

    Returns
    -------
    Any
        Its integral; in the units of the weights, times hours.
    """
    return sum(weight / rate for weight, rate in terms)
