"""What a flat table must obey beyond the type of each cell: rows, then studies."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.reading import LINE

Rule = tuple[str, pd.Series, str, str]


def row_faults(rows: pd.DataFrame, file: str) -> Iterator[Fault]:
    """Check each row on its own.

    Parameters
    ----------
    rows
        Typed rows of a flat table, with ``is_contrast``.
    file
        Name to print.

    Yields
    ------
    Fault
        One a wrong cell.
    """
    rules = [*_needed(rows), *_ranges(rows), *_counts(rows)]
    for column, broken, message, mend in rules:
        for line in rows.loc[broken, LINE]:
            yield Fault(message, mend, file, int(line), column)


def study_faults(rows: pd.DataFrame, file: str) -> Iterator[Fault]:
    """Check what the rows of a study say together.

    Parameters
    ----------
    rows
        Typed rows of a flat table, with ``arm_id``.
    file
        Name to print.

    Yields
    ------
    Fault
        For an arm that stands twice or is two things, and a study with two conditions.
    """
    arms = rows[~rows["is_contrast"]]
    when = ["outcome", "time_hours", "time_label"]
    again = arms.duplicated(["study", "arm_id", *when])
    named = bool(rows["names_arms"].any())
    for row in arms[again].itertuples():
        yield Fault(
            f"study '{row.study}' has two rows for arm '{row.arm_id}' of one outcome and time",
            "Delete one of the two, or name the arms apart."
            if named
            else "Delete one of the two, or add a column 'arm' that names them apart.",
            file,
            int(getattr(row, LINE)),
            "arm" if named else "agent",
        )
    yield from _one_thing(arms, ["study", "arm_id"], ["agent", "dose", "route"], "arm", file)
    yield from _one_thing(rows, ["study"], ["condition"], "study", file)
    contrasts = rows[rows["is_contrast"]]
    same = ["study", "agent", "dose", "comparator", "comparator_dose", *when]
    for row in contrasts[contrasts.duplicated(same)].itertuples():
        yield Fault(
            f"study '{row.study}' has this contrast twice",
            "Delete one of the two.",
            file,
            int(getattr(row, LINE)),
            "estimate",
        )


def _needed(rows: pd.DataFrame) -> Iterator[Rule]:
    for column in ("study", "agent"):
        yield column, rows[column] == "", "nothing stands here", "Every row needs it: fill it in."
    contrast, arm = rows["is_contrast"], ~rows["is_contrast"]
    binary = arm & (rows["events"].notna() | (rows["mean"].isna() & rows["n"].notna()))
    fill = "Fill it in, or delete the row."
    for column in ("events", "n"):
        yield column, binary & rows[column].isna(), "nothing stands here", fill
    continuous = arm & rows["mean"].notna()
    spread = rows["se"].notna() | (rows["sd"].notna() & rows["n"].notna())
    yield "se", continuous & ~spread, "a mean without its se, or its sd and n", fill
    silent = arm & ~binary & rows["mean"].isna()
    yield "mean", silent, "the row says nothing of what was seen", fill
    both = arm & rows["events"].notna() & rows["mean"].notna()
    yield "mean", both, "a row with events and a mean", "Put two outcomes in two rows."
    for column in ("estimate", "se"):
        yield column, contrast & rows[column].isna(), "nothing stands here", fill
    itself = contrast & (rows["agent"] == rows["comparator"])
    itself &= (rows["dose"] == rows["comparator_dose"]) | rows["dose"].isna()
    yield "comparator", itself, "the agent is compared with itself", "Check agent and comparator."


def _ranges(rows: pd.DataFrame) -> Iterator[Rule]:
    for column in ("dose", "comparator_dose", "sd", "events"):
        yield column, rows[column] < 0, "the number is negative", "It must be 0 or more."
    for column in ("se", "comparator_se"):
        yield column, rows[column] < 0, "the number is negative", "It must be above 0."
        yield column, rows[column] == 0, "a standard error of 0", "Leave an unknown one empty."
    yield "n", rows["n"] <= 0, "a group of nobody", "n must be 1 or more."
    ends = rows["scale_max"] <= rows["scale_min"]
    yield "scale_max", ends, "the scale ends below its beginning", "Check scale_min, scale_max."
    wide = rows["is_contrast"] & (rows["comparator_se"] > rows["se"])
    mend = "comparator_se is the standard error of the comparator arm alone."
    yield "comparator_se", wide, "larger than the se of the contrast", mend


def _counts(rows: pd.DataFrame) -> Iterator[Rule]:
    for column in ("events", "n"):
        part = rows[column].notna() & (rows[column] % 1 != 0)
        yield column, part, "not a whole number", "Count people, not percent."
    many = rows["events"] > rows["n"]
    yield "events", many, "more events than people", "Check events and n."


def _one_thing(
    rows: pd.DataFrame, key: list[str], columns: list[str], what: str, file: str
) -> Iterator[Fault]:
    first = rows.drop_duplicates(key)
    joined = rows[[*key, *columns, LINE]].merge(first[[*key, *columns]], on=key, suffixes=("", "_"))
    for column in columns:
        own, other = joined[column], joined[f"{column}_"]
        differ = (own != other) & ~(own.isna() & other.isna())
        for row in joined[differ].itertuples():
            name = getattr(row, key[-1])
            yield Fault(
                f"{what} '{name}' has {column} '{getattr(row, column)}' here and"
                f" '{getattr(row, column + '_')}' above",
                f"One {what}, one {column}: give the other {what} a name of its own.",
                file,
                int(getattr(row, LINE)),
                column,
            )
