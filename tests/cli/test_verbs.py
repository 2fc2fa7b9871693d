"""What each command writes, prints and returns; the sampler is mocked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.inference import read_fit
from tests.cli.conftest import TABLE, Bench, CommandResult, spec_content

WRITTEN = {"fit.nc", "summary.csv", "diagnostics.csv", "manifest.json"}

mocked = pytest.mark.usefixtures("mocked_sampler")


def fit(bench: Bench, verb: str = "fit", out: str = "results") -> CommandResult:
    spec = bench.write("harm.toml", spec_content())
    table = bench.write("trials.csv", TABLE)
    return bench(verb, spec, "--evidence", table, "--out", bench.folder / out)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@mocked
def test_fit_writes_four_files(bench: Bench):
    result = fit(bench)
    folder = bench.folder / "results"
    assert result.code == 0, result.text
    assert names(folder) == WRITTEN
    assert str(folder / "fit.nc") in result.out


@mocked
def test_summary_has_a_row_per_scalar(bench: Bench):
    fit(bench)
    table = pd.read_csv(bench.folder / "results" / "summary.csv", keep_default_na=False)
    statistics = ["mean", "sd", "q2.5", "q50", "q97.5", "r_hat", "ess_bulk", "ess_tail"]
    assert [*table.columns[:1], *table.columns[-8:]] == ["variable", *statistics]
    assert set(table.columns[1:-8]) == {"study", "arm"}  # these priors share all over agents
    assert not table["variable"].str.endswith("_offset").any()
    assert (table["variable"] == "baseline").sum() == 3
    assert not table.duplicated(["variable", "study", "arm"]).any()


@mocked
def test_manifest_identifies_the_run(bench: Bench):
    fit(bench)
    manifest = json.loads((bench.folder / "results" / "manifest.json").read_text())
    stored = read_fit(bench.folder / "results")
    assert manifest["passed"] is True
    assert manifest["seed"] == 1
    assert manifest["evidence_hash"] == stored.attrs["evidence_hash"]
    assert manifest["spec"] == json.loads(stored.attrs["spec"])
    assert "pymc" in manifest["versions"]
    assert {row["check"] for row in manifest["convergence"]} >= {"R-hat", "bulk ESS", "divergences"}


@mocked
def test_report_repeats_the_report_of_run(bench: Bench):
    result = fit(bench, "run")
    page = bench.folder / "results" / "report.html"
    assert result.code == 0, result.text
    assert names(page.parent) == {*WRITTEN, "report.html"}
    assert str(page) in result.out
    first = page.read_text(encoding="utf-8")
    page.unlink()
    assert bench("report", page.parent).code == 0
    assert page.read_text(encoding="utf-8") == first


@pytest.mark.usefixtures("disagreeing_sampler")
def test_failed_convergence_checks(bench: Bench):
    result = fit(bench, "run")
    folder = bench.folder / "results"
    assert result.code == 3, result.text
    assert names(folder) == {*WRITTEN, "report.html"}
    assert "R-hat" in result.err
    assert "emax" in result.err
    assert json.loads((folder / "manifest.json").read_text())["passed"] is False
    page = (folder / "report.html").read_text(encoding="utf-8")
    first_section = page[page.index("<body") :].split("<section")[1]
    assert "R-hat" in first_section
    assert "emax" in first_section
    assert bench("report", folder).code == 3


@pytest.mark.parametrize("verb", ["fit", "run", "simulate"])
def test_a_folder_with_files_is_not_overwritten(bench: Bench, verb: str):
    bench.write("harm.toml", spec_content())
    bench.write("trials.csv", TABLE)
    (bench.folder / "results").mkdir()
    bench.write("results/mine.txt", "notes")
    before = bench.contents()
    result = fit(bench, verb)
    assert result.code == 2
    assert "E900" in result.err
    assert bench.contents() == before


@pytest.mark.parametrize("verb", ["fit", "simulate"])
def test_out_is_a_file(bench: Bench, verb: str):
    bench.write("results", "a file")
    result = fit(bench, verb)
    assert result.code == 2
    assert (bench.folder / "results").read_text() == "a file"


@mocked
def test_an_empty_folder_is_used(bench: Bench):
    (bench.folder / "results").mkdir()
    assert fit(bench).code == 0


class TestStoredFits:
    """`report` with files that are not fits of this package."""

    def test_none(self, bench: Bench):
        result = bench("report", bench.folder)
        assert result.code == 2
        assert "fit.nc" in result.err

    @mocked
    def test_truncated(self, bench: Bench):
        fit(bench)
        stored = bench.folder / "results" / "fit.nc"
        stored.write_bytes(stored.read_bytes()[: stored.stat().st_size // 2])
        self.assert_rejected(bench)

    def test_unreadable(self, bench: Bench):
        (bench.folder / "results").mkdir()
        bench.write("results/fit.nc", "not a netCDF file")
        self.assert_rejected(bench)

    def test_empty(self, bench: Bench):
        (bench.folder / "results").mkdir()
        bench.write("results/fit.nc", b"")
        self.assert_rejected(bench)

    def test_of_another_program(self, bench: Bench):
        (bench.folder / "results").mkdir()
        pd.DataFrame({"x": [1.0]}).to_xarray().to_netcdf(bench.folder / "results" / "fit.nc")
        self.assert_rejected(bench)

    def assert_rejected(self, bench: Bench) -> None:
        before = bench.contents()
        result = bench("report", bench.folder / "results")
        assert result.code == 2, result.text
        assert "fit.nc" in result.err
        assert "Traceback" not in result.text
        assert bench.contents() == before


class TestInterrupt:
    """Ctrl-C ends with 130 and leaves no incomplete files."""

    def test_while_sampling(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("nmda_bayes.inference.nuts.sample_posterior", KeyboardInterrupt())
        result = fit(bench)
        assert result.code == 130
        assert "interrupted" in result.err
        assert not (bench.folder / "results").exists()

    @mocked
    def test_while_writing(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("xarray.DataTree.to_netcdf", KeyboardInterrupt())
        assert fit(bench).code == 130
        assert not any((bench.folder / "results").glob("*"))
        assert not any((bench.folder / "results").glob(".*"))

    @mocked
    def test_while_reporting(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("nmda_bayes.report.page.render_report", KeyboardInterrupt())
        assert fit(bench, "run").code == 130
        assert names(bench.folder / "results") == {*WRITTEN, "INCOMPLETE.txt"}

    @mocked
    def test_full_disk(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("xarray.DataTree.to_netcdf", OSError(28, "No space left on device", "fit.nc"))
        result = fit(bench)
        assert result.code == 2
        assert "No space left on device" in result.err


def test_show_describes_model_priors_and_data(bench: Bench, spec: Path, table: Path):
    result = bench("show", spec, "--evidence", table)
    assert result.code == 0, result.text
    for words in ("Binomial", "emax", "HalfNormal(sigma=1)", "a test", "ketamine", "3 studies"):
        assert words in result.out, result.out


def test_show_a_shipped_analysis_by_name(bench: Bench):
    result = bench("show", "benefit_risk")
    assert result.code == 0, result.text
    assert "psychotomimetic" in result.out


@mocked
def test_simulated_data_can_be_fitted(bench: Bench, spec: Path, table: Path):
    out = bench.folder / "simulated"
    result = bench("simulate", spec, "--evidence", table, "--out", out)
    assert result.code == 0, result.text
    assert names(out) == {"evidence.csv", "spec.toml", "truth.csv"}
    table_written = pd.read_csv(out / "evidence.csv")
    assert (table_written["synthetic"] == 1).all()
    assert table_written["n"].tolist() == [20, 20, 30, 31, 29, 25, 24]
    assert bench("check", out / "evidence.csv").code == 0
    assert bench("fit", out / "spec.toml", "--out", bench.folder / "fitted").code == 0


def test_simulation_depends_on_its_seed(bench: Bench, spec: Path, table: Path):
    for name, seed in (("first", 5), ("same", 5), ("other", 6)):
        bench("simulate", spec, "--evidence", table, "--out", bench.folder / name, "--seed", seed)
    first, same, other = (
        (bench.folder / name / "evidence.csv").read_text() for name in ("first", "same", "other")
    )
    assert first == same
    assert first != other
