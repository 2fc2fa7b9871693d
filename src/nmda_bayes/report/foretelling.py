"""How well the variants of a sensitivity analysis foretell whole trials, as a table in words."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import OUTCOME
from nmda_bayes.intervals import INTERVAL_TEXT
from nmda_bayes.report.blocks import Table, Text, as_table
from nmda_bayes.report.words import count, effect, number
from nmda_bayes.sensitivity import elpd_table
from nmda_bayes.sensitivity.elpd import ROWS
from nmda_bayes.sensitivity.results import VARIANT

ABOUT = (
    "Log predictive density of whole trials (elpd), each foretold by the others: all that is a"
    " trial's own integrated out, importance weights smoothed. Higher is better. Differences are"
    " from the base, where a variant saw the same reports; a standard error is that of a sum over"
    " trials, from their spread, and a difference within two of them decides nothing. Of an"
    " unreliable trial (k-hat above 0.7) the term is not to be leant on."
)


def foretelling(found: xr.Dataset) -> list[Text | Table]:
    """Tabulate predictive densities and heterogeneity by variant.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it.

    Returns
    -------
    list
        A text and a table; empty where the file did not ask for it.
    """
    if ROWS not in found:
        return []
    frame = elpd_table(found)
    outcomes = [str(name) for name in found[OUTCOME].to_numpy()]
    shown = pd.DataFrame(
        {
            "variant": frame[VARIANT].str.replace("_", " "),
            "elpd": [number(v, 4) if np.isfinite(v) else "not by trial" for v in frame["elpd"]],
            "over": [_over(row, first=i == 0) for i, row in enumerate(frame.to_dict("records"))],
            "unreliable": [
                f"{row['unreliable']} of {row['studies']}" if np.isfinite(row["elpd"]) else ""
                for row in frame.to_dict("records")
            ],
        }
    )
    columns = {
        "variant": ("variant", None),
        "elpd": ("elpd", None),
        "over": ("over the base (SE)", None),
        "unreliable": ("unreliable trials", None),
    }
    for outcome in outcomes:
        ends = frame[[f"{outcome}:{s}" for s in ("median", "lower", "upper")]].to_numpy()
        shown[outcome] = [_interval(*of) for of in ends]
        columns[outcome] = (f"heterogeneity SD, {outcome.replace('_', ' ')}", None)
    caption = (
        f"What {count(len(frame), 'analysis', 'analyses')} foretell of whole trials, and the"
        f" heterogeneity SD that each leaves between trials (median and {INTERVAL_TEXT}; of an"
        " outcome on the logit scale it is of log odds ratios)."
    )
    return [Text(ABOUT), as_table(shown, caption, columns)]


def _over(row: Mapping[Hashable, Any], *, first: bool) -> str:
    if first:
        return ""
    if not row["same"]:
        return "other reports"
    if not np.isfinite(row["difference"]):
        return "not by trial"
    sign = "+" if row["difference"] > 0 else ""
    return f"{sign}{effect(row['difference'])} ({number(row['se'], 2)})"


def _interval(middle: float, low: float, high: float) -> str:
    if not np.isfinite(middle):
        return "none, or one a stratum"
    return f"{effect(middle)} ({effect(low)} to {effect(high)})"
