"""The worst that was judged of each trial's risk of bias: a word that a spec can select by."""

from __future__ import annotations

from typing import Final

import pandas as pd
import xarray as xr

from nmda_bayes.evidence.certainty import BIAS_DOMAINS, JUDGEMENTS, NOT_JUDGED
from nmda_bayes.evidence.tree import table

__all__ = ["JUDGEMENT", "NOT_JUDGED", "worst_judgements"]

#: The column of a study by which trials are selected or left out. `risk_of_bias` in studies.csv is
#: free text and no two trials agree in it.
JUDGEMENT: Final = "risk_of_bias_judgement"


def worst_judgements(tree: xr.DataTree) -> pd.Series | None:
    """Take the worst judgement of each trial, of the whole or of its randomisation.

    Parameters
    ----------
    tree
        As `nmda_bayes.load_evidence` gives it.

    Returns
    -------
    pd.Series or None
        low, unclear, some_concerns or high, by study; None where the evidence judges no trial. A
        judgement of one outcome alone is not counted: it says nothing of the others.
    """
    if "risk_of_bias" not in tree.children:
        return None
    rows = table(tree, "risk_of_bias")
    rows = rows[rows["domain"].isin(BIAS_DOMAINS) & (rows["scope"] == "")]
    rows = rows[rows["judgement"].isin(JUDGEMENTS[:-1])]
    if rows.empty:
        return None
    worst = rows["judgement"].map(JUDGEMENTS.index).groupby(rows["study"]).max()
    return worst.map(lambda place: JUDGEMENTS[int(place)])
