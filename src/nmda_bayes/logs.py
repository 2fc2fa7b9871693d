"""Other packages' remarks, held back: the page says what they would say, in its place."""

from __future__ import annotations

import logging
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
