"""What a fit says of itself: its spec, its outcomes' designs, and where each agent was tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from nmda_bayes.components.exposures import EXPOSURES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.components.links import Link
from nmda_bayes.design import of_agents
from nmda_bayes.dims import AGENT, CONDITION, DOSE, OUTCOME, scoped
from nmda_bayes.errors import Fault, SpecError, nearest
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.spec.rules import BASELINE

#: Points on a default dose grid: enough for a smooth curve at print size.
GRID = 48


def spec_of(fit: xr.DataTree) -> AnalysisSpec:
    """Read the spec that a fit was made from.

    Parameters
    ----------
    fit
        As `nmda_bayes.fit` gives it.

    Returns
    -------
    AnalysisSpec
        The spec.
    """
    return AnalysisSpec.from_dict(json.loads(fit.attrs["spec"]), file="the fit's spec")


def variable(spec: AnalysisSpec, outcome: str, name: str) -> str:
    """Name an outcome's variable in the fit.

    Parameters
    ----------
    spec
        The fit's spec.
    outcome
        The outcome.
    name
        The variable's own name.

    Returns
    -------
    str
        With the outcome's prefix where there are several.
    """
    return scoped(outcome, name, alone=spec.alone)


def design_of(fit: xr.DataTree, outcome: str) -> xr.Dataset:
    """Read which arms an outcome was fitted to.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes.

    Returns
    -------
    xr.Dataset
        Dim arm (and contrast).

    Raises
    ------
    SpecError
        If the fit has no such outcome.
    """
    outcomes = fit["design/outcomes"].children
    if outcome not in outcomes:
        raise SpecError(
            [Fault(f"the fit has no outcome '{outcome}'", nearest(outcome, [*outcomes]))]
        )
    return outcomes[outcome].to_dataset()


def is_risk(spec: AnalysisSpec, outcome: str) -> bool:
    """Say whether an outcome is a probability.

    Parameters
    ----------
    spec
        The fit's spec.
    outcome
        One of its outcomes.

    Returns
    -------
    bool
        True where its linear predictor is that of a risk: a logit, or a log hazard.
    """
    return link_of(spec, outcome).probability


def members(agents: xr.DataArray) -> Callable[[Sequence[str]], xr.DataArray]:
    """Make what says of some agents where they are among others.

    Parameters
    ----------
    agents
        Labels, any dims.

    Returns
    -------
    Callable
        From labels to an array over the same dims: 1 there, 0 elsewhere.
    """
    return lambda some: agents.copy(data=of_agents(agents.to_numpy(), some))


def link_of(spec: AnalysisSpec, outcome: str) -> Link:
    """Say on which scale an outcome's linear predictor is.

    Parameters
    ----------
    spec
        The fit's spec.
    outcome
        One of its outcomes.

    Returns
    -------
    Link
        With the words for its effects.
    """
    return LIKELIHOODS[spec.outcomes[outcome].likelihood].link


def tested(fit: xr.DataTree) -> xr.Dataset:
    """Say where each outcome was tried: trials in each cell, and the range of exposures.

    Parameters
    ----------
    fit
        A fit.

    Returns
    -------
    xr.Dataset
        ``trials`` (outcome, agent, condition), ``tested_from`` and ``tested_to`` (outcome, agent;
        NaN where no trial).
    """
    spec = spec_of(fit)
    labels = fit["design/labels"].to_dataset()
    agents, conditions = labels[AGENT].to_numpy(), labels[CONDITION].to_numpy()
    shape = (len(spec.outcomes), len(agents), len(conditions))
    trials = np.zeros(shape, dtype=int)
    low, high = np.full(shape[:2], np.nan), np.full(shape[:2], np.nan)
    for o, outcome in enumerate(spec.outcomes):
        frame = design_of(fit, outcome)[["study", "agent", "condition", "exposure"]].to_dataframe()
        # Two arms of one agent at one exposure (a push and an infusion) compare nothing here.
        settings = frame.drop_duplicates(["study", "agent", "exposure"]).groupby("study").size()
        baseline = spec.outcomes[outcome].parameters.get(BASELINE)
        # Alone in its study an arm tells of its agent only where baselines are of one population.
        shared = baseline is not None and baseline.pooling != "independent"
        frame = frame[shared | (frame["study"].map(settings) > 1)]
        active = frame[frame["exposure"] > 0]
        ranges = active.groupby("agent")["exposure"].agg(["min", "max"]).reindex(agents)
        low[o], high[o] = ranges["min"], ranges["max"]
        counts = active.groupby(["agent", "condition"])["study"].nunique().unstack("condition")
        trials[o] = counts.reindex(index=agents, columns=conditions).fillna(0)
    return xr.Dataset(
        {
            "trials": ((OUTCOME, AGENT, CONDITION), trials),
            "tested_from": ((OUTCOME, AGENT), low),
            "tested_to": ((OUTCOME, AGENT), high),
        },
        coords={OUTCOME: list(spec.outcomes), AGENT: agents, CONDITION: conditions},
    )


def default_doses(fit: xr.DataTree) -> xr.DataArray:
    """Make a dose grid from 0 to half as much again as was ever tried.

    Parameters
    ----------
    fit
        A fit.

    Returns
    -------
    xr.DataArray
        Dim dose: 0, then evenly spaced on the log scale, for exposures span decades; and each
        agent's largest dose tried, so that a curve turns into extrapolation just there.
    """
    where = tested(fit)
    starts, ends = (where[k].to_numpy().ravel() for k in ("tested_from", "tested_to"))
    starts, ends = (tried[np.isfinite(tried)] for tried in (starts, ends))
    low, high = starts.min(initial=np.inf) / 4, ends.max(initial=-np.inf) * 1.5
    if not len(ends):
        low, high = 0.25, 1.5  # nothing was tried against anything else; the unit is all there is
    values = np.unique([0.0, *np.geomspace(low, high, GRID - 1), *ends])
    return xr.DataArray(values, dims=DOSE, coords={DOSE: values})


def on_one_axis(spec: AnalysisSpec) -> bool:
    """Say whether one number is a dose of every outcome.

    Parameters
    ----------
    spec
        The fit's spec.

    Returns
    -------
    bool
        True where all outcomes have one exposure, or exposures of which 1 is the same regimen.
    """
    kinds = {o.exposure for o in spec.outcomes.values() if o.shape.needs_dose}
    return len(kinds) <= 1 or all(EXPOSURES[kind].relative for kind in kinds)


def exposure_axis(spec: AnalysisSpec) -> str:
    """Write the dose axis's label.

    Parameters
    ----------
    spec
        The fit's spec.

    Returns
    -------
    str
        The axes of the outcomes' exposures, each once.
    """
    axes = (EXPOSURES[outcome.exposure].axis for outcome in spec.outcomes.values())
    return "; ".join(dict.fromkeys(axes))
