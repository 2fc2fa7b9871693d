"""From the description of a table to the pandera schema that checks it, and to its dictionary."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from nmda_bayes.evidence.columns import Column, Table
from nmda_bayes.evidence.tables import LEDGERS, TABLES

if TYPE_CHECKING:
    import pandera.pandas as pa


@cache
def schema(name: str) -> pa.DataFrameSchema:
    """Make the pandera schema of a table, for frames whose cells are already text or numbers.

    Parameters
    ----------
    name
        Name of a table in `TABLES` or `LEDGERS`.

    Returns
    -------
    pa.DataFrameSchema
        Its checks carry the words that `nmda_bayes.evidence.faults` turns into messages.
    """
    # Imported here: it costs 0.35 s, which `nmda-bayes --help` should not pay.
    import pandera.pandas as pa

    columns = {
        column.name: _pandera_column(pa, column) for column in (TABLES | LEDGERS)[name].columns
    }
    return pa.DataFrameSchema(columns, strict=False)


def _pandera_column(pa: Any, column: Column) -> Any:
    checks = []
    if column.needed:
        present = (lambda cells: cells.notna()) if column.numeric else (lambda cells: cells != "")
        checks.append(pa.Check(present, error="needed", ignore_na=False))
    if column.kind == "count":
        checks.append(pa.Check(lambda cells: cells % 1 == 0, error="whole"))
    if column.at_least is not None:
        checks.append(pa.Check.ge(column.at_least, error="at_least"))
    if column.above is not None:
        checks.append(pa.Check.gt(column.above, error="above"))
    if column.choices:
        checks.append(pa.Check.isin([*column.choices, ""], error="choices"))
    return pa.Column(float if column.numeric else str, checks, nullable=column.numeric)


def dictionary() -> str:
    """Write the data dictionary that stands in ``data/README.md``.

    Returns
    -------
    str
        Markdown: a heading and a table for each file.
    """
    return "\n\n".join(_dictionary_of(table) for table in (TABLES | LEDGERS).values())


def _dictionary_of(table: Table) -> str:
    lines = [f"### {table.name}.csv", "", f"One row: {table.doc}.", ""]
    lines += ["| column | holds | cells |", "|---|---|---|"]
    lines += [f"| {c.name} | {c.doc} | {_cells(c)} |" for c in table.columns]
    return "\n".join(lines)


def _cells(column: Column) -> str:
    what = {"text": "text", "number": "number", "count": "whole number"}[column.kind]
    if column.choices:
        what = ", ".join(f"`{choice}`" for choice in column.choices)
    if column.at_least is not None:
        what += f" >= {column.at_least:g}"
    if column.above is not None:
        what += f" > {column.above:g}"
    return what + ("" if column.needed else ", may be empty")
