"""Draws moved to where they are asked for, between weights and a refit.

Where the weights of a variant fail, draws of the base are shifted and scaled, each coordinate by
itself, to the weighted mean and variance, and weighed again with the change of volume: moment
matching (Paananen, Piironen, Bürkner and Vehtari 2021, Implicitly adaptive importance sampling,
Statistics and Computing 31:16). A move is kept where it makes the weights better. At the end half
of the draws are moved and half stay, weighed against the mixture of the two, so that no answer
stands on the moved half alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

#: Moves, one after the other, at most. Each asks for the densities at every draw.
ROUNDS: Final = 2
#: Effective draws from which a variance is told; with fewer the mean is matched first.
FOR_A_VARIANCE: Final = 100.0
#: Log densities of the base and of the variant at places (draw, coordinate), and of which draws.
Densities = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Quality:
    """What weights are worth.

    Attributes
    ----------
    weight
        Smoothed; they add up to 1.
    k_hat
        Shape of their tail.
    effective
        How many independent draws they leave.
    reliable
        Whether that suffices.
    """

    weight: np.ndarray
    k_hat: float
    effective: float
    reliable: bool

    def better_than(self, other: Quality, k_at_most: float) -> bool:
        """Say whether these weights are to be preferred: by their tail, then by what they leave.

        Parameters
        ----------
        other
            Weights.
        k_at_most
            Below it one tail is as good as another.

        Returns
        -------
        bool
            True where they are.
        """
        ours, theirs = (max(one.k_hat, k_at_most) for one in (self, other))
        return ours < theirs or (ours == theirs and self.effective > other.effective)


@dataclass(frozen=True)
class Move:
    """An affine map of each coordinate by itself.

    Attributes
    ----------
    by, scale
        What is added after scaling; dim coordinate.
    """

    by: np.ndarray
    scale: np.ndarray

    def of(self, place: np.ndarray) -> np.ndarray:
        """Move places.

        Parameters
        ----------
        place
            Dims draw and coordinate.

        Returns
        -------
        np.ndarray
            Where they go.
        """
        return place * self.scale + self.by

    def back(self, place: np.ndarray) -> np.ndarray:
        """Move places back.

        Parameters
        ----------
        place
            Dims draw and coordinate.

        Returns
        -------
        np.ndarray
            Where they came from.
        """
        return (place - self.by) / self.scale

    @property
    def log_volume(self) -> float:
        """By how much it stretches, the logarithm."""
        return float(np.log(self.scale).sum())

    def then(self, other: Move) -> Move:
        """Move by this, and then by another.

        Parameters
        ----------
        other
            The other.

        Returns
        -------
        Move
            Both in one.
        """
        return Move(self.by * other.scale + other.by, self.scale * other.scale)


def to_the_weighted_moments(place: np.ndarray, weight: np.ndarray) -> tuple[Move, Move]:
    """Give the moves that bring plain draws to the moments of the weighted ones.

    Parameters
    ----------
    place
        Dims draw and coordinate.
    weight
        They add up to 1.

    Returns
    -------
    tuple[Move, Move]
        To the mean and variance, and to the mean alone.
    """
    before, mean = place.mean(0), weight @ place
    spread, wanted = place.std(0), np.sqrt(weight @ (place - mean) ** 2)
    scale = np.where((spread > 0) & (wanted > 0), wanted / np.where(spread > 0, spread, 1.0), 1.0)
    return Move(mean - scale * before, scale), Move(mean - before, np.ones_like(mean))


def match_moments(
    place: np.ndarray,
    densities: Densities,
    smooth: Callable[[np.ndarray], Quality],
    k_at_most: float,
    *,
    here: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Move draws of one density to another, and weigh them.

    Parameters
    ----------
    place
        Draws of the base, dims draw and coordinate; coordinates on the whole line.
    densities
        Log densities of the base and of the variant, up to a constant each.
    smooth
        From log ratios to their quality.
    k_at_most
        What k-hat should fall below.
    here
        The densities at the draws, where they are at hand.

    Returns
    -------
    tuple[np.ndarray, np.ndarray] or None
        Places and their log ratios, every second draw moved; None where no move helps.
    """
    every = np.arange(len(place))
    base, new = densities(place, every) if here is None else here
    move = Move(np.zeros(place.shape[1]), np.ones(place.shape[1]))
    quality, there, still = smooth(new - base), place, (base, new)
    for _ in range(ROUNDS):
        steps = to_the_weighted_moments(there, quality.weight)
        # A variance of few draws is too small, and nothing comes back from a scale that is.
        for step in steps if quality.effective >= FOR_A_VARIANCE else steps[::-1]:
            further = move.then(step)
            at = further.of(place)
            found = densities(at, every)
            tried = smooth(found[1] + further.log_volume - base)
            if tried.better_than(quality, k_at_most):
                move, quality, there, still = further, tried, at, found
                break
        else:
            break
        if quality.reliable:
            break
    if there is place:
        return None
    return _split(place, there, move, (base, new), still, densities)


def _split(
    place: np.ndarray,
    there: np.ndarray,
    move: Move,
    here: tuple[np.ndarray, np.ndarray],
    moved: tuple[np.ndarray, np.ndarray],
    densities: Densities,
) -> tuple[np.ndarray, np.ndarray]:
    """Move every second draw, and weigh all against the mixture that they are drawn from."""
    every = np.arange(len(place))
    goes = every % 2 == 0
    at = np.where(goes[:, None], there, place)
    new = np.where(goes, moved[1], here[1])
    plain = np.where(goes, moved[0], here[0])
    brought = here[0].copy()
    brought[~goes] = densities(move.back(place[~goes]), every[~goes])[0]
    mixture = np.logaddexp(plain, brought - move.log_volume) - np.log(2)
    return at, new - mixture
