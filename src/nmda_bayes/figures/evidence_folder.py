"""What evidence there is, as files: each figure for a screen and for print, each table as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from nmda_bayes.dims import AGENT, CONDITION, OUTCOME
from nmda_bayes.evidence.map import TIME, evidence_map
from nmda_bayes.evidence.network import network
from nmda_bayes.evidence.overview import describe
from nmda_bayes.evidence.study_list import study_table
from nmda_bayes.evidence.tested_doses import dose_coverage, reference_agents
from nmda_bayes.evidence.trial_counts import trials_by_time, unusable_rows
from nmda_bayes.figures.dose_coverage import plot_dose_coverage
from nmda_bayes.figures.evidence_map import plot_evidence_map
from nmda_bayes.figures.network import plot_network


def write_evidence_folder(
    folder: Path, tree: xr.DataTree, reference: str = "placebo"
) -> list[Path]:
    """Write the figures and tables of evidence into an empty folder.

    Parameters
    ----------
    folder
        Exists and is empty: nothing is written over.
    tree
        As `nmda_bayes.load_evidence` gives it.
    reference
        The agent at dose 0.

    Returns
    -------
    list of Path
        The files, each figure as PNG and as PDF.
    """
    text = folder / "evidence.txt"
    text.write_text(describe(tree, reference, whole=True) + "\n", encoding="utf-8")
    written = [text]
    for name, table in _tables(tree, reference).items():
        written.append(folder / f"{name}.csv")
        table.to_csv(written[-1], index=False)
    for name, figure in _figures(tree, reference).items():
        for ending in ("png", "pdf"):
            written.append(folder / f"{name}.{ending}")
            # Without its date, the same evidence gives the same file.
            undated = {"CreationDate": None} if ending == "pdf" else None
            figure.savefig(written[-1], metadata=undated)
    return written


def _tables(tree: xr.DataTree, reference: str) -> dict[str, pd.DataFrame]:
    return {
        "trials": study_table(tree),
        "doses": dose_coverage(tree, reference=reference),
        "map": trials_by_time(tree, reference),
        "comparisons_by_agent": _comparisons(network(tree, reference=reference)),
        "comparisons_by_dose": _comparisons(network(tree, reference=reference, by="dose")),
        "unusable": unusable_rows(tree),
    }


def _comparisons(net: xr.Dataset) -> pd.DataFrame:
    names = ("agent", "comparator", "studies", "participants")
    return pd.DataFrame({name: net[f"edge_{name}"].to_numpy() for name in names})


def _figures(tree: xr.DataTree, reference: str) -> dict[str, Figure]:
    everyone = evidence_map(tree)
    given = everyone.sel({AGENT: ~everyone[AGENT].isin([reference, *reference_agents(tree)])})
    # What nobody reported usably would only push what somebody did off the page.
    given = given.sel({AGENT: given.any((CONDITION, OUTCOME))})
    over_time = evidence_map(tree, (AGENT, CONDITION, OUTCOME, TIME))
    return {
        "network_by_agent": plot_network(tree, reference=reference),
        "network_by_dose": plot_network(tree, by="dose", reference=reference),
        "map": plot_evidence_map(given),
        "map_over_time": plot_evidence_map(over_time.sel({AGENT: given[AGENT]})),
        "doses": plot_dose_coverage(dose_coverage(tree, reference=reference)),
    }
