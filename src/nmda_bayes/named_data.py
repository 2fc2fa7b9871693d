"""Known numbers as named data of a graph, so that a compiled graph takes other ones.

Compiling the primary analysis takes 14 s of processor time, and sampling it little more. What a
column holds and how wide a prior is are therefore inputs of the compiled density and no constants
in it; what they are called is how they are found again. Shapes stay fixed: another number of arms
is another graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def named_data(name: str, values: Any, dims: Sequence[str] = ()) -> Any:
    """Take known numbers into the model on the stack.

    Parameters
    ----------
    name
        What they are called there, such as ``arm.exposure`` or ``emax_location.sigma``.
    values
        The numbers.
    dims
        Their dims.

    Returns
    -------
    Any
        A `pymc.dims` variable over ``dims``; the same one where a part asks for it again.

    Raises
    ------
    ValueError
        If the name holds other numbers already.
    """
    import pymc as pm
    import pymc.dims as pmd

    model = pm.modelcontext(None)
    given = np.asarray(values, dtype=float)
    held = model.named_vars.get(name)
    if held is None:
        return pmd.Data(name, given, dims=tuple(dims), shape=given.shape)
    known = held in model.data_vars and held.type.dims == tuple(dims)
    if not (known and np.array_equal(held.get_value(), given, equal_nan=True)):
        raise ValueError(f"{name} stands for something else in this graph")
    return held
