"""Load evidence: the shipped base, a folder of tables, one table of the user, or a data frame."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Issue, suggest_match
from nmda_bayes.evidence.doses import arm_doses, dose_issues
from nmda_bayes.evidence.flat import load_flat
from nmda_bayes.evidence.importers.options import ImportOptions, parse_options
from nmda_bayes.evidence.importers.user_table import load_table
from nmda_bayes.evidence.schema import TABLES
from nmda_bayes.evidence.table_io import (
    LINE,
    Frame,
    RawTable,
    is_frame,
    table_from_frame,
)
from nmda_bayes.evidence.text_table import read_text_table
from nmda_bayes.evidence.tree import (
    arm_label,
    blinding_levels,
    carry_over,
    contrasts_on_model_scale,
    evidence_tree,
    hours_after_treatment,
    standard_error_sources,
    standard_errors,
    terms,
    to_frame,
)
from nmda_bayes.evidence.validate import (
    CODED_COLUMNS,
    Frames,
    empty_column,
    folder_issues,
    truncate_repeats,
    validate_table,
)
from nmda_bayes.evidence.workbook import is_workbook, read_workbook
from nmda_bayes.registry import shipped_folder

#: The name of the shipped base in specs and on the command line.
SHIPPED_BASE = "nmda"
#: The Cochrane review's rows, each analysis an outcome under the review's number.
REVIEW_BASE = "cochrane_2025"


def load_evidence(
    source: str | Path | Frame | None = None,
    format: str | None = None,
    *,
    groups: tuple[str, str] | None = None,
    scale: tuple[float, float] | None = None,
    measure: str | None = None,
    settings: Iterable[str] = (),
) -> xr.DataTree:
    """Load and check evidence; all errors are reported at once.

    Parameters
    ----------
    source
        None or ``"nmda"``: the shipped base. ``"cochrane_2025"``: the rows of the Cochrane review,
        each analysis an outcome under its number. A folder: the same tables as the base. A CSV or
        TSV file, an Excel workbook (``file.xlsx``, the only sheet with a table, or
        ``file.xlsx#Sheet``), a pandas or polars frame: your own data, one row per arm (``study,
        agent, dose`` with ``events, n`` or ``mean, se`` or ``mean, sd, n``) or per contrast
        (``study, agent, comparator, estimate, se``), or in the format of another package. A frame
        is not changed.
    format
        The format of your own data, such as ``netmeta`` (``nmda-bayes check --help`` lists them),
        or one layout of it, such as ``netmeta/contrasts``. None: detected by its columns.
    groups
        Names of the first and second group, where the table does not name them.
    scale
        Lower and upper end of the scale of means, where the table does not give them.
    measure
        The effect measure of contrasts (``log_OR``, ``SMD``, ``MD``, ...), where the table does
        not give it.
    settings
        What else the table does not say, and decisions about it, in the words of ``--set``:
        ``settings=["ignore=region", "doses=separate"]``.

    Returns
    -------
    xr.DataTree
        Datasets ``studies`` (dim study), ``arms`` (dim arm), ``results``, ``contrasts``,
        ``reference_doses``, ``published`` (dim row), and in a base ``comparisons``,
        ``pharmacokinetics``, ``concentrations``, ``risk_of_bias`` and ``vocabulary``; attributes
        ``source``, ``kind`` (base or flat), ``evidence_hash``.

    Raises
    ------
    EvidenceError
        With every error of all tables: code, file, row (the header is line 1), column and a hint.

    Examples
    --------
    >>> frame = pd.DataFrame(
    ...     {
    ...         "study": ["A", "A"],
    ...         "agent": ["placebo", "ketamine"],
    ...         "events": [2, 5],
    ...         "n": [20, 21],
    ...     }
    ... )
    >>> nb.load_evidence(frame)["arms"]["arm"].to_numpy().tolist()
    ['A: placebo', 'A: ketamine']
    """
    options = parse_options(settings, format)
    options = replace(
        options,
        groups=options.groups if groups is None else groups,
        scale=options.scale if scale is None else scale,
        measure=options.measure if measure is None else measure,
    )
    return load_with_options(source, options)


def load_with_options(
    source: str | Path | Frame | None,
    options: ImportOptions,
    questions: list[Issue] | None = None,
    without: Collection[int] = (),
) -> xr.DataTree:
    """Load evidence, with the information that a user's table lacks.

    What only the owner of a table can decide is added to `questions`, or raised without a list;
    `without`: rows of a user's table that are left out.
    """
    if is_frame(source):
        table = table_from_frame(source, "data frame (row 2 is its first)")
        return load_table(_without_rows(table, without), "data frame", options, questions)
    if not isinstance(source, str | Path | None):
        raise TypeError(f"evidence is a path, a data frame or None, not {type(source).__name__}")
    base = _load_base(source)
    if base is not None:
        if replace(options, reference=None) != ImportOptions():
            hint = "Leave out --format and --set: they apply to your own data."
            raise EvidenceError(
                [Issue("E166", "options do not apply to an evidence base", hint, str(source))]
            )
        return base
    path = Path(str(source))
    if is_workbook(path):
        table = _without_rows(read_workbook(path, options.sheet), without)
        return load_table(table, str(source), options, questions)
    if not path.exists():
        hint = f"Give a folder, a CSV or Excel file, or '{SHIPPED_BASE}' for the shipped base."
        raise EvidenceError([Issue("E100", "no such file or folder", hint, str(source))])
    table = _without_rows(read_text_table(path, tidy=True), without)
    return load_table(table, str(source), options, questions)


def _without_rows(table: RawTable, rows: Collection[int]) -> RawTable:
    if not rows or table.cells.empty:
        return table
    cells = table.cells[~table.cells[LINE].isin(list(rows))].reset_index(drop=True)
    issues = [issue for issue in table.issues if issue.row not in rows]
    if cells.empty:
        issues.append(table.issue("E102", "the table has no rows", "Add at least one row."))
    return replace(table, cells=cells, issues=issues)


def is_base(source: str | Path) -> bool:
    """Whether a source is an evidence base: the shipped one, the review's rows, or a folder."""
    return str(source) in (SHIPPED_BASE, REVIEW_BASE) or Path(source).is_dir()


