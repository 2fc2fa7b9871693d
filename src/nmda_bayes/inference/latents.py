"""The normal variables of a model in one row, and poolings evaluated on them as affine forms.

An affine form is a labelled array with a dim `LATENT`: the coefficient of every normal scalar, and
one place more for the constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, AGENT_CLASS
from nmda_bayes.model import Sites

LATENT = "latent"
#: The dim over which scales are tried.
POINT = "point"


@dataclass(frozen=True)
class Block:
    """One normal variable of the graph.

    Attributes
    ----------
    start
        Its first place among the latents.
    dims
        Its dims in the graph.
    shape
        Its shape.
    mean, sd
        Its prior.
    """

    start: int
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    mean: float
    sd: float

    @property
    def size(self) -> int:
        """How many scalars it has."""
        return int(np.prod(self.shape))


@dataclass
class Latents:
    """The normal variables of an outcome, in one row.

    Attributes
    ----------
    sizes
        Sizes of the dims.
    blocks
        The variables by name.
    """

    sizes: Mapping[str, int]
    blocks: dict[str, Block] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many scalars there are."""
        return sum(block.size for block in self.blocks.values())

    def enter(self, name: str, dims: tuple[str, ...], mean: float, sd: float) -> None:
        """Enter a variable once; later calls find it there.

        Parameters
        ----------
        name
            Its name in the graph.
        dims
            Its dims in the graph.
        mean, sd
            Its normal prior.
        """
        if name not in self.blocks:
            shape = tuple(self.sizes[dim] for dim in dims)
            self.blocks[name] = Block(self.size, dims, shape, mean, sd)

    def form(self, name: str, width: int) -> xr.DataArray:
        """Write a variable as an affine form: 1 at its own place.

        Parameters
        ----------
        name
            Its name in the graph.
        width
            Length of the dim of latents, the constant's place included.

        Returns
        -------
        xr.DataArray
            Over its dims and `LATENT`.
        """
        block = self.blocks[name]
        form = np.zeros((*block.shape, width))
        if width > block.start + block.size:
            flat = form.reshape(block.size, width)
            flat[np.arange(block.size), block.start + np.arange(block.size)] = 1.0
        return xr.DataArray(form, dims=(*block.dims, LATENT))


@dataclass(frozen=True)
class AffineSites(Sites):
    """Gives a pooling its normal variables as affine forms, and its scales as numbers.

    Attributes
    ----------
    latents
        Where the normal variables are entered.
    scales
        Values of what is not normal, by its name in the graph, over dim `POINT`.
    width
        Length of the dim of latents.
    """

    latents: Latents
    scales: Mapping[str, xr.DataArray]
    width: int

    def prior(self, slot: str, dims: tuple[str, ...] = ()) -> Any:
        """Give a prior's variable.

        Parameters
        ----------
        slot
            The prior's name in the spec.
        dims
            The dims that it varies over.

        Returns
        -------
        Any
            An affine form, or a scale.
        """
        return self._variable(self.slot_name(slot), slot, dims)

    def own(self) -> Any:
        """Give the variable over the parameter's own dim.

        Returns
        -------
        Any
            An affine form.
        """
        return self._variable(self.outcome.name(self.parameter), "each", (self.own_dim,))

    def offset(self, *dims: str) -> Any:
        """Give standard normal offsets.

        Parameters
        ----------
        *dims
            The dims that they vary over.

        Returns
        -------
        Any
            An affine form.
        """
        name = self.offset_name(*dims)
        self.latents.enter(name, self.in_graph(dims), 0.0, 1.0)
        return self.latents.form(name, self.width)

    def of_agents(self, value: Any) -> Any:
        """Give each agent the value of its class.

        Parameters
        ----------
        value
            An affine form over classes.

        Returns
        -------
        Any
            The same over agents.
        """
        return value.isel({AGENT_CLASS: xr.DataArray(self.class_places, dims=AGENT)})

    def tails(self, *dims: str) -> Any:
        """Refuse: a t distribution is not normal, and `reasons_against` has said so.

        Parameters
        ----------
        *dims
            The dims of the offset.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("effects with heavy tails are not integrated")

    def exp(self, value: Any) -> Any:
        """Take the exponential of a scale.

        Parameters
        ----------
        value
            A scale; nothing normal.

        Returns
        -------
        Any
            Positive.
        """
        return np.exp(value)

    def tell(self, name: str, value: Any) -> Any:
        """Leave a part of the sum for the graph to keep.

        Parameters
        ----------
        name
            What the graph calls it.
        value
            An affine form.

        Returns
        -------
        Any
            The same.
        """
        return value

    def _variable(self, name: str, slot: str, dims: tuple[str, ...]) -> Any:
        if name in self.scales:
            return self.scales[name]
        kwargs = self.spec.priors[slot].kwargs
        self.latents.enter(name, dims, kwargs["mu"], kwargs["sigma"])
        return self.latents.form(name, self.width)
