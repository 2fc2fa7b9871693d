"""A report says what the sensitivity analysis beside its fit came to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import xarray as xr

from nmda_bayes.errors import InputError
from nmda_bayes.report.pictures import Gallery
from nmda_bayes.report.sections.variants import variants
from nmda_bayes.report.variants_folder import BESIDE, NUMBERS, beside
from nmda_bayes.sensitivity.executors import Here
from nmda_bayes.sensitivity.run import run_plan
from nmda_bayes.sensitivity.store import Store
from nmda_bayes.spec import AnalysisSpec
from tests.sensitivity import workers


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    store = Store(tmp_path_factory.mktemp("answers"))
    return run_plan(*workers.the_plan(), store, Here, work=workers.quick)


def view(found: xr.Dataset | None, **more: str) -> SimpleNamespace:
    spec = None
    if found is not None:
        spec = AnalysisSpec.from_dict(json.loads(found.attrs["spec"])).model_copy(update=more)
    return SimpleNamespace(variants=found, spec=spec)


def said(section) -> str:
    return " ".join(str(getattr(block, "text", "")) for block in section.blocks)


def test_a_fit_without_variants_has_no_such_section():
    assert variants(view(None), Gallery()) is None


def test_of_each_outcome_one_cell_is_drawn(found: xr.Dataset):
    section = variants(view(found), Gallery())
    assert section.title == "Sensitivity to choices"
    assert "3 variants of this analysis" in said(section)
    assert said(section).count("over all variants it runs from") == 2


def test_variants_of_another_analysis_are_told(found: xr.Dataset, monkeypatch: pytest.MonkeyPatch):
    module = sys.modules["nmda_bayes.report.sections.variants"]
    monkeypatch.setattr(module, "main_cells", lambda *_: iter(()))
    other = "the two specs differ"
    assert other in said(variants(view(found, reference="other"), Gallery()))
    assert other not in said(variants(view(found), Gallery()))


def test_the_analysis_beside_a_fit_is_read_and_a_spoilt_one_named(found, tmp_path: Path):
    assert beside(tmp_path) is None
    path = tmp_path / BESIDE / NUMBERS
    path.parent.mkdir()
    found.to_netcdf(path, engine="h5netcdf")
    xr.testing.assert_equal(beside(tmp_path)["effect"], found["effect"])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be read"):
        beside(tmp_path)
