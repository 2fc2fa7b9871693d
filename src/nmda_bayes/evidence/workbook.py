"""Sheets of Excel workbooks as tables: their cells, merged cells, dates and formulas.

The parts of a workbook are read as a stream, so that empty formatted cells cost no memory and a
small file that unpacks to a huge one is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from nmda_bayes.errors import suggest_match
from nmda_bayes.evidence.table_io import (
    MAX_BYTES,
    MAX_CELLS,
    MAX_ROWS,
    RawTable,
    Record,
    cell_text,
    empty_table,
    rejected_table,
    too_large,
)
from nmda_bayes.evidence.table_layout import Merge, tidy_table

WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xltx", ".xltm")
UNSUPPORTED_SUFFIXES = (".xls", ".xlsb", ".ods", ".fods")
_SAVE_AGAIN = "Open it in Excel and save it again as .xlsx, or save the table as CSV (UTF-8)."


class _TooLargeError(Exception):
    """A workbook beyond the limits."""


def is_workbook(path: Path) -> bool:
    """Whether a path names a workbook, or one of its sheets after ``#``."""
    return split_sheet(path)[0].suffix.lower() in (*WORKBOOK_SUFFIXES, *UNSUPPORTED_SUFFIXES)


def split_sheet(path: Path) -> tuple[Path, str]:
    """The file and the sheet of a path."""
    file, _, sheet = str(path).rpartition("#")
    suffixes = (*WORKBOOK_SUFFIXES, *UNSUPPORTED_SUFFIXES)
    if Path(file).suffix.lower() in suffixes and not path.exists():
        return Path(file), sheet
    return path, ""


def read_workbook(path: Path, sheet: str | None = None) -> RawTable:
    """Read a sheet of a workbook as text: the one that is named, or the only one with a table."""
    file, name = split_sheet(path)
    name = name or sheet or ""
    if not file.is_file():
        problem = "is not a file" if file.exists() else "does not exist"
        return rejected_table(str(file), "E100", f"the file {problem}", "Check the path.")
    if file.suffix.lower() in UNSUPPORTED_SUFFIXES:
        hint = "Save it as .xlsx or as CSV (UTF-8)."
        return rejected_table(file.name, "E101", f"{file.suffix} files are not supported", hint)
    try:
        with ZipFile(file) as archive:
            return _read_sheet(_Archive(archive), file, name)
    except _TooLargeError as error:
        return too_large(file.name, str(error))
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror or 'damaged'})"
        return rejected_table(file.name, "E101", problem, _SAVE_AGAIN)
    except BadZipFile:
        message, hint = "this is not an Excel workbook", _SAVE_AGAIN
        if file.read_bytes()[:4] == b"\xd0\xcf\x11\xe0":
            message = "this workbook is protected by a password, or of the old kind (.xls)"
        return rejected_table(file.name, "E101", message, hint)
    except Exception as error:  # a damaged part fails in any way
        message = f"the workbook is damaged ({type(error).__name__})"
        return rejected_table(file.name, "E101", message, _SAVE_AGAIN)


def _read_sheet(archive: _Archive, file: Path, name: str) -> RawTable:
    places = archive.sheets()
    names = list(places)
    if name and name not in places:
        folded = {each.casefold().strip(): each for each in names}
        if name.casefold().strip() not in folded:
            message, hint = f"there is no sheet '{name}'", suggest_match(name, names)
            return rejected_table(file.name, "E104", message, hint)
        name = folded[name.casefold().strip()]
    if not names:
        return rejected_table(file.name, "E101", "the workbook has no sheet", _SAVE_AGAIN)
    sheets = {each: archive.sheet(places[each]) for each in ([name] if name else names)}
    tables = [each for each, sheet in sheets.items() if sheet.is_table()]
    if not name and len(tables) > 1:
        listed = ", ".join(f"'{each}'" for each in tables)
        hint = " or ".join(f"--set sheet={_quoted(each)}" for each in tables[:6])
        message = f"several sheets have a table: {listed}; which one?"
        return rejected_table(file.name, "E171", message, f"Choose with {hint}.")
    chosen = name or next(iter(tables or [each for each in names if sheets[each].rows]), names[0])
    table = sheets[chosen].table(f"{file.name}#{chosen}" if name else file.name)
    if not name and chosen != names[0]:
        table.notes.insert(0, f"Sheet '{chosen}' is read, the only one with a table.")
    return table


def _quoted(sheet: str) -> str:
    return f'"{sheet}"' if re.search(r"\W", sheet) else sheet


# One sheet.


