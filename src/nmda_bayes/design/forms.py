"""In which forms the trials of an outcome report: arms, contrasts, counts of responders."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design.choose import AS_ARM, AS_CONTRAST, AS_RESPONDERS
from nmda_bayes.dims import ARM, scoped
from nmda_bayes.spec import AnalysisSpec


class Form(NamedTuple):
    """What some of an outcome's trials report: one observed variable of the fit.

    Attributes
    ----------
    variable
        The observed variable's name in the fit.
    report
        ``arm``, ``responders`` or ``contrast``.
    design
        Their rows of the design, in the order of the variable.
    at_risk
        The column that events are counted over: ``n`` people, or ``person_time``; empty where
        means are reported.
    """

    variable: str
    report: str
    design: xr.Dataset
    at_risk: str

    @property
    def counts(self) -> bool:
        """True where events are counted."""
        return bool(self.at_risk)


def forms_of(spec: AnalysisSpec, design: xr.Dataset, outcome: str) -> list[Form]:
    """Say in which forms the trials of an outcome report.

    Parameters
    ----------
    spec
        The analysis.
    design
        The outcome's design.
    outcome
        Its name.

    Returns
    -------
    list[Form]
        One for each form that occurs: arms, responders, contrasts.
    """
    likelihood = LIKELIHOODS[spec.outcomes[outcome].likelihood]
    beside = AS_CONTRAST if not likelihood.contrasts else ""
    found = []
    for report, suffix in ((AS_ARM, ""), (AS_RESPONDERS, "_responders"), (AS_CONTRAST, "")):
        where = np.flatnonzero(design["report"].to_numpy() == report)
        if not len(where):
            continue
        suffix = "_contrasts" if report == beside else suffix
        rows = design if report == AS_CONTRAST else design.isel({ARM: where})
        counted = likelihood.columns[1] if report == AS_ARM and likelihood.counts else ""
        at_risk = "n" if report == AS_RESPONDERS else counted
        name = scoped(outcome, f"reported{suffix}", alone=spec.alone)
        found.append(Form(name, report, rows, at_risk))
    return found
