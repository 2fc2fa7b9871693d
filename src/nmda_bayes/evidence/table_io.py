"""Tables of text from CSV files, Excel workbooks and data frames, or the errors of a file.

Byte-order marks, Windows line ends, Latin-1 letters, and semicolons with decimal commas are
accepted. Text that a spreadsheet would run as a formula is escaped on writing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard
from zipfile import BadZipFile

import pandas as pd

from nmda_bayes.errors import Issue, suggest_match

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

#: The column of line numbers of every table; the header of a file is line 1.
LINE = "line"


@dataclass
class RawTable:
    """A table of text, and its errors; without cells where it could not be read."""

    file: str
    cells: pd.DataFrame = field(default_factory=pd.DataFrame)
    issues: list[Issue] = field(default_factory=list)
    decimal_comma: bool = False

    def issue(
        self, code: str, message: str, hint: str, row: int | None = None, column: str = ""
    ) -> Issue:
        """An error of this table."""
        return Issue(code, message, hint, self.file, row, column)


def rejected_table(file: str, code: str, message: str, hint: str) -> RawTable:
    """A table that holds nothing but its error."""
    return RawTable(file, issues=[Issue(code, message, hint, file)])


# CSV files.


def read_text_table(path: Path) -> RawTable:
    """Read a CSV file as text."""
    name = path.name
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "does not exist"
        return rejected_table(name, "E100", f"the file {problem}", "Give the path of a CSV file.")
    text = _decode(path.read_bytes())
    if text is None:
        hint = "Save the table as CSV (UTF-8)."
        return rejected_table(name, "E101", "this is not a text file", hint)
    if not text.strip():
        return _empty_table(name)
    header = next(line for line in text.splitlines() if line.strip())
    delimiter = max(",;\t", key=header.count)
    try:
        records = _csv_records(text, delimiter)
        return table_from_records(name, records, decimal_comma=delimiter == ";")
    except csv.Error as error:
        hint = "Close the double quote that is open, or save the table as CSV again."
        return rejected_table(name, "E103", f"cannot parse as CSV ({error})", hint)


def _empty_table(name: str) -> RawTable:
    return rejected_table(name, "E102", "the table is empty", "Add a header and rows.")


def _decode(raw: bytes) -> str | None:
    """Decode a text file; None if it is not text."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if b"\x00" in raw[:8192] or raw.startswith((b"PK\x03\x04", b"%PDF", b"\x89HDF", b"\x1f\x8b")):
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Windows-1252 includes Latin-1's letters; bytes that it does not define are not text.
        try:
            text = raw.decode("cp1252")
        except UnicodeDecodeError:
            return None
        printable = sum(letter.isprintable() or letter.isspace() for letter in text)
        return text if printable >= 0.95 * len(text) else None


def _csv_records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line it starts on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    start, may_be_escaped = 1, "'" in text
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield start, [*map(unescape_formula, stripped)] if may_be_escaped else stripped
        start = reader.line_num + 1


def table_from_records(
    name: str, records: Iterator[tuple[int, list[str]]], *, decimal_comma: bool = False
) -> RawTable:
    """Make a table of numbered records, the first of which is the header."""
    line, header = next(records, (1, []))
    if not header:
        return _empty_table(name)
    table = RawTable(name, decimal_comma=decimal_comma)
    table.issues += header_issues(table, header, line)
    lines, rows = [], []
    for line, cells in records:
        if cells == header:
            table.issues.append(table.issue("E109", "repeated header", "Delete this row.", line))
        elif len(cells) < len(header) or any(cells[len(header) :]):
            message = f"the row has {len(cells)} cells, the header {len(header)}"
            hint = "Put text that contains a separator in double quotes."
            table.issues.append(table.issue("E110", message, hint, line))
        else:
            lines.append(line)
            rows.append(cells[: len(header)])
    if not rows and not table.issues:
        table.issues.append(table.issue("E102", "the table has no rows", "Add at least one row."))
    if not any(issue.row is None or issue.column for issue in table.issues):
        table.cells = pd.DataFrame(rows, columns=header, dtype="str").assign(**{LINE: lines})
    return table


