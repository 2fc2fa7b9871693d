"""Tables with the user's own headings as flat rows: roles of columns, outcomes side by side, units.

A role is taken by the column whose heading names it. Two columns that could both have it are a
question, a role without a column is an error that names those that could have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from nmda_bayes.errors import Issue, suggest_match
from nmda_bayes.evidence.draft import set_text
from nmda_bayes.evidence.flat_schema import FLAT_COLUMNS, described_columns
from nmda_bayes.evidence.importers.base import (
    Fragment,
    ImportResult,
    SourceTable,
    normalise_name,
    number_cells,
)
from nmda_bayes.evidence.importers.headings import (
    CHARACTERISTICS,
    DERIVED_ROLES,
    DOSE_UNIT,
    HOURS,
    KNOWN_ROLES,
    NUMBER_ROLES,
    PARTS,
    RESULT_ROLES,
    Heading,
    parse_heading,
)
from nmda_bayes.evidence.importers.reshape import ALL_PEOPLE, CONTROL, EXPERIMENTAL
from nmda_bayes.evidence.importers.vocabulary import CONTROL_WORDS
from nmda_bayes.evidence.schema import RESULT_SETS, shorten
from nmda_bayes.evidence.table_io import LINE, RawTable

Roles = dict[str, Heading]

#: Roles of a result that need no column of their own, because others give them.
_GIVEN_BY = {
    "se": ("variance",),
    "ci_low": ("interval",),
    "ci_high": ("interval",),
    "q1": ("iqr",),
    "q3": ("iqr",),
    "min": ("range",),
    "max": ("range",),
}
#: The statistics that a result consists of; the others describe it.
STATISTICS = ("events", "mean", "median", "change_mean", "pre_mean", "post_mean", "estimate")
#: A row's cells that belong to no outcome.
_N_CANDIDATES = 6


@dataclass
class Reading:
    """The roles of a table's columns; `groups`: results by the outcome or group they are of."""

    table: RawTable
    roles: Roles = field(default_factory=dict)
    groups: dict[str, Roles] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    ambiguous: set[str] = field(default_factory=set)
    questions: list[Issue] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def read_columns(self) -> set[str]:
        """The columns that have a role."""
        groups = [self.roles, *self.groups.values()]
        return {heading.column for roles in groups for heading in roles.values()}

    @property
    def plain(self) -> bool:
        """Whether the table is flat as it is."""
        dose = self.roles.get("dose")
        if dose is not None and self.table.cells[dose.column].str.contains("[a-zA-Zµμ]").any():
            return False
        return not self.groups and all(
            heading.canonical and (role not in DERIVED_ROLES or role == "dose_unit")
            for role, heading in self.roles.items()
            if role != "year"
        )

    def has(self, *names: str) -> bool:
        """Whether roles have a column, or follow from one."""
        return all(_has(self.roles, name) for name in names)


def _has(roles: Roles, name: str) -> bool:
    return name in roles or any(other in roles for other in _GIVEN_BY.get(name, ()))


def _complete(roles: Roles, shared: Roles) -> bool:
    """Whether columns hold a whole result; the level of an interval may be given apart."""
    both = {**shared, **roles}
    sets = [[name for name in names if name != "ci_level"] for names in RESULT_SETS]
    return any(all(_has(both, name) for name in names) for names in sets)


# Roles.


def read_headings(
    table: RawTable, explicit: dict[str, str], ignored: tuple[str, ...] = ()
) -> Reading:
    """Find the role of each column; `explicit`: the heading that the user names for a role."""
    reading = Reading(table)
    columns = [str(column) for column in table.cells if column not in (LINE, *ignored)]
    headings = [parse_heading(column) for column in columns]
    named = _explicit_roles(reading, columns, explicit)
    free = [heading for heading in headings if heading.column not in named.values()]
    by_role: dict[str, list[Heading]] = {}
    for heading in free:
        if heading.role and not heading.label:
            by_role.setdefault(heading.role, []).append(heading)
        elif heading.role and heading.label.casefold() not in CHARACTERISTICS:
            label = _group_label(heading.label, reading.groups)
            group = reading.groups.setdefault(label, {})
            if heading.role in group:
                message = f"'{group[heading.role].column}' and '{heading.column}' say the same"
                hint = "Rename one of the two."
                reading.issues.append(table.issue("E173", message, hint, 1, heading.column))
            group.setdefault(heading.role, heading)
    _add_ends(reading, [heading for heading in free if not heading.role])
    for role, column in named.items():
        heading = parse_heading(column)
        reading.roles[role] = replace(heading, role=role, tier=1, label="")
    for role, candidates in by_role.items():
        if role not in reading.roles:
            chosen = _chosen(reading, role, candidates)
            if chosen is not None:
                reading.roles[role] = chosen
    _settle(reading)
    _leave_other_terms(reading, columns)
    return reading


