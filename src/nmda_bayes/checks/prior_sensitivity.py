"""Would another prior have said something else? Power-scaling, without a refit."""

from __future__ import annotations

import warnings

import arviz_stats
import pandas as pd
import xarray as xr

from nmda_bayes.checks.identifiability import parameters_of
from nmda_bayes.dims import SEPARATOR


def prior_sensitivity(fit: xr.DataTree) -> pd.DataFrame:
    """Scale the priors, and the likelihood, by a power near 1 and see what moves.

    Parameters
    ----------
    fit
        A fit.

    Returns
    -------
    pd.DataFrame
        One row a parameter: ``variable`` (with coordinates), ``prior`` and ``likelihood``
        sensitivity, and ArviZ's ``diagnosis`` at its threshold of 0.05 (Kallioinen et al. 2024).
        The baselines' priors are left as they are.
    """
    written = [str(name) for name in fit["log_prior"].data_vars]
    scaled = [name for name in written if name.split(SEPARATOR)[-1] != "baseline"]
    with warnings.catch_warnings():
        # A Pareto k above its limit warns per variable; the gate and the table speak for it.
        warnings.simplefilter("ignore", UserWarning)
        found = arviz_stats.psense_summary(
            fit, var_names=parameters_of(fit), prior_var_names=scaled
        )
    return found.rename_axis("variable").reset_index()