def header_issues(table: RawTable, header: list[str], line: int = 1) -> Iterator[Issue]:
    """Names of columns that are missing, repeated or reserved."""
    for position, label in enumerate(header, start=1):
        if not label:
            message = f"column {position} has no name"
            yield table.issue("E106", message, "Name it, or delete it.", line, f"#{position}")
        elif label in header[: position - 1]:
            hint = "Rename or delete one of them."
            yield table.issue("E107", "duplicate column", hint, line, label)
        elif label == LINE:
            message = f"'{LINE}' is reserved for line numbers"
            yield table.issue("E108", message, "Rename the column.", line, label)


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


# Excel workbooks.

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm")
UNSUPPORTED_SUFFIXES = (".xls", ".xlsb", ".ods")


def is_workbook(path: Path) -> bool:
    """Whether a path names a workbook, or one of its sheets after ``#``."""
    return _split_sheet(path)[0].suffix.lower() in (*WORKBOOK_SUFFIXES, *UNSUPPORTED_SUFFIXES)


def _split_sheet(path: Path) -> tuple[Path, str]:
    file, _, sheet = str(path).rpartition("#")
    suffixes = (*WORKBOOK_SUFFIXES, *UNSUPPORTED_SUFFIXES)
    if Path(file).suffix.lower() in suffixes and not path.exists():
        return Path(file), sheet
    return path, ""


def read_workbook(path: Path) -> RawTable:
    """Read a sheet of an Excel workbook as text; the first sheet where none is named."""
    # Imported late: slow, and other files do not need it.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    file, name = _split_sheet(path)
    if not file.is_file():
        return rejected_table(str(file), "E100", "the file does not exist", "Check the path.")
    if file.suffix.lower() in UNSUPPORTED_SUFFIXES:
        hint = "Save it as .xlsx or as CSV (UTF-8)."
        return rejected_table(file.name, "E101", f"{file.suffix} files are not supported", hint)
    try:
        values = load_workbook(file, data_only=True)
        formulas = load_workbook(file)
    except (BadZipFile, InvalidFileException, KeyError, OSError, ValueError):
        hint = "Open it in Excel and save it again, or save the table as CSV (UTF-8)."
        return rejected_table(file.name, "E101", "this is not an Excel workbook", hint)
    names = [sheet.title for sheet in values.worksheets]
    chosen = name or names[0]
    if chosen not in names:
        message, hint = f"there is no sheet '{chosen}'", suggest_match(chosen, names)
        return rejected_table(file.name, "E104", message, hint)
    table = RawTable(f"{file.name}#{chosen}" if name else file.name)
    page: Worksheet = values[chosen]
    # A formula whose value was never stored would be read as an empty cell.
    table.issues = [
        table.issue(
            "E105",
            "a formula whose value is not stored in the file",
            "Open the workbook in Excel and save it, or paste the values.",
            cell.row,
            cell.column_letter,
        )
        for row in formulas[chosen].iter_rows()
        for cell in row
        if cell.data_type == "f" and page[cell.coordinate].value is None
    ]
    return table if table.issues else table_from_records(table.file, _workbook_records(page))


def _workbook_records(page: Worksheet) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, at least as long as the header, with its number in Excel."""
    width = 0
    for number, row in enumerate(page.iter_rows(values_only=True), start=1):
        cells = [cell_text(cell) for cell in row]
        if any(cells):
            filled = max(position for position, cell in enumerate(cells, start=1) if cell)
            width = width or filled
            yield number, cells[: max(width, filled)]


# Text that a spreadsheet would run as a formula.

_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")


def escape_formula(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run."""
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_formula(text: str) -> str:
    """Undo `escape_formula`."""
    return text[1:] if _ESCAPED_FORMULA.match(text) else text
