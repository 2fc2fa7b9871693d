"""Sweeps that are cut off, whose workers die, and that run elsewhere all come to the same table."""

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

from nmda_bayes.errors import Fault, InputError, SpecError
from nmda_bayes.sensitivity.executors import Here, executors
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.sensitivity.plan import Plan
from nmda_bayes.sensitivity.results import cell_of, compare
from nmda_bayes.sensitivity.run import jobs_of, run_plan
from nmda_bayes.sensitivity.store import Store
from nmda_bayes.sensitivity.sweep import sweep
from tests.conftest import faults_when
from tests.sensitivity import workers


@pytest.fixture(scope="module")
def asked(light_workers: None):
    return workers.the_plan()


@pytest.fixture(autouse=True, scope="module")
def light_workers() -> Iterator[None]:
    """Workers that answer at once need not import what fits a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nmda_bayes.sensitivity.store.code_version", workers.some_code)
        patch.setattr("nmda_bayes.sensitivity.executors.PRELOADED", workers.PRELOADED)
        yield


@pytest.fixture(scope="module")
def undisturbed(asked, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    folder = tmp_path_factory.mktemp("store")
    return run_plan(*asked, Store(folder), Here, work=workers.quick)


def test_the_table_has_every_variant_the_base_first(undisturbed: xr.Dataset):
    assert undisturbed["effect"].dims == ("variant", "outcome", "agent", "condition", "statistic")
    names = [str(name) for name in undisturbed["variant"].to_numpy()]
    assert names == ["base", "without study A", "without study B", "without study C"]
    assert undisturbed["setting"].sel(choice="trials").to_numpy().tolist() == [
        "as in the base", *names[1:]]  # fmt: skip
    assert set(undisturbed["how"].to_numpy()) == {"fitted"}
    frame = compare(undisturbed, agent="mem")
    assert frame["shift"].iloc[0] == 0
    assert frame.attrs["agent"] == "mem"
    assert frame.attrs["interval"] == "95 % equal-tailed"
    assert set(frame["interval"]) == {"95 % equal-tailed"}
    with pytest.raises(InputError, match="no agent is called 'memm'"):
        cell_of(undisturbed, agent="memm")


def test_run_again_continues(asked, tmp_path: Path, undisturbed: xr.Dataset):
    done: list[str] = []

    def interrupt(name: str, finished: int, total: int) -> None:
        done.append(name)
        if finished == 2:
            raise KeyboardInterrupt

    store = Store(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_plan(*asked, store, Here, work=workers.quick, progress=interrupt)
    assert len(list(tmp_path.glob("*.nc"))) == 2
    worked: list[str] = []

    def count(job):
        worked.append(job.name)
        return workers.quick(job)

    found = run_plan(*asked, Store(tmp_path), Here, work=count)
    assert sorted([*worked, *done]) == sorted(undisturbed["variant"].to_numpy())
    xr.testing.assert_identical(found, undisturbed)


class Beside:
    """The driver answers the base and one trial more; another it hands on."""

    def __init__(self, left: list[Job]) -> None:
        named = {job.name: job for job in left}
        self.near = [named[n] for n in ("base", "without study A", "without study B")]
        self.far = [job for job in left if job not in self.near]

    def __iter__(self) -> Iterator[tuple[Job, xr.Dataset | None]]:
        for job in self.near:
            yield job, None if job.name == "without study B" else workers.quick(job)


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_driver_answers_what_is_near_and_hands_on_the_rest(asked, tmp_path: Path, at_once: int):
    jobs, order = list(jobs_of(*asked).values()), []

    def count(job: Job) -> xr.Dataset:
        order.append(job.name)
        return workers.quick(job)

    pool = Here() if at_once == 1 else ThreadPoolExecutor(at_once)
    found = sweep(jobs, Store(tmp_path), lambda: pool, count, None, Beside)
    # Alone, this process keeps to the base's graph; workers start with what only they can do.
    far, near = "without study C", "without study B"
    assert order == ([near, far] if at_once == 1 else [far, near])
    assert sorted(found.answered) == sorted(job.name for job in jobs)
    assert len(list(tmp_path.glob("*.nc"))) == len(jobs)


class Deadly(Here):
    """Two places to work, whose process dies of one variant."""

    _max_workers = 2

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if args[0].name != "without study C":
            return super().submit(fn, *args, **kwargs)
        broken: Future[Any] = Future()
        broken.set_exception(BrokenProcessPool())
        return broken


def test_what_is_handed_on_survives_the_death_of_a_worker(asked, tmp_path: Path):
    jobs = list(jobs_of(*asked).values())
    found = sweep(jobs, Store(tmp_path), Deadly, workers.quick, None, Beside)
    assert set(found.failed) == {"without study C"}
    assert set(found.answered) == {"base", "without study A", "without study B"}


def test_two_names_that_ask_for_the_same_are_answered_once(asked, tmp_path: Path):
    plan, evidence = asked
    twin = replace(plan.variants["without study A"], name="A again")
    both = replace(plan, variants={**plan.variants, twin.name: twin})
    worked: list[str] = []

    def count(job):
        worked.append(job.name)
        return workers.quick(job)

    found = run_plan(both, evidence, Store(tmp_path), Here, work=count)
    assert sorted(worked) == sorted(plan.variants)
    one, two = (found["effect"].sel(variant=n, drop=True) for n in ("without study A", "A again"))
    xr.testing.assert_identical(one, two)


def test_a_spoilt_answer_is_worked_out_again(asked, tmp_path: Path, undisturbed: xr.Dataset):
    run_plan(*asked, Store(tmp_path), Here, work=workers.quick)
    path = sorted(tmp_path.glob("*.nc"))[0]
    path.write_bytes(path.read_bytes()[:1000])
    store = Store(tmp_path)
    xr.testing.assert_identical(run_plan(*asked, store, Here, work=workers.quick), undisturbed)
    assert [Path(fault.file) for fault in store.distrusted] == [path]


def test_a_variant_that_cannot_be_fitted_is_named_and_loses_no_other(asked, tmp_path: Path):
    pools = [ThreadPoolExecutor(2), Here()]
    for number, pool in enumerate(pools):
        store = Store(tmp_path / str(number))
        found = run_plan(*asked, store, lambda pool=pool: pool, work=workers.failing)
        one = found.sel(variant="without study A")
        assert "a singular matrix" in str(one["remark"].item())
        assert bool(one["effect"].isnull().all())
        assert (
            int(found["effect"].notnull().all(["outcome", "agent", "condition", "statistic"]).sum())
            == 3
        )


def test_faults_come_through_from_one_process_to_another():
    error = SpecError([Fault("one", "mend", "a.toml", column="x"), Fault("two")])
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults
    assert str(again) == str(error)


def test_a_dead_worker_is_survived_and_a_deadly_variant_named(
    asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: xr.Dataset
):
    monkeypatch.setenv(workers.DEADLY, f"{tmp_path / 'once'};without study B")
    found = run_plan(*asked, Store(tmp_path / "s"), executors(2), work=workers.dying)
    assert "died twice" in str(found["remark"].sel(variant="without study B").item())
    kept = [n for n in undisturbed["variant"].to_numpy() if n != "without study B"]
    xr.testing.assert_equal(
        found["effect"].sel(variant=kept), undisturbed["effect"].sel(variant=kept)
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
    """Start a driver, and kill it or one of its workers once so many answers are there."""
    command = [sys.executable, "-c", "from tests.sensitivity import workers; workers.main()"]
    planned = folder / "plan"  # a driver that plans by itself takes 8 s of processor more
    planned.write_bytes(pickle.dumps(left_alone(variants)[:2]))
    command += [str(folder), "2", str(planned)]
    environment = os.environ | {workers.PAUSE: "0.02"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as driver:
        while len(list(folder.glob("*.nc"))) < files and driver.poll() is None:
            time.sleep(0.002)
        time.sleep(seconds)
        # Workers are children of the server that the driver started.
        found = {"driver": lambda: [driver.pid], "worker": lambda: workers_of(driver.pid)}[of]()
        for victim in found[-1:]:
            os.kill(victim, signal.SIGKILL)
        assert driver.stdout is not None
        return driver.stdout.read()


@cache
def left_alone(variants: int) -> tuple[Plan, xr.DataTree, xr.Dataset]:
    """A plan, its evidence, and the table that it comes to where nothing is killed."""
    plan, evidence = workers.the_plan(variants)
    with TemporaryDirectory() as folder:
        return plan, evidence, run_plan(plan, evidence, Store(folder), Here, work=workers.quick)


def check_kill(folder: Path, files: int, seconds: float, variants: int, of: str) -> None:
    said = kill_after(folder, files, seconds, variants, of)
    plan, evidence, fresh = left_alone(variants)
    jobs = jobs_of(plan, evidence)
    store, standing = Store(folder), {path.stem for path in folder.glob("*.nc")}
    assert len(standing) >= files
    worked: list[str] = []

    def count(job):
        worked.append(job.name)
        return workers.quick(job)

    found = run_plan(plan, evidence, store, Here, work=count)
    # Whatever stood there is whole: every file was believed, and nothing of it was done again.
    assert store.distrusted == []
    assert not list(folder.glob("*.partial"))
    assert {jobs[name].key for name in worked} == {job.key for job in jobs.values()} - standing
    if of == "worker":  # the driver went on, and to the end
        assert said.splitlines()[-1] == "done"
        assert not worked
    xr.testing.assert_identical(found, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(50))
def test_kill_9_at_a_random_moment_loses_nothing(number: int, tmp_path: Path):
    """Driver and worker in turn, of a sweep of thirty variants."""
    random = np.random.default_rng(number)
    files, seconds = int(random.integers(0, 29)), float(random.uniform(0, 0.05))
    check_kill(tmp_path, files, seconds, 26, "worker" if number % 2 else "driver")


def test_kill_9_loses_nothing(tmp_path: Path):
    check_kill(tmp_path, 3, 0.005, 5, "driver")


class TestWhere:
    def test_two_places_are_refused(self):
        (fault,) = faults_when(lambda: executors(2, "tcp://x:1"), InputError)
        assert fault.column == "--scheduler"

    def test_no_processes_are_refused(self):
        (fault,) = faults_when(lambda: executors(0), InputError)
        assert fault.column == "--workers"

    @pytest.mark.slow
    def test_no_scheduler_is_told(self):
        (fault,) = faults_when(lambda: executors(scheduler="tcp://127.0.0.1:9"), InputError)
        assert "no scheduler at 'tcp://127.0.0.1:9'" in fault.message

    @pytest.mark.slow
    def test_a_cluster_comes_to_the_same_table(
        self, asked, tmp_path: Path, undisturbed: xr.Dataset
    ):
        from distributed import LocalCluster

        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            where = executors(scheduler=cluster.scheduler_address)
            found = run_plan(*asked, Store(tmp_path), where, work=workers.quick)
        xr.testing.assert_identical(found, undisturbed)
