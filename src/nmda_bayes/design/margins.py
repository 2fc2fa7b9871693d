"""Trials whose totals are taken as known: which say nothing, and which are too large to sum."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, WAYS_AT_MOST, count_ways
from nmda_bayes.design.choose import AS_ARM
from nmda_bayes.errors import Fault
from nmda_bayes.spec import OutcomeSpec


def silent_trials(outcome: OutcomeSpec, reported: xr.Dataset) -> list[str]:
    """Name the trials that say nothing of an effect: nobody had the event, or everybody.

    Parameters
    ----------
    outcome
        The outcome.
    reported
        Its design.

    Returns
    -------
    list[str]
        Studies; empty where the likelihood does not take a trial's total as known.
    """
    if not LIKELIHOODS[outcome.likelihood].conditional:
        return []
    columns = {name: reported[name].to_numpy() for name in ("study", "report", "events", "n")}
    return [study for study, ways in _ways(pd.DataFrame(columns)).items() if ways == 1]


def margin_faults(
    name: str, outcome: OutcomeSpec, arms: pd.DataFrame, source: str
) -> Iterator[Fault]:
    """Find trials whose events may fall on their arms in too many ways to sum over.

    Parameters
    ----------
    name
        The outcome.
    outcome
        Its likelihood may take a trial's total as known.
    arms
        The chosen arms.
    source
        The evidence's file.

    Yields
    ------
    Fault
        One a trial.
    """
    if not LIKELIHOODS[outcome.likelihood].conditional:
        return
    for study, ways in _ways(arms).items():
        if ways > WAYS_AT_MOST:
            yield Fault(
                f"outcome '{name}': the events of study '{study}' may fall on its arms in"
                f" {ways:,} ways, and at most {WAYS_AT_MOST:,} are summed over",
                'Use likelihood = "binomial" with baselines: with so many events the two agree.',
                file=source,
                column="events",
            )


def _ways(arms: pd.DataFrame) -> dict[str, int]:
    counted = arms[arms["report"] == AS_ARM]
    return {
        str(study): count_ways(mine["events"].to_numpy(float), mine["n"].to_numpy(float))
        for study, mine in counted.groupby("study", sort=False)
    }
