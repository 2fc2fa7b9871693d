"""What a graph computes, as one short text: two graphs of one fingerprint have one density.

Node by node, in the order of computation: the operation with all that it holds, where its inputs
come from, and the constants bit by bit. A formula of a notebook is told so as any other; an
operation whose code stands in one is known by its name alone, and has no fingerprint.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any, Final

import pymc as pm
import pytensor
from pytensor.compile import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import toposort
from pytensor.tensor.random.type import RandomType

from nmda_bayes.code_version import code_version

#: Whose code is told by `code_version`.
KNOWN: Final = ("nmda_bayes", "pymc", "pymc_extras", "pytensor", "numpy", "builtins")


def fingerprint(model: pm.Model) -> str | None:
    """Name a graph by what it computes.

    Parameters
    ----------
    model
        The graph.

    Returns
    -------
    str or None
        64 hexadecimal digits; None where something in the graph cannot be told, or where its data
        are not constants.
    """
    transforms = {rv: model.rvs_to_transforms[rv] for rv in model.free_RVs}
    held = {rv: dict(vars(one)) if one is not None else {} for rv, one in transforms.items()}
    inside = [v for one in held.values() for v in one.values() if isinstance(v, Variable)]
    values = [model.rvs_to_values[rv] for rv in model.basic_RVs]
    outputs = [*model.basic_RVs, *model.deterministics, *model.potentials, *values, *inside]
    said = [
        {name: list(labels or ()) for name, labels in model.coords.items()},
        {name: list(dims) for name, dims in model.named_vars_to_dims.items()},
        [[one.name for one in group] for group in (model.basic_RVs, values, model.deterministics)],
        [
            (type(one), {k: v for k, v in held[rv].items() if not isinstance(v, Variable)})
            for rv, one in transforms.items()
        ],
        [model.rvs_to_initial_values.get(rv) for rv in model.free_RVs],
        model.check_bounds,
    ]
    found = hashlib.sha256(f"{code_version()} {pytensor.config.floatX}".encode())
    try:
        found.update(_told(said))
        for line in _lines(outputs):
            found.update(f"{len(line)} ".encode() + line)
    except (pickle.PicklingError, TypeError, AttributeError):  # what cannot be written, in pickle
        return None
    return found.hexdigest()


def _lines(outputs: list[Any]) -> Iterator[bytes]:
    """Write a graph, a node a line; a variable is called by the place where it was first met."""
    place: dict[Any, int] = {}
    operations: dict[int, bytes] = {}

    def met(variables: Iterable[Any]) -> Iterator[bytes]:
        for one in variables:
            if one not in place:
                place[one] = len(place)
                yield from _leaf(one) if one.owner is None else ()

    for node in toposort(outputs):
        yield from met([*node.inputs, *node.outputs])
        operation = operations.get(id(node.op))
        if operation is None:
            operation = operations[id(node.op)] = _told(node.op)
        yield operation
        inputs, made = ([place[v] for v in several] for several in (node.inputs, node.outputs))
        yield f"{inputs} {made} {[str(v.type) for v in node.outputs]}".encode()
    yield from met(outputs)
    yield str([place[v] for v in outputs]).encode()


def _leaf(variable: Any) -> Iterator[bytes]:
    """Write what a graph starts from: a constant with its value."""
    yield f"{type(variable)} {variable.type} {variable.name}".encode()
    if isinstance(variable, Constant):
        yield _told(variable.data)
    elif isinstance(variable, SharedVariable) and not isinstance(variable.type, RandomType):
        raise pickle.PicklingError("data that may be swapped")


class _Known(pickle.Pickler):
    """Writes what is of code that is known, and nothing else."""

    def reducer_override(self, value: Any) -> Any:
        """Refuse a class or function of unknown code, which is written by its name alone."""
        if isinstance(value, Variable):
            raise pickle.PicklingError("a graph inside an operation")
        named = isinstance(value, (type, FunctionType))
        if named and value.__module__.partition(".")[0] not in KNOWN:
            raise pickle.PicklingError(f"the code of {value} is not known")
        return NotImplemented


def _told(value: Any) -> bytes:
    written = io.BytesIO()
    _Known(written, protocol=5).dump(value)
    return written.getvalue()
