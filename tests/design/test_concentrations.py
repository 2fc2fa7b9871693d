"""Concentrations of arms: values, exclusions, and errors of the models and regimens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmda_bayes.design import build_design
from nmda_bayes.design.pk_exposure import RELATIVE_DOSE_NOTE, SINGLE_DOSE_NOTE
from nmda_bayes.errors import EvidenceError, SpecError
from nmda_bayes.evidence import load_evidence
from nmda_bayes.pk import published_pk_model, summarise_exposure
from nmda_bayes.spec import AnalysisSpec
from tests.support import specs
from tests.support.issues import issues_when

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

MODEL = KINETICS["model"]


@pytest.fixture(scope="module")
def evidence():
    return load_evidence()


def spec_of(exposure: str, **kinetics: Any) -> AnalysisSpec:
    measures = ["psychotomimetic_any", "dissociation", "hallucination"]
    harm = specs.outcome("binomial", "linear", exposure=exposure, measures=measures)
    studies = "Motov2017 Clattenburg2018 Sigtermans2009 Fedgchin2019 Siddiqui2015"
    return specs.spec(
        harm,
        pharmacokinetics={**KINETICS, **kinetics},
        select={"study": studies.split()},
        disconnected="allow",
    )


def arms_of(evidence: Any, exposure: str, **kinetics: Any) -> Any:
    design = build_design(spec_of(exposure, **kinetics), evidence)
    excluded = design["excluded"].to_dataset().to_dataframe()
    return design["outcomes/pain"].to_dataset(), excluded.set_index("arm")["step"].to_dict()


def test_peaks_of_a_push_and_an_infusion(evidence):
    arms, _ = arms_of(evidence, "peak_concentration")
    peak = arms["exposure"].to_series()
    model = published_pk_model("Simons2022", evidence)
    for study, push, infusion in (("Motov2017", 4, 15), ("Clattenburg2018", 1, 15)):
        for arm, minutes in (("push", push), ("infusion", infusion)):
            table = summarise_exposure(f"0.3 mg/kg over {minutes} min", model, agent="ketamine")
            expected = float(table["peak_concentration"][0])
            assert_allclose(peak[f"{study}: {arm}"], expected, rtol=1e-6)
    assert peak["Clattenburg2018: push"] > 4 * peak["Clattenburg2018: infusion"]
    assert (peak[arms["agent"].to_series() == "placebo"] == 0).all()


def test_relative_exposure_is_a_multiple_of_the_reference(evidence):
    absolute, _ = arms_of(evidence, "peak_concentration")
    relative, _ = arms_of(evidence, "peak_concentration_relative_to_reference")
    model = published_pk_model("Simons2022", evidence)
    racemic, s_ketamine = (
        float(
            summarise_exposure(f"{dose} mg/kg over 40 min", model, agent=agent)[
                "peak_concentration"
            ].sel(analyte="s_ketamine")
        )
        for agent, dose in (("ketamine", 0.5), ("s_ketamine", 0.25))
    )
    # Half of the racemate is S-ketamine: both references have the same concentration.
    assert_allclose(racemic, s_ketamine, rtol=1e-9)
    assert_allclose(relative["exposure"] * racemic, absolute["exposure"], rtol=1e-9)


def test_arms_without_a_concentration_are_excluded(evidence):
    arms, steps = arms_of(evidence, "peak_concentration")
    assert "Fedgchin2019: esk56" not in arms["arm"].to_numpy()
    assert steps["Fedgchin2019: esk56"] == "known_exposure"
    assert "Siddiqui2015: ket" not in steps
    _, steps = arms_of(evidence, "average_concentration")
    assert steps["Siddiqui2015: ket"] == "known_exposure"  # a single dose has no average


def test_dosing_day_as_a_single_dose(evidence):
    arms, _ = arms_of(evidence, "peak_concentration", dosing_day="at_once")
    peak, note = arms["exposure"].to_series(), arms["dose_note"].to_series()
    model = published_pk_model("PerezRuixo2021", evidence)
    single = summarise_exposure("84 mg", model, route="intranasal")["peak_concentration"]
    assert_allclose(peak["Fedgchin2019: esk84"], float(single[0]), rtol=1e-6)
    assert SINGLE_DOSE_NOTE in note["Fedgchin2019: esk84"]
    assert SINGLE_DOSE_NOTE not in note["Motov2017: push"]
    assert arms["schedule"].to_series()["Fedgchin2019: esk84"] == "84 mg"


def test_relative_dose_in_place_of_a_concentration(evidence):
    exposure = "average_concentration_relative_to_reference"
    pain = specs.outcome(
        "normal", "linear", exposure=exposure, measures=["pain_intensity"], scale=[0, 100]
    )

    def design_of(**kinetics: Any) -> Any:
        spec = specs.spec(
            pain,
            pharmacokinetics={**KINETICS, **kinetics},
            select={"study": ["Maier2003", "Sigtermans2009", "APMSeoul2022"]},
        )
        return build_design(spec, evidence)

    arms = design_of()["outcomes/pain"].to_dataset()
    exposure, note = arms["exposure"].to_series(), arms["dose_note"].to_series()
    assert exposure["Maier2003: mem"] == 1.5  # 30 mg a day over 20 mg
    assert note["Maier2003: mem"].startswith(RELATIVE_DOSE_NOTE)
    assert "6 h of 25 h" in note["APMSeoul2022: magnesium"]
    excluded = design_of(relative_dose=[])["excluded"].to_dataset().to_dataframe()
    assert "known_exposure" in set(excluded.loc[excluded["arm"] == "Maier2003: mem", "step"])


REFERENCE = KINETICS["reference"]


@pytest.mark.parametrize(
    ("kinetics", "column", "code", "suggested"),
    [
        ({"model": {"s_ketamine": "PerezRuixo2021"}}, "model.ketamine.iv", "E430", "Kamp2020meta"),
        ({"model": {**MODEL, "ketamine": "Simon2022"}}, "model.ketamine", "E434", "Simons2022"),
        ({"model": {**MODEL, "ketamine": "terHeine2014"}}, "model.ketamine", "E435", "Domino"),
        (
            {"model": {**MODEL, "s_ketamine": {"intranasal": "Simons2022"}}},
            "model.s_ketamine.intranasal",
            "E436",
            "PerezRuixo2021",
        ),
        (
            {"reference": {"ketamine": {"iv": "0.5 mg/kg over 40 min"}}},
            "reference.s_ketamine",
            "E431",
            "",
        ),
        (
            {"reference": {**REFERENCE, "ketamine": {"iv": "0.5 mg/kg"}}},
            "reference.ketamine.iv",
            "E438",
            "",
        ),
        (
            {"reference": {**REFERENCE, "memantine": {"oral": "20 mg"}}},
            "reference.memantine.oral",
            "E437",
            "memantine",
        ),
    ],
)
def test_models_and_reference_regimens_are_checked(evidence, kinetics, column, code, suggested):
    spec = spec_of("peak_concentration_relative_to_reference", **kinetics)
    issues = issues_when(lambda: build_design(spec, evidence), SpecError)
    (issue,) = [issue for issue in issues if issue.column == f"pharmacokinetics.{column}"]
    assert issue.code == code
    assert suggested in issue.hint


@pytest.mark.parametrize(
    ("reference", "column", "code"),
    [
        (None, "pharmacokinetics", "E390"),
        ({}, "pharmacokinetics.reference", "E391"),
        ({"ketamine": {"iv": "-1 mg/kg"}}, "pharmacokinetics.reference.ketamine.iv", "E393"),
        (
            {"ketamine": {"iv": "1 mg", "im": "1 mg"}},
            "pharmacokinetics.reference.ketamine",
            "E392",
        ),
    ],
)
def test_spec_without_models_or_reference_regimens(reference, column, code):
    part = specs.outcome(curve="linear", exposure="peak_concentration_relative_to_reference")
    content = specs.content(part)
    if reference is not None:
        content["pharmacokinetics"] = KINETICS | {"reference": reference}
    issues = issues_when(lambda: AnalysisSpec.from_dict(content), SpecError)
    assert [issue.code for issue in issues if issue.column == column] == [code]


def test_a_table_without_schedules():
    spec = specs.spec(
        specs.outcome(curve="linear", exposure="peak_concentration"), pharmacokinetics=KINETICS
    )
    table = specs.normal_table().query("agent != 'mem'")
    issues = issues_when(lambda: build_design(spec, load_evidence(table)), EvidenceError)
    assert issues[0].code == "E400"
    assert np.isfinite(table["dose"]).all()
