"""The command `sensitivity`: dry run, resuming, options and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from nmda_bayes.model.graph import build_model_from_design
from nmda_bayes.sensitivity.runner import VariantJob
from nmda_bayes.sensitivity.variants import included_rows
from nmda_bayes.spec import SamplingSpec
from tests.cli.conftest import Bench
from tests.support.fits import prior_as_posterior

PRIOR = '{ dist = "Normal", kwargs = { mu = 0, sigma = 0.5 }, why = "a sceptic" }'
ANALYSIS = f"""
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
def inputs(bench: Bench, spec: Path, table: Path) -> tuple[Path, Path]:
    return bench.write("what_if.toml", ANALYSIS), table


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the variants that were drawn, from their priors."""
    drawn: list[str] = []

    def draw(job: VariantJob, settings: SamplingSpec) -> tuple[xr.DataTree, str]:
        drawn.append(job.name)
        rows = included_rows(job.design)
        return prior_as_posterior(
            build_model_from_design(job.spec, rows), job.spec, progress=False
        ), "fitted"

    monkeypatch.setattr("nmda_bayes.sensitivity.summaries.sample_variant", draw)
    return drawn


def sensitivity(bench: Bench, inputs: tuple[Path, Path], *more: Any) -> Any:
    path, table = inputs
    folder = bench.folder / "out"
    return bench("sensitivity", path, "--out", folder, "--evidence", table, *more)


def test_dry_run_writes_nothing(bench: Bench, inputs):
    done = sensitivity(bench, inputs, "--dry-run")
    assert done.code == 0
    assert "5 variants including the base; 5 to fit" in done.out
    assert "about" in done.out
    assert not (bench.folder / "out").exists()


def test_second_run_continues(bench: Bench, inputs, calls: list[str]):
    done = sensitivity(bench, inputs, "--only", "sceptic")
    assert done.code in (0, 3)
    assert calls == ["base"]  # the other prior is reweighted
    done = sensitivity(bench, inputs)
    assert done.code in (0, 3)
    assert "5 variants including the base; 2 finished; 3 to fit" in done.err
    # Each trial is left out by reweighting or by one fit.
    left_out = ["without study A", "without study B", "without study C"]
    assert sorted(calls[1:]) == [name for name in left_out if name in calls]
    folder = bench.folder / "out"
    page = (folder / "sensitivity.html").read_text(encoding="utf-8")
    assert "A reader &lt;b&gt;asks&lt;/b&gt;." in page
    assert "95% CrI" in page
    assert "Specification curve" in page
    rows = (folder / "sensitivity.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 5 * 2  # both agents
    assert rows[0].startswith("outcome,agent,condition,variant,median,lower,upper,interval,shift")
    with xr.open_dataset(folder / "sensitivity.nc", engine="h5netcdf") as results:
        assert results.sizes["variant"] == 5
    again = sensitivity(bench, inputs, "--dry-run")
    assert "5 finished; 0 to fit, 0 models to compile" in again.out


def test_errors_of_the_file_are_collected(bench: Bench, inputs, calls):
    bench.write(
        "what_if.toml", ANALYSIS.replace('why = "One trial less."', "").replace("emax", "em")
    )
    done = sensitivity(bench, inputs)
    assert done.code == 2
    assert "generate.leave_one_out.why" in done.err
    assert "variants.sceptic" in done.err
    assert calls == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--only", "skeptic"), "E614"),
        (("--workers", "0"), "E651"),
        (("--workers", "2", "--scheduler", "tcp://x:1"), "E650"),
    ],
)
def test_wrong_options_are_reported(bench: Bench, inputs, calls, more, code: str):
    done = sensitivity(bench, inputs, *more)
    assert done.code == 2
    assert code in done.err
    assert calls == []


def test_other_folders_are_not_overwritten(bench: Bench, inputs, calls):
    (bench.folder / "out").mkdir()
    (bench.folder / "out" / "other.txt").write_text("other")
    done = sensitivity(bench, inputs)
    assert done.code == 2
    assert "E665" in done.err
    assert [p.name for p in (bench.folder / "out").iterdir()] == ["other.txt"]


def test_unknown_base_is_reported(bench: Bench, inputs):
    bench.write("what_if.toml", ANALYSIS.replace('base = "harm"', 'base = "harms"'))
    done = sensitivity(bench, inputs)
    assert done.code == 2
    assert "E607" in done.err
