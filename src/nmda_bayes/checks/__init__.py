"""Checks of a fit: convergence, identifiability, prediction, influence of priors and studies."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import convergence_checks, predictive_checks, scalar_diagnostics
from nmda_bayes.checks.leave_one_study_out import (
    model_average,
    stacking_weights,
    study_density,
    study_elpd,
    study_influence,
)
from nmda_bayes.checks.prior_influence import (
    PRIOR_ONLY,
    identifiability,
    power_scaling,
    prior_sensitivity,
    reported_parameters,
)
from nmda_bayes.inference.fit_files import remarks_of

__all__ = [
    "PRIOR_ONLY",
    "Diagnostics",
    "diagnose",
    "model_average",
    "power_scaling",
    "reported_parameters",
    "stacking_weights",
    "study_density",
    "study_elpd",
    "study_influence",
]


@dataclass(frozen=True)
class Diagnostics:
    """The checks of one fit, as `diagnose` returns them.

    Attributes
    ----------
    convergence
        One row per convergence criterion: ``check``, ``value``, ``threshold``, ``passed`` and
        ``where`` (the worst scalar).
    scalars
        One row per scalar of the posterior: ``variable``, ``at`` (its labels), ``r_hat``,
        ``ess_bulk``, ``ess_tail``.
    identifiability
        One row per parameter: ``variable``, ``at``, ``prior_sd``, ``posterior_sd``, ``overlap`` of
        prior and posterior (0 to 1), and ``conclusion``.
    predictive
        One row per outcome and ``statistic``: the ``observed`` value, and the probabilities
        ``prior_p`` and ``posterior_p`` that a replicate is larger (ties count half).
    prior_sensitivity
        One row per parameter: its power-scaling sensitivity to ``prior``, ``baseline`` (priors of
        baselines) and ``likelihood``, and a ``diagnosis``.
    remarks
        Draws and densities of the fit that could not be computed, or only in a range, with reasons.

    Examples
    --------
    >>> checks = nb.diagnose(fit)
    >>> checks.convergence["check"].tolist()
    ['R-hat', 'bulk ESS', 'tail ESS', 'divergences', 'E-BFMI']
    """

    convergence: pd.DataFrame
    scalars: pd.DataFrame
    identifiability: pd.DataFrame
    predictive: pd.DataFrame
    prior_sensitivity: pd.DataFrame
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every convergence criterion is met."""
        return bool(self.convergence["passed"].all())


def diagnose(fit: xr.DataTree) -> Diagnostics:
    """Check the convergence of a fit, what its data identify, and how well they are predicted.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` returns it.

    Returns
    -------
    Checks
        Five tables; `passed` summarises the first.

    References
    ----------
    Vehtari et al. 2021, Bayesian Analysis 16:667 (R-hat, ESS); Betancourt 2016, arXiv:1604.00695
    (E-BFMI); Kallioinen et al. 2024, Statistics and Computing 34:57 (power-scaling).

    Examples
    --------
    >>> checks = nb.diagnose(fit)
    >>> list(checks.identifiability.columns)
    ['variable', 'at', 'prior_sd', 'posterior_sd', 'overlap', 'conclusion']
    >>> list(checks.predictive.columns)
    ['outcome', 'statistic', 'observed', 'prior_p', 'posterior_p']
    """
    scalars = scalar_diagnostics(fit)
    return Diagnostics(
        convergence=convergence_checks(fit, scalars),
        scalars=scalars,
        identifiability=identifiability(fit),
        predictive=predictive_checks(fit),
        prior_sensitivity=prior_sensitivity(fit),
        remarks=tuple(f"{name}: {remark}" for name, remark in remarks_of(fit).items()),
    )
