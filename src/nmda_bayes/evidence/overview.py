"""What evidence there is, in text: what ``nmda-bayes show --evidence`` prints."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import pandas as pd
import xarray as xr

from nmda_bayes.evidence.follow_up import UNKNOWN_TIME
from nmda_bayes.evidence.network import network
from nmda_bayes.evidence.study_list import JUDGEMENTS, study_table
from nmda_bayes.evidence.tested_doses import amount_text, dose_coverage
from nmda_bayes.evidence.text_tables import INDENT, WIDTH, lines_of
from nmda_bayes.evidence.tree import table
from nmda_bayes.evidence.trial_counts import (
    arms_at_doses,
    arms_by_dose,
    trials_by_time,
    unusable_rows,
)

#: Rows of a section that is not printed whole.
AT_MOST = 12
#: Windows of time, as headings.
_SHORT = {
    "during": "during",
    "to_24_hours": "24 h",
    "to_1_week": "week",
    "to_3_months": "3 mo",
    "later": "later",
    UNKNOWN_TIME: "unknown",
}
HOW = "--all prints them, --out FOLDER writes them"


def describe(tree: xr.DataTree, reference: str = "placebo", *, whole: bool = False) -> str:
    """Describe the evidence on a few pages: network, map, doses, trials, bias, what is unusable.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    reference
        The agent at dose 0.
    whole
        Whether long tables are printed whole; otherwise each says how much is not shown.

    Returns
    -------
    str
        Lines of at most 100 characters.
    """
    most = None if whole else AT_MOST
    name = f"{tree.attrs['source']} (sha256 {str(tree.attrs['evidence_hash'])[:12]})"
    lines = [f"Evidence: {name}", *_size(tree)]
    for title, part in (
        ("Network by agent (usable rows)", _by_agent(tree, reference, most)),
        ("Network by dose (usable rows)", _by_dose(tree, reference, most)),
        ("Trials by outcome, agent, condition and time (usable rows)", _map(tree, most)),
        ("Doses that were tried", _doses(tree, reference, most)),
        ("Trials", _trials(tree, most)),
        ("Risk of bias", _bias(tree)),
        ("What cannot be used, and why", _unusable(tree)),
    ):
        lines += ["", title, "-" * len(title), *part]
    return "\n".join(lines)


def _size(tree: xr.DataTree) -> Iterator[str]:
    trials = study_table(tree)
    people = float(trials["n_randomised"].sum())
    arms = len(table(tree, "arms"))
    rows, lost = int(trials["rows"].sum()), int(trials["unusable"].sum())
    used = int((trials["rows"] > trials["unusable"]).sum())
    yield from _wrapped(
        f"{_count(len(trials), 'trial')}, {_count(arms, 'arm')}"
        + (f", {people:,.0f} people where a number was read" if people > 0 else "")
        + f"; {_count(rows, 'result')}, of which {rows - lost:,} can be used, from"
        f" {_count(used, 'trial')}."
    )


def _by_agent(tree: xr.DataTree, reference: str, most: int | None) -> Iterator[str]:
    net = network(tree, reference=reference)
    yield from _nodes(net, most, "agent", "agents")
    yield ""
    yield from _edges(net, most)
    yield from _wrapped(f"{net.attrs['identified']}.")


def _nodes(net: xr.Dataset, most: int | None, one: str, many: str) -> Iterator[str]:
    nodes = net[["studies", "participants"]].to_dataframe().reset_index()
    nodes = nodes.sort_values("studies", ascending=False, kind="stable")
    nodes.columns = pd.Index([one, "trials", "people"])
    nodes["people"] = nodes["people"].where(nodes["people"] > 0)
    yield from _cut(nodes, most, many)


def _edges(net: xr.Dataset, most: int | None) -> Iterator[str]:
    edges = pd.DataFrame({k: net[f"edge_{k}"].to_numpy() for k in ("agent", "comparator")})
    edges["trials"] = net["edge_studies"].to_numpy()
    edges["people"] = net["edge_participants"].to_numpy()
    edges = edges.sort_values("trials", ascending=False, kind="stable")
    edges["people"] = edges["people"].where(edges["people"] > 0)
    compared = edges["agent"] + " : " + edges["comparator"]
    yield from _cut(edges.drop(columns=["agent", "comparator"]).assign(**{"compared": compared})[
        ["compared", "trials", "people"]
    ], most, "comparisons")  # fmt: skip


def _by_dose(tree: xr.DataTree, reference: str, most: int | None) -> Iterator[str]:
    net = network(tree, reference=reference, by="dose")
    doses = arms_by_dose(tree)
    several = doses[doses["doses"] > 1]
    yield from _wrapped(
        f"{net.sizes['agent']} nodes (agent and route @ dose), {net.sizes['edge']} comparisons,"
        f" {_count(net.attrs['n_parts'], 'connected part')}."
        f" {_count(several['study'].nunique(), 'trial')} compared doses of one agent with each"
        " other: only these tell of a dose-response within a trial."
    )
    if len(several):
        shown = several.assign(tried=several["tried"].str.replace("@", "", regex=False))
        yield from _cut(_filled(shown[["study", "agent", "route", "tried"]]), most, "such trials")
        yield ""
    yield from _edges(net, most)


def _map(tree: xr.DataTree, most: int | None) -> Iterator[str]:
    """Print the map outcome by outcome; of a large one the outcomes with the most cells."""
    counts = trials_by_time(tree)
    if counts.empty:
        yield f"{INDENT}No usable row."
        return
    outcomes = counts["outcome"].value_counts().index
    shown = outcomes if most is None else outcomes[: most // 3]
    for outcome in shown:
        mine = counts[counts["outcome"] == outcome].drop(columns="outcome")
        kept = mine if most is None else mine.head(most - 4)
        rest = mine.iloc[len(kept) :].sum(numeric_only=True).to_frame().T
        if len(kept) < len(mine):
            rest = rest.assign(agent=f"({len(mine) - len(kept)} more pairs)", condition="")
            kept = pd.concat([kept, rest.astype(kept.dtypes)])
        if outcome:
            yield f"{INDENT}{outcome}:"
        yield from lines_of(kept.rename(columns=_SHORT))
        yield ""
    if len(shown) < len(outcomes):
        yield from _wrapped(f"... and {len(outcomes) - len(shown)} more outcomes ({HOW}).")
    yield from _wrapped(
        "A trial counts once in `trials`, and in each window of time since treatment ended in which"
        " it reported; 0: none did. Pairs that are not listed have no trial. Placebos are left out."
    )


def _doses(tree: xr.DataTree, reference: str, most: int | None) -> Iterator[str]:
    arms = dose_coverage(tree, reference=reference)
    if arms.empty:
        yield f"{INDENT}No arm was given anything but the reference."
        return
    rows = [_dose_row(mine) for _, mine in arms.groupby(["agent", "route"], sort=False)]
    frame = pd.DataFrame(rows).sort_values("arms", ascending=False, kind="stable")
    yield from _cut(_filled(frame), most, "pairs of agent and route")
    why = arms.loc[arms["why"] != "", "why"].value_counts()
    scaled = int(arms["multiple"].notna().sum())
    yield from _wrapped(
        f"{_count(len(arms), 'arm')} given something"
        + (f", {scaled} with a multiple of a reference dose" if scaled else "")
        + "".join(f"; {n} with {reason}" for reason, n in why.items())
        + "."
    )
    noted = int((arms["note"] != "").sum())
    if noted:
        yield from _wrapped(
            f"{noted} of the doses rest on an assumption, told in dose_note of arms."
        )
    if arms["dose"].notna().any():
        yield from ("", *_dose_by_dose(arms, most))


def _dose_by_dose(arms: pd.DataFrame, most: int | None) -> Iterator[str]:
    """Print each dose, the arms and people at it; of a long list those with the most arms."""
    doses = arms_at_doses(arms[arms["dose"].notna()])
    doses = doses.rename(columns={"multiple": "x reference"})
    if most is not None:
        doses = doses.sort_values("arms", ascending=False, kind="stable")
    amounts = zip(doses["dose"], doses["unit"], strict=True)
    doses["dose"] = [f"{amount_text(dose)} {unit}".strip() for dose, unit in amounts]
    if doses["x reference"].isna().all():
        doses = doses.drop(columns="x reference")
    yield from _cut(_filled(doses.drop(columns="unit")), most, "doses")


def _dose_row(mine: pd.DataFrame) -> dict[str, object]:
    """Sum up the doses of an agent by a route: which, how often, and in how many people."""
    known = mine[mine["dose"].notna()]
    ranges = [f"{_range(of['dose'])} {unit}" for unit, of in known.groupby("unit", sort=False)]
    return {
        "agent": mine["agent"].iloc[0],
        "route": mine["route"].iloc[0],
        "arms": len(mine),
        "usable": int(mine["usable"].sum()),
        "people": mine.loc[mine["overlaps"] == "", "people"].sum(),
        "no dose": len(mine) - len(known),
        "doses": "; ".join(ranges).strip(),
        "x reference": _range(mine["multiple"]),
    }


def _filled(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out the columns of text that say nothing."""
    return frame[[name for name in frame if not (frame[name].astype(str) == "").all()]]


