"""Whitened coordinates: the same density; effects integrated out where all is normal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import conditional_normal
from nmda_bayes.inference.normal_reports import REPORTS
from nmda_bayes.inference.whitening import whitened
from nmda_bayes.model import CHEAP, model_of
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.inference.same_density import assert_same_density, at_random

TRIPTANS = Path("tests/reference/triptans.csv")
WHITENED = "whitened"


def triptans() -> tuple[AnalysisSpec, pd.DataFrame]:
    spec = AnalysisSpec.from_toml(TRIPTANS.with_name("triptans_hierarchical.toml"))
    return spec, pd.read_csv(TRIPTANS)


def one_of(likelihood: str, table: pd.DataFrame) -> tuple[AnalysisSpec, pd.DataFrame]:
    return specs.spec(specs.outcome(likelihood, "emax", heterogeneity="arm")), table


def both() -> tuple[AnalysisSpec, pd.DataFrame]:
    prior = {"dist": "LKJCorr", "kwargs": {"eta": 2.0}}
    return specs.benefit_risk(correlations={"heterogeneity": prior}), specs.both_tables()


def several_linear() -> tuple[AnalysisSpec, pd.DataFrame]:
    """Two linear parameters, pooled in two ways, and baselines that are pooled as well."""
    of = {"curvature": specs.parameter("agent"), "baseline": specs.parameter("study")}
    return specs.spec(specs.outcome("normal", "quadratic", "none", of)), specs.normal_table()


CASES = {
    "triptans": triptans,
    "several linear": several_linear,
    "normal": lambda: one_of("normal", specs.normal_table()),
    "binomial": lambda: one_of("binomial", specs.binary_table(name="pain")),
    "correlated outcomes": both,
}


def graphs(case: str) -> tuple[pm.Model, pm.Model]:
    """The plain graph and the one that is sampled."""
    spec, frame = CASES[case]()
    design = build_design(spec, load_evidence(frame))
    plain = freeze_dims_and_data(model_of(spec, design))
    return plain, whitened(plain, spec, design)


def moved(model: pm.Model) -> list[Any]:
    """The variables that are whitened."""
    changes = model.rvs_to_transforms
    return [rv for rv in model.free_RVs if getattr(changes[rv], "name", "") == WHITENED]


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_the_plain_graphs_with_the_jacobian(case: str):
    plain, fast = graphs(case)
    assert moved(fast)
    assert_same_density(plain, fast)


def test_the_gradient_is_that_of_the_density():
    rng = np.random.default_rng(3)
    study = np.array([0, 0, 1, 1, 1, 2, 2])
    place = np.array([[0] * 7, [1, 2, 3, 1, 2, 1, 3]])
    priors = np.array([0.3, 0.04]), np.stack([rng.normal(size=4), rng.uniform(0.2, 2, 4)])
    information = np.append(0.0, rng.uniform(0.1, 3.0, 6))
    known = (study, place, rng.normal(size=7), information, *priors)
    inputs = [rng.normal(size=n) for n in (7, 7, 7, (2, 7), 4, 3, 7)]
    weights = [rng.normal(size=n) for n in (4, 3, 7, 4, 3, 7)]

    def total(*x: np.ndarray) -> float:
        moved = conditional_normal.forward(*x, *known)
        return sum(float((m * w).sum()) for m, w in zip(moved, weights, strict=True))

    gradients = conditional_normal.backward(*inputs, *known, *weights)
    for k, gradient in enumerate(gradients):
        for at in np.ndindex(gradient.shape):
            step = np.zeros_like(gradient)
            step[at] = 1e-6
            up = [x + step if j == k else x for j, x in enumerate(inputs)]
            down = [x - step if j == k else x for j, x in enumerate(inputs)]
            assert_allclose(gradient[at], (total(*up) - total(*down)) / 2e-6, rtol=1e-5, atol=1e-7)


HEAVY = specs.parameter(location=specs.prior("StudentT", mu=0, sigma=1, nu=4))
CELLS = specs.parameter("agent_and_condition", optional=True)
AGENT = specs.parameter("agent")
OF_CLASS = specs.parameter("class_and_agent")
CLASSES = {"ketamine": "arylcyclohexylamine", "mem": "adamantane"}


def emax_of(parameter: dict[str, Any], *, heterogeneity: str = "arm", **more: Any) -> AnalysisSpec:
    given = {"emax": parameter, "log_ed50": AGENT}
    return specs.spec(specs.outcome("normal", "emax", heterogeneity, given), **more)


def together(*of: str, curve: str = "emax", k: int = 1) -> AnalysisSpec:
    """Outcomes whose agents' parameters are correlated."""
    pooled = {name.split(".")[1]: AGENT for name in of}
    outcomes = [specs.outcome(one, curve, parameters=pooled) for one in ("normal", "binomial")[:k]]
    prior = {"of": list(of), "dist": "LKJCorr", "kwargs": {"eta": 2.0}}
    return specs.spec(*outcomes, correlations={"agent": prior})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (several_linear()[0], "slope curvature_location curvature_agent_offset"
         " baseline_location baseline_study_offset"),
        (emax_of(CELLS), "emax_location emax_agent_offset emax_condition_offset"
         " emax_agent_condition_offset baseline arm_offset"),
        (emax_of(AGENT), "emax_location emax_agent_offset baseline arm_offset"),
        (emax_of(OF_CLASS, classes=CLASSES), "emax_location emax_agent_class_offset"
         " emax_agent_offset baseline arm_offset"),
        (emax_of(HEAVY), "baseline arm_offset"),
        (together("pain.emax", "pain.log_ed50"), "emax_location baseline arm_offset"),
        (together("pain.slope", "harm.slope", curve="linear", k=2),
         "pain::slope_location pain::baseline pain::arm_offset"
         " harm::slope_location harm::baseline harm::arm_offset"),
    ],
    ids=["several linear", "of agents in conditions", "emax", "of classes", "no normal prior",
         "correlated with a log ED50", "correlated between outcomes"],
)  # fmt: skip
def test_what_is_whitened_is_normal_and_of_one_outcome_and_eta_is_affine_in_it(
    spec: AnalysisSpec, expected: str
):
    table = specs.normal_table() if spec.alone else specs.both_tables()
    design = build_design(spec, load_evidence(table))
    fast = whitened(freeze_dims_and_data(model_of(spec, design)), spec, design)
    assert {rv.name for rv in moved(fast)} == set(expected.split())


