"""One compiled density for many fits: other numbers of the priors, other values of the trials.

Compiling the density of the primary analysis takes longer than drawing from it. Its numbers are
named data (`nmda_bayes.named_data`), so that a fit which differs in numbers alone swaps them and
draws. Whether it does differ in numbers alone is not told by rules beside the model: the graph of
the other fit is built, which takes 0.1 s, and compared with this one node by node.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.model.transform.conditioning import do
from pytensor.compile import SharedVariable
from pytensor.graph.basic import equal_computations
from pytensor.graph.traversal import graph_inputs
from pytensor.xtensor import as_xtensor

from nmda_bayes.design import OUTCOMES, WEIGHT
from nmda_bayes.dims import ARM
from nmda_bayes.inference import nuts
from nmda_bayes.inference.anchoring import anchor_weights, anchored
from nmda_bayes.inference.compiled_density import DATA
from nmda_bayes.model import model_of
from nmda_bayes.spec import AnalysisSpec, SamplingSpec


def prepare(spec: AnalysisSpec, design: xr.DataTree) -> Prepared:
    """Compile the density of an analysis, for this fit and all others of its structure.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    Prepared
        Ready to sample.
    """
    design = weighable(design)
    model = model_of(spec, design)
    weights = anchor_weights(model, spec, design)
    packed, row, pieces = _packed(model, weights)
    compiled = nuts.compiled(anchored(packed, pieces))
    return Prepared(spec, design, model, row, compiled, weights)


@dataclass(frozen=True)
class Prepared:
    """A compiled density and the graph that it came from.

    Attributes
    ----------
    spec, design
        What it was compiled for.
    model
        The graph.
    row
        Its data, one after the other, as the compiled density takes them.
    compiled
        As nutpie compiles it.
    weights
        Of its anchors, which follow its data in the row.
    """

    spec: AnalysisSpec
    design: xr.DataTree
    model: pm.Model
    row: Any
    compiled: Any
    weights: Mapping[str, xr.DataArray]
    _lock: Any = dataclasses.field(default_factory=threading.Lock, repr=False)

    def accepts(self, spec: AnalysisSpec, design: xr.DataTree) -> bool:
        """Say whether a fit differs in numbers alone.

        Parameters
        ----------
        spec
            The analysis.
        design
            Its design.

        Returns
        -------
        bool
            False where labels, families, bounds, curves or any other part of the graph differ.
        """
        return same_structure(self.model, model_of(spec, weighable(design)))

    def sample(
        self,
        settings: SamplingSpec,
        *,
        spec: AnalysisSpec | None = None,
        design: xr.DataTree | None = None,
        progress: bool = False,
    ) -> xr.DataTree:
        """Draw from the posterior, without compiling anything.

        Parameters
        ----------
        settings
            Draws, chains, seed and target acceptance.
        spec
            Has other numbers in its priors; that which was compiled if None.
        design
            Has other values; that which was compiled if None.
        progress
            Show the sampler's progress bar.

        Returns
        -------
        xr.DataTree
            Groups posterior and sample_stats.

        Raises
        ------
        ValueError
            If the structure differs: see `accepts`.
        """
        spec, design = spec or self.spec, weighable(design or self.design)
        model = model_of(spec, design)
        if not same_structure(self.model, model):
            raise ValueError("another structure than was compiled: prepare it anew")
        held = [model[v.name].get_value() for v in self.model.data_vars]
        found = anchor_weights(model, spec, design)
        held += [found.get(name, own).to_numpy() for name, own in self.weights.items()]
        numbers = np.concatenate([value.ravel() for value in held])
        swapped = self.compiled.with_data(**{DATA: numbers})
        ready = dataclasses.replace(swapped, initial_point_func=self._first(numbers))
        return nuts.draw(ready, settings, progress)

    def _first(self, numbers: np.ndarray) -> Callable[[Any], np.ndarray]:
        """Start where PyMC does, near the centre of the prior, which moves with its numbers.

        Starts at draws of a fit near by saved nothing: nutpie takes no mass matrix and no step
        size, and finds them from gradients on the way. Two chains of 500 draws after 300 steps of
        tuning took 3.7 s of processor time on the primary analysis from either start.
        """
        here = self.compiled.initial_point_func

        def first(seed: Any) -> np.ndarray:
            with self._lock:  # chains start at once, and another fit may be waiting
                self.row.set_value(numbers)
                return np.asarray(here(seed))

        return first


def _packed(
    model: pm.Model, weights: Mapping[str, xr.DataArray]
) -> tuple[pm.Model, Any, dict[str, Any]]:
    """Put all data of a graph, and the weights of its anchors, into one row of numbers.

    nutpie unpacks every datum by code of its own: with the 26 of the primary analysis compiling
    took 31 s of processor time, with one row of them 14 s, as with constants.
    """
    held = {data.name: (data.get_value(), data.type.dims) for data in model.data_vars}
    held |= {f"{name}.anchor": (w.to_numpy(), w.dims) for name, w in weights.items()}
    row = pytensor.shared(
        np.concatenate([value.ravel() for value, _ in held.values()]),
        name=DATA,
        shape=(sum(value.size for value, _ in held.values()),),
    )
    pieces, start = {}, 0
    for name, (value, dims) in held.items():
        piece = row[start : start + value.size] if value.ndim else row[start]
        piece = piece.reshape(value.shape) if value.ndim > 1 else piece
        pieces[name] = as_xtensor(piece, dims=dims)
        start += value.size
    anchors = {name: pieces.pop(f"{name}.anchor") for name in weights}
    return do(model, pieces, make_interventions_shared=False), row, anchors


def weighable(design: xr.DataTree) -> xr.DataTree:
    """Give every row a weight, so that any trial can be left out afterwards.

    Parameters
    ----------
    design
        As `nmda_bayes.design.build_design` gives it, with or without weights.

    Returns
    -------
    xr.DataTree
        With a column ``weight`` in each outcome, 1 where it had none.
    """
    found = design.copy()
    for name, node in design[OUTCOMES].children.items():
        rows = node.to_dataset()
        if WEIGHT not in rows:
            whole = (ARM, np.ones(rows.sizes[ARM]))
            found[f"{OUTCOMES}/{name}"] = xr.DataTree(rows.assign({WEIGHT: whole}))
    return found


def same_structure(model: pm.Model, other: pm.Model) -> bool:
    """Say whether two graphs differ in the values of their data alone.

    Parameters
    ----------
    model, other
        The graphs.

    Returns
    -------
    bool
        True where labels, names, operations and constants are the same.
    """
    if dict(model.coords) != dict(other.coords):
        return False
    if dict(model.named_vars_to_dims) != dict(other.named_vars_to_dims):
        return False
    ours, theirs = _outputs(model), _outputs(other)
    inputs, others = _shared(ours), _shared(theirs)
    if [(v.name, v.type) for v in inputs] != [(v.name, v.type) for v in others]:
        return False
    return bool(equal_computations(ours, theirs, in_xs=inputs, in_ys=others))


def _outputs(model: pm.Model) -> list[Any]:
    """The variables of a graph, and what was observed, which may be worked out from data."""
    observed = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return [*model.basic_RVs, *model.deterministics, *model.potentials, *observed]


def _shared(outputs: list[Any]) -> list[Any]:
    return [v for v in graph_inputs(outputs) if isinstance(v, SharedVariable)]