#: Words for the ends of an interval that may be those of something else.
_ENDS = {
    **dict.fromkeys(("lower", "low", "lwr", "lb", "ll", "lcl", "lci"), "ci_low"),
    **dict.fromkeys(("upper", "high", "upr", "ub", "ul", "ucl", "uci"), "ci_high"),
}


def _add_ends(reading: Reading, headings: list[Heading]) -> None:
    """Take 'lower pain' and 'upper pain' as an interval where 'pain' has a mean or an effect."""
    labels = {
        label.casefold(): group
        for label, group in reading.groups.items()
        if {"mean", "median", "estimate"} & set(group)
    }
    for heading in headings:
        words = re.split(r"[\W_]+", heading.column.casefold())
        for end, rest in ((words[0], words[1:]), (words[-1], words[:-1])):
            group = labels.get(" ".join(rest))
            role = _ENDS.get(end, "")
            if group is not None and role and role not in group:
                group[role] = replace(heading, role=role, tier=1)
                break


def has_single_group(reading: Reading) -> bool:
    """Whether each row is a trial of one group, whose results are compared with nothing.

    Several sets of statistics are outcomes of the group where they share their people.
    """
    roles, cells = reading.roles, reading.table.cells
    if "study" not in roles or {"agent", "comparator", "estimate", "dose"} & set(roles):
        return False
    groups = reading.groups
    if any("estimate" in group or "n" in group for group in groups.values()) and len(groups) > 1:
        return False
    if len(groups) > 1 and ("n" not in roles or "outcome" in roles):
        return False
    if {word for label in groups for word in label.casefold().split()} & CONTROL_WORDS:
        return False
    complete = _complete(next(iter(groups.values()), {}), roles)
    return complete and bool(cells[roles["study"].column].is_unique)


def _leave_other_terms(reading: Reading, columns: list[str]) -> None:
    """Leave out columns that only share the name of a column with terms of its own."""
    if set(columns) >= {"study", "agent"}:
        return
    described = described_columns() | FLAT_COLUMNS
    by_column = {heading.column: role for role, heading in reading.roles.items()}
    for column in columns:
        role = by_column.get(column, column.casefold().strip())
        choices = described[role].choices if role in described else ()
        if choices and not reading.table.cells[column].isin(choices).any():
            reading.roles.pop(role, None)
            reading.left_out.append(column)
            reading.notes.append(f"'{column}' is not read: its cells are no terms of {role}.")


def _explicit_roles(
    reading: Reading, columns: list[str], explicit: dict[str, str]
) -> dict[str, str]:
    folded = {column.casefold().strip(): column for column in reversed(columns)}
    named: dict[str, str] = {}
    for role, wanted in explicit.items():
        column = wanted if wanted in columns else folded.get(wanted.casefold().strip(), "")
        if role not in KNOWN_ROLES:
            message = f"'{role}' in --set column.{role}={wanted} is no role of a column"
            hint = suggest_match(role, list(KNOWN_ROLES))
            hint = hint if hint.startswith("Did") else "See 'All columns' in docs/own_data.md."
            reading.issues.append(Issue("E174", message, hint, "--set"))
        elif not column:
            message = f"the table has no column '{wanted}' (--set column.{role}={wanted})"
            reading.issues.append(Issue("E174", message, suggest_match(wanted, columns), "--set"))
        else:
            named[role] = column
    return named


def _group_label(label: str, groups: dict[str, Roles]) -> str:
    folded = {name.casefold(): name for name in groups}
    return folded.get(label.casefold(), label)


