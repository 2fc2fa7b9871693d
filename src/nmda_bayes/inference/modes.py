"""Modes of the studies' own variables, every study of every draw for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nmda_bayes.inference.study_terms import StudyTerms

#: Steps of Newton's method at most, and halvings of one.
STEPS, HALVINGS = 40, 12
#: A step that promises less to the log density is the last.
NEAR = 1e-9
#: Step of the central differences of the gradient, relative to 1 + |place|; of a normal they are
#: exact.
DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Slots:
    """Where each study's own scalars stand in the row of all.

    Attributes
    ----------
    place
        Places, dims study and slot; 0 where a study has fewer.
    used
        True where a slot is used.
    """

    place: np.ndarray
    used: np.ndarray

    @classmethod
    def of(cls, terms: StudyTerms) -> Slots:
        """Find the slots.

        Parameters
        ----------
        terms
            Terms of studies.

        Returns
        -------
        Slots
            As many a study as the one with most.
        """
        mine = [np.flatnonzero(terms.owner == s) for s in range(len(terms.studies))]
        deepest = max(map(len, mine))
        place = np.array([np.pad(m, (0, deepest - len(m))) for m in mine]).astype(int)
        used = np.array([np.arange(deepest) < len(m) for m in mine]).reshape(place.shape)
        return cls(place, used)

    @property
    def deepest(self) -> int:
        """The most scalars that a study has of its own."""
        return self.place.shape[1]

    @property
    def count(self) -> np.ndarray:
        """How many scalars each study has."""
        return self.used.sum(1)

    def split(self, row: np.ndarray) -> np.ndarray:
        """Deal the last dim to studies and slots; 0 in a slot that is not used.

        Parameters
        ----------
        row
            Own scalars, last dim.

        Returns
        -------
        np.ndarray
            Study and slot in its place.
        """
        return np.where(self.used, row[..., self.place], 0.0)

    def join(self, dealt: np.ndarray, size: int) -> np.ndarray:
        """Put what was dealt back into one row.

        Parameters
        ----------
        dealt
            Last dims study and slot.
        size
            Length of the row.

        Returns
        -------
        np.ndarray
            Own scalars, last dim.
        """
        row = np.zeros((*dealt.shape[:-2], size))
        row[..., self.place[self.used]] = dealt[..., self.used]
        return row


@dataclass(frozen=True)
class Mode:
    """Where each study's integrand is highest, and how fast it falls.

    Attributes
    ----------
    place
        Own scalars, dims draw and scalar.
    height
        The log integrand there, dims draw and study.
    root
        Cholesky factor of the negative curvature, dims draw, study, slot, slot.
    """

    place: np.ndarray
    height: np.ndarray
    root: np.ndarray

    @classmethod
    def found(
        cls, terms: StudyTerms, slots: Slots, start: np.ndarray, shared: Sequence[np.ndarray]
    ) -> Mode:
        """Climb by Newton's method, every study of every draw for itself.

        Parameters
        ----------
        terms, slots
            Terms of studies, and where their scalars stand.
        start
            Dims draw and scalar.
        shared
            Shared variables, dim draw first.

        Returns
        -------
        Mode
            What the climb came to.
        """
        place, size = start, start.shape[-1]
        height = terms.evaluate(place[:, None], shared)[:, 0]
        root = _root(_curvature(terms, slots, place, shared))
        for _ in range(STEPS if size else 0):
            slope = slots.split(terms.slope(place[:, None], shared)[:, 0])
            half = np.linalg.solve(root, slope[..., None])
            step = np.linalg.solve(np.swapaxes(root, -1, -2), half)[..., 0]
            if (half**2).sum((-1, -2)).max() < NEAR:
                break
            for _ in range(HALVINGS):
                there = place + slots.join(step, size)
                reached = terms.evaluate(there[:, None], shared)[:, 0]
                lower = reached < height - 1e-9 * (1 + np.abs(height))
                if not lower.any():
                    break
                step = np.where(lower[..., None], step / 2, step)
            else:
                step = np.where(lower[..., None], 0.0, step)
                there = place + slots.join(step, size)
                reached = np.where(lower, height, reached)
            place, height = there, reached
            root = _root(_curvature(terms, slots, place, shared))
        return cls(place, height, root)


def _curvature(
    terms: StudyTerms, slots: Slots, place: np.ndarray, shared: Sequence[np.ndarray]
) -> np.ndarray:
    """The negative second derivative of each study's term; 1 in slots that are not used.

    Studies do not touch each other, so one probe moves a slot of all of them at once.
    """
    step = DIFFERENCE * (1 + np.abs(place))
    probes = np.stack(
        [slots.join(slots.split(step) * np.eye(slots.deepest)[k], place.shape[-1])
         for k in range(slots.deepest)] or [np.zeros_like(place)], axis=1,
    )  # fmt: skip
    both = np.concatenate([place[:, None] + probes, place[:, None] - probes], axis=1)
    up, down = np.split(slots.split(terms.slope(both, shared)), 2, axis=1)
    moved = np.moveaxis(slots.split(step), -1, 1)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = np.where(moved > 0, (down - up) / (2 * moved), 0.0)
    found = np.moveaxis(columns, 1, -1)[..., : slots.deepest]
    found = (found + np.swapaxes(found, -1, -2)) / 2
    return np.asarray(found + np.eye(slots.deepest) * ~slots.used[:, None, :])


def _root(curvature: np.ndarray) -> np.ndarray:
    """Cholesky factors; where a term is not concave, of the curvature's absolute value."""
    try:
        return np.linalg.cholesky(curvature)
    except np.linalg.LinAlgError:
        along, axes = np.linalg.eigh(np.nan_to_num(curvature))
        least = 1e-8 * np.abs(along).max(-1, keepdims=True) + 1e-12
        along = np.maximum(np.abs(along), least)
        return np.linalg.cholesky((axes * along[..., None, :]) @ np.swapaxes(axes, -1, -2))
