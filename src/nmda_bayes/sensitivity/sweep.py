"""Running many variants: what is stored already, what is cheap, and the rest on any executor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Final

import xarray as xr

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.sensitivity.executors import abandon
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.store import Store

#: What Dask calls the end of a worker that took a task with it.
KILLED: Final = "KilledWorker"
#: So many variants that kill their workers, and none that does not, are not the variants' fault.
NONE_LIVES: Final = 2
Work = Callable[[Job], xr.Dataset]
#: Called with the name of each variant that is finished, and how many there are in all.
Progress = Callable[[str, int, int], None]


@dataclass
class Outcomes:
    """What a sweep came to.

    Attributes
    ----------
    answered
        Answers by the variant's name.
    failed
        Why a variant has none, by its name.
    """

    answered: dict[str, xr.Dataset] = field(default_factory=dict)
    failed: dict[str, Fault] = field(default_factory=dict)


def sweep(
    jobs: Sequence[Job],
    store: Store,
    executors: Callable[[], Executor],
    work: Work,
    progress: Progress | None = None,
) -> Outcomes:
    """Answer every variant that the store does not hold, and keep each as soon as it is there.

    Parameters
    ----------
    jobs
        The variants; those of one structure side by side.
    store
        What is finished, and where it goes.
    executors
        Makes an executor; called again when its workers died.
    work
        What a worker does: any function that can be pickled.
    progress
        Told of each finished variant.

    Returns
    -------
    Outcomes
        Every variant in one or the other.

    Raises
    ------
    FitError
        If an answer cannot be written; those written before are kept.
    InputError
        If no worker stays alive.
    KeyboardInterrupt
        When interrupted; likewise.
    """
    found = Outcomes()
    left: list[Job] = []
    once = {job.key: job for job in reversed(jobs)}  # two names may ask for the same
    for job in (one for one in jobs if once[one.key] is one):
        stored = store.read(job.key)
        if stored is None:
            left.append(job)
        else:
            found.answered[job.name] = stored
            _tell(progress, job.name, found, len(once))
    tell = _teller(progress, found, len(once))
    before, deadly = len(found.answered), 0
    while left:
        suspects = _round(left, store, executors(), work, found, tell)
        for job in suspects:
            # Whoever was being worked on may be to blame. Alone, nobody else can be.
            if _round([job], store, executors(), work, found, tell):
                message = f"the worker died twice while it worked on '{job.name}'"
                mend = "Run it alone with --only, and watch the memory."
                found.failed[job.name] = Fault(message, mend, column=job.name)
                deadly += 1
                tell(job.name)
        if len(found.answered) == before and deadly >= NONE_LIVES:
            mend = 'In a script of your own, start under if __name__ == "__main__":.'
            raise InputError([Fault("every worker dies as it starts", mend)])
        left = [j for j in left if j.name not in found.answered and j.name not in found.failed]
    for job in jobs:
        _give(found, job.name, once[job.key].name)
    return found


def _give(found: Outcomes, name: str, other: str) -> None:
    """Give a variant what another came to that asked for the same."""
    if other in found.answered:
        found.answered[name] = found.answered[other]
    else:
        found.failed[name] = found.failed[other]


def _round(
    jobs: Sequence[Job],
    store: Store,
    executor: Executor,
    work: Work,
    found: Outcomes,
    tell: Callable[[str], None],
) -> list[Job]:
    """Work until all is done or the workers die; give back what was being worked on then."""
    waiting = list(jobs)
    running: dict[Future[xr.Dataset], Job] = {}
    at_once, died = _workers(executor), False
    try:
        while (waiting or running) and not died:
            # No more at once than there are workers: whoever dies took exactly these with it.
            while waiting and len(running) < at_once:
                future = executor.submit(work, waiting[0])
                running[future] = waiting.pop(0)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                if _collect(future, running[future], store, found, tell):
                    died = True
                else:
                    del running[future]
    except BrokenProcessPool:
        died = True
    finally:
        abandon(executor, running)
    return list(running.values()) if died else []


def _collect(
    future: Future[xr.Dataset],
    job: Job,
    store: Store,
    found: Outcomes,
    tell: Callable[[str], None],
) -> bool:
    """Keep what a worker answered; True where the worker died instead."""
    try:
        answered = future.result()
    except (BrokenProcessPool, CancelledError):
        return True
    except Exception as error:  # the worker's: told by name, and no reason to lose the others
        if type(error).__name__ == KILLED:
            return True
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        found.failed[job.name] = Fault(
            f"'{job.name}' could not be fitted: {words}", column=job.name
        )
        tell(job.name)
        return False
    store.write(job.key, answered)
    found.answered[job.name] = answered
    tell(job.name)
    return False


def _workers(executor: Executor) -> int:
    """Ask an executor how many it works on at once."""
    own = getattr(executor, "_max_workers", None)
    if isinstance(own, int):
        return own
    client = getattr(executor, "_client", None)
    if client is not None:
        return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    return os.cpu_count() or 1


def _tell(progress: Progress | None, name: str, found: Outcomes, total: int) -> None:
    if progress is not None:
        progress(name, len(found.answered) + len(found.failed), total)


def _teller(progress: Progress | None, found: Outcomes, total: int) -> Callable[[str], None]:
    return lambda name: _tell(progress, name, found, total)


def in_order(jobs: Mapping[str, Job], structure: Callable[[Job], str]) -> Iterator[Job]:
    """Put the jobs of one structure side by side, the largest group first.

    Parameters
    ----------
    jobs
        By name.
    structure
        Names the compiled graph that a job needs.

    Yields
    ------
    Job
        Each once.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs.values():
        groups.setdefault(structure(job), []).append(job)
    for group in sorted(groups.values(), key=len, reverse=True):
        yield from group
