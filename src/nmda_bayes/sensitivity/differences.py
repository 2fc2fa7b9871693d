"""In what an analysis differs from another, where it differs in so little that weights may do.

Two graphs are compared node by node. They may differ in priors of free variables (in numbers, or in
families of one support) and in trials that weigh nothing. Whatever
else differs, a value, a label, a curve, makes them strangers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from pymc.dims.distributions.transforms import LogOddsTransform, LogTransform
from pytensor.compile import SharedVariable
from pytensor.graph.basic import equal_computations
from pytensor.graph.traversal import ancestors

from nmda_bayes.design import OUTCOMES, WEIGHT
from nmda_bayes.dims import STUDY

#: Of families on the whole line, on its positive half, and between 0 and 1: two of one kind are
#: positive on the same values.
OF_ONE_SUPPORT = (type(None), LogTransform, LogOddsTransform)


@dataclass(frozen=True)
class Difference:
    """What another analysis has otherwise.

    Attributes
    ----------
    priors
        Free variables whose priors are others.
    gone
        Trials that weigh nothing there, and 1 here.
    """

    priors: tuple[str, ...]
    gone: tuple[str, ...]


def difference(
    model: pm.Model, design: xr.DataTree, other: pm.Model, its: xr.DataTree
) -> Difference | None:
    """Say in what an analysis differs from another.

    Parameters
    ----------
    model, design
        The one, its design with weights.
    other, its
        The other, likewise.

    Returns
    -------
    Difference or None
        None where more differs than priors and whole trials left out.
    """
    if not _same_variables(model, other):
        return None
    if not _same(_all_but_priors(model), _all_but_priors(other), model, other):
        return None
    free = [str(rv.name) for rv in model.free_RVs]
    moved = [name for name in free if not _same([model[name]], [other[name]], model, other)]
    if any(not _same_support(model, other, name) for name in moved):
        return None
    gone = _left_out(design, its)
    return None if gone is None else Difference(tuple(moved), tuple(gone))


def _same_variables(model: pm.Model, other: pm.Model) -> bool:
    """Say whether labels are the same, and the free variables in name, dims and type."""
    described = []
    for one in (model, other):
        labels = {name: tuple(given or ()) for name, given in one.coords.items()}
        variables = [*one.basic_RVs, *one.deterministics]
        dims = {rv.name: one.named_vars_to_dims.get(rv.name) for rv in variables}
        described.append((labels, dims, [(rv.name, rv.type) for rv in one.free_RVs]))
    return bool(described[0] == described[1])


def _all_but_priors(model: pm.Model) -> list[Any]:
    observed = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return [*model.observed_RVs, *model.deterministics, *model.potentials, *observed]


def _same(
    ours: list[Any], theirs: list[Any], model: pm.Model, other: pm.Model, *, values: bool = True
) -> bool:
    """Say whether variables follow alike from the free ones, and from data of the same values."""
    if len(ours) != len(theirs):
        return False
    free = [[rv for rv in m.free_RVs if rv not in v] for m, v in ((model, ours), (other, theirs))]
    data = [_data_of(v, cut) for v, cut in zip((ours, theirs), free, strict=True)]
    if [(d.name, d.type) for d in data[0]] != [(d.name, d.type) for d in data[1]]:
        return False
    if values and any(_moved(here, there) for here, there in zip(*data, strict=True)):
        return False
    (in_ours, in_theirs) = ([*cut, *held] for cut, held in zip(free, data, strict=True))
    return bool(equal_computations(ours, theirs, in_xs=in_ours, in_ys=in_theirs))


def _data_of(variables: list[Any], cut: list[Any]) -> list[Any]:
    """Give what is held outside of the graph above some variables, up to where it is cut."""
    return [v for v in ancestors(variables, blockers=cut) if isinstance(v, SharedVariable)]


def _moved(here: Any, there: Any) -> bool:
    """Say whether a datum has another value; weights of rows are compared by trial."""
    if str(here.name).endswith(f".{WEIGHT}"):
        return False
    one, two = here.get_value(borrow=True), there.get_value(borrow=True)
    numbers = isinstance(one, np.ndarray)
    return numbers and not np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


def _same_support(model: pm.Model, other: pm.Model, name: str) -> bool:
    """Say whether two priors of a variable are positive on the same values."""
    ours, theirs = (type(one.rvs_to_transforms[one[name]]) for one in (model, other))
    if ours is theirs and ours in OF_ONE_SUPPORT:
        return True
    # Bounds are constants of a graph, so that one with other numbers alone has the same.
    return _same([model[name]], [other[name]], model, other, values=False)


def _left_out(before: xr.DataTree, after: xr.DataTree) -> list[str] | None:
    """Name the trials whose weight fell to 0 in every outcome; None where else weights differ."""
    gone: set[str] = set()
    kept: set[str] = set()
    for name, node in before[OUTCOMES].children.items():
        studies = node[STUDY].to_numpy().astype(str)
        old, new = (tree[f"{OUTCOMES}/{name}"][WEIGHT].to_numpy() for tree in (before, after))
        if not np.all((new == old) | ((new == 0) & (old == 1))):
            return None
        gone |= set(studies[new != old])
        kept |= set(studies[new == old])
    return None if gone & kept else sorted(gone)