@dataclass
class _Sheet:
    """The filled cells of a sheet by row, its merged cells, and formulas without a value."""

    rows: list[Record] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    unvalued: list[tuple[int, int]] = field(default_factory=list)

    def is_table(self) -> bool:
        """Whether there are two rows with two cells each."""
        return sum(sum(map(bool, cells)) > 1 for _, cells in self.rows) > 1

    def table(self, name: str) -> RawTable:
        """The table of this sheet."""
        if not self.rows:
            return empty_table(name)
        # A formula whose value was never stored would be read as an empty cell.
        if self.unvalued:
            table = RawTable(name)
            message = "a formula whose value is not stored in the file"
            hint = "Open the workbook in Excel and save it, or paste the values."
            table.issues += [
                table.issue("E105", message, hint, row, _letters(column))
                for row, column in self.unvalued[:20]
            ]
            return table
        width = len(self.rows[0][1])
        last = max((len(cells) for _, cells in self.rows[:200]), default=width)
        rows = [(line, cells + [""] * (last - len(cells))) for line, cells in self.rows]
        return tidy_table(name, rows, self.merges)


def _letters(column: int) -> str:
    letters = ""
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def _cell_place(reference: str) -> tuple[int, int]:
    """Row and column of a reference such as ``B3``, from 1."""
    match = re.fullmatch(r"\$?([A-Z]{1,3})\$?(\d{1,7})", reference)
    if match is None:
        raise ValueError(reference)
    column = 0
    for letter in match[1]:
        column = 26 * column + ord(letter) - 64
    return int(match[2]), column


# The parts of the archive.

_CHUNK = 1 << 16
Start = Callable[[str, dict[str, str]], None]


