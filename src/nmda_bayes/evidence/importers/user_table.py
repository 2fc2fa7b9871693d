"""Load a user's table: detect its format, convert it to flat rows, and apply the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Issue, suggest_match
from nmda_bayes.evidence.conversions import (
    OTHER_MEASURE,
    convert_doses,
    normalise_measures,
    settle_ratio_errors,
)
from nmda_bayes.evidence.decisions import (
    ask_missing_codes,
    ask_study_names,
    ask_unread_columns,
    fill_settings,
    leave_out_referents,
    leave_out_totals,
    unread_columns,
)
from nmda_bayes.evidence.draft import DraftTable, row_text, set_text
from nmda_bayes.evidence.flat import load_flat
from nmda_bayes.evidence.flat_rules import NO_COMPARATOR, RESULT_MISSING
from nmda_bayes.evidence.flat_schema import FLAT_COLUMNS, is_flat
from nmda_bayes.evidence.importers.arm_conversions import (
    MEAN_MEASURES,
    cluster_columns,
    convert_rows,
)
from nmda_bayes.evidence.importers.base import (
    DETECTORS,
    FLAT_FORMAT,
    FORMATS,
    LOG_MEASURES,
    ImportResult,
    SourceTable,
    TableFormat,
    format_names,
    normalise_name,
)
from nmda_bayes.evidence.importers.headings import (
    CHARACTERISTICS,
    RESULT_ROLES,
    parse_heading,
    states_result,
)
from nmda_bayes.evidence.importers.options import ImportOptions
from nmda_bayes.evidence.importers.own_headings import (
    missing_roles,
    nearest_roles,
    read_headings,
)
from nmda_bayes.evidence.importers.preparation import prepare_table
from nmda_bayes.evidence.importers.unsupported import unsupported_content
from nmda_bayes.evidence.importers.vocabulary import (
    CONTROL_WORDS,
    UNNAMED_GROUPS,
    split_heading,
)
from nmda_bayes.evidence.labels import normalise_labels, note_equal_trials
from nmda_bayes.evidence.schema import RESULT_SETS, shorten
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.tree import MD
from nmda_bayes.evidence.validate import truncate_repeats

# Detection of the format.

#: Share of its required columns that a format must match for a table to be an incomplete one.
MIN_MATCH = 0.6
#: The role without which a table is not one of participants.
PERSON_ROLE = "person"
#: Columns of a flat table that hold its result.
FLAT_RESULTS = {name for names in RESULT_SETS for name in names} - {"n", "se", "t", "f", "p"}
#: The role of effects, and the detector of groups side by side.
ESTIMATE_ROLE, GROUPS = "estimate", "meta"


def infer_format(table: RawTable, format: str | None) -> TableFormat | None:
    """The format of a table, as named or detected by its columns; None for a flat table."""
    columns = [str(column) for column in table.cells if column != LINE]
    if format == FLAT_FORMAT:
        return None
    if format is not None:
        candidates = [f for name, f in FORMATS.items() if format in (f.convention, name)]
        if not candidates:
            hint = suggest_match(format, [*format_names(), *FORMATS])
            if not hint.startswith("Did"):
                hint = f"Known: {', '.join(format_names())}."
            raise EvidenceError([table.issue("E200", f"unknown format '{format}'", hint)])
        detector = DETECTORS.get(candidates[0].convention)
        detected = None if detector is None else detector(table)
        if detected is not None and format in (detected.convention, detected.name):
            return detected
    else:
        candidates = [f for f in FORMATS.values() if f.convention not in DETECTORS]
    matching = [candidate for candidate in candidates if not candidate.missing(columns)]
    # The numbers of groups say more than an effect.
    matching.sort(key=lambda candidate: ESTIMATE_ROLE in candidate.required)
    nearest = max(candidates, key=lambda candidate: _match_share(candidate, columns))
    if format is not None:
        if matching:
            return matching[0]
        raise EvidenceError(_missing_columns(table, columns, nearest))
    persons = [candidate for candidate in matching if PERSON_ROLE in candidate.required]
    if len(persons) == 1:
        return persons[0]  # first: the table may also have every column of arms
    names = set(columns)
    if is_flat(names):
        return None
    if matching:
        if len({candidate.convention for candidate in matching}) > 1:
            raise EvidenceError([_ambiguous(table, matching)])
        groups = DETECTORS[GROUPS](table) if ESTIMATE_ROLE in matching[0].required else None
        return groups or matching[0]
    for detector in DETECTORS.values():
        detected = detector(table)
        if detected is not None:
            return detected
    unsupported = unsupported_content(table)
    if unsupported is not None and format is None and not names & set(FLAT_RESULTS):
        raise EvidenceError([unsupported])
    flat_share, share = _flat_match_share(columns), _match_share(nearest, columns)
    if flat_share < max(share, MIN_MATCH) and share >= MIN_MATCH:
        raise EvidenceError(_missing_columns(table, columns, nearest))
    if flat_share == 0 or not names >= {"study", "agent"}:
        reading = read_headings(table, {})
        if reading.groups or set(reading.roles) & set(RESULT_ROLES):
            raise EvidenceError([*reading.issues, *missing_roles(reading)])
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
    return table.issue(
        "E202",
        f"the columns ({', '.join(map(shorten, columns[:20]))}) are of no known format",
        f"The headings seem to be {nearest_roles(table)}. A table needs a trial, a treatment and a"
        " result in each row: name their columns with --set column.study=HEADING, column.agent and"
        " so on (docs/own_data.md), or the package it is from with --format.",
        1,
    )


# Loading.

#: Flat columns whose source is reported; other columns keep their own name.
REPORTED_COLUMNS = (*FLAT_COLUMNS, "n_treat", "n_control", "subgroup")


def load_table(
    table: RawTable, source: str, options: ImportOptions, questions: list[Issue] | None = None
) -> xr.DataTree:
    """Load a user's table in any format.

    What only its owner can decide is added to `questions`, or raised where there is no list.
    """
    if table.cells.empty:
        raise EvidenceError(table.issues)
    undecided: list[Issue] = []
    try:
        table, user_rows = prepare_table(table, undecided, options)
        tree = _load_format(table, source, options, undecided, user_rows)
    except EvidenceError as error:
        if {issue.code for issue in error.issues} & {"E111", "E113"}:
            # Which columns the table lacks comes before what its other columns may be.
            undecided = [question for question in undecided if question.code != "E183"]
        raise EvidenceError(dict.fromkeys([*undecided, *error.issues])) from None
    tree.attrs["notes"] = (*table.notes, *tree.attrs["notes"])
    if undecided and questions is None:
        raise EvidenceError(undecided)
    if questions is not None:
        questions += undecided
    return tree


def _load_format(
    table: RawTable,
    source: str,
    options: ImportOptions,
    undecided: list[Issue],
    user_rows: ImportResult | None,
) -> xr.DataTree:
    """Load a table by its format; `user_rows`: its flat rows, where its headings are the user's."""
    format = None if user_rows is not None else infer_format(table, options.format)
    result = user_rows
    if format is not None:
        columns = format.match([str(column) for column in table.cells])
        groups, level, ignored = options.groups, options.ci_level, options.ignore
        user_table = SourceTable(table, columns, groups, level, ignored, options.repeated)
        result = format.flatten(user_table)
        undecided += result.questions
    flat = table if result is None else replace(table, cells=result.cells, issues=[])
    questions: list[Issue] = []
    reference = "" if result is None else result.reference
    notes: list[str] = []
    if not flat.cells.empty:
        flat, notes = convert_rows(flat, options, questions, reference)
    lines = flat.cells[LINE]
    if result is not None:
        lines = pd.Series([result.lines[line - 2] for line in lines], index=lines.index, dtype=int)
        notes = [*result.notes, *notes]
    draft = DraftTable(flat, lines, notes=notes)
    if not flat.cells.empty:
        unread = unread_columns(draft) if format is None else [*(result.unread if result else ())]
        used = cluster_columns(draft.table)
        unread = [name for name in unread if name not in used]
        named = [n for n in unread if any(f"'{n}'" in issue.message for issue in undecided)]
        options = replace(options, ignore=(*options.ignore, *named))
        _apply_options(draft, options, unread, LOG_MEASURES if format is not None else None)
        _report_unread_results(draft, options.ignore, converted=format is not None)
    asked = {question.column for question in questions}
    questions += [q for q in draft.questions if q.code != "E183" or q.column not in asked]
    if result is None:
        undecided += questions
        return _with_import_notes(load_flat(draft.loaded_table(), source), FLAT_FORMAT, draft)
    undecided += [result.locate(question) for question in questions]
    tree = _load_result(draft, table.issues, source, result)
    for name in ("results", "contrasts"):
        rows = tree[name]["line"].to_numpy().astype(int) - 2
        tree[name]["line"] = xr.DataArray(np.array(result.lines, dtype=int)[rows], dims="row")
    name = FLAT_FORMAT if format is None else format.name
    return _with_import_notes(tree, name, draft, _column_sources(result), result.reference)


