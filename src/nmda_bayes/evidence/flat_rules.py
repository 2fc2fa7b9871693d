"""What each cell of a flat table must obey beyond its type, before anything is worked out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault, nearest
from nmda_bayes.evidence.flat_columns import (
    LENIENT,
    SEEN,
    Rows,
    bounded_columns,
)
from nmda_bayes.evidence.many_faults import each_row, short
from nmda_bayes.evidence.printed_digits import half_units, shares
from nmda_bayes.evidence.reading import LINE
from nmda_bayes.evidence.tree import RATIOS

#: Column, where it is broken, the message, the mend.
Rule = tuple[str, pd.Series, str | Callable[[int], str], str | Callable[[int], str]]

_CLEAR = "Correct the one that is wrong, or leave it empty."


def cell_rules(rows: Rows) -> Iterator[Rule]:
    """Check what can be said of a row before anything is worked out of it.

    Parameters
    ----------
    rows
        Typed rows of a flat table.

    Yields
    ------
    tuple
        A rule and where it is broken.
    """
    frame = rows.frame
    for column in ("study", "agent"):
        yield column, frame[column] == "", "nothing stands here", "Every row needs it: fill it in."
    yield from _ranges(frame)
    yield from _counts(frame)
    yield from _intervals(rows)
    yield from _orders(frame)
    yield from _measures(frame)
    yield from _described(rows)
    arm = ~frame["is_contrast"]
    level = frame["mean"].notna() | frame["median"].notna()
    change = frame["change_mean"].notna() | frame["post_mean"].notna()
    twice = arm & frame["events"].notna() & (level | change)
    yield "mean", twice, "a row with events and a mean", "Put two outcomes in two rows."
    both = arm & frame["mean"].notna() & change
    yield "change_mean", both, "a row with a level and a change", "Put them in two rows."
    told = change & frame["mean"].isna() & (frame["is_change_score"] == 0)
    yield "is_change_score", arm & told, "0 beside a change", "Write 1, or leave it empty."
    itself = frame["is_contrast"] & (frame["agent"] == frame["comparator"])
    itself &= (frame["dose"] == frame["comparator_dose"]) | frame["dose"].isna()
    yield "comparator", itself, "the agent is compared with itself", "Check agent and comparator."


def _ranges(rows: pd.DataFrame) -> Iterator[Rule]:
    spreads = ("sd", "change_sd", "pre_sd", "post_sd")
    for column in ("dose", "comparator_dose", "events", "f", *spreads):
        yield column, rows[column] < 0, "the number is negative", "It must be 0 or more."
    for column in ("se", "comparator_se", "df"):
        yield column, rows[column] < 0, "the number is negative", "It must be above 0."
    for column in ("se", "comparator_se"):
        yield column, rows[column] == 0, "a standard error of 0", "Leave an unknown one empty."
    spread = rows["se"].isna() & ~rows["is_contrast"]
    for column in ("sd", "change_sd"):
        none = spread & (rows[column] == 0)
        yield column, none, "an sd of 0 gives a standard error of 0", "Leave an unknown one empty."
        one = spread & (rows["n"] == 1) & rows[column].notna()
        yield column, one, "an sd of one person", "Check n, or leave the sd empty."
    for column in ("person_time", "follow_up"):
        yield column, rows[column] <= 0, "no time at all", "It must be above 0."
    yield "df", rows["df"] == 0, "no degrees of freedom", "It must be above 0."
    yield "n", rows["n"] <= 0, "a group of nobody", "n must be 1 or more."
    ends = rows["scale_max"] <= rows["scale_min"]
    yield "scale_max", ends, "the scale ends below its beginning", "Check scale_min, scale_max."
    wide = rows["is_contrast"] & (rows["comparator_se"] > rows["se"])
    mend = "comparator_se is the standard error of the comparator arm alone."
    yield "comparator_se", wide, "larger than the se of the contrast", mend
    for column in ("correlation", "pre_post_correlation"):
        yield column, rows[column].abs() > 1, "not between -1 and 1", "Check the correlation."
    p = rows["is_contrast"] & ((rows["p"] <= 0) | (rows["p"] > 1))
    yield "p", p, "a p-value is above 0 and at most 1", "Write it as a number such as 0.03."
    strange = rows["is_change_score"].notna() & ~rows["is_change_score"].isin([0, 1])
    yield "is_change_score", strange, "neither 0 nor 1", "Write 1 for a change, 0 for a level."


def _counts(rows: pd.DataFrame) -> Iterator[Rule]:
    for column in ("events", "n"):
        part = rows[column].notna() & (rows[column] % 1 != 0)
        yield column, part, "not a whole number", "Count people, not percent."
    many = rows["events"] > rows["n"]
    yield "events", many, "more events than people", "Check events and n."


def _intervals(table: Rows) -> Iterator[Rule]:
    rows = table.frame
    low, high, level = rows["ci_low"], rows["ci_high"], rows["ci_level"]
    yield "ci_high", high <= low, "the interval ends where it begins or below", _CLEAR
    spread = rows["sd"].notna() & rows["n"].notna() & ~rows["is_contrast"]
    used = rows["se"].isna() & ~spread & (low.notna() | high.notna())
    half = "an interval with one end"
    yield "ci_low", used & low.isna(), half, "Fill in the other end, or leave both empty."
    yield "ci_high", used & high.isna(), half, "Fill in the other end, or leave both empty."
    both = used & low.notna() & high.notna()
    write = "Write 95 for a 95 % interval; none is taken for granted."
    yield "ci_level", both & level.isna(), "an interval without its level", write
    odd = level.notna() & np.isnan(shares(level.to_numpy()))
    yield "ci_level", odd, "not the level of an interval", write
    middle = rows["mean"].fillna(rows["change_mean"]).where(~rows["is_contrast"], rows["estimate"])
    outside = both & ((middle < low) | (middle > high))
    yield "ci_low", outside, "the interval does not hold the number that it belongs to", _CLEAR
    crooked = both & ~outside
    if crooked.any():
        crooked &= _asymmetry(table, middle) > 0.2
    yield (
        "ci_high",
        crooked,
        "the interval is not symmetric about the number, so no standard error follows from it",
        f"For a ratio write its name into measure ({', '.join(RATIOS)}); otherwise give se.",
    )


def _asymmetry(table: Rows, middle: pd.Series) -> pd.Series:
    """Give how far the middle lies from the interval's, beyond rounding, over half its width."""
    rows, half = table.frame, half_units(table.sheet, ["ci_low", "ci_high", "estimate", "mean"])
    slack = half["ci_low"] + half["ci_high"] + 2 * half[["estimate", "mean"]].max(axis=1)
    ends = [rows["ci_low"], middle, rows["ci_high"]]
    ratio = rows["is_contrast"] & rows["measure"].isin(RATIOS) & (rows["ci_low"] > 0)
    if ratio.any():
        slack = slack.where(~ratio, slack / rows["ci_low"])
        ends = [end.where(~ratio, np.log(end.where(ratio & (end > 0)))) for end in ends]
    low, mid, high = ends
    return ((high + low - 2 * mid).abs() - slack).clip(lower=0) / (high - low)


