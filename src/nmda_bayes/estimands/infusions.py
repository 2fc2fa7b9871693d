"""The therapeutic window in regimens: infusions with enough benefit and acceptable harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nmda_bayes.dims import CHAIN, DRAW, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import stated_baseline
from nmda_bayes.estimands.reading import link_of
from nmda_bayes.estimands.regimen_exposure import REGIMEN
from nmda_bayes.estimands.regimens import Asked
from nmda_bayes.estimands.response import DIFFERENCE, scale_of
from nmda_bayes.regimens import parse_regimen

RATE, HOURS = "rate", "hours"
#: Rates and durations of the grid, and draws that are used: a probability is then known to 0.02.
RATES, DURATIONS, DRAWS = 49, 25, 600


def regimen_window(
    fit: xr.DataTree,
    *,
    agent: str,
    condition: str | None = None,
    rates: Sequence[float] | None = None,
    hours: Sequence[float] | None = None,
) -> xr.Dataset:
    """Find the infusions with enough benefit and acceptable harm, by rate and duration.

    Parameters
    ----------
    fit
        A fit on axes of concentration whose spec has a window.
    agent
        What is infused.
    condition
        May be left out where the fit has one.
    rates
        mg/kg/h; around the rate of the agent's reference regimen if None.
    hours
        Durations; from five minutes to a day if None.

    Returns
    -------
    xr.Dataset
        ``p_benefit``, ``p_risk``, ``p_both``, medians ``gain`` and ``added_risk`` (dims hours,
        rate), ``extrapolated`` where either exposure lies beyond the trials, ``total``, mg/kg; and
        over hours the ``ridge``, the rate at which both are most probable, with ``p_ridge``.

    Raises
    ------
    SpecError
        If the spec names no benefit and harm, or the question cannot be put.
    """
    asked = Asked.of(fit, agent, condition, "iv")
    window = asked.spec.window
    if window is None:
        mend = "Write [window] with benefit, harm, benefit_at_least, risk_at_most, baseline_risk."
        raise SpecError([Fault("the spec has no window", mend, column="window")])
    rate, lasting = _grid(asked, rates, hours)
    here = Asked.of(_thinned(fit), agent, condition, "iv")
    exposure = _exposures(here, rate, lasting)
    baseline = stated_baseline(fit, None)
    values = {
        name: here.natural(name, here.response(name, exposure[name]), baseline)
        for name in (window.benefit, window.harm)
    }
    gain = _gain(here, window.benefit, values[window.benefit], baseline)
    added = values[window.harm] - baseline
    relieved, spared = gain >= window.benefit_at_least, added <= window.risk_at_most
    found = xr.Dataset(
        {
            "p_benefit": relieved.mean(SAMPLE),
            "p_risk": spared.mean(SAMPLE),
            "p_both": (relieved & spared).mean(SAMPLE),
            "gain": gain.median(SAMPLE),
            "added_risk": added.median(SAMPLE),
        }
    ).transpose(HOURS, RATE)
    return _described(here, found, exposure, (rate, lasting))


def _grid(
    asked: Asked, rates: Sequence[float] | None, hours: Sequence[float] | None
) -> tuple[xr.DataArray, xr.DataArray]:
    if rates is None:
        _, schedule = asked.kinetics.reference(asked.agent)
        one = parse_regimen(schedule).peak_rate("mg/kg/h") if schedule else np.nan
        if not np.isfinite(one):
            mend = "Pass rates=..., in mg/kg/h."
            raise SpecError([Fault("the reference regimen has no rate to look around", mend)])
        rates = list(one * np.geomspace(1 / 20, 10, RATES))
    hours = list(np.geomspace(1 / 12, 24, DURATIONS)) if hours is None else hours
    made = []
    for dim, values in ((RATE, rates), (HOURS, hours)):
        numbers = np.asarray(values, dtype=float)
        if not (np.isfinite(numbers).all() and (numbers > 0).all()):
            raise SpecError([Fault(f"a {dim[:4]} of the grid is not above 0", "Mend it.")])
        made.append(xr.DataArray(numbers, dims=dim, coords={dim: numbers}))
    return made[0], made[1]


def _thinned(fit: xr.DataTree) -> xr.DataTree:
    """Keep some draws, evenly."""
    posterior = fit["posterior"].to_dataset()
    step = max(1, int(np.ceil(posterior.sizes[CHAIN] * posterior.sizes[DRAW] / DRAWS)))
    thin = xr.DataTree.from_dict({"posterior": posterior.isel({DRAW: slice(None, None, step)})})
    for name, group in fit["design"].children.items():
        thin[f"design/{name}"] = group.copy()
    thin.attrs = fit.attrs
    return thin


def _exposures(asked: Asked, rate: xr.DataArray, hours: xr.DataArray) -> dict[str, xr.DataArray]:
    """Place every infusion on both axes: linear models, so that one rate tells of all."""
    texts = [f"1 mg/kg/h for {float(h)!r} h" for h in hours.to_numpy()]
    window = asked.spec.window
    assert window is not None
    found = {}
    for name in (window.benefit, window.harm):
        unit = asked.axis(name).place(texts).rename({REGIMEN: HOURS})
        found[name] = unit.assign_coords({HOURS: hours.to_numpy()}) * rate
    return found


def _gain(asked: Asked, outcome: str, value: xr.DataArray, baseline: float) -> xr.DataArray:
    """The benefit, counted upwards."""
    at_zero = 0.0 if scale_of(link_of(asked.spec, outcome)) == DIFFERENCE else baseline
    lower = asked.spec.outcomes[outcome].better == "lower"
    return at_zero - value if lower else value - at_zero


def _described(
    asked: Asked,
    found: xr.Dataset,
    exposure: dict[str, xr.DataArray],
    grid: tuple[xr.DataArray, xr.DataArray],
) -> xr.Dataset:
    rate, hours = grid
    where = asked.tested()
    tops = where["tested_to"].to_series()
    outside = [_outside(x, float(tops[name])) for name, x in exposure.items()]
    best = found["p_both"].argmax(RATE)
    window, spec = asked.spec.window, asked.spec
    assert window is not None
    found = found.assign(
        extrapolated=(outside[0] | outside[1]).transpose(HOURS, RATE),
        total=(hours * rate).transpose(HOURS, RATE),
        ridge=rate.isel({RATE: best}).drop_vars(RATE),
        p_ridge=found["p_both"].max(RATE),
    )
    trials = where["trials"].to_series()
    found.attrs = {
        **asked.about(),
        "benefit_at_least": window.benefit_at_least,
        "risk_at_most": window.risk_at_most,
        "baseline_risk": stated_baseline(asked.fit, None),
        "benefit_label": spec.outcomes[window.benefit].label or window.benefit,
        "benefit_unit": spec.outcomes[window.benefit].unit,
        "harm_label": spec.outcomes[window.harm].label or window.harm,
        "trials_benefit": int(trials[window.benefit]),
        "trials_harm": int(trials[window.harm]),
        "reference": asked.kinetics.reference(asked.agent)[1],
    }
    return found


def _outside(exposure: xr.DataArray, tested_to: float) -> xr.DataArray:
    typical = exposure.median(SAMPLE) if DRAW in exposure.dims else exposure
    beyond: xr.DataArray = ~(typical <= tested_to * (1 + 1e-6))
    return beyond
