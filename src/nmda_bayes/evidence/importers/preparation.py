"""A user's table before its format is known: plain numbers, distinct trials, roles of headings."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from nmda_bayes.errors import EvidenceError, Issue, suggest_match
from nmda_bayes.evidence.flat_schema import is_flat
from nmda_bayes.evidence.importers.base import (
    DETECTORS,
    FLAT_FORMAT,
    FORMATS,
    ImportResult,
    TableFormat,
)
from nmda_bayes.evidence.importers.cell_notation import plain_numbers
from nmda_bayes.evidence.importers.headings import (
    RESULT_ROLES,
    Heading,
    parse_heading,
    states_result,
)
from nmda_bayes.evidence.importers.options import ImportOptions
from nmda_bayes.evidence.importers.own_headings import (
    Reading,
    find_counts,
    flat_rows,
    has_single_group,
    missing_roles,
    read_headings,
)
from nmda_bayes.evidence.importers.unsupported import other_content, unsupported_content
from nmda_bayes.evidence.schema import RESULT_SETS
from nmda_bayes.evidence.table_io import LINE, RawTable


def prepare_table(
    table: RawTable, questions: list[Issue], options: ImportOptions
) -> tuple[RawTable, ImportResult | None]:
    """The table in plain numbers, and its flat rows where its headings are the user's own."""
    format = options.format
    column = {role: name for role, name in options.column.items() if "+" not in name}
    table.issues += merged_number_issues(table)
    notation = plain_numbers(table, options.decimal, options.missing)
    table = notation.table
    questions += notation.questions
    joint = options.column.get("study", "")
    if "+" in joint:
        table = join_columns(table, joint)
        first = joint.split("+")[0].strip()
        if first != "study" and parse_heading(first).role != "study":
            column["study"] = first
    formats = [] if column or format == FLAT_FORMAT else _matching(_names(table), format)
    if not formats and not column and format is None:
        formats = _detected(table)
    joined = any("year" in each.optional for each in formats)
    as_package = distinct_studies(table, joined=joined)
    # In a flat table a column that resembles one of ours is a question, not a reading.
    flat = not column and not formats and is_flat(set(_names(table)))
    if flat or format not in (None, FLAT_FORMAT):
        return as_package, None
    table = distinct_studies(table)
    reading = read_headings(table, column, options.ignore)
    by_headings = _has_result(reading)
    find_counts(reading)
    if formats and not _own_headings_win(reading, formats, by_headings=by_headings):
        return as_package, None
    if reading.issues:
        raise EvidenceError([*table.issues, *reading.issues])
    if not _usable(reading):
        renamed = with_roles_as_headings(table, column)
        if column and (_matching(_names(renamed), None) or _detected(renamed)):
            return renamed, None
        if reading.questions:
            raise EvidenceError([*table.issues, *reading.questions])
        unsupported = None if column else other_content(table)
        if unsupported is None and not column and "agent" not in reading.roles:
            unsupported = unsupported_content(table)
        if unsupported is not None:
            raise EvidenceError([*table.issues, unsupported])
        if column or format == FLAT_FORMAT or _promising(reading):
            raise EvidenceError([*table.issues, *missing_roles(reading)])
        return table, None
    rows = None if reading.plain else flat_rows(reading, options.groups, options.reference)
    questions += reading.questions
    return table, rows


def _matching(columns: list[str], format: str | None) -> list[TableFormat]:
    """The formats whose columns a table has, unless it is flat."""
    names = set(columns)
    if format is None and is_flat(names):
        persons = any("person" in f.required and not f.missing(columns) for f in FORMATS.values())
        if not persons:
            return []
    return [
        each
        for name, each in FORMATS.items()
        if format in (None, each.convention, name)
        and not each.missing(columns)
        and (format is not None or each.convention not in DETECTORS)
    ]


def _detected(table: RawTable) -> list[TableFormat]:
    """The layout of another package with headings of no fixed name, if there is one."""
    if is_flat(set(map(str, table.cells))):
        return []
    for detector in DETECTORS.values():
        detected = detector(table)
        if detected is not None:
            return [detected]
    return []


