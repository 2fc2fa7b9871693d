"""Effects at a concentration: what an experiment that holds one can be set beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.dims import OUTCOME, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import baseline_for_risks
from nmda_bayes.estimands.regimens import Asked

CONCENTRATION = "concentration"


def response_at_concentration(
    fit: xr.DataTree,
    concentrations: Sequence[float] | np.ndarray,
    *,
    agent: str,
    condition: str | None = None,
    route: str = "iv",
    baseline_risk: float | None = None,
) -> xr.Dataset:
    """Answer what each outcome is at a concentration, whatever regimen it comes from.

    Parameters
    ----------
    fit
        A fit whose outcomes stand on axes of concentration; not on areas, which have another unit.
    concentrations
        ng/mL from 0 on, of what the agent's model measures.
    agent
        What is given.
    condition
        May be left out where the fit has one.
    route
        By which the agent's model is found.
    baseline_risk
        The risk without the agent; the spec's ``window.baseline_risk`` if None.

    Returns
    -------
    xr.Dataset
        ``response`` (outcome, concentration, chain, draw) with the coordinates of
        `regimen_response`; attribute ``analyte`` names what is measured. A relative axis is brought
        back by the reference regimen at the published parameters.

    Raises
    ------
    SpecError
        As `regimen_response`; and if an outcome follows an area, or a number is below 0.
    """
    asked = Asked.of(fit, agent, condition, route)
    at = np.asarray(concentrations, dtype=float)
    faults = [
        Fault(
            f"outcome '{name}' follows an area, which is no concentration",
            "Ask for regimen_response.",
            column=f"outcomes.{name}.exposure",
        )
        for name, part in asked.spec.outcomes.items()
        if EXPOSURES[part.exposure].of == "area"
    ]
    if not (at.ndim == 1 and np.isfinite(at).all() and (at >= 0).all()):
        faults.append(Fault("a concentration is below 0 or none", "Give ng/mL.", column="ng/mL"))
    if faults:
        raise SpecError(faults)
    baseline = baseline_for_risks(fit, baseline_risk)
    grid = xr.DataArray(at, dims=CONCENTRATION, coords={CONCENTRATION: at})
    exposures, responses = [], []
    for name in asked.spec.outcomes:
        axis = asked.axis(name)
        kind = axis.kind
        one = axis.kinetics.reference_value(agent, kind.of) if kind.relative else 1.0
        exposures.append(grid / one)
        responses.append(asked.natural(name, asked.response(name, grid / one), baseline))
    outcomes = xr.Variable(OUTCOME, list(asked.spec.outcomes))
    found = xr.Dataset(
        {
            "response": xr.concat(responses, outcomes).transpose(OUTCOME, CONCENTRATION, *SAMPLE),
            "exposure": xr.concat(exposures, outcomes),
        }
    )
    model = asked.kinetics.model(agent, route)
    analyte = "" if model is None else model.analyte
    return asked.described(found, baseline).assign_attrs(analyte=analyte)
