"""What regimens do hour by hour: relief and risk over time, and the same dose faster or slower.

An effect that follows the concentration at its reading comes and goes with it, in blood or at its
effect site. One that follows a peak or an average keeps what has come by an hour, and fades only
where its outcome has a time course.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import AT_OUTCOME, EXPOSURES
from nmda_bayes.components.time import SINCE
from nmda_bayes.dims import AGENT, CONDITION, DRAW, HOUR, OUTCOME, SAMPLE
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.baseline import baseline_for_risks
from nmda_bayes.estimands.over_time import share_left
from nmda_bayes.estimands.regimen_exposure import REGIMEN
from nmda_bayes.estimands.regimens import Asked
from nmda_bayes.regimens import parse_regimen


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
    """Answer what regimens of one agent do over the hours, in the same draws.

    Parameters
    ----------
    fit
        A fit whose outcomes stand on axes of concentration.
    regimens
        In the notation of schedules: ``0.5 mg/kg over 40 min``.
    hours
        Since the first administration, above 0.
    agent
        What is given.
    condition
        May be left out where the fit has one.
    route
        Of the doses.
    baseline_risk
        The risk without the agent; the spec's ``window.baseline_risk`` if None.

    Returns
    -------
    xr.Dataset
        As `regimen_response` gives it, with dim hour. ``ends``, over regimen, says when treatment
        ends, and ``fades``, over outcome, whether the effect can grow less: by a time course, or
        because it follows the concentration at the reading.

    Raises
    ------
    InputError, SpecError
        As `regimen_response`; and if an hour is not above 0.
    """
    asked = Asked.of(fit, agent, condition, route)
    for text in regimens:
        parse_regimen(text)
    at = np.asarray(hours, dtype=float)
    if not (at.ndim == 1 and np.isfinite(at).all() and (at > 0).all()):
        mend = "Give hours since the first administration."
        raise SpecError([Fault("an hour is not above 0", mend, column=HOUR)])
    baseline = baseline_for_risks(fit, baseline_risk)
    ends: list[float] = []
    parts = []
    for name in asked.spec.outcomes:
        axis = asked.axis(name)
        ends = axis.ends(regimens)
        lines = []
        for text, end in zip(regimens, ends, strict=True):
            exposure = axis.up_to(text, at, HOUR).assign_coords({HOUR: at})
            effect = asked.response(name, exposure) * _left(asked, name, at, end)
            here = xr.Dataset(
                {"response": asked.natural(name, effect, baseline), "exposure": exposure}
            )
            lines.append(here.drop_vars([AGENT, CONDITION], errors="ignore"))
        parts.append(xr.concat(lines, dim=xr.Variable(REGIMEN, list(regimens))))
    found = xr.concat(parts, dim=xr.Variable(OUTCOME, list(asked.spec.outcomes)))
    dims = (OUTCOME, REGIMEN, HOUR)
    found["response"] = found["response"].transpose(*dims, *SAMPLE)
    drawn = SAMPLE if DRAW in found["exposure"].dims else ()
    found["exposure"] = found["exposure"].transpose(*dims, *drawn)
    fades = [
        EXPOSURES[part.exposure].of == AT_OUTCOME or bool(part.over_time.clocks)
        for part in asked.spec.outcomes.values()
    ]
    found = found.assign_coords(ends=(REGIMEN, ends), fades=(OUTCOME, fades))
    return asked.described(found, baseline)


def _left(asked: Asked, outcome: str, hours: np.ndarray, end: float) -> xr.DataArray | float:
    """How much of the effect the outcome's course leaves at each hour."""
    course = asked.spec.outcomes[outcome].over_time
    if not course.clocks:
        return 1.0
    lasting = end if SINCE in course.clocks else None
    share = share_left(asked.fit, outcome, hours - end, lasting)
    here = {AGENT: asked.agent, CONDITION: asked.condition}
    share = share.sel({d: x for d, x in here.items() if d in share.dims}, drop=True)
    return share.assign_coords({HOUR: hours})
