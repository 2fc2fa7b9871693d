"""Which of a study's rows enter, for one outcome: measure, time point, scale, arms.

Each rule takes a table and gives back what stays; `Chosen` keeps beside it what went and why.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.parts import TimeSpec

ARM_COLUMNS = ["arm", "study", "agent", "condition", "route", "regimen", "exposure"]
ROW_COLUMNS = [
    "measure",
    "time_hours",
    "time_label",
    "time_window",
    "source",
    "provenance",
    "dose_note",
]

#: Hours since treatment began that a review's windows cover, for rows that give no hour: up to a
#: week, to three months, later.
WINDOWS = {"immediate": (0.0, 168.0), "short": (168.0, 2190.0), "medium": (2190.0, np.inf)}
STRATUM = "stratum"


@dataclass
class Chosen:
    """What enters for one outcome, and what does not.

    Attributes
    ----------
    arms
        One row an arm: its place in the design, and what it reports.
    contrasts
        One row a contrast, where the likelihood is of contrasts.
    left_out
        study, arm, outcome, measure, reason.
    """

    arms: pd.DataFrame
    contrasts: pd.DataFrame | None
    left_out: pd.DataFrame


@dataclass
class _Sieve:
    """Rows on their way through the rules, and the ones that fell out."""

    outcome: str
    rows: pd.DataFrame
    fallen: list[pd.DataFrame] = field(default_factory=list)

    def keep(self, stays: pd.Series, reason: str | pd.Series) -> None:
        """Keep the rows where ``stays``; the others fall out for a reason."""
        gone = self.rows[~stays]
        if not gone.empty:
            texts = reason[~stays] if isinstance(reason, pd.Series) else reason
            self.fallen.append(gone.assign(reason=texts))
        self.rows = self.rows[stays]

    def left_out(self) -> pd.DataFrame:
        """List what fell out."""
        columns = ["study", "arm", "outcome", "measure", "reason"]
        if not self.fallen:
            return pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
        fallen = pd.concat(self.fallen, ignore_index=True)
        fallen = fallen.assign(outcome=self.outcome).reindex(columns=columns)
        return fallen.fillna({"arm": ""})


def choose_arm_results(name: str, spec: AnalysisSpec, selected: dict[str, pd.DataFrame]) -> Chosen:
    """Choose one result for each arm.

    Parameters
    ----------
    name
        The outcome.
    spec
        The analysis.
    selected
        ``results`` joined to arms and studies, and ``references``, the reference doses.

    Returns
    -------
    Chosen
        With no contrasts.
    """
    outcome = spec.outcomes[name]
    sieve = _Sieve(name, _rows_of(name, outcome, selected["results"]))
    sieve.keep(sieve.rows["unusable"] == "", sieve.rows["unusable"])
    sieve.rows = _bring_to_scale(outcome, sieve.rows.assign(se=sieve.rows["se_used"]))
    for column in LIKELIHOODS[outcome.likelihood].columns:
        sieve.keep(sieve.rows[column].notna(), f"no {column} on the outcome's scale")
    _place_on_dose_axis(sieve, spec, outcome, selected["references"])
    if outcome.time is not None:
        _keep_time(sieve, outcome.time)
    _keep_measure(sieve)
    _keep_one_row_an_arm(sieve)
    baseline = outcome.parameters["baseline"]
    if baseline.pooling == "independent":
        count = sieve.rows.groupby("study")["arm"].transform("size")
        sieve.keep(count >= 2, "one arm left in its study: no difference to learn from")
    columns = [*ARM_COLUMNS, *LIKELIHOODS[outcome.likelihood].columns, *ROW_COLUMNS]
    arms = sieve.rows.reindex(columns=columns).reset_index(drop=True)
    return Chosen(arms, None, sieve.left_out())


def choose_contrasts(name: str, spec: AnalysisSpec, selected: dict[str, pd.DataFrame]) -> Chosen:
    """Choose the contrasts, and make the arms that they compare.

    Parameters
    ----------
    name
        The outcome.
    spec
        The analysis.
    selected
        ``contrasts`` joined to studies, and ``references``, the reference doses.

    Returns
    -------
    Chosen
        Arms report nothing themselves; contrasts point at two of them by position.
    """
    outcome = spec.outcomes[name]
    sieve = _Sieve(name, _rows_of(name, outcome, selected["contrasts"]))
    sieve.keep(sieve.rows["unusable"] == "", sieve.rows["unusable"])
    for column in LIKELIHOODS[outcome.likelihood].columns:
        sieve.keep(sieve.rows[column].notna(), f"no {column}")
    for agent, dose, exposure in (
        ("agent", "dose", "exposure"),
        ("comparator", "comparator_dose", "comparator_exposure"),
    ):
        doses = {"route", *selected["references"]["dose_column"]} - set(sieve.rows)
        side = sieve.rows.assign(agent=sieve.rows[agent], dose=sieve.rows[dose])
        side = side.assign(**dict.fromkeys(doses, np.nan))
        sieve.rows = sieve.rows.assign(
            **{exposure: _exposure(spec, outcome, side, selected["references"])}
        )
        sieve.keep(sieve.rows[exposure].notna(), EXPOSURES[outcome.exposure].missing)
    _keep_one_row_a_contrast(sieve)
    rows = sieve.rows.reset_index(drop=True)
    sides = [
        pd.DataFrame(
            {
                "study": rows["study"],
                "agent": rows[agent],
                "condition": rows["condition_group"],
                "exposure": rows[exposure],
            }
        )
        for agent, exposure in (("agent", "exposure"), ("comparator", "comparator_exposure"))
    ]
    labels = [s["study"] + ": " + s["agent"] + s["exposure"].map(" {:g}".format) for s in sides]
    sides = [side.assign(arm=label) for side, label in zip(sides, labels, strict=True)]
    arms = pd.concat(sides).drop_duplicates("arm").assign(route="", regimen="")
    arms = arms.sort_values("study", kind="stable").reset_index(drop=True)
    position = pd.Series(arms.index, index=arms["arm"])
    contrasts = pd.DataFrame(
        {
            "contrast": labels[0] + " v " + labels[1].str.split(": ", n=1).str[1],
            "arm_position": position.loc[labels[0]].to_numpy(),
            "comparator_position": position.loc[labels[1]].to_numpy(),
            **{c: rows[c] for c in ("estimate", "se", "comparator_se", "source")},
        }
    )
    return Chosen(arms[ARM_COLUMNS], contrasts, sieve.left_out())


def _keep_one_row_a_contrast(sieve: _Sieve) -> None:
    """Keep each study's preferred measure, at one time point: a contrast counts once."""
    best = sieve.rows["preference"].groupby(sieve.rows["study"]).transform("min")
    sieve.keep(sieve.rows["preference"] == best, "the study reports a preferred measure")
    contrast = ["study", "agent", "exposure", "comparator", "comparator_exposure"]
    _keep_one_time(sieve, contrast)
    sieve.keep(~sieve.rows.duplicated(contrast), "another row of this contrast was chosen")


