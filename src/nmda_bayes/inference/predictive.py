"""Prior and posterior predictive draws and log densities of a graph, all draws in one evaluation.

PyMC's functions call a compiled graph once per draw; they are used where the fast path is off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytensor.xtensor as px
import xarray as xr
from pymc.model.transform import freeze_dims_and_data, remove_value_transforms
from pymc.stats import compute_log_prior
from pytensor.graph import Constant, ancestors, graph_replace, rewrite_graph
from pytensor.graph.traversal import toposort
from pytensor.tensor.random.basic import BetaBinomialRV, MvNormalRV, NegBinomialRV, PoissonRV
from pytensor.tensor.random.op import RandomVariable

from nmda_bayes.dims import SAMPLE
from nmda_bayes.inference.compiled import fast_path, independent_draws, numpy_function, over_draws
from nmda_bayes.model import PY_MODE

#: The dim of all draws of all chains.
DRAWS_DIM = "draws"
#: The largest expected count of a bounded draw: NumPy's counts end at 9.2e18.
LARGEST_COUNT = 1e18
#: The smallest shape of a bounded beta distribution: rounding makes smaller ones 0.
SMALLEST_SHAPE = 1e-9
#: Removes parameter checks, which would stop the evaluation of all draws for one.
UNCHECKED = "local_remove_check_parameter"
PYMC_SETTINGS = {"progressbar": False, "compile_kwargs": {"mode": PY_MODE}}


def log_densities(model: pm.Model, posterior: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Log densities of free or observed variables, dims chain, draw and the variable's."""
    # PyMC evaluates rows with a joint density.
    by_pymc = [
        rv.name
        for rv in model.observed_RVs
        if rv.name in names and (not fast_path() or isinstance(rv.owner.op, MvNormalRV))
    ]
    others = [name for name in names if name not in by_pymc]
    settings = PYMC_SETTINGS | {"extend_inferencedata": False}
    tree = xr.DataTree.from_dict({"posterior": posterior})
    parts = []
    with model:
        if others and fast_path():
            parts.append(_log_densities(model, posterior, others))
        elif others:
            parts.append(compute_log_prior(tree, var_names=others, **settings))
        if by_pymc:
            parts.append(pm.compute_log_likelihood(tree, var_names=by_pymc, **settings))
    datasets = [p if isinstance(p, xr.Dataset) else p.to_dataset() for p in parts]
    return xr.merge(datasets, join="exact", compat="no_conflicts")[list(names)]


