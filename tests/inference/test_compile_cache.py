"""The cache of compiled models: identical draws; damaged entries are compiled again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.inference import compile_cache
from nmda_bayes.inference.compiled import compile_model
from nmda_bayes.inference.nuts import sample_compiled
from nmda_bayes.spec import SamplingSpec

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
