"""Tables as their owners have them, through the chosen template: effects agree with quadrature.

Pinned are posterior means and SDs under the priors of the templates (effect ~ Normal(0, 2.82²),
heterogeneity ~ HalfNormal(0.5)), from `benchmarks/peers/public_quadrature.py`, which shares no code
with the package: counts given the events of each trial, or two binomials; rates given the events.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import arviz_stats
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nmda_bayes.design import build_design
from nmda_bayes.evidence.importers import parse_options
from nmda_bayes.inference.nuts import sample_posterior
from nmda_bayes.model import build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from nmda_bayes.templates import Rehearsal, rehearse
from tests.support.quadrature import conditional_normal

pytestmark = pytest.mark.reference

HERE = Path(__file__).parent
COUNTS, RATES = ["ai", "n1i", "ci", "n2i"], ["x1i", "t1i", "x2i", "t2i"]
SAMPLING = {"seed": 5, "chains": 4, "draws": 1500, "tune": 1000, "target_accept": 0.95}
#: A posterior mean may differ by this share of the SD beside the Monte Carlo error: quadrature
#: itself errs by less than 0.005, and priors of baselines move binomial effects by less than 0.05.
TOLERANCE = 0.05

#: Oral rehydration solution of reduced osmolarity (Hahn et al. 2001, doi:10.1136/bmj.323.7304.81).
REHYDRATION = [
    (4, 19, 5, 19), (0, 18, 0, 18), (34, 341, 50, 334), (7, 71, 16, 69), (6, 45, 5, 44),
    (1, 94, 8, 96), (0, 22, 0, 22), (11, 88, 12, 82), (2, 82, 7, 84), (0, 33, 0, 30),
    (0, 15, 1, 20), (33, 221, 43, 218),
]  # fmt: skip
#: Invented: events and days, a trial without events in one arm.
INFECTIONS = [
    (7, 1491, 11, 1988), (3, 350, 4, 340), (12, 2100, 25, 2080), (0, 160, 2, 150),
    (5, 900, 9, 910), (1, 75, 3, 80),
]  # fmt: skip


def rosiglitazone(events: str) -> list[tuple[int, ...]]:
    content = json.loads((HERE / "rosiglitazone.json").read_text("utf-8"))
    rows = pd.DataFrame(content["trials"], columns=content["columns"])
    columns = [f"{events}_treated", "n_treated", f"{events}_control", "n_control"]
    return list(rows[columns].itertuples(index=False, name=None))


def bcg() -> list[tuple[int, ...]]:
    rows = pd.read_csv(HERE.parent / "bcg_counts.csv").set_index("study")
    vaccine, control = (rows[rows["agent"] == agent] for agent in ("vaccine", "control"))
    pairs = vaccine.join(control.add_suffix("_control"))
    columns = ["events", "n", "events_control", "n_control"]
    return list(pairs[columns].itertuples(index=False, name=None))


#: Rows, likelihood, mean and SD.
CASES = {
    "rosiglitazone, infarctions": (
        rosiglitazone("infarctions"), "hypergeometric", 0.37720, 0.20007,
    ),
    "rosiglitazone, deaths": (rosiglitazone("deaths"), "hypergeometric", 0.59478, 0.32306),
    "BCG": (bcg(), "hypergeometric", -0.75164, 0.19528),
    "rehydration": (REHYDRATION, "hypergeometric", -0.52916, 0.19205),
    "rare, allocated 2:1": ([(3, 400, 1, 200)] * 12, "hypergeometric", 0.44539, 0.35078),
    "rare, symmetric": ([(1, 1000, 1, 1000)] * 8, "hypergeometric", 0.0, 0.52965),
    "rates": (INFECTIONS, "poisson", -0.61186, 0.28657),
}  # fmt: skip


def rehearsed(rows: list[tuple[int, ...]], likelihood: str) -> Rehearsal:
    table = pd.DataFrame(rows, columns=RATES if likelihood == "poisson" else COUNTS)
    table.insert(0, "study", [f"T{i}" for i in range(len(rows))])
    return rehearse(table, parse_options(["better=lower"]))


def sampled(rehearsal: Rehearsal) -> np.ndarray:
    assert rehearsal.spec is not None, rehearsal.issues
    spec = AnalysisSpec.from_dict(rehearsal.spec.model_dump() | {"sampling": SAMPLING})
    design = build_design(spec, rehearsal.evidence)
    model = build_model_from_design(spec, design)
    drawn = sample_posterior(model, spec, progress=False, design=design)
    return np.asarray(drawn["posterior"]["effect"].to_numpy()).squeeze()


@cache
def draws_of(case: str) -> np.ndarray:
    rows, likelihood, *_ = CASES[case]
    return sampled(rehearsed(rows, likelihood))


@pytest.mark.parametrize("case", CASES)
def test_likelihood_that_is_chosen(case: str):
    rows, likelihood, *_ = CASES[case]
    spec = rehearsed(rows, likelihood).spec
    assert spec is not None
    assert [part.likelihood for part in spec.outcomes.values()] == [likelihood]


@pytest.mark.parametrize("case", ["rosiglitazone, deaths", "rehydration", "rare, allocated 2:1"])
def test_pinned_numbers_agree_with_another_quadrature(case: str):
    rows, _, mean, sd = CASES[case]
    trials = [(np.array([c, a]), np.array([n2, n1])) for a, n1, c, n2 in rows]
    trials = [(events, n) for events, n in trials if 0 < events.sum() < n.sum()]
    other = conditional_normal(trials, 2.82, stats.halfnorm(scale=0.5), points=301)
    # The other one has a coarse grid of heterogeneities, which counts 0 twice.
    assert other["mean"] == pytest.approx(mean, abs=0.02 * sd)
    assert other["sd"] == pytest.approx(sd, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_effect_agrees_with_quadrature(case: str):
    *_, mean, sd = CASES[case]
    draws = draws_of(case)
    # Three standard errors of a mean; an SD of effectively n draws errs by its share 1 / √(2 n).
    error = 3 / np.sqrt(float(arviz_stats.ess(draws)))
    assert abs(draws.mean() - mean) < (TOLERANCE + error) * sd
    assert draws.std() == pytest.approx(sd, rel=TOLERANCE + error)


@pytest.mark.slow
def test_tables_without_events_leave_the_prior():
    rehearsal = rehearsed([(0, 400, 0, 200), (0, 90, 0, 45), (0, 60, 0, 61)], "hypergeometric")
    assert any("the result is the prior" in line for line in rehearsal.lines)
    draws = sampled(rehearsal)
    error = 3 / np.sqrt(float(arviz_stats.ess(draws)))
    assert abs(draws.mean()) < error * 2.82
    assert draws.std() == pytest.approx(2.82, rel=error)
