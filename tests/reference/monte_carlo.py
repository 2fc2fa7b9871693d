"""How far two Monte Carlo answers to one question may lie apart."""

from __future__ import annotations

from collections.abc import Mapping

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

#: Combined Monte Carlo errors, and the least difference worth a word on the scale of the model
#: (logits; logarithms of positive quantities): two per cent of an odds ratio or of a dose.
ERRORS, LOG_SCALE = 3.0, 0.02
QUANTILES = {"q2.5": 0.025, "q50": 0.5, "q97.5": 0.975}
#: Held to the logarithmic limit in proportion to their size; all else is on a log scale itself.
POSITIVE = ("ed50", "heterogeneity_sd", "emax_between_agent", "log_ed50_between_agent")


def compare(
    draws: xr.DataArray, found: pd.Series, pinned: Mapping[str, float]
) -> list[dict[str, object]]:
    """Set a row of ``summary.csv`` beside pinned statistics of the same scalar.

    The error of our statistic is computed from our draws. Both runs have one posterior, so that the
    pinned run's error is ours by the root of the ratio of effective draws; where it printed none,
    it is taken to be a run of our length.
    """
    rows = []
    for statistic in ("mean", *QUANTILES):
        if statistic not in pinned:
            continue
        own = error_of(statistic, draws)
        ess = "ess_tail" if statistic in ("q2.5", "q97.5") else "ess_bulk"
        other = own * np.sqrt(found[ess] / pinned.get(ess, found[ess]))
        theirs = pinned[statistic]
        size = abs(theirs) if found["variable"] in POSITIVE else 1.0
        limit = max(ERRORS * np.hypot(own, other), LOG_SCALE * size)
        rows.append(
            {
                "variable": found["variable"],
                "agent": found["agent"],
                "statistic": statistic,
                "found": found[statistic],
                "pinned": theirs,
                "limit": limit,
                "ok": abs(found[statistic] - theirs) <= limit,
            }
        )
    return rows


def error_of(statistic: str, draws: xr.DataArray) -> float:
    """Monte Carlo standard error of one statistic."""
    if statistic == "mean":
        return float(arviz_stats.mcse(draws, method="mean"))
    return float(arviz_stats.mcse(draws, method="quantile", prob=QUANTILES[statistic]))
