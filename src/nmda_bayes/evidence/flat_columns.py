"""The columns that a flat table may have, and from its text to typed rows.

A column that is none of these is the user's own: it is kept with the rows, for selecting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.columns import Column
from nmda_bayes.evidence.doses import DOSE_COLUMNS
from nmda_bayes.evidence.faults import missing_columns, parsed, unread
from nmda_bayes.evidence.reading import LINE, Sheet
from nmda_bayes.evidence.tables import TABLES

NAMES = ("study", "agent", "comparator", "arm", "condition", "outcome")
TEXTS = (*NAMES, "time_label", "time_window", "route", "regimen", "measure", "source")
#: What was seen, and what a report prints of its spread: a mean and its standard error follow.
SEEN = (
    *("events", "n", "mean", "se", "sd", "ci_low", "ci_high", "ci_level", "df"),
    *("median", "q1", "q3", "min", "max"),
    *("change_mean", "change_sd", "pre_mean", "pre_sd", "post_mean", "post_sd"),
    *("pre_post_correlation", "estimate", "p", "t", "f", "comparator_se"),
)
NUMBERS = (
    *("dose", "comparator_dose", *SEEN, "correlation", "person_time", "follow_up"),
    *("time_hours", "scale_min", "scale_max", "is_change_score"),
)
#: Columns that often hold a user's own text: what is no number in them is passed over where the
#: row does not need it.
LENIENT = ("p", "t", "f", "df", "min", "max")

#: What is one for all rows of a study, and for all rows of an arm.
OF_STUDIES = (
    *("condition_group", "design", "design_note", "washout_days", "blinding"),
    "risk_of_bias",
    *("citation", "doi", "pmid"),
)
_OF_ROWS = {"study", "arm_id", "agent_reported", "folder", "merged_from", "source", "notes"}
#: Doses that a base works out from its schedules; a flat table may type them.
DOSES = (*DOSE_COLUMNS, "course_days")
OF_ARMS = (*(name for name in TABLES["arms"].names if name not in _OF_ROWS), *DOSES)
#: What the loader works out itself; a column of this name would be taken for it.
DERIVED = (
    *("kind", "se_used", "se_from", "mean_from", "sd_relative_se", "hours_after_treatment"),
    *("dose_note", "conversion_note", "blinding_level", "carry_over", "arm_id"),
    *("comparator_arm", "row", "no_sd"),
    *("is_contrast", "given_as"),
)

#: Where a table says what was seen, one of these sets must be there.
READINGS = (
    ("events", "n"),
    ("mean", "se"),
    ("mean", "sd", "n"),
    ("comparator", "estimate", "se"),
    ("events", "person_time"),
    ("mean", "ci_low", "ci_high", "ci_level"),
    ("median", "q1", "q3", "n"),
    ("median", "min", "max", "n"),
    ("mean", "q1", "q3", "n"),
    ("mean", "min", "max", "n"),
    ("change_mean", "change_sd", "n"),
    ("change_mean", "se"),
    ("change_mean", "ci_low", "ci_high", "ci_level"),
    ("pre_mean", "pre_sd", "post_mean", "post_sd", "pre_post_correlation", "n"),
    ("comparator", "estimate", "ci_low", "ci_high", "ci_level"),
    ("comparator", "estimate", "t"),
    ("comparator", "estimate", "f"),
    ("comparator", "estimate", "p"),
)
_SHORTEST = 4

#: What a cell of `sd` says where a report has a mean and n and no spread; empty, it is a fault.
NOT_REPORTED = "not reported"

#: Text that stands for nothing in a column that a row may leave empty (R and pandas write it).
_NOTHING = ("NA", "<NA>", "NaN", "nan")


@dataclass
class Rows:
    """A flat table with typed cells.

    Attributes
    ----------
    file
        Name to print.
    frame
        Every column of ours, empty where the table has it not, then the user's own, and `LINE`;
        ``is_contrast``, ``names_arms``, ``arm_id``, and
        ``no_sd``, True where the table says that the report has none.
    wrong
        True where a cell is no number, for each column where any is.
    given
        The columns that the table has.
    sheet
        The table as text, for the digits that a number was printed with.
    """

    file: str
    frame: pd.DataFrame
    wrong: dict[str, pd.Series]
    given: set[str]
    sheet: Sheet


def header_faults(sheet: Sheet) -> Iterator[Fault]:
    """Say what the header lacks, and which of its words are not read as they may be meant.

    Parameters
    ----------
    sheet
        The table of text.

    Yields
    ------
    Fault
        One a column.
    """
    yield from missing_columns(sheet, ("study", "agent"))
    have = {str(column) for column in sheet.cells}
    needed = {"study", "agent", *(c for reading in READINGS[:_SHORTEST] for c in reading)}
    if not any(have >= set(reading) for reading in READINGS):
        begun = max(READINGS, key=lambda reading: len(have & set(reading)) / len(reading))
        if have & {c for reading in READINGS for c in reading} - {"n", "se", *LENIENT}:
            yield from missing_columns(sheet, begun)
        else:
            sets = " or ".join(", ".join(reading) for reading in READINGS[:_SHORTEST])
            yield Fault(
                "no column says what was seen", f"Add the columns {sets}.", sheet.file, 1, "events"
            )
    known = {*TEXTS, *NUMBERS, *OF_STUDIES, *OF_ARMS, "period"}
    folded = {c.casefold().strip().replace(" ", "_"): c for c in have}
    for name in sorted((known - have - needed) & set(folded)):
        yield Fault(
            f"the column '{folded[name]}' is not read",
            f"Rename it to '{name}', or to something else if it is not meant.",
            sheet.file,
            1,
            folded[name],
        )
    for name in sorted(have & set(DERIVED)):
        yield Fault(
            f"'{name}' is a word for what is worked out here",
            "Rename the column, or delete it.",
            sheet.file,
            1,
            name,
        )


def typed_rows(sheet: Sheet) -> tuple[Rows, list[Fault]]:
    """Give every column its type.

    Parameters
    ----------
    sheet
        The table of text.

    Returns
    -------
    Rows
        The typed table.
    list of Fault
        Cells that should be numbers and are not.
    """
    index, given = sheet.cells.index, {str(column) for column in sheet.cells} - {LINE}
    described = _described()
    texts = [*TEXTS, *sorted(given & {n for n, c in described.items() if not c.numeric})]
    counts = [*NUMBERS, *sorted(given & {n for n, c in described.items() if c.numeric})]
    columns: dict[str, pd.Series] = {}
    blank, unknown = pd.Series("", index=index, dtype="str"), pd.Series(np.nan, index=index)
    faults: list[Fault] = []
    wrong: dict[str, pd.Series] = {}
    unsaid = pd.Series(False, index=index)
    for name in dict.fromkeys(texts):
        columns[name] = _text(sheet, name) if name in given else blank
    for name in dict.fromkeys(counts):
        if name not in given:
            columns[name] = unknown
            continue
        columns[name], broken = parsed(sheet, name)
        if name == "sd":
            unsaid = sheet.cells[name].str.strip().str.casefold() == NOT_REPORTED
            broken &= ~unsaid
        if broken.any() and name in LENIENT:
            wrong[name] = broken
        elif broken.any():
            wrong[name] = broken
            faults += unread(sheet, name, broken)
    for name in sorted(given - set(columns)):
        values, broken = parsed(sheet, name)
        columns[name] = sheet.cells[name] if broken.any() or values.isna().all() else values
    frame = pd.DataFrame(columns).assign(**{LINE: sheet.cells[LINE]})
    frame["is_contrast"] = frame["comparator"] != ""
    frame["no_sd"] = unsaid
    frame["names_arms"] = "arm" in given
    frame["arm_id"] = _arm_names(frame)
    return Rows(sheet.file, frame, wrong, given, sheet), faults


def _described() -> dict[str, Column]:
    """Give the columns of the base that a flat table may have, besides its own."""
    names = {*OF_STUDIES, *OF_ARMS, *TABLES["results"].names, *TABLES["contrasts"].names}
    tables = (TABLES[name] for name in ("contrasts", "results", "arms", "studies"))
    known = {column.name: column for table in tables for column in table.columns}
    known |= {name: Column(name, "", kind="number", at_least=0) for name in DOSES}
    return {name: known[name] for name in names - {*TEXTS, *NUMBERS, *DERIVED}}


def bounded_columns(given: set[str]) -> Iterator[Column]:
    """Give the columns of a table whose cells the base's description restricts.

    Parameters
    ----------
    given
        Columns of the table.

    Yields
    ------
    Column
        With its limits or words.
    """
    described = {**_described(), **{c.name: c for c in TABLES["results"].columns}}
    own = {*SEEN, "time_hours", "scale_min", "scale_max", "measure", "kind"}
    for name in sorted((given & set(described)) - own):
        yield described[name]


def _text(sheet: Sheet, name: str) -> pd.Series:
    cells = sheet.cells[name]
    if name in ("study", "agent", "arm"):
        return cells
    nothing = cells.isin(_NOTHING)
    return cells.where(~nothing, "") if nothing.any() else cells


def _arm_names(rows: pd.DataFrame) -> pd.Series:
    """Name an arm by its own name, or by its agent and dose."""
    dose = rows["dose"].to_numpy()
    labels = {value: f" {value:g}" for value in np.unique(dose[~np.isnan(dose)]).tolist()}
    labels[0.0] = ""
    said = rows["dose"].map(labels).astype("str").fillna("")
    return rows["arm"].where(rows["arm"] != "", rows["agent"] + said)
