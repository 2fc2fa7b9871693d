"""Whitened coordinates: the same density; effects integrated out where all is normal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import pytest
from numpy.testing import assert_allclose
from pymc.model.transform.optimization import freeze_dims_and_data

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference import whitening_op
from nmda_bayes.inference.normal_reports import REPORTS
from nmda_bayes.inference.whitening import whitened
from nmda_bayes.model import CHEAP, model_of
from nmda_bayes.spec import AnalysisSpec
from tests import specs

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


CASES = {
    "triptans": triptans,
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


def at_random(model: pm.Model, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: 0.5 * rng.normal(size=np.shape(v)) for name, v in model.initial_point().items()}


def moved(model: pm.Model) -> list[Any]:
    """The variables that are whitened."""
    changes = model.rvs_to_transforms
    return [rv for rv in model.free_RVs if getattr(changes[rv], "name", "") == WHITENED]


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_the_plain_graphs_with_the_jacobian(case: str):
    plain, fast = graphs(case)
    assert moved(fast)
    values = fast.value_vars
    points = [at_random(fast, seed) for seed in (1, 2)]
    natural = pytensor.function(
        values, fast.replace_rvs_by_values(fast.free_RVs), on_unused_input="ignore", **CHEAP
    )
    stretch = pytensor.function(
        values,
        [c.log_jac_det(v) for v, rv in zip(values, fast.free_RVs, strict=True)
         if (c := fast.rvs_to_transforms[rv]) is not None],
        on_unused_input="ignore", **CHEAP,
    )  # fmt: skip
    of_plain = plain.compile_fn(plain.logp(jacobian=False), inputs=plain.value_vars, **CHEAP)
    of_fast = fast.compile_logp(**CHEAP)
    for point in points:
        at = [point[v.name] for v in values]
        backwards = {rv.name: x for rv, x in zip(fast.free_RVs, natural(*at), strict=True)}
        here = {}
        for rv in plain.free_RVs:
            x, change = backwards[rv.name], plain.rvs_to_transforms[rv]
            there = x if change is None else change.forward(x, *rv.owner.inputs).eval()
            here[plain.rvs_to_values[rv].name] = there
        expected = of_plain(here) + sum(s.sum() for s in stretch(*at))
        assert_allclose(of_fast(point), expected, rtol=1e-9)


def test_the_gradient_is_that_of_the_density():
    rng = np.random.default_rng(3)
    study = np.array([0, 0, 1, 1, 1, 2, 2])
    known = (study, rng.normal(size=7), np.append(0.0, rng.uniform(0.1, 3.0, 6)),
             np.array([0.3, 0.04]))  # fmt: skip
    inputs = [rng.normal(size=n) for n in (7, 7, 7, 3, 7)]
    weights = [rng.normal(size=n) for n in (3, 7, 3, 7)]

    def total(*x: np.ndarray) -> float:
        moved = whitening_op._forward(*x, *known)
        return sum(float((m * w).sum()) for m, w in zip(moved, weights, strict=True))

    gradients = whitening_op._backward(*inputs, *known, *weights)
    for k, gradient in enumerate(gradients):
        for i in range(len(gradient)):
            step = np.zeros_like(gradient)
            step[i] = 1e-6
            up = [x + step if j == k else x for j, x in enumerate(inputs)]
            down = [x - step if j == k else x for j, x in enumerate(inputs)]
            assert_allclose(gradient[i], (total(*up) - total(*down)) / 2e-6, rtol=1e-5, atol=1e-7)


def test_of_normal_reports_the_effects_are_standard_normal_given_all_else():
    _, fast = graphs("normal")
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
