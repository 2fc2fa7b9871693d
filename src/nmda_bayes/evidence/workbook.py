"""Excel workbooks as sheets of text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.evidence.frames import as_text
from nmda_bayes.evidence.reading import Sheet, refused, sheet_of

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

SUFFIXES = (".xlsx", ".xlsm")
OLD = (".xls", ".xlsb", ".ods")


def is_workbook(path: Path) -> bool:
    """Say whether a path names a workbook, or one of its sheets after ``#``.

    Parameters
    ----------
    path
        Such as ``trials.xlsx`` or ``trials.xlsx#Arms``.

    Returns
    -------
    bool
        By its name alone.
    """
    return _parts(path)[0].suffix.lower() in (*SUFFIXES, *OLD)


def read_workbook(path: Path) -> Sheet:
    """Read a sheet of an Excel workbook as text.

    Parameters
    ----------
    path
        The workbook, whose first sheet is read, or ``workbook#sheet``.

    Returns
    -------
    Sheet
        Rows are numbered as Excel numbers them; with faults instead of cells where it cannot be
        read.
    """
    # Imported here: it costs 0.15 s, which no other file should pay.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    file, name = _parts(path)
    if not file.is_file():
        return refused(Fault("the file does not exist", "Check the path.", str(file)))
    if file.suffix.lower() in OLD:
        mend = "Save it as .xlsx or as CSV (UTF-8) and give that."
        return refused(Fault(f"{file.suffix} files are not read", mend, file.name))
    try:
        values = load_workbook(file, data_only=True)
        formulas = load_workbook(file)
    except (BadZipFile, InvalidFileException, KeyError, OSError, ValueError):
        mend = "Open it in Excel and save it anew, or save the table as CSV (UTF-8)."
        return refused(Fault("this is not an Excel workbook", mend, file.name))
    names = [sheet.title for sheet in values.worksheets]
    chosen = name or names[0]
    if chosen not in names:
        fault = Fault(f"there is no sheet '{chosen}'", nearest(chosen, names), file.name)
        return refused(fault)
    return _read(f"{file.name}#{chosen}" if name else file.name, values, formulas, chosen)


def _read(label: str, values: Workbook, formulas: Workbook, sheet: str) -> Sheet:
    page: Worksheet = values[sheet]
    lost = list(_lost_formulas(page, formulas[sheet], label))
    if lost:
        return Sheet(label, refused(lost[0]).cells, lost)
    records = list(_records(page))
    if not records:
        return refused(Fault("the sheet is empty", "It needs a header and rows.", label))
    return sheet_of(label, iter(records), decimal_comma=False)


def _records(page: Worksheet) -> Iterator[tuple[int, list[str]]]:
    """Give each row that holds anything, as long as the header, with its number in Excel."""
    width = 0
    for number, row in enumerate(page.iter_rows(values_only=True), start=1):
        cells = [as_text(cell) for cell in row]
        if not any(cells):
            continue
        filled = max(place for place, cell in enumerate(cells, start=1) if cell)
        width = width or filled
        yield number, cells[: max(width, filled)]


def _lost_formulas(page: Worksheet, formulas: Worksheet, label: str) -> Iterator[Fault]:
    """Find formulas whose value was never stored: read as they are, they would be empty cells."""
    for row in formulas.iter_rows():
        for cell in row:
            if cell.data_type == "f" and page[cell.coordinate].value is None:
                yield Fault(
                    "a formula whose value is not stored in the file",
                    "Open the workbook in Excel and save it, or paste the values.",
                    label,
                    cell.row,
                    cell.column_letter,
                )


def _parts(path: Path) -> tuple[Path, str]:
    file, mark, sheet = str(path).rpartition("#")
    if mark and Path(file).suffix.lower() in (*SUFFIXES, *OLD) and not path.exists():
        return Path(file), sheet
    return path, ""
