"""The verb `sensitivity`: counted before, one folder, and on again where it was cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from nmda_bayes.inference.fitting import model_of
from nmda_bayes.sensitivity.designs import seen
from nmda_bayes.sensitivity.job import Job
from nmda_bayes.spec import SamplingSpec
from tests.cli.conftest import Bench
from tests.conftest import prior_as_posterior

PRIOR = '{ dist = "Normal", kwargs = { mu = 0, sigma = 0.5 }, why = "a sceptic" }'
ASKED = f"""
title = "What if?"
base = "harm"
dose = 1
[variants.sceptic]
why = "A reader <b>asks</b>."
outcomes.harm.parameters.emax.priors.location = {PRIOR}
[generate.leave_one_out]
by = ["study"]
why = "One trial less."
"""


@pytest.fixture
def asked(bench: Bench, spec: Path, table: Path) -> tuple[Path, Path]:
    return bench.write("what_if.toml", ASKED), table


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the variants that were drawn, from their priors."""
    drawn: list[str] = []

    def draw(job: Job, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
        drawn.append(job.name)
        rows = seen(job.design)
        return prior_as_posterior(model_of(job.spec, rows), job.spec, progress=False), "fitted"

    monkeypatch.setattr("nmda_bayes.sensitivity.work.sampled", draw)
    return drawn


def sensitivity(bench: Bench, asked: tuple[Path, Path], *more: Any) -> Any:
    path, table = asked
    folder = bench.folder / "out"
    return bench("sensitivity", path, "--out", folder, "--evidence", table, *more)


def test_a_dry_run_counts_and_writes_nothing(bench: Bench, asked):
    told = sensitivity(bench, asked, "--dry-run")
    assert told.code == 0
    assert "5 variants with the base; 5 to fit" in told.out
    assert "about" in told.out
    assert not (bench.folder / "out").exists()


def test_a_sweep_fills_a_folder_and_goes_on_where_it_was(bench: Bench, asked, calls: list[str]):
    told = sensitivity(bench, asked, "--only", "sceptic")
    assert told.code in (0, 3)
    assert calls == ["base"]  # another prior is answered by weights where they hold
    told = sensitivity(bench, asked)
    assert told.code in (0, 3)
    assert "5 variants with the base; 2 are finished; 3 to fit" in told.err
    # A trial is left out by weights where k-hat allows it, else by a fit; never twice.
    left_out = ["without study A", "without study B", "without study C"]
    assert sorted(calls[1:]) == [name for name in left_out if name in calls]
    folder = bench.folder / "out"
    page = (folder / "sensitivity.html").read_text(encoding="utf-8")
    assert "A reader &lt;b&gt;asks&lt;/b&gt;." in page
    assert "95 % equal-tailed interval" in page
    assert "Specification curve" in page
    rows = (folder / "sensitivity.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 5 * 2  # both agents
    assert rows[0].startswith("outcome,agent,condition,variant,median,lower,upper,interval,shift")
    with xr.open_dataset(folder / "sensitivity.nc", engine="h5netcdf") as found:
        assert found.sizes["variant"] == 5
    again = sensitivity(bench, asked, "--dry-run")
    assert "5 are finished; 0 to fit, 0 models to compile; nothing is left to do" in again.out


def test_faults_of_the_file_are_told_at_once_and_nothing_runs(bench: Bench, asked, calls):
    bench.write("what_if.toml", ASKED.replace('why = "One trial less."', "").replace("emax", "em"))
    told = sensitivity(bench, asked)
    assert told.code == 2
    assert "generate.leave_one_out.why" in told.err
    assert "variants.sceptic" in told.err
    assert calls == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--only", "skeptic"), "Did you mean 'sceptic'?"),
        (("--workers", "0"), "--workers"),
        (("--workers", "2", "--scheduler", "tcp://x:1"), "two places to run"),
    ],
)
def test_what_is_asked_wrongly_is_told(bench: Bench, asked, calls, more, said: str):
    told = sensitivity(bench, asked, *more)
    assert told.code == 2
    assert said in told.err
    assert calls == []


def test_a_folder_of_something_else_is_left_alone(bench: Bench, asked, calls):
    (bench.folder / "out").mkdir()
    (bench.folder / "out" / "mine.txt").write_text("mine")
    told = sensitivity(bench, asked)
    assert told.code == 2
    assert "is not a sensitivity analysis" in told.err
    assert [p.name for p in (bench.folder / "out").iterdir()] == ["mine.txt"]


def test_a_base_that_is_not_there_is_told(bench: Bench, asked):
    bench.write("what_if.toml", ASKED.replace('base = "harm"', 'base = "harms"'))
    told = sensitivity(bench, asked)
    assert told.code == 2
    assert "no spec 'harms'" in told.err
