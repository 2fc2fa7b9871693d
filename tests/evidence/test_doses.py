"""Doses from schedules: the shipped ones, the converted ones, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.doses import (
    DOSE_COLUMNS,
    FROM_HIGHEST_RATE,
    FROM_RATE,
    arm_doses,
    schedule_from_columns,
)
from nmda_bayes.evidence.tables import ARMS, CONVERSIONS
from nmda_bayes.regimens import parse_regimen

HERE = Path(__file__).parent
NAN = np.nan


@pytest.fixture(scope="module")
def arms(base) -> pd.DataFrame:
    return table(base, "arms").set_index("arm")


# --- What the extractions typed ------------------------------------------------------------------

#: Doses that the extractions typed and no schedule gives back, each with the reason.
NOT_FROM_A_SCHEDULE = {
    # The registry's cap of 25 mg/h for 4 h; the schedule is in mg/kg, and one is not the other.
    ("Schwartzman2009: ket", "daily_dose_mg"): 100.0,
    # A zero that meant "none of the drug studied": these controls got another drug, or what they
    # got is not said.
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


def test_every_dose_that_was_typed_comes_out_of_its_schedule(arms):
    typed = pd.read_csv(HERE / "typed_doses.csv")
    assert len(typed) == 370
    typed.index = typed["study"] + ": " + typed["arm_id"]
    kept = {}
    for column in ("total_dose_mg_per_kg", "daily_dose_mg"):
        said = typed[column].dropna()
        got = arms.loc[said.index, column]
        wrong = ~np.isclose(got, said, rtol=0.01, atol=0)
        kept |= {(arm, column): said[arm] for arm in said.index[wrong]}
    assert kept == NOT_FROM_A_SCHEDULE


#: Where a reported length or number is not that of the schedule, and why.
NOT_AS_REPORTED = {
    # The rate goes on for a time that is not told; the days are those of the visit.
    ("Eide1995: ket", "treatment_days"),
    ("Eide1995: alfentanil", "treatment_days"),
    ("Lemming2007: ket", "treatment_days"),
    ("Lemming2007: ketremi", "treatment_days"),
    ("Goldway2025: ketamine", "infusion_hours"),  # the length of the bolus alone
    ("Yousef2013: mg", "treatment_days"),  # the 42 days hold tablets of another salt
}


def test_schedules_agree_with_what_was_reported_beside_them(arms):
    odd = set()
    for arm, row in arms[arms["schedule"] != ""].iterrows():
        regimen = parse_regimen(row["schedule"])
        pairs = {
            "infusion_hours": regimen.hours,
            "n_administrations": regimen.n_administrations,
            "treatment_days": regimen.days,
        }
        for column, got in pairs.items():
            # Reported hours are rounded: four minutes are 0.0667 there.
            if not np.isnan(row[column]) and not np.isclose(got, row[column], rtol=0.01):
                odd.add((arm, column))
    assert odd == NOT_AS_REPORTED


def test_no_dose_stands_in_the_file(data):
    header = (data / "arms.csv").read_text("utf-8").splitlines()[0].split(",")
    assert header == ARMS.names
    assert not set(header) & {*DOSE_COLUMNS, "course_days"}


def test_schedules_are_written_in_one_spelling(arms):
    given = arms.loc[arms["schedule"] != "", "schedule"]
    assert len(given) > 300
    assert [str(parse_regimen(text)) for text in given] == given.tolist()


def test_who_gets_none_of_a_drug_has_no_schedule_and_placebo_no_dose(arms):
    placebo = arms[arms["agent"] == "placebo"]
    assert (placebo["schedule"] == "").all()
    for column in ("total_dose_mg_per_kg", "daily_dose_mg", "peak_rate_mg_per_kg_per_h"):
        assert (placebo[column] == 0).all()
    assert (arms.loc[arms["dose_value"] == 0, "schedule"] == "").all()
    others = arms[(arms["dose_value"] == 0) & (arms["agent"] != "placebo")]
    assert others["total_dose_mg_per_kg"].isna().all()


# --- Flags ---------------------------------------------------------------------------------------


def test_stepped_rates_are_upper_bounds_and_say_so(arms):
    stepped = arms[arms["dose_note"].str.contains(FROM_HIGHEST_RATE)]
    assert set(stepped.index) == {"Sigtermans2009: sket", "Schwartzman2009: ket"}
    assert stepped["total_dose_mg_per_kg"].to_dict() == pytest.approx(
        {"Sigtermans2009: sket": 0.317 * 100.8, "Schwartzman2009: ket": 14.0}
    )


def test_averages_and_titrations_say_so(arms):
    for word, note in (("mean", "the mean of"), ("median", "the median of")):
        flagged = arms["dose_note"].str.startswith(note)
        assert (arms["schedule"].str.startswith(word) == flagged).all()
        assert flagged.sum() >= 8
    # A fixed dose, in the unit that its schedule is in, needs no note.
    assert arms.loc["Dadabayev2020: ket", "dose_note"] == ""


def test_nothing_is_converted_without_a_flag(arms):
    for column in ("total_dose_mg_per_kg", "daily_dose_mg"):
        weighed = f"{column}_assuming_weight"
        assumed = arms[column].isna() & arms[weighed].notna()
        assert assumed.sum() > 50
        flag = f"{weighed}: a body of 70 kg assumed"
        assert (arms["conversion_note"].str.contains(flag, regex=False) == assumed).all()
        same = arms[column].notna()
        assert (arms.loc[same, weighed] == arms.loc[same, column]).all()
    converted = arms["racemic_equivalent_mg_per_kg"].notna() & (arms["agent"] == "s_ketamine")
    flag = "racemic_equivalent_mg_per_kg: racemic potency 2 assumed"
    assert (arms["conversion_note"].str.contains(flag, regex=False) == converted).all()
    assert converted.sum() > 10


def test_converted_doses_by_hand(arms):
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


def test_no_weight_is_assumed_for_children(arms):
    children = arms[arms["study"].isin(["Graudins2015", "Frey2019", "Kannikeswaran2016"])]
    assert children["total_dose_mg_per_kg"].notna().any()
    assert children["daily_dose_mg_assuming_weight"].isna().all()


def test_the_conversion_of_magnesium_is_that_of_the_heptahydrate(base):
    rows = table(base, "conversions").set_index("name")
    # Atomic weights: Mg 24.305, S 32.06, O 15.999, H 1.008.
    heptahydrate = 24.305 + 32.06 + 4 * 15.999 + 7 * (2 * 1.008 + 15.999)
    factor = rows.loc["elemental_magnesium", "value"]
    assert factor == pytest.approx(24.305 / heptahydrate, rel=5e-4)
    # ... and S-ketamine's potency that of the two reference doses.
    references = table(base, "reference_doses").set_index(["agent", "route"])["reference_dose"]
    potency = rows[rows["applies_to"] == "s_ketamine"]["value"].item()
    assert potency == references["ketamine", "iv"] / references["s_ketamine", "iv"]


# --- A folder of one's own -----------------------------------------------------------------------


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
        # Whether these are four hours in all, or four of each of ten infusions, is not said.
        (0.3, "mg_per_kg_per_h", 4, 10, NAN, ""),
        # Nor how often this was given.
        (0.5, "mg_per_kg", 0.75, NAN, NAN, ""),
        (1, "percent", NAN, 1, NAN, ""),
        (0, "mg_per_kg", 0.75, 1, NAN, ""),
        (NAN, "mg_per_kg", 0.75, 1, NAN, ""),
    ],
)
def test_a_schedule_from_other_columns_where_they_leave_no_doubt(
    value, unit, hours, n, days, schedule
):
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


def test_a_folder_without_schedules_gets_them_from_its_columns(small):
    _rewrite(small, dose_value=[0.4, 0, 0.1, 0], dose_unit=["mg_per_kg", "", "mg_per_kg_per_h", ""])
    arms = table(load_evidence(small), "arms")
    assert arms["schedule"].tolist() == ["0.4 mg/kg over 0.5 h", "", "0.1 mg/kg/h", ""]
    np.testing.assert_allclose(arms["total_dose_mg_per_kg"], [0.4, 0, NAN, 0])
    assert arms["dose_note"].tolist() == [
        "schedule worked out from dose_value and its neighbours",
        "",
        "schedule worked out from dose_value and its neighbours",
        "",
    ]


def test_a_total_worked_out_from_a_rate_is_flagged(small):
    _rewrite(small, dose_value=[60, 0, 60, 0], dose_unit="mg_per_kg_per_h")
    arms = table(load_evidence(small), "arms")
    np.testing.assert_allclose(arms["total_dose_mg_per_kg"], [30, 0, NAN, 0])
    assert [FROM_RATE in note for note in arms["dose_note"]] == [True, False, False, False]


def test_a_folder_with_some_schedules_is_not_filled(small):
    path = small / "arms.csv"
    arms = pd.read_csv(path).assign(dose_value=0.4, dose_unit="mg_per_kg")
    arms.loc[2, "schedule"] = ""
    arms.to_csv(path, index=False)
    ready = table(load_evidence(small), "arms")
    np.testing.assert_allclose(ready["total_dose_mg_per_kg"], [0.5, 0, NAN, 0])


def test_without_a_table_of_conversions_nothing_is_converted(small):
    arms = table(load_evidence(small), "arms")
    assert arms["conversion_note"].tolist() == [""] * 4
    np.testing.assert_allclose(arms["daily_dose_mg_assuming_weight"], [NAN, 0, NAN, 0])
    assert arms["racemic_equivalent_mg_per_kg"].isna().all()


def test_a_flag_reaches_the_note_of_a_dose_whose_axis_it_is(small):
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
    arms = table(load_evidence(small), "arms")
    np.testing.assert_allclose(arms["daily_dose_mg_assuming_weight"], [35, 0, 7.5, 0])
    assert arms["dose_note"].tolist() == [
        "a body of 70 kg assumed",
        "",
        "a body of 30 kg assumed",
        "",
    ]


def test_every_malformed_schedule_is_a_located_fault(small, faults_of):
    path = small / "arms.csv"
    arms = pd.read_csv(path)
    arms["schedule"] = ["0.5 mg/kg sometimes", "", "0.5", ""]
    arms.to_csv(path, index=False)
    faults = faults_of(small)
    assert [(f.file, f.row, f.column) for f in faults] == [
        ("arms.csv", 2, "schedule"),
        ("arms.csv", 4, "schedule"),
    ]
    assert all("Write a schedule like" in fault.mend for fault in faults)


@pytest.mark.parametrize("column", ["total_dose_mg_per_kg", "daily_dose_mg", "course_days"])
def test_a_typed_dose_is_refused(small, faults_of, column):
    path = small / "arms.csv"
    pd.read_csv(path).assign(**{column: 0.5}).to_csv(path, index=False)
    (fault,) = faults_of(small)
    assert fault.column == column
    assert "worked out from the schedule, not typed" in fault.message
    assert "delete the column" in fault.mend


def test_a_conversion_of_nothing_is_a_fault(small, faults_of):
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
    faults = faults_of(small)
    assert [(f.file, f.row, f.column) for f in faults] == [
        ("conversions.csv", 2, "applies_to"),
        ("conversions.csv", 3, "applies_to"),
    ]
    assert "Did you mean 'adults'?" in faults[0].mend
    assert "Did you mean 's_ketamine'?" in faults[1].mend


def test_six_hundred_arms_take_a_moment(base):
    arms, parts = table(base, "arms"), {}
    for name in ("conversions", "reference_doses"):
        parts[name] = table(base, name)
    many = pd.concat([arms[[*ARMS.names]]] * 2, ignore_index=True)
    parse_regimen.cache_clear()
    start = time.process_time()
    ready = arm_doses(many, parts["conversions"], parts["reference_doses"])
    assert len(ready) == 2 * len(arms)
    assert time.process_time() - start < 1.0  # measured: 0.1 s
    assert set(CONVERSIONS.names) <= set(parts["conversions"])
