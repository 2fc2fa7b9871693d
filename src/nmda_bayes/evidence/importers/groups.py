"""Two or more groups of each trial side by side, as in R's meta.

``metabin(event.e, n.e, event.c, n.c)``, ``metacont(n.e, mean.e, sd.e, n.c, mean.c, sd.c)`` and
``metainc(event.e, time.e, event.c, time.c)``; the groups may have other names, such as
``n.asp, n.plac`` (Balduzzi S, Rücker G, Schwarzer G (2019), Evid Based Ment Health 22:153).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from nmda_bayes.evidence.draft import set_text
from nmda_bayes.evidence.importers.base import (
    PLACEBO,
    Fragment,
    ImportResult,
    RoleColumns,
    SourceTable,
    TableFormat,
    matched_format,
    register_format,
)
from nmda_bayes.evidence.importers.crosscheck import check_ratio, check_stated_effect
from nmda_bayes.evidence.importers.effect_columns import effect_columns
from nmda_bayes.evidence.importers.reshape import (
    CONTROL,
    EXPERIMENTAL,
    Columns,
    arm_rows,
    copies_text,
    drop_repeated_arms,
    rows_with_results,
    separate_rows,
    trial_names,
)
from nmda_bayes.evidence.importers.vocabulary import (
    CONTROL_WORDS,
    GENERIC_EVENTS,
    NEGATIONS,
    PLACEBO_WORDS,
    ROLE_OF_WORD,
    TOTALS,
    UNNAMED_GROUPS,
    WORDS,
    column_of,
    dose_column,
    is_count_of,
    is_numeric,
    number_values,
    split_heading,
    user_columns,
)
from nmda_bayes.evidence.table_io import RawTable

#: The columns of a statistic by group.
Sides = dict[str, str]


@dataclass(frozen=True)
class Plan:
    """The groups of a table: their names, whether the last is known to be the control, results.

    `outcomes`: the columns of each outcome by role; the outcome of a single one may be blank.
    """

    names: tuple[str, ...] = (EXPERIMENTAL, CONTROL)
    control_known: bool = True
    outcomes: tuple[tuple[str, Mapping[str, str]], ...] = ()


TWO_GROUPS = Plan()


def read_groups(table: SourceTable, plan: Plan = TWO_GROUPS) -> ImportResult:
    """The arms of each row, the last group first."""
    sides = [str(number) for number in range(1, len(plan.names) + 1)]
    agents = _group_agents(table, plan)
    outcome_of_row = table.text("outcome") if table.has("outcome") else table.passthrough("outcome")
    shared = trial_names(table, [*agents, outcome_of_row])
    if len(sides) == 2:
        shared = _separate_controls(table, shared, agents)
        shared = _with_distinct_rows(table, shared, agents, outcome_of_row)
    outcomes = plan.outcomes or (("", {}),)
    parts = []
    for outcome, columns in outcomes:
        table.columns |= columns
        present = [role for role in _STATISTICS if table.has(f"{role}1")]
        complete = rows_with_results(table, *(role + side for role in present for side in sides))
        named = dict(shared)
        if outcome:
            named["outcome"] = table.constant(outcome), columns.get("events1", "")
        elif table.has("outcome"):
            named["outcome"] = table.text("outcome"), table.column("outcome")
        for side, agent in reversed([*zip(sides, agents, strict=True)]):
            part = arm_rows(table, complete & (agent != ""), agent, side, named)
            if side == "2" and table.has("dose1") and not table.has("dose2"):
                part.add("dose", table.constant("0"), table.column("dose1"))
            _derive_columns(table, part, side)
            parts.append(part)
    if len(sides) == 2 and len(outcomes) == 1:
        check_ratio(table, "ratio", "estimate")
        check_stated_effect(table)
    if table.has("without1"):
        pair = f"'{table.column('events1')}' and '{table.column('without1')}'"
        table.note(f"The number of people in a group is the sum of {pair}.")
    if table.has("variance_of1"):
        table.note(f"The SD of a group is the square root of '{table.column('variance_of1')}'.")
    if table.has("dose1") and not table.has("dose2"):
        table.note(f"'{table.column('dose1')}' is the dose of the first group; the second has 0.")
    result = table.assemble(parts)
    drop_repeated_arms(table, result)
    return result


def _with_distinct_rows(
    table: SourceTable, shared: Columns, agents: list[pd.Series], outcome: pd.Series
) -> Columns:
    """Ask about rows of one trial with the same groups; until then each is a trial of its own."""
    study, name = shared["study"]
    rows = pd.concat([study, *agents, outcome], axis=1)
    repeated = rows.duplicated() & (study != "")
    if not repeated.any():
        return shared
    columns = user_columns(table.raw)
    copies = copies_text(table, repeated)
    if table.repeated is not None:
        table.note(
            f"{repeated.sum()} rows that repeat a trial{copies} are analysed as trials of their own"
            " (set by you), as of different people."
        )
    else:
        free = [c for c in columns if c not in table.columns.values()]
        distinct = [
            column
            for column in free
            if not pd.concat([rows, table.raw.cells[column]], axis=1).duplicated().any()
        ]
        named = f"{set_text('column.outcome', distinct[0])}" if distinct else "a column outcome"
        table.ask(
            "E238",
            "study",
            f"{repeated.sum()} row(s) repeat a trial with the same groups"
            f" ('{study[repeated].iloc[0]}' the first){copies}",
            "If they are different people, --set repeated=separate analyses each row as a trial of"
            f" its own; if other outcomes, name them: {named}. Delete only rows that were copied.",
            int(table.lines[repeated].iloc[0]),
        )
    return {**shared, "study": (separate_rows(study, repeated), name)}


def _separate_controls(table: SourceTable, shared: Columns, agents: list[pd.Series]) -> Columns:
    """Name comparisons of one report whose control groups differ as separate trials."""
    study, column = shared["study"]
    roles = [role for role in ("events2", "n2", "mean2", "person_time2") if table.has(role)]
    control = pd.concat([table.text(role) for role in roles], axis=1).agg("\x1f".join, axis=1)
    several = control.groupby(study).transform("nunique") > 1
    # Rows that name the same two groups are repeated, which is an error of the rows.
    same = pd.concat([study, agents[0]], axis=1).duplicated().groupby(study).transform("any")
    rows = several & ~same & (study != "") & table.rows(not table.has("outcome"))
    if not rows.any():
        return shared
    names = ", ".join(f"'{name}'" for name in dict.fromkeys(study[rows]))
    table.note(
        f"{names}: the control groups of its rows differ, so each comparison is read as a separate"
        " trial, named with its first group. If they are the same people, give the trial one"
        " control."
    )
    return {"study": (study.mask(rows, study + " (" + agents[0] + ")"), column)}


#: Statistics of a group; a variance of values has its own role, as an effect may have one too.
_STATISTICS = ("events", "without", "n", "person_time", "mean", "sd", "se", "variance_of")


def _group_agents(table: SourceTable, plan: Plan) -> list[pd.Series]:
    """The agent of each group: of a column, of the user, or else of the headings."""
    agents, from_headings = [], []
    for position, name in enumerate(plan.names):
        role = f"agent{position + 1}"
        if table.has(role):
            agents.append(table.agents(role))
            continue
        if table.groups and len(plan.names) == 2:
            name = table.groups[position]
        else:
            from_headings.append(name)
        agents.append(table.normalise_placebo(table.constant(name), "group label"))
    if table.groups and len(plan.names) == 2:
        table.note(f"The groups are '{table.groups[0]}' and '{table.groups[1]}' (set by you).")
    elif {*from_headings} == {EXPERIMENTAL, CONTROL}:
        table.note(
            f"The table does not name its groups; they are called '{EXPERIMENTAL}' and '{CONTROL}'."
            " Name them with --set groups=FIRST,SECOND."
        )
    elif from_headings:
        listed = "' and '".join(from_headings)
        how = " Name them with --set groups=FIRST,SECOND." if len(plan.names) == 2 else ""
        table.note(f"The group(s) '{listed}' are named after the headings of their columns.{how}")
    if len(plan.names) == 2 and plan.control_known:
        table.set_reference(agents[0], agents[1])
    return agents


def _derive_columns(table: SourceTable, part: Fragment, side: str) -> None:
    """The number of people from those without the event, and the SD from the variance."""
    if table.has(f"without{side}") and not table.has(f"n{side}"):
        without = table.numbers(f"without{side}")
        negative = part.rows & (without < 0)
        table.issue("E123", f"without{side}", negative, "below 0", "Check the number.")
        people = table.numbers(f"events{side}") + without
        pair = f"'{table.column(f'events{side}')}' and '{table.column(f'without{side}')}'"
        message, hint = (
            f"{pair} are both 0: the group has no people",
            "Check both, or delete the row.",
        )
        table.issue("E123", f"without{side}", part.rows & (people == 0), message, hint)
        part.add("n", people, table.column(f"without{side}"))
    if table.has(f"variance_of{side}"):
        variance = table.numbers(f"variance_of{side}")
        negative = part.rows & (variance < 0)
        table.issue("E123", f"variance_of{side}", negative, "below 0", "Check the number.")
        sd = np.sqrt(variance.where(variance >= 0))
        part.add("sd", sd, table.column(f"variance_of{side}"))


# Registration by the usual names, and detection of others.


def _pair(role: str, stems: str, joined: str = "") -> dict[str, str]:
    names = {side: [f"{stem}.{end}" for stem in stems.split() for end in ends.split()]
             for side, ends in (("1", "e exp t"), ("2", "c ctrl c"))}  # fmt: skip
    extra = {"1": f"{joined}e", "2": f"{joined}c"} if joined else {"1": "", "2": ""}
    return {
        role + side: "|".join([*names[side], *([extra[side]] if extra[side] else [])])
        for side in "12"
    }


GROUP_COLUMNS = {
    "study": "studlab|study|author|trial|id",
    "year": "year",
    "agent1": "treat.exp|treatment",
    "agent2": "treat.con",
}
_STUDY = {"study": GROUP_COLUMNS["study"]}
_OTHERS = {key: names for key, names in GROUP_COLUMNS.items() if key != "study"}


def _register(name: str, about: str, required: RoleColumns) -> None:
    register_format(name, about, required={**_STUDY, **required}, optional=_OTHERS)(read_groups)


_register(
    "meta/counts",
    "R meta's metabin(): two groups side by side, event.e of n.e people, event.c of n.c",
    _pair("events", "event", "E") | _pair("n", "n", "N"),
)
_register(
    "meta/means",
    "R meta's metacont(): two groups side by side, mean.e with sd.e of n.e people",
    _pair("mean", "mean", "M") | _pair("sd", "sd", "S") | _pair("n", "n", "N"),
)
_register(
    "meta/rates",
    "R meta's metainc(): two groups side by side, event.e in person-time time.e",
    _pair("events", "event", "E") | _pair("person_time", "time", "T"),
)


ESCALC = {"study": "slab|study|studlab|author|trial"}
_STATED = {"estimate": "yi|TE", "variance": "vi", "se": "sei|seTE"}
_ESCALC_OPTIONAL = {
    "agent1": "group1|treat1|treatment|agent|intervention|trt",
    "agent2": "group2|treat2|control|comparator|ctrl",
    "year": "year",
    "id": "id",
    "outcome": "outcome|endpoint|table",
    "dose1": "dose",
    **_STATED,
}


def _register_escalc(name: str, about: str, required: RoleColumns) -> None:
    required = {**ESCALC, **required}
    register_format(name, about, required=required, optional=_ESCALC_OPTIONAL)(read_groups)


_register_escalc(
    "escalc/counts",
    "metafor: two groups, ai and bi people with and without the event, ci and di in the second",
    {"events1": "ai|tpos", "without1": "bi|tneg", "events2": "ci|cpos", "without2": "di|cneg"},
)
_register_escalc(
    "escalc/counts_n",
    "metafor: two groups, ai of n1i people with the event, ci of n2i in the second",
    {"events1": "ai", "n1": "n1i", "events2": "ci", "n2": "n2i"},
)
_register_escalc(
    "escalc/means",
    "metafor: two groups, mean m1i with sd1i of n1i people, m2i with sd2i of n2i",
    {"mean1": "m1i", "sd1": "sd1i", "n1": "n1i", "mean2": "m2i", "sd2": "sd2i", "n2": "n2i"},
)
_register_escalc(
    "escalc/rates",
    "metafor: two groups, x1i events in person-time t1i, x2i in t2i",
    {"events1": "x1i", "person_time1": "t1i", "events2": "x2i", "person_time2": "t2i"},
)


def _tabulate(columns: list[str]) -> dict[str, dict[str, Sides]]:
    """The readings of all headings: how they are joined, statistic, group, column."""
    readings: dict[str, dict[str, Sides]] = {}
    for column in columns:
        for mode, stem, side in split_heading(column):
            readings.setdefault(mode, {}).setdefault(stem, {}).setdefault(side, column)
    return readings


def _anchors(stems: dict[str, Sides]) -> list[tuple[str, ...]]:
    """The groups that a statistic in two or more headings distinguishes."""
    matched = []
    for role in ("n", "person_time"):
        for word in WORDS[role].split():
            matched.append(tuple(side for side in stems.get(word, {}) if side not in TOTALS))
    for stem, sides in stems.items():
        if _negation_of(stem, stems):
            matched.append(tuple(side for side in sides if side not in TOTALS))
    return [sides for sides in matched if 2 <= len(sides) <= 7]


def _negation_of(stem: str, stems: dict[str, Sides]) -> str:
    """The statistic that counts those without the event of another."""
    if stem in WORDS["events"].split():
        words = [word for word in WORDS["without"].split() if word in stems]
    else:
        words = [negation + stem for negation in NEGATIONS if negation + stem in stems]
        if not words and stem not in ROLE_OF_WORD:
            words = [negation for negation in NEGATIONS if negation in stems]
    return next((word for word in words if set(stems[word]) >= set(stems[stem])), "")


def detect_groups(table: RawTable) -> TableFormat | None:
    """Find groups side by side in the headings of a table."""
    columns = user_columns(table)
    for mode, stems in _tabulate(columns).items():
        for sides in _anchors(stems):
            complete = {stem: by for stem, by in stems.items() if set(sides) <= set(by)}
            format = _layout(table, mode, sides, complete)
            if format is not None:
                return format
    return None


def _layout(
    table: RawTable, mode: str, sides: tuple[str, ...], stems: dict[str, Sides]
) -> TableFormat | None:
    study = column_of(user_columns(table), "study")
    if not study:
        return None
    by_role: dict[str, str] = {}
    for stem in stems:
        role = ROLE_OF_WORD.get(stem, "")
        if role and role not in by_role:
            by_role[role] = stem
    ordered, control_known = _ordered(sides)

    def roles(**chosen: str) -> dict[str, str]:
        return {
            f"{role}{number}": stems[stem][side]
            for role, stem in chosen.items()
            for number, side in enumerate(ordered, start=1)
        }

    numeric = [s for s in stems if all(is_numeric(table, stems[s][side]) for side in sides)]
    spread = next((role for role in ("sd", "variance", "se") if by_role.get(role) in numeric), "")
    outcomes: list[tuple[str, dict[str, str]]] = []
    if by_role.get("mean") in numeric and spread and ("n" in by_role or spread == "se"):
        role = "variance_of" if spread == "variance" else spread
        chosen = {"mean": by_role["mean"], role: by_role[spread]}
        chosen |= {"n": by_role["n"]} if by_role.get("n") in numeric else {}
        layout, required = "means", roles(**chosen)
    else:
        events = _event_stems(table, sides, stems, by_role)
        size = next((r for r in ("n", "person_time") if by_role.get(r) in numeric), "")
        layout = "rates" if size == "person_time" else "counts"
        if not events:
            return None
        for stem, negation in events.items():
            second = {size: by_role[size]} if size else {"without": negation}
            if not all(second.values()):
                return None
            words = [word for word in stem.split() if word not in WORDS["events"].split()]
            outcome = " ".join(words) if stem not in GENERIC_EVENTS else ""
            outcome = outcome or (stem if stem not in GENERIC_EVENTS else "")
            outcomes.append((outcome, roles(events=stem, **second)))
        required = outcomes[0][1]
    statistics = {side for side in sides if len(side) > 2 and side in ROLE_OF_WORD}
    if _overlaps(required) or statistics - {*NEGATIONS}:
        return None
    columns = user_columns(table)
    taken = {study, *required.values(), *(c for _, counted in outcomes for c in counted.values())}
    free = [column for column in columns if column not in taken]
    agents = _agent_columns(free, mode, ordered)
    free = [column for column in free if column not in agents.values()]
    names = tuple(_group_name(side, position) for position, side in enumerate(ordered))
    plan = Plan(names, control_known, tuple(outcomes))
    dose = dose_column(free)
    optional = {
        "year": column_of(free, "year"),
        "id": column_of([c for c in columns if c != study and c in free], "id"),
        "author": column_of(free, "author"),
        "outcome": column_of(free, "outcome"),
        "dose1": dose if len(sides) == 2 and dose and is_numeric(table, dose) else "",
        **agents,
        **(effect_columns(table, free) if len(sides) == 2 else {}),
    }
    format = matched_format(f"meta/{layout}", {"study": study, **required}, **optional)
    counted = frozenset(column for _, columns in outcomes for column in columns.values())
    return replace(format, flatten=partial(read_groups, plan=plan), also_reads=counted)


def _overlaps(roles: dict[str, str]) -> bool:
    return len(set(roles.values())) < len(roles)


def _ordered(sides: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The groups with the control last, and whether it is known."""
    controls = [side for side in sides if _is_control(side, sides)]
    if len(controls) != 1:
        return sides, False
    return (*(side for side in sides if side != controls[0]), controls[0]), True


