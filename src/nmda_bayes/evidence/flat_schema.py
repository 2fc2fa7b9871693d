"""Flat tables, one row per arm or contrast: typed rows, and the rules that they must obey.

Cells are checked against the columns of ``schema.toml``, then against each other, then, with the
derived standard errors, for what a row must report, and last across the rows of a study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.derive import confidence_level, rounding_half_widths
from nmda_bayes.evidence.doses import DOSE_COLUMNS
from nmda_bayes.evidence.schema import FLAT, MISSING, RESULT_SETS, TABLES, Column, shorten
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.tree import COMPUTED_COLUMNS, RATIO_MEASURES
from nmda_bayes.evidence.validate import (
    Rule,
    check_rule,
    empty_column,
    missing_column_issues,
    number_issues,
    parse_numbers,
    rule_issues,
)

# Columns.

#: Doses that a base derives from its schedules; a flat table may give them.
FLAT_DOSE_COLUMNS = (*DOSE_COLUMNS, "course_days")
#: Columns with one value per study, and per arm.
STUDY_COLUMNS = tuple(column.name for column in TABLES["studies"].columns if column.flat)
ARM_COLUMNS = (
    *(column.name for column in TABLES["arms"].columns if column.flat),
    *FLAT_DOSE_COLUMNS,
)
FLAT_COLUMNS = {column.name: column for column in FLAT.columns}
RESULT_COLUMNS = [column.name for column in FLAT.columns if column.result]
LENIENT_COLUMNS = [column.name for column in FLAT.columns if column.lenient]
#: Columns that the loader adds, whose names a table may not use.
RESERVED_COLUMNS = {"kind", "arm_id", "comparator_arm", "row", "no_sd", "is_contrast"} | (
    COMPUTED_COLUMNS - {LINE, "time_point"}
)
#: How many of `RESULT_SETS` an error suggests.
N_SUGGESTED_SETS = 4

#: A cell of `sd` where a report gives mean and n but no measure of dispersion.
SD_NOT_REPORTED = "not reported"
#: Text that R and pandas write into an empty cell.
_NA_WORDS = ("NA", "<NA>", "NaN", "nan")


def _base_columns() -> dict[str, Column]:
    """The columns of the base that a flat table may have besides its own; none is required."""
    tables = [TABLES[name] for name in ("contrasts", "results", "arms", "studies")]
    columns = {column.name: replace(column, required=False) for t in tables for column in t.columns}
    columns |= {name: Column(name, kind="number", minimum=0) for name in FLAT_DOSE_COLUMNS}
    names = {*STUDY_COLUMNS, *ARM_COLUMNS, *TABLES["results"].names, *TABLES["contrasts"].names}
    names -= {*FLAT_COLUMNS, *RESERVED_COLUMNS}
    return {name: columns[name] for name in sorted(names)}


def header_issues(table: RawTable) -> Iterator[Issue]:
    """Columns that are missing, reserved, or misspelt."""
    yield from missing_column_issues(table, ("study", "agent"))
    names = {str(column) for column in table.cells}
    suggested = RESULT_SETS[:N_SUGGESTED_SETS]
    if not any(names >= set(columns) for columns in RESULT_SETS):
        nearest = max(RESULT_SETS, key=lambda columns: len(names & set(columns)) / len(columns))
        if names & {c for columns in RESULT_SETS for c in columns} - {"n", "se", *LENIENT_COLUMNS}:
            yield from missing_column_issues(table, nearest)
        else:
            sets = " or ".join(", ".join(columns) for columns in suggested)
            hint = f"Add the columns {sets}."
            yield table.issue("E113", "no outcome columns found", hint, 1, "events")
    known = {*FLAT_COLUMNS, *STUDY_COLUMNS, *ARM_COLUMNS, "period"} - names
    known -= {"study", "agent", *(column for columns in suggested for column in columns)}
    folded = {name.casefold().strip().replace(" ", "_"): name for name in names}
    for name in sorted(known & set(folded)):
        hint = f"Rename it to '{name}', or to something else if it is not meant."
        yield table.issue("E112", f"did you mean the column '{name}'?", hint, 1, folded[name])
    for name in sorted(names & RESERVED_COLUMNS):
        message = f"'{name}' is reserved for a derived column"
        yield table.issue("E108", message, "Rename the column, or delete it.", 1, name)


# Typed rows.


@dataclass
class FlatRows:
    """A flat table with typed cells.

    `columns` are the described columns of the table, `names` the names of all its columns, and
    `unparsed` the cells of each column that should be numbers and are not.
    """

    raw: RawTable
    frame: pd.DataFrame
    columns: dict[str, Column]
    names: set[str]
    unparsed: dict[str, pd.Series]


def parse_rows(table: RawTable) -> tuple[FlatRows, list[Issue]]:
    """Give every column its type: described ones theirs, others numbers where all cells are."""
    index, names = table.cells.index, {str(column) for column in table.cells} - {LINE}
    described = {**_base_columns(), **FLAT_COLUMNS}
    cells: dict[str, pd.Series] = {}
    issues: list[Issue] = []
    unparsed: dict[str, pd.Series] = {}
    no_sd = pd.Series(False, index=index)
    for name, column in described.items():
        if name not in names:
            if name in FLAT_COLUMNS:
                cells[name] = empty_column(column, index)
        elif not column.numeric:
            cells[name] = _text(table, name)
        else:
            cells[name], wrong = parse_numbers(table, name)
            if name == "sd":
                no_sd = table.cells[name].str.strip().str.casefold() == SD_NOT_REPORTED
                wrong &= ~no_sd
            if wrong.any():
                unparsed[name] = wrong
                issues += [] if column.lenient else number_issues(table, name, wrong)
    for name in sorted(names - set(cells)):
        values, wrong = parse_numbers(table, name)
        cells[name] = table.cells[name] if wrong.any() or values.isna().all() else values
    frame = pd.DataFrame(cells).assign(**{LINE: table.cells[LINE], "no_sd": no_sd})
    frame["is_contrast"] = frame["comparator"] != ""
    frame["arm_id"] = _arm_ids(frame)
    columns = {name: column for name, column in described.items() if name in names}
    return FlatRows(table, frame, columns, names, unparsed), issues


def _text(table: RawTable, name: str) -> pd.Series:
    cells = table.cells[name]
    return cells if name in ("study", "agent", "arm") else cells.mask(cells.isin(_NA_WORDS), "")


def _arm_ids(rows: pd.DataFrame) -> pd.Series:
    """The name of each arm, or else its agent and dose."""
    dose = rows["dose"].to_numpy()
    labels = {value: f" {value:g}" for value in np.unique(dose[~np.isnan(dose)]).tolist()}
    labels[0.0] = ""
    suffix = rows["dose"].map(labels).astype("str").fillna("")
    return rows["arm"].where(rows["arm"] != "", rows["agent"] + suffix)


def flat_issues(rules: Iterable[Rule], rows: FlatRows) -> Iterator[Issue]:
    """The rows that break rules, except cells that are reported as not being numbers."""
    unparsed = {name: x for name, x in rows.unparsed.items() if name not in LENIENT_COLUMNS}
    reported = (
        rule._replace(broken=~unparsed[rule.column] & np.asarray(rule.broken))
        if rule.column in unparsed
        else rule
        for rule in rules
    )
    yield from rule_issues(reported, rows.raw.file, rows.frame[LINE])


def rows_without_errors(rules: Iterable[Rule], rows: FlatRows) -> pd.Series:
    """Mark the rows whose result breaks no rule."""
    broken = pd.Series(False, index=rows.frame.index)
    for rule in rules:
        if rule.column in (*RESULT_COLUMNS, "measure", "is_change_score"):
            broken |= np.asarray(rule.broken)
    for column, wrong in rows.unparsed.items():
        if column in RESULT_COLUMNS and column not in LENIENT_COLUMNS:
            broken |= wrong
    return ~broken


# Rules of a row before anything is derived from it.

_CORRECT_OR_CLEAR = "Correct the wrong one, or leave it empty."
_TWO_ROWS = "Put them in two rows."


def cell_rules(rows: FlatRows) -> Iterator[Rule]:
    """Rules for each cell, and for the cells of a row together."""
    frame = rows.frame
    for name, column in rows.columns.items():
        for check in column.checks():
            yield check_rule(check, column, ~check.passes(frame[name]), frame[name])
    yield from _row_rules(frame)
    yield from _interval_rules(rows)
    yield from _measure_rules(frame)
    if "period" in rows.names:
        design = frame["design"] if "design" in rows.names else pd.Series("", index=frame.index)
        parallel = (frame["period"] != "") & ~design.isin(["crossover", "mixed"])
        hint = "Enter crossover in the column design, or leave period empty."
        yield Rule("E145", "period", parallel, "a period of a study that is not a crossover", hint)


def _row_rules(rows: pd.DataFrame) -> Iterator[Rule]:
    contrast, arm = rows["is_contrast"], ~rows["is_contrast"]
    exceeds = rows["events"] > rows["n"]
    yield Rule("E125", "events", exceeds, "more events than people", "Check events and n.")
    without_se = rows["se"].isna() & arm
    for column in ("sd", "change_sd"):
        zero = without_se & (rows[column] == 0)
        yield Rule("E148", column, zero, "the SD is 0", "If it is unknown, leave it empty.")
        single = without_se & (rows["n"] == 1) & rows[column].notna()
        yield Rule("E148", column, single, "the SD of one person", "Check n, or clear the SD.")
    reversed_scale = rows["scale_max"] <= rows["scale_min"]
    yield Rule(
        "E134", "scale_max", reversed_scale, "scale_max is not above scale_min", "Check both."
    )
    too_large = contrast & (rows["comparator_se"] > rows["se"])
    hint = "comparator_se is the standard error of the comparator arm alone."
    yield Rule("E146", "comparator_se", too_large, "larger than the se of the contrast", hint)
    not_p = contrast & ((rows["p"] <= 0) | (rows["p"] > 1))
    yield Rule(
        "E123", "p", not_p, "a p value is above 0 and at most 1", "Enter a number such as 0.03."
    )
    points = ("min", "q1", "median", "q3", "max")
    for i, lower in enumerate(points):
        for upper in points[i + 1 :]:
            order = arm & (rows[lower] > rows[upper])
            hint = f"Check {lower} and {upper}."
            yield Rule("E139", lower, order, f"{lower} is larger than {upper}", hint)
    single = without_se & rows["median"].notna() & (rows["n"] == 1)
    yield Rule("E148", "n", single, "the median of one person", "n must be at least 2.")
    level = rows["mean"].notna()
    change = rows["change_mean"].notna() | rows["post_mean"].notna()
    binary = rows["events"].notna() & (level | rows["median"].notna() | change)
    yield Rule("E143", "mean", arm & binary, "both events and a mean", _TWO_ROWS)
    yield Rule("E143", "change_mean", arm & level & change, "both a level and a change", _TWO_ROWS)
    contradiction = arm & change & ~level & (rows["is_change_score"] == 0)
    hint = "Enter 1, or leave it empty."
    yield Rule("E143", "is_change_score", contradiction, "0 although the row has a change", hint)
    same = contrast & (rows["agent"] == rows["comparator"])
    same &= (rows["dose"] == rows["comparator_dose"]) | rows["dose"].isna()
    hint = "Check agent and comparator."
    yield Rule("E144", "comparator", same, "the agent is compared with itself", hint)


def _interval_rules(table: FlatRows) -> Iterator[Rule]:
    rows = table.frame
    low, high, level = rows["ci_low"], rows["ci_high"], rows["ci_level"]
    message = "ci_high is not above ci_low"
    yield Rule("E134", "ci_high", high <= low, message, _CORRECT_OR_CLEAR)
    by_sd = rows["sd"].notna() & rows["n"].notna() & ~rows["is_contrast"]
    used = rows["se"].isna() & ~by_sd & (low.notna() | high.notna())
    for column in ("ci_low", "ci_high"):
        missing = used & rows[column].isna()
        hint = "Fill in the other end, or clear both."
        yield Rule("E135", column, missing, "the interval has only one end", hint)
    both = used & low.notna() & high.notna()
    hint = "Enter 95 for a 95% interval; there is no default."
    yield Rule(
        "E136", "ci_level", both & level.isna(), "the level of the interval is missing", hint
    )
    invalid = level.notna() & np.isnan(confidence_level(level.to_numpy()))
    yield Rule("E136", "ci_level", invalid, "not a confidence level", hint)
    middle = rows["mean"].fillna(rows["change_mean"]).where(~rows["is_contrast"], rows["estimate"])
    outside = both & ((middle < low) | (middle > high))
    message = "the interval does not contain the estimate"
    yield Rule("E137", "ci_low", outside, message, _CORRECT_OR_CLEAR)
    asymmetric = both & ~outside
    if asymmetric.any():
        asymmetric &= _asymmetry(table, middle) > 0.2
    message = "the interval is not symmetric about the estimate; no standard error follows from it"
    hint = (
        f"For a ratio enter its name in measure ({', '.join(RATIO_MEASURES)}); otherwise give se."
    )
    yield Rule("E138", "ci_high", asymmetric, message, hint)


def _asymmetry(table: FlatRows, middle: pd.Series) -> pd.Series:
    """Distance of the estimate from the interval's middle, beyond rounding, over half its width."""
    rows = table.frame
    half = rounding_half_widths(table.raw, ["ci_low", "ci_high", "estimate", "mean"])
    slack = half["ci_low"] + half["ci_high"] + 2 * half[["estimate", "mean"]].max(axis=1)
    ends = [rows["ci_low"], middle, rows["ci_high"]]
    ratio = rows["is_contrast"] & rows["measure"].isin(RATIO_MEASURES) & (rows["ci_low"] > 0)
    if ratio.any():
        slack = slack.where(~ratio, slack / rows["ci_low"])
        ends = [end.where(~ratio, np.log(end.where(ratio & (end > 0)))) for end in ends]
    low, mid, high = ends
    return ((high + low - 2 * mid).abs() - slack).clip(lower=0) / (high - low)


