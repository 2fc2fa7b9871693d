"""Which doses were tried: each arm's dose in its own unit, and in multiples of the reference dose.

A dose is never carried from one unit to another here. An arm whose dose stands in another unit
than its reference dose, or nowhere, is kept with the reason, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.evidence.tree import table

#: The dose columns of an arm, in the order in which one is taken where nothing else decides.
UNITS: Final = {"total_dose_mg_per_kg": "mg/kg", "daily_dose_mg": "mg a day"}
NOT_KNOWN: Final = "dose not known"

NO_DOSE = "no dose in the evidence"
NO_REFERENCE = "no reference dose for this agent and route"
OTHER_UNIT = "dose in another unit than the reference dose"


def dose_coverage(
    tree: xr.DataTree, outcomes: Sequence[str] | None = None, reference: str = "placebo"
) -> pd.DataFrame:
    """List the arms that were given something: dose, people, and whether a row of theirs is usable.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    outcomes
        An arm counts as usable if it has a usable row of one of these; None for any outcome.
    reference
        The agent at dose 0; other agents that the vocabulary puts under ``reference`` (active
        placebos, no treatment) are left out too.

    Returns
    -------
    pd.DataFrame
        One row an arm: study, arm, agent, route, condition_group, dose, unit (``mg/kg`` of the
        course, ``mg a day``, or empty for a flat table's own unit), reference_dose, multiple (of
        it), mg_per_kg (of the course, where known), people, overlaps (empty, or whose people these
        are too: not to be added up), usable, why (no multiple; empty where there is one), note
        (what was assumed for the dose). Contrasts whose arms are not in the evidence give a row a
        side.
    """
    rows = pd.concat([_of_arms(tree, outcomes), *_of_contrasts(tree, outcomes)], ignore_index=True)
    rows = placed(rows, table(tree, "reference_doses"))
    given = (rows["dose"] != 0) & (rows["agent"] != reference)
    rows = rows[given & ~rows["agent"].isin(reference_agents(tree))]
    groups = table(tree, "studies").set_index("study")["condition_group"]
    rows = rows.assign(condition_group=rows["study"].map(groups).fillna(""))
    columns = ["study", "arm", "agent", "route", "condition_group", "dose", "unit"]
    columns += [
        "reference_dose",
        "multiple",
        "mg_per_kg",
        "people",
        "overlaps",
        "usable",
        "why",
        "note",
    ]
    return rows[columns].reset_index(drop=True)


def placed(arms: pd.DataFrame, references: pd.DataFrame) -> pd.DataFrame:
    """Give each arm its dose, the unit of it, and its multiple of the reference dose.

    Parameters
    ----------
    arms
        With columns agent, route, dose and those of `UNITS`.
    references
        The table ``reference_doses``.

    Returns
    -------
    pd.DataFrame
        The arms with dose, unit, reference_dose, multiple, mg_per_kg and why.
    """
    known = references[["agent", "route", "dose_column", "reference_dose"]]
    found = arms[["agent", "route"]].merge(known, on=["agent", "route"], how="left")
    column = found["dose_column"].fillna("").to_numpy(object)
    own = arms["dose"].to_numpy(float)
    dose, unit = own.copy(), np.full(len(arms), "", object)
    ways = [(column == name, name) for name in UNITS] + [(True, name) for name in UNITS]
    for first, name in ways:
        values = arms[name].to_numpy(float)
        take = np.isnan(dose) & ~np.isnan(values) & first
        dose[take], unit[take] = values[take], UNITS[name]
    scale = found["reference_dose"].to_numpy(float)
    same = unit == np.array([UNITS.get(name, "-") for name in column], object)
    multiple = np.where(same, dose / scale, np.nan)
    why = np.select(
        [np.isnan(dose), ~np.isnan(multiple) | ~np.isnan(own), column == ""],
        [NO_DOSE, "", NO_REFERENCE],
        OTHER_UNIT,
    )
    return arms.assign(
        dose=dose, unit=unit, reference_dose=scale, multiple=multiple,
        mg_per_kg=arms["total_dose_mg_per_kg"], why=why,
    )  # fmt: skip


def dose_nodes(rows: pd.DataFrame) -> pd.Series:
    """Name the node of each arm in a network by dose: ``ketamine iv@0.5 mg/kg``.

    Parameters
    ----------
    rows
        As `placed` gives them.

    Returns
    -------
    pd.Series
        Agent and route, ``@``, the dose to three digits; the agent alone at dose 0.
    """
    cells = zip(rows["dose"], rows["unit"], strict=True)
    texts = [f"{amount_text(dose)} {unit}".strip() for dose, unit in cells]
    amount = pd.Series(texts, index=rows.index, dtype="str").where(rows["dose"].notna(), NOT_KNOWN)
    who = (rows["agent"] + " " + rows["route"]).str.strip()
    return (who + "@" + amount).where(rows["dose"] != 0, rows["agent"])


def amount_text(dose: float) -> str:
    """Print an amount to three digits, without an exponent.

    Parameters
    ----------
    dose
        An amount in any unit.

    Returns
    -------
    str
        Text; empty for NaN.
    """
    if np.isnan(dose):
        return ""
    return f"{dose:.0f}" if dose >= 100 else f"{dose:.3g}"


def reference_agents(tree: xr.DataTree) -> list[str]:
    """List the agents that the vocabulary counts as nothing given: placebos, active or not.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Returns
    -------
    list of str
        Empty where there is no vocabulary.
    """
    if "vocabulary" not in tree.children:
        return []
    words = table(tree, "vocabulary")
    return words.loc[(words["kind"] == "agent") & (words["within"] == "reference"), "term"].tolist()


def people_of_arms(tree: xr.DataTree) -> pd.Series:
    """Count the people of each arm: randomised, or else the largest number analysed.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Returns
    -------
    pd.Series
        By arm; NaN where no number was read.
    """
    arms = table(tree, "arms").set_index("arm")
    analysed = table(tree, "results").groupby("arm")["n"].max()
    return arms["n_randomised"].fillna(analysed.reindex(arms.index)).rename("people")


def _of_arms(tree: xr.DataTree, outcomes: Sequence[str] | None) -> pd.DataFrame:
    arms = table(tree, "arms")
    told: set[str] = set()
    for name, sides in (("results", ["arm"]), ("contrasts", ["arm", "comparator_arm"])):
        rows = _usable(table(tree, name), outcomes)
        told |= {str(arm) for side in sides for arm in rows[side]}
    people = people_of_arms(tree)
    return arms.assign(
        people=people.reindex(arms["arm"]).to_numpy(float),
        usable=arms["arm"].isin(told),
        note=arms["dose_note"],
    )


def _of_contrasts(tree: xr.DataTree, outcomes: Sequence[str] | None) -> list[pd.DataFrame]:
    """Give the sides of contrasts whose arms are not in the table of arms."""
    contrasts = table(tree, "contrasts")
    usable = contrasts.index.isin(_usable(contrasts, outcomes).index)
    sides = []
    for agent, arm, dose, size in (
        ("agent", "arm", "dose", "n_treat"),
        ("comparator", "comparator_arm", "comparator_dose", "n_control"),
    ):
        loose = contrasts[arm] == ""
        side = contrasts[["study"]].assign(
            arm="", agent=contrasts[agent], route="", dose=contrasts[dose],
            people=contrasts[size], usable=usable, note="",
            **dict.fromkeys(UNITS, np.nan),
        )[loose]  # fmt: skip
        side = side.sort_values("people", ascending=False, kind="stable")
        side = side.sort_values("usable", ascending=False, kind="stable")
        sides.append(side.drop_duplicates(["study", "agent", "dose"]).sort_index())
    return [side for side in sides if len(side)]


def _usable(rows: pd.DataFrame, outcomes: Sequence[str] | None) -> pd.DataFrame:
    usable = rows[rows["unusable"] == ""]
    return usable if outcomes is None else usable[usable["outcome"].isin([*outcomes])]
