"""One effect a trial, agent and outcome, against the comparator, for the classical pool of a cell.

Arms of an agent at several doses are taken together, weighted by their people, as the Cochrane
Handbook 6.5, section 6.5.2.10, does; so are several comparator arms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.evidence.arm_statistics import Counts, Means
from nmda_bayes.evidence.count_effects import NO_EVENTS, ZERO_CELL, log_risk_ratio
from nmda_bayes.evidence.effect_sizes import standardised_mean_difference
from nmda_bayes.evidence.tree import hours_after_treatment, table

RATIO: Final = "log risk ratio"
POINTS: Final = "mean difference, points of 100"
STANDARD: Final = "standardised mean difference"

CELL: Final = ["study", "agent", "condition", "outcome"]
_MOMENT: Final = ["time_hours", "time_label", "time_window", "period"]
#: Order of rows without an hour: first periods before all periods, the review's first window first.
_ORDER: Final = {"first": 0, "": 1, "all": 2, "immediate": 0, "short": 1, "medium": 2}


def told_arms(tree: xr.DataTree, comparators: Sequence[str]) -> pd.DataFrame:
    """List one usable result an arm and outcome, at one time for all arms of a trial.

    The time is the first at or after the end of treatment, otherwise the last before it, otherwise
    a row without an hour. Strata are left out, and arms whose people stand in others that tell.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    comparators
        Agents to compare with; so is any arm at dose 0.

    Returns
    -------
    pd.DataFrame
        Columns study, agent, condition, outcome, kind, reference, mean, se, sd, n, events, factor
        (to points of 100; NaN for no rating scale), unit, crossover (all periods: the same people
        in each arm).
    """
    arms, results, studies = (table(tree, name) for name in ("arms", "results", "studies"))
    given = arms[["arm", "agent", "dose", "overlaps"]]
    told = results[results["unusable"] == ""]
    rows = told.drop(columns=["agent", "dose", "overlaps"], errors="ignore").merge(given, on="arm")
    rows = rows[~rows["overlaps"].str.startswith("stratum")]
    rows = rows.merge(studies[["study", "condition_group", "design"]], on="study")
    rows["reference"] = rows["agent"].isin([*comparators]) | (rows["dose"] == 0)
    rows["hours"] = hours_after_treatment(rows, arms)
    for column in ("time_label", "time_window", "period", "unit"):
        rows[column] = rows[column].fillna("") if column in rows else ""
    rows = _at_one_time(rows)
    keys = ["study", "outcome", "agent"]
    whole = (rows["overlaps"] == "").groupby([rows[key] for key in keys]).transform("any")
    rows = rows[(rows["overlaps"] == "") | ~whole].drop_duplicates(["arm", "outcome"])
    span = rows["scale_max"] - rows["scale_min"]
    n, se = rows["n"], rows["se_used"]
    return rows.assign(
        condition=rows["condition_group"],
        factor=100 / span.where(span > 0),
        se=se,
        sd=rows["sd"].fillna(se * np.sqrt(n)),
        crossover=(rows["design"] == "crossover") & (rows["period"] != "first"),
    )[
        [
            *CELL,
            "kind",
            "reference",
            "mean",
            "se",
            "sd",
            "n",
            "events",
            "factor",
            "unit",
            "crossover",
        ]
    ]


def _at_one_time(rows: pd.DataFrame) -> pd.DataFrame:
    """Keep, for each trial and outcome, the best moment at which both sides were measured."""
    hours = rows["hours"]
    rank = np.select([hours >= 0, hours < 0], [0, 1], 2)
    words = rows["period"].map(_ORDER).fillna(1) * 10 + rows["time_window"].map(_ORDER).fillna(1)
    ranked = rows.assign(
        rank_kind=rank, rank_period=rows["period"].map(_ORDER).fillna(1),
        rank_hours=hours.abs().fillna(words),
    ).sort_values(["rank_period", "rank_kind", "rank_hours", "line"], kind="stable")  # fmt: skip
    ranked["moment"] = ranked.groupby(["study", "outcome", *_MOMENT], dropna=False).ngroup()
    sides = ranked.groupby("moment")["reference"]
    both = ranked[sides.transform("any") & ~sides.transform("all")]
    first = both.groupby(["study", "outcome"])["moment"].transform("first")
    return both[both["moment"] == first]


def effects_of_arms(arms: pd.DataFrame, correction: float | None) -> pd.DataFrame:
    """Compare each agent of each trial with the trial's comparator.

    Parameters
    ----------
    arms
        As `told_arms` gives them.
    correction
        Added to all cells of a table of counts with an empty one; None: no ratio there.

    Returns
    -------
    pd.DataFrame
        One row a trial, agent and outcome: `CELL`, kind, people, for each measure an estimate and
        a variance (NaN where there is none), what the comparator's people did (control_events,
        control_n, control_sd), unit, crossover, and note.
    """
    found = []
    for (study, outcome), mine in arms.groupby(["study", "outcome"], sort=False):
        there = mine[mine["reference"]]
        for agent, here in mine[~mine["reference"]].groupby("agent", sort=False):
            kinds = set(here["kind"]) & set(there["kind"])
            if not kinds:
                continue
            kind = sorted(kinds)[0]
            sides = [_together(side[side["kind"] == kind]) for side in (here, there)]
            key = {"study": study, "agent": agent, "outcome": outcome, "kind": kind}
            key["condition"] = here["condition"].iloc[0]
            found.append(key | _compared(*sides, kind=kind, correction=correction))
    return pd.DataFrame(found, columns=EFFECT_COLUMNS)


EFFECT_COLUMNS: Final = [
    *(*CELL, "kind", "people", RATIO, f"{RATIO}: v", POINTS, f"{POINTS}: v", "md", "md: v"),
    *(STANDARD, f"{STANDARD}: v", "control_events", "control_n", "control_sd", "control_se"),
    *("factor", "unit", "crossover", "note"),
]


def _together(arms: pd.DataFrame) -> dict[str, Any]:
    """Take the arms of one side together: counts added, means weighted by people."""
    numbers = ("n", "events", "mean", "se", "sd", "factor")
    n, events, mean, se, sd, factor = (arms[c].to_numpy(float) for c in numbers)
    weight = 1 / se**2 if np.isnan(n).any() else n
    share = weight / weight.sum()
    freedom = (n - 1).sum()
    spread = np.sqrt(((n - 1) * sd**2).sum() / freedom) if freedom > 0 else np.nan
    return {
        "n": n.sum(),
        "people": np.nansum(n),
        "largest": np.nanmax([*n, 0.0]),
        "events": events.sum(),
        "mean": float((share * mean).sum()),
        "se": float(np.sqrt((share**2 * se**2).sum())),
        "sd": float(spread),
        "factor": factor[0] if (factor == factor[0]).all() else np.nan,
        "unit": str(arms["unit"].iloc[0]),
        "crossover": bool(arms["crossover"].any()),
    }


def _compared(
    here: dict[str, Any], there: dict[str, Any], *, kind: str, correction: float | None
) -> dict[str, Any]:
    crossover = here["crossover"] or there["crossover"]
    people = (
        max(here["largest"], there["largest"]) if crossover else here["people"] + there["people"]
    )
    out: dict[str, Any] = {"people": people, "crossover": crossover, "note": ""}
    out |= {"unit": here["unit"], "factor": here["factor"]}
    if kind == "binary":
        made = log_risk_ratio(
            Counts(here["events"], here["n"]),
            Counts(there["events"], there["n"]),
            correction=correction,
        )
        silent = str(made.note).startswith(NO_EVENTS)
        out[RATIO] = np.nan if silent else float(made.estimate)
        out[f"{RATIO}: v"] = np.nan if silent else float(made.variance)
        known = str(made.note) if str(made.note) else ""
        out["note"] = NO_EVENTS if silent else ZERO_CELL if known.startswith(ZERO_CELL) else ""
        return out | {"control_events": there["events"], "control_n": there["n"]}
    difference, variance = here["mean"] - there["mean"], here["se"] ** 2 + there["se"] ** 2
    variance = variance if variance > 0 else np.nan
    factor = here["factor"] if here["factor"] == there["factor"] else np.nan
    out |= {"md": difference, "md: v": variance}
    out |= {POINTS: factor * difference, f"{POINTS}: v": factor**2 * variance}
    sides = [_means(side) for side in (here, there)]
    made = standardised_mean_difference(*sides, exact=True)
    out |= {STANDARD: float(made.estimate), f"{STANDARD}: v": float(made.variance)}
    return out | {"control_sd": there["sd"], "control_n": there["n"], "control_se": there["se"]}


def _means(side: dict[str, Any]) -> Means:
    usable = side["n"] > 1
    n = side["n"] if usable else np.nan
    return Means(side["mean"], side["sd"], n)


def effects_of_contrasts(tree: xr.DataTree, comparators: Sequence[str]) -> pd.DataFrame:
    """Give printed differences from the comparator in the form of `effects_of_arms`.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    comparators
        Agents to compare with; so is any arm at dose 0.

    Returns
    -------
    pd.DataFrame
        Risk ratios, and mean differences on a rating scale, have an effect; other measures have
        none, but their trials and people count.
    """
    rows = table(tree, "contrasts")
    rows = rows[rows["unusable"] == ""]
    reference = rows["comparator"].isin([*comparators]) | (rows["comparator_dose"] == 0)
    rows = rows[reference & ~rows["agent"].isin([*comparators]) & (rows["dose"] != 0)]
    rows = rows.sort_values(["time_hours", "line"]).drop_duplicates(["study", "agent", "outcome"])
    span = rows["scale_max"] - rows["scale_min"]
    factor = 100 / span.where((span > 0) & (rows["measure"] == "MD"))
    ratio = rows["measure"] == "log_RR"
    variance = (rows["se"] ** 2).where(rows["se"] > 0)
    binary = rows["measure"].isin(["log_RR", "log_OR", "RD", "log_IRR", "log_HR"])
    made = rows.assign(
        kind=np.where(binary, "binary", "continuous"),
        people=rows["n_treat"].fillna(0) + rows["n_control"].fillna(0),
        crossover=False,
        note="",
        unit="",
        factor=factor,
    )
    made[RATIO], made[f"{RATIO}: v"] = rows["estimate"].where(ratio), variance.where(ratio)
    made[POINTS], made[f"{POINTS}: v"] = factor * rows["estimate"], factor**2 * variance
    return made.reindex(columns=EFFECT_COLUMNS)
