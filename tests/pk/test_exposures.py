"""Published concentrations, exposures, draws, exposures of arms, and errors."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.errors import InputError
from nmda_bayes.evidence import to_frame
from nmda_bayes.pk import (
    arm_exposures,
    draw_parameters,
    predict_concentrations,
    published_models,
    published_pk_model,
    summarise_exposure,
)
from nmda_bayes.pk.exposures import EXPOSURE_METRICS
from tests.support.issues import issues_when

METRICS = [*EXPOSURE_METRICS]
STEPS = "0.14 mg/kg/h for 1 h, then 0.28 mg/kg/h for 1 h, then 0.57 mg/kg/h for 1 h"


@pytest.fixture(scope="module")
def observations(evidence) -> pd.DataFrame:
    return to_frame(evidence, "concentrations")


@pytest.mark.reference
def test_domino_parameters_for_70_kg(published, parameters):
    """Volumes, clearance and flows that stanpumpR's unit test lists for 70 kg."""
    p = published["Domino"].values(70.0)["ketamine"]
    listed = parameters[parameters["report"] == "Domino"].set_index("parameter")["value"]
    v1 = p["V1"]
    result = {
        "V1_70kg": v1,
        "V2_70kg": v1 * p["k12"] / p["k21"],
        "V3_70kg": v1 * p["k13"] / p["k31"],
        "CL_70kg": v1 * p["k10"] / 60,
        "Q2_70kg": v1 * p["k12"] / 60,
        "Q3_70kg": v1 * p["k13"] / 60,
    }
    np.testing.assert_allclose([*result.values()], [listed[name] for name in result], rtol=5e-4)


@pytest.mark.reference
def test_simons_predicts_kamp_2020_steps(published, observations):
    """Digitised arterial S-ketamine is predicted to within a fifth.

    Excluded: the first quarter of an hour (0.028 nmol/mL is reported before the start), 1.0 h,
    where the rate changes, and 3.083 h, where a minute changes the value by a fifth.
    """
    rows = observations[
        (observations["report"] == "Kamp2020") & (observations["agent"] == "s_ketamine")
    ]
    rows = rows[~rows["time_hours"].isin([0.0, 0.083, 0.25, 1.0, 3.083])]
    assert set(rows["schedule"]) == {STEPS}
    result = predict_concentrations(
        STEPS,
        published["Simons2022"],
        rows["time_hours"],
        unit="nmol/mL",
        analytes=("s_ketamine",),
    )[0]
    ratio = result / rows["concentration"].to_numpy()
    assert len(rows) == 12
    assert float(np.exp(np.abs(np.log(ratio)).mean())) < 1.12
    assert ((ratio > 0.8) & (ratio < 1.2)).all()


@pytest.mark.reference
def test_otto_predicts_hasan_2021(published, observations):
    """Venous S-ketamine after 5 mg of the racemate: within the model's own residual and spread."""
    rows = observations[
        (observations["report"] == "Hasan2021")
        & (observations["analyte"] == "s_ketamine")
        & (observations["unusable"] == "")
        & observations["time_hours"].between(0.4, 8)
    ]
    result = predict_concentrations(
        "5 mg over 30 min",
        published["Otto2021"],
        rows["time_hours"],
        agent="ketamine",
        analytes=("s_ketamine",),
    )[0]
    ratio = result / rows["concentration"].to_numpy()
    # One SD of the logarithm: residual 23.6 %, V1 29.6 % between people.
    assert float(np.sqrt((np.log(ratio) ** 2).mean())) < math.hypot(0.236, 0.296)


@pytest.mark.reference
def test_simons_2022_printed_peak(published):
    """20 mg in 20 min, six hours after a film of 50 mg: 273 ng/mL (95% CI 259 to 287), printed."""
    model = published["Simons2022"]
    vein = predict_concentrations("20 mg over 20 min", model, [1 / 3], analytes=("s_ketamine",))
    film = predict_concentrations("50 mg", model, [6 + 1 / 3], route="oral_thin_film")
    assert 273 / 1.1 < float(vein[0, 0] + film[0, 0]) < 273 * 1.1


