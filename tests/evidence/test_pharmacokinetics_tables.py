"""Tables of pharmacokinetic parameters and concentrations: values, units, complete models."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pint
import pytest

from nmda_bayes.evidence import load_evidence, to_frame
from nmda_bayes.evidence.tree import HASHED_TABLES
from nmda_bayes.regimens import parse_regimen

#: Symbols that a complete model needs: clearances, or rate constants.
DISPOSITIONS = {
    "one_compartment": ({"V1", "CL"},),
    "two_compartments": ({"V1", "V2", "CL", "Q2"}, {"V1", "k10", "k12", "k21"}),
    "three_compartments": (
        {"V1", "V2", "V3", "CL", "Q2", "Q3"},
        {"V1", "k10", "k12", "k13", "k21", "k31"},
        # Elimination in a liver compartment, by conversion and other routes.
        {"V1", "V2", "V3", "Q2", "Q3", "Q_hepatic", "V_hepatic", "kel", "kmet"},
    ),
}


@pytest.fixture(scope="module")
def parameters(base) -> pd.DataFrame:
    return to_frame(base, "pharmacokinetics")


@pytest.fixture(scope="module")
def concentrations(base) -> pd.DataFrame:
    return to_frame(base, "concentrations")


@pytest.fixture(scope="module")
def units() -> pint.UnitRegistry:
    return pint.UnitRegistry()


def test_every_row_is_loaded(data, parameters, concentrations):
    for name, rows in (("pharmacokinetics", parameters), ("concentrations", concentrations)):
        assert len(rows) == len(pd.read_csv(data / f"{name}.csv", dtype="str"))
    assert parameters["between_subject_cv_percent"].notna().sum() > 50


def test_values_equal_the_reported_numbers(parameters):
    assert parameters.loc[parameters["unusable"] == "", "value"].notna().all()
    rows = parameters[parameters["value"].notna()]
    # 45 (SD 10) is the only value reported with more than a number.
    reported = pd.to_numeric(rows["value_reported"].replace("45 (SD 10)", "45"))
    np.testing.assert_array_equal(rows["value"], reported)


def test_ranges_bounds_and_texts(parameters):
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
def test_units_fit_their_parameters(parameters, units, parameter, examples):
    rows = parameters[(parameters["parameter"] == parameter) & parameters["value"].notna()]
    allowed = [units.Unit(unit).dimensionality for unit in examples]
    assert len(rows) > 2
    assert all(units.Unit(unit).dimensionality in allowed for unit in rows["unit"])


def test_pint_parses_every_unit(parameters, concentrations, units):
    for unit in {*parameters["unit"], *parameters["per_body"]} - {""}:
        assert units.Quantity(unit).magnitude > 0, unit
    for unit in set(concentrations["unit"]):
        kind = units.Unit(unit).dimensionality
        assert kind in (units.Unit("g/L").dimensionality, units.Unit("mol/L").dimensionality)
    numbers = parameters["value"].notna() | parameters["value_low"].notna()
    assert (parameters.loc[numbers, "unit"] != "").all()


def test_body_weight_of_units(parameters):
    reported = parameters["unit_reported"]
    assert (parameters["per_body"] == "70 kg").equals(reported.str.contains("70 ?kg"))
    assert (parameters["per_body"] == "85 kg").equals(reported.str.contains("85kg"))
    assert not parameters["unit"].str.contains(r"\d\d").any()


def test_complete_models_have_their_symbols(parameters):
    whole = parameters[parameters["whole_model"] == "yes"]
    assert not whole.duplicated(["report", "analyte", "symbol"]).any()
    for report, rows in whole.groupby("report"):
        parent = rows["analyte"].iloc[0]
        if parent == "dextromethorphan":
            continue  # cleared by two enzymes, next test
        of_parent = rows[rows["analyte"] == parent]
        (structure,) = set(of_parent["structure"])
        have = set(of_parent.loc[of_parent["value"].notna(), "symbol"])
        assert any(needed <= have for needed in DISPOSITIONS[structure]), report


def test_dextromethorphan_is_cleared_by_two_enzymes(parameters):
    rows = parameters[(parameters["report"] == "terHeine2014")]
    symbols = set(rows.loc[rows["analyte"] == "dextromethorphan", "symbol"])
    assert {"V1", "V2", "Q2", "ka", "CL_CYP2D6_to_dextrorphan", "CL_CYP3A_to_3MM"} <= symbols


def test_only_complete_models_have_symbols(parameters):
    part = parameters["whole_model"] == "yes"
    assert (parameters.loc[part, "symbol"] != "").all()
    assert (parameters.loc[~part, "symbol"] == "").all()


def test_derived_rows_follow_from_others(parameters, units):
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
def test_cv_follows_from_the_log_variance(parameters):
    """CV = sqrt(exp(omega^2) - 1): omega^2 of Simons 2022 and Otto 2021 are in the notes."""
    printed = parameters["note"].str.extract(r"omega\^2 (\d\.\d+)")[0].astype(float)
    rows = parameters[printed.notna() & parameters["between_subject_cv_percent"].notna()]
    assert len(rows) >= 14
    cv = 100 * np.sqrt(np.expm1(printed[rows.index]))
    np.testing.assert_allclose(rows["between_subject_cv_percent"], cv, atol=0.06)


def test_agents_and_analytes_are_in_the_vocabulary(base, parameters, concentrations):
    vocabulary = to_frame(base, "vocabulary")
    vocabulary = vocabulary[vocabulary["synonym"] == ""]
    terms = {
        kind: set(vocabulary.loc[vocabulary["kind"] == kind, "term"])
        for kind in ("agent", "analyte", "route")
    }
    for rows in (parameters, concentrations):
        assert set(rows["agent"]) <= terms["agent"]
        assert set(rows["analyte"]) <= terms["analyte"]
    assert set(concentrations["route"]) <= terms["route"]
    # The racemate is given, both enantiomers are measured.
    racemate = concentrations[concentrations["report"] == "Hasan2021"]
    assert set(racemate["agent"]) == {"ketamine"}
    assert set(racemate["analyte"]) == {"s_ketamine", "r_ketamine"}


def test_schedules_agree_with_reported_doses_and_hours(concentrations):
    rows = concentrations[concentrations["schedule"] != ""]
    assert len(rows) > 80
    for row in rows.drop_duplicates("schedule").itertuples():
        regimen = parse_regimen(str(row.schedule))
        if row.dose_mg_per_kg == row.dose_mg_per_kg:
            assert sum(c.total for c in regimen.courses) == pytest.approx(row.dose_mg_per_kg), row
        if row.infusion_hours == row.infusion_hours:
            hours = sum(course.hours for course in regimen.courses)
            assert hours == pytest.approx(row.infusion_hours, abs=5e-4), row


def test_model_curves_are_not_measurements(concentrations):
    curve = concentrations["statistic"] == "model_curve"
    assert (concentrations.loc[curve, "unusable"] == "model_curve").all()
    assert curve.any()
    early = (concentrations["report"] == "Hasan2021") & (concentrations["time_hours"] == 0)
    assert (concentrations.loc[early, "unusable"] == "digitising_artefact").all()
    assert (concentrations["unusable"] == "").any()


def test_pk_tables_do_not_enter_the_evidence_hash(data, tmp_path, base):
    assert not {"pharmacokinetics", "concentrations", "risk_of_bias"} & set(HASHED_TABLES)
    for path in data.glob("*.*"):
        if path.stem not in ("pharmacokinetics", "concentrations", "risk_of_bias"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    tree = load_evidence(tmp_path)
    assert tree.attrs["evidence_hash"] == base.attrs["evidence_hash"]
    assert tree["pharmacokinetics"].sizes["row"] == 0


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("value", "1.5 to 2"),
        ("value", ""),
        ("agent", "ketamin"),
        ("analyte", "norket"),
        ("structure", "two_compartment"),
        ("whole_model", "maybe"),
        ("source", ""),
        ("between_subject_cv_percent", "-3"),
    ],
)
def test_wrong_cell_is_located(small, issues_of, data, column, value):
    rows = pd.read_csv(data / "pharmacokinetics.csv", dtype="str", keep_default_na=False)
    rows = rows[rows["report"] == "Domino"].reset_index(drop=True)
    rows.loc[0, column] = value
    rows.to_csv(small / "pharmacokinetics.csv", index=False)
    issue = issues_of(small)[0]
    assert value in issue.message
    assert (issue.file, issue.row, issue.column) == ("pharmacokinetics.csv", 2, column)


def test_reversed_range_is_located(small, issues_of, data):
    rows = pd.read_csv(data / "pharmacokinetics.csv", dtype="str", keep_default_na=False)
    rows = rows[rows["value_reported"] == "1-4"].assign(value_low="4", value_high="1")
    rows.to_csv(small / "pharmacokinetics.csv", index=False)
    (issue,) = issues_of(small)
    assert (issue.row, issue.column) == (2, "value_high")


def test_readme_counts_rows_and_explains_reasons(data, parameters, concentrations):
    text = (data / "README.md").read_text("utf-8")
    for name, rows in (("pharmacokinetics", parameters), ("concentrations", concentrations)):
        usable = int((rows["unusable"] == "").sum())
        assert re.search(rf"\| {name}\.csv \| {len(rows)} .*?{usable} can be used", text), name
        for reason in set(rows["unusable"]) - {""}:
            assert f"| {reason} | {name}: " in text, reason
    whole = parameters.loc[parameters["whole_model"] == "yes", "report"].unique()
    listed = text.split(f"`whole_model` marks {len(whole)} models")[1].split("`symbol`")[0]
    assert all(report in listed for report in whole)
