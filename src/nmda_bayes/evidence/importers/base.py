"""Formats and their registry, the user's table by role, and the flat rows made of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence.flat_schema import (
    ARM_COLUMNS,
    FLAT_COLUMNS,
    RESERVED_COLUMNS,
    STUDY_COLUMNS,
)
from nmda_bayes.evidence.schema import TABLES
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.validate import BLANK_WORDS, BoolArray, Rule, read_numbers, rule_issues
from nmda_bayes.registry import Registry

PLACEBO = "placebo"

#: Text that R writes into an empty cell. An agent may be called "none".
NA_WORDS = ("", "na", "nan", "<na>")

#: Ratios that other packages store as logarithms, and the measure of the logarithm.
LOG_MEASURES = {
    "OR": "log_OR",
    "RR": "log_RR",
    "IRR": "log_IRR",
    "HR": "log_HR",
    "PETO": "log_OR",
    "ROM": "log_ROM",
}

#: Columns of a flat table that a table of any format may have under the same name.
PASSTHROUGH_COLUMNS = {name for name, column in FLAT_COLUMNS.items() if column.common}


def normalise_name(name: str) -> str:
    """A column's name without case, blanks and punctuation, which R and Excel change."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def number_cells(values: pd.Series) -> pd.Series:
    """Format numbers with every digit; NaN is an empty cell."""
    texts = ["" if np.isnan(x) else repr(float(x)) for x in values.to_numpy(float)]
    return pd.Series(texts, index=values.index, dtype="str")


@dataclass
class Fragment:
    """Flat rows made of some rows of the user's table.

    `rows` marks the rows; `origin` is the user's column behind each flat column.
    """

    rows: pd.Series
    cells: dict[str, pd.Series] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, values: pd.Series, column: str = "") -> None:
        """Set a flat column."""
        cells = values[self.rows]
        self.cells[name] = number_cells(cells) if cells.dtype.kind in "iuf" else cells
        if column:
            self.origin[name] = column


@dataclass
class ImportResult:
    """Flat rows, with the line and the columns of the user's table behind each of them."""

    cells: pd.DataFrame
    lines: list[int]
    origins: list[dict[str, str]]
    notes: list[str]
    issues: list[Issue]
    reference: str = ""
    questions: list[Issue] = field(default_factory=list)
    unread: tuple[str, ...] = ()

    def keep(self, rows: np.ndarray) -> None:
        """Keep some of the rows."""
        cells = self.cells[rows].reset_index(drop=True)
        self.cells = cells.assign(**{LINE: range(2, len(cells) + 2)})
        self.lines = [line for line, kept in zip(self.lines, rows, strict=True) if kept]
        self.origins = [origin for origin, kept in zip(self.origins, rows, strict=True) if kept]

    def locate(self, issue: Issue) -> Issue:
        """Move an error of the flat rows to its place in the user's table."""
        line, position = issue.row, -1 if issue.row is None else issue.row - 2
        if 0 <= position < len(self.lines):
            line, origin = self.lines[position], self.origins[position]
        else:
            origin = {k: v for each in reversed(self.origins) for k, v in each.items()}
        text = f"{issue.message} {issue.hint}"
        renamed = [
            f"{flat} is '{column}'"
            for flat, column in origin.items()
            if flat != column and re.search(rf"\b{re.escape(flat)}\b", text)
        ]
        hint = f"{issue.hint} In this table {', '.join(renamed)}." if renamed else issue.hint
        column = origin.get(issue.column, issue.column)
        return replace(issue, row=line, column=column, hint=hint)


