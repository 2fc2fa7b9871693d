"""The section on the sensitivity analysis, and reading it from a fit's folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import xarray as xr

from nmda_bayes.errors import InputError
from nmda_bayes.report.blocks import FigureNumbering
from nmda_bayes.report.sections.sensitivity import variant_section
from nmda_bayes.report.variants import RESULTS, SUBFOLDER, read_results
from nmda_bayes.sensitivity.cache import ResultCache
from nmda_bayes.sensitivity.runner import SerialExecutor, run_plan
from nmda_bayes.spec import AnalysisSpec
from tests.sensitivity import workers


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    cache = ResultCache(tmp_path_factory.mktemp("cache"))
    return run_plan(*workers.the_plan(), cache, SerialExecutor, work=workers.quick)


def report(results: xr.Dataset | None, **changes: str) -> SimpleNamespace:
    spec = None
    if results is not None:
        spec = AnalysisSpec.from_dict(json.loads(results.attrs["spec"])).model_copy(update=changes)
    return SimpleNamespace(variants=results, spec=spec, figures=FigureNumbering())


def text_of(section) -> str:
    return " ".join(str(getattr(block, "text", "")) for block in section.blocks)


def test_no_section_without_variants():
    assert variant_section(report(None)) is None


def test_each_outcome_has_one_cell(results: xr.Dataset):
    section = variant_section(report(results))
    assert section.key == "sensitivity"
    assert "3 variants of this analysis" in text_of(section)
    # Of two outcomes: the effect, its direction, and the probability of meeting both targets.
    assert text_of(section).count("in the base case, ") == 6
    assert text_of(section).count("Pr(both targets met)") == 2


def test_variants_of_another_analysis_are_flagged(
    results: xr.Dataset, monkeypatch: pytest.MonkeyPatch
):
    module = sys.modules["nmda_bayes.report.sections.sensitivity"]
    monkeypatch.setattr(module, "main_cells", lambda *_: iter(()))
    other = variant_section(report(results, reference="other"))
    assert [block.style for block in other.blocks if block.kind == "text"].count("failed") == 1
    same = variant_section(report(results))
    assert "failed" not in [block.style for block in same.blocks if block.kind == "text"]


def test_results_are_read_and_corrupt_files_rejected(results, tmp_path: Path):
    assert read_results(tmp_path) is None
    path = tmp_path / SUBFOLDER / RESULTS
    path.parent.mkdir()
    results.to_netcdf(path, engine="h5netcdf")
    xr.testing.assert_equal(read_results(tmp_path)["effect"], results["effect"])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError) as error:
        read_results(tmp_path)
    assert [(i.code, i.file) for i in error.value.issues] == [("E666", str(path))]
