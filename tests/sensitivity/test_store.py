"""The store trusts nothing that it did not write whole, and says what it cannot do."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nmda_bayes.errors import FitError
from nmda_bayes.sensitivity import store as stores
from nmda_bayes.sensitivity.store import Store, digest, key_of
from tests import specs
from tests.conftest import faults_when

KEY = "0" * 32


@pytest.fixture
def answer() -> xr.Dataset:
    return xr.Dataset(
        {"effect": (("agent", "statistic"), [[1.0, np.nan], [-2.0, 0.5]])},
        coords={"agent": np.array(["ketamine", "mém"], dtype=object), "statistic": ["a", "b"]},
        attrs={"how": "fitted", "seconds": 1.5, "passed": 1},
    )


def test_what_is_written_is_read_whole(tmp_path: Path, answer: xr.Dataset):
    store = Store(tmp_path / "a" / "b")
    path = store.write(KEY, answer)
    assert path.name == f"{KEY}.nc"
    read = store.read(KEY)
    assert read is not None
    xr.testing.assert_identical(read, answer)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert store.read("1" * 32) is None
    assert store.distrusted == []


def _flipped(content: bytes) -> bytes:
    """One bit of one stored number."""
    place = content.index(np.float64(-2.0).tobytes())
    return content[: place + 3] + bytes([content[place + 3] ^ 1]) + content[place + 4 :]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda b: b[: len(b) // 2], "cannot be read"),
        (lambda b: b"", "cannot be read"),
        (lambda b: b"PK\x03\x04 somebody else's", "cannot be read"),
        (_flipped, "has changed since"),
    ],
)
def test_a_spoilt_file_is_told_and_not_believed(tmp_path: Path, answer: xr.Dataset, spoil, said):
    store = Store(tmp_path)
    path = store.write(KEY, answer)
    path.write_bytes(spoil(path.read_bytes()))
    assert store.read(KEY) is None
    (fault,) = store.distrusted
    assert said in fault.message
    assert fault.file == str(path)


def test_a_foreign_file_and_another_answers_are_not_believed(tmp_path: Path, answer: xr.Dataset):
    store = Store(tmp_path)
    answer.to_netcdf(tmp_path / f"{KEY}.nc", engine="h5netcdf")
    assert store.read(KEY) is None
    other = store.write("1" * 32, answer)
    other.rename(tmp_path / f"{KEY}.nc")
    assert store.read(KEY) is None
    assert [f.message for f in store.distrusted] == [
        "was not written by a sensitivity analysis of this version",
        "holds the answer to another question",
    ]


def test_the_key_is_what_the_answer_depends_on(monkeypatch: pytest.MonkeyPatch):
    spec = specs.spec()
    first = key_of(spec, "evidence", 1.0)
    assert key_of(spec.model_copy(update={"title": "Other words"}), "evidence", 1.0) == first
    others = {
        key_of(specs.spec(specs.outcome(parameters={"emax": specs.parameter(
            location=specs.normal(0, 2))})), "evidence", 1.0),
        key_of(spec, "other evidence", 1.0),
        key_of(spec, "evidence", 2.0),
    }  # fmt: skip
    monkeypatch.setattr(stores, "code_version", lambda: "another line of code")
    others.add(key_of(spec, "evidence", 1.0))
    assert len(others - {first}) == 4


def test_labels_and_attributes_count_for_the_digest(answer: xr.Dataset):
    same = answer.copy(deep=True)
    assert digest(same) == digest(answer)
    renamed = answer.assign_coords(agent=["ketamine", "mem"])
    assert len({digest(a) for a in (answer, renamed, answer.assign_attrs(how="exact"))}) == 3


def test_a_full_disk_is_told_and_leaves_nothing_half(
    tmp_path: Path, answer: xr.Dataset, monkeypatch: pytest.MonkeyPatch
):
    store = Store(tmp_path)
    store.write(KEY, answer)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores.os, "fsync", full)
    (fault,) = faults_when(lambda: store.write("1" * 32, answer), FitError)
    assert fault.message == "cannot be written: No space left on device"
    assert "run again" in fault.mend
    assert [p.name for p in tmp_path.iterdir()] == [f"{KEY}.nc"]


def test_a_read_only_folder_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Root writes everywhere, so that a mode alone would prove nothing: the system's no is used."""

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "open", refuse)
    (fault,) = faults_when(lambda: Store(tmp_path), FitError)
    assert fault.message == "cannot be written: Read-only file system"
    assert fault.file == str(tmp_path)


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path):
    (tmp_path / "x").write_text("mine")
    (fault,) = faults_when(lambda: Store(tmp_path / "x"), FitError)
    assert "cannot be written" in fault.message
    assert (tmp_path / "x").read_text() == "mine"


def test_half_files_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path):
    import os

    dead, living = tmp_path / ".a.nc.99999999.partial", tmp_path / f".a.nc.{os.getpid()}.partial"
    for path in (dead, living):
        path.write_bytes(b"half")
    Store(tmp_path)
    assert not dead.exists()
    assert living.exists()