class SourceTable:
    """A user's table, whose columns are found by their role in the format."""

    def __init__(
        self,
        raw: RawTable,
        columns: dict[str, str],
        groups: tuple[str, str] | None = None,
        ci_level: float | None = None,
        ignored: Iterable[str] = (),
        repeated: str | None = None,
    ) -> None:
        self.repeated = repeated
        self.ignored = {normalise_name(name) for name in ignored}
        self.columns = {
            role: name for role, name in columns.items() if normalise_name(name) not in self.ignored
        }
        self.raw, self.groups, self.ci_level = raw, groups, ci_level
        self.lines = raw.cells[LINE]
        self.notes: list[str] = []
        self.issues: list[Issue] = []
        self.questions: list[Issue] = []
        self.used: set[str] = set()
        self.unread: list[str] = []
        self.reference = ""

    def rows(self, value: bool = True) -> pd.Series:
        """Mark every row, or none."""
        return pd.Series(value, index=self.raw.cells.index)

    def constant(self, text: str) -> pd.Series:
        """A text column with one value."""
        return pd.Series(text, index=self.raw.cells.index, dtype="str")

    def has(self, *roles: str) -> bool:
        """Whether the table has columns with these roles."""
        return all(role in self.columns for role in roles)

    def column(self, role: str) -> str:
        """The name of a role's column; empty where there is none."""
        return self.columns.get(role, "")

    def text(self, role: str) -> pd.Series:
        """A column as text; a missing column and NA are blank."""
        if role not in self.columns:
            return self.constant("")
        self.used.add(self.columns[role])
        cells = self.raw.cells[self.columns[role]].str.strip()
        return cells.where(~cells.str.casefold().isin(NA_WORDS), "")

    def numbers(self, role: str) -> pd.Series:
        """A column as numbers; cells that are not numbers become errors."""
        if role not in self.columns:
            return pd.Series(np.nan, index=self.raw.cells.index)
        self.used.add(self.columns[role])
        values, issues = read_numbers(self.raw, self.columns[role])
        self.issues += [issue for issue in issues if issue not in self.issues]
        return values

    def passthrough(self, name: str) -> pd.Series:
        """A column that has the name of a flat column; blank where there is none."""
        names = {normalise_name(str(column)): column for column in reversed([*self.raw.cells])}
        column = names.get(normalise_name(name))
        return self.constant("") if column is None else self.raw.cells[column].str.strip()

    def is_blank(self, role: str) -> pd.Series:
        """Mark the rows in which a column is empty."""
        return self.text(role).str.casefold().isin(BLANK_WORDS)

    def agents(self, role: str) -> pd.Series:
        """A column of agents, placebo in one spelling."""
        return self.normalise_placebo(self.text(role), self.column(role))

    def normalise_placebo(self, names: pd.Series, column: str) -> pd.Series:
        """Spell placebo in one way, with a note."""
        other = (names.str.casefold() == PLACEBO) & (names != PLACEBO)
        for spelling in dict.fromkeys(names[other]):
            self.note(f"'{spelling}' in '{column}' is read as '{PLACEBO}'.")
        return names.where(~other, PLACEBO)

    def set_reference(self, agents: pd.Series, comparators: pd.Series) -> None:
        """Take the agent that every row is compared with as the reference, if there is one."""
        names = set(comparators) - {""}
        if len(names) == 1 and not names & set(agents):
            self.reference = names.pop()

    def note(self, text: str) -> None:
        """Add a note on the conversion, once."""
        if text not in self.notes:
            self.notes.append(text)

    def issue(
        self,
        code: str,
        role: str,
        broken: BoolArray,
        message: str | Callable[[int], str],
        hint: str,
    ) -> None:
        """Add an error of some rows."""
        rule = Rule(code, self.columns.get(role, role), broken, message, hint)
        self.issues += rule_issues([rule], self.raw.file, self.lines)

    def ask(self, code: str, role: str, message: str, hint: str, row: int | None = None) -> None:
        """Add a question that only the owner of the table can answer."""
        question = self.raw.issue(code, message, hint, row, self.columns.get(role, role))
        if question not in self.questions:
            self.questions.append(question)

    def lines_text(self, rows: pd.Series) -> str:
        """The lines of some rows, as text; the first ten of many."""
        lines = [str(line) for line in self.lines[rows]]
        return ", ".join(lines[:10]) + (f" and {len(lines) - 10} more" if len(lines) > 10 else "")

    def fragment(self, rows: pd.Series, names: Iterable[str], side: str = "") -> Fragment:
        """Flat rows of the columns whose role is the flat name, followed by `side`."""
        fragment = Fragment(rows)
        for name in names:
            if self.has(name + side):
                fragment.add(name, self.text(name + side), self.column(name + side))
        return fragment

    def assemble(self, fragments: Sequence[Fragment]) -> ImportResult:
        """Combine fragments in the order of the table, with the columns that no format reads."""
        frames = [
            pd.DataFrame({**fragment.cells, "#part": number}).rename_axis("#row").reset_index()
            for number, fragment in enumerate(fragments)
        ]
        rows = pd.concat(frames, ignore_index=True).sort_values(["#row", "#part"], kind="stable")
        places = rows["#row"].to_numpy()
        cells = rows.drop(columns=["#part", "#row"]).fillna("").astype("str")
        cells = cells.reset_index(drop=True)
        for name, flat in self._unread_columns({str(name) for name in cells}):
            cells[flat] = self.raw.cells[name].loc[places].to_numpy()
            for fragment in fragments:
                fragment.origin.setdefault(flat, name)
        return ImportResult(
            cells.assign(**{LINE: range(2, len(cells) + 2)}),
            self.lines.loc[places].astype(int).tolist(),
            [fragments[number].origin for number in rows["#part"]],
            self.notes,
            self.issues,
            self.reference,
            self.questions,
            tuple(self.unread),
        )

    def _unread_columns(self, flat: set[str]) -> Iterator[tuple[str, str]]:
        """The user's other columns, with the flat column of each.

        Columns whose name means something else in a flat table are skipped, with a note.
        """
        carried = {normalise_name(name): name for name in PASSTHROUGH_COLUMNS - flat}
        known = {*FLAT_COLUMNS, *STUDY_COLUMNS, *ARM_COLUMNS, *RESERVED_COLUMNS, *flat}
        known |= {*TABLES["results"].names, *TABLES["contrasts"].names}
        taken = {normalise_name(name) for name in known}
        skipped = []
        for name in map(str, self.raw.cells):
            key = normalise_name(name)
            if name == LINE or name in self.used:
                continue
            if key in carried:
                yield name, carried[key]
            elif key in taken:
                self.unread.append(name)
                skipped.append(f"'{name}'")
            else:
                self.unread.append(name)
                yield name, name
        if skipped:
            self.note(f"Not read in this format: {', '.join(skipped)}.")


