"""The compiled density of a graph, kept on disk by what it computes.

PyTensor keeps its compiled functions so. nutpie wraps them in functions of C, which it compiles
anew in every process, numba's message about arrays of unequal shapes with them: on the triptans
network 9 of 13 s of processor time, where all else was kept. Here the wrappers are kept as well.

A graph's data are constants, or one row of numbers that the sampler hands over, to be swapped
(`nmda_bayes.inference.prepared`).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import pymc as pm
import pytensor
from numba import carray, cfunc, types  # type: ignore[attr-defined]
from pymc.initial_point import make_initial_point_fn
from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

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
    from nutpie import compile_pymc as parts

    first = make_initial_point_fn(
        model=model, jitter_rvs=set(model.free_RVs), return_transformed=True
    )
    # By fast mathematics a sum depends on what was compiled beside it, and so on what was kept: the
    # first process with a seed would have other draws than the second. Where in the source a node
    # was made, which PyTensor notes for its messages, takes a tenth of the time.
    with pytensor.config.change_flags(numba__fastmath=False, traceback__limit=0):
        size, length, logp, expand, initial, shapes, moved = parts._make_functions(
            model,
            mode="NUMBA",
            compute_grad=True,
            join_expanded=True,
            pymc_initial_point_fn=parts._wrap_with_lock(first),
        )
    dims, coords = parts._prepare_dims_and_coords(model, shapes, moved)
    shared = list(dict.fromkeys([*logp.get_shared(), *expand.get_shared()]))
    assert all(v.type.ndim == 1 for v in shared[:1]) and len(shared) < 2, "data are no single row"
    keys = dict.fromkeys(shared, DATA)
    values = {key: np.array(row.get_value(), dtype=float) for row, key in keys.items()}
    sizes = {"size": size, "length": length, "numbers": sum(v.size for v in values.values())}
    return parts.CompiledPyMCModel(
        _n_dim=size,
        dims=dims,
        _coords=coords,
        _shapes={name: tuple(shape) for name, _, shape in zip(*shapes, strict=True)},
        compiled_logp_func=_of_c(_DENSITY, _DENSITY_TYPE, logp, sizes),
        compiled_expand_func=_of_c(_VARIABLES, _VARIABLES_TYPE, expand, sizes),
        initial_point_func=initial,
        shared_data=values,
        shared_var_keys=keys,
        user_data=parts.make_user_data(keys, values),
        n_expanded=length,
        shape_info=shapes,
        logp_func=logp,
        expand_func=expand,
        reparameterized_names=moved,
    )


def _of_c(source: str, signature: Any, function: Any, sizes: dict[str, int]) -> Any:
    """Make a function of C out of one of PyTensor's, kept under a key that has PyTensor's in it."""
    from nutpie.compile_pymc import address_as_void_pointer

    source = source.format(row=_ROW if function.get_shared() else "")
    inner, name = function.vm.jit_fn, source.split("(")[0].split()[-1]
    known = {
        "inner": inner,
        "carray": carray,
        "isfinite": np.isfinite,
        "pointer": address_as_void_pointer,
        "address": np.uintp,
        "number": np.float64,
        **sizes,
    }
    key = CACHED_SRC_FUNCTIONS.get(inner.py_func)  # none where an operation cannot be kept
    if key is not None:
        key = hashlib.sha256(f"{key} {sizes} {source}".encode()).hexdigest()
    made = compile_numba_function_src(
        source, name, global_env={"__name__": __name__, **known}, cache_key=key
    )
    return cfunc(signature, cache=key is not None)(made)
