"""One row per arm under usual headings, and one group per trial.

metafor's arms (``study, trt, xi, ni``; ``mi, sdi, ni``; ``xi, ti``), MetaInsight's long tables
(``Study, T, R, N``; ``Study, T, Mean, SD, N``), netmeta's data sets, whose events have the name of
the outcome (``treatment, death, randomized``), and proportions of one group (``xi, ni``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pandas as pd

from nmda_bayes.errors import EvidenceError
from nmda_bayes.evidence.draft import set_text
from nmda_bayes.evidence.flat_schema import FLAT_COLUMNS
from nmda_bayes.evidence.importers.base import (
    ImportResult,
    RoleColumns,
    SourceTable,
    TableFormat,
    matched_format,
    normalise_name,
    register_format,
)
from nmda_bayes.evidence.importers.headings import CHARACTERISTICS, parse_heading
from nmda_bayes.evidence.importers.reshape import (
    ALL_PEOPLE,
    RESULT_ROLES,
    Columns,
    arm_rows,
    rows_with_results,
    trial_names,
)
from nmda_bayes.evidence.importers.vocabulary import (
    COLUMN_WORDS,
    GENERIC_EVENTS,
    ROLE_OF_WORD,
    WORDS,
    column_of,
    dose_column,
    is_count_of,
    is_numeric,
    number_values,
    user_columns,
    words,
)
from nmda_bayes.evidence.table_io import RawTable

#: The agent of arms at several doses that has no name.
EXPOSURE = "exposure"
#: Headings of numbers that describe a trial or its people, not a result.
_COVARIATES = set(
    words(
        "year pubyear age male female men women sex bmi weeks months days duration length phase"
        " dose quality jadad rob blind period row index obs number weight"
    )
)

_FLAT_NAMES = {normalise_name(name) for name in FLAT_COLUMNS}
#: Results beside which a column without a known heading is not taken to be the events.
_OTHER_RESULTS = ("mean", "sd", "se", "median", "change_mean", "estimate", "ci_low", "events")


def read_arms(table: SourceTable, counts: tuple[str, ...] = ()) -> ImportResult:
    """The arm of each row; `counts`: the headings that name the events, the outcome's name."""
    roles = [role for role in RESULT_ROLES if table.has(role)]
    needed = [role for role in roles if not (role == "se" and table.has("sd"))]
    complete = rows_with_results(table, *needed)
    agents = _agents(table)
    outcome = table.text("outcome") if table.has("outcome") else table.passthrough("outcome")
    times = table.text("time_label"), table.passthrough("time_hours")
    shared = trial_names(table, [agents, table.text("dose"), outcome, *times])
    if len(counts) > 1:
        _ask_for_events(table, counts)
        shared["outcome"] = table.constant(counts[0]), table.column("events")
    elif counts:
        shared["outcome"] = table.constant(counts[0]), table.column("events")
        table.note(
            f"'{counts[0]}' is read as the number with the event, of '{table.column('n')}'"
            " people: the only column of whole numbers that never exceeds it."
        )
    elif table.has("outcome"):
        shared["outcome"] = outcome, table.column("outcome")
    if table.has("without") and not table.has("n"):
        people = table.numbers("events") + table.numbers("without")
        shared["n"] = people, table.column("without")
    _name_repeated_arms(table, shared, agents, [table.text("dose"), outcome, *times])
    part = arm_rows(table, complete, agents, shared=shared)
    result = table.assemble([part])
    if not table.has("agent") and not table.has("dose"):
        result.reference = ALL_PEOPLE
    return result


def _ask_for_events(table: SourceTable, counts: tuple[str, ...]) -> None:
    """Ask which of several columns is the number with the event."""
    choices = ", or ".join(set_text("column.events", column) for column in counts[:8])
    table.ask(
        "E227",
        "events",
        "several columns may be the number with the event: "
        + ", ".join(f"'{column}'" for column in counts),
        f"Choose it with {choices}.",
    )


#: Parts of the headings of columns that may tell two arms of one agent apart.
_ARM_WORDS = ("arm", "group", "grp", "intervention", "treatment", "regimen", "dose", "schedule")


