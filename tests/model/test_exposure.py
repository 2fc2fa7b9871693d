"""Exposures in the graph: the numbers of the design at the published values, and their slopes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import reasons_against
from nmda_bayes.model import model_of
from nmda_bayes.pharmacokinetics import published_model
from nmda_bayes.pharmacokinetics.parameter import log_sd
from nmda_bayes.pharmacokinetics.readings import Read, Readings
from tests import specs
from tests.conftest import value_of

EXPOSURE = "peak_concentration_relative_to_reference"
FORTY = "0.5 mg/kg over 40 min"


@pytest.fixture(scope="module")
def evidence() -> Any:
    return load_evidence()


def spec_of(uncertainty: str, exposure: str = EXPOSURE, ketamine: str = "Simons2022") -> Any:
    risk = specs.outcome(
        "binomial", "linear", exposure=exposure, measures=["psychotomimetic_any", "dissociation"]
    )
    return specs.spec(
        risk,
        select={"study": ["Motov2017", "Clattenburg2018"]},
        disconnected="allow",
        pharmacokinetics={
            "model": {"ketamine": ketamine}, "uncertainty": uncertainty, "body_weight_kg": 70,
            "reference": {"ketamine": {"iv": FORTY}},
        },
    )  # fmt: skip


def test_the_graph_has_the_exposures_of_the_design_and_moves_them_with_its_parameters(evidence):
    spec = spec_of("published")
    design = build_design(spec, evidence)
    arms = design["outcomes/pain"].to_dataset()
    model = model_of(spec, design)
    assert model.named_vars_to_dims["exposure"] == ("arm",)
    assert_allclose(value_of(model, "exposure", {}), arms["exposure"], rtol=1e-9)
    kinetic = published_model("Simons2022", evidence)
    moved = {"V1": 1.5, "CL": -0.7}
    point = {f"Simons2022::{symbol}_offset": np.array(z) for symbol, z in moved.items()}
    bases = {
        symbol: parameter.value * np.exp(log_sd(parameter, "typical") * moved[symbol])
        for (analyte, symbol), parameter in kinetic.parameters.items()
        if analyte == "s_ketamine" and symbol in moved
    }
    columns = (arms[c].to_numpy() for c in ("agent_given", "schedule", "read_at"))
    reads = [Read(*row) for row in zip(*columns, strict=True)]
    by_hand = Readings.of([*reads, Read("ketamine", FORTY, np.nan)], kinetic, route="iv", weight=70)
    value = by_hand.value("peak_concentration", bases)
    assert_allclose(value_of(model, "exposure", point), value[:-1] / value[-1], rtol=1e-9)


@pytest.mark.parametrize(
    ("spec", "kinetic"),
    [
        (spec_of("published"), 6),
        (spec_of("fixed"), 0),
        # No standard error of it is published: there is nothing to draw.
        (spec_of("published", ketamine="Kamp2020meta"), 0),
    ],
)
def test_a_parameter_has_a_prior_where_its_error_is_published_and_wanted(evidence, spec, kinetic):
    model = model_of(spec, build_design(spec, evidence))
    found = [variable.name for variable in model.free_RVs if "::" in str(variable.name)]
    assert len(found) == kinetic
    assert ("exposure" in model.named_vars) == bool(kinetic)


@pytest.mark.parametrize("at_site", [False, True])
def test_slopes_by_kinetic_parameters_are_those_of_finite_differences(evidence, at_site):
    """Peaks of an infusion, of a train whose last peaks nearly tie, and of bolus and infusion."""
    kinetic = published_model("Simons2022", evidence)
    kinetic = kinetic.with_effect_site(0.1, 0.5) if at_site else kinetic
    schedules = (
        FORTY,
        "0.35 mg/kg/h for 4 h, 10 days",
        "bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h",
    )
    arms = [Read("ketamine", text, np.nan) for text in schedules]
    readings = Readings.of(arms, kinetic, route="iv", weight=70.0)
    symbols = readings.symbols
    site = ("effect_site_half_life",) if at_site else ()
    assert symbols == ("V1", "V2", "V3", "CL", "Q2", "Q3", *site)
    values = np.array([kinetic.parameters["s_ketamine", symbol].value for symbol in symbols])
    variables = [pt.dscalar(symbol) for symbol in symbols]
    weights = np.array([1.0, 2.0, -0.5])
    kind = "peak_concentration"
    total = (readings.value(kind, dict(zip(symbols, variables, strict=True)), pt) * weights).sum()
    slopes = pytensor.function(variables, pytensor.grad(total, variables), mode="FAST_COMPILE")

    def by_numpy(at: np.ndarray) -> float:
        return float(readings.value(kind, dict(zip(symbols, at, strict=True))) @ weights)

    step = 1e-5 * values
    differences = [
        (by_numpy(values + h) - by_numpy(values - h)) / (2 * h.sum()) for h in np.diag(step)
    ]
    # Central differences err by the square of the step, and by rounding over it: 1e-10 / 1e-5.
    assert_allclose(slopes(*values), differences, rtol=2e-5, atol=1e-6)


def test_uncertain_concentrations_cannot_be_integrated_exactly_and_that_is_said(evidence):
    spec = spec_of("published")
    reasons = reasons_against(spec, build_design(spec, evidence))
    assert any("kinetic parameters have priors" in reason for reason in reasons)
    spec = spec_of("fixed")
    reasons = reasons_against(spec, build_design(spec, evidence))
    assert not any("kinetic" in reason for reason in reasons)
