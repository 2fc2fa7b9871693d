"""Checks with teeth: whether a fit may be believed, and about what."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import xarray as xr

from nmda_bayes.checks.diagnostics import diagnostics, gate
from nmda_bayes.checks.identifiability import PRIOR_ONLY, identifiability, parameters_of
from nmda_bayes.checks.leaving_out import study_density, study_elpd, study_influence
from nmda_bayes.checks.powers import power_scaling
from nmda_bayes.checks.predictive import predictive_checks
from nmda_bayes.checks.prior_sensitivity import prior_sensitivity
from nmda_bayes.checks.stacking import averaged, stack

__all__ = [
    "PRIOR_ONLY",
    "Checks",
    "averaged",
    "check",
    "parameters_of",
    "power_scaling",
    "stack",
    "study_density",
    "study_elpd",
    "study_influence",
]


@dataclass(frozen=True)
class Checks:
    """Everything that was checked of a fit.

    Attributes
    ----------
    gate
        One row a threshold: did the sampler do its work?
    diagnostics
        R-hat and effective draws of every scalar.
    identifiability
        What the data said of each parameter.
    predictive
        Whether the model makes data like these.
    prior_sensitivity
        Whether another prior would have said something else.
    """

    gate: pd.DataFrame
    diagnostics: pd.DataFrame
    identifiability: pd.DataFrame
    predictive: pd.DataFrame
    prior_sensitivity: pd.DataFrame

    @property
    def passed(self) -> bool:
        """True where every threshold of the gate is held."""
        return bool(self.gate["passed"].all())


def check(fit: xr.DataTree) -> Checks:
    """Check a fit.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.

    Returns
    -------
    Checks
        The gate and the tables behind it.
    """
    table = diagnostics(fit)
    return Checks(
        gate=gate(fit, table),
        diagnostics=table,
        identifiability=identifiability(fit),
        predictive=predictive_checks(fit),
        prior_sensitivity=prior_sensitivity(fit),
    )
