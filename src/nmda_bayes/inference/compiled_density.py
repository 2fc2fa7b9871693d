"""The compiled density of a graph, kept on disk by what it computes.

PyTensor keeps its compiled functions so. nutpie wraps them in functions of C, which it compiles
anew in every process, numba's message about arrays of unequal shapes with them: on the triptans
network 9 of 13 s of processor time, where all else was kept. Here the wrappers are kept as well.

A graph's data are constants, or one row of numbers that the sampler hands over, to be swapped
(`nmda_bayes.inference.prepared`). One of constants that was compiled before is not rewritten again:
what its code is called is kept beside it (`nmda_bayes.inference.kept_density`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
from numba import carray, cfunc, types  # type: ignore[attr-defined]
from numba.core.errors import NumbaError
from pymc.initial_point import make_initial_point_fn
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

from nmda_bayes.inference.fingerprint import fingerprint
from nmda_bayes.inference.kept_density import Known, keep, known

#: The name of the row of data.
DATA: Final = "data"
_SIZE: Any = types.uint64
_NUMBERS: Any = types.CPointer(types.double)  # type: ignore[no-untyped-call]
#: The row of data: nutpie hands over a record of parts whose first is the address of the numbers.
_ROW = ", carray(pointer(carray(data, (1,), address)[0]), (numbers,), number)"
#: The sampler takes 3 and 4 for a point to be rejected, and so any error.
_DENSITY = """
def density(dim, x, gradient, logp, data):
    if dim != size:
        return -1
    try:
        value, found = inner(carray(x, (size,)){row})
    except Exception:
        return 1
    logp[0] = value
    for i in range(size):
        gradient[i] = found[i]
        if not isfinite(found[i]):
            return 3
    return 0 if isfinite(value) else 4
"""
_DENSITY_TYPE = types.int64(_SIZE, _NUMBERS, _NUMBERS, _NUMBERS, types.voidptr)
_VARIABLES = """
def variables(dim, wanted, x, out, data):
    if dim != size or wanted != length:
        return -1
    try:
        found = inner(carray(x, (size,)){row})[0]
    except Exception:
        return -2
    for i in range(length):
        out[i] = found[i]
    return 0
