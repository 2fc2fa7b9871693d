"""Likelihood weights of rows: 0 leaves a trial out, between 0 and 1 is a power prior.

    log p(theta | y) = log p(theta) + sum of weight[row] · log p(y[row] | theta) + constant

A weight is a factor of the posterior and no part of any distribution: what is predicted of a row,
and what its log likelihood is, do not depend on how much it was believed. It therefore stands as a
potential (weight − 1) · log p(y | theta) beside the observed variable, which leaves forward draws
and the group ``log_likelihood`` as they are; a distribution of its own would have to undo itself in
both. A design without a column of weights has no potential, and pays nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.graph.replace import graph_replace
from pytensor.tensor.random.basic import MvNormalRV
from pytensor.tensor.random.type import RandomType

from nmda_bayes.design import WEIGHT
from nmda_bayes.dims import ARM, CONTRAST
from nmda_bayes.model.outcome import Outcome

#: The potential of an outcome.
WEIGHING = "weighing"


def weigh(outcome: Outcome, observed: Sequence[Any]) -> None:
    """Weigh what an outcome's trials report, in the model on the stack.

    Rows of one trial that covary have one density between them: they have the weight of the arm
    that comes first, and the arms of a trial are meant to have one weight.

    Parameters
    ----------
    outcome
        The outcome; its design says the weights, or there are none.
    observed
        Its observed variables.
    """
    if WEIGHT not in outcome.reported:
        return
    model = pm.modelcontext(None)
    weight = outcome.over_arms(outcome.reported[WEIGHT].to_numpy(), WEIGHT).values
    places = _places(outcome)
    factors = []
    for variable in observed:
        (dim,) = model.named_vars_to_dims[variable.name]
        where = np.array([places[label] for label in model.coords[dim]])
        rows = log_density_of_rows(variable, model.rvs_to_values[variable])
        factors.append(((weight[where] - 1.0) * rows).sum())
    pm.Potential(outcome.name(WEIGHING), pt.stack(factors).sum())


def _places(outcome: Outcome) -> dict[Any, int]:
    """Where the arm of each row stands among the arms: of arms and of contrasts."""
    reported = outcome.reported
    found = {label: place for place, label in enumerate(reported[ARM].to_numpy())}
    if CONTRAST in reported.dims:
        of_rows = reported["arm_position"].to_numpy().astype(int)
        found |= dict(zip(reported[CONTRAST].to_numpy(), of_rows.tolist(), strict=True))
    return found


def log_density_of_rows(variable: Any, value: Any) -> Any:
    """Give the log density of each row, as it is weighed.

    Parameters
    ----------
    variable
        An observed variable of the graph.
    value
        What was observed.

    Returns
    -------
    Any
        One log density a row, a tensor.
    """
    if not isinstance(variable.owner.op, MvNormalRV):
        return given_its_arguments(variable, value)
    return whitened(variable, value)


def whitened(variable: Any, value: Any) -> Any:
    """Part a multivariate normal density into rows.

    Rows of different trials do not covary, so that the root of their covariance has zeros there:
    the whitened rows of a trial are its own, and their densities add up to the trial's.

    Parameters
    ----------
    variable
        The observed variable.
    value
        What was observed.

    Returns
    -------
    Any
        One log density a row, a tensor.
    """
    mean, covariance = variable.owner.op.dist_params(variable.owner)
    root = pt.linalg.cholesky(covariance)
    left = pt.linalg.solve_triangular(root, value - mean, lower=True, b_ndim=1)
    return -0.5 * left**2 - pt.log(pt.diagonal(root)) - 0.5 * np.log(2 * np.pi)


def given_its_arguments(variable: Any, value: Any) -> Any:
    """Give a log density in terms of the variable's arguments, these ones and no copies.

    PyMC derives the density of a `pymc.dims` variable on a copy of all that it depends on; the
    parameters in it would be drawn anew at every evaluation, instead of being those of the graph.

    Parameters
    ----------
    variable
        A variable of the graph, of one row a distribution.
    value
        Where its density is asked for.

    Returns
    -------
    Any
        One log density a row, a tensor.
    """
    node = variable.owner
    given = {arg: arg.type() for arg in node.inputs if not isinstance(arg.type, RandomType)}
    alone = node.clone_with_new_inputs([given.get(arg, arg) for arg in node.inputs])
    at = value.type()
    rows = pm.logp(alone.outputs[node.outputs.index(variable)], at)
    back = {held: arg for arg, held in given.items()} | {at: value}
    rows = graph_replace(rows, back, strict=False)
    return getattr(rows, "values", rows)