def _load_result(
    draft: DraftTable, table_issues: list[Issue], source: str, result: ImportResult
) -> xr.DataTree:
    """Check converted rows; errors are moved to their places in the user's table."""
    located = [result.locate(issue) for issue in [*draft.table.issues, *draft.errors]]
    issues = list(dict.fromkeys([*table_issues, *result.issues, *located]))
    reported = {(issue.row, issue.column) for issue in issues}
    try:
        if result.cells.empty:
            message, hint = "no row has a result", "Enter its numbers."
            raise EvidenceError([draft.table.issue("E204", message, hint)])
        tree = load_flat(replace(draft.table, issues=[]), source)
    except EvidenceError as error:
        located = [result.locate(issue) for issue in error.issues]
        issues += [issue for issue in located if (issue.row, issue.column) not in reported]
    if issues:
        raise EvidenceError(truncate_repeats(sorted(issues, key=lambda issue: issue.row or 0)))
    return tree


def _apply_options(
    draft: DraftTable,
    options: ImportOptions,
    unread: list[str],
    logs: dict[str, str] | None = None,
) -> None:
    """Apply settings to a flat table, and ask for those that it needs.

    `logs`: ratios that its format stores as logarithms.
    """
    parts = [part.strip() for part in options.column.get("study", "").split("+")]
    unread = [name for name in unread if name not in parts]
    leave_out_totals(draft)
    leave_out_referents(draft)
    normalise_labels(draft, options.labels)
    measure = options.measure
    known = set(draft.text("measure"))
    if measure in MEAN_MEASURES and MEAN_MEASURES[measure] in known:
        measure = MEAN_MEASURES[measure]
    normalise_measures(draft, None if measure is None else (logs or {}).get(measure, measure))
    settle_ratio_errors(draft, options.ratio_se)
    _apply_scales(draft, options)
    ask_missing_codes(draft, options.missing)
    fill_settings(draft, options.ci_level, options.pre_post_correlation)
    convert_doses(draft, options.dose_unit)
    if len(parts) == 1:
        ask_study_names(draft)
    note_equal_trials(draft)
    unread = [name for name in unread if name not in options.read]
    # The mean age of people is no outcome.
    described = [n for n in unread if parse_heading(n).label.casefold() in CHARACTERISTICS]
    ask_unread_columns(draft, unread, (*options.ignore, *described), converted=logs is not None)
    if logs is not None:
        draft.unread = tuple(unread)  # also those whose names mean something else in a flat table