"""
_VARIABLES_TYPE = types.int64(_SIZE, _SIZE, _NUMBERS, _NUMBERS, types.voidptr)


def compiled_density(model: pm.Model) -> Any:
    """Compile the density of a graph, its gradient and its variables.

    Parameters
    ----------
    model
        The graph. Its data are constants, or one row.

    Returns
    -------
    Any
        As nutpie compiles it.
    """
    told = fingerprint(model)
    found = known(told) if told is not None else None
    if found is not None:
        ready = _read(model, found)
        if ready is not None:
            return ready
    made, density, variables = _compiled(model)
    if told is not None and density is not None and variables is not None:
        keep(told, _known_of(made, density, variables))
    return made


def _compiled(model: pm.Model) -> tuple[Any, str | None, str | None]:
    """Compile a graph, and say under which keys its code is kept."""
    from nutpie import compile_pymc as parts

    middle = make_initial_point_fn(model=model, return_transformed=True)
    # By fast mathematics a sum depends on what was compiled beside it, and so on what was kept: the
    # first process with a seed would have other draws than the second. Where in the source a node
    # was made, which PyTensor notes for its messages, takes a tenth of the time.
    with pytensor.config.change_flags(numba__fastmath=False, traceback__limit=0):
        size, length, logp, expand, initial, shapes, moved = parts._make_functions(
            model,
            mode="NUMBA",
            compute_grad=True,
            join_expanded=True,
            pymc_initial_point_fn=parts._wrap_with_lock(middle),
        )
    dims, coords = parts._prepare_dims_and_coords(model, shapes, moved)
    shared = list(dict.fromkeys([*logp.get_shared(), *expand.get_shared()]))
    assert all(v.type.ndim == 1 for v in shared[:1]) and len(shared) < 2, "data are no single row"
    keys = dict.fromkeys(shared, DATA)
    values = {key: np.array(row.get_value(), dtype=float) for row, key in keys.items()}
    sizes = {"size": size, "length": length, "numbers": sum(v.size for v in values.values())}
    density = _of_c(_DENSITY, _DENSITY_TYPE, logp, sizes)
    variables = _of_c(_VARIABLES, _VARIABLES_TYPE, expand, sizes)
    made = parts.CompiledPyMCModel(
        _n_dim=size,
        dims=dims,
        _coords=coords,
        _shapes={name: tuple(shape) for name, _, shape in zip(*shapes, strict=True)},
        compiled_logp_func=density[0],
        compiled_expand_func=variables[0],
        initial_point_func=_around(initial),
        shared_data=values,
        shared_var_keys=keys,
        user_data=parts.make_user_data(keys, values),
        n_expanded=length,
        shape_info=shapes,
        logp_func=logp,
        expand_func=expand,
        reparameterized_names=moved,
    )
    return made, density[1], variables[1]


def _read(model: pm.Model, found: Known) -> Any:
    """Make of what is kept what compiling would make; None where the code is gone."""
    from nutpie import compile_pymc as parts

    sizes = {"size": found.size, "length": found.length, "numbers": 0}
    try:
        density = _loaded(_DENSITY.format(row=""), _DENSITY_TYPE, sizes, found.density)
        variables = _loaded(_VARIABLES.format(row=""), _VARIABLES_TYPE, sizes, found.variables)
    except NumbaError:  # nothing of that name is kept, and there is nothing to compile it from
        return None
    shapes = [tuple(shape) for shape in found.shapes]
    coords = {name: pd.Index(list(labels or ())) for name, labels in model.coords.items()}
    middle = np.array(found.middle)
    return parts.CompiledPyMCModel(
        _n_dim=found.size,
        dims={name: tuple(dims) for name, dims in found.dims.items()},
        _coords=coords | {parts._UNCONSTRAINED_PARAMETER: pd.Index(found.coordinates)},
        _shapes=dict(zip(found.names, shapes, strict=True)),
        compiled_logp_func=density,
        compiled_expand_func=variables,
        initial_point_func=_around(lambda seed: middle),
        shared_data={},
        shared_var_keys={},
        user_data=parts.make_user_data({}, {}),
        n_expanded=found.length,
        shape_info=(found.names, [], shapes),
        logp_func=None,
        expand_func=None,
        reparameterized_names=found.moved,
    )


def _known_of(made: Any, density: str, variables: str) -> Known:
    """Say what is to be known of a compiled density of constants."""
    from nutpie import compile_pymc as parts

    names, _, shapes = made.shape_info
    return Known(
        size=int(made.n_dim),
        length=int(made.n_expanded),
        names=list(names),
        shapes=[[int(size) for size in shape] for shape in shapes],
        dims={name: list(dims) for name, dims in made.dims.items()},
        coordinates=list(made.coords[parts._UNCONSTRAINED_PARAMETER]),
        moved=list(made.reparameterized_names),
        middle=made.initial_point_func.middle(0).tolist(),
        density=density,
        variables=variables,
    )


def _around(middle: Callable[[Any], np.ndarray]) -> Any:
    """Start up to 1 to either side of a place, on the sampler's coordinates, as PyMC does."""

    def first(seed: Any) -> np.ndarray:
        at = middle(seed)
        return at + np.random.default_rng(seed).uniform(-1.0, 1.0, at.shape)

    first.middle = middle  # type: ignore[attr-defined]
    return first


def _of_c(
    source: str, signature: Any, function: Any, sizes: dict[str, int]
) -> tuple[Any, str | None]:
    """Make a function of C out of one of PyTensor's, and the key under which it is kept."""
    source = source.format(row=_ROW if function.get_shared() else "")
    inner = function.vm.jit_fn
    key = CACHED_SRC_FUNCTIONS.get(inner.py_func)  # none where an operation cannot be kept
    if key is not None:
        key = hashlib.sha256(f"{key} {sizes} {source}".encode()).hexdigest()
    return _loaded(source, signature, sizes, key, inner), key


def _loaded(
    source: str, signature: Any, sizes: dict[str, int], key: str | None, inner: Any = None
) -> Any:
    """Load a function of C by its key, or compile it around one of PyTensor's."""
    from nutpie.compile_pymc import address_as_void_pointer

    given = {
        "carray": carray,
        "isfinite": np.isfinite,
        "pointer": address_as_void_pointer,
        "address": np.uintp,
        "number": np.float64,
        **sizes,
    }
    given |= {"inner": inner} if inner is not None else {}
    made = compile_numba_function_src(
        source,
        source.split("(")[0].split()[-1],
        global_env={"__name__": __name__, **given},
        cache_key=key,
    )
    return cfunc(signature, cache=key is not None)(made)
