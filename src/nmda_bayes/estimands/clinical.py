"""Clinical quantities: comparisons, effective doses, numbers needed, the therapeutic window.

Also the comparison of a fit with the pooled results that its sources published.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE
from nmda_bayes.estimands.fit_access import (
    agent_membership,
    design_of,
    is_risk,
    link_of,
    posterior_draws,
    shares_dose_axis,
    spec_error,
    spec_of,
    stated_baseline,
    window_of,
)
from nmda_bayes.estimands.response import (
    Doses,
    absolute_risk,
    dose_response,
    linear_response,
    to_natural_scale,
    window_probabilities,
)
from nmda_bayes.intervals import credible_interval

#: The other agent of a comparison.
COMPARATOR = "comparator"
#: Group of a fit with the published results of its analyses, and their measures.
PUBLISHED = "published"
MEAN_DIFFERENCE, RISK_RATIO = "MD", "RR"


def compare_agents(fit: xr.DataTree, outcome: str, dose: float) -> xr.DataArray:
    """Compare every agent with every other at one dose.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.
    dose
        Exposure of both agents, in the units of the spec's exposure.

    Returns
    -------
    xr.DataArray
        Agent minus comparator on the linear predictor; dims agent, comparator, condition, chain,
        draw.

    Examples
    --------
    >>> difference = nb.compare_agents(fit, "analgesia", dose=1.0)
    >>> difference.dims
    ('agent', 'comparator', 'condition', 'chain', 'draw')
    >>> float(abs(difference.sel(agent="ketamine", comparator="ketamine")).max())
    0.0
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
        As `fit` returns it.
    outcome
        One of its outcomes.
    effect
        On the outcome's natural scale: a difference from dose 0 (negative for a fall), an absolute
        risk, or a ratio of rates.
    dose
        Exposures to search, increasing from 0; by default a grid from 0 to 1.5 times the highest
        tested dose.
    baseline_risk
        Risk at dose 0, for an outcome that is a risk; by default ``window.baseline_risk`` of the
        spec.

    Returns
    -------
    xr.DataArray
        Dims agent, condition, chain, draw, in the units of the spec's exposure. NaN in draws in
        which no dose of the grid has the effect; their share is the probability that it is not
        reached. Exact for curves with a closed-form inverse, else interpolated linearly.

    Raises
    ------
    SpecError
        If the outcome is a risk and there is no baseline risk (E802).

    Examples
    --------
    >>> ed = nb.effective_dose(fit, "analgesia", effect=-10)
    >>> ed.dims
    ('agent', 'condition', 'chain', 'draw')
    >>> p_reached = ed.notnull().mean(["chain", "draw"])
    """
    spec = spec_of(fit)
    link, posterior = link_of(spec, outcome), linear_response(fit, outcome, dose)
    baseline = stated_baseline(fit, baseline_risk) if link.probability else None
    response = to_natural_scale(posterior, link, baseline)
    grid = xr.DataArray(response[DOSE].to_numpy(), dims=DOSE)
    response = response.reset_coords(drop=True).drop_vars(DOSE)
    start = response.isel({DOSE: 0})
    reached = (response - effect) * (start - effect) <= 0
    first = reached.argmax(DOSE)
    last_before = (first - 1).clip(min=0)
    low, high = response.isel({DOSE: last_before}), response.isel({DOSE: first})
    dose_low, dose_high = grid.isel({DOSE: last_before}), grid.isel({DOSE: first})
    span = (high - low).where(high != low, 1.0)
    doses = dose_low + (dose_high - dose_low) * (effect - low) / span
    exact = _inverse(fit, outcome, effect, baseline)
    if exact is not None:
        doses = exact.where((exact >= dose_low) & (exact <= dose_high), doses)
    doses = doses.where(reached.any(DOSE)).transpose(AGENT, CONDITION, *SAMPLE)
    return doses.rename("effective_dose")


def _inverse(
    fit: xr.DataTree, outcome: str, effect: float, baseline: float | None
) -> xr.DataArray | None:
    """Find the dose by the curve's closed-form inverse; None where it has none."""
    spec = spec_of(fit)
    curve, link, target = spec.outcomes[outcome].shape, link_of(spec, outcome), effect
    if link.probability:
        if not 0 < effect < 1:
            return None
        target = float(link.forward(effect) - link.forward(baseline))
    elif link.ratio:
        if not effect > 0:
            return None
        target = float(np.log(effect))
    theta = {name: posterior_draws(fit, outcome, name) for name in curve.parameters}
    members = agent_membership(fit["design/labels"].to_dataset()[AGENT])
    doses: xr.DataArray | None = curve.dose_for(xr.DataArray(target), theta, members)
    return doses


