"""Results folders: locked while a run writes, never overwritten, reusable if it was interrupted.

While a run lasts, a marker in the folder is locked by its process. It lists the files that the run
writes, each with its hash, so that a later run replaces these, and no file of the user's.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from nmda_bayes.artifacts import (
    MARKER,
    PARTIAL,
    csv_text,
    digest,
    remove_stale_partials,
    try_lock,
    write_atomically,
)
from nmda_bayes.errors import InputError, Issue
from nmda_bayes.terminal import HINTS

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from nmda_bayes.checks import Diagnostics
    from nmda_bayes.spec import AnalysisSpec

FIT_FILE: Final = "fit.nc"
#: The folder of finished variants in that of a sensitivity analysis.
CACHE: Final = "cache"
_LISTED: Final = re.compile(r"([0-9a-f]{64})  (.+)")


class ResultsFolder:
    """A folder that this process has locked; files are written whole, and listed in the marker."""

    def __init__(self, path: Path, marker: BinaryIO) -> None:
        self.path = path
        self.written: list[str] = []
        self._marker = marker
        marker.seek(0)
        lines = marker.read().decode(errors="replace").splitlines()
        listed = [match.groups() for line in lines if (match := _LISTED.fullmatch(line))]
        #: Files of an interrupted run: the hashes that each may have.
        self._earlier: dict[str, set[str]] = {}
        for content, name in listed:
            self._earlier.setdefault(name, set()).add(content)
        started = datetime.now(UTC).isoformat(timespec="seconds")
        header = f"Process {os.getpid()} on {platform.node()}, since {started}."
        usage = "As long as this file exists, the results are incomplete: run the command again."
        self._add_line(f"{header} {usage}")

    def foreign(self) -> list[str]:
        """Names of files that no interrupted run has written."""
        return sorted(path.name for path in self.path.iterdir() if not self._is_earlier(path))

    def _is_earlier(self, path: Path) -> bool:
        if path.name == MARKER or self._is_partial(path):
            return True
        known = self._earlier.get(path.name, ())
        return bool(known) and path.is_file() and digest(path.read_bytes()) in known

    def _is_partial(self, path: Path) -> bool:
        name = path.name
        started = any(name.startswith(f".{known}.") for known in (*self._earlier, *self.written))
        return started and name.endswith(PARTIAL)

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file; those of an interrupted run are removed before the first one."""
        data = content.encode() if isinstance(content, str) else content
        target = self.path / name
        if target.exists() and name not in self.written and not self._is_earlier(target):
            raise FileExistsError(errno.EEXIST, "has been made meanwhile; it was kept", str(target))
        if not self.written:
            self._remove_earlier()
        self._add_line(f"{digest(data)}  {name}")
        write_atomically(target, data)
        self.written.append(name)
        return target

    def write_csv(self, name: str, table: pd.DataFrame) -> Path:
        """Write a table as CSV."""
        return self.write(name, csv_text(table))

    def _remove_earlier(self) -> None:
        for path in list(self.path.iterdir()):
            if path.name != MARKER and self._is_earlier(path):
                path.unlink()

    def _add_line(self, line: str) -> None:
        self._marker.seek(0, os.SEEK_END)
        self._marker.write(f"{line}\n".encode())
        self._marker.flush()

    def remains(self) -> str:
        """What an interrupted run leaves, as a sentence; empty if nothing."""
        names = [path.name for path in self.path.iterdir() if path.name != MARKER]
        present = [n for n in (*self.written, *self._earlier) if n in names]
        if not present:
            return ""
        listed = ", ".join(dict.fromkeys(present))
        text = f"{self.path} is incomplete and contains {listed}; the same --out can be used again."
        if FIT_FILE in present:
            text += f" Its draws are complete: nmda-bayes report {shlex.quote(str(self.path))}"
        return text


@contextmanager
def create_output_folder(out: Path) -> Iterator[ResultsFolder]:
    """Create a folder before long work, so that errors come early; remove it if nothing is written.

    It must be empty, or contain only files of an interrupted run.
    """
    existed = out.exists()
    if existed and not out.is_dir():
        raise InputError([Issue("E900", "is not a folder", "Choose a new folder.", file=str(out))])
    if (
        existed
        and not (out / MARKER).exists()
        and (names := sorted(path.name for path in out.iterdir()))
    ):
        raise _not_empty(out, names)
    out.mkdir(parents=True, exist_ok=True)
    with _locked_marker(out) as marker:
        folder = ResultsFolder(out, marker)
        if names := folder.foreign():
            if not folder._earlier:
                (out / MARKER).unlink()
            raise _not_empty(out, names)
        try:
            yield folder
        except BaseException as error:
            if remains := folder.remains():
                error.add_note(remains)
            else:
                (out / MARKER).unlink(missing_ok=True)
                if not existed:
                    with suppress(OSError):  # a file has been put there meanwhile
                        out.rmdir()
            raise
        (out / MARKER).unlink(missing_ok=True)


