"""Data frames of any library, held as sheets of text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any, Protocol, TypeGuard

import pandas as pd

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.reading import LINE, Sheet, header_faults


class Frame(Protocol):
    """What pandas and polars frames have in common; no library is needed for it."""

    @property
    def columns(self) -> Any:
        """Names of the columns."""
        ...

    def __len__(self) -> int:
        """Count the rows."""
        ...


def is_frame(source: object) -> TypeGuard[Frame]:
    """Say whether something is a data frame.

    Parameters
    ----------
    source
        Anything.

    Returns
    -------
    bool
        True for frames of pandas, polars, and what is like them.
    """
    return hasattr(source, "columns") and hasattr(source, "__len__")


def sheet_of_frame(frame: Frame, name: str) -> Sheet:
    """Hold a data frame as a sheet of text, so that it passes the same checks as a file.

    Parameters
    ----------
    frame
        Of pandas, polars or their like; it is not changed. An index is not read.
    name
        Name to print in faults.

    Returns
    -------
    Sheet
        Line 2 is the frame's first row, as it would be in a file.
    """
    header = [str(column).strip() for column in frame.columns]
    faults = list(header_faults(header, name, 1))
    if not len(frame) and not faults:
        faults.append(Fault("the table has a header and no rows", "Add at least one row.", name))
    if faults:
        return Sheet(name, pd.DataFrame(), faults)
    columns = {
        label: [as_text(cell) for cell in _cells(frame, place)]
        for place, label in enumerate(header)
    }
    cells = pd.DataFrame(columns, dtype="str")
    return Sheet(name, cells.assign(**{LINE: range(2, len(frame) + 2)}))


def _cells(frame: Any, place: int) -> Iterable[object]:
    if isinstance(frame, pd.DataFrame):
        return frame.iloc[:, place].tolist()
    # polars and its like give a column by name, and know how to list it.
    return frame[str(frame.columns[place])].to_list()


def as_text(cell: object) -> str:
    """Write a cell as a file would hold it.

    Parameters
    ----------
    cell
        Text, a number, a date, or one of the many words for nothing.

    Returns
    -------
    str
        With every digit; nothing is empty.
    """
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NA or cell != cell:
        return ""
    if isinstance(cell, date):
        return cell.isoformat()
    # repr keeps every digit of a float; NumPy's scalars would print their type with it.
    return repr(cell.item() if hasattr(cell, "item") else cell)
