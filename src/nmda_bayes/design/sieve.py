"""The rules that keep one row for each arm of a study: scale, exposure, time, measure.

Each rule takes a `Sieve` and leaves in it what stays; the sieve keeps what fell out, and why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.evidence.tree import NO_DISPERSION
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.time import ALL_READINGS, TimeSpec

#: Hours since treatment began that a review's windows cover, for rows that give no hour: up to a
#: week, to three months, later.
WINDOWS = {"immediate": (0.0, 168.0), "short": (168.0, 2190.0), "medium": (2190.0, np.inf)}
STRATUM = "stratum"


@dataclass
class Sieve:
    """Rows on their way through the rules, and the ones that fell out.

    Attributes
    ----------
    outcome
        The outcome's name in the spec.
    rows
        What is still in.
    fallen
        What is out, each piece with its ``reason``.
    """

    outcome: str
    rows: pd.DataFrame
    fallen: list[pd.DataFrame] = field(default_factory=list)

    def keep(self, stays: pd.Series, reason: str | pd.Series) -> None:
        """Keep some rows; the others fall out for a reason.

        Parameters
        ----------
        stays
            True for each row that stays.
        reason
            One for all, or one a row.
        """
        gone = self.rows[~stays]
        if not gone.empty:
            texts = reason[~stays] if isinstance(reason, pd.Series) else reason
            self.fallen.append(gone.assign(reason=texts))
        self.rows = self.rows[stays]

    def left_out(self) -> pd.DataFrame:
        """List what fell out.

        Returns
        -------
        pd.DataFrame
            study, arm, outcome, measure, reason.
        """
        columns = ["study", "arm", "outcome", "measure", "reason"]
        if not self.fallen:
            return pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
        fallen = pd.concat(self.fallen, ignore_index=True)
        fallen = fallen.assign(outcome=self.outcome).reindex(columns=columns)
        return fallen.fillna({"arm": ""})


def sieve_of(
    name: str, measures: tuple[str, ...], rows: pd.DataFrame, *, borrows: bool = False
) -> Sieve:
    """Take the usable rows of some measures.

    Parameters
    ----------
    name
        The outcome.
    measures
        Outcomes of the evidence, the preferred one first; a row of one unnamed outcome is of any.
    rows
        Rows with outcome, unusable and condition_group.
    borrows
        True where a mean without a standard error is of use too.

    Returns
    -------
    Sieve
        With ``measure``, ``condition`` and ``preference``, the rank of the measure.
    """
    mine = rows["outcome"].isin([*measures, ""])
    rows = rows[mine]  # first: a frame without a row takes the length of what it is assigned
    rows = rows.assign(measure=rows["outcome"], condition=rows["condition_group"])
    rank = {measure: place for place, measure in enumerate(measures)}
    sieve = Sieve(name, rows.assign(preference=rows["measure"].map(rank).astype(float).fillna(0)))
    unusable = sieve.rows["unusable"]
    sieve.keep(unusable.isin(["", NO_DISPERSION] if borrows else [""]), unusable)
    return sieve


def keep_complete(sieve: Sieve, columns: tuple[str, ...]) -> None:
    """Keep the rows that give what a likelihood needs.

    Parameters
    ----------
    sieve
        The rows.
    columns
        What they must give.
    """
    # A base whose trials report no person-time has no such column.
    absent = {column: np.nan for column in columns if column not in sieve.rows}
    sieve.rows = sieve.rows.assign(**absent)
    for column in columns:
        sieve.keep(sieve.rows[column].notna(), f"no {column} on the outcome's scale")


def stretch(outcome: OutcomeSpec, rows: pd.DataFrame, *, levels: str, spreads: str) -> pd.DataFrame:
    """Bring numbers to the spec's scale; NaN where a row's scale is unknown.

    Parameters
    ----------
    outcome
        Its ``scale`` is what to bring them to; without one they stay as they are.
    rows
        With scale_min, scale_max and is_change_score.
    levels
        The column that has a place on the scale, unless it is a change.
    spreads
        The columns that have only a length on it, separated by spaces.

    Returns
    -------
    pd.DataFrame
        The rows, these columns stretched.
    """
    if outcome.scale is None:
        return rows
    low, high = outcome.scale
    factor = (high - low) / (rows["scale_max"] - rows["scale_min"])
    change = rows["is_change_score"] == 1
    # A change's own scale runs from -range to +range where it is printed so (-10 to 10).
    factor = factor.where(~(change & (rows["scale_min"] == -rows["scale_max"])), 2 * factor)
    level = low + (rows[levels] - rows["scale_min"]) * factor
    moved = {levels: level.where(~change, rows[levels] * factor)}
    return rows.assign(**moved, **{c: rows[c] * factor for c in spreads.split()})


def exposure_of(
    spec: AnalysisSpec, outcome: OutcomeSpec, arms: pd.DataFrame, references: pd.DataFrame
) -> np.ndarray:
    """Give the exposure of each arm: 0 for the reference agent, whatever it says of a dose.

    Parameters
    ----------
    spec
        The analysis.
    outcome
        Its outcome.
    arms
        With agent, route and dose columns.
    references
        Reference doses.

    Returns
    -------
    np.ndarray
        One a row; NaN where an arm cannot be placed.
    """
    value = EXPOSURES[outcome.exposure].formula(arms, references)
    undosed = [not outcome.shape.of(str(agent)).needs_dose for agent in arms["agent"]]
    free = np.array(undosed, dtype=bool)  # of no arm at all, NumPy would make it of floats
    value = np.where(np.isnan(value) & free, 1.0, value)
    return np.where(arms["agent"] == spec.reference, 0.0, value)


def keep_time(sieve: Sieve, time: TimeSpec) -> None:
    """Keep each study's best time point, the same for all its arms, or all of them.

    Parameters
    ----------
    sieve
        The rows, with hours_after_treatment.
    time
        The rule.
    """
    hours = sieve.rows["hours_after_treatment"]
    limit = np.inf if time.at_most_hours is None else time.at_most_hours
    undated = (
        hours.isna() & (time.undated == "window_of_the_end") & _window_holds_the_end(sieve.rows)
    )
    sieve.keep(
        (hours.abs() <= limit) | undated, "outside the time window, or its time is not known"
    )
    if time.rule == ALL_READINGS:
        sieve.keep(sieve.rows["time_hours"] >= 0, "read before treatment began")
        return
    rows = sieve.rows
    hours = rows["hours_after_treatment"]
    cost = {"nearest_end_of_treatment": hours.abs(), "earliest": hours, "latest": -hours}[time.rule]
    # A row known only by its window yields to one with an hour, but enters where it stands alone.
    cost = cost.fillna(np.inf)
    best = cost.groupby([rows["study"], rows["measure"]]).transform("min")
    reason = f"another time point is chosen: {time.rule.replace('_', ' ')}"
    sieve.keep(cost == best, reason)
    # As near before the end as after it: the one after, for every arm alike.
    during = (sieve.rows["hours_after_treatment"] < 0).astype(float)
    best = during.groupby([sieve.rows["study"], sieve.rows["measure"]]).transform("min")
    sieve.keep(during == best, reason)


def _window_holds_the_end(rows: pd.DataFrame) -> pd.Series:
    """Say whether the window that a review gives a row holds the end of its treatment."""
    if "time_window" not in rows:  # printed differences have an hour, or nothing
        return pd.Series(data=False, index=rows.index)
    end = (rows["treatment_days"] * 24).fillna(rows["infusion_hours"]).groupby(rows["study"])
    last = end.transform("max")
    bounds = rows["time_window"].map(lambda window: WINDOWS.get(window, (np.nan, np.nan)))
    low, high = (bounds.map(lambda pair, i=i: pair[i]).astype(float) for i in (0, 1))
    return (last > low) & (last <= high)


def keep_measure(sieve: Sieve) -> None:
    """Keep each study's preferred measure among those that at least two of its arms report.

    Parameters
    ----------
    sieve
        The rows of arms.
    """
    rows = sieve.rows
    arms = rows.groupby(["study", "measure"])["arm"].transform("nunique")
    cost = rows["preference"] + (arms < 2) * len(rows)
    best = cost.groupby(rows["study"]).transform("min")
    sieve.keep(cost == best, "the study reports a preferred measure")
    if "is_change_score" in sieve.rows:
        rows = sieve.rows
        change = (rows["is_change_score"] == 1).astype(float)
        arms = rows["arm"].groupby([rows["study"], change]).transform("nunique")
        # Twice, so that an arm more outweighs the preference and no study ends in a tie of the two.
        cost = change - 2 * arms
        best = cost.groupby(rows["study"]).transform("min")
        sieve.keep(
            cost == best,
            "levels and changes are not mixed: the study reports the other for more arms,"
            " or levels, which are preferred",
        )


def keep_one_row_an_arm(sieve: Sieve, unit: list[str]) -> None:
    """Keep no person twice, and one time point of each study unless the hour is in the unit.

    Parameters
    ----------
    sieve
        The rows of arms, with exposure and overlaps.
    unit
        The columns that tell one row from another.
    """
    strata = sieve.rows["overlaps"].str.startswith(STRATUM)
    sieve.keep(~strata, "a stratum of an arm, which is not what was randomised")
    rows = sieve.rows
    whole = (rows["overlaps"] == "") & (rows["exposure"] > 0)
    has_whole = whole.groupby(rows["study"]).transform("any")
    sieve.keep((rows["overlaps"] == "") | ~has_whole, "its patients are counted in other arms")
    _keep_one_time(sieve, unit)
    first = ~sieve.rows.duplicated(unit)
    sieve.keep(first, "another row of this arm was chosen")


def keep_one_row_a_contrast(sieve: Sieve, *, at_one_hour: bool) -> None:
    """Keep each study's preferred measure, at one time point: a contrast counts once.

    Parameters
    ----------
    sieve
        The rows of contrasts, with both exposures.
    at_one_hour
        True where all contrasts of a study have to be of one hour, as on a time course: an arm
        that two of them share is then one arm.
    """
    best = sieve.rows["preference"].groupby(sieve.rows["study"]).transform("min")
    sieve.keep(sieve.rows["preference"] == best, "the study reports a preferred measure")
    contrast = ["study", "agent", "exposure", "comparator", "comparator_exposure"]
    _keep_one_time(sieve, ["study"] if at_one_hour else contrast)
    sieve.keep(~sieve.rows.duplicated(contrast), "another row of this contrast was chosen")


def _keep_one_time(sieve: Sieve, unit: list[str]) -> None:
    """Keep one time point of a study that reports a unit at several, the same for all its units.

    Where no rule has chosen, it is the one that most units report, and of those the earliest.
    """
    rows = sieve.rows.assign(hours=sieve.rows["time_hours"].fillna(np.inf))
    several = rows.duplicated(unit, keep=False).groupby(rows["study"]).transform("any")
    reported = rows.groupby(["study", "hours", "time_label"])["study"].transform("size")
    order = pd.DataFrame({"few": -reported, "hours": rows["hours"], "label": rows["time_label"]})
    place = order.groupby(["few", "hours", "label"], sort=True).ngroup()
    best = place.groupby(rows["study"]).transform("min")
    sieve.keep(
        ~several | (place == best), "another time point is chosen: most arms, then the earliest"
    )
