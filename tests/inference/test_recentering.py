"""Recentred locations: the same density, and weights in proportion to information."""

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
from nmda_bayes.inference.nuts import with_weights
from nmda_bayes.inference.reparameterisation import recenter_locations, recentering_weights
from nmda_bayes.model import PY_MODE, build_model_from_design
from nmda_bayes.spec import AnalysisSpec
from tests.inference.same_density import assert_same_density, at_random
from tests.support import specs

CELLS = specs.parameter("agent_and_condition", optional=True)
AGENT = specs.parameter("agent")


def harm(**parameters: Any) -> AnalysisSpec:
    parameters = {"slope": CELLS} | parameters
    return specs.spec(specs.outcome("binomial", "linear", parameters=parameters))


def both() -> AnalysisSpec:
    pain = {"emax": CELLS, "log_ed50": AGENT}
    return specs.spec(
        specs.outcome("normal", "emax", parameters=pain),
        specs.outcome("binomial", "linear", parameters={"slope": AGENT}),
        correlations=specs.LKJ,
    )


def means_of_arms() -> AnalysisSpec:
    outcome = specs.outcome(
        "binomial", "linear", parameters={"slope": CELLS}, baseline="mean_of_arms"
    )
    return specs.spec(outcome)


CASES = {
    "counts": (harm, specs.binary_table(name="pain")),
    "means of arms": (means_of_arms, specs.binary_table(name="pain")),
    "benefit and harm": (both, specs.both_tables()),
    "pooled baselines": (
        lambda: harm(baseline=specs.parameter("study")),
        specs.binary_table(name="pain"),
    ),
}


def built(spec: AnalysisSpec, frame: pd.DataFrame) -> tuple[pm.Model, Any]:
    design = build_design(spec, load_evidence(frame))
    return freeze_dims_and_data(build_model_from_design(spec, design)), design


@pytest.mark.parametrize("case", CASES)
def test_density_is_unchanged(case: str):
    spec_of, frame = CASES[case]
    spec = spec_of()
    plain, design = built(spec, frame)
    weights = recentering_weights(plain, spec, design)
    other, _ = built(spec, frame)
    fast = recenter_locations(other, weights)
    names = {fast.rvs_to_values[fast[name]].name for name in weights}
    assert names == {f"{name}_recentered__" for name in weights} != set()
    assert_same_density(plain, fast)


def test_coordinate_is_the_weighted_mean():
    spec, frame = both(), specs.both_tables()
    plain, design = built(spec, frame)
    weights = recentering_weights(plain, spec, design)
    assert set(weights) == {
        "pain::emax_location",
        "pain::log_ed50_location",
        "harm::slope_location",
    }
    fast = recenter_locations(plain, weights)
    thetas = [fast[name.removesuffix("_location")] for name in weights]
    evaluate = pytensor.function(
        fast.value_vars, fast.replace_rvs_by_values(thetas), on_unused_input="ignore", mode=PY_MODE
    )
    point = at_random(fast, 3)
    values = evaluate(*(point[v.name] for v in fast.value_vars))
    for (name, weight), theta, value in zip(weights.items(), thetas, values, strict=True):
        assert weight.dims == tuple(fast.named_vars_to_dims[theta.name])
        assert_allclose(
            (weight.to_numpy() * value).sum(), point[f"{name}_recentered__"], rtol=1e-12
        )


class TestWeights:
    FRAME = specs.binary_table(name="pain")

    def weights(self, frame: pd.DataFrame, *, without: str = "") -> Any:
        spec = harm()
        design = build_design(spec, load_evidence(frame))
        if without:
            design = with_weights(design)
            rows = design["outcomes/pain"]
            rows["weight"] = rows["weight"].where(rows["study"] != without, 0.0)
        return recentering_weights(build_model_from_design(spec, design), spec, design)[
            "slope_location"
        ]

    def test_are_shares_of_the_information(self):
        """Of a slope: dose² n p (1 - p), p with half an event and one person added."""
        weights = self.weights(self.FRAME)
        assert weights.dims == ("agent", "condition")
        arms = self.FRAME[self.FRAME["dose"] > 0]
        p = (arms["events"] + 0.5) / (arms["n"] + 1)
        information = (arms["dose"] ** 2 * arms["n"] * p * (1 - p)).groupby(arms["agent"]).sum()
        share = information["ketamine"] / information.sum()
        assert_allclose(weights.sum(), 1.0)
        # Ketamine was tried in one condition, memantine in the other.
        assert_allclose(np.sort(weights.to_numpy().ravel()), [0, 0, 1 - share, share], rtol=1e-6)

    def test_a_trial_of_weight_0_has_no_information(self):
        weights = self.weights(self.FRAME, without="C")
        assert (weights == 1.0).sum() == 1

    def test_are_equal_without_information(self):
        doses = self.FRAME.assign(dose=self.FRAME["dose"] * 1e-300)
        assert_allclose(self.weights(doses), 0.25)


@pytest.mark.parametrize(
    "parameters",
    [
        {"slope": specs.parameter("common")},
        {"slope": specs.parameter("agent", location=specs.prior("LogNormal", mu=0, sigma=1))},
    ],
    ids=["not shared", "another scale"],
)
def test_other_parameters_are_not_recentred(parameters: Any):
    spec = harm(**parameters)
    model, design = built(spec, specs.binary_table(name="pain"))
    assert recentering_weights(model, spec, design) == {}
