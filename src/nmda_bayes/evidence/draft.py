"""A flat table before it is loaded: its cells, and the notes, questions and errors that arise.

What changes the answer is asked of the table's owner. A question is an `Issue`; its hint has the
setting (``--set KEY=VALUE``) of each answer; every conversion is a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import pandas as pd

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.validate import Rule, parse_numbers, rule_issues

#: How many row numbers a text lists.
MAX_LISTED_ROWS = 8


def row_text(lines: pd.Series) -> str:
    """The numbers of some rows as text."""
    numbers = sorted(dict.fromkeys(int(line) for line in lines))
    listed = ", ".join(map(str, numbers[:MAX_LISTED_ROWS]))
    more = f" and {len(numbers) - MAX_LISTED_ROWS} more" if len(numbers) > MAX_LISTED_ROWS else ""
    return f"row{'' if len(numbers) == 1 else 's'} {listed}{more}"


def set_text(key: str, value: str) -> str:
    """The setting as it is typed on a command line."""
    setting = f"{key}={value}"
    return f"--set {setting}" if re.fullmatch(r"[\w.,+=/-]+", setting) else f'--set "{setting}"'


@dataclass
class DraftTable:
    """A flat table in preparation.

    `lines` are the rows of the user's file, which differ from the table's lines where a format was
    converted. Notes end with the rows that they are of.
    """

    table: RawTable
    lines: pd.Series
    notes: list[str] = field(default_factory=list)
    questions: list[Issue] = field(default_factory=list)
    errors: list[Issue] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    @property
    def cells(self) -> pd.DataFrame:
        """The cells as text."""
        return self.table.cells

    def loaded_table(self) -> RawTable:
        """The table with its errors."""
        return replace(self.table, issues=[*self.table.issues, *self.errors])

    def assign(self, name: str, values: pd.Series) -> None:
        """Set a column."""
        self.table = replace(self.table, cells=self.cells.assign(**{name: values}))

    def text(self, name: str) -> pd.Series:
        """A column as text; empty cells where there is none."""
        if name in self.cells:
            return self.cells[name].str.strip()
        return pd.Series("", index=self.cells.index, dtype="str")

    def numbers(self, name: str) -> pd.Series:
        """A column as numbers; NaN where a cell is not a number, or there is no column."""
        if name not in self.cells:
            return pd.Series(float("nan"), index=self.cells.index)
        return parse_numbers(self.table, name)[0]

    def replace_labels(self, name: str, labels: dict[str, str]) -> None:
        """Replace some cells of a column."""
        self.assign(name, self.cells[name].replace(labels))

    def fill(self, name: str, value: str, rows: pd.Series | None = None) -> pd.Series:
        """Fill the empty cells of a column, and mark them."""
        empty = self.text(name) == ""
        filled = empty if rows is None else empty & rows
        self.assign(name, self.text(name).mask(filled, value))
        return filled

    def drop(self, rows: pd.Series) -> None:
        """Leave rows out; the caller notes which."""
        self.table = replace(self.table, cells=self.cells[~rows].reset_index(drop=True))
        self.lines = self.lines[~rows].reset_index(drop=True)

    def set_aside(self, rows: pd.Series, reason: str) -> None:
        """Mark rows as unusable; they stay in the table, listed with the reason."""
        self.fill("unusable", reason, rows)

    def note(self, text: str, rows: pd.Series | None = None) -> None:
        """Add a note, with the rows that it is of."""
        marks = text[-1] if text[-1] in ".?" else "."
        listed = f" ({row_text(self.lines[rows])})" if rows is not None and rows.any() else ""
        note = f"{text.rstrip('.?')}{listed}{marks}"
        if note not in self.notes:
            self.notes.append(note)

    def ask(self, code: str, message: str, hint: str, rows: pd.Series, column: str) -> None:
        """Add a question, located at its first row."""
        line = int(self.cells.loc[rows, LINE].iloc[0]) if rows.any() else None
        self.questions.append(self.table.issue(code, message, hint, line, column))

    def refuse(self, rule: Rule) -> None:
        """Add the errors of the rows that break a rule."""
        self.errors += rule_issues([rule], self.table.file, self.cells[LINE])
