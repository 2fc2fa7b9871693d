"""The posterior as a table, one row a scalar: what `summary.csv` holds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import diagnostics, places
from nmda_bayes.dims import SAMPLE, SEPARATOR
from nmda_bayes.intervals import LEVEL
from nmda_bayes.model import OFFSET

TAIL = (1 - LEVEL) / 2
STATISTICS = ("mean", "sd", "q2.5", "q50", "q97.5", "r_hat", "ess_bulk", "ess_tail")


def summary_table(fit: xr.DataTree, diagnosed: pd.DataFrame | None = None) -> pd.DataFrame:
    """Summarise every scalar of a posterior.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.
    diagnosed
        Its diagnostics, as ``nmda_bayes.check(fit).diagnostics`` has them; computed if None.

    Returns
    -------
    pd.DataFrame
        One row a scalar: ``variable``, one column a dim (agent, condition, study, arm, contrast,
        outcome; empty where the variable has no such dim), then ``mean``, ``sd``, ``q2.5``,
        ``q50``, ``q97.5``, ``r_hat``, ``ess_bulk``, ``ess_tail``. Standard normal offsets are left
        out: no reader asks for them.
    """
    posterior = fit["posterior"].to_dataset()
    posterior = posterior.drop_vars([n for n in posterior.data_vars if str(n).endswith(OFFSET)])
    known = diagnostics(fit) if diagnosed is None else diagnosed
    quantiles = posterior.quantile([TAIL, 0.5, 1 - TAIL], dim=SAMPLE)
    statistics: Mapping[str, xr.Dataset] = {
        "mean": posterior.mean(SAMPLE),
        "sd": posterior.std(SAMPLE, ddof=1),
        "q2.5": quantiles.isel(quantile=0, drop=True),
        "q50": quantiles.isel(quantile=1, drop=True),
        "q97.5": quantiles.isel(quantile=2, drop=True),
    }
    frames = [_scalars(str(name), posterior[name], statistics) for name in posterior.data_vars]
    table = pd.concat(frames, ignore_index=True).merge(known, how="left", on=["variable", "at"])
    dims = [str(c) for c in table.columns if c not in ("variable", "at", *STATISTICS)]
    table[dims] = table[dims].astype(object).where(table[dims].notna(), "")
    return table[["variable", *dims, *STATISTICS]]


def _scalars(name: str, array: xr.DataArray, statistics: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """One variable's rows; dims of single outcomes lose the outcome's name, to share columns."""
    dims = [str(dim) for dim in array.dims if dim not in SAMPLE]
    values = {
        key: np.atleast_1d(of[name].transpose(*dims).to_numpy()).ravel()
        for key, of in statistics.items()
    }
    if not dims:
        return pd.DataFrame({"variable": [name], "at": "", **values})
    labels = pd.MultiIndex.from_product([array[dim].to_numpy() for dim in dims])
    columns = {
        dim.rpartition(SEPARATOR)[2]: labels.get_level_values(i) for i, dim in enumerate(dims)
    }
    return pd.DataFrame({"variable": name, "at": places(array), **columns, **values})
