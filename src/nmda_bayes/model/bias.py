"""What biases add to the arms of an outcome; their curves stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pymc.dims as pmd

from nmda_bayes.components.bias import BIASES, Bias
from nmda_bayes.design import CONTRAST_SE, JUDGEMENT
from nmda_bayes.dims import ARM, STUDY
from nmda_bayes.model.outcome import Outcome
from nmda_bayes.model.parameters import OFFSET
from nmda_bayes.model.unblinding import Arms, lowest_arms, unblinding_shift
from nmda_bayes.priors import random_variable
from nmda_bayes.spec.bias import PREFIX, SMALL_STUDY, SPREAD
from nmda_bayes.spec.prior import PriorSpec

#: What the biases add to the linear predictor of each arm, all together.
SHIFT = f"{PREFIX}shift"
#: The dim of the arms that it may be other than 0 in.
SHIFTED_ARM = f"shifted_{ARM}"
#: The dim of the studies that have a bias of their own.
BIASED_STUDY = f"biased_{STUDY}"


@dataclass(frozen=True)
class Term:
    """A coefficient of a bias that is linear in it.

    Attributes
    ----------
    name
        Its own name.
    bias
        The bias.
    prior
        Its prior.
    regressor
        What it multiplies in each arm, the direction in favour of the active arm included.
    """

    name: str
    bias: Bias
    prior: PriorSpec
    regressor: np.ndarray

    def shift(self, coefficient: Any, regressor: Any) -> Any:
        """Evaluate the bias's own formula.

        Parameters
        ----------
        coefficient
            Of the graph, or an affine form.
        regressor
            The regressor, labelled.

        Returns
        -------
        Any
            The shift of each arm.
        """
        if self.name == SMALL_STUDY:
            return self.bias.formula(regressor, slope=coefficient)
        return self.bias.formula(regressor, 0.0, shift=coefficient, spread=0.0)


def toward(outcome: Outcome) -> float:
    """Say which way of the linear predictor favours the active arm.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    float
        1 where higher is better, else -1.
    """
    return 1.0 if outcome.spec.better == "higher" else -1.0


def linear_terms(outcome: Outcome) -> Iterator[Term]:
    """List the biases that are linear in a coefficient, for the graph and for its integration.

    Parameters
    ----------
    outcome
        The outcome.

    Yields
    ------
    Term
        Small-study effects, and a shift for each judgement.
    """
    given, priors = outcome.spec.bias, outcome.spec.bias.priors
    if given.small_study is not None:
        x = toward(outcome) * outcome.reported[CONTRAST_SE].to_numpy().astype(float)
        yield Term(SMALL_STUDY, BIASES["small_study"], priors[SMALL_STUDY], x)
    if given.risk_of_bias is not None:
        for judgement in given.risk_of_bias.priors:
            name = PREFIX + judgement
            x = toward(outcome) * _judged(outcome, [judgement])
            yield Term(name, BIASES["risk_of_bias"], priors[name], x)


def _judged(outcome: Outcome, judgements: list[str]) -> np.ndarray:
    """1 for the active arms of trials with one of the judgements."""
    active = outcome.reported["exposure"].to_numpy().astype(float) > 0
    return active * np.isin(outcome.reported[JUDGEMENT].to_numpy().astype(str), judgements)


def arm_shift(outcome: Outcome, exposure: Any, built: Mapping[str, Arms]) -> Any:
    """Make what biases add to the linear predictor of each arm.

    Parameters
    ----------
    outcome
        The outcome.
    exposure
        What its arms were exposed to, dim arm.
    built
        The outcomes that are in the graph already, by name: what betrays an agent is one of them.

    Returns
    -------
    Any
        Dim arm; 0 where none is allowed for.
    """
    shift: Any = 0.0
    for term in linear_terms(outcome):
        prior = term.prior
        coefficient = random_variable(outcome.name(term.name), prior.dist, prior.kwargs)
        shift = shift + term.shift(coefficient, outcome.over_arms(term.regressor, term.name))
    shift = shift + _own_biases(outcome)
    part = outcome.spec.bias.unblinding
    if part is not None:
        shift = shift + toward(outcome) * unblinding_shift(outcome, exposure, built[part.harm])
    if not hasattr(shift, "type"):
        return 0.0
    # Kept of the arms that may be shifted: at dose 0 it is 0 in every draw, which is no estimate.
    where, dim = shifted_arms(outcome), outcome.name(SHIFTED_ARM)
    labels = outcome.reported[ARM].to_numpy()[where]
    pm.modelcontext(None).add_coords({dim: list(labels)})
    kept = shift.isel({outcome.arm: pmd.as_xtensor(where, dims=(dim,))})
    pmd.Deterministic(outcome.name(SHIFT), kept, dims=(dim,))
    return shift


def shifted_arms(outcome: Outcome) -> np.ndarray:
    """Find the arms that a bias may shift.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    np.ndarray
        Positions among the arms.
    """
    shifted = np.zeros(outcome.reported.sizes[ARM], dtype=bool)
    for term in linear_terms(outcome):
        shifted |= term.regressor != 0
    if outcome.spec.bias.unblinding is not None:
        shifted |= lowest_arms(outcome) != np.arange(len(shifted))
    return np.flatnonzero(shifted)


def _own_biases(outcome: Outcome) -> Any:
    """A bias of each trial's own about its judgement's, where the spec gives a spread."""
    part = outcome.spec.bias.risk_of_bias
    if part is None or part.spread is None:
        return 0.0
    judged = _judged(outcome, list(part.priors))
    study = outcome.reported[STUDY].to_numpy()
    labels = list(dict.fromkeys(study[judged == 1]))
    if not labels:
        return 0.0
    dim = outcome.name(BIASED_STUDY)
    pm.modelcontext(None).add_coords({dim: labels})
    spread = random_variable(outcome.name(SPREAD), part.spread.dist, part.spread.kwargs)
    offset = pmd.Normal(outcome.name(PREFIX + STUDY + OFFSET), mu=0, sigma=1, dims=(dim,))
    at = outcome.positions(STUDY, np.array(labels, dtype=object))
    regressor = outcome.over_arms(toward(outcome) * judged)
    formula = BIASES["risk_of_bias"].formula
    return formula(regressor, offset.isel({dim: at}), shift=0.0, spread=spread)
