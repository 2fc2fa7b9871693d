"""Runs the variants of a plan: cached results, reweighting in this process, refits on an executor.

This module imports no PyMC, so that a dry run is quick and workers start fast.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import connection
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import xarray as xr

from nmda_bayes.errors import InputError, Issue
from nmda_bayes.registry import shipped_folder
from nmda_bayes.runtime import tune_gc
from nmda_bayes.sensitivity.cache import ResultCache, cache_key
from nmda_bayes.sensitivity.plan import Plan, base_path, read_plan
from nmda_bayes.sensitivity.results import combine
from nmda_bayes.sensitivity.variants import BASE, row_selection_key
from nmda_bayes.spec import AnalysisSpec

if TYPE_CHECKING:
    from nmda_bayes.sensitivity.reweight import ReweightedVariants

#: Modules that the fork server of workers imports.
PRELOADED = ["nmda_bayes.sensitivity.summaries"]
#: The exception by which Dask reports that a worker died.
KILLED_WORKER: Final = "KilledWorker"
#: If so many variants kill their workers and none succeeds, the variants are not the cause.
MAX_DEADLY: Final = 2
#: Processor seconds of the shipped primary analysis, for estimates: to compile a graph; to sample
#: and summarise; and, on average, for a variant with the base's graph, reweighted or refitted.
COMPILE_SECONDS: Final = 20.0
SAMPLE_SECONDS: Final = 25.0
SAME_STRUCTURE_SECONDS: Final = 6.0
#: Finished results that are read for an estimate.
TIMED_RESULTS: Final = 50


@dataclass(frozen=True)
class VariantJob:
    """One variant as it is sent to a worker; `key` names its result in the cache."""

    name: str
    key: str
    spec: AnalysisSpec
    design: xr.DataTree
    dose: float
    elpd: bool = False


Work = Callable[[VariantJob], xr.Dataset]
#: Called with the name of each finished variant, the number finished, and the total.
Progress = Callable[[str, int, int], None]
#: Divides the jobs without a result; None if this process can compute none of them.
Reweight = Callable[[Sequence[VariantJob]], "ReweightedVariants | None"]


def fit_variants(
    path: str | os.PathLike[str],
    evidence: xr.DataTree,
    *,
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    only: tuple[str, ...] = (),
) -> xr.Dataset:
    """Run a sensitivity analysis.

    Parameters
    ----------
    path
        Its TOML file.
    evidence
        As `nmda_bayes.load_evidence` returns it.
    store
        Folder where each result is kept as soon as it is computed, so that a second call continues
        where the first stopped; None to keep nothing.
    workers
        Number of worker processes; None to compute in this process.
    only
        Names of variants to run, ``*`` for anything; empty for all.

    Returns
    -------
    xr.Dataset
        As `nmda_bayes.sensitivity.results.combine` returns it: dim variant, the base first.

    Raises
    ------
    SpecError, EvidenceError
        With the errors of all variants, before anything runs.

    Examples
    --------
    >>> results = nb.fit_variants("models/sensitivity.toml", evidence)  # doctest: +SKIP
    >>> dict(results["effect"].sizes)  # doctest: +SKIP
    {'variant': 97, 'outcome': 2, 'agent': 19, 'condition': 21, 'statistic': 7}
    """
    base = AnalysisSpec.from_toml(base_path(path, shipped_folder("models")))
    plan = read_plan(path, evidence, base)
    plan = plan.only(only) if only else plan
    make_executor = executor_factory(workers)
    if store is not None:
        return run_plan(plan, evidence, ResultCache(store), make_executor)
    with TemporaryDirectory() as folder:
        return run_plan(plan, evidence, ResultCache(folder), make_executor)


def run_plan(
    plan: Plan,
    evidence: xr.DataTree,
    cache: ResultCache,
    make_executor: Callable[[], Executor],
    *,
    work: Work | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Run a plan on the evidence that it was checked against; `work` replaces `run_variant`."""
    jobs = jobs_of(plan, evidence)
    reweight: Reweight | None = None
    if work is None:
        from nmda_bayes.sensitivity.summaries import run_variant  # PyMC takes seconds to import

        work = run_variant
        reweight = _reweight_from(jobs[BASE], cache) if BASE in jobs else None
    result = sweep(
        group_by_structure(jobs.values()), cache, make_executor, work, progress, reweight
    )
    return combine(plan, result.summaries, result.failures)


