"""Stacks of small matrices are the work of one thread.

Each matrix of a stack is handed to BLAS by itself, and BLAS parts even one of 68 rows among its
threads, which then wait for each other: 49 of them took 0.08 s on one thread, and on two threads
2 s where another process used a core.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps

from threadpoolctl import ThreadpoolController


def on_one_thread[**Given, Made](function: Callable[Given, Made]) -> Callable[Given, Made]:
    """Keep BLAS to one thread while a function runs.

    Parameters
    ----------
    function
        Works on stacks of small matrices.

    Returns
    -------
    Callable
        The same function.
    """

    @wraps(function)
    def alone(*args: Given.args, **kwargs: Given.kwargs) -> Made:
        with _controller().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return alone


@cache
def _controller() -> ThreadpoolController:
    """The thread pools of this process; to look for them takes some milliseconds."""
    return ThreadpoolController()
