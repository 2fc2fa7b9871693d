"""Numbers as people write them: decimal marks, thousands, minus signs, words for a missing value.

A file has one notation. It is decided over all of its numbers, not cell by cell; where the numbers
leave it open, its owner is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pandas as pd

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.flat_schema import SD_NOT_REPORTED
from nmda_bayes.evidence.importers.base import FORMATS, normalise_name
from nmda_bayes.evidence.importers.headings import COUNT_ROLES, NUMBER_ROLES, parse_heading
from nmda_bayes.evidence.schema import shorten
from nmda_bayes.evidence.table_io import LINE, RawTable

#: Words for a number that is not known.
# fmt: off
MISSING_WORDS = frozenset({
    "na", "n/a", "n.a.", "nan", "nr", "n.r.", "n/r", "nd", "n.d.", "null", "none", "<na>", "#n/a",
    ".", "..", "...", "-", "--", "\u2013", "\u2014", "\u2212", "?", "??", "missing", "unknown",
    "unreported", "unavailable", "not reported", "not available", "not given", "not stated",
    "not recorded", "not applicable", "no data", "not measured", "not known", "not estimable",
    "unclear",
})
# fmt: on
#: Words that R and spreadsheets write for an empty cell.
_EMPTY_WORDS = {"na", "nan", "null", "none", "<na>", "n/a", "#n/a"}

_SPACES = " \u00a0\u202f\u2009\u2007"
_SIGN = r"[-+]?"
_PLAIN = re.compile(rf"{_SIGN}(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
#: A comma or a point before three digits: a decimal mark, or a mark of thousands.
_OPEN = {
    ",": re.compile(rf"{_SIGN}[1-9]\d{{0,2}},\d{{3}}"),
    ".": re.compile(rf"{_SIGN}[1-9]\d{{0,2}}\.\d{{3}}"),
}
#: Numbers that can have one decimal mark only.
_DECIMAL = {
    ",": re.compile(rf"{_SIGN}\d*,\d+(e[-+]?\d+)?", re.IGNORECASE),
    ".": re.compile(rf"{_SIGN}(\d+\.\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE),
}
#: Thousands, by the decimal mark beside them: both marks, or several groups.
_GROUPED = {
    ",": re.compile(rf"{_SIGN}[1-9]\d{{0,2}}((\.\d{{3}})+,\d+|(\.\d{{3}}){{2,}})"),
    ".": re.compile(rf"{_SIGN}[1-9]\d{{0,2}}((,\d{{3}})+\.\d+|(,\d{{3}}){{2,}})"),
}
_BLANK_GROUPS = re.compile(rf"{_SIGN}[1-9]\d{{0,2}}([{_SPACES}'\u2019]\d{{3}})+([.,]\d+)?")
_MINUS = re.compile(r"[\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d]\s?(?=[\d.,])|-\s(?=[\d.,])")
_CODE = re.compile(r"-(?:9{1,5}|8{2,4}|7{2,4})(?:\.0*)?|9{3,5}(?:\.0*)?")


@dataclass
class _Column:
    """A column of numbers: its different cells, and what its heading says."""

    name: str
    cells: pd.Series
    texts: list[str]
    is_count: bool
    is_read: bool
    is_sd: bool


@dataclass
class Notation:
    """A table in plain numbers, with the questions that its numbers leave open."""

    table: RawTable
    questions: list[Issue] = field(default_factory=list)


def plain_numbers(
    table: RawTable, decimal: str | None = None, missing: tuple[str, ...] = ()
) -> Notation:
    """Write the numbers of a table in plain notation, with notes; missing ones are empty."""
    result = Notation(replace(table, cells=table.cells.copy(), notes=[*table.notes]))
    columns = list(_number_columns(result.table))
    result.table.unreported |= _clear_missing(result, columns, missing)
    mark = _decimal_mark(result, columns, decimal)
    converted: dict[str, str] = {}
    for column in columns:
        plain = {text: _plain(text, mark) for text in column.texts}
        changed = {text: value for text, value in plain.items() if value != text}
        if changed:
            cells = result.table.cells[column.name]
            result.table.cells[column.name] = cells.map(lambda x, new=changed: new.get(x, x))
            examples = {text: value for text, value in changed.items() if _is_conversion(text)}
            converted |= dict(list(examples.items())[:1])
    if converted:
        shown = ", ".join(f"'{text}' is {value}" for text, value in list(converted.items())[:4])
        name = "comma" if mark == "," else "point"
        grouped = any(_is_grouped(text, mark) for text in converted)
        text = " and separators of thousands" if grouped else ""
        result.table.notes.append(f"Numbers are read with a decimal {name}{text}: {shown}.")
    return result


def _is_grouped(text: str, mark: str) -> bool:
    """Whether a number has a separator other than its decimal mark."""
    return bool(re.search(r"\d[.,'\s\u2019]\d", text.replace(mark, "", 1) if mark else text))


def _is_conversion(text: str) -> bool:
    """Whether a number was written in another notation, not only with another minus sign."""
    return not _PLAIN.fullmatch(text) or bool(_OPEN["."].fullmatch(text))


# Columns of numbers.


def _format_names(counts: bool) -> set[str]:
    """Headings of numbers of the other formats, folded."""
    stems = ("events", "n", "without") if counts else (
        "events", "n", "without", "mean", "sd", "se", "estimate", "variance", "person_time", "dose",
        "value", "event",
    )  # fmt: skip
    return {
        normalise_name(name)
        for format in FORMATS.values()
        for role, names in {**format.required, **format.optional}.items()
        if role.rstrip("0123456789") in stems
        for name in names
    }


def _number_columns(table: RawTable) -> Iterator[_Column]:
    counts, numbers = _format_names(True), _format_names(False)
    for name in map(str, table.cells):
        if name == LINE:
            continue
        cells = table.cells[name]
        texts = [str(text) for text in cells.unique()]
        heading, folded = parse_heading(name), normalise_name(name)
        is_read = heading.role in NUMBER_ROLES or folded in numbers
        words = [text for text in texts if text and text.casefold() not in MISSING_WORDS]
        alike = sum(_is_number(text) for text in words)
        text_role = heading.role and heading.role not in (*NUMBER_ROLES, "time", "year")
        if (text_role and folded not in numbers) or heading.role in ("interval", "iqr", "range"):
            continue
        if (is_read and (alike or not words)) or (words and alike >= 0.5 * len(words)):
            is_count = heading.role in COUNT_ROLES or folded in counts
            yield _Column(name, cells, texts, is_count, is_read, heading.role == "sd")


def _is_number(text: str) -> bool:
    if text[:1].isalpha():
        return False
    text = _MINUS.sub("-", text)
    patterns = (_PLAIN, *_OPEN.values(), *_DECIMAL.values(), *_GROUPED.values(), _BLANK_GROUPS)
    return any(pattern.fullmatch(text) for pattern in patterns)


# Words and codes for a missing number.


def _clear_missing(result: Notation, columns: list[_Column], codes: tuple[str, ...]) -> set[int]:
    """Empty the cells with a word or code for a missing number; their lines."""
    table, lines = result.table, set[int]()
    shown: dict[str, list[str]] = {}
    for column in columns:
        cells = table.cells[column.name]
        missing = {
            text
            for text in column.texts
            if text and (text.casefold() in MISSING_WORDS or _is_code(text, codes))
        }
        if not missing:
            continue
        where = cells.isin(missing)
        lines |= {int(line) for line in table.cells[LINE][where]}
        table.cells[column.name] = cells.mask(where, SD_NOT_REPORTED if column.is_sd else "")
        column.texts = [text for text in column.texts if text not in missing]
        for text in sorted(missing):
            silent = {SD_NOT_REPORTED} if column.is_sd else _EMPTY_WORDS
            if text.casefold() not in silent:
                shown.setdefault(text, []).append(column.name)
    for text, names in shown.items():
        places = ", ".join(f"'{name}'" for name in names)
        table.notes.append(f"'{text}' in {places} is read as missing.")
    return lines


def _is_code(text: str, codes: tuple[str, ...]) -> bool:
    if text in codes:
        return True
    numbers = {float(code) for code in codes if _PLAIN.fullmatch(code)}
    plain = _MINUS.sub("-", text)
    return bool(numbers) and bool(_PLAIN.fullmatch(plain)) and float(plain) in numbers


# The decimal mark.


def _decimal_mark(result: Notation, columns: list[_Column], chosen: str | None) -> str:
    """The decimal mark of the file, with a question where its numbers leave it open."""
    certain: dict[str, list[tuple[str, str]]] = {",": [], ".": []}
    grouped: dict[str, bool] = {",": False, ".": False}
    open_counts: dict[str, list[tuple[str, str]]] = {",": [], ".": []}
    open_numbers: dict[str, list[tuple[str, str]]] = {",": [], ".": []}
    for column in columns:
        for text in column.texts:
            plain = _MINUS.sub("-", text)
            for mark in ",.":
                if _GROUPED[mark].fullmatch(plain):
                    grouped[mark] = True
                elif _OPEN[mark].fullmatch(plain):
                    places = open_counts if column.is_count else open_numbers
                    places[mark].append((column.name, text))
                elif _DECIMAL[mark].fullmatch(plain) and not _is_integer(plain):
                    certain[mark].append((column.name, text))
    if chosen is not None:
        mark, other = (",", ".") if chosen == "comma" else (".", ",")
        result.table.issues += _mixed_issues(result.table, certain[other], other)
        return mark
    # Decimal marks that appear for certain; a count is whole, so that its mark is of thousands.
    comma = bool(certain[","]) or grouped[","]
    point = bool(certain["."]) or grouped["."]
    counts_with_point = [text for _, text in open_counts["."]]
    padded = bool(counts_with_point) and all(text.endswith("000") for text in counts_with_point)
    if comma and point:
        fewer = min(",.", key=lambda mark: len(certain[mark]))
        result.table.issues += _mixed_issues(result.table, certain[fewer], fewer)
        return "." if fewer == "," else ","
    if comma:
        doubtful = [] if grouped[","] or counts_with_point else open_numbers["."]
        return _asked(result, doubtful, "comma", ",")
    if point:
        doubtful = [] if grouped["."] or open_counts[","] else open_numbers[","]
        return _asked(result, doubtful, "point", ".")
    if counts_with_point and not open_counts[","]:
        return _asked(result, open_counts["."] if padded else [], "comma", ",")
    if open_numbers[","] and not open_counts[","]:
        return _asked(result, open_numbers[","], "comma", ",")
    return "."


def _is_integer(text: str) -> bool:
    return text.lstrip("+-").isdigit()


def _asked(result: Notation, doubtful: list[tuple[str, str]], provisional: str, mark: str) -> str:
    """Ask which mark is meant where numbers leave it open; the provisional answer."""
    if doubtful:
        column, text = doubtful[0]
        table = result.table
        line = int(table.cells[LINE][table.cells[column] == text].iloc[0])
        plain = _MINUS.sub("-", text)
        readings = {
            "comma": _plain(plain, ","),
            "point": _plain(plain, "."),
        }
        message = f"'{text}' is {readings['comma']} or {readings['point']}, by the decimal mark"
        hint = (
            f"Choose with --set decimal=comma ({readings['comma']}) or --set decimal=point"
            f" ({readings['point']})."
        )
        result.questions.append(table.issue("E167", message, hint, line, column))
    return mark


def _mixed_issues(table: RawTable, cells: list[tuple[str, str]], mark: str) -> Iterator[Issue]:
    name, other = ("comma", "point") if mark == "," else ("point", "comma")
    for column, text in cells[:20]:
        line = int(table.cells[LINE][table.cells[column] == text].iloc[0])
        message = f"'{shorten(text)}' has a decimal {name}, other numbers of the table a {other}"
        hint = "Write all numbers of a table with one decimal mark."
        yield table.issue("E168", message, hint, line, column)


def _plain(text: str, mark: str) -> str:
    """A number in plain notation; other text as it is."""
    plain = _MINUS.sub("-", text)
    if not plain or not plain[-1].isdigit() and plain[-1] != ".":
        return text
    if _BLANK_GROUPS.fullmatch(plain):
        plain = re.sub(rf"[{_SPACES}'\u2019]", "", plain)
    if mark == ",":
        if _GROUPED[","].fullmatch(plain) or _OPEN["."].fullmatch(plain):
            plain = plain.replace(".", "")
        if _DECIMAL[","].fullmatch(plain):
            plain = plain.replace(",", ".")
        elif _DECIMAL["."].fullmatch(plain):
            return text
    elif _GROUPED["."].fullmatch(plain) or _OPEN[","].fullmatch(plain):
        plain = plain.replace(",", "")
    return plain if _PLAIN.fullmatch(plain) else text
