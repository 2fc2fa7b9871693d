"""Tables of metafor's escalc: two groups side by side, or effects yi with variance vi.

Viechtbauer W (2010), J Stat Softw 36(3); ``escalc``: ``ai, bi, ci, di`` or ``ai, n1i, ci, n2i``,
``m1i, sd1i, n1i, m2i, sd2i, n2i``, ``x1i, t1i, x2i, t2i``, ``yi, vi`` or ``yi, sei``. Where counts
and effects both stand in a table, the counts are read: they say more, empty cells included.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from nmda_bayes.evidence.readers.arms import group_names, log_rates
from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.foreign import LOGARITHMS, Foreign
from nmda_bayes.evidence.readers.placed import Reading, as_text
from nmda_bayes.evidence.readers.two_groups import contrast, two_arms

STUDY = {"study": "slab|study|studlab|author|trial"}
#: Words for the two groups. A table of agents in rows has its own convention.
EXTRA = {
    "group1": "group1|treat1|treatment|agent|intervention",
    "group2": "group2|treat2|control|comparator",
    "year": "year",
    "measure": "measure",
}
#: Measures of one group, which compare nothing.
ONE_GROUP = ("PR", "PLN", "PLO", "PAS", "PFT", "IR", "IRLN", "IRS", "IRFT", "MN", "MNLN", "SDLN")


def _study(table: Foreign) -> pd.Series:
    names = table.text("study")
    if table.columns["study"].casefold() == "author" and table.has("year"):
        year = table.text("year")
        table.note(
            f"A study is called by '{table.columns['study']}' and '{table.columns['year']}'."
        )
        return (names + " " + year).str.strip().where(names != "", "")
    return names


def _shared(table: Foreign) -> tuple[dict[str, pd.Series], dict[str, str]]:
    origin = {"study": table.columns["study"]}
    for place, role in enumerate(("group1", "group2")):
        if table.has(role):
            origin[f"agent {place}"] = table.columns[role]
    return {"study": _study(table)}, origin


def _arms(table: Foreign, first: dict[str, str], second: dict[str, str]) -> Reading:
    shared, origin = _shared(table)
    parts = two_arms(table, table.every, group_names(table), (first, second), shared, origin)
    return table.reading(parts)


@reader(
    "escalc/counts",
    "metafor: two groups, ai and bi people with and without the event, ci and di in the second",
    needed={**STUDY, "ai": "ai|tpos", "bi": "bi|tneg", "ci": "ci|cpos", "di": "di|cneg"},
    optional=EXTRA,
)
def counts(table: Foreign) -> Reading:
    """Read 2 x 2 tables."""
    shared, origin = _shared(table)
    sides = ({"events": "ai", "n": "bi"}, {"events": "ci", "n": "di"})
    parts = two_arms(table, table.every, group_names(table), sides, shared, origin)
    for part, (yes, no) in zip(parts, (("ci", "di"), ("ai", "bi")), strict=True):
        without = table.numbers(no)
        table.fault(without < 0, no, "the number is negative", "Count people: 0 or more.")
        part.cells["n"] = as_text(table.numbers(yes) + without)
    pair = f"'{table.columns['ai']}' and '{table.columns['bi']}'"
    table.note(f"People in a group are those with and those without the event, {pair} added up.")
    return table.reading(parts)


@reader(
    "escalc/counts_n",
    "metafor: two groups, ai of n1i people with the event, ci of n2i in the second",
    needed={**STUDY, "ai": "ai", "n1": "n1i", "ci": "ci", "n2": "n2i"},
    optional=EXTRA,
)
def counts_n(table: Foreign) -> Reading:
    """Read counts and sizes."""
    return _arms(table, {"events": "ai", "n": "n1"}, {"events": "ci", "n": "n2"})


@reader(
    "escalc/means",
    "metafor: two groups, mean m1i with sd1i of n1i people, m2i with sd2i of n2i",
    needed={
        **STUDY, "m1": "m1i", "sd1": "sd1i", "n1": "n1i", "m2": "m2i", "sd2": "sd2i", "n2": "n2i",
    },
    optional=EXTRA,
)  # fmt: skip
def means(table: Foreign) -> Reading:
    """Read means."""
    first, second = ({"mean": f"m{k}", "sd": f"sd{k}", "n": f"n{k}"} for k in (1, 2))
    return _arms(table, first, second)


@reader(
    "escalc/rates",
    "metafor: two groups, x1i events in person-time t1i, x2i in t2i",
    needed={**STUDY, "x1": "x1i", "t1": "t1i", "x2": "x2i", "t2": "t2i"},
    optional=EXTRA,
)
def rates(table: Foreign) -> Reading:
    """Read rates."""
    shared, origin = _shared(table)
    parts = two_arms(table, table.every, group_names(table), ({}, {}), shared, origin)
    for part, k in zip(parts, (2, 1), strict=True):
        log_rates(table, part, f"x{k}", f"t{k}")
    return table.reading(parts)


def _effects(table: Foreign, se: pd.Series, column: str) -> Reading:
    shared, origin = _shared(table)
    measure = table.text("measure")
    alone = measure.isin(ONE_GROUP)
    table.fault(
        alone, "measure", "a measure of one group compares nothing", "Give the counts or means."
    )
    values = {
        **shared,
        "estimate": table.text("estimate"),
        "se": as_text(se),
        "measure": measure.replace(LOGARITHMS),
    }
    for flat, role in (("n_treat", "n1"), ("n_control", "n2")):
        if table.has(role):
            values[flat] = table.text(role)
    origin |= {"estimate": table.columns["estimate"], "se": table.columns[column]}
    table.note(
        f"'{table.columns['estimate']}' is taken on the scale that it stands on (metafor's ratios"
        " are logarithms)."
    )
    return table.reading([contrast(table.every, group_names(table), values, origin)])


@reader(
    "escalc/variances",
    "metafor: one row a contrast, effect yi with variance vi",
    needed={**STUDY, "estimate": "yi", "variance": "vi"},
    optional={**EXTRA, "n1": "n1i", "n2": "n2i"},
)
def variances(table: Foreign) -> Reading:
    """Read effects with their variances."""
    variance = table.numbers("variance")
    table.fault(
        variance <= 0, "variance", "a variance must be above 0", "Leave an unknown one empty."
    )
    column = table.columns["variance"]
    table.note(f"The standard error is the square root of '{column}'.")
    return _effects(table, np.sqrt(variance.where(variance > 0)), "variance")


@reader(
    "escalc/errors",
    "metafor: one row a contrast, effect yi with standard error sei",
    needed={**STUDY, "estimate": "yi", "se": "sei"},
    optional={**EXTRA, "n1": "n1i", "n2": "n2i"},
)
def errors(table: Foreign) -> Reading:
    """Read effects with their standard errors."""
    return _effects(table, table.numbers("se"), "se")