def _load_base(source: str | Path | None) -> xr.DataTree | None:
    """Load the shipped base, the review's rows, or a folder of tables; None for other sources."""
    # The command line passes paths, a notebook strings.
    if source is None or str(source) == SHIPPED_BASE:
        return load_folder(shipped_folder("data"), SHIPPED_BASE)
    if str(source) == REVIEW_BASE:
        base = load_folder(shipped_folder("data"), SHIPPED_BASE)
        rows = table_from_frame(review_evidence(base), f"{REVIEW_BASE} (row 2 is its first)")
        tree = load_flat(rows, REVIEW_BASE)
        tree["published"] = base["published"].copy()
        return tree
    return load_folder(Path(source), str(source)) if Path(source).is_dir() else None


# A folder of tables.


def load_folder(folder: Path, source: str) -> xr.DataTree:
    """Check and load a folder of tables."""
    required = [f"{table.name}.csv" for table in TABLES.values() if table.required]
    missing = [name for name in required if not (folder / name).is_file()]
    if missing:
        message = f"the folder has no {', '.join(missing)}"
        hint = "Give a folder with these tables."
        raise EvidenceError([Issue("E115", message, hint, str(folder))])
    frames, issues = _read_tables(folder)
    frames = _apply_vocabulary(frames)
    issues += [*folder_issues(frames, folder), *dose_issues(frames)]
    if issues:
        raise EvidenceError(truncate_repeats(issues))
    return evidence_tree(_derive_columns(frames), source=source, kind="base")


def _read_tables(folder: Path) -> tuple[Frames, list[Issue]]:
    frames: Frames = {}
    issues: list[Issue] = []
    for name, table in TABLES.items():
        path = folder / f"{name}.csv"
        if name == "vocabulary" and not path.is_file():
            path = shipped_folder("data") / path.name
        if path.is_file():
            frames[name], table_issues = validate_table(read_text_table(path), table)
            issues += table_issues
        else:
            columns = {c.name: empty_column(c, pd.RangeIndex(0)) for c in table.columns}
            frames[name] = pd.DataFrame({**columns, LINE: pd.Series(dtype=int)})
    return frames, issues


def _apply_vocabulary(frames: Frames) -> Frames:
    """Replace synonyms by their terms; the wording of the source is kept in *_reported."""
    applied = dict(frames)
    for name, columns in CODED_COLUMNS.items():
        for column, kind in columns.items():
            frame, reported = applied[name], f"{column}_reported"
            words = frame[column]
            if reported in frame:
                original = frame[reported].where(frame[reported] != "", words)
                frame = frame.assign(**{reported: original})
            applied[name] = frame.assign(**{column: terms(words, frames["vocabulary"], kind)})
    return applied


