"""Finished results on disk: one file per variant, written atomically, checksummed on read.

A file is named by a hash of the spec, the evidence and the code, so that an interrupted run
continues and a changed prior, trial or line of code is computed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.artifacts import digest, remove_stale_partials, write_atomically
from nmda_bayes.errors import FitError, Issue
from nmda_bayes.runtime import code_version
from nmda_bayes.spec import AnalysisSpec

FORMAT: Final = "nmda-bayes sensitivity 1"
RESULT, DRAWS = ".nc", ".draws"
#: Attributes that describe the file, not the result.
FILE_ATTRIBUTES: Final = ("format", "key", "digest")
UNREADABLE: Final = (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError)


def cache_key(spec: AnalysisSpec, evidence_hash: str, settings: Any = None) -> str:
    """Hash everything a result depends on (32 hexadecimal digits); title and question do not count.

    `settings` is what else was requested, as plain content.
    """
    content = spec.model_dump(mode="json", exclude={"title", "question"})
    text = json.dumps([content, evidence_hash, code_version(), settings], sort_keys=True)
    return digest(text)[:32]


class ResultCache:
    """A folder of results, made if missing; `corrupt` lists the files that were not accepted."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.corrupt: list[Issue] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Permissions alone do not reveal a file system that is mounted read-only.
            write_atomically(self.folder / "writable", b"").unlink()
            remove_stale_partials(self.folder)
        except OSError as error:
            raise FitError([self._not_writable(error)]) from None

    def cached(self, keys: Iterable[str]) -> set[str]:
        """Return the keys that have a file, which has not been read yet."""
        return {key for key in keys if self._path(key, RESULT).is_file()}

    def write(self, key: str, result: xr.Dataset) -> Path:
        """Write a result; raises `FitError` if it cannot be written."""
        signed = result.assign_attrs(format=FORMAT, key=key, digest=dataset_digest(result))
        # In memory first: a full disk is then a plain error of a plain write, not one of HDF5's.
        content = bytes(signed.to_netcdf(engine="h5netcdf"))
        try:
            return write_atomically(self._path(key, RESULT), content)
        except OSError as error:
            raise FitError([self._not_writable(error)]) from None

    def read(self, key: str) -> xr.Dataset | None:
        """Read a result; None where there is none, or where its file is `corrupt`."""
        path = self._path(key, RESULT)
        if not path.is_file():
            return None
        try:
            with xr.open_dataset(path, engine="h5netcdf") as stored:
                result = stored.load()
            wrong = _mismatch(result.attrs, key, dataset_digest(result))
        except UNREADABLE as error:
            wrong = _unreadable(error)
        if wrong is not None:
            self._reject(path, wrong, "The variant is computed again.")
            return None
        attributes = {k: v for k, v in result.attrs.items() if k not in FILE_ATTRIBUTES}
        return result.drop_attrs(deep=False).assign_attrs(attributes)

    def write_draws(self, key: str, fit: xr.DataTree) -> None:
        """Write a fit with its posterior draws."""
        signed = fit.copy()
        posterior = dataset_digest(fit["posterior"].to_dataset())
        signed.attrs |= {"format": FORMAT, "key": key, "digest": posterior}
        try:
            write_atomically(self._path(key, DRAWS), bytes(signed.to_netcdf(engine="h5netcdf")))
        except OSError as error:
            raise FitError([self._not_writable(error)]) from None

    def read_draws(self, key: str) -> xr.DataTree | None:
        """Read a fit with its draws; None where there is none, or where its file is `corrupt`."""
        path = self._path(key, DRAWS)
        if not path.is_file():
            return None
        try:
            with xr.open_datatree(path, engine="h5netcdf") as stored:
                fit = stored.load()
            wrong = _mismatch(fit.attrs, key, dataset_digest(fit["posterior"].to_dataset()))
        except UNREADABLE as error:
            wrong = _unreadable(error)
        if wrong is None:
            return fit
        self._reject(path, wrong, "The base case is sampled again.")
        return None

    def _path(self, key: str, suffix: str) -> Path:
        return self.folder / f"{key}{suffix}"

    def _reject(self, path: Path, wrong: tuple[str, str], consequence: str) -> None:
        message, code = wrong
        self.corrupt.append(Issue(code, message, consequence, file=str(path)))

    def _not_writable(self, error: OSError) -> Issue:
        return Issue(
            "E660",
            f"cannot write to this folder: {error.strerror or error}",
            "Finished results are kept. Free some space or allow writing, then run again.",
            file=str(self.folder),
        )


def dataset_digest(dataset: xr.Dataset) -> str:
    """Hash the numbers, labels and attributes of a dataset, independent of the file format."""
    parts: list[str | bytes] = []
    for name in sorted(map(str, dataset.variables)):
        values = dataset[name]
        array = np.asarray(values.to_numpy())
        numeric = array.dtype.kind in "fiub"
        parts.append(f"{name} {values.dims} {array.shape}")
        parts.append(array.tobytes() if numeric else json.dumps(array.tolist()))
    kept = {k: v for k, v in dataset.attrs.items() if k not in FILE_ATTRIBUTES}
    return digest(*parts, json.dumps(kept, sort_keys=True, default=_to_plain))


def _to_plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _mismatch(attributes: dict[Any, Any], key: str, content: str) -> tuple[str, str] | None:
    """Return message and code where a file does not hold the result that its name promises."""
    if attributes.get("format") != FORMAT:
        return "was not written by this version's sensitivity analysis", "E662"
    if attributes.get("key") != key:
        return "contains the result of another analysis", "E663"
    if attributes.get("digest") != content:
        return "has changed since it was written", "E664"
    return None


def _unreadable(error: Exception) -> tuple[str, str]:
    reason = str(error).splitlines()[0] if str(error) else repr(error)
    return f"cannot be read ({reason})", "E661"
