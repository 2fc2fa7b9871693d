"""The band of ranks: its p-values, its power, and the band of ArviZ."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from arviz_stats.ecdf_utils import simulate_confidence_bands
from scipy.stats import binom, multinomial

from nmda_bayes.components.curves import CURVES
from nmda_bayes.components.likelihoods import LIKELIHOODS
from tests.calibration.bands import below, p_value, smallest_tail
from tests.calibration.combinations import Combination, can_meet, missing_pairs, plan

RANKS, SIMULATIONS = 32, 64


def uniform(seed: int, times: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multinomial(SIMULATIONS, np.full(RANKS, 1 / RANKS), size=times)


def test_p_values_by_enumeration():
    """Six simulations of four ranks: 84 tables, each with its multinomial probability."""
    tables = [t for t in product(range(7), repeat=4) if sum(t) == 6]
    tails = smallest_tail(np.array(tables))
    chances = multinomial.pmf(tables, 6, [0.25] * 4)
    for table, tail in zip(tables, tails, strict=True):
        expected = chances[tails <= tail * (1 + 1e-9)].sum()
        assert p_value(np.array(table)) == pytest.approx(expected, abs=1e-12)


def test_statistic_is_the_smallest_two_sided_tail():
    counts = uniform(2, 1)[0]
    share = np.arange(1, RANKS) / RANKS
    count = counts.cumsum()[:-1]
    tails = np.minimum(
        binom.cdf(count, SIMULATIONS, share), binom.sf(count - 1, SIMULATIONS, share)
    )
    assert smallest_tail(counts)[0] == pytest.approx(min(1, 2 * tails.min()))


def test_level_is_that_of_arviz():
    share, rng = np.arange(1, RANKS) / RANKS, np.random.default_rng(3)
    inside = simulate_confidence_bands(SIMULATIONS, 1, share, 0.9, 2000, rng)
    tails = smallest_tail(uniform(4, 2000))
    # ArviZ gives the pointwise probability of the 90% band, for continuous values.
    assert np.quantile(1 - tails, 0.9) == pytest.approx(inside, abs=0.01)


@pytest.mark.parametrize("shape", ["too narrow", "too wide", "shifted", "blind"])
def test_wrong_posteriors_are_detected(shape):
    rng = np.random.default_rng(5)
    truth = rng.normal(size=400)
    centre, sd = {
        "too narrow": (0.0, 0.7),
        "too wide": (0.0, 1.5),
        "shifted": (0.5, 1.0),
        "blind": (2.0, 1.0),
    }[shape]
    draws = rng.normal(centre, sd, size=(RANKS - 1, 400))
    counts = np.bincount((draws < truth).sum(axis=0), minlength=RANKS)
    assert below(counts[None], 1e-5)[0]


def test_uniform_ranks_are_within_the_band():
    assert not below(uniform(6, 1000), 1e-6).any()


class TestPlan:
    full = plan()

    def test_every_pair_is_covered(self):
        assert not missing_pairs(self.full)
        assert all(can_meet(combination.parts) for combination in self.full)
        assert len(self.full) < 1.2 * len(CURVES) * len(LIKELIHOODS)

    def test_what_is_done_is_not_planned_again(self):
        done = self.full[:-3]
        rest = plan(done)
        assert rest == plan(done)
        assert not missing_pairs([*done, *rest])
        assert len(rest) <= 3

    def test_impossible_combinations(self):
        assert not can_meet((("likelihood", "normal_contrast"), ("pooling", "study")))
        assert not can_meet((("pooling", "stratum"), ("heterogeneity", "none")))
        assert can_meet(Combination("emax", "binomial", "agent", "arm").parts)
