"""Exposures in the graph: values at the published parameters, and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.evidence import load_evidence
from nmda_bayes.inference.exact import exact_obstacles
from nmda_bayes.model import build_model_from_design
from nmda_bayes.pk import published_pk_model
from nmda_bayes.pk.exposures import ArmBatch, ArmSchedule
from nmda_bayes.pk.structure import log_sd
from tests.support import specs
from tests.support.fits import value_of

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
            "model": {"ketamine": ketamine},
            "uncertainty": uncertainty,
            "body_weight_kg": 70,
            "reference": {"ketamine": {"iv": FORTY}},
        },
    )


def test_graph_exposure_equals_design(evidence):
    spec = spec_of("published")
    design = build_design(spec, evidence)
    arms = design["outcomes/pain"].to_dataset()
    model = build_model_from_design(spec, design)
    assert model.named_vars_to_dims["exposure"] == ("arm",)
    assert_allclose(value_of(model, "exposure", {}), arms["exposure"], rtol=1e-9)
    kinetic = published_pk_model("Simons2022", evidence)
    moved = {"V1": 1.5, "CL": -0.7}
    point = {f"Simons2022::{symbol}_offset": np.array(z) for symbol, z in moved.items()}
    bases = {
        symbol: parameter.value * np.exp(log_sd(parameter, "typical") * moved[symbol])
        for (analyte, symbol), parameter in kinetic.parameters.items()
        if analyte == "s_ketamine" and symbol in moved
    }
    columns = (arms[c].to_numpy() for c in ("agent_given", "schedule", "read_at"))
    reads = [ArmSchedule(*row) for row in zip(*columns, strict=True)]
    by_hand = ArmBatch.of(
        [*reads, ArmSchedule("ketamine", FORTY, np.nan)], kinetic, route="iv", weight=70
    )
    value = by_hand.value("peak_concentration", bases)
    assert_allclose(value_of(model, "exposure", point), value[:-1] / value[-1], rtol=1e-9)


@pytest.mark.parametrize(
    ("spec", "kinetic"),
    [
        (spec_of("published"), 6),
        (spec_of("fixed"), 0),
        # Without a published standard error it is fixed.
        (spec_of("published", ketamine="Kamp2020meta"), 0),
    ],
)
def test_pk_priors_where_errors_are_published(evidence, spec, kinetic):
    model = build_model_from_design(spec, build_design(spec, evidence))
    names = [variable.name for variable in model.free_RVs if "::" in str(variable.name)]
    assert len(names) == kinetic
    assert ("exposure" in model.named_vars) == bool(kinetic)


@pytest.mark.parametrize("at_site", [False, True])
def test_pk_gradients_match_finite_differences(evidence, at_site):
    """Peaks of an infusion, of repeated doses, and of a bolus with infusion."""
    kinetic = published_pk_model("Simons2022", evidence)
    kinetic = kinetic.with_effect_site(0.1, 0.5) if at_site else kinetic
    schedules = (
        FORTY,
        "0.35 mg/kg/h for 4 h, 10 days",
        "bolus 0.1 mg/kg, then 0.15 mg/kg/h for 1 h",
    )
    arms = [ArmSchedule("ketamine", text, np.nan) for text in schedules]
    readings = ArmBatch.of(arms, kinetic, route="iv", weight=70.0)
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


def test_exact_engine_refuses_uncertain_exposure(evidence):
    spec = spec_of("published")
    reasons = exact_obstacles(spec, build_design(spec, evidence))
    assert any("kinetic parameters have priors" in reason for reason in reasons)
    spec = spec_of("fixed")
    reasons = exact_obstacles(spec, build_design(spec, evidence))
    assert not any("kinetic" in reason for reason in reasons)
