"""Arms on axes of concentration: numbers by hand, reasons in words, faults at their keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.pharmacokinetics import exposures, published_model
from nmda_bayes.spec import AnalysisSpec
from tests import specs
from tests.conftest import faults_when

KINETICS = {
    "model": {
        "ketamine": "Simons2022",
        "s_ketamine": {"iv": "Simons2022", "intranasal": "PerezRuixo2021"},
        "magnesium_sulfate": "Du2019Mg",
    },
    "uncertainty": "fixed",
    "body_weight_kg": 70,
    "reference": {
        "ketamine": {"iv": "0.5 mg/kg over 40 min"},
        "s_ketamine": {"iv": "0.25 mg/kg over 40 min"},
        "magnesium_sulfate": {"iv": "70 mg/kg over 4 h"},
    },
    "relative_dose": ["memantine"],
}


@pytest.fixture(scope="module")
def evidence():
    return load_evidence()


def spec_of(exposure: str, **kinetics: Any) -> AnalysisSpec:
    harm = specs.outcome(
        "binomial", "linear", exposure=exposure,
        measures=["psychotomimetic_any", "dissociation", "hallucination"],
    )  # fmt: skip
    return specs.spec(
        harm,
        pharmacokinetics={**KINETICS, **kinetics},
        select={"study": ["Motov2017", "Clattenburg2018", "Sigtermans2009", "Fedgchin2019",
                          "Siddiqui2015"]},
        disconnected="allow",
    )  # fmt: skip


def arms_of(evidence: Any, exposure: str, **kinetics: Any) -> Any:
    design = build_design(spec_of(exposure, **kinetics), evidence)
    return design["outcomes/pain"].to_dataset(), design["left_out"].to_dataset()


def test_a_push_and_an_infusion_of_one_dose_part_by_their_peaks(evidence):
    arms, _ = arms_of(evidence, "peak_concentration")
    peak = arms["exposure"].to_series()
    model = published_model("Simons2022", evidence)
    for study, push, infusion in (("Motov2017", 4, 15), ("Clattenburg2018", 1, 15)):
        for arm, minutes in (("push", push), ("infusion", infusion)):
            one = exposures(f"0.3 mg/kg over {minutes} min", model, agent="ketamine")
            assert_allclose(peak[f"{study}: {arm}"], float(one["peak_concentration"][0]), rtol=1e-6)
    assert peak["Clattenburg2018: push"] > 4 * peak["Clattenburg2018: infusion"]
    assert (peak[arms["agent"].to_series() == "placebo"] == 0).all()


def test_relative_means_in_multiples_of_the_reference_regimen(evidence):
    absolute, _ = arms_of(evidence, "peak_concentration")
    relative, _ = arms_of(evidence, "peak_concentration_relative_to_reference")
    model = published_model("Simons2022", evidence)
    one = {
        agent: float(
            exposures(text, model, agent=agent)["peak_concentration"].sel(analyte="s_ketamine")
        )
        for agent, text in (
            ("ketamine", "0.5 mg/kg over 40 min"),
            ("s_ketamine", "0.25 mg/kg over 40 min"),
        )
    }
    # Half of a racemate is S-ketamine: the two references are one concentration.
    assert_allclose(one["ketamine"], one["s_ketamine"], rtol=1e-9)
    assert_allclose(relative["exposure"] * one["ketamine"], absolute["exposure"], rtol=1e-9)


def test_what_cannot_be_worked_out_is_left_out_with_its_own_reason(evidence):
    arms, left_out = arms_of(evidence, "peak_concentration")
    assert "Fedgchin2019: esk56" not in arms["arm"].to_numpy()
    reasons = dict(zip(left_out["arm"].to_numpy(), left_out["reason"].to_numpy(), strict=True))
    assert "the schedule does not say how" in reasons["Fedgchin2019: esk56"]
    _, of_averages = arms_of(evidence, "average_concentration")
    reasons = dict(
        zip(of_averages["arm"].to_numpy(), of_averages["reason"].to_numpy(), strict=True)
    )
    assert reasons["Siddiqui2015: ket"] == "a single dose has no length to average over"


def test_a_dosing_day_at_once_is_a_key_of_the_spec_and_is_flagged(evidence):
    arms, _ = arms_of(evidence, "peak_concentration", dosing_day="at_once")
    at = list(arms["arm"].to_numpy())
    peak, note = arms["exposure"].to_series(), arms["dose_note"].to_series()
    model = published_model("PerezRuixo2021", evidence)
    single = exposures("84 mg", model, route="intranasal")["peak_concentration"]
    assert_allclose(peak["Fedgchin2019: esk84"], float(single[0]), rtol=1e-6)
    assert "as if given at once" in note["Fedgchin2019: esk84"]
    assert "as if given at once" not in note["Motov2017: push"]
    assert arms["schedule"].to_numpy()[at.index("Fedgchin2019: esk84")] == "84 mg"


def test_an_agent_without_a_model_takes_its_relative_dose_where_that_is_declared(evidence):
    pain = specs.outcome(
        "normal", "linear", exposure="average_concentration_relative_to_reference",
        measures=["pain_intensity"], scale=[0, 100],
    )  # fmt: skip

    def chosen(**kinetics: Any) -> Any:
        spec = specs.spec(
            pain,
            pharmacokinetics={**KINETICS, **kinetics},
            select={"study": ["Maier2003", "Sigtermans2009", "APMSeoul2022"]},
        )
        return build_design(spec, evidence)

    design = chosen()
    arms = design["outcomes/pain"].to_dataset()
    exposure, note = arms["exposure"].to_series(), arms["dose_note"].to_series()
    assert exposure["Maier2003: mem"] == 1.5  # 30 mg a day over 20 mg
    assert note["Maier2003: mem"] == (
        "its relative dose stands in for a relative concentration"
        " (no pharmacokinetic model of memantine is named)"
    )
    assert note["APMSeoul2022: magnesium"] == "counted up to the reading at 6 h of 25 h"
    left_out = chosen(relative_dose=[])["left_out"].to_dataset().to_dataframe()
    said = left_out.loc[left_out["arm"] == "Maier2003: mem", "reason"]
    assert "no pharmacokinetic model of memantine is named" in set(said)


@pytest.mark.parametrize(
    ("kinetics", "column", "words"),
    [
        ({"model": {"s_ketamine": "PerezRuixo2021"}}, "pharmacokinetics.model.ketamine.iv",
         ["not made for you", "Domino", "Kamp2020meta", "Simons2022"]),
        ({"model": {**KINETICS["model"], "ketamine": "Simon2022"}},
         "pharmacokinetics.model.ketamine", ["no published model", "Simons2022"]),
        ({"model": {**KINETICS["model"], "ketamine": "terHeine2014"}},
         "pharmacokinetics.model.ketamine", ["is of dextromethorphan, not of ketamine", "Domino"]),
        ({"model": {**KINETICS["model"], "s_ketamine": {"intranasal": "Simons2022"}}},
         "pharmacokinetics.model.s_ketamine.intranasal",
         ["no absorption for the route 'intranasal'", "PerezRuixo2021"]),
        ({"reference": {"ketamine": {"iv": "0.5 mg/kg over 40 min"}}},
         "pharmacokinetics.reference.s_ketamine", ["no reference regimen"]),
        ({"reference": {**KINETICS["reference"], "ketamine": {"iv": "0.5 mg/kg"}}},
         "pharmacokinetics.reference.ketamine.iv", ["how long an intravenous dose took"]),
    ],
)  # fmt: skip
def test_what_the_spec_has_to_say_of_models_is_asked_at_its_key(evidence, kinetics, column, words):
    spec = spec_of("peak_concentration_relative_to_reference", **kinetics)
    faults = faults_when(lambda: build_design(spec, evidence), SpecError)
    (fault,) = [fault for fault in faults if fault.column == column]
    assert all(word in str(fault) for word in words)


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        ({"pharmacokinetics": None}, "pharmacokinetics", ["names none", "Kamp2020meta"]),
        ({"pharmacokinetics": KINETICS | {"reference": {}}}, "pharmacokinetics.reference",
         ["relative, and no reference regimen"]),
        ({"pharmacokinetics": KINETICS | {"reference": {"ketamine": {"iv": "-1 mg/kg"}}}},
         "pharmacokinetics.reference.ketamine.iv", ["an amount or a rate", "'-1'"]),
        ({"pharmacokinetics": KINETICS | {"reference": {"ketamine": {"iv": "1 mg", "im": "1 mg"}}}},
         "pharmacokinetics.reference.ketamine", ["2 routes"]),
    ],
)  # fmt: skip
def test_a_spec_alone_is_held_to_its_exposures(change, column, words):
    part = specs.outcome(curve="linear", exposure="peak_concentration_relative_to_reference")
    content = specs.content(part) | change
    if change["pharmacokinetics"] is None:
        del content["pharmacokinetics"]
    faults = faults_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    (fault,) = [fault for fault in faults if fault.column == column]
    assert all(word in str(fault) for word in words)


def test_a_table_without_schedules_says_so():
    spec = specs.spec(
        specs.outcome(curve="linear", exposure="peak_concentration"), pharmacokinetics=KINETICS
    )
    table = specs.normal_table().query("agent != 'mem'")
    faults = faults_when(lambda: build_design(spec, load_evidence(table)), EvidenceError)
    assert "no schedule" in str(faults[0])
    assert np.isfinite(table["dose"]).all()
