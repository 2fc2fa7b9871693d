"""The evidence map: how many trials tell of each agent, condition and outcome, zeros included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.evidence.memberships import memberships
from nmda_bayes.evidence.tree import table


def evidence_map(tree: xr.DataTree) -> xr.DataArray:
    """Count the trials with a usable row in each cell.

    Parameters
    ----------
    tree
        As `load_evidence` gives it.

    Returns
    -------
    xr.DataArray
        ``studies``, whole numbers over dims agent, condition, outcome: the product of every agent,
        condition group and outcome that the evidence names, so that a cell which no trial fills is
        a 0 in sight. Coordinates ``<dim>_label`` (the printed name) and ``<dim>_within`` (its
        wider class).
    """
    seen = memberships(tree).rename(columns={"condition_group": CONDITION})
    words = _words(tree, seen)
    counts = seen.groupby([AGENT, CONDITION, OUTCOME])["study"].nunique()
    index = pd.MultiIndex.from_product([words[dim]["term"] for dim in (AGENT, CONDITION, OUTCOME)])
    shape = tuple(len(words[dim]) for dim in (AGENT, CONDITION, OUTCOME))
    coords: dict[str, object] = {}
    for dim, frame in words.items():
        coords[dim] = frame["term"].to_numpy(object)
        coords[f"{dim}_label"] = (dim, frame["label"].to_numpy(object))
        coords[f"{dim}_within"] = (dim, frame["within"].to_numpy(object))
    return xr.DataArray(
        counts.reindex(index, fill_value=0).to_numpy(np.int64).reshape(shape),
        dims=(AGENT, CONDITION, OUTCOME),
        coords=coords,
        name="studies",
    )


def _words(tree: xr.DataTree, seen: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Give the terms of each dim in the order of the vocabulary, used or not."""
    if "vocabulary" in tree.children:
        vocabulary = table(tree, "vocabulary")
        terms = vocabulary[vocabulary["synonym"] == ""]
        kinds = {AGENT: "agent", CONDITION: "condition_group", OUTCOME: "outcome"}
        return {dim: terms[terms["kind"] == kind] for dim, kind in kinds.items()}
    plain = {}
    for dim in (AGENT, CONDITION, OUTCOME):
        used = sorted(seen[dim].astype(str).unique())
        plain[dim] = pd.DataFrame({"term": used, "label": used, "within": ""}, dtype="str")
    return plain