def test_exposures_of_one_infusion(published):
    result = summarise_exposure(
        "0.5 mg/kg over 40 min", published["Kamp2020meta"], times=[1.0, 4.0]
    )
    assert result["peak_concentration"].dims == ("analyte",)
    assert result["concentration_at"].dims == ("analyte", "time")
    at = predict_concentrations(
        "0.5 mg/kg over 40 min", published["Kamp2020meta"], [2 / 3, 1.0, 4.0]
    )
    np.testing.assert_allclose(result["peak_concentration"], at[:, 0], rtol=1e-12)
    np.testing.assert_allclose(result["time_of_peak"], 2 / 3, rtol=1e-12)
    np.testing.assert_allclose(result["concentration_at"], at[:, 1:], rtol=1e-12)
    assert float(result["treatment_hours"]) == pytest.approx(2 / 3)
    np.testing.assert_allclose(result["area"], 35 / 84 * 1000, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "route", "text"),
    [
        ("Simons2022", "iv", "0.35 mg/kg/h for 4 h, 3 days"),
        ("PerezRuixo2021", "intranasal", "84 mg, 2 times a week, 2 weeks"),
        ("Salinger2013Mg", "im", "500 mg, every 4 h, 5 times"),
    ],
)
def test_peak_is_the_highest_of_a_fine_grid(published, name, route, text):
    model = published[name]
    drawn = draw_parameters(model, np.random.default_rng(2), 4)
    result = summarise_exposure(text, model, route=route, parameters=drawn)["peak_concentration"]
    assert result.dims == ("analyte", "draw")
    fine = predict_concentrations(
        text, model, np.linspace(0, 400, 160_001), route=route, parameters=drawn
    )
    baseline = model.values(70.0)[model.analyte].get("baseline", 0.0) * 1000
    highest = fine.max("time") - baseline
    np.testing.assert_allclose(result, highest, rtol=2e-5)
    assert (result >= highest * (1 - 1e-9)).all()


def test_peak_of_one_compartment_absorption(published):
    """Dose F ka / V / (ka - k) (exp(-k t) - exp(-ka t)) at t = log(ka / k) / (ka - k)."""
    ka, k, volume = 0.317, 4.81 / 15.6, 15.6
    result = summarise_exposure(
        "500 mg", published["Salinger2013Mg"], weight=55.0, route="im", unit="mg/L"
    )
    at = math.log(ka / k) / (ka - k)
    peak = 500 * 0.862 * ka / volume / (ka - k) * (math.exp(-k * at) - math.exp(-ka * at))
    assert float(result["peak_concentration"][0]) == pytest.approx(peak, rel=1e-9)
    assert float(result["time_of_peak"][0]) == pytest.approx(at, rel=1e-3)


def test_variation_and_standard_errors_are_separate(published):
    model = published["Simons2022"]
    people = draw_parameters(model, np.random.default_rng(1), 40_000)
    typical = draw_parameters(model, np.random.default_rng(1), 40_000, variability="typical")
    both = draw_parameters(model, np.random.default_rng(1), 40_000, variability="both")
    assert people["V1"].dims == ("draw",)
    for drawn, cv in ((people, 0.242), (typical, 0.078)):
        v1 = drawn["V1"]
        assert float(np.median(v1)) == pytest.approx(11.6, rel=0.01)
        assert float(v1.std() / v1.mean()) == pytest.approx(cv, rel=0.02)
    log_sd = float(np.log(both["V1"]).std())
    assert log_sd == pytest.approx(math.sqrt(math.log1p(0.242**2) + math.log1p(0.078**2)), rel=0.02)
    # No CV is published for V2: it does not vary between people, and is listed as fixed.
    assert float(people["V2"].std()) == 0
    assert "V2" in people.attrs["fixed"].split(", ")
    assert "V2" not in typical.attrs["fixed"].split(", ")
    # The metabolite's central volume equals the parent's in every draw.
    values = model.values(70.0, people)
    np.testing.assert_array_equal(values["s_norketamine"]["V1"], values["s_ketamine"]["V1"])


def test_published_covariance_is_used(published):
    drawn = draw_parameters(published["Otto2021"], np.random.default_rng(1), 40_000)
    result = np.cov(np.log(drawn["V1"]), np.log(drawn["CL"]))
    np.testing.assert_allclose(result, [[0.084177, 0.02261], [0.02261, 0.026048]], rtol=0.04)


def test_models_list_what_they_lack(published):
    assert len(published) == 16
    kamp, simons = published["Kamp2020meta"], published["Simons2022"]
    assert "between-subject variability" in kamp.lacks
    assert "standard errors" in kamp.lacks
    assert any("specimen" in words for words in kamp.lacks)
    assert "between-subject variability" not in simons.lacks
    assert simons.specimen == "arterial plasma"
    assert "lacks between-subject variability" in str(kamp)
    answer = predict_concentrations("10 mg over 1 h", kamp, [1.0])
    assert "between-subject variability" in answer.attrs["lacks"]
    assert (answer.attrs["units"], answer["time"].attrs["units"]) == ("ng/mL", "h")


