"""Load a user's table: detect its format, convert it to flat rows, and add the user's options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Issue, suggest_match
from nmda_bayes.evidence.flat import load_flat
from nmda_bayes.evidence.flat_schema import FLAT_COLUMNS, N_SUGGESTED_SETS
from nmda_bayes.evidence.importers.base import (
    FLAT_FORMAT,
    FORMATS,
    LOG_MEASURES,
    ImportResult,
    SourceTable,
    TableFormat,
    format_names,
    normalise_name,
    number_cells,
)
from nmda_bayes.evidence.schema import RESULT_SETS
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.tree import to_frame
from nmda_bayes.evidence.validate import read_numbers, truncate_repeats

# Detection of the format.

#: Share of its required columns that a format must match for a table to be an incomplete one.
MIN_MATCH = 0.6
#: The role without which a table is not one of participants.
PERSON_ROLE = "person"


def infer_format(table: RawTable, format: str | None) -> TableFormat | None:
    """The format of a table, as named or detected by its columns; None for a flat table."""
    columns = [str(column) for column in table.cells if column != LINE]
    if format == FLAT_FORMAT:
        return None
    if format is not None:
        candidates = [f for name, f in FORMATS.items() if format in (f.convention, name)]
        if not candidates:
            hint = suggest_match(format, [*format_names(), *FORMATS])
            raise EvidenceError([table.issue("E200", f"unknown format '{format}'", hint)])
    else:
        candidates = list(FORMATS.values())
    matching = [candidate for candidate in candidates if not candidate.missing(columns)]
    nearest = max(candidates, key=lambda candidate: _match_share(candidate, columns))
    if format is not None:
        if matching:
            return matching[0]
        raise EvidenceError(_missing_columns(table, columns, nearest))
    persons = [candidate for candidate in matching if PERSON_ROLE in candidate.required]
    if len(persons) == 1:
        return persons[0]  # first: the table may also have every column of arms
    names = set(columns)
    if {"study", "agent"} <= names and any(names >= set(results) for results in RESULT_SETS):
        return None
    if matching:
        if len({candidate.convention for candidate in matching}) == 1:
            return matching[0]
        raise EvidenceError([_ambiguous(table, matching)])
    flat_share, share = _flat_match_share(columns), _match_share(nearest, columns)
    if flat_share < max(share, MIN_MATCH) and share >= MIN_MATCH:
        raise EvidenceError(_missing_columns(table, columns, nearest))
    if flat_share == 0:
        raise EvidenceError([_unrecognised(table, columns)])
    return None


def _flat_match_share(columns: list[str]) -> float:
    names = {normalise_name(column) for column in columns}
    if not names & {"study", "agent"}:
        return 0.0
    needed = [{normalise_name(c) for c in ("study", "agent", *results)} for results in RESULT_SETS]
    return max(len(names & required) / len(required) for required in needed)


def _match_share(candidate: TableFormat, columns: list[str]) -> float:
    return 1 - len(candidate.missing(columns)) / len(candidate.required)


def _missing_columns(table: RawTable, columns: list[str], format: TableFormat) -> Iterator[Issue]:
    unmatched = [column for column in columns if column not in format.match(columns).values()]
    for name in format.missing(columns):
        match = suggest_match(name, unmatched) if unmatched else ""
        hint = (
            f"{f'{match} ' if match.startswith('Did') else ''}The table was taken to be"
            f" {format.name} ({format.required_columns}); --format names another:"
            f" {', '.join(format_names())}."
        )
        yield table.issue("E111", f"the column '{name}' is missing", hint, None, name)


def _described(formats: Iterable[TableFormat]) -> str:
    return "; ".join(f"{format.name} ({format.required_columns})" for format in formats)


def _ambiguous(table: RawTable, matching: list[TableFormat]) -> Issue:
    names = dict.fromkeys(format.convention for format in matching)
    message = f"the columns fit several formats: {_described(matching)}"
    return table.issue("E201", message, f"Choose one with --format {' or '.join(names)}.", 1)


def _unrecognised(table: RawTable, columns: list[str]) -> Issue:
    results = " or ".join(", ".join(names) for names in RESULT_SETS[:N_SUGGESTED_SETS])
    return table.issue(
        "E202",
        f"the columns ({', '.join(columns)}) are of no known format",
        f"Known formats: flat (study, agent, and {results}); {_described(FORMATS.values())}. Rename"
        " the columns, or name the format with --format to see which are missing.",
        1,
    )


# Information that the user adds: ``--set KEY=VALUE``.

DOSE_PREFIX = "dose."


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Information that a table lacks."""

    format: str | None = None
    groups: tuple[str, str] | None = None
    scale: tuple[float, float] | None = None
    measure: str | None = None
    reference: str | None = None
    outcome: str | None = None
    better: str | None = None
    reference_doses: dict[str, float] = field(default_factory=dict)


