"""Anchored locations: the same density, held where the trials tell of the parameter."""

from __future__ import annotations

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
from nmda_bayes.inference.anchoring import anchor_weights, anchored
from nmda_bayes.inference.prepared import weighable
from nmda_bayes.model import CHEAP, model_of
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.inference.same_density import assert_same_density, at_random

CELLS = specs.parameter("agent_and_condition", optional=True)
AGENT = specs.parameter("agent")


def harm(**parameters: Any) -> AnalysisSpec:
    given = {"slope": CELLS} | parameters
    return specs.spec(specs.outcome("binomial", "linear", parameters=given))


def both() -> AnalysisSpec:
    pain = {"emax": CELLS, "log_ed50": AGENT}
    return specs.spec(
        specs.outcome("normal", "emax", parameters=pain),
        specs.outcome("binomial", "linear", parameters={"slope": AGENT}),
        correlations=specs.LKJ,
    )


CASES = {
    "counts": (harm, specs.binary_table(name="pain")),
    "benefit and harm": (both, specs.both_tables()),
    "baselines that are pooled": (
        lambda: harm(baseline=specs.parameter("study")),
        specs.binary_table(name="pain"),
    ),
}


def built(spec: AnalysisSpec, frame: pd.DataFrame) -> tuple[pm.Model, Any]:
    design = build_design(spec, load_evidence(frame))
    return freeze_dims_and_data(model_of(spec, design)), design


@pytest.mark.parametrize("case", CASES)
def test_the_density_is_the_plain_graphs(case: str):
    spec_of, frame = CASES[case]
    spec = spec_of()
    plain, design = built(spec, frame)
    weights = anchor_weights(plain, spec, design)
    other, _ = built(spec, frame)
    fast = anchored(other, weights)
    names = {fast.rvs_to_values[fast[name]].name for name in weights}
    assert names == {f"{name}_anchored__" for name in weights} != set()
    assert_same_density(plain, fast)


def test_the_coordinate_is_the_weighted_mean_of_the_parameter():
    spec, frame = both(), specs.both_tables()
    plain, design = built(spec, frame)
    weights = anchor_weights(plain, spec, design)
    assert set(weights) == {
        "pain::emax_location",
        "pain::log_ed50_location",
        "harm::slope_location",
    }
    fast = anchored(plain, weights)
    thetas = [fast[name.removesuffix("_location")] for name in weights]
    there = pytensor.function(
        fast.value_vars, fast.replace_rvs_by_values(thetas), on_unused_input="ignore", **CHEAP
    )
    point = at_random(fast, 3)
    found = there(*(point[v.name] for v in fast.value_vars))
    for (name, weight), theta, values in zip(weights.items(), thetas, found, strict=True):
        assert weight.dims == tuple(fast.named_vars_to_dims[theta.name])
        assert_allclose((weight.to_numpy() * values).sum(), point[f"{name}_anchored__"], rtol=1e-12)


class TestWeights:
    FRAME = specs.binary_table(name="pain")

    def of(self, frame: pd.DataFrame, *, without: str = "") -> Any:
        spec = harm()
        design = build_design(spec, load_evidence(frame))
        if without:
            design = weighable(design)
            rows = design["outcomes/pain"]
            rows["weight"] = rows["weight"].where(rows["study"] != without, 0.0)
        return anchor_weights(model_of(spec, design), spec, design)["slope_location"]

    def test_are_shares_of_the_information(self):
        """Of a slope, arms tell dose² n p (1 - p), with half an event more and half a person."""
        found = self.of(self.FRAME)
        assert found.dims == ("agent", "condition")
        arms = self.FRAME[self.FRAME["dose"] > 0]
        p = (arms["events"] + 0.5) / (arms["n"] + 1)
        told = (arms["dose"] ** 2 * arms["n"] * p * (1 - p)).groupby(arms["agent"]).sum()
        share = told["ketamine"] / told.sum()
        assert_allclose(found.sum(), 1.0)
        # Ketamine was tried in one condition, memantine in the other.
        assert_allclose(np.sort(found.to_numpy().ravel()), [0, 0, 1 - share, share], rtol=1e-6)

    def test_a_trial_that_counts_for_nothing_tells_nothing(self):
        found = self.of(self.FRAME, without="C")
        assert (found == 1.0).sum() == 1

    def test_are_equal_where_no_arm_tells(self):
        doses = self.FRAME.assign(dose=self.FRAME["dose"] * 1e-300)
        assert_allclose(self.of(doses), 0.25)


@pytest.mark.parametrize(
    "parameters",
    [
        {"slope": specs.parameter("common")},
        {"slope": specs.parameter("agent", location=specs.prior("LogNormal", mu=0, sigma=1))},
    ],
    ids=["not shared", "another scale"],
)
def test_what_is_not_a_sum_of_a_location_and_more_keeps_its_coordinate(parameters: Any):
    spec = harm(**parameters)
    model, design = built(spec, specs.binary_table(name="pain"))
    assert anchor_weights(model, spec, design) == {}