def _measure_rules(rows: pd.DataFrame) -> Iterator[Rule]:
    contrast, measure = rows["is_contrast"], rows["measure"]
    ratio = contrast & measure.isin(RATIO_MEASURES)
    for column in ("estimate", "ci_low", "ci_high"):
        hint = "Enter the ratio itself; its logarithm has the measure log_OR, log_RR and so on."
        yield Rule("E141", column, ratio & (rows[column] <= 0), "a ratio must be above 0", hint)
    folded = measure.str.casefold()
    similar = folded.isin([name.casefold() for name in RATIO_MEASURES]) | (
        folded.str.contains("ratio", regex=False) & ~folded.str.contains("log", regex=False)
    )
    yield Rule(
        "E142",
        "measure",
        contrast & similar & ~measure.isin(RATIO_MEASURES),
        lambda i: f"'{shorten(measure.iloc[i])}' may be a ratio, but is not a known measure",
        f"Enter {', '.join(RATIO_MEASURES)} for a ratio, log_OR and so on for its logarithm.",
    )


# Rules of a row once its mean and standard error are derived.


def content_rules(rows: FlatRows, derived: pd.DataFrame, sound: pd.Series) -> Iterator[Rule]:
    """Rules for what a row must report; its numbers must agree."""
    frame = rows.frame
    contrast, arm = sound & frame["is_contrast"], sound & ~frame["is_contrast"]
    means = ["mean", "median", "change_mean", "post_mean"]
    continuous = arm & frame[means].notna().any(axis=1)
    binary = arm & ~continuous & (frame["events"].notna() | frame["n"].notna())
    hint = "Fill it in, or delete the row."
    yield Rule("E120", "events", binary & frame["events"].isna(), MISSING, hint)
    # Events over person-time have no number of people.
    without_n = binary & frame["n"].isna() & frame["person_time"].isna()
    yield Rule("E120", "n", without_n, MISSING, hint)
    yield Rule("E149", "mean", arm & ~binary & ~continuous, "the row has no result", hint)
    level, no_se = frame["mean"].notna(), derived["se"].isna()
    borrows = frame["no_sd"] & frame["n"].notna()
    undispersed = continuous & level & no_se & ~borrows
    message = "a mean without its se, its sd and n, or its interval"
    fill = f'Fill it in, delete the row, or enter n, and "{SD_NOT_REPORTED}" as sd.'
    yield Rule("E133", "se", undispersed, message, fill)
    underived = no_se | derived["mean"].isna()
    change = continuous & ~level & (frame["change_mean"].notna() | frame["post_mean"].notna())
    fill = (
        "Fill in change_mean with change_sd and n, se or an interval; or pre_mean, pre_sd,"
        " post_mean, post_sd, n and pre_post_correlation."
    )
    message = "a change without a measure of dispersion"
    yield Rule("E133", "change_sd", change & underived, message, fill)
    median = continuous & ~level & ~change & underived
    message, fill = "a median without q1 and q3 or min and max", "Fill them in, and n."
    yield Rule("E133", "median", median, message, fill)
    yield Rule("E120", "estimate", contrast & frame["estimate"].isna(), MISSING, hint)
    yield from _missing_se_rules(rows, contrast & frame["estimate"].notna() & no_se)
    yield Rule(
        "E140",
        "se",
        sound & (derived["conflict"] != ""),
        lambda i: str(derived["conflict"].iloc[i]),
        "They differ by more than 10%: correct or clear the wrong one. For an interval or p value"
        " from a t distribution, give the degrees of freedom as df.",
    )


