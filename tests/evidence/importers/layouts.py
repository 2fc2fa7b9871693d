"""Known tables in the layout of each convention."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

REFERENCE = Path(__file__).parents[2] / "reference"


def read(name: str) -> pd.DataFrame:
    """A reference table as text."""
    return pd.read_csv(REFERENCE / f"{name}.csv", dtype=str)


SMOKING, BCG, TRIPTANS = read("smoking"), read("bcg"), read("triptans")
#: The first thirty trials are enough to have one, two and three arms, and several doses.
TRIPTANS = TRIPTANS[TRIPTANS["study"] < "31"].reset_index(drop=True)

#: Arm means, one trial with three arms; made for these tests.
MEANS = pd.DataFrame(
    {
        "study": ["A", "A", "B", "B", "B", "C", "C"],
        "agent": ["placebo", "x", "placebo", "x", "y", "placebo", "y"],
        "mean": ["50.5", "41", "48", "39.5", "44", "52", "47.5"],
        "sd": ["20", "21.5", "18", "19", "17.5", "22", "20"],
        "n": ["40", "41", "30", "33", "31", "25", "26"],
    }
)
PRINTED = MEANS.assign(
    se=[repr(float(s) / float(n) ** 0.5) for s, n in zip(MEANS["sd"], MEANS["n"], strict=True)]
).drop(columns=["sd"])


#: Six participants of two arms, made for these tests.
VALUES = pd.DataFrame(
    {
        "study": "A",
        "person": list("123456"),
        "agent": ["placebo"] * 3 + ["x"] * 3,
        "value": ["50", "61.5", "40", "31", "42", "20.5"],
    }
)
EVENTS = VALUES.drop(columns="value").assign(event=["0", "1", "0", "1", "1", "0"])


def of_values(people: pd.DataFrame) -> pd.DataFrame:
    """Values of participants as a flat table of arms."""
    each = people.assign(value=people["value"].astype(float)).groupby(["study", "agent"])["value"]
    arms = each.agg(["mean", "std", "size"]).rename(columns={"std": "sd", "size": "n"})
    return arms.reset_index().map(lambda x: x if isinstance(x, str) else repr(x))


def of_events(people: pd.DataFrame) -> pd.DataFrame:
    """Events of participants as a flat table of arms."""
    each = people.assign(event=people["event"].astype(int)).groupby(["study", "agent"])["event"]
    arms = each.agg(["sum", "size"]).rename(columns={"sum": "events", "size": "n"})
    return arms.reset_index().astype(str)


def two_armed(frame: pd.DataFrame) -> pd.DataFrame:
    """The trials of a table with two arms, one of them placebo."""
    arms = frame.groupby("study")["agent"]
    has = (frame["agent"] == "placebo").groupby(frame["study"]).transform("sum")
    return frame[(arms.transform("size") == 2) & (has == 1)].drop(columns="dose", errors="ignore")


def pairs(frame: pd.DataFrame) -> pd.DataFrame:
    """Two-armed trials, one row each: columns of the agent, and of placebo with ``_2``."""
    control = frame["agent"] == "placebo"
    return frame[~control].merge(frame[control], on="study", suffixes=("", "_2"))


def wide(frame: pd.DataFrame, stems: dict[str, str]) -> pd.DataFrame:
    """One row per trial: ``agent`` becomes ``treat1``, ``treat2``, ..."""
    position = (frame.groupby("study", sort=False).cumcount() + 1).astype(str)
    spread = frame.assign(position=position).pivot_table(
        index="study", columns="position", values=[*stems], aggfunc="first"
    )
    spread.columns = [stems[str(stem)] + str(k) for stem, k in spread.columns]
    return spread.reset_index().rename(columns={"study": "studlab"})


def against_baseline(effect: str, se: str, treatment: str) -> pd.DataFrame:
    """BCG's contrasts, each with a baseline row that has NA."""
    rows = BCG.rename(columns={"estimate": effect, "se": se, "agent": treatment})
    base = rows.assign(**{effect: "NA", se: "NA", treatment: rows["comparator"]})
    both = pd.concat([base, rows]).sort_index(kind="stable")
    return both.drop(columns="comparator").reset_index(drop=True)


