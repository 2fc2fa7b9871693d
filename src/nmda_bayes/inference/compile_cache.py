"""The on-disk cache of compiled models: an entry per model, keyed by a fingerprint of its graph.

PyTensor caches machine code by the rewritten graph. An entry holds the keys of that code and all
else the sampler needs, so that a known model is not even rewritten. A model whose entry is absent
or damaged is compiled again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import pymc as pm
import pytensor
from pytensor.compile import SharedVariable
from pytensor.graph import Constant, Variable
from pytensor.graph.traversal import toposort
from pytensor.tensor.random.type import RandomType

from nmda_bayes.artifacts import write_atomically
from nmda_bayes.errors import FitError, Issue
from nmda_bayes.runtime import code_version

#: Packages whose code `code_version` covers.
VERSIONED: Final = ("nmda_bayes", "pymc", "pymc_extras", "pytensor", "numpy", "builtins")


@dataclass(frozen=True)
class CacheEntry:
    """A compiled model; ``density`` and ``expand`` are keys of its machine code."""

    n_dim: int
    n_expanded: int
    names: list[str]
    shapes: list[list[int]]
    dims: dict[str, list[str]]
    coordinates: list[str]
    transformed: list[str]
    start: list[float]
    density: str
    expand: str


def load(fingerprint: str) -> CacheEntry | None:
    """Read the entry of a model; None without a complete one."""
    check_private()
    try:
        return CacheEntry(**json.loads(_path(fingerprint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def store(fingerprint: str, entry: CacheEntry) -> None:
    """Write an entry atomically."""
    path = _path(fingerprint)
    with suppress(OSError):  # without an entry the model is compiled again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(entry)))


def check_private() -> None:
    """Make PyTensor's folder private, as what it keeps is run; refuse one that others can write."""
    path = Path(pytensor.config.base_compiledir)
    if hasattr(os, "getuid") and path.is_dir():
        make_private(path)


def make_private(path: Path) -> None:
    """Take the permissions of others from a folder of this user; refuse one they can write."""
    status = path.stat()
    user = os.getuid()
    others = status.st_mode & stat.S_IWOTH
    group = status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid, user)
    if status.st_uid not in (0, user) or others or group:
        message = "other users can write to the folder of compiled code, which would be run"
        hint = (
            "Check that nobody has, then: chmod 700 the folder; or choose a folder of yours:"
            " PYTENSOR_FLAGS=base_compiledir=FOLDER"
        )
        raise FitError([Issue("E584", message, hint, str(path))])
    if status.st_uid == user and stat.S_IMODE(status.st_mode) & 0o077:
        with suppress(OSError):  # a file system that is read-only, or has no permissions
            path.chmod(0o700)


def _is_private_group(group: int, user: int) -> bool:
    """Whether a group has the user's name, as where each user has a group."""
    import grp
    import pwd

    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(user).pw_name
    except KeyError:
        return False


def folder() -> Path:
    """The folder of the cache, inside PyTensor's; it may not exist yet."""
    return Path(pytensor.config.base_compiledir) / "nmda_bayes"


def _path(fingerprint: str) -> Path:
    return folder() / f"{fingerprint}.json"


def fingerprint(model: pm.Model) -> str | None:
    """Hash a model's graph: models with equal fingerprints have the same log density.

    Node by node in the order of computation: the operation, where its inputs come from, and
    constants bit by bit. None if data may be swapped, or if an operation's code is outside
    `VERSIONED` (defined in a notebook, say), as its name does not identify it.
    """
    transforms = {rv: model.rvs_to_transforms[rv] for rv in model.free_RVs}
    attributes = {rv: dict(vars(t)) if t is not None else {} for rv, t in transforms.items()}
    inner = [v for kept in attributes.values() for v in kept.values() if isinstance(v, Variable)]
    values = [model.rvs_to_values[rv] for rv in model.basic_RVs]
    outputs = [*model.basic_RVs, *model.deterministics, *model.potentials, *values, *inner]
    description = [
        {name: list(labels or ()) for name, labels in model.coords.items()},
        {name: list(dims) for name, dims in model.named_vars_to_dims.items()},
        [[v.name for v in group] for group in (model.basic_RVs, values, model.deterministics)],
        [
            (type(t), {k: v for k, v in attributes[rv].items() if not isinstance(v, Variable)})
            for rv, t in transforms.items()
        ],
        [model.rvs_to_initial_values.get(rv) for rv in model.free_RVs],
        model.check_bounds,
    ]
    digest = hashlib.sha256(f"{code_version()} {pytensor.config.floatX}".encode())
    try:
        digest.update(_serialised(description))
        for line in _lines(outputs):
            digest.update(f"{len(line)} ".encode() + line)
    except (pickle.PicklingError, TypeError, AttributeError):
        return None
    return digest.hexdigest()


def _lines(outputs: list[Any]) -> Iterator[bytes]:
    """Describe a graph node by node; variables are numbered in order of appearance."""
    number: dict[Any, int] = {}
    operations: dict[int, bytes] = {}

    def enter(variables: Iterable[Any]) -> Iterator[bytes]:
        for variable in variables:
            if variable not in number:
                number[variable] = len(number)
                yield from _root(variable) if variable.owner is None else ()

    for node in toposort(outputs):
        yield from enter([*node.inputs, *node.outputs])
        operation = operations.get(id(node.op))
        if operation is None:
            operation = operations[id(node.op)] = _serialised(node.op)
        yield operation
        inputs, results = ([number[v] for v in side] for side in (node.inputs, node.outputs))
        yield f"{inputs} {results} {[str(v.type) for v in node.outputs]}".encode()
    yield from enter(outputs)
    yield str([number[v] for v in outputs]).encode()


def _root(variable: Any) -> Iterator[bytes]:
    """Describe a variable that no node computes; a constant with its value."""
    yield f"{type(variable)} {variable.type} {variable.name}".encode()
    if isinstance(variable, Constant):
        yield _serialised(variable.data)
    elif isinstance(variable, SharedVariable) and not isinstance(variable.type, RandomType):
        raise pickle.PicklingError("data that may be swapped")


class _Pickler(pickle.Pickler):
    """Rejects classes and functions of unversioned code, which a pickle refers to by name."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Variable):
            raise pickle.PicklingError("a graph inside an operation")
        by_name = isinstance(value, (type, FunctionType))
        if by_name and value.__module__.partition(".")[0] not in VERSIONED:
            raise pickle.PicklingError(f"the code of {value} has no version")
        return NotImplemented


def _serialised(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()