def test_arms_have_exposures_or_a_reason(published):
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
    result = arm_exposures(
        arms,
        {
            "ketamine": published["Kamp2020meta"],
            "magnesium_sulfate": published["Salinger2013Mg"],
            "dextromethorphan": published["terHeine2014"],
        },
        hours_at_outcome=pd.Series(2.0, index=arms.index),
    )
    assert list(result.index) == list(arms.index)
    whole = summarise_exposure(
        "0.5 mg/kg over 40 min", published["Kamp2020meta"], times=[2.0]
    ).isel(analyte=0)
    arm = result.iloc[0]
    assert arm["peak_concentration"] == pytest.approx(float(whole["peak_concentration"]))
    assert arm["concentration_at_outcome"] == pytest.approx(float(whole["concentration_at"][0]))
    assert (arm[[f"{name}_missing" for name in EXPOSURE_METRICS]] == "").all()
    upto = summarise_exposure("0.5 mg/kg over 40 min", published["Kamp2020meta"], until=2.0).isel(
        analyte=0
    )
    assert arm["area"] == pytest.approx(float(upto["area"]))
    assert arm["area"] < float(whole["area"])
    assert math.isnan(result.iloc[1]["area"])
    assert math.isnan(result.iloc[1]["peak_concentration"])
    for name in EXPOSURE_METRICS:
        assert "how long an intravenous dose took" in result.iloc[1][f"{name}_missing"]
    assert result.iloc[2]["area_missing"] == "Kamp2020meta has no absorption for im"
    assert (result.iloc[3][["peak_concentration", "area"]] == 0).all()
    assert result.iloc[4]["area_missing"] == "no schedule"
    assert result.iloc[5]["area_missing"] == "no pharmacokinetic model of memantine is named"
    assert result.iloc[6]["peak_concentration"] == result.iloc[6]["average_concentration"] == 100
    assert result.iloc[6]["area_missing"]
    assert "highest dose" in result.iloc[7]["note"]
    assert "counted up to the outcome at 2 h of 4 h" in result.iloc[7]["note"]
    assert "how many doses" in result.iloc[8]["peak_concentration_missing"]
    assert result.iloc[9]["peak_concentration"] == pytest.approx(21 / 25 * 1000)
    assert "a single dose has no duration" in result.iloc[9]["average_concentration_missing"]


def test_total_area_needs_no_duration(published):
    rows = [("0.5 mg/kg over 40 min",), ("0.5 mg/kg",), ("0.5 mg/kg a day, 84 days",)]
    arms = pd.DataFrame(rows, columns=["schedule"]).assign(agent="ketamine", route="iv")
    result = arm_exposures(arms, {"ketamine": published["Kamp2020meta"]})
    # 35 mg over 84 L/h.
    np.testing.assert_allclose(result["area"], np.array([1, 1, 84]) * 35 / 84 * 1000, rtol=1e-9)
    assert result.iloc[1]["area_missing"] == ""
    assert "how long an intravenous dose took" in result.iloc[1]["peak_concentration_missing"]
    # 70 mg/kg x 70 kg x 0.0986 over 4.81 L/h, above the baseline.
    mg = arms.iloc[[0]].assign(agent="magnesium_sulfate", schedule="up to 70 mg/kg over 4 h")
    area = arm_exposures(mg, {"magnesium_sulfate": published["Salinger2013Mg"]})["area"]
    np.testing.assert_allclose(area, 70 * 70 * 24.305 / 246.47 / 4.81 * 1000, rtol=1e-9)


def test_outcome_during_an_infusion_depends_on_earlier_doses(published):
    """APMSeoul2022: 25 mg/kg in an hour, then 100 mg/kg in a day; pain read after six hours."""
    arms = pd.DataFrame(
        {
            "agent": ["magnesium_sulfate"] * 2,
            "route": ["iv"] * 2,
            "schedule": [
                "25 mg/kg over 1 h, then 100 mg/kg over 24 h",
                "25 mg/kg over 1 h, then 20.8333333333 mg/kg over 5 h",
            ],
        }
    )
    result = arm_exposures(
        arms, {"magnesium_sulfate": published["Du2019Mg"]}, hours_at_outcome=pd.Series(6.0, [0, 1])
    )
    # Both are the same up to six hours.
    np.testing.assert_allclose(
        result.loc[0, METRICS].astype(float), result.loc[1, METRICS].astype(float), rtol=1e-9
    )
    assert result.loc[0, "note"] == "counted up to the outcome at 6 h of 25 h"
    assert result.loc[1, "note"] == ""


