"""Effects of the arms of trials of two kinds, ordinary and outlying, as one distribution.

Which kind a trial is of is summed over, so that the graph has no discrete variable; forward draws
choose it. The density of a trial is one for all its arms: each arm holds an equal share of it, so
that arms, like any others, add up to their trial.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytensor.xtensor as px
from pymc.distributions.distribution import _support_point
from pymc.logprob.abstract import _logprob
from pytensor.tensor.random.op import RandomVariable

from nmda_bayes.components.heterogeneity import two_kinds


class TwoKindsRV(RandomVariable):  # type: ignore[misc]
    """Arm effects, given the ratio of the spreads, the share of outlying trials, and who is whose.

    ``together`` is 1 where two arms are of one trial and 0 elsewhere, dims arm and arm.
    """

    name = "two_kinds"
    signature = "(),(),(a,a)->(a)"
    dtype = "floatX"
    _print_name = ("TwoKinds", "\\operatorname{TwoKinds}")

    @classmethod
    def rng_fn(cls, rng: Any, ratio: Any, share: Any, together: Any, size: Any) -> np.ndarray:
        """Draw a kind for each trial, and effects of its arms.

        Parameters
        ----------
        rng
            The generator.
        ratio, share, together
            As the class has them.
        size
            Draws, or None for one.

        Returns
        -------
        np.ndarray
            Last dim arm.
        """
        ratio, share = np.asarray(ratio)[..., None], np.asarray(share)[..., None]
        first = np.argmax(together, axis=-1)
        batch = np.broadcast_shapes(ratio.shape[:-1], share.shape[:-1], first.shape[:-1])
        shape = (*(batch if size is None else tuple(size)), first.shape[-1])
        chosen = np.take_along_axis(rng.random(shape), np.broadcast_to(first, shape), axis=-1)
        return rng.standard_normal(shape) * np.where(chosen < share, ratio, 1.0)


class TwoKinds(pm.Distribution):  # type: ignore[misc]
    """Effects of the arms of trials of two kinds."""

    rv_op = TwoKindsRV()

    @classmethod
    def dist(cls, *given: Any, **kwargs: Any) -> Any:
        """Make the variable.

        Parameters
        ----------
        *given
            As `TwoKindsRV` has them.
        **kwargs
            As PyMC has them.

        Returns
        -------
        Any
            The variable.
        """
        return super().dist([pt.as_tensor(one) for one in given], **kwargs)


def _density(op: Any, values: Any, *given: Any, **_: Any) -> Any:
    ratio, share, together = given[-3:]
    (z,) = values
    # Sums over a trial by a table, not by places: it is vectorised over draws as it stands.
    square = (together * (z**2)[..., None, :]).sum(-1)
    arms = together.sum(-1)
    either = pt.logaddexp(*two_kinds(square, arms, ratio[..., None], share[..., None], pt))
    return either / arms - math.log(2.0 * math.pi) / 2.0


def _middle(op: Any, variable: Any, *_: Any) -> Any:
    return pt.zeros_like(variable)


_logprob.register(TwoKindsRV)(_density)
_support_point.register(TwoKindsRV)(_middle)


def effects_of_two_kinds(name: str, dim: str, studies: np.ndarray, ratio: Any, share: Any) -> Any:
    """Make the effects of arms in the model on the stack.

    Parameters
    ----------
    name
        Their name.
    dim
        The dim of the arms.
    studies
        The trial of each arm.
    ratio, share
        How many times as wide outlying trials scatter, and how many they are: scalars.

    Returns
    -------
    Any
        Over the arms.
    """
    together = (studies[:, None] == studies[None, :]).astype(float)
    drawn = TwoKinds.dist(ratio.values, share.values, together)
    model = pm.modelcontext(None)
    return model.register_rv(px.as_xtensor(drawn, dims=(dim,)), name, dims=(dim,))
