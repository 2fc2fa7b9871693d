"""Curve parameters at values of what they are regressed on; a fit holds them at the centres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from nmda_bayes.design import covariates_of
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.estimands.reading import spec_of, variable

Values = Mapping[str, float]


def at_values(
    fit: xr.DataTree, outcome: str, theta: Mapping[str, xr.DataArray], values: Values | None
) -> dict[str, xr.DataArray]:
    """Move curve parameters to values of their covariates.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    theta
        Parameters at the centres, by name.
    values
        By the covariate's name in the spec; what is not named stays at its centre.

    Returns
    -------
    dict[str, xr.DataArray]
        The parameters there.

    Raises
    ------
    SpecError
        If no outcome is regressed on something of that name.
    """
    spec, values = spec_of(fit), values or {}
    known = {name for part in spec.outcomes.values() for _, name, _ in covariates_of(part).values()}
    wrong = [
        Fault(f"no effect is regressed on '{name}'", nearest(name, sorted(known)), column="at")
        for name in values
        if name not in known
    ]
    if wrong:
        raise SpecError(wrong)
    columns = {
        column: values[name]
        for column, (_, name, _) in covariates_of(spec.outcomes[outcome]).items()
        if name in values
    }
    return _moved(fit, outcome, theta, columns)


def at_trials(
    fit: xr.DataTree, outcome: str, theta: Mapping[str, xr.DataArray], design: xr.Dataset
) -> dict[str, xr.DataArray]:
    """Move curve parameters to where each trial stands.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.
    theta
        Parameters at the centres, by name; dim arm or none.
    design
        The outcome's arms.

    Returns
    -------
    dict[str, xr.DataArray]
        The parameters of each arm's study.
    """
    columns = {c: design[c].drop_vars("arm") for c in covariates_of(spec_of(fit).outcomes[outcome])}
    return _moved(fit, outcome, theta, columns)


def _moved(
    fit: xr.DataTree,
    outcome: str,
    theta: Mapping[str, xr.DataArray],
    columns: Mapping[str, Any],
) -> dict[str, xr.DataArray]:
    spec, moved = spec_of(fit), dict(theta)
    for column, x in columns.items():
        parameter, _, covariate = covariates_of(spec.outcomes[outcome])[column]
        slope = fit["posterior"][variable(spec, outcome, column)]
        moved[parameter] = moved[parameter] + slope * ((x - covariate.origin) / covariate.step)
    return moved
