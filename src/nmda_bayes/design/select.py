"""Which rows of a study enter for an outcome: arm-level data, contrasts or responder counts.

Each trial contributes one data type: arm-level data if reported, else contrasts, else responder
counts; the spec names those that it admits. `STEPS` lists every reason to exclude a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.time_courses import HOURS_AFTER_END, HOURS_SINCE_START
from nmda_bayes.design.covariates import study_information, study_level_columns
from nmda_bayes.design.filters import (
    ARM_REPORT,
    CONTRAST_REPORT,
    HOURS_COLUMN,
    RESPONDER_REPORT,
    RowFilter,
    Tables,
    comparison_within_study,
    complete_values,
    crossover_periods,
    levels_or_changes,
    one_report_per_study,
    one_row_per_unit,
    preferred_measure,
    randomised_arms,
    requested_effects,
    same_time_point,
    time_point,
    usable_rows,
)
from nmda_bayes.design.pk_exposure import PK_COLUMNS, assign_exposure
from nmda_bayes.dims import ARM, CONTRAST, scoped_name, study_of
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec

#: The arm that a reading is of, the study at its hour, and whether the arm has other readings.
PARENT_ARM, READING, SAME_ARM = "parent_arm", "reading", "same_arm"
REPEATED_COLUMNS = (HOURS_AFTER_END, HOURS_SINCE_START, PARENT_ARM, READING, SAME_ARM)
ARM_COLUMNS = ["arm", "study", "agent", "condition", "route", "regimen", "exposure", "report"]
ROW_COLUMNS = [
    "measure",
    "time_hours",
    "time_label",
    "time_window",
    "source",
    "provenance",
    "dose_note",
    "se_from",
    "same_people",
]
#: Columns of a contrast's sides, besides those that reference doses name.
CONTRAST_SIDE_COLUMNS = ("route", "dose", "schedule", "agent_given")
#: Name of a column of the second, third, ... cut-off of an arm.
CUTOFF_COLUMN = "{}_{}"
CUTOFF_COLUMNS = ("measure", "events", "cutoff_share", "cutoff_points")


def known_exposure(selection: RowFilter) -> None:
    """Exclude rows without an exposure; of a contrast both sides need one."""
    if selection.report != CONTRAST_REPORT:
        rows = assign_exposure(selection.spec, selection.name, selection.rows, selection.tables)
        selection.rows = rows
        selection.keep(rows["exposure"].notna(), rows["exposure_missing"])
        return
    for side in ("", "comparator_"):
        arms = _side(selection.rows, selection.tables, side)
        arms = assign_exposure(selection.spec, selection.name, arms, selection.tables)
        selection.rows = selection.rows.assign(**{f"{side}exposure": arms["exposure"]})
        selection.keep(arms["exposure"].notna(), arms["exposure_missing"])


def all_cutoffs(selection: RowFilter) -> None:
    """Remember the counts of every cut-off; `nested_cutoffs` joins them to the selected rows."""
    selection.cutoff_rows = selection.rows


def nested_cutoffs(selection: RowFilter) -> None:
    """Join the other cut-offs of an arm (gains of 30%, and of those 50%) to its selected row."""
    if selection.report != RESPONDER_REPORT:
        return
    rows, joined = selection.rows, []
    included: set[tuple[str, str]] = set()
    not_nested: set[tuple[str, str]] = set()
    for row in rows.to_dict("records"):
        cutoffs = _cutoffs_of(row, selection.cutoff_rows)
        nested = cutoffs[cutoffs["events"] <= cutoffs["events"].cummin()]
        if len(nested) < len(cutoffs):
            not_nested |= {(row["arm"], measure) for measure in cutoffs["measure"]}
        values = {column: row[column] for column in CUTOFF_COLUMNS}
        if row["measure"] in set(nested["measure"]) and len(nested) > 1:
            included |= {(row["arm"], measure) for measure in nested["measure"]}
            for level, cutoff in enumerate(nested.to_dict("records"), start=1):
                values |= {cutoff_column(c, level): cutoff[c] for c in CUTOFF_COLUMNS}
        joined.append(values)
    columns = list(dict.fromkeys(column for values in joined for column in values))
    selection.rows = rows.assign(
        **{column: [values.get(column, np.nan) for values in joined] for column in columns}
    )

    def change(excluded: pd.DataFrame) -> pd.DataFrame:
        keys = pd.Series(
            list(zip(excluded["arm"], excluded["measure"], strict=True)),
            index=excluded.index,
            dtype=object,
        )
        failed = keys.isin(list(not_nested))
        reason = excluded["reason"].mask(failed, "more responders than at an easier cut-off")
        step = excluded["step"].mask(failed, nested_cutoffs.__name__)
        return excluded.assign(reason=reason, step=step)[~keys.isin(list(included))]

    selection.revise(preferred_measure.__name__, change)


def _cutoffs_of(row: dict[Any, Any], rows: pd.DataFrame) -> pd.DataFrame:
    """Find a row's counts of the same patients at the same time, the easiest cut-off first."""
    hours, same_hours = row["time_hours"], rows["time_hours"].isna()
    if not pd.isna(hours):
        same_hours = rows["time_hours"] == hours
    same_patients = (rows["arm"] == row["arm"]) & (rows["n"] == row["n"])
    rows = rows[same_patients & same_hours & (rows["time_label"] == row["time_label"])]
    # A share and a number of points cannot be ordered before the starting level is known.
    by_share = bool(row["cutoff_share"])
    order = "cutoff_share" if by_share else "cutoff_points"
    rows = rows[(rows["cutoff_share"] > 0) == by_share]
    # Of two measures with the same cut-off the selected one comes first.
    rows = rows.assign(other=(rows["measure"] != row["measure"]).astype(int))
    return rows.sort_values([order, "other"], kind="stable").drop_duplicates(order)


