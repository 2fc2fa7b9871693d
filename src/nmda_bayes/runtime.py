"""The running process: garbage collection, BLAS threads, log messages, and the code's hash."""

from __future__ import annotations

import atexit
import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path
from typing import Final

from threadpoolctl import ThreadpoolController

from nmda_bayes.artifacts import digest

#: Rewriting a graph creates many objects that stay alive; with Python's default thresholds the
#: collector walks through them over and over.
GC_THRESHOLDS: Final = (100_000, 50, 50)
#: Libraries that draws depend on.
LIBRARIES: Final = ("pymc", "pytensor", "nutpie", "numba", "numpy")
#: Folders and files of the package that no result depends on.
PRESENTATION: Final = ("figures", "report", "cli.py", "results_folder.py", "terminal.py")


def tune_gc() -> None:
    """Raise the GC thresholds and skip the collection at exit.

    Only for processes of the command line and its workers, not for a user's Python session.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def single_threaded_blas[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Run batched small-matrix operations with one BLAS thread."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with _thread_pools().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return wrapper


@cache
def _thread_pools() -> ThreadpoolController:
    """The thread pools of this process, found once."""
    return ThreadpoolController()


@cache
def code_version() -> str:
    """Hash the source that results depend on, and the versions of `LIBRARIES`."""
    root = Path(__file__).parent
    parts: list[str | bytes] = [" ".join(version(name) for name in LIBRARIES)]
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if relative.parts[0] not in PRESENTATION:
            parts += [str(relative), path.read_bytes()]
    return digest(*parts)


@contextmanager
def silence_logger(name: str) -> Iterator[None]:
    """Suppress what a logger emits below the level of errors."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def ignore_potential_warning() -> Iterator[None]:
    """Suppress PyMC's warning that forward draws ignore potentials.

    The only potential of a graph weights its rows, and does not affect what a trial would report.
    """
    with warnings.catch_warnings(), silence_logger("pymc.sampling.forward"):
        warnings.filterwarnings("ignore", "The effect of Potentials", UserWarning)
        yield
