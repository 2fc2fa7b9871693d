"""Parameters drawn from what is published of their spread and of their error, kept apart."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from nmda_bayes.pharmacokinetics.models import PharmacokineticModel, variable
from nmda_bayes.pharmacokinetics.parameter import Of, log_sd


def draw_parameters(
    model: PharmacokineticModel, rng: np.random.Generator, n: int, *, of: Of = "people"
) -> xr.Dataset:
    """Draw the parameters of a model.

    Parameters
    ----------
    model
        As `published_model` gives it.
    rng
        Random numbers.
    n
        How many draws.
    of
        ``people``: from one person to the next, by the between-subject CV. ``typical``: what is
        not known of the typical person, by the standard error. ``both``: a person of whom neither
        is known.

    Returns
    -------
    xr.Dataset
        Dim draw; one variable a parameter in the model's own unit, a metabolite's after its
        analyte. Log-normal around the published value as median, with log variance
        log(1 + cv^2). Attribute ``fixed`` names those of which no spread is published: they do
        not vary, and what follows from the draws is too narrow by as much.
    """
    out: dict[str, tuple[tuple[str], np.ndarray, dict[str, str]]] = {}
    fixed = []
    deviates = _deviates(model, rng, n)
    for (analyte, symbol), parameter in model.parameters.items():
        name = variable(model, analyte, symbol)
        spread = log_sd(parameter, of)
        # Drawn for every parameter, varied or not: the draws of one do not hang on another's.
        values = parameter.value * np.exp(spread * deviates(analyte, symbol, of))
        out[name] = (("draw",), values, {"units": parameter.unit})
        if not spread:
            fixed.append(name)
    return xr.Dataset(out, coords={"draw": np.arange(n)}).assign_attrs(
        model=model.name, of=of, fixed=", ".join(fixed)
    )


def _deviates(
    model: PharmacokineticModel, rng: np.random.Generator, n: int
) -> Callable[[str, str, Of], np.ndarray]:
    """Give standard normal deviates, correlated between people where a covariance is published."""
    linked = {other: (one, covariance) for one, other, covariance in model.covariances}
    drawn: dict[tuple[str, str], np.ndarray] = {}

    def deviate(analyte: str, symbol: str, of: Of) -> np.ndarray:
        drawn[analyte, symbol] = rng.standard_normal(n)
        mine = drawn[analyte, symbol]
        # Errors of typical values have no published covariance, and are drawn apart.
        if of != "people" or analyte != model.analyte or symbol not in linked:
            return mine
        one, covariance = linked[symbol]
        pair = (model.parameters[analyte, name] for name in (one, symbol))
        rho = covariance / math.prod(log_sd(p, "people") for p in pair)
        return rho * drawn[analyte, one] + math.sqrt(1 - rho**2) * mine

    return deviate
