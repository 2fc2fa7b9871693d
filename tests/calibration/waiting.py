"""Pairs of components without a record, for which calibration is not claimed.

`waiting.csv` lists them, one per line. The job removes a pair once it has a record and never adds
one, so that a new component needs records.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from tests.calibration.combinations import Combination, Pair, missing_pairs

LIST = Path(__file__).parent / "waiting.csv"
COLUMNS = ("catalogue", "part", "other_catalogue", "other_part")


def waiting_pairs() -> list[Pair]:
    """Read the list; empty if there is no file."""
    if not LIST.exists():
        return []
    with LIST.open(encoding="utf-8", newline="") as file:
        rows = (list(row.values()) for row in csv.DictReader(file))
        return [((kind, name), (other, part)) for kind, name, other, part in rows]


def shorten(done: Iterable[Combination]) -> None:
    """Remove pairs that have a record."""
    missing = set(missing_pairs(done))
    write([pair for pair in waiting_pairs() if pair in missing])


def write(pairs: list[Pair]) -> None:
    """Write the list, or remove the file if there are no pairs."""
    if not pairs:
        LIST.unlink(missing_ok=True)
        return
    with LIST.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*first, *second) for first, second in pairs)
