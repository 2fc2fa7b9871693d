"""Arms in long and wide tables: what several conventions share."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from nmda_bayes.evidence.readers.foreign import Foreign
from nmda_bayes.evidence.readers.placed import Part, as_text

#: The two groups of a table that does not name them.
EXPERIMENTAL, CONTROL = "experimental", "control"


def long_arms(table: Foreign, **roles: str) -> Part:
    """Take one flat row from each row.

    Parameters
    ----------
    table
        With roles ``study`` and ``agent``.
    **roles
        The role behind each further flat column.

    Returns
    -------
    Part
        With the agents' placebo in one spelling; times without a unit become labels.
    """
    part = table.part(table.every, study="study", dose="dose", time_label="time", **roles)
    part.cells["agent"] = table.agents("agent")
    part.origin["agent"] = table.columns["agent"]
    if table.has("time"):
        table.note(
            f"'{table.columns['time']}' has no unit in this convention: it tells the times of a"
            " study apart (time_label). Add time_hours to have them in order."
        )
    return part


def log_rates(table: Foreign, part: Part, events: str, time: str) -> Part:
    """Turn events over person-time into a log rate and its standard error, and say so.

    Parameters
    ----------
    table
        The table.
    part
        What was taken so far.
    events, time
        Roles.

    Returns
    -------
    Part
        With ``mean`` ln(events / time) and ``se`` 1 / sqrt(events).
    """
    rows = part.cells["agent"].index
    here = pd.Series(table.every.index.isin(rows), index=table.every.index)
    count, at_risk = table.numbers(events), table.numbers(time)
    rules = (
        (at_risk <= 0, time, "person-time must be above 0", "Give the person-time at risk."),
        (count < 0, events, "the number is negative", "Count events: 0 or more."),
        (
            count == 0,
            events,
            "no event: a rate of 0 has no logarithm, and nothing is added to it here",
            "Give the arm as counts of people, or delete the row.",
        ),
        *(
            (table.blank(role), role, "nothing stands here", "Fill it in, or delete the row.")
            for role in (events, time)
        ),
    )
    for broken, role, message, mend in rules:
        table.fault(here & broken, role, message, mend)
    sound = (count > 0) & (at_risk > 0)
    part.cells["mean"] = as_text(pd.Series(np.log(count.where(sound) / at_risk.where(sound))))[rows]
    part.cells["se"] = as_text(1 / np.sqrt(count.where(sound)))[rows]
    part.origin |= {"mean": table.columns[events], "se": table.columns[events]}
    table.note(
        f"'{table.columns[events]}' over '{table.columns[time]}' is read as the log rate of the arm"
        " with se 1/sqrt(events): a mean, for a normal likelihood."
    )
    return part


def numbered(table: Foreign, stem: str) -> list[int]:
    """Say which numbers a stem stands with: ``treat1``, ``treat2``, ...

    Parameters
    ----------
    table
        The table.
    stem
        Such as ``treat``.

    Returns
    -------
    list[int]
        In order.
    """
    found = [re.fullmatch(rf"{stem}(\d)", role) for role in table.columns]
    return sorted(int(one.group(1)) for one in found if one)


def wide_arms(table: Foreign, agent: str, roles: dict[str, str]) -> Iterator[Part]:
    """Take a flat row from each numbered side of a wide row.

    A side with no agent and no number is an arm that the trial did not have. A side with one of
    the two is a fault.

    Parameters
    ----------
    table
        With roles such as ``treat1`` and ``event1``.
    agent
        The stem of the agents' roles.
    roles
        The stem behind each flat column.

    Yields
    ------
    Part
        One a side.
    """
    for k in numbered(table, agent):
        named = ~table.blank(f"{agent}{k}")
        given = pd.Series(False, index=named.index)
        for stem in roles.values():
            given |= ~table.blank(f"{stem}{k}")
        table.fault(
            given & ~named,
            f"{agent}{k}",
            "numbers of an arm without its name",
            "Name the arm, or empty its cells.",
        )
        part = table.part(
            named, study="study", dose=f"dose{k}", **{f: f"{s}{k}" for f, s in roles.items()}
        )
        part.cells["agent"] = table.agents(f"{agent}{k}")[named]
        part.origin["agent"] = table.columns[f"{agent}{k}"]
        yield part


def group_names(table: Foreign) -> tuple[pd.Series, pd.Series]:
    """Name the two groups of a table whose rows compare two.

    Parameters
    ----------
    table
        Perhaps with roles ``group1`` and ``group2``, perhaps with the user's own word for them.

    Returns
    -------
    tuple[pd.Series, pd.Series]
        Agent of the first group, and of the second.
    """
    names = []
    for role, place, word in (("group1", 0, EXPERIMENTAL), ("group2", 1, CONTROL)):
        if table.has(role):
            names.append(table.agents(role))
            continue
        given = table.groups[place] if table.groups else word
        names.append(pd.Series(given, index=table.sheet.cells.index, dtype="str"))
    if not table.has("group1", "group2") and not table.groups:
        table.note(
            "The table does not name its groups: the first is called"
            f" '{EXPERIMENTAL}', the second '{CONTROL}'. Name them with"
            " --say groups=FIRST,SECOND, or in columns group1 and group2."
        )
    elif table.groups:
        table.note(f"The groups are '{table.groups[0]}' and '{table.groups[1]}', as you say.")
    table.compared_with(names[0], names[1])
    return names[0], names[1]
