"""Data of a graph as named inputs, so that a compiled graph can be reused with other numbers.

Columns of the design and the arguments of priors are inputs of the compiled density, not constants
in it, and are replaced by name. Another number of arms needs another graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nmda_bayes.dims import study_of


def shared_data(name: str, values: Any, dims: Sequence[str] = ()) -> Any:
    """Register data of the model on the context stack, or return it where it is registered."""
    import pymc as pm
    import pymc.dims as pmd

    model, numbers = pm.modelcontext(None), np.asarray(values, dtype=float)
    data = model.named_vars.get(name)
    if data is None:
        return pmd.Data(name, numbers, dims=tuple(dims), shape=numbers.shape)
    is_same = data in model.data_vars and data.type.dims == tuple(dims)
    if not (is_same and np.array_equal(data.get_value(), numbers, equal_nan=True)):
        raise ValueError(f"{name} is already defined differently in this graph")
    return data


def add_study_dim(dim: str, labels: Iterable[Any], studies: Iterable[Any]) -> None:
    """Add a dim to the model on the context stack, with the study of each label."""
    import pymc as pm

    pm.modelcontext(None).add_coords({dim: list(labels), study_of(dim): list(studies)})


def add_subset_dim(subset: str, dim: str, positions: Iterable[int]) -> None:
    """Add a dim with some labels of another one, and their studies where that dim has them."""
    import pymc as pm

    model, rows = pm.modelcontext(None), list(positions)
    for whole, part in ((dim, subset), (study_of(dim), study_of(subset))):
        if whole in model.coords:
            model.add_coords({part: [model.coords[whole][row] for row in rows]})
