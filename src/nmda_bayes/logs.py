"""Other packages' remarks, held back: the page says what they would say, in its place."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quietly(logger: str) -> Iterator[None]:
    """Hold back what a logger says below the level of an error.

    Parameters
    ----------
    logger
        Its name.

    Yields
    ------
    None
        While the block runs.
    """
    spoken = logging.getLogger(logger)
    before = spoken.level
    spoken.setLevel(logging.ERROR)
    try:
        yield
    finally:
        spoken.setLevel(before)


@contextmanager
def drawing_forward() -> Iterator[None]:
    """Hold back what PyMC says of forward draws.

    It warns that potentials do not draw. The one potential of a graph is the weight of its rows,
    which says how much a trial is believed and nothing of what it would report.

    Yields
    ------
    None
        While the block runs.
    """
    with warnings.catch_warnings(), quietly("pymc.sampling.forward"):
        warnings.filterwarnings("ignore", "The effect of Potentials", UserWarning)
        yield
