"""Load a flat table: one row per arm (of an outcome and time), or one row per contrast."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence.derive import derive_arms, derive_contrasts, rounding_half_widths
from nmda_bayes.evidence.flat_rules import (
    agreement_rule,
    cell_rules,
    content_rules,
    missing_reasons,
    study_issues,
)
from nmda_bayes.evidence.flat_schema import (
    ARM_COLUMNS,
    FLAT_COLUMNS,
    FLAT_DOSE_COLUMNS,
    LENIENT_COLUMNS,
    RESERVED_COLUMNS,
    STUDY_COLUMNS,
    FlatRows,
    flat_issues,
    header_issues,
    parse_rows,
    rows_without_errors,
)
from nmda_bayes.evidence.schema import TABLES
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.tree import (
    BLINDING_NOT_STATED,
    NO_DISPERSION,
    RATIO_MEASURES,
    arm_label,
    carry_over,
    evidence_tree,
    hours_after_treatment,
    log_transform_ratios,
)
from nmda_bayes.evidence.validate import Truncated, empty_column, truncate_repeats

#: The provenance of a number that a table gives without one, and of a ratio.
AS_GIVEN = "given"
LOG_OF_RATIO = "given as {}; its logarithm is taken"

_NUMBER_COLUMNS = [name for name, column in FLAT_COLUMNS.items() if column.numeric]


def load_flat(table: RawTable, source: str) -> xr.DataTree:
    """Check and load a flat table."""
    if table.cells.empty:
        raise EvidenceError(table.issues)
    rows, parse_issues = parse_rows(table)
    issues = [*table.issues, *header_issues(table), *parse_issues]
    if not any(issue.row is None and not isinstance(issue, Truncated) for issue in issues):
        rules = list(cell_rules(rows))
        sound = rows_without_errors(rules, rows)
        derived = _derived_values(rows, sound)
        content = list(content_rules(rows, derived, sound & (rows.unusable == "")))
        reasons = missing_reasons(content, rows)
        content = [rule._replace(broken=rule.broken & (reasons == "")) for rule in content]
        issues += flat_issues([*rules, *content, agreement_rule(derived, sound)], rows)
        issues += study_issues(rows)
    if issues:
        raise EvidenceError(truncate_repeats(issues))
    rows.frame["unusable"] = rows.unusable.where(rows.unusable != "", reasons)
    return evidence_tree(_tables(rows, derived), source=source, kind="flat")


def _derived_values(rows: FlatRows, sound: pd.Series) -> pd.DataFrame:
    """Means, standard errors and log ratios of the sound rows, and how each was obtained."""
    frame = rows.frame
    kept = ["estimate", "ci_low", "ci_high", "measure", "mean", "is_change_score"]
    texts = dict.fromkeys(("mean_from", "se_from", "conflict"), "")
    derived = frame[kept].assign(se=np.nan, sd_relative_se=np.nan, **texts)
    derived = derived.astype(dict.fromkeys(texts, object))
    # Rounding matters only where one number can contradict another.
    several = len(rows.names & {"se", "sd", "change_sd", "pre_sd", "ci_low", "t", "f", "p"}) > 1
    printed = sorted({*_NUMBER_COLUMNS} & rows.names) if several else []
    half = rounding_half_widths(rows.raw, printed).reindex(columns=_NUMBER_COLUMNS, fill_value=0.0)
    parts = []
    arms = sound & ~frame["is_contrast"]
    if arms.any():
        parts.append(derive_arms(frame[arms], half[arms]))
    is_contrast = sound & frame["is_contrast"]
    if is_contrast.any():
        contrasts, half = frame[is_contrast], half[is_contrast]
        logs = log_transform_ratios(contrasts)[["estimate", "ci_low", "ci_high", "measure"]]
        ratio = contrasts["measure"].isin(RATIO_MEASURES)
        for column in ("estimate", "ci_low", "ci_high"):
            half = half.assign(**{column: half[column] / contrasts[column].where(ratio, 1.0)})
        parts.append(logs.join(derive_contrasts(contrasts.assign(**logs), half)))
    for part in parts:
        for name in map(str, part):
            derived.loc[part.index, name] = part[name]
    return derived


# The tables of the tree.


def _tables(rows: FlatRows, derived: pd.DataFrame) -> dict[str, pd.DataFrame]:
    frame = rows.frame
    condition = frame["condition"].where(frame["condition"] != "", "all")
    frame = frame.assign(
        condition=condition, condition_group=condition, outcome_reported=frame["outcome"]
    )
    is_arm = ~frame["is_contrast"]
    # Placebo without a dose is at dose 0.
    for column, placebo in (
        ("dose", is_arm & (frame["agent"] == "placebo")),
        ("comparator_dose", frame["comparator"] == "placebo"),
    ):
        frame[column] = frame[column].mask(placebo & frame[column].isna(), 0.0)
    arms = _arms(frame[is_arm], rows)
    return {
        "studies": _studies(frame, rows),
        "arms": arms,
        "results": _results(frame[is_arm], derived[is_arm], arms, rows),
        "contrasts": _contrasts(frame[~is_arm], derived[~is_arm], rows),
        "reference_doses": _with_base_columns("reference_doses", pd.DataFrame()),
        "published": _with_base_columns("published", pd.DataFrame()),
    }


def _with_base_columns(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a table of the base, empty where the flat table does not have them."""
    return pd.DataFrame(
        {
            column.name: rows[column.name]
            if column.name in rows
            else empty_column(column, rows.index)
            for column in TABLES[name].columns
        },
        index=rows.index,
    )