def data_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Two-armed trials as RevMan Web's data rows, unused cells 0."""
    rows = pairs(two_armed(frame))
    out = pd.DataFrame(
        {
            "Analysis group": "1", "Analysis number": "1", "Analysis name": "Seen", "Subgroup": "",
            "Applicability": "OVERALL", "Study": rows["study"], "Study year": "2001",
            "GIV Mean": "0", "GIV SE": "0",
        }
    )  # fmt: skip
    for column, name in (("mean", "mean"), ("sd", "SD"), ("events", "cases"), ("n", "N")):
        for end, side in (("", "Experimental"), ("_2", "Control")):
            out[f"{side} {name}"] = rows[column + end] if column in rows else "0"
    out[["O-E", "Variance", "Weight", "Mean", "CI start", "CI end"]] = "0"
    return out.assign(
        **{"Experimental group label": rows["agent"], "Control group label": "Placebo"}
    )


def revman_export(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Two-armed trials of one agent as RevMan 5 exports them: headings are rows."""
    rows = pairs(two_armed(frame))
    agent = rows["agent"].iloc[0]
    rows = rows[rows["agent"] == agent]
    trials = pd.DataFrame({"Name": rows["study"]})
    for column, name in (("events", "Events"), ("mean", "Mean"), ("sd", "SD"), ("n", "Total")):
        for end, side in (("", "1"), ("_2", "2")):
            trials[f"{name} {side}"] = rows[column + end] if column in rows else "0"
    heads = pd.DataFrame(
        {
            "Name": [f"{agent} vs placebo", "Seen"],
            "Data Type": ["", kind],
            "Outcome Number": ["0", "1"],
            "Group Label 1": ["", agent],
            "Group Label 2": ["", "Placebo"],
        }
    )
    whole = pd.concat([heads, trials.assign(**{"Outcome Number": "1"})]).fillna("")
    whole = whole.assign(**{"Comparison Number": "1", "Subgroup Number": "0", "Effect Measure": ""})
    first = ["Comparison Number", "Outcome Number", "Subgroup Number", "Name", "Data Type"]
    return whole[[*first, *(c for c in whole if c not in first)]].reset_index(drop=True)


def of_revman(frame: pd.DataFrame, agent: str | None = None) -> pd.DataFrame:
    """The content of RevMan's tables, as a flat table."""
    flat = two_armed(frame).assign(outcome="1.1 Seen")
    if agent:
        studies = set(flat.loc[flat["agent"] == agent, "study"])
        flat = flat[flat["study"].isin(studies)]
    return flat


def escalc(frame: pd.DataFrame, **names: str) -> pd.DataFrame:
    """Two-armed trials side by side."""
    rows = pairs(two_armed(frame)).rename(columns=names)
    return rows.rename(columns={"agent": "group1", "agent_2": "group2"})


def with_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Counts as 2 x 2 tables."""
    counts = escalc(frame, events="ai", n="n1i", events_2="ci", n_2="n2i")
    for new, size, yes in (("bi", "n1i", "ai"), ("di", "n2i", "ci")):
        counts[new] = (counts[size].astype(int) - counts[yes].astype(int)).astype(str)
    return counts.drop(columns=["n1i", "n2i"])


COUNT_SIDES = {"agent": "treat", "events": "event", "n": "n"}
MEAN_SIDES = {"agent": "treat", "mean": "mean", "sd": "sd", "n": "n"}
FIRST = pairs(two_armed(TRIPTANS))["agent"].iloc[0]

#: The table in a convention, and the equivalent flat table.
LAYOUTS: dict[str, tuple[Callable[[], pd.DataFrame], Callable[[], pd.DataFrame]]] = {
    "mbnmadose/counts": (
        lambda: TRIPTANS.rename(columns={"study": "studyID", "events": "r"}),
        lambda: TRIPTANS,
    ),
    "mbnmadose/means": (
        lambda: PRINTED.rename(columns={"study": "studyID", "mean": "y"}).assign(
            dose=lambda t: (t["agent"] != "placebo").astype(int).astype(str)
        ),
        lambda: PRINTED.assign(dose=(PRINTED["agent"] != "placebo").astype(int).astype(str)),
    ),
    "multinma/counts": (
        lambda: TRIPTANS.rename(columns={"study": "studyc", "agent": "trtc", "events": "r"}).assign(
            studyn="1", trtn="2"
        )[["studyc", "trtc", "dose", "r", "n"]],
        lambda: TRIPTANS,
    ),
    "multinma/means": (
        lambda: PRINTED.rename(columns={"agent": "trt", "mean": "y"}),
        lambda: PRINTED,
    ),
    "multinma/contrasts": (lambda: against_baseline("diff", "se_diff", "trtc"), lambda: BCG),
    "gemtc/counts": (
        lambda: TRIPTANS.rename(
            columns={"agent": "treatment", "events": "responders", "n": "sampleSize"}
        ),
        lambda: TRIPTANS,
    ),
    "gemtc/means": (
        lambda: MEANS.rename(columns={"agent": "treatment", "sd": "std.dev", "n": "sampleSize"}),
        lambda: MEANS,
    ),
    "gemtc/means_se": (
        lambda: PRINTED.rename(columns={"agent": "treatment", "se": "std.err", "n": "sampleSize"}),
        lambda: PRINTED,
    ),
    "gemtc/contrasts": (lambda: against_baseline("diff", "std.err", "treatment"), lambda: BCG),
    "netmeta/counts_long": (
        lambda: TRIPTANS.rename(columns={"agent": "treatment", "events": "event"}),
        lambda: TRIPTANS,
    ),
    "netmeta/means_long": (
        lambda: MEANS.rename(columns={"study": "id", "agent": "treat"}),
        lambda: MEANS,
    ),
    "netmeta/counts_wide": (
        lambda: wide(SMOKING, {**COUNT_SIDES, "dose": "dose"}),
        lambda: SMOKING,
    ),
    "netmeta/means_wide": (lambda: wide(MEANS, MEAN_SIDES), lambda: MEANS),
    "netmeta/contrasts": (
        lambda: BCG.rename(
            columns={
                "study": "studlab", "agent": "treat1", "comparator": "treat2", "estimate": "TE",
                "se": "seTE",
            }
        ),
        lambda: BCG,
    ),
    "escalc/counts": (lambda: with_cells(TRIPTANS), lambda: two_armed(TRIPTANS)),
    "escalc/counts_n": (
        lambda: escalc(TRIPTANS, events="ai", n="n1i", events_2="ci", n_2="n2i"),
        lambda: two_armed(TRIPTANS),
    ),
    "escalc/means": (
        lambda: escalc(
            MEANS, mean="m1i", sd="sd1i", n="n1i", mean_2="m2i", sd_2="sd2i", n_2="n2i"
        ),
        lambda: two_armed(MEANS),
    ),
    "escalc/variances": (
        lambda: BCG.assign(vi=[repr(float(s) ** 2) for s in BCG["se"]]).rename(
            columns={"estimate": "yi", "agent": "group1", "comparator": "group2", "study": "slab"}
        )[["slab", "group1", "group2", "yi", "vi"]],
        lambda: BCG.assign(se=[repr((float(s) ** 2) ** 0.5) for s in BCG["se"]]),
    ),
    "escalc/errors": (
        lambda: BCG.rename(
            columns={"estimate": "yi", "se": "sei", "agent": "group1", "comparator": "group2"}
        ),
        lambda: BCG,
    ),
    "persons/values": (lambda: VALUES, lambda: of_values(VALUES)),
    "persons/events": (lambda: EVENTS, lambda: of_events(EVENTS)),
    "revman/data_rows": (lambda: data_rows(TRIPTANS), lambda: of_revman(TRIPTANS)),
    "revman/export": (
        lambda: revman_export(TRIPTANS, "DIC"),
        lambda: of_revman(TRIPTANS, FIRST),
    ),
}  # fmt: skip
