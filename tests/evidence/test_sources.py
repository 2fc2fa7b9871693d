"""Every number of the base has a source, every source leads somewhere, every entry is used."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from nmda_bayes.evidence.folder_rules import ADDRESS

#: A value of a field: in braces, which may hold braces, or in quotes.
_ENTRY = re.compile(r"^@(\w+)\{\s*([^,\s]+)\s*,\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^\s*(\w+)\s*=\s*\{((?:[^{}]|\{[^{}]*\})*)\},?\s*$")

#: Tables that hold numbers of the sources; the ledger's are told by the rows that they lead to, and
#: the vocabulary has none.
SOURCELESS = {"ledger", "vocabulary"}
WITH_NUMBERS = [
    *("studies", "arms", "results", "contrasts", "published", "comparisons"),
    *("reference_doses", "conversions"),
    *("pharmacokinetics", "concentrations", "risk_of_bias"),
]

Fields = dict[str, str]


def read_bibliography(path: Path) -> dict[str, Fields]:
    """Parse a bibliography; what is no entry, field or comment is a fault."""
    text = path.read_text("utf-8")
    entries: dict[str, Fields] = {}
    for kind, key, body in _ENTRY.findall(text):
        if key in entries:
            raise ValueError(f"{key} stands twice")
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


def untraced(tables: dict[str, pd.DataFrame], entries: dict[str, Fields]) -> list[str]:
    """List the rows with a number that no source, or none that leads anywhere, stands behind."""
    out = []
    for name, frame in tables.items():
        if "source" not in frame:
            out.append(f"{name}.csv has no column source")
            continue
        for row, cells in enumerate(frame.to_dict("records"), start=2):
            numbers = [c for c, cell in cells.items() if re.search(r"\d", cell) and c != "source"]
            parts = [part.strip() for part in cells["source"].split("; ")]
            lost = [p for p in parts if p not in entries and not ADDRESS.fullmatch(p)]
            if numbers and lost:
                out.append(f"{name}.csv, row {row}: '{lost[0]}'")
    return out


def unused(tables: dict[str, pd.DataFrame], entries: dict[str, Fields]) -> set[str]:
    """Name the entries that no row names."""
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


def test_every_number_leads_to_its_source(tables, entries):
    assert untraced(tables, entries) == []


def test_the_tables_are_all_looked_at(tables):
    assert set(tables) == set(WITH_NUMBERS)


def test_every_entry_of_the_bibliography_is_used(tables, entries):
    assert unused(tables, entries) == set()


def test_every_entry_says_what_it_is(entries):
    assert len(entries) > 240
    for key, fields in entries.items():
        assert fields["kind"] in ("article", "misc", "book"), key
        assert len(fields.get("title", "")) > 3, key
        if "doi" in fields:
            assert ADDRESS.fullmatch(f"doi:{fields['doi']}"), key
        if "url" in fields:
            assert ADDRESS.fullmatch(fields["url"]), key
        if "year" in fields:
            assert re.fullmatch(r"(19|20)\d\d", fields["year"]), key


def test_a_trial_and_its_entry_have_one_doi(data, entries):
    studies = pd.read_csv(data / "studies.csv", dtype="str", keep_default_na=False)
    for row in studies[studies["doi"] != ""].itertuples():
        there = entries.get(str(row.study), {}).get("doi")
        assert there is None or there.lower() == str(row.doi).lower(), row.study


@pytest.mark.parametrize(
    "source", ["", "Sigtermans2008", "doi:10.1/x", "pmid:many", "www.example.org", "Eide1994; "]
)
@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_a_source_that_is_gone_or_misspelt_is_found(tables, entries, name, source):
    spoilt = tables[name].copy()
    spoilt.loc[1, "source"] = source
    (found,) = untraced({name: spoilt}, entries)
    assert found.startswith(f"{name}.csv, row 3: ")


def test_a_table_without_the_column_is_found(tables, entries):
    bare = {"conversions": tables["conversions"].drop(columns="source")}
    assert untraced(bare, entries) == ["conversions.csv has no column source"]


def test_an_entry_that_went_or_that_nothing_names_is_found(tables, entries):
    assert unused(tables, {**entries, "nobody1900": {"kind": "misc"}}) == {"nobody1900"}
    fewer = {key: fields for key, fields in entries.items() if key != "opentiva"}
    found = untraced({"pharmacokinetics": tables["pharmacokinetics"]}, fewer)
    assert len(found) == 28
    assert all(fault.endswith("'opentiva'") for fault in found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@misc{a1,\n  title = {One}\n}\n@misc{a1,\n  title = {Two}\n}\n", "a1 stands twice"),
        ("@misc{a1,\n  title = One\n}\n", "a1: no field"),
        ("@misc{a1,\n  title = {One\n}\n", "a1: no field"),
        ("@misc{a1,\n  title = {One}\n}\nstray words\n", "no entry: stray words"),
    ],
)
def test_a_bibliography_that_is_broken_is_told(tmp_path, text, message):
    (tmp_path / "sources.bib").write_text(text, "utf-8")
    with pytest.raises(ValueError, match=message):
        read_bibliography(tmp_path / "sources.bib")