def _reweight_from(base: VariantJob, cache: ResultCache) -> Reweight:
    def divide(pending: Sequence[VariantJob]) -> ReweightedVariants | None:
        from nmda_bayes.sensitivity.reweight import reweighted_variants

        structure = structure_of(base)
        return reweighted_variants(base, pending, cache, lambda j: structure_of(j) == structure)

    return divide


def jobs_of(plan: Plan, evidence: xr.DataTree) -> dict[str, VariantJob]:
    """Make the jobs of a plan by variant; a variant that cannot be fitted has none."""
    evidence_hash = str(evidence.attrs["evidence_hash"])
    settings: Any = [plan.dose, "elpd"] if plan.elpd else plan.dose
    jobs = {}
    for name, variant in plan.variants.items():
        source = plan.base if variant.same_rows else variant
        if source.design is not None:
            key = cache_key(source.spec, evidence_hash, settings)
            jobs[name] = VariantJob(name, key, source.spec, source.design, plan.dose, plan.elpd)
    return jobs


def structure_of(job: VariantJob) -> str:
    """Name the compiled graph that a job probably needs: rows and parts, without priors' values."""
    parts = [
        (
            name,
            outcome.curve,
            outcome.likelihood,
            str((outcome.curve_options, outcome.curves)),
            outcome.heterogeneity,
            sorted(outcome.parameters),
        )
        for name, outcome in job.spec.outcomes.items()
    ]
    rows = row_selection_key(job.spec.model_copy(update={"exclude": {}}))
    correlations = sorted(job.spec.correlations.model_dump(exclude_none=True))
    return f"{rows} {parts} {correlations}"


def group_by_structure(jobs: Iterable[VariantJob]) -> list[VariantJob]:
    """Order jobs so that those of one structure follow each other, the largest group first."""
    groups: dict[str, list[VariantJob]] = {}
    for job in jobs:
        groups.setdefault(structure_of(job), []).append(job)
    return [job for group in sorted(groups.values(), key=len, reverse=True) for job in group]


# --- Sweep ---------------------------------------------------------------------------------------


@dataclass
class SweepResult:
    """Summaries by variant name, and the reason for each variant that has none."""

    summaries: dict[str, xr.Dataset] = field(default_factory=dict)
    failures: dict[str, Issue] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.summaries or name in self.failures


def sweep(
    jobs: Sequence[VariantJob],
    cache: ResultCache,
    make_executor: Callable[[], Executor],
    work: Work,
    progress: Progress | None = None,
    reweight: Reweight | None = None,
) -> SweepResult:
    """Compute every variant that is not cached, and store each result at once.

    `make_executor` is called again when workers died; `work` must be picklable; `reweight` gives
    what this process computes while the workers are busy. Raises `FitError` if a result cannot be
    written and `InputError` if no worker stays alive; results written before are kept.
    """
    unique = {job.key: job for job in reversed(jobs)}  # two names may request the same result
    run = _Sweep(cache, work, len(unique), progress)
    result, pending = run.result, []
    for job in (job for job in jobs if unique[job.key] is job):
        stored = cache.read(job.key)
        if stored is None:
            pending.append(job)
        else:
            run.succeed(job, stored)
    reweighted = reweight(pending) if reweight is not None and pending else None
    if reweighted is not None:
        pending, run.local = reweighted.refit, iter(reweighted)
    from_cache, deadly = len(result.summaries), 0
    while pending or run.local is not None:
        suspects = run.round(pending, make_executor())
        for job in suspects:
            # Any of the running variants may have killed the worker; run each of them alone.
            if run.round([job], make_executor(), alone=True):
                message = f"the worker process died twice while computing '{job.name}'"
                fix = "Run this variant alone with --only and watch the memory."
                run.fail(job, Issue("E654", message, fix, column=job.name))
                deadly += 1
        if len(result.summaries) == from_cache and deadly >= MAX_DEADLY:
            fix = 'In a script, start the analysis under if __name__ == "__main__":.'
            raise InputError([Issue("E655", "worker processes die as they start", fix)])
        pending = [job for job in [*pending, *run.handed_on] if job.name not in result]
        run.handed_on.clear()
    for job in jobs:
        source = unique[job.key].name
        if source in result.summaries:
            result.summaries[job.name] = result.summaries[source]
        else:
            result.failures[job.name] = result.failures[source]
    return result