@pytest.mark.parametrize("case", ["normal", "several linear"])
def test_of_normal_reports_the_effects_are_standard_normal_given_all_else(case: str):
    _, fast = graphs(case)
    gradient = fast.compile_dlogp(moved(fast), **CHEAP)
    for seed in (1, 2):
        point = at_random(fast, seed)
        own = [np.ravel(point[fast.rvs_to_values[rv].name]) for rv in moved(fast)]
        assert_allclose(gradient(point), -np.concatenate(own), atol=1e-8)


def test_a_report_says_what_its_numbers_say_of_eta():
    rows = pd.DataFrame({"events": [0.0, 3.0], "n": [9.0, 11.0], "person_time": [2.0, 4.0],
                         "mean": [1.0, 2.0], "se": [0.5, 2.0]}).to_xarray()  # fmt: skip
    p = np.array([0.05, 3.5 / 12])
    for likelihood, (estimate, information) in {
        "normal": ([1.0, 2.0], [4.0, 0.25]),
        "binomial": (np.log(p / (1 - p)), np.array([9, 11]) * p * (1 - p)),
        "poisson": ([np.log(0.25), np.log(3.5 / 4)], [0.5, 3.5]),
    }.items():
        told = REPORTS[likelihood](rows)
        assert_allclose(told[0], estimate)
        assert_allclose(told[1], information)