def _report_unread_results(draft: DraftTable, ignored: tuple[str, ...], *, converted: bool) -> None:
    """Ask about columns that state a result and that nothing reads; a package's table: a note."""
    asked = {question.column for question in draft.questions}
    asked |= {issue.column for issue in draft.errors}
    names = [
        name
        for name in draft.unread
        if name not in {*ignored, *asked} and not any(f"'{name}'" in note for note in draft.notes)
    ]
    stated = [name for name in names if states_result(name) and draft.numbers(name).notna().any()]
    if converted:
        stated += [name for name in _side_columns(names) if name not in stated]
        if stated:
            listed = ", ".join(f"'{name}'" for name in stated)
            draft.note(f"Nothing reads {listed}, which may be results.")
        return
    for name in stated:
        role = parse_heading(name).role
        draft.ask(
            "E239",
            f"nothing reads the column '{name}', which may be a result",
            f"{set_text(f'column.{role}', name)} reads it as {role}, in place of the column that is"
            f" now; {set_text('ignore', ','.join(stated))} leaves it unread.",
            draft.text(name) != "",
            name,
        )


def _side_columns(names: list[str]) -> list[str]:
    """Columns of two or more groups: one heading with different endings of groups."""
    sides: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        for mode, stem, side in split_heading(name):
            if side in UNNAMED_GROUPS | CONTROL_WORDS or side.isdigit():
                sides.setdefault((mode, stem), {})[side] = name
    found = [name for by_side in sides.values() if len(by_side) > 1 for name in by_side.values()]
    return list(dict.fromkeys(found))