def _rows_of(name: str, outcome: OutcomeSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Take the rows of the outcome's measures; a table of one unnamed outcome is that outcome."""
    measures = outcome.measures or (name,)
    mine = rows["outcome"].isin([*measures, ""])
    rows = rows[mine].assign(measure=rows["outcome"], condition=rows["condition_group"])
    rank = {measure: place for place, measure in enumerate(measures)}
    return rows.assign(preference=rows["measure"].map(rank).fillna(0))


def _bring_to_scale(outcome: OutcomeSpec, rows: pd.DataFrame) -> pd.DataFrame:
    """Stretch means and standard errors to the spec's scale; NaN where a row's scale is unknown."""
    if outcome.scale is None:
        return rows
    low, high = outcome.scale
    stretch = (high - low) / (rows["scale_max"] - rows["scale_min"])
    change = rows["is_change_score"] == 1
    # A change's own scale runs from -range to +range where it is printed so (-10 to 10).
    stretch = stretch.where(~(change & (rows["scale_min"] == -rows["scale_max"])), 2 * stretch)
    level = low + (rows["mean"] - rows["scale_min"]) * stretch
    return rows.assign(mean=level.where(~change, rows["mean"] * stretch), se=rows["se"] * stretch)


def _exposure(
    spec: AnalysisSpec, outcome: OutcomeSpec, arms: pd.DataFrame, references: pd.DataFrame
) -> np.ndarray:
    """Exposure of each arm: 0 for the reference agent, whatever it says of a dose."""
    value = EXPOSURES[outcome.exposure].formula(arms, references)
    if not CURVES[outcome.curve].needs_dose:
        value = np.where(np.isnan(value), 1.0, value)
    return np.where(arms["agent"] == spec.reference, 0.0, value)


def _place_on_dose_axis(
    sieve: _Sieve, spec: AnalysisSpec, outcome: OutcomeSpec, references: pd.DataFrame
) -> None:
    exposure = _exposure(spec, outcome, sieve.rows, references)
    sieve.rows = sieve.rows.assign(exposure=exposure)
    sieve.keep(sieve.rows["exposure"].notna(), EXPOSURES[outcome.exposure].missing)


def _keep_time(sieve: _Sieve, time: TimeSpec) -> None:
    """Keep each study's best time point, the same for all its arms."""
    hours = sieve.rows["hours_after_treatment"]
    limit = np.inf if time.at_most_hours is None else time.at_most_hours
    undated = (
        hours.isna() & (time.undated == "window_of_the_end") & _window_holds_the_end(sieve.rows)
    )
    sieve.keep(
        (hours.abs() <= limit) | undated, "outside the time window, or its time is not known"
    )
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
    end = (rows["treatment_days"] * 24).fillna(rows["infusion_hours"]).groupby(rows["study"])
    last = end.transform("max")
    bounds = rows["time_window"].map(lambda window: WINDOWS.get(window, (np.nan, np.nan)))
    low, high = (bounds.map(lambda pair, i=i: pair[i]).astype(float) for i in (0, 1))
    return (last > low) & (last <= high)


def _keep_measure(sieve: _Sieve) -> None:
    """Keep each study's preferred measure among those that at least two of its arms report."""
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


def _keep_one_row_an_arm(sieve: _Sieve) -> None:
    strata = sieve.rows["overlaps"].str.startswith(STRATUM)
    sieve.keep(~strata, "a stratum of an arm, which is not what was randomised")
    rows = sieve.rows
    whole = (rows["overlaps"] == "") & (rows["exposure"] > 0)
    has_whole = whole.groupby(rows["study"]).transform("any")
    sieve.keep((rows["overlaps"] == "") | ~has_whole, "its patients are counted in other arms")
    _keep_one_time(sieve, ["arm"])
    first = ~sieve.rows.duplicated("arm")
    sieve.keep(first, "another row of this arm was chosen")


def _keep_one_time(sieve: _Sieve, unit: list[str]) -> None:
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
