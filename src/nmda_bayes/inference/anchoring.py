"""Coordinates in which a pooled parameter is held where the trials tell of it.

A parameter that agents and conditions share is a location and offsets,

    theta[agent, condition] = location + between_agent z[agent] + between_condition z[condition],

and trials tell theta where they are, not the location. One large trial alone then makes a wall of
their sum, across all of its parts and both spreads, which no scale of theirs removes: on the
primary analysis the second derivatives along it were 300 to 1,300 (in SDs), along any other
direction some 80, and with harm linear in dose up to 300,000. The sampler moves in

    anchor = sum of weight theta = location + sum of weight (theta - location)

instead, the weights theta's shares of the information: the wall then stands along one coordinate,
and the mass matrix scales it. What is taken off the location does not depend on it, so that the
Jacobian is 1 and the posterior the graph's own, whatever the weights are.

Of 4,000 draws of the primary analysis (target acceptance 0.9) trees had 127 gradients in the mean
instead of 253, each up to a tenth dearer; with harm linear in dose 200 to 250 instead of 1,022, and
the fit that its checks had refused (R-hat 1.033, 163 effective draws) passed them with 850.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.xtensor as px
import xarray as xr
from pymc.logprob.transforms import Transform
from pytensor.graph.replace import graph_replace

from nmda_bayes.design import WEIGHT
from nmda_bayes.dims import AGENT, CONDITION
from nmda_bayes.inference.normal_reports import normal_reports
from nmda_bayes.model import CHEAP, Outcome, outcomes_of
from nmda_bayes.spec import AnalysisSpec

#: Random points around the middle of the prior at which information is asked for: at the middle
#: itself an Emax of 0 would have no trial tell of its ED50.
POINTS = 16
#: How far they are from it, and the step of a derivative, on the sampler's coordinates.
AWAY, STEP = 1.0, 1e-3
_LOCATION = "_location"


def anchor_weights(
    model: pm.Model, spec: AnalysisSpec, design: xr.DataTree
) -> dict[str, xr.DataArray]:
    """Weigh where the trials tell of each pooled parameter.

    Parameters
    ----------
    model
        The graph of the analysis.
    spec
        The analysis.
    design
        Its design.

    Returns
    -------
    dict[str, xr.DataArray]
        By the name of the location; over the parameter's dims, sums to 1: each arm's information on
        it, the mean over random points. Equal where no arm tells of it.
    """
    found = list(_pooled(model, spec, design))
    if not found:
        return {}
    graph = [v for one in found for v in (model[one.outcome.name("eta")], one.theta)]
    evaluate = pytensor.function(
        model.value_vars,
        [v.values for v in model.replace_rvs_by_values(graph)],
        on_unused_input="ignore",
        **CHEAP,
    )
    middle, rng = model.initial_point(), np.random.default_rng(0)
    told = [np.zeros(one.outcome.reported.sizes["arm"]) for one in found]
    sums = [True] * len(found)
    with np.errstate(all="ignore"):
        for _ in range(POINTS):
            here = {k: v + rng.uniform(-AWAY, AWAY, np.shape(v)) for k, v in middle.items()}
            at = evaluate(*here.values())
            for i, one in enumerate(found):
                name = model.rvs_to_values[one.location].name
                there = evaluate(*(here | {name: here[name] + STEP}).values())
                of_eta, of_theta = ((there[k] - at[k]) / STEP for k in (2 * i, 2 * i + 1))
                told[i] += np.nan_to_num(of_eta**2, posinf=0.0) / POINTS
                sums[i] &= bool(np.allclose(of_theta, 1.0, atol=1e-6))
    return {
        one.location.name: one.shares(information)
        for one, information, is_sum in zip(found, told, sums, strict=True)
        if is_sum
    }


def anchored(model: pm.Model, weights: Mapping[str, Any]) -> pm.Model:
    """Give a graph's locations other coordinates.

    Parameters
    ----------
    model
        The graph; it is changed. A copy made of it afterwards would read the coordinates of this.
    weights
        As `anchor_weights` gives them, or as variables of the graph with the same dims.

    Returns
    -------
    pm.Model
        The same.
    """
    for name, weight in weights.items():
        location, theta = model[name], model[name.removesuffix(_LOCATION)]
        coordinate = model.rvs_to_values[location]
        (value,) = model.replace_rvs_by_values([theta])
        (rest,) = graph_replace([value], {coordinate: px.zeros_like(coordinate)}, strict=False)
        if isinstance(weight, xr.DataArray):
            weight = px.as_xtensor(weight.to_numpy(), dims=weight.dims)
        transform = _Anchored((weight * rest).sum())
        model.rvs_to_transforms[location] = transform
        coordinate.name = f"{name}_{transform.name}__"
    return model


@dataclass(frozen=True)
class _Pooled:
    """A parameter with a location of its own."""

    outcome: Outcome
    theta: Any
    location: Any
    dims: tuple[str, ...]

    def shares(self, squares: np.ndarray) -> xr.DataArray:
        """Part the information on the parameter over its elements."""
        outcome, coords = self.outcome, _coords(self.outcome)
        reports = normal_reports(outcome)
        information = squares * (np.ones_like(squares) if reports is None else reports[1])
        if WEIGHT in outcome.reported:
            information = information * outcome.reported[WEIGHT].to_numpy().astype(float)
        cells = np.zeros([len(coords[dim]) for dim in self.dims])
        where = [outcome.positions(_column(outcome, dim), coords[dim]).data for dim in self.dims]
        np.add.at(cells, tuple(where), information)
        if not cells.sum() > 0:
            cells[...] = 1.0
        return xr.DataArray(cells / cells.sum(), dims=self.dims)


def _pooled(model: pm.Model, spec: AnalysisSpec, design: xr.DataTree) -> Iterator[_Pooled]:
    """Find parameters with a location on their own scale, over dims that arms have labels of."""
    free = {rv.name: rv for rv in model.free_RVs if model.rvs_to_transforms[rv] is None}
    for outcome in outcomes_of(spec, design):
        for name in outcome.spec.parameters:
            theta = model.named_vars.get(outcome.name(name))
            location = free.get(outcome.name(name) + _LOCATION)
            if theta is None or location is None:
                continue
            dims = tuple(theta.type.dims)
            if dims and set(dims) <= set(_coords(outcome)):
                yield _Pooled(outcome, theta, location, dims)


def _coords(outcome: Outcome) -> dict[str, np.ndarray]:
    return {dim: outcome.labels[dim].to_numpy() for dim in (AGENT, CONDITION)} | outcome.studies


def _column(outcome: Outcome, dim: str) -> str:
    return dim if dim in (AGENT, CONDITION) else outcome.column_of(dim)


class _Anchored(Transform):  # type: ignore[misc]
    """A location less what of the anchor is not it."""

    name = "anchored"

    def __init__(self, off: Any) -> None:
        self._off = off

    def forward(self, value: Any, *inputs: Any) -> Any:
        """Start in the middle, where the offsets are 0."""
        return value

    def backward(self, value: Any, *inputs: Any) -> Any:
        return value - self._off

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return px.zeros_like(value)
