"""How far a sweep is, how fast it goes, and how long it will still take."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nmda_bayes.sensitivity.estimate import duration
from nmda_bayes.sensitivity.sweep import Progress


@contextmanager
def shown() -> Iterator[Progress]:
    """Show progress on standard error: a bar on a terminal, a line a variant elsewhere.

    Yields
    ------
    Progress
        To be told of each finished variant.
    """
    if sys.stderr.isatty():
        with _bar() as told:
            yield told
    else:
        yield _lines()


def _lines() -> Progress:
    start, first = time.monotonic(), [0]

    def told(name: str, finished: int, total: int) -> None:
        passed = time.monotonic() - start
        if passed < 1.0:  # what was stored already says nothing of the rate
            first[0] = finished
        print(f"{finished}/{total} {name}{_rate(finished - first[0], passed, total - finished)}",
              file=sys.stderr, flush=True)  # fmt: skip

    return told


def _rate(done: int, seconds: float, left: int) -> str:
    if not done or not left:
        return ""
    return f" ({60 * done / seconds:.1f} a minute, {duration(left * seconds / done)} left)"


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    start = time.monotonic()
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None, rate="")

        def told(name: str, finished: int, total: int) -> None:
            rate = f"{60 * finished / max(time.monotonic() - start, 1e-3):.1f} a minute"
            bar.update(task, total=total, completed=finished, description=name, rate=rate)

        yield told
