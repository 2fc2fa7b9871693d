"""Running many variants: what is stored already, what is cheap, and the rest on any executor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Final, Protocol

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


class Near(Protocol):
    """Variants that the driver may answer without a worker.

    Attributes
    ----------
    far
        Those that only a worker can answer.
    near
        The others, in the order in which they are tried.
    """

    far: list[Job]
    near: list[Job]

    def __iter__(self) -> Iterator[tuple[Job, xr.Dataset | None]]:
        """Try each; None where a worker must."""
        ...


#: Parts the jobs that have no answer; None where there is nothing that the driver can do.
Cheap = Callable[[Sequence[Job]], Near | None]


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

    def holds(self, name: str) -> bool:
        """Say whether a variant has come to an end.

        Parameters
        ----------
        name
            The variant's.

        Returns
        -------
        bool
            True where it has an answer, or a reason why not.
        """
        return name in self.answered or name in self.failed


def sweep(
    jobs: Sequence[Job],
    store: Store,
    executors: Callable[[], Executor],
    work: Work,
    progress: Progress | None = None,
    cheap: Cheap | None = None,
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
    cheap
        What this process does itself while the workers are busy; None where it does nothing.

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
    once = {job.key: job for job in reversed(jobs)}  # two names may ask for the same
    run = _Run(store, work, len(once), progress)
    found = run.found
    left: list[Job] = []
    for job in (one for one in jobs if once[one.key] is one):
        stored = store.read(job.key)
        if stored is None:
            left.append(job)
        else:
            run.has(job, stored)
    near = cheap(left) if cheap is not None and left else None
    if near is not None:
        left, run.near = near.far, iter(near)
    before, deadly = len(found.answered), 0
    while left or run.near is not None:
        suspects = run.round(left, executors())
        for job in suspects:
            # Whoever was being worked on may be to blame. Alone, nobody else can be.
            if run.round([job], executors(), alone=True):
                message = f"the worker died twice while it worked on '{job.name}'"
                mend = "Run it alone with --only, and watch the memory."
                run.has_not(job, Fault(message, mend, column=job.name))
                deadly += 1
        if len(found.answered) == before and deadly >= NONE_LIVES:
            mend = 'In a script of your own, start under if __name__ == "__main__":.'
            raise InputError([Fault("every worker dies as it starts", mend)])
        left = [j for j in [*left, *run.handed] if not found.holds(j.name)]
        run.handed.clear()
    for job in jobs:
        _give(found, job.name, once[job.key].name)
    return found


def _give(found: Outcomes, name: str, other: str) -> None:
    """Give a variant what another came to that asked for the same."""
    if other in found.answered:
        found.answered[name] = found.answered[other]
    else:
        found.failed[name] = found.failed[other]


@dataclass
class _Run:
    """A sweep on its way: what it came to, and what this process can still do itself."""

    store: Store
    work: Work
    total: int
    progress: Progress | None
    near: Iterator[tuple[Job, xr.Dataset | None]] | None = None
    handed: list[Job] = field(default_factory=list)
    _first: bool = True
    _tried: Future[Any] | None = None
    found: Outcomes = field(default_factory=Outcomes)

    def has(self, job: Job, answered: xr.Dataset) -> None:
        self.found.answered[job.name] = answered
        self._tell(job.name)

    def has_not(self, job: Job, why: Fault) -> None:
        self.found.failed[job.name] = why
        self._tell(job.name)

    def _tell(self, name: str) -> None:
        if self.progress is not None:
            done = len(self.found.answered) + len(self.found.failed)
            self.progress(name, done, self.total)

    def round(self, jobs: Sequence[Job], executor: Executor, *, alone: bool = False) -> list[Job]:
        """Work until all is done or the workers die; give back what was being worked on then."""
        waiting = list(jobs)
        running: dict[Future[xr.Dataset], Job] = {}
        at_once, died = _workers(executor), False
        try:
            while not alone and at_once == 1 and self.near is not None:
                waiting = [*self._take(next(self.near, None)), *waiting]  # nobody waits for it
            while (waiting or running or (self.near and not alone)) and not died:
                # No more at once than there are workers: whoever dies took exactly these with it.
                while waiting and len(running) < at_once:
                    future = executor.submit(self.work, waiting[0])
                    running[future] = waiting.pop(0)
                own = self._trying() if self.near is not None and not alone else None
                futures: list[Future[Any]] = [*running, *([own] if own is not None else [])]
                for ended in wait(futures, return_when=FIRST_COMPLETED).done:
                    if ended is own:
                        self._tried = None
                        waiting += self._take(ended.result())
                    elif self._collect(ended, running[ended]):
                        died = True
                    else:
                        del running[ended]
        except BrokenProcessPool:
            died = True
        finally:
            abandon(executor, running)
        return list(running.values()) if died else []

    def _trying(self) -> Future[Any]:
        """Answer one more variant here, beside the workers: they are handed work meanwhile.

        Done between two looks at the workers, moves of 15 to 55 s left them idle for 120 of 740 s.
        Only the first is done here and now: it draws the base, and can then be interrupted.
        """
        assert self.near is not None
        if self._tried is None:
            self._tried, first, self._first = Future(), self._first, False
            if first:
                _fulfil(self._tried, self.near)
            else:
                Thread(target=_fulfil, args=(self._tried, self.near), daemon=True).start()
        return self._tried

    def _take(self, tried: tuple[Job, xr.Dataset | None] | None) -> list[Job]:
        """Keep what was answered here; give it back where a worker must."""
        if tried is None:
            self.near = None
            return []
        job, answered = tried
        if answered is None:
            self.handed.append(job)
            return [job]
        self.store.write(job.key, answered)
        self.has(job, answered)
        return []

    def _collect(self, future: Future[xr.Dataset], job: Job) -> bool:
        """Keep what a worker answered; True where the worker died instead."""
        try:
            answered = future.result()
        except (BrokenProcessPool, CancelledError):
            return True
        except Exception as error:  # the worker's: told by name, and no reason to lose the others
            if type(error).__name__ == KILLED:
                return True
            words = str(error).splitlines()[0] if str(error) else type(error).__name__
            why = Fault(f"'{job.name}' could not be fitted: {words}", column=job.name)
            self.has_not(job, why)
            return False
        self.store.write(job.key, answered)
        self.has(job, answered)
        return False


def _fulfil(promised: Future[Any], near: Iterator[Any]) -> None:
    """Give the next of what the driver tries, or the error that it ended with."""
    try:
        promised.set_result(next(near, None))
    except BaseException as error:  # told to whoever waits, who may be another thread
        promised.set_exception(error)


def _workers(executor: Executor) -> int:
    """Ask an executor how many it works on at once."""
    own = getattr(executor, "_max_workers", None)
    if isinstance(own, int):
        return own
    client = getattr(executor, "_client", None)
    if client is not None:
        return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    return os.cpu_count() or 1