def number_needed(
    fit: xr.DataTree, outcome: str, dose: float, baseline_risk: float | None = None
) -> xr.Dataset:
    """Compute the number needed to treat for one more event (benefit) or to harm (harm).

    The inverse of a risk difference has no mean and passes through infinity where the difference
    crosses 0, so the interval is computed on the difference and then inverted [1]_.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes that are risks.
    dose
        Exposure, in the units of the spec's exposure.
    baseline_risk
        Risk at dose 0; by default ``window.baseline_risk`` of the spec.

    Returns
    -------
    xr.Dataset
        ``lower``, ``median``, ``upper`` (the added risk, 95% CrI) and ``number_needed`` (the
        inverse of the median) with ``number_low`` and ``number_high``, infinite where the interval
        includes 0; dims agent, condition.

    Raises
    ------
    SpecError
        If the outcome is not a risk (E801), or there is no baseline risk (E802).

    References
    ----------
    .. [1] Altman DG. Confidence intervals for the number needed to treat. BMJ 1998; 317:1309-12.

    Examples
    --------
    >>> harm = nb.number_needed(fit, "psychotomimetic", dose=1.0, baseline_risk=0.05)
    >>> harm["number_needed"].dims
    ('agent', 'condition')
    """
    if not is_risk(spec_of(fit), outcome):
        hint = "Use effective_dose or dose_response."
        raise spec_error("E801", f"outcome '{outcome}' is not a risk", hint, f"outcomes.{outcome}")
    response = dose_response(fit, [0.0, dose], baseline_risk).sel({OUTCOME: outcome}, drop=True)
    added = response.isel({DOSE: 1}, drop=True) - response.isel({DOSE: 0}, drop=True)
    result = credible_interval(added.reset_coords(drop=True), SAMPLE)
    crosses_zero = (result["lower"] <= 0) & (result["upper"] >= 0)
    with np.errstate(divide="ignore"):
        result["number_needed"] = 1 / result["median"]
        result["number_low"] = 1 / result["upper"].where(result["upper"] != 0)
        result["number_high"] = (1 / result["lower"]).where(~crosses_zero, np.inf)
    return result


def therapeutic_window(
    fit: xr.DataTree,
    benefit_at_least: float | None = None,
    risk_at_most: float | None = None,
    baseline_risk: float | None = None,
    dose: Doses = None,
) -> xr.Dataset:
    """Compute the probability of enough benefit, of acceptable harm, and of both, by dose.

    Both outcomes come from the same posterior draws, so that their correlation is kept.

    Parameters
    ----------
    fit
        As `fit` returns it; its spec has a ``[window]``.
    benefit_at_least
        Smallest important benefit, in the units of the benefit outcome; the spec's by default.
    risk_at_most
        Largest acceptable added risk of the harm outcome; the spec's by default.
    baseline_risk
        Risk at dose 0; the spec's by default.
    dose
        Exposures >= 0; by default a grid from 0 to 1.5 times the highest tested dose.

    Returns
    -------
    xr.Dataset
        ``p_benefit``, ``p_risk``, ``p_both``, dims agent, condition, dose; and the draws ``gain``
        (larger is better, in the benefit's units) and ``added_risk``, with chain and draw.
        Coordinates ``trials_benefit``, ``trials_harm`` (agent, condition); with dose
        ``extrapolated``, above the doses tested there for either outcome, and ``tested``, whether
        an arm with either outcome had that dose.

    Raises
    ------
    SpecError
        If the spec has no window (E803), its outcomes have different dose axes (E808), or there is
        no baseline risk (E802).

    Examples
    --------
    >>> window = nb.therapeutic_window(fit, benefit_at_least=10, risk_at_most=0.1, dose=[0, 1])
    >>> window["p_both"].dims
    ('agent', 'condition', 'dose')
    >>> bool((window["p_both"] <= window["p_benefit"]).all())
    True
    """
    spec = spec_of(fit)
    window = window_of(spec)
    if not shares_dose_axis(spec):
        hint = "Use regimen_window, or exposures relative to the reference."
        raise spec_error("E808", "benefit and harm have different dose axes", hint)
    baseline = stated_baseline(fit, baseline_risk)
    response = dose_response(fit, dose, baseline)
    benefit = response.sel({OUTCOME: window.benefit})
    harm = response.sel({OUTCOME: window.harm})
    result = window_probabilities(spec, benefit, harm, baseline, benefit_at_least, risk_at_most)
    coords = {
        "trials_benefit": benefit["trials"],
        "trials_harm": harm["trials"],
        "extrapolated": benefit["extrapolated"] | harm["extrapolated"],
        "tested": benefit["tested"] | harm["tested"],
    }
    result = result.assign_coords({k: v.reset_coords(drop=True) for k, v in coords.items()})
    result = result.assign_coords(fit["design/labels"].to_dataset().data_vars)
    return result.assign_attrs(exposure_axis=response.attrs["exposure_axis"])


def compare_with_published(fit: xr.DataTree) -> pd.DataFrame:
    """Compare the published pooled results of a fit's sources with its posterior.

    Only mean differences, and risk ratios at the pooled risk of the reference arms, are on the
    scale of the fit; other measures are left out.
    """
    columns = ["outcome", "label", "measure", "at_risk"]
    columns += [f"{who}{end}" for who in ("published", "ours") for end in ("", "_low", "_high")]
    if PUBLISHED not in fit.children:
        return pd.DataFrame(columns=columns)
    spec, rows = spec_of(fit), []
    for row in fit[PUBLISHED].to_dataset().to_dataframe().itertuples():
        outcome = str(row.outcome)
        link = link_of(spec, outcome)
        if row.measure != (RISK_RATIO if link.probability else MEAN_DIFFERENCE) or (
            link.ratio and not link.probability
        ):
            continue
        effect = linear_response(fit, outcome, [1.0]).isel({AGENT: 0, CONDITION: 0, DOSE: 0})
        risk = np.nan
        if link.probability:
            risk = _reference_risk(design_of(fit, outcome))
            if not 0 < risk < 1:
                continue
            effect = absolute_risk(effect, risk, link) / risk
        interval = credible_interval(effect)
        label = f"{row.analysis} {spec.outcomes[outcome].label or outcome}"
        ours = (float(interval[k]) for k in ("median", "lower", "upper"))
        published = (row.estimate, row.ci_low, row.ci_high)
        rows.append((outcome, label, row.measure, risk, *published, *ours))
    return pd.DataFrame(rows, columns=columns)


def _reference_risk(design: xr.Dataset) -> float:
    """Pool the events of the reference arms."""
    is_reference = design["exposure"] == 0
    events, n = (design[name].where(is_reference).sum() for name in ("events", "n"))
    return float(events / n)
