"""The header and the rows of a table, and what a spreadsheet adds around them.

Title rows, row names, empty columns, footnotes and totals are left out, each with a note; a row
that only looks like one of these is an error that says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from nmda_bayes.evidence.table_io import LINE, RawTable, Record, empty_table, header_issues

#: Rows before the header that may be titles.
MAX_TITLE_ROWS = 15
#: Rows by which the header is recognised.
_SAMPLE_ROWS = 200

_NUMBER = re.compile(
    r"[-+\u2212\u2013]?\s?[\d.,' \u00a0\u202f]*\d[\d.,]*(e[-+]?\d+)?%?", re.IGNORECASE
)
#: Cells without a value, in a header or a row.
_NO_VALUE = re.compile(r"|na|n/a|nr|nan|null|none|[-.?\u2013\u2014]", re.IGNORECASE)
#: Headings that a program gives to a column of row names.
_ROW_NAME_HEADINGS = {"", "x", "unnamed: 0", "...1", "#", "row", "rownames", "row.names", "index"}
_TOTAL = re.compile(
    r"(sub|grand )?total( \(.*\))?|overall( effect| total)?|sum|all( studies| trials)|pooled"
    r"( effect| estimate)?|summary|average|heterogeneity.*|test for .*|totals?:?.*",
    re.IGNORECASE,
)
_FOOTNOTE = re.compile(
    r"([*\u2020\u2021\u00a7\u00b6^#]|\(?[a-e1-9]\)\s|(sources?|notes?|nb|n\.b\.|abbreviations?|key|"
    r"footnotes?|legend|data from|from|values are|numbers are|results are|"
    r"adapted from|reference)\b).*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Merge:
    """Cells of a workbook merged into one: first and last line and column, from 1."""

    top: int
    left: int
    bottom: int
    right: int


def table_from_records(name: str, records: Sequence[Record]) -> RawTable:
    """Make a table of numbered records, the first of which is the header, as they are."""
    if not records:
        return empty_table(name)
    line, header = records[0]
    table = RawTable(name)
    table.issues += header_issues(table, header, line)
    return _with_rows(table, header, records[1:])


def tidy_table(name: str, records: Sequence[Record], merges: Sequence[Merge] = ()) -> RawTable:
    """Make a table of numbered records, without what a spreadsheet adds."""
    if not records:
        return empty_table(name)
    table = RawTable(name)
    position = _header_position(records)
    if position:
        table.notes.append(f"{_rows_text(records[:position])} above the header left out (title).")
    header, body = _joined_header(table, list(records[position:]), merges)
    body = _without_footer(table, body, len(header))
    columns, header = _kept_columns(table, header, body)
    if columns is not None:
        width = len(header) if not columns else max(columns) + 1
        body = [(line, _at(cells, columns, width)) for line, cells in body]
        # A row name stood before the label of a total.
        body = _without_footer(table, body, len(header))
    body = _without_labels(table, body, len(header))
    table.issues += header_issues(table, header, records[position][0])
    table = _with_rows(table, header, body)
    _fill_merged(table, merges, columns, header)
    return table


def _at(cells: list[str], columns: list[int], width: int) -> list[str]:
    """The cells of some columns, and those beyond the header that are filled."""
    chosen = [cells[i] for i in columns if i < len(cells)]
    return chosen + [cell for cell in cells[width:] if cell]


def _rows_text(records: Sequence[Record]) -> str:
    lines = [line for line, _ in records]
    texts = [" ".join(cell for cell in cells if cell)[:60] for _, cells in records]
    shown = "; ".join(f"'{text}'" for text in texts[:3]) + ("; ..." if len(texts) > 3 else "")
    rows = f"Row {lines[0]}" if len(lines) == 1 else f"Rows {', '.join(map(str, lines))}"
    return f"{rows} ({shown})"


# The header.


def is_number_like(cell: str) -> bool:
    """Whether a cell holds a number in some notation."""
    return bool(_NUMBER.fullmatch(cell))


def _n_filled(cells: Sequence[str]) -> int:
    return sum(map(bool, cells))


def _header_position(records: Sequence[Record]) -> int:
    """The first record that has about as many cells as most; those above it are titles."""
    sizes = Counter(_n_filled(cells) for _, cells in records[:_SAMPLE_ROWS])
    typical = max(sizes.items(), key=lambda item: (item[1], item[0]))[0]
    wanted = max(2, (typical + 1) // 2)
    if _n_filled(records[0][1]) >= wanted:
        return 0
    for position, (_, cells) in enumerate(records[:MAX_TITLE_ROWS]):
        if _n_filled(cells) >= wanted:
            # A row of numbers is not a header: the first row was one, and too short.
            return 0 if any(map(is_number_like, cells)) else position
    return 0


def _joined_header(
    table: RawTable, records: list[Record], merges: Sequence[Merge]
) -> tuple[list[str], list[Record]]:
    """The header in one row: two rows of headings are joined, and a row of units is added."""
    line, upper = records[0]
    if len(records) < 2:
        return upper, []
    lower_line, lower = records[1]
    spread = _spread(upper, line, merges, len(lower))
    below = lower + [""] * (len(spread) - len(lower))
    texts = [cell for cell in below if cell]
    plain = len(texts) >= 1 and not any(map(is_number_like, texts))
    plain = plain and not all(_NO_VALUE.fullmatch(cell) for cell in texts)
    gaps = [i for i, cell in enumerate(upper + [""] * (len(spread) - len(upper))) if not cell]
    two_rows = plain and len(texts) >= 2 and any(below[i] for i in gaps)
    units = plain and not gaps and not below[0] and len(records) > 2
    if not (two_rows or units):
        return upper, records[1:]
    if two_rows:
        joined = [f"{a} {b}".strip() for a, b in zip(spread, below, strict=True)]
    else:
        joined = [f"{a} ({b})" if b else a for a, b in zip(upper, below, strict=False)]
    table.notes.append(f"Rows {line} and {lower_line} are read as one header: {', '.join(joined)}.")
    return joined, records[2:]


def _spread(upper: list[str], line: int, merges: Sequence[Merge], width: int) -> list[str]:
    """Headings over several columns, repeated over each of them."""
    cells = upper + [""] * (width - len(upper))
    across = [m for m in merges if m.top <= line <= m.bottom and m.right > m.left]
    if merges:
        for merge in across:
            for i in range(merge.left, min(merge.right, len(cells))):
                cells[i] = cells[i] or cells[merge.left - 1]
        return cells
    for i in range(1, len(cells)):
        cells[i] = cells[i] or cells[i - 1]
    return cells


# Columns.


def _kept_columns(
    table: RawTable, header: list[str], body: list[Record]
) -> tuple[list[int] | None, list[str]]:
    """The positions of the columns that are kept, None for all, and their headings."""
    lengths = {len(cells) for _, cells in body}
    if body and lengths == {len(header) + 1} and all(header):
        first = [cells[0] for _, cells in body]
        if all(first) and len({*first}) == len(first):
            table.notes.append("The first cell of each row is a row name, and left out.")
            return list(range(1, len(header) + 1)), header
    filled = [0] * len(header)
    for _, cells in body:
        for i, cell in enumerate(cells[: len(header)]):
            if cell:
                filled[i] += 1
    dropped = {i for i, heading in enumerate(header) if not heading and not filled[i]}
    if dropped:
        table.notes.append(f"Empty columns ({_ranges([i + 1 for i in dropped])}) left out.")
    if body and len(header) > 2 and header[0].casefold() in _ROW_NAME_HEADINGS:
        first = [cells[0] if cells else "" for _, cells in body]
        numbered = _is_numbered(first)
        if numbered or (not header[0] and all(first) and _has_study(header, first)):
            dropped.add(0)
            shown = "row numbers" if numbered else "row names"
            place = f"Column '{header[0]}'" if header[0] else "The first column, without a heading,"
            table.notes.append(f"{place} has {shown}, and is left out.")
    if not dropped:
        return None, header
    kept = [i for i in range(len(header)) if i not in dropped]
    return kept, [header[i] for i in kept]


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers as text, those in sequence by their ends."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)


def _is_numbered(cells: list[str]) -> bool:
    """Whether cells are whole numbers that increase from row to row, as row names do."""
    if not all(cell.isascii() and cell.isdigit() and len(cell) < 10 for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    rising = all(a < b for a, b in zip(numbers, numbers[1:], strict=False))
    return rising and len(numbers) > 1 and numbers[0] <= len(numbers)


def _has_study(header: list[str], first: list[str]) -> bool:
    """Whether a column without a heading is not the only one that can name the trials."""
    words = {re.sub(r"[^a-z]", "", heading.casefold()) for heading in header}
    named = words & {"study", "trial", "author", "authors", "studlab", "studyid", "trialname"}
    return bool(named) and len({*first}) == len(first)


# Rows.


def _without_footer(table: RawTable, body: list[Record], width: int) -> list[Record]:
    """The rows without footnotes and totals below them."""
    end = len(body)
    footnotes: list[Record] = []
    while end > 1 and _looks_like_footnote(body[end - 1][1], width):
        end -= 1
        footnotes.insert(0, body[end])
    totals: list[Record] = []
    while end > 1 and _TOTAL.fullmatch(_first(body[end - 1][1])):
        if not _is_total(body[end - 1][1], body[: end - 1], width):
            break
        end -= 1
        totals.insert(0, body[end])
        while end > 1 and _looks_like_footnote(body[end - 1][1], width):
            end -= 1
            footnotes.insert(0, body[end])
    for name, rows in (("totals", totals), ("footnotes", footnotes)):
        if rows:
            table.notes.append(f"{_rows_text(rows)} below the table left out ({name}).")
    return body[:end]


def _without_labels(table: RawTable, body: list[Record], width: int) -> list[Record]:
    """The rows that can be results; the others are errors that say what they look like."""
    kept = []
    for line, cells in body:
        label = _first(cells)
        if width > 2 and _n_filled(cells) == 1 and len(label) > 1:
            message = f"the row has one cell only ('{label[:60]}'): a footnote, a title or a total?"
            hint = "Delete the row, or fill in its other cells."
            table.issues.append(table.issue("E170", message, hint, line))
        elif (
            _TOTAL.fullmatch(label)
            and width > 2
            and _n_filled(cells) < width
            and _has_blank_text(cells, body)
        ):
            message = f"'{label[:60]}' looks like a total, not a trial"
            hint = "Delete the row; or, if it is a trial, fill in its empty cells or rename it."
            table.issues.append(table.issue("E170", message, hint, line))
        else:
            kept.append((line, cells))
    return kept


def _first(cells: list[str]) -> str:
    return next((cell for cell in cells if cell), "")


def _looks_like_footnote(cells: list[str], width: int) -> bool:
    filled = [cell for cell in cells if cell]
    if width < 3 or len(filled) != 1 or is_number_like(filled[0]):
        # A footnote with commas in it, without quotes, is cut into cells.
        text = ", ".join(filled)
        return (
            width > 2
            and len(filled) < 4
            and bool(_FOOTNOTE.fullmatch(text))
            and not any(is_number_like(cell) for cell in filled[:1])
            and cells[0] != ""
            and not any(cells[len(filled) :])
            and len(text) > 20
        )
    text = filled[0]
    return bool(_FOOTNOTE.fullmatch(text)) or len(text.split()) >= 4 or text.endswith((".", ":"))


def _is_total(cells: list[str], above: list[Record], width: int) -> bool:
    """Whether a row labelled as a total has no other text, or holds the sums of its columns."""
    if width < 3 or not above:
        return False
    if _has_blank_text(cells, above):
        return True
    sums = 0
    for i, cell in enumerate(cells[:width]):
        if not is_number_like(cell):
            continue
        column = [row[i] if i < len(row) else "" for _, row in above]
        if not all(x.isdigit() and len(x) < 10 or _NO_VALUE.fullmatch(x) for x in column):
            continue
        total = sum(int(x) for x in column if x.isdigit())
        if not cell.isdigit() or int(cell) != total:
            return False
        sums += 1
    return sums > 0


def _has_blank_text(cells: list[str], rows: Sequence[Record]) -> bool:
    """Whether a row is blank in a column, but for its label, that holds text in the others."""
    label = next((i for i, cell in enumerate(cells) if cell), 0)
    sample = [row for _, row in rows[:_SAMPLE_ROWS] if row is not cells]
    for i, cell in enumerate(cells):
        column = [row[i] for row in sample if i < len(row) and not _NO_VALUE.fullmatch(row[i])]
        text = bool(column) and not any(map(is_number_like, column))
        if i != label and text:
            return not cell
    return False


def _with_rows(table: RawTable, header: list[str], records: Sequence[Record]) -> RawTable:
    lines, rows = [], []
    width = len(header)
    for line, cells in records:
        if cells == header:
            table.issues.append(table.issue("E109", "repeated header", "Delete this row.", line))
        elif len(cells) < width or any(cells[width:]):
            message = f"the row has {len(cells)} cells, the header {width}"
            hint = "Put text that contains a separator in double quotes."
            if any("\n" in cell for cell in cells):
                hint = "A double quote is open: close it."
            table.issues.append(table.issue("E110", message, hint, line))
        else:
            lines.append(line)
            rows.append(cells[:width])
    if not rows and not table.issues:
        table.issues.append(table.issue("E102", "the table has no rows", "Add at least one row."))
    if not any(issue.row is None or issue.column for issue in table.issues):
        table.cells = pd.DataFrame(rows, columns=header, dtype="str").assign(**{LINE: lines})
    return table


def _fill_merged(
    table: RawTable,
    merges: Sequence[Merge],
    columns: list[int] | None,
    header: list[str],
) -> None:
    """Repeat the value of cells merged over several rows, with a note."""
    if table.cells.empty:
        return
    lines = table.cells[LINE].to_numpy()
    positions = list(range(len(header))) if columns is None else columns
    filled: dict[str, list[str]] = {}
    for merge in merges:
        rows = (lines >= merge.top) & (lines <= merge.bottom)
        if merge.left != merge.right or rows.sum() < 2 or merge.left - 1 not in positions:
            continue
        name = header[positions.index(merge.left - 1)]
        value = next((cell for cell in table.cells.loc[rows, name] if cell), "")
        if value:
            table.cells.loc[rows, name] = value
            filled.setdefault(name, []).append(f"{merge.top}-{merge.bottom}")
            table.merged.append((name, merge.top, merge.bottom))
    for name, places in filled.items():
        table.notes.append(
            f"Merged cells of '{name}' (rows {', '.join(places)}): each row has the value."
        )