def _first_stated(rows: pd.DataFrame, key: list[str], columns: list[str]) -> pd.DataFrame:
    """The first row of each group, and for some columns the first cell that is not empty."""
    first = rows[~rows.duplicated(key)]
    for column in columns:
        stated = rows[rows[column].notna() & (rows[column] != "")]
        stated = stated[~stated.duplicated(key)][[*key, column]]
        if 0 < len(stated) < len(first):
            empty = "" if rows[column].dtype.kind not in "iufb" else np.nan
            filled = first[key].merge(stated, on=key, how="left")[column].fillna(empty)
            first = first.assign(**{column: filled.to_numpy()})
        elif len(stated):
            first = first.assign(**{column: stated[column].to_numpy()})
    return first


def _studies(frame: pd.DataFrame, rows: FlatRows) -> pd.DataFrame:
    columns = [c for c in STUDY_COLUMNS if c in rows.names]
    first = _first_stated(frame, ["study"], columns)
    shown = dict.fromkeys(["study", "condition", "condition_group", *columns])
    studies = _with_base_columns("studies", first[[*shown]])
    level = studies["blinding"].where(studies["blinding"] != "", BLINDING_NOT_STATED)
    return studies.assign(blinding_level=level, carry_over=carry_over(studies))


def _arms(frame: pd.DataFrame, rows: FlatRows) -> pd.DataFrame:
    columns = [c for c in ARM_COLUMNS if c in rows.names and c not in ("agent", "dose")]
    first = _first_stated(frame, ["study", "arm_id"], columns).assign(agent_reported=frame["agent"])
    shown = ["study", "arm_id", "agent", "agent_reported", *columns]
    return _with_base_columns("arms", first[shown]).assign(
        arm=arm_label(first["study"], first["arm_id"]),
        dose=first["dose"],
        **{name: first[name] if name in rows.names else np.nan for name in FLAT_DOSE_COLUMNS},
        dose_note="",
        conversion_note="",
    )


