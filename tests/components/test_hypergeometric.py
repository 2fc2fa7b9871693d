"""Counts given their totals, against SciPy and against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import comb

from nmda_bayes.components.likelihoods import MAX_TABLES, TABLE_CHUNK, count_tables
from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.inference.nuts import same_structure
from nmda_bayes.model import PY_MODE, build_model, build_model_from_design
from nmda_bayes.report.equations import describe_analysis
from tests.support import specs
from tests.support.issues import issues_when

SPEC = specs.spec(specs.outcome("hypergeometric", "linear", "none"))
#: A: two arms. B: three small arms. C: no events. D: only events.
ROWS = specs.rows("""
    study agent    dose events n
    A     placebo  0    2      30
    A     ketamine 1    6      28
    B     placebo  0    1      5
    B     ketamine 1    2      4
    B     ketamine 2    3      6
    C     placebo  0    0      40
    C     ketamine 1    0      41
    D     placebo  0    7      7
    D     ketamine 1    8      8
""")


def by_arm(rows: pd.DataFrame, slope: float) -> np.ndarray:
    model = build_model(SPEC, load_evidence(rows))
    compiled = model.compile_logp(vars=[model["reported"]], sum=False, mode="FAST_COMPILE")
    return np.asarray(compiled({"slope": np.array(slope)})[0])


def by_listing(events: np.ndarray, n: np.ndarray, eta: np.ndarray) -> float:
    """Log density of a trial by enumeration of the tables with its total."""
    ways = np.array(list(product(*(range(m + 1) for m in n))))
    ways = ways[ways.sum(axis=1) == events.sum()]
    weight = dict(
        zip(map(tuple, ways.tolist()), (comb(n, ways) * np.exp(ways * eta)).prod(1), strict=True)
    )
    return float(np.log(weight[tuple(events.tolist())] / sum(weight.values())))


@pytest.mark.parametrize("slope", [-3.0, 0.4])
def test_trial_with_several_chunks(slope):
    many = specs.rows("""
        study agent    dose events n
        E     placebo  0    70     150
        E     ketamine 1    130    160
    """)
    log_densities = by_arm(
        pd.concat([ROWS.iloc[:2], many, ROWS.iloc[2:5]], ignore_index=True), slope
    )
    events, n, odds = np.array([70, 130]), np.array([150, 160]), np.exp(slope)
    assert count_tables(events, n) > TABLE_CHUNK
    expected = stats.nchypergeom_fisher(n.sum(), n[1], events.sum(), odds).logpmf(events[1])
    assert_allclose(log_densities[2:4].sum(), expected, rtol=1e-8)
    alone = by_arm(ROWS.iloc[:5], slope)
    assert_allclose(np.delete(log_densities, [2, 3]), alone, rtol=1e-12)


@pytest.mark.parametrize("slope", [-1.5, 0.0, 2.0])
def test_two_arms_match_scipy(slope):
    log_densities = by_arm(ROWS, slope)
    assert log_densities.shape == (9,)
    expected = stats.nchypergeom_fisher(58, 28, 8, np.exp(slope)).logpmf(6)
    assert_allclose(log_densities[:2].sum(), expected, rtol=1e-10)
    assert_allclose(log_densities[0], log_densities[1])


@pytest.mark.parametrize("slope", [-0.7, 0.4])
def test_three_arms_match_enumeration(slope):
    trial = ROWS[ROWS["study"] == "B"]
    events, n = trial["events"].to_numpy(), trial["n"].to_numpy()
    expected = by_listing(events, n, slope * trial["dose"].to_numpy(float))
    assert_allclose(by_arm(ROWS, slope)[2:5].sum(), expected, rtol=1e-10)
    assert count_tables(events, n) == sum(
        sum(way) == events.sum() for way in product(*(range(m + 1) for m in n))
    )


def test_trials_without_events_are_uninformative():
    assert_allclose(by_arm(ROWS, 3.0)[5:], 0.0, atol=1e-12)
    text = describe_analysis(SPEC, load_evidence(ROWS))
    assert ": C, D" in text
    assert "baseline[study]" not in text


@pytest.mark.parametrize("slope", [-40.0, 0.3, 40.0])
def test_large_trials_and_effects_are_finite(slope):
    rows = ROWS.iloc[:2].assign(events=[2600, 3100], n=[9000, 9100])
    model = build_model(SPEC, load_evidence(rows))
    point = {"slope": np.array(slope)}
    density = model.compile_logp(vars=[model["reported"]], mode="FAST_COMPILE")(point)
    gradient = model.compile_dlogp(mode="FAST_COMPILE")(point)
    assert np.isfinite(density)
    assert np.isfinite(gradient).all()


def test_draws_keep_totals():
    model = pm.do(build_model(SPEC, load_evidence(ROWS)), {"slope": np.array(0.8)})
    drawn = pm.draw(model["reported"], 2000, random_seed=1, mode=PY_MODE)
    assert drawn.shape == (2000, 9)
    for arms, total in ((slice(0, 2), 8), (slice(2, 5), 6), (slice(5, 7), 0), (slice(7, 9), 15)):
        assert (drawn[:, arms].sum(axis=1) == total).all()
    expected = stats.nchypergeom_fisher(58, 28, 8, np.exp(0.8))
    error = expected.std() / np.sqrt(2000)
    assert_allclose(drawn[:, 1].mean(), expected.mean(), atol=4 * error)


def test_too_many_tables_are_rejected():
    rows = ROWS.iloc[2:5].assign(events=[300, 300, 300], n=[900, 900, 900])
    (issue,) = issues_when(lambda: build_model(SPEC, load_evidence(rows)), EvidenceError)
    assert issue.column == "events"
    assert count_tables(np.array([300] * 3), np.array([900] * 3)) == 901 * 902 // 2 > MAX_TABLES


def test_single_arm_trial_is_excluded():
    rows = pd.concat([ROWS, ROWS.iloc[:1].assign(study="E")])
    design = build_design(SPEC, load_evidence(rows))
    left = design["excluded"].to_dataset()
    assert left["study"].to_numpy().tolist() == ["E"]
    assert left["step"].to_numpy().tolist() == ["comparison_within_study"]
    assert any("not normal" in reason for reason in exact_obstacles(SPEC, design))


def test_same_structure_with_other_counts():
    def graph(rows):
        return build_model_from_design(SPEC, build_design(SPEC, load_evidence(rows)))

    original = graph(ROWS)
    fewer = ROWS.assign(events=ROWS["events"].mask(ROWS.index == 1, 5))
    assert same_structure(original, graph(fewer))
    # With 41 more events in each of two larger arms, A has more tables than one chunk holds.
    more = ROWS[["events", "n"]].mask(ROWS["study"] == "A", ROWS[["events", "n"]] + [41, 400])
    assert not same_structure(original, graph(ROWS.assign(**more)))
