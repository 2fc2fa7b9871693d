"""Published pooled results, and what this fit says on the same scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.dims import AGENT, CONDITION, DOSE
from nmda_bayes.estimands.reading import design_of, is_risk, link_of, spec_of
from nmda_bayes.estimands.response import absolute_risk, linear_response
from nmda_bayes.intervals import interval

PUBLISHED = "published"
DIFFERENCE, RATIO = "MD", "RR"


def beside_published(fit: xr.DataTree) -> pd.DataFrame:
    """Hold the published pools of a fit's own analyses beside its posterior.

    Parameters
    ----------
    fit
        A fit whose evidence has published results for the analyses that its outcomes name.

    Returns
    -------
    pd.DataFrame
        One row a published result: ``outcome``, ``label``, ``measure`` (MD or RR), ``published``,
        ``published_low``, ``published_high``, ``ours``, ``ours_low``, ``ours_high``. Our risk ratio
        stands at the pooled risk of the reference arms, the column ``at_risk``: the model's effect
        is an odds ratio, and only a baseline turns it into a ratio of risks.
    """
    columns = ["outcome", "label", "measure", "at_risk", "published", "published_low"]
    columns += ["published_high", "ours", "ours_low", "ours_high"]
    if PUBLISHED not in fit.children:
        return pd.DataFrame(columns=columns)
    spec, stored = spec_of(fit), fit[PUBLISHED].to_dataset().to_dataframe()
    rows = []
    for row in stored.itertuples():
        outcome = str(row.outcome)
        link = link_of(spec, outcome)
        if link.ratio and not link.probability:
            continue  # a ratio of rates is none of risks
        if row.measure != (RATIO if is_risk(spec, outcome) else DIFFERENCE):
            continue
        effect = linear_response(fit, outcome, [1.0]).isel({AGENT: 0, CONDITION: 0, DOSE: 0})
        risk = np.nan
        if row.measure == RATIO:
            risk = _reference_risk(design_of(fit, outcome))
            if not 0 < risk < 1:
                continue  # no event at all in the reference arms: no ratio of risks to speak of
            effect = absolute_risk(effect, risk, link) / risk
        ours = interval(effect)
        label = f"{row.analysis} {spec.outcomes[outcome].label or outcome}"
        spread = (float(ours[k]) for k in ("median", "lower", "upper"))
        theirs = (row.estimate, row.ci_low, row.ci_high)
        rows.append((outcome, label, row.measure, risk, *theirs, *spread))
    return pd.DataFrame(rows, columns=columns)


def _reference_risk(design: xr.Dataset) -> float:
    """Pool the events of the reference arms."""
    reference = design["exposure"] == 0
    return float(design["events"].where(reference).sum() / design["n"].where(reference).sum())
