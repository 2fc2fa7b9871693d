"""What may be off, and what the draws of a fit are then worth: a trial's result, a bias, a prior.

If trial results were off by b, the likelihood of what was reported is p(y | eta + b) instead of
p(y | eta); if a prior stood elsewhere, its density there is another. The ratio weighs the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import log_expit

from nmda_bayes.design import AS_ARM
from nmda_bayes.dims import CHAIN, DRAW
from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.estimands.reading import design_of, spec_of, variable
from nmda_bayes.priors import log_density

MEANS, COUNTS = "normal", "binomial"


@dataclass(frozen=True)
class Move:
    """Something that may move.

    Attributes
    ----------
    name
        In a reader's words.
    log_ratio
        From how far it moves to the log weight of each draw.
    farthest
        How far to look, on both sides.
    shape
        How many chains, and draws of each.
    """

    name: str
    log_ratio: Callable[[float], np.ndarray]
    farthest: float
    shape: tuple[int, int] = (1, -1)


def trial_moves(fit: xr.DataTree, outcome: str, farthest: float) -> list[Move]:
    """Let each trial's result be off by a bias.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes, of normal means or of counts.
    farthest
        How large a bias to look at, on the linear predictor's scale.

    Returns
    -------
    list[Move]
        One a trial: all its arms above dose 0 moved alike. A positive bias means that the trial
        reports more than there is.
    """
    rows = design_of(fit, outcome)
    return [
        bias_move(fit, outcome, [study], farthest)
        for study in dict.fromkeys(map(str, rows["study"].to_numpy()))
    ]


def bias_move(fit: xr.DataTree, outcome: str, studies: Sequence[str], farthest: float) -> Move:
    """Let the results of some trials be off by one bias.

    Parameters
    ----------
    fit
        A fit.
    outcome
        One of its outcomes, of normal means or of counts.
    studies
        Who is off.
    farthest
        How large a bias to look at, on the linear predictor's scale.

    Returns
    -------
    Move
        All their arms above dose 0 moved alike.

    Raises
    ------
    SpecError
        If the outcome's likelihood is another, or a study is not there.
    """
    rows = design_of(fit, outcome)
    known = list(dict.fromkeys(map(str, rows["study"].to_numpy())))
    unknown = [study for study in studies if study not in known]
    if unknown:
        mend = f"Known: {', '.join(known)}."
        raise SpecError([Fault(f"no study of '{outcome}' is called '{unknown[0]}'", mend)])
    mine = np.isin(rows["study"].to_numpy().astype(str), list(studies))
    moved = np.flatnonzero(mine & (rows["exposure"].to_numpy() > 0))
    eta = _posterior(fit, variable(spec_of(fit), outcome, "eta"))[moved]
    density = _density(spec_of(fit).outcomes[outcome].likelihood, outcome, rows, moved)
    now = density(eta)

    def log_ratio(bias: float) -> np.ndarray:
        return (density(eta + bias) - now).sum(axis=0)

    return Move(", ".join(studies), log_ratio, farthest, _shape(fit))


def prior_move(fit: xr.DataTree, outcome: str, parameter: str, slot: str, farthest: float) -> Move:
    """Let the location of a prior be another.

    Parameters
    ----------
    fit
        A fit.
    outcome, parameter, slot
        Where the prior stands in the spec; its family has a ``mu``.
    farthest
        How far to look.

    Returns
    -------
    Move
        Of the prior's location.

    Raises
    ------
    SpecError
        If there is no such prior, or its family has no ``mu``.
    """
    part = spec_of(fit).outcomes[outcome].parameters.get(parameter)
    prior = part.priors.get(slot) if part is not None else None
    if part is None or prior is None or "mu" not in prior.kwargs:
        place = f"{outcome}.{parameter}.{slot}"
        raise SpecError([Fault(f"there is no prior with a location at '{place}'", column=place)])
    alone = part.pooling in ("common", "independent")
    name = variable(spec_of(fit), outcome, parameter if alone else f"{parameter}_{slot}")
    values = _posterior(fit, name)
    values = values.reshape(-1, values.shape[-1])
    kwargs = dict(prior.kwargs)

    def density(mu: float) -> Any:
        each = log_density(prior.dist, {**kwargs, "mu": mu}, values.ravel())
        return each.reshape(values.shape).sum(axis=0)

    now = density(kwargs["mu"])
    move = f"prior of {outcome}.{parameter}.{slot}"
    return Move(move, lambda shift: density(kwargs["mu"] + shift) - now, farthest, _shape(fit))


def _posterior(fit: xr.DataTree, name: str) -> np.ndarray:
    return in_a_row(fit["posterior"].to_dataset()[name])


def _shape(fit: xr.DataTree) -> tuple[int, int]:
    sizes = fit["posterior"].to_dataset().sizes
    return sizes[CHAIN], sizes[DRAW]


def in_a_row(values: xr.DataArray) -> np.ndarray:
    """Put all draws one after the other.

    Parameters
    ----------
    values
        Dims chain, draw and any others.

    Returns
    -------
    np.ndarray
        The draws are the last axis.
    """
    stacked = values.transpose(..., CHAIN, DRAW).to_numpy()
    return np.asarray(stacked.reshape(*stacked.shape[:-2], -1), float)


def _density(
    likelihood: str, outcome: str, rows: xr.Dataset, moved: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Log likelihood of the moved arms as a function of their linear predictor."""
    if likelihood not in (MEANS, COUNTS) or (rows["report"].to_numpy()[moved] != AS_ARM).any():
        mend = f"Ask of arms of a {MEANS} or {COUNTS} outcome."
        message = f"how a bias moves these reports of '{outcome}' is not worked out"
        raise SpecError([Fault(message, mend, column=f"outcomes.{outcome}")])
    columns: Mapping[str, np.ndarray] = {
        c: rows[c].to_numpy().astype(float)[moved, None]
        for c in (("mean", "se") if likelihood == MEANS else ("events", "n"))
    }
    if likelihood == MEANS:
        return lambda eta: -0.5 * ((columns["mean"] - eta) / columns["se"]) ** 2
    return lambda eta: (
        columns["events"] * log_expit(eta) + (columns["n"] - columns["events"]) * log_expit(-eta)
    )
