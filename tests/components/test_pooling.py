"""Every pooling: its dims, and that its graph can be sampled."""

from __future__ import annotations

import numpy as np
import pytest

from nmda_bayes.components.pooling import POOLINGS
from nmda_bayes.evidence import load_evidence
from nmda_bayes.model import build_model
from tests.support import specs
from tests.support.fits import value_of

OF_AGENTS = sorted(set(POOLINGS) - {"study", "stratum"})
OF_BASELINES = ["common", "independent", "study"]


def graph(name: str, pooling: str, *, optional: bool = False):
    slots, table = specs.parameter(pooling, optional=optional), specs.normal_table()
    if pooling == "stratum":
        slots = specs.parameter(pooling, location=specs.half_normal())
        slots["strata_column"] = "quality"
        table = table.assign(quality=list("aabbbaa"))
    outcome = specs.outcome("normal", "linear", parameters={name: slots})
    spec = specs.spec(outcome, classes={"ketamine": "aryl", "mem": "adamantane"})
    return build_model(spec, load_evidence(table))


def assert_can_be_sampled(model):
    point = model.initial_point()
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(point))
    gradient = model.compile_dlogp(mode="FAST_COMPILE")(point)
    assert gradient.shape == (sum(np.size(v) for v in point.values()),)
    assert np.isfinite(gradient).all()


def test_lists_are_complete():
    assert {*OF_AGENTS, *OF_BASELINES, "stratum"} == set(POOLINGS)


@pytest.mark.parametrize("name", OF_AGENTS)
def test_parameter_has_dims_of_its_pooling(name):
    model = graph("slope", name)
    names = {"own": "agent"}
    expected = tuple(names.get(dim, dim) for dim in POOLINGS[name].dims)
    assert model.named_vars_to_dims["slope"] == expected
    assert model.coords["agent"] == ("ketamine", "mem")
    assert model.coords["condition"] == ("crps", "fibro")
    assert_can_be_sampled(model)


@pytest.mark.parametrize("name", OF_BASELINES)
def test_baseline_poolings(name):
    model = graph("baseline", name)
    expected = () if name == "common" else ("study",)
    assert model.named_vars_to_dims["baseline"] == expected
    assert_can_be_sampled(model)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_each_prior_is_one_variable(name):
    of = {"study": "baseline", "stratum": "heterogeneity_sd"}.get(name, "slope")
    model = graph(of, name)
    part = POOLINGS[name]
    free = {v.name for v in model.free_RVs}
    if len(part.priors) == 1:  # the parameter is its only prior
        assert of in free
    else:
        assert {f"{of}_{slot}" for slot in part.priors} <= free
        assert of not in free


def test_optional_interaction():
    plain, crossed = (graph("slope", "agent_and_condition", optional=o) for o in (False, True))
    added = {v.name for v in crossed.free_RVs} - {v.name for v in plain.free_RVs}
    assert added == {"slope_between_cells", "slope_agent_condition_offset"}
    assert crossed.named_vars_to_dims["slope_agent_condition_offset"] == ("agent", "condition")
    assert crossed.named_vars_to_dims["slope"] == ("agent", "condition")
    assert_can_be_sampled(crossed)


def test_crossed_pooling_by_hand():
    model = graph("slope", "agent_and_condition", optional=True)
    point = {
        "slope_location": np.array(-2.0),
        "slope_between_agent_log__": np.log(0.5),
        "slope_between_condition_log__": np.log(2.0),
        "slope_between_cells_log__": np.log(0.1),
        "slope_agent_offset": np.array([1.0, -1.0]),
        "slope_condition_offset": np.array([0.0, 3.0]),
        "slope_agent_condition_offset": np.array([[1.0, 2.0], [3.0, 4.0]]),
    }
    slope = value_of(model, "slope", point)
    # -2 + 0.5 z[agent] + 2 z[condition] + 0.1 z[agent, condition]
    expected = np.array(
        [[-2 + 0.5 + 0 + 0.1, -2 + 0.5 + 6 + 0.2], [-2 - 0.5 + 0 + 0.3, -2 - 0.5 + 6 + 0.4]]
    )
    np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_natural_scale_parameter():
    ed50 = specs.parameter("independent", each=specs.prior("LogNormal", mu=0, sigma=1))
    spec = specs.outcome("normal", "emax", parameters={"ed50": ed50})
    del spec["parameters"]["log_ed50"]
    model = build_model(specs.spec(spec), load_evidence(specs.normal_table()))
    assert model.named_vars_to_dims["ed50"] == ("agent",)
    assert model.named_vars_to_dims["log_ed50"] == ("agent",)
    assert_can_be_sampled(model)