def _results(
    frame: pd.DataFrame, derived: pd.DataFrame, arms: pd.DataFrame, rows: FlatRows
) -> pd.DataFrame:
    # A row without a result is of the kind of the others with its outcome.
    counted = frame["events"].notna()
    blank = derived["mean"].isna() & counted.groupby(frame["outcome"]).transform("any")
    frame = frame.assign(
        kind=np.where(counted | blank, "binary", "continuous"),
        provenance=_provenance(frame, AS_GIVEN),
        unusable=_unusable(frame, derived),
        mean=derived["mean"],
        is_change_score=derived["is_change_score"],
    )
    results = (
        _with_base_columns("results", frame)
        .drop(columns="arm_id")
        .assign(
            arm=arm_label(frame["study"], frame["arm_id"]),
            line=frame[LINE],
            se_used=derived["se"],
            se_from=derived["se_from"],
            mean_from=derived["mean_from"],
            sd_relative_se=derived["sd_relative_se"],
            time_point=_time_point(frame),
        )
    )
    results["hours_after_treatment"] = hours_after_treatment(results, arms)
    of_contrasts = ("condition", "comparator", "comparator_dose", "comparator_se", "estimate")
    known = {*results, *ARM_COLUMNS, "dose", *of_contrasts}
    return pd.concat([results, _extra_columns(frame, known, rows)], axis=1)


def _unusable(frame: pd.DataFrame, derived: pd.DataFrame) -> pd.Series:
    """Mark means without any measure of dispersion; few likelihoods can use them."""
    reason = frame["unusable"]
    return reason.mask((reason == "") & frame["no_sd"] & derived["se"].isna(), NO_DISPERSION)


def _contrasts(frame: pd.DataFrame, derived: pd.DataFrame, rows: FlatRows) -> pd.DataFrame:
    measure = frame["measure"]
    ratio = measure.isin(RATIO_MEASURES)
    frame = frame.assign(
        provenance=_provenance(frame, measure.map(LOG_OF_RATIO.format).where(ratio, AS_GIVEN)),
        **{c: derived[c] for c in ("measure", "estimate", "se", "ci_low", "ci_high")},
    )
    columns = ["condition", "dose", "comparator_dose", "comparator_se", LINE]
    contrasts = (
        _with_base_columns("contrasts", frame)
        .drop(columns=["arm_id", "comparator_arm_id"])
        .assign(
            **frame[columns],
            arm=arm_label(frame["study"], frame["arm"]),
            comparator_arm=arm_label(frame["study"], frame["comparator_arm"]),
            se_from=derived["se_from"],
            given_as=measure.where(ratio, ""),
            time_point=_time_point(frame),
        )
    )
    extra = _extra_columns(frame, {*contrasts, "arm_id", "arm"}, rows)
    return pd.concat([contrasts, extra], axis=1)


def _provenance(frame: pd.DataFrame, default: pd.Series | str) -> pd.Series:
    """The user's provenance of each number, or else the default."""
    if "provenance" not in frame:
        return pd.Series(default, index=frame.index, dtype="str")
    return frame["provenance"].where(frame["provenance"] != "", default)


def _time_point(frame: pd.DataFrame) -> pd.Series:
    """The user's term for the time, which need not be in the vocabulary."""
    return frame["time_point"] if "time_point" in frame else frame["time_label"]


def _extra_columns(frame: pd.DataFrame, known: set[str], rows: FlatRows) -> pd.DataFrame:
    """Columns of the user's table that the tree does not have: other statistics, and the user's.

    A spec may select by them, and they are written back by `write_evidence`.
    """
    described = {*FLAT_COLUMNS, *ARM_COLUMNS, *STUDY_COLUMNS}
    extra = {}
    for name in sorted(rows.names - known - RESERVED_COLUMNS - set(STUDY_COLUMNS)):
        cells = frame[name]
        if name in LENIENT_COLUMNS and name in rows.unparsed:
            cells = rows.raw.cells[name].loc[frame.index]
        empty = cells.isna().all() or (cells.dtype.kind not in "iufb" and (cells == "").all())
        if name not in described or not empty:
            extra[_node_name(name, {*known, *rows.names})] = cells
    return pd.DataFrame(extra, index=frame.index)


def _node_name(name: str, taken: set[str]) -> str:
    """A name that a tree can hold: its paths are written with slashes."""
    plain = name.replace("/", "_")
    while plain != name and plain in taken:
        plain += "_"
    return plain
