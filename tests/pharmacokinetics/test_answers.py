"""Published concentrations, exposures, draws, arms, and the faults of a table or a question."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.errors import InputError
from nmda_bayes.evidence import table
from nmda_bayes.pharmacokinetics import (
    arm_exposures,
    concentration,
    draw_parameters,
    exposures,
    models,
    published_model,
)

STEPS = "0.14 mg/kg/h for 1 h, then 0.28 mg/kg/h for 1 h, then 0.57 mg/kg/h for 1 h"


@pytest.fixture(scope="module")
def observations(evidence) -> pd.DataFrame:
    return table(evidence, "concentrations")


@pytest.mark.reference
def test_domino_for_70_kg(published, parameters):
    """Volumes, clearance and flows that stanpumpR's unit test lists for 70 kg."""
    p = published["Domino"].values(70.0)["ketamine"]
    listed = parameters[parameters["report"] == "Domino"].set_index("parameter")["value"]
    v1 = p["V1"]
    found = {
        "V1_70kg": v1,
        "V2_70kg": v1 * p["k12"] / p["k21"],
        "V3_70kg": v1 * p["k13"] / p["k31"],
        "CL_70kg": v1 * p["k10"] / 60,
        "Q2_70kg": v1 * p["k12"] / 60,
        "Q3_70kg": v1 * p["k13"] / 60,
    }
    np.testing.assert_allclose([*found.values()], [listed[name] for name in found], rtol=5e-4)


@pytest.mark.reference
def test_kamp_2020_three_steps(published, observations):
    """Arterial S-ketamine, digitised by others: a fifth of the value, where nothing jumps.

    Left out: what was read in the first quarter of an hour (0.028 nmol/mL at the start, where
    nothing is in), at 1.0 h, where the curve turns, and at 3.083 h, where a minute is a fifth.
    """
    rows = observations[
        (observations["report"] == "Kamp2020") & (observations["agent"] == "s_ketamine")
    ]
    rows = rows[~rows["time_hours"].isin([0.0, 0.083, 0.25, 1.0, 3.083])]
    assert set(rows["schedule"]) == {STEPS}
    found = concentration(
        STEPS, published["Simons2022"], rows["time_hours"], unit="nmol/mL",
        analytes=("s_ketamine",),
    )[0]  # fmt: skip
    ratio = found / rows["concentration"].to_numpy()
    assert len(rows) == 12
    assert float(np.exp(np.abs(np.log(ratio)).mean())) < 1.12
    assert ((ratio > 0.8) & (ratio < 1.2)).all()


@pytest.mark.reference
def test_hasan_2021_low_dose_of_the_racemate(published, observations):
    """Venous S-ketamine after 5 mg of the racemate: within the model's own residual and spread."""
    rows = observations[
        (observations["report"] == "Hasan2021")
        & (observations["analyte"] == "s_ketamine")
        & (observations["unusable"] == "")
        & observations["time_hours"].between(0.4, 8)
    ]
    found = concentration(
        "5 mg over 30 min", published["Otto2021"], rows["time_hours"], agent="ketamine",
        analytes=("s_ketamine",),
    )[0]  # fmt: skip
    ratio = found / rows["concentration"].to_numpy()
    # One SD of the logarithm: residual 23.6 %, V1 29.6 % between people.
    assert float(np.sqrt((np.log(ratio) ** 2).mean())) < math.hypot(0.236, 0.296)


@pytest.mark.reference
def test_simons_2022_peak_after_film_and_infusion(published):
    """20 mg in 20 min, six hours after a film of 50 mg: 273 ng/mL (95 % CI 259 to 287), printed."""
    model = published["Simons2022"]
    vein = concentration("20 mg over 20 min", model, [1 / 3], analytes=("s_ketamine",))
    film = concentration("50 mg", model, [6 + 1 / 3], route="oral_thin_film")
    assert 273 / 1.1 < float(vein[0, 0] + film[0, 0]) < 273 * 1.1


