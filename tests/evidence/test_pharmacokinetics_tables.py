"""Pharmacokinetic parameters and concentrations: numbers with units, and models that are whole."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pint
import pytest

from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.evidence.tree import FINGERPRINTED
from nmda_bayes.regimens import parse_regimen

#: What a whole model needs, by the names of `symbol`: a set of clearances or of rate constants.
DISPOSITIONS = {
    "one_compartment": ({"V1", "CL"},),
    "two_compartments": ({"V1", "V2", "CL", "Q2"}, {"V1", "k10", "k12", "k21"}),
    "three_compartments": (
        {"V1", "V2", "V3", "CL", "Q2", "Q3"},
        {"V1", "k10", "k12", "k13", "k21", "k31"},
        # Cleared in a compartment for the liver, by conversion and by other ways.
        {"V1", "V2", "V3", "Q2", "Q3", "Q_hepatic", "V_hepatic", "kel", "kmet"},
    ),
}


@pytest.fixture(scope="module")
def parameters(base) -> pd.DataFrame:
    return table(base, "pharmacokinetics")


@pytest.fixture(scope="module")
def concentrations(base) -> pd.DataFrame:
    return table(base, "concentrations")


@pytest.fixture(scope="module")
def units() -> pint.UnitRegistry:
    return pint.UnitRegistry()


def test_every_row_came_in(parameters, concentrations):
    assert (len(parameters), len(concentrations)) == (262, 85)
    assert parameters["report"].nunique() == 46
    assert concentrations["report"].nunique() == 8
    assert parameters["between_subject_cv_percent"].notna().sum() == 55


def test_a_value_is_the_number_that_was_reported(parameters):
    assert parameters.loc[parameters["unusable"] == "", "value"].notna().all()
    rows = parameters[parameters["value"].notna()]
    # 45 (SD 10) is the one value that its source prints with more beside it.
    given = pd.to_numeric(rows["value_reported"].replace("45 (SD 10)", "45"))
    np.testing.assert_array_equal(rows["value"], given)


def test_ranges_and_bounds_are_split_and_words_are_kept(parameters):
    rows = parameters.set_index("value_reported")[["value", "value_low", "value_high", "unusable"]]
    assert rows.loc["13.65-49.00"].tolist()[1:] == [13.65, 49.0, "range"]
    assert rows.loc[">90"].fillna(-1).tolist() == [-1, 90, -1, "range"]
    assert rows.loc["<1"].fillna(-1).tolist() == [-1, -1, 1, "range"]
    words = rows[rows["unusable"] == "not_a_number"]
    assert set(words.index) == {"equal to S-ketamine V1", "none found", "12% and 4.97 mg/L"}
    assert words[["value", "value_low", "value_high"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("parameter", "examples"),
    [
        ("V1", ["L", "L/kg"]),
        ("CL", ["L/h", "L/h/kg"]),
        ("Q", ["L/h"]),
        ("k10", ["1/h"]),
        ("t_half", ["h"]),
    ],
)
def test_a_unit_is_one_that_its_parameter_can_have(parameters, units, parameter, examples):
    rows = parameters[(parameters["parameter"] == parameter) & parameters["value"].notna()]
    allowed = [units.Unit(unit).dimensionality for unit in examples]
    assert len(rows) > 2
    assert all(units.Unit(unit).dimensionality in allowed for unit in rows["unit"])


def test_pint_reads_every_unit(parameters, concentrations, units):
    for unit in {*parameters["unit"], *parameters["per_body"]} - {""}:
        assert units.Quantity(unit).magnitude > 0, unit
    for unit in set(concentrations["unit"]):
        kind = units.Unit(unit).dimensionality
        assert kind in (units.Unit("g/L").dimensionality, units.Unit("mol/L").dimensionality)
    numbers = parameters["value"].notna() | parameters["value_low"].notna()
    assert (parameters.loc[numbers, "unit"] != "").all()


def test_a_body_size_stands_beside_its_unit(parameters):
    reported = parameters["unit_reported"]
    assert (parameters["per_body"] == "70 kg").equals(reported.str.contains("70 ?kg"))
    assert (parameters["per_body"] == "85 kg").equals(reported.str.contains("85kg"))
    assert not parameters["unit"].str.contains(r"\d\d").any()


def test_sixteen_models_are_whole(parameters):
    whole = parameters[parameters["whole_model"] == "yes"]
    assert whole["report"].nunique() == 16
    assert not whole.duplicated(["report", "analyte", "symbol"]).any()
    for report, rows in whole.groupby("report"):
        parent = rows["analyte"].iloc[0]
        if parent == "dextromethorphan":
            continue  # two ways of clearance by enzymes, next test
        mine = rows[rows["analyte"] == parent]
        (structure,) = set(mine["structure"])
        have = set(mine.loc[mine["value"].notna(), "symbol"])
        assert any(needed <= have for needed in DISPOSITIONS[structure]), report


def test_dextromethorphan_is_cleared_by_two_enzymes(parameters):
    rows = parameters[(parameters["report"] == "terHeine2014")]
    mine = rows[rows["analyte"] == "dextromethorphan"].set_index("symbol")["value"]
    assert {"V1", "V2", "Q2", "ka", "CL_CYP2D6_to_dextrorphan", "CL_CYP3A_to_3MM"} <= set(
        mine.index
    )


def test_rows_outside_a_whole_model_have_no_symbol(parameters):
    part = parameters["whole_model"] == "yes"
    assert (parameters.loc[part, "symbol"] != "").all()
    assert (parameters.loc[~part, "symbol"] == "").all()


def test_what_follows_from_other_rows_does(parameters, units):
    """Domino for 70 kg from V1 per kg and the rate constants; 237.73 g/mol for S-ketamine."""
    domino = parameters[parameters["report"] == "Domino"].set_index("parameter")["value"]
    v1 = 70 * domino["V1"]
    derived = {
        "V1_70kg": v1,
        "V2_70kg": v1 * domino["k12"] / domino["k21"],
        "V3_70kg": v1 * domino["k13"] / domino["k31"],
        "CL_70kg": v1 * domino["k10"],
        "Q2_70kg": v1 * domino["k12"],
        "Q3_70kg": v1 * domino["k13"],
    }
    np.testing.assert_allclose(
        [domino[name] for name in derived], list(derived.values()), rtol=5e-4
    )
    high = parameters[parameters["report"] == "Simons2022PD"].set_index("parameter")["value"]
    for name in ("antinociception_lowest_assay", "antinociception_highest_assay", "drug_high"):
        amount = units.Quantity(high[f"C50_{name}"], "nmol/mL") * units.Quantity(237.73, "g/mol")
        assert amount.m_as("ng/mL") == pytest.approx(high[f"C50_{name}_ng_mL"], abs=0.7)
    liver = parameters[parameters["report"] == "PerezRuixo2021"].set_index("parameter")["value"]
    intrinsic = liver["V_hepatic"] * (liver["kel"] + liver["kmet"])
    clearance = liver["Q_hepatic"] * intrinsic / (liver["Q_hepatic"] + intrinsic)
    assert clearance == pytest.approx(liver["plasma_CL_from_structure"], abs=0.5)


@pytest.mark.reference
def test_spread_between_people_is_the_one_of_the_log_variance(parameters):
    """CV = sqrt(exp(omega^2) - 1): the omega^2 of Simons 2022 and Otto 2021 stand in the notes."""
    printed = parameters["note"].str.extract(r"omega\^2 (\d\.\d+)")[0].astype(float)
    rows = parameters[printed.notna() & parameters["between_subject_cv_percent"].notna()]
    assert len(rows) >= 14
    cv = 100 * np.sqrt(np.expm1(printed[rows.index]))
    np.testing.assert_allclose(rows["between_subject_cv_percent"], cv, atol=0.06)


def test_agents_and_analytes_are_words_of_the_vocabulary(base, parameters, concentrations):
    words = table(base, "vocabulary")
    terms = {
        kind: set(words.loc[(words["kind"] == kind) & (words["synonym"] == ""), "term"])
        for kind in ("agent", "analyte", "route")
    }
    for rows in (parameters, concentrations):
        assert set(rows["agent"]) <= terms["agent"]
        assert set(rows["analyte"]) <= terms["analyte"]
    assert set(concentrations["route"]) <= terms["route"]
    # What was given is not what was measured: the racemate gives both enantiomers.
    racemate = concentrations[concentrations["report"] == "Hasan2021"]
    assert set(racemate["agent"]) == {"ketamine"}
    assert set(racemate["analyte"]) == {"s_ketamine", "r_ketamine"}


def test_schedules_give_the_dose_and_the_hours_that_the_source_gives(concentrations):
    rows = concentrations[concentrations["schedule"] != ""]
    assert len(rows) == 83
    for row in rows.drop_duplicates("schedule").itertuples():
        regimen = parse_regimen(str(row.schedule))
        if row.dose_mg_per_kg == row.dose_mg_per_kg:
            assert sum(c.total for c in regimen.courses) == pytest.approx(row.dose_mg_per_kg), row
        if row.infusion_hours == row.infusion_hours:
            hours = sum(course.hours for course in regimen.courses)
            assert hours == pytest.approx(row.infusion_hours, abs=5e-4), row


def test_a_curve_is_not_taken_for_measurements(concentrations):
    curve = concentrations["statistic"] == "model_curve"
    assert (concentrations.loc[curve, "unusable"] == "model_curve").all()
    assert curve.sum() == 50
    early = (concentrations["report"] == "Hasan2021") & (concentrations["time_hours"] == 0)
    assert (concentrations.loc[early, "unusable"] == "digitising_artefact").all()
    assert (concentrations["unusable"] == "").sum() == 33


def test_no_fit_sees_them(data, tmp_path, base):
    assert not {"pharmacokinetics", "concentrations", "risk_of_bias"} & set(FINGERPRINTED)
    for path in data.glob("*.*"):
        if path.stem not in ("pharmacokinetics", "concentrations", "risk_of_bias"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    tree = load_evidence(tmp_path)
    assert tree.attrs["evidence_hash"] == base.attrs["evidence_hash"]
    assert tree["pharmacokinetics"].sizes["row"] == 0


#: column, new value, what is said
BROKEN = [
    ("value", "1.5 to 2", "'1.5 to 2' is not a finite number"),
    ("value", "", "no value"),
    ("agent", "ketamin", "'ketamin' is no agent of the vocabulary"),
    ("analyte", "norket", "'norket' is no analyte of the vocabulary"),
    ("structure", "two_compartment", "Did you mean 'two_compartments'"),
    ("whole_model", "maybe", "'maybe' is not a word for this column"),
    ("source", "", "nothing stands here"),
    ("between_subject_cv_percent", "-3", "-3.0 is negative"),
]


@pytest.mark.parametrize(("column", "value", "message"), BROKEN)
def test_a_wrong_cell_is_found(small, faults_of, data, column, value, message):
    rows = pd.read_csv(data / "pharmacokinetics.csv", dtype="str", keep_default_na=False)
    rows = rows[rows["report"] == "Domino"].reset_index(drop=True)
    rows.loc[0, column] = value
    rows.to_csv(small / "pharmacokinetics.csv", index=False)
    fault = faults_of(small)[0]
    assert message in str(fault)
    assert (fault.file, fault.row, fault.column) == ("pharmacokinetics.csv", 2, column)


def test_a_range_that_runs_backwards_is_found(small, faults_of, data):
    rows = pd.read_csv(data / "pharmacokinetics.csv", dtype="str", keep_default_na=False)
    rows = rows[rows["value_reported"] == "1-4"].assign(value_low="4", value_high="1")
    rows.to_csv(small / "pharmacokinetics.csv", index=False)
    (fault,) = faults_of(small)
    assert (fault.row, fault.column) == (2, "value_high")


def test_the_readme_counts_them_and_explains_every_reason(data, parameters, concentrations):
    text = (data / "README.md").read_text("utf-8")
    for name, rows in (("pharmacokinetics", parameters), ("concentrations", concentrations)):
        free = int((rows["unusable"] == "").sum())
        assert re.search(rf"\| {name}\.csv \| {len(rows)} .*?{free} can be used", text), name
        for reason in set(rows["unusable"]) - {""}:
            assert f"| {reason} | {name}: " in text, reason
    whole = parameters.loc[parameters["whole_model"] == "yes", "report"].unique()
    listed = text.split("`whole_model` marks 16 models")[1].split("`symbol`")[0]
    assert all(report in listed for report in whole)