def test_every_arm_of_the_base_has_exposures_or_a_reason(evidence, published):
    arms = to_frame(evidence, "arms").iloc[::4]
    result = arm_exposures(arms, {"ketamine": published["Kamp2020meta"]})
    for name in ("peak_concentration", "average_concentration", "area"):
        known = result[name].notna()
        assert known.sum() > 20
        assert (result.loc[~known, f"{name}_missing"] != "").all()
        assert (result.loc[known, name] >= 0).all()


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"regimen": "0.5 mg/kg"}, "E757"),
        ({"route": "intranasal"}, "E755"),
        ({"agent": "s_ketamine"}, "E756"),
        ({"regimen": "target 100 ng/mL"}, "E752"),
        ({"unit": "mg"}, "E753"),
        ({"unit": "nmol/mL", "model": "Ours"}, "E754"),
        ({"weight": 0.0}, "E750"),
        ({"analytes": ("norketamine",)}, "E751"),
        ({"regimen": "20 mg, 2 times a day"}, "E705"),
    ],
)
def test_invalid_question_is_rejected(published, question, code):
    models = {"Domino": published["Domino"], "Ours": published_pk_model("Ours", ONE_COMPARTMENT)}
    arguments = {"regimen": "10 mg over 1 h", "model": "Domino", "times": [1.0]} | question
    arguments["model"] = models[arguments["model"]]
    (issue,) = issues_when(lambda: predict_concentrations(**arguments), InputError)
    assert issue.code == code


@pytest.mark.parametrize(("rate", "fraction"), [(0.0, 0.5), (1.0, 0.0), (1.0, 1.1)])
def test_invalid_absorption_is_rejected(published, rate, fraction):
    def add():
        published["Domino"].with_absorption("im", rate_per_hour=rate, fraction=fraction, source="")

    assert [issue.code for issue in issues_when(add, InputError)] == ["E758"]


def test_wrong_rows_are_listed_by_line(parameters):
    rows = parameters[parameters["report"].isin(["Kamp2020meta", "Herd2007"])].copy()
    rows = rows[rows["whole_model"] == "yes"]

    def row(report, symbol):
        return rows.index[(rows["report"] == report) & (rows["symbol"] == symbol)][0]

    volume, clearance = row("Herd2007", "V2"), row("Herd2007", "CL")
    rows.loc[volume, "unit"] = "L/h"
    rows.loc[clearance, "value"] = -3.0
    broken = rows.drop(index=row("Kamp2020meta", "Q3"))
    issues = issues_when(lambda: published_models(broken), InputError)
    places = {(issue.code, issue.row, issue.column) for issue in issues}
    first_line = broken.groupby("report")["line"].first()
    assert places == {
        ("E742", rows.loc[volume, "line"], "unit"),
        ("E741", rows.loc[clearance, "line"], "value"),
        ("E744", first_line["Herd2007"], "symbol"),
        ("E744", first_line["Kamp2020meta"], "symbol"),
    }


ONE_COMPARTMENT = pd.DataFrame(
    [("V1", 20.0, "L"), ("CL", 5.0, "L/h"), ("ka_oral", 1.0, "1/h"), ("F_oral", 40.0, "percent")],
    columns=["symbol", "value", "unit"],
).assign(
    report="Ours",
    agent="drug",
    analyte="drug",
    structure="one_compartment",
    whole_model="yes",
    value_reported="",
    per_body="70 kg",
    population="",
    source="ours",
    between_subject_cv_percent=np.nan,
    se_percent=np.nan,
)


def test_user_model_with_absorption():
    model = published_pk_model("Ours", ONE_COMPARTMENT)
    assert model.routes == ("iv", "oral")
    area = summarise_exposure("100 mg", model, weight=35.0, route="oral", unit="mg/L")["area"]
    np.testing.assert_allclose(area, 0.4 * 100 / (5 * 0.5**0.75), rtol=1e-9)
    assert len(model.assumes) == 1


def test_unknown_model_and_structure_are_rejected():
    (issue,) = issues_when(lambda: published_pk_model("Oups", ONE_COMPARTMENT), InputError)
    assert (issue.code, issue.file) == ("E740", "pharmacokinetics.csv")
    assert "Ours" in issue.hint
    other = ONE_COMPARTMENT.assign(structure="no_compartment")
    (issue,) = issues_when(lambda: published_models(other), InputError)
    assert (issue.code, issue.row, issue.column) == ("E743", 2, "structure")
