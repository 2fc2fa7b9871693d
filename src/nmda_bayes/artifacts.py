"""What leaves the package: atomic writes, CSV without formulas, printable text, hashes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

PARTIAL: Final = ".partial"
#: The file that marks a results folder as incomplete, and locks it while a run writes into it.
MARKER: Final = "INCOMPLETE.txt"
#: Seconds after which a partial file that nobody has locked counts as left by a killed process: its
#: writer locks it just after creating it.
UNLOCKED_FOR: Final = 2.0
#: The same where the file system has no locks.
STALE_AFTER: Final = 600.0

# Files.


def try_lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; False if another process has, None without locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


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
        try_lock(file.fileno())
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    return target


def remove_stale_partials(folder: Path) -> None:
    """Remove the partial files that killed processes left in a folder."""
    for partial in folder.glob(f".*{PARTIAL}"):
        # Its writer may just have finished; the folder may be read-only.
        with suppress(OSError), partial.open("rb") as file:
            age = time.time() - partial.stat().st_mtime
            unlocked = try_lock(file.fileno())
            if age > STALE_AFTER if unlocked is None else unlocked and age > UNLOCKED_FOR:
                partial.unlink()


# Text that a spreadsheet would run as a formula.

_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def escape_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Undo `escape_formula`."""
    return text[1:] if _ESCAPED_FORMULA.match(text) else text


def csv_text(table: pd.DataFrame) -> str:
    """Format a table as CSV, with formulas escaped in its text."""
    escaped = table.rename(columns=lambda name: escape_formula(str(name)))
    for position in range(table.shape[1]):
        cells = table.iloc[:, position]
        if cells.dtype.kind not in "iufbmM":
            escaped.isetitem(position, [_escape_cell(cell) for cell in cells.astype(object)])
    return str(escaped.to_csv(index=False, lineterminator="\n"))


def _escape_cell(cell: object) -> object:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return escape_formula(cell)
    return cell if cell.isascii() and cell == cell.strip() else escape_formula(cell)


def write_csv(target: Path, table: pd.DataFrame) -> Path:
    """Write a table as CSV, atomically, with formulas escaped in its text."""
    return write_atomically(target, csv_text(table))


# Text for a terminal.

#: Control characters, of which a terminal runs some, except line feed and tab.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Write control characters as their hexadecimal escapes; everything else is kept."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


# Hashes.


def digest(*parts: str | bytes) -> str:
    """Hash concatenated parts (SHA-256, hexadecimal)."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
    return total.hexdigest()
