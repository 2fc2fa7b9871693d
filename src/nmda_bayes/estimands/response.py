"""Effects at a dose, on the scale that a reader thinks in.

The curve is the catalogue's own formula on the posterior draws: nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from nmda_bayes.components.links import LOGIT, Link, risk_from
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import baseline_for_risks
from nmda_bayes.estimands.covariates import Values, at_values
from nmda_bayes.estimands.reading import (
    default_doses,
    exposure_axis,
    link_of,
    members,
    spec_of,
    tested,
    variable,
)
from nmda_bayes.spec import AnalysisSpec

DIFFERENCE, RISK, RATIO = "difference", "risk", "ratio"
Doses = Sequence[float] | np.ndarray | xr.DataArray | None


def linear_response(
    fit: xr.DataTree, outcome: str, dose: Doses = None, at: Values | None = None
) -> xr.DataArray:
    """Evaluate an outcome's curve on the scale of its linear predictor.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    dose
        Exposures >= 0 in the units of the spec's exposure; a grid over what was tried if None.
    at
        Values of covariates, by name; a covariate that is not named is at its centre.

    Returns
    -------
    xr.DataArray
        Dims agent, condition, dose, chain, draw; 0 at dose 0.
    """
    curve = spec_of(fit).outcomes[outcome].shape
    theta = curve_parameters(fit, outcome, curve.parameters, at)
    grid = _grid(fit, dose)
    labels = fit["design/labels"].to_dataset()
    everywhere = xr.zeros_like(labels[AGENT], float) + xr.zeros_like(labels[CONDITION], float)
    response = everywhere + curve.response(grid, theta, np, members(labels[AGENT]))
    return response.transpose(AGENT, CONDITION, DOSE, *SAMPLE)


def curve_parameters(
    fit: xr.DataTree, outcome: str, names: Iterable[str], at: Values | None = None
) -> dict[str, xr.DataArray]:
    """Read the parameters of a curve from the posterior.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    names
        As the curve's formula names them.
    at
        Values of covariates, by name; a covariate that is not named is at its centre.

    Returns
    -------
    dict[str, xr.DataArray]
        Draws by name; dims agent and condition where a parameter has them.
    """
    spec, posterior = spec_of(fit), fit["posterior"].to_dataset()
    theta = {name: posterior[variable(spec, outcome, name)] for name in names}
    return at_values(fit, outcome, theta, at)


def dose_response(
    fit: xr.DataTree,
    dose: Doses = None,
    baseline_risk: float | None = None,
    at: Values | None = None,
) -> xr.DataArray:
    """Evaluate every outcome's curve on its natural scale.

    Parameters
    ----------
    fit
        A fit.
    dose
        Exposures >= 0 in the units of the spec's exposure; a grid over what was tried if None.
    baseline_risk
        The risk at dose 0 from which a binary outcome's risks are counted; the spec's
        ``window.baseline_risk`` if None.
    at
        Values of covariates, by name; a covariate that is not named is at its centre.

    Returns
    -------
    xr.DataArray
        ``response``, dims outcome, agent, condition, dose, chain, draw. Coordinate ``scale`` says
        per outcome whether it is a difference from dose 0, in the outcome's units, an absolute
        risk, or a ratio of rates to dose 0, and ``link`` the scale of its linear predictor;
        ``extrapolated`` whether the dose lies beyond what was tried of the agent; ``trials`` how
        many trials a cell has (0: it rests on the others and the prior).

    Raises
    ------
    SpecError
        If an outcome is binary and no baseline risk is stated.
    """
    spec = spec_of(fit)
    baseline_risk = baseline_for_risks(fit, baseline_risk)
    parts = []
    for name in spec.outcomes:
        response = linear_response(fit, name, dose, at)
        parts.append(on_natural_scale(response, link_of(spec, name), baseline_risk))
    joined = xr.concat(parts, dim=xr.Variable(OUTCOME, list(spec.outcomes)))
    outcomes = spec.outcomes.items()
    scale = [scale_of(link_of(spec, name)) for name in spec.outcomes]
    unit = [_unit(spec, name) for name in spec.outcomes]
    labelled = joined.assign_coords(
        scale=(OUTCOME, scale),
        label=(OUTCOME, [o.label or name for name, o in outcomes]),
        unit=(OUTCOME, unit),
        link=(OUTCOME, [link_of(spec, name).name for name in spec.outcomes]),
        better=(OUTCOME, [o.better for _, o in outcomes]),
    )
    where = tested(fit)
    labelled = labelled.assign_coords(
        {k: where[k] for k in ("trials", "tested_from", "tested_to")},
    ).assign_coords(extrapolated=extrapolated(where["tested_to"], joined[DOSE]))
    labelled = labelled.assign_coords(fit["design/labels"].to_dataset().data_vars)
    labelled.attrs = {"exposure_axis": exposure_axis(spec)}
    if baseline_risk is not None:
        labelled.attrs["baseline_risk"] = baseline_risk
    return labelled.rename("response")


def on_natural_scale(response: xr.DataArray, link: Link, baseline: float | None) -> xr.DataArray:
    """Bring differences of a linear predictor to the scale that a reader thinks in.

    Parameters
    ----------
    response
        Differences from no dose; any dims.
    link
        The scale of the linear predictor.
    baseline
        The risk without the agent; may be None where there is no risk.

    Returns
    -------
    xr.DataArray
        A difference, an absolute risk or a ratio.
    """
    if link.probability and baseline is not None:
        return absolute_risk(response, baseline, link)
    if scale_of(link) == RATIO:
        ratio: xr.DataArray = xr.apply_ufunc(np.exp, response)
        return ratio
    return response


def scale_of(link: Link) -> str:
    """Say what an effect becomes on its natural scale.

    Parameters
    ----------
    link
        The scale of the linear predictor.

    Returns
    -------
    str
        ``difference``, ``risk`` or ``ratio``.
    """
    if link.probability:
        return RISK
    return RATIO if link.ratio else DIFFERENCE


def _unit(spec: AnalysisSpec, outcome: str) -> str:
    link = link_of(spec, outcome)
    words = {RISK: "probability", RATIO: link.ratio, DIFFERENCE: spec.outcomes[outcome].unit}
    return words[scale_of(link)]


def extrapolated(tested_to: xr.DataArray, dose: xr.DataArray) -> xr.DataArray:
    """Say which doses lie beyond what was tried.

    Parameters
    ----------
    tested_to
        The largest exposure tried; NaN where there was no trial.
    dose
        Exposures.

    Returns
    -------
    xr.DataArray
        True beyond, and everywhere without a trial. Doses between 0 and the smallest tried lie
        between the reference arm and it, and count as inside.
    """
    # A millionth of slack: a grid point at the largest tried dose is not beyond it.
    return ~(tested_to * (1 + 1e-6) >= dose).transpose(..., DOSE)


def absolute_risk(
    log_ratio: xr.DataArray, baseline_risk: float, link: Link = LOGIT
) -> xr.DataArray:
    """Turn log odds ratios, or log hazard ratios, into the risk that they imply at a baseline.

    Parameters
    ----------
    log_ratio
        Differences of the linear predictor; any dims.
    baseline_risk
        The risk without the agent, between 0 and 1.
    link
        The scale of the linear predictor; log odds if not given.

    Returns
    -------
    xr.DataArray
        Probabilities, same dims.
    """
    risk: xr.DataArray = risk_from(baseline_risk, log_ratio, link)
    return risk


def _grid(fit: xr.DataTree, dose: Doses) -> xr.DataArray:
    if dose is None:
        return default_doses(fit)
    values = np.atleast_1d(np.asarray(dose, dtype=float))
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise SpecError(
            [Fault("a dose is negative or not a number", "Give doses >= 0.", column=DOSE)]
        )
    return xr.DataArray(values, dims=DOSE, coords={DOSE: values})