class _Archive:
    """The parts of a workbook that hold its sheets."""

    def __init__(self, archive: ZipFile) -> None:
        self.archive = archive
        self.budget, self.n_cells = MAX_BYTES, 0
        self.texts: list[str] | None = None
        self.dates: list[bool] | None = None
        self.from_1904 = False
        self.folder = "xl"
        self.parts: dict[str, str] = {}

    def parse(self, part: str, start: Start, end: Callable[[str, str], None]) -> None:
        """Stream a part: the start of each element, and its end with its text."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        text: list[str] = []

        def started(name: str, attributes: dict[str, str]) -> None:
            text.clear()
            start(name.rpartition(" ")[2], attributes)

        def ended(name: str) -> None:
            end(name.rpartition(" ")[2], "".join(text))
            text.clear()

        def entity(*_: object) -> None:
            raise ValueError("entities")

        parser.StartElementHandler, parser.EndElementHandler = started, ended
        parser.CharacterDataHandler = text.append
        parser.EntityDeclHandler = entity
        with self.archive.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                self.budget -= len(chunk)
                if self.budget < 0:
                    message = f"the workbook unpacks to more than {MAX_BYTES // 2**20} MB"
                    raise _TooLargeError(message)
                parser.Parse(chunk, False)
        parser.Parse(b"", True)

    def _relations(self, part: str) -> dict[str, tuple[str, str]]:
        """Type and target of each relation of a part."""
        folder, name = posixpath.split(part)
        found: dict[str, tuple[str, str]] = {}

        def start(element: str, attributes: dict[str, str]) -> None:
            if element == "Relationship":
                target = posixpath.join(folder, attributes["Target"])
                target = posixpath.normpath(target).lstrip("/")
                kind = attributes.get("Type", "").rpartition("/")[2]
                found[attributes["Id"]] = kind, target

        self.parse(posixpath.join(folder, "_rels", f"{name}.rels").lstrip("/"), start, _ignore)
        return found

    def sheets(self) -> dict[str, str]:
        """The part of each worksheet, visible ones only where one of them is; charts are none."""
        book = next(part for kind, part in self._relations("").values() if kind == "officeDocument")
        relations = self._relations(book)
        self.parts = {kind: part for kind, part in relations.values() if kind != "worksheet"}
        visible: dict[str, str] = {}
        hidden: dict[str, str] = {}

        def start(element: str, attributes: dict[str, str]) -> None:
            if element == "workbookPr":
                self.from_1904 = attributes.get("date1904", "0") in ("1", "true")
            if element == "sheet":
                key = next(v for k, v in attributes.items() if k.rpartition(" ")[2] == "id")
                kind, part = relations.get(key, ("", ""))
                if kind == "worksheet":
                    state = attributes.get("state", "visible")
                    (visible if state == "visible" else hidden)[attributes["name"]] = part

        self.parse(book, start, _ignore)
        return visible or hidden

    def shared_texts(self) -> list[str]:
        """The texts that cells refer to."""
        if self.texts is None:
            texts: list[str] = []
            pieces: list[str] = []
            phonetic = False

            def start(element: str, _: dict[str, str]) -> None:
                nonlocal phonetic
                if element == "si":
                    pieces.clear()
                elif element == "rPh":
                    phonetic = True

            def end(element: str, text: str) -> None:
                nonlocal phonetic
                if element == "t" and not phonetic:
                    pieces.append(text)
                elif element == "rPh":
                    phonetic = False
                elif element == "si":
                    texts.append(_unescaped("".join(pieces)).strip())
                    if len(texts) > MAX_CELLS:
                        raise _TooLargeError(f"the workbook has more than {MAX_CELLS:,} texts")

            if "sharedStrings" in self.parts:
                self.parse(self.parts["sharedStrings"], start, end)
            self.texts = texts
        return self.texts

    def date_styles(self) -> list[bool]:
        """Which cell styles show a number as a date."""
        if self.dates is None:
            # Imported late: slow, and other files do not need it.
            from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

            codes: dict[int, str] = dict(BUILTIN_FORMATS)
            styles: list[int] = []
            inside = False

            def start(element: str, attributes: dict[str, str]) -> None:
                nonlocal inside
                if element == "numFmt":
                    codes[int(attributes["numFmtId"])] = attributes.get("formatCode", "")
                elif element == "cellXfs":
                    inside = True
                elif element == "xf" and inside:
                    styles.append(int(attributes.get("numFmtId", "0")))

            def end(element: str, _: str) -> None:
                nonlocal inside
                inside = inside and element != "cellXfs"

            if "styles" in self.parts:
                self.parse(self.parts["styles"], start, end)
            self.dates = [bool(is_date_format(codes.get(each, ""))) for each in styles]
        return self.dates

    def sheet(self, part: str) -> _Sheet:
        """The filled cells of a worksheet."""
        texts, dates = self.shared_texts(), self.date_styles()
        sheet = _Sheet()
        row: list[str] = []
        line, column, kind, style, value, inline, formula = 0, 0, "", 0, "", "", False
        phonetic = False

        def start(element: str, attributes: dict[str, str]) -> None:
            nonlocal line, column, kind, style, value, inline, formula, row, phonetic
            if element == "c":
                column += 1
                self.n_cells += 1
                if self.n_cells > MAX_CELLS:
                    raise _TooLargeError(f"the workbook has more than {MAX_CELLS:,} cells")
                if "r" in attributes:
                    line, column = _cell_place(attributes["r"])
                kind, style = attributes.get("t", "n"), int(attributes.get("s", "0"))
                value, inline, formula = "", "", False
            elif element == "row":
                line, column, row = int(attributes.get("r", line + 1)), 0, []
            elif element == "f":
                formula = True
            elif element == "rPh":
                phonetic = True
            elif element == "mergeCell":
                first, _, last = attributes["ref"].partition(":")
                sheet.merges.append(Merge(*_cell_place(first), *_cell_place(last or first)))

        def end(element: str, text: str) -> None:
            nonlocal value, inline, phonetic
            if element == "v":
                value = text
            elif element == "t" and not phonetic:
                inline += text
            elif element == "rPh":
                phonetic = False
            elif element == "c":
                if formula and not value and not inline:
                    sheet.unvalued.append((line, column))
                cell = self._cell(kind, style, value, inline, texts, dates)
                if cell:
                    row.extend([""] * (column - len(row)))
                    row[column - 1] = cell
            elif element == "row" and row:
                sheet.rows.append((line, row))
                if len(sheet.rows) > MAX_ROWS:
                    raise _TooLargeError(f"the sheet has more than {MAX_ROWS:,} rows")

        self.parse(part, start, end)
        return sheet

    def _cell(
        self, kind: str, style: int, value: str, inline: str, texts: list[str], dates: list[bool]
    ) -> str:
        """The text of a cell, as a CSV file would hold it."""
        if kind == "s":
            return texts[int(value)] if value else ""
        if kind == "inlineStr":
            return _unescaped(inline).strip()
        if kind == "b":
            return {"1": "True", "0": "False"}.get(value, value)
        if kind in ("str", "e", "d") or not value:
            return _unescaped(value).strip()
        if style < len(dates) and dates[style]:
            return self._date(float(value))
        # Excel stores 15 digits or more; whole numbers without a decimal point.
        number = float(value)
        return (
            cell_text(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
        )

    def _date(self, number: float) -> str:
        from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900, from_excel

        epoch = CALENDAR_MAC_1904 if self.from_1904 else CALENDAR_WINDOWS_1900
        moment = from_excel(number, epoch)
        return cell_text(moment) if moment is not None else ""


def _ignore(element: str, text: str) -> None:
    """An end of an element of which only the attributes matter."""


def _unescaped(text: str) -> str:
    """Text with the control characters that Excel writes as ``_x000D_``."""
    if "_x" not in text:
        return text
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), text)
