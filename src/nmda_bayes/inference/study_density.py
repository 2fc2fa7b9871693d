"""The log density of each study given the shared variables, its local variables integrated out.

The graph's free variables divide in two: those over studies or arms (a baseline, arm effects, the
people of a crossover trial) are *local* to a study; all others are *shared*. Given the shared
variables the studies are independent, so that the log joint density is a sum of one term per study,
and its gradient holds every study's gradient at once. The terms are the graph's densities,
vectorised over draws of the shared variables and over points of the local ones.

Each term is integrated by the Laplace approximation at its mode; where the integrand is not normal,
by importance sampling from a mixture of that normal and a wider t distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytensor.xtensor as px
import xarray as xr
from pymc.model.transform import freeze_dims_and_data, remove_value_transforms
from pytensor.graph import rewrite_graph
from pytensor.tensor.random.basic import MvNormalRV
from scipy.special import gammaln, ndtri
from scipy.stats import chi2, qmc

from nmda_bayes.design import ARMS, OUTCOMES, WEIGHT
from nmda_bayes.dims import (
    AGENT,
    AGENT_CLASS,
    AGENT_PARAMETER,
    CLUSTER_ARM,
    CONDITION,
    OUTCOME,
    OUTCOME_PAIR,
    PARAMETER_PAIR,
    SEPARATOR,
    STRATUM,
    STUDY,
    positions_in,
    study_of,
)
from nmda_bayes.errors import Issue, SpecError
from nmda_bayes.inference.compiled import numpy_function, over_draws
from nmda_bayes.inference.predictive import UNCHECKED
from nmda_bayes.model.observed import (
    WEIGHT_POTENTIAL,
    mvnormal_row_log_density,
    weighted_arms,
)
from nmda_bayes.model.selection import P_VALUE_STEP, PublicationFactorRV
from nmda_bayes.runtime import single_threaded_blas

#: Dims of shared variables. Treatments of a cluster belong to its trials together: a trial is
#: predicted given its cluster.
AGENT_DIMS = (AGENT, AGENT_CLASS, AGENT_PARAMETER, PARAMETER_PAIR)
SHARED_DIMS = (*AGENT_DIMS, CLUSTER_ARM, CONDITION, OUTCOME, OUTCOME_PAIR, P_VALUE_STEP, STRATUM)
#: Dims of the vectorised graph: draws of the shared variables, points of the local ones.
SHARED_DRAW, LOCAL_POINT = "shared_draw", "local_point"

#: A function of local (draw, point, scalar) and shared values.
Terms = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]


class StudyPartition:
    """The study of each scalar of a graph's variables, by the study coordinates of its dims."""

    def __init__(self, model: pm.Model, design: xr.DataTree) -> None:
        self._model = model
        self._outcomes = design[OUTCOMES].children
        self.studies = tuple(dict.fromkeys(design[ARMS][STUDY].to_numpy()))

    def dims(self, name: str) -> tuple[str, ...]:
        """The dims of a variable."""
        return tuple(self._model.named_vars_to_dims.get(name) or ())

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable."""
        return tuple(len(self._model.coords[dim] or ()) for dim in self.dims(name))

    def study_dim(self, name: str) -> str:
        """The dim along which a variable is local to studies; empty if it is shared."""
        return next(iter(self._study_dims(name)), "")

    def study_index(self, name: str) -> np.ndarray:
        """The position among `studies` of each scalar of a raveled local variable."""
        dim = self.study_dim(name)
        index = positions_in(self.studies, self._model.coords[study_of(dim)])
        along = [-1 if d == dim else 1 for d in self.dims(name)]
        return np.broadcast_to(index.reshape(along), self.shape(name)).ravel()

    def weights(self, name: str) -> np.ndarray | None:
        """The likelihood weight of each row of an observed variable; None if there are none."""
        reported = self._outcomes[name.rpartition(SEPARATOR)[0] or next(iter(self._outcomes))]
        # The density of a publication factor contains the weights.
        is_factor = isinstance(self._model[name].owner.op, PublicationFactorRV)
        if is_factor or WEIGHT not in reported:
            return None
        arms = weighted_arms(self._model, self._model[name], reported.to_dataset())
        return np.asarray(reported[WEIGHT].to_numpy().astype(float)[arms])

    def obstacles(self) -> Iterator[str]:
        """Every reason why the posterior is not a product over studies."""
        for rv in self._model.basic_RVs:
            study_dims = self._study_dims(rv.name)
            for dim in self.dims(rv.name):
                if dim not in study_dims and dim.split(SEPARATOR)[-1] not in SHARED_DIMS:
                    yield f"'{rv.name}' varies over '{dim}', which is neither local nor shared"
            if len(study_dims) > 1:
                yield f"'{rv.name}' varies over {' and '.join(study_dims)} at once"
            if rv in self._model.observed_RVs and not study_dims:
                yield f"'{rv.name}' is observed data of no single study"
        for potential in self._model.potentials:
            if potential.name.split(SEPARATOR)[-1] != WEIGHT_POTENTIAL:
                yield f"'{potential.name}' is a factor of the posterior that belongs to no study"

    def _study_dims(self, name: str) -> list[str]:
        return [dim for dim in self.dims(name) if study_of(dim) in self._model.coords]


@dataclass(frozen=True)
class StudyTerms:
    """The log joint density of each study's data and local variables, given the shared ones.

    ``study_index`` is the study of each local scalar; ``local`` maps local variables to their dims
    and scalars, ``shared`` shared variables to their dims; ``start`` are initial local values.
    """

    studies: tuple[str, ...]
    study_index: np.ndarray
    local: Mapping[str, tuple[tuple[str, ...], slice]]
    shared: Mapping[str, tuple[str, ...]]
    start: np.ndarray
    evaluate: Terms
    gradient: Terms
    n_rows: int

    def split_draws(self, draws: xr.Dataset) -> tuple[np.ndarray, list[np.ndarray]]:
        """Local values (draw, scalar) and shared values of draws."""
        local = np.tile(self.start, (draws.sizes[SHARED_DRAW], 1))
        for name, (dims, scalars) in self.local.items():
            values = draws[name].transpose(SHARED_DRAW, *dims).to_numpy()
            local[:, scalars] = values.reshape(len(values), -1)
        shared = [draws[name].transpose(SHARED_DRAW, *dims) for name, dims in self.shared.items()]
        return local, [np.asarray(values.to_numpy(), dtype=float) for values in shared]


def study_terms(model: pm.Model, design: xr.DataTree) -> StudyTerms:
    """Split the log density of a graph by study."""
    partition = StudyPartition(model, design)
    obstacles = list(partition.obstacles())
    if obstacles:
        hint, message = "Refit without the study instead.", "studies are not separable: "
        raise SpecError([Issue("E560", message + obstacle, hint) for obstacle in obstacles])
    names = [rv.name for rv in model.free_RVs]
    local = [name for name in names if partition.study_dim(name)]
    shared = [name for name in names if name not in local]
    # With its dims and data frozen, the graph's shapes are numbers.
    plain = freeze_dims_and_data(remove_value_transforms(model, [model[n] for n in shared]))
    values = {rv.name: plain.rvs_to_values[rv] for rv in plain.free_RVs}
    ends = np.cumsum([0, *(prod(partition.shape(name)) for name in local)])
    scalars = {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(local)}
    flat = pt.tensor("local", shape=(None, None, int(ends[-1])))
    replaced = {}
    for name in local:
        shape = (flat.shape[0], flat.shape[1], *partition.shape(name))
        dims = (SHARED_DRAW, LOCAL_POINT, *partition.dims(name))
        replaced[values[name]] = px.as_xtensor(flat[:, :, scalars[name]].reshape(shape), dims=dims)
    shared_draws = {}
    for name in shared:
        shape = (None, *getattr(values[name].type, "shape", ()))
        dims = (SHARED_DRAW, *partition.dims(name))
        shared_draws[values[name]] = px.xtensor(f"{name}_draws", dims=dims, shape=shape)
    rows = _row_densities(plain, local, partition)
    # A parameter outside its range gives NaN here, which `_sum_by_study` treats as impossible: a
    # parameter check would stop the evaluation of all draws.
    simple = rewrite_graph(list(rows.values()), include=("canonicalize", UNCHECKED), clone=False)
    vectorised = over_draws(simple, shared_draws | replaced)
    # Terms without local variables get their dims too.
    zero = px.as_xtensor(flat.sum(-1) * 0.0, dims=(SHARED_DRAW, LOCAL_POINT))
    tensors = [(row + zero).transpose(SHARED_DRAW, LOCAL_POINT, ...).values for row in vectorised]
    tensors = rewrite_graph([row.flatten(3) for row in tensors], include=("lower_xtensor",))
    inputs = [flat, *shared_draws.values()]
    total = sum(row.sum() for row in tensors)
    gradient = numpy_function(inputs, [pytensor.grad(total, flat, disconnected_inputs="ignore")])
    row_studies = [partition.study_index(name) for name in rows]
    empty = np.array([], dtype=int)
    point = plain.initial_point()
    return StudyTerms(
        studies=partition.studies,
        study_index=np.concatenate([empty, *(partition.study_index(n) for n in local)]),
        local={n: (partition.dims(n), scalars[n]) for n in local if values[n].name == n},
        shared={name: partition.dims(name) for name in shared},
        start=np.concatenate([np.zeros(0), *(np.ravel(point[values[n].name]) for n in local)]),
        evaluate=_sum_by_study(
            numpy_function(inputs, tensors), row_studies, len(partition.studies)
        ),
        gradient=lambda local, shared: gradient(local, *shared)[0],
        n_rows=sum(map(len, row_studies)),
    )


def _row_densities(
    model: pm.Model, local: Sequence[str], partition: StudyPartition
) -> dict[str, Any]:
    """Log densities of local variables and of observed rows, with dims."""
    joint = [rv for rv in model.observed_RVs if isinstance(rv.owner.op, MvNormalRV)]
    single = [model[name] for name in local]
    single += [rv for rv in model.observed_RVs if rv not in joint]
    densities = model.logp(vars=single, sum=False, jacobian=True)
    densities += model.replace_rvs_by_values(
        [mvnormal_row_log_density(rv, model.rvs_to_values[rv]) for rv in joint]
    )
    rows = {}
    for rv, row in zip([*single, *joint], densities, strict=True):
        dims = partition.dims(rv.name)
        rows[rv.name] = row if hasattr(row.type, "dims") else px.as_xtensor(row, dims=dims)
        weights = partition.weights(rv.name) if rv in model.observed_RVs else None
        if weights is not None:
            rows[rv.name] = rows[rv.name] * px.as_xtensor(weights, dims=dims)
    return rows


def _sum_by_study(
    row_densities: Callable[..., list[np.ndarray]], row_studies: list[np.ndarray], count: int
) -> Terms:
    indicators = [np.equal.outer(index, np.arange(count)).astype(float) for index in row_studies]

    def terms(local: np.ndarray, shared: Sequence[np.ndarray]) -> np.ndarray:
        with np.errstate(all="ignore"):  # impossible values are rejected by their density
            rows = row_densities(local, *shared)
        # A finite floor: infinity times 0 has no sum.
        finite = (np.nan_to_num(row, nan=-1e300, neginf=-1e300) for row in rows)
        return np.asarray(sum(r @ by for r, by in zip(finite, indicators, strict=True)))

    return terms


# --- Modes of the local variables, of every study and draw at once -------------------------------

#: Newton steps at most, and halvings of each.
MAX_STEPS, MAX_HALVINGS = 40, 12
#: A step with a smaller expected gain in log density is the last.
MODE_TOLERANCE = 1e-9
#: Step of the central differences of the gradient, relative to 1 + |value|; exact for a normal.
DIFFERENCE = 1e-4


@dataclass(frozen=True)
class LocalSlots:
    """The scalars of each study (study, slot), and which slots are used."""

    position: np.ndarray
    used: np.ndarray

    @classmethod
    def of(cls, terms: StudyTerms) -> LocalSlots:
        """The slots of a graph's local scalars."""
        scalars = [np.flatnonzero(terms.study_index == s) for s in range(len(terms.studies))]
        count = max(map(len, scalars))
        position = np.array([np.pad(s, (0, count - len(s))) for s in scalars]).astype(int)
        used = np.array([np.arange(count) < len(s) for s in scalars]).reshape(position.shape)
        return cls(position, used)

    @property
    def max_count(self) -> int:
        """The largest number of local scalars of a study."""
        return self.position.shape[1]

    def split(self, row: np.ndarray) -> np.ndarray:
        """Arrange the last dim by study and slot; 0 in unused slots."""
        return np.where(self.used, row[..., self.position], 0.0)

    def join(self, slots: np.ndarray, size: int) -> np.ndarray:
        """The inverse of `split`."""
        row = np.zeros((*slots.shape[:-2], size))
        row[..., self.position[self.used]] = slots[..., self.used]
        return row