def _parse_groups(text: str) -> tuple[str, str]:
    first, second = (part.strip() for part in text.split(","))
    if not first or not second:
        raise ValueError
    return first, second


def _parse_scale(text: str) -> tuple[float, float]:
    low, high = map(float, text.split(","))
    if not low < high:
        raise ValueError
    return low, high


def _parse_dose(text: str) -> float:
    dose = float(text)
    if not dose > 0:
        raise ValueError
    return dose


#: How the value of each option is parsed, and an example.
OPTION_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "groups": (_parse_groups, "groups=vaccine,control"),
    "scale": (_parse_scale, "scale=0,10 (the lower end first)"),
    "measure": (str, "measure=log_OR"),
    "reference": (str, "reference=placebo"),
    "outcome": (str, "outcome=vomiting"),
    "better": ({"lower": "lower", "higher": "higher"}.__getitem__, "better=lower or better=higher"),
    DOSE_PREFIX: (_parse_dose, "dose.ketamine=0.5"),
}


def parse_options(settings: Iterable[str], format: str | None = None) -> ImportOptions:
    """Parse ``KEY=VALUE`` settings."""
    issues, options = [], ImportOptions(format=format)
    for setting in settings:
        key, _, value = (part.strip() for part in setting.partition("="))
        agent = key.removeprefix(DOSE_PREFIX) if key.startswith(DOSE_PREFIX) else ""
        parse, example = OPTION_PARSERS.get(DOSE_PREFIX if agent else key, (None, ""))
        hint = f"An example: {example}."
        try:
            if parse is None:
                hint = suggest_match(key, [*OPTION_PARSERS][:-1] + [f"{DOSE_PREFIX}AGENT"])
                hint = f"Write --set KEY=VALUE. {hint}"
                raise ValueError
            parsed = parse(value)
        except (KeyError, ValueError):
            issues.append(Issue("E203", f"invalid setting '{setting}'", hint, "--set"))
            continue
        if agent:
            key, parsed = "reference_doses", {**options.reference_doses, agent: parsed}
        options = replace(options, **{key: parsed})
    if issues:
        raise EvidenceError(issues)
    return options


# Loading.

#: A difference of means, and the same on a scale from 0 to 100.
MD, MD_ON_100 = "MD", "MD on 0-100"

#: Flat columns whose source is reported; other columns keep their own name.
REPORTED_COLUMNS = (*FLAT_COLUMNS, "n_treat", "n_control", "subgroup")


def load_table(table: RawTable, source: str, options: ImportOptions) -> xr.DataTree:
    """Load a user's table in any format."""
    if table.cells.empty:
        raise EvidenceError(table.issues)
    format = infer_format(table, options.format)
    if format is None:
        flat, notes = _apply_options(table, options)
        return _with_import_notes(load_flat(flat, source), FLAT_FORMAT, notes)
    columns = format.match([str(column) for column in table.cells])
    result = format.flatten(SourceTable(table, columns, options.groups))
    flat, notes = _apply_options(replace(table, cells=result.cells), options, logs=LOG_MEASURES)
    tree = _load_result(flat, source, result)
    for name in ("results", "contrasts"):
        lines = [result.lines[line - 2] for line in tree[name]["line"].to_numpy().astype(int)]
        tree[name]["line"] = xr.DataArray(np.array(lines, dtype=int), dims="row")
    notes = [*result.notes, *notes]
    return _with_import_notes(tree, format.name, notes, _column_sources(result), result.reference)


