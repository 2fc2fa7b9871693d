"""Checks of tables as rules: of a cell, and in a folder of terms, links, rows and sources.

A rule marks the rows that break it. The first errors of a kind are reported one by one, the others
as a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.evidence.dose_units import parse_dose_unit
from nmda_bayes.evidence.schema import TABLES, CellCheck, Column, Table, pandera_schema, shorten
from nmda_bayes.evidence.table_io import LINE, RawTable
from nmda_bayes.evidence.tree import arm_label

Frames = dict[str, pd.DataFrame]
BoolArray = pd.Series | NDArray[np.bool_]

# Rules, and the errors of the rows that break them.

#: How many errors of a kind are reported one by one. A table of 100,000 rows with a wrong column
#: would otherwise print 100,000 lines.
MAX_REPEATS = 20


class Rule(NamedTuple):
    """A rule of a column: the rows that break it, and the error, which may depend on the row."""

    code: str
    column: str
    broken: BoolArray
    message: str | Callable[[int], str]
    hint: str | Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Truncated(Issue):
    """Further errors of a kind, counted: they cost no time per row."""

    count: int = 0


def rule_issues(rules: Iterable[Rule], file: str, lines: pd.Series) -> Iterator[Issue]:
    """Report the first rows that break each rule one by one, and count the others."""
    numbers = lines.to_numpy()
    for code, column, broken, message, hint in rules:
        rows = np.flatnonzero(np.asarray(broken, dtype=bool))
        for row in rows[:MAX_REPEATS].tolist():
            text, help_text = (x if isinstance(x, str) else x(row) for x in (message, hint))
            yield Issue(code, text, help_text, file, int(numbers[row]), column)
        if len(rows) > MAX_REPEATS:
            count = len(rows) - MAX_REPEATS
            yield Truncated(code, "", "", file, None, column, count=count)


def truncate_repeats(issues: Iterable[Issue]) -> list[Issue]:
    """Keep the first errors of each kind, and count the others."""
    kept: dict[tuple[str, str, str], list[Issue]] = {}
    counts: dict[tuple[str, str, str], int] = {}
    order: list[Issue] = []
    for issue in dict.fromkeys(issues):
        kind = (issue.code, issue.file, issue.column)
        alike = kept.setdefault(kind, [])
        if isinstance(issue, Truncated) or len(alike) == MAX_REPEATS:
            counts[kind] = counts.get(kind, 0) + getattr(issue, "count", 1)
        else:
            alike.append(issue)
            order.append(issue)
    more = [
        Issue(code, f"and {count} more rows like these", alike[-1].hint, file, None, column)
        for (code, file, column), count in counts.items()
        if (alike := kept[code, file, column])
    ]
    return [*order, *more]


# One table: from text to typed columns.

#: Words that spreadsheets and R write into an empty cell.
BLANK_WORDS = ("", "na", "n/a", "nan", "null", "none", "<na>")


def validate_table(table: RawTable, description: Table) -> tuple[pd.DataFrame, list[Issue]]:
    """Give each column of a table its type, and check it against its description."""
    if table.cells.empty:
        return pd.DataFrame(columns=[*description.names, LINE]), list(table.issues)
    required = [column.name for column in description.columns if column.required]
    issues = [*table.issues, *missing_column_issues(table, required)]
    columns: dict[str, pd.Series] = {}
    lines = table.cells[LINE]
    reported = {(issue.row, issue.column) for issue in issues}
    for column in description.columns:
        name = column.name
        if name not in table.cells:
            columns[name] = empty_column(column, table.cells.index)
        elif column.numeric:
            columns[name], wrong = parse_numbers(table, name)
            issues += number_issues(table, name, wrong)
            reported |= {(line, name) for line in lines[wrong].tolist()}
        else:
            columns[name] = table.cells[name]
    others = [c for c in table.cells if c not in columns and c != LINE]
    frame = pd.DataFrame(columns).assign(**{LINE: lines}, **table.cells[others])
    absent = {x.column for x in issues if x.row is None and not isinstance(x, Truncated)}
    checks = (
        *_schema_issues(frame, description, table.file, reported),
        *rule_issues(_key_rules(frame, description, table), table.file, frame[LINE]),
    )
    return frame, [*issues, *(issue for issue in checks if issue.column not in absent)]


def empty_column(column: Column, index: pd.Index) -> pd.Series:
    """A column without a value."""
    value, dtype = (np.nan, "float") if column.numeric else ("", "str")
    return pd.Series(value, index=index, dtype=dtype)


def parse_numbers(table: RawTable, column: str) -> tuple[pd.Series, pd.Series]:
    """Parse a column as numbers (NaN where empty), and mark the cells that are not numbers."""
    text = table.cells[column].str.strip()
    if table.decimal_comma:
        text = text.str.replace(r"^([-+]?\d*),(\d+)$", r"\1.\2", regex=True)
    blank = text.str.lower().isin(BLANK_WORDS)
    values = pd.to_numeric(text.where(~blank), errors="coerce").astype(float)
    wrong = ~blank & ~np.isfinite(values)
    return values.where(~wrong), wrong


def read_numbers(table: RawTable, column: str) -> tuple[pd.Series, list[Issue]]:
    """Parse a column as numbers, with the errors of the cells that are not."""
    values, wrong = parse_numbers(table, column)
    return values, list(number_issues(table, column, wrong))


_YES_NO = ("yes", "no", "y", "n", "true", "false")


def number_issues(table: RawTable, column: str, wrong: pd.Series) -> Iterator[Issue]:
    """Cells that are not numbers; one error where a whole column is text."""
    text, hint = table.cells[column], "Enter a plain number, or leave the cell empty."
    words = text[wrong].str.strip().str.casefold()
    if column == "events" and len(words) and words.isin(_YES_NO).all():
        hint = (
            "Enter how many people had the event. A table with a row for each person is read with"
            " --format persons."
        )
    elif column == "events" and len(words) and words.str.endswith("%").all():
        hint = "Enter the number of people, not a percentage: 45% of 40 is 18."
    if wrong.all() and len(text) > 1:
        message = f"the column has no numbers (the first cell is '{shorten(text.iloc[0])}')"
        yield table.issue("E121", message, _number_hint(text.iloc[0]) or hint, None, column)
        return
    if len(text) > 1 and bool(wrong.iloc[0]) and not wrong.iloc[1:].any():
        hint = "Delete the row if it is a second header; otherwise enter a plain number."
    rule = Rule(
        "E121",
        column,
        wrong,
        lambda i: f"'{shorten(text.iloc[i])}' is not a finite number",
        lambda i: _number_hint(text.iloc[i]) or hint,
    )
    yield from rule_issues([rule], table.file, table.cells[LINE])


#: How to fill in some columns that a table lacks.
_COLUMN_HINTS = {
    "ci_level": "Enter the level of the intervals, 0.95; or set it with --set ci_level=0.95.",
    "pre_post_correlation": (
        "Enter the correlation of the values before and after, or change_mean with change_sd; or"
        " assume one for all, such as --set pre_post_correlation=0.5."
    ),
}
#: What a cell with more than a number holds, and what to do.
_MORE_THAN_A_NUMBER = (
    (r"\d{4}-\d\d-\d\d.*", "A spreadsheet has made a date of it: enter the number again, as text."),
    (r"[-\d.,]+\s?%", "A percentage is not read: enter the number itself; for events, the people."),
    (r"[-\d.,]+\s*\(.*%\)", "Enter the number of people alone, without the percentage."),
    (r"\d+\s*/\s*\d+", "Enter the number of people with the event, and their total as n."),
    (
        r"[-\d.,]+\s*(\(|\u00b1|\+/?-).*",
        "Enter the two numbers in two columns, such as mean and sd.",
    ),
    (r"[-\d.,]+\s*[*\u2020\u2021\u00a7a-e]+", "Delete the mark after the number."),
    (r"[<>\u2264\u2265~].*", "Enter the value itself, not a bound; or leave the cell empty."),
    (r"[-\d.,]+\s*(-|to|\u2013)\s*[\d.,]+.*", "Enter one number, not a range."),
)


def _number_hint(text: str) -> str:
    """How to correct a cell that holds more than a number."""
    cell = str(text).strip()
    return next((hint for form, hint in _MORE_THAN_A_NUMBER if re.fullmatch(form, cell)), "")


def missing_column_issues(table: RawTable, required: Iterable[str]) -> Iterator[Issue]:
    """Required columns that are missing, with the column that may be meant."""
    columns = [str(column) for column in table.cells if column != LINE]
    folded = {column.casefold().replace(" ", "_"): column for column in columns}
    for name in required:
        if name not in columns:
            similar = folded.get(name)
            hint = _COLUMN_HINTS.get(name) or suggest_match(name, columns)
            hint = f"Rename '{similar}' to '{name}'." if similar else hint
            yield table.issue("E111", f"the column '{name}' is missing", hint, None, name)


def check_rule(check: CellCheck, column: Column, broken: BoolArray, cells: pd.Series) -> Rule:
    """The rule of a column's check."""
    return Rule(
        check.code,
        column.name,
        broken,
        lambda i: check.error(cells.iloc[i], column)[0],
        lambda i: check.error(cells.iloc[i], column)[1],
    )