def _range(values: pd.Series) -> str:
    low, high = values.min(), values.max()
    if low != low:
        return ""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


def _trials(tree: xr.DataTree, most: int | None) -> Iterator[str]:
    trials = study_table(tree)
    if most is not None:
        usable = trials["rows"] - trials["unusable"]
        trials = trials.loc[usable.sort_values(ascending=False, kind="stable").index]
    frame = pd.DataFrame(
        {
            "trial": trials["study"].str.slice(0, 20),
            "design": trials["design"].str.slice(0, 9),
            "blind": trials["blinding"].str.replace("double-blind", "double").str.slice(0, 10),
            "condition": trials["condition_group"].str.slice(0, 13),
            "n": trials["n_randomised"],
            "arms": trials["arms"],
            "outcomes": trials["outcomes"].map(lambda o: len(o.split("; ")) if o else 0),
        }
    )
    if most is not None:
        yield from _cut(_filled(frame), most, "trials, those with the most usable rows first")
        return
    lines = list(lines_of(_filled(frame.assign(arms=""))))
    yield lines[0]
    rows = zip(lines[1:], trials["arms"], trials["outcomes"], strict=True)
    for line, arms, outcomes in rows:
        yield line
        for label, text in (("arms", arms), ("outcomes", outcomes)):
            if text:
                yield from _wrapped(f"{label}: {text}", INDENT * 3)


