"""What the evidence holds, in a page: what ``nmda-bayes check`` prints."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import xarray as xr

from nmda_bayes.evidence.network import network
from nmda_bayes.evidence.tree import table


class Summary(NamedTuple):
    """A summary to read, and the same as a table.

    Attributes
    ----------
    text
        Some twenty lines.
    counts
        Columns part, item, count.
    """

    text: str
    counts: pd.DataFrame


def summarise(tree: xr.DataTree, reference: str = "placebo") -> Summary:
    """Count what the evidence holds, what of it can be used, and what it connects.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    reference
        The agent that the others are measured against.

    Returns
    -------
    Summary
        Text and counts.
    """
    net = network(tree, reference=reference)
    parts = {
        "rows of each table": _rows(tree),
        "results": _reasons(table(tree, "results")),
        "contrasts": _reasons(table(tree, "contrasts")),
        "arms with a usable result, by dose": _doses(tree),
        "trials of each agent": dict(
            zip(net["agent"].to_numpy().tolist(), net["studies"].to_numpy().tolist(), strict=True)
        ),
        "trials of each outcome": _outcomes(tree),
    }
    counts = pd.DataFrame(
        [(part, item, count) for part, items in parts.items() for item, count in items.items()],
        columns=["part", "item", "count"],
    )
    head = f"Evidence: {tree.attrs['source']} (sha256 {str(tree.attrs['evidence_hash'])[:12]})"
    lines = [head, *(_line(part, items) for part, items in parts.items() if items)]
    lines.append(f"network: {net.attrs['n_parts']} part(s). {net.attrs['identified']}.")
    return Summary("\n".join(lines), counts)


def _line(part: str, items: dict[str, int]) -> str:
    return f"{part}: " + ", ".join(f"{item} {count}" for item, count in items.items())


def _rows(tree: xr.DataTree) -> dict[str, int]:
    names = ("studies", "arms", "results", "contrasts", "published", "comparisons")
    sizes = {name: len(table(tree, name)) for name in names if name in tree.children}
    return {name: size for name, size in sizes.items() if size}


def _reasons(rows: pd.DataFrame) -> dict[str, int]:
    counts = rows["unusable"].value_counts()
    usable = int(counts.get("", 0))
    if not len(rows):
        return {}
    return {"usable": usable, **{str(why): int(n) for why, n in counts.items() if why}}


def _outcomes(tree: xr.DataTree) -> dict[str, int]:
    results = table(tree, "results")
    usable = results[(results["unusable"] == "") & (results["outcome"] != "")]
    counts = usable.groupby("outcome")["study"].nunique().sort_values(ascending=False)
    return {str(outcome): int(count) for outcome, count in counts.items()}


def _doses(tree: xr.DataTree) -> dict[str, int]:
    """Count which active arms the dose axis can place, and what keeps the others off it."""
    references = table(tree, "reference_doses")
    arms, results = table(tree, "arms"), table(tree, "results")
    told = set(results.loc[results["unusable"] == "", "arm"])
    active = arms[arms["arm"].isin(told) & arms["agent"].isin([*references["agent"]])]
    if active.empty:
        return {}
    joined = active.merge(references, on=["agent", "route"], how="left", suffixes=("", "_of"))
    where = joined["dose_column"].fillna("")
    on_axis = pd.Series(False, index=joined.index)
    for column in set(where) - {""}:
        on_axis |= (where == column) & joined[str(column)].notna()
    none = where == ""
    return {
        "on the dose axis": int(on_axis.sum()),
        "no reference dose for the agent by that route": int(none.sum()),
        "no dose in the reference dose's unit": int((~none & ~on_axis).sum()),
    }
