"""Rows of the evidence on their way into an analysis, and the steps that exclude some of them.

A step is a function of a `RowFilter`; its name and a reason are recorded with every row that it
excludes. `nmda_bayes.design.select.STEPS` lists all steps in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nmda_bayes.components.likelihoods import LIKELIHOODS, Cutoff, Likelihood, parse_cutoff
from nmda_bayes.evidence.tree import NO_DISPERSION
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.outcome import ALL_TIMES
from nmda_bayes.spec.rules import BASELINE

Tables = Mapping[str, pd.DataFrame]

#: What an arm reports: its own numbers, a count of responders, or nothing but a contrast.
ARM_REPORT, RESPONDER_REPORT, CONTRAST_REPORT = "arm", "responders", "contrast"
#: `se_from` of an arm whose SD the model estimates from those of the other arms.
BORROWED_SD = "no sd: borrowed"
HOURS_COLUMN = "hours_after_treatment"
CONTRAST_KEY = [
    *("study", "agent", "exposure", "arm"),
    *("comparator", "comparator_exposure", "comparator_arm"),
]
#: `overlaps` of an arm begins with it where the arm is a stratum of a randomised group.
STRATUM_PREFIX = "stratum"
#: Hours since the start of treatment that a review's time windows cover, for rows without an hour:
#: up to a week, up to three months, later.
TIME_WINDOWS = {"immediate": (0.0, 168.0), "short": (168.0, 2190.0), "medium": (2190.0, np.inf)}
EXCLUDED_COLUMNS = ["study", "arm", "outcome", "measure", "step", "reason"]


@dataclass
class RowFilter:
    """Rows of one outcome and one kind of report, and those excluded so far."""

    spec: AnalysisSpec
    name: str
    report: str
    tables: Tables
    #: Studies that contribute another kind of report already.
    included_studies: frozenset[str] = frozenset()
    rows: pd.DataFrame = field(init=False)
    #: Counts of every cut-off, before one measure of a study is chosen.
    cutoff_rows: pd.DataFrame = field(init=False)
    _step: str = field(init=False, default="")
    _excluded: list[pd.DataFrame] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Take the rows of the measures."""
        table = self.tables["contrasts" if self.report == CONTRAST_REPORT else "results"]
        measures = self._measures()
        rows = table[table["outcome"].isin([*measures, ""])]
        rank = {measure: position for position, measure in enumerate(measures)}
        self.rows = rows.assign(
            measure=rows["outcome"],
            condition=rows["condition_group"],
            preference=rows["outcome"].map(rank).astype(float).fillna(0),
        )

    @property
    def outcome(self) -> OutcomeSpec:
        """The spec of the outcome."""
        return self.spec.outcomes[self.name]

    @property
    def likelihood(self) -> Likelihood:
        """The likelihood of the outcome."""
        return LIKELIHOODS[self.outcome.likelihood]

    @property
    def row_key(self) -> list[str]:
        """The columns that identify a row of the design."""
        if self.report == CONTRAST_REPORT:
            return CONTRAST_KEY
        repeated = self.outcome.has_repeated_measures and self.report == ARM_REPORT
        return ["arm", HOURS_COLUMN] if repeated else ["arm"]

    def _measures(self) -> tuple[str, ...]:
        outcome = self.outcome
        if self.report == RESPONDER_REPORT and outcome.responders is not None:
            return tuple(outcome.responders.measures)
        if self.report == CONTRAST_REPORT and outcome.contrasts is not None:
            return outcome.contrasts.measures or outcome.measures or (self.name,)
        return outcome.measures or (self.name,)

    def apply(self, steps: Iterable[Callable[[RowFilter], None]]) -> None:
        """Apply steps in their order."""
        for step in steps:
            self._step = step.__name__
            step(self)

    def keep(self, condition: pd.Series, reason: str | pd.Series) -> None:
        """Keep the rows that meet a condition; record the others with the step and a reason."""
        others = self.rows[~condition]
        if not others.empty:
            texts = reason[~condition] if isinstance(reason, pd.Series) else reason
            self._excluded.append(others.assign(step=self._step, reason=texts))
        self.rows = self.rows[condition]

    def keep_best(self, cost: pd.Series, reason: str, by: Iterable[str] = ("study",)) -> None:
        """Keep the rows with the lowest cost of each study (or of the groups given)."""
        best = cost.groupby([self.rows[column] for column in by]).transform("min")
        self.keep(cost == best, reason)

    def revise(self, step: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        """Change the record of what a step excluded."""
        self._excluded = [
            change(rows) if (rows["step"] == step).all() else rows for rows in self._excluded
        ]

    @property
    def excluded(self) -> pd.DataFrame:
        """The excluded rows, with their step and reason."""
        if not self._excluded:
            return pd.DataFrame({column: pd.Series(dtype=object) for column in EXCLUDED_COLUMNS})
        rows = pd.concat(self._excluded, ignore_index=True).assign(outcome=self.name)
        return rows.reindex(columns=EXCLUDED_COLUMNS).fillna({"arm": ""})


def rescale(
    outcome: OutcomeSpec, rows: pd.DataFrame, *, level_column: str, sd_columns: Iterable[str]
) -> pd.DataFrame:
    """Rescale numbers to the spec's scale; NaN where the scale of a row is unknown."""
    if outcome.scale is None:
        return rows
    low, high = outcome.scale
    factor = (high - low) / (rows["scale_max"] - rows["scale_min"])
    is_change = rows["is_change_score"] == 1
    same = (rows["scale_min"] == low) & (rows["scale_max"] == high)
    # The scale of a change may be given as -range to +range (-10 to 10).
    doubled = is_change & (rows["scale_min"] == -rows["scale_max"]) & ~same
    factor = factor.where(~doubled, 2 * factor)
    level = low + (rows[level_column] - rows["scale_min"]) * factor
    rescaled = {level_column: level.where(~is_change, rows[level_column] * factor)}
    return rows.assign(**rescaled, **{column: rows[column] * factor for column in sd_columns})


# Steps: which numbers can be used


def usable_rows(selection: RowFilter) -> None:
    """Exclude rows that the evidence marks as unusable."""
    borrows_sd = selection.report == ARM_REPORT and selection.likelihood.second_observed
    unusable = selection.rows["unusable"]
    selection.keep(unusable.isin(["", NO_DISPERSION] if borrows_sd else [""]), unusable)


def one_report_per_study(selection: RowFilter) -> None:
    """Exclude contrasts and responders of studies that contribute more detailed data."""
    selection.keep(
        ~selection.rows["study"].isin(selection.included_studies),
        "the study contributes more detailed data",
    )


def requested_effects(selection: RowFilter) -> None:
    """Exclude contrasts of effect measures that the spec does not list."""
    if selection.report == CONTRAST_REPORT and selection.outcome.contrasts is not None:
        effect = selection.rows["effect"].replace("", "unnamed")
        listed = effect.isin(selection.outcome.contrasts.effects)
        selection.keep(listed, "effect measure not listed in the spec")


def complete_values(selection: RowFilter) -> None:
    """Exclude rows without a number that the likelihood needs, on the outcome's scale."""
    likelihood, outcome, rows = selection.likelihood, selection.outcome, selection.rows
    if selection.report == ARM_REPORT:
        needed: tuple[str, ...] = likelihood.columns
        rows = rows.assign(se=rows["se_used"])
        rows = rescale(outcome, rows, level_column="mean", sd_columns=["se"])
    elif selection.report == RESPONDER_REPORT:
        needed = ("events", "n")
    else:
        needed = ("estimate", "se")
        if outcome.contrasts is not None or outcome.scale is not None:
            rows = rows.assign(is_change_score=1.0)
            errors = ["se", "comparator_se"]
            rows = rescale(outcome, rows, level_column="estimate", sd_columns=errors)
    selection.rows = rows.assign(**{column: np.nan for column in needed if column not in rows})
    for column in needed:
        known = selection.rows[column].notna()
        selection.keep(known, f"{column} is missing or its scale is unknown")
    if selection.report == ARM_REPORT and likelihood.second_observed:
        # The SD follows from the standard error, however that was obtained.
        rows = selection.rows
        source = rows["se_from"].where(rows["se"].notna(), BORROWED_SD)
        selection.rows = rows.assign(sd=rows["se"] * np.sqrt(rows["n"]), se_from=source)
    elif selection.report == RESPONDER_REPORT and outcome.responders is not None:
        texts = outcome.responders.measures
        none = Cutoff(np.nan, np.nan)
        cutoffs = [parse_cutoff(texts.get(m, "")) or none for m in selection.rows["measure"]]
        selection.rows = selection.rows.assign(
            cutoff_share=[cutoff.share for cutoff in cutoffs],
            cutoff_points=[cutoff.points for cutoff in cutoffs],
            is_change_score=0.0,
        )


def crossover_periods(selection: RowFilter) -> None:
    """Exclude crossover results that the spec does not let in."""
    if selection.report == CONTRAST_REPORT:
        return
    crossover = selection.spec.designs.crossover
    parallel = crossover is not None and selection.name in crossover.as_parallel
    if selection.report == RESPONDER_REPORT and not parallel:
        selection.keep(
            selection.rows["same_people"] == 0,
            "responders of a crossover trial; to include them list the outcome in"
            " designs.crossover.as_parallel",
        )
    if crossover is not None and crossover.periods == "first":
        selection.keep(
            selection.rows["same_people"] == 0, "crossover trial without first-period results"
        )


# Steps: which time point and which measure of a study


def time_point(selection: RowFilter) -> None:
    """Keep the time point of each study that the spec's rule selects, the same for all its arms."""
    time = selection.outcome.time
    if time is None:
        return
    hours = selection.rows[HOURS_COLUMN]
    within = hours.abs() <= (np.inf if time.at_most_hours is None else time.at_most_hours)
    if time.missing_time == "review_window":
        within |= hours.isna() & _window_contains_end(selection.rows)
    selection.keep(within, "outside the time window, or time unknown")
    if time.rule == ALL_TIMES:
        selection.keep(selection.rows["time_hours"] >= 0, "measured before treatment began")
        return
    hours = selection.rows[HOURS_COLUMN]
    cost = {"nearest_end_of_treatment": hours.abs(), "earliest": hours, "latest": -hours}[time.rule]
    reason = f"another time point is used: {time.rule.replace('_', ' ')}"
    # Rows dated only by their window are used where no row of the study has an hour.
    selection.keep_best(cost.fillna(np.inf), reason, ("study", "measure"))
    # Equally near before and after the end of treatment: the later one, for every arm alike.
    before_end = (selection.rows[HOURS_COLUMN] < 0).astype(float)
    selection.keep_best(before_end, reason, ("study", "measure"))


def _window_contains_end(rows: pd.DataFrame) -> pd.Series:
    """True where a review's time window of a row contains the end of its treatment."""
    if "time_window" not in rows:  # contrasts have hours or nothing
        return pd.Series(data=False, index=rows.index)
    end = (rows["treatment_days"] * 24).fillna(rows["infusion_hours"])
    last = end.groupby(rows["study"]).transform("max")
    bounds = rows["time_window"].map(lambda window: TIME_WINDOWS.get(window, (np.nan, np.nan)))
    low, high = (bounds.str[side].astype(float) for side in (0, 1))
    return (last > low) & (last <= high)


def preferred_measure(selection: RowFilter) -> None:
    """Keep the first measure of the spec that a study reports, for arms in two arms or more."""
    rows = selection.rows
    cost = rows["preference"]
    if selection.report != CONTRAST_REPORT:
        n_arms = rows.groupby(["study", "measure"])["arm"].transform("nunique")
        cost = cost + (n_arms < 2) * len(rows)
    selection.keep_best(cost, "the study reports a preferred measure")


def levels_or_changes(selection: RowFilter) -> None:
    """Keep the final values or the changes of a study, whichever more arms report."""
    rows = selection.rows
    if selection.report == CONTRAST_REPORT or "is_change_score" not in rows:
        return
    is_change = (rows["is_change_score"] == 1).astype(float)
    n_arms = rows["arm"].groupby([rows["study"], is_change]).transform("nunique")
    selection.keep_best(
        is_change - 2 * n_arms,  # one arm more outweighs the preference for final values
        "final values and changes are not combined within a study",
    )


# Steps: nobody counts twice


def randomised_arms(selection: RowFilter) -> None:
    """Exclude strata of arms, and arms whose patients other arms count."""
    if selection.report == CONTRAST_REPORT:
        return
    is_stratum = selection.rows["overlaps"].str.startswith(STRATUM_PREFIX)
    selection.keep(~is_stratum, "a stratum of an arm, not a randomised group")
    rows = selection.rows
    separate = rows["overlaps"] == ""
    has_separate = (separate & (rows["exposure"] > 0)).groupby(rows["study"]).transform("any")
    selection.keep(separate | ~has_separate, "its patients are counted in other arms")


def same_time_point(selection: RowFilter) -> None:
    """Keep one time point of a study with several: that of most rows, then the earliest."""
    rows, key = selection.rows, selection.row_key
    if selection.report == CONTRAST_REPORT and selection.outcome.is_time_varying:
        key = ["study"]
    hours = rows["time_hours"].fillna(np.inf)
    several = rows.duplicated(key, keep=False).groupby(rows["study"]).transform("any")
    n_rows = rows.groupby([rows["study"], hours, rows["time_label"]])["study"].transform("size")
    order = pd.DataFrame({"fewest": -n_rows, "hours": hours, "label": rows["time_label"]})
    rank = order.groupby(["fewest", "hours", "label"], sort=True).ngroup()
    selection.keep_best(
        rank.where(several, 0), "another time point is used: most arms, then the earliest"
    )


def one_row_per_unit(selection: RowFilter) -> None:
    """Keep one row for each arm or contrast."""
    first = ~selection.rows.duplicated(selection.row_key)
    unit = "contrast" if selection.report == CONTRAST_REPORT else "arm"
    selection.keep(first, f"another row of this {unit} is used")


def comparison_within_study(selection: RowFilter) -> None:
    """Exclude arms without another arm to compare with, unless baselines are shared."""
    baseline = selection.outcome.parameters.get(BASELINE)
    independent = baseline is None or baseline.pooling == "independent"
    if selection.report == CONTRAST_REPORT or not independent:
        return
    repeated = selection.outcome.has_repeated_measures
    within = ["study", HOURS_COLUMN] if repeated else ["study"]
    n_arms = selection.rows.groupby(within)["arm"].transform("size")
    selection.keep(n_arms >= 2, "no other arm of the study to compare with")