def _chosen(reading: Reading, role: str, candidates: list[Heading]) -> Heading | None:
    """The column of a role: the plainest heading; columns that say the same are one."""
    canonical = [heading for heading in candidates if heading.canonical]
    if canonical:
        return canonical[0]
    best = min(heading.tier for heading in candidates)
    equal = [heading for heading in candidates if heading.tier == best]
    cells = reading.table.cells
    if len(equal) > 1 and not all(
        _same_partition(cells[equal[0].column], cells[heading.column]) for heading in equal[1:]
    ):
        names = [heading.column for heading in equal]
        listed = " or ".join(f"'{name}'" for name in names)
        hint = " or ".join(f"--set column.{role}={_quoted(name)}" for name in names)
        message = f"{listed} could both be {role}"
        reading.ambiguous.add(role)
        issue = reading.table.issue("E173", message, f"Choose with {hint}.", 1, names[0])
        reading.questions.append(issue)
    # A logarithm is rounded once less than the ratio beside it.
    return next((h for h in equal if h.measure.startswith("log_")), equal[0])


def _same_partition(first: pd.Series, second: pd.Series) -> bool:
    pairs = pd.DataFrame({"a": first, "b": second}).drop_duplicates()
    return bool(pairs["a"].is_unique and pairs["b"].is_unique)


def _quoted(heading: str) -> str:
    return f'"{heading}"' if re.search(r"[^\w.\-]", heading) else heading


def _settle(reading: Reading) -> None:
    """Decide what depends on several headings."""
    roles, groups = reading.roles, reading.groups
    # A column 'arm' names the treatment only where no other column does.
    arms = [c for c in map(str, reading.table.cells) if c.casefold().strip() == "arm"]
    agent = roles.get("agent")
    if arms and agent is not None and agent.column != arms[0] and "arm" not in roles:
        roles["arm"] = Heading(arms[0], "arm", 1)
    if (
        "comparator" in roles
        and "estimate" not in roles
        and not any("estimate" in group for group in groups.values())
    ):
        del roles["comparator"]
    if "study" in roles and "agent" not in roles and "comparator" in roles:
        roles.pop("comparator")
    # A count of an outcome beside the number of people.
    for label, group in groups.items():
        counted = set(group) == {"n"} and {"n", "agent"} <= set(roles)
        if counted and label.casefold() not in PARTS:
            heading = replace(group.pop("n"), role="events")
            group["events"] = heading
            reading.notes.append(
                f"'{heading.column}' is read as people with {label}, of '{roles['n'].column}'."
            )
    if len(groups) == 1 and not _complete({}, roles):
        # 'Mean pain' and 'SD': the SD is that of the only outcome.
        (group,) = groups.values()
        for role in [role for role in roles if role in RESULT_ROLES and role != "n"]:
            if role not in group:
                group[role] = roles.pop(role)
    partial = [
        label
        for label, group in groups.items()
        if not (set(group) & set(STATISTICS) and _complete(group, roles))
    ]
    for label in partial:
        group = groups.pop(label)
        columns = ", ".join(f"'{heading.column}'" for heading in group.values())
        if set(group) - {"n", "p", "t"}:
            ignore = ",".join(heading.column for heading in group.values())
            first = next(iter(group.values())).column
            issue = reading.table.issue(
                "E239",
                f"{columns}: no complete result of '{label}'",
                "Add the missing columns (events and n; mean with sd and n, se, or an interval); or"
                f" leave it unread with {set_text('ignore', ignore)}.",
                1,
                first,
            )
            reading.questions.append(issue)
        elif "n" in group:
            reading.notes.append(f"{columns} not read: no complete result of '{label}'.")


# Roles that are missing.


def missing_roles(reading: Reading) -> Iterator[Issue]:
    """Errors of roles without a column, with the columns that could have them."""
    table, roles = reading.table, reading.roles
    wanted = [role for role in ("study", "agent") if role not in roles]
    if not _complete({}, roles) and not reading.groups:
        sets = [[name for name in names if name != "ci_level"] for names in RESULT_SETS]
        sets = (
            [names for names in sets if not {"comparator", "estimate"} & set(names)]
            if "estimate" not in roles
            else [names for names in sets if "estimate" in names]
        )
        share = [sum(_has(roles, name) for name in names) / len(names) for names in sets]
        wanted += [name for name in sets[int(np.argmax(share))] if not _has(roles, name)]
    used = {heading.column for heading in roles.values()}
    for role in dict.fromkeys(wanted or ["agent"]):
        candidates = [name for name in _candidates(table, role) if name not in used]
        if role == "events" and (percent := _percent_columns(table)):
            hint = f"'{percent[0]}' is a percentage: enter the number of people instead."
        elif role == "pre_post_correlation":
            hint = (
                "Add it: the correlation of the values before and after in one arm, of this or a"
                " similar trial; or give change_mean and change_sd."
            )
        elif candidates:
            settings = [
                f"--set column.{role}={_quoted(name)}" for name in candidates[:_N_CANDIDATES]
            ]
            hint = f"If one of these columns has it: {', or '.join(settings)}."
        else:
            hint = "Add the column, or name it with --set column.ROLE=HEADING."
        if role == "comparator":
            hint += " Or name what every row is compared with: --set reference=AGENT."
        yield table.issue("E111", f"the column '{role}' is missing", hint, None, role)


