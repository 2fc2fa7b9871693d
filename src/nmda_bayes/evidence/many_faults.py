"""Many faults of one kind: some told one by one, the rest as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from nmda_bayes.errors import Fault

#: So many faults of one kind in one column are told one by one; the rest as a number. A table of
#: 100,000 rows with a wrong column would otherwise print 100,000 lines.
TOLD_ONE_BY_ONE = 20


@dataclass(frozen=True, slots=True)
class More(Fault):
    """So many further rows with a fault that was told: a wrong column costs no time a row.

    Attributes
    ----------
    count
        Rows beyond those told one by one.
    """

    count: int = 0


def each_row(
    file: str,
    lines: pd.Series,
    broken: ArrayLike,
    column: str,
    message: str | Callable[[int], str],
    mend: str | Callable[[int], str],
) -> Iterator[Fault]:
    """Tell the first broken rows one by one, and count the rest.

    Parameters
    ----------
    file
        Name to print.
    lines
        Line of each row.
    broken
        True where the row is at fault.
    column
        The column at fault.
    message, mend
        Text, or what gives it for the position of a row.

    Yields
    ------
    Fault
        At most `TOLD_ONE_BY_ONE`, then one `More`.
    """
    numbers = lines.to_numpy()
    places = np.flatnonzero(np.asarray(broken, dtype=bool))
    text = ""
    for place in places[:TOLD_ONE_BY_ONE].tolist():
        told = message if isinstance(message, str) else message(place)
        text = mend if isinstance(mend, str) else mend(place)
        yield Fault(told, text, file, int(numbers[place]), column)
    if len(places) > TOLD_ONE_BY_ONE:
        yield More("", text, file, None, column, len(places) - TOLD_ONE_BY_ONE)


def few_of_a_kind(faults: Iterable[Fault]) -> list[Fault]:
    """Tell a fault that fills a column a few times, then how many more there are.

    Parameters
    ----------
    faults
        All of them.

    Returns
    -------
    list of Fault
        At most `TOLD_ONE_BY_ONE` of one mend in one column of one file, and one that counts.
    """
    seen: dict[tuple[str, str, str], int] = {}
    beyond: dict[tuple[str, str, str], int] = {}
    told: list[Fault] = []
    for fault in dict.fromkeys(faults):
        kind = (fault.file, fault.column, fault.mend)
        if isinstance(fault, More):
            beyond[kind] = beyond.get(kind, 0) + fault.count
            continue
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= TOLD_ONE_BY_ONE:
            told.append(fault)
        else:
            beyond[kind] = beyond.get(kind, 0) + 1
    more = [
        Fault(f"and {count} more rows like these", mend, file, None, column)
        for (file, column, mend), count in beyond.items()
    ]
    return [*told, *more]


def short(text: object) -> str:
    """Give a cell's text as one line that a message can hold.

    Parameters
    ----------
    text
        What stands in the cell.

    Returns
    -------
    str
        At most 60 letters, blanks for line ends.
    """
    line = " ".join(str(text).split())
    return line if len(line) <= 60 else f"{line[:57]}..."