def test_exposures_of_one_infusion(published):
    found = exposures("0.5 mg/kg over 40 min", published["Kamp2020meta"], times=[1.0, 4.0])
    assert found["peak_concentration"].dims == ("analyte",)
    assert found["concentration_at"].dims == ("analyte", "time")
    at = concentration("0.5 mg/kg over 40 min", published["Kamp2020meta"], [2 / 3, 1.0, 4.0])
    np.testing.assert_allclose(found["peak_concentration"], at[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found["time_of_peak"], 2 / 3, rtol=1e-12)
    np.testing.assert_allclose(found["concentration_at"], at[:, 1:], rtol=1e-12)
    assert float(found["treatment_hours"]) == pytest.approx(2 / 3)
    np.testing.assert_allclose(found["area"], 35 / 84 * 1000, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "route", "text"),
    [
        ("Simons2022", "iv", "0.35 mg/kg/h for 4 h, 3 days"),
        ("PerezRuixo2021", "intranasal", "84 mg, 2 times a week, 2 weeks"),
        ("Salinger2013Mg", "im", "500 mg, every 4 h, 5 times"),
    ],
)
def test_a_peak_is_the_highest_of_a_fine_grid(published, name, route, text):
    model = published[name]
    drawn = draw_parameters(model, np.random.default_rng(2), 4)
    found = exposures(text, model, route=route, parameters=drawn)["peak_concentration"]
    assert found.dims == ("analyte", "draw")
    fine = concentration(text, model, np.linspace(0, 400, 160_001), route=route, parameters=drawn)
    own = model.values(70.0)[model.analyte].get("baseline", 0.0) * 1000
    highest = fine.max("time") - own
    np.testing.assert_allclose(found, highest, rtol=2e-5)
    assert (found >= highest * (1 - 1e-9)).all()


def test_a_peak_of_a_one_compartment_absorption_in_closed_form(published):
    """Dose F ka / V / (ka - k) (exp(-k t) - exp(-ka t)) at t = log(ka / k) / (ka - k)."""
    ka, k, volume = 0.317, 4.81 / 15.6, 15.6
    found = exposures("500 mg", published["Salinger2013Mg"], weight=55.0, route="im", unit="mg/L")
    at = math.log(ka / k) / (ka - k)
    peak = 500 * 0.862 * ka / volume / (ka - k) * (math.exp(-k * at) - math.exp(-ka * at))
    assert float(found["peak_concentration"][0]) == pytest.approx(peak, rel=1e-9)
    assert float(found["time_of_peak"][0]) == pytest.approx(at, rel=1e-3)


def test_spread_between_people_and_errors_are_kept_apart(published):
    model = published["Simons2022"]
    people = draw_parameters(model, np.random.default_rng(1), 40_000)
    typical = draw_parameters(model, np.random.default_rng(1), 40_000, of="typical")
    both = draw_parameters(model, np.random.default_rng(1), 40_000, of="both")
    assert people["V1"].dims == ("draw",)
    for drawn, cv in ((people, 0.242), (typical, 0.078)):
        v1 = drawn["V1"]
        assert float(np.median(v1)) == pytest.approx(11.6, rel=0.01)
        assert float(v1.std() / v1.mean()) == pytest.approx(cv, rel=0.02)
    log_sd = float(np.log(both["V1"]).std())
    assert log_sd == pytest.approx(math.sqrt(math.log1p(0.242**2) + math.log1p(0.078**2)), rel=0.02)
    # No CV is published for V2: it does not vary between people, and that is said.
    assert float(people["V2"].std()) == 0
    assert "V2" in people.attrs["fixed"].split(", ")
    assert "V2" not in typical.attrs["fixed"].split(", ")
    # The metabolite's central volume is the drug's own, draw by draw.
    values = model.values(70.0, people)
    np.testing.assert_array_equal(values["s_norketamine"]["V1"], values["s_ketamine"]["V1"])


def test_a_published_covariance_is_used(published):
    drawn = draw_parameters(published["Otto2021"], np.random.default_rng(1), 40_000)
    found = np.cov(np.log(drawn["V1"]), np.log(drawn["CL"]))
    np.testing.assert_allclose(found, [[0.084177, 0.02261], [0.02261, 0.026048]], rtol=0.04)


def test_models_say_what_they_lack(published):
    assert len(published) == 16
    kamp, simons = published["Kamp2020meta"], published["Simons2022"]
    assert "between-subject variability" in kamp.lacks
    assert "standard errors" in kamp.lacks
    assert any("specimen" in words for words in kamp.lacks)
    assert "between-subject variability" not in simons.lacks
    assert simons.specimen == "arterial plasma"
    assert "lacks between-subject variability" in str(kamp)
    answer = concentration("10 mg over 1 h", kamp, [1.0])
    assert "between-subject variability" in answer.attrs["lacks"]
    assert (answer.attrs["units"], answer["time"].attrs["units"]) == ("ng/mL", "h")


