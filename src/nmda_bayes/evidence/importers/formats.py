"""Formats of gemtc, MBNMAdose, MBNMAtime, multinma and netmeta, and of participants.

Sources: netmeta's ``netmeta(TE, seTE, treat1, treat2, studlab)``, TE of treat1 against treat2, and
``pairwise(treat = list(treat1, treat2, ...), event = list(event1, ...))`` (Balduzzi S et al.
(2023), J Stat Softw 106(2)); ``mtc.network`` of gemtc; ``mbnma.network`` of MBNMAdose and
MBNMAtime; ``set_agd_arm`` and ``set_agd_contrast`` of multinma.

A role is the name of the flat column, numbered for the arms of a wide table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pandas as pd

from nmda_bayes.evidence.importers.base import (
    LOG_MEASURES,
    PASSTHROUGH_COLUMNS,
    PLACEBO,
    ImportResult,
    RoleColumns,
    SourceTable,
    normalise_name,
    number_cells,
    register_format,
)
from nmda_bayes.evidence.importers.crosscheck import check_stated_effect
from nmda_bayes.evidence.importers.effect_columns import measure_of_heading
from nmda_bayes.evidence.importers.reshape import (
    arm_rows,
    baseline_contrasts,
    drop_repeated_arms,
    independent_contrasts,
    long_arms,
    numbered_sides,
    wide_arms,
)
from nmda_bayes.evidence.schema import FILL_IN, MISSING
from nmda_bayes.evidence.table_io import LINE


def _register(
    flatten: Callable[[SourceTable], ImportResult],
    common: RoleColumns,
    common_optional: RoleColumns,
    name: str,
    about: str,
    required: RoleColumns,
    optional: RoleColumns | None = None,
) -> None:
    """Register a layout of a convention whose layouts have some columns in common."""
    register_format(
        name,
        about,
        required={**common, **required},
        optional={**common_optional, **(optional or {})},
    )(flatten)


# gemtc, MBNMAdose, MBNMAtime and multinma: one row per arm.


def _long(table: SourceTable) -> ImportResult:
    return table.assemble([long_arms(table)])


def _baseline(table: SourceTable) -> ImportResult:
    return table.assemble([baseline_contrasts(table, "estimate")])


def _mbnmadose(table: SourceTable) -> ImportResult:
    part = long_arms(table)
    others = sorted(set(part.cells["agent"][table.numbers("dose") == 0]) - {PLACEBO, ""})
    if others:
        names = ", ".join(others)
        table.note(f"Arms at dose 0 are the reference, as in MBNMAdose, also those of: {names}.")
    return table.assemble([part])


def _multinma_means(table: SourceTable) -> ImportResult:
    """Means, or effects where most studies have one row with NA."""
    n_missing = table.is_blank("mean").groupby(table.text("study")).sum()
    if n_missing.eq(1).mean() > 0.5:
        return table.assemble([baseline_contrasts(table, "mean")])
    return _long(table)


_GEMTC = {"study": "study", "agent": "treatment"}
gemtc = partial(_register, _long, _GEMTC, {"dose": "dose"})
gemtc(
    "gemtc/counts",
    "gemtc: one row per arm, responders of sampleSize people",
    {"events": "responders", "n": "sampleSize"},
)
gemtc(
    "gemtc/means",
    "gemtc: one row per arm, mean with std.dev of sampleSize people",
    {"mean": "mean", "sd": "std.dev", "n": "sampleSize"},
    {"se": "std.err"},
)
gemtc(
    "gemtc/means_se",
    "gemtc: one row per arm, mean with std.err",
    {"mean": "mean", "se": "std.err"},
    {"n": "sampleSize"},
)
gemtc(
    "gemtc/rates",
    "gemtc: one row per arm, responders (events) in exposure (person-time)",
    {"events": "responders", "person_time": "exposure"},
)
_register(
    _baseline,
    _GEMTC,
    {"dose": "dose"},
    "gemtc/contrasts",
    "gemtc: one row per arm, diff with std.err against the study's arm with NA",
    {"estimate": "diff", "se": "std.err"},
)

mbnmadose = partial(
    _register,
    _mbnmadose,
    {"study": "studyID|study", "agent": "agent", "dose": "dose"},
    {"time_label": "time"},
)
mbnmadose(
    "mbnmadose/counts",
    "MBNMAdose: one row per arm, r of n people with the event",
    {"events": "r", "n": "n|N"},
)
mbnmadose(
    "mbnmadose/means",
    "MBNMAdose: one row per arm, mean y with standard error se",
    {"mean": "y", "se": "se"},
    {"n": "n|N"},
)
mbnmadose(
    "mbnmadose/rates",
    "MBNMAdose: one row per arm, r events in person-time E",
    {"events": "r", "person_time": "E"},
)
_register(
    _long,
    {"study": "studyID", "time_label": "time", "agent": "treatment"},
    {"n": "n|N"},
    "mbnmatime/means",
    "MBNMAtime: one row per arm and time, mean y with standard error se",
    {"mean": "y", "se": "se"},
)

_MULTINMA = {"study": "study|studyc|studyn|studyID|studlab", "agent": "trt|trtc|trtn"}
_DOSE_AND_TIME = {"dose": "dose", "time_label": "time"}
multinma = partial(_register, _long, _MULTINMA, _DOSE_AND_TIME)
multinma(
    "multinma/counts",
    "multinma: one row per arm, r of n people with the event",
    {"events": "r", "n": "n"},
)
multinma(
    "multinma/rates",
    "multinma: one row per arm, r events in person-time E",
    {"events": "r", "person_time": "E"},
)
_register(
    _multinma_means,
    _MULTINMA,
    _DOSE_AND_TIME,
    "multinma/means",
    "multinma: one row per arm, mean y with standard error se",
    {"mean": "y", "se": "se"},
    {"n": "n"},
)
_register(
    _baseline,
    _MULTINMA,
    _DOSE_AND_TIME,
    "multinma/contrasts",
    "multinma: one row per arm, effect diff (or y) against the study's arm with NA",
    {"estimate": "diff|y", "se": "se_diff|se"},
)


# netmeta and its pairwise().


def _netmeta_wide(table: SourceTable) -> ImportResult:
    """Arms side by side; pairwise() repeats an arm in each pair of its trial."""
    if len(numbered_sides(table)) == 2:
        check_stated_effect(table)
    result = table.assemble(wide_arms(table))
    if len(numbered_sides(table)) == 2:
        drop_repeated_arms(table, result)
    return result


def _netmeta_contrasts(table: SourceTable) -> ImportResult:
    """Contrasts, k - 1 of a trial with k arms."""
    agents = [table.agents("agent1"), table.agents("agent2")]
    for role, names in zip(("agent1", "agent2"), agents, strict=True):
        table.issue("E120", role, names == "", MISSING, "Name the treatment.")
    keys = [table.passthrough(c) for c in ("outcome", "time_hours", "time_label", "condition")]
    estimate = table.numbers("estimate")
    rows = pd.DataFrame(
        {
            "study": table.text("study"),
            "key": pd.concat(keys, axis=1).agg("\x1f".join, axis=1),
            "arm": (agents[0] + " " + table.text("dose1")).str.strip(),
            "other": (agents[1] + " " + table.text("dose2")).str.strip(),
            "estimate": estimate,
            "se": table.numbers("se"),
            "comparator_se": table.numbers("comparator_se"),
        }
    )
    reduced = independent_contrasts(table, rows)
    reverse = reduced["reverse"]
    part = table.fragment(reduced["keep"], ("study", "se"))
    signed = table.text("estimate").where(~reverse, number_cells(-estimate))
    part.add("estimate", signed, table.column("estimate"))
    for role, flat in (
        ("agent", ("agent", "comparator")),
        ("n", ("n_treat", "n_control")),
        ("dose", ("dose", "comparator_dose")),
    ):
        first, second = agents if role == "agent" else map(table.text, (f"{role}1", f"{role}2"))
        if table.has(f"{role}1", f"{role}2"):
            part.add(flat[0], first.where(~reverse, second), table.column(f"{role}1"))
            part.add(flat[1], second.where(~reverse, first), table.column(f"{role}2"))
    if table.has("measure"):
        measure = table.text("measure").replace(LOG_MEASURES)
        part.add("measure", measure, table.column("measure"))
    elif measure_of_heading(table.column("estimate")):
        heading = measure_of_heading(table.column("estimate"))
        part.add("measure", table.constant(heading), table.column("estimate"))
    part.add("comparator_se", reduced["comparator_se"], table.column("se"))
    table.set_reference(agents[0].where(~reverse, agents[1]), agents[1].where(~reverse, agents[0]))
    table.note(
        f"'{table.column('estimate')}' is the effect of '{table.column('agent1')}' against"
        f" '{table.column('agent2')}', on the scale of the analysis (ratios as logarithms)."
    )
    return table.assemble([part])


_NETMETA = {"study": "studlab|study|studyID|id|author"}
_NETMETA_STEMS = {
    "agent": "treat|t|treatment|trt|agent|drug",
    "events": "event|r|events|d|resp",
    "n": "n",
    "mean": "mean|y",
    "sd": "sd",
    "person_time": "time|years|e|py",
    "dose": "dose",
}


def _sides(*roles: str, number: int = 2) -> dict[str, str]:
    """Numbered columns of roles: ``agent1`` may be treat1, t1, ..."""
    return {
        f"{role}{side}": "|".join(f"{name}{side}" for name in _NETMETA_STEMS[role].split("|"))
        for role in roles
        for side in range(1, number + 1)
    }


for layout, results, text in (
    ("counts_wide", ("events", "n"), "event1 of n1 people"),
    ("means_wide", ("mean", "sd", "n"), "mean1 with sd1 of n1 people"),
    ("rates_wide", ("events", "person_time"), "event1 in person-time time1"),
):
    register_format(
        f"netmeta/{layout}",
        f"netmeta's pairwise(): one row per trial, its arms side by side, {text}",
        required=_NETMETA | _sides("agent", *results),
        optional=_sides("agent", *results, "dose", number=7) | {"estimate": "TE", "se": "seTE"},
    )(_netmeta_wide)

register_format(
    "netmeta/contrasts",
    "netmeta: one row per pair of treatments, TE of treat1 against treat2 with seTE",
    required=_NETMETA | _sides("agent") | {"estimate": "TE", "se": "seTE"},
    optional=_sides("n", "dose") | {"comparator_se": "comparator_se", "measure": "sm|measure"},
)(_netmeta_contrasts)

netmeta_long = partial(_register, _long, _NETMETA | {"agent": "treatment|treat"}, {"dose": "dose"})
netmeta_long(
    "netmeta/counts_long",
    "netmeta's pairwise(): one row per arm, event of n people",
    {"events": "event|events|r", "n": "n"},
)
netmeta_long(
    "netmeta/means_long",
    "netmeta's pairwise(): one row per arm, mean with sd of n people",
    {"mean": "mean", "sd": "sd", "n": "n"},
)


# Participants: one row per person, and rows of arms whose participants are not available.

PERSON = "person"


def _person_values(table: SourceTable) -> ImportResult:
    """Values of participants, as the mean and SD of their arms."""
    value = table.numbers("value")
    first, arms = _arms_of_persons(table, "value")
    size = arms.map(value.groupby(arms).size())
    hint = "Add the arm's other participants, or delete it."
    table.issue("E216", "value", first & (size < 2), "one participant has no SD", hint)
    grouped = value.groupby(arms)
    columns = {"mean": grouped.mean(), "sd": grouped.std(ddof=1), "n": grouped.size()}
    text = "mean, SD and number of participants"
    return _assemble_persons(table, first, arms, "value", columns, text)


def _person_events(table: SourceTable) -> ImportResult:
    """Events of participants, as the counts of their arms."""
    _read_yes_no(table, "event")
    event = table.numbers("event")
    first, arms = _arms_of_persons(table, "event")
    invalid = arms.notna() & event.notna() & ~event.isin([0.0, 1.0])
    table.issue("E217", "event", invalid, "an event is 1 or 0", "Enter 1 or 0.")
    columns = {"events": event.groupby(arms).sum(), "n": event.groupby(arms).size()}
    text = "participants with the event, of how many"
    return _assemble_persons(table, first, arms, "event", columns, text)


#: Words for an event, and for none.
_YES, _NO = ("yes", "y", "true"), ("no", "n", "false")


def _read_yes_no(table: SourceTable, role: str) -> None:
    """Write yes and no as 1 and 0, with a note."""
    column = table.column(role)
    cells = table.raw.cells[column].str.strip()
    folded = cells.str.casefold()
    yes, no = folded.isin(_YES), folded.isin(_NO)
    if (yes | no).any():
        cells = cells.mask(yes, "1").mask(no, "0")
        table.raw = replace(table.raw, cells=table.raw.cells.assign(**{column: cells}))
        table.note(f"'yes' and 'no' in '{column}' are read as 1 and 0.")


def _arms_of_persons(table: SourceTable, role: str) -> tuple[pd.Series, pd.Series]:
    """Mark the first participant of each arm, and number the arms; NaN for rows of arms."""
    person = table.text(PERSON)
    is_person = person != ""
    measurement = [table.passthrough(name) for name in sorted(PASSTHROUGH_COLUMNS)]
    names = [table.text("study"), table.agents("agent"), table.text("dose"), table.text("arm")]
    keys = pd.concat([*names, *measurement], axis=1)
    keys.columns = pd.RangeIndex(keys.shape[1])
    arms = keys.groupby(list(keys), sort=False).ngroup().where(is_person)
    table.issue("E120", role, is_person & table.is_blank(role), MISSING, FILL_IN)
    # A participant counts once in a trial, at one outcome and time.
    within_trial = pd.concat([names[0], *measurement, person], axis=1)[is_person]
    repeated = within_trial.duplicated().reindex(person.index, fill_value=False)
    hint = "Give each participant one row (per outcome and time); for a crossover trial give arms."
    table.issue("E218", PERSON, repeated, "participant repeated in the trial", hint)
    return is_person & ~arms.duplicated(), arms


def _assemble_persons(
    table: SourceTable,
    first: pd.Series,
    arms: pd.Series,
    role: str,
    statistics: dict[str, pd.Series],
    text: str,
) -> ImportResult:
    """The arms of the participants, and the rows that are arms already."""
    is_person = table.text(PERSON) != ""
    part = arm_rows(table, first, table.agents("agent"), results=())
    for name, by_arm in statistics.items():
        part.add(name, arms.map(by_arm), table.column(role))
    table.note(
        f"One row is one participant: {is_person.sum()} participants of"
        f" {table.text('study')[first].nunique()} trial(s) are read as {first.sum()} arms ({text});"
        " no information is lost unless covariates of participants are used."
    )
    parts = [part]
    if not is_person.all():
        table.note(f"{(~is_person).sum()} row(s) without a participant are read as arms.")
        parts.append(arm_rows(table, ~is_person, table.agents("agent")))
    _skip_varying_columns(table)
    return table.assemble(parts)


def _skip_varying_columns(table: SourceTable) -> None:
    """Omit columns that differ between the participants of a trial: an arm has no single value."""
    is_person = table.text(PERSON) != ""
    study = table.text("study")[is_person]
    carried = {normalise_name(name) for name in PASSTHROUGH_COLUMNS}
    skipped = []
    for name in map(str, table.raw.cells):
        if name == LINE or name in table.used or normalise_name(name) in carried:
            continue
        values = pd.DataFrame({"study": study, "value": table.raw.cells[name][is_person]})
        if values.drop_duplicates().duplicated("study").any():
            table.used.add(name)
            skipped.append(f"'{name}'")
    if skipped:
        table.note(f"Not read, as it differs between participants: {', '.join(skipped)}.")


_PERSONS = {"study": "study", "agent": "agent", PERSON: PERSON}
_PERSON_OPTIONAL = {"dose": "dose", "arm": "arm", "n": "n"}
_register(
    _person_values,
    _PERSONS,
    _PERSON_OPTIONAL,
    "persons/values",
    "one row per participant: a value; without a participant, an arm with mean, sd or se, and n",
    {"value": "value"},
    {"mean": "mean", "sd": "sd", "se": "se"},
)
_register(
    _person_events,
    _PERSONS,
    _PERSON_OPTIONAL,
    "persons/events",
    "one row per participant: event 1 or 0; without a participant, an arm with events and n",
    {"event": "event"},
    {"events": "events"},
)
