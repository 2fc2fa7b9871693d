"""Counts given the margins of their trial: the exact likelihood of odds ratios, without baselines.

Of a trial it is taken as known how many people each arm has and how many had the event in all of
them together; how the events fall on the arms then depends on odds ratios alone,

    p(events) = prod C(n, events) exp(events · eta) / sum over all ways of the same total,

Fisher's noncentral hypergeometric distribution, multivariate for three arms and more. With normal
effects between trials it is the hypergeometric-normal model of Stijnen, Hamza and Ozdemir (2010). A
trial where nobody, or everybody, had the event has one way only: it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import gammaln

from nmda_bayes.components.likelihoods.catalogue import column, likelihood
from nmda_bayes.components.links import LOGIT
from nmda_bayes.dims import STUDY
from nmda_bayes.named_data import named_data

#: A trial whose events may fall on its arms in more ways is refused: two arms have at most as many
#: ways as events, but three arms of 300 events have some 45,000.
WAYS_AT_MOST = 20_000
#: Ways stand in pieces of so many. Of the nine trials of the primary analysis one has 2,278 ways,
#: the others 15 on average: padded to the longest they were 20,502, in pieces they are 2,816.
PIECE = 64


@dataclass(frozen=True)
class Ways:
    """All the ways in which the events of each trial may fall on its arms.

    Attributes
    ----------
    arm
        Place of each trial's arms among all arms, dims study and slot; 0 where it has fewer.
    held
        True where a slot has an arm, dims study and slot.
    study
        Place of each arm's trial, dim arm.
    events
        Events by slot, dims piece, way and slot; 0 beyond a trial's own ways.
    log_count
        Log of how many ways of picking people make each, dims piece and way; minus infinity beyond
        a trial's own.
    trial
        Place of each piece's trial among the trials, dim piece.
    """

    arm: np.ndarray
    held: np.ndarray
    study: np.ndarray
    events: np.ndarray
    log_count: np.ndarray
    trial: np.ndarray


def count_ways(events: np.ndarray, n: np.ndarray) -> int:
    """Count the ways in which a trial's events may fall on its arms.

    Parameters
    ----------
    events
        Events of its arms.
    n
        People of its arms.

    Returns
    -------
    int
        1 where nobody, or everybody, had the event.
    """
    total = int(np.sum(events))
    # Whichever of events and their absence are fewer: the ways are the same.
    fewer = min(total, int(np.sum(n)) - total)
    ways = np.zeros(fewer + 1)
    ways[0] = 1.0
    for size in n:
        # Adding an arm sums the ways over the totals that it can be short of: a moving window.
        below = np.concatenate([np.zeros(int(size) + 1), np.cumsum(ways)])
        ways = below[int(size) + 1 :] - below[: fewer + 1]
    return int(ways[fewer])


def log_combinations(n: Any, events: Any) -> np.ndarray:
    """Give the log of the number of ways of picking people.

    Parameters
    ----------
    n
        People.
    events
        How many are picked.

    Returns
    -------
    np.ndarray
        Broadcast.
    """
    found: np.ndarray = gammaln(n + 1) - gammaln(events + 1) - gammaln(n - events + 1)
    return found


def ways_of(reported: xr.Dataset) -> Ways:
    """List the ways in which the events of trials may fall on their arms.

    Parameters
    ----------
    reported
        ``study``, ``events`` and ``n`` of the arms.

    Returns
    -------
    Ways
        Padded to the trial with the most arms, and to whole pieces.
    """
    names = reported[STUDY].to_numpy()
    studies = list(dict.fromkeys(names))
    events, n = (reported[c].to_numpy().astype(int) for c in ("events", "n"))
    arms = [np.flatnonzero(names == study) for study in studies]
    ways = [_ways(int(events[mine].sum()), n[mine]) for mine in arms]
    slots = max(len(mine) for mine in arms)
    arm, held = np.zeros((len(studies), slots), int), np.zeros((len(studies), slots), bool)
    parts = [-(-len(one) // PIECE) for one in ways]
    first = np.cumsum([0, *parts])
    table = np.zeros((first[-1] * PIECE, slots))
    log_count = np.full(first[-1] * PIECE, -np.inf)
    for row, (mine, one) in enumerate(zip(arms, ways, strict=True)):
        arm[row, : len(mine)], held[row, : len(mine)] = mine, True
        own = slice(first[row] * PIECE, first[row] * PIECE + len(one))
        table[own, : len(mine)] = one
        log_count[own] = log_combinations(n[mine], one).sum(axis=1)
    place = {study: row for row, study in enumerate(studies)}
    return Ways(
        arm, held, np.array([place[name] for name in names]),
        table.reshape(-1, PIECE, slots), log_count.reshape(-1, PIECE),
        np.repeat(np.arange(len(studies)), parts),
    )  # fmt: skip


def _ways(total: int, n: np.ndarray) -> np.ndarray:
    """Every way of spreading a total over arms, one row a way."""
    found = np.zeros((1, 0), dtype=int)
    for place, size in enumerate(n):
        left, after = total - found.sum(axis=1), int(n[place + 1 :].sum())
        low, high = np.maximum(left - after, 0), np.minimum(left, size)
        repeats = high - low + 1
        row = np.repeat(np.arange(len(found)), repeats)
        step = np.arange(len(row)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        found = np.column_stack([found[row], low[row] + step])
    return found


@likelihood(
    "events ~ NoncentralHypergeometric(n, exp(eta) | total[study])",
    columns="events n",
    link=LOGIT,
    effects="log_OR unnamed",
    conditional=True,
)
def hypergeometric(name: str, eta: Any, reported: xr.Dataset, dim: str) -> Any:
    """Arm counts given the trial's total: exact for odds ratios, with no baseline to model.

    The density of a trial is that of its arms together; each arm holds an equal share of its
    logarithm, so that the sum over a trial's arms is the trial's.
    """
    import pymc as pm

    from nmda_bayes.components.likelihoods.noncentral import NoncentralHypergeometric

    ways = ways_of(reported)
    of = (f"{dim}_piece", f"{dim}_way", f"{dim}_slot")
    coords = {at: list(range(size)) for at, size in zip(of, ways.events.shape, strict=True)}
    pm.modelcontext(None).add_coords(coords)
    return NoncentralHypergeometric(
        name,
        eta.transpose(dim).values,
        column(reported, "n", dim).values,
        named_data(f"{dim}.log_count", ways.log_count, of[:2]).values,
        named_data(f"{dim}.ways", ways.events, of).values,
        ways.trial,
        ways.arm,
        ways.held.astype(float),
        ways.study,
        observed=column(reported, "events", dim).astype(int).values,
        dims=(dim,),
    )
