"""Every number of the base has a source that resolves, and every reference is used."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.evidence.validate import SOURCE_ADDRESS

#: A value of a field: in braces, which may hold braces, or in quotes.
_ENTRY = re.compile(r"^@(\w+)\{\s*([^,\s]+)\s*,\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\},?\s*$")

#: The ledger's sources are those of the rows that it refers to; the vocabulary has none.
SOURCELESS = {"ledger", "vocabulary"}
WITH_NUMBERS = [
    *("studies", "arms", "results", "contrasts", "published", "comparisons"),
    *("reference_doses", "conversions"),
    *("pharmacokinetics", "concentrations", "risk_of_bias"),
]

Fields = dict[str, str]


def read_bibliography(path: Path) -> dict[str, Fields]:
    """Parse a bibliography; anything but entries, fields and comments is an error."""
    text = path.read_text("utf-8")
    entries: dict[str, Fields] = {}
    for kind, key, body in _ENTRY.findall(text):
        if key in entries:
            raise ValueError(f"duplicate key {key}")
        entries[key] = {"kind": kind}
        for line in body.splitlines():
            field = _FIELD.match(line)
            if field is None:
                raise ValueError(f"{key}: no field: {line}")
            entries[key][field[1]] = field[2]
    rest = _ENTRY.sub("", text)
    stray = [line for line in rest.splitlines() if line.strip() and not line.startswith("%")]
    if stray:
        raise ValueError(f"no entry: {stray[0]}")
    return entries


def tables_of(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables that must name their sources, as text."""
    return {
        path.stem: pd.read_csv(path, dtype="str", keep_default_na=False)
        for path in sorted(folder.glob("*.csv"))
        if path.stem not in SOURCELESS
    }


def rows_without_source(tables: dict[str, pd.DataFrame], entries: dict[str, Fields]) -> list[str]:
    """Rows with numbers whose source is missing or does not resolve."""
    out = []
    for name, frame in tables.items():
        if "source" not in frame:
            out.append(f"{name}.csv has no column source")
            continue
        for row, cells in enumerate(frame.to_dict("records"), start=2):
            numbers = [c for c, cell in cells.items() if re.search(r"\d", cell) and c != "source"]
            parts = [part.strip() for part in cells["source"].split("; ")]
            bad = [p for p in parts if p not in entries and not SOURCE_ADDRESS.fullmatch(p)]
            if numbers and bad:
                out.append(f"{name}.csv, row {row}: '{bad[0]}'")
    return out


def unused_entries(tables: dict[str, pd.DataFrame], entries: dict[str, Fields]) -> set[str]:
    """Entries that no row cites."""
    named = {
        part.strip()
        for frame in tables.values()
        for source in frame["source"].unique()
        for part in source.split("; ")
    }
    return set(entries) - named


@pytest.fixture(scope="module")
def entries(data) -> dict[str, Fields]:
    return read_bibliography(data / "sources.bib")


@pytest.fixture(scope="module")
def tables(data) -> dict[str, pd.DataFrame]:
    return tables_of(data)


def test_every_number_has_a_source(tables, entries):
    assert rows_without_source(tables, entries) == []


def test_all_tables_are_checked(tables):
    assert set(tables) == set(WITH_NUMBERS)


def test_every_reference_is_cited(tables, entries):
    assert unused_entries(tables, entries) == set()


def test_references_are_well_formed(entries):
    assert len(entries) > 240
    for key, fields in entries.items():
        assert fields["kind"] in ("article", "misc", "book"), key
        assert len(fields.get("title", "")) > 3, key
        if "doi" in fields:
            assert SOURCE_ADDRESS.fullmatch(f"doi:{fields['doi']}"), key
        if "url" in fields:
            assert SOURCE_ADDRESS.fullmatch(fields["url"]), key
        if "year" in fields:
            assert re.fullmatch(r"(19|20)\d\d", fields["year"]), key


def test_study_and_reference_have_the_same_doi(data, entries):
    studies = pd.read_csv(data / "studies.csv", dtype="str", keep_default_na=False)
    for row in studies[studies["doi"] != ""].itertuples():
        doi = entries.get(str(row.study), {}).get("doi")
        assert doi is None or doi.lower() == str(row.doi).lower(), row.study


@pytest.mark.parametrize(
    "source", ["", "Sigtermans2008", "doi:10.1/x", "pmid:many", "www.example.org", "Eide1994; "]
)
@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_missing_or_misspelt_source_is_detected(tables, entries, name, source):
    changed = tables[name].copy()
    changed.loc[1, "source"] = source
    (text,) = rows_without_source({name: changed}, entries)
    assert text.startswith(f"{name}.csv, row 3: ")


def test_table_without_sources_is_detected(tables, entries):
    bare = {"conversions": tables["conversions"].drop(columns="source")}
    assert rows_without_source(bare, entries) == ["conversions.csv has no column source"]


def test_missing_or_uncited_reference_is_detected(tables, entries):
    assert unused_entries(tables, {**entries, "nobody1900": {"kind": "misc"}}) == {"nobody1900"}
    fewer = {key: fields for key, fields in entries.items() if key != "opentiva"}
    parameters = tables["pharmacokinetics"]
    texts = rows_without_source({"pharmacokinetics": parameters}, fewer)
    assert len(texts) == parameters["source"].str.contains("opentiva").sum() > 0
    assert all(text.endswith("'opentiva'") for text in texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@misc{a1,\n  title = {One}\n}\n@misc{a1,\n  title = {Two}\n}\n", "duplicate key a1"),
        ("@misc{a1,\n  title = One\n}\n", "a1: no field"),
        ("@misc{a1,\n  title = {One\n}\n", "a1: no field"),
        ("@misc{a1,\n  title = {One}\n}\nstray words\n", "no entry: stray words"),
    ],
)
def test_malformed_bibliography_is_rejected(tmp_path, text, message):
    (tmp_path / "sources.bib").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_bibliography(tmp_path / "sources.bib")