def _names(table: RawTable) -> list[str]:
    return [str(name) for name in table.cells if name != LINE]


def _own_headings_win(reading: Reading, formats: list[TableFormat], *, by_headings: bool) -> bool:
    """Whether a table is read by its own headings although it fits the layout of a package.

    The reading that leaves fewer results, doses and times unread is right, and one by headings
    before one that guesses a role by numbers (`by_headings`: the table's headings name the whole
    result); of two equal ones the package's. Headings never replace groups side by side,
    correlations, dose-response tables and lists of all pairs, which say more than their headings.
    """
    if reading.issues or not {"study", "agent"} <= set(reading.roles) or not _has_result(reading):
        return False
    if not all(_has_one_result_per_row(each) for each in formats):
        return False
    if "agent" in reading.ambiguous:
        return True  # a question, where the package's reading would choose
    names = _names(reading.table)
    read = reading.read_columns
    unread = []
    for each in formats:
        matched = each.match(names)
        results = {
            column for role, column in matched.items() if role in (*RESULT_ROLES, "dose", "events")
        }
        times = {reading.roles["time"].column} if "time" in reading.roles else set()
        stated = results | times | {name for name in names if states_result(name)}
        if stated <= read:
            left = len(stated - set(matched.values()) - each.also_reads)
            unread.append(left + len(each.guessed) * by_headings)
    return len(unread) == len(formats) and min(unread) > 0


def _has_one_result_per_row(format: TableFormat) -> bool:
    if format.convention == "effects":
        return format.layout in ("errors", "variances", "intervals")
    return "agent" in format.required and "person" not in format.required


def with_roles_as_headings(table: RawTable, columns: dict[str, str]) -> RawTable:
    """The table with the columns that the user names for a role under the role's name, noted."""
    folded = {name.casefold().strip(): name for name in reversed(_names(table))}
    cells, notes = table.cells, [*table.notes]
    for role, wanted in columns.items():
        column = wanted if wanted in cells else folded.get(wanted.casefold().strip(), "")
        if column and column != role and column in cells:
            if role in cells:
                cells = cells.rename(columns={role: f"{role} (not read)"})
            cells = cells.rename(columns={column: role})
            notes.append(f"'{column}' is read as {role} (set by you).")
    return replace(table, cells=cells, notes=notes)


def _has_result(reading: Reading) -> bool:
    sets = [[name for name in names if name != "ci_level"] for names in RESULT_SETS]
    sides = {"comparator"} if "agent" not in reading.roles else set()
    return bool(reading.groups) or any(
        reading.has(*(name for name in names if name not in sides)) for names in sets
    )


def _usable(reading: Reading) -> bool:
    """Whether the columns make flat rows."""
    roles = reading.roles
    if "study" not in roles or not _has_result(reading):
        return False
    if "agent" in roles:
        return True
    cells = reading.table.cells
    if has_single_group(reading):
        return True
    if len(reading.groups) > 1 and "outcome" not in roles:
        # Treatments side by side have the same statistics.
        return len({frozenset(group) for group in reading.groups.values()}) == 1
    contrasts = "estimate" in roles and "dose" not in roles and not reading.groups
    return contrasts and bool(cells[roles["study"].column].is_unique)


def _promising(reading: Reading) -> bool:
    """Whether a table was meant to be read by its headings, not as an incomplete other format."""
    roles = reading.roles
    columns = [str(name) for name in reading.table.cells if name != LINE]
    if not (set(roles) & set(RESULT_ROLES) or reading.groups):
        return False
    if {"study", "agent"} <= set(roles):
        return True
    fixed = [each for each in FORMATS.values() if each.convention not in DETECTORS]
    shares = [1 - len(each.missing(columns)) / len(each.required) for each in fixed]
    found = max(
        sum(reading.has(name) for name in ("study", "agent", *names)) / (2 + len(names))
        for names in RESULT_SETS
    )
    return bool({"study", "agent"} & set(roles)) and found >= max(shares)


# Trials of one name.


