"""Effects over time: effect = curve(dose) * course(hour), its duration, and regimens over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import CONCENTRATION_AT_OUTCOME, EXPOSURES
from nmda_bayes.components.time_courses import HOURS_AFTER_END, HOURS_SINCE_START
from nmda_bayes.dims import AGENT, CONDITION, DOSE, HOUR, OUTCOME, SAMPLE
from nmda_bayes.estimands.fit_access import (
    baseline_for_risks,
    design_of,
    is_risk,
    link_of,
    posterior_draws,
    spec_error,
    spec_of,
    stated_baseline,
)
from nmda_bayes.estimands.regimens import REGIMEN, RegimenQuery
from nmda_bayes.estimands.response import Doses, absolute_risk, linear_response
from nmda_bayes.regimens import parse_regimen

Hours = Sequence[float] | np.ndarray | xr.DataArray


def remaining_effect(
    fit: xr.DataTree, outcome: str, hours: Hours, treatment_hours: float | None = None
) -> xr.DataArray:
    """Evaluate the share of an outcome's effect that is present at each hour.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.
    hours
        Hours after the end of treatment, negative before.
    treatment_hours
        Length of treatment, h; required by time courses with an onset.

    Returns
    -------
    xr.DataArray
        Dims hour, chain, draw, after agent and condition where the course's parameters have them;
        1 at every hour without a time course.

    Raises
    ------
    SpecError
        If the time course needs the length of treatment (E814).

    Examples
    --------
    >>> share = nb.remaining_effect(fit, "analgesia", hours=[0, 2, 24])
    >>> share.dims
    ('hour', 'chain', 'draw')
    """
    course = spec_of(fit).outcomes[outcome].over_time
    if HOURS_SINCE_START in course.clocks and treatment_hours is None:
        message = f"time course '{course.name}' needs the length of treatment"
        hint = "Pass treatment_hours=..., for example 0.67 for an infusion of 40 min."
        raise spec_error("E814", message, hint, "treatment_hours")
    values = np.asarray(hours, dtype=float)
    after_end = xr.DataArray(values, dims=HOUR, coords={HOUR: values})
    clocks = {
        HOURS_AFTER_END: after_end,
        HOURS_SINCE_START: after_end + (treatment_hours or 0.0),
    }
    theta = {name: posterior_draws(fit, outcome, name) for name in course.parameters}
    posterior = fit["posterior"].to_dataset()
    zeros = xr.zeros_like(after_end) + xr.zeros_like(posterior["draw"] * posterior["chain"], float)
    share: xr.DataArray = zeros + course.share(clocks, theta, np)
    return share.transpose(..., HOUR, *SAMPLE).rename("share")


def effect_over_time(
    fit: xr.DataTree,
    outcome: str,
    hours: Hours,
    dose: Doses = None,
    treatment_hours: float | None = None,
) -> xr.DataArray:
    """Evaluate an outcome's effect over dose and time.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes.
    hours
        Hours after the end of treatment, negative before.
    dose
        Exposures >= 0, in the units of the spec's exposure; by default a grid from 0 to 1.5 times
        the highest tested dose.
    treatment_hours
        Length of treatment, h; required by time courses with an onset.

    Returns
    -------
    xr.DataArray
        Differences of the linear predictor from dose 0 at the same hour; dims agent, condition,
        dose, hour, chain, draw. Coordinates ``read_from`` and ``read_to`` (agent): first and last
        hour at which its trials measured the outcome, NaN if they did not; ``extrapolated``
        (hour, agent), True outside them.

    Raises
    ------
    SpecError
        If a dose is negative or not finite (E805), or the time course needs the length of treatment
        (E814).

    Examples
    --------
    >>> effect = nb.effect_over_time(fit, "analgesia", hours=[1, 24], dose=[1.0])
    >>> effect.dims
    ('agent', 'condition', 'dose', 'hour', 'chain', 'draw')
    """
    share = remaining_effect(fit, outcome, hours, treatment_hours)
    effect = linear_response(fit, outcome, dose) * share
    effect = effect.transpose(AGENT, CONDITION, DOSE, HOUR, *SAMPLE)
    first, last = _measured_hours(fit, outcome, effect[AGENT])
    minute = 1 / 60  # tolerance: the last measurement itself is not extrapolated
    inside = (effect[HOUR] >= first - minute) & (effect[HOUR] <= last + minute)
    effect = effect.assign_coords(read_from=first, read_to=last, extrapolated=~inside)
    return effect.rename("effect")


def risk_over_time(
    fit: xr.DataTree,
    outcome: str,
    hours: Hours,
    dose: Doses = None,
    *,
    baseline_risk: float | None = None,
    treatment_hours: float | None = None,
) -> xr.DataArray:
    """Evaluate the risk of an event over dose and time.

    Parameters
    ----------
    fit
        As `fit` returns it.
    outcome
        One of its outcomes that are risks.
    hours, dose
        As in `effect_over_time`.
    baseline_risk
        Risk without the agent, assumed constant over time; by default ``window.baseline_risk`` of
        the spec.
    treatment_hours
        As in `effect_over_time`.

    Returns
    -------
    xr.DataArray
        Probabilities with the dims and coordinates of `effect_over_time`; attribute
        ``baseline_risk``.

    Raises
    ------
    SpecError
        As `effect_over_time`; and if the outcome is not a risk (E801), or there is no baseline risk
        (E802).

    Examples
    --------
    >>> risk = nb.risk_over_time(fit, "psychotomimetic", [0, 24], dose=[0.0], baseline_risk=0.05)
    >>> bool(np.allclose(risk, 0.05))
    True
    """
    spec = spec_of(fit)
    if not is_risk(spec, outcome):
        message = f"outcome '{outcome}' is not a risk"
        raise spec_error("E801", message, "Use effect_over_time.", f"outcomes.{outcome}")
    effect = effect_over_time(fit, outcome, hours, dose, treatment_hours)
    baseline = stated_baseline(fit, baseline_risk)
    risk = absolute_risk(effect, baseline, link_of(spec, outcome))
    return risk.assign_attrs(baseline_risk=baseline).rename("risk")


def effect_duration(effect: xr.DataArray, threshold: float, better: str) -> xr.DataArray:
    """Find the hour until which an effect stays large enough.

    Parameters
    ----------
    effect
        As `effect_over_time` returns it; hours before 0 are not used.
    threshold
        Smallest effect that is large enough, > 0.
    better
        ``lower`` if negative effects are benefits, ``higher`` if positive ones are.

    Returns
    -------
    xr.DataArray
        ``hours``, dims as ``effect`` without hour: the last hour of the grid before the effect
        first falls below the threshold; 0 if it never reaches it. Coordinate ``censored``: share
        of draws in which the effect is still large enough at the last hour.

    Raises
    ------
    ValueError
        If the threshold is not positive, or ``better`` is neither ``lower`` nor ``higher``.

    Examples
    --------
    >>> effect = nb.effect_over_time(fit, "analgesia", hours=[0, 12, 24], dose=[1.0])
    >>> hours = nb.effect_duration(effect, threshold=10, better="lower")
    >>> hours.dims
    ('agent', 'condition', 'dose', 'chain', 'draw')
    """
    if not threshold > 0 or better not in ("lower", "higher"):
        raise ValueError("threshold must be positive, and better 'lower' or 'higher'")
    gain = -effect if better == "lower" else effect
    gain = gain.sel({HOUR: gain[HOUR] >= 0})
    # An effect that returns after falling below the threshold does not count.
    is_enough = (gain >= threshold).astype(int).cumprod(HOUR).astype(bool)
    last = gain[HOUR].where(is_enough, 0.0).max(HOUR)
    censored = is_enough.isel({HOUR: -1}).mean(SAMPLE)
    return last.assign_coords(censored=censored.drop_vars(HOUR)).rename("hours")


def _measured_hours(
    fit: xr.DataTree, outcome: str, agents: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """Find the first and last hour at which the trials of each agent measured the outcome."""
    design, names = design_of(fit, outcome), agents.to_numpy()
    if HOURS_AFTER_END not in design:
        missing = xr.full_like(agents, np.nan, dtype=float)
        return missing, missing
    rows = design[["agent", "exposure", HOURS_AFTER_END]].to_dataframe()
    hours = rows[rows["exposure"] > 0].groupby("agent")[HOURS_AFTER_END]
    first, last = (
        agents.copy(data=ends.reindex(names).to_numpy(float)) for ends in (hours.min(), hours.max())
    )
    return first, last


def regimen_over_time(
    fit: xr.DataTree,
    regimens: Sequence[str],
    hours: Sequence[float] | np.ndarray,
    *,
    agent: str,
    condition: str | None = None,
    route: str = "iv",
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Evaluate the responses to regimens of one agent over time, in the same posterior draws.

    Parameters
    ----------
    fit
        As `fit` returns it; its outcomes have exposures in concentrations.
    regimens
        In the notation of `parse_regimen`: ``0.5 mg/kg over 40 min``.
    hours
        Hours since the first administration, > 0.
    agent
        One of the fit's agents.
    condition
        One of the fit's conditions; may be omitted if there is one.
    route
        Route of administration.
    baseline_risk
        Risk without the agent; by default ``window.baseline_risk`` of the spec.

    Returns
    -------
    xr.Dataset
        As `regimen_response` returns it, with dim hour. Coordinates ``ends`` (regimen): hour at
        which treatment ends; ``fades`` (outcome): whether the effect can decrease, by a time course
        or because the exposure is the concentration at the time of measurement.

    Raises
    ------
    InputError, SpecError
        As `regimen_response`; and if an hour is not above 0 (E805).

    Examples
    --------
    >>> regimens = ["0.5 mg/kg over 40 min"]
    >>> answer = nb.regimen_over_time(
    ...     pk_fit, regimens, hours=[1, 2], agent="ketamine", condition="crps"
    ... )
    >>> answer["response"].dims
    ('outcome', 'regimen', 'hour', 'chain', 'draw')
    """
    query = RegimenQuery.of(fit, agent, condition, route)
    for text in regimens:
        parse_regimen(text)
    grid = np.asarray(hours, dtype=float)
    if not (grid.ndim == 1 and np.isfinite(grid).all() and (grid > 0).all()):
        hint = "Pass hours since the first administration."
        raise spec_error("E805", "hours must be above 0", hint, HOUR)
    baseline, outcomes = baseline_for_risks(fit, baseline_risk), query.spec.outcomes
    ends = query.axis(next(iter(outcomes))).treatment_ends(regimens)
    along = xr.Variable(REGIMEN, list(regimens))
    exposures, shares = {}, {}
    for name in outcomes:
        axis = query.axis(name)
        exposures[name] = xr.concat(
            [axis.exposure_up_to(text, grid, HOUR) for text in regimens], along
        )
        by_end = [query.select(remaining_effect(fit, name, grid - end, end)) for end in ends]
        shares[name] = xr.concat([x.assign_coords({HOUR: grid}) for x in by_end], along)
    fades = [
        EXPOSURES[part.exposure].metric == CONCENTRATION_AT_OUTCOME or bool(part.over_time.clocks)
        for part in outcomes.values()
    ]
    answer = query.respond(exposures, baseline, shares)
    return answer.assign_coords(ends=(REGIMEN, ends), fades=(OUTCOME, fades))
