"""All use of internals of nutpie, PyTensor and PyMC, and the public replacement.

`compile_model` compiles a model's log density for nutpie. The fast path assembles nutpie's compiled
model from its parts, so that machine code is cached on disk (nutpie compiles its C wrappers in
every process) and a known model is not rewritten. It is written for the versions in `TESTED`. With
other versions, or if the environment variable `PUBLIC_ONLY` is set, a fit uses public functions
only, slower and with the same posterior: `nutpie.compile_pymc_model`, PyMC's coordinates, and
PyMC's functions that evaluate one draw at a time. docs/upstream.md lists what is used and why.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
from numba import carray, cfunc, types  # type: ignore[attr-defined]
from pytensor.graph import node_rewriter, rewrite_graph

from nmda_bayes.components import hypergeometric
from nmda_bayes.inference import compile_cache, conditional_normal
from nmda_bayes.inference.compile_cache import CacheEntry
from nmda_bayes.model import PY_MODE
from nmda_bayes.model.observed import WEIGHT_POTENTIAL, row_log_density

#: Release series that the fast path is tested with.
TESTED: Final = {"nutpie": "0.16", "pymc": "6.3", "pytensor": "3.3"}
#: Set this environment variable to use public functions only.
PUBLIC_ONLY: Final = "NMDA_BAYES_PUBLIC_ONLY"
#: The name of the vector of data that can be swapped.
DATA: Final = "data"

_lock = threading.Lock()


def fast_path() -> bool:
    """Whether internals are used: the versions are tested, and `PUBLIC_ONLY` is not set."""
    return not os.environ.get(PUBLIC_ONLY) and _versions_match()


@cache
def _versions_match() -> bool:
    others = [
        f"{name} {version(name)}"
        for name, series in TESTED.items()
        if not version(name).startswith(f"{series}.")
    ]
    if others:
        logging.getLogger(__name__).warning(
            "not tested with %s: using public functions only, which is slower", ", ".join(others)
        )
    return not others


# --- Compiled models -----------------------------------------------------------------------------


@dataclass(frozen=True)
class CompiledModel:
    """A log density, its gradient and its deterministics, compiled for nutpie.

    ``sampler`` is the argument of `nutpie.sample`; ``row`` is the variable `DATA`, if data can be
    swapped.
    """

    sampler: Any
    row: Any = None

    def with_data(self, values: np.ndarray) -> CompiledModel:
        """The same model with other data."""
        sampler = self.sampler.with_data(**{DATA: values})
        if not fast_path():
            self.row.set_value(values)  # read by nutpie's initial point
            return CompiledModel(sampler, self.row)
        start = sampler.initial_point_func

        def start_with_data(seed: Any) -> np.ndarray:
            with _lock:  # chains start in parallel, possibly of several fits
                self.row.set_value(values)
                return np.asarray(start(seed))

        sampler = dataclasses.replace(sampler, initial_point_func=start_with_data)
        return CompiledModel(sampler, self.row)


def compile_model(model: pm.Model, row: Any = None) -> CompiledModel:
    """Compile a model whose data are constants, or the one shared variable ``row``."""
    if model.potentials:
        model.logp = partial(log_density, model)
    if not fast_path():
        import nutpie

        return CompiledModel(nutpie.compile_pymc_model(model), row)
    _register_numba_functions()
    key = compile_cache.fingerprint(model)
    entry = compile_cache.load(key) if key is not None else None
    sampler = _from_cache(model, entry) if entry is not None else None
    if sampler is None:
        sampler, entry = _compile(model)
        if key is not None and entry is not None:
            compile_cache.store(key, entry)
    return CompiledModel(sampler, row)


def log_density(model: pm.Model) -> Any:
    """The log density of a model with potentials, lowered to tensors without dims.

    PyMC lowers the densities of variables, not potentials. It also rewrites the former before the
    potentials are added, so that weighted rows would be computed twice: they are written here as
    the potential writes them.
    """
    if any(str(potential.name).endswith(WEIGHT_POTENTIAL) for potential in model.potentials):
        rows = [row_log_density(rv, model.rvs_to_values[rv]) for rv in model.observed_RVs]
        others = pm.Model.logp(model, vars=[*model.free_RVs, *model.potentials])
        total = others + sum(row.sum() for row in model.replace_rvs_by_values(rows))
    else:
        total = pm.Model.logp(model)
    return rewrite_graph(total, include=("lower_xtensor",))


_SIZE: Any = types.uint64
_DOUBLES: Any = types.CPointer(types.double)  # type: ignore[no-untyped-call]
#: nutpie passes a record whose first field is the address of the data.
_ROW = ", carray(pointer(carray(data, (1,), address)[0]), (n_data,), number)"
#: Codes 3 and 4 make the sampler reject the point, as does any error.
_DENSITY = """
def density(dim, x, gradient, logp, data):
    if dim != n_dim:
        return -1
    try:
        value, slope = inner(carray(x, (n_dim,)){row})
    except Exception:
        return 1
    logp[0] = value
    for i in range(n_dim):
        gradient[i] = slope[i]
        if not isfinite(slope[i]):
            return 3
    return 0 if isfinite(value) else 4
