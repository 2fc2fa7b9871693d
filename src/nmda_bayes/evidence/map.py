"""The evidence map: how many trials and people tell of each cell, zeros included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.evidence.follow_up import WINDOW_LABELS, in_window
from nmda_bayes.evidence.memberships import memberships
from nmda_bayes.evidence.tree import table

#: Dim: the window of time since treatment ended, see `follow_up`.
TIME: Final = "time"
DIMS: Final = (AGENT, CONDITION, OUTCOME)
KINDS: Final = {AGENT: "agent", CONDITION: "condition_group", OUTCOME: "outcome"}


def evidence_map(tree: xr.DataTree, by: Sequence[str] = DIMS) -> xr.DataArray:
    """Count the trials with a usable row in each cell.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    by
        The dims, out of agent, condition, outcome and time (the window since treatment ended).

    Returns
    -------
    xr.DataArray
        ``studies``, whole numbers over the dims of ``by``: the product of every agent, condition
        group, outcome and window that the evidence names, so that a cell which no trial fills is
        a 0 in sight. Coordinates ``<dim>_label`` (the printed name) and ``<dim>_within`` (its
        wider class). People stand in `evidence_cells`.
    """
    return evidence_cells(tree, by)["studies"]


def evidence_cells(tree: xr.DataTree, by: Sequence[str] = DIMS) -> xr.Dataset:
    """Count the trials, and the people in them, of each cell.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.
    by
        The dims, out of agent, condition, outcome and time (the window since treatment ended).

    Returns
    -------
    xr.Dataset
        Over the dims of ``by``: ``studies`` and ``people``, whole numbers. A trial and its people
        count once in a cell however many rows tell of them, but in each cell that they fill: cells
        must not be added up over outcomes or times. People are those of the agent's arms, where a
        number was read; of all arms where ``by`` has no agent. Coordinates as in `evidence_map`.

    Raises
    ------
    ValueError
        If ``by`` names another dim, one twice, or none.
    """
    _dims_or_error(by)
    seen = _seen(tree, with_time=TIME in by)
    words = _words(tree, seen)
    people = _people(seen, [*by])
    index: pd.Index = pd.MultiIndex.from_product([words[dim]["term"] for dim in by], names=[*by])
    if len(by) == 1:
        index = index.get_level_values(0)
    shape = tuple(len(words[dim]) for dim in by)
    counts = people.groupby([*by])["participants"].agg(["size", "sum"])
    filled = counts.reindex(index, fill_value=0).astype(np.int64)
    coords: dict[str, object] = {}
    for dim in by:
        coords[dim] = words[dim]["term"].to_numpy(object)
        coords[f"{dim}_label"] = (dim, words[dim]["label"].to_numpy(object))
        coords[f"{dim}_within"] = (dim, words[dim]["within"].to_numpy(object))
    columns = {"studies": "size", "people": "sum"}
    cells = {
        name: ((*by,), filled[column].to_numpy().reshape(shape)) for name, column in columns.items()
    }
    return xr.Dataset(cells, coords)


def _dims_or_error(by: Sequence[str]) -> None:
    known = (*DIMS, TIME)
    wrong = [dim for dim in by if dim not in known]
    if wrong or not by or len(set(by)) < len(by):
        raise ValueError(f"by is some of {', '.join(known)}, each once, not {', '.join(by)!r}")


def _seen(tree: xr.DataTree, *, with_time: bool) -> pd.DataFrame:
    """One row a study, agent, outcome and, if asked, window."""
    if with_time:
        parts = {word: memberships(in_window(tree, word)) for word in WINDOW_LABELS}
        seen = pd.concat([part.assign(**{TIME: word}) for word, part in parts.items()])
    else:
        seen = memberships(tree)
    design = table(tree, "studies").set_index("study")["design"]
    return seen.rename(columns={"condition_group": CONDITION}).assign(
        crossover=seen["study"].map(design) == "crossover"
    )


def _people(seen: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """One row a study and cell: outcomes and times share people, arms do not, crossed arms do."""
    mine = ["study", "crossover", *by]
    keys = [*dict.fromkeys([*mine, AGENT])]
    arms = seen.groupby(keys)["participants"].max().reset_index()
    if AGENT in by:
        return arms
    added = arms.groupby(mine)["participants"]
    whole = added.agg(["sum", "max"]).reset_index()
    people = whole["sum"].where(~whole["crossover"], whole["max"])
    return whole.assign(participants=people)


def _words(tree: xr.DataTree, seen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Give the terms of each dim in the order of the vocabulary, used or not."""
    windows = {"term": [*WINDOW_LABELS], "label": [*WINDOW_LABELS.values()], "within": ""}
    time = pd.DataFrame(windows, dtype="str")
    if "vocabulary" in tree.children:
        vocabulary = table(tree, "vocabulary")
        terms = vocabulary[vocabulary["synonym"] == ""]
        return {TIME: time} | {dim: terms[terms["kind"] == kind] for dim, kind in KINDS.items()}
    plain = {TIME: time}
    for dim in DIMS:
        used = sorted(seen[dim].astype(str).unique())
        plain[dim] = pd.DataFrame({"term": used, "label": used, "within": ""}, dtype="str")
    return plain
