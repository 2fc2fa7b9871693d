"""Interrupted runs, dying workers and other executors give the same results."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.errors import InputError, Issue, SpecError
from nmda_bayes.sensitivity.cache import ResultCache
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.results import compare_variants, main_cell
from nmda_bayes.sensitivity.runner import (
    SerialExecutor,
    VariantJob,
    executor_factory,
    jobs_of,
    run_plan,
    sweep,
)
from tests.sensitivity import workers
from tests.support.issues import issues_when


@pytest.fixture(scope="module")
def plan_and_evidence(light_workers: None):
    return workers.the_plan()


@pytest.fixture(autouse=True, scope="module")
def light_workers() -> Iterator[None]:
    """Quick workers do not import PyMC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmda_bayes.sensitivity.cache.code_version", workers.code_version)
        patch.setattr("nmda_bayes.sensitivity.runner.PRELOADED", workers.PRELOADED)
        yield


@pytest.fixture(scope="module")
def undisturbed(plan_and_evidence, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder = tmp_path_factory.mktemp("store")
    return run_plan(*plan_and_evidence, ResultCache(folder), SerialExecutor, work=workers.quick)


def test_table_has_all_variants_with_the_base_first(undisturbed: xr.Dataset):
    assert undisturbed["effect"].dims == ("variant", "outcome", "agent", "condition", "statistic")
    names = [str(name) for name in undisturbed["variant"].to_numpy()]
    assert names == ["base", "without study A", "without study B", "without study C"]
    assert undisturbed["setting"].sel(choice="trials").to_numpy().tolist() == [
        "as in the base", *names[1:]]  # fmt: skip
    assert set(undisturbed["how"].to_numpy()) == {"fitted"}
    frame = compare_variants(undisturbed, agent="mem")
    assert frame["shift"].iloc[0] == 0
    assert frame.attrs["agent"] == "mem"
    assert frame.attrs["interval"] == "95% CrI"
    assert set(frame["interval"]) == {"95% CrI"}
    (issue,) = issues_when(lambda: main_cell(undisturbed, agent="memm"), InputError)
    assert (issue.code, issue.column) == ("E673", "agent")


def test_run_again_continues(plan_and_evidence, tmp_path: Path, undisturbed: xr.Dataset):
    done: list[str] = []

    def interrupt(name: str, finished: int, total: int) -> None:
        done.append(name)
        if finished == 2:
            raise KeyboardInterrupt

    store = ResultCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_plan(*plan_and_evidence, store, SerialExecutor, work=workers.quick, progress=interrupt)
    assert len(list(tmp_path.glob("*.nc"))) == 2
    worked: list[str] = []

    def count(job):
        worked.append(job.name)
        return workers.quick(job)

    result = run_plan(*plan_and_evidence, ResultCache(tmp_path), SerialExecutor, work=count)
    assert sorted([*worked, *done]) == sorted(undisturbed["variant"].to_numpy())
    xr.testing.assert_identical(result, undisturbed)


class LocalVariants:
    """The driver reweights the base and one trial, and hands on another."""

    def __init__(self, left: list[VariantJob]) -> None:
        named = {job.name: job for job in left}
        self.reweight = [named[n] for n in ("base", "without study A", "without study B")]
        self.refit = [job for job in left if job not in self.reweight]

    def __iter__(self) -> Iterator[tuple[VariantJob, xr.Dataset | None]]:
        for job in self.reweight:
            yield job, None if job.name == "without study B" else workers.quick(job)


@pytest.mark.parametrize("at_once", [1, 2])
def test_driver_reweights_and_hands_on(plan_and_evidence, tmp_path: Path, at_once: int):
    jobs, order = list(jobs_of(*plan_and_evidence).values()), []

    def count(job: VariantJob) -> xr.Dataset:
        order.append(job.name)
        return workers.quick(job)

    pool = SerialExecutor() if at_once == 1 else ThreadPoolExecutor(at_once)
    result = sweep(jobs, ResultCache(tmp_path), lambda: pool, count, None, LocalVariants)
    # Without workers the driver reweights first; workers start with the refits.
    far, near = "without study C", "without study B"
    assert order == ([near, far] if at_once == 1 else [far, near])
    assert sorted(result.summaries) == sorted(job.name for job in jobs)
    assert len(list(tmp_path.glob("*.nc"))) == len(jobs)


class Deadly(SerialExecutor):
    """An executor of two workers that die at one variant."""

    _max_workers = 2

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if args[0].name != "without study C":
            return super().submit(fn, *args, **kwargs)
        broken: Future[Any] = Future()
        broken.set_exception(BrokenProcessPool())
        return broken


def test_handed_on_variants_survive_a_dead_worker(plan_and_evidence, tmp_path: Path):
    jobs = list(jobs_of(*plan_and_evidence).values())
    result = sweep(jobs, ResultCache(tmp_path), Deadly, workers.quick, None, LocalVariants)
    assert {name: issue.code for name, issue in result.failures.items()} == {
        "without study C": "E654"
    }
    assert set(result.summaries) == {"base", "without study A", "without study B"}


def test_equal_variants_are_computed_once(plan_and_evidence, tmp_path: Path):
    plan, evidence = plan_and_evidence
    twin = replace(plan.variants["without study A"], name="A again")
    both = replace(plan, variants={**plan.variants, twin.name: twin})
    worked: list[str] = []

    def count(job):
        worked.append(job.name)
        return workers.quick(job)

    result = run_plan(both, evidence, ResultCache(tmp_path), SerialExecutor, work=count)
    assert sorted(worked) == sorted(plan.variants)
    first, second = (
        result["effect"].sel(variant=n, drop=True) for n in ("without study A", "A again")
    )
    xr.testing.assert_identical(first, second)


def test_corrupt_results_are_computed_again(
    plan_and_evidence, tmp_path: Path, undisturbed: xr.Dataset
):
    run_plan(*plan_and_evidence, ResultCache(tmp_path), SerialExecutor, work=workers.quick)
    path = sorted(tmp_path.glob("*.nc"))[0]
    path.write_bytes(path.read_bytes()[:1000])
    store = ResultCache(tmp_path)
    xr.testing.assert_identical(
        run_plan(*plan_and_evidence, store, SerialExecutor, work=workers.quick), undisturbed
    )
    assert [Path(issue.file) for issue in store.corrupt] == [path]


def test_failed_variant_is_named_and_others_are_kept(plan_and_evidence, tmp_path: Path):
    pools = [ThreadPoolExecutor(2), SerialExecutor()]
    for number, pool in enumerate(pools):
        store = ResultCache(tmp_path / str(number))
        result = run_plan(*plan_and_evidence, store, lambda pool=pool: pool, work=workers.failing)
        failed = result.sel(variant="without study A")
        assert "a singular matrix" in str(failed["remark"].item())
        assert bool(failed["effect"].isnull().all())
        assert (
            int(
                result["effect"].notnull().all(["outcome", "agent", "condition", "statistic"]).sum()
            )
            == 3
        )


def test_issues_can_be_pickled():
    error = SpecError([Issue("E000", "one", "hint", "a.toml", column="x"), Issue("E000", "two")])
    again = pickle.loads(pickle.dumps(error))
    assert again.issues == error.issues
    assert str(again) == str(error)


def test_dead_workers_are_replaced_and_deadly_variants_named(
    plan_and_evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: xr.Dataset
):
    monkeypatch.setenv(workers.DEADLY, f"{tmp_path / 'once'};without study B")
    result = run_plan(
        *plan_and_evidence, ResultCache(tmp_path / "s"), executor_factory(2), work=workers.dying
    )
    assert "died twice" in str(result["remark"].sel(variant="without study B").item())
    kept = [n for n in undisturbed["variant"].to_numpy() if n != "without study B"]
    xr.testing.assert_equal(
        result["effect"].sel(variant=kept), undisturbed["effect"].sel(variant=kept)
    )


def workers_of(driver: int) -> list[int]:
    def children(process: int) -> list[int]:
        try:
            listed = Path(f"/proc/{process}/task/{process}/children").read_text()
        except OSError:
            return []
        return [int(child) for child in listed.split()]

    return [worker for child in children(driver) for worker in children(child)]


def kill_after(folder: Path, files: int, seconds: float, variants: int, of: str) -> str:
    """Start a driver and kill it, or one of its workers, after some results."""
    command = [sys.executable, "-c", "from tests.sensitivity import workers; workers.main()"]
    planned = folder / "plan"  # a driver that plans by itself takes 8 s of processor more
    planned.write_bytes(pickle.dumps(left_alone(variants)[:2]))
    command += [str(folder), "2", str(planned)]
    environment = os.environ | {workers.PAUSE: "0.02"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:
        while len(list(folder.glob("*.nc"))) < files and driver.poll() is None:
            time.sleep(0.002)
        time.sleep(seconds)
        # Workers are children of the fork server.
        result = {"driver": lambda: [driver.pid], "worker": lambda: workers_of(driver.pid)}[of]()
        for victim in result[-1:]:
            os.kill(victim, signal.SIGKILL)
        assert driver.stdout is not None
        return driver.stdout.read()


@cache
def left_alone(variants: int) -> tuple[Plan, xr.DataTree, xr.Dataset]:
    """A plan, its evidence, and its results without interruption."""
    plan, evidence = workers.the_plan(variants)
    with TemporaryDirectory() as folder:
        return (
            plan,
            evidence,
            run_plan(plan, evidence, ResultCache(folder), SerialExecutor, work=workers.quick),
        )


def check_kill(folder: Path, files: int, seconds: float, variants: int, of: str) -> None:
    output = kill_after(folder, files, seconds, variants, of)
    plan, evidence, fresh = left_alone(variants)
    jobs = jobs_of(plan, evidence)
    for partial in folder.glob("*.partial"):  # as if the kill was long ago
        os.utime(partial, (0, 0))
    store, standing = ResultCache(folder), {path.stem for path in folder.glob("*.nc")}
    assert len(standing) >= files
    worked: list[str] = []

    def count(job):
        worked.append(job.name)
        return workers.quick(job)

    result = run_plan(plan, evidence, store, SerialExecutor, work=count)
    # Every stored result is complete, and none was computed again.
    assert store.corrupt == []
    assert {jobs[name].key for name in worked} == {job.key for job in jobs.values()} - standing
    if of == "worker":  # the driver went on, and to the end
        assert output.splitlines()[-1] == "done"
        assert not worked
    xr.testing.assert_identical(result, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(50))
def test_kill_9_at_random_times_loses_no_result(number: int, tmp_path: Path):
    """Kill the driver and a worker in turn, in a sweep of thirty variants."""
    random = np.random.default_rng(number)
    files, seconds = int(random.integers(0, 29)), float(random.uniform(0, 0.05))
    check_kill(tmp_path, files, seconds, 26, "worker" if number % 2 else "driver")


def test_kill_9_loses_no_result(tmp_path: Path):
    check_kill(tmp_path, 3, 0.005, 5, "driver")


class TestWhere:
    def test_conflicting_options_are_rejected(self):
        (issue,) = issues_when(lambda: executor_factory(2, "tcp://x:1"), InputError)
        assert (issue.code, issue.column) == ("E650", "--scheduler")

    def test_zero_workers_are_rejected(self):
        (issue,) = issues_when(lambda: executor_factory(0), InputError)
        assert (issue.code, issue.column) == ("E651", "--workers")

    @pytest.mark.slow
    def test_missing_scheduler_is_reported(self):
        (issue,) = issues_when(lambda: executor_factory(scheduler="tcp://127.0.0.1:9"), InputError)
        assert (issue.code, issue.column) == ("E653", "--scheduler")

    @pytest.mark.slow
    def test_dask_gives_the_same_table(
        self, plan_and_evidence, tmp_path: Path, undisturbed: xr.Dataset
    ):
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            where = executor_factory(scheduler=cluster.scheduler_address)
            result = run_plan(*plan_and_evidence, ResultCache(tmp_path), where, work=workers.quick)
        xr.testing.assert_identical(result, undisturbed)