def distinct_studies(table: RawTable, *, joined: bool = False) -> RawTable:
    """Tell trials of one name apart by their year or number, with a note.

    `joined`: whether the format itself adds the year to an author.
    """
    headings = [parse_heading(str(name)) for name in table.cells if name != LINE]
    studies = sorted(
        (h for h in headings if h.role == "study" and not h.label), key=lambda h: h.tier
    )
    if not studies:
        return table
    study = studies[0]
    author = study.column.casefold().strip().rstrip("s").replace("first ", "") == "author"
    years = [h for h in headings if h.role == "year"]
    if author and joined:
        return table
    cells = table.cells
    name = cells[study.column].str.strip()
    if author and years:
        year = cells[years[0].column].str.strip()
        joint = (name + " " + year).str.strip().where(name != "", "")
        note = f"Studies are named by '{study.column}' and '{years[0].column}'."
        return _renamed(table, study.column, joint, note)
    keys = [
        h.column
        for h in headings
        if h.role in ("agent", "comparator", "dose", "outcome", "arm", "time", "time_hours",
                      "time_label", "condition")
    ]  # fmt: skip
    repeated = set(name[cells.duplicated([study.column, *keys]) & (name != "")])
    if not repeated:
        return table
    within = name.isin(repeated)
    for other in [*years[:1], *studies[1:]]:
        values = cells[other.column].str.strip()
        pairs = pd.DataFrame({"name": name, "other": values})[within]
        several = set(pairs.drop_duplicates()["name"][pairs.drop_duplicates()["name"].duplicated()])
        if other.role == "study":
            # A number of each row tells results apart, not trials.
            sizes = pairs.groupby(["name", "other"])["name"].transform("size")
            several -= set(pairs["name"][sizes < 2])
        rows = name.isin(several) & (values != "")
        if several:
            joint = name.where(~rows, name + " " + values)
            shown = ", ".join(f"'{each}'" for each in sorted(set(joint[rows]))[:4])
            note = (
                f"Studies of one name are told apart by '{other.column}': {shown}"
                f"{', ...' if joint[rows].nunique() > 4 else ''}."
            )
            return _renamed(table, study.column, joint, note)
    return table


def join_columns(table: RawTable, setting: str) -> RawTable:
    """Name studies by several columns, as ``column.study=study+year`` sets."""
    names = [str(name) for name in table.cells if name != LINE]
    headings = [parse_heading(name) for name in names]
    studies = sorted(
        (h for h in headings if h.role == "study" and not h.label), key=lambda h: h.tier
    )
    parts = [part.strip() for part in setting.split("+")]
    if parts[0] == "study" and "study" not in names and studies:
        parts[0] = studies[0].column
    folded = {name.casefold().strip(): name for name in reversed(names)}
    unknown = [part for part in parts if part.casefold() not in folded]
    if unknown:
        message = f"the table has no column '{unknown[0]}' (--set column.study={setting})"
        hint = suggest_match(unknown[0], names)
        raise EvidenceError([*table.issues, Issue("E174", message, hint, "--set")])
    columns = list(dict.fromkeys(folded[part.casefold()] for part in parts))
    cells = table.cells[columns].apply(lambda each: each.str.strip())
    joint = cells[columns[0]]
    for column in columns[1:]:
        joint = (joint + " " + cells[column]).str.strip()
    note = f"Studies are named by {' and '.join(f"'{column}'" for column in columns)} (set by you)."
    return _renamed(table, columns[0], joint.where(cells[columns[0]] != "", ""), note)


def _renamed(table: RawTable, column: str, names: pd.Series, note: str) -> RawTable:
    cells = table.cells.assign(**{column: names})
    return replace(table, cells=cells, notes=[*table.notes, note])


def merged_number_issues(table: RawTable) -> list[Issue]:
    """Errors of merged cells that hold one number for several rows."""
    issues = []
    for name, top, bottom in table.merged:
        heading: Heading = parse_heading(name)
        if heading.role in RESULT_ROLES:
            message = f"a merged cell holds one number for the rows {top} to {bottom}"
            hint = "Unmerge it, and enter the number of each row."
            issues.append(table.issue("E177", message, hint, top, name))
    return issues