def cutoff_column(column: str, level: int) -> str:
    """Name a column of an arm's first, second, ... cut-off."""
    return column if level == 1 else CUTOFF_COLUMN.format(column, level)


def n_cutoffs(reported: Any) -> int:
    """Count the cut-offs that an arm may have."""
    level = 1
    while cutoff_column("events", level + 1) in reported:
        level += 1
    return level


#: Every step of the selection, in its order.
STEPS = (
    usable_rows,
    one_report_per_study,
    requested_effects,
    complete_values,
    crossover_periods,
    all_cutoffs,
    known_exposure,
    time_point,
    study_information,
    preferred_measure,
    levels_or_changes,
    randomised_arms,
    same_time_point,
    one_row_per_unit,
    comparison_within_study,
    nested_cutoffs,
)


@dataclass
class Selection:
    """The rows that enter for one outcome, and those that do not."""

    arms: pd.DataFrame
    contrasts: pd.DataFrame | None
    excluded: pd.DataFrame


def select_rows(name: str, spec: AnalysisSpec, tables: Tables) -> Selection:
    """Select the rows that enter for one outcome."""
    outcome = spec.outcomes[name]
    only_contrasts = LIKELIHOODS[outcome.likelihood].contrasts
    requested = {
        ARM_REPORT: not only_contrasts,
        CONTRAST_REPORT: only_contrasts or outcome.contrasts is not None,
        RESPONDER_REPORT: not only_contrasts and outcome.responders is not None,
    }
    parts: list[Selection] = []
    for report in [report for report, is_requested in requested.items() if is_requested]:
        included = frozenset(study for part in parts for study in part.arms["study"])
        selection = RowFilter(spec, name, report, tables, included)
        selection.apply(STEPS)
        arms, contrasts = (
            _select_contrasts(selection)
            if report == CONTRAST_REPORT
            else (_select_arms(selection), None)
        )
        parts.append(Selection(arms, contrasts, selection.excluded))
    return _concat(parts)


