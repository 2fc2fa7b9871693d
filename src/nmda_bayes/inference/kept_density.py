"""What is known of a compiled density beside its code, kept on disk by what the graph computes.

PyTensor keeps what it compiles, and looks it up by the graph that its rewriting ends with. On the
triptans network rewriting takes 4 s; a graph that was compiled before is known by its fingerprint,
and its code is read at once. A file says which code that is, and what the sampler asks of a model:
names, shapes, dims and the place to start from. It holds numbers and names alone, and whatever is
wrong with it, the graph is compiled as if it were not there.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pytensor


@dataclass(frozen=True)
class Known:
    """What is known of a compiled density.

    Attributes
    ----------
    size
        Coordinates of the sampler.
    length
        Numbers that are worked out at each draw, those coordinates among them.
    names, shapes
        Of these numbers, variable by variable.
    dims
        By name.
    coordinates
        A name for each coordinate of the sampler.
    moved
        Coordinates that are not the variable itself.
    middle
        Where chains start around.
    density, variables
        The keys of the code.
    """

    size: int
    length: int
    names: list[str]
    shapes: list[list[int]]
    dims: dict[str, list[str]]
    coordinates: list[str]
    moved: list[str]
    middle: list[float]
    density: str
    variables: str


def known(fingerprint: str) -> Known | None:
    """Read what is known of a graph.

    Parameters
    ----------
    fingerprint
        As `nmda_bayes.inference.fingerprint.fingerprint` gives it.

    Returns
    -------
    Known or None
        None where nothing is kept, or not the whole.
    """
    try:
        said: Any = json.loads(_path(fingerprint).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(said, dict) or set(said) != {field.name for field in fields(Known)}:
        return None
    return Known(**said)


def keep(fingerprint: str, found: Known) -> None:
    """Write what is known of a graph, whole or not at all.

    Parameters
    ----------
    fingerprint
        As in `known`.
    found
        What is known.
    """
    path = _path(fingerprint)
    half = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # nobody misses what is compiled anew
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            half.write_text(json.dumps(asdict(found)), encoding="utf-8")
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def folder() -> Path:
    """Say where it is kept: beside what PyTensor keeps.

    Returns
    -------
    Path
        The folder, which need not be there.
    """
    return Path(pytensor.config.base_compiledir) / "nmda_bayes"


def _path(fingerprint: str) -> Path:
    return folder() / f"{fingerprint}.json"
