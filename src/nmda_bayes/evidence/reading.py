"""Text files to tables of text, with every reason why a file is no table.

A spreadsheet saved anywhere should read: byte-order marks, Windows line ends, Latin-1 letters, and
semicolons with decimal commas are taken as they are. What cannot be read is explained, located.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.guards import unguarded

#: The column of line numbers that every sheet carries; the header of a file is line 1.
LINE = "line"


@dataclass
class Sheet:
    """A table of text, and what was wrong with it.

    Attributes
    ----------
    file
        Name to print in faults.
    cells
        One column of text for each column of the file, and `LINE`.
    faults
        What was wrong; with any, ``cells`` may be empty.
    decimal_comma
        True where cells are parted by semicolons, so that 2,5 is a number.
    """

    file: str
    cells: pd.DataFrame
    faults: list[Fault] = field(default_factory=list)
    decimal_comma: bool = False


def read_sheet(path: Path, name: str = "") -> Sheet:
    """Read a CSV file as text.

    Parameters
    ----------
    path
        The file.
    name
        Name to print in faults; the path's own where empty.

    Returns
    -------
    Sheet
        With faults instead of cells where it cannot be read.
    """
    name = name or path.name
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        return refused(Fault(f"the file {what}", "Give the path of a CSV file.", name))
    text = _decode(path.read_bytes())
    if text is None:
        return refused(
            Fault("this is not a text file", "Save the table as CSV (UTF-8) and give that.", name)
        )
    if not text.strip():
        return refused(Fault("the file is empty", "It needs a header and rows.", name))
    delimiter = _delimiter(text)
    try:
        return sheet_of(name, _records(text, delimiter), decimal_comma=delimiter == ";")
    except csv.Error as error:
        mend = "Close the double quote that is left open, or save the table as CSV anew."
        return refused(Fault(f"the file cannot be parted into cells ({error})", mend, name))


def refused(fault: Fault) -> Sheet:
    """Give a sheet that holds nothing but its fault.

    Parameters
    ----------
    fault
        Why it is no table.

    Returns
    -------
    Sheet
        Without cells.
    """
    return Sheet(fault.file, pd.DataFrame(), [fault])


def _decode(raw: bytes) -> str | None:
    """Turn bytes into text; None where they are no text."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if b"\x00" in raw[:8192] or raw.startswith((b"PK\x03\x04", b"%PDF", b"\x89HDF", b"\x1f\x8b")):
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Windows-1252 holds Latin-1's letters; bytes that it leaves open are no text.
        try:
            text = raw.decode("cp1252")
        except UnicodeDecodeError:
            return None
        printable = sum(letter.isprintable() or letter.isspace() for letter in text)
        return text if printable >= 0.95 * len(text) else None


def _delimiter(text: str) -> str:
    header = next(line for line in text.splitlines() if line.strip())
    return max(",;\t", key=header.count)


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row with the line it starts on; blank lines are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    start, guards = 1, "'" in text
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield start, [*map(unguarded, stripped)] if guards else stripped
        start = reader.line_num + 1


def sheet_of(name: str, records: Iterator[tuple[int, list[str]]], *, decimal_comma: bool) -> Sheet:
    """Make a sheet of records, the first of which is the header.

    Parameters
    ----------
    name
        Name to print in faults.
    records
        Line and cells of each row.
    decimal_comma
        Whether 2,5 is a number.

    Returns
    -------
    Sheet
        With a fault for each row that does not fit the header.
    """
    line, header = next(records, (1, []))
    if not header:
        return refused(Fault("the file is empty", "It needs a header and rows.", name))
    faults = list(header_faults(header, name, line))
    lines, rows = [], []
    for line, cells in records:
        if cells == header:
            faults.append(Fault("the header stands here again", "Delete this row.", name, line))
        elif len(cells) < len(header) or any(cells[len(header) :]):
            faults.append(
                Fault(
                    f"the row has {len(cells)} cells, the header {len(header)}",
                    "Put text that holds a separator between double quotes.",
                    name,
                    line,
                )
            )
        else:
            lines.append(line)
            rows.append(cells[: len(header)])
    if not rows and not faults:
        faults.append(Fault("the file has a header and no rows", "Add at least one row.", name))
    if any(fault.row is None or fault.column for fault in faults):
        return Sheet(name, pd.DataFrame(), faults)
    cells_of = pd.DataFrame(rows, columns=header, dtype="str").assign(**{LINE: lines})
    return Sheet(name, cells_of, faults, decimal_comma)


def header_faults(header: list[str], name: str, line: int) -> Iterator[Fault]:
    """Say what is wrong with a header.

    Parameters
    ----------
    header
        Names of columns.
    name
        Name of the file.
    line
        Where the header stands.

    Yields
    ------
    Fault
        For each column that has no name, or one that is taken.
    """
    for place, label in enumerate(header, start=1):
        if not label:
            yield Fault(
                f"column {place} has no name", "Name it, or delete it.", name, line, f"#{place}"
            )
        elif label in header[: place - 1]:
            yield Fault(
                "the column stands twice", "Rename or delete one of them.", name, line, label
            )
        elif label == LINE:
            yield Fault(
                f"'{LINE}' is the word for line numbers here", "Rename it.", name, line, label
            )