@dataclass(frozen=True)
class StudyModes:
    """The mode of each study's term, its height, and the Cholesky factor of its curvature."""

    position: np.ndarray
    height: np.ndarray
    root: np.ndarray

    @classmethod
    def find(
        cls, terms: StudyTerms, slots: LocalSlots, start: np.ndarray, shared: Sequence[np.ndarray]
    ) -> StudyModes:
        """Maximise by Newton's method with step halving."""
        position, size = start, start.shape[-1]
        height = terms.evaluate(position[:, None], shared)[:, 0]
        root = _root(_curvature(terms, slots, position, shared))
        for _ in range(MAX_STEPS if size else 0):
            gradient = slots.split(terms.gradient(position[:, None], shared)[:, 0])
            half = np.linalg.solve(root, gradient[..., None])
            step = np.linalg.solve(np.swapaxes(root, -1, -2), half)[..., 0]
            if (half**2).sum((-1, -2)).max() < MODE_TOLERANCE:
                break
            for _ in range(MAX_HALVINGS):
                moved = position + slots.join(step, size)
                moved_height = terms.evaluate(moved[:, None], shared)[:, 0]
                lower = moved_height < height - 1e-9 * (1 + np.abs(height))
                if not lower.any():
                    break
                step = np.where(lower[..., None], step / 2, step)
            else:
                moved = position + slots.join(np.where(lower[..., None], 0.0, step), size)
                moved_height = np.where(lower, height, moved_height)
            position, height = moved, moved_height
            root = _root(_curvature(terms, slots, position, shared))
        return cls(position, height, root)


