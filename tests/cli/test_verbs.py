"""What each verb writes, says and returns; the sampler is mocked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.inference import read_fit
from tests.cli.conftest import TABLE, Bench, Told, spec_content

WRITTEN = {"fit.nc", "summary.csv", "diagnostics.csv", "manifest.json"}

mocked = pytest.mark.usefixtures("mocked_sampler")


def fit(bench: Bench, verb: str = "fit", out: str = "results") -> Told:
    spec = bench.write("harm.toml", spec_content())
    table = bench.write("trials.csv", TABLE)
    return bench(verb, spec, "--evidence", table, "--out", bench.folder / out)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@mocked
def test_fit_writes_four_files(bench: Bench):
    told = fit(bench)
    folder = bench.folder / "results"
    assert told.code == 0, told.text
    assert names(folder) == WRITTEN
    assert str(folder / "fit.nc") in told.out


@mocked
def test_summary_has_a_row_a_scalar(bench: Bench):
    fit(bench)
    table = pd.read_csv(bench.folder / "results" / "summary.csv", keep_default_na=False)
    statistics = ["mean", "sd", "q2.5", "q50", "q97.5", "r_hat", "ess_bulk", "ess_tail"]
    assert [*table.columns[:1], *table.columns[-8:]] == ["variable", *statistics]
    assert set(table.columns[1:-8]) == {"study", "arm"}  # these priors share all over agents
    assert not table["variable"].str.endswith("_offset").any()
    assert (table["variable"] == "baseline").sum() == 3
    assert not table.duplicated(["variable", "study", "arm"]).any()


@mocked
def test_manifest_says_what_was_run(bench: Bench):
    fit(bench)
    manifest = json.loads((bench.folder / "results" / "manifest.json").read_text())
    stored = read_fit(bench.folder / "results")
    assert manifest["passed"] is True
    assert manifest["seed"] == 1
    assert manifest["evidence_hash"] == stored.attrs["evidence_hash"]
    assert manifest["spec"] == json.loads(stored.attrs["spec"])
    assert "pymc" in manifest["versions"]
    assert {row["check"] for row in manifest["gate"]} >= {"R-hat", "bulk ESS", "divergences"}


@mocked
def test_run_adds_the_report_and_report_makes_it_again(bench: Bench):
    told = fit(bench, "run")
    page = bench.folder / "results" / "report.html"
    assert told.code == 0, told.text
    assert names(page.parent) == {*WRITTEN, "report.html"}
    assert str(page) in told.out
    first = page.read_text(encoding="utf-8")
    page.unlink()
    assert bench("report", page.parent).code == 0
    assert page.read_text(encoding="utf-8") == first


@pytest.mark.usefixtures("disagreeing_sampler")
def test_a_refused_fit_is_written_and_says_so_first(bench: Bench):
    told = fit(bench, "run")
    folder = bench.folder / "results"
    assert told.code == 3, told.text
    assert names(folder) == {*WRITTEN, "report.html"}
    assert "REFUSED" in told.err
    assert "R-hat" in told.err
    assert "emax" in told.err
    assert json.loads((folder / "manifest.json").read_text())["passed"] is False
    page = (folder / "report.html").read_text(encoding="utf-8")
    body = page[page.index("<body") :]
    first, second = body.index('id="verdict"'), body.index('id="question"')
    assert first < second
    assert "refused" in body[:second].casefold()
    assert bench("report", folder).code == 3


@pytest.mark.parametrize("verb", ["fit", "run", "simulate"])
def test_a_folder_with_something_in_it_is_left_alone(bench: Bench, verb: str):
    bench.write("harm.toml", spec_content())
    bench.write("trials.csv", TABLE)
    (bench.folder / "results").mkdir()
    bench.write("results/mine.txt", "years of work")
    before = bench.contents()
    told = fit(bench, verb)
    assert told.code == 2
    assert "exists and is not empty" in told.err
    assert bench.contents() == before


@pytest.mark.parametrize("verb", ["fit", "simulate"])
def test_out_that_is_a_file_is_left_alone(bench: Bench, verb: str):
    bench.write("results", "a file")
    told = fit(bench, verb)
    assert told.code == 2
    assert (bench.folder / "results").read_text() == "a file"


@mocked
def test_an_empty_folder_is_taken(bench: Bench):
    (bench.folder / "results").mkdir()
    assert fit(bench).code == 0


class TestStoredFits:
    """``report`` reads what it is given, and trusts none of it."""

    def test_none(self, bench: Bench):
        told = bench("report", bench.folder)
        assert told.code == 2
        assert "there is no fit here" in told.err

    @mocked
    def test_truncated(self, bench: Bench):
        fit(bench)
        stored = bench.folder / "results" / "fit.nc"
        stored.write_bytes(stored.read_bytes()[: stored.stat().st_size // 2])
        self.refused(bench, "cannot be read as a fit")

    def test_unreadable(self, bench: Bench):
        (bench.folder / "results").mkdir()
        bench.write("results/fit.nc", "not a netCDF file")
        self.refused(bench, "cannot be read as a fit")

    def test_empty(self, bench: Bench):
        (bench.folder / "results").mkdir()
        bench.write("results/fit.nc", b"")
        self.refused(bench, "cannot be read as a fit")

    def test_of_another_program(self, bench: Bench):
        (bench.folder / "results").mkdir()
        pd.DataFrame({"x": [1.0]}).to_xarray().to_netcdf(bench.folder / "results" / "fit.nc")
        self.refused(bench, "is not a fit of this package")

    def refused(self, bench: Bench, words: str) -> None:
        before = bench.contents()
        told = bench("report", bench.folder / "results")
        assert told.code == 2, told.text
        assert words in told.err
        assert "fit.nc" in told.err
        assert "Traceback" not in told.text
        assert bench.contents() == before


class TestInterrupt:
    """Ctrl-C ends with 130, and nothing that is half written."""

    def test_while_sampling(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("nmda_bayes.inference.nuts.sample_posterior", KeyboardInterrupt())
        told = fit(bench)
        assert told.code == 130
        assert "interrupted" in told.err
        assert not (bench.folder / "results").exists()

    @mocked
    def test_while_writing(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("xarray.DataTree.to_netcdf", KeyboardInterrupt())
        assert fit(bench).code == 130
        assert not any((bench.folder / "results").glob("*"))
        assert not any((bench.folder / "results").glob(".*"))

    @mocked
    def test_while_reporting(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("nmda_bayes.report.page.render", KeyboardInterrupt())
        assert fit(bench, "run").code == 130
        assert names(bench.folder / "results") <= WRITTEN

    @mocked
    def test_a_full_disk_is_told(self, bench: Bench, raising: Callable[[str, BaseException], None]):
        raising("xarray.DataTree.to_netcdf", OSError(28, "No space left on device", "fit.nc"))
        told = fit(bench)
        assert told.code == 2
        assert "No space left on device" in told.err


def test_show_prints_model_priors_and_what_it_sees(bench: Bench, spec: Path, table: Path):
    told = bench("show", spec, "--evidence", table)
    assert told.code == 0, told.text
    for words in ("Binomial", "emax", "HalfNormal(sigma=1)", "a test", "ketamine", "3 studies"):
        assert words in told.out, told.out


def test_show_takes_a_shipped_spec_by_name(bench: Bench):
    told = bench("show", "benefit_risk")
    assert told.code == 0, told.text
    assert "psychotomimetic" in told.out


@mocked
def test_simulated_evidence_can_be_fitted(bench: Bench, spec: Path, table: Path):
    out = bench.folder / "made_up"
    told = bench("simulate", spec, "--evidence", table, "--out", out)
    assert told.code == 0, told.text
    assert names(out) == {"evidence.csv", "spec.toml", "truth.csv"}
    made = pd.read_csv(out / "evidence.csv")
    assert (made["synthetic"] == 1).all()
    assert made["n"].tolist() == [20, 20, 30, 31, 29, 25, 24]
    assert bench("check", out / "evidence.csv").code == 0
    assert bench("fit", out / "spec.toml", "--out", bench.folder / "fitted").code == 0


def test_simulation_follows_its_seed(bench: Bench, spec: Path, table: Path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        bench("simulate", spec, "--evidence", table, "--out", bench.folder / name, "--seed", seed)
    one, two, other = (
        (bench.folder / name / "evidence.csv").read_text() for name in ("one", "two", "other")
    )
    assert one == two
    assert one != other