def _concat(parts: list[Selection]) -> Selection:
    """Concatenate the data types; contrasts keep pointing at their arms."""
    contrasts, n_before = None, 0
    for part in parts:
        if part.contrasts is not None and not part.contrasts.empty:
            positions = part.contrasts[["arm_position", "comparator_position"]] + n_before
            contrasts = part.contrasts.assign(**positions)
        n_before += len(part.arms)
    arms = [part.arms for part in parts if not part.arms.empty] or [parts[0].arms]
    excluded = pd.concat([part.excluded for part in parts], ignore_index=True)
    return Selection(pd.concat(arms, ignore_index=True), contrasts, excluded)


def _select_arms(selection: RowFilter) -> pd.DataFrame:
    """Make the design's arms from the selected rows."""
    likelihood, outcome = selection.likelihood, selection.outcome
    rows = add_clock_columns(outcome, selection.rows.assign(report=selection.report))
    if selection.report == RESPONDER_REPORT:
        values = ["events", "n", "cutoff_share", "cutoff_points"]
        levels = range(2, n_cutoffs(rows) + 1)
        cutoffs = [cutoff_column(c, level) for level in levels for c in CUTOFF_COLUMNS]
    else:
        values, cutoffs = list(likelihood.columns), []
        values += [likelihood.second_observed, "se"] if likelihood.second_observed else []
    added = [column for column in (*PK_COLUMNS, *REPEATED_COLUMNS) if column in rows]
    by_study = study_level_columns(outcome)
    columns = [*ARM_COLUMNS, *values, *ROW_COLUMNS, *added, *by_study, *cutoffs]
    return rows.reindex(columns=columns).reset_index(drop=True)