@dataclass
class _Sweep:
    """The state of a sweep; `local` are the variants that this process reweights."""

    cache: ResultCache
    work: Work
    total: int
    progress: Progress | None
    local: Iterator[tuple[VariantJob, xr.Dataset | None]] | None = None
    handed_on: list[VariantJob] = field(default_factory=list)
    result: SweepResult = field(default_factory=SweepResult)
    _local_started: bool = False
    _local_future: Future[Any] | None = None

    def succeed(self, job: VariantJob, summaries: xr.Dataset) -> None:
        self.result.summaries[job.name] = summaries
        self._report(job.name)

    def fail(self, job: VariantJob, issue: Issue) -> None:
        self.result.failures[job.name] = issue
        self._report(job.name)

    def _report(self, name: str) -> None:
        if self.progress is not None:
            finished = len(self.result.summaries) + len(self.result.failures)
            self.progress(name, finished, self.total)

    def round(
        self, jobs: Sequence[VariantJob], executor: Executor, *, alone: bool = False
    ) -> list[VariantJob]:
        """Run until all is done or workers die; return the jobs that were running then."""
        waiting = list(jobs)
        running: dict[Future[xr.Dataset], VariantJob] = {}
        n_workers, died = _worker_count(executor), False
        try:
            while not alone and n_workers == 1 and self.local is not None:
                # Nothing runs in parallel: reweight first.
                waiting = [*self._collect_local(next(self.local, None)), *waiting]
            while (waiting or running or (self.local and not alone)) and not died:
                # No more at once than there are workers: a dead worker took exactly these with it.
                while waiting and len(running) < n_workers:
                    future = executor.submit(self.work, waiting[0])
                    running[future] = waiting.pop(0)
                local = self._next_local() if self.local is not None and not alone else None
                futures: list[Future[Any]] = [*running, *([local] if local is not None else [])]
                for done in wait(futures, return_when=FIRST_COMPLETED).done:
                    if done is local:
                        self._local_future = None
                        waiting += self._collect_local(done.result())
                    elif self._collect(done, running[done]):
                        died = True
                    else:
                        del running[done]
        except BrokenProcessPool:
            died = True
        finally:
            abandon(executor, running)
        return list(running.values()) if died else []

    def _next_local(self) -> Future[Any]:
        """Reweight one more variant in a thread, so that workers are given jobs meanwhile.

        The first runs in this thread: it samples the base and can then be interrupted.
        """
        assert self.local is not None
        if self._local_future is None:
            self._local_future, started = Future(), self._local_started
            self._local_started = True
            if started:
                arguments = (self._local_future, self.local)
                threading.Thread(target=_resolve_next, args=arguments, daemon=True).start()
            else:
                _resolve_next(self._local_future, self.local)
        return self._local_future

    def _collect_local(self, item: tuple[VariantJob, xr.Dataset | None] | None) -> list[VariantJob]:
        """Store what was reweighted; return the job if a worker has to refit it."""
        if item is None:
            self.local = None
            return []
        job, summaries = item
        if summaries is None:
            self.handed_on.append(job)
            return [job]
        self.cache.write(job.key, summaries)
        self.succeed(job, summaries)
        return []

    def _collect(self, future: Future[xr.Dataset], job: VariantJob) -> bool:
        """Store a worker's result; True if the worker died instead."""
        try:
            summaries = future.result()
        except (BrokenProcessPool, CancelledError):
            return True
        except Exception as error:  # the variant's: reported by name, the others continue
            if type(error).__name__ == KILLED_WORKER:
                return True
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            message = f"'{job.name}' could not be fitted: {reason}"
            self.fail(job, Issue("E656", message, column=job.name))
            return False
        self.cache.write(job.key, summaries)
        self.succeed(job, summaries)
        return False