def _percent_columns(table: RawTable) -> list[str]:
    pattern = re.compile(r"%|\b(percent|pct|percentage|rate|proportion|risk)\b", re.IGNORECASE)
    return [name for name in map(str, table.cells) if pattern.search(name.replace("_", " "))]


def _candidates(table: RawTable, role: str) -> Iterator[str]:
    """Columns whose cells could be those of a role, the likeliest first."""
    likely: list[str] = []
    for name in map(str, table.cells):
        if name == LINE:
            continue
        cells = table.cells[name]
        filled = cells[cells != ""]
        numbers = (
            pd.to_numeric(filled, errors="coerce").notna().mean() > 0.5 if len(filled) else False
        )
        repeats = len(filled.unique()) < len(filled)
        if role in NUMBER_ROLES:
            fits = bool(numbers) and parse_heading(name).role not in ("year", "study")
        elif role == "study":
            fits = len(filled.unique()) > 1
        else:
            fits = not numbers and repeats and len(filled.unique()) > 1
        if fits:
            likely.append(name)
    yield from likely


def nearest_roles(table: RawTable) -> str:
    """What each heading seems to be, as text."""
    parts = []
    for name in map(str, table.cells):
        if name != LINE:
            heading = parse_heading(name)
            role = heading.role or "?"
            parts.append(
                f"'{shorten(name)}': {role}" + (f" of {heading.label}" * bool(heading.label))
            )
    return "; ".join(parts[:20]) + ("; ..." if len(parts) > 20 else "")


def find_counts(reading: Reading) -> None:
    """Take the only column of whole numbers up to n, which varies within trials, as the events."""
    roles, table = reading.roles, reading.table
    known = {"study", "agent", "n"} <= set(roles)
    other = (*STATISTICS, "sd", "se", "ci_low", "ci_high")
    if not known or reading.groups or any(_has(roles, name) for name in other):
        return
    used = {heading.column for heading in roles.values()}
    n = pd.to_numeric(table.cells[roles["n"].column], errors="coerce")
    study = table.cells[roles["study"].column]
    fitting = []
    for name in map(str, table.cells):
        if name == LINE or name in used or parse_heading(name).role == "year":
            continue
        values = pd.to_numeric(table.cells[name], errors="coerce")
        whole = values.notna() & (values >= 0) & (values % 1 == 0) & (values <= n)
        if (whole | (table.cells[name] == "")).all() and whole.any():
            groups = values.groupby(study)
            if (groups.max() > groups.min()).any():
                fitting.append(name)
    if len(fitting) == 1:
        name = fitting[0]
        roles["events"] = Heading(name, "events", 3)
        reading.groups[name] = {"events": roles.pop("events")}
        reading.notes.append(
            f"'{name}' is read as the number of people with the event, the only column of whole"
            f" numbers up to '{roles['n'].column}' that varies within trials."
        )
    elif fitting:
        hint = ", or ".join(f"--set column.events={_quoted(name)}" for name in fitting[:8])
        listed = ", ".join(f"'{name}'" for name in fitting[:8])
        message = f"any of {listed} could be the number of people with the event"
        reading.questions.append(table.issue("E173", message, f"Choose with {hint}.", 1, "events"))


# Flat rows.


