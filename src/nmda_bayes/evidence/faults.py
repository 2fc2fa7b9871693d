"""From a table of text to typed columns, with one located fault for each cell that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.evidence.columns import Column, Table
from nmda_bayes.evidence.many_faults import More, each_row, short
from nmda_bayes.evidence.reading import LINE, Sheet
from nmda_bayes.evidence.schemas import schema

#: Words that spreadsheets and R write into a cell that holds nothing.
BLANKS = ("", "na", "n/a", "nan", "null", "none", "<na>")


def parsed(sheet: Sheet, column: str) -> tuple[pd.Series, pd.Series]:
    """Read a column as numbers, and say where that fails.

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
    pd.Series
        True where a cell is neither blank nor a finite number.
    """
    text = sheet.cells[column].str.strip()
    if sheet.decimal_comma:
        text = text.str.replace(r"^([-+]?\d*),(\d+)$", r"\1.\2", regex=True)
    blank = text.str.lower().isin(BLANKS)
    values = pd.to_numeric(text.where(~blank), errors="coerce").astype(float)
    wrong = ~blank & ~np.isfinite(values)
    return values.where(~wrong), wrong


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
    values, wrong = parsed(sheet, column)
    return values, list(unread(sheet, column, wrong))


def unread(sheet: Sheet, column: str, wrong: pd.Series) -> Iterator[Fault]:
    """Say which cells are no numbers.

    Parameters
    ----------
    sheet
        The table of text.
    column
        One of its columns.
    wrong
        True where a cell is no number.

    Yields
    ------
    Fault
        One for the column where it holds no number at all.
    """
    if not wrong.any():
        return
    text = sheet.cells[column]
    if wrong.all() and len(text) > 1:
        yield Fault(
            f"no cell of the column is a number (the first is '{short(text.iloc[0])}')",
            "Write plain numbers; leave an unknown one empty.",
            sheet.file,
            None,
            column,
        )
        return
    mend = "Write a plain number; leave an unknown one empty."
    if len(text) > 1 and bool(wrong.iloc[0]) and not wrong.iloc[1:].any():
        mend = "Delete the row if it is a second header; otherwise write a plain number."
    yield from each_row(
        sheet.file,
        sheet.cells[LINE],
        wrong,
        column,
        lambda place: f"'{short(text.iloc[place])}' is not a finite number",
        mend,
    )


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
    lines = sheet.cells[LINE]
    told = {(fault.row, fault.column) for fault in faults}
    for column in table.columns:
        if column.name not in sheet.cells:
            out[column.name] = _empty(column, sheet.cells.index)
        elif column.numeric:
            out[column.name], wrong = parsed(sheet, column.name)
            faults += unread(sheet, column.name, wrong)
            told |= {(line, column.name) for line in lines[wrong].tolist()}
        else:
            out[column.name] = sheet.cells[column.name]
    rest = [c for c in sheet.cells if c not in out and c != LINE]
    frame = pd.DataFrame(out).assign(**{LINE: sheet.cells[LINE]}, **sheet.cells[rest])
    absent = {f.column for f in faults if f.row is None and not isinstance(f, More)}
    found = (*schema_faults(frame, table, sheet.file, told), *_key_faults(frame, table, sheet))
    return frame, [*faults, *(fault for fault in found if fault.column not in absent)]


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


def schema_faults(
    frame: pd.DataFrame, table: Table, file: str, told: Iterable[tuple[int | None, str]] = ()
) -> list[Fault]:
    """Check typed columns against the table's pandera schema.

    Parameters
    ----------
    frame
        Typed, with `LINE`.
    table
        What it should be.
    file
        Name to print.
    told
        Line and column of cells whose fault is told already.

    Returns
    -------
    list of Fault
        One a cell, in the order of the file; where many are alike, some and a `More`.
    """
    import pandera.errors

    try:
        schema(table.name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as broken:
        columns = {column.name: column for column in table.columns}
        cases = broken.failure_cases
        cases = cases.assign(row=frame[LINE].reindex(cases["index"]).to_numpy())
        known = set(told)
        if known:
            cells = zip(cases["row"].tolist(), cases["column"].tolist(), strict=True)
            cases = cases[[cell not in known for cell in cells]]
        made: list[Fault] = []
        for (name, check), alike in cases.sort_values("row").groupby(["column", "check"]):
            values, column = alike["failure_case"].tolist(), columns[str(name)]
            made += each_row(
                file,
                alike["row"],
                np.ones(len(alike), dtype=bool),
                column.name,
                lambda i, c=column, k=str(check), v=values: _cell_text(c, k, v[i])[0],  # type: ignore[misc]
                lambda i, c=column, k=str(check), v=values: _cell_text(c, k, v[i])[1],  # type: ignore[misc]
            )
        return sorted(made, key=lambda fault: fault.row or 0)
    return []


def _empty(column: Column, index: pd.Index) -> pd.Series:
    if column.numeric:
        return pd.Series(np.nan, index=index, dtype=float)
    return pd.Series("", index=index, dtype="str")


def _cell_text(column: Column, check: str, value: object) -> tuple[str, str]:
    """Say what is wrong with a cell, and what mends it."""
    if check == "needed":
        return "nothing stands here", "Every row needs it: fill it in."
    if check == "whole":
        return f"{value} is not a whole number", "Count people, not percent."
    if check == "choices":
        return f"'{short(value)}' is not a word for this column", nearest(
            str(value), column.choices
        )
    if check == "above":
        return f"{value} is too small", f"It must be above {column.above}."
    smallest = column.at_least
    text = f"{value} is negative" if smallest == 0 else f"{value} is too small"
    return text, f"It must be {smallest:g} or more."


def _key_faults(frame: pd.DataFrame, table: Table, sheet: Sheet) -> Iterator[Fault]:
    key = list(table.key)
    if not key or any(column not in sheet.cells for column in key if column != "synonym"):
        return
    again = frame.duplicated(key)
    if not again.any():
        return
    lines, names = frame[LINE].tolist(), list(zip(*(frame[c] for c in key), strict=True))

    def message(place: int) -> str:
        name = names[place]
        where = lines[names.index(name)]
        shown = ", ".join(short(part) for part in name if part)
        return f"the same {' and '.join(key)} as in row {where} ({shown})"

    mend = "Delete one of the two, or give them different names."
    yield from each_row(sheet.file, frame[LINE], again, key[-1], message, mend)
