"""Doses of arms, worked out from their schedules: derived here and typed nowhere.

    total, daily dose, peak rate, course    follow from the schedule alone (`nmda_bayes.regimens`)
    ..._assuming_weight                     the same, where mg and mg/kg are parted by a body weight
    racemic_equivalent_..., elemental_...   total times the factor of the agent

What needs a body weight or a factor stands in columns of its own, through rows of conversions.csv,
and says so in ``conversion_note``. The plain columns hold what the report says and no more, so that
no assumption decides which arms an analysis sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import Fault, InputError, nearest
from nmda_bayes.evidence.reading import LINE
from nmda_bayes.regimens import Regimen, parse_regimen
from nmda_bayes.regimens.measures import plain

#: Columns that follow from a schedule, and the unit that each is given in.
TOTAL, DAILY, PEAK = "total_dose_mg_per_kg", "daily_dose_mg", "peak_rate_mg_per_kg_per_h"
WEIGHED = "_assuming_weight"
DERIVED = (TOTAL, DAILY, PEAK, "course_days")

#: Columns that are a total times the factor of the agent, by the name of the conversion.
FACTORS = {
    "racemic_potency": "racemic_equivalent_mg_per_kg",
    "elemental_magnesium": "elemental_magnesium_mg_per_kg",
}
BODY_WEIGHT = "body_weight"
ADULTS = "adults"

#: Columns of arms that a reference dose may refer to.
DOSE_COLUMNS = (TOTAL, DAILY, TOTAL + WEIGHED, DAILY + WEIGHED, PEAK, *FACTORS.values())

#: Flags in words: what a reader must know of a dose before trusting it.
FROM_RATE = (
    "total = rate at the end x hours of the infusion: an upper bound if the rate was stepped"
)
FROM_HIGHEST_RATE = (
    "total = highest rate x hours of the infusion: an upper bound, since the rate was stepped"
)
QUALIFIED = {
    "up to": "the highest dose of a titrated or stepped schedule",
    "mean": "the mean of the doses that people were given",
    "median": "the median of the doses that people were given",
}
FROM_COLUMNS = "schedule worked out from dose_value and its neighbours"

#: How the units of dose_value read in a schedule.
_UNITS = {
    "mg": "mg",
    "mg_per_kg": "mg/kg",
    "mg_per_kg_per_h": "mg/kg/h",
    "mg_per_day": "mg a day",
    "mg_per_kg_per_day": "mg/kg a day",
}


def schedule_from_columns(arm: pd.Series) -> str:
    """Write the schedule of an arm from its other columns, where they leave no doubt.

    Parameters
    ----------
    arm
        With dose_value, dose_unit, infusion_hours, n_administrations and treatment_days.

    Returns
    -------
    str
        The notation, or empty: a dose without its number of times says nothing of a total.
    """
    unit = _UNITS.get(str(arm["dose_unit"]), "")
    value, hours, n, days = (
        float(arm[name])
        for name in ("dose_value", "infusion_hours", "n_administrations", "treatment_days")
    )
    if not unit or not value > 0:
        return ""
    if unit.endswith(" a day"):
        return f"{plain(value)} {unit}" + (f", {plain(days)} days" if days > 0 else "")
    rate = unit.endswith("/h")
    if not n > 0 or (rate and n > 1):
        return ""  # of several infusions, infusion_hours may be the length of one or of all
    lasting = f" {'for' if rate else 'over'} {plain(hours)} h" if hours > 0 else ""
    # How far apart the doses were is not said, so neither is a day's dose: only their number.
    times = f", {plain(n)} times" if n > 1 else ""
    return f"{plain(value)} {unit}{lasting}{times}"


def dose_faults(frames: dict[str, pd.DataFrame]) -> Iterator[Fault]:
    """Say which schedules cannot be read, which doses are typed, which conversions fit nothing.

    Parameters
    ----------
    frames
        Typed tables by name.

    Yields
    ------
    Fault
        One a cell; one a column of typed doses.
    """
    arms, conversions = frames["arms"], frames["conversions"]
    for column in (*DOSE_COLUMNS, "course_days"):
        if column in arms:
            yield Fault(
                f"the column '{column}' is worked out from the schedule, not typed",
                "Write the schedule (such as '0.5 mg/kg over 40 min') and delete the column.",
                "arms.csv",
                None,
                column,
            )
    for text, line in zip(arms["schedule"], arms[LINE], strict=True):
        try:
            if text:
                parse_regimen(text)
        except InputError as wrong:
            for fault in wrong.faults:
                yield replace(fault, file="arms.csv", row=int(line), column="schedule")
    studies, agents = {ADULTS, *frames["studies"]["study"]}, {*frames["vocabulary"]["term"]}
    for row in conversions.itertuples():
        known = studies if row.name == BODY_WEIGHT else agents
        if row.applies_to not in known:
            yield Fault(
                f"'{row.applies_to}' is no {'study' if row.name == BODY_WEIGHT else 'agent'} here",
                nearest(str(row.applies_to), sorted(known))[:200],
                "conversions.csv",
                int(str(getattr(row, LINE))),
                "applies_to",
            )


def arm_doses(
    arms: pd.DataFrame, conversions: pd.DataFrame, references: pd.DataFrame
) -> pd.DataFrame:
    """Work out every dose of every arm from its schedule, and flag what was assumed.

    Parameters
    ----------
    arms
        Checked, with columns study, agent, route, schedule and the ones of
        `schedule_from_columns`.
    conversions
        Columns name, value, unit and applies_to: a body weight in kg for ``adults`` or for one
        study (empty: none may be assumed there), and factors for agents.
    references
        Columns agent, route and dose_column: whose flags go into ``dose_note``.

    Returns
    -------
    pd.DataFrame
        Arms with `DOSE_COLUMNS` and course_days, NaN where not known; ``schedule`` written from
        the other columns where no arm has one; ``dose_note`` with the flags of the doses that
        stand on an axis, ``conversion_note`` with those of the converted columns. Placebo is 0.
    """
    from_columns = bool((arms["schedule"] == "").all())
    if from_columns:
        written = [schedule_from_columns(arm) for _, arm in arms.iterrows()]
        arms = arms.assign(schedule=pd.Series(written, index=arms.index, dtype="str"))
    regimens = [parse_regimen(text) if text else None for text in arms["schedule"]]
    weights = _weights(arms["study"], conversions)
    out = arms.assign(
        **_columns([_plain(regimen) for regimen in regimens], arms.index),
        dose_note=pd.Series(
            [_note(r, from_columns) for r in regimens], index=arms.index, dtype="str"
        ),
    )
    placebo = arms["agent"] == "placebo"
    out[[TOTAL, DAILY, PEAK]] = out[[TOTAL, DAILY, PEAK]].mask(placebo, 0.0)
    other = _columns([_weighed(*pair) for pair in zip(regimens, weights, strict=True)], arms.index)
    flags: dict[str, pd.Series] = {}
    for column, value in other.items():
        out[column + WEIGHED] = out[column].fillna(value)
        used = out[column].isna() & value.notna()
        flags[column + WEIGHED] = weights.map("a body of {:g} kg assumed".format).where(used, "")
    for conversion, column in FACTORS.items():
        factor = _factors(arms["agent"], conversion, conversions)
        out[column] = out[TOTAL] * factor
        words = f"{conversion.replace('_', ' ')} {{:g}} assumed"
        flags[column] = factor.map(words.format).where(out[column].notna() & (factor != 1), "")
    return _flagged(out, flags, references)


def _columns(rows: list[dict[str, float]], index: pd.Index) -> dict[str, pd.Series]:
    names = list(rows[0]) if rows else DERIVED
    return {
        name: pd.Series([row[name] for row in rows], index=index, dtype=float) for name in names
    }


def _plain(regimen: Regimen | None) -> dict[str, float]:
    """What the schedule says in its own unit."""
    if regimen is None:
        return dict.fromkeys(DERIVED, np.nan)
    per_kg, in_mg = regimen.basis == "mg/kg", regimen.basis == "mg"
    return {
        TOTAL: regimen.total("mg/kg") if per_kg else np.nan,
        DAILY: regimen.daily("mg") if in_mg else np.nan,
        PEAK: regimen.peak_rate("mg/kg/h") if per_kg else np.nan,
        "course_days": regimen.days,
    }


def _weighed(regimen: Regimen | None, kg: float) -> dict[str, float]:
    """What a schedule says in the other unit, through a body weight."""
    if regimen is None or regimen.basis == "ng/mL" or not kg > 0:
        return {TOTAL: np.nan, DAILY: np.nan}
    in_mg = regimen.for_weight(kg)
    return {TOTAL: in_mg.total("mg") / kg, DAILY: in_mg.daily("mg")}


def _note(regimen: Regimen | None, from_columns: bool) -> str:
    """Say what a reader must know of the doses of a schedule."""
    if regimen is None:
        return ""
    rates = [
        phase.qualifier
        for course in regimen.courses
        for phase in course.phases
        if phase.given == "rate" and phase.lasting
    ]
    said = [QUALIFIED[word] for word in regimen.qualifiers]
    if "up to" in rates:
        said[regimen.qualifiers.index("up to")] = FROM_HIGHEST_RATE
    if from_columns:
        said += [FROM_COLUMNS, *([FROM_RATE] if rates else [])]
    return "; ".join(said)


def _weights(study: pd.Series, conversions: pd.DataFrame) -> pd.Series:
    """Body weight that may be assumed in each study; NaN where none may."""
    mine = conversions[conversions["name"] == BODY_WEIGHT].set_index("applies_to")["value"]
    adults = float(mine.get(ADULTS, np.nan))
    own = study.map(mine).astype(float)
    return own.where(study.isin(mine.index), adults)


def _factors(agent: pd.Series, name: str, conversions: pd.DataFrame) -> pd.Series:
    mine = conversions[conversions["name"] == name].set_index("applies_to")["value"]
    return agent.map(mine).astype(float)


def _flagged(
    arms: pd.DataFrame, flags: dict[str, pd.Series], references: pd.DataFrame
) -> pd.DataFrame:
    """Say by column what was assumed, and again in dose_note where that column is the axis."""
    axis = references.set_index(["agent", "route"])["dose_column"].to_dict()
    keys = zip(arms["agent"], arms["route"], strict=True)
    axes = pd.Series([axis.get(key, "") for key in keys], index=arms.index, dtype="str")
    of_axis = arms["dose_note"]
    by_column = pd.Series("", index=arms.index, dtype="str")
    for column, flag in flags.items():
        by_column = _joined(by_column, (f"{column}: " + flag).where(flag != "", ""))
        of_axis = _joined(of_axis, flag.where(axes == column, ""))
    return arms.assign(dose_note=of_axis, conversion_note=by_column)


def _joined(notes: pd.Series, more: pd.Series) -> pd.Series:
    return notes.where(more == "", (notes + "; " + more).str.removeprefix("; "))
