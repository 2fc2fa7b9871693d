"""Finished answers on disk: one file a fit, written whole or not at all, never trusted unread.

A file is named by what it answers: a hash of the spec, the evidence and the code. So a run that was
cut off goes on where it was, and a changed prior, trial or line of code is answered anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from nmda_bayes.code_version import code_version
from nmda_bayes.errors import Fault, FitError
from nmda_bayes.spec import AnalysisSpec

FORMAT: Final = "nmda-bayes sensitivity 1"
SUFFIX, PARTIAL = ".nc", ".partial"


def key_of(spec: AnalysisSpec, evidence_hash: str, asked: Any = None) -> str:
    """Name an answer by what it depends on.

    Parameters
    ----------
    spec
        The analysis; its title and question do not count.
    evidence_hash
        Of the evidence.
    asked
        What else was asked, as plain content.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    content = spec.model_dump(mode="json", exclude={"title", "question"})
    text = json.dumps([content, evidence_hash, code_version(), asked], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store:
    """A folder of answers.

    Parameters
    ----------
    folder
        Made if it is not there.

    Attributes
    ----------
    distrusted : list[Fault]
        Files that were found and not believed; each is answered again.

    Raises
    ------
    FitError
        If the folder cannot be made or written in.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.distrusted: list[Fault] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Permissions alone do not tell of a disk that is mounted read-only.
            self._write_whole(self.folder / "writable", b"")
            (self.folder / "writable").unlink()
            for left in self.folder.glob(f".*{PARTIAL}"):
                _remove_if_ended(left)
        except OSError as error:
            raise FitError([self._unwritable(error)]) from None

    def write(self, key: str, answer: xr.Dataset) -> Path:
        """Write an answer.

        Parameters
        ----------
        key
            As `key_of` names it.
        answer
            Labelled numbers.

        Returns
        -------
        Path
            The file, which is whole.

        Raises
        ------
        FitError
            If it cannot be written; what was written before stays.
        """
        signed = answer.assign_attrs(format=FORMAT, key=key, digest=digest(answer))
        # In memory first: a full disk is then a plain error of a plain write, not one of HDF5's.
        content = bytes(signed.to_netcdf(engine="h5netcdf"))
        target = self.folder / f"{key}{SUFFIX}"
        try:
            self._write_whole(target, content)
        except OSError as error:
            raise FitError([self._unwritable(error)]) from None
        return target

    def read(self, key: str) -> xr.Dataset | None:
        """Read an answer.

        Parameters
        ----------
        key
            As `key_of` names it.

        Returns
        -------
        xr.Dataset or None
            None where there is none that can be trusted; `distrusted` then says why.
        """
        path = self.folder / f"{key}{SUFFIX}"
        if not path.is_file():
            return None
        try:
            with xr.open_dataset(path, engine="h5netcdf") as stored:
                answer = stored.load()
            wrong = _not_ours(answer, key)
        except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
            wrong = f"cannot be read ({str(error).splitlines()[0] if str(error) else error!r})"
        if wrong:
            self.distrusted.append(Fault(wrong, "It is computed again.", file=str(path)))
            return None
        return answer.drop_attrs(deep=False).assign_attrs(
            {k: v for k, v in answer.attrs.items() if k not in ("format", "key", "digest")}
        )

    def held(self, keys: Iterable[str]) -> set[str]:
        """Say which answers have a file.

        Parameters
        ----------
        keys
            As `key_of` names them.

        Returns
        -------
        set[str]
            Those with a file, which has not been read yet.
        """
        return {key for key in keys if (self.folder / f"{key}{SUFFIX}").is_file()}

    def _write_whole(self, target: Path, content: bytes) -> None:
        partial = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL}")
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> Fault:
        return Fault(
            f"cannot be written: {error.strerror or error}",
            "What was finished before is kept: make room, or allow writing there, and run again.",
            file=str(self.folder),
        )


def digest(answer: xr.Dataset) -> str:
    """Hash the numbers and labels of an answer, whatever file they stand in.

    Parameters
    ----------
    answer
        Labelled numbers.

    Returns
    -------
    str
        Hexadecimal.
    """
    found = hashlib.sha256()
    for name in sorted(map(str, answer.variables)):
        values = answer[name]
        array = np.asarray(values.to_numpy())
        content = (
            array.tobytes() if array.dtype.kind in "fiub" else json.dumps(array.tolist()).encode()
        )
        found.update(f"{name} {values.dims} {array.shape}".encode() + content)
    kept = {k: v for k, v in answer.attrs.items() if k not in ("format", "key", "digest")}
    found.update(json.dumps(kept, sort_keys=True, default=_plain).encode())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _not_ours(answer: xr.Dataset, key: str) -> str:
    """Say why a file is not the answer that its name promises."""
    if answer.attrs.get("format") != FORMAT:
        return "was not written by a sensitivity analysis of this version"
    if answer.attrs.get("key") != key:
        return "holds the answer to another question"
    if answer.attrs.get("digest") != digest(answer):
        return "has changed since it was written"
    return ""


def _remove_if_ended(left: Path) -> None:
    """Remove the half file of a run that was killed; one that goes on keeps its own."""
    writer = left.name.removesuffix(PARTIAL).rpartition(".")[2]
    if writer.isdigit() and Path("/proc").is_dir() and Path(f"/proc/{writer}").exists():
        return
    left.unlink(missing_ok=True)
