"""Conditional non-centring: the same density; effects independent of the rest if all is normal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import conditional_normal
from nmda_bayes.inference.reparameterisation import (
    conditional_noncentering,
    disjoint_rows,
    shared_latents,
)
from nmda_bayes.model import PY_MODE, build_model_from_design, model_outcomes
from nmda_bayes.spec import AnalysisSpec
from tests.inference.same_density import assert_same_density, at_random
from tests.support import specs

TRIPTANS = Path("tests/reference/triptans.csv")
NONCENTERED = "noncentered"


def triptans() -> tuple[AnalysisSpec, pd.DataFrame]:
    spec = AnalysisSpec.from_toml(TRIPTANS.with_name("triptans_hierarchical.toml"))
    return spec, pd.read_csv(TRIPTANS)


def one_of(likelihood: str, table: pd.DataFrame) -> tuple[AnalysisSpec, pd.DataFrame]:
    return specs.spec(specs.outcome(likelihood, "emax", heterogeneity="arm")), table


def both() -> tuple[AnalysisSpec, pd.DataFrame]:
    prior = {"dist": "LKJCorr", "kwargs": {"eta": 2.0}}
    return specs.benefit_risk(correlations={"heterogeneity": prior}), specs.both_tables()


def several_linear() -> tuple[AnalysisSpec, pd.DataFrame]:
    """Two linear parameters, pooled in two ways, and pooled baselines."""
    parameters = {"curvature": specs.parameter("agent"), "baseline": specs.parameter("study")}
    return specs.spec(
        specs.outcome("normal", "quadratic", "none", parameters)
    ), specs.normal_table()


#: A trial of two agents, which reads the effects of both in each arm.
BETWEEN_AGENTS = specs.rows("""
    study condition agent    dose mean se  events n
    D     crps      ketamine 1    45   2   3      20
    D     crps      mem      2    50   3   9      20
    E     crps      placebo  0    58   2   2      40
    E     crps      ketamine 1    45   2   3      20
    E     crps      mem      1    50   3   9      20
""")


def mean_of_arms(likelihood: str, curve: str) -> tuple[AnalysisSpec, pd.DataFrame]:
    frame = pd.concat([specs.TRIALS, BETWEEN_AGENTS], ignore_index=True)
    table = specs.normal_table(frame) if likelihood == "normal" else specs.binary_table(frame)
    of_agents = specs.parameter("agent_and_condition")
    name = {"emax": "emax", "constant": "effect"}[curve]
    outcome = specs.outcome(likelihood, curve, "arm", {name: of_agents}, baseline="mean_of_arms")
    return specs.spec(outcome), table.assign(outcome="pain")


CASES = {
    "triptans": triptans,
    "means of arms": lambda: mean_of_arms("normal", "constant"),
    "means of arms on a curve": lambda: mean_of_arms("normal", "emax"),
    "means of arms, counts": lambda: mean_of_arms("binomial", "emax"),
    "several linear": several_linear,
    "normal": lambda: one_of("normal", specs.normal_table()),
    "binomial": lambda: one_of("binomial", specs.binary_table(name="pain")),
    "correlated outcomes": both,
}


def graphs(case: str) -> tuple[pm.Model, pm.Model]:
    """The plain graph and the reparameterised one."""
    spec, frame = CASES[case]()
    design = build_design(spec, load_evidence(frame))
    plain = freeze_dims_and_data(build_model_from_design(spec, design))
    return plain, conditional_noncentering(plain, spec, design)


def noncentered(model: pm.Model) -> list[Any]:
    """The reparameterised variables."""
    transforms = model.rvs_to_transforms
    return [rv for rv in model.free_RVs if getattr(transforms[rv], "name", "") == NONCENTERED]


@pytest.mark.parametrize("case", CASES)
def test_density_is_unchanged(case: str):
    plain, fast = graphs(case)
    assert noncentered(fast)
    assert_same_density(plain, fast)


def test_gradient_by_differences():
    rng = np.random.default_rng(3)
    study = np.array([0, 0, 1, 1, 1, 2, 2])
    element = np.array([[0] * 7, [1, 2, 3, 1, 2, 1, 3]])
    priors = np.array([0.3, 0.04]), np.stack([rng.normal(size=4), rng.uniform(0.2, 2, 4)])
    information = np.append(0.0, rng.uniform(0.1, 3.0, 6))
    known = (study, element, rng.normal(size=7), information, *priors)
    inputs = [rng.normal(size=n) for n in (7, 7, 7, (2, 7), 4, 3, 7)]
    weights = [rng.normal(size=n) for n in (4, 3, 7, 4, 3, 7)]

    def total(*x: np.ndarray) -> float:
        outputs = conditional_normal.forward(*x, *known)
        return sum(float((o * w).sum()) for o, w in zip(outputs, weights, strict=True))

    gradients = conditional_normal.backward(*inputs, *known, *weights)
    for k, gradient in enumerate(gradients):
        for at in np.ndindex(gradient.shape):
            step = np.zeros_like(gradient)
            step[at] = 1e-6
            up = [x + step if j == k else x for j, x in enumerate(inputs)]
            down = [x - step if j == k else x for j, x in enumerate(inputs)]
            assert_allclose(gradient[at], (total(*up) - total(*down)) / 2e-6, rtol=1e-5, atol=1e-7)


LIKELIHOOD_NAMES = ("normal", "binomial")
HEAVY = specs.parameter(location=specs.prior("StudentT", mu=0, sigma=1, nu=4))
CELLS = specs.parameter("agent_and_condition", optional=True)
AGENT = specs.parameter("agent")
OF_CLASS = specs.parameter("class_and_agent")
CLASSES = {"ketamine": "arylcyclohexylamine", "mem": "adamantane"}


def emax_of(parameter: dict[str, Any], *, heterogeneity: str = "arm", **more: Any) -> AnalysisSpec:
    parameters = {"emax": parameter, "log_ed50": AGENT}
    return specs.spec(specs.outcome("normal", "emax", heterogeneity, parameters), **more)


def correlated(*of: str, curve: str = "emax", k: int = 1) -> AnalysisSpec:
    """Outcomes whose agents' parameters are correlated."""
    pooled = {name.split(".")[1]: AGENT for name in of}
    outcomes = [specs.outcome(name, curve, parameters=pooled) for name in LIKELIHOOD_NAMES[:k]]
    prior = {"of": list(of), "dist": "LKJCorr", "kwargs": {"eta": 2.0}}
    return specs.spec(*outcomes, correlations={"agent": prior})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            several_linear()[0],
            "slope curvature_location curvature_agent_offset"
            " baseline_location baseline_study_offset",
        ),
        (
            emax_of(CELLS),
            "emax_location emax_agent_offset emax_condition_offset"
            " emax_agent_condition_offset baseline arm_offset",
        ),
        (emax_of(AGENT), "emax_location emax_agent_offset baseline arm_offset"),
        (
            emax_of(OF_CLASS, classes=CLASSES),
            "emax_location emax_agent_class_offset emax_agent_offset baseline arm_offset",
        ),
        (emax_of(HEAVY), "baseline arm_offset"),
        (correlated("pain.emax", "pain.log_ed50"), "emax_location baseline arm_offset"),
        (
            correlated("pain.slope", "harm.slope", curve="linear", k=2),
            "pain::slope_location pain::baseline pain::arm_offset"
            " harm::slope_location harm::baseline harm::arm_offset",
        ),
    ],
    ids=[
        "several linear",
        "of agents in conditions",
        "emax",
        "of classes",
        "no normal prior",
        "correlated with a log ED50",
        "correlated between outcomes",
    ],
)
def test_which_variables_are_noncentered(spec: AnalysisSpec, expected: str):
    table = specs.normal_table() if spec.single_outcome else specs.both_tables()
    design = build_design(spec, load_evidence(table))
    fast = conditional_noncentering(
        freeze_dims_and_data(build_model_from_design(spec, design)), spec, design
    )
    assert {rv.name for rv in noncentered(fast)} == set(expected.split())