def _name_repeated_arms(
    table: SourceTable, shared: Columns, agents: pd.Series, keys: list[pd.Series]
) -> None:
    """Name the arms of trials that have an agent twice by a column that tells them apart."""
    study = shared["study"][0]
    arms = pd.concat([study, agents, *keys], axis=1)
    repeated = (arms.duplicated() & (study != "")).groupby(study).transform("any")
    if table.has("arm") or not repeated.any():
        return
    for column in user_columns(table.raw):
        if column in table.used or not any(w in normalise_name(column) for w in _ARM_WORDS):
            continue
        code = table.raw.cells[column].str.strip()
        if not pd.concat([arms, code], axis=1)[repeated].duplicated().any():
            table.used.add(column)
            name = agents + " (" + code + ")"
            shared["arm"] = name.where(repeated, ""), column
            table.note(f"'{column}' distinguishes arms with the same agent in one trial.")
            return
    results = [table.text(role) for role in RESULT_ROLES if table.has(role)]
    if pd.concat([arms, *results], axis=1)[repeated].duplicated().any():
        return  # rows that were copied, which is an error of the rows
    names = agents + " (" + (_count_within(arms) + 1).astype("str") + ")"
    several = arms.duplicated(keep=False) & (study != "")
    shared["arm"] = names.where(several, ""), table.column("agent")
    examples = list(dict.fromkeys(study[repeated]))
    if table.repeated is None:
        table.ask(
            "E240",
            "agent",
            f"{len(examples)} trial(s) have an agent in several rows that no column tells apart"
            f" ('{examples[0]}' the first)",
            "If they are arms of their own, --set repeated=separate numbers them; if a column tells"
            " them apart, name it with --set column.arm=COLUMN, or column.outcome=COLUMN.",
            int(table.lines[repeated].iloc[0]),
        )
    else:
        table.note(f"The arms of one agent in {len(examples)} trial(s) are numbered (set by you).")


def _count_within(keys: pd.DataFrame) -> pd.Series:
    """The number of earlier rows that are alike."""
    joined = keys.astype("str").agg("\x1f".join, axis=1)
    return joined.groupby(joined).cumcount()


def _agents(table: SourceTable) -> pd.Series:
    """The agent of each row; the table may have one group a trial, or doses of one exposure."""
    if table.has("agent"):
        return table.agents("agent")
    study, column = table.text("study"), table.column("study")
    if table.has("dose"):
        name = table.groups[0] if table.groups else EXPOSURE
        table.note(
            f"The table does not name its agent; it is called '{name}'. Name it with"
            " --set groups=NAME,placebo."
        )
        return table.constant(name)
    repeated = study.duplicated() & (study != "")
    if repeated.any() and not table.has("id"):
        issue = table.raw.issue(
            "E226",
            f"'{column}' has several rows for a trial, and no column names their groups",
            "Name the column of the treatment, --set column.agent=COLUMN, or of the dose,"
            " --set column.dose=COLUMN.",
            int(table.lines[repeated].iloc[0]),
            column,
        )
        raise EvidenceError([issue])
    name = table.groups[0] if table.groups else ALL_PEOPLE
    table.note(
        f"One row is one trial without a comparison; its group is called '{name}'. Results are"
        " pooled proportions, rates or means, not effects."
    )
    return table.constant(name)


ARM_COLUMNS = {"study": "study|studlab|trial|author|id", "agent": "treatment|trt|T|drug|group"}
_OPTIONAL = {"dose": "dose", "year": "year", "outcome": "outcome"}
_RESULTS = {
    "counts": ({"events": "xi|R|events", "n": "ni|N|total"}, "xi (R) with the event of ni (N)"),
    "means": ({"mean": "mi|Mean", "sd": "sdi|SD", "n": "ni|N"}, "mean mi with sdi of ni people"),
    "means_se": ({"mean": "mean|y", "se": "se"}, "mean with its standard error"),
    "rates": ({"events": "xi", "person_time": "ti"}, "xi events in person-time ti"),
}


def _register(name: str, about: str, required: RoleColumns, optional: RoleColumns) -> None:
    register_format(name, about, required=required, optional=optional)(read_arms)


for layout, (results, text) in _RESULTS.items():
    _register(
        f"arms/{layout}",
        f"metafor's arms, MetaInsight: one row per arm, {text}",
        {**ARM_COLUMNS, **results},
        _OPTIONAL,
    )
_register(
    "arms/proportions",
    "metafor: one row per trial, one group, xi people with the event of ni",
    {"study": ARM_COLUMNS["study"], **_RESULTS["counts"][0]},
    {"year": "year"},
)


