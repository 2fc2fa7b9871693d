"""Files of text as tables: encodings, separators, and files that are not text at all."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nmda_bayes.artifacts import unescape_formula
from nmda_bayes.evidence.table_io import (
    MAX_BYTES,
    MAX_ROWS,
    RawTable,
    Record,
    empty_table,
    rejected_table,
    too_large,
)
from nmda_bayes.evidence.table_layout import table_from_records, tidy_table

#: The first bytes of files that are not text, and what they are.
_SIGNATURES = {
    b"PK\x03\x04": "a compressed archive or an Office file",
    b"\xd0\xcf\x11\xe0": "an Office file of the old kind (.xls, .doc)",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 or NetCDF file",
    b"CDF\x01": "a NetCDF file",
    b"CDF\x02": "a NetCDF file",
    b"\x1f\x8b": "a gzip archive, or R's .rds or .RData",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow or Feather file",
    b"$FL2": "an SPSS file (.sav)",
    b"$FL3": "an SPSS file (.zsav)",
    b"<stata_dta>": "a Stata file (.dta)",
    b"SQLite format 3": "an SQLite database",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"{\\rtf": "a rich text document",
    b"\x80\x04": "a pickle of Python",
}
#: Names of files that are not tables of text.
_SUFFIXES = {
    ".json": "a JSON file",
    ".jsonl": "a JSON file",
    ".parquet": "a Parquet file",
    ".feather": "a Feather file",
    ".arrow": "an Arrow file",
    ".rds": "R's .rds",
    ".rda": "R's .RData",
    ".rdata": "R's .RData",
    ".sav": "an SPSS file",
    ".zsav": "an SPSS file",
    ".por": "an SPSS file",
    ".dta": "a Stata file",
    ".sas7bdat": "a SAS file",
    ".xpt": "a SAS transport file",
    ".pdf": "a PDF",
    ".doc": "a Word document",
    ".docx": "a Word document",
    ".rtf": "a rich text document",
    ".html": "a web page",
    ".htm": "a web page",
    ".xml": "an XML file",
    ".rm5": "a RevMan file; export its data as CSV from RevMan",
    ".numbers": "a Numbers document",
    ".gsheet": "a link to a Google sheet",
    ".db": "a database",
    ".sqlite": "a database",
    ".zip": "an archive",
    ".gz": "an archive",
    ".7z": "an archive",
    ".nc": "a NetCDF file",
    ".h5": "an HDF5 file",
    ".pkl": "a pickle of Python",
    ".toml": "a TOML file; a spec is given to nmda-bayes fit, not as evidence",
    ".yaml": "a YAML file",
    ".yml": "a YAML file",
}
_SAVE_AS_CSV = (
    "Save the table as CSV (UTF-8) or .xlsx. In R: write.csv(table, 'table.csv', row.names ="
    " FALSE); in Python: table.to_csv('table.csv', index=False)."
)
SEPARATORS = ",;\t|"
#: Lines by which the separator is recognised.
_SAMPLE_LINES = 60


def read_text_table(path: Path, *, tidy: bool = False) -> RawTable:
    """Read a CSV file as text; `tidy`: leave out what a spreadsheet adds, with notes."""
    name = path.name
    problem = _not_a_file(path)
    if problem:
        return rejected_table(name, "E100", f"the file {problem}", "Give the path of a CSV file.")
    kind = _SUFFIXES.get(path.suffix.lower(), "")
    if kind:
        return rejected_table(name, "E101", f"this is {kind}, not a table of text", _SAVE_AS_CSV)
    if path.stat().st_size > MAX_BYTES:
        return too_large(name, f"the file has more than {MAX_BYTES // 2**20} MB")
    try:
        raw = path.read_bytes()
    except OSError as error:
        return rejected_table(
            name, "E100", f"the file cannot be read ({error.strerror})", "Check its permissions."
        )
    kind = next((text for start, text in _SIGNATURES.items() if raw.startswith(start)), "")
    if kind:
        hint = f"Name it .xlsx if it is a workbook. {_SAVE_AS_CSV}" if kind[2] == "c" else ""
        return rejected_table(
            name, "E101", f"this is not a text file but {kind}", hint or _SAVE_AS_CSV
        )
    text, note = _decode(raw)
    del raw
    if text is None:
        return rejected_table(name, "E101", note or "this is not a text file", _SAVE_AS_CSV)
    if re.match(r"\s*([{\[]\s*[\"{\[]|<(!doctype|html|\?xml|table))", text[:200], re.IGNORECASE):
        kind = "JSON" if text.lstrip()[0] in "{[" else "HTML or XML"
        return rejected_table(name, "E101", f"this is {kind}, not a CSV file", _SAVE_AS_CSV)
    if not text.strip():
        return empty_table(name)
    if max(text.count("\n"), text.count("\r")) > MAX_ROWS:
        return too_large(name, f"the file has more than {MAX_ROWS:,} lines")
    separator = _separator(text)
    try:
        records = list(_records(text, separator))
    except csv.Error as error:
        return _unparsed(name, error, text)
    table = tidy_table(name, records) if tidy else table_from_records(name, records)
    table.decimal_comma = separator == ";" and not tidy
    table.notes[:0] = [note] if note else []
    return table


def _not_a_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder, not a file"
    if path.is_file():
        return ""
    return "is a pipe or a device, not a file" if path.exists() else "does not exist"


def _unparsed(name: str, error: csv.Error, text: str) -> RawTable:
    limit = csv.field_size_limit()
    if "field larger" in str(error):
        line = next((n for n, row in enumerate(text.split("\n"), 1) if len(row) > limit), None)
        table = RawTable(name)
        message = f"a cell with more than {limit:,} letters"
        hint = "Shorten it; or close the double quote that is open."
        table.issues.append(table.issue("E103", message, hint, line))
        return table
    hint = "Close the double quote that is open, or save the table as CSV again."
    return rejected_table(name, "E103", f"cannot parse as CSV ({error})", hint)


# Encodings.


def _decode(raw: bytes) -> tuple[str | None, str]:
    """The text of a file, and a note on its encoding; without text, why there is none."""
    utf16 = _utf16(raw)
    if utf16:
        try:
            return raw.decode(utf16).removeprefix("\ufeff"), ""
        except UnicodeDecodeError:
            return None, "this is not a text file, or cut off (UTF-16)"
    if b"\x00" in raw[:8192]:
        return None, ""
    try:
        return raw.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        pass
    # Windows-1252 includes Latin-1's letters; bytes that it does not define are not text.
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:
        return None, ""
    if sum(letter.isprintable() or letter.isspace() for letter in text) < 0.95 * len(text):
        return None, ""
    foreign = re.search(r"[^\W\d_a-zA-Z]{3,}", text)
    if foreign:
        return None, (
            "the encoding is not known: as Windows-1252 the file has words such as"
            f" '{foreign[0][:30]}', which may be Greek, Cyrillic or another alphabet"
        )
    words = list(dict.fromkeys(re.findall(r"\S*[^\x00-\x7f]\S*", text)))
    shown = ", ".join(re.split(r"[,;\t]", word)[0][:30] or word[:30] for word in words[:3])
    return text, (
        f"The file is not UTF-8; it is read as Windows-1252, so that it has {shown}. If a letter"
        " is wrong (Greek, for instance), save the table as CSV (UTF-8)."
    )


def _utf16(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    start = raw[:4096]
    for name, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
        if len(start) > 3 and zeros.count(0) > 0.8 * len(zeros):
            return name
    return ""


# Records.


#: Excel's statement of the separator, in the first line.
_STATED = re.compile(r'"?sep=(.)"?\r?\n')


def _records(text: str, separator: str) -> Iterator[Record]:
    """Each row that is not blank, with the line it starts on."""
    stated = _STATED.match(text)
    skipped = 0 if stated is None else 1
    text = text if stated is None else text[stated.end() :]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    start, may_be_escaped = 1 + skipped, "'" in text
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if separator == "|":
            stripped = _without_frame(stripped)
        if any(stripped):
            yield start, [*map(unescape_formula, stripped)] if may_be_escaped else stripped
        start = reader.line_num + 1 + skipped


def _without_frame(cells: list[str]) -> list[str]:
    """A row of a table drawn with vertical bars, without its outer bars; rules are blank."""
    if all(re.fullmatch(r":?-*:?", cell) for cell in cells):
        return []
    return cells[1:-1] if len(cells) > 2 and not cells[0] and not cells[-1] else cells


def _separator(text: str) -> str:
    """The separator that divides most lines into one number of cells."""
    stated = _STATED.match(text)
    if stated is not None:
        return stated[1]
    sample = io.StringIO(text[:100_000], newline="")
    lines = [line for _, line in zip(range(_SAMPLE_LINES), sample, strict=False)]
    best, score = ",", (0.0, 0)
    for separator in SEPARATORS:
        try:
            rows = [cells for cells in csv.reader(lines, delimiter=separator) if any(cells)]
        except csv.Error:
            continue
        widths = Counter(len(cells) for cells in rows if len(cells) > 1)
        if widths:
            width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
            # A share of lines in three steps: decimal commas divide lines unevenly.
            candidate = (round(3 * count / len(rows)) / 3, width)
            if candidate > score:
                best, score = separator, candidate
    return best
