"""Doses of arms, computed from their schedules, and the doses that were tried.

    total, daily dose, peak rate, course    from the schedule (`nmda_bayes.regimens`)
    ..._assuming_weight                     the same, where mg and mg/kg need a body weight
    racemic_equivalent_..., elemental_...   total times the factor of the agent

Doses that depend on an assumed weight or factor (rows of conversions.csv) have columns of their own
and a note, so that no assumption decides which arms an analysis includes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import InputError, Issue, suggest_match
from nmda_bayes.evidence.table_io import LINE
from nmda_bayes.evidence.tree import to_frame
from nmda_bayes.regimens import QUALIFIER_NOTES, Regimen, format_number, parse_regimen

TOTAL_DOSE: Final = "total_dose_mg_per_kg"
DAILY_DOSE: Final = "daily_dose_mg"
PEAK_RATE: Final = "peak_rate_mg_per_kg_per_h"
COURSE_DAYS: Final = "course_days"
SCHEDULE_COLUMNS: Final = (TOTAL_DOSE, DAILY_DOSE, PEAK_RATE, COURSE_DAYS)
ASSUMED_WEIGHT: Final = "_assuming_weight"
#: Columns that are the total times a factor of the agent, by the name of the conversion.
CONVERSION_COLUMNS: Final = {
    "racemic_potency": "racemic_equivalent_mg_per_kg",
    "elemental_magnesium": "elemental_magnesium_mg_per_kg",
}
BODY_WEIGHT: Final = "body_weight"
ADULTS: Final = "adults"

#: Columns of arms that a reference dose may refer to.
DOSE_COLUMNS: Final = (
    TOTAL_DOSE,
    DAILY_DOSE,
    TOTAL_DOSE + ASSUMED_WEIGHT,
    DAILY_DOSE + ASSUMED_WEIGHT,
    PEAK_RATE,
    *CONVERSION_COLUMNS.values(),
)
#: Units of the dose of an arm, in order of preference if there is no reference dose.
DOSE_COLUMN_UNITS: Final = {TOTAL_DOSE: "mg/kg", DAILY_DOSE: "mg a day"}

TOTAL_FROM_END_RATE = (
    "total = rate at the end x hours of the infusion: an upper bound if the rate was stepped"
)
TOTAL_FROM_HIGHEST_RATE = (
    "total = highest rate x hours of the infusion: an upper bound, as the rate was stepped"
)
SCHEDULE_FROM_COLUMNS = "schedule derived from dose_value and related columns"
DOSE_NOT_KNOWN: Final = "dose not known"

NO_DOSE = "no dose in the evidence"
NO_REFERENCE = "no reference dose for this agent and route"
UNIT_MISMATCH = "dose in another unit than the reference dose"

#: Columns of either side of a contrast: agent, arm, dose, number of people.
CONTRAST_SIDES: Final = (
    ("agent", "arm", "dose", "n_treat"),
    ("comparator", "comparator_arm", "comparator_dose", "n_control"),
)
UNIT_NOTATION = {
    "mg": "mg",
    "mg_per_kg": "mg/kg",
    "mg_per_kg_per_h": "mg/kg/h",
    "mg_per_day": "mg a day",
    "mg_per_kg_per_day": "mg/kg a day",
}


def dose_coverage(
    evidence: xr.DataTree, outcomes: Sequence[str] | None = None, reference: str = "placebo"
) -> pd.DataFrame:
    """List the active arms with dose, number of people and whether they have usable results.

    Parameters
    ----------
    evidence
        From `load_evidence`.
    outcomes
        An arm is usable if it has a usable row of one of these outcomes; None: of any.
    reference
        The agent at dose 0. Other agents that the vocabulary puts under ``reference`` (active
        placebos, no treatment) are left out too.

    Returns
    -------
    pd.DataFrame
        One row per arm: study, arm, agent, route, condition_group, dose, unit (``mg/kg`` of the
        course, ``mg a day``, or empty for the unit of a flat table), reference_dose, multiple (of
        it), mg_per_kg (of the course, if known), people, overlaps (if not empty, people are counted
        in other arms too), usable, missing_reason (why there is no multiple), note (assumptions of
        the dose). Contrasts without arms in the evidence have a row per side.

    Examples
    --------
    >>> arms = nb.dose_coverage(evidence)
    >>> bool((arms["multiple"].notna() == (arms["missing_reason"] == "")).all())
    True
    """
    rows = pd.concat(
        [_doses_of_arms(evidence, outcomes), *_doses_of_contrasts(evidence, outcomes)],
        ignore_index=True,
    )
    rows = assign_dose(rows, to_frame(evidence, "reference_doses"))
    rows = rows[(rows["dose"] != 0) & ~rows["agent"].isin([reference, *reference_agents(evidence)])]
    groups = to_frame(evidence, "studies").set_index("study")["condition_group"]
    rows = rows.assign(condition_group=rows["study"].map(groups).fillna(""))
    identity = ["study", "arm", "agent", "route", "condition_group"]
    doses = ["dose", "unit", "reference_dose", "multiple", "mg_per_kg"]
    counts = ["people", "overlaps", "usable", "missing_reason", "note"]
    return rows[[*identity, *doses, *counts]].reset_index(drop=True)


def _doses_of_arms(tree: xr.DataTree, outcomes: Sequence[str] | None) -> pd.DataFrame:
    arms = to_frame(tree, "arms")
    results = _usable(to_frame(tree, "results"), outcomes)
    contrasts = _usable(to_frame(tree, "contrasts"), outcomes)
    reported = pd.concat([results["arm"], contrasts["arm"], contrasts["comparator_arm"]])
    return arms.assign(
        people=arm_sizes(tree).reindex(arms["arm"]).to_numpy(float),
        usable=arms["arm"].isin(reported),
        note=arms["dose_note"],
    )


def _doses_of_contrasts(tree: xr.DataTree, outcomes: Sequence[str] | None) -> list[pd.DataFrame]:
    """Return the sides of contrasts whose arms are not in the table of arms."""
    contrasts = to_frame(tree, "contrasts")
    usable = contrasts.index.isin(_usable(contrasts, outcomes).index)
    sides = []
    for agent, arm, dose, people in CONTRAST_SIDES:
        side = contrasts[["study"]].assign(
            arm="",
            agent=contrasts[agent],
            route="",
            dose=contrasts[dose],
            people=contrasts[people],
            usable=usable,
            note="",
            **dict.fromkeys(DOSE_COLUMN_UNITS, np.nan),
        )[contrasts[arm] == ""]
        side = side.sort_values(["usable", "people"], ascending=False, kind="stable")
        sides.append(side.drop_duplicates(["study", "agent", "dose"]).sort_index())
    return [side for side in sides if len(side)]


def _usable(rows: pd.DataFrame, outcomes: Sequence[str] | None) -> pd.DataFrame:
    usable = rows[rows["unusable"] == ""]
    return usable if outcomes is None else usable[usable["outcome"].isin([*outcomes])]


def assign_dose(arms: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Add the dose of each arm, its unit, and its multiple of the reference dose."""
    known = references[["agent", "route", "dose_column", "reference_dose"]]
    joined = arms[["agent", "route"]].merge(known, on=["agent", "route"], how="left")
    column = joined["dose_column"].fillna("").to_numpy(object)
    reported = arms["dose"].to_numpy(float)
    dose, unit = reported.copy(), np.full(len(arms), "", object)
    # The unit of the reference dose first, else any.
    for preferred in (column, None):
        for name, unit_of_column in DOSE_COLUMN_UNITS.items():
            values = arms[name].to_numpy(float)
            take = np.isnan(dose) & ~np.isnan(values) & (preferred is None or preferred == name)
            dose[take], unit[take] = values[take], unit_of_column
    scale = joined["reference_dose"].to_numpy(float)
    same_unit = unit == np.array([DOSE_COLUMN_UNITS.get(name, "-") for name in column], object)
    multiple = np.where(same_unit, dose / scale, np.nan)
    reason = np.select(
        [np.isnan(dose), ~np.isnan(multiple) | ~np.isnan(reported), column == ""],
        [NO_DOSE, "", NO_REFERENCE],
        UNIT_MISMATCH,
    )
    return arms.assign(
        dose=dose,
        unit=unit,
        reference_dose=scale,
        multiple=multiple,
        mg_per_kg=arms[TOTAL_DOSE],
        missing_reason=reason,
    )