def detect_arms(table: RawTable) -> TableFormat | None:
    """Find arms in the headings of a table: a trial, a treatment or dose, and a result."""
    columns = user_columns(table)
    study = column_of(columns, "study")
    if not study:
        return None
    rest = [column for column in columns if column != study]
    agent = _agent_column(table, rest)
    dose = dose_column(rest)
    dose = dose if dose and is_numeric(table, dose) else ""
    free = [column for column in rest if column not in (agent, dose)]
    if agent and _say_more(free, dose):
        return None
    matched = _results(table, free, named_groups=bool(agent or dose))
    if matched is None:
        return None
    layout, roles, counts = matched
    if counts and agent and any(parse_heading(c).role in _OTHER_RESULTS for c in free):
        return None
    names = {"study": study, **({"agent": agent} if agent else {}), **roles}
    if not agent and _may_name_agents(table, study, free):
        # The treatment has another heading: the errors of missing columns name the nearest.
        return None
    if not agent and not dose and layout == "counts":
        layout = "proportions"
    others = [column for column in free if column not in roles.values()]
    optional = {role: column_of(others, role) for role in ("year", "id", "author", "outcome")}
    optional["author"] = optional["author"] if optional["author"] != study else ""
    format = matched_format(f"arms/{layout}", names, dose=dose, **optional)
    return replace(format, flatten=partial(read_arms, counts=counts), guessed=frozenset(counts))


def _say_more(columns: list[str], dose: str) -> bool:
    """Whether headings name an outcome with its statistic, or a dose, that these layouts leave."""
    headings = [parse_heading(column) for column in columns]
    return any(
        (heading.role == "dose" and not dose)
        or (
            heading.role in ("events", "mean", "median", "change_mean", "estimate")
            and heading.label.casefold() not in ("", *CHARACTERISTICS)
        )
        for heading in headings
    )


def _may_name_agents(table: RawTable, study: str, columns: list[str]) -> bool:
    """Whether a column of text differs between the rows of a trial, as names of arms do."""
    known = {word for role in ("author", "outcome", "id") for word in words(COLUMN_WORDS[role])}
    texts = [c for c in columns if not is_numeric(table, c) and normalise_name(c) not in known]
    return any(table.cells[c].groupby(table.cells[study]).nunique().gt(1).any() for c in texts)


def _agent_column(table: RawTable, columns: list[str]) -> str:
    """The column that names the treatment; one of text before one of numbers."""
    normalised = {normalise_name(column): column for column in reversed(columns)}
    known = [normalised[w] for w in COLUMN_WORDS["agent"].split() if w in normalised]
    # 't' is MetaInsight's heading of treatments, and that of times and statistics elsewhere.
    known = [c for c in known if normalise_name(c) != "t" or not is_numeric(table, c)]
    text = [column for column in known if not is_numeric(table, column)]
    return next(iter([*text, *known]), "")


def _results(
    table: RawTable, columns: list[str], named_groups: bool
) -> tuple[str, dict[str, str], tuple[str, ...]] | None:
    """The layout, the columns of the result by role, and those that may name the events."""
    numeric = [column for column in columns if is_numeric(table, column)]
    roles = {role: column_of(numeric, role) for role in WORDS}
    mean = roles["mean"] or column_of(numeric, "", "diff change meanchange yi")
    spread = {role: roles[role] for role in ("sd", "se") if roles[role]}
    people = {"n": roles["n"]} if roles["n"] else {}
    if mean and ("se" in spread or ("sd" in spread and people)):
        layout = "means" if {"sd"} <= set(spread) and people else "means_se"
        return layout, {"mean": mean, **spread, **people}, ()
    if roles["events"] and roles["person_time"] and not people:
        return "rates", {k: roles[k] for k in ("events", "person_time")}, ()
    if not people:
        return None
    size = number_values(table, people["n"])
    known = [c for c in numeric if normalise_name(c) in GENERIC_EVENTS]
    exact = [column for column in known if is_count_of(table, column, size)]
    if exact:
        return "counts", {"events": column_of(exact, "events"), **people}, ()
    if not named_groups:
        return None
    others = [column for column in numeric if column not in people.values()]
    counts = [column for column in others if _may_count(table, column, size)]
    if len(counts) == 1:
        return "counts", {"events": counts[0], **people}, (counts[0],)
    if counts:
        # The first, until the user has chosen.
        return "counts", {"events": counts[0], **people}, tuple(counts)
    return None


def _may_count(table: RawTable, column: str, people: pd.Series) -> bool:
    """Whether a column without a known heading may be a number of people with an event."""
    name = normalise_name(column)
    if name in _COVARIATES or name in _FLAT_NAMES or "year" in name:
        return False
    if ROLE_OF_WORD.get(name, "events") != "events" or not is_count_of(table, column, people):
        return False
    if name in {word for role in COLUMN_WORDS for word in COLUMN_WORDS[role].split()}:
        return False
    values = number_values(table, column).dropna()
    # An indicator of 0 and 1 describes the trial.
    return bool(values.max() > 1)
