"""What a flat table must say: each row what was seen, and the rows of a study together."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from nmda_bayes.errors import Fault
from nmda_bayes.evidence.flat_columns import LENIENT, OF_ARMS, OF_STUDIES, Rows
from nmda_bayes.evidence.flat_rules import Rule
from nmda_bayes.evidence.many_faults import each_row, short
from nmda_bayes.evidence.reading import LINE


def need_rules(rows: Rows, made: pd.DataFrame, sound: pd.Series) -> Iterator[Rule]:
    """Check that each row says what was seen, and does not contradict itself.

    Parameters
    ----------
    rows
        Typed rows of a flat table.
    made
        For the same rows: ``mean``, ``se`` and ``clash``, as they were worked out.
    sound
        True where no cell of what was seen has a fault; only these rows are asked.

    Yields
    ------
    tuple
        A rule and where it is broken.
    """
    frame = rows.frame
    contrast, arm = sound & frame["is_contrast"], sound & ~frame["is_contrast"]
    said = ["mean", "median", "change_mean", "post_mean"]
    continuous = arm & frame[said].notna().any(axis=1)
    binary = arm & ~continuous & (frame["events"].notna() | frame["n"].notna())
    fill = "Fill it in, or delete the row."
    for column in ("events", "n"):
        missing = binary & frame[column].isna()
        # Events over person-time are not of so many people.
        missing &= frame["person_time"].isna() if column == "n" else True
        yield column, missing, "nothing stands here", fill
    silent = arm & ~binary & ~continuous
    yield "mean", silent, "the row says nothing of what was seen", fill
    level, lost = frame["mean"].notna(), made["se"].isna()
    message = "a mean without its se, its sd and n, or its interval"
    borrows = frame["no_sd"] & frame["n"].notna()
    unsaid = 'Fill it in, delete the row, or write n, and "not reported" as sd.'
    yield "se", continuous & level & lost & ~borrows, message, unsaid
    change = continuous & ~level & (frame["change_mean"].notna() | frame["post_mean"].notna())
    yield (
        "change_sd",
        change & (lost | made["mean"].isna()),
        "a change without its spread",
        "Fill in change_mean with change_sd and n, se or an interval; or pre_mean, pre_sd,"
        " post_mean, post_sd, n and pre_post_correlation.",
    )
    middle = continuous & ~level & ~change & (lost | made["mean"].isna())
    message = "a median without what a mean can be worked out of"
    yield "median", middle, message, "Fill in q1 and q3, or min and max, and n."
    yield "estimate", contrast & frame["estimate"].isna(), "nothing stands here", fill
    unspread = contrast & frame["estimate"].notna() & lost
    yield from _unspread(rows, unspread)
    yield "se", sound & (made["clash"] != ""), lambda i: str(made["clash"].iloc[i]), _CLASH


_CLASH = (
    "They differ by more than 10 %: correct the one that is wrong or leave it empty. For an"
    " interval or p made with t, give the degrees of freedom as df."
)


def _unspread(rows: Rows, unsaid: pd.Series) -> Iterator[Rule]:
    """Tell a contrast without a standard error, and a bound where a number would give it."""
    bound = pd.Series(False, index=unsaid.index)
    for column in LENIENT:
        if column in rows.wrong and column in ("p", "t", "f"):
            here = unsaid & rows.wrong[column] & ~bound
            bound |= here
            text = rows.sheet.cells[column]
            yield (
                column,
                here,
                lambda i, text=text: f"'{short(text.iloc[i])}' is not a number",  # type: ignore[misc]
                "Write the value itself, not a bound; or give se or an interval.",
            )
    mend = "Fill in se; or ci_low, ci_high and ci_level; or t, f or p. Or delete the row."
    yield "se", unsaid & ~bound, "nothing stands here", mend


#: What tells two rows of one arm apart.
WHEN = ("outcome", "time_hours", "time_label")


def study_faults(rows: Rows) -> Iterator[Fault]:
    """Check what the rows of a study say together.

    Parameters
    ----------
    rows
        Typed rows of a flat table.

    Yields
    ------
    Fault
        For an arm that stands twice or is two things, and a study with two conditions.
    """
    frame, file = rows.frame, rows.file
    arms = frame[~frame["is_contrast"]]
    again = arms.duplicated(["study", "arm_id", *WHEN, "is_change_score"])
    named = bool(frame["names_arms"].any())
    yield from each_row(
        file,
        arms[LINE],
        again,
        "arm" if named else "agent",
        lambda i: (
            f"study '{short(arms['study'].iloc[i])}' has two rows for arm"
            f" '{short(arms['arm_id'].iloc[i])}' of one outcome and time"
        ),
        "Delete one of the two, or name the arms apart."
        if named
        else "Delete one of the two, or add a column 'arm' that names them apart.",
    )
    arm = ["study", "arm_id"]
    yield from _one_thing(arms, arm, ["agent", "dose", "route"], "arm", file)
    yield from _one_thing(frame, ["study"], ["condition"], "study", file)
    for columns, key, what in ((OF_ARMS, arm, "arm"), (OF_STUDIES, ["study"], "study")):
        of = arms if what == "arm" else frame
        for column in columns:
            if column in rows.given and column not in ("agent", "dose", "route"):
                # An empty cell says nothing against what another row says.
                said = of[of[column].notna() & (of[column] != "")]
                yield from _one_thing(said, key, [column], what, file)
    contrasts = frame[frame["is_contrast"]]
    same = ["study", "agent", "dose", "comparator", "comparator_dose", *WHEN]
    yield from each_row(
        file,
        contrasts[LINE],
        contrasts.duplicated(same),
        "estimate",
        lambda i: f"study '{short(contrasts['study'].iloc[i])}' has this contrast twice",
        "Delete one of the two.",
    )


def _one_thing(
    rows: pd.DataFrame, key: list[str], columns: list[str], what: str, file: str
) -> Iterator[Fault]:
    if rows.empty:
        return
    number = rows.groupby(key, sort=False).ngroup().to_numpy()
    first = rows[~rows.duplicated(key)]
    name = rows[key[-1]]
    for column in columns:
        own = rows[column].to_numpy()
        other = first[column].to_numpy()[number]
        differ = (own != other) & ~(pd.isna(own) & pd.isna(other))
        yield from each_row(
            file,
            rows[LINE],
            differ,
            column,
            lambda i, own=own, other=other, column=column: (  # type: ignore[misc]
                f"{what} '{short(name.iloc[i])}' has {column} '{short(own[i])}' here and"
                f" '{short(other[i])}' above"
            ),
            f"One {what}, one {column}: give the other {what} a name of its own.",
        )
