"""The therapeutic window: the doses with enough relief for an acceptable added risk."""

from __future__ import annotations

import xarray as xr

from nmda_bayes.dims import OUTCOME, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import stated_baseline
from nmda_bayes.estimands.reading import on_one_axis, spec_of
from nmda_bayes.estimands.response import DIFFERENCE, Doses, dose_response


def therapeutic_window(
    fit: xr.DataTree,
    benefit_at_least: float | None = None,
    risk_at_most: float | None = None,
    baseline_risk: float | None = None,
    dose: Doses = None,
) -> xr.Dataset:
    """Find the probability of enough benefit, of acceptable harm, and of both, by dose.

    Both come from the same draws, so that what is correlated stays correlated.

    Parameters
    ----------
    fit
        A fit whose spec has a window.
    benefit_at_least
        The least benefit that matters, in the outcome's units; the spec's if None.
    risk_at_most
        The largest acceptable added risk; the spec's if None.
    baseline_risk
        The risk without the agent; the spec's if None.
    dose
        Exposures; a grid over what was tried if None.

    Returns
    -------
    xr.Dataset
        ``p_benefit``, ``p_risk`` and ``p_both``, dims agent, condition, dose, with where each rests
        on a trial and where it is extrapolated; and the draws behind them, ``gain`` (counted
        upwards, in the benefit's units) and ``added_risk``, with chain and draw.

    Raises
    ------
    SpecError
        If the spec names no benefit and harm.
    """
    window = spec_of(fit).window
    if window is None:
        mend = "Write [window] with benefit, harm, benefit_at_least, risk_at_most, baseline_risk."
        raise SpecError([Fault("the spec has no window", mend, column="window")])
    if not on_one_axis(spec_of(fit)):
        mend = "Ask for regimen_window, or take exposures relative to the reference."
        raise SpecError([Fault("benefit and harm stand on different axes of dose", mend)])
    enough = window.benefit_at_least if benefit_at_least is None else benefit_at_least
    bearable = window.risk_at_most if risk_at_most is None else risk_at_most
    baseline = stated_baseline(fit, baseline_risk)
    response = dose_response(fit, dose, baseline)
    benefit = response.sel({OUTCOME: window.benefit})
    harm = response.sel({OUTCOME: window.harm})
    gain = _gain(response, window.benefit)
    relieved = gain >= enough
    spared = harm - baseline <= bearable
    coords = {
        "trials_benefit": benefit["trials"],
        "trials_harm": harm["trials"],
        "extrapolated": benefit["extrapolated"] | harm["extrapolated"],
    }
    shares = {"p_benefit": relieved, "p_risk": spared, "p_both": relieved & spared}
    parts = {name: share.mean(SAMPLE) for name, share in shares.items()}
    parts |= {"gain": gain, "added_risk": harm - baseline}
    found = xr.Dataset({k: v.reset_coords(drop=True) for k, v in parts.items()})
    found = found.assign_coords({k: v.reset_coords(drop=True) for k, v in coords.items()})
    found = found.assign_coords(fit["design/labels"].to_dataset().data_vars)
    labels = response["label"].to_series()
    found.attrs = {
        "benefit_at_least": enough,
        "risk_at_most": bearable,
        "baseline_risk": baseline,
        "exposure_axis": response.attrs["exposure_axis"],
        "benefit_unit": str(response["unit"].to_series()[window.benefit]),
        "benefit_label": str(labels[window.benefit]),
        "harm_label": str(labels[window.harm]),
    }
    return found


def _gain(response: xr.DataArray, outcome: str) -> xr.DataArray:
    """The benefit, counted upwards: a fall in pain and a rise in responders are both gains."""
    one = response.sel({OUTCOME: outcome})
    at_zero = 0.0 if str(one["scale"].item()) == DIFFERENCE else one.attrs["baseline_risk"]
    lower = str(one["better"].item()) == "lower"
    return at_zero - one if lower else one - at_zero
