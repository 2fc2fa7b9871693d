"""Tables of text with their errors and notes, from data frames; the limits of their size.

Text that a spreadsheet would run as a formula is escaped on writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol, TypeGuard

import pandas as pd

from nmda_bayes.errors import Issue

#: The column of line numbers of every table; the header of a file is line 1.
LINE = "line"

#: A row of text cells, with its line or its number in the workbook.
Record = tuple[int, list[str]]

#: Limits within which a table is read in seconds and 1 GB.
MAX_BYTES = 128 * 2**20
MAX_ROWS = 200_000
MAX_COLUMNS = 1_000
MAX_CELLS = 4_000_000


@dataclass
class RawTable:
    """A table of text, and its errors; without cells where it could not be read.

    `notes`: what was left out or converted; `merged`: columns and lines of merged cells;
    `unreported`: lines with a word for a missing number.
    """

    file: str
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    issues: list[Issue] = field(default_factory=list)
    decimal_comma: bool = False
    notes: list[str] = field(default_factory=list)
    merged: list[tuple[str, int, int]] = field(default_factory=list)
    unreported: frozenset[int] = frozenset()

    def issue(
        self, code: str, message: str, hint: str, row: int | None = None, column: str = ""
    ) -> Issue:
        """An error of this table."""
        return Issue(code, message, hint, self.file, row, column)


def rejected_table(file: str, code: str, message: str, hint: str) -> RawTable:
    """A table that holds nothing but its error."""
    return RawTable(file, issues=[Issue(code, message, hint, file)])


def too_large(file: str, message: str) -> RawTable:
    """A table that is too large to be read."""
    hint = "Give the rows and columns of the analysis only, in a file of their own."
    return rejected_table(file, "E172", message, hint)


def empty_table(name: str) -> RawTable:
    """A table without a cell."""
    return rejected_table(name, "E102", "the table is empty", "Add a header and rows.")


def header_issues(table: RawTable, header: list[str], line: int = 1) -> Iterator[Issue]:
    """Names of columns that are missing, repeated or reserved."""
    if len(header) > MAX_COLUMNS:
        hint = "Give the columns of the analysis only, in a file of their own."
        message = f"the table has {len(header):,} columns, more than {MAX_COLUMNS:,}"
        yield table.issue("E172", message, hint)
        return
    seen: set[str] = set()
    for position, label in enumerate(header, start=1):
        if not label:
            message = f"column {position} has no name"
            yield table.issue("E106", message, "Name it, or delete it.", line, f"#{position}")
        elif label in seen:
            hint = "Rename or delete one of them."
            yield table.issue("E107", "duplicate column", hint, line, label)
        elif label == LINE:
            message = f"'{LINE}' is reserved for line numbers"
            yield table.issue("E108", message, "Rename the column.", line, label)
        seen.add(label)


# Data frames of any library.


class Frame(Protocol):
    """What pandas and polars frames have in common."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""
        ...

    def __len__(self) -> int:
        """Count the rows."""
        ...


def is_frame(source: object) -> TypeGuard[Frame]:
    """Whether an object is a data frame."""
    return hasattr(source, "columns") and hasattr(source, "__len__")


def table_from_frame(frame: Frame, name: str) -> RawTable:
    """Convert a data frame to a table of text, so that it passes the same checks as a file."""
    table = RawTable(name)
    header = [str(column).strip() for column in frame.columns]
    if len(frame) > MAX_ROWS:
        return too_large(name, f"the frame has more than {MAX_ROWS:,} rows")
    table.issues += header_issues(table, header)
    if not len(frame) and not table.issues:
        table.issues.append(table.issue("E102", "the table has no rows", "Add at least one row."))
    if not table.issues:
        columns = {
            label: [cell_text(cell) for cell in _column_cells(frame, position)]
            for position, label in enumerate(header)
        }
        cells = pd.DataFrame(columns, dtype="str")
        table.cells = cells.assign(**{LINE: range(2, len(frame) + 2)})
        # NaN among numbers is a statement, other than an empty cell of text.
        nan = [
            row
            for position in range(len(header))
            for row, cell in enumerate(_column_cells(frame, position), start=2)
            if isinstance(cell, float) and cell != cell
        ]
        table.unreported = frozenset(nan)
    return table


def _column_cells(frame: Any, position: int) -> Iterable[object]:
    if isinstance(frame, pd.DataFrame):
        return frame.iloc[:, position].tolist()
    # polars selects a column by name.
    return frame[str(frame.columns[position])].to_list()


def cell_text(cell: object) -> str:
    """Format a cell as a file would hold it."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NA or cell != cell:
        return ""
    if isinstance(cell, date):
        return cell.isoformat()
    # repr keeps every digit of a float; NumPy's scalars would print their type with it.
    return repr(cell.item() if hasattr(cell, "item") else cell)
