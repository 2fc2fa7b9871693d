"""Effects over the hours after treatment: how much is left, and for how long it is enough.

The curve says how large the effect of a dose is, the course how much of it is there at an hour;
both are the catalogues' own formulas on the posterior draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nmda_bayes.components.time import AFTER, SINCE
from nmda_bayes.dims import AGENT, CONDITION, DOSE, HOUR, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import stated_baseline
from nmda_bayes.estimands.reading import design_of, is_risk, link_of, spec_of, variable
from nmda_bayes.estimands.response import Doses, absolute_risk, linear_response

Hours = Sequence[float] | np.ndarray | xr.DataArray


def share_left(
    fit: xr.DataTree, outcome: str, hours: Hours, treatment_hours: float | None = None
) -> xr.DataArray:
    """Evaluate how much of an outcome's effect there is at an hour.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    hours
        Hours after the end of treatment, negative before.
    treatment_hours
        How long treatment lasted; asked for only by a course that builds up from its beginning.

    Returns
    -------
    xr.DataArray
        Dims hour, chain, draw, and agent or condition where the course's parameters have them; 1
        where the whole effect is there.

    Raises
    ------
    SpecError
        If the course needs the length of treatment and it is not given.
    """
    spec, posterior = spec_of(fit), fit["posterior"].to_dataset()
    course = spec.outcomes[outcome].over_time
    if SINCE in course.clocks and treatment_hours is None:
        raise SpecError(
            [
                Fault(
                    f"the course '{course.name}' counts from the beginning of treatment, whose"
                    " length is not given",
                    "Pass treatment_hours=..., for instance 0.67 for an infusion of 40 min.",
                    column="treatment_hours",
                )
            ]
        )
    after = xr.DataArray(np.asarray(hours, dtype=float), dims=HOUR)
    after = after.assign_coords({HOUR: after.to_numpy()})
    clocks = {AFTER: after, SINCE: after + (treatment_hours or 0.0)}
    theta = {name: posterior[variable(spec, outcome, name)] for name in course.parameters}
    everywhere = xr.zeros_like(after) + xr.zeros_like(posterior["draw"] * posterior["chain"], float)
    share: xr.DataArray = everywhere + course.share(clocks, theta, np)
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
        A fit.
    outcome
        One of its outcomes.
    hours
        Hours after the end of treatment, negative before.
    dose
        Exposures >= 0 in the units of the spec's exposure; a grid over what was tried if None.
    treatment_hours
        How long treatment lasted; asked for only by a course that builds up from its beginning.

    Returns
    -------
    xr.DataArray
        Dims agent, condition, dose, hour, chain, draw: differences of the linear predictor from
        dose 0 at the same hour. Coordinate ``read_from`` and ``read_to`` say by agent between which
        hours its trials read the outcome (NaN: never, so that the answer is a prior's), and
        ``extrapolated`` which hours lie outside.
    """
    effect = linear_response(fit, outcome, dose) * share_left(fit, outcome, hours, treatment_hours)
    effect = effect.transpose(AGENT, CONDITION, DOSE, HOUR, *SAMPLE)
    low, high = _read_between(fit, outcome, effect[AGENT])
    # A minute of slack: an hour of the grid that is the last reading is not beyond it.
    inside = (effect[HOUR] >= low - 1 / 60) & (effect[HOUR] <= high + 1 / 60)
    return effect.assign_coords(read_from=low, read_to=high, extrapolated=~inside).rename("effect")


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
        A fit.
    outcome
        One of its outcomes, a risk.
    hours, dose
        As in `effect_over_time`.
    baseline_risk
        The risk without the agent, taken to be the same at every hour; the spec's
        ``window.baseline_risk`` if None.
    treatment_hours
        As in `effect_over_time`.

    Returns
    -------
    xr.DataArray
        As `effect_over_time` gives it, but probabilities; ``baseline_risk`` stands in its
        attributes.

    Raises
    ------
    SpecError
        If the outcome is no risk, or no baseline is stated.
    """
    spec = spec_of(fit)
    effect = effect_over_time(fit, outcome, hours, dose, treatment_hours)
    if not is_risk(spec, outcome):
        message = f"outcome '{outcome}' is no risk: it has no probability over time"
        raise SpecError([Fault(message, "Ask effect_over_time for its effect.", column=outcome)])
    baseline = stated_baseline(fit, baseline_risk)
    risk = absolute_risk(effect, baseline, link_of(spec, outcome))
    return risk.assign_attrs(baseline_risk=baseline).rename("risk")


def hours_of_relief(effect: xr.DataArray, at_least: float, better: str) -> xr.DataArray:
    """Say until which hour an effect is large enough.

    Parameters
    ----------
    effect
        As `effect_over_time` gives it.
    at_least
        The least effect that counts, positive, on the scale of the linear predictor.
    better
        ``lower`` or ``higher``.

    Returns
    -------
    xr.DataArray
        Hours after the end of treatment, without dim hour: the last of the first run of hours with
        enough of an effect; 0 where there is never enough, and the last hour of the grid where
        there is enough to its end (``censored`` says in how many draws).

    Raises
    ------
    ValueError
        If ``at_least`` is not positive or ``better`` is neither word.
    """
    if not at_least > 0 or better not in ("lower", "higher"):
        raise ValueError("at_least must be positive, and better 'lower' or 'higher'")
    gain = -effect if better == "lower" else effect
    later = gain.sel({HOUR: gain[HOUR] >= 0})
    # Once too small, it does not count again: the run ends at the first hour that falls short.
    enough = (later >= at_least).astype(int).cumprod(HOUR).astype(bool)
    last = later[HOUR].where(enough, 0.0).max(HOUR)
    censored = enough.isel({HOUR: -1}).mean(SAMPLE)
    return last.assign_coords(censored=censored.drop_vars(HOUR)).rename("hours")


def _read_between(
    fit: xr.DataTree, outcome: str, agents: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray]:
    """First and last hour at which the trials of each agent read the outcome."""
    design = design_of(fit, outcome)
    names = agents.to_numpy()
    low, high = (xr.full_like(agents, np.nan, dtype=float) for _ in range(2))
    if AFTER not in design:
        return low, high
    rows = design[["agent", "exposure", AFTER]].to_dataframe()
    hours = rows[rows["exposure"] > 0].groupby("agent")[AFTER]
    first, last = hours.min().reindex(names), hours.max().reindex(names)
    return low.copy(data=first.to_numpy()), high.copy(data=last.to_numpy())
