"""The factor by which selection for publication changes the density of a trial, as a distribution.

It is observed at the estimate that decided, so that log-likelihoods and power-scaling have it; its
forward draws are that estimate as it is published.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.distribution import _support_point
from pymc.logprob.abstract import _logprob
from pytensor.tensor.random.op import RandomVariable

from nmda_bayes.components.bias import BIASES, publication


class SelectionRV(RandomVariable):  # type: ignore[misc]
    """The estimate of a trial as it is published, given mean, SD, standard error and weight.

    ``critical`` are the limits of the p-values in standard errors, ``published`` the relative
    probabilities of publication. One class for all graphs, and not `pymc.CustomDist`, which makes a
    class for each: two graphs of one structure then differ, and neither takes the other's numbers.
    """

    name = "selection"
    signature = "(),(),(),(),(k),(j)->()"
    dtype = "floatX"
    _print_name = ("Selection", "\\operatorname{Selection}")

    @classmethod
    def rng_fn(cls, rng: Any, *given: Any) -> np.ndarray:
        """Draw estimates until they are published.

        Parameters
        ----------
        rng
            The generator.
        *given
            Mean, SD, standard error, weight, critical values, probabilities, and the size.

        Returns
        -------
        np.ndarray
            Estimates.
        """
        mean, sd, se, _, critical, published, size = given
        shape = np.broadcast_shapes(np.shape(mean), np.shape(sd), np.shape(se), tuple(size or ()))
        mean, sd = np.broadcast_to(mean, shape), np.broadcast_to(sd, shape)
        steps = np.moveaxis(np.asarray(critical), -1, 0)
        limits = [np.broadcast_to(one * se, shape) for one in steps]
        return until_published(mean, sd, limits, list(np.moveaxis(published, -1, 0)), rng)


class Selection(pm.Distribution):  # type: ignore[misc]
    """What selection multiplies the density of a trial by."""

    rv_op = SelectionRV()

    @classmethod
    def dist(cls, *given: Any, **kwargs: Any) -> Any:
        """Make the variable.

        Parameters
        ----------
        *given
            As `SelectionRV` has them.
        **kwargs
            As PyMC has them.

        Returns
        -------
        Any
            The variable.
        """
        return super().dist([pt.as_tensor(one) for one in given], **kwargs)


def _log_factor(op: Any, values: Any, *given: Any, **kwargs: Any) -> Any:
    mean, sd, se, weight, critical, published = given[-6:]
    (estimate,) = values
    kept, probable = [], []
    for k in range(critical.type.shape[-1]):
        limit = critical[..., k] * se
        kept.append(pt.ge(estimate, limit).astype("float64"))
        # Phi by way of erfc, which is accurate in the lower tail.
        probable.append(pt.erfc((limit - mean) / (math.sqrt(2.0) * sd)) / 2.0)
    chances = [published[..., k] for k in range(published.type.shape[-1])]
    return weight * pt.log(BIASES["selection"].formula(kept, probable, published=chances))


def _middle(op: Any, variable: Any, rng: Any, size: Any, mean: Any, *_: Any) -> Any:
    return mean


_logprob.register(SelectionRV)(_log_factor)
_support_point.register(SelectionRV)(_middle)


def until_published(
    mean: np.ndarray,
    sd: np.ndarray,
    limits: Sequence[np.ndarray],
    published: Sequence[Any],
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw normal estimates until they are published.

    Parameters
    ----------
    mean, sd
        Of the estimates, one shape.
    limits
        For each step of the p-value the estimate that just reaches it, same shape.
    published
        Relative probabilities of publication, one more; numbers, or arrays that broadcast.
    rng
        The generator.

    Returns
    -------
    np.ndarray
        Same shape.
    """
    weights = [np.broadcast_to(one, mean.shape) for one in published]
    most = np.max(weights, axis=0)
    value, waiting = np.empty(mean.shape), np.ones(mean.shape, dtype=bool)
    while waiting.any():
        tried = rng.normal(mean[waiting], sd[waiting])
        own = [weight[waiting] for weight in weights]
        chance = publication([1.0 * (tried >= limit[waiting]) for limit in limits], own)
        taken = rng.random(len(tried)) < chance / most[waiting]
        places = np.argwhere(waiting)[taken]
        value[tuple(places.T)] = tried[taken]
        waiting[tuple(places.T)] = False
    return value
