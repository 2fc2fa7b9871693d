"""Write evidence back to the tables that it was loaded from: the inverse of loading."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.artifacts import escape_formula
from nmda_bayes.errors import EvidenceError, Issue
from nmda_bayes.evidence.base import SHIPPED_BASE, load_evidence, load_with_options
from nmda_bayes.evidence.doses import DOSE_COLUMNS, SCHEDULE_FROM_COLUMNS
from nmda_bayes.evidence.flat import LOG_OF_RATIO
from nmda_bayes.evidence.flat_schema import (
    ARM_COLUMNS,
    FLAT_COLUMNS,
    RESERVED_COLUMNS,
    STUDY_COLUMNS,
)
from nmda_bayes.evidence.importers.options import ImportOptions
from nmda_bayes.evidence.schema import TABLES
from nmda_bayes.evidence.tree import (
    COMPUTED_COLUMNS,
    RATIO_MEASURES,
    SE_PRINTED,
    TABLE_DIMS,
    to_frame,
)
from nmda_bayes.registry import shipped_folder

BIBLIOGRAPHY = "sources.bib"


def write_evidence(evidence: xr.DataTree, path: str | Path) -> Path:
    """Write evidence: a user's table as a flat CSV file, a base as a folder of tables.

    Parameters
    ----------
    evidence
        Evidence, as `load_evidence` returns it.
    path
        The file or folder to write, which must not exist yet.

    Returns
    -------
    Path
        The path; `load_evidence` loads the same evidence from it.

    Raises
    ------
    EvidenceError
        If the path exists or is unsuitable, or if CSV cannot hold the evidence.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = nb.write_evidence(evidence, f"{folder}/trials.csv")
    ...     nb.load_evidence(path).attrs["evidence_hash"] == evidence.attrs["evidence_hash"]
    True
    """
    path = Path(path)
    base = evidence.attrs["kind"] == "base"
    _check_path(path, base)
    if base:
        tables = {f"{name}.csv": frame for name, frame in reported_tables(evidence).items()}
    else:
        tables = {path.name: reported_rows(evidence)}
    texts = {name: _csv(frame) for name, frame in tables.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, "utf-8", newline="")
        _check_roundtrip(evidence, Path(folder) if base else Path(folder) / path.name, path)
    if base:
        path.mkdir()
        source = str(evidence.attrs["source"])
        home = shipped_folder("data") if source == SHIPPED_BASE else Path(source)
        if (home / BIBLIOGRAPHY).is_file():
            shutil.copyfile(home / BIBLIOGRAPHY, path / BIBLIOGRAPHY)
    for name, text in texts.items():
        # Mode "x" fails if the file has been created meanwhile.
        with (path / name if base else path).open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    return path


def _check_path(path: Path, base: bool) -> None:
    if path.exists() or path.is_symlink():
        hint = "Choose a new name; nothing was overwritten."
        issue = Issue("E160", "the path exists already", hint, str(path))
    elif not path.parent.is_dir():
        issue = Issue("E161", "no such folder", "Create it first.", str(path.parent))
    elif not base and path.suffix.lower() != ".csv":
        issue = Issue("E162", "the name does not end in .csv", "Choose one that does.", str(path))
    else:
        return
    raise EvidenceError([issue])


def _check_roundtrip(tree: xr.DataTree, written: Path, path: Path) -> None:
    """Stop unless the written files load as the same evidence."""
    row, column, problem = None, "", "it would load as different evidence"
    try:
        if _reloaded(written).attrs["evidence_hash"] == tree.attrs["evidence_hash"]:
            return
    except EvidenceError as error:
        first = error.issues[0]
        row, column, problem = first.row, first.column, first.message
    hint = "Check the column names and cells: CSV cannot hold some of them."
    message = f"the evidence cannot be written as CSV: {problem}"
    raise EvidenceError([Issue("E164", message, hint, str(path), row, column)])


def _reloaded(written: Path) -> xr.DataTree:
    """The written evidence; what was asked of a table's owner is decided already."""
    if written.is_dir():
        return load_evidence(written)
    return load_with_options(written, ImportOptions(labels="kept", missing=("NA",)), [])


# Tables with the columns and numbers of the reports.


def reported_rows(tree: xr.DataTree) -> pd.DataFrame:
    """The one table that flat evidence was loaded from."""
    studies, arms = to_frame(tree, "studies"), to_frame(tree, "arms")
    results, contrasts = to_frame(tree, "results"), to_frame(tree, "contrasts")
    without_result = arms.loc[~arms["arm"].isin(results["arm"]), "arm"]
    if len(without_result):
        message = f"{len(without_result)} arms have no result (first: '{without_result.iloc[0]}')"
        hint = "Remove them, or add their results."
        raise EvidenceError([Issue("E163", message, hint, tree.attrs["source"], None, "arm")])
    arm_columns = dict.fromkeys(["arm", "arm_id", "agent", "dose", *ARM_COLUMNS])
    of_arm = arms[[c for c in arm_columns if c in arms]]
    rows = results.merge(of_arm, on="arm", how="left", suffixes=("", "_of_arm"))
    rows = rows.drop(columns="arm").rename(columns={"arm_id": "arm"})
    rows["mean"] = rows["mean"].where(rows["mean_from"] == SE_PRINTED)
    names = {
        side: [
            label.removeprefix(f"{study}: ")
            for label, study in zip(contrasts[side], contrasts["study"], strict=True)
        ]
        for side in ("arm", "comparator_arm")
    }
    parts = [rows, _reported_contrasts(contrasts).assign(**names)]
    described = {*FLAT_COLUMNS, *ARM_COLUMNS, *STUDY_COLUMNS, *COMPUTED_COLUMNS, *RESERVED_COLUMNS}
    for name in ("studies", "arms", "results", "contrasts"):
        described |= {*TABLES[name].names}
    user_columns = {str(c) for part in parts for c in part} - described | {"time_point"}
    table = _stacked([part for part in parts if len(part)] or parts[:1])
    of_study = [c for c in ("condition", *STUDY_COLUMNS) if c in studies]
    table = table.drop(columns=[c for c in of_study if c in table])
    table = table.merge(studies[["study", *of_study]], on="study", how="left")
    if (table["time_point"] == table["time_label"]).all():
        table = table.drop(columns="time_point")
    table = table.sort_values("line", kind="stable", ignore_index=True)
    dropped = {*COMPUTED_COLUMNS, *RESERVED_COLUMNS} - {"time_point"}
    dropped |= {"agent_reported", "outcome_reported", "comparator_reported", "condition_group"}
    kept = [c for c in table if c in user_columns or not _is_blank(table[c])]
    order = {name: position for position, name in enumerate(FLAT_COLUMNS)}
    kept.sort(key=lambda name: order.get(str(name), len(order)))
    return table[[c for c in kept if c not in dropped]]


