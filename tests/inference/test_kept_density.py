"""What is kept of a compiled density: the same again; whatever is wrong, it is compiled anew."""

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

from nmda_bayes.inference import kept_density
from nmda_bayes.inference.compiled_density import compiled_density
from nmda_bayes.inference.nuts import draw
from nmda_bayes.spec import SamplingSpec

SETTINGS = SamplingSpec(seed=3, chains=2, draws=20, tune=50)


def model() -> pm.Model:
    with pm.Model(coords={"arm": ["a", "b"]}) as made:
        spread = pm.HalfNormal("spread")
        effect = pm.Normal("effect", sigma=spread, dims="arm")
        pm.Deterministic("double", 2 * effect, dims="arm")
        pm.Normal("seen", effect, 1.0, observed=[0.5, 1.5], dims="arm")
    return freeze_dims_and_data(made)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kept_density, "folder", lambda: tmp_path / "kept")
    return tmp_path / "kept"


def was_read(compiled: Any) -> bool:
    return compiled.logp_func is None


def test_the_second_is_read_and_draws_the_same(folder: Path):
    first, second = compiled_density(model()), compiled_density(model())
    assert not was_read(first)
    assert was_read(second)
    assert second.shapes == first.shapes
    assert {k: tuple(v) for k, v in second.dims.items()} == {
        k: tuple(v) for k, v in first.dims.items()
    }
    drawn = [draw(one, SETTINGS, progress=False) for one in (first, second)]
    xr.testing.assert_identical(*(one["posterior"].to_dataset() for one in drawn))
    assert drawn[0]["posterior"]["double"].dims == ("chain", "draw", "arm")


def test_chains_start_apart_and_by_their_seed(folder: Path):
    compiled_density(model())
    start = compiled_density(model()).initial_point_func
    assert np.array_equal(start(1), start(1))
    assert not np.array_equal(start(1), start(2))
    # PyMC starts at the middle of each prior: 0 for effects, and log 1 for the spread.
    assert np.all(np.abs(start(1)) <= 1.0)


def _cut(said: str) -> str:
    return said[: len(said) // 2]


def _without_a_key(said: str) -> str:
    return json.dumps({k: v for k, v in json.loads(said).items() if k != "middle"})


def _whose_code_is_gone(said: str) -> str:
    return json.dumps(json.loads(said) | {"density": "0" * 64})


@pytest.mark.parametrize("spoiled", [_cut, _without_a_key, _whose_code_is_gone, lambda said: "[]"])
def test_what_is_spoiled_is_compiled_anew(folder: Path, spoiled: Callable[[str], str]):
    compiled_density(model())
    (path,) = folder.iterdir()
    whole = path.read_text()
    path.write_text(spoiled(whole))
    assert not was_read(compiled_density(model()))
    assert path.read_text() == whole


def test_where_nothing_can_be_written_nothing_is_missed(folder: Path):
    folder.write_text("a file where the folder would be")
    assert not was_read(compiled_density(model()))
    assert not was_read(compiled_density(model()))
    assert folder.read_text() == "a file where the folder would be"