@contextmanager
def resume_output_folder(out: Path) -> Iterator[None]:
    """Lock a folder of results that a later run continues."""
    existed = out.exists()
    if existed and not out.is_dir():
        raise InputError([Issue("E900", "is not a folder", "Choose a new folder.", file=str(out))])
    out.mkdir(parents=True, exist_ok=True)
    with _locked_marker(out) as marker:
        ResultsFolder(out, marker)
        remove_stale_partials(out)
        try:
            yield
        except BaseException as error:
            if (out / CACHE).is_dir():
                error.add_note(f"{out} contains what was finished before; run the command again.")
                raise
            (out / MARKER).unlink(missing_ok=True)
            if not existed:
                with suppress(OSError):
                    out.rmdir()
            raise
        (out / MARKER).unlink(missing_ok=True)


def _not_empty(out: Path, names: list[str]) -> InputError:
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    hint = "Choose an empty folder; nothing was overwritten."
    return InputError([Issue("E900", f"exists and is not empty: {shown}", hint, file=str(out))])


@contextmanager
def _locked_marker(out: Path) -> Iterator[BinaryIO]:
    """Open the marker of a folder; the lock ends with the process, however it ends."""
    path = out / MARKER
    while True:
        marker = path.open("a+b")
        try:
            locked = try_lock(marker.fileno())
            if locked is False:
                marker.seek(0)
                runs = [
                    x for x in marker.read().decode(errors="replace").splitlines() if x[:1] == "P"
                ]
                run = runs[-1].partition(". ")[0] if runs else "another process"
                message = f"another run is writing into this folder ({run})"
                hint = "Wait for it, or choose another folder."
                raise InputError([Issue("E915", message, hint, file=str(out))])
            # The other run may have ended, and its marker gone, before the lock was taken.
            if path.exists() and os.path.samestat(os.fstat(marker.fileno()), path.stat()):
                yield marker
                return
        finally:
            marker.close()


# What the folders contain.


def save_fit(folder: ResultsFolder, fit: xr.DataTree) -> str:
    """Write fit.nc and return the digest of its content.

    Draws that cannot be written there are saved among the temporary files, and the error names
    the path.
    """
    from nmda_bayes.inference import fit_image

    image, content = fit_image(fit)
    try:
        folder.write(FIT_FILE, image)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = HINTS.get(error.errno or 0, "")
        target = folder.path / FIT_FILE
        try:
            rescue = Path(tempfile.mkdtemp(prefix="nmda-bayes-")) / FIT_FILE
            write_atomically(rescue, image)
        except OSError:
            hint = f"{hint} The draws are lost; the same command with the same seed repeats them."
        else:
            hint = f"{hint} The draws are saved in {rescue}:"
            hint += f" nmda-bayes report {shlex.quote(str(rescue.parent))}"
        issue = Issue("E916", f"cannot be written: {reason}", hint.strip(), file=str(target))
        raise InputError([issue]) from None
    return content


def write_spec(spec: AnalysisSpec, path: Path) -> None:
    """Write a spec as TOML."""
    write_atomically(path, spec_text(spec))


def spec_text(spec: AnalysisSpec) -> str:
    """Format a spec as TOML."""
    import tomli_w

    return tomli_w.dumps(spec.model_dump(exclude_none=True, exclude_defaults=True, mode="json"))


def write_fit_tables(
    folder: ResultsFolder, spec: str | None, fit: xr.DataTree, checks: Diagnostics, content: str
) -> None:
    """Write summary.csv, diagnostics.csv and manifest.json next to a fit with this digest."""
    from nmda_bayes.report.tables import summary_table

    folder.write_csv("summary.csv", summary_table(fit, checks.scalars))
    folder.write_csv("diagnostics.csv", checks.scalars)
    manifest = {
        "spec_file": spec or "spec.toml",
        "spec": json.loads(fit.attrs["spec"]),
        "evidence": fit.attrs["evidence_source"],
        "evidence_hash": fit.attrs["evidence_hash"],
        "versions": json.loads(fit.attrs["versions"]),
        "seed": int(fit.attrs["seed"]),
        "digest": content,
        "remarks": list(checks.remarks),
        "passed": checks.passed,
        "convergence": checks.convergence.to_dict(orient="records"),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder.write("manifest.json", json.dumps(manifest, indent=2) + "\n")
