"""The cache of compiled models: identical draws; damaged entries are compiled again."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.errors import FitError
from nmda_bayes.inference import compile_cache
from nmda_bayes.inference.compiled import compile_model
from nmda_bayes.inference.nuts import sample_compiled
from nmda_bayes.spec import SamplingSpec
from tests.support.issues import issues_when

SETTINGS = SamplingSpec(seed=3, chains=2, draws=20, tune=50)


def model() -> pm.Model:
    with pm.Model(coords={"arm": ["a", "b"]}) as graph:
        spread = pm.HalfNormal("spread")
        effect = pm.Normal("effect", sigma=spread, dims="arm")
        pm.Deterministic("double", 2 * effect, dims="arm")
        pm.Normal("seen", effect, 1.0, observed=[0.5, 1.5], dims="arm")
    return freeze_dims_and_data(graph)


def compiled() -> Any:
    return compile_model(model()).sampler


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(compile_cache, "folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def from_cache(compiled: Any) -> bool:
    return compiled.logp_func is None


def test_a_cached_model_draws_the_same(folder: Path):
    first, second = compiled(), compiled()
    assert not from_cache(first)
    assert from_cache(second)
    assert second.shapes == first.shapes
    assert {k: tuple(v) for k, v in second.dims.items()} == {
        k: tuple(v) for k, v in first.dims.items()
    }
    drawn = [sample_compiled(sampler, SETTINGS, progress=False) for sampler in (first, second)]
    xr.testing.assert_identical(*(tree["posterior"].to_dataset() for tree in drawn))
    assert drawn[0]["posterior"]["double"].dims == ("chain", "draw", "arm")


def test_starting_points_depend_on_the_seed(folder: Path):
    compiled()
    start = compiled().initial_point_func
    assert np.array_equal(start(1), start(1))
    assert not np.array_equal(start(1), start(2))
    # PyMC starts at the centre of each prior: 0 for effects, log 1 for the SD.
    assert np.all(np.abs(start(1)) <= 1.0)


def _truncated(text: str) -> str:
    return text[: len(text) // 2]


def _without_a_key(text: str) -> str:
    return json.dumps({k: v for k, v in json.loads(text).items() if k != "start"})


def _with_lost_code(text: str) -> str:
    return json.dumps(json.loads(text) | {"density": "0" * 64})


@pytest.mark.parametrize("damage", [_truncated, _without_a_key, _with_lost_code, lambda text: "[]"])
def test_a_damaged_entry_is_replaced(folder: Path, damage: Callable[[str], str]):
    compiled()
    (path,) = folder.iterdir()
    whole = path.read_text()
    path.write_text(damage(whole))
    assert not from_cache(compiled())
    assert path.read_text() == whole


def test_an_unwritable_cache_is_ignored(folder: Path):
    folder.write_text("a file in place of the folder")
    assert not from_cache(compiled())
    assert not from_cache(compiled())
    assert folder.read_text() == "a file in place of the folder"


@pytest.mark.parametrize(("mode", "refused"), [(0o755, False), (0o700, False), (0o777, True)])
def test_the_folder_of_compiled_code_is_private(tmp_path: Path, mode: int, refused: bool):
    tmp_path.chmod(mode)
    if refused:
        (issue,) = issues_when(lambda: compile_cache.make_private(tmp_path), FitError)
        assert (issue.code, issue.file) == ("E584", str(tmp_path))
        assert "base_compiledir" in issue.hint
    else:
        compile_cache.make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == (mode if refused else 0o700)


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    if tmp_path.stat().st_uid:  # the root user's is accepted
        (issue,) = issues_when(lambda: compile_cache.make_private(tmp_path), FitError)
        assert issue.code == "E584"


def test_a_group_of_others_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tmp_path.chmod(0o775)
    monkeypatch.setattr(compile_cache, "_is_private_group", lambda group, user: False)
    assert issues_when(lambda: compile_cache.make_private(tmp_path), FitError)
    monkeypatch.setattr(compile_cache, "_is_private_group", lambda group, user: True)
    compile_cache.make_private(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
