"""Flat tables, one row per arm or contrast: their columns, and typed rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.doses import DOSE_COLUMNS
from nmda_bayes.evidence.schema import FLAT, RESULT_SETS, TABLES, Column
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.tree import COMPUTED_COLUMNS
from nmda_bayes.evidence.validate import (
    Rule,
    empty_column,
    missing_column_issues,
    number_issues,
    parse_numbers,
    rule_issues,
)

# Columns.

#: Doses that a base derives from its schedules; a flat table may give them.
FLAT_DOSE_COLUMNS = (*DOSE_COLUMNS, "course_days")
#: Columns with one value per study, and per arm.
STUDY_COLUMNS = tuple(column.name for column in TABLES["studies"].columns if column.flat)
ARM_COLUMNS = (
    *(column.name for column in TABLES["arms"].columns if column.flat),
    *FLAT_DOSE_COLUMNS,
)
FLAT_COLUMNS = {column.name: column for column in FLAT.columns}
RESULT_COLUMNS = [column.name for column in FLAT.columns if column.result]
LENIENT_COLUMNS = [column.name for column in FLAT.columns if column.lenient]
#: Columns that the loader adds, whose names a table may not use.
RESERVED_COLUMNS = {"kind", "arm_id", "row", "no_sd", "is_contrast"} | (
    COMPUTED_COLUMNS - {LINE, "time_point"}
)
#: How many of `RESULT_SETS` an error suggests.
N_SUGGESTED_SETS = 4

#: Columns that distinguish two results of one arm.
MEASUREMENT_KEY = ("outcome", "time_hours", "time_label")

#: A cell of `sd` where a report gives mean and n but no measure of dispersion.
SD_NOT_REPORTED = "not reported"
#: Text that R and pandas write into an empty cell.
_NA_WORDS = ("NA", "<NA>", "NaN", "nan")


#: Columns of a result that a setting can give.
_SETTABLE = {"ci_level", "pre_post_correlation"}


def is_flat(names: set[str]) -> bool:
    """Whether columns are those of a flat table, apart from what a setting can give."""
    return {"study", "agent"} <= names and any(
        names >= set(results) - _SETTABLE for results in RESULT_SETS
    )


def described_columns() -> dict[str, Column]:
    """The columns of the base that a flat table may have besides its own; none is required."""
    tables = [TABLES[name] for name in ("contrasts", "results", "arms", "studies")]
    columns = {column.name: replace(column, required=False) for t in tables for column in t.columns}
    columns |= {name: Column(name, kind="number", minimum=0) for name in FLAT_DOSE_COLUMNS}
    names = {*STUDY_COLUMNS, *ARM_COLUMNS, *TABLES["results"].names, *TABLES["contrasts"].names}
    names -= {*FLAT_COLUMNS, *RESERVED_COLUMNS}
    return {name: columns[name] for name in sorted(names)}


def header_issues(table: RawTable) -> Iterator[Issue]:
    """Columns that are missing, reserved, or misspelt."""
    yield from missing_column_issues(table, ("study", "agent"))
    names = {str(column) for column in table.cells}
    suggested = RESULT_SETS[:N_SUGGESTED_SETS]
    if not any(names >= set(columns) for columns in RESULT_SETS):
        nearest = max(RESULT_SETS, key=lambda columns: len(names & set(columns)) / len(columns))
        if names & {c for columns in RESULT_SETS for c in columns} - {"n", "se", *LENIENT_COLUMNS}:
            yield from missing_column_issues(table, nearest)
        else:
            sets = " or ".join(", ".join(columns) for columns in suggested)
            hint = f"Add the columns {sets}."
            yield table.issue("E113", "no outcome columns found", hint, 1, "events")
    known = {*FLAT_COLUMNS, *STUDY_COLUMNS, *ARM_COLUMNS, "period"} - names
    known -= {"study", "agent", *(column for columns in suggested for column in columns)}
    folded = {name.casefold().strip().replace(" ", "_"): name for name in names}
    for name in sorted(known & set(folded)):
        hint = f"Rename it to '{name}', or to something else if it is not meant."
        yield table.issue("E112", f"did you mean the column '{name}'?", hint, 1, folded[name])
    for name in sorted(names & RESERVED_COLUMNS):
        message = f"'{name}' is reserved for a derived column"
        yield table.issue("E108", message, "Rename the column, or delete it.", 1, name)


# Typed rows.


@dataclass
class FlatRows:
    """A flat table with typed cells.

    `columns` are the described columns of the table, `names` the names of all its columns, and
    `unparsed` the cells of each column that should be numbers and are not.
    """

    raw: RawTable
    frame: pd.DataFrame
    columns: dict[str, Column]
    names: set[str]
    unparsed: dict[str, pd.Series]

    @property
    def unusable(self) -> pd.Series:
        """Why rows are set aside already; empty for the others."""
        if "unusable" in self.frame:
            return self.frame["unusable"]
        return pd.Series("", index=self.frame.index, dtype="str")


def parse_rows(table: RawTable) -> tuple[FlatRows, list[Issue]]:
    """Give every column its type: described ones theirs, others numbers where all cells are."""
    index, names = table.cells.index, {str(column) for column in table.cells} - {LINE}
    described = {**described_columns(), **FLAT_COLUMNS}
    cells: dict[str, pd.Series] = {}
    issues: list[Issue] = []
    unparsed: dict[str, pd.Series] = {}
    no_sd = pd.Series(False, index=index)
    for name, column in described.items():
        if name not in names:
            if name in FLAT_COLUMNS:
                cells[name] = empty_column(column, index)
        elif not column.numeric:
            cells[name] = _text(table, name)
        else:
            cells[name], wrong = parse_numbers(table, name)
            if name == "sd":
                no_sd = table.cells[name].str.strip().str.casefold() == SD_NOT_REPORTED
                wrong &= ~no_sd
            if wrong.any():
                unparsed[name] = wrong
                issues += [] if column.lenient else number_issues(table, name, wrong)
    for name in sorted(names - set(cells)):
        values, wrong = parse_numbers(table, name)
        cells[name] = table.cells[name] if wrong.any() or values.isna().all() else values
    frame = pd.DataFrame(cells).assign(**{LINE: table.cells[LINE], "no_sd": no_sd})
    frame["is_contrast"] = frame["comparator"] != ""
    frame["arm_id"] = _arm_ids(frame)
    columns = {name: column for name, column in described.items() if name in names}
    return FlatRows(table, frame, columns, names, unparsed), issues


def _text(table: RawTable, name: str) -> pd.Series:
    cells = table.cells[name]
    return cells if name in ("study", "agent", "arm") else cells.mask(cells.isin(_NA_WORDS), "")


def _arm_ids(rows: pd.DataFrame) -> pd.Series:
    """The name of each arm, or else its agent and dose."""
    dose = rows["dose"].to_numpy()
    labels = {value: f" {value:g}" for value in np.unique(dose[~np.isnan(dose)]).tolist()}
    labels[0.0] = ""
    suffix = rows["dose"].map(labels).astype("str").fillna("")
    return rows["arm"].where(rows["arm"] != "", rows["agent"] + suffix)


def flat_issues(rules: Iterable[Rule], rows: FlatRows) -> Iterator[Issue]:
    """The rows that break rules, except cells that are reported as not being numbers."""
    unparsed = {name: x for name, x in rows.unparsed.items() if name not in LENIENT_COLUMNS}
    reported = (
        rule._replace(broken=~unparsed[rule.column] & np.asarray(rule.broken))
        if rule.column in unparsed
        else rule
        for rule in rules
    )
    yield from rule_issues(reported, rows.raw.file, rows.frame[LINE])


def rows_without_errors(rules: Iterable[Rule], rows: FlatRows) -> pd.Series:
    """Mark the rows whose result breaks no rule."""
    broken = pd.Series(False, index=rows.frame.index)
    for rule in rules:
        if rule.column in (*RESULT_COLUMNS, "measure", "is_change_score"):
            broken |= np.asarray(rule.broken)
    for column, wrong in rows.unparsed.items():
        if column in RESULT_COLUMNS and column not in LENIENT_COLUMNS:
            broken |= wrong
    return ~broken
