"""Numbers a clinician asks for: contrasts, the dose for an effect, numbers needed."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE
from nmda_bayes.estimands.baseline import stated_baseline
from nmda_bayes.estimands.reading import is_risk, link_of, members, spec_of, variable
from nmda_bayes.estimands.response import Doses, absolute_risk, dose_response, linear_response
from nmda_bayes.intervals import interval

COMPARATOR = "comparator"


def contrasts(fit: xr.DataTree, outcome: str, dose: float) -> xr.DataArray:
    """Compare every agent with every other at one dose.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    dose
        The exposure of both agents, in the units of the spec's exposure.

    Returns
    -------
    xr.DataArray
        Agent minus comparator on the linear predictor's scale; dims agent, comparator, condition,
        chain, draw.
    """
    response = linear_response(fit, outcome, [dose]).isel({DOSE: 0})
    difference = response - response.rename({AGENT: COMPARATOR})
    return difference.transpose(AGENT, COMPARATOR, ...).rename("contrast")


def effective_dose(
    fit: xr.DataTree,
    outcome: str,
    effect: float,
    dose: Doses = None,
    baseline_risk: float | None = None,
) -> xr.DataArray:
    """Find the dose that has an effect of a given size.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    effect
        On the outcome's natural scale: a difference from dose 0 (negative for a fall), an
        absolute risk, or a ratio of rates.
    dose
        Exposures to search, increasing from 0; a grid over what was tried if None.
    baseline_risk
        The risk without the agent, of a binary outcome; the spec's if None.

    Returns
    -------
    xr.DataArray
        Dims agent, condition, chain, draw; NaN in the draws where no dose of the grid reaches it,
        so that their share is the probability that the effect is not reached. Curves with an
        inverse in closed form give the dose itself, others the line between two doses of the grid.

    Raises
    ------
    SpecError
        If the outcome is binary and no baseline risk is stated.
    """
    found, link = linear_response(fit, outcome, dose), link_of(spec_of(fit), outcome)
    if link.probability:
        found = absolute_risk(found, stated_baseline(fit, baseline_risk), link)
    elif link.ratio:
        found = xr.apply_ufunc(np.exp, found)
    grid = xr.DataArray(found[DOSE].to_numpy(), dims=DOSE)
    # Two points of the curve have two doses: as coordinates they would not agree.
    response = found.reset_coords(drop=True).drop_vars(DOSE)
    start = response.isel({DOSE: 0})
    reached = (response - effect) * (start - effect) <= 0
    first = reached.argmax(DOSE)
    before = (first - 1).clip(min=0)
    low, high = response.isel({DOSE: before}), response.isel({DOSE: first})
    d_low, d_high = grid.isel({DOSE: before}), grid.isel({DOSE: first})
    span = (high - low).where(high != low, 1.0)
    between = d_low + (d_high - d_low) * (effect - low) / span
    exact = _closed_form(fit, outcome, effect, baseline_risk)
    if exact is not None:
        between = exact.where((exact >= d_low) & (exact <= d_high), between)
    found = between.where(reached.any(DOSE)).transpose(AGENT, CONDITION, *SAMPLE)
    return found.rename("effective_dose")


def _closed_form(
    fit: xr.DataTree, outcome: str, effect: float, baseline_risk: float | None
) -> xr.DataArray | None:
    """The dose by the curve's own inverse; None where it has none."""
    spec, posterior = spec_of(fit), fit["posterior"].to_dataset()
    curve = spec.outcomes[outcome].shape
    link, target = link_of(spec, outcome), effect
    if link.probability:
        if not 0 < effect < 1:
            return None
        start = stated_baseline(fit, baseline_risk)
        target = float(link.forward(effect) - link.forward(start))
    elif link.ratio:
        if not effect > 0:
            return None
        target = float(np.log(effect))
    theta = {name: posterior[variable(spec, outcome, name)] for name in curve.parameters}
    of = members(fit["design/labels"].to_dataset()[AGENT])
    found: xr.DataArray | None = curve.dose_for(xr.DataArray(target), theta, of)
    return found


def number_needed(
    fit: xr.DataTree, outcome: str, dose: float, baseline_risk: float | None = None
) -> xr.Dataset:
    """Find how many people one more event takes: the NNT of a benefit, the NNH of a harm.

    The inverse of a risk difference has no mean and runs through infinity where the difference
    crosses 0 (Altman 1998), so the interval is computed on the difference and then inverted.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its binary outcomes.
    dose
        The exposure.
    baseline_risk
        The risk without the agent; the spec's if None.

    Returns
    -------
    xr.Dataset
        ``lower``, ``median``, ``upper`` of the added risk, and ``number_needed``, its inverse at
        the median, with ``number_low`` and ``number_high`` (infinite where the interval includes
        0); dims agent, condition.

    Raises
    ------
    ValueError
        If the outcome is not a probability.
    """
    if not is_risk(spec_of(fit), outcome):
        raise ValueError(f"'{outcome}' is not binary: it has no number needed")
    response = dose_response(fit, [0.0, dose], baseline_risk).sel({OUTCOME: outcome}, drop=True)
    added = response.isel({DOSE: 1}, drop=True) - response.isel({DOSE: 0}, drop=True)
    found = interval(added.reset_coords(drop=True), SAMPLE)
    crosses = (found["lower"] <= 0) & (found["upper"] >= 0)
    with np.errstate(divide="ignore"):
        found["number_needed"] = 1 / found["median"]
        found["number_low"] = 1 / found["upper"].where(found["upper"] != 0)
        found["number_high"] = (1 / found["lower"]).where(~crosses, np.inf)
    return found
