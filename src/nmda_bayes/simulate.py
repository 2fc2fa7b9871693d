"""Evidence drawn from a spec's own prior, for tests, calibration, teaching and trial design.

The trials keep their design (arms, agents, exposures, sizes, standard errors); what they report is
drawn. Every row says that it is synthetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr

from nmda_bayes.components.likelihoods import LIKELIHOODS, Likelihood
from nmda_bayes.design import (
    AS_ARM,
    AS_CONTRAST,
    AS_RESPONDERS,
    ERROR_CORRELATION,
    JUDGEMENT,
    LEVEL,
    OUTCOMES,
    WEIGHT,
    Form,
    build_design,
    forms_of,
    levels_of,
)
from nmda_bayes.design.study_columns import coefficient, study_columns
from nmda_bayes.dims import CLUSTER, SAMPLE, STRATUM, scoped
from nmda_bayes.evidence.flat_columns import NOT_REPORTED
from nmda_bayes.logs import drawing_forward
from nmda_bayes.model import CHEAP, OFFSET, as_published, model_of, outcomes_of
from nmda_bayes.spec import AnalysisSpec, OutcomeSpec
from nmda_bayes.spec.pooling_rules import CLUSTER_SD


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
    with drawing_forward():
        drawn = pm.sample_prior_predictive(1, model=model, random_seed=seed, compile_kwargs=CHEAP)
    for of_spec in outcomes_of(spec, design):
        data, prior = (drawn[name].to_dataset() for name in ("prior_predictive", "prior"))
        published = as_published(of_spec, data, prior, seed, of_arms=False)
        drawn["prior_predictive"] = xr.DataTree(published)
    frames = []
    for outcome, part in spec.outcomes.items():
        reported = design[f"{OUTCOMES}/{outcome}"].to_dataset()
        placed = scoped(outcome, "exposure", alone=spec.alone)
        if placed in drawn["prior"]:  # by kinetic parameters that were drawn too
            exposure = drawn["prior"][placed].isel(dict.fromkeys(SAMPLE, 0))
            reported = reported.assign(exposure=("arm", exposure.to_numpy()))
        for form in forms_of(spec, reported, outcome):
            one = drawn["prior_predictive"][form.variable].isel(dict.fromkeys(SAMPLE, 0))
            flat = _flat(outcome, LIKELIHOODS[part.likelihood], form, one.to_numpy())
            if form.report == AS_ARM and LIKELIHOODS[part.likelihood].also:
                flat = _with_sds(flat, form, drawn["prior_predictive"].to_dataset())
            frames.append(flat.assign(**_of_studies(outcome, part, form)))
            if form.report == AS_RESPONDERS:
                frames += _harder(frames[-1], form, drawn["prior_predictive"].to_dataset())
    truth = drawn["prior"].to_dataset().isel(dict.fromkeys(SAMPLE, 0), drop=True)
    truth = truth.drop_vars([n for n in truth.data_vars if str(n).endswith(OFFSET)])
    return pd.concat(frames, ignore_index=True), truth, _reading_back(spec)


def _with_sds(rows: pd.DataFrame, form: Form, drawn: xr.Dataset) -> pd.DataFrame:
    """Fill in the SDs that were drawn too; an arm that printed none prints none."""
    sd = pd.Series(NOT_REPORTED, index=form.design["arm"].to_numpy(), dtype=object)
    name = form.variable + "_variance"
    if name in drawn:
        variance = drawn[name].isel(dict.fromkeys(SAMPLE, 0))
        sd[variance[variance.dims[0]].to_numpy()] = np.sqrt(variance.to_numpy())
    return rows.assign(sd=sd.to_numpy())


def _harder(rows: pd.DataFrame, form: Form, drawn: xr.Dataset) -> Iterator[pd.DataFrame]:
    """Rows of the harder cut-offs of the same arms."""
    for level in range(2, levels_of(form.design) + 1):
        events = drawn[LEVEL.format(form.variable, level)].isel(dict.fromkeys(SAMPLE, 0))
        counts = events.to_series().reindex(form.design["arm"].to_numpy()).to_numpy()
        measure = form.design[LEVEL.format("measure", level)].to_numpy()
        yield rows.assign(events=counts, outcome=measure)[~np.isnan(counts)]


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


def _flat(outcome: str, likelihood: Likelihood, form: Form, values: Any) -> pd.DataFrame:
    """Rows of one form in the columns of a flat table."""
    reported = form.design
    if form.report == AS_CONTRAST:
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
            "se": reported["estimate_se"].to_numpy(),
            "comparator_se": reported["comparator_se"].to_numpy(),
        }
        return pd.DataFrame(columns).assign(outcome=outcome, synthetic=1)
    responders = form.report == AS_RESPONDERS
    observed, *known = ("events", "n") if responders else likelihood.columns
    studies = reported["study"].to_numpy()
    labels = zip(reported["arm"].to_numpy(), studies, strict=True)
    crossover = reported["same_people"].to_numpy().astype(float) == 1
    columns = {
        "study": studies,
        "arm": [str(arm).removeprefix(f"{study}: ") for arm, study in labels],
        "agent": reported["agent"].to_numpy(),
        "dose": reported["exposure"].to_numpy(),
        "condition": reported["condition"].to_numpy(),
        "design": np.where(crossover, "crossover", "parallel"),
        observed: values,
        **{name: reported[name].to_numpy() for name in known},
        "outcome": reported["measure"].to_numpy() if responders else outcome,
    }
    return pd.DataFrame(columns).assign(synthetic=1)


def _of_studies(name: str, part: OutcomeSpec, form: Form) -> dict[str, Any]:
    """Strata, covariates and what biases go by of the studies, in the order of a form's rows."""
    at: Any = slice(None)
    if form.report == AS_CONTRAST:
        at = form.design["arm_position"].to_numpy()
    columns = [*study_columns(part), *({ERROR_CORRELATION} & set(form.design))]
    found = {column: form.design[column].to_numpy()[at] for column in columns}
    # Judgements and weights are an outcome's own: two outcomes may go by different words.
    for column in sorted({JUDGEMENT, WEIGHT} & set(form.design)):
        found[f"{name}_{column}"] = [_word(value) for value in form.design[column].to_numpy()[at]]
    return found