def test_an_arm_reads_one_element_of_each_row():
    spec, frame = mean_of_arms("normal", "constant")
    design = build_design(spec, load_evidence(frame))
    model = freeze_dims_and_data(build_model_from_design(spec, design))
    (outcome,) = model_outcomes(spec, design)
    single = [model["baseline"], model["arm_offset"]]
    shared = shared_latents(model, outcome, single)
    names = {"effect_location", "effect_agent_offset", "effect_condition_offset"}
    assert {rv.name for rv in shared.variables} == names
    # Two agents, which one trial compares, are on two rows.
    assert [shared.variables[i].name for i, _ in shared.rows].count("effect_agent_offset") == 2
    assert shared.element.shape == (len(shared.rows), len(frame))
    rows = disjoint_rows(np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=bool))
    assert [np.flatnonzero(members).tolist() for members in rows] == [[0, 2], [1]]


@pytest.mark.parametrize(
    "case", ["normal", "several linear", "means of arms", "means of arms on a curve"]
)
def test_with_normal_data_effects_are_standard_normal(case: str):
    _, fast = graphs(case)
    gradient = fast.compile_dlogp(noncentered(fast), mode=PY_MODE)
    for seed in (1, 2):
        point = at_random(fast, seed)
        values = [np.ravel(point[fast.rvs_to_values[rv].name]) for rv in noncentered(fast)]
        assert_allclose(gradient(point), -np.concatenate(values), atol=1e-8)


def test_normal_approximations():
    rows = pd.DataFrame(
        {
            "events": [0.0, 3.0],
            "n": [9.0, 11.0],
            "person_time": [2.0, 4.0],
            "mean": [1.0, 2.0],
            "se": [0.5, 2.0],
        }
    ).to_xarray()
    p = np.array([0.05, 3.5 / 12])
    for likelihood, (estimate, information) in {
        "normal": ([1.0, 2.0], [4.0, 0.25]),
        "binomial": (np.log(p / (1 - p)), np.array([9, 11]) * p * (1 - p)),
        "poisson": ([np.log(0.25), np.log(3.5 / 4)], [0.5, 3.5]),
    }.items():
        approximation = LIKELIHOODS[likelihood].approximate(rows)
        assert_allclose(approximation[0], estimate)
        assert_allclose(approximation[1], information)
