"""Trials counted by what they compared, when they looked, and what of them is lost."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.evidence.follow_up import WINDOW_LABELS
from nmda_bayes.evidence.map import TIME, evidence_map
from nmda_bayes.evidence.tested_doses import dose_coverage, dose_nodes, reference_agents
from nmda_bayes.evidence.tree import table


def trials_by_time(tree: xr.DataTree, reference: str = "placebo") -> pd.DataFrame:
    """Count the trials with a usable row, by outcome, agent and condition, and by time.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    reference
        The agent at dose 0, which is not listed, nor are the vocabulary's other references.

    Returns
    -------
    pd.DataFrame
        Columns outcome, agent, condition, trials, then one a window of `WINDOW_LABELS` (a trial
        counts in each window in which it reported). Cells with a trial alone, the fullest first.
    """
    windows = evidence_map(tree, (AGENT, CONDITION, OUTCOME, TIME)).reset_coords(drop=True)
    total = evidence_map(tree).reset_coords(drop=True)
    cells = windows.to_dataset(dim=TIME).assign(trials=total).to_dataframe()
    cells = cells[cells["trials"] > 0].reset_index()
    given = ~cells[AGENT].isin([reference, *reference_agents(tree)])
    cells = cells[given].sort_values("trials", ascending=False, kind="stable", ignore_index=True)
    return cells[[OUTCOME, AGENT, CONDITION, "trials", *WINDOW_LABELS]]


def arms_by_dose(tree: xr.DataTree, reference: str = "placebo") -> pd.DataFrame:
    """List the agents of each trial, by route, with the doses that it tried.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    reference
        The agent at dose 0.

    Returns
    -------
    pd.DataFrame
        Columns study, agent, route, doses (how many known ones among the arms with a usable row;
        arms that repeat the people of others do not count), tried (the doses, in words).
    """
    arms = dose_coverage(tree, reference=reference)
    known = arms["usable"] & arms["dose"].notna() & (arms["overlaps"] == "")
    arms = arms[known].sort_values("dose", kind="stable")
    named = arms.assign(tried=dose_nodes(arms).str.replace(r"^.*@", "", regex=True))
    by = named.groupby(["study", "agent", "route"], sort=False)["tried"]
    out = pd.DataFrame({"doses": by.nunique(), "tried": by.agg(lambda d: ", ".join(d.unique()))})
    out = out.reset_index().sort_values(["doses", "study"], ascending=[False, True])
    return out.reset_index(drop=True)


def arms_at_doses(arms: pd.DataFrame) -> pd.DataFrame:
    """Count arms and people at each dose.

    Parameters
    ----------
    arms
        As `dose_coverage` gives them.

    Returns
    -------
    pd.DataFrame
        Columns agent, route, dose, unit, multiple (of the reference dose), arms, usable (arms with
        a usable row), people (in arms that do not repeat those of others); the agents with the
        most arms first, then by dose. Arms without a dose are one row of their agent and route.
    """
    keys = ["agent", "route", "dose", "unit"]
    rounded = arms["dose"].map(lambda d: float(f"{d:.3g}"))
    once = arms["people"].where(arms["overlaps"] == "", 0.0)
    by = arms.assign(dose=rounded, once=once).groupby(keys, dropna=False, as_index=False)
    out = by.agg(
        multiple=("multiple", "first"), arms=("arm", "size"), usable=("usable", "sum"),
        people=("once", "sum"),
    )  # fmt: skip
    total = out.groupby(["agent", "route"])["arms"].transform("sum")
    order = ["total", "agent", "route", "unit", "dose"]
    out = out.assign(total=total).sort_values(order, ascending=[False, *[True] * 4], kind="stable")
    return out.drop(columns="total").reset_index(drop=True)


def unusable_rows(tree: xr.DataTree) -> pd.DataFrame:
    """Count what cannot be used, by table and reason.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Returns
    -------
    pd.DataFrame
        Columns table, reason, rows, trials; the most frequent reason of each table first.
    """
    parts = []
    for name in ("results", "contrasts"):
        rows = table(tree, name)
        lost = rows[rows["unusable"] != ""].groupby("unusable")["study"].agg(["size", "nunique"])
        lost = lost.sort_values("size", ascending=False, kind="stable").reset_index()
        lost.columns = pd.Index(["reason", "rows", "trials"])
        parts.append(lost.assign(table=name)[["table", "reason", "rows", "trials"]])
    return pd.concat(parts, ignore_index=True)
