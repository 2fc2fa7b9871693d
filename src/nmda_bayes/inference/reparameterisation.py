"""Reparameterisations that remove funnels between effects and their SDs.

*Conditional non-centring.* Given all else, a study's baseline b, the effects z of its arms and the
variables u that arms share linearly (agents' Emax, offsets, a location) have normal priors, and the
linear predictor is affine in them,

    eta[arm] = c[arm] + Σ f[arm] u[element] + g[arm] b[study] + a[arm] z[arm].

An arm whose baseline is the mean of its study's arms reads the effects of several agents: their
elements are then on several rows of f, no two that one arm reads on the same.

Each arm's data are nearly a normal observation of eta, with mean h and information W. In that
normal model u, b given u, and z given both are normal with moments in closed form; the sampler
moves in the variables standardised by them (`conditional_normal`). The map is a bijection with a
known Jacobian, so the posterior is unchanged for any h and W; with normal data the standardised
variables are independent of all else.

*Recentring.* The location of a pooled parameter is replaced by a weighted mean of its elements,
weighted by the information that the trials have on each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytensor.xtensor as px
import pytensor.xtensor.math as xp
import xarray as xr
from pymc.distributions.transforms import Transform
from pymc.model.fgraph import clone_model
from pytensor.graph import ancestors, graph_replace
from pytensor.tensor.random.basic import HalfNormalRV, NormalRV

from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import ARM_REPORT, WEIGHT
from nmda_bayes.dims import AGENT, CONDITION, SEPARATOR, STUDY, positions_in
from nmda_bayes.inference.compiled import constant_values, set_transform
from nmda_bayes.inference.conditional_normal import ConditionalNormal
from nmda_bayes.model import OFFSET, PY_MODE, Outcome, model_outcomes
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.rules import BASELINE

ETA = "eta"
LOCATION_SUFFIX = "_location"
#: Random points around the centre of the prior at which information is evaluated: at the centre
#: itself, with an Emax of 0, no trial has information on ED50.
RECENTERING_POINTS = 16
#: Their largest distance from it, and the step of a derivative, on the unconstrained scale.
PROBE_DISTANCE, DIFFERENCE_STEP = 1.0, 1e-3
#: The Cholesky factor of the shared variables grows with the cube of their number.
MAX_SHARED_LATENTS = 40
#: Random points at which eta must be affine in a variable.
AFFINITY_POINTS = 2


def normal_approximation(outcome: Outcome) -> tuple[np.ndarray, np.ndarray] | None:
    """Each arm's estimate of its linear predictor and its information, dim arm.

    Information is 0 for arms with other data; None if no arm has any.
    """
    likelihood, rows = LIKELIHOODS[outcome.spec.likelihood], outcome.reported
    arms = rows["report"].to_numpy() == ARM_REPORT
    if likelihood.approximate is None or not arms.any():
        return None
    with np.errstate(all="ignore"):
        estimate, information = likelihood.approximate(likelihood.numbers(rows))
    known = arms & np.isfinite(estimate) & np.isfinite(information) & (information > 0)
    if not known.any():
        return None
    return np.where(known, estimate, 0.0), np.where(known, information, 0.0)


def _evaluator(model: pm.Model, variables: Sequence[Any]) -> Any:
    """A function of the values of a graph's free variables."""
    outputs = [v.values for v in model.replace_rvs_by_values(list(variables))]
    return pytensor.function(model.value_vars, outputs, on_unused_input="ignore", mode=PY_MODE)


# --- Recentring ----------------------------------------------------------------------------------


