"""One variant, as it is sent to a worker; light, so that a worker starts at once."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from nmda_bayes.spec import AnalysisSpec


@dataclass(frozen=True)
class Job:
    """One variant.

    Attributes
    ----------
    name
        The variant's.
    key
        The name of its answer in the store.
    spec
        The analysis.
    design
        The rows that it sees.
    dose
        Where effects are compared.
    elpd
        True where it is asked how well whole trials are foretold.
    """

    name: str
    key: str
    spec: AnalysisSpec
    design: xr.DataTree
    dose: float
    elpd: bool = False
