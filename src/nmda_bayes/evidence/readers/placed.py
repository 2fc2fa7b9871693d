"""Flat rows made of a foreign table, and the place in that table behind each of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault


def as_text(values: pd.Series) -> pd.Series:
    """Write numbers as cells, with every digit.

    Parameters
    ----------
    values
        Floats.

    Returns
    -------
    pd.Series
        Text; NaN is an empty cell.
    """
    written = ["" if np.isnan(x) else repr(float(x)) for x in values.to_numpy(float)]
    return pd.Series(written, index=values.index, dtype="str")


@dataclass
class Part:
    """Flat rows that come from the same columns of the user's table: one side of a wide row.

    Attributes
    ----------
    cells
        Text by flat column, indexed as the user's rows.
    origin
        The user's column behind each flat one.
    """

    cells: dict[str, pd.Series]
    origin: dict[str, str]

    def take(self, rows: pd.Series) -> Part:
        """Keep some of the rows.

        Parameters
        ----------
        rows
            True where a row stays.

        Returns
        -------
        Part
            With the same origins.
        """
        return Part({name: cells[rows] for name, cells in self.cells.items()}, self.origin)


@dataclass
class Reading:
    """Flat rows, and the place in the user's table behind each of them.

    Attributes
    ----------
    cells
        Flat columns of text, and `LINE`, which counts the rows made.
    lines
        The user's line behind each row.
    origins
        The user's columns behind each row, as an index into ``origin_of``.
    origin_of
        User's column by flat column, for each part.
    notes
        What was done, in sentences.
    faults
        What stands in the way, already placed.
    reference
        The agent that every row is compared with, where the convention tells; else empty.
    """

    cells: pd.DataFrame
    lines: list[int]
    origins: list[int]
    origin_of: list[dict[str, str]]
    notes: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    reference: str = ""

    def place(self, fault: Fault) -> Fault:
        """Say of a fault of the flat rows where it stands in the user's table.

        Parameters
        ----------
        fault
            With a row and column of the flat rows, or a column alone.

        Returns
        -------
        Fault
            With the user's row and column, and what flat columns in its words are called there.
        """
        made = None if fault.row is None else fault.row - 2
        if made is None or not 0 <= made < len(self.lines):
            origin = {k: v for one in reversed(self.origin_of) for k, v in one.items()}
            line = fault.row
        else:
            origin, line = self.origin_of[self.origins[made]], self.lines[made]
        column = origin.get(fault.column, fault.column)
        said = f"{fault.message} {fault.mend}"
        other = [
            f"{flat} is '{mine}'"
            for flat, mine in origin.items()
            if flat != mine and re.search(rf"\b{re.escape(flat)}\b", said)
        ]
        mend = f"{fault.mend} In this table {', '.join(other)}." if other else fault.mend
        return replace(fault, row=line, column=column, mend=mend)
