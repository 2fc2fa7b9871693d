"""Pairs of parts that have no record yet: what the calibration does not claim.

They stand in `waiting.csv`, one pair a line. The job takes a pair from the list once it has a
record and never adds one, so that a new part asks for its records.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from tests.calibration.combinations import Combination, Pair, missing_pairs

LIST = Path(__file__).parent / "waiting.csv"
COLUMNS = ("catalogue", "part", "other_catalogue", "other_part")


def waiting_pairs() -> list[Pair]:
    """Read the list; where there is none, nothing waits."""
    if not LIST.exists():
        return []
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [((row[COLUMNS[0]], row[COLUMNS[1]]), (row[COLUMNS[2]], row[COLUMNS[3]]))
                for row in rows]  # fmt: skip


def shorten(done: Iterable[Combination]) -> None:
    """Take from the list what has a record, and the list away where nothing is left."""
    missing = set(missing_pairs(done))
    write([pair for pair in waiting_pairs() if pair in missing])


def write(pairs: list[Pair]) -> None:
    """Write the list."""
    if not pairs:
        LIST.unlink(missing_ok=True)
        return
    with LIST.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*one, *other) for one, other in pairs)
