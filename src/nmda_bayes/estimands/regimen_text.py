"""An answer about regimens as a table, and in words that say what it rests on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import DRAW, OUTCOME, SAMPLE
from nmda_bayes.estimands.regimen_exposure import REGIMEN
from nmda_bayes.estimands.response import RISK
from nmda_bayes.intervals import INTERVAL_TEXT, LEVEL


def regimen_table(answer: xr.Dataset) -> pd.DataFrame:
    """Tabulate an answer about regimens.

    Parameters
    ----------
    answer
        As `regimen_response` gives it.

    Returns
    -------
    pd.DataFrame
        One row an outcome and regimen: exposure, median and 95 % equal-tailed interval of the
        response, the same of its difference from the first regimen, the probability that it is
        better than the first, whether it is extrapolated, and the trials of the cell.
    """
    half = (1 - LEVEL) / 2
    tail = [half, 0.5, 1 - half]
    response, rows = answer["response"], []
    exposure = answer["exposure"]
    exposure = exposure.median(SAMPLE) if DRAW in exposure.dims else exposure
    for name in answer[OUTCOME].to_numpy():
        mine = response.sel({OUTCOME: name})
        first = mine.isel({REGIMEN: 0})
        for i, text in enumerate(answer[REGIMEN].to_numpy()):
            here = mine.isel({REGIMEN: i})
            low, mid, high = (float(x) for x in here.quantile(tail, SAMPLE))
            less, by, more = (float(x) for x in (here - first).quantile(tail, SAMPLE))
            lower = str(answer["better"].sel({OUTCOME: name}).item()) == "lower"
            is_better = (here < first) if lower else (here > first)
            at = {OUTCOME: name, REGIMEN: text}
            rows.append(
                {
                    "outcome": str(answer["label"].sel({OUTCOME: name}).item()),
                    "regimen": str(text),
                    "exposure": float(exposure.sel(at)),
                    "median": mid,
                    "lower": low,
                    "upper": high,
                    "difference": by if i else 0.0,
                    "difference_lower": less if i else 0.0,
                    "difference_upper": more if i else 0.0,
                    "p_better": float(is_better.mean()) if i else np.nan,
                    "unit": str(answer["unit"].sel({OUTCOME: name}).item()),
                    "extrapolated": bool(answer["extrapolated"].sel(at)),
                    "below": bool(answer["below"].sel(at)),
                    "trials": int(answer["trials"].sel({OUTCOME: name})),
                }
            )
    return pd.DataFrame(rows)


def regimen_words(answer: xr.Dataset) -> str:
    """Say an answer about regimens in words, with what it rests on.

    Parameters
    ----------
    answer
        As `regimen_response` gives it.

    Returns
    -------
    str
        A paragraph an outcome, then what all of it rests on.
    """
    about, table = answer.attrs, regimen_table(answer)
    lines = [
        f"{about['agent_label']} ({about['route']}) in {about['condition_label']}:"
        f" medians with {INTERVAL_TEXT}s."
    ]
    for outcome, rows in table.groupby("outcome", sort=False):
        name = str(answer[OUTCOME].to_numpy()[list(answer["label"].to_numpy()).index(outcome)])
        at = answer.sel({OUTCOME: name})
        lines.append(f"\n{outcome} ({_what(at, about)}):")
        for row in rows.itertuples():
            lines.append("  " + _line(row))
        lines.append("  " + _reach(at))
    return "\n".join([*lines, "", str(about["rests_on"])])


def _what(at: xr.Dataset, about: dict[str, object]) -> str:
    if str(at["scale"].item()) == RISK:
        return f"risk from a baseline of {about['baseline_risk']:.3g}"
    unit = str(at["unit"].item())
    return f"{unit or 'difference'}, against no dose"


def _line(row: object) -> str:
    get = row.__getattribute__
    text = (
        f"{get('regimen')}: {get('median'):.3g} ({get('lower'):.3g} to {get('upper'):.3g}),"
        f" exposure {get('exposure'):.3g}"
    )
    if get("extrapolated"):
        text += ", EXTRAPOLATED beyond the trials"
    elif get("below"):
        text += ", below the lowest tried"
    if np.isfinite(get("p_better")):
        text += (
            f"; against the first {get('difference'):+.3g} ({get('difference_lower'):+.3g} to"
            f" {get('difference_upper'):+.3g}), better with probability {get('p_better'):.2f}"
        )
    return text


def _reach(at: xr.Dataset) -> str:
    trials = int(at["trials"])
    low, high = float(at["tested_from"]), float(at["tested_to"])
    here = f"{trials} trial{'' if trials == 1 else 's'} here" if trials else (
        "no trial here: it rests on other conditions and the prior"
    )  # fmt: skip
    if not np.isfinite(low):
        return f"{here}; no trial of the agent anywhere, so that this is the prior only."
    return f"{here}; trials of the agent reach from {low:.3g} to {high:.3g} ({at['axis'].item()})."