def _log_densities(model: pm.Model, posterior: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    plain = freeze_dims_and_data(remove_value_transforms(model))
    dims = {name: tuple(plain.named_vars_to_dims.get(name, ())) for name in plain.named_vars}
    rows = plain.logp(vars=[plain[name] for name in names], sum=False, jacobian=False)
    rows = [
        row if hasattr(row.type, "dims") else px.as_xtensor(row, dims=dims[name])
        for name, row in zip(names, rows, strict=True)
    ]
    rows = rewrite_graph(rows, include=("canonicalize", UNCHECKED), clone=False)
    rows = [row.transpose(*dims[name]) for name, row in zip(names, rows, strict=True)]
    free = {str(rv.name): rv for rv in plain.free_RVs}
    inputs = {
        name: draws_input(name, plain.rvs_to_values[rv], dims[name]) for name, rv in free.items()
    }
    replacements = {plain.rvs_to_values[rv]: inputs[name] for name, rv in free.items()}
    values = evaluate_at_draws(dict(zip(names, rows, strict=True)), inputs, replacements, posterior)
    return values.assign_coords(
        {dim: list(plain.coords[dim]) for name in names for dim in dims[name]}
    )


def draws_input(name: str, variable: Any, dims: Sequence[str]) -> Any:
    """A graph input for the values of a variable at all draws."""
    shape = (None, *getattr(variable.type, "shape", ()))
    return px.xtensor(f"{name}_draws", dims=(DRAWS_DIM, *dims), dtype=variable.dtype, shape=shape)


def evaluate_at_draws(
    rows: Mapping[str, Any],
    inputs: Mapping[str, Any],
    replacements: Mapping[Any, Any],
    posterior: xr.Dataset,
) -> xr.Dataset:
    """Evaluate rows with named dims at every draw, dims chain, draw and the row's.

    ``inputs`` are the variables read from the posterior, ``replacements`` what they replace in the
    rows.
    """
    vectorised = over_draws(list(rows.values()), replacements)
    dims = [row.type.dims for row in rows.values()]
    evaluate = numpy_function([*inputs.values()], _draws_first(vectorised, dims))
    stacked = posterior[[*inputs]].stack({DRAWS_DIM: SAMPLE}, create_index=False)
    arrays = evaluate(
        *(
            np.asarray(stacked[name].transpose(*v.type.dims).to_numpy(), dtype=float)
            for name, v in inputs.items()
        )
    )
    shape = [posterior.sizes[dim] for dim in SAMPLE]
    values = {}
    for (name, row), array in zip(rows.items(), arrays, strict=True):
        whole = np.broadcast_to(array, (math.prod(shape), *array.shape[1:]))
        values[name] = ((*SAMPLE, *row.type.dims), whole.reshape(*shape, *array.shape[1:]))
    return xr.Dataset(values, coords={dim: posterior[dim] for dim in SAMPLE})


def prior_draws(
    model: pm.Model, count: int, seed: int, *, bounded: bool = False
) -> tuple[xr.Dataset, xr.Dataset]:
    """Draw all parameters from the prior, and the data of trials; dims chain (of one), draw.

    The data of the graph must be constants, here and below. `bounded` as for `predictive_draws`.
    """
    data = list(model.observed_RVs)
    if not _vectorises(model):
        drawn = pm.sample_prior_predictive(
            count, model=model, random_seed=seed, compile_kwargs={"mode": PY_MODE}
        )
        return drawn["prior"].to_dataset(), drawn["prior_predictive"].to_dataset()
    parameters = [*model.free_RVs, *model.deterministics]
    arrays = _evaluate(model, [*parameters, *data], {}, {}, count, seed, bounded=bounded)
    draws = _labelled(model, arrays, {"chain": np.arange(1), "draw": np.arange(count)})
    return draws[[v.name for v in parameters]], draws[[v.name for v in data]]


def prior_parameters(model: pm.Model, count: int, seed: int) -> xr.Dataset:
    """Draw all parameters from the prior, without data."""
    parameters = [*model.free_RVs, *model.deterministics]
    names = [variable.name for variable in parameters]
    if not _vectorises(model):
        drawn = pm.sample_prior_predictive(
            count, model=model, var_names=names, random_seed=seed, compile_kwargs={"mode": PY_MODE}
        )
        return drawn["prior"].to_dataset()[names]
    arrays = _evaluate(model, parameters, {}, {}, count, seed)
    return _labelled(model, arrays, {"chain": np.arange(1), "draw": np.arange(count)})


def predictive_draws(
    model: pm.Model, fit: xr.DataTree, seed: int, *, bounded: bool = False
) -> xr.Dataset:
    """Draw the data of trials under each draw of the ``posterior`` of a fit.

    `bounded` limits the expected counts of Poisson and negative binomial data to `LARGEST_COUNT`,
    above which NumPy draws none.
    """
    if not _vectorises(model):
        predicted = pm.sample_posterior_predictive(
            fit, model=model, random_seed=seed, **PYMC_SETTINGS
        )
        return predicted["posterior_predictive"].to_dataset()
    posterior = fit["posterior"].to_dataset()
    stacked = posterior.stack({DRAWS_DIM: SAMPLE}, create_index=False)
    inputs, values = {}, {}
    for variable in model.free_RVs:
        dims = getattr(variable.type, "dims", None) or _dims(model, variable)
        inputs[variable] = (
            draws_input(variable.name, variable, dims)
            if hasattr(variable.type, "dims")
            else pt.tensor(dtype=variable.dtype, shape=(None, *variable.type.shape))
        )
        array = stacked[variable.name].transpose(DRAWS_DIM, *dims).to_numpy()
        values[inputs[variable]] = np.asarray(array, dtype=variable.dtype)
    count = stacked.sizes[DRAWS_DIM]
    arrays = _evaluate(model, model.observed_RVs, inputs, values, count, seed, bounded=bounded)
    return _labelled(model, arrays, {dim: posterior[dim].to_numpy() for dim in SAMPLE})


def observations(model: pm.Model) -> xr.Dataset:
    """The observed data of a graph."""
    values = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    arrays = [
        value.data if isinstance(value, Constant) else pytensor.function([], value, mode=PY_MODE)()
        for value in values
    ]
    return _labelled(
        model, {rv.name: a for rv, a in zip(model.observed_RVs, arrays, strict=True)}, {}
    )


def _vectorises(model: pm.Model) -> bool:
    """Whether all draws can be made in one call."""
    return fast_path() and not any(
        getattr(rv.owner.op, "one_draw_a_call", False) for rv in model.basic_RVs
    )


def _evaluate(
    model: pm.Model,
    variables: Sequence[Any],
    inputs: Mapping[Any, Any],
    values: Mapping[Any, np.ndarray],
    count: int,
    seed: int,
    *,
    bounded: bool = False,
) -> dict[str, np.ndarray]:
    """Draw variables ``count`` times, by name, the draws first."""
    replaced = dict(inputs)
    for variable in model.basic_RVs:
        if variable in replaced:
            continue
        if not set(replaced) & set(ancestors([variable])):
            replaced[variable] = independent_draws(variable, DRAWS_DIM, count)
        elif isinstance(variable.owner.op, RandomVariable):
            replaced[variable] = _draws_given_parents(variable, replaced, count)
    dims = [_dims(model, v) or getattr(v.type, "dims", ()) for v in variables]
    rows = _draws_first(_over_draws(variables, replaced), dims)
    rows = _with_bounded_counts(rows) if bounded else rows
    arrays = numpy_function([*values], rows, seed)(*values.values())
    return {
        v.name: array if len(array) == count else np.repeat(array, count, axis=0)
        for v, array in zip(variables, arrays, strict=True)
    }


def _draws_first(rows: Sequence[Any], dims: Sequence[Sequence[str]]) -> list[Any]:
    """Lower rows to tensors, the draws first (one draw for all if they do not depend on it)."""
    tensors = []
    for row, row_dims in zip(rows, dims, strict=True):
        if hasattr(row.type, "dims"):
            row = row if DRAWS_DIM in row.type.dims else row.expand_dims(DRAWS_DIM)
            row = row.transpose(DRAWS_DIM, *row_dims).values
        tensors.append(row)
    lowered: list[Any] = rewrite_graph(tensors, include=("lower_xtensor",))
    return lowered


def _with_bounded_counts(rows: list[Any]) -> list[Any]:
    """Keep the parameters of counts in the range in which NumPy and SciPy draw."""
    replacements = {}
    for node in toposort(rows):
        limit = next((f for op, f in _LIMITS.items() if isinstance(node.op, op)), None)
        if limit is not None:
            parameters = limit(*(pt.as_tensor(part) for part in node.op.dist_params(node)))
            bounded = node.op.make_node(*node.inputs[:2], *parameters)
            replacements[node.outputs[1]] = bounded.outputs[1]
    return list(graph_replace(rows, replacements, strict=False)) if replacements else rows


def _number(value: Any, otherwise: float) -> Any:
    return pt.switch(pt.isnan(value), otherwise, value)


def _bounded_poisson(mean: Any) -> list[Any]:
    # Where infinity and zero meet, there is no number: the largest, too.
    return [pt.minimum(_number(mean, LARGEST_COUNT), LARGEST_COUNT)]


def _bounded_negative_binomial(n: Any, probability: Any) -> list[Any]:
    """Shape n and probability p, with the expected count n (1 - p) / p."""
    n = pt.clip(_number(n, LARGEST_COUNT), np.finfo(float).tiny, LARGEST_COUNT)
    least = pt.minimum((n + 10 * pt.sqrt(n)) / LARGEST_COUNT, 1.0)
    return [n, pt.maximum(_number(probability, 0.0), least)]


def _bounded_beta_binomial(n: Any, alpha: Any, beta: Any) -> list[Any]:
    return [
        n,
        *(pt.maximum(_number(shape, SMALLEST_SHAPE), SMALLEST_SHAPE) for shape in (alpha, beta)),
    ]


_LIMITS: dict[Any, Callable[..., list[Any]]] = {
    PoissonRV: _bounded_poisson,
    NegBinomialRV: _bounded_negative_binomial,
    BetaBinomialRV: _bounded_beta_binomial,
}


def _draws_given_parents(variable: Any, replaced: Mapping[Any, Any], count: int) -> Any:
    """Draw a variable without named dims once under each draw of its parameters.

    PyTensor's rule takes the number of new axes from the first parameter, which for a binomial
    count is the number of people: that is constant.
    """
    node = variable.owner
    op = node.op
    batch = variable.type.shape[: variable.type.ndim - op.ndim_supp]
    parameters = _over_draws(op.dist_params(node), replaced)
    return op.make_node(node.inputs[0], (count, *batch), *parameters).outputs[1]


def _over_draws(variables: Sequence[Any], replaced: Mapping[Any, Any]) -> list[Any]:
    positional = any(not hasattr(variable.type, "dims") for variable in replaced)
    return over_draws(variables, replaced, DRAWS_DIM if positional else None)


def _dims(model: pm.Model, variable: Any) -> tuple[str, ...]:
    return tuple(model.named_vars_to_dims.get(variable.name, ()))


def _labelled(
    model: pm.Model, arrays: Mapping[str, Any], sample: Mapping[str, np.ndarray]
) -> xr.Dataset:
    """Label arrays by name: the dims of the draws, and those of the variable."""
    shape = [len(labels) for labels in sample.values()]
    variables, coords = {}, dict(sample)
    for name, values in arrays.items():
        array, dims = np.asarray(values), tuple(model.named_vars_to_dims.get(name, ()))
        element = array.shape[array.ndim - len(dims) :]
        variables[name] = ((*sample, *dims), array.reshape((*shape, *element)))
        coords |= {dim: np.asarray(list(model.coords[dim])) for dim in dims}
    return xr.Dataset(variables, coords=coords)