def _load_result(flat: RawTable, source: str, result: ImportResult) -> xr.DataTree:
    """Check converted rows; errors are moved to their places in the user's table."""
    issues = list(dict.fromkeys([*flat.issues, *result.issues]))
    reported = {(issue.row, issue.column) for issue in issues}
    try:
        if result.cells.empty:
            raise EvidenceError([flat.issue("E204", "no row has a result", "Enter its numbers.")])
        tree = load_flat(replace(flat, issues=[]), source)
    except EvidenceError as error:
        located = [result.locate(issue) for issue in error.issues]
        issues += [issue for issue in located if (issue.row, issue.column) not in reported]
    if issues:
        raise EvidenceError(truncate_repeats(sorted(issues, key=lambda issue: issue.row or 0)))
    return tree


def _apply_options(
    table: RawTable, options: ImportOptions, logs: dict[str, str] | None = None
) -> tuple[RawTable, list[str]]:
    """Fill in what the table lacks; `logs`: ratios that its format stores as logarithms."""
    notes: list[str] = []
    is_contrasts = "comparator" in table.cells
    if options.measure is not None and is_contrasts:
        measure = (logs or {}).get(options.measure, options.measure)
        table = _fill_empty(table, measure=measure)
        notes.append(f"The measure of the contrasts is {measure} (set by you).")
    if options.scale is not None:
        low, high = options.scale
        notes.append(f"Scale {low:g} to {high:g} (set by you).")
        if is_contrasts:
            table = _rescale_differences(table, 100 / (high - low))
            notes.append("Differences of means (MD) are rescaled to 0-100.")
        else:
            table = _fill_empty(table, scale_min=repr(low), scale_max=repr(high))
    return table, notes


def _fill_empty(table: RawTable, **values: str) -> RawTable:
    cells = table.cells
    for name, value in values.items():
        column = cells[name] if name in cells else pd.Series("", index=cells.index, dtype="str")
        cells = cells.assign(**{name: column.where(column != "", value)})
    return replace(table, cells=cells)


def _rescale_differences(table: RawTable, factor: float) -> RawTable:
    """Rescale differences of means to 0-100; text is left for the checks."""
    if "measure" not in table.cells:
        return table
    cells = table.cells.copy()
    is_md = cells["measure"] == MD
    for name in ("estimate", "se", "comparator_se", "ci_low", "ci_high"):
        if name in cells:
            values, _ = read_numbers(table, name)
            scaled = number_cells(values * factor)
            cells[name] = scaled.where(is_md & values.notna(), cells[name])
    cells["measure"] = cells["measure"].mask(is_md, MD_ON_100)
    return replace(table, cells=cells)


def _column_sources(result: ImportResult) -> str:
    """The user's columns behind each flat column, as text."""
    sources: dict[str, dict[str, None]] = {name: {} for name in REPORTED_COLUMNS}
    for origin in {id(origin): origin for origin in result.origins}.values():
        for flat, column in origin.items():
            if flat in sources:
                sources[flat][column] = None
    return ", ".join(
        flat if list(columns) == [flat] else f"{flat} from {' and '.join(map(repr, columns))}"
        for flat, columns in sources.items()
        if columns
    )


def _with_import_notes(
    tree: xr.DataTree, format: str, notes: list[str], columns: str = "", comparator: str = ""
) -> xr.DataTree:
    agents = {*to_frame(tree, "arms")["agent"], *to_frame(tree, "contrasts")["comparator"]}
    tree.attrs |= {"format": format, "notes": tuple(notes), "columns": columns}
    tree.attrs["comparator"] = comparator if comparator in agents else ""
    return tree