def _resolve_next(future: Future[Any], items: Iterator[Any]) -> None:
    """Put the next item, or the error that it ended with, into a future."""
    try:
        future.set_result(next(items, None))
    except BaseException as error:  # raised again in the thread that waits
        future.set_exception(error)


# --- Executors -----------------------------------------------------------------------------------


class SerialExecutor(Executor):
    """Computes in this process, one job after the other; the chains themselves use all cores."""

    _max_workers = 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function at once."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def executor_factory(
    workers: int | None = None, scheduler: str | None = None
) -> Callable[[], Executor]:
    """Choose where variants run: this process, worker processes, or a Dask scheduler's address.

    The factory is called again when workers died.
    """
    if workers is not None and scheduler is not None:
        message, fix = "--workers and --scheduler exclude each other", "Use one of them."
        raise InputError([Issue("E650", message, fix, column="--scheduler")])
    if workers is not None and workers < 1:
        message, fix = f"{workers} is not a number of worker processes", "Write 1 or more."
        raise InputError([Issue("E651", message, fix, column="--workers")])
    if scheduler is not None:
        return _dask(scheduler)
    if workers is None or workers == 1:
        return SerialExecutor
    return lambda: _process_pool(workers)


def abandon(executor: Executor, running: Iterable[Future[Any]]) -> None:
    """Leave an executor without waiting for unfinished jobs; finished ones are in the cache."""
    for future in running:
        future.cancel()
    # Python 3.14 calls this terminate_workers; before, shutdown waits for running jobs.
    processes = dict(getattr(executor, "_processes", None) or {})
    executor.shutdown(wait=False)
    for process in processes.values():
        process.terminate()


def _worker_count(executor: Executor) -> int:
    count = getattr(executor, "_max_workers", None)
    if isinstance(count, int):
        return count
    client = getattr(executor, "_client", None)
    if client is not None:
        return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
    return os.cpu_count() or 1


def _process_pool(workers: int) -> Executor:
    # PyTensor's and numba's threads do not survive a fork of this process. A fork server that has
    # only imported the package does, and its workers start in milliseconds.
    fork_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if fork_server else "spawn")
    if fork_server:
        context.set_forkserver_preload(PRELOADED)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)


def _start_worker() -> None:
    """Leave interrupts to the driver, and exit when the driver is killed."""
    tune_gc()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        # A worker waits for jobs on a pipe that its siblings hold open too, and so would outlive a
        # driver that was killed.
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


def _dask(address: str) -> Callable[[], Executor]:
    if find_spec("distributed") is None:
        fix = "Install it: pip install 'nmda-bayes[cluster]'."
        raise InputError([Issue("E652", "Dask is not installed", fix, column="--scheduler")])
    from distributed import Client

    try:
        # Not the default client: xarray would ask it for a lock on an in-memory file, and fail.
        client: Any = Client(  # type: ignore[no-untyped-call]
            address, timeout=10, set_as_default=False
        )
    except (OSError, ValueError, TimeoutError) as error:
        message = f"no scheduler answers at '{address}' ({str(error).splitlines()[0]})"
        fix = "Start one with: dask scheduler; or check the address, tcp://host:port."
        raise InputError([Issue("E653", message, fix, column="--scheduler")]) from None
    return lambda: client.get_executor(pure=False)


