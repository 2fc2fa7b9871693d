"""Which convention a table follows: by its columns, or by the user's word."""

from __future__ import annotations

from collections.abc import Iterator

from nmda_bayes.errors import EvidenceError, Fault, nearest
from nmda_bayes.evidence.flat_columns import READINGS
from nmda_bayes.evidence.readers.catalogue import FLAT, READERS, Reader, conventions
from nmda_bayes.evidence.readers.foreign import fold
from nmda_bayes.evidence.reading import LINE, Sheet

#: Share of its needed columns that a layout must find for a table to be taken for a broken one.
LIKELY = 0.6
#: The column without which no table is one of persons.
PERSONS = "person"


def choose_reader(sheet: Sheet, format: str | None) -> Reader | None:
    """Find the layout of a table.

    Parameters
    ----------
    sheet
        The table.
    format
        A convention (``netmeta``), one layout of it (``netmeta/contrasts``), ``flat``, or None to
        go by the columns.

    Returns
    -------
    Reader or None
        None for a flat table, and for one that is more like a flat table than any other.

    Raises
    ------
    EvidenceError
        Where no layout or several fit: what was looked for, and how to name the format.
    """
    columns = [str(column) for column in sheet.cells if column != LINE]
    if format is not None:
        return _named(sheet, columns, format)
    people = [r for r in READERS.values() if PERSONS in r.needed and not r.missing(columns)]
    if len(people) == 1:
        return people[0]  # first: beside persons there may be all the columns of arms
    if _is_flat(columns):
        return None
    fits = [reader for reader in READERS.values() if not reader.missing(columns)]
    names = dict.fromkeys(reader.convention for reader in fits)
    if len(names) == 1:
        return fits[0]
    if fits:
        raise EvidenceError([_ambiguous(sheet, fits)])
    likely = max(READERS.values(), key=lambda reader: _likeness(reader, columns))
    if _flat_likeness(columns) >= max(_likeness(likely, columns), LIKELY):
        return None
    if _likeness(likely, columns) >= LIKELY:
        raise EvidenceError(_missing(sheet, columns, likely))
    if _flat_likeness(columns) > 0:
        return None
    raise EvidenceError([_unknown(sheet, columns)])


def _named(sheet: Sheet, columns: list[str], format: str) -> Reader | None:
    if format == FLAT:
        return None
    mine = [r for name, r in READERS.items() if format in (r.convention, name)]
    if not mine:
        mend = nearest(format, [*conventions(), *READERS])
        raise EvidenceError([Fault(f"no format is called '{format}'", mend, sheet.file)])
    fits = [reader for reader in mine if not reader.missing(columns)]
    if fits:
        return fits[0]
    likely = max(mine, key=lambda reader: _likeness(reader, columns))
    raise EvidenceError(_missing(sheet, columns, likely))


def _is_flat(columns: list[str]) -> bool:
    have = set(columns)
    return {"study", "agent"} <= have and any(have >= set(reading) for reading in READINGS)


def _flat_likeness(columns: list[str]) -> float:
    have = {fold(column) for column in columns}
    if not have & {"study", "agent"}:
        return 0.0
    shares = [[fold(c) in have for c in ("study", "agent", *reading)] for reading in READINGS]
    return max(sum(found) / len(found) for found in shares)


def _likeness(reader: Reader, columns: list[str]) -> float:
    return 1 - len(reader.missing(columns)) / len(reader.needed)


def _missing(sheet: Sheet, columns: list[str], reader: Reader) -> Iterator[Fault]:
    for name in reader.missing(columns):
        unread = [column for column in columns if column not in reader.found(columns).values()]
        near = nearest(name, unread) if unread else ""
        near = near + " " if near.startswith("Did") else ""
        yield Fault(
            f"the column '{name}' is missing",
            f"{near}The table was taken for {reader.name} ({reader.looked_for});"
            f" --format names another: {', '.join(conventions())}.",
            sheet.file,
            None,
            name,
        )


def _ambiguous(sheet: Sheet, fits: list[Reader]) -> Fault:
    kinds = "; ".join(f"{reader.name} ({reader.looked_for})" for reader in fits)
    named = dict.fromkeys(reader.convention for reader in fits)
    return Fault(
        f"the columns fit several formats: {kinds}",
        f"Say which with --format {' or --format '.join(named)}.",
        sheet.file,
        1,
    )


def _unknown(sheet: Sheet, columns: list[str]) -> Fault:
    flat = "study, agent, and " + " or ".join(", ".join(reading) for reading in READINGS[:4])
    kinds = "; ".join(f"{reader.name} ({reader.looked_for})" for reader in READERS.values())
    return Fault(
        f"the columns ({', '.join(columns)}) are of no format known here",
        f"Looked for: flat ({flat}); {kinds}. Rename the columns to one of these, or name the"
        " format with --format to be told what it lacks.",
        sheet.file,
        1,
    )
