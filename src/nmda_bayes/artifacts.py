"""Atomic writes, and hashes of content."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PARTIAL: Final = ".partial"
#: Seconds without a write after which a partial file counts as left by a killed process. Process
#: ids would not do: other computers may share the folder.
STALE_AFTER: Final = 600.0


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path next to `target`, renamed to `target` when the block succeeds."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(target: Path, content: bytes | str) -> Path:
    """Write a file (text as UTF-8) and rename it to its name once it is on disk."""
    with atomic_path(target) as partial, partial.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return target


def remove_stale_partials(folder: Path) -> None:
    """Remove the partial files that killed processes left in a folder."""
    for partial in folder.glob(f".*{PARTIAL}"):
        with suppress(FileNotFoundError):  # its writer has just finished
            if time.time() - partial.stat().st_mtime > STALE_AFTER:
                partial.unlink()


def digest(*parts: str | bytes) -> str:
    """Hash concatenated parts (SHA-256, hexadecimal)."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
    return total.hexdigest()