def test_arms_get_exposures_or_a_reason(published):
    rows = [
        ("ketamine", "iv", "0.5 mg/kg over 40 min"),
        ("ketamine", "iv", "0.5 mg/kg"),
        ("ketamine", "im", "0.4 mg/kg"),
        ("placebo", "iv", ""),
        ("ketamine", "iv", ""),
        ("memantine", "oral", "20 mg, 28 days"),
        ("ketamine", "iv", "target 100 ng/mL for 20 min"),
        ("magnesium_sulfate", "iv", "up to 70 mg/kg over 4 h"),
        ("dextromethorphan", "oral", "90 mg a day, 84 days"),
        ("ketamine", "iv", "bolus 0.3 mg/kg"),
    ]
    arms = pd.DataFrame(rows, columns=["agent", "route", "schedule"], index=range(10, 20))
    found = arm_exposures(
        arms,
        {
            "ketamine": published["Kamp2020meta"],
            "magnesium_sulfate": published["Salinger2013Mg"],
            "dextromethorphan": published["terHeine2014"],
        },
        hours_at_outcome=pd.Series(2.0, index=arms.index),
    )
    assert list(found.index) == list(arms.index)
    one = exposures("0.5 mg/kg over 40 min", published["Kamp2020meta"], times=[2.0]).isel(analyte=0)
    whole = found.iloc[0]
    assert whole["peak_concentration"] == pytest.approx(float(one["peak_concentration"]))
    assert whole["concentration_at_outcome"] == pytest.approx(float(one["concentration_at"][0]))
    assert whole["missing"] == ""
    upto = exposures("0.5 mg/kg over 40 min", published["Kamp2020meta"], until=2.0).isel(analyte=0)
    assert whole["area"] == pytest.approx(float(upto["area"]))
    assert whole["area"] < float(one["area"])
    assert math.isnan(found.iloc[1]["area"])
    assert math.isnan(found.iloc[1]["peak_concentration"])
    assert "how long an intravenous dose took" in found.iloc[1]["missing"]
    assert found.iloc[2]["missing"] == "Kamp2020meta has no absorption for im"
    assert (found.iloc[3][["peak_concentration", "area"]] == 0).all()
    assert found.iloc[4]["missing"] == "no schedule"
    assert found.iloc[5]["missing"] == "no pharmacokinetic model of memantine is named"
    assert found.iloc[6]["peak_concentration"] == found.iloc[6]["average_concentration"] == 100
    assert "no dose" in found.iloc[6]["missing"]
    assert "highest dose" in found.iloc[7]["note"]
    assert "counted up to the reading at 2 h of 4 h" in found.iloc[7]["note"]
    assert "how many doses" in found.iloc[8]["missing"]
    assert found.iloc[9]["peak_concentration"] == pytest.approx(21 / 25 * 1000)
    assert "average_concentration: a single dose has no length" in found.iloc[9]["missing"]


def test_without_an_hour_an_area_is_whole_and_asks_for_no_length(published):
    rows = [("0.5 mg/kg over 40 min",), ("0.5 mg/kg",), ("0.5 mg/kg a day, 84 days",)]
    arms = pd.DataFrame(rows, columns=["schedule"]).assign(agent="ketamine", route="iv")
    found = arm_exposures(arms, {"ketamine": published["Kamp2020meta"]})
    # 35 mg over 84 L/h.
    np.testing.assert_allclose(found["area"], np.array([1, 1, 84]) * 35 / 84 * 1000, rtol=1e-9)
    assert "how long an intravenous dose took" in found.iloc[1]["missing"]
    # 70 mg/kg x 70 kg x 0.0986 over 4.81 L/h, above the baseline.
    mg = arms.iloc[[0]].assign(agent="magnesium_sulfate", schedule="up to 70 mg/kg over 4 h")
    area = arm_exposures(mg, {"magnesium_sulfate": published["Salinger2013Mg"]})["area"]
    np.testing.assert_allclose(area, 70 * 70 * 24.305 / 246.47 / 4.81 * 1000, rtol=1e-9)


def test_an_outcome_read_within_an_infusion_follows_what_had_come_by_then(published):
    """APMSeoul2022: 25 mg/kg in an hour, then 100 mg/kg in a day; pain read after six hours."""
    arms = pd.DataFrame(
        {"agent": ["magnesium_sulfate"] * 2, "route": ["iv"] * 2,
         "schedule": ["25 mg/kg over 1 h, then 100 mg/kg over 24 h",
                      "25 mg/kg over 1 h, then 20.8333333333 mg/kg over 5 h"]}
    )  # fmt: skip
    found = arm_exposures(
        arms, {"magnesium_sulfate": published["Du2019Mg"]}, hours_at_outcome=pd.Series(6.0, [0, 1])
    )
    kinds = ["peak_concentration", "average_concentration", "area", "concentration_at_outcome"]
    # To six hours both gave the same; what the first gave afterwards no reading had seen.
    np.testing.assert_allclose(
        found.loc[0, kinds].astype(float), found.loc[1, kinds].astype(float), rtol=1e-9
    )
    assert found.loc[0, "note"] == "counted up to the reading at 6 h of 25 h"
    assert found.loc[1, "note"] == ""