def _curvature(
    terms: StudyTerms, slots: LocalSlots, position: np.ndarray, shared: Sequence[np.ndarray]
) -> np.ndarray:
    """The negative Hessian of each study's term; 1 on the diagonal of unused slots.

    Studies are independent, so that one probe moves a slot of all of them at once.
    """
    step, count = DIFFERENCE * (1 + np.abs(position)), slots.max_count
    probes = np.zeros((len(position), max(count, 1), position.shape[-1]))
    for k in range(count):
        probes[:, k] = slots.join(slots.split(step) * np.eye(count)[k], position.shape[-1])
    both = np.concatenate([position[:, None] + probes, position[:, None] - probes], axis=1)
    up, down = np.split(slots.split(terms.gradient(both, shared)), 2, axis=1)
    distance = np.moveaxis(slots.split(step), -1, 1)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = np.where(distance > 0, (down - up) / (2 * distance), 0.0)
    hessian = np.moveaxis(columns, 1, -1)[..., :count]
    hessian = (hessian + np.swapaxes(hessian, -1, -2)) / 2
    return np.asarray(hessian + np.eye(count) * ~slots.used[:, None, :])


def _root(curvature: np.ndarray) -> np.ndarray:
    """Cholesky factors; of the absolute curvature where a term is not concave."""
    try:
        return np.linalg.cholesky(curvature)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(np.nan_to_num(curvature))
        floor = 1e-8 * np.abs(values).max(-1, keepdims=True) + 1e-12
        values = np.maximum(np.abs(values), floor)
        return np.linalg.cholesky((vectors * values[..., None, :]) @ np.swapaxes(vectors, -1, -2))


