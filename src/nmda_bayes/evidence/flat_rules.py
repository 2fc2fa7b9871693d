"""The rules that the rows of a flat table must obey.

Cells are checked against the columns of ``schema.toml``, then against each other and their scale,
then, with the derived standard errors, for what a row must report, and last across the rows of a
study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from nmda_bayes.errors import Issue
from nmda_bayes.evidence.decisions import NAMING_WORDS, resembled_column, tokens_of
from nmda_bayes.evidence.derive import confidence_level, rounding_half_widths
from nmda_bayes.evidence.draft import set_text
from nmda_bayes.evidence.flat_schema import (
    ARM_COLUMNS,
    FLAT_COLUMNS,
    MEASUREMENT_KEY,
    SD_NOT_REPORTED,
    STUDY_COLUMNS,
    FlatRows,
)
from nmda_bayes.evidence.schema import MISSING, shorten
from nmda_bayes.evidence.table_io import LINE
from nmda_bayes.evidence.tree import RATIO_MEASURES
from nmda_bayes.evidence.validate import Rule, check_rule, rule_issues

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
    yield from _scale_rules(frame)
    yield from _agreement_rules(rows)
    if "unit" in rows.names:
        yield _unit_rule(frame)
    if "period" in rows.names:
        design = frame["design"] if "design" in rows.names else pd.Series("", index=frame.index)
        parallel = (frame["period"] != "") & ~design.isin(["crossover", "mixed"])
        hint = "Enter crossover in the column design, or leave period empty."
        yield Rule("E145", "period", parallel, "a period of a study that is not a crossover", hint)


def _row_rules(rows: pd.DataFrame) -> Iterator[Rule]:
    contrast, arm = rows["is_contrast"], ~rows["is_contrast"]
    exceeds = rows["events"] > rows["n"]
    hint = "Check events and n: events are people, not a percentage."
    yield Rule(
        "E125",
        "events",
        exceeds,
        lambda i: f"more events than people ({rows['events'].iloc[i]:g} of {rows['n'].iloc[i]:g})",
        hint,
    )
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
    same &= rows["arm"] == rows["comparator_arm"]
    hint = (
        "Check agent and comparator. Two arms of one agent have different doses, or different"
        " names in the columns arm and comparator_arm."
    )
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
    hint = "Enter 0.95 for a 95% interval, or set it for all with --set ci_level=0.95."
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


#: A ratio in other spellings, adjusted or crude.
_RATIO_NAME = r"(?:a|c|u|adj|adjusted|crude|unadj|unadjusted)?[ _.-]*(?:or|rr|irr|hr)(?:adj)?"


def _measure_rules(rows: pd.DataFrame) -> Iterator[Rule]:
    contrast, measure = rows["is_contrast"], rows["measure"]
    ratio = contrast & measure.isin(RATIO_MEASURES)
    for column in ("estimate", "ci_low", "ci_high"):
        hint = "Enter the ratio itself; its logarithm has the measure log_OR, log_RR and so on."
        yield Rule("E141", column, ratio & (rows[column] <= 0), "a ratio must be above 0", hint)
    folded = measure.str.casefold()
    similar = folded.str.fullmatch(_RATIO_NAME) | (
        folded.str.contains("ratio", regex=False) & ~folded.str.contains("log", regex=False)
    )
    yield Rule(
        "E142",
        "measure",
        contrast & similar & ~measure.isin(RATIO_MEASURES),
        lambda i: f"'{shorten(measure.iloc[i])}' may be a ratio, but is not a known measure",
        f"Enter {', '.join(RATIO_MEASURES)} for a ratio, log_OR and so on for its logarithm.",
    )


# Numbers and their scale.

#: Standard deviations this much above the largest possible are refused; printed ones are rounded.
_ROUNDING = 1.01


def _scale_rules(rows: pd.DataFrame) -> Iterator[Rule]:
    """Means outside their scale, and SDs that no values on it can have."""
    low, high = rows["scale_min"], rows["scale_max"]
    width = (high - low).where(high > low)
    slack = 1e-9 * width
    is_change = rows["is_change_score"] == 1
    arm = ~rows["is_contrast"]

    def outside(column: str, broken: pd.Series, text: str) -> Rule:
        value = rows[column]
        return Rule(
            "E184",
            column,
            broken,
            lambda i: f"{value.iloc[i]:g} is outside {text.format(*_ends(i))}",
            "Check the number and the ends of the scale (scale_min and scale_max, or --set"
            " scale=LOW,HIGH). For a change from baseline enter 1 in is_change_score.",
        )

    def _ends(i: int) -> tuple[str, str, str]:
        return f"{low.iloc[i]:g}", f"{high.iloc[i]:g}", f"{width.iloc[i]:g}"

    for column in ("mean", "median", "q1", "q3", "min", "max", "pre_mean", "post_mean"):
        level = arm if column.startswith(("pre", "post")) else arm & ~is_change
        value = rows[column]
        beyond = (value < low - slack) | (value > high + slack)
        yield outside(column, level & width.notna() & beyond, "the scale, {0} to {1}")
        if not column.startswith(("pre", "post")):
            text = "what a change on the scale {0} to {1} can be"
            yield outside(column, arm & is_change & (value.abs() > width + slack), text)
    text = "what a change on the scale {0} to {1} can be"
    yield outside("change_mean", arm & (rows["change_mean"].abs() > width + slack), text)
    difference = rows["is_contrast"] & rows["measure"].eq("MD")
    text = "what a difference on the scale {0} to {1} can be"
    yield outside("estimate", difference & (rows["estimate"].abs() > width + slack), text)
    people = rows["n"].where(rows["n"] > 1, 2.0)
    of_levels = width / 2 * np.sqrt(people / (people - 1))
    changes = is_change | rows["change_mean"].notna()
    doubled = of_levels.mask(changes, 2 * of_levels)
    bounds = {"sd": doubled, "pre_sd": of_levels, "post_sd": of_levels, "change_sd": 2 * of_levels}
    bounds["se"] = doubled / np.sqrt(people)
    for column, bound in bounds.items():
        yield _dispersion_rule(rows, column, bound, arm)


def _dispersion_rule(
    rows: pd.DataFrame, column: str, bound: pd.Series, relevant: pd.Series
) -> Rule:
    value, low, high = rows[column], rows["scale_min"], rows["scale_max"]
    name = "a standard error" if column == "se" else "an SD"
    return Rule(
        "E185",
        column,
        relevant & (value > bound * _ROUNDING),
        lambda i: (
            f"{name} of {value.iloc[i]:g} is impossible on the scale {low.iloc[i]:g} to"
            f" {high.iloc[i]:g} (at most {bound.iloc[i]:.3g})"
        ),
        "Check the number, and whether SD and standard error are exchanged; or correct the ends"
        " of the scale.",
    )


def _unit_rule(rows: pd.DataFrame) -> Rule:
    """Means of one outcome that are not on a rating scale have one unit."""
    unit = rows["unit"].str.casefold().str.replace(" ", "")
    stated = (unit != "") & rows["scale_min"].isna() & ~rows["is_contrast"]
    first = unit.where(stated).groupby(rows["outcome"]).transform("first")
    return Rule(
        "E192",
        "unit",
        stated & (unit != first),
        lambda i: f"the unit {rows['unit'].iloc[i]} differs from that of the outcome's first row",
        "Convert the means and SDs of an outcome to one unit, or name two outcomes.",
    )


# Two statements of one quantity.


def _agreement_rules(table: FlatRows) -> Iterator[Rule]:
    """Means, medians, ranges and changes of one row must be possible together."""
    rows, arm = table.frame, ~table.frame["is_contrast"]
    stated = ["mean", "median", "sd", "min", "max", "change_mean", "pre_mean", "post_mean"]
    pairs = {"mean", "median"}, {"min", "max"}, {"change_mean", "pre_mean"}
    if not any(pair <= table.names for pair in pairs):
        return
    half = rounding_half_widths(table.raw, stated)
    sd = rows["sd"].where(rows["se"].isna(), rows["se"] * np.sqrt(rows["n"])).fillna(rows["sd"])
    # No median is further from the mean than one SD.
    slack = half[["mean", "median", "sd"]].sum(axis=1)
    gap = (rows["mean"] - rows["median"]).abs()
    level = arm & (rows["is_change_score"] != 1)
    far = level & (gap > sd * _ROUNDING + slack)
    message = "mean and median differ by more than one SD, which is impossible"
    yield Rule("E186", "median", far, message, _CORRECT_OR_CLEAR)
    spread, slack = rows["max"] - rows["min"], half[["min", "max", "sd"]].sum(axis=1)
    people = rows["n"].where(rows["n"] > 1)
    largest = spread / 2 * np.sqrt(people / (people - 1))
    smallest = spread / np.sqrt(2 * (people - 1))
    for broken, text in (
        (sd > largest * _ROUNDING + slack, "larger than the range allows"),
        (sd * _ROUNDING + slack < smallest, "smaller than the range allows"),
    ):
        yield Rule("E140", "sd", level & broken, f"the SD is {text}", _CORRECT_OR_CLEAR)
    change = rows["post_mean"] - rows["pre_mean"]
    slack = half[["change_mean", "pre_mean", "post_mean"]].sum(axis=1) + 0.01 * change.abs()
    apart = arm & ((rows["change_mean"] - change).abs() > slack)
    yield Rule(
        "E186",
        "change_mean",
        apart,
        lambda i: (
            f"the change is {rows['change_mean'].iloc[i]:g}, and post_mean - pre_mean is"
            f" {change.iloc[i]:g}"
        ),
        "Correct the wrong one, or leave it empty. A change is after minus before.",
    )


# Rules of a row once its mean and standard error are derived.


def content_rules(rows: FlatRows, derived: pd.DataFrame, sound: pd.Series) -> Iterator[Rule]:
    """Rules for what a row must report."""
    frame = rows.frame
    contrast, arm = sound & frame["is_contrast"], sound & ~frame["is_contrast"]
    means = ["mean", "median", "change_mean", "post_mean"]
    continuous = arm & frame[means].notna().any(axis=1)
    binary = arm & ~continuous & (frame["events"].notna() | frame["n"].notna())
    if frame[means].notna().any(axis=None) and frame["events"].isna().all():
        binary &= False  # in a table of means a row with n alone lacks its mean
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
        " post_mean, post_sd, n and pre_post_correlation (--set pre_post_correlation=0.5 assumes"
        " one)."
    )
    message = "a change without a measure of dispersion"
    yield Rule("E133", "change_sd", change & underived, message, fill)
    median = continuous & ~level & ~change & underived
    message, fill = "a median without q1 and q3 or min and max", "Fill them in, and n."
    yield Rule("E133", "median", median, message, fill)
    yield Rule("E120", "estimate", contrast & frame["estimate"].isna(), MISSING, hint)
    yield from _missing_se_rules(rows, contrast & frame["estimate"].notna() & no_se)


def agreement_rule(derived: pd.DataFrame, sound: pd.Series) -> Rule:
    """The standard errors that follow from different numbers of a row must agree."""
    return Rule(
        "E140",
        "se",
        sound & (derived["conflict"] != ""),
        lambda i: str(derived["conflict"].iloc[i]),
        "They differ by more than 10%: correct or clear the wrong one. For an interval or p value"
        " from a t distribution, give the degrees of freedom as df.",
    )


#: Why a row is set aside.
RESULT_MISSING = "result missing: "
NO_COMPARATOR = "no comparator left"


def missing_reasons(rules: list[Rule], rows: FlatRows) -> pd.Series:
    """Why rows without a complete result are set aside, and arms that have no other arm then.

    Empty for all rows if none would be left, so that what is missing is an error.
    """
    frame = rows.frame
    reasons = pd.Series("", index=frame.index, dtype="str")
    for rule in rules:
        text = {"E120": rule.column, "E149": "no number", "E133": "no standard error"}.get(
            rule.code
        )
        if text is not None:
            reasons = reasons.mask((reasons == "") & rule.broken, RESULT_MISSING + text)
    left = (reasons == "") & (rows.unusable == "")
    key = ["study", *MEASUREMENT_KEY]
    arms = left & ~frame["is_contrast"]
    marked = frame.assign(left=frame["arm_id"].where(arms), lost=reasons != "")
    by_result = marked.groupby(key, dropna=False)
    n_left, lost = by_result["left"].transform("nunique"), by_result["lost"].transform("any")
    alone = arms & lost & (n_left == 1)
    reasons = reasons.mask(alone, NO_COMPARATOR)
    return reasons if (left & ~alone).any() else reasons.mask(reasons != "", "")


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


def study_issues(rows: FlatRows) -> Iterator[Issue]:
    """Arms and contrasts that are repeated, and columns with two values in one study or arm."""
    frame, file = rows.frame, rows.raw.file
    contrast = frame["is_contrast"]
    arms, contrasts = frame[~contrast], frame[contrast]
    named = "arm" in rows.names
    key = ["study", "arm_id", *MEASUREMENT_KEY, "is_change_score"]
    repeated = Rule(
        "E128",
        "arm" if named else "agent",
        arms.duplicated(key),
        lambda i: (
            f"study '{shorten(arms['study'].iloc[i])}' has two rows for arm"
            f" '{shorten(arms['arm_id'].iloc[i])}' with the same outcome and time"
        ),
        _repetition_hint(arms, key, rows),
    )
    yield from rule_issues([repeated], file, arms[LINE])
    arm = ["study", "arm_id"]
    for column in ("agent", "dose", "route"):
        yield from _single_value_issues(arms, arm, column, "arm", file)
    yield from _single_value_issues(frame, ["study"], "condition", "study", file)
    for columns, names, scope in ((ARM_COLUMNS, arm, "arm"), (STUDY_COLUMNS, ["study"], "study")):
        table = arms if scope == "arm" else frame
        for column in columns:
            if column in rows.names and column not in ("agent", "dose", "route"):
                # An empty cell does not contradict another row.
                filled = table[table[column].notna() & (table[column] != "")]
                yield from _single_value_issues(filled, names, column, scope, file)
    sides = ["agent", "dose", "arm", "comparator", "comparator_dose", "comparator_arm"]
    key = ["study", *sides, *MEASUREMENT_KEY]
    repeated = Rule(
        "E127",
        "estimate",
        contrasts.duplicated(key),
        lambda i: f"study '{shorten(contrasts['study'].iloc[i])}' has this contrast twice",
        _repetition_hint(contrasts, key, rows),
    )
    yield from rule_issues([repeated], file, contrasts[LINE])


def _repetition_hint(table: pd.DataFrame, key: list[str], rows: FlatRows) -> Callable[[int], str]:
    """What to do with a row with the key of another: it depends on how the two differ."""
    columns = sorted(rows.names)

    def hint(position: int) -> str:
        cells, row = table[key], table[key].iloc[position]
        same = ((cells == row) | (cells.isna() & row.isna())).all(axis=1)
        texts = rows.raw.cells.loc[table.index[same], columns]
        differing = [column for column in columns if len(texts[column].unique()) > 1]
        if not differing:
            return "The two rows are the same: delete one of them."
        other = [
            c
            for c in differing
            if c not in (*FLAT_COLUMNS, *STUDY_COLUMNS)
            and ((known := resembled_column(c, [])) is None or not known.statistic)
        ]
        naming = [c for c in differing if c in STUDY_COLUMNS or tokens_of(c) & NAMING_WORDS]
        naming.sort(key=lambda c: "year" not in tokens_of(c))
        listed = f"They differ in {', '.join(map(repr, other or naming))}. "
        if naming:
            joined = set_text("column.study", f"study+{naming[0]}")
            return (
                f"{listed}Two trials need two names: {joined} joins them. Two reports of one trial"
                " need a column outcome or time_label."
            )
        times = [c for c in other if (known := resembled_column(c, [])) and "time" in known.role]
        if times:
            return f"{listed}Two times: {set_text('column.time_label', times[0])}."
        effect = f" ({set_text('column.outcome', other[0])})" if other else ""
        level = f" ({set_text('column.study', f'study+{other[0]}')})" if other else ""
        return (
            f"{listed if other else ''}Two arms of one agent: name them in a column arm. Several"
            f" effects of one trial: name what they are of in a column outcome{effect} or"
            f" time_label. Two trials: give them two names in study{level}."
        )

    return hint


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
