"""Densities of studies with what is their own integrated out, for each draw of what is shared.

    p(y | theta) = ∫ p(y | z, theta) p(z | theta) dz

The mode of z by Newton's method, and the curvature there, give the Laplace approximation, which is
exact where the integrand is normal in z: means with known errors and normal effects of studies and
arms. Elsewhere points are weighed: seven of eight from the normal at the mode, one of eight from a
t of 4 degrees of freedom and twice its spread, so that no tail of the integrand outweighs them
(Owen and Zhou 2000, Safe and effective importance sampling, JASA 95:135). They are a scrambled
Sobol sequence, shifted at random for each draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import gammaln, ndtri
from scipy.stats import chi2, qmc

from nmda_bayes.errors import Fault, SpecError
from nmda_bayes.inference.modes import Mode, Slots
from nmda_bayes.inference.study_terms import POINT, StudyTerms
from nmda_bayes.inference.threads import on_one_thread

#: One point in so many is from the t distribution, of so many degrees of freedom and such spread.
ONE_IN, FREEDOM, WIDE = 8, 4, 2.0
#: Where the log integrand leaves the normal by less at every point, the integral is closed.
NORMAL = 1e-5
#: Of a log density: what another study's variables may move it by.
APART = 1e-9
#: Numbers evaluated at once: arrays of 16 MB.
AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Marginal:
    """Log densities of studies, given what all share.

    Attributes
    ----------
    log_density
        Dims draw and study.
    error
        Monte Carlo standard error of it, as if the points were independent; 0 in closed form.
    closed
        By study: True where the integral is in closed form at every draw.
    """

    log_density: np.ndarray
    error: np.ndarray
    closed: np.ndarray


@on_one_thread
def marginal(terms: StudyTerms, draws: xr.Dataset, points: int, seed: int) -> Marginal:
    """Integrate out what is each study's own.

    Parameters
    ----------
    terms
        As `nmda_bayes.inference.study_terms.study_terms` gives them.
    draws
        Free variables of the graph, over dim `POINT`.
    points
        How many points the integrals take that have no closed form; a power of 2, at least 8.
    seed
        Of the points.

    Returns
    -------
    Marginal
        One density a draw and study.
    """
    slots = Slots.of(terms)
    rng = np.random.default_rng(seed)
    sobol = qmc.Sobol(slots.deepest + 1, rng=rng).random(points)
    size = max(1, AT_ONCE // (max(points, 2 * slots.deepest) * (terms.width + len(terms.owner))))
    parts = []
    for begin in range(0, draws.sizes[POINT], size):
        start, shared = terms.taken_from(draws.isel({POINT: slice(begin, begin + size)}))
        if not begin:
            _hold_apart(terms, start[:1], [values[:1] for values in shared])
        mode = Mode.found(terms, slots, start, shared)
        shifted = (sobol + rng.random((len(start), 1, sobol.shape[1]))) % 1.0
        parts.append(_integrals(terms, slots, mode, shared, shifted))
    laplace, sampled, error, off = (np.concatenate(found) for found in zip(*parts, strict=True))
    closed = off.max(0) < NORMAL
    return Marginal(np.where(closed, laplace, sampled), np.where(closed, 0.0, error), closed)


def _hold_apart(terms: StudyTerms, own: np.ndarray, shared: Sequence[np.ndarray]) -> None:
    """Refuse studies whose densities are not theirs alone: names of dims promise it, no more."""
    moved = np.where(terms.owner % 2 == 1, own + 0.1, own)
    there, here = (terms.evaluate(place[:, None], shared)[0, 0] for place in (moved, own))
    off = np.abs(there - here)[::2] > APART * (1 + np.abs(here[::2]))
    if off.any():
        names = ", ".join(np.array(terms.studies)[::2][off])
        message = f"the density of a study ({names}) depends on what is another study's own"
        raise SpecError([Fault(message, "Leave studies out by refitting without them.")])


def _integrals(
    terms: StudyTerms, slots: Slots, mode: Mode, shared: Sequence[np.ndarray], uniform: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Log integrals by Laplace and by points, the latter's error, and how far from normal it is."""
    wide = np.arange(uniform.shape[1]) % ONE_IN == ONE_IN - 1
    inside = uniform.clip(1e-12, 1 - 1e-12)
    z = ndtri(inside[..., :-1])
    z[:, wide] *= WIDE / np.sqrt(chi2.ppf(inside[:, wide, -1:], FREEDOM) / FREEDOM)
    moved = np.einsum("dsjk,drj->drsk", np.linalg.inv(mode.root), z)
    place = mode.place[:, None] + slots.join(moved, mode.place.shape[-1])
    reached = terms.evaluate(place, shared)
    square = z**2 @ slots.used.T.astype(float)
    log_root = np.log(np.diagonal(mode.root, axis1=-2, axis2=-1)).sum(-1)
    k = slots.count
    laplace = mode.height + k / 2 * np.log(2 * np.pi) - log_root
    normal, proposal = _log_proposals(square, k)
    sampled, error = _weighed(reached - log_root[:, None] - proposal, normal - proposal)
    off = np.abs(reached - mode.height[:, None] + square / 2)[:, ~wide].max(1)
    return laplace, sampled, error, off


def _weighed(log_weight: np.ndarray, log_control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log of the mean weight over points, and its standard error.

    The normal's share in the proposal is a control variate whose mean is 1: what is normal in the
    integrand is then integrated without an error, and only the rest is sampled.
    """
    top = log_weight.max(1, keepdims=True)
    weight, control = np.exp(log_weight - top), np.exp(log_control)
    centred = control - control.mean(1, keepdims=True)
    among = (centred**2).sum(1)
    slope = (centred * weight).sum(1) / np.where(among > 0, among, 1.0)
    left = weight - slope[:, None] * (control - 1.0)
    mean = left.mean(1)
    # A sum that a control variate carries below 0 is left without it.
    plain = weight.mean(1)
    safe = mean > plain / 2
    value, spread = np.where(safe, mean, plain), np.where(safe, left.std(1), weight.std(1))
    return np.log(value) + top[:, 0], spread / value / np.sqrt(weight.shape[1])


def _log_proposals(square: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log densities at a squared distance from the mode: of the normal, and of the mixture."""
    normal = -square / 2 - k / 2 * np.log(2 * np.pi)
    t = (
        gammaln((FREEDOM + k) / 2)
        - gammaln(FREEDOM / 2)
        - k / 2 * np.log(FREEDOM * np.pi * WIDE**2)
        - (FREEDOM + k) / 2 * np.log1p(square / (FREEDOM * WIDE**2))
    )
    return normal, np.logaddexp(np.log1p(-1 / ONE_IN) + normal, np.log(1 / ONE_IN) + t)