def _derive_columns(frames: Frames) -> Frames:
    vocabulary = frames["vocabulary"]
    studies, arms = frames["studies"], frames["arms"]
    results, contrasts = frames["results"], frames["contrasts"]
    studies = studies.assign(
        blinding_level=blinding_levels(studies["blinding"], vocabulary),
        carry_over=carry_over(studies),
    )
    arms = arm_doses(arms, frames["conversions"], frames["reference_doses"]).assign(
        arm=arm_label(arms["study"], arms["arm_id"]),
        dose=np.where(arms["agent"] == "placebo", 0.0, np.nan),
    )
    results = results.assign(
        arm=arm_label(results["study"], results["arm_id"]),
        se_used=standard_errors(results),
        se_from=standard_error_sources(results),
        hours_after_treatment=hours_after_treatment(results, arms),
        time_point=terms(results["time_label"], vocabulary, "time_point"),
    ).drop(columns="arm_id")
    condition = studies.set_index("study")["condition_group"]
    contrasts = (
        contrasts_on_model_scale(contrasts)
        .assign(
            arm=arm_label(contrasts["study"], contrasts["arm_id"]),
            comparator_arm=arm_label(contrasts["study"], contrasts["comparator_arm_id"]),
            condition=contrasts["study"].map(condition).astype("str"),
            dose=np.nan,
            comparator_dose=np.where(contrasts["comparator"] == "placebo", 0.0, np.nan),
            comparator_se=np.nan,
            time_point=terms(contrasts["time_label"], vocabulary, "time_point"),
        )
        .drop(columns=["arm_id", "comparator_arm_id"])
    )
    return {**frames, "studies": studies, "arms": arms, "results": results, "contrasts": contrasts}


# The Cochrane review's comparisons as flat tables, so that its pooled results can be reproduced.


def review_analysis(tree: xr.DataTree, analysis: str) -> pd.DataFrame:
    """Return an analysis of the Cochrane review as a flat table that `load_evidence` reads.

    The rows are the review's: S-ketamine counts as ketamine, an active placebo as placebo, and
    numbers are the review's even where the base prefers another source.

    Parameters
    ----------
    tree
        The shipped base.
    analysis
        The review's number of the analysis, such as ``"1.12"``.

    Returns
    -------
    pd.DataFrame
        Two rows per trial, with the columns of a flat table.

    Raises
    ------
    EvidenceError
        If the base does not have the analysis.

    Examples
    --------
    >>> rows = nb.evidence.review_analysis(nb.load_evidence(), "1.12")
    >>> rows["agent"].unique().tolist()
    ['ketamine', 'placebo']
    """
    rows = to_frame(tree, "comparisons") if "comparisons" in tree.children else pd.DataFrame()
    known = sorted(set(rows.get("analysis", ())), key=lambda a: [int(x) for x in a.split(".")])
    if analysis not in known:
        message, hint = f"the base has no analysis '{analysis}'", suggest_match(analysis, known)
        raise EvidenceError([Issue("E165", message, hint, "comparisons.csv", None, "analysis")])
    rows = rows[rows["analysis"] == analysis]
    stratum = rows["footnote"].where(rows["footnote"].str.contains("stratum"), "")
    study = rows["study"] + (" (" + stratum + ")").where(stratum != "", "")
    shared = {"study": study, **{c: rows[c] for c in ("outcome", "time_window", "source")}}
    numbers = ["mean", "sd"] if (rows["kind"] == "continuous").all() else ["events"]
    sides = [
        pd.DataFrame(
            {**shared, "agent": rows[agent], **{c: rows[prefix + c] for c in (*numbers, "n")}}
        )
        for agent, prefix in (("agent", ""), ("comparator", "comparator_"))
    ]
    return pd.concat(sides).sort_index(kind="stable").reset_index(drop=True)


def review_evidence(tree: xr.DataTree) -> pd.DataFrame:
    """Every analysis of the Cochrane review as one flat table, its number as the outcome."""
    numbers = dict.fromkeys(to_frame(tree, "comparisons")["analysis"])
    frames = [review_analysis(tree, number).assign(outcome=number) for number in numbers]
    return pd.concat(frames, ignore_index=True)
