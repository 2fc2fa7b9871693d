"""The log density of each study, as a function of what is its own and of what all studies share.

The graph's free variables part in two. Those over studies or arms (a baseline, effects of arms,
tails, the people of a crossover trial) are a study's own; all others are shared. Given what is
shared the studies are independent, so that the log joint density falls into one term a study, and
its gradient holds every study's gradient at once.

The terms are the graph's own densities, vectorised over draws of what is shared and over places of
what is a study's own: nothing of the model is written a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytensor.xtensor as px
import xarray as xr
from pymc.model.transform.conditioning import remove_value_transforms
from pymc.model.transform.optimization import freeze_dims_and_data
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.xtensor.vectorization import vectorize_graph

from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.inference.ownership import Ownership
from nmda_bayes.inference.plain_linker import ON_ARRAYS
from nmda_bayes.model.weighing import whitened

#: Dims of the vectorised graph: draws of what is shared, places of what is a study's own.
POINT, PLACE = "draw_of_shared", "place_of_own"

UNCHECKED = "local_remove_check_parameter"

Terms = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class StudyTerms:
    """The log joint density of each study's data and own variables, given what is shared.

    Attributes
    ----------
    studies
        Their names.
    owner
        The place among the studies of each scalar that is a study's own.
    own
        The variables that are so, with their dims, and the places of their scalars.
    shared
        The shared variables, with their dims.
    start
        Where the graph starts, one value a scalar, for own variables on another scale than drawn.
    evaluate
        ``evaluate(own, shared)``: the terms, dims draw, place, study, from ``own`` (draw, place,
        scalar).
    slope
        The same arguments: the derivative of the sum of all terms by each scalar of ``own``.
    width
        Scalars of the terms at one draw and place, for the size of what is evaluated at once.
    """

    studies: tuple[str, ...]
    owner: np.ndarray
    own: Mapping[str, tuple[tuple[str, ...], slice]]
    shared: Mapping[str, tuple[str, ...]]
    start: np.ndarray
    evaluate: Terms
    slope: Terms
    width: int

    def taken_from(self, draws: xr.Dataset) -> tuple[np.ndarray, list[np.ndarray]]:
        """Take what the terms ask for out of draws.

        Parameters
        ----------
        draws
            Free variables of the graph, over dim `POINT`.

        Returns
        -------
        tuple
            Own variables, dims draw and scalar, to start from; and the shared ones.
        """
        start = np.tile(self.start, (draws.sizes[POINT], 1))
        for name, (dims, places) in self.own.items():
            values = draws[name].transpose(POINT, *dims).to_numpy()
            start[:, places] = values.reshape(len(values), -1)
        shared = [draws[name].transpose(POINT, *dims) for name, dims in self.shared.items()]
        return start, [np.asarray(values.to_numpy(), dtype=float) for values in shared]


def study_terms(model: pm.Model, design: xr.DataTree) -> StudyTerms:
    """Part the log density of a graph by study.

    Parameters
    ----------
    model
        The graph.
    design
        Its design, which says whose each arm is.

    Returns
    -------
    StudyTerms
        Functions of arrays of draws.

    Raises
    ------
    SpecError
        If the graph does not part so, with every reason.
    """
    of = Ownership(model, design)
    reasons = list(of.reasons())
    if reasons:
        mend = "Leave studies out by refitting without them."
        message = "the density of a study cannot be told from the others': "
        raise SpecError([Fault(message + reason, mend) for reason in reasons])
    names = [rv.name for rv in model.free_RVs]
    own = [name for name in names if of.dim(name)]
    shared = [name for name in names if name not in own]
    # With its dims and data frozen the graph's shapes are numbers, and nothing asks for them again.
    plain = freeze_dims_and_data(remove_value_transforms(model, [model[n] for n in shared]))
    values = {rv.name: plain.rvs_to_values[rv] for rv in plain.free_RVs}
    layout, start = {}, 0
    for name in own:
        layout[name] = slice(start, start + of.size(name))
        start += of.size(name)
    flat = pt.tensor("own", shape=(None, None, start))
    given = {name: _over_draws(values[name], of.dims(name)) for name in shared}
    places = {n: _placed(flat, layout[n], of.dims(n), of.shape(n)) for n in own}
    rows = _rows(plain, own, of)
    replaced = {values[name]: new for name, new in (given | places).items()}
    # Parameters out of their range give no number here, and `terms` refuses it: a check would stop
    # every draw for one.
    simple = rewrite_graph(list(rows.values()), include=("canonicalize", UNCHECKED), clone=False)
    vectorised = vectorize_graph(simple, replaced)
    # Terms that depend on nothing of a study's own have its dims all the same.
    anchor = px.as_xtensor(flat.sum(-1) * 0.0, dims=(POINT, PLACE))
    along = [(row + anchor).transpose(POINT, PLACE, ...).values for row in vectorised]
    along = rewrite_graph([row.flatten(3) for row in along], include=("lower_xtensor",))
    inputs = [flat, *given.values()]
    total = sum(row.sum() for row in along)
    slope = _compiled(inputs, [pytensor.grad(total, flat, disconnected_inputs="ignore")])
    owners = [of.owners(name) for name in rows]
    drawn = {n: (of.dims(n), layout[n]) for n in own if values[n].name == n}
    return StudyTerms(
        studies=of.studies,
        owner=np.concatenate([of.owners(name) for name in own] or [np.array([], int)]),
        own=drawn,
        shared={name: of.dims(name) for name in shared},
        start=_start(plain, {n: values[n].name for n in own}),
        evaluate=_summed(_compiled(inputs, along), owners, len(of.studies)),
        slope=lambda own, shared: slope(own, *shared)[0],
        width=sum(map(len, owners)),
    )


def _rows(model: pm.Model, own: Sequence[str], of: Ownership) -> dict[str, Any]:
    """Log densities of own variables and of what was observed, one a row, labelled."""
    joint = [rv for rv in model.observed_RVs if of.is_joint(rv.name)]
    single = [model[name] for name in own]
    single += [rv for rv in model.observed_RVs if rv not in joint]
    densities = model.logp(vars=single, sum=False, jacobian=True)
    found = {rv.name: density for rv, density in zip(single, densities, strict=True)}
    parted = model.replace_rvs_by_values([whitened(rv, model.rvs_to_values[rv]) for rv in joint])
    found |= {rv.name: row for rv, row in zip(joint, parted, strict=True)}
    rows = {
        name: row if hasattr(row.type, "dims") else px.as_xtensor(row, dims=of.dims(name))
        for name, row in found.items()
    }
    for rv in model.observed_RVs:
        weights = of.weights(rv.name)
        if not isinstance(weights, float):
            rows[rv.name] = rows[rv.name] * px.as_xtensor(weights, dims=of.dims(rv.name))
    return rows


def _over_draws(value: Any, dims: tuple[str, ...]) -> Any:
    shape = (None, *getattr(value.type, "shape", ()))
    return px.xtensor(f"{value.name}_draws", dims=(POINT, *dims), shape=shape)


def _placed(flat: Any, places: slice, dims: tuple[str, ...], shape: tuple[int, ...]) -> Any:
    """Read a variable out of the row of all that is a study's own."""
    here = flat[:, :, places].reshape((flat.shape[0], flat.shape[1], *shape))
    return px.as_xtensor(here, dims=(POINT, PLACE, *dims))


def _start(model: pm.Model, names: Mapping[str, str]) -> np.ndarray:
    point = model.initial_point()
    return np.concatenate([np.ravel(point[value]) for value in names.values()] or [np.zeros(0)])


def _compiled(inputs: list[Any], outputs: list[Any]) -> Callable[..., list[np.ndarray]]:
    compiled = pytensor.function(inputs, outputs, mode=ON_ARRAYS, on_unused_input="ignore")
    return lambda *values: compiled(*values)


def _summed(rows: Callable[..., list[np.ndarray]], owners: list[np.ndarray], count: int) -> Terms:
    """Add up the rows of each study."""
    indicators = [np.equal.outer(owner, np.arange(count)).astype(float) for owner in owners]

    def terms(own: np.ndarray, shared: Sequence[np.ndarray]) -> np.ndarray:
        with np.errstate(all="ignore"):  # a wild place is refused by its density
            found = rows(own, *shared)
        # Of infinity times 0 there is no sum: what is impossible is as good as exp(-1e300).
        parts = [np.nan_to_num(row, nan=-1e300, neginf=-1e300) @ by
                 for row, by in zip(found, indicators, strict=True)]  # fmt: skip
        return np.asarray(sum(parts))

    return terms
