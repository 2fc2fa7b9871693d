"""Bring your own: one flat table, one row an arm (of an outcome) or one row a contrast."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault
from nmda_bayes.evidence.faults import few_of_a_kind, missing_columns, numbers
from nmda_bayes.evidence.flat_rules import row_faults, study_faults
from nmda_bayes.evidence.reading import LINE, Sheet
from nmda_bayes.evidence.tables import TABLES
from nmda_bayes.evidence.tree import arm_label, evidence_tree, hours_after_treatment
from nmda_bayes.evidence.tree import standard_errors as standard_errors_of

#: Columns that a flat table may have. What else it has is kept with the rows, for selecting.
TEXTS = (
    *("study", "agent", "comparator", "arm", "condition", "outcome"),
    *("time_label", "time_window", "route", "regimen", "measure", "source"),
)
NUMBERS = (
    *("dose", "comparator_dose", "events", "n", "mean", "se", "sd", "estimate", "comparator_se"),
    *("time_hours", "scale_min", "scale_max", "is_change_score"),
)

#: Where a table says what an arm showed, one of these sets must be there.
READINGS = (("events", "n"), ("mean", "se"), ("mean", "sd", "n"), ("comparator", "estimate", "se"))


def load_flat(sheet: Sheet, source: str) -> xr.DataTree:
    """Load and check a flat table.

    Parameters
    ----------
    sheet
        The table as text.
    source
        How the user named it.

    Returns
    -------
    xr.DataTree
        The same tree as a base gives; any word may be an agent or an outcome.

    Raises
    ------
    EvidenceError
        With every fault of the table.
    """
    if sheet.cells.empty:
        raise EvidenceError(sheet.faults)
    faults = [*sheet.faults, *missing_columns(sheet, ("study", "agent")), *_reading_faults(sheet)]
    rows, wrong = _typed(sheet)
    faults += wrong
    if not any(fault.row is None for fault in faults):
        told = {(fault.row, fault.column) for fault in wrong}
        found = (*row_faults(rows, sheet.file), *study_faults(rows, sheet.file))
        faults += [fault for fault in found if (fault.row, fault.column) not in told]
    if faults:
        raise EvidenceError(few_of_a_kind(faults))
    return evidence_tree(_tables(rows), source=source, kind="flat")


def _reading_faults(sheet: Sheet) -> Iterator[Fault]:
    have = {str(column) for column in sheet.cells}
    if not any(have >= set(reading) for reading in READINGS):
        known = {c for reading in READINGS for c in reading}
        begun = max(READINGS, key=lambda reading: len(have & set(reading)) / len(reading))
        if have & (known - {"n", "se"}):
            yield from missing_columns(sheet, begun)
        else:
            sets = " or ".join(", ".join(reading) for reading in READINGS)
            yield Fault(
                "no column says what was seen", f"Add the columns {sets}.", sheet.file, 1, "events"
            )
    misspelt = {*TEXTS, *NUMBERS} - have
    folded = {c.casefold().strip().replace(" ", "_"): c for c in have}
    for name in sorted(misspelt & set(folded)):
        if name not in ("study", "agent", *(c for reading in READINGS for c in reading)):
            yield Fault(
                f"the column '{folded[name]}' is not read",
                f"Rename it to '{name}', or to something else if it is not meant.",
                sheet.file,
                1,
                folded[name],
            )


def _typed(sheet: Sheet) -> tuple[pd.DataFrame, list[Fault]]:
    """Give every column its type; columns that are not there are empty."""
    index = sheet.cells.index
    columns: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    for name in TEXTS:
        given = sheet.cells.get(name)
        columns[name] = pd.Series("", index=index, dtype="str") if given is None else given
    for name in NUMBERS:
        if name in sheet.cells:
            columns[name], wrong = numbers(sheet, name)
            faults += wrong
        else:
            columns[name] = pd.Series(np.nan, index=index)
    for name in map(str, sheet.cells):
        if name not in columns and name != LINE:
            values, wrong = numbers(sheet, name)
            columns[name] = sheet.cells[name] if wrong or values.isna().all() else values
    rows = pd.DataFrame(columns).assign(**{LINE: sheet.cells[LINE]})
    rows["is_contrast"] = rows["comparator"] != ""
    rows["has_dose"] = "dose" in sheet.cells
    rows["names_arms"] = "arm" in sheet.cells
    rows["arm_id"] = _arm_names(rows)
    return rows, faults


def _arm_names(rows: pd.DataFrame) -> pd.Series:
    """Name an arm by its own name, or by its agent and dose."""
    dose = rows["dose"].map(lambda x: "" if np.isnan(x) or x == 0 else f" {x:g}")
    return rows["arm"].where(rows["arm"] != "", rows["agent"] + dose)


def _tables(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    condition = rows["condition"].where(rows["condition"] != "", "all")
    rows = rows.assign(condition=condition, condition_group=condition)
    # An agent called placebo with no dose of its own is the zero of the dose axis.
    rows["dose"] = rows["dose"].where(
        rows["dose"].notna() | (rows["agent"] != "placebo") | rows["is_contrast"], 0.0
    )
    of_arms, of_contrasts = rows[~rows["is_contrast"]], rows[rows["is_contrast"]]
    arms = _arms(of_arms)
    return {
        "studies": _studies(rows),
        "arms": arms,
        "results": _results(of_arms, arms),
        "contrasts": _contrasts(of_contrasts),
        "reference_doses": _like("reference_doses", pd.DataFrame()),
        "published": _like("published", pd.DataFrame()),
    }


def _like(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Give rows every column of a table of the base, empty where the flat table says nothing."""
    columns = {}
    for column in TABLES[name].columns:
        if column.name in rows:
            columns[column.name] = rows[column.name]
        elif column.numeric:
            columns[column.name] = pd.Series(np.nan, index=rows.index, dtype=float)
        else:
            columns[column.name] = pd.Series("", index=rows.index, dtype="str")
    return pd.DataFrame(columns, index=rows.index)