def dose_nodes(rows: pd.DataFrame) -> pd.Series:
    """Return the network node of each arm, agent and route at a dose: ``ketamine iv@0.5 mg/kg``."""
    amount = dose_texts(rows).where(rows["dose"].notna(), DOSE_NOT_KNOWN)
    agent = (rows["agent"] + " " + rows["route"]).str.strip()
    return (agent + "@" + amount).where(rows["dose"] != 0, rows["agent"])


def dose_texts(rows: pd.DataFrame) -> pd.Series:
    """Return doses with their units, to three digits; empty if not known."""
    pairs = zip(rows["dose"], rows["unit"], strict=True)
    texts = [f"{_three_digits(dose)} {unit}".strip() for dose, unit in pairs]
    return pd.Series(texts, index=rows.index, dtype="str")


def _three_digits(dose: float) -> str:
    return "" if np.isnan(dose) else f"{dose:.0f}" if dose >= 100 else f"{dose:.3g}"


def reference_agents(tree: xr.DataTree) -> list[str]:
    """Return the agents that the vocabulary puts under reference: placebos, no treatment."""
    if "vocabulary" not in tree.children:
        return []
    terms = to_frame(tree, "vocabulary")
    return terms.loc[(terms["kind"] == "agent") & (terms["within"] == "reference"), "term"].tolist()


