"""How far something must move before a decision changes: a trial's result, a bias, a prior.

Draws are reweighted, not drawn again: if trial results were off by b, the likelihood of what was
reported is p(y | eta + b) instead of p(y | eta), and if a prior stood elsewhere, its density there
is another. Weights are smoothed (PSIS, Vehtari et al. 2024, JMLR 25:72), and where they are not to
be relied on, the answer is "farther than can be said without a refit" and no number. Near the data
this agrees with the derivative of the posterior mean, Cov(mean, d log p(y | eta) / dy), which
`nmda_bayes.estimands.borrowing` uses.

References
----------
Phillippo DM et al. (2019). Threshold analysis as an alternative to GRADE for assessing confidence
in guideline recommendations based on network meta-analyses. Annals of Internal Medicine 170:538.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.checks.smoothing import K_AT_MOST, smoothed
from nmda_bayes.dims import SAMPLE
from nmda_bayes.sensitivity.moves import Move, in_a_row

#: Steps on each side of 0; between two of them the place is found by halving.
STEPS, HALVINGS = 24, 12


def thresholds(moves: Sequence[Move], decide: Callable[[np.ndarray], Any]) -> pd.DataFrame:
    """Find how far each thing must move before a decision changes.

    Parameters
    ----------
    moves
        As `trial_moves`, `bias_move` and `prior_move` give them.
    decide
        From weights of the draws (they add up to 1) to the decision, for instance
        `sign_of(effect)`, `best_of(options)`.

    Returns
    -------
    pd.DataFrame
        One row a move: ``name``, ``decision`` as it is, ``down`` and ``up`` (the least moves that
        change it; NaN where none does within reach), ``to_down``, ``to_up`` (what it becomes),
        ``said`` of both sides in words.
    """
    rows = []
    for move in moves:
        count = len(move.log_ratio(0.0))
        now = decide(np.full(count, 1 / count))
        signs = {"down": -1.0, "up": 1.0}
        sides = {side: _first_change(move, decide, now, sign) for side, sign in signs.items()}
        row: dict[str, Any] = {"name": move.name, "decision": now}
        for side, (place, becomes, _) in sides.items():
            row |= {side: place, f"to_{side}": becomes}
        row["said"] = "; ".join(said for _, _, said in sides.values())
        rows.append(row)
    return pd.DataFrame(rows)


def sign_of(effect: xr.DataArray) -> Callable[[np.ndarray], str]:
    """Decide by the sign of a posterior mean.

    Parameters
    ----------
    effect
        Dims chain and draw.

    Returns
    -------
    Callable
        From weights to "below 0" or "above 0".
    """
    values = in_a_row(effect)
    return lambda weights: "above 0" if float(weights @ values) > 0 else "below 0"


def best_of(options: xr.DataArray) -> Callable[[np.ndarray], str]:
    """Decide for the option with the largest posterior mean: an agent's rank, a dose's window.

    Parameters
    ----------
    options
        Dims chain, draw and one more, whose labels are the options: effects counted upwards, or
        whether a draw has enough benefit and acceptable harm.

    Returns
    -------
    Callable
        From weights to the label of the best.
    """
    (dim,) = [d for d in options.dims if d not in SAMPLE]
    values = in_a_row(options.astype(float))
    labels = [str(one) for one in options[dim].to_numpy()]
    return lambda weights: labels[int(np.argmax(values @ weights))]


def reweighed(move: Move, by: float) -> tuple[xr.DataArray, float]:
    """Weigh the draws as if something had moved.

    Parameters
    ----------
    move
        What moves.
    by
        How far.

    Returns
    -------
    tuple[xr.DataArray, float]
        Weights over chain and draw, which add up to 1, and their k-hat.
    """
    weights, k_hat = _weights(move.log_ratio(by))
    return xr.DataArray(weights.reshape(move.shape), dims=SAMPLE), k_hat


def _first_change(
    move: Move, decide: Callable[[np.ndarray], Any], now: Any, sign: float
) -> tuple[float, Any, str]:
    """Walk until the decision changes or the weights fail, then halve the last step."""
    before, direction = 0.0, "up" if sign > 0 else "down"
    for step in np.linspace(0, move.farthest, STEPS + 1)[1:]:
        weights, k_hat = _weights(move.log_ratio(sign * step))
        if not k_hat <= K_AT_MOST:
            said = f"{direction}: unchanged to {before:.3g}, beyond that only a refit can say"
            return np.nan, None, said
        if decide(weights) != now:
            low, high, becomes = before, float(step), decide(weights)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                there = decide(_weights(move.log_ratio(sign * middle))[0])
                if there == now:
                    low = middle
                else:
                    high, becomes = middle, there
            return sign * high, becomes, f"{direction}: {becomes} from {sign * high:.3g}"
        before = float(step)
    return np.nan, None, f"{direction}: unchanged to {move.farthest:.3g}"


def _weights(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Smooth importance weights, and say how far they can be relied on."""
    log_weight, k_hat = smoothed(xr.DataArray(log_ratio[None], dims=SAMPLE))
    return np.exp(log_weight.to_numpy().ravel()), k_hat