def _word(value: Any) -> str:
    # A bare number would be read back as one, and 1 is then written 1.0.
    return f"weight {value:g}" if isinstance(value, float) else str(value)


def _reading_back(spec: AnalysisSpec) -> AnalysisSpec:
    """The same model on a table whose rows were already chosen and whose doses are exposures."""
    content = spec.model_dump(exclude_none=True)
    content |= {"title": f"Simulated from: {spec.title}"}
    content |= {"select": {}, "exclude": {}, "agents": {}}
    content["evidence"] = "evidence.csv"
    content.pop("pharmacokinetics", None)  # doses are exposures by now
    errors = content["correlations"].get("errors", {})
    if errors.get("column"):
        errors["column"] = ERROR_CORRELATION
    for name, outcome in content["outcomes"].items():
        outcome |= {"measures": [name], "exposure": "dose"}
        for key in ("scale", "time"):
            outcome.pop(key, None)
        for parameter, shared in outcome["parameters"].items():
            named = CLUSTER if parameter == CLUSTER_SD else STRATUM
            shared["by"] = named if shared.get("by") else ""
            for covariate, regressed in shared["covariates"].items():
                regressed |= {"level": "", "measure": ""}
                regressed |= {"column": coefficient(parameter, covariate)}
                regressed |= {"centre": regressed.get("centre", 0.0)}
                regressed |= {"unit": regressed.get("unit", 1.0)}
        biases = outcome["bias"]
        if "risk_of_bias" in biases:
            biases["risk_of_bias"] |= {"domain": "", "scope": [], "column": f"{name}_{JUDGEMENT}"}
        if "power" in biases:
            weights = set(biases["power"]["weights"].values())
            biases["power"]["column"] = f"{name}_{WEIGHT}"
            biases["power"]["weights"] = {_word(float(w)): w for w in weights}
        if outcome.get("contrasts"):
            outcome["contrasts"] |= {"measures": [name], "effects": ["unnamed"]}
    return AnalysisSpec.from_dict(content)
