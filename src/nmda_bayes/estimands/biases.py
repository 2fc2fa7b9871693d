"""Effects as trials show them, and with the bias taken out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from nmda_bayes.components.bias import publication
from nmda_bayes.dims import AGENT, ARM, CHAIN, DRAW
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.estimands.effects import compared, expected_arms
from nmda_bayes.estimands.reading import design_of, spec_of, variable
from nmda_bayes.model import SHIFT, SHIFTED_ARM, Outcome, outcomes_of
from nmda_bayes.model.bias import toward
from nmda_bayes.model.selection import (
    MEAN,
    PUBLISHED_STUDY,
    SD,
    critical_values,
    decisive,
    estimates,
    published_of,
)
from nmda_bayes.spec.bias import PUBLISHED


def effects_with_bias(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Average each agent's effect over its arms, as trials like them show it and without the bias.

    The average is over the arms that were run against a control at dose 0, each at its own dose,
    so that no dose and no typical trial has to be chosen.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes, which allows for a bias.

    Returns
    -------
    xr.Dataset
        Dims chain, draw, agent, on the scale of the linear predictor: ``without`` (the curve),
        ``bias`` and ``apparent``, their sum; with how many ``arms`` and ``trials`` each agent has.

    Raises
    ------
    SpecError
        If the outcome allows for no bias.
    """
    spec = spec_of(fit)
    design = design_of(fit, outcome)
    if not spec.outcomes[outcome].bias.given:
        known = [name for name, part in spec.outcomes.items() if part.bias.given]
        mend = nearest(outcome, known) if known else f"Write [outcomes.{outcome}.bias]."
        raise SpecError([Fault(f"outcome '{outcome}' allows for no bias", mend)])
    here, there = compared(design)
    exposure = design["exposure"].to_numpy()
    kept = (exposure[there] == 0) & (exposure[here] > 0)
    here, there = here[kept], there[kept]
    curve, shift = expected_arms(fit, outcome), _shift(fit, outcome)
    lift = _lift(fit, outcome)
    agents, found = design["agent"].to_numpy()[here].astype(str), []
    for agent in dict.fromkeys(agents):
        mine = agents == agent
        parts = [_mean_difference(one, here[mine], there[mine]) for one in (curve, shift)]
        bias = parts[1] + lift.get(agent, 0.0)
        found.append(xr.Dataset({"without": parts[0], "bias": bias, "apparent": parts[0] + bias}))
    table = pd.DataFrame({"agent": agents, "study": design["study"].to_numpy()[here]})
    grouped = table.groupby("agent", sort=False)["study"]
    whole = xr.concat(found, dim=pd.Index(list(dict.fromkeys(agents)), name=AGENT, dtype=object))
    return whole.transpose(CHAIN, DRAW, AGENT).assign_coords(
        arms=(AGENT, grouped.size().to_numpy()), trials=(AGENT, grouped.nunique().to_numpy())
    )


def _mean_difference(of_arms: xr.DataArray, here: np.ndarray, there: np.ndarray) -> xr.DataArray:
    sides = (of_arms.isel({ARM: xr.DataArray(side, dims=ARM)}).mean(ARM) for side in (here, there))
    one, other = sides
    return one - other


def _shift(fit: xr.DataTree, outcome: str) -> xr.DataArray:
    """What the biases add to every arm; 0 where they add nothing in any draw."""
    spec, posterior = spec_of(fit), fit["posterior"].to_dataset()
    labels = design_of(fit, outcome)[ARM].to_numpy()
    none = xr.zeros_like(posterior[CHAIN] * posterior[DRAW], dtype=float)
    whole = none.expand_dims({ARM: labels}, axis=-1).copy()
    name = variable(spec, outcome, SHIFT)
    if name in posterior:
        shifted = posterior[name].rename({variable(spec, outcome, SHIFTED_ARM): ARM})
        at = [list(labels).index(label) for label in shifted[ARM].to_numpy()]
        values = whole.transpose(CHAIN, DRAW, ARM).to_numpy().copy()
        values[..., at] = shifted.transpose(CHAIN, DRAW, ARM).to_numpy()
        whole = xr.DataArray(values, dims=(CHAIN, DRAW, ARM))
    return whole.transpose(CHAIN, DRAW, ARM).drop_vars(ARM, errors="ignore")


def _lift(fit: xr.DataTree, outcome: str) -> dict[str, xr.DataArray]:
    """By how much what is published of each agent's trials exceeds what they would all show."""
    spec, design = spec_of(fit), fit["design"]
    if spec.outcomes[outcome].bias.selection is None:
        return {}
    assert isinstance(design, xr.DataTree)
    (one,) = [o for o in outcomes_of(spec, design) if o.label == outcome]
    dim = one.name(PUBLISHED_STUDY)
    lift = toward(one) * published_lift(fit, one).rename({dim: ARM}).drop_vars(ARM)
    agents = one.reported["agent"].to_numpy()[decisive(one)["arm"].to_numpy(int)].astype(str)
    return {a: lift.isel({ARM: np.flatnonzero(agents == a)}).mean(ARM) for a in set(agents)}


def published_lift(fit: xr.DataTree, outcome: Outcome) -> xr.DataArray:
    """Expect how much larger the effect of a trial is if it is published.

    Parameters
    ----------
    fit
        A fit.
    outcome
        An outcome with selection.

    Returns
    -------
    xr.DataArray
        Dims chain, draw and study: the mean of the published density less that of all trials, in
        favour of the active arm. It is sd² times the derivative of log A by the mean.
    """
    posterior, dim = fit["posterior"].to_dataset(), outcome.name(PUBLISHED_STUDY)
    mean, sd = (posterior[outcome.name(n)] for n in (MEAN, SD))
    _, errors = estimates(outcome, decisive(outcome))
    se = xr.DataArray(errors, dims=dim)
    names = [n for n in outcome.spec.bias.priors if n.startswith(PUBLISHED)]
    chances = published_of(outcome, [posterior[outcome.name(n)] for n in names])
    z = [(mean - critical * se) / sd for critical in critical_values(outcome)]
    whole = publication([xr.apply_ufunc(stats.norm.cdf, one) for one in z], chances)
    density = publication([xr.apply_ufunc(stats.norm.pdf, one) for one in z], chances)
    return (sd * (density - chances[-1]) / whole).transpose(CHAIN, DRAW, dim)
