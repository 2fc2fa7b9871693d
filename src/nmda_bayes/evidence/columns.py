"""The nouns of a table's description: a column, and a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "count"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    name
        The column's name; a unit stands in it where there is one.
    doc
        What it holds, as the data dictionary prints it.
    kind
        ``text``, ``number`` (finite), or ``count`` (a whole number).
    needed
        True where no row may leave the cell empty.
    at_least
        Smallest number allowed; None for no limit.
    above
        The number must lie above this; None for no limit.
    choices
        The words allowed, besides an empty cell; empty for any.
    """

    name: str
    doc: str
    kind: Kind = "text"
    needed: bool = False
    at_least: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers."""
        return self.kind != "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: what a row is, and its columns.

    Attributes
    ----------
    name
        Name of the file without ``.csv``.
    doc
        What one row is.
    columns
        In the order of the file.
    key
        Columns that no two rows may share.
    required
        True where a folder without this table is no evidence base.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    required: bool = False

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]
