"""Fits on disk: equal after a round trip; other files are rejected."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from nmda_bayes.errors import FitError
from nmda_bayes.estimands import dose_response
from nmda_bayes.inference import read_fit, write_fit
from tests.support.issues import issues_when


def test_round_trip(quick_fit: xr.DataTree, tmp_path: Path):
    path = write_fit(quick_fit, tmp_path / "fit.nc")
    assert path == tmp_path / "fit.nc"
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]
    again = read_fit(path)
    assert set(again.groups) == set(quick_fit.groups)
    for node in quick_fit.subtree:
        xr.testing.assert_equal(again[node.path].to_dataset(), node.to_dataset())
    assert {k: type(v)(again.attrs[k]) for k, v in quick_fit.attrs.items()} == quick_fit.attrs
    xr.testing.assert_equal(dose_response(again, [0, 1]), dose_response(quick_fit, [0, 1]))


def test_read_from_a_results_folder(quick_fit: xr.DataTree, tmp_path: Path):
    write_fit(quick_fit, tmp_path / "fit.nc")
    assert read_fit(tmp_path).attrs["seed"] == quick_fit.attrs["seed"]


def test_a_missing_file(tmp_path: Path):
    for path in (tmp_path, tmp_path / "fit.nc"):
        (issue,) = issues_when(lambda path=path: read_fit(path), FitError)
        assert (issue.code, issue.file) == ("E552", str(tmp_path / "fit.nc"))


@pytest.fixture(scope="module")
def stored(quick_fit: xr.DataTree, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_fit(quick_fit, tmp_path_factory.mktemp("fit") / "fit.nc").read_bytes()


@pytest.mark.parametrize("keep", [0, 7, 100, 2000, 0.5, 0.99], ids=lambda keep: f"keep {keep}")
def test_a_truncated_file_is_rejected_and_unchanged(stored: bytes, tmp_path: Path, keep: float):
    path = tmp_path / "fit.nc"
    part = stored[: int(keep * len(stored)) if isinstance(keep, float) else keep]
    path.write_bytes(part)
    (issue,) = issues_when(lambda: read_fit(path), FitError)
    assert (issue.code, issue.file) == ("E553", str(path))
    assert path.read_bytes() == part


def test_overwritten_bytes_are_noticed(stored: bytes, quick_fit: xr.DataTree, tmp_path: Path):
    path = tmp_path / "fit.nc"
    for start in range(0, len(stored) - 4096, max(1, len(stored) // 5)):
        path.write_bytes(stored[:start] + b"\xff" * 4096 + stored[start + 4096 :])
        assert refused_or_equal(path, quick_fit)


def test_flipped_bits_are_noticed(stored: bytes, quick_fit: xr.DataTree, tmp_path: Path):
    rng = np.random.default_rng(5)
    path = tmp_path / "fit.nc"
    refused = 0
    for position in rng.integers(0, len(stored), 12):
        changed = bytearray(stored)
        changed[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        refused += refused_or_equal(path, quick_fit) == "refused"
    assert refused > 3  # the others are in unused parts of the file


def refused_or_equal(path: Path, fit: xr.DataTree) -> str:
    """How a damaged file is read: refused, or with nothing changed."""
    try:
        again = read_fit(path)
    except FitError as error:
        assert error.issues[0].file == str(path)
        assert error.issues[0].code in ("E553", "E554", "E580", "E581")
        return "refused"
    assert {k: type(v)(again.attrs[k]) for k, v in fit.attrs.items()} == fit.attrs
    for node in fit.subtree:
        xr.testing.assert_equal(again[node.path].to_dataset(), node.to_dataset())
    return "equal"


def _shifted(file: h5py.File) -> None:
    name = next(n for n in file["posterior"] if n.endswith("baseline"))
    file["posterior"][name][...] += 5


def _relabelled(file: h5py.File) -> None:
    names = [n for n, d in file["posterior"].items() if d.dtype.kind == "O"]
    file["posterior"][names[0]][0] = "another"


def _respecified(file: h5py.File) -> None:
    file.attrs["spec"] = file.attrs["spec"].replace("Normal", "normal")


def _without_a_group(file: h5py.File) -> None:
    del file["log_likelihood"]


@pytest.mark.parametrize("change", [_shifted, _relabelled, _respecified, _without_a_group])
def test_an_altered_fit_is_refused(stored: bytes, tmp_path: Path, change):
    path = tmp_path / "fit.nc"
    path.write_bytes(stored)
    with h5py.File(path, "r+") as file:
        change(file)
    (issue,) = issues_when(lambda: read_fit(path), FitError)
    assert (issue.code, issue.file) == ("E581", str(path))


def test_a_fit_whose_digest_was_removed_is_refused(stored: bytes, tmp_path: Path):
    path = tmp_path / "fit.nc"
    path.write_bytes(stored)
    with h5py.File(path, "r+") as file:
        del file.attrs["digest"]
    assert [i.code for i in issues_when(lambda: read_fit(path), FitError)] == ["E580"]


@pytest.mark.parametrize(
    ("manifest", "code"),
    [('{"digest": "0"}', "E582"), ("{}", "E583"), ("[1]", "E583"), ("\x00", "E583")],
)
def test_the_manifest_next_to_a_fit_is_compared(
    stored: bytes, tmp_path: Path, manifest: str, code: str
):
    (tmp_path / "fit.nc").write_bytes(stored)
    (tmp_path / "manifest.json").write_text(manifest)
    assert [i.code for i in issues_when(lambda: read_fit(tmp_path), FitError)] == [code]
    (tmp_path / "fit.nc").rename(tmp_path / "kept.nc")
    assert read_fit(tmp_path / "kept.nc")["posterior"].sizes["chain"]


def test_a_text_file_is_rejected(tmp_path: Path):
    path = tmp_path / "fit.nc"
    path.write_text("study,agent\nA,placebo\n" * 200)
    (issue,) = issues_when(lambda: read_fit(path), FitError)
    assert issue.code == "E553"


def test_another_netcdf_file_is_rejected(tmp_path: Path):
    path = tmp_path / "fit.nc"
    xr.Dataset({"x": ("draw", [1.0, 2.0])}).to_netcdf(path, engine="h5netcdf")
    (issue,) = issues_when(lambda: read_fit(path), FitError)
    assert issue.code == "E554"
    assert "posterior, sample_stats" in issue.message


def test_a_fit_without_its_spec_is_rejected(quick_fit: xr.DataTree, tmp_path: Path):
    bare = quick_fit.copy()
    bare.attrs = {}
    path = write_fit(bare, tmp_path / "fit.nc")
    (issue,) = issues_when(lambda: read_fit(path), FitError)
    assert issue.code == "E554"
    assert "spec" in issue.message


def test_a_failed_write_leaves_the_old_fit(quick_fit: xr.DataTree, tmp_path: Path):
    path = write_fit(quick_fit, tmp_path / "fit.nc")
    before = path.read_bytes()
    wrong = quick_fit.copy()
    wrong["posterior"].attrs["cannot be stored"] = object()
    with pytest.raises(TypeError):
        write_fit(wrong, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.nc"]
