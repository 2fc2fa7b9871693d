"""Selection for publication: which trials of an outcome are seen, and their drawing as published.

The factor stands beside the likelihood as an observed variable of its own, so that effects of arms
stay in the graph and may be correlated between outcomes (`nmda_bayes.components.bias` argues why it
is divided by the constant of the marginal model). It is no potential: those of `pymc.dims` have no
gradient in PyMC 6.3, and log-likelihoods and power-scaling would pass them over. Forward draws of
the likelihood know nothing of it; `as_published` redraws what is simulated or predicted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pymc.dims as pmd
import pytensor.tensor as pt
import pytensor.xtensor.math as xp
from scipy import special

from nmda_bayes.design import WEIGHT, decisive_contrasts
from nmda_bayes.dims import CONTRAST, STUDY
from nmda_bayes.model.bias import toward
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.selection_density import Selection
from nmda_bayes.named_data import named_data
from nmda_bayes.priors import random_variable
from nmda_bayes.spec.bias import PREFIX, PUBLISHED
from nmda_bayes.spec.rules import HETEROGENEITY_SD

#: The dim of the studies whose publication may have hung on a p-value, and what is kept of each.
PUBLISHED_STUDY = f"published_{STUDY}"
FACTOR = f"{PREFIX}selection"
#: The dim of the steps of the p-value.
P_VALUE_STEP = "p_value_step"
SELECTED = MEAN, SD = f"{FACTOR}_mean", f"{FACTOR}_sd"


def decisive(outcome: Outcome) -> pd.DataFrame:
    """Find the contrast that decided about the publication of each study.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    pd.DataFrame
        As `nmda_bayes.design.decisive_contrasts`.
    """
    reported = outcome.reported
    columns = [STUDY, "exposure", "report"]
    arms = pd.DataFrame({c: reported[c].to_numpy() for c in columns})
    contrasts = None
    if CONTRAST in reported.dims:
        sides = ["arm_position", "comparator_position"]
        contrasts = pd.DataFrame({c: reported[c].to_numpy() for c in sides})
    return decisive_contrasts(arms, contrasts)


def select(outcome: Outcome, expected: Any, of_arm: dict[str, Any]) -> None:
    """Weigh each trial by the probability that it was published, to the model on the stack.

    Parameters
    ----------
    outcome
        The outcome.
    expected
        What the arms' linear predictor is without their study's baseline and their own effects;
        dim arm.
    of_arm
        Parameters at each arm, by name.
    """
    part = outcome.spec.bias.selection
    if part is None:
        return
    found, dim = decisive(outcome), outcome.name(PUBLISHED_STUDY)
    step = outcome.name(P_VALUE_STEP)
    coords = {dim: list(found["study"]), step: [f"{p:g}" for p in part.steps]}
    pm.modelcontext(None).add_coords(coords)
    here, there = (
        pmd.as_xtensor(found[side].to_numpy(int), dims=(dim,)) for side in ("arm", "comparator")
    )
    favours = toward(outcome)
    mean = favours * (expected.isel({outcome.arm: here}) - expected.isel({outcome.arm: there}))
    estimate, se = (
        named_data(f"{dim}.{column}", values, (dim,))
        for column, values in zip(("estimate", "se"), estimates(outcome, found), strict=True)
    )
    tau = of_arm.get(HETEROGENEITY_SD, 0.0)
    if HETEROGENEITY_SD in of_arm and outcome.arm in tau.type.dims:
        tau = tau.isel({outcome.arm: here})
    mean = pmd.Deterministic(outcome.name(MEAN), mean, dims=(dim,))
    sd = pmd.Deterministic(outcome.name(SD), xp.sqrt(se**2 + tau**2), dims=(dim,))
    weight = outcome.reported[WEIGHT].to_numpy() if WEIGHT in outcome.reported else None
    counts = np.ones(len(found)) if weight is None else weight[found["arm"].to_numpy(int)]
    count = named_data(f"{dim}.{WEIGHT}", counts, (dim,))
    critical = named_data(f"{dim}.critical", critical_values(outcome), (step,))
    relative = map(pmd.tensor_from_xtensor, _relative(outcome))
    Selection(
        outcome.name(FACTOR),
        *map(pmd.tensor_from_xtensor, (mean, sd, se, count, critical)),
        pt.stack(published_of(outcome, list(relative))),
        observed=(favours * estimate).values,
        dims=(dim,),
    )


def estimates(outcome: Outcome, found: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Give the estimates that decided, and their standard errors, as contrasts with the control.

    Parameters
    ----------
    outcome
        The outcome.
    found
        As `decisive` gives it.

    Returns
    -------
    tuple[numpy.ndarray, numpy.ndarray]
        One a study.
    """
    reported = outcome.reported
    here, there, printed, sign = (
        found[c].to_numpy() for c in ("arm", "comparator", "contrast", "sign")
    )
    own = printed < 0
    estimate, se = np.zeros(len(found)), np.zeros(len(found))
    if own.any():
        mean, error = (reported[c].to_numpy().astype(float) for c in ("mean", "se"))
        estimate[own] = mean[here[own]] - mean[there[own]]
        se[own] = np.hypot(error[here[own]], error[there[own]])
    if not own.all():
        given, errors = (reported[c].to_numpy() for c in ("estimate", "estimate_se"))
        estimate[~own] = sign[~own] * given[printed[~own]]
        se[~own] = errors[printed[~own]]
    return estimate, se


def critical_values(outcome: Outcome) -> list[float]:
    """Say how many standard errors toward the active arm each step of the p-value is.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    list[float]
        For instance 1.96 for p = 0.025.
    """
    part = outcome.spec.bias.selection
    return [] if part is None else [float(-special.ndtri(step)) for step in part.steps]


def _relative(outcome: Outcome) -> list[Any]:
    priors = outcome.spec.bias.priors
    return [
        random_variable(outcome.name(name), prior.dist, prior.kwargs)
        for name, prior in priors.items()
        if name.startswith(PUBLISHED)
    ]


def published_of(outcome: Outcome, relative: list[Any]) -> list[Any]:
    """Give the probability of publication in each interval, relative to the first.

    Parameters
    ----------
    outcome
        Its selection says what its parameters are relative to.
    relative
        The parameters.

    Returns
    -------
    list[Any]
        One more, with 1 in front.
    """
    part = outcome.spec.bias.selection
    published: list[Any] = [1.0]
    for one in relative:
        last = published[-1] if part is not None and part.relative_to == "previous" else 1.0
        published.append(last * one)
    return published