"""
_DENSITY_TYPE = types.int64(_SIZE, _DOUBLES, _DOUBLES, _DOUBLES, types.voidptr)
_EXPAND = """
def expand(dim, expanded, x, out, data):
    if dim != n_dim or expanded != n_expanded:
        return -1
    try:
        values = inner(carray(x, (n_dim,)){row})[0]
    except Exception:
        return -2
    for i in range(n_expanded):
        out[i] = values[i]
    return 0
"""
_EXPAND_TYPE = types.int64(_SIZE, _SIZE, _DOUBLES, _DOUBLES, types.voidptr)


def _compile(model: pm.Model) -> tuple[Any, CacheEntry | None]:
    """Compile a model; no entry if its code cannot be cached."""
    from nutpie import compile_pymc
    from pymc.initial_point import make_initial_point_fn

    start = make_initial_point_fn(model=model, return_transformed=True)
    # Fast mathematics would make sums, and so draws, depend on what else is compiled with them. The
    # trace of where each node was made only serves PyTensor's messages.
    with pytensor.config.change_flags(numba__fastmath=False, traceback__limit=0):
        n_dim, n_expanded, logp, expand, initial, shapes, transformed = (
            compile_pymc._make_functions(
                model,
                mode="NUMBA",
                compute_grad=True,
                join_expanded=True,
                pymc_initial_point_fn=compile_pymc._wrap_with_lock(start),
            )
        )
    dims, coords = compile_pymc._prepare_dims_and_coords(model, shapes, transformed)
    shared = list(dict.fromkeys([*logp.get_shared(), *expand.get_shared()]))
    assert all(v.type.ndim == 1 for v in shared[:1]) and len(shared) < 2, "more than a row of data"
    data = {row: np.array(row.get_value(), dtype=float) for row in shared}
    n_data = sum(values.size for values in data.values())
    sizes = {"n_dim": n_dim, "n_expanded": n_expanded, "n_data": n_data}
    density, density_key = _c_function(_DENSITY, _DENSITY_TYPE, logp, sizes)
    expansion, expand_key = _c_function(_EXPAND, _EXPAND_TYPE, expand, sizes)
    names, _, variable_shapes = shapes
    entry = CacheEntry(
        n_dim=int(n_dim),
        n_expanded=int(n_expanded),
        names=list(names),
        shapes=[[int(size) for size in shape] for shape in variable_shapes],
        dims={name: list(of) for name, of in dims.items()},
        coordinates=list(coords[compile_pymc._UNCONSTRAINED_PARAMETER]),
        transformed=list(transformed),
        start=initial(0).tolist(),
        density=density_key or "",
        expand=expand_key or "",
    )
    sampler = _sampler(entry, model, density, expansion, initial, data, (logp, expand))
    return sampler, entry if density_key and expand_key and not shared else None


def _from_cache(model: pm.Model, entry: CacheEntry) -> Any:
    """What `_compile` would return; None if PyTensor's cache has lost the code."""
    from numba.core.errors import NumbaError

    sizes = {"n_dim": entry.n_dim, "n_expanded": entry.n_expanded, "n_data": 0}
    try:
        density = _load(_DENSITY.format(row=""), _DENSITY_TYPE, sizes, entry.density)
        expansion = _load(_EXPAND.format(row=""), _EXPAND_TYPE, sizes, entry.expand)
    except NumbaError:  # nothing to compile it from
        return None
    start = np.array(entry.start)
    return _sampler(entry, model, density, expansion, lambda seed: start, {})


