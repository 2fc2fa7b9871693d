"""MBNMAdose and MBNMAtime: one row an arm, with studyID, agent and dose.

Pedder H et al., R package MBNMAdose, ``mbnma.network``: columns ``studyID``, ``agent``, ``dose``,
and ``y, se`` or ``r, n`` or ``r, E``; arms at dose 0 are placebo, whatever their agent.
"""

from __future__ import annotations

from nmda_bayes.evidence.readers.arms import log_rates, long_arms
from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.foreign import PLACEBO, Foreign
from nmda_bayes.evidence.readers.placed import Part, Reading

ARM = {"study": "studyID|study", "agent": "agent", "dose": "dose"}
EXTRA = {"time": "time"}


def _arms(table: Foreign, **roles: str) -> Part:
    part = long_arms(table, **roles)
    zero = table.numbers("dose") == 0
    others = sorted(set(part.cells["agent"][zero]) - {PLACEBO, ""})
    if others:
        table.note(
            "Arms at dose 0 are the reference, as in MBNMAdose, also those of:"
            f" {', '.join(others)}."
        )
    return part


@reader(
    "mbnmadose/counts",
    "MBNMAdose: one row an arm, r of n people with the event",
    needed={**ARM, "r": "r", "n": "n|N"},
    optional=EXTRA,
)
def counts(table: Foreign) -> Reading:
    """Read counts."""
    return table.reading([_arms(table, events="r", n="n")])


@reader(
    "mbnmadose/means",
    "MBNMAdose: one row an arm, mean y with standard error se",
    needed={**ARM, "y": "y", "se": "se"},
    optional={**EXTRA, "n": "n|N"},
)
def means(table: Foreign) -> Reading:
    """Read means."""
    return table.reading([_arms(table, mean="y", se="se", n="n")])


@reader(
    "mbnmadose/rates",
    "MBNMAdose: one row an arm, r events in person-time E",
    needed={**ARM, "r": "r", "exposed": "E"},
    optional=EXTRA,
)
def rates(table: Foreign) -> Reading:
    """Read rates."""
    return table.reading([log_rates(table, _arms(table), "r", "exposed")])


@reader(
    "mbnmatime/means",
    "MBNMAtime: one row an arm and time, mean y with standard error se",
    needed={
        "study": "studyID",
        "time": "time",
        "agent": "treatment",
        "y": "y",
        "se": "se",
    },
    optional={"n": "n|N"},
)
def times(table: Foreign) -> Reading:
    """Read means over time."""
    return table.reading([long_arms(table, mean="y", se="se", n="n")])
