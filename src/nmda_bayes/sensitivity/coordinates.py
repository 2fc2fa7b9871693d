"""What all trials share as one row of numbers on the whole line, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.dims.distributions.transforms import LogOddsTransform, LogTransform
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.graph.traversal import ancestors
from pytensor.xtensor.vectorization import vectorize_graph
from scipy.special import expit, logit

from nmda_bayes.inference.densities import DRAWS
from nmda_bayes.inference.plain_linker import ON_ARRAYS
from nmda_bayes.inference.study_terms import POINT, StudyTerms
from nmda_bayes.sensitivity.reweighting import along_draws


@dataclass(frozen=True)
class Coordinates:
    """What trials share as one row of numbers on the whole line.

    Attributes
    ----------
    dims
        Of each variable, by name.
    sizes
        Of each dim.
    kinds
        How each is brought to the whole line: None, its logarithm or its log odds.
    """

    dims: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    kinds: Mapping[str, type]

    @property
    def known(self) -> bool:
        """Whether each is of a kind that can be brought to the whole line here."""
        return set(self.kinds.values()) <= {type(None), LogTransform, LogOddsTransform}

    @classmethod
    def of(cls, model: pm.Model, terms: StudyTerms) -> Coordinates:
        """Read them off a graph.

        Parameters
        ----------
        model
            The graph.
        terms
            Its terms by study.

        Returns
        -------
        Coordinates
            Those of what is shared.
        """
        used = {dim for dims in terms.shared.values() for dim in dims}
        return cls(
            terms.shared,
            {dim: len(model.coords[dim]) for dim in used},
            {name: type(model.rvs_to_transforms[model[name]]) for name in terms.shared},
        )

    def lines(self, draws: xr.Dataset) -> np.ndarray:
        """Bring draws to the whole line.

        Parameters
        ----------
        draws
            Over dim `POINT`.

        Returns
        -------
        np.ndarray
            One row a draw.
        """
        columns = []
        for name, dims in self.dims.items():
            values = draws[name].transpose(POINT, *dims).to_numpy().astype(float)
            kind = self.kinds[name]
            if kind is LogTransform:
                values = np.log(values)
            elif kind is LogOddsTransform:
                values = logit(values)
            columns.append(values.reshape(len(values), -1))
        return np.concatenate(columns, axis=1)

    def draws(self, place: np.ndarray) -> xr.Dataset:
        """Bring places back.

        Parameters
        ----------
        place
            Dims draw and coordinate.

        Returns
        -------
        xr.Dataset
            The variables, over dim `POINT`.
        """
        found = {}
        for name, values in self._parts(place):
            kind = self.kinds[name]
            with np.errstate(over="ignore"):
                values = np.exp(values) if kind is LogTransform else values
            values = expit(values) if kind is LogOddsTransform else values
            shape = [self.sizes[dim] for dim in self.dims[name]]
            found[name] = ((POINT, *self.dims[name]), values.reshape(len(place), *shape))
        return xr.Dataset(found)

    def log_stretch(self, place: np.ndarray) -> np.ndarray:
        """Give by how much variables are stretched where they are brought back, the logarithm.

        Parameters
        ----------
        place
            Dims draw and coordinate.

        Returns
        -------
        np.ndarray
            One a draw.
        """
        total = np.zeros(len(place))
        for name, values in self._parts(place):
            kind = self.kinds[name]
            if kind is LogTransform:
                total += values.sum(1)
            elif kind is LogOddsTransform:
                total -= (np.logaddexp(0, values) + np.logaddexp(0, -values)).sum(1)
        return total

    def _parts(self, place: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        counts = [int(np.prod([self.sizes[d] for d in dims])) for dims in self.dims.values()]
        pieces = np.split(place, np.cumsum(counts)[:-1], axis=1)
        yield from zip(self.dims, pieces, strict=True)


def derived(model: pm.Model, draws: xr.Dataset, along: str) -> xr.Dataset:
    """Work out what a graph derives from some free variables, at every draw.

    Parameters
    ----------
    model
        The graph.
    draws
        Free variables of it.
    along
        The dim of the draws.

    Returns
    -------
    xr.Dataset
        The draws, and what depends on nothing else, with the graph's labels.
    """
    plain = freeze_dims_and_data(model)  # a copy: what follows changes the graph in its place
    free = {str(rv.name): rv for rv in plain.free_RVs}
    given = {str(name): along_draws(free[str(name)]) for name in draws}
    others = {rv for name, rv in free.items() if name not in given}
    wanted = [v for v in plain.deterministics if not others & set(ancestors([v]))]
    rows = rewrite_graph(wanted, include=("canonicalize",), clone=False)
    rows = vectorize_graph(rows, {free[name]: new for name, new in given.items()})
    rows = [(row if DRAWS in row.type.dims else row.expand_dims(DRAWS)) for row in rows]
    rows = [row.transpose(DRAWS, ...) for row in rows]
    evaluate = pytensor.function([*given.values()], rows, mode=ON_ARRAYS, on_unused_input="ignore")
    ordered = {name: draws[name].transpose(along, *free[name].type.dims) for name in given}
    values = evaluate(*(np.asarray(one.to_numpy(), dtype=float) for one in ordered.values()))
    found = {name: (one.dims, one.to_numpy()) for name, one in ordered.items()}
    for variable, row, array in zip(wanted, rows, values, strict=True):
        whole = np.broadcast_to(array, (draws.sizes[along], *array.shape[1:]))
        found[str(variable.name)] = ((along, *row.type.dims[1:]), whole)
    used = {dim for dims, _ in found.values() for dim in dims if dim != along}
    return xr.Dataset(found, coords={dim: list(model.coords[dim]) for dim in used})
