"""The tables of an evidence base: their columns, the checks of a cell, and the data dictionary.

Columns are described in ``schema.toml``. The checks, the pandera schemas and the data dictionary in
``data/README.md`` are all made from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from nmda_bayes.errors import suggest_match
from nmda_bayes.evidence.doses import BODY_WEIGHT, CONVERSION_COLUMNS, DOSE_COLUMNS

if TYPE_CHECKING:
    import pandera.pandas as pa

CellKind = Literal["text", "number", "count"]

#: Message and hint of a required cell that is empty.
MISSING, FILL_IN = "required value is missing", "Fill it in."


class CellCheck(NamedTuple):
    """A check of a column's cells: which of them pass, and the error of the others."""

    code: str
    passes: Callable[[pd.Series], pd.Series]
    message: str
    hint: str

    def error(self, value: object, column: Column) -> tuple[str, str]:
        """Message and hint of a cell."""
        hint = self.hint or suggest_match(str(value), column.choices)
        return self.message.format(shorten(value)), hint


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    doc: str = ""
    kind: CellKind = "text"
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    flat: bool = False
    result: bool = False
    common: bool = False
    lenient: bool = False

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers."""
        return self.kind != "text"

    def checks(self) -> Iterator[CellCheck]:
        """The checks of cells that are text or numbers already; a missing number is NaN."""
        if self.required:
            present = pd.Series.notna if self.numeric else lambda cells: cells != ""
            yield CellCheck("E120", present, MISSING, FILL_IN)
        if self.kind == "count":
            hint = (
                "Enter a count: not a percentage, and not a fraction from imputing dropouts (round"
                " it, or enter the effect with its standard error as a contrast)."
            )
            yield CellCheck("E122", lambda x: ~(x % 1 > 0), "{} is not a whole number", hint)
        bounds = (
            (self.minimum, pd.Series.lt, "at least"),
            (self.maximum, pd.Series.gt, "at most"),
            (self.above, pd.Series.le, "above"),
        )
        for bound, violates, text in bounds:
            if bound is not None:
                inside = partial(_not, violates, bound)
                yield CellCheck(
                    "E123", inside, "{} is out of range", f"It must be {text} {bound:g}."
                )
        if self.choices:
            allowed = [*self.choices, ""]
            yield CellCheck("E124", lambda x: x.isin(allowed), "'{}' is not an allowed value", "")


def _not(violates: Callable[..., pd.Series], bound: float, cells: pd.Series) -> pd.Series:
    return ~violates(cells, bound)


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what a row is, and its columns."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    required: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]


def shorten(text: object) -> str:
    """A cell's text as one line of at most 60 characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= 60 else f"{line[:57]}..."


#: Allowed values that other modules define.
_CHOICES = {
    ("reference_doses", "dose_column"): tuple(DOSE_COLUMNS),
    ("conversions", "name"): (BODY_WEIGHT, *CONVERSION_COLUMNS),
}


def _read_table(name: str, content: dict[str, Any]) -> Table:
    columns = [
        Column(
            column,
            **{**facts, "choices": tuple(facts.get("choices", _CHOICES.get((name, column), ())))},
        )
        for column, facts in content["columns"].items()
    ]
    key, required = tuple(content.get("key", ())), content.get("required", False)
    return Table(name, content["row"], tuple(columns), key, required)


_CONTENT = tomllib.loads(Path(__file__).with_name("schema.toml").read_text("utf-8"))
_ALL_TABLES = {name: _read_table(name, content) for name, content in _CONTENT.items()}

#: The one table of a user's own data, and the sets of columns of which one must be complete.
FLAT = _ALL_TABLES.pop("flat")
RESULT_SETS = [tuple(columns) for columns in _CONTENT["flat"]["result_sets"]]
#: Where each row of the extractions went; documented with the tables, but not evidence.
LEDGERS: dict[str, Table] = {"ledger": _ALL_TABLES["ledger"]}
TABLES: dict[str, Table] = {n: table for n, table in _ALL_TABLES.items() if n not in LEDGERS}


@cache
def pandera_schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of a table whose cells are already text or numbers."""
    # Imported late: slow, and `nmda-bayes --help` does not need it.
    import pandera.pandas as pa

    def column(described: Column) -> Any:
        checks = [
            pa.Check(check.passes, error=str(position), ignore_na=False)
            for position, check in enumerate(described.checks())
        ]
        kind = float if described.numeric else str
        return pa.Column(kind, checks, nullable=described.numeric)

    columns = {described.name: column(described) for described in _ALL_TABLES[name].columns}
    return pa.DataFrameSchema(columns, strict=False)


def data_dictionary() -> str:
    """Return the data dictionary of ``data/README.md`` as Markdown, one section per table.

    Examples
    --------
    >>> nb.evidence.data_dictionary().splitlines()[0]
    '### studies.csv'
    """
    return "\n\n".join(
        f"### {table.name}.csv\n\nOne row: {table.doc}.\n\n{column_table(table)}"
        for table in _ALL_TABLES.values()
    )


def column_table(table: Table) -> str:
    """The columns of a table as a Markdown table."""
    lines = ["| column | content | cells |", "|---|---|---|"]
    lines += [f"| {c.name} | {c.doc} | {_allowed_cells(c)} |" for c in table.columns]
    return "\n".join(lines)


def _allowed_cells(column: Column) -> str:
    text = {"text": "text", "number": "number", "count": "whole number"}[column.kind]
    if column.choices:
        text = ", ".join(f"`{choice}`" for choice in column.choices)
    bounds = {">=": column.minimum, "<=": column.maximum, ">": column.above}
    limits = [f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None]
    return f"{text} {' and '.join(limits)}".rstrip() + ("" if column.required else ", may be empty")
