"""What an arm reports, as if it were a normal report of its linear predictor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr

from nmda_bayes.design import AS_ARM
from nmda_bayes.model import Outcome

Report = tuple[np.ndarray, np.ndarray]


def _of_means(arms: xr.Dataset) -> Report:
    return _numbers(arms, "mean"), _numbers(arms, "se") ** -2


def _of_shares(arms: xr.Dataset) -> Report:
    # Half an event and half a person without: log odds for empty cells too (Haldane 1956).
    p = (_numbers(arms, "events") + 0.5) / (_numbers(arms, "n") + 1)
    return np.log(p / (1 - p)), _numbers(arms, "n") * p * (1 - p)


def _of_rates(arms: xr.Dataset) -> Report:
    events = _numbers(arms, "events") + 0.5
    return np.log(events / _numbers(arms, "person_time")), events


#: By likelihood; for what is not here effects of studies keep their coordinates.
REPORTS: Mapping[str, Callable[[xr.Dataset], Report]] = MappingProxyType(
    {"normal": _of_means, "binomial": _of_shares, "poisson": _of_rates}
)


def normal_reports(outcome: Outcome) -> Report | None:
    """Give each arm's estimate of its linear predictor and the information of that estimate.

    Parameters
    ----------
    outcome
        The outcome.

    Returns
    -------
    tuple[np.ndarray, np.ndarray] | None
        Dim arm; no information where an arm reports otherwise. None where no arm has one.
    """
    report = REPORTS.get(outcome.spec.likelihood)
    if report is None:
        return None
    with np.errstate(all="ignore"):
        estimate, information = report(outcome.reported)
    mine = outcome.reported["report"].to_numpy() == AS_ARM
    known = mine & np.isfinite(estimate) & np.isfinite(information) & (information > 0)
    if not known.any():
        return None
    return np.where(known, estimate, 0.0), np.where(known, information, 0.0)


def _numbers(arms: xr.Dataset, column: str) -> np.ndarray:
    return arms[column].to_numpy().astype(float)