def _studies(rows: pd.DataFrame) -> pd.DataFrame:
    return _like("studies", rows.drop_duplicates("study").drop(columns=["source"]))


def _arms(rows: pd.DataFrame) -> pd.DataFrame:
    first = rows.drop_duplicates(["study", "arm_id"])
    label = arm_label(first["study"], first["arm_id"])
    reported = first.assign(agent_reported=first["agent"])
    return _like("arms", reported.drop(columns=["source"])).assign(
        arm=label, dose=first["dose"], dose_note=""
    )


def _results(rows: pd.DataFrame, arms: pd.DataFrame) -> pd.DataFrame:
    kind = np.where(rows["events"].notna(), "binary", "continuous")
    rows = rows.assign(kind=kind, outcome_reported=rows["outcome"], provenance="given")
    results = _like("results", rows).drop(columns="arm_id")
    results = results.assign(
        arm=arm_label(rows["study"], rows["arm_id"]),
        line=rows[LINE],
        se_used=standard_errors_of(rows),
        time_point=_time_point(rows),
    )
    results["hours_after_treatment"] = hours_after_treatment(results, arms)
    return results.assign(**_extra(rows, results))


def _contrasts(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(provenance="given", outcome_reported=rows["outcome"])
    contrasts = _like("contrasts", rows).drop(columns=["arm_id", "comparator_arm_id"])
    columns = ["condition", "dose", "comparator_dose", "comparator_se", LINE]
    comparator_dose = rows["comparator_dose"].where(
        rows["comparator_dose"].notna() | (rows["comparator"] != "placebo"), 0.0
    )
    contrasts = contrasts.assign(**rows.assign(comparator_dose=comparator_dose)[columns])
    contrasts = contrasts.assign(arm="", comparator_arm="", time_point=_time_point(rows))
    return contrasts.assign(**_extra(rows, contrasts))


def _time_point(rows: pd.DataFrame) -> pd.Series:
    """Give the user's own word for the time: a flat table may use any."""
    return rows["time_point"] if "time_point" in rows else rows["time_label"]


def _extra(rows: pd.DataFrame, made: pd.DataFrame) -> dict[str, pd.Series]:
    """Give the user's own columns, which a spec may select by."""
    ours = {*TEXTS, *NUMBERS, "is_contrast", "has_dose", "names_arms", "arm_id", "condition_group"}
    taken = {*ours, *made, *TABLES["studies"].names, *TABLES["arms"].names, "kind", LINE}
    return {str(name): rows[name] for name in rows if name not in taken}