def flat_rows(
    reading: Reading, groups: tuple[str, str] | None = None, reference: str | None = None
) -> ImportResult:
    """The rows of a table by the roles of its columns, one for each outcome."""
    raw, roles = reading.table, reading.roles
    columns = {role: heading.column for role, heading in roles.items()}
    table = SourceTable(raw, columns, groups)
    table.used |= {*columns.values(), *reading.left_out}
    for group in reading.groups.values():
        table.used |= {heading.column for heading in group.values()}
    for note in reading.notes:
        table.note(note)
    shared = {
        role: heading
        for role, heading in roles.items()
        if role not in RESULT_ROLES and role not in DERIVED_ROLES
    }
    results = {role: heading for role, heading in roles.items() if role in RESULT_ROLES}
    fragments: list[Fragment] = []
    single = has_single_group(reading) and (groups is None or len(reading.groups) < 2)
    if single and len(reading.groups) > 1:
        _ask_about_labels(reading)
    names_agents = "agent" not in roles and len(reading.groups) > 1 and not single
    agents = _chosen_names([*reading.groups], groups) if names_agents and groups else {}
    if agents:
        shown = "; ".join(f"'{label}' is '{name}'" for label, name in agents.items())
        table.note(f"The groups of the headings: {shown} (set by you).")
    if reading.groups:
        if any(role in results for role in STATISTICS):
            fragments.append(_fragment(table, table.rows(), shared, results))
        parts = {
            label: {**_shared_results(results, own), **own} for label, own in reading.groups.items()
        }
        for label, own in parts.items():
            rows = _reported(table, reading.groups[label], columns.get("study", ""), label)
            part = _fragment(table, rows, shared, own)
            name = agents.get(label, label)
            part.add("agent" if names_agents else "outcome", table.constant(name))
            if names_agents:
                part.cells["agent"] = table.normalise_placebo(part.cells["agent"], "the headings")
            fragments.append(part)
        what = "treatments" if names_agents else "outcomes"
        if names_agents or len(reading.groups) > 1 or len(fragments) > 1:
            table.note(f"The {what} are side by side: {', '.join(reading.groups)}.")
    else:
        fragments.append(_fragment(table, table.rows(), shared, results))
    if single:
        name = groups[0] if groups else ALL_PEOPLE
        for part in fragments:
            part.add("agent", table.constant(name))
        table.reference = name
        table.note(
            f"One row is one trial without a comparison; its group is called '{name}'. Results are"
            " pooled proportions, rates or means, not effects."
        )
    _add_sides(table, fragments, roles, groups, reference)
    _add_time(reading, table, fragments)
    _add_dose(reading, table, fragments)
    _note_aliases(reading, table)
    table.issues += reading.issues
    return table.assemble(fragments)


def _chosen_names(labels: list[str], names: tuple[str, str]) -> dict[str, str]:
    """The user's names of two groups, the first of which is that treated."""
    if len(labels) != 2:
        return {}
    controls = [label for label in labels if normalise_name(label) in CONTROL_WORDS]
    first, second = labels[::-1] if controls == labels[:1] else labels
    return {first: names[0], second: names[1]}


def _ask_about_labels(reading: Reading) -> None:
    """Ask whether statistics side by side are of outcomes or of treatments."""
    labels = [*reading.groups]
    last = ",".join(heading.column for heading in reading.groups[labels[-1]].values())
    treatments = f"; if treatments, {set_text('groups', ','.join(labels))}" * (len(labels) == 2)
    issue = reading.table.issue(
        "E226",
        f"{', '.join(map(repr, labels))} may be outcomes of one group or treatments, and no column"
        " names treatments",
        "If outcomes, analyse them one at a time: "
        f"{set_text('ignore', last)} leaves out the last{treatments}.",
        1,
        next(iter(reading.groups[labels[0]].values())).column,
    )
    reading.questions.append(issue)


def _shared_results(results: Roles, own: Roles) -> Roles:
    """Results without an outcome that complete those of an outcome: the number of people."""
    return {"n": results["n"]} if "n" in results and "n" not in own else {}


