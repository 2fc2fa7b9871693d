"""The published models that an analysis names, read out of the evidence or out of its design.

The design keeps the rows of the models that were used, so that a stored fit can be asked about a
regimen without the evidence beside it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import xarray as xr

from nmda_bayes.design.kinetics import Kinetics
from nmda_bayes.evidence import load_evidence, table
from nmda_bayes.pharmacokinetics import models
from nmda_bayes.spec import AnalysisSpec

#: Group of the design that holds the parameters of the models that the spec names.
KINETICS = "pharmacokinetics"


def kinetics_of(
    spec: AnalysisSpec, tables: Mapping[str, pd.DataFrame], *, every: bool = False
) -> Kinetics | None:
    """Read the models that an analysis names.

    Parameters
    ----------
    spec
        The analysis.
    tables
        With `KINETICS`, the table of parameters.
    every
        Whether to read the models that the spec does not name too, to say which there are.

    Returns
    -------
    Kinetics or None
        None where the spec names none.
    """
    if spec.pharmacokinetics is None:
        return None
    rows = tables[KINETICS]
    if not every:
        named = {
            name for routes in spec.pharmacokinetics.model.values() for name in routes.values()
        }
        rows = rows[rows["report"].isin(named)]
    return Kinetics(spec.pharmacokinetics, models(rows), rows, spec.alone)


def kinetics_of_design(spec: AnalysisSpec, design: xr.DataTree | xr.DataArray) -> Kinetics | None:
    """Read the models that an analysis named, out of its design.

    Parameters
    ----------
    spec
        The analysis.
    design
        As `nmda_bayes.design.build_design` gives it.

    Returns
    -------
    Kinetics or None
        None where the spec names none.
    """
    if spec.pharmacokinetics is None or not isinstance(design, xr.DataTree):
        return None
    return kinetics_of(spec, {KINETICS: table(design, KINETICS)})


def kinetics_tables(evidence: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Give the tables that concentrations are worked out with.

    Parameters
    ----------
    evidence
        The evidence. One without a table of parameters is served from the one that comes with the
        package.

    Returns
    -------
    dict
        `KINETICS`; and ``conversions`` where the evidence has them.
    """
    source = evidence if KINETICS in evidence.children else load_evidence()
    tables = {KINETICS: table(source, KINETICS)}
    if "conversions" in evidence.children:
        tables["conversions"] = table(evidence, "conversions")
    return tables
