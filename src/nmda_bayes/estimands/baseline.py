"""The risk without the agent, from which risks are counted: stated, never guessed."""

from __future__ import annotations

import xarray as xr

from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.reading import is_risk, spec_of


def stated_baseline(fit: xr.DataTree, baseline_risk: float | None) -> float:
    """Find the baseline risk that an answer is counted from.

    Parameters
    ----------
    fit
        A fit.
    baseline_risk
        As the caller states it, or None.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    SpecError
        If neither the caller nor the spec states one, or it is no probability.
    """
    window = spec_of(fit).window
    stated = window.baseline_risk if baseline_risk is None and window else baseline_risk
    if stated is None or not 0 < stated < 1:
        raise SpecError(
            [
                Fault(
                    "a risk needs a baseline between 0 and 1 to be counted from",
                    "Pass baseline_risk=..., or write window.baseline_risk in the spec.",
                    column="window.baseline_risk",
                )
            ]
        )
    return stated


def baseline_for_risks(fit: xr.DataTree, baseline_risk: float | None) -> float | None:
    """Find the baseline risk where any outcome of a fit is a risk.

    Parameters
    ----------
    fit
        A fit.
    baseline_risk
        As the caller states it, or None.

    Returns
    -------
    float or None
        As `stated_baseline` gives it; None where no outcome asks for one.
    """
    spec = spec_of(fit)
    risks = any(is_risk(spec, name) for name in spec.outcomes)
    return stated_baseline(fit, baseline_risk) if risks else None