def arm_sizes(tree: xr.DataTree) -> pd.Series:
    """Return the number of people in each arm: randomised, else the largest number analysed."""
    arms = to_frame(tree, "arms").set_index("arm")
    analysed = to_frame(tree, "results").groupby("arm")["n"].max()
    return arms["n_randomised"].fillna(analysed.reindex(arms.index)).rename("people")


def dose_issues(frames: dict[str, pd.DataFrame]) -> Iterator[Issue]:
    """Report schedules that cannot be parsed, typed doses, and conversions of unknown targets."""
    arms, conversions = frames["arms"], frames["conversions"]
    for column in (*DOSE_COLUMNS, COURSE_DAYS):
        if column in arms:
            message = f"the column '{column}' is computed from the schedule"
            hint = "Write the schedule (such as '0.5 mg/kg over 40 min') and delete the column."
            yield Issue("E710", message, hint, "arms.csv", None, column)
    for text, line in zip(arms["schedule"], arms[LINE], strict=True):
        try:
            if text:
                parse_regimen(text)
        except InputError as error:
            for issue in error.issues:
                yield replace(issue, file="arms.csv", row=int(line), column="schedule")
    targets = {
        "study": {ADULTS, *frames["studies"]["study"]},
        "agent": {*frames["vocabulary"]["term"]},
    }
    columns = (conversions[name] for name in ("name", "applies_to", LINE))
    for name, target, line in zip(*columns, strict=True):
        kind = "study" if name == BODY_WEIGHT else "agent"
        if target not in targets[kind]:
            hint = suggest_match(str(target), sorted(targets[kind]))[:200]
            message = f"unknown {kind} '{target}'"
            yield Issue("E711", message, hint, "conversions.csv", int(line), "applies_to")


def schedule_from_columns(arm: pd.Series) -> str:
    """Write the schedule of an arm from its other columns; empty if they are ambiguous."""
    names = ("dose_value", "infusion_hours", "n_administrations", "treatment_days")
    value, hours, n, days = (float(arm[name]) for name in names)
    unit = UNIT_NOTATION.get(str(arm["dose_unit"]), "")
    if not unit or not value > 0:
        return ""
    amount = f"{format_number(value)} {unit}"
    if unit.endswith(" a day"):
        return amount + (f", {format_number(days)} days" if days > 0 else "")
    is_rate = unit.endswith("/h")
    if not n > 0 or (is_rate and n > 1):
        return ""  # of several infusions, infusion_hours may be the duration of one or of all
    duration = f" {'for' if is_rate else 'over'} {format_number(hours)} h" if hours > 0 else ""
    # The interval between doses is not known, only their number.
    return amount + duration + (f", {format_number(n)} times" if n > 1 else "")