def _orders(rows: pd.DataFrame) -> Iterator[Rule]:
    names = ("min", "q1", "median", "q3", "max")
    arm = ~rows["is_contrast"]
    for i, lower in enumerate(names):
        for upper in names[i + 1 :]:
            broken = arm & (rows[lower] > rows[upper])
            yield lower, broken, f"{lower} is larger than {upper}", f"Check {lower} and {upper}."
    guessed = arm & rows["se"].isna() & rows["median"].notna() & (rows["n"] == 1)
    yield "n", guessed, "a median of one person", "n must be 2 or more."


def _measures(rows: pd.DataFrame) -> Iterator[Rule]:
    contrast, measure = rows["is_contrast"], rows["measure"]
    ratio = contrast & measure.isin(RATIOS)
    for column in ("estimate", "ci_low", "ci_high"):
        mend = "Write the ratio itself; its logarithm has the measure log_OR, log_RR and so on."
        yield column, ratio & (rows[column] <= 0), "a ratio is above 0", mend
    folded = measure.str.casefold()
    meant = folded.isin([name.casefold() for name in RATIOS]) | (
        folded.str.contains("ratio", regex=False) & ~folded.str.contains("log", regex=False)
    )
    loose = contrast & meant & ~measure.isin(RATIOS)
    yield (
        "measure",
        loose,
        lambda i: f"'{short(measure.iloc[i])}' may be a ratio, and is not a word for one",
        f"Write {', '.join(RATIOS)} for a ratio, or log_OR and so on for its logarithm.",
    )


def _described(rows: Rows) -> Iterator[Rule]:
    """Check the columns that are described with the base."""
    frame = rows.frame
    for column in bounded_columns(rows.given):
        cells = frame[column.name]
        if column.kind == "count":
            part = cells.notna() & (cells % 1 != 0)
            yield column.name, part, "not a whole number", "Write a whole number."
        if column.at_least is not None:
            small = f"It must be {column.at_least:g} or more."
            yield column.name, cells < column.at_least, "the number is too small", small
        if column.choices:
            yield (
                column.name,
                ~cells.isin([*column.choices, ""]),
                lambda i, cells=cells: f"'{short(cells.iloc[i])}' is not a word for this column",  # type: ignore[misc]
                lambda i, cells=cells, column=column: nearest(cells.iloc[i], column.choices),  # type: ignore[misc]
            )
    if "period" in rows.given:
        design = frame["design"] if "design" in rows.given else pd.Series("", index=frame.index)
        alone = (frame["period"] != "") & ~design.isin(["crossover", "mixed"])
        mend = "Write crossover into the column design, or leave period empty."
        yield "period", alone, "a period of a trial that is not called a crossover", mend


def told(rules: Iterable[Rule], rows: Rows) -> Iterator[Fault]:
    """Turn broken rules to faults.

    Parameters
    ----------
    rules
        Rules and where they are broken.
    rows
        The table.

    Yields
    ------
    Fault
        One a broken cell; none for a cell that is no number, which is told already.
    """
    for column, broken, message, mend in rules:
        if column in rows.wrong and column not in LENIENT:
            broken = broken & ~rows.wrong[column]
        if broken.any():
            yield from each_row(rows.file, rows.frame[LINE], broken, column, message, mend)


def unsound(rules: Iterable[Rule], rows: Rows) -> pd.Series:
    """Say which rows have a fault in what was seen.

    Parameters
    ----------
    rules
        Rules and where they are broken.
    rows
        The table.

    Returns
    -------
    pd.Series
        True where nothing can be worked out of the row.
    """
    broken = pd.Series(False, index=rows.frame.index)
    for column, where, _, _ in rules:
        if column in (*SEEN, "measure", "is_change_score"):
            broken |= where
    for column, where in rows.wrong.items():
        if column in SEEN and column not in LENIENT:
            broken |= where
    return broken