def _apply_scales(draft: DraftTable, options: ImportOptions) -> None:
    """Fill in the ends of the scales of means and of their differences."""
    outcomes = draft.text("outcome")
    scales: dict[str | None, tuple[float, float]] = dict(options.scale_of.items())
    if options.scale is not None:
        scales[None] = options.scale
    for outcome, (low, high) in scales.items():
        rows = outcomes == outcome if outcome is not None else outcomes.notna()
        if not rows.any():
            known = sorted(set(outcomes) - {""})
            message = f"no row has the outcome '{outcome}'"
            issue = draft.table.issue("E451", message, suggest_match(str(outcome), known))
            draft.errors.append(replace(issue, column="outcome"))
            continue
        of_outcome = "" if outcome is None else f" of '{outcome}'"
        draft.note(f"Scale{of_outcome} {low:g} to {high:g} (set by you).")
        rows &= (draft.text("events") == "") & (
            (draft.text("comparator") == "") | (draft.text("measure") == MD)
        )
        draft.fill("scale_min", repr(low), rows)
        draft.fill("scale_max", repr(high), rows)


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
    tree: xr.DataTree, format: str, draft: DraftTable, columns: str = "", comparator: str = ""
) -> xr.DataTree:
    agents = {*tree["arms"]["agent"].to_numpy(), *tree["contrasts"]["comparator"].to_numpy()}
    notes = (*draft.notes, *_set_aside_notes(tree))
    tree.attrs |= {"format": format, "notes": notes, "columns": columns, "unread": draft.unread}
    tree.attrs["comparator"] = comparator if comparator in agents else ""
    return tree


def _set_aside_notes(tree: xr.DataTree) -> Iterator[str]:
    """Count and list the rows that loading has set aside, by reason."""
    for name in ("results", "contrasts"):
        columns = ("unusable", "line")
        rows = pd.DataFrame({column: tree[name][column].to_numpy() for column in columns})
        for reason, alike in rows[rows["unusable"] != ""].groupby("unusable", sort=True):
            if str(reason).startswith((RESULT_MISSING, OTHER_MEASURE, NO_COMPARATOR)):
                count = f"{len(alike)} of {len(rows)} rows of {name}"
                yield f"Set aside, {reason}: {count} ({row_text(alike['line'])})."
