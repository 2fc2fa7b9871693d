"""Did the sampler do its work? A gate with thresholds, and the table behind it."""

from __future__ import annotations

from typing import Final

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import SAMPLE

#: Vehtari et al. 2021: rank-normalised R-hat at most 1.01, at least 100 effective draws a chain of
#: the usual four, in the bulk and in the tails. Betancourt 2016: E-BFMI at least 0.3.
RHAT_AT_MOST: Final = 1.01
ESS_AT_LEAST: Final = 400
EBFMI_AT_LEAST: Final = 0.3


def diagnostics(fit: xr.DataTree) -> pd.DataFrame:
    """Compute the convergence diagnostics of every scalar.

    Parameters
    ----------
    fit
        A fit.

    Returns
    -------
    pd.DataFrame
        One row a scalar of the posterior: ``variable``, ``at`` (its coordinates), ``r_hat``,
        ``ess_bulk``, ``ess_tail``.
    """
    posterior = fit["posterior"].to_dataset()
    measures = {
        "r_hat": arviz_stats.rhat(posterior),
        "ess_bulk": arviz_stats.ess(posterior, method="bulk"),
        "ess_tail": arviz_stats.ess(posterior, method="tail"),
    }
    frames = []
    for name in posterior.data_vars:
        columns = {k: np.atleast_1d(m[name].values).ravel() for k, m in measures.items()}
        frames.append(
            pd.DataFrame({"variable": str(name), "at": places(posterior[name]), **columns})
        )
    return pd.concat(frames, ignore_index=True)


def places(array: xr.DataArray) -> list[str]:
    """Write the coordinates of each scalar of an array of draws.

    Parameters
    ----------
    array
        Draws over chain, draw and any other dims.

    Returns
    -------
    list[str]
        ``dim=label, ...`` in the order of the raveled array; one empty text for a scalar.
    """
    dims = [dim for dim in array.dims if dim not in SAMPLE]
    if not dims:
        return [""]
    index = pd.MultiIndex.from_product([array[dim].values for dim in dims])
    return [
        ", ".join(f"{dim}={label}" for dim, label in zip(dims, labels, strict=True))
        for labels in index
    ]


def gate(fit: xr.DataTree, table: pd.DataFrame) -> pd.DataFrame:
    """Hold a fit to the thresholds.

    Parameters
    ----------
    fit
        A fit.
    table
        Its `diagnostics`.

    Returns
    -------
    pd.DataFrame
        One row a check: ``check``, ``value`` (the worst), ``threshold``, ``passed``, ``where``.
    """
    moving = table.dropna(subset=["r_hat"])
    stats = fit["sample_stats"].to_dataset()
    rows = [
        _row("R-hat", moving["r_hat"], table, RHAT_AT_MOST, at_most=True),
        _row("bulk ESS", moving["ess_bulk"], table, ESS_AT_LEAST, at_most=False),
        _row("tail ESS", moving["ess_tail"], table, ESS_AT_LEAST, at_most=False),
    ]
    divergences = int(stats["diverging"].sum()) if "diverging" in stats else 0
    rows.append(("divergences", float(divergences), 0.0, divergences == 0, "any transition"))
    if "energy" in stats:
        worst = float(np.min(arviz_stats.bfmi(stats)["energy"].values))
        rows.append(("E-BFMI", worst, EBFMI_AT_LEAST, worst >= EBFMI_AT_LEAST, "worst chain"))
    return pd.DataFrame(rows, columns=["check", "value", "threshold", "passed", "where"])


def _row(
    check: str, values: pd.Series, table: pd.DataFrame, threshold: float, *, at_most: bool
) -> tuple[str, float, float, bool, str]:
    if values.empty:
        return check, float("nan"), threshold, False, "nothing could be computed"
    worst = values.idxmax() if at_most else values.idxmin()
    value = float(values[worst])
    passed = value <= threshold if at_most else value >= threshold
    at = table.loc[worst, "at"]
    where = f"{table.loc[worst, 'variable']}[{at}]" if at else str(table.loc[worst, "variable"])
    return check, value, threshold, passed, where
