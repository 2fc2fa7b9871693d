"""Readings: an arm read at several hours is several rows, whose people are the same.

A reading has a place of its own on the clock and, at its hour, a baseline of its own that it shares
with the other arms of its study; what sets its arm apart it shares with the arm's other readings.
"""

from __future__ import annotations

import pandas as pd

from nmda_bayes.components.time import AFTER, SINCE
from nmda_bayes.spec import OutcomeSpec
from nmda_bayes.spec.time import ALL_READINGS

#: The arm that a reading is of, the study at its hour, and whether the arm has other readings.
WHOLE_ARM, READING, SAME_ARM = "whole_arm", "reading", "same_arm"
COLUMNS = (AFTER, SINCE, WHOLE_ARM, READING, SAME_ARM)
HOURS = "hours_after_treatment"


def has_readings(outcome: OutcomeSpec) -> bool:
    """Say whether an arm may enter at several hours.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    bool
        True where the spec asks for every reading.
    """
    return outcome.time is not None and outcome.time.rule == ALL_READINGS


def unit_of(outcome: OutcomeSpec, *, counted: bool) -> list[str]:
    """Name the columns that tell one row from another.

    Parameters
    ----------
    outcome
        The outcome.
    counted
        True for counts of responders: those of one arm at two hours are of the same people, and
        how two counts go together no correlation of errors says, so that one hour enters.

    Returns
    -------
    list[str]
        The arm, and its hour where it may be read at several.
    """
    return ["arm", HOURS] if has_readings(outcome) and not counted else ["arm"]


def on_a_clock(outcome: OutcomeSpec) -> bool:
    """Say whether the hour of a row matters to an outcome.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    bool
        True where it has a time course, or arms enter at several hours.
    """
    return bool(outcome.over_time.clocks) or has_readings(outcome)


def together(outcome: OutcomeSpec) -> list[str]:
    """Name the columns within which arms are compared.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    list[str]
        The study, and the hour where there are several.
    """
    return ["study", HOURS] if has_readings(outcome) else ["study"]


def on_the_clock(outcome: OutcomeSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Place rows on the clocks that a time course reads, and name readings by their hour.

    Parameters
    ----------
    outcome
        The outcome.
    rows
        The rows that enter, with `HOURS` and time_hours.

    Returns
    -------
    pd.DataFrame
        With `AFTER` and `SINCE` where a course asks for them; with readings also `WHOLE_ARM`,
        `READING` and `SAME_ARM`, and the hour in each row's label.
    """
    if on_a_clock(outcome):
        rows = rows.assign(**{AFTER: rows[HOURS], SINCE: rows["time_hours"]})
    if not has_readings(outcome):
        return rows
    hour = rows["time_hours"].map(", {:g} h".format).astype("str")
    several = rows.groupby("arm")["arm"].transform("size") > 1
    return rows.assign(
        **{
            WHOLE_ARM: rows["arm"],
            READING: rows["study"] + hour,
            SAME_ARM: several.astype(float),
            "arm": rows["arm"] + hour,
        }
    )


def whole_arms(arms: pd.DataFrame) -> pd.Series:
    """Name the arm that each row is of.

    Parameters
    ----------
    arms
        Rows that entered.

    Returns
    -------
    pd.Series
        The arm's own label, without an hour.
    """
    return arms[WHOLE_ARM].fillna(arms["arm"]) if WHOLE_ARM in arms else arms["arm"]
