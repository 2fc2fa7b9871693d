"""Functional unblinding: what the harm of an arm adds to its apparent benefit.

The probability of the harm is the latent one, and not the share that was counted: a count of 3 in
20 is a noisy 0.15, and an arm that prints no count still had people who could feel what they were
given. Such an arm has the harm's own curve at its exposure, a baseline from the prior of the harm's
baselines where its study counts the harm in no arm, and an effect of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd
import pytensor.xtensor.math as xp

from nmda_bayes.components.bias import BIASES
from nmda_bayes.components.heterogeneity import HETEROGENEITIES
from nmda_bayes.design import WHOLE_ARM, of_agents
from nmda_bayes.dims import AGENT, ARM, CONDITION, STUDY
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET, Sites
from nmda_bayes.priors import random_variable
from nmda_bayes.spec.bias import PREFIX, UNBLINDING
from nmda_bayes.spec.rules import BASELINE

#: The dims of the arms without counts of the harm, and of their studies where no arm has any.
UNCOUNTED_ARM, UNCOUNTED_STUDY = f"uncounted_{ARM}", f"uncounted_{STUDY}"
#: Baselines of the harm in studies that do not count it.
HARM_BASELINE = f"{PREFIX}harm_{BASELINE}"


@dataclass(frozen=True)
class Arms:
    """An outcome as the graph has it, for another outcome that depends on it.

    Attributes
    ----------
    outcome
        The outcome.
    theta
        Its parameters.
    eta
        The linear predictor of its arms.
    offset
        Standard normal effects of every arm of the design where outcomes are correlated, else None.
    """

    outcome: Outcome
    theta: Mapping[str, Any]
    eta: Any
    offset: Any


def unblinding_shift(mine: Outcome, exposure: Any, harm: Arms) -> Any:
    """Make what the harm of each arm adds to its benefit, before its direction.

    Parameters
    ----------
    mine
        The outcome whose benefit is inflated.
    exposure
        What its arms were exposed to.
    harm
        The outcome that betrays what was given.

    Returns
    -------
    Any
        Dim arm; 0 in the arm of the lowest exposure of each study, which the others are held
        against. Another choice would move the study's baseline and no difference.
    """
    prior = mine.spec.bias.priors[UNBLINDING]
    slope = random_variable(mine.name(UNBLINDING), prior.dist, prior.kwargs)
    told = 1.0 / (1.0 + xp.exp(-_harm_predictor(mine, exposure, harm)))
    control = mine.over_arms(lowest_arms(mine))
    return BIASES["unblinding"].formula(told, told.isel({mine.arm: control}), slope=slope)


def lowest_arms(mine: Outcome) -> np.ndarray:
    """Find the arm of the lowest exposure in the study of each arm.

    Parameters
    ----------
    mine
        The outcome.

    Returns
    -------
    np.ndarray
        Positions, one an arm; the first of several.
    """
    study, exposure = mine.reported[STUDY].to_numpy(), mine.reported["exposure"].to_numpy()
    lowest = {s: np.flatnonzero(study == s)[np.argmin(exposure[study == s])] for s in set(study)}
    return np.array([lowest[s] for s in study], dtype=int)


def _harm_predictor(mine: Outcome, exposure: Any, harm: Arms) -> Any:
    """The linear predictor of the harm in the arms of another outcome, counted there or not."""
    labels = mine.reported[WHOLE_ARM if WHOLE_ARM in mine.reported else ARM].to_numpy()
    counted = list(harm.outcome.reported[ARM].to_numpy())
    without = [k for k, label in enumerate(labels) if label not in counted]
    eta, place = harm.eta, {label: k for k, label in enumerate(counted)}
    if without:
        dim, every = mine.name(UNCOUNTED_ARM), "every_arm"
        own = list(mine.reported[ARM].to_numpy()[without])
        pm.modelcontext(None).add_coords({dim: own})
        rows = pmd.as_xtensor(np.array(without), dims=(dim,))
        more = _uncounted(mine, harm, exposure.isel({mine.arm: rows}), np.array(without))
        parts = [eta.rename({harm.outcome.arm: every}), more.rename({dim: every})]
        eta = pmd.concat(parts, dim=every).rename({every: harm.outcome.arm})
    after = {k: len(counted) + i for i, k in enumerate(without)}
    at = [after[k] if k in after else place[label] for k, label in enumerate(labels)]
    return eta.isel({harm.outcome.arm: mine.over_arms(np.array(at, dtype=int))})


def _uncounted(mine: Outcome, harm: Arms, exposure: Any, where: np.ndarray) -> Any:
    """The linear predictor of the harm in arms that do not count it."""
    reported, (dim,) = mine.reported.isel({ARM: where}), exposure.type.dims
    at = {}
    for name in (AGENT, CONDITION):
        known = list(mine.labels[name].to_numpy())
        # The reference agent has no label; its exposure of 0 leaves it without an effect.
        rows = [known.index(v) if v in known else 0 for v in reported[name].to_numpy()]
        at[name] = pmd.as_xtensor(np.array(rows, dtype=int), dims=(dim,))
    theta = {
        name: value.isel({d: rows for d, rows in at.items() if d in value.type.dims})
        for name, value in harm.theta.items()
        if name != BASELINE
    }
    response = harm.outcome.spec.shape.response(
        exposure,
        theta,
        xp,
        lambda agents: pmd.as_xtensor(of_agents(reported[AGENT].to_numpy(), agents), dims=(dim,)),
    )
    studies = [str(s) for s in reported[STUDY].to_numpy()]
    eta = _baselines(mine, harm, studies, dim) + response
    heterogeneity = HETEROGENEITIES[harm.outcome.spec.heterogeneity]
    if heterogeneity.formula is None:
        return eta
    if harm.offset is None:
        offset = pmd.Normal(mine.name(f"{PREFIX}harm_arm{OFFSET}"), mu=0, sigma=1, dims=(dim,))
    else:
        rows = pmd.as_xtensor(reported["position"].to_numpy().astype(int), dims=(dim,))
        offset = harm.offset.isel({ARM: rows})
    given = {name: theta[name] for name in heterogeneity.parameters}
    return eta + heterogeneity.formula(offset, **given)


def _baselines(mine: Outcome, harm: Arms, studies: list[str], dim: str) -> Any:
    """The harm's baseline in the studies of some arms: their own, or one more from its prior."""
    baseline, own = harm.theta[BASELINE], harm.outcome.study
    if own not in baseline.type.dims:
        return baseline
    known = [str(s) for s in harm.outcome.studies[own]]
    more = [s for s in dict.fromkeys(studies) if s not in known]
    if more:
        new, every = mine.name(UNCOUNTED_STUDY), "every_study"
        pm.modelcontext(None).add_coords({new: more})
        parts = [
            baseline.rename({own: every}),
            _new_baselines(mine, harm, new).rename({new: every}),
        ]
        baseline = pmd.concat(parts, dim=every).rename({every: own})
    rows = [(*known, *more).index(s) for s in studies]
    return baseline.isel({own: pmd.as_xtensor(np.array(rows, dtype=int), dims=(dim,))})


def _new_baselines(mine: Outcome, harm: Arms, dim: str) -> Any:
    """Baselines of the harm in studies that do not count it, from the prior of those that do."""
    given, model = harm.outcome.spec.parameters[BASELINE], pm.modelcontext(None)
    if "each" in given.priors:
        prior = given.priors["each"]
        return random_variable(mine.name(HARM_BASELINE), prior.dist, prior.kwargs, (dim,))
    sites = Sites(harm.outcome, BASELINE, given)
    location, between = (model[sites.slot_name(slot)] for slot in ("location", f"between_{STUDY}"))
    return location + between * pmd.Normal(
        mine.name(HARM_BASELINE + OFFSET), mu=0, sigma=1, dims=(dim,)
    )
