"""Evidence drawn from a spec's own prior, for tests, calibration, teaching and trial design.

The trials keep their design (arms, agents, exposures, sizes, standard errors); what they report is
drawn. Every row says that it is synthetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS
from nmda_bayes.design import OUTCOMES, build_design
from nmda_bayes.dims import SAMPLE, scoped
from nmda_bayes.logs import quietly
from nmda_bayes.model import CHEAP, OFFSET, model_of
from nmda_bayes.spec import AnalysisSpec


def simulate(
    spec: AnalysisSpec, evidence: xr.DataTree, *, seed: int | None = None
) -> tuple[pd.DataFrame, xr.Dataset, AnalysisSpec]:
    """Draw evidence from the prior of an analysis.

    Parameters
    ----------
    spec
        The analysis.
    evidence
        Lends the trials' design.
    seed
        The spec's own seed if None.

    Returns
    -------
    tuple[pandas.DataFrame, xarray.Dataset, AnalysisSpec]
        A flat evidence table, the parameters that made it, and the spec that reads it back:
        the same model, on doses already in the units of its exposure.
    """
    design = build_design(spec, evidence)
    seed = spec.sampling.seed if seed is None else seed
    model = model_of(spec, design)
    with quietly("pymc.sampling.forward"):
        drawn = pm.sample_prior_predictive(1, model=model, random_seed=seed, compile_kwargs=CHEAP)
    frames = []
    for outcome, part in spec.outcomes.items():
        name = scoped(outcome, "reported", alone=spec.alone)
        values = drawn["prior_predictive"][name].isel(dict.fromkeys(SAMPLE, 0)).to_numpy()
        reported = design[f"{OUTCOMES}/{outcome}"].to_dataset()
        frames.append(_flat(outcome, part.likelihood, reported, values))
    truth = drawn["prior"].to_dataset().isel(dict.fromkeys(SAMPLE, 0), drop=True)
    truth = truth.drop_vars([n for n in truth.data_vars if str(n).endswith(OFFSET)])
    return pd.concat(frames, ignore_index=True), truth, _reading_back(spec)


def truth_table(truth: xr.Dataset) -> pd.DataFrame:
    """List the parameters that made simulated evidence, one row a scalar.

    Parameters
    ----------
    truth
        As `simulate` gives it.

    Returns
    -------
    pd.DataFrame
        ``variable``, ``at`` (its coordinates) and ``value``.
    """
    rows = []
    for name, array in truth.data_vars.items():
        labels = pd.MultiIndex.from_product(
            [array[dim].to_numpy() for dim in array.dims] or [np.array([""])]
        )
        for place, value in zip(labels, array.to_numpy().ravel(), strict=True):
            at = ", ".join(f"{d}={v}" for d, v in zip(array.dims, place, strict=False))
            rows.append((str(name), at, float(value)))
    return pd.DataFrame(rows, columns=["variable", "at", "value"])


def _flat(outcome: str, likelihood: str, reported: xr.Dataset, values: Any) -> pd.DataFrame:
    """One outcome's rows in the columns of a flat table."""
    part = LIKELIHOODS[likelihood]
    if part.contrasts:
        here, there = (
            reported["arm_position"].to_numpy(),
            reported["comparator_position"].to_numpy(),
        )
        columns: Mapping[str, Any] = {
            "study": reported["study"].to_numpy()[here],
            "agent": reported["agent"].to_numpy()[here],
            "dose": reported["exposure"].to_numpy()[here],
            "condition": reported["condition"].to_numpy()[here],
            "comparator": reported["agent"].to_numpy()[there],
            "comparator_dose": reported["exposure"].to_numpy()[there],
            "estimate": values,
            "se": reported["se"].to_numpy(),
            "comparator_se": reported["comparator_se"].to_numpy(),
        }
    else:
        observed, known = part.columns
        columns = {
            "study": reported["study"].to_numpy(),
            "arm": [
                str(arm).removeprefix(f"{study}: ")
                for arm, study in zip(
                    reported["arm"].to_numpy(), reported["study"].to_numpy(), strict=True
                )
            ],
            "agent": reported["agent"].to_numpy(),
            "dose": reported["exposure"].to_numpy(),
            "condition": reported["condition"].to_numpy(),
            observed: values,
            known: reported[known].to_numpy(),
        }
    return pd.DataFrame(columns).assign(outcome=outcome, synthetic=1)


def _reading_back(spec: AnalysisSpec) -> AnalysisSpec:
    """The same model on a table whose rows were already chosen and whose doses are exposures."""
    content = spec.model_dump(exclude_none=True)
    content |= {"title": f"Simulated from: {spec.title}", "select": {}, "agents": {}}
    content["evidence"] = "evidence.csv"
    for name, outcome in content["outcomes"].items():
        outcome |= {"measures": [name], "exposure": "dose"}
        for key in ("scale", "time"):
            outcome.pop(key, None)
    return AnalysisSpec.from_dict(content)