def add_clock_columns(outcome: OutcomeSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the hours that a time course uses, and label repeated measures by their hour."""
    if outcome.is_time_varying:
        hours = {HOURS_AFTER_END: rows[HOURS_COLUMN], HOURS_SINCE_START: rows["time_hours"]}
        rows = rows.assign(**hours)
    if not outcome.has_repeated_measures:
        return rows
    hour = rows["time_hours"].map(", {:g} h".format).astype("str")
    is_repeated = rows.groupby("arm")["arm"].transform("size") > 1
    return rows.assign(
        **{
            PARENT_ARM: rows["arm"],
            READING: rows["study"] + hour,
            SAME_ARM: is_repeated.astype(float),
            "arm": rows["arm"] + hour,
        }
    )


def parent_arms(arms: pd.DataFrame) -> pd.Series:
    """The arm of each row, without an hour."""
    return arms[PARENT_ARM].fillna(arms["arm"]) if PARENT_ARM in arms else arms["arm"]


def _side(rows: pd.DataFrame, tables: Tables, side: str) -> pd.DataFrame:
    """Present one side of each contrast as arms, with the doses of its arm where that is known."""
    dose_columns = tables["references"]["dose_column"].unique()
    columns = list(dict.fromkeys([*CONTRAST_SIDE_COLUMNS, *dose_columns]))
    arms = tables["arms"].drop_duplicates("arm").set_index("arm").reindex(columns=columns)
    of_arm = arms.reindex(rows[f"{side}arm"]).set_axis(rows.index)
    stated = {c: rows[f"{side}{c}"] for c in columns if f"{side}{c}" in rows}
    stated = {c: values.where(values.notna(), of_arm[c]) for c, values in stated.items()}
    agent = rows["comparator" if side else "agent"]
    of_arm = of_arm.assign(route=of_arm["route"].astype(object).fillna(""))
    return of_arm.assign(agent=agent, **stated, **rows[["study", "time_hours"]])


def _select_contrasts(selection: RowFilter) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the contrasts, and their arms: one for each agent, exposure and arm of a study."""
    rows, outcome = selection.rows.reset_index(drop=True), selection.outcome
    hours = [HOURS_COLUMN, "time_hours"] if outcome.is_time_varying else []
    by_study = [*study_level_columns(outcome), *hours]
    shared = {"study": rows["study"], "condition": rows["condition_group"]}
    shared |= {column: rows[column] for column in by_study}
    sides, texts = [], []
    for agent, exposure in (("agent", "exposure"), ("comparator", "comparator_exposure")):
        texts.append(rows[agent] + rows[exposure].map(" {:g}".format).astype("str"))
        sides.append(pd.DataFrame({**shared, "agent": rows[agent], "exposure": rows[exposure]}))
    texts = _distinct_arms(rows, texts)
    sides = [
        side.assign(arm=side["study"] + ": " + text)
        for side, text in zip(sides, texts, strict=True)
    ]
    arms = pd.concat(sides).drop_duplicates("arm")
    arms = arms.assign(route="", regimen="", report=CONTRAST_REPORT, same_people=0.0)
    arms = arms.sort_values("study", kind="stable").reset_index(drop=True)
    positions = [pd.Index(arms["arm"]).get_indexer(side["arm"]) for side in sides]
    contrasts = pd.DataFrame(
        {
            study_of(CONTRAST): rows["study"],
            "contrast": rows["study"] + ": " + texts[0] + " vs " + texts[1],
            "arm_position": positions[0],
            "comparator_position": positions[1],
            "estimate": rows["estimate"],
            "estimate_se": rows["se"],
            "estimate_se_from": rows["se_from"],
            "comparator_se": rows["comparator_se"],
            "estimate_source": rows["source"],
        }
    )
    arms = add_clock_columns(outcome, arms[[*ARM_COLUMNS, "same_people", *by_study]])
    return arms.drop(columns=hours), contrasts


def _distinct_arms(rows: pd.DataFrame, texts: list[pd.Series]) -> list[pd.Series]:
    """Add the name of an arm where a study has several with the same agent and exposure."""
    named = pd.concat(
        [
            pd.DataFrame({"study": rows["study"], "text": text, "arm": rows[arm]})
            for text, arm in zip(texts, ("arm", "comparator_arm"), strict=True)
        ],
        ignore_index=True,
    )
    several = named.groupby(["study", "text"])["arm"].transform("nunique") > 1
    names = [
        f" ({arm.removeprefix(f'{study}: ')})" if arm else ""
        for study, arm in zip(named["study"], named["arm"], strict=True)
    ]
    distinct = named["text"] + pd.Series(names, index=named.index, dtype="str").where(several, "")
    n = len(rows)
    return [distinct[side * n : (side + 1) * n].set_axis(rows.index) for side in range(len(texts))]


class ObservedVariable(NamedTuple):
    """What some of an outcome's trials report: one observed variable of the fit."""

    variable: str
    report_format: str
    design: xr.Dataset
    at_risk: str

    @property
    def counts(self) -> bool:
        """True where events are counted."""
        return bool(self.at_risk)


def observed_variables(
    spec: AnalysisSpec, design: xr.Dataset, outcome: str
) -> list[ObservedVariable]:
    """List the observed variables of an outcome, one for each data type of its trials."""
    likelihood = LIKELIHOODS[spec.outcomes[outcome].likelihood]
    suffixes = {
        ARM_REPORT: "",
        RESPONDER_REPORT: "_responders",
        CONTRAST_REPORT: "" if likelihood.contrasts else "_contrasts",
    }
    at_risk = {
        ARM_REPORT: likelihood.columns[1] if likelihood.counts else "",
        RESPONDER_REPORT: "n",
        CONTRAST_REPORT: "",
    }
    variables = []
    for report, suffix in suffixes.items():
        arms = np.flatnonzero(design["report"].to_numpy() == report)
        if len(arms):
            rows = design if report == CONTRAST_REPORT else design.isel({ARM: arms})
            name = scoped_name(outcome, f"reported{suffix}", single_outcome=spec.single_outcome)
            variables.append(ObservedVariable(name, report, rows, at_risk[report]))
    return variables
