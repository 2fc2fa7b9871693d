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
#: Of an exact fit: how much the log evidence may change when the grid is halved.
INTEGRATION_AT_MOST: Final = 1e-4


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
        ``ess_bulk``, ``ess_tail``. A linear predictor that is 0 by definition, as at the reference
        arm of a contrast, is no estimate and has no row.
    """
    posterior = fit["posterior"].to_dataset()
    # A scalar that never moves has 0 / 0 for an R-hat: NaN, which the gate refuses.
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {
            "r_hat": arviz_stats.rhat(posterior),
            "ess_bulk": arviz_stats.ess(posterior, method="bulk"),
            "ess_tail": arviz_stats.ess(posterior, method="tail"),
        }
    frames = []
    for name in posterior.data_vars:
        columns = {k: np.atleast_1d(m[name].to_numpy()).ravel() for k, m in measures.items()}
        frame = pd.DataFrame({"variable": str(name), "at": places(posterior[name]), **columns})
        defined = np.atleast_1d((posterior[name] != 0).any(SAMPLE).to_numpy()).ravel()
        frames.append(frame[defined])
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
    index = pd.MultiIndex.from_product([array[dim].to_numpy() for dim in dims])
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
    stats = fit["sample_stats"].to_dataset()
    rows = [
        _row("R-hat", table, "r_hat", RHAT_AT_MOST, at_most=True),
        _row("bulk ESS", table, "ess_bulk", ESS_AT_LEAST, at_most=False),
        _row("tail ESS", table, "ess_tail", ESS_AT_LEAST, at_most=False),
    ]
    divergences = int(stats["diverging"].sum()) if "diverging" in stats else 0
    rows.append(("divergences", float(divergences), 0.0, divergences == 0, "any transition"))
    if "integration_error" in stats:
        error = float(stats["integration_error"])
        passed = error <= INTEGRATION_AT_MOST
        rows.append(("integration error", error, INTEGRATION_AT_MOST, passed, "log evidence"))
    if "energy" in stats:
        worst = float(np.min(arviz_stats.bfmi(stats)["energy"].to_numpy()))
        rows.append(("E-BFMI", worst, EBFMI_AT_LEAST, worst >= EBFMI_AT_LEAST, "worst chain"))
    return pd.DataFrame(rows, columns=["check", "value", "threshold", "passed", "where"])


def _row(
    check: str, table: pd.DataFrame, column: str, threshold: float, *, at_most: bool
) -> tuple[str, float, float, bool, str]:
    """Hold the worst scalar to a threshold; one that cannot be computed is the worst."""
    values = table[column].to_numpy(dtype=float)
    if not len(values):
        return check, float("nan"), threshold, False, "nothing could be computed"
    order = values if at_most else -values
    place = int(np.argmax(np.where(np.isnan(values), np.inf, order)))
    value = float(values[place])
    passed = value <= threshold if at_most else value >= threshold
    variable, at = table[["variable", "at"]].iloc[place].astype(str)
    return check, value, threshold, bool(passed), f"{variable}[{at}]" if at else variable
