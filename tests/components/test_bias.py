from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

from nmda_bayes.components.bias import BIASES, JUDGEMENTS, LOW_RISK, publication_probability
from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.spec.outcome import BiasSpec

CRITICAL = -special.ndtri([0.025, 0.5])


def test_every_bias_is_a_spec_key():
    assert list(BIASES) == [*BIASES]
    assert set(BIASES) == set(BiasSpec.model_fields)
    assert all(part.about.endswith(".") and part.text for part in BIASES.values())
    assert {part.applies_to for part in BIASES.values()} == {"arms", "publication", "weight"}


def test_selection_needs_known_standard_errors():
    normal = {name: part for name, part in LIKELIHOODS.items() if part.normal}
    assert set(normal) == {"normal", "normal_contrast"}
    assert all({"se"} <= set(part.columns) for part in normal.values())
    assert all(part.contrasts or part.crude for part in normal.values())
    assert LOW_RISK not in JUDGEMENTS


def test_bias_formulas_by_hand():
    assert_allclose(BIASES["small_study"].formula(np.array([0, 2.0]), slope=1.5), [0, 3])
    judged, offset = np.array([0.0, 1.0]), np.array([9.0, -1.0])
    assert_allclose(BIASES["risk_of_bias"].formula(judged, offset, shift=2.0, spread=0.5), [0, 1.5])
    assert_allclose(BIASES["unblinding"].formula(0.4, 0.1, slope=10.0), 3.0)
    assert BIASES["power"].formula(-3.0, 0.5) == -1.5


@pytest.mark.parametrize(("z", "expected"), [(3.0, 1.0), (1.0, 0.4), (-1.0, 0.1)])
def test_publication_probability_steps(z, expected):
    assert publication_probability(
        [float(z >= c) for c in CRITICAL], [1.0, 0.4, 0.1]
    ) == pytest.approx(expected)


@pytest.mark.parametrize("published", [[1.0, 0.4, 0.1], [1.0, 0.2, 1.7]])
@pytest.mark.parametrize("mean", [-2.0, 0.3, 4.0])
def test_published_density_integrates_to_one(published, mean):
    se, tau = 1.3, 0.8
    sd = np.hypot(se, tau)
    probable = special.ndtr((mean - CRITICAL * se) / sd)

    def density(y: float) -> float:
        kept = [float(y >= c * se) for c in CRITICAL]
        factor = BIASES["selection"].formula(kept, probable, published=published)
        return float(stats.norm.pdf(y, mean, sd) * factor)

    cuts = [mean - 9 * sd, *sorted(CRITICAL * se), mean + 9 * sd]
    total = sum(integrate.quad(density, *ends)[0] for ends in zip(cuts, cuts[1:], strict=False))
    assert total == pytest.approx(1.0, abs=1e-8)


def test_full_publication_has_factor_one():
    assert_allclose(BIASES["selection"].formula([0.0, 1.0], [0.2, 0.7], published=[1, 1, 1]), 1.0)