def _missing_se_rules(rows: FlatRows, missing: pd.Series) -> Iterator[Rule]:
    """Contrasts without a standard error, and a bound where a number would give it."""
    bound = pd.Series(False, index=missing.index)
    for column in ("p", "t", "f"):
        if column in rows.unparsed:
            text, broken = rows.raw.cells[column], missing & rows.unparsed[column] & ~bound
            bound |= broken
            hint = "Enter the value itself, not a bound; or give se or an interval."
            yield Rule("E121", column, broken, _not_a_number(text), hint)
    hint = "Fill in se; or ci_low, ci_high and ci_level; or t, f or p. Or delete the row."
    yield Rule("E133", "se", missing & ~bound, MISSING, hint)


def _not_a_number(text: pd.Series) -> Callable[[int], str]:
    return lambda i: f"'{shorten(text.iloc[i])}' is not a number"


# Rules across the rows of a study.

#: Columns that distinguish two results of one arm.
MEASUREMENT_KEY = ("outcome", "time_hours", "time_label")


def study_issues(rows: FlatRows) -> Iterator[Issue]:
    """Arms and contrasts that are repeated, and columns with two values in one study or arm."""
    frame, file = rows.frame, rows.raw.file
    contrast = frame["is_contrast"]
    arms, contrasts = frame[~contrast], frame[contrast]
    named = "arm" in rows.names
    hint = "Delete one of the two, or give them different names in the column 'arm'."
    repeated = Rule(
        "E128",
        "arm" if named else "agent",
        arms.duplicated(["study", "arm_id", *MEASUREMENT_KEY, "is_change_score"]),
        lambda i: (
            f"study '{shorten(arms['study'].iloc[i])}' has two rows for arm"
            f" '{shorten(arms['arm_id'].iloc[i])}' with the same outcome and time"
        ),
        hint,
    )
    yield from rule_issues([repeated], file, arms[LINE])
    arm = ["study", "arm_id"]
    for column in ("agent", "dose", "route"):
        yield from _single_value_issues(arms, arm, column, "arm", file)
    yield from _single_value_issues(frame, ["study"], "condition", "study", file)
    for columns, key, scope in ((ARM_COLUMNS, arm, "arm"), (STUDY_COLUMNS, ["study"], "study")):
        table = arms if scope == "arm" else frame
        for column in columns:
            if column in rows.names and column not in ("agent", "dose", "route"):
                # An empty cell does not contradict another row.
                filled = table[table[column].notna() & (table[column] != "")]
                yield from _single_value_issues(filled, key, column, scope, file)
    repeated = Rule(
        "E127",
        "estimate",
        contrasts.duplicated(
            ["study", "agent", "dose", "comparator", "comparator_dose", *MEASUREMENT_KEY]
        ),
        lambda i: f"study '{shorten(contrasts['study'].iloc[i])}' has this contrast twice",
        "Delete one of the two.",
    )
    yield from rule_issues([repeated], file, contrasts[LINE])


def _single_value_issues(
    rows: pd.DataFrame, key: list[str], column: str, scope: str, file: str
) -> Iterator[Issue]:
    """Rows whose value is not that of the first row of their study or arm."""
    if rows.empty:
        return
    group = rows.groupby(key, sort=False).ngroup().to_numpy()
    value, label = rows[column].to_numpy(), rows[key[-1]]
    first = rows.loc[~rows.duplicated(key), column].to_numpy()[group]
    differs = (value != first) & ~(pd.isna(value) & pd.isna(first))
    rule = Rule(
        "E129",
        column,
        differs,
        lambda i: (
            f"{scope} '{shorten(label.iloc[i])}' has {column} '{shorten(value[i])}' in this row and"
            f" '{shorten(first[i])}' in an earlier row"
        ),
        f"A {scope} has one {column}; give the other {scope} a different name.",
    )
    yield from rule_issues([rule], file, rows[LINE])