def test_every_arm_of_the_base_has_numbers_or_words(evidence, published):
    arms = table(evidence, "arms").iloc[::4]
    found = arm_exposures(arms, {"ketamine": published["Kamp2020meta"]})
    for name in ("peak_concentration", "average_concentration", "area"):
        known = found[name].notna()
        assert known.sum() > 20
        assert (found.loc[~known, "missing"] != "").all()
        assert (found.loc[known, name] >= 0).all()


@pytest.mark.parametrize(
    ("question", "message", "mend"),
    [
        ({"regimen": "0.5 mg/kg"}, "does not say how long an intravenous dose took", "over 15 min"),
        ({"route": "intranasal"}, "has no absorption for the route 'intranasal'", "It knows: iv"),
        ({"agent": "s_ketamine"}, "is of ketamine, and s_ketamine was given", "Take a model"),
        ({"regimen": "target 100 ng/mL"}, "aims at a concentration", "no model is needed"),
        ({"unit": "mg"}, "'mg' is no unit of concentration", "ng/mL"),
        ({"weight": 0.0}, "a body of 0 kg", "above 0"),
        ({"analytes": ("norketamine",)}, "does not predict 'norketamine'", "ketamine"),
        ({"regimen": "20 mg, 2 times a day"}, "how many doses there are", "the number"),
    ],
)
def test_a_wrong_question_is_told(published, question, message, mend):
    asked = {"regimen": "10 mg over 1 h", "model": published["Domino"], "times": [1.0]} | question
    with pytest.raises(InputError) as told:
        concentration(asked.pop("regimen"), asked.pop("model"), asked.pop("times"), **asked)
    (fault,) = told.value.faults
    assert message in fault.message
    assert mend in fault.mend


def test_a_broken_table_is_told_line_by_line(parameters):
    rows = parameters[parameters["report"].isin(["Kamp2020meta", "Herd2007"])].copy()
    rows = rows[rows["whole_model"] == "yes"]
    kamp = rows.index[(rows["report"] == "Kamp2020meta") & (rows["symbol"] == "Q3")][0]
    volume = rows.index[(rows["report"] == "Herd2007") & (rows["symbol"] == "V2")][0]
    rows.loc[volume, "unit"] = "L/h"
    clearance = rows.index[(rows["report"] == "Herd2007") & (rows["symbol"] == "CL")][0]
    rows.loc[clearance, "value"] = -3.0
    with pytest.raises(InputError) as told:
        models(rows.drop(index=kamp))
    faults = {(fault.row, fault.column): str(fault) for fault in told.value.faults}
    assert (
        "'V2' of the model 'Herd2007' cannot be in 'L/h'"
        in faults[int(parameters.loc[volume, "line"]), "unit"]
    )
    assert "no value above 0" in faults[int(parameters.loc[clearance, "line"]), "value"]
    assert any(
        "'Kamp2020meta' (three compartments) has no 'Q3'" in text for text in faults.values()
    )


def test_a_model_of_ones_own_with_absorption():
    rows = pd.DataFrame(
        [
            *(("V1", 20.0, "L"), ("CL", 5.0, "L/h")),
            *(("ka_oral", 1.0, "1/h"), ("F_oral", 40.0, "percent")),
        ],
        columns=["symbol", "value", "unit"],
    ).assign(
        report="Mine", agent="drug", analyte="drug", structure="one_compartment",
        whole_model="yes", value_reported="", per_body="70 kg", population="", source="mine",
        between_subject_cv_percent=np.nan, se_percent=np.nan,
    )  # fmt: skip
    model = published_model("Mine", rows)
    assert model.routes == ("iv", "oral")
    area = exposures("100 mg", model, weight=35.0, route="oral", unit="mg/L")["area"]
    np.testing.assert_allclose(area, 0.4 * 100 / (5 * 0.5**0.75), rtol=1e-9)
    assert any("usual powers" in words for words in model.assumes)
    with pytest.raises(InputError, match="Did you mean 'Mine'"):
        published_model("Mime", rows)
