"""A foreign table while it is read: its columns by role, and what is noted on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.faults import BLANKS
from nmda_bayes.evidence.faults import numbers as read_numbers
from nmda_bayes.evidence.flat_columns import DERIVED, NUMBERS, OF_ARMS, OF_STUDIES, TEXTS
from nmda_bayes.evidence.readers.placed import Part, Reading
from nmda_bayes.evidence.reading import LINE, Sheet

#: Blank words of a text cell. R writes NA; an agent may well be called "none".
NO_WORD = ("", "na", "nan", "<na>")

PLACEBO = "placebo"

#: Ratios whose effects the packages keep as logarithms, and the name of the logarithm here.
LOGARITHMS = {
    "OR": "log_OR", "RR": "log_RR", "IRR": "log_IRR", "HR": "log_HR", "PETO": "log_OR",
    "ROM": "log_ROM",
}  # fmt: skip

#: Columns of a flat table that any layout may carry beside its own, under these names.
CARRIED = (
    *("outcome", "condition", "route", "regimen", "source", "measure", "is_change_score"),
    *("time_hours", "time_label", "time_window", "scale_min", "scale_max"),
)


def fold(name: str) -> str:
    """Take case, blanks, dots and signs out of a column's name, so that R's and Excel's agree.

    Parameters
    ----------
    name
        Such as ``std.dev`` or ``Events 1``.

    Returns
    -------
    str
        Such as ``stddev`` or ``events1``.
    """
    return re.sub(r"[^a-z0-9]", "", name.casefold())


class Foreign:
    """A user's table with its columns found by role.

    Parameters
    ----------
    sheet
        The table of text.
    columns
        The table's column for each role that has one.
    groups
        What the two groups are, where the user said so and the table does not.
    """

    def __init__(
        self, sheet: Sheet, columns: dict[str, str], groups: tuple[str, str] | None = None
    ) -> None:
        self.sheet, self.columns, self.groups = sheet, columns, groups
        self.lines = sheet.cells[LINE]
        self.notes: list[str] = []
        self.faults: list[Fault] = []
        self.used: set[str] = set()
        self.reference = ""

    @property
    def every(self) -> pd.Series:
        """True for each row."""
        return pd.Series(True, index=self.sheet.cells.index)

    def has(self, *roles: str) -> bool:
        """Say whether the table has columns for roles.

        Parameters
        ----------
        *roles
            Of the layout.

        Returns
        -------
        bool
            True where it has all of them.
        """
        return all(role in self.columns for role in roles)

    def text(self, role: str) -> pd.Series:
        """Give a column as text; a missing column is blank, and so is NA.

        Parameters
        ----------
        role
            Of the layout.

        Returns
        -------
        pd.Series
            Stripped.
        """
        if role not in self.columns:
            return pd.Series("", index=self.sheet.cells.index, dtype="str")
        self.used.add(self.columns[role])
        cells = self.sheet.cells[self.columns[role]].str.strip()
        return cells.where(~cells.str.casefold().isin(NO_WORD), "")

    def numbers(self, role: str) -> pd.Series:
        """Give a column as numbers; what is none becomes a fault, once.

        Parameters
        ----------
        role
            Of the layout.

        Returns
        -------
        pd.Series
            Floats, NaN where the cell or the column is blank.
        """
        if role not in self.columns:
            return pd.Series(np.nan, index=self.sheet.cells.index)
        self.used.add(self.columns[role])
        values, wrong = read_numbers(self.sheet, self.columns[role])
        self.faults += [fault for fault in wrong if fault not in self.faults]
        return values

    def carried(self, name: str) -> pd.Series:
        """Give a column that is carried under its flat name, blank where there is none.

        Parameters
        ----------
        name
            Such as ``outcome``.

        Returns
        -------
        pd.Series
            Text.
        """
        column = next((c for c in map(str, self.sheet.cells) if fold(c) == fold(name)), None)
        if column is None:
            return pd.Series("", index=self.sheet.cells.index, dtype="str")
        return self.sheet.cells[column].str.strip()

    def blank(self, role: str) -> pd.Series:
        """Say where a column holds nothing.

        Parameters
        ----------
        role
            Of the layout.

        Returns
        -------
        pd.Series
            True also for NA.
        """
        return self.text(role).str.casefold().isin(BLANKS)

    def agents(self, role: str) -> pd.Series:
        """Give a column of agents, placebo in one spelling.

        Parameters
        ----------
        role
            Of the layout.

        Returns
        -------
        pd.Series
            Text.
        """
        return self.one_placebo(self.text(role), self.columns.get(role, ""))

    def one_placebo(self, names: pd.Series, column: str) -> pd.Series:
        """Spell placebo in one way, and say so.

        Parameters
        ----------
        names
            Of agents.
        column
            Where they stand.

        Returns
        -------
        pd.Series
            The names with ``placebo`` for ``Placebo``.
        """
        other = (names.str.casefold() == PLACEBO) & (names != PLACEBO)
        for spelt in dict.fromkeys(names[other]):
            self.note(f"'{spelt}' in '{column}' is read as '{PLACEBO}'.")
        return names.where(~other, PLACEBO)

    def compared_with(self, agents: pd.Series, others: pd.Series) -> None:
        """Take for the reference what every row is compared with, where that is one agent.

        Parameters
        ----------
        agents, others
            The first and the second agent of each row.
        """
        seconds = set(others) - {""}
        if len(seconds) == 1 and not seconds & set(agents):
            self.reference = seconds.pop()

    def note(self, text: str) -> None:
        """Put down what was done, once.

        Parameters
        ----------
        text
            A sentence.
        """
        if text not in self.notes:
            self.notes.append(text)

    def fault(self, at: pd.Series, role: str, message: str, mend: str) -> None:
        """Put down a fault of some rows.

        Parameters
        ----------
        at
            True for each row at fault.
        role
            The column's role, or the name of a column.
        message, mend
            As a `Fault` has them.
        """
        for line in self.lines[at]:
            column = self.columns.get(role, role)
            self.faults.append(Fault(message, mend, self.sheet.file, int(line), column))

    def part(self, rows: pd.Series, **roles: str) -> Part:
        """Take flat columns from the columns of roles, as they stand.

        Parameters
        ----------
        rows
            True for each row that is taken.
        **roles
            The role behind each flat column; roles without a column are passed over.

        Returns
        -------
        Part
            Text.
        """
        cells, origin = {}, {}
        for flat, role in roles.items():
            if role in self.columns:
                cells[flat] = self.text(role)[rows]
                origin[flat] = self.columns[role]
        return Part(cells, origin)

    def reading(self, parts: Sequence[Part]) -> Reading:
        """Put parts together in the order of the table, with the columns that nobody read.

        Parameters
        ----------
        parts
            Each indexed as the table.

        Returns
        -------
        Reading
            Flat rows with their places.
        """
        frames = []
        for number, part in enumerate(parts):
            frame = pd.DataFrame(part.cells)
            frame["#part"], frame["#row"] = number, frame.index
            frames.append(frame)
        rows = pd.concat(frames, ignore_index=True).sort_values(["#row", "#part"], kind="stable")
        place = rows["#row"].to_numpy()
        cells = rows.drop(columns=["#part", "#row"]).fillna("").astype("str")
        cells = cells.reset_index(drop=True)
        for name, flat in self._own_columns({str(name) for name in cells}):
            cells[flat] = self.sheet.cells[name].loc[place].to_numpy()
            for part in parts:
                part.origin.setdefault(flat, name)
        return Reading(
            cells.assign(**{LINE: range(2, len(cells) + 2)}),
            self.lines.loc[place].astype(int).tolist(),
            rows["#part"].tolist(),
            [part.origin for part in parts],
            self.notes,
            self.faults,
            self.reference,
        )

    def _own_columns(self, made: set[str]) -> Iterator[tuple[str, str]]:
        """Keep the user's other columns: flat ones as such, the rest for selecting.

        A column is passed over, and said to be, where its name means something else here.
        """
        carried = {fold(name): name for name in CARRIED if name not in made}
        known = (*TEXTS, *NUMBERS, *OF_STUDIES, *OF_ARMS, *DERIVED, *made)
        taken = {fold(name) for name in known}
        passed = []
        for name in map(str, self.sheet.cells):
            if name == LINE or name in self.used:
                continue
            if fold(name) in carried:
                yield name, carried[fold(name)]
            elif fold(name) in taken:
                passed.append(name)
            else:
                yield name, name
        if passed:
            names = ", ".join(f"'{name}'" for name in passed)
            self.note(f"Not read in this layout: {names}.")
