"""Evidence back to files that load again to the same evidence.

What was derived at loading is not written: the numbers of the report are, so that whoever loads the
file sees how each standard error is come by. What is written is read again before it gets its name,
and refused if it is not the same. Text that a spreadsheet would run is guarded (see `guards`).
"""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.guards import guarded
from nmda_bayes.evidence.load import SHIPPED, load_evidence
from nmda_bayes.evidence.printed import printed_folder, printed_rows
from nmda_bayes.evidence.shipped import shipped_folder

BIBLIOGRAPHY = "sources.bib"


def write_evidence(tree: xr.DataTree, path: str | Path) -> Path:
    """Write evidence: a table of one's own as a flat CSV file, a base as a folder of tables.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    path
        Where to; there must be nothing there yet.

    Returns
    -------
    Path
        What was written; `load_evidence` makes the same evidence of it.

    Raises
    ------
    EvidenceError
        If there is something there, or a file could not hold the evidence.
    """
    path = Path(path)
    base = tree.attrs["kind"] == "base"
    fault = _place_fault(path, base)
    if fault:
        raise EvidenceError([fault])
    if base:
        tables = {f"{name}.csv": frame for name, frame in printed_folder(tree).items()}
    else:
        tables = {path.name: printed_rows(tree)}
    texts = {name: _csv(frame) for name, frame in tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, "utf-8", newline="")
        _check_the_same(tree, Path(folder) if base else Path(folder) / path.name, path)
    if base:
        path.mkdir()
        for name, text in texts.items():
            _put(path / name, text)
        _copy_bibliography(str(tree.attrs["source"]), path)
    else:
        _put(path, texts[path.name])
    return path


def _place_fault(path: Path, base: bool) -> Fault | None:
    if path.exists() or path.is_symlink():
        mend = "Give a name that is not taken, or move away what is there."
        return Fault("this exists, and is not written over", mend, str(path))
    if not path.parent.is_dir():
        return Fault("there is no such folder", "Make it first.", str(path.parent))
    if not base and path.suffix.lower() != ".csv":
        return Fault("the name does not end in .csv", "Give a name that does.", str(path))
    return None


def _put(path: Path, text: str) -> None:
    """Write a file, and fail where one has come to be there meanwhile."""
    with path.open("x", encoding="utf-8", newline="") as file:
        file.write(text)


def _check_the_same(tree: xr.DataTree, written: Path, path: Path) -> None:
    mend = "Look at the names of columns and at the cells that are named; a CSV cannot hold them."
    try:
        again = load_evidence(written)
    except EvidenceError as error:
        first = error.faults[0]
        text = f"the evidence would not load again ({first.message})"
        raise EvidenceError([Fault(text, mend, str(path), first.row, first.column)]) from error
    if again.attrs["evidence_hash"] != tree.attrs["evidence_hash"]:
        text = "the evidence would not load again as the same"
        raise EvidenceError([Fault(text, mend, str(path))])


def _csv(frame: pd.DataFrame) -> str:
    """Print a table: numbers in the fewest digits that give them back, text guarded."""
    columns = [_cells(frame[column]) for column in frame]
    header = [guarded(str(column)) for column in frame]
    # The separator that a header holds most of is taken for the separator when it is read.
    for separator in ",\t;":
        text = io.StringIO()
        rows = csv.writer(text, delimiter=separator, lineterminator="\n")
        rows.writerow(header)
        first = text.getvalue().splitlines()[0]
        if max(",;\t", key=first.count) == separator:
            break
    rows.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _cells(column: pd.Series) -> list[str]:
    if column.dtype.kind in "iufb":
        return [_number(value) for value in column.to_numpy(float).tolist()]
    texts = column.to_numpy(object).tolist()
    shown = {text: guarded(str(text)) for text in set(texts)}
    return [shown[text] for text in texts]


def _number(value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _copy_bibliography(source: str, folder: Path) -> None:
    """Put the bibliography beside the tables: their sources are its keys."""
    home = shipped_folder("data") if source == SHIPPED else Path(source)
    if (home / BIBLIOGRAPHY).is_file():
        shutil.copyfile(home / BIBLIOGRAPHY, folder / BIBLIOGRAPHY)
