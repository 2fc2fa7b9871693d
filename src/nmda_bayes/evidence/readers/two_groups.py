"""Rows that compare two groups, as metafor and RevMan have them."""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Part


def two_arms(
    table: Foreign,
    rows: pd.Series,
    names: tuple[pd.Series, pd.Series],
    sides: tuple[dict[str, str], dict[str, str]],
    shared: dict[str, pd.Series],
    origin: dict[str, str],
) -> list[Part]:
    """Make the two arms of each row.

    Parameters
    ----------
    table
        The table.
    rows
        True for each row that is taken.
    names
        Agent of the first group, and of the second.
    sides
        Role behind each flat column, for the first group and for the second.
    shared
        What both arms say: study, outcome, ...
    origin
        The user's column behind those, and behind the agents of the groups (``agent 0``, ...).

    Returns
    -------
    list[Part]
        The second group's first, as a control is listed.
    """
    parts = []
    for place in (1, 0):
        part = table.part(rows, **sides[place])
        part.cells |= {name: cells[rows] for name, cells in shared.items()}
        part.cells["agent"] = names[place][rows]
        part.origin |= {k: v for k, v in origin.items() if not k.startswith("agent ")}
        if f"agent {place}" in origin:
            part.origin["agent"] = origin[f"agent {place}"]
        parts.append(part)
    return parts


def contrast(
    rows: pd.Series,
    names: tuple[pd.Series, pd.Series],
    values: dict[str, pd.Series],
    origin: dict[str, str],
) -> Part:
    """Make the contrast of each row: the first group against the second.

    Parameters
    ----------
    rows
        True for each row that is taken.
    names
        Agent of the first group, and of the second.
    values
        Text by flat column.
    origin
        The user's column behind each.

    Returns
    -------
    Part
        One row a contrast.
    """
    cells = {**values, "agent": names[0], "comparator": names[1]}
    sides = {
        flat: origin[side]
        for flat, side in (("agent", "agent 0"), ("comparator", "agent 1"))
        if side in origin
    }
    named = {k: v for k, v in origin.items() if not k.startswith("agent ")}
    return Part(cells, {**named, **sides}).take(rows)
