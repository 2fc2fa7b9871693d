"""How a table of one's own was understood, in lines for a reader."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from nmda_bayes.evidence.memberships import memberships


def how_read(tree: xr.DataTree) -> Iterator[str]:
    """Say how a table was understood: its format, what was read as what, what was done.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Yields
    ------
    str
        A line; none for a base.
    """
    if tree.attrs["kind"] != "flat" or "format" not in tree.attrs:
        return
    columns = tree.attrs["columns"]
    yield f"read as: {tree.attrs['format']}" + (f" ({columns})" if columns else "")
    for note in tree.attrs["notes"]:
        yield f"done: {note}"


def reference_found(
    tree: xr.DataTree, outcome: str | None = None, reference: str = "placebo"
) -> tuple[str, str]:
    """Find the agent that the others of a table are compared with, if the table tells.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    outcome
        To look at; None for all.
    reference
        The agent that it is where the table has it, or has an arm at dose 0.

    Returns
    -------
    tuple[str, str]
        The agent and how it was found; both empty where nothing tells.
    """
    seen = memberships(tree, None if outcome is None else [outcome], reference)
    agents = set(seen["agent"])
    if reference in agents:
        return reference, f"'{reference}', or any arm at dose 0."
    comparator = str(tree.attrs.get("comparator", ""))
    if comparator in agents:
        return comparator, f"'{comparator}', the second group of every row."
    pairs = seen[["study", "agent"]].drop_duplicates()
    counts = pairs["agent"].value_counts()
    everywhere = [str(agent) for agent in counts.index[counts == pairs["study"].nunique()]]
    if len(everywhere) == 1:
        return everywhere[0], f"'{everywhere[0]}': it alone was an arm of every trial."
    return "", ""
