"""Offsets that are correlated: of arms between outcomes, of agents between curve parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp
import xarray as xr

from nmda_bayes.components.correlations import lkj_root
from nmda_bayes.dims import AGENT, AGENT_PARAMETER, ARM, OUTCOME, PAIR, PARAMETER_PAIR
from nmda_bayes.model.parameters import OFFSET
from nmda_bayes.named_data import named_data
from nmda_bayes.spec import AnalysisSpec


def correlated_arms(spec: AnalysisSpec, arms: xr.Dataset) -> dict[str, Any]:
    """Make standard normal effects of the arms by outcome.

    Parameters
    ----------
    spec
        The analysis.
    arms
        Every arm of the design.

    Returns
    -------
    dict[str, Any]
        By outcome, dim arm; empty where they are independent.
    """
    prior = spec.correlations.heterogeneity
    if prior is None:
        return {}
    names = list(spec.outcomes)
    pm.modelcontext(None).add_coords({ARM: list(arms[ARM].to_numpy())})
    root = _root(names, names, prior.kwargs["eta"], "heterogeneity_correlation", PAIR)
    free = pmd.Normal("arm" + OFFSET, mu=0, sigma=1, dims=(OUTCOME, ARM))
    return _mixed(names, root, free, OUTCOME)


def correlated_agents(spec: AnalysisSpec) -> dict[str, Any]:
    """Make standard normal effects of the agents by curve parameter.

    Parameters
    ----------
    spec
        The analysis.

    Returns
    -------
    dict[str, Any]
        By ``outcome.parameter``, dim agent; empty where they are independent.
    """
    prior = spec.correlations.agent
    if prior is None:
        return {}
    names = list(prior.of)
    pm.modelcontext(None).add_coords({AGENT_PARAMETER: names})
    own = [f"agent_{name}" for name in names]
    root = _root(names, own, prior.kwargs["eta"], "agent_correlation", PARAMETER_PAIR)
    free = pmd.Normal("agent" + OFFSET, mu=0, sigma=1, dims=(AGENT_PARAMETER, AGENT))
    return _mixed(names, root, free, AGENT_PARAMETER)


def _root(
    names: Sequence[str], own: Sequence[str], eta: float, called: str, pair_dim: str
) -> list[list[Any]]:
    """Make the root of a correlation matrix, and keep the correlations under a name."""
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    labels = [f"{names[j]}, {names[i]}" for i, j in pairs]
    pm.modelcontext(None).add_coords({pair_dim: labels})
    shape = named_data(f"{called}.eta", eta)
    root = lkj_root(own, shape, xp, lambda pair, b: pmd.Beta(pair + OFFSET, alpha=b, beta=b))
    products = [sum(x * y for x, y in zip(root[i], root[j], strict=False)) for i, j in pairs]
    correlations = [product.expand_dims(pair_dim) for product in products]
    pmd.Deterministic(called, pmd.concat(correlations, dim=pair_dim))
    return root


def _mixed(names: Sequence[str], root: list[list[Any]], free: Any, dim: str) -> dict[str, Any]:
    of = [free.isel({dim: k}) for k in range(len(names))]
    return {
        name: sum(weight * of[k] for k, weight in enumerate(row))
        for name, row in zip(names, root, strict=True)
    }
