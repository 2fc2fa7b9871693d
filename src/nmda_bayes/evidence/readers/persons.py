"""Tables of persons: one row a person, beside rows of arms whose persons are not known.

Without covariates of persons the number, mean and SD of an arm hold all that normal values say of
its mean and SD, and the counts all that events say of its risk: persons are read as the arms that
they are of, and nothing is lost under ``normal_with_sd`` and ``binomial`` (a test holds their
densities to each other). A table is of persons only where a column is called ``person``.
"""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.foreign import CARRIED, Foreign, fold
from nmda_bayes.evidence.readers.placed import Part, Reading, as_text
from nmda_bayes.evidence.reading import LINE

PERSON = "person"
WHO = {"study": "study", "agent": "agent", PERSON: PERSON}
ARM = {"dose": "dose", "arm": "arm", "n": "n"}
#: Flat columns of a row that is an arm, by the roles of the layout.
OF_ARMS = ("arm", "dose", "mean", "sd", "se", "n", "events")


@reader(
    "persons/values",
    "one row a person: a value; a row without a person is an arm with mean, sd or se, and n",
    needed={**WHO, "value": "value"},
    optional={**ARM, "mean": "mean", "sd": "sd", "se": "se"},
)
def values(table: Foreign) -> Reading:
    """Read values of persons as means and SDs of their arms."""
    value = table.numbers("value")
    first, groups = _arms(table, "value")
    counted = value.groupby(groups)
    size = groups.map(counted.size())
    spread = groups.map(counted.std(ddof=1))
    alone = "one person has no SD"
    table.fault(first & (size < 2), "value", alone, "Give the arm's other persons, or delete it.")
    part = _part(table, first)
    part.cells |= {"mean": as_text(groups.map(counted.mean()))[first], "sd": as_text(spread)[first]}
    part.cells["n"] = as_text(size)[first]
    part.origin |= dict.fromkeys(("mean", "sd", "n"), table.columns["value"])
    return _reading(table, part, first, "mean, SD and number of persons")


@reader(
    "persons/events",
    "one row a person: event 1 or 0; a row without a person is an arm with events and n",
    needed={**WHO, "event": "event"},
    optional={**ARM, "events": "events"},
)
def events(table: Foreign) -> Reading:
    """Read events of persons as the counts of their arms."""
    event = table.numbers("event")
    first, groups = _arms(table, "event")
    wrong = groups.notna() & event.notna() & ~event.isin([0.0, 1.0])
    table.fault(wrong, "event", "a person has the event or not", "Write 1 or 0.")
    counted = event.groupby(groups)
    part = _part(table, first)
    part.cells |= {
        "events": as_text(groups.map(counted.sum()))[first],
        "n": as_text(groups.map(counted.size()))[first],
    }
    part.origin |= dict.fromkeys(("events", "n"), table.columns["event"])
    return _reading(table, part, first, "persons with the event, of how many")


def _arms(table: Foreign, what: str) -> tuple[pd.Series, pd.Series]:
    """Find the first person of each arm, and the arm of each person; NaN for rows of arms."""
    person = table.text(PERSON)
    mine = person != ""
    named = [table.text("study"), table.agents("agent"), *map(table.text, ("dose", "arm"))]
    carried = [table.carried(name) for name in CARRIED]
    keys = pd.concat([*named, *carried], axis=1)
    keys.columns = pd.RangeIndex(keys.shape[1])
    groups = keys.groupby(list(keys), sort=False).ngroup().where(mine)
    empty = mine & table.blank(what)
    table.fault(empty, what, "nothing stands here", "Fill it in, or delete the person's row.")
    # Over the arms of a trial, at one outcome and time: a person counts once.
    where = pd.concat([keys[0], *carried, person], axis=1)[mine]
    twice = where.duplicated(keep="first").reindex(mine.index, fill_value=False)
    table.fault(
        twice,
        PERSON,
        "this person stands in the trial twice",
        "Give each person one row (of an outcome and time); for a crossover trial give arms.",
    )
    return mine & ~groups.duplicated(), groups


def _part(table: Foreign, first: pd.Series) -> Part:
    """Take what an arm's first person says of the arm."""
    part = table.part(first, study="study", dose="dose", arm="arm")
    part.cells["agent"] = table.agents("agent")[first]
    part.origin["agent"] = table.columns["agent"]
    return part


def _reading(table: Foreign, part: Part, first: pd.Series, read: str) -> Reading:
    """Put persons' arms beside the rows that are arms, and say what was made of what."""
    person = table.text(PERSON)
    persons, whole = int((person != "").sum()), person == ""
    trials = table.text("study")[first].nunique()
    table.note(
        f"One row is one person: {persons} persons of {trials} trial(s) are read as {first.sum()}"
        f" arms ({read}), which says all of them where no covariate of persons is used."
    )
    if whole.any():
        table.note(f"{int(whole.sum())} row(s) without a person are read as arms.")
    _pass_over(table)
    rest = table.part(whole, study="study", **{name: name for name in OF_ARMS})
    rest.cells["agent"] = table.agents("agent")[whole]
    rest.origin["agent"] = table.columns["agent"]
    return table.reading([part, rest] if whole.any() else [part])


def _pass_over(table: Foreign) -> None:
    """Leave out columns that differ between the persons of a trial: no arm has one value."""
    person = table.text(PERSON) != ""
    study, taken = table.text("study")[person], {fold(name) for name in CARRIED}
    passed = []
    for name in map(str, table.sheet.cells):
        if name == LINE or name in table.used or fold(name) in taken:
            continue
        rows = pd.DataFrame({"study": study, "word": table.sheet.cells[name][person]})
        if rows.drop_duplicates().duplicated("study").any():
            table.used.add(name)
            passed.append(f"'{name}'")
    if passed:
        table.note(f"Not read, as it differs between the persons of a trial: {', '.join(passed)}.")
