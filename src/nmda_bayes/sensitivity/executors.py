"""Where variants run: this process, processes of this machine, or a cluster that is there."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing.connection import wait
from typing import Any

from nmda_bayes.errors import Fault, InputError
from nmda_bayes.garbage import look_rarely

#: What the server of workers imports.
PRELOADED = ["nmda_bayes.sensitivity.work"]


class Here(Executor):
    """Work in this process, one after the other: nutpie's chains use the cores by themselves."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it now.

        Parameters
        ----------
        fn
            What to do.
        *args, **kwargs
            Its arguments.

        Returns
        -------
        concurrent.futures.Future
            Done.
        """
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def executors(workers: int | None = None, scheduler: str | None = None) -> Callable[[], Executor]:
    """Say where variants run.

    Parameters
    ----------
    workers
        Processes of this machine; None or 1 for this process alone.
    scheduler
        The address of a Dask scheduler, ``tcp://host:port``.

    Returns
    -------
    Callable[[], concurrent.futures.Executor]
        Makes one; made again when its workers died.

    Raises
    ------
    InputError
        If both are named, there is no such scheduler, or its client is not installed.
    """
    if workers is not None and scheduler is not None:
        message = "--workers and --scheduler are two places to run"
        raise InputError([Fault(message, "Name one of them.", column="--scheduler")])
    if workers is not None and workers < 1:
        fault = Fault("is not a number of processes", "Write 1 or more.", column="--workers")
        raise InputError([fault])
    if scheduler is not None:
        return _on_a_cluster(scheduler)
    if workers is None or workers == 1:
        return Here
    return lambda: _processes(workers)


def abandon(executor: Executor, running: Iterable[Future[Any]]) -> None:
    """Leave an executor without waiting for half-done work: what is finished is in the store.

    Parameters
    ----------
    executor
        As `executors` makes it.
    running
        What was asked of it and is not done.
    """
    for future in running:
        future.cancel()
    # Python 3.14 calls this terminate_workers; before, leaving waits for what is being worked on.
    processes = dict(getattr(executor, "_processes", None) or {})
    executor.shutdown(wait=False)
    for process in processes.values():
        process.terminate()


def _processes(workers: int) -> Executor:
    # PyTensor's and numba's threads do not survive a fork of this process. A server that has only
    # imported the package does, and a worker is then there in 20 ms instead of 5 s.
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload(PRELOADED)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)


def _begin() -> None:
    look_rarely()
    _end_with_the_parent()


def _end_with_the_parent() -> None:
    """Leave when the driver was killed, and leave it to the driver to be interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A pool's worker waits for work on a pipe that its siblings hold open too, and so would
        # outlive a driver that was killed.
        watch = threading.Thread(target=_leave_after, args=(parent.sentinel,), daemon=True)
        watch.start()


def _leave_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _on_a_cluster(address: str) -> Callable[[], Executor]:
    if find_spec("distributed") is None:
        mend = "Install it: pip install 'nmda-bayes[cluster]'."
        raise InputError([Fault("Dask's client is not installed", mend, column="--scheduler")])
    from distributed import Client

    try:
        # Not the default: xarray would ask it for a lock on what is written in memory, and fail.
        client: Any = Client(  # type: ignore[no-untyped-call]
            address, timeout=10, set_as_default=False
        )
    except (OSError, ValueError, TimeoutError) as error:
        mend = "Start one with: dask scheduler; or check the address, tcp://host:port."
        message = f"there is no scheduler at '{address}' ({str(error).splitlines()[0]})"
        raise InputError([Fault(message, mend, column="--scheduler")]) from None
    return lambda: client.get_executor(pure=False)