# --- Integrals over the local variables ----------------------------------------------------------

#: One point in so many is from the t distribution, with so many degrees of freedom and such scale.
T_EVERY, T_DF, T_SCALE = 8, 4, 2.0
#: Where the log integrand deviates from the normal by less at every point, Laplace is exact.
CLOSED_FORM_TOLERANCE = 1e-5
#: Relative change of a log density that another study's variables may cause.
PARTITION_TOLERANCE = 1e-9
#: Numbers evaluated at once: arrays of 16 MB.
MAX_VALUES = 2_000_000


@dataclass(frozen=True)
class StudyLogDensity:
    """Log densities (draw, study), their Monte Carlo standard error, and which are closed forms."""

    log_density: np.ndarray
    mcse: np.ndarray
    closed_form: np.ndarray


@single_threaded_blas
def integrate_studies(
    terms: StudyTerms, draws: xr.Dataset, points: int, seed: int
) -> StudyLogDensity:
    """Integrate the local variables of each study, at each draw of the shared ones."""
    slots = LocalSlots.of(terms)
    rng = np.random.default_rng(seed)
    sobol = qmc.Sobol(slots.max_count + 1, rng=rng).random(points)
    numbers_per_draw = max(points, 2 * slots.max_count) * (terms.n_rows + len(terms.study_index))
    batch = max(1, MAX_VALUES // numbers_per_draw)
    parts = []
    for start in range(0, draws.sizes[SHARED_DRAW], batch):
        local, shared = terms.split_draws(draws.isel({SHARED_DRAW: slice(start, start + batch)}))
        if not start:
            _check_independence(terms, local[:1], [values[:1] for values in shared])
        modes = StudyModes.find(terms, slots, local, shared)
        shifted = (sobol + rng.random((len(local), 1, sobol.shape[1]))) % 1.0
        parts.append(_integrals(terms, slots, modes, shared, shifted))
    laplace, sampled, mcse, deviation = map(np.concatenate, zip(*parts, strict=True))
    closed = deviation.max(0) < CLOSED_FORM_TOLERANCE
    return StudyLogDensity(np.where(closed, laplace, sampled), np.where(closed, 0.0, mcse), closed)


def _check_independence(terms: StudyTerms, local: np.ndarray, shared: Sequence[np.ndarray]) -> None:
    """Move every other study's variables: the terms of the rest must not change."""
    moved = np.where(terms.study_index % 2 == 1, local + 0.1, local)
    after, before = (terms.evaluate(v[:, None], shared)[0, 0][::2] for v in (moved, local))
    changed = np.abs(after - before) > PARTITION_TOLERANCE * (1 + np.abs(before))
    if changed.any():
        names = ", ".join(np.array(terms.studies)[::2][changed])
        message = f"the density of {names} depends on variables of another study"
        raise SpecError([Issue("E561", message, "Refit without the study instead.")])


def _integrals(
    terms: StudyTerms,
    slots: LocalSlots,
    modes: StudyModes,
    shared: Sequence[np.ndarray],
    uniform: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log integrals by Laplace and by sampling, the latter's error, and the non-normality."""
    wide = np.arange(uniform.shape[1]) % T_EVERY == T_EVERY - 1
    inside = uniform.clip(1e-12, 1 - 1e-12)
    z = ndtri(inside[..., :-1])
    z[:, wide] *= T_SCALE / np.sqrt(chi2.ppf(inside[:, wide, -1:], T_DF) / T_DF)
    offset = np.einsum("dsjk,drj->drsk", np.linalg.inv(modes.root), z)
    points = modes.position[:, None] + slots.join(offset, modes.position.shape[-1])
    log_integrand = terms.evaluate(points, shared)
    square = z**2 @ slots.used.T.astype(float)
    log_root = np.log(np.diagonal(modes.root, axis1=-2, axis2=-1)).sum(-1)
    k = slots.used.sum(1)
    laplace = modes.height + k / 2 * np.log(2 * np.pi) - log_root
    normal, proposal = _log_proposals(square, k)
    log_weight = log_integrand - log_root[:, None] - proposal
    sampled, mcse = _log_mean_weight(log_weight, normal - proposal)
    deviation = np.abs(log_integrand - modes.height[:, None] + square / 2)[:, ~wide].max(1)
    return laplace, sampled, mcse, deviation


def _log_mean_weight(
    log_weight: np.ndarray, log_control: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The log of the mean weight over points, and its standard error.

    The normal's share in the proposal is a control variate with mean 1: a normal integrand is
    integrated without error.
    """
    top = log_weight.max(1, keepdims=True)
    weight, control = np.exp(log_weight - top), np.exp(log_control)
    centred = control - control.mean(1, keepdims=True)
    variance = (centred**2).sum(1)
    slope = (centred * weight).sum(1) / np.where(variance > 0, variance, 1.0)
    adjusted = weight - slope[:, None] * (control - 1.0)
    mean, plain_mean = adjusted.mean(1), weight.mean(1)
    # Not used where it would make the mean small or negative.
    safe = mean > plain_mean / 2
    value = np.where(safe, mean, plain_mean)
    sd = np.where(safe, adjusted.std(1), weight.std(1))
    return np.log(value) + top[:, 0], sd / value / np.sqrt(weight.shape[1])


def _log_proposals(square: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log densities at a squared distance from the mode: of the normal, and of the mixture."""
    normal = -square / 2 - k / 2 * np.log(2 * np.pi)
    t = (
        gammaln((T_DF + k) / 2)
        - gammaln(T_DF / 2)
        - k / 2 * np.log(T_DF * np.pi * T_SCALE**2)
        - (T_DF + k) / 2 * np.log1p(square / (T_DF * T_SCALE**2))
    )
    return normal, np.logaddexp(np.log1p(-1 / T_EVERY) + normal, np.log(1 / T_EVERY) + t)
