"""Could the model have made these trials? Before seeing them, and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import xarray as xr

from nmda_bayes.design import AS_RESPONDERS, forms_of
from nmda_bayes.dims import SAMPLE
from nmda_bayes.estimands import design_of, spec_of

Statistic = Callable[[np.ndarray, xr.Dataset], np.ndarray]

#: Statistics of one outcome's rows, over the last axis: what the likelihood's location, spread and
#: corners would get wrong.
CONTINUOUS: Mapping[str, Statistic] = {
    "mean over arms": lambda y, design: y.mean(-1),
    "SD over arms": lambda y, design: y.std(-1),
    "smallest": lambda y, design: y.min(-1),
    "largest": lambda y, design: y.max(-1),
}
EVENTS: Mapping[str, Statistic] = {
    "events in all arms": lambda y, design: y.sum(-1),
    "arms without an event": lambda y, design: (y == 0).sum(-1),
}
COUNTS: Mapping[str, Statistic] = {
    **EVENTS,
    "SD of the proportions": lambda y, design: (y / design["n"].to_numpy()).std(-1),
}
RATES: Mapping[str, Statistic] = {
    **EVENTS,
    "SD of the rates": lambda y, design: (y / design["person_time"].to_numpy()).std(-1),
}
#: By the column that events are counted over.
STATISTICS = {"": CONTINUOUS, "n": COUNTS, "person_time": RATES}
#: Said after a statistic of rows that are not the outcome's own form.
BESIDE = {AS_RESPONDERS: ", responders"}


def predictive_checks(fit: xr.DataTree) -> pd.DataFrame:
    """Compare statistics of the reported data with replicates from the prior and the posterior.

    Parameters
    ----------
    fit
        A fit.

    Returns
    -------
    pd.DataFrame
        One row an outcome and statistic: ``observed``, and the share of replicates at least as
        large (ties count half) under the prior, ``prior_p``, and the posterior, ``posterior_p``.
        Near 0 or 1 the model does not make data like these.
    """
    spec = spec_of(fit)
    rows = []
    for outcome in spec.outcomes:
        for form in forms_of(spec, design_of(fit, outcome), outcome):
            observed = fit["observed_data"].to_dataset()[form.variable].to_numpy().astype(float)
            for label, statistic in STATISTICS[form.at_risk].items():
                value = float(statistic(observed, form.design))
                shares = [
                    _share(
                        statistic(_rows_last(fit[group].to_dataset()[form.variable]), form.design),
                        value,
                    )
                    for group in ("prior_predictive", "posterior_predictive")
                ]
                rows.append((outcome, label + BESIDE.get(form.report, ""), value, *shares))
    return pd.DataFrame(
        rows, columns=["outcome", "statistic", "observed", "prior_p", "posterior_p"]
    )


def _rows_last(array: xr.DataArray) -> np.ndarray:
    return np.asarray(array.transpose(*SAMPLE, ...).to_numpy(), dtype=float)


def _share(replicated: np.ndarray, observed: float) -> float:
    return float(np.mean(replicated > observed) + np.mean(replicated == observed) / 2)
