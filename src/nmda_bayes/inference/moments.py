"""Means, SDs and quantiles of scales and parameters, by sums over the grid of the scales."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from nmda_bayes.design import covariates_of
from nmda_bayes.inference.affine import Linear, affine_parameter, linear
from nmda_bayes.inference.latents import LATENT, POINT
from nmda_bayes.inference.quantiles import mixture_quantile
from nmda_bayes.inference.regression import solve
from nmda_bayes.inference.scales import ScaleGrid, parts
from nmda_bayes.model import Outcome, linear_terms, parameters_of

#: What group ``exact`` says of each scalar, over a dim of this name.
STATISTIC = "statistic"
STATISTICS = ("mean", "sd", "q2.5", "q50", "q97.5")
SHARES = (0.025, 0.5, 0.975)


def statistics(outcome: Outcome, grid: ScaleGrid) -> dict[str, xr.DataArray]:
    """Work out mean, SD and quantiles of every scale and parameter, without draws.

    Parameters
    ----------
    outcome
        The outcome.
    grid
        Its scales, weighed.

    Returns
    -------
    dict[str, xr.DataArray]
        By name in the graph, over the variable's dims and `STATISTIC`.
    """
    found = {}
    for place, scale in enumerate(grid.scales):
        value, weight = scale.value(grid.axes[place]), grid.marginal(place)
        mean = float(weight @ value)
        sd = float(np.sqrt(weight @ (value - mean) ** 2))
        numbers = [mean, sd, *grid.quantiles(place, SHARES)]
        found[scale.name] = xr.DataArray(numbers, {STATISTIC: list(STATISTICS)}, (STATISTIC,))
    weight = grid.weight.ravel()
    # In parts: at 3,721 points of two scales the roots of 135 latents alone are half a gigabyte.
    pieces: dict[str, list[xr.Dataset]] = {}
    for some in parts(grid.values, weight.size):
        regression = linear(outcome, some)
        solved = solve(regression)
        spread = np.linalg.inv(solved.root)  # Q⁻¹ = L'⁻¹ L⁻¹
        for name, form in _forms(outcome, regression, some, set(found)):
            pieces.setdefault(name, []).append(_normals(form, solved.mean, spread))
    return found | {
        name: _mixture(xr.concat(of_points, POINT), weight) for name, of_points in pieces.items()
    }


def _forms(
    outcome: Outcome, regression: Linear, scales: dict[str, xr.DataArray], known: set[str]
) -> Iterator[tuple[str, xr.DataArray]]:
    """Write the coefficients and parameters as affine forms, by their names in the graph."""
    width = regression.latents.size + 1
    slopes = [*covariates_of(outcome.spec), *(term.name for term in linear_terms(outcome))]
    for column in slopes:
        name = outcome.name(column)
        yield name, regression.latents.form(name, width)
    for parameter in parameters_of(outcome):
        name = outcome.name(parameter)
        if name not in known:
            form = affine_parameter(outcome, parameter, regression.latents, scales, width)
            if LATENT in form.dims:
                yield name, form


def _normals(form: xr.DataArray, mean: np.ndarray, spread: np.ndarray) -> xr.Dataset:
    """Mean and SD of an affine form at each point, where it is normal."""
    points = len(mean)
    form = form if POINT in form.dims else form.expand_dims({POINT: points})
    dims = [dim for dim in form.dims if dim not in (POINT, LATENT)]
    ordered = form.transpose(POINT, *dims, LATENT)
    rows = ordered.to_numpy().reshape(points, -1, form.sizes[LATENT])
    centre = np.einsum("pkl,pl->pk", rows[..., :-1], mean) + rows[..., -1]
    scale = np.linalg.norm(np.einsum("plm,pkm->pkl", spread, rows[..., :-1]), axis=-1)
    shape = ordered.shape[:-1]
    return xr.Dataset(
        {
            "mean": ((POINT, *dims), centre.reshape(shape)),
            "sd": ((POINT, *dims), scale.reshape(shape)),
        }
    )


def _mixture(normals: xr.Dataset, weight: np.ndarray) -> xr.DataArray:
    """Moments and quantiles of a mixture of normals over the points."""
    dims = [dim for dim in normals["mean"].dims if dim != POINT]
    shape = [normals.sizes[dim] for dim in dims]
    centre, scale = (normals[n].to_numpy().reshape(len(weight), -1).T for n in ("mean", "sd"))
    expected = centre @ weight
    variance = (scale**2 + centre**2) @ weight - expected**2
    columns = [expected, np.sqrt(variance.clip(min=0))]
    columns += [mixture_quantile(centre, scale, weight, share) for share in SHARES]
    numbers = np.stack(columns, axis=-1).reshape(*shape, len(STATISTICS))
    return xr.DataArray(numbers, {STATISTIC: list(STATISTICS)}, (*dims, STATISTIC))
