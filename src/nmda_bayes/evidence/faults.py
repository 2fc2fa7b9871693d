"""From a table of text to typed columns, with one located fault for each cell that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.evidence.columns import Column, Table
from nmda_bayes.evidence.reading import LINE, Sheet
from nmda_bayes.evidence.schemas import schema

#: Words that spreadsheets and R write into a cell that holds nothing.
BLANKS = ("", "na", "n/a", "nan", "null", "none", "<na>")

#: So many faults of one kind in one column are told one by one; the rest as a number. A table of
#: 100,000 rows with a wrong column would otherwise print 100,000 lines.
TOLD_ONE_BY_ONE = 20


def numbers(sheet: Sheet, column: str) -> tuple[pd.Series, list[Fault]]:
    """Read a column as numbers.

    Parameters
    ----------
    sheet
        The table of text.
    column
        One of its columns.

    Returns
    -------
    pd.Series
        Floats, NaN where the cell is blank or wrong.
    list of Fault
        Cells that are neither blank nor a finite number.
    """
    text = sheet.cells[column].str.strip()
    if sheet.decimal_comma:
        text = text.str.replace(r"^([-+]?\d*),(\d+)$", r"\1.\2", regex=True)
    blank = text.str.lower().isin(BLANKS)
    values = pd.to_numeric(text.where(~blank), errors="coerce").astype(float)
    wrong = ~blank & ~np.isfinite(values)
    if wrong.all() and len(text) > 1:
        return values, [
            Fault(
                f"no cell of the column is a number (the first is '{text.iloc[0]}')",
                "Write plain numbers; leave an unknown one empty.",
                sheet.file,
                None,
                column,
            )
        ]
    lines = sheet.cells[LINE]
    first = not wrong.empty and bool(wrong.iloc[0]) and not wrong.iloc[1:].any()
    mend = "Write a plain number; leave an unknown one empty."
    if first and len(text) > 1:
        mend = "Delete the row if it is a second header; otherwise write a plain number."
    found = [
        Fault(f"'{text[i]}' is not a finite number", mend, sheet.file, int(lines[i]), column)
        for i in text.index[wrong]
    ]
    return values.where(~wrong), found


def typed(sheet: Sheet, table: Table) -> tuple[pd.DataFrame, list[Fault]]:
    """Give each column of a table its type, and check it against the table's schema.

    Parameters
    ----------
    sheet
        The table of text.
    table
        What it should be. A column that no row needs may be missing; it is then empty.

    Returns
    -------
    pd.DataFrame
        Every column of the table in its order, then `LINE`, then columns that it does not name.
    list of Fault
        What is wrong.
    """
    if sheet.cells.empty:
        return pd.DataFrame(columns=[*table.names, LINE]), list(sheet.faults)
    faults = [*sheet.faults, *missing_columns(sheet, [c.name for c in table.columns if c.needed])]
    out: dict[str, pd.Series] = {}
    for column in table.columns:
        if column.name not in sheet.cells:
            out[column.name] = _empty(column, sheet.cells.index)
        elif column.numeric:
            out[column.name], wrong = numbers(sheet, column.name)
            faults += wrong
        else:
            out[column.name] = sheet.cells[column.name]
    rest = [c for c in sheet.cells if c not in out and c != LINE]
    frame = pd.DataFrame(out).assign(**{LINE: sheet.cells[LINE]}, **sheet.cells[rest])
    absent = {fault.column for fault in faults if fault.row is None}
    told = {(fault.row, fault.column) for fault in faults}
    broken = [
        fault
        for fault in (*schema_faults(frame, table, sheet.file), *_key_faults(frame, table, sheet))
        if fault.column not in absent and (fault.row, fault.column) not in told
    ]
    return frame, [*faults, *broken]


def missing_columns(sheet: Sheet, needed: Iterable[str]) -> Iterator[Fault]:
    """Say which needed columns a sheet does not have, and which of its own may be meant.

    Parameters
    ----------
    sheet
        The table of text.
    needed
        Names of columns.

    Yields
    ------
    Fault
        One a column.
    """
    have = [str(column) for column in sheet.cells if column != LINE]
    folded = {column.casefold().replace(" ", "_"): column for column in have}
    for name in needed:
        if name in have:
            continue
        meant = folded.get(name)
        mend = f"Rename '{meant}' to '{name}'." if meant else nearest(name, have)
        yield Fault(f"the column '{name}' is missing", mend, sheet.file, None, name)


def schema_faults(frame: pd.DataFrame, table: Table, file: str) -> list[Fault]:
    """Check typed columns against the table's pandera schema.

    Parameters
    ----------
    frame
        Typed, with `LINE`.
    table
        What it should be.
    file
        Name to print.

    Returns
    -------
    list of Fault
        One a cell, in the order of the file.
    """
    import pandera.errors

    try:
        schema(table.name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as broken:
        columns = {column.name: column for column in table.columns}
        cases = broken.failure_cases
        made = [
            _cell_fault(columns[str(case.column)], str(case.check), case.failure_case).at(
                file, int(frame.loc[case.index, LINE])
            )
            for case in cases.itertuples(index=False)
        ]
        return sorted(made, key=lambda fault: fault.row or 0)
    return []


def few_of_a_kind(faults: Iterable[Fault]) -> list[Fault]:
    """Tell a fault that fills a column a few times, then how many more there are.

    Parameters
    ----------
    faults
        All of them.

    Returns
    -------
    list of Fault
        At most `TOLD_ONE_BY_ONE` of one mend in one column of one file, and one that counts.
    """
    seen: dict[tuple[str, str, str], int] = {}
    told: list[Fault] = []
    for fault in dict.fromkeys(faults):
        kind = (fault.file, fault.column, fault.mend)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= TOLD_ONE_BY_ONE:
            told.append(fault)
    more = [
        Fault(f"and {count - TOLD_ONE_BY_ONE} more rows like these", mend, file, None, column)
        for (file, column, mend), count in seen.items()
        if count > TOLD_ONE_BY_ONE
    ]
    return [*told, *more]


def _empty(column: Column, index: pd.Index) -> pd.Series:
    if column.numeric:
        return pd.Series(np.nan, index=index, dtype=float)
    return pd.Series("", index=index, dtype="str")


class _Unplaced:
    """A fault of a cell before its file and row are known."""

    def __init__(self, message: str, mend: str, column: str) -> None:
        self.message, self.mend, self.column = message, mend, column

    def at(self, file: str, row: int) -> Fault:
        return Fault(self.message, self.mend, file, row, self.column)


def _cell_fault(column: Column, check: str, value: object) -> _Unplaced:
    if check == "needed":
        return _Unplaced("nothing stands here", "Every row needs it: fill it in.", column.name)
    if check == "whole":
        return _Unplaced(
            f"{value} is not a whole number", "Count people, not percent.", column.name
        )
    if check == "choices":
        return _Unplaced(
            f"'{value}' is not a word for this column",
            nearest(str(value), column.choices),
            column.name,
        )
    if check == "above":
        return _Unplaced(f"{value} is too small", f"It must be above {column.above}.", column.name)
    smallest = column.at_least
    text = f"{value} is negative" if smallest == 0 else f"{value} is too small"
    return _Unplaced(text, f"It must be {smallest:g} or more.", column.name)


def _key_faults(frame: pd.DataFrame, table: Table, sheet: Sheet) -> Iterator[Fault]:
    key = list(table.key)
    if not key or any(column not in sheet.cells for column in key if column != "synonym"):
        return
    again = frame.duplicated(key)
    if not again.any():
        return
    first = frame.drop_duplicates(key).set_index(key)[LINE]
    for row in frame[again].itertuples():
        name = tuple(getattr(row, column) for column in key)
        where = first.loc[name if len(name) > 1 else name[0]]
        yield Fault(
            f"the same {' and '.join(key)} as in row {where} ({', '.join(filter(None, name))})",
            "Delete one of the two, or give them different names.",
            sheet.file,
            int(getattr(row, LINE)),
            key[-1],
        )
