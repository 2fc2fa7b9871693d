"""The review's own comparisons as flat tables, so that its pools can be made again."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from nmda_bayes.errors import EvidenceError, Fault, nearest
from nmda_bayes.evidence.tree import table


def review_analysis(tree: xr.DataTree, analysis: str) -> pd.DataFrame:
    """Give one analysis of the Cochrane review as a flat table that `load_evidence` reads.

    The rows are the review's own, so S-ketamine counts as ketamine, an active placebo as placebo,
    and a count stands as the review has it even where the base prefers another source.

    Parameters
    ----------
    tree
        The shipped base.
    analysis
        The review's number, such as ``1.12``.

    Returns
    -------
    pd.DataFrame
        Two rows a trial: study, agent, outcome, time_window, source, and mean, sd, n or events, n.

    Raises
    ------
    EvidenceError
        If the base holds no such analysis.
    """
    rows = table(tree, "comparisons") if "comparisons" in tree.children else pd.DataFrame()
    known = sorted(set(rows.get("analysis", ())), key=lambda a: [int(x) for x in a.split(".")])
    if analysis not in known:
        raise EvidenceError(
            [
                Fault(
                    f"the base holds no analysis '{analysis}' of the review",
                    nearest(analysis, known),
                    "comparisons.csv",
                    None,
                    "analysis",
                )
            ]
        )
    rows = rows[rows["analysis"] == analysis]
    stratum = rows["footnote"].where(rows["footnote"].str.contains("stratum"), "")
    study = rows["study"] + (" (" + stratum + ")").where(stratum != "", "")
    shared = {"study": study, **{c: rows[c] for c in ("outcome", "time_window", "source")}}
    numbers = ["mean", "sd"] if (rows["kind"] == "continuous").all() else ["events"]
    sides = [
        pd.DataFrame(
            {**shared, "agent": rows[agent], **{c: rows[before + c] for c in (*numbers, "n")}}
        )
        for agent, before in (("agent", ""), ("comparator", "comparator_"))
    ]
    return pd.concat(sides).sort_index(kind="stable").reset_index(drop=True)


def review_evidence(tree: xr.DataTree) -> pd.DataFrame:
    """Give every analysis of the Cochrane review as one flat table, its number as the outcome.

    Parameters
    ----------
    tree
        The shipped base.

    Returns
    -------
    pd.DataFrame
        As `review_analysis` gives it, for all analyses.
    """
    numbers = dict.fromkeys(table(tree, "comparisons")["analysis"])
    frames = [review_analysis(tree, number).assign(outcome=number) for number in numbers]
    return pd.concat(frames, ignore_index=True)
