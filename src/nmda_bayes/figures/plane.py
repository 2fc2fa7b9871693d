"""Where a dose stands between benefit and risk."""

from __future__ import annotations

import xarray as xr

from nmda_bayes.dims import AGENT, CHAIN, CONDITION, DOSE, DRAW, OUTCOME, SAMPLE
from nmda_bayes.figures.arms import RISK
from nmda_bayes.figures.labelled import need_dims, need_variables
from nmda_bayes.figures.text import plain
from nmda_bayes.intervals import interval


def plane_of_response(response: xr.DataArray, benefit: str | None, harm: str | None) -> xr.Dataset:
    """Place a response on the benefit-risk plane.

    Parameters
    ----------
    response
        Dims outcome, agent, condition, dose, chain, draw.
    benefit
        The outcome across; the first difference if None.
    harm
        The outcome up; the first risk if None.

    Returns
    -------
    xr.Dataset
        Medians ``x`` (gain, upwards better) and ``y`` (added risk) with their intervals, and where
        they were tried; dims agent, condition, dose. Attributes ``x`` and ``y`` name the axes.

    Raises
    ------
    ValueError
        If there is no such outcome, or no baseline to count an added risk from.
    """
    dims = (OUTCOME, AGENT, CONDITION, DOSE, CHAIN, DRAW)
    need_dims(response, dims, "plot_benefit_risk")
    scales = response["scale"].to_series()
    gains, risks = scales.index[scales != RISK], scales.index[scales == RISK]
    if (benefit is None and not len(gains)) or (harm is None and not len(risks)):
        raise ValueError(
            "plot_benefit_risk needs a benefit on a difference scale and a harm on a risk scale;"
            f" the response has {dict(scales)}. Name them with benefit=... and harm=..."
        )
    good = response.sel({OUTCOME: benefit or gains[0]})
    bad = response.sel({OUTCOME: harm or risks[0]})
    for one, known in ((good, good["scale"].item()), (bad, bad["scale"].item())):
        if known == RISK and "baseline_risk" not in one.attrs:
            raise ValueError("plot_benefit_risk needs the response's attribute 'baseline_risk'")
    gain = good - (good.attrs["baseline_risk"] if good["scale"].item() == RISK else 0.0)
    gain = -gain if str(good["better"].item()) == "lower" else gain
    added = bad - (bad.attrs["baseline_risk"] if bad["scale"].item() == RISK else 0.0)
    plane = _intervals(gain, added)
    plane["trials_benefit"] = good["trials"].reset_coords(drop=True)
    plane["trials_harm"] = bad["trials"].reset_coords(drop=True)
    plane["extrapolated"] = (good["extrapolated"] | bad["extrapolated"]).reset_coords(drop=True)
    unit = plain(good["unit"].item(), 30)
    plane.attrs = {
        "x": f"benefit: {plain(good['label'].item(), 60)}, gain" + (f" ({unit})" if unit else ""),
        "y": f"added risk of {plain(bad['label'].item(), 60)}",
    }
    return _printed(plane, response)


def plane_of_window(window: xr.Dataset) -> xr.Dataset:
    """Place a therapeutic window on the benefit-risk plane.

    Parameters
    ----------
    window
        Dims agent, condition, dose; with ``gain`` and ``added_risk`` (and chain, draw) or without.

    Returns
    -------
    xr.Dataset
        As `plane_of_response`; without the draws, probabilities and no intervals.
    """
    need_dims(window, (AGENT, CONDITION, DOSE), "plot_benefit_risk")
    gain = plain(window.attrs.get("benefit_label", "benefit"), 60)
    harm = plain(window.attrs.get("harm_label", "harm"), 60)
    unit = plain(window.attrs.get("benefit_unit", ""), 30)
    if "gain" in window and "added_risk" in window:
        plane = _intervals(window["gain"], window["added_risk"])
        plane.attrs = {
            "x": f"benefit: {gain}, gain" + (f" ({unit})" if unit else ""),
            "y": f"added risk of {harm}",
        }
    else:
        need_variables(window, ("p_benefit", "p_risk"), "plot_benefit_risk")
        plane = xr.Dataset({"x": window["p_benefit"], "y": 1 - window["p_risk"]}).reset_coords(
            drop=True
        )
        enough, bearable = window.attrs["benefit_at_least"], window.attrs["risk_at_most"]
        plane.attrs = {
            "x": f"probability that {gain} is better by at least {enough:g} {unit}".rstrip(),
            "y": f"probability that the added risk of {harm} is above {100 * bearable:g} %",
        }
    for name in ("trials_benefit", "trials_harm"):
        plane[name] = window[name].reset_coords(drop=True)
    plane["extrapolated"] = window["extrapolated"].reset_coords(drop=True)
    return _printed(plane, window)


def _intervals(gain: xr.DataArray, added: xr.DataArray) -> xr.Dataset:
    parts: dict[str, xr.DataArray] = {}
    for axis, draws in (("x", gain), ("y", added)):
        found = interval(draws.reset_coords(drop=True), SAMPLE)
        parts |= {
            axis: found["median"],
            f"{axis}_lower": found["lower"],
            f"{axis}_upper": found["upper"],
        }
    return xr.Dataset(parts)


def _printed(plane: xr.Dataset, source: xr.DataArray | xr.Dataset) -> xr.Dataset:
    """Keep the printed names of agents and conditions where the source has them."""
    names = [f"{dim}_label" for dim in (AGENT, CONDITION) if f"{dim}_label" in source.coords]
    return plane.assign_coords({name: source[name].reset_coords(drop=True) for name in names})