def arm_doses(
    arms: pd.DataFrame, conversions: pd.DataFrame, references: pd.DataFrame
) -> pd.DataFrame:
    """Add every dose of every arm, computed from its schedule, and notes on assumptions."""
    from_columns = bool((arms["schedule"] == "").all())
    if from_columns:
        schedules = [schedule_from_columns(arm) for _, arm in arms.iterrows()]
        arms = arms.assign(schedule=pd.Series(schedules, index=arms.index, dtype="str"))
    regimens = [parse_regimen(text) if text else None for text in arms["schedule"]]
    weights = _body_weights(arms["study"], conversions)
    doses = [_schedule_doses(regimen) for regimen in regimens]
    out = arms.join(pd.DataFrame(doses, arms.index, [*SCHEDULE_COLUMNS], dtype=float))
    rates = [TOTAL_DOSE, DAILY_DOSE, PEAK_RATE]
    out[rates] = out[rates].mask(arms["agent"] == "placebo", 0.0)
    notes = [_schedule_note(regimen, from_columns) for regimen in regimens]
    out["dose_note"] = pd.Series(notes, index=arms.index, dtype="str")
    converted = pd.DataFrame(
        [_weighted_doses(*pair) for pair in zip(regimens, weights, strict=True)],
        arms.index,
        [TOTAL_DOSE, DAILY_DOSE],
        dtype=float,
    )
    assumptions: dict[str, pd.Series] = {}
    for column in converted:
        target = f"{column}{ASSUMED_WEIGHT}"
        assumed = out[column].isna() & converted[column].notna()
        text = weights.map("body weight of {:g} kg assumed".format)
        out[target] = out[column].fillna(converted[column])
        assumptions[target] = text.where(assumed, "")
    for conversion, column in CONVERSION_COLUMNS.items():
        factor = arms["agent"].map(_factors(conversions, conversion)).astype(float)
        out[column] = out[TOTAL_DOSE] * factor
        text = factor.map(f"{conversion.replace('_', ' ')} {{:g}} assumed".format)
        assumptions[column] = text.where(out[column].notna() & (factor != 1), "")
    return _with_assumptions(out, assumptions, references)


def _schedule_doses(regimen: Regimen | None) -> list[float]:
    """Return the schedule columns that need no conversion."""
    if regimen is None:
        return [np.nan] * len(SCHEDULE_COLUMNS)
    per_kg = regimen.basis == "mg/kg"
    return [
        regimen.total("mg/kg") if per_kg else np.nan,
        regimen.daily("mg") if regimen.basis == "mg" else np.nan,
        regimen.peak_rate("mg/kg/h") if per_kg else np.nan,
        regimen.days,
    ]


def _weighted_doses(regimen: Regimen | None, kg: float) -> list[float]:
    """Return total dose in mg/kg and daily dose in mg for a body weight."""
    if regimen is None or regimen.basis == "ng/mL" or not kg > 0:
        return [np.nan, np.nan]
    in_mg = regimen.for_weight(kg)
    return [in_mg.total("mg") / kg, in_mg.daily("mg")]


def _schedule_note(regimen: Regimen | None, from_columns: bool) -> str:
    if regimen is None:
        return ""
    phases = [phase for course in regimen.courses for phase in course.phases]
    rates = [p.qualifier for p in phases if p.kind == "rate" and p.duration]
    stepped = {"up to": TOTAL_FROM_HIGHEST_RATE} if "up to" in rates else {}
    notes = [(QUALIFIER_NOTES | stepped)[word] for word in regimen.qualifiers]
    if from_columns:
        notes += [SCHEDULE_FROM_COLUMNS, *([TOTAL_FROM_END_RATE] if rates else [])]
    return "; ".join(notes)


def _factors(conversions: pd.DataFrame, name: str) -> pd.Series:
    return conversions[conversions["name"] == name].set_index("applies_to")["value"]


def _body_weights(study: pd.Series, conversions: pd.DataFrame) -> pd.Series:
    """Return the body weight that may be assumed in each study; NaN if none may."""
    weights = _factors(conversions, BODY_WEIGHT)
    adults = float(weights.get(ADULTS, np.nan))
    return study.map(weights).astype(float).where(study.isin(weights.index), adults)


def _with_assumptions(
    arms: pd.DataFrame, assumptions: dict[str, pd.Series], references: pd.DataFrame
) -> pd.DataFrame:
    """Note the assumptions by column, and in dose_note those of the column of the dose axis."""
    columns = references.set_index(["agent", "route"])["dose_column"].to_dict()
    keys = zip(arms["agent"], arms["route"], strict=True)
    axis = pd.Series([columns.get(key, "") for key in keys], index=arms.index, dtype="str")
    dose_note = arms["dose_note"]
    conversion_note = pd.Series("", index=arms.index, dtype="str")
    for column, text in assumptions.items():
        conversion_note = _append(conversion_note, (f"{column}: " + text).where(text != "", ""))
        dose_note = _append(dose_note, text.where(axis == column, ""))
    return arms.assign(dose_note=dose_note, conversion_note=conversion_note)


def _append(notes: pd.Series, more: pd.Series) -> pd.Series:
    return notes.where(more == "", (notes + "; " + more).str.removeprefix("; "))