def recentering_weights(
    model: pm.Model, spec: AnalysisSpec, design: xr.DataTree
) -> dict[str, xr.DataArray]:
    """The share of each element of a pooled parameter in the trials' information on it."""
    pooled = list(_pooled_parameters(model, spec, design))
    if not pooled:
        return {}
    graph = [v for p in pooled for v in (model[p.outcome.name(ETA)], p.theta)]
    evaluate = _evaluator(model, graph)
    centre, rng = model.initial_point(), np.random.default_rng(0)
    squares = [np.zeros(p.outcome.reported.sizes["arm"]) for p in pooled]
    additive = [True] * len(pooled)
    with np.errstate(all="ignore"):
        for _ in range(RECENTERING_POINTS):
            point = {
                k: v + rng.uniform(-PROBE_DISTANCE, PROBE_DISTANCE, np.shape(v))
                for k, v in centre.items()
            }
            before = evaluate(*point.values())
            for i, p in enumerate(pooled):
                name = model.rvs_to_values[p.location].name
                after = evaluate(*(point | {name: point[name] + DIFFERENCE_STEP}).values())
                eta_slope, theta_slope = (
                    (after[k] - before[k]) / DIFFERENCE_STEP for k in (2 * i, 2 * i + 1)
                )
                squares[i] += np.nan_to_num(eta_slope**2, posinf=0.0) / RECENTERING_POINTS
                additive[i] &= bool(np.allclose(theta_slope, 1.0, atol=1e-6))
    return {
        p.location.name: p.shares(slopes)
        for p, slopes, is_sum in zip(pooled, squares, additive, strict=True)
        if is_sum
    }


def recenter_locations(model: pm.Model, weights: Mapping[str, Any]) -> pm.Model:
    """Replace each location by the weighted mean of its parameter's elements, in place."""
    for name, weight in weights.items():
        location, theta = model[name], model[name.removesuffix(LOCATION_SUFFIX)]
        coordinate = model.rvs_to_values[location]
        (value,) = model.replace_rvs_by_values([theta])
        (deviation,) = graph_replace([value], {coordinate: px.zeros_like(coordinate)}, strict=False)
        if isinstance(weight, xr.DataArray):
            weight = px.as_xtensor(weight.to_numpy(), dims=weight.dims)
        set_transform(model, location, _Recentered((weight * deviation).sum()))
    return model


@dataclass(frozen=True)
class _PooledParameter:
    """A parameter with a location on its own scale, over dims that arms have labels of."""

    outcome: Outcome
    theta: Any
    location: Any
    dims: tuple[str, ...]

    def shares(self, squares: np.ndarray) -> xr.DataArray:
        """Each element's share of the information, given squared slopes of eta, dim arm."""
        outcome, coords = self.outcome, _coords(self.outcome)
        normal = normal_approximation(outcome)
        information = squares * (np.ones_like(squares) if normal is None else normal[1])
        if AGENT in self.dims:
            # The reference has no element; with a centred study its eta depends on those of others.
            information = information * (outcome.reported["exposure"].to_numpy().astype(float) > 0)
        if WEIGHT in outcome.reported:
            information = information * outcome.reported[WEIGHT].to_numpy().astype(float)
        cells = np.zeros([len(coords[dim]) for dim in self.dims])
        columns = [d if d in (AGENT, CONDITION) else outcome.column_of(d) for d in self.dims]
        positions = [
            outcome.positions(column, coords[dim]).data
            for column, dim in zip(columns, self.dims, strict=True)
        ]
        np.add.at(cells, tuple(positions), information)
        if not cells.sum() > 0:
            cells[...] = 1.0
        return xr.DataArray(cells / cells.sum(), dims=self.dims)


def _pooled_parameters(
    model: pm.Model, spec: AnalysisSpec, design: xr.DataTree
) -> Iterator[_PooledParameter]:
    free = {rv.name: rv for rv in model.free_RVs if model.rvs_to_transforms[rv] is None}
    for outcome in model_outcomes(spec, design):
        for name in map(outcome.name, outcome.spec.parameters):
            theta, location = model.named_vars.get(name), free.get(name + LOCATION_SUFFIX)
            if theta is not None and location is not None:
                dims = tuple(theta.type.dims)
                if dims and set(dims) <= set(_coords(outcome)):
                    yield _PooledParameter(outcome, theta, location, dims)


def _coords(outcome: Outcome) -> dict[str, np.ndarray]:
    return {dim: outcome.labels[dim].to_numpy() for dim in (AGENT, CONDITION)} | outcome.studies


class _Recentered(Transform):  # type: ignore[misc]
    """A location as the weighted mean less the weighted deviations."""

    name = "recentered"

    def __init__(self, deviation: Any) -> None:
        self._deviation = deviation

    def forward(self, value: Any, *inputs: Any) -> Any:
        return value  # start at the centre, where the deviations are 0

    def backward(self, value: Any, *inputs: Any) -> Any:
        return value - self._deviation

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return px.zeros_like(value)


