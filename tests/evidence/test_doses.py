"""Doses from schedules: those of the shipped base, converted ones, and errors."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.doses import (
    DOSE_COLUMNS,
    SCHEDULE_FROM_COLUMNS,
    TOTAL_FROM_END_RATE,
    TOTAL_FROM_HIGHEST_RATE,
    arm_doses,
    schedule_from_columns,
)
from nmda_bayes.evidence.schema import TABLES as SCHEMA
from nmda_bayes.regimens import QUALIFIER_NOTES, parse_regimen

FOLDER = Path(__file__).parent
NAN = np.nan


@pytest.fixture(scope="module")
def arms(base) -> pd.DataFrame:
    return to_frame(base, "arms").set_index("arm")


#: Extracted doses that do not follow from the schedule, with the reason.
NOT_FROM_A_SCHEDULE = {
    # The registry's cap of 25 mg/h for 4 h; the schedule is in mg/kg, and one is not the other.
    ("Schwartzman2009: ket", "daily_dose_mg"): 100.0,
    # 0 meant "none of the studied drug": controls with another drug, or that are not described.
    ("Galili2024: pbo", "total_dose_mg_per_kg"): 0.0,
    ("EDpilot17: pbo", "total_dose_mg_per_kg"): 0.0,
    ("Hosseininejad2019: pbo", "total_dose_mg_per_kg"): 0.0,
    ("ZLY2024thoracic: control", "total_dose_mg_per_kg"): 0.0,
    ("Talati2019: placebo", "total_dose_mg_per_kg"): 0.0,
    ("AEM2017adjunct: placebo", "total_dose_mg_per_kg"): 0.0,
    ("AuthoreaThyroid: control", "total_dose_mg_per_kg"): 0.0,
    ("IJCLP1878705_2022: control", "total_dose_mg_per_kg"): 0.0,
    ("IJMPRcohort: control", "total_dose_mg_per_kg"): 0.0,
    ("Pizon2018: before", "total_dose_mg_per_kg"): 0.0,
}


def test_extracted_doses_follow_from_schedules(arms):
    typed = pd.read_csv(FOLDER / "typed_doses.csv")
    assert len(typed) > 300
    typed.index = typed["study"] + ": " + typed["arm_id"]
    differing = {}
    for column in ("total_dose_mg_per_kg", "daily_dose_mg"):
        extracted = typed[column].dropna()
        computed = arms.loc[extracted.index, column]
        wrong = ~np.isclose(computed, extracted, rtol=0.01, atol=0)
        differing |= {(arm, column): extracted[arm] for arm in extracted.index[wrong]}
    assert differing == NOT_FROM_A_SCHEDULE


#: Reported durations and numbers that differ from the schedule, with the reason.
NOT_AS_REPORTED = {
    # The duration of the infusion is not reported; the days are those of the visit.
    ("Eide1995: ket", "treatment_days"),
    ("Eide1995: alfentanil", "treatment_days"),
    ("Lemming2007: ket", "treatment_days"),
    ("Lemming2007: ketremi", "treatment_days"),
    ("Goldway2025: ketamine", "infusion_hours"),  # the duration of the bolus alone
    ("Yousef2013: mg", "treatment_days"),  # the 42 days include tablets of another salt
}


def test_schedules_agree_with_reported_durations(arms):
    differing = set()
    for arm, row in arms[arms["schedule"] != ""].iterrows():
        regimen = parse_regimen(row["schedule"])
        pairs = {
            "infusion_hours": regimen.hours,
            "n_administrations": regimen.n_administrations,
            "treatment_days": regimen.days,
        }
        for column, computed in pairs.items():
            # Reported hours are rounded: four minutes are 0.0667.
            if not np.isnan(row[column]) and not np.isclose(computed, row[column], rtol=0.01):
                differing.add((arm, column))
    assert differing == NOT_AS_REPORTED


def test_file_has_no_dose_columns(data):
    header = (data / "arms.csv").read_text("utf-8").splitlines()[0].split(",")
    assert header == SCHEMA["arms"].names
    assert not set(header) & {*DOSE_COLUMNS, "course_days"}


def test_schedules_are_in_canonical_notation(arms):
    schedules = arms.loc[arms["schedule"] != "", "schedule"]
    assert len(schedules) > 300
    assert [str(parse_regimen(text)) for text in schedules] == schedules.tolist()


def test_placebo_has_dose_0_and_no_schedule(arms):
    placebo = arms[arms["agent"] == "placebo"]
    assert (placebo["schedule"] == "").all()
    for column in ("total_dose_mg_per_kg", "daily_dose_mg", "peak_rate_mg_per_kg_per_h"):
        assert (placebo[column] == 0).all()
    assert (arms.loc[arms["dose_value"] == 0, "schedule"] == "").all()
    others = arms[(arms["dose_value"] == 0) & (arms["agent"] != "placebo")]
    assert others["total_dose_mg_per_kg"].isna().all()


def test_totals_of_stepped_rates_are_noted(arms):
    stepped = arms[arms["dose_note"].str.contains(TOTAL_FROM_HIGHEST_RATE)]
    assert set(stepped.index) == {"Sigtermans2009: sket", "Schwartzman2009: ket"}
    assert stepped["total_dose_mg_per_kg"].to_dict() == pytest.approx(
        {"Sigtermans2009: sket": 0.317 * 100.8, "Schwartzman2009: ket": 14.0}
    )


def test_average_doses_are_noted(arms):
    for word in ("mean", "median"):
        flagged = arms["dose_note"].str.startswith(QUALIFIER_NOTES[word])
        assert (arms["schedule"].str.startswith(word) == flagged).all()
        assert flagged.sum() >= 8
    # A fixed dose in the unit of its schedule needs no note.
    assert arms.loc["Dadabayev2020: ket", "dose_note"] == ""


def test_every_conversion_is_noted(arms):
    for column in ("total_dose_mg_per_kg", "daily_dose_mg"):
        weighed = f"{column}_assuming_weight"
        assumed = arms[column].isna() & arms[weighed].notna()
        assert assumed.sum() > 50
        flag = f"{weighed}: body weight of 70 kg assumed"
        assert (arms["conversion_note"].str.contains(flag, regex=False) == assumed).all()
        same = arms[column].notna()
        assert (arms.loc[same, weighed] == arms.loc[same, column]).all()
    converted = arms["racemic_equivalent_mg_per_kg"].notna() & (arms["agent"] == "s_ketamine")
    flag = "racemic_equivalent_mg_per_kg: racemic potency 2 assumed"
    assert (arms["conversion_note"].str.contains(flag, regex=False) == converted).all()
    assert converted.sum() > 10


def test_converted_doses(arms):
    # Max1995: 58 mg in 70 kg; Eide1994: 0.15 mg/kg in 70 kg.
    assert arms.loc["Max1995: ket", "total_dose_mg_per_kg_assuming_weight"] == pytest.approx(
        58 / 70
    )
    assert arms.loc["Eide1994: ket", "daily_dose_mg_assuming_weight"] == pytest.approx(10.5)
    assert np.isnan(arms.loc["Max1995: ket", "total_dose_mg_per_kg"])
    # Noppers2011: 0.5 mg/kg of S-ketamine count as 1; Dadabayev2020's racemate as itself.
    equivalent = arms["racemic_equivalent_mg_per_kg"]
    assert equivalent["Noppers2011: sket"] == pytest.approx(1.0)
    assert equivalent["Dadabayev2020: ket"] == pytest.approx(0.5)
    assert np.isnan(equivalent["Eide1994: morphine"])
    # Fischer2013: 350 mg/kg x 0.0986.
    assert arms.loc["Fischer2013: mg", "elemental_magnesium_mg_per_kg"] == pytest.approx(34.51)


def test_children_have_no_assumed_weight(arms):
    children = arms[arms["study"].isin(["Graudins2015", "Frey2019", "Kannikeswaran2016"])]
    assert children["total_dose_mg_per_kg"].notna().any()
    assert children["daily_dose_mg_assuming_weight"].isna().all()


def test_conversion_factors_of_magnesium_and_s_ketamine(base):
    rows = to_frame(base, "conversions").set_index("name")
    # Atomic weights: Mg 24.305, S 32.06, O 15.999, H 1.008.
    heptahydrate = 24.305 + 32.06 + 4 * 15.999 + 7 * (2 * 1.008 + 15.999)
    factor = rows.loc["elemental_magnesium", "value"]
    assert factor == pytest.approx(24.305 / heptahydrate, rel=5e-4)
    # The potency of S-ketamine is the ratio of the two reference doses.
    references = to_frame(base, "reference_doses").set_index(["agent", "route"])["reference_dose"]
    potency = rows[rows["applies_to"] == "s_ketamine"]["value"].item()
    assert potency == references["ketamine", "iv"] / references["s_ketamine", "iv"]


@pytest.mark.parametrize(
    ("value", "unit", "hours", "n", "days", "schedule"),
    [
        (0.5, "mg_per_kg", 0.75, 1, NAN, "0.5 mg/kg over 0.75 h"),
        (0.5, "mg_per_kg", NAN, 1, NAN, "0.5 mg/kg"),
        (0.5, "mg_per_kg", NAN, 4, NAN, "0.5 mg/kg, 4 times"),
        (80, "mg", 5, 7, 7, "80 mg over 5 h, 7 times"),
        (20, "mg_per_day", NAN, NAN, 28, "20 mg a day, 28 days"),
        (20, "mg_per_day", NAN, NAN, NAN, "20 mg a day"),
        (0.3, "mg_per_kg_per_h", 100, 1, NAN, "0.3 mg/kg/h for 100 h"),
        (0.3, "mg_per_kg_per_h", NAN, 1, NAN, "0.3 mg/kg/h"),
        # Four hours in all, or four for each of ten infusions?
        (0.3, "mg_per_kg_per_h", 4, 10, NAN, ""),
        # How often?
        (0.5, "mg_per_kg", 0.75, NAN, NAN, ""),
        (1, "percent", NAN, 1, NAN, ""),
        (0, "mg_per_kg", 0.75, 1, NAN, ""),
        (NAN, "mg_per_kg", 0.75, 1, NAN, ""),
    ],
)
def test_schedule_from_other_columns(value, unit, hours, n, days, schedule):
    arm = pd.Series(
        {
            "dose_value": value,
            "dose_unit": unit,
            "infusion_hours": hours,
            "n_administrations": n,
            "treatment_days": days,
        }
    )
    assert schedule_from_columns(arm) == schedule
    if schedule:
        assert str(parse_regimen(schedule)) == schedule


def _rewrite(folder, **columns):
    path = folder / "arms.csv"
    pd.read_csv(path).drop(columns="schedule").assign(**columns).to_csv(path, index=False)


def test_folder_without_schedules(small):
    _rewrite(small, dose_value=[0.4, 0, 0.1, 0], dose_unit=["mg_per_kg", "", "mg_per_kg_per_h", ""])
    arms = to_frame(load_evidence(small), "arms")
    assert arms["schedule"].tolist() == ["0.4 mg/kg over 0.5 h", "", "0.1 mg/kg/h", ""]
    np.testing.assert_allclose(arms["total_dose_mg_per_kg"], [0.4, 0, NAN, 0])
    assert arms["dose_note"].tolist() == [
        SCHEDULE_FROM_COLUMNS,
        "",
        SCHEDULE_FROM_COLUMNS,
        "",
    ]


def test_total_from_a_rate_is_noted(small):
    _rewrite(small, dose_value=[60, 0, 60, 0], dose_unit="mg_per_kg_per_h")
    arms = to_frame(load_evidence(small), "arms")
    np.testing.assert_allclose(arms["total_dose_mg_per_kg"], [30, 0, NAN, 0])
    assert [TOTAL_FROM_END_RATE in note for note in arms["dose_note"]] == [
        True,
        False,
        False,
        False,
    ]


def test_folder_with_some_schedules_is_not_filled(small):
    path = small / "arms.csv"
    arms = pd.read_csv(path).assign(dose_value=0.4, dose_unit="mg_per_kg")
    arms.loc[2, "schedule"] = ""
    arms.to_csv(path, index=False)
    ready = to_frame(load_evidence(small), "arms")
    np.testing.assert_allclose(ready["total_dose_mg_per_kg"], [0.5, 0, NAN, 0])


def test_no_conversions_without_a_table(small):
    arms = to_frame(load_evidence(small), "arms")
    assert arms["conversion_note"].tolist() == [""] * 4
    np.testing.assert_allclose(arms["daily_dose_mg_assuming_weight"], [NAN, 0, NAN, 0])
    assert arms["racemic_equivalent_mg_per_kg"].isna().all()


def test_assumption_of_the_dose_axis_is_in_dose_note(small):
    pd.DataFrame(
        {
            "name": "body_weight",
            "value": [70, 30],
            "unit": "kg",
            "applies_to": ["adults", "B"],
            "source": "doi:10.1000/x",
            "why": "a test",
        }
    ).to_csv(small / "conversions.csv", index=False)
    pd.DataFrame(
        {
            "agent": ["ketamine"],
            "route": "iv",
            "dose_column": "daily_dose_mg_assuming_weight",
            "reference_dose": 35.0,
            "unit": "mg",
            "source": "doi:10.1000/x",
            "why": "a test",
        }
    ).to_csv(small / "reference_doses.csv", index=False)
    arms = to_frame(load_evidence(small), "arms")
    np.testing.assert_allclose(arms["daily_dose_mg_assuming_weight"], [35, 0, 7.5, 0])
    assert arms["dose_note"].tolist() == [
        "body weight of 70 kg assumed",
        "",
        "body weight of 30 kg assumed",
        "",
    ]


def test_malformed_schedules_are_located(small, issues_of):
    path = small / "arms.csv"
    arms = pd.read_csv(path)
    arms["schedule"] = ["0.5 mg/kg sometimes", "", "0.5", ""]
    arms.to_csv(path, index=False)
    issues = issues_of(small)
    assert [(i.code, i.file, i.row, i.column) for i in issues] == [
        ("E700", "arms.csv", 2, "schedule"),
        ("E700", "arms.csv", 4, "schedule"),
    ]


@pytest.mark.parametrize("column", ["total_dose_mg_per_kg", "daily_dose_mg", "course_days"])
def test_typed_dose_column_is_rejected(small, issues_of, column):
    path = small / "arms.csv"
    pd.read_csv(path).assign(**{column: 0.5}).to_csv(path, index=False)
    (issue,) = issues_of(small)
    assert (issue.code, issue.file, issue.column) == ("E710", "arms.csv", column)


def test_conversion_of_an_unknown_target_is_rejected(small, issues_of):
    pd.DataFrame(
        {
            "name": ["body_weight", "racemic_potency"],
            "value": [70, 2],
            "unit": ["kg", "mg per mg"],
            "applies_to": ["adult", "s_ketamin"],
            "source": "doi:10.1000/x",
            "why": "a test",
        }
    ).to_csv(small / "conversions.csv", index=False)
    issues = issues_of(small)
    assert [(i.code, i.file, i.row, i.column) for i in issues] == [
        ("E711", "conversions.csv", 2, "applies_to"),
        ("E711", "conversions.csv", 3, "applies_to"),
    ]
    assert "'adults'" in issues[0].hint
    assert "'s_ketamine'" in issues[1].hint


def test_doses_of_many_arms_are_fast(base):
    arms, parts = to_frame(base, "arms"), {}
    for name in ("conversions", "reference_doses"):
        parts[name] = to_frame(base, name)
    many = pd.concat([arms[[*SCHEMA["arms"].names]]] * 2, ignore_index=True)
    parse_regimen.cache_clear()
    start = time.process_time()
    ready = arm_doses(many, parts["conversions"], parts["reference_doses"])
    assert len(ready) == 2 * len(arms)
    assert time.process_time() - start < 1.0
    assert set(SCHEMA["conversions"].names) <= set(parts["conversions"])