def _bias(tree: xr.DataTree) -> Iterator[str]:
    trials = study_table(tree)
    judged = int((trials["risk_of_bias"] != "").sum())
    yield f"{INDENT}Judged by somebody: {judged} of {_count(len(trials), 'trial')}."
    if "risk_of_bias" not in tree.children:
        return
    rows = table(tree, "risk_of_bias")
    counts = pd.crosstab(rows["domain"], rows["judgement"])
    order = [*(j for j in JUDGEMENTS if j in counts), *(j for j in counts if j not in JUDGEMENTS)]
    counts = counts[order].reset_index().rename(columns=lambda name: name.replace("_", " "))
    yield from lines_of(counts.assign(domain=counts["domain"].str.replace("_", " ")))


def _unusable(tree: xr.DataTree) -> Iterator[str]:
    rows = unusable_rows(tree)
    if rows.empty:
        yield f"{INDENT}Every row can be used."
        return
    yield from lines_of(rows)


def _cut(frame: pd.DataFrame, most: int | None, what: str) -> Iterator[str]:
    """Print a table, or its first rows and how many more there are."""
    # Two more rows are shorter than a line that says that there are two more.
    shown = frame if most is None or len(frame) <= most + 2 else frame.head(most)
    yield from lines_of(shown)
    if len(shown) < len(frame):
        yield from _wrapped(f"... and {len(frame) - len(shown)} more {what} ({HOW}).")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _wrapped(text: str, indent: str = INDENT) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )
