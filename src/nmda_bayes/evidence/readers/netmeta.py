"""Tables of netmeta and of meta's pairwise(): contrasts, and arms beside or below each other.

Balduzzi S et al. (2023), J Stat Softw 106(2); ``netmeta(TE, seTE, treat1, treat2, studlab)``, TE of
treat1 against treat2; ``pairwise(treat = list(treat1, treat2, ...), event = list(event1, ...))``.
"""

from __future__ import annotations

import pandas as pd

from nmda_bayes.evidence.readers.arms import log_rates, long_arms, numbered, wide_arms
from nmda_bayes.evidence.readers.catalogue import reader
from nmda_bayes.evidence.readers.foreign import LOGARITHMS, Foreign
from nmda_bayes.evidence.readers.multi_arm import independent_contrasts
from nmda_bayes.evidence.readers.placed import Reading, as_text

STUDY = "studlab|study|studyID|id|author"
SIDES = range(1, 8)


def _sides(**stems: str) -> dict[str, str]:
    """Name the roles of numbered columns: ``treat1`` may be called treat1, t1, ..."""
    return {
        f"{stem}{k}": "|".join(f"{name}{k}" for name in names.split("|"))
        for stem, names in stems.items()
        for k in SIDES
    }


def _two(roles: dict[str, str]) -> dict[str, str]:
    return {role: names for role, names in roles.items() if role[-1] in "12"}


TREAT = _sides(treat="treat|t|treatment|trt")
EVENT = _sides(event="event|r|events")
SIZE = _sides(n="n")
MEAN = _sides(mean="mean|y")
SD = _sides(sd="sd")
TIME = _sides(time="time")
DOSE = _sides(dose="dose")


def _once(table: Foreign, reading: Reading) -> Reading:
    """Keep an arm once that stands in several pairs of its trial, as pairwise() prints them."""
    columns = [name for name in reading.cells if name in ("study", "agent", "dose", "outcome")]
    numbers = [name for name in reading.cells if name in ("events", "n", "mean", "sd", "se")]
    again = reading.cells.duplicated([*columns, *numbers]).to_numpy()
    several = len(numbered(table, "treat")) == 2 and again.any()
    if not several:
        return reading
    studies = ", ".join(f"'{s}'" for s in dict.fromkeys(reading.cells["study"][again]))
    table.note(f"An arm that stands in several pairs of its trial is read once (study {studies}).")
    cells = reading.cells[~again].reset_index(drop=True)
    reading.cells = cells.assign(line=range(2, len(cells) + 2))
    reading.lines = [x for x, gone in zip(reading.lines, again, strict=True) if not gone]
    reading.origins = [x for x, gone in zip(reading.origins, again, strict=True) if not gone]
    return reading


@reader(
    "netmeta/counts_wide",
    "netmeta's pairwise(): one row a trial, its arms side by side, event1 of n1 people",
    needed={"study": STUDY, **_two(TREAT), **_two(EVENT), **_two(SIZE)},
    optional={**TREAT, **EVENT, **SIZE, **DOSE},
)
def counts_wide(table: Foreign) -> Reading:
    """Read counts side by side."""
    parts = [*wide_arms(table, "treat", {"events": "event", "n": "n"})]
    return _once(table, table.reading(parts))


@reader(
    "netmeta/means_wide",
    "netmeta's pairwise(): one row a trial, its arms side by side, mean1 with sd1 of n1 people",
    needed={"study": STUDY, **_two(TREAT), **_two(MEAN), **_two(SD), **_two(SIZE)},
    optional={**TREAT, **MEAN, **SD, **SIZE, **DOSE},
)
def means_wide(table: Foreign) -> Reading:
    """Read means side by side."""
    parts = [*wide_arms(table, "treat", {"mean": "mean", "sd": "sd", "n": "n"})]
    return _once(table, table.reading(parts))


@reader(
    "netmeta/rates_wide",
    "netmeta's pairwise(): one row a trial, its arms side by side, event1 in person-time time1",
    needed={"study": STUDY, **_two(TREAT), **_two(EVENT), **_two(TIME)},
    optional={**TREAT, **EVENT, **TIME, **DOSE},
)
def rates_wide(table: Foreign) -> Reading:
    """Read rates side by side."""
    parts = [*wide_arms(table, "treat", {})]
    for k, part in zip(numbered(table, "treat"), parts, strict=True):
        log_rates(table, part, f"event{k}", f"time{k}")
    return _once(table, table.reading(parts))


@reader(
    "netmeta/contrasts",
    "netmeta: one row a pair of treatments, TE of treat1 against treat2 with seTE",
    needed={"study": STUDY, **_two(TREAT), "estimate": "TE", "se": "seTE"},
    optional={
        **_two(SIZE),
        **_two(DOSE),
        "comparator_se": "comparator_se",
        "measure": "sm|measure",
    },
)
def contrasts(table: Foreign) -> Reading:
    """Read contrasts, k - 1 of a trial with k arms."""
    one, two = table.agents("treat1"), table.agents("treat2")
    keys = [table.carried(name) for name in ("outcome", "time_hours", "time_label", "condition")]
    names = [
        (agent + " " + table.text(dose)).str.strip()
        for agent, dose in ((one, "dose1"), (two, "dose2"))
    ]
    rows = pd.DataFrame(
        {
            "study": table.text("study"),
            "key": keys[0] + "\x1f" + keys[1] + "\x1f" + keys[2] + "\x1f" + keys[3],
            "arm": names[0],
            "other": names[1],
            "estimate": table.numbers("estimate"),
            "se": table.numbers("se"),
            "comparator_se": table.numbers("comparator_se"),
        }
    )
    for side, agents in (("treat1", one), ("treat2", two)):
        table.fault(agents == "", side, "nothing stands here", "Name the treatment.")
    made = independent_contrasts(table, rows)
    turn = made["turn"]
    kept = table.part(
        made["keep"], study="study", estimate="estimate", se="se", measure="measure",
        n_treat="n1", n_control="n2", dose="dose1", comparator_dose="dose2",
    )  # fmt: skip
    cells, origin = kept.cells, kept.origin
    cells |= {"agent": one.where(~turn, two), "comparator": two.where(~turn, one)}
    origin |= {"agent": table.columns["treat1"], "comparator": table.columns["treat2"]}
    table.compared_with(cells["agent"], cells["comparator"])
    for left, right in (("n_treat", "n_control"), ("dose", "comparator_dose")):
        if left in cells and right in cells:
            a, b = cells[left], cells[right]
            cells[left], cells[right] = a.where(~turn, b), b.where(~turn, a)
    turned = as_text(-rows["estimate"])
    if "measure" in cells:
        cells["measure"] = cells["measure"].replace(LOGARITHMS)
    cells["estimate"] = table.text("estimate").where(~turn, turned)
    cells["comparator_se"] = as_text(made["comparator_se"])
    origin["comparator_se"] = table.columns["se"]
    table.note(
        f"'{table.columns['estimate']}' is the effect of '{table.columns['treat1']}' against"
        f" '{table.columns['treat2']}', on the scale of the analysis (a ratio as its logarithm)."
    )
    return table.reading([kept.take(made["keep"])])


LONG = {"study": STUDY, "agent": "treatment|treat"}


@reader(
    "netmeta/counts_long",
    "netmeta's pairwise(): one row an arm, event of n people",
    needed={**LONG, "r": "event|events|r", "n": "n"},
    optional={"dose": "dose"},
)
def counts_long(table: Foreign) -> Reading:
    """Read counts one below the other."""
    return table.reading([long_arms(table, events="r", n="n")])


@reader(
    "netmeta/means_long",
    "netmeta's pairwise(): one row an arm, mean with sd of n people",
    needed={**LONG, "mean": "mean", "sd": "sd", "n": "n"},
    optional={"dose": "dose"},
)
def means_long(table: Foreign) -> Reading:
    """Read means one below the other."""
    return table.reading([long_arms(table, mean="mean", sd="sd", n="n")])
