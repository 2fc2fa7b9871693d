"""The ledger: where every row of the nine extractions went, with its numbers.

The extractions themselves are not shipped. Their row counts are pinned here, and the ledger holds
their numbers as text, so that a row missing from `data/` or a number changed by hand is detected.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.evidence.schema import LEDGERS
from nmda_bayes.evidence.text_table import read_text_table
from nmda_bayes.evidence.validate import validate_table

#: Rows of each file of each extraction, its header not counted.
EXTRACTED = {
    "chronic_pain": {"studies": 89, "arms": 223, "outcomes": 400, "contrasts": 8, "pooled": 32},
    "cochrane_2025": {"comparisons": 134, "study_covariates": 12},
    "acute_pain": {"studies": 25, "arms": 52, "outcomes": 113, "contrasts": 12},
    "dose_ranging": {"studies": 59, "arms": 155, "outcomes": 358, "contrasts": 62, "pooled": 26},
    "perioperative": {"studies": 29, "arms": 67, "outcomes": 85, "contrasts": 52, "pooled": 50},
    "addiction": {"studies": 13, "arms": 28, "outcomes": 14, "contrasts": 18, "pooled": 1},
    "naltrexone_ketamine": {"studies": 6, "arms": 11, "outcomes": 3, "contrasts": 8},
    "magnesium_other": {"studies": 20, "arms": 40, "outcomes": 45, "contrasts": 10, "pooled": 8},
    "pharmacokinetics": {"parameters": 262, "observations": 85},
}

#: The columns that name a row, as data/README.md says.
KEYS = {
    "studies": ["study"],
    "arms": ["study", "arm_id"],
    "results": ["study", "arm_id", "outcome_reported", "time_label"],
    "contrasts": [
        *("study", "outcome_reported", "agent_reported", "comparator_reported", "time_label")
    ],
    "published": ["review", "agent_reported", "outcome_reported", "time"],
    "comparisons": ["analysis", "study", "footnote"],
    "pharmacokinetics": ["report", "population", "analyte_reported", "parameter"],
    "concentrations": ["report", "analyte_reported", "regimen", "time_hours"],
}

#: Columns of an extraction that were renamed.
RENAMED = {
    "n_randomised_arm": "n_randomised",
    "clinical_condition": "cochrane_condition",
    "duration_of_administration": "cochrane_duration",
    "medicine_dose": "cochrane_dose_class",
}
#: Columns that are now derived from `schedule` at loading; other tests compare these numbers.
DERIVED = {"total_dose_mg_per_kg", "daily_dose_mg", "infusion_hours", "n_administrations"}
DERIVED |= {"treatment_days"}

FACTORS = {"sign_turned": -1.0, "percent_to_proportion": 0.01}
#: Columns that neither a change of sign nor a percentage affects.
UNAFFECTED = {"n", "n_treat", "n_control", "events", "sd", "se", "time_hours", "scale_max"}
EXCHANGED = {"ci_low": "ci_high", "ci_high": "ci_low"}

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def ledger(data) -> pd.DataFrame:
    frame, issues = validate_table(read_text_table(data / "ledger.csv"), LEDGERS["ledger"])
    assert not issues
    return frame


@pytest.fixture(scope="module")
def tables(data) -> Tables:
    return read_tables(data)


def read_tables(folder: Path) -> Tables:
    """Read the tables as text, each row under its key."""
    out = {}
    for name, key in KEYS.items():
        frame = pd.read_csv(folder / f"{name}.csv", dtype="str", keep_default_na=False)
        out[name] = frame.set_axis(frame[key].agg(" | ".join, axis=1).str.strip())
    return out


def mismatches(ledger: pd.DataFrame, tables: Tables) -> list[str]:
    """Lines without a row, rows without a line, and fates that differ."""
    out = []
    for name, frame in tables.items():
        lines = ledger[ledger["data_table"] == name]
        out += [f"{name}: two rows {key}" for key in frame.index[frame.index.duplicated()]]
        out += [f"no row {key}" for key in set(lines["data_key"]) - set(frame.index)]
        out += [f"no line for {key}" for key in set(frame.index) - set(lines["data_key"])]
        if "unusable" not in frame:
            continue
        unusable = frame.groupby(level=0)["unusable"].first()
        for line in lines[lines["fate"] != "merged"].itertuples():
            reason = unusable.get(line.data_key, "")
            if (line.fate == "used") != (reason == "") or line.reason != reason:
                out.append(f"{line.data_key}: {line.fate} {line.reason}, in data {reason}")
    return out


def changed_numbers(ledger: pd.DataFrame, tables: Tables) -> list[str]:
    """Numbers in `data/` that differ from the extraction, apart from the `conversion`."""
    rows = {
        name: tables[name][~tables[name].index.duplicated()].to_dict("index")
        for name in set(ledger["data_table"])
    }
    out = []
    for line in ledger[ledger["conversion"] != "another_reading"].itertuples():
        row = rows[line.data_table].get(line.data_key, {})
        for cell in filter(None, re.split(r"; (?=[a-z_]+=)", line.value)):
            column, _, text = cell.partition("=")
            column = RENAMED.get(column, column)
            if column in DERIVED and column not in row:
                continue
            if line.data_table == "pharmacokinetics" and column == "value":
                column = "value_reported"
            value = row.get(
                EXCHANGED.get(column, column) if line.conversion == "sign_turned" else column
            )
            if not _agree(text, value, line.conversion, column):
                out.append(f"{line.folder} {line.table} {line.source_row} {cell}: {value}")
    return out


def _agree(text: str, value: str | None, conversion: str, column: str) -> bool:
    if value == "" or value is None:
        return value is not None and conversion == "not_carried"
    factor = 1.0 if column in UNAFFECTED else FACTORS.get(conversion, 1.0)
    if factor == 1.0 and text.replace("≤", "<=") == value:
        return True
    try:
        extracted, carried = float(text), float(value)
    except ValueError:
        return False
    return abs(extracted * factor - carried) < 1e-12 * max(1.0, abs(carried))


@pytest.mark.parametrize(
    ("folder", "name", "rows"),
    [(folder, name, n) for folder, files in EXTRACTED.items() for name, n in files.items()],
)
def test_every_row_of_an_extraction_has_a_line(ledger, folder, name, rows):
    lines = ledger[(ledger["folder"] == folder) & (ledger["table"] == name)]
    assert lines["source_row"].tolist() == list(range(2, rows + 2))


def test_ledger_has_no_other_lines(ledger):
    assert len(ledger) == sum(sum(files.values()) for files in EXTRACTED.values())


def test_lines_and_rows_correspond(ledger, tables):
    assert mismatches(ledger, tables) == []


def test_numbers_are_those_extracted(ledger, tables):
    assert changed_numbers(ledger, tables) == []
    assert ledger["value"].ne("").sum() > 2400


def test_conversions(ledger):
    described = next(c for c in LEDGERS["ledger"].columns if c.name == "conversion")
    assert set(ledger["conversion"]) == {*described.choices, ""}
    # Only arms, whose text has no column, are used although a number was not carried.
    dropped = ledger[(ledger["conversion"] == "not_carried") & (ledger["fate"] == "used")]
    assert set(dropped["table"]) == {"arms"}


def test_merged_rows_name_the_other_row(ledger, tables):
    merged = ledger[ledger["fate"] == "merged"]
    assert (merged["reason"] != "").all()
    # A merged line's row has a line of its own, of another extraction or of another study.
    others = ledger[ledger["fate"] != "merged"].set_index(["data_table", "data_key"]).index
    for line in merged.itertuples():
        assert (line.data_table, line.data_key) in others
    pairs = merged[merged["table"].isin(["studies", "arms"])]
    for line in pairs.itertuples():
        assert tables[line.data_table].loc[line.data_key, "merged_from"].startswith(line.folder)


def _change(tables: Tables, name: str, key: str, column: str, value: str) -> Tables:
    frame = tables[name].copy()
    frame.loc[key, column] = value
    return {**tables, name: frame}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("results", "events"),
        ("results", "mean"),
        ("results", "sd"),
        ("results", "n"),
        ("results", "time_hours"),
        ("contrasts", "estimate"),
        ("contrasts", "ci_high"),
        ("published", "estimate"),
        ("comparisons", "comparator_n"),
        ("arms", "dose_value"),
        ("studies", "n_randomised"),
        ("pharmacokinetics", "between_subject_cv_percent"),
        ("pharmacokinetics", "value_reported"),
        ("concentrations", "concentration"),
    ],
)
@pytest.mark.parametrize("change", ["digit", "sign", "blank"])
def test_number_changed_by_hand_is_detected(ledger, tables, name, column, change):
    numbers = pd.to_numeric(tables[name][column], errors="coerce")
    keys = numbers.index[numbers.abs() > 0]
    key = keys[len(keys) // 3]
    value = str(tables[name].loc[key, column])
    negated = value.removeprefix("-") if value.startswith("-") else f"-{value}"
    changed = {"digit": f"{value}1", "sign": negated, "blank": ""}[change]
    lines = ledger[ledger["data_table"] == name]
    texts = changed_numbers(lines, _change(tables, name, key, column, changed))
    assert {text.rsplit(": ", 1)[1] for text in texts} == {changed}


def test_missing_or_invented_row_is_detected(ledger, tables):
    fewer = {**tables, "results": tables["results"].iloc[1:]}
    assert [issue.split()[:2] for issue in mismatches(ledger, fewer)] == [["no", "row"]]
    first = tables["results"].iloc[[0]]
    twice = {**tables, "results": pd.concat([tables["results"], first])}
    assert len(mismatches(ledger, twice)) == 1
    more = pd.concat([tables["results"], first.set_axis(["A | b | c | d"])])
    assert mismatches(ledger, {**tables, "results": more}) == ["no line for A | b | c | d"]


def test_unusable_row_marked_usable_is_detected(ledger, tables):
    results = tables["results"]
    key = results.index[results["unusable"] != ""][0]
    (issue,) = mismatches(ledger, _change(tables, "results", key, "unusable", ""))
    assert issue.startswith(key)
