"""A table of one's own to the evidence tree, whatever convention it follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.faults import numbers
from nmda_bayes.evidence.flat import load_flat
from nmda_bayes.evidence.flat_columns import NUMBERS, TEXTS
from nmda_bayes.evidence.many_faults import few_of_a_kind
from nmda_bayes.evidence.readers.catalogue import FLAT
from nmda_bayes.evidence.readers.detect import choose_reader
from nmda_bayes.evidence.readers.foreign import LOGARITHMS, Foreign
from nmda_bayes.evidence.readers.placed import Reading, as_text
from nmda_bayes.evidence.readers.said import Said
from nmda_bayes.evidence.reading import Sheet
from nmda_bayes.evidence.tree import table

#: A difference of means, and the same on a scale from 0 to 100.
MD, MD_ON_100 = "MD", "MD on 0-100"

#: Flat columns whose source is told; any other column is kept under its own name.
READ = {*TEXTS, *NUMBERS, "n_treat", "n_control", "subgroup"}


def load_own(sheet: Sheet, source: str, said: Said) -> xr.DataTree:
    """Load a table of one's own.

    Parameters
    ----------
    sheet
        The table as text.
    source
        How the user named it.
    said
        What its columns do not say.

    Returns
    -------
    xr.DataTree
        As a flat table gives it; attributes ``format``, ``notes`` (what was done, in sentences),
        ``columns`` (what was read as what) and ``comparator`` (the agent that every row is compared
        with, where the convention tells; else empty).

    Raises
    ------
    EvidenceError
        With every fault, in the words of the user's table.
    """
    if sheet.cells.empty:
        raise EvidenceError(sheet.faults)
    reader = choose_reader(sheet, said.format)
    if reader is None:
        added, notes = _as_said(sheet, said, packaged=False)
        tree = load_flat(added, source)
        return _told(tree, FLAT, notes, "", "")
    foreign = Foreign(sheet, reader.found([*map(str, sheet.cells)]), said.groups)
    reading = reader.flatten(foreign)
    flat = Sheet(sheet.file, reading.cells, list(sheet.faults), sheet.decimal_comma)
    made, notes = _as_said(flat, said, packaged=True)
    tree = _checked(made, source, reading)
    for name in ("results", "contrasts"):
        made_lines = tree[name]["line"].to_numpy()
        lines = np.array([reading.lines[int(line) - 2] for line in made_lines], dtype=int)
        tree[name]["line"] = xr.DataArray(lines, dims="row")
    return _told(tree, reader.name, [*reading.notes, *notes], _columns(reading), reading.reference)


def _checked(made: Sheet, source: str, reading: Reading) -> xr.DataTree:
    """Check the flat rows, and tell what is wrong with them as wrong with the user's."""
    own = list(dict.fromkeys([*made.faults, *reading.faults]))
    already = {(fault.row, fault.column) for fault in own}
    try:
        if reading.cells.empty:
            raise EvidenceError([Fault("no row holds a result", "Fill in its numbers.", made.file)])
        tree = load_flat(replace(made, faults=[]), source)
    except EvidenceError as error:
        placed = [reading.place(fault) for fault in error.faults]
        own += [fault for fault in placed if (fault.row, fault.column) not in already]
    if own:
        raise EvidenceError(few_of_a_kind(sorted(own, key=lambda fault: fault.row or 0)))
    return tree


def _as_said(sheet: Sheet, said: Said, packaged: bool) -> tuple[Sheet, list[str]]:
    """Add what the user says where the table says nothing."""
    notes: list[str] = []
    contrasts = "comparator" in sheet.cells
    if said.measure is not None and contrasts:
        # The packages keep ratios as logarithms; in a flat table a ratio is a ratio.
        word = LOGARITHMS.get(said.measure, said.measure) if packaged else said.measure
        sheet = _where_empty(sheet, measure=word)
        notes.append(f"The contrasts are of measure {word}, as you say.")
    if said.scale is not None:
        low, high = said.scale
        notes.append(f"Means stand on a scale from {low:g} to {high:g}, as you say.")
        if not contrasts:
            sheet = _where_empty(sheet, scale_min=repr(low), scale_max=repr(high))
        else:
            sheet = _stretched(sheet, 100 / (high - low))
            notes.append("Differences of means (MD) are stretched to 0-100.")
    return sheet, notes


def _where_empty(sheet: Sheet, **words: str) -> Sheet:
    cells = sheet.cells
    for name, word in words.items():
        given = cells[name] if name in cells else pd.Series("", index=cells.index, dtype="str")
        cells = cells.assign(**{name: given.where(given != "", word)})
    return replace(sheet, cells=cells)


def _stretched(sheet: Sheet, factor: float) -> Sheet:
    """Bring differences of means to 0-100; what is no number stays for the checks to find."""
    cells = sheet.cells.copy()
    mine = cells["measure"] == MD if "measure" in cells else pd.Series(False, index=cells.index)
    for name in ("estimate", "se", "comparator_se", "ci_low", "ci_high"):
        if name in cells:
            values, _ = numbers(sheet, name)
            cells[name] = as_text(values * factor).where(mine & values.notna(), cells[name])
    if mine.any():
        cells["measure"] = cells["measure"].where(~mine, MD_ON_100)
    return replace(sheet, cells=cells)


def _columns(reading: Reading) -> str:
    """Say which columns were read as what."""
    found: dict[str, dict[str, None]] = {}
    for origin in reading.origin_of:
        for flat, mine in origin.items():
            if flat in READ:
                found.setdefault(flat, {})[mine] = None
    return ", ".join(
        flat if list(mine) == [flat] else f"{flat} from {' and '.join(repr(c) for c in mine)}"
        for flat, mine in found.items()
    )


def _told(
    tree: xr.DataTree, format: str, notes: list[str], columns: str, comparator: str
) -> xr.DataTree:
    tree.attrs |= {"format": format, "notes": tuple(notes), "columns": columns}
    agents = {*table(tree, "arms")["agent"], *table(tree, "contrasts")["comparator"]}
    tree.attrs["comparator"] = comparator if comparator in agents else ""
    return tree
