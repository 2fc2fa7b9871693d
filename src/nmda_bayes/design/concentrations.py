"""Arms on axes of concentration: by the model that the spec names, up to the hour of the reading.

What cannot be worked out is NaN with its reason, and what was assumed is said beside the number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.design.named_models import kinetics_of
from nmda_bayes.design.sieve import exposure_of
from nmda_bayes.pharmacokinetics import arm_exposures
from nmda_bayes.pharmacokinetics.arms import EXPOSURES as CONCENTRATIONS
from nmda_bayes.regimens import parse_regimen
from nmda_bayes.spec import AnalysisSpec

#: Columns of an arm by which its exposure is worked out again: in the graph, of a draw.
READ_COLUMNS = ("agent_given", "schedule", "kinetic_model", "read_at")
RELATIVE_DOSE = "its relative dose stands in for a relative concentration"
WHOLE = "no hour of the reading is given: the whole regimen counts"
AT_ONCE = "the amount of a dosing day as if given at once"
DOSING_DAY = " a dosing day"
PEAK = "peak_concentration"


def placed(
    spec: AnalysisSpec,
    name: str,
    rows: pd.DataFrame,
    selected: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Place arms on the axis of an outcome.

    Parameters
    ----------
    spec
        The analysis.
    name
        Its outcome.
    rows
        With agent, agent_given, route, schedule, study, time_hours and dose columns.
    selected
        ``references``, the reference doses, and the tables of `kinetics_tables`.

    Returns
    -------
    pd.DataFrame
        The rows with ``exposure`` (NaN where there is none), ``exposure_missing``, the reason, and,
        on an axis of concentrations, `READ_COLUMNS` and the flags in ``dose_note``.
    """
    outcome = spec.outcomes[name]
    kind = EXPOSURES[outcome.exposure]
    references = selected["references"]
    kinetics = kinetics_of(spec, selected)
    if not kind.of or kinetics is None:
        exposure = exposure_of(spec, outcome, rows, references)
        return rows.assign(exposure=exposure, exposure_missing=kind.missing)
    rows, kinetics = _described(rows), kinetics.of_outcome(name)
    found = _concentrations(spec, rows, kinetics, selected.get("conversions"), kind.of)
    values = found[kind.of].to_numpy(float)
    missing, note = found[f"{kind.of}_missing"], found["note"]
    model = found["model"].mask(rows["agent"] == spec.reference, "")
    if kind.relative:
        one = [kinetics.reference_value(agent, kind.of) for agent in rows["agent"]]
        values = np.where(rows["agent"] == spec.reference, 0.0, values / np.array(one, float))
        relative = EXPOSURES["dose_relative_to_reference"].formula(rows, references)
        listed = rows["agent"].isin(kinetics.spec.relative_dose)
        instead = listed & np.isnan(values) & ~np.isnan(relative)
        values = np.where(instead, relative, values)
        note = note.mask(instead, RELATIVE_DOSE + " (" + missing + ")")
        model = model.mask(instead, "")
    rows = rows.assign(**{kind.of + ("_relative" if kind.relative else ""): values})
    exposure = kind.formula(rows, references)
    undosed = [not outcome.shape.of(str(agent)).needs_dose for agent in rows["agent"]]
    exposure = np.where(np.isnan(exposure) & undosed, 1.0, exposure)
    return rows.assign(
        exposure=np.where(rows["agent"] == spec.reference, 0.0, exposure),
        exposure_missing=missing.mask(missing == "", kind.missing),
        dose_note=note,
        schedule=found["schedule"],
        kinetic_model=model,
        read_at=rows["time_hours"],
    )


def _described(rows: pd.DataFrame) -> pd.DataFrame:
    """Fill in what rows do not say: a flat table has no schedules."""
    texts = {c: rows[c].fillna("") if c in rows else "" for c in ("schedule", "route", "study")}
    given = rows["agent_given"] if "agent_given" in rows else rows["agent"]
    given = given.where(given.notna() & (given != ""), rows["agent"])
    hours = rows.get("time_hours", math.nan)
    return rows.assign(**texts, agent_given=given, time_hours=hours)


def _concentrations(
    spec: AnalysisSpec,
    rows: pd.DataFrame,
    kinetics: Kinetics,
    conversions: pd.DataFrame | None,
    kind: str,
) -> pd.DataFrame:
    """Concentrations of every row, each with its own reason where it has none, and its note."""
    asked = rows[["agent_given", "route", "schedule", "time_hours", "agent"]]
    asked = asked.assign(weight=_weights(rows["study"], kinetics.weight, conversions))
    asked = asked.assign(written=asked["schedule"])
    if kinetics.spec.dosing_day == "at_once" and kind == PEAK:
        asked = asked.assign(schedule=asked["schedule"].map(_at_once))
    once = asked.drop_duplicates()
    parts = []
    for (given, route), mine in once.groupby(["agent_given", "route"], sort=False):
        model = kinetics.model(str(given), str(route))
        by_agent = {} if model is None else {str(given): model}
        arms = mine.assign(agent=mine["agent"].where(mine["agent"] == spec.reference, given))
        parts.append(
            arm_exposures(
                arms,
                by_agent,
                weight=mine["weight"],
                hours_at_outcome=mine["time_hours"],
                reference=spec.reference,
            )
        )
    found = pd.concat(parts).reindex(once.index) if parts else pd.DataFrame(index=once.index)
    told = once.join(_told(found, once))
    keys = list(asked.columns)
    return asked.merge(told, on=keys, how="left", validate="many_to_one").set_index(rows.index)


def _told(found: pd.DataFrame, once: pd.DataFrame) -> pd.DataFrame:
    """Give each concentration its reason, and the notes of the arm."""
    out = found[[*CONCENTRATIONS, "model"]].copy()
    for kind in CONCENTRATIONS:
        out[f"{kind}_missing"] = [
            _reason(kind, text) if math.isnan(value) else ""
            for kind, text, value in zip(
                [kind] * len(found), found["missing"], found[kind].astype(float), strict=True
            )
        ]
    flags = {
        AT_ONCE: once["written"] != once["schedule"],
        WHOLE: once["time_hours"].isna() & (found["model"] != ""),
    }
    said = zip(found["note"], *(flag.to_numpy() for flag in flags.values()), strict=True)
    notes = [
        "; ".join(
            [*([note] if note else []), *(w for w, on in zip(flags, on_off, strict=True) if on)]
        )
        for note, *on_off in said
    ]
    return out.assign(note=notes)


def _reason(kind: str, text: str) -> str:
    """Find what is said of one concentration among what is said of all."""
    for part in text.split("; "):
        names, _, why = part.partition(": ")
        if not why or set(names.split(", ")) - set(CONCENTRATIONS):
            return part
        if kind in names.split(", "):
            return why
    return text


def _weights(study: pd.Series, kg: float, conversions: pd.DataFrame | None) -> pd.Series:
    """Body weight of each study: the spec's, unless the evidence says that none may be assumed."""
    weights = pd.Series(kg, index=study.index)
    if conversions is None:
        return weights
    mine = conversions[conversions["name"] == "body_weight"].set_index("applies_to")["value"]
    return weights.where(~study.isin(mine.index), study.map(mine).astype(float))


def _at_once(text: str) -> str:
    """Take a dosing day's amount for one dose: its peak asks for no number of days."""
    if DOSING_DAY not in text or ";" in text:
        return text
    return str(parse_regimen(text).courses[0].phases[0])