def unit_rule(units: pd.Series, column: str) -> Rule:
    """The rule that a unit of doses is known."""
    known = {unit: not unit.strip() or parse_dose_unit(unit) is not None for unit in units.unique()}
    return Rule(
        "E187",
        column,
        ~units.map(known).astype(bool),
        lambda i: f"'{shorten(units.iloc[i])}' is not a known unit of doses",
        "Enter a unit such as mg, mg/kg, ug/kg/h, g/day, mmol or IU.",
    )


def _schema_issues(
    frame: pd.DataFrame, table: Table, file: str, reported: set[tuple[int | None, str]]
) -> list[Issue]:
    """Check typed columns against the table's pandera schema, cells reported already excepted."""
    import pandera.errors

    try:
        pandera_schema(table.name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as failed:
        columns = {column.name: column for column in table.columns}
        cases = failed.failure_cases
        cases = cases.assign(row=frame[LINE].reindex(cases["index"]).to_numpy()).sort_values("row")
        cells = zip(cases["row"].tolist(), cases["column"].tolist(), strict=True)
        cases = cases[[cell not in reported for cell in cells]]
        issues: list[Issue] = []
        for (name, position), alike in cases.groupby(["column", "check"]):
            column = columns[str(name)]
            check = list(column.checks())[int(position)]
            rule = check_rule(check, column, np.ones(len(alike), dtype=bool), alike["failure_case"])
            issues += rule_issues([rule], file, alike["row"])
        return sorted(issues, key=lambda issue: issue.row or 0)
    return []


def _key_rules(frame: pd.DataFrame, table: Table, raw: RawTable) -> Iterator[Rule]:
    """Rows with the key of an earlier row."""
    key = list(table.key)
    if not key or any(column not in raw.cells for column in key if column != "synonym"):
        return
    repeated = frame.duplicated(key)
    if not repeated.any():
        return
    lines, keys = frame[LINE].tolist(), list(zip(*(frame[c] for c in key), strict=True))

    def message(position: int) -> str:
        first = lines[keys.index(keys[position])]
        shown = ", ".join(shorten(part) for part in keys[position] if part)
        return f"same {' and '.join(key)} as row {first} ({shown})"

    hint = "Delete one of the two, or give them different names."
    yield Rule("E126", key[-1], repeated, message, hint)


# A folder of tables: terms, links between tables, rows and sources.

#: A source that is not a key of sources.bib.
SOURCE_ADDRESS = re.compile(r"doi:10\.\d{4,9}/\S+|pmid:\d+|https?://[^\s.]+\.\S+")

#: Columns with terms of the vocabulary, and the kind of term. Synonyms are replaced by the term.
CODED_COLUMNS = {
    "studies": {"condition_group": "condition_group"},
    "arms": {"agent": "agent", "route": "route"},
    "results": {"outcome": "outcome"},
    "contrasts": {"agent": "agent", "comparator": "agent", "outcome": "outcome"},
    "reference_doses": {"agent": "agent", "route": "route"},
    "published": {"agent": "agent", "outcome": "outcome"},
    "pharmacokinetics": {"agent": "agent", "analyte": "analyte"},
    "concentrations": {"agent": "agent", "analyte": "analyte", "route": "route"},
}
#: Columns that keep their synonyms; a derived column has the term.
QUOTED_COLUMNS = {
    "studies": {"blinding": "blinding"},
    "results": {"time_label": "time_point"},
    "contrasts": {"time_label": "time_point"},
}


def folder_issues(frames: Frames, folder: Path) -> list[Issue]:
    """Check typed tables against the vocabulary, each other, and the bibliography."""
    keys = bibliography_keys(folder)
    row_rules = {
        "results": _result_rules,
        "contrasts": _contrast_rules,
        "pharmacokinetics": _parameter_rules,
    }
    issues = list(_misplaced_issues(frames))
    for name, frame in frames.items():
        rules = [*_vocabulary_rules(name, frames), *_link_rules(name, frames)]
        if name == "arms":
            rules.append(unit_rule(frame["dose_unit"], "dose_unit"))
        if name in row_rules:
            rules += row_rules[name](frame)
        if keys is not None and "source" in frame:
            rules.append(_source_rule(frame["source"], keys))
        issues += rule_issues(rules, f"{name}.csv", frame[LINE])
    return issues


def bibliography_keys(folder: Path) -> set[str] | None:
    """The keys of a folder's bibliography."""
    path = folder / "sources.bib"
    if not path.is_file():
        return None
    return set(re.findall(r"^@\w+\{\s*([^,\s]+)\s*,", path.read_text("utf-8"), re.MULTILINE))


def unresolved_sources(source: str, keys: set[str]) -> list[str]:
    """The parts of a source that are neither a key nor an address."""
    parts = [part.strip() for part in source.split("; ")]
    return [part for part in parts if part not in keys and not SOURCE_ADDRESS.fullmatch(part)]


def _misplaced_issues(frames: Frames) -> Iterator[Issue]:
    """Columns that another table defines: after a join, one would be taken for the other."""
    owner = {c: name for name in ("studies", "arms") for c in TABLES[name].names} | {"dose": "arms"}
    for name in ("arms", "results", "contrasts"):
        for column in map(str, frames[name]):
            home = owner.get(column, name)
            if column not in TABLES[name].names and home != name:
                message = f"the column '{column}' belongs to {home}.csv"
                hint = "Move it there, or rename it."
                yield Issue("E114", message, hint, f"{name}.csv", 1, column)


def _unknown_word_rule(
    code: str, column: str, words: pd.Series, known: Iterable[str], home: str, kind: str = ""
) -> Rule:
    names = sorted({*known} - {""})

    def hint(position: int) -> str:
        match = suggest_match(words.iloc[position], names)
        add = f"A new one must be added to {home}."
        return f"{match} {add}" if match.startswith("Did") else add

    def message(position: int) -> str:
        return f"'{shorten(words.iloc[position])}' is not {kind or 'in'} {home}"

    return Rule(code, column, ~words.isin([*names, ""]), message, hint)


def _vocabulary_rules(name: str, frames: Frames) -> Iterator[Rule]:
    vocabulary = frames["vocabulary"]
    columns = {**CODED_COLUMNS.get(name, {}), **QUOTED_COLUMNS.get(name, {})}
    for column, kind in columns.items():
        terms = vocabulary[vocabulary["kind"] == kind]
        known, words = [*terms["term"], *terms["synonym"]], frames[name][column]
        label = f"a term of kind '{kind}' in"
        yield _unknown_word_rule("E130", column, words, known, "vocabulary.csv", label)


def _link_rules(name: str, frames: Frames) -> Iterator[Rule]:
    """Rows whose study or arm does not exist."""
    frame, studies, arms = frames[name], frames["studies"], frames["arms"]
    linked = ("arms", "results", "contrasts", "risk_of_bias")
    # A table that could not be read is an error already, and would break every link.
    if name not in linked or arms.empty or studies.empty:
        return
    yield _unknown_word_rule("E131", "study", frame["study"], studies["study"], "studies.csv")
    if name in ("results", "contrasts"):
        labels = arm_label(arms["study"], arms["arm_id"])
        in_known_study = frame["study"].isin(studies["study"])
        for column in ("arm_id", "comparator_arm_id"):
            if column in frame:
                words = arm_label(frame["study"], frame[column]).where(in_known_study, "")
                yield _unknown_word_rule("E131", column, words, labels, "arms.csv")


def _result_rules(results: pd.DataFrame) -> Iterator[Rule]:
    usable, binary = results["unusable"] == "", results["kind"] == "binary"
    dispersed = results["se"].notna() | (results["sd"].notna() & results["n"].notna())
    hint = "Fill it in, or enter the reason in `unusable`."
    exceeds = results["events"] > results["n"]
    yield Rule("E125", "events", exceeds, "more events than people", "Check events and n.")
    for column, rows in (("n", binary), ("events", binary), ("mean", ~binary)):
        missing = usable & rows & results[column].isna()
        yield Rule("E120", column, missing, f"{column} is missing", hint)
    undispersed = usable & ~binary & ~dispersed
    yield Rule("E133", "se", undispersed, "neither se, nor sd with n", hint)
    yield Rule("E123", "se", results["se"] == 0, "se is 0", "Leave an unknown one empty.")
    reversed_scale = results["scale_max"] <= results["scale_min"]
    yield Rule(
        "E134", "scale_max", reversed_scale, "scale_max is not above scale_min", "Check both."
    )
    same = ["study", "arm_id", "outcome", "time_hours", "time_label"]
    repeated = usable & results[usable].duplicated(same).reindex(usable.index, fill_value=False)
    message = "another usable row has the same arm, outcome and time"
    hint = "Choose one, and enter in the other's `unusable` that it is superseded."
    yield Rule("E127", "outcome", repeated, message, hint)


def _contrast_rules(contrasts: pd.DataFrame) -> Iterator[Rule]:
    usable = contrasts["unusable"] == ""
    low, high = contrasts["ci_low"], contrasts["ci_high"]
    undispersed = contrasts["se"].isna() & (low.isna() | high.isna())
    hint = "Fill it in, or enter the reason in `unusable`."
    for column in ("estimate", "measure"):
        missing = usable & (contrasts[column].isna() | (contrasts[column] == ""))
        yield Rule("E120", column, missing, f"{column} is missing", hint)
    yield Rule("E133", "se", usable & undispersed, "neither se nor an interval", hint)
    yield Rule("E134", "ci_high", high < low, "ci_high is below ci_low", "Check both.")


def _parameter_rules(parameters: pd.DataFrame) -> Iterator[Rule]:
    missing = (parameters["unusable"] == "") & parameters["value"].isna()
    hint = "Fill it in, or enter the reason in `unusable`."
    yield Rule("E120", "value", missing, "value is missing", hint)
    reversed_range = parameters["value_high"] < parameters["value_low"]
    message = "value_high is below value_low"
    yield Rule("E134", "value_high", reversed_range, message, "Exchange the two.")


def _source_rule(sources: pd.Series, keys: set[str]) -> Rule:
    unresolved = {source: unresolved_sources(source, keys) for source in sources.unique() if source}
    broken = sources.isin([source for source, parts in unresolved.items() if parts])
    return Rule(
        "E132",
        "source",
        broken,
        lambda i: f"the source '{unresolved[sources.iloc[i]][0]}' does not resolve",
        "Enter a key of sources.bib, doi:..., pmid:..., or a URL.",
    )
