"""Variants by how well they foretell whole trials, beside their heterogeneity."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import OUTCOME
from nmda_bayes.sensitivity.results import VARIANT

#: What a worker tells of each study, where a file asks for it.
ELPD: Final = "elpd"
RELIABLE: Final = "study_reliable"
ROWS: Final = "study_rows"


def elpd_table(found: xr.Dataset) -> pd.DataFrame:
    """Hold what variants foretell of whole trials, and their heterogeneity, beside the base's.

    Parameters
    ----------
    found
        As `nmda_bayes.fit_variants` gives it, of a file with ``elpd = true``.

    Returns
    -------
    pd.DataFrame
        One row a variant that has an answer: ``variant``, ``elpd`` (the sum over its studies; NaN
        where its model does not part by study), ``difference`` from the base and ``se`` of it (of
        a sum over studies, from their spread; NaN where it did not see the base's rows),
        ``studies``, ``unreliable`` (with k-hat above 0.7), and ``median``, ``lower`` and ``upper``
        (95 % equal-tailed) of the heterogeneity SD of each outcome, as ``<outcome>:median``.

    Raises
    ------
    ValueError
        If the file did not ask for it.
    """
    if ROWS not in found:
        raise ValueError("the sensitivity file has no elpd = true")
    base = found.isel({VARIANT: 0})
    kept = found.isel({VARIANT: np.flatnonzero(found["how"].to_numpy() != "")})
    return pd.DataFrame([_row(kept.isel({VARIANT: i}), base) for i in range(kept.sizes[VARIANT])])


def _row(one: xr.Dataset, base: xr.Dataset) -> dict[str, object]:
    mine, theirs = (part[ROWS].to_numpy() for part in (one, base))
    seen = np.isfinite(mine)
    same = bool(np.array_equal(mine, theirs, equal_nan=True))
    row: dict[str, object] = {VARIANT: str(one[VARIANT].item()), "studies": int(seen.sum())}
    row |= {"elpd": np.nan, "difference": np.nan, "se": np.nan, "unreliable": 0, "same": same}
    if ELPD in one and np.isfinite(one[ELPD].to_numpy()[seen]).all():
        elpd = one[ELPD].to_numpy()[seen]
        row |= {"elpd": float(elpd.sum())}
        row |= {"unreliable": int((one[RELIABLE].to_numpy()[seen] == 0).sum())}
        if same:
            apart = elpd - base[ELPD].to_numpy()[seen]
            row |= {"difference": float(apart.sum())}
            row |= {"se": float(np.sqrt(len(apart)) * apart.std(ddof=1))}
    for outcome in one[OUTCOME].to_numpy():
        for statistic in ("median", "lower", "upper"):
            sd = one["heterogeneity_sd"].sel({OUTCOME: outcome, "statistic": statistic})
            row[f"{outcome}:{statistic}"] = float(sd)
    return row