# --- Estimate and progress -----------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """Counts of variants (base included) and the seconds that the remaining ones take.

    Variants with the same result count once in `remaining`; `graphs` are the models to compile for
    these; `measured` is True where this folder's finished fits give the time.
    """

    variants: int
    impossible: int
    same_rows: int
    finished: int
    remaining: int
    graphs: int
    seconds: float
    measured: bool

    @property
    def text(self) -> str:
        """The estimate as one line."""
        parts = [f"{self.variants} variants including the base"]
        if self.impossible:
            parts.append(f"{self.impossible} cannot be fitted")
        if self.same_rows:
            parts.append(f"{self.same_rows} with the same rows as the base")
        if self.finished:
            parts.append(f"{self.finished} finished")
        parts.append(f"{self.remaining} to fit, {self.graphs} models to compile")
        basis = "this folder's finished fits" if self.measured else "the primary analysis"
        duration = f"about {format_duration(self.seconds)}, based on {basis}"
        return f"{'; '.join(parts)}; {duration if self.remaining else 'nothing left to do'}."


def estimate(
    plan: Plan, jobs: Mapping[str, VariantJob], cache: ResultCache | None, workers: int
) -> Estimate:
    """Count and time a plan before it runs; `cache` is None where nothing is finished."""
    cached = cache.cached(job.key for job in jobs.values()) if cache is not None else set()
    remaining = list({job.key: job for job in jobs.values() if job.key not in cached}.values())
    graphs = len({structure_of(job) for job in remaining})
    mean = _mean_seconds(cache, cached)
    if mean is None:
        base_structure = structure_of(jobs[BASE]) if BASE in jobs else ""
        same = sum(structure_of(job) == base_structure for job in remaining)
        # Each worker compiles for itself what several of them work on.
        compiled = min(graphs + workers - 1, len(remaining))
        seconds = compiled * COMPILE_SECONDS + same * SAME_STRUCTURE_SECONDS
        seconds += (len(remaining) - same) * SAMPLE_SECONDS
    else:
        seconds = mean * len(remaining)
    return Estimate(
        variants=len(plan.variants),
        impossible=sum(bool(variant.impossible) for variant in plan.variants.values()),
        same_rows=sum(variant.same_rows for variant in plan.variants.values()),
        finished=len(cached),
        remaining=len(remaining),
        graphs=graphs,
        seconds=seconds / max(1, workers),
        measured=mean is not None,
    )


def _mean_seconds(cache: ResultCache | None, cached: set[str]) -> float | None:
    results = [cache.read(k) for k in sorted(cached)[:TIMED_RESULTS]] if cache is not None else []
    seconds = [float(r.attrs.get("seconds", 0)) for r in results if r is not None]
    return sum(seconds) / len(seconds) if seconds else None


def format_duration(seconds: float) -> str:
    """Write a duration as ``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def progress_display() -> Iterator[Progress]:
    """Show progress on standard error: a bar on a terminal, one line per variant elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    start, from_cache = time.monotonic(), 0
    with ProgressBar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, rate="")

        def update(name: str, finished: int, total: int) -> None:
            nonlocal from_cache
            seconds = time.monotonic() - start
            if seconds < 1.0:  # cached results say nothing about the rate
                from_cache = finished
            computed = finished - from_cache
            rate = f"{60 * computed / seconds:.1f} per minute" if computed else ""
            bar.update(task, total=total, completed=finished, description=name, rate=rate)
            if not console.is_terminal:
                line = f"{finished}/{total} {name}"
                if computed and finished < total:
                    left = format_duration((total - finished) * seconds / computed)
                    line += f" ({rate}, {left} left)"
                console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield update