# --- Conditional non-centring --------------------------------------------------------------------


def conditional_noncentering(model: pm.Model, spec: AnalysisSpec, design: xr.DataTree) -> pm.Model:
    """A copy of a graph whose effects are nearly standard normal, whatever the other values."""
    model = clone_model(model)
    # SDs first: all else depends on their coordinates.
    for rv in model.free_RVs:
        if isinstance(getattr(rv.owner.op, "core_op", None), HalfNormalRV):
            set_transform(model, rv, _Softplus(rv.owner.inputs[-1]))
    latents = list(_outcome_latents(model, spec, design))
    values = [model.rvs_to_values[rv] for of in latents for rv in of.variables]
    etas = model.replace_rvs_by_values([model[of.outcome.name(ETA)] for of in latents])
    transforms = [
        pair
        for of, eta in zip(latents, etas, strict=True)
        for pair in _conditional_transforms(model, of, eta, values)
    ]
    for rv, transform in transforms:
        set_transform(model, rv, transform)
    return model


@dataclass(frozen=True)
class SharedLatents:
    """Normal variables that arms share and eta is affine in, their elements concatenated.

    ``rows`` are sets of elements of a variable of which each arm reads at most one: the variable
    and an indicator of the elements. ``element`` is that which each arm reads (row, arm), ``prior``
    has the mean and the precision of each element.
    """

    variables: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, np.ndarray], ...]
    element: np.ndarray
    prior: np.ndarray

    def split(self, elements: Any) -> list[Any]:
        """Split elements into variables."""
        ends = np.cumsum([0, *map(math.prod, self.shapes)])
        return [
            elements[start:end].reshape(shape)
            for (start, end), shape in zip(pairwise(ends), self.shapes, strict=True)
        ]


@dataclass(frozen=True)
class _OutcomeLatents:
    """Shared variables, baselines with their prior, and arm effects (or None) of an outcome."""

    outcome: Outcome
    baseline: Any
    mean: float
    sd: float
    offset: Any
    shared: SharedLatents

    @property
    def variables(self) -> list[Any]:
        """Shared variables, baselines, and arm effects if any."""
        single = [rv for rv in (self.baseline, self.offset) if rv is not None]
        return [*self.shared.variables, *single]


def _outcome_latents(
    model: pm.Model, spec: AnalysisSpec, design: xr.DataTree
) -> Iterator[_OutcomeLatents]:
    """The variables to standardise, of outcomes with a normal baseline and approximation."""
    for outcome in model_outcomes(spec, design):
        baseline = outcome.spec.parameters.get(BASELINE)
        # A mixture of two SDs has no single normal to standardise by.
        mixture = HETEROGENEITIES[outcome.spec.heterogeneity].offset_parameters
        if baseline is None or mixture or normal_approximation(outcome) is None:
            continue
        each = baseline.priors.get("each")
        if baseline.pooling == "independent" and each is not None and each.dist == "Normal":
            name, mean, sd = outcome.name(BASELINE), each.kwargs["mu"], each.kwargs["sigma"]
        elif baseline.pooling == STUDY:
            name, mean, sd = outcome.name(f"{BASELINE}_{STUDY}{OFFSET}"), 0.0, 1.0
        else:
            continue
        rv = _untransformed(model, name, outcome.study)
        if rv is not None:
            offset = _untransformed(model, outcome.name("arm" + OFFSET), outcome.arm)
            single = [v for v in (rv, offset) if v is not None]
            shared = shared_latents(model, outcome, single)
            yield _OutcomeLatents(outcome, rv, float(mean), float(sd), offset, shared)


def _untransformed(model: pm.Model, name: str, dim: str) -> Any:
    """A free variable over one dim that has no transform, or None."""
    for rv in model.free_RVs:
        if rv.name == name and model.rvs_to_transforms[rv] is None and rv.type.dims == (dim,):
            return rv
    return None