def _fragment(table: SourceTable, rows: pd.Series, shared: Roles, results: Roles) -> Fragment:
    part = Fragment(rows)
    for role, heading in shared.items():
        part.add(role, _cells(table, heading), heading.column)
    for role, heading in results.items():
        if role in DERIVED_ROLES:
            _add_derived(table, part, role, heading)
        else:
            part.add(role, _cells(table, heading), heading.column)
    for heading in results.values():
        level = heading.level
        if level and heading.role in ("ci_low", "ci_high", "interval") and "ci_level" not in shared:
            part.add("ci_level", table.constant(level), heading.column)
            table.note(f"The level of the interval is {level} %, by '{heading.column}'.")
        if heading.scale and "scale_min" not in shared and heading.role != "n":
            for name, end in zip(("scale_min", "scale_max"), heading.scale, strict=True):
                part.add(name, table.constant(end), heading.column)
            low, high = heading.scale
            table.note(f"The scale is {low} to {high}, by '{heading.column}'.")
    if "estimate" in results and results["estimate"].measure and "measure" not in shared:
        heading = results["estimate"]
        part.add("measure", table.constant(heading.measure), heading.column)
        table.note(f"The measure is {heading.measure}, by '{heading.column}'.")
        _log_ratio(table, part, results)
    return part


def _log_ratio(table: SourceTable, part: Fragment, results: Roles) -> None:
    """A ratio with the standard error of its logarithm becomes the logarithm."""
    measure = results["estimate"].measure
    error = results.get("se") or results.get("variance")
    if error is None or error.measure != f"log_{measure}":
        return
    values = pd.to_numeric(_cells(table, results["estimate"]), errors="coerce")
    logs = pd.Series(np.log(values.where(values > 0)), index=values.index)
    part.add("estimate", logs, results["estimate"].column)
    part.add("measure", table.constant(f"log_{measure}"), results["estimate"].column)
    table.note(
        f"'{results['estimate'].column}' is log-transformed: '{error.column}' is the error of its"
        " logarithm."
    )


def _cells(table: SourceTable, heading: Heading) -> pd.Series:
    return table.raw.cells[heading.column].str.strip()


_BETWEEN = re.compile(
    r"[(\[]?\s*(-?[\d.]+)\s*(?:to|;|,|\u2013|\u2014|-|\s)\s*(-?[\d.]+)\s*[)\]]?", re.IGNORECASE
)


def _add_derived(table: SourceTable, part: Fragment, role: str, heading: Heading) -> None:
    """Flat columns of a variance, or of two numbers in one cell."""
    cells = _cells(table, heading)
    if role == "variance":
        values = pd.to_numeric(cells, errors="coerce")
        se = pd.Series(np.sqrt(values.where(values >= 0)), index=values.index)
        part.add("se", number_cells(se).where(values.notna(), cells), heading.column)
        table.note(f"The standard error is the square root of '{heading.column}'.")
        return
    ends = {"interval": ("ci_low", "ci_high"), "iqr": ("q1", "q3"), "range": ("min", "max")}[role]
    found = cells.str.extract(_BETWEEN.pattern, flags=re.IGNORECASE)
    fits = cells.str.fullmatch(_BETWEEN.pattern, flags=re.IGNORECASE).fillna(False).astype(bool)
    wrong = ~fits & (cells != "")
    for side, name in enumerate(ends):
        part.add(name, found[side].where(fits, "").fillna("").astype("str"), heading.column)
    table.used.add(heading.column)
    table.columns.setdefault(role, heading.column)
    table.issue(
        "E121",
        role,
        wrong & part.rows,
        f"not two numbers ({ends[0]} and {ends[1]})",
        f"Write 3 to 7, or give {ends[0]} and {ends[1]} in two columns.",
    )
    table.note(f"'{heading.column}' is divided into {ends[0]} and {ends[1]}.")


def _reported(table: SourceTable, own: Roles, study: str, label: str) -> pd.Series:
    """The rows of trials that report an outcome in at least one arm."""
    filled = table.rows(False)
    for heading in own.values():
        filled |= _cells(table, heading) != ""
    if study:
        reported = filled.groupby(table.raw.cells[study]).transform("max").astype(bool)
    else:
        reported = filled
    # A row with a word for a missing number was meant to have the outcome.
    reported |= table.lines.isin(table.raw.unreported)
    if not reported.all():
        left = table.lines[~reported]
        shown = ", ".join(map(str, left[:10])) + (", ..." if len(left) > 10 else "")
        table.note(f"'{label}' is not reported by the trials of {len(left)} rows ({shown}).")
    return reported


