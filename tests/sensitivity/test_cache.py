"""The result cache: round trips, corrupt files, keys and write errors."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmda_bayes import artifacts
from nmda_bayes.errors import FitError
from nmda_bayes.sensitivity import cache as caches
from nmda_bayes.sensitivity.cache import ResultCache, cache_key, dataset_digest
from tests.support import specs
from tests.support.issues import issues_when

KEY = "0" * 32


@pytest.fixture
def result() -> xr.Dataset:
    return xr.Dataset(
        {"effect": (("agent", "statistic"), [[1.0, np.nan], [-2.0, 0.5]])},
        coords={"agent": np.array(["ketamine", "mém"], dtype=object), "statistic": ["a", "b"]},
        attrs={"how": "fitted", "seconds": 1.5, "passed": 1},
    )


def test_results_round_trip(tmp_path: Path, result: xr.Dataset):
    store = ResultCache(tmp_path / "a" / "b")
    path = store.write(KEY, result)
    assert path.name == f"{KEY}.nc"
    read = store.read(KEY)
    assert read is not None
    xr.testing.assert_identical(read, result)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert store.read("1" * 32) is None
    assert store.corrupt == []


def _flipped(content: bytes) -> bytes:
    """Flip one bit of one stored number."""
    start = content.index(np.float64(-2.0).tobytes())
    return content[: start + 3] + bytes([content[start + 3] ^ 1]) + content[start + 4 :]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda b: b[: len(b) // 2], "E661"),
        (lambda b: b"", "E661"),
        (lambda b: b"PK\x03\x04 somebody else's", "E661"),
        (_flipped, "E664"),
    ],
)
def test_corrupt_files_are_reported(
    tmp_path: Path, result: xr.Dataset, spoil: Callable[[bytes], bytes], code: str
):
    store = ResultCache(tmp_path)
    path = store.write(KEY, result)
    path.write_bytes(spoil(path.read_bytes()))
    assert store.read(KEY) is None
    (issue,) = store.corrupt
    assert (issue.code, issue.file) == (code, str(path))


def test_foreign_files_are_rejected(tmp_path: Path, result: xr.Dataset):
    store = ResultCache(tmp_path)
    result.to_netcdf(tmp_path / f"{KEY}.nc", engine="h5netcdf")
    assert store.read(KEY) is None
    other = store.write("1" * 32, result)
    other.rename(tmp_path / f"{KEY}.nc")
    assert store.read(KEY) is None
    assert [f.code for f in store.corrupt] == ["E662", "E663"]


def test_key_covers_spec_evidence_code_and_settings(monkeypatch: pytest.MonkeyPatch):
    spec = specs.spec()
    first = cache_key(spec, "evidence", 1.0)
    assert cache_key(spec.model_copy(update={"title": "Other words"}), "evidence", 1.0) == first
    others = {
        cache_key(specs.spec(specs.outcome(parameters={"emax": specs.parameter(
            location=specs.normal(0, 2))})), "evidence", 1.0),
        cache_key(spec, "other evidence", 1.0),
        cache_key(spec, "evidence", 2.0),
    }  # fmt: skip
    monkeypatch.setattr(caches, "code_version", lambda: "another line of code")
    others.add(cache_key(spec, "evidence", 1.0))
    assert len(others - {first}) == 4


def test_digest_covers_labels_and_attributes(result: xr.Dataset):
    same = result.copy(deep=True)
    assert dataset_digest(same) == dataset_digest(result)
    renamed = result.assign_coords(agent=["ketamine", "mem"])
    assert (
        len({dataset_digest(a) for a in (result, renamed, result.assign_attrs(how="exact"))}) == 3
    )


def test_full_disk_leaves_no_partial_file(
    tmp_path: Path, result: xr.Dataset, monkeypatch: pytest.MonkeyPatch
):
    store = ResultCache(tmp_path)
    store.write(KEY, result)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts.os, "fsync", full)
    (issue,) = issues_when(lambda: store.write("1" * 32, result), FitError)
    assert (issue.code, issue.file) == ("E660", str(tmp_path))
    assert "No space left on device" in issue.message
    assert [p.name for p in tmp_path.iterdir()] == [f"{KEY}.nc"]


def test_read_only_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The write itself is made to fail, because root ignores permissions."""

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    (issue,) = issues_when(lambda: ResultCache(tmp_path), FitError)
    assert (issue.code, issue.file) == ("E660", str(tmp_path))


def test_file_instead_of_folder_is_reported(tmp_path: Path):
    (tmp_path / "x").write_text("other")
    (issue,) = issues_when(lambda: ResultCache(tmp_path / "x"), FitError)
    assert issue.code == "E660"
    assert (tmp_path / "x").read_text() == "other"


def test_stale_partial_files_are_removed(tmp_path: Path):
    stale, recent = tmp_path / ".a.nc.0a1b2c3d.partial", tmp_path / ".b.nc.0a1b2c3d.partial"
    for path in (stale, recent):
        path.write_bytes(b"half")
    long_ago = time.time() - artifacts.STALE_AFTER - 1
    os.utime(stale, (long_ago, long_ago))
    ResultCache(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [recent.name]
