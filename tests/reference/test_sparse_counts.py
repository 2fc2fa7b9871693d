"""Rare events: posteriors agree with the likelihood conditional on the totals, by quadrature.

Two-arm trials whose log odds ratios are Normal(effect, tau²), effect ~ Normal(0, 2.82²) and tau ~
HalfNormal(0.5). The quadrature shares no code with the model.
"""

from __future__ import annotations

from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

from nmda_bayes.checks.prior_influence import (
    PRIOR_ONLY,
    PRIOR_ONLY_OVERLAP,
    prior_posterior_overlap,
)
from nmda_bayes.design import build_design, uninformative_trials
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.nuts import sample_posterior
from nmda_bayes.model import PY_MODE, build_model, build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.quadrature import conditional_log_density, conditional_normal

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
EFFECT_SD, TAU_SD = 2.82, 0.5
#: Maxima of the conditional likelihood without heterogeneity: metafor 3.8-1, `rma.glmm(measure =
#: "OR", model = "CM.EL", method = "FE")`. Peto's estimates are 0.3565 and 0.4947.
ROSIGLITAZONE = {"infarction": 0.3548407, "death": 0.5084666}


def analysis(likelihood: str, heterogeneity: str = "arm", baseline_sd: float = 10) -> AnalysisSpec:
    parameters = {"effect": specs.parameter(location=specs.normal(0, EFFECT_SD))}
    more = {}
    if heterogeneity == "arm":
        parameters["heterogeneity_sd"] = specs.parameter(location=specs.half_normal(TAU_SD))
    if likelihood == "binomial":
        parameters["baseline"] = specs.parameter("independent", each=specs.normal(0, baseline_sd))
        more = {"baseline": "mean_of_arms"}
    outcome = specs.outcome(likelihood, "constant", heterogeneity, parameters, **more)
    sampling = {"seed": 3, "chains": 4, "draws": 1500, "tune": 1000, "target_accept": 0.95}
    return specs.spec(outcome, reference="control", sampling=sampling)


def table(control: list[int], active: list[int], n: list[int], more: list[int]) -> pd.DataFrame:
    rows = []
    for i, (c, a, size, other) in enumerate(zip(control, active, n, more, strict=True)):
        rows += [(f"T{i}", "control", 0, c, size), (f"T{i}", "drug", 1, a, other)]
    return pd.DataFrame(rows, columns=["study", "agent", "dose", "events", "n"])


def rosiglitazone(outcome: str) -> pd.DataFrame:
    rows = pd.read_csv(HERE / "nissen2007.csv")
    return rows[rows["outcome"] == outcome].drop(columns="outcome")


def pairs(rows: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Events and sizes of each trial, control first."""
    ordered = rows.sort_values(["study", "dose"])
    columns = [ordered[name].to_numpy().reshape(-1, 2) for name in ("events", "n")]
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("outcome", ROSIGLITAZONE)
def test_maximum_of_the_conditional_likelihood(outcome: str):
    rows = rosiglitazone(outcome)
    model = build_model(analysis("hypergeometric", "none"), load_evidence(rows))
    density = model.compile_logp(vars=[model["reported"]], mode=PY_MODE)

    def graph(x: float) -> float:
        return float(density({"effect": np.array(x)}))

    best = optimize.minimize_scalar(lambda x: -graph(x), bounds=(-1, 2), method="bounded")
    assert best.x == pytest.approx(ROSIGLITAZONE[outcome], abs=1e-4)
    at = np.array([-2.0, 0.0, 0.4, 3.0])
    expected = sum(conditional_log_density(events, n, at) for events, n in pairs(rows))
    assert_allclose([graph(x) for x in at], expected, rtol=1e-9)


SPARSE = {
    "symmetric at 1/1000": table([1] * 8, [1] * 8, [1000] * 8, [1000] * 8),
    "allocated 1:2": table([1] * 12, [3] * 12, [200] * 12, [400] * 12),
    "no events": table([0] * 3, [0] * 3, [40, 50, 60], [41, 49, 59]),
    "all events": table([7, 9], [8, 20], [7, 9], [8, 20]),
    "some trials without events": table(
        [0, 0, 2, 1, 0], [0, 3, 5, 0, 0], [40, 90, 120, 60, 50], [80, 95, 110, 61, 51]
    ),
}


def sampled(spec: AnalysisSpec, rows: pd.DataFrame) -> np.ndarray:
    design = build_design(spec, load_evidence(rows))
    model = build_model_from_design(spec, design)
    drawn = sample_posterior(model, spec, progress=False, design=design)
    return np.asarray(drawn["posterior"]["effect"].to_numpy())


def assert_agrees(draws: np.ndarray, rows: pd.DataFrame, tolerance: float = 0.05) -> None:
    exact = conditional_normal(pairs(rows), EFFECT_SD, stats.halfnorm(scale=TAU_SD))
    error = 3 / np.sqrt(float(arviz_stats.ess(draws)))
    assert abs(draws.mean() - exact["mean"]) / exact["sd"] < tolerance + error
    assert draws.std() / exact["sd"] == pytest.approx(1, abs=tolerance + error)


@pytest.mark.slow
@pytest.mark.parametrize("case", [*SPARSE, *ROSIGLITAZONE])
def test_conditional_posterior_agrees_with_quadrature(case: str):
    rows = SPARSE[case] if case in SPARSE else rosiglitazone(case)
    assert_agrees(sampled(analysis("hypergeometric"), rows), rows)


@pytest.mark.slow
def test_table_without_events_leaves_the_prior():
    spec, rows = analysis("hypergeometric"), SPARSE["no events"]
    design = build_design(spec, load_evidence(rows))
    reported = design["outcomes/pain"].to_dataset()
    assert uninformative_trials(spec.outcomes["pain"], reported) == ["T0", "T1", "T2"]
    draws = sampled(spec, rows).ravel()
    prior = np.random.default_rng(1).normal(0, EFFECT_SD, len(draws))
    assert prior_posterior_overlap(prior, draws) > PRIOR_ONLY_OVERLAP, PRIOR_ONLY


@pytest.mark.slow
@pytest.mark.parametrize("control", [5, 20])
def test_binomial_agrees_with_five_events_or_more(control: int):
    """Arms of 1:2 and an odds ratio of 2, at a risk of 0.5%: the worst case for a wide prior."""
    rows = table([control] * 12, [4 * control] * 12, [200 * control] * 12, [400 * control] * 12)
    assert_agrees(sampled(analysis("binomial"), rows), rows)


@pytest.mark.slow
def test_bcg_with_baselines_as_means_of_arms():
    """An exact PyMC model with heterogeneity on contrasts gives -0.751 (0.192); REML -0.745."""
    rows = pd.read_csv(HERE / "bcg_counts.csv")
    draws = sampled(analysis("binomial", baseline_sd=4), rows)
    assert_agrees(draws, rows)
    assert draws.mean() == pytest.approx(-0.751, abs=0.02)
    assert draws.std() == pytest.approx(0.192, abs=0.01)