#: Columns that are derived at loading, besides `COMPUTED_COLUMNS`.
_DERIVED = {
    "arms": {"arm", "dose", "course_days", *DOSE_COLUMNS},
    "results": {"arm"},
    "contrasts": {"arm", "comparator_arm", "dose", "comparator_dose", "comparator_se", "condition"},
}


def reported_tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """The tables that a base was loaded from."""
    tables, arm_ids = {}, to_frame(tree, "arms").set_index("arm")["arm_id"]
    for name in (child for child in tree.children if child in TABLES):
        frame = to_frame(tree, name)
        if not len(frame) and not TABLES[name].required:
            continue
        if "line" in frame:
            frame = frame.sort_values("line", kind="stable", ignore_index=True)
        if name in ("results", "contrasts"):
            frame = frame.assign(arm_id=frame["arm"].map(arm_ids).fillna(""))
        if name == "contrasts":
            frame = _reported_contrasts(frame, all_ratios=True)
            frame = frame.assign(comparator_arm_id=frame["comparator_arm"].map(arm_ids).fillna(""))
        if name == "arms":
            derived = frame["dose_note"].str.contains(SCHEDULE_FROM_COLUMNS, regex=False)
            frame = frame.assign(schedule="") if derived.any() else frame
        columns = TABLES[name].names
        dropped = (COMPUTED_COLUMNS | _DERIVED.get(name, set())) - set(columns)
        if TABLE_DIMS.get(name, "row") == "row":
            dropped.add("row")
        known = [c for c in columns if c in frame]
        tables[name] = frame[[*known, *(c for c in frame if c not in {*known, *dropped})]]
    return tables


def _reported_contrasts(contrasts: pd.DataFrame, *, all_ratios: bool = False) -> pd.DataFrame:
    """Undo the logarithm of ratios, and remove derived standard errors."""
    logs = [f"log_{name}" for name in RATIO_MEASURES]
    ratio = contrasts["measure"].isin(logs) if all_ratios else contrasts["given_as"] != ""
    out = contrasts.assign(
        se=contrasts["se"].where(contrasts["se_from"] == SE_PRINTED),
        measure=contrasts["measure"].mask(ratio, contrasts["measure"].str.removeprefix("log_")),
    )
    for column in ("estimate", "ci_low", "ci_high"):
        logarithms = out.loc[ratio & out[column].notna(), column]
        out.loc[logarithms.index, column] = logarithms.map(_exact_ratio)
    if not all_ratios:
        added = ratio & (out["provenance"] == out["measure"].map(LOG_OF_RATIO.format))
        out["provenance"] = out["provenance"].mask(added, "")
    return out


def _exact_ratio(logarithm: float) -> float:
    """The shortest number with exactly this logarithm, or else a near one."""
    near = float(np.exp(logarithm))
    for digits in range(1, 18):
        short = float(f"{near:.{digits}g}")
        if short > 0 and np.log(short) == logarithm:
            return short
    for toward in (0.0, np.inf):
        value = near
        for _ in range(64):
            value = float(np.nextafter(value, toward))
            if np.log(value) == logarithm:
                return value
    return near


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames; cells of a column that a frame lacks are empty."""
    stacked = pd.concat(frames, ignore_index=True)
    for column in stacked:
        numeric = all(f[column].dtype.kind in "iufb" for f in frames if column in f)
        cells = stacked[column]
        stacked[column] = cells.astype(float) if numeric else cells.fillna("").astype("str")
    return stacked


def _is_blank(column: pd.Series) -> bool:
    return bool((column.isna() if column.dtype.kind in "iufb" else column == "").all())


# CSV.


def _csv(frame: pd.DataFrame) -> str:
    """Format a table: numbers in the fewest digits that reproduce them, formulas escaped."""
    columns = [_csv_cells(frame[column]) for column in frame]
    header = [escape_formula(str(column)) for column in frame]
    # On reading, the most frequent separator of the header is taken to be the separator.
    for separator in ",\t;":
        text = io.StringIO()
        rows = csv.writer(text, delimiter=separator, lineterminator="\n")
        rows.writerow(header)
        first = text.getvalue().splitlines()[0]
        if max(",;\t", key=first.count) == separator:
            break
    rows.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _csv_cells(column: pd.Series) -> list[str]:
    if column.dtype.kind in "iufb":
        return [_format_number(value) for value in column.to_numpy(float).tolist()]
    texts = column.to_numpy(object).tolist()
    escaped = {text: escape_formula(str(text)) for text in set(texts)}
    return [escaped[text] for text in texts]


def _format_number(value: float) -> str:
    if np.isnan(value):
        return ""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
