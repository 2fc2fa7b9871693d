"""What draws are worth were the priors, or the likelihood, raised to a power."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import xarray as xr

from nmda_bayes.checks.smoothing import smoothed
from nmda_bayes.dims import SAMPLE

#: Weaker, as it is, and stronger. At 0.5 and 2 the weights of the primary analysis' likelihood fail
#: (k-hat 1.0 and 1.1); at these they hold (0.6 and 0.4).
POWERS: Final = (0.67, 1.0, 1.5)
COMPONENT, POWER = "component", "power"
PRIOR, LIKELIHOOD = "prior", "likelihood"


def power_scaling(fit: xr.DataTree, powers: Sequence[float] = POWERS) -> xr.Dataset:
    """Weigh the draws of a fit as if its priors, or its likelihood, were raised to powers.

    Parameters
    ----------
    fit
        A fit.
    powers
        Positive; 1 is the fit itself.

    Returns
    -------
    xr.Dataset
        ``weight`` (component, power, chain, draw), which add up to 1 over the draws, smoothed
        (PSIS), and their ``k_hat`` (component, power): above 0.7 they are not to be relied on. The
        components are ``prior`` (all but those of the baselines) and ``likelihood``.
    """
    log_prior = fit["log_prior"].to_dataset()
    written = [name for name in log_prior.data_vars if not str(name).endswith("baseline")]
    logs = {
        PRIOR: _total(log_prior[written]),
        LIKELIHOOD: _total(fit["log_likelihood"].to_dataset()),
    }
    found = [
        xr.concat([_raised(log, power) for power in powers], xr.Variable(POWER, list(powers)))
        for log in logs.values()
    ]
    return xr.concat(found, xr.Variable(COMPONENT, list(logs)))


def _total(logs: xr.Dataset) -> xr.DataArray:
    parts = [v.sum([d for d in v.dims if d not in SAMPLE]) for v in logs.data_vars.values()]
    total: xr.DataArray = sum(parts[1:], parts[0])
    return total


def _raised(log_density: xr.DataArray, power: float) -> xr.Dataset:
    """Weigh draws by a density raised to a power, over the density."""
    log_ratio = (power - 1.0) * (log_density - log_density.mean())
    log_weight, k_hat = smoothed(log_ratio)
    return xr.Dataset({"weight": xr.apply_ufunc(np.exp, log_weight), "k_hat": k_hat})
