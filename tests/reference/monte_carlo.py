"""Comparison of two Monte Carlo estimates."""

from __future__ import annotations

from collections.abc import Mapping

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

#: Limits of a difference: combined Monte Carlo errors, and 0.02 on the scale of the model (logits;
#: logarithms of positive quantities).
ERRORS, LOG_SCALE = 3.0, 0.02
QUANTILES = {"q2.5": 0.025, "q50": 0.5, "q97.5": 0.975}
#: On their natural scale: the limit is relative. All others are on a log scale.
POSITIVE = ("ed50", "heterogeneity_sd", "emax_between_agent", "log_ed50_between_agent")


def compare(
    draws: xr.DataArray, row: pd.Series, pinned: Mapping[str, float]
) -> list[dict[str, object]]:
    """Compare a row of ``summary.csv`` with pinned statistics of the same scalar.

    Our Monte Carlo error is computed from our draws; that of the pinned run is ours times the root
    of the ratio of effective draws (1 if it reported none).
    """
    rows = []
    for statistic in ("mean", *QUANTILES):
        if statistic not in pinned:
            continue
        error = error_of(statistic, draws)
        ess = "ess_tail" if statistic in ("q2.5", "q97.5") else "ess_bulk"
        pinned_error = error * np.sqrt(row[ess] / pinned.get(ess, row[ess]))
        expected = pinned[statistic]
        size = abs(expected) if row["variable"] in POSITIVE else 1.0
        limit = max(ERRORS * np.hypot(error, pinned_error), LOG_SCALE * size)
        rows.append(
            {
                "variable": row["variable"],
                "agent": row["agent"],
                "statistic": statistic,
                "value": row[statistic],
                "pinned": expected,
                "limit": limit,
                "ok": abs(row[statistic] - expected) <= limit,
            }
        )
    return rows


def error_of(statistic: str, draws: xr.DataArray) -> float:
    """Monte Carlo standard error of one statistic."""
    if statistic == "mean":
        return float(arviz_stats.mcse(draws, method="mean"))
    return float(arviz_stats.mcse(draws, method="quantile", prob=QUANTILES[statistic]))
