"""Moved draws have the moments of where they were asked for: by algebra, and by integrals."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

from nmda_bayes.checks.smoothing import k_limit
from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import model_of
from nmda_bayes.sensitivity.coordinates import Coordinates, derived
from nmda_bayes.sensitivity.designs import without
from nmda_bayes.sensitivity.matched_draws import Matcher
from nmda_bayes.sensitivity.moment_matching import Move, Quality, match_moments
from nmda_bayes.sensitivity.reweighting import Weigher, resampled, weights_of
from tests.sensitivity.test_reweighting import agree, exactly, fitted, frame, spec_of

DRAWS = 4000
#: A mean with a normal prior: of 10 reports with error 1 and mean 2, prior N(0, 10²), the posterior
#: is N(10 · 2 / (10 + 0.01), 1 / (10 + 0.01)); under the prior N(6, 0.2²) it is
#: N((20 + 25 · 6) / (10 + 25), 1 / (10 + 25)): 10 of the base's SDs away.
BASE, VARIANT = (20 / 10.01, 10.01**-0.5), (170 / 35, 35**-0.5)
#: One that lies 4.7 SDs away, which weights of 4,000 draws do not reach.
NEARER = ((20 + 25 * 4) / 35, 35**-0.5)


def quality(log_ratio: np.ndarray) -> Quality:
    found = weights_of(xr.DataArray(log_ratio.reshape(4, -1), dims=("chain", "draw")))
    weight = np.exp(found.log_weight.to_numpy().ravel())
    return Quality(weight, found.k_hat, found.effective, found.reliable)


def log_normal_density(x: np.ndarray, mean: float, sd: float) -> np.ndarray:
    return (-0.5 * ((x - mean) / sd) ** 2 - np.log(sd)).sum(1)


def conjugate(wanted: tuple[float, float]):
    def densities(place: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return log_normal_density(place, *BASE), log_normal_density(place, *wanted)

    place = np.random.default_rng(1).normal(*BASE, (DRAWS, 1))
    return place, densities


def test_a_conjugate_posterior_is_found_where_weights_fail():
    place, densities = conjugate(NEARER)
    base, new = densities(place, np.arange(DRAWS))
    assert not quality(new - base).reliable
    at, log_ratio = match_moments(place, densities, quality, k_limit(DRAWS))
    found = quality(log_ratio)
    assert found.reliable
    mean = float(found.weight @ at[:, 0])
    sd = float(np.sqrt(found.weight @ (at[:, 0] - mean) ** 2))
    error = NEARER[1] / np.sqrt(found.effective)
    assert abs(mean - NEARER[0]) < 4 * error
    assert sd == pytest.approx(NEARER[1], rel=4 / np.sqrt(2 * found.effective))
    # Every second draw stays where it was.
    assert_allclose(at[1::2], place[1::2])
    assert np.all(at[::2] != place[::2])


def test_the_mixture_integrates_to_the_ratio_of_the_constants():
    """The mean ratio against the proposal is the ratio of what the densities integrate to: 1."""
    place, densities = conjugate(NEARER)
    at, log_ratio = match_moments(place, densities, quality, k_limit(DRAWS))
    ratio = np.exp(log_ratio)
    assert ratio.mean() == pytest.approx(1.0, abs=4 * ratio.std() / np.sqrt(DRAWS))


def test_too_far_is_no_answer():
    place, densities = conjugate(VARIANT)
    moved = match_moments(place, densities, quality, k_limit(DRAWS))
    assert moved is None or not quality(moved[1]).reliable


def test_moves_go_back():
    move = Move(np.array([1.0, -2.0]), np.array([2.0, 0.5]))
    place = np.random.default_rng(2).normal(size=(5, 2))
    assert_allclose(move.back(move.of(place)), place)
    both = move.then(move)
    assert_allclose(both.of(place), move.of(move.of(place)))
    assert both.log_volume == pytest.approx(2 * move.log_volume)


class TestDraws:
    @pytest.fixture(scope="class")
    @staticmethod
    def matcher() -> Matcher:
        return Matcher(Weigher(fitted(build_design(spec_of(), load_evidence(frame())))))

    @pytest.fixture(scope="class")
    @staticmethod
    def design() -> xr.DataTree:
        return build_design(spec_of(), load_evidence(frame()))

    def test_a_prior_beyond_weights_agrees_with_its_integral(self, matcher, design):
        variant = spec_of(scale=2.0)
        weighed = matcher._weigher.weigh(variant, design)
        assert weighed.effective < 50  # k-hat 0.80; moved, 840
        found = matcher.match(variant, design)
        assert found.weights.reliable
        cheap = resampled(found.draws, found.weights, 1)
        assert cheap["slope"].dims == ("chain", "draw")
        agree(cheap, exactly(variant, design)["posterior"].to_dataset())

    def test_a_trial_left_out_agrees_with_its_integral(self, matcher, design):
        left = without(spec_of(), design, {"S5"})
        found = matcher.match(spec_of(), left)
        assert found.weights.effective > matcher._weigher.weigh(spec_of(), left).effective
        full = exactly(spec_of(), left)["posterior"].to_dataset()
        agree(resampled(found.draws, found.weights, 1), full)

    def test_coordinates_come_back_and_what_follows_is_the_graphs(self, matcher, design):
        model = model_of(spec_of(), design)
        stacked, terms = matcher._stacked, matcher._terms
        of = Coordinates.of(model, terms)
        back = of.draws(of.lines(stacked))
        for name in terms.shared:
            assert_allclose(back[name], stacked[name].transpose(*back[name].dims))
        found = derived(model, back, "draw_of_shared")
        assert "baseline" not in found
        for name in found:
            assert_allclose(found[name], stacked[name].transpose(*found[name].dims), rtol=1e-9)
