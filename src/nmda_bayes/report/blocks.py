"""What a section of the page is made of. Text only: the template escapes every word of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
from markupsafe import Markup

from nmda_bayes.report import equations


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    text
        Sentences.
    style
        A word that the style sheet knows: ``lead``, ``warning``, ``refused``, ``note``, or empty.
    """

    text: str
    style: str = ""
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Items:
    """A list.

    Attributes
    ----------
    items
        One sentence or more each.
    """

    items: tuple[str, ...]
    kind: ClassVar[str] = "items"


@dataclass(frozen=True)
class Heading:
    """A heading below the section's own.

    Attributes
    ----------
    text
        The heading.
    """

    text: str
    kind: ClassVar[str] = "heading"


@dataclass(frozen=True)
class Definitions:
    """Terms and what they mean here.

    Attributes
    ----------
    pairs
        Term and text.
    """

    pairs: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "definitions"


@dataclass(frozen=True)
class Code:
    """Text to be read by a machine.

    Attributes
    ----------
    text
        Lines.
    """

    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Formulas:
    """Equations of one outcome.

    Attributes
    ----------
    block
        Its lines.
    """

    block: equations.Block
    kind: ClassVar[str] = "formulas"


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    html
        Inline SVG, or an image with its data inside.
    caption
        What it shows, with interval kind and level.
    """

    html: Markup
    caption: str
    kind: ClassVar[str] = "picture"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    title
        Its heading.
    numeric
        True where cells are numbers, to be aligned right.
    """

    title: str
    numeric: bool = False

    @property
    def style(self) -> str:
        """The style sheet's word for its cells."""
        return "number" if self.numeric else WIDE.get(self.title, "")


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    caption
        What it shows, with units, interval kind and level where there is one.
    columns
        The columns.
    rows
        Cells.
    marks
        A word per row that the style sheet knows (``fail``, ``hole``), or nothing.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: tuple[str, ...] = ()
    kind: ClassVar[str] = "table"

    @property
    def marked(self) -> list[tuple[str, tuple[str, ...]]]:
        """Rows with their marks."""
        marks = self.marks or ("",) * len(self.rows)
        return list(zip(marks, self.rows, strict=True))


@dataclass(frozen=True)
class Fold:
    """Blocks that are folded away on a screen, and open on paper unless too long for it.

    Attributes
    ----------
    summary
        What is inside.
    blocks
        The blocks.
    printed
        False where paper has better uses: long tables that `summary.csv` holds too.
    """

    summary: str
    blocks: tuple[Any, ...]
    printed: bool = True
    kind: ClassVar[str] = "fold"


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes
    ----------
    key
        Its anchor.
    title
        Its heading.
    blocks
        What stands in it.
    """

    key: str
    title: str
    blocks: tuple[Any, ...]


Format = tuple[str, Callable[[Any], str] | None]
Formats = Mapping[str, Format]

#: Columns of long text: the style sheet gives them room.
WIDE = {
    "arm": "named",
    "condition": "named",
    "dose": "short",
    "measure, time": "named",
    "regimen": "wide",
    "reason": "wide",
    "remark": "wide",
    "source (provenance)": "wide address",
}

#: Longer tables are folded: a reader scrolls past an answer more easily than through 70 trials.
ROWS_IN_SIGHT = 40


def as_table(
    frame: pd.DataFrame, caption: str, formats: Formats, marks: Sequence[str] = ()
) -> Table:
    """Make a table of the page from a data frame.

    Parameters
    ----------
    frame
        Any frame.
    caption
        What it shows.
    formats
        Per column to be shown: its heading, and how to write a number (None for text).
    marks
        A mark per row.

    Returns
    -------
    Table
        Text cells in the order of ``formats``, without columns that say nothing.
    """
    said = {c: f for c, f in formats.items() if not (frame[c].astype(str) == "").all()}
    columns = tuple(Column(title, write is not None) for title, write in said.values())
    cells = [
        [str(value) if write is None else write(value) for value in frame[column]]
        for column, (_, write) in said.items()
    ]
    return Table(caption, columns, tuple(zip(*cells, strict=True)), tuple(marks))


def folded(table: Table, summary: str, *, printed: bool = True) -> Table | Fold:
    """Fold a table away if it is long.

    Parameters
    ----------
    table
        The table.
    summary
        What to write on the fold.
    printed
        Whether paper shows it too.

    Returns
    -------
    Table or Fold
        The table, or a fold around it.
    """
    return Fold(summary, (table,), printed) if len(table.rows) > ROWS_IN_SIGHT else table