def _sampler(
    entry: CacheEntry,
    model: pm.Model,
    density: Any,
    expansion: Any,
    start: Callable[[Any], np.ndarray],
    data: Mapping[Any, np.ndarray],
    functions: tuple[Any, Any] = (None, None),
) -> Any:
    """The compiled model of nutpie; ``functions`` are kept alive with it."""
    from nutpie import compile_pymc

    shapes = [tuple(shape) for shape in entry.shapes]
    coords = {name: pd.Index(list(labels or ())) for name, labels in model.coords.items()}
    keys, values = dict.fromkeys(data, DATA), dict(zip([DATA], data.values(), strict=False))
    return compile_pymc.CompiledPyMCModel(
        _n_dim=entry.n_dim,
        dims={name: tuple(of) for name, of in entry.dims.items()},
        _coords=coords | {compile_pymc._UNCONSTRAINED_PARAMETER: pd.Index(entry.coordinates)},
        _shapes=dict(zip(entry.names, shapes, strict=True)),
        compiled_logp_func=density,
        compiled_expand_func=expansion,
        initial_point_func=_jittered(start),
        shared_data=values,
        shared_var_keys=keys,
        user_data=compile_pymc.make_user_data(keys, values),
        n_expanded=entry.n_expanded,
        shape_info=(entry.names, [], shapes),
        logp_func=functions[0],
        expand_func=functions[1],
        reparameterized_names=entry.transformed,
    )