def shared_latents(model: pm.Model, outcome: Outcome, single: Sequence[Any]) -> SharedLatents:
    """Find the normal variables that arms share and eta is affine in, by evaluating it."""
    predictor = _EtaEvaluator(model, outcome)
    kept: list[Any] = []
    rows: list[tuple[int, np.ndarray]] = []
    elements: list[np.ndarray] = []
    priors: list[np.ndarray] = [np.zeros((2, 0))]
    size = 0
    for rv, prior in _candidates(model, outcome):
        if any(rv is v for v in single) or size + prior.shape[1] > MAX_SHARED_LATENTS:
            continue
        read = predictor.elements_read(rv, [*single, *kept])
        if read is not None:
            for members in disjoint_rows(read):
                rows.append((len(kept), members.reshape(predictor.shape(rv))))
                elements.append(size + (read & members[:, None]).argmax(axis=0))
            kept.append(rv)
            priors.append(prior)
            size += prior.shape[1]
    element = np.array(elements, dtype=np.int64).reshape(len(rows), predictor.arms)
    shapes = tuple(predictor.shape(rv) for rv in kept)
    return SharedLatents(tuple(kept), shapes, tuple(rows), element, np.concatenate(priors, axis=1))


def disjoint_rows(read: np.ndarray) -> list[np.ndarray]:
    """Divide elements into sets of which each arm reads at most one; ``read`` is (element, arm)."""
    rows: list[np.ndarray] = []
    for k in range(len(read)):
        for members in rows:
            if not (read[members].any(axis=0) & read[k]).any():
                members[k] = True
                break
        else:
            rows.append(np.arange(len(read)) == k)
    return rows


def _candidates(model: pm.Model, outcome: Outcome) -> Iterator[tuple[Any, np.ndarray]]:
    """Untransformed normal variables of this outcome only, with mean and precision."""
    name = outcome.name(ETA)
    etas = {n: v for n, v in model.named_vars.items() if n.rpartition(SEPARATOR)[2] == ETA}
    of_others = set(ancestors([v for n, v in etas.items() if n != name]))
    start = model.initial_point()
    for rv in model.free_RVs:
        normal = isinstance(getattr(rv.owner.op, "core_op", None), NormalRV)
        if not normal or model.rvs_to_transforms[rv] is not None or rv in of_others:
            continue
        moments = constant_values([v.values for v in rv.owner.inputs[-2:]])
        if moments is not None:
            ones = np.ones(np.size(start[model.rvs_to_values[rv].name]))
            yield rv, np.array([ones * float(moments[0]), ones * float(moments[1]) ** -2])


class _EtaEvaluator:
    """The linear predictor of an outcome at a random point, as a function of some variables."""

    def __init__(self, model: pm.Model, outcome: Outcome) -> None:
        self._evaluate = _evaluator(model, [model[outcome.name(ETA)].transpose(outcome.arm)])
        self._names = {rv: model.rvs_to_values[rv].name for rv in model.free_RVs}
        self._rng = np.random.default_rng(0)
        self._point = {
            name: self._rng.normal(scale=0.5, size=np.shape(value))
            for name, value in model.initial_point().items()
        }
        self.arms = outcome.reported.sizes["arm"]

    def shape(self, rv: Any) -> tuple[int, ...]:
        """The shape of a variable."""
        return np.shape(self._point[self._names[rv]])

    def _eta(self, values: Mapping[Any, np.ndarray]) -> np.ndarray:
        point = self._point | {self._names[rv]: x for rv, x in values.items()}
        return np.asarray(self._evaluate(*point.values())[0])

    def elements_read(self, rv: Any, others: Sequence[Any]) -> np.ndarray | None:
        """The elements of a variable that each arm reads; None unless eta is affine in them."""
        zeros = {v: np.zeros(self.shape(v)) for v in (*others, rv)}
        constant = self._eta(zeros)
        size = math.prod(self.shape(rv))
        units = np.eye(size).reshape(size, *self.shape(rv))
        slopes = np.array([self._eta(zeros | {rv: unit}) - constant for unit in units])
        read = np.abs(slopes) > 1e-9 * np.abs(slopes).max()
        if not read.any():
            return None
        for _ in range(AFFINITY_POINTS):
            x = {v: self._rng.normal(size=zero.shape) for v, zero in zeros.items()}
            change = self._eta(x) - constant
            expected = x[rv].ravel() @ slopes + self._eta(x | {rv: zeros[rv]}) - constant
            doubled = self._eta({v: 2 * value for v, value in x.items()}) - constant
            for value, limit in ((change, expected), (doubled, 2 * change)):
                if not np.allclose(value, limit, rtol=1e-8, atol=1e-8):
                    return None
        return np.asarray(read)


