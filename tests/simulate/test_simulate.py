"""Simulated evidence: marked as synthetic, readable by its spec, reproducible."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.simulate import simulate_evidence, true_parameters
from tests.support import specs

CASES = {
    "one outcome": (lambda: specs.spec(), specs.normal_table()),
    "two outcomes": (lambda: specs.benefit_risk(correlations=specs.LKJ), specs.both_tables()),
    "contrasts": (lambda: specs.spec(specs.outcome("normal_contrast", "linear")), specs.CONTRASTS),
    "no doses": (
        lambda: specs.spec(specs.outcome("binomial", "constant")),
        specs.binary_table(name="pain").drop(columns="dose").drop(index=[4]),
    ),
    "scaled, timed, renamed": (
        lambda: specs.spec(
            specs.outcome(scale=[0, 100], time={"rule": "latest"}, measures=["vas"]),
            select={"condition": "crps"},
            agents={"mem": "ketamine"},
        ),
        specs.normal_table(name="vas").assign(
            scale_min=0, scale_max=100, time_hours=24, n_administrations=1
        ),
    ),
}


@cache
def analysis(name: str):
    make, table = CASES[name]
    return make(), load_evidence(table)


@cache
def simulated(name: str, seed: int):
    return simulate_evidence(*analysis(name), seed=seed)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return request.param


def test_simulated_table_gives_same_design(case: str):
    spec, evidence = analysis(case)
    table, truth, new_spec = simulated(case, 3)
    assert new_spec.title.startswith("Simulated from: ")
    before, after = build_design(spec, evidence), build_design(new_spec, load_evidence(table))
    assert after["excluded"].sizes["row"] == 0
    for name in spec.outcomes:
        first, second = (tree[f"outcomes/{name}"].to_dataset() for tree in (before, after))
        assert first.sizes == second.sizes
        for column in ("study", "agent", "condition", "exposure", "se", "n"):
            if column in first:
                assert first[column].to_numpy().tolist() == second[column].to_numpy().tolist(), (
                    column
                )
    xr.testing.assert_equal(before["labels"].to_dataset(), after["labels"].to_dataset())
    assert not any(str(name).endswith("_offset") for name in truth.data_vars)


def test_rows_are_marked_synthetic(case: str):
    table, _, _ = simulated(case, 3)
    assert (table["synthetic"] == 1).all()
    kept = load_evidence(table)
    rows = "contrasts" if "estimate" in table else "results"
    assert (kept[rows]["synthetic"] == 1).all()


def test_same_seed_gives_same_table(case: str):
    first, other = simulated(case, 3), simulated(case, 5)
    second = simulate_evidence(*analysis(case), seed=3)
    pd.testing.assert_frame_equal(first[0], second[0])
    xr.testing.assert_equal(first[1], second[1])
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(first[0], other[0])


def test_default_seed_is_that_of_the_spec():
    spec, evidence = specs.spec(), load_evidence(specs.normal_table())
    pd.testing.assert_frame_equal(
        simulate_evidence(spec, evidence)[0],
        simulate_evidence(spec, evidence, seed=spec.sampling.seed)[0],
    )


def test_rows_match_the_truth():
    wide = pd.concat(
        [specs.normal_table().assign(study=specs.TRIALS["study"] + str(i)) for i in range(40)]
    )
    spec = specs.spec(specs.outcome("normal", "linear"))
    table, truth, _ = simulate_evidence(spec, load_evidence(wide), seed=1)
    residual = (table["mean"] - truth["eta"].to_numpy()) / table["se"]
    # 280 standard normals: standard errors of mean and variance 1 / √280 and √(2 / 280).
    assert abs(residual.mean()) < 4 / np.sqrt(280)
    assert abs(residual.var() - 1) < 4 * np.sqrt(2 / 280)


def test_true_parameters():
    _, truth, _ = simulate_evidence(specs.spec(), load_evidence(specs.normal_table()), seed=1)
    listed = true_parameters(truth).set_index(["variable", "at"])["value"]
    assert len(listed) == sum(array.size for array in truth.data_vars.values())
    assert listed["emax", ""] == float(truth["emax"])
    assert listed["baseline", "study=B"] == float(truth["baseline"].sel(study="B"))