# The registry of formats.

FLAT_FORMAT = "flat"

#: Column names by role, separated by ``|``; the preferred name first.
RoleColumns = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TableFormat:
    """One layout of a convention: its columns by role, and how its rows become flat rows.

    `also_reads`: columns of a table that have no role, because they are those of other outcomes;
    `guessed`: columns whose role follows from their numbers alone.
    """

    convention: str
    layout: str
    about: str
    required: dict[str, tuple[str, ...]]
    optional: dict[str, tuple[str, ...]]
    flatten: Callable[[SourceTable], ImportResult]
    also_reads: frozenset[str] = frozenset()
    guessed: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The value of ``format`` for exactly this layout."""
        return f"{self.convention}/{self.layout}"

    @property
    def required_columns(self) -> str:
        """The preferred names of the required columns."""
        return ", ".join(names[0] for names in self.required.values())

    def match(self, columns: list[str]) -> dict[str, str]:
        """The column of each role that has one."""
        normalised = {normalise_name(column): column for column in reversed(columns)}
        matches = {
            role: [
                name if name in columns else normalised[normalise_name(name)]
                for name in names
                if name in columns or normalise_name(name) in normalised
            ]
            for role, names in {**self.required, **self.optional}.items()
        }
        return {role: names[0] for role, names in matches.items() if names}

    def missing(self, columns: list[str]) -> list[str]:
        """The required columns that a table does not have."""
        matched = self.match(columns)
        return [names[0] for role, names in self.required.items() if role not in matched]


def _build(
    flatten: Callable[[SourceTable], ImportResult],
    name: str,
    about: str,
    *,
    required: RoleColumns,
    optional: RoleColumns | None = None,
) -> TableFormat:
    convention, layout = name.split("/")

    def split(roles: RoleColumns) -> dict[str, tuple[str, ...]]:
        return {role: tuple(names.split("|")) for role, names in roles.items()}

    return TableFormat(convention, layout, about, split(required), split(optional or {}), flatten)


FORMATS = Registry("format", _build, error=EvidenceError)
register_format = FORMATS.entry

#: Finds a layout in headings of no fixed name; None where the table is of another layout.
Detector = Callable[[RawTable], TableFormat | None]
#: Detectors by convention, in the order in which they are tried.
DETECTORS: dict[str, Detector] = {}


def matched_format(name: str, columns: Mapping[str, str], **optional: str) -> TableFormat:
    """A registered layout, with the columns that a table has for its roles."""
    known = FORMATS[name]
    required: dict[str, tuple[str, ...]] = {role: (name,) for role, name in columns.items()}
    return replace(known, required=required, optional={k: (v,) for k, v in optional.items() if v})


def format_names() -> list[str]:
    """The names of the conventions, the flat table first."""
    return [FLAT_FORMAT, *sorted({each.convention for each in FORMATS.values()} - {FLAT_FORMAT})]