def _conditional_transforms(
    model: pm.Model, latents: _OutcomeLatents, eta: Any, values: Sequence[Any]
) -> Iterator[tuple[Any, Transform]]:
    """The transform of each variable of an outcome."""
    outcome, shared, normal = latents.outcome, latents.shared, normal_approximation(latents.outcome)
    assert normal is not None
    z_u = [model.rvs_to_values[rv] for rv in shared.variables]
    z_b = model.rvs_to_values[latents.baseline]
    z_o = None if latents.offset is None else model.rvs_to_values[latents.offset]

    def eta_at(unit: Any = None, elements: Any = None) -> Any:
        """Eta with all latents 0, but elements of one variable 1."""
        point = {v: px.zeros_like(v) for v in values}
        if unit is not None:
            point[unit] = px.ones_like(unit)
        if elements is not None:
            point[unit] *= px.as_xtensor(elements, dims=unit.type.dims)
        return graph_replace([eta], point, strict=False)[0].transpose(outcome.arm).values

    c, zeros = eta_at(), np.zeros(len(normal[0]))
    a = zeros if z_o is None else eta_at(z_o) - c
    rows = [
        eta_at(z_u[i], None if elements.all() else elements.astype(float)) - c
        for i, elements in shared.rows
    ]
    f = pt.stack(rows) if rows else np.zeros((0, len(zeros)))
    labels = outcome.studies[outcome.study]
    of_arms = outcome.reported[outcome.column_of(outcome.study)].to_numpy()
    study = np.maximum(positions_in(labels, of_arms), 0)
    standardised = [
        pt.concatenate([v.values.ravel() for v in z_u]) if z_u else np.zeros(0),
        z_b.values,
        zeros if z_o is None else z_o.values,
    ]
    prior = np.array([latents.mean, latents.sd**-2])
    g = eta_at(z_b) - c
    inputs = [c, a, g, f, *standardised, study, shared.element, *normal, prior]
    u, b, o, *log_derivatives = ConditionalNormal()(*map(pt.as_tensor, [*inputs, shared.prior]))
    mapped = [*shared.split(u), b, o]
    log_derivatives = [*shared.split(log_derivatives[0]), *log_derivatives[1:]]
    # Without arm effects, o has no variable.
    for rv, *pair in zip(latents.variables, mapped, log_derivatives, strict=False):
        value, log_derivative = (px.as_xtensor(v, dims=rv.type.dims) for v in pair)
        yield rv, _ConditionallyNoncentered(value, log_derivative)


class _ConditionallyNoncentered(Transform):  # type: ignore[misc]
    """A change of variables that depends on the values of other variables."""

    name = "noncentered"

    def __init__(self, value: Any, log_derivative: Any) -> None:
        self._value, self._log_derivative = value, log_derivative

    def forward(self, value: Any, *inputs: Any) -> Any:
        return value * 0.0  # start at the conditional mean

    def backward(self, value: Any, *inputs: Any) -> Any:
        return self._value

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return self._log_derivative


class _Softplus(Transform):  # type: ignore[misc]
    """An SD as scale * log(1 + exp(u)): linear where large, exponential only far below.

    The logarithm of an SD that may be 0 has a long left tail and a wall on the right.
    """

    name = "softplus"

    def __init__(self, scale: Any) -> None:
        self._scale = scale

    def forward(self, value: Any, *inputs: Any) -> Any:
        return xp.log(xp.expm1(value / self._scale))

    def backward(self, value: Any, *inputs: Any) -> Any:
        return self._scale * xp.softplus(value)

    def log_jac_det(self, value: Any, *inputs: Any) -> Any:
        return xp.log(self._scale) - xp.softplus(-value)