def _is_control(side: str, sides: tuple[str, ...]) -> bool:
    words = side.split()
    others = {other for other in sides if other != side}
    negated = any(side.removeprefix(n).strip() in others for n in NEGATIONS if side.startswith(n))
    if side == "2" and "1" not in sides:
        return False
    return negated or words[0] in CONTROL_WORDS or words[-1] in CONTROL_WORDS


def _group_name(side: str, position: int) -> str:
    words = [word for word in side.split() if word not in ("arm", "group")] or side.split()
    if len(words) == 1 and words[0] in PLACEBO_WORDS:
        return PLACEBO
    if len(words) == 1 and words[0] in UNNAMED_GROUPS:
        return CONTROL if words[0] in CONTROL_WORDS else EXPERIMENTAL
    return " ".join(words)


def _agent_columns(columns: list[str], mode: str, sides: tuple[str, ...]) -> dict[str, str]:
    """Columns that name the agents of two groups."""
    if len(sides) != 2:
        return {}
    named = ("treat", "treatment", "trt", "drug", "agent", "intervention", "group")
    agents = {
        f"agent{number}": column
        for number, side in enumerate(sides, start=1)
        for column in columns
        for kind, stem, group in split_heading(column)
        if kind == mode and group == side and stem in named
    }
    if "agent1" not in agents:
        column = column_of(columns, "agent", "treatment trt treat drug agent intervention")
        agents |= {"agent1": column} if column else {}
    if "agent2" not in agents:
        column = column_of(columns, "comparator", "ctrl comparator comparison control")
        agents |= {"agent2": column} if column else {}
    # A group named by a column of its heading, such as p2y12 for p2y12.mi.
    for number, side in enumerate(sides, start=1):
        same = [column for column in columns if column.casefold() == side]
        if same and f"agent{number}" not in agents:
            agents[f"agent{number}"] = same[0]
    return agents


def _event_stems(
    table: RawTable, sides: tuple[str, ...], stems: dict[str, Sides], by_role: dict[str, str]
) -> dict[str, str]:
    """The statistics that count events, each with that of those without, if there is one."""
    size = by_role.get("n", "")

    def counts(stem: str) -> bool:
        return all(
            is_count_of(
                table,
                stems[stem][side],
                number_values(table, stems[size][side])
                if size
                else pd.Series(np.inf, index=table.cells.index),
            )
            for side in sides
        )

    known = [s for s in stems if s in GENERIC_EVENTS]
    usable = [s for s in known if counts(s)]
    if usable:
        return {usable[0]: _negation_of(usable[0], stems)}
    results = {None, "events", "mean"}
    others = [s for s in stems if ROLE_OF_WORD.get(s) in results or " " in s]
    others = [s for s in others if counts(s) and not s.startswith(NEGATIONS)]
    if not size:
        others = [s for s in others if _negation_of(s, stems) or "person_time" in by_role]
    generic = [s for s in others if s.split()[-1] in GENERIC_EVENTS]
    others = generic or others
    return {s: _negation_of(s, stems) for s in others}
