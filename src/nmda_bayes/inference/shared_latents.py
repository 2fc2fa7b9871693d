"""Normal variables that arms share and in which the linear predictor is affine: found by trying.

Which they are follows from curve, pooling, covariates and courses together. It is not told by rules
beside the formulas: the linear predictor is evaluated, with one element at 1 and the others at 0,
and at random points where it has to be what those say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
from pymc.exceptions import NotConstantValueError
from pymc.pytensorf import constant_fold
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.basic import NormalRV

from nmda_bayes.dims import SEPARATOR
from nmda_bayes.model import CHEAP, Outcome

ETA = "eta"
#: More elements than these are not whitened together: their factor is one more loop in every
#: gradient, and grows with the cube.
AT_MOST = 40
#: Random points at which a variable has to be affine.
POINTS = 2


@dataclass(frozen=True)
class Shared:
    """Variables that arms share, their elements one after the other.

    Attributes
    ----------
    variables
        The random variables.
    shapes
        The shape of each.
    place
        The element that an arm reads of each: a row a variable, a column an arm.
    prior
        Mean and precision: a row each, a column an element.
    """

    variables: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    place: np.ndarray
    prior: np.ndarray

    def parts(self, elements: Any) -> list[Any]:
        """Part all elements into the variables that they are of.

        Parameters
        ----------
        elements
            One after the other.

        Returns
        -------
        list[Any]
            Each variable's, in its shape.
        """
        ends = np.cumsum([0, *map(math.prod, self.shapes)])
        return [
            elements[start:end].reshape(shape)
            for start, end, shape in zip(ends, ends[1:], self.shapes, strict=False)
        ]


def shared_latents(model: pm.Model, outcome: Outcome, own: Sequence[Any]) -> Shared:
    """Find the normal variables that arms share and an outcome's predictor is affine in.

    Parameters
    ----------
    model
        The graph, with constants for data.
    outcome
        The outcome.
    own
        Variables that the predictor is affine in already: baselines, effects of arms.

    Returns
    -------
    Shared
        With a constant prior, one element an arm, no part in another outcome, and the predictor
        affine in all of them and ``own`` at once; empty where there is no such variable.
    """
    tried = _Tried(model, outcome)
    kept: list[Any] = []
    places: list[np.ndarray] = []
    priors: list[np.ndarray] = [np.zeros((2, 0))]
    for rv, prior in _candidates(model, outcome):
        size = sum(p.shape[1] for p in priors)
        if any(rv is one for one in own) or size + prior.shape[1] > AT_MOST:
            continue
        read = tried.element_read(rv, [*own, *kept])
        if read is not None:
            kept.append(rv)
            places.append(size + read)
            priors.append(prior)
    place = np.array(places, dtype=np.int64).reshape(len(kept), tried.arms)
    shapes = tuple(tried.shape(rv) for rv in kept)
    return Shared(tuple(kept), shapes, place, np.concatenate(priors, axis=1))


def _candidates(model: pm.Model, outcome: Outcome) -> Iterator[tuple[Any, np.ndarray]]:
    """Normal variables of one outcome that have no transform, with mean and precision."""
    mine = outcome.name(ETA)
    etas = {n: v for n, v in model.named_vars.items() if n.rpartition(SEPARATOR)[2] == ETA}
    elsewhere = set(ancestors([v for name, v in etas.items() if name != mine]))
    start = model.initial_point()
    for rv in model.free_RVs:
        normal = isinstance(getattr(rv.owner.op, "core_op", None), NormalRV)
        if not normal or model.rvs_to_transforms[rv] is not None or rv in elsewhere:
            continue
        try:
            mean, sd = constant_fold([v.values for v in rv.owner.inputs[-2:]])
        except NotConstantValueError:
            continue
        each = np.ones(np.size(start[model.rvs_to_values[rv].name]))
        yield rv, np.array([each * float(mean), each * float(sd) ** -2])


class _Tried:
    """The linear predictor of an outcome, to be evaluated here and there."""

    def __init__(self, model: pm.Model, outcome: Outcome) -> None:
        (eta,) = model.replace_rvs_by_values([model[outcome.name("eta")]])
        self._evaluate = pytensor.function(
            model.value_vars,
            eta.transpose(outcome.arm).values,
            on_unused_input="ignore",
            **CHEAP,
        )
        self._names = {rv: model.rvs_to_values[rv].name for rv in model.free_RVs}
        self._rng = np.random.default_rng(0)
        self._point = {
            name: self._rng.normal(scale=0.5, size=np.shape(value))
            for name, value in model.initial_point().items()
        }
        self.arms = outcome.reported.sizes["arm"]

    def shape(self, rv: Any) -> tuple[int, ...]:
        """The shape of a variable."""
        return np.shape(self._point[self._names[rv]])

    def _at(self, given: dict[Any, np.ndarray]) -> np.ndarray:
        values = self._point | {self._names[rv]: x for rv, x in given.items()}
        return np.asarray(self._evaluate(*values.values()))

    def element_read(self, rv: Any, others: Sequence[Any]) -> np.ndarray | None:
        """Which element of a variable each arm reads; None where eta is not affine in one only."""
        nothing = {one: np.zeros(self.shape(one)) for one in (*others, rv)}
        c = self._at(nothing)
        size = math.prod(self.shape(rv))
        units = np.eye(size).reshape(size, *self.shape(rv))
        slopes = np.array([self._at(nothing | {rv: unit}) - c for unit in units])
        read = slopes != 0
        if not read.any() or (read.sum(axis=0) > 1).any():
            return None
        for _ in range(POINTS):
            x = {one: self._rng.normal(size=zero.shape) for one, zero in nothing.items()}
            moved, own = self._at(x) - c, x[rv].ravel() @ slopes
            rest = self._at(x | {rv: nothing[rv]}) - c
            twice = self._at({one: 2 * value for one, value in x.items()}) - c
            if not (_same(moved, own + rest) and _same(twice, 2 * moved)):
                return None
        return np.asarray(read.argmax(axis=0))


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.allclose(one, other, rtol=1e-8, atol=1e-8))
