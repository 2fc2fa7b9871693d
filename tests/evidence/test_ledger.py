"""What became of every row of the nine extractions: followed to its row and back, with its numbers.

The extractions themselves are not shipped. Their row counts are pinned here, and the ledger holds
their numbers as text, so that a row dropped from `data/` or a number changed by hand is found.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.evidence.faults import typed
from nmda_bayes.evidence.reading import read_sheet
from nmda_bayes.evidence.tables import LEDGERS

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

#: Columns of an extraction that stand here under another name.
RENAMED = {
    "n_randomised_arm": "n_randomised",
    "clinical_condition": "cochrane_condition",
    "duration_of_administration": "cochrane_duration",
    "medicine_dose": "cochrane_dose_class",
}
#: Typed once and now derived from `schedule` at loading, which other tests hold to these numbers.
DERIVED = {"total_dose_mg_per_kg", "daily_dose_mg", "infusion_hours", "n_administrations"}
DERIVED |= {"treatment_days"}

FACTORS = {"sign_turned": -1.0, "percent_to_proportion": 0.01}
#: What a turned sign and a percentage leave as it is.
UNTOUCHED = {"n", "n_treat", "n_control", "events", "sd", "se", "time_hours", "scale_max"}
TURNED = {"ci_low": "ci_high", "ci_high": "ci_low"}

Tables = dict[str, pd.DataFrame]


@pytest.fixture(scope="module")
def ledger(data) -> pd.DataFrame:
    frame, faults = typed(read_sheet(data / "ledger.csv"), LEDGERS["ledger"])
    assert not faults
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


def lost(ledger: pd.DataFrame, tables: Tables) -> list[str]:
    """List what does not follow: lines without a row, rows without a line, fates that differ."""
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
                out.append(f"{line.data_key}: {line.fate} {line.reason}, there {reason}")
    return out


def misread(ledger: pd.DataFrame, tables: Tables) -> list[str]:
    """List numbers that are not, in `data/`, what the extraction had, as `conversion` says."""
    rows = {
        name: tables[name][~tables[name].index.duplicated()].to_dict("index")
        for name in set(ledger["data_table"])
    }
    out = []
    for line in ledger[ledger["conversion"] != "another_reading"].itertuples():
        row = rows[line.data_table].get(line.data_key, {})
        for cell in filter(None, re.split(r"; (?=[a-z_]+=)", line.value)):
            column, _, said = cell.partition("=")
            column = RENAMED.get(column, column)
            if column in DERIVED and column not in row:
                continue
            if line.data_table == "pharmacokinetics" and column == "value":
                column = "value_reported"
            here = row.get(
                TURNED.get(column, column) if line.conversion == "sign_turned" else column
            )
            if not _agree(said, here, line.conversion, column):
                out.append(f"{line.folder} {line.table} {line.source_row} {cell}: {here}")
    return out


def _agree(said: str, here: str | None, conversion: str, column: str) -> bool:
    if here == "" or here is None:
        return here is not None and conversion == "not_carried"
    factor = 1.0 if column in UNTOUCHED else FACTORS.get(conversion, 1.0)
    if factor == 1.0 and said.replace("≤", "<=") == here:
        return True
    try:
        there, mine = float(said), float(here)
    except ValueError:
        return False
    return abs(there * factor - mine) < 1e-12 * max(1.0, abs(mine))


@pytest.mark.parametrize(
    ("folder", "name", "rows"),
    [(folder, name, n) for folder, files in EXTRACTED.items() for name, n in files.items()],
)
def test_every_row_of_every_extraction_has_a_line(ledger, folder, name, rows):
    mine = ledger[(ledger["folder"] == folder) & (ledger["table"] == name)]
    assert mine["source_row"].tolist() == list(range(2, rows + 2))


def test_there_is_no_line_of_anything_else(ledger):
    assert len(ledger) == sum(sum(files.values()) for files in EXTRACTED.values()) == 2615


def test_every_line_leads_to_one_row_and_every_row_has_a_line(ledger, tables):
    assert lost(ledger, tables) == []


def test_every_number_is_the_one_that_was_extracted(ledger, tables):
    assert misread(ledger, tables) == []
    assert ledger["value"].ne("").sum() > 2400


def test_every_change_of_a_number_is_one_that_the_readme_names(ledger):
    counts = ledger["conversion"].value_counts().to_dict()
    assert {k: v for k, v in counts.items() if k} == {
        "not_carried": 102,
        "percent_to_proportion": 12,
        "sign_turned": 10,
        "another_reading": 1,
    }
    # A number of a result is used only as it is or converted; arms may lack a place for words.
    dropped = ledger[(ledger["conversion"] == "not_carried") & (ledger["fate"] == "used")]
    assert set(dropped["table"]) == {"arms"}


def test_what_was_merged_says_with_what(ledger, tables):
    merged = ledger[ledger["fate"] == "merged"]
    assert (merged["reason"] != "").all()
    # A merged line's row has a line of its own, of another extraction or of another study.
    own = ledger[ledger["fate"] != "merged"].set_index(["data_table", "data_key"]).index
    for line in merged.itertuples():
        assert (line.data_table, line.data_key) in own
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
def test_a_number_changed_by_hand_is_found(ledger, tables, name, column, change):
    numbers = pd.to_numeric(tables[name][column], errors="coerce")
    keys = numbers.index[numbers.abs() > 0]
    key = keys[len(keys) // 3]
    there = str(tables[name].loc[key, column])
    turned = there.removeprefix("-") if there.startswith("-") else f"-{there}"
    changed = {"digit": f"{there}1", "sign": turned, "blank": ""}[change]
    lines = ledger[ledger["data_table"] == name]
    found = misread(lines, _change(tables, name, key, column, changed))
    assert {fault.rsplit(": ", 1)[1] for fault in found} == {changed}


def test_a_row_dropped_or_made_up_is_found(ledger, tables):
    fewer = {**tables, "results": tables["results"].iloc[1:]}
    assert [fault.split()[:2] for fault in lost(ledger, fewer)] == [["no", "row"]]
    first = tables["results"].iloc[[0]]
    twice = {**tables, "results": pd.concat([tables["results"], first])}
    assert len(lost(ledger, twice)) == 1
    more = pd.concat([tables["results"], first.set_axis(["A | b | c | d"])])
    assert lost(ledger, {**tables, "results": more}) == ["no line for A | b | c | d"]


def test_a_row_taken_back_into_use_is_found(ledger, tables):
    results = tables["results"]
    key = results.index[results["unusable"] != ""][0]
    (fault,) = lost(ledger, _change(tables, "results", key, "unusable", ""))
    assert fault.startswith(key)
