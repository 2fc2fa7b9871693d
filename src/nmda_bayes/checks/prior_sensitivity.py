"""Would another prior have said something else? Power-scaling, without a refit."""

from __future__ import annotations

import warnings

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import places
from nmda_bayes.checks.identifiability import parameters_of
from nmda_bayes.logs import quietly


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
    scaled = [name for name in written if not name.endswith("baseline")]
    with warnings.catch_warnings(), quietly("arviz_stats"):
        # A Pareto k above its limit warns per variable; the gate and the table speak for it.
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = arviz_stats.psense_summary(
                fit, var_names=parameters_of(fit), prior_var_names=scaled
            )
        except ValueError as error:
            # Draws that do not move have no tail to smooth (arviz-stats 1.3). The gate refuses such
            # a fit, and its report must still be written.
            return _not_computed(fit, f"could not be computed ({error})")
    return found.rename_axis("variable").reset_index()


def _not_computed(fit: xr.DataTree, why: str) -> pd.DataFrame:
    """The same table without numbers."""
    posterior = fit["posterior"].to_dataset()
    names = [
        f"{name}[{', '.join(p.partition('=')[2] for p in at.split(', '))}]" if at else name
        for name in parameters_of(fit)
        for at in places(posterior[name])
    ]
    empty = pd.DataFrame({"variable": names, "prior": np.nan, "likelihood": np.nan})
    return empty.assign(diagnosis=why)