def _jittered(start: Callable[[Any], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """Jitter starting points by Uniform(-1, 1) on the unconstrained scale, as PyMC does."""

    def jittered(seed: Any) -> np.ndarray:
        centre = start(seed)
        return centre + np.random.default_rng(seed).uniform(-1.0, 1.0, centre.shape)

    return jittered


def _c_function(
    source: str, signature: Any, function: Any, sizes: dict[str, int]
) -> tuple[Any, str | None]:
    """A C wrapper of a PyTensor function, and the key of its code; None if it cannot be cached."""
    from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS

    source = source.format(row=_ROW if function.get_shared() else "")
    inner = function.vm.jit_fn
    key = CACHED_SRC_FUNCTIONS.get(inner.py_func)
    if key is not None:
        key = hashlib.sha256(f"{key} {sizes} {source}".encode()).hexdigest()
    return _load(source, signature, sizes, key, inner), key


def _load(
    source: str, signature: Any, sizes: dict[str, int], key: str | None, inner: Any = None
) -> Any:
    """Load a wrapper by its key, or compile it around a PyTensor function."""
    from nutpie.compile_pymc import address_as_void_pointer
    from pytensor.link.numba.cache import compile_numba_function_src

    names = {
        "__name__": __name__,
        "carray": carray,
        "isfinite": np.isfinite,
        "pointer": address_as_void_pointer,
        "address": np.uintp,
        "number": np.float64,
        **sizes,
    }
    names |= {"inner": inner} if inner is not None else {}
    name = source.split("(")[0].split()[-1]
    function = compile_numba_function_src(source, name, global_env=names, cache_key=key)
    return cfunc(signature, cache=key is not None)(function)


@cache
def _register_numba_functions() -> None:
    """Register the compiled functions of this package's operations with PyTensor."""
    from pytensor.link.numba.dispatch.basic import (
        numba_njit,
        register_funcify_default_op_cache_key,
    )

    def register(op: type, function: Callable[..., Any], source: Any) -> None:
        # PyTensor caches code by operation: an edited function needs another key.
        text = inspect.getsource(source).encode()
        key = int(hashlib.sha256(text).hexdigest()[:15], 16)
        register_funcify_default_op_cache_key(op)(
            lambda op, node, **kwargs: (numba_njit(function, error_model="numpy"), key)
        )

    normal = conditional_normal
    register(normal.ConditionalNormal, normal.forward, normal)
    register(normal.ConditionalNormalGradient, normal.backward, normal)
    partition = hypergeometric.log_sum_and_mean
    register(hypergeometric.LogPartition, partition, partition)


# --- Coordinates of the sampler ------------------------------------------------------------------


def set_transform(model: pm.Model, rv: Any, transform: Any) -> None:
    """Give a free variable another transform, in place.

    PyMC's public function copies the model first; a transform that depends on other variables would
    keep reading those of the original.
    """
    model.rvs_to_transforms[rv] = transform
    model.rvs_to_values[rv].name = f"{rv.name}_{transform.name}__"


def constant_values(variables: Sequence[Any]) -> list[np.ndarray] | None:
    """The values of variables that depend on constants only; None if any depends on more."""
    from pymc.exceptions import NotConstantValueError
    from pymc.pytensorf import constant_fold

    try:
        return [np.asarray(value) for value in constant_fold(variables)]
    except NotConstantValueError:
        return None


# --- All draws in one evaluation -----------------------------------------------------------------


def over_draws(
    outputs: Sequence[Any], replacements: Mapping[Any, Any], dim: str | None = None
) -> list[Any]:
    """Rewrite outputs for many draws at once: replacements have one dim more, and so do they.

    ``dim`` names that dim if replacements are tensors without named dims. What depends on no
    replacement is unchanged.
    """
    from pytensor.xtensor.vectorization import vectorize_graph

    rows: list[Any] = vectorize_graph(
        list(outputs), dict(replacements), new_tensor_dims=() if dim is None else (dim,)
    )
    return rows


def independent_draws(variable: Any, dim: str, count: int) -> Any:
    """Repeat a random variable ``count`` times along a new first dim."""
    from pymc.distributions.shape_utils import change_dist_size
    from pytensor.xtensor.vectorization import XRV

    op = variable.owner.op
    if not isinstance(op, XRV):
        return change_dist_size(variable, (count,), expand=True)
    generator, *arguments = variable.owner.inputs
    repeated = XRV(op.core_op, op.core_dims, (dim, *op.extra_dims), name=op.name)
    return repeated.make_node(generator, count, *arguments).outputs[1]


def numpy_function(inputs: Sequence[Any], outputs: Any, seed: int | None = None) -> Any:
    """A function evaluated by NumPy, for large arrays, without compilation."""
    settings = {"mode": _numpy_mode(), "on_unused_input": "ignore"}
    if seed is None:
        return pytensor.function(list(inputs), outputs, **settings)
    return pm.compile(list(inputs), outputs, random_seed=seed, **settings)


@cache
def _numpy_mode() -> Any:
    """PyTensor's Python mode with softplus as a NumPy function, not element by element."""
    import pytensor.scalar as ps
    from pytensor.graph.rewriting.basic import out2in
    from pytensor.scalar.math import Softplus
    from pytensor.tensor.elemwise import Elemwise

    class LogAddExp(ps.BinaryScalarOp):  # type: ignore[misc]
        nfunc_spec = ("logaddexp", 2, 1)

        def impl(self, x: Any, y: Any) -> Any:
            return np.logaddexp(x, y)

    log_add_exp = Elemwise(LogAddExp(ps.upgrade_to_float, name="log_add_exp"))

    @node_rewriter([Elemwise])  # type: ignore[untyped-decorator]
    def softplus_by_numpy(fgraph: Any, node: Any) -> Any:
        if not isinstance(node.op.scalar_op, Softplus):
            return False
        return [log_add_exp(np.float64(0.0), node.inputs[0])]

    return PY_MODE.register((out2in(softplus_by_numpy), 100))
