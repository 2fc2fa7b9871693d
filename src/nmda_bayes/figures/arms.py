"""Trial arms as points behind the curves."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.components.links import LINKS, LOGIT, risk_from
from nmda_bayes.figures.labelled import need_variables

RISK, RATIO = "risk", "ratio"


def arm_points(
    rows: xr.Dataset, scale: str, baseline_risk: float, active: Collection[str] = ()
) -> pd.DataFrame:
    """Place trial arms on the scale of a dose-response figure.

    A study's own baseline differs from the one that the curves are counted from. Log odds ratios
    are therefore carried to the curves' baseline; without that, an arm's height would show how ill
    its patients were.

    Parameters
    ----------
    rows
        As `nmda_bayes.estimands.study_effects` gives it, or the design's rows (dim arm; mean and
        se, or events and n).
    scale
        "difference", "risk" or "ratio".
    baseline_risk
        Risk at dose 0; used where ``scale`` is "risk".
    active
        The agents that have a curve. An arm compared with one of them has no place here: the
        curves are against dose 0.

    Returns
    -------
    pd.DataFrame
        agent, condition, exposure, value (NaN where it cannot be said), weight (1 / SE).
    """
    need_variables(rows, ("agent", "condition", "exposure"), "plot_dose_response, observed,")
    frame = rows[[n for n in rows.variables if rows[n].dims == ("arm",)]].to_dataframe()
    if "raw" not in frame:
        frame = _against_reference(frame)
    if "comparator" in frame:
        frame = frame[~frame["comparator"].isin(list(active))]
    value = frame["raw"].to_numpy(float)
    if scale == RISK:
        value = risk_from(baseline_risk, value, LINKS[rows.attrs.get("link", LOGIT.name)])
    elif scale == RATIO:
        value = np.exp(value)
    return pd.DataFrame(
        {
            "agent": frame["agent"].to_numpy(),
            "condition": frame["condition"].to_numpy(),
            "exposure": frame["exposure"].to_numpy(float),
            "value": value,
            "weight": 1 / frame["raw_se"].to_numpy(float),
        }
    )


def _against_reference(frame: pd.DataFrame) -> pd.DataFrame:
    """Each arm against its study's arm of least exposure."""
    if "mean" not in frame:
        events, n = frame["events"].astype(float), frame["n"].astype(float)
        inside = (events > 0) & (events < n)
        events = events.where(inside)
        frame = frame.assign(
            level=np.log(events / (n - events)), level_se=np.sqrt(1 / events + 1 / (n - events))
        )
    else:
        frame = frame.assign(level=frame["mean"], level_se=frame["se"])
    ordered = frame.sort_values("exposure", kind="stable")
    active = ordered[ordered.duplicated("study")]
    first = ordered.drop_duplicates("study").set_index("study").loc[active["study"]]
    at_zero = first["exposure"].to_numpy(float) == 0
    active, first = active[at_zero], first[at_zero]
    return active.assign(
        raw=active["level"].to_numpy() - first["level"].to_numpy(),
        raw_se=np.hypot(active["level_se"].to_numpy(), first["level_se"].to_numpy()),
    )