def _add_sides(
    table: SourceTable,
    fragments: list[Fragment],
    roles: Roles,
    groups: tuple[str, str] | None,
    reference: str | None,
) -> None:
    """The two sides of contrasts, where the table does not name them."""
    for part in fragments:
        if "estimate" not in part.cells or "comparator" in part.cells:
            continue
        if "agent" not in part.cells:
            first, second = groups or (EXPERIMENTAL, CONTROL)
            part.add("agent", table.constant(first))
            part.add("comparator", table.constant(second))
            table.reference = second
            table.note(
                f"The groups are '{first}' and '{second}'"
                + (" (set by you)." if groups else "; name them with --set groups=FIRST,SECOND.")
            )
        elif reference is not None:
            part.add("comparator", table.constant(reference))
            table.reference = reference
            table.note(f"Every row is compared with '{reference}' (set by you).")


def _add_time(reading: Reading, table: SourceTable, fragments: list[Fragment]) -> None:
    heading = reading.roles.get("time")
    if heading is None or "time_hours" in reading.roles:
        return
    cells = _cells(table, heading)
    factor = HOURS.get(heading.unit, 0.0)
    values = pd.to_numeric(cells.str.extract(r"^(-?\d+\.?\d*)", expand=False), errors="coerce")
    words = cells.str.extract(r"^-?\d+\.?\d*\s*([a-zA-Z]*)", expand=False).fillna("").str.casefold()
    hours = values * (factor or 1.0)
    if not factor:
        units = words.map(HOURS)
        if units.notna().any() and (units.notna() | (cells == "")).all():
            hours = values * units.astype(float)
        elif "time_label" not in reading.roles:
            for part in fragments:
                part.add("time_label", cells, heading.column)
            table.note(f"'{heading.column}' has no unit: it distinguishes the times of a trial.")
            return
    for part in fragments:
        part.add("time_hours", number_cells(hours).where(values.notna(), cells), heading.column)
    each = f"one {heading.unit} as {factor:g} hours" if factor else "by the unit in each cell"
    table.note(f"'{heading.column}' is read as hours, {each}.")


def _add_dose(reading: Reading, table: SourceTable, fragments: list[Fragment]) -> None:
    """Doses with their unit in the heading, in the cells, or in a column of its own."""
    heading = reading.roles.get("dose")
    if heading is None:
        return
    cells = _cells(table, heading)
    parts = cells.str.extract(r"^([-+]?[\d.]+)\s*(\D.*)$")
    units = parts[1].fillna("").str.strip()
    is_unit = units.map(lambda text: bool(DOSE_UNIT.fullmatch(text))).astype(bool)
    stated = heading.unit
    if is_unit.any():
        numbers = parts[0].where(is_unit, cells).astype("str")
        folded = {_unit_key(text): text for text in reversed(units[is_unit].unique().tolist())}
        zero = pd.to_numeric(numbers, errors="coerce").fillna(0) == 0
        several = {_unit_key(text) for text in units[is_unit & ~zero].unique()}
        if stated:
            several.add(_unit_key(stated))
        for part in fragments:
            part.add("dose", numbers, heading.column)
        if len(several) > 1:
            unit = units.where(is_unit, "")
            if "dose_unit" not in reading.roles:
                for part in fragments:
                    part.add("dose_unit", unit, heading.column)
            table.note(f"'{heading.column}' has several units: {', '.join(sorted(several))}.")
            return
        stated = stated or next(iter(folded.values()))
        table.note(f"The unit {stated} is taken from the cells of '{heading.column}'.")
    if stated and DOSE_UNIT.fullmatch(stated.strip()) and "dose_unit" not in reading.roles:
        for part in fragments:
            part.add("dose_unit", table.constant(stated.strip()), heading.column)
        if stated == heading.unit:
            table.note(f"Doses are in {stated}, by '{heading.column}'.")
    if "dose_unit" in reading.roles:
        column = reading.roles["dose_unit"]
        for part in fragments:
            part.add("dose_unit", _cells(table, column), column.column)


def _unit_key(text: str) -> str:
    return re.sub(r"\s|per|_", "", text.casefold()).replace("mcg", "µg").replace("ug", "µg")


def _note_aliases(reading: Reading, table: SourceTable) -> None:
    """Name the columns of each outcome or treatment; the import itself names the others."""
    aliases: list[str] = []
    for label, group in reading.groups.items():
        aliases += [f"{role} of {label} from '{h.column}'" for role, h in group.items()]
    if aliases:
        table.note(f"Columns: {', '.join(aliases)}.")
